//! A watch that lags behind the scheduler's own bindings.

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::super::*;
use super::node;
use crate::world::World;

/// So many pods a node takes.
const ROOM: usize = 2;
const NOW: Timestamp = Timestamp::UNIX_EPOCH;

fn pod(name: usize) -> Value {
    json!({
        "metadata": {"name": format!("p{name}"), "namespace": "ns", "labels": {}},
        "spec": {}, "status": {"phase": "Pending"},
    })
}

/// Two nodes, and pods of these numbers that wait.
fn world(pods: std::ops::Range<usize>) -> World {
    let mut world = World::default();
    for name in ["a", "b"] {
        let mut node = node(name, json!({}));
        node["status"]["allocatable"]["pods"] = json!(ROOM.to_string());
        world.put(Resource::NODES, node);
    }
    world.put(Resource::NAMESPACES, json!({"metadata": {"name": "ns"}}));
    for name in pods {
        world.put(Resource::PODS, pod(name));
    }
    world
}

fn change_labels(world: &mut World, name: usize, number: usize) {
    if let Some(mut object) = world.get(Resource::PODS, "ns", &format!("p{name}")).cloned() {
        object["metadata"]["labels"]["number"] = json!(number.to_string());
        world.put(Resource::PODS, object);
    }
}

#[test]
fn a_change_from_before_a_binding_does_not_undo_it() {
    let mut world = world(0..1);
    let mut scheduler = Scheduler::new();
    world.tell_all(&mut scheduler, NOW);
    change_labels(&mut world, 0, 1);
    let plan = scheduler.plan(NOW).requests;
    assert_eq!(plan.len(), 1);
    assert!(world.carry_out(&mut scheduler, &plan[0]));
    // The labels, and then the binding.
    for _ in 0..2 {
        world.tell_some(&mut scheduler, 1, NOW);
        assert_eq!(scheduler.plan(NOW).requests, []);
    }
}

#[derive(Clone, Copy, Debug)]
enum Step {
    /// Somebody else changes a pod.
    Change(usize),
    /// Somebody deletes a pod and makes one of the same name, or only makes it.
    MakeAnew(usize),
    /// The scheduler plans, and so many of the requests are carried out.
    Plan(usize),
    /// So many events are heard.
    Hear(usize),
    /// The watch begins anew, and is heard later.
    ListAnew,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..6_usize).prop_map(Step::Change),
        1 => (0..6_usize).prop_map(Step::MakeAnew),
        3 => (1..4_usize).prop_map(Step::Plan),
        3 => (1..4_usize).prop_map(Step::Hear),
        1 => Just(Step::ListAnew),
    ]
}

proptest! {
    /// However late the watch is, a pod is bound once, and no node gets more than it takes.
    #[test]
    fn no_pod_is_bound_twice_and_no_node_overfull(steps in proptest::collection::vec(step(), 1..60)) {
        let mut world = world(0..6);
        let mut scheduler = Scheduler::new();
        world.tell_all(&mut scheduler, NOW);
        let mut bound = BTreeMap::<String, usize>::new();
        for (number, step) in steps.into_iter().enumerate() {
            match step {
                Step::Change(name) => change_labels(&mut world, name, number),
                Step::MakeAnew(name) => {
                    world.remove(Resource::PODS, &pod(name));
                    world.put(Resource::PODS, pod(name));
                }
                Step::Hear(count) => world.tell_some(&mut scheduler, count, NOW),
                Step::ListAnew => world.list_anew(&scheduler),
                Step::Plan(count) => {
                    for request in scheduler.plan(NOW).requests.into_iter().take(count) {
                        let uid = request.body["metadata"]["uid"].as_str().unwrap_or_default().to_owned();
                        let is_binding = request.target.subresource == Some(BINDING);
                        if world.carry_out(&mut scheduler, &request) && is_binding {
                            *bound.entry(uid).or_default() += 1;
                        }
                    }
                }
            }
            prop_assert!(bound.values().all(|times| *times == 1), "{bound:?}");
            for node in ["a", "b"] {
                let pods = world.all(Resource::PODS);
                let there = pods.iter().filter(|pod| pod["spec"]["nodeName"] == node).count();
                prop_assert!(there <= ROOM, "{there} pods on {node}");
            }
        }
    }
}
