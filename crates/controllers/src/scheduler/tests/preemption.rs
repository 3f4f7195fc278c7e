//! Making room for what is more important.

use serde_json::{Value, json};

use super::super::*;
use super::{needs, node, pod, scheduler, whole_outcome};
use crate::world::World;

fn at() -> Timestamp {
    Timestamp::UNIX_EPOCH
}

fn sized(name: &str, cpu: &str) -> Value {
    let mut node = node(name, json!({}));
    node["status"]["allocatable"] = json!({"cpu": cpu, "pods": "10"});
    node
}

fn asking(name: &str, cpu: &str, priority: i32) -> Value {
    let mut pod = pod(name, needs(&json!({"cpu": cpu})));
    pod["spec"]["priority"] = json!(priority);
    pod
}

fn on(node: &str, name: &str, cpu: &str, priority: i32) -> Value {
    let mut pod = asking(name, cpu, priority);
    pod["spec"]["nodeName"] = json!(node);
    pod
}

/// The pods that a plan ends.
fn victims(scheduler: &Scheduler) -> Vec<String> {
    let plan = scheduler.plan(at()).requests.into_iter();
    plan.filter(|request| request.verb == Verb::Delete).map(|request| request.target.name).collect()
}

#[test]
fn what_is_told_when_no_room_can_be_made() {
    let never = {
        let mut pod = asking("p", "2", 5);
        pod["spec"]["preemptionPolicy"] = json!("Never");
        pod
    };
    for (why, there, asked, wanted) in [
        (
            "none is less important",
            on("n", "there", "1", 5),
            asking("p", "2", 5),
            "0/1 nodes are available: 1 Insufficient cpu. no new claims to deallocate, preemption: 0/1 nodes are available: \
             1 No preemption victims found for incoming pod.",
        ),
        (
            "it would not be enough",
            on("n", "there", "1", 9),
            asking("p", "2", 5),
            "0/1 nodes are available: 1 Insufficient cpu. no new claims to deallocate, preemption: 0/1 nodes are available: \
             1 No preemption victims found for incoming pod.",
        ),
        (
            "the node is too small",
            on("n", "there", "1", 1),
            asking("p", "3", 5),
            "0/1 nodes are available: 1 Insufficient cpu. no new claims to deallocate, preemption: 0/1 nodes are available: \
             1 Preemption is not helpful for scheduling.",
        ),
        (
            "it does not want to",
            on("n", "there", "1", 1),
            never,
            "0/1 nodes are available: 1 Insufficient cpu. no new claims to deallocate, preemption: not eligible due to preemptionPolicy=Never.",
        ),
    ] {
        let scheduler = scheduler(vec![sized("n", "2")], vec![there, asked], vec![]);
        assert_eq!((victims(&scheduler).len(), &*whole_outcome(&scheduler)[0].1), (0, wanted), "{why}");
    }
    // Others on the node are more important, and without the rest it is still too little.
    let pods = vec![on("n", "high", "1", 9), on("n", "low", "1", 1), asking("p", "2", 5)];
    assert_eq!(
        whole_outcome(&scheduler(vec![sized("n", "2")], pods, vec![]))[0].1,
        "0/1 nodes are available: 1 Insufficient cpu. no new claims to deallocate, preemption: 0/1 nodes are available: 1 Insufficient cpu."
    );
}

#[test]
fn the_least_important_go_and_no_more_than_must() {
    let started = |mut pod: Value, time: &str| {
        pod["status"]["startTime"] = json!(time);
        pod
    };
    for (why, there, wanted) in [
        (
            "the lowest of a node",
            vec![on("a", "a1", "1", 1), on("a", "a2", "1", 2), on("b", "b1", "2", 9)],
            &["a1"][..],
        ),
        ("the lowest of all nodes", vec![on("a", "a1", "2", 2), on("b", "b1", "2", 1)], &["b1"]),
        (
            "the fewest",
            vec![
                on("a", "a1", "500m", 1),
                on("a", "a2", "1500m", 9),
                on("a", "a3", "500m", 1),
                on("b", "b1", "2", 1),
            ],
            &["b1"],
        ),
        (
            "the youngest of a node",
            vec![
                started(on("a", "a1", "1", 1), "2026-01-01T00:00:00Z"),
                started(on("a", "a2", "1", 1), "2026-01-02T00:00:00Z"),
                on("b", "b1", "2", 9),
            ],
            &["a2"],
        ),
        (
            "the youngest of all nodes",
            vec![
                started(on("a", "a1", "2", 1), "2026-01-01T00:00:00Z"),
                started(on("b", "b1", "2", 1), "2026-01-02T00:00:00Z"),
            ],
            &["b1"],
        ),
    ] {
        let pods = [there, vec![asking("p", "1", 5)]].concat();
        let scheduler = scheduler(vec![sized("a", "2"), sized("b", "2")], pods, vec![]);
        assert_eq!(victims(&scheduler), wanted, "{why}");
    }
}

#[test]
fn room_is_made_kept_and_taken() {
    let mut world = World::default();
    world.put(Resource::NODES, sized("n", "2"));
    let low = world.put(Resource::PODS, on("n", "low", "2", 1));
    world.put(Resource::PODS, asking("urgent", "2", 5));
    let mut scheduler = Scheduler::new();
    world.tell_all(&mut scheduler, at());
    let plan = scheduler.plan(at()).requests;
    let targets: Vec<String> = plan.iter().map(|request| request.target.to_string()).collect();
    assert_eq!(targets, ["pods/ns/urgent/status", "pods/ns/low/status", "pods/ns/low"]);
    assert_eq!(plan[0].body["status"]["nominatedNodeName"], "n");
    assert_eq!(
        plan[0].body["status"]["conditions"][0]["message"],
        "0/1 nodes are available: 1 Insufficient cpu."
    );
    assert_eq!(plan[1].body["status"]["conditions"][0]["reason"], "PreemptionByScheduler");
    assert_eq!(plan[2].body["preconditions"]["uid"], low["metadata"]["uid"]);
    for request in &plan {
        if request.verb == Verb::Delete {
            let news = scheduler.told(request, &json!({}).into()).remove(0);
            assert_eq!((news.reason, &*news.message), ("Preempted", "Preempted by pod uid-urgent on node n"));
        }
        assert!(world.carry_out(&mut scheduler, request));
    }
    // While the other ends, nothing more happens, and nobody of the same rank takes the room.
    world.put(Resource::PODS, asking("another", "2", 5));
    world.settle(&mut scheduler, at, |_| {});
    let message = |world: &World, pod: &str| {
        let pod = world.get(Resource::PODS, "ns", pod).unwrap();
        pod["status"]["conditions"][0]["message"].as_str().unwrap().to_owned()
    };
    assert_eq!(
        message(&world, "urgent"),
        "0/1 nodes are available: 1 Insufficient cpu. no new claims to deallocate, preemption: not eligible due to a terminating pod on the \
         nominated node."
    );
    world.remove(Resource::PODS, &low);
    world.settle(&mut scheduler, at, |_| {});
    let node_of = |pod: &str| world.get(Resource::PODS, "ns", pod).unwrap()["spec"]["nodeName"].clone();
    assert_eq!((node_of("urgent"), node_of("another")), (json!("n"), Value::Null));
}

#[test]
fn a_nomination_that_is_of_no_use_is_withdrawn() {
    let mut pod = asking("p", "3", 5);
    pod["status"]["nominatedNodeName"] = json!("n");
    let scheduler = scheduler(vec![sized("n", "2")], vec![pod], vec![]);
    let plan = scheduler.plan(at()).requests;
    assert_eq!(plan[0].body["status"]["nominatedNodeName"], Value::Null);
    assert!(plan[0].body["status"].as_object().unwrap().contains_key("nominatedNodeName"));
}

#[test]
fn one_pod_is_ended_once_for_two_that_find_room_after_it() {
    let pods = vec![on("n", "low", "2", 1), asking("p", "1", 5), asking("q", "1", 5)];
    let scheduler = scheduler(vec![sized("n", "2")], pods, vec![]);
    assert_eq!(victims(&scheduler), ["low"]);
    let nominated = |request: &Request| request.body.pointer("/status/nominatedNodeName").cloned();
    let nominations: Vec<Value> = scheduler.plan(at()).requests.iter().filter_map(nominated).collect();
    assert_eq!(nominations, [json!("n"), json!("n")]);
}

#[test]
fn ports_and_aversions_end_with_their_pods() {
    let mut with_port = on("n", "low", "1", 1);
    with_port["spec"]["containers"][0]["ports"] = json!([{"hostPort": 80}]);
    let mut wants_port = asking("p", "1", 5);
    wants_port["spec"]["containers"][0]["ports"] = json!([{"hostPort": 80}]);
    let mut averse = on("n", "averse", "1", 1);
    averse["spec"]["affinity"] = json!({"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [
        {"labelSelector": {}, "topologyKey": "kubernetes.io/hostname"},
    ]}});
    for (there, asked, wanted) in [(with_port, wants_port, "low"), (averse, asking("p", "1", 5), "averse")] {
        assert_eq!(victims(&scheduler(vec![sized("n", "9")], vec![there, asked], vec![])), [wanted]);
    }
}
