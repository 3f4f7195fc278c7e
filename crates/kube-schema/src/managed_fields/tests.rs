use serde_json::{Value, json};

use super::*;
use crate::{find_resource, normalize};

const NOW: &str = "2026-03-01T12:00:00Z";

fn kind(group: &str, plural: &str) -> &'static Kind {
    find_resource(group, "v1", plural).expect("a served resource")
}

fn write<'a>(kind: &'static Kind, manager: &'a str) -> Write<'a> {
    Write { kind, release: Release::V1_35, manager, subresource: "", now: NOW }
}

fn printed(kind: &Kind, object: &Value) -> Object {
    let object = object.as_object().expect("a test's own object");
    normalize(kind, Release::V1_35, object).expect("a good object").object
}

fn entry(manager: &str, operation: &str, fields: &Value) -> Value {
    json!({"manager": manager, "operation": operation, "apiVersion": "v1", "time": NOW, "fieldsType": "FieldsV1", "fieldsV1": fields})
}

fn with(object: &Value, entries: &Value) -> Value {
    let mut object = object.clone();
    object["metadata"]["managedFields"] = entries.clone();
    object
}

#[test]
fn an_update_owns_what_it_changes() {
    let maps = kind("", "configmaps");
    let live = json!({"metadata": {"name": "m", "labels": {"l": "1"}}, "data": {"a": "1", "b": "1"}});
    let all =
        json!({"f:data": {".": {}, "f:a": {}, "f:b": {}}, "f:metadata": {"f:labels": {".": {}, "f:l": {}}}});
    let owned = json!([entry("one", "Update", &all)]);
    let rows = [
        ("nothing changed", live.clone(), owned.clone()),
        (
            "another owner for a value",
            json!({"metadata": {"labels": {"l": "1"}}, "data": {"a": "2", "b": "1"}}),
            json!([
                entry(
                    "one",
                    "Update",
                    &json!({"f:data": {".": {}, "f:b": {}}, "f:metadata": {"f:labels": {".": {}, "f:l": {}}}})
                ),
                entry("two", "Update", &json!({"f:data": {"f:a": {}}})),
            ]),
        ),
        (
            "nobody owns what is gone",
            json!({"metadata": {}, "data": {"a": "1", "b": "1"}}),
            json!([entry("one", "Update", &json!({"f:data": {".": {}, "f:a": {}, "f:b": {}}})),]),
        ),
        (
            "what belongs to the system is nobody's",
            json!({"metadata": {"name": "m", "uid": "u", "resourceVersion": "7", "generation": 3, "labels": {"l": "1"}},
            "data": {"a": "1", "b": "1"}}),
            owned.clone(),
        ),
    ];
    for (what, submitted, wanted) in rows {
        let live = printed(maps, &with(&live, &owned));
        let submitted = printed(maps, &with(&submitted, &owned));
        let found = after_update(&write(maps, "two"), Some(&live), &submitted);
        assert_eq!(Value::Array(found), wanted, "{what}");
    }
}

#[test]
fn the_time_moves_with_each_change_of_ones_own() {
    let maps = kind("", "configmaps");
    let mut owned = json!([entry("one", "Update", &json!({"f:data": {".": {}, "f:a": {}}}))]);
    owned[0]["time"] = json!("2020-01-01T00:00:00Z");
    let live = printed(maps, &with(&json!({"metadata": {}, "data": {"a": "1"}}), &owned));
    let submitted = printed(maps, &with(&json!({"metadata": {}, "data": {"a": "2"}}), &owned));
    let found = after_update(&write(maps, "one"), Some(&live), &submitted);
    assert_eq!((found[0]["time"].as_str(), &found[0]["fieldsV1"]), (Some(NOW), &owned[0]["fieldsV1"]));
    assert!(same_but_for_times(&found, owned.as_array().expect("a list")));
    assert!(!same_but_for_times(&found, &[]));
}

#[test]
fn a_client_may_send_entries_of_its_own() {
    let maps = kind("", "configmaps");
    let object = json!({"metadata": {}, "data": {"a": "1"}});
    let stored = json!([entry("one", "Update", &json!({"f:data": {".": {}, "f:a": {}}}))]);
    let other = json!([entry("two", "Apply", &json!({"f:data": {"f:a": {}}}))]);
    let mut unsorted = other.clone();
    unsorted[0]["fieldsV1"] = json!({"f:data": {"f:a": {}, "v: \"x\"": {}}});
    let mut sorted = other.clone();
    sorted[0]["fieldsV1"] = json!({"f:data": {"f:a": {}, "v:\"x\"": {}}});
    let mut bad = other.clone();
    bad[0]["fieldsType"] = json!("FieldsV2");
    let rows = [
        ("taken over", other.clone(), other.clone()),
        ("brought into form", unsorted, sorted),
        ("reset", json!([]), json!([])),
        ("reset with an empty entry", json!([{}]), json!([])),
        (
            "the last of a manager counts",
            json!([entry("two", "Apply", &json!({"f:x": {}})), other[0].clone()]),
            other.clone(),
        ),
        ("unreadable", bad, stored.clone()),
        ("left out", Value::Null, stored.clone()),
    ];
    for (what, sent, wanted) in rows {
        let live = printed(maps, &with(&object, &stored));
        let mut submitted = printed(maps, &object);
        if !sent.is_null() {
            submitted["metadata"]["managedFields"] = sent;
        }
        let found = after_update(&write(maps, "three"), Some(&live), &submitted);
        assert_eq!(Value::Array(found), wanted, "{what}");
        let status = Write { subresource: "status", ..write(maps, "three") };
        let found = after_update(&status, Some(&live), &submitted);
        assert_eq!(Value::Array(found), stored, "not through a subresource: {what}");
    }
    // Once reset, nobody is followed until the next apply, which finds an owner for what is there.
    let live = printed(maps, &object);
    let changed = printed(maps, &json!({"metadata": {}, "data": {"a": "2"}}));
    assert_eq!(after_update(&write(maps, "one"), Some(&live), &changed), Vec::<Value>::new());
    let configuration = json!({"apiVersion": "v1", "kind": "ConfigMap", "data": {"b": "1"}});
    let applied =
        apply(&write(maps, "two"), Some(&live), configuration.as_object().expect("an object"), false);
    assert_eq!(
        applied.map(|applied| Value::Array(applied.managed_fields)),
        Ok(json!([
            entry("two", "Apply", &json!({"f:data": {"f:b": {}}})),
            entry("before-first-apply", "Update", &json!({"f:data": {".": {}, "f:a": {}}})),
        ]))
    );
}

#[test]
fn an_apply_that_changes_nothing_has_no_time() {
    let maps = kind("", "configmaps");
    let owned = json!([entry("one", "Apply", &json!({"f:data": {"f:a": {}}}))]);
    let mut live = printed(maps, &with(&json!({"metadata": {"name": "m"}, "data": {"a": "1"}}), &owned));
    let mut apply = |manager: &str, now: &str, value: &str| {
        let configuration =
            json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "m"}, "data": {"a": value}});
        let write = Write { now, ..write(maps, manager) };
        let configuration = configuration.as_object().expect("an object");
        let applied = apply(&write, Some(&live), configuration, true).expect("nobody is asked");
        live = applied.object;
        live["metadata"]["managedFields"] = Value::Array(applied.managed_fields.clone());
        let of_entry = |entry: &Value| (entry["manager"].clone(), entry["time"].clone());
        applied.managed_fields.iter().map(of_entry).collect::<Vec<_>>()
    };
    let later = "2026-03-01T13:00:00Z";
    let [one, two] = [json!("one"), json!("two")];
    assert_eq!(apply("one", later, "1"), [(one.clone(), json!(NOW))]);
    assert_eq!(apply("two", later, "1"), [(two.clone(), Value::Null), (one, json!(NOW))]);
    assert_eq!(apply("two", later, "2"), [(two, json!(later))]);
}

#[test]
fn the_oldest_updates_are_put_together() {
    let maps = kind("", "configmaps");
    let mut object = printed(maps, &json!({"metadata": {}, "data": {}}));
    for number in 0..15 {
        let mut next = object.clone();
        next.entry("data").or_insert_with(|| json!({}))[format!("k{number:02}")] = json!("1");
        let now = format!("2026-03-01T12:00:{number:02}Z");
        let manager = format!("m{number:02}");
        let write = Write { now: &now, ..write(maps, &manager) };
        let live = (number > 0).then_some(&object);
        let entries = after_update(&write, live, &next);
        next["metadata"]["managedFields"] = Value::Array(entries);
        object = next;
    }
    let entries = managed_fields(&object);
    let names: Vec<&str> = entries.iter().filter_map(|entry| entry["manager"].as_str()).collect();
    assert_eq!(names, ["ancient-changes", "m06", "m07", "m08", "m09", "m10", "m11", "m12", "m13", "m14"]);
    assert_eq!(entries[0]["time"], "2026-03-01T12:00:05Z");
    assert_eq!(entries[0]["fieldsV1"]["f:data"].as_object().map(Map::len), Some(7), "its own and six keys");
}

fn applied(live: &Value, manager: &str, configuration: &Value, force: bool) -> Result<Value, String> {
    let accounts = kind("", "serviceaccounts");
    let live = printed(accounts, live);
    let mut configuration = configuration.clone();
    configuration["apiVersion"] = json!("v1");
    configuration["kind"] = json!("ServiceAccount");
    let configuration = configuration.as_object().expect("an object");
    let applied = apply(&write(accounts, manager), Some(&live), configuration, force)
        .map_err(|error| error.to_string())?;
    let mut object = applied.object;
    object["metadata"]["managedFields"] = Value::Array(applied.managed_fields);
    object.remove("kind");
    object.remove("apiVersion");
    Ok(Value::Object(object))
}

#[test]
fn an_apply_takes_part_and_lets_go() {
    let start = json!({"metadata": {"name": "a"}});
    let one = json!({"metadata": {"name": "a", "labels": {"x": "1", "y": "1"}}, "secrets": [{"name": "s"}]});
    let first = applied(&start, "one", &one, false).expect("no conflict");
    assert_eq!(
        first["metadata"]["managedFields"],
        json!([entry(
            "one",
            "Apply",
            &json!({"f:metadata": {"f:labels": {"f:x": {}, "f:y": {}}}, "f:secrets": {"k:{\"name\":\"s\"}": {}}})
        )])
    );
    // The same value is shared, another one is a conflict.
    let both = json!({"metadata": {"labels": {"x": "1"}}});
    let shared = applied(&first, "two", &both, false).expect("no conflict");
    let other = json!({"metadata": {"labels": {"x": "2", "y": "2"}}, "secrets": [{"name": "s", "uid": "u"}]});
    assert_eq!(
        applied(&shared, "two", &other, false),
        Err("Apply failed with 3 conflicts: conflicts with \"one\":\n- .metadata.labels.x\n- .metadata.labels.y\n- .secrets[name=\"s\"]".to_owned())
    );
    let single = json!({"metadata": {"labels": {"y": "2"}}});
    assert_eq!(
        applied(&shared, "two", &single, false),
        Err("Apply failed with 1 conflict: conflict with \"one\": .metadata.labels.y".to_owned())
    );
    let forced = applied(&shared, "two", &other, true).expect("forced");
    assert_eq!(forced["metadata"]["labels"], json!({"x": "2", "y": "2"}));
    assert_eq!(
        forced["metadata"]["managedFields"].as_array().map(Vec::len),
        Some(1),
        "one has lost everything: {forced}"
    );
    // What one lets go of stays as long as two holds it.
    let less =
        applied(&shared, "one", &json!({"metadata": {"labels": {"y": "1"}}}), false).expect("no conflict");
    assert_eq!((&less["metadata"]["labels"], &less["secrets"]), (&json!({"x": "1", "y": "1"}), &Value::Null));
    let gone = applied(&less, "two", &json!({"metadata": {}}), false).expect("no conflict");
    assert_eq!(gone["metadata"]["labels"], json!({"y": "1"}));
    assert_eq!(gone["metadata"]["managedFields"].as_array().map(Vec::len), Some(1));
    assert_eq!(gone["metadata"]["name"], "a");
}

#[test]
fn bad_configurations_are_told_in_upstreams_words() {
    let accounts = kind("", "serviceaccounts");
    let rows = [
        (json!({}), "invalid object type: /, Kind="),
        (
            json!({"apiVersion": "apps/v1", "kind": "DaemonSet"}),
            "invalid object type: apps/v1, Kind=DaemonSet",
        ),
        (
            json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"managedFields": []}}),
            "metadata.managedFields must be nil",
        ),
        (
            json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "a", "namespace": "n"}, "spec": 1}),
            "failed to create typed patch object (n/a; /v1, Kind=ServiceAccount): .spec: field not declared in schema",
        ),
    ];
    for (configuration, wanted) in rows {
        let error = apply(&write(accounts, "m"), None, configuration.as_object().expect("an object"), false);
        assert_eq!(error.map_err(|error| error.to_string()), Err(wanted.to_owned()));
    }
}

#[test]
fn kubectl_takes_over_what_it_applied_on_the_clients_side() {
    const ANNOTATION: &str = "kubectl.kubernetes.io/last-applied-configuration";
    let maps = kind("", "configmaps");
    let file = |data: Value| json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "m"}, "data": data});
    let earlier = file(json!({"a": "1", "b": "1"})).to_string();
    // Somebody has changed `b` since.
    let live = json!({"metadata": {"name": "m", "annotations": {ANNOTATION: earlier}}, "data": {"a": "1", "b": "2"}});
    let owned = json!({"f:data": {".": {}, "f:a": {}, "f:b": {}}});
    let live = printed(maps, &with(&live, &json!([entry("kubectl-client-side-apply", "Update", &owned)])));
    let apply = |manager: &str, data: Value| {
        let file = file(data);
        let applied = apply(&write(maps, manager), Some(&live), file.as_object().expect("an object"), false);
        applied.map(|applied| applied.object).map_err(|error| error.to_string())
    };
    let applied = apply("kubectl", json!({"a": "3"})).expect("no conflict with itself");
    assert_eq!(applied["data"], json!({"a": "3", "b": "2"}));
    let kept = applied["metadata"]["annotations"][ANNOTATION].as_str().expect("kept");
    assert_eq!(kept, format!("{}\n", file(json!({"a": "3"}))));
    let using = "conflict with \"kubectl-client-side-apply\" using v1";
    assert_eq!(
        apply("kubectl", json!({"a": "3", "b": "3"})),
        Err(format!("Apply failed with 1 conflict: {using}: .data.b"))
    );
    assert_eq!(
        apply("other", json!({"a": "3"})),
        Err(format!("Apply failed with 1 conflict: {using}: .data.a"))
    );
}
