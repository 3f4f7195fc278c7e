//! What a kubelet says of a pod whose volumes are not all mounted: in an Event when a claim cannot be followed, and in the
//! pod's status when there is no room for its volumes on the node.
//!
//! A kubelet waits 2 minutes and 3 seconds for a pod's volumes in each of its syncs. When they are over and nothing else is
//! wrong, it says nothing (since 1.27): the volumes' own Events have said it.

use std::time::Duration;

use crate::planner::{Pending, VolumeView};

/// How long a kubelet waits for a pod's volumes.
pub const WAIT: Duration = Duration::from_secs(2 * 60 + 3);

/// Why a pod is given back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    /// A CamelCase word.
    pub reason: &'static str,
    /// What happened.
    pub message: String,
}

/// The Event of a pod when one of its claims cannot be followed to a volume.
pub fn processing_failed(volumes: &[VolumeView], error: &str) -> String {
    format!("Unable to attach or mount volumes: {}: {error}", lists(volumes))
}

/// A pod whose volume cannot be attached, since the node has as many as it can have.
pub fn attachment_limit_exceeded(volumes: &[VolumeView]) -> Rejection {
    Rejection {
        reason: "VolumeAttachmentLimitExceeded",
        message: format!(
            "Node has reached its volume attachment limit, rejecting pod. {}: context deadline exceeded",
            lists(volumes)
        ),
    }
}

fn lists(volumes: &[VolumeView]) -> String {
    let names = |is_meant: fn(Pending) -> bool| {
        let meant = volumes.iter().filter(|view| view.pending.is_some_and(is_meant));
        let names: Vec<&str> = meant.map(|view| view.volume.as_str()).collect();
        // As Go prints a slice.
        format!("[{}]", names.join(" "))
    };
    format!(
        "unmounted volumes={}, unattached volumes={}, failed to process volumes={}",
        names(|_| true),
        names(|pending| pending == Pending::Device),
        names(|pending| pending == Pending::Claim)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_volume_is_named_where_it_belongs() {
        let view = |volume: &str, pending| VolumeView { volume: volume.to_owned(), pending, problem: None };
        let volumes = [
            view("cache", Some(Pending::Device)),
            view("data", Some(Pending::Claim)),
            view("done", None),
            view("tokens", Some(Pending::Publish)),
        ];
        assert_eq!(
            processing_failed(&volumes, "error processing PVC ns/c: PVC is not bound"),
            "Unable to attach or mount volumes: unmounted volumes=[cache data tokens], unattached volumes=[cache], \
             failed to process volumes=[data]: error processing PVC ns/c: PVC is not bound"
        );
        let rejection = attachment_limit_exceeded(&volumes[..1]);
        assert_eq!(rejection.reason, "VolumeAttachmentLimitExceeded");
        assert_eq!(
            rejection.message,
            "Node has reached its volume attachment limit, rejecting pod. unmounted volumes=[cache], unattached \
             volumes=[cache], failed to process volumes=[]: context deadline exceeded"
        );
    }
}
