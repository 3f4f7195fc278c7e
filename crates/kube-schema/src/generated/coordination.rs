//! Types of the package coordination. Made from kube-wire.tsv by tests/generated.rs: do not edit.

use crate::table::{Field, FieldType};

#[rustfmt::skip]
pub(super) const LEASE: &[Field] = &[
    Field::one("metadata", 1, FieldType::Message(239 /* meta/v1.ObjectMeta */)).omit_empty(),
    Field::one("spec", 2, FieldType::Message(43 /* coordination/v1.LeaseSpec */)).omit_empty(),
];

#[rustfmt::skip]
pub(super) const LEASE_SPEC: &[Field] = &[
    Field::one("holderIdentity", 1, FieldType::String).omit_empty().pointer(),
    Field::one("leaseDurationSeconds", 2, FieldType::Int32).omit_empty().pointer(),
    Field::one("acquireTime", 3, FieldType::MicroTime).omit_empty().pointer(),
    Field::one("renewTime", 4, FieldType::MicroTime).omit_empty().pointer(),
    Field::one("leaseTransitions", 5, FieldType::Int32).omit_empty().pointer(),
    Field::one("strategy", 6, FieldType::String).omit_empty().pointer().gated("CoordinatedLeaderElection"),
    Field::one("preferredHolder", 7, FieldType::String).omit_empty().pointer().gated("CoordinatedLeaderElection"),
];
