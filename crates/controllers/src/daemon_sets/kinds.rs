//! What of sets, revisions, pods and nodes this controller decides by. A cluster has many pods and nodes that tell of
//! themselves often: what is not here neither takes memory nor makes a plan.

use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use serde_json::Value;

use crate::conditions;
use crate::objects::{Metadata, NodeSpec, Pod, PodSpec, has_metadata};
use crate::selector::LabelSelector;
use crate::share::Share;

pub(super) const DAEMON_SET: &str = "DaemonSet";

#[derive(Clone, Debug, PartialEq, Deserialize)]
pub(super) struct DaemonSet {
    pub(super) metadata: Metadata,
    pub(super) spec: Spec,
    #[serde(default)]
    pub(super) status: Status,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Spec {
    #[serde(default)]
    pub(super) selector: LabelSelector,
    pub(super) template: Template,
    #[serde(default)]
    pub(super) update_strategy: UpdateStrategy,
    #[serde(default)]
    pub(super) min_ready_seconds: i64,
    #[serde(default)]
    pub(super) revision_history_limit: Option<usize>,
}

/// The pod template: whole, since pods are made of it, and what eligibility depends on.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(from = "Value")]
pub(super) struct Template {
    pub(super) tree: Value,
    pub(super) spec: PodSpec,
}

impl From<Value> for Template {
    fn from(tree: Value) -> Self {
        let spec = tree.get("spec").map(PodSpec::deserialize);
        Self { spec: spec.and_then(Result::ok).unwrap_or_default(), tree }
    }
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct UpdateStrategy {
    /// `OnDelete`; anything else rolls.
    #[serde(rename = "type")]
    pub(super) kind: String,
    pub(super) rolling_update: RollingUpdate,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct RollingUpdate {
    pub(super) max_unavailable: Option<Share>,
    pub(super) max_surge: Option<Share>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Status {
    pub(super) current_number_scheduled: usize,
    pub(super) desired_number_scheduled: usize,
    pub(super) number_available: usize,
    pub(super) number_misscheduled: usize,
    pub(super) number_ready: usize,
    pub(super) number_unavailable: usize,
    pub(super) updated_number_scheduled: usize,
    pub(super) observed_generation: i64,
    pub(super) collision_count: Option<i64>,
}

/// A ControllerRevision: a template that a set has or had.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub(super) struct Revision {
    pub(super) metadata: Metadata,
    #[serde(default)]
    pub(super) data: Value,
    #[serde(default)]
    pub(super) revision: i64,
}

/// A pod, as far as it may be of a set.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(from = "Pod")]
pub(super) struct DaemonPod {
    pub(super) metadata: Metadata,
    /// Where it runs, or will once it is scheduled.
    pub(super) node: String,
    /// Whether it has been scheduled.
    pub(super) assigned: bool,
    phase: Phase,
    /// Since when it is ready.
    ready: Option<Timestamp>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Failed,
    Succeeded,
    /// Pending or running.
    Going,
}

impl From<Pod> for DaemonPod {
    fn from(mut pod: Pod) -> Self {
        pod.metadata.annotations.clear();
        let assigned = !pod.spec.node_name.is_empty();
        let target =
            || pod.spec.affinity.as_ref().and_then(|affinity| affinity.target_node()).map(str::to_owned);
        let node = if assigned { pod.spec.node_name.clone() } else { target().unwrap_or_default() };
        let ready = conditions::find(&pod.status.conditions, "Ready").filter(|ready| ready.status == "True");
        // Without a time it has been ready for ever.
        let since = |time: Option<String>| time.and_then(|time| time.parse().ok()).unwrap_or(Timestamp::MIN);
        Self {
            node,
            assigned,
            phase: match &*pod.status.phase {
                "Failed" => Phase::Failed,
                "Succeeded" => Phase::Succeeded,
                _ => Phase::Going,
            },
            ready: ready.map(|ready| since(ready.last_transition_time)),
            metadata: pod.metadata,
        }
    }
}

impl DaemonPod {
    /// Whether it is a set's, or nobody's and might become one's.
    pub(super) fn may_be_of_a_set(&self) -> bool {
        self.metadata.controller().is_none_or(|owner| owner.kind == DAEMON_SET)
    }

    pub(super) fn is_failed(&self) -> bool {
        self.phase == Phase::Failed
    }

    pub(super) fn is_finished(&self) -> bool {
        self.phase != Phase::Going
    }

    pub(super) fn is_ready(&self) -> bool {
        self.ready.is_some()
    }

    /// From when on it counts as available, if it stays ready.
    pub(super) fn available_from(&self, min_ready_seconds: i64) -> Option<Timestamp> {
        let least = SignedDuration::from_secs(min_ready_seconds.max(0));
        self.ready.map(|since| since.checked_add(least).unwrap_or(Timestamp::MAX))
    }

    pub(super) fn is_available(&self, min_ready_seconds: i64, now: Timestamp) -> bool {
        self.available_from(min_ready_seconds).is_some_and(|from| from <= now)
    }

    /// The hash of the template that it is of; empty when it does not say.
    pub(super) fn hash(&self) -> &str {
        self.metadata.labels.get(super::HASH).map_or("", String::as_str)
    }

    /// Whether it is of the template with this hash.
    pub(super) fn is_of(&self, hash: &str) -> bool {
        self.hash() == hash
    }
}

/// A node without what it tells of itself all the time.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub(super) struct DaemonNode {
    pub(super) metadata: Metadata,
    #[serde(default)]
    pub(super) spec: NodeSpec,
}

has_metadata!(DaemonSet, Revision, DaemonPod, DaemonNode);
