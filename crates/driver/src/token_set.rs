//! The tokens of a publish request: taken out of it before anything else can see them.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use tokenward_csi::v1::NodePublishVolumeRequest;
use tokenward_tokens::{
    Audience, Placement, TOKENS_KEY, TokenEntry, TokenMap, TokenMapError, TokensValue, due::expired,
};
use tonic::{Code, Status};

/// Where a driver looks for tokens.
///
/// ```
/// use tokenward_driver::ReadFrom;
///
/// assert_eq!("secrets".parse(), Ok(ReadFrom::SecretsThenVolumeContext));
/// assert_eq!(ReadFrom::VolumeContextOnly.to_string(), "volume-context");
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ReadFrom {
    /// In `secrets`, and only when the key is not there, in `volume_context`. Works with every release and every CSIDriver; harmless
    /// on clusters that know nothing of `serviceAccountTokenInSecrets` (KEP-5538).
    #[default]
    SecretsThenVolumeContext,
    /// In `volume_context` only, as drivers did before v1.35. For tests of a rollout.
    VolumeContextOnly,
}

/// A text that is not a [`ReadFrom`].
///
/// ```
/// assert!("both".parse::<tokenward_driver::ReadFrom>().is_err());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("wanted `secrets` (with `volume_context` after it) or `volume-context` (alone)")]
pub struct ReadFromError;

impl FromStr for ReadFrom {
    type Err = ReadFromError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "secrets" => Ok(Self::SecretsThenVolumeContext),
            "volume-context" => Ok(Self::VolumeContextOnly),
            _ => Err(ReadFromError),
        }
    }
}

impl fmt::Display for ReadFrom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::SecretsThenVolumeContext => "secrets",
            Self::VolumeContextOnly => "volume-context",
        })
    }
}

/// Which maps of a request hold the key, whatever its value.
///
/// ```
/// use tokenward_driver::KeyPresence;
/// use tokenward_driver::csi::v1::NodePublishVolumeRequest;
/// use tokenward_driver::tokens::TOKENS_KEY;
///
/// let mut request = NodePublishVolumeRequest::default();
/// request.volume_context.insert(TOKENS_KEY.to_owned(), String::new());
/// let presence = KeyPresence::of(&request);
/// assert!(!presence.secrets && presence.volume_context);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KeyPresence {
    /// `secrets` holds it.
    pub secrets: bool,
    /// `volume_context` holds it.
    pub volume_context: bool,
}

impl KeyPresence {
    /// Looks at a request as it came off the wire, so before [`tokens_from_publish`].
    ///
    /// Shown at [`KeyPresence`].
    #[must_use]
    pub fn of(request: &NodePublishVolumeRequest) -> Self {
        Self {
            secrets: request.secrets.contains_key(TOKENS_KEY),
            volume_context: request.volume_context.contains_key(TOKENS_KEY),
        }
    }
}

/// The tokens of a publish request, and where they came from.
///
/// ```
/// use tokenward_driver::csi::v1::NodePublishVolumeRequest;
/// use tokenward_driver::tokens::{Placement, TOKENS_KEY};
/// use tokenward_driver::{TokenSet, TokensError};
///
/// let value = r#"{"vault":{"token":"...","expirationTimestamp":"2030-01-01T00:00:00Z"}}"#;
/// let mut request = NodePublishVolumeRequest::default();
/// request.secrets.insert(TOKENS_KEY.to_owned(), value.to_owned());
///
/// let set = TokenSet::from_request(&mut request)?;
/// assert_eq!(set.placement, Placement::Secrets);
/// assert!(request.secrets.is_empty(), "the request has no token any more");
///
/// let now = "2029-12-31T23:50:00Z".parse()?;
/// set.unexpired("vault", now)?;
/// assert_eq!(set.audiences().count(), 1);
/// assert_eq!(set.earliest_expiry(), Some("2030-01-01T00:00:00Z".parse()?));
/// assert!(matches!(set.for_audience("sts"), Err(TokensError::AudienceMissing { .. })));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct TokenSet {
    /// The map that they were read from.
    pub placement: Placement,
    /// The tokens by audience.
    pub tokens: TokenMap,
}

impl TokenSet {
    /// The tokens of a request that must have some: from `secrets`, and only when the key is not there, from `volume_context`. Takes
    /// them out of the request, as [`tokens_from_publish`] does.
    ///
    /// Shown at [`TokenSet`].
    ///
    /// # Errors
    /// [`TokensError::Missing`] when there is none, or the map is empty; [`TokensError::Unusable`]. Both become a [`Status`] by `?`.
    pub fn from_request(request: &mut NodePublishVolumeRequest) -> Result<Self, TokensError> {
        required_tokens_from_publish(request, ReadFrom::SecretsThenVolumeContext)
    }

    /// The token of an audience that the driver cannot do without.
    ///
    /// Shown at [`TokenSet`].
    ///
    /// # Errors
    /// [`TokensError::AudienceMissing`], also when its entry holds no token.
    pub fn for_audience(&self, audience: &str) -> Result<&TokenEntry, TokensError> {
        self.tokens
            .get(audience)
            .filter(|entry| !entry.token.is_empty())
            .ok_or_else(|| TokensError::AudienceMissing { audience: Audience::new(audience) })
    }

    /// [`TokenSet::for_audience`] for a driver that will use the token now. A token whose expiry could not be read counts as unexpired:
    /// whoever is shown it will know.
    ///
    /// Shown at [`TokenSet`].
    ///
    /// # Errors
    /// [`TokensError::AudienceMissing`]; [`TokensError::Expired`].
    pub fn unexpired(&self, audience: &str, now: Timestamp) -> Result<&TokenEntry, TokensError> {
        let entry = self.for_audience(audience)?;
        match entry.expires {
            Some(since) if expired(since, now) => {
                Err(TokensError::Expired { audience: Audience::new(audience), since })
            }
            _ => Ok(entry),
        }
    }

    /// The audiences, sorted.
    ///
    /// Shown at [`TokenSet`].
    pub fn audiences(&self) -> impl Iterator<Item = &Audience> {
        self.tokens.audiences()
    }

    /// When the first of the tokens expires: what was made of them has to be renewed before.
    ///
    /// Shown at [`TokenSet`].
    #[must_use]
    pub fn earliest_expiry(&self) -> Option<Timestamp> {
        self.tokens.iter().filter_map(|(_, entry)| entry.expires).min()
    }
}

/// Why a driver cannot use the tokens of a request.
///
/// As a [`Status`] each has the code UNAVAILABLE: on a republish some kubelets take a final code as leave to remove the mount under a
/// running pod (kubernetes/kubernetes#121271), and the caller is to try again anyhow.
///
/// ```
/// use tokenward_driver::csi::v1::NodePublishVolumeRequest;
/// use tokenward_driver::{TokenSet, TokensError};
///
/// let error = TokenSet::from_request(&mut NodePublishVolumeRequest::default()).unwrap_err();
/// assert!(matches!(error, TokensError::Missing { .. }));
/// // The one who reads the event of the pod learns both possible causes.
/// let status = tonic::Status::from(error);
/// assert_eq!(status.code(), tonic::Code::Unavailable);
/// assert!(status.message().contains("spec.tokenRequests"));
/// assert!(status.message().contains("spec.serviceAccountTokenInSecrets"));
/// ```
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum TokensError {
    /// Tokens came, but not for this audience.
    #[error(
        "the request has no service account token for the audience `{audience}`: add that audience to spec.tokenRequests of the CSIDriver"
    )]
    AudienceMissing {
        /// The audience that was wanted.
        audience: Audience,
    },
    /// The token for this audience is too old to be used.
    #[error(
        "the service account token for the audience `{audience}` expired at {since}: either the kubelet could not fetch another \
         one (its log says why), or the clock of this node is ahead"
    )]
    Expired {
        /// The audience that was wanted.
        audience: Audience,
        /// When its token expired.
        since: Timestamp,
    },
    /// No tokens in any place that the driver reads.
    #[error("{}", missing_text(*read))]
    Missing {
        /// Where the driver looked.
        read: ReadFrom,
    },
    /// The value is there and is not a token map.
    #[error("the service account tokens in {placement} cannot be read")]
    Unusable {
        /// Where the value was.
        placement: Placement,
        /// What is wrong with it, without a quotation.
        #[source]
        source: TokenMapError,
    },
}

fn missing_text(read: ReadFrom) -> &'static str {
    match read {
        ReadFrom::SecretsThenVolumeContext => {
            "the request has no service account tokens, neither in secrets nor in volume_context: either spec.tokenRequests of the \
             CSIDriver lists no audience (add one), or something between the kubelet and this driver removes them from secrets, where \
             they are sent when spec.serviceAccountTokenInSecrets is true"
        }
        ReadFrom::VolumeContextOnly => {
            "the request has no service account tokens in volume_context: either spec.tokenRequests of the CSIDriver lists no audience \
             (add one), or spec.serviceAccountTokenInSecrets is true while this driver cannot read secrets (set it to false until \
             every node runs a driver that reads secrets)"
        }
    }
}

impl From<TokensError> for Status {
    fn from(error: TokensError) -> Self {
        Self::new(Code::Unavailable, with_causes(&error))
    }
}

/// An error and its causes in one line: a CO sees nothing but the message of a status.
///
/// ```
/// let error = std::io::Error::other("the cause");
/// assert_eq!(tokenward_driver::with_causes(&error), "the cause");
/// ```
#[must_use]
pub fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

/// Takes the tokens out of a publish request: after this neither map has the key, whatever is returned, so that nothing that handles the
/// request later (a log, "did the user give credentials?", a forwarder) meets a token.
///
/// With [`ReadFrom::SecretsThenVolumeContext`] what stands in `secrets`, even if unusable, never falls through to `volume_context`: once
/// the CSIDriver has opted in, a pod's author can write the latter.
///
/// ```
/// use tokenward_driver::csi::v1::NodePublishVolumeRequest;
/// use tokenward_driver::{ReadFrom, tokens_from_publish};
///
/// let found = tokens_from_publish(&mut NodePublishVolumeRequest::default(), ReadFrom::default())?;
/// assert!(found.is_none(), "a driver that can do without goes on");
/// # Ok::<(), tokenward_driver::TokensError>(())
/// ```
///
/// # Errors
/// [`TokensError::Unusable`] when the value that counts cannot be read. Its text quotes nothing of it.
pub fn tokens_from_publish(
    request: &mut NodePublishVolumeRequest,
    read: ReadFrom,
) -> Result<Option<TokenSet>, TokensError> {
    if read == ReadFrom::VolumeContextOnly {
        // Wrapped, so that it is overwritten.
        drop(request.secrets.remove(TOKENS_KEY).map(TokensValue::new));
    }
    let Some((placement, value)) = tokenward_tokens::take(&mut request.secrets, &mut request.volume_context)
    else {
        return Ok(None);
    };
    match value.parse() {
        Ok(tokens) => Ok(Some(TokenSet { placement, tokens })),
        Err(source) => Err(TokensError::Unusable { placement, source }),
    }
}

/// [`tokens_from_publish`] for a driver that cannot do without: no tokens are an error that names both possible causes.
///
/// ```
/// use tokenward_driver::csi::v1::NodePublishVolumeRequest;
/// use tokenward_driver::{ReadFrom, required_tokens_from_publish};
///
/// let mut request = NodePublishVolumeRequest::default();
/// assert!(required_tokens_from_publish(&mut request, ReadFrom::VolumeContextOnly).is_err());
/// ```
///
/// # Errors
/// [`TokensError::Missing`] when there is none, or the map is empty; [`TokensError::Unusable`].
pub fn required_tokens_from_publish(
    request: &mut NodePublishVolumeRequest,
    read: ReadFrom,
) -> Result<TokenSet, TokensError> {
    tokens_from_publish(request, read)?
        .filter(|found| !found.tokens.is_empty())
        .ok_or(TokensError::Missing { read })
}

#[cfg(test)]
mod tests;
