//! No token in any log at any level, nor in any error: the server is sent tokens in every place there is, and all that
//! it says is searched for them.

use std::io;
use std::sync::{Arc, LazyLock};

use http::Method;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokenward_kube_rules::{FeatureGates, Release};
use tracing_subscriber::fmt::MakeWriter;

use crate::testbed::{DRIVERS, PODS, REVIEWS, Testbed, pod, send};

/// Collects all that is logged.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Log {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

/// Starts to collect what this process logs, at every level. All tests write into one log: a subscriber of one thread
/// alone would miss what another thread was the first to come by.
fn listen() -> Log {
    static LOG: LazyLock<Log> = LazyLock::new(|| {
        let log = Log::default();
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(tracing::Level::TRACE)
            .with_ansi(false)
            .with_writer(log.clone())
            .finish();
        tracing::subscriber::set_global_default(subscriber).unwrap();
        log
    });
    LOG.clone()
}

/// The parts of a token, each of which betrays it.
fn assert_silent(said: &str, token: &str, place: &str) {
    for part in token.split('.').filter(|part| part.len() > 8) {
        assert!(!said.contains(part), "{place}: {said}");
    }
    let hexadecimal: String = token.bytes().take(15).map(|byte| format!("{byte:02x}")).collect();
    assert!(!said.contains(&hexadecimal), "{place}: {said}");
}

const STATIC_TOKEN: &str = "canary-of-a-static-token-file";

#[tokio::test]
async fn no_log_at_any_level_has_a_token() {
    let log = listen();
    let testbed = Testbed::new();
    let (_, admin) = testbed.furnished().await;
    let file = format!("{STATIC_TOKEN},operator,1,\"system:masters\"");
    let server = testbed.server_with(FeatureGates::for_release(Release::V1_35), &file);
    admin.create(PODS, &pod("p")).await.unwrap();
    let account = "/api/v1/namespaces/apps/serviceaccounts/web/token";
    let bound = json!({"spec": {"boundObjectRef": {"kind": "Pod", "apiVersion": "v1", "name": "p"}}});
    let granted = admin.create(account, &bound).await.unwrap().object;
    let token = granted["status"]["token"].as_str().unwrap().to_owned();

    let bearer = format!("Bearer {token}");
    let static_bearer = format!("Bearer {STATIC_TOKEN}");
    let json = ("content-type", "application/json");
    let review = json!({"spec": {"token": token}}).to_string();
    let secret = json!({"metadata": {"name": "s"}, "stringData": {"token": token}}).to_string();
    let requests = [
        (Method::GET, PODS, vec![("authorization", bearer.as_str())], String::new()),
        (Method::GET, PODS, vec![("authorization", static_bearer.as_str())], String::new()),
        (Method::GET, PODS, vec![("authorization", &bearer[7..])], String::new()),
        (Method::POST, REVIEWS, vec![json], review),
        (Method::POST, "/api/v1/namespaces/apps/secrets", vec![json], secret),
        (Method::GET, "/api/v1/namespaces/apps/secrets/s", vec![], String::new()),
    ];
    for (method, path, headers, body) in requests {
        send(&server, method, path, &headers, body).await;
    }
    let in_paths = [
        format!("/api/v1/namespaces/apps/pods/{token}"),
        format!("/{token}"),
        format!("{DRIVERS}?continue={token}"),
    ];
    for path in in_paths {
        send(&server, Method::GET, &path, &[], "").await;
    }
    // As somebody, or something of somebody's, that has the name of a token.
    let mut said = String::new();
    for header in ["impersonate-user", "impersonate-group", "impersonate-uid", "impersonate-extra-x"] {
        for others in [vec![], vec![("impersonate-user", "alice")]] {
            for credentials in [vec![], vec![("authorization", "")]] {
                let headers = [vec![(header, token.as_str())], others.clone(), credentials].concat();
                said.push_str(&send(&server, Method::GET, PODS, &headers, "").await.text());
            }
        }
    }
    assert_silent(&said, &token, "impersonation");
    let log = String::from_utf8(log.0.lock().clone()).unwrap();
    assert!(log.contains("answered"), "the log was listened to: {log}");
    assert_silent(&log, &token, "log");
    assert!(!log.contains(STATIC_TOKEN), "{log}");
}

/// The body with the token in place of each of its leaves in turn, and as the name of each member.
fn with_token_everywhere(body: &Value, token: &str) -> Vec<Value> {
    let mut bodies = vec![json!(token)];
    match body {
        Value::Object(members) => {
            for (name, value) in members {
                for inner in with_token_everywhere(value, token) {
                    let mut changed = members.clone();
                    changed.insert(name.clone(), inner);
                    bodies.push(Value::Object(changed));
                }
                let mut renamed = members.clone();
                renamed.remove(name);
                renamed.insert(token.to_owned(), value.clone());
                bodies.push(Value::Object(renamed));
            }
        }
        Value::Array(items) => {
            for (place, item) in items.iter().enumerate() {
                for inner in with_token_everywhere(item, token) {
                    let mut changed = items.clone();
                    changed[place] = inner;
                    bodies.push(changed.into());
                }
            }
        }
        _ => {}
    }
    bodies
}

#[tokio::test]
async fn no_error_quotes_a_token_wherever_a_body_has_it() {
    let log = listen();
    let testbed = Testbed::new();
    let (server, admin) = testbed.furnished().await;
    admin.create(PODS, &pod("p")).await.unwrap();
    let granted =
        admin.create("/api/v1/namespaces/apps/serviceaccounts/web/token", &json!({})).await.unwrap();
    let token = granted.object["status"]["token"].as_str().unwrap().to_owned();
    let metadata = json!({"name": "x", "namespace": "apps", "uid": "u", "labels": {"a": "b"}, "annotations": {"a": "b"},
        "creationTimestamp": "2026-03-01T12:00:00Z", "resourceVersion": "", "finalizers": ["a/b"]});
    let bodies = [
        (
            DRIVERS,
            json!({"apiVersion": "storage.k8s.io/v1", "kind": "CSIDriver", "metadata": metadata.clone(),
            "spec": {"attachRequired": true, "fsGroupPolicy": "File", "volumeLifecycleModes": ["Persistent"],
                "tokenRequests": [{"audience": "a", "expirationSeconds": 600}], "nodeAllocatableUpdatePeriodSeconds": 10}}),
        ),
        (
            PODS,
            json!({"metadata": metadata.clone(), "spec": {"serviceAccountName": "web", "nodeName": "n1",
            "containers": [{"name": "c", "image": "i", "env": [{"name": "A", "value": "b"}]}],
            "volumes": [{"name": "v", "csi": {"driver": "d"}}]}}),
        ),
        (
            "/api/v1/namespaces/apps/secrets",
            json!({"metadata": metadata.clone(), "type": "Opaque",
            "data": {"k": "AAAA"}, "stringData": {"k": "v"}}),
        ),
        (
            "/api/v1/namespaces/apps/serviceaccounts/web/token",
            json!({"metadata": {"name": "web"},
            "spec": {"audiences": ["a"], "expirationSeconds": 600,
                "boundObjectRef": {"kind": "Pod", "apiVersion": "v1", "name": "p", "uid": "u"}}}),
        ),
        (REVIEWS, json!({"spec": {"token": "t", "audiences": ["a"]}})),
    ];
    let content_types = ["application/json", "application/yaml"];
    let mut refused = 0;
    for (path, body) in &bodies {
        for changed in with_token_everywhere(body, &token) {
            for content_type in content_types {
                let text = changed.to_string();
                for text in [text.clone(), text[..text.len() - 1].to_owned(), format!("{text}x")] {
                    let path = format!("{path}?dryRun=All&fieldValidation=Warn");
                    let answer =
                        send(&server, Method::POST, &path, &[("content-type", content_type)], text).await;
                    for warning in answer.response.headers().get_all("warning") {
                        assert_silent(warning.to_str().unwrap(), &token, "warning");
                    }
                    // An object that was accepted is shown to its sender as it is.
                    if !answer.code().is_success() {
                        refused += 1;
                        assert_silent(&answer.text(), &token, &path);
                    }
                }
            }
        }
    }
    assert!(refused > 300, "{refused}");
    let patches = [
        (
            "application/merge-patch+json",
            json!({"metadata": {"labels": {"a": token}}, "spec": {"attachRequired": token}}),
        ),
        ("application/merge-patch+json", json!(token)),
        (
            "application/json-patch+json",
            json!([{"op": "replace", "path": format!("/none/{token}"), "value": token}]),
        ),
        (
            "application/json-patch+json",
            json!([{"op": "test", "path": format!("/spec/{token}"), "value": token}]),
        ),
        ("application/json-patch+json", json!([{"op": token}])),
        ("application/json-patch+json", json!([{"op": 1, "path": token}])),
        ("application/json-patch+json", json!([token])),
        ("application/json-patch+json", json!(token)),
    ];
    for (content_type, patch) in patches {
        let path = format!("{PODS}/p");
        let answer =
            send(&server, Method::PATCH, &path, &[("content-type", content_type)], patch.to_string()).await;
        assert!(!answer.code().is_success(), "{patch}");
        assert_silent(&answer.text(), &token, &path);
    }
    // A member that there was not is made, and warned of.
    let patch = json!([{"op": "replace", "path": format!("/spec/{token}"), "value": token}]);
    let headers = [("content-type", "application/json-patch+json")];
    let answer = send(&server, Method::PATCH, &format!("{PODS}/p"), &headers, patch.to_string()).await;
    assert!(answer.code().is_success());
    for warning in answer.response.headers().get_all("warning") {
        assert_silent(warning.to_str().unwrap(), &token, "warning");
    }
    for options in [
        json!({"preconditions": {"uid": token}}),
        json!({"propagationPolicy": token}),
        json!({"dryRun": [token]}),
        json!(token),
    ] {
        let path = format!("{PODS}/p");
        let answer = send(&server, Method::DELETE, &path, &[], options.to_string()).await;
        assert!(!answer.code().is_success(), "{options}");
        assert_silent(&answer.text(), &token, &path);
    }
    let queries =
        ["labelSelector", "fieldSelector", "resourceVersion", "continue", "resourceVersionMatch", "dryRun"];
    for name in queries {
        let answer = send(&server, Method::GET, &format!("{DRIVERS}?{name}={token}"), &[], "").await;
        assert_silent(&answer.text(), &token, name);
    }
    let log = String::from_utf8(log.0.lock().clone()).unwrap();
    assert_silent(&log, &token, "log");
}

/// A body of protobuf that is cut off, or changed in one place, somewhere in the middle of a secret.
#[tokio::test]
async fn no_refusal_of_a_broken_protobuf_body_shows_what_was_in_it() {
    const TOKEN: &str = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJjYW5hcnkifQ.c2lnbmF0dXJlLW9mLXRoZS1jYW5hcnk";
    let testbed = Testbed::new();
    let (server, _) = testbed.furnished().await;
    let message = |path: &str, api_version: &str, kind: &str, body: &Value| {
        let found = tokenward_kube_schema::find_kind(api_version, kind).unwrap();
        let printed = tokenward_kube_schema::normalize(found, Release::V1_35, body.as_object().unwrap());
        let encoded = tokenward_kube_schema::protobuf::encode(found, &printed.unwrap().object).unwrap();
        (path.to_owned(), encoded.bytes().clone())
    };
    let secrets = "/api/v1/namespaces/apps/secrets";
    let account = "/api/v1/namespaces/apps/serviceaccounts/web/token";
    let authentication = "authentication.k8s.io/v1";
    let bodies = [
        message(secrets, "v1", "Secret", &json!({"metadata": {"name": "s"}, "stringData": {"token": TOKEN}})),
        message(REVIEWS, authentication, "TokenReview", &json!({"spec": {"token": TOKEN}})),
        message(account, authentication, "TokenRequest", &json!({"spec": {"audiences": [TOKEN]}})),
        message(PODS, "v1", "Pod", &json!({"metadata": {"name": "p", "annotations": {"token": TOKEN}}})),
        (DRIVERS.to_owned(), TOKEN.as_bytes().to_vec()),
    ];
    let headers = [("content-type", "application/vnd.kubernetes.protobuf")];
    let mut refused = 0;
    for (path, body) in bodies {
        for place in 0..body.len() {
            let cut = body[..place].to_vec();
            let mut changed = body.clone();
            changed[place] ^= 0x82;
            for broken in [cut, changed] {
                let answer = send(&server, Method::POST, &path, &headers, broken).await;
                if !answer.code().is_success() {
                    assert!(answer.code().is_client_error(), "{path} {place}: {}", answer.text());
                    assert_silent(&answer.text(), TOKEN, &path);
                    refused += 1;
                }
            }
        }
    }
    assert!(refused > 500, "only {refused} were refused");
}
