//! Editions: the defaults of a file and what overrides them, in descriptors as compilers write them. What would break without
//! it: a message with delimited encoding looks like any other in its descriptor but for the features, and all in it would be
//! left out; a zero that is present would be, too.
//!
//! `editions.binpb` is what protoc 35.1 makes of `editions.proto` with `--descriptor_set_out`; the bytes of the messages are
//! those of Go's protobuf.

use tokenward_sanitize::{Marks, MessageId, Table, to_json};

const SET: &[u8] = include_bytes!("editions.binpb");

fn table() -> (Table, MessageId) {
    let marks = Marks::new().extension_named("oracle.secret").debug_redact();
    let table = Table::from_descriptor_set(SET, &marks).unwrap();
    table.check().unwrap();
    let id = table.find("oracle.Edited").unwrap();
    (table, id)
}

#[track_caller]
fn shows(wire: &[u8], wanted: &str) {
    let (table, id) = table();
    assert_eq!(to_json(&table, id, wire), wanted);
}

fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<u32> = hex.chars().filter_map(|digit| digit.to_digit(16)).collect();
    digits.chunks(2).map(|pair| u8::try_from(pair[0] << 4 | pair[1]).unwrap()).collect()
}

#[test]
fn a_message_of_an_edition_is_shown_by_its_features() {
    // explicit: "" required: 0 packed: [1, 2] expanded: [3, 4]
    // grouped { text: "g" key: "tiger!" below { text: "b" key: "tiger!" } } prefixed { text: "p" }
    // parts { text: "1" } parts {} by_name { key: "n" value { text: "m" key: "tiger!" } } picked_part { key: "tiger!" }
    // level: HIGH password: "tiger!" vault { text: "tiger!" } pins: [7, 8] redacted: "tiger!"
    // inner { required: 5 picked_text: "t" }
    let wire = bytes(
        "0a00 1800 22020102 2803 2804 33 0a0167 1206746967657221 1b 0a0162 1206746967657221 1c 34 3a030a0170 \
         43 0a0131 44 43 44 4a10 0a016e 120b 0a016d 1206746967657221 53 1206746967657221 54 6002 6a06746967657221 \
         73 0a06746967657221 74 7807 7808 820106746967657221 8b01 1805 5a0174 8c01",
    );
    shows(
        &wire,
        concat!(
            r#"{"by_name":{"n":{"key":"***stripped***","text":"m"}},"expanded":[3,4],"explicit":"","#,
            r#""grouped":{"below":{"key":"***stripped***","text":"b"},"key":"***stripped***","text":"g"},"#,
            r#""inner":{"picked_text":"t","required":5},"level":"HIGH","packed":[1,2],"parts":[{"text":"1"},{}],"#,
            r#""password":"***stripped***","picked_part":{"key":"***stripped***"},"pins":"***stripped***","#,
            r#""prefixed":{"text":"p"},"redacted":"***stripped***","required":0,"vault":"***stripped***"}"#,
        ),
    );
}

#[test]
fn absent_and_empty_differ_where_presence_is_explicit() {
    shows(b"", "{}");
    // implicit: "" and explicit: ""
    shows(b"\x12\x00", "{}");
    shows(b"\x0a\x00", r#"{"explicit":""}"#);
}

#[test]
fn lists_are_read_both_ways_whatever_the_feature_says() {
    // packed: 1 2 one by one; expanded: [3, 4] packed; pins packed
    shows(
        b"\x20\x01\x20\x02\x2a\x02\x03\x04\x7a\x02\x07\x08",
        r#"{"expanded":[3,4],"packed":[1,2],"pins":"***stripped***"}"#,
    );
}

#[test]
fn each_message_is_read_in_its_own_encoding_only() {
    // `grouped` with its length in front, `prefixed` as a group, and the same as a value of the map: unknown fields, all of
    // them. Nothing of what is in them is shown.
    shows(b"\x32\x03\x0a\x01x\x3b\x0a\x01x\x3c", "{}");
    shows(b"\x4a\x08\x0a\x01n\x13\x0a\x01x\x14", r#"{"by_name":{"n":{}}}"#);
}

#[test]
fn groups_merge_and_take_over_like_other_messages() {
    // grouped { text: "a" below { text: "b" } } grouped { below { key: "k" } }
    shows(
        b"\x33\x0a\x01a\x1b\x0a\x01b\x1c\x34\x33\x1b\x12\x01k\x1c\x34",
        r#"{"grouped":{"below":{"key":"***stripped***","text":"b"},"text":"a"}}"#,
    );
    // picked_part { text: "a" } picked_text: "t", and the other way round
    shows(b"\x53\x0a\x01a\x54\x5a\x01t", r#"{"picked_text":"t"}"#);
    shows(b"\x5a\x01t\x53\x0a\x01a\x54", r#"{"picked_part":{"text":"a"}}"#);
}

#[test]
fn a_broken_group_is_malformed() {
    for wire in [&b"\x33\x0a\x01a"[..], b"\x33\x0a\x01a\x3c", b"\x34", b"\x33\x0a\x05a\x34"] {
        shows(wire, r#""***malformed***""#);
    }
}

#[test]
fn groups_nest_as_deep_as_messages_may() {
    let nested =
        |depth: usize| [b"\x33", &*vec![0x1b; depth], b"\x0a\x01x", &*vec![0x1c; depth], b"\x34"].concat();
    let (table, id) = table();
    let deepest = to_json(&table, id, &nested(99));
    assert_eq!(deepest.matches("below").count(), 99);
    assert!(deepest.contains(r#""text":"x""#), "{deepest}");
    assert_eq!(to_json(&table, id, &nested(100)), r#""***malformed***""#);
}
