//! A CSI plugin: the Identity service and an author's Node service on a Unix socket, registered with the kubelet.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use tokenward_csi::v1::identity_server::{Identity, IdentityServer};
use tokenward_csi::v1::node_server::{Node, NodeServer};
use tokenward_csi::v1::{
    GetPluginCapabilitiesRequest, GetPluginCapabilitiesResponse, GetPluginInfoRequest, GetPluginInfoResponse,
    ProbeRequest, ProbeResponse,
};
use tokenward_transport::{BindError, DRAIN_LIMIT, Services, SocketPath, SocketPathError, bind, serve};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tonic::{Request, Response, Status};

use crate::guard::Guarded;
use crate::registration;

/// The name of a driver: at most 63 characters of `[a-zA-Z0-9.-]` with a letter or digit at both ends (CSI specification,
/// GetPluginInfo); `_` is taken too, as upstream's validation does.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct DriverName(String);

/// A text that is not a [`DriverName`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("wanted a driver name: at most 63 letters, digits, `-`, `_` and `.`, a letter or digit at both ends")]
pub struct DriverNameError;

impl DriverName {
    /// Checks a name.
    ///
    /// # Errors
    /// When the name breaks the rule above.
    pub fn parse(name: impl Into<String>) -> Result<Self, DriverNameError> {
        let name = name.into();
        let at_ends = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
        let bytes = name.as_bytes();
        let inside = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.".contains(byte);
        if bytes.len() <= 63 && at_ends(bytes.first()) && at_ends(bytes.last()) && bytes.iter().all(inside) {
            Ok(Self(name))
        } else {
            Err(DriverNameError)
        }
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for DriverName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A plugin, ready to be served.
#[derive(Debug)]
pub struct Plugin<N> {
    name: DriverName,
    version: String,
    endpoint: SocketPath,
    registration_directory: Option<PathBuf>,
    kubelet_endpoint: Option<SocketPath>,
    lock_wait: Duration,
    node: N,
}

/// Why a plugin stopped being served.
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
}

impl<N: Node> Plugin<N> {
    /// A plugin with this name and vendor version, whose Node service is served at `endpoint`.
    pub fn new(name: DriverName, version: impl Into<String>, endpoint: SocketPath, node: N) -> Self {
        Self {
            name,
            version: version.into(),
            endpoint,
            registration_directory: None,
            kubelet_endpoint: None,
            lock_wait: Duration::from_secs(10),
            node,
        }
    }

    /// Registers with the kubelet that watches `directory`, at `<directory>/<name>-reg.sock`.
    #[must_use]
    pub fn register_in(mut self, directory: impl Into<PathBuf>) -> Self {
        self.registration_directory = Some(directory.into());
        self
    }

    /// The endpoint as the kubelet sees it, where that is another path than here (a container with a host path).
    #[must_use]
    pub fn kubelet_endpoint(mut self, endpoint: SocketPath) -> Self {
        self.kubelet_endpoint = Some(endpoint);
        self
    }

    /// How long a call waits for another one of the same volume before it is refused with ABORTED; 10 s by default.
    #[must_use]
    pub fn lock_wait(mut self, wait: Duration) -> Self {
        self.lock_wait = wait;
        self
    }

    /// Serves until `cancel`, then lets the calls that have begun end (for [`DRAIN_LIMIT`]), and removes the sockets.
    ///
    /// A call that has begun runs to its end also when its caller goes away: half an operation is worse than one that nobody waits for.
    ///
    /// # Errors
    /// When a socket cannot be made, a server fails, or calls do not end in time; the sockets are removed then too.
    pub async fn serve(self, cancel: CancellationToken) -> Result<(), ServeError> {
        let name = self.name;
        let calls = TaskTracker::new();
        let socket =
            bind(&self.endpoint).await.map_err(|source| ServeError::Bind { driver: name.clone(), source })?;
        let services = Services::new()
            .with(IdentityServer::new(Introduction { name: name.clone(), version: self.version }))
            .with(NodeServer::new(Guarded::new(self.node, self.lock_wait, calls.clone())));
        tracing::info!(driver = %name, endpoint = %self.endpoint, "serving");
        let serving = async {
            let served = serve(socket, services, cancel.clone()).await;
            served.map_err(|source| ServeError::Serve { driver: name.clone(), source })
        };
        // The driver's socket is there first: once it is registered, the kubelet calls NodeGetInfo at once.
        let registering = async {
            let Some(directory) = &self.registration_directory else { return Ok(()) };
            let endpoint = self.kubelet_endpoint.as_ref().unwrap_or(&self.endpoint);
            registration::keep(&name, endpoint, directory, &cancel).await
        };
        let served = tokio::try_join!(serving, registering);
        calls.close();
        if tokio::time::timeout(DRAIN_LIMIT, calls.wait()).await.is_err() {
            tracing::warn!(driver = %name, calls = calls.len(), "stopped while calls are still in progress");
        }
        tracing::info!(driver = %name, "stopped");
        served.map(|((), ())| ())
    }
}

/// The answer of a call that a driver does not offer.
#[must_use]
pub fn not_offered(driver: &DriverName, method: &str) -> Status {
    Status::unimplemented(format!(
        "the driver `{driver}` does not offer {method}; its capabilities do not list it"
    ))
}

#[derive(Debug)]
struct Introduction {
    name: DriverName,
    version: String,
}

#[tonic::async_trait]
impl Identity for Introduction {
    async fn get_plugin_info(
        &self,
        _: Request<GetPluginInfoRequest>,
    ) -> Result<Response<GetPluginInfoResponse>, Status> {
        tracing::debug!(method = "GetPluginInfo", "served");
        Ok(Response::new(GetPluginInfoResponse {
            name: self.name.as_str().to_owned(),
            vendor_version: self.version.clone(),
            ..Default::default()
        }))
    }

    async fn get_plugin_capabilities(
        &self,
        _: Request<GetPluginCapabilitiesRequest>,
    ) -> Result<Response<GetPluginCapabilitiesResponse>, Status> {
        tracing::debug!(method = "GetPluginCapabilities", "served");
        // A plugin of this kit has no controller service.
        Ok(Response::new(GetPluginCapabilitiesResponse::default()))
    }

    async fn probe(&self, _: Request<ProbeRequest>) -> Result<Response<ProbeResponse>, Status> {
        tracing::debug!(method = "Probe", "served");
        Ok(Response::new(ProbeResponse { ready: Some(true) }))
    }
}
