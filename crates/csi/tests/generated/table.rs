//! The sanitizer's table, out of the descriptor set as bytes.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use prost_reflect::{DescriptorPool, EnumDescriptor, FieldDescriptor, Kind, MessageDescriptor, Value};

pub(crate) const HEADER: &str =
    "// Generated from proto/csi.proto; the test `generated` holds it and writes it anew. Do not edit.\n\n";

#[test]
fn the_table_is_what_the_proto_generates() {
    crate::hold("table.rs", &generate(&crate::pool()));
}

/// The messages that the sanitizer can meet, in the order of their ids: all of ours, and the well-known ones they hold.
pub(crate) fn message_names(pool: &DescriptorPool) -> Vec<String> {
    let mut names = Vec::new();
    for message in pool.all_messages().filter(|message| message.package_name() == "csi.v1") {
        if message.is_map_entry() {
            continue;
        }
        names.push(message.full_name().to_owned());
        for field in message.fields() {
            if let Kind::Message(held) = field.kind()
                && held.package_name() == "google.protobuf"
            {
                names.push(held.full_name().to_owned());
            }
        }
    }
    names.sort();
    names.dedup();
    names
}

fn generate(pool: &DescriptorPool) -> String {
    let messages = message_names(pool);
    let mut enums: Vec<EnumDescriptor> =
        pool.all_enums().filter(|found| found.package_name() == "csi.v1").collect();
    enums.sort_by(|a, b| a.full_name().cmp(b.full_name()));
    let mut text = String::from(HEADER);
    text.push_str("static MESSAGES: &[Message] = &[\n");
    let ids = Ids {
        messages: messages.iter().cloned().zip(0..).collect(),
        enums: enums.iter().map(|found| found.full_name().to_owned()).zip(0..).collect(),
    };
    for name in &messages {
        let message = pool.get_message_by_name(name).unwrap();
        message_rows(&message, &ids, &mut text);
    }
    text.push_str("];\n\nstatic ENUMS: &[Enum] = &[\n");
    for found in &enums {
        enum_rows(found, &mut text);
    }
    text.push_str("];\n");
    text
}

struct Ids {
    messages: BTreeMap<String, u16>,
    enums: BTreeMap<String, u16>,
}

fn message_rows(message: &MessageDescriptor, ids: &Ids, text: &mut String) {
    let mut fields: Vec<FieldDescriptor> = message.fields().collect();
    fields.sort_by(|a, b| a.name().cmp(b.name()));
    let mut order: Vec<usize> = (0..fields.len()).collect();
    order.sort_by_key(|&at| fields[at].number());
    let id = ids.messages[message.full_name()];
    writeln!(text, "    // {id}\n    Message::new(\"{}\", &[", message.full_name()).unwrap();
    for field in &fields {
        writeln!(text, "        {},", field_row(field, ids)).unwrap();
    }
    writeln!(text, "    ], &{order:?}),").unwrap();
}

fn field_row(field: &FieldDescriptor, ids: &Ids) -> String {
    let (name, number) = (field.name(), field.number());
    let mut row = if field.is_map() {
        let Kind::Message(entry) = field.kind() else { unreachable!("a map is a list of entries") };
        let (key, value) = (entry.map_entry_key_field().kind(), entry.map_entry_value_field().kind());
        format!("Field::map(\"{name}\", {number}, {}, {})", kind(&key, ids), kind(&value, ids))
    } else {
        let kind = kind(&field.kind(), ids);
        let real_oneof = field.containing_oneof().filter(|oneof| !oneof.is_synthetic());
        if let Some(oneof) = real_oneof {
            let at = field.parent_message().oneofs().position(|other| other == oneof).unwrap();
            format!("Field::member({at}, \"{name}\", {number}, {kind})")
        } else if field.is_list() {
            format!("Field::repeated(\"{name}\", {number}, {kind})")
        } else if field.supports_presence() && !kind.starts_with("Kind::Message") {
            format!("Field::optional(\"{name}\", {number}, {kind})")
        } else {
            format!("Field::single(\"{name}\", {number}, {kind})")
        }
    };
    if is_secret(field) {
        row.push_str(".secret()");
    }
    row
}

pub(crate) fn is_secret(field: &FieldDescriptor) -> bool {
    let mark = field.parent_pool().get_extension_by_name("csi.v1.csi_secret").unwrap();
    field.options().get_extension(&mark).as_ref() == &Value::Bool(true)
}

fn kind(kind: &Kind, ids: &Ids) -> String {
    match kind {
        Kind::Message(held) => format!("Kind::Message(MessageId({}))", ids.messages[held.full_name()]),
        Kind::Enum(found) => format!("Kind::Enum(EnumId({}))", ids.enums[found.full_name()]),
        // prost-reflect prints `sfixed32`; the table says `Sfixed32`.
        scalar => {
            let name = format!("{scalar:?}");
            format!("Kind::{}{}", name[..1].to_uppercase(), &name[1..])
        }
    }
}

fn enum_rows(found: &EnumDescriptor, text: &mut String) {
    let mut values = BTreeMap::new();
    for value in found.values() {
        values.entry(value.number()).or_insert_with(|| value.name().to_owned());
    }
    let values: Vec<(i32, String)> = values.into_iter().collect();
    writeln!(text, "    Enum {{ name: \"{}\", values: &[", found.full_name()).unwrap();
    for (number, name) in values {
        writeln!(text, "        ({number}, \"{name}\"),").unwrap();
    }
    text.push_str("    ] },\n");
}
