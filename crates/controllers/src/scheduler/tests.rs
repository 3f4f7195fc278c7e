//! The scheduler against values.

use serde_json::{Value, json};

use super::*;

fn node(name: &str, spec: Value) -> Value {
    let mut node = json!({
        "metadata": {"name": name, "labels": {"kubernetes.io/hostname": name, "zone": "a"}},
        "status": {"conditions": [{"type": "Ready", "status": "True"}], "allocatable": {"pods": "3"}},
    });
    node["spec"] = spec;
    node
}

fn pod(name: &str, spec: Value) -> Value {
    let mut pod = json!({
        "metadata": {"name": name, "namespace": "ns", "uid": format!("uid-{name}"), "resourceVersion": "7"},
        "status": {"phase": "Pending"},
    });
    pod["spec"] = spec;
    pod
}

fn scheduler(nodes: Vec<Value>, pods: Vec<Value>, claims: Vec<Value>) -> Scheduler {
    let mut scheduler = Scheduler::new();
    scheduler.observe(Resource::NODES, WatchEvent::listed(nodes));
    scheduler.observe(Resource::PODS, WatchEvent::listed(pods));
    scheduler.observe(Resource::PERSISTENT_VOLUME_CLAIMS, WatchEvent::listed(claims));
    assert!(scheduler.is_ready());
    scheduler
}

/// Pod and node of every binding, or pod and message of every report.
fn outcome(scheduler: &Scheduler) -> Vec<(String, String)> {
    let told = |request: &Request| {
        let node = request.body.pointer("/target/name");
        let message = request
            .body
            .pointer("/status/conditions")
            .and_then(|conditions| conditions.as_array().unwrap().last().unwrap().get("message"));
        node.or(message).unwrap().as_str().unwrap().to_owned()
    };
    let plan = scheduler.plan(Timestamp::UNIX_EPOCH).requests;
    plan.iter().map(|request| (request.target.name.clone(), told(request))).collect()
}

fn outcome_of(node_spec: Value, pod_spec: Value) -> String {
    let scheduler = scheduler(vec![node("n", node_spec)], vec![pod("p", pod_spec)], vec![]);
    outcome(&scheduler).remove(0).1
}

#[test]
fn a_binding_names_pod_and_node() {
    let mut scheduler = scheduler(vec![node("n", json!({}))], vec![pod("p", json!({}))], vec![]);
    let plan = scheduler.plan(Timestamp::UNIX_EPOCH).requests;
    assert_eq!(plan.len(), 1);
    assert_eq!(plan[0].path(), "/api/v1/namespaces/ns/pods/p/binding");
    assert_eq!(
        plan[0].body,
        json!({
            "apiVersion": "v1", "kind": "Binding",
            "metadata": {"namespace": "ns", "name": "p", "uid": "uid-p"},
            "target": {"apiVersion": "v1", "kind": "Node", "name": "n"},
        })
    );
    scheduler.accepted(&plan[0], &json!({"kind": "Status", "status": "Success"}).into());
    assert_eq!(scheduler.plan(Timestamp::UNIX_EPOCH).requests, []);
}

#[test]
fn only_pods_that_wait_for_this_scheduler_are_placed() {
    let gone = json!({"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}});
    for (why, spec, extra, placed) in [
        ("plain", json!({}), json!({}), true),
        ("named", json!({"schedulerName": "default-scheduler"}), json!({}), true),
        ("another's", json!({"schedulerName": "other"}), json!({}), false),
        ("assigned", json!({"nodeName": "elsewhere"}), json!({}), false),
        ("gated", json!({"schedulingGates": [{"name": "g"}]}), json!({}), false),
        ("deleting", json!({}), gone, false),
        ("finished", json!({}), json!({"status": {"phase": "Failed"}}), false),
    ] {
        let mut object = pod("p", spec);
        for (part, fields) in extra.as_object().unwrap() {
            object[part].as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        }
        let scheduler = scheduler(vec![node("n", json!({}))], vec![object], vec![]);
        assert_eq!(!outcome(&scheduler).is_empty(), placed, "{why}");
    }
}

#[test]
fn the_node_with_the_fewest_pods_wins_and_a_plan_counts_its_own() {
    let on = |name: &str, node: &str| pod(name, json!({"nodeName": node}));
    let mut finished = on("done", "a");
    finished["status"]["phase"] = json!("Succeeded");
    let mut urgent = pod("z-urgent", json!({"priority": 5}));
    urgent["metadata"]["creationTimestamp"] = json!("2026-01-09T00:00:00Z");
    let mut early = pod("y-early", json!({}));
    early["metadata"]["creationTimestamp"] = json!("2026-01-01T00:00:00Z");
    let mut late = pod("x-late", json!({}));
    late["metadata"]["creationTimestamp"] = json!("2026-01-02T00:00:00Z");
    let scheduler = scheduler(
        vec![node("a", json!({})), node("b", json!({})), node("c", json!({}))],
        vec![finished, on("b1", "b"), on("c1", "c"), on("c2", "c"), urgent, early, late],
        vec![],
    );
    let wanted = [("z-urgent", "a"), ("y-early", "a"), ("x-late", "b")];
    assert_eq!(outcome(&scheduler), wanted.map(|(pod, node)| (pod.to_owned(), node.to_owned())));
}

#[test]
fn what_keeps_a_pod_off_a_node_is_said() {
    let taint = |effect: &str| json!({"taints": [{"key": "k", "value": "v", "effect": effect}]});
    let tolerates = |toleration: Value| json!({"tolerations": [toleration]});
    let affinity = |terms: Value| json!({"affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}}});
    let tainted = "0/1 nodes are available: 1 node(s) had untolerated taint {k: v}.";
    let cordoned = "0/1 nodes are available: 1 node(s) were unschedulable.";
    let unselected = "0/1 nodes are available: 1 node(s) didn't match Pod's node affinity/selector.";
    for (node_spec, pod_spec, wanted) in [
        (json!({"unschedulable": true}), json!({}), cordoned),
        (json!({"unschedulable": true}), tolerates(json!({"operator": "Exists"})), "n"),
        (taint("NoSchedule"), json!({}), tainted),
        (taint("NoExecute"), json!({}), tainted),
        (taint("PreferNoSchedule"), json!({}), "n"),
        (taint("NoSchedule"), tolerates(json!({"key": "k", "value": "v"})), "n"),
        (taint("NoSchedule"), tolerates(json!({"key": "k", "operator": "Equal", "value": "w"})), tainted),
        (
            taint("NoSchedule"),
            tolerates(json!({"key": "k", "operator": "Exists", "effect": "NoSchedule"})),
            "n",
        ),
        (
            taint("NoExecute"),
            tolerates(json!({"key": "k", "operator": "Exists", "effect": "NoSchedule"})),
            tainted,
        ),
        (taint("NoSchedule"), tolerates(json!({"operator": "Exists"})), "n"),
        (taint("NoSchedule"), tolerates(json!({"value": "v"})), tainted),
        (json!({}), json!({"nodeSelector": {"zone": "a"}}), "n"),
        (json!({}), json!({"nodeSelector": {"zone": "b"}}), unselected),
        (
            json!({}),
            affinity(json!([{"matchExpressions": [{"key": "zone", "operator": "In", "values": ["b"]}]}])),
            unselected,
        ),
        (
            json!({}),
            affinity(json!([
                {"matchExpressions": [{"key": "zone", "operator": "In", "values": ["b"]}]},
                {"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["n"]}]},
            ])),
            "n",
        ),
        (json!({}), affinity(json!([{}])), unselected),
    ] {
        assert_eq!(outcome_of(node_spec.clone(), pod_spec.clone()), wanted, "{node_spec} {pod_spec}");
    }
}

#[test]
fn refusals_are_counted_and_sorted() {
    let mut sleepy = node("sleepy", json!({}));
    sleepy["status"]["conditions"] = json!([{"type": "Ready", "status": "Unknown"}]);
    let mut full = node("full", json!({}));
    full["status"]["allocatable"]["pods"] = json!("0");
    let cordoned = |name: &str| {
        node(
            name,
            json!({"unschedulable": true, "taints": [
                {"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"},
            ]}),
        )
    };
    let nodes = vec![sleepy, full, cordoned("c1"), cordoned("c2")];
    assert_eq!(
        outcome(&scheduler(nodes, vec![pod("p", json!({}))], vec![]))[0].1,
        "0/4 nodes are available: 1 Too many pods, 1 node(s) had untolerated taint {node.kubernetes.io/not-ready: }, \
         2 node(s) were unschedulable."
    );
    assert_eq!(
        outcome(&scheduler(vec![], vec![pod("p", json!({}))], vec![]))[0].1,
        "no nodes available to schedule pods"
    );
}

#[test]
fn claims_are_bound_first() {
    let bound = json!({"annotations": {"pv.kubernetes.io/bind-completed": "yes"}});
    let claim = |metadata: Value, spec: Value, phase: &str| {
        let mut claim = json!({"metadata": metadata, "spec": spec, "status": {"phase": phase}});
        claim["metadata"]["namespace"] = json!("ns");
        claim["metadata"]["name"] = json!("data");
        claim
    };
    let volume = json!({"volumeName": "pv"});
    let mut going = bound.clone();
    going["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
    for (claims, wanted) in [
        (vec![], "0/1 nodes are available: persistentvolumeclaim \"data\" not found."),
        (
            vec![claim(json!({}), json!({}), "Pending")],
            "0/1 nodes are available: pod has unbound immediate PersistentVolumeClaims.",
        ),
        (
            vec![claim(json!({}), volume.clone(), "Pending")],
            "0/1 nodes are available: pod has unbound immediate PersistentVolumeClaims.",
        ),
        (
            vec![claim(bound.clone(), volume.clone(), "Lost")],
            "0/1 nodes are available: persistentvolumeclaim \"data\" bound to non-existent persistentvolume \"pv\".",
        ),
        (
            vec![claim(going, volume.clone(), "Bound")],
            "0/1 nodes are available: persistentvolumeclaim \"data\" is being deleted.",
        ),
        (vec![claim(bound, volume, "Bound")], "n"),
    ] {
        for (name, volume) in [
            ("p", json!({"name": "v", "persistentVolumeClaim": {"claimName": "data"}})),
            // The claim of pod `da` and volume `ta` would be `da-ta`: another name, never found.
            ("da", json!({"name": "ta", "ephemeral": {"volumeClaimTemplate": {}}})),
        ] {
            let volumes = json!({"volumes": [{"name": "inline", "csi": {"driver": "x"}}, volume]});
            let scheduler = scheduler(vec![node("n", json!({}))], vec![pod(name, volumes)], claims.clone());
            let found = outcome(&scheduler).remove(0).1;
            if name == "p" {
                assert_eq!(found, wanted);
            } else {
                assert_eq!(found, "0/1 nodes are available: persistentvolumeclaim \"da-ta\" not found.");
            }
        }
    }
}

#[test]
fn the_condition_keeps_its_neighbours_and_its_time_and_is_written_once() {
    let ready = json!({"type": "Ready", "status": "False"});
    let mut waiting = pod("p", json!({}));
    waiting["status"]["conditions"] = json!([ready]);
    let mut scheduler = scheduler(vec![], vec![waiting], vec![]);
    let noon: Timestamp = "2026-01-01T12:00:00.5Z".parse().unwrap();
    let plan = scheduler.plan(noon).requests;
    assert_eq!(plan.len(), 1);
    assert_eq!(plan[0].path(), "/api/v1/namespaces/ns/pods/p/status");
    let mut condition = json!({
        "type": "PodScheduled", "status": "False", "reason": "Unschedulable",
        "message": "no nodes available to schedule pods", "lastTransitionTime": "2026-01-01T12:00:00Z",
    });
    assert_eq!(
        plan[0].body,
        json!({"metadata": {"resourceVersion": "7"}, "status": {"conditions": [ready, condition]}})
    );

    let mut answer = pod("p", json!({}));
    answer["metadata"]["resourceVersion"] = json!("8");
    answer["status"]["conditions"] = json!([ready, condition]);
    scheduler.accepted(&plan[0], &answer.into());
    let later: Timestamp = "2026-01-01T13:00:00Z".parse().unwrap();
    assert_eq!(scheduler.plan(later).requests, []);

    scheduler.observe(Resource::NODES, WatchEvent::applied(node("n", json!({"unschedulable": true}))));
    condition["message"] = json!("0/1 nodes are available: 1 node(s) were unschedulable.");
    let plan = scheduler.plan(later).requests;
    assert_eq!(
        plan[0].body,
        json!({"metadata": {"resourceVersion": "8"}, "status": {"conditions": [ready, condition]}})
    );
}
