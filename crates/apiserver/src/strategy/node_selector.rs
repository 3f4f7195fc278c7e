//! Which nodes are meant: the terms that volumes and pods have.

use tokenward_kube_rules::{FieldError, names};

use super::field::Field;

/// What is wrong with a selector that has to have terms.
pub(super) fn faults(selector: &Field<'_>) -> Vec<FieldError> {
    let terms = selector.child("nodeSelectorTerms");
    if terms.items().len() == 0 {
        return vec![terms.required("must have at least one node selector term")];
    }
    terms.items().flat_map(|term| term_faults(&term, Values::OfLabels)).collect()
}

/// What the values of a requirement may be.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Values {
    /// What a label can have.
    OfLabels,
    /// Anything: what no node can have is no fault of a mere preference.
    Any,
}

/// What is wrong with one term.
pub(super) fn term_faults(term: &Field<'_>, values: Values) -> Vec<FieldError> {
    let mut errors = Vec::new();
    for expression in term.child("matchExpressions").items() {
        errors.extend(expression_faults(&expression, values));
    }
    for field in term.child("matchFields").items() {
        errors.extend(field_faults(&field));
    }
    errors
}

fn expression_faults(expression: &Field<'_>, rule: Values) -> Vec<FieldError> {
    let (operator, values) = (expression.child("operator"), expression.child("values"));
    let count = values.items().len();
    let mut errors = Vec::new();
    match operator.text() {
        "In" | "NotIn" if count == 0 => {
            errors.push(values.required("must be specified when `operator` is 'In' or 'NotIn'"));
        }
        "Exists" | "DoesNotExist" if count > 0 => {
            errors
                .push(values.forbidden("may not be specified when `operator` is 'Exists' or 'DoesNotExist'"));
        }
        "Gt" | "Lt" if count != 1 => {
            errors.push(values.required("must be specified single value when `operator` is 'Lt' or 'Gt'"));
        }
        "In" | "NotIn" | "Exists" | "DoesNotExist" | "Gt" | "Lt" => {}
        other => {
            errors.push(FieldError::invalid(operator.path(), other, "not a valid selector operator"));
        }
    }
    let key = expression.child("key");
    let faults = names::qualified_name(key.text());
    errors.extend(faults.iter().map(|fault| FieldError::invalid(key.path(), key.text(), fault)));
    if rule == Values::OfLabels {
        errors.extend(values.items().flat_map(|value| value.faults(names::label_value)));
    }
    errors
}

/// Of a node's fields only its name can be selected.
fn field_faults(field: &Field<'_>) -> Vec<FieldError> {
    let (operator, values, key) = (field.child("operator"), field.child("values"), field.child("key"));
    let mut errors = Vec::new();
    match operator.text() {
        "In" | "NotIn" if values.items().len() == 1 => {}
        "In" | "NotIn" => {
            let why = "must be only one value when `operator` is 'In' or 'NotIn' for node field selector";
            errors.push(values.required(why));
        }
        other => {
            errors.push(FieldError::invalid(operator.path(), other, "not a valid selector operator"));
        }
    }
    if key.text() == "metadata.name" {
        errors.extend(values.items().flat_map(|value| value.faults(names::dns_subdomain)));
    } else {
        errors.push(FieldError::invalid(key.path(), key.text(), "not a valid field selector key"));
    }
    errors
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn terms_are_checked_one_by_one() {
        let of = |selector| {
            let object = json!({"s": selector}).as_object().cloned().unwrap();
            let errors = faults(&Field::of(&object, "s"));
            errors
                .iter()
                .map(|error| error.to_string().replace("s.nodeSelectorTerms", ""))
                .collect::<Vec<_>>()
        };
        assert_eq!(of(json!({})), [": Required value: must have at least one node selector term"]);
        let good = json!({"nodeSelectorTerms": [
            {"matchExpressions": [{"key": "a", "operator": "In", "values": ["b"]}, {"key": "a", "operator": "Gt", "values": ["1"]}]},
            {"matchFields": [{"key": "metadata.name", "operator": "NotIn", "values": ["n"]}]},
            {},
        ]});
        assert_eq!(of(good), [""; 0]);
        let bad = of(json!({"nodeSelectorTerms": [{
            "matchExpressions": [
                {"key": "a", "operator": "In"},
                {"key": "a", "operator": "Exists", "values": ["b"]},
                {"key": "a", "operator": "Gt", "values": ["x", "y"]},
                {"key": "a", "operator": "Is"},
                {"key": "a", "operator": "In", "values": ["-"]},
            ],
            "matchFields": [
                {"key": "a", "operator": "In", "values": ["x"]},
                {"key": "metadata.name", "operator": "Exists", "values": ["n"]},
                {"key": "metadata.name", "operator": "In", "values": ["n", "m"]},
                {"key": "metadata.name", "operator": "In", "values": ["N_"]},
            ],
        }]}));
        let wanted = [
            "[0].matchExpressions[0].values: Required value: must be specified when `operator` is 'In' or 'NotIn'",
            "[0].matchExpressions[1].values: Forbidden: may not be specified when `operator` is 'Exists' or 'DoesNotExist'",
            "[0].matchExpressions[2].values: Required value: must be specified single value when `operator` is 'Lt' or 'Gt'",
            "[0].matchExpressions[3].operator: Invalid value: \"Is\": not a valid selector operator",
            "[0].matchExpressions[4].values[0]: Invalid value: \"-\": a valid label must",
            "[0].matchFields[0].key: Invalid value: \"a\": not a valid field selector key",
            "[0].matchFields[1].operator: Invalid value: \"Exists\": not a valid selector operator",
            "[0].matchFields[2].values: Required value: must be only one value when",
            "[0].matchFields[3].values[0]: Invalid value: \"N_\": a lowercase RFC 1123 subdomain",
        ];
        assert_eq!(bad.len(), wanted.len(), "{bad:#?}");
        for (found, wanted) in bad.iter().zip(wanted) {
            assert!(found.starts_with(wanted), "{found}");
        }
    }
}
