//! What a request must have, by the CSI specification: checked once, into types that cannot be wrong.

use tokenward_csi::v1::volume_capability::{AccessType, MountVolume};
use tokenward_csi::v1::{NodePublishVolumeRequest, NodeUnpublishVolumeRequest, VolumeCapability};
use tonic::Status;

use crate::mount::{TargetPath, TargetPathError};

/// Where a volume of files is to be published, and for whom.
///
/// ```
/// use tokenward_driver::csi::v1::NodePublishVolumeRequest;
/// use tokenward_driver::{PublishTarget, RequestError};
///
/// let error = PublishTarget::of(&NodePublishVolumeRequest::default()).unwrap_err();
/// assert_eq!(error, RequestError::Missing { field: "volume_id" });
/// assert_eq!(tonic::Status::from(error).code(), tonic::Code::InvalidArgument);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PublishTarget {
    /// The path.
    pub path: TargetPath,
    /// The group that is to read the files: the pod's `fsGroup`, which comes only to drivers with the capability VOLUME_MOUNT_GROUP.
    pub group: Option<u32>,
}

/// What is wrong with a request. As a status INVALID_ARGUMENT, with the name of the field.
///
/// ```
/// use tokenward_driver::RequestError;
///
/// let error = RequestError::Missing { field: "target_path" };
/// assert_eq!(error.to_string(), "target_path is missing in the request");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RequestError {
    /// A block device is wanted.
    #[error(
        "volume_capability.block: this driver delivers files; ask for volume_capability.mount (volumeMode Filesystem)"
    )]
    Block,
    /// A group that is no number.
    #[error("volume_capability.mount.volume_mount_group: wanted the number of a group")]
    Group,
    /// A field that must be there is not.
    #[error("{field} is missing in the request")]
    Missing {
        /// The field.
        field: &'static str,
    },
    /// The target cannot be used.
    #[error("target_path: {0}")]
    Target(#[from] TargetPathError),
}

impl From<RequestError> for Status {
    fn from(error: RequestError) -> Self {
        Self::invalid_argument(error.to_string())
    }
}

impl PublishTarget {
    /// Checks what the specification demands of NodePublishVolume.
    ///
    /// Shown at [`PublishTarget`].
    ///
    /// # Errors
    /// The first thing that is missing, or that a driver of files cannot do.
    pub fn of(request: &NodePublishVolumeRequest) -> Result<Self, RequestError> {
        let path = target(&request.volume_id, &request.target_path)?;
        let missing = |field| RequestError::Missing { field };
        let Some(VolumeCapability { access_mode, access_type, .. }) = &request.volume_capability else {
            return Err(missing("volume_capability"));
        };
        let group = match access_type {
            Some(AccessType::Mount(mount)) => mount_group(mount)?,
            Some(AccessType::Block(_)) => return Err(RequestError::Block),
            None => return Err(missing("volume_capability.access_type")),
        };
        if access_mode.is_none() {
            return Err(missing("volume_capability.access_mode"));
        }
        Ok(Self { path, group })
    }
}

/// The target of an unpublish request, checked as the specification demands.
///
/// ```
/// use tokenward_driver::csi::v1::NodeUnpublishVolumeRequest;
/// use tokenward_driver::unpublish_target;
///
/// let request =
///     NodeUnpublishVolumeRequest { volume_id: "v".to_owned(), target_path: "/pod/../etc".to_owned() };
/// assert!(unpublish_target(&request).is_err());
/// ```
///
/// # Errors
/// When the volume id or the target is missing, or the target cannot be one.
pub fn unpublish_target(request: &NodeUnpublishVolumeRequest) -> Result<TargetPath, RequestError> {
    target(&request.volume_id, &request.target_path)
}

fn target(volume_id: &str, target_path: &str) -> Result<TargetPath, RequestError> {
    if volume_id.is_empty() {
        return Err(RequestError::Missing { field: "volume_id" });
    }
    if target_path.is_empty() {
        return Err(RequestError::Missing { field: "target_path" });
    }
    Ok(TargetPath::parse(target_path)?)
}

fn mount_group(mount: &MountVolume) -> Result<Option<u32>, RequestError> {
    match mount.volume_mount_group.as_str() {
        "" => Ok(None),
        // The last number means "leave it" to the kernel.
        group => group.parse().ok().filter(|group| *group != u32::MAX).map(Some).ok_or(RequestError::Group),
    }
}

#[cfg(test)]
mod tests {
    use tokenward_csi::v1::volume_capability::AccessMode;

    use super::*;

    #[test]
    fn a_group_is_a_number() {
        let of = |group: &str| {
            let mount = MountVolume { volume_mount_group: group.to_owned(), ..Default::default() };
            let request = NodePublishVolumeRequest {
                volume_id: "v".to_owned(),
                target_path: "/target/".to_owned(),
                volume_capability: Some(VolumeCapability {
                    access_mode: Some(AccessMode::default()),
                    access_type: Some(AccessType::Mount(mount)),
                }),
                ..Default::default()
            };
            PublishTarget::of(&request).map(|target| target.group)
        };
        for (group, expected) in [
            ("", Ok(None)),
            ("0", Ok(Some(0))),
            ("4294967294", Ok(Some(4_294_967_294))),
            ("4294967295", Err(RequestError::Group)),
            ("-1", Err(RequestError::Group)),
            ("staff", Err(RequestError::Group)),
        ] {
            assert_eq!(of(group), expected, "{group}");
        }
    }
}
