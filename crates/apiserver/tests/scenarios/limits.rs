//! What the server does when it is asked for too much.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use http::{Method, Request, StatusCode};
use http_body_util::StreamBody;
use serde_json::json;
use tokenward_apiserver::{ApiServer, PeerIdentity, User};
use tokenward_kube_rules::Release;

use crate::testbed::{DRIVERS, Testbed, admin, driver, send};

const WHO: &str = "/apis/authentication.k8s.io/v1/selfsubjectreviews";

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

/// A client whose request is still on its way when it is refused may take the answer for a broken connection.
#[tokio::test(start_paused = true)]
async fn what_a_refused_client_is_still_sending_is_taken_if_it_is_little() {
    let server = Testbed::new().server(Release::V1_35);
    let (sent, taken) = tokio::sync::mpsc::channel::<Bytes>(1);
    let pieces = stream::unfold(taken, |mut taken| async {
        taken
            .recv()
            .await
            .map(|piece| (Ok::<_, std::convert::Infallible>(http_body::Frame::data(piece)), taken))
    });
    let answer = server.handle(of_unknown_format(Box::pin(pieces)));
    let send = async {
        for _ in 0..3 {
            sent.send(Bytes::from_static(b"{}")).await.expect("it is taken");
        }
        drop(sent);
    };
    let (answer, ()) = tokio::join!(answer, send);
    assert_eq!(answer.status(), StatusCode::UNSUPPORTED_MEDIA_TYPE);

    // One that never ends, or sends on and on, does not keep its answer from coming.
    let silent = stream::pending::<Result<http_body::Frame<Bytes>, std::convert::Infallible>>();
    assert_eq!(server.handle(of_unknown_format(silent)).await.status(), StatusCode::UNSUPPORTED_MEDIA_TYPE);
    let endless = stream::repeat_with(|| {
        Ok::<_, std::convert::Infallible>(http_body::Frame::data(Bytes::from_static(&[b'x'; 4096])))
    });
    assert_eq!(server.handle(of_unknown_format(endless)).await.status(), StatusCode::UNSUPPORTED_MEDIA_TYPE);
}

/// A request that is refused for its Content-Type, whatever its body has.
fn of_unknown_format<S>(pieces: S) -> Request<StreamBody<S>> {
    let mut request =
        Request::post(DRIVERS).header("content-type", "text/plain").body(StreamBody::new(pieces)).unwrap();
    request.extensions_mut().insert(PeerIdentity(Arc::new(admin())));
    request
}

#[tokio::test]
async fn an_object_larger_than_etcd_takes_is_refused() {
    const ROLES: &str = "/apis/rbac.authorization.k8s.io/v1/clusterroles";
    let (_, admin) = Testbed::new().furnished().await;
    let role = |length: usize| {
        json!({"metadata": {"name": "large"},
            "rules": [{"verbs": ["get"], "apiGroups": [""], "resources": ["x".repeat(length)]}]})
    };
    let refused = admin.create(ROLES, &role(1_572_864)).await.unwrap_err();
    assert_eq!(refused.code(), Some(StatusCode::PAYLOAD_TOO_LARGE));
    assert!(refused.to_string().contains("bytes, limit is 1572864"), "{refused}");
    admin.create(ROLES, &role(1_500_000)).await.unwrap();
    let path = format!("{ROLES}/large");
    let change = json!({"metadata": {"annotations": {"more": "y".repeat(100_000)}}});
    let refused = admin.merge_patch(&path, &change).await.unwrap_err();
    assert_eq!(refused.code(), Some(StatusCode::PAYLOAD_TOO_LARGE));
    admin.delete(&path, None).await.unwrap();
}

/// A write of a user whose body never comes.
async fn stalled(server: ApiServer, user: &'static str) -> StatusCode {
    let never = stream::pending::<Result<http_body::Frame<Bytes>, std::io::Error>>();
    let mut request = Request::post(WHO).body(StreamBody::new(never)).unwrap();
    request.extensions_mut().insert(PeerIdentity(Arc::new(User::authenticated(user, []))));
    server.handle(request).await.status()
}

#[tokio::test(start_paused = true)]
async fn bodies_that_do_not_come_give_their_places_back() {
    let (server, _) = Testbed::new().furnished().await;
    let writes: Vec<_> = (0..400).map(|_| tokio::spawn(stalled(server.clone(), "busy"))).collect();
    tokio::time::sleep(Duration::from_secs(1)).await;
    let busy = server.client(User::authenticated("busy", []));
    let refused = busy.create(WHO, &json!({})).await.unwrap_err();
    assert_eq!(refused.code(), Some(StatusCode::TOO_MANY_REQUESTS));
    let other = server.client(User::authenticated("other", []));
    other.create(WHO, &json!({})).await.expect("one user does not starve another");
    let mut codes = BTreeMap::new();
    for write in writes {
        *codes.entry(write.await.unwrap().as_u16()).or_insert(0) += 1;
    }
    // A hundred had places until their time was over; the others were told to come back, at once or when they had
    // waited long enough.
    assert_eq!(codes, BTreeMap::from([(504, 100), (429, 300)]));
    busy.create(WHO, &json!({})).await.unwrap();
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
