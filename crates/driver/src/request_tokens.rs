//! The tokens of a publish request: taken out of it before anything else can see them.

use std::fmt;
use std::str::FromStr;

use tokenward_csi::v1::NodePublishVolumeRequest;
use tokenward_tokens::{Audience, Placement, TOKENS_KEY, TokenEntry, TokenMap, TokenMapError, TokensValue};
use tonic::{Code, Status};

/// Where a driver looks for tokens.
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
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KeyPresence {
    /// `secrets` holds it.
    pub secrets: bool,
    /// `volume_context` holds it.
    pub volume_context: bool,
}

impl KeyPresence {
    /// Looks at a request as it came off the wire, so before [`tokens_from_publish`].
    #[must_use]
    pub fn of(request: &NodePublishVolumeRequest) -> Self {
        Self {
            secrets: request.secrets.contains_key(TOKENS_KEY),
            volume_context: request.volume_context.contains_key(TOKENS_KEY),
        }
    }
}

/// The tokens of a publish request.
#[derive(Clone, Debug)]
pub struct PublishTokens {
    /// The map that they were read from.
    pub placement: Placement,
    /// The tokens by audience.
    pub tokens: TokenMap,
}

impl PublishTokens {
    /// The token of an audience that the driver cannot do without.
    ///
    /// # Errors
    /// [`TokensError::AudienceMissing`], also when its entry holds no token.
    pub fn for_audience(&self, audience: &str) -> Result<&TokenEntry, TokensError> {
        self.tokens
            .get(audience)
            .filter(|entry| !entry.token.is_empty())
            .ok_or_else(|| TokensError::AudienceMissing { audience: Audience::new(audience) })
    }
}

/// Why a driver cannot use the tokens of a request.
///
/// As a [`Status`] each has the code UNAVAILABLE: on a republish some kubelets take a final code as leave to remove the mount under a
/// running pod (kubernetes/kubernetes#121271), and the caller is to try again anyhow.
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
/// # Errors
/// [`TokensError::Unusable`] when the value that counts cannot be read. Its text quotes nothing of it.
pub fn tokens_from_publish(
    request: &mut NodePublishVolumeRequest,
    read: ReadFrom,
) -> Result<Option<PublishTokens>, TokensError> {
    if read == ReadFrom::VolumeContextOnly {
        // Wrapped, so that it is overwritten.
        drop(request.secrets.remove(TOKENS_KEY).map(TokensValue::new));
    }
    let Some((placement, value)) = tokenward_tokens::take(&mut request.secrets, &mut request.volume_context)
    else {
        return Ok(None);
    };
    match value.parse() {
        Ok(tokens) => Ok(Some(PublishTokens { placement, tokens })),
        Err(source) => Err(TokensError::Unusable { placement, source }),
    }
}

/// [`tokens_from_publish`] for a driver that cannot do without: no tokens are an error that names both possible causes.
///
/// # Errors
/// [`TokensError::Missing`] when there is none, or the map is empty; [`TokensError::Unusable`].
pub fn required_tokens_from_publish(
    request: &mut NodePublishVolumeRequest,
    read: ReadFrom,
) -> Result<PublishTokens, TokensError> {
    tokens_from_publish(request, read)?
        .filter(|found| !found.tokens.is_empty())
        .ok_or(TokensError::Missing { read })
}

#[cfg(test)]
mod tests;
