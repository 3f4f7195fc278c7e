//! A node at work over real sockets: from a driver's registration to a pod's end, with what can go wrong in between.

mod support;

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Value, json};
use support::driver::{Call, FakeDriver};
use support::eventually;
use support::world::{NODE, World, numbered};
use tokenward_csi::v1::node_service_capability::rpc::Type as RpcType;
use tokenward_kube_rules::{FeatureGates, Release};
use tokenward_node::paths::{Layout, attachment_name};
use tokenward_node::{NodeError, Observation};
use tokenward_tokens::{Audience, Placement, TOKENS_KEY, find};
use tonic::Code;

/// The whole way of one inline volume; the pod's status, the Node and the CSINode follow.
#[tokio::test]
async fn an_inline_volume_is_delivered_and_taken_back() {
    let mut world = World::new(numbered());
    world.csi_driver(
        "d",
        &json!({
            "podInfoOnMount": true, "serviceAccountTokenInSecrets": true,
            "tokenRequests": [{ "audience": "vault" }, { "audience": "gcp", "expirationSeconds": 600 }],
        }),
    );
    world.inline_pod("web", "d");
    world.start();
    let driver = FakeDriver::new(world.path(), "d", &[]);
    let served = driver.serve(world.path(), true).await;

    let delivery = world.delivered(1).await.remove(0);
    assert_eq!(
        (delivery.node.as_str(), delivery.pod.as_str(), delivery.volume.as_str()),
        (NODE, "web", "data")
    );
    assert_eq!(delivery.placement, Some(Placement::Secrets));
    let audiences: Vec<&str> = delivery.audiences.iter().map(Audience::as_str).collect();
    assert_eq!(audiences, ["vault", "gcp"]);
    assert_eq!(delivery.expires, Some(support::cluster::start() + jiff::SignedDuration::from_secs(600)));
    assert!(!delivery.republish);

    let request = driver.publishes().remove(0);
    let found = find(&request.secrets, &request.volume_context).unwrap();
    assert_eq!(found.placement, Placement::Secrets);
    assert_eq!(found.parse().unwrap().get("vault").unwrap().token.expose_token(), "token-1-for-vault-of-web");
    assert_eq!(request.volume_context["csi.storage.k8s.io/serviceAccount.name"], "web");
    assert!(!request.volume_context.contains_key(TOKENS_KEY));

    let pod = world.phase("web", "Running").await;
    let ready = |condition: &&Value| condition["type"] == "Ready" && condition["status"] == "True";
    assert!(pod["status"]["conditions"].as_array().unwrap().iter().any(|condition| ready(&condition)));
    let node = world.cluster.get("nodes", "", NODE).unwrap();
    assert_eq!(node["metadata"]["annotations"]["csi.volume.kubernetes.io/nodeid"], r#"{"d":"d-node"}"#);
    let csi_node = world.cluster.get("csinodes", "", NODE).unwrap();
    assert_eq!(csi_node["spec"]["drivers"], json!([{ "name": "d", "nodeID": "d-node" }]));
    assert_eq!(csi_node["metadata"]["ownerReferences"][0]["uid"], node["metadata"]["uid"]);
    assert!(driver.statuses().iter().all(|status| status.plugin_registered));
    eventually("the lease", || world.cluster.get("leases", "kube-node-lease", NODE).ok_or(String::new()))
        .await;

    world.terminate("web");
    world.gone("web").await;
    assert_eq!(driver.count("NodeUnpublishVolume"), 1);
    assert_eq!(std::fs::read_dir(world.path().join("pods")).unwrap().count(), 0, "no directory is left");
    served.stop().await;
    eventually("the driver to go", || {
        let csi_node = world.cluster.get("csinodes", "", NODE).unwrap();
        if csi_node["spec"]["drivers"] == json!([]) { Ok(()) } else { Err(csi_node.to_string()) }
    })
    .await;
    world.stop().await.unwrap();
}

/// A persistent volume is staged once for all pods of the node, and unstaged after the last.
#[tokio::test]
async fn a_shared_volume_is_staged_once() {
    let mut world = World::new(numbered());
    world.csi_driver("d", &json!({ "tokenRequests": [{ "audience": "vault" }] }));
    world.claim("shared", "d");
    let volumes = json!([{ "name": "data", "persistentVolumeClaim": { "claimName": "shared" } }]);
    world.pod("one", &volumes);
    world.pod("two", &volumes);
    let driver = FakeDriver::new(world.path(), "d", &[RpcType::StageUnstageVolume]);
    std::fs::create_dir_all(world.path().join("plugins_registry")).unwrap();
    let served = driver.serve(world.path(), true).await;
    world.start();
    world.delivered(2).await;
    let names: Vec<&str> = driver.calls().iter().map(Call::name).collect();
    assert_eq!(names, ["NodeStageVolume", "NodePublishVolume", "NodePublishVolume"]);
    let staging = driver.publishes().remove(0).staging_target_path;
    assert!(staging.ends_with("/globalmount"), "{staging}");

    world.terminate("one");
    world.gone("one").await;
    assert_eq!(driver.count("NodeUnstageVolume"), 0);
    world.terminate("two");
    eventually("the unstage", || match driver.count("NodeUnstageVolume") {
        1 => Ok(()),
        count => Err(format!("{count}")),
    })
    .await;
    let names: Vec<&str> = driver.calls()[3..].iter().map(Call::name).collect();
    assert_eq!(names, ["NodeUnpublishVolume", "NodeUnpublishVolume", "NodeUnstageVolume"]);
    world.stop().await.unwrap();
    served.stop().await;
}

/// A refused stage leaves no directory; one whose outcome is open leaves it, for there may be a mount.
#[tokio::test]
async fn a_refused_stage_is_cleaned_up_and_an_uncertain_one_is_not() {
    for (code, left) in [(Code::InvalidArgument, false), (Code::Unavailable, true)] {
        let mut world = World::new(numbered());
        world.csi_driver("d", &json!({}));
        world.claim("pv", "d");
        world.pod("web", &json!([{ "name": "data", "persistentVolumeClaim": { "claimName": "pv" } }]));
        let driver = FakeDriver::new(world.path(), "d", &[RpcType::StageUnstageVolume]);
        driver.fail("NodeStageVolume", code, "not today");
        world.start();
        let served = driver.serve(world.path(), true).await;
        world.failed("not today").await;
        let staging = Layout::new(world.path()).staging("d", "handle-pv");
        assert_eq!(staging.is_dir(), left, "{code:?}");
        assert_eq!(staging.with_file_name("vol_data.json").is_file(), left, "{code:?}");
        world.stop().await.unwrap();
        served.stop().await;
    }
}

/// A volume that has to be attached is not staged before it is, with a publish context that is not there yet.
#[tokio::test]
async fn an_attachment_is_waited_for() {
    let mut world = World::new(numbered());
    world.csi_driver("d", &json!({ "attachRequired": true }));
    world.claim("pv", "d");
    world.pod("web", &json!([{ "name": "data", "persistentVolumeClaim": { "claimName": "pv" } }]));
    let name = attachment_name("handle-pv", "d", NODE);
    world.cluster.put("volumeattachments", json!({ "metadata": { "name": name } }));
    world.start();
    let driver = FakeDriver::new(world.path(), "d", &[RpcType::StageUnstageVolume]);
    let served = driver.serve(world.path(), true).await;
    world.failed("is not attached yet").await;
    assert_eq!(driver.calls().len(), 0);
    world.cluster.change(
        "volumeattachments",
        "",
        &name,
        &json!({ "status": { "attached": true, "attachmentMetadata": { "device": "/dev/x" } } }),
    );
    world
        .pass_time_until("the delivery", Duration::from_millis(100), || {
            if world.deliveries().is_empty() { Err(format!("{:?}", world.failures())) } else { Ok(()) }
        })
        .await;
    let Call::Stage(staged) = driver.calls().remove(0) else { panic!("a stage is wanted first") };
    assert_eq!(staged.publish_context["device"], "/dev/x");
    assert_eq!(driver.publishes()[0].publish_context, staged.publish_context);
    world.stop().await.unwrap();
    served.stop().await;
}

/// Without republish a token dies in the volume. With it the driver gets the new one, and after the opt-in in the other
/// place, on the connection that is open, and without being asked again for what it can do.
#[tokio::test]
async fn a_republish_brings_the_rotated_token_and_follows_the_opt_in() {
    let mut world = World::new(numbered());
    let spec = json!({ "requiresRepublish": true, "tokenRequests": [{ "audience": "vault", "expirationSeconds": 600 }] });
    world.csi_driver("d", &spec);
    world.inline_pod("web", "d");
    world.start();
    let driver = FakeDriver::new(world.path(), "d", &[]);
    let served = driver.serve(world.path(), true).await;
    let first = world.delivered(1).await.remove(0);
    assert_eq!(first.placement, Some(Placement::VolumeContext));

    world
        .pass_time_until("a republish with a new token", Duration::from_secs(20), || {
            let tokens: Vec<String> = driver
                .publishes()
                .iter()
                .filter_map(|request| request.volume_context.get(TOKENS_KEY).cloned())
                .collect();
            if tokens.iter().any(|value| value.contains("token-2-for-vault")) {
                Ok(())
            } else {
                Err(format!("{}", tokens.len()))
            }
        })
        .await;
    assert!(driver.publishes().len() >= 6, "each minute or so, not only when the token is due");
    assert!(world.deliveries()[1..].iter().all(|delivery| delivery.republish));

    let mut opted_in = spec;
    opted_in["serviceAccountTokenInSecrets"] = json!(true);
    world.csi_driver("d", &opted_in);
    eventually("a republish into secrets", || {
        let last = driver.publishes().pop().unwrap();
        let placement = find(&last.secrets, &last.volume_context).unwrap().placement;
        if placement == Placement::Secrets { Ok(()) } else { Err(format!("{placement}")) }
    })
    .await;
    assert_eq!(driver.capability_probes(), 1);
    assert_eq!(world.cluster.token_requests().len(), 2);
    world.stop().await.unwrap();
    served.stop().await;
}

/// A final refusal of a republish takes nothing away from the running pod, even when the target is no mount (any more):
/// upstream removed directory and record until 1.35.6, and could neither repair nor unmount the volume after that.
#[tokio::test]
async fn a_refused_republish_leaves_the_volume_as_it_is() {
    let mut world = World::new(numbered());
    world.csi_driver("d", &json!({ "requiresRepublish": true }));
    world.inline_pod("web", "d");
    world.start();
    let driver = FakeDriver::new(world.path(), "d", &[]);
    let served = driver.serve(world.path(), true).await;
    world.delivered(1).await;
    let target = std::path::PathBuf::from(&driver.publishes()[0].target_path);
    let record = target.with_file_name("vol_data.json");
    assert!(target.is_dir() && record.is_file());

    driver.fail("NodePublishVolume", Code::InvalidArgument, "not today");
    world
        .pass_time_until("the refusal", Duration::from_secs(20), || {
            let failures = world.failures();
            let refused = failures.iter().any(|failure| failure.message.contains("not today"));
            if refused { Ok(()) } else { Err(format!("{failures:?}")) }
        })
        .await;
    assert!(target.is_dir() && record.is_file());
    world.phase("web", "Running").await;

    // A record that is lost all the same comes back: without it nobody could unmount after a restart.
    std::fs::remove_file(&record).unwrap();
    driver.recover();
    world
        .pass_time_until("the next success", Duration::from_secs(20), || {
            if world.deliveries().len() > 1 { Ok(()) } else { Err(format!("{:?}", world.failures())) }
        })
        .await;
    assert!(record.is_file());
    world.stop().await.unwrap();
    served.stop().await;
}

/// A driver that is not there, then dies, then comes back: each time the pod is told, and in the end it is mounted.
#[tokio::test]
async fn a_driver_that_dies_is_waited_for() {
    let mut world = World::new(numbered());
    world.csi_driver("d", &json!({ "tokenRequests": [{ "audience": "vault" }] }));
    world.inline_pod("web", "d");
    world.start();
    world.failed("driver name d not found in the list of registered CSI drivers").await;
    let pod = world.phase("web", "Pending").await;
    let event = eventually("an Event", || world.cluster.events().pop().ok_or(String::new())).await;
    assert_eq!((event.reason, event.kind), ("FailedMount", "Warning"));
    assert!(event.message.starts_with("MountVolume.SetUp failed for volume \"data\" : kubernetes.io/csi: mounter.SetUpAt failed to get CSI client"), "{}", event.message);
    assert_eq!(event.pod.uid, pod["metadata"]["uid"]);

    // It registers, takes the call, and dies in the middle of it.
    let driver = FakeDriver::new(world.path(), "d", &[]);
    let gate = driver.hold_publishes();
    let served = driver.serve_apart(world.path()).await;
    eventually("the call", || if driver.publishes().is_empty() { Err(String::new()) } else { Ok(()) }).await;
    served.kill();
    world.failed("rpc error: code =").await;
    let failures = world.failures().len();

    // It comes back, and everything is well without anybody's help.
    gate.add_permits(1000);
    let served = driver.serve(world.path(), true).await;
    world
        .pass_time_until("the delivery", Duration::from_millis(100), || {
            if world.deliveries().is_empty() {
                Err(format!("{:?}", &world.failures()[failures..]))
            } else {
                Ok(())
            }
        })
        .await;
    world.phase("web", "Running").await;
    world.terminate("web");
    world.gone("web").await;
    assert!(driver.count("NodeUnpublishVolume") >= 1);
    world.stop().await.unwrap();
    served.stop().await;
}

/// More failures at once than Events may be on their way: those that were dropped are said later, and Events do not
/// stop for good.
#[tokio::test]
async fn a_burst_of_failures_does_not_silence_events() {
    let mut world = World::new(numbered());
    world.csi_driver("d", &json!({}));
    let gate = world.cluster.hold_events();
    for number in 0..80 {
        world.inline_pod(&format!("web-{number}"), "d");
    }
    world.start();
    eventually("each pod's failure", || {
        let pods: BTreeSet<String> = world.failures().into_iter().map(|failure| failure.pod).collect();
        if pods.len() == 80 { Ok(()) } else { Err(format!("{}", pods.len())) }
    })
    .await;
    assert!(world.cluster.events().len() < 80, "Events on their way are bounded");
    gate.add_permits(1000);
    world
        .pass_time_until("an Event of each pod", Duration::from_millis(100), || {
            let pods: BTreeSet<String> =
                world.cluster.events().into_iter().map(|event| event.pod.name).collect();
            if pods.len() == 80 { Ok(()) } else { Err(format!("{}", pods.len())) }
        })
        .await;
    world.stop().await.unwrap();
}

/// A driver is replaced while its registrar, another process, goes on: nothing that the old one said is taken for the new
/// one's word.
#[tokio::test]
async fn a_driver_that_is_replaced_is_asked_anew() {
    let mut world = World::new(numbered());
    world.csi_driver("d", &json!({}));
    world.start();
    let old = FakeDriver::new(world.path(), "d", &[]);
    let serving = old.serve(world.path(), false).await;
    std::fs::create_dir_all(world.path().join("plugins_registry")).unwrap();
    let registrar = old.serve_registration(world.path(), "d-reg.sock").await;
    world.inline_pod("one", "d");
    world.delivered(1).await;
    serving.stop().await;

    let new = FakeDriver::new(world.path(), "d", &[RpcType::VolumeMountGroup]);
    let serving = new.serve(world.path(), false).await;
    world.inline_pod("two", "d");
    world.delivered(2).await;
    assert_eq!((new.publishes().len(), new.capability_probes()), (1, 1));
    world.stop().await.unwrap();
    registrar.stop().await;
    serving.stop().await;
}

/// A failed publish whose outcome is open may have mounted: the volume is unpublished although it never was a success.
#[tokio::test]
async fn an_uncertain_publish_is_unpublished_and_a_refused_one_is_not() {
    for (code, unpublished) in [(Code::Aborted, 1), (Code::InvalidArgument, 0)] {
        let mut world = World::new(numbered());
        world.csi_driver("d", &json!({}));
        let driver = FakeDriver::new(world.path(), "d", &[]);
        driver.fail("NodePublishVolume", code, "not today");
        world.start();
        std::fs::create_dir_all(world.path().join("plugins_registry")).unwrap();
        let served = driver.serve(world.path(), true).await;
        eventually("the driver", || {
            let there =
                |observation: &Observation| matches!(observation, Observation::DriverRegistered { .. });
            if world.observations.lock().iter().any(there) { Ok(()) } else { Err(String::new()) }
        })
        .await;
        world.inline_pod("web", "d");
        world.failed("not today").await;
        world.terminate("web");
        world.gone("web").await;
        assert_eq!(driver.count("NodeUnpublishVolume"), unpublished, "{code:?}");
        assert_eq!(std::fs::read_dir(world.path().join("pods")).unwrap().count(), 0);
        world.stop().await.unwrap();
        served.stop().await;
    }
}

/// The pod goes while its volume is being published: the call is left to finish, then everything is taken back.
#[tokio::test]
async fn a_pod_deleted_during_its_publish_leaves_nothing() {
    let mut world = World::new(numbered());
    world.csi_driver("d", &json!({}));
    world.inline_pod("web", "d");
    world.start();
    let driver = FakeDriver::new(world.path(), "d", &[]);
    let gate = driver.hold_publishes();
    let served = driver.serve(world.path(), true).await;
    eventually("the call", || if driver.publishes().is_empty() { Err(String::new()) } else { Ok(()) }).await;
    world.cluster.delete("pods", "ns", "web");
    gate.add_permits(1);
    eventually("the unpublish", || match driver.count("NodeUnpublishVolume") {
        1 => Ok(()),
        count => Err(format!("{count}")),
    })
    .await;
    eventually("the directories to go", || {
        match std::fs::read_dir(world.path().join("pods")).unwrap().count() {
            0 => Ok(()),
            count => Err(format!("{count}")),
        }
    })
    .await;
    assert_eq!(driver.publishes().len(), 1);
    world.stop().await.unwrap();
    served.stop().await;
}

/// One volume of a pod that cannot be mounted holds up neither the other volume nor the refresh of its token.
#[tokio::test]
async fn a_broken_volume_does_not_stop_the_others() {
    let mut world = World::new(numbered());
    world.csi_driver("d", &json!({ "requiresRepublish": true, "tokenRequests": [{ "audience": "vault" }] }));
    world.pod(
        "web",
        &json!([
            { "name": "good", "csi": { "driver": "d" } },
            { "name": "broken", "persistentVolumeClaim": { "claimName": "missing" } },
        ]),
    );
    world.start();
    let driver = FakeDriver::new(world.path(), "d", &[]);
    let served = driver.serve(world.path(), true).await;
    world.failed("error processing PVC ns/missing: failed to fetch PVC from API server").await;
    world
        .pass_time_until("republishes", Duration::from_secs(30), || {
            let count = world.deliveries().iter().filter(|delivery| delivery.volume == "good").count();
            if count >= 3 { Ok(()) } else { Err(format!("{count}")) }
        })
        .await;
    let pod = world.phase("web", "Pending").await;
    let conditions = pod["status"]["conditions"].to_string();
    assert!(conditions.contains("volume \\\"broken\\\""), "{conditions}");
    world.stop().await.unwrap();
    served.stop().await;
}

/// With `unpublish_on_shutdown` nothing is left mounted; without it mounts are left to the next start.
#[tokio::test]
async fn a_shutdown_leaves_no_mount_when_told_so() {
    for unpublish in [true, false] {
        let mut world = World::new(numbered());
        world.csi_driver("d", &json!({}));
        world.claim("pv", "d");
        world.pod(
            "web",
            &json!([
                { "name": "in", "csi": { "driver": "d" } },
                { "name": "claim", "persistentVolumeClaim": { "claimName": "pv" } },
            ]),
        );
        world.start_with(|config| config.unpublish_on_shutdown = unpublish);
        let driver = FakeDriver::new(world.path(), "d", &[RpcType::StageUnstageVolume]);
        let served = driver.serve(world.path(), true).await;
        world.delivered(2).await;
        world.stop().await.unwrap();
        assert_eq!(driver.count("NodeUnpublishVolume"), if unpublish { 2 } else { 0 });
        assert_eq!(driver.count("NodeUnstageVolume"), if unpublish { 1 } else { 0 });
        assert!(world.cluster.get("pods", "ns", "web").is_some(), "the pod is not the node's to delete");
        served.stop().await;
    }
}

/// A driver that is gone at shutdown cannot unpublish: the node ends in time and says what is left.
#[tokio::test]
async fn a_shutdown_without_the_driver_says_what_is_left() {
    let mut world = World::new(numbered());
    world.csi_driver("d", &json!({}));
    world.inline_pod("web", "d");
    world.start_with(|config| {
        config.unpublish_on_shutdown = true;
        config.intervals.shutdown = Duration::from_millis(300);
    });
    let driver = FakeDriver::new(world.path(), "d", &[]);
    let served = driver.serve(world.path(), true).await;
    world.delivered(1).await;
    served.stop().await;
    let error = world.stop().await.unwrap_err();
    assert!(matches!(&error, NodeError::LeftMounted { volumes: 1, .. }), "{error}");
}

/// What a driver still works on when the time is up may yet be mounted, and a device may be staged without a volume:
/// both are left, and said to be.
#[tokio::test]
async fn a_shutdown_counts_what_hangs_and_what_is_staged() {
    for hangs in [true, false] {
        let mut world = World::new(numbered());
        world.csi_driver("d", &json!({}));
        world.claim("pv", "d");
        world.pod("web", &json!([{ "name": "claim", "persistentVolumeClaim": { "claimName": "pv" } }]));
        world.start_with(|config| {
            config.unpublish_on_shutdown = true;
            config.intervals.shutdown = Duration::from_millis(300);
        });
        let driver = FakeDriver::new(world.path(), "d", &[RpcType::StageUnstageVolume]);
        let gate = hangs.then(|| driver.hold_publishes());
        driver.fail("NodeUnstageVolume", Code::Internal, "not today");
        let served = driver.serve_apart(world.path()).await;
        eventually("the publish", || if driver.publishes().is_empty() { Err(String::new()) } else { Ok(()) })
            .await;
        if !hangs {
            world.delivered(1).await;
        }
        let error = world.stop().await.unwrap_err();
        let wanted = usize::from(hangs);
        assert!(
            matches!(&error, NodeError::LeftMounted { volumes, devices: 1, .. } if *volumes == wanted),
            "{error}"
        );
        drop((gate, served));
    }
}

/// A driver whose node id is empty is told so, and can be called no more than one that never came.
#[tokio::test]
async fn a_driver_without_node_id_is_refused() {
    let mut world = World::new(numbered());
    world.csi_driver("d", &json!({}));
    world.start();
    let driver = FakeDriver::new(world.path(), "d", &[]);
    driver.forget_node_id();
    let served = driver.serve(world.path(), true).await;
    let status = eventually("the refusal", || driver.statuses().pop().ok_or(String::new())).await;
    assert!(
        !status.plugin_registered && status.error.contains("driverNodeID must not be empty"),
        "{status:?}"
    );
    world.inline_pod("web", "d");
    world.failed("driver name d not found in the list of registered CSI drivers").await;
    let csi_node = world.cluster.get("csinodes", "", NODE).unwrap();
    assert_eq!(csi_node["spec"]["drivers"], json!([]));
    assert_eq!(driver.publishes().len(), 0);
    world.stop().await.unwrap();
    served.stop().await;
}

/// A node that does not know the opt-in, or has it switched off, ignores the field that its API server serves.
#[tokio::test]
async fn a_node_without_the_gate_places_as_ever() {
    for (release, gates, expected) in [
        (Release::V1_34, "", Placement::VolumeContext),
        (Release::V1_35, "CSIServiceAccountTokenSecrets=false", Placement::VolumeContext),
        (Release::V1_35, "", Placement::Secrets),
        (Release::V1_36, "", Placement::Secrets),
    ] {
        let mut world = World::new(numbered());
        let spec =
            json!({ "serviceAccountTokenInSecrets": true, "tokenRequests": [{ "audience": "vault" }] });
        world.csi_driver("d", &spec);
        world.inline_pod("web", "d");
        world.start_with(|config| config.gates = FeatureGates::parse(release, gates).unwrap());
        let driver = FakeDriver::new(world.path(), "d", &[]);
        let served = driver.serve(world.path(), true).await;
        assert_eq!(world.delivered(1).await[0].placement, Some(expected), "{release} {gates}");
        let request = driver.publishes().remove(0);
        let found =
            (request.secrets.contains_key(TOKENS_KEY), request.volume_context.contains_key(TOKENS_KEY));
        assert_eq!(found, (expected == Placement::Secrets, expected == Placement::VolumeContext));
        world.stop().await.unwrap();
        served.stop().await;
    }
}

/// Two drivers under one name: the second is told why it is not wanted.
#[tokio::test]
async fn a_plugin_that_is_not_wanted_is_told_why() {
    let mut world = World::new(numbered());
    world.start();
    let first = FakeDriver::new(world.path(), "d", &[]);
    let served = first.serve(world.path(), true).await;
    eventually("the first", || if first.statuses().is_empty() { Err(String::new()) } else { Ok(()) }).await;
    let second = FakeDriver::new(world.path(), "d", &[]);
    let served_again = second.serve_registration(world.path(), "other-reg.sock").await;
    let status = eventually("the refusal", || second.statuses().pop().ok_or(String::new())).await;
    assert!(!status.plugin_registered);
    assert!(
        status.error.contains("already registered with a higher supported version: \"1.0.0\""),
        "{}",
        status.error
    );
    served_again.stop().await;
    served.stop().await;
    world.stop().await.unwrap();
}

#[tokio::test]
async fn an_unusable_root_directory_is_named() {
    let mut world = World::new(numbered());
    let file = world.path().join("file");
    std::fs::write(&file, "").unwrap();
    world.start_with(|config| config.root_dir = file.clone());
    let error = world.stop().await.unwrap_err();
    assert!(matches!(&error, NodeError::Directory { path, .. } if path.starts_with(&file)), "{error}");
    assert!(error.to_string().contains(&file.display().to_string()));
}
