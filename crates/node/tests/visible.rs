//! What people can see of a node at work: its status, over the socket in its root directory, and its metrics. Neither shows a
//! token.

#![expect(clippy::unwrap_used, reason = "a test world that breaks is a failed test")]

mod support;

use std::os::unix::fs::PermissionsExt as _;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use support::driver::FakeDriver;
use support::world::{World, numbered};
use tokenward_node::metrics::Metrics;
use tokenward_node::status::{NodeStatus, VolumeState, socket, status_channel};
use tokio::sync::oneshot;
use tonic::Code;

#[tokio::test]
async fn a_node_shows_how_it_stands_and_what_it_did() {
    let mut world = World::new(numbered());
    let spec = json!({
        "requiresRepublish": true, "serviceAccountTokenInSecrets": true,
        "tokenRequests": [{ "audience": "vault", "expirationSeconds": 600 }, { "audience": "sts" }],
    });
    world.csi_driver("d", &spec);
    world.inline_pod("web", "d");
    world.inline_pod("api", "absent");
    let metrics = Arc::new(Metrics::new());
    let (client, requests) = status_channel();
    world.start_with(|config| {
        config.metrics = Arc::clone(&metrics);
        config.status = Some(requests);
    });
    let path = socket::path(world.path()).unwrap();
    let root_dir = world.path().to_owned();
    let (end, ended) = oneshot::channel::<()>();
    let serving = tokio::spawn(async move { socket::serve_while(ended, client, &root_dir).await });
    let driver = FakeDriver::new(world.path(), "d", &[]);
    driver.fail("NodePublishVolume", Code::Internal, "not yet");
    let served = driver.serve(world.path(), true).await;
    world.failed("not yet").await;
    driver.recover();
    world
        .pass_time_until("the delivery", Duration::from_millis(100), || {
            if world.deliveries().is_empty() { Err(String::new()) } else { Ok(()) }
        })
        .await;
    world.failed("not found in the list of registered").await;

    let mode = std::fs::metadata(path.as_path()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let status = socket::ask(world.path()).await.unwrap();
    assert_eq!(status.tokens, 2);
    let [registered] = status.drivers.as_slice() else { panic!("{status:?}") };
    assert_eq!((registered.name.as_str(), registered.volumes), ("d", 1));
    assert_eq!(registered.requires_republish, Some(true));
    let [waiting, mounted] = status.volumes.as_slice() else { panic!("{status:?}") };
    assert_eq!((waiting.pod.as_str(), waiting.state), ("api", VolumeState::Waiting));
    assert!(waiting.problem.as_ref().unwrap().contains("absent"), "{waiting:?}");
    assert_eq!((mounted.pod.as_str(), mounted.state), ("web", VolumeState::Mounted));
    assert_eq!(mounted.placement.as_deref(), Some("secrets"));
    assert_eq!(mounted.audiences, ["vault", "sts"]);
    let now = world.clock.now();
    assert!(mounted.next_refresh > Some(now) && mounted.next_refresh < mounted.expires, "{mounted:?}");
    assert!(mounted.next_publish > Some(now), "{mounted:?}");

    let text = metrics.render(&status);
    for series in [
        r#"csi_operations_seconds_count{driver_name="d",method_name="/csi.v1.Node/NodePublishVolume",grpc_status_code="OK",migrated="false"} 1"#,
        r#"csi_operations_seconds_count{driver_name="d",method_name="/csi.v1.Node/NodeGetInfo",grpc_status_code="OK",migrated="false"} 1"#,
        r#"grpc_status_code="Internal",migrated="false"}"#,
        r#"storage_operation_duration_seconds_count{volume_plugin="kubernetes.io/csi:d",operation_name="volume_mount",status="success",migrated="false"} 1"#,
        r#"volume_operation_total_seconds_count{plugin_name="kubernetes.io/csi:d",operation_name="overall_volume_mount"} 1"#,
        r#"tokenward_tokens_asked_total{driver="d",audience="vault",result="fetched"} 1"#,
        r#"tokenward_tokens_asked_total{driver="d",audience="vault",result="cached"}"#,
        r#"tokenward_token_requests_total{driver="d",audience="sts",outcome="success"} 1"#,
        r#"tokenward_deliveries_total{driver="d",placement="secrets",republish="false"} 1"#,
        r#"tokenward_token_left_at_delivery_seconds_count{driver="d"} 2"#,
        r#"tokenward_volumes{driver="d",state="mounted"} 1"#,
        "tokenward_tokens 2",
    ] {
        assert!(text.contains(series), "{series} in\n{text}");
    }
    let socket = FakeDriver::registration_socket(world.path(), "d").display().to_string();
    for state in ["actual_state_of_world", "desired_state_of_world"] {
        let series = format!(r#"plugin_manager_total_plugins{{socket_path="{socket}",state="{state}"}} 1"#);
        assert!(text.contains(&series), "{series} in\n{text}");
    }
    // The texts of the tokens begin with these.
    let shown = serde_json::to_string(&status).unwrap();
    for token in ["token-1-for", "token-2-for"] {
        assert!(!text.contains(token) && !shown.contains(token));
    }

    // A republish counts as a mount, as with a kubelet.
    let republished = r#"tokenward_deliveries_total{driver="d",placement="secrets",republish="true"} 1"#;
    let text = world
        .pass_time_until("a republish", Duration::from_secs(5), || {
            let text = metrics.render(&status);
            if text.contains(republished) { Ok(text) } else { Err(text) }
        })
        .await;
    let total = r#"volume_operation_total_seconds_count{plugin_name="kubernetes.io/csi:d",operation_name="overall_volume_mount"} 2"#;
    assert!(text.contains(total), "{text}");

    world.terminate("web");
    world.gone("web").await;
    let status = eventually_one_volume(&world).await;
    assert_eq!((status.volumes.len(), status.tokens), (1, 0), "the tokens went with the volume");
    world.stop().await.unwrap();
    end.send(()).unwrap();
    serving.await.unwrap().unwrap();
    assert!(!path.as_path().exists(), "the socket goes before the node has ended");
    served.stop().await;
    let gone = socket::ask(world.path()).await.unwrap_err();
    assert!(gone.to_string().starts_with("no node runs with the root directory"), "{gone}");
}

/// The status once there is one volume left.
async fn eventually_one_volume(world: &World) -> NodeStatus {
    let limit = tokio::time::Instant::now() + Duration::from_secs(30);
    loop {
        let status = socket::ask(world.path()).await.unwrap();
        if status.volumes.len() == 1 || tokio::time::Instant::now() > limit {
            return status;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
