//! A driver on a real socket, and a node's side of its calls.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;
use tokenward_driver::csi::v1::NodePublishVolumeRequest;
use tokenward_driver::mount_tmpfs;
use tokenward_driver::testing::{Served, publish_request};
pub(crate) use tokenward_driver::testing::{names, visible_files as volume, with_tokens};
use tokenward_driver::tokens::Placement;
use tokenward_driver_token_files::{
    Config, DriverConfig, DriverName, MountPolicy, Observation, SocketPath, file_name, serve,
};
use tonic::Status;

/// Both ways to hold a volume; the first only where this process may mount.
pub(crate) fn policies() -> Vec<MountPolicy> {
    if may_mount() { vec![MountPolicy::WherePermitted, MountPolicy::Never] } else { vec![MountPolicy::Never] }
}

/// Whether this process may mount; says so when it may not.
#[expect(clippy::print_stdout, reason = "what was left out belongs to the output of a test")]
pub(crate) fn may_mount() -> bool {
    let directory = tempfile::tempdir().unwrap();
    match mount_tmpfs(directory.path(), 4096) {
        Ok(()) => {
            unmount(directory.path());
            true
        }
        Err(error) => {
            println!("left out what needs a mount: this process may not mount ({error})");
            false
        }
    }
}

fn unmount(path: &Path) {
    // There may be nothing: this also cleans up after a test that failed.
    let _ = rustix::mount::unmount(path, rustix::mount::UnmountFlags::DETACH);
}

/// A running driver; its directory and what is mounted in it goes when this is dropped.
pub(crate) struct World {
    pub(crate) seen: Arc<Mutex<Vec<Observation>>>,
    pub(crate) directory: tempfile::TempDir,
    pub(crate) served: Served,
    config: Config,
}

impl World {
    pub(crate) async fn start(change: impl FnOnce(DriverConfig) -> DriverConfig) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let endpoint = SocketPath::new(directory.path().join("plugin/csi.sock")).unwrap();
        let name = DriverName::parse("token-files.tokenward.dev").unwrap();
        let driver =
            DriverConfig::new(name, endpoint, "node-1").register_in(directory.path().join("registry"));
        let seen = Arc::new(Mutex::new(Vec::new()));
        let config = Config::new(change(driver)).observe({
            let seen = Arc::clone(&seen);
            move |observation| seen.lock().push(observation.clone())
        });
        std::fs::create_dir(directory.path().join("pod")).unwrap();
        let served = run(&config).await;
        Self { seen, directory, config, served }
    }

    pub(crate) fn target(&self) -> PathBuf {
        self.directory.path().join("pod/mount")
    }

    /// A complete request without tokens.
    pub(crate) fn request(&self) -> NodePublishVolumeRequest {
        publish_request(&self.target())
    }

    pub(crate) async fn publish(&self, placement: Placement, tokens: &[(&str, &str)]) -> Result<(), Status> {
        self.send(with_tokens(self.request(), placement, tokens)).await
    }

    pub(crate) async fn send(&self, request: NodePublishVolumeRequest) -> Result<(), Status> {
        self.served.publish(request).await
    }

    pub(crate) async fn unpublish(&self) -> Result<(), Status> {
        self.served.unpublish(&self.target()).await
    }

    /// Ends the driver and starts another with the same configuration.
    pub(crate) async fn restart(&mut self) {
        self.end().await;
        self.served = run(&self.config).await;
    }

    /// Ends the driver; its sockets are gone then.
    pub(crate) async fn end(&mut self) {
        self.served.end().await.unwrap();
        for directory in ["plugin", "registry"] {
            assert_eq!(names(&self.directory.path().join(directory)), Vec::<String>::new());
        }
    }

    /// Where the target's parent is, nothing is left.
    pub(crate) fn assert_nothing_is_left(&self) {
        assert_eq!(names(&self.directory.path().join("pod")), Vec::<String>::new());
        let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
        assert!(!mounts.contains(self.directory.path().to_str().unwrap()), "{mounts}");
    }
}

impl Drop for World {
    fn drop(&mut self) {
        unmount(&self.target());
    }
}

async fn run(config: &Config) -> Served {
    Served::start(&config.driver.endpoint, |stop| serve(config.clone(), stop)).await
}

pub(crate) fn files(tokens: &[(&str, &str)]) -> BTreeMap<String, String> {
    tokens.iter().map(|(audience, token)| (file_name(audience), (*token).to_owned())).collect()
}
