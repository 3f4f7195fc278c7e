//! Types of the package resource. Made from kube-wire.tsv by tests/generated.rs: do not edit.

use crate::table::{Field, FieldType};

#[rustfmt::skip]
pub(super) const QUANTITY: &[Field] = &[
    Field::one("string", 1, FieldType::String),
];
