//! How objects come, change and go: status, binding, graceful deletion, finalizers.

use http::{Method, StatusCode};
use serde_json::{Value, json};
use tokenward_apiserver::ClientError;

use crate::testbed::{PODS, Testbed, pod, send};

fn pod_path(name: &str) -> String {
    format!("{PODS}/{name}")
}

fn code(result: Result<Value, ClientError>) -> Option<StatusCode> {
    result.err().and_then(|error| error.code())
}

#[tokio::test]
async fn a_pod_is_bound_reported_on_and_goes_when_its_node_says_so() {
    let testbed = Testbed::new();
    let (_, admin) = testbed.furnished().await;
    admin.create(PODS, &pod("p")).await.unwrap();

    let target = json!({"metadata": {"name": "p"}, "target": {"kind": "Node", "name": "n1"}});
    let bound = admin.create(&format!("{}/binding", pod_path("p")), &target).await.unwrap();
    assert_eq!((bound.code, bound.object["status"].as_str()), (StatusCode::CREATED, Some("Success")));
    let other = json!({"metadata": {"name": "q"}, "target": {"kind": "Node", "name": "n1"}});
    let refused = admin.create(&format!("{}/binding", pod_path("p")), &other).await.unwrap_err();
    assert_eq!(refused.to_string(), "name in URL does not match name in Binding object");
    let again = admin.create(&format!("{}/binding", pod_path("p")), &target).await.unwrap_err();
    assert_eq!(again.code(), Some(StatusCode::CONFLICT), "{again}");
    let stored = admin.get(&pod_path("p")).await.unwrap();
    assert_eq!(stored["spec"]["nodeName"], "n1");
    assert_eq!(stored["status"]["conditions"][0]["type"], "PodScheduled");

    let status = json!({"status": {"phase": "Running"}, "spec": {"nodeName": "elsewhere"}});
    let patched = admin.merge_patch(&format!("{}/status", pod_path("p")), &status).await.unwrap();
    assert_eq!(
        (&patched.object["status"]["phase"], &patched.object["spec"]["nodeName"]),
        (&json!("Running"), &json!("n1"))
    );
    let mut replaced = patched.object;
    replaced["status"]["podIP"] = "10.0.0.1".into();
    replaced["metadata"]["labels"] = json!({"by": "status"});
    let replaced = admin.update(&format!("{}/status", pod_path("p")), &replaced).await.unwrap().object;
    assert_eq!(replaced["status"]["podIP"], "10.0.0.1");
    let through_the_object = json!({"status": {"phase": "Failed"}});
    let unchanged = admin.merge_patch(&pod_path("p"), &through_the_object).await.unwrap();
    assert_eq!(unchanged.object["status"]["phase"], "Running", "a status is written through its subresource");

    let marked = admin.delete(&pod_path("p"), None).await.unwrap().object;
    assert_eq!(marked["metadata"]["deletionTimestamp"], "2026-03-01T12:00:30Z");
    assert_eq!(marked["metadata"]["deletionGracePeriodSeconds"], 30);
    let shorter = admin.delete(&pod_path("p"), Some(&json!({"gracePeriodSeconds": 5}))).await.unwrap().object;
    assert_eq!(shorter["metadata"]["deletionTimestamp"], "2026-03-01T12:00:05Z");
    let longer = admin.delete(&pod_path("p"), Some(&json!({"gracePeriodSeconds": 60}))).await.unwrap().object;
    assert_eq!(longer["metadata"]["deletionGracePeriodSeconds"], 5, "a grace period is never made longer");
    admin.get(&pod_path("p")).await.unwrap();
    admin.delete(&pod_path("p"), Some(&json!({"gracePeriodSeconds": 0}))).await.unwrap();
    assert_eq!(code(admin.get(&pod_path("p")).await), Some(StatusCode::NOT_FOUND));
}

#[tokio::test]
async fn a_pod_that_nobody_runs_goes_at_once() {
    let testbed = Testbed::new();
    let (_, admin) = testbed.furnished().await;
    admin.create(PODS, &pod("p")).await.unwrap();
    admin.delete(&pod_path("p"), None).await.unwrap();
    assert_eq!(code(admin.get(&pod_path("p")).await), Some(StatusCode::NOT_FOUND));
}

#[tokio::test]
async fn a_binding_may_be_posted_to_its_own_collection() {
    let testbed = Testbed::new();
    let (_, admin) = testbed.furnished().await;
    admin.create(PODS, &pod("p")).await.unwrap();
    let binding = json!({"metadata": {"name": "p"}, "target": {"kind": "Node", "name": "n1"}});
    admin.create("/api/v1/namespaces/apps/bindings", &binding).await.unwrap();
    assert_eq!(admin.get(&pod_path("p")).await.unwrap()["spec"]["nodeName"], "n1");
    let nobody = json!({"metadata": {"name": "nobody"}, "target": {"name": "n1"}});
    let refused = admin.create("/api/v1/namespaces/apps/bindings", &nobody).await.unwrap_err();
    assert_eq!(refused.code(), Some(StatusCode::NOT_FOUND), "{refused}");
}

#[tokio::test]
async fn a_namespace_goes_when_its_finalizer_is_taken_off() {
    let testbed = Testbed::new();
    let (server, admin) = testbed.furnished().await;
    let path = "/api/v1/namespaces/apps";
    let marked = admin.delete(path, None).await.unwrap().object;
    assert_eq!(marked["status"]["phase"], "Terminating");
    assert_eq!(marked["metadata"]["deletionTimestamp"], "2026-03-01T12:00:00Z");
    assert!(marked["metadata"].get("deletionGracePeriodSeconds").is_none());
    let refused = admin.create(PODS, &pod("late")).await.unwrap_err();
    assert_eq!(refused.code(), Some(StatusCode::FORBIDDEN), "{refused}");
    assert!(refused.to_string().contains("because it is being terminated"), "{refused}");

    let mut emptied = marked;
    emptied["spec"]["finalizers"] = json!([]);
    let kept = admin.update(path, &emptied).await.unwrap().object;
    assert_eq!(kept["spec"]["finalizers"], json!(["kubernetes"]), "only the subresource changes them");
    let body = emptied.to_string();
    let json = [("content-type", "application/json")];
    let last = send(&server, Method::PUT, &format!("{path}/finalize"), &json, body).await;
    assert_eq!(last.code(), StatusCode::OK, "{}", last.text());
    assert_eq!(code(admin.get(path).await), Some(StatusCode::NOT_FOUND));
}

#[tokio::test]
async fn a_node_s_status_is_kept_apart_from_its_spec() {
    let testbed = Testbed::new();
    let (_, admin) = testbed.furnished().await;
    let path = "/api/v1/nodes/n1/status";
    let status = json!({"status": {"addresses": [{"type": "Hostname", "address": "n1"}]}, "spec": {"unschedulable": true}});
    let node = admin.merge_patch(path, &status).await.unwrap().object;
    assert_eq!(node["status"]["addresses"][0]["address"], "n1");
    assert!(node["spec"].get("unschedulable").is_none(), "{node}");
    let mut read = admin.get(path).await.unwrap();
    read["status"]["addresses"] = json!([]);
    let node = admin.update(path, &read).await.unwrap().object;
    assert!(node["status"].get("addresses").is_none(), "{node}");
}

#[tokio::test]
async fn preconditions_and_stale_versions_are_conflicts() {
    let testbed = Testbed::new();
    let (_, admin) = testbed.furnished().await;
    let path = "/api/v1/namespaces/apps/serviceaccounts/web";
    let first = admin.get(path).await.unwrap();
    admin.merge_patch(path, &json!({"metadata": {"labels": {"a": "b"}}})).await.unwrap();
    let stale = admin.update(path, &first).await.unwrap_err();
    assert!(stale.to_string().contains("the object has been modified"), "{stale}");
    let options = json!({"preconditions": {"resourceVersion": first["metadata"]["resourceVersion"]}});
    let refused = admin.delete(path, Some(&options)).await.unwrap_err();
    assert_eq!(refused.code(), Some(StatusCode::CONFLICT), "{refused}");
    let options = json!({"preconditions": {"uid": first["metadata"]["uid"]}});
    admin.delete(path, Some(&options)).await.unwrap();
}
