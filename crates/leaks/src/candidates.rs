//! The ways in which a token can begin: `{` and what may follow it in JSON, in base64url; and the same in base64 once more,
//! at each of the three offsets that a text can have in a group of four.

use std::sync::LazyLock;

use aho_corasick::AhoCorasick;

/// A place where a token may begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Candidate {
    /// As it is.
    Plain { start: usize },
    /// In base64: the group of four in which it begins, and how many bytes of the group come before it.
    Base64 { group: usize, skip: usize },
}

impl Candidate {
    /// Where it is in the bytes.
    pub(crate) fn start(self) -> usize {
        match self {
            Self::Plain { start } => start,
            Self::Base64 { group, .. } => group,
        }
    }
}

/// `{"`, `{ `, `{\n`, `{\r`, `{\t`; then `eyJ`, by far the most frequent of them, in base64. Of the second and third offset
/// only what does not depend on the bytes before.
const STARTS: [&str; 8] = ["eyJ", "eyA", "ewo", "ew0", "ewk", "ZXlK", "V5S", "leU"];
const PLAIN: usize = 5;

static SEARCH: LazyLock<AhoCorasick> =
    LazyLock::new(|| AhoCorasick::new(STARTS).expect("eight short words make an automaton"));

/// The first candidate whose match begins at `from` or after it, and where that match ends.
pub(crate) fn next(bytes: &[u8], from: usize) -> Option<(Candidate, usize)> {
    let mut at = from;
    loop {
        let found = SEARCH.find(aho_corasick::Input::new(bytes).range(at..))?;
        let start = found.start();
        let candidate = match found.pattern().as_usize() {
            pattern if pattern < PLAIN => Some(Candidate::Plain { start }),
            PLAIN => Some(Candidate::Base64 { group: start, skip: 0 }),
            // One byte of the group comes before; the letter before holds its low bits and the high ones of `e`.
            6 => start
                .checked_sub(2)
                .filter(|group| matches!(bytes[group + 1], b'G' | b'W' | b'm' | b'2'))
                .map(|group| Candidate::Base64 { group, skip: 1 }),
            _ => start.checked_sub(3).map(|group| Candidate::Base64 { group, skip: 2 }),
        };
        match candidate {
            Some(candidate) => return Some((candidate, start)),
            None => at = start + 1,
        }
    }
}
