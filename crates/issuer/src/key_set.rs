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
    /// A set of exactly these keys: what a server reads from its key files. The signing key verifies too.
    #[must_use]
    pub fn of(
        signing: Option<Arc<SigningKey>>,
        verifying: impl IntoIterator<Item = Arc<VerifyingKey>>,
    ) -> Self {
        let own = signing.iter().map(|key| Arc::clone(key.verifying_key())).collect();
        let verifying = Self::new(None, own).extended(verifying);
        Self::new(signing, verifying)
    }

    /// Whether another set signs and verifies with the same keys.
    pub fn is_same_as(&self, other: &Self) -> bool {
        self.signing_id() == other.signing_id() && self.verifying_ids().eq(other.verifying_ids())
    }

    fn signing_id(&self) -> Option<&str> {
        self.signing.as_ref().map(|key| key.verifying_key().public_key().id().as_str())
    }

    fn verifying_ids(&self) -> impl Iterator<Item = &str> {
        self.verifying.iter().map(|key| key.public_key().id().as_str())
    }

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_has_exactly_its_keys_and_each_once() {
        let key = || Arc::new(SigningKey::generate(Algorithm::Es256).unwrap());
        let (old, new) = (key(), key());
        let public = |key: &Arc<SigningKey>| Arc::clone(key.verifying_key());
        let id = |key: &Arc<SigningKey>| key.verifying_key().public_key().id().as_str().to_owned();
        let set = KeySet::of(Some(new.clone()), [public(&old), public(&new), public(&old)]);
        assert_eq!(set.signing_id(), Some(id(&new).as_str()));
        assert_eq!(set.verifying_ids().collect::<Vec<_>>(), [id(&new), id(&old)]);
        let nobody = KeySet::of(None, [public(&old)]);
        assert_eq!((nobody.signing_id(), nobody.verifying_keys().len()), (None, 1));
        assert!(set.is_same_as(&set.clone()) && !set.is_same_as(&nobody));
    }
}
