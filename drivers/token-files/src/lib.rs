//! The sample CSI driver: each audience's service account token as a file in the pod's volume.
//!
//! A volume of this driver holds one file for each audience of the CSIDriver's `tokenRequests`, named by [`file_name`], whose contents
//! are the bare token. The files lie in a tmpfs at the target path (mode 0700, files 0600) and are replaced all at once when the kubelet
//! republishes: a reader sees old or new tokens, never half of one and never none. The only state is the target itself, so a driver that
//! was restarted, or killed, goes on where it was. A process that may not mount delivers into a private directory instead.
//!
//! ```no_run
//! use tokenward_driver::{DriverConfig, DriverName, SocketPath};
//! use tokenward_driver_token_files::{Config, serve};
//! use tokio_util::sync::CancellationToken;
//!
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! let name = DriverName::parse("token-files.tokenward.dev")?;
//! let endpoint = SocketPath::parse("/var/lib/kubelet/plugins/token-files.tokenward.dev/csi.sock")?;
//! let driver = DriverConfig::new(name, endpoint, "node-1").register_in("/var/lib/kubelet/plugins_registry");
//! serve(Config::new(driver), CancellationToken::new()).await?;
//! # Ok(())
//! # }
//! ```
//!
//! A pod whose containers do not run as the driver's user needs an `fsGroup`: it comes as VOLUME_MOUNT_GROUP, and the group may read.
//!
//! What it does not do: staging, expansion, statistics.

mod config;
mod name;
mod publisher;

pub use config::{Config, Observation, Observer};
pub use name::file_name;
pub use tokenward_driver::{
    DriverConfig, DriverName, MountPolicy, ReadFrom, ServeError as Error, SocketPath, log_panics,
};

use tokenward_driver::FileNode;
use tokio_util::sync::CancellationToken;

/// Serves the driver until `cancel`; then lets the calls that have begun end and removes the sockets. Volumes stay: the pods that use them
/// go on, and the next start of the driver finds them.
///
/// # Errors
/// When a socket cannot be made, or a server fails.
pub async fn serve(config: Config, cancel: CancellationToken) -> Result<(), Error> {
    let driver = config.driver.clone();
    let node = FileNode::new(&driver.node_id, publisher::TokenFiles::new(config));
    driver.plugin(env!("CARGO_PKG_VERSION"), node).serve(cancel).await
}
