//! Every message of the package, filled: shared by the tests that go over all of them.

use std::path::Path;

use prost::Message as _;
use prost_reflect::{
    DescriptorPool, DynamicMessage, FieldDescriptor, Kind, MapKey, MessageDescriptor, Value,
};

/// The compiled proto, as bytes.
pub(crate) fn descriptor_set() -> Vec<u8> {
    let proto = Path::new(env!("CARGO_MANIFEST_DIR")).join("proto");
    let mut compiler = protox::Compiler::new([proto]).unwrap();
    compiler.include_imports(true).open_file("csi.proto").unwrap();
    compiler.encode_file_descriptor_set()
}

/// `(full name, wire bytes)`: each message with every field set, once for each member of its oneofs.
pub(crate) fn all() -> Vec<(String, Vec<u8>)> {
    let pool = DescriptorPool::decode(descriptor_set().as_slice()).unwrap();
    let mut all = Vec::new();
    for message in pool.all_messages().filter(|message| message.package_name() == "csi.v1") {
        if message.is_map_entry() {
            continue;
        }
        for choice in 0..2 {
            all.push((message.full_name().to_owned(), fill(&message, choice).encode_to_vec()));
        }
    }
    all
}

fn fill(descriptor: &MessageDescriptor, choice: usize) -> DynamicMessage {
    let mut message = DynamicMessage::new(descriptor.clone());
    for field in descriptor.fields() {
        let is_chosen = field.containing_oneof().is_none_or(|oneof| {
            let members: Vec<FieldDescriptor> = oneof.fields().collect();
            members[choice % members.len()] == field
        });
        if is_chosen {
            message.set_field(&field, value(&field, choice));
        }
    }
    message
}

fn value(field: &FieldDescriptor, choice: usize) -> Value {
    match field.kind() {
        Kind::Message(entry) if field.is_map() => {
            let value = single(&entry.map_entry_value_field().kind(), choice);
            let keys = ["b<&>", "a", tokenward_tokens::TOKENS_KEY];
            Value::Map(keys.map(|key| (MapKey::String(key.to_owned()), value.clone())).into())
        }
        kind if field.is_list() => Value::List(vec![single(&kind, choice), single(&kind, choice)]),
        kind => single(&kind, choice),
    }
}

fn single(kind: &Kind, choice: usize) -> Value {
    match kind {
        Kind::Message(descriptor) => Value::Message(fill(descriptor, choice)),
        Kind::String => {
            Value::String("é \"quoted\" <eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJ4In0.c2ln>\n".to_owned())
        }
        Kind::Bool => Value::Bool(true),
        Kind::Int32 => Value::I32(-7),
        Kind::Int64 => Value::I64(i64::MAX),
        Kind::Enum(_) => Value::EnumNumber(1 + 98 * i32::try_from(choice).unwrap()),
        other => panic!("fill a {other:?}, too"),
    }
}
