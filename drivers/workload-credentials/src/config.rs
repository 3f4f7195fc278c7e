//! What a driver is told at its start.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokenward_driver::tokens::Clock;
use tokenward_driver::{DriverName, MountPolicy, ReadFrom, SocketPath};
use tokenward_exchange::Retries;

use crate::events::{Events, NoEvents};
use crate::{Configuration, Metrics};

/// Room of a volume: tokens and credentials of a few kilobytes, three versions of them at most.
const VOLUME_SIZE: u64 = 4 << 20;

/// The configuration of one driver.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Config {
    /// The name, as that of the CSIDriver object.
    pub driver_name: DriverName,
    /// Where the driver serves.
    pub endpoint: SocketPath,
    /// The kubelet's registration directory; `None` for a caller that knows the endpoint.
    pub registration_directory: Option<PathBuf>,
    /// Where `/healthz` and `/metrics` are served; `None` for nowhere.
    pub http: Option<SocketAddr>,
    /// The answer of NodeGetInfo; not empty, or the kubelet refuses the driver.
    pub node_id: String,
    /// The exchanges that volumes may name.
    pub configuration: Configuration,
    /// Where the records of volumes are kept, without anything secret; `volumes` beside the socket by default.
    pub record_directory: PathBuf,
    /// Where the driver looks for tokens.
    pub read: ReadFrom,
    /// Whether volumes are tmpfs; by default where the process may mount.
    pub mount: MountPolicy,
    /// The size of the tmpfs of each volume, in bytes; 4 MiB by default.
    pub volume_size: u64,
    /// How often an exchange is tried.
    pub retries: Retries,
    /// Where time comes from.
    pub clock: Clock,
    /// Who tells pods' owners of what happens; nobody by default.
    pub events: Arc<dyn Events>,
    /// What is counted.
    pub metrics: Metrics,
}

impl Config {
    /// A driver that reads from both places, mounts where it may, and does not register.
    pub fn new(
        driver_name: DriverName,
        endpoint: SocketPath,
        node_id: impl Into<String>,
        configuration: Configuration,
    ) -> Self {
        let record_directory = endpoint.as_path().parent().unwrap_or(Path::new("/")).join("volumes");
        Self {
            driver_name,
            endpoint,
            registration_directory: None,
            http: None,
            node_id: node_id.into(),
            configuration,
            record_directory,
            read: ReadFrom::default(),
            mount: MountPolicy::default(),
            volume_size: VOLUME_SIZE,
            retries: Retries::default(),
            clock: Clock::system(),
            events: Arc::new(NoEvents),
            metrics: Metrics::default(),
        }
    }

    /// Registers with the kubelet that watches `directory`.
    #[must_use]
    pub fn register_in(mut self, directory: impl Into<PathBuf>) -> Self {
        self.registration_directory = Some(directory.into());
        self
    }

    /// Serves `/healthz` and `/metrics` at this address.
    #[must_use]
    pub fn http(mut self, address: SocketAddr) -> Self {
        self.http = Some(address);
        self
    }

    /// Looks for tokens as `read` says.
    #[must_use]
    pub fn read(mut self, read: ReadFrom) -> Self {
        self.read = read;
        self
    }

    /// Mounts as `policy` says.
    #[must_use]
    pub fn mount(mut self, policy: MountPolicy) -> Self {
        self.mount = policy;
        self
    }

    /// Tells `events` of what happens to pods' credentials.
    #[must_use]
    pub fn events(mut self, events: Arc<dyn Events>) -> Self {
        self.events = events;
        self
    }
}
