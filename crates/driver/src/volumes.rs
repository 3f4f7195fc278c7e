//! Volumes of files, published as often as the kubelet likes: the whole way from a set of files to a target, and back.

use jiff::Timestamp;
use tonic::Status;

use crate::atomic::{AtomicWriter, WriteError, Written};
use crate::files::FileSet;
use crate::mount::{Backing, MountError, MountPolicy, Mounter, TargetPath};
use crate::requests::PublishTarget;
use crate::token_set::with_causes;

/// Volumes whose files a driver keeps up to date.
///
/// Both operations may be repeated, and after any crash: the target is the only state.
///
/// ```
/// use tokenward_driver::csi::v1::{NodePublishVolumeRequest, NodeUnpublishVolumeRequest};
/// use tokenward_driver::tokens::Clock;
/// use tokenward_driver::{FileSet, FileVolumes, MountPolicy, PublishTarget, unpublish_target};
/// use tonic::Status;
///
/// struct Driver {
///     volumes: FileVolumes,
///     clock: Clock,
/// }
///
/// impl Driver {
///     fn publish(&self, request: &NodePublishVolumeRequest, files: &FileSet) -> Result<(), Status> {
///         let target = PublishTarget::of(request)?;
///         self.volumes.publish(&target, files, self.clock.now())?;
///         Ok(())
///     }
///
///     fn unpublish(&self, request: &NodeUnpublishVolumeRequest) -> Result<(), Status> {
///         Ok(self.volumes.unpublish(&unpublish_target(request)?)?)
///     }
/// }
/// # let _ = Driver { volumes: FileVolumes::new(1 << 20, MountPolicy::Never), clock: Clock::system() };
/// ```
#[derive(Debug)]
pub struct FileVolumes {
    mounter: Mounter,
}

/// What a publish did.
///
/// ```
/// use tokenward_driver::{Backing, Published, Written};
///
/// fn log(published: Published) {
///     if published.written == Written::Replaced && published.backing == Backing::Directory {
///         println!("files on the disk of the node");
///     }
/// }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Published {
    /// What holds the files.
    pub backing: Backing,
    /// Whether files were written.
    pub written: Written,
}

/// Why a volume of files could not be published.
///
/// ```
/// use tokenward_driver::{MountError, PublishError};
///
/// let error = PublishError::from(MountError::NotADirectory { path: "/target".into() });
/// assert_eq!(tonic::Status::from(error).code(), tonic::Code::FailedPrecondition);
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PublishError {
    /// The target could not be made.
    #[error(transparent)]
    Target(#[from] MountError),
    /// The files could not be written; of a volume that was there the old ones stay.
    #[error(transparent)]
    Files(#[from] WriteError),
}

impl From<PublishError> for Status {
    fn from(error: PublishError) -> Self {
        match error {
            PublishError::Target(error) => error.into(),
            PublishError::Files(error) => error.into(),
        }
    }
}

impl FileVolumes {
    /// Volumes of at most `size` bytes each, which hold three versions of the files; mounted as `policy` says.
    ///
    /// Shown at [`FileVolumes`].
    #[must_use]
    pub fn new(size: u64, policy: MountPolicy) -> Self {
        Self { mounter: Mounter::new(size, policy) }
    }

    /// Makes the volume with these files, or brings the one that is there up to date. A volume that this call made and could not fill is
    /// taken away again.
    ///
    /// Shown at [`FileVolumes`].
    ///
    /// # Errors
    /// [`PublishError`].
    pub fn publish(
        &self,
        target: &PublishTarget,
        files: &FileSet,
        now: Timestamp,
    ) -> Result<Published, PublishError> {
        let prepared = self.mounter.prepare_for(&target.path, target.group)?;
        let writer = AtomicWriter::new(target.path.as_path()).with_group(target.group);
        match writer.write(files, now) {
            Ok(written) => Ok(Published { backing: prepared.backing, written }),
            Err(error) => {
                // Of a volume that was there containers hold the old files: it stays.
                if prepared.fresh
                    && let Err(error) = self.mounter.remove(&target.path)
                {
                    let error = with_causes(&error);
                    tracing::warn!(error, "a volume that could not be written stays behind");
                }
                Err(error.into())
            }
        }
    }

    /// Takes the volume away; good when there is none.
    ///
    /// Shown at [`FileVolumes`].
    ///
    /// # Errors
    /// [`MountError`]; a later call goes on where this one stopped.
    pub fn unpublish(&self, target: &TargetPath) -> Result<(), MountError> {
        self.mounter.remove(target)
    }
}
