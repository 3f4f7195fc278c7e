//! The way back: NodeUnpublishVolume, NodeUnstageVolume, and removing what the kubelet made.

use std::io;
use std::path::{Path, PathBuf};

use tokenward_csi::v1::{NodeUnpublishVolumeRequest, NodeUnstageVolumeRequest};
use tokio::time::Instant;
use tracing::warn;

use super::block::remove_pod_device;
use super::{Mounter, blocking};
use crate::cluster::{Cluster, PodReference};
use crate::failure::Failure;
use crate::mount_dir::{remove_empty_up_to, remove_mount_directory};
use crate::vol_data::VolumeData;
use crate::volume::{DeviceKey, PublishedVolume, VolumeMode};

impl<C: Cluster> Mounter<C> {
    /// TearDownAt: NodeUnpublishVolume, then the directories. The driver should have removed the target; it need not.
    ///
    /// # Errors
    /// Upstream's texts; the volume counts as mounted until this succeeds.
    pub async fn unpublish(&self, published: &PublishedVolume) -> Result<(), Failure> {
        if published.mode == VolumeMode::Block {
            return self.unpublish_block(published).await;
        }
        let driver = self.driver(&published.driver, "Unmounter.TearDownAt failed to get CSI client")?;
        let deadline = Instant::now() + self.operation_limit;
        let target = self.layout.target(&published.pod_uid, &published.spec_name);
        let request = NodeUnpublishVolumeRequest {
            volume_id: published.volume_handle.clone(),
            target_path: target.to_string_lossy().into_owned(),
        };
        let answer = match driver.connection().await {
            Ok(connection) => driver.unpublish(&connection, request, deadline).await,
            Err(status) => Err(status),
        };
        let failed = |text: &str| {
            Failure::transient(format!("kubernetes.io/csi: Unmounter.TearDownAt failed: {text}"))
        };
        answer.map_err(|status| failed(&self.status_text(&status)))?;
        let (volumes, pods) = (self.layout.pod_volumes(&published.pod_uid), self.layout.pods());
        blocking(move || {
            remove_mount_directory(&target)?;
            remove_empty_up_to(&volumes, &pods);
            Ok(())
        })
        .await
        .map_err(|error| failed(&format!("failed to clean up mount dir: {error}")))
    }

    /// UnmountDevice: NodeUnstageVolume where the driver has it, then the directories. Without `vol_data.json` there is
    /// nothing to do.
    ///
    /// # Errors
    /// Upstream's texts; the device counts as staged until this succeeds.
    pub async fn unstage(&self, device: &DeviceKey) -> Result<(), Failure> {
        if let Some(name) = &device.block {
            return self.unstage_block(device, name).await;
        }
        let staging = self.layout.staging(&device.driver, &device.volume_handle);
        let failed = |text: String| {
            Failure::transient(format!("kubernetes.io/csi: attacher.UnmountDevice failed: {text}"))
        };
        let recorded = {
            let staging = staging.clone();
            blocking(move || VolumeData::read_beside(&staging)).await
        };
        match recorded {
            Ok(None) => return Ok(()),
            Ok(Some(_)) => {}
            // The device is known from memory; an unreadable record must not keep it mounted.
            Err(error) => warn!(path = %staging.display(), %error, "volume data file is unreadable"),
        }
        let driver =
            self.driver(&device.driver, "attacher.UnmountDevice failed to create newCsiDriverClient")?;
        let deadline = Instant::now() + self.operation_limit;
        let (connection, capabilities) =
            self.probe(&driver, deadline).await.map_err(|status| failed(self.status_text(&status)))?;
        if capabilities.stage_unstage {
            let request = NodeUnstageVolumeRequest {
                volume_id: device.volume_handle.clone(),
                staging_target_path: staging.to_string_lossy().into_owned(),
            };
            driver
                .unstage(&connection, request, deadline)
                .await
                .map_err(|status| failed(self.status_text(&status)))?;
        }
        blocking(move || remove_mount_directory(&staging))
            .await
            .map_err(|error| failed(format!("failed to clean up global mount: {error}")))
    }

    /// Forgets an ended pod's tokens, removes what is left of its directories and, where it waits for that, ends its
    /// deletion. A directory with content, or with a mount that nobody knows of, is left.
    ///
    /// # Errors
    /// The deletion could not be ended.
    pub async fn close_pod(&self, pod: &PodReference, finish_deletion: bool) -> Result<(), Failure> {
        self.tokens.forget_pod(&pod.uid);
        let (layout, uid) = (self.layout.clone(), pod.uid.clone());
        let cleaned = blocking(move || {
            for directory in entries(&layout.pod_volumes(&uid))? {
                remove_mount_directory(&directory.join("mount"))?;
            }
            for link in entries(&layout.pod_devices(&uid))? {
                if let Ok(target) = std::fs::read_link(&link) {
                    remove_pod_device(&layout, &uid, &target, &link)?;
                }
            }
            remove_empty_up_to(&layout.pod_devices(&uid), &layout.pods());
            remove_empty_up_to(&layout.pod_volumes(&uid), &layout.pods());
            Ok(())
        });
        if let Err(error) = cleaned.await {
            warn!(%pod, uid = %pod.uid, %error, "directories of a pod that has ended are left");
        }
        if finish_deletion {
            self.cluster
                .finish_pod_deletion(pod)
                .await
                .map_err(|error| Failure::transient(format!("failed to end the pod's deletion: {error}")))?;
        }
        Ok(())
    }
}

/// What is in a directory that need not be there.
fn entries(directory: &Path) -> io::Result<Vec<PathBuf>> {
    match std::fs::read_dir(directory) {
        Ok(entries) => entries.map(|entry| Ok(entry?.path())).collect(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}
