//! The data directory: its mark, its lock and the names in it.

use std::fs::{self, DirBuilder, File, Permissions};
use std::io::{self, ErrorKind, Read as _};
use std::os::unix::fs::{
    DirBuilderExt as _, FileExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _,
};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, OFlags};

use super::OpenError;

const LOCK: &str = "lock";
const MARK: &str = "tokenward data directory";
const LOG: &str = "log-";
const SNAPSHOT: &str = "snapshot-";
/// A file under this name is not finished and counts for nothing.
pub(crate) const UNFINISHED: &str = "unfinished-";

/// A data directory that is ours alone for as long as this lives.
#[derive(Debug)]
pub(crate) struct Directory {
    path: PathBuf,
    /// Whoever holds the lock of this file owns the directory; the kernel lets go of it when the process ends.
    _lock: File,
}

/// The store's files.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Files {
    /// The parts of the log by their numbers, in order.
    pub(crate) logs: Vec<u64>,
    /// The snapshots by their revisions, in order.
    pub(crate) snapshots: Vec<u64>,
    /// What a crash left half written.
    pub(crate) unfinished: Vec<PathBuf>,
}

impl Directory {
    /// Takes the directory, made (0700) if it is missing but its parent is there.
    pub(crate) fn open(path: &Path) -> Result<Self, OpenError> {
        let failed = |source| OpenError::Directory { path: path.to_owned(), source };
        match DirBuilder::new().mode(0o700).create(path) {
            Ok(()) => sync_parent(path).map_err(failed)?,
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(error) => return Err(failed(error)),
        }
        let path = path.canonicalize().map_err(failed)?;
        let metadata = fs::metadata(&path).map_err(failed)?;
        if !metadata.is_dir() {
            return Err(OpenError::NotADirectory { path });
        }
        let lock_path = path.join(LOCK);
        if !lock_path.exists()
            && let Some(entry) = fs::read_dir(&path).map_err(failed)?.next()
        {
            let found = entry.map_err(failed)?.file_name();
            return Err(OpenError::Foreign { path, found: PathBuf::from(found) });
        }
        if metadata.uid() != rustix::process::geteuid().as_raw() {
            return Err(OpenError::Exposed { path });
        }
        let mut lock = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .custom_flags(OFlags::NOFOLLOW.bits().cast_signed())
            .open(&lock_path)
            .map_err(failed)?;
        let mut text = String::new();
        match lock.by_ref().take(4096).read_to_string(&mut text) {
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::InvalidData => text = "?".to_owned(),
            Err(error) => return Err(failed(error)),
        }
        // Empty when a crash came between making and writing it.
        if !text.is_empty() && text.lines().next() != Some(MARK) {
            return Err(OpenError::Foreign { path, found: PathBuf::from(LOCK) });
        }
        match rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => {
                let pid = text.lines().nth(1).and_then(|line| line.parse().ok());
                return Err(OpenError::InUse { path, pid });
            }
            Err(error) => return Err(failed(error.into())),
        }
        if metadata.mode() & 0o077 != 0 {
            // What is in it may be anybody's secret.
            fs::set_permissions(&path, Permissions::from_mode(0o700)).map_err(failed)?;
        }
        let text = format!("{MARK}\n{}\n", std::process::id());
        match lock.write_all_at(text.as_bytes(), 0).and_then(|()| lock.set_len(text.len() as u64)) {
            // On a full disk what is there can still be served.
            Err(error) if error.kind() != ErrorKind::StorageFull => return Err(failed(error)),
            _ => {}
        }
        Ok(Self { path, _lock: lock })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn log(&self, number: u64) -> PathBuf {
        self.path.join(format!("{LOG}{number:010}"))
    }

    pub(crate) fn snapshot(&self, revision: u64) -> PathBuf {
        self.path.join(format!("{SNAPSHOT}{revision:020}"))
    }

    pub(crate) fn files(&self) -> io::Result<Files> {
        let mut files = Files::default();
        for entry in fs::read_dir(&self.path)? {
            let entry = entry?;
            let name = entry.file_name();
            let Some(name) = name.to_str() else { continue };
            if name.starts_with(UNFINISHED) {
                files.unfinished.push(entry.path());
            } else if let Some(number) = number_after(name, LOG) {
                files.logs.push(number);
            } else if let Some(revision) = number_after(name, SNAPSHOT) {
                files.snapshots.push(revision);
            }
        }
        files.logs.sort_unstable();
        files.snapshots.sort_unstable();
        Ok(files)
    }
}

fn number_after(name: &str, prefix: &str) -> Option<u64> {
    let digits = name.strip_prefix(prefix)?;
    digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok())?
}

fn sync_parent(path: &Path) -> io::Result<()> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    File::open(parent.unwrap_or(Path::new(".")))?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().mode() & 0o777
    }

    #[test]
    fn a_directory_is_made_marked_and_private() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("data");
        let directory = Directory::open(&path).unwrap();
        assert_eq!((mode(&path), mode(&path.join(LOCK))), (0o700, 0o600));
        let text = fs::read_to_string(path.join(LOCK)).unwrap();
        assert_eq!(text, format!("{MARK}\n{}\n", std::process::id()));
        drop(directory);
        fs::set_permissions(&path, Permissions::from_mode(0o755)).unwrap();
        let _again = Directory::open(&path).unwrap();
        assert_eq!(mode(&path), 0o700);
    }

    #[test]
    fn of_two_openers_the_second_is_told_of_the_first() {
        let parent = tempfile::tempdir().unwrap();
        let first = Directory::open(parent.path()).unwrap();
        let error = Directory::open(parent.path()).unwrap_err();
        let pid = std::process::id();
        assert!(matches!(&error, OpenError::InUse { pid: Some(found), .. } if *found == pid), "{error}");
        assert!(error.to_string().contains(&format!("process {pid}")), "{error}");
        drop(first);
        Directory::open(parent.path()).unwrap();
    }

    #[test]
    fn what_is_not_ours_is_left_alone() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path();
        fs::write(path.join("photo.jpg"), "x").unwrap();
        let error = Directory::open(path).unwrap_err();
        assert!(
            matches!(&error, OpenError::Foreign { found, .. } if found == Path::new("photo.jpg")),
            "{error}"
        );
        fs::write(path.join(LOCK), "another program's").unwrap();
        let error = Directory::open(path).unwrap_err();
        assert!(matches!(&error, OpenError::Foreign { found, .. } if found == Path::new(LOCK)), "{error}");
        let error = Directory::open(&path.join("photo.jpg")).unwrap_err();
        assert!(matches!(error, OpenError::NotADirectory { .. }), "{error}");
        let error = Directory::open(&path.join("missing/data")).unwrap_err();
        assert!(matches!(error, OpenError::Directory { .. }), "{error}");
    }

    #[test]
    fn files_are_known_by_their_names_and_ordered_by_number() {
        let parent = tempfile::tempdir().unwrap();
        let directory = Directory::open(parent.path()).unwrap();
        for name in
            ["log-0000000010", "log-0000000009", "log-", "log-1x", "other", "unfinished-log-0000000011"]
        {
            fs::write(parent.path().join(name), "").unwrap();
        }
        fs::write(directory.snapshot(7), "").unwrap();
        let files = directory.files().unwrap();
        assert_eq!((files.logs, files.snapshots), (vec![9, 10], vec![7]));
        assert_eq!(files.unfinished.len(), 1);
        assert!(directory.log(9).ends_with("log-0000000009"));
    }
}
