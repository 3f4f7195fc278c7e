//! Lease: who leads, and for how long.

use tokenward_kube_rules::{FeatureGates, FieldError};

use super::field::Field;
use super::{Check, Strategy};
use crate::object::{Object, child_mut};

pub(super) struct LeaseStrategy;

impl Strategy for LeaseStrategy {
    fn checks_of_change(&self) -> &'static [Check] {
        &[Check::MetadataChange, Check::Content, Check::ContentChange]
    }

    fn knows_finalizers(&self) -> bool {
        false
    }

    fn unconditional_update(&self) -> bool {
        false
    }

    fn prepare_create(&self, object: &mut Object, _gates: &FeatureGates) {
        drop_coordination(object);
    }

    fn prepare_update(&self, new: &mut Object, _old: &Object, _gates: &FeatureGates) {
        drop_coordination(new);
    }

    fn validate(&self, object: &Object) -> Vec<FieldError> {
        let spec = Field::of(object, "spec");
        let duration = spec.child("leaseDurationSeconds");
        let mut errors = Vec::new();
        if duration.number().is_some_and(|seconds| seconds <= 0) {
            errors.push(duration.invalid("must be greater than 0"));
        }
        errors.extend(spec.child("leaseTransitions").not_negative());
        errors
    }
}

/// The gate `CoordinatedLeaderElection` is off in every served release.
fn drop_coordination(object: &mut Object) {
    if object.contains_key("spec") {
        let spec = child_mut(object, "spec");
        spec.remove("strategy");
        spec.remove("preferredHolder");
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::tests::texts;
    use super::*;

    #[test]
    fn durations_are_positive_and_transitions_are_counted() {
        let lease = |duration: i64, transitions: i64| {
            let spec = json!({"leaseDurationSeconds": duration, "leaseTransitions": transitions});
            json!({"spec": spec}).as_object().unwrap().clone()
        };
        assert_eq!(LeaseStrategy.validate(&lease(1, 0)), []);
        assert_eq!(
            texts(&LeaseStrategy.validate(&lease(0, -1))),
            [
                "spec.leaseDurationSeconds: Invalid value: 0: must be greater than 0",
                "spec.leaseTransitions: Invalid value: -1: must be greater than or equal to 0"
            ]
        );
    }
}
