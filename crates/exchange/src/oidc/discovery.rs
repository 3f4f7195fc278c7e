//! An issuer's two documents: where its keys are, and the keys.

use std::error::Error;
use std::sync::Arc;

use serde::Deserialize;
use tokenward_issuer::VerifyingKey;
use tokenward_jose::{JsonError, JwkSet};
use zeroize::Zeroizing;

use super::cache::KeysById;
use crate::client::SendError;
use crate::{Endpoint, EndpointError, HttpClient, Step};

/// An issuer has a few keys; one with more is not asked for the rest.
const MOST_KEYS: usize = 100;

/// Why an issuer's keys could not be fetched.
///
/// ```
/// use tokenward_exchange::oidc::{FetchError, VerifyError};
///
/// /// Whether a person has to do something about it.
/// fn is_misconfigured(error: &VerifyError) -> bool {
///     let VerifyError::Keys { source: Some(why), .. } = error else { return false };
///     matches!(why, FetchError::OtherIssuer { .. } | FetchError::NoKeys { .. })
/// }
///
/// let keys = FetchError::NoKeys { origin: "https://oidc.example".to_owned() };
/// assert!(keys.to_string().starts_with("https://oidc.example serves no key"));
/// let error = VerifyError::Keys { issuer: "https://oidc.example".to_owned(), source: Some(keys) };
/// assert!(is_misconfigured(&error));
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FetchError {
    /// The connection could not be made, or broke.
    #[error("{origin}: failed while {step}")]
    Broken {
        /// The server.
        origin: String,
        /// How far it came.
        step: Step,
        /// What the network, TLS or HTTP says.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// The discovery document is that of somebody else.
    #[error("the discovery document of {origin} names another issuer than `{wanted}`")]
    OtherIssuer {
        /// The server.
        origin: String,
        /// The issuer that was wanted.
        wanted: String,
    },
    /// `jwks_uri` is no place from which keys may come.
    #[error("the discovery document of {origin} has no usable jwks_uri")]
    KeysUri {
        /// The server.
        origin: String,
        /// What is wrong with it.
        #[source]
        source: EndpointError,
    },
    /// None of the keys can be used.
    #[error("{origin} serves no key for RS256, ES256, ES384 or ES512")]
    NoKeys {
        /// The server.
        origin: String,
    },
    /// Another status than 200.
    #[error("{origin} answered HTTP {status}")]
    Status {
        /// The server.
        origin: String,
        /// The status.
        status: u16,
    },
    /// No answer in time, or too long a one.
    #[error("{origin} gave no answer within the limits of time and size")]
    Limits {
        /// The server.
        origin: String,
    },
    /// Not JSON of the wanted shape.
    #[error("{origin}: the {document} cannot be read")]
    Unreadable {
        /// The server.
        origin: String,
        /// Which of the two.
        document: &'static str,
        /// Where it goes wrong.
        #[source]
        source: JsonError,
    },
}

#[derive(Deserialize)]
struct Configuration {
    issuer: String,
    jwks_uri: String,
}

/// Fetches the keys of `issuer`, whose documents are below `documents`.
pub(super) async fn fetch(
    client: &HttpClient,
    issuer: &str,
    documents: &Endpoint,
) -> Result<KeysById, FetchError> {
    let origin = || documents.origin().to_owned();
    let at = documents
        .join(".well-known/openid-configuration")
        .map_err(|source| FetchError::KeysUri { origin: origin(), source })?;
    let body = get(client, &at, "application/json").await?;
    let configuration: Configuration =
        serde_json::from_slice(&body).map_err(|error| FetchError::Unreadable {
            origin: origin(),
            document: "discovery document",
            source: JsonError::from(&error),
        })?;
    if configuration.issuer != issuer {
        return Err(FetchError::OtherIssuer { origin: origin(), wanted: issuer.to_owned() });
    }
    let at = Endpoint::parse(&configuration.jwks_uri)
        .map_err(|source| FetchError::KeysUri { origin: origin(), source })?;
    // kube-apiserver has the keys as the former alone, and answers 406 to who would take only the latter.
    let body = get(client, &at, "application/jwk-set+json, application/json").await?;
    let keys = JwkSet::parse(&body).map_err(|source| FetchError::Unreadable {
        origin: at.origin().to_owned(),
        document: "key set",
        source,
    })?;
    let keys = usable(&keys);
    if keys.is_empty() {
        return Err(FetchError::NoKeys { origin: at.origin().to_owned() });
    }
    Ok(keys)
}

async fn get(
    client: &HttpClient,
    endpoint: &Endpoint,
    accept: &'static str,
) -> Result<Zeroizing<Vec<u8>>, FetchError> {
    let origin = || endpoint.origin().to_owned();
    let received = client.get(endpoint, accept).await.map_err(|error| match error {
        SendError::Broken { step, source } => FetchError::Broken { origin: origin(), step, source },
        SendError::TooLong | SendError::TooSlow => FetchError::Limits { origin: origin() },
    })?;
    match received.status {
        200 => Ok(received.body),
        status => Err(FetchError::Status { origin: origin(), status }),
    }
}

/// The keys that sign, are of a known kind and have an id; others are somebody else's business.
fn usable(keys: &JwkSet) -> KeysById {
    let signing = keys.keys.iter().filter(|key| key.usage.as_deref().is_none_or(|usage| usage == "sig"));
    let usable = signing.filter_map(|key| {
        let public = key.public_key().ok()?;
        // The id is the issuer's own choice; without one, a token cannot name the key but by what it is.
        let id = key.kid.clone().unwrap_or_else(|| public.id().as_str().to_owned());
        Some((id, Arc::new(VerifyingKey::from_spki_der(public.spki_der()).ok()?)))
    });
    usable.take(MOST_KEYS).collect()
}

#[cfg(test)]
mod tests {
    use tokenward_issuer::{Algorithm, SigningKey};
    use tokenward_jose::Jwk;

    use super::*;

    #[test]
    fn keys_of_other_kinds_are_left_out() {
        let key = SigningKey::generate(Algorithm::Es256).unwrap();
        let good = Jwk::from(key.verifying_key().public_key());
        let with = |change: fn(&mut Jwk)| {
            let mut key = good.clone();
            change(&mut key);
            key
        };
        let set = JwkSet {
            keys: vec![
                with(|key| key.kid = Some("chosen".to_owned())),
                with(|key| key.usage = Some("enc".to_owned())),
                with(|key| key.kty = "OKP".to_owned()),
                with(|key| key.x = None),
                with(|key| (key.usage, key.kid) = (None, None)),
                with(|key| (key.kid, key.y) = (Some("off the curve".to_owned()), key.x.clone())),
            ],
        };
        let mut expected = vec!["chosen", key.verifying_key().public_key().id().as_str()];
        expected.sort_unstable();
        assert_eq!(usable(&set).keys().map(String::as_str).collect::<Vec<_>>(), expected);
    }
}
