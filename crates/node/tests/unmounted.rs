//! Pods whose volumes do not come: what they are told, and when they are given back. Without this a pod waits for ever on a
//! node that has no room for its volume, and nobody learns why its claim leads nowhere.

mod support;

use std::time::Duration;

use serde_json::json;
use support::driver::FakeDriver;
use support::eventually;
use support::world::{NODE, World, numbered};
use tokenward_kube_rules::{FeatureGates, Release};
use tokenward_node::paths::attachment_name;

/// A claim that is not bound is told as a kubelet tells it: with how all volumes of the pod stand.
#[tokio::test]
async fn a_claim_that_leads_nowhere_is_told_with_the_pods_volumes() {
    let mut world = World::new(numbered());
    world.csi_driver("d", &json!({}));
    world.claim("good", "d");
    let volumes = json!([
        { "name": "data", "persistentVolumeClaim": { "claimName": "absent" } },
        { "name": "good", "persistentVolumeClaim": { "claimName": "good" } },
        { "name": "inline", "csi": { "driver": "d" } },
    ]);
    let driver = FakeDriver::new(world.path(), "d", &[]);
    world.start();
    let served = driver.serve(world.path(), true).await;
    world.pod("web", &volumes);
    let wanted = "Unable to attach or mount volumes: unmounted volumes=[data], unattached volumes=[], failed to process \
                  volumes=[data]: error processing PVC ns/absent: failed to fetch PVC from API server: ";
    // Told again whenever another of its volumes has come.
    let event = world
        .pass_time_until("the Event", Duration::from_secs(1), || {
            let events = world.cluster.events();
            let told = events.iter().find(|event| event.message.starts_with(wanted)).cloned();
            told.ok_or(format!("{events:?}"))
        })
        .await;
    assert_eq!((event.kind, event.reason, event.pod.name.as_str()), ("Warning", "FailedMount", "web"));
    world.stop().await.unwrap();
    served.stop().await;
}

/// The attacher says that the node has no room: the driver is asked at once how many volumes fit, for the CSINode, and after the
/// wait of a kubelet the pod is given back. Not by nodes and drivers that do not know of such changes.
#[tokio::test]
async fn a_pod_for_which_the_node_has_no_room_is_given_back() {
    for (release, period, knows) in [
        (Release::V1_35, Some(3600), true),
        (Release::V1_34, Some(3600), false),
        (Release::V1_35, None, false),
    ] {
        let mut world = World::new(numbered());
        world.csi_driver(
            "d",
            &json!({ "attachRequired": true, "nodeAllocatableUpdatePeriodSeconds": period }),
        );
        world.claim("data", "d");
        let attachment = attachment_name("handle-data", "d", NODE);
        let error = json!({ "message": "no slot is free", "errorCode": 8 });
        world.cluster.put(
            "volumeattachments",
            json!({ "metadata": { "name": attachment }, "status": { "attached": false, "attachError": error } }),
        );
        let driver = FakeDriver::new(world.path(), "d", &[]);
        driver.set_volume_limit(7);
        world.start_with(|config| config.gates = FeatureGates::for_release(release));
        let served = driver.serve(world.path(), true).await;
        let count = || {
            let csi_node = world.cluster.get("csinodes", "", NODE).unwrap_or_default();
            csi_node["spec"]["drivers"][0]["allocatable"]["count"].as_u64()
        };
        let counts = |wanted| {
            let found = count();
            if found == Some(wanted) { Ok(()) } else { Err(format!("{found:?}")) }
        };
        eventually("the first count", || counts(7)).await;
        driver.set_volume_limit(5);
        world.pod("web", &json!([{ "name": "data", "persistentVolumeClaim": { "claimName": "data" } }]));
        let waiting = "is not attached yet: no slot is free";
        world
            .pass_time_until("the attachment's failure", Duration::from_millis(100), || {
                let failures = world.failures();
                let told = failures.iter().any(|failure| failure.message.ends_with(waiting));
                if told { Ok(()) } else { Err(format!("{failures:?}")) }
            })
            .await;
        let phase = || world.cluster.get("pods", "ns", "web").unwrap()["status"]["phase"].clone();
        assert_eq!(phase(), "Pending");
        if knows {
            eventually("the smaller count", || counts(5)).await;
            let pod = world
                .pass_time_until("the rejection", Duration::from_secs(1), || {
                    if phase() == "Failed" { Ok(()) } else { Err(phase().to_string()) }
                })
                .await;
            assert_eq!(pod, ());
            let status = world.cluster.get("pods", "ns", "web").unwrap()["status"].clone();
            assert_eq!(status["reason"], "VolumeAttachmentLimitExceeded");
            let lists = "unmounted volumes=[data], unattached volumes=[data], failed to process volumes=[]";
            let told = format!(
                "Node has reached its volume attachment limit, rejecting pod. {lists}: context deadline exceeded"
            );
            assert_eq!(status["message"], format!("Pod was rejected: {told}"));
            let event = eventually("the Event", || {
                let events = world.cluster.events();
                let found =
                    events.iter().find(|event| event.reason == "VolumeAttachmentLimitExceeded").cloned();
                found.ok_or(format!("{events:?}"))
            })
            .await;
            assert_eq!((event.kind, event.message), ("Warning", told));
        } else {
            let failures = world.failures().len();
            world
                .pass_time_until("more failures, minutes later", Duration::from_secs(60), || {
                    let more = world.failures().len() - failures;
                    if more > 3 { Ok(()) } else { Err(more.to_string()) }
                })
                .await;
            assert_eq!((phase(), count()), (json!("Pending"), Some(7)));
        }
        world.stop().await.unwrap();
        served.stop().await;
    }
}
