//! What can go wrong, one type for each kind of operation.

use std::fmt;
use std::sync::Arc;

use crate::{Entry, Key, Revision};

/// A text that is no [`Revision`]. Does not repeat the text, which may be anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RevisionError {
    /// Something other than decimal digits.
    #[error("wanted a revision in decimal digits, found {found_bytes} bytes that are not one")]
    NotDecimal {
        /// Length of the text in bytes.
        found_bytes: usize,
    },
    /// More than 64 bits.
    #[error("wanted a revision of at most 64 bits, found {found_digits} digits")]
    TooLarge {
        /// Length of the text in digits.
        found_digits: usize,
    },
}

/// Parts that make no [`Key`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// A part that must not be empty is.
    #[error("wanted a {part} in the key, found an empty one")]
    Empty {
        /// Which part.
        part: &'static str,
    },
    /// A part with a character that separates parts.
    #[error("wanted a {part} without `/` and NUL in the key, found one at byte {at}")]
    Separator {
        /// Which part.
        part: &'static str,
        /// Offset of the character in bytes.
        at: usize,
    },
}

/// The history no longer reaches back to the wanted revision: list anew. The API's `410 Expired`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("wanted the state at revision {wanted}, found that history begins at {oldest}: list anew")]
pub struct Compacted {
    /// The revision that was asked for, or the last one that a lagging watcher had got to.
    pub wanted: Revision,
    /// The oldest revision that can still be listed or watched from.
    pub oldest: Revision,
}

/// Why a listing or a watch at a certain revision is not possible.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// The revision is too old.
    #[error(transparent)]
    Compacted(#[from] Compacted),
    /// The revision has not been reached yet.
    #[error("wanted the state at revision {wanted}, found the store only at {current}: try again later")]
    Future {
        /// The revision that was asked for.
        wanted: Revision,
        /// The newest revision.
        current: Revision,
    },
}

/// Why a write did not happen.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum WriteError<I> {
    /// Creating a key that is taken, by this entry.
    #[error("wanted {} to be free, found it taken since revision {}", .0.key, .0.created)]
    Exists(Arc<Entry<I>>),
    /// The entry has been written since the caller read it: read it again and decide anew.
    #[error("wanted {} at revision {expected}, found it at {}: read it again", .current.key, .current.revision)]
    Conflict {
        /// The revision that the caller had read.
        expected: Revision,
        /// The entry as it is.
        current: Arc<Entry<I>>,
    },
    /// Updating or deleting a key that is not there.
    #[error("wanted {key} to change it, found nothing there")]
    Missing {
        /// The key.
        key: Key,
    },
    /// The write could not be kept.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

/// Why nothing can be written just now. Names no files and hosts: clients read it.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Unavailable {
    /// The disk refused. Nobody sees the write; only if the machine goes down before the next one may it turn up
    /// after all.
    #[error("wanted to write to the disk, found: {0}; the object is as it was, try again")]
    Disk(Arc<std::io::Error>),
    /// The store has been closed.
    #[error("wanted to write, found the store closed: the server is stopping")]
    Closed,
    /// No etcd server can be reached. If the connection broke in the middle, the write may have happened.
    #[error("wanted to write to etcd, found no server that can be reached; try again")]
    Unreachable,
    /// etcd did not answer in time, or what it has written did not come back in time: the write may have happened.
    #[error("wanted an answer of etcd, found none in time; see whether it has happened, and try again")]
    TimedOut,
    /// etcd does not want it.
    #[error("wanted to write to etcd, found it refused: {0}")]
    Refused(String),
}

impl<I> fmt::Debug for WriteError<I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exists(current) => f.debug_tuple("Exists").field(current).finish(),
            Self::Conflict { expected, current } => {
                f.debug_struct("Conflict").field("expected", expected).field("current", current).finish()
            }
            Self::Missing { key } => f.debug_struct("Missing").field("key", key).finish(),
            Self::Unavailable(why) => f.debug_tuple("Unavailable").field(why).finish(),
        }
    }
}
