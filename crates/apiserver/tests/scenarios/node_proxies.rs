//! Requests that are passed on to nodes.

use std::sync::Arc;

use bytes::Bytes;
use http::{Method, Response, StatusCode};
use serde_json::json;
use tokenward_apiserver::{ApiServer, Client, NodeAccess, TlsConfig, serve};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsConnector;
use tokio_util::sync::CancellationToken;

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
    let server = testbed.server_for_nodes(NodeAccess::new(tls(&node)));
    let client = server.client(admin());
    client.create("/api/v1/nodes", &json!({"metadata": {"name": "n1"}})).await.unwrap();
    tell(&client, "n1", "127.0.0.1", node.address.port()).await;
    (node, server, client)
}

/// The server's side of TLS with a node of this authority, which is also the server's own.
fn tls(node: &TlsServer) -> Arc<rustls::ClientConfig> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(node.authority.der().clone()).unwrap();
    let (certificate, key) = identity(&node.authority, &["kube-apiserver-kubelet-client"]);
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_client_auth_cert(vec![certificate], key)
        .unwrap();
    Arc::new(tls)
}

/// Has a node say where it is.
async fn tell(client: &Client, node: &str, address: &str, port: u16) {
    let status = json!({"status": {
        "addresses": [{"type": "InternalIP", "address": address}],
        "daemonEndpoints": {"kubeletEndpoint": {"Port": port}},
    }});
    client.merge_patch(&format!("/api/v1/nodes/{node}/status"), &status).await.unwrap();
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
    client.create("/api/v1/nodes", &json!({"metadata": {"name": "gone"}})).await.unwrap();
    tell(&client, "gone", "127.0.0.1", 1).await;
    let answer = get("/api/v1/nodes/gone/proxy/metrics").await;
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

#[tokio::test]
async fn another_server_over_the_same_store_is_not_called_as_a_node() {
    let testbed = Testbed::new();
    let (mut node, server, client) = connected(&testbed).await;
    // What another server says of itself.
    client.create("/api/v1/namespaces", &json!({"metadata": {"name": "kube-system"}})).await.unwrap();
    let annotations = json!({"tokenward.dev/advertised-address": node.address.to_string()});
    let lease = json!({"metadata": {"name": "apiserver-other", "annotations": annotations}});
    let leases = "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases";
    client.create(leases, &lease).await.unwrap();
    let answer = send(&server, Method::GET, "/api/v1/nodes/n1/proxy/api", &[], "").await;
    assert_eq!(answer.code(), StatusCode::BAD_REQUEST, "{}", answer.text());
    assert!(answer.text().contains("an API server listens on"), "{}", answer.text());
    assert!(node.asked.try_recv().is_err(), "nothing was sent");
    client.delete(&format!("{leases}/apiserver-other"), None).await.unwrap();
    let answer = send(&server, Method::GET, "/api/v1/nodes/n1/proxy/api", &[], "").await;
    assert_eq!(answer.code(), StatusCode::OK);
}

#[tokio::test]
async fn another_port_than_the_node_s_own_is_refused() {
    let testbed = Testbed::new();
    let (mut node, server, client) = connected(&testbed).await;
    let listening = node.address.port();
    for (own, asked) in [(listening, 1), (listening, 6443), (10_250, listening), (0, listening)] {
        tell(&client, "n1", "127.0.0.1", own).await;
        let answer =
            send(&server, Method::GET, &format!("/api/v1/nodes/n1:{asked}/proxy/metrics"), &[], "").await;
        assert_eq!(answer.code(), StatusCode::BAD_REQUEST, "{asked} of a node on {own}");
        let message = answer.json()["message"].as_str().unwrap().to_owned();
        assert!(message.starts_with("port not allowed: requests to node n1 are"), "{message}");
    }
    assert!(node.asked.try_recv().is_err(), "nothing was sent");
}

#[tokio::test]
async fn an_address_that_is_no_node_s_is_refused() {
    let testbed = Testbed::new();
    let (mut node, server, client) = connected(&testbed).await;
    for address in ["0.0.0.0", "::", "169.254.169.254", "::ffff:169.254.169.254", "fe80::1", "224.0.0.1"] {
        tell(&client, "n1", address, node.address.port()).await;
        let answer = send(&server, Method::GET, "/api/v1/nodes/n1/proxy/metrics", &[], "").await;
        assert_eq!(answer.code(), StatusCode::BAD_REQUEST, "{address}");
        let message = answer.json()["message"].as_str().unwrap().to_owned();
        assert!(message.starts_with("address not allowed: "), "{message}");
    }
    assert!(node.asked.try_recv().is_err(), "nothing was sent");
}

#[tokio::test]
async fn a_node_cannot_lead_the_server_to_itself() {
    for listen in ["127.0.0.1:0", "0.0.0.0:0"] {
        let testbed = Testbed::new();
        let (node, server, client) = connected(&testbed).await;
        let listener = TcpListener::bind(listen).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (certificate, key) = identity(&node.authority, &["127.0.0.1"]);
        let client_authorities = vec![node.authority.der().clone()];
        let served = TlsConfig { certificates: vec![certificate], key, client_authorities };
        let stop = CancellationToken::new();
        let serving = tokio::spawn(serve(server.clone(), listener, served, stop.clone()));
        // The server can be reached by then, and with the identity that nodes see.
        let socket = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        TlsConnector::from(tls(&node)).connect("127.0.0.1".try_into().unwrap(), socket).await.unwrap();
        for address in ["127.0.0.1", "::ffff:127.0.0.1"] {
            tell(&client, "n1", address, port).await;
            for name in ["n1".to_owned(), format!("n1:{port}")] {
                let path = format!("/api/v1/nodes/{name}/proxy/api/v1/secrets");
                let answer = send(&server, Method::GET, &path, &[], "").await;
                assert_eq!(answer.code(), StatusCode::BAD_REQUEST, "{listen} {address} {}", answer.text());
                let message = answer.json()["message"].as_str().unwrap().to_owned();
                let wanted = format!("address not allowed: an API server listens on 127.0.0.1:{port}");
                assert_eq!(message, wanted);
            }
        }
        stop.cancel();
        serving.await.unwrap().unwrap();
    }
}
