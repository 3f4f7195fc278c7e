//! Writing a token map byte for byte as the kubelet does: Go's `encoding/json` over a `map[string]TokenRequestStatus`.

use jiff::fmt::temporal::DateTimePrinter;
use zeroize::Zeroizing;

use crate::{TokenMap, TokensValue};

/// Whole seconds in UTC, `2027-01-15T08:00:00Z`.
const WHOLE_SECONDS: DateTimePrinter = DateTimePrinter::new().precision(Some(0));
const TIMESTAMP_LEN: usize = 20;
/// `:{"token":,"expirationTimestamp":""},` and two pairs of quotes.
const ENTRY_LEN: usize = 42;

pub(crate) fn serialize(map: &TokenMap) -> TokensValue {
    // Sized at once: a growing string would leave copies of tokens behind in freed memory.
    let size = map
        .iter()
        .map(|(audience, entry)| {
            escaped_len(audience.as_str())
                + escaped_len(entry.token.expose_token())
                + ENTRY_LEN
                + TIMESTAMP_LEN
        })
        .sum::<usize>();
    let mut json = Zeroizing::new(String::with_capacity(size + 2));
    json.push('{');
    for (index, (audience, entry)) in map.iter().enumerate() {
        if index > 0 {
            json.push(',');
        }
        push_string(&mut json, audience.as_str());
        json.push_str(r#":{"token":"#);
        push_string(&mut json, entry.token.expose_token());
        json.push_str(r#","expirationTimestamp":"#);
        match entry.expires {
            Some(time) => {
                json.push('"');
                json.push_str(&WHOLE_SECONDS.timestamp_to_string(&time));
                json.push('"');
            }
            None => json.push_str("null"),
        }
        json.push('}');
    }
    json.push('}');
    TokensValue::from_zeroizing(json)
}

fn escaped_len(text: &str) -> usize {
    let (plain, rest) = text.split_at(plain_len(text));
    let rest = rest.chars().map(|char| match escape(char) {
        Escape::No => char.len_utf8(),
        Escape::Short(_) => 2,
        Escape::Unicode => 6,
    });
    plain.len() + rest.sum::<usize>()
}

/// How much of the beginning is sure to need no escape: of a token, all.
fn plain_len(text: &str) -> usize {
    // The first byte of the line separators is 0xe2.
    let may_be_escaped = |byte: u8| matches!(byte, 0..=0x1f | b'"' | b'\\' | b'<' | b'>' | b'&' | 0xe2);
    // In blocks that are looked at whole, and are long enough for the compiler to compare many bytes at once.
    let is_plain =
        |block: &&[u8]| block.iter().fold(0, |found, byte| found | u8::from(may_be_escaped(*byte))) == 0;
    let blocks = text.as_bytes().chunks_exact(128).take_while(is_plain).count() * 128;
    let rest = &text.as_bytes()[blocks..];
    blocks + rest.iter().position(|byte| may_be_escaped(*byte)).unwrap_or(rest.len())
}

fn push_string(json: &mut String, text: &str) {
    let (plain, rest) = text.split_at(plain_len(text));
    json.push('"');
    json.push_str(plain);
    for char in rest.chars() {
        match escape(char) {
            Escape::No => json.push(char),
            Escape::Short(letter) => {
                json.push('\\');
                json.push(letter);
            }
            Escape::Unicode => {
                json.push_str("\\u");
                for shift in [12, 8, 4, 0] {
                    let digit = u32::from(char) >> shift & 0xf;
                    json.push(char::from_digit(digit, 16).expect("four bits are one hexadecimal digit"));
                }
            }
        }
    }
    json.push('"');
}

enum Escape {
    No,
    Short(char),
    Unicode,
}

/// Go escapes what JSON demands, what HTML could mistake, and the two line separators of JavaScript. DEL it does not.
fn escape(char: char) -> Escape {
    match char {
        '"' | '\\' => Escape::Short(char),
        '\u{8}' => Escape::Short('b'),
        '\u{c}' => Escape::Short('f'),
        '\n' => Escape::Short('n'),
        '\r' => Escape::Short('r'),
        '\t' => Escape::Short('t'),
        '\0'..='\u{1f}' | '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => Escape::Unicode,
        _ => Escape::No,
    }
}

#[cfg(test)]
mod tests;
