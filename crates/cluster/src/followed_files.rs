//! Files that are followed while the server runs: whoever replaces a key or a certificate need not restart it.
//!
//! Files are looked at by their metadata once a second, and read only after they have changed and lain still for a
//! look: a file that is being written is not read in the middle. Files that cannot be used are told of once.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

/// How often the files are looked at.
const PERIOD: Duration = Duration::from_secs(1);

/// Files that belong together, such as a certificate and its key.
pub trait Files: Send + 'static {
    /// What they hold.
    type Content: Send + 'static;
    /// Why they cannot be used. Shows nothing of them.
    type Error: Send + 'static;

    /// Which they are.
    fn paths(&self) -> impl Iterator<Item = &Path>;

    /// Reads all of them.
    ///
    /// # Errors
    /// When one of them cannot be read or used.
    fn read(&self) -> Result<Self::Content, Self::Error>;
}

/// Follows the files until `stop`: `take` gets what they hold after every change, and soon after the beginning, since they may have
/// changed after somebody read them.
pub async fn follow<F: Files>(
    files: F,
    mut take: impl FnMut(Result<F::Content, F::Error>),
    stop: CancellationToken,
) {
    let mut follower = Follower::new(files);
    let mut ticks = tokio::time::interval(PERIOD);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while stop.run_until_cancelled(ticks.tick()).await.is_some() {
        let looked = tokio::task::spawn_blocking(move || {
            let outcome = follower.look();
            (follower, outcome)
        });
        let Ok((back, outcome)) = looked.await else { return };
        follower = back;
        outcome.map(&mut take);
    }
}

/// What tells one state of a file from another: which file it is, how large, and when it was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    /// None for a file that is not there. Links are followed, as mounted Secrets replace theirs.
    fn of(path: &Path) -> Option<Self> {
        let metadata = fs::metadata(path).ok()?;
        Some(Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        })
    }
}

/// Notices changes.
pub(crate) struct Follower<F> {
    files: F,
    /// As they were when they were read last, well or not.
    read: Vec<Option<Stamp>>,
    /// As they were at the last look.
    seen: Vec<Option<Stamp>>,
}

impl<F: Files> Follower<F> {
    /// The first look that finds them lying still reads.
    pub(crate) fn new(files: F) -> Self {
        Self { files, read: Vec::new(), seen: Vec::new() }
    }

    /// What they hold, if they have changed since they were read and have not since the last look.
    pub(crate) fn look(&mut self) -> Option<Result<F::Content, F::Error>> {
        let stamps: Vec<_> = self.files.paths().map(Stamp::of).collect();
        let lies_still = stamps == self.seen;
        self.seen.clone_from(&stamps);
        if !lies_still || stamps == self.read {
            return None;
        }
        self.read = stamps;
        Some(self.files.read())
    }
}
