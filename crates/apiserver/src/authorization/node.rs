//! The node authorizer: a node reaches what the pods bound to it use, and its own objects.
//!
//! Rules and reasons follow upstream's (Kubernetes 1.35, with `AuthorizeNodeWithSelectors`): pod to node, what a pod
//! names to the pod, volume to claim. The relations are looked up in the index at the moment of the request, so a pod
//! that was just bound counts at once; there is no graph to lag behind.

use std::sync::LazyLock;

use tokenward_kube_rules::rbac::{PolicyRule, bootstrap};

use super::{Access, Attributes, Decision, ResourceAttributes};
use crate::cluster_view::ClusterView;
use crate::index::{Facts, PodFacts, VolumeUse};

/// What every node may do, for resources that are not looked at closely.
static STATIC_RULES: LazyLock<Vec<PolicyRule>> = LazyLock::new(bootstrap::node_rules);

/// Whether `node` may do this.
pub(super) fn decide(node: &str, access: &Access<'_>, cluster: &ClusterView) -> Decision {
    let Attributes::Resource(request) = &access.attributes else {
        return by_static_rule(&access.attributes);
    };
    let asker = Asker { node, cluster };
    match (request.group, request.resource) {
        ("", "serviceaccounts") => asker.service_account(request),
        ("", "secrets" | "configmaps") => asker.named_by_a_pod(request),
        ("", "persistentvolumeclaims") if request.subresource == "status" => match request.verb {
            "update" | "patch" => asker.related(request),
            _ => refuse("can only get/update/patch this type"),
        },
        ("", "persistentvolumeclaims" | "persistentvolumes") | ("storage.k8s.io", "volumeattachments") => {
            asker.get(request)
        }
        ("", "pods") => asker.pods(request, access.selected_node),
        ("", "nodes") => asker.nodes(request),
        ("coordination.k8s.io", "leases") => asker.lease(request),
        ("storage.k8s.io", "csinodes") => asker.csi_node(request),
        _ => by_static_rule(&access.attributes),
    }
}

fn by_static_rule(attributes: &Attributes<'_>) -> Decision {
    allow_if(STATIC_RULES.iter().any(|rule| rule.allows(attributes)), String::new)
}

fn allow_if(allowed: bool, reason: impl FnOnce() -> String) -> Decision {
    if allowed { Decision::Allowed(String::new()) } else { Decision::Refused(reason()) }
}

fn allow() -> Decision {
    Decision::Allowed(String::new())
}

fn refuse(reason: &str) -> Decision {
    Decision::Refused(reason.to_owned())
}

/// A node, and the cluster in which it asks.
struct Asker<'a> {
    node: &'a str,
    cluster: &'a ClusterView,
}

impl Asker<'_> {
    fn service_account(&self, request: &ResourceAttributes<'_>) -> Decision {
        if request.verb == "get" && request.subresource.is_empty() {
            return self.named_by_a_pod(request);
        }
        if request.verb != "create" || request.name.is_empty() {
            return refuse("can only create tokens for individual service accounts");
        }
        if request.subresource != "token" {
            return refuse("can only create token subresource of serviceaccount");
        }
        self.related(request)
    }

    fn named_by_a_pod(&self, request: &ResourceAttributes<'_>) -> Decision {
        if !matches!(request.verb, "get" | "list" | "watch") {
            return refuse("can only read resources of this type");
        }
        if !request.subresource.is_empty() {
            return refuse("cannot read subresource");
        }
        if request.namespace.is_empty() {
            return refuse("can only read namespaced object of this type");
        }
        self.related(request)
    }

    fn get(&self, request: &ResourceAttributes<'_>) -> Decision {
        if request.verb != "get" {
            return refuse("can only get individual resources of this type");
        }
        if !request.subresource.is_empty() {
            return refuse("cannot get subresource");
        }
        self.related(request)
    }

    /// Whether a path leads from the object to the node.
    fn related(&self, request: &ResourceAttributes<'_>) -> Decision {
        let (namespace, name) = (request.namespace, request.name);
        if name.is_empty() {
            return refuse("No Object name found");
        }
        let here = |fits: &dyn Fn(&PodFacts) -> bool| {
            self.cluster.any_pod_on(self.node, Some(namespace), |_, pod| !pod.is_mirror && fits(pod))
        };
        let is_related = match request.resource {
            "serviceaccounts" => here(&|pod| pod.service_account == name),
            "configmaps" => here(&|pod| names_config_map(pod, name)),
            "secrets" => here(&|pod| names_secret(pod, name)) || self.secret_of_a_volume(namespace, name),
            "persistentvolumeclaims" => here(&|pod| claims(pod).any(|claim| claim == name)),
            "persistentvolumes" => self.cluster.any_pod_on(self.node, None, |key, pod| {
                let namespace = key.namespace().unwrap_or("");
                !pod.is_mirror
                    && claims(pod)
                        .any(|claim| self.cluster.claimed_volume(namespace, claim).as_deref() == Some(name))
            }),
            "pods" => self.cluster.any_pod_on(self.node, Some(namespace), |key, _| key.name() == name),
            _ => match self.cluster.entry("storage.k8s.io/volumeattachments", None, name).as_deref() {
                Some(entry) => entry.index.facts == Facts::VolumeAttachment { node: self.node.to_owned() },
                None => false,
            },
        };
        allow_if(is_related, || format!("no relationship found between node '{}' and this object", self.node))
    }

    /// A volume's secrets may stand in any namespace, wherever the pod is.
    fn secret_of_a_volume(&self, namespace: &str, name: &str) -> bool {
        self.cluster.any_pod_on(self.node, None, |key, pod| {
            !pod.is_mirror
                && claims(pod).any(|claim| {
                    self.volume_secrets(key.namespace().unwrap_or(""), claim)
                        .iter()
                        .any(|(at, secret)| at == namespace && secret == name)
                })
        })
    }

    fn volume_secrets(&self, namespace: &str, claim: &str) -> Vec<(String, String)> {
        let volume = self.cluster.claimed_volume(namespace, claim).filter(|volume| !volume.is_empty());
        let entry = volume.and_then(|volume| self.cluster.entry("persistentvolumes", None, &volume));
        match entry.as_deref().map(|entry| &entry.index.facts) {
            Some(Facts::PersistentVolume { secrets, .. }) => secrets.clone(),
            _ => Vec::new(),
        }
    }

    /// NodeRestriction looks closer at what is written: only mirror pods, only its own.
    fn pods(&self, request: &ResourceAttributes<'_>, selected_node: Option<&str>) -> Decision {
        match (request.verb, request.subresource) {
            ("get", "") => self.related(request),
            ("list" | "watch", "") if selected_node == Some(self.node) => allow(),
            ("list" | "watch", "") if !request.name.is_empty() => self.related(request),
            ("list" | "watch", "") => refuse("can only list/watch pods with spec.nodeName field selector"),
            ("create" | "delete", "") | ("update" | "patch", "status") | ("create", "eviction") => allow(),
            _ => refuse(""),
        }
    }

    fn nodes(&self, request: &ResourceAttributes<'_>) -> Decision {
        let node = self.node;
        match (request.verb, request.subresource) {
            // NodeRestriction compares the names.
            ("create" | "update" | "patch", "") | ("update" | "patch", "status") => allow(),
            ("get" | "list" | "watch", "") => match request.name {
                own if own == node => allow(),
                "" => refuse(&format!("node '{node}' cannot read all nodes, only its own Node object")),
                other => refuse(&format!("node '{node}' cannot read '{other}', only its own Node object")),
            },
            _ => refuse(""),
        }
    }

    /// A create names its object in the body, where NodeRestriction looks.
    fn lease(&self, request: &ResourceAttributes<'_>) -> Decision {
        if !matches!(request.verb, "get" | "create" | "update" | "patch" | "delete") {
            return refuse("can only get, create, update, patch, or delete a node lease");
        }
        if request.namespace != "kube-node-lease" {
            return refuse("can only access leases in the \"kube-node-lease\" system namespace");
        }
        allow_if(request.verb == "create" || request.name == self.node, || {
            "can only access node lease with the same name as the requesting node".to_owned()
        })
    }

    fn csi_node(&self, request: &ResourceAttributes<'_>) -> Decision {
        if !matches!(request.verb, "get" | "create" | "update" | "patch" | "delete") {
            return refuse("can only get, create, update, patch, or delete a CSINode");
        }
        if !request.subresource.is_empty() {
            return refuse("cannot authorize CSINode subresources");
        }
        allow_if(request.verb == "create" || request.name == self.node, || {
            "can only access CSINode with the same name as the requesting node".to_owned()
        })
    }
}

fn claims(pod: &PodFacts) -> impl Iterator<Item = &str> {
    pod.volumes.iter().filter_map(|volume| match volume {
        VolumeUse::Claim(claim) => Some(claim.as_str()),
        _ => None,
    })
}

fn names_secret(pod: &PodFacts, name: &str) -> bool {
    pod.other_secrets.iter().any(|secret| secret == name)
        || pod.volumes.iter().any(|volume| match volume {
            VolumeUse::Secret(secret) => secret == name,
            VolumeUse::Csi { secret, .. } => secret.as_deref() == Some(name),
            _ => false,
        })
}

fn names_config_map(pod: &PodFacts, name: &str) -> bool {
    let is_it = |volume: &VolumeUse| matches!(volume, VolumeUse::ConfigMap(map) if map == name);
    pod.other_config_maps.iter().any(|map| map == name) || pod.volumes.iter().any(is_it)
}

#[cfg(test)]
mod tests;
