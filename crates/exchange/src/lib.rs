//! Turns a pod's service account token into credentials of a cloud or a vault, and verifies such tokens through OIDC discovery.
//!
//! The one invariant: **what goes in and what comes out is seen by nobody else**. The token leaves in the body of one request, over TLS,
//! to an [`Endpoint`] that somebody with authority has named; it follows no redirect. Tokens, credentials and answers have no `Debug` that
//! shows them, are overwritten when dropped, and no error quotes more of an answer than a [`Description`], which is short and scrubbed.
//!
//! An [`Exchange`] is a pure function in two halves: a request made of a token, credentials read from an answer. Three are here:
//! [`TokenExchange`] (RFC 8693), [`WebIdentity`] (AssumeRoleWithWebIdentity of the AWS STS query API) and [`JwtLogin`] (Vault and
//! OpenBao). The [`Exchanger`] is the shell around any of them: time limits, bounded answers, a few retries.
//!
//! ```
//! use tokenward_exchange::{Answer, Credentials, Endpoint, Exchange, JwtLogin};
//! use tokenward_exchange::tokens::Token;
//!
//! let login = JwtLogin::new(Endpoint::parse("https://vault.example:8200/v1/auth/jwt/login")?, "shop")?;
//! let token = Token::new("a.b.c".to_owned());
//! let request = login.request(&token);
//! assert_eq!(request.expose_body(), br#"{"role":"shop","jwt":"a.b.c"}"#);
//!
//! let answer = Answer::new(200, br#"{"auth":{"client_token":"hvs.example","lease_duration":60}}"#.to_vec(), &token);
//! let Credentials::Bearer(bearer) = login.credentials(&answer, "2026-03-01T12:00:00Z".parse()?)? else { unreachable!() };
//! assert_eq!(bearer.expires, Some("2026-03-01T12:01:00Z".parse()?));
//! assert_eq!(format!("{:?}", bearer.token), "Secret(11 bytes)");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Where to go next: [`Exchanger`] for sending, [`oidc`] for verifying.

mod answer;
mod client;
mod client_credentials;
mod credentials;
mod description;
mod endpoint;
mod error;
mod exchange;
mod exchanger;
mod jwt_login;
pub mod oidc;
mod proxy;
mod retry;
mod secret;
mod token_exchange;
mod web_identity;
mod xml;

pub use answer::Answer;
pub use client::{Authorities, ClientError, HttpClient, Limits};
pub use client_credentials::{ClientAuthentication, ClientCredentials};
pub use credentials::{AwsSession, BearerToken, Credentials};
pub use description::Description;
pub use endpoint::{Endpoint, EndpointError};
pub use error::{AnswerError, ExchangeError, Refusal, Step};
pub use exchange::{Exchange, ParameterError, Request};
pub use exchanger::Exchanger;
pub use jwt_login::JwtLogin;
pub use proxy::{Proxies, ProxyError};
pub use retry::Retries;
pub use secret::Secret;
pub use token_exchange::TokenExchange;
pub use tokenward_tokens as tokens;
pub use web_identity::{SessionName, WebIdentity};
