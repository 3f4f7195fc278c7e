//! Selecting by labels: of volumes by claims, of nodes by pods.

use std::collections::BTreeMap;

use serde::Deserialize;

pub(crate) type Labels = BTreeMap<String, String>;

/// `metav1.LabelSelector`: everything in it must hold. The empty one selects everything.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct LabelSelector {
    match_labels: Labels,
    match_expressions: Vec<Requirement>,
}

impl LabelSelector {
    pub(crate) fn matches(&self, labels: &Labels) -> bool {
        contains_all(labels, &self.match_labels)
            && self.match_expressions.iter().all(|requirement| requirement.matches(labels))
    }
}

/// Whether `labels` has all of `wanted`, with these values.
pub(crate) fn contains_all(labels: &Labels, wanted: &Labels) -> bool {
    wanted.iter().all(|(key, value)| labels.get(key) == Some(value))
}

/// A condition on one label, or on one field taken as a label.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(crate) struct Requirement {
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
    pub(crate) fn matches(&self, labels: &Labels) -> bool {
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

    fn numbers(&self, found: Option<&String>) -> Option<(i64, i64)> {
        Some((found?.parse().ok()?, self.values.first()?.parse().ok()?))
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
}
