//! What every driver of files is told at its start: the part of a driver's configuration that is the same for all of them.

use std::net::SocketAddr;
use std::path::PathBuf;

use tokenward_csi::v1::node_server::Node;
use tokenward_tokens::Clock;

use crate::endpoint::Endpoint;
use crate::mount::MountPolicy;
use crate::name::DriverName;
use crate::plugin::{BLOCKING_LIMIT, Plugin};
use crate::token_set::ReadFrom;
use crate::volumes::FileVolumes;

/// Room of a volume: far more than the tokens of any CSIDriver take, and credentials of a few kilobytes; three versions of them at most.
const VOLUME_SIZE: u64 = 4 << 20;

/// What a driver is told at its start, whatever it delivers.
///
/// A driver with options of its own keeps this beside them; [`DriverConfig::plugin`] and [`DriverConfig::volumes`] do what it says.
///
/// ```
/// use tokenward_driver::csi::v1::node_server::Node;
/// use tokenward_driver::{DriverConfig, DriverName, FileVolumes, MountPolicy, ReadFrom, SocketPath};
///
/// struct Vault {
///     volumes: FileVolumes,
/// }
///
/// #[tonic::async_trait]
/// impl Node for Vault {}
///
/// let endpoint = SocketPath::parse("/var/lib/kubelet/plugins/vault.example/csi.sock")?;
/// let config = DriverConfig::new(DriverName::parse("vault.example")?, endpoint, "node-1")
///     .register_in("/var/lib/kubelet/plugins_registry")
///     .http(([0, 0, 0, 0], 9808))
///     .read(ReadFrom::SecretsThenVolumeContext)
///     .mount(MountPolicy::Never);
/// let plugin = config.plugin(env!("CARGO_PKG_VERSION"), Vault { volumes: config.volumes() });
/// # let _ = plugin;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct DriverConfig {
    /// The name, as that of the CSIDriver object.
    pub name: DriverName,
    /// Where the driver serves.
    pub endpoint: Endpoint,
    /// The kubelet's registration directory; `None` for a caller that knows the endpoint.
    pub registration_directory: Option<PathBuf>,
    /// Where `/healthz` and `/metrics` are served; `None` for nowhere.
    pub http: Option<SocketAddr>,
    /// The answer of NodeGetInfo; not empty, or the kubelet refuses the driver.
    pub node_id: String,
    /// Where the driver looks for tokens; [`ReadFrom::VolumeContextOnly`] makes it an old driver.
    pub read: ReadFrom,
    /// Whether volumes are tmpfs; by default where the process may mount.
    pub mount: MountPolicy,
    /// The size of the tmpfs of each volume, in bytes; 4 MiB by default. Holds three versions of the files at most.
    pub volume_size: u64,
    /// How many volumes are written at once: [`Plugin::blocking_limit`].
    pub blocking_limit: usize,
    /// Where time comes from.
    pub clock: Clock,
}

impl DriverConfig {
    /// A driver that reads from both places, mounts where it may, and does not register.
    ///
    /// Shown at [`DriverConfig`].
    pub fn new(name: DriverName, endpoint: impl Into<Endpoint>, node_id: impl Into<String>) -> Self {
        Self {
            name,
            endpoint: endpoint.into(),
            registration_directory: None,
            http: None,
            node_id: node_id.into(),
            read: ReadFrom::default(),
            mount: MountPolicy::default(),
            volume_size: VOLUME_SIZE,
            blocking_limit: BLOCKING_LIMIT,
            clock: Clock::system(),
        }
    }

    /// Registers with the kubelet that watches `directory`.
    ///
    /// Shown at [`DriverConfig`].
    #[must_use]
    pub fn register_in(mut self, directory: impl Into<PathBuf>) -> Self {
        self.registration_directory = Some(directory.into());
        self
    }

    /// Serves `/healthz` and `/metrics` at `address`.
    ///
    /// Shown at [`DriverConfig`].
    #[must_use]
    pub fn http(mut self, address: impl Into<SocketAddr>) -> Self {
        self.http = Some(address.into());
        self
    }

    /// Looks for tokens as `read` says.
    ///
    /// Shown at [`DriverConfig`].
    #[must_use]
    pub fn read(mut self, read: ReadFrom) -> Self {
        self.read = read;
        self
    }

    /// Mounts as `policy` says.
    ///
    /// Shown at [`DriverConfig`].
    #[must_use]
    pub fn mount(mut self, policy: MountPolicy) -> Self {
        self.mount = policy;
        self
    }

    /// The volumes of this driver.
    ///
    /// Shown at [`DriverConfig`].
    #[must_use]
    pub fn volumes(&self) -> FileVolumes {
        FileVolumes::new(self.volume_size, self.mount)
    }

    /// The plugin with this vendor version and Node service, set up as configured.
    ///
    /// Shown at [`DriverConfig`].
    #[must_use]
    pub fn plugin<N: Node>(&self, version: impl Into<String>, node: N) -> Plugin<N> {
        let mut plugin = Plugin::new(self.name.clone(), version, self.endpoint.clone(), node)
            .reads(self.read)
            .blocking_limit(self.blocking_limit);
        if let Some(directory) = &self.registration_directory {
            plugin = plugin.register_in(directory);
        }
        if let Some(address) = self.http {
            plugin = plugin.http(address);
        }
        plugin
    }
}
