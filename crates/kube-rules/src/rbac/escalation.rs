//! Nobody grants what they do not hold: which parts of a grant exceed the rights of the one who makes it.

use std::collections::BTreeSet;

use super::PolicyRule;
use super::rule::{covers_path, has, quoted};
use super::{Faults, Who};
use crate::field_error::quote;

/// The rules of `cluster-admin`: who writes an aggregation rule must hold them,
/// since it can gather anything.
#[must_use]
pub fn full_authority() -> [PolicyRule; 2] {
    let all = || vec!["*".to_owned()];
    [
        PolicyRule { verbs: all(), api_groups: all(), resources: all(), ..PolicyRule::default() },
        PolicyRule { verbs: all(), non_resource_urls: all(), ..PolicyRule::default() },
    ]
}

/// What of `granted` is not covered by `held`, or none when all of it is: the text of the refusal, upstream's.
///
/// Every granted rule is broken down to single verbs, groups, resources and names, so that it may be covered by several
/// rules together.
#[must_use]
pub fn missing_rights(
    who: Who<'_>,
    held: &[&PolicyRule],
    granted: &[PolicyRule],
    faults: &Faults,
) -> Option<String> {
    let missing = uncovered(held, granted);
    if missing.is_empty() {
        return None;
    }
    let shown: BTreeSet<String> = compacted(missing).iter().map(ToString::to_string).collect();
    let shown = shown.into_iter().collect::<Vec<_>>().join("\n");
    let mut text = format!(
        "user {} (groups={}) is attempting to grant RBAC permissions not currently held:\n{shown}",
        quote(who.name),
        quoted(who.groups),
    );
    if !faults.is_empty() {
        text.push_str(&format!("; resolution errors: [{faults}]"));
    }
    Some(text)
}

/// The single rights of `granted` that no rule of `held` covers, in order.
pub(super) fn uncovered(held: &[&PolicyRule], granted: &[PolicyRule]) -> Vec<PolicyRule> {
    let single = granted.iter().flat_map(broken_down);
    single.filter(|right| !held.iter().any(|own| covers(own, right))).collect()
}

/// One rule for each combination of its group, resource, verb and name, or of its path and verb.
fn broken_down(rule: &PolicyRule) -> Vec<PolicyRule> {
    let one = |text: &String| vec![text.clone()];
    let mut single = Vec::new();
    for group in &rule.api_groups {
        for resource in &rule.resources {
            for verb in &rule.verbs {
                let right = PolicyRule {
                    api_groups: one(group),
                    resources: one(resource),
                    verbs: one(verb),
                    ..PolicyRule::default()
                };
                if rule.resource_names.is_empty() {
                    single.push(right);
                } else {
                    let names = rule.resource_names.iter();
                    single
                        .extend(names.map(|name| PolicyRule { resource_names: one(name), ..right.clone() }));
                }
            }
        }
    }
    for url in &rule.non_resource_urls {
        for verb in &rule.verbs {
            single.push(PolicyRule {
                non_resource_urls: one(url),
                verbs: one(verb),
                ..PolicyRule::default()
            });
        }
    }
    single
}

/// Whether a rule covers a single right.
fn covers(own: &PolicyRule, right: &PolicyRule) -> bool {
    let has_all = |own: &[String], wanted: &[String]| wanted.iter().all(|wanted| has(own, wanted));
    let has_resource = |wanted: &String| {
        has(&own.resources, wanted)
            || wanted.split_once('/').is_some_and(|(_, subresource)| {
                let starred = format!("*/{subresource}");
                own.resources.contains(&starred)
            })
    };
    let has_url = |wanted: &String| own.non_resource_urls.iter().any(|own| covers_path(own, wanted));
    // A right to objects of any name is not covered by one to some names, nor by naming none of them.
    let has_names = own.resource_names.is_empty()
        || !right.resource_names.is_empty()
            && right.resource_names.iter().all(|name| own.resource_names.contains(name));
    has_all(&own.verbs, &right.verbs)
        && has_all(&own.api_groups, &right.api_groups)
        && right.resources.iter().all(has_resource)
        && right.non_resource_urls.iter().all(has_url)
        && has_names
}

/// Rights to the same resource that differ only in their verb become one rule.
pub(super) fn compacted(rights: Vec<PolicyRule>) -> Vec<PolicyRule> {
    let mut rules: Vec<PolicyRule> = Vec::new();
    for right in rights {
        let is_simple = right.resource_names.is_empty() && right.non_resource_urls.is_empty();
        let same = rules.iter_mut().find(|rule| {
            is_simple
                && rule.resource_names.is_empty()
                && rule.api_groups == right.api_groups
                && rule.resources == right.resources
        });
        match same {
            Some(rule) => rule.verbs.extend(right.verbs),
            None => rules.push(right),
        }
    }
    rules
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proptest::sample::select;
    use serde_json::json;

    use super::*;
    use crate::rbac::{Attributes, ResourceAttributes};

    fn rules(json: serde_json::Value) -> Vec<PolicyRule> {
        serde_json::from_value(json).expect("rules")
    }

    fn missing(held: &[PolicyRule], granted: &[PolicyRule]) -> Option<String> {
        let groups = ["devs".to_owned(), "system:authenticated".to_owned()];
        let held: Vec<&PolicyRule> = held.iter().collect();
        missing_rights(Who { name: "alice", groups: &groups }, &held, granted, &Faults::default())
    }

    #[test]
    fn what_is_missing_is_told_as_upstream_tells_it() {
        let held = rules(json!([
            {"verbs": ["get", "list"], "apiGroups": [""], "resources": ["pods"]},
            {"verbs": ["watch"], "apiGroups": [""], "resources": ["pods"]},
            {"verbs": ["get"], "apiGroups": ["apps"], "resources": ["*/status"]},
            {"verbs": ["get"], "apiGroups": [""], "resources": ["secrets"], "resourceNames": ["a", "b"]},
            {"verbs": ["get"], "nonResourceURLs": ["/api*"]},
        ]));
        let covered = rules(json!([
            {"verbs": ["get", "watch"], "apiGroups": [""], "resources": ["pods"]},
            {"verbs": ["get"], "apiGroups": [""], "resources": ["pods"], "resourceNames": ["p"]},
            {"verbs": ["get"], "apiGroups": ["apps"], "resources": ["daemonsets/status"]},
            {"verbs": ["get"], "apiGroups": [""], "resources": ["secrets"], "resourceNames": ["b"]},
            {"verbs": ["get"], "nonResourceURLs": ["/api", "/apis/*"]},
        ]));
        assert_eq!(missing(&held, &covered), None);
        let exceeding = rules(json!([
            {"verbs": ["get", "delete", "create"], "apiGroups": [""], "resources": ["pods"]},
            {"verbs": ["get"], "apiGroups": [""], "resources": ["secrets"]},
            {"verbs": ["get"], "apiGroups": [""], "resources": ["secrets"], "resourceNames": ["c"]},
            {"verbs": ["get"], "nonResourceURLs": ["*"]},
        ]));
        assert_eq!(
            missing(&held, &exceeding).as_deref(),
            Some(
                "user \"alice\" (groups=[\"devs\" \"system:authenticated\"]) is attempting to grant RBAC permissions not currently held:\n\
                 {APIGroups:[\"\"], Resources:[\"pods\"], Verbs:[\"delete\" \"create\"]}\n\
                 {APIGroups:[\"\"], Resources:[\"secrets\"], ResourceNames:[\"c\"], Verbs:[\"get\"]}\n\
                 {APIGroups:[\"\"], Resources:[\"secrets\"], Verbs:[\"get\"]}\n\
                 {NonResourceURLs:[\"*\"], Verbs:[\"get\"]}"
            )
        );
    }

    fn any_rule() -> impl Strategy<Value = PolicyRule> {
        let texts = |from: &'static [&'static str]| {
            proptest::collection::vec(select(from).prop_map(str::to_owned), 0..3)
        };
        (
            texts(&["get", "list", "*"]),
            texts(&["", "apps", "*"]),
            texts(&["pods", "pods/status", "*/status", "*"]),
            texts(&["x", "y"]),
        )
            .prop_map(|(verbs, api_groups, resources, resource_names)| PolicyRule {
                verbs,
                api_groups,
                resources,
                resource_names,
                non_resource_urls: Vec::new(),
            })
    }

    proptest! {
        /// What covers means: whatever the grant would allow, its maker could do already.
        #[test]
        fn a_covered_grant_allows_nothing_more(
            held in proptest::collection::vec(any_rule(), 0..4),
            granted in proptest::collection::vec(any_rule(), 0..3),
        ) {
            let allows = |rules: &[PolicyRule], asked| {
                rules.iter().any(|rule| rule.allows(&Attributes::Resource(asked)))
            };
            if missing(&held, &granted).is_some() {
                return Ok(());
            }
            for verb in ["get", "list", "other"] {
                for group in ["", "apps", "other"] {
                    for (resource, subresource) in [("pods", ""), ("pods", "status"), ("other", "status"), ("other", "")] {
                        for name in ["", "x", "y", "z"] {
                            let asked = ResourceAttributes { verb, group, resource, subresource, namespace: "", name };
                            prop_assert!(!allows(&granted, asked) || allows(&held, asked), "{:?}", asked);
                        }
                    }
                }
            }
        }

        #[test]
        fn everything_is_covered_by_itself_and_by_full_authority(rules in proptest::collection::vec(any_rule(), 0..4)) {
            prop_assert_eq!(missing(&rules, &rules), None);
            prop_assert_eq!(missing(&full_authority(), &rules), None);
        }
    }
}
