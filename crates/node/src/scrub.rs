//! Free text from others made safe: what a driver or a server says in an error may quote the token it was sent.

use std::borrow::Cow;
use std::collections::BTreeMap;

use tokenward_sanitize::{blank_secret, blank_tokens};
use tokenward_tokens::TokenMap;
use zeroize::Zeroizing;

/// Shorter secret values are not searched for: they would blank ordinary words.
const SHORTEST_SECRET: usize = 6;

/// Longest text of a driver that is kept (an Event's message holds 1024 bytes in all).
const LONGEST_TEXT: usize = 800;

/// The secrets of one request, to be blanked in what the driver answers. Wiped on drop; no `Debug`.
pub struct Scrubber(Vec<Zeroizing<String>>);

impl Scrubber {
    /// Knows the tokens and the secret entries of a request.
    pub fn new(tokens: Option<&TokenMap>, secrets: &BTreeMap<String, String>) -> Self {
        let tokens = tokens.into_iter().flat_map(TokenMap::iter).map(|(_, entry)| entry.token.expose_token());
        let mut known: Vec<Zeroizing<String>> = tokens
            .chain(secrets.values().map(String::as_str))
            .filter(|secret| secret.len() >= SHORTEST_SECRET)
            .map(|secret| Zeroizing::new(secret.to_owned()))
            .collect();
        // A secret inside another must not break up the longer one.
        known.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        Self(known)
    }

    /// The text without secrets, control characters and excess length.
    pub fn scrub(&self, text: &str) -> String {
        let mut clean = Zeroizing::new(text.to_owned());
        for secret in &self.0 {
            if let Cow::Owned(blanked) = blank_secret(&clean, secret) {
                *clean = blanked;
            }
        }
        let printable: String =
            blank_unknown(&clean).chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        truncate(printable, LONGEST_TEXT)
    }
}

/// The text without tokens that nobody here knows of: those that are tokens, in base64 and escaped too, and what has the shape
/// of one that was cut.
pub fn blank_unknown(text: &str) -> Cow<'_, str> {
    match tokenward_leaks::blank(text) {
        Cow::Borrowed(text) => blank_tokens(text),
        Cow::Owned(blanked) => Cow::Owned(blank_tokens(&blanked).into_owned()),
    }
}

/// Cuts a text to so many bytes, at a character's boundary, and says so.
pub fn truncate(mut text: String, longest: usize) -> String {
    if text.len() > longest {
        text.truncate(text.floor_char_boundary(longest.saturating_sub(3)));
        text.push_str("...");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokenward_tokens::{Audience, Token, TokenEntry};

    #[test]
    fn known_secrets_are_blanked_whatever_their_shape() {
        let mut tokens = TokenMap::new();
        let token = Token::new("opaque-token-0123".to_owned());
        tokens.insert(Audience::new("a"), TokenEntry { token, expires: None });
        let secrets = BTreeMap::from([
            ("user".to_owned(), "me".to_owned()),
            ("password".to_owned(), "hunter2-and-more".to_owned()),
        ]);
        let shaped = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJ4In0.c2ln";
        let scrubber = Scrubber::new(Some(&tokens), &secrets);
        assert_eq!(
            scrubber.scrub(&format!("me: hunter2-and-more\nopaque-token-0123, {shaped}")),
            "me: ***stripped*** ***stripped***, ***stripped***"
        );
    }

    #[test]
    fn tokens_of_others_are_blanked_however_they_are_written() {
        let token = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJ4In0.c2lnbmF0dXJl";
        let in_base64 = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, token);
        let in_url = token.replace('.', "%2E");
        let cut = &token[..40];
        let text = format!("{token} {in_base64} ?t={in_url} {cut}");
        let clean = Scrubber::new(None, &BTreeMap::new()).scrub(&text);
        assert_eq!(clean, "***stripped*** ***stripped*** ?t=***stripped*** ***stripped***");
    }

    #[test]
    fn long_texts_are_cut_at_a_character() {
        let text = Scrubber::new(None, &BTreeMap::new()).scrub(&"ä".repeat(1000));
        assert!(text.len() <= LONGEST_TEXT && text.ends_with("..."), "{}", text.len());
    }
}
