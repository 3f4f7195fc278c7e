//! The store on one machine's disk: a log of writes, snapshots that shorten it, and what a start makes of them.

mod appender;
mod directory;
mod disk;
#[cfg(test)]
mod faults;
mod frame;
mod queue;
mod reader;
mod record;
mod recover;
mod replay;
#[cfg(test)]
mod scripts;
mod snapshot;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::sync::oneshot;

use self::directory::Directory;
pub(crate) use self::disk::{Disk, LocalDisk};
pub use self::frame::HeaderError;
use self::queue::{Closed, Queue, Receiver};
use self::recover::recover;
use self::writer::{Answer, Message, Writer};
use crate::change::Change;
use crate::memory::Memory;
use crate::{HistoryLimits, Key, Revision, Unavailable};

/// How a log is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogOptions {
    /// How much history each collection keeps in memory.
    pub history: HistoryLimits,
    /// A snapshot is taken when the log has grown by this many bytes since the last, or by as many as that one has.
    pub compact_after_bytes: u64,
}

impl Default for LogOptions {
    /// 64 MiB of log.
    fn default() -> Self {
        Self { history: HistoryLimits::default(), compact_after_bytes: 64 << 20 }
    }
}

/// What was found when a store was opened.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub struct Recovery {
    /// The newest revision.
    pub revision: Revision,
    /// The revision of the snapshot that was loaded, if there was one. Older states cannot be told any more.
    pub snapshot: Option<Revision>,
    /// How many writes were replayed from the log behind it.
    pub replayed: u64,
    /// A last record that had not been written whole, and so had never been acknowledged, was cut off.
    pub cut: Option<Cut>,
}

/// What was cut off the end of a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cut {
    /// The file.
    pub file: PathBuf,
    /// Where it ends now.
    pub offset: u64,
    /// How many bytes went.
    pub bytes: u64,
}

/// Why a data directory cannot be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The directory cannot be made, read or written.
    #[error("cannot use `{}` as a data directory", .path.display())]
    Directory {
        /// The directory.
        path: PathBuf,
        /// The system's answer.
        #[source]
        source: std::io::Error,
    },
    /// Something else stands there.
    #[error("`{}` is no directory; name another place for the data", .path.display())]
    NotADirectory {
        /// What was named.
        path: PathBuf,
    },
    /// The directory holds something, but no data of ours.
    #[error("`{}` holds `{}`, which is not tokenward's; name an empty directory, or one that does not exist yet", .path.display(), .found.display())]
    Foreign {
        /// The directory.
        path: PathBuf,
        /// Something in it.
        found: PathBuf,
    },
    /// The directory is somebody else's, who could read what is in it.
    #[error("`{}` belongs to another user; name a directory of your own", .path.display())]
    Exposed {
        /// The directory.
        path: PathBuf,
    },
    /// Another process keeps its data there.
    #[error("`{}` is in use by {}; stop that one, or name another directory", .path.display(), of_process(.pid.as_ref()))]
    InUse {
        /// The directory.
        path: PathBuf,
        /// The process, as it has written itself down.
        pid: Option<u32>,
    },
    /// A file cannot be read, cut or removed.
    #[error("cannot read `{}`", .file.display())]
    Read {
        /// The file.
        file: PathBuf,
        /// The system's answer.
        #[source]
        source: std::io::Error,
    },
    /// A file does not begin as it should.
    #[error("`{}` cannot be used: {source}; put back the file as it was, or use the release that wrote it", .file.display())]
    Header {
        /// The file.
        file: PathBuf,
        /// What is wrong.
        source: HeaderError,
    },
    /// A part of the log that had been durable is damaged.
    #[error("`{}` is damaged at byte {offset}, and writes that were acknowledged come after it; put the directory back from a copy. \
             To give up everything after revision {revision} instead: truncate the file to {offset} bytes and remove the `log-` files with higher numbers", .file.display())]
    Damaged {
        /// The file.
        file: PathBuf,
        /// Where the damage begins.
        offset: u64,
        /// What comes before it is whole up to this revision.
        revision: Revision,
    },
    /// A snapshot is damaged.
    #[error("`{}` is damaged at byte {offset}; put the directory back from a copy", .file.display())]
    SnapshotDamaged {
        /// The file.
        file: PathBuf,
        /// Where the damage begins.
        offset: u64,
    },
    /// A part of the log is missing.
    #[error("`{}` does not go on where the files before it end: wanted revision {wanted}, found {found}; put back the file that is missing between them", .file.display())]
    Gap {
        /// The file behind the gap.
        file: PathBuf,
        /// Where it should go on.
        wanted: Revision,
        /// Where it goes on.
        found: Revision,
    },
    /// Sound bytes that no release of this format has written.
    #[error("`{}` has at byte {offset} {problem}; put the directory back from a copy", .file.display())]
    Nonsense {
        /// The file.
        file: PathBuf,
        /// Where.
        offset: u64,
        /// What is there.
        problem: String,
    },
    /// No thread could be started.
    #[error("cannot start the thread that writes the log")]
    Thread(#[source] std::io::Error),
}

fn of_process(pid: Option<&u32>) -> String {
    pid.map_or_else(|| "another process".to_owned(), |pid| format!("process {pid}"))
}

/// The way to the thread that writes.
pub(crate) struct Log<I> {
    queue: Arc<Queue<I>>,
}

impl<I> Drop for Log<I> {
    fn drop(&mut self) {
        self.queue.abandon();
    }
}

impl<I: Clone + Send + Sync + 'static> Log<I> {
    pub(crate) fn open(
        disk: Arc<dyn Disk>,
        path: &Path,
        options: LogOptions,
        indexer: impl Fn(&Key, &[u8]) -> I + Send + Sync + 'static,
    ) -> Result<(Self, Arc<Memory<I>>, Recovery), OpenError> {
        let directory = Arc::new(Directory::open(path)?);
        let recovered = recover(&directory, &*disk, options.history, indexer)?;
        let files = recovered.files();
        let memory = Arc::new(recovered.memory);
        let recovery = Recovery {
            revision: memory.current_revision(),
            snapshot: recovered.snapshot,
            replayed: recovered.replayed,
            cut: recovered.cut,
        };
        let queue = Arc::new(Queue::new());
        let receiver = Receiver::new(queue.clone());
        let writer = Writer::new(memory.clone(), &files, receiver, directory, disk, options);
        std::thread::Builder::new()
            .name("store-log".to_owned())
            .spawn(|| writer.run())
            .map_err(OpenError::Thread)?;
        Ok((Self { queue }, memory, recovery))
    }

    pub(crate) async fn write(&self, change: Change<I>) -> Answer<I> {
        let (sender, answer) = oneshot::channel();
        let write = Message::Write(change, sender);
        self.queue.send_with_others(write).map_err(|Closed| Unavailable::Closed)?;
        answer.await.map_err(|_| Unavailable::Closed)?
    }

    pub(crate) async fn close(&self) {
        let (sender, done) = oneshot::channel();
        if self.queue.send(Message::Close(sender)).is_ok() {
            let _ = done.await;
        }
    }
}
