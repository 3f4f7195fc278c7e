//! Go's texts row by row, and serde_json as the oracle for everything else.

use proptest::prelude::*;

use super::*;

#[test]
fn faults_read_as_go_prints_them() {
    let rows = [
        ("", "unexpected end of JSON input"),
        ("{\"apiVersion\":", "unexpected end of JSON input"),
        ("\"a", "unexpected end of JSON input"),
        ("-", "unexpected end of JSON input"),
        ("hello", "invalid character 'h' looking for beginning of value"),
        ("[1,]", "invalid character ']' looking for beginning of value"),
        ("{a", "invalid character 'a' looking for beginning of object key string"),
        ("{\"a\":1,}", "invalid character '}' looking for beginning of object key string"),
        ("{\"a\" 1}", "invalid character '1' after object key"),
        ("{\"a\":1 \"b\"}", "invalid character '\"' after object key:value pair"),
        ("[1 2]", "invalid character '2' after array element"),
        ("01", "invalid character '1' after top-level value"),
        ("{}x", "invalid character 'x' after top-level value"),
        ("-a", "invalid character 'a' in numeric literal"),
        ("1.a", "invalid character 'a' after decimal point in numeric literal"),
        ("1e+'", "invalid character '\\'' in exponent of numeric literal"),
        ("trie", "invalid character 'i' in literal true (expecting 'u')"),
        ("\"a\nb\"", "invalid character '\\n' in string literal"),
        ("\"\\x\"", "invalid character 'x' in string escape code"),
        ("\"\\u12g4\"", "invalid character 'g' in \\u hexadecimal character escape"),
        ("\u{e9}", "invalid character '\\xc3' looking for beginning of value"),
    ];
    for (text, wanted) in rows {
        assert_eq!(Node::parse(text).expect_err(text), wanted, "{text}");
    }
    let deep = "[".repeat(MAX_DEPTH + 2);
    assert_eq!(Node::parse(&deep).expect_err("too deep"), "exceeded max depth");
}

#[test]
fn repeats_numbers_and_halves_of_pairs_are_kept() {
    let Ok(Node::Object(members)) = Node::parse(r#"{"a":1.50,"a":"\ud83d\ude00\ud800x\ud800\u0041"}"#) else {
        panic!("an object");
    };
    assert_eq!(members[0], ("a".into(), Node::Number("1.50".into())));
    assert_eq!(members[1], ("a".into(), Node::String("😀\u{fffd}x\u{fffd}A".into())));
}

fn json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        (-1.0e9..1.0e9).prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::hash_map(any::<String>(), inner, 0..6)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn what_serde_writes_is_read_the_same(value in json()) {
        for text in [value.to_string(), format!("{value:#}")] {
            prop_assert_eq!(Node::parse(&text).map(|node| node.to_value()), Ok(value.clone()));
        }
        prop_assert_eq!(Node::from(&value).to_value(), value);
    }

    #[test]
    fn what_serde_refuses_is_refused(text in r#"[\[\]{}:,"truefalsn0-9.eE+\\ -]{0,12}"#) {
        let ours = Node::parse(&text);
        match serde_json::from_str::<Value>(&text) {
            Ok(_) => prop_assert!(ours.is_ok(), "{}", text),
            // serde_json alone refuses numbers that no f64 holds.
            Err(error) => prop_assert!(ours.is_err() || error.to_string().contains("number out of range"), "{}", text),
        }
    }
}
