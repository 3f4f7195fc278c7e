//! Reading a token map as Go's `encoding/json` would, into values that cannot be printed.

use std::fmt;

use jiff::Timestamp;
use serde::de::{Deserialize, Deserializer, Error, IgnoredAny, MapAccess, Visitor};
use tokenward_jose::JsonError;

use crate::{Audience, Token, TokenEntry, TokenMap};

/// The value under [`TOKENS_KEY`](crate::TOKENS_KEY) is not a token map. Holds what is wrong and where, and nothing of
/// the value.
///
/// ```
/// use tokenward_tokens::TokenMap;
///
/// let error = TokenMap::parse(r#"{"vault":{"token":"eyJh","#).unwrap_err().to_string();
/// assert!(error.starts_with("wanted a JSON object of audience to {token, expirationTimestamp} under csi."));
/// assert!(!error.contains("eyJh"));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "wanted a JSON object of audience to {{token, expirationTimestamp}} under {key}: {0}",
    key = crate::TOKENS_KEY
)]
pub struct TokenMapError(pub JsonError);

pub(crate) fn parse(text: &str) -> Result<TokenMap, TokenMapError> {
    match serde_json::from_str::<Entries>(text) {
        Ok(Entries(map)) => Ok(map),
        // The text of a serde_json error quotes the input: only kind and place go on.
        Err(error) => Err(TokenMapError(JsonError::from(&error))),
    }
}

struct Entries(TokenMap);

impl<'de> Deserialize<'de> for Entries {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;

        impl<'de> Visitor<'de> for Object {
            type Value = Entries;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_unit<E: Error>(self) -> Result<Entries, E> {
                Ok(Entries(TokenMap::new()))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Entries, A::Error> {
                let mut map = TokenMap::new();
                while let Some(audience) = members.next_key::<String>()? {
                    let Entry(entry) = members.next_value()?;
                    map.insert(Audience::new(audience), entry);
                }
                Ok(Entries(map))
            }
        }

        deserializer.deserialize_any(Object)
    }
}

struct Entry(TokenEntry);

impl<'de> Deserialize<'de> for Entry {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;

        impl<'de> Visitor<'de> for Object {
            type Value = Entry;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_unit<E: Error>(self) -> Result<Entry, E> {
                Ok(Entry(TokenEntry { token: Token::new(String::new()), expires: None }))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Entry, A::Error> {
                let mut entry = TokenEntry { token: Token::new(String::new()), expires: None };
                while let Some(member) = members.next_key()? {
                    // As in Go, null leaves what an earlier member of the same name has set.
                    match member {
                        Member::Token => {
                            if let Some(token) = members.next_value()? {
                                entry.token = Token::new(token);
                            }
                        }
                        Member::ExpirationTimestamp => {
                            if let Some(time) = members.next_value::<Option<String>>()? {
                                entry.expires = time.parse::<Timestamp>().ok();
                            }
                        }
                        Member::Unknown => {
                            members.next_value::<IgnoredAny>()?;
                        }
                    }
                }
                Ok(Entry(entry))
            }
        }

        deserializer.deserialize_any(Object)
    }
}

enum Member {
    Token,
    ExpirationTimestamp,
    Unknown,
}

impl<'de> Deserialize<'de> for Member {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Name;

        impl Visitor<'_> for Name {
            type Value = Member;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a member name")
            }

            fn visit_str<E: Error>(self, name: &str) -> Result<Member, E> {
                Ok(if folds_to(name, "token") {
                    Member::Token
                } else if folds_to(name, "expirationtimestamp") {
                    Member::ExpirationTimestamp
                } else {
                    Member::Unknown
                })
            }
        }

        deserializer.deserialize_str(Name)
    }
}

/// Compares names as Go does: ASCII case aside, and the two other characters that fold into ASCII letters.
fn folds_to(name: &str, lower: &str) -> bool {
    name.chars()
        .map(|char| match char {
            'ſ' => 's',
            '\u{212a}' => 'k',
            other => other.to_ascii_lowercase(),
        })
        .eq(lower.chars())
}

#[cfg(test)]
mod tests;
