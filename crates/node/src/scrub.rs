//! Free text from others made safe: what a driver or a server says in an error may quote the token it was sent.

use std::borrow::Cow;

use tokenward_sanitize::KnownSecrets;
use tokenward_tokens::{TokenMap, TokensValue};

use crate::objects::Secret;

/// Longest text of a driver that is kept (an Event's message holds 1024 bytes in all).
const LONGEST_TEXT: usize = 800;

/// The secrets of one request, to be blanked in what the driver answers; by default of a request without any.
#[derive(Default)]
pub struct Scrubber(KnownSecrets);

impl Scrubber {
    /// Knows the tokens of a request, each by itself and all as they were sent, and the entries of the Secret sent with them.
    pub fn of(tokens: Option<(&TokenMap, &TokensValue)>, secret: Option<&Secret>) -> Self {
        let mut known = KnownSecrets::new();
        if let Some((tokens, value)) = tokens {
            known.insert(value.expose_value());
            tokens.iter().for_each(|(_, entry)| known.insert(entry.token.expose_token()));
        }
        let entries = secret.into_iter().flat_map(|secret| secret.data.values());
        // What is no text has not been sent.
        for text in entries.filter_map(|entry| std::str::from_utf8(entry.expose_bytes()).ok()) {
            known.insert(text);
        }
        Self(known)
    }

    /// The text without secrets, control characters and excess length.
    pub fn scrub(&self, text: &str) -> String {
        let clean = blank(&self.0, text);
        let printable: String = clean.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        truncate(printable, LONGEST_TEXT)
    }
}

/// The text without tokens that nobody here knows of: those that are tokens, in base64 and escaped too, and what has the shape
/// of one that was cut.
pub fn blank_unknown(text: &str) -> Cow<'_, str> {
    blank(&KnownSecrets::new(), text)
}

fn blank<'text>(known: &KnownSecrets, text: &'text str) -> Cow<'text, str> {
    known.blank_with(text, tokenward_leaks::find(text.as_bytes()).map(|found| found.range))
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

    use crate::objects::SecretValue;

    #[test]
    fn known_secrets_are_blanked_whatever_their_shape() {
        let mut tokens = TokenMap::new();
        let token = Token::new("opaque-token-0123".to_owned());
        tokens.insert(Audience::new("a"), TokenEntry { token, expires: None });
        let entry = |key: &str, value: &str| (key.to_owned(), SecretValue::new(value.into()));
        let data = [entry("user", "me"), entry("password", "hunter2-and-more")].into();
        let secret = Secret { data, ..Secret::default() };
        let shaped = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJ4In0.c2ln";
        let scrubber = Scrubber::of(Some((&tokens, &tokens.to_value())), Some(&secret));
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
        let clean = Scrubber::default().scrub(&text);
        assert_eq!(clean, "***stripped*** ***stripped*** ?t=***stripped*** ***stripped***");
    }

    #[test]
    fn a_token_that_is_half_known_is_blanked_whole() {
        let common = "eyJhbGciOiJSUzI1NiIsImtpZCI6IjEyMyJ9.eyJhdWQiOlsidmF1bHQiXSwiZXhwIjox";
        let (ours, other) =
            (format!("{common}NzAwfQ.c2lnbmF0dXJl"), format!("{common}ODAwfQ.b3RoZXItc2lnbmF0dXJl"));
        let mut tokens = TokenMap::new();
        tokens.insert(Audience::new("vault"), TokenEntry { token: Token::new(ours), expires: None });
        let scrubber = Scrubber::of(Some((&tokens, &tokens.to_value())), None);
        let in_url = other.replace('.', "%2E");
        assert_eq!(scrubber.scrub(&format!("{other}, {in_url}")), "***stripped***, ***stripped***");
    }

    #[test]
    fn long_texts_are_cut_at_a_character() {
        let text = Scrubber::default().scrub(&"ä".repeat(1000));
        assert!(text.len() <= LONGEST_TEXT && text.ends_with("..."), "{}", text.len());
    }
}
