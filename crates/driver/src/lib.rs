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
//! use tokenward_driver::{AtomicWriter, Contents, File, FileSet, ReadFrom, VolumePath, required_tokens_from_publish};
//!
//! /// Delivers the token for `vault` as the file `vault-token` in the volume.
//! fn deliver(mut request: NodePublishVolumeRequest) -> Result<(), Box<dyn std::error::Error>> {
//!     let found = required_tokens_from_publish(&mut request, ReadFrom::SecretsThenVolumeContext)?;
//!     let entry = found.for_audience("vault")?;
//!     let mut files = FileSet::new();
//!     files.insert(VolumePath::parse("vault-token")?, File::private(Contents::token(&entry.token)))?;
//!     AtomicWriter::new(&request.target_path).write(&files, Clock::system().now())?;
//!     Ok(())
//! }
//! ```
//!
//! Where to go next: [`tokens_from_publish`] (the fallback), [`Mounter`] (a tmpfs at the target), [`Plugin`], and the sample driver
//! `tokenward-driver-token-files`, which is all of them together.

mod atomic;
mod files;
mod guard;
mod locks;
mod mount;
mod plugin;
mod registration;
mod request_tokens;
mod scrub;

pub use atomic::{AtomicWriter, WriteError, Written};
pub use files::{Contents, File, FileSet, PathConflict, VolumePath, VolumePathError};
pub use mount::{
    Backing, MountError, MountPolicy, Mounter, Prepared, TargetPath, TargetPathError, is_mount_point,
    mount_tmpfs,
};
pub use plugin::{DriverName, DriverNameError, Plugin, ServeError, not_offered};
pub use registration::keep as register;
pub use request_tokens::{
    KeyPresence, PublishTokens, ReadFrom, ReadFromError, TokensError, required_tokens_from_publish,
    tokens_from_publish, with_causes,
};
pub use tokenward_csi as csi;
pub use tokenward_sanitize as sanitize;
pub use tokenward_tokens as tokens;
pub use tokenward_transport::SocketPath;
