//! Types of the package apps. Made from kube-wire.tsv by tests/generated.rs: do not edit.

use crate::table::{Field, FieldType, ListType};

#[rustfmt::skip]
pub(super) const CONTROLLER_REVISION: &[Field] = &[
    Field::one("metadata", 1, FieldType::Message(239 /* meta/v1.ObjectMeta */)).omit_empty(),
    Field::one("data", 2, FieldType::Raw).omit_empty(),
    Field::one("revision", 3, FieldType::Int64),
];

#[rustfmt::skip]
pub(super) const DAEMON_SET: &[Field] = &[
    Field::one("metadata", 1, FieldType::Message(239 /* meta/v1.ObjectMeta */)).omit_empty(),
    Field::one("spec", 2, FieldType::Message(11 /* apps/v1.DaemonSetSpec */)).omit_empty(),
    Field::one("status", 3, FieldType::Message(12 /* apps/v1.DaemonSetStatus */)).omit_empty(),
];

#[rustfmt::skip]
pub(super) const DAEMON_SET_CONDITION: &[Field] = &[
    Field::one("type", 1, FieldType::String),
    Field::one("status", 2, FieldType::String),
    Field::one("lastTransitionTime", 3, FieldType::Time).omit_empty(),
    Field::one("reason", 4, FieldType::String).omit_empty(),
    Field::one("message", 5, FieldType::String).omit_empty(),
];

#[rustfmt::skip]
pub(super) const DAEMON_SET_SPEC: &[Field] = &[
    Field::one("selector", 1, FieldType::Message(234 /* meta/v1.LabelSelector */)).pointer(),
    Field::one("template", 2, FieldType::Message(172 /* core/v1.PodTemplateSpec */)),
    Field::one("updateStrategy", 3, FieldType::Message(13 /* apps/v1.DaemonSetUpdateStrategy */)).omit_empty(),
    Field::one("minReadySeconds", 4, FieldType::Int32).omit_empty(),
    Field::one("revisionHistoryLimit", 6, FieldType::Int32).omit_empty().pointer(),
];

#[rustfmt::skip]
pub(super) const DAEMON_SET_STATUS: &[Field] = &[
    Field::one("currentNumberScheduled", 1, FieldType::Int32),
    Field::one("numberMisscheduled", 2, FieldType::Int32),
    Field::one("desiredNumberScheduled", 3, FieldType::Int32),
    Field::one("numberReady", 4, FieldType::Int32),
    Field::one("observedGeneration", 5, FieldType::Int64).omit_empty(),
    Field::one("updatedNumberScheduled", 6, FieldType::Int32).omit_empty(),
    Field::one("numberAvailable", 7, FieldType::Int32).omit_empty(),
    Field::one("numberUnavailable", 8, FieldType::Int32).omit_empty(),
    Field::one("collisionCount", 9, FieldType::Int32).omit_empty().pointer(),
    Field::list("conditions", 10, FieldType::Message(10 /* apps/v1.DaemonSetCondition */)).omit_empty().merged(ListType::Map(&["type"])).patched("type", false),
];

#[rustfmt::skip]
pub(super) const DAEMON_SET_UPDATE_STRATEGY: &[Field] = &[
    Field::one("type", 1, FieldType::String).omit_empty(),
    Field::one("rollingUpdate", 2, FieldType::Message(14 /* apps/v1.RollingUpdateDaemonSet */)).omit_empty().pointer(),
];

#[rustfmt::skip]
pub(super) const ROLLING_UPDATE_DAEMON_SET: &[Field] = &[
    Field::one("maxUnavailable", 1, FieldType::IntOrString).omit_empty().pointer(),
    Field::one("maxSurge", 2, FieldType::IntOrString).omit_empty().pointer(),
];
