//! The kubelet's CSI half: plugin registration, tokens, placement, publish, republish.
//!
//! A [`Node`] watches the pods that are bound to it, and does for their CSI volumes what a kubelet does: it serves the
//! plugin registry directory, fetches service account tokens as the CSIDriver's `tokenRequests` want them, places them
//! in `volume_context` or `secrets` (KEP-5538), stages, publishes, republishes and unpublishes, and reports pods. It runs
//! no containers.
//!
//! The one invariant: **what happens next to a volume is decided in one place, purely** ([`planner`]); everything else
//! carries out decisions and reports back. The cluster is seen through [`Cluster`] alone.
//!
//! ```no_run
//! use std::sync::Arc;
//!
//! use tokenward_node::{Cluster, Config, Node, NodeError};
//! use tokio_util::sync::CancellationToken;
//!
//! async fn serve(cluster: Arc<impl Cluster>, stop: CancellationToken) -> Result<(), NodeError> {
//!     let mut config = Config::new("node-1", "/var/lib/kubelet");
//!     config.unpublish_on_shutdown = true;
//!     Node::run(config, cluster, stop).await
//! }
//! ```
//!
//! What a kubelet does for CSI volumes and this does not, as it runs no containers: expanding volumes, their statistics,
//! and for block devices the bind mount and the loop device that keep them from being taken away from a container.
//!
//! Start at [`planner::Planner`] for what is decided, [`request`] for what drivers are sent, [`mounter::Mounter`] for the
//! order of things, [`token_manager`] for where tokens come from and when they are fetched anew, [`checks`] for what nobody tells
//! the node of, [`registry`] for how drivers are found, and [`status`] and [`metrics`] for what people can see.

#[cfg(test)]
extern crate self as tokenward_node;

pub mod checks;
pub mod cluster;
pub mod config;
#[cfg(test)]
mod crash_tests;
pub mod csi_drivers;
pub mod dice;
pub mod drivers;
pub mod failure;
mod fault;
mod heartbeat;
pub mod metrics;
mod mount_dir;
mod mount_table;
pub mod mounter;
mod node;
pub mod node_objects;
pub mod objects;
pub mod ownership;
pub mod paths;
pub mod planner;
pub mod pods;
pub mod reconstruction;
pub mod registry;
pub mod request;
pub mod scrub;
pub mod selinux;
mod socket_identity;
pub mod status;
pub mod token_manager;
pub mod unmounted;
pub mod vol_data;
pub mod volume;

pub use cluster::{Cluster, ClusterError, ErrorReason, GrantedToken, PodEvent, PodReference, TokenRequest};
pub use cluster::{Watch, WatchEvent};
pub use config::{Config, Delivery, Intervals, MountFailure, Observation, PodReporting};
pub use dice::Dice;
pub use node::{Node, NodeError};
pub use planner::{Pace, Republish};
