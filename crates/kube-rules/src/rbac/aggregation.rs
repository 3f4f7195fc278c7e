//! ClusterRoles whose rules are gathered from others by label.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::PolicyRule;
use super::rule::null_is_empty;

/// `metav1.LabelSelector`: every label and every expression must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct LabelSelector {
    #[serde(deserialize_with = "null_is_empty")]
    match_labels: BTreeMap<String, String>,
    #[serde(deserialize_with = "null_is_empty")]
    match_expressions: Vec<Expression>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
struct Expression {
    key: String,
    operator: String,
    #[serde(deserialize_with = "null_is_empty")]
    values: Vec<String>,
}

impl LabelSelector {
    /// Whether labels fit. A selector without content fits everything; an operator that does not exist fits nothing.
    #[must_use]
    pub fn matches(&self, labels: &BTreeMap<String, String>) -> bool {
        self.match_labels.iter().all(|(key, value)| labels.get(key) == Some(value))
            && self.match_expressions.iter().all(|expression| {
                let value = labels.get(&expression.key);
                match expression.operator.as_str() {
                    "Exists" => value.is_some(),
                    "DoesNotExist" => value.is_none(),
                    "In" => value.is_some_and(|value| expression.values.contains(value)),
                    "NotIn" => value.is_none_or(|value| !expression.values.contains(value)),
                    _ => false,
                }
            })
    }
}

/// The rules that a role gathers: for each selector those of the matching roles, by name, each rule once.
///
/// `roles` are all ClusterRoles by name, with labels and rules; the role itself is left out.
#[must_use]
pub fn aggregated_rules(
    own_name: &str,
    selectors: &[LabelSelector],
    roles: &BTreeMap<String, (BTreeMap<String, String>, Vec<PolicyRule>)>,
) -> Vec<PolicyRule> {
    let mut gathered: Vec<PolicyRule> = Vec::new();
    for selector in selectors {
        for (name, (labels, rules)) in roles {
            if name == own_name || !selector.matches(labels) {
                continue;
            }
            for rule in rules {
                if !gathered.contains(rule) {
                    gathered.push(rule.clone());
                }
            }
        }
    }
    gathered
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn selectors_are_kubernetes_own() {
        let labels = BTreeMap::from([("a".to_owned(), "1".to_owned())]);
        let table = [
            (json!({}), true),
            (json!({"matchLabels": {"a": "1"}}), true),
            (json!({"matchLabels": {"a": "2"}}), false),
            (json!({"matchLabels": {"a": "1", "b": "1"}}), false),
            (json!({"matchExpressions": [{"key": "a", "operator": "In", "values": ["1", "2"]}]}), true),
            (json!({"matchExpressions": [{"key": "b", "operator": "In", "values": ["1"]}]}), false),
            (json!({"matchExpressions": [{"key": "b", "operator": "NotIn", "values": ["1"]}]}), true),
            (json!({"matchExpressions": [{"key": "a", "operator": "NotIn", "values": ["1"]}]}), false),
            (json!({"matchExpressions": [{"key": "a", "operator": "Exists"}]}), true),
            (json!({"matchExpressions": [{"key": "a", "operator": "DoesNotExist"}]}), false),
            (json!({"matchExpressions": [{"key": "a", "operator": "exists"}]}), false),
        ];
        for (json, fits) in table {
            let selector: LabelSelector = serde_json::from_value(json.clone()).expect("a selector");
            assert_eq!(selector.matches(&labels), fits, "{json}");
        }
    }

    #[test]
    fn rules_are_gathered_by_name_and_once() {
        let rule = |verb: &str| PolicyRule { verbs: vec![verb.to_owned()], ..PolicyRule::default() };
        let labelled = |rules: Vec<PolicyRule>| (BTreeMap::from([("x".to_owned(), "y".to_owned())]), rules);
        let roles = BTreeMap::from([
            ("own".to_owned(), labelled(vec![rule("never")])),
            ("b".to_owned(), labelled(vec![rule("get"), rule("list")])),
            ("a".to_owned(), labelled(vec![rule("list")])),
            ("c".to_owned(), (BTreeMap::new(), vec![rule("delete")])),
        ]);
        let selector: LabelSelector =
            serde_json::from_value(json!({"matchLabels": {"x": "y"}})).expect("one");
        let found = aggregated_rules("own", &[selector.clone(), selector], &roles);
        assert_eq!(found, [rule("list"), rule("get")]);
    }
}
