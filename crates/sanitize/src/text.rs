//! Text on its way out: Go's JSON escapes, and the blanking of whatever has the shape of a signed token.

use std::borrow::Cow;

use crate::STRIPPED;
use crate::output::Output;

/// The first part of a token is a JSON object, `{"`, in base64: so it starts with this.
const START: &[u8] = b"eyJ";
/// Shorter first parts are no JOSE header: `{"alg":` alone takes ten.
const MIN_FIRST_PART: usize = 8;
/// What stands where something secret was, as JSON.
pub(crate) const QUOTED_STRIPPED: &[u8; 16] = b"\"***stripped***\"";

/// What becomes of tokens in text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tokens {
    /// Replaced by [`STRIPPED`].
    Stripped,
    /// Left, as upstream does.
    Shown,
}

/// Writes `bytes` as a JSON string. Each byte that is not UTF-8 becomes `\ufffd`, as in Go.
#[inline]
pub(crate) fn push_json(out: &mut Output, bytes: &[u8], tokens: Tokens) {
    push_between(out, b"\"", bytes, b"\"", tokens);
}

/// Writes `bytes` as a JSON string behind a comma and in front of a colon.
#[inline]
pub(crate) fn push_json_key(out: &mut Output, bytes: &[u8], tokens: Tokens) {
    push_between(out, b",\"", bytes, b"\":", tokens);
}

fn push_between<const N: usize>(
    out: &mut Output,
    before: &[u8; N],
    bytes: &[u8],
    behind: &[u8; N],
    tokens: Tokens,
) {
    if let Some((first, free)) = out.free(bytes.len() + 2 * N).split_first_chunk_mut()
        && let Some((text, free)) = free.split_at_mut_checked(bytes.len())
        && copy_plain(text, bytes)
        && let Some(last) = free.first_chunk_mut()
    {
        (*first, *last) = (*before, *behind);
        out.add(bytes.len() + 2 * N);
    } else {
        out.push_start(before, N);
        push_escaped(out, bytes, tokens);
        out.push_start(behind, N);
    }
}

/// Copies `bytes` as long as none of them is special, to where there is as much room; gives whether that was all of them. In
/// blocks, of which the last may overlap the one before. Nothing is copied before it was looked at.
#[expect(clippy::inline_always, reason = "most texts are short, and a call is as much work as they are")]
#[inline(always)]
fn copy_plain(to: &mut [u8], bytes: &[u8]) -> bool {
    let (blocks_to, rest_to) = to.as_chunks_mut::<32>();
    let (blocks, rest) = bytes.as_chunks::<32>();
    for (block_to, block) in blocks_to.iter_mut().zip(blocks) {
        if !copy_block(block_to, block) {
            return false;
        }
    }
    if rest.is_empty() {
        return true;
    }
    if let (Some(first_to), Some(first)) = (rest_to.first_chunk_mut::<16>(), rest.first_chunk::<16>())
        && !copy_block(first_to, first)
    {
        return false;
    }
    if let (Some(last_to), Some(last)) = (to.last_chunk_mut::<16>(), bytes.last_chunk::<16>()) {
        return copy_block(last_to, last);
    }
    if bytes.len() >= 8 {
        return copy_ends::<8>(to, bytes);
    }
    if bytes.len() >= 4 {
        return copy_ends::<4>(to, bytes);
    }
    if bytes.iter().any(|&byte| is_special(byte)) {
        return false;
    }
    for (to, &byte) in to.iter_mut().zip(bytes) {
        *to = byte;
    }
    true
}

/// [`copy_plain`] for texts of one or two blocks.
#[expect(clippy::inline_always, reason = "as for `copy_plain`")]
#[inline(always)]
fn copy_ends<const N: usize>(to: &mut [u8], bytes: &[u8]) -> bool {
    if let (Some(first_to), Some(first)) = (to.first_chunk_mut::<N>(), bytes.first_chunk::<N>())
        && copy_block(first_to, first)
        && let (Some(last_to), Some(last)) = (to.last_chunk_mut::<N>(), bytes.last_chunk::<N>())
    {
        return copy_block(last_to, last);
    }
    false
}

#[inline]
fn copy_block<const N: usize>(to: &mut [u8; N], block: &[u8; N]) -> bool {
    let is_plain = !has_special(block);
    if is_plain {
        *to = *block;
    }
    is_plain
}

/// Replaces every token-shaped part of `text` by [`STRIPPED`]; what has none is not copied. For status messages and other
/// free text that a stranger wrote.
///
/// Token-shaped is a compact JWS, three dotted base64url parts of which the first starts like `eyJ`, also when its
/// third part is cut off or missing, when its first part is cut off in front, and inside JSON-escaped text.
///
/// ```
/// use tokenward_sanitize::blank_tokens;
///
/// let error = "401 for eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJ4In0.c2ln, again with eyJhbGciOiJFUzI1NiJ9.eyJzdWI";
/// assert_eq!(blank_tokens(error), "401 for ***stripped***, again with ***stripped***");
/// let header = "eyJhbGciOiJFUzI1NiJ9 is a header, and says nothing";
/// assert_eq!(blank_tokens(header), header);
/// ```
#[must_use]
pub fn blank_tokens(text: &str) -> Cow<'_, str> {
    let mut tokens = tokens(text.as_bytes()).peekable();
    if tokens.peek().is_none() {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    let mut shown = 0;
    for token in tokens {
        out.push_str(&text[shown..token.start]);
        out.push_str(STRIPPED);
        shown = token.end;
    }
    out.push_str(&text[shown..]);
    Cow::Owned(out)
}

/// Where the token-shaped parts of `bytes` are, in order.
pub(crate) fn tokens(bytes: &[u8]) -> impl Iterator<Item = Place> {
    let mut from = 0;
    std::iter::from_fn(move || {
        let place = next_token(bytes, from)?;
        from = place.end;
        Some(place)
    })
}

/// Whether any part of `bytes` is token-shaped.
pub(crate) fn has_token(bytes: &[u8]) -> bool {
    next_token(bytes, 0).is_some()
}

/// Where a token-shaped text is; both ends are at ASCII characters.
type Place = std::ops::Range<usize>;

fn next_token(bytes: &[u8], from: usize) -> Option<Place> {
    let mut at = from;
    while let Some(found) = bytes.get(at..)?.windows(START.len()).position(|window| window == START) {
        let start = at + found;
        match token_end(bytes, start) {
            Ok(end) => return Some(start..end),
            Err(next) => at = next,
        }
    }
    None
}

/// The end of the token that starts at `start`; or, if there is none, from where on to look for the next start. (No other
/// start before that can be one: it would have the same parts behind it, and a shorter first one.)
fn token_end(bytes: &[u8], start: usize) -> Result<usize, usize> {
    let first = part_end(bytes, start);
    if first - start < MIN_FIRST_PART || bytes.get(first) != Some(&b'.') {
        return Err(first);
    }
    let second = part_end(bytes, first + 1);
    let follows = second > first + 1;
    let is_cut_in_claims = bytes[first + 1..].starts_with(START);
    // What looks first then is the claims of a token whose header was cut off.
    let is_headless = start > 0 && bytes[start - 1] == b'.';
    if !follows || !(bytes.get(second) == Some(&b'.') || is_cut_in_claims || is_headless) {
        return Err(first);
    }
    // All further parts: the signature, or those of an encrypted token.
    let mut end = second;
    while bytes.get(end) == Some(&b'.') {
        end = part_end(bytes, end + 1);
    }
    Ok(end)
}

fn part_end(bytes: &[u8], start: usize) -> usize {
    let is_outside = |&byte: &u8| !(byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_');
    bytes[start..].iter().position(is_outside).map_or(bytes.len(), |length| start + length)
}

/// For texts that have something special. One pass: copies up to the next byte that needs an escape, begins a character outside ASCII, or could be the `J` of
/// a token's start.
#[cold]
fn push_escaped(out: &mut Output, bytes: &[u8], tokens: Tokens) {
    let mut shown = 0;
    let mut at = 0;
    let mut no_start_before = 0;
    while let Some(special) = next_special(bytes, at) {
        at = special + 1;
        let (length, replacement) = match bytes[special] {
            b'J' if tokens == Tokens::Shown => continue,
            b'J' => {
                let Some(start) = special.checked_sub(2).filter(|&start| start >= shown.max(no_start_before))
                else {
                    continue;
                };
                if !bytes[start..].starts_with(START) {
                    continue;
                }
                match token_end(bytes, start) {
                    Ok(end) => {
                        out.push_bytes(&bytes[shown..start]);
                        out.push_bytes(STRIPPED.as_bytes());
                        (shown, at) = (end, end);
                    }
                    Err(next) => no_start_before = next,
                }
                continue;
            }
            0x80.. => match character(&bytes[special..]) {
                None => (1, "\\ufffd"),
                Some('\u{2028}') => (3, "\\u2028"),
                Some('\u{2029}') => (3, "\\u2029"),
                Some(character) => {
                    at = special + character.len_utf8();
                    continue;
                }
            },
            byte => (1, ESCAPES[usize::from(byte)]),
        };
        out.push_bytes(&bytes[shown..special]);
        out.push_bytes(replacement.as_bytes());
        shown = special + length;
        at = shown;
    }
    out.push_bytes(&bytes[shown..]);
}

/// The character at the start of `bytes`, if those are UTF-8.
fn character(bytes: &[u8]) -> Option<char> {
    let longest = &bytes[..bytes.len().min(4)];
    longest.utf8_chunks().next()?.valid().chars().next()
}

fn next_special(bytes: &[u8], from: usize) -> Option<usize> {
    let rest = bytes.get(from..)?;
    let (chunks, _) = rest.as_chunks::<16>();
    let plain = chunks.iter().take_while(|chunk| !has_special(chunk)).count() * 16;
    rest[plain..].iter().position(|&byte| SPECIAL[usize::from(byte)]).map(|found| from + plain + found)
}

/// Without a branch for each byte, so that the compiler uses vector instructions: it does best with minima.
#[expect(clippy::inline_always, reason = "a call of it is as much work as itself")]
#[inline(always)]
fn has_special<const N: usize>(block: &[u8; N]) -> bool {
    let mut found = false;
    for &byte in block {
        found |= distance(byte) == 0;
    }
    found
}

const SPECIAL: [bool; 256] = {
    let mut special = [false; 256];
    let mut byte = 0;
    while byte < special.len() {
        special[byte] = is_special(byte as u8);
        byte += 1;
    }
    special
};

/// Whether a byte needs an escape, is outside ASCII, or is the `J` of a token's start.
const fn is_special(byte: u8) -> bool {
    byte < 0x20 || matches!(byte, b'"' | b'&' | b'<' | b'>' | b'J' | b'\\' | 0x80..)
}

/// How far a byte is from the special ones, as it were: 0 for these, something else for all others. Two pairs of them differ in
/// one bit each, and with the highest bit turned those that are no ASCII stand in front of the controls.
#[inline]
fn distance(byte: u8) -> u8 {
    let pairs = ((byte & !0x04) ^ b'"').min((byte & !0x02) ^ b'<');
    let control_or_high = (byte ^ 0x80).saturating_sub(0x9f);
    pairs.min(byte ^ b'J').min(byte ^ b'\\').min(control_or_high)
}

/// Go's escapes of the ASCII characters that have one.
const ESCAPES: [&str; 128] = {
    const CONTROLS: [&str; 32] = [
        "\\u0000", "\\u0001", "\\u0002", "\\u0003", "\\u0004", "\\u0005", "\\u0006", "\\u0007", "\\b", "\\t",
        "\\n", "\\u000b", "\\f", "\\r", "\\u000e", "\\u000f", "\\u0010", "\\u0011", "\\u0012", "\\u0013",
        "\\u0014", "\\u0015", "\\u0016", "\\u0017", "\\u0018", "\\u0019", "\\u001a", "\\u001b", "\\u001c",
        "\\u001d", "\\u001e", "\\u001f",
    ];
    let mut escapes = [""; 128];
    let mut at = 0;
    while at < CONTROLS.len() {
        escapes[at] = CONTROLS[at];
        at += 1;
    }
    escapes[b'"' as usize] = "\\\"";
    escapes[b'\\' as usize] = "\\\\";
    escapes[b'<' as usize] = "\\u003c";
    escapes[b'>' as usize] = "\\u003e";
    escapes[b'&' as usize] = "\\u0026";
    escapes
};

#[cfg(test)]
mod tests;
