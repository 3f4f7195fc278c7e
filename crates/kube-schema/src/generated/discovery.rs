//! Types of the package discovery. Made from kube-wire.tsv by tests/generated.rs: do not edit.

use crate::table::{Field, FieldType, ListType};

#[rustfmt::skip]
pub(super) const ENDPOINT: &[Field] = &[
    Field::list("addresses", 1, FieldType::String).merged(ListType::Set),
    Field::one("conditions", 2, FieldType::Message(224 /* discovery/v1.EndpointConditions */)).omit_empty(),
    Field::one("hostname", 3, FieldType::String).omit_empty().pointer(),
    Field::one("targetRef", 4, FieldType::Message(142 /* core/v1.ObjectReference */)).omit_empty().pointer(),
    Field::map("deprecatedTopology", 5, FieldType::String).omit_empty(),
    Field::one("nodeName", 6, FieldType::String).omit_empty().pointer(),
    Field::one("zone", 7, FieldType::String).omit_empty().pointer(),
    Field::one("hints", 8, FieldType::Message(225 /* discovery/v1.EndpointHints */)).omit_empty().pointer(),
];

#[rustfmt::skip]
pub(super) const ENDPOINT_CONDITIONS: &[Field] = &[
    Field::one("ready", 1, FieldType::Bool).omit_empty().pointer(),
    Field::one("serving", 2, FieldType::Bool).omit_empty().pointer(),
    Field::one("terminating", 3, FieldType::Bool).omit_empty().pointer(),
];

#[rustfmt::skip]
pub(super) const ENDPOINT_HINTS: &[Field] = &[
    Field::list("forZones", 1, FieldType::Message(229 /* discovery/v1.ForZone */)).omit_empty().merged(ListType::Atomic),
    Field::list("forNodes", 2, FieldType::Message(228 /* discovery/v1.ForNode */)).omit_empty().merged(ListType::Atomic),
];

#[rustfmt::skip]
pub(super) const ENDPOINT_PORT: &[Field] = &[
    Field::one("name", 1, FieldType::String).omit_empty().pointer(),
    Field::one("protocol", 2, FieldType::String).omit_empty().pointer(),
    Field::one("port", 3, FieldType::Int32).omit_empty().pointer(),
    Field::one("appProtocol", 4, FieldType::String).omit_empty().pointer(),
];

#[rustfmt::skip]
pub(super) const ENDPOINT_SLICE: &[Field] = &[
    Field::one("metadata", 1, FieldType::Message(239 /* meta/v1.ObjectMeta */)).omit_empty(),
    Field::one("addressType", 4, FieldType::String),
    Field::list("endpoints", 2, FieldType::Message(223 /* discovery/v1.Endpoint */)).merged(ListType::Atomic),
    Field::list("ports", 3, FieldType::Message(226 /* discovery/v1.EndpointPort */)).merged(ListType::Atomic),
];

#[rustfmt::skip]
pub(super) const FOR_NODE: &[Field] = &[
    Field::one("name", 1, FieldType::String),
];

#[rustfmt::skip]
pub(super) const FOR_ZONE: &[Field] = &[
    Field::one("name", 1, FieldType::String),
];
