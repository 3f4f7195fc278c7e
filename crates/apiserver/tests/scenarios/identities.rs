//! What says that a server is there, over time. Time is tokio's, and paused; the clock is the test's.

use std::net::SocketAddr;
use std::time::Duration;

use futures_util::StreamExt;
use serde_json::{Value, json};
use tokenward_apiserver::{Client, ServerIdentity, keep_identity};
use tokenward_kube_rules::Release;
use tokio_util::sync::CancellationToken;

use crate::testbed::{Testbed, admin};

const LEASES: &str = "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases";
const SLICES: &str = "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices";

/// Waits until an event of the kind is told of an object that fits.
async fn told(client: &Client, path: &str, kind: &str, fits: impl Fn(&Value) -> bool) -> Value {
    let mut events = Box::pin(client.watch(&format!("{path}?watch=1")).await.unwrap());
    let found = async {
        loop {
            let event = events.next().await.unwrap().unwrap();
            if event.kind == kind && fits(&event.object) {
                return event.object;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(300), found).await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_server_renews_its_lease_leads_to_itself_and_removes_those_who_are_gone() {
    let testbed = Testbed::new();
    let client = testbed.server(Release::V1_35).client(admin());
    for name in ["default", "kube-system"] {
        client.create("/api/v1/namespaces", &json!({"metadata": {"name": name}})).await.unwrap();
    }
    let labels = json!({"apiserver.kubernetes.io/identity": "kube-apiserver"});
    let gone = json!({"metadata": {"name": "apiserver-gone", "labels": labels},
        "spec": {"holderIdentity": "x", "leaseDurationSeconds": 3600, "renewTime": "2026-03-01T10:59:59.000000Z"}});
    client.create(LEASES, &gone).await.unwrap();
    let other = json!({"metadata": {"name": "leader", "annotations": {}}, "spec": {"holderIdentity": "x", "leaseDurationSeconds": 1}});
    client.create(LEASES, &other).await.unwrap();
    let stop = CancellationToken::new();
    let identity =
        ServerIdentity { hostname: "host".to_owned(), address: SocketAddr::from(([192, 0, 2, 1], 6443)) };
    let keeping = tokio::spawn(keep_identity(client.clone(), identity, testbed.clock.clock(), stop.clone()));

    told(&client, LEASES, "DELETED", |lease| lease["metadata"]["name"] == "apiserver-gone").await;
    let slice = told(&client, SLICES, "ADDED", |slice| slice["metadata"]["name"] == "kubernetes").await;
    assert_eq!(slice["endpoints"][0]["addresses"], json!(["192.0.2.1"]));
    assert_eq!(slice["metadata"]["labels"]["kubernetes.io/service-name"], "kubernetes");
    let own = |lease: &Value| lease["metadata"]["labels"]["kubernetes.io/hostname"] == "host";
    let lease = told(&client, LEASES, "ADDED", own).await;
    assert_eq!(lease["spec"]["renewTime"], "2026-03-01T12:00:00.000000Z");
    assert_eq!(lease["metadata"]["labels"]["apiserver.kubernetes.io/identity"], "kube-apiserver");
    testbed.clock.advance(Duration::from_secs(10));
    let renewed = told(&client, LEASES, "MODIFIED", own).await;
    assert_eq!(renewed["spec"]["renewTime"], "2026-03-01T12:00:10.000000Z");
    assert_eq!(renewed["spec"]["holderIdentity"], lease["spec"]["holderIdentity"]);
    client.get(&format!("{LEASES}/leader")).await.expect("the leases of others are left alone");
    let unchanged = client.get(&format!("{SLICES}/kubernetes")).await.unwrap();
    assert_eq!(
        unchanged["metadata"]["resourceVersion"], slice["metadata"]["resourceVersion"],
        "nothing new, nothing written"
    );
    stop.cancel();
    keeping.await.unwrap();
}
