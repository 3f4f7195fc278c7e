//! Types of the package admissionregistration. Made from kube-wire.tsv by tests/generated.rs: do not edit.

use crate::table::{Field, FieldType, ListType};

#[rustfmt::skip]
pub(super) const MATCH_CONDITION: &[Field] = &[
    Field::one("name", 1, FieldType::String),
    Field::one("expression", 2, FieldType::String),
];

#[rustfmt::skip]
pub(super) const RULE: &[Field] = &[
    Field::list("apiGroups", 1, FieldType::String).omit_empty().merged(ListType::Atomic),
    Field::list("apiVersions", 2, FieldType::String).omit_empty().merged(ListType::Atomic),
    Field::list("resources", 3, FieldType::String).omit_empty().merged(ListType::Atomic),
    Field::one("scope", 4, FieldType::String).omit_empty().pointer(),
];

#[rustfmt::skip]
pub(super) const RULE_WITH_OPERATIONS: &[Field] = &[
    Field::list("operations", 1, FieldType::String).omit_empty().merged(ListType::Atomic),
    Field::one("(inline)", 2, FieldType::Message(1 /* admissionregistration/v1.Rule */)).inlined(),
];

#[rustfmt::skip]
pub(super) const SERVICE_REFERENCE: &[Field] = &[
    Field::one("namespace", 1, FieldType::String),
    Field::one("name", 2, FieldType::String),
    Field::one("path", 3, FieldType::String).omit_empty().pointer(),
    Field::one("port", 4, FieldType::Int32).omit_empty().pointer(),
];

#[rustfmt::skip]
pub(super) const VALIDATING_WEBHOOK: &[Field] = &[
    Field::one("name", 1, FieldType::String),
    Field::one("clientConfig", 2, FieldType::Message(6 /* admissionregistration/v1.WebhookClientConfig */)),
    Field::list("rules", 3, FieldType::Message(2 /* admissionregistration/v1.RuleWithOperations */)).omit_empty().merged(ListType::Atomic),
    Field::one("failurePolicy", 4, FieldType::String).omit_empty().pointer(),
    Field::one("matchPolicy", 9, FieldType::String).omit_empty().pointer(),
    Field::one("namespaceSelector", 5, FieldType::Message(234 /* meta/v1.LabelSelector */)).omit_empty().pointer(),
    Field::one("objectSelector", 10, FieldType::Message(234 /* meta/v1.LabelSelector */)).omit_empty().pointer(),
    Field::one("sideEffects", 6, FieldType::String).pointer(),
    Field::one("timeoutSeconds", 7, FieldType::Int32).omit_empty().pointer(),
    Field::list("admissionReviewVersions", 8, FieldType::String).merged(ListType::Atomic),
    Field::list("matchConditions", 11, FieldType::Message(0 /* admissionregistration/v1.MatchCondition */)).omit_empty().merged(ListType::Map(&["name"])).patched("name", false),
];

#[rustfmt::skip]
pub(super) const VALIDATING_WEBHOOK_CONFIGURATION: &[Field] = &[
    Field::one("metadata", 1, FieldType::Message(239 /* meta/v1.ObjectMeta */)).omit_empty(),
    Field::list("webhooks", 2, FieldType::Message(4 /* admissionregistration/v1.ValidatingWebhook */)).omit_empty().merged(ListType::Map(&["name"])).patched("name", false),
];

#[rustfmt::skip]
pub(super) const WEBHOOK_CLIENT_CONFIG: &[Field] = &[
    Field::one("url", 3, FieldType::String).omit_empty().pointer(),
    Field::one("service", 1, FieldType::Message(3 /* admissionregistration/v1.ServiceReference */)).omit_empty().pointer(),
    Field::one("caBundle", 2, FieldType::Bytes).omit_empty(),
];
