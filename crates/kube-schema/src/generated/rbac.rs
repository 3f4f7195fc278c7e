//! Types of the package rbac. Made from kube-wire.tsv by tests/generated.rs: do not edit.

use crate::table::{Field, FieldType, ListType};

#[rustfmt::skip]
pub(super) const AGGREGATION_RULE: &[Field] = &[
    Field::list("clusterRoleSelectors", 1, FieldType::Message(234 /* meta/v1.LabelSelector */)).omit_empty().merged(ListType::Atomic),
];

#[rustfmt::skip]
pub(super) const CLUSTER_ROLE: &[Field] = &[
    Field::one("metadata", 1, FieldType::Message(239 /* meta/v1.ObjectMeta */)).omit_empty(),
    Field::list("rules", 2, FieldType::Message(254 /* rbac/v1.PolicyRule */)).merged(ListType::Atomic),
    Field::one("aggregationRule", 3, FieldType::Message(251 /* rbac/v1.AggregationRule */)).omit_empty().pointer(),
];

#[rustfmt::skip]
pub(super) const CLUSTER_ROLE_BINDING: &[Field] = &[
    Field::one("metadata", 1, FieldType::Message(239 /* meta/v1.ObjectMeta */)).omit_empty(),
    Field::list("subjects", 2, FieldType::Message(258 /* rbac/v1.Subject */)).omit_empty().merged(ListType::Atomic),
    Field::one("roleRef", 3, FieldType::Message(257 /* rbac/v1.RoleRef */)),
];

#[rustfmt::skip]
pub(super) const POLICY_RULE: &[Field] = &[
    Field::list("verbs", 1, FieldType::String).merged(ListType::Atomic),
    Field::list("apiGroups", 2, FieldType::String).omit_empty().merged(ListType::Atomic),
    Field::list("resources", 3, FieldType::String).omit_empty().merged(ListType::Atomic),
    Field::list("resourceNames", 4, FieldType::String).omit_empty().merged(ListType::Atomic),
    Field::list("nonResourceURLs", 5, FieldType::String).omit_empty().merged(ListType::Atomic),
];

#[rustfmt::skip]
pub(super) const ROLE: &[Field] = &[
    Field::one("metadata", 1, FieldType::Message(239 /* meta/v1.ObjectMeta */)).omit_empty(),
    Field::list("rules", 2, FieldType::Message(254 /* rbac/v1.PolicyRule */)).merged(ListType::Atomic),
];

#[rustfmt::skip]
pub(super) const ROLE_BINDING: &[Field] = &[
    Field::one("metadata", 1, FieldType::Message(239 /* meta/v1.ObjectMeta */)).omit_empty(),
    Field::list("subjects", 2, FieldType::Message(258 /* rbac/v1.Subject */)).omit_empty().merged(ListType::Atomic),
    Field::one("roleRef", 3, FieldType::Message(257 /* rbac/v1.RoleRef */)),
];

#[rustfmt::skip]
pub(super) const ROLE_REF: &[Field] = &[
    Field::one("apiGroup", 1, FieldType::String),
    Field::one("kind", 2, FieldType::String),
    Field::one("name", 3, FieldType::String),
];

#[rustfmt::skip]
pub(super) const SUBJECT: &[Field] = &[
    Field::one("kind", 1, FieldType::String),
    Field::one("apiGroup", 2, FieldType::String).omit_empty(),
    Field::one("name", 3, FieldType::String),
    Field::one("namespace", 4, FieldType::String).omit_empty(),
];
