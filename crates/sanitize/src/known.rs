//! What is known to be secret in one request, to be blanked in whatever is said about it: the message of a gRPC status ends
//! in an Event, which many may read.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

use zeroize::Zeroizing;

use crate::places::Places;
use crate::secret::find_secret;
use crate::text::tokens;

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
        self.secrets.push(Zeroizing::new(secret.to_owned()));
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

    /// The text without these secrets (see [`blank_secret`](crate::blank_secret)) and without whatever is shaped like a token
    /// (see [`blank_tokens`](crate::blank_tokens)).
    ///
    /// Shown at [`KnownSecrets`].
    #[must_use]
    pub fn blank<'text>(&self, text: &'text str) -> Cow<'text, str> {
        self.blank_with(text, [])
    }

    /// The same, and without what somebody else has found in the text: for whoever looks for tokens by other means too. To look
    /// in what was blanked would not do: a token that has its first half in common with a known one has lost it there.
    ///
    /// ```
    /// use tokenward_sanitize::KnownSecrets;
    ///
    /// let mut known = KnownSecrets::new();
    /// known.insert("correct horse");
    /// let error = "`correct horse` refused by 10.0.0.7";
    /// let address = error.find("10.").map(|start| start..error.len());
    /// assert_eq!(known.blank_with(error, address), "`***stripped***` refused by ***stripped***");
    /// ```
    #[must_use]
    pub fn blank_with<'text>(
        &self,
        text: &'text str,
        found: impl IntoIterator<Item = Range<usize>>,
    ) -> Cow<'text, str> {
        let mut places = Places::default();
        places.extend(found);
        places.extend(tokens(text.as_bytes()));
        for secret in &self.secrets {
            find_secret(text, secret, &mut places);
        }
        places.blank(text)
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
    fn secrets_that_overlap_are_blanked_to_their_ends() {
        let mut known = KnownSecrets::new();
        for secret in ["abcdefgh0123", "0123ijklmnopqrstu"] {
            known.insert(secret);
        }
        assert_eq!(known.blank("<abcdefgh0123ijklmnopqrstu>"), format!("<{STRIPPED}>"));
    }

    #[test]
    fn what_a_token_has_in_common_with_a_known_one_does_not_hide_the_rest_of_it() {
        let common = "eyJhbGciOiJSUzI1NiIsImtpZCI6IjEyMyJ9.eyJhdWQiOlsidmF1bHQiXSwiZXhwIjox";
        let mut known = KnownSecrets::new();
        known.insert(&format!("{common}NzAwfQ.c2lnbmF0dXJl"));
        let other = format!("{common}ODAwfQ.b3RoZXI");
        assert_eq!(known.blank(&format!("not {other}!")), format!("not {STRIPPED}!"));
        // One that only somebody else can recognize.
        let escaped = other.replace('.', "%2E");
        let found = "not ".len().."not ".len() + escaped.len();
        assert_eq!(known.blank_with(&format!("not {escaped}!"), [found]), format!("not {STRIPPED}!"));
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
