//! Directories of mounts: made 0750 as the kubelet makes them, removed only when nothing is mounted on them.

use std::fs::{DirBuilder, remove_dir, remove_file};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;

use rustix::fs::{AtFlags, CWD, StatxAttributes, StatxFlags, statx};

use crate::fault;
use crate::vol_data::VolumeData;

/// `mkdir -p`, every new directory with mode 0750.
///
/// # Errors
/// As mkdir.
pub(crate) fn make_directories(path: &Path) -> io::Result<()> {
    fault::point("directories are made");
    DirBuilder::new().recursive(true).mode(0o750).create(path)
}

/// `mkdir -p` of the plugin registry, which other users' drivers may look into: mode 0755.
///
/// # Errors
/// As mkdir.
pub(crate) fn make_registry_directory(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o755).create(path)
}

/// Whether something is mounted exactly at the path. A path that is not there is not a mount.
///
/// Asks the kernel (`STATX_ATTR_MOUNT_ROOT`), which sees bind mounts within one filesystem too; comparing device
/// numbers, as upstream does, misses those.
///
/// # Errors
/// The path cannot be looked at, for instance a stale network mount.
pub(crate) fn is_mount_point(path: &Path) -> io::Result<bool> {
    match statx(CWD, path, AtFlags::SYMLINK_NOFOLLOW | AtFlags::NO_AUTOMOUNT, StatxFlags::BASIC_STATS) {
        Ok(found) => Ok(found.stx_attributes.contains(StatxAttributes::MOUNT_ROOT)),
        Err(rustix::io::Errno::NOENT) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Upstream's removeMountDir: nothing while it is a mount point; else the (empty) mount directory, the `vol_data.json`
/// beside it, and their parent.
///
/// # Errors
/// The directory is not empty: somebody wrote into it without a mount, and nothing of it is removed.
pub(crate) fn remove_mount_directory(mount_path: &Path) -> io::Result<()> {
    if is_mount_point(mount_path)? {
        return Ok(());
    }
    fault::point("the mount directory is removed");
    ignore_missing(remove_dir(mount_path))?;
    fault::point("the record is removed");
    ignore_missing(remove_file(VolumeData::path_beside(mount_path)))?;
    ignore_missing(remove_file(VolumeData::partial_path_beside(mount_path)))?;
    fault::point("the directory of the volume is removed");
    mount_path.parent().map_or(Ok(()), |parent| ignore_missing(remove_dir(parent)))
}

/// Removes directories from the innermost on, as long as they are empty or gone, up to but without `top`.
pub(crate) fn remove_empty_up_to(innermost: &Path, top: &Path) {
    let mut path = innermost;
    fault::point("the directories of the pod are removed");
    while path.starts_with(top) && path != top && ignore_missing(remove_dir(path)).is_ok() {
        let Some(parent) = path.parent() else { return };
        path = parent;
    }
}

pub(crate) fn ignore_missing(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn directories_are_made_0750_and_removed_when_empty() {
        let root = tempfile::tempdir().unwrap();
        let parent = root.path().join("a/b");
        make_directories(&parent).unwrap();
        make_directories(&parent).unwrap();
        assert_eq!(parent.metadata().unwrap().permissions().mode() & 0o777, 0o750);
        let target = parent.join("mount");
        std::fs::create_dir(&target).unwrap();
        std::fs::write(parent.join("vol_data.json"), "{}").unwrap();
        remove_mount_directory(&target).unwrap();
        assert!(!parent.exists());
        remove_mount_directory(&target).unwrap();
        remove_empty_up_to(&root.path().join("a"), root.path());
        assert!(!root.path().join("a").exists() && root.path().exists());
    }

    #[test]
    fn a_directory_with_content_is_left_with_its_record() {
        let root = tempfile::tempdir().unwrap();
        let target = root.path().join("v/mount");
        std::fs::create_dir_all(&target).unwrap();
        std::fs::write(target.join("precious"), "x").unwrap();
        std::fs::write(root.path().join("v/vol_data.json"), "{}").unwrap();
        assert!(remove_mount_directory(&target).is_err());
        assert!(target.join("precious").exists() && root.path().join("v/vol_data.json").exists());
    }

    #[test]
    fn the_kernel_tells_mounts_from_directories() {
        assert!(is_mount_point(Path::new("/proc")).unwrap());
        assert!(!is_mount_point(Path::new("/proc/self")).unwrap());
        assert!(!is_mount_point(Path::new("/no/such/path")).unwrap());
    }
}
