//! What a driver is told at its start, and what it tells about its requests.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use tokenward_driver::tokens::{Audience, Clock, Placement};
use tokenward_driver::{DriverName, KeyPresence, MountPolicy, ReadFrom, SocketPath};

/// Room of a volume: far more than the tokens of any CSIDriver take, twice over.
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
    /// Where the driver looks for tokens; [`ReadFrom::VolumeContextOnly`] makes it an old driver.
    pub read: ReadFrom,
    /// Whether volumes are tmpfs; by default where the process may mount.
    pub mount: MountPolicy,
    /// The size of the tmpfs of each volume, in bytes; 4 MiB by default. Holds three versions of the tokens at most.
    pub volume_size: u64,
    /// Where time comes from.
    pub clock: Clock,
    /// Told of each publish request.
    pub observe: Option<Observer>,
}

impl Config {
    /// A driver that reads from both places, mounts where it may, and does not register.
    pub fn new(driver_name: DriverName, endpoint: SocketPath, node_id: impl Into<String>) -> Self {
        Self {
            driver_name,
            endpoint,
            registration_directory: None,
            http: None,
            node_id: node_id.into(),
            read: ReadFrom::default(),
            mount: MountPolicy::default(),
            volume_size: VOLUME_SIZE,
            clock: Clock::system(),
            observe: None,
        }
    }

    /// Registers with the kubelet that watches `directory`.
    #[must_use]
    pub fn register_in(mut self, directory: impl Into<PathBuf>) -> Self {
        self.registration_directory = Some(directory.into());
        self
    }

    /// Serves `/healthz` and `/metrics` at `address`.
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

    /// Tells `observer` of each publish request.
    #[must_use]
    pub fn observe(mut self, observer: impl Fn(&Observation) + Send + Sync + 'static) -> Self {
        self.observe = Some(Observer(Arc::new(observer)));
        self
    }
}

/// Somebody who is told of each publish request.
#[derive(Clone)]
pub struct Observer(Arc<dyn Fn(&Observation) + Send + Sync>);

impl Observer {
    pub(crate) fn tell(&self, observation: &Observation) {
        (self.0)(observation);
    }
}

impl fmt::Debug for Observer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Observer")
    }
}

/// A publish request as it came off the wire; no token and no other value of its maps.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Observation {
    /// The volume.
    pub volume_id: String,
    /// Where it is to appear.
    pub target_path: String,
    /// The maps that held the key before the driver took it.
    pub held_in: KeyPresence,
    /// The map that the driver read, when it found usable tokens.
    pub read: Option<Placement>,
    /// The audiences of these tokens, sorted.
    pub audiences: Vec<Audience>,
}
