//! StorageClass: who provides, and how; fixed once made.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use tokenward_kube_rules::{FieldError, names};

use super::field::Field;
use super::{Check, Strategy};
use crate::object::{Object, set_default};

pub(super) struct StorageClassStrategy;

const MOST_PARAMETERS: usize = 512;
const MOST_PARAMETER_BYTES: usize = 256 << 10;

impl Strategy for StorageClassStrategy {
    fn checks_of_change(&self) -> &'static [Check] {
        &[Check::Metadata, Check::Content, Check::MetadataChange, Check::ContentChange]
    }

    fn is_shown_when_deleted(&self) -> bool {
        true
    }

    fn set_defaults(&self, object: &mut Object) {
        set_default(object, "reclaimPolicy", "Delete");
        set_default(object, "volumeBindingMode", "Immediate");
    }

    fn validate(&self, object: &Object) -> Vec<FieldError> {
        let field = |member: &'static str| Field::of(object, member);
        let provisioner = field("provisioner");
        let mut errors: Vec<FieldError> = provisioner.require_text().into_iter().collect();
        if !provisioner.text().is_empty() {
            errors.extend(provisioner.faults(|text| names::qualified_name(&text.to_lowercase())));
        }
        errors.extend(parameter_faults(&field("parameters")));
        let policy = field("reclaimPolicy");
        if !policy.text().is_empty() {
            errors.extend(policy.one_of(&["Delete", "Retain"]));
        }
        errors.extend(field("volumeBindingMode").one_of(&["Immediate", "WaitForFirstConsumer"]));
        errors.extend(topology_faults(&field("allowedTopologies")));
        errors
    }

    fn validate_update(&self, new: &Object, old: &Object) -> Vec<FieldError> {
        let changed = |member: &&str| {
            new.get(*member).filter(|value| !is_empty(value))
                != old.get(*member).filter(|value| !is_empty(value))
        };
        let forbidden = ["parameters", "provisioner", "reclaimPolicy"].into_iter().filter(changed);
        let errors = forbidden
            .map(|member| FieldError::forbidden(member, &format!("updates to {member} are forbidden.")));
        let mode = |object| Field::of(object, "volumeBindingMode");
        errors.chain(mode(new).immutable(&mode(old))).collect()
    }
}

fn is_empty(value: &Value) -> bool {
    value.is_null() || value.as_object().is_some_and(Object::is_empty)
}

fn parameter_faults(parameters: &Field<'_>) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let bytes: usize = parameters.keys().map(|key| key.len() + parameters.key(key).text().len()).sum();
    if parameters.keys().count() > MOST_PARAMETERS {
        errors.push(FieldError::too_long(parameters.path(), MOST_PARAMETERS));
        return errors;
    }
    if parameters.keys().any(str::is_empty) {
        errors.push(FieldError::invalid(parameters.path(), "", "field can not be empty."));
    }
    if bytes > MOST_PARAMETER_BYTES {
        errors.push(FieldError::too_long(parameters.path(), MOST_PARAMETER_BYTES));
    }
    errors
}

/// Each term says something else than those before it; that says nothing is as if all had said it before.
fn topology_faults(topologies: &Field<'_>) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let mut known: Vec<BTreeMap<&str, BTreeSet<&str>>> = vec![BTreeMap::new(); topologies.items().len()];
    for term in topologies.items() {
        let expressions = term.child("matchLabelExpressions");
        let mut own: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for expression in expressions.items() {
            let (key, values) = (expression.child("key"), expression.child("values"));
            if values.items().len() == 0 {
                errors.push(values.required(""));
            }
            let mut set = BTreeSet::new();
            errors.extend(
                values.items().filter(|value| !set.insert(value.text())).map(|value| value.duplicate()),
            );
            let faults = names::qualified_name(key.text());
            errors.extend(faults.iter().map(|fault| FieldError::invalid(key.path(), key.text(), fault)));
            if own.insert(key.text(), set).is_some() {
                errors.push(key.duplicate());
            }
        }
        let repeated = known.iter().filter(|earlier| **earlier == own).count();
        errors.extend((0..repeated).map(|_| FieldError::duplicate(expressions.path(), "")));
        known.push(own);
    }
    errors
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::tests::texts;
    use super::*;

    #[test]
    fn topologies_say_something_each() {
        let of = |topologies: Value| {
            let object = json!({"t": topologies}).as_object().unwrap().clone();
            let errors = texts(&topology_faults(&Field::of(&object, "t")));
            errors.into_iter().filter(|text| !text.contains("name part must consist")).collect::<Vec<_>>()
        };
        let zone = |zone: &str| json!({"matchLabelExpressions": [{"key": "zone", "values": [zone]}]});
        assert_eq!(of(json!([zone("a"), zone("b")])), [""; 0]);
        assert_eq!(of(json!([zone("a"), zone("a")])), ["t[1].matchLabelExpressions: Duplicate value: \"\""]);
        let bad = json!([{"matchLabelExpressions": [
            {"key": "", "values": []}, {"key": "a", "values": ["x", "x"]}, {"key": "a", "values": ["y"]},
        ]}, {}]);
        assert_eq!(
            of(bad),
            [
                "t[0].matchLabelExpressions[0].values: Required value",
                "t[0].matchLabelExpressions[0].key: Invalid value: \"\": name part must be non-empty",
                "t[0].matchLabelExpressions[1].values[1]: Duplicate value: \"x\"",
                "t[0].matchLabelExpressions[2].key: Duplicate value: \"a\"",
                "t[1].matchLabelExpressions: Duplicate value: \"\"",
                "t[1].matchLabelExpressions: Duplicate value: \"\"",
            ]
        );
        let empty = class(&json!({"provisioner": "a", "reclaimPolicy": ""}));
        assert_eq!(StorageClassStrategy.validate(&empty), [], "no policy is not looked at");
    }

    fn class(value: &Value) -> Object {
        let mut object = value.as_object().unwrap().clone();
        StorageClassStrategy.set_defaults(&mut object);
        object
    }

    #[test]
    fn defaults_and_rules() {
        let good = class(&json!({"provisioner": "Files.csi.example"}));
        assert_eq!(
            (&good["reclaimPolicy"], &good["volumeBindingMode"]),
            (&json!("Delete"), &json!("Immediate"))
        );
        assert_eq!(StorageClassStrategy.validate(&good), []);
        let bad =
            class(&json!({"reclaimPolicy": "Recycle", "volumeBindingMode": "Late", "parameters": {"": "a"}}));
        assert_eq!(
            texts(&StorageClassStrategy.validate(&bad)),
            [
                "provisioner: Required value",
                "parameters: Invalid value: \"\": field can not be empty.",
                "reclaimPolicy: Unsupported value: \"Recycle\": supported values: \"Delete\", \"Retain\"",
                "volumeBindingMode: Unsupported value: \"Late\": supported values: \"Immediate\", \"WaitForFirstConsumer\"",
            ]
        );
    }

    #[test]
    fn only_the_rest_may_change() {
        let old = class(&json!({"provisioner": "a", "parameters": {}}));
        let expandable =
            class(&json!({"provisioner": "a", "allowVolumeExpansion": true, "mountOptions": ["ro"]}));
        assert_eq!(StorageClassStrategy.validate_update(&expandable, &old), []);
        let other = class(&json!({"provisioner": "b", "parameters": {"a": "b"}, "reclaimPolicy": "Retain",
            "volumeBindingMode": "WaitForFirstConsumer"}));
        assert_eq!(
            texts(&StorageClassStrategy.validate_update(&other, &old)),
            [
                "parameters: Forbidden: updates to parameters are forbidden.",
                "provisioner: Forbidden: updates to provisioner are forbidden.",
                "reclaimPolicy: Forbidden: updates to reclaimPolicy are forbidden.",
                "volumeBindingMode: Invalid value: \"WaitForFirstConsumer\": field is immutable",
            ]
        );
    }
}
