//! The scheduler against values.

use serde_json::{Value, json};

use super::*;
use crate::objects::Metadata;

mod echoes;
mod neighbours;
mod preemption;
mod rules;
mod volumes;

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
    with_storage(nodes, pods, claims, vec![], vec![], vec![])
}

fn with_storage(
    nodes: Vec<Value>,
    pods: Vec<Value>,
    claims: Vec<Value>,
    volumes: Vec<Value>,
    classes: Vec<Value>,
    csi_nodes: Vec<Value>,
) -> Scheduler {
    let mut scheduler = Scheduler::new();
    scheduler.observe(Resource::PERSISTENT_VOLUMES, WatchEvent::listed(volumes));
    scheduler.observe(Resource::STORAGE_CLASSES, WatchEvent::listed(classes));
    scheduler.observe(Resource::CSI_NODES, WatchEvent::listed(csi_nodes));
    scheduler.observe(Resource::NODES, WatchEvent::listed(nodes));
    let namespaces = vec![json!({"metadata": {"name": "ns"}}), json!({"metadata": {"name": "other"}})];
    scheduler.observe(Resource::NAMESPACES, WatchEvent::listed(namespaces));
    scheduler.observe(Resource::PODS, WatchEvent::listed(pods));
    scheduler.observe(Resource::PERSISTENT_VOLUME_CLAIMS, WatchEvent::listed(claims));
    assert!(scheduler.is_ready());
    scheduler
}

/// Pod and node of every binding, or pod and message of every report, without what it says of preemption.
fn outcome(scheduler: &Scheduler) -> Vec<(String, String)> {
    let whole = whole_outcome(scheduler).into_iter();
    let short = |message: String| {
        let message = message.split(" preemption: ").next().unwrap_or_default();
        message.strip_suffix(" no new claims to deallocate,").unwrap_or(message).to_owned()
    };
    whole.map(|(pod, told)| (pod, short(told))).collect()
}

fn whole_outcome(scheduler: &Scheduler) -> Vec<(String, String)> {
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
    let tainted = "0/1 nodes are available: 1 node(s) had untolerated taint(s).";
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
    let sleepy = node(
        "sleepy",
        json!({"taints": [{"key": "node.kubernetes.io/unreachable", "effect": "NoSchedule"}]}),
    );
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
        "0/4 nodes are available: 1 Too many pods, 1 node(s) had untolerated taint(s), \
         2 node(s) were unschedulable."
    );
    assert_eq!(
        outcome(&scheduler(vec![], vec![pod("p", json!({}))], vec![]))[0].1,
        "no nodes available to schedule pods"
    );
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
        json!({"metadata": {"uid": "uid-p", "resourceVersion": "7"}, "status": {"conditions": [ready, condition]}})
    );

    let mut answer = pod("p", json!({}));
    answer["metadata"]["resourceVersion"] = json!("8");
    answer["status"]["conditions"] = json!([ready, condition]);
    scheduler.accepted(&plan[0], &answer.into());
    let later: Timestamp = "2026-01-01T13:00:00Z".parse().unwrap();
    assert_eq!(scheduler.plan(later).requests, []);

    scheduler.observe(Resource::NODES, WatchEvent::applied(node("n", json!({"unschedulable": true}))));
    condition["message"] = json!(
        "0/1 nodes are available: 1 node(s) were unschedulable. no new claims to deallocate, preemption: 0/1 nodes are available: \
         1 Preemption is not helpful for scheduling."
    );
    let plan = scheduler.plan(later).requests;
    assert_eq!(
        plan[0].body,
        json!({"metadata": {"uid": "uid-p", "resourceVersion": "8"}, "status": {"conditions": [ready, condition]}})
    );
}

fn needs(requests: &Value) -> Value {
    json!({"containers": [{"name": "c", "resources": {"requests": requests}}]})
}

#[test]
fn a_pod_takes_what_its_containers_ask_for() {
    let asks = |cpu: &str| json!({"resources": {"requests": {"cpu": cpu}}});
    let stays = |cpu: &str| json!({"restartPolicy": "Always", "resources": {"requests": {"cpu": cpu}}});
    for (spec, wanted) in [
        (json!({"containers": [asks("1"), asks("500m")]}), "1500m"),
        (json!({"containers": [asks("1")], "initContainers": [asks("3"), asks("2")]}), "3"),
        (json!({"containers": [asks("1")], "initContainers": [stays("1"), asks("2")]}), "3"),
        (json!({"containers": [asks("3")], "initContainers": [asks("2"), stays("1")]}), "4"),
        (json!({"containers": [asks("1")], "overhead": {"cpu": "250m"}}), "1250m"),
    ] {
        let pod: SchedulerPod = serde_json::from_value(pod("p", spec.clone())).unwrap();
        assert_eq!(pod.needs.requests["cpu"], crate::quantity::Quantity::parse(wanted).unwrap(), "{spec}");
    }
}

#[test]
fn a_node_takes_no_more_than_it_has() {
    let mut roomy = node("n", json!({}));
    roomy["status"]["allocatable"] = json!({"pods": "3", "cpu": "2", "memory": "1Gi"});
    let mut there = pod("there", needs(&json!({"cpu": "1500m"})));
    there["spec"]["nodeName"] = json!("n");
    for (requests, wanted) in [
        (json!({"cpu": "500m"}), "n"),
        (json!({"cpu": "0"}), "n"),
        (json!({"cpu": "501m"}), "0/1 nodes are available: 1 Insufficient cpu."),
        (json!({"example.com/gpu": 1}), "0/1 nodes are available: 1 Insufficient example.com/gpu."),
        (
            json!({"cpu": "1", "memory": "2Gi"}),
            "0/1 nodes are available: 1 Insufficient cpu, 1 Insufficient memory.",
        ),
    ] {
        let pods = vec![there.clone(), pod("p", needs(&requests))];
        assert_eq!(outcome(&scheduler(vec![roomy.clone()], pods, vec![]))[0].1, wanted, "{requests}");
    }
    // What a plan gives away is gone for the next pod of the same plan.
    let pods = vec![pod("a", needs(&json!({"cpu": "1500m"}))), pod("b", needs(&json!({"cpu": "1500m"})))];
    let told = outcome(&scheduler(vec![roomy], pods, vec![]));
    assert_eq!((&*told[0].1, &*told[1].1), ("n", "0/1 nodes are available: 1 Insufficient cpu."));
}

#[test]
fn preferences_come_before_load() {
    let mut liked = node("liked", json!({}));
    liked["metadata"]["labels"]["disk"] = json!("ssd");
    let reluctant = json!({"taints": [{"key": "k", "effect": "PreferNoSchedule"}]});
    let on_liked = pod("there", json!({"nodeName": "liked"}));
    let prefers = |weight: i64| {
        json!({"affinity": {"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [{
            "weight": weight, "preference": {"matchExpressions": [{"key": "disk", "operator": "Exists"}]},
        }]}}})
    };
    for (other, spec, wanted) in [
        (json!({}), json!({}), "other"),
        (json!({}), prefers(5), "liked"),
        (reluctant.clone(), json!({}), "liked"),
        (reluctant, json!({"tolerations": [{"operator": "Exists"}]}), "other"),
    ] {
        let nodes = vec![liked.clone(), node("other", other.clone())];
        let found = outcome(&scheduler(nodes, vec![on_liked.clone(), pod("p", spec.clone())], vec![]));
        assert_eq!(found[0].1, wanted, "{other} {spec}");
    }
}

proptest::proptest! {
    /// However many pods of whatever size: no node gets more than it has, none that would fit is left, and once the
    /// bindings are carried out nothing is left to do.
    #[test]
    fn nodes_are_filled_and_not_overfilled(
        sizes in proptest::collection::vec(1_u32..40, 0..30),
        room in proptest::collection::vec(1_u32..100, 1..6),
    ) {
        let nodes: Vec<Value> = room.iter().enumerate().map(|(number, cpu)| {
            let mut node = node(&format!("n{number}"), json!({}));
            node["status"]["allocatable"] = json!({"cpu": cpu.to_string()});
            node
        }).collect();
        let pods: Vec<Value> = sizes.iter().enumerate()
            .map(|(number, cpu)| pod(&format!("p{number}"), needs(&json!({"cpu": cpu.to_string()})))).collect();
        let mut scheduler = scheduler(nodes, pods, vec![]);
        let mut left = room.clone();
        let mut refused = Vec::new();
        let requests = scheduler.plan(Timestamp::UNIX_EPOCH).requests;
        proptest::prop_assert_eq!(requests.len(), sizes.len());
        for request in &requests {
            let number: usize = request.target.name[1..].parse().unwrap();
            match request.body.pointer("/target/name").and_then(Value::as_str) {
                Some(node) => {
                    let node: usize = node[1..].parse().unwrap();
                    proptest::prop_assert!(sizes[number] <= left[node]);
                    left[node] -= sizes[number];
                    scheduler.accepted(request, &json!({}).into());
                }
                None => refused.push(sizes[number]),
            }
        }
        for size in refused {
            proptest::prop_assert!(left.iter().all(|left| *left < size));
        }
        let again = scheduler.plan(Timestamp::UNIX_EPOCH).requests;
        proptest::prop_assert!(again.iter().all(|request| request.target.subresource == Some("status")));
    }
}

#[test]
fn a_pod_for_one_node_goes_there_or_says_why_not() {
    let affinity = json!({"affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {
        "nodeSelectorTerms": [{"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["b"]}]}],
    }}}});
    let outcome_with = |of_b: Value| {
        let nodes = vec![node("a", json!({})), node("b", of_b), node("c", json!({}))];
        outcome(&scheduler(nodes, vec![pod("p", affinity.clone())], vec![])).remove(0).1
    };
    assert_eq!(outcome_with(json!({})), "b");
    assert_eq!(
        outcome_with(json!({"unschedulable": true})),
        "0/3 nodes are available: 1 node(s) were unschedulable, 2 node(s) didn't satisfy plugin(s) [NodeAffinity]."
    );
    let elsewhere = vec![node("a", json!({}))];
    assert_eq!(
        outcome(&scheduler(elsewhere, vec![pod("p", affinity)], vec![])).remove(0).1,
        "0/1 nodes are available: 1 node(s) didn't satisfy plugin(s) [NodeAffinity]."
    );
}

#[test]
fn people_hear_where_a_pod_has_gone_and_why_another_waits() {
    let metadata = json!({"name": "web", "namespace": "ns", "uid": "u"});
    let metadata: Metadata = serde_json::from_value(metadata).unwrap();
    let told = |request: &Request| {
        let news = Scheduler::new().told(request, &json!({}).into()).remove(0);
        assert_eq!((&news.about["name"], &news.about["uid"]), (&json!("web"), &json!("u")));
        (news.is_warning, news.reason, news.message)
    };
    let assigned = "Successfully assigned ns/web to n1".to_owned();
    assert_eq!(told(&writes::bind(&metadata, "n1")), (false, "Scheduled", assigned));
    let conditions = json!([
        {"type": "Ready", "status": "False"},
        {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/1 nodes are available"},
    ]);
    let body = json!({"metadata": {"uid": "u"}, "status": {"conditions": conditions}});
    let report = Request::merge_patch(Target::of(Resource::PODS, &metadata).subresource("status"), body);
    assert_eq!(told(&report), (true, "FailedScheduling", "0/1 nodes are available".to_owned()));
}
