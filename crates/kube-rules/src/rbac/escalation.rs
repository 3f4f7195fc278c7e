//! Nobody grants what they do not hold: which parts of a grant exceed the rights of the one who makes it.

use std::collections::{BTreeSet, HashMap, HashSet};

use super::PolicyRule;
use super::rule::{covers_path, quoted};
use super::{Faults, Who};
use crate::field_error::quote;

/// How many single rights a grant may come to beyond the rules that one held rule covers. A rule of a few kilobytes
/// has millions of combinations; what people write stays far below this.
const MOST_RIGHTS: usize = 10_000;

/// How much text those rights may come to: a long name would be repeated in each.
const MOST_TEXT: usize = 4 * 1024 * 1024;

/// How many entries of rules may be compared with held rules. Both a grant and what is held may be tens of thousands of
/// rules, and everybody waits while they are looked at.
const MOST_STEPS: usize = 5_000_000;

/// How many missing rights a refusal lists.
const MOST_SHOWN: usize = 100;

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
/// A granted rule that no held rule covers as a whole is broken down to single verbs, groups, resources and names, so
/// that it may be covered by several rules together. Unlike upstream, a grant that has too many of these is refused
/// unseen, and a long list of missing rights is cut.
#[must_use]
pub fn missing_rights(
    who: Who<'_>,
    held: &[&PolicyRule],
    granted: &[PolicyRule],
    faults: &Faults,
) -> Option<String> {
    let maker = || format!("user {} (groups={})", quote(who.name), quoted(who.groups));
    let held = coverages(held);
    let mut steps = Steps { left: MOST_STEPS };
    let partial = not_wholly_covered(&held, granted, &mut steps);
    let missing = match partial {
        Some(partial) if !is_too_much(&partial) => uncovered_parts(&held, &partial, &mut steps),
        _ => None,
    };
    let Some(missing) = missing else {
        return Some(format!(
            "{} is attempting to grant RBAC permissions with too many combinations of verbs, API groups, resources \
             and names to be checked (at most {MOST_RIGHTS}): grant fewer at a time, or rules that a single rule \
             currently held covers, or have the verb \"escalate\" or \"bind\"",
            maker(),
        ));
    };
    if missing.is_empty() {
        return None;
    }
    let shown: BTreeSet<String> = compacted(missing).iter().map(ToString::to_string).collect();
    let more = shown.len().saturating_sub(MOST_SHOWN);
    let shown = shown.into_iter().take(MOST_SHOWN).collect::<Vec<_>>().join("\n");
    let mut text =
        format!("{} is attempting to grant RBAC permissions not currently held:\n{shown}", maker());
    if more > 0 {
        text.push_str(&format!("\nand {more} more"));
    }
    if !faults.is_empty() {
        text.push_str(&format!("; resolution errors: [{faults}]"));
    }
    Some(text)
}

/// The single rights of `granted` that no rule of `held` covers, in order. Both are somebody's who is trusted.
pub(super) fn uncovered(held: &[&PolicyRule], granted: &[PolicyRule]) -> Vec<PolicyRule> {
    let held = coverages(held);
    let mut steps = Steps { left: usize::MAX };
    let partial = not_wholly_covered(&held, granted, &mut steps);
    partial.and_then(|partial| uncovered_parts(&held, &partial, &mut steps)).unwrap_or_default()
}

/// Each rule once, those first that are for everything: what they cover is found at once.
fn coverages<'a>(held: &[&'a PolicyRule]) -> Vec<Coverage<'a>> {
    let mut seen = HashSet::new();
    let mut each: Vec<&PolicyRule> = held.iter().copied().filter(|rule| seen.insert(*rule)).collect();
    each.sort_by_key(|rule| !rule.verbs.iter().any(|verb| verb == "*"));
    each.into_iter().map(Coverage::of).collect()
}

/// What may still be spent on comparing.
struct Steps {
    left: usize,
}

impl Steps {
    /// Whether one of the rules covers all of this one; none when that would take too long to find out.
    fn any_covers(&mut self, held: &[Coverage<'_>], rule: &PolicyRule) -> Option<bool> {
        for own in held {
            self.left = self.left.checked_sub(own.steps(rule))?;
            if own.covers(rule) {
                return Some(true);
            }
        }
        Some(false)
    }
}

/// The rules that only several held rules together could cover, if any.
fn not_wholly_covered<'a>(
    held: &[Coverage<'_>],
    granted: &'a [PolicyRule],
    steps: &mut Steps,
) -> Option<Vec<&'a PolicyRule>> {
    let mut partial = Vec::new();
    for rule in granted {
        if !steps.any_covers(held, rule)? {
            partial.push(rule);
        }
    }
    Some(partial)
}

fn uncovered_parts(
    held: &[Coverage<'_>],
    rules: &[&PolicyRule],
    steps: &mut Steps,
) -> Option<Vec<PolicyRule>> {
    let mut missing = Vec::new();
    for right in rules.iter().flat_map(|rule| broken_down(rule)) {
        if !steps.any_covers(held, &right)? {
            missing.push(right);
        }
    }
    Some(missing)
}

/// Whether the rules come to more single rights, or to more text in them, than is looked at.
fn is_too_much(rules: &[&PolicyRule]) -> bool {
    let (mut rights, mut text) = (0_usize, 0_usize);
    for rule in rules {
        let combinations = combinations(rule);
        let lists =
            [&rule.verbs, &rule.api_groups, &rule.resources, &rule.resource_names, &rule.non_resource_urls];
        let longest: usize = lists.iter().filter_map(|list| list.iter().map(String::len).max()).sum();
        rights = rights.saturating_add(combinations);
        text = text.saturating_add(combinations.saturating_mul(longest));
    }
    rights > MOST_RIGHTS || text > MOST_TEXT
}

/// How many single rights [`broken_down`] makes of a rule.
fn combinations(rule: &PolicyRule) -> usize {
    let objects = rule
        .api_groups
        .len()
        .saturating_mul(rule.resources.len())
        .saturating_mul(rule.resource_names.len().max(1));
    objects.saturating_add(rule.non_resource_urls.len()).saturating_mul(rule.verbs.len())
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

/// A held rule, its lists as sets: each is asked many times.
struct Coverage<'a> {
    verbs: HashSet<&'a str>,
    api_groups: HashSet<&'a str>,
    resources: HashSet<&'a str>,
    resource_names: HashSet<&'a str>,
    non_resource_urls: &'a [String],
}

impl<'a> Coverage<'a> {
    fn of(rule: &'a PolicyRule) -> Self {
        let set = |list: &'a [String]| list.iter().map(String::as_str).collect();
        Self {
            verbs: set(&rule.verbs),
            api_groups: set(&rule.api_groups),
            resources: set(&rule.resources),
            resource_names: set(&rule.resource_names),
            non_resource_urls: &rule.non_resource_urls,
        }
    }

    /// At most so many comparisons [`Coverage::covers`] takes.
    fn steps(&self, right: &PolicyRule) -> usize {
        let lists = [&right.verbs, &right.api_groups, &right.resources, &right.resource_names];
        let entries: usize = lists.into_iter().map(Vec::len).sum();
        let urls = right.non_resource_urls.len().saturating_mul(self.non_resource_urls.len());
        entries.saturating_add(urls).saturating_add(1)
    }

    /// Whether the held rule covers everything of a rule.
    fn covers(&self, right: &PolicyRule) -> bool {
        let has = |own: &HashSet<&str>, wanted: &str| own.contains("*") || own.contains(wanted);
        let has_resource = |wanted: &String| {
            has(&self.resources, wanted)
                || wanted.split_once('/').is_some_and(|(_, subresource)| {
                    let starred = format!("*/{subresource}");
                    self.resources.contains(starred.as_str())
                })
        };
        let has_url = |wanted: &String| self.non_resource_urls.iter().any(|own| covers_path(own, wanted));
        // A right to objects of any name is not covered by one to some names, nor by naming none of them.
        let has_names = self.resource_names.is_empty()
            || !right.resource_names.is_empty()
                && right.resource_names.iter().all(|name| self.resource_names.contains(name.as_str()));
        has_names
            && right.verbs.iter().all(|verb| has(&self.verbs, verb))
            && right.api_groups.iter().all(|group| has(&self.api_groups, group))
            && right.resources.iter().all(has_resource)
            && right.non_resource_urls.iter().all(has_url)
    }
}

/// Rights to the same resource that differ only in their verb become one rule.
pub(super) fn compacted(rights: Vec<PolicyRule>) -> Vec<PolicyRule> {
    let mut rules: Vec<PolicyRule> = Vec::new();
    let mut places = HashMap::new();
    for right in rights {
        if right.resource_names.is_empty() && right.non_resource_urls.is_empty() {
            let resource = (right.api_groups.clone(), right.resources.clone());
            let place = *places.entry(resource).or_insert(rules.len());
            if let Some(rule) = rules.get_mut(place) {
                rule.verbs.extend(right.verbs);
                continue;
            }
        }
        rules.push(right);
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

    fn many(what: &str, count: usize) -> Vec<String> {
        (0..count).map(|number| format!("{what}-{number}")).collect()
    }

    fn product(groups: usize, resources: usize, verbs: usize) -> PolicyRule {
        PolicyRule {
            api_groups: many("group", groups),
            resources: many("resource", resources),
            verbs: many("verb", verbs),
            ..PolicyRule::default()
        }
    }

    #[test]
    fn too_many_combinations_are_refused_unless_one_rule_covers_them() {
        let refused = |held: &[PolicyRule], granted: &[PolicyRule]| {
            missing(held, granted).is_some_and(|text| text.contains("too many combinations"))
        };
        let large = product(300, 300, 10);
        assert!(refused(&[], std::slice::from_ref(&large)));
        // No product of these lengths fits a machine word.
        let names =
            PolicyRule { resource_names: many("name", 100_000), ..product(100_000, 100_000, 100_000) };
        assert!(refused(&[], &[names]));
        assert!(!refused(&[], &[product(100, 100, 1)]));
        assert!(refused(&[], &[product(100, 100, 1), product(1, 1, 1)]), "together");
        let urls = PolicyRule {
            non_resource_urls: many("/path", 1_000),
            verbs: many("verb", 11),
            ..PolicyRule::default()
        };
        assert!(refused(&[], &[urls]));
        let long = PolicyRule { api_groups: vec!["g".repeat(1_000_000)], ..product(1, 100, 1) };
        assert!(refused(&[], &[long]), "text that would be repeated");

        assert_eq!(missing(&full_authority(), std::slice::from_ref(&large)), None);
        assert_eq!(missing(std::slice::from_ref(&large), std::slice::from_ref(&large)), None);
        let parts = [product(300, 300, 9), product(300, 300, 10)];
        assert_eq!(missing(&parts, &[large]), None);
    }

    #[test]
    fn many_rules_are_not_compared_with_many() {
        let named = |name: usize, verb: &str| PolicyRule {
            verbs: vec![verb.to_owned()],
            api_groups: vec![String::new()],
            resources: vec!["pods".to_owned()],
            resource_names: vec![name.to_string()],
            ..PolicyRule::default()
        };
        let refused = |held: &[PolicyRule], granted: &[PolicyRule]| {
            missing(held, granted).is_some_and(|text| text.contains("too many combinations"))
        };
        let held: Vec<PolicyRule> = (0..50_000).map(|name| named(name, "get")).collect();
        let granted: Vec<PolicyRule> = (0..9_000).map(|name| named(name, "list")).collect();
        assert!(refused(&held, &granted));
        // The same rule again costs nothing.
        assert!(!refused(&vec![held[0].clone(); 50_000], &granted));
        // Nor does what everything is covered by, wherever it stands.
        let with_all = [&held[..], &full_authority()].concat();
        assert_eq!(missing(&with_all, &granted), None);
        let paths = |verb: &str| PolicyRule {
            non_resource_urls: many("/path", 9_000),
            verbs: vec![verb.to_owned()],
            ..PolicyRule::default()
        };
        assert!(refused(&[paths("get")], &[paths("list")]));
    }

    #[test]
    fn a_long_list_of_missing_rights_is_cut() {
        let lines = |resources| {
            let text = missing(&[], &[product(1, resources, 2)]).expect("a refusal");
            text.lines().skip(1).map(str::to_owned).collect::<Vec<_>>()
        };
        let all = lines(100);
        assert_eq!(all.len(), 100);
        assert!(all.iter().all(|line| line.starts_with("{APIGroups:")), "{all:?}");
        let cut = lines(1_000);
        assert_eq!(cut.len(), 101);
        assert_eq!(cut[100], "and 900 more");
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
        fn combinations_are_counted_as_they_are_made(rule in any_rule(), urls in 0_usize..3) {
            let rule = PolicyRule { non_resource_urls: many("/path", urls), ..rule };
            prop_assert_eq!(combinations(&rule), broken_down(&rule).len());
        }

        /// Looking at whole rules first changes no outcome.
        #[test]
        fn what_is_covered_as_a_whole_is_covered_in_every_part(
            held in proptest::collection::vec(any_rule(), 0..4),
            granted in proptest::collection::vec(any_rule(), 0..3),
        ) {
            let held: Vec<&PolicyRule> = held.iter().collect();
            let coverages = coverages(&held);
            let every: Vec<&PolicyRule> = granted.iter().collect();
            let parts = uncovered_parts(&coverages, &every, &mut Steps { left: usize::MAX });
            prop_assert_eq!(Some(uncovered(&held, &granted)), parts);
        }

        #[test]
        fn everything_is_covered_by_itself_and_by_full_authority(rules in proptest::collection::vec(any_rule(), 0..4)) {
            prop_assert_eq!(missing(&rules, &rules), None);
            prop_assert_eq!(missing(&full_authority(), &rules), None);
        }
    }
}
