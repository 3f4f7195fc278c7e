//! Signing and verifying keys, parsed once and held.

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der, PublicKeyX509Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED,
    ECDSA_P384_SHA384_FIXED_SIGNING, ECDSA_P521_SHA512_FIXED, ECDSA_P521_SHA512_FIXED_SIGNING, EcdsaKeyPair,
    EcdsaSigningAlgorithm, KeyPair, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_SHA256,
    RsaKeyPair, VerificationAlgorithm,
};
use tokenward_jose::{
    Algorithm, Claims, Header, KeyMaterial, PublicKey, SpkiError, encode_segment, encode_segment_to,
};
use tokenward_tokens::Token;
use zeroize::Zeroizing;

use crate::pem;

/// Why a key cannot be made, read or used. Never holds key material.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// An X.509 certificate that cannot be read.
    #[error("the certificate is not readable DER")]
    Certificate,
    /// The cryptographic library failed.
    #[error("the cryptographic library failed to {0}")]
    Crypto(&'static str),
    /// There is no key in the PEM text.
    #[error("no {0} found in the PEM text")]
    None(&'static str),
    /// The text is not well-formed PEM.
    #[error("not well-formed PEM")]
    Pem,
    /// A private key that cannot be read.
    #[error(
        "wanted an RSA key of 2048 to 8192 bits or an EC key on P-256, P-384 or P-521; the private key is none"
    )]
    Private,
    /// A public key that cannot be read.
    #[error("the public key is not usable")]
    Public(#[source] SpkiError),
    /// An RSA key of a size that nobody should rely on.
    #[error("wanted an RSA key of 2048 to 8192 bits, found {0}")]
    RsaSize(usize),
}

enum Private {
    Ec(EcdsaKeyPair),
    Rsa(RsaKeyPair),
}

impl Private {
    /// Length of its signatures in bytes.
    fn signature_len(&self, algorithm: Algorithm) -> usize {
        match (self, algorithm) {
            (Self::Rsa(pair), _) => pair.public_modulus_len(),
            (Self::Ec(_), Algorithm::Es384) => 96,
            (Self::Ec(_), Algorithm::Es512) => 132,
            (Self::Ec(_), _) => 64,
        }
    }
}

/// A private key, ready to sign. `Debug` shows its algorithm and id only.
pub struct SigningKey {
    private: Private,
    verifying: Arc<VerifyingKey>,
    /// The header segment and its dot: the same for every token of this key.
    header: String,
}

impl SigningKey {
    /// Makes a new key: RS256 with 2048 bits takes 100 ms and more and belongs on a thread of its own; the elliptic
    /// ones take microseconds.
    ///
    /// # Errors
    /// When the cryptographic library fails.
    pub fn generate(algorithm: Algorithm) -> Result<Self, KeyError> {
        let failed = |_| KeyError::Crypto("generate a key");
        Self::new(match ecdsa(algorithm) {
            Some((signing, _)) => Private::Ec(EcdsaKeyPair::generate(signing).map_err(failed)?),
            None => Private::Rsa(RsaKeyPair::generate(KeySize::Rsa2048).map_err(failed)?),
        })
    }

    /// Reads the first private key of a PEM text: PKCS#1 or PKCS#8 RSA, SEC1 or PKCS#8 EC, not encrypted. The
    /// algorithm follows from the key: RSA is RS256 whatever its size.
    ///
    /// # Errors
    /// When there is none, or it is of another kind or size.
    pub fn from_pem(text: &[u8]) -> Result<Self, KeyError> {
        pem::first_private_key(text)
    }

    /// PKCS#1 `RSAPrivateKey`.
    pub(crate) fn from_pkcs1_der(der: &[u8]) -> Result<Self, KeyError> {
        Self::new(Private::Rsa(RsaKeyPair::from_der(der).map_err(|_| KeyError::Private)?))
    }

    /// SEC1 `ECPrivateKey`.
    pub(crate) fn from_sec1_der(der: &[u8]) -> Result<Self, KeyError> {
        EC_ALGORITHMS
            .into_iter()
            .filter_map(ecdsa)
            .find_map(|(signing, _)| EcdsaKeyPair::from_private_key_der(signing, der).ok())
            .ok_or(KeyError::Private)
            .and_then(|pair| Self::new(Private::Ec(pair)))
    }

    /// PKCS#8 `PrivateKeyInfo` of either kind.
    pub(crate) fn from_pkcs8_der(der: &[u8]) -> Result<Self, KeyError> {
        match RsaKeyPair::from_pkcs8(der) {
            Ok(pair) => Self::new(Private::Rsa(pair)),
            Err(_) => EC_ALGORITHMS
                .into_iter()
                .filter_map(ecdsa)
                .find_map(|(signing, _)| EcdsaKeyPair::from_pkcs8(signing, der).ok())
                .ok_or(KeyError::Private)
                .and_then(|pair| Self::new(Private::Ec(pair))),
        }
    }

    fn new(private: Private) -> Result<Self, KeyError> {
        let spki: PublicKeyX509Der<'_> = match &private {
            Private::Ec(pair) => pair.public_key().as_der(),
            Private::Rsa(pair) => pair.public_key().as_der(),
        }
        .map_err(|_| KeyError::Crypto("encode a public key"))?;
        let verifying = Arc::new(VerifyingKey::from_spki_der(spki.as_ref())?);
        let header = Header {
            alg: verifying.algorithm().as_str().to_owned(),
            kid: Some(verifying.public_key().id().as_str().to_owned()),
        };
        let header = encode_segment(&header.to_json()) + ".";
        Ok(Self { private, verifying, header })
    }

    /// The private key as a PKCS#8 PEM text, to be kept where only its owner can read it.
    ///
    /// # Errors
    /// When the cryptographic library fails.
    pub fn to_pem(&self) -> Result<Zeroizing<String>, KeyError> {
        let failed = |_| KeyError::Crypto("encode a private key");
        match &self.private {
            Private::Ec(pair) => Ok(pem::encode(pair.to_pkcs8v1().map_err(failed)?.as_ref())),
            Private::Rsa(pair) => {
                let der: Pkcs8V1Der<'_> = pair.as_der().map_err(failed)?;
                Ok(pem::encode(der.as_ref()))
            }
        }
    }

    /// The public half.
    pub fn verifying_key(&self) -> &Arc<VerifyingKey> {
        &self.verifying
    }

    /// The algorithm of its signatures.
    pub fn algorithm(&self) -> Algorithm {
        self.verifying.algorithm()
    }

    /// Signs claims into a compact JWS.
    ///
    /// # Errors
    /// When the cryptographic library fails.
    pub fn sign(&self, claims: &Claims) -> Result<Token, KeyError> {
        let payload = claims.to_json();
        let signature_len = self.private.signature_len(self.algorithm());
        // Sized at once: a growing string would leave a copy of the token behind in freed memory. No larger than needed:
        // all of it is overwritten byte by byte when the token is dropped.
        let size = self.header.len() + (payload.len() + signature_len) * 4 / 3 + 8;
        let mut token = String::with_capacity(size);
        token.push_str(&self.header);
        encode_segment_to(&payload, &mut token);
        let failed = |_| KeyError::Crypto("sign");
        match &self.private {
            Private::Ec(pair) => {
                let signature = pair.sign(&SystemRandom::new(), token.as_bytes()).map_err(failed)?;
                token.push('.');
                encode_segment_to(signature.as_ref(), &mut token);
            }
            Private::Rsa(pair) => {
                let mut signature = Zeroizing::new(vec![0; signature_len]);
                pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), token.as_bytes(), &mut signature)
                    .map_err(failed)?;
                token.push('.');
                encode_segment_to(&signature, &mut token);
            }
        }
        Ok(Token::new(token))
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({:?})", self.verifying.public)
    }
}

/// A public key, ready to verify.
pub struct VerifyingKey {
    public: PublicKey,
    parsed: ParsedPublicKey,
}

impl VerifyingKey {
    /// Reads a DER SubjectPublicKeyInfo.
    ///
    /// # Errors
    /// When it is none, of another algorithm, an RSA key below 2048 bits, or a point off its curve.
    pub fn from_spki_der(spki: &[u8]) -> Result<Self, KeyError> {
        Self::new(PublicKey::from_spki_der(spki).map_err(KeyError::Public)?)
    }

    fn new(public: PublicKey) -> Result<Self, KeyError> {
        if let KeyMaterial::Rsa { n, .. } = public.material() {
            let bits = n.len() * 8 - n.first().map_or(0, |high| high.leading_zeros() as usize);
            if !(2048..=8192).contains(&bits) {
                return Err(KeyError::RsaSize(bits));
            }
        }
        let verification: &'static dyn VerificationAlgorithm =
            ecdsa(public.algorithm()).map_or(&RSA_PKCS1_2048_8192_SHA256, |(_, verification)| verification);
        let parsed = ParsedPublicKey::new(verification, public.spki_der())
            .map_err(|_| KeyError::Public(SpkiError::Key(public.algorithm().as_str())))?;
        Ok(Self { public, parsed })
    }

    /// Reads every key of a PEM text: PKIX public keys, the keys of X.509 certificates, and the public halves of
    /// private keys. Other sections are skipped.
    ///
    /// # Errors
    /// When one of them cannot be used, or there is none.
    pub fn all_from_pem(text: &[u8]) -> Result<Vec<Self>, KeyError> {
        pem::all_public_keys(text)
    }

    /// The key itself: numbers, id, SubjectPublicKeyInfo.
    pub fn public_key(&self) -> &PublicKey {
        &self.public
    }

    /// The one algorithm that it verifies.
    pub fn algorithm(&self) -> Algorithm {
        self.public.algorithm()
    }

    /// Whether `signature` is this key's over `message`.
    pub fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        self.parsed.verify_sig(message, signature).is_ok()
    }
}

impl Clone for VerifyingKey {
    fn clone(&self) -> Self {
        Self { public: self.public.clone(), parsed: self.parsed.clone() }
    }
}

impl fmt::Debug for VerifyingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "VerifyingKey({:?})", self.public)
    }
}

const EC_ALGORITHMS: [Algorithm; 3] = [Algorithm::Es256, Algorithm::Es384, Algorithm::Es512];

/// How an elliptic algorithm signs and verifies; `None` for RSA.
fn ecdsa(
    algorithm: Algorithm,
) -> Option<(&'static EcdsaSigningAlgorithm, &'static dyn VerificationAlgorithm)> {
    match algorithm {
        Algorithm::Es256 => Some((&ECDSA_P256_SHA256_FIXED_SIGNING, &ECDSA_P256_SHA256_FIXED)),
        Algorithm::Es384 => Some((&ECDSA_P384_SHA384_FIXED_SIGNING, &ECDSA_P384_SHA384_FIXED)),
        Algorithm::Es512 => Some((&ECDSA_P521_SHA512_FIXED_SIGNING, &ECDSA_P521_SHA512_FIXED)),
        Algorithm::Rs256 => None,
    }
}

#[cfg(test)]
mod tests;
