//! OAuth 2.0 token exchange (RFC 8693): for anybody, for a public client's id, or for a client with a secret.

use std::time::Duration;

use http::header::AUTHORIZATION;
use jiff::Timestamp;
use serde::Deserialize;
use tokenward_tokens::Token;

use crate::exchange::check;
use crate::{
    Answer, AnswerError, BearerToken, ClientCredentials, Credentials, Endpoint, Exchange, ParameterError,
    Refusal, Request, Secret,
};

const GRANT_TYPE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const JWT: &str = "urn:ietf:params:oauth:token-type:jwt";
/// Longest parameter, in bytes.
const LONGEST: usize = 1024;

/// The service account token as `subject_token`, for an access token.
///
/// ```
/// use tokenward_exchange::{Endpoint, Exchange as _, TokenExchange, tokens::Token};
///
/// let exchange = TokenExchange::new(Endpoint::parse("https://sts.example/token")?)
///     .audience("payments")?
///     .resource("https://payments.example/")?
///     .client_id("shop")?
///     .scope("read write")?
///     .requested_token_type("urn:ietf:params:oauth:token-type:access_token")?;
/// let request = exchange.request(&Token::new("a.b.c".to_owned()));
/// let form = String::from_utf8(request.expose_body().to_vec())?;
/// for field in ["subject_token=a.b.c", "audience=payments", "client_id=shop", "scope=read+write"] {
///     assert!(form.split('&').any(|given| given == field), "{field}");
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct TokenExchange {
    endpoint: Endpoint,
    /// `audience`, `scope` and so on, in the order in which they are sent.
    parameters: Vec<(&'static str, String)>,
    requested: Option<String>,
    client: Option<Client>,
}

/// Who asks.
#[derive(Clone, Debug)]
enum Client {
    Public(String),
    Confidential(ClientCredentials),
}

impl TokenExchange {
    /// An exchange at this token endpoint.
    ///
    /// Shown at [`TokenExchange`].
    #[must_use]
    pub fn new(endpoint: Endpoint) -> Self {
        Self { endpoint, parameters: Vec::new(), requested: None, client: None }
    }

    /// `audience`: the service, by name, at which the new token is to be used.
    ///
    /// Shown at [`TokenExchange`].
    ///
    /// # Errors
    /// When it has spaces, or characters that are not visible ASCII.
    pub fn audience(self, audience: impl Into<String>) -> Result<Self, ParameterError> {
        self.with("audience", audience.into())
    }

    /// `resource`: the service, by URI, at which the new token is to be used.
    ///
    /// Shown at [`TokenExchange`].
    ///
    /// # Errors
    /// As [`TokenExchange::audience`].
    pub fn resource(self, resource: impl Into<String>) -> Result<Self, ParameterError> {
        self.with("resource", resource.into())
    }

    /// `client_id`: how the server knows this client, if it wants to.
    ///
    /// Shown at [`TokenExchange`].
    ///
    /// # Errors
    /// As [`TokenExchange::audience`].
    pub fn client_id(mut self, client_id: impl Into<String>) -> Result<Self, ParameterError> {
        let client_id = client_id.into();
        check("client_id", &client_id, LONGEST)?;
        self.client = Some(Client::Public(client_id));
        Ok(self)
    }

    /// The id and the secret of this client, in place of an id alone.
    ///
    /// Shown at [`ClientCredentials`].
    #[must_use]
    pub fn client_credentials(mut self, credentials: ClientCredentials) -> Self {
        self.client = Some(Client::Confidential(credentials));
        self
    }

    /// `scope`: what the new token is to be good for; words with a space between them.
    ///
    /// Shown at [`TokenExchange`].
    ///
    /// # Errors
    /// When a word is empty or has characters that are not visible ASCII.
    pub fn scope(mut self, scope: &str) -> Result<Self, ParameterError> {
        for word in scope.split(' ') {
            check("scope", word, LONGEST)?;
        }
        self.parameters.push(("scope", scope.to_owned()));
        Ok(self)
    }

    /// `requested_token_type`: an answer with a token of another type is not taken then.
    ///
    /// Shown at [`TokenExchange`].
    ///
    /// # Errors
    /// As [`TokenExchange::audience`].
    pub fn requested_token_type(mut self, kind: impl Into<String>) -> Result<Self, ParameterError> {
        let kind = kind.into();
        self.requested = Some(kind.clone());
        self = self.with("requested_token_type", kind)?;
        Ok(self)
    }

    fn with(mut self, name: &'static str, value: String) -> Result<Self, ParameterError> {
        check(name, &value, LONGEST)?;
        self.parameters.push((name, value));
        Ok(self)
    }

    fn refusal(&self, answer: &Answer) -> Refusal {
        #[derive(Default, Deserialize)]
        struct Body {
            error: Option<String>,
            error_description: Option<String>,
        }
        let body: Body = answer.json().unwrap_or_default();
        let secrets = match &self.client {
            Some(Client::Confidential(credentials)) => credentials.secrets(),
            _ => Vec::new(),
        };
        let describe =
            |text: String| answer.describe_without(&text, secrets.iter().map(|secret| secret.as_str()));
        let mut refusal = Refusal::new(answer.status());
        refusal.transient |= matches!(body.error.as_deref(), Some("temporarily_unavailable" | "slow_down"));
        refusal.code = body.error.and_then(describe);
        refusal.description = body.error_description.and_then(describe);
        refusal
    }
}

impl Exchange for TokenExchange {
    fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    fn request(&self, token: &Token) -> Request {
        let mut fields = vec![("grant_type", GRANT_TYPE)];
        fields.extend(self.parameters.iter().map(|(name, value)| (*name, value.as_str())));
        match &self.client {
            Some(Client::Public(id)) => fields.push(("client_id", id)),
            Some(Client::Confidential(credentials)) => fields.extend(credentials.fields()),
            None => {}
        }
        fields.extend([("subject_token_type", JWT), ("subject_token", token.expose_token())]);
        let mut request = Request::form("application/json", &fields);
        if let Some(Client::Confidential(credentials)) = &self.client {
            request.headers.extend(credentials.authorization().map(|value| (AUTHORIZATION, value)));
        }
        request
    }

    /// RFC 8693, section 2.2; a refusal is the error body of RFC 6749, section 5.2.
    fn credentials(&self, answer: &Answer, now: Timestamp) -> Result<Credentials, AnswerError> {
        if !answer.is_success() {
            return Err(AnswerError::Refused(self.refusal(answer)));
        }
        let body: Body = answer.json()?;
        let kind = body.issued_token_type.ok_or(AnswerError::Missing("issued_token_type"))?;
        if self.requested.as_ref().is_some_and(|requested| *requested != kind) {
            return Err(AnswerError::Value("issued_token_type"));
        }
        // `N_A` is for tokens that are no access tokens.
        let usage = body.token_type.ok_or(AnswerError::Missing("token_type"))?;
        if !["Bearer", "N_A"].iter().any(|known| usage.eq_ignore_ascii_case(known)) {
            return Err(AnswerError::Value("token_type"));
        }
        let token = body.access_token.ok_or(AnswerError::Missing("access_token"))?;
        let expires = body.expires_in.map(|life| life.end(now)).transpose()?;
        bearer(token, "access_token", expires, now)
    }
}

/// A bearer token that is checked: one that can be written into a file, and is not over.
pub(crate) fn bearer(
    token: Secret,
    member: &'static str,
    expires: Option<Timestamp>,
    now: Timestamp,
) -> Result<Credentials, AnswerError> {
    if !token.is_credential() {
        return Err(AnswerError::Value(member));
    }
    if expires.is_some_and(|end| end <= now) {
        return Err(AnswerError::Expired);
    }
    Ok(Credentials::Bearer(BearerToken { token, expires }))
}

#[derive(Deserialize)]
struct Body {
    access_token: Option<Secret>,
    issued_token_type: Option<String>,
    token_type: Option<String>,
    expires_in: Option<Seconds>,
}

/// Seconds as a number, and as some servers write them: as a string of digits.
#[derive(Clone, Copy, Deserialize)]
#[serde(untagged)]
enum Seconds {
    Number(u64),
    Text(#[serde(deserialize_with = "digits")] u64),
}

impl Seconds {
    fn end(self, now: Timestamp) -> Result<Timestamp, AnswerError> {
        let (Self::Number(seconds) | Self::Text(seconds)) = self;
        end_after(now, seconds).ok_or(AnswerError::Value("expires_in"))
    }
}

/// The moment `seconds` after `now`, if there is one.
pub(crate) fn end_after(now: Timestamp, seconds: u64) -> Option<Timestamp> {
    now.checked_add(Duration::from_secs(seconds)).ok()
}

fn digits<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    let text = String::deserialize(deserializer)?;
    text.parse().map_err(|_| serde::de::Error::custom("wanted digits"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ClientAuthentication;

    const TOKEN: &str = "aaaaaaaaaaaaaaaaaaaaaaaa.bbbbbbbbbbbbbbbbbbbbbbbbbbbb.cccccccccccccccccccccccc";

    fn plain() -> TokenExchange {
        TokenExchange::new(Endpoint::parse("https://sts.example/token").unwrap())
    }

    fn now() -> Timestamp {
        "2026-03-01T12:00:00Z".parse().unwrap()
    }

    fn read(exchange: &TokenExchange, status: u16, body: &str) -> Result<Credentials, AnswerError> {
        let answer = Answer::new(status, body.as_bytes().to_vec(), &Token::new(TOKEN.to_owned()));
        exchange.credentials(&answer, now())
    }

    #[test]
    fn the_form_is_that_of_the_rfc() {
        let exchange = plain().audience("//iam.example/pools/a").unwrap().scope("read write").unwrap();
        let request = exchange.request(&Token::new("a.b.c".to_owned()));
        assert_eq!(request.content_type, "application/x-www-form-urlencoded");
        assert_eq!(
            String::from_utf8_lossy(request.expose_body()),
            "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Atoken-exchange&audience=%2F%2Fiam.example%2Fpools%2Fa\
             &scope=read+write&subject_token_type=urn%3Aietf%3Aparams%3Aoauth%3Atoken-type%3Ajwt&subject_token=a.b.c"
        );
        for bad in ["", "a b", "a\nb", "ü"] {
            assert!(plain().audience(bad).is_err(), "{bad:?}");
        }
        assert!(plain().scope("a  b").is_err());
    }

    #[test]
    fn a_client_says_who_it_is() {
        let secret = || Secret::new("s3cret-of-the-client".to_owned());
        let by = |how| plain().client_credentials(ClientCredentials::new("shop", secret(), how).unwrap());
        let form = |exchange: &TokenExchange| {
            let request = exchange.request(&Token::new("a.b.c".to_owned()));
            let body = String::from_utf8_lossy(request.expose_body()).into_owned();
            (body, request.headers.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>())
        };
        let (body, headers) = form(&plain().client_id("shop").unwrap());
        assert!(body.contains("&client_id=shop&") && headers.is_empty(), "{body}");
        let (body, headers) = form(&by(ClientAuthentication::Post));
        assert!(body.contains("&client_id=shop&client_secret=s3cret-of-the-client&"), "{body}");
        assert!(headers.is_empty());
        let (body, headers) = form(&by(ClientAuthentication::Basic));
        assert!(!body.contains("shop") && !body.contains("s3cret"), "{body}");
        assert_eq!(headers, [AUTHORIZATION]);
    }

    #[test]
    fn a_secret_that_a_server_repeats_is_not_told() {
        let secret = Secret::new("s3cret-of-the-client".to_owned());
        let credentials = ClientCredentials::new("shop", secret, ClientAuthentication::Basic).unwrap();
        let exchange = plain().client_credentials(credentials);
        // Base64 of `shop:s3cret-of-the-client`.
        let sent = "c2hvcDpzM2NyZXQtb2YtdGhlLWNsaWVudA==";
        let body = format!(
            r#"{{"error":"invalid_client","error_description":"got s3cret-of-the-client in {sent}"}}"#
        );
        let error = read(&exchange, 401, &body).unwrap_err().to_string();
        assert_eq!(
            error,
            "the server refused it: HTTP 401, invalid_client: got ***stripped*** in ***stripped***"
        );
    }

    #[test]
    fn answers() {
        let good = |rest: &str| {
            format!(r#"{{"access_token":"at","issued_token_type":"urn:x","token_type":"Bearer"{rest}}}"#)
        };
        let expires = |text: &str| Ok(Some(text.parse().unwrap()));
        let table = [
            (good(r#","expires_in":60"#), expires("2026-03-01T12:01:00Z")),
            (good(r#","expires_in":"60""#), expires("2026-03-01T12:01:00Z")),
            (good(r#","scope":"x","more":[1]"#), Ok(None)),
            (good(r#","expires_in":null"#), Ok(None)),
            (good(r#","expires_in":0"#), Err(AnswerError::Expired)),
            (good(r#","expires_in":18446744073709551615"#), Err(AnswerError::Value("expires_in"))),
            (good("").replace("Bearer", "bearer"), Ok(None)),
            (good("").replace("Bearer", "DPoP"), Err(AnswerError::Value("token_type"))),
            (good("").replace("\"at\"", "\"a\\nt\""), Err(AnswerError::Value("access_token"))),
            (good("").replace("\"at\"", "null"), Err(AnswerError::Missing("access_token"))),
            (good("").replace("issued_token", "other_token"), Err(AnswerError::Missing("issued_token_type"))),
            (good("").replace("\"token_type", "\"x"), Err(AnswerError::Missing("token_type"))),
        ];
        for (body, expected) in table {
            let found = read(&plain(), 200, &body).map(|found| found.expires());
            assert_eq!(found, expected, "{body}");
        }
        for body in [r#"{"access_token":12}"#, "", "<html>", r#"{"expires_in":-1}"#] {
            assert!(matches!(read(&plain(), 200, body), Err(AnswerError::Json(_))), "{body}");
        }
    }

    #[test]
    fn a_token_of_another_type_than_the_wanted_is_not_taken() {
        let exchange = plain().requested_token_type("urn:wanted").unwrap();
        let body = r#"{"access_token":"at","issued_token_type":"urn:other","token_type":"N_A"}"#;
        assert_eq!(read(&exchange, 200, body), Err(AnswerError::Value("issued_token_type")));
        assert!(read(&exchange, 200, &body.replace("other", "wanted")).is_ok());
    }

    #[test]
    fn refusals() {
        let table = [
            (
                400,
                r#"{"error":"invalid_grant","error_description":"no such subject"}"#,
                "HTTP 400, invalid_grant: no such subject",
                false,
            ),
            (400, r#"{"error":"temporarily_unavailable"}"#, "HTTP 400, temporarily_unavailable", true),
            (429, "slow down", "HTTP 429", true),
            (503, "", "HTTP 503", true),
            (501, "", "HTTP 501", false),
            (403, "<html>", "HTTP 403", false),
        ];
        for (status, body, text, transient) in table {
            let Err(AnswerError::Refused(refusal)) = read(&plain(), status, body) else { panic!("{body}") };
            assert_eq!((refusal.to_string().as_str(), refusal.transient), (text, transient));
        }
        let echo = format!(r#"{{"error":"{TOKEN}","error_description":"token {TOKEN} is bad"}}"#);
        let error = read(&plain(), 400, &echo).unwrap_err();
        assert_eq!(
            error.to_string(),
            "the server refused it: HTTP 400, ***stripped***: token ***stripped*** is bad"
        );
    }
}
