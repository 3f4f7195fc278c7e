//! What the server does when it is asked for too much.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use http::{Method, Request, StatusCode};
use http_body_util::StreamBody;
use tokenward_apiserver::{ApiServer, PeerIdentity};
use tokenward_kube_rules::Release;

use crate::testbed::{DRIVERS, Testbed, admin, driver, send};

#[tokio::test]
async fn a_body_of_more_than_three_mebibytes_is_refused() {
    let server = Testbed::new().server(Release::V1_35);
    let json = [("content-type", "application/json")];
    let mut body = driver("d").to_string().into_bytes();
    body.resize(3 * 1024 * 1024, b' ');
    assert_eq!(send(&server, Method::POST, DRIVERS, &json, body.clone()).await.code(), StatusCode::CREATED);
    body.push(b' ');
    let refused = send(&server, Method::POST, DRIVERS, &json, body).await;
    assert_eq!(refused.code(), StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(refused.json()["message"], "Request entity too large: limit is 3145728");
}

/// A write whose body never comes.
async fn stalled(server: ApiServer) -> StatusCode {
    let never = stream::pending::<Result<http_body::Frame<Bytes>, std::io::Error>>();
    let mut request = Request::post(DRIVERS).body(StreamBody::new(never)).unwrap();
    request.extensions_mut().insert(PeerIdentity(Arc::new(admin())));
    server.handle(request).await.status()
}

#[tokio::test(start_paused = true)]
async fn beyond_the_writes_in_flight_clients_are_told_to_come_back() {
    let server = Testbed::new().server(Release::V1_35);
    let writes: Vec<_> = (0..200).map(|_| tokio::spawn(stalled(server.clone()))).collect();
    tokio::time::sleep(Duration::from_secs(1)).await;
    let refused = send(&server, Method::POST, DRIVERS, &[], driver("d").to_string()).await;
    assert_eq!(refused.code(), StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(refused.response.headers()["retry-after"], "1");
    assert_eq!(refused.json()["details"]["retryAfterSeconds"], 1);
    let reading = send(&server, Method::GET, DRIVERS, &[], "").await;
    assert_eq!(reading.code(), StatusCode::OK, "reading has places of its own");
    // Bodies that do not come give their places back.
    for write in writes {
        assert_eq!(write.await.unwrap(), StatusCode::GATEWAY_TIMEOUT);
    }
    let made = send(&server, Method::POST, DRIVERS, &[], driver("d").to_string()).await;
    assert_eq!(made.code(), StatusCode::CREATED);
}

#[tokio::test]
async fn a_head_request_is_a_get_without_the_body() {
    let server = Testbed::new().server(Release::V1_35);
    for path in ["/healthz", DRIVERS, &format!("{DRIVERS}/none")] {
        let get = send(&server, Method::GET, path, &[], "").await;
        let head = send(&server, Method::HEAD, path, &[], "").await;
        assert_eq!(head.code(), get.code(), "{path}");
        assert!(head.body.is_empty());
        assert_eq!(head.response.headers()["content-length"], get.body.len().to_string());
        assert_eq!(head.response.headers()["content-type"], get.response.headers()["content-type"]);
    }
}

#[tokio::test]
async fn every_answer_has_an_audit_id_and_is_not_to_be_cached() {
    let server = Testbed::new().server(Release::V1_35);
    for path in ["/version", "/nothing", DRIVERS] {
        let answer = send(&server, Method::GET, path, &[], "").await;
        assert_eq!(answer.response.headers()["cache-control"], "no-cache, private");
        assert_eq!(answer.response.headers()["audit-id"].len(), 36);
    }
}

/// Large answers are compressed for those who ask, whatever they are written in; watches and small answers never are.
#[tokio::test]
async fn large_answers_are_compressed_for_those_who_ask() {
    let server = Testbed::new().server(Release::V1_35);
    for number in 0..10 {
        let mut large = driver(&format!("d{number}"));
        large["metadata"]["annotations"] = serde_json::json!({"text": "a text ".repeat(2_500)});
        send(&server, Method::POST, DRIVERS, &[], large.to_string()).await;
    }
    for accept in ["application/json", "application/yaml", "application/vnd.kubernetes.protobuf"] {
        let asking = [("accept", accept), ("accept-encoding", "gzip")];
        let plain = send(&server, Method::GET, DRIVERS, &asking[..1], "").await;
        assert!(!plain.response.headers().contains_key("content-encoding"));
        let compressed = send(&server, Method::GET, DRIVERS, &asking, "").await;
        let headers = compressed.response.headers();
        assert_eq!(headers["content-encoding"], "gzip");
        assert_eq!(headers["vary"], "Accept-Encoding");
        assert_eq!(headers["content-type"], accept);
        assert!(compressed.body.len() < plain.body.len() / 10);
        let mut read = Vec::new();
        std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(&*compressed.body), &mut read).unwrap();
        assert!(read == plain.body);
        let small = send(&server, Method::GET, &format!("{DRIVERS}/d0"), &asking, "").await;
        assert!(!small.response.headers().contains_key("content-encoding"));
        let head = send(&server, Method::HEAD, DRIVERS, &asking, "").await;
        assert_eq!(head.response.headers()["content-encoding"], "gzip");
        assert!(head.body.is_empty());
    }
    let watch = format!("{DRIVERS}?watch=1&timeoutSeconds=1");
    let watched = send(&server, Method::GET, &watch, &[("accept-encoding", "gzip")], "").await;
    assert!(!watched.response.headers().contains_key("content-encoding"));
    assert!(watched.body.len() > 128 * 1024);
}
