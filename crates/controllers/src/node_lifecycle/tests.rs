//! The node lifecycle against values, with a clock that is a number.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

const START: i64 = 1_800_000_000;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(START + seconds).unwrap()
}

fn node(name: &str, ready: &str, taints: &[(&str, &str)]) -> Value {
    let taints: Vec<Value> =
        taints.iter().map(|(key, effect)| json!({"key": key, "effect": effect})).collect();
    let mut node = json!({
        "metadata": {"name": name, "uid": format!("uid-{name}"), "resourceVersion": "7"},
        "spec": {"taints": taints},
    });
    if !ready.is_empty() {
        node["status"]["conditions"] = json!([{"type": "Ready", "status": ready}]);
    }
    node
}

fn lease(name: &str, renewed: i64) -> Value {
    json!({
        "metadata": {"name": name, "namespace": "kube-node-lease"},
        "spec": {"renewTime": at(renewed).to_string()},
    })
}

fn lifecycle(nodes: Vec<Value>, leases: Vec<Value>) -> NodeLifecycle {
    let mut lifecycle = NodeLifecycle::new();
    lifecycle.observe_at(Resource::NODES, WatchEvent::listed(nodes), at(0));
    lifecycle.observe_at(Resource::LEASES, WatchEvent::listed(leases), at(0));
    assert!(lifecycle.is_ready());
    lifecycle
}

/// Target, and each taint as `key:effect` or each condition as `type=status`.
fn told(plan: &Plan) -> Vec<(String, Vec<String>)> {
    let text = |value: &Value, pointer: &str| value[pointer].as_str().unwrap_or_default().to_owned();
    let list = |body: &Value| -> Vec<String> {
        if let Some(taints) = body["spec"]["taints"].as_array() {
            taints.iter().map(|taint| [text(taint, "key"), text(taint, "effect")].join(":")).collect()
        } else {
            let conditions = body["status"]["conditions"].as_array().unwrap();
            conditions.iter().map(|one| [text(one, "type"), text(one, "status")].join("=")).collect()
        }
    };
    plan.requests.iter().map(|request| (request.target.to_string(), list(&request.body))).collect()
}

#[test]
fn taints_follow_conditions_and_leave_others_alone() {
    const NOT_READY: &str = "node.kubernetes.io/not-ready";
    const UNREACHABLE: &str = "node.kubernetes.io/unreachable";
    const MEMORY: &str = "node.kubernetes.io/memory-pressure";
    const CORDON: &str = "node.kubernetes.io/unschedulable";
    let (schedule, execute) = ("NoSchedule", "NoExecute");
    type Taints = Vec<(&'static str, &'static str)>;
    for (why, ready, pressure, cordoned, have, wanted) in [
        ("admitted, ready now", "True", false, false, vec![(NOT_READY, schedule)], Some(vec![])),
        ("admitted, not told yet", "", false, false, vec![(NOT_READY, schedule)], None),
        ("healthy", "True", false, false, vec![], None),
        (
            "says it is not",
            "False",
            false,
            false,
            vec![],
            Some(vec![(NOT_READY, schedule), (NOT_READY, execute)]),
        ),
        (
            "quiet after it said it was not",
            "Unknown",
            false,
            false,
            vec![(NOT_READY, schedule), ("mine", execute), (NOT_READY, execute)],
            Some(vec![("mine", execute), (UNREACHABLE, schedule), (UNREACHABLE, execute)]),
        ),
        ("has them", "False", false, false, vec![(NOT_READY, execute), (NOT_READY, schedule)], None),
        ("pressed", "True", true, false, vec![], Some(vec![(MEMORY, schedule)])),
        ("eased", "True", false, false, vec![(MEMORY, schedule), (CORDON, schedule)], Some(vec![])),
        ("a person's own effect", "True", false, false, vec![(MEMORY, execute)], None),
        ("cordoned", "True", false, true, vec![], Some(vec![(CORDON, schedule)])),
    ]
        as [(&str, &str, bool, bool, Taints, Option<Taints>); 10]
    {
        let mut value = node("n", ready, &have);
        value["spec"]["unschedulable"] = json!(cordoned);
        if pressure {
            let pressed = json!({"type": "MemoryPressure", "status": "True"});
            value["status"]["conditions"].as_array_mut().unwrap().push(pressed);
        }
        let heard = node("other", "True", &[]);
        let plan = lifecycle(vec![value, heard], vec![]).plan(at(0));
        let wanted: Vec<(String, Vec<String>)> = wanted
            .map(|taints| taints.iter().map(|(key, effect)| format!("{key}:{effect}")).collect())
            .map(|taints| ("nodes/n".to_owned(), taints))
            .into_iter()
            .collect();
        assert_eq!(told(&plan), wanted, "{why}");
    }
}

#[test]
fn nobody_is_driven_away_when_all_nodes_are_quiet() {
    let quiet = node("n", "Unknown", &[]);
    let taints = |plan: Plan| told(&plan).remove(0).1.len();
    assert_eq!(taints(lifecycle(vec![quiet.clone()], vec![]).plan(at(0))), 1);
    assert_eq!(taints(lifecycle(vec![quiet, node("other", "True", &[])], vec![]).plan(at(0))), 2);
}

#[test]
fn a_node_is_given_up_when_neither_lease_nor_status_moves() {
    let mut lifecycle = lifecycle(vec![node("n", "True", &[]), node("fresh", "", &[])], vec![lease("n", 0)]);
    let plan = lifecycle.plan(at(10));
    assert_eq!((told(&plan), plan.again), (vec![], Some(at(50))));
    // The node's own clock, an hour late, does not matter.
    lifecycle.observe_at(Resource::LEASES, WatchEvent::applied(lease("n", -3600)), at(40));
    assert_eq!(lifecycle.plan(at(50)).again, Some(at(60)));
    let never = ["Ready=Unknown", "MemoryPressure=Unknown", "DiskPressure=Unknown", "PIDPressure=Unknown"];
    let plan = lifecycle.plan(at(60));
    assert_eq!(
        told(&plan),
        [("nodes/fresh/status".to_owned(), never.iter().map(ToString::to_string).collect())]
    );
    assert_eq!(plan.requests[0].body["status"]["conditions"][0]["reason"], "NodeStatusNeverUpdated");
    assert_eq!(plan.again, Some(at(90)));
    // The same again is no sign of life.
    lifecycle.observe_at(Resource::LEASES, WatchEvent::applied(lease("n", -3600)), at(80));
    let plan = lifecycle.plan(at(90));
    assert_eq!(plan.requests[1].target.to_string(), "nodes/n/status");
    assert_eq!(
        plan.requests[1].body,
        json!({"metadata": {"resourceVersion": "7"}, "status": {"conditions": never.iter().map(|condition| json!({
            "type": condition.trim_end_matches("=Unknown"), "status": "Unknown", "reason": "NodeStatusUnknown",
            "message": "Kubelet stopped posting node status.", "lastTransitionTime": "2027-01-15T08:01:30Z",
        })).collect::<Vec<_>>()}})
    );
}

#[test]
fn a_heartbeat_in_the_status_counts_and_a_node_that_comes_back_is_heard() {
    let beat = |ready: &str, time: &str| {
        let mut node = node("n", ready, &[]);
        node["status"]["conditions"][0]["lastHeartbeatTime"] = json!(time);
        node
    };
    let mut lifecycle = lifecycle(vec![beat("True", "a")], vec![]);
    lifecycle.observe_at(Resource::NODES, WatchEvent::applied(beat("True", "b")), at(45));
    assert_eq!(told(&lifecycle.plan(at(90))), []);
    assert_eq!(told(&lifecycle.plan(at(95))).len(), 1);
    lifecycle.observe_at(Resource::NODES, WatchEvent::applied(beat("Unknown", "b")), at(96));
    assert_eq!(told(&lifecycle.plan(at(96)))[0].1, ["node.kubernetes.io/unreachable:NoSchedule"]);
    lifecycle.observe_at(Resource::NODES, WatchEvent::applied(beat("True", "c")), at(1000));
    assert_eq!((told(&lifecycle.plan(at(1000))), lifecycle.plan(at(1000)).again), (vec![], Some(at(1050))));
    lifecycle.observe_at(Resource::NODES, WatchEvent::deleted(beat("True", "c")), at(1001));
    assert_eq!((lifecycle.heard.len(), lifecycle.plan(at(9999))), (0, Plan::default()));
}

proptest! {
    /// Whatever a node says and whatever taints it has, one plan is enough, and no foreign taint is lost.
    #[test]
    fn once_carried_out_nothing_is_left_to_do(
        readiness in prop::sample::select(vec!["", "True", "False", "Unknown"]),
        taints in prop::collection::vec((
            prop::sample::select(vec![taints::NOT_READY, taints::UNREACHABLE, UNSCHEDULABLE, "mine"]),
            prop::sample::select(vec!["NoSchedule", "NoExecute", "PreferNoSchedule"]),
        ), 0..6),
        unschedulable: bool,
        seconds in 0_i64..200,
    ) {
        let mut value = node("n", readiness, &taints);
        value["spec"]["unschedulable"] = json!(unschedulable);
        let mut lifecycle = lifecycle(vec![value.clone(), node("other", "True", &[])], vec![lease("other", 0)]);
        let others = |value: &Value| -> Vec<Value> {
            let taints = value["spec"]["taints"].as_array().unwrap().iter();
            taints.filter(|taint| taint["key"] == "mine").cloned().collect()
        };
        for rounds in 0.. {
            prop_assert!(rounds < 3, "does not settle: {value}");
            lifecycle.observe_at(Resource::LEASES, WatchEvent::applied(lease("other", seconds)), at(seconds));
            let plan = lifecycle.plan(at(seconds));
            let Some(request) = plan.requests.first() else { break };
            let before = others(&value);
            for part in ["spec", "status"] {
                for (member, new) in request.body[part].as_object().into_iter().flatten() {
                    value[part][member] = new.clone();
                }
            }
            prop_assert_eq!(before, others(&value));
            lifecycle.accepted(request, &value.clone().into());
        }
    }
}
