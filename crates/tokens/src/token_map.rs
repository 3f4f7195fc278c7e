//! Audience, entry and map: the tokens of one volume.

use std::borrow::Borrow;
use std::collections::{BTreeMap, btree_map};
use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{Token, TokenMapError, TokensValue, parse, serialize};

/// Whom a token is for, exactly as a CSIDriver's `tokenRequests` has it. May be empty: then the API server puts its
/// own audiences into the token, and the map's key is `""`.
///
/// ```
/// use std::collections::BTreeSet;
/// use tokenward_tokens::Audience;
///
/// let audiences = BTreeSet::from([Audience::new("vault"), Audience::new("")]);
/// assert!(audiences.contains("vault"));
/// let own = audiences.first().expect("there are two");
/// assert!(own.is_empty() && own.as_str() == "");
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Audience(String);

impl Audience {
    /// The audience with this text. Nothing restricts its characters or its length.
    ///
    /// Shown at [`Audience`].
    pub fn new(audience: impl Into<String>) -> Self {
        Self(audience.into())
    }

    /// The audience's text.
    ///
    /// Shown at [`Audience`].
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether this is the empty audience, which stands for the API server's own.
    ///
    /// Shown at [`Audience`].
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Display for Audience {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<&str> for Audience {
    fn from(audience: &str) -> Self {
        Self::new(audience)
    }
}

impl From<String> for Audience {
    fn from(audience: String) -> Self {
        Self(audience)
    }
}

impl AsRef<str> for Audience {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

/// So that a map of audiences can be asked with a plain `&str`: both order and hash bytewise.
impl Borrow<str> for Audience {
    fn borrow(&self) -> &str {
        &self.0
    }
}

/// A token and when it ends, as the kubelet hands them over.
///
/// Shown at [`TokenMap`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenEntry {
    /// The token; empty when the entry had none.
    pub token: Token,
    /// `expirationTimestamp`: what the API server granted. `None` when it is absent, null, or not an RFC 3339 time.
    pub expires: Option<Timestamp>,
}

/// The tokens of one volume, by audience.
///
/// ```
/// use tokenward_tokens::{Audience, Token, TokenEntry, TokenMap};
///
/// let mut tokens = TokenMap::new();
/// assert!(tokens.is_empty());
/// let expires = "2026-06-01T12:00:00Z".parse().ok();
/// let entry = TokenEntry { token: Token::new("a.b.c".to_owned()), expires };
/// tokens.insert(Audience::new("vault"), entry.clone());
///
/// let value = tokens.to_value();
/// assert_eq!(
///     value.expose_value(),
///     r#"{"vault":{"token":"a.b.c","expirationTimestamp":"2026-06-01T12:00:00Z"}}"#
/// );
/// let read = TokenMap::parse(value.expose_value())?;
/// assert_eq!(read.get("vault"), Some(&entry));
/// assert_eq!((read.len(), read.iter().count(), read.audiences().count()), (1, 1, 1));
/// # Ok::<(), tokenward_tokens::TokenMapError>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TokenMap(BTreeMap<Audience, TokenEntry>);

impl TokenMap {
    /// A map without tokens.
    ///
    /// Shown at [`TokenMap`].
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads the value of [`TOKENS_KEY`](crate::TOKENS_KEY) as the Go programs of the field do: member names in any
    /// case, unknown members ignored, null as nothing, the last of repeated audiences, white space around it.
    ///
    /// An `expirationTimestamp` that is a string but not an RFC 3339 time gives `expires: None` and no error: nearly
    /// every driver reads it as plain text and does not look at it, so that a mount must not fail for it.
    ///
    /// ```
    /// use tokenward_tokens::TokenMap;
    ///
    /// let value = r#" {"vault":{"Token":"a.b.c","expirationTimestamp":"soon","more":[]},"s3":null} "#;
    /// let tokens = TokenMap::parse(value)?;
    /// let vault = tokens.get("vault").expect("an entry");
    /// assert_eq!((vault.token.expose_token(), vault.expires), ("a.b.c", None));
    /// assert!(tokens.get("s3").expect("an entry").token.is_empty());
    /// # Ok::<(), tokenward_tokens::TokenMapError>(())
    /// ```
    ///
    /// # Errors
    /// When the text is empty, not JSON, of another shape, starts with a byte order mark, or has something behind the
    /// object. The error quotes nothing of the text.
    pub fn parse(text: &str) -> Result<Self, TokenMapError> {
        parse::parse(text)
    }

    /// The value of [`TOKENS_KEY`](crate::TOKENS_KEY), byte for byte as the kubelet writes it.
    ///
    /// Shown at [`TokenMap`].
    pub fn to_value(&self) -> TokensValue {
        serialize::serialize(self)
    }

    /// Puts an entry in and returns the one that it replaces.
    ///
    /// Shown at [`TokenMap`].
    pub fn insert(&mut self, audience: Audience, entry: TokenEntry) -> Option<TokenEntry> {
        self.0.insert(audience, entry)
    }

    /// The entry of this audience.
    ///
    /// Shown at [`TokenMap`].
    pub fn get(&self, audience: &str) -> Option<&TokenEntry> {
        self.0.get(audience)
    }

    /// All entries, sorted bytewise by audience.
    ///
    /// Shown at [`TokenMap`].
    pub fn iter(&self) -> btree_map::Iter<'_, Audience, TokenEntry> {
        self.0.iter()
    }

    /// All audiences, sorted bytewise.
    ///
    /// Shown at [`TokenMap`].
    pub fn audiences(&self) -> btree_map::Keys<'_, Audience, TokenEntry> {
        self.0.keys()
    }

    /// How many entries there are.
    ///
    /// Shown at [`TokenMap`].
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is no entry.
    ///
    /// Shown at [`TokenMap`].
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl FromIterator<(Audience, TokenEntry)> for TokenMap {
    fn from_iter<I: IntoIterator<Item = (Audience, TokenEntry)>>(entries: I) -> Self {
        Self(entries.into_iter().collect())
    }
}

impl IntoIterator for TokenMap {
    type Item = (Audience, TokenEntry);
    type IntoIter = btree_map::IntoIter<Audience, TokenEntry>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl<'a> IntoIterator for &'a TokenMap {
    type Item = (&'a Audience, &'a TokenEntry);
    type IntoIter = btree_map::Iter<'a, Audience, TokenEntry>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}
