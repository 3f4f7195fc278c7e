//! What an exchange gives.

use jiff::Timestamp;

use crate::Secret;

/// Credentials, and how long they are good. `Debug` shows nothing that is secret.
///
/// ```
/// use tokenward_exchange::{AwsSession, BearerToken, Credentials, Secret};
///
/// /// The files that a pod is given.
/// fn files(credentials: &Credentials) -> Vec<(&'static str, &str)> {
///     match credentials {
///         Credentials::Bearer(BearerToken { token, .. }) => vec![("token", token.expose_secret())],
///         Credentials::Aws(AwsSession { access_key_id, secret_access_key, session_token, .. }) => vec![
///             ("access-key-id", access_key_id.expose_secret()),
///             ("secret-access-key", secret_access_key.expose_secret()),
///             ("session-token", session_token.expose_secret()),
///         ],
///         _ => Vec::new(),
///     }
/// }
///
/// let expires = "2026-03-01T12:00:00Z".parse().ok();
/// let bearer = Credentials::Bearer(BearerToken { token: Secret::new("hvs.example".to_owned()), expires });
/// assert_eq!(files(&bearer), [("token", "hvs.example")]);
/// assert_eq!(bearer.expires(), expires);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Credentials {
    /// One token, which whoever has it may use: an OAuth access token, a vault's client token.
    Bearer(BearerToken),
    /// The three parts of a temporary AWS session.
    Aws(AwsSession),
}

impl Credentials {
    /// When they end; none when the issuer did not say, or said never.
    ///
    /// Shown at [`Credentials`].
    #[must_use]
    pub fn expires(&self) -> Option<Timestamp> {
        match self {
            Self::Bearer(bearer) => bearer.expires,
            Self::Aws(session) => Some(session.expires),
        }
    }
}

/// A token that authorizes its bearer.
///
/// Shown at [`Credentials`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BearerToken {
    /// The token.
    pub token: Secret,
    /// When it ends; none when the issuer did not say, or said never.
    pub expires: Option<Timestamp>,
}

/// Temporary security credentials of AWS.
///
/// Shown at [`Credentials`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AwsSession {
    /// `AccessKeyId`: names the session, and is logged by AWS; kept as a secret all the same.
    pub access_key_id: Secret,
    /// `SecretAccessKey`.
    pub secret_access_key: Secret,
    /// `SessionToken`.
    pub session_token: Secret,
    /// When they end.
    pub expires: Timestamp,
}
