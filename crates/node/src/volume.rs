//! A volume of a pod with everything decided that does not change while the pod lives.

use std::fmt;

use crate::cluster::PodReference;
use crate::objects::{InlineSource, PersistentSource, SeLinuxOptions};

/// A volume of a pod on this node, by the pod's uid and the volume's name in the pod.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VolumeKey {
    /// The pod's identity.
    pub pod_uid: String,
    /// `pod.spec.volumes[].name`.
    pub volume: String,
}

impl fmt::Display for VolumeKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.pod_uid, self.volume)
    }
}

/// A persistent volume on this node, shared by all pods that use it: what is staged once.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DeviceKey {
    /// Name of the CSI driver.
    pub driver: String,
    /// The driver's name of the volume.
    pub volume_handle: String,
    /// Of a raw block volume, the PersistentVolume's name: its staging path is made of that, not of the handle.
    pub block: Option<String>,
}

impl fmt::Display for DeviceKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}^{}", self.driver, self.volume_handle)
    }
}

/// What an unpublish needs to know, and `vol_data.json` remembers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublishedVolume {
    /// The pod's identity.
    pub pod_uid: String,
    /// Name of the directory: the pod's volume name for inline, the PersistentVolume's name otherwise.
    pub spec_name: String,
    /// Name of the CSI driver.
    pub driver: String,
    /// The driver's name of the volume.
    pub volume_handle: String,
    /// Whether it is a directory or a device.
    pub mode: VolumeMode,
}

/// `PersistentVolume.spec.volumeMode`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum VolumeMode {
    /// Mounted into a directory.
    #[default]
    Filesystem,
    /// A raw device.
    Block,
}

/// What a pod's security context says about its volumes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VolumeSecurity {
    /// Group that volumes are to belong to.
    pub fs_group: Option<i64>,
    /// Leave a volume alone whose root belongs to the group already (`fsGroupChangePolicy: OnRootMismatch`).
    pub on_root_mismatch: bool,
    /// Whom the pod's processes run as under SELinux, if it says so.
    pub se_linux: Option<SeLinuxOptions>,
}

/// A CSI volume of a pod, resolved: claims followed, handle computed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VolumeSpec {
    /// The pod.
    pub pod: PodReference,
    /// The pod's service account.
    pub service_account: String,
    /// What the pod's security context says about it.
    pub security: VolumeSecurity,
    /// Name of the volume in the pod.
    pub volume: String,
    /// Name of the volume's directory and in error texts: [`PublishedVolume::spec_name`].
    pub spec_name: String,
    /// The driver's name of the volume.
    pub volume_handle: String,
    /// Whether to mount read-only: from the inline source, or from the pod's claim reference.
    pub read_only: bool,
    /// Where it comes from.
    pub source: VolumeSource,
}

/// Where a volume comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum VolumeSource {
    /// In the pod itself.
    Inline(InlineSource),
    /// A PersistentVolume.
    Persistent(Box<PersistentParts>),
}

/// What counts of a PersistentVolume.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PersistentParts {
    /// Its CSI source.
    pub source: PersistentSource,
    /// Its access modes; drivers are told the first.
    pub access_modes: Vec<String>,
    /// Its mount options.
    pub mount_options: Vec<String>,
    /// Whether it is a filesystem or a device.
    pub mode: VolumeMode,
}

/// `CSIDriver.spec.volumeLifecycleModes` and `vol_data.json`'s word for the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LifecycleMode {
    /// Inline in the pod.
    Ephemeral,
    /// A PersistentVolume.
    Persistent,
}

impl LifecycleMode {
    /// As Kubernetes writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ephemeral => "Ephemeral",
            Self::Persistent => "Persistent",
        }
    }
}

impl VolumeSpec {
    /// Its key.
    pub fn key(&self) -> VolumeKey {
        VolumeKey { pod_uid: self.pod.uid.clone(), volume: self.volume.clone() }
    }

    /// Name of the CSI driver.
    pub fn driver(&self) -> &str {
        match &self.source {
            VolumeSource::Inline(source) => &source.driver,
            VolumeSource::Persistent(parts) => &parts.source.driver,
        }
    }

    /// What is staged for it: nothing for inline volumes.
    pub fn device(&self) -> Option<DeviceKey> {
        match &self.source {
            VolumeSource::Inline(_) => None,
            VolumeSource::Persistent(parts) => Some(DeviceKey {
                driver: parts.source.driver.clone(),
                volume_handle: self.volume_handle.clone(),
                block: (parts.mode == VolumeMode::Block).then(|| self.spec_name.clone()),
            }),
        }
    }

    /// Whether it is a directory or a device.
    pub fn mode(&self) -> VolumeMode {
        match &self.source {
            VolumeSource::Inline(_) => VolumeMode::Filesystem,
            VolumeSource::Persistent(parts) => parts.mode,
        }
    }

    /// Its lifecycle mode.
    pub fn lifecycle_mode(&self) -> LifecycleMode {
        match &self.source {
            VolumeSource::Inline(_) => LifecycleMode::Ephemeral,
            VolumeSource::Persistent(_) => LifecycleMode::Persistent,
        }
    }

    /// What its unpublish needs.
    pub fn published(&self) -> PublishedVolume {
        PublishedVolume {
            pod_uid: self.pod.uid.clone(),
            spec_name: self.spec_name.clone(),
            driver: self.driver().to_owned(),
            volume_handle: self.volume_handle.clone(),
            mode: self.mode(),
        }
    }
}
