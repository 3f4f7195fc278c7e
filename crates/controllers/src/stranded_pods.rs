//! Deletes pods of nodes that are gone, since nobody is left to stop them (upstream's `pkg/controller/podgc`).
//!
//! A node that was deleted may come back: its pods get a while. And that this controller has not heard of a node need not mean
//! that there is none: the server is asked first.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;

use crate::api::{Document, Request, Resource, Target, Verb, WatchEvent};
use crate::mirror::Mirror;
use crate::objects::{Metadata, Object};
use crate::runner::{Controller, Plan, Refusal};
use crate::volume_user::VolumeUser;

/// How long a node may be missing before its pods are deleted.
const PATIENCE: Duration = Duration::from_secs(40);

pub(crate) struct StrandedPods {
    pods: Mirror<VolumeUser>,
    nodes: Mirror<NodeName>,
    /// The nodes that pods name and that are not there: since when.
    missing: BTreeMap<String, Timestamp>,
    /// Those of them that the server says are gone.
    gone: BTreeSet<String>,
}

/// That there is a node of the name.
#[derive(Clone, Debug, PartialEq, Deserialize)]
struct NodeName {
    metadata: Metadata,
}

impl Object for NodeName {
    fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    fn metadata_mut(&mut self) -> &mut Metadata {
        &mut self.metadata
    }
}

impl StrandedPods {
    pub(crate) fn new() -> Self {
        Self {
            pods: Mirror::new(Resource::PODS),
            nodes: Mirror::new(Resource::NODES),
            missing: BTreeMap::new(),
            gone: BTreeSet::new(),
        }
    }
}

impl Controller for StrandedPods {
    const NAME: &'static str = "stranded-pods";
    const WATCHES: &'static [Resource] = &[Resource::PODS, Resource::NODES];

    fn observe_at(&mut self, resource: Resource, event: WatchEvent, now: Timestamp) -> bool {
        let mut names = Vec::new();
        if resource == Resource::NODES {
            let was_listed = self.nodes.is_listed();
            self.nodes.observe_each(event, |old, new| {
                names.extend(new.or(old).map(|node| node.metadata.name.clone()));
            });
            if !was_listed {
                names.extend(self.pods.iter().map(|pod| pod.node.clone()));
            }
        } else {
            self.pods.observe_each(event, |_, new| names.extend(new.map(|pod| pod.node.clone())));
        }
        let mut any = false;
        for name in names.into_iter().filter(|name| !name.is_empty()) {
            if self.nodes.get("", &name).is_some() {
                any |= self.missing.remove(&name).is_some();
                self.gone.remove(&name);
            } else {
                any = true;
                self.missing.entry(name).or_insert(now);
            }
        }
        if any && resource == Resource::NODES {
            // Of the missing only those matter that pods name.
            let named: BTreeSet<&str> = self.pods.iter().map(|pod| &*pod.node).collect();
            self.missing.retain(|name, _| named.contains(&**name));
        }
        any
    }

    fn is_ready(&self) -> bool {
        self.pods.is_listed() && self.nodes.is_listed()
    }

    fn plan(&self, now: Timestamp) -> Plan {
        let mut plan = Plan::default();
        let mut due = BTreeSet::new();
        for (name, since) in &self.missing {
            let end = since.checked_add(PATIENCE).unwrap_or(Timestamp::MAX);
            if end <= now {
                due.insert(&**name);
            } else {
                plan.again_at(end);
            }
        }
        if due.is_empty() {
            return plan;
        }
        let mut asked = BTreeSet::new();
        for pod in self.pods.iter().filter(|pod| due.contains(&*pod.node)) {
            if self.gone.contains(&pod.node) {
                let mut request =
                    Request::delete(Target::of(Resource::PODS, &pod.metadata), &pod.metadata.uid);
                request.body["gracePeriodSeconds"] = 0.into();
                plan.requests.push(request);
            } else if asked.insert(&*pod.node) {
                let target = Target::cluster(Resource::NODES, &pod.node);
                plan.requests.push(Request { verb: Verb::Get, target, body: Value::Null });
            }
        }
        plan
    }

    fn accepted(&mut self, _request: &Request, _answer: &Document) {}

    fn refused(&mut self, request: &Request, refusal: Refusal) {
        if (request.verb, refusal) == (Verb::Get, Refusal::NotFound) {
            self.gone.insert(request.target.name.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::world::World;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + seconds).unwrap()
    }

    fn pod(name: &str, node: &str) -> Value {
        json!({"metadata": {"name": name, "namespace": "ns"}, "spec": {"nodeName": node}})
    }

    fn node(name: &str) -> Value {
        json!({"metadata": {"name": name}})
    }

    fn scene() -> (World, StrandedPods) {
        let mut world = World::default();
        world.put(Resource::NODES, node("here"));
        for (name, node) in [("kept", "here"), ("stranded", "gone"), ("waiting", "")] {
            world.put(Resource::PODS, pod(name, node));
        }
        let mut controller = StrandedPods::new();
        world.tell_all(&mut controller, at(0));
        (world, controller)
    }

    #[test]
    fn pods_of_a_node_that_is_gone_go_after_a_while_and_at_once() {
        let (mut world, mut controller) = scene();
        let plan = controller.plan(at(39));
        assert_eq!((plan.requests, plan.again), (vec![], Some(at(40))));
        let question = controller.plan(at(40)).requests;
        assert_eq!(
            (question.len(), question[0].verb, &*question[0].path()),
            (1, Verb::Get, "/api/v1/nodes/gone")
        );
        world.carry_out(&mut controller, &question[0]);
        let deletion = controller.plan(at(40)).requests;
        assert_eq!((deletion.len(), &*deletion[0].target.to_string()), (1, "pods/ns/stranded"));
        assert_eq!(deletion[0].body["gracePeriodSeconds"], 0);
    }

    #[test]
    fn a_node_that_comes_back_or_was_only_not_heard_of_keeps_its_pods() {
        let (mut world, mut controller) = scene();
        world.put(Resource::NODES, node("gone"));
        let question = controller.plan(at(40)).requests;
        assert!(world.carry_out(&mut controller, &question[0]), "it is there");
        assert_eq!(controller.plan(at(40)).requests[0].verb, Verb::Get, "not heard of yet");
        world.tell(&mut controller, at(41));
        assert_eq!(controller.plan(at(99)), Plan::default());
        // It goes again: the time starts anew.
        world.remove(Resource::NODES, &node("gone"));
        world.tell(&mut controller, at(100));
        assert_eq!(controller.plan(at(139)).requests, []);
        assert_eq!(controller.plan(at(140)).requests.len(), 1);
    }
}
