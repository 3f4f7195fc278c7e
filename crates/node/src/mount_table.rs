//! The mounts below a directory, as the kernel lists them: unlike looking at a path, that never waits for a dead driver.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::io;
use std::os::unix::ffi::OsStringExt as _;
use std::path::{Path, PathBuf};

/// Where this process sees its mounts.
const MOUNT_INFO: &str = "/proc/self/mountinfo";

/// The mount points below one directory.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct MountTable {
    root: PathBuf,
    /// Relative to the root.
    below: BTreeSet<PathBuf>,
}

impl MountTable {
    /// Reads the mounts below a directory that exists.
    ///
    /// # Errors
    /// The directory or the kernel's table cannot be read.
    pub(crate) fn below(root: &Path) -> io::Result<Self> {
        // The kernel knows no links.
        let real = root.canonicalize()?;
        let table = std::fs::read(MOUNT_INFO)?;
        let below = mount_points(&table)
            .filter_map(|mount_point| mount_point.strip_prefix(&real).map(Path::to_owned).ok())
            .collect();
        Ok(Self { root: root.to_owned(), below })
    }

    /// Whether something is mounted exactly there.
    pub(crate) fn contains(&self, path: &Path) -> bool {
        path.strip_prefix(&self.root).is_ok_and(|path| self.below.contains(path))
    }
}

/// The fifth field of each line. Blanks, line ends and backslashes in it are written as three octal digits.
fn mount_points(table: &[u8]) -> impl Iterator<Item = PathBuf> {
    table
        .split(|&byte| byte == b'\n')
        .filter_map(|line| line.split(|&byte| byte == b' ').nth(4))
        .map(|field| PathBuf::from(OsString::from_vec(unescape(field))))
}

fn unescape(field: &[u8]) -> Vec<u8> {
    let mut text = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((&byte, after)) = rest.split_first() {
        let octal = match (byte, after) {
            (b'\\', [a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7', ..]) => {
                Some((a - b'0') * 64 + (b - b'0') * 8 + (c - b'0'))
            }
            _ => None,
        };
        text.push(octal.unwrap_or(byte));
        rest = if octal.is_some() { &after[3..] } else { after };
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mount_points_are_read_with_their_escapes() {
        let table = b"36 35 98:0 /m /mnt/a\\040b\\134 rw - ext3 /dev/root rw\n\n37 35 0:1 / /proc rw - proc p rw\nodd\n";
        let found: Vec<PathBuf> = mount_points(table).collect();
        assert_eq!(found, [Path::new("/mnt/a b\\"), Path::new("/proc")]);
        assert_eq!(unescape(b"\\04"), b"\\04");
        assert_eq!(unescape(b"\\777"), b"\\777");
    }

    #[test]
    fn only_what_is_mounted_exactly_there_counts() {
        let table = MountTable::below(Path::new("/")).unwrap();
        assert!(table.contains(Path::new("/proc")));
        assert!(!table.contains(Path::new("/proc/self")));
        assert!(!table.contains(Path::new("proc")));
    }
}
