//! The kinds through the whole server: what is filled in, what may change, what is refused. The rules one by one stand
//! beside their code; here they meet requests.

use futures_util::StreamExt as _;
use http::StatusCode;
use serde_json::{Value, json};
use tokenward_apiserver::{Client, forget_old_events};

use crate::testbed::{PODS, Testbed, pod};

const NS: &str = "/api/v1/namespaces/apps";
const DAEMON_SETS: &str = "/apis/apps/v1/namespaces/apps/daemonsets";
const CLAIMS: &str = "/api/v1/namespaces/apps/persistentvolumeclaims";
const CLASSES: &str = "/apis/storage.k8s.io/v1/storageclasses";

async fn administrator() -> Client {
    let testbed = Testbed::new();
    let (_, admin) = testbed.furnished().await;
    admin
}

fn daemon_set() -> Value {
    json!({
        "metadata": {"name": "d"},
        "spec": {
            "selector": {"matchLabels": {"app": "d"}},
            "template": {"metadata": {"labels": {"app": "d"}}, "spec": {"containers": [{"name": "c", "image": "i:1"}]}},
        },
    })
}

fn claim(name: &str) -> Value {
    let spec = json!({"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}});
    json!({"metadata": {"name": name}, "spec": spec})
}

#[tokio::test]
async fn writing_back_what_was_read_changes_nothing() {
    let admin = administrator().await;
    admin.create(CLASSES, &json!({"metadata": {"name": "fast"}, "provisioner": "a.example"})).await.unwrap();
    let volume = json!({"metadata": {"name": "v"}, "spec": {"capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"], "csi": {"driver": "x.example", "volumeHandle": "h"}}});
    let slice =
        json!({"metadata": {"name": "s"}, "addressType": "IPv4", "endpoints": [], "ports": [{"port": 1}]});
    let hook = json!({"metadata": {"name": "h"}, "webhooks": [{"name": "a.b.c", "sideEffects": "None", "admissionReviewVersions": ["v1"], "clientConfig": {"url": "https://h"}}]});
    let attachment = json!({"metadata": {"name": "a"}, "spec": {"attacher": "x.example", "nodeName": "n1", "source": {"persistentVolumeName": "v"}}});
    let csi_node = json!({"metadata": {"name": "n1"}, "spec": {"drivers": [{"name": "x.example", "nodeID": "n", "topologyKeys": []}]}});
    let secret = json!({"metadata": {"name": "s"}, "stringData": {"a": "b"}});
    let lease = json!({"metadata": {"name": "l"}, "spec": {"leaseDurationSeconds": 3}});
    let revision = json!({"metadata": {"name": "r"}, "data": {"a": [1, {"b": null}]}, "revision": 1});
    let mut rich_pod = pod("p");
    rich_pod["spec"]["volumes"] = json!([{"name": "v"}, {"name": "t", "csi": {"driver": "x.example"}}]);
    rich_pod["spec"]["tolerations"] = json!([]);
    for (collection, object) in [
        (DAEMON_SETS, daemon_set()),
        (CLAIMS, claim("c")),
        (PODS, rich_pod),
        ("/api/v1/persistentvolumes", volume),
        ("/api/v1/nodes", json!({"metadata": {"name": "n2"}})),
        (&format!("{NS}/secrets"), secret),
        (&format!("{NS}/configmaps"), json!({"metadata": {"name": "m"}, "data": {}})),
        (&format!("{NS}/serviceaccounts"), json!({"metadata": {"name": "a"}, "secrets": [{"name": "s"}]})),
        ("/apis/discovery.k8s.io/v1/namespaces/apps/endpointslices", slice),
        ("/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations", hook),
        ("/apis/storage.k8s.io/v1/volumeattachments", attachment),
        ("/apis/storage.k8s.io/v1/csinodes", csi_node),
        ("/apis/coordination.k8s.io/v1/namespaces/apps/leases", lease),
        ("/apis/apps/v1/namespaces/apps/controllerrevisions", revision),
    ] {
        let made = admin
            .create(collection, &object)
            .await
            .unwrap_or_else(|error| panic!("{collection}: {error}"))
            .object;
        let path = format!("{collection}/{}", made["metadata"]["name"].as_str().unwrap());
        let written =
            admin.update(&path, &made).await.unwrap_or_else(|error| panic!("{path}: {error}")).object;
        assert_eq!(written, made, "{path}");
        // And as clients write that leave out what is empty, or write it out.
        let mut spelled = made.clone();
        for member in ["labels", "annotations", "ownerReferences", "finalizers"] {
            if spelled["metadata"].get(member).is_none() {
                spelled["metadata"][member] = Value::Null;
            }
        }
        assert_eq!(admin.update(&path, &spelled).await.unwrap().object, made, "{path}");
    }
}

#[tokio::test]
async fn a_daemon_set_counts_its_specs_and_keeps_its_status_apart() {
    let admin = administrator().await;
    admin.create(DAEMON_SETS, &daemon_set()).await.unwrap();
    let path = format!("{DAEMON_SETS}/d");
    let status =
        json!({"status": {"numberReady": 3, "observedGeneration": 1}, "spec": {"minReadySeconds": 9}});
    let reported = admin.merge_patch(&format!("{path}/status"), &status).await.unwrap().object;
    assert_eq!(
        (&reported["status"]["numberReady"], &reported["metadata"]["generation"]),
        (&json!(3), &json!(1))
    );
    assert!(reported["spec"].get("minReadySeconds").is_none());
    let image = json!({"spec": {"template": {"spec": {"containers": [{"name": "c", "image": "i:2"}]}}}, "status": {"numberReady": 0}});
    let changed = admin.merge_patch(&path, &image).await.unwrap().object;
    assert_eq!(
        (&changed["status"]["numberReady"], &changed["metadata"]["generation"]),
        (&json!(3), &json!(2))
    );
    assert_eq!(changed["metadata"]["annotations"]["deprecated.daemonset.template.generation"], "2");
    let refused = admin
        .merge_patch(&path, &json!({"spec": {"selector": {"matchLabels": {"app": "e"}}}}))
        .await
        .unwrap_err();
    assert_eq!(refused.code(), Some(StatusCode::UNPROCESSABLE_ENTITY));
    let text = refused.to_string();
    assert!(
        text.contains("spec.selector: Invalid value: {\"matchLabels\":{\"app\":\"e\"}}: field is immutable"),
        "{text}"
    );
    let bad = admin
        .merge_patch(&format!("{path}/status"), &json!({"status": {"numberReady": -1}}))
        .await
        .unwrap_err();
    assert!(bad.to_string().contains("status.numberReady: Invalid value: -1"), "{bad}");
}

#[tokio::test]
async fn a_claim_gets_the_default_class_and_grows_only_if_it_may() {
    let admin = administrator().await;
    let before = admin.create(CLAIMS, &claim("early")).await.unwrap().object;
    assert!(before["spec"].get("storageClassName").is_none());
    let annotations = json!({"storageclass.kubernetes.io/is-default-class": "true"});
    let class = json!({"metadata": {"name": "std", "annotations": annotations}, "provisioner": "a.example"});
    admin.create(CLASSES, &class).await.unwrap();
    let late = admin.create(CLAIMS, &claim("late")).await.unwrap().object;
    assert_eq!(late["spec"]["storageClassName"], "std");
    let mut none = claim("none");
    none["spec"]["storageClassName"] = "".into();
    assert_eq!(admin.create(CLAIMS, &none).await.unwrap().object["spec"]["storageClassName"], "");

    let path = format!("{CLAIMS}/late");
    let status = json!({"status": {"phase": "Bound", "capacity": {"storage": "1Gi"}}});
    admin.merge_patch(&format!("{path}/status"), &status).await.unwrap();
    let larger = json!({"spec": {"resources": {"requests": {"storage": "2Gi"}}}});
    let refused = admin.merge_patch(&path, &larger).await.unwrap_err();
    assert_eq!(
        refused.to_string(),
        "persistentvolumeclaims \"late\" is forbidden: only dynamically provisioned pvc can be resized and the storageclass that provisions the pvc must support resize"
    );
    admin.merge_patch(&format!("{CLASSES}/std"), &json!({"allowVolumeExpansion": true})).await.unwrap();
    let grown = admin.merge_patch(&path, &larger).await.unwrap().object;
    assert_eq!(grown["spec"]["resources"]["requests"]["storage"], "2Gi");
    let moved =
        admin.merge_patch(&path, &json!({"spec": {"accessModes": ["ReadOnlyMany"]}})).await.unwrap_err();
    assert!(moved.to_string().contains("spec: Forbidden: spec is immutable after creation"), "{moved}");
}

#[tokio::test]
async fn volumes_and_claims_are_protected_and_dated() {
    let admin = administrator().await;
    let made = admin.create(CLAIMS, &claim("c")).await.unwrap().object;
    assert_eq!(made["metadata"]["finalizers"], json!(["kubernetes.io/pvc-protection"]));
    let path = format!("{CLAIMS}/c");
    admin.delete(&path, None).await.unwrap();
    assert!(
        admin.get(&path).await.unwrap()["metadata"]["deletionTimestamp"].is_string(),
        "it waits for its controller"
    );
    admin.merge_patch(&path, &json!({"metadata": {"finalizers": null}})).await.unwrap();
    assert_eq!(admin.get(&path).await.unwrap_err().code(), Some(StatusCode::NOT_FOUND));
}

#[tokio::test]
async fn new_nodes_are_tainted() {
    let admin = administrator().await;
    let node = admin.create("/api/v1/nodes", &json!({"metadata": {"name": "n9"}})).await.unwrap().object;
    assert_eq!(
        node["spec"]["taints"],
        json!([{"key": "node.kubernetes.io/not-ready", "effect": "NoSchedule"}])
    );
}

#[tokio::test]
async fn what_is_immutable_says_so() {
    let admin = administrator().await;
    let secrets = format!("{NS}/secrets");
    admin
        .create(
            &secrets,
            &json!({"metadata": {"name": "s"}, "immutable": true, "stringData": {"a": "canary"}}),
        )
        .await
        .unwrap();
    let refused =
        admin.merge_patch(&format!("{secrets}/s"), &json!({"stringData": {"a": "other"}})).await.unwrap_err();
    let text = refused.to_string();
    assert_eq!(text, "Secret \"s\" is invalid: data: Forbidden: field is immutable when `immutable` is set");
    let token = json!({"metadata": {"name": "t"}, "type": "kubernetes.io/service-account-token"});
    let refused = admin.create(&secrets, &token).await.unwrap_err();
    assert!(
        refused
            .to_string()
            .contains("metadata.annotations[kubernetes.io/service-account.name]: Required value"),
        "{refused}"
    );
    admin.create(PODS, &pod("p")).await.unwrap();
    let refused =
        admin.merge_patch(&format!("{PODS}/p"), &json!({"spec": {"hostNetwork": true}})).await.unwrap_err();
    assert!(refused.to_string().starts_with("Pod \"p\" is invalid: spec: Forbidden: pod updates may not change fields other than `spec.containers[*].image`,"), "{refused}");
    // What admission has added is added again when a client leaves it out.
    let mut bare = admin.get(&format!("{PODS}/p")).await.unwrap();
    bare["spec"]["tolerations"] = json!([]);
    bare["spec"].as_object_mut().unwrap().remove("priority");
    let kept = admin.update(&format!("{PODS}/p"), &bare).await.unwrap().object;
    assert_eq!(kept["spec"]["tolerations"].as_array().map(Vec::len), Some(2));
    let owners = json!([{"apiVersion": "v1", "kind": "Pod", "name": "p", "uid": ""}]);
    let refused = admin
        .merge_patch(&format!("{PODS}/p"), &json!({"metadata": {"ownerReferences": owners}}))
        .await
        .unwrap_err();
    assert!(
        refused.to_string().contains("metadata.ownerReferences.uid: Invalid value: \"\": must not be empty"),
        "{refused}"
    );
}

#[tokio::test(start_paused = true)]
async fn events_are_forgotten_an_hour_after_they_were_written() {
    let testbed = Testbed::new();
    let (server, admin) = testbed.furnished().await;
    let events = "/api/v1/namespaces/apps/events";
    let event = |name: &str| json!({"metadata": {"name": name}, "involvedObject": {"namespace": "apps"}});
    for name in ["first", "again"] {
        admin.create(events, &event(name)).await.unwrap();
    }
    let stop = tokio_util::sync::CancellationToken::new();
    let forgetting = tokio::spawn(forget_old_events(server, testbed.clock.clock(), stop.clone()));
    let mut told = Box::pin(admin.watch(&format!("{events}?watch=1&timeoutSeconds=20000")).await.unwrap());
    let mut next = async || {
        let event = tokio::time::timeout(std::time::Duration::from_secs(10_000), told.next()).await.unwrap();
        let event = event.unwrap().unwrap();
        (event.kind, event.object["metadata"]["name"].as_str().unwrap().to_owned())
    };
    assert_eq!(next().await, ("ADDED".to_owned(), "again".to_owned()));
    assert_eq!(next().await, ("ADDED".to_owned(), "first".to_owned()));
    // The first look notes what there is.
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    admin.merge_patch(&format!("{events}/again"), &json!({"count": 2})).await.unwrap();
    assert_eq!(next().await.0, "MODIFIED");
    admin.create(&events.replace("events", "configmaps"), &json!({"metadata": {"name": "m"}})).await.unwrap();
    testbed.clock.advance(std::time::Duration::from_secs(3600));
    assert_eq!(next().await, ("DELETED".to_owned(), "first".to_owned()));
    admin.get(&format!("{events}/again")).await.expect("its hour began anew");
    admin
        .get(&format!("{}/m", events.replace("events", "configmaps")))
        .await
        .expect("only events are forgotten");
    stop.cancel();
    forgetting.await.unwrap();
}
