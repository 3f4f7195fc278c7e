//! A login with a JWT, as Vault and OpenBao have it (auth methods `jwt` and `kubernetes`): JSON in, JSON out.

use http::{HeaderName, HeaderValue};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokenward_tokens::Token;
use zeroize::Zeroizing;

use crate::exchange::check;
use crate::token_exchange::{bearer, end_after};
use crate::{Answer, AnswerError, Credentials, Endpoint, Exchange, ParameterError, Refusal, Request, Secret};

/// Longest role or namespace, in bytes.
const LONGEST: usize = 512;
/// Told of so many errors of an answer at most.
const MOST_ERRORS: usize = 3;

/// The service account token and a role, for a client token.
///
/// ```
/// use tokenward_exchange::{Endpoint, Exchange as _, JwtLogin, tokens::Token};
///
/// let login = Endpoint::parse("https://vault.example:8200/v1/auth/kubernetes/login")?;
/// let login = JwtLogin::new(login, "shop")?.namespace("teams/shop")?;
/// let request = login.request(&Token::new("a.b.c".to_owned()));
/// assert_eq!(request.expose_body(), br#"{"role":"shop","jwt":"a.b.c"}"#);
/// assert!(request.headers.iter().any(|(name, value)| name == "x-vault-namespace" && value == "teams/shop"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct JwtLogin {
    endpoint: Endpoint,
    role: String,
    namespace: Option<HeaderValue>,
}

impl JwtLogin {
    /// A login at this URL, such as `https://vault.example:8200/v1/auth/jwt/login`, into this role.
    ///
    /// Shown at [`JwtLogin`].
    ///
    /// # Errors
    /// When the role is empty, or has spaces or characters that are not visible ASCII.
    pub fn new(endpoint: Endpoint, role: impl Into<String>) -> Result<Self, ParameterError> {
        let role = role.into();
        check("role", &role, LONGEST)?;
        Ok(Self { endpoint, role, namespace: None })
    }

    /// The namespace of the vault in which to log in (`X-Vault-Namespace`).
    ///
    /// Shown at [`JwtLogin`].
    ///
    /// # Errors
    /// As [`JwtLogin::new`].
    pub fn namespace(mut self, namespace: &str) -> Result<Self, ParameterError> {
        let wrong = ParameterError { parameter: "namespace", wanted: "the path of a namespace" };
        check("namespace", namespace, LONGEST)?;
        self.namespace = Some(HeaderValue::from_str(namespace).map_err(|_| wrong)?);
        Ok(self)
    }
}

impl Exchange for JwtLogin {
    fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    fn request(&self, token: &Token) -> Request {
        #[derive(Serialize)]
        struct Login<'a> {
            role: &'a str,
            jwt: &'a str,
        }
        let login = Login { role: &self.role, jwt: token.expose_token() };
        // Room for the worst case, each byte as `\u00XX`: a buffer that grows leaves copies of the token behind.
        let most = 6 * (login.role.len() + login.jwt.len()) + 32;
        let mut body = Zeroizing::new(Vec::with_capacity(most));
        serde_json::to_writer(&mut *body, &login).expect("two strings always serialize");
        let mut request = Request::new("application/json", "application/json", body);
        // Without it a vault's agent refuses, so that no browser is made to ask in its user's name.
        request.headers.push((HeaderName::from_static("x-vault-request"), HeaderValue::from_static("true")));
        if let Some(namespace) = &self.namespace {
            request.headers.push((HeaderName::from_static("x-vault-namespace"), namespace.clone()));
        }
        request
    }

    /// `auth.client_token`, which lives for `auth.lease_duration` seconds; zero is for a token without end.
    fn credentials(&self, answer: &Answer, now: Timestamp) -> Result<Credentials, AnswerError> {
        if !answer.is_success() {
            return Err(AnswerError::Refused(refusal(answer)));
        }
        let body: Body = answer.json()?;
        let auth = body.auth.ok_or(AnswerError::Missing("auth"))?;
        let token = auth.client_token.ok_or(AnswerError::Missing("auth.client_token"))?;
        let life = auth.lease_duration.ok_or(AnswerError::Missing("auth.lease_duration"))?;
        let end = || end_after(now, life).ok_or(AnswerError::Value("auth.lease_duration"));
        let expires = if life == 0 { None } else { Some(end()?) };
        bearer(token, "auth.client_token", expires, now)
    }
}

#[derive(Deserialize)]
struct Body {
    auth: Option<Auth>,
}

#[derive(Deserialize)]
struct Auth {
    client_token: Option<Secret>,
    lease_duration: Option<u64>,
}

fn refusal(answer: &Answer) -> Refusal {
    #[derive(Default, Deserialize)]
    struct Body {
        #[serde(default)]
        errors: Vec<String>,
    }
    let body: Body = answer.json().unwrap_or_default();
    let errors: Vec<&str> = body.errors.iter().take(MOST_ERRORS).map(String::as_str).collect();
    // 412: a standby that has not yet heard of what its client has seen elsewhere.
    let mut refusal = Refusal::new(answer.status());
    refusal.transient |= answer.status() == 412;
    refusal.description = answer.describe(&errors.join("; "));
    refusal
}

#[cfg(test)]
mod tests {
    use super::*;

    fn login() -> JwtLogin {
        JwtLogin::new(Endpoint::parse("https://vault.example/v1/auth/jwt/login").unwrap(), "shop").unwrap()
    }

    fn read(status: u16, body: &str) -> Result<Option<Timestamp>, AnswerError> {
        let sent = Token::new("c4n4ry-c4n4ry-c4n4ry-c4n4ry".to_owned());
        let answer = Answer::new(status, body.as_bytes().to_vec(), &sent);
        login().credentials(&answer, "2026-03-01T12:00:00Z".parse().unwrap()).map(|found| found.expires())
    }

    #[test]
    fn the_request_is_json() {
        let request = login().namespace("team/a").unwrap().request(&Token::new("a\"b\\".to_owned()));
        assert_eq!(request.expose_body(), br#"{"role":"shop","jwt":"a\"b\\"}"#);
        let headers: Vec<(&str, &[u8])> =
            request.headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes())).collect();
        assert_eq!(headers, [("x-vault-request", &b"true"[..]), ("x-vault-namespace", b"team/a")]);
        for bad in ["", "a b", "a\r\nX-Evil: 1"] {
            assert!(login().namespace(bad).is_err(), "{bad:?}");
            assert!(JwtLogin::new(login().endpoint, bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn answers() {
        let auth = |text: &str| format!(r#"{{"request_id":"r","auth":{text},"wrap_info":null}}"#);
        let table = [
            (
                auth(r#"{"client_token":"hvs.x","lease_duration":60,"renewable":true}"#),
                Ok(Some("2026-03-01T12:01:00Z".parse().unwrap())),
            ),
            (auth(r#"{"client_token":"hvs.x","lease_duration":0}"#), Ok(None)),
            (auth(r#"{"client_token":"hvs.x"}"#), Err(AnswerError::Missing("auth.lease_duration"))),
            (auth(r#"{"lease_duration":1}"#), Err(AnswerError::Missing("auth.client_token"))),
            (auth("null"), Err(AnswerError::Missing("auth"))),
            (auth(r#"{"client_token":"","lease_duration":1}"#), Err(AnswerError::Value("auth.client_token"))),
            (
                auth(r#"{"client_token":"a","lease_duration":18446744073709551615}"#),
                Err(AnswerError::Value("auth.lease_duration")),
            ),
        ];
        for (body, expected) in table {
            assert_eq!(read(200, &body), expected, "{body}");
        }
        assert!(matches!(read(200, r#"{"auth":"hvs.c4n4ry"}"#), Err(AnswerError::Json(_))));
    }

    #[test]
    fn refusals_are_described_without_what_was_sent() {
        let table = [
            (
                400,
                r#"{"errors":["role \"shop\" could not be found"]}"#,
                "HTTP 400: role \"shop\" could not be found",
            ),
            (
                403,
                r#"{"errors":["permission denied","c4n4ry-c4n4ry-c4n4ry-c4n4ry"]}"#,
                "HTTP 403: permission denied; ***stripped***",
            ),
            (400, r#"{"errors":["1","2","3","4"]}"#, "HTTP 400: 1; 2; 3"),
            (503, r#"{"errors":[]}"#, "HTTP 503"),
            (
                412,
                r#"{"errors":["required index state not present"]}"#,
                "HTTP 412: required index state not present",
            ),
            (502, "<html>c4n4ry-c4n4ry-c4n4ry-c4n4ry", "HTTP 502"),
        ];
        for (status, body, expected) in table {
            let Err(AnswerError::Refused(refusal)) = read(status, body) else { panic!("{body}") };
            assert_eq!(refusal.to_string(), expected);
            assert_eq!(refusal.transient, matches!(status, 412 | 502 | 503));
        }
    }
}
