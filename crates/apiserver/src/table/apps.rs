//! DaemonSets and their revisions.

use serde_json::Value;

use super::column::{AGE, Layout, NAME, integer, text};
use super::seen::{NONE, Seen, joined, labels, selector, text_in};

pub(super) static DAEMON_SET: Layout = Layout {
    columns: &[
        NAME,
        integer("Desired", "Nodes that should run a pod."),
        integer("Current", "Nodes that run a pod and should."),
        integer("Ready", "Nodes whose pod is ready."),
        integer("Up-to-date", "Nodes whose pod is of the present template."),
        integer("Available", "Nodes whose pod has been ready for long enough."),
        text("Node Selector", "The labels of nodes that run a pod."),
        AGE,
        text("Containers", "The containers of a pod.").wide(),
        text("Images", "The images of a pod's containers.").wide(),
        text("Selector", "The labels by which pods are known.").wide(),
    ],
    cells: |set| {
        let containers = set.items("/spec/template/spec/containers");
        vec![
            set.name().into(),
            set.number("/status/desiredNumberScheduled").into(),
            set.number("/status/currentNumberScheduled").into(),
            set.number("/status/numberReady").into(),
            set.number("/status/updatedNumberScheduled").into(),
            set.number("/status/numberAvailable").into(),
            labels(set.at("/spec/template/spec/nodeSelector")).into(),
            set.age(),
            joined(containers.iter().map(|container| text_in(container, "/name"))).into(),
            joined(containers.iter().map(|container| text_in(container, "/image"))).into(),
            selector(set.at("/spec/selector")).into(),
        ]
    },
};

pub(super) static CONTROLLER_REVISION: Layout = Layout {
    columns: &[
        NAME,
        text("Controller", "The controller whose state it was."),
        text("Revision", "Its number; the larger is the later."),
        AGE,
    ],
    cells: |revision| {
        vec![
            revision.name().into(),
            controller(revision).into(),
            revision.number("/revision").into(),
            revision.age(),
        ]
    },
};

/// `daemonset.apps/NAME`.
fn controller(object: &Seen<'_>) -> String {
    let owners = object.items("/metadata/ownerReferences");
    let Some(owner) = owners.iter().find(|owner| owner.get("controller") == Some(&Value::Bool(true))) else {
        return NONE.to_owned();
    };
    let kind = text_in(owner, "/kind").to_lowercase();
    let name = text_in(owner, "/name");
    match text_in(owner, "/apiVersion").split_once('/') {
        Some((group, _)) => format!("{kind}.{}/{name}", group.to_lowercase()),
        None => format!("{kind}/{name}"),
    }
}
