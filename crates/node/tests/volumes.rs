//! What the node does to a volume beside calling the driver: its group, its label, its device.

mod support;

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::Arc;

use serde_json::json;
use support::driver::{Call, FakeDriver};
use support::eventually;
use support::world::{World, numbered};
use tokenward_csi::v1::VolumeCapability;
use tokenward_csi::v1::node_service_capability::rpc::Type as RpcType;
use tokenward_csi::v1::volume_capability::AccessType;
use tokenward_node::selinux::FileLabel;
use tonic::Status;

fn mount_options(capability: Option<&VolumeCapability>) -> &[String] {
    match capability.and_then(|capability| capability.access_type.as_ref()) {
        Some(AccessType::Mount(mount)) => &mount.mount_flags,
        _ => panic!("a filesystem is wanted"),
    }
}

/// The driver has no VOLUME_MOUNT_GROUP: the node gives the volume to the group, and again at each publish.
#[tokio::test]
async fn the_node_gives_the_volume_to_the_pods_group() {
    let mut world = World::new(numbered());
    world.csi_driver("d", &json!({ "fsGroupPolicy": "File" }));
    world.inline_pod("web", "d");
    // A group that this process may give its files to.
    let own = world.path().metadata().unwrap();
    let group = if own.uid() == 0 { 2000 } else { own.gid() };
    let security = json!({ "spec": { "securityContext": { "fsGroup": group } } });
    world.cluster.change("pods", "ns", "web", &security);
    world.start();
    let driver = FakeDriver::new(world.path(), "d", &[]);
    let served = driver.serve(world.path(), true).await;
    world.delivered(1).await;
    let target = driver.publishes().remove(0).target_path;
    let metadata = Path::new(&target).metadata().unwrap();
    assert_eq!(metadata.gid(), group);
    assert_eq!(metadata.mode() & 0o2070, 0o2070, "the group may write, and new files are its own");
    world.stop().await.unwrap();
    served.stop().await;
}

/// The label goes into the options of stage and publish, and is remembered beside both.
#[tokio::test]
async fn a_pods_label_is_a_mount_option() {
    let mut world = World::new(numbered());
    world.csi_driver("d", &json!({ "seLinuxMount": true }));
    world.claim("pv", "d");
    let spec = json!({ "spec": { "accessModes": ["ReadWriteOncePod"], "mountOptions": ["noatime"] } });
    world.cluster.change("persistentvolumes", "", "pv", &spec);
    world.pod("web", &json!([{ "name": "data", "persistentVolumeClaim": { "claimName": "pv" } }]));
    let security = json!({ "spec": { "securityContext": { "seLinuxOptions": { "level": "s0:c1,c2" } } } });
    world.cluster.change("pods", "ns", "web", &security);
    let files = FileLabel::from_contexts("file = \"system_u:object_r:container_file_t:s0\"");
    world.start_with(|config| config.se_linux = files);
    let driver = FakeDriver::new(world.path(), "d", &[RpcType::StageUnstageVolume]);
    let served = driver.serve(world.path(), true).await;
    world.delivered(1).await;
    let options = ["noatime", "context=\"system_u:object_r:container_file_t:s0:c1,c2\""];
    let Call::Stage(staged) = driver.calls().remove(0) else { panic!("a stage is wanted first") };
    let published = driver.publishes().remove(0);
    assert_eq!(mount_options(staged.volume_capability.as_ref()), options);
    assert_eq!(mount_options(published.volume_capability.as_ref()), options);
    for path in [&staged.staging_target_path, &published.target_path] {
        let record = std::fs::read_to_string(Path::new(path).with_file_name("vol_data.json")).unwrap();
        let record: serde_json::Value = serde_json::from_str(&record).unwrap();
        assert_eq!(record["seLinuxMountContext"], "system_u:object_r:container_file_t:s0:c1,c2");
    }
    world.stop().await.unwrap();
    served.stop().await;
}

/// A raw block volume: staged and published where a kubelet has it, without tokens, linked from the pod, and all of it
/// taken back.
#[tokio::test]
async fn a_block_volume_is_linked_to_where_it_is_published() {
    let mut world = World::new(numbered());
    world.csi_driver("d", &json!({ "podInfoOnMount": true, "tokenRequests": [{ "audience": "vault" }] }));
    world.claim("pv", "d");
    let spec = json!({ "spec": { "volumeMode": "Block", "mountOptions": ["noatime"] } });
    world.cluster.change("persistentvolumes", "", "pv", &spec);
    let volumes = json!([{ "name": "data", "persistentVolumeClaim": { "claimName": "pv" } }]);
    world.pod("one", &volumes);
    world.pod("two", &volumes);
    world.start();
    let driver = FakeDriver::new(world.path(), "d", &[RpcType::StageUnstageVolume]);
    driver.act(Arc::new(|call| {
        let done = match call {
            Call::Publish(request) => std::fs::write(&request.target_path, ""),
            Call::Unpublish(request) => std::fs::remove_file(&request.target_path),
            Call::Stage(_) | Call::Unstage(_) => Ok(()),
        };
        done.map_err(|error| Status::internal(error.to_string()))
    }));
    let served = driver.serve(world.path(), true).await;
    world.delivered(2).await;
    let devices = world.path().join("plugins/kubernetes.io/csi/volumeDevices");
    let Call::Stage(staged) = driver.calls().remove(0) else { panic!("a stage is wanted first") };
    assert_eq!(Path::new(&staged.staging_target_path), devices.join("staging/pv"));
    assert!(world.cluster.token_requests().is_empty());
    let record = std::fs::read_to_string(devices.join("pv/data/vol_data.json")).unwrap();
    let record: serde_json::Value = serde_json::from_str(&record).unwrap();
    assert_eq!((&record["driverName"], &record["specVolID"]), (&json!("d"), &json!("pv")));
    assert_eq!(record.get("volumeLifecycleMode"), None);
    for request in driver.publishes() {
        let uid = &request.volume_context["csi.storage.k8s.io/pod.uid"];
        assert_eq!(Path::new(&request.target_path), devices.join("publish/pv").join(uid));
        assert_eq!(request.staging_target_path, staged.staging_target_path);
        assert!(matches!(request.volume_capability.unwrap().access_type, Some(AccessType::Block(_))));
        let link = world.path().join("pods").join(uid).join("volumeDevices/kubernetes.io~csi/pv");
        assert_eq!(std::fs::read_link(link).unwrap(), Path::new(&request.target_path));
    }
    for pod in ["one", "two"] {
        world.terminate(pod);
        world.gone(pod).await;
    }
    eventually("all to be gone", || {
        let left = std::fs::read_dir(&devices).unwrap().filter_map(|entry| Some(entry.ok()?.path()));
        let left: Vec<_> =
            left.filter(|path| std::fs::read_dir(path).is_ok_and(|mut all| all.next().is_some())).collect();
        if left.is_empty() { Ok(()) } else { Err(format!("{left:?}")) }
    })
    .await;
    assert_eq!((driver.count("NodeUnpublishVolume"), driver.count("NodeUnstageVolume")), (2, 1));
    assert_eq!(std::fs::read_dir(world.path().join("pods")).unwrap().count(), 0);
    world.stop().await.unwrap();
    served.stop().await;
}
