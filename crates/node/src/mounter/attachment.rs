//! Whether a volume is attached to this node, and what follows when the node has no room for it.

use tokenward_kube_rules::Release;
use tokenward_kube_rules::csi_driver::CsiDriverSpec;
use tonic::Code;

use super::{Mounter, StringMap};
use crate::cluster::{Cluster, ClusterError};
use crate::failure::Failure;
use crate::objects::VolumeAttachmentStatus;
use crate::paths::attachment_name;
use crate::request::attach_required;
use crate::scrub::Scrubber;
use crate::volume::VolumeSpec;

/// Why there is no publish context.
#[derive(Debug, thiserror::Error)]
pub(super) enum AttachmentError {
    /// The VolumeAttachment cannot be read.
    #[error(transparent)]
    Unknown(ClusterError),
    /// The attacher is not done.
    #[error("VolumeAttachment {name} is not attached yet{reason}")]
    Waiting {
        /// Its name.
        name: String,
        /// What went wrong in the last attempt, if anything, after a colon.
        reason: String,
        /// The node cannot take another.
        is_limit: bool,
    },
}

impl AttachmentError {
    /// The failure with this text.
    pub(super) fn failure(&self, text: String) -> Failure {
        let is_attachment_limit = matches!(self, Self::Waiting { is_limit: true, .. });
        Failure { is_attachment_limit, ..Failure::transient(text) }
    }
}

impl<C: Cluster> Mounter<C> {
    /// What the attacher wants the driver to be told, once the volume is attached; nothing where it need not be. (Upstream:
    /// WaitForAttach, then the publish context.)
    ///
    /// That the node has no room tells at once that it can take fewer volumes than its CSINode says: the driver is asked anew,
    /// where its CSIDriver lets that number change (KEP-4876; a kubelet finds out after 2 minutes).
    pub(super) async fn attached_publish_context(
        &self,
        spec: &VolumeSpec,
        csi_driver: Option<&CsiDriverSpec>,
    ) -> Result<StringMap, AttachmentError> {
        let attachment = self.attachment(spec, csi_driver).await.map_err(AttachmentError::Unknown)?;
        let Some(attachment) = attachment else { return Ok(StringMap::new()) };
        if attachment.attached {
            return Ok(attachment.attachment_metadata);
        }
        let is_limit = self.changes_allocatable(csi_driver) && is_exhausted(&attachment);
        if is_limit {
            self.drivers.tell_exhausted(spec.driver());
        }
        let reason = attachment.attach_error.map(|error| Scrubber::default().scrub(&error.message));
        Err(AttachmentError::Waiting {
            name: attachment_name(&spec.volume_handle, spec.driver(), &self.node_name),
            reason: reason.map(|reason| format!(": {reason}")).unwrap_or_default(),
            is_limit,
        })
    }

    /// The state of the volume's attachment to this node; `None` when it needs none.
    pub(super) async fn attachment(
        &self,
        spec: &VolumeSpec,
        csi_driver: Option<&CsiDriverSpec>,
    ) -> Result<Option<VolumeAttachmentStatus>, ClusterError> {
        if !attach_required(csi_driver) || spec.device().is_none() {
            return Ok(None);
        }
        let name = attachment_name(&spec.volume_handle, spec.driver(), &self.node_name);
        self.cluster.volume_attachment(&name).await.map(|attachment| Some(attachment.status))
    }

    /// Whether the number of volumes that fit may change while the driver is registered. MutableCSINodeAllocatableCount is
    /// on from 1.35 on.
    fn changes_allocatable(&self, csi_driver: Option<&CsiDriverSpec>) -> bool {
        let period = csi_driver.and_then(|spec| spec.node_allocatable_update_period_seconds);
        self.gates.release() >= Release::V1_35 && period.is_some()
    }
}

fn is_exhausted(attachment: &VolumeAttachmentStatus) -> bool {
    let code = attachment.attach_error.as_ref().and_then(|error| error.error_code);
    code == Some(Code::ResourceExhausted as i32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::objects::VolumeError;

    #[test]
    fn only_the_code_of_exhausted_resources_tells_of_a_limit() {
        for (code, wanted) in [(Some(8), true), (Some(14), false), (Some(0), false), (None, false)] {
            let error = VolumeError { message: "RESOURCE_EXHAUSTED".to_owned(), error_code: code };
            let attachment =
                VolumeAttachmentStatus { attach_error: Some(error), ..VolumeAttachmentStatus::default() };
            assert_eq!(is_exhausted(&attachment), wanted, "{code:?}");
        }
        assert!(!is_exhausted(&VolumeAttachmentStatus::default()));
    }
}
