//! Priority classes through the whole server. Every CSI driver's DaemonSet names one of the system's: without them its
//! pods are refused, and with a wrong number they are pushed out by what uses their volumes.

use http::StatusCode;
use serde_json::{Value, json};
use tokenward_apiserver::Client;
use tokenward_kube_rules::Release;

use crate::testbed::{PODS, Testbed, pod};

const CLASSES: &str = "/apis/scheduling.k8s.io/v1/priorityclasses";

fn class(name: &str, value: i64) -> Value {
    json!({"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": {"name": name}, "value": value})
}

fn ranked(name: &str, class: &str) -> Value {
    let mut pod = pod(name);
    pod["spec"]["priorityClassName"] = class.into();
    pod
}

async fn refused(admin: &Client, collection: &str, object: &Value) -> (u16, String) {
    let error = admin.create(collection, object).await.unwrap_err();
    (error.code().map_or(0, |code| code.as_u16()), error.to_string())
}

#[tokio::test]
async fn the_system_s_classes_are_there_and_come_back_at_the_next_start() {
    let testbed = Testbed::new();
    let (_, admin) = testbed.furnished().await;
    let node_critical = format!("{CLASSES}/system-node-critical");
    let found = admin.get(&node_critical).await.unwrap();
    assert_eq!(found["metadata"]["generation"], 1);
    assert_eq!((&found["value"], &found["globalDefault"]), (&json!(2_000_001_000), &Value::Null));
    assert_eq!(found["preemptionPolicy"], "PreemptLowerPriority");
    let cluster_critical = admin.get(&format!("{CLASSES}/system-cluster-critical")).await.unwrap();
    assert_eq!(cluster_critical["value"], 2_000_000_000);

    let described = json!({"description": "ours"});
    admin.merge_patch(&format!("{CLASSES}/system-cluster-critical"), &described).await.unwrap();
    let gone = admin.delete(&node_critical, None).await.unwrap().object;
    assert_eq!((&gone["kind"], &gone["status"]), (&json!("Status"), &json!("Success")));
    let (code, why) = refused(&admin, PODS, &ranked("early", "system-node-critical")).await;
    assert_eq!(
        (code, why.as_str()),
        (403, "pods \"early\" is forbidden: no PriorityClass with name system-node-critical was found")
    );
    testbed.server(Release::V1_35).establish_system_priorities().await.unwrap();
    assert_eq!(admin.get(&node_critical).await.unwrap()["value"], 2_000_001_000);
    let kept = admin.get(&format!("{CLASSES}/system-cluster-critical")).await.unwrap();
    assert_eq!(kept["description"], "ours", "what is there is left as it is");
    let made = admin.create(PODS, &ranked("critical", "system-node-critical")).await.unwrap().object;
    assert_eq!(made["spec"]["priority"], 2_000_001_000);
    assert_eq!(made["spec"]["preemptionPolicy"], "PreemptLowerPriority");
}

#[tokio::test]
async fn a_class_of_one_s_own_ranks_pods_and_its_value_stays() {
    let (_, admin) = Testbed::new().furnished().await;
    let made = admin.create(CLASSES, &class("gold", 1000)).await.unwrap();
    assert_eq!(made.code, StatusCode::CREATED);
    assert_eq!(made.object["preemptionPolicy"], "PreemptLowerPriority");
    let pod = admin.create(PODS, &ranked("rich", "gold")).await.unwrap().object;
    assert_eq!((&pod["spec"]["priority"], &pod["spec"]["priorityClassName"]), (&json!(1000), &json!("gold")));

    let dearer = admin.merge_patch(&format!("{CLASSES}/gold"), &json!({"value": 2000})).await.unwrap_err();
    assert_eq!(
        dearer.to_string(),
        "PriorityClass.scheduling.k8s.io \"gold\" is invalid: value: Forbidden: may not be changed in an update."
    );
    let (code, why) = refused(&admin, CLASSES, &class("dear", 1_000_000_001)).await;
    assert_eq!(
        (code, why.as_str()),
        (
            422,
            "PriorityClass.scheduling.k8s.io \"dear\" is invalid: value: Forbidden: maximum allowed value of a user defined priority is 1000000000"
        )
    );
    let (code, why) = refused(&admin, CLASSES, &class("system-dear", 1)).await;
    assert_eq!(
        (code, why.as_str()),
        (
            422,
            "PriorityClass.scheduling.k8s.io \"system-dear\" is invalid: metadata.name: Forbidden: priority class names with 'system-' prefix are reserved for system use only. error: system-dear is not a known system priority class"
        )
    );
}

#[tokio::test]
async fn pods_that_name_no_class_get_the_default_one() {
    let (_, admin) = Testbed::new().furnished().await;
    let plain = admin.create(PODS, &pod("before")).await.unwrap().object;
    assert_eq!((&plain["spec"]["priority"], &plain["spec"]["priorityClassName"]), (&json!(0), &Value::Null));
    let mut usual = class("usual", 7);
    usual["globalDefault"] = true.into();
    usual["preemptionPolicy"] = "Never".into();
    admin.create(CLASSES, &usual).await.unwrap();
    let spec = admin.create(PODS, &pod("after")).await.unwrap().object["spec"].clone();
    assert_eq!(
        (&spec["priority"], &spec["priorityClassName"], &spec["preemptionPolicy"]),
        (&json!(7), &json!("usual"), &json!("Never"))
    );
    let mut second = class("second", 8);
    second["globalDefault"] = true.into();
    let (code, why) = refused(&admin, CLASSES, &second).await;
    assert_eq!(
        (code, why.as_str()),
        (
            403,
            "priorityclasses.scheduling.k8s.io \"second\" is forbidden: PriorityClass usual is already marked as default. Only one default can exist"
        )
    );
    // A pod keeps what it was given, whatever becomes of its class.
    admin.delete(&format!("{CLASSES}/usual"), None).await.unwrap();
    let labels = json!({"metadata": {"labels": {"a": "b"}}});
    let kept = admin.merge_patch(&format!("{PODS}/after"), &labels).await.unwrap().object;
    assert_eq!(kept["spec"]["priority"], 7);
}
