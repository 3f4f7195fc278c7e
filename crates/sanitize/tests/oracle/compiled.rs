//! Tables out of descriptors: languages and ways of marking that the generated table of CSI does not need.

use std::sync::LazyLock;

use proptest::prelude::*;
use prost_reflect::{DescriptorPool, DynamicMessage, MessageDescriptor};
use tokenward_sanitize::{DescriptorError, Marks, MessageId, STRIPPED, Table, to_json};

use crate::{compile, generate, reading};

const PROTO2: &str = r#"
    syntax = "proto2";
    package oracle;
    import "google/protobuf/descriptor.proto";
    message Marks {
      extend google.protobuf.FieldOptions { optional bool secret = 50001; optional string note = 50002; }
      message Inner { optional string text = 1; optional bytes key = 2 [(oracle.Marks.secret) = true]; }
    }
    extend google.protobuf.FieldOptions { optional bool secret = 50000; }
    message Old {
      required int32 id = 1; optional int32 count = 2; optional bool flag = 3; optional string name = 4;
      repeated sint64 sizes = 5 [packed = true]; repeated fixed32 codes = 6; optional Marks.Inner inner = 7;
      map<string, Marks.Inner> by_name = 8; map<sfixed64, string> by_code = 9;
      oneof pick { string picked = 10; Old old = 11; }
      optional Level level = 12; enum Level { LOW = 1; HIGH = 2; }
      optional string password = 13 [(secret) = true]; repeated Old vault = 14 [(secret) = true];
      optional string pin = 15 [debug_redact = true]; optional string shown = 16 [(secret) = false];
      optional string noted = 17 [(oracle.Marks.note) = "yes"];
      repeated group Piece = 18 { optional string text = 1; optional bytes pass = 2 [(secret) = true]; }
      optional group Whole = 19 { optional Old part = 1; repeated group Inside = 2 { optional int32 size = 1; } }
      optional group Safe = 20 [(secret) = true] { optional string text = 1; }
    }
"#;

struct Old {
    set: Vec<u8>,
    descriptor: MessageDescriptor,
    table: Table,
    id: MessageId,
}

static OLD: LazyLock<Old> = LazyLock::new(|| {
    let set = compile(PROTO2);
    let pool = DescriptorPool::decode(set.as_slice()).unwrap();
    let descriptor = pool.get_message_by_name("oracle.Old").unwrap();
    let (table, id) = table(&set, &Marks::new().extension(50000).token_key("oracle/tokens"));
    Old { set, descriptor, table, id }
});

#[track_caller]
fn table(set: &[u8], marks: &Marks) -> (Table, MessageId) {
    let table = Table::from_descriptor_set(set, marks).unwrap();
    table.check().unwrap();
    let id = table.find("oracle.Old").unwrap();
    (table, id)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_proto2_message_is_shown_as_the_oracle_shows_it(wire in generate::wire(&OLD.descriptor)) {
        let decoded = DynamicMessage::decode(OLD.descriptor.clone(), wire.as_slice()).unwrap();
        prop_assert_eq!(to_json(&OLD.table, OLD.id, &wire), reading::json(&decoded));
    }
}

#[test]
fn each_way_of_marking_strips_what_it_marks() {
    // password: "p", pin: "i", shown: "s", name: "n", inner { text: "t" key: "k" }
    let wire = b"\x22\x01n\x3a\x06\x0a\x01t\x12\x01k\x6a\x01p\x7a\x01i\x82\x01\x01s";
    let cases = [
        (Marks::new(), vec![]),
        (Marks::new().extension(50000), vec!["password"]),
        (Marks::new().extension_named("oracle.secret"), vec!["password"]),
        (Marks::new().extension_named("oracle.Marks.secret"), vec!["key"]),
        (Marks::new().extension(50000).extension(50001), vec!["key", "password"]),
        (Marks::new().debug_redact(), vec!["pin"]),
        (Marks::new().field("oracle.Old.name").field("oracle.Marks.Inner.text"), vec!["name", "text"]),
        (Marks::new().field("oracle.Old.inner"), vec!["inner"]),
    ];
    for (marks, secret) in cases {
        let (table, id) = table(&OLD.set, &marks);
        let json = to_json(&table, id, wire);
        for (name, value) in
            [("name", "n"), ("password", "p"), ("pin", "i"), ("shown", "s"), ("text", "t"), ("key", "aw==")]
        {
            let is_gone = secret.contains(&name) || (secret == ["inner"] && ["text", "key"].contains(&name));
            assert_eq!(
                !json.contains(&format!(r#""{name}":"{value}""#)),
                is_gone,
                "{name} of {marks:?}: {json}"
            );
        }
        for name in secret {
            assert!(json.contains(&format!(r#""{name}":"{STRIPPED}""#)), "{name} of {marks:?}: {json}");
        }
    }
}

#[test]
fn an_option_that_is_no_bool_marks_nothing_and_says_so() {
    let wanted = DescriptorError::NotBool { option: "oracle.Marks.note".to_owned() };
    let marks = Marks::new().extension_named("oracle.Marks.note");
    assert_eq!(Table::from_descriptor_set(&OLD.set, &marks).err(), Some(wanted));
    let wanted = DescriptorError::NotBool { option: "50002".to_owned() };
    assert_eq!(Table::from_descriptor_set(&OLD.set, &Marks::new().extension(50002)).err(), Some(wanted));
}
