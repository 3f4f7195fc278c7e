//! Paths and what can be done there: one operation for each verb, with its parameters and bodies.

use serde_json::{Map, Value, json};

use super::GroupVersion;
use super::schemas::Schemas;
use crate::kind::{Kind, Subresource, Verb};

/// The media types of an object.
const OBJECT_TYPES: [&str; 3] =
    ["application/json", "application/yaml", "application/vnd.kubernetes.protobuf"];
/// Those of a watch.
const WATCH_TYPES: [&str; 2] =
    ["application/json;stream=watch", "application/vnd.kubernetes.protobuf;stream=watch"];
/// Those of a patch.
const PATCH_TYPES: [&str; 4] = [
    "application/apply-patch+yaml",
    "application/json-patch+json",
    "application/merge-patch+json",
    "application/strategic-merge-patch+json",
];

/// Every path of a kind.
pub(super) fn of_kind(kind: &'static Kind, schemas: &mut Schemas) -> Map<String, Value> {
    let base = GroupVersion::of(kind).path();
    let within = if kind.namespaced { "/namespaces/{namespace}" } else { "" };
    let collection = format!("/{base}{within}/{}", kind.plural);
    let object = format!("{collection}/{{name}}");

    let mut paths = Map::new();
    let mut add = |path: String, place: Place<'_>, verbs: &[Verb], schemas: &mut Schemas| {
        let operations: Vec<(&str, Value)> = verbs
            .iter()
            .filter_map(|verb| Some((method(*verb)?, operation(place, *verb, schemas))))
            .collect();
        if operations.is_empty() {
            return;
        }
        let mut item = Map::from_iter([("parameters".to_owned(), path_parameters(&path).into())]);
        item.extend(operations.into_iter().map(|(method, operation)| (method.to_owned(), operation)));
        paths.insert(path, item.into());
    };
    let of = |wanted: &[Verb]| -> Vec<Verb> {
        kind.verbs.iter().copied().filter(|verb| wanted.contains(verb)).collect()
    };
    let place = Place { kind, below: None, everywhere: false };
    add(collection, place, &of(&[Verb::List, Verb::Create, Verb::DeleteCollection]), schemas);
    add(object.clone(), place, &of(&[Verb::Get, Verb::Update, Verb::Patch, Verb::Delete]), schemas);
    if kind.namespaced {
        let everywhere = Place { everywhere: true, ..place };
        add(format!("/{base}/{}", kind.plural), everywhere, &of(&[Verb::List]), schemas);
    }
    for below in kind.subresources {
        let place = Place { below: Some(below), ..place };
        add(format!("{object}/{}", below.name), place, below.verbs, schemas);
    }
    paths
}

/// What an operation is about.
#[derive(Clone, Copy)]
struct Place<'a> {
    kind: &'static Kind,
    below: Option<&'a Subresource>,
    /// The objects of all namespaces.
    everywhere: bool,
}

impl Place<'_> {
    /// The kind of the bodies.
    fn body_kind(self) -> &'static Kind {
        self.below.map_or(self.kind, Subresource::body_kind)
    }

    /// `readStorageV1CSIDriver`: unique in all documents, and the name of a function in generated clients.
    fn operation_id(self, verb: Verb) -> String {
        let Kind { group, version, namespaced, kind, .. } = self.kind;
        let (action, many) = match verb {
            Verb::Create => ("create", ""),
            Verb::Delete => ("delete", ""),
            Verb::DeleteCollection => ("delete", "Collection"),
            Verb::Get => ("read", ""),
            Verb::List => ("list", ""),
            Verb::Patch => ("patch", ""),
            Verb::Update => ("replace", ""),
            Verb::Watch => ("watch", ""),
        };
        let group: String = if group.is_empty() { "core" } else { group.trim_end_matches(".k8s.io") }
            .split('.')
            .map(capitalized)
            .collect();
        let version = capitalized(version);
        let namespaced = if *namespaced && !self.everywhere { "Namespaced" } else { "" };
        let below = self.below.map_or_else(String::new, |below| capitalized(below.name));
        let everywhere = if self.everywhere { "ForAllNamespaces" } else { "" };
        format!("{action}{group}{version}{many}{namespaced}{kind}{below}{everywhere}")
    }

    fn description(self, verb: Verb) -> String {
        let kind = self.kind.kind;
        let what = match (self.below, verb) {
            (Some(below), _) => format!("the {} of a {kind}", below.name),
            (None, Verb::List | Verb::DeleteCollection | Verb::Watch) => {
                format!("objects of the kind {kind}")
            }
            (None, _) => format!("a {kind}"),
        };
        let scope = if self.everywhere { ", those of all namespaces" } else { "" };
        match verb {
            Verb::Create => format!("Makes {what}."),
            Verb::Delete => format!("Deletes {what}."),
            Verb::DeleteCollection => format!("Deletes {what}."),
            Verb::Get => format!("Reads {what}."),
            Verb::List => format!("Lists or watches {what}{scope}."),
            Verb::Patch => format!("Changes parts of {what}."),
            Verb::Update => format!("Replaces {what}."),
            Verb::Watch => format!("Watches {what}{scope}."),
        }
    }
}

fn capitalized(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

/// A watch is a list with a parameter: it has no operation of its own.
fn method(verb: Verb) -> Option<&'static str> {
    match verb {
        Verb::Create => Some("post"),
        Verb::Delete | Verb::DeleteCollection => Some("delete"),
        Verb::Get | Verb::List => Some("get"),
        Verb::Patch => Some("patch"),
        Verb::Update => Some("put"),
        Verb::Watch => None,
    }
}

fn action(verb: Verb) -> &'static str {
    match verb {
        Verb::Create => "post",
        Verb::Delete => "delete",
        Verb::DeleteCollection => "deletecollection",
        Verb::Get => "get",
        Verb::List => "list",
        Verb::Patch => "patch",
        Verb::Update => "put",
        Verb::Watch => "watch",
    }
}

fn operation(place: Place<'_>, verb: Verb, schemas: &mut Schemas) -> Value {
    let body_kind = place.body_kind();
    let group = place.kind.group.split('.').next().unwrap_or("");
    let group = if group.is_empty() { "core" } else { group };
    let mut operation = json!({
        "tags": [format!("{group}_{}", place.kind.version)],
        "description": place.description(verb),
        "operationId": place.operation_id(verb),
        "responses": responses(place, verb, schemas),
        "x-kubernetes-action": action(verb),
        "x-kubernetes-group-version-kind": {
            "group": body_kind.group, "version": body_kind.version, "kind": body_kind.kind,
        },
    });
    let parameters = parameters(verb);
    if !parameters.is_empty() {
        operation["parameters"] = parameters.into();
    }
    let body = match verb {
        Verb::Create | Verb::Update => {
            let schema = schemas.object(body_kind);
            Some((true, content(&OBJECT_TYPES, &schema)))
        }
        Verb::Patch => {
            let schema = schemas.patch();
            Some((true, content(&PATCH_TYPES, &schema)))
        }
        Verb::Delete | Verb::DeleteCollection => {
            let schema = schemas.delete_options();
            Some((false, content(&OBJECT_TYPES, &schema)))
        }
        Verb::Get | Verb::List | Verb::Watch => None,
    };
    if let Some((required, content)) = body {
        operation["requestBody"] = json!({"content": content});
        if required {
            operation["requestBody"]["required"] = true.into();
        }
    }
    operation
}

fn responses(place: Place<'_>, verb: Verb, schemas: &mut Schemas) -> Value {
    let schema = match verb {
        Verb::List => schemas.list(place.kind),
        Verb::DeleteCollection => schemas.status(),
        _ => schemas.object(place.body_kind()),
    };
    let mut media: Vec<&str> = OBJECT_TYPES.to_vec();
    if verb == Verb::List {
        media.extend(WATCH_TYPES);
    }
    let mut responses = Map::new();
    let mut add = |code: &str, description: &str| {
        let response = json!({"description": description, "content": content(&media, &schema)});
        responses.insert(code.to_owned(), response);
    };
    add("200", "OK");
    if matches!(verb, Verb::Create | Verb::Update | Verb::Patch) {
        add("201", "Created");
    }
    responses.insert("401".to_owned(), json!({"description": "Unauthorized"}));
    responses.into()
}

fn content(media: &[&str], schema: &Value) -> Value {
    Value::Object(media.iter().map(|media| ((*media).to_owned(), json!({"schema": schema}))).collect())
}

fn path_parameters(path: &str) -> Vec<Value> {
    let named = |name: &str, description: &str| {
        json!({
            "name": name, "in": "path", "required": true, "description": description,
            "schema": {"type": "string", "uniqueItems": true},
        })
    };
    let mut parameters = Vec::new();
    if path.contains("{name}") {
        parameters.push(named("name", "The object's name."));
    }
    if path.contains("{namespace}") {
        parameters.push(named("namespace", "The namespace that the object lives in."));
    }
    parameters
}

const CHOOSING: &[(&str, &str, &str)] = &[
    ("continue", "string", "Where an earlier, limited list ended, as that list said."),
    (
        "fieldSelector",
        "string",
        "Only objects with these fields, such as spec.nodeName=n. Each kind has its own few.",
    ),
    ("labelSelector", "string", "Only objects with these labels, such as app=web,tier!=test."),
    ("limit", "integer", "At most this many objects in one answer; the rest is asked for with continue."),
    (
        "resourceVersion",
        "string",
        "The state that the answer must at least show; resourceVersionMatch says how exactly.",
    ),
    ("resourceVersionMatch", "string", "Exact, or NotOlderThan, the resourceVersion."),
    (
        "sendInitialEvents",
        "boolean",
        "Begin a watch with what there is, and mark the end of it with a bookmark.",
    ),
    ("timeoutSeconds", "integer", "After how long the answer ends, whatever happens."),
];
const WATCHING: &[(&str, &str, &str)] = &[
    (
        "allowWatchBookmarks",
        "boolean",
        "Send a bookmark now and then, so that the client knows how far it has come.",
    ),
    ("watch", "boolean", "Send changes as they happen instead of a list."),
];
const WRITING: &[(&str, &str, &str)] = &[
    ("dryRun", "string", "All: do everything but store."),
    ("fieldManager", "string", "Who makes the change, for managedFields; at most 128 characters."),
    (
        "fieldValidation",
        "string",
        "What to do about unknown and repeated fields: Ignore them, Warn (the default) or be Strict and refuse.",
    ),
];
const FORCING: &[(&str, &str, &str)] =
    &[("force", "boolean", "Take fields over from other managers. Only for apply.")];
const DELETING: &[(&str, &str, &str)] = &[
    ("dryRun", "string", "All: do everything but store."),
    ("gracePeriodSeconds", "integer", "How long the object may take to end; 0 is at once."),
    (
        "propagationPolicy",
        "string",
        "What becomes of objects that this one owns: Background, Foreground or Orphan.",
    ),
];

fn parameters(verb: Verb) -> Vec<Value> {
    let groups: &[&[(&str, &str, &str)]] = match verb {
        Verb::List | Verb::Watch => &[WATCHING, CHOOSING],
        Verb::Create | Verb::Update => &[WRITING],
        Verb::Patch => &[WRITING, FORCING],
        Verb::Delete => &[DELETING],
        Verb::DeleteCollection => &[CHOOSING, DELETING],
        Verb::Get => &[],
    };
    let mut rows: Vec<&(&str, &str, &str)> = groups.iter().copied().flatten().collect();
    rows.sort_unstable();
    rows.into_iter()
        .map(|(name, value_type, description)| {
            json!({
                "name": name, "in": "query", "description": description,
                "schema": {"type": value_type, "uniqueItems": true},
            })
        })
        .collect()
}
