use serde_json::Map;

use super::*;
use crate::api::Verb;
use crate::world::World;

const NS: &str = "shop";

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_767_225_600 + seconds).unwrap()
}

fn pod(name: &str, ready: &str) -> Value {
    json!({
        "metadata": {"name": name, "namespace": NS, "labels": {"app": "web"}},
        "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": ready}]},
    })
}

fn owned(name: &str, api_version: &str, kind: &str) -> Value {
    let mut pod = pod(name, "True");
    pod["metadata"]["ownerReferences"] =
        json!([{"apiVersion": api_version, "kind": kind, "name": "o", "uid": "u", "controller": true}]);
    pod
}

fn budget(spec: &Value) -> Value {
    let mut budget = json!({"metadata": {"name": "b", "namespace": NS, "generation": 1}, "spec": spec});
    if budget["spec"].get("selector").is_none() {
        budget["spec"]["selector"] = json!({"matchLabels": {"app": "web"}});
    }
    budget
}

/// A controller that has seen these objects.
fn seen(world: &mut World, objects: Vec<(Resource, Value)>) -> DisruptionBudgets {
    for (resource, object) in objects {
        world.put(resource, object);
    }
    let mut controller = DisruptionBudgets::new();
    world.tell_all(&mut controller, at(0));
    controller
}

fn status(world: &World) -> Value {
    world.get(Resource::POD_DISRUPTION_BUDGETS, NS, "b").unwrap()["status"].clone()
}

fn counted(spec: &Value, pods: Vec<Value>) -> Value {
    let mut world = World::default();
    let mut objects = vec![(Resource::POD_DISRUPTION_BUDGETS, budget(spec))];
    objects.extend(pods.into_iter().map(|pod| (Resource::PODS, pod)));
    let mut controller = seen(&mut world, objects);
    world.settle(&mut controller, || at(0), |_| {});
    status(&world)
}

#[test]
fn pods_are_counted() {
    let bare = || vec![pod("a", "True"), pod("b", "True"), pod("c", "False")];
    let mut other = pod("d", "True");
    other["metadata"]["labels"] = json!({"app": "other"});
    let with_other = || [bare(), vec![other.clone()]].concat();
    // Spec, pods; allowed, healthy, desired, expected.
    let table = [
        (json!({"minAvailable": 1}), bare(), [1, 2, 1, 3]),
        (json!({"minAvailable": 0}), with_other(), [2, 2, 0, 3]),
        (json!({"minAvailable": 1, "selector": {}}), with_other(), [2, 3, 1, 4]),
        (json!({"minAvailable": 1, "selector": null}), with_other(), [0, 0, 1, 0]),
        (json!({"minAvailable": 2}), bare(), [0, 2, 2, 3]),
        (json!({"minAvailable": 5}), bare(), [0, 2, 5, 3]),
        (json!({"minAvailable": 0}), vec![], [0, 0, 0, 0]),
        // Nobody says how many bare pods there should be.
        (json!({"maxUnavailable": 1}), bare(), [0, 2, 0, 0]),
        (json!({"minAvailable": "50%"}), bare(), [0, 2, 0, 0]),
        (json!({}), bare(), [0, 2, 0, 0]),
        (
            json!({"minAvailable": 1}),
            vec![owned("a", "apps/v1", "DaemonSet"), pod("b", "True")],
            [1, 2, 1, 2],
        ),
    ];
    for (spec, pods, [allowed, healthy, desired, expected]) in table {
        let status = counted(&spec, pods);
        let reason = if allowed > 0 { "SufficientPods" } else { "InsufficientPods" };
        let found = ["disruptionsAllowed", "currentHealthy", "desiredHealthy", "expectedPods"];
        let found = found.map(|member| status[member].as_i64().unwrap());
        assert_eq!(found, [allowed, healthy, desired, expected], "{spec}");
        assert_eq!(status["conditions"][0]["reason"], reason, "{spec}");
        assert_eq!(status["observedGeneration"], 1);
    }
}

#[test]
fn what_cannot_be_scaled_cannot_be_counted_in_shares() {
    let table = [
        (
            json!({"maxUnavailable": 1}),
            ("apps/v1", "DaemonSet"),
            "daemonsets.apps does not implement the scale subresource",
        ),
        (json!({"minAvailable": "50%"}), ("v1", "Node"), "nodes does not implement the scale subresource"),
        (
            json!({"maxUnavailable": "10%"}),
            ("apps/v1", "ReplicaSet"),
            "no matches for kind \"ReplicaSet\" in version \"apps/v1\"",
        ),
    ];
    for (spec, (version, kind), why) in table {
        let status = counted(&spec, vec![owned("a", version, kind)]);
        assert_eq!(status["disruptionsAllowed"], 0, "{spec}");
        assert_eq!(status["observedGeneration"], Value::Null, "{spec}");
        let condition = &status["conditions"][0];
        assert_eq!((&condition["reason"], &condition["message"]), (&json!("SyncFailed"), &json!(why)));
    }
}

#[test]
fn a_granted_eviction_counts_until_its_pod_goes_or_time_is_up() {
    let granted = whole_seconds(at(0));
    let mut spent = budget(&json!({"minAvailable": 1}));
    spent["status"] = json!({
        "observedGeneration": 1, "disruptionsAllowed": 0, "currentHealthy": 2, "desiredHealthy": 1, "expectedPods": 2,
        "disruptedPods": {"a": granted, "gone": granted},
    });
    let mut world = World::default();
    let mut controller = seen(
        &mut world,
        vec![
            (Resource::POD_DISRUPTION_BUDGETS, spent),
            (Resource::PODS, pod("a", "True")),
            (Resource::PODS, pod("b", "True")),
        ],
    );
    world.settle(&mut controller, || at(1), |_| {});
    let waiting = status(&world);
    assert_eq!(waiting["disruptedPods"], json!({"a": granted}));
    assert_eq!((&waiting["currentHealthy"], &waiting["disruptionsAllowed"]), (&json!(1), &json!(0)));
    assert_eq!(controller.plan(at(1)), Plan { requests: vec![], again: Some(at(EVICTION_SECONDS)) });

    world.settle(&mut controller, || at(EVICTION_SECONDS), |_| {});
    let over = status(&world);
    assert!(over["disruptedPods"].as_object().is_none_or(Map::is_empty), "{over}");
    assert_eq!((&over["currentHealthy"], &over["disruptionsAllowed"]), (&json!(2), &json!(1)));
}

#[test]
fn a_pod_that_goes_is_no_longer_waited_for() {
    let granted = whole_seconds(at(0));
    let mut spent = budget(&json!({"minAvailable": 1}));
    spent["status"] =
        json!({"observedGeneration": 1, "disruptionsAllowed": 0, "disruptedPods": {"a": granted}});
    let mut going = pod("a", "True");
    going["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:30Z");
    let mut world = World::default();
    let mut controller = seen(
        &mut world,
        vec![
            (Resource::POD_DISRUPTION_BUDGETS, spent),
            (Resource::PODS, going),
            (Resource::PODS, pod("b", "True")),
        ],
    );
    world.settle(&mut controller, || at(1), |_| {});
    let found = status(&world);
    assert!(found["disruptedPods"].as_object().is_none_or(Map::is_empty), "{found}");
    assert_eq!((&found["currentHealthy"], &found["expectedPods"]), (&json!(1), &json!(2)));
}

#[test]
fn a_pod_that_was_spared_is_told_so() {
    let target = |reason: &str, phase: &str| {
        let mut pod = pod("a", "True");
        pod["status"]["phase"] = json!(phase);
        pod["status"]["conditions"] = json!([{"type": kinds::TARGET, "status": "True", "reason": reason,
            "lastTransitionTime": whole_seconds(at(0))}]);
        pod
    };
    let mut world = World::default();
    let controller = seen(&mut world, vec![(Resource::PODS, target("EvictionByEvictionAPI", "Running"))]);
    assert_eq!(controller.plan(at(1)), Plan { requests: vec![], again: Some(at(EVICTION_SECONDS)) });
    let plan = controller.plan(at(EVICTION_SECONDS));
    assert_eq!(plan.requests.len(), 1);
    assert_eq!(plan.requests[0].verb, Verb::StrategicMergePatch);
    assert_eq!(plan.requests[0].body["status"]["conditions"][0]["status"], "False");
    for pod in [target("TerminationByKubelet", "Running"), target("PreemptionByScheduler", "Failed")] {
        let controller = seen(&mut World::default(), vec![(Resource::PODS, pod)]);
        assert_eq!(controller.plan(at(EVICTION_SECONDS)), Plan::default());
    }
}

#[test]
fn pods_matter_only_where_there_is_a_budget_or_a_target() {
    let mut controller = DisruptionBudgets::new();
    controller.observe(Resource::POD_DISRUPTION_BUDGETS, WatchEvent::listed(vec![]));
    controller.observe(Resource::PODS, WatchEvent::listed(vec![]));
    assert!(!controller.observe(Resource::PODS, WatchEvent::applied(pod("a", "True"))));
    controller
        .observe(Resource::POD_DISRUPTION_BUDGETS, WatchEvent::applied(budget(&json!({"minAvailable": 1}))));
    assert!(controller.observe(Resource::PODS, WatchEvent::applied(pod("b", "True"))));
}

#[test]
fn people_hear_why_nothing_is_allowed() {
    let table = [
        (json!({"minAvailable": 1}), vec![], vec!["NoPods"]),
        (
            json!({"maxUnavailable": 1}),
            vec![owned("a", "apps/v1", "DaemonSet")],
            vec!["CalculateExpectedPodCountFailed"],
        ),
        (json!({"maxUnavailable": 1}), vec![pod("a", "True")], vec!["UnmanagedPods"]),
        (json!({"minAvailable": 1}), vec![pod("a", "True")], vec![]),
    ];
    for (spec, pods, wanted) in table {
        let mut objects = vec![(Resource::POD_DISRUPTION_BUDGETS, budget(&spec))];
        objects.extend(pods.into_iter().map(|pod| (Resource::PODS, pod)));
        let controller = seen(&mut World::default(), objects);
        let plan = controller.plan(at(0));
        let told = controller.told(&plan.requests[0], &json!({}).into());
        assert_eq!(told.iter().map(|news| news.reason).collect::<Vec<_>>(), wanted, "{spec}");
    }
}
