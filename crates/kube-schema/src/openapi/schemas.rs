//! Types as OpenAPI schemas: properties, formats, defaults, what is required, and how lists merge.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use tokenward_kube_rules::Release;

use super::GroupVersion;
use super::descriptions::{of_field, of_type};
use crate::kind::Kind;
use crate::table::{Field, FieldType, ListType, MapType, Message, Shape, find_message};

/// The schemas that a document needs, each made when it is first referred to.
pub(super) struct Schemas {
    release: Release,
    document: GroupVersion,
    made: BTreeMap<String, Value>,
    /// Referred to, but not made yet.
    wanted: Vec<&'static Message>,
}

/// Fields that may be left out although Go prints their zero value.
const OPTIONAL: &[(&str, &str)] = &[
    ("core/v1.ContainerImage", "names"),
    ("core/v1.Event", "reportingComponent"),
    ("core/v1.Event", "reportingInstance"),
    ("core/v1.ProjectedVolumeSource", "sources"),
    ("discovery/v1.EndpointSlice", "ports"),
    ("rbac/v1.ClusterRole", "rules"),
    ("rbac/v1.Role", "rules"),
    ("storage/v1.CSINodeDriver", "topologyKeys"),
];

/// Fields that must be there although Go knows absent from zero; of the other such fields none must.
const REQUIRED_POINTERS: &[(&str, &str)] = &[
    ("admissionregistration/v1.ValidatingWebhook", "sideEffects"),
    ("apps/v1.DaemonSetSpec", "selector"),
    ("core/v1.ScaleIOPersistentVolumeSource", "secretRef"),
    ("core/v1.ScaleIOVolumeSource", "secretRef"),
];

const META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1";

impl Schemas {
    pub(super) fn new(release: Release, document: GroupVersion) -> Self {
        Self { release, document, made: BTreeMap::new(), wanted: Vec::new() }
    }

    /// A reference to a kind's objects.
    pub(super) fn object(&mut self, kind: &'static Kind) -> Value {
        self.message(kind.message())
    }

    /// A reference to a kind's lists.
    pub(super) fn list(&mut self, kind: &'static Kind) -> Value {
        let (package, name) = split(kind.message().name);
        let list_name = format!("{}.{}", schema_package(package), kind.list_kind);
        if !self.made.contains_key(&list_name) {
            let items = self.object(kind);
            let metadata = self.named_message("meta/v1.ListMeta");
            let mut schema = json!({
                "type": "object",
                "description": format!("A number of objects of the kind {name}, and the state of the server they show."),
                "required": ["items"],
                "properties": {
                    "apiVersion": api_version(),
                    "kind": kind_property(),
                    "metadata": with_siblings(metadata, Map::from_iter([
                        ("default".to_owned(), json!({})),
                        ("description".to_owned(), "What is true of the list as a whole.".into()),
                    ])),
                    "items": {
                        "type": "array",
                        "description": "The objects.",
                        "items": with_siblings(items, Map::from_iter([("default".to_owned(), json!({}))])),
                    },
                },
            });
            schema["x-kubernetes-group-version-kind"] = json!([{
                "group": kind.group, "version": kind.version, "kind": kind.list_kind,
            }]);
            self.made.insert(list_name.clone(), schema);
        }
        reference(&list_name)
    }

    /// A reference to the answer that says how an operation ended.
    pub(super) fn status(&mut self) -> Value {
        self.named_message("meta/v1.Status")
    }

    /// A reference to the body of a deletion.
    pub(super) fn delete_options(&mut self) -> Value {
        self.named_message("meta/v1.DeleteOptions")
    }

    /// A reference to the body of a patch.
    pub(super) fn patch(&mut self) -> Value {
        let name = format!("{META}.Patch");
        self.made.entry(name.clone()).or_insert_with(|| {
            json!({
                "type": "object",
                "description": "A change to an object; its Content-Type says of which sort.",
            })
        });
        reference(&name)
    }

    /// All that was referred to, and what that refers to in turn.
    pub(super) fn finish(mut self) -> Value {
        while let Some(message) = self.wanted.pop() {
            let name = schema_name(message.name);
            if !self.made.contains_key(&name) {
                let schema = self.schema(message);
                self.made.insert(name, schema);
            }
        }
        Value::Object(self.made.into_iter().collect())
    }

    fn named_message(&mut self, name: &str) -> Value {
        self.message(find_message(name).expect("a type of the table"))
    }

    fn message(&mut self, message: &'static Message) -> Value {
        self.wanted.push(message);
        reference(&schema_name(message.name))
    }

    fn schema(&mut self, message: &'static Message) -> Value {
        let mut properties = Map::new();
        let mut required = Vec::new();
        let kinds = self.kinds_of(message);
        if !kinds.is_empty() {
            properties.insert("apiVersion".to_owned(), api_version());
            properties.insert("kind".to_owned(), kind_property());
        }
        self.add_fields(message, &mut properties, &mut required);
        let mut schema = Map::from_iter([("type".to_owned(), "object".into())]);
        schema.extend(of_type(message.name).map(|text| ("description".to_owned(), text.into())));
        if !required.is_empty() {
            required.sort_unstable();
            schema.insert("required".to_owned(), required.into());
        }
        if !properties.is_empty() {
            schema.insert("properties".to_owned(), properties.into());
        }
        if message.is_atomic() {
            schema.insert("x-kubernetes-map-type".to_owned(), "atomic".into());
        }
        if !kinds.is_empty() {
            schema.insert("x-kubernetes-group-version-kind".to_owned(), kinds.into());
        }
        schema.into()
    }

    /// The kinds that a message is by itself: clients look schemas up by them.
    fn kinds_of(&self, message: &Message) -> Vec<Value> {
        let entry = |group: &str, version: &str, kind: &str| json!({"group": group, "version": version, "kind": kind});
        match message.name {
            "meta/v1.Status" => vec![entry("", "v1", "Status")],
            // Any group's name for it is taken.
            "meta/v1.DeleteOptions" => {
                let mut entries = vec![entry("", "v1", "DeleteOptions")];
                if !self.document.group.is_empty() {
                    entries.push(entry(self.document.group, self.document.version, "DeleteOptions"));
                }
                entries
            }
            _ => crate::kind::kinds()
                .iter()
                .filter(|kind| std::ptr::eq(kind.message(), message))
                .map(|kind| entry(kind.group, kind.version, kind.kind))
                .collect(),
        }
    }

    fn add_fields(
        &mut self,
        message: &'static Message,
        properties: &mut Map<String, Value>,
        required: &mut Vec<&'static str>,
    ) {
        let release = self.release;
        for field in message.fields.iter().filter(|field| field.since <= release) {
            match field.message() {
                Some(inner) if field.inline => self.add_fields(inner, properties, required),
                _ => {
                    if is_required(message, field) {
                        required.push(field.name);
                    }
                    let property = self.property(message, field);
                    properties.insert(field.name.to_owned(), property);
                }
            }
        }
    }

    fn property(&mut self, message: &'static Message, field: &'static Field) -> Value {
        let mut siblings = Map::new();
        siblings
            .extend(of_field(message.name, field.name).map(|text| ("description".to_owned(), text.into())));
        siblings.extend(merge_extensions(field));
        let value = self.value(field.field_type);
        match field.shape {
            Shape::One => {
                siblings.extend(default_of(field).map(|default| ("default".to_owned(), default)));
                with_siblings(value, siblings)
            }
            Shape::List => {
                siblings.insert("type".to_owned(), "array".into());
                siblings.insert("items".to_owned(), item(value, field.field_type));
                siblings.into()
            }
            Shape::Map => {
                siblings.insert("type".to_owned(), "object".into());
                siblings.insert("additionalProperties".to_owned(), item(value, field.field_type));
                siblings.into()
            }
        }
    }

    /// The schema of what a field holds, once.
    fn value(&mut self, field_type: FieldType) -> Value {
        let special = |schemas: &mut Self, name: String, schema: Value| {
            schemas.made.entry(name.clone()).or_insert(schema);
            reference(&name)
        };
        match field_type {
            FieldType::Bool => json!({"type": "boolean"}),
            FieldType::Bytes => json!({"type": "string", "format": "byte"}),
            FieldType::Int32 => json!({"type": "integer", "format": "int32"}),
            FieldType::Int64 => json!({"type": "integer", "format": "int64"}),
            FieldType::String => json!({"type": "string"}),
            FieldType::StringList => json!({"type": "array", "items": {"type": "string", "default": ""}}),
            FieldType::Message(_) => {
                self.message(field_type.message().expect("a message by its place in the table"))
            }
            FieldType::Time => special(
                self,
                format!("{META}.Time"),
                json!({
                    "type": "string", "format": "date-time",
                    "description": "A moment, in whole seconds, as RFC 3339 writes it.",
                }),
            ),
            FieldType::MicroTime => special(
                self,
                format!("{META}.MicroTime"),
                json!({
                    "type": "string", "format": "date-time",
                    "description": "A moment, in microseconds, as RFC 3339 writes it.",
                }),
            ),
            FieldType::FieldsV1 => special(
                self,
                format!("{META}.FieldsV1"),
                json!({
                    "type": "object",
                    "description": "A set of fields as a trie: f:NAME for a member, k:KEYS and v:VALUE for items of a list.",
                }),
            ),
            FieldType::Raw => special(
                self,
                "io.k8s.apimachinery.pkg.runtime.RawExtension".to_owned(),
                json!({"type": "object", "description": "Any object; nothing is known of its members."}),
            ),
            FieldType::Quantity => special(
                self,
                "io.k8s.apimachinery.pkg.api.resource.Quantity".to_owned(),
                json!({
                    "oneOf": [{"type": "string"}, {"type": "number"}],
                    "description": "An amount with an optional suffix: 100m, 2, 1.5Gi, 1e3.",
                }),
            ),
            FieldType::IntOrString => special(
                self,
                "io.k8s.apimachinery.pkg.util.intstr.IntOrString".to_owned(),
                json!({
                    "format": "int-or-string",
                    "oneOf": [{"type": "integer"}, {"type": "string"}],
                    "description": "A number, or a text such as a percentage or the name of a port.",
                }),
            ),
        }
    }
}

fn is_required(message: &Message, field: &Field) -> bool {
    let is_in = |list: &[(&str, &str)]| list.contains(&(message.name, field.name));
    if field.omit_empty {
        false
    } else if field.pointer {
        is_in(REQUIRED_POINTERS)
    } else {
        !is_in(OPTIONAL)
    }
}

/// What an absent member stands for, where a schema can say it.
fn default_of(field: &Field) -> Option<Value> {
    if let Some(text) = field.default {
        return declared_default(text);
    }
    if field.pointer {
        return None;
    }
    match field.field_type {
        FieldType::Message(_) => Some(json!({})),
        // A zero that is printed is also what is taken when nothing is sent.
        FieldType::Bool if !field.omit_empty => Some(false.into()),
        FieldType::Int32 | FieldType::Int64 if !field.omit_empty => Some(0.into()),
        FieldType::String if !field.omit_empty => Some("".into()),
        _ => None,
    }
}

/// A default as the table writes it: JSON, or the name of one of Go's constants.
pub(super) fn declared_default(text: &str) -> Option<Value> {
    match text.strip_prefix("ref(").and_then(|text| text.strip_suffix(')')) {
        Some("AzureDataDiskCachingReadWrite") => Some("ReadWrite".into()),
        Some("AzureSharedBlobDisk") => Some("Shared".into()),
        Some(_) => None,
        None => serde_json::from_str(text).ok(),
    }
}

/// An item of a list or a map; its zero value stands for an item that says nothing.
fn item(value: Value, field_type: FieldType) -> Value {
    let default = match field_type {
        FieldType::Message(_) => json!({}),
        FieldType::String => "".into(),
        FieldType::Int32 | FieldType::Int64 => 0.into(),
        FieldType::Bool => false.into(),
        _ => return value,
    };
    with_siblings(value, Map::from_iter([("default".to_owned(), default)]))
}

/// How appliers and patches merge a field.
fn merge_extensions(field: &Field) -> Map<String, Value> {
    let mut extensions = Map::new();
    let mut add = |name: &str, value: Value| extensions.insert(format!("x-kubernetes-{name}"), value);
    match field.merge {
        Some(ListType::Atomic) => drop(add("list-type", "atomic".into())),
        Some(ListType::Set) => drop(add("list-type", "set".into())),
        Some(ListType::Map(keys)) => {
            add("list-type", "map".into());
            add("list-map-keys", keys.into());
        }
        None => {}
    }
    match field.map_type {
        Some(MapType::Atomic) => drop(add("map-type", "atomic".into())),
        Some(MapType::Granular) => drop(add("map-type", "granular".into())),
        None => {}
    }
    if field.replaced {
        add("patch-strategy", "replace".into());
    }
    if let Some(patch) = field.patch {
        add("patch-strategy", if patch.retain_keys { "merge,retainKeys" } else { "merge" }.into());
        if !patch.merge_key.is_empty() {
            add("patch-merge-key", patch.merge_key.into());
        }
    }
    extensions
}

/// Puts members beside a schema; beside a reference nothing may stand, so that one is wrapped.
fn with_siblings(schema: Value, mut siblings: Map<String, Value>) -> Value {
    match schema {
        schema if siblings.is_empty() => schema,
        Value::Object(schema) if schema.contains_key("$ref") => {
            siblings.insert("allOf".to_owned(), json!([schema]));
            siblings.into()
        }
        Value::Object(mut schema) => {
            schema.extend(siblings);
            schema.into()
        }
        other => other,
    }
}

fn reference(name: &str) -> Value {
    json!({"$ref": format!("#/components/schemas/{name}")})
}

fn api_version() -> Value {
    json!({"type": "string", "description": "Group and version of this form of the object, such as storage.k8s.io/v1."})
}

fn kind_property() -> Value {
    json!({"type": "string", "description": "What the object is. The server knows it from the path; it cannot be changed."})
}

fn split(message: &str) -> (&str, &str) {
    message.rsplit_once('.').expect("a package and a name")
}

/// `storage/v1.CSIDriver` is `io.k8s.api.storage.v1.CSIDriver`.
pub(super) fn schema_name(message: &str) -> String {
    let (package, name) = split(message);
    format!("{}.{name}", schema_package(package))
}

fn schema_package(package: &str) -> String {
    match package {
        "meta/v1" => META.to_owned(),
        "runtime" => "io.k8s.apimachinery.pkg.runtime".to_owned(),
        "api/resource" => "io.k8s.apimachinery.pkg.api.resource".to_owned(),
        "util/intstr" => "io.k8s.apimachinery.pkg.util.intstr".to_owned(),
        api => format!("io.k8s.api.{}", api.replace('/', ".")),
    }
}
