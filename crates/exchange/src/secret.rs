//! One secret text that was issued to us.

use std::fmt;

use serde::{Deserialize, Deserializer};
use zeroize::Zeroizing;

/// Longest credential that is taken, in bytes. Session tokens of clouds have a few kilobytes.
const LONGEST: usize = 32 << 10;

/// A part of a credential: overwritten when dropped; `Debug` shows its length only.
///
/// ```
/// use tokenward_exchange::Secret;
///
/// let secret = Secret::new("hvs.example".to_owned());
/// assert_eq!(format!("{secret:?}"), "Secret(11 bytes)");
/// assert_eq!(secret.expose_secret(), "hvs.example");
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Takes a text over.
    ///
    /// Shown at [`Secret`].
    #[must_use]
    pub fn new(text: String) -> Self {
        Self(Zeroizing::new(text))
    }

    /// The text itself, for the file that the pod reads, and for nothing else.
    ///
    /// Shown at [`Secret`].
    #[must_use]
    pub fn expose_secret(&self) -> &str {
        &self.0
    }

    /// Whether it can be a credential: not empty, not huge, and visible ASCII throughout (RFC 6749, appendix A.12, without the space). So
    /// no credential can break the line of a file that it is written into.
    pub(crate) fn is_credential(&self) -> bool {
        (1..=LONGEST).contains(&self.0.len()) && self.0.bytes().all(|byte| byte.is_ascii_graphic())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secret({} bytes)", self.0.len())
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self::new)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_break_a_line_is_no_credential() {
        for (text, is_credential) in [
            ("hvs.CAESI", true),
            ("a/b+c==", true),
            ("", false),
            ("two words", false),
            ("line\nbreak", false),
            ("return\r", false),
            ("nul\0", false),
            ("ü", false),
        ] {
            assert_eq!(Secret::new(text.to_owned()).is_credential(), is_credential, "{text:?}");
        }
        assert!(Secret::new("a".repeat(LONGEST)).is_credential());
        assert!(!Secret::new("a".repeat(LONGEST + 1)).is_credential());
    }
}
