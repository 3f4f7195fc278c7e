//! Audience, entry and map: the tokens of one volume.

use std::borrow::Borrow;
use std::collections::{BTreeMap, btree_map};
use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{Token, TokenMapError, TokensValue, parse, serialize};

/// Whom a token is for, exactly as a CSIDriver's `tokenRequests` has it. May be empty: then the API server puts its
/// own audiences into the token, and the map's key is `""`.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Audience(String);

impl Audience {
    /// The audience with this text. Nothing restricts its characters or its length.
    pub fn new(audience: impl Into<String>) -> Self {
        Self(audience.into())
    }

    /// The audience's text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether this is the empty audience, which stands for the API server's own.
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
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenEntry {
    /// The token; empty when the entry had none.
    pub token: Token,
    /// `expirationTimestamp`: what the API server granted. `None` when it is absent, null, or not an RFC 3339 time.
    pub expires: Option<Timestamp>,
}

/// The tokens of one volume, by audience.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TokenMap(BTreeMap<Audience, TokenEntry>);

impl TokenMap {
    /// A map without tokens.
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads the value of [`TOKENS_KEY`](crate::TOKENS_KEY) as the Go programs of the field do: member names in any
    /// case, unknown members ignored, null as nothing, the last of repeated audiences, white space around it.
    ///
    /// An `expirationTimestamp` that is a string but not an RFC 3339 time gives `expires: None` and no error: nearly
    /// every driver reads it as plain text and does not look at it, so that a mount must not fail for it.
    ///
    /// # Errors
    /// When the text is empty, not JSON, of another shape, starts with a byte order mark, or has something behind the
    /// object. The error quotes nothing of the text.
    pub fn parse(text: &str) -> Result<Self, TokenMapError> {
        parse::parse(text)
    }

    /// The value of [`TOKENS_KEY`](crate::TOKENS_KEY), byte for byte as the kubelet writes it.
    pub fn to_value(&self) -> TokensValue {
        serialize::serialize(self)
    }

    /// Puts an entry in and returns the one that it replaces.
    pub fn insert(&mut self, audience: Audience, entry: TokenEntry) -> Option<TokenEntry> {
        self.0.insert(audience, entry)
    }

    /// The entry of this audience.
    pub fn get(&self, audience: &str) -> Option<&TokenEntry> {
        self.0.get(audience)
    }

    /// All entries, sorted bytewise by audience.
    pub fn iter(&self) -> btree_map::Iter<'_, Audience, TokenEntry> {
        self.0.iter()
    }

    /// All audiences, sorted bytewise.
    pub fn audiences(&self) -> btree_map::Keys<'_, Audience, TokenEntry> {
        self.0.keys()
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is no entry.
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
