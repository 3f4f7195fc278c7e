//! Creations and the parameters of writes: names made by the server, dry runs, odd paths.

use http::{Method, StatusCode};
use serde_json::json;

use crate::testbed::{DRIVERS, PODS, Testbed, driver, pod, send};

#[tokio::test]
async fn generated_names_differ_and_say_where_they_come_from() {
    let testbed = Testbed::new();
    let (_, admin) = testbed.furnished().await;
    let mut names = std::collections::BTreeSet::new();
    for _ in 0..50 {
        let mut pod = pod("");
        pod["metadata"] = json!({"generateName": "web-"});
        let made = admin.create(PODS, &pod).await.unwrap().object;
        assert_eq!(made["metadata"]["generateName"], "web-");
        let name = made["metadata"]["name"].as_str().unwrap().to_owned();
        assert!(name.len() == 9 && name.starts_with("web-"), "{name}");
        assert!(names.insert(name), "names are not given twice");
    }
    let refused = json!({"metadata": {"generateName": "web-"}, "spec": {"serviceAccountName": "ghost", "containers": [{"name": "c", "image": "i"}]}});
    let error = admin.create(PODS, &refused).await.unwrap_err();
    assert!(error.to_string().starts_with("pods \"web-\" is forbidden: "), "{error}");
    let namespace = admin
        .create("/api/v1/namespaces", &json!({"metadata": {"generateName": "team-"}}))
        .await
        .unwrap()
        .object;
    let metadata = &namespace["metadata"];
    assert_eq!(metadata["labels"]["kubernetes.io/metadata.name"], metadata["name"]);
}

#[tokio::test]
async fn dry_runs_answer_as_if_and_store_nothing() {
    let testbed = Testbed::new();
    let (server, admin) = testbed.furnished().await;
    let made = admin.create(&format!("{DRIVERS}?dryRun=All"), &driver("d")).await.unwrap();
    assert_eq!(made.code, StatusCode::CREATED);
    assert!(made.object["metadata"]["uid"].is_string());
    assert!(made.object["metadata"].get("resourceVersion").is_none());
    assert!(!made.warnings.is_empty(), "a dry run warns too");
    assert_eq!(admin.get(&format!("{DRIVERS}/d")).await.unwrap_err().code(), Some(StatusCode::NOT_FOUND));
    admin.create(DRIVERS, &driver("d")).await.unwrap();
    let path = format!("{DRIVERS}/d?dryRun=All");
    let changed = admin.merge_patch(&path, &json!({"spec": {"podInfoOnMount": true}})).await.unwrap().object;
    assert_eq!(changed["spec"]["podInfoOnMount"], true);
    assert_eq!(admin.get(&format!("{DRIVERS}/d")).await.unwrap()["spec"]["podInfoOnMount"], false);
    let taken = admin.create(&format!("{DRIVERS}?dryRun=All"), &driver("d")).await.unwrap_err();
    assert_eq!(taken.code(), Some(StatusCode::CONFLICT));
    for (query, kind, method) in [
        ("dryRun=Some", "CreateOptions", Method::POST),
        ("dryRun=All&dryRun=Some", "CreateOptions", Method::POST),
        ("fieldValidation=Loose", "CreateOptions", Method::POST),
    ] {
        let answer = send(&server, method, &format!("{DRIVERS}?{query}"), &[], driver("e").to_string()).await;
        assert_eq!(answer.code(), StatusCode::UNPROCESSABLE_ENTITY, "{query}");
        assert_eq!(answer.json()["details"]["kind"], kind, "{query}");
    }
}

#[tokio::test]
async fn odd_paths_are_answered() {
    let testbed = Testbed::new();
    let (server, admin) = testbed.furnished().await;
    admin.create(DRIVERS, &driver("d")).await.unwrap();
    let long = format!("{DRIVERS}/{}", "x".repeat(4_000));
    for (method, path, code) in [
        (Method::GET, long.as_str(), 404),
        (Method::GET, "/apis/storage.k8s.io/v1/csidrivers/%64", 200),
        (Method::GET, "/apis/storage.k8s.io/v1/csidrivers/a%2Fb", 404),
        (Method::GET, "/apis//storage.k8s.io/v1/csidrivers", 404),
        (Method::GET, "/apis/storage.k8s.io/v1/csidrivers/..", 400),
        (Method::GET, "/apis/storage.k8s.io/v1/csidrivers/%00", 404),
        (Method::GET, "/apis/storage.k8s.io/v1/csidrivers/..", 400),
        (Method::HEAD, "/apis/storage.k8s.io/v1/csidrivers/d", 200),
        (Method::OPTIONS, "/apis/storage.k8s.io/v1/csidrivers/d", 405),
        (Method::TRACE, "/apis/storage.k8s.io/v1/csidrivers", 405),
        (Method::PUT, "/apis/storage.k8s.io/v1/csidrivers", 405),
        (Method::POST, "/apis/storage.k8s.io/v1/csidrivers/d", 405),
    ] {
        let answer = send(&server, method.clone(), path, &[], "").await;
        assert_eq!(answer.code().as_u16(), code, "{method} {path:.60}: {}", answer.text());
        if method == Method::HEAD {
            assert!(answer.body.is_empty());
        }
    }
}
