//! ClusterRoles whose rules are gathered from others by label.

use std::collections::{BTreeMap, HashSet};

use super::PolicyRule;
use crate::label_selector::{LabelSelector, Labels};

/// The rules that a role gathers: for each selector those of the matching roles, by name, each rule once.
///
/// `roles` are all ClusterRoles by name, with labels and rules; the role itself is left out.
#[must_use]
pub fn aggregated_rules(
    own_name: &str,
    selectors: &[LabelSelector],
    roles: &BTreeMap<String, (Labels, Vec<PolicyRule>)>,
) -> Vec<PolicyRule> {
    let mut gathered: Vec<PolicyRule> = Vec::new();
    let mut known: HashSet<&PolicyRule> = HashSet::new();
    for selector in selectors {
        for (name, (labels, rules)) in roles {
            if name == own_name || !selector.matches(labels) {
                continue;
            }
            for rule in rules {
                if known.insert(rule) {
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

    /// Each rule is looked up and not looked for: twenty thousand roles with as many rules take no longer than they are long.
    #[test]
    fn of_many_roles_each_rule_comes_once_and_in_order() {
        const ROLES: usize = 20_000;
        let rule =
            |number: usize| PolicyRule { resources: vec![format!("r{number}")], ..PolicyRule::default() };
        let labels = Labels::from([("x".to_owned(), "y".to_owned())]);
        // Each shares a rule with the next.
        let role =
            |number: usize| (format!("{number:05}"), (labels.clone(), vec![rule(number), rule(number + 1)]));
        let roles: BTreeMap<_, _> = (0..ROLES).map(role).collect();
        let selector: LabelSelector =
            serde_json::from_value(json!({"matchLabels": {"x": "y"}})).expect("one");
        let found = aggregated_rules("own", &[selector.clone(), selector], &roles);
        assert_eq!(found.len(), ROLES + 1);
        assert!(found.iter().enumerate().all(|(number, found)| *found == rule(number)));
    }
}
