//! The issuer: settings, and keys that can be replaced while it works.

use std::sync::Arc;

use jiff::Timestamp;
use parking_lot::RwLock;
use tokenward_jose::Claims;
use tokenward_tokens::Token;

use crate::discovery::{self, Discovery};
use crate::verify::{self, LiveObjects, Verified, VerifyError};
use crate::{
    BoundObject, Granted, IssuerConfig, KeyError, KeySet, ServiceAccount, SigningKey, TokenRequestSpec,
    VerifyingKey, grant, random_uuid,
};

/// Why a token could not be signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SignError {
    /// The key failed.
    #[error("failed to generate token")]
    Key(#[source] KeyError),
    /// The signing key is still being made.
    #[error("the signing key is not ready yet; try again in a moment")]
    NotReady,
}

/// Issues and verifies tokens. Cheap to share behind an `Arc`; a change of keys is seen by the next call as a whole.
#[derive(Debug)]
pub struct Issuer {
    config: IssuerConfig,
    keys: RwLock<Arc<KeySet>>,
}

impl Issuer {
    /// An issuer without keys: it verifies nothing and cannot sign yet.
    pub fn new(config: IssuerConfig) -> Self {
        Self { config, keys: RwLock::default() }
    }

    /// Its settings.
    pub fn config(&self) -> &IssuerConfig {
        &self.config
    }

    /// The keys of this moment.
    pub fn keys(&self) -> Arc<KeySet> {
        Arc::clone(&self.keys.read())
    }

    /// The key that signs; `None` while it is not ready.
    pub fn signing_key(&self) -> Option<Arc<SigningKey>> {
        self.keys.read().signing_key().cloned()
    }

    /// Signs with this key from now on. Tokens of the key before stay good.
    pub fn set_signing_key(&self, key: impl Into<Arc<SigningKey>>) {
        let mut keys = self.keys.write();
        *keys = Arc::new(keys.with_signing_key(key.into()));
    }

    /// Signs and verifies with exactly these keys from now on. Tokens of keys that are not among them are good no more.
    pub fn replace_keys(&self, keys: KeySet) {
        *self.keys.write() = Arc::new(keys);
    }

    /// Accepts tokens of these keys too (`--service-account-key-file`).
    pub fn add_verifying_keys(&self, added: impl IntoIterator<Item = VerifyingKey>) {
        let mut keys = self.keys.write();
        *keys = Arc::new(keys.with_verifying_keys(added.into_iter().map(Arc::new)));
    }

    /// Decides what a TokenRequest gets, under a new random token id. See [`grant::grant`].
    pub fn grant(
        &self,
        spec: &TokenRequestSpec,
        account: &ServiceAccount,
        bound: Option<&BoundObject>,
        now: Timestamp,
    ) -> Granted {
        grant::grant(&self.config, spec, account, bound, now, random_uuid().to_string())
    }

    /// Signs claims.
    ///
    /// # Errors
    /// When the signing key is not ready or fails.
    pub fn sign(&self, claims: &Claims) -> Result<Token, SignError> {
        self.signing_key().ok_or(SignError::NotReady)?.sign(claims).map_err(SignError::Key)
    }

    /// Says whom a token stands for. `audiences` are those asked for (`spec.audiences` of a TokenReview); empty means
    /// the API server's own. See [`verify`](mod@crate::verify).
    ///
    /// # Errors
    /// When the token is another issuer's, or is not good.
    pub fn verify(
        &self,
        token: &str,
        audiences: &[String],
        live: &(impl LiveObjects + ?Sized),
        now: Timestamp,
    ) -> Result<Verified, VerifyError> {
        verify::verify(&self.config, &self.keys(), token, audiences, live, now)
    }

    /// The OIDC documents; `external_address` is `host:port` as clients reach the server. `None` when the issuer is no
    /// plain `https` URL: then neither endpoint is served.
    pub fn discovery(&self, external_address: &str) -> Option<Discovery> {
        discovery::discovery(&self.config, &self.keys(), external_address)
    }
}
