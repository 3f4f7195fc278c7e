//! Selecting by labels: of volumes by claims, of nodes by pods, of objects by webhooks.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use crate::{FieldError, names};

/// Labels by their keys.
pub type Labels = BTreeMap<String, String>;

/// `metav1.LabelSelector`: everything in it must hold. The empty one selects everything.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct LabelSelector {
    match_labels: Labels,
    match_expressions: Vec<Requirement>,
}

impl LabelSelector {
    /// Whether it selects everything.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.match_labels.is_empty() && self.match_expressions.is_empty()
    }

    /// The selector that asks for this, too.
    #[must_use]
    pub fn and(mut self, requirement: Requirement) -> Self {
        self.match_expressions.push(requirement);
        self
    }

    /// Whether labels are selected.
    #[must_use]
    pub fn matches(&self, labels: &Labels) -> bool {
        contains_all(labels, &self.match_labels)
            && self.match_expressions.iter().all(|requirement| requirement.matches(labels))
    }
}

/// Whether `labels` has all of `wanted`, with these values.
#[must_use]
pub fn contains_all(labels: &Labels, wanted: &Labels) -> bool {
    wanted.iter().all(|(key, value)| labels.get(key) == Some(value))
}

/// A condition on one label, or on one field taken as a label.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Requirement {
    key: String,
    operator: Operator,
    #[serde(default)]
    values: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
enum Operator {
    In,
    NotIn,
    Exists,
    DoesNotExist,
    Gt,
    Lt,
}

impl Requirement {
    /// Asks for the value that is given.
    #[must_use]
    pub fn equals(key: &str, value: &str) -> Self {
        Self { key: key.to_owned(), operator: Operator::In, values: vec![value.to_owned()] }
    }

    /// Asks for any other value than the one that is given, or none.
    #[must_use]
    pub fn differs(key: &str, value: &str) -> Self {
        Self { key: key.to_owned(), operator: Operator::NotIn, values: vec![value.to_owned()] }
    }

    /// Whether labels fulfil the condition.
    #[must_use]
    pub fn matches(&self, labels: &Labels) -> bool {
        let found = labels.get(&self.key);
        match self.operator {
            Operator::In => found.is_some_and(|value| self.values.contains(value)),
            Operator::NotIn => found.is_none_or(|value| !self.values.contains(value)),
            Operator::Exists => found.is_some(),
            Operator::DoesNotExist => found.is_none(),
            Operator::Gt => self.numbers(found).is_some_and(|(found, bound)| found > bound),
            Operator::Lt => self.numbers(found).is_some_and(|(found, bound)| found < bound),
        }
    }

    /// The value, if this asks for just one value of this key.
    #[must_use]
    pub fn only_value_of(&self, key: &str) -> Option<&str> {
        match &*self.values {
            [value] if self.key == key && self.operator == Operator::In => Some(value),
            _ => None,
        }
    }

    fn numbers(&self, found: Option<&String>) -> Option<(i64, i64)> {
        Some((found?.parse().ok()?, self.values.first()?.parse().ok()?))
    }
}

/// What is wrong with a `metav1.LabelSelector` at `path`; nothing with one that is absent.
#[must_use]
pub fn validate(selector: &Value, path: &str) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let labels = format!("{path}.matchLabels");
    for (key, value) in selector.get("matchLabels").and_then(Value::as_object).into_iter().flatten() {
        let faults = names::qualified_name(key).into_iter();
        errors.extend(faults.map(|fault| FieldError::invalid(&labels, key.as_str(), &fault)));
        let value = value.as_str().unwrap_or_default();
        let faults = names::label_value(value).into_iter();
        errors.extend(faults.map(|fault| FieldError::invalid(&labels, value, &fault)));
    }
    let expressions = selector.get("matchExpressions").and_then(Value::as_array);
    for (position, expression) in expressions.into_iter().flatten().enumerate() {
        validate_requirement(expression, &format!("{path}.matchExpressions[{position}]"), &mut errors);
    }
    errors
}

fn validate_requirement(expression: &Value, path: &str, errors: &mut Vec<FieldError>) {
    let text = |member: &str| expression.get(member).and_then(Value::as_str).unwrap_or_default();
    let values = expression.get("values").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    match text("operator") {
        "In" | "NotIn" if values.is_empty() => errors.push(FieldError::required(
            format!("{path}.values"),
            "must be specified when `operator` is 'In' or 'NotIn'",
        )),
        "Exists" | "DoesNotExist" if !values.is_empty() => errors.push(FieldError::forbidden(
            format!("{path}.values"),
            "may not be specified when `operator` is 'Exists' or 'DoesNotExist'",
        )),
        "In" | "NotIn" | "Exists" | "DoesNotExist" => {}
        other => {
            errors.push(FieldError::invalid(
                format!("{path}.operator"),
                other,
                "not a valid selector operator",
            ));
        }
    }
    let key = text("key");
    let faults = names::qualified_name(key).into_iter();
    errors.extend(faults.map(|fault| FieldError::invalid(format!("{path}.key"), key, &fault)));
    for (position, value) in values.iter().filter_map(Value::as_str).enumerate() {
        let faults = names::label_value(value).into_iter();
        let path = format!("{path}.values[{position}]");
        errors.extend(faults.map(|fault| FieldError::invalid(&path, value, &fault)));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_operator() {
        let labels = Labels::from([("disk".into(), "ssd".into()), ("size".into(), "10".into())]);
        for (selector, matches) in [
            (json!({}), true),
            (json!({"matchLabels": {"disk": "ssd"}}), true),
            (json!({"matchLabels": {"disk": "ssd", "zone": "a"}}), false),
            (json!({"matchLabels": {"disk": "hdd"}}), false),
            (
                json!({"matchExpressions": [{"key": "disk", "operator": "In", "values": ["hdd", "ssd"]}]}),
                true,
            ),
            (json!({"matchExpressions": [{"key": "zone", "operator": "In", "values": ["a"]}]}), false),
            (json!({"matchExpressions": [{"key": "disk", "operator": "NotIn", "values": ["ssd"]}]}), false),
            (json!({"matchExpressions": [{"key": "zone", "operator": "NotIn", "values": ["a"]}]}), true),
            (json!({"matchExpressions": [{"key": "disk", "operator": "Exists"}]}), true),
            (json!({"matchExpressions": [{"key": "zone", "operator": "Exists"}]}), false),
            (json!({"matchExpressions": [{"key": "disk", "operator": "DoesNotExist"}]}), false),
            (json!({"matchExpressions": [{"key": "zone", "operator": "DoesNotExist"}]}), true),
            (json!({"matchExpressions": [{"key": "size", "operator": "Gt", "values": ["9"]}]}), true),
            (json!({"matchExpressions": [{"key": "size", "operator": "Gt", "values": ["10"]}]}), false),
            (json!({"matchExpressions": [{"key": "size", "operator": "Lt", "values": ["11"]}]}), true),
            (json!({"matchExpressions": [{"key": "disk", "operator": "Lt", "values": ["11"]}]}), false),
            (
                json!({"matchLabels": {"disk": "ssd"}, "matchExpressions": [{"key": "zone", "operator": "Exists"}]}),
                false,
            ),
        ] {
            let parsed: LabelSelector = serde_json::from_value(selector.clone()).unwrap();
            assert_eq!(parsed.matches(&labels), matches, "{selector}");
        }
    }

    #[test]
    fn a_selector_with_more_in_it() {
        let labels = Labels::from([("disk".into(), "ssd".into())]);
        for (requirement, matches) in [
            (Requirement::equals("disk", "ssd"), true),
            (Requirement::equals("disk", "hdd"), false),
            (Requirement::differs("disk", "ssd"), false),
            (Requirement::differs("zone", "a"), true),
        ] {
            assert_eq!(LabelSelector::default().and(requirement.clone()).matches(&labels), matches);
        }
    }

    #[test]
    fn what_is_wrong_with_a_selector() {
        assert_eq!(validate(&json!(null), "spec.selector"), []);
        let selector = json!({
            "matchLabels": {"a b": "c", "a": "-"},
            "matchExpressions": [
                {"key": "a", "operator": "In"},
                {"key": "a", "operator": "Exists", "values": ["b"]},
                {"key": "", "operator": "Is"},
                {"key": "a", "operator": "NotIn", "values": ["b", "-"]},
            ],
        });
        let errors = validate(&selector, "spec.selector");
        let fields: Vec<&str> = errors.iter().map(FieldError::field).collect();
        let wanted = [
            "spec.selector.matchLabels",
            "spec.selector.matchLabels",
            "spec.selector.matchExpressions[0].values",
            "spec.selector.matchExpressions[1].values",
            "spec.selector.matchExpressions[2].operator",
            "spec.selector.matchExpressions[2].key",
            "spec.selector.matchExpressions[2].key",
            "spec.selector.matchExpressions[3].values[1]",
        ];
        assert_eq!(fields, wanted);
        assert_eq!(
            errors[2].message(),
            "Required value: must be specified when `operator` is 'In' or 'NotIn'"
        );
    }
}
