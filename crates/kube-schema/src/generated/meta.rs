//! Types of the package meta. Made from kube-wire.tsv by tests/generated.rs: do not edit.

use crate::table::{Field, FieldType, ListType};

#[rustfmt::skip]
pub(super) const CONDITION: &[Field] = &[
    Field::one("type", 1, FieldType::String),
    Field::one("status", 2, FieldType::String),
    Field::one("observedGeneration", 3, FieldType::Int64).omit_empty(),
    Field::one("lastTransitionTime", 4, FieldType::Time),
    Field::one("reason", 5, FieldType::String),
    Field::one("message", 6, FieldType::String),
];

#[rustfmt::skip]
pub(super) const DELETE_OPTIONS: &[Field] = &[
    Field::one("gracePeriodSeconds", 1, FieldType::Int64).omit_empty().pointer(),
    Field::one("preconditions", 2, FieldType::Message(241 /* meta/v1.Preconditions */)).omit_empty().pointer(),
    Field::one("orphanDependents", 3, FieldType::Bool).omit_empty().pointer(),
    Field::one("propagationPolicy", 4, FieldType::String).omit_empty().pointer(),
    Field::list("dryRun", 5, FieldType::String).omit_empty().merged(ListType::Atomic),
    Field::one("ignoreStoreReadErrorWithClusterBreakingPotential", 6, FieldType::Bool).omit_empty().pointer(),
];

#[rustfmt::skip]
pub(super) const FIELD_SELECTOR_REQUIREMENT: &[Field] = &[
    Field::one("key", 1, FieldType::String),
    Field::one("operator", 2, FieldType::String),
    Field::list("values", 3, FieldType::String).omit_empty().merged(ListType::Atomic),
];

#[rustfmt::skip]
pub(super) const FIELDS_V1: &[Field] = &[
    Field::one("-", 1, FieldType::Bytes),
];

#[rustfmt::skip]
pub(super) const LABEL_SELECTOR: &[Field] = &[
    Field::map("matchLabels", 1, FieldType::String).omit_empty(),
    Field::list("matchExpressions", 2, FieldType::Message(235 /* meta/v1.LabelSelectorRequirement */)).omit_empty().merged(ListType::Atomic),
];

#[rustfmt::skip]
pub(super) const LABEL_SELECTOR_REQUIREMENT: &[Field] = &[
    Field::one("key", 1, FieldType::String),
    Field::one("operator", 2, FieldType::String),
    Field::list("values", 3, FieldType::String).omit_empty().merged(ListType::Atomic),
];

#[rustfmt::skip]
pub(super) const LIST_META: &[Field] = &[
    Field::one("selfLink", 1, FieldType::String).omit_empty(),
    Field::one("resourceVersion", 2, FieldType::String).omit_empty(),
    Field::one("continue", 3, FieldType::String).omit_empty(),
    Field::one("remainingItemCount", 4, FieldType::Int64).omit_empty().pointer(),
];

#[rustfmt::skip]
pub(super) const MANAGED_FIELDS_ENTRY: &[Field] = &[
    Field::one("manager", 1, FieldType::String).omit_empty(),
    Field::one("operation", 2, FieldType::String).omit_empty(),
    Field::one("apiVersion", 3, FieldType::String).omit_empty(),
    Field::one("time", 4, FieldType::Time).omit_empty().pointer(),
    Field::one("fieldsType", 6, FieldType::String).omit_empty(),
    Field::one("fieldsV1", 7, FieldType::FieldsV1).omit_empty().pointer(),
    Field::one("subresource", 8, FieldType::String).omit_empty(),
];

#[rustfmt::skip]
pub(super) const MICRO_TIME: &[Field] = &[
    Field::one("seconds", 1, FieldType::Int64),
    Field::one("nanos", 2, FieldType::Int32),
];

#[rustfmt::skip]
pub(super) const OBJECT_META: &[Field] = &[
    Field::one("name", 1, FieldType::String).omit_empty(),
    Field::one("generateName", 2, FieldType::String).omit_empty(),
    Field::one("namespace", 3, FieldType::String).omit_empty(),
    Field::one("selfLink", 4, FieldType::String).omit_empty(),
    Field::one("uid", 5, FieldType::String).omit_empty(),
    Field::one("resourceVersion", 6, FieldType::String).omit_empty(),
    Field::one("generation", 7, FieldType::Int64).omit_empty(),
    Field::one("creationTimestamp", 8, FieldType::Time).omit_empty(),
    Field::one("deletionTimestamp", 9, FieldType::Time).omit_empty().pointer(),
    Field::one("deletionGracePeriodSeconds", 10, FieldType::Int64).omit_empty().pointer(),
    Field::map("labels", 11, FieldType::String).omit_empty(),
    Field::map("annotations", 12, FieldType::String).omit_empty(),
    Field::list("ownerReferences", 13, FieldType::Message(240 /* meta/v1.OwnerReference */)).omit_empty().merged(ListType::Map(&["uid"])).patched("uid", false),
    Field::list("finalizers", 14, FieldType::String).omit_empty().merged(ListType::Set).patched("", false),
    Field::list("managedFields", 17, FieldType::Message(237 /* meta/v1.ManagedFieldsEntry */)).omit_empty().merged(ListType::Atomic),
];

#[rustfmt::skip]
pub(super) const OWNER_REFERENCE: &[Field] = &[
    Field::one("apiVersion", 5, FieldType::String),
    Field::one("kind", 1, FieldType::String),
    Field::one("name", 3, FieldType::String),
    Field::one("uid", 4, FieldType::String),
    Field::one("controller", 6, FieldType::Bool).omit_empty().pointer(),
    Field::one("blockOwnerDeletion", 7, FieldType::Bool).omit_empty().pointer(),
];

#[rustfmt::skip]
pub(super) const PRECONDITIONS: &[Field] = &[
    Field::one("uid", 1, FieldType::String).omit_empty().pointer(),
    Field::one("resourceVersion", 2, FieldType::String).omit_empty().pointer(),
];

#[rustfmt::skip]
pub(super) const STATUS: &[Field] = &[
    Field::one("metadata", 1, FieldType::Message(236 /* meta/v1.ListMeta */)).omit_empty(),
    Field::one("status", 2, FieldType::String).omit_empty(),
    Field::one("message", 3, FieldType::String).omit_empty(),
    Field::one("reason", 4, FieldType::String).omit_empty(),
    Field::one("details", 5, FieldType::Message(244 /* meta/v1.StatusDetails */)).omit_empty().pointer(),
    Field::one("code", 6, FieldType::Int32).omit_empty(),
];

#[rustfmt::skip]
pub(super) const STATUS_CAUSE: &[Field] = &[
    Field::one("reason", 1, FieldType::String).omit_empty(),
    Field::one("message", 2, FieldType::String).omit_empty(),
    Field::one("field", 3, FieldType::String).omit_empty(),
];

#[rustfmt::skip]
pub(super) const STATUS_DETAILS: &[Field] = &[
    Field::one("name", 1, FieldType::String).omit_empty(),
    Field::one("group", 2, FieldType::String).omit_empty(),
    Field::one("kind", 3, FieldType::String).omit_empty(),
    Field::one("uid", 6, FieldType::String).omit_empty(),
    Field::list("causes", 4, FieldType::Message(243 /* meta/v1.StatusCause */)).omit_empty().merged(ListType::Atomic),
    Field::one("retryAfterSeconds", 5, FieldType::Int32).omit_empty(),
];

#[rustfmt::skip]
pub(super) const TIME: &[Field] = &[
    Field::one("seconds", 1, FieldType::Int64),
    Field::one("nanos", 2, FieldType::Int32),
];

#[rustfmt::skip]
pub(super) const WATCH_EVENT: &[Field] = &[
    Field::one("type", 1, FieldType::String),
    Field::one("object", 2, FieldType::Raw),
];
