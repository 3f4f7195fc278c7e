//! Public keys: read from a SubjectPublicKeyInfo (RFC 5280, 4.1.2.7), named by its hash.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::compact::encode_segment;
use crate::der;

/// The signature algorithms of service account tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Algorithm {
    /// ECDSA on P-256 with SHA-256.
    Es256,
    /// ECDSA on P-384 with SHA-384.
    Es384,
    /// ECDSA on P-521 with SHA-512.
    Es512,
    /// RSA PKCS#1 v1.5 with SHA-256, for RSA keys of any size.
    Rs256,
}

impl Algorithm {
    /// The name in `alg`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Es256 => "ES256",
            Self::Es384 => "ES384",
            Self::Es512 => "ES512",
            Self::Rs256 => "RS256",
        }
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Algorithm {
    type Err = UnknownAlgorithm;

    fn from_str(name: &str) -> Result<Self, UnknownAlgorithm> {
        match name {
            "ES256" => Ok(Self::Es256),
            "ES384" => Ok(Self::Es384),
            "ES512" => Ok(Self::Es512),
            "RS256" => Ok(Self::Rs256),
            _ => Err(UnknownAlgorithm),
        }
    }
}

/// A name that is no supported signature algorithm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("wanted RS256, ES256, ES384 or ES512")]
pub struct UnknownAlgorithm;

/// The elliptic curves of service account keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Curve {
    /// NIST P-256, secp256r1.
    P256,
    /// NIST P-384, secp384r1.
    P384,
    /// NIST P-521, secp521r1.
    P521,
}

impl Curve {
    const ALL: [Self; 3] = [Self::P256, Self::P384, Self::P521];

    /// The name in `crv`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::P256 => "P-256",
            Self::P384 => "P-384",
            Self::P521 => "P-521",
        }
    }

    /// Bytes of one coordinate.
    pub fn coordinate_len(self) -> usize {
        match self {
            Self::P256 => 32,
            Self::P384 => 48,
            Self::P521 => 66,
        }
    }

    /// The signature algorithm of keys on this curve.
    pub fn algorithm(self) -> Algorithm {
        match self {
            Self::P256 => Algorithm::Es256,
            Self::P384 => Algorithm::Es384,
            Self::P521 => Algorithm::Es512,
        }
    }

    pub(crate) fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|curve| curve.as_str() == name)
    }

    /// The content of its object identifier.
    fn oid(self) -> &'static [u8] {
        match self {
            Self::P256 => &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07],
            Self::P384 => &[0x2b, 0x81, 0x04, 0x00, 0x22],
            Self::P521 => &[0x2b, 0x81, 0x04, 0x00, 0x23],
        }
    }
}

/// 1.2.840.113549.1.1.1
const RSA_ENCRYPTION: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01];
/// 1.2.840.10045.2.1
const EC_PUBLIC_KEY: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01];
/// Longest modulus, in bytes (16384 bits).
const MAX_MODULUS_LEN: usize = 2048;
/// Longest public exponent, in bytes.
const MAX_EXPONENT_LEN: usize = 8;

/// The numbers that make up a public key, big-endian.
#[derive(Clone, PartialEq, Eq)]
pub enum KeyMaterial {
    /// A point on a curve.
    Ec {
        /// The curve.
        curve: Curve,
        /// First coordinate, padded to the curve's width.
        x: Vec<u8>,
        /// Second coordinate, padded to the curve's width.
        y: Vec<u8>,
    },
    /// An RSA key.
    Rsa {
        /// Modulus, without leading zeros.
        n: Vec<u8>,
        /// Public exponent, without leading zeros.
        e: Vec<u8>,
    },
}

/// Names a key: base64url without padding of SHA-256 over its SubjectPublicKeyInfo, 43 characters.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct KeyId(String);

impl KeyId {
    /// The id's text, as in `kid`.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The id of the key with this DER SubjectPublicKeyInfo, as upstream derives it.
pub fn key_id(spki_der: &[u8]) -> KeyId {
    KeyId(encode_segment(&Sha256::digest(spki_der)))
}

/// Why bytes are not a usable SubjectPublicKeyInfo.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SpkiError {
    /// Neither RSA nor ECDSA on one of the three curves (Ed25519 for instance).
    #[error("wanted an RSA key or an EC key on P-256, P-384 or P-521")]
    Algorithm,
    /// Not a strict DER SubjectPublicKeyInfo.
    #[error("not a DER SubjectPublicKeyInfo")]
    Der,
    /// The numbers in it cannot be those of a key.
    #[error("not a usable {0} public key")]
    Key(&'static str),
}

/// A public key with its SubjectPublicKeyInfo and its id. Nobody has checked that the point is on the curve: that is
/// for whoever verifies with it.
#[derive(Clone, PartialEq, Eq)]
pub struct PublicKey {
    spki: Vec<u8>,
    material: KeyMaterial,
    id: KeyId,
}

impl PublicKey {
    /// Reads a DER SubjectPublicKeyInfo.
    ///
    /// # Errors
    /// When it is not strict DER, of another algorithm, or has something behind it.
    pub fn from_spki_der(spki: &[u8]) -> Result<Self, SpkiError> {
        let material = read_spki(spki)?;
        Ok(Self { spki: spki.to_vec(), material, id: key_id(spki) })
    }

    /// Makes a key of its numbers. Leading zeros of RSA numbers are dropped, EC coordinates padded.
    ///
    /// # Errors
    /// When a number is zero or too long.
    pub fn from_material(material: &KeyMaterial) -> Result<Self, SpkiError> {
        let spki = write_spki(material)?;
        Self::from_spki_der(&spki)
    }

    /// The DER SubjectPublicKeyInfo.
    pub fn spki_der(&self) -> &[u8] {
        &self.spki
    }

    /// The numbers.
    pub fn material(&self) -> &KeyMaterial {
        &self.material
    }

    /// The key's id.
    pub fn id(&self) -> &KeyId {
        &self.id
    }

    /// The one algorithm that this key is used with.
    pub fn algorithm(&self) -> Algorithm {
        match &self.material {
            KeyMaterial::Ec { curve, .. } => curve.algorithm(),
            KeyMaterial::Rsa { .. } => Algorithm::Rs256,
        }
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({} {})", self.algorithm(), self.id)
    }
}

impl fmt::Debug for KeyMaterial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ec { curve, .. } => write!(f, "Ec({})", curve.as_str()),
            Self::Rsa { n, .. } => write!(f, "Rsa({} bits)", n.len() * 8),
        }
    }
}

fn read_spki(spki: &[u8]) -> Result<KeyMaterial, SpkiError> {
    let mut outer = der::Reader::new(spki);
    let (algorithm, key) = (|| {
        let mut info = outer.sequence()?;
        let parts = (info.sequence()?, info.bytes()?);
        (info.is_empty() && outer.is_empty()).then_some(parts)
    })()
    .ok_or(SpkiError::Der)?;
    let mut algorithm = algorithm;
    match algorithm.value(der::OBJECT_IDENTIFIER).ok_or(SpkiError::Der)? {
        RSA_ENCRYPTION => {
            if algorithm.value(der::NULL) != Some(&[]) || !algorithm.is_empty() {
                return Err(SpkiError::Der);
            }
            read_rsa(key)
        }
        EC_PUBLIC_KEY => {
            let oid = algorithm.value(der::OBJECT_IDENTIFIER).ok_or(SpkiError::Algorithm)?;
            if !algorithm.is_empty() {
                return Err(SpkiError::Der);
            }
            let curve =
                Curve::ALL.into_iter().find(|curve| curve.oid() == oid).ok_or(SpkiError::Algorithm)?;
            read_point(curve, key)
        }
        _ => Err(SpkiError::Algorithm),
    }
}

fn read_rsa(key: &[u8]) -> Result<KeyMaterial, SpkiError> {
    let mut outer = der::Reader::new(key);
    let (n, e) = (|| {
        let mut numbers = outer.sequence()?;
        let both = (numbers.positive_integer()?, numbers.positive_integer()?);
        (numbers.is_empty() && outer.is_empty()).then_some(both)
    })()
    .ok_or(SpkiError::Key("RSA"))?;
    if n.len() > MAX_MODULUS_LEN || e.len() > MAX_EXPONENT_LEN {
        return Err(SpkiError::Key("RSA"));
    }
    Ok(KeyMaterial::Rsa { n: n.to_vec(), e: e.to_vec() })
}

/// An uncompressed point (SEC 1, 2.3.4): 4, x, y.
fn read_point(curve: Curve, key: &[u8]) -> Result<KeyMaterial, SpkiError> {
    match key {
        [4, point @ ..] if point.len() == 2 * curve.coordinate_len() => {
            let (x, y) = point.split_at(curve.coordinate_len());
            Ok(KeyMaterial::Ec { curve, x: x.to_vec(), y: y.to_vec() })
        }
        _ => Err(SpkiError::Key("EC")),
    }
}

fn write_spki(material: &KeyMaterial) -> Result<Vec<u8>, SpkiError> {
    let (algorithm, key) = match material {
        KeyMaterial::Ec { curve, x, y } => {
            let width = curve.coordinate_len();
            let mut point = vec![4];
            for coordinate in [x, y] {
                let pad = width.checked_sub(coordinate.len()).ok_or(SpkiError::Key("EC"))?;
                point.extend(std::iter::repeat_n(0, pad));
                point.extend(coordinate);
            }
            let oids = [
                der::write(der::OBJECT_IDENTIFIER, EC_PUBLIC_KEY),
                der::write(der::OBJECT_IDENTIFIER, curve.oid()),
            ];
            (oids.concat(), point)
        }
        KeyMaterial::Rsa { n, e } => {
            if n.len() > MAX_MODULUS_LEN || e.len() > MAX_EXPONENT_LEN {
                return Err(SpkiError::Key("RSA"));
            }
            let algorithm =
                [der::write(der::OBJECT_IDENTIFIER, RSA_ENCRYPTION), der::write(der::NULL, &[])].concat();
            let numbers = [der::write_positive_integer(n), der::write_positive_integer(e)].concat();
            (algorithm, der::write(der::SEQUENCE, &numbers))
        }
    };
    let bits = [&[0][..], &key].concat();
    let info = [der::write(der::SEQUENCE, &algorithm), der::write(der::BIT_STRING, &bits)].concat();
    Ok(der::write(der::SEQUENCE, &info))
}

#[cfg(test)]
mod tests;
