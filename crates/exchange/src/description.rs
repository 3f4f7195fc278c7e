//! What may be told of a text that a server has sent.

use std::fmt;

use tokenward_sanitize::{KnownSecrets, STRIPPED, blank_secret};

/// Longest description, in characters.
const LONGEST: usize = 240;
/// So many characters in a row of those that credentials are made of could be one.
const LONGEST_WORD: usize = 40;

/// A server's own words about a refusal: one line, short, without the secrets that were sent, without anything that looks like a token, and
/// without any run of characters that is long enough to be a credential.
///
/// ```
/// use tokenward_exchange::{Answer, tokens::Token};
///
/// let answer = Answer::new(400, Vec::new(), &Token::new("opaque-token-of-ours".to_owned()));
/// let said = answer.describe("bad jwt 'opaque-token-of-ours'\n(request 7)").expect("not empty");
/// assert_eq!(said.as_str(), "bad jwt '***stripped***' (request 7)");
/// assert_eq!(answer.describe(""), None);
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Description(String);

impl Description {
    /// The part of `text` that may be told; none when it is empty.
    pub(crate) fn of<'a>(text: &str, sent: impl IntoIterator<Item = &'a str>) -> Option<Self> {
        let sent: Vec<&str> = sent.into_iter().collect();
        let mut known = KnownSecrets::new();
        sent.iter().for_each(|sent| known.insert(sent));
        let clean = known.blank(text).into_owned();
        // Also those too short to be known.
        let text = sent.iter().fold(clean, |text, sent| blank_secret(&text, sent).into_owned());
        let line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        let clean = blank_long_words(line.trim());
        // Cut last: a secret that was cut first would no longer be known.
        let cut = clean.char_indices().nth(LONGEST).map(|(at, _)| at);
        let clean = match cut {
            Some(at) => format!("{}...", &clean[..at]),
            None => clean,
        };
        (!clean.is_empty()).then_some(Self(clean))
    }

    /// The text.
    ///
    /// Shown at [`Description`].
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Servers quote what they were sent, and now and then what they would have sent.
fn blank_long_words(text: &str) -> String {
    let is_inside = |c: char| c.is_ascii_alphanumeric() || "+/=_-".contains(c);
    let mut clean = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let inside = is_inside(first);
        let end = rest.find(|c| is_inside(c) != inside).unwrap_or(rest.len());
        let (run, after) = rest.split_at(end);
        clean.push_str(if inside && run.len() >= LONGEST_WORD && !is_uuid(run) { STRIPPED } else { run });
        rest = after;
    }
    clean
}

/// Request ids, by which an operator finds the refusal in the server's log.
fn is_uuid(word: &str) -> bool {
    word.len() == 36
        && word.bytes().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}

impl fmt::Debug for Description {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl fmt::Display for Description {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SENT: &str = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJjNG40cnkifQ.c4n4ryc4n4ryc4n4ryc4n4ryc4n4ryc4n4ry";

    fn of(text: &str) -> Option<String> {
        Description::of(text, [SENT]).map(|description| description.to_string())
    }

    #[test]
    fn words_stay_and_secrets_go() {
        let table = [
            (
                "No OpenIDConnect provider found in your account",
                "No OpenIDConnect provider found in your account",
            ),
            ("role \"shop\" could not be found\n", "role \"shop\" could not be found"),
            ("a\tb\r\nc", "a b  c"),
            (
                "request 7a62c49f-347e-4fc4-9331-6e8eb1a9b2d4 denied",
                "request 7a62c49f-347e-4fc4-9331-6e8eb1a9b2d4 denied",
            ),
            ("key wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "key ***stripped***"),
            ("bad jwt: c4n4ryc4n4ryc4n4ryc4", "bad jwt: ***stripped***"),
            (SENT, "***stripped***"),
            // Another one with the same start.
            ("not eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJjNG40YmxlIn0.c2lnbmF0dXJl", "not ***stripped***"),
        ];
        for (text, expected) in table {
            assert_eq!(of(text).as_deref(), Some(expected));
        }
        assert_eq!(of(" \n"), None);
        let long = of(&"word ".repeat(100)).unwrap();
        assert_eq!(long.chars().count(), LONGEST + 3);
        assert!(long.ends_with("..."));
    }

    proptest! {
        #[test]
        fn no_piece_of_what_was_sent_is_left(before in "\\PC{0,300}", after in "\\PC{0,300}", from in 0_usize..60) {
            let text = format!("{before}{}{after}", &SENT[from..]);
            if let Some(description) = Description::of(&text, [SENT]) {
                let left = description.as_str().as_bytes().windows(20);
                let mut pieces = left.filter(|window| SENT.as_bytes().windows(20).any(|piece| piece == *window));
                prop_assert_eq!(pieces.next(), None);
                prop_assert!(description.as_str().chars().count() <= LONGEST + 3);
            }
        }

        #[test]
        fn one_line_comes_out(text in any::<String>()) {
            if let Some(description) = Description::of(&text, [SENT]) {
                prop_assert!(!description.as_str().chars().any(char::is_control));
            }
        }
    }
}
