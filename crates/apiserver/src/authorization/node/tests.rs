//! Every row of what a node may do, against one cluster: two nodes, their pods, and what those use.

use serde_json::{Value, json};
use tokenward_store::{Key, Store, Unstamped};

use super::*;
use crate::authentication::User;
use crate::authorization::decide as decide_by_all;
use crate::index::Index;

/// `web-0` on `n1` uses the account, secrets, config maps and claims of the test; `away` on `n2` the same account.
async fn cluster() -> ClusterView {
    let store = Store::memory(Index::of);
    let pod = |name: &str, node: &str| {
        json!({"metadata": {"name": name, "namespace": "ns"}, "spec": {
            "nodeName": node, "serviceAccountName": "web",
            "imagePullSecrets": [{"name": "pull"}],
            "containers": [{"name": "c", "envFrom": [{"configMapRef": {"name": "env"}}]}],
            "volumes": [
                {"name": "s", "secret": {"secretName": "mounted"}},
                {"name": "p", "projected": {"sources": [{"configMap": {"name": "ca"}}]}},
                {"name": "d", "persistentVolumeClaim": {"claimName": "data"}},
                {"name": "e", "ephemeral": {}},
            ],
        }})
    };
    let mut mirror = pod("mirror", "n3");
    mirror["metadata"]["annotations"] = json!({"kubernetes.io/config.mirror": "x"});
    let objects: [(&'static str, Option<&str>, &str, Value); 9] = [
        ("pods", Some("ns"), "web-0", pod("web-0", "n1")),
        ("pods", Some("ns"), "pending", pod("pending", "")),
        ("pods", Some("ns"), "mirror", mirror),
        ("pods", Some("other"), "away", json!({"spec": {"nodeName": "n2", "serviceAccountName": "web"}})),
        ("persistentvolumeclaims", Some("ns"), "data", json!({"spec": {"volumeName": "pv"}})),
        ("persistentvolumeclaims", Some("ns"), "web-0-e", json!({"spec": {"volumeName": "pv-e"}})),
        (
            "persistentvolumes",
            None,
            "pv",
            json!({"spec": {"csi": {"driver": "d", "nodePublishSecretRef": {"namespace": "vault", "name": "key"}}}}),
        ),
        ("persistentvolumes", None, "pv-e", json!({"spec": {}})),
        ("storage.k8s.io/volumeattachments", None, "va", json!({"spec": {"nodeName": "n1"}})),
    ];
    for (collection, namespace, name, object) in objects {
        let key = Key::new(collection, namespace, name).unwrap();
        let encoded = tokenward_kube_schema::encode(object.as_object().unwrap());
        store.create(key, Unstamped::new(encoded.bytes, encoded.stamp_at)).await.unwrap();
    }
    ClusterView::new(store)
}

/// `verb group/resource[/subresource] namespace/name`, a dash for what is empty.
fn ask(line: &'static str) -> ResourceAttributes<'static> {
    let words: Vec<&str> = line.split(' ').collect();
    let empty = |word: &'static str| if word == "-" { "" } else { word };
    let what: Vec<&str> = words[1].split('/').collect();
    let (namespace, name) = words[2].split_once('/').unwrap();
    ResourceAttributes {
        verb: words[0],
        group: empty(what[0]),
        resource: what[1],
        subresource: what.get(2).copied().unwrap_or(""),
        namespace: empty(namespace),
        name: empty(name),
    }
}

const UNRELATED: &str = "no relationship found between node 'n1' and this object";
const TOKENS: &str = "can only create tokens for individual service accounts";
const GET: &str = "can only get individual resources of this type";
const LEASE: &str = "can only get, create, update, patch, or delete a node lease";
const SAME_LEASE: &str = "can only access node lease with the same name as the requesting node";
const SAME_CSI_NODE: &str = "can only access CSINode with the same name as the requesting node";
const SELECTOR: &str = "can only list/watch pods with spec.nodeName field selector";

#[tokio::test]
async fn every_row() {
    // Nothing is said of a request that is allowed.
    let table: &[(&str, Result<(), &str>)] = &[
        ("create -/serviceaccounts/token ns/web", Ok(())),
        ("create -/serviceaccounts/token ns/idle", Err(UNRELATED)),
        ("create -/serviceaccounts/token other/web", Err(UNRELATED)),
        ("create -/serviceaccounts/token ns/-", Err(TOKENS)),
        ("create -/serviceaccounts ns/web", Err("can only create token subresource of serviceaccount")),
        ("get -/serviceaccounts ns/web", Ok(())),
        ("get -/serviceaccounts ns/idle", Err(UNRELATED)),
        ("list -/serviceaccounts ns/-", Err(TOKENS)),
        ("delete -/serviceaccounts ns/web", Err(TOKENS)),
        ("get -/secrets ns/pull", Ok(())),
        ("get -/secrets ns/mounted", Ok(())),
        ("watch -/secrets ns/mounted", Ok(())),
        ("get -/secrets ns/other", Err(UNRELATED)),
        // The secret of the volume that the claim is bound to, in its own namespace only.
        ("get -/secrets vault/key", Ok(())),
        ("get -/secrets ns/key", Err(UNRELATED)),
        ("list -/secrets ns/-", Err("No Object name found")),
        ("list -/secrets -/mounted", Err("can only read namespaced object of this type")),
        ("delete -/secrets ns/mounted", Err("can only read resources of this type")),
        ("get -/secrets/status ns/mounted", Err("cannot read subresource")),
        ("get -/configmaps ns/env", Ok(())),
        ("list -/configmaps ns/ca", Ok(())),
        ("get -/configmaps ns/mounted", Err(UNRELATED)),
        ("get -/persistentvolumeclaims ns/data", Ok(())),
        ("get -/persistentvolumeclaims ns/web-0-e", Ok(())),
        ("get -/persistentvolumeclaims ns/other", Err(UNRELATED)),
        ("list -/persistentvolumeclaims ns/-", Err(GET)),
        ("get -/persistentvolumeclaims/resize ns/data", Err("cannot get subresource")),
        ("patch -/persistentvolumeclaims/status ns/data", Ok(())),
        ("update -/persistentvolumeclaims/status ns/other", Err(UNRELATED)),
        ("get -/persistentvolumeclaims/status ns/data", Err("can only get/update/patch this type")),
        ("get -/persistentvolumes -/pv", Ok(())),
        ("get -/persistentvolumes -/pv-e", Ok(())),
        ("get -/persistentvolumes -/other", Err(UNRELATED)),
        ("list -/persistentvolumes -/-", Err(GET)),
        ("get storage.k8s.io/volumeattachments -/va", Ok(())),
        ("get storage.k8s.io/volumeattachments -/none", Err(UNRELATED)),
        ("list storage.k8s.io/volumeattachments -/-", Err(GET)),
        ("get -/pods ns/web-0", Ok(())),
        ("get -/pods ns/pending", Err(UNRELATED)),
        ("list -/pods -/-", Err(SELECTOR)),
        ("watch -/pods ns/web-0", Ok(())),
        ("watch -/pods ns/pending", Err(UNRELATED)),
        ("create -/pods ns/-", Ok(())),
        ("delete -/pods ns/web-0", Ok(())),
        ("update -/pods ns/web-0", Err("")),
        ("patch -/pods/status ns/web-0", Ok(())),
        ("create -/pods/eviction ns/web-0", Ok(())),
        ("create -/pods/binding ns/web-0", Err("")),
        ("get -/nodes -/n1", Ok(())),
        ("watch -/nodes -/n1", Ok(())),
        ("get -/nodes -/n2", Err("node 'n1' cannot read 'n2', only its own Node object")),
        ("list -/nodes -/-", Err("node 'n1' cannot read all nodes, only its own Node object")),
        ("create -/nodes -/-", Ok(())),
        ("patch -/nodes/status -/n1", Ok(())),
        ("get -/nodes/status -/n1", Err("")),
        ("delete -/nodes -/n1", Err("")),
        ("get coordination.k8s.io/leases kube-node-lease/n1", Ok(())),
        ("create coordination.k8s.io/leases kube-node-lease/-", Ok(())),
        ("update coordination.k8s.io/leases kube-node-lease/n2", Err(SAME_LEASE)),
        ("list coordination.k8s.io/leases kube-node-lease/-", Err(LEASE)),
        (
            "get coordination.k8s.io/leases ns/n1",
            Err("can only access leases in the \"kube-node-lease\" system namespace"),
        ),
        ("patch storage.k8s.io/csinodes -/n1", Ok(())),
        ("get storage.k8s.io/csinodes -/n2", Err(SAME_CSI_NODE)),
        ("list storage.k8s.io/csinodes -/-", Err("can only get, create, update, patch, or delete a CSINode")),
        ("update storage.k8s.io/csinodes/status -/n1", Err("cannot authorize CSINode subresources")),
        ("list storage.k8s.io/csidrivers -/-", Ok(())),
        ("watch storage.k8s.io/csidrivers -/d", Ok(())),
        ("patch storage.k8s.io/csidrivers -/d", Err("")),
        ("create -/events ns/-", Ok(())),
        ("list -/events ns/-", Err("")),
        ("list -/services -/-", Ok(())),
        ("create authentication.k8s.io/tokenreviews -/-", Ok(())),
        ("create authorization.k8s.io/subjectaccessreviews -/-", Ok(())),
        ("create authorization.k8s.io/localsubjectaccessreviews ns/-", Ok(())),
        ("create certificates.k8s.io/certificatesigningrequests -/-", Ok(())),
        ("list storage.k8s.io/storageclasses -/-", Err("")),
        ("get apps/daemonsets ns/d", Err("")),
    ];
    let cluster = cluster().await;
    for (line, expected) in table {
        let access = Attributes::Resource(ask(line)).into();
        let expected = match expected {
            Ok(()) => Decision::Allowed(String::new()),
            Err(reason) => refuse(reason),
        };
        assert_eq!(decide("n1", &access, &cluster), expected, "{line}");
    }
}

#[tokio::test]
async fn pods_are_listed_by_the_node_s_own_selector() {
    let cluster = cluster().await;
    let listing =
        |selected_node| Access { attributes: Attributes::Resource(ask("list -/pods -/-")), selected_node };
    assert_eq!(decide("n1", &listing(Some("n1")), &cluster), allow());
    assert_eq!(decide("n1", &listing(Some("n2")), &cluster), refuse(SELECTOR));
}

#[tokio::test]
async fn a_mirror_pod_leads_to_nothing_but_itself() {
    let cluster = cluster().await;
    let may = |line| decide("n3", &Attributes::Resource(ask(line)).into(), &cluster) == allow();
    assert!(may("get -/pods ns/mirror"));
    for line in [
        "get -/secrets ns/mounted",
        "get -/configmaps ns/ca",
        "create -/serviceaccounts/token ns/web",
        "get -/persistentvolumeclaims ns/data",
        "get -/persistentvolumes -/pv",
        "get -/secrets vault/key",
    ] {
        assert!(!may(line), "{line}");
    }
}

#[tokio::test]
async fn a_node_without_a_name_is_nobody() {
    let cluster = cluster().await;
    let nameless = User::authenticated("system:node:", ["system:nodes".to_owned()]);
    let access = Attributes::Resource(ask("list storage.k8s.io/csidrivers -/-")).into();
    let refused = refuse("unknown node for user \"system:node:\"");
    assert_eq!(decide_by_all(&nameless, &access, &cluster), refused);
    let stranger = User::authenticated("system:node:n1", []);
    assert_eq!(decide_by_all(&stranger, &access, &cluster), refuse(""));
}
