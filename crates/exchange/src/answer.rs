//! An answer as it came, and what may be told of it.

use std::fmt;

use serde::de::DeserializeOwned;
use tokenward_jose::JsonError;
use tokenward_tokens::Token;
use zeroize::Zeroizing;

use crate::{AnswerError, Description};

/// The answer to a [`Request`](crate::Request). Knows the token that was sent, so that [`Answer::describe`] can take it out of what the
/// server says; overwritten when dropped; `Debug` shows status and length.
///
/// ```
/// use tokenward_exchange::{Answer, AnswerError, tokens::Token};
///
/// let sent = Token::new("eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJ4In0.c2ln".to_owned());
/// let answer = Answer::new(403, br#"["denied", 403]"#.to_vec(), &sent);
/// assert_eq!(format!("{answer:?}"), "Answer(403, 15 bytes)");
/// assert!(answer.status() == 403 && !answer.is_success());
/// assert!(answer.expose_body().starts_with(b"["));
///
/// let (word, code): (String, u16) = answer.json()?;
/// assert_eq!((word.as_str(), code), ("denied", 403));
/// // What is logged of an answer goes through `describe`, which knows what was sent.
/// let said = answer.describe(&format!("{word}: {}", sent.expose_token())).expect("not empty");
/// assert_eq!(said.as_str(), "denied: ***stripped***");
/// # Ok::<(), AnswerError>(())
/// ```
pub struct Answer {
    status: u16,
    body: Zeroizing<Vec<u8>>,
    sent: Token,
}

impl Answer {
    /// An answer with this status and body to a request with the token `sent`.
    ///
    /// Shown at [`Answer`].
    #[must_use]
    pub fn new(status: u16, body: Vec<u8>, sent: &Token) -> Self {
        Self::from_zeroizing(status, Zeroizing::new(body), sent)
    }

    pub(crate) fn from_zeroizing(status: u16, body: Zeroizing<Vec<u8>>, sent: &Token) -> Self {
        Self { status, body, sent: sent.clone() }
    }

    /// The HTTP status.
    ///
    /// Shown at [`Answer`].
    #[must_use]
    pub fn status(&self) -> u16 {
        self.status
    }

    /// Whether the status says that all went well.
    ///
    /// Shown at [`Answer`].
    #[must_use]
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// The body itself, for the reader of an [`Exchange`](crate::Exchange) and for nobody else.
    ///
    /// Shown at [`Answer`].
    #[must_use]
    pub fn expose_body(&self) -> &[u8] {
        &self.body
    }

    /// Reads the body as JSON. Members that `T` does not know are ignored.
    ///
    /// Shown at [`Answer`].
    ///
    /// # Errors
    /// When it is not JSON of that shape. The error quotes nothing of it.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, AnswerError> {
        serde_json::from_slice(&self.body).map_err(|error| AnswerError::Json(JsonError::from(&error)))
    }

    /// What may be told of a text in this answer; none when it is empty.
    ///
    /// Shown at [`Answer`].
    #[must_use]
    pub fn describe(&self, text: &str) -> Option<Description> {
        self.describe_without(text, std::iter::empty())
    }
}

impl Answer {
    /// The same where further secrets were sent beside the token.
    pub(crate) fn describe_without<'a>(
        &'a self,
        text: &str,
        secrets: impl Iterator<Item = &'a str>,
    ) -> Option<Description> {
        Description::of(text, std::iter::once(self.sent.expose_token()).chain(secrets))
    }
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Answer({}, {} bytes)", self.status, self.body.len())
    }
}
