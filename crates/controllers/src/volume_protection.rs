//! Lets go of claims that no pod uses and of volumes that are not bound, once they are deleted: until then a finalizer
//! keeps them, which admission put there (upstream's `pvcprotection` and `pvprotection`).
//!
//! The watches of pods and of claims do not move in step: a pod that began to use a claim just before this was deleted may
//! not have been heard of yet. So before a claim is let go, the pods of its namespace are listed, and only an answer newer
//! than the claim's deletion counts.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::json;

use crate::api::{Document, Request, Resource, Target, Verb, WatchEvent};
use crate::mirror::Mirror;
use crate::objects::{Claim, Metadata, Object, Volume};
use crate::runner::{Controller, Plan};
use crate::volume_user::VolumeUser;

const CLAIM: &str = "kubernetes.io/pvc-protection";
const VOLUME: &str = "kubernetes.io/pv-protection";

pub(crate) struct VolumeProtection {
    volumes: Mirror<Volume>,
    claims: Mirror<Claim>,
    pods: Mirror<VolumeUser>,
    /// The last list of pods of each namespace where a claim waits for one.
    listed: BTreeMap<String, Users>,
}

/// The claims in use in a namespace as of a revision.
#[derive(Default)]
struct Users {
    revision: u64,
    claims: BTreeSet<String>,
}

impl VolumeProtection {
    pub(crate) fn new() -> Self {
        Self {
            volumes: Mirror::new(Resource::PERSISTENT_VOLUMES),
            claims: Mirror::new(Resource::PERSISTENT_VOLUME_CLAIMS),
            pods: Mirror::new(Resource::PODS),
            listed: BTreeMap::new(),
        }
    }
}

impl Controller for VolumeProtection {
    const NAME: &'static str = "volume-protection";
    const WATCHES: &'static [Resource] =
        &[Resource::PERSISTENT_VOLUMES, Resource::PERSISTENT_VOLUME_CLAIMS, Resource::PODS];

    fn observe(&mut self, resource: Resource, event: WatchEvent) -> bool {
        if resource == Resource::PODS {
            let mut uses_any = !self.pods.is_listed();
            self.pods.observe_each(event, |old, new| {
                uses_any |= [old, new].into_iter().flatten().any(|pod| !pod.claims.is_empty());
            });
            uses_any
        } else if resource == Resource::PERSISTENT_VOLUMES {
            self.volumes.observe(event)
        } else {
            let any = self.claims.observe(event);
            let mut listed = std::mem::take(&mut self.listed);
            let held = self.held_claims().map(|claim| &*claim.metadata.namespace);
            self.listed = held.filter_map(|namespace| listed.remove_entry(namespace)).collect();
            any
        }
    }

    fn is_ready(&self) -> bool {
        self.volumes.is_listed() && self.claims.is_listed() && self.pods.is_listed()
    }

    fn plan(&self, _now: Timestamp) -> Plan {
        let mut requests = Vec::new();
        let mut unasked: Option<&str> = None;
        let mut in_use: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
        for claim in self.held_claims() {
            let metadata = &claim.metadata;
            let namespace = &*metadata.namespace;
            let in_use = in_use.entry(namespace).or_insert_with(|| used(self.pods.in_namespace(namespace)));
            if in_use.contains(&metadata.name) {
                continue;
            }
            let users = self.listed.get(namespace).filter(|users| metadata.revision() <= users.revision);
            match users {
                Some(users) if users.claims.contains(&metadata.name) => {}
                Some(_) => requests.push(let_go(claim, CLAIM, Resource::PERSISTENT_VOLUME_CLAIMS)),
                None if unasked != Some(namespace) => {
                    unasked = Some(namespace);
                    requests.push(Request::list(Resource::PODS, Some(namespace)));
                }
                None => {}
            }
        }
        let volumes = self.volumes.iter().filter(|volume| is_held(*volume, VOLUME));
        let free = volumes.filter(|volume| volume.status.phase != "Bound");
        requests.extend(free.map(|volume| let_go(volume, VOLUME, Resource::PERSISTENT_VOLUMES)));
        requests.into()
    }

    fn accepted(&mut self, request: &Request, answer: &Document) {
        if request.verb == Verb::List {
            if let (Some(namespace), Ok(list)) = (&request.target.namespace, answer.read::<PodList>()) {
                let users = Users { revision: list.metadata.revision(), claims: used(list.items.iter()) };
                self.listed.insert(namespace.clone(), users);
            }
        } else if request.target.resource == Resource::PERSISTENT_VOLUMES {
            self.volumes.learn(answer);
        } else {
            self.claims.learn(answer);
        }
    }
}

#[derive(Deserialize)]
struct PodList {
    metadata: Metadata,
    items: Vec<VolumeUser>,
}

impl VolumeProtection {
    /// The claims that are only there because of the finalizer.
    fn held_claims(&self) -> impl Iterator<Item = &Claim> {
        self.claims.iter().filter(|claim| is_held(*claim, CLAIM))
    }
}

fn is_held(object: &impl Object, finalizer: &str) -> bool {
    object.metadata().is_deleting() && object.metadata().has_finalizer(finalizer)
}

/// The claims that pods use. One that is not assigned yet does not count: no node starts it once the claim is going away. One
/// that has run its course does, until it is deleted: its volumes may still be mounted.
fn used<'a>(pods: impl Iterator<Item = &'a VolumeUser>) -> BTreeSet<String> {
    let assigned = pods.filter(|pod| !pod.node.is_empty());
    assigned.flat_map(|pod| pod.claims.iter().cloned()).collect()
}

fn let_go(object: &impl Object, finalizer: &str, resource: Resource) -> Request {
    let metadata = object.metadata();
    let left: Vec<&String> = metadata.finalizers.iter().filter(|found| *found != finalizer).collect();
    let body = json!({
        "metadata": {"uid": metadata.uid, "resourceVersion": metadata.resource_version, "finalizers": left},
    });
    Request::merge_patch(Target::of(resource, metadata), body)
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn held(name: &str, finalizer: &str, revision: u64) -> Value {
        json!({"metadata": {
            "name": name, "namespace": if finalizer == CLAIM { "ns" } else { "" }, "uid": format!("uid-{name}"),
            "resourceVersion": revision.to_string(), "deletionTimestamp": "2026-01-01T00:00:00Z",
            "finalizers": ["mine", finalizer],
        }})
    }

    fn pod(name: &str, node: &str, claim: &str) -> Value {
        json!({
            "metadata": {"name": name, "namespace": "ns"},
            "spec": {"nodeName": node, "volumes": [{"name": "v", "persistentVolumeClaim": {"claimName": claim}}]},
        })
    }

    fn protection(volumes: Vec<Value>, claims: Vec<Value>, pods: Vec<Value>) -> VolumeProtection {
        let mut protection = VolumeProtection::new();
        protection.observe(Resource::PERSISTENT_VOLUMES, WatchEvent::listed(volumes));
        protection.observe(Resource::PERSISTENT_VOLUME_CLAIMS, WatchEvent::listed(claims));
        protection.observe(Resource::PODS, WatchEvent::listed(pods));
        assert!(protection.is_ready());
        protection
    }

    fn plan(protection: &VolumeProtection) -> Vec<Request> {
        protection.plan(Timestamp::UNIX_EPOCH).requests
    }

    #[test]
    fn a_claim_is_let_go_once_no_pod_uses_it_by_an_answer_newer_than_its_deletion() {
        let ephemeral = json!({
            "metadata": {"name": "own", "namespace": "ns"},
            "spec": {"nodeName": "n", "volumes": [{"name": "v", "ephemeral": {}}]},
        });
        let claims = ["used", "waiting", "own-v", "free"].map(|name| held(name, CLAIM, 5)).to_vec();
        let pods = vec![pod("a", "n", "used"), pod("b", "", "waiting"), ephemeral];
        let mut protection = protection(vec![], claims, pods);
        let ask = Request::list(Resource::PODS, Some("ns"));
        assert_eq!(plan(&protection), std::slice::from_ref(&ask));
        let list = |revision: &str| json!({"metadata": {"resourceVersion": revision}, "items": [pod("c", "n", "waiting")]});
        protection.accepted(&ask, &list("4").into());
        assert_eq!(plan(&protection), std::slice::from_ref(&ask), "too old");
        protection.accepted(&ask, &list("5").into());
        let requests = plan(&protection);
        assert_eq!(requests.len(), 1);
        assert_eq!(requests[0].path(), "/api/v1/namespaces/ns/persistentvolumeclaims/free");
        assert_eq!(
            requests[0].body,
            json!({"metadata": {"uid": "uid-free", "resourceVersion": "5", "finalizers": ["mine"]}})
        );
        let mut free = held("free", CLAIM, 6);
        free["metadata"]["finalizers"] = json!(["mine"]);
        protection.accepted(&requests[0], &free.into());
        assert_eq!(plan(&protection), []);
    }

    #[test]
    fn a_volume_is_let_go_unless_it_is_bound() {
        for (phase, is_let_go) in
            [("Bound", false), ("Released", true), ("Available", true), ("Failed", true)]
        {
            let mut volume = held("pv", VOLUME, 5);
            volume["status"] = json!({"phase": phase});
            assert_eq!(!plan(&protection(vec![volume], vec![], vec![])).is_empty(), is_let_go, "{phase}");
        }
    }

    #[test]
    fn what_is_not_deleted_or_not_held_is_left_alone() {
        let mut kept = held("kept", CLAIM, 5);
        kept["metadata"].as_object_mut().unwrap().remove("deletionTimestamp");
        let mut bare = held("bare", CLAIM, 5);
        bare["metadata"]["finalizers"] = json!(["mine"]);
        assert_eq!(plan(&protection(vec![], vec![kept, bare], vec![])), []);
    }
}
