use jiff::Timestamp;
use tokenward_jose::JsonErrorKind;

use super::*;

fn parsed(text: &str) -> TokenMap {
    TokenMap::parse(text).unwrap()
}

fn token(text: &str, audience: &str) -> String {
    parsed(text).get(audience).unwrap().token.expose_token().to_owned()
}

fn refused(text: &str) -> JsonError {
    TokenMap::parse(text).unwrap_err().0
}

#[test]
fn what_the_kubelet_writes() {
    let map = parsed(
        r#"{"gcp":{"token":"a","expirationTimestamp":"1970-01-01T00:00:01Z"},"":{"token":"b","expirationTimestamp":null}}"#,
    );
    let entries = map.iter().map(|(audience, entry)| (audience.as_str(), entry.clone())).collect::<Vec<_>>();
    let entry = |token: &str, seconds: Option<i64>| TokenEntry {
        token: Token::new(token.into()),
        expires: seconds.map(|seconds| Timestamp::from_second(seconds).unwrap()),
    };
    assert_eq!(entries, [("", entry("b", None)), ("gcp", entry("a", Some(1)))]);
}

#[test]
fn member_names_match_in_any_case() {
    let map = parsed("{\"a\":{\"TOKEN\":\"t\",\"expirationtimeſtamp\":\"1970-01-01T00:00:01Z\"}}");
    assert_eq!(map.get("a").unwrap().token.expose_token(), "t");
    assert_eq!(map.get("a").unwrap().expires.unwrap().as_second(), 1);
    assert_eq!(token("{\"a\":{\"to\u{212a}en\":\"t\"}}", "a"), "t");
    assert_eq!(token(r#"{"a":{"to\u006ben":"t"}}"#, "a"), "t");
    // Audiences do not.
    assert!(parsed(r#"{"A":{"token":"t"}}"#).get("a").is_none());
}

#[test]
fn unknown_members_are_ignored() {
    let text = r#"{"a":{"expiry":{"deep":[1,{"x":"y"}]},"token":"t","tokens":"no","n":1.5e3,"b":true}}"#;
    assert_eq!(token(text, "a"), "t");
}

#[test]
fn null_is_nothing() {
    assert!(parsed("null").is_empty());
    assert!(parsed("{}").is_empty());
    assert_eq!(token(r#"{"a":null}"#, "a"), "");
    assert_eq!(token(r#"{"a":{}}"#, "a"), "");
    assert_eq!(token(r#"{"a":{"token":null,"expirationTimestamp":null}}"#, "a"), "");
    assert_eq!(token(r#"{"a":{"token":"t","token":null}}"#, "a"), "t");
}

#[test]
fn the_last_duplicate_wins() {
    assert_eq!(token(r#"{"a":{"token":"1","Token":"2"}}"#, "a"), "2");
    let map = parsed(r#"{"a":{"token":"1","expirationTimestamp":"1970-01-01T00:00:01Z"},"a":{"token":"2"}}"#);
    assert_eq!(map.len(), 1);
    assert_eq!(map.get("a").unwrap(), &TokenEntry { token: Token::new("2".into()), expires: None });
}

#[test]
fn white_space_around_is_fine_and_nothing_else_is() {
    assert_eq!(token(" \t\r\n{ \"a\" : {\"token\" :\"t\"} }\n", "a"), "t");
    assert_eq!(refused("").kind, JsonErrorKind::Incomplete);
    assert_eq!(refused("  ").kind, JsonErrorKind::Incomplete);
    for bad in ["\u{feff}{}", "{} x", "{}{}", "{}\0", "{'a':1}", r#"{"a":{"token":"t"},}"#, "\u{a0}{}"] {
        assert_eq!(refused(bad).kind, JsonErrorKind::Syntax, "{bad:?}");
    }
}

#[test]
fn other_shapes_are_refused() {
    for bad in [
        "[]",
        "1",
        "true",
        r#""{}""#,
        r#"{"a":"t"}"#,
        r#"{"a":[]}"#,
        r#"{"a":1}"#,
        r#"{"a":{"token":1}}"#,
        r#"{"a":{"token":{}}}"#,
        r#"{"a":{"token":["t"]}}"#,
        r#"{"a":{"expirationTimestamp":1}}"#,
    ] {
        assert_eq!(refused(bad).kind, JsonErrorKind::Shape, "{bad}");
    }
}

#[test]
fn an_expiry_that_is_no_time_is_no_expiry() {
    for (text, seconds) in [
        ("1970-01-01T00:00:01Z", Some(1)),
        ("1970-01-01T01:00:01+01:00", Some(1)),
        ("1970-01-01T00:00:01.9Z", Some(1)),
        ("bar", None),
        ("", None),
        ("1970-01-01", None),
        ("2023-02-30T00:00:00Z", None),
    ] {
        let map = parsed(&format!(r#"{{"a":{{"token":"t","expirationTimestamp":"{text}"}}}}"#));
        let entry = map.get("a").unwrap();
        assert_eq!(entry.expires.map(Timestamp::as_second), seconds, "{text}");
        assert_eq!(entry.token.expose_token(), "t");
    }
}

#[test]
fn errors_say_where() {
    let error = refused("{\n  \"a\": \"t\"\n}");
    assert_eq!((error.kind, error.line), (JsonErrorKind::Shape, 2));
    assert!(error.column > 0);
    assert!(TokenMap::parse("[").unwrap_err().to_string().contains("line 1 column 1"));
}

/// `serde_json` quotes what it refuses: a token in any wrong place must not come out of our error.
#[test]
fn errors_never_quote_the_input() {
    let canary = "eyJhbGciOiJub25lIn0.canary.c2ln";
    let quoted = format!(r#""{canary}""#);
    let positions = [
        canary.to_owned(),
        quoted.clone(),
        format!("[{quoted}]"),
        format!("{{{quoted}}}"),
        format!("{{{quoted}:1}}"),
        format!("{{{canary}:1}}"),
        format!(r#"{{"a":{quoted}}}"#),
        format!(r#"{{"a":{canary}}}"#),
        format!(r#"{{"a":[{quoted}]}}"#),
        format!(r#"{{"a":{{{quoted}}}}}"#),
        format!(r#"{{"a":{{{quoted}:}}}}"#),
        format!(r#"{{"a":{{"token":[{quoted}]}}}}"#),
        format!(r#"{{"a":{{"token":{{{quoted}:1}}}}}}"#),
        format!(r#"{{"a":{{"token":{canary}}}}}"#),
        format!(r#"{{"a":{{"token":"{canary}}}}}"#),
        format!(r#"{{"a":{{"token":"{canary}\q"}}}}"#),
        format!("{{\"a\":{{\"token\":\"{canary}\n\"}}}}"),
        format!(r#"{{"a":{{"token":{quoted} {quoted}}}}}"#),
        format!(r#"{{"a":{{"expirationTimestamp":[{quoted}]}}}}"#),
        format!(r#"{{"a":{{"other":{canary}}}}}"#),
        format!(r#"{{"a":{{"token":{quoted}}}}} {canary}"#),
        format!(r#"{{"a":{{"token":{quoted}}}}},"#),
        format!("\"{{\\\"a\\\":{{\\\"token\\\":\\\"{canary}\\\"}}}}\""),
    ];
    for text in positions {
        let error = TokenMap::parse(&text).expect_err(&text);
        let shown = format!("{error} {error:?} {error:#?}");
        for piece in ["eyJ", "canary", "c2ln"] {
            assert!(!shown.contains(piece), "{shown}");
        }
        assert!(std::error::Error::source(&error).is_none());
    }
}
