//! Node: what can be allocated, taints, and identities that are set once.

use std::collections::BTreeSet;

use serde_json::Value;
use tokenward_kube_rules::{FieldError, names};

use super::field::Field;
use super::{Check, Strategy};
use crate::object::{Object, at, child_mut, set_default};

pub(super) struct NodeStrategy;

impl Strategy for NodeStrategy {
    fn checks_of_change(&self) -> &'static [Check] {
        &[Check::Metadata, Check::Content, Check::MetadataChange, Check::ContentChange]
    }

    fn set_defaults(&self, object: &mut Object) {
        if let Some(capacity) = at(object, &["status", "capacity"]).cloned() {
            set_default(child_mut(object, "status"), "allocatable", capacity);
        }
    }

    fn validate(&self, object: &Object) -> Vec<FieldError> {
        taint_faults(&Field::of(object, "spec").child("taints"))
    }

    fn validate_update(&self, new: &Object, old: &Object) -> Vec<FieldError> {
        let (new, old) = (Field::of(new, "spec"), Field::of(old, "spec"));
        let mut errors = Vec::new();
        let once = [
            ("podCIDRs", "node updates may not change podCIDR except from \"\" to valid"),
            ("providerID", "node updates may not change providerID except from \"\" to valid"),
        ];
        for (member, why) in once {
            let (new, old) = (new.child(member), old.child(member));
            if old.is_set() && !is_empty(&old) && new.value() != old.value() {
                errors.push(new.forbidden(why));
            }
        }
        // Deprecated, and kept as they were: all else of a spec may change.
        for member in ["externalID", "configSource"] {
            if new.child(member).value() != old.child(member).value() {
                errors.push(FieldError::forbidden(
                    "",
                    "node updates may only change labels, taints, or capacity",
                ));
            }
        }
        errors
    }

    fn validate_status(&self, new: &Object, _old: &Object) -> Vec<FieldError> {
        let mut seen = BTreeSet::new();
        let addresses = Field::of(new, "status").child("addresses");
        let repeated = addresses.items().filter(|address| {
            let (kind, address) = (address.child("type"), address.child("address"));
            !seen.insert((kind.text(), address.text()))
        });
        repeated.map(|address| address.duplicate()).collect()
    }
}

fn is_empty(field: &Field<'_>) -> bool {
    match field.value() {
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        _ => false,
    }
}

fn taint_faults(taints: &Field<'_>) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let mut seen = BTreeSet::new();
    for taint in taints.items() {
        let (key, value, effect) = (taint.child("key"), taint.child("value"), taint.child("effect"));
        errors.extend(key.faults(names::qualified_name));
        let faults = names::label_value(value.text());
        if !faults.is_empty() {
            errors.push(value.invalid(&faults.join(";")));
        }
        let effects = ["NoSchedule", "PreferNoSchedule", "NoExecute"];
        errors.extend(effect.require_text().or_else(|| effect.one_of(&effects)));
        if !seen.insert((effect.text(), key.text())) {
            let why = "taints must be unique by key and effect pair";
            errors.push(FieldError::duplicate_because(taint.path(), taint.value().clone(), why));
        }
    }
    errors
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::tests::texts;
    use super::*;

    fn node(value: &Value) -> Object {
        value.as_object().unwrap().clone()
    }

    #[test]
    fn taints_are_pairs_of_key_and_effect() {
        let good = json!([{"key": "a/b", "effect": "NoSchedule"}, {"key": "a/b", "effect": "NoExecute", "value": "v"}]);
        assert_eq!(NodeStrategy.validate(&node(&json!({"spec": {"taints": good}}))), []);
        let bad = json!([{"key": "a", "effect": "Never"}, {"key": "a"}, {"key": "b", "effect": "NoExecute"}, {"key": "b", "effect": "NoExecute"}]);
        assert_eq!(
            texts(&NodeStrategy.validate(&node(&json!({"spec": {"taints": bad}})))),
            [
                "spec.taints[0].effect: Unsupported value: \"Never\": supported values: \"NoSchedule\", \"PreferNoSchedule\", \"NoExecute\"",
                "spec.taints[1].effect: Required value",
                "spec.taints[3]: Duplicate value: {\"effect\":\"NoExecute\",\"key\":\"b\"}: taints must be unique by key and effect pair",
            ]
        );
    }

    #[test]
    fn identities_are_set_once() {
        let old = node(&json!({"spec": {"providerID": "p"}}));
        let set =
            node(&json!({"spec": {"providerID": "p", "podCIDRs": ["192.0.2.0/24"], "unschedulable": true}}));
        assert_eq!(NodeStrategy.validate_update(&set, &old), []);
        let other = node(&json!({"spec": {"providerID": "q"}}));
        let errors = texts(&NodeStrategy.validate_update(&other, &set));
        assert_eq!(errors.len(), 2, "{errors:?}");
        assert!(errors[1].starts_with("spec.providerID: Forbidden: node updates may not change providerID"));
    }

    #[test]
    fn addresses_are_said_once_and_all_can_be_allocated() {
        let address = json!({"type": "InternalIP", "address": "192.0.2.1"});
        let twice = node(&json!({"status": {"addresses": [address, address]}}));
        assert_eq!(NodeStrategy.validate_status(&twice, &twice).len(), 1);
        let mut fresh = node(&json!({"status": {"capacity": {"pods": "10"}}}));
        NodeStrategy.set_defaults(&mut fresh);
        assert_eq!(fresh["status"]["allocatable"], json!({"pods": "10"}));
    }
}
