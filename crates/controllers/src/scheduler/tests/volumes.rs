//! Pods and their claims.

use serde_json::{Value, json};

use super::super::*;
use super::{node, outcome, pod, with_storage};

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
            let scheduler = with_storage(
                vec![node("n", json!({}))],
                vec![pod(name, volumes)],
                claims.clone(),
                vec![json!({"metadata": {"name": "pv"}, "spec": {}})],
                vec![],
                vec![],
            );
            let found = outcome(&scheduler).remove(0).1;
            if name == "p" {
                assert_eq!(found, wanted);
            } else {
                let wanted = "0/1 nodes are available: waiting for ephemeral volume controller to create the \
                              persistentvolumeclaim \"da-ta\".";
                assert_eq!(found, wanted);
            }
        }
    }
}

fn wants(claim: &str) -> Value {
    json!({"volumes": [{"name": "v", "persistentVolumeClaim": {"claimName": claim}}]})
}

fn claim(name: &str, class: &str, volume: Option<&str>) -> Value {
    let mut claim = json!({
        "metadata": {"name": name, "namespace": "ns", "uid": format!("uid-{name}"), "resourceVersion": "8"},
        "spec": {"storageClassName": class, "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
        "status": {"phase": "Pending"},
    });
    if let Some(volume) = volume {
        claim["metadata"]["annotations"] = json!({"pv.kubernetes.io/bind-completed": "yes"});
        claim["spec"]["volumeName"] = json!(volume);
        claim["status"]["phase"] = json!("Bound");
    }
    claim
}

fn volume(name: &str, node: Option<&str>) -> Value {
    let mut volume = json!({
        "metadata": {"name": name, "resourceVersion": "9"},
        "spec": {
            "storageClassName": "slow", "accessModes": ["ReadWriteOnce"], "capacity": {"storage": "1Gi"},
            "csi": {"driver": "d", "volumeHandle": name},
        },
        "status": {"phase": "Available"},
    });
    if let Some(node) = node {
        volume["spec"]["nodeAffinity"] = json!({"required": {"nodeSelectorTerms": [{"matchExpressions": [
            {"key": "kubernetes.io/hostname", "operator": "In", "values": [node]},
        ]}]}});
    }
    volume
}

fn class(name: &str, provisioner: &str) -> Value {
    json!({"metadata": {"name": name}, "provisioner": provisioner, "volumeBindingMode": "WaitForFirstConsumer"})
}

#[test]
fn a_pod_goes_where_its_volume_is() {
    for (volume, wanted) in [
        (volume("pv", Some("b")), "b"),
        (volume("pv", None), "a"),
        (
            volume("pv", Some("c")),
            "0/2 nodes are available: 2 node(s) didn't match PersistentVolume's node affinity.",
        ),
        (
            volume("another", None),
            "0/2 nodes are available: 2 node(s) unavailable due to one or more pvc(s) bound to non-existent pv(s).",
        ),
    ] {
        let scheduler = with_storage(
            vec![node("a", json!({})), node("b", json!({}))],
            vec![pod("p", wants("data"))],
            vec![claim("data", "slow", Some("pv"))],
            vec![volume],
            vec![],
            vec![],
        );
        assert_eq!(outcome(&scheduler)[0].1, wanted);
    }
}

#[test]
fn a_claim_that_waits_for_its_first_consumer_is_bound_where_the_pod_fits() {
    let plan = |volumes: Vec<Value>, provisioner: &str, claim: Value| {
        let nodes =
            vec![node("a", json!({"unschedulable": true})), node("b", json!({})), node("c", json!({}))];
        let pods = vec![pod("p", wants("data"))];
        let scheduler =
            with_storage(nodes, pods, vec![claim], volumes, vec![class("slow", provisioner)], vec![]);
        scheduler.plan(Timestamp::UNIX_EPOCH).requests
    };
    let waiting = claim("data", "slow", None);
    // The volume that can be reached where the pod can be is reserved; the pod waits until it is bound.
    let reserved = plan(vec![volume("pa", Some("a")), volume("pc", Some("c"))], "", waiting.clone());
    assert_eq!((reserved.len(), &*reserved[0].target.to_string()), (1, "persistentvolumes/pc"));
    assert_eq!(reserved[0].body["spec"]["claimRef"]["uid"], "uid-data");
    let mut mine = volume("pc", Some("c"));
    mine["spec"]["claimRef"] = json!({"namespace": "ns", "name": "data", "uid": "uid-data"});
    assert_eq!(plan(vec![mine], "", waiting.clone()), [], "once is enough");
    // Without one, a provisioner is told where.
    let told = plan(vec![], "p.example", waiting.clone());
    assert_eq!(told[0].target.to_string(), "persistentvolumeclaims/ns/data");
    assert_eq!(told[0].body["metadata"]["annotations"], json!({"volume.kubernetes.io/selected-node": "b"}));
    let mut selected = waiting.clone();
    selected["metadata"]["annotations"] = json!({"volume.kubernetes.io/selected-node": "c"});
    assert_eq!(plan(vec![], "p.example", selected), [], "it stays with what was told");
    // Nobody makes one.
    let refused = plan(vec![], "kubernetes.io/no-provisioner", waiting);
    assert_eq!(
        refused[0].body["status"]["conditions"][0]["message"],
        "0/3 nodes are available: 1 node(s) were unschedulable, 2 node(s) didn't find available persistent volumes to bind. \
         no new claims to deallocate, preemption: 0/3 nodes are available: 3 Preemption is not helpful for scheduling."
    );
}

#[test]
fn two_pods_do_not_get_one_volume() {
    let pods = vec![pod("p", wants("one")), pod("q", wants("two"))];
    let claims = vec![claim("one", "slow", None), claim("two", "slow", None)];
    let volumes = vec![volume("pv", None), volume("pw", None)];
    let classes = vec![class("slow", "")];
    let scheduler = with_storage(vec![node("n", json!({}))], pods, claims, volumes, classes, vec![]);
    let reserved: Vec<String> = scheduler
        .plan(Timestamp::UNIX_EPOCH)
        .requests
        .iter()
        .map(|request| request.target.to_string())
        .collect();
    assert_eq!(reserved, ["persistentvolumes/pv", "persistentvolumes/pw"]);
}

/// What a plan for the pods `p` and `q`, which share a claim that waits for them, writes to anything but pods.
fn written_for_a_shared_claim(volumes: Vec<Value>, provisioner: &str) -> Vec<String> {
    let nodes = vec![node("a", json!({})), node("b", json!({}))];
    let pods = vec![pod("p", wants("data")), pod("q", wants("data"))];
    let claims = vec![claim("data", "slow", None)];
    let scheduler = with_storage(nodes, pods, claims, volumes, vec![class("slow", provisioner)], vec![]);
    let plan = scheduler.plan(Timestamp::UNIX_EPOCH).requests.into_iter();
    plan.map(|request| request.target.to_string()).collect()
}

#[test]
fn a_claim_of_two_pods_is_granted_once() {
    for (why, volumes, provisioner, wanted) in [
        ("on any node", vec![volume("pa", None), volume("pb", None)], "", "persistentvolumes/pa"),
        ("on one node", vec![volume("pa", Some("a")), volume("pb", Some("b"))], "", "persistentvolumes/pa"),
        ("to be made", vec![], "p.example", "persistentvolumeclaims/ns/data"),
    ] {
        assert_eq!(written_for_a_shared_claim(volumes, provisioner), [wanted], "{why}");
    }
}

#[test]
fn the_claim_of_an_ephemeral_volume_is_the_pods_own() {
    let volumes = json!({"volumes": [{"name": "v", "ephemeral": {"volumeClaimTemplate": {}}}]});
    let owned_by =
        |uid: &str| json!([{"apiVersion": "v1", "kind": "Pod", "name": "p", "uid": uid, "controller": true}]);
    let foreign = "0/1 nodes are available: PVC ns/p-v was not created for pod ns/p (pod is not owner).";
    for (owners, wanted) in
        [(owned_by("uid-p"), "n"), (owned_by("uid-of-an-earlier-pod"), foreign), (json!([]), foreign)]
    {
        let mut claim = claim("p-v", "slow", Some("pv"));
        claim["metadata"]["ownerReferences"] = owners;
        let scheduler = with_storage(
            vec![node("n", json!({}))],
            vec![pod("p", volumes.clone())],
            vec![claim],
            vec![volume("pv", None)],
            vec![],
            vec![],
        );
        assert_eq!(outcome(&scheduler)[0].1, wanted);
    }
}

#[test]
fn a_claim_that_a_pod_names_twice_needs_one_volume() {
    let volume_of = |name: &str| json!({"name": name, "persistentVolumeClaim": {"claimName": "data"}});
    let twice = json!({"volumes": [volume_of("one"), volume_of("two")]});
    for (why, volumes, provisioner, wanted) in [
        ("there is one", vec![volume("pv", None)], "", "persistentvolumes/pv"),
        ("one is made", vec![], "p.example", "persistentvolumeclaims/ns/data"),
    ] {
        let scheduler = with_storage(
            vec![node("n", json!({}))],
            vec![pod("p", twice.clone())],
            vec![claim("data", "slow", None)],
            volumes,
            vec![class("slow", provisioner)],
            vec![],
        );
        let plan = scheduler.plan(Timestamp::UNIX_EPOCH).requests.into_iter();
        let written: Vec<String> = plan.map(|request| request.target.to_string()).collect();
        assert_eq!(written, [wanted], "{why}");
    }
}

#[test]
fn a_pod_does_not_go_where_the_volume_of_its_claim_is_not_to_be() {
    let cramped = |name: &str| {
        let mut node = node(name, json!({}));
        node["status"]["allocatable"]["pods"] = json!("1");
        node
    };
    for (why, volumes, provisioner) in [
        ("it is reserved", vec![volume("pa", Some("a")), volume("pb", Some("b"))], ""),
        ("it is to be made", vec![], "p.example"),
    ] {
        let scheduler = with_storage(
            vec![cramped("a"), cramped("b")],
            vec![pod("p", wants("data")), pod("q", wants("data"))],
            vec![claim("data", "slow", None)],
            volumes,
            vec![class("slow", provisioner)],
            vec![],
        );
        let plan = scheduler.plan(Timestamp::UNIX_EPOCH).requests;
        let refused: Vec<&Value> =
            plan.iter().filter_map(|request| request.body.pointer("/status/conditions/0/message")).collect();
        assert_eq!((plan.len(), refused.len()), (2, 1), "{why}");
        let message = refused[0].as_str().unwrap_or_default();
        let wanted = "0/2 nodes are available: 1 Too many pods, \
                      1 node(s) didn't find available persistent volumes to bind.";
        assert!(message.starts_with(wanted), "{why}: {message}");
    }
}

#[test]
fn a_driver_takes_only_so_many_volumes_on_a_node() {
    let mut there = pod("there", wants("one"));
    there["spec"]["nodeName"] = json!("n");
    for (count, claim_of_pod, wanted) in [
        (Some(2), "two", "n"),
        (Some(1), "two", "0/1 nodes are available: 1 node(s) exceed max volume count."),
        // The volume is there already.
        (Some(1), "one", "n"),
        (None, "two", "n"),
    ] {
        let allocatable = count.map(|count| json!({"count": count}));
        let csi_node = json!({
            "metadata": {"name": "n"}, "spec": {"drivers": [{"name": "d", "nodeID": "n", "allocatable": allocatable}]},
        });
        let scheduler = with_storage(
            vec![node("n", json!({}))],
            vec![there.clone(), pod("p", wants(claim_of_pod))],
            vec![claim("one", "slow", Some("pv")), claim("two", "slow", Some("pw"))],
            vec![volume("pv", None), volume("pw", None)],
            vec![],
            vec![csi_node],
        );
        assert_eq!(outcome(&scheduler)[0].1, wanted, "{count:?} {claim_of_pod}");
    }
}

#[test]
fn volumes_that_a_driver_is_still_to_make_count_once_each() {
    let csi_node = json!({
        "metadata": {"name": "n"}, "spec": {"drivers": [{"name": "d", "nodeID": "n", "allocatable": {"count": 1}}]},
    });
    let mut there = pod("there", wants("one"));
    there["spec"]["nodeName"] = json!("n");
    let full = "0/1 nodes are available: 1 node(s) exceed max volume count.";
    for (why, pods, told, refused) in [
        ("this plan", vec![pod("p", wants("one")), pod("q", wants("two"))], vec!["one"], vec![full]),
        ("of a pod that is there", vec![there.clone(), pod("q", wants("two"))], vec![], vec![full]),
        ("one for both", vec![pod("p", wants("one")), pod("q", wants("one"))], vec!["one"], vec![]),
        ("its own", vec![there, pod("q", wants("one"))], vec!["one"], vec![]),
    ] {
        let scheduler = with_storage(
            vec![node("n", json!({}))],
            pods,
            vec![claim("one", "slow", None), claim("two", "slow", None)],
            vec![],
            vec![class("slow", "d")],
            vec![csi_node.clone()],
        );
        let plan = scheduler.plan(Timestamp::UNIX_EPOCH).requests;
        let selected: Vec<&str> = plan
            .iter()
            .filter(|request| request.target.resource == Resource::PERSISTENT_VOLUME_CLAIMS)
            .map(|request| &*request.target.name)
            .collect();
        let messages: Vec<&str> = plan
            .iter()
            .filter_map(|request| request.body.pointer("/status/conditions/0/message")?.as_str())
            .filter_map(|message| message.split(" no new claims").next())
            .collect();
        assert_eq!((selected, messages), (told, refused), "{why}");
    }
}

#[test]
fn a_claim_for_one_pod_alone_is_not_shared() {
    let exclusive = |name: &str| {
        let mut claim = claim(name, "slow", Some("pv"));
        claim["spec"]["accessModes"] = json!(["ReadWriteOncePod"]);
        claim
    };
    let mut there = pod("there", wants("data"));
    there["spec"]["nodeName"] = json!("n");
    let mut done = there.clone();
    done["status"]["phase"] = json!("Succeeded");
    let mut elsewhere = there.clone();
    elsewhere["metadata"]["namespace"] = json!("other");
    let in_use = "0/1 nodes are available: 1 node(s) unavailable due to PersistentVolumeClaim with ReadWriteOncePod \
                  access mode already in-use by another pod.";
    for (other, wanted) in [(there, in_use), (done, "n"), (elsewhere, "n")] {
        let scheduler = with_storage(
            vec![node("n", json!({}))],
            vec![other, pod("p", wants("data"))],
            vec![exclusive("data")],
            vec![volume("pv", None)],
            vec![],
            vec![],
        );
        assert_eq!(outcome(&scheduler)[0].1, wanted);
    }
}
