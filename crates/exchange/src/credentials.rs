//! What an exchange gives.

use jiff::Timestamp;

use crate::Secret;

/// Credentials, and how long they are good. `Debug` shows nothing that is secret.
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
    #[must_use]
    pub fn expires(&self) -> Option<Timestamp> {
        match self {
            Self::Bearer(bearer) => bearer.expires,
            Self::Aws(session) => Some(session.expires),
        }
    }
}

/// A token that authorizes its bearer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BearerToken {
    /// The token.
    pub token: Secret,
    /// When it ends; none when the issuer did not say, or said never.
    pub expires: Option<Timestamp>,
}

/// Temporary security credentials of AWS.
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
