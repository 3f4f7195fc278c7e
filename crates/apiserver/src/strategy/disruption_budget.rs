//! PodDisruptionBudget: how many of some pods evictions may take away. Its status is the controller's, and the evictions'.

use serde_json::{Value, json};
use tokenward_kube_rules::metadata::NameRule;
use tokenward_kube_rules::{FeatureGates, FieldError, label_selector};

use super::field::Field;
use super::{Check, Strategy, condition, share};
use crate::object::{Metadata, Object};

pub(super) struct DisruptionBudgetStrategy;

impl Strategy for DisruptionBudgetStrategy {
    fn checks_of_change(&self) -> &'static [Check] {
        &[Check::Content, Check::ContentChange]
    }

    fn knows_finalizers(&self) -> bool {
        false
    }

    fn unconditional_update(&self) -> bool {
        false
    }

    fn name_rule(&self) -> NameRule {
        NameRule::PathSegment
    }

    fn prepare_create(&self, object: &mut Object, _gates: &FeatureGates) {
        object.remove("status");
        object.metadata_mut().insert("generation".to_owned(), 1.into());
    }

    fn prepare_update(&self, new: &mut Object, old: &Object, _gates: &FeatureGates) {
        if new.get("spec") != old.get("spec") {
            let generation = old.metadata_number("generation").saturating_add(1);
            new.metadata_mut().insert("generation".to_owned(), generation.into());
        }
    }

    fn validate(&self, object: &Object) -> Vec<FieldError> {
        let spec = Field::of(object, "spec");
        let (least, most) = (spec.child("minAvailable"), spec.child("maxUnavailable"));
        let mut errors = Vec::new();
        if least.is_set() && most.is_set() {
            let both = "minAvailable and maxUnavailable cannot be both set";
            errors.push(FieldError::invalid_as(spec.path(), &shown(&spec), both));
        }
        for bound in [least, most] {
            errors.extend(share::validate(&bound));
            errors.extend(share::at_most_all(&bound));
        }
        let policy = spec.child("unhealthyPodEvictionPolicy");
        if policy.is_set() {
            errors.extend(policy.one_of(&["AlwaysAllow", "IfHealthyBudget"]));
        }
        let selector = spec.child("selector");
        errors.extend(label_selector::validate(selector.value(), &selector.path()));
        errors
    }

    fn validate_status(&self, new: &Object, _old: &Object) -> Vec<FieldError> {
        let status = Field::of(new, "status");
        let mut errors = condition::validate(&status.child("conditions"));
        let counts = ["disruptionsAllowed", "currentHealthy", "desiredHealthy", "expectedPods"];
        errors.extend(counts.iter().filter_map(|count| status.child(count).not_negative()));
        errors
    }
}

/// The spec as Go prints its internal type: other names, and in the order of its members.
fn shown(spec: &Field<'_>) -> String {
    let selector = spec.child("selector");
    let parts = ["matchLabels", "matchExpressions"].map(|part| (part, selector.child(part).value()));
    let parts = parts.iter().filter(|(_, value)| !value.is_null());
    let parts: Vec<String> = parts.map(|(part, value)| format!("\"{part}\":{value}")).collect();
    let selector =
        if selector.is_set() { format!("{{{}}}", parts.join(",")) } else { json!(null).to_string() };
    let member = |name: &'static str| -> &Value { spec.child(name).value() };
    format!(
        "{{\"MinAvailable\":{},\"Selector\":{selector},\"MaxUnavailable\":{},\"UnhealthyPodEvictionPolicy\":{}}}",
        member("minAvailable"),
        member("maxUnavailable"),
        member("unhealthyPodEvictionPolicy")
    )
}

#[cfg(test)]
mod tests {
    use super::super::tests::texts;
    use super::*;

    fn faults(spec: &Value) -> Vec<String> {
        let object = json!({"spec": spec});
        texts(&DisruptionBudgetStrategy.validate(object.as_object().unwrap()))
    }

    #[test]
    fn one_bound_that_can_be_kept() {
        let good = [
            json!({}),
            json!({"minAvailable": 0, "selector": {}}),
            json!({"maxUnavailable": "100%", "unhealthyPodEvictionPolicy": "AlwaysAllow"}),
        ];
        for spec in good {
            assert_eq!(faults(&spec), [""; 0], "{spec}");
        }
        let table = [
            (
                json!({"minAvailable": 1, "maxUnavailable": "10%", "selector": {"matchLabels": {"a": "b"}}}),
                "spec: Invalid value: {\"MinAvailable\":1,\"Selector\":{\"matchLabels\":{\"a\":\"b\"}},\"MaxUnavailable\":\"10%\",\"UnhealthyPodEvictionPolicy\":null}: minAvailable and maxUnavailable cannot be both set",
            ),
            (
                json!({"minAvailable": -1}),
                "spec.minAvailable: Invalid value: -1: must be greater than or equal to 0",
            ),
            (
                json!({"maxUnavailable": "101%"}),
                "spec.maxUnavailable: Invalid value: \"101%\": must not be greater than 100%",
            ),
            (
                json!({"maxUnavailable": "some"}),
                "spec.maxUnavailable: Invalid value: \"some\": a valid percent string must be a numeric string followed by an ending '%' (e.g. '1%',  or '93%', regex used for validation is '[0-9]+%')",
            ),
            (
                json!({"unhealthyPodEvictionPolicy": "Never"}),
                "spec.unhealthyPodEvictionPolicy: Unsupported value: \"Never\": supported values: \"AlwaysAllow\", \"IfHealthyBudget\"",
            ),
            (
                json!({"selector": {"matchExpressions": [{"key": "a", "operator": "Like"}]}}),
                "spec.selector.matchExpressions[0].operator: Invalid value: \"Like\": not a valid selector operator",
            ),
        ];
        for (spec, wanted) in table {
            assert_eq!(faults(&spec), [wanted], "{spec}");
        }
    }

    #[test]
    fn counts_of_a_status_are_not_negative() {
        let budget = json!({"status": {"disruptionsAllowed": -1, "currentHealthy": 0, "expectedPods": -2,
            "conditions": [{"type": "DisruptionAllowed", "status": "False", "reason": "InsufficientPods"}]}});
        let old = Object::new();
        assert_eq!(
            texts(&DisruptionBudgetStrategy.validate_status(budget.as_object().unwrap(), &old)),
            [
                "status.conditions[0].lastTransitionTime: Required value: must be set",
                "status.disruptionsAllowed: Invalid value: -1: must be greater than or equal to 0",
                "status.expectedPods: Invalid value: -2: must be greater than or equal to 0",
            ]
        );
    }

    #[test]
    fn the_status_is_nobody_s_to_begin_with_and_generations_count_specs() {
        let gates = FeatureGates::for_release(tokenward_kube_rules::Release::V1_35);
        let mut made = json!({"spec": {"minAvailable": 1}, "status": {"disruptionsAllowed": 9}});
        let made = made.as_object_mut().unwrap();
        DisruptionBudgetStrategy.prepare_create(made, &gates);
        assert_eq!(
            *made,
            *json!({"metadata": {"generation": 1}, "spec": {"minAvailable": 1}}).as_object().unwrap()
        );
        let mut same = made.clone();
        DisruptionBudgetStrategy.prepare_update(&mut same, made, &gates);
        assert_eq!(same, *made);
        let mut other = json!({"metadata": {}, "spec": {"minAvailable": 2}}).as_object().unwrap().clone();
        DisruptionBudgetStrategy.prepare_update(&mut other, made, &gates);
        assert_eq!(other.metadata_number("generation"), 2);
    }
}
