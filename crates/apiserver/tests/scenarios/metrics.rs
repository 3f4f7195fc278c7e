//! What `/metrics` says after things have happened.

use std::time::Duration;

use futures_util::StreamExt as _;
use http::{Method, StatusCode};
use serde_json::json;
use tokenward_apiserver::ApiServer;
use tokenward_kube_rules::{FeatureGates, Release};

use crate::testbed::{DRIVERS, PODS, REVIEWS, Testbed, driver, pod, send};

/// The value of a line that begins so, up to the blank before it.
async fn value(server: &ApiServer, line: &str) -> Option<u64> {
    let answer = send(server, Method::GET, "/metrics", &[], "").await;
    assert_eq!(answer.code(), StatusCode::OK);
    let text = answer.text();
    let mut values = text.lines().filter_map(|own| own.strip_prefix(line)?.strip_prefix(' ')?.parse().ok());
    values.next()
}

#[tokio::test]
async fn objects_requests_and_watches_are_counted() {
    let bed = Testbed::new();
    let (server, admin) = bed.furnished().await;
    for name in ["a", "b"] {
        admin.create(DRIVERS, &driver(name)).await.unwrap();
    }
    assert_eq!(
        value(&server, "apiserver_storage_objects{resource=\"csidrivers.storage.k8s.io\"}").await,
        Some(2)
    );
    admin.delete(&format!("{DRIVERS}/a"), None).await.unwrap();
    assert_eq!(
        value(&server, "apiserver_storage_objects{resource=\"csidrivers.storage.k8s.io\"}").await,
        Some(1)
    );
    let created = "apiserver_request_total{verb=\"POST\",dry_run=\"\",group=\"storage.k8s.io\",version=\"v1\",\
                   resource=\"csidrivers\",subresource=\"\",scope=\"resource\",component=\"apiserver\",code=\"201\"}";
    assert_eq!(value(&server, created).await, Some(2));

    let running = "apiserver_longrunning_requests{verb=\"WATCH\",group=\"storage.k8s.io\",version=\"v1\",\
                   resource=\"csidrivers\",subresource=\"\",scope=\"cluster\",component=\"apiserver\"}";
    let events = "apiserver_watch_events_total{group=\"storage.k8s.io\",version=\"v1\",kind=\"CSIDriver\"}";
    let mut watch = Box::pin(admin.watch(&format!("{DRIVERS}?watch=1")).await.unwrap());
    assert!(watch.next().await.is_some());
    assert_eq!((value(&server, running).await, value(&server, events).await), (Some(1), Some(1)));
    admin.create(DRIVERS, &driver("c")).await.unwrap();
    assert!(watch.next().await.is_some());
    drop(watch);
    assert_eq!((value(&server, running).await, value(&server, events).await), (Some(0), Some(2)));
    let in_flight = "apiserver_current_inflight_requests{request_kind=\"readOnly\"}";
    assert_eq!(value(&server, in_flight).await, Some(1), "the question itself");
}

#[tokio::test]
async fn tokens_are_counted_where_they_are_believed() {
    let bed = Testbed::new();
    let (server, admin) = bed.furnished().await;
    let created = admin.create(PODS, &pod("p")).await.unwrap().object;
    // As a pod's own volume asks: the token lives longer than its holder is told.
    let ask = json!({"spec": {"audiences": [], "expirationSeconds": 3607, "boundObjectRef":
        {"kind": "Pod", "apiVersion": "v1", "name": "p", "uid": created["metadata"]["uid"]}}});
    let account = "/api/v1/namespaces/apps/serviceaccounts/web/token";
    let granted = admin.create(account, &ask).await.unwrap().object;
    let token = granted["status"]["token"].as_str().unwrap().to_owned();
    let use_it = async || {
        let bearer = format!("Bearer {token}");
        let answer = send(&server, Method::GET, "/version", &[("authorization", &bearer)], "").await;
        assert_eq!(answer.code(), StatusCode::OK, "{}", answer.text());
    };
    use_it().await;
    assert_eq!(value(&server, "serviceaccount_valid_tokens_total").await, Some(1));
    assert_eq!(value(&server, "serviceaccount_stale_tokens_total").await, Some(0));
    bed.clock.advance(Duration::from_secs(3700));
    use_it().await;
    admin.create(REVIEWS, &json!({"spec": {"token": token}})).await.unwrap();
    assert_eq!(value(&server, "serviceaccount_valid_tokens_total").await, Some(1));
    assert_eq!(value(&server, "serviceaccount_stale_tokens_total").await, Some(2));
    // One that is not good is no token of either sort.
    let refused = send(&server, Method::GET, "/version", &[("authorization", "Bearer canary")], "").await;
    assert_eq!(refused.code(), StatusCode::UNAUTHORIZED);
    assert_eq!(value(&server, "authentication_attempts{result=\"error\"}").await, Some(1));
    let text = send(&server, Method::GET, "/metrics", &[], "").await.text();
    assert!(!text.contains(&token) && !text.contains("canary") && !text.contains("eyJ"), "{text}");
}

#[tokio::test]
async fn metrics_are_for_those_who_may() {
    let bed = Testbed::new();
    let server = bed.server_with(FeatureGates::for_release(Release::V1_35), "alice-token,alice,1,\"\"\n");
    let alice = [("authorization", "Bearer alice-token")];
    let refused = send(&server, Method::GET, "/metrics", &alice, "").await;
    assert_eq!(refused.code(), StatusCode::FORBIDDEN);
    assert_eq!(refused.json()["message"], "forbidden: User \"alice\" cannot get path \"/metrics\"");
    let answer = send(&server, Method::GET, "/metrics", &[("accept", "*/*")], "").await;
    assert_eq!(
        answer.response.headers()["content-type"],
        "text/plain; version=0.0.4; charset=utf-8; escaping=underscores"
    );
    // Every line is a comment, or a name with labels and a number.
    for line in answer.text().lines().filter(|line| !line.starts_with('#')) {
        let (name, number) = line.rsplit_once(' ').unwrap();
        assert!(number.parse::<f64>().is_ok(), "{line}");
        assert!(name.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' '), "{line}");
    }
}
