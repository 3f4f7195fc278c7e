use super::*;
use crate::table::{Enum, EnumId, Message};
use crate::to_json;

// message Node {
//   string name = 1; Node child = 2; repeated Node list = 3; map<string, string> labels = 4;
//   oneof pick { int64 number = 5; Node node = 6; string text = 7; }
//   repeated int32 counts = 8; Color color = 9; string password = 10 [secret]; map<string, string> hidden = 11 [secret];
//   bytes blob = 12; map<int32, Node> by_number = 13; optional bool flag = 14; repeated string hidden_list = 15 [secret];
//   map<string, bytes> blobs = 16; map<bool, Color> colors = 17;
// }
const NODE: Kind = Kind::Message(MessageId(0));
static MESSAGES: &[Message] = &[Message::new(
    "test.Node",
    &[
        Field::single("blob", 12, Kind::Bytes),
        Field::map("blobs", 16, Kind::String, Kind::Bytes),
        Field::map("by_number", 13, Kind::Int32, NODE),
        Field::single("child", 2, NODE),
        Field::single("color", 9, Kind::Enum(EnumId(0))),
        Field::map("colors", 17, Kind::Bool, Kind::Enum(EnumId(0))),
        Field::repeated("counts", 8, Kind::Int32),
        Field::optional("flag", 14, Kind::Bool),
        Field::map("hidden", 11, Kind::String, Kind::String).secret(),
        Field::repeated("hidden_list", 15, Kind::String).secret(),
        Field::map("labels", 4, Kind::String, Kind::String),
        Field::repeated("list", 3, NODE),
        Field::single("name", 1, Kind::String),
        Field::member(0, "node", 6, NODE),
        Field::member(0, "number", 5, Kind::Int64),
        Field::single("password", 10, Kind::String).secret(),
        Field::member(0, "text", 7, Kind::String),
    ],
    &[12, 3, 11, 10, 14, 13, 16, 6, 4, 15, 8, 0, 2, 7, 9, 1, 5],
)];
static ENUMS: &[Enum] = &[Enum { name: "test.Color", values: &[(-1, "NONE"), (0, "RED"), (2, "BLUE")] }];
static TABLE: Table = Table::new(MESSAGES, ENUMS, &["example/tokens"]);

fn varint(mut value: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
    bytes
}

fn number(field: u64, value: u64) -> Vec<u8> {
    [varint(field << 3), varint(value)].concat()
}

fn text(field: u64, value: impl AsRef<[u8]>) -> Vec<u8> {
    let value = value.as_ref();
    [varint(field << 3 | 2), varint(value.len() as u64), value.to_vec()].concat()
}

fn entry(field: u64, key: &str, value: &str) -> Vec<u8> {
    text(field, [text(1, key), text(2, value)].concat())
}

#[track_caller]
fn shows(parts: &[Vec<u8>], wanted: &str) {
    assert_eq!(to_json(&TABLE, MessageId(0), &parts.concat()), wanted);
}

#[test]
fn the_table_is_sound_and_a_broken_one_is_found() {
    assert_eq!(TABLE.find("test.Node"), Some(MessageId(0)));
    assert_eq!(TABLE.name(MessageId(0)), Some("test.Node"));
    assert_eq!(TABLE.find("test.Other"), None);
    assert_eq!(TABLE.check(), Ok(()));

    static UNSORTED: &[Message] = &[Message::new(
        "test.Unsorted",
        &[Field::single("b", 1, Kind::Bool), Field::single("a", 2, Kind::Bool)],
        &[0, 1],
    )];
    static MISINDEXED: &[Message] = &[Message::new(
        "test.Index",
        &[Field::single("a", 2, Kind::Bool), Field::single("b", 1, Kind::Bool)],
        &[0, 1],
    )];
    static DANGLING: &[Message] =
        &[Message::new("test.Dangling", &[Field::single("a", 1, Kind::Message(MessageId(7)))], &[0])];
    for (messages, wanted) in [
        (UNSORTED, "`test.Unsorted`: field names are not strictly ascending"),
        (MISINDEXED, "`test.Index`: the number index does not list every field once, ascending"),
        (DANGLING, "`test.Dangling`: a field names a message that is not in the table"),
    ] {
        let error = Table::new(messages, &[], &[]).check().unwrap_err().to_string();
        assert!(error.contains(wanted), "{error}");
    }
}

#[test]
fn fields_are_sorted_by_name_and_zeros_left_out() {
    shows(&[], "{}");
    shows(&[text(1, ""), number(9, 0), text(12, "")], "{}");
    shows(
        &[
            text(1, "n"),
            entry(4, "b", "2"),
            entry(4, "a", "1"),
            number(9, 2),
            text(12, "\0\u{1}"),
            number(14, 0),
        ],
        r#"{"blob":"AAE=","color":"BLUE","flag":false,"labels":{"a":"1","b":"2"},"name":"n"}"#,
    );
    shows(&[number(9, 7)], r#"{"color":7}"#);
    shows(&[number(9, u64::MAX)], r#"{"color":"NONE"}"#);
}

#[test]
fn the_last_scalar_wins_and_messages_merge() {
    shows(&[text(1, "first"), text(1, "last")], r#"{"name":"last"}"#);
    shows(&[text(1, "first"), text(1, "")], "{}");
    shows(
        &[text(2, [text(1, "a"), number(8, 1)].concat()), text(2, [text(1, "b"), number(8, 2)].concat())],
        r#"{"child":{"counts":[1,2],"name":"b"}}"#,
    );
    shows(&[entry(4, "k", "1"), entry(4, "j", "0"), entry(4, "k", "2")], r#"{"labels":{"j":"0","k":"2"}}"#);
}

#[test]
fn of_a_oneof_only_the_last_member_is_shown() {
    shows(&[number(5, 1), text(7, "t")], r#"{"text":"t"}"#);
    shows(&[number(5, 0)], r#"{"number":0}"#);
    // The second `node` starts anew, since `number` had taken its place; the third merges with the second.
    let node = |name: &str, count| text(6, [text(1, name), number(8, count)].concat());
    shows(&[node("a", 1), node("b", 2)], r#"{"node":{"counts":[1,2],"name":"b"}}"#);
    shows(
        &[node("a", 1), number(5, 9), node("b", 2), node("c", 3)],
        r#"{"node":{"counts":[2,3],"name":"c"}}"#,
    );
}

#[test]
fn lists_are_read_packed_and_unpacked() {
    shows(&[number(8, 1), text(8, [2, 3]), number(8, 4)], r#"{"counts":[1,2,3,4]}"#);
    shows(&[text(8, [])], "{}");
    shows(&[text(3, []), text(3, text(1, "n"))], r#"{"list":[{},{"name":"n"}]}"#);
}

#[test]
fn map_keys_are_sorted_as_text_and_absent_halves_are_zero() {
    let by_number = |key: i64| text(13, number(1, key.cast_unsigned()));
    shows(&[by_number(10), by_number(2), by_number(-1)], r#"{"by_number":{"-1":{},"10":{},"2":{}}}"#);
    shows(&[text(13, text(2, text(1, "n")))], r#"{"by_number":{"0":{"name":"n"}}}"#);
    shows(&[text(4, []), text(4, text(1, "k"))], r#"{"labels":{"":"","k":""}}"#);
    shows(
        &[text(17, []), text(17, [number(1, 1), number(2, 9)].concat())],
        r#"{"colors":{"false":"RED","true":9}}"#,
    );
    shows(&[text(16, text(1, "k"))], r#"{"blobs":{"k":""}}"#);
    // A value that comes in two pieces within its entry is merged, too.
    let pieces = [number(1, 1), text(2, text(1, "n")), text(2, number(8, 5))].concat();
    shows(&[text(13, pieces)], r#"{"by_number":{"1":{"counts":[5],"name":"n"}}}"#);
}

#[test]
fn secrets_are_stripped_as_a_whole_at_every_level() {
    let secret = [text(10, "pw"), entry(11, "k", "v"), text(15, "a"), text(15, "b")].concat();
    let wanted = r#"{"hidden":"***stripped***","hidden_list":"***stripped***","password":"***stripped***"}"#;
    shows(std::slice::from_ref(&secret), wanted);
    shows(&[text(2, &secret), text(3, &secret)], &format!(r#"{{"child":{wanted},"list":[{wanted}]}}"#));
    shows(
        &[text(13, text(2, &secret)), text(6, &secret)],
        &format!(r#"{{"by_number":{{"0":{wanted}}},"node":{wanted}}}"#),
    );
    shows(&[text(10, "")], "{}");
}

#[test]
fn token_keys_are_stripped_in_any_map_and_any_case() {
    shows(
        &[
            entry(4, "example/tokens", "opaque"),
            entry(4, "Example/Tokens", "opaque"),
            entry(4, "example/token", "shown"),
        ],
        r#"{"labels":{"Example/Tokens":"***stripped***","example/token":"shown","example/tokens":"***stripped***"}}"#,
    );
    shows(&[entry(16, "example/tokens", "opaque")], r#"{"blobs":{"example/tokens":"***stripped***"}}"#);
}

#[test]
fn tokens_are_blanked_in_every_kind_of_text() {
    let token = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJ4In0.c2ln";
    shows(
        &[
            text(1, format!("<{token}>")),
            entry(4, token, &format!("k={token}")),
            text(7, token),
            text(12, token),
        ],
        concat!(
            r#"{"blob":"***stripped***","labels":{"***stripped***":"k=***stripped***"},"#,
            r#""name":"\u003c***stripped***\u003e","text":"***stripped***"}"#,
        ),
    );
}

#[test]
fn malformed_bytes_are_named_in_place_of_what_they_spoil() {
    shows(&[b"\x0a\x7fsecret".to_vec()], r#""***malformed***""#);
    shows(&[text(1, "n"), text(2, b"\x0a\x7fsecret")], r#"{"child":"***malformed***","name":"n"}"#);
    shows(&[text(1, "n"), text(4, b"\x0a\x7fsecret")], r#"{"labels":"***malformed***","name":"n"}"#);
    shows(&[text(3, []), text(3, b"\xff")], r#"{"list":[{},"***malformed***"]}"#);
    shows(&[text(8, b"\x01\xff")], r#""***malformed***""#);
    shows(&[text(1, b"a\xffb")], r#"{"name":"a\ufffdb"}"#);
}

#[test]
fn unknown_fields_and_other_wire_types_are_not_shown() {
    shows(&[text(99, "secret"), number(1, 5), text(5, "secret"), number(2, 1), text(14, "x")], "{}");
    shows(&[b"\x9b\x06\x0a\x01x\x9c\x06".to_vec(), text(1, "n")], r#"{"name":"n"}"#);
}

#[test]
fn nesting_ends_at_the_limit() {
    let mut wire = text(1, "innermost");
    for _ in 0..MAX_DEPTH {
        wire = text(2, wire);
    }
    let json = to_json(&TABLE, MessageId(0), &wire);
    assert!(json.contains("innermost"), "{json}");
    let json = to_json(&TABLE, MessageId(0), &text(2, &wire));
    assert!(!json.contains("innermost"), "{json}");
    assert!(json.contains(MALFORMED), "{json}");
    let mut hostile = Vec::new();
    for _ in 0..20_000 {
        hostile = text(2, hostile);
    }
    assert_eq!(to_json(&TABLE, MessageId(0), &hostile).matches("child").count(), MAX_DEPTH + 1);
}

#[test]
fn names_of_any_length_are_shown() {
    // With quotes, comma and colon, the second fills its block to the last byte, and the third does not fit.
    static NAMES: &[Message] = &[Message::new(
        "test.Names",
        &[
            Field::single("a", 1, Kind::Bool),
            Field::single("b_takes_twenty_eight_letters", 2, Kind::Bool),
            Field::single("c_takes_twenty_nine_letters__", 3, Kind::Bool),
            Field::single("d_is_longer_than_that_by_far_and_would_not_fit_twice_over", 4, Kind::String)
                .secret(),
        ],
        &[0, 1, 2, 3],
    )];
    static TABLE: Table = Table::new(NAMES, &[], &[]);
    let wire = [number(1, 1), number(2, 1), number(3, 1), text(4, "secret")].concat();
    assert_eq!(
        to_json(&TABLE, MessageId(0), &wire),
        concat!(
            r#"{"a":true,"b_takes_twenty_eight_letters":true,"c_takes_twenty_nine_letters__":true,"#,
            r#""d_is_longer_than_that_by_far_and_would_not_fit_twice_over":"***stripped***"}"#,
        )
    );
}

#[test]
fn a_map_of_texts_may_be_written_in_any_way() {
    // Value before key, key twice, a field that is none, a value twice: all of it next to entries as usual.
    let odd = text(4, [text(2, "v"), text(1, "k")].concat());
    let twice = text(4, [text(1, "x"), text(1, "k"), text(2, "w"), text(2, "last"), number(3, 1)].concat());
    let wanted = r#"{"labels":{"a":"1","k":"v"}}"#;
    shows(&[entry(4, "k", "0"), odd.clone(), entry(4, "a", "1")], wanted);
    shows(&[entry(4, "a", "1"), odd.clone()], wanted);
    shows(&[odd, entry(4, "a", "1"), twice], r#"{"labels":{"a":"1","k":"last"}}"#);
    let later = |key: &str| text(4, [text(2, "v"), text(1, key)].concat());
    shows(&[later("k"), text(4, text(2, "no key")), later("")], r#"{"labels":{"":"v","k":"v"}}"#);
    shows(&[later(""), text(4, text(2, "no key"))], r#"{"labels":{"":"no key"}}"#);
}

#[test]
fn an_id_outside_the_table_shows_nothing() {
    assert_eq!(to_json(&TABLE, MessageId(9), &text(1, "n")), "{}");
}
