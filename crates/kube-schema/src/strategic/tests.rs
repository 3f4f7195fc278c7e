use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::find_resource;

fn kind(group: &str, plural: &str) -> &'static Kind {
    find_resource(group, "v1", plural).expect("a served resource")
}

fn object(value: Value) -> Object {
    match value {
        Value::Object(object) => object,
        other => panic!("a test's own object, not {other}"),
    }
}

fn pod(original: Value, patch: Value) -> Result<Value, StrategicError> {
    strategic_merge(kind("", "pods"), Release::V1_35, &object(original), &object(patch)).map(Value::Object)
}

#[test]
fn a_struct_that_the_table_says_so_of_is_replaced() {
    let original = json!({"spec": {"minAvailable": 1, "selector": {"matchLabels": {"a": "1", "b": "2"}}}});
    let patch = json!({"spec": {"selector": {"matchLabels": {"a": "2"}}}});
    let budgets = kind("policy", "poddisruptionbudgets");
    let merged = strategic_merge(budgets, Release::V1_35, &object(original), &object(patch));
    let wanted = json!({"spec": {"minAvailable": 1, "selector": {"matchLabels": {"a": "2"}}}});
    assert_eq!(merged.map(Value::Object), Ok(wanted));
}

#[test]
fn members_and_lists_merge_by_the_table() {
    let rows = [
        (
            "members merge, null deletes",
            json!({"metadata": {"labels": {"a": "1", "b": "2"}}}),
            json!({"metadata": {"labels": {"a": null, "c": "3"}}}),
            json!({"metadata": {"labels": {"b": "2", "c": "3"}}}),
        ),
        (
            "null of what is not there is nothing",
            json!({"metadata": {}}),
            json!({"metadata": {"labels": null}, "spec": {"nodeName": null, "hostIPC": true}}),
            json!({"metadata": {}, "spec": {"hostIPC": true}}),
        ),
        (
            "items with a key merge, new ones stand as the patch has them",
            json!({"spec": {"containers": [{"name": "a", "image": "1"}, {"name": "b", "image": "1"}]}}),
            json!({"spec": {"containers": [{"name": "c"}, {"name": "b", "image": "2"}]}}),
            json!({"spec": {"containers": [{"name": "c"}, {"name": "a", "image": "1"}, {"name": "b", "image": "2"}]}}),
        ),
        (
            "an item is deleted",
            json!({"spec": {"containers": [{"name": "a"}, {"name": "b"}]}}),
            json!({"spec": {"containers": [{"name": "a", "$patch": "delete"}]}}),
            json!({"spec": {"containers": [{"name": "b"}]}}),
        ),
        (
            "a list is replaced",
            json!({"spec": {"containers": [{"name": "a"}, {"name": "b"}]}}),
            json!({"spec": {"containers": [{"$patch": "replace"}, {"name": "c"}]}}),
            json!({"spec": {"containers": [{"name": "c"}]}}),
        ),
        (
            "a list without a strategy is replaced",
            json!({"spec": {"tolerations": [{"key": "a"}, {"key": "b"}]}}),
            json!({"spec": {"tolerations": [{"key": "c"}]}}),
            json!({"spec": {"tolerations": [{"key": "c"}]}}),
        ),
        (
            "plain values merge",
            json!({"metadata": {"finalizers": ["a", "b"]}}),
            json!({"metadata": {"finalizers": ["c", "a"]}}),
            json!({"metadata": {"finalizers": ["c", "a", "b"]}}),
        ),
        (
            "plain values are deleted",
            json!({"metadata": {"finalizers": ["a", "b"]}}),
            json!({"metadata": {"$deleteFromPrimitiveList/finalizers": ["a", "x"]}}),
            json!({"metadata": {"finalizers": ["b"]}}),
        ),
        (
            "there is nothing to delete from",
            json!({"metadata": {}}),
            json!({"metadata": {"$deleteFromPrimitiveList/finalizers": ["a"]}}),
            json!({"metadata": {}}),
        ),
        (
            "an object is replaced",
            json!({"spec": {"securityContext": {"runAsUser": 1, "fsGroup": 2}}}),
            json!({"spec": {"securityContext": {"$patch": "replace", "fsGroup": 3}}}),
            json!({"spec": {"securityContext": {"fsGroup": 3}}}),
        ),
        (
            "an object is emptied",
            json!({"spec": {"securityContext": {"runAsUser": 1}}}),
            json!({"spec": {"securityContext": {"$patch": "delete"}}}),
            json!({"spec": {"securityContext": {}}}),
        ),
        (
            "only what is retained stays",
            json!({"spec": {"volumes": [{"name": "v", "emptyDir": {"medium": "Memory"}}]}}),
            json!({"spec": {"volumes": [{"name": "v", "hostPath": {"path": "/"}, "$retainKeys": ["name", "hostPath"]}]}}),
            json!({"spec": {"volumes": [{"name": "v", "hostPath": {"path": "/"}}]}}),
        ),
        (
            "the order is set, what the patch does not know stays where it was",
            json!({"spec": {"containers": [{"name": "a"}, {"name": "b"}, {"name": "x"}, {"name": "c"}]}}),
            json!({"spec": {"$setElementOrder/containers": [{"name": "c"}, {"name": "n"}, {"name": "a"}],
                "containers": [{"name": "n"}, {"name": "a", "image": "2"}, {"name": "b", "$patch": "delete"}]}}),
            json!({"spec": {"containers": [{"name": "x"}, {"name": "c"}, {"name": "n"}, {"name": "a", "image": "2"}]}}),
        ),
        (
            "an order alone",
            json!({"metadata": {"finalizers": ["a", "b", "c"]}}),
            json!({"metadata": {"$setElementOrder/finalizers": ["c", "a"]}}),
            json!({"metadata": {"finalizers": ["b", "c", "a"]}}),
        ),
        (
            "directives never stay",
            json!({}),
            json!({"spec": {"volumes": [{"name": "v", "$retainKeys": ["name"]}, {"name": "w", "$patch": "delete"}],
                "$setElementOrder/volumes": [{"name": "v"}], "securityContext": {"$patch": "replace"}}}),
            json!({"spec": {"volumes": [{"name": "v"}]}}),
        ),
        (
            "another type takes the place",
            json!({"spec": {"containers": "x"}}),
            json!({"spec": {"containers": [{"name": "a", "image": null}]}}),
            json!({"spec": {"containers": [{"name": "a"}]}}),
        ),
    ];
    for (what, original, patch, wanted) in rows {
        assert_eq!(pod(original, patch), Ok(wanted), "{what}");
    }
}

#[test]
fn broken_patches_are_told_in_upstreams_words() {
    let containers = json!({"spec": {"containers": [{"name": "a"}]}, "metadata": {"finalizers": ["a"]}});
    let rows = [
        (
            json!({"spec": {"$patch": "append"}}),
            "unknown patch type: append in map: (not shown)",
            StrategicFault::Unclassified,
        ),
        (
            json!({"spec": {"$patch": "merge"}}),
            "unknown patch type: merge in map: (not shown)",
            StrategicFault::Unclassified,
        ),
        (
            json!({"spec": {"containers": [{"$patch": "merge"}]}}),
            "merging lists cannot yet be specified in the patch",
            StrategicFault::Unclassified,
        ),
        (
            json!({"spec": {"containers": [{"image": "secret"}]}}),
            "map: (not shown) does not contain declared merge key: name",
            StrategicFault::Unclassified,
        ),
        (
            json!({"spec": {"containers": [{"$patch": "delete"}]}}),
            "map: (not shown) does not contain declared merge key: name",
            StrategicFault::Unclassified,
        ),
        (
            json!({"spec": {"containers": ["a"]}}),
            "list element types are not identical: (not shown)",
            StrategicFault::Unclassified,
        ),
        (
            json!({"spec": {"containers": [["a"]]}}),
            "lists of lists are not supported",
            StrategicFault::Unprocessable,
        ),
        (
            json!({"metadata": {"finalizers": [{"a": "b"}]}}),
            "list element types are not identical: (not shown)",
            StrategicFault::Unclassified,
        ),
        (json!({"$retainKeys": "x"}), "invalid patch format of retainKeys", StrategicFault::BadRequest),
        (
            json!({"$retainKeys": ["spec"], "metadata": {}}),
            "invalid patch format of retainKeys",
            StrategicFault::BadRequest,
        ),
        (
            json!({"metadata": {"$deleteFromPrimitiveList": ["a"]}}),
            "invalid patch format of primitive list",
            StrategicFault::BadRequest,
        ),
        (
            json!({"metadata": {"$setElementOrder": ["a"]}}),
            "invalid patch format of setElementOrder list",
            StrategicFault::BadRequest,
        ),
        (
            json!({"metadata": {"$setElementOrder/finalizers": "a"}}),
            "expected a []interface {}, but received a string",
            StrategicFault::Unclassified,
        ),
        (
            json!({"metadata": {"$setElementOrder/finalizers": ["b", "a"], "finalizers": ["a", "b"]}}),
            "The order in patch list:\n(not shown)\n doesn't match $setElementOrder list:\n(not shown)\n",
            StrategicFault::Unclassified,
        ),
    ];
    for (patch, text, fault) in rows {
        let error = pod(containers.clone(), patch.clone()).expect_err(text);
        assert_eq!((error.to_string().as_str(), error.fault()), (text, fault), "{patch}");
    }
    let revisions = kind("apps", "controllerrevisions");
    let original = object(json!({"data": {"spec": {"a": 1}}}));
    let patch = object(json!({"data": {"spec": {"a": 2}}}));
    let error = strategic_merge(revisions, Release::V1_35, &original, &patch).expect_err("opaque");
    assert_eq!(
        error.to_string(),
        "unable to find api field in struct RawExtension for the json field \"spec\""
    );
}

#[test]
fn a_field_of_a_later_release_is_not_known() {
    let drivers = kind("storage.k8s.io", "csidrivers");
    let original = object(json!({"spec": {"serviceAccountTokenInSecrets": true}}));
    let patch = object(json!({"spec": {"serviceAccountTokenInSecrets": null}}));
    let merged = strategic_merge(drivers, Release::V1_34, &original, &patch);
    assert_eq!(merged, Ok(object(json!({"spec": {}}))), "scalars need no table");
}

/// Containers with distinct names, each with an image or none.
fn containers() -> impl Strategy<Value = Vec<Value>> {
    proptest::collection::btree_map("[a-e]", proptest::option::of("[0-9]"), 0..5)
        .prop_map(|items| {
            items
                .into_iter()
                .map(|(name, image)| {
                    image.map_or(json!({"name": name}), |image| json!({"name": name, "image": image}))
                })
                .collect()
        })
        .prop_shuffle()
}

/// What kubectl would send: changed items, deletions, and the order.
fn difference(old: &[Value], new: &[Value]) -> Value {
    let name = |item: &Value| item["name"].clone();
    let mut items: Vec<Value> = new
        .iter()
        .map(|item| match item.get("image") {
            Some(_) => item.clone(),
            None => json!({"name": name(item), "image": null}),
        })
        .collect();
    let gone = old.iter().filter(|item| !new.iter().any(|other| name(other) == name(item)));
    items.extend(gone.map(|item| json!({"name": name(item), "$patch": "delete"})));
    let order: Vec<Value> = new.iter().map(|item| json!({"name": name(item)})).collect();
    json!({"spec": {"containers": items, "$setElementOrder/containers": order}})
}

/// Any JSON, with the directives among its names.
fn anything() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (0..3_i64).prop_map(Value::from),
        "(a|b|delete|replace|merge|name)".prop_map(Value::from),
    ];
    let name = "(metadata|spec|labels|finalizers|containers|volumes|name|image|data|\\$patch|\\$retainKeys|\
                \\$setElementOrder/(containers|finalizers)|\\$deleteFromPrimitiveList/(containers|finalizers))";
    leaf.prop_recursive(5, 40, 5, move |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::btree_map(name, inner, 0..5)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

fn holds_directive(value: &Value) -> bool {
    match value {
        Value::Object(members) => {
            members.iter().any(|(name, member)| name.starts_with('$') || holds_directive(member))
        }
        Value::Array(items) => items.iter().any(holds_directive),
        _ => false,
    }
}

proptest! {
    #[test]
    fn a_difference_gives_the_wanted_object_and_does_nothing_again(old in containers(), new in containers()) {
        let patch = difference(&old, &new);
        let original = json!({"spec": {"containers": old}});
        let once = pod(original, patch.clone()).expect("a good patch");
        prop_assert_eq!(&once, &json!({"spec": {"containers": new}}));
        prop_assert_eq!(pod(once.clone(), patch), Ok(once));
    }

    #[test]
    fn no_patch_panics_or_leaves_a_directive(
        original in anything(),
        patch in anything(),
        group in prop_oneof![Just(("", "pods")), Just(("", "configmaps")), Just(("apps", "controllerrevisions"))],
    ) {
        if let (Value::Object(original), Value::Object(patch)) = (original, patch)
            && !holds_directive(&Value::Object(original.clone()))
            && let Ok(merged) = strategic_merge(kind(group.0, group.1), Release::V1_35, &original, &patch)
        {
            prop_assert!(!merged.iter().any(|(name, value)| name.starts_with('$') || holds_directive(value)));
        }
    }
}
