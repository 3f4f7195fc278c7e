//! Types of the package scheduling. Made from kube-wire.tsv by tests/generated.rs: do not edit.

use crate::table::{Field, FieldType};

#[rustfmt::skip]
pub(super) const PRIORITY_CLASS: &[Field] = &[
    Field::one("metadata", 1, FieldType::Message(239 /* meta/v1.ObjectMeta */)).omit_empty(),
    Field::one("value", 2, FieldType::Int32),
    Field::one("globalDefault", 3, FieldType::Bool).omit_empty(),
    Field::one("description", 4, FieldType::String).omit_empty(),
    Field::one("preemptionPolicy", 5, FieldType::String).omit_empty().pointer(),
];
