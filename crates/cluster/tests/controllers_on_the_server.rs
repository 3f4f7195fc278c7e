//! The controllers over the API server in the same process, with no node but the test itself: what each side takes for
//! granted of the other holds.
#![expect(clippy::unwrap_used, reason = "functions outside #[test] in a test file")]

use std::time::Duration;

use serde_json::{Value, json};
use tokenward_apiserver::Client;
use tokenward_cluster::control_plane::{ControlPlane, ControlPlaneConfig};
use tokenward_kube_rules::FeatureGates;

const PODS: &str = "/api/v1/namespaces/shop/pods";
const SETS: &str = "/apis/apps/v1/namespaces/shop/daemonsets";
const REVISIONS: &str = "/apis/apps/v1/namespaces/shop/controllerrevisions";

async fn start() -> (ControlPlane, Client) {
    let config = ControlPlaneConfig::new(FeatureGates::default()).unwrap();
    let control_plane = ControlPlane::start(config).await.unwrap();
    let client = control_plane.admin();
    client.create("/api/v1/namespaces", &json!({"metadata": {"name": "shop"}})).await.unwrap();
    until("the account", || async {
        client.get("/api/v1/namespaces/shop/serviceaccounts/default").await.is_ok()
    })
    .await;
    (control_plane, client)
}

/// Asks until it is so.
async fn until<F: Future<Output = bool>>(what: &str, mut is_so: impl FnMut() -> F) {
    let limit = tokio::time::timeout(Duration::from_secs(60), async {
        while !is_so().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    assert!(limit.await.is_ok(), "in vain: {what}");
}

async fn items(client: &Client, path: &str) -> Vec<Value> {
    client.get(path).await.unwrap()["items"].as_array().unwrap().clone()
}

async fn add_node(client: &Client, name: &str) {
    let node = json!({"metadata": {"name": name, "labels": {"kubernetes.io/hostname": name}}});
    client.create("/api/v1/nodes", &node).await.unwrap();
    let status = json!({"status": {
        "conditions": [{"type": "Ready", "status": "True"}],
        "allocatable": {"cpu": "2", "pods": "10"},
    }});
    client.merge_patch(&format!("/api/v1/nodes/{name}/status"), &status).await.unwrap();
}

/// What a node does: starts what it is given, and stops what is to stop.
async fn act(client: &Client) {
    for pod in items(client, PODS).await {
        let path = format!("{PODS}/{}", pod["metadata"]["name"].as_str().unwrap());
        if pod["spec"]["nodeName"].is_null() {
            continue;
        }
        if !pod["metadata"]["deletionTimestamp"].is_null() {
            let _ = client.delete(&path, Some(&json!({"gracePeriodSeconds": 0}))).await;
        } else if pod["status"]["phase"] != "Running" {
            let ready =
                json!({"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"});
            let running = json!({"status": {"phase": "Running", "conditions": [ready]}});
            let _ = client.merge_patch(&format!("{path}/status"), &running).await;
        }
    }
}

fn set(image: &str) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": {"name": "agent"},
        "spec": {
            "selector": {"matchLabels": {"app": "agent"}},
            "template": {
                "metadata": {"labels": {"app": "agent"}},
                "spec": {"containers": [{"name": "c", "image": image}]},
            },
        },
    })
}

async fn runs(client: &Client, image: &str, nodes: usize) -> bool {
    act(client).await;
    let set = client.get(&format!("{SETS}/agent")).await.unwrap();
    let status = &set["status"];
    let pods = items(client, PODS).await;
    pods.len() == nodes
        && pods.iter().all(|pod| pod["spec"]["containers"][0]["image"] == image)
        && status["observedGeneration"] == set["metadata"]["generation"]
        && [&status["numberAvailable"], &status["updatedNumberScheduled"]]
            .iter()
            .all(|number| **number == nodes)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_set_from_creation_to_foreground_deletion() {
    let (control_plane, client) = start().await;
    add_node(&client, "a").await;
    add_node(&client, "b").await;
    client.create(SETS, &set("one")).await.unwrap();
    until("two pods", || runs(&client, "one", 2)).await;
    let template = |image: &str| json!({"spec": {"template": {"spec": {"containers": [{"name": "c", "image": image}]}}}});
    client.merge_patch(&format!("{SETS}/agent"), &template("two")).await.unwrap();
    until("the update", || runs(&client, "two", 2)).await;
    client.merge_patch(&format!("{SETS}/agent"), &template("one")).await.unwrap();
    until("the way back", || runs(&client, "one", 2)).await;
    let mut numbers: Vec<i64> = items(&client, REVISIONS)
        .await
        .iter()
        .map(|revision| revision["revision"].as_i64().unwrap())
        .collect();
    numbers.sort_unstable();
    assert_eq!(numbers, [2, 3], "what was taken up again is the newest");

    let options = json!({"propagationPolicy": "Foreground"});
    client.delete(&format!("{SETS}/agent"), Some(&options)).await.unwrap();
    until("all gone", || async {
        act(&client).await;
        let set_is_there = client.get(&format!("{SETS}/agent")).await.is_ok();
        let pods = items(&client, PODS).await.len();
        assert!(set_is_there || pods == 0, "the set went before its pods");
        !set_is_there && items(&client, REVISIONS).await.is_empty()
    })
    .await;
    control_plane.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn orphans_stay_and_are_adopted_again() {
    let (control_plane, client) = start().await;
    add_node(&client, "a").await;
    client.create(SETS, &set("one")).await.unwrap();
    until("a pod", || runs(&client, "one", 1)).await;
    let before = items(&client, PODS).await.remove(0);
    let options = json!({"propagationPolicy": "Orphan"});
    client.delete(&format!("{SETS}/agent"), Some(&options)).await.unwrap();
    until("the set gone", || async { client.get(&format!("{SETS}/agent")).await.is_err() }).await;
    let orphan = items(&client, PODS).await.remove(0);
    assert_eq!(
        (&orphan["metadata"]["uid"], &orphan["metadata"]["ownerReferences"]),
        (&before["metadata"]["uid"], &Value::Null)
    );
    client.create(SETS, &set("one")).await.unwrap();
    until("the pod taken", || runs(&client, "one", 1)).await;
    assert_eq!(items(&client, PODS).await[0]["metadata"]["uid"], before["metadata"]["uid"]);
    control_plane.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_namespace_is_furnished_emptied_and_gone() {
    let (control_plane, client) = start().await;
    let bundle = "/api/v1/namespaces/shop/configmaps/kube-root-ca.crt";
    until("the bundle", || async { client.get(bundle).await.is_ok() }).await;
    let wanted = control_plane.authority().certificate_pem();
    assert_eq!(client.get(bundle).await.unwrap()["data"], json!({"ca.crt": wanted}));
    client.merge_patch(bundle, &json!({"data": {"ca.crt": "forged", "more": "x"}})).await.unwrap();
    until("the repair", || async { client.get(bundle).await.unwrap()["data"] == json!({"ca.crt": wanted}) })
        .await;

    add_node(&client, "a").await;
    client.create(SETS, &set("one")).await.unwrap();
    until("a pod", || runs(&client, "one", 1)).await;
    let claim = json!({
        "metadata": {"name": "data"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
    });
    client.create("/api/v1/namespaces/shop/persistentvolumeclaims", &claim).await.unwrap();
    client.delete("/api/v1/namespaces/shop", None).await.unwrap();
    until("the namespace gone", || async {
        act(&client).await;
        client.get("/api/v1/namespaces/shop").await.is_err()
    })
    .await;
    for path in [
        PODS,
        SETS,
        REVISIONS,
        "/api/v1/namespaces/shop/persistentvolumeclaims",
        "/api/v1/namespaces/shop/secrets",
    ] {
        assert!(items(&client, path).await.is_empty(), "{path}");
    }
    control_plane.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claim_of_an_ephemeral_volume_is_bound_where_the_pod_fits_attached_and_let_go() {
    let (control_plane, client) = start().await;
    add_node(&client, "a").await;
    add_node(&client, "b").await;
    let class = json!({
        "metadata": {"name": "local"}, "provisioner": "kubernetes.io/no-provisioner",
        "volumeBindingMode": "WaitForFirstConsumer",
    });
    client.create("/apis/storage.k8s.io/v1/storageclasses", &class).await.unwrap();
    let volume = json!({
        "metadata": {"name": "pv"},
        "spec": {
            "capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"], "storageClassName": "local",
            "csi": {"driver": "d.example", "volumeHandle": "h"},
            "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [
                {"key": "kubernetes.io/hostname", "operator": "In", "values": ["b"]},
            ]}]}},
        },
    });
    client.create("/api/v1/persistentvolumes", &volume).await.unwrap();
    let pod = json!({
        "metadata": {"name": "p"},
        "spec": {
            "containers": [{"name": "c", "image": "i"}],
            "volumes": [{"name": "v", "ephemeral": {"volumeClaimTemplate": {"spec": {
                "accessModes": ["ReadWriteOnce"], "storageClassName": "local",
                "resources": {"requests": {"storage": "1Gi"}},
            }}}}],
        },
    });
    client.create(PODS, &pod).await.unwrap();
    until("the pod placed", || async {
        client.get(&format!("{PODS}/p")).await.unwrap()["spec"]["nodeName"] == "b"
    })
    .await;
    let attachments = "/apis/storage.k8s.io/v1/volumeattachments";
    until("the attachment", || async { items(&client, attachments).await.len() == 1 }).await;
    assert_eq!(items(&client, attachments).await[0]["spec"]["nodeName"], "b");
    client.delete(&format!("{PODS}/p"), Some(&json!({"gracePeriodSeconds": 0}))).await.unwrap();
    until("claim and attachment gone", || async {
        let claim = client.get("/api/v1/namespaces/shop/persistentvolumeclaims/p-v").await;
        claim.is_err() && items(&client, attachments).await.is_empty()
    })
    .await;
    until("the volume released", || async {
        client.get("/api/v1/persistentvolumes/pv").await.unwrap()["status"]["phase"] == "Released"
    })
    .await;
    control_plane.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn room_is_made_for_a_more_important_pod() {
    let (control_plane, client) = start().await;
    add_node(&client, "a").await;
    let pod = |name: &str, class: &str| {
        let resources = json!({"requests": {"cpu": "2"}});
        json!({
            "metadata": {"name": name},
            "spec": {
                "priorityClassName": class,
                "containers": [{"name": "c", "image": "i", "resources": resources}],
            },
        })
    };
    client.create(PODS, &pod("low", "")).await.unwrap();
    let node_of = |pod: Value| pod["spec"]["nodeName"].clone();
    until("the first placed", || async { node_of(client.get(&format!("{PODS}/low")).await.unwrap()) == "a" })
        .await;
    act(&client).await;
    client.create(PODS, &pod("high", "system-node-critical")).await.unwrap();
    until("the nomination", || async {
        client.get(&format!("{PODS}/high")).await.unwrap()["status"]["nominatedNodeName"] == "a"
    })
    .await;
    until("the end of the first", || async {
        !client.get(&format!("{PODS}/low")).await.unwrap()["metadata"]["deletionTimestamp"].is_null()
    })
    .await;
    let ending = client.get(&format!("{PODS}/low")).await.unwrap();
    let conditions = ending["status"]["conditions"].as_array().unwrap();
    let reason =
        |kind: &str| conditions.iter().find(|condition| condition["type"] == kind).unwrap()["reason"].clone();
    assert_eq!(reason("DisruptionTarget"), "PreemptionByScheduler");
    assert_eq!(reason("Ready"), Value::Null, "the others stay");
    act(&client).await;
    until("the second placed", || async {
        node_of(client.get(&format!("{PODS}/high")).await.unwrap()) == "a"
    })
    .await;
    let placed = client.get(&format!("{PODS}/high")).await.unwrap();
    assert_eq!(placed["status"]["nominatedNodeName"], Value::Null);
    until("the Event", || async {
        items(&client, "/api/v1/namespaces/shop/events")
            .await
            .iter()
            .any(|event| event["reason"] == "Preempted")
    })
    .await;
    control_plane.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn evictions_spend_what_the_controller_has_counted() {
    let (control_plane, client) = start().await;
    add_node(&client, "a").await;
    for name in ["one", "two"] {
        let pod = json!({
            "metadata": {"name": name, "labels": {"app": "web"}},
            "spec": {"containers": [{"name": "c", "image": "i"}]},
        });
        client.create(PODS, &pod).await.unwrap();
    }
    let budgets = "/apis/policy/v1/namespaces/shop/poddisruptionbudgets";
    let spec = json!({"minAvailable": 1, "selector": {"matchLabels": {"app": "web"}}});
    client.create(budgets, &json!({"metadata": {"name": "web"}, "spec": spec})).await.unwrap();
    let status = || async { client.get(&format!("{budgets}/web")).await.unwrap()["status"].clone() };
    until("both pods counted", || async {
        act(&client).await;
        status().await["disruptionsAllowed"] == 1
    })
    .await;
    let evict = async |name: &str| {
        let eviction = json!({"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name}});
        client.create(&format!("{PODS}/{name}/eviction"), &eviction).await
    };
    evict("one").await.unwrap();
    let refused = evict("two").await.unwrap_err();
    assert_eq!(refused.code().map(|code| code.as_u16()), Some(429), "{refused}");
    until("the first pod gone and no longer waited for", || async {
        act(&client).await;
        let status = status().await;
        status["expectedPods"] == 1 && status["disruptedPods"].is_null()
    })
    .await;
    let counted = status().await;
    assert_eq!((&counted["currentHealthy"], &counted["disruptionsAllowed"]), (&json!(1), &json!(0)));
    assert_eq!(counted["conditions"][0]["reason"], "InsufficientPods");
    control_plane.stop().await.unwrap();
}
