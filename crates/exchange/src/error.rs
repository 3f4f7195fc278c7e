//! Why there are no credentials. No text here holds a token, a credential, or more of an answer than a [`Description`].

use std::error::Error;
use std::fmt;
use std::time::Duration;

use tokenward_jose::JsonError;

use crate::Description;

/// The steps of an exchange.
///
/// Shown at [`ExchangeError`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Step {
    /// Finding the server, connecting, TLS, sending.
    Send,
    /// Waiting for the answer and taking it in.
    Receive,
    /// Making sense of the answer.
    Read,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Send => "sending the request",
            Self::Receive => "receiving the answer",
            Self::Read => "reading the answer",
        })
    }
}

/// Why an exchange failed.
///
/// ```
/// use tokenward_exchange::{AnswerError, ExchangeError, Refusal, Step};
///
/// let refused = |status| ExchangeError::Answer {
///     origin: "https://sts.example".to_owned(),
///     source: AnswerError::Refused(Refusal::new(status)),
/// };
/// assert_eq!(refused(403).to_string(), "the exchange with https://sts.example gave no credentials");
/// assert_eq!((refused(403).step(), refused(403).kind()), (Some(Step::Read), "refused"));
/// // Worth another attempt: the kit's `Exchanger` asks the same.
/// assert!(refused(503).is_transient() && !refused(403).is_transient());
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExchangeError {
    /// The connection could not be made, or broke.
    #[error("the exchange with {origin} failed while {step}")]
    Broken {
        /// The server.
        origin: String,
        /// How far it came.
        step: Step,
        /// What the network, TLS or HTTP says.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// There was no token to exchange.
    #[error("there is no service account token to exchange")]
    NoToken,
    /// The server answered with a redirect, which is not followed.
    #[error(
        "{origin} redirects elsewhere (HTTP {status}), and a token is not sent after it: configure the final URL"
    )]
    Redirected {
        /// The server.
        origin: String,
        /// 3xx.
        status: u16,
    },
    /// The answer is larger than any answer should be.
    #[error("{origin} answered with more than {most} bytes")]
    TooLong {
        /// The server.
        origin: String,
        /// What would have been taken.
        most: usize,
    },
    /// No answer in time.
    #[error("{origin} gave no answer within {} s", limit.as_secs_f64())]
    TooSlow {
        /// The server.
        origin: String,
        /// The limit of one attempt.
        limit: Duration,
    },
    /// The answer says no, or cannot be used.
    #[error("the exchange with {origin} gave no credentials")]
    Answer {
        /// The server.
        origin: String,
        /// What was wrong with the answer.
        source: AnswerError,
    },
}

impl ExchangeError {
    /// The step that failed; none when there was nothing to do.
    ///
    /// Shown at [`ExchangeError`].
    #[must_use]
    pub fn step(&self) -> Option<Step> {
        match self {
            Self::Broken { step, .. } => Some(*step),
            Self::NoToken => None,
            Self::Redirected { .. } | Self::TooLong { .. } | Self::TooSlow { .. } => Some(Step::Receive),
            Self::Answer { .. } => Some(Step::Read),
        }
    }

    /// Whether the same request may go well a little later.
    ///
    /// Shown at [`ExchangeError`].
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Broken { .. } | Self::TooSlow { .. } => true,
            Self::NoToken | Self::Redirected { .. } | Self::TooLong { .. } => false,
            Self::Answer { source, .. } => source.is_transient(),
        }
    }

    /// One word for metrics and logs.
    ///
    /// Shown at [`ExchangeError`].
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Broken { .. } => "broken",
            Self::NoToken => "no_token",
            Self::Redirected { .. } => "redirected",
            Self::TooLong { .. } => "too_long",
            Self::TooSlow { .. } => "too_slow",
            Self::Answer { source: AnswerError::Refused(_), .. } => "refused",
            Self::Answer { .. } => "unusable",
        }
    }
}

/// Why an answer gives no credentials.
///
/// ```
/// use tokenward_exchange::{Answer, AnswerError, Endpoint, Exchange as _, TokenExchange, tokens::Token};
///
/// let exchange = TokenExchange::new(Endpoint::parse("https://sts.example/token")?);
/// let now = "2026-03-01T12:00:00Z".parse()?;
/// let read = |status, body: &str| {
///     let sent = Token::new("a.b.c".to_owned());
///     exchange.credentials(&Answer::new(status, body.as_bytes().to_vec(), &sent), now)
/// };
/// let untyped = r#"{"access_token":"granted"}"#;
/// assert_eq!(read(200, untyped), Err(AnswerError::Missing("issued_token_type")));
/// assert!(matches!(read(200, "<html>"), Err(AnswerError::Json(_))));
/// let refused = read(400, r#"{"error":"invalid_grant","error_description":"wrong audience"}"#);
/// let told = refused.unwrap_err().to_string();
/// assert_eq!(told, "the server refused it: HTTP 400, invalid_grant: wrong audience");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AnswerError {
    /// The server says no.
    #[error("the server refused it: {0}")]
    Refused(Refusal),
    /// Not JSON of the wanted shape.
    #[error("the answer cannot be read: {0}")]
    Json(JsonError),
    /// Not well-formed XML, or not UTF-8.
    #[error("the answer is not XML that can be read")]
    Xml,
    /// Something is missing.
    #[error("the answer has no {0}")]
    Missing(&'static str),
    /// Something is there and cannot be used.
    #[error("the {0} of the answer cannot be used")]
    Value(&'static str),
    /// Credentials that are over already.
    #[error("the credentials of the answer have expired already; compare the clocks")]
    Expired,
}

impl AnswerError {
    fn is_transient(&self) -> bool {
        matches!(self, Self::Refused(refusal) if refusal.transient)
    }
}

/// An error and its causes in one line, for logs.
pub(crate) fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

/// How a server said no.
///
/// ```
/// use tokenward_exchange::Refusal;
///
/// let overloaded = Refusal::new(503);
/// assert!(overloaded.transient && !Refusal::new(501).transient);
/// assert_eq!(overloaded.to_string(), "HTTP 503");
/// assert_eq!((overloaded.code, overloaded.description), (None, None));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The HTTP status.
    pub status: u16,
    /// The protocol's own code, such as `invalid_grant` or `ExpiredTokenException`.
    pub code: Option<Description>,
    /// The server's words.
    pub description: Option<Description>,
    /// Whether it may say yes a little later.
    pub transient: bool,
}

impl Refusal {
    /// A refusal about which nothing is known but the status: transient for 429 and 5xx, but for 501 and 505, which stay.
    ///
    /// Shown at [`Refusal`].
    #[must_use]
    pub fn new(status: u16) -> Self {
        let transient = status == 429 || (status >= 500 && status != 501 && status != 505);
        Self { status, code: None, description: None, transient }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HTTP {}", self.status)?;
        if let Some(code) = &self.code {
            write!(f, ", {code}")?;
        }
        if let Some(description) = &self.description {
            write!(f, ": {description}")?;
        }
        Ok(())
    }
}
