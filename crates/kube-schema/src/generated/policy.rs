//! Types of the package policy. Made from kube-wire.tsv by tests/generated.rs: do not edit.

use crate::table::{Field, FieldType, ListType};

#[rustfmt::skip]
pub(super) const EVICTION: &[Field] = &[
    Field::one("metadata", 1, FieldType::Message(239 /* meta/v1.ObjectMeta */)).omit_empty(),
    Field::one("deleteOptions", 2, FieldType::Message(231 /* meta/v1.DeleteOptions */)).omit_empty().pointer(),
];

#[rustfmt::skip]
pub(super) const POD_DISRUPTION_BUDGET: &[Field] = &[
    Field::one("metadata", 1, FieldType::Message(239 /* meta/v1.ObjectMeta */)).omit_empty(),
    Field::one("spec", 2, FieldType::Message(249 /* policy/v1.PodDisruptionBudgetSpec */)).omit_empty(),
    Field::one("status", 3, FieldType::Message(250 /* policy/v1.PodDisruptionBudgetStatus */)).omit_empty(),
];

#[rustfmt::skip]
pub(super) const POD_DISRUPTION_BUDGET_SPEC: &[Field] = &[
    Field::one("minAvailable", 1, FieldType::IntOrString).omit_empty().pointer(),
    Field::one("selector", 2, FieldType::Message(234 /* meta/v1.LabelSelector */)).omit_empty().pointer().replaced(),
    Field::one("maxUnavailable", 3, FieldType::IntOrString).omit_empty().pointer(),
    Field::one("unhealthyPodEvictionPolicy", 4, FieldType::String).omit_empty().pointer(),
];

#[rustfmt::skip]
pub(super) const POD_DISRUPTION_BUDGET_STATUS: &[Field] = &[
    Field::one("observedGeneration", 1, FieldType::Int64).omit_empty(),
    Field::map("disruptedPods", 2, FieldType::Time).omit_empty(),
    Field::one("disruptionsAllowed", 3, FieldType::Int32),
    Field::one("currentHealthy", 4, FieldType::Int32),
    Field::one("desiredHealthy", 5, FieldType::Int32),
    Field::one("expectedPods", 6, FieldType::Int32),
    Field::list("conditions", 7, FieldType::Message(230 /* meta/v1.Condition */)).omit_empty().merged(ListType::Map(&["type"])).patched("type", false),
];
