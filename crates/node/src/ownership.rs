//! Gives a volume to the pod's `fsGroup`, for drivers that leave that to the kubelet: every file belongs to the group and
//! may be used by it, new files in its directories inherit the group.

use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{
    AtFlags, Dir, FileType, Gid, Mode, OFlags, RawMode, ResolveFlags, Stat, chmod, chownat, fstat, open,
    openat2,
};
use rustix::io::Errno;
use tokio_util::sync::CancellationToken;

use crate::volume::{VolumeMode, VolumeSource, VolumeSpec};

/// The policy of drivers without a CSIDriver.
pub const DEFAULT_POLICY: &str = "ReadWriteOnceWithFSType";

/// What the group may do with files, and besides with directories.
const READ_AND_WRITE: RawMode = 0o660;
const SEARCH: RawMode = 0o110;
const INHERIT_GROUP: RawMode = 0o2000;

/// What is to be done to a volume.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ownership {
    /// The group.
    pub group: u32,
    /// Leave a volume alone whose root is as it should be.
    pub on_root_mismatch: bool,
}

/// Whether a volume is to be given to a group: not without one, not when the policy says `None`, not read-only ones; with
/// `File` all others, with `ReadWriteOnceWithFSType` those that one node writes and that have a filesystem type.
///
/// # Errors
/// The group is none.
pub fn wanted(spec: &VolumeSpec, policy: &str) -> Result<Option<Ownership>, String> {
    let Some(group) = spec.security.fs_group else { return Ok(None) };
    let (fs_type, one_writer) = match &spec.source {
        VolumeSource::Inline(source) => (&source.fs_type, true),
        VolumeSource::Persistent(parts) => {
            let one_writer = |mode: &String| mode == "ReadWriteOnce" || mode == "ReadWriteOncePod";
            (&parts.source.fs_type, parts.access_modes.iter().any(one_writer))
        }
    };
    let has_type = fs_type.as_ref().is_some_and(|fs_type| !fs_type.is_empty());
    let applies = match policy {
        "File" => true,
        "None" => false,
        _ => has_type && one_writer,
    };
    if !applies || spec.read_only || spec.mode() == VolumeMode::Block {
        return Ok(None);
    }
    // The all-ones group means "as it is" to the kernel.
    let group = u32::try_from(group).ok().filter(|&group| group != u32::MAX);
    let group = group.ok_or_else(|| "fsGroup is no group id".to_owned())?;
    Ok(Some(Ownership { group, on_root_mismatch: spec.security.on_root_mismatch }))
}

/// Gives the volume at a path to the group. Links are given themselves and never followed; the root comes last, so that it
/// tells whether all was done.
///
/// # Errors
/// Something cannot be changed, or `stop` was cancelled.
pub(crate) fn set(root: &Path, ownership: Ownership, stop: &CancellationToken) -> io::Result<()> {
    let root = open(root, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())?;
    let stat = fstat(&root)?;
    if ownership.on_root_mismatch && is_right(&stat, ownership.group) {
        return Ok(());
    }
    if !is_directory(&stat) {
        return change(root.as_fd(), &stat, ownership.group);
    }
    // Every directory stands before those in it.
    let mut directories = vec![PathBuf::from(".")];
    let mut next = 0;
    while let Some(path) = directories.get(next).cloned() {
        next += 1;
        let Some(directory) = open_below(&root, &path, OFlags::RDONLY | OFlags::DIRECTORY)? else { continue };
        for entry in Dir::read_from(&directory)? {
            if stop.is_cancelled() {
                return Err(io::Error::new(io::ErrorKind::Interrupted, "given up"));
            }
            let entry = entry?;
            let name = OsStr::from_bytes(entry.file_name().to_bytes());
            if name == "." || name == ".." {
                continue;
            }
            let Some(file) = open_below(&directory, Path::new(name), OFlags::PATH)? else { continue };
            let stat = fstat(&file)?;
            if is_directory(&stat) {
                directories.push(path.join(name));
            } else {
                change(file.as_fd(), &stat, ownership.group)?;
            }
        }
    }
    for path in directories.iter().rev() {
        if let Some(directory) = open_below(&root, path, OFlags::PATH)? {
            change(directory.as_fd(), &fstat(&directory)?, ownership.group)?;
        }
    }
    Ok(())
}

/// Opens what is below a directory without following any link; `None` if it has gone meanwhile.
fn open_below(directory: &OwnedFd, path: &Path, flags: OFlags) -> io::Result<Option<OwnedFd>> {
    let flags = flags | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    // A mount below the volume is part of it, as upstream has it.
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
    match openat2(directory, path, flags, Mode::empty(), resolve) {
        Ok(opened) => Ok(Some(opened)),
        // A link that has taken its place is nobody's directory.
        Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Changes what was opened, unless it is right already.
fn change(file: BorrowedFd<'_>, stat: &Stat, group: u32) -> io::Result<()> {
    let wanted = Some(Gid::from_raw(group));
    if stat.st_gid != group {
        chownat(file, "", None, wanted, AtFlags::EMPTY_PATH)?;
    }
    let is_link = FileType::from_raw_mode(stat.st_mode) == FileType::Symlink;
    let mode = stat.st_mode | added_mode(stat);
    // A change of the group may have taken bits away.
    if !is_link && (mode != stat.st_mode || stat.st_gid != group) {
        // A descriptor that only names a file cannot be changed itself, but through its path it can.
        chmod(format!("/proc/self/fd/{}", file.as_raw_fd()), Mode::from_raw_mode(mode))?;
    }
    Ok(())
}

/// What the group needs.
fn added_mode(stat: &Stat) -> RawMode {
    if is_directory(stat) { READ_AND_WRITE | SEARCH | INHERIT_GROUP } else { READ_AND_WRITE }
}

fn is_right(stat: &Stat, group: u32) -> bool {
    stat.st_gid == group && stat.st_mode & added_mode(stat) == added_mode(stat)
}

fn is_directory(stat: &Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode) == FileType::Directory
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};

    use super::*;
    use crate::cluster::PodReference;
    use crate::objects::{InlineSource, PersistentSource};
    use crate::volume::{PersistentParts, VolumeSecurity};

    fn inline(fs_type: Option<&str>, fs_group: Option<i64>) -> VolumeSpec {
        VolumeSpec {
            pod: PodReference { namespace: "ns".into(), name: "web".into(), uid: "u".into() },
            service_account: "web".into(),
            security: VolumeSecurity { fs_group, ..VolumeSecurity::default() },
            volume: "data".into(),
            spec_name: "data".into(),
            volume_handle: "csi-1".into(),
            read_only: false,
            source: VolumeSource::Inline(InlineSource {
                fs_type: fs_type.map(str::to_owned),
                ..InlineSource::default()
            }),
        }
    }

    fn persistent(fs_type: Option<&str>, access_modes: &[&str]) -> VolumeSpec {
        let source = PersistentSource { fs_type: fs_type.map(str::to_owned), ..PersistentSource::default() };
        let access_modes = access_modes.iter().map(|&mode| mode.to_owned()).collect();
        let parts = PersistentParts { source, access_modes, ..PersistentParts::default() };
        VolumeSpec { source: VolumeSource::Persistent(Box::new(parts)), ..inline(None, Some(2000)) }
    }

    #[test]
    fn the_policy_and_the_volume_decide() {
        let default = "ReadWriteOnceWithFSType";
        let cases = [
            (inline(None, None), "File", false),
            (inline(None, Some(2000)), "File", true),
            (inline(None, Some(2000)), "None", false),
            (inline(None, Some(2000)), default, false),
            (inline(Some(""), Some(2000)), default, false),
            (inline(Some("ext4"), Some(2000)), default, true),
            (inline(Some("ext4"), Some(2000)), "None", false),
            (VolumeSpec { read_only: true, ..inline(Some("ext4"), Some(2000)) }, "File", false),
            (persistent(Some("ext4"), &["ReadWriteMany", "ReadWriteOnce"]), default, true),
            (persistent(Some("ext4"), &["ReadWriteOncePod"]), default, true),
            (persistent(Some("ext4"), &["ReadWriteMany"]), default, false),
            (persistent(Some("ext4"), &[]), default, false),
            (persistent(None, &["ReadWriteOnce"]), default, false),
            (persistent(None, &["ReadWriteMany"]), "File", true),
        ];
        for (spec, policy, applies) in cases {
            assert_eq!(wanted(&spec, policy).unwrap().is_some(), applies, "{policy} {spec:?}");
        }
        for group in [-1, i64::from(u32::MAX), i64::MAX] {
            assert!(wanted(&inline(None, Some(group)), "File").is_err());
        }
    }

    fn mode(path: &Path) -> u32 {
        path.symlink_metadata().unwrap().mode() & 0o7777
    }

    fn set_mode(path: &Path, mode: u32) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    /// A group that this process may give its files to: any as root, else its own.
    fn group(path: &Path) -> u32 {
        if rustix::process::geteuid().is_root() { 2000 } else { path.metadata().unwrap().gid() }
    }

    #[test]
    fn all_below_is_the_groups_and_links_lead_nowhere() {
        let directory = tempfile::tempdir().unwrap();
        let (volume, outside) = (directory.path().join("volume"), directory.path().join("outside"));
        fs::create_dir_all(volume.join("a/b")).unwrap();
        fs::create_dir_all(outside.join("c")).unwrap();
        for file in [volume.join("a/b/file"), outside.join("file")] {
            fs::write(&file, "x").unwrap();
            set_mode(&file, 0o600);
        }
        fs::write(volume.join("tool"), "x").unwrap();
        set_mode(&volume.join("tool"), 0o4700);
        set_mode(&outside, 0o700);
        symlink(&outside, volume.join("a/link")).unwrap();
        symlink(outside.join("file"), volume.join("file-link")).unwrap();
        symlink("nowhere", volume.join("dangling")).unwrap();
        for path in [&volume, &volume.join("a"), &volume.join("a/b")] {
            set_mode(path, 0o700);
        }
        let ownership = Ownership { group: group(&volume), on_root_mismatch: false };
        set(&volume, ownership, &CancellationToken::new()).unwrap();
        for path in ["", "a", "a/b", "a/b/file", "tool", "a/link", "file-link", "dangling"] {
            assert_eq!(volume.join(path).symlink_metadata().unwrap().gid(), ownership.group, "{path}");
        }
        for path in ["", "a", "a/b"] {
            assert_eq!(mode(&volume.join(path)), 0o2770, "{path}");
        }
        assert_eq!(mode(&volume.join("a/b/file")), 0o660);
        assert_eq!(mode(&volume.join("tool")), 0o4760);
        assert_eq!((mode(&outside), mode(&outside.join("file"))), (0o700, 0o600));
        if ownership.group == 2000 {
            assert_ne!(outside.join("file").metadata().unwrap().gid(), 2000);
        }
    }

    #[test]
    fn a_root_that_is_right_speaks_for_all_if_the_pod_says_so() {
        let volume = tempfile::tempdir().unwrap();
        let file = volume.path().join("file");
        fs::write(&file, "x").unwrap();
        set_mode(&file, 0o600);
        let group = group(volume.path());
        let stop = CancellationToken::new();
        let root_only = Ownership { group, on_root_mismatch: true };
        set(volume.path(), root_only, &stop).unwrap();
        assert_eq!(mode(&file), 0o660, "the root was not right");
        set_mode(&file, 0o600);
        set(volume.path(), root_only, &stop).unwrap();
        assert_eq!(mode(&file), 0o600);
        set(volume.path(), Ownership { group, on_root_mismatch: false }, &stop).unwrap();
        assert_eq!(mode(&file), 0o660);
        set_mode(volume.path(), 0o700);
        stop.cancel();
        assert!(set(volume.path(), root_only, &stop).is_err());
        assert_eq!(mode(volume.path()), 0o700, "what was given up does not look done");
    }
}
