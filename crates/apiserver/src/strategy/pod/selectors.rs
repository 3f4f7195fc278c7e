//! Selectors that are narrowed by the pod's own labels: `matchLabelKeys` and `mismatchLabelKeys` say by which, and who
//! schedules reads the selector alone.

use serde_json::{Value, json};

use crate::object::Object;

/// Writes what the keys of a pod's terms and constraints ask for into their selectors.
pub(super) fn narrow(pod: &mut Object) {
    let labels = pod.get("metadata").and_then(|metadata| metadata.get("labels")).cloned().unwrap_or_default();
    let Some(spec) = pod.get_mut("spec") else { return };
    for affinity in ["podAffinity", "podAntiAffinity"] {
        let Some(terms) = spec.get_mut("affinity").and_then(|all| all.get_mut(affinity)) else { continue };
        for term in items(terms, "requiredDuringSchedulingIgnoredDuringExecution") {
            narrow_by(term, &labels, &["matchLabelKeys", "mismatchLabelKeys"]);
        }
        for term in items(terms, "preferredDuringSchedulingIgnoredDuringExecution") {
            if let Some(term) = term.get_mut("podAffinityTerm") {
                narrow_by(term, &labels, &["matchLabelKeys", "mismatchLabelKeys"]);
            }
        }
    }
    for constraint in items(spec, "topologySpreadConstraints") {
        narrow_by(constraint, &labels, &["matchLabelKeys"]);
    }
}

fn items<'a>(owner: &'a mut Value, list: &str) -> impl Iterator<Item = &'a mut Value> + use<'a> {
    owner.get_mut(list).and_then(Value::as_array_mut).into_iter().flatten()
}

/// A key that the pod has no label for narrows nothing, and without a selector there is nothing to narrow.
fn narrow_by(owner: &mut Value, labels: &Value, members: &[&str]) {
    let mut requirements = Vec::new();
    for member in members {
        let operator = if *member == "matchLabelKeys" { "In" } else { "NotIn" };
        let keys = owner.get(member).and_then(Value::as_array).into_iter().flatten();
        for key in keys.filter_map(Value::as_str) {
            if let Some(value) = labels.get(key) {
                requirements.push(json!({"key": key, "operator": operator, "values": [value]}));
            }
        }
    }
    let Some(Value::Object(selector)) = owner.get_mut("labelSelector") else { return };
    if requirements.is_empty() {
        return;
    }
    match selector.get_mut("matchExpressions").and_then(Value::as_array_mut) {
        Some(expressions) => expressions.append(&mut requirements),
        None => {
            selector.insert("matchExpressions".to_owned(), requirements.into());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn selectors_get_what_the_keys_ask_for() {
        let asked = json!([
            {"key": "a", "operator": "In", "values": ["1"]},
            {"key": "b", "operator": "NotIn", "values": ["2"]},
        ]);
        let exists = json!({"key": "q", "operator": "Exists"});
        let with_exists = json!([exists, asked[0], asked[1]]);
        let table = [
            (json!({}), json!({"matchExpressions": asked})),
            (
                json!({"matchLabels": {"app": "x"}}),
                json!({"matchLabels": {"app": "x"}, "matchExpressions": asked}),
            ),
            (json!({"matchExpressions": [exists]}), json!({"matchExpressions": with_exists})),
            (Value::Null, Value::Null),
        ];
        for (selector, wanted) in table {
            let term = json!({"labelSelector": selector, "matchLabelKeys": ["a", "none"],
                "mismatchLabelKeys": ["b"]});
            let mut pod = json!({
                "metadata": {"labels": {"a": "1", "b": "2"}},
                "spec": {
                    "affinity": {
                        "podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term]},
                        "podAntiAffinity": {
                            "preferredDuringSchedulingIgnoredDuringExecution": [{"podAffinityTerm": term}],
                        },
                    },
                    "topologySpreadConstraints": [{"labelSelector": {}, "matchLabelKeys": ["a"]}],
                },
            });
            narrow(pod.as_object_mut().unwrap());
            let spec = &pod["spec"];
            for place in [
                "/affinity/podAffinity/requiredDuringSchedulingIgnoredDuringExecution/0",
                "/affinity/podAntiAffinity/preferredDuringSchedulingIgnoredDuringExecution/0/podAffinityTerm",
            ] {
                assert_eq!(spec.pointer(place).unwrap()["labelSelector"], wanted, "{place}");
            }
            let spread = &spec["topologySpreadConstraints"][0]["labelSelector"];
            assert_eq!(*spread, json!({"matchExpressions": [asked[0]]}));
        }
    }
}
