//! MountDevice: what is done once for a persistent volume, before its first publish.

use tokio::time::Instant;

use super::attachment::AttachmentError;
use super::{Mounter, blocking};
use crate::cluster::Cluster;
use crate::failure::Failure;
use crate::mount_dir::make_directories;
use crate::request::stage_request;
use crate::scrub::Scrubber;
use crate::vol_data::VolumeData;
use crate::volume::{VolumeMode, VolumeSource, VolumeSpec};

impl<C: Cluster> Mounter<C> {
    /// MountDevice: records the device and, where the driver has STAGE_UNSTAGE_VOLUME, stages it. What an earlier process
    /// may have staged (`again`) is not cleaned up after a refusal: pods may use it.
    ///
    /// # Errors
    /// Upstream's texts and classes.
    pub async fn stage(&self, spec: &VolumeSpec, again: bool) -> Result<(), Failure> {
        if spec.mode() == VolumeMode::Block {
            return self.stage_block(spec, again).await;
        }
        let (Some(device), VolumeSource::Persistent(parts)) = (spec.device(), &spec.source) else {
            return Ok(());
        };
        let driver =
            self.driver(spec.driver(), "attacher.MountDevice failed to create newCsiDriverClient")?;
        let deadline = Instant::now() + self.operation_limit;
        let (connection, capabilities) = self
            .probe(&driver, deadline)
            .await
            .map_err(|status| Failure::transient(self.status_text(&status)))?;
        let csi_driver = self.csi_drivers.get(spec.driver()).map_err(|error| {
            Failure::transient(format!("kubernetes.io/csi: attacher.MountDevice failed: {error}"))
        })?;
        let publish_context =
            self.attached_publish_context(spec, csi_driver.as_deref()).await.map_err(|error| {
                let text = match &error {
                    AttachmentError::Unknown(_) => format!("failed to get publishContext: {error}"),
                    AttachmentError::Waiting { .. } => format!("failed: {error}"),
                };
                error.failure(format!("kubernetes.io/csi: attacher.MountDevice {text}"))
            })?;
        let secret = match &parts.source.node_stage_secret_ref {
            Some(reference) if capabilities.stage_unstage => Some(self.secret("NodeStage", reference).await?),
            _ => None,
        };
        let staging = self.layout.staging(&device.driver, &device.volume_handle);
        let label = self.mount_label(spec, csi_driver.as_deref());
        let prepare = {
            let (staging, label) = (staging.clone(), label.clone());
            move || {
                make_directories(&staging)?;
                VolumeData::staged(&device).with_label(label.as_deref()).write_beside(&staging)
            }
        };
        blocking(prepare).await.map_err(|error| {
            let place = staging.display();
            Failure::transient(format!(
                "kubernetes.io/csi: attacher.MountDevice failed to create dir {place:?}: {error}"
            ))
        })?;
        if !capabilities.stage_unstage {
            return Ok(());
        }
        let request =
            stage_request(spec, capabilities, &staging, &publish_context, secret.as_ref(), label.as_deref())?;
        let answer = driver.stage(&connection, request, deadline).await;
        self.concluded(answer, || Scrubber::of(None, secret.as_ref()), &staging, !again).await
    }
}
