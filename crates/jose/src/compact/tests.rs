use proptest::prelude::*;

use super::*;

fn encoded(header: &str, payload: &str) -> String {
    format!("{}.{}.c2ln", encode_segment(header.as_bytes()), encode_segment(payload.as_bytes()))
}

#[test]
fn header_has_exactly_alg_and_kid_in_that_order() {
    let header = Header { alg: "RS256".into(), kid: Some("k".into()) };
    let text = signing_input(&header, &Claims::default());
    let first = text.split('.').next().unwrap();
    assert_eq!(decode_base64url(first).unwrap(), br#"{"alg":"RS256","kid":"k"}"#);
}

#[test]
fn header_is_read_strictly() {
    let read = |header: &str| CompactJws::parse(&encoded(header, "{}")).unwrap().header();
    let ok = read(r#"{"kid":"k","typ":"JWT","alg":"ES256"}"#).unwrap();
    assert_eq!(ok, Header { alg: "ES256".into(), kid: Some("k".into()) });
    assert_eq!(read(r#"{"alg":"ES256","kid":""}"#).unwrap().kid, None);
    assert_eq!(read(r#"{"alg":"ES256","crit":["b64"],"b64":false}"#), Err(JwsError::Critical));
    for bad in ["{}", r#"{"alg":1}"#, r#"{"alg":"a","alg":"b"}"#, "[]", r#"{"alg":"a"} x"#] {
        assert!(matches!(read(bad), Err(JwsError::Json { part: JwsPart::Header, .. })), "{bad}");
    }
}

#[test]
fn shape_errors_name_what_was_found() {
    let parse = |text: &str| CompactJws::parse(text).map(|_| ()).unwrap_err();
    assert_eq!(parse(""), JwsError::Segments(1));
    assert_eq!(parse("a.b"), JwsError::Segments(2));
    assert_eq!(parse("a.b.c.d"), JwsError::Segments(4));
    assert_eq!(parse("a..c"), JwsError::Empty(JwsPart::Payload));
    assert_eq!(parse("a.b."), JwsError::Empty(JwsPart::Signature));
    assert_eq!(parse(&"a".repeat(MAX_JWS_LEN + 1)), JwsError::TooLong(MAX_JWS_LEN + 1));
    assert_eq!(parse(&format!("{}.b.c", "a".repeat(5000))), JwsError::TooLong(5000));
    assert_eq!(peek_claims("e30.e30=.c2ln"), Err(JwsError::Base64(JwsPart::Payload)));
    assert_eq!(peek_claims("e30.e3 .c2ln"), Err(JwsError::Base64(JwsPart::Payload)));
}

#[test]
fn errors_never_quote_the_payload() {
    let canary = "eyJcanary";
    for payload in [
        format!(r#""{canary}""#),
        format!(r#"{{"sub":["{canary}"]}}"#),
        format!(r#"{{"exp":"{canary}"}}"#),
        format!(r#"{{"aud":{{"{canary}":1}}}}"#),
        format!(r#"{{"kubernetes.io":"{canary}"}}"#),
        format!(r#"{{"sub":"{canary}"#),
        format!(r#"{{}} {canary}"#),
    ] {
        let error = peek_claims(&encoded("{}", &payload)).unwrap_err();
        assert!(!format!("{error} {error:?}").contains("canary"), "{error}");
    }
}

#[test]
fn shape_check_agrees_with_what_tokens_look_like() {
    let token = encoded(r#"{"alg":"ES256"}"#, r#"{"sub":"s"}"#);
    assert!(looks_like_compact_jws(&token));
    assert!(looks_like_compact_jws(&encoded("{\n}", "{ }")));
    for other in
        ["", "a.b.c", "example.com", "1.2.3", "v1.35.0", "eyJ.eyJ.", "eyJ.abc.sig", &format!("{token}.x")]
    {
        assert!(!looks_like_compact_jws(other), "{other}");
    }
    assert!(!looks_like_compact_jws(&format!("{token} ")));
}

proptest! {
    #[test]
    fn never_panics(text in "[ -~.]{0,200}") {
        let _ = peek_claims(&text);
        let _ = CompactJws::parse(&text).map(|jws| (jws.header(), jws.signature()));
        let _ = looks_like_compact_jws(&text);
    }

    #[test]
    fn what_is_written_is_read_back(alg in "[A-Z0-9]{1,8}", kid in ".{1,30}", sub in ".{0,40}", exp: i64,
                                    aud in proptest::collection::vec(".{0,10}", 0..3)) {
        let header = Header { alg, kid: Some(kid) };
        let claims = Claims { sub, exp: Some(exp), aud: aud.into_iter().collect(), ..Claims::default() };
        let text = format!("{}.c2ln", signing_input(&header, &claims));
        let jws = CompactJws::parse(&text).unwrap();
        prop_assert_eq!(jws.header().unwrap(), header);
        prop_assert_eq!(jws.unverified_claims().unwrap(), claims);
        prop_assert_eq!(jws.signature().unwrap(), b"sig");
        prop_assert!(text.starts_with(jws.signing_input()));
        prop_assert!(looks_like_compact_jws(&text));
    }
}
