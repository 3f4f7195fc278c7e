//! What a token proves: signature, claims, audiences, times, and the live objects it is bound to.
//!
//! Upstream: `pkg/serviceaccount/jwt.go` and `claims.go`. The texts of the errors are upstream's, for they end in
//! `status.error` of TokenReviews.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use tokenward_jose::{Claims, CompactJws, JwsError, KubernetesClaims, ObjectRef};

use crate::{Identity, IssuerConfig, KeySet, username};

/// How far clocks may disagree, and how long a deleted object's tokens stay good.
pub const LEEWAY: SignedDuration = SignedDuration::from_secs(60);

/// What verification must know of a live object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LiveObject {
    /// Its uid.
    pub uid: String,
    /// `metadata.deletionTimestamp`.
    pub deletion: Option<Timestamp>,
}

/// The objects of this moment. `None` is for an object that does not exist.
pub trait LiveObjects {
    /// Looks a service account up.
    fn service_account(&self, namespace: &str, name: &str) -> Option<LiveObject>;
    /// Looks a secret up.
    fn secret(&self, namespace: &str, name: &str) -> Option<LiveObject>;
    /// Looks a pod up.
    fn pod(&self, namespace: &str, name: &str) -> Option<LiveObject>;
    /// Looks a node up.
    fn node(&self, name: &str) -> Option<LiveObject>;
}

/// A good token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// Whom it stands for.
    pub identity: Identity,
    /// Its claims.
    pub claims: Claims,
    /// Set when the token had no audience: a legacy token, to be marked in the audit log.
    pub legacy: bool,
    /// How many seconds an extended token has been used past its warning threshold.
    pub stale_seconds: Option<i64>,
}

/// Why a token is not good. Texts that upstream has are upstream's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VerifyError {
    /// None of the token's audiences is wanted.
    #[error("token audiences {} is invalid for the target audiences {}", quoted(.found), quoted(.wanted))]
    Audience {
        /// Of the token.
        found: Vec<String>,
        /// Asked for.
        wanted: Vec<String>,
    },
    /// The service account is gone for more than a minute.
    #[error("service account {namespace}/{name} has been deleted")]
    Deleted {
        /// Namespace of the service account.
        namespace: String,
        /// Its name.
        name: String,
    },
    /// Past `exp`.
    #[error("service account token has expired")]
    Expired,
    /// The object it is bound to is gone.
    #[error("service account token has been invalidated")]
    Invalidated,
    /// Before `iat`.
    #[error("service account token is issued in the future")]
    IssuedInTheFuture,
    /// No key of ours has the token's `kid` and algorithm.
    #[error("invalid signature, no keys found")]
    NoKey,
    /// Not a token of this issuer: somebody else may know it.
    #[error("not a token of this issuer")]
    NotMine,
    /// The service account does not exist.
    #[error("serviceaccounts {} not found", quote(.0))]
    NoServiceAccount(String),
    /// Before `nbf`.
    #[error("service account token is not valid yet")]
    NotYetValid,
    /// The bound object was made anew.
    #[error("{kind} UID ({live}) does not match service account {kind} ref claim ({claim})")]
    BoundUid {
        /// `secret`, `pod` or `node`.
        kind: &'static str,
        /// The uid of today.
        live: String,
        /// The uid in the token.
        claim: String,
    },
    /// The service account was made anew.
    #[error("service account UID ({live}) does not match claim ({claim})")]
    ServiceAccountUid {
        /// The uid of today.
        live: String,
        /// The uid in the token.
        claim: String,
    },
    /// The signature is wrong.
    #[error("invalid signature")]
    Signature,
    /// The token says it is ours but cannot be read.
    #[error("malformed token")]
    Malformed(#[source] JwsError),
}

impl VerifyError {
    /// Whether the token is not this issuer's business, so that the next authenticator is to be asked.
    pub fn is_not_mine(&self) -> bool {
        matches!(self, Self::NotMine)
    }
}

/// Verifies a token at `now`. `audiences` are those asked for; empty means the API server's own.
///
/// # Errors
/// [`VerifyError::NotMine`] for anything that does not name one of our issuers; else the first check that failed.
pub fn verify(
    config: &IssuerConfig,
    keys: &KeySet,
    token: &str,
    audiences: &[String],
    live: &(impl LiveObjects + ?Sized),
    now: Timestamp,
) -> Result<Verified, VerifyError> {
    let jws = CompactJws::parse(token).map_err(|_| VerifyError::NotMine)?;
    let claims = jws.unverified_claims().map_err(|_| VerifyError::NotMine)?;
    if !config.issuers().contains(&claims.iss) {
        return Err(VerifyError::NotMine);
    }
    check_signature(&jws, keys)?;
    let legacy = claims.aud.is_empty();
    let own = if legacy { config.api_audiences() } else { &claims.aud.0 };
    let wanted = if audiences.is_empty() { config.api_audiences() } else { audiences };
    let audiences = wanted.iter().filter(|audience| own.contains(audience)).cloned().collect::<Vec<_>>();
    if audiences.is_empty() {
        return Err(VerifyError::Audience { found: own.to_vec(), wanted: wanted.to_vec() });
    }
    check_times(&claims, now)?;
    let kubernetes = claims.kubernetes.clone().unwrap_or_default();
    if !legacy || config.looks_up() {
        check_objects(&kubernetes, live, now)?;
    }
    let stale_seconds =
        kubernetes.warnafter.map(|warn_after| now.as_second() - warn_after).filter(|seconds| *seconds > 0);
    Ok(Verified { identity: identity(&claims, &kubernetes, audiences), claims, legacy, stale_seconds })
}

/// The key decides the algorithm: what the header names must be exactly that, so that neither `none` nor a public key
/// used as a shared secret gets anywhere.
fn check_signature(jws: &CompactJws<'_>, keys: &KeySet) -> Result<(), VerifyError> {
    let header = jws.header().map_err(VerifyError::Malformed)?;
    let signature = jws.signature().map_err(VerifyError::Malformed)?;
    let mut refused = VerifyError::NoKey;
    for key in keys.candidates(header.kid.as_deref()) {
        if key.algorithm().as_str() != header.alg {
            continue;
        }
        if key.verifies(jws.signing_input().as_bytes(), &signature) {
            return Ok(());
        }
        refused = VerifyError::Signature;
    }
    Err(refused)
}

fn check_times(claims: &Claims, now: Timestamp) -> Result<(), VerifyError> {
    let now = now.as_nanosecond();
    let leeway = LEEWAY.as_nanos();
    let nanoseconds = |seconds: i64| i128::from(seconds) * 1_000_000_000;
    if claims.nbf.is_some_and(|start| now + leeway < nanoseconds(start)) {
        return Err(VerifyError::NotYetValid);
    }
    if claims.exp.is_some_and(|end| now - leeway > nanoseconds(end)) {
        return Err(VerifyError::Expired);
    }
    if claims.iat.is_some_and(|issued| now + leeway < nanoseconds(issued)) {
        return Err(VerifyError::IssuedInTheFuture);
    }
    Ok(())
}

fn check_objects(
    claims: &KubernetesClaims,
    live: &(impl LiveObjects + ?Sized),
    now: Timestamp,
) -> Result<(), VerifyError> {
    let namespace = &claims.namespace;
    let ObjectRef { name, uid } = &claims.serviceaccount;
    let account =
        live.service_account(namespace, name).ok_or_else(|| VerifyError::NoServiceAccount(name.clone()))?;
    if account.uid != *uid {
        return Err(VerifyError::ServiceAccountUid { live: account.uid, claim: uid.clone() });
    }
    if is_gone(&account, now) {
        return Err(VerifyError::Deleted { namespace: namespace.clone(), name: name.clone() });
    }
    if let Some(secret) = &claims.secret {
        check_bound("secret", secret, live.secret(namespace, &secret.name), now)?;
    }
    if let Some(pod) = &claims.pod {
        check_bound("pod", pod, live.pod(namespace, &pod.name), now)?;
    } else if let Some(node) = &claims.node {
        // The node of a pod-bound token is not looked at: the pod's end is enough.
        check_bound("node", node, live.node(&node.name), now)?;
    }
    Ok(())
}

fn check_bound(
    kind: &'static str,
    claim: &ObjectRef,
    live: Option<LiveObject>,
    now: Timestamp,
) -> Result<(), VerifyError> {
    let live = live.ok_or(VerifyError::Invalidated)?;
    if live.uid != claim.uid {
        return Err(VerifyError::BoundUid { kind, live: live.uid, claim: claim.uid.clone() });
    }
    if is_gone(&live, now) { Err(VerifyError::Invalidated) } else { Ok(()) }
}

/// Deletion counts only once it is more than the leeway in the past; a pod's grace period puts it into the future.
fn is_gone(object: &LiveObject, now: Timestamp) -> bool {
    object.deletion.is_some_and(|deletion| deletion.as_nanosecond() < now.as_nanosecond() - LEEWAY.as_nanos())
}

fn identity(claims: &Claims, kubernetes: &KubernetesClaims, audiences: Vec<String>) -> Identity {
    let mut extra = BTreeMap::new();
    let mut add =
        |key: &str, value: String| extra.insert(format!("authentication.kubernetes.io/{key}"), vec![value]);
    if !claims.jti.is_empty() {
        add("credential-id", format!("JTI={}", claims.jti));
    }
    if let Some(pod) = kubernetes.pod.as_ref().filter(|pod| !pod.name.is_empty() && !pod.uid.is_empty()) {
        add("pod-name", pod.name.clone());
        add("pod-uid", pod.uid.clone());
    }
    if let Some(node) = kubernetes.node.as_ref().filter(|node| !node.name.is_empty()) {
        add("node-name", node.name.clone());
        if !node.uid.is_empty() {
            add("node-uid", node.uid.clone());
        }
    }
    Identity {
        username: username(&kubernetes.namespace, &kubernetes.serviceaccount.name),
        uid: kubernetes.serviceaccount.uid.clone(),
        groups: vec![
            "system:serviceaccounts".to_owned(),
            format!("system:serviceaccounts:{}", kubernetes.namespace),
        ],
        extra,
        audiences,
    }
}

/// A list as Go's `%q` prints it: `["a" "b"]`.
fn quoted(texts: &[String]) -> String {
    format!("[{}]", texts.iter().map(|text| quote(text)).collect::<Vec<_>>().join(" "))
}

/// A string as Go's `%q` prints it, but for rare unprintable characters.
fn quote(text: &str) -> String {
    let mut quoted = String::from("\"");
    for char in text.chars() {
        match char {
            '"' | '\\' => quoted.extend(['\\', char]),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            '\0'..='\u{1f}' | '\u{7f}' => quoted.push_str(&format!("\\x{:02x}", u32::from(char))),
            '\u{80}'..='\u{9f}' => quoted.push_str(&format!("\\u{:04x}", u32::from(char))),
            other => quoted.push(other),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests;
