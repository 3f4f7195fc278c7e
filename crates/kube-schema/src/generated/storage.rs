//! Types of the package storage. Made from kube-wire.tsv by tests/generated.rs: do not edit.

use tokenward_kube_rules::Release;

use crate::table::{Field, FieldType, ListType};

#[rustfmt::skip]
pub(super) const CSI_DRIVER: &[Field] = &[
    Field::one("metadata", 1, FieldType::Message(239 /* meta/v1.ObjectMeta */)).omit_empty(),
    Field::one("spec", 2, FieldType::Message(264 /* storage/v1.CSIDriverSpec */)),
];

#[rustfmt::skip]
pub(super) const CSI_DRIVER_SPEC: &[Field] = &[
    Field::one("attachRequired", 1, FieldType::Bool).omit_empty().pointer(),
    Field::one("podInfoOnMount", 2, FieldType::Bool).omit_empty().pointer(),
    Field::list("volumeLifecycleModes", 3, FieldType::String).omit_empty().merged(ListType::Set),
    Field::one("storageCapacity", 4, FieldType::Bool).omit_empty().pointer().gated("CSIStorageCapacity"),
    Field::one("fsGroupPolicy", 5, FieldType::String).omit_empty().pointer(),
    Field::list("tokenRequests", 6, FieldType::Message(269 /* storage/v1.TokenRequest */)).omit_empty().merged(ListType::Atomic),
    Field::one("requiresRepublish", 7, FieldType::Bool).omit_empty().pointer(),
    Field::one("seLinuxMount", 8, FieldType::Bool).omit_empty().pointer().gated("SELinuxMountReadWriteOncePod"),
    Field::one("nodeAllocatableUpdatePeriodSeconds", 9, FieldType::Int64).omit_empty().pointer().gated("MutableCSINodeAllocatableCount"),
    Field::one("serviceAccountTokenInSecrets", 10, FieldType::Bool).omit_empty().pointer().gated("CSIServiceAccountTokenSecrets").since(Release::V1_35),
    Field::one("preventPodSchedulingIfMissing", 11, FieldType::Bool).omit_empty().pointer().since(Release::V1_36),
];

#[rustfmt::skip]
pub(super) const CSI_NODE: &[Field] = &[
    Field::one("metadata", 1, FieldType::Message(239 /* meta/v1.ObjectMeta */)).omit_empty(),
    Field::one("spec", 2, FieldType::Message(267 /* storage/v1.CSINodeSpec */)),
];

#[rustfmt::skip]
pub(super) const CSI_NODE_DRIVER: &[Field] = &[
    Field::one("name", 1, FieldType::String),
    Field::one("nodeID", 2, FieldType::String),
    Field::list("topologyKeys", 3, FieldType::String).merged(ListType::Atomic),
    Field::one("allocatable", 4, FieldType::Message(275 /* storage/v1.VolumeNodeResources */)).omit_empty().pointer(),
];

#[rustfmt::skip]
pub(super) const CSI_NODE_SPEC: &[Field] = &[
    Field::list("drivers", 1, FieldType::Message(266 /* storage/v1.CSINodeDriver */)).merged(ListType::Map(&["name"])).patched("name", false),
];

#[rustfmt::skip]
pub(super) const STORAGE_CLASS: &[Field] = &[
    Field::one("metadata", 1, FieldType::Message(239 /* meta/v1.ObjectMeta */)).omit_empty(),
    Field::one("provisioner", 2, FieldType::String),
    Field::map("parameters", 3, FieldType::String).omit_empty(),
    Field::one("reclaimPolicy", 4, FieldType::String).omit_empty().pointer(),
    Field::list("mountOptions", 5, FieldType::String).omit_empty().merged(ListType::Atomic),
    Field::one("allowVolumeExpansion", 6, FieldType::Bool).omit_empty().pointer(),
    Field::one("volumeBindingMode", 7, FieldType::String).omit_empty().pointer(),
    Field::list("allowedTopologies", 8, FieldType::Message(207 /* core/v1.TopologySelectorTerm */)).omit_empty().merged(ListType::Atomic),
];

#[rustfmt::skip]
pub(super) const TOKEN_REQUEST: &[Field] = &[
    Field::one("audience", 1, FieldType::String),
    Field::one("expirationSeconds", 2, FieldType::Int64).omit_empty().pointer(),
];

#[rustfmt::skip]
pub(super) const VOLUME_ATTACHMENT: &[Field] = &[
    Field::one("metadata", 1, FieldType::Message(239 /* meta/v1.ObjectMeta */)).omit_empty(),
    Field::one("spec", 2, FieldType::Message(272 /* storage/v1.VolumeAttachmentSpec */)),
    Field::one("status", 3, FieldType::Message(273 /* storage/v1.VolumeAttachmentStatus */)).omit_empty(),
];

#[rustfmt::skip]
pub(super) const VOLUME_ATTACHMENT_SOURCE: &[Field] = &[
    Field::one("persistentVolumeName", 1, FieldType::String).omit_empty().pointer(),
    Field::one("inlineVolumeSpec", 2, FieldType::Message(151 /* core/v1.PersistentVolumeSpec */)).omit_empty().pointer(),
];

#[rustfmt::skip]
pub(super) const VOLUME_ATTACHMENT_SPEC: &[Field] = &[
    Field::one("attacher", 1, FieldType::String),
    Field::one("source", 2, FieldType::Message(271 /* storage/v1.VolumeAttachmentSource */)),
    Field::one("nodeName", 3, FieldType::String),
];

#[rustfmt::skip]
pub(super) const VOLUME_ATTACHMENT_STATUS: &[Field] = &[
    Field::one("attached", 1, FieldType::Bool),
    Field::map("attachmentMetadata", 2, FieldType::String).omit_empty(),
    Field::one("attachError", 3, FieldType::Message(274 /* storage/v1.VolumeError */)).omit_empty().pointer(),
    Field::one("detachError", 4, FieldType::Message(274 /* storage/v1.VolumeError */)).omit_empty().pointer(),
];

#[rustfmt::skip]
pub(super) const VOLUME_ERROR: &[Field] = &[
    Field::one("time", 1, FieldType::Time).omit_empty(),
    Field::one("message", 2, FieldType::String).omit_empty(),
    Field::one("errorCode", 3, FieldType::Int32).omit_empty().pointer().gated("MutableCSINodeAllocatableCount"),
];

#[rustfmt::skip]
pub(super) const VOLUME_NODE_RESOURCES: &[Field] = &[
    Field::one("count", 1, FieldType::Int32).omit_empty().pointer(),
];
