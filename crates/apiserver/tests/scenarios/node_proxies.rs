//! Requests that are passed on to nodes.

use std::sync::Arc;

use bytes::Bytes;
use http::{Method, Response, StatusCode};
use serde_json::json;
use tokenward_apiserver::{ApiServer, Client, NodeAccess};

use crate::testbed::{Testbed, admin, send};
use crate::tls_server::{TlsServer, identity};

/// A node server, and an API server that may connect to it as `kube-apiserver-kubelet-client`.
async fn connected(testbed: &Testbed) -> (TlsServer, ApiServer, Client) {
    let node = TlsServer::start(&["127.0.0.1"], |asked| {
        let mut response = Response::new(Bytes::from(format!("{} {}", asked.method, asked.target)));
        response.headers_mut().insert("content-type", "text/plain; version=0.0.4".parse().unwrap());
        if asked.target.contains("missing") {
            *response.status_mut() = StatusCode::NOT_FOUND;
        }
        response
    })
    .await;
    let mut roots = rustls::RootCertStore::empty();
    roots.add(node.authority.der().clone()).unwrap();
    let (certificate, key) = identity(&node.authority, &["kube-apiserver-kubelet-client"]);
    let tls =
        rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_client_auth_cert(vec![certificate], key)
            .unwrap();
    let server = testbed.server_for_nodes(NodeAccess::new(Arc::new(tls)));
    let client = server.client(admin());
    client.create("/api/v1/nodes", &json!({"metadata": {"name": "n1"}})).await.unwrap();
    let status = json!({"status": {
        "addresses": [{"type": "InternalIP", "address": "127.0.0.1"}],
        "daemonEndpoints": {"kubeletEndpoint": {"Port": node.address.port()}},
    }});
    client.merge_patch("/api/v1/nodes/n1/status", &status).await.unwrap();
    (node, server, client)
}

#[tokio::test]
async fn a_request_goes_on_with_the_server_s_identity_and_without_the_client_s() {
    let testbed = Testbed::new();
    let (mut node, server, _) = connected(&testbed).await;
    let headers = [("accept", "text/plain"), ("x-forwarded-for", "192.0.2.9")];
    let answer = send(&server, Method::GET, "/api/v1/nodes/n1/proxy/metrics?a=b%20c", &headers, "").await;
    assert_eq!((answer.code(), answer.text().as_str()), (StatusCode::OK, "GET /metrics?a=b%20c"));
    assert_eq!(answer.response.headers()["content-type"], "text/plain; version=0.0.4");
    let asked = node.asked.try_recv().unwrap();
    assert_eq!(asked.peer.as_deref(), Some("kube-apiserver-kubelet-client"));
    assert_eq!(asked.headers["accept"], "text/plain");
    assert!(asked.headers.get("authorization").is_none());
    let answer = send(&server, Method::POST, "/api/v1/nodes/n1/proxy/run/x", &[], "body").await;
    assert_eq!(answer.text(), "POST /run/x");
    assert_eq!(node.asked.try_recv().unwrap().body, "body");
    let answer = send(&server, Method::GET, "/api/v1/nodes/n1/proxy/missing", &[], "").await;
    assert_eq!(answer.code(), StatusCode::NOT_FOUND, "the node's own answer");
    let port = node.address.port();
    let answer = send(&server, Method::GET, &format!("/api/v1/nodes/n1:{port}/proxy/"), &[], "").await;
    assert_eq!(answer.text(), "GET /");
}

#[tokio::test]
async fn what_cannot_be_passed_on_says_why() {
    let testbed = Testbed::new();
    let (node, server, client) = connected(&testbed).await;
    let get = |path: &'static str| async { send(&server, Method::GET, path, &[], "").await };
    assert_eq!(get("/api/v1/nodes/ghost/proxy/metrics").await.code(), StatusCode::NOT_FOUND);
    assert_eq!(get("/api/v1/nodes/n1:x/proxy/metrics").await.code(), StatusCode::BAD_REQUEST);
    client.create("/api/v1/nodes", &json!({"metadata": {"name": "mute"}})).await.unwrap();
    let answer = get("/api/v1/nodes/mute/proxy/metrics").await;
    assert_eq!(answer.code(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(
        answer.json()["message"].as_str().unwrap().contains("no preferred addresses found"),
        "{}",
        answer.text()
    );
    let answer = get("/api/v1/nodes/n1:1/proxy/metrics").await;
    assert_eq!(answer.code(), StatusCode::SERVICE_UNAVAILABLE);
    let message = answer.json()["message"].as_str().unwrap().to_owned();
    assert!(message.starts_with("error trying to reach service: cannot connect to 127.0.0.1:1"), "{message}");
    let plain = testbed.server(tokenward_kube_rules::Release::V1_35);
    let answer = send(&plain, Method::GET, "/api/v1/nodes/n1/proxy/metrics", &[], "").await;
    assert_eq!(answer.code(), StatusCode::SERVICE_UNAVAILABLE);
    let anonymous = server.client(tokenward_apiserver::User::anonymous());
    let refused = anonymous.get("/api/v1/nodes/n1/proxy/metrics").await.unwrap_err();
    assert_eq!(refused.code(), Some(StatusCode::FORBIDDEN));
    assert!(
        refused.to_string().contains("cannot get resource \"nodes/proxy\" in API group \"\""),
        "{refused}"
    );
    drop(node);
}
