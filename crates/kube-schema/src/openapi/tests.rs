use std::collections::BTreeSet;

use serde_json::Value;
use tokenward_kube_rules::Release;

use super::descriptions::rows;
use super::schemas::{declared_default, schema_name};
use super::{GroupVersion, document};
use crate::kind::{Verb, find_resource, kinds};
use crate::table::{FieldType, Message, find_message};

fn storage() -> GroupVersion {
    GroupVersion { group: "storage.k8s.io", version: "v1" }
}

/// The schema of a message in a document.
fn schema<'a>(document: &'a Value, message: &str) -> &'a Value {
    &document["components"]["schemas"][schema_name(message)]
}

/// Every reference anywhere in a document.
fn references<'a>(value: &'a Value, found: &mut BTreeSet<&'a str>) {
    match value {
        Value::Object(members) => {
            for (name, value) in members {
                match value {
                    Value::String(text) if name == "$ref" => drop(found.insert(text)),
                    value => references(value, found),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| references(item, found)),
        _ => {}
    }
}

/// Every field of a message that a release knows stands in the schema, with what it refers to; no other does.
fn check_fields(
    document: &Value,
    message: &'static Message,
    release: Release,
    seen: &mut BTreeSet<&'static str>,
) {
    if !seen.insert(message.name) {
        return;
    }
    let schema = schema(document, message.name);
    let properties = schema["properties"].as_object().cloned().unwrap_or_default();
    let mut known: BTreeSet<&str> = BTreeSet::new();
    let mut levels = vec![message];
    while let Some(level) = levels.pop() {
        for field in level.fields.iter().filter(|field| field.since <= release) {
            if field.inline {
                levels.extend(field.message());
                continue;
            }
            known.insert(field.name);
            assert!(properties.contains_key(field.name), "{} {}", message.name, field.name);
            if let Some(inner) = field.message() {
                let mut found = BTreeSet::new();
                references(&properties[field.name], &mut found);
                let wanted = format!("#/components/schemas/{}", schema_name(inner.name));
                assert!(found.contains(wanted.as_str()), "{} {}", message.name, field.name);
                check_fields(document, inner, release, seen);
            }
        }
    }
    for name in properties.keys().filter(|name| !matches!(name.as_str(), "apiVersion" | "kind")) {
        assert!(known.contains(name.as_str()), "{} has no {name} in {release}", message.name);
    }
    for required in schema["required"].as_array().into_iter().flatten() {
        assert!(properties.contains_key(required.as_str().expect("a name")), "{} {required}", message.name);
    }
}

#[test]
fn every_field_of_every_kind_stands_in_its_document() {
    for release in Release::ALL {
        for of in GroupVersion::all() {
            let document = document(of, release);
            let mut seen = BTreeSet::new();
            for kind in kinds().iter().filter(|kind| kind.group == of.group && !kind.plural.is_empty()) {
                check_fields(&document, kind.message(), release, &mut seen);
                for below in kind.subresources {
                    check_fields(&document, below.body_kind().message(), release, &mut seen);
                }
            }
            let mut found = BTreeSet::new();
            references(&document, &mut found);
            for reference in found {
                let name = reference.strip_prefix("#/components/schemas/").expect("a schema");
                assert!(document["components"]["schemas"].get(name).is_some(), "{reference} leads nowhere");
            }
        }
    }
}

#[test]
fn a_release_documents_the_fields_that_it_knows() {
    let rows = [
        ("serviceAccountTokenInSecrets", [false, true, true]),
        ("preventPodSchedulingIfMissing", [false, false, true]),
        ("tokenRequests", [true, true, true]),
    ];
    for (field, wanted) in rows {
        let found = Release::ALL.map(|release| {
            let document = document(storage(), release);
            schema(&document, "storage/v1.CSIDriverSpec")["properties"].get(field).is_some()
        });
        assert_eq!(found, wanted, "{field}");
    }
}

#[test]
fn the_schema_of_a_csi_driver() {
    let document = document(storage(), Release::V1_35);
    let schemas = ["CSIDriver", "CSIDriverSpec", "TokenRequest"]
        .map(|name| (name, schema(&document, &format!("storage/v1.{name}")).clone()));
    insta::assert_json_snapshot!(serde_json::Map::from_iter(
        schemas.map(|(name, schema)| (name.to_owned(), schema))
    ));
}

#[test]
fn merging_is_told_as_kubectl_reads_it() {
    let core = document(GroupVersion { group: "", version: "v1" }, Release::V1_35);
    let rows = [
        ("core/v1.PodSpec", "containers", "x-kubernetes-list-type", Value::from("map")),
        ("core/v1.PodSpec", "containers", "x-kubernetes-list-map-keys", vec!["name"].into()),
        ("core/v1.PodSpec", "containers", "x-kubernetes-patch-strategy", "merge".into()),
        ("core/v1.PodSpec", "containers", "x-kubernetes-patch-merge-key", "name".into()),
        ("core/v1.PodSpec", "volumes", "x-kubernetes-patch-strategy", "merge,retainKeys".into()),
        ("core/v1.PodSpec", "nodeSelector", "x-kubernetes-map-type", "atomic".into()),
        ("meta/v1.ObjectMeta", "finalizers", "x-kubernetes-list-type", "set".into()),
        ("meta/v1.ObjectMeta", "finalizers", "x-kubernetes-patch-merge-key", Value::Null),
        ("core/v1.ContainerPort", "protocol", "default", "TCP".into()),
        ("core/v1.ServiceAccountTokenProjection", "expirationSeconds", "format", "int64".into()),
    ];
    for (message, field, member, wanted) in rows {
        assert_eq!(schema(&core, message)["properties"][field][member], wanted, "{message} {field} {member}");
    }
    for (message, wanted) in
        [("meta/v1.LabelSelector", Value::from("atomic")), ("core/v1.PodSpec", Value::Null)]
    {
        assert_eq!(schema(&core, message)["x-kubernetes-map-type"], wanted, "{message}");
    }
    let policy = document(GroupVersion { group: "policy", version: "v1" }, Release::V1_35);
    let spec = schema(&policy, "policy/v1.PodDisruptionBudgetSpec");
    assert_eq!(spec["properties"]["selector"]["x-kubernetes-patch-strategy"], "replace");
}

#[test]
fn what_has_to_be_there_is_required() {
    let rows: [(GroupVersion, &str, &[&str]); 6] = [
        (storage(), "storage/v1.CSIDriver", &["spec"]),
        (storage(), "storage/v1.CSINodeDriver", &["name", "nodeID"]),
        (GroupVersion { group: "", version: "v1" }, "authentication/v1.TokenRequestSpec", &["audiences"]),
        (GroupVersion { group: "", version: "v1" }, "core/v1.Event", &["involvedObject", "metadata"]),
        (GroupVersion { group: "apps", version: "v1" }, "apps/v1.DaemonSetSpec", &["selector", "template"]),
        (
            GroupVersion { group: "apps", version: "v1" },
            "core/v1.TypedLocalObjectReference",
            &["kind", "name"],
        ),
    ];
    for (of, message, wanted) in rows {
        let document = document(of, Release::V1_35);
        assert_eq!(schema(&document, message)["required"], Value::from(wanted), "{message}");
    }
}

/// What kubectl looks for before it lets the server validate.
#[test]
fn every_patch_says_that_the_server_validates_fields() {
    for of in GroupVersion::all() {
        let document = document(of, Release::V1_35);
        for kind in kinds().iter().filter(|kind| kind.group == of.group && kind.allows(Verb::Patch)) {
            let wanted = serde_json::json!({"group": kind.group, "version": kind.version, "kind": kind.kind});
            let patches = document["paths"].as_object().expect("paths").values().map(|path| &path["patch"]);
            let found = patches.filter(|patch| patch["x-kubernetes-group-version-kind"] == wanted);
            let validates = |patch: &Value| {
                let parameters = patch["parameters"].as_array().into_iter().flatten();
                parameters
                    .clone()
                    .any(|parameter| parameter["name"] == "fieldValidation" && parameter["in"] == "query")
            };
            let found: Vec<bool> = found.map(validates).collect();
            assert!(!found.is_empty() && found.iter().all(|validates| *validates), "{}", kind.kind);
        }
    }
}

#[test]
fn paths_are_those_that_can_be_asked_for() {
    let core = document(GroupVersion { group: "", version: "v1" }, Release::V1_35);
    let rows: [(&str, &[&str]); 8] = [
        ("/api/v1/pods", &["get"]),
        ("/api/v1/namespaces/{namespace}/pods", &["delete", "get", "post"]),
        ("/api/v1/namespaces/{namespace}/pods/{name}", &["delete", "get", "patch", "put"]),
        ("/api/v1/namespaces/{namespace}/pods/{name}/status", &["get", "patch", "put"]),
        ("/api/v1/namespaces/{namespace}/serviceaccounts/{name}/token", &["post"]),
        ("/api/v1/namespaces", &["get", "post"]),
        ("/api/v1/namespaces/{name}", &["delete", "get", "patch", "put"]),
        ("/api/v1/namespaces/{namespace}/bindings", &["post"]),
    ];
    for (path, wanted) in rows {
        let item = core["paths"][path].as_object().unwrap_or_else(|| panic!("{path}"));
        let found: Vec<&str> = item.keys().map(String::as_str).filter(|name| *name != "parameters").collect();
        let found: BTreeSet<&str> = found.into_iter().collect();
        assert_eq!(found, wanted.iter().copied().collect(), "{path}");
    }
    let token = &core["paths"]["/api/v1/namespaces/{namespace}/serviceaccounts/{name}/token"]["post"];
    assert_eq!(token["x-kubernetes-group-version-kind"]["kind"], "TokenRequest");
    assert_eq!(token["operationId"], "createCoreV1NamespacedServiceAccountToken");
    let mut names = BTreeSet::new();
    for of in GroupVersion::all() {
        for path in document(of, Release::V1_35)["paths"].as_object().expect("paths").values() {
            for operation in path.as_object().expect("an item").values().filter(|value| value.is_object()) {
                let name = operation["operationId"].as_str().expect("a name").to_owned();
                assert!(names.insert(name.clone()), "{name} comes twice");
            }
        }
    }
}

#[test]
fn descriptions_are_of_fields_that_there_are() {
    let mut seen = BTreeSet::new();
    for ((message, field), text) in rows() {
        assert!(seen.insert((message, field)), "{message} {field} comes twice");
        assert!(text.ends_with(['.', ':']) && !text.contains("  "), "{message} {field}: a sentence");
        if message == "*" {
            continue;
        }
        let known = find_message(message).unwrap_or_else(|| panic!("no type {message}"));
        assert!(field.is_empty() || known.field(field).is_some(), "{message} has no {field}");
    }
}

#[test]
fn the_kinds_of_the_token_path_are_described_to_the_last_field() {
    fn check(message: &'static Message, seen: &mut BTreeSet<&'static str>) {
        if message.name == "meta/v1.ObjectMeta" || !seen.insert(message.name) {
            return;
        }
        assert!(super::descriptions::of_type(message.name).is_some(), "{}", message.name);
        for field in message.fields {
            assert!(
                super::descriptions::of_field(message.name, field.name).is_some(),
                "{} {}",
                message.name,
                field.name
            );
            if let FieldType::Message(_) = field.field_type {
                check(field.message().expect("a message"), seen);
            }
        }
    }
    let mut seen = BTreeSet::new();
    for (group, plural) in [
        ("storage.k8s.io", "csidrivers"),
        ("storage.k8s.io", "csinodes"),
        ("", "serviceaccounts"),
        ("authentication.k8s.io", "tokenreviews"),
    ] {
        check(find_resource(group, "v1", plural).expect("served").message(), &mut seen);
    }
    check(find_message("authentication/v1.TokenRequest").expect("a type"), &mut seen);
    for kind in kinds() {
        assert!(super::descriptions::of_type(kind.message().name).is_some(), "{}", kind.kind);
        for field in kind.message().fields {
            let text = super::descriptions::of_field(kind.message().name, field.name);
            assert!(text.is_some(), "{} {}", kind.kind, field.name);
        }
    }
}

#[test]
fn every_default_of_the_table_can_be_said() {
    let mut levels: Vec<&'static Message> = kinds().iter().map(crate::kind::Kind::message).collect();
    let mut seen = BTreeSet::new();
    while let Some(message) = levels.pop() {
        if seen.insert(message.name) {
            for field in message.fields {
                levels.extend(field.message());
                let said = field.default.map(declared_default);
                assert!(said.is_none_or(|said| said.is_some()), "{} {}", message.name, field.name);
            }
        }
    }
}
