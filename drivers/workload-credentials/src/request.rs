//! What this driver wants of a publish request beside what the specification demands.

use tokenward_driver::PublishTarget;
use tokenward_driver::csi::v1::NodePublishVolumeRequest;
use tonic::Status;

/// Checks a request; the volume must be for reading only.
pub(crate) fn check_publish(request: &NodePublishVolumeRequest) -> Result<PublishTarget, Status> {
    let target = PublishTarget::of(request)?;
    // The kubelet mounts it read-only into containers then: what the driver reads there is what it wrote.
    if !request.readonly {
        return Err(Status::invalid_argument(
            "readonly is not set: volumes of this driver are for reading; set `readOnly: true` of the pod's csi volume",
        ));
    }
    Ok(target)
}
