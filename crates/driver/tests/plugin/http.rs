//! `/healthz` and `/metrics`.

use tokenward_driver::csi::v1::*;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::world::{Running, TOKENS_KEY, publish, start, within};

/// The status code and the body.
async fn get(running: &Running, method: &str, path: &str) -> (u16, String) {
    within(async {
        let mut stream = tokio::net::TcpStream::connect(running.http).await.unwrap();
        let request = format!("{method} {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
    })
    .await
}

#[tokio::test]
async fn health_is_a_probe_over_the_plugins_own_socket() {
    let running = start(|plugin| plugin).await;
    assert_eq!(get(&running, "GET", "/healthz").await, (200, "ok\n".to_owned()));
    assert_eq!(get(&running, "POST", "/healthz").await.0, 405);
    assert_eq!(get(&running, "GET", "/").await.0, 404);
    // Somebody removes the socket: the kubelet cannot reach the driver, so it is not healthy.
    let aside = running.socket().as_path().with_extension("aside");
    std::fs::rename(running.socket(), &aside).unwrap();
    let (code, why) = get(&running, "GET", "/healthz").await;
    assert_eq!(code, 500);
    assert!(why.contains("no socket at"), "{why}");
    std::fs::rename(&aside, running.socket()).unwrap();
    assert_eq!(get(&running, "GET", "/healthz").await.0, 200);
    running.stop().await;
}

#[tokio::test]
async fn a_driver_that_starts_or_is_broken_is_not_healthy() {
    use tokenward_driver::Readiness;
    for (readiness, expected) in [
        (Readiness::Starting, "the driver is starting"),
        (Readiness::Broken("no audience".to_owned()), "no audience"),
    ] {
        let running = start(|plugin| plugin.ready_when(move || readiness.clone())).await;
        let (code, why) = get(&running, "GET", "/healthz").await;
        assert!(code == 500 && why.contains(expected), "{code} {why}");
        running.stop().await;
    }
}

/// The one number that tells when the switch is safe, and when the fallback can go.
#[tokio::test]
async fn metrics_say_where_tokens_were_found_and_how_calls_ended() {
    let running = start(|plugin| plugin).await;
    let mut node = running.node();
    let tokens = r#"{"vault":{"token":"canary","expirationTimestamp":"2030-01-01T00:00:00Z"}}"#.to_owned();
    let mut request = publish("a");
    for found in ["none", "volume_context", "secrets"] {
        match found {
            "volume_context" => {
                request.volume_context.insert(TOKENS_KEY.to_owned(), tokens.clone());
            }
            "secrets" => {
                request.secrets.insert(TOKENS_KEY.to_owned(), tokens.clone());
            }
            _ => {}
        }
        node.node_publish_volume(request.clone()).await.unwrap();
    }
    node.node_publish_volume(publish("echo")).await.unwrap_err();
    node.node_get_info(NodeGetInfoRequest {}).await.unwrap();
    let (code, text) = get(&running, "GET", "/metrics").await;
    assert_eq!(code, 200);
    let operation = |service: &str, method: &str, code: &str, count: u32| {
        format!(
            r#"csi_plugin_operations_seconds_count{{driver_name="scripted.tokenward.dev",method_name="/csi.v1.{service}/{method}",grpc_status_code="{code}"}} {count}"#
        )
    };
    for line in [
        r#"tokens_found_total{source="secrets"} 1"#.to_owned(),
        r#"tokens_found_total{source="volume_context"} 1"#.to_owned(),
        r#"tokens_found_total{source="none"} 2"#.to_owned(),
        operation("Node", "NodePublishVolume", "OK", 3),
        operation("Node", "NodePublishVolume", "NotFound", 1),
        operation("Node", "NodeGetInfo", "OK", 1),
    ] {
        assert!(text.contains(&line), "{line} is not in:\n{text}");
    }
    assert!(!text.contains("canary"));
    running.stop().await;
}
