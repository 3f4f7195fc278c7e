//! A driver on a real socket, and a node's side of its calls.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokenward_driver::csi::v1::node_client::NodeClient;
use tokenward_driver::csi::v1::volume_capability::access_mode::Mode;
use tokenward_driver::csi::v1::volume_capability::{AccessMode, AccessType, MountVolume};
use tokenward_driver::csi::v1::{NodePublishVolumeRequest, NodeUnpublishVolumeRequest, VolumeCapability};
use tokenward_driver::mount_tmpfs;
use tokenward_driver::tokens::{Audience, Placement, Token, TokenEntry, TokenMap, place};
use tokenward_driver_token_files::{
    Config, DriverName, Error, MountPolicy, Observation, SocketPath, file_name, serve,
};
use tokenward_transport::connect;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tonic::Status;
use tonic::transport::Channel;

const LIMIT: Duration = Duration::from_secs(30);

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
    pub(crate) channel: Channel,
    pub(crate) seen: Arc<Mutex<Vec<Observation>>>,
    pub(crate) directory: tempfile::TempDir,
    config: Config,
    cancel: CancellationToken,
    served: JoinHandle<Result<(), Error>>,
}

impl World {
    pub(crate) async fn start(change: impl FnOnce(Config) -> Config) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let endpoint = SocketPath::new(directory.path().join("plugin/csi.sock")).unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let config = Config::new(DriverName::parse("token-files.tokenward.dev").unwrap(), endpoint, "node-1")
            .register_in(directory.path().join("registry"))
            .observe({
                let seen = Arc::clone(&seen);
                move |observation| seen.lock().push(observation.clone())
            });
        std::fs::create_dir(directory.path().join("pod")).unwrap();
        let config = change(config);
        let (channel, cancel, served) = run(&config).await;
        Self { channel, seen, directory, config, cancel, served }
    }

    pub(crate) fn node(&self) -> NodeClient<Channel> {
        NodeClient::new(self.channel.clone())
    }

    pub(crate) fn target(&self) -> PathBuf {
        self.directory.path().join("pod/mount")
    }

    /// A complete request without tokens.
    pub(crate) fn request(&self) -> NodePublishVolumeRequest {
        NodePublishVolumeRequest {
            volume_id: "csi-volume".to_owned(),
            target_path: self.target().to_str().unwrap().to_owned(),
            volume_capability: Some(VolumeCapability {
                access_mode: Some(AccessMode { mode: Mode::SingleNodeWriter as i32 }),
                access_type: Some(AccessType::Mount(MountVolume::default())),
            }),
            ..Default::default()
        }
    }

    pub(crate) async fn publish(&self, placement: Placement, tokens: &[(&str, &str)]) -> Result<(), Status> {
        self.send(with_tokens(self.request(), placement, tokens)).await
    }

    pub(crate) async fn send(&self, request: NodePublishVolumeRequest) -> Result<(), Status> {
        self.node().node_publish_volume(request).await.map(|_| ())
    }

    pub(crate) async fn unpublish(&self) -> Result<(), Status> {
        let target_path = self.target().to_str().unwrap().to_owned();
        let request = NodeUnpublishVolumeRequest { volume_id: "csi-volume".to_owned(), target_path };
        self.node().node_unpublish_volume(request).await.map(|_| ())
    }

    /// Ends the driver and starts another with the same configuration.
    pub(crate) async fn restart(&mut self) {
        self.end().await;
        (self.channel, self.cancel, self.served) = run(&self.config).await;
    }

    /// Ends the driver; its sockets are gone then.
    pub(crate) async fn end(&mut self) {
        self.cancel.cancel();
        tokio::time::timeout(LIMIT, &mut self.served).await.unwrap().unwrap().unwrap();
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

async fn run(config: &Config) -> (Channel, CancellationToken, JoinHandle<Result<(), Error>>) {
    let cancel = CancellationToken::new();
    let served = tokio::spawn(serve(config.clone(), cancel.clone()));
    let channel = tokio::time::timeout(LIMIT, async {
        loop {
            match connect(&config.endpoint).await {
                Ok(channel) => return channel,
                Err(_) => tokio::task::yield_now().await,
            }
        }
    });
    (channel.await.unwrap(), cancel, served)
}

pub(crate) fn with_tokens(
    mut request: NodePublishVolumeRequest,
    placement: Placement,
    tokens: &[(&str, &str)],
) -> NodePublishVolumeRequest {
    let mut map = TokenMap::new();
    for (audience, token) in tokens {
        map.insert(
            Audience::new(*audience),
            TokenEntry { token: Token::new((*token).to_owned()), expires: None },
        );
    }
    place(&map.to_value(), placement, &mut request.secrets, &mut request.volume_context);
    request
}

/// The names in a directory, sorted.
pub(crate) fn names(directory: &Path) -> Vec<String> {
    let mut names: Vec<_> = std::fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// The files that a pod sees in a volume.
pub(crate) fn volume(target: &Path) -> BTreeMap<String, String> {
    let visible = names(target).into_iter().filter(|name| !name.starts_with(".."));
    visible.map(|name| (name.clone(), std::fs::read_to_string(target.join(&name)).unwrap())).collect()
}

pub(crate) fn files(tokens: &[(&str, &str)]) -> BTreeMap<String, String> {
    tokens.iter().map(|(audience, token)| (file_name(audience), (*token).to_owned())).collect()
}
