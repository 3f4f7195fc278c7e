//! Types of the package authorization. Made from kube-wire.tsv by tests/generated.rs: do not edit.

use crate::table::{Field, FieldType, ListType};

#[rustfmt::skip]
pub(super) const EXTRA_VALUE: &[Field] = &[
    Field::list("items", 1, FieldType::String),
];

#[rustfmt::skip]
pub(super) const FIELD_SELECTOR_ATTRIBUTES: &[Field] = &[
    Field::one("rawSelector", 1, FieldType::String).omit_empty(),
    Field::list("requirements", 2, FieldType::Message(232 /* meta/v1.FieldSelectorRequirement */)).omit_empty().merged(ListType::Atomic),
];

#[rustfmt::skip]
pub(super) const LABEL_SELECTOR_ATTRIBUTES: &[Field] = &[
    Field::one("rawSelector", 1, FieldType::String).omit_empty(),
    Field::list("requirements", 2, FieldType::Message(235 /* meta/v1.LabelSelectorRequirement */)).omit_empty().merged(ListType::Atomic),
];

#[rustfmt::skip]
pub(super) const LOCAL_SUBJECT_ACCESS_REVIEW: &[Field] = &[
    Field::one("metadata", 1, FieldType::Message(239 /* meta/v1.ObjectMeta */)).omit_empty(),
    Field::one("spec", 2, FieldType::Message(39 /* authorization/v1.SubjectAccessReviewSpec */)),
    Field::one("status", 3, FieldType::Message(40 /* authorization/v1.SubjectAccessReviewStatus */)).omit_empty(),
];

#[rustfmt::skip]
pub(super) const NON_RESOURCE_ATTRIBUTES: &[Field] = &[
    Field::one("path", 1, FieldType::String).omit_empty(),
    Field::one("verb", 2, FieldType::String).omit_empty(),
];

#[rustfmt::skip]
pub(super) const NON_RESOURCE_RULE: &[Field] = &[
    Field::list("verbs", 1, FieldType::String).merged(ListType::Atomic),
    Field::list("nonResourceURLs", 2, FieldType::String).omit_empty().merged(ListType::Atomic),
];

#[rustfmt::skip]
pub(super) const RESOURCE_ATTRIBUTES: &[Field] = &[
    Field::one("namespace", 1, FieldType::String).omit_empty(),
    Field::one("verb", 2, FieldType::String).omit_empty(),
    Field::one("group", 3, FieldType::String).omit_empty(),
    Field::one("version", 4, FieldType::String).omit_empty(),
    Field::one("resource", 5, FieldType::String).omit_empty(),
    Field::one("subresource", 6, FieldType::String).omit_empty(),
    Field::one("name", 7, FieldType::String).omit_empty(),
    Field::one("fieldSelector", 8, FieldType::Message(27 /* authorization/v1.FieldSelectorAttributes */)).omit_empty().pointer(),
    Field::one("labelSelector", 9, FieldType::Message(28 /* authorization/v1.LabelSelectorAttributes */)).omit_empty().pointer(),
];

#[rustfmt::skip]
pub(super) const RESOURCE_RULE: &[Field] = &[
    Field::list("verbs", 1, FieldType::String).merged(ListType::Atomic),
    Field::list("apiGroups", 2, FieldType::String).omit_empty().merged(ListType::Atomic),
    Field::list("resources", 3, FieldType::String).omit_empty().merged(ListType::Atomic),
    Field::list("resourceNames", 4, FieldType::String).omit_empty().merged(ListType::Atomic),
];

#[rustfmt::skip]
pub(super) const SELF_SUBJECT_ACCESS_REVIEW: &[Field] = &[
    Field::one("metadata", 1, FieldType::Message(239 /* meta/v1.ObjectMeta */)).omit_empty(),
    Field::one("spec", 2, FieldType::Message(35 /* authorization/v1.SelfSubjectAccessReviewSpec */)),
    Field::one("status", 3, FieldType::Message(40 /* authorization/v1.SubjectAccessReviewStatus */)).omit_empty(),
];

#[rustfmt::skip]
pub(super) const SELF_SUBJECT_ACCESS_REVIEW_SPEC: &[Field] = &[
    Field::one("resourceAttributes", 1, FieldType::Message(32 /* authorization/v1.ResourceAttributes */)).omit_empty().pointer(),
    Field::one("nonResourceAttributes", 2, FieldType::Message(30 /* authorization/v1.NonResourceAttributes */)).omit_empty().pointer(),
];

#[rustfmt::skip]
pub(super) const SELF_SUBJECT_RULES_REVIEW: &[Field] = &[
    Field::one("metadata", 1, FieldType::Message(239 /* meta/v1.ObjectMeta */)).omit_empty(),
    Field::one("spec", 2, FieldType::Message(37 /* authorization/v1.SelfSubjectRulesReviewSpec */)),
    Field::one("status", 3, FieldType::Message(41 /* authorization/v1.SubjectRulesReviewStatus */)).omit_empty(),
];

#[rustfmt::skip]
pub(super) const SELF_SUBJECT_RULES_REVIEW_SPEC: &[Field] = &[
    Field::one("namespace", 1, FieldType::String).omit_empty(),
];

#[rustfmt::skip]
pub(super) const SUBJECT_ACCESS_REVIEW: &[Field] = &[
    Field::one("metadata", 1, FieldType::Message(239 /* meta/v1.ObjectMeta */)).omit_empty(),
    Field::one("spec", 2, FieldType::Message(39 /* authorization/v1.SubjectAccessReviewSpec */)),
    Field::one("status", 3, FieldType::Message(40 /* authorization/v1.SubjectAccessReviewStatus */)).omit_empty(),
];

#[rustfmt::skip]
pub(super) const SUBJECT_ACCESS_REVIEW_SPEC: &[Field] = &[
    Field::one("resourceAttributes", 1, FieldType::Message(32 /* authorization/v1.ResourceAttributes */)).omit_empty().pointer(),
    Field::one("nonResourceAttributes", 2, FieldType::Message(30 /* authorization/v1.NonResourceAttributes */)).omit_empty().pointer(),
    Field::one("user", 3, FieldType::String).omit_empty(),
    Field::list("groups", 4, FieldType::String).omit_empty().merged(ListType::Atomic),
    Field::map("extra", 5, FieldType::StringList).omit_empty(),
    Field::one("uid", 6, FieldType::String).omit_empty(),
];

#[rustfmt::skip]
pub(super) const SUBJECT_ACCESS_REVIEW_STATUS: &[Field] = &[
    Field::one("allowed", 1, FieldType::Bool),
    Field::one("denied", 4, FieldType::Bool).omit_empty(),
    Field::one("reason", 2, FieldType::String).omit_empty(),
    Field::one("evaluationError", 3, FieldType::String).omit_empty(),
];

#[rustfmt::skip]
pub(super) const SUBJECT_RULES_REVIEW_STATUS: &[Field] = &[
    Field::list("resourceRules", 1, FieldType::Message(33 /* authorization/v1.ResourceRule */)).merged(ListType::Atomic),
    Field::list("nonResourceRules", 2, FieldType::Message(31 /* authorization/v1.NonResourceRule */)).merged(ListType::Atomic),
    Field::one("incomplete", 3, FieldType::Bool),
    Field::one("evaluationError", 4, FieldType::String).omit_empty(),
];
