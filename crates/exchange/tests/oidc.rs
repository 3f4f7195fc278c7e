//! Verification against an issuer on a real socket: discovery, rotation of keys, an issuer that is down.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

#[expect(dead_code, reason = "shared with the tests of exchanges, which use all of it")]
mod common;

use std::time::Duration;

use common::{Reply, Server, everything};
use rcgen::{CertificateParams, KeyPair};
use tokenward_exchange::oidc::{FetchError, Issuer, Verifier, VerifyError};
use tokenward_exchange::tokens::{ManualClock, Token};
use tokenward_exchange::{Authorities, Endpoint, HttpClient, Limits};
use tokenward_issuer::{Algorithm, SigningKey};
use tokenward_jose::{Claims, JwkSet};

/// Whether an error is the wanted one.
type Expected<E> = fn(&E) -> bool;

const ISSUER: &str = "https://kubernetes.default.svc";

struct World {
    server: Server,
    verifier: Verifier,
    clock: ManualClock,
}

impl World {
    async fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let pem = CertificateParams::new(Vec::new()).unwrap().self_signed(&key).unwrap().pem().into_bytes();
        let client = HttpClient::new(&Authorities::Pem(pem), Limits::default()).unwrap();
        let server = Server::plain().await;
        let clock = ManualClock::new("2026-03-01T12:00:00Z".parse().unwrap());
        let documents = Endpoint::parse(&server.url("/below")).unwrap();
        let issuer = Issuer::new(ISSUER, ["vault"]).unwrap().documents_at(documents);
        Self { verifier: Verifier::new(issuer, client, clock.clock()), server, clock }
    }

    fn configuration(&self, issuer: &str, keys: &str) -> Reply {
        Reply::new(200, format!(r#"{{"issuer":"{issuer}","jwks_uri":"{}","more":1}}"#, self.server.url(keys)))
    }

    /// The next two requests get the issuer's documents.
    fn serve(&self, keys: &[&SigningKey]) {
        let keys: JwkSet = keys.iter().map(|key| key.verifying_key().public_key()).collect();
        self.server.will([self.configuration(ISSUER, "/keys"), Reply::new(200, keys.to_json())]);
    }

    fn claims(&self) -> Claims {
        let now = self.clock.now().as_second();
        Claims {
            iss: ISSUER.to_owned(),
            aud: ["vault", "other"].into_iter().collect(),
            sub: "system:serviceaccount:apps:shop".to_owned(),
            iat: Some(now),
            nbf: Some(now),
            exp: Some(now + 600),
            ..Claims::default()
        }
    }

    async fn verify(&self, token: &Token) -> Result<Claims, VerifyError> {
        let result = self.verifier.verify(token).await;
        if let Err(error) = &result {
            let text = everything(error);
            let mut pieces = token.expose_token().split('.').filter(|piece| piece.len() > 10);
            assert!(!pieces.any(|piece| text.contains(piece)), "{text}");
        }
        result
    }

    fn fetches(&self) -> usize {
        self.server.seen().len()
    }
}

fn key() -> SigningKey {
    SigningKey::generate(Algorithm::Es256).unwrap()
}

#[tokio::test]
async fn a_good_token_is_verified_with_keys_that_are_fetched_once() {
    let world = World::new().await;
    let key = key();
    world.serve(&[&key]);
    let token = key.sign(&world.claims()).unwrap();
    for _ in 0..3 {
        assert_eq!(world.verify(&token).await.unwrap().sub, "system:serviceaccount:apps:shop");
    }
    let asked: Vec<(String, String)> = world
        .server
        .seen()
        .into_iter()
        .map(|seen| (seen.path, seen.headers["accept"].to_str().unwrap().to_owned()))
        .collect();
    let wanted = [
        ("/below/.well-known/openid-configuration", "application/json"),
        ("/keys", "application/jwk-set+json, application/json"),
    ];
    assert_eq!(asked, wanted.map(|(path, accept)| (path.to_owned(), accept.to_owned())));
}

#[tokio::test]
async fn bad_tokens_are_told_apart() {
    let world = World::new().await;
    let (key, other) = (key(), key());
    world.serve(&[&key]);
    let sign = |change: &dyn Fn(&mut Claims)| {
        let mut claims = world.claims();
        change(&mut claims);
        key.sign(&claims).unwrap()
    };
    let foreign = sign(&|claims| claims.iss = "https://issuer.example".to_owned());
    assert!(matches!(world.verify(&foreign).await, Err(VerifyError::Issuer { .. })));
    assert_eq!(world.fetches(), 0, "a stranger's token makes nobody fetch");

    let good = sign(&|_| ());
    world.verify(&good).await.unwrap();
    let (head, signature) = good.expose_token().rsplit_once('.').unwrap();
    let flipped = if signature.starts_with('A') { "B" } else { "A" };
    let forged = Token::new(format!("{head}.{flipped}{}", &signature[1..]));
    let none = tokenward_jose::Header { alg: "none".to_owned(), kid: None };
    let unsigned = Token::new(format!("{}.AA", tokenward_jose::signing_input(&none, &world.claims())));
    let table: [(Token, Expected<VerifyError>); 7] = [
        (sign(&|claims| claims.aud = ["other"].into_iter().collect()), |error| {
            matches!(error, VerifyError::Audience)
        }),
        (sign(&|claims| claims.exp = Some(0)), |error| matches!(error, VerifyError::Expired)),
        (sign(&|claims| claims.nbf = claims.exp), |error| matches!(error, VerifyError::NotYet)),
        (forged, |error| matches!(error, VerifyError::Signature)),
        (unsigned, |error| matches!(error, VerifyError::UnknownKey)),
        (other.sign(&world.claims()).unwrap(), |error| matches!(error, VerifyError::UnknownKey)),
        (Token::new("a.b".to_owned()), |error| matches!(error, VerifyError::Malformed(_))),
    ];
    for (token, expected) in table {
        let error = world.verify(&token).await.unwrap_err();
        assert!(expected(&error), "{error:?}");
    }
    assert_eq!(world.fetches(), 2);
}

#[tokio::test]
async fn a_key_that_is_not_known_is_looked_for_at_a_limited_rate() {
    let world = World::new().await;
    let (old, new) = (key(), key());
    world.serve(&[&old]);
    world.verify(&old.sign(&world.claims()).unwrap()).await.unwrap();
    let token = new.sign(&world.claims()).unwrap();
    for _ in 0..5 {
        assert!(matches!(world.verify(&token).await, Err(VerifyError::UnknownKey)));
    }
    assert_eq!(world.fetches(), 2);
    world.clock.advance(Duration::from_secs(10));
    world.serve(&[&old, &new]);
    world.verify(&token).await.unwrap();
    assert_eq!(world.fetches(), 2);
}

#[tokio::test]
async fn an_issuer_that_is_down_does_not_stop_those_who_know_its_keys() {
    let world = World::new().await;
    let key = key();
    world.serve(&[&key]);
    world.verify(&key.sign(&world.claims()).unwrap()).await.unwrap();
    world.clock.advance(Duration::from_secs(3600));
    world.server.will([Reply::new(503, "")]);
    let token = key.sign(&world.claims()).unwrap();
    world.verify(&token).await.unwrap();
    world.verify(&token).await.unwrap();
    assert_eq!(world.fetches(), 3, "two documents, and one attempt for both");

    world.clock.advance(Duration::from_secs(24 * 3600));
    world.server.will([Reply::new(503, "")]);
    let token = key.sign(&world.claims()).unwrap();
    let error = world.verify(&token).await.unwrap_err();
    assert!(
        matches!(error, VerifyError::Keys { source: Some(FetchError::Status { status: 503, .. }), .. }),
        "{error:?}"
    );
    let error = world.verify(&token).await.unwrap_err();
    assert!(matches!(error, VerifyError::Keys { source: None, .. }), "{error:?}");
}

#[tokio::test]
async fn documents_that_are_not_the_issuers_give_no_keys() {
    let world = World::new().await;
    let token = key().sign(&world.claims()).unwrap();
    let uri = |uri: &str| Reply::new(200, format!(r#"{{"issuer":"{ISSUER}","jwks_uri":"{uri}"}}"#));
    let table: [(Vec<Reply>, Expected<FetchError>); 6] = [
        (vec![world.configuration("https://issuer.example", "/keys")], |error| {
            matches!(error, FetchError::OtherIssuer { .. })
        }),
        (vec![uri("http://keys.example/")], |error| matches!(error, FetchError::KeysUri { .. })),
        (vec![Reply::new(200, "{")], |error| matches!(error, FetchError::Unreadable { .. })),
        (vec![world.configuration(ISSUER, "/keys"), Reply::new(200, "[]")], |error| {
            matches!(error, FetchError::Unreadable { .. })
        }),
        (vec![world.configuration(ISSUER, "/keys"), Reply::new(200, r#"{"keys":[]}"#)], |error| {
            matches!(error, FetchError::NoKeys { .. })
        }),
        (vec![Reply::with_header(302, "", "location", &world.server.url("/keys"))], |error| {
            matches!(error, FetchError::Status { status: 302, .. })
        }),
    ];
    for (replies, expected) in table {
        world.server.will(replies);
        match world.verify(&token).await {
            Err(VerifyError::Keys { source: Some(error), .. }) => assert!(expected(&error), "{error:?}"),
            other => panic!("{other:?}"),
        }
        world.clock.advance(Duration::from_secs(10));
    }
}
