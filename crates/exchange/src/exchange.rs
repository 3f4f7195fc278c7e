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
pub trait Exchange: fmt::Debug + Send + Sync {
    /// Where the request goes.
    fn endpoint(&self) -> &Endpoint;

    /// The request for this token.
    fn request(&self, token: &Token) -> Request;

    /// The credentials of an answer that came at `now`, whatever its status.
    ///
    /// # Errors
    /// [`AnswerError::Refused`] when the server said no, the others when what it said cannot be used.
    fn credentials(&self, answer: &Answer, now: Timestamp) -> Result<Credentials, AnswerError>;
}

/// A POST request with a token in its body. Overwritten when dropped; `Debug` shows its kind and length.
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
    #[must_use]
    pub fn new(content_type: &'static str, accept: &'static str, body: Zeroizing<Vec<u8>>) -> Self {
        Self { content_type, accept, headers: Vec::new(), body }
    }

    /// A form (`application/x-www-form-urlencoded`).
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
