//! Deletions: options wherever they come from, what holds an object back, collections.

use http::{Method, StatusCode};
use serde_json::{Value, json};
use tokenward_apiserver::{ApiServer, Client};

use crate::testbed::{Answer, PODS, Testbed, pod, send};

const MAPS: &str = "/api/v1/namespaces/apps/configmaps";
const JSON: [(&str, &str); 1] = [("content-type", "application/json")];

async fn with_map(changes: &Value) -> (ApiServer, Client, String) {
    let testbed = Testbed::new();
    let (server, admin) = testbed.furnished().await;
    let mut map = json!({"metadata": {"name": "m"}, "data": {"a": "b"}});
    json_patch::merge(&mut map, changes);
    admin.create(MAPS, &map).await.unwrap();
    (server, admin, format!("{MAPS}/m"))
}

async fn delete(server: &ApiServer, path: &str, options: &Value) -> Answer {
    let body = if options.is_null() { String::new() } else { options.to_string() };
    send(server, Method::DELETE, path, &JSON, body).await
}

#[tokio::test]
async fn options_come_in_the_body_or_in_the_query() {
    let rows = [
        ("", json!({"kind": "DeleteOptions", "apiVersion": "v1", "dryRun": ["All"]}), 200),
        ("", json!({"kind": "DeleteOptions", "apiVersion": "meta.k8s.io/v1", "dryRun": ["All"]}), 200),
        ("", json!({"kind": "DeleteOptions", "apiVersion": "apps/v1", "dryRun": ["All"]}), 200),
        ("?dryRun=All", Value::Null, 200),
        ("?dryRun=All&propagationPolicy=Background&gracePeriodSeconds=0", Value::Null, 200),
        ("?dryRun=Some", Value::Null, 422),
        ("?propagationPolicy=Sideways", Value::Null, 422),
        ("?gracePeriodSeconds=x", Value::Null, 400),
        ("", json!({"kind": "Pod", "apiVersion": "v1"}), 400),
        ("", json!({"gracePeriodSeconds": "x"}), 400),
        ("", json!({"orphanDependents": true, "propagationPolicy": "Orphan"}), 422),
    ];
    for (query, options, code) in rows {
        let (server, admin, path) = with_map(&json!({})).await;
        let answer = delete(&server, &format!("{path}{query}"), &options).await;
        assert_eq!(answer.code().as_u16(), code, "{query} {options}: {}", answer.text());
        admin.get(&path).await.expect("a dry run and a refusal leave it there");
    }
    let (server, _, path) = with_map(&json!({})).await;
    let answer =
        delete(&server, &path, &json!({"orphanDependents": true, "propagationPolicy": "Orphan"})).await;
    assert_eq!(
        answer.json()["message"],
        "DeleteOptions.meta.k8s.io \"\" is invalid: propagationPolicy: Invalid value: \"Orphan\": orphanDependents and deletionPropagation cannot be both set"
    );
}

#[tokio::test]
async fn the_propagation_policy_is_kept_as_a_finalizer() {
    let own = "example.com/own";
    let rows: [(Value, Value, Option<Value>); 9] = [
        (json!([]), json!({}), None),
        (json!([]), json!({"propagationPolicy": "Background"}), None),
        (json!([]), json!({"propagationPolicy": "Foreground"}), Some(json!(["foregroundDeletion"]))),
        (json!([]), json!({"propagationPolicy": "Orphan"}), Some(json!(["orphan"]))),
        (json!([]), json!({"orphanDependents": true}), Some(json!(["orphan"]))),
        (json!([own]), json!({"propagationPolicy": "Orphan"}), Some(json!([own, "orphan"]))),
        // What is there already counts when nothing is said, and is put right when something is.
        (json!(["orphan"]), json!({}), Some(json!(["orphan"]))),
        (json!(["orphan"]), json!({"propagationPolicy": "Foreground"}), Some(json!(["foregroundDeletion"]))),
        (json!(["orphan"]), json!({"propagationPolicy": "Background"}), None),
    ];
    for (finalizers, options, wanted) in rows {
        let (server, admin, path) = with_map(&json!({"metadata": {"finalizers": finalizers}})).await;
        let answer = delete(&server, &path, &options).await;
        assert_eq!(answer.code(), StatusCode::OK, "{}", answer.text());
        match wanted {
            Some(wanted) => {
                let left = admin.get(&path).await.unwrap();
                assert_eq!(left["metadata"]["finalizers"], wanted, "{options}");
                assert!(left["metadata"]["deletionTimestamp"].is_string(), "{options}");
            }
            None => assert_eq!(
                admin.get(&path).await.unwrap_err().code(),
                Some(StatusCode::NOT_FOUND),
                "{options}"
            ),
        }
    }
}

#[tokio::test]
async fn preconditions_name_what_they_found() {
    for (preconditions, why) in [
        (json!({"uid": "other"}), "the UID in the precondition (other) does not match the UID in record ("),
        (
            json!({"resourceVersion": "1"}),
            "the ResourceVersion in the precondition (1) does not match the ResourceVersion in record (",
        ),
    ] {
        let (server, admin, path) = with_map(&json!({})).await;
        let answer = delete(&server, &path, &json!({"preconditions": preconditions})).await;
        assert_eq!(answer.code(), StatusCode::CONFLICT);
        let message = answer.json()["message"].as_str().unwrap().to_owned();
        assert!(
            message.starts_with(&format!("Operation cannot be fulfilled on ConfigMap \"m\": {why}")),
            "{message}"
        );
        admin.get(&path).await.unwrap();
    }
}

#[tokio::test]
async fn a_second_deletion_changes_nothing_of_what_is_held() {
    let (server, admin, path) = with_map(&json!({"metadata": {"finalizers": ["example.com/own"]}})).await;
    delete(&server, &path, &Value::Null).await;
    let first = admin.get(&path).await.unwrap();
    delete(&server, &path, &Value::Null).await;
    assert_eq!(admin.get(&path).await.unwrap(), first);
    let refused = admin
        .merge_patch(&path, &json!({"metadata": {"finalizers": ["example.com/own", "example.com/more"]}}))
        .await
        .unwrap_err();
    assert!(
        refused.to_string().contains("no new finalizers can be added if the object is being deleted"),
        "{refused}"
    );
    admin.merge_patch(&path, &json!({"metadata": {"finalizers": []}})).await.unwrap();
    assert_eq!(admin.get(&path).await.unwrap_err().code(), Some(StatusCode::NOT_FOUND));
}

#[tokio::test]
async fn a_negative_grace_is_a_second() {
    let testbed = Testbed::new();
    let (_, admin) = testbed.furnished().await;
    admin.create(PODS, &pod("p")).await.unwrap();
    let target = json!({"metadata": {"name": "p"}, "target": {"kind": "Node", "name": "n1"}});
    admin.create(&format!("{PODS}/p/binding"), &target).await.unwrap();
    let marked = admin.delete(&format!("{PODS}/p"), Some(&json!({"gracePeriodSeconds": -7}))).await.unwrap();
    assert_eq!(marked.object["metadata"]["deletionGracePeriodSeconds"], 1);
}

async fn with_maps(count: usize) -> (ApiServer, Client) {
    let testbed = Testbed::new();
    let (server, admin) = testbed.furnished().await;
    for number in 0..count {
        let labels = json!({"even": (number % 2 == 0).to_string()});
        let map = json!({"metadata": {"name": format!("m{number}"), "labels": labels}});
        admin.create(MAPS, &map).await.unwrap();
    }
    (server, admin)
}

async fn left(admin: &Client) -> Vec<String> {
    let list = admin.get(MAPS).await.unwrap();
    let items = list["items"].as_array().unwrap().clone();
    items.iter().map(|item| item["metadata"]["name"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn collections_go_by_selector_and_limit() {
    for (query, options, remaining) in [
        ("", Value::Null, vec![]),
        ("?labelSelector=even%3Dtrue", Value::Null, vec!["m1", "m3"]),
        ("?fieldSelector=metadata.name%3Dm2", Value::Null, vec!["m0", "m1", "m3"]),
        ("?limit=1", Value::Null, vec!["m1", "m2", "m3"]),
        ("?dryRun=All", Value::Null, vec!["m0", "m1", "m2", "m3"]),
        ("", json!({"dryRun": ["All"]}), vec!["m0", "m1", "m2", "m3"]),
        ("?labelSelector=even%3Dtrue", json!({"propagationPolicy": "Orphan"}), vec!["m0", "m1", "m2", "m3"]),
    ] {
        let (server, admin) = with_maps(4).await;
        let answer = delete(&server, &format!("{MAPS}{query}"), &options).await;
        assert_eq!(answer.code(), StatusCode::OK, "{query}: {}", answer.text());
        assert_eq!(answer.json()["kind"], "ConfigMapList");
        assert_eq!(left(&admin).await, remaining, "{query} {options}");
    }
    let (server, admin) = with_maps(2).await;
    let wrong = json!({"preconditions": {"uid": "other"}});
    assert_eq!(delete(&server, MAPS, &wrong).await.code(), StatusCode::CONFLICT);
    for query in ["?labelSelector=a+b", "?limit=x", "?resourceVersion=x", "?resourceVersionMatch=Exact"] {
        let answer = delete(&server, &format!("{MAPS}{query}"), &Value::Null).await;
        assert!(answer.code().is_client_error(), "{query}: {}", answer.text());
    }
    assert_eq!(left(&admin).await.len(), 2);
}

#[tokio::test]
async fn some_namespaces_never_go() {
    let testbed = Testbed::new();
    let (_, admin) = testbed.furnished().await;
    for name in ["default", "kube-system", "kube-public"] {
        let made = admin.create("/api/v1/namespaces", &json!({"metadata": {"name": name}})).await;
        assert!(made.is_ok() || made.unwrap_err().code() == Some(StatusCode::CONFLICT));
        let refused = admin.delete(&format!("/api/v1/namespaces/{name}"), None).await.unwrap_err();
        assert_eq!(refused.code(), Some(StatusCode::FORBIDDEN));
        assert_eq!(
            refused.to_string(),
            format!("namespaces \"{name}\" is forbidden: this namespace may not be deleted")
        );
    }
}
