//! Service account tokens in text and bytes that others wrote: found, and blanked.
//!
//! A token is a compact JWS: three parts in base64url with dots between, the first of which decodes to a JSON object with an
//! `alg`. It is found as it is, inside JSON strings and with characters escaped there (`\u002e`) or in URLs (`%2E`), and
//! inside base64, at any offset. The one invariant: **what is returned or printed of a find is its place, never its text.**
//!
//! Time is in proportion to the length: candidates come from a search for the few ways in which a JOSE header can
//! begin, and each is looked at within bounds.
//!
//! ```
//! use tokenward_leaks::{Spelling, blank, find};
//!
//! let line = "mount failed: {\"token\":\"eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJzeXN0ZW06c2VydmljZWFjY291bnQ6YTpiIn0.c2ln\"}";
//! let found: Vec<_> = find(line.as_bytes()).collect();
//! assert_eq!((found.len(), found[0].spelling, found[0].is_service_account), (1, Spelling::Plain, true));
//! assert_eq!(blank(line), "mount failed: {\"token\":\"***stripped***\"}");
//! ```
//!
//! What has only the shape of a token, cut off or with an unreadable header, is the business of `tokenward_sanitize`, which
//! looks at less text and can afford to take too much away. [`find()`] is for what must not cry wolf.

mod base64_text;
mod candidates;
mod find;
mod header;
mod jws;

use std::borrow::Cow;

pub use find::{Finds, Found, Spelling, find};

/// What stands where a token was.
pub const STRIPPED: &str = "***stripped***";

/// The text without tokens; one that has none is not copied.
#[must_use]
pub fn blank(text: &str) -> Cow<'_, str> {
    let mut finds = find(text.as_bytes()).peekable();
    if finds.peek().is_none() {
        return Cow::Borrowed(text);
    }
    let mut clean = String::with_capacity(text.len());
    let mut shown = 0;
    for Found { range, .. } in finds {
        // Both ends are beside ASCII characters that belong to the token.
        clean.push_str(&text[shown..range.start]);
        clean.push_str(STRIPPED);
        shown = range.end;
    }
    clean.push_str(&text[shown..]);
    Cow::Owned(clean)
}

/// The bytes without tokens; what has none is not copied.
#[must_use]
pub fn blank_bytes(bytes: &[u8]) -> Cow<'_, [u8]> {
    let mut finds = find(bytes).peekable();
    if finds.peek().is_none() {
        return Cow::Borrowed(bytes);
    }
    let mut clean = Vec::with_capacity(bytes.len());
    let mut shown = 0;
    for Found { range, .. } in finds {
        clean.extend_from_slice(&bytes[shown..range.start]);
        clean.extend_from_slice(STRIPPED.as_bytes());
        shown = range.end;
    }
    clean.extend_from_slice(&bytes[shown..]);
    Cow::Owned(clean)
}
