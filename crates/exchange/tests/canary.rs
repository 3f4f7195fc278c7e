//! A canary in everything that comes in: whatever a server answers, no error and no `Debug` shows a token or a credential.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use proptest::prelude::*;
use tokenward_exchange::tokens::Token;
use tokenward_exchange::{Answer, Endpoint, Exchange, JwtLogin, SessionName, TokenExchange, WebIdentity};

/// What is sent.
const SENT: &str =
    "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJzZW50LWM0bjRyeSJ9.sentc4n4rysentc4n4rysentc4n4rysentc4n4ry";
/// What comes back.
const ISSUED: &str = "issuedC4N4RYissuedC4N4RYissuedC4N4RYissuedC4N4RY";

fn exchanges() -> [Box<dyn Exchange>; 3] {
    let endpoint = || Endpoint::parse("https://sts.example/").unwrap();
    [
        Box::new(TokenExchange::new(endpoint()).requested_token_type("urn:wanted").unwrap()),
        Box::new(
            WebIdentity::new(
                endpoint(),
                "arn:aws:iam::123456789012:role/shop",
                SessionName::parse("apps.shop").unwrap(),
            )
            .unwrap(),
        ),
        Box::new(JwtLogin::new(endpoint(), "shop").unwrap()),
    ]
}

/// Bodies of the three protocols, good and bad, with holes for whatever a server puts there.
fn body() -> impl Strategy<Value = String> {
    let value = prop_oneof![
        Just(SENT.to_owned()),
        Just(ISSUED.to_owned()),
        Just(format!("before {SENT}")),
        Just(format!("{ISSUED}\\n{SENT}")),
        (0_usize..60).prop_map(|from| SENT[from..].to_owned()),
        Just("60".to_owned()),
        "\\PC{0,12}",
    ];
    let template = prop_oneof![
        Just(r#"{"access_token":"1","issued_token_type":"2","token_type":"Bearer","expires_in":3}"#),
        Just(r#"{"access_token":"1","issued_token_type":"urn:wanted","token_type":"2"}"#),
        Just(
            r#"{"access_token":"1","issued_token_type":"urn:wanted","token_type":"Bearer","expires_in":"2"}"#
        ),
        Just(r#"{"access_token":1,"error":"2","error_description":"3"}"#),
        Just(r#"{"error":"1","error_description":"2","3":"3"}"#),
        Just(r#"{"auth":{"client_token":"1","lease_duration":2}}"#),
        Just(r#"{"auth":{"client_token":"1","lease_duration":60}}"#),
        Just(r#"{"auth":"1","errors":["2","3"]}"#),
        Just(r#"{"errors":["1","2","3"]}"#),
        Just(
            "<AssumeRoleWithWebIdentityResponse><AssumeRoleWithWebIdentityResult><Credentials><AccessKeyId>1</AccessKeyId>\
             <SecretAccessKey>2</SecretAccessKey><SessionToken>3</SessionToken><Expiration>2026-03-01T13:00:00Z</Expiration>\
             </Credentials></AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>"
        ),
        Just(
            "<AssumeRoleWithWebIdentityResponse><AssumeRoleWithWebIdentityResult><Credentials><AccessKeyId>A</AccessKeyId>\
             <SecretAccessKey>1</SecretAccessKey><SessionToken>2</SessionToken><Expiration>3</Expiration>\
             </Credentials></AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>"
        ),
        Just("<ErrorResponse><Error><Code>1</Code><Message>2</Message></Error></ErrorResponse><3>"),
        Just("<ErrorResponse><Error><Code>1</Code><Message>2 3</Message></Error></ErrorResponse>"),
        Just("123"),
    ];
    (template, [value.clone(), value.clone(), value], any::<prop::sample::Index>(), any::<bool>()).prop_map(
        |(template, values, cut, is_cut)| {
            let mut body = template.to_owned();
            for (hole, value) in ["1", "2", "3"].iter().zip(values) {
                // Only the first: the digits of dates stay.
                body = body.replacen(hole, &value, 1);
            }
            let end = if is_cut { body.floor_char_boundary(cut.index(body.len() + 1)) } else { body.len() };
            body.truncate(end);
            body
        },
    )
}

fn assert_clean(text: &str) {
    for secret in [SENT, ISSUED] {
        let pieces: std::collections::HashSet<&[u8]> = secret.as_bytes().windows(20).collect();
        let found = text.as_bytes().windows(20).position(|window| pieces.contains(window));
        assert_eq!(found, None, "{text}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn nothing_of_an_answer_is_shown(body in body(), status in prop_oneof![Just(200_u16), 400_u16..600]) {
        let sent = Token::new(SENT.to_owned());
        for exchange in exchanges() {
            let answer = Answer::new(status, body.clone().into_bytes(), &sent);
            assert_clean(&format!("{answer:?} {exchange:?} {:?}", exchange.request(&sent)));
            match exchange.credentials(&answer, "2026-03-01T12:00:00Z".parse().unwrap()) {
                Ok(credentials) => assert_clean(&format!("{credentials:?} {credentials:#?}")),
                Err(error) => assert_clean(&format!("{error} {error:?}")),
            }
        }
    }

    #[test]
    fn any_bytes_are_read_or_refused(body in proptest::collection::vec(any::<u8>(), 0..300), status in 100_u16..600) {
        for exchange in exchanges() {
            let answer = Answer::new(status, body.clone(), &Token::new(SENT.to_owned()));
            prop_assert!(exchange.credentials(&answer, "2026-03-01T12:00:00Z".parse().unwrap()).is_err());
        }
    }
}

/// The property above looks at something: the holes do make credentials and refusals.
#[test]
fn good_answers_are_among_them() {
    let sent = Token::new(SENT.to_owned());
    let now = "2026-03-01T12:00:00Z".parse().unwrap();
    let body =
        format!(r#"{{"access_token":"{ISSUED}","issued_token_type":"urn:wanted","token_type":"Bearer"}}"#);
    assert!(exchanges()[0].credentials(&Answer::new(200, body.into_bytes(), &sent), now).is_ok());
    let body = format!(r#"{{"error":"e","error_description":"got {SENT}, would give {ISSUED}"}}"#);
    let error = exchanges()[0].credentials(&Answer::new(400, body.into_bytes(), &sent), now).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the server refused it: HTTP 400, e: got ***stripped***, would give ***stripped***"
    );
}
