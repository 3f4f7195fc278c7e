use super::*;

const READABLE: &str = r#"{"vault":{"token":"canary-secret","expirationTimestamp":"2026-01-01T00:00:00Z"}}"#;
const OTHER: &str = r#"{"vault":{"token":"canary-context","expirationTimestamp":"2026-01-01T00:00:00Z"}}"#;

fn request(secret: Option<&str>, context: Option<&str>) -> NodePublishVolumeRequest {
    let mut request = NodePublishVolumeRequest::default();
    for (map, value) in [(&mut request.secrets, secret), (&mut request.volume_context, context)] {
        map.insert("other".to_owned(), "kept".to_owned());
        map.extend(value.map(|value| (TOKENS_KEY.to_owned(), value.to_owned())));
    }
    request
}

/// The token that was found, or the first word that tells the error.
fn outcome(request: &mut NodePublishVolumeRequest, read: ReadFrom) -> String {
    match required_tokens_from_publish(request, read) {
        Ok(found) => {
            format!("{}: {}", found.placement, found.for_audience("vault").unwrap().token.expose_token())
        }
        Err(TokensError::Missing { .. }) => "missing".to_owned(),
        Err(TokensError::Unusable { placement, .. }) => format!("{placement}: unusable"),
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn where_tokens_are_found_and_that_both_maps_lose_them() {
    let (new, old) = (ReadFrom::SecretsThenVolumeContext, ReadFrom::VolumeContextOnly);
    let table = [
        (new, Some(READABLE), None, "secrets: canary-secret"),
        (new, None, Some(OTHER), "volume_context: canary-context"),
        (new, Some(READABLE), Some(OTHER), "secrets: canary-secret"),
        (new, Some(""), Some(OTHER), "secrets: unusable"),
        (new, Some("{"), Some(OTHER), "secrets: unusable"),
        (new, Some("{}"), Some(OTHER), "missing"),
        (new, None, Some("canary"), "volume_context: unusable"),
        (new, None, None, "missing"),
        (old, Some(READABLE), None, "missing"),
        (old, Some(READABLE), Some(OTHER), "volume_context: canary-context"),
        (old, Some("{"), Some(OTHER), "volume_context: canary-context"),
        (old, None, None, "missing"),
    ];
    for (read, secret, context, expected) in table {
        let mut request = request(secret, context);
        let presence = KeyPresence { secrets: secret.is_some(), volume_context: context.is_some() };
        assert_eq!(KeyPresence::of(&request), presence);
        assert_eq!(outcome(&mut request, read), expected, "{read}, {secret:?}, {context:?}");
        assert_eq!(KeyPresence::of(&request), KeyPresence::default());
        assert_eq!((request.secrets.len(), request.volume_context.len()), (1, 1), "nothing else is taken");
    }
}

#[test]
fn errors_are_not_final_and_name_the_causes_and_no_token() {
    let missing = |read| TokensError::Missing { read };
    let unusable = tokens_from_publish(
        &mut request(Some(r#"{"vault":"canary"}"#), None),
        ReadFrom::SecretsThenVolumeContext,
    );
    let found = tokens_from_publish(&mut request(Some(r#"{"vault":{}}"#), None), ReadFrom::default())
        .unwrap()
        .unwrap();
    let errors = [
        (missing(ReadFrom::SecretsThenVolumeContext), ["tokenRequests", "serviceAccountTokenInSecrets"]),
        (missing(ReadFrom::VolumeContextOnly), ["tokenRequests", "serviceAccountTokenInSecrets"]),
        (unusable.unwrap_err(), ["secrets", "line 1"]),
        (found.for_audience("vault").unwrap_err(), ["`vault`", "tokenRequests"]),
        (found.for_audience("absent").unwrap_err(), ["`absent`", "tokenRequests"]),
    ];
    for (error, words) in errors {
        let status = Status::from(error);
        assert_eq!(status.code(), Code::Unavailable);
        for word in words {
            assert!(status.message().contains(word), "{word}: {}", status.message());
        }
        assert!(!status.message().contains("canary"), "{}", status.message());
    }
}

#[test]
fn expiry_is_looked_at_by_whoever_uses_the_token_now() {
    let at = |text: &str| -> Timestamp { text.parse().unwrap() };
    let value = r#"{"a":{"token":"canary","expirationTimestamp":"2026-01-01T00:00:00Z"},
        "b":{"token":"canary","expirationTimestamp":"2026-01-01T00:10:00Z"},
        "c":{"token":"canary","expirationTimestamp":"bar"},"d":{"token":"canary"}}"#;
    let set = TokenSet::from_request(&mut request(Some(value), None)).unwrap();
    assert_eq!(set.earliest_expiry(), Some(at("2026-01-01T00:00:00Z")));
    assert_eq!(set.audiences().map(Audience::as_str).collect::<Vec<_>>(), ["a", "b", "c", "d"]);
    let table = [
        ("a", "2025-12-31T23:59:59Z", true),
        ("a", "2026-01-01T00:00:01Z", false),
        ("b", "2026-01-01T00:00:01Z", true),
        ("c", "2036-01-01T00:00:00Z", true),
        ("d", "2036-01-01T00:00:00Z", true),
    ];
    for (audience, now, usable) in table {
        assert_eq!(set.unexpired(audience, at(now)).is_ok(), usable, "{audience} at {now}");
    }
    let status = Status::from(set.unexpired("a", at("2026-02-01T00:00:00Z")).unwrap_err());
    assert_eq!(status.code(), Code::Unavailable);
    for word in ["`a`", "2026-01-01T00:00:00Z", "kubelet", "clock"] {
        assert!(status.message().contains(word), "{word}: {}", status.message());
    }
    assert!(matches!(set.unexpired("e", Timestamp::UNIX_EPOCH), Err(TokensError::AudienceMissing { .. })));
}

#[test]
fn read_from_is_written_as_it_is_read() {
    for read in [ReadFrom::SecretsThenVolumeContext, ReadFrom::VolumeContextOnly] {
        assert_eq!(read.to_string().parse(), Ok(read));
    }
    assert_eq!("both".parse::<ReadFrom>(), Err(ReadFromError));
}
