//! How tokens are put into a publish request, found there, taken out and moved: the one home of these rules.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::{TOKENS_KEY, TokenMap, TokenMapError, TokensValue};

/// In which map of `NodePublishVolume` the tokens travel.
///
/// ```
/// use tokenward_tokens::{Placement, UnknownPlacement};
///
/// assert_eq!("secrets".parse(), Ok(Placement::Secrets));
/// assert_eq!(Placement::VolumeContext.as_str(), "volume_context");
/// assert_eq!("env".parse::<Placement>(), Err(UnknownPlacement));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Placement {
    /// `secrets`: the driver has opted in with `serviceAccountTokenInSecrets: true`.
    Secrets,
    /// `volume_context`: the default, and all there was before Kubernetes 1.35.
    VolumeContext,
}

impl Placement {
    /// `secrets` or `volume_context`, as the proto fields are called.
    ///
    /// Shown at [`Placement`].
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Secrets => "secrets",
            Self::VolumeContext => "volume_context",
        }
    }

    fn pick<T>(self, secrets: T, volume_context: T) -> T {
        match self {
            Self::Secrets => secrets,
            Self::VolumeContext => volume_context,
        }
    }
}

impl fmt::Display for Placement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Placement {
    type Err = UnknownPlacement;

    fn from_str(text: &str) -> Result<Self, UnknownPlacement> {
        match text {
            "secrets" => Ok(Self::Secrets),
            "volume_context" => Ok(Self::VolumeContext),
            _ => Err(UnknownPlacement),
        }
    }
}

/// A text that names no [`Placement`].
///
/// Shown at [`Placement`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("wanted secrets or volume_context")]
pub struct UnknownPlacement;

/// Tokens found in a request, still as the text that was sent.
///
/// Shown at [`find`].
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Found<'a> {
    /// Where they were.
    pub placement: Placement,
    /// The serialized token map; a secret.
    pub value: &'a str,
}

impl Found<'_> {
    /// Reads the token map.
    ///
    /// Shown at [`find`].
    ///
    /// # Errors
    /// As [`TokenMap::parse`]. Do not look elsewhere then: see [`find`].
    pub fn parse(&self) -> Result<TokenMap, TokenMapError> {
        TokenMap::parse(self.value)
    }
}

impl fmt::Debug for Found<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Found({}, {} bytes)", self.placement, self.value.len())
    }
}

/// What [`relocate`] did.
///
/// Shown at [`relocate`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Relocation {
    /// There were no tokens in either map.
    Absent,
    /// The tokens were already in the wanted place.
    InPlace,
    /// The tokens were moved, out of this place.
    MovedFrom(Placement),
}

/// Puts the tokens into the one place and makes sure that the other has none. An entry of the same key, from a pod
/// author's volume attributes for instance, is replaced: the kubelet's wins.
///
/// ```
/// use std::collections::BTreeMap;
/// use tokenward_tokens::{Placement, TOKENS_KEY, TokensValue, place};
///
/// let forged = (TOKENS_KEY.to_owned(), "from a pod's author".to_owned());
/// let (mut secrets, mut volume_context) = (BTreeMap::new(), BTreeMap::from([forged]));
/// place(&TokensValue::new("{}".to_owned()), Placement::Secrets, &mut secrets, &mut volume_context);
/// assert_eq!(secrets[TOKENS_KEY], "{}");
/// assert!(volume_context.is_empty());
/// ```
pub fn place(
    value: &TokensValue,
    placement: Placement,
    secrets: &mut BTreeMap<String, String>,
    volume_context: &mut BTreeMap<String, String>,
) {
    remove(secrets);
    remove(volume_context);
    let to = placement.pick(secrets, volume_context);
    to.insert(TOKENS_KEY.to_owned(), value.expose_value().to_owned());
}

/// Looks for tokens in `secrets`, then in `volume_context`.
///
/// Present in `secrets`, even empty or unreadable, never falls through: once a driver has opted in, the other place
/// may hold what a pod author wrote into inline volume attributes, which nobody scrubs.
///
/// ```
/// use std::collections::BTreeMap;
/// use tokenward_tokens::{Found, Placement, TOKENS_KEY, find};
///
/// let tokens = |text: &str| BTreeMap::from([(TOKENS_KEY.to_owned(), text.to_owned())]);
/// let in_context = tokens(r#"{"vault":{"token":"a.b.c"}}"#);
/// let secrets = BTreeMap::new();
/// let found: Found<'_> = find(&secrets, &in_context).expect("tokens in volume_context");
/// assert_eq!(found.placement, Placement::VolumeContext);
/// assert!(found.parse()?.get("vault").is_some());
///
/// // What is in secrets counts, even if nobody can read it.
/// let unreadable = tokens("");
/// let found = find(&unreadable, &in_context).expect("tokens in secrets");
/// assert_eq!(found.placement, Placement::Secrets);
/// assert!(found.parse().is_err());
/// # Ok::<(), tokenward_tokens::TokenMapError>(())
/// ```
pub fn find<'a>(
    secrets: &'a BTreeMap<String, String>,
    volume_context: &'a BTreeMap<String, String>,
) -> Option<Found<'a>> {
    find_in(Placement::Secrets, secrets, volume_context)
        .or_else(|| find_in(Placement::VolumeContext, secrets, volume_context))
}

/// Looks for tokens in one place only, as a driver does that knows no other.
///
/// ```
/// use std::collections::BTreeMap;
/// use tokenward_tokens::{Placement, TOKENS_KEY, find_in};
///
/// let secrets = BTreeMap::from([(TOKENS_KEY.to_owned(), "{}".to_owned())]);
/// assert!(find_in(Placement::Secrets, &secrets, &BTreeMap::new()).is_some());
/// assert_eq!(find_in(Placement::VolumeContext, &secrets, &BTreeMap::new()), None);
/// ```
pub fn find_in<'a>(
    placement: Placement,
    secrets: &'a BTreeMap<String, String>,
    volume_context: &'a BTreeMap<String, String>,
) -> Option<Found<'a>> {
    let value = placement.pick(secrets, volume_context).get(TOKENS_KEY)?;
    Some(Found { placement, value })
}

/// Removes the key from both maps, so that nothing after it can see tokens, and returns what [`find`] would have
/// found.
///
/// ```
/// use std::collections::BTreeMap;
/// use tokenward_tokens::{Placement, TOKENS_KEY, take};
///
/// let mut secrets = BTreeMap::from([(TOKENS_KEY.to_owned(), "{}".to_owned())]);
/// let (from, tokens) = take(&mut secrets, &mut BTreeMap::new()).expect("there are tokens");
/// assert_eq!((from, tokens.expose_value()), (Placement::Secrets, "{}"));
/// assert!(secrets.is_empty());
/// ```
pub fn take(
    secrets: &mut BTreeMap<String, String>,
    volume_context: &mut BTreeMap<String, String>,
) -> Option<(Placement, TokensValue)> {
    let (in_secrets, in_context) = (remove(secrets), remove(volume_context));
    in_secrets
        .map(|value| (Placement::Secrets, value))
        .or_else(|| in_context.map(|value| (Placement::VolumeContext, value)))
}

/// Moves the tokens to the wanted place and touches nothing else. Of two copies the one in `secrets` is kept, as
/// [`find`] would; afterwards there is at most one.
///
/// ```
/// use std::collections::BTreeMap;
/// use tokenward_tokens::{Placement, Relocation, TOKENS_KEY, relocate};
///
/// let mut secrets = BTreeMap::new();
/// let mut volume_context = BTreeMap::from([(TOKENS_KEY.to_owned(), "{}".to_owned())]);
/// let moved = relocate(Placement::Secrets, &mut secrets, &mut volume_context);
/// assert_eq!(moved, Relocation::MovedFrom(Placement::VolumeContext));
/// assert_eq!(relocate(Placement::Secrets, &mut secrets, &mut volume_context), Relocation::InPlace);
/// assert_eq!(secrets[TOKENS_KEY], "{}");
/// ```
pub fn relocate(
    to: Placement,
    secrets: &mut BTreeMap<String, String>,
    volume_context: &mut BTreeMap<String, String>,
) -> Relocation {
    let Some((from, value)) = take(secrets, volume_context) else { return Relocation::Absent };
    place(&value, to, secrets, volume_context);
    if from == to { Relocation::InPlace } else { Relocation::MovedFrom(from) }
}

/// Takes the tokens out of one map; what is dropped is overwritten.
fn remove(map: &mut BTreeMap<String, String>) -> Option<TokensValue> {
    map.remove(TOKENS_KEY).map(Zeroizing::new).map(TokensValue::from_zeroizing)
}

#[cfg(test)]
mod tests;
