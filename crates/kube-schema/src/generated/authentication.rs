//! Types of the package authentication. Made from kube-wire.tsv by tests/generated.rs: do not edit.

use crate::table::{Field, FieldType, ListType};

#[rustfmt::skip]
pub(super) const BOUND_OBJECT_REFERENCE: &[Field] = &[
    Field::one("kind", 1, FieldType::String).omit_empty(),
    Field::one("apiVersion", 2, FieldType::String).omit_empty(),
    Field::one("name", 3, FieldType::String).omit_empty(),
    Field::one("uid", 4, FieldType::String).omit_empty(),
];

#[rustfmt::skip]
pub(super) const EXTRA_VALUE: &[Field] = &[
    Field::list("items", 1, FieldType::String),
];

#[rustfmt::skip]
pub(super) const SELF_SUBJECT_REVIEW: &[Field] = &[
    Field::one("metadata", 1, FieldType::Message(239 /* meta/v1.ObjectMeta */)).omit_empty(),
    Field::one("status", 2, FieldType::Message(18 /* authentication/v1.SelfSubjectReviewStatus */)).omit_empty(),
];

#[rustfmt::skip]
pub(super) const SELF_SUBJECT_REVIEW_STATUS: &[Field] = &[
    Field::one("userInfo", 1, FieldType::Message(25 /* authentication/v1.UserInfo */)).omit_empty(),
];

#[rustfmt::skip]
pub(super) const TOKEN_REQUEST: &[Field] = &[
    Field::one("metadata", 1, FieldType::Message(239 /* meta/v1.ObjectMeta */)).omit_empty(),
    Field::one("spec", 2, FieldType::Message(20 /* authentication/v1.TokenRequestSpec */)),
    Field::one("status", 3, FieldType::Message(21 /* authentication/v1.TokenRequestStatus */)).omit_empty(),
];

#[rustfmt::skip]
pub(super) const TOKEN_REQUEST_SPEC: &[Field] = &[
    Field::list("audiences", 1, FieldType::String).merged(ListType::Atomic),
    Field::one("expirationSeconds", 4, FieldType::Int64).pointer(),
    Field::one("boundObjectRef", 3, FieldType::Message(15 /* authentication/v1.BoundObjectReference */)).pointer(),
];

#[rustfmt::skip]
pub(super) const TOKEN_REQUEST_STATUS: &[Field] = &[
    Field::one("token", 1, FieldType::String),
    Field::one("expirationTimestamp", 2, FieldType::Time),
];

#[rustfmt::skip]
pub(super) const TOKEN_REVIEW: &[Field] = &[
    Field::one("metadata", 1, FieldType::Message(239 /* meta/v1.ObjectMeta */)).omit_empty(),
    Field::one("spec", 2, FieldType::Message(23 /* authentication/v1.TokenReviewSpec */)),
    Field::one("status", 3, FieldType::Message(24 /* authentication/v1.TokenReviewStatus */)).omit_empty(),
];

#[rustfmt::skip]
pub(super) const TOKEN_REVIEW_SPEC: &[Field] = &[
    Field::one("token", 1, FieldType::String).omit_empty(),
    Field::list("audiences", 2, FieldType::String).omit_empty().merged(ListType::Atomic),
];

#[rustfmt::skip]
pub(super) const TOKEN_REVIEW_STATUS: &[Field] = &[
    Field::one("authenticated", 1, FieldType::Bool).omit_empty(),
    Field::one("user", 2, FieldType::Message(25 /* authentication/v1.UserInfo */)).omit_empty(),
    Field::list("audiences", 4, FieldType::String).omit_empty().merged(ListType::Atomic),
    Field::one("error", 3, FieldType::String).omit_empty(),
];

#[rustfmt::skip]
pub(super) const USER_INFO: &[Field] = &[
    Field::one("username", 1, FieldType::String).omit_empty(),
    Field::one("uid", 2, FieldType::String).omit_empty(),
    Field::list("groups", 3, FieldType::String).omit_empty().merged(ListType::Atomic),
    Field::map("extra", 4, FieldType::StringList).omit_empty(),
];
