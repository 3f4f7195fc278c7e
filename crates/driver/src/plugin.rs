//! A CSI plugin: an author's services and the Identity service at an endpoint, registered with the kubelet.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokenward_csi::v1::controller_server::{Controller, ControllerServer};
use tokenward_csi::v1::identity_server::IdentityServer;
use tokenward_csi::v1::node_server::{Node, NodeServer};
use tokenward_csi::v1::plugin_capability::service::Type;
use tokenward_transport::{BindError, DRAIN_LIMIT, Services, SocketPath, SocketPathError};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tonic::Status;

use crate::endpoint::{Endpoint, Listening, listen};
use crate::guard::{Guard, Guarded};
use crate::http::HttpListener;
use crate::identity::{Introduction, Readiness, ReadinessCheck};
use crate::locks::Locks;
use crate::metrics::Metrics;
use crate::name::DriverName;
use crate::registration;
use crate::token_set::ReadFrom;

/// Pieces of blocking work that go on at once. Files on a tmpfs keep a processor busy and wait for nothing: more threads are not quicker,
/// and cost a stack and an arena of the allocator each.
pub(crate) const BLOCKING_LIMIT: usize = 8;

/// The type in the place of a Controller service that a plugin does not have.
///
/// ```
/// use tokenward_driver::{NoController, Plugin};
///
/// /// A driver that needs to name the type of a plugin without a controller.
/// struct Driver<N>(Plugin<N, NoController>);
/// ```
#[derive(Clone, Copy, Debug)]
pub enum NoController {}

#[tonic::async_trait]
impl Controller for NoController {}

/// A plugin, ready to be served.
///
/// What it does for an author is on by default: requests are logged without secrets, each line with the id of its call; status messages are
/// blanked of tokens; panics become INTERNAL; a volume has one operation at a time; deadlines reach the handlers ([`CallContext`]);
/// calls are counted ([`Metrics`]).
///
/// ```no_run
/// use tokenward_driver::csi::v1::node_server::Node;
/// use tokenward_driver::{DriverName, Plugin, SocketPath};
/// use tokio_util::sync::CancellationToken;
///
/// struct Vault;
///
/// // What an author does not write is refused with UNIMPLEMENTED.
/// #[tonic::async_trait]
/// impl Node for Vault {}
///
/// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
/// let endpoint = SocketPath::parse("/var/lib/kubelet/plugins/vault.example/csi.sock")?;
/// Plugin::new(DriverName::parse("vault.example")?, env!("CARGO_PKG_VERSION"), endpoint, Vault)
///     .register_in("/var/lib/kubelet/plugins_registry")
///     .http(([0, 0, 0, 0], 9808))
///     .serve(CancellationToken::new())
///     .await?;
/// # Ok(())
/// # }
/// ```
///
/// [`CallContext`]: crate::CallContext
#[derive(Debug)]
pub struct Plugin<N, C = NoController> {
    serving: Serving,
    node: N,
    controller: Option<C>,
}

/// All of a plugin but its author's services.
#[derive(Debug)]
struct Serving {
    name: DriverName,
    version: String,
    endpoint: Endpoint,
    registration_directory: Option<PathBuf>,
    kubelet_endpoint: Option<SocketPath>,
    http: Option<SocketAddr>,
    services: Vec<Type>,
    readiness: ReadinessCheck,
    metrics: Metrics,
    read: ReadFrom,
    lock_wait: Duration,
    grace: Duration,
    drain: Duration,
    blocking_limit: usize,
}

/// A plugin whose endpoint accepts connections already; they are answered as soon as it is served.
///
/// ```
/// use tokenward_driver::csi::v1::node_server::Node;
/// use tokenward_driver::{DriverName, Endpoint, Plugin};
/// use tokio_util::sync::CancellationToken;
///
/// struct Nothing;
///
/// #[tonic::async_trait]
/// impl Node for Nothing {}
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let endpoint: Endpoint = "tcp://127.0.0.1:0".parse()?;
/// let bound = Plugin::new(DriverName::parse("nothing.example")?, "1", endpoint, Nothing).bind().await?;
/// assert_ne!(bound.endpoint().to_string(), "tcp://127.0.0.1:0", "the kernel has chosen a port");
/// let stop = CancellationToken::new();
/// stop.cancel();
/// bound.serve(stop).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct BoundPlugin<N, C = NoController> {
    plugin: Plugin<N, C>,
    listening: Listening,
    http: Option<HttpListener>,
}

/// Why a plugin is not served, or not any more.
///
/// ```
/// use tokenward_driver::csi::v1::node_server::Node;
/// use tokenward_driver::{DriverName, Endpoint, Plugin, ServeError};
///
/// struct Nothing;
///
/// #[tonic::async_trait]
/// impl Node for Nothing {}
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let endpoint: Endpoint = "tcp://127.0.0.1:0".parse()?;
/// let plugin = Plugin::new(DriverName::parse("nothing.example")?, "1", endpoint, Nothing);
/// let refused = plugin.register_in("/var/lib/kubelet/plugins_registry").bind().await;
/// assert!(matches!(refused, Err(ServeError::RegistrationEndpoint { .. })));
/// # Ok(())
/// # }
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// A socket could not be made.
    #[error("the driver `{driver}` cannot listen")]
    Bind {
        /// The driver.
        driver: DriverName,
        /// Which socket, and why.
        #[source]
        source: BindError,
    },
    /// A plugin on TCP was to be registered, and no socket was named for the kubelet.
    #[error(
        "the driver `{driver}` cannot register: the kubelet wants a Unix socket, and it is served at {endpoint}"
    )]
    RegistrationEndpoint {
        /// The driver.
        driver: DriverName,
        /// Where it is served.
        endpoint: Endpoint,
    },
    /// The registration directory makes too long a socket path, or is relative.
    #[error("the driver `{driver}` cannot register in `{}`", directory.display())]
    RegistrationPath {
        /// The driver.
        driver: DriverName,
        /// The directory.
        directory: PathBuf,
        /// Why.
        #[source]
        source: SocketPathError,
    },
    /// A server failed, or calls did not end in time.
    #[error("the driver `{driver}` did not stop as it should")]
    Serve {
        /// The driver.
        driver: DriverName,
        /// Which socket, and why.
        #[source]
        source: tokenward_transport::ServeError,
    },
    /// An address could not be listened at, or not served to the end.
    #[error("the driver `{driver}` cannot serve at {address}")]
    Tcp {
        /// The driver.
        driver: DriverName,
        /// The address.
        address: SocketAddr,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl<N: Node> Plugin<N> {
    /// A plugin with this name and vendor version, whose Node service is served at `endpoint`.
    ///
    /// Shown at [`Plugin`].
    pub fn new(name: DriverName, version: impl Into<String>, endpoint: impl Into<Endpoint>, node: N) -> Self {
        let serving = Serving {
            metrics: Metrics::new(&name),
            name,
            version: version.into(),
            endpoint: endpoint.into(),
            registration_directory: None,
            kubelet_endpoint: None,
            http: None,
            services: Vec::new(),
            readiness: ReadinessCheck::default(),
            read: ReadFrom::default(),
            lock_wait: Duration::from_secs(10),
            grace: Duration::from_secs(10),
            drain: DRAIN_LIMIT,
            blocking_limit: BLOCKING_LIMIT,
        };
        Self { serving, node, controller: None }
    }

    /// Serves a Controller service too, at the same endpoint, and says so in the plugin's capabilities.
    ///
    /// ```
    /// use tokenward_driver::csi::v1::controller_server::Controller;
    /// use tokenward_driver::csi::v1::node_server::Node;
    /// use tokenward_driver::{DriverName, Endpoint, Plugin};
    ///
    /// struct Nothing;
    ///
    /// #[tonic::async_trait]
    /// impl Node for Nothing {}
    ///
    /// #[tonic::async_trait]
    /// impl Controller for Nothing {}
    ///
    /// let endpoint: Endpoint = "unix:///run/nothing/csi.sock".parse()?;
    /// let plugin = Plugin::new(DriverName::parse("nothing.example")?, "1", endpoint, Nothing);
    /// let plugin = plugin.with_controller(Nothing);
    /// # let _ = plugin;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn with_controller<C: Controller>(mut self, controller: C) -> Plugin<N, C> {
        self.serving.services.push(Type::ControllerService);
        Plugin { serving: self.serving, node: self.node, controller: Some(controller) }
    }
}

impl<N: Node, C: Controller> Plugin<N, C> {
    /// Registers with the kubelet that watches `directory`, at `<directory>/<name>-reg.sock`; the node-driver-registrar sidecar is not
    /// needed.
    ///
    /// ```
    /// use std::time::Duration;
    /// use tokenward_driver::csi::v1::node_server::Node;
    /// use tokenward_driver::{DriverName, Endpoint, Plugin, ReadFrom, Readiness, SocketPath};
    ///
    /// struct Nothing;
    ///
    /// #[tonic::async_trait]
    /// impl Node for Nothing {}
    ///
    /// let endpoint: Endpoint = "unix:///csi/csi.sock".parse()?;
    /// let plugin = Plugin::new(DriverName::parse("nothing.example")?, "1", endpoint, Nothing)
    ///     .register_in("/registration")
    ///     // What is /csi here, is this on the node.
    ///     .kubelet_endpoint(SocketPath::new("/var/lib/kubelet/plugins/nothing.example/csi.sock")?)
    ///     .http(([0, 0, 0, 0], 9808))
    ///     .ready_when(|| Readiness::Ready)
    ///     .reads(ReadFrom::SecretsThenVolumeContext)
    ///     .lock_wait(Duration::from_secs(5))
    ///     .grace(Duration::from_secs(5))
    ///     .drain_limit(Duration::from_secs(20));
    /// assert!(plugin.metrics().render().contains("tokens_found_total"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn register_in(mut self, directory: impl Into<PathBuf>) -> Self {
        self.serving.registration_directory = Some(directory.into());
        self
    }

    /// The endpoint as the kubelet sees it, where that is another path than here (a container with a host path).
    ///
    /// Shown at [`Plugin::register_in`].
    #[must_use]
    pub fn kubelet_endpoint(mut self, endpoint: SocketPath) -> Self {
        self.serving.kubelet_endpoint = Some(endpoint);
        self
    }

    /// Serves `/healthz` and `/metrics` over HTTP; the livenessprobe sidecar is not needed. Neither shows a secret.
    ///
    /// Shown at [`Plugin::register_in`].
    #[must_use]
    pub fn http(mut self, address: impl Into<SocketAddr>) -> Self {
        self.serving.http = Some(address.into());
        self
    }

    /// Asks `check` when the plugin is probed; without, it is ready as soon as it is served.
    ///
    /// Shown at [`Plugin::register_in`].
    #[must_use]
    pub fn ready_when(mut self, check: impl Fn() -> Readiness + Send + Sync + 'static) -> Self {
        self.serving.readiness = ReadinessCheck::new(check);
        self
    }

    /// Where the driver looks for tokens, for the metric `tokens_found_total`; by default as
    /// [`TokenSet::from_request`](crate::TokenSet::from_request) does.
    ///
    /// Shown at [`Plugin::register_in`].
    #[must_use]
    pub fn reads(mut self, read: ReadFrom) -> Self {
        self.serving.read = read;
        self
    }

    /// How long a call waits for another one of the same volume before it is refused with ABORTED; 10 s by default, or as long as the
    /// caller waits. (A refusal at once costs the kubelet a pause of its own before it tries again.)
    ///
    /// Shown at [`Plugin::register_in`].
    #[must_use]
    pub fn lock_wait(mut self, wait: Duration) -> Self {
        self.serving.lock_wait = wait;
        self
    }

    /// How long a handler may go on after its [`CallContext`](crate::CallContext) was cancelled; 10 s by default. After that it is dropped
    /// at the await where it stands. [`CallContext::blocking`](crate::CallContext::blocking) work is never cut.
    ///
    /// Shown at [`Plugin::register_in`].
    #[must_use]
    pub fn grace(mut self, grace: Duration) -> Self {
        self.serving.grace = grace;
        self
    }

    /// How many pieces of [`CallContext::blocking`](crate::CallContext::blocking) work go on at once; 8 by default, at least one. Further
    /// ones wait in turn, for as long as their callers do. Each has a thread of its own, which costs memory: a node that republishes 330
    /// volumes at once needs eight threads and not 256. More are for work that waits for disks or for other machines.
    ///
    /// ```
    /// use tokenward_driver::csi::v1::node_server::Node;
    /// use tokenward_driver::{DriverName, Plugin, SocketPath};
    ///
    /// struct OnDisk;
    ///
    /// #[tonic::async_trait]
    /// impl Node for OnDisk {}
    ///
    /// let endpoint = SocketPath::parse("/run/on-disk/csi.sock")?;
    /// let plugin = Plugin::new(DriverName::parse("on-disk.example")?, "1", endpoint, OnDisk).blocking_limit(32);
    /// # let _ = plugin;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn blocking_limit(mut self, limit: usize) -> Self {
        self.serving.blocking_limit = limit.clamp(1, Semaphore::MAX_PERMITS);
        self
    }

    /// How long calls may take to end after the stop; [`DRAIN_LIMIT`] by default.
    ///
    /// Shown at [`Plugin::register_in`].
    #[must_use]
    pub fn drain_limit(mut self, limit: Duration) -> Self {
        self.serving.drain = limit;
        self
    }

    /// The plugin's metrics, to add one's own or to serve them elsewhere.
    ///
    /// Shown at [`Plugin::register_in`].
    #[must_use]
    pub fn metrics(&self) -> Metrics {
        self.serving.metrics.clone()
    }

    /// Makes the sockets.
    ///
    /// Shown at [`BoundPlugin`].
    ///
    /// # Errors
    /// When one cannot be made, or a plugin on TCP is to be registered.
    pub async fn bind(self) -> Result<BoundPlugin<N, C>, ServeError> {
        let serving = &self.serving;
        if serving.registration_directory.is_some() && serving.registered_endpoint().is_none() {
            let (driver, endpoint) = (serving.name.clone(), serving.endpoint.clone());
            return Err(ServeError::RegistrationEndpoint { driver, endpoint });
        }
        let http = match serving.http {
            Some(address) => {
                let (listener, address) = listen(address, &serving.name).await?;
                Some(HttpListener { listener, address })
            }
            None => None,
        };
        let listening = Listening::at(&serving.endpoint, &serving.name).await?;
        Ok(BoundPlugin { plugin: self, listening, http })
    }

    /// [`Plugin::bind`] and [`BoundPlugin::serve`].
    ///
    /// Shown at [`Plugin`].
    ///
    /// # Errors
    /// Those of the two.
    pub async fn serve(self, cancel: CancellationToken) -> Result<(), ServeError> {
        self.bind().await?.serve(cancel).await
    }
}

impl Serving {
    fn registered_endpoint(&self) -> Option<&SocketPath> {
        match (&self.kubelet_endpoint, &self.endpoint) {
            (Some(endpoint), _) | (None, Endpoint::Unix(endpoint)) => Some(endpoint),
            (None, Endpoint::Tcp(_)) => None,
        }
    }
}

impl<N: Node, C: Controller> BoundPlugin<N, C> {
    /// Where the plugin is served; a port that was left to the kernel is known now.
    ///
    /// Shown at [`BoundPlugin`].
    #[must_use]
    pub fn endpoint(&self) -> Endpoint {
        self.listening.endpoint()
    }

    /// Where `/healthz` and `/metrics` are.
    ///
    /// ```
    /// use tokenward_driver::csi::v1::node_server::Node;
    /// use tokenward_driver::{DriverName, Endpoint, Plugin};
    ///
    /// struct Nothing;
    ///
    /// #[tonic::async_trait]
    /// impl Node for Nothing {}
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let endpoint: Endpoint = "tcp://127.0.0.1:0".parse()?;
    /// let plugin = Plugin::new(DriverName::parse("nothing.example")?, "1", endpoint, Nothing);
    /// let bound = plugin.http(([127, 0, 0, 1], 0)).bind().await?;
    /// assert!(bound.http_address().is_some_and(|address| address.port() != 0));
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn http_address(&self) -> Option<SocketAddr> {
        self.http.as_ref().map(|http| http.address)
    }

    /// Serves until `cancel`, then lets the calls that have begun end, for [`Plugin::drain_limit`], and removes the sockets. Calls that
    /// have not ended then are cancelled, and have [`Plugin::grace`].
    ///
    /// A caller that goes away cancels its call's context and does not stop it halfway: half an operation is worse than one that nobody
    /// waits for.
    ///
    /// Shown at [`BoundPlugin`].
    ///
    /// # Errors
    /// When a server fails, or calls do not end in time; the sockets are removed then too.
    pub async fn serve(self, cancel: CancellationToken) -> Result<(), ServeError> {
        let Self { plugin: Plugin { serving: plugin, node, controller }, listening, http } = self;
        let registered = plugin.registered_endpoint().cloned();
        let name = plugin.name;
        let guard = Arc::new(Guard {
            driver: name.clone(),
            read: plugin.read,
            metrics: plugin.metrics.clone(),
            locks: Locks::default(),
            lock_wait: plugin.lock_wait,
            grace: plugin.grace,
            blocking: Arc::new(Semaphore::new(plugin.blocking_limit)),
            calls: TaskTracker::new(),
            stopping: CancellationToken::new(),
        });
        let introduction = Introduction {
            name: name.clone(),
            version: plugin.version,
            services: plugin.services,
            readiness: plugin.readiness,
        };
        let mut services = Services::new()
            .with(IdentityServer::new(Guarded::new(introduction, Arc::clone(&guard))))
            .with(NodeServer::new(Guarded::new(node, Arc::clone(&guard))));
        if let Some(controller) = controller {
            services = services.with(ControllerServer::new(Guarded::new(controller, Arc::clone(&guard))));
        }
        let endpoint = listening.endpoint();
        tracing::info!(driver = %name, %endpoint, "serving");
        if let Some(http) = http {
            tokio::spawn(http.serve(endpoint, plugin.metrics, cancel.child_token()));
        }
        let serving = listening.serve(services, &name, cancel.clone(), plugin.drain);
        // The driver's socket is there first: once it is registered, the kubelet calls NodeGetInfo at once.
        let registering = async {
            let Some(directory) = &plugin.registration_directory else { return Ok(()) };
            let Some(endpoint) = &registered else { return Ok(()) };
            registration::keep(&name, endpoint, directory, &cancel).await
        };
        let served = tokio::try_join!(serving, registering);
        cancel.cancel();
        guard.calls.close();
        // Those whose callers have gone are not the server's any more.
        if tokio::time::timeout(plugin.drain, guard.calls.wait()).await.is_err() {
            guard.stopping.cancel();
            if tokio::time::timeout(plugin.grace, guard.calls.wait()).await.is_err() {
                tracing::warn!(driver = %name, calls = guard.calls.len(), "stopped while calls are still in progress");
            }
        }
        tracing::info!(driver = %name, "stopped");
        served.map(|((), ())| ())
    }
}

/// The answer of a call that a driver does not offer; methods that an author leaves out are answered so by themselves.
///
/// ```
/// use tokenward_driver::{DriverName, not_offered};
///
/// let status = not_offered(&DriverName::parse("vault.example")?, "NodeExpandVolume");
/// assert_eq!(status.code(), tonic::Code::Unimplemented);
/// # Ok::<(), tokenward_driver::DriverNameError>(())
/// ```
#[must_use]
pub fn not_offered(driver: &DriverName, method: &str) -> Status {
    Status::unimplemented(format!(
        "the driver `{driver}` does not offer {method}; its capabilities do not list it"
    ))
}
