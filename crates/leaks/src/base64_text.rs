//! Text inside base64, decoded as far as it could be a token.

use zeroize::Zeroizing;

/// A longer text is no token: they have one or two thousand bytes.
const LONGEST: usize = 32 * 1024;

/// What was decoded from a group on.
pub(crate) struct Decoded {
    pub(crate) text: Zeroizing<Vec<u8>>,
    /// Where the base64 ends that was read.
    pub(crate) end: usize,
}

fn value(byte: u8) -> Option<u32> {
    Some(u32::from(match byte {
        b'A'..=b'Z' => byte - b'A',
        b'a'..=b'z' => byte - b'a' + 26,
        b'0'..=b'9' => byte - b'0' + 52,
        b'+' | b'-' => 62,
        b'/' | b'_' => 63,
        _ => return None,
    }))
}

fn is_of_a_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.')
}

/// Decodes from a group of four on, up to the first byte that is none of a token's; the first `skip` bytes are let pass.
pub(crate) fn decode(bytes: &[u8], group: usize, skip: usize) -> Decoded {
    let mut decoded = Decoded { text: Zeroizing::new(Vec::new()), end: group };
    while decoded.text.len() < LONGEST {
        let mut bits = 0;
        let mut letters = 0;
        while letters < 4
            && let Some(value) = bytes.get(decoded.end + letters).copied().and_then(value)
        {
            bits = bits << 6 | value;
            letters += 1;
        }
        bits <<= 6 * (4 - letters);
        let whole = letters.saturating_sub(1);
        for index in 0..whole {
            let byte = (bits >> (16 - 8 * index)) as u8;
            if decoded.text.len() >= skip && !is_of_a_token(byte) {
                // The letters that belong to the text before.
                decoded.end += (index + 1).min(letters);
                return decoded;
            }
            decoded.text.push(byte);
        }
        decoded.end += letters;
        if letters < 4 {
            break;
        }
    }
    decoded
}
