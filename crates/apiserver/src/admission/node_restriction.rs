//! NodeRestriction: what a node may write is narrower than what it may name in a URL.
//!
//! For `serviceaccounts/token` it is what keeps a node from minting tokens of pods that it does not run, or for
//! audiences that none of the pod's volumes asks for. Order and texts follow upstream 1.35.

use tokenward_store::Entry;

use crate::cluster_view::ClusterView;
use crate::index::{Index, VolumeUse};
use crate::object::{Metadata, Object, text_at};
use crate::status::{ApiError, Subject, go_quote};

/// What a node asks a token for, before the server fills in defaults.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TokenDemand<'a> {
    pub(crate) namespace: &'a str,
    pub(crate) service_account: &'a str,
    pub(crate) audiences: &'a [String],
    pub(crate) bound: Option<BoundTo<'a>>,
}

/// The bound object reference of a token request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BoundTo<'a> {
    pub(crate) api_version: &'a str,
    pub(crate) kind: &'a str,
    pub(crate) name: &'a str,
    pub(crate) uid: &'a str,
}

/// Whether a node may have this token.
pub(crate) fn admit_token(
    node: &str,
    demand: TokenDemand<'_>,
    cluster: &ClusterView,
) -> Result<(), ApiError> {
    let subject = Subject { group: "", kind: "serviceaccounts", name: demand.service_account };
    let refuse = |why: &str| Err(ApiError::forbidden(subject, why));
    let Some(bound) = demand
        .bound
        .filter(|bound| bound.api_version == "v1" && bound.kind == "Pod" && !bound.name.is_empty())
    else {
        return refuse("node requested token not bound to a pod");
    };
    if bound.uid.is_empty() {
        return refuse("node requested token with a pod binding without a uid");
    }
    let Some(entry) = cluster.entry("pods", Some(demand.namespace), bound.name) else {
        // From the lister, hence the singular.
        return Err(ApiError::not_found(Subject { group: "", kind: "pod", name: bound.name }));
    };
    if entry.index.uid != bound.uid {
        let uid = bound.uid;
        return refuse(&format!(
            "the UID in the bound object reference ({uid}) does not match the UID in record. The object might have been deleted and then recreated"
        ));
    }
    let on_node = entry.index.pod().is_some_and(|pod| pod.node == node);
    if !on_node {
        return refuse("node requested token bound to a pod scheduled on a different node");
    }
    match demand.audiences {
        [] => check_audience(node, "", &entry, demand.namespace, cluster),
        [one] => check_audience(node, one, &entry, demand.namespace, cluster),
        _ => Err("node may only request 0 or 1 audiences".to_owned()),
    }
    .or_else(|why| refuse(&why))
}

/// Walks the pod's volumes until one asks for the audience. Failed lookups are told only when nothing asked for it.
fn check_audience(
    node: &str,
    audience: &str,
    pod: &Entry<Index>,
    namespace: &str,
    cluster: &ClusterView,
) -> Result<(), String> {
    let mut failures: Vec<String> = Vec::new();
    let volumes = pod.index.pod().map_or(&[][..], |pod| &pod.volumes);
    for volume in volumes {
        let driver = match volume {
            VolumeUse::Token(wanted) if wanted == audience => return Ok(()),
            VolumeUse::Csi { driver, .. } => driver.clone(),
            VolumeUse::Claim(claim) => match driver_of_claim(namespace, claim, cluster) {
                Ok(driver) => driver,
                Err(failure) => {
                    failures.push(failure);
                    continue;
                }
            },
            _ => continue,
        };
        if driver.is_empty() {
            continue;
        }
        match cluster.driver_asks_for(&driver, audience) {
            Some(true) => return Ok(()),
            Some(false) => {}
            None => failures.push(format!("csidriver.storage.k8s.io {} not found", go_quote(&driver))),
        }
    }
    let quoted = go_quote(audience);
    if failures.is_empty() {
        Err(format!(
            "audience {quoted} not found in pod spec volume, system:node:{node} is not authorized to request tokens for this audience"
        ))
    } else {
        let failures = match failures.as_slice() {
            [one] => one.clone(),
            many => format!("[{}]", many.join(", ")),
        };
        Err(format!("error validating audience {quoted}: {failures}"))
    }
}

fn driver_of_claim(namespace: &str, claim: &str, cluster: &ClusterView) -> Result<String, String> {
    let volume = cluster
        .claimed_volume(namespace, claim)
        .ok_or_else(|| format!("persistentvolumeclaim {} not found", go_quote(claim)))?;
    cluster.volume_driver(&volume).ok_or_else(|| format!("persistentvolume {} not found", go_quote(&volume)))
}

/// Whether a node may create this object.
pub(crate) fn admit_create(node: &str, collection: &str, object: &Object) -> Result<(), ApiError> {
    let name = object.name();
    let refuse = |group, kind, why: &str| Err(ApiError::forbidden(Subject { group, kind, name }, why));
    match collection {
        "pods" => {
            let mirror = object
                .get("metadata")
                .and_then(|metadata| metadata.get("annotations"))
                .is_some_and(|annotations| annotations.get("kubernetes.io/config.mirror").is_some());
            if !mirror {
                let why = format!(
                    "pod does not have \"kubernetes.io/config.mirror\" annotation, node {} can only create mirror pods",
                    go_quote(node)
                );
                return refuse("", "pods", &why);
            }
            if text_at(object, &["spec", "nodeName"]) != node {
                let why =
                    format!("node {} can only create pods with spec.nodeName set to itself", go_quote(node));
                return refuse("", "pods", &why);
            }
            Ok(())
        }
        "nodes" if name != node => {
            let why = format!("node {} is not allowed to modify node {}", go_quote(node), go_quote(name));
            refuse("", "nodes", &why)
        }
        "storage.k8s.io/csinodes" if name != node => {
            let why = "can only access CSINode with the same name as the requesting node";
            refuse("storage.k8s.io", "csinodes", why)
        }
        "coordination.k8s.io/leases" if name != node => {
            let why = "can only access node lease with the same name as the requesting node";
            refuse("coordination.k8s.io", "leases", why)
        }
        _ => Ok(()),
    }
}

/// Whether a node may change or delete the stored object of this name.
pub(crate) fn admit_change(node: &str, collection: &str, stored: &Entry<Index>) -> Result<(), ApiError> {
    let name = stored.key.name();
    let (kind, allowed, verb) = match collection {
        "pods" => (
            "pods",
            stored.index.pod().is_some_and(|pod| pod.node == node),
            "pods with spec.nodeName set to itself",
        ),
        "nodes" => ("nodes", name == node, "its own node"),
        _ => return Ok(()),
    };
    if allowed {
        return Ok(());
    }
    let why = format!("node {} can only change {verb}", go_quote(node));
    Err(ApiError::forbidden(Subject { group: "", kind, name }, &why))
}
