//! One compact JWS at a place that is known, its characters perhaps escaped.

use zeroize::Zeroizing;

use crate::header;

/// A longer header is none of a service account token's: it holds an algorithm and the name of a key.
const LONGEST_HEADER: usize = 1024;

/// A longer payload is not looked into, only skipped.
const LONGEST_PAYLOAD: usize = 16 * 1024;

/// What was read at a candidate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Read {
    /// A token that ends here.
    Token { end: usize, is_service_account: bool },
    /// None; and no other can begin before this place.
    No { next: usize },
}

/// The character at a place and how many bytes it takes: one, or more when it is escaped as in a URL or in JSON.
fn character(bytes: &[u8], at: usize) -> Option<(u8, usize)> {
    let byte = *bytes.get(at)?;
    let hex = |digits: &[u8]| {
        let text = std::str::from_utf8(digits).ok()?;
        u8::from_str_radix(text, 16).ok().filter(|_| digits.iter().all(u8::is_ascii_hexdigit))
    };
    match byte {
        b'%' => Some((hex(bytes.get(at + 1..at + 3)?)?, 3)),
        b'\\' if bytes.get(at + 1..at + 4) == Some(b"u00") => Some((hex(bytes.get(at + 4..at + 6)?)?, 6)),
        _ => Some((byte, 1)),
    }
}

fn is_base64url(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')
}

/// One part: where it ends, and its characters as far as they were wanted.
struct Part {
    end: usize,
    text: Zeroizing<Vec<u8>>,
    length: usize,
}

fn part(bytes: &[u8], start: usize, keep: usize) -> Part {
    let mut part = Part { end: start, text: Zeroizing::new(Vec::new()), length: 0 };
    while let Some((byte, width)) = character(bytes, part.end).filter(|(byte, _)| is_base64url(*byte)) {
        if part.length < keep {
            part.text.push(byte);
        }
        part.length += 1;
        part.end += width;
    }
    part
}

/// The place behind a dot, if there is one.
fn dot(bytes: &[u8], at: usize) -> Option<usize> {
    character(bytes, at).filter(|(byte, _)| *byte == b'.').map(|(_, width)| at + width)
}

/// Reads a token that starts at `start`.
pub(crate) fn read(bytes: &[u8], start: usize) -> Read {
    let first = part(bytes, start, LONGEST_HEADER);
    // Whatever starts within the first part ends with it too.
    let Some(second_start) = dot(bytes, first.end) else { return Read::No { next: first.end } };
    if first.length > LONGEST_HEADER {
        // One that begins later may be shorter.
        return Read::No { next: (start + 1).max(first.end - LONGEST_HEADER) };
    }
    let second = part(bytes, second_start, LONGEST_PAYLOAD);
    let Some(mut end) = dot(bytes, second.end).filter(|_| second.length > 0) else {
        return Read::No { next: first.end };
    };
    if !header::is_header(&first.text) {
        return Read::No { next: start + 1 };
    }
    // The signature; and of an encrypted token, what follows it.
    loop {
        end = part(bytes, end, 0).end;
        match dot(bytes, end) {
            Some(next) if part(bytes, next, 0).length > 0 => end = next,
            _ => break,
        }
    }
    let is_service_account = second.length <= LONGEST_PAYLOAD && header::is_service_account(&second.text);
    Read::Token { end, is_service_account }
}
