//! Verification of service account tokens by whoever did not issue them: discovery of the issuer's keys (OpenID Connect Discovery 1.0), a
//! cache of them, and the checks of signature, issuer, audience and times.
//!
//! It proves who the token is for and from whom it comes. It cannot know whether the pod that the token is bound to still lives: for that
//! there is TokenReview.
//!
//! An issuer in a cluster answers only those who may ask: bind the cluster role `system:service-account-issuer-discovery` to
//! `system:unauthenticated`, or use an issuer whose documents are published elsewhere.

mod cache;
mod checks;
mod discovery;

use jiff::{SignedDuration, Timestamp};
use parking_lot::Mutex;
use tokenward_jose::{Claims, CompactJws, JwsError, MAX_JWS_LEN};
use tokenward_tokens::{Clock, Token};
use tokio::sync::Mutex as AsyncMutex;

pub use cache::CachePolicy;
pub use discovery::FetchError;

use self::cache::{Cache, Found};
use crate::error::with_causes;
use crate::{Endpoint, EndpointError, HttpClient};

/// Whose tokens are believed, and for whom they must be.
///
/// ```
/// use jiff::SignedDuration;
/// use tokenward_exchange::Endpoint;
/// use tokenward_exchange::oidc::{CachePolicy, Issuer};
///
/// let policy = CachePolicy { max_age: SignedDuration::from_mins(10), ..CachePolicy::default() };
/// let issuer = Issuer::new("https://kubernetes.default.svc", ["vault"])?
///     .documents_at(Endpoint::parse("https://oidc.example/clusters/blue")?)
///     .leeway(SignedDuration::from_secs(5))
///     .cache(policy);
/// # let _ = issuer;
/// # Ok::<(), tokenward_exchange::EndpointError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Issuer {
    issuer: String,
    documents: Endpoint,
    audiences: Vec<String>,
    leeway: SignedDuration,
    policy: CachePolicy,
}

impl Issuer {
    /// The issuer with exactly this URL; tokens must be for at least one of `audiences`.
    ///
    /// Shown at [`Issuer`].
    ///
    /// # Errors
    /// When it is no URL from which documents can be had.
    pub fn new<S: Into<String>>(
        issuer: impl Into<String>,
        audiences: impl IntoIterator<Item = S>,
    ) -> Result<Self, EndpointError> {
        let issuer = issuer.into();
        let documents = Endpoint::parse(&issuer)?;
        Ok(Self {
            issuer,
            documents,
            audiences: audiences.into_iter().map(Into::into).collect(),
            leeway: SignedDuration::from_secs(60),
            policy: CachePolicy::default(),
        })
    }

    /// Fetches the documents from below this URL, for issuers whose own URL leads nowhere from here (`https://kubernetes.default.svc`). The
    /// issuer that documents and tokens name is checked all the same.
    ///
    /// Shown at [`Issuer`].
    #[must_use]
    pub fn documents_at(mut self, documents: Endpoint) -> Self {
        self.documents = documents;
        self
    }

    /// How far clocks may disagree; a minute by default.
    ///
    /// Shown at [`Issuer`].
    #[must_use]
    pub fn leeway(mut self, leeway: SignedDuration) -> Self {
        self.leeway = leeway;
        self
    }

    /// How long keys are kept, and how often they may be asked for.
    ///
    /// Shown at [`Issuer`].
    #[must_use]
    pub fn cache(mut self, policy: CachePolicy) -> Self {
        self.policy = policy;
        self
    }
}

/// Why a token is not believed. No text holds a piece of it.
///
/// Shown at [`Verifier`].
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VerifyError {
    /// For none of the wanted audiences.
    #[error("the token is for none of the wanted audiences")]
    Audience,
    /// Over, or without an end.
    #[error("the token has expired, or does not say when it does")]
    Expired,
    /// From another issuer.
    #[error("the token is of another issuer than `{wanted}`")]
    Issuer {
        /// The one that is believed.
        wanted: String,
    },
    /// There are no keys to verify with, and no old ones that would still do.
    #[error("the keys of `{issuer}` cannot be had")]
    Keys {
        /// Whose.
        issuer: String,
        /// Why; none while the next attempt has to wait.
        #[source]
        source: Option<FetchError>,
    },
    /// Not a compact JWS with readable claims.
    #[error("the token cannot be read")]
    Malformed(#[source] JwsError),
    /// Before its time.
    #[error("the token is not valid yet; compare the clocks")]
    NotYet,
    /// The signature is wrong.
    #[error("the signature of the token is wrong")]
    Signature,
    /// The issuer has no key of this id and algorithm.
    #[error("the issuer has no key that the token names")]
    UnknownKey,
}

/// Verifies tokens of one issuer.
///
/// ```
/// use tokenward_exchange::HttpClient;
/// use tokenward_exchange::oidc::{Issuer, Verifier, VerifyError};
/// use tokenward_exchange::tokens::{Clock, Token};
///
/// /// A driver makes one verifier and keeps it: it has the keys.
/// fn verifier(client: HttpClient) -> Result<Verifier, Box<dyn std::error::Error>> {
///     let issuer = Issuer::new("https://oidc.example/clusters/blue", ["vault"])?;
///     Ok(Verifier::new(issuer, client, Clock::system()))
/// }
///
/// async fn subject(verifier: &Verifier, token: &Token) -> Result<String, VerifyError> {
///     match verifier.verify(token).await {
///         Ok(claims) => Ok(claims.sub),
///         // The issuer cannot be reached: not the token's fault.
///         Err(VerifyError::Keys { issuer, .. }) => Ok(format!("unknown, {issuer} does not answer")),
///         Err(error) => Err(error),
///     }
/// }
/// # let _ = (verifier, subject);
/// ```
#[derive(Debug)]
pub struct Verifier {
    issuer: Issuer,
    client: HttpClient,
    clock: Clock,
    cache: Mutex<Cache>,
    /// One fetch at a time; who waits for it looks at the cache again.
    fetching: AsyncMutex<()>,
}

impl Verifier {
    /// A verifier; nothing is fetched before the first token comes.
    ///
    /// Shown at [`Verifier`].
    #[must_use]
    pub fn new(issuer: Issuer, client: HttpClient, clock: Clock) -> Self {
        Self { issuer, client, clock, cache: Mutex::default(), fetching: AsyncMutex::default() }
    }

    /// The claims of a token, once all of it is checked.
    ///
    /// Shown at [`Verifier`].
    ///
    /// # Errors
    /// The first check that it fails.
    pub async fn verify(&self, token: &Token) -> Result<Claims, VerifyError> {
        let text = token.expose_token();
        if text.len() > MAX_JWS_LEN {
            return Err(VerifyError::Malformed(JwsError::TooLong(text.len())));
        }
        let jws = CompactJws::parse(text).map_err(VerifyError::Malformed)?;
        let claims = jws.unverified_claims().map_err(VerifyError::Malformed)?;
        // Before anything is fetched: a stranger's token costs the issuer nothing.
        if claims.iss != self.issuer.issuer {
            return Err(VerifyError::Issuer { wanted: self.issuer.issuer.clone() });
        }
        let header = jws.header().map_err(VerifyError::Malformed)?;
        let signature = jws.signature().map_err(VerifyError::Malformed)?;
        let keys = self.keys(header.kid.as_deref()).await?;
        let mut candidates = keys.iter().filter(|key| key.algorithm().as_str() == header.alg).peekable();
        if candidates.peek().is_none() {
            return Err(VerifyError::UnknownKey);
        }
        if !candidates.any(|key| key.verifies(jws.signing_input().as_bytes(), &signature)) {
            return Err(VerifyError::Signature);
        }
        checks::check(&claims, &self.issuer.audiences, self.issuer.leeway, self.clock.now())?;
        Ok(claims)
    }

    /// The keys that may have signed a token with this key id.
    async fn keys(&self, kid: Option<&str>) -> Result<cache::Keys, VerifyError> {
        if let Some(keys) = self.cached(kid, self.clock.now())? {
            return Ok(keys);
        }
        let _one = self.fetching.lock().await;
        if let Some(keys) = self.cached(kid, self.clock.now())? {
            return Ok(keys);
        }
        let fetched = discovery::fetch(&self.client, &self.issuer.issuer, &self.issuer.documents).await;
        let now = self.clock.now();
        let failed = match fetched {
            Ok(keys) => {
                self.cache.lock().replace(keys, now);
                None
            }
            Err(error) => {
                let text = with_causes(&error);
                tracing::warn!(
                    issuer = self.issuer.issuer,
                    error = text,
                    "the issuer's keys could not be fetched"
                );
                self.cache.lock().failed(now);
                Some(error)
            }
        };
        match self.cache.lock().after_fetch(kid, &self.issuer.policy, now) {
            Found::Keys(keys) => Ok(keys),
            Found::Unknown => Err(VerifyError::UnknownKey),
            Found::Fetch | Found::None => {
                Err(VerifyError::Keys { issuer: self.issuer.issuer.clone(), source: failed })
            }
        }
    }

    /// What the cache says; `None` when it has to be filled first.
    fn cached(&self, kid: Option<&str>, now: Timestamp) -> Result<Option<cache::Keys>, VerifyError> {
        match self.cache.lock().find(kid, &self.issuer.policy, now) {
            Found::Keys(keys) => Ok(Some(keys)),
            Found::Fetch => Ok(None),
            Found::Unknown => Err(VerifyError::UnknownKey),
            Found::None => Err(VerifyError::Keys { issuer: self.issuer.issuer.clone(), source: None }),
        }
    }
}
