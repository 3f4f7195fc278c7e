//! The walker against an independent reading of the same bytes: prost-reflect decodes them, and the tree is printed by
//! the rules once more. What would break without it: a wire rule that both the walker and its own tests have wrong.
#![expect(clippy::unwrap_used, reason = "a test's own world that does not stand up should stop the test")]

mod compiled;
mod editions;
mod generate;
mod reading;

use std::sync::LazyLock;

use proptest::prelude::*;
use prost_reflect::{
    DescriptorPool, DynamicMessage, FieldDescriptor, Kind as Wire, MessageDescriptor, Value,
};
use tokenward_sanitize::{Enum, EnumId, Field, Kind, Marks, Message, MessageId, Table, to_json};

const PROTO: &str = r#"
    syntax = "proto3";
    package oracle;
    import "google/protobuf/descriptor.proto";
    extend google.protobuf.FieldOptions { bool secret = 50000; }
    enum Color { RED = 0; GREEN = 1; BLUE = 5; }
    message Everything {
      bool a_bool = 1; bytes a_bytes = 2; double a_double = 3; Color a_color = 4; fixed32 a_fixed32 = 5;
      fixed64 a_fixed64 = 6; float a_float = 7; int32 an_int32 = 8; int64 an_int64 = 9; sfixed32 an_sfixed32 = 10;
      sfixed64 an_sfixed64 = 11; sint32 an_sint32 = 12; sint64 an_sint64 = 13; string a_string = 14;
      uint32 a_uint32 = 15; uint64 a_uint64 = 16;
      optional int32 maybe = 17; optional string maybe_text = 18;
      oneof pick { int32 picked_number = 20; string picked_text = 21; Everything picked_message = 22; }
      oneof other { bool picked_flag = 23; Color picked_color = 24; }
      repeated int32 packed = 30; repeated int32 unpacked = 31 [packed = false]; repeated string texts = 32;
      repeated Everything messages = 33; repeated Color colors = 34; repeated double doubles = 35;
      map<string, string> labels = 40; map<int32, Everything> by_number = 41; map<bool, bytes> by_flag = 42;
      map<uint64, Color> by_size = 43; map<string, sint64> by_name = 44;
      Everything child = 50;
      string password = 60 [(secret) = true]; map<string, string> secrets = 61 [(secret) = true];
      repeated Everything vault = 62 [(secret) = true]; Everything safe = 63 [(secret) = true];
      int64 pin = 64 [(secret) = true];
    }
"#;

struct World {
    everything: MessageDescriptor,
    table: Table,
    id: MessageId,
    /// The same table, made from the descriptors.
    compiled: Table,
    compiled_id: MessageId,
}

static WORLD: LazyLock<World> = LazyLock::new(|| {
    let set = compile(PROTO);
    let pool = DescriptorPool::decode(set.as_slice()).unwrap();
    let everything = pool.get_message_by_name("oracle.Everything").unwrap();
    let table = table_of(&everything);
    table.check().unwrap();
    let id = table.find("oracle.Everything").unwrap();
    let marks = Marks::new().extension_named("oracle.secret").token_key("oracle/tokens");
    let compiled = Table::from_descriptor_set(&set, &marks).unwrap();
    compiled.check().unwrap();
    let compiled_id = compiled.find("oracle.Everything").unwrap();
    World { everything, table, id, compiled, compiled_id }
});

/// The descriptors of one file, and of those that it imports, as bytes.
fn compile(proto: &str) -> Vec<u8> {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("oracle.proto"), proto).unwrap();
    let mut compiler = protox::Compiler::new([directory.path()]).unwrap();
    compiler.include_imports(true).open_file("oracle.proto").unwrap();
    compiler.encode_file_descriptor_set()
}

fn table_of(message: &MessageDescriptor) -> Table {
    static COLORS: &[Enum] =
        &[Enum { name: "oracle.Color", values: &[(0, "RED"), (1, "GREEN"), (5, "BLUE")] }];
    let mut fields: Vec<FieldDescriptor> = message.fields().collect();
    fields.sort_by(|a, b| a.name().cmp(b.name()));
    let mut by_number: Vec<u16> = (0..u16::try_from(fields.len()).unwrap()).collect();
    by_number.sort_by_key(|&at| fields[usize::from(at)].number());
    let fields: Vec<Field> = fields.iter().map(field_of).collect();
    let message = Message::new("oracle.Everything", fields.leak(), by_number.leak());
    Table::new(vec![message].leak(), COLORS, &["oracle/tokens"])
}

fn field_of(field: &FieldDescriptor) -> Field {
    let name: &'static str = field.name().to_owned().leak();
    let (number, kind) = (field.number(), field.kind());
    let oneof = field.containing_oneof().filter(|oneof| !oneof.is_synthetic());
    let made = if let Wire::Message(entry) = &kind
        && field.is_map()
    {
        let (key, value) = (entry.map_entry_key_field().kind(), entry.map_entry_value_field().kind());
        Field::map(name, number, kind_of(&key), kind_of(&value))
    } else if let Some(oneof) = oneof {
        Field::member(u8::from(oneof.name() == "other"), name, number, kind_of(&kind))
    } else if field.is_list() {
        Field::repeated(name, number, kind_of(&kind))
    } else if field.supports_presence() {
        Field::optional(name, number, kind_of(&kind))
    } else {
        Field::single(name, number, kind_of(&kind))
    };
    if is_secret(field) { made.secret() } else { made }
}

fn is_secret(field: &FieldDescriptor) -> bool {
    let mark = field.parent_pool().get_extension_by_name("oracle.secret").unwrap();
    field.options().get_extension(&mark).as_ref() == &Value::Bool(true)
}

fn kind_of(kind: &Wire) -> Kind {
    match kind {
        Wire::Bool => Kind::Bool,
        Wire::Bytes => Kind::Bytes,
        Wire::Double => Kind::Double,
        Wire::Enum(_) => Kind::Enum(EnumId(0)),
        Wire::Fixed32 => Kind::Fixed32,
        Wire::Fixed64 => Kind::Fixed64,
        Wire::Float => Kind::Float,
        Wire::Int32 => Kind::Int32,
        Wire::Int64 => Kind::Int64,
        Wire::Message(_) => Kind::Message(MessageId(0)),
        Wire::Sfixed32 => Kind::Sfixed32,
        Wire::Sfixed64 => Kind::Sfixed64,
        Wire::Sint32 => Kind::Sint32,
        Wire::Sint64 => Kind::Sint64,
        Wire::String => Kind::String,
        Wire::Uint32 => Kind::Uint32,
        Wire::Uint64 => Kind::Uint64,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_walker_shows_what_the_oracle_shows(wire in generate::wire(&WORLD.everything)) {
        let decoded = DynamicMessage::decode(WORLD.everything.clone(), wire.as_slice()).unwrap();
        let wanted = reading::json(&decoded);
        prop_assert_eq!(&to_json(&WORLD.table, WORLD.id, &wire), &wanted);
        prop_assert_eq!(&to_json(&WORLD.compiled, WORLD.compiled_id, &wire), &wanted);
    }

    #[test]
    fn spoilt_bytes_do_no_harm(
        mut wire in generate::wire(&WORLD.everything),
        spoils in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        cut in any::<prop::sample::Index>(),
    ) {
        wire.push(0);
        for (at, byte) in spoils {
            let at = at.index(wire.len());
            wire[at] = byte;
        }
        wire.truncate(cut.index(wire.len()) + 1);
        let json = to_json(&WORLD.table, WORLD.id, &wire);
        prop_assert!(serde_json::from_str::<serde_json::Value>(&json).is_ok(), "{}", json);
        if let Ok(decoded) = DynamicMessage::decode(WORLD.everything.clone(), wire.as_slice()) {
            prop_assert_eq!(json, reading::json(&decoded));
        }
    }

    #[test]
    fn noise_does_no_harm(wire in prop::collection::vec(any::<u8>(), 0..200)) {
        let json = to_json(&WORLD.table, WORLD.id, &wire);
        prop_assert!(serde_json::from_str::<serde_json::Value>(&json).is_ok(), "{}", json);
    }
}
