//! Deletes pods of nodes that are gone, since nobody is left to stop them (upstream's `pkg/controller/podgc`).
//!
//! A node that was deleted may come back: its pods get a while. And that this controller has not heard of a node need not mean
//! that there is none: the server is asked first. A node that somebody has taken out of service, and that is not ready, is as
//! good as gone to pods that are ending there.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;

use crate::api::{Document, Request, Resource, Target, Verb, WatchEvent};
use crate::mirror::Mirror;
use crate::objects::{Metadata, Node, has_metadata};
use crate::runner::{Controller, Plan, Refusal};
use crate::volume_user::VolumeUser;

/// How long a node may be missing before its pods are deleted.
const PATIENCE: Duration = Duration::from_secs(40);

pub(crate) struct StrandedPods {
    pods: Mirror<VolumeUser>,
    nodes: Mirror<KnownNode>,
    /// The nodes that pods name and that are not there: since when.
    missing: BTreeMap<String, Timestamp>,
    /// Those of them that the server says are gone: the uids of the pods that the answer is about.
    gone: BTreeMap<String, BTreeSet<String>>,
    /// The uids of pods heard of while a question about their node may have been on its way: its answer is not about
    /// them.
    late: BTreeSet<String>,
}

/// That there is a node of the name.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(from = "Node")]
struct KnownNode {
    metadata: Metadata,
    /// Whether it is out of service and not ready.
    is_given_up: bool,
}

impl From<Node> for KnownNode {
    fn from(node: Node) -> Self {
        let is_given_up = node.spec.is_out_of_service() && node.readiness() != "True";
        let mut metadata = node.metadata;
        metadata.labels.clear();
        metadata.annotations.clear();
        Self { metadata, is_given_up }
    }
}

has_metadata!(KnownNode);

impl StrandedPods {
    pub(crate) fn new() -> Self {
        Self {
            pods: Mirror::new(Resource::PODS),
            nodes: Mirror::new(Resource::NODES),
            missing: BTreeMap::new(),
            gone: BTreeMap::new(),
            late: BTreeSet::new(),
        }
    }
}

/// When the patience with a node that is missing since then ends.
fn end_of_patience(since: Timestamp) -> Timestamp {
    since.checked_add(PATIENCE).unwrap_or(Timestamp::MAX)
}

impl Controller for StrandedPods {
    const NAME: &'static str = "stranded-pods";
    const WATCHES: &'static [Resource] = &[Resource::PODS, Resource::NODES];

    fn observe_at(&mut self, resource: Resource, event: WatchEvent, now: Timestamp) -> bool {
        let mut names = Vec::new();
        // Whether a pod has left a node that is missing.
        let mut any_left = false;
        let mut any = false;
        let nodes = &self.nodes;
        if resource == Resource::NODES {
            let was_listed = self.nodes.is_listed();
            self.nodes.observe_each(event, |old, new| {
                names.extend(new.or(old).map(|node| node.metadata.name.clone()));
                any |= old.is_some_and(|node| node.is_given_up) != new.is_some_and(|node| node.is_given_up);
            });
            if !was_listed {
                names.extend(self.pods.iter().map(|pod| pod.node.clone()));
            }
        } else {
            self.pods.observe_each(event, |old, new| {
                names.extend(new.map(|pod| pod.node.clone()));
                let ends_in_vain = |pod: &VolumeUser| {
                    pod.metadata.is_deleting()
                        && nodes.get("", &pod.node).is_some_and(|node| node.is_given_up)
                };
                any |= new.is_some_and(ends_in_vain);
                let place = |pod: &VolumeUser| (pod.metadata.uid.clone(), pod.node.clone());
                let (old, new) = (old.map(place), new.map(place));
                if old == new {
                    return;
                }
                if let Some((uid, node)) = old {
                    self.late.remove(&uid);
                    if let Some(pods) = self.gone.get_mut(&node) {
                        pods.remove(&uid);
                    }
                    any_left |= self.missing.contains_key(&node);
                }
                if let Some((uid, node)) = new
                    && self.missing.get(&node).is_some_and(|&since| end_of_patience(since) <= now)
                {
                    self.late.insert(uid);
                }
            });
        }
        for name in names.into_iter().filter(|name| !name.is_empty()) {
            if self.nodes.get("", &name).is_some() {
                any |= self.missing.remove(&name).is_some();
                self.gone.remove(&name);
            } else {
                any = true;
                self.missing.entry(name).or_insert(now);
            }
        }
        if any_left || any && resource == Resource::NODES {
            // Of the missing only those matter that pods name.
            let named: BTreeSet<&str> = self.pods.iter().map(|pod| &*pod.node).collect();
            self.missing.retain(|name, _| named.contains(&**name));
            self.gone.retain(|name, _| named.contains(&**name));
        }
        any || any_left
    }

    fn is_ready(&self) -> bool {
        self.pods.is_listed() && self.nodes.is_listed()
    }

    fn plan(&self, now: Timestamp) -> Plan {
        let mut plan = Plan::default();
        let mut due = BTreeSet::new();
        for (name, since) in &self.missing {
            let end = end_of_patience(*since);
            if end <= now {
                due.insert(&**name);
            } else {
                plan.again_at(end);
            }
        }
        let given_up: BTreeSet<&str> =
            self.nodes.iter().filter(|node| node.is_given_up).map(|node| &*node.metadata.name).collect();
        if due.is_empty() && given_up.is_empty() {
            return plan;
        }
        let ends_in_vain = |pod: &&VolumeUser| pod.metadata.is_deleting() && given_up.contains(&*pod.node);
        plan.requests.extend(self.pods.iter().filter(ends_in_vain).map(forced));
        let mut asked = BTreeSet::new();
        for pod in self.pods.iter().filter(|pod| due.contains(&*pod.node)) {
            if self.gone.get(&pod.node).is_some_and(|pods| pods.contains(&pod.metadata.uid)) {
                plan.requests.push(forced(pod));
            } else if asked.insert(&*pod.node) {
                let target = Target::cluster(Resource::NODES, &pod.node);
                plan.requests.push(Request { verb: Verb::Get, target, body: Value::Null });
            }
        }
        plan
    }

    fn accepted(&mut self, request: &Request, _answer: &Document) {
        if request.verb == Verb::Get {
            self.gone.remove(&request.target.name);
        }
    }

    fn refused(&mut self, request: &Request, refusal: Refusal) {
        let name = &request.target.name;
        // An answer that comes when no pod names the node any more is about none.
        if (request.verb, refusal) == (Verb::Get, Refusal::NotFound) && self.missing.contains_key(name) {
            let there = self.pods.iter().filter(|pod| pod.node == *name).map(|pod| &pod.metadata.uid);
            // For those that came late the next question is asked after they were heard of.
            let about = there.filter(|uid| !self.late.remove(*uid)).cloned().collect();
            self.gone.insert(name.clone(), about);
        }
    }
}

/// A deletion that waits for no node.
fn forced(pod: &VolumeUser) -> Request {
    let mut request = Request::delete(Target::of(Resource::PODS, &pod.metadata), &pod.metadata.uid);
    request.body["gracePeriodSeconds"] = 0.into();
    request
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
    fn pods_that_end_on_a_node_out_of_service_go_at_once() {
        let node = |ready: &str, taint: &str| {
            json!({
                "metadata": {"name": "here"}, "spec": {"taints": [{"key": taint, "effect": "NoExecute"}]},
                "status": {"conditions": [{"type": "Ready", "status": ready}]},
            })
        };
        let out = "node.kubernetes.io/out-of-service";
        for (why, node, is_ending, wanted) in [
            ("given up", node("Unknown", out), true, &["Delete pods/ns/kept"][..]),
            ("not ending", node("Unknown", out), false, &[]),
            ("ready after all", node("True", out), true, &[]),
            ("only quiet", node("Unknown", "node.kubernetes.io/unreachable"), true, &[]),
        ] {
            for is_told_first in [true, false] {
                let (mut world, mut controller) = scene();
                let mut pod = pod("kept", "here");
                if is_ending {
                    pod["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
                }
                let mut heard = false;
                for is_node in [is_told_first, !is_told_first] {
                    let (resource, object) =
                        if is_node { (Resource::NODES, node.clone()) } else { (Resource::PODS, pod.clone()) };
                    let put = world.put(resource, object);
                    heard = controller.observe_at(resource, WatchEvent::applied(put), at(1));
                }
                assert_eq!(planned(&controller, 1), wanted, "{why}");
                assert!(heard || wanted.is_empty(), "{why}: the last news makes a plan");
            }
        }
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

    /// The verbs and targets of what is planned.
    fn planned(controller: &StrandedPods, seconds: i64) -> Vec<String> {
        let requests = controller.plan(at(seconds)).requests;
        requests.iter().map(|request| format!("{:?} {}", request.verb, request.target)).collect()
    }

    #[test]
    fn no_answer_is_taken_for_one_about_pods_heard_of_later() {
        const QUESTION: &str = "Get nodes/gone";
        const OLD: &str = "Delete pods/ns/stranded";
        // Whether the old pod is over before another comes, and what is planned when it comes and after each answer.
        let cases: [(bool, &[&[&str]]); 2] = [
            // Nobody names the node in between: it is missing anew.
            (true, &[&[]]),
            // The first answer may be to a question that was asked before the pod came.
            (false, &[&[QUESTION, OLD], &[QUESTION, OLD], &["Delete pods/ns/other", OLD]]),
        ];
        for ((old_is_over, wanted), is_bound_later) in
            cases.into_iter().flat_map(|case| [(case, false), (case, true)])
        {
            let (mut world, mut controller) = scene();
            let question = controller.plan(at(40)).requests.remove(0);
            world.carry_out(&mut controller, &question);
            assert_eq!(planned(&controller, 40), [OLD]);
            if old_is_over {
                world.remove(Resource::PODS, &pod("stranded", "gone"));
            }
            if is_bound_later {
                let made = world.put(Resource::PODS, pod("other", ""));
                world.tell(&mut controller, at(99));
                let mut bound = made;
                bound["spec"]["nodeName"] = json!("gone");
                world.put(Resource::PODS, bound);
            } else {
                world.put(Resource::PODS, pod("other", "gone"));
            }
            world.tell(&mut controller, at(100));
            for (answers, wanted) in wanted.iter().enumerate() {
                if answers > 0 {
                    controller.refused(&question, Refusal::NotFound);
                }
                assert_eq!(planned(&controller, 100), *wanted, "{old_is_over} {is_bound_later} {answers}");
            }
            if old_is_over {
                assert_eq!(planned(&controller, 140), [QUESTION]);
            }
            // It turns out to be there: nothing is deleted any more.
            world.put(Resource::NODES, node("gone"));
            assert!(world.carry_out(&mut controller, &question));
            assert_eq!(planned(&controller, 140), [QUESTION]);
            world.tell(&mut controller, at(141));
            assert_eq!(controller.plan(at(999)), Plan::default());
        }
    }

    #[test]
    fn a_pod_that_takes_the_name_of_one_of_a_node_that_was_gone_is_kept() {
        let (mut world, mut controller) = scene();
        let question = controller.plan(at(40)).requests.remove(0);
        world.carry_out(&mut controller, &question);
        world.remove(Resource::PODS, &pod("stranded", "gone"));
        world.tell(&mut controller, at(41));
        assert!(controller.missing.is_empty() && controller.gone.is_empty());
        // An answer that comes now is about nothing.
        controller.refused(&question, Refusal::NotFound);
        assert!(controller.gone.is_empty());
        world.put(Resource::PODS, pod("stranded", "gone"));
        world.tell(&mut controller, at(100));
        assert_eq!(planned(&controller, 139), [""; 0]);
        assert_eq!(planned(&controller, 140), ["Get nodes/gone"]);
        world.put(Resource::NODES, node("gone"));
        world.tell(&mut controller, at(140));
        assert_eq!(controller.plan(at(999)), Plan::default());
    }
}
