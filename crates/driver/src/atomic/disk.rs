//! The system calls of the writer. Those that change something go through one trait, each of them a step: a process can die between any
//! two of them, and a test makes it do so.

use std::ffi::{CStr, OsStr, OsString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};

use rustix::fs::{AtFlags, CWD, Dir, FileType, Gid, Mode, OFlags};
use rustix::io::{Errno, Result};
use zeroize::Zeroizing;

/// Directories in each other that are gone into: far more than a driver's files need. A pod can make more in its own volume.
const DEEPEST: usize = 256;

/// What changes something, one system call each.
pub(super) trait Disk {
    fn make_directory(&self, parent: BorrowedFd<'_>, name: &OsStr, mode: u32) -> Result<()> {
        rustix::fs::mkdirat(parent, name, Mode::from_raw_mode(mode))
    }

    fn create_file(&self, parent: BorrowedFd<'_>, name: &OsStr, mode: u32) -> Result<OwnedFd> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        rustix::fs::openat(parent, name, flags, Mode::from_raw_mode(mode))
    }

    /// Writes some of the bytes, and says how many.
    fn write(&self, file: BorrowedFd<'_>, bytes: &[u8]) -> Result<usize> {
        rustix::io::write(file, bytes)
    }

    fn set_group(&self, file: BorrowedFd<'_>, group: u32) -> Result<()> {
        rustix::fs::fchown(file, None, Some(Gid::from_raw(group)))
    }

    fn set_mode(&self, file: BorrowedFd<'_>, mode: u32) -> Result<()> {
        rustix::fs::fchmod(file, Mode::from_raw_mode(mode))
    }

    fn make_link(&self, to: &OsStr, parent: BorrowedFd<'_>, name: &OsStr) -> Result<()> {
        rustix::fs::symlinkat(to, parent, name)
    }

    fn rename(&self, parent: BorrowedFd<'_>, from: &OsStr, to: &OsStr) -> Result<()> {
        rustix::fs::renameat(parent, from, parent, to)
    }

    fn remove_file(&self, parent: BorrowedFd<'_>, name: &OsStr) -> Result<()> {
        rustix::fs::unlinkat(parent, name, AtFlags::empty())
    }

    fn remove_directory(&self, parent: BorrowedFd<'_>, name: &OsStr) -> Result<()> {
        rustix::fs::unlinkat(parent, name, AtFlags::REMOVEDIR)
    }
}

/// The kernel's.
#[derive(Debug)]
pub(super) struct Kernel;

impl Disk for Kernel {}

/// Removes a directory with all that is in it.
pub(super) fn remove_tree(disk: &impl Disk, parent: BorrowedFd<'_>, name: &OsStr) -> Result<()> {
    remove_to(disk, parent, name, DEEPEST)
}

fn remove_to(disk: &impl Disk, parent: BorrowedFd<'_>, name: &OsStr, depth: usize) -> Result<()> {
    let Some(depth) = depth.checked_sub(1) else { return Err(Errno::LOOP) };
    let directory = match open_directory(parent, name) {
        Ok(directory) => directory,
        // A link in its place, or a file: it goes as what it is.
        Err(Errno::NOTDIR | Errno::LOOP) => return disk.remove_file(parent, name),
        Err(error) => return Err(error),
    };
    for (name, kind) in entries(directory.as_fd())? {
        if kind == FileType::Directory {
            remove_to(disk, directory.as_fd(), &name, depth)?;
        } else {
            disk.remove_file(directory.as_fd(), &name)?;
        }
    }
    disk.remove_directory(parent, name)
}

/// The directory of a path that the driver was given.
pub(super) fn open_root(path: &std::path::Path) -> Result<OwnedFd> {
    open_directory(CWD, path.as_os_str())
}

/// A directory, and not a link to one.
pub(super) fn open_directory(parent: BorrowedFd<'_>, name: &OsStr) -> Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(parent, name, flags, Mode::empty())
}

/// All names but `.` and `..`, with what they are.
pub(super) fn entries(directory: BorrowedFd<'_>) -> Result<Vec<(OsString, FileType)>> {
    let mut found = Vec::new();
    for entry in Dir::read_from(directory)? {
        let entry = entry?;
        let name = entry.file_name();
        if name == c"." || name == c".." {
            continue;
        }
        let kind = match entry.file_type() {
            FileType::Unknown => kind_of(directory, name)?,
            kind => kind,
        };
        found.push((OsString::from_vec(name.to_bytes().to_vec()), kind));
    }
    Ok(found)
}

fn kind_of(directory: BorrowedFd<'_>, name: &CStr) -> Result<FileType> {
    let found = rustix::fs::statat(directory, name, AtFlags::SYMLINK_NOFOLLOW)?;
    Ok(FileType::from_raw_mode(found.st_mode))
}

/// What a link says; `None` when there is no link.
pub(super) fn read_link(parent: BorrowedFd<'_>, name: &OsStr) -> Result<Option<OsString>> {
    match rustix::fs::readlinkat(parent, name, Vec::new()) {
        Ok(to) => Ok(Some(OsString::from_vec(to.into_bytes()))),
        Err(Errno::NOENT | Errno::INVAL) => Ok(None),
        Err(error) => Err(error),
    }
}

/// How many files, links and so on are below a directory.
pub(super) fn count_files(directory: BorrowedFd<'_>) -> Result<usize> {
    count_to(directory, DEEPEST)
}

fn count_to(directory: BorrowedFd<'_>, depth: usize) -> Result<usize> {
    let Some(depth) = depth.checked_sub(1) else { return Err(Errno::LOOP) };
    let mut found = 0;
    for (name, kind) in entries(directory)? {
        found += match kind {
            FileType::Directory => count_to(open_directory(directory, &name)?.as_fd(), depth)?,
            _ => 1,
        };
    }
    Ok(found)
}

/// Whether a file below a directory has exactly these bytes. What cannot be read has not.
pub(super) fn has_bytes(directory: BorrowedFd<'_>, path: &str, wanted: &[u8]) -> bool {
    let same = || -> Result<bool> {
        let mut holder = rustix::io::dup(directory)?;
        let (parents, name) = path.rsplit_once('/').unwrap_or(("", path));
        for parent in parents.split('/').filter(|parent| !parent.is_empty()) {
            holder = open_directory(holder.as_fd(), OsStr::from_bytes(parent.as_bytes()))?;
        }
        // Not blocking: a pod may have put a pipe there.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = rustix::fs::openat(&holder, name, flags, Mode::empty())?;
        let found = rustix::fs::fstat(&file)?;
        if FileType::from_raw_mode(found.st_mode) != FileType::RegularFile
            || usize::try_from(found.st_size) != Ok(wanted.len())
        {
            return Ok(false);
        }
        let mut bytes = Zeroizing::new(vec![0; wanted.len()]);
        let mut read = 0;
        while read < bytes.len() {
            match rustix::io::read(&file, &mut bytes[read..])? {
                0 => return Ok(false),
                count => read += count,
            }
        }
        Ok(*bytes == wanted)
    };
    same().unwrap_or(false)
}
