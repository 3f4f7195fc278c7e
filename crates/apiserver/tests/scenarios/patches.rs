//! Patches over HTTP: what each format may say, and how a bad one is refused. Without this, a client that was taught by
//! kube-apiserver could not tell its own mistake from the server's.

use http::{Method, StatusCode};
use serde_json::json;
use tokenward_apiserver::ApiServer;

use crate::testbed::{Answer, DRIVERS, PODS, Testbed, driver, pod, send};

pub(crate) const JSON: &str = "application/json-patch+json";
pub(crate) const MERGE: &str = "application/merge-patch+json";
pub(crate) const STRATEGIC: &str = "application/strategic-merge-patch+json";

/// Sends a patch as an administrator.
pub(crate) async fn patch(
    server: &ApiServer,
    format: &str,
    path: &str,
    body: impl Into<bytes::Bytes>,
) -> Answer {
    send(server, Method::PATCH, path, &[("content-type", format)], body).await
}

/// What `kubectl apply` keeps of the applied object, to find out the next time what was taken out of it.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

#[tokio::test]
async fn what_client_side_apply_sends_merges_by_keys() {
    let testbed = Testbed::new();
    let (server, admin) = testbed.furnished().await;
    let mut first = pod("p");
    first["metadata"]["annotations"] = json!({LAST_APPLIED: "first", "note": "mine"});
    first["spec"]["volumes"] = json!([{"name": "v", "emptyDir": {"medium": "Memory"}}]);
    admin.create(PODS, &first).await.unwrap();
    // Somebody else adds what the applied file does not know.
    let label = json!({"metadata": {"labels": {"theirs": "1"}, "finalizers": ["example.com/held"]}});
    admin.merge_patch(&format!("{PODS}/p"), &label).await.unwrap();

    // The file now has another image, an own label, and no note any more.
    let difference = json!({
        "metadata": {
            "annotations": {LAST_APPLIED: "second", "note": null},
            "labels": {"mine": "1"},
            "$setElementOrder/finalizers": ["example.com/mine"],
            "finalizers": ["example.com/mine"],
        },
        "spec": {
            "$setElementOrder/containers": [{"name": "c"}],
            "containers": [{"name": "c", "image": "pause:2"}],
        },
    });
    let answer = patch(&server, STRATEGIC, &format!("{PODS}/p"), difference.to_string()).await;
    assert_eq!(answer.code(), StatusCode::OK, "{}", answer.text());
    let merged = answer.json();
    assert_eq!(merged["metadata"]["annotations"], json!({LAST_APPLIED: "second"}));
    assert_eq!(merged["metadata"]["labels"], json!({"mine": "1", "theirs": "1"}));
    assert_eq!(merged["metadata"]["finalizers"], json!(["example.com/mine", "example.com/held"]));
    assert_eq!(merged["spec"]["containers"][0]["image"], "pause:2");
    let mounts = merged["spec"]["containers"][0]["volumeMounts"].as_array().map(Vec::len);
    assert_eq!(mounts, Some(1), "what admission added stays: {merged}");
    let again = patch(&server, STRATEGIC, &format!("{PODS}/p"), difference.to_string()).await.json();
    assert_eq!(again["metadata"]["resourceVersion"], merged["metadata"]["resourceVersion"]);
}

#[tokio::test]
async fn bad_patches_are_refused_as_upstream_refuses_them() {
    let testbed = Testbed::new();
    let (server, admin) = testbed.furnished().await;
    admin.create(DRIVERS, &driver("d")).await.unwrap();
    admin.create(PODS, &pod("p")).await.unwrap();
    let (driver, pod) = (format!("{DRIVERS}/d"), format!("{PODS}/p"));
    let many = format!("[{}]", vec![r#"{"op":"test","path":"/kind","value":"CSIDriver"}"#; 10_001].join(","));
    let strict = format!("{DRIVERS}/d?fieldValidation=Strict");
    let unknown = |kind: &str, version: &str| {
        format!(
            " \"\" is invalid: patch: Invalid value: \"(not shown)\": no kind \"{kind}\" is registered for version \
             \"{version}\" in scheme \"pkg/runtime/scheme.go:111\""
        )
    };
    let (no_foo, no_version) =
        (unknown("Foo", "storage.k8s.io/v1"), unknown("CSIDriver", "storage.k8s.io/v9"));
    let rows: &[(&str, &str, &str, u16, &str)] = &[
        (MERGE, &driver, r#"{"kind":"Foo"}"#, 422, &no_foo),
        (MERGE, &driver, r#"{"apiVersion":"storage.k8s.io/v9"}"#, 422, &no_version),
        (
            JSON,
            &driver,
            r#"[{"op":"replace","path":"/kind","value":"CSINode"}]"#,
            422,
            " \"\" is invalid: patch: Invalid value: \"(not shown)\": converting (v1.CSINode) to (storage.CSIDriver): \
             unknown conversion",
        ),
        (
            MERGE,
            &driver,
            r#"{"kind":5}"#,
            422,
            " \"\" is invalid: patch: Invalid value: \"(not shown)\": couldn't get version/kind; json parse error: json: \
             cannot unmarshal number into Go struct field .kind of type string",
        ),
        (
            JSON,
            &driver,
            &many,
            413,
            "Request entity too large: The allowed maximum operations in a JSON patch is 10000, got 10001",
        ),
        (
            JSON,
            &driver,
            "{}",
            400,
            "error decoding patch: json: cannot unmarshal object into Go value of type []handlers.jsonPatchOp",
        ),
        (
            JSON,
            &driver,
            r#"[{"op":"test","path":"/kind","value":"x"}]"#,
            422,
            "the server rejected our request due to an error in our request",
        ),
        (
            MERGE,
            &driver,
            "[]",
            400,
            "error decoding patch: json: cannot unmarshal array into Go value of type map[string]interface {}",
        ),
        (MERGE, &driver, "{", 400, "error decoding patch: unexpected end of JSON input"),
        (
            MERGE,
            &driver,
            r#"{"spec":{"podInfoOnMount":"eyJ"}}"#,
            422,
            " \"\" is invalid: patch: Invalid value: \"(not shown)\": json: cannot unmarshal string into Go struct field CSIDriverSpec.spec.podInfoOnMount of type bool",
        ),
        (
            MERGE,
            &strict,
            r#"{"spec":{"foo":1,"podInfoOnMount":true,"podInfoOnMount":false}}"#,
            422,
            " \"\" is invalid: patch: Invalid value: \"(not shown)\": strict decoding error: duplicate field \"spec.podInfoOnMount\", unknown field \"spec.foo\"",
        ),
        (
            STRATEGIC,
            &driver,
            "[]",
            400,
            "json: cannot unmarshal array into Go value of type map[string]interface {}",
        ),
        (STRATEGIC, &driver, r#"{"$retainKeys":1}"#, 400, "invalid patch format of retainKeys"),
        (
            STRATEGIC,
            &pod,
            r#"{"spec":{"containers":[["c"]]}}"#,
            422,
            "the server rejected our request due to an error in our request",
        ),
        (
            STRATEGIC,
            &pod,
            r#"{"spec":{"containers":[{"image":"x"}]}}"#,
            500,
            "map: (not shown) does not contain declared merge key: name",
        ),
    ];
    for (format, path, body, code, message) in rows {
        let answer = patch(&server, format, path, (*body).to_owned()).await;
        let status = answer.json();
        assert_eq!((answer.code().as_u16(), status["message"].as_str()), (*code, Some(*message)), "{format}");
    }
}

#[tokio::test]
async fn what_a_patch_says_twice_or_in_vain_is_warned_of() {
    let testbed = Testbed::new();
    let (server, admin) = testbed.furnished().await;
    admin.create(DRIVERS, &driver("d")).await.unwrap();
    for format in [MERGE, STRATEGIC] {
        let body = r#"{"spec":{"podInfoOnMount":true,"foo":1,"podInfoOnMount":true}}"#;
        let answer = patch(&server, format, &format!("{DRIVERS}/d"), body).await;
        let warnings: Vec<&str> = answer
            .response
            .headers()
            .get_all("warning")
            .iter()
            .filter_map(|value| value.to_str().ok())
            .collect();
        assert_eq!(answer.code(), StatusCode::OK);
        assert_eq!(
            warnings,
            [r#"299 - "duplicate field \"spec.podInfoOnMount\"""#, r#"299 - "unknown field \"spec.foo\"""#],
            "{format}"
        );
    }
}

#[tokio::test]
async fn a_small_patch_makes_no_object_larger_than_memory() {
    let testbed = Testbed::new();
    let (server, admin) = testbed.furnished().await;
    admin.create(DRIVERS, &driver("d")).await.unwrap();
    let mut operations = vec![json!({"op": "add", "path": "/a", "value": {}})];
    operations.extend((0..40).map(|n| json!({"op": "copy", "from": "/a", "path": format!("/a/x{n}")})));
    let body = json!(operations).to_string();
    assert!(body.len() < 3_000);
    let answer = patch(&server, JSON, &format!("{DRIVERS}/d?dryRun=All"), body).await;
    assert_eq!(answer.code(), StatusCode::PAYLOAD_TOO_LARGE, "{}", answer.text());
    assert!(answer.text().contains("exceeding the limit 3145728"), "{}", answer.text());
}

#[tokio::test]
async fn a_pod_does_not_stop_being_a_mirror_pod() {
    const MIRROR: &str = "kubernetes.io/config.mirror";
    let testbed = Testbed::new();
    let (server, admin) = testbed.furnished().await;
    let mut mirror = pod("m");
    mirror["metadata"]["annotations"] = json!({MIRROR: "x"});
    // As its node makes it, without what an API server would have to hand out.
    mirror["spec"] = json!({"nodeName": "node-1", "containers": [{"name": "c", "image": "pause"}]});
    admin.create(PODS, &mirror).await.unwrap();
    admin.create(PODS, &pod("p")).await.unwrap();
    let marked = |value: serde_json::Value| json!({"metadata": {"annotations": {MIRROR: value}}}).to_string();
    for path in ["m", "m/status"] {
        for value in [json!(null), json!("y")] {
            let answer = patch(&server, MERGE, &format!("{PODS}/{path}"), marked(value)).await;
            assert_eq!(answer.code(), StatusCode::UNPROCESSABLE_ENTITY, "{}", answer.text());
            assert!(
                answer.text().contains("may not remove or update mirror pod annotation"),
                "{}",
                answer.text()
            );
        }
    }
    for path in ["p", "p/status"] {
        let answer = patch(&server, MERGE, &format!("{PODS}/{path}"), marked(json!("x"))).await;
        assert_eq!(answer.code(), StatusCode::UNPROCESSABLE_ENTITY, "{}", answer.text());
        assert!(answer.text().contains("may not add mirror pod annotation"), "{}", answer.text());
    }
}
