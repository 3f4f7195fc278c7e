//! A whole cluster, its node an ordinary one: everything that the node asks of the server passes Node authorization and
//! NodeRestriction, and the node's own server is reached through the API server by those who may, and refuses others.

#![expect(clippy::unwrap_used, reason = "a test world that breaks is a failed test")]

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use http::Method;
use serde_json::{Value, json};
use tokenward_apiserver::Client;
use tokenward_cluster::control_plane::ControlPlaneConfig;
use tokenward_cluster::{Cluster, ClusterConfig};
use tokenward_kube_rules::FeatureGates;
use tokenward_node::Republish;
use tokenward_tokens::{Clock, ManualClock, Token};
use tokio_util::sync::CancellationToken;

const DRIVER: &str = "files.example.com";

async fn until<T, F: Future<Output = Option<T>>>(what: &str, mut probe: impl FnMut() -> F) -> T {
    let found = tokio::time::timeout(Duration::from_secs(60), async {
        loop {
            if let Some(found) = probe().await {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    });
    found.await.unwrap_or_else(|_| panic!("in vain: {what}"))
}

/// The token that the driver has written, wherever below the directory.
fn token_below(directory: &Path) -> Option<Token> {
    std::fs::read_dir(directory).ok()?.filter_map(Result::ok).find_map(|entry| {
        match entry.file_type().ok()? {
            kind if kind.is_dir() => token_below(&entry.path()),
            _ if entry.file_name() == "vault" => std::fs::read_to_string(entry.path()).ok().map(Token::new),
            _ => None,
        }
    })
}

async fn text(admin: &Client, path: &str) -> Option<String> {
    let bytes = admin.send_text(Method::GET, path, None).await.ok()?;
    Some(String::from_utf8(bytes.to_vec()).unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_s_metrics_are_read_through_the_api_server() {
    let mut config = ControlPlaneConfig::new(FeatureGates::default()).unwrap();
    config.listen = "127.0.0.1:0".parse().unwrap();
    let clock = ManualClock::new(Clock::system().now());
    config.clock = clock.clock();
    let cluster = Cluster::start(ClusterConfig {
        control_plane: config,
        nodes: 1,
        root_dir: None,
        csi_drivers: vec![DRIVER.to_owned()],
        endpoints: BTreeMap::new(),
        republish: Republish::OnChange,
        drop_forged_keys: true,
    })
    .await
    .unwrap();
    let admin = cluster.control_plane().admin();
    let csi_driver = json!({
        "metadata": { "name": DRIVER },
        "spec": {
            "attachRequired": false, "podInfoOnMount": true, "requiresRepublish": true,
            "volumeLifecycleModes": ["Ephemeral"], "serviceAccountTokenInSecrets": true,
            "tokenRequests": [{ "audience": "vault", "expirationSeconds": 36_000 }],
        },
    });
    admin.create("/apis/storage.k8s.io/v1/csidrivers", &csi_driver).await.unwrap();
    let accounts = "/api/v1/namespaces/default/serviceaccounts";
    let web = json!({ "metadata": { "name": "web" } });
    until("the account", || async { admin.create(accounts, &web).await.ok() }).await;
    let pod = json!({
        "metadata": { "name": "web" },
        "spec": {
            "nodeName": "node-1", "serviceAccountName": "web", "containers": [{ "name": "main", "image": "none" }],
            "volumes": [{ "name": "tokens", "csi": { "driver": DRIVER } }],
        },
    });
    admin.create("/api/v1/namespaces/default/pods", &pod).await.unwrap();
    let is_mounted = r#"tokenward_volumes{driver="files.example.com",state="mounted"} 1"#;
    let proxied = "/api/v1/nodes/node-1/proxy";
    let metrics = until("the volume in the metrics", || async {
        text(&admin, &format!("{proxied}/metrics")).await.filter(|text| text.contains(is_mounted))
    })
    .await;
    let fetched =
        r#"tokenward_token_requests_total{driver="files.example.com",audience="vault",outcome="success"} 1"#;
    assert!(metrics.contains(fetched), "{metrics}");
    assert_eq!(text(&admin, &format!("{proxied}/healthz")).await.as_deref(), Some("ok"));
    let shown: Value =
        serde_json::from_str(&text(&admin, &format!("{proxied}/configz")).await.unwrap()).unwrap();
    assert_eq!(shown["tokenward"], json!({ "republish": "on-change", "dropForgedKeys": true }));
    let node = admin.get("/api/v1/nodes/node-1").await.unwrap();
    let port = &node["status"]["daemonEndpoints"]["kubeletEndpoint"]["Port"];
    assert_eq!(shown["kubeletconfig"]["port"], *port);
    assert_eq!(node["status"]["addresses"], json!([{ "type": "InternalIP", "address": "127.0.0.1" }]));
    assert!(!metrics.contains("eyJ"), "no token in the metrics");

    // A new account of the same name. The node may look at it, and does so within a republish period.
    let account_of = || token_below(cluster.root_dir()).and_then(|token| token.service_account_uid());
    let path = format!("{accounts}/web");
    let uid = |account: &Value| account["metadata"]["uid"].as_str().map(str::to_owned);
    assert_eq!(account_of(), uid(&admin.get(&path).await.unwrap()));
    admin.delete(&path, None).await.unwrap();
    let recreated = uid(&admin.create(accounts, &web).await.unwrap().object);
    let before = clock.now();
    until("a token of the new account", || async {
        clock.advance(Duration::from_secs(2));
        (account_of() == recreated).then_some(())
    })
    .await;
    let passed = clock.now().duration_since(before).as_secs();
    assert!(passed < 600, "an hour before the old token was due: {passed} s");
    cluster.stop(&CancellationToken::new()).await.unwrap();
}
