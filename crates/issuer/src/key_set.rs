//! The keys of an issuer at one moment: at most one signs, all verify.

use std::sync::Arc;

use tokenward_jose::{Algorithm, Jwk, JwkSet};

use crate::{SigningKey, VerifyingKey};

/// An immutable set of keys; a change makes a new one. The JWKS document is made with it, not per request.
#[derive(Debug, Clone)]
pub struct KeySet {
    signing: Option<Arc<SigningKey>>,
    verifying: Vec<Arc<VerifyingKey>>,
    jwks: Arc<[u8]>,
}

impl KeySet {
    pub(crate) fn new(signing: Option<Arc<SigningKey>>, verifying: Vec<Arc<VerifyingKey>>) -> Self {
        let keys = verifying.iter().map(|key| Jwk::from(key.public_key())).collect();
        let jwks = JwkSet { keys }.to_json().into();
        Self { signing, verifying, jwks }
    }

    /// The key that signs; `None` while it is not ready.
    pub fn signing_key(&self) -> Option<&Arc<SigningKey>> {
        self.signing.as_ref()
    }

    /// Every key that verifies, in the order in which they came.
    pub fn verifying_keys(&self) -> &[Arc<VerifyingKey>] {
        &self.verifying
    }

    /// The keys that may have signed a token with this `kid`: that one, or all when there is no `kid`.
    pub fn candidates<'a>(&'a self, kid: Option<&'a str>) -> impl Iterator<Item = &'a VerifyingKey> {
        self.verifying
            .iter()
            .map(AsRef::as_ref)
            .filter(move |key| kid.is_none_or(|kid| key.public_key().id().as_str() == kid))
    }

    /// The JWKS document.
    pub fn jwks(&self) -> &Arc<[u8]> {
        &self.jwks
    }

    /// The algorithms of the keys, sorted by name, each once.
    pub fn algorithms(&self) -> Vec<Algorithm> {
        let mut algorithms = self.verifying.iter().map(|key| key.algorithm()).collect::<Vec<_>>();
        algorithms.sort_unstable_by_key(|algorithm| algorithm.as_str());
        algorithms.dedup();
        algorithms
    }

    /// This set with a new signing key, which verifies too; keys that signed before go on verifying.
    pub(crate) fn with_signing_key(&self, key: Arc<SigningKey>) -> Self {
        let verifying = self.extended(std::iter::once(Arc::clone(key.verifying_key())));
        Self::new(Some(key), verifying)
    }

    /// This set with more keys that verify.
    pub(crate) fn with_verifying_keys(&self, keys: impl IntoIterator<Item = Arc<VerifyingKey>>) -> Self {
        Self::new(self.signing.clone(), self.extended(keys))
    }

    fn extended(&self, keys: impl IntoIterator<Item = Arc<VerifyingKey>>) -> Vec<Arc<VerifyingKey>> {
        let mut all = self.verifying.clone();
        for key in keys {
            if !all.iter().any(|known| known.public_key().id() == key.public_key().id()) {
                all.push(key);
            }
        }
        all
    }
}

impl Default for KeySet {
    fn default() -> Self {
        Self::new(None, Vec::new())
    }
}
