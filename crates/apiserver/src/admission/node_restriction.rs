//! NodeRestriction: what a node may write is narrower than what it may name in a URL. Its tokens are in [`token`].
//!
//! Order and texts follow upstream 1.35.

pub(crate) mod token;

use std::collections::BTreeSet;

use serde_json::Value;

use crate::cluster_view::ClusterView;
use crate::object::{Metadata, Object, at, text_at};
use crate::registry::Part;
use crate::status::{ApiError, Subject, go_quote};

/// One write of a node.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NodeWrite<'a> {
    /// The node's name; empty when its user name has none.
    pub(crate) node: &'a str,
    /// The store's name of the kind, `pods` or `storage.k8s.io/csinodes`.
    pub(crate) collection: &'a str,
    /// The object's namespace, empty at the cluster scope.
    pub(crate) namespace: &'a str,
    /// The object's name.
    pub(crate) name: &'a str,
    pub(crate) operation: Operation<'a>,
}

/// What is done to the object.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Operation<'a> {
    Create { new: &'a Object },
    Update { part: Part, new: &'a Object, old: &'a Object },
    Delete { old: &'a Object },
}

/// Whether a node may write this.
///
/// # Errors
/// 403 with what is not allowed; 404 for a mirror pod of a node that does not exist.
pub(crate) fn admit(write: NodeWrite<'_>, cluster: &ClusterView) -> Result<(), ApiError> {
    if write.node.is_empty() {
        return Err(write.forbidden("could not determine node from user \"system:node:\""));
    }
    match write.collection {
        "pods" => admit_pod(write, cluster),
        "nodes" => admit_node(write),
        "persistentvolumeclaims" => admit_claim(write),
        "coordination.k8s.io/leases" => admit_lease(write),
        "storage.k8s.io/csinodes" if write.name != write.node => {
            Err(write.forbidden("can only access CSINode with the same name as the requesting node"))
        }
        _ => Ok(()),
    }
}

/// What a node is told that wants to bind a pod.
pub(crate) fn binding_refused(pod: &str) -> ApiError {
    let why = "unexpected pod subresource \"binding\", only 'status' and 'eviction' are allowed";
    ApiError::forbidden(Subject { group: "", kind: "pods", name: pod }, why)
}

impl NodeWrite<'_> {
    fn forbidden(&self, why: &str) -> ApiError {
        let (group, kind) = self.collection.split_once('/').unwrap_or(("", self.collection));
        ApiError::forbidden(Subject { group, kind, name: self.name }, why)
    }
}

fn admit_pod(write: NodeWrite<'_>, cluster: &ClusterView) -> Result<(), ApiError> {
    let node = go_quote(write.node);
    let is_own = |pod: &Object| text_at(pod, &["spec", "nodeName"]) == write.node;
    let refuse = |why: String| Err(write.forbidden(&why));
    match write.operation {
        Operation::Create { new } => admit_mirror_pod(write, new, cluster),
        Operation::Delete { old } if is_own(old) => Ok(()),
        Operation::Delete { .. } => {
            refuse(format!("node {node} can only delete pods with spec.nodeName set to itself"))
        }
        Operation::Update { part: Part::Status, new, old } => {
            let differs = |path: &[&str]| is_other(at(new, path), at(old, path));
            if !is_own(old) {
                refuse(format!(
                    "node {node} can only update pod status for pods with spec.nodeName set to itself"
                ))
            } else if differs(&["metadata", "labels"]) {
                refuse(format!("node {node} cannot update labels through pod status"))
            } else if differs(&["status", "resourceClaimStatuses"]) {
                refuse(format!("node {node} cannot update resource claim statues"))
            } else {
                Ok(())
            }
        }
        Operation::Update { .. } => refuse(format!(
            "unexpected operation \"UPDATE\", node {node} can only create and delete mirror pods"
        )),
    }
}

/// A mirror pod shows what the node runs anyway. It must be the node's own, and must not make the API server hand out
/// anything for it.
fn admit_mirror_pod(write: NodeWrite<'_>, pod: &Object, cluster: &ClusterView) -> Result<(), ApiError> {
    const MIRROR: &str = "kubernetes.io/config.mirror";
    let node = go_quote(write.node);
    let refuse = |why: String| Err(write.forbidden(&why));
    let only = |what: &str| refuse(format!("node {node} can only create pods with {what}"));
    if at(pod, &["metadata", "annotations", MIRROR]).is_none() {
        let mirror = go_quote(MIRROR);
        return refuse(format!(
            "pod does not have {mirror} annotation, node {node} can only create mirror pods"
        ));
    }
    if text_at(pod, &["spec", "nodeName"]) != write.node {
        return only("spec.nodeName set to itself");
    }
    let owners = at(pod, &["metadata", "ownerReferences"]).and_then(Value::as_array);
    let owner = match owners.map(Vec::as_slice).unwrap_or_default() {
        [] => return only("an owner reference set to itself"),
        [owner] => owner,
        _ => return only("a single owner reference set to itself"),
    };
    let text = |member: &str| owner.get(member).and_then(Value::as_str).unwrap_or_default();
    let holds = |member: &str| owner.get(member).and_then(Value::as_bool) == Some(true);
    if (text("apiVersion"), text("kind"), text("name")) != ("v1", "Node", write.node) {
        return only("an owner reference set to itself");
    }
    if !holds("controller") {
        return only("a controller owner reference set to itself");
    }
    if holds("blockOwnerDeletion") {
        return refuse(format!("node {node} must not set blockOwnerDeletion on an owner reference"));
    }
    let Some(entry) = cluster.entry("nodes", None, write.node) else {
        // From the lister, hence the singular.
        return Err(ApiError::not_found(Subject { group: "", kind: "node", name: write.node }));
    };
    let (wanted, found) = (text("uid"), entry.index.uid.as_str());
    if wanted != found {
        return refuse(format!("node {} UID mismatch: expected {wanted} got {found}", write.node));
    }
    match first_reference(pod) {
        Some(what) => refuse(format!("node {node} can not create pods that reference {what}")),
        None => Ok(()),
    }
}

/// What of the API a pod names, if anything.
fn first_reference(pod: &Object) -> Option<&'static str> {
    if !text_at(pod, &["spec", "serviceAccountName"]).is_empty() {
        return Some("serviceaccounts");
    }
    let spec = |member: &str| pod.get("spec").and_then(|spec| spec.get(member));
    let lists = ["containers", "initContainers", "ephemeralContainers"].map(spec);
    let containers: Vec<&Value> = lists.into_iter().flatten().filter_map(Value::as_array).flatten().collect();
    let environments = containers
        .iter()
        .flat_map(|container| ["env", "envFrom"].map(|member| container.get(member)))
        .flatten();
    let places: Vec<&Value> = spec("volumes").into_iter().chain(environments).collect();
    let names = |members: &[&str]| places.iter().any(|place| has_member(place, members));
    let pulls = spec("imagePullSecrets").and_then(Value::as_array).is_some_and(|pulls| !pulls.is_empty());
    if pulls || names(&["nodePublishSecretRef", "secret", "secretKeyRef", "secretName", "secretRef"]) {
        return Some("secrets");
    }
    if names(&["configMap", "configMapKeyRef", "configMapRef"]) {
        return Some("configmaps");
    }
    if spec("resourceClaims").and_then(Value::as_array).is_some_and(|claims| !claims.is_empty()) {
        return Some("resourceclaims");
    }
    let volumes = spec("volumes").and_then(Value::as_array).into_iter().flatten();
    volumes.filter_map(Value::as_object).find_map(reference_of_volume)
}

/// What of the API a volume needs besides secrets and config maps.
fn reference_of_volume(volume: &Object) -> Option<&'static str> {
    let has = |members: &Object, name: &str| members.get(name).is_some_and(|value| !value.is_null());
    let by_source = [
        ("csi", "csidrivers (via CSI volumes)"),
        ("glusterfs", "endpoints (via glusterFS volumes)"),
        ("persistentVolumeClaim", "persistentvolumeclaims"),
        ("ephemeral", "persistentvolumeclaims (via ephemeral volumes)"),
        ("azureFile", "secrets (via azureFile volumes)"),
    ];
    if let Some((_, what)) = by_source.iter().find(|(source, _)| has(volume, source)) {
        return Some(what);
    }
    let sources = volume.get("projected").and_then(|projected| projected.get("sources"));
    let sources = sources.and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_object);
    let projected = [
        ("serviceAccountToken", "serviceaccounts (via projected volumes)"),
        ("clusterTrustBundle", "clustertrustbundles"),
        ("podCertificate", "podcertificates"),
    ];
    let what = |source: &Object| projected.iter().find(|(kind, _)| has(source, kind)).map(|(_, what)| *what);
    sources.into_iter().find_map(what)
}

/// Whether a tree has a member of one of these names. What a driver is told in its own words is not looked at.
fn has_member(value: &Value, names: &[&str]) -> bool {
    match value {
        Value::Object(members) => members
            .iter()
            .filter(|(name, _)| !matches!(name.as_str(), "options" | "volumeAttributes"))
            .any(|(name, value)| {
                !value.is_null() && names.contains(&name.as_str()) || has_member(value, names)
            }),
        Value::Array(items) => items.iter().any(|item| has_member(item, names)),
        _ => false,
    }
}

fn admit_node(write: NodeWrite<'_>) -> Result<(), ApiError> {
    let node = go_quote(write.node);
    let refuse = |why: String| Err(write.forbidden(&why));
    if write.name != write.node {
        return refuse(format!("node {node} is not allowed to modify node {}", go_quote(write.name)));
    }
    match write.operation {
        Operation::Delete { .. } => Ok(()),
        Operation::Create { new } => {
            if at(new, &["spec", "configSource"]).is_some_and(|source| !source.is_null()) {
                return refuse(format!(
                    "node {node} is not allowed to create pods with a non-nil configSource"
                ));
            }
            let labels = forbidden_labels(new, &Object::new());
            if labels.is_empty() {
                return Ok(());
            }
            refuse(format!("node {node} is not allowed to set the following labels: {labels}"))
        }
        Operation::Update { new, old, .. } => {
            let differs = |path: &[&str]| is_other(at(new, path), at(old, path));
            let source = at(new, &["spec", "configSource"]).is_some_and(|source| !source.is_null());
            if source && differs(&["spec", "configSource"]) {
                return refuse(format!(
                    "node {node} is not allowed to update configSource to a new non-nil configSource"
                ));
            }
            // They decide what runs on the node: one that could change them could draw pods to itself.
            if differs(&["spec", "taints"]) {
                return refuse(format!("node {node} is not allowed to modify taints"));
            }
            let labels = forbidden_labels(new, old);
            if !labels.is_empty() {
                return refuse(format!("is not allowed to modify labels: {labels}"));
            }
            if differs(&["metadata", "ownerReferences"]) {
                return refuse(format!("node {node} is not allowed to modify ownerReferences"));
            }
            Ok(())
        }
    }
}

/// Whether two values differ; absent, null and empty are the same.
fn is_other(new: Option<&Value>, old: Option<&Value>) -> bool {
    let meant = |value: Option<&Value>| {
        value
            .filter(|value| match value {
                Value::Null => false,
                Value::Array(items) => !items.is_empty(),
                Value::Object(members) => !members.is_empty(),
                _ => true,
            })
            .cloned()
    };
    meant(new) != meant(old)
}

/// The labels that differ between two nodes and that a node must not change, sorted and joined by commas.
fn forbidden_labels(new: &Object, old: &Object) -> String {
    let labels = |node: &Object| {
        let labels = at(node, &["metadata", "labels"]).and_then(Value::as_object);
        labels.cloned().unwrap_or_default()
    };
    let (new, old) = (labels(new), labels(old));
    let changed: BTreeSet<&str> = new
        .keys()
        .chain(old.keys())
        .filter(|key| new.get(*key) != old.get(*key))
        .map(String::as_str)
        .filter(|key| is_forbidden_label(key))
        .collect();
    changed.into_iter().collect::<Vec<_>>().join(", ")
}

/// Labels that are kept for administrators, and those of Kubernetes' own namespaces that no kubelet sets.
fn is_forbidden_label(key: &str) -> bool {
    const KUBELETS: [&str; 11] = [
        "beta.kubernetes.io/arch",
        "beta.kubernetes.io/instance-type",
        "beta.kubernetes.io/os",
        "failure-domain.beta.kubernetes.io/region",
        "failure-domain.beta.kubernetes.io/zone",
        "kubernetes.io/arch",
        "kubernetes.io/hostname",
        "kubernetes.io/os",
        "node.kubernetes.io/instance-type",
        "topology.kubernetes.io/region",
        "topology.kubernetes.io/zone",
    ];
    let Some((namespace, _)) = key.split_once('/') else { return false };
    let is_in = |parent: &str| {
        namespace.strip_suffix(parent).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
    };
    let is_kubelets =
        KUBELETS.contains(&key) || is_in("kubelet.kubernetes.io") || is_in("node.kubernetes.io");
    is_in("node-restriction.kubernetes.io") || (is_in("kubernetes.io") || is_in("k8s.io")) && !is_kubelets
}

fn admit_claim(write: NodeWrite<'_>) -> Result<(), ApiError> {
    let Operation::Update { part: Part::Status, new, old } = write.operation else {
        return Err(write.forbidden("may only update PVC status"));
    };
    let changeable = ["allocatedResources", "allocatedResourceStatuses", "capacity", "conditions"];
    let stripped = |claim: &Object| {
        let mut claim = claim.clone();
        for member in ["resourceVersion", "managedFields"] {
            claim.metadata_mut().remove(member);
        }
        if let Some(status) = claim.get_mut("status").and_then(Value::as_object_mut) {
            status.retain(|member, _| !changeable.contains(&member.as_str()));
        }
        claim
    };
    let (new, old) = (stripped(new), stripped(old));
    let differing: BTreeSet<&String> =
        new.keys().chain(old.keys()).filter(|member| new.get(*member) != old.get(*member)).collect();
    if differing.is_empty() {
        return Ok(());
    }
    let members = differing.into_iter().map(String::as_str).collect::<Vec<_>>().join(", ");
    let why = format!(
        "node {} is not allowed to update fields other than status.capacity and status.conditions: {members}",
        go_quote(write.node)
    );
    Err(write.forbidden(&why))
}

fn admit_lease(write: NodeWrite<'_>) -> Result<(), ApiError> {
    if write.namespace != "kube-node-lease" {
        return Err(write.forbidden("can only access leases in the \"kube-node-lease\" system namespace"));
    }
    if write.name != write.node {
        let why = "can only access node lease with the same name as the requesting node";
        return Err(write.forbidden(why));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
