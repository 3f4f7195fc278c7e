//! The driver over its socket: what a pod finds in its volume after each call of a node.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

mod common;

use std::os::unix::fs::{MetadataExt, PermissionsExt};

use common::{World, files, may_mount, names, policies, volume, with_tokens};
use tokenward_driver::csi::v1::volume_capability::{AccessType, BlockVolume};
use tokenward_driver::csi::v1::{
    NodeExpandVolumeRequest, NodeGetCapabilitiesRequest, NodeGetInfoRequest, NodeGetVolumeStatsRequest,
    NodePublishVolumeRequest, NodeStageVolumeRequest, NodeUnpublishVolumeRequest, NodeUnstageVolumeRequest,
    VolumeCapability,
};
use tokenward_driver::is_mount_point;
use tokenward_driver::tokens::Placement::{Secrets, VolumeContext};
use tokenward_driver::tokens::{Audience, TOKENS_KEY};
use tokenward_driver_token_files::{MountPolicy, ReadFrom};
use tonic::Code;

#[tokio::test]
async fn tokens_from_either_place_become_files() {
    for policy in policies() {
        for placement in [Secrets, VolumeContext] {
            let world = World::start(|config| config.mount(policy)).await;
            let tokens = [("vault", "one"), ("", "two"), ("https://sts.example/a", "three")];
            world.publish(placement, &tokens).await.unwrap();
            assert_eq!(volume(&world.target()), files(&tokens));

            let mode =
                |name: &str| world.target().join(name).metadata().unwrap().permissions().mode() & 0o7777;
            assert_eq!([mode("."), mode("..data"), mode("vault")], [0o700, 0o700, 0o600]);
            assert_eq!(is_mount_point(&world.target()).unwrap(), policy == MountPolicy::WherePermitted);

            let seen = world.seen.lock().clone();
            assert_eq!(seen.len(), 1);
            assert_eq!(seen[0].held_in.secrets, placement == Secrets);
            assert_eq!(seen[0].held_in.volume_context, placement == VolumeContext);
            assert_eq!(seen[0].read, Some(placement));
            assert_eq!(seen[0].audiences, ["", "https://sts.example/a", "vault"].map(Audience::new));
            world.unpublish().await.unwrap();
            world.assert_nothing_is_left();
        }
    }
}

#[tokio::test]
async fn secrets_win_over_volume_context_even_when_they_cannot_be_read() {
    let world = World::start(|config| config).await;
    let mut request = with_tokens(world.request(), VolumeContext, &[("vault", "forged by a pod's author")]);
    let good = with_tokens(world.request(), Secrets, &[("vault", "real")]).secrets;
    request.secrets = good;
    world.send(request.clone()).await.unwrap();
    assert_eq!(volume(&world.target()), files(&[("vault", "real")]));
    assert!(world.seen.lock()[0].held_in.secrets && world.seen.lock()[0].held_in.volume_context);

    for unusable in ["", "{", r#"{"vault":"canary"}"#] {
        request.secrets.insert(TOKENS_KEY.to_owned(), unusable.to_owned());
        let status = world.send(request.clone()).await.unwrap_err();
        assert_eq!(status.code(), Code::Unavailable);
        assert!(status.message().contains("in secrets cannot be read"), "{}", status.message());
        assert!(!status.message().contains("canary"), "{}", status.message());
        assert_eq!(volume(&world.target()), files(&[("vault", "real")]), "the old files stay");
    }
    world.unpublish().await.unwrap();
}

#[tokio::test]
async fn missing_tokens_are_refused_with_both_causes_and_make_no_volume() {
    for read in [ReadFrom::SecretsThenVolumeContext, ReadFrom::VolumeContextOnly] {
        let world = World::start(|config| config.read(read)).await;
        let none = world.request();
        let empty = with_tokens(world.request(), VolumeContext, &[]);
        for request in [none, empty] {
            let status = world.send(request).await.unwrap_err();
            assert_eq!(status.code(), Code::Unavailable);
            for cause in ["spec.tokenRequests", "spec.serviceAccountTokenInSecrets"] {
                assert!(status.message().contains(cause), "{}", status.message());
            }
        }
        let without = with_tokens(world.request(), VolumeContext, &[("vault", "there"), ("sts", "")]);
        let status = world.send(without).await.unwrap_err();
        assert_eq!(status.code(), Code::Unavailable);
        assert!(
            status.message().contains("`sts`") && !status.message().contains("there"),
            "{}",
            status.message()
        );
        world.assert_nothing_is_left();
        assert_eq!(world.seen.lock().iter().filter(|seen| seen.read.is_some()).count(), 1);
    }
}

/// The story of an early opt-in: the field is set while this node still runs a driver that reads `volume_context` only.
#[tokio::test]
async fn an_old_driver_refuses_after_the_opt_in_and_running_pods_keep_their_tokens() {
    let world = World::start(|config| config.read(ReadFrom::VolumeContextOnly)).await;
    world.publish(VolumeContext, &[("vault", "before")]).await.unwrap();
    let status = world.publish(Secrets, &[("vault", "canary")]).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable, "a final code could cost a running pod its mount");
    assert_eq!(
        status.message(),
        "the request has no service account tokens in volume_context: either spec.tokenRequests of the CSIDriver lists no \
         audience (add one), or spec.serviceAccountTokenInSecrets is true while this driver cannot read secrets (set it to \
         false until every node runs a driver that reads secrets)"
    );
    assert_eq!(volume(&world.target()), files(&[("vault", "before")]));
    assert!(world.seen.lock()[1].held_in.secrets && world.seen.lock()[1].read.is_none());
    world.publish(VolumeContext, &[("vault", "after")]).await.unwrap();
    assert_eq!(volume(&world.target()), files(&[("vault", "after")]));
    world.unpublish().await.unwrap();
}

#[tokio::test]
async fn a_republish_changes_files_and_never_the_mount() {
    for policy in policies() {
        let world = World::start(|config| config.mount(policy)).await;
        let identity = || world.target().metadata().map(|found| (found.dev(), found.ino())).unwrap();
        let version = || std::fs::read_link(world.target().join("..data")).unwrap();
        world.publish(VolumeContext, &[("vault", "1"), ("gone", "1")]).await.unwrap();
        let (place, first) = (identity(), version());
        world.publish(VolumeContext, &[("vault", "1"), ("gone", "1")]).await.unwrap();
        assert_eq!(version(), first, "the same tokens are not written again");
        // The driver opts in while pods run; tokens rotate; an audience is dropped and another added.
        let rotated = [("vault", "2"), ("added", "2")];
        world.publish(Secrets, &rotated).await.unwrap();
        assert_eq!(volume(&world.target()), files(&rotated));
        let read_only = NodePublishVolumeRequest { readonly: true, ..world.request() };
        world.send(with_tokens(read_only, Secrets, &[("vault", "3")])).await.unwrap();
        assert_eq!(volume(&world.target()), files(&[("vault", "3")]));
        assert_eq!(identity(), place);
        world.unpublish().await.unwrap();
        world.assert_nothing_is_left();
    }
}

#[tokio::test]
async fn a_driver_that_was_restarted_finds_its_volumes() {
    for policy in policies() {
        let mut world = World::start(|config| config.mount(policy)).await;
        world.publish(Secrets, &[("vault", "before")]).await.unwrap();
        let place = world.target().metadata().unwrap().ino();
        world.restart().await;
        assert_eq!(
            volume(&world.target()),
            files(&[("vault", "before")]),
            "the end of the driver unpublishes nothing"
        );
        world.publish(Secrets, &[("vault", "after")]).await.unwrap();
        assert_eq!(volume(&world.target()), files(&[("vault", "after")]));
        assert_eq!(world.target().metadata().unwrap().ino(), place);
        world.restart().await;
        world.unpublish().await.unwrap();
        world.assert_nothing_is_left();
        world.end().await;
    }
}

#[tokio::test]
async fn unpublish_is_idempotent_for_whatever_it_finds() {
    let world = World::start(|config| config).await;
    world.unpublish().await.unwrap();
    world.publish(Secrets, &[("vault", "1")]).await.unwrap();
    for _ in 0..2 {
        world.unpublish().await.unwrap();
        world.assert_nothing_is_left();
    }
    // Half made by a driver that died between making the directory and mounting.
    std::fs::create_dir(world.target()).unwrap();
    world.unpublish().await.unwrap();
    world.assert_nothing_is_left();
}

/// Never a file that is not there, never an empty one, never a piece, never two versions in one directory: over 10,000 republishes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_sees_whole_versions_while_tokens_rotate() {
    const VERSIONS: usize = 10_000;
    let world = World::start(|config| config).await;
    let token = |version: usize| format!("{version:06}").repeat(150 + version % 5 * 40);
    let publish = async |version: usize| {
        let token = token(version);
        world.publish(Secrets, &[("a", &token), ("b", &token)]).await.unwrap();
    };
    publish(0).await;
    // A version outlives one republish, not two: so reader and node begin each round together, the reader at ever other places.
    let (begin, begun) = std::sync::mpsc::channel();
    let (end, mut ended) = tokio::sync::mpsc::channel(1);
    let target = world.target();
    let reader = std::thread::spawn(move || {
        while let Ok(version) = begun.recv() {
            for _ in 0..version % 64 * 128 {
                std::hint::spin_loop();
            }
            let direct = std::fs::read_to_string(target.join("b")).unwrap();
            let read: usize = direct[..6].parse().unwrap();
            assert!(direct == token(read) && (version - 1..=version).contains(&read));
            let held = std::fs::canonicalize(target.join("..data")).unwrap();
            let [a, b] = ["a", "b"].map(|name| std::fs::read_to_string(held.join(name)).unwrap());
            assert_eq!(a, b);
            end.blocking_send(()).unwrap();
        }
    });
    for version in 1..VERSIONS {
        begin.send(version).unwrap();
        publish(version).await;
        ended.recv().await.expect("the reader saw what it must not see");
    }
    drop(begin);
    reader.join().unwrap();
    world.unpublish().await.unwrap();
}

/// The pod's `fsGroup`, and on a republish too.
#[tokio::test]
async fn a_group_of_the_pod_may_read_the_files_and_go_into_the_volume() {
    for policy in policies() {
        let world = World::start(|config| config.mount(policy)).await;
        // Root may give files to any group, others to their own.
        let own = world.directory.path().metadata().unwrap().gid();
        let group = if rustix::process::geteuid().is_root() { 4_000_000_000 } else { own };
        for token in ["1", "2"] {
            let mut request = with_tokens(world.request(), Secrets, &[("vault", token)]);
            let Some(AccessType::Mount(mount)) = &mut request.volume_capability.as_mut().unwrap().access_type
            else {
                panic!("a mount")
            };
            mount.volume_mount_group = group.to_string();
            world.send(request).await.unwrap();
            for (name, mode) in [(".", 0o750), ("..data", 0o750), ("vault", 0o640)] {
                let found = world.target().join(name).metadata().unwrap();
                assert_eq!((found.permissions().mode() & 0o7777, found.gid()), (mode, group), "{name}");
            }
        }
        world.unpublish().await.unwrap();
        world.assert_nothing_is_left();
    }
}

#[tokio::test]
async fn a_full_volume_is_reported_and_keeps_the_old_tokens() {
    if !may_mount() {
        return;
    }
    let world = World::start(|mut config| {
        config.volume_size = 16 << 10;
        config
    })
    .await;
    let large = "x".repeat(32 << 10);
    let status = world.publish(Secrets, &[("vault", &large)]).await.unwrap_err();
    assert_eq!(status.code(), Code::ResourceExhausted);
    assert!(status.message().contains("no room"), "{}", status.message());
    world.assert_nothing_is_left();

    world.publish(Secrets, &[("vault", "old")]).await.unwrap();
    for _ in 0..3 {
        let status = world.publish(Secrets, &[("vault", &large)]).await.unwrap_err();
        assert_eq!(status.code(), Code::ResourceExhausted);
        assert_eq!(volume(&world.target()), files(&[("vault", "old")]));
    }
    world.publish(Secrets, &[("vault", "new")]).await.unwrap();
    assert_eq!(volume(&world.target()), files(&[("vault", "new")]));
    assert_eq!(
        names(&world.target())
            .iter()
            .filter(|name| name.starts_with("..1") || name.starts_with("..2"))
            .count(),
        2
    );
    world.unpublish().await.unwrap();
    world.assert_nothing_is_left();
}

#[tokio::test]
async fn requests_that_break_the_specification_are_refused_and_the_field_is_named() {
    let world = World::start(|config| config).await;
    let good = with_tokens(world.request(), Secrets, &[("vault", "canary")]);
    let capability =
        |access_type| VolumeCapability { access_type, ..good.volume_capability.clone().unwrap() };
    let no_mode = VolumeCapability { access_mode: None, ..good.volume_capability.clone().unwrap() };
    let block = capability(Some(AccessType::Block(BlockVolume {})));
    let table = [
        ("volume_id", NodePublishVolumeRequest { volume_id: String::new(), ..good.clone() }),
        ("target_path", NodePublishVolumeRequest { target_path: String::new(), ..good.clone() }),
        ("target_path", NodePublishVolumeRequest { target_path: "relative".to_owned(), ..good.clone() }),
        ("target_path", NodePublishVolumeRequest { target_path: "/a/../etc".to_owned(), ..good.clone() }),
        ("volume_capability ", NodePublishVolumeRequest { volume_capability: None, ..good.clone() }),
        ("block", NodePublishVolumeRequest { volume_capability: Some(block), ..good.clone() }),
        (
            "access_type",
            NodePublishVolumeRequest { volume_capability: Some(capability(None)), ..good.clone() },
        ),
        ("access_mode", NodePublishVolumeRequest { volume_capability: Some(no_mode), ..good.clone() }),
    ];
    for (field, request) in table {
        let status = world.send(request).await.unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument, "{field}");
        assert!(
            status.message().contains(field) && !status.message().contains("canary"),
            "{}",
            status.message()
        );
    }
    for (volume_id, target_path, field) in
        [("", "/a", "volume_id"), ("a", "", "target_path"), ("a", "/", "target_path")]
    {
        let request = NodeUnpublishVolumeRequest {
            volume_id: volume_id.to_owned(),
            target_path: target_path.to_owned(),
        };
        let status = world.served.node().node_unpublish_volume(request).await.unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument);
        assert!(status.message().contains(field), "{}", status.message());
    }
    let nowhere = world.directory.path().join("no/such/parent").to_str().unwrap().to_owned();
    let status = world.send(NodePublishVolumeRequest { target_path: nowhere, ..good }).await.unwrap_err();
    assert_eq!(status.code(), Code::Internal);
    assert!(status.message().contains("parent directory"), "{}", status.message());
    world.assert_nothing_is_left();
}

#[tokio::test]
async fn what_the_driver_offers() {
    let world = World::start(|config| config).await;
    let mut node = world.served.node();
    assert_eq!(node.node_get_info(NodeGetInfoRequest {}).await.unwrap().into_inner().node_id, "node-1");
    let capabilities = node.node_get_capabilities(NodeGetCapabilitiesRequest {}).await.unwrap().into_inner();
    let [capability] = &capabilities.capabilities[..] else { panic!("{capabilities:?}") };
    assert!(format!("{capability:?}").contains("VOLUME_MOUNT_GROUP"), "{capability:?}");
    let refusals = [
        node.node_stage_volume(NodeStageVolumeRequest::default()).await.unwrap_err(),
        node.node_unstage_volume(NodeUnstageVolumeRequest::default()).await.unwrap_err(),
        node.node_get_volume_stats(NodeGetVolumeStatsRequest::default()).await.unwrap_err(),
        node.node_expand_volume(NodeExpandVolumeRequest::default()).await.unwrap_err(),
    ];
    for (status, method) in refusals.iter().zip([
        "NodeStageVolume",
        "NodeUnstageVolume",
        "NodeGetVolumeStats",
        "NodeExpandVolume",
    ]) {
        assert_eq!(status.code(), Code::Unimplemented);
        assert!(status.message().contains(method), "{}", status.message());
    }
}
