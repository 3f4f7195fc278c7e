//! The name of a driver.

use std::fmt;

/// The name of a driver: at most 63 characters of `[a-zA-Z0-9.-]` with a letter or digit at both ends (CSI specification,
/// GetPluginInfo); `_` is taken too, as upstream's validation does.
///
/// ```
/// use tokenward_driver::DriverName;
///
/// assert_eq!(DriverName::parse("vault.example")?.as_str(), "vault.example");
/// # Ok::<(), tokenward_driver::DriverNameError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct DriverName(String);

/// A text that is not a [`DriverName`].
///
/// ```
/// assert!(tokenward_driver::DriverName::parse("-vault").is_err());
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("wanted a driver name: at most 63 letters, digits, `-`, `_` and `.`, a letter or digit at both ends")]
pub struct DriverNameError;

impl DriverName {
    /// Checks a name.
    ///
    /// Shown at [`DriverName`].
    ///
    /// # Errors
    /// When the name breaks the rule above.
    pub fn parse(name: impl Into<String>) -> Result<Self, DriverNameError> {
        let name = name.into();
        let at_ends = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
        let bytes = name.as_bytes();
        let inside = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.".contains(byte);
        if bytes.len() <= 63 && at_ends(bytes.first()) && at_ends(bytes.last()) && bytes.iter().all(inside) {
            Ok(Self(name))
        } else {
            Err(DriverNameError)
        }
    }

    /// The name as text.
    ///
    /// Shown at [`DriverName`].
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for DriverName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn which_names_are_taken() {
        let long = "a".repeat(63);
        for good in ["a", "token-files.tokenward.dev", "A_b", &long] {
            assert_eq!(DriverName::parse(good).unwrap().as_str(), good);
        }
        for bad in ["", "-a", "a-", "a/b", "..", &format!("{long}a")] {
            assert!(DriverName::parse(bad).is_err(), "{bad:?}");
        }
    }
}
