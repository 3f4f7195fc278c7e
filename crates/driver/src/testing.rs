//! A node's side of a driver, for its tests: calls over its own socket, what a pod finds in a volume, and all that was logged.
//!
//! With the feature `testing`, which belongs into `[dev-dependencies]`. What cannot go on panics, and says why: it is a test that fails.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::future::Future;
use std::io;
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use parking_lot::Mutex;
use tokenward_csi::v1::node_client::NodeClient;
use tokenward_csi::v1::volume_capability::access_mode::Mode;
use tokenward_csi::v1::volume_capability::{AccessMode, AccessType, MountVolume};
use tokenward_csi::v1::{NodePublishVolumeRequest, NodeUnpublishVolumeRequest, VolumeCapability};
use tokenward_tokens::{Audience, Placement, Token, TokenEntry, TokenMap, place};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tonic::Status;
use tonic::transport::Channel;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt::MakeWriter;

use crate::endpoint::Endpoint;
use crate::plugin::ServeError;

/// How long a driver may take to start, or to end. Far more than it needs: it ends a test that would hang.
const LIMIT: Duration = Duration::from_secs(60);
/// The volume of [`publish_request`].
const VOLUME_ID: &str = "csi-volume";

/// A driver that is served, and a connection to it.
///
/// ```
/// use tokenward_driver::csi::v1::{NodeGetInfoRequest, NodePublishVolumeRequest, NodeUnpublishVolumeRequest};
/// use tokenward_driver::testing::{Served, names, publish_request, visible_files, with_tokens};
/// use tokenward_driver::tokens::{Clock, Placement};
/// use tokenward_driver::{
///     CallContext, Contents, DriverConfig, DriverName, File, FileDriver, FileNode, FileSet, FileVolumes,
///     PublishTarget, SocketPath, TokenSet, VolumePath, unpublish_target,
/// };
/// # use std::sync::Arc;
/// # use tonic::Status;
/// # struct Vault(FileVolumes);
/// # impl FileDriver for Vault {
/// #     async fn publish(self: &Arc<Self>, call: &CallContext, mut request: NodePublishVolumeRequest) -> Result<(), Status> {
/// #         let tokens = TokenSet::from_request(&mut request)?;
/// #         let (this, target, now) = (Arc::clone(self), PublishTarget::of(&request)?, Clock::system().now());
/// #         let mut files = FileSet::new();
/// #         let contents = Contents::token(&tokens.unexpired("vault", now)?.token);
/// #         files.insert(VolumePath::parse("token").unwrap(), File::private(contents)).unwrap();
/// #         call.blocking(move || Ok(this.0.publish(&target, &files, now).map(|_| ())?)).await
/// #     }
/// #     async fn unpublish(self: &Arc<Self>, call: &CallContext, request: NodeUnpublishVolumeRequest) -> Result<(), Status> {
/// #         let (this, target) = (Arc::clone(self), unpublish_target(&request)?);
/// #         call.blocking(move || Ok(this.0.unpublish(&target)?)).await
/// #     }
/// # }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let place = tempfile::tempdir()?;
/// let endpoint = SocketPath::new(place.path().join("csi.sock"))?;
/// let config = DriverConfig::new(DriverName::parse("vault.example")?, endpoint, "node-1");
/// let plugin = config.plugin("1", FileNode::new("node-1", Vault(config.volumes())));
/// let mut driver = Served::start(&config.endpoint, |stop| plugin.serve(stop)).await;
///
/// let target = place.path().join("mount");
/// driver.publish(with_tokens(publish_request(&target), Placement::Secrets, &[("vault", "a.b.c")])).await?;
/// assert_eq!(visible_files(&target)["token"], "a.b.c");
/// assert!(names(&target).contains(&"..data".to_owned()));
/// driver.unpublish(&target).await?;
/// assert!(!target.exists());
/// let info = driver.node().node_get_info(NodeGetInfoRequest {}).await?;
/// assert_eq!(info.into_inner().node_id, "node-1");
/// let _for_other_services = driver.channel();
/// driver.end().await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Served {
    channel: Channel,
    stop: CancellationToken,
    /// None once it has ended.
    serving: Option<JoinHandle<Result<(), ServeError>>>,
}

impl Served {
    /// Serves a driver in a task, and connects as soon as its endpoint takes connections.
    ///
    /// Shown at [`Served`].
    ///
    /// # Panics
    /// When the driver ends, or does not listen in time.
    pub async fn start<F>(endpoint: &Endpoint, serve: impl FnOnce(CancellationToken) -> F) -> Self
    where
        F: Future<Output = Result<(), ServeError>> + Send + 'static,
    {
        let stop = CancellationToken::new();
        let serving = tokio::spawn(serve(stop.clone()));
        let connecting = async {
            loop {
                match endpoint.connect().await {
                    Ok(channel) => return channel,
                    Err(error) if serving.is_finished() => panic!("the driver has ended: {error}"),
                    Err(_) => tokio::task::yield_now().await,
                }
            }
        };
        let connected = tokio::time::timeout(LIMIT, connecting).await;
        let channel = connected.unwrap_or_else(|_| panic!("nobody listens at {endpoint} after {LIMIT:?}"));
        Self { channel, stop, serving: Some(serving) }
    }

    /// The connection, for services of one's own choice.
    ///
    /// Shown at [`Served`].
    #[must_use]
    pub fn channel(&self) -> Channel {
        self.channel.clone()
    }

    /// The driver's Node service.
    ///
    /// Shown at [`Served`].
    #[must_use]
    pub fn node(&self) -> NodeClient<Channel> {
        NodeClient::new(self.channel())
    }

    /// NodePublishVolume.
    ///
    /// Shown at [`Served`].
    ///
    /// # Errors
    /// The driver's.
    pub async fn publish(&self, request: NodePublishVolumeRequest) -> Result<(), Status> {
        self.node().node_publish_volume(request).await.map(|_| ())
    }

    /// NodeUnpublishVolume for the volume of [`publish_request`].
    ///
    /// Shown at [`Served`].
    ///
    /// # Errors
    /// The driver's.
    pub async fn unpublish(&self, target: &Path) -> Result<(), Status> {
        let (volume_id, target_path) = (VOLUME_ID.to_owned(), text(target));
        let request = NodeUnpublishVolumeRequest { volume_id, target_path };
        self.node().node_unpublish_volume(request).await.map(|_| ())
    }

    /// Ends the driver as SIGTERM does, and waits for it.
    ///
    /// Shown at [`Served`].
    ///
    /// # Errors
    /// Those of its `serve`.
    ///
    /// # Panics
    /// When it does not end in time, or panics.
    pub async fn end(&mut self) -> Result<(), ServeError> {
        self.stop.cancel();
        let Some(serving) = self.serving.take() else { return Ok(()) };
        let ended = tokio::time::timeout(LIMIT, serving).await.expect("the driver does not end");
        ended.expect("the driver has panicked")
    }
}

/// A complete request for a volume of files at `target`, without tokens and attributes.
///
/// Shown at [`Served`].
///
/// # Panics
/// When the path is no text.
#[must_use]
pub fn publish_request(target: &Path) -> NodePublishVolumeRequest {
    NodePublishVolumeRequest {
        volume_id: VOLUME_ID.to_owned(),
        target_path: text(target),
        volume_capability: Some(VolumeCapability {
            access_mode: Some(AccessMode { mode: Mode::SingleNodeWriter as i32 }),
            access_type: Some(AccessType::Mount(MountVolume::default())),
        }),
        ..Default::default()
    }
}

/// The request with these tokens, by audience, where a node puts them.
///
/// Shown at [`Served`].
#[must_use]
pub fn with_tokens(
    mut request: NodePublishVolumeRequest,
    placement: Placement,
    tokens: &[(&str, &str)],
) -> NodePublishVolumeRequest {
    let entry = |token: &str| TokenEntry { token: Token::new(token.to_owned()), expires: None };
    let tokens: TokenMap =
        tokens.iter().map(|(audience, token)| (Audience::new(*audience), entry(token))).collect();
    place(&tokens.to_value(), placement, &mut request.secrets, &mut request.volume_context);
    request
}

/// The names in a directory, sorted.
///
/// Shown at [`Served`].
///
/// # Panics
/// When it cannot be listed.
#[must_use]
pub fn names(directory: &Path) -> Vec<String> {
    let listed = fs::read_dir(directory).and_then(|entries| {
        entries
            .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
            .collect::<io::Result<Vec<_>>>()
    });
    let mut names = listed.unwrap_or_else(|error| panic!("cannot list `{}`: {error}", directory.display()));
    names.sort();
    names
}

/// The files at the top of a volume with their contents, as a pod sees them: without the versions behind them.
///
/// Shown at [`Served`].
///
/// # Panics
/// When they cannot be read.
#[must_use]
pub fn visible_files(target: &Path) -> BTreeMap<String, String> {
    let visible = names(target).into_iter().filter(|name| !name.starts_with(".."));
    let files = visible.filter(|name| target.join(name).is_file());
    let read = |name: String| match fs::read_to_string(target.join(&name)) {
        Ok(contents) => (name, contents),
        Err(error) => panic!("cannot read `{name}` in `{}`: {error}", target.display()),
    };
    files.map(read).collect()
}

/// All that this process logs, at every level, by every crate in it: where a token that leaked is found.
///
/// ```
/// use tokenward_driver::testing::CapturedLog;
///
/// let log = CapturedLog::of_this_process();
/// tracing::trace!("called");
/// assert!(log.text().contains("called"));
/// ```
#[derive(Clone, Default)]
pub struct CapturedLog(Arc<Mutex<Vec<u8>>>);

impl CapturedLog {
    /// The log of this process from the first call on: one for all tests in it, since some lines come from threads that serve several.
    ///
    /// Shown at [`CapturedLog`].
    ///
    /// # Panics
    /// When the process has another subscriber already.
    pub fn of_this_process() -> &'static Self {
        static CAPTURED: OnceLock<CapturedLog> = OnceLock::new();
        CAPTURED.get_or_init(|| {
            let captured = Self::default();
            let subscriber = tracing_subscriber::fmt()
                .with_max_level(LevelFilter::TRACE)
                .with_ansi(false)
                .with_writer(captured.clone())
                .finish();
            tracing::subscriber::set_global_default(subscriber).expect("nobody else has set a subscriber");
            captured
        })
    }

    /// What was logged so far.
    ///
    /// Shown at [`CapturedLog`].
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock()).into_owned()
    }
}

/// Its length: whoever prints it by mistake prints what may have leaked into it.
impl fmt::Debug for CapturedLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CapturedLog({} bytes)", self.0.lock().len())
    }
}

impl io::Write for CapturedLog {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for CapturedLog {
    type Writer = Self;

    fn make_writer(&'a self) -> Self::Writer {
        self.clone()
    }
}

fn text(path: &Path) -> String {
    path.to_str().unwrap_or_else(|| panic!("`{}` is no text", path.display())).to_owned()
}
