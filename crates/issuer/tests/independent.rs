//! Our tokens against a JWT library that shares no code with us, and its tokens against us.
//!
//! Without this, a mistake made both in signing and in verifying would pass unseen.
#![expect(clippy::unwrap_used, reason = "in tests a failure is the message")]

use jiff::Timestamp;
use jsonwebtoken as jwt;
use tokenward_issuer::{
    Algorithm, Claims, Issuer, IssuerConfig, LiveObject, LiveObjects, ServiceAccount, SigningKey,
    TokenRequestSpec, VerifyError, VerifyingKey,
};

const ISSUER: &str = "https://issuer.example";
const RSA: &[u8] = include_bytes!("keys/rsa-pkcs1.pem");
const RSA_PUBLIC: &[u8] = include_bytes!("keys/rsa-public.pem");
const P256: &[u8] = include_bytes!("keys/p256-pkcs8.pem");
const P384: &[u8] = include_bytes!("keys/p384-pkcs8.pem");

/// A world in which only the service account exists.
struct OnlyTheAccount;

impl LiveObjects for OnlyTheAccount {
    fn service_account(&self, _: &str, _: &str) -> Option<LiveObject> {
        Some(LiveObject { uid: "sa-uid".into(), deletion: None })
    }

    fn secret(&self, _: &str, _: &str) -> Option<LiveObject> {
        None
    }

    fn pod(&self, _: &str, _: &str) -> Option<LiveObject> {
        None
    }

    fn node(&self, _: &str) -> Option<LiveObject> {
        None
    }
}

fn now() -> Timestamp {
    Timestamp::from_second(1_800_000_000).unwrap()
}

fn issuer(key: SigningKey) -> Issuer {
    let issuer = Issuer::new(IssuerConfig::new([ISSUER]).unwrap());
    issuer.set_signing_key(key);
    issuer
}

fn claims(issuer: &Issuer) -> Claims {
    let spec = TokenRequestSpec { audiences: vec!["vault".into()], expiration_seconds: Some(600) };
    let account = ServiceAccount { namespace: "apps".into(), name: "web".into(), uid: "sa-uid".into() };
    issuer.grant(&spec, &account, None, now()).claims
}

fn verify(issuer: &Issuer, token: &str) -> Result<(), VerifyError> {
    issuer.verify(token, &["vault".into()], &OnlyTheAccount, now()).map(|_| ())
}

fn validation(algorithm: jwt::Algorithm) -> jwt::Validation {
    let mut validation = jwt::Validation::new(algorithm);
    // The moment of the test is not the system's.
    validation.validate_exp = false;
    validation.set_audience(&["vault"]);
    validation.set_issuer(&[ISSUER]);
    validation
}

#[test]
fn another_library_accepts_our_tokens_by_our_jwks() {
    for (algorithm, theirs) in [
        (Algorithm::Rs256, jwt::Algorithm::RS256),
        (Algorithm::Es256, jwt::Algorithm::ES256),
        (Algorithm::Es384, jwt::Algorithm::ES384),
    ] {
        let issuer = issuer(SigningKey::generate(algorithm).unwrap());
        let claims = claims(&issuer);
        let token = issuer.sign(&claims).unwrap();

        let header = jwt::decode_header(token.expose_token()).unwrap();
        assert_eq!((header.alg, header.typ), (theirs, None));
        let discovery = issuer.discovery("localhost:6443").unwrap();
        let keys: jwt::jwk::JwkSet = serde_json::from_slice(&discovery.jwks).unwrap();
        let key = keys.find(&header.kid.unwrap()).unwrap();
        assert!(key.is_supported());
        let key = jwt::DecodingKey::from_jwk(key).unwrap();
        let data = jwt::decode::<Claims>(token.expose_token(), &key, &validation(theirs)).unwrap();
        assert_eq!(data.claims, claims);

        let (signed, signature) = token.expose_token().rsplit_once('.').unwrap();
        let tampered = format!("{signed}A.{signature}");
        assert!(jwt::decode::<Claims>(&tampered, &key, &validation(theirs)).is_err());
    }
}

#[test]
fn we_accept_another_librarys_tokens() {
    for (pem, algorithm) in
        [(RSA, jwt::Algorithm::RS256), (P256, jwt::Algorithm::ES256), (P384, jwt::Algorithm::ES384)]
    {
        let key = SigningKey::from_pem(pem).unwrap();
        let kid = key.verifying_key().public_key().id().to_string();
        let issuer = issuer(key);
        let encoding = match algorithm {
            jwt::Algorithm::RS256 => jwt::EncodingKey::from_rsa_pem(pem).unwrap(),
            _ => jwt::EncodingKey::from_ec_pem(pem).unwrap(),
        };
        for kid in [Some(kid), None] {
            let mut header = jwt::Header::new(algorithm);
            header.kid = kid;
            let token = jwt::encode(&header, &claims(&issuer), &encoding).unwrap();
            assert_eq!(verify(&issuer, &token), Ok(()));
        }
    }
}

#[test]
fn a_key_that_only_verifies_is_enough() {
    let issuer = Issuer::new(IssuerConfig::new([ISSUER]).unwrap());
    let encoding = jwt::EncodingKey::from_rsa_pem(RSA).unwrap();
    let token = jwt::encode(&jwt::Header::new(jwt::Algorithm::RS256), &claims(&issuer), &encoding).unwrap();
    assert_eq!(verify(&issuer, &token), Err(VerifyError::NoKey));
    issuer.add_verifying_keys(VerifyingKey::all_from_pem(RSA_PUBLIC).unwrap());
    assert_eq!(verify(&issuer, &token), Ok(()));
    assert!(issuer.sign(&claims(&issuer)).is_err());
}

/// The classic confusions: a public key taken for a shared secret, an algorithm of another family, none at all.
#[test]
fn algorithms_cannot_be_confused() {
    let issuer = issuer(SigningKey::from_pem(RSA).unwrap());
    issuer.add_verifying_keys([VerifyingKey::clone(SigningKey::from_pem(P256).unwrap().verifying_key())]);
    let claims = claims(&issuer);
    let rsa_kid = issuer.signing_key().unwrap().verifying_key().public_key().id().to_string();
    let ec_kid = SigningKey::from_pem(P256).unwrap().verifying_key().public_key().id().to_string();
    let sign = |algorithm, kid: Option<&String>, key: &jwt::EncodingKey| {
        let mut header = jwt::Header::new(algorithm);
        header.kid = kid.cloned();
        jwt::encode(&header, &claims, key).unwrap()
    };

    let discovery = issuer.discovery("localhost").unwrap();
    for secret in [RSA_PUBLIC, &discovery.jwks] {
        let secret = jwt::EncodingKey::from_secret(secret);
        for kid in [None, Some(&rsa_kid), Some(&ec_kid)] {
            let token = sign(jwt::Algorithm::HS256, kid, &secret);
            assert_eq!(verify(&issuer, &token), Err(VerifyError::NoKey));
        }
    }

    let rsa = jwt::EncodingKey::from_rsa_pem(RSA).unwrap();
    let ec = jwt::EncodingKey::from_ec_pem(P256).unwrap();
    // Right key, right family, another algorithm.
    for algorithm in [jwt::Algorithm::RS384, jwt::Algorithm::RS512, jwt::Algorithm::PS256] {
        assert_eq!(verify(&issuer, &sign(algorithm, Some(&rsa_kid), &rsa)), Err(VerifyError::NoKey));
    }
    // Signed by one known key, claimed to be another's.
    assert_eq!(verify(&issuer, &sign(jwt::Algorithm::RS256, Some(&ec_kid), &rsa)), Err(VerifyError::NoKey));
    assert_eq!(verify(&issuer, &sign(jwt::Algorithm::ES256, Some(&rsa_kid), &ec)), Err(VerifyError::NoKey));
    // A key that nobody knows.
    let stranger = SigningKey::generate(Algorithm::Es256).unwrap();
    let kid = stranger.verifying_key().public_key().id().to_string();
    let stranger = jwt::EncodingKey::from_ec_pem(stranger.to_pem().unwrap().as_bytes()).unwrap();
    assert_eq!(verify(&issuer, &sign(jwt::Algorithm::ES256, Some(&kid), &stranger)), Err(VerifyError::NoKey));
    assert_eq!(verify(&issuer, &sign(jwt::Algorithm::ES256, None, &stranger)), Err(VerifyError::Signature));
    // And the honest ones still pass.
    assert_eq!(verify(&issuer, &sign(jwt::Algorithm::RS256, Some(&rsa_kid), &rsa)), Ok(()));
    assert_eq!(verify(&issuer, &sign(jwt::Algorithm::ES256, None, &ec)), Ok(()));
}
