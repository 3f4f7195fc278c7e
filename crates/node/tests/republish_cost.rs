//! What a republish of a mounted volume costs the node: counted, since time cannot be asserted. It is paid for each volume each
//! minute.

#![expect(clippy::unwrap_used, reason = "a test world that breaks is a failed test")]

mod support;

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use support::cluster::{FakeCluster, start};
use support::driver::FakeDriver;
use support::world::{NODE, numbered};
use tokenward_csi::v1::NodePublishVolumeRequest;
use tokenward_kube_rules::FeatureGates;
use tokenward_node::csi_drivers::CsiDrivers;
use tokenward_node::drivers::{Driver, Drivers};
use tokenward_node::metrics::Metrics;
use tokenward_node::mounter::Mounter;
use tokenward_node::objects::{CsiDriver, InlineSource};
use tokenward_node::paths::Layout;
use tokenward_node::registry::rules::choose_version;
use tokenward_node::token_manager::TokenManager;
use tokenward_node::volume::{VolumeSecurity, VolumeSource, VolumeSpec};
use tokenward_node::{Dice, PodReference, WatchEvent};
use tokenward_tokens::ManualClock;
use tokenward_transport::SocketPath;
use tokio::runtime::{Builder, Runtime};
use tokio::time::Instant;

/// So many, after as many that do not count.
const TIMES: u64 = 200;

struct Setting {
    mounter: Mounter<FakeCluster>,
    spec: VolumeSpec,
    driver: FakeDriver,
    _root: tempfile::TempDir,
}

async fn setting() -> Setting {
    let root = tempfile::Builder::new().prefix("tw").tempdir().unwrap();
    let clock = ManualClock::new(start()).clock();
    let cluster = FakeCluster::new(clock.clone(), numbered());
    let csi_drivers = Arc::new(CsiDrivers::default());
    let csi_driver: CsiDriver = serde_json::from_value(json!({
        "metadata": { "name": "d" },
        "spec": {
            "attachRequired": false, "podInfoOnMount": true, "fsGroupPolicy": "ReadWriteOnceWithFSType",
            "volumeLifecycleModes": ["Ephemeral"], "requiresRepublish": true, "serviceAccountTokenInSecrets": true,
            "tokenRequests": [{ "audience": "vault", "expirationSeconds": 3600 }],
        },
    }))
    .unwrap();
    csi_drivers.apply(WatchEvent::Listed(vec![csi_driver]));
    let drivers = Arc::new(Drivers::counted_by(Arc::new(Metrics::new())));
    let socket = SocketPath::new(FakeDriver::socket(root.path(), "d")).unwrap();
    let version = choose_version("d", &socket.to_string(), &["1.0.0".to_owned()]).unwrap();
    drivers.insert(Arc::new(Driver::new("d".to_owned(), socket, version)));
    let mounter = Mounter {
        cluster: Arc::clone(&cluster),
        layout: Layout::new(root.path()),
        node_name: NODE.to_owned(),
        gates: FeatureGates::default(),
        drop_forged_keys: false,
        se_linux: None,
        operation_limit: Duration::from_secs(10),
        drivers,
        csi_drivers,
        tokens: TokenManager::new(cluster, clock, Dice::seeded(1)),
    };
    let spec = VolumeSpec {
        pod: PodReference { namespace: "ns".into(), name: "web".into(), uid: "uid-web".into() },
        service_account: "web".into(),
        security: VolumeSecurity::default(),
        volume: "tokens".into(),
        spec_name: "tokens".into(),
        volume_handle: "csi-1".into(),
        read_only: true,
        source: VolumeSource::Inline(InlineSource { driver: "d".into(), ..InlineSource::default() }),
    };
    let driver = FakeDriver::new(root.path(), "d", &[]);
    Setting { mounter, spec, driver, _root: root }
}

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

/// Allocations of this thread by each of many times.
fn allocations(runtime: &Runtime, mut work: impl AsyncFnMut()) -> u64 {
    let mut many = |times| {
        runtime.block_on(async {
            for _ in 0..times {
                work().await;
            }
        });
    };
    many(TIMES);
    allocation_counter::measure(|| many(TIMES)).count_total / TIMES
}

#[test]
fn a_republish_costs_little_more_than_the_call() {
    let runtime = runtime();
    let setting = runtime.block_on(setting());
    let served = runtime.block_on(setting.driver.serve_apart(setting.mounter.layout.root()));
    runtime.block_on(setting.mounter.publish(&setting.spec, false)).unwrap();
    let driver = setting.mounter.drivers.get("d").unwrap();
    let connection = runtime.block_on(driver.connection()).unwrap();
    let call = allocations(&runtime, async || {
        let deadline = Instant::now() + Duration::from_secs(10);
        driver.publish(&connection, NodePublishVolumeRequest::default(), deadline).await.unwrap();
    });
    let republish = allocations(&runtime, async || {
        setting.mounter.publish(&setting.spec, true).await.unwrap();
    });
    println!("{call} allocations for the call alone, {republish} for a republish");
    assert!(call <= 40, "{call}");
    assert!(republish <= call + 80, "{republish}, {call} of them for the call");
    served.kill();
}
