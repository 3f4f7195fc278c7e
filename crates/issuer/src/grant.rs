//! What a TokenRequest is granted: a pure function from the request to the claims.

use jiff::Timestamp;
use tokenward_jose::{Claims, KubernetesClaims, ObjectRef};

use crate::{IssuerConfig, username};

/// Lifetime when the request names none, in seconds (applied when a TokenRequest is decoded).
pub const DEFAULT_EXPIRATION_SECONDS: i64 = 3600;

/// Shortest lifetime that may be asked for, in seconds.
pub const MIN_EXPIRATION_SECONDS: i64 = 600;

/// Longest lifetime that may be asked for, in seconds.
pub const MAX_EXPIRATION_SECONDS: i64 = 1 << 32;

/// The lifetime that the ServiceAccount admission plugin writes into automounted volumes; exactly this is extended.
const AUTOMOUNT_EXPIRATION_SECONDS: i64 = 3607;

/// To which it is extended: a year.
const EXTENDED_EXPIRATION_SECONDS: i64 = 365 * 24 * 60 * 60;

/// What is asked for in `spec` of a TokenRequest, the binding aside.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TokenRequestSpec {
    /// Empty: the API server's own. Repetitions and an explicit `""` are signed as they are.
    pub audiences: Vec<String>,
    /// Lifetime in seconds; `None` is [`DEFAULT_EXPIRATION_SECONDS`].
    pub expiration_seconds: Option<i64>,
}

/// The service account that a token is made for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceAccount {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its uid.
    pub uid: String,
}

/// The live object that a token is bound to, already looked up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BoundObject {
    /// A node.
    Node(ObjectRef),
    /// A pod, and the node it is scheduled to (without a uid when that node is gone).
    Pod {
        /// The pod.
        pod: ObjectRef,
        /// Its node.
        node: Option<ObjectRef>,
    },
    /// A secret.
    Secret(ObjectRef),
}

/// What is granted: the claims to sign and the members of the answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Granted {
    /// The claims to sign.
    pub claims: Claims,
    /// `spec.audiences` of the answer.
    pub audiences: Vec<String>,
    /// `spec.expirationSeconds` of the answer.
    pub expiration_seconds: i64,
    /// `status.expirationTimestamp`, whole seconds. Of an extended token it is not the `exp` claim: clients are to
    /// refresh long before.
    pub expires: Timestamp,
    /// Warnings to send along.
    pub warnings: Vec<String>,
}

/// A lifetime out of bounds; the text is upstream's for `spec.expirationSeconds`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ExpirationError {
    /// More than [`MAX_EXPIRATION_SECONDS`].
    #[error("may not specify a duration larger than 2^32 seconds")]
    TooLong,
    /// Less than [`MIN_EXPIRATION_SECONDS`].
    #[error("may not specify a duration less than 10 minutes")]
    TooShort,
}

/// Static validation of `spec.expirationSeconds`, after defaulting.
///
/// # Errors
/// Outside of [`MIN_EXPIRATION_SECONDS`] to [`MAX_EXPIRATION_SECONDS`].
pub fn validate_expiration_seconds(seconds: i64) -> Result<(), ExpirationError> {
    if seconds < MIN_EXPIRATION_SECONDS {
        Err(ExpirationError::TooShort)
    } else if seconds > MAX_EXPIRATION_SECONDS {
        Err(ExpirationError::TooLong)
    } else {
        Ok(())
    }
}

/// Decides what a request gets: audiences, lifetime (capped by the server's maximum, extended for automounted volumes)
/// and binding. `now` counts in whole seconds; `jti` is the token's id, a random UUID.
///
/// The lifetime should have been [validated](validate_expiration_seconds).
pub fn grant(
    config: &IssuerConfig,
    spec: &TokenRequestSpec,
    account: &ServiceAccount,
    bound: Option<&BoundObject>,
    now: Timestamp,
    jti: String,
) -> Granted {
    let audiences =
        if spec.audiences.is_empty() { config.api_audiences().to_vec() } else { spec.audiences.clone() };
    let (expiration_seconds, warnings) =
        cap(config, spec.expiration_seconds.unwrap_or(DEFAULT_EXPIRATION_SECONDS));

    let issued = now.as_second();
    let ends = issued.saturating_add(expiration_seconds);
    let extended = config.extends_expiration()
        && matches!(bound, Some(BoundObject::Pod { .. }))
        && expiration_seconds == AUTOMOUNT_EXPIRATION_SECONDS
        && audiences.iter().all(|audience| config.api_audiences().contains(audience));

    let mut kubernetes = KubernetesClaims {
        namespace: account.namespace.clone(),
        serviceaccount: ObjectRef::new(&account.name, &account.uid),
        warnafter: extended.then_some(ends),
        ..KubernetesClaims::default()
    };
    match bound {
        Some(BoundObject::Node(node)) => kubernetes.node = Some(node.clone()),
        Some(BoundObject::Pod { pod, node }) => {
            kubernetes.pod = Some(pod.clone());
            kubernetes.node.clone_from(node);
        }
        Some(BoundObject::Secret(secret)) => kubernetes.secret = Some(secret.clone()),
        None => {}
    }

    let claims = Claims {
        aud: audiences.iter().collect(),
        exp: Some(if extended { issued.saturating_add(EXTENDED_EXPIRATION_SECONDS) } else { ends }),
        iat: Some(issued),
        iss: config.issuer().to_owned(),
        jti,
        kubernetes: Some(kubernetes),
        nbf: Some(issued),
        sub: username(&account.namespace, &account.name),
    };
    let expires = Timestamp::from_second(ends).unwrap_or(Timestamp::MAX);
    Granted { claims, audiences, expiration_seconds, expires, warnings }
}

fn cap(config: &IssuerConfig, requested: i64) -> (i64, Vec<String>) {
    match config.max_expiration_seconds() {
        Some(max) if requested > max => {
            let warning = format!("requested expiration of {requested} seconds shortened to {max} seconds");
            (max, vec![warning])
        }
        _ => (requested, Vec::new()),
    }
}

#[cfg(test)]
mod tests;
