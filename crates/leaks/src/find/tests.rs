use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use proptest::prelude::*;

use super::*;
use crate::{STRIPPED, blank, blank_bytes};

fn token_of(header: &str, claims: &str) -> String {
    let part = |text: &str| URL_SAFE_NO_PAD.encode(text);
    format!("{}.{}.{}", part(header), part(claims), part("signature?>~bytes"))
}

fn token() -> String {
    let claims = r#"{"aud":["vault"],"kubernetes.io":{"namespace":"a"},"sub":"system:serviceaccount:a:b"}"#;
    token_of(r#"{"alg":"RS256","kid":"Zm9v_-"}"#, claims)
}

#[test]
fn tokens_are_found_however_they_are_written() {
    let token = token();
    let escaped = |from: &str, to: &str| token.replace(from, to);
    for (written, before, after) in [
        (token.clone(), "", ""),
        (token.clone(), "Authorization: Bearer ", "\r\n"),
        (token.clone(), r#"{"token":""#, r#""}"#),
        (token.clone(), r#"{\"token\":\""#, r#"\"}"#),
        (token.clone(), "?id_token=", "&state=x"),
        (token.clone(), "ä", "ä"),
        (escaped(".", "%2E"), "?t=", "&u"),
        (escaped(".", "%2e").replace('_', "%5F"), "?t=", " "),
        (escaped(".", "\\u002e").replace('-', "\\u002d"), "\"", "\""),
        (token_of("{ \"alg\" : \"ES256\" }", "{}"), "a ", "."),
        (token_of("{\n\"alg\":\"ES256\"}", "{}"), "a ", " b"),
        (token_of("{\t\"typ\":\"JWT\",\"alg\":\"none\"}", "{}"), "a ", " b"),
        // An empty signature.
        (token_of(r#"{"alg":"none"}"#, "{}").rsplit_once('.').unwrap().0.to_owned() + ".", "a ", " b"),
        // Five parts: encrypted.
        (format!("{}.xxx.yyy", token_of(r#"{"alg":"dir","enc":"A128GCM"}"#, "key")), "a ", " b"),
    ] {
        let text = format!("{before}{written}{after}");
        assert_eq!(blank(&text), format!("{before}{STRIPPED}{after}"), "{text}");
        assert_eq!(blank_bytes(text.as_bytes()), blank(&text).as_bytes());
        let found: Vec<Found> = find(text.as_bytes()).collect();
        assert_eq!((found.len(), found[0].spelling), (1, Spelling::Plain));
    }
}

#[test]
fn what_is_no_token_stays() {
    let token = token();
    let [header, claims, signature] = token.split('.').collect::<Vec<_>>()[..] else { panic!("{token}") };
    for text in [
        "",
        "eyJ",
        "a version 1.2.3, www.example.com",
        header,
        &format!("{header}.{claims}"),
        &format!("{header}..{signature}"),
        // A header without an algorithm, one that is none, and none that is JSON.
        &token_of(r#"{"typ":"JWT"}"#, "{}"),
        &token_of(r#"{"alg":5}"#, "{}"),
        &token_of(r#"{"alg":"RS256""#, "{}"),
        "eyJust.another.word",
        // Base64 of it is no token either.
        &STANDARD.encode(token_of(r#"{"typ":"JWT"}"#, "{}")),
        &STANDARD.encode(header),
    ] {
        assert_eq!(blank(text), text);
        assert!(matches!(blank(text), std::borrow::Cow::Borrowed(_)));
    }
}

#[test]
fn whose_a_token_is() {
    for (claims, wanted) in [
        (r#"{"sub":"system:serviceaccount:a:b"}"#, true),
        (r#"{"kubernetes.io":{"namespace":"a"}}"#, true),
        (r#"{"sub":"somebody"}"#, false),
        ("no json", false),
    ] {
        let text = token_of(r#"{"alg":"RS256"}"#, claims);
        assert_eq!(find(text.as_bytes()).next().unwrap().is_service_account, wanted, "{claims}");
    }
}

#[test]
fn base64_hides_no_token_at_any_offset() {
    let token = token();
    for before in ["", "a", "ab", "abc", "{\"vault\":{\"token\":\"", "?~"] {
        for after in ["", "\"}", "\n"] {
            let text = format!("data: {} end", STANDARD.encode(format!("{before}{token}{after}")));
            let clean = blank(&text);
            assert!(clean.contains(STRIPPED), "{before:?} {after:?}: {clean}");
            let found: Vec<Found> = find(text.as_bytes()).collect();
            assert_eq!((found.len(), found[0].spelling), (1, Spelling::Base64), "{before:?} {after:?}");
            // Of what is left, nothing decodes to more than the two letters of the token that share a group with others.
            for part in token.split('.') {
                assert!(!clean.contains(&STANDARD.encode(part)[..8]), "{clean}");
            }
            assert!(clean.starts_with("data: ") && clean.ends_with(" end"), "{clean}");
        }
    }
}

#[test]
fn a_prefix_that_sticks_to_a_token_hides_nothing() {
    let token = token();
    for prefix in ["key_", "eyJ", "eyJeyJ", "ZXlK", "eyJhbGciOiJ", "abcV5S"] {
        let text = format!("{prefix}{token} x");
        assert!(!blank(&text).contains(&token), "{text}");
    }
}

#[test]
fn many_beginnings_take_one_pass() {
    // Quadratic work over these would not end today.
    for unit in
        ["eyJ", "ZXlK", "GV5S", "leU", "eyJ.", "ZXlKLg", "eyJhbGciOiJSUzI1NiJ9.", "eyJhbGciOiJSUzI1NiJ9.eyJ"]
    {
        let text = unit.repeat((1 << 18) / unit.len());
        let _ = find(text.as_bytes()).count();
    }
}

/// Every start, and nothing clever.
fn naive(text: &str) -> bool {
    let bytes = text.as_bytes();
    (0..bytes.len()).any(|start| {
        let rest = &text[start..];
        let parts: Vec<&str> = rest
            .split('.')
            .map(|part| {
                let end = part.find(|c: char| !(c.is_ascii_alphanumeric() || c == '-' || c == '_'));
                &part[..end.unwrap_or(part.len())]
            })
            .collect();
        // Each of the first two reaches its dot.
        let reaches = |index: usize| rest.split('.').nth(index).is_some_and(|whole| whole == parts[index]);
        parts.len() >= 3
            && reaches(0)
            && reaches(1)
            && !parts[1].is_empty()
            && rest.starts_with('e')
            && crate::header::is_header(parts[0].as_bytes())
    })
}

proptest! {
    #[test]
    fn no_token_survives_wherever_it_stands(
        before in ".{0,40}",
        after in "([^A-Za-z0-9_.%\\\\-].{0,40})?",
        kid in "[a-zA-Z0-9_-]{0,60}",
        claims in ".{1,200}",
    ) {
        let token = token_of(&format!(r#"{{"alg":"RS256","kid":"{kid}"}}"#), &claims);
        let clean = blank(&format!("{before}{token}{after}")).into_owned();
        prop_assert!(!clean.contains(&token), "{clean}");
        prop_assert!(clean.contains(STRIPPED));
        prop_assert!(clean.ends_with(&after));
        let inside = STANDARD.encode(format!("{before}{token}{after}"));
        prop_assert!(find(inside.as_bytes()).any(|found| found.spelling == Spelling::Base64), "{inside}");
    }

    #[test]
    fn the_search_agrees_with_a_naive_one(text in "(eyJ|hbGciOiJSUzI1NiJ9|[a-zA-Z0-9._-]|eyJhbGciOiJSUzI1NiJ9\\.e30|\\.){0,20}") {
        let plain = find(text.as_bytes()).any(|found| found.spelling == Spelling::Plain);
        prop_assert_eq!(plain, naive(&text), "{}", text);
    }

    #[test]
    fn any_bytes_are_looked_through_and_places_are_in_order(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let mut last = 0;
        for found in find(&bytes) {
            prop_assert!(found.range.start >= last && found.range.end > found.range.start);
            last = found.range.end;
        }
        prop_assert!(last <= bytes.len());
    }
}
