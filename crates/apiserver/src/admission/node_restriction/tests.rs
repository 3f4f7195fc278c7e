//! Every rule of what a node may write, beside its tokens.

use serde_json::json;
use tokenward_store::{Key, Store, Unstamped};

use super::*;
use crate::index::Index;

/// A cluster in which the node `n1` exists, with the uid `u1`.
async fn cluster() -> ClusterView {
    let store = Store::memory(Index::of);
    let node = json!({"metadata": {"name": "n1", "uid": "u1"}});
    let encoded = tokenward_kube_schema::encode(node.as_object().unwrap());
    let key = Key::new("nodes", None, "n1").unwrap();
    store.create(key, Unstamped::new(encoded.bytes, encoded.stamp_at)).await.unwrap();
    ClusterView::new(store)
}

fn object(json: Value) -> Object {
    match json {
        Value::Object(members) => members,
        other => panic!("wanted an object, found {other}"),
    }
}

fn told(outcome: Result<(), ApiError>) -> String {
    outcome.map_or_else(|error| error.to_string(), |()| "admitted".to_owned())
}

fn mirror() -> Value {
    json!({
        "metadata": {"name": "m", "annotations": {"kubernetes.io/config.mirror": "x"}, "ownerReferences": [
            {"apiVersion": "v1", "kind": "Node", "name": "n1", "uid": "u1", "controller": true}]},
        "spec": {"nodeName": "n1", "containers": [{"name": "c", "image": "i"}], "volumes": [{"name": "v", "hostPath": {"path": "/"}}]},
    })
}

/// The mirror pod with one member of it replaced.
fn changed(pointer: &str, value: Value) -> Value {
    let mut pod = mirror();
    *pod.pointer_mut(pointer).unwrap() = value;
    pod
}

#[tokio::test]
async fn only_mirror_pods_of_its_own_that_name_nothing_are_made() {
    let cluster = cluster().await;
    let owner = "/metadata/ownerReferences";
    let first = |member: &str| format!("{owner}/0/{member}");
    let volumes = |source: Value| {
        let mut volume = source;
        volume["name"] = "v".into();
        changed("/spec/volumes", json!([volume]))
    };
    let mut with_account = mirror();
    with_account["spec"]["serviceAccountName"] = "web".into();
    let mut with_block = mirror();
    with_block["metadata"]["ownerReferences"][0]["blockOwnerDeletion"] = true.into();
    let references = "node \"n1\" can not create pods that reference";
    let table = [
        (mirror(), "admitted".to_owned()),
        (
            changed("/metadata/annotations", json!({})),
            "pods \"m\" is forbidden: pod does not have \"kubernetes.io/config.mirror\" annotation, node \"n1\" can only create mirror pods".to_owned(),
        ),
        (changed("/spec/nodeName", "n2".into()), "spec.nodeName set to itself".to_owned()),
        (changed(owner, json!([])), "can only create pods with an owner reference set to itself".to_owned()),
        (
            changed(owner, json!([{}, {}])),
            "can only create pods with a single owner reference set to itself".to_owned(),
        ),
        (
            changed(&first("kind"), "Pod".into()),
            "can only create pods with an owner reference set to itself".to_owned(),
        ),
        (
            changed(&first("controller"), false.into()),
            "can only create pods with a controller owner reference set to itself".to_owned(),
        ),
        (with_block, "node \"n1\" must not set blockOwnerDeletion on an owner reference".to_owned()),
        (changed(&first("uid"), "u2".into()), "node n1 UID mismatch: expected u2 got u1".to_owned()),
        (with_account, format!("{references} serviceaccounts")),
        (volumes(json!({"secret": {"secretName": "s"}})), format!("{references} secrets")),
        (volumes(json!({"configMap": {"name": "c"}})), format!("{references} configmaps")),
        (
            volumes(json!({"projected": {"sources": [{"clusterTrustBundle": {"path": "p"}}]}})),
            format!("{references} clustertrustbundles"),
        ),
        (
            volumes(json!({"persistentVolumeClaim": {"claimName": "c"}})),
            format!("{references} persistentvolumeclaims"),
        ),
        (volumes(json!({"csi": {"driver": "d"}})), format!("{references} csidrivers (via CSI volumes)")),
        (
            volumes(json!({"ephemeral": {"volumeClaimTemplate": {}}})),
            format!("{references} persistentvolumeclaims (via ephemeral volumes)"),
        ),
        (
            volumes(json!({"projected": {"sources": [{"downwardAPI": {}}, {"serviceAccountToken": {"path": "t"}}]}})),
            format!("{references} serviceaccounts (via projected volumes)"),
        ),
        (
            volumes(json!({"glusterfs": {"endpoints": "e", "path": "p"}})),
            format!("{references} endpoints (via glusterFS volumes)"),
        ),
        (
            changed("/spec/containers", json!([{"envFrom": [{"secretRef": {"name": "s"}}]}])),
            format!("{references} secrets"),
        ),
    ];
    for (pod, expected) in table {
        let pod = object(pod);
        let (namespace, name) = ("ns", "m");
        let operation = Operation::Create { new: &pod };
        let found =
            told(admit(NodeWrite { node: "n1", collection: "pods", namespace, name, operation }, &cluster));
        assert!(found.ends_with(&expected), "wanted {expected}, found {found}");
    }
}

#[tokio::test]
async fn every_other_write() {
    let cluster = cluster().await;
    let of = |value: &Value| object(value.clone());
    let own = json!({"metadata": {"labels": {"a": "b"}}, "spec": {"nodeName": "n1"}, "status": {"phase": "Running"}});
    let mut relabelled = own.clone();
    relabelled["metadata"]["labels"] = json!({"a": "c"});
    let mut claimed = own.clone();
    claimed["status"]["resourceClaimStatuses"] = json!([{"name": "x"}]);
    let mut finished = own.clone();
    finished["status"]["phase"] = "Failed".into();
    let foreign = json!({"spec": {"nodeName": "n2"}});
    let node = |labels: Value| json!({"metadata": {"name": "n1", "labels": labels}, "spec": {"taints": []}});
    let plain = node(json!({"kubernetes.io/hostname": "n1"}));
    let mut tainted = plain.clone();
    tainted["spec"]["taints"] = json!([{"key": "k", "effect": "NoSchedule"}]);
    let mut owned = plain.clone();
    owned["metadata"]["ownerReferences"] = json!([{"name": "x"}]);
    let mut configured = plain.clone();
    configured["spec"]["configSource"] = json!({"configMap": {}});
    let labelled = node(
        json!({"kubernetes.io/hostname": "n1", "node-restriction.kubernetes.io/x": "1", "example.k8s.io/y": "1",
        "kubelet.kubernetes.io/z": "1", "example.com/w": "1"}),
    );
    let claim = json!({"metadata": {"resourceVersion": "1"}, "spec": {}, "status": {"phase": "Bound"}});
    let grown = json!({"metadata": {"resourceVersion": "2"}, "spec": {}, "status": {"phase": "Bound", "capacity": {"storage": "2Gi"}}});
    let renamed = json!({"metadata": {"labels": {"a": "b"}}, "spec": {}, "status": {"phase": "Bound"}});
    let (status, whole) = (Part::Status, Part::Object);
    let no_labels = "is not allowed to modify labels: example.k8s.io/y, node-restriction.kubernetes.io/x";
    let update: [(&str, Part, &Value, &Value, &str); 16] = [
        ("pods", status, &finished, &own, "admitted"),
        ("pods", status, &relabelled, &own, "node \"n1\" cannot update labels through pod status"),
        ("pods", status, &claimed, &own, "node \"n1\" cannot update resource claim statues"),
        (
            "pods",
            status,
            &foreign,
            &foreign,
            "can only update pod status for pods with spec.nodeName set to itself",
        ),
        (
            "pods",
            whole,
            &own,
            &own,
            "unexpected operation \"UPDATE\", node \"n1\" can only create and delete mirror pods",
        ),
        ("nodes", whole, &plain, &plain, "admitted"),
        ("nodes", status, &tainted, &plain, "node \"n1\" is not allowed to modify taints"),
        ("nodes", whole, &labelled, &plain, no_labels),
        ("nodes", whole, &plain, &labelled, no_labels),
        ("nodes", whole, &owned, &plain, "node \"n1\" is not allowed to modify ownerReferences"),
        (
            "nodes",
            whole,
            &configured,
            &plain,
            "is not allowed to update configSource to a new non-nil configSource",
        ),
        ("nodes", whole, &configured, &configured, "admitted"),
        ("persistentvolumeclaims", status, &grown, &claim, "admitted"),
        (
            "persistentvolumeclaims",
            status,
            &renamed,
            &claim,
            "node \"n1\" is not allowed to update fields other than status.capacity and status.conditions: metadata",
        ),
        ("persistentvolumeclaims", whole, &claim, &claim, "may only update PVC status"),
        ("storage.k8s.io/csinodes", whole, &plain, &plain, "admitted"),
    ];
    for (collection, part, new, old, expected) in update {
        let (new, old) = (of(new), of(old));
        let operation = Operation::Update { part, new: &new, old: &old };
        let write = NodeWrite { node: "n1", collection, namespace: "ns", name: "n1", operation };
        let found = told(admit(write, &cluster));
        assert!(found.ends_with(expected), "wanted {expected}, found {found}");
    }
    let (own, foreign, plain) = (of(&own), of(&foreign), of(&plain));
    let (labelled, configured) = (of(&labelled), of(&configured));
    let delete = |old| Operation::Delete { old };
    let create = |new| Operation::Create { new };
    let others: [(&str, &str, &str, &str, Operation<'_>, &str); 13] = [
        ("n1", "pods", "ns", "p", delete(&own), "admitted"),
        (
            "n1",
            "pods",
            "ns",
            "p",
            delete(&foreign),
            "node \"n1\" can only delete pods with spec.nodeName set to itself",
        ),
        ("n1", "nodes", "", "n1", create(&plain), "admitted"),
        ("n1", "nodes", "", "n2", create(&plain), "node \"n1\" is not allowed to modify node \"n2\""),
        (
            "n1",
            "nodes",
            "",
            "n1",
            create(&labelled),
            "node \"n1\" is not allowed to set the following labels: example.k8s.io/y, node-restriction.kubernetes.io/x",
        ),
        (
            "n1",
            "nodes",
            "",
            "n1",
            create(&configured),
            "not allowed to create pods with a non-nil configSource",
        ),
        ("n1", "coordination.k8s.io/leases", "kube-node-lease", "n1", create(&plain), "admitted"),
        (
            "n1",
            "coordination.k8s.io/leases",
            "ns",
            "n1",
            create(&plain),
            "can only access leases in the \"kube-node-lease\" system namespace",
        ),
        (
            "n1",
            "coordination.k8s.io/leases",
            "kube-node-lease",
            "n2",
            delete(&plain),
            "can only access node lease with the same name as the requesting node",
        ),
        (
            "n1",
            "storage.k8s.io/csinodes",
            "",
            "n2",
            delete(&plain),
            "csinodes.storage.k8s.io \"n2\" is forbidden: can only access CSINode with the same name as the requesting node",
        ),
        ("n1", "persistentvolumeclaims", "ns", "c", delete(&plain), "may only update PVC status"),
        ("n1", "events", "ns", "e", create(&plain), "admitted"),
        ("", "events", "ns", "e", create(&plain), "could not determine node from user \"system:node:\""),
    ];
    for (node, collection, namespace, name, operation, expected) in others {
        let found = told(admit(NodeWrite { node, collection, namespace, name, operation }, &cluster));
        assert!(found.ends_with(expected), "wanted {expected}, found {found}");
    }
}
