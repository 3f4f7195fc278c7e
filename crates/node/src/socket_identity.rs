//! Tells a socket from a later one at the same path.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt as _;
use std::time::SystemTime;

/// Which file a socket is. Inode numbers are used again, hence the time of birth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SocketIdentity {
    device: u64,
    inode: u64,
    /// `None` where the file system does not tell.
    pub(crate) born: Option<SystemTime>,
}

impl From<&Metadata> for SocketIdentity {
    fn from(metadata: &Metadata) -> Self {
        Self { device: metadata.dev(), inode: metadata.ino(), born: metadata.created().ok() }
    }
}
