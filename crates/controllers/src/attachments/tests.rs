//! Attachments against values.

use super::*;
use crate::world::{World, merge};

fn at() -> Timestamp {
    Timestamp::UNIX_EPOCH
}

fn pod(name: &str, node: &str) -> Value {
    json!({
        "metadata": {"name": name, "namespace": "ns"},
        "spec": {"nodeName": node, "volumes": [{"name": "v", "persistentVolumeClaim": {"claimName": "data"}}]},
    })
}

fn scene(modes: &[&str], driver: Option<Value>, pods: &[Value]) -> (World, Attachments) {
    let mut world = World::default();
    for node in ["n", "m"] {
        world.put(Resource::NODES, json!({"metadata": {"name": node}}));
    }
    world.put(
        Resource::PERSISTENT_VOLUME_CLAIMS,
        json!({
            "metadata": {
                "name": "data", "namespace": "ns", "uid": "uid-data",
                "annotations": {"pv.kubernetes.io/bind-completed": "yes"},
            },
            "spec": {"volumeName": "pv"},
        }),
    );
    world.put(
        Resource::PERSISTENT_VOLUMES,
        json!({
            "metadata": {"name": "pv"},
            "spec": {
                "accessModes": modes, "claimRef": {"namespace": "ns", "name": "data", "uid": "uid-data"},
                "csi": {"driver": "d.example", "volumeHandle": "h"},
            },
        }),
    );
    if let Some(spec) = driver {
        world.put(Resource::CSI_DRIVERS, json!({"metadata": {"name": "d.example"}, "spec": spec}));
    }
    for pod in pods {
        world.put(Resource::PODS, pod.clone());
    }
    let mut controller = Attachments::new();
    world.tell_all(&mut controller, at());
    (world, controller)
}

fn settled(modes: &[&str], driver: Option<Value>, pods: &[Value]) -> World {
    let (mut world, mut controller) = scene(modes, driver, pods);
    world.settle(&mut controller, at, |_| {});
    world
}

/// The driver's attacher does its part.
fn attach_all(world: &mut World) {
    for mut attachment in world.all(Resource::VOLUME_ATTACHMENTS) {
        merge(&mut attachment, json!({"status": {"attached": true}}));
        world.put(Resource::VOLUME_ATTACHMENTS, attachment);
    }
}

fn nodes_of(world: &World) -> Vec<String> {
    let all = world.all(Resource::VOLUME_ATTACHMENTS).into_iter();
    let mut nodes: Vec<String> =
        all.map(|attachment| attachment["spec"]["nodeName"].as_str().unwrap().to_owned()).collect();
    nodes.sort();
    nodes
}

fn shown(world: &World) -> Value {
    world.get(Resource::NODES, "", "n").unwrap()["status"]["volumesAttached"].clone()
}

#[test]
fn what_is_attached_where() {
    let mut finished = pod("p", "n");
    finished["status"] = json!({"phase": "Succeeded"});
    let many = &["ReadWriteMany"][..];
    let one = &["ReadWriteOnce"][..];
    let both = [pod("p", "n"), pod("q", "m")];
    for (why, modes, driver, pods, wanted) in [
        ("a pod", one, Some(json!({})), &[pod("p", "n")][..], &["n"][..]),
        ("two on a node", one, Some(json!({})), &[pod("p", "n"), pod("q", "n")], &["n"]),
        ("no driver", one, None, &[pod("p", "n")], &["n"]),
        ("nothing to attach", one, Some(json!({"attachRequired": false})), &[pod("p", "n")], &[]),
        ("not scheduled", one, Some(json!({})), &[pod("p", "")], &[]),
        ("no such node", one, Some(json!({})), &[pod("p", "gone")], &[]),
        ("done", one, Some(json!({})), &[finished], &[]),
        ("many places", many, Some(json!({})), &both, &["m", "n"]),
        // The first by the attachment's name: whoever comes second must wait.
        ("one place for two at once", one, Some(json!({})), &both, &["m"]),
    ] {
        assert_eq!(nodes_of(&settled(modes, driver, pods)), wanted, "{why}");
    }
    let world = settled(one, None, &[pod("p", "n")]);
    let attachment = world.all(Resource::VOLUME_ATTACHMENTS).remove(0);
    // As the node names it: SHA-256 of handle, driver and node.
    assert_eq!(attachment["metadata"]["name"], name("h", "d.example", "n"));
    assert_eq!(
        attachment["spec"],
        json!({"attacher": "d.example", "nodeName": "n", "source": {"persistentVolumeName": "pv"}})
    );
}

#[test]
fn the_name_is_upstreams() {
    // `echo -n handle-1test-driverfakeNode | sha256sum`
    assert_eq!(
        name("handle-1", "test-driver", "fakeNode"),
        "csi-8743f954982b7138c084abb068c8cae56610b986179f681faf04c824e235c41b"
    );
}

#[test]
fn a_volume_for_one_place_moves_when_it_has_left_the_other() {
    let (mut world, mut controller) = scene(&["ReadWriteOnce"], None, &[pod("p", "n")]);
    world.settle(&mut controller, at, |_| {});
    attach_all(&mut world);
    world.settle(&mut controller, at, |_| {});
    let in_use = json!([{"name": "kubernetes.io/csi/d.example^h", "devicePath": ""}]);
    assert_eq!(shown(&world), in_use);

    let node = world.get(Resource::NODES, "", "n").unwrap().clone();
    let mut busy = node.clone();
    merge(&mut busy, json!({"status": {"volumesInUse": ["kubernetes.io/csi/d.example^h"]}}));
    world.put(Resource::NODES, busy);
    world.put(Resource::PODS, pod("q", "m"));
    world.remove(Resource::PODS, &pod("p", "n"));
    world.settle(&mut controller, at, |_| {});
    assert_eq!((nodes_of(&world), shown(&world)), (vec!["n".to_owned()], in_use), "still mounted");

    world.put(Resource::NODES, node);
    world.tell(&mut controller, at());
    let plan = controller.plan(at()).requests;
    assert_eq!((plan.len(), &*plan[0].target.to_string()), (1, "nodes/n/status"), "first it leaves the list");
    world.settle(&mut controller, at, |_| {});
    assert_eq!((nodes_of(&world), shown(&world)), (vec!["m".to_owned()], json!([])));
}

#[test]
fn attachments_that_others_made_are_theirs() {
    let (mut world, mut controller) = scene(&["ReadWriteOnce"], None, &[]);
    world.put(
        Resource::VOLUME_ATTACHMENTS,
        json!({
            "metadata": {"name": "mine"},
            "spec": {"attacher": "d.example", "nodeName": "n", "source": {"persistentVolumeName": "pv"}},
        }),
    );
    world.settle(&mut controller, at, |_| {});
    assert_eq!(nodes_of(&world), ["n"]);
}

/// What a node says of itself: whether it is well, and that the volume is in use.
fn says(world: &World, node: &str, ready: &str, in_use: bool) -> Value {
    let mut said = world.get(Resource::NODES, "", node).unwrap().clone();
    let used = if in_use { json!([SHOWN]) } else { json!([]) };
    let ready = json!([{"type": "Ready", "status": ready}]);
    merge(&mut said, json!({"status": {"volumesInUse": used, "conditions": ready}}));
    said
}

const SHOWN: &str = "kubernetes.io/csi/d.example^h";

fn second(seconds: i64) -> Timestamp {
    Timestamp::from_second(seconds).unwrap()
}

/// Attached to `n` and mounted there; then the pod is gone.
fn left_behind() -> (World, Attachments) {
    let (mut world, mut controller) = scene(&["ReadWriteOnce"], None, &[pod("p", "n")]);
    world.settle(&mut controller, at, |_| {});
    attach_all(&mut world);
    world.put(Resource::NODES, says(&world, "n", "True", true));
    world.settle(&mut controller, at, |_| {});
    world.remove(Resource::PODS, &pod("p", "n"));
    world.settle(&mut controller, at, |_| {});
    assert_eq!(nodes_of(&world), ["n"], "still mounted");
    (world, controller)
}

fn settle_at(world: &mut World, controller: &mut Attachments, seconds: i64) {
    world.settle(controller, || second(seconds), |_| {});
}

#[test]
fn a_node_that_is_not_well_gets_six_minutes() {
    for (why, ready, detached_at) in
        [("well", "True", None), ("quiet", "Unknown", Some(360)), ("ill", "False", Some(360))]
    {
        let (mut world, mut controller) = left_behind();
        world.put(Resource::NODES, says(&world, "n", ready, true));
        settle_at(&mut world, &mut controller, 359);
        assert_eq!(nodes_of(&world), ["n"], "{why}");
        let again = controller.plan(second(359)).again;
        assert_eq!(again, detached_at.map(second), "{why}");
        settle_at(&mut world, &mut controller, 360);
        assert_eq!(nodes_of(&world).is_empty(), detached_at.is_some(), "{why}");
        assert_eq!(shown(&world) == json!([]), detached_at.is_some(), "{why}: the list goes first");
    }
}

#[test]
fn a_volume_that_is_wanted_again_starts_its_time_anew() {
    let (mut world, mut controller) = left_behind();
    world.put(Resource::NODES, says(&world, "n", "Unknown", true));
    world.put(Resource::PODS, pod("q", "n"));
    settle_at(&mut world, &mut controller, 300);
    world.remove(Resource::PODS, &pod("q", "n"));
    settle_at(&mut world, &mut controller, 301);
    settle_at(&mut world, &mut controller, 660);
    assert_eq!(nodes_of(&world), ["n"]);
    settle_at(&mut world, &mut controller, 661);
    assert_eq!(nodes_of(&world), [""; 0]);
}

#[test]
fn a_node_out_of_service_is_not_waited_for() {
    let (mut world, mut controller) = left_behind();
    let mut node = says(&world, "n", "Unknown", true);
    merge(
        &mut node,
        json!({"spec": {"taints": [
            {"key": "node.kubernetes.io/out-of-service", "value": "nodeshutdown", "effect": "NoExecute"},
        ]}}),
    );
    world.put(Resource::NODES, node);
    settle_at(&mut world, &mut controller, 1);
    assert_eq!(nodes_of(&world), [""; 0]);
}

#[test]
fn what_a_node_that_is_gone_said_last_counts() {
    for (why, in_use, detached_at_once) in [("mounted", true, false), ("unmounted", false, true)] {
        let (mut world, mut controller) = scene(&["ReadWriteOnce"], None, &[pod("p", "n")]);
        world.settle(&mut controller, at, |_| {});
        attach_all(&mut world);
        world.put(Resource::NODES, says(&world, "n", "True", in_use));
        world.settle(&mut controller, at, |_| {});
        let node = world.get(Resource::NODES, "", "n").unwrap().clone();
        world.remove(Resource::NODES, &node);
        settle_at(&mut world, &mut controller, 1);
        assert_eq!(nodes_of(&world), ["n"], "{why}: the pod still wants it");
        world.remove(Resource::PODS, &pod("p", "n"));
        settle_at(&mut world, &mut controller, 2);
        assert_eq!(nodes_of(&world).is_empty(), detached_at_once, "{why}");
        settle_at(&mut world, &mut controller, 362);
        assert_eq!(nodes_of(&world), [""; 0], "{why}");
    }
    // After a restart nobody knows what it said.
    let (mut world, mut controller) = left_behind();
    let node = world.get(Resource::NODES, "", "n").unwrap().clone();
    world.remove(Resource::NODES, &node);
    world.tell(&mut controller, at());
    let mut restarted = Attachments::new();
    world.tell_all(&mut restarted, second(1000));
    settle_at(&mut world, &mut restarted, 1000);
    assert_eq!(nodes_of(&world), ["n"]);
    settle_at(&mut world, &mut restarted, 1360);
    assert_eq!(nodes_of(&world), [""; 0]);
}
