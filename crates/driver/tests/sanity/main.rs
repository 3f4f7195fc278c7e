//! csi-sanity, the specs of the CSI specification, over drivers built with the kit: the tutorial's, and one with a Controller, so that the
//! specs that go the whole way from CreateVolume to DeleteVolume are not skipped. `tests/peers/setup` makes the program; without it
//! the tests are left out, or fail if `TOKENWARD_PEERS=required`.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

#[path = "../../../../tests/peers/peer.rs"]
mod peer;
#[path = "../../../../tests/peers/csi_sanity/sanity.rs"]
mod sanity;
#[expect(dead_code, reason = "its main is not run here")]
#[expect(unreachable_pub, reason = "a program of its own")]
#[path = "../../examples/vault-token.rs"]
mod vault_token;
mod volumes;

use std::path::Path;

use sanity::Sanity;
use tokenward_driver::csi::v1::controller_server::Controller;
use tokenward_driver::csi::v1::node_server::Node;
use tokenward_driver::{DriverConfig, DriverName, Endpoint, Plugin, SocketPath};
use tokio_util::sync::CancellationToken;

/// The specs that are run against a driver with a Controller that makes and deletes volumes, and does nothing else.
const WITH_CONTROLLER: usize = 25;

fn socket(directory: &Path) -> Endpoint {
    SocketPath::new(directory.join("csi.sock")).unwrap().into()
}

fn tutorial(endpoint: Endpoint) -> Plugin<impl Node> {
    let name = DriverName::parse("vault-token.example").unwrap();
    vault_token::plugin(&DriverConfig::new(name, endpoint, "node-1"))
}

/// Runs the specs against a plugin, and says how many passed.
async fn specs_that_pass<N: Node, C: Controller>(
    sanity: Sanity,
    directory: &Path,
    plugin: Plugin<N, C>,
    has_controller: bool,
) -> usize {
    let stop = CancellationToken::new();
    let bound = plugin.bind().await.unwrap();
    let endpoint = bound.endpoint().to_string();
    let served = tokio::spawn(bound.serve(stop.clone()));
    let place = directory.to_owned();
    let passed = tokio::task::spawn_blocking(move || sanity.passed(&endpoint, &place, has_controller));
    let passed = passed.await.unwrap();
    stop.cancel();
    served.await.unwrap().unwrap();
    passed
}

/// All of Identity and of Node that need no Controller.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_tutorials_driver_passes() {
    let Some(sanity) = Sanity::find() else { return };
    let directory = tempfile::tempdir().unwrap();
    let plugin = tutorial(socket(directory.path()));
    let passed = specs_that_pass(sanity, directory.path(), plugin, false).await;
    assert!(passed >= sanity::WITHOUT_CONTROLLER, "{passed}");
}

/// Served over TCP: every spec is the same there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_tutorials_driver_passes_over_tcp() {
    let Some(sanity) = Sanity::find() else { return };
    let directory = tempfile::tempdir().unwrap();
    let endpoint: Endpoint = "tcp://127.0.0.1:0".parse().unwrap();
    let plugin = tutorial(endpoint);
    let passed = specs_that_pass(sanity, directory.path(), plugin, false).await;
    assert!(passed >= sanity::WITHOUT_CONTROLLER, "{passed}");
}

/// Volumes that are made by a Controller, published with tokens in their secrets, and all of it undone; each step ten times.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_tutorials_driver_passes_the_whole_way() {
    let Some(sanity) = Sanity::find() else { return };
    let directory = tempfile::tempdir().unwrap();
    let volumes = volumes::Volumes::default();
    let plugin = tutorial(socket(directory.path()));
    let plugin = plugin.with_controller(volumes.clone());
    let metrics = plugin.metrics();
    let passed = specs_that_pass(sanity, directory.path(), plugin, true).await;
    assert!(passed >= WITH_CONTROLLER, "{passed}");
    assert!(!volumes.any_is_left());
    let text = metrics.render();
    let line = text.lines().find(|line| {
        line.starts_with("csi_plugin_operations_seconds_count")
            && line.contains("NodePublishVolume\",grpc_status_code=\"OK\"")
    });
    let counted = line.and_then(|line| line.rsplit(' ').next()).unwrap();
    assert!(counted.parse::<u32>().unwrap() >= 12, "the whole way was gone: {counted}");
}

/// The same with volumes that are staged before they are published.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_driver_that_stages_passes_the_whole_way() {
    let Some(sanity) = Sanity::find() else { return };
    let directory = tempfile::tempdir().unwrap();
    let volumes = volumes::Volumes::default();
    let name = DriverName::parse("volumes.example").unwrap();
    let plugin =
        Plugin::new(name, "1", socket(directory.path()), volumes.clone()).with_controller(volumes.clone());
    let passed = specs_that_pass(sanity, directory.path(), plugin, true).await;
    assert!(passed > WITH_CONTROLLER, "{passed}");
    assert!(volumes.published() >= 12, "the whole way was gone");
    assert!(!volumes.any_is_left());
}
