//! Names made of a hash.

/// Neither vowels nor what looks like them, so that no word comes out; upstream's choice (apimachinery `util/rand`).
const ALPHABET: &[u8; 27] = b"bcdfghjklmnpqrstvwxz2456789";

/// So many letters out of a hash, fit for a name.
pub(crate) fn safe(hash: &[u8], letters: usize) -> String {
    let letter = |byte: &u8| char::from(ALPHABET[usize::from(*byte) % ALPHABET.len()]);
    hash.iter().take(letters).map(letter).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_becomes_letters() {
        assert_eq!(safe(&[0, 1, 26, 27, 255], 4), "bc9b");
    }
}
