//! The place at a target path: a tmpfs where the process may mount, a private directory where it may not.

use std::ffi::CString;
use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Component, Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::{AtFlags, CWD, StatxAttributes, StatxFlags};
use rustix::io::Errno;
use rustix::mount::{MountFlags, UnmountFlags};
use tonic::{Code, Status};

use crate::atomic::AtomicWriter;
use crate::token_set::with_causes;

/// `statfs` type of a tmpfs.
const TMPFS_MAGIC: u64 = 0x0102_1994;
/// Mounts stacked on one target that are taken away at most.
const STACKED_MOUNTS: usize = 16;

/// Where a volume is to appear: an absolute path below the root, without `.` and `..`.
///
/// ```
/// use tokenward_driver::TargetPath;
///
/// let target = TargetPath::parse("/var/lib/kubelet/pods/uid/volumes/kubernetes.io~csi/tokens/mount")?;
/// assert!(target.as_path().ends_with("tokens/mount"));
/// # Ok::<(), tokenward_driver::TargetPathError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TargetPath(PathBuf);

/// Why a text is not a [`TargetPath`].
///
/// ```
/// use tokenward_driver::{TargetPath, TargetPathError};
///
/// assert_eq!(TargetPath::parse("/pods/../etc"), Err(TargetPathError::Unusable));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TargetPathError {
    /// Nothing at all.
    #[error("the path is empty")]
    Empty,
    /// Not absolute, or the root, or with an element `..`, or with a NUL byte.
    #[error("wanted an absolute path below `/`, without `..`")]
    Unusable,
}

impl TargetPath {
    /// Checks a path of a request.
    ///
    /// Shown at [`TargetPath`].
    ///
    /// # Errors
    /// When it is empty, relative, the root, or has an element `..` or a NUL byte.
    pub fn parse(path: &str) -> Result<Self, TargetPathError> {
        if path.is_empty() {
            return Err(TargetPathError::Empty);
        }
        let path = Path::new(path);
        let climbs = path.components().any(|part| part == Component::ParentDir);
        let nul = path.as_os_str().as_encoded_bytes().contains(&0);
        if !path.is_absolute() || climbs || nul || path.file_name().is_none() {
            return Err(TargetPathError::Unusable);
        }
        // Collected from its components: no trailing slash, behind which a link would be followed.
        Ok(Self(path.components().collect()))
    }

    /// The path.
    ///
    /// Shown at [`TargetPath`].
    #[must_use]
    pub fn as_path(&self) -> &Path {
        &self.0
    }
}

/// What holds the files of a target.
///
/// ```
/// use tokenward_driver::Backing;
///
/// fn may_reach_a_disk(backing: Backing) -> bool {
///     backing == Backing::Directory
/// }
/// assert!(!may_reach_a_disk(Backing::Tmpfs));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backing {
    /// A directory with mode 0700 on the file system of the target's parent.
    Directory,
    /// A tmpfs of its own: the files never reach a disk (unless it is swapped: kernels before 6.3 have no `noswap`).
    Tmpfs,
}

/// A target that can be written to.
///
/// ```
/// use tokenward_driver::{MountPolicy, Mounter, TargetPath};
///
/// let place = tempfile::tempdir()?;
/// let target = TargetPath::parse(place.path().join("mount").to_str().unwrap_or_default())?;
/// let prepared = Mounter::new(1 << 20, MountPolicy::Never).prepare(&target)?;
/// assert!(prepared.fresh);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prepared {
    /// What holds the files.
    pub backing: Backing,
    /// Whether this call made it. Only then may a failure take it away again: containers hold what was there.
    pub fresh: bool,
}

/// Whether to mount.
///
/// ```
/// use tokenward_driver::MountPolicy;
///
/// assert_eq!(MountPolicy::default(), MountPolicy::WherePermitted);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum MountPolicy {
    /// Never: private directories, also for a process that may mount.
    Never,
    /// A tmpfs; after the first refusal of the kernel (EPERM, EACCES), private directories from then on.
    #[default]
    WherePermitted,
}

/// Why a target could not be made or removed.
///
/// ```
/// use tokenward_driver::{MountError, MountPolicy, Mounter, TargetPath};
///
/// let target = TargetPath::parse("/no/such/parent/mount")?;
/// let error = Mounter::new(1 << 20, MountPolicy::Never).prepare(&target).unwrap_err();
/// assert!(matches!(error, MountError::NoParent { .. }));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MountError {
    /// A system call failed.
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
    /// The parent of the target is not there; the CO makes it (CSI specification, NodePublishVolume).
    #[error("the parent directory of `{}` does not exist; the caller has to make it", path.display())]
    NoParent {
        /// The target.
        path: PathBuf,
    },
    /// The target exists and is not a directory.
    #[error("`{}` exists and is not a directory; remove it", path.display())]
    NotADirectory {
        /// The target.
        path: PathBuf,
    },
    /// The target has files that no writer of this kit wrote: they are neither hidden nor removed.
    #[error("`{}` has files that are not those of a volume; move them away", path.display())]
    ForeignFiles {
        /// The target.
        path: PathBuf,
    },
    /// Something that this driver did not mount is mounted there.
    #[error("another file system is mounted at `{}`, and it is not a tmpfs; unmount it", path.display())]
    ForeignMount {
        /// The target.
        path: PathBuf,
    },
}

/// Never a final code for what a later call may mend: on a republish it can cost the pod its mount (see [`TokensError`]).
///
/// [`TokensError`]: crate::TokensError
impl From<MountError> for Status {
    fn from(error: MountError) -> Self {
        let code = match &error {
            MountError::ForeignFiles { .. }
            | MountError::ForeignMount { .. }
            | MountError::NotADirectory { .. } => Code::FailedPrecondition,
            MountError::NoParent { .. } => Code::Internal,
            MountError::Io { .. } => Code::Unavailable,
        };
        Self::new(code, with_causes(&error))
    }
}

impl MountError {
    fn io(action: &'static str, path: &Path, source: impl Into<io::Error>) -> Self {
        Self::Io { action, path: path.to_owned(), source: source.into() }
    }
}

/// Makes and removes targets.
///
/// ```
/// use tokenward_driver::{MountPolicy, Mounter, TargetPath};
///
/// let place = tempfile::tempdir()?;
/// let target = TargetPath::parse(place.path().join("mount").to_str().unwrap_or_default())?;
/// let mounter = Mounter::new(1 << 20, MountPolicy::Never);
/// mounter.prepare(&target)?;
/// mounter.remove(&target)?;
/// mounter.remove(&target)?; // As often as one likes.
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Mounter {
    size: u64,
    may_mount: AtomicBool,
}

impl Mounter {
    /// A mounter whose tmpfs hold at most `size` bytes each (the kernel counts whole pages).
    ///
    /// Shown at [`Mounter`].
    #[must_use]
    pub fn new(size: u64, policy: MountPolicy) -> Self {
        Self { size, may_mount: AtomicBool::new(policy == MountPolicy::WherePermitted) }
    }

    /// Makes the target, or finds the one that an earlier call (or an earlier process) made: that one is never mounted anew.
    ///
    /// Shown at [`Mounter`].
    ///
    /// # Errors
    /// [`MountError`]; nothing that this call made is left then.
    pub fn prepare(&self, target: &TargetPath) -> Result<Prepared, MountError> {
        self.prepare_for(target, None)
    }

    /// The same for a group of readers (see [`AtomicWriter::with_group`]), which may go into the target.
    ///
    /// ```
    /// use tokenward_driver::csi::v1::NodePublishVolumeRequest;
    /// use tokenward_driver::{Mounter, Prepared, PublishTarget};
    /// use tonic::Status;
    ///
    /// /// The pod's `fsGroup` may read what is put there.
    /// fn prepare(mounter: &Mounter, request: &NodePublishVolumeRequest) -> Result<Prepared, Status> {
    ///     let target = PublishTarget::of(request)?;
    ///     Ok(mounter.prepare_for(&target.path, target.group)?)
    /// }
    /// # let _ = prepare;
    /// ```
    ///
    /// # Errors
    /// [`MountError`]; nothing that this call made is left then.
    pub fn prepare_for(&self, target: &TargetPath, group: Option<u32>) -> Result<Prepared, MountError> {
        let path = target.as_path();
        let made = self.make_directory(path)?;
        if is_our_mount(path)? {
            return Ok(Prepared { backing: Backing::Tmpfs, fresh: false });
        }
        if AtomicWriter::has_version(path) {
            return Ok(Prepared { backing: Backing::Directory, fresh: false });
        }
        refuse_foreign_files(path)?;
        let prepared = self.mount_or_keep(path, group);
        if prepared.is_err() && made {
            // The reason why it could not be mounted is what the caller wants to hear.
            let _ = fs::remove_dir(path);
        }
        prepared.map(|backing| Prepared { backing, fresh: true })
    }

    /// Unmounts and removes the target with all that is in it; good when there is nothing.
    ///
    /// Shown at [`Mounter`].
    ///
    /// # Errors
    /// [`MountError`]; a later call goes on where this one stopped.
    pub fn remove(&self, target: &TargetPath) -> Result<(), MountError> {
        let path = target.as_path();
        let kind = match fs::symlink_metadata(path) {
            Ok(metadata) => metadata.file_type(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(MountError::io("look at", path, error)),
        };
        if !kind.is_dir() {
            return fs::remove_file(path).map_err(|error| MountError::io("remove", path, error));
        }
        let mut stacked = 0;
        while is_our_mount(path)? {
            if stacked == STACKED_MOUNTS {
                return Err(MountError::io("unmount", path, Errno::BUSY));
            }
            unmount(path).map_err(|error| MountError::io("unmount", path, error))?;
            stacked += 1;
        }
        refuse_foreign_files(path)?;
        fs::remove_dir_all(path).map_err(|error| MountError::io("remove", path, error))
    }

    fn make_directory(&self, path: &Path) -> Result<bool, MountError> {
        match fs::DirBuilder::new().mode(0o700).create(path) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Err(MountError::NoParent { path: path.to_owned() })
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                let metadata =
                    fs::symlink_metadata(path).map_err(|error| MountError::io("look at", path, error))?;
                if metadata.is_dir() {
                    Ok(false)
                } else {
                    Err(MountError::NotADirectory { path: path.to_owned() })
                }
            }
            Err(error) => Err(MountError::io("make the directory", path, error)),
        }
    }

    fn mount_or_keep(&self, path: &Path, group: Option<u32>) -> Result<Backing, MountError> {
        if self.may_mount.load(Ordering::Relaxed) {
            match mount_tmpfs_for(path, self.size, group) {
                Ok(()) => return Ok(Backing::Tmpfs),
                // EACCES: so says AppArmor.
                Err(Errno::PERM | Errno::ACCESS) => {
                    if self.may_mount.swap(false, Ordering::Relaxed) {
                        tracing::warn!(
                            "this process may not mount: volumes are private directories (mode 0700) and not tmpfs, from now on"
                        );
                    }
                }
                Err(error) => return Err(MountError::io("mount a tmpfs at", path, error)),
            }
        }
        if group.is_some() {
            std::os::unix::fs::chown(path, None, group)
                .map_err(|error| MountError::io("set the group of", path, error))?;
        }
        fs::set_permissions(path, fs::Permissions::from_mode(root_mode(group)))
            .map_err(|error| MountError::io("set the mode of", path, error))?;
        Ok(Backing::Directory)
    }
}

/// Whether something is mounted at exactly this path (a link is not followed).
///
/// ```
/// assert!(tokenward_driver::is_mount_point("/proc".as_ref())?);
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// Asks `statx` for the mount root attribute; kernels before 5.8 do not tell, there a device other than the parent's counts.
///
/// # Errors
/// What the system said, also when there is nothing at the path.
pub fn is_mount_point(path: &Path) -> io::Result<bool> {
    let flags = AtFlags::SYMLINK_NOFOLLOW | AtFlags::NO_AUTOMOUNT;
    let found = rustix::fs::statx(CWD, path, flags, StatxFlags::BASIC_STATS)?;
    if found.stx_attributes_mask.contains(StatxAttributes::MOUNT_ROOT) {
        return Ok(found.stx_attributes.contains(StatxAttributes::MOUNT_ROOT));
    }
    let Some(parent) = path.parent() else { return Ok(true) };
    let parent = rustix::fs::statx(CWD, parent, AtFlags::NO_AUTOMOUNT, StatxFlags::BASIC_STATS)?;
    Ok((found.stx_dev_major, found.stx_dev_minor) != (parent.stx_dev_major, parent.stx_dev_minor))
}

/// Mounts an empty tmpfs at `path`: mode 0700, no set-user-id, no devices, no programs, at most `size` bytes, not swapped where
/// the kernel can promise that (6.3).
///
/// ```no_run
/// tokenward_driver::mount_tmpfs("/run/vault/tokens".as_ref(), 1 << 20)?;
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// # Errors
/// The kernel's; [`Errno::PERM`] or [`Errno::ACCESS`] when the process may not mount.
pub fn mount_tmpfs(path: &Path, size: u64) -> rustix::io::Result<()> {
    mount_tmpfs_for(path, size, None)
}

/// Mode of the root of a volume.
fn root_mode(group: Option<u32>) -> u32 {
    if group.is_some() { 0o750 } else { 0o700 }
}

fn mount_tmpfs_for(path: &Path, size: u64, group: Option<u32>) -> rustix::io::Result<()> {
    let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    let mode = root_mode(group);
    let group = group.map(|group| format!(",gid={group}")).unwrap_or_default();
    let mount = |swap: &str| {
        let data = CString::new(format!("size={size},mode={mode:04o}{group}{swap}"))
            .expect("digits and words hold no NUL");
        rustix::mount::mount("tokenward", path, "tmpfs", flags, data.as_c_str())
    };
    match mount(",noswap") {
        Err(Errno::INVAL) => mount(""),
        mounted => mounted,
    }
}

fn is_our_mount(path: &Path) -> Result<bool, MountError> {
    let mounted = is_mount_point(path).map_err(|error| MountError::io("look at", path, error))?;
    if mounted && !is_tmpfs(path) {
        return Err(MountError::ForeignMount { path: path.to_owned() });
    }
    Ok(mounted)
}

fn refuse_foreign_files(path: &Path) -> Result<(), MountError> {
    match AtomicWriter::may_own(path) {
        Ok(true) => Ok(()),
        Ok(false) => Err(MountError::ForeignFiles { path: path.to_owned() }),
        Err(error) => Err(MountError::io("list", path, error)),
    }
}

/// Unmounts what is on top at `path`; lazily when a process still works in it, and then emptied first if it is a tmpfs: a detached
/// one lives on with its files until that process leaves.
fn unmount(path: &Path) -> io::Result<()> {
    match rustix::mount::unmount(path, UnmountFlags::NOFOLLOW) {
        Err(Errno::BUSY) => {
            if is_tmpfs(path) {
                empty(path)?;
            }
            Ok(rustix::mount::unmount(path, UnmountFlags::NOFOLLOW | UnmountFlags::DETACH)?)
        }
        unmounted => Ok(unmounted?),
    }
}

fn empty(directory: &Path) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            fs::remove_dir_all(entry.path())?;
        } else {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

fn is_tmpfs(path: &Path) -> bool {
    rustix::fs::statfs(path)
        .is_ok_and(|found| u64::try_from(found.f_type).is_ok_and(|kind| kind == TMPFS_MAGIC))
}

#[cfg(test)]
pub(crate) mod tests;
