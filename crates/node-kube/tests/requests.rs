//! What goes to the API server: method, path, content type and body of each request, and how answers are understood.

#![expect(clippy::unwrap_used, reason = "a test that breaks is a failed test")]

use std::convert::Infallible;

use http::{Request, Response};
use jiff::Timestamp;
use kube::client::Body;
use serde_json::{Value, json};
use tokenward_node::{Cluster, ErrorReason, PodEvent, PodReference, TokenRequest};
use tokenward_node_kube::KubeCluster;
use tokenward_node_server::{AccessReview, Reviews};
use tokenward_tokens::{Audience, Token};
use tokio::sync::mpsc;
use tower::service_fn;

/// What was sent.
#[derive(Debug, PartialEq)]
struct Sent {
    request: String,
    content_type: Option<String>,
    body: Value,
}

/// A cluster whose server answers everything alike, and what it was sent.
fn cluster(status: u16, answer: &Value) -> (KubeCluster, mpsc::UnboundedReceiver<Sent>) {
    let (sender, receiver) = mpsc::unbounded_channel();
    let answer = answer.to_string();
    let service = service_fn(move |request: Request<Body>| {
        let (sender, answer) = (sender.clone(), answer.clone());
        async move {
            let content_type = request.headers().get("content-type");
            let content_type = content_type.map(|value| value.to_str().unwrap().to_owned());
            let line = format!("{} {}", request.method(), request.uri().path());
            let body = request.into_body().collect_bytes().await.unwrap();
            let body = if body.is_empty() { Value::Null } else { serde_json::from_slice(&body).unwrap() };
            sender.send(Sent { request: line, content_type, body }).unwrap();
            let response = Response::builder().status(status).body(Body::from(answer.into_bytes()));
            Ok::<_, Infallible>(response.unwrap())
        }
    });
    (KubeCluster::new(kube::Client::new(service, "default")), receiver)
}

fn pod() -> PodReference {
    PodReference { namespace: "ns".into(), name: "web-0".into(), uid: "u".into() }
}

fn sent(request: &str, content_type: &str, body: Value) -> Sent {
    Sent { request: request.to_owned(), content_type: Some(content_type.to_owned()), body }
}

const JSON: &str = "application/json";
const MERGE_PATCH: &str = "application/merge-patch+json";

#[tokio::test]
async fn a_token_request_is_the_kubelets() {
    let answer = json!({ "spec": { "expirationSeconds": 3600 },
        "status": { "token": "canary", "expirationTimestamp": "2027-01-15T08:00:00Z" } });
    for (audience, audiences) in [("vault", json!(["vault"])), ("", json!([]))] {
        let (cluster, mut requests) = cluster(201, &answer);
        let request = TokenRequest {
            pod: pod(),
            service_account: "web".into(),
            audience: Audience::new(audience),
            expiration_seconds: None,
        };
        let granted = cluster.request_token(&request).await.unwrap();
        assert_eq!(granted.token.expose_token(), "canary");
        assert_eq!(granted.ttl_seconds, Some(3600));
        let body = json!({
            "apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest",
            "spec": {
                "audiences": audiences, "expirationSeconds": null,
                "boundObjectRef": { "apiVersion": "v1", "kind": "Pod", "name": "web-0", "uid": "u" },
            },
        });
        let path = "POST /api/v1/namespaces/ns/serviceaccounts/web/token";
        assert_eq!(requests.recv().await.unwrap(), sent(path, JSON, body));
    }
}

#[tokio::test]
async fn what_is_written_goes_to_its_place_as_a_patch() {
    let (cluster, mut requests) = cluster(200, &json!({ "metadata": { "name": "n" } }));
    let patch = json!({ "status": {} });
    cluster.patch_node("n", &patch).await.unwrap();
    cluster.patch_node_status("n", &patch).await.unwrap();
    cluster.patch_csi_node("n", &patch).await.unwrap();
    cluster.patch_lease("n", &patch).await.unwrap();
    cluster.patch_pod_status(&pod(), &patch).await.unwrap();
    for path in [
        "/api/v1/nodes/n",
        "/api/v1/nodes/n/status",
        "/apis/storage.k8s.io/v1/csinodes/n",
        "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/n",
        "/api/v1/namespaces/ns/pods/web-0/status",
    ] {
        assert_eq!(
            requests.recv().await.unwrap(),
            sent(&format!("PATCH {path}"), MERGE_PATCH, patch.clone())
        );
    }
    cluster.finish_pod_deletion(&pod()).await.unwrap();
    let options = json!({ "apiVersion": "v1", "kind": "DeleteOptions", "gracePeriodSeconds": 0,
        "preconditions": { "uid": "u" } });
    let path = "DELETE /api/v1/namespaces/ns/pods/web-0";
    assert_eq!(requests.recv().await.unwrap(), sent(path, JSON, options));
}

#[tokio::test]
async fn events_of_one_moment_have_different_names() {
    let (cluster, mut requests) = cluster(201, &json!({}));
    let event = PodEvent {
        pod: pod(),
        node_name: "n".into(),
        kind: "Warning",
        reason: "FailedMount",
        message: "why".into(),
        at: Timestamp::UNIX_EPOCH,
    };
    cluster.create_event(&event).await.unwrap();
    cluster.create_event(&event).await.unwrap();
    let (first, second) = (requests.recv().await.unwrap(), requests.recv().await.unwrap());
    assert_eq!(first.request, "POST /api/v1/namespaces/ns/events");
    assert_eq!(first.body["involvedObject"]["uid"], "u");
    assert_eq!((&first.body["reason"], &first.body["message"]), (&json!("FailedMount"), &json!("why")));
    assert_ne!(first.body["metadata"]["name"], second.body["metadata"]["name"]);
}

#[tokio::test]
async fn a_pod_that_is_gone_or_replaced_needs_no_deletion() {
    for (code, reason, wanted) in
        [(404, "NotFound", true), (409, "Conflict", true), (403, "Forbidden", false)]
    {
        let status = json!({ "kind": "Status", "apiVersion": "v1", "status": "Failure",
            "reason": reason, "message": "why", "code": code });
        let (cluster, _requests) = cluster(code, &status);
        assert_eq!(cluster.finish_pod_deletion(&pod()).await.is_ok(), wanted, "{reason}");
    }
}

#[tokio::test]
async fn what_the_server_says_is_passed_on_and_what_it_should_not_say_is_not() {
    let status = json!({ "kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "NotFound",
        "message": "secrets \"creds\" not found", "code": 404 });
    let (missing, _requests) = cluster(404, &status);
    let error = missing.secret("ns", "creds").await.unwrap_err();
    assert_eq!(
        (error.reason(), error.to_string().as_str()),
        (ErrorReason::NotFound, "secrets \"creds\" not found")
    );

    let (strange, _requests) = cluster(200, &json!({ "data": { "key": "canary!" } }));
    let error = strange.secret("ns", "creds").await.unwrap_err();
    assert!(!error.to_string().contains("canary"), "{error}");

    let token = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJjYW5hcnkifQ.c2ln";
    let status = json!({ "kind": "Status", "status": "Failure", "reason": "Invalid",
        "message": format!("no {token}"), "code": 422 });
    let (loose, _requests) = cluster(422, &status);
    let error = loose.node("n").await.unwrap_err();
    assert_eq!(error.to_string(), "no ***stripped***");

    let (unused, mut requests) = cluster(200, &json!({}));
    let error = unused.secret("ns", "../pods/other").await.unwrap_err();
    assert_eq!(error.reason(), ErrorReason::Other);
    assert!(requests.try_recv().is_err(), "nothing was sent");
}

#[tokio::test]
async fn reviews_are_a_kubelets_and_their_answers_understood() {
    let user = json!({ "username": "alice", "uid": "u", "groups": ["g"], "extra": { "k": ["v"] } });
    let answer = json!({ "spec": { "token": "canary" }, "status": { "authenticated": true, "user": user } });
    let (good, mut requests) = cluster(201, &answer);
    let found = good.token_review(&Token::new("canary".to_owned())).await.unwrap().unwrap();
    assert_eq!((found.name.as_str(), found.groups.as_slice()), ("alice", &["g".to_owned()][..]));
    let body = json!({ "apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": { "token": "canary" } });
    let path = "POST /apis/authentication.k8s.io/v1/tokenreviews";
    assert_eq!(requests.recv().await.unwrap(), sent(path, JSON, body));

    let (bad, _requests) = cluster(201, &json!({ "status": { "authenticated": false } }));
    assert_eq!(bad.token_review(&Token::new("canary".to_owned())).await.unwrap(), None);

    for allowed in [true, false] {
        let (server, mut requests) = cluster(201, &json!({ "status": { "allowed": allowed } }));
        let review =
            AccessReview { user: found.clone(), verb: "get", node: "n".into(), subresource: "metrics" };
        assert_eq!(server.access_review(&review).await.unwrap(), allowed);
        let sent = requests.recv().await.unwrap();
        assert_eq!(sent.request, "POST /apis/authorization.k8s.io/v1/subjectaccessreviews");
        assert_eq!(sent.body["spec"]["user"], "alice");
        assert_eq!(
            sent.body["spec"]["resourceAttributes"],
            json!({ "verb": "get", "version": "v1", "resource": "nodes", "subresource": "metrics", "name": "n" })
        );
    }
}

#[tokio::test]
async fn of_an_account_only_its_uid_is_read() {
    let account = json!({ "metadata": { "name": "web", "uid": "u" }, "secrets": [{ "name": "s" }] });
    let (cluster, mut requests) = cluster(200, &account);
    assert_eq!(cluster.service_account_uid("ns", "web").await.unwrap(), "u");
    assert_eq!(requests.recv().await.unwrap().request, "GET /api/v1/namespaces/ns/serviceaccounts/web");
}
