//! Namespace: labelled with its name, held back by its own finalizer until it is empty.

use serde_json::{Value, json};
use tokenward_kube_rules::metadata::NameRule;
use tokenward_kube_rules::{FeatureGates, FieldError, names};

use super::field::Field;
use super::{Check, Strategy, start_phase};
use crate::object::{Metadata, Object, at, child_mut};

pub(super) struct NamespaceStrategy;

impl Strategy for NamespaceStrategy {
    fn checks_of_change(&self) -> &'static [Check] {
        &[Check::Metadata, Check::Content, Check::MetadataChange, Check::ContentChange]
    }

    fn name_rule(&self) -> NameRule {
        NameRule::DnsLabel
    }

    fn set_defaults(&self, object: &mut Object) {
        let name = object.name().to_owned();
        if !name.is_empty() {
            let labels = child_mut(object.metadata_mut(), "labels");
            labels.insert("kubernetes.io/metadata.name".to_owned(), name.into());
        }
    }

    fn prepare_create(&self, object: &mut Object, _gates: &FeatureGates) {
        object.remove("status");
        start_phase(object, "Active");
        let finalizers = child_mut(object, "spec").entry("finalizers").or_insert_with(|| json!([]));
        if let Some(finalizers) = finalizers.as_array_mut()
            && !finalizers.contains(&json!("kubernetes"))
        {
            finalizers.push(json!("kubernetes"));
        }
    }

    fn prepare_update(&self, new: &mut Object, old: &Object, _gates: &FeatureGates) {
        // `spec.finalizers` change only through the subresource `finalize`.
        match old.get("spec") {
            Some(spec) => new.insert("spec".to_owned(), spec.clone()),
            None => new.remove("spec"),
        };
    }

    fn validate(&self, object: &Object) -> Vec<FieldError> {
        let finalizers = Field::of(object, "spec").child("finalizers");
        let mut errors = Vec::new();
        for finalizer in finalizers.items() {
            let faults = names::qualified_name(finalizer.text());
            errors.extend(
                faults.iter().map(|fault| FieldError::invalid(finalizers.path(), finalizer.text(), fault)),
            );
            if faults.is_empty() && !finalizer.text().contains('/') && finalizer.text() != "kubernetes" {
                let why = "name is neither a standard finalizer name nor is it fully qualified";
                errors.push(FieldError::invalid(finalizers.path(), finalizer.text(), why));
            }
        }
        errors
    }

    fn validate_status(&self, new: &Object, old: &Object) -> Vec<FieldError> {
        let phase = Field::of(new, "status").child("phase");
        let (wanted, why) = if old.is_terminating() {
            ("Terminating", "may only be 'Terminating' if `deletionTimestamp` is not empty")
        } else {
            ("Active", "may only be 'Active' if `deletionTimestamp` is empty")
        };
        let error = FieldError::invalid("status.Phase", phase.text(), why);
        (phase.text() != wanted).then_some(error).into_iter().collect()
    }

    fn mark_deleted(&self, object: &mut Object) {
        object.metadata_mut().remove("deletionGracePeriodSeconds");
        child_mut(object, "status").insert("phase".to_owned(), "Terminating".into());
    }

    fn held_back(&self, object: &Object) -> bool {
        let finalizers = at(object, &["spec", "finalizers"]).and_then(Value::as_array);
        finalizers.is_some_and(|finalizers| !finalizers.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::texts;
    use super::*;

    fn namespace(value: &Value) -> Object {
        value.as_object().unwrap().clone()
    }

    #[test]
    fn finalizers_are_qualified_and_phases_follow_the_deletion() {
        let good = namespace(&json!({"spec": {"finalizers": ["kubernetes", "a.example/b"]}}));
        assert_eq!(NamespaceStrategy.validate(&good), []);
        let bad = namespace(&json!({"spec": {"finalizers": ["mine"]}}));
        assert_eq!(
            texts(&NamespaceStrategy.validate(&bad)),
            [
                "spec.finalizers: Invalid value: \"mine\": name is neither a standard finalizer name nor is it fully qualified"
            ]
        );
        let ending = namespace(
            &json!({"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}, "status": {"phase": "Active"}}),
        );
        assert_eq!(
            texts(&NamespaceStrategy.validate_status(&ending, &ending)),
            [
                "status.Phase: Invalid value: \"Active\": may only be 'Terminating' if `deletionTimestamp` is not empty"
            ]
        );
        let living = namespace(&json!({"status": {"phase": "Active"}}));
        assert_eq!(NamespaceStrategy.validate_status(&living, &living), []);
    }
}
