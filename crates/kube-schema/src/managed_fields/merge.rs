//! A configuration merged into a live tree, and fields taken out of a tree.

use std::collections::{HashMap, HashSet};

use serde_json::{Map, Value};
use tokenward_kube_rules::Release;

use super::compare::{items_of, members_of};
use super::element;
use super::rule::{ItemFault, Rule};
use super::set::FieldSet;
use crate::table::Message;

type Object = Map<String, Value>;

/// Merges a configuration into a tree: what it names has its values, all else stays.
pub(super) fn merge(
    message: &'static Message,
    release: Release,
    live: &Object,
    config: &Object,
) -> Result<Object, ItemFault> {
    merge_members(Rule::Struct(message), release, live, config)
}

fn merge_members(rule: Rule, release: Release, live: &Object, config: &Object) -> Result<Object, ItemFault> {
    let mut merged = live.clone();
    for (name, value) in config {
        let member = rule.member(name, release);
        merged.insert(name.clone(), merge_value(member, release, live.get(name), value)?);
    }
    Ok(merged)
}

fn merge_value(
    rule: Rule,
    release: Release,
    live: Option<&Value>,
    config: &Value,
) -> Result<Value, ItemFault> {
    match rule {
        Rule::Leaf => Ok(config.clone()),
        Rule::Struct(_) | Rule::Map(_) => {
            let (live, own) = (members_of(live), members_of(Some(config)));
            if live.is_empty() && own.is_empty() {
                return Ok(config.clone());
            }
            merge_members(rule, release, live, own).map(Value::Object)
        }
        Rule::Set | Rule::Keyed(..) => {
            let (live, own) = (items_of(live), items_of(Some(config)));
            if live.is_empty() && own.is_empty() {
                return Ok(config.clone());
            }
            merge_items(rule, release, live, own).map(Value::Array)
        }
    }
}

/// Merges lists item by item. The configuration's items keep its order; items that only the live list has keep their place
/// before the next item of both.
fn merge_items(
    rule: Rule,
    release: Release,
    live: &[Value],
    config: &[Value],
) -> Result<Vec<Value>, ItemFault> {
    let steps = |items: &[Value]| items.iter().map(|item| rule.element(item)).collect::<Result<Vec<_>, _>>();
    let (live_steps, config_steps) = (steps(live)?, steps(config)?);
    let mut places: HashMap<&str, Option<usize>> = HashMap::with_capacity(live.len());
    for (place, step) in live_steps.iter().enumerate() {
        // An item that the live list has more than once is not merged with: the configuration's takes its place.
        places.entry(step).and_modify(|first| *first = None).or_insert(Some(place));
    }
    let configured: HashSet<&str> = config_steps.iter().map(String::as_str).collect();
    let mut shared = config_steps.iter().filter(|step| places.contains_key(step.as_str())).peekable();
    let item_rule = rule.member("", release);

    let mut merged = Vec::with_capacity(live.len() + config.len());
    let mut live_items = live_steps.iter().zip(live).peekable();
    for (step, own) in config_steps.iter().zip(config) {
        let next_shared = shared.peek().copied();
        while let Some((live_step, live_item)) = live_items.peek() {
            if !configured.contains(live_step.as_str()) {
                merged.push((*live_item).clone());
            } else if next_shared == Some(*live_step) && *live_step != step {
                // It waits for its turn.
                break;
            }
            let ends =
                *live_step == step || (configured.contains(live_step.as_str()) && next_shared.is_none());
            live_items.next();
            if ends {
                break;
            }
        }
        shared.next_if_eq(&step);
        let live_item = places.get(step.as_str()).copied().flatten().and_then(|place| live.get(place));
        merged.push(match live_item {
            Some(item) => merge_value(item_rule, release, Some(item), own)?,
            None => own.clone(),
        });
    }
    let rest = live_items.filter(|(step, _)| !configured.contains(step.as_str()));
    merged.extend(rest.map(|(_, item)| item.clone()));
    Ok(merged)
}

/// A tree without the fields of a set: a field goes with all that is below it. What was emptied by that is null.
pub(super) fn without(message: &'static Message, release: Release, tree: &Object, set: &FieldSet) -> Object {
    members_without(Rule::Struct(message), release, tree, set)
}

fn members_without(rule: Rule, release: Release, tree: &Object, set: &FieldSet) -> Object {
    let mut kept = Object::new();
    for (name, value) in tree {
        let element = element::field(name);
        if set.has(&element) {
            continue;
        }
        let value = match set.below(&element) {
            Some(below) => value_without(rule.member(name, release), release, value, below),
            None => value.clone(),
        };
        kept.insert(name.clone(), value);
    }
    kept
}

fn value_without(rule: Rule, release: Release, value: &Value, set: &FieldSet) -> Value {
    match (rule, value) {
        (Rule::Struct(_) | Rule::Map(_), Value::Object(tree)) => {
            let kept = members_without(rule, release, tree, set);
            if kept.is_empty() { Value::Null } else { Value::Object(kept) }
        }
        (Rule::Set | Rule::Keyed(..), Value::Array(items)) => {
            let mut kept = Vec::with_capacity(items.len());
            for item in items {
                // An item that cannot be told apart is in no set.
                let element = rule.element(item).unwrap_or_default();
                if !set.has(&element) {
                    kept.push(match set.below(&element) {
                        Some(below) => value_without(rule.member("", release), release, item, below),
                        None => item.clone(),
                    });
                }
            }
            if kept.is_empty() { Value::Null } else { Value::Array(kept) }
        }
        // There is nothing below it: the set is of a time when there was.
        _ => Value::Null,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::find_resource;

    fn pod() -> &'static Message {
        find_resource("", "v1", "pods").expect("a served resource").message()
    }

    fn merged(live: &Value, config: &Value) -> Value {
        let merged = merge(pod(), Release::V1_35, members_of(Some(live)), members_of(Some(config)));
        Value::Object(merged.expect("good items"))
    }

    #[test]
    fn a_configuration_merges_by_the_tables_rules() {
        let rows = [
            (
                json!({"spec": {"nodeName": "a", "hostIPC": true}}),
                json!({"spec": {"nodeName": "b"}}),
                json!({"spec": {"nodeName": "b", "hostIPC": true}}),
            ),
            (
                json!({"metadata": {"labels": {"a": "1"}}}),
                json!({"metadata": {"labels": {"b": "2"}}}),
                json!({"metadata": {"labels": {"a": "1", "b": "2"}}}),
            ),
            (
                json!({"spec": {"nodeSelector": {"a": "1"}, "tolerations": [{"key": "a"}]}}),
                json!({"spec": {"nodeSelector": {"b": "2"}, "tolerations": []}}),
                json!({"spec": {"nodeSelector": {"b": "2"}, "tolerations": []}}),
            ),
            (
                json!({"spec": {"containers": [{"name": "a", "image": "1"}, {"name": "b", "image": "1"}]}}),
                json!({"spec": {"containers": [{"name": "b", "image": "2"}]}}),
                json!({"spec": {"containers": [{"name": "a", "image": "1"}, {"name": "b", "image": "2"}]}}),
            ),
            (json!({"spec": {"nodeName": "a"}}), json!({"spec": null}), json!({"spec": {"nodeName": "a"}})),
            (
                json!({"spec": {"nodeName": "a"}}),
                json!({"spec": {"nodeName": null}}),
                json!({"spec": {"nodeName": null}}),
            ),
        ];
        for (live, config, wanted) in rows {
            assert_eq!(merged(&live, &config), wanted, "{live} {config}");
        }
    }

    fn order(live: &str, config: &str) -> String {
        let items = |text: &str| -> Vec<Value> { text.chars().map(|item| json!(item.to_string())).collect() };
        let live = json!({"metadata": {"finalizers": items(live)}});
        let result = merged(&live, &json!({"metadata": {"finalizers": items(config)}}));
        items_of(result["metadata"].get("finalizers")).iter().filter_map(Value::as_str).collect()
    }

    #[test]
    fn the_configurations_order_wins() {
        let rows = [
            ("abc", "", "abc"),
            ("", "abc", "abc"),
            ("abc", "cba", "cba"),
            ("axb", "ba", "xba"),
            ("abx", "ban", "bxan"),
            ("xab", "nab", "xnab"),
            ("abc", "xyz", "abcxyz"),
            ("ab", "anb", "anb"),
            ("a1b2", "ab", "a1b2"),
            ("a1b", "ba", "1ba"),
            ("aab", "ba", "ba"),
            ("xx", "a", "xxa"),
        ];
        for (live, config, wanted) in rows {
            assert_eq!(order(live, config), wanted, "{live} {config}");
        }
    }

    proptest! {
        #[test]
        fn merging_lists_loses_nothing_and_is_stable(
            live in Just("abcdefgh").prop_flat_map(|all| proptest::sample::subsequence(all.chars().collect::<Vec<_>>(), 0..6).prop_shuffle()),
            config in Just("efghijkl").prop_flat_map(|all| proptest::sample::subsequence(all.chars().collect::<Vec<_>>(), 0..6).prop_shuffle()),
        ) {
            let (live, config): (String, String) = (live.iter().collect(), config.iter().collect());
            let once = order(&live, &config);
            let kept: String = once.chars().filter(|item| config.contains(*item)).collect();
            prop_assert_eq!(&kept, &config);
            let others: String = once.chars().filter(|item| !config.contains(*item)).collect();
            let live_only: String = live.chars().filter(|item| !config.contains(*item)).collect();
            prop_assert_eq!(others, live_only);
            prop_assert_eq!(order(&once, &config), once);
        }
    }

    #[test]
    fn fields_are_taken_out_with_what_is_below_them() {
        let tree = json!({"spec": {"containers": [{"name": "a"}, {"name": "b", "image": "i"}], "nodeName": "n"},
            "metadata": {"labels": {"x": "1"}}});
        let set = json!({"f:spec": {"f:containers": {"k:{\"name\":\"a\"}": {}, "k:{\"name\":\"b\"}": {"f:image": {}}}, "f:nodeName": {}},
            "f:metadata": {"f:labels": {"f:x": {}}}});
        let set = FieldSet::from_json(&set).expect("a test's own set");
        assert_eq!(
            Value::Object(without(pod(), Release::V1_35, members_of(Some(&tree)), &set)),
            json!({"spec": {"containers": [{"name": "b"}]}, "metadata": {"labels": null}})
        );
    }
}
