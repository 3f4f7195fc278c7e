//! What every exchange is: a request made of a token, and credentials read from an answer.

use std::fmt;

use http::{HeaderName, HeaderValue};
use jiff::Timestamp;
use tokenward_tokens::Token;
use zeroize::Zeroizing;

use crate::{Answer, AnswerError, Credentials, Endpoint};

/// One way to exchange a token, with all that it needs but the token.
///
/// Pure: it sends nothing and asks no clock, so that an exchange of one's own is two functions and a table of tests. Object-safe: a driver
/// holds whichever its configuration names.
///
/// ```
/// use http::header::{AUTHORIZATION, HeaderValue};
/// use tokenward_exchange::tokens::Token;
/// use tokenward_exchange::{
///     Answer, AnswerError, BearerToken, Credentials, Endpoint, Exchange, Refusal, Request, Secret,
/// };
///
/// /// A server that takes a token as a form, and answers with nothing but another one.
/// #[derive(Debug)]
/// struct Plain(Endpoint);
///
/// impl Exchange for Plain {
///     fn endpoint(&self) -> &Endpoint {
///         &self.0
///     }
///
///     fn request(&self, token: &Token) -> Request {
///         let mut request = Request::form("text/plain", &[("jwt", token.expose_token())]);
///         request.headers.push((AUTHORIZATION, HeaderValue::from_static("Plain v=1")));
///         request
///     }
///
///     fn credentials(&self, answer: &Answer, _now: jiff::Timestamp) -> Result<Credentials, AnswerError> {
///         if !answer.is_success() {
///             return Err(AnswerError::Refused(Refusal::new(answer.status())));
///         }
///         let text = str::from_utf8(answer.expose_body()).map_err(|_| AnswerError::Value("body"))?;
///         Ok(Credentials::Bearer(BearerToken { token: Secret::new(text.to_owned()), expires: None }))
///     }
/// }
///
/// let plain = Plain(Endpoint::parse("https://sts.example/plain")?);
/// let token = Token::new("a.b.c".to_owned());
/// assert_eq!(plain.request(&token).expose_body(), b"jwt=a.b.c");
/// assert_eq!(format!("{:?}", plain.request(&token)), "Request(application/x-www-form-urlencoded, 9 bytes)");
/// let answer = Answer::new(200, b"granted".to_vec(), &token);
/// assert!(plain.credentials(&answer, "2026-03-01T12:00:00Z".parse()?)?.expires().is_none());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait Exchange: fmt::Debug + Send + Sync {
    /// Where the request goes.
    ///
    /// Shown at [`Exchange`].
    fn endpoint(&self) -> &Endpoint;

    /// The request for this token.
    ///
    /// Shown at [`Exchange`].
    fn request(&self, token: &Token) -> Request;

    /// The credentials of an answer that came at `now`, whatever its status.
    ///
    /// Shown at [`Exchange`].
    ///
    /// # Errors
    /// [`AnswerError::Refused`] when the server said no, the others when what it said cannot be used.
    fn credentials(&self, answer: &Answer, now: Timestamp) -> Result<Credentials, AnswerError>;
}

/// A POST request with a token in its body. Overwritten when dropped; `Debug` shows its kind and length.
///
/// Shown at [`Exchange`].
pub struct Request {
    /// `Content-Type`.
    pub content_type: &'static str,
    /// `Accept`.
    pub accept: &'static str,
    /// Further headers.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    body: Zeroizing<Vec<u8>>,
}

impl Request {
    /// A request with these bytes.
    ///
    /// ```
    /// use tokenward_exchange::Request;
    /// use zeroize::Zeroizing;
    ///
    /// let body = Zeroizing::new(br#"{"jwt":"a.b.c"}"#.to_vec());
    /// let request = Request::new("application/json", "application/json", body);
    /// assert_eq!(format!("{request:?}"), "Request(application/json, 15 bytes)");
    /// ```
    #[must_use]
    pub fn new(content_type: &'static str, accept: &'static str, body: Zeroizing<Vec<u8>>) -> Self {
        Self { content_type, accept, headers: Vec::new(), body }
    }

    /// A form (`application/x-www-form-urlencoded`).
    ///
    /// Shown at [`Exchange`].
    #[must_use]
    pub fn form(accept: &'static str, fields: &[(&str, &str)]) -> Self {
        // Room for the worst case, each byte as `%XX`: a buffer that grows leaves copies of the token behind.
        let most = fields.iter().map(|(name, value)| 3 * (name.len() + value.len()) + 2).sum();
        let mut form = form_urlencoded::Serializer::new(String::with_capacity(most));
        form.extend_pairs(fields);
        let body = Zeroizing::new(form.finish().into_bytes());
        Self::new("application/x-www-form-urlencoded", accept, body)
    }

    /// The body itself, for the wire and for nothing else.
    ///
    /// Shown at [`Exchange`].
    #[must_use]
    pub fn expose_body(&self) -> &[u8] {
        &self.body
    }

    pub(crate) fn into_body(self) -> Zeroizing<Vec<u8>> {
        self.body
    }
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Request({}, {} bytes)", self.content_type, self.body.len())
    }
}

/// A parameter of an exchange that cannot be used.
///
/// ```
/// use tokenward_exchange::{Endpoint, JwtLogin};
///
/// let login = Endpoint::parse("https://vault.example:8200/v1/auth/jwt/login")?;
/// let error = JwtLogin::new(login, "two words").unwrap_err();
/// assert_eq!(error.parameter, "role");
/// assert!(error.to_string().starts_with("role: wanted visible ASCII characters"));
/// # Ok::<(), tokenward_exchange::EndpointError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{parameter}: wanted {wanted}")]
pub struct ParameterError {
    /// Its name, as the protocol has it.
    pub parameter: &'static str,
    /// What it has to be.
    pub wanted: &'static str,
}

/// Checks a parameter that goes into a request as it is: visible ASCII with at most `most` bytes.
pub(crate) fn check(parameter: &'static str, value: &str, most: usize) -> Result<(), ParameterError> {
    let is_good = (1..=most).contains(&value.len()) && value.bytes().all(|byte| byte.is_ascii_graphic());
    let wanted = "visible ASCII characters, without spaces, and not too many of them";
    if is_good { Ok(()) } else { Err(ParameterError { parameter, wanted }) }
}
