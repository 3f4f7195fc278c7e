use std::collections::BTreeMap;

use jiff::Timestamp;
use proptest::prelude::*;

use crate::{Audience, Token, TokenEntry, TokenMap};

fn map(entries: &[(&str, &str, Option<i64>)]) -> TokenMap {
    entries
        .iter()
        .map(|(audience, token, seconds)| {
            let expires = seconds.map(|seconds| Timestamp::from_second(seconds).unwrap());
            (Audience::new(*audience), TokenEntry { token: Token::new((*token).into()), expires })
        })
        .collect()
}

fn written(entries: &[(&str, &str, Option<i64>)]) -> String {
    map(entries).to_value().expose_value().to_owned()
}

#[test]
fn upstreams_golden_text() {
    assert_eq!(
        written(&[("gcp", "test-ns:test-service-account:3600:[gcp]", Some(1))]),
        r#"{"gcp":{"token":"test-ns:test-service-account:3600:[gcp]","expirationTimestamp":"1970-01-01T00:00:01Z"}}"#
    );
    assert_eq!(
        written(&[("vault", "token-for-vault-3600", Some(1_800_000_000))]),
        r#"{"vault":{"token":"token-for-vault-3600","expirationTimestamp":"2027-01-15T08:00:00Z"}}"#
    );
}

#[test]
fn audiences_are_sorted_bytewise() {
    let text = written(&[
        ("é", "4", None),
        ("b", "3", None),
        ("B", "2", None),
        ("", "1", None),
        ("\u{10000}", "6", None),
        ("\u{ffff}", "5", None),
    ]);
    let tokens = text.matches(|char: char| char.is_ascii_digit()).collect::<String>().replace("10000", "");
    assert_eq!(tokens, "123456");
}

#[test]
fn strings_are_escaped_as_go_does() {
    let text = written(&[("<>&\u{2028}\u{2029}\"\\/", "\u{8}\u{c}\n\r\t\u{0}\u{1f}\u{7f}é\u{1f600}'", None)]);
    assert_eq!(
        text,
        concat!(
            r#"{"\u003c\u003e\u0026\u2028\u2029\"\\/":{"token":"\b\f\n\r\t\u0000\u001f"#,
            "\u{7f}é\u{1f600}'",
            r#"","expirationTimestamp":null}}"#
        )
    );
}

#[test]
fn times_are_whole_seconds_in_utc() {
    let entry = |nanosecond: i128| TokenEntry {
        token: Token::new("t".into()),
        expires: Some(Timestamp::from_nanosecond(nanosecond).unwrap()),
    };
    for (nanosecond, text) in [
        (1_999_999_999, "1970-01-01T00:00:01Z"),
        (-1, "1969-12-31T23:59:59Z"),
        (253_402_207_199_000_000_000, "9999-12-30T21:59:59Z"),
    ] {
        let map = [(Audience::new("a"), entry(nanosecond))].into_iter().collect::<TokenMap>();
        assert!(
            map.to_value().expose_value().contains(&format!(r#""expirationTimestamp":"{text}""#)),
            "{text}"
        );
    }
}

#[test]
fn no_tokens_are_an_empty_object() {
    assert_eq!(written(&[]), "{}");
}

fn any_map() -> impl Strategy<Value = TokenMap> {
    // Years 0 to 9999, which is what RFC 3339 can say.
    let entry = (any::<String>(), proptest::option::of(-62_135_596_800i64..=253_402_207_200));
    proptest::collection::btree_map(any::<String>(), entry, 0..5).prop_map(|entries: BTreeMap<_, _>| {
        let entry = |(token, seconds): (String, Option<i64>)| TokenEntry {
            token: Token::new(token),
            expires: seconds.map(|seconds| Timestamp::from_second(seconds).unwrap()),
        };
        entries.into_iter().map(|(audience, found)| (Audience::new(audience), entry(found))).collect()
    })
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(map in any_map()) {
        let value = map.to_value();
        prop_assert_eq!(TokenMap::parse(value.expose_value()).unwrap(), map);
    }

    #[test]
    fn an_independent_reader_agrees(map in any_map()) {
        let value: serde_json::Value = serde_json::from_str(map.to_value().expose_value()).unwrap();
        prop_assert_eq!(value.as_object().unwrap().len(), map.len());
        for (audience, entry) in &map {
            prop_assert_eq!(value[audience.as_str()]["token"].as_str().unwrap(), entry.token.expose_token());
        }
    }

    #[test]
    fn the_room_was_right_from_the_start(map in any_map()) {
        let value = map.to_value();
        let size = map.iter().map(|(audience, entry)| {
            super::escaped_len(audience.as_str()) + super::escaped_len(entry.token.expose_token())
                + super::ENTRY_LEN + super::TIMESTAMP_LEN
        }).sum::<usize>() + 2;
        prop_assert!(value.expose_value().len() <= size);
    }

    #[test]
    fn reading_never_panics(text in "\\PC{0,80}", json in "[{}\\[\\]\":,a-z0-9\\\\ ]{0,60}") {
        let _ = TokenMap::parse(&text);
        let _ = TokenMap::parse(&json);
    }
}
