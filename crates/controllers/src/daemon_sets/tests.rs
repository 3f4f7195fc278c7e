//! DaemonSets against values: single plans, and whole updates on a small world.

use std::collections::BTreeSet;

use serde_json::json;

use super::*;
use crate::api::Verb;
use crate::world::{World, mark_deleted, merge};

mod hearing;
mod orders;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + seconds).unwrap()
}

fn node(name: &str) -> Value {
    json!({"metadata": {"name": name, "labels": {"zone": "a"}}, "spec": {"taints": []}})
}

fn set(image: &str) -> Value {
    json!({
        "metadata": {
            "name": "agent", "namespace": "ns", "uid": "uid-agent", "generation": 1,
            "annotations": {"deprecated.daemonset.template.generation": "1"},
        },
        "spec": {
            "selector": {"matchLabels": {"app": "agent"}},
            "template": {
                "metadata": {"labels": {"app": "agent"}, "annotations": {"a": "b"}},
                "spec": {"containers": [{"name": "c", "image": image}], "tolerations": [{"key": "mine", "operator": "Exists"}]},
            },
            "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 1}},
        },
    })
}

fn with(mut object: Value, patch: Value) -> Value {
    merge(&mut object, patch);
    object
}

/// A controller and its world, where nodes act when told to.
struct Scene {
    world: World,
    controller: DaemonSets,
    now: i64,
}

impl Scene {
    fn new(set: Value, nodes: &[&str]) -> Self {
        let mut world = World::default();
        world.put(Resource::DAEMON_SETS, set);
        for name in nodes {
            world.put(Resource::NODES, node(name));
        }
        let mut controller = DaemonSets::new(7);
        world.tell_all(&mut controller, at(0));
        Self { world, controller, now: 0 }
    }

    fn plan(&mut self) -> Plan {
        self.world.tell(&mut self.controller, at(self.now));
        self.controller.plan(at(self.now))
    }

    /// The plan's requests as `verb target`.
    fn told(&mut self) -> Vec<String> {
        self.plan().requests.iter().map(|request| format!("{:?} {}", request.verb, request.target)).collect()
    }

    fn carry_out(&mut self) {
        for request in self.plan().requests {
            self.world.carry_out(&mut self.controller, &request);
        }
    }

    /// Lets nodes start and stop what they should, and the controller act, until nothing is left to do, however late.
    fn settle(&mut self) {
        for _ in 0..100 {
            let time = std::cell::Cell::new(self.now);
            self.world.settle(
                &mut self.controller,
                || {
                    time.set(time.get() + 1000);
                    at(time.get())
                },
                |world| act(world, time.get()),
            );
            self.now = time.get();
            if self.plan().again.is_none() {
                return;
            }
        }
        panic!("always waits for something: {:?}", self.plan().again);
    }

    fn pods(&self) -> Vec<Value> {
        self.world.all(Resource::PODS)
    }

    fn put_pod(&mut self, pod: Value) {
        self.world.put(Resource::PODS, pod);
    }

    fn change_set(&mut self, patch: Value) {
        let set = self.world.get(Resource::DAEMON_SETS, "ns", "agent").unwrap().clone();
        let generation = set["metadata"]["generation"].as_i64().unwrap() + 1;
        let set = with(with(set, patch), json!({"metadata": {"generation": generation}}));
        self.world.put(Resource::DAEMON_SETS, set);
    }

    fn status(&self) -> Value {
        self.world.get(Resource::DAEMON_SETS, "ns", "agent").unwrap()["status"].clone()
    }

    fn revisions(&self) -> Vec<(String, i64)> {
        let all = self.world.all(Resource::CONTROLLER_REVISIONS);
        let mut revisions: Vec<(String, i64)> = all
            .iter()
            .map(|revision| {
                let image = revision.pointer("/data/spec/template/spec/containers/0/image").unwrap();
                (image.as_str().unwrap().to_owned(), revision["revision"].as_i64().unwrap())
            })
            .collect();
        revisions.sort_by_key(|(_, number)| *number);
        revisions
    }
}

fn affinity_of(pod: &Value) -> String {
    let terms =
        "/spec/affinity/nodeAffinity/requiredDuringSchedulingIgnoredDuringExecution/nodeSelectorTerms";
    pod.pointer(&format!("{terms}/0/matchFields/0/values/0")).unwrap().as_str().unwrap().to_owned()
}

fn started(pod: Value, second: i64) -> Value {
    let node = affinity_of(&pod);
    let ready = json!([{"type": "Ready", "status": "True", "lastTransitionTime": at(second).to_string()}]);
    with(pod, json!({"spec": {"nodeName": node}, "status": {"phase": "Running", "conditions": ready}}))
}

/// All nodes stop what is to stop, start what is to start, and mend what is broken. A node that is gone starts nothing.
fn act(world: &mut World, second: i64) {
    for pod in world.all(Resource::PODS) {
        let has_node = world.get(Resource::NODES, "", &affinity_of(&pod)).is_some();
        if !pod["metadata"]["deletionTimestamp"].is_null() {
            world.remove(Resource::PODS, &pod);
        } else if has_node && pod["status"]["phase"] != "Failed" && pod["status"]["conditions"][0].is_null() {
            world.put(Resource::PODS, started(pod, second));
        }
    }
}

#[test]
fn a_pod_carries_template_affinity_tolerations_and_owner() {
    let mut scene = Scene::new(set("one"), &["n"]);
    // First the revision, whose hash the pods bear.
    assert_eq!(scene.told().len(), 1);
    scene.carry_out();
    let plan = scene.plan();
    let revision = scene.world.all(Resource::CONTROLLER_REVISIONS).remove(0);
    let hash = revision["metadata"]["labels"]["controller-revision-hash"].as_str().unwrap().to_owned();
    assert_eq!(revision["metadata"]["name"], format!("agent-{hash}"));
    assert_eq!(
        revision["data"],
        json!({"spec": {"template": with(set("one")["spec"]["template"].clone(), json!({"$patch": "replace"}))}})
    );
    let owner = json!([{
        "apiVersion": "apps/v1", "kind": "DaemonSet", "name": "agent", "uid": "uid-agent",
        "controller": true, "blockOwnerDeletion": true,
    }]);
    assert_eq!(revision["metadata"]["ownerReferences"], owner);
    let borne = |key: &str, effect: &str| json!({"key": format!("node.kubernetes.io/{key}"), "operator": "Exists", "effect": effect});
    let name = plan.requests[0].target.name.clone();
    assert_eq!(
        plan.requests[0].body,
        json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {
                "name": name, "generateName": "agent-", "namespace": "ns", "annotations": {"a": "b"},
                "labels": {"app": "agent", "controller-revision-hash": hash, "pod-template-generation": "1"},
                "ownerReferences": owner,
            },
            "spec": {
                "containers": [{"name": "c", "image": "one"}],
                "tolerations": [
                    {"key": "mine", "operator": "Exists"},
                    borne("not-ready", "NoExecute"), borne("unreachable", "NoExecute"),
                    borne("disk-pressure", "NoSchedule"), borne("memory-pressure", "NoSchedule"),
                    borne("pid-pressure", "NoSchedule"), borne("unschedulable", "NoSchedule"),
                ],
                "affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {
                    "nodeSelectorTerms": [{"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["n"]}]}],
                }}},
            },
        })
    );
}

#[test]
fn a_pod_goes_where_it_may_and_leaves_where_it_may_not_stay() {
    let taint = |key: &str, effect: &str| json!({"spec": {"taints": [{"key": key, "effect": effect}]}});
    let affinity = json!({"affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {
        "nodeSelectorTerms": [{"matchExpressions": [{"key": "zone", "operator": "In", "values": ["b"]}]}],
    }}}});
    for (why, of_node, of_pod, runs, stays) in [
        ("plain", json!({}), json!({}), true, true),
        ("tainted", taint("k", "NoSchedule"), json!({}), false, true),
        ("driven away", taint("k", "NoExecute"), json!({}), false, false),
        ("a wish", taint("k", "PreferNoSchedule"), json!({}), true, true),
        ("tolerated", taint("mine", "NoExecute"), json!({}), true, true),
        ("cordoned", taint("node.kubernetes.io/unschedulable", "NoSchedule"), json!({}), true, true),
        ("not ready", taint("node.kubernetes.io/not-ready", "NoExecute"), json!({}), true, true),
        ("not admitted yet", taint("node.kubernetes.io/not-ready", "NoSchedule"), json!({}), false, true),
        ("offline", taint("node.kubernetes.io/network-unavailable", "NoSchedule"), json!({}), false, true),
        (
            "the network's own",
            taint("node.kubernetes.io/network-unavailable", "NoSchedule"),
            json!({"hostNetwork": true}),
            true,
            true,
        ),
        ("selected", json!({}), json!({"nodeSelector": {"zone": "a"}}), true, true),
        ("not selected", json!({}), json!({"nodeSelector": {"zone": "b"}}), false, false),
        ("no affinity", json!({}), affinity, false, false),
        ("named", json!({}), json!({"nodeName": "n"}), true, true),
        ("another named", json!({}), json!({"nodeName": "m"}), false, false),
    ] {
        let mut scene = Scene::new(with(set("one"), json!({"spec": {"template": {"spec": of_pod}}})), &["n"]);
        scene.world.put(Resource::NODES, with(node("n"), of_node.clone()));
        scene.settle();
        assert_eq!(scene.pods().len(), usize::from(runs), "{why}");
        assert_eq!(scene.status()["desiredNumberScheduled"], usize::from(runs), "{why}");

        let mut scene = Scene::new(set("one"), &["n"]);
        scene.settle();
        scene.change_set(
            json!({"spec": {"template": {"spec": of_pod}, "updateStrategy": {"type": "OnDelete"}}}),
        );
        scene.world.put(Resource::NODES, with(node("n"), of_node));
        scene.settle();
        assert_eq!(scene.pods().len(), usize::from(stays), "{why}");
        assert_eq!(scene.status()["numberMisscheduled"], usize::from(stays && !runs), "{why}");
    }
}

#[test]
fn an_update_replaces_as_many_at_a_time_as_it_may() {
    for (rolling, deleted, created) in [
        (json!({"maxUnavailable": 1}), 1, 0),
        (json!({"maxUnavailable": 2}), 2, 0),
        (json!({"maxUnavailable": "60%"}), 3, 0),
        (json!({"maxUnavailable": 0, "maxSurge": 0}), 1, 0),
        (json!({"maxUnavailable": 0, "maxSurge": 2}), 0, 2),
        (json!({"maxUnavailable": null, "maxSurge": "21%"}), 0, 2),
    ] {
        let strategy = json!({"spec": {"updateStrategy": {"rollingUpdate": rolling}}});
        let mut scene = Scene::new(with(set("one"), strategy), &["a", "b", "c", "d", "e"]);
        scene.settle();
        scene.change_set(
            json!({"spec": {"template": {"spec": {"containers": [{"name": "c", "image": "two"}]}}}}),
        );
        scene.carry_out();
        let told = scene.told();
        let count = |verb: &str| told.iter().filter(|told| told.starts_with(verb)).count();
        assert_eq!((count("Delete pods"), count("Create pods")), (deleted, created), "{rolling} {told:?}");
        scene.settle();
        assert!(scene.pods().iter().all(|pod| pod["spec"]["containers"][0]["image"] == "two"));
        assert_eq!(
            scene.status(),
            json!({
                "currentNumberScheduled": 5, "desiredNumberScheduled": 5, "numberAvailable": 5, "numberMisscheduled": 0,
                "numberReady": 5, "numberUnavailable": 0, "observedGeneration": 2, "updatedNumberScheduled": 5,
            })
        );
    }
}

#[test]
fn pods_that_are_of_no_use_do_not_spare_those_that_are() {
    let mut scene = Scene::new(set("one"), &["a", "b", "c"]);
    scene.settle();
    let broken = scene.pods().remove(1);
    scene.put_pod(with(broken.clone(), json!({"status": {"conditions": []}})));
    scene
        .change_set(json!({"spec": {"template": {"spec": {"containers": [{"name": "c", "image": "two"}]}}}}));
    scene.carry_out();
    let name = broken["metadata"]["name"].as_str().unwrap();
    let deletions: Vec<String> =
        scene.told().into_iter().filter(|told| told.starts_with("Delete pods")).collect();
    assert_eq!(deletions, [format!("Delete pods/ns/{name}")]);
}

#[test]
fn a_pod_never_has_the_name_of_one_before_it() {
    let mut scene = Scene::new(set("one"), &["n"]);
    let mut names = BTreeSet::new();
    for _ in 0..20 {
        scene.settle();
        let pod = scene.pods().remove(0);
        let name = pod["metadata"]["name"].as_str().unwrap().to_owned();
        assert!(name.starts_with("agent-") && name.len() == "agent-".len() + 5, "{name}");
        assert!(names.insert(name), "{names:?}");
        scene.world.remove(Resource::PODS, &pod);
    }
    // Another run knows nothing of these.
    scene.controller = DaemonSets::new(8);
    scene.world.tell_all(&mut scene.controller, at(scene.now));
    scene.settle();
    assert!(!names.contains(scene.pods()[0]["metadata"]["name"].as_str().unwrap()));
}

#[test]
fn a_creation_whose_answer_was_lost_is_not_doubled() {
    let mut scene = Scene::new(set("one"), &["n"]);
    scene.carry_out();
    let creation = scene.plan().requests.into_iter().find(|request| request.verb == Verb::Create).unwrap();
    assert_eq!(creation.target.resource, Resource::PODS);
    // It was carried out, and neither an answer nor a watch has told of it.
    scene.world.put(Resource::PODS, creation.body.clone());
    let again = scene.controller.plan(at(scene.now)).requests;
    assert!(again.iter().any(|request| request.target == creation.target), "the same name: {again:?}");
}

#[test]
fn on_delete_waits_for_somebody_to_delete() {
    let mut scene =
        Scene::new(with(set("one"), json!({"spec": {"updateStrategy": {"type": "OnDelete"}}})), &["a", "b"]);
    scene.settle();
    scene
        .change_set(json!({"spec": {"template": {"spec": {"containers": [{"name": "c", "image": "two"}]}}}}));
    scene.settle();
    assert_eq!(scene.status()["updatedNumberScheduled"], 0);
    let pod = scene.pods().remove(0);
    scene.world.remove(Resource::PODS, &pod);
    scene.settle();
    assert_eq!(scene.status()["updatedNumberScheduled"], 1);
}

#[test]
fn a_pod_is_available_after_it_has_been_ready_for_long_enough() {
    let mut scene = Scene::new(with(set("one"), json!({"spec": {"minReadySeconds": 30}})), &["n"]);
    scene.carry_out();
    scene.carry_out();
    let pod = scene.pods().remove(0);
    scene.put_pod(started(pod, 10));
    scene.now = 20;
    scene.carry_out();
    let plan = scene.plan();
    assert_eq!((plan.requests, plan.again), (vec![], Some(at(40))));
    assert_eq!((&scene.status()["numberReady"], &scene.status()["numberAvailable"]), (&json!(1), &json!(0)));
    scene.now = 40;
    scene.carry_out();
    assert_eq!(scene.status()["numberAvailable"], 1);
    assert_eq!(scene.plan(), Plan::default());
}

#[test]
fn failed_pods_are_replaced_more_and_more_slowly() {
    let mut scene = Scene::new(set("one"), &["n"]);
    scene.settle();
    let fail = |scene: &mut Scene| {
        let pod = scene.pods().remove(0);
        scene.put_pod(with(started(pod, 0), json!({"status": {"phase": "Failed"}})));
    };
    for wait in [0, 1, 2, 4] {
        fail(&mut scene);
        let start = scene.now;
        if wait > 0 {
            let plan = scene.plan();
            assert_eq!(plan.again, Some(at(start + wait)));
            assert!(!scene.told().iter().any(|told| told.starts_with("Delete")), "after {wait}");
        }
        scene.now += wait;
        assert!(scene.told().iter().any(|told| told.starts_with("Delete pods")), "after {wait}");
        scene.carry_out();
        act(&mut scene.world, scene.now);
        scene.carry_out();
        assert_eq!(scene.pods().len(), 1);
    }
    fail(&mut scene);
    scene.now += 3600;
    assert!(scene.told().iter().any(|told| told.starts_with("Delete pods")));
}

#[test]
fn another_template_does_not_wait_for_what_the_one_before_has_earned() {
    let mut scene = Scene::new(set("one"), &["n"]);
    scene.settle();
    let fail = |scene: &mut Scene| {
        let pod = scene.pods().remove(0);
        scene.put_pod(with(started(pod, 0), json!({"status": {"phase": "Failed", "conditions": []}})));
    };
    for wait in [0, 1, 2, 4] {
        fail(&mut scene);
        scene.now += wait;
        scene.carry_out();
        act(&mut scene.world, scene.now);
        scene.carry_out();
    }
    fail(&mut scene);
    assert!(!scene.told().iter().any(|told| told.starts_with("Delete pods")), "it would be the fifth");
    let better = json!({"spec": {"template": {"spec": {"containers": [{"name": "c", "image": "two"}]}}}});
    scene.change_set(better);
    for _ in 0..4 {
        scene.carry_out();
        act(&mut scene.world, scene.now);
    }
    assert_eq!(scene.pods().remove(0)["spec"]["containers"][0]["image"], "two");
    fail(&mut scene);
    assert!(scene.told().iter().any(|told| told.starts_with("Delete pods")), "its first failure");
}

#[test]
fn history_is_kept_deduplicated_and_cut() {
    let image = |image: &str| json!({"spec": {"template": {"spec": {"containers": [{"name": "c", "image": image}]}}}});
    let mut scene = Scene::new(with(set("one"), json!({"spec": {"revisionHistoryLimit": 2}})), &["n"]);
    scene.settle();
    let named = |revisions: &[(&str, i64)]| -> Vec<(String, i64)> {
        revisions.iter().map(|(image, number)| ((*image).to_owned(), *number)).collect()
    };
    for (template, wanted) in [
        ("one", named(&[("one", 1)])),
        ("two", named(&[("one", 1), ("two", 2)])),
        ("one", named(&[("two", 2), ("one", 3)])),
        ("three", named(&[("two", 2), ("one", 3), ("three", 4)])),
        ("four", named(&[("one", 3), ("three", 4), ("four", 5)])),
    ] {
        scene.change_set(image(template));
        scene.settle();
        assert_eq!(scene.revisions(), wanted);
    }
}

#[test]
fn a_revision_of_another_under_the_name_is_a_collision() {
    let mut scene = Scene::new(set("one"), &["n"]);
    let name = scene.plan().requests[0].target.name.clone();
    scene.world.put(
        Resource::CONTROLLER_REVISIONS,
        json!({"metadata": {"name": name, "namespace": "ns"}, "data": {}}),
    );
    scene.settle();
    assert_eq!(scene.status()["collisionCount"], 1);
    assert_eq!((scene.world.all(Resource::CONTROLLER_REVISIONS).len(), scene.pods().len()), (2, 1));
}

#[test]
fn doubles_of_a_revision_are_merged_without_a_rollout() {
    let mut scene = Scene::new(set("one"), &["n"]);
    scene.settle();
    let mut double = scene.world.all(Resource::CONTROLLER_REVISIONS).remove(0);
    for (member, value) in [("name", json!("agent-old")), ("uid", Value::Null)] {
        double["metadata"][member] = value;
    }
    double["metadata"]["labels"]["controller-revision-hash"] = json!("old");
    double["revision"] = json!(0);
    scene.world.put(Resource::CONTROLLER_REVISIONS, double);
    let pod = scene.pods().remove(0);
    scene.put_pod(with(pod.clone(), json!({"metadata": {"labels": {"controller-revision-hash": "old"}}})));
    scene.settle();
    assert_eq!(scene.pods()[0]["metadata"]["uid"], pod["metadata"]["uid"]);
    assert_eq!(scene.pods()[0]["metadata"]["labels"], pod["metadata"]["labels"]);
    assert_eq!(scene.revisions(), [("one".to_owned(), 1)]);
}

#[test]
fn pods_are_adopted_and_released_by_their_labels() {
    let mut scene = Scene::new(set("one"), &["n"]);
    scene.settle();
    let mine = scene.pods().remove(0);
    let released = with(mine.clone(), json!({"metadata": {"labels": {"app": "other"}}}));
    scene.put_pod(released);
    scene.settle();
    let pods = scene.pods();
    assert_eq!(pods.len(), 2, "one let go, one in its place");
    let let_go = pods.iter().find(|pod| pod["metadata"]["name"] == mine["metadata"]["name"]).unwrap();
    assert_eq!(let_go["metadata"]["ownerReferences"], json!([]));
    scene.put_pod(with(let_go.clone(), json!({"metadata": {"labels": {"app": "agent"}}})));
    scene.settle();
    // Of two on a node the older stays.
    let pods = scene.pods();
    assert_eq!((pods.len(), &pods[0]["metadata"]["uid"]), (1, &mine["metadata"]["uid"]));
    assert_eq!(pods[0]["metadata"]["ownerReferences"][0]["uid"], "uid-agent");
}

#[test]
fn a_set_that_goes_and_pods_of_a_node_that_is_gone() {
    let mut scene = Scene::new(set("one"), &["n", "m"]);
    scene.carry_out();
    scene.carry_out();
    scene.world.remove(Resource::NODES, &node("m"));
    let stranded = scene.pods().into_iter().find(|pod| affinity_of(pod) == "m").unwrap();
    let deletion = format!("Delete pods/ns/{}", stranded["metadata"]["name"].as_str().unwrap());
    assert!(scene.told().contains(&deletion));
    let mut going = scene.world.get(Resource::DAEMON_SETS, "ns", "agent").unwrap().clone();
    mark_deleted(&mut going, Some("foregroundDeletion"));
    scene.world.put(Resource::DAEMON_SETS, going);
    assert_eq!(scene.told(), Vec::<String>::new());
}

#[test]
fn one_plan_makes_a_bounded_number_of_pods() {
    let nodes: Vec<String> = (0..600).map(|number| format!("n{number}")).collect();
    let nodes: Vec<&str> = nodes.iter().map(String::as_str).collect();
    let mut scene = Scene::new(set("one"), &nodes);
    scene.carry_out();
    for made in [250, 250, 100, 0] {
        let plan = scene.plan();
        let names: BTreeSet<String> = plan
            .requests
            .iter()
            .filter(|request| request.verb == Verb::Create)
            .map(|request| request.target.name.clone())
            .collect();
        assert_eq!(names.len(), made);
        scene.carry_out();
    }
}
