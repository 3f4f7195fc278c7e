//! What goes into the planner and what comes out of it.

use std::sync::Arc;

use jiff::Timestamp;

use super::FoundKey;
use crate::cluster::PodReference;
use crate::volume::{DeviceKey, PublishedVolume, VolumeKey, VolumeSecurity, VolumeSpec};

/// What a pod wants of this node.
#[derive(Clone, Debug, PartialEq)]
pub struct PodIntent {
    /// The pod.
    pub pod: PodReference,
    /// Its volumes that may be CSI volumes.
    pub volumes: Vec<VolumeIntent>,
    /// Whether its volumes are to be mounted: not when it is terminating or has ended.
    pub wanted: bool,
    /// Whether its deletion has begun and waits for this node.
    pub terminating: bool,
}

/// One volume of a [`PodIntent`].
#[derive(Clone, Debug, PartialEq)]
pub enum VolumeIntent {
    /// Inline: known at once.
    Known(Arc<VolumeSpec>),
    /// By claim: must be looked up.
    Claim(Arc<ClaimLookup>),
}

/// A claim to follow to its PersistentVolume.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimLookup {
    /// The pod.
    pub pod: PodReference,
    /// The pod's service account.
    pub service_account: String,
    /// What the pod's security context says about its volumes.
    pub security: VolumeSecurity,
    /// Name of the volume in the pod.
    pub volume: String,
    /// Name of the claim in the pod's namespace.
    pub claim_name: String,
    /// The claim reference's `readOnly`.
    pub read_only: bool,
    /// Whether the claim must be owned by the pod (generic ephemeral volumes).
    pub owned_by_pod: bool,
}

/// Something to do now; its end is reported to [`super::Planner::finished`].
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Follow a claim to its volume.
    Resolve(Arc<ClaimLookup>),
    /// NodeStageVolume, where the driver has it.
    Stage {
        /// A volume that uses the device.
        spec: Arc<VolumeSpec>,
        /// Whether an earlier process may have staged it: then nothing is ever cleaned up after a failure.
        again: bool,
    },
    /// NodePublishVolume.
    Publish {
        /// The volume.
        spec: Arc<VolumeSpec>,
        /// Whether it is mounted already, or was by an earlier process: then nothing is ever cleaned up after a failure.
        remount: bool,
    },
    /// NodeUnpublishVolume.
    Unpublish {
        /// Which volume of the pod.
        key: VolumeKey,
        /// What is published.
        published: PublishedVolume,
    },
    /// NodeUnpublishVolume of what an earlier process published and nobody wants any more.
    Reclaim(PublishedVolume),
    /// NodeUnstageVolume, where the driver has it.
    Unstage(DeviceKey),
    /// All volumes of a pod that ends are gone: remove what is left of its directories.
    ClosePod {
        /// The pod; without namespace and name if it was known from the disk alone.
        pod: PodReference,
        /// The pod object is still there and waits for this node: end its deletion.
        finish_deletion: bool,
    },
}

/// What an action was about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Subject {
    /// A volume of a pod.
    Volume(VolumeKey),
    /// A device.
    Device(DeviceKey),
    /// A volume of an earlier process.
    Found(FoundKey),
    /// A pod, by uid.
    Pod(String),
}

impl Action {
    /// What it is about.
    pub fn subject(&self) -> Subject {
        match self {
            Self::Resolve(lookup) => {
                Subject::Volume(VolumeKey { pod_uid: lookup.pod.uid.clone(), volume: lookup.volume.clone() })
            }
            Self::Stage { spec, .. } => {
                Subject::Device(spec.device().expect("only what has a device is staged"))
            }
            Self::Publish { spec, .. } => Subject::Volume(spec.key()),
            Self::Unpublish { key, .. } => Subject::Volume(key.clone()),
            Self::Reclaim(published) => Subject::Found(FoundKey {
                pod_uid: published.pod_uid.clone(),
                spec_name: published.spec_name.clone(),
                mode: published.mode,
            }),
            Self::Unstage(device) => Subject::Device(device.clone()),
            Self::ClosePod { pod, .. } => Subject::Pod(pod.uid.clone()),
        }
    }

    /// The driver it will call, if any.
    pub(super) fn driver(&self) -> &str {
        match self {
            Self::Stage { spec, .. } | Self::Publish { spec, .. } => spec.driver(),
            Self::Unpublish { published, .. } | Self::Reclaim(published) => &published.driver,
            Self::Unstage(device) => &device.driver,
            Self::Resolve(_) | Self::ClosePod { .. } => "",
        }
    }
}

/// How a finished action went well.
#[derive(Clone, Debug, PartialEq)]
pub enum Done {
    /// The claim leads to this CSI volume.
    Resolved(Arc<VolumeSpec>),
    /// The claim leads to a volume that is not CSI: none of our business.
    NotCsi,
    /// A stage, publish, unpublish, unstage or pod deletion succeeded.
    Ok,
}

/// What to do now and when to ask again.
#[derive(Debug, Default)]
pub struct Plan {
    /// To start now.
    pub actions: Vec<Action>,
    /// When the next action may become due, if nothing else happens before.
    pub wake: Option<Timestamp>,
}
