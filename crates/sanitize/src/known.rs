//! What is known to be secret in one request, to be blanked in whatever is said about it: the message of a gRPC status ends
//! in an Event, which many may read.

use std::borrow::Cow;
use std::cmp::Reverse;
use std::fmt;

use zeroize::Zeroizing;

use crate::secret::blank_secret;
use crate::text::blank_tokens;

/// A shorter secret is a word like `on`, and blanking it would only garble messages.
const SHORTEST_SECRET: usize = 6;
/// A shorter run of letters in a value that nobody could read is no token.
const SHORTEST_RUN: usize = 16;

/// Secrets that a text must not repeat. Wiped on drop; `Debug` says how many there are.
///
/// ```
/// use tokenward_sanitize::KnownSecrets;
///
/// let mut known = KnownSecrets::new();
/// known.insert("correct horse");
/// let error = "login as bob with `correct horse` refused, token eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJ4In0.c2ln";
/// assert_eq!(known.blank(error), "login as bob with `***stripped***` refused, token ***stripped***");
/// ```
#[derive(Default)]
pub struct KnownSecrets {
    /// Longest first: one secret can be a part of another.
    secrets: Vec<Zeroizing<String>>,
}

impl KnownSecrets {
    /// None yet: texts lose what is shaped like a token, and nothing else.
    ///
    /// Shown at [`KnownSecrets`].
    #[must_use]
    pub const fn new() -> Self {
        Self { secrets: Vec::new() }
    }

    /// Remembers a secret, unless it is shorter than six bytes.
    ///
    /// Shown at [`KnownSecrets`].
    pub fn insert(&mut self, secret: &str) {
        if secret.len() < SHORTEST_SECRET {
            return;
        }
        let at = self.secrets.partition_point(|known| Reverse(known.len()) <= Reverse(secret.len()));
        self.secrets.insert(at, Zeroizing::new(secret.to_owned()));
    }

    /// Remembers a value that holds secrets and could not be read: as a whole, and each run of characters in it that could be a
    /// token.
    ///
    /// ```
    /// use tokenward_sanitize::KnownSecrets;
    ///
    /// let mut known = KnownSecrets::new();
    /// known.insert_unreadable(r#"{"vault":"tok-0123456789abcdef"}"#);
    /// assert_eq!(known.blank("got tok-0123456789abcdef"), "got ***stripped***");
    /// ```
    pub fn insert_unreadable(&mut self, value: &str) {
        self.insert(value);
        let runs = value.split(|c: char| !(c.is_ascii_alphanumeric() || "-_.=+".contains(c)));
        for run in runs.filter(|run| run.len() >= SHORTEST_RUN) {
            self.insert(run);
        }
    }

    /// The text without these secrets (see [`blank_secret`]) and without whatever is shaped like a token (see
    /// [`blank_tokens`]).
    ///
    /// Shown at [`KnownSecrets`].
    #[must_use]
    pub fn blank<'text>(&self, text: &'text str) -> Cow<'text, str> {
        match self.blank_known(text) {
            Cow::Borrowed(text) => blank_tokens(text),
            Cow::Owned(text) => Cow::Owned(blank_tokens(&text).into_owned()),
        }
    }

    /// The text without these secrets alone, for whoever looks for tokens by other means too.
    ///
    /// ```
    /// use tokenward_sanitize::KnownSecrets;
    ///
    /// let mut known = KnownSecrets::new();
    /// known.insert("correct horse");
    /// let error = "`correct horse` refused with eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJ4In0.c2ln";
    /// let clean = "`***stripped***` refused with eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJ4In0.c2ln";
    /// assert_eq!(known.blank_known(error), clean);
    /// ```
    #[must_use]
    pub fn blank_known<'text>(&self, text: &'text str) -> Cow<'text, str> {
        let mut clean = Cow::Borrowed(text);
        for secret in &self.secrets {
            if let Cow::Owned(cleaner) = blank_secret(&clean, secret) {
                clean = Cow::Owned(cleaner);
            }
        }
        clean
    }
}

impl fmt::Debug for KnownSecrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KnownSecrets").field("count", &self.secrets.len()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::STRIPPED;

    #[test]
    fn a_secret_inside_another_does_not_break_it_up() {
        let mut known = KnownSecrets::new();
        for secret in ["secret", "a secret inside", "inside", "on"] {
            known.insert(secret);
        }
        assert_eq!(known.blank("<a secret inside> on secret"), format!("<{STRIPPED}> on {STRIPPED}"));
        assert_eq!(format!("{known:?}"), "KnownSecrets { count: 3 }");
    }

    #[test]
    fn a_text_that_says_nothing_is_not_copied() {
        let mut known = KnownSecrets::new();
        known.insert("secret");
        assert!(matches!(known.blank("nothing to see"), Cow::Borrowed("nothing to see")));
    }

    proptest::proptest! {
        #[test]
        fn none_survives(secrets in proptest::collection::vec("[!-~]{6,40}", 1..5), words in proptest::collection::vec("[a-z \"]{0,10}", 5)) {
            let mut known = KnownSecrets::new();
            let mut text = String::new();
            for (secret, word) in secrets.iter().zip(&words) {
                known.insert(secret);
                text.push_str(secret);
                text.push_str(word);
            }
            let clean = known.blank(&text).into_owned();
            for secret in secrets.iter().filter(|secret| !STRIPPED.contains(secret.as_str())) {
                proptest::prop_assert!(!clean.contains(secret), "{} in {}", secret, clean);
            }
        }
    }
}
