//! The directory under which the nodes of one run keep sockets and volumes, and its removal.
//!
//! Removal is careful: what is mounted below is unmounted first, nothing is removed across a mount that stayed, links
//! are not followed. `--root-dir` may name a directory that holds other things: only the nodes' own directories go.

use std::fs::{self, DirBuilder, File, Metadata, Permissions};
use std::io::ErrorKind;
use std::os::unix::ffi::OsStringExt as _;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, OFlags};
use rustix::mount::UnmountFlags;

/// The file that marks a directory as holding nodes of a run, and is locked while the run lasts.
const LOCK: &str = ".tokenward-lock";
/// A temporary directory that is longer leaves sockets too little of the 107 bytes that a Unix socket path may have.
const LONGEST_TEMPORARY: usize = 32;

/// The directory of one run. Dropping it removes what the run made; [`RootDirectory::close`] also says what would not go.
#[derive(Debug)]
pub struct RootDirectory {
    path: PathBuf,
    /// Held while the run lasts, in a directory that the user named.
    lock: Option<File>,
    nodes: Vec<PathBuf>,
    closed: bool,
}

impl RootDirectory {
    /// Makes a private directory (0700) in the system's temporary directory, in `/tmp` when that one's name is long.
    ///
    /// # Errors
    /// When the file system refuses.
    pub fn temporary() -> Result<Self, RootDirectoryError> {
        let mut parent = std::env::temp_dir();
        if parent.as_os_str().len() > LONGEST_TEMPORARY {
            parent = PathBuf::from("/tmp");
        }
        let failed = |source| RootDirectoryError::Unusable { path: parent.clone(), source };
        // Short on purpose: with it every valid driver name, of 63 letters at most, still fits into a socket path.
        let directory = tempfile::Builder::new()
            .prefix("tw-")
            .permissions(Permissions::from_mode(0o700))
            .tempdir_in(&parent)
            .map_err(failed)?;
        let path = directory.path().canonicalize().map_err(failed)?;
        let _ = directory.keep();
        Ok(Self { path, lock: None, nodes: Vec::new(), closed: false })
    }

    /// Uses `path`, made (0700) if it is missing but its parent is there. What a killed run left in it is removed.
    ///
    /// # Errors
    /// When it is no directory that this user can write, others could tamper with it, or another run uses it.
    pub fn given(path: &Path) -> Result<Self, RootDirectoryError> {
        let failed = |source| RootDirectoryError::Unusable { path: path.to_owned(), source };
        match DirBuilder::new().mode(0o700).create(path) {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(error) => return Err(failed(error)),
        }
        let path = path.canonicalize().map_err(failed)?;
        if is_open_to_others(&fs::metadata(&path).map_err(failed)?) {
            return Err(RootDirectoryError::Exposed { path });
        }
        let lock_path = path.join(LOCK);
        let left_over = lock_path.exists();
        let lock = File::options()
            .create(true)
            .append(true)
            .mode(0o600)
            .custom_flags(OFlags::NOFOLLOW.bits().cast_signed())
            .open(&lock_path)
            .map_err(failed)?;
        // A mark of somebody else's must not make us remove what is not ours.
        if lock.metadata().map_err(failed)?.uid() != rustix::process::geteuid().as_raw() {
            return Err(RootDirectoryError::Exposed { path });
        }
        match rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => return Err(RootDirectoryError::InUse { path }),
            Err(error) => return Err(failed(error.into())),
        }
        let mut root = Self { path, lock: Some(lock), nodes: Vec::new(), closed: false };
        if left_over {
            root.nodes = node_directories(&root.path).map_err(failed)?;
            root.clean()?;
            root.nodes.clear();
        }
        Ok(root)
    }

    /// The directory, free of links.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Makes the directory of the node with this number: a node's `--root-dir`, named by the number alone to stay short.
    ///
    /// # Errors
    /// When something stands there, or the file system refuses.
    pub fn node(&mut self, number: usize) -> Result<PathBuf, RootDirectoryError> {
        let path = self.path.join(number.to_string());
        match DirBuilder::new().mode(0o700).create(&path) {
            Ok(()) => {
                self.nodes.push(path.clone());
                Ok(path)
            }
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                Err(RootDirectoryError::Occupied { path })
            }
            Err(source) => Err(RootDirectoryError::Unusable { path, source }),
        }
    }

    /// Removes what the run made: everything of a temporary directory, the nodes' directories of a given one.
    ///
    /// # Errors
    /// The first thing that would not go. What can be removed is removed all the same.
    pub fn close(mut self) -> Result<(), RootDirectoryError> {
        self.clean_up()
    }

    fn clean_up(&mut self) -> Result<(), RootDirectoryError> {
        if std::mem::replace(&mut self.closed, true) {
            return Ok(());
        }
        self.clean()?;
        let failed = |source| RootDirectoryError::NotRemoved { path: self.path.clone(), source };
        if self.lock.is_some() {
            // The mark goes last: as long as something is left, the next run knows that it may remove it.
            fs::remove_file(self.path.join(LOCK)).map_err(failed)
        } else {
            fs::remove_dir(&self.path).map_err(failed)
        }
    }

    fn clean(&self) -> Result<(), RootDirectoryError> {
        let mut first_error = None;
        for node in &self.nodes {
            if let Err(error) = remove_with_mounts(node) {
                first_error.get_or_insert(error);
            }
        }
        first_error.map_or(Ok(()), Err)
    }
}

impl Drop for RootDirectory {
    fn drop(&mut self) {
        if let Err(error) = self.clean_up() {
            tracing::warn!(%error, "something is left behind");
        }
    }
}

/// Why a root directory cannot be used or removed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RootDirectoryError {
    /// Somebody else could put another directory in the place of a node's, or has left a mark there.
    #[error("`{}` is another user's, or everybody may rename what is in it; choose a directory of your own", .path.display())]
    Exposed {
        /// The directory.
        path: PathBuf,
    },
    /// Another run uses the directory.
    #[error("`{}` is used by another `tokenward up`; stop that one, or name another directory", .path.display())]
    InUse {
        /// The directory.
        path: PathBuf,
    },
    /// A mount would not go.
    #[error("could not unmount `{}`; unmount it, then remove it", .path.display())]
    Mounted {
        /// The mount point.
        path: PathBuf,
        /// The system's answer, when unmounting was refused.
        #[source]
        source: Option<std::io::Error>,
    },
    /// Something could not be removed.
    #[error("could not remove `{}`", .path.display())]
    NotRemoved {
        /// What is left.
        path: PathBuf,
        /// The file system's answer.
        #[source]
        source: std::io::Error,
    },
    /// Something stands where a node's directory belongs.
    #[error("`{}` exists and was not made by `tokenward up`; move it away, or name another directory", .path.display())]
    Occupied {
        /// Where the node's directory belongs.
        path: PathBuf,
    },
    /// The directory cannot be read, written or made.
    #[error("`{}` is no directory that `tokenward up` can use", .path.display())]
    Unusable {
        /// The directory.
        path: PathBuf,
        /// The file system's answer.
        #[source]
        source: std::io::Error,
    },
}

/// The directories of nodes below the directory of a run, by their numbers.
///
/// # Errors
/// The directory cannot be read.
pub fn node_directories(run: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut numbered = Vec::new();
    for entry in fs::read_dir(run)? {
        let entry = entry?;
        let name = entry.file_name();
        // A sign would parse too.
        let digits = name.to_str().filter(|name| name.bytes().all(|byte| byte.is_ascii_digit()));
        if let Some(number) = digits.and_then(|digits| digits.parse::<usize>().ok())
            && entry.file_type()?.is_dir()
        {
            numbered.push((number, entry.path()));
        }
    }
    numbered.sort_unstable();
    Ok(numbered.into_iter().map(|(_, path)| path).collect())
}

/// Whether another user may rename what we make in a directory: its owner may, and with write permission everybody, unless
/// it is sticky.
fn is_open_to_others(directory: &Metadata) -> bool {
    let owner = directory.uid();
    let is_writable = directory.mode() & 0o002 != 0 && directory.mode() & 0o1000 == 0;
    is_writable || (owner != 0 && owner != rustix::process::geteuid().as_raw())
}

fn remove_with_mounts(directory: &Path) -> Result<(), RootDirectoryError> {
    let mut refused = None;
    // Latest first: a mount on top of another goes before it.
    for mount in mounts_under(&mount_table()?, directory).into_iter().rev() {
        // Detached at once even while a reader holds a file open; the memory goes with the last reader.
        match rustix::mount::unmount(&mount, UnmountFlags::DETACH | UnmountFlags::NOFOLLOW) {
            Ok(()) => tracing::debug!(mount = %mount.display(), "unmounted what was left"),
            Err(error) => refused = Some((mount, error.into())),
        }
    }
    if let Some((path, source)) = refused {
        return Err(RootDirectoryError::Mounted { path, source: Some(source) });
    }
    if let Some(path) = mounts_under(&mount_table()?, directory).pop() {
        return Err(RootDirectoryError::Mounted { path, source: None });
    }
    match fs::remove_dir_all(directory) {
        Err(source) if source.kind() != ErrorKind::NotFound => {
            Err(RootDirectoryError::NotRemoved { path: directory.to_owned(), source })
        }
        _ => Ok(()),
    }
}

fn mount_table() -> Result<Vec<u8>, RootDirectoryError> {
    let path = Path::new("/proc/self/mountinfo");
    fs::read(path).map_err(|source| RootDirectoryError::Unusable { path: path.to_owned(), source })
}

/// The mount points at and below `directory`, in the order in which they were mounted (proc_pid_mountinfo(5)).
fn mounts_under(mount_table: &[u8], directory: &Path) -> Vec<PathBuf> {
    mount_table
        .split(|&byte| byte == b'\n')
        .filter_map(|line| line.split(|&byte| byte == b' ').nth(4))
        .map(unescape)
        .filter(|mount| mount.starts_with(directory))
        .collect()
}

/// The kernel writes blank, tab, newline and backslash as `\` and three octal digits.
fn unescape(field: &[u8]) -> PathBuf {
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((&first, tail)) = rest.split_first() {
        match (first, tail) {
            (b'\\', &[a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7', ref tail @ ..]) => {
                bytes.push(((a - b'0') << 6) | ((b - b'0') << 3) | (c - b'0'));
                rest = tail;
            }
            _ => {
                bytes.push(first);
                rest = tail;
            }
        }
    }
    PathBuf::from(std::ffi::OsString::from_vec(bytes))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn mounts_below_are_found_in_order_and_neighbours_are_not() {
        let table = b"22 1 0:20 / /proc rw - proc proc rw\n\
            30 1 0:30 / /tmp/tw-a/1/v rw,nosuid shared:1 - tmpfs tmpfs rw\n\
            31 30 0:31 / /tmp/tw-a/1/v/with\\040blank\\134 rw - tmpfs tmpfs rw\n\
            32 1 0:32 / /tmp/tw-abc rw - tmpfs tmpfs rw\n\
            33 1 0:33 / /tmp/tw-a rw - tmpfs tmpfs rw\n";
        let found = mounts_under(table, Path::new("/tmp/tw-a"));
        let expected = ["/tmp/tw-a/1/v", "/tmp/tw-a/1/v/with blank\\", "/tmp/tw-a"];
        assert_eq!(found, expected.map(PathBuf::from));
    }

    #[test]
    fn a_temporary_directory_is_private_short_and_goes_with_everything_in_it() {
        let outside = tempfile::tempdir().unwrap();
        fs::write(outside.path().join("kept"), "").unwrap();
        let mut root = RootDirectory::temporary().unwrap();
        let path = root.path().to_owned();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o700);
        let node = root.node(10).unwrap();
        fs::create_dir_all(node.join("pods/a/volumes")).unwrap();
        symlink(outside.path(), node.join("pods/link")).unwrap();
        root.close().unwrap();
        assert!(!path.exists());
        assert!(outside.path().join("kept").exists());
    }

    #[test]
    fn every_valid_driver_name_fits_into_a_socket_path() {
        let parent = "/tmp";
        let longest = format!("{parent}/tw-abcdef/10/plugins_registry/{}-reg.sock", "d".repeat(63));
        assert!(longest.len() <= 107, "{}", longest.len());
    }

    #[test]
    fn a_given_directory_is_kept_with_what_others_have_in_it() {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("theirs"), "").unwrap();
        let mut root = RootDirectory::given(directory.path()).unwrap();
        fs::create_dir(root.node(1).unwrap().join("plugins")).unwrap();
        assert!(matches!(RootDirectory::given(directory.path()), Err(RootDirectoryError::InUse { .. })));
        root.close().unwrap();
        let names: Vec<_> =
            fs::read_dir(directory.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(names, ["theirs"]);
    }

    #[test]
    fn what_a_killed_run_left_is_removed_by_the_next() {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join(LOCK), "").unwrap();
        fs::create_dir_all(directory.path().join("1/plugins/a")).unwrap();
        let mut root = RootDirectory::given(directory.path()).unwrap();
        assert!(!directory.path().join("1").exists());
        assert!(root.node(1).unwrap().exists());
    }

    #[test]
    fn directories_of_nodes_are_found_by_their_numbers() {
        let directory = tempfile::tempdir().unwrap();
        for name in ["10", "2", "+3", "", "pods", "1a"] {
            fs::create_dir_all(directory.path().join(name)).unwrap();
        }
        fs::write(directory.path().join("4"), "").unwrap();
        let found = node_directories(directory.path()).unwrap();
        assert_eq!(found, ["2", "10"].map(|name| directory.path().join(name)));
        assert!(node_directories(&directory.path().join("absent")).is_err());
    }

    #[test]
    fn a_directory_of_others_is_not_taken_for_a_node() {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir(directory.path().join("1")).unwrap();
        let mut root = RootDirectory::given(directory.path()).unwrap();
        assert!(matches!(root.node(1), Err(RootDirectoryError::Occupied { .. })));
        drop(root);
        assert!(directory.path().join("1").exists());
    }

    #[test]
    fn a_directory_that_others_may_tamper_with_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let refused = |path: &Path| match RootDirectory::given(path) {
            Err(RootDirectoryError::Exposed { .. }) => true,
            Err(error) => panic!("{error}"),
            Ok(_) => false,
        };
        for (mode, expected) in [(0o777, true), (0o1777, false), (0o775, false), (0o700, false)] {
            fs::set_permissions(directory.path(), Permissions::from_mode(mode)).unwrap();
            assert_eq!(refused(directory.path()), expected, "{mode:o}");
        }
        if rustix::process::geteuid().is_root() {
            for owned in [directory.path().join(LOCK), directory.path().to_owned()] {
                if owned.ends_with(LOCK) {
                    fs::write(&owned, "").unwrap();
                }
                std::os::unix::fs::chown(&owned, Some(12345), None).unwrap();
                assert!(refused(directory.path()), "{}", owned.display());
            }
        }
    }

    #[test]
    fn a_mark_that_is_a_link_is_not_followed() {
        let directory = tempfile::tempdir().unwrap();
        let victim = directory.path().join("victim");
        symlink(&victim, directory.path().join(LOCK)).unwrap();
        assert!(RootDirectory::given(directory.path()).is_err());
        assert!(!victim.exists());
    }

    #[test]
    fn a_file_is_no_root_directory() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("file");
        fs::write(&file, "").unwrap();
        let error = RootDirectory::given(&file).unwrap_err();
        assert!(error.to_string().ends_with("is no directory that `tokenward up` can use"), "{error}");
        assert!(RootDirectory::given(&directory.path().join("no/such")).is_err());
    }
}
