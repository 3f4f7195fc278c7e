//! What a start makes of default roles and bindings that are there already: rights that the defaults have are put back,
//! what somebody added stays, and whoever says `autoupdate: "false"` is left alone.

use serde_json::{Map, Value};

use super::PolicyRule;
use super::bootstrap::AUTO_UPDATE;
use super::escalation::{compacted, uncovered};

/// The role as it has to be written, or none when it is good as it is.
#[must_use]
pub fn reconciled_role(
    existing: &Map<String, Value>,
    default: &Map<String, Value>,
) -> Option<Map<String, Value>> {
    if is_protected(existing) {
        return None;
    }
    let mut role = existing.clone();
    merge_metadata(&mut role, default);
    match default.get("aggregationRule") {
        // The rules of a gathering role are its controller's.
        Some(wanted) => {
            add_missing(
                &mut role,
                &["aggregationRule", "clusterRoleSelectors"],
                wanted.get("clusterRoleSelectors"),
            );
        }
        None => {
            let (held, wanted) = (rules(existing), rules(default));
            let held: Vec<&PolicyRule> = held.iter().collect();
            let missing = compacted(uncovered(&held, &wanted));
            let missing = serde_json::to_value(missing).ok();
            add_missing(&mut role, &["rules"], missing.as_ref());
        }
    }
    (role != *existing).then_some(role)
}

/// The binding as it has to be written, or none when it is good as it is. One that binds to another role than the
/// default cannot be changed: it has to be deleted and made anew, as `Err` says.
///
/// # Errors
/// The default, to be created in the place of the deleted one.
pub fn reconciled_binding(
    existing: &Map<String, Value>,
    default: &Map<String, Value>,
) -> Result<Option<Map<String, Value>>, Map<String, Value>> {
    if is_protected(existing) {
        return Ok(None);
    }
    if existing.get("roleRef") != default.get("roleRef") {
        return Err(default.clone());
    }
    let mut binding = existing.clone();
    merge_metadata(&mut binding, default);
    add_missing(&mut binding, &["subjects"], default.get("subjects"));
    Ok((binding != *existing).then_some(binding))
}

fn is_protected(existing: &Map<String, Value>) -> bool {
    let annotation =
        existing.get("metadata").and_then(|metadata| metadata.get("annotations")?.get(AUTO_UPDATE));
    annotation.and_then(Value::as_str) == Some("false")
}

fn rules(role: &Map<String, Value>) -> Vec<PolicyRule> {
    let rules = role.get("rules").and_then(Value::as_array).into_iter().flatten();
    rules.map(|rule| serde_json::from_value(rule.clone()).unwrap_or_default()).collect()
}

/// Labels and annotations that the default has and the object has not. One that is there keeps its value.
fn merge_metadata(object: &mut Map<String, Value>, default: &Map<String, Value>) {
    for member in ["labels", "annotations"] {
        let wanted =
            default.get("metadata").and_then(|metadata| metadata.get(member)).and_then(Value::as_object);
        for (key, value) in wanted.into_iter().flatten() {
            let metadata = child(object, "metadata");
            child(metadata, member).entry(key.clone()).or_insert_with(|| value.clone());
        }
    }
}

/// Appends what a list at a path does not have.
fn add_missing(object: &mut Map<String, Value>, path: &[&str], wanted: Option<&Value>) {
    let wanted = wanted.and_then(Value::as_array).filter(|wanted| !wanted.is_empty());
    let (Some(wanted), Some((last, parents))) = (wanted, path.split_last()) else { return };
    let parent = parents.iter().fold(object, |object, member| child(object, member));
    let list = parent.entry(*last).or_insert(Value::Null);
    if !list.is_array() {
        *list = Value::Array(Vec::new());
    }
    if let Value::Array(items) = list {
        for item in wanted {
            if !items.contains(item) {
                items.push(item.clone());
            }
        }
    }
}

fn child<'a>(object: &'a mut Map<String, Value>, member: &str) -> &'a mut Map<String, Value> {
    let child = object.entry(member).or_insert(Value::Null);
    if !child.is_object() {
        *child = Value::Object(Map::new());
    }
    child.as_object_mut().expect("just made an object")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object(json: Value) -> Map<String, Value> {
        match json {
            Value::Object(members) => members,
            other => panic!("wanted an object, found {other}"),
        }
    }

    fn default_role() -> Map<String, Value> {
        object(json!({
            "metadata": {"name": "r", "labels": {"l": "d"}, "annotations": {AUTO_UPDATE: "true"}},
            "rules": [{"verbs": ["get", "list"], "apiGroups": [""], "resources": ["pods"]}],
        }))
    }

    #[test]
    fn what_a_role_lacks_is_added_and_nothing_taken() {
        let existing = object(json!({
            "metadata": {"name": "r", "uid": "1", "labels": {"l": "own", "m": "n"}},
            "rules": [
                {"verbs": ["get"], "apiGroups": [""], "resources": ["pods"]},
                {"verbs": ["delete"], "apiGroups": [""], "resources": ["secrets"]},
            ],
        }));
        let written = reconciled_role(&existing, &default_role()).expect("something is missing");
        assert_eq!(
            Value::Object(written.clone()),
            json!({
                "metadata": {"name": "r", "uid": "1", "labels": {"l": "own", "m": "n"}, "annotations": {AUTO_UPDATE: "true"}},
                "rules": [
                    {"verbs": ["get"], "apiGroups": [""], "resources": ["pods"]},
                    {"verbs": ["delete"], "apiGroups": [""], "resources": ["secrets"]},
                    {"verbs": ["list"], "apiGroups": [""], "resources": ["pods"]},
                ],
            })
        );
        assert_eq!(reconciled_role(&written, &default_role()), None);
    }

    #[test]
    fn whoever_asks_to_be_left_alone_is() {
        let existing = object(json!({"metadata": {"annotations": {AUTO_UPDATE: "false"}}, "rules": null}));
        assert_eq!(reconciled_role(&existing, &default_role()), None);
        assert_eq!(reconciled_binding(&existing, &default_role()), Ok(None));
    }

    #[test]
    fn the_rules_of_a_gathering_role_are_not_touched() {
        let selector = json!({"matchLabels": {"a": "true"}});
        let default = object(
            json!({"aggregationRule": {"clusterRoleSelectors": [selector]}, "rules": [{"verbs": ["x"]}]}),
        );
        let existing = object(json!({"rules": null}));
        let written = reconciled_role(&existing, &default).expect("the selector is missing");
        assert_eq!(written["rules"], Value::Null);
        assert_eq!(written["aggregationRule"], default["aggregationRule"]);
        assert_eq!(reconciled_role(&written, &default), None);
    }

    #[test]
    fn subjects_are_added_and_another_role_means_a_new_binding() {
        let subject = |name: &str| json!({"kind": "Group", "name": name});
        let default = object(json!({"roleRef": {"name": "r"}, "subjects": [subject("a")]}));
        let existing = object(json!({"roleRef": {"name": "r"}, "subjects": [subject("b")]}));
        let written = reconciled_binding(&existing, &default).expect("can be changed").expect("lacks one");
        assert_eq!(written["subjects"], json!([subject("b"), subject("a")]));
        assert_eq!(reconciled_binding(&written, &default), Ok(None));
        let other = object(json!({"roleRef": {"name": "s"}, "subjects": null}));
        assert_eq!(reconciled_binding(&other, &default), Err(default.clone()));
        let bindingless = object(json!({"roleRef": {"name": "r"}}));
        assert_eq!(reconciled_binding(&bindingless, &bindingless), Ok(None));
    }
}
