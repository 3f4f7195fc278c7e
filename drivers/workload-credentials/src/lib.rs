//! The reference CSI driver: a pod's service account tokens, and the credentials that they are exchanged for, as files in its volume.
//!
//! A volume's attributes say which tokens become files, and which exchange of the driver's configuration is to be done with one of them,
//! into which file. The invariants: **a token goes to the servers that the configuration names and to nobody else**, whatever the author of a
//! pod writes; **the credentials of a pod come from the pod's own token or not at all**, never from an identity of the node or the driver.
//!
//! Credentials are renewed when the kubelet republishes, once four fifths of their life are over. When the exchange fails, the last good
//! ones stay for as long as they are valid, and a log line, a metric and an Event say so; after that a publish fails with UNAVAILABLE, and
//! the message names both causes. The files are the state: a record beside the driver's socket says when they end and which bytes they
//! were, and holds nothing secret; so a driver that was restarted, or killed, goes on where it was.
//!
//! ```no_run
//! use tokenward_driver::{DriverConfig, DriverName, SocketPath};
//! use tokenward_driver_workload_credentials::{Config, Configuration, serve};
//! use tokio_util::sync::CancellationToken;
//!
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! let configuration = Configuration::load("/etc/workload-credentials/config.yaml".as_ref())?;
//! let name = DriverName::parse("workload-credentials.tokenward.dev")?;
//! let endpoint = SocketPath::parse("/var/lib/kubelet/plugins/workload-credentials.tokenward.dev/csi.sock")?;
//! let driver = DriverConfig::new(name, endpoint, "node-1").register_in("/var/lib/kubelet/plugins_registry");
//! serve(Config::new(driver, configuration), CancellationToken::new()).await?;
//! # Ok(())
//! # }
//! ```
//!
//! Where to read on: `attributes` (what a pod may ask for), `renewal` (when to renew, and what to do when that fails), `publish` (the whole
//! of it).

mod attributes;
mod config;
mod configuration;
mod events;
mod metrics;
mod pod;
mod publish;
mod record;
mod reload;
mod render;
mod renewal;
mod request;

pub use config::Config;
pub use configuration::{Configuration, ConfigurationError};
pub use events::{Event, EventKind, Events};
pub use metrics::Metrics;
pub use reload::{ConfigurationFile, CurrentConfiguration, Reloaded};
pub use tokenward_driver::{
    DriverConfig, DriverName, MountPolicy, ReadFrom, ServeError as Error, SocketPath,
};
pub use tokenward_exchange::{Proxies, ProxyError};

use tokenward_driver::FileNode;
use tokio_util::sync::CancellationToken;

use crate::publish::Publisher;

/// Serves the driver until `cancel`; then lets the calls that have begun end and removes the sockets. Volumes stay: the pods that use them
/// go on, and the next start of the driver finds them.
///
/// # Errors
/// When a socket cannot be made, or a server fails.
pub async fn serve(config: Config, cancel: CancellationToken) -> Result<(), Error> {
    let (driver, metrics) = (config.driver.clone(), config.metrics.clone());
    let publisher = Publisher::new(config);
    // Before anything is served: few and small files.
    publisher.forget_volumes_that_are_gone();
    let plugin = driver.plugin(env!("CARGO_PKG_VERSION"), FileNode::new(&driver.node_id, publisher));
    metrics.register_in(&plugin.metrics());
    plugin.serve(cancel).await
}
