//! Types of the package runtime. Made from kube-wire.tsv by tests/generated.rs: do not edit.

use crate::table::{Field, FieldType};

#[rustfmt::skip]
pub(super) const RAW_EXTENSION: &[Field] = &[
    Field::one("raw", 1, FieldType::Bytes),
];

#[rustfmt::skip]
pub(super) const TYPE_META: &[Field] = &[
    Field::one("apiVersion", 1, FieldType::String),
    Field::one("kind", 2, FieldType::String),
];

#[rustfmt::skip]
pub(super) const UNKNOWN: &[Field] = &[
    Field::one("typeMeta", 1, FieldType::Message(260 /* runtime.TypeMeta */)),
    Field::one("raw", 2, FieldType::Bytes),
    Field::one("contentEncoding", 3, FieldType::String),
    Field::one("contentType", 4, FieldType::String),
];
