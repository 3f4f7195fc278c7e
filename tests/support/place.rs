//! A place on the machine for one test: where the command may put things, and the proof that nothing of it is left.

use std::cell::RefCell;
use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::run::Command;

/// `nobody`, on every Linux.
const NOBODY: u32 = 65534;

/// Two directories: `TMPDIR` of the command, and one for the files of the test.
pub(crate) struct Place {
    base: TempDir,
    user: Option<u32>,
    closed: RefCell<Vec<PathBuf>>,
}

impl Place {
    pub(crate) fn new() -> Self {
        // Right below /tmp: the command's sockets have only 107 bytes for their paths.
        let base = tempfile::Builder::new().prefix("e2e-").tempdir_in("/tmp").unwrap();
        for directory in ["t", "f"] {
            fs::create_dir(base.path().join(directory)).unwrap();
        }
        Self { base, user: None, closed: RefCell::default() }
    }

    /// A place whose commands have no privileges, whoever runs the tests.
    pub(crate) fn unprivileged() -> Self {
        let mut place = Self::new();
        if is_root() {
            place.user = Some(NOBODY);
            for path in [place.base.path(), &place.temporary(), &place.file("")] {
                fs::set_permissions(path, Permissions::from_mode(0o755)).unwrap();
                chown(path, Some(NOBODY), Some(NOBODY)).unwrap();
            }
        }
        place
    }

    /// The command's temporary directory.
    pub(crate) fn temporary(&self) -> PathBuf {
        self.base.path().join("t")
    }

    /// A path for a file of the test.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.base.path().join("f").join(name)
    }

    /// Writes a file of the test.
    pub(crate) fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.file(name);
        fs::write(&path, text).unwrap();
        path
    }

    /// Takes every right on a path from the user of this place.
    pub(crate) fn close(&self, path: &Path) {
        fs::set_permissions(path, Permissions::from_mode(0o000)).unwrap();
        self.closed.borrow_mut().push(path.to_owned());
    }

    /// `tokenward` with these arguments, to be run here.
    pub(crate) fn tokenward<S: AsRef<std::ffi::OsStr>>(
        &self,
        arguments: impl IntoIterator<Item = S>,
    ) -> Command {
        Command::new(&self.temporary(), self.user, arguments)
    }

    /// Nothing of the command is left: no temporary file or directory, no mount, no socket.
    pub(crate) fn assert_nothing_is_left(&self) {
        assert_eq!(names(&self.temporary()), Vec::<String>::new(), "left in the temporary directory");
        self.assert_no_mount_and_no_socket();
    }

    /// Nothing of the command is left here that the kernel knows of.
    pub(crate) fn assert_no_mount_and_no_socket(&self) {
        let base = self.base.path().to_str().unwrap();
        for table in ["/proc/self/mountinfo", "/proc/net/unix"] {
            // The sockets of the test's own drivers lie in the test's directory and end in `.driver`.
            let text = fs::read_to_string(table).unwrap();
            let left: Vec<&str> =
                text.lines().filter(|line| line.contains(base) && !line.ends_with(".driver")).collect();
            assert_eq!(left, Vec::<&str>::new(), "left in {table}");
        }
    }

    /// The mounts in this place.
    pub(crate) fn mounts(&self) -> usize {
        let base = self.base.path().to_str().unwrap();
        fs::read_to_string("/proc/self/mountinfo").unwrap().lines().filter(|line| line.contains(base)).count()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        for path in self.closed.get_mut() {
            // Or the directory could not be removed.
            let _ = fs::set_permissions(path, Permissions::from_mode(0o700));
        }
        // A test that failed may have left mounts, which nobody else would remove.
        let base = self.base.path().to_str().unwrap_or_default().to_owned();
        let table = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        for mount in
            table.lines().filter_map(|line| line.split(' ').nth(4)).filter(|path| path.contains(&base))
        {
            let _ = rustix::mount::unmount(mount, rustix::mount::UnmountFlags::DETACH);
        }
    }
}

pub(crate) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// The names in a directory, sorted.
pub(crate) fn names(directory: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// Every file below a directory; what vanishes meanwhile is left out.
pub(crate) fn files_below(directory: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let Ok(entries) = fs::read_dir(directory) else { return files };
    for entry in entries.flatten() {
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => files.extend(files_below(&entry.path())),
            Ok(kind) if kind.is_file() => files.push(entry.path()),
            _ => {}
        }
    }
    files
}
