//! Blanking a secret that is known, and the pieces of it that a message may quote.

use std::borrow::Cow;
use std::collections::HashSet;
use std::ops::Range;

use crate::output::Output;
use crate::places::Places;
use crate::text::{Tokens, push_json};

/// A run of so many bytes of a secret gives something of it away; shorter runs are found in ordinary words too.
const SHORTEST_PIECE: usize = 20;

/// The text without `secret`: the whole of it, and every run of 20 bytes or more that the two have in common; also as it
/// stands in quotes (Go's `%q`) or in JSON, where some of its characters are escaped.
///
/// A message that was cut, or that quotes the middle of a token, has no shape to be known by; only who knows the secret
/// can find it there. Meant for error texts: it takes time and room in proportion to both lengths.
///
/// ```
/// use tokenward_sanitize::blank_secret;
///
/// let secret = "correct-horse-battery-staple";
/// assert_eq!(blank_secret("cannot log in with horse-battery-staple", secret), "cannot log in with ***stripped***");
/// assert_eq!(blank_secret("no horse here", secret), "no horse here");
/// ```
pub fn blank_secret<'text>(text: &'text str, secret: &str) -> Cow<'text, str> {
    let mut places = Places::default();
    find_secret(text, secret, &mut places);
    places.blank(text)
}

/// Adds where in the text something of `secret` is, however it is written.
pub(crate) fn find_secret(text: &str, secret: &str, places: &mut Places) {
    find_spelling(text, secret, places);
    let in_json = in_json(secret);
    // Not everybody escapes what HTML reads.
    let in_plain_json = in_json.replace("\\u003c", "<").replace("\\u003e", ">").replace("\\u0026", "&");
    let spellings = [in_quotes(secret), in_json, in_plain_json];
    for (at, spelling) in spellings.iter().enumerate() {
        if spelling != secret && !spellings[..at].contains(spelling) {
            find_spelling(text, spelling, places);
        }
    }
}

fn in_quotes(secret: &str) -> String {
    let mut spelling = String::with_capacity(secret.len());
    for char in secret.chars() {
        match char {
            '"' | '\\' => spelling.extend(['\\', char]),
            '\x07' => spelling.push_str("\\a"),
            '\x08' => spelling.push_str("\\b"),
            '\t' => spelling.push_str("\\t"),
            '\n' => spelling.push_str("\\n"),
            '\x0b' => spelling.push_str("\\v"),
            '\x0c' => spelling.push_str("\\f"),
            '\r' => spelling.push_str("\\r"),
            '\0'..' ' | '\x7f' => spelling.push_str(&format!("\\x{:02x}", u32::from(char))),
            other => spelling.push(other),
        }
    }
    spelling
}

fn in_json(secret: &str) -> String {
    let mut out = Output::default();
    push_json(&mut out, secret.as_bytes(), Tokens::Shown);
    let quoted = String::from_utf8_lossy(out.as_bytes());
    quoted.get(1..quoted.len() - 1).unwrap_or_default().to_owned()
}

fn find_spelling(text: &str, secret: &str, places: &mut Places) {
    let width = secret.len().min(SHORTEST_PIECE);
    if width == 0 || text.len() < width {
        return;
    }
    let windows: HashSet<&[u8]> = secret.as_bytes().windows(width).collect();
    let mut run: Option<Range<usize>> = None;
    for (at, window) in text.as_bytes().windows(width).enumerate() {
        if !windows.contains(window) {
            continue;
        }
        match &mut run {
            Some(run) if at <= run.end => run.end = at + width,
            _ => places.extend(run.replace(at..at + width)),
        }
    }
    places.extend(run);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SECRET: &str = "abcdefghijklmnopqrstuvwxyz0123456789";

    #[test]
    fn the_whole_and_its_pieces_are_blanked() {
        let table = [
            (format!("<{SECRET}>"), "<***stripped***>".to_owned()),
            (format!("<{}>", &SECRET[8..30]), "<***stripped***>".to_owned()),
            (
                format!("{} and {}", &SECRET[..20], &SECRET[16..]),
                "***stripped*** and ***stripped***".to_owned(),
            ),
            // A run of 19 says too little to be told from chance.
            (format!("<{}>", &SECRET[8..27]), format!("<{}>", &SECRET[8..27])),
            (String::new(), String::new()),
        ];
        for (text, expected) in table {
            assert_eq!(blank_secret(&text, SECRET), expected);
        }
        assert_eq!(
            blank_secret("pass tiger! twice tiger!", "tiger!"),
            "pass ***stripped*** twice ***stripped***"
        );
        assert_eq!(blank_secret("anything", ""), "anything");
    }

    #[test]
    fn escapes_do_not_hide_a_secret() {
        let secret = "p\"w<or\\d\n1";
        for spelling in [secret, r#"p\"w<or\\d\n1"#, r#"p\"w\u003cor\\d\n1"#] {
            assert_eq!(blank_secret(&format!("a {spelling} b"), secret), "a ***stripped*** b", "{spelling}");
        }
        let secret = "p\u{1}\u{7}wd&";
        for spelling in [secret, "p\\x01\\awd&", "p\\u0001\\u0007wd&", "p\\u0001\\u0007wd\\u0026"] {
            assert_eq!(blank_secret(&format!("a {spelling} b"), secret), "a ***stripped*** b", "{spelling}");
        }
    }

    #[test]
    fn characters_are_not_cut() {
        let secret = "ééééééééééééééé";
        assert_eq!(blank_secret(&format!("x{secret}y"), secret), "x***stripped***y");
        // The last byte of each é is also that of the ©: runs of bytes need not be runs of characters.
        let blanked = blank_secret("aééééééééééééééb", secret);
        assert_eq!(blanked, "a***stripped***b");
    }

    proptest! {
        #[test]
        fn no_piece_is_left(
            before in "\\PC{0,20}", after in "\\PC{0,20}", secret in "[a-zA-Z0-9_é-]{20,80}",
            start in 0_usize..60, length in 20_usize..80,
        ) {
            let start = secret.floor_char_boundary(start.min(secret.len()));
            let end = secret.ceil_char_boundary((start + length).min(secret.len()));
            let text = format!("{before}{}{after}", &secret[start..end]);
            let clean = blank_secret(&text, &secret);
            let left = clean.as_bytes().windows(20).any(|window| {
                secret.as_bytes().windows(20).any(|piece| piece == window)
            });
            prop_assert!(!left, "{clean}");
        }
    }
}
