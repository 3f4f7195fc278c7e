//! Keys in PEM texts, several in one file.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rustls_pki_types::pem::{PemObject, SectionKind};
use x509_parser::prelude::{FromDer, X509Certificate};
use zeroize::Zeroizing;

use crate::{KeyError, SigningKey, VerifyingKey};

type Section = (SectionKind, Zeroizing<Vec<u8>>);

/// All sections of a kind that has to do with keys. The library's error may quote a line of the text: it is dropped.
fn sections(text: &[u8]) -> impl Iterator<Item = Result<Section, KeyError>> {
    <(SectionKind, Vec<u8>)>::pem_slice_iter(text).map(|section| {
        let (kind, der) = section.map_err(|_| KeyError::Pem)?;
        Ok((kind, Zeroizing::new(der)))
    })
}

fn private_key((kind, der): &Section) -> Option<Result<SigningKey, KeyError>> {
    match kind {
        SectionKind::RsaPrivateKey => Some(SigningKey::from_pkcs1_der(der)),
        SectionKind::PrivateKey => Some(SigningKey::from_pkcs8_der(der)),
        SectionKind::EcPrivateKey => Some(SigningKey::from_sec1_der(der)),
        _ => None,
    }
}

pub(crate) fn first_private_key(text: &[u8]) -> Result<SigningKey, KeyError> {
    for section in sections(text) {
        if let Some(key) = private_key(&section?) {
            return key;
        }
    }
    Err(KeyError::None("private key"))
}

pub(crate) fn all_public_keys(text: &[u8]) -> Result<Vec<VerifyingKey>, KeyError> {
    let mut keys = Vec::new();
    for section in sections(text) {
        let section = section?;
        match (&section.0, private_key(&section)) {
            (_, Some(key)) => keys.push(VerifyingKey::clone(key?.verifying_key())),
            (SectionKind::PublicKey, None) => keys.push(VerifyingKey::from_spki_der(&section.1)?),
            (SectionKind::Certificate, None) => {
                let (_, certificate) =
                    X509Certificate::from_der(&section.1).map_err(|_| KeyError::Certificate)?;
                keys.push(VerifyingKey::from_spki_der(certificate.public_key().raw)?);
            }
            _ => {}
        }
    }
    if keys.is_empty() { Err(KeyError::None("key")) } else { Ok(keys) }
}

/// A PKCS#8 private key as PEM, in lines of 64 characters (RFC 7468).
pub(crate) fn encode(pkcs8: &[u8]) -> Zeroizing<String> {
    let base64 = Zeroizing::new(STANDARD.encode(pkcs8));
    let mut pem = Zeroizing::new(String::with_capacity(base64.len() + base64.len() / 64 + 64));
    pem.push_str("-----BEGIN PRIVATE KEY-----\n");
    let mut rest = base64.as_str();
    while !rest.is_empty() {
        let (line, tail) = rest.split_at(rest.len().min(64));
        pem.push_str(line);
        pem.push('\n');
        rest = tail;
    }
    pem.push_str("-----END PRIVATE KEY-----\n");
    pem
}
