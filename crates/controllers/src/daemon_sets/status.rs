//! What is reported of a set.

use jiff::Timestamp;
use serde_json::json;

use super::eligibility::{Fit, Nodes};
use super::kinds::{DaemonSet, Status};
use crate::api::{Request, Resource, Target};

/// The set's status, unless it says that already.
pub(super) fn change(set: &DaemonSet, hash: &str, nodes: &Nodes<'_>, now: Timestamp) -> Option<Request> {
    let status = status(set, hash, nodes, now);
    if status == set.status {
        return None;
    }
    let body = json!({
        "metadata": {"resourceVersion": set.metadata.resource_version},
        "status": {
            "currentNumberScheduled": status.current_number_scheduled,
            "desiredNumberScheduled": status.desired_number_scheduled,
            "numberAvailable": status.number_available,
            "numberMisscheduled": status.number_misscheduled,
            "numberReady": status.number_ready,
            "numberUnavailable": status.number_unavailable,
            "observedGeneration": status.observed_generation,
            "updatedNumberScheduled": status.updated_number_scheduled,
        },
    });
    Some(Request::merge_patch(Target::of(Resource::DAEMON_SETS, &set.metadata).subresource("status"), body))
}

fn status(set: &DaemonSet, hash: &str, nodes: &Nodes<'_>, now: Timestamp) -> Status {
    let mut status = Status {
        observed_generation: set.metadata.generation,
        collision_count: set.status.collision_count,
        desired_number_scheduled: nodes.desired(),
        ..Status::default()
    };
    for place in &nodes.places {
        // Where there are two, the older one counts.
        let Some(pod) = place.pods.first() else { continue };
        if place.fit != Fit::Runs {
            status.number_misscheduled += 1;
            continue;
        }
        status.current_number_scheduled += 1;
        status.number_ready += usize::from(pod.is_ready());
        status.number_available += usize::from(pod.is_available(set.spec.min_ready_seconds, now));
        status.updated_number_scheduled += usize::from(pod.is_of(hash));
    }
    status.number_unavailable = status.desired_number_scheduled - status.number_available;
    status
}
