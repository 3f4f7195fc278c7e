//! The serialized token map: a secret text on its way between the maps of a message.

use std::fmt;

use zeroize::Zeroizing;

use crate::{TokenMap, TokenMapError};

/// The value under [`TOKENS_KEY`](crate::TOKENS_KEY): every token of a volume in one text. Overwritten when dropped;
/// `Debug` shows its length only.
///
/// ```
/// use tokenward_tokens::TokensValue;
///
/// let value = TokensValue::new(r#"{"vault":{"token":"a.b.c"}}"#.to_owned());
/// assert_eq!(format!("{value:?}"), "TokensValue(27 bytes)");
/// assert_eq!(value.parse()?.len(), 1);
/// assert!(value.expose_value().contains("a.b.c"));
/// # Ok::<(), tokenward_tokens::TokenMapError>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct TokensValue(Zeroizing<String>);

impl TokensValue {
    /// Takes over a value as it was received; it need not be a readable token map.
    ///
    /// Shown at [`TokensValue`].
    pub fn new(value: String) -> Self {
        Self(Zeroizing::new(value))
    }

    pub(crate) fn from_zeroizing(value: Zeroizing<String>) -> Self {
        Self(value)
    }

    /// The text itself, for the wire and for nothing else.
    ///
    /// Shown at [`TokensValue`].
    pub fn expose_value(&self) -> &str {
        &self.0
    }

    /// Reads the token map.
    ///
    /// Shown at [`TokensValue`].
    ///
    /// # Errors
    /// As [`TokenMap::parse`].
    pub fn parse(&self) -> Result<TokenMap, TokenMapError> {
        TokenMap::parse(&self.0)
    }
}

impl fmt::Debug for TokensValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TokensValue({} bytes)", self.0.len())
    }
}
