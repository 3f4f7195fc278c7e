//! What objects can be selected by, beyond their labels.

use super::{Facts, Index};

impl Index {
    /// The value of a selectable field beyond name and namespace.
    pub fn field(&self, name: &str) -> Option<String> {
        match &self.facts {
            Facts::Event { fields } => {
                fields.iter().find(|(field, _)| *field == name).map(|(_, value)| value.clone())
            }
            Facts::Namespace { phase } if name == "status.phase" => Some(phase.clone()),
            Facts::Secret { kind } if name == "type" => Some(kind.clone()),
            Facts::Node { unschedulable } if name == "spec.unschedulable" => Some(unschedulable.to_string()),
            Facts::Pod(pod) => match name {
                "spec.nodeName" => Some(pod.node.clone()),
                "spec.restartPolicy" => Some(pod.restart_policy.clone()),
                "spec.schedulerName" => Some(pod.scheduler.clone()),
                "spec.serviceAccountName" => Some(pod.service_account.clone()),
                "spec.hostNetwork" => Some(pod.host_network.to_string()),
                "status.phase" => Some(pod.phase.clone()),
                "status.podIP" => Some(pod.ip.clone()),
                "status.podIPs" => Some(pod.ips.clone()),
                "status.nominatedNodeName" => Some(pod.nominated_node.clone()),
                _ => None,
            },
            _ => None,
        }
    }
}

/// The fields that a collection can be selected by, beyond name and namespace.
pub(crate) fn selectable_fields(collection: &str) -> &'static [&'static str] {
    match collection {
        "pods" => &[
            "metadata.name",
            "metadata.namespace",
            "spec.nodeName",
            "spec.restartPolicy",
            "spec.schedulerName",
            "spec.serviceAccountName",
            "spec.hostNetwork",
            "status.phase",
            "status.podIP",
            "status.podIPs",
            "status.nominatedNodeName",
        ],
        "namespaces" => &["metadata.name", "status.phase"],
        "secrets" => &["metadata.name", "metadata.namespace", "type"],
        "nodes" => &["metadata.name", "spec.unschedulable"],
        "events" => &EVENT_FIELDS,
        _ => &["metadata.name", "metadata.namespace"],
    }
}

const EVENT_FIELDS: [&str; 13] = [
    "metadata.name",
    "metadata.namespace",
    "involvedObject.kind",
    "involvedObject.namespace",
    "involvedObject.name",
    "involvedObject.uid",
    "involvedObject.apiVersion",
    "involvedObject.resourceVersion",
    "involvedObject.fieldPath",
    "reason",
    "reportingComponent",
    "source",
    "type",
];
