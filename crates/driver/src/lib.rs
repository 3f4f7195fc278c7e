//! A kit for authors of CSI drivers that use service account tokens: right by default.
//!
//! What it holds: **a token of a request reaches the file that the pod reads, and nothing else**: no log, no status message, no
//! other map. An author writes the Node service of [`csi`] and hands it to a [`Plugin`], which serves it with the Identity service on a
//! Unix socket, registers it with the kubelet, logs calls without secrets, cleans status messages, and never runs two operations on one
//! volume at a time.
//!
//! ```
//! use tokenward_driver::csi::v1::NodePublishVolumeRequest;
//! use tokenward_driver::tokens::Clock;
//! use tokenward_driver::{AtomicWriter, Contents, File, FileSet, TokenSet, VolumePath};
//!
//! /// Delivers the token for `vault` as the file `vault-token` in the volume.
//! fn deliver(mut request: NodePublishVolumeRequest) -> Result<(), Box<dyn std::error::Error>> {
//!     let found = TokenSet::from_request(&mut request)?;
//!     let entry = found.for_audience("vault")?;
//!     let mut files = FileSet::new();
//!     files.insert(VolumePath::parse("vault-token")?, File::private(Contents::token(&entry.token)))?;
//!     AtomicWriter::new(&request.target_path).write(&files, Clock::system().now())?;
//!     Ok(())
//! }
//! ```
//!
//! Where to go next: [`TokenSet`] (the fallback), [`FileVolumes`] (a tmpfs at the target, and the files in it), [`Plugin`], and the sample
//! driver `tokenward-driver-token-files`, which is all of them together. The feature `testing` has a node's side for tests of drivers.

mod atomic;
mod call;
mod config;
mod endpoint;
mod file_node;
mod files;
mod guard;
mod http;
mod identity;
mod locks;
mod metrics;
mod mount;
mod name;
mod panics;
mod plugin;
mod registration;
mod repeats;
mod requests;
mod scrub;
#[cfg(feature = "testing")]
pub mod testing;
mod token_set;
mod volumes;

pub use atomic::{AtomicWriter, WriteError, Written};
pub use call::CallContext;
pub use config::DriverConfig;
pub use endpoint::{Endpoint, EndpointError};
pub use file_node::{FileDriver, FileNode};
pub use files::{Contents, File, FileSet, PathConflict, VolumePath, VolumePathError};
pub use identity::Readiness;
pub use metrics::Metrics;
pub use mount::{
    Backing, MountError, MountPolicy, Mounter, Prepared, TargetPath, TargetPathError, is_mount_point,
    mount_tmpfs,
};
pub use name::{DriverName, DriverNameError};
pub use panics::log_panics;
pub use plugin::{BoundPlugin, NoController, Plugin, ServeError, not_offered};
pub use prometheus_client;
pub use registration::keep as register;
pub use repeats::Repeats;
pub use requests::{PublishTarget, RequestError, unpublish_target};
pub use token_set::{
    KeyPresence, ReadFrom, ReadFromError, TokenSet, TokensError, required_tokens_from_publish,
    tokens_from_publish, with_causes,
};
pub use tokenward_csi as csi;
pub use tokenward_sanitize as sanitize;
pub use tokenward_tokens as tokens;
pub use tokenward_transport::SocketPath;
pub use volumes::{FileVolumes, PublishError, Published};
