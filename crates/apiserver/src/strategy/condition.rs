//! `metav1.Condition`, as the statuses of newer kinds hold it.

use std::collections::BTreeSet;

use tokenward_kube_rules::{FieldError, names};

use super::field::Field;

const LONGEST_REASON: usize = 1024;
const LONGEST_MESSAGE: usize = 32 * 1024;

/// What is wrong with a list of conditions.
pub(super) fn validate(conditions: &Field<'_>) -> Vec<FieldError> {
    let mut seen = BTreeSet::new();
    let mut errors = Vec::new();
    for condition in conditions.items() {
        let kind = condition.child("type");
        if !seen.insert(kind.text()) {
            errors.push(kind.duplicate());
        }
        errors.extend(kind.faults(names::qualified_name));
        let status = condition.child("status");
        errors.extend(status.one_of(&["False", "True", "Unknown"]));
        let generation = condition.child("observedGeneration");
        if generation.number().is_some_and(|generation| generation < 0) {
            errors.push(generation.invalid("must be greater than or equal to zero"));
        }
        let time = condition.child("lastTransitionTime");
        if time.text().is_empty() {
            errors.push(time.required("must be set"));
        }
        errors.extend(reason_faults(&condition.child("reason")));
        let message = condition.child("message");
        if message.text().len() > LONGEST_MESSAGE {
            errors.push(FieldError::too_long(message.path(), LONGEST_MESSAGE));
        }
    }
    errors
}

fn reason_faults(reason: &Field<'_>) -> Vec<FieldError> {
    if reason.text().is_empty() {
        return vec![reason.required("must be set")];
    }
    let mut errors = reason.faults(names::condition_reason);
    if reason.text().len() > LONGEST_REASON {
        errors.push(FieldError::too_long(reason.path(), LONGEST_REASON));
    }
    errors
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::tests::texts;
    use super::*;

    #[test]
    fn every_part_has_its_rule() {
        let good = json!({"type": "Ready", "status": "True", "reason": "AllWell", "message": "",
            "lastTransitionTime": "2026-01-01T00:00:00Z"});
        let bad = json!({"type": "Ready", "status": "Yes", "observedGeneration": -1, "reason": "all well"});
        let empty = json!({"type": "", "status": ""});
        let object = json!({"conditions": [good, bad, empty]});
        let object = object.as_object().unwrap();
        assert_eq!(
            texts(&validate(&Field::of(object, "conditions"))),
            [
                "conditions[1].type: Duplicate value: \"Ready\"",
                "conditions[1].status: Unsupported value: \"Yes\": supported values: \"False\", \"True\", \"Unknown\"",
                "conditions[1].observedGeneration: Invalid value: -1: must be greater than or equal to zero",
                "conditions[1].lastTransitionTime: Required value: must be set",
                "conditions[1].reason: Invalid value: \"all well\": a condition reason must start with alphabetic character, optionally followed by a string of alphanumeric characters or '_,:', and must end with an alphanumeric character or '_' (e.g. 'my_name',  or 'MY_NAME',  or 'MyName',  or 'ReasonA,ReasonB',  or 'ReasonA:ReasonB', regex used for validation is '[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?')",
                "conditions[2].type: Invalid value: \"\": name part must be non-empty",
                "conditions[2].type: Invalid value: \"\": name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')",
                "conditions[2].status: Unsupported value: \"\": supported values: \"False\", \"True\", \"Unknown\"",
                "conditions[2].lastTransitionTime: Required value: must be set",
                "conditions[2].reason: Required value: must be set",
            ]
        );
    }
}
