//! PriorityClass: a rank of pods. Names that begin like the system's belong to the system's two classes.

use tokenward_kube_rules::{FieldError, priority};

use super::field::Field;
use super::{Check, Strategy};
use crate::object::{Metadata, Object, set_default};

pub(super) struct PriorityClassStrategy;

impl Strategy for PriorityClassStrategy {
    fn checks_of_change(&self) -> &'static [Check] {
        &[Check::MetadataChange, Check::ContentChange]
    }

    fn set_defaults(&self, object: &mut Object) {
        set_default(object, "preemptionPolicy", priority::PREEMPT);
    }

    fn prepare_create(&self, object: &mut Object, _gates: &tokenward_kube_rules::FeatureGates) {
        object.metadata_mut().insert("generation".to_owned(), 1.into());
    }

    fn validate_creation(&self, object: &Object) -> Vec<FieldError> {
        let value = Field::of(object, "value");
        let number = value.number().unwrap_or_default();
        let mut errors = Vec::new();
        if object.name().starts_with(priority::SYSTEM_PREFIX) {
            let is_default = Field::of(object, "globalDefault").flag();
            if let Err(why) = priority::check_system_class(object.name(), number, is_default) {
                let why = format!(
                    "priority class names with '{}' prefix are reserved for system use only. error: {why}",
                    priority::SYSTEM_PREFIX
                );
                errors.push(FieldError::forbidden("metadata.name", &why));
            }
        } else if number > priority::HIGHEST_OF_USERS {
            let why =
                format!("maximum allowed value of a user defined priority is {}", priority::HIGHEST_OF_USERS);
            errors.push(value.forbidden(&why));
        }
        let policy = Field::of(object, "preemptionPolicy");
        if policy.is_set() {
            match policy.text() {
                "" => errors.push(policy.required("")),
                _ => errors.extend(policy.one_of(&[priority::NEVER, priority::PREEMPT])),
            }
        }
        errors
    }

    fn validate_update(&self, new: &Object, old: &Object) -> Vec<FieldError> {
        let number = |object| Field::of(object, "value").number().unwrap_or_default();
        let policy = |object| Field::of(object, "preemptionPolicy");
        let mut errors = Vec::new();
        if number(new) != number(old) {
            errors.push(FieldError::forbidden("value", "may not be changed in an update."));
        }
        errors.extend(policy(new).immutable(&policy(old)));
        errors
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::tests::texts;
    use super::*;

    fn class(value: &Value) -> Object {
        let mut object = value.as_object().unwrap().clone();
        PriorityClassStrategy.set_defaults(&mut object);
        object
    }

    #[test]
    fn names_and_values_of_the_system_are_its_own() {
        let reserved = |why: &str| {
            vec![format!(
                "metadata.name: Forbidden: priority class names with 'system-' prefix are reserved for system use only. error: {why}"
            )]
        };
        let table = [
            ("gold", json!({"value": 1_000_000_000}), vec![]),
            ("low", json!({"value": -5, "globalDefault": true, "preemptionPolicy": "Never"}), vec![]),
            (
                "gold",
                json!({"value": 1_000_000_001}),
                vec!["value: Forbidden: maximum allowed value of a user defined priority is 1000000000".to_owned()],
            ),
            ("system-node-critical", json!({"value": 2_000_001_000}), vec![]),
            (
                "system-node-critical",
                json!({"value": 7}),
                reserved("value of system-node-critical PriorityClass must be 2000001000"),
            ),
            (
                "system-cluster-critical",
                json!({"value": 2_000_000_000, "globalDefault": true}),
                reserved("globalDefault of system-cluster-critical PriorityClass must be false"),
            ),
            ("system-mine", json!({"value": 1}), reserved("system-mine is not a known system priority class")),
            (
                "gold",
                json!({"value": 1, "preemptionPolicy": "Sometimes"}),
                vec!["preemptionPolicy: Unsupported value: \"Sometimes\": supported values: \"Never\", \"PreemptLowerPriority\"".to_owned()],
            ),
            ("gold", json!({"value": 1, "preemptionPolicy": ""}), vec!["preemptionPolicy: Required value".to_owned()]),
        ];
        for (name, mut value, wanted) in table {
            value["metadata"] = json!({"name": name});
            assert_eq!(texts(&PriorityClassStrategy.validate_creation(&class(&value))), wanted, "{value}");
        }
    }

    #[test]
    fn what_pods_were_given_stays() {
        let old = class(&json!({"value": 5}));
        let described = class(&json!({"value": 5, "description": "for a few", "globalDefault": true}));
        assert_eq!(PriorityClassStrategy.validate_update(&described, &old), []);
        let other = class(&json!({"value": 2_000_000_000, "preemptionPolicy": "Never"}));
        assert_eq!(
            texts(&PriorityClassStrategy.validate_update(&other, &old)),
            [
                "value: Forbidden: may not be changed in an update.",
                "preemptionPolicy: Invalid value: \"Never\": field is immutable",
            ]
        );
    }
}
