//! The node authorizer: a node reaches what the pods bound to it use, and its own objects.
//!
//! Rules and reasons follow upstream's (`facts` of Kubernetes 1.35: pod to node, what a pod names to the pod, volume
//! to claim). The relations are looked up in the index at the moment of the request, so a pod that was just bound
//! counts at once; there is no graph to lag behind.

use super::{Decision, ResourceAttributes};
use crate::cluster_view::ClusterView;
use crate::index::{Facts, PodFacts, VolumeUse};
use tokenward_kube_schema::Verb;

/// Whether `node` may do this.
pub(super) fn decide(node: &str, request: &ResourceAttributes<'_>, cluster: &ClusterView) -> Decision {
    match (request.group, request.resource) {
        ("", "serviceaccounts") => service_account(node, request, cluster),
        ("", "secrets" | "configmaps") => named_by_a_pod(node, request, cluster),
        ("", "persistentvolumeclaims" | "persistentvolumes") | ("storage.k8s.io", "volumeattachments") => {
            volume(node, request, cluster)
        }
        ("", "pods") => pods(node, request, cluster),
        ("", "nodes") => nodes(node, request),
        ("coordination.k8s.io", "leases") => lease(node, request),
        ("storage.k8s.io", "csinodes") => csi_node(node, request),
        _ => by_static_rule(request),
    }
}

fn allow_if(allowed: bool, reason: impl FnOnce() -> String) -> Decision {
    if allowed { Decision::Allowed } else { Decision::Denied(Some(reason())) }
}

fn deny(reason: &str) -> Decision {
    Decision::Denied(Some(reason.to_owned()))
}

fn no_relation(node: &str) -> String {
    format!("no relationship found between node '{node}' and this object")
}

fn service_account(node: &str, request: &ResourceAttributes<'_>, cluster: &ClusterView) -> Decision {
    let uses = || {
        allow_if(
            cluster.any_pod_on(node, Some(request.namespace), |_, pod| pod.service_account == request.name),
            || no_relation(node),
        )
    };
    match (request.verb, request.subresource) {
        (Verb::Get, "") if !request.name.is_empty() => uses(),
        (Verb::Create, "token") if request.name.is_empty() => {
            deny("can only create tokens for individual service accounts")
        }
        (Verb::Create, "token") => uses(),
        (Verb::Create, _) => deny("can only create token subresource of serviceaccount"),
        _ => Decision::Denied(None),
    }
}

fn named_by_a_pod(node: &str, request: &ResourceAttributes<'_>, cluster: &ClusterView) -> Decision {
    if !matches!(request.verb, Verb::Get | Verb::List | Verb::Watch) || !request.subresource.is_empty() {
        return deny("can only read namespaced object of this type");
    }
    if request.name.is_empty() {
        return deny("No Object name found");
    }
    let is_secret = request.resource == "secrets";
    let (namespace, name) = (request.namespace, request.name);
    let named = cluster.any_pod_on(node, Some(namespace), |_, pod| {
        if is_secret {
            pod.other_secrets.iter().any(|secret| secret == name)
                || pod.volumes.iter().any(|volume| match volume {
                    VolumeUse::Secret(secret) => secret == name,
                    VolumeUse::Csi { secret, .. } => secret.as_deref() == Some(name),
                    _ => false,
                })
        } else {
            pod.other_config_maps.iter().any(|map| map == name)
                || pod.volumes.iter().any(|volume| *volume == VolumeUse::ConfigMap(name.to_owned()))
        }
    });
    // A volume's secrets may stand in any namespace, wherever the pod is.
    let of_a_volume = || {
        is_secret
            && cluster.any_pod_on(node, None, |key, pod| {
                claims(pod).any(|claim| {
                    volume_secrets(cluster, key.namespace().unwrap_or(""), claim)
                        .iter()
                        .any(|(at, secret)| at == namespace && secret == name)
                })
            })
    };
    allow_if(named || of_a_volume(), || no_relation(node))
}

fn claims(pod: &PodFacts) -> impl Iterator<Item = &str> {
    pod.volumes.iter().filter_map(|volume| match volume {
        VolumeUse::Claim(claim) => Some(claim.as_str()),
        _ => None,
    })
}

fn volume_secrets(cluster: &ClusterView, namespace: &str, claim: &str) -> Vec<(String, String)> {
    let volume = cluster.claimed_volume(namespace, claim).filter(|volume| !volume.is_empty());
    let entry = volume.and_then(|volume| cluster.entry("persistentvolumes", None, &volume));
    match entry.as_deref().map(|entry| &entry.index.facts) {
        Some(Facts::PersistentVolume { secrets, .. }) => secrets.clone(),
        _ => Vec::new(),
    }
}

fn volume(node: &str, request: &ResourceAttributes<'_>, cluster: &ClusterView) -> Decision {
    let (namespace, name) = (request.namespace, request.name);
    let is_claim = request.resource == "persistentvolumeclaims";
    let writes_status =
        is_claim && request.subresource == "status" && matches!(request.verb, Verb::Update | Verb::Patch);
    if !writes_status {
        if request.verb != Verb::Get || name.is_empty() {
            return deny("can only get individual resources of this type");
        }
        if !request.subresource.is_empty() {
            return deny("cannot get subresource");
        }
    }
    let related = match request.resource {
        "persistentvolumeclaims" => {
            cluster.any_pod_on(node, Some(namespace), |_, pod| claims(pod).any(|claim| claim == name))
        }
        "persistentvolumes" => cluster.any_pod_on(node, None, |key, pod| {
            let namespace = key.namespace().unwrap_or("");
            claims(pod).any(|claim| cluster.claimed_volume(namespace, claim).as_deref() == Some(name))
        }),
        _ => match cluster.entry("storage.k8s.io/volumeattachments", None, name).as_deref() {
            Some(entry) => entry.index.facts == Facts::VolumeAttachment { node: node.to_owned() },
            None => false,
        },
    };
    allow_if(related, || no_relation(node))
}

fn pods(node: &str, request: &ResourceAttributes<'_>, cluster: &ClusterView) -> Decision {
    match (request.verb, request.subresource) {
        (Verb::List | Verb::Watch, "") => allow_if(request.selected_node == Some(node), || {
            "can only list/watch pods with spec.nodeName field selector".to_owned()
        }),
        (Verb::Get, "") => {
            let own = cluster.any_pod_on(node, Some(request.namespace), |key, _| key.name() == request.name);
            allow_if(own, || no_relation(node))
        }
        // NodeRestriction looks closer: only mirror pods, only its own.
        (Verb::Create | Verb::Delete, "")
        | (Verb::Update | Verb::Patch, "status")
        | (Verb::Create, "eviction") => Decision::Allowed,
        _ => Decision::Denied(None),
    }
}

fn nodes(node: &str, request: &ResourceAttributes<'_>) -> Decision {
    match (request.verb, request.subresource) {
        (Verb::Get | Verb::List | Verb::Watch, "" | "status") if request.name == node => Decision::Allowed,
        (Verb::Get, _) => {
            deny(&format!("node '{node}' cannot read '{}', only its own Node object", request.name))
        }
        (Verb::List | Verb::Watch, _) => {
            deny(&format!("node '{node}' cannot read all nodes, only its own Node object"))
        }
        // NodeRestriction compares the names.
        (Verb::Create, "") | (Verb::Update | Verb::Patch, "" | "status") => Decision::Allowed,
        _ => Decision::Denied(None),
    }
}

fn lease(node: &str, request: &ResourceAttributes<'_>) -> Decision {
    use Verb::{Create, Delete, Get, Patch, Update};
    if !matches!(request.verb, Get | Create | Update | Patch | Delete) || !request.subresource.is_empty() {
        return deny("can only get, create, update, patch, or delete a node lease");
    }
    if request.namespace != "kube-node-lease" {
        return deny("can only access leases in the \"kube-node-lease\" system namespace");
    }
    // A create names its object in the body, where NodeRestriction looks.
    allow_if(request.verb == Create || request.name == node, || {
        "can only access node lease with the same name as the requesting node".to_owned()
    })
}

fn csi_node(node: &str, request: &ResourceAttributes<'_>) -> Decision {
    use Verb::{Create, Delete, Get, Patch, Update};
    if !matches!(request.verb, Get | Create | Update | Patch | Delete) || !request.subresource.is_empty() {
        return deny("can only get, create, update, patch, or delete a CSINode");
    }
    allow_if(request.verb == Create || request.name == node, || {
        "can only access CSINode with the same name as the requesting node".to_owned()
    })
}

fn by_static_rule(request: &ResourceAttributes<'_>) -> Decision {
    let allowed = match (request.group, request.resource, request.subresource) {
        ("storage.k8s.io", "csidrivers" | "storageclasses", "") | ("", "services" | "namespaces", "") => {
            matches!(request.verb, Verb::Get | Verb::List | Verb::Watch)
        }
        ("", "events", "") | ("events.k8s.io", "events", "") => {
            matches!(request.verb, Verb::Create | Verb::Update | Verb::Patch)
        }
        ("authentication.k8s.io", "tokenreviews", "")
        | ("authorization.k8s.io", "subjectaccessreviews" | "localsubjectaccessreviews", "") => {
            request.verb == Verb::Create
        }
        _ => false,
    };
    if allowed { Decision::Allowed } else { Decision::Denied(None) }
}
