//! Writes all files of a volume so that a reader sees the old ones or the new ones, whole, and never a mixture.
//!
//! The design is the kubelet's (secret, config map and projected volumes):
//!
//! ```text
//! token            -> ..data/token          what the reader opens
//! ..data           -> ..1700000000.000004   the version that counts; replaced by rename(2)
//! ..1700000000.000004/token
//! ..1700000000.000003/token                 the version before: stays until the next call
//! ```
//!
//! One thing is added: the version that was replaced stays until the next call. Removed at once, as the kubelet does it, it vanishes
//! under a reader whose path walk has passed `..data` and has not reached the file.
//!
//! And one thing is harder: every step goes from open directories and follows no link. A container that may write to its volume as
//! root can replace a version by a link, but cannot lead the driver out of the volume (CVE-2017-1002102 was the kubelet's).

use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use rustix::io::Errno;
use tonic::{Code, Status};

use crate::files::FileSet;
use crate::token_set::with_causes;

mod disk;
mod writing;

use disk::Kernel;
use writing::Writing;

const DATA: &str = "..data";
const DATA_NEXT: &str = "..data_tmp";

/// Writes the files of one directory, version by version. One writer at a time for a directory.
///
/// Guards against a process that dies in the middle (the old version stays whole, and the next call removes what was left), not against
/// loss of power: nothing is fsynced, since a volume of tokens lives in memory.
///
/// ```
/// use tokenward_driver::tokens::Clock;
/// use tokenward_driver::{AtomicWriter, Contents, File, FileSet, VolumePath, Written};
///
/// let directory = tempfile::tempdir()?;
/// let mut files = FileSet::new();
/// files.insert(VolumePath::parse("db/password")?, File::private(Contents::new(b"1234".to_vec())))?;
///
/// let writer = AtomicWriter::new(directory.path());
/// assert_eq!(writer.write(&files, Clock::system().now())?, Written::Replaced);
/// assert_eq!(writer.write(&files, Clock::system().now())?, Written::Unchanged);
/// assert_eq!(std::fs::read(directory.path().join("db/password"))?, b"1234");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct AtomicWriter {
    directory: PathBuf,
    directory_mode: u32,
    group: Option<u32>,
}

/// What a call of [`AtomicWriter::write`] did.
///
/// ```
/// use tokenward_driver::Written;
///
/// fn log(written: Written) {
///     if written == Written::Replaced {
///         println!("the pod has new tokens");
///     }
/// }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Written {
    /// The files were replaced.
    Replaced,
    /// The files are the same as before: nothing was written.
    Unchanged,
}

/// Why files could not be written. What was there is whole in every case.
///
/// As a status RESOURCE_EXHAUSTED or UNAVAILABLE: neither is final, so that a failed republish costs no pod its mount.
///
/// ```
/// use tokenward_driver::tokens::Clock;
/// use tokenward_driver::{AtomicWriter, FileSet};
///
/// let nowhere = AtomicWriter::new("/proc/no/such/volume");
/// let error = nowhere.write(&FileSet::new(), Clock::system().now()).unwrap_err();
/// assert_eq!(tonic::Status::from(error).code(), tonic::Code::Unavailable);
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WriteError {
    /// The file system has no room.
    #[error("no room to write `{}`: the files stay as they were; wanted a larger volume", path.display())]
    Full {
        /// What could not be written.
        path: PathBuf,
        /// ENOSPC or EDQUOT.
        #[source]
        source: io::Error,
    },
    /// Any other failure.
    #[error("cannot {action} `{}`", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

impl WriteError {
    fn new(action: &'static str, path: &Path, source: io::Error) -> Self {
        let path = path.to_owned();
        match Errno::from_io_error(&source) {
            Some(Errno::NOSPC | Errno::DQUOT) => Self::Full { path, source },
            _ => Self::Io { action, path, source },
        }
    }
}

impl From<WriteError> for Status {
    fn from(error: WriteError) -> Self {
        let code = match &error {
            WriteError::Full { .. } => Code::ResourceExhausted,
            WriteError::Io { .. } => Code::Unavailable,
        };
        Self::new(code, with_causes(&error))
    }
}

impl AtomicWriter {
    /// A writer for `directory`, which exists; the directories that it makes have mode 0700.
    ///
    /// Shown at [`AtomicWriter`].
    #[must_use]
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        Self { directory: directory.into(), directory_mode: 0o700, group: None }
    }

    /// The same with other permission bits for the directories that it makes.
    ///
    /// ```
    /// use std::os::unix::fs::PermissionsExt as _;
    /// use tokenward_driver::tokens::Clock;
    /// use tokenward_driver::{AtomicWriter, Contents, File, FileSet, VolumePath};
    ///
    /// let directory = tempfile::tempdir()?;
    /// let mut files = FileSet::new();
    /// files.insert(VolumePath::parse("db/password")?, File::private(Contents::new(b"1234".to_vec())))?;
    /// AtomicWriter::new(directory.path()).with_directory_mode(0o755).write(&files, Clock::system().now())?;
    /// assert_eq!(std::fs::metadata(directory.path().join("db"))?.permissions().mode() & 0o777, 0o755);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn with_directory_mode(mut self, mode: u32) -> Self {
        self.directory_mode = mode & 0o777;
        self
    }

    /// The same for a group of readers, such as a pod's `fsGroup`: what it makes belongs to the group, directories have mode 0750, and what
    /// the owner may read, the group may read too. Readers that are in no group stay outside.
    ///
    /// ```
    /// use tokenward_driver::csi::v1::NodePublishVolumeRequest;
    /// use tokenward_driver::{AtomicWriter, PublishTarget, RequestError};
    ///
    /// fn writer(request: &NodePublishVolumeRequest) -> Result<AtomicWriter, RequestError> {
    ///     let target = PublishTarget::of(request)?;
    ///     Ok(AtomicWriter::new(target.path.as_path()).with_group(target.group))
    /// }
    /// # let _ = writer;
    /// ```
    #[must_use]
    pub fn with_group(mut self, group: Option<u32>) -> Self {
        self.group = group;
        if group.is_some() {
            self.directory_mode = 0o750;
        }
        self
    }

    /// Whether `directory` has a version that counts.
    ///
    /// ```
    /// use tokenward_driver::tokens::Clock;
    /// use tokenward_driver::{AtomicWriter, FileSet};
    ///
    /// let directory = tempfile::tempdir()?;
    /// assert!(!AtomicWriter::has_version(directory.path()) && AtomicWriter::may_own(directory.path())?);
    /// AtomicWriter::new(directory.path()).write(&FileSet::new(), Clock::system().now())?;
    /// assert!(AtomicWriter::has_version(directory.path()) && AtomicWriter::may_own(directory.path())?);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn has_version(directory: &Path) -> bool {
        fs::read_link(directory.join(DATA)).is_ok()
    }

    /// Whether `directory` is empty or was written by a writer, perhaps one that was torn. False for a directory of somebody else, which
    /// must not be removed with all that is in it.
    ///
    /// ```
    /// use tokenward_driver::AtomicWriter;
    ///
    /// let home = tempfile::tempdir()?;
    /// std::fs::write(home.path().join("letter.txt"), "Dear ...")?;
    /// assert!(!AtomicWriter::may_own(home.path())?);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// # Errors
    /// When the directory cannot be listed.
    pub fn may_own(directory: &Path) -> io::Result<bool> {
        let mut empty = true;
        for entry in fs::read_dir(directory)? {
            empty = false;
            let name = entry?.file_name();
            if name == DATA || name == DATA_NEXT || is_version(name.as_bytes()) {
                return Ok(true);
            }
        }
        Ok(empty)
    }

    /// Makes the directory hold exactly `files`. `now` only names the version.
    ///
    /// A difference of modes or groups alone is not a difference, as upstream.
    ///
    /// Shown at [`AtomicWriter`].
    ///
    /// # Errors
    /// [`WriteError`]; the version that was there is whole then.
    pub fn write(&self, files: &FileSet, now: Timestamp) -> Result<Written, WriteError> {
        Writing::begin(&Kernel, self)?.write(files, now)
    }
}

/// `..<seconds>.<number>`: no other name may ever be removed as a leftover.
fn is_version(name: &[u8]) -> bool {
    let digits = |part: &[u8]| !part.is_empty() && part.iter().all(u8::is_ascii_digit);
    name.strip_prefix(b"..").is_some_and(|rest| {
        let rest = rest.strip_prefix(b"-").unwrap_or(rest);
        rest.iter()
            .position(|byte| *byte == b'.')
            .is_some_and(|dot| digits(&rest[..dot]) && digits(&rest[dot + 1..]))
    })
}

#[cfg(test)]
mod crash;
#[cfg(test)]
mod tests;
