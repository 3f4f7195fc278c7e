//! Makes the claims of pods' generic ephemeral volumes, `POD-VOLUME` each (upstream's `pkg/controller/volume/ephemeral`).
//!
//! The pod owns the claim, so that the garbage collector deletes the one after the other. A claim by that name that the pod
//! does not own is never taken: whoever made it did not mean this pod. That is told in an event.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::api::{Document, Request, Resource, Target, WatchEvent};
use crate::conditions::whole_seconds;
use crate::mirror::Mirror;
use crate::names;
use crate::objects::{Metadata, has_metadata};
use crate::runner::{Controller, Plan, Refusal};
use sha2::{Digest, Sha256};

pub(crate) struct EphemeralClaims {
    pods: Mirror<Pod>,
    claims: Mirror<Claim>,
    /// The conflicts that have been told of.
    told: BTreeSet<Target>,
}

/// A pod with its ephemeral volumes.
#[derive(Clone, Debug, PartialEq, Deserialize)]
struct Pod {
    metadata: Metadata,
    #[serde(default)]
    spec: PodSpec,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
struct PodSpec {
    volumes: Vec<Volume>,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
struct Volume {
    name: String,
    ephemeral: Option<Ephemeral>,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Ephemeral {
    volume_claim_template: Template,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
struct Template {
    metadata: TemplateMetadata,
    spec: Value,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
struct TemplateMetadata {
    labels: Option<Value>,
    annotations: Option<Value>,
}

/// A claim, of which only the owner matters.
#[derive(Clone, Debug, PartialEq, Deserialize)]
struct Claim {
    metadata: Metadata,
}

impl Pod {
    fn ephemeral(&self) -> impl Iterator<Item = (&str, &Template)> {
        self.spec.volumes.iter().filter_map(|volume| {
            let ephemeral = volume.ephemeral.as_ref()?;
            Some((&*volume.name, &ephemeral.volume_claim_template))
        })
    }
}

has_metadata!(Claim, Pod);

impl EphemeralClaims {
    pub(crate) fn new() -> Self {
        Self {
            pods: Mirror::new(Resource::PODS),
            claims: Mirror::new(Resource::PERSISTENT_VOLUME_CLAIMS),
            told: BTreeSet::new(),
        }
    }
}

impl Controller for EphemeralClaims {
    const NAME: &'static str = "ephemeral-claims";
    const WATCHES: &'static [Resource] = &[Resource::PODS, Resource::PERSISTENT_VOLUME_CLAIMS];

    fn observe(&mut self, resource: Resource, event: WatchEvent) -> bool {
        if resource == Resource::PODS {
            let mut has_any = !self.pods.is_listed();
            let told = &mut self.told;
            self.pods.observe_each(event, |old, new| {
                has_any |= [old, new].into_iter().flatten().any(|pod| pod.ephemeral().next().is_some());
                if let (Some(gone), None) = (old, new) {
                    for (volume, _) in gone.ephemeral() {
                        told.remove(&event_target(gone, volume));
                    }
                }
            });
            has_any
        } else {
            self.claims.observe(event)
        }
    }

    fn is_ready(&self) -> bool {
        self.pods.is_listed() && self.claims.is_listed()
    }

    fn plan(&self, now: Timestamp) -> Plan {
        let mut requests = Vec::new();
        for pod in self.pods.iter().filter(|pod| !pod.metadata.is_deleting()) {
            for (volume, template) in pod.ephemeral() {
                let name = [&pod.metadata.name, "-", volume].concat();
                match self.claims.get(&pod.metadata.namespace, &name) {
                    None => requests.push(creation(pod, &name, template)),
                    Some(claim) => {
                        let owner = claim.metadata.controller();
                        let is_foreign = owner.is_none_or(|owner| owner.uid != pod.metadata.uid);
                        if is_foreign && !self.told.contains(&event_target(pod, volume)) {
                            requests.push(conflict(pod, volume, &name, now));
                        }
                    }
                }
            }
        }
        requests.into()
    }

    fn accepted(&mut self, request: &Request, answer: &Document) {
        if request.target.resource == Resource::EVENTS {
            self.told.insert(request.target.clone());
        } else {
            self.claims.learn(answer);
        }
    }

    fn refused(&mut self, request: &Request, refusal: Refusal) {
        // Told by an earlier run.
        if refusal == Refusal::AlreadyExists && request.target.resource == Resource::EVENTS {
            self.told.insert(request.target.clone());
        }
    }
}

fn creation(pod: &Pod, name: &str, template: &Template) -> Request {
    let Metadata { namespace, uid, .. } = &pod.metadata;
    let mut metadata = json!({
        "name": name,
        "namespace": namespace,
        "ownerReferences": [{
            "apiVersion": "v1", "kind": "Pod", "name": pod.metadata.name, "uid": uid,
            "controller": true, "blockOwnerDeletion": true,
        }],
    });
    for (member, value) in
        [("labels", &template.metadata.labels), ("annotations", &template.metadata.annotations)]
    {
        if let Some(value) = value {
            metadata[member] = value.clone();
        }
    }
    let body = json!({
        "apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": metadata, "spec": template.spec,
    });
    Request::create(Target::namespaced(Resource::PERSISTENT_VOLUME_CLAIMS, namespace, name), body)
}

/// The event that tells of a volume's conflict: always the same, so that it is told once.
fn event_target(pod: &Pod, volume: &str) -> Target {
    let digest = Sha256::digest([&*pod.metadata.uid, "/", volume].concat().as_bytes());
    let name = [&pod.metadata.name, ".", &names::safe(&digest, 16)].concat();
    Target::namespaced(Resource::EVENTS, &pod.metadata.namespace, &name)
}

fn conflict(pod: &Pod, volume: &str, claim: &str, now: Timestamp) -> Request {
    const COMPONENT: &str = "ephemeral-volume-controller";
    let Metadata { namespace, name, uid, resource_version, .. } = &pod.metadata;
    let target = event_target(pod, volume);
    let time = whole_seconds(now);
    let message = format!(
        "ephemeral volume {volume}: PVC {namespace}/{claim} was not created for pod {namespace}/{name} (pod is not owner)"
    );
    let body = json!({
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": target.name, "namespace": namespace},
        "involvedObject": {
            "apiVersion": "v1", "kind": "Pod", "namespace": namespace, "name": name, "uid": uid,
            "resourceVersion": resource_version,
        },
        "type": "Warning",
        "reason": "FailedBinding",
        "message": message,
        "source": {"component": COMPONENT},
        "reportingComponent": COMPONENT,
        "reportingInstance": "",
        "firstTimestamp": time,
        "lastTimestamp": time,
        "count": 1,
    });
    Request::create(target, body)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::world::World;

    fn pod(name: &str) -> Value {
        json!({
            "metadata": {"name": name, "namespace": "ns", "uid": format!("uid-{name}")},
            "spec": {"volumes": [
                {"name": "plain", "emptyDir": {}},
                {"name": "scratch", "ephemeral": {"volumeClaimTemplate": {
                    "metadata": {"labels": {"a": "b"}},
                    "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
                }}},
            ]},
        })
    }

    fn at() -> Timestamp {
        Timestamp::UNIX_EPOCH
    }

    fn scene(pods: Vec<Value>, claims: Vec<Value>) -> (World, EphemeralClaims) {
        let mut world = World::default();
        for pod in pods {
            world.put(Resource::PODS, pod);
        }
        for claim in claims {
            world.put(Resource::PERSISTENT_VOLUME_CLAIMS, claim);
        }
        let mut controller = EphemeralClaims::new();
        world.tell_all(&mut controller, at());
        (world, controller)
    }

    #[test]
    fn a_claim_is_made_once_of_the_template_and_owned_by_the_pod() {
        let mut going = pod("going");
        going["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
        let (mut world, mut controller) = scene(vec![pod("p"), going], vec![]);
        let plan = controller.plan(at()).requests;
        assert_eq!(plan.len(), 1);
        assert_eq!(plan[0].path(), "/api/v1/namespaces/ns/persistentvolumeclaims");
        assert_eq!(
            plan[0].body,
            json!({
                "apiVersion": "v1", "kind": "PersistentVolumeClaim",
                "metadata": {
                    "name": "p-scratch", "namespace": "ns", "labels": {"a": "b"},
                    "ownerReferences": [{
                        "apiVersion": "v1", "kind": "Pod", "name": "p", "uid": "uid-p",
                        "controller": true, "blockOwnerDeletion": true,
                    }],
                },
                "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
            })
        );
        world.settle(&mut controller, at, |_| {});
        assert_eq!(world.all(Resource::PERSISTENT_VOLUME_CLAIMS).len(), 1);
    }

    #[test]
    fn a_foreign_claim_is_told_of_once_and_not_taken() {
        let foreign = json!({"metadata": {"name": "p-scratch", "namespace": "ns"}});
        let (mut world, mut controller) = scene(vec![pod("p")], vec![foreign]);
        for _ in 0..2 {
            world.settle(&mut controller, at, |_| {});
            let events = world.all(Resource::EVENTS);
            assert_eq!(events.len(), 1);
            assert_eq!(
                events[0]["message"],
                "ephemeral volume scratch: PVC ns/p-scratch was not created for pod ns/p (pod is not owner)"
            );
            assert_eq!(events[0]["involvedObject"]["uid"], "uid-p");
            // The next run finds that it has been told.
            controller = EphemeralClaims::new();
            world.tell_all(&mut controller, at());
        }
    }
}
