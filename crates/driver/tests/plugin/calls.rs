//! What stands between a caller and the driver: locks, deadlines, panics, clean answers.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokenward_driver::csi::v1::controller_client::ControllerClient;
use tokenward_driver::csi::v1::*;
use tonic::{Code, Request};

use crate::world::{TOKENS_KEY, publish, start, within};

#[tokio::test]
async fn a_volume_has_one_operation_at_a_time_and_others_do_not_wait() {
    let running = start(|plugin| plugin.lock_wait(Duration::from_millis(20))).await;
    let mut node = running.node();
    let first = tokio::spawn({
        let mut node = node.clone();
        async move { node.node_publish_volume(publish("wait")).await }
    });
    running.script.entered.notified().await;
    let refused = within(node.node_publish_volume(publish("wait"))).await.unwrap_err();
    assert_eq!(refused.code(), Code::Aborted);
    assert!(
        refused.message().contains("an operation is in progress for volume `wait`"),
        "{}",
        refused.message()
    );
    let unpublish = NodeUnpublishVolumeRequest { volume_id: "wait".to_owned(), ..Default::default() };
    assert_eq!(within(node.node_unpublish_volume(unpublish)).await.unwrap_err().code(), Code::Aborted);
    within(node.node_publish_volume(publish("another"))).await.unwrap();

    running.script.gate.add_permits(2);
    first.await.unwrap().unwrap();
    node.node_publish_volume(publish("wait")).await.unwrap();
    running.stop().await;
}

/// A kubelet that gives up must not leave half an operation, nor one that runs beside the next.
#[tokio::test]
async fn a_call_runs_to_its_end_when_the_caller_goes_away_and_when_the_plugin_stops() {
    let running = start(|plugin| plugin.lock_wait(Duration::from_millis(20))).await;
    let mut node = running.node();
    let abandoned = tokio::spawn({
        let mut node = node.clone();
        async move { node.node_publish_volume(publish("wait")).await }
    });
    running.script.entered.notified().await;
    abandoned.abort();
    assert!(abandoned.await.unwrap_err().is_cancelled());
    // Still locked: the driver works on it.
    assert_eq!(within(node.node_publish_volume(publish("wait"))).await.unwrap_err().code(), Code::Aborted);

    let answered = tokio::spawn({
        let mut node = node.clone();
        async move { node.node_publish_volume(publish("wait too")).await }
    });
    running.script.entered.notified().await;
    running.cancel.cancel();
    running.script.gate.add_permits(2);
    let script = Arc::clone(&running.script);
    running.stop().await;
    assert_eq!(script.ended.load(Ordering::Acquire), 2);
    answered.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_careless_driver_does_not_leak_and_a_panic_stays_inside() {
    let running = start(|plugin| plugin).await;
    let mut node = running.node();
    let mut request = publish("echo");
    let tokens = r#"{"vault":{"token":"canary-opaque","expirationTimestamp":"2026-01-01T00:00:00Z"}}"#;
    request.secrets.insert(TOKENS_KEY.to_owned(), tokens.to_owned());
    request.secrets.insert("password".to_owned(), "canary-password".to_owned());
    request.volume_context.insert(TOKENS_KEY.to_owned(), "canary-unreadable-value".to_owned());
    request
        .volume_context
        .insert("plain".to_owned(), "eyJhbGciOiJub25lIn0.eyJzdWIiOiJjYW5hcnkifQ.canary".to_owned());
    let status = node.node_publish_volume(request).await.unwrap_err();
    assert_eq!(status.code(), Code::NotFound);
    assert!(status.message().contains("***stripped***"));
    assert!(!status.message().contains("canary") && status.details().is_empty(), "{status:?}");

    let status = node.node_publish_volume(publish("panic")).await.unwrap_err();
    assert_eq!(status.code(), Code::Internal);
    node.node_publish_volume(publish("after")).await.unwrap();
    let status = node.node_stage_volume(NodeStageVolumeRequest::default()).await.unwrap_err();
    assert_eq!(status.code(), Code::Unimplemented);
    assert_eq!(
        status.message(),
        "the driver `scripted.tokenward.dev` does not offer NodeStageVolume; its capabilities do not list it"
    );
    running.stop().await;
}

/// Nobody waits any more: the driver hears of it, and what it does not end itself is ended.
#[tokio::test]
async fn the_callers_deadline_and_departure_end_the_work() {
    let running = start(|plugin| plugin.lock_wait(Duration::ZERO).grace(Duration::ZERO)).await;
    let timed = |volume: &str| {
        let mut request = Request::new(publish(volume));
        request.set_timeout(Duration::from_millis(30));
        request
    };
    // Heeds its context, and does not.
    for volume in ["for ever", "never ends"] {
        let status = within(running.node().node_publish_volume(timed(volume))).await.unwrap_err();
        assert!(matches!(status.code(), Code::DeadlineExceeded | Code::Cancelled), "{status:?}");
        // The lock is free: the work has ended.
        within(async {
            while running.metrics.render().contains("in_progress 1") {
                tokio::task::yield_now().await;
            }
        })
        .await;
        let again = within(running.node().node_publish_volume(timed(volume))).await.unwrap_err();
        assert_ne!(again.code(), Code::Aborted);
    }
    running.stop().await;

    let running = start(|plugin| plugin).await;
    let mut node = running.node();
    let abandoned = tokio::spawn(async move { node.node_publish_volume(publish("for ever")).await });
    running.script.entered.notified().await;
    abandoned.abort();
    within(running.script.cancelled.notified()).await;
    running.stop().await;
}

/// A deadline cuts what awaits, and never what changes files.
#[tokio::test]
async fn blocking_work_runs_to_its_end_and_keeps_the_volume_locked() {
    let running = start(|plugin| plugin.lock_wait(Duration::ZERO).grace(Duration::ZERO)).await;
    let mut request = Request::new(publish("blocking"));
    request.set_timeout(Duration::from_millis(20));
    let status = within(running.node().node_publish_volume(request)).await.unwrap_err();
    assert!(matches!(status.code(), Code::DeadlineExceeded | Code::Cancelled), "{status:?}");
    let refused = within(running.node().node_publish_volume(publish("blocking"))).await.unwrap_err();
    assert_eq!(refused.code(), Code::Aborted);
    running.script.gate.add_permits(2);
    within(async {
        while running.script.ended.load(Ordering::Acquire) == 0 {
            tokio::task::yield_now().await;
        }
        while running.node().node_publish_volume(publish("blocking")).await.is_err() {}
    })
    .await;
    running.stop().await;
}

#[tokio::test]
async fn a_call_that_waits_for_its_volume_is_not_kept_beyond_its_deadline() {
    let running = start(|plugin| plugin.lock_wait(Duration::from_secs(60))).await;
    let mut node = running.node();
    let first = tokio::spawn(async move { node.node_publish_volume(publish("wait")).await });
    running.script.entered.notified().await;
    let mut second = Request::new(publish("wait"));
    second.set_timeout(Duration::from_millis(20));
    let status = within(running.node().node_publish_volume(second)).await.unwrap_err();
    assert!(matches!(status.code(), Code::DeadlineExceeded | Code::Cancelled), "{status:?}");
    // One more than the first needs: the second's end can be slower to come than its volume.
    running.script.gate.add_permits(2);
    first.await.unwrap().unwrap();
    running.stop().await;
}

#[tokio::test]
async fn a_panic_is_internal_counted_and_not_contagious() {
    let running = start(|plugin| plugin.lock_wait(Duration::ZERO)).await;
    for volume in ["panic", "blocking panic"] {
        for _ in 0..2 {
            let status = within(running.node().node_publish_volume(publish(volume))).await.unwrap_err();
            assert_eq!(status.code(), Code::Internal, "{volume}: {status:?}");
            assert!(!status.message().contains("as the test wants it"));
        }
    }
    assert!(running.metrics.render().contains("csi_plugin_panics_total 4"));
    running.stop().await;
}

#[tokio::test]
async fn a_call_has_an_id_that_the_answer_carries() {
    let running = start(|plugin| plugin).await;
    let mut request = Request::new(publish("a"));
    request.metadata_mut().insert("x-request-id", "7f3a-1".parse().unwrap());
    let answer = running.node().node_publish_volume(request).await.unwrap();
    assert_eq!(answer.metadata().get("x-request-id").unwrap(), "7f3a-1");
    let status = running.node().node_publish_volume(publish("echo")).await.unwrap_err();
    assert_eq!(status.metadata().get("x-request-id").unwrap().len(), 36);
    running.stop().await;
}

#[tokio::test]
async fn a_controller_is_guarded_as_the_node_service_is() {
    let running = start(|plugin| plugin).await;
    let mut controller = ControllerClient::new(running.channel.clone());
    let secrets = [("password".to_owned(), "canary-password".to_owned())].into();
    let request = CreateVolumeRequest { name: "a".to_owned(), secrets, ..Default::default() };
    let status = controller.create_volume(request).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    assert!(
        status.message().contains("***stripped***") && !status.message().contains("canary"),
        "{status:?}"
    );
    let status = controller.get_capacity(GetCapacityRequest::default()).await.unwrap_err();
    assert_eq!(
        status.message(),
        "the driver `scripted.tokenward.dev` does not offer GetCapacity; its capabilities do not list it"
    );
    running.stop().await;
}
