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

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use rustix::io::Errno;
use zeroize::Zeroizing;

use crate::files::{Contents, FileSet};

const DATA: &str = "..data";
const DATA_NEXT: &str = "..data_tmp";

/// Writes the files of one directory, version by version. One writer at a time for a directory.
///
/// Guards against a process that dies in the middle (the old version stays whole, and the next call removes what was left), not against
/// loss of power: nothing is fsynced, since a volume of tokens lives in memory.
#[derive(Clone, Debug)]
pub struct AtomicWriter {
    directory: PathBuf,
    directory_mode: u32,
}

/// What a call of [`AtomicWriter::write`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Written {
    /// The files were replaced.
    Replaced,
    /// The files are the same as before: nothing was written.
    Unchanged,
}

/// Why files could not be written. What was there is whole in every case.
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

impl AtomicWriter {
    /// A writer for `directory`, which exists; the directories that it makes have mode 0700.
    #[must_use]
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        Self { directory: directory.into(), directory_mode: 0o700 }
    }

    /// The same with other permission bits for the directories that it makes.
    #[must_use]
    pub fn with_directory_mode(mut self, mode: u32) -> Self {
        self.directory_mode = mode & 0o777;
        self
    }

    /// Whether `directory` has a version that counts.
    #[must_use]
    pub fn has_version(directory: &Path) -> bool {
        fs::read_link(directory.join(DATA)).is_ok()
    }

    /// Whether `directory` is empty or was written by a writer, perhaps one that was torn. False for a directory of somebody else, which
    /// must not be removed with all that is in it.
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
    /// A difference of modes alone is not a difference, as upstream.
    ///
    /// # Errors
    /// [`WriteError`]; the version that was there is whole then.
    pub fn write(&self, files: &FileSet, now: Timestamp) -> Result<Written, WriteError> {
        let current = self.current()?;
        self.remove_leftovers(current.as_deref())?;
        let same = current.as_deref().is_some_and(|version| self.holds(version, files));
        let mut linked = false;
        if same {
            linked = self.link(files)?;
        } else {
            let version = self.make_version(now)?;
            // All that can fail comes before the switch.
            let written = self.fill(&version, files).and_then(|()| self.link(files));
            if let Err(error) = written.and_then(|_| self.switch_to(&version)) {
                // What cannot be removed now is a leftover for the next call.
                let _ = fs::remove_dir_all(&version);
                let _ = fs::remove_file(self.directory.join(DATA_NEXT));
                return Err(error);
            }
        }
        let unlinked = self.unlink_others(files)?;
        Ok(if same && !linked && !unlinked { Written::Unchanged } else { Written::Replaced })
    }

    /// The name that `..data` points to, when it is one of ours.
    fn current(&self) -> Result<Option<OsString>, WriteError> {
        let data = self.directory.join(DATA);
        match fs::read_link(&data) {
            Ok(version) if is_version(version.as_os_str().as_bytes()) => Ok(Some(version.into_os_string())),
            Ok(_) => Ok(None),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(WriteError::new("read the link", &data, error)),
        }
    }

    /// Removes all versions but the current one: the one before it, and what a torn write left.
    fn remove_leftovers(&self, current: Option<&OsStr>) -> Result<(), WriteError> {
        for name in self.names()? {
            let path = self.directory.join(&name);
            if name == DATA_NEXT {
                fs::remove_file(&path)
                    .map_err(|error| WriteError::new("remove the leftover", &path, error))?;
            } else if is_version(name.as_bytes()) && Some(name.as_os_str()) != current {
                fs::remove_dir_all(&path)
                    .map_err(|error| WriteError::new("remove the leftover", &path, error))?;
            }
        }
        Ok(())
    }

    fn names(&self) -> Result<Vec<OsString>, WriteError> {
        fs::read_dir(&self.directory)
            .and_then(|entries| entries.map(|entry| Ok(entry?.file_name())).collect())
            .map_err(|error| WriteError::new("list", &self.directory, error))
    }

    /// Whether the version has these files with these contents, and no others. What cannot be read is not the same.
    fn holds(&self, version: &OsStr, files: &FileSet) -> bool {
        let version = self.directory.join(version);
        let mut found = 0;
        count_files(&version, &mut found).is_ok()
            && found == files.len()
            && files.iter().all(|(path, file)| same_bytes(&version.join(path.as_str()), &file.contents))
    }

    fn make_version(&self, now: Timestamp) -> Result<PathBuf, WriteError> {
        let mut attempt = 0_u32;
        loop {
            let path = self.directory.join(format!("..{}.{attempt:06}", now.as_second()));
            match fs::DirBuilder::new().mode(self.directory_mode).create(&path) {
                Ok(()) => return self.set_mode(&path, self.directory_mode).map(|()| path),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists && attempt < 999_999 => {
                    attempt += 1;
                }
                Err(error) => return Err(WriteError::new("make the directory", &path, error)),
            }
        }
    }

    fn fill(&self, version: &Path, files: &FileSet) -> Result<(), WriteError> {
        for (path, file) in files {
            let path = version.join(path.as_str());
            self.make_parents(version, &path)?;
            let mut options = fs::OpenOptions::new();
            options.write(true).create_new(true).mode(file.mode & 0o600);
            options
                .open(&path)
                .and_then(|mut open| open.write_all(file.contents.expose_bytes()))
                .map_err(|error| WriteError::new("write", &path, error))?;
            self.set_mode(&path, file.mode)?;
        }
        Ok(())
    }

    fn make_parents(&self, version: &Path, path: &Path) -> Result<(), WriteError> {
        let missing: Vec<&Path> =
            path.ancestors().skip(1).take_while(|parent| *parent != version && !parent.exists()).collect();
        for parent in missing.into_iter().rev() {
            fs::DirBuilder::new()
                .mode(self.directory_mode)
                .create(parent)
                .map_err(|error| WriteError::new("make the directory", parent, error))?;
            self.set_mode(parent, self.directory_mode)?;
        }
        Ok(())
    }

    /// The umask of the process must not decide.
    fn set_mode(&self, path: &Path, mode: u32) -> Result<(), WriteError> {
        fs::set_permissions(path, fs::Permissions::from_mode(mode))
            .map_err(|error| WriteError::new("set the mode of", path, error))
    }

    /// The moment at which the new version counts: one rename.
    fn switch_to(&self, version: &Path) -> Result<(), WriteError> {
        let next = self.directory.join(DATA_NEXT);
        let name = version.file_name().expect("a version is a name below the directory");
        symlink(name, &next).map_err(|error| WriteError::new("make the link", &next, error))?;
        let data = self.directory.join(DATA);
        fs::rename(&next, &data).map_err(|error| WriteError::new("replace the link", &data, error))
    }

    /// Makes the names that the reader sees; true when one was missing. A new one leads nowhere until the switch.
    fn link(&self, files: &FileSet) -> Result<bool, WriteError> {
        let mut changed = false;
        for (path, _) in files {
            let link = self.directory.join(path.top());
            let points_to = Path::new(DATA).join(path.top());
            if fs::read_link(&link).is_ok_and(|found| found == points_to) {
                continue;
            }
            changed = true;
            symlink(&points_to, &link).map_err(|error| WriteError::new("make the link", &link, error))?;
        }
        Ok(changed)
    }

    /// Removes the names whose files are gone; true when there was one.
    fn unlink_others(&self, files: &FileSet) -> Result<bool, WriteError> {
        let wanted: BTreeSet<&str> = files.iter().map(|(path, _)| path.top()).collect();
        let mut changed = false;
        for name in self.names()? {
            let link = self.directory.join(&name);
            let is_ours = fs::read_link(&link).is_ok_and(|found| found.starts_with(DATA));
            if is_ours && !name.to_str().is_some_and(|name| wanted.contains(name)) {
                changed = true;
                fs::remove_file(&link).map_err(|error| WriteError::new("remove the link", &link, error))?;
            }
        }
        Ok(changed)
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

fn count_files(directory: &Path, found: &mut usize) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            count_files(&entry.path(), found)?;
        } else {
            *found += 1;
        }
    }
    Ok(())
}

fn same_bytes(path: &Path, contents: &Contents) -> bool {
    let wanted = contents.expose_bytes();
    let Ok(file) = fs::File::open(path) else { return false };
    if file.metadata().map_or(true, |metadata| metadata.len() != wanted.len() as u64) {
        return false;
    }
    let mut found = Zeroizing::new(vec![0; wanted.len()]);
    (&file).read_exact(&mut found).is_ok() && *found == wanted
}

#[cfg(test)]
mod tests;
