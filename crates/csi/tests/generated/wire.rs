//! The compiled proto against `csi-wire.tsv`, row by row, both ways.

use std::collections::BTreeSet;

use prost_reflect::{
    DynamicMessage, EnumDescriptor, FieldDescriptor, Kind, MessageDescriptor, ServiceDescriptor, Value,
};

const FACTS: &str = include_str!("../../csi-wire.tsv");
const PACKAGE: &str = "csi.v1";

#[test]
fn the_proto_says_what_the_specification_says() {
    let facts: BTreeSet<String> =
        FACTS.lines().filter(|line| !line.starts_with('#')).map(str::to_owned).collect();
    let said = rows();
    let missing: Vec<&String> = facts.difference(&said).collect();
    let surplus: Vec<&String> = said.difference(&facts).collect();
    assert!(
        missing.is_empty() && surplus.is_empty(),
        "not in the proto: {missing:#?}\nonly in the proto: {surplus:#?}"
    );
}

#[test]
fn the_facts_are_complete() {
    let count = |kind: &str| FACTS.lines().filter(|line| line.split('\t').next() == Some(kind)).count();
    assert_eq!(["rpc", "service", "message", "enum", "extension"].map(count), [32, 5, 94, 8, 7]);
    assert_eq!(
        FACTS.lines().filter(|line| line.contains("csi_secret") && line.starts_with("field")).count(),
        19
    );
}

fn rows() -> BTreeSet<String> {
    let pool = crate::pool();
    let mut rows = BTreeSet::new();
    for extension in pool.all_extensions() {
        let of = extension.containing_message();
        row(
            &mut rows,
            [
                "extension",
                extension.full_name(),
                &extension.number().to_string(),
                &type_name(&extension.kind()),
            ],
            [&format!("extends {}", of.full_name()), "-", "-"],
        );
    }
    for message in
        pool.all_messages().filter(|message| message.package_name() == PACKAGE && !message.is_map_entry())
    {
        message_rows(&message, &mut rows);
    }
    for found in pool.all_enums().filter(|found| found.package_name() == PACKAGE) {
        enum_rows(&found, &mut rows);
    }
    for service in pool.services() {
        service_rows(&service, &mut rows);
    }
    rows
}

fn row(rows: &mut BTreeSet<String>, first: [&str; 4], last: [&str; 3]) {
    let is_new = rows.insert([&first[..], &last[..]].concat().join("\t"));
    assert!(is_new, "{} stands twice in the proto", first[1]);
}

fn message_rows(message: &MessageDescriptor, rows: &mut BTreeSet<String>) {
    row(rows, ["message", message.full_name(), "-", "-"], ["-", "-", &flags(&message.options())]);
    for field in message.fields() {
        let (shape, kind) = shape_and_type(&field);
        let oneof = field.containing_oneof().map_or_else(|| "-".to_owned(), |oneof| oneof.name().to_owned());
        row(
            rows,
            ["field", field.full_name(), &field.number().to_string(), &kind],
            [shape, &oneof, &flags(&field.options())],
        );
    }
}

fn shape_and_type(field: &FieldDescriptor) -> (&'static str, String) {
    match field.kind() {
        Kind::Message(entry) if field.is_map() => {
            let (key, value) = (entry.map_entry_key_field().kind(), entry.map_entry_value_field().kind());
            ("map", format!("map<{},{}>", type_name(&key), type_name(&value)))
        }
        kind if field.is_list() => ("repeated", type_name(&kind)),
        kind => ("single", type_name(&kind)),
    }
}

fn type_name(kind: &Kind) -> String {
    match kind {
        Kind::Message(message) => message.full_name().to_owned(),
        Kind::Enum(found) => found.full_name().to_owned(),
        scalar => format!("{scalar:?}"),
    }
}

fn enum_rows(found: &EnumDescriptor, rows: &mut BTreeSet<String>) {
    row(rows, ["enum", found.full_name(), "-", "-"], ["-", "-", &flags(&found.options())]);
    for value in found.values() {
        // protobuf puts a value beside its enum; the facts put it inside.
        let name = format!("{}.{}", found.full_name(), value.name());
        row(rows, ["value", &name, &value.number().to_string(), "-"], ["-", "-", &flags(&value.options())]);
    }
}

fn service_rows(service: &ServiceDescriptor, rows: &mut BTreeSet<String>) {
    row(rows, ["service", service.full_name(), "-", "-"], ["-", "-", &flags(&service.options())]);
    for method in service.methods() {
        let stream = match (method.is_client_streaming(), method.is_server_streaming()) {
            (false, false) => "unary",
            (false, true) => "server-stream",
            (true, _) => "client-stream",
        };
        let types = format!("{} -> {}", method.input().full_name(), method.output().full_name());
        row(rows, ["rpc", method.full_name(), "-", &types], [stream, "-", &flags(&method.options())]);
    }
}

/// Every option that is set, by name: a mark too many is found like one that is missing.
fn flags(options: &DynamicMessage) -> String {
    let mut flags: Vec<String> = options
        .extensions()
        .map(|(extension, value)| (extension.name().to_owned(), value))
        .chain(options.fields().map(|(field, value)| (field.name().to_owned(), value)))
        .map(|(name, value)| if value == &Value::Bool(true) { name } else { format!("{name}={value}") })
        .collect();
    flags.sort();
    if flags.is_empty() { "-".to_owned() } else { flags.join(",") }
}
