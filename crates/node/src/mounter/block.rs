//! Raw block volumes: the same calls with other paths. A pod's device is a link to where the driver publishes it, and is made
//! before the driver is called: it is what a restart finds the publish by.
//!
//! Of what a kubelet does with the device after that for its containers (binding it below `dev`, a loop device as a lock)
//! nothing is done here.

use std::fs::{read_link, remove_dir, remove_file};
use std::io;
use std::os::unix::fs::{FileTypeExt as _, symlink};
use std::path::Path;

use tokenward_csi::v1::{NodeUnpublishVolumeRequest, NodeUnstageVolumeRequest};
use tokio::time::Instant;

use super::{Mounter, Published, blocking, publish_secret_reference};
use crate::cluster::Cluster;
use crate::failure::{Class, Failure};
use crate::fault;
use crate::mount_dir::{ignore_missing, is_mount_point, make_directories, remove_empty_up_to};
use crate::paths::Layout;
use crate::request::{PublishParts, publish_request, stage_request};
use crate::scrub::Scrubber;
use crate::vol_data::VolumeData;
use crate::volume::{DeviceKey, PublishedVolume, VolumeSource, VolumeSpec};

impl<C: Cluster> Mounter<C> {
    /// SetUpDevice: records the device and, where the driver has STAGE_UNSTAGE_VOLUME, stages it.
    pub(super) async fn stage_block(&self, spec: &VolumeSpec, again: bool) -> Result<(), Failure> {
        let failed = |text: String| Failure::transient(format!("kubernetes.io/csi: blockMapper.{text}"));
        let VolumeSource::Persistent(parts) = &spec.source else { return Ok(()) };
        let csi_driver = self.csi_drivers.get(spec.driver()).map_err(|error| failed(format!("{error}")))?;
        let publish_context =
            self.attached_publish_context(spec, csi_driver.as_deref()).await.map_err(|error| {
                error.failure(format!(
                    "kubernetes.io/csi: blockMapper.SetupDevice failed to get volume attachment {error}"
                ))
            })?;
        let driver = self.driver(spec.driver(), "blockMapper.SetUpDevice failed to get CSI client")?;
        let deadline = Instant::now() + self.operation_limit;
        let (connection, capabilities) = self.probe(&driver, deadline).await.map_err(|status| {
            let status = self.status_text(&status);
            failed(format!("stageVolumeForBlock failed to check STAGE_UNSTAGE_VOLUME capability: {status}"))
        })?;
        let secret = match &parts.source.node_stage_secret_ref {
            Some(reference) if capabilities.stage_unstage => Some(self.secret("NodeStage", reference).await?),
            _ => None,
        };
        let staging = self.layout.block_staging(&spec.spec_name);
        let record = self.layout.block_record(&spec.spec_name);
        let data = VolumeData::block(spec, &self.node_name);
        let prepare = {
            let (staging, stages) = (staging.clone(), capabilities.stage_unstage);
            move || {
                make_directories(record.parent().unwrap_or(&record))?;
                data.write_beside(&record)?;
                if stages { make_directories(&staging) } else { Ok(()) }
            }
        };
        blocking(prepare).await.map_err(|error| {
            failed(format!("stageVolumeForBlock failed to create dir {}: {error}", staging.display()))
        })?;
        if !capabilities.stage_unstage {
            return Ok(());
        }
        let request = stage_request(spec, capabilities, &staging, &publish_context, secret.as_ref(), None)?;
        let answer = driver.stage(&connection, request, deadline).await;
        let concluded = self.concluded(answer, || Scrubber::of(None, secret.as_ref()), &staging, false).await;
        if !again && concluded.as_ref().is_err_and(|failure| failure.class == Class::Final) {
            let (layout, name) = (self.layout.clone(), spec.spec_name.clone());
            if let Err(error) = blocking(move || remove_device_directories(&layout, &name)).await {
                tracing::warn!(volume = %spec.spec_name, %error, "failed to clean up a block volume");
            }
        }
        concluded
    }

    /// MapPodDevice: links the pod's device, and calls NodePublishVolume. There are no tokens for block volumes, as
    /// upstream has it.
    pub(super) async fn publish_block(&self, spec: &VolumeSpec, remount: bool) -> Result<Published, Failure> {
        let failed = |text: String| Failure::transient(format!("kubernetes.io/csi: blockMapper.{text}"));
        let csi_driver = self.csi_drivers.get(spec.driver()).map_err(|error| failed(format!("{error}")))?;
        let publish_context = self
            .attached_publish_context(spec, csi_driver.as_deref())
            .await
            .map_err(|error| failed(format!("MapPodDevice failed to get volume attachment {error}")))?;
        let driver = self.driver(spec.driver(), "blockMapper.MapPodDevice failed to get CSI client")?;
        let deadline = Instant::now() + self.operation_limit;
        let secret = match publish_secret_reference(spec) {
            Some(reference) => Some(self.secret("NodePublish", &reference).await?),
            None => None,
        };
        let (connection, capabilities) =
            self.probe(&driver, deadline).await.map_err(|status| failed(self.status_text(&status)))?;
        let staging = capabilities.stage_unstage.then(|| self.layout.block_staging(&spec.spec_name));
        let target = self.layout.block_target(&spec.pod.uid, &spec.spec_name);
        let link = self.layout.pod_device(&spec.pod.uid, &spec.spec_name);
        let prepare = {
            let (target, link) = (target.clone(), link.clone());
            move || {
                make_directories(target.parent().unwrap_or(&target))?;
                link_device(&target, &link)
            }
        };
        blocking(prepare).await.map_err(|error| {
            failed(format!("publishVolumeForBlock failed to create dir {}: {error}", target.display()))
        })?;
        let request = publish_request(&PublishParts {
            spec,
            csi_driver: csi_driver.as_deref(),
            capabilities,
            target: &target,
            staging: staging.as_deref(),
            publish_context: &publish_context,
            secret: secret.as_ref(),
            tokens: None,
            drop_forged_keys: self.drop_forged_keys,
            se_linux_label: None,
        })?;
        let answer = driver.publish(&connection, request, deadline).await;
        let concluded = self.concluded(answer, || Scrubber::of(None, secret.as_ref()), &target, false).await;
        if !remount && concluded.as_ref().is_err_and(|failure| failure.class == Class::Final) {
            let (layout, uid) = (self.layout.clone(), spec.pod.uid.clone());
            if let Err(error) = blocking(move || remove_pod_device(&layout, &uid, &target, &link)).await {
                tracing::warn!(volume = %spec.spec_name, %error, "failed to clean up a pod's device");
            }
        }
        concluded.map(|()| Published::default())
    }

    /// UnmapPodDevice: NodeUnpublishVolume, then what is left of the pod's device.
    pub(super) async fn unpublish_block(&self, published: &PublishedVolume) -> Result<(), Failure> {
        let driver = self.driver(&published.driver, "blockMapper.UnmapPodDevice failed to get CSI client")?;
        let deadline = Instant::now() + self.operation_limit;
        let target = self.layout.block_target(&published.pod_uid, &published.spec_name);
        let link = self.layout.pod_device(&published.pod_uid, &published.spec_name);
        let failed = |text: String| {
            Failure::transient(format!("kubernetes.io/csi: blockMapper.UnmapPodDevice failed: {text}"))
        };
        let request = NodeUnpublishVolumeRequest {
            volume_id: published.volume_handle.clone(),
            target_path: target.to_string_lossy().into_owned(),
        };
        let answer = match driver.connection().await {
            Ok(connection) => driver.unpublish(&connection, request, deadline).await,
            Err(status) => Err(status),
        };
        answer.map_err(|status| failed(self.status_text(&status)))?;
        let (layout, uid) = (self.layout.clone(), published.pod_uid.clone());
        blocking(move || remove_pod_device(&layout, &uid, &target, &link))
            .await
            .map_err(|error| failed(format!("failed to clean up: {error}")))
    }

    /// TearDownDevice: NodeUnstageVolume where the driver has it, then the directories.
    pub(super) async fn unstage_block(&self, device: &DeviceKey, name: &str) -> Result<(), Failure> {
        let failed = |text: String| {
            Failure::transient(format!("kubernetes.io/csi: blockMapper.TearDownDevice failed: {text}"))
        };
        let record = self.layout.block_record(name);
        if let Ok(None) = blocking(move || VolumeData::read_beside(&record)).await {
            return Ok(());
        }
        let driver = self.driver(&device.driver, "blockMapper.TearDownDevice failed to get CSI client")?;
        let deadline = Instant::now() + self.operation_limit;
        let (connection, capabilities) =
            self.probe(&driver, deadline).await.map_err(|status| failed(self.status_text(&status)))?;
        if capabilities.stage_unstage {
            let request = NodeUnstageVolumeRequest {
                volume_id: device.volume_handle.clone(),
                staging_target_path: self.layout.block_staging(name).to_string_lossy().into_owned(),
            };
            driver
                .unstage(&connection, request, deadline)
                .await
                .map_err(|status| failed(self.status_text(&status)))?;
        }
        let (layout, name) = (self.layout.clone(), name.to_owned());
        blocking(move || remove_device_directories(&layout, &name))
            .await
            .map_err(|error| failed(format!("failed to clean up: {error}")))
    }
}

/// Makes the pod's link to where its device will be.
fn link_device(target: &Path, link: &Path) -> io::Result<()> {
    if read_link(link).is_ok_and(|found| found == target) {
        return Ok(());
    }
    make_directories(link.parent().unwrap_or(link))?;
    ignore_missing(remove_file(link))?;
    fault::point("the device is linked");
    symlink(target, link)
}

/// Removes what a driver has left where it published, if that is nobody's data, then the pod's link and directories.
pub(crate) fn remove_pod_device(
    layout: &Layout,
    pod_uid: &str,
    target: &Path,
    link: &Path,
) -> io::Result<()> {
    fault::point("the device is removed");
    if !is_mount_point(target)?
        && let Ok(metadata) = target.symlink_metadata()
    {
        let kind = metadata.file_type();
        let is_empty_file = kind.is_file() && metadata.len() == 0;
        if kind.is_dir() {
            ignore_missing(remove_dir(target))?;
        } else if is_empty_file || kind.is_symlink() || kind.is_block_device() || kind.is_char_device() {
            ignore_missing(remove_file(target))?;
        } else {
            return Err(io::Error::new(
                io::ErrorKind::DirectoryNotEmpty,
                format!("{} holds data that no mount does: look at it and remove it", target.display()),
            ));
        }
    }
    fault::point("the link of the device is removed");
    if link.is_symlink() {
        ignore_missing(remove_file(link))?;
    }
    remove_empty_up_to(&layout.pod_devices(pod_uid), &layout.pods());
    Ok(())
}

/// Removes the directories of a device, the record last but its own directory.
fn remove_device_directories(layout: &Layout, name: &str) -> io::Result<()> {
    let (staging, record) = (layout.block_staging(name), layout.block_record(name));
    if let Some(published) = layout.block_target("pod", name).parent() {
        ignore_missing(remove_dir(published))?;
    }
    if !is_mount_point(&staging)? {
        ignore_missing(remove_dir(&staging))?;
    }
    fault::point("the record of the device is removed");
    ignore_missing(remove_file(VolumeData::path_beside(&record)))?;
    ignore_missing(remove_file(VolumeData::partial_path_beside(&record)))?;
    remove_empty_up_to(record.parent().unwrap_or(&record), &layout.block_devices());
    Ok(())
}
