//! Server-side apply over HTTP, and who owns what after other writes. Without this, two tools that manage one object would
//! silently undo each other's work.

use http::{Method, StatusCode};
use serde_json::{Value, json};
use tokenward_apiserver::{ApiServer, User};

use crate::patches::{MERGE, STRATEGIC, patch};
use crate::testbed::{Answer, DRIVERS, PODS, Testbed, driver, pod, send};

const APPLY: &str = "application/apply-patch+yaml";

async fn apply(server: &ApiServer, path: &str, manager: &str, configuration: &Value) -> Answer {
    let separator = if path.contains('?') { '&' } else { '?' };
    patch(server, APPLY, &format!("{path}{separator}fieldManager={manager}"), configuration.to_string()).await
}

fn driver_with(spec: &Value) -> Value {
    json!({"apiVersion": "storage.k8s.io/v1", "kind": "CSIDriver", "metadata": {"name": "d"}, "spec": spec})
}

/// Each entry as `manager operation subresource: fields`, and no times.
fn owners(object: &Value) -> Vec<String> {
    let entries = object["metadata"]["managedFields"].as_array().cloned().unwrap_or_default();
    let text = |entry: &Value, name: &str| entry[name].as_str().unwrap_or("").to_owned();
    let entries = entries.iter().map(|entry| {
        let (manager, operation) = (text(entry, "manager"), text(entry, "operation"));
        format!("{manager} {operation} {}: {}", text(entry, "subresource"), entry["fieldsV1"])
    });
    entries.collect()
}

fn version(object: &Value) -> &str {
    object["metadata"]["resourceVersion"].as_str().unwrap_or("")
}

#[tokio::test]
async fn managers_share_an_object_and_are_told_of_conflicts() {
    let testbed = Testbed::new();
    let (server, admin) = testbed.furnished().await;
    admin.create(DRIVERS, &driver("d")).await.unwrap();
    let path = format!("{DRIVERS}/d");

    // What was made by other means has an owner too.
    let conflict = apply(&server, &path, "tool", &driver_with(&json!({"podInfoOnMount": true}))).await;
    assert_eq!(conflict.code(), StatusCode::CONFLICT);
    assert_eq!(
        conflict.json()["message"],
        "Apply failed with 1 conflict: conflict with \"tokenward\" using storage.k8s.io/v1: .spec.podInfoOnMount"
    );
    assert_eq!(
        conflict.json()["details"],
        json!({"causes": [{
            "reason": "FieldManagerConflict",
            "message": "conflict with \"tokenward\" using storage.k8s.io/v1",
            "field": ".spec.podInfoOnMount",
        }]})
    );
    let wanted = driver_with(&json!({"podInfoOnMount": true, "requiresRepublish": false}));
    let forced = apply(&server, &format!("{path}?force=true"), "tool", &wanted).await.json();
    assert_eq!(
        owners(&forced),
        [
            r#"tool Apply : {"f:spec":{"f:podInfoOnMount":{},"f:requiresRepublish":{}}}"#,
            concat!(
                r#"tokenward Update : {"f:spec":{"f:attachRequired":{},"f:fsGroupPolicy":{},"f:requiresRepublish":{},"#,
                r#""f:seLinuxMount":{},"f:storageCapacity":{},"f:tokenRequests":{},"#,
                r#""f:volumeLifecycleModes":{".":{},"v:\"Persistent\"":{}}}}"#
            ),
        ],
        "the same value is owned by both"
    );
    // Some other write takes a field over; its owner hears of it at the next apply.
    let body = json!({"spec": {"podInfoOnMount": false}}).to_string();
    patch(&server, MERGE, &format!("{path}?fieldManager=hand"), body).await;
    let conflict = apply(&server, &path, "tool", &wanted).await;
    assert_eq!(
        conflict.json()["message"],
        "Apply failed with 1 conflict: conflict with \"hand\" using storage.k8s.io/v1: .spec.podInfoOnMount"
    );
}

#[tokio::test]
async fn what_changes_nothing_is_no_write() {
    let testbed = Testbed::new();
    let (server, admin) = testbed.furnished().await;
    let path = format!("{DRIVERS}/d");
    let wanted = driver_with(&json!({"tokenRequests": [{"audience": "vault"}]}));
    let made = apply(&server, &path, "one", &wanted).await;
    assert_eq!(made.code(), StatusCode::CREATED);
    let second = driver_with(&json!({"tokenRequests": [{"audience": "vault"}], "requiresRepublish": false}));
    testbed.clock.advance(std::time::Duration::from_secs(60));
    let shared = apply(&server, &path, "two", &second).await.json();
    assert_ne!(version(&made.json()), version(&shared), "a co-owner is news");

    testbed.clock.advance(std::time::Duration::from_secs(60));
    let again = apply(&server, &path, "one", &wanted).await;
    assert_eq!((again.code(), again.json()), (StatusCode::OK, shared.clone()), "not even a time is moved");
    let body = json!({"spec": {"requiresRepublish": false}}).to_string();
    for format in [MERGE, STRATEGIC] {
        let patched = patch(&server, format, &format!("{path}?fieldManager=three"), body.clone()).await;
        assert_eq!(patched.json(), shared, "{format}");
    }
    assert_eq!(admin.update(&path, &shared).await.unwrap().object, shared);
    let mut without = shared.clone();
    without["metadata"].as_object_mut().unwrap().remove("managedFields");
    assert_eq!(
        admin.update(&path, &without).await.unwrap().object,
        shared,
        "who does not know them keeps them"
    );

    let dry = driver_with(&json!({"tokenRequests": [{"audience": "other"}]}));
    let dry = apply(&server, &format!("{path}?dryRun=All&force=true"), "one", &dry).await.json();
    assert_eq!(dry["spec"]["tokenRequests"][0]["audience"], "other");
    assert_eq!(admin.get(&path).await.unwrap(), shared);
    let dry = apply(
        &server,
        &format!("{DRIVERS}/n?dryRun=All"),
        "one",
        &json!({
        "apiVersion": "storage.k8s.io/v1", "kind": "CSIDriver", "metadata": {"name": "n"}, "spec": {}}),
    )
    .await;
    assert_eq!(dry.code(), StatusCode::CREATED);
    assert!(admin.get(&format!("{DRIVERS}/n")).await.is_err());
}

#[tokio::test]
async fn a_status_has_owners_of_its_own() {
    let testbed = Testbed::new();
    let (server, admin) = testbed.furnished().await;
    admin.create(PODS, &pod("p")).await.unwrap();
    let (path, status_path) = (format!("{PODS}/p"), format!("{PODS}/p/status"));
    let report = json!({"status": {"phase": "Running"}, "spec": {"nodeName": "elsewhere"}, "metadata": {"labels": {"by": "node"}}});
    let reported =
        patch(&server, STRATEGIC, &format!("{status_path}?fieldManager=kubelet"), report.to_string()).await;
    let own = |object: &Value, manager: &str| {
        owners(object).into_iter().find(|entry| entry.starts_with(manager)).unwrap_or_default()
    };
    assert_eq!(
        own(&reported.json(), "kubelet"),
        r#"kubelet Update status: {"f:metadata":{"f:labels":{".":{},"f:by":{}}},"f:status":{"f:phase":{}}}"#
    );
    let claim =
        json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "status": {"phase": "Failed"}});
    let conflict = apply(&server, &status_path, "other", &claim).await.json();
    assert_eq!(
        conflict["message"],
        "Apply failed with 1 conflict: conflict with \"kubelet\" with subresource \"status\" using v1: .status.phase"
    );
    let forced = apply(&server, &format!("{status_path}?force=true"), "other", &claim).await.json();
    assert_eq!(forced["status"]["phase"], "Failed");
    assert_eq!(own(&forced, "other"), r#"other Apply status: {"f:status":{"f:phase":{}}}"#);
    // Through the object, a status is nobody's.
    let through = apply(&server, &path, "third", &claim).await;
    assert_eq!((through.code(), owners(&through.json())), (StatusCode::OK, owners(&forced)));
    let missing = apply(&server, &format!("{PODS}/none/status"), "other", &claim).await;
    assert_eq!(missing.code(), StatusCode::NOT_FOUND, "a status makes no object");

    // A binding is the scheduler's word, and nobody's field.
    let target = json!({"metadata": {"name": "p"}, "target": {"kind": "Node", "name": "n1"}});
    admin.create(&format!("{path}/binding"), &target).await.unwrap();
    let bound = admin.get(&path).await.unwrap();
    assert_eq!((bound["spec"]["nodeName"].as_str(), owners(&bound)), (Some("n1"), owners(&forced)));
}

#[tokio::test]
async fn who_writes_is_asked_of_the_query_and_then_of_the_agent() {
    let testbed = Testbed::new();
    let (server, _) = testbed.furnished().await;
    let long = "m".repeat(300);
    let rows = [
        ("", Some("kubectl/v1.35.0 (linux/amd64) kubernetes/66452049"), "kubectl"),
        ("", Some("curl"), "curl"),
        ("", Some(long.as_str()), &long[..128]),
        ("", Some("/"), "unknown"),
        ("", None, "unknown"),
        ("?fieldManager=mine", Some("kubectl/v1.35.0"), "mine"),
    ];
    for (number, (query, agent, wanted)) in rows.into_iter().enumerate() {
        let headers: Vec<(&str, &str)> = agent.map(|agent| ("user-agent", agent)).into_iter().collect();
        let body = driver(&format!("d{number}")).to_string();
        let made = send(&server, Method::POST, &format!("{DRIVERS}{query}"), &headers, body).await.json();
        assert_eq!(made["metadata"]["managedFields"][0]["manager"], wanted, "{query} {agent:?}");
    }
    let rows = [
        (
            format!("{DRIVERS}?fieldManager={long}"),
            "CreateOptions.meta.k8s.io \"\" is invalid: fieldManager: Too long: may not be more than 128 bytes",
        ),
        (
            format!("{DRIVERS}?fieldManager=a%0Ab"),
            "CreateOptions.meta.k8s.io \"\" is invalid: fieldManager: Invalid value: \"a\\nb\": invalid character U+000A (at position 1)",
        ),
    ];
    for (path, message) in rows {
        let refused = send(&server, Method::POST, &path, &[], driver("x").to_string()).await;
        assert_eq!((refused.code().as_u16(), refused.json()["message"].as_str()), (422, Some(message)));
    }
}

#[tokio::test]
async fn managed_fields_can_be_reset() {
    let testbed = Testbed::new();
    let (server, admin) = testbed.furnished().await;
    admin.create(DRIVERS, &driver("d")).await.unwrap();
    let path = format!("{DRIVERS}/d");
    let body = json!({"metadata": {"managedFields": [{}]}}).to_string();
    let reset = patch(&server, MERGE, &path, body).await.json();
    assert_eq!(reset["metadata"].get("managedFields"), None);
    let body = json!({"spec": {"podInfoOnMount": true}}).to_string();
    let changed = patch(&server, MERGE, &path, body).await.json();
    assert_eq!(changed["metadata"].get("managedFields"), None, "nobody is followed any more");
    let applied =
        apply(&server, &path, "tool", &driver_with(&json!({"requiresRepublish": false}))).await.json();
    let managers: Vec<String> =
        owners(&applied).iter().map(|entry| entry.split(':').next().unwrap_or("").to_owned()).collect();
    assert_eq!(managers, ["tool Apply ", "before-first-apply Update "]);
}

#[tokio::test]
async fn bad_configurations_are_refused_as_upstream_refuses_them() {
    let testbed = Testbed::new();
    let (server, admin) = testbed.furnished().await;
    admin.create(DRIVERS, &driver("d")).await.unwrap();
    let path = format!("{DRIVERS}/d?fieldManager=m");
    let new = format!("{DRIVERS}/n?fieldManager=m");
    let head = r#""apiVersion":"storage.k8s.io/v1","kind":"CSIDriver""#;
    let rows = [
        (path.clone(), "{}".to_owned(), 400, "invalid object type: /, Kind="),
        (path.clone(), "null".to_owned(), 400, "invalid object type: /, Kind="),
        (path.clone(), String::new(), 400, "invalid object type: /, Kind="),
        (
            new.clone(),
            format!(r#"{{{head},"metadata":{{"name":"n","resourceVersion":"x"}}}}"#),
            500,
            "strconv.ParseUint: parsing \"x\": invalid syntax",
        ),
        (
            path.clone(),
            r#"{"apiVersion":"v1","kind":"Pod"}"#.to_owned(),
            400,
            "invalid object type: /v1, Kind=Pod",
        ),
        (
            path.clone(),
            format!(r#"{{{head},"metadata":{{"name":"x"}}}}"#),
            400,
            "the name of the object (x) does not match the name on the URL (d)",
        ),
        (
            path.clone(),
            format!(r#"{{{head},"metadata":{{"managedFields":[]}}}}"#),
            400,
            "metadata.managedFields must be nil",
        ),
        (
            path.clone(),
            format!(r#"{{{head},"spec":{{"foo":1}}}}"#),
            500,
            "failed to create typed patch object (/; storage.k8s.io/v1, Kind=CSIDriver): .spec.foo: field not declared in schema",
        ),
        (
            path.clone(),
            format!(r#"{{{head},"metadata":{{"resourceVersion":"1"}}}}"#),
            409,
            "Operation cannot be fulfilled on csidrivers.storage.k8s.io \"d\": the object has been modified; please apply your changes to the latest version and try again",
        ),
        (
            new.clone(),
            format!("{{{head}}}"),
            400,
            "the name of the object (n based on URL) was undeterminable: name must be provided",
        ),
        (
            new,
            format!(r#"{{{head},"metadata":{{"name":"n","uid":"u"}}}}"#),
            409,
            "Operation cannot be fulfilled on csidrivers.storage.k8s.io \"n\": uid mismatch: the provided object specified uid u, and no existing object was found",
        ),
        (
            path.clone(),
            "[1]".to_owned(),
            400,
            "error decoding YAML: error unmarshaling JSON: while decoding JSON: json: cannot unmarshal array into Go value of type map[string]interface {}",
        ),
        (
            format!("{path}&fieldValidation=Strict"),
            format!(r#"{{{head},"spec":{{}},"spec":{{}}}}"#),
            400,
            "error strict decoding YAML: error converting YAML to JSON: yaml: unmarshal errors:\n  line 1: key \"spec\" already set in map",
        ),
    ];
    for (path, body, code, message) in rows {
        let refused = patch(&server, APPLY, &path, body.clone()).await;
        assert_eq!(
            (refused.code().as_u16(), refused.json()["message"].as_str()),
            (code, Some(message)),
            "{body}"
        );
    }
    // Of an object that is not there yet any version will do.
    let versioned = format!(r#"{{{head},"metadata":{{"name":"v","resourceVersion":"5"}}}}"#);
    let made = patch(&server, APPLY, &format!("{DRIVERS}/v?fieldManager=m"), versioned).await;
    assert_eq!(made.code(), StatusCode::CREATED, "{}", made.text());
    let yaml = "apiVersion: storage.k8s.io/v1\nkind: CSIDriver\nmetadata:\n  name: written-as-yaml\nspec:\n  podInfoOnMount: true\n";
    let made = patch(&server, APPLY, &format!("{DRIVERS}/written-as-yaml?fieldManager=m"), yaml).await;
    assert_eq!(
        (made.code(), made.json()["spec"]["podInfoOnMount"].as_bool()),
        (StatusCode::CREATED, Some(true))
    );
    let homeless = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "a"}});
    let refused = apply(&server, "/api/v1/namespaces/none/serviceaccounts/a", "m", &homeless).await;
    assert_eq!(
        (refused.code().as_u16(), refused.json()["message"].as_str()),
        (404, Some("namespaces \"none\" not found"))
    );
}

#[tokio::test]
async fn a_secrets_conflict_shows_its_keys_alone() {
    let testbed = Testbed::new();
    let (server, admin) = testbed.furnished().await;
    let secrets = "/api/v1/namespaces/apps/secrets";
    admin
        .create(secrets, &json!({"metadata": {"name": "s"}, "stringData": {"token": "hush-hush-1"}}))
        .await
        .unwrap();
    let wanted = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "data": {"token": "aHVzaC1odXNoLTI="}});
    let conflict = apply(&server, &format!("{secrets}/s"), "m", &wanted).await;
    assert_eq!(conflict.code(), StatusCode::CONFLICT);
    assert!(
        conflict.text().contains(".data.token") && !conflict.text().contains("aHVzaC"),
        "{}",
        conflict.text()
    );
    let bad = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "data": {"token": ["hush-hush-3"]}});
    let refused = apply(&server, &format!("{secrets}/s"), "m", &bad).await;
    assert!(!refused.text().contains("hush"), "{}", refused.text());
}

#[tokio::test]
async fn who_may_patch_may_not_therefore_create() {
    let testbed = Testbed::new();
    let (server, admin) = testbed.furnished().await;
    admin.create(DRIVERS, &driver("d")).await.unwrap();
    let rbac = "/apis/rbac.authorization.k8s.io/v1";
    let rules = json!([{"apiGroups": ["storage.k8s.io"], "resources": ["csidrivers"], "verbs": ["patch"]}]);
    admin
        .create(&format!("{rbac}/clusterroles"), &json!({"metadata": {"name": "patcher"}, "rules": rules}))
        .await
        .unwrap();
    let binding = json!({
        "metadata": {"name": "patcher"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "patcher"},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "alice"}],
    });
    admin.create(&format!("{rbac}/clusterrolebindings"), &binding).await.unwrap();

    let alice = server.client(User::authenticated("alice", []));
    let apply = async |name: &str| {
        let mut configuration = driver_with(&json!({"tokenRequests": [{"audience": "vault"}]}));
        configuration["metadata"]["name"] = name.into();
        let body = Some((APPLY, configuration.to_string().into()));
        alice.send(Method::PATCH, &format!("{DRIVERS}/{name}?fieldManager=m"), body).await
    };
    assert_eq!(apply("d").await.unwrap().code, StatusCode::OK);
    let refused = apply("n").await.unwrap_err();
    assert_eq!(refused.code(), Some(StatusCode::FORBIDDEN));
    assert!(refused.to_string().contains("cannot create resource \"csidrivers\""), "{refused}");
    assert!(admin.get(&format!("{DRIVERS}/n")).await.is_err());
}
