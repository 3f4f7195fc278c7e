//! JSON Web Key Sets (RFC 7517): what `/openid/v1/jwks` serves, and reading such a document.

use serde::{Deserialize, Serialize};

use crate::compact::{decode_base64url, encode_segment};
use crate::{Curve, JsonError, KeyMaterial, PublicKey, SpkiError};

/// One public key. Members serialize in upstream's order; numbers are base64url without padding.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Jwk {
    /// `use`: `sig` for signing keys.
    #[serde(rename = "use", default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<String>,
    /// `EC` or `RSA`.
    pub kty: String,
    /// The key's id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kid: Option<String>,
    /// The curve of an EC key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub crv: Option<String>,
    /// The algorithm that the key is used with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alg: Option<String>,
    /// First coordinate of an EC key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub x: Option<String>,
    /// Second coordinate of an EC key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub y: Option<String>,
    /// Modulus of an RSA key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub n: Option<String>,
    /// Public exponent of an RSA key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub e: Option<String>,
}

/// Why a [`Jwk`] is not a usable public key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum JwkError {
    /// The numbers do not make a key.
    #[error(transparent)]
    Key(#[from] SpkiError),
    /// `kty` or `crv` is none of those that are supported.
    #[error("wanted kty RSA, or kty EC with crv P-256, P-384 or P-521")]
    Kind,
    /// A member is missing or not base64url.
    #[error("{0} is missing or not base64url without padding")]
    Member(&'static str),
}

impl From<&PublicKey> for Jwk {
    fn from(key: &PublicKey) -> Self {
        let common = Self {
            usage: Some("sig".to_owned()),
            kid: Some(key.id().as_str().to_owned()),
            alg: Some(key.algorithm().as_str().to_owned()),
            ..Self::default()
        };
        match key.material() {
            KeyMaterial::Ec { curve, x, y } => Self {
                kty: "EC".to_owned(),
                crv: Some(curve.as_str().to_owned()),
                x: Some(encode_segment(x)),
                y: Some(encode_segment(y)),
                ..common
            },
            KeyMaterial::Rsa { n, e } => Self {
                kty: "RSA".to_owned(),
                n: Some(encode_segment(n)),
                e: Some(encode_segment(e)),
                ..common
            },
        }
    }
}

impl Jwk {
    /// The key itself. Its [`id`](PublicKey::id) is derived anew and need not be the `kid` that a stranger chose.
    ///
    /// # Errors
    /// When the kind is not supported, or a number is missing or unusable.
    pub fn public_key(&self) -> Result<PublicKey, JwkError> {
        let number = |name, value: &Option<String>| {
            value.as_deref().and_then(decode_base64url).ok_or(JwkError::Member(name))
        };
        let material = match (self.kty.as_str(), &self.crv) {
            ("RSA", _) => KeyMaterial::Rsa { n: number("n", &self.n)?, e: number("e", &self.e)? },
            ("EC", Some(curve)) => KeyMaterial::Ec {
                curve: Curve::from_name(curve).ok_or(JwkError::Kind)?,
                x: number("x", &self.x)?,
                y: number("y", &self.y)?,
            },
            _ => return Err(JwkError::Kind),
        };
        Ok(PublicKey::from_material(&material)?)
    }
}

/// The keys of one issuer.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct JwkSet {
    /// In the order in which they are served.
    pub keys: Vec<Jwk>,
}

impl JwkSet {
    /// Reads a JWKS document. Unknown members are ignored; keys of unknown kinds are kept, for [`Jwk::public_key`] to
    /// refuse.
    ///
    /// # Errors
    /// When it is not JSON of that shape.
    pub fn parse(document: &[u8]) -> Result<Self, JsonError> {
        serde_json::from_slice(document).map_err(|error| JsonError::from(&error))
    }

    /// The document, as it is served.
    pub fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("strings always serialize")
    }

    /// The key with this `kid`.
    pub fn find(&self, kid: &str) -> Option<&Jwk> {
        self.keys.iter().find(|key| key.kid.as_deref() == Some(kid))
    }
}

impl<'a> FromIterator<&'a PublicKey> for JwkSet {
    fn from_iter<I: IntoIterator<Item = &'a PublicKey>>(keys: I) -> Self {
        Self { keys: keys.into_iter().map(Jwk::from).collect() }
    }
}
