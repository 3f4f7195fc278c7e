//! The number of a write.

use std::fmt;
use std::str::FromStr;

use crate::RevisionError;

/// The number of a write: one counter for the whole store, larger is later. Prints as plain decimal digits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Revision(u64);

impl Revision {
    /// The revision with this number.
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// The number.
    pub const fn get(self) -> u64 {
        self.0
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for Revision {
    type Err = RevisionError;

    /// Parses decimal digits, without sign or blanks.
    ///
    /// # Errors
    /// Anything else, or a number of more than 64 bits.
    fn from_str(text: &str) -> Result<Self, RevisionError> {
        // `u64::from_str` would take a leading plus.
        if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(RevisionError::NotDecimal { found_bytes: text.len() });
        }
        text.parse().map(Self).map_err(|_| RevisionError::TooLarge { found_digits: text.len() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_what_it_prints_and_nothing_else() {
        for number in [0, 1, 42, u64::MAX] {
            assert_eq!(Revision::new(number).to_string().parse(), Ok(Revision::new(number)));
        }
        for text in ["", "+1", "-1", " 1", "1 ", "0x1", "1.0", "one"] {
            assert_eq!(
                text.parse::<Revision>(),
                Err(RevisionError::NotDecimal { found_bytes: text.len() }),
                "{text:?}"
            );
        }
        assert_eq!(
            "18446744073709551616".parse::<Revision>(),
            Err(RevisionError::TooLarge { found_digits: 20 })
        );
    }
}
