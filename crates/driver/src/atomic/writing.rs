//! One call of the writer: what is there, what is to be there, and the steps between.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use rustix::io::Errno;

use super::disk::{Disk, count_files, entries, has_bytes, open_directory, open_root, read_link, remove_tree};
use super::{AtomicWriter, DATA, DATA_NEXT, WriteError, Written, is_version};
use crate::files::{File, FileSet, VolumePath};

/// Versions of one second.
const LAST_ATTEMPT: u32 = 999_999;

/// A writer at work.
pub(super) struct Writing<'a, D> {
    disk: &'a D,
    writer: &'a AtomicWriter,
    directory: OwnedFd,
}

impl<'a, D: Disk> Writing<'a, D> {
    pub(super) fn begin(disk: &'a D, writer: &'a AtomicWriter) -> Result<Self, WriteError> {
        let directory = open_root(&writer.directory)
            .map_err(|error| WriteError::new("open the directory", &writer.directory, error.into()))?;
        Ok(Self { disk, writer, directory })
    }

    pub(super) fn write(&self, files: &FileSet, now: Timestamp) -> Result<Written, WriteError> {
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
                let _ = remove_tree(self.disk, self.root(), &version);
                let _ = self.disk.remove_file(self.root(), OsStr::new(DATA_NEXT));
                return Err(error);
            }
        }
        let unlinked = self.unlink_others(files)?;
        Ok(if same && !linked && !unlinked { Written::Unchanged } else { Written::Replaced })
    }

    fn root(&self) -> BorrowedFd<'_> {
        self.directory.as_fd()
    }

    fn failed(&self, action: &'static str, path: impl AsRef<Path>, error: Errno) -> WriteError {
        WriteError::new(action, &self.writer.directory.join(path), error.into())
    }

    /// The name that `..data` points to, when it is one of ours.
    fn current(&self) -> Result<Option<OsString>, WriteError> {
        let found = read_link(self.root(), OsStr::new(DATA))
            .map_err(|error| self.failed("read the link", DATA, error))?;
        Ok(found.filter(|version| is_version(version.as_bytes())))
    }

    fn names(&self) -> Result<Vec<OsString>, WriteError> {
        let entries = entries(self.root()).map_err(|error| self.failed("list", "", error))?;
        Ok(entries.into_iter().map(|(name, _)| name).collect())
    }

    /// Removes all versions but the current one: the one before it, and what a torn write left.
    fn remove_leftovers(&self, current: Option<&OsStr>) -> Result<(), WriteError> {
        for name in self.names()? {
            let removed = if name == DATA_NEXT {
                self.disk.remove_file(self.root(), &name)
            } else if is_version(name.as_bytes()) && Some(name.as_os_str()) != current {
                remove_tree(self.disk, self.root(), &name)
            } else {
                continue;
            };
            removed.map_err(|error| self.failed("remove the leftover", &name, error))?;
        }
        Ok(())
    }

    /// Whether the version has these files with these contents, and no others.
    fn holds(&self, version: &OsStr, files: &FileSet) -> bool {
        let Ok(version) = open_directory(self.root(), version) else { return false };
        count_files(version.as_fd()) == Ok(files.len())
            && files
                .iter()
                .all(|(path, file)| has_bytes(version.as_fd(), path.as_str(), file.contents.expose_bytes()))
    }

    fn make_version(&self, now: Timestamp) -> Result<OsString, WriteError> {
        let mut attempt = 0;
        loop {
            let name = OsString::from(format!("..{}.{attempt:06}", now.as_second()));
            match self.disk.make_directory(self.root(), &name, self.writer.directory_mode) {
                Ok(()) => return Ok(name),
                Err(Errno::EXIST) if attempt < LAST_ATTEMPT => attempt += 1,
                Err(error) => return Err(self.failed("make the directory", &name, error)),
            }
        }
    }

    fn fill(&self, version: &OsStr, files: &FileSet) -> Result<(), WriteError> {
        let shown = PathBuf::from(version);
        let directory = open_directory(self.root(), version)
            .map_err(|error| self.failed("open the directory", &shown, error))?;
        self.own(directory.as_fd(), self.writer.directory_mode, &shown)?;
        for (path, file) in files {
            self.make_file(directory.as_fd(), &shown, path, file)?;
        }
        Ok(())
    }

    fn make_file(
        &self,
        version: BorrowedFd<'_>,
        shown: &Path,
        path: &VolumePath,
        file: &File,
    ) -> Result<(), WriteError> {
        let full = shown.join(path.as_str());
        let mut holder: Option<OwnedFd> = None;
        let (parents, name) = path.as_str().rsplit_once('/').unwrap_or(("", path.as_str()));
        let mut below = shown.to_owned();
        for parent in parents.split('/').filter(|parent| !parent.is_empty()) {
            below.push(parent);
            let made =
                self.make_parent(holder.as_ref().map_or(version, |held| held.as_fd()), parent, &below)?;
            holder = Some(made);
        }
        let holder = holder.as_ref().map_or(version, |held| held.as_fd());
        let open = self
            .disk
            .create_file(holder, OsStr::new(name), file.mode & 0o600)
            .map_err(|error| self.failed("write", &full, error))?;
        let mut rest = file.contents.expose_bytes();
        while !rest.is_empty() {
            match self.disk.write(open.as_fd(), rest) {
                Ok(count) => rest = rest.get(count..).unwrap_or_default(),
                Err(Errno::INTR) => {}
                Err(error) => return Err(self.failed("write", &full, error)),
            }
        }
        let readable_by_group = if self.writer.group.is_some() { (file.mode & 0o400) >> 3 } else { 0 };
        self.own(open.as_fd(), file.mode | readable_by_group, &full)
    }

    fn make_parent(&self, holder: BorrowedFd<'_>, name: &str, shown: &Path) -> Result<OwnedFd, WriteError> {
        let name = OsStr::new(name);
        let made = match self.disk.make_directory(holder, name, self.writer.directory_mode) {
            Ok(()) => true,
            Err(Errno::EXIST) => false,
            Err(error) => return Err(self.failed("make the directory", shown, error)),
        };
        let open =
            open_directory(holder, name).map_err(|error| self.failed("open the directory", shown, error))?;
        if made {
            self.own(open.as_fd(), self.writer.directory_mode, shown)?;
        }
        Ok(open)
    }

    /// The umask of the process must not decide. The group comes first: a mode for a group is none for another one.
    fn own(&self, open: BorrowedFd<'_>, mode: u32, shown: &Path) -> Result<(), WriteError> {
        if let Some(group) = self.writer.group {
            self.disk
                .set_group(open, group)
                .map_err(|error| self.failed("set the group of", shown, error))?;
        }
        self.disk.set_mode(open, mode).map_err(|error| self.failed("set the mode of", shown, error))
    }

    /// The moment at which the new version counts: one rename.
    fn switch_to(&self, version: &OsStr) -> Result<(), WriteError> {
        let (data, next) = (OsStr::new(DATA), OsStr::new(DATA_NEXT));
        self.disk
            .make_link(version, self.root(), next)
            .map_err(|error| self.failed("make the link", next, error))?;
        self.disk
            .rename(self.root(), next, data)
            .map_err(|error| self.failed("replace the link", data, error))
    }

    /// Makes the names that the reader sees; true when one was missing. A new one leads nowhere until the switch.
    fn link(&self, files: &FileSet) -> Result<bool, WriteError> {
        let mut changed = false;
        for (path, _) in files {
            let name = OsStr::new(path.top());
            let points_to = Path::new(DATA).join(name).into_os_string();
            let found = read_link(self.root(), name);
            if found.is_ok_and(|found| found.as_ref() == Some(&points_to)) {
                continue;
            }
            changed = true;
            self.disk
                .make_link(&points_to, self.root(), name)
                .map_err(|error| self.failed("make the link", name, error))?;
        }
        Ok(changed)
    }

    /// Removes the names whose files are gone; true when there was one.
    fn unlink_others(&self, files: &FileSet) -> Result<bool, WriteError> {
        let wanted: BTreeSet<&str> = files.iter().map(|(path, _)| path.top()).collect();
        let mut changed = false;
        for name in self.names()? {
            let found = read_link(self.root(), &name).unwrap_or_default();
            let is_ours = found.is_some_and(|found| Path::new(&found).starts_with(DATA));
            if is_ours && !name.to_str().is_some_and(|name| wanted.contains(name)) {
                changed = true;
                self.disk
                    .remove_file(self.root(), &name)
                    .map_err(|error| self.failed("remove the link", &name, error))?;
            }
        }
        Ok(changed)
    }
}
