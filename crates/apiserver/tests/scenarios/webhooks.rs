//! Validating webhooks over real TLS: who is asked about what, and what follows from the answer.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use futures_util::FutureExt as _;
use http::{Method, Response, StatusCode};
use serde_json::{Value, json};
use tokenward_apiserver::Client;

use crate::testbed::{DRIVERS, PODS, Testbed, driver, pod, send};
use crate::tls_server::{Asked, TlsServer, authority};

const CONFIGURATIONS: &str = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations";

/// The answer to a review.
fn review(asked: &Asked, response: Value) -> Response<Bytes> {
    let request: Value = serde_json::from_slice(&asked.body).unwrap();
    let mut response = response;
    response["uid"] = request["request"]["uid"].clone();
    let review =
        json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": response});
    Response::new(review.to_string().into())
}

/// Refuses what is named `evil`, warns of the rest.
fn guard(asked: &Asked) -> Response<Bytes> {
    let request: Value = serde_json::from_slice(&asked.body).unwrap();
    let request = &request["request"];
    let is_evil = request["name"] == "evil";
    let status = json!({"code": 403, "reason": "Forbidden", "message": "no evil here"});
    review(
        asked,
        json!({"allowed": !is_evil, "status": status, "warnings": [format!("saw {}", request["operation"])]}),
    )
}

async fn configure(admin: &Client, server: &TlsServer, changes: &Value) {
    let rule =
        json!({"operations": ["*"], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["configmaps"]});
    let mut webhook = json!({
        "name": "guard.hooks.example", "sideEffects": "None", "admissionReviewVersions": ["v1"], "rules": [rule],
        "clientConfig": {
            "url": format!("https://localhost:{}/check", server.address.port()),
            "caBundle": STANDARD.encode(&server.authority_pem),
        },
    });
    json_patch::merge(&mut webhook, changes);
    let configuration = json!({"metadata": {"name": "guard"}, "webhooks": [webhook]});
    admin.create(CONFIGURATIONS, &configuration).await.unwrap();
}

const MAPS: &str = "/api/v1/namespaces/apps/configmaps";

fn map(name: &str) -> Value {
    json!({"metadata": {"name": name}, "data": {"a": "b"}})
}

fn asked(server: &mut TlsServer) -> Value {
    let asked = server.asked.try_recv().expect("it was asked");
    assert_eq!((asked.method.as_str(), asked.target.as_str()), ("POST", "/check?timeout=10s"));
    serde_json::from_slice::<Value>(&asked.body).unwrap()["request"].take()
}

#[tokio::test]
async fn every_write_is_asked_about_and_may_be_refused() {
    let testbed = Testbed::new();
    let (_, admin) = testbed.furnished().await;
    let mut server = TlsServer::start(&["localhost"], guard).await;
    configure(&admin, &server, &json!({})).await;

    let made = admin.create(MAPS, &map("good")).await.unwrap();
    assert_eq!(made.warnings, ["saw \"CREATE\""]);
    let request = asked(&mut server);
    assert_eq!(request["object"]["data"], json!({"a": "b"}));
    assert_eq!((&request["oldObject"], &request["dryRun"]), (&Value::Null, &json!(false)));
    assert_eq!(request["kind"], json!({"group": "", "version": "v1", "kind": "ConfigMap"}));
    assert_eq!((&request["namespace"], &request["userInfo"]["username"]), (&json!("apps"), &json!("admin")));
    assert_eq!(request["options"], json!({"kind": "CreateOptions", "apiVersion": "meta.k8s.io/v1"}));

    let refused = admin.create(MAPS, &map("evil")).await.unwrap_err();
    assert_eq!(refused.code(), Some(StatusCode::FORBIDDEN));
    assert_eq!(
        refused.to_string(),
        "admission webhook \"guard.hooks.example\" denied the request: no evil here"
    );
    assert_eq!(asked(&mut server)["name"], "evil");
    assert_eq!(admin.get(&format!("{MAPS}/evil")).await.unwrap_err().code(), Some(StatusCode::NOT_FOUND));

    let path = format!("{MAPS}/good");
    admin.merge_patch(&format!("{path}?dryRun=All"), &json!({"data": {"a": "c"}})).await.unwrap();
    let request = asked(&mut server);
    assert_eq!((&request["operation"], &request["dryRun"]), (&json!("UPDATE"), &json!(true)));
    assert_eq!(
        (&request["object"]["data"]["a"], &request["oldObject"]["data"]["a"]),
        (&json!("c"), &json!("b"))
    );
    assert_eq!(request["options"]["dryRun"], json!(["All"]));

    admin.delete(&path, None).await.unwrap();
    let request = asked(&mut server);
    assert_eq!((&request["operation"], &request["object"]), (&json!("DELETE"), &Value::Null));
    assert_eq!(request["oldObject"]["metadata"]["name"], "good");

    admin.create(DRIVERS, &driver("d")).await.unwrap();
    admin.get(MAPS).await.unwrap();
    assert!(server.asked.try_recv().is_err(), "nobody is asked about other kinds, or about reading");
    admin.delete(&format!("{CONFIGURATIONS}/guard"), None).await.unwrap();
    admin.create(MAPS, &map("evil")).await.unwrap();
}

/// While a webhook thinks, the namespace may be emptied: what was stored then would be nobody's.
#[tokio::test]
async fn the_namespace_is_looked_at_again_before_an_object_is_stored() {
    let testbed = Testbed::new();
    let (_, admin) = testbed.furnished().await;
    let deleting = admin.clone();
    let hook = TlsServer::start(&["localhost"], move |asked| {
        let deletion = deleting.delete("/api/v1/namespaces/apps", None).now_or_never();
        assert!(deletion.is_some(), "a store in memory answers at once");
        guard(asked)
    });
    let hook = hook.await;
    configure(&admin, &hook, &json!({})).await;
    let refused = admin.create(MAPS, &map("late")).await.unwrap_err();
    assert_eq!(refused.code(), Some(StatusCode::FORBIDDEN));
    assert!(refused.to_string().contains("because it is being terminated"), "{refused}");
    let missing = admin.get(&format!("{MAPS}/late")).await.unwrap_err();
    assert_eq!(missing.code(), Some(StatusCode::NOT_FOUND));
}

#[tokio::test]
async fn token_requests_are_asked_about_before_there_is_a_token() {
    let testbed = Testbed::new();
    let (server, admin) = testbed.furnished().await;
    let mut hook = TlsServer::start(&["localhost"], guard).await;
    let rule = json!({"operations": ["CREATE"], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["serviceaccounts/token", "pods/binding"]});
    configure(&admin, &hook, &json!({"rules": [rule]})).await;
    let body = json!({"spec": {"audiences": ["vault"]}}).to_string();
    let path = "/api/v1/namespaces/apps/serviceaccounts/web/token";
    let json_type = [("content-type", "application/json")];
    let answer = send(&server, Method::POST, path, &json_type, body).await;
    assert_eq!(answer.code(), StatusCode::CREATED, "{}", answer.text());
    let request = asked(&mut hook);
    assert_eq!(
        (&request["subResource"], &request["kind"]["kind"]),
        (&json!("token"), &json!("TokenRequest"))
    );
    assert_eq!(request["object"]["spec"]["audiences"], json!(["vault"]));
    assert!(!request.to_string().contains("eyJ"), "no token is sent");
    admin.create(PODS, &pod("p")).await.unwrap();
    admin
        .create(
            &format!("{PODS}/p/binding"),
            &json!({"metadata": {"name": "p"}, "target": {"kind": "Node", "name": "n1"}}),
        )
        .await
        .unwrap();
    let request = asked(&mut hook);
    assert_eq!((&request["subResource"], &request["kind"]["kind"]), (&json!("binding"), &json!("Binding")));
    assert!(hook.asked.try_recv().is_err(), "and not about the pod itself");
}

/// A webhook may keep a pod where it is; the deletion that follows an eviction is the server's own.
#[tokio::test]
async fn evictions_are_asked_about_once() {
    let (_, admin) = Testbed::new().furnished().await;
    for name in ["good", "evil"] {
        admin.create(PODS, &pod(name)).await.unwrap();
    }
    let mut hook = TlsServer::start(&["localhost"], guard).await;
    let rule = json!({"operations": ["*"], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods", "pods/eviction"]});
    configure(&admin, &hook, &json!({"rules": [rule]})).await;
    let evict = async |name: &str| {
        let eviction = json!({"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name}});
        admin.create(&format!("{PODS}/{name}/eviction"), &eviction).await
    };
    assert_eq!(evict("evil").await.unwrap_err().code(), Some(StatusCode::FORBIDDEN));
    assert_eq!(asked(&mut hook)["name"], "evil");
    assert!(admin.get(&format!("{PODS}/evil")).await.is_ok());
    evict("good").await.unwrap();
    let request = asked(&mut hook);
    assert_eq!(
        (&request["operation"], &request["subResource"], &request["kind"]["kind"]),
        (&json!("CREATE"), &json!("eviction"), &json!("Eviction"))
    );
    assert!(admin.get(&format!("{PODS}/good")).await.is_err());
    assert!(hook.asked.try_recv().is_err(), "and not about the deletion");
}

#[tokio::test]
async fn selectors_choose_namespaces_and_objects() {
    let testbed = Testbed::new();
    let (_, admin) = testbed.furnished().await;
    let mut server = TlsServer::start(&["localhost"], guard).await;
    let selectors = json!({
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "apps"}},
        "objectSelector": {"matchExpressions": [{"key": "guarded", "operator": "Exists"}]},
    });
    configure(&admin, &server, &selectors).await;
    admin.create("/api/v1/namespaces", &json!({"metadata": {"name": "other"}})).await.unwrap();
    let mut guarded = map("evil");
    guarded["metadata"]["labels"] = json!({"guarded": ""});
    admin.create("/api/v1/namespaces/other/configmaps", &guarded).await.unwrap();
    admin.create(MAPS, &map("evil")).await.unwrap();
    assert!(server.asked.try_recv().is_err());
    let refused =
        admin.merge_patch(&format!("{MAPS}/evil"), &json!({"metadata": {"labels": {"guarded": ""}}})).await;
    assert_eq!(refused.unwrap_err().code(), Some(StatusCode::FORBIDDEN));
}

#[tokio::test]
async fn a_webhook_that_cannot_be_asked_refuses_unless_it_need_not_be() {
    let failing = |asked: &Asked| match asked.target.as_str() {
        "/silent?timeout=1s" => Response::builder().status(StatusCode::CONTINUE).body(Bytes::new()).unwrap(),
        "/broken?timeout=10s" => Response::builder().status(500).body(Bytes::from("canary")).unwrap(),
        "/garbage?timeout=10s" => Response::new(Bytes::from("canary")),
        "/other?timeout=10s" => {
            let review = json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": {"uid": "x", "allowed": true}});
            Response::new(review.to_string().into())
        }
        _ => review(asked, json!({"allowed": true})),
    };
    let server = TlsServer::start(&["localhost"], failing).await;
    let url = |path: &str| json!({"url": format!("https://localhost:{}{path}", server.address.port())});
    let mut stranger = url("/");
    stranger["caBundle"] = STANDARD.encode(authority().pem()).into();
    let mut nobody = url("/");
    nobody["caBundle"] = "".into();
    let closed = json!({"url": "https://127.0.0.1:1/"});
    let service = json!({"url": null, "service": {"namespace": "apps", "name": "hooks"}});
    for (client, seconds, why) in [
        (url("/silent"), 1, "failed to call webhook: context deadline exceeded: no answer within 1 s"),
        (url("/broken"), 10, "failed to call webhook: the server answered 500"),
        (url("/garbage"), 10, "received invalid webhook response: no JSON: a fault in line 1, column 1"),
        (url("/other"), 10, "received invalid webhook response: expected response.uid="),
        (stranger, 10, "failed to call webhook: no TLS with localhost:"),
        (nobody, 10, "failed to call webhook: clientConfig.caBundle holds no certificate that can be used"),
        (closed, 10, "failed to call webhook: cannot connect to 127.0.0.1:1: "),
        (service, 10, "failed to call webhook: service apps/hooks has no ready endpoint"),
    ] {
        let changes = json!({"clientConfig": client, "timeoutSeconds": seconds});
        let testbed = Testbed::new();
        let (_, admin) = testbed.furnished().await;
        configure(&admin, &server, &changes).await;
        let refused = admin.create(MAPS, &map("m")).await.unwrap_err();
        assert_eq!(refused.code(), Some(StatusCode::INTERNAL_SERVER_ERROR));
        let text = refused.to_string();
        let wanted =
            format!("Internal error occurred: failed calling webhook \"guard.hooks.example\": {why}");
        assert!(text.starts_with(&wanted), "{text}");
        assert!(!text.contains("canary"), "{text}");
        let ignore = json!([{"op": "replace", "path": "/webhooks/0/failurePolicy", "value": "Ignore"}]);
        let body = ("application/json-patch+json", Bytes::from(ignore.to_string()));
        admin.send(Method::PATCH, &format!("{CONFIGURATIONS}/guard"), Some(body)).await.unwrap();
        admin.create(MAPS, &map("m")).await.unwrap();
    }
}

#[tokio::test]
async fn a_service_is_found_by_its_endpoint_slice() {
    let testbed = Testbed::new();
    let (_, admin) = testbed.furnished().await;
    let mut server = TlsServer::start(&["hooks.apps.svc"], guard).await;
    let slice = json!({
        "metadata": {"name": "hooks-1", "labels": {"kubernetes.io/service-name": "hooks"}},
        "addressType": "IPv4", "endpoints": [{"addresses": ["127.0.0.1"]}], "ports": [{"port": server.address.port()}],
    });
    admin.create("/apis/discovery.k8s.io/v1/namespaces/apps/endpointslices", &slice).await.unwrap();
    let service = json!({"url": null, "service": {"namespace": "apps", "name": "hooks", "path": "/check"}});
    configure(&admin, &server, &json!({"clientConfig": service})).await;
    assert_eq!(admin.create(MAPS, &map("evil")).await.unwrap_err().code(), Some(StatusCode::FORBIDDEN));
    let asked = server.asked.try_recv().unwrap();
    assert_eq!(asked.headers["host"], format!("hooks.apps.svc:{}", server.address.port()));
}

#[tokio::test]
async fn conditions_choose_what_is_asked_about() {
    let testbed = Testbed::new();
    let (api, admin) = testbed.furnished().await;
    let mut server = TlsServer::start(&["localhost"], guard).await;
    let condition = |name: &str, expression: &str| json!({"name": name, "expression": expression});
    let named = condition("named", "object == null || object.metadata.name != 'quiet'");
    let labelled = condition("labelled", "object == null || object.metadata.labels.tier != 'system'");
    configure(&admin, &server, &json!({"matchConditions": [named, labelled]})).await;
    let tiered = |name: &str, tier: &str| json!({"metadata": {"name": name, "labels": {"tier": tier}}});
    admin.create(MAPS, &tiered("loud", "web")).await.unwrap();
    assert_eq!(asked(&mut server)["name"], "loud");
    admin.create(MAPS, &tiered("other", "system")).await.unwrap();
    // One that is false decides, although the other cannot be said.
    admin.create(MAPS, &map("quiet")).await.unwrap();
    let refused = admin.create(MAPS, &map("plain")).await.unwrap_err();
    assert_eq!(refused.code(), Some(StatusCode::FORBIDDEN));
    assert_eq!(
        refused.to_string(),
        "configmaps \"plain\" is forbidden: expression 'object == null || object.metadata.labels.tier != 'system'' \
         resulted in error: no such key: labels"
    );
    let ignoring = json!([{"op": "add", "path": "/webhooks/0/failurePolicy", "value": "Ignore"}]);
    let path = format!("{CONFIGURATIONS}/guard");
    let json_patch = [("content-type", "application/json-patch+json")];
    let changed = send(&api, Method::PATCH, &path, &json_patch, ignoring.to_string()).await;
    assert_eq!(changed.response.status(), StatusCode::OK);
    admin.create(MAPS, &map("plain")).await.unwrap();
    assert!(server.asked.try_recv().is_err());

    let broken =
        json!([{"op": "add", "path": "/webhooks/0/matchConditions/-1/expression", "value": "object"}]);
    let refused = send(&api, Method::PATCH, &path, &json_patch, broken.to_string()).await;
    assert_eq!(refused.response.status(), StatusCode::UNPROCESSABLE_ENTITY);
    let wanted = "webhooks[0].matchConditions[1].expression: Invalid value: \\\"object\\\": must evaluate to bool but got dyn";
    let text = String::from_utf8(refused.body.to_vec()).unwrap();
    assert!(text.contains(wanted), "{text}");
}
