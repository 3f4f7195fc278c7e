use proptest::prelude::*;
use tokenward_sanitize::STRIPPED;
use tokenward_tokens::{Audience, Token, TokenEntry};
use tonic::Code;

use super::*;

const TOKEN: &str = "eyJhbGciOiJSUzI1NiJ9.eyJhdWQiOlsidmF1bHQiXX0.c2lnbmF0dXJl";

fn map(key: &str, value: &str) -> BTreeMap<String, String> {
    BTreeMap::from([(key.to_owned(), value.to_owned())])
}

#[test]
fn a_status_keeps_its_code_and_loses_secrets_details_and_metadata() {
    let value = r#"{"vault":{"token":"opaque","expirationTimestamp":"2026-01-01T00:00:00Z"}}"#;
    let mut secrets = map("password", "correct horse");
    secrets.insert("mode".to_owned(), "on".to_owned());
    let scrubber = Scrubber::of(&secrets, &map(TOKENS_KEY, value));
    let mut status = Status::with_details(
        Code::NotFound,
        format!("on: `opaque` and correct horse, {value}, {TOKEN}"),
        "opaque".into(),
    );
    status.metadata_mut().insert("token", "opaque".parse().unwrap());
    let clean = scrubber.clean(&status);
    assert_eq!(clean.code(), Code::NotFound);
    let stripped = STRIPPED;
    let shown = value.replace("opaque", stripped);
    assert_eq!(clean.message(), format!("on: `{stripped}` and {stripped}, {shown}, {stripped}"));
    assert!(clean.details().is_empty() && clean.metadata().is_empty());
}

#[test]
fn a_token_of_another_request_in_base64_is_no_answer_either() {
    let hidden = "ZXlKaGJHY2lPaUpTVXpJMU5pSjkuZXlKaGRXUWlPbHNpZG1GMWJIUWlYWDAuYzJsbmJtRjBkWEps";
    let clean = Scrubber::default().clean_text(&format!("cannot use {hidden} and {TOKEN}"));
    assert_eq!(clean, format!("cannot use {STRIPPED} and {STRIPPED}"));
}

#[test]
fn a_token_that_is_half_known_is_blanked_whole() {
    let common = "eyJhbGciOiJSUzI1NiIsImtpZCI6IjEyMyJ9.eyJhdWQiOlsidmF1bHQiXSwiZXhwIjox";
    let value = format!(
        r#"{{"vault":{{"token":"{common}NzAwfQ.c2lnbmF0dXJl","expirationTimestamp":"2026-01-01T00:00:00Z"}}}}"#
    );
    let scrubber = Scrubber::of(&map(TOKENS_KEY, &value), &BTreeMap::new());
    let other = format!("{common}ODAwfQ.b3RoZXItc2lnbmF0dXJl");
    let in_url = other.replace('.', "%2E");
    assert_eq!(scrubber.clean_text(&format!("{other}, {in_url}")), format!("{STRIPPED}, {STRIPPED}"));
}

/// The audience and the time are what an operator has to read.
#[test]
fn what_stands_beside_a_token_is_no_secret() {
    let value = r#"{"sts.amazonaws.com":{"token":"opaque","expirationTimestamp":"2026-01-01T00:00:00Z"}}"#;
    let scrubber = Scrubber::of(&map(TOKENS_KEY, value), &BTreeMap::new());
    let text = "the token for `sts.amazonaws.com` expired at 2026-01-01T00:00:00Z";
    assert_eq!(scrubber.clean_text(text), text);
}

#[test]
fn the_pieces_of_an_unreadable_value_are_secret_too() {
    for value in [
        r#"{"vault":"tok-0123456789abcdef"}"#,
        "{\"vault\": {\"token\": \"tok-0123456789abcdef",
        "tok-0123456789abcdef",
    ] {
        let scrubber = Scrubber::of(&map(TOKENS_KEY, value), &BTreeMap::new());
        let clean = scrubber.clean_text(r#"invalid type: string "tok-0123456789abcdef", expected struct"#);
        // What stands around the token in the value that was sent may go with it.
        assert!(clean.starts_with("invalid type: string") && clean.ends_with(", expected struct"), "{clean}");
        assert!(clean.contains(STRIPPED) && !clean.contains("tok-") && !clean.contains("cdef"), "{clean}");
    }
}

proptest! {
    #[test]
    fn no_token_survives_wherever_it_stands(before in any::<String>(), after in any::<String>(), token in "[!-~]{12,40}") {
        let mut tokens = TokenMap::new();
        tokens.insert(Audience::new("a"), TokenEntry { token: Token::new(token.clone()), expires: None });
        let scrubber = Scrubber::of(&map(TOKENS_KEY, tokens.to_value().expose_value()), &BTreeMap::new());
        let clean = scrubber.clean_text(&format!("{before}{token}{after}"));
        prop_assert!(!clean.contains(&token));
    }
}
