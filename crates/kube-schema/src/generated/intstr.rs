//! Types of the package intstr. Made from kube-wire.tsv by tests/generated.rs: do not edit.

use crate::table::{Field, FieldType};

#[rustfmt::skip]
pub(super) const INT_OR_STRING: &[Field] = &[
    Field::one("type", 1, FieldType::Int64),
    Field::one("intVal", 2, FieldType::Int32),
    Field::one("strVal", 3, FieldType::String),
];
