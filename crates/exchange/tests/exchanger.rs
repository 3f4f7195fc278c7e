//! The shell over real sockets: retries, limits, redirects, certificates.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

mod common;

use std::sync::Arc;
use std::time::Duration;

use common::{Reply, Server, everything};
use rcgen::{CertificateParams, KeyPair};
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokenward_exchange::tokens::{ManualClock, Token};
use tokenward_exchange::{
    AnswerError, Authorities, Credentials, Endpoint, ExchangeError, Exchanger, HttpClient, JwtLogin, Limits,
    Retries, Step,
};

const GOOD: &str = r#"{"auth":{"client_token":"hvs.good","lease_duration":60}}"#;
const TOKEN: &str = "c4n4ry-c4n4ry-c4n4ry-c4n4ry-c4n4ry";

/// Somebody must vouch for servers, also where none has a certificate.
fn authority() -> (Vec<u8>, rcgen::Certificate, KeyPair) {
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(["127.0.0.1".to_owned()]).unwrap().self_signed(&key).unwrap();
    (certificate.pem().into_bytes(), certificate, key)
}

fn limits() -> Limits {
    Limits { attempt: Duration::from_secs(20), total: Duration::from_secs(60), body: 1000 }
}

fn exchanger(limits: Limits) -> Exchanger {
    with_authority(authority().0, limits)
}

fn with_authority(pem: Vec<u8>, limits: Limits) -> Exchanger {
    let clock = ManualClock::new("2026-03-01T12:00:00Z".parse().unwrap());
    let retries = Retries {
        attempts: 3,
        first_pause: Duration::from_millis(2),
        longest_pause: Duration::from_millis(4),
    };
    Exchanger::new(HttpClient::new(&Authorities::Pem(pem), limits).unwrap(), clock.clock())
        .with_retries(retries)
}

fn login(url: &str) -> JwtLogin {
    JwtLogin::new(Endpoint::parse(url).unwrap(), "shop").unwrap()
}

async fn exchange(exchanger: &Exchanger, url: &str) -> Result<Credentials, ExchangeError> {
    let result = exchanger.exchange(&login(url), &Token::new(TOKEN.to_owned())).await;
    if let Err(error) = &result {
        let text = everything(error);
        assert!(!text.contains("c4n4ry"), "{text}");
    }
    result
}

#[tokio::test]
async fn a_token_goes_in_and_credentials_come_out() {
    let server = Server::plain().await;
    server.will([Reply::new(200, GOOD)]);
    let Credentials::Bearer(bearer) =
        exchange(&exchanger(limits()), &server.url("/v1/auth/jwt/login")).await.unwrap()
    else {
        panic!("no bearer token")
    };
    assert_eq!(bearer.token.expose_secret(), "hvs.good");
    assert_eq!(bearer.expires.unwrap().to_string(), "2026-03-01T12:01:00Z");
    let seen = server.seen();
    assert_eq!(seen[0].path, "/v1/auth/jwt/login");
    assert_eq!(seen[0].headers["content-type"], "application/json");
    assert_eq!(seen[0].headers["x-vault-request"], "true");
    assert_eq!(seen[0].body, format!(r#"{{"role":"shop","jwt":"{TOKEN}"}}"#));
}

#[tokio::test]
async fn what_may_go_well_later_is_tried_again() {
    let server = Server::plain().await;
    server.will([
        Reply::new(503, ""),
        Reply::with_header(429, "", "retry-after", "0"),
        Reply::new(200, GOOD),
    ]);
    exchange(&exchanger(limits()), &server.url("/")).await.unwrap();
    assert_eq!(server.seen().len(), 3);

    server.will([Reply::new(502, ""), Reply::new(502, ""), Reply::new(502, ""), Reply::new(200, GOOD)]);
    let error = exchange(&exchanger(limits()), &server.url("/")).await.unwrap_err();
    assert!(error.is_transient() && error.kind() == "refused", "{error}");
    assert_eq!(server.seen().len(), 3);
}

#[tokio::test]
async fn a_no_is_a_no() {
    let server = Server::plain().await;
    server.will([Reply::new(400, format!(r#"{{"errors":["bad jwt {TOKEN}"]}}"#)), Reply::new(200, GOOD)]);
    let error = exchange(&exchanger(limits()), &server.url("/")).await.unwrap_err();
    assert_eq!(error.to_string(), format!("the exchange with http://{} gave no credentials", server.address));
    let cause = std::error::Error::source(&error).unwrap().to_string();
    assert_eq!(cause, "the server refused it: HTTP 400: bad jwt ***stripped***");
    assert_eq!((error.step(), server.seen().len()), (Some(Step::Read), 1));
}

/// A server that wants to be left alone for longer than the whole exchange may last is left alone.
#[tokio::test]
async fn retry_after_is_kept_even_when_it_means_to_give_up() {
    let server = Server::plain().await;
    server.will([Reply::with_header(503, "", "retry-after", "3600"), Reply::new(200, GOOD)]);
    let error = exchange(&exchanger(limits()), &server.url("/")).await.unwrap_err();
    assert!(error.is_transient(), "{error}");
    assert_eq!(server.seen().len(), 1);
}

#[tokio::test]
async fn a_redirect_gets_no_token() {
    let elsewhere = Server::plain().await;
    let server = Server::plain().await;
    for status in [301, 302, 303, 307, 308] {
        server.will([Reply::with_header(status, TOKEN, "location", &elsewhere.url("/"))]);
        let error = exchange(&exchanger(limits()), &server.url("/")).await.unwrap_err();
        assert!(
            matches!(error, ExchangeError::Redirected { status: found, .. } if found == status),
            "{error}"
        );
    }
    assert_eq!((server.seen().len(), elsewhere.seen().len()), (5, 0));
}

#[tokio::test]
async fn answers_are_bounded_in_size_and_time() {
    let server = Server::plain().await;
    server.will([Reply::new(200, "a".repeat(1001)), Reply::new(400, "c4n4ry ".repeat(1000))]);
    for _ in 0..2 {
        let error = exchange(&exchanger(limits()), &server.url("/")).await.unwrap_err();
        assert!(matches!(error, ExchangeError::TooLong { most: 1000, .. }), "{error}");
    }
    server.will([Reply::Hang, Reply::Hang, Reply::new(200, GOOD)]);
    let hurried = Limits { attempt: Duration::from_millis(50), ..limits() };
    exchange(&exchanger(hurried), &server.url("/")).await.unwrap();
    assert_eq!(server.seen().len(), 5);

    server.will([Reply::Hang]);
    let total = Limits { total: Duration::from_millis(50), ..limits() };
    let error = exchange(&exchanger(total), &server.url("/")).await.unwrap_err();
    assert!(matches!(error, ExchangeError::TooSlow { .. }), "{error}");
}

#[tokio::test]
async fn nobody_there_is_said_with_the_reason() {
    // A port that was free a moment ago.
    let gone = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let error = exchange(&exchanger(limits()), &format!("http://{gone}/secret-path")).await.unwrap_err();
    assert_eq!(error.step(), Some(Step::Send));
    let text = everything(&error);
    assert!(text.contains("refused") && text.contains(&gone.to_string()), "{text}");
    assert!(!error.to_string().contains("secret-path"), "{error}");
}

#[tokio::test]
async fn no_token_is_not_sent_at_all() {
    let server = Server::plain().await;
    let error = exchanger(limits()).exchange(&login(&server.url("/")), &Token::new(String::new())).await;
    assert!(matches!(error, Err(ExchangeError::NoToken)));
    assert_eq!(server.seen().len(), 0);
}

#[tokio::test]
async fn a_server_whose_certificate_nobody_vouches_for_gets_no_token() {
    let (pem, certificate, key) = authority();
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let tls =
        rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)
            .unwrap();
    let server = Server::start(Some(Arc::new(tls).into())).await;
    let url = format!("https://{}/", server.address);

    let error = exchange(&exchanger(limits()), &url).await.unwrap_err();
    assert_eq!(error.step(), Some(Step::Send));
    assert!(everything(&error).contains("invalid peer certificate"), "{}", everything(&error));
    assert_eq!(server.seen().len(), 0);

    server.will([Reply::new(200, GOOD), Reply::new(200, "{}")]);
    let trusting = with_authority(pem, limits());
    exchange(&trusting, &url).await.unwrap();
    let error = exchange(&trusting, &url).await.unwrap_err();
    assert!(matches!(error, ExchangeError::Answer { source: AnswerError::Missing("auth"), .. }), "{error}");
}
