//! Certificates and keys that somebody brings along, out of PEM texts. No error quotes a text: it may hold a key.

use std::fmt;
use std::net::IpAddr;

use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use x509_parser::prelude::{FromDer as _, GeneralName, X509Certificate};

use crate::pki::pem;

/// A serving certificate with its chain and its key, which go together.
pub struct ServingCertificate {
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
}

/// What is wrong with a PEM text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PemError {
    /// A certificate is none.
    #[error("certificate {number} of the file cannot be read")]
    Certificate {
        /// Counted from 1.
        number: usize,
    },
    /// A key that needs a password.
    #[error("the private key is encrypted; wanted one that is not")]
    EncryptedKey,
    /// The text is not well-formed.
    #[error("the file is not well-formed PEM")]
    Malformed,
    /// There is no certificate.
    #[error("wanted certificates in PEM, found {0}")]
    NoCertificate(Content),
    /// There is no private key.
    #[error("wanted a private key in PEM, found {0}")]
    NoKey(Content),
}

/// What a text holds instead of what was wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// Certificates.
    Certificates,
    /// Nothing in PEM.
    NoPem,
    /// PEM of another kind.
    OtherPem,
    /// A private key.
    PrivateKey,
    /// A public key.
    PublicKey,
}

/// Why certificate and key cannot be used together.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServingCertificateError {
    /// Each is good, but they do not belong together.
    #[error("the private key is not that of the certificate")]
    Mismatch,
    /// The TLS library knows no use for them.
    #[error("the certificate or its key is of a kind that TLS has no use for")]
    Unusable(#[source] rustls::Error),
}

impl ServingCertificate {
    /// A certificate, followed by those that lead to its authority, and its key.
    ///
    /// # Errors
    /// When the key is another one's, or of an unknown kind.
    pub fn new(
        chain: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
    ) -> Result<Self, ServingCertificateError> {
        let provider = rustls::crypto::aws_lc_rs::default_provider();
        match CertifiedKey::from_der(chain.clone(), key.clone_key(), &provider) {
            Ok(_) => Ok(Self { chain, key }),
            Err(rustls::Error::InconsistentKeys(_)) => Err(ServingCertificateError::Mismatch),
            Err(error) => Err(ServingCertificateError::Unusable(error)),
        }
    }

    /// The chain, the certificate itself first, and the key.
    pub fn into_parts(self) -> (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>) {
        (self.chain, self.key)
    }

    /// What a client is told to believe: all that was given. Whoever signed it may not be in it; then the certificate itself is what
    /// there is.
    pub(crate) fn authorities_pem(&self) -> String {
        self.chain.iter().map(|certificate| pem("CERTIFICATE", certificate).to_string()).collect()
    }

    /// The name by which a client that dials `address` has to know the server; none when the address itself stands in the certificate.
    pub(crate) fn name_for(&self, address: IpAddr) -> Option<String> {
        let (_, certificate) = X509Certificate::from_der(self.chain.first()?).ok()?;
        let names = certificate.subject_alternative_name().ok()??;
        let names = &names.value.general_names;
        let octets = match address {
            IpAddr::V4(address) => address.octets().to_vec(),
            IpAddr::V6(address) => address.octets().to_vec(),
        };
        if names.iter().any(|name| matches!(name, GeneralName::IPAddress(own) if *own == octets)) {
            return None;
        }
        names.iter().find_map(|name| match name {
            // A client cannot ask for a wildcard.
            GeneralName::DNSName(name) => Some(name.replace('*', "server")),
            _ => None,
        })
    }
}

impl fmt::Debug for ServingCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServingCertificate").field("certificates", &self.chain.len()).finish_non_exhaustive()
    }
}

/// Reads every certificate of a PEM text, in its order; at least one.
///
/// # Errors
/// When there is none, or one is no X.509 certificate.
pub fn certificates_from_pem(text: &[u8]) -> Result<Vec<CertificateDer<'static>>, PemError> {
    let certificates = CertificateDer::pem_slice_iter(text)
        .collect::<Result<Vec<_>, _>>()
        // The library's error may quote a line.
        .map_err(|_| PemError::Malformed)?;
    if certificates.is_empty() {
        return Err(PemError::NoCertificate(Content::of(text)));
    }
    for (index, certificate) in certificates.iter().enumerate() {
        let read = X509Certificate::from_der(certificate);
        if !read.is_ok_and(|(rest, _)| rest.is_empty()) {
            return Err(PemError::Certificate { number: index + 1 });
        }
    }
    Ok(certificates)
}

/// Reads the first private key of a PEM text (PKCS#8, PKCS#1 or SEC1).
///
/// # Errors
/// When there is none, or it is encrypted.
pub fn private_key_from_pem(text: &[u8]) -> Result<PrivateKeyDer<'static>, PemError> {
    use rustls_pki_types::pem::Error;
    PrivateKeyDer::from_pem_slice(text).map_err(|error| match error {
        Error::NoItemsFound => no_private_key(text),
        // An old format: its header lines are no Base64.
        _ if is_encrypted(text) => PemError::EncryptedKey,
        _ => PemError::Malformed,
    })
}

/// What is wrong with a text that was to hold a private key, and holds none that can be read.
pub fn no_private_key(text: &[u8]) -> PemError {
    if is_encrypted(text) { PemError::EncryptedKey } else { PemError::NoKey(Content::of(text)) }
}

fn contains(text: &[u8], wanted: &str) -> bool {
    text.windows(wanted.len()).any(|window| window == wanted.as_bytes())
}

fn is_encrypted(text: &[u8]) -> bool {
    contains(text, "-----BEGIN ENCRYPTED PRIVATE KEY-----") || contains(text, "Proc-Type: 4,ENCRYPTED")
}

impl Content {
    /// What a text holds, by its labels.
    pub fn of(text: &[u8]) -> Self {
        if contains(text, "PRIVATE KEY-----") {
            Self::PrivateKey
        } else if contains(text, "-----BEGIN CERTIFICATE-----") {
            Self::Certificates
        } else if contains(text, "PUBLIC KEY-----") {
            Self::PublicKey
        } else if contains(text, "-----BEGIN ") {
            Self::OtherPem
        } else {
            Self::NoPem
        }
    }
}

impl fmt::Display for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Certificates => "certificates",
            Self::NoPem => "no PEM at all",
            Self::OtherPem => "PEM of another kind",
            Self::PrivateKey => "a private key",
            Self::PublicKey => "a public key",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pki::Authority;

    fn authority() -> Authority {
        Authority::generate("2026-03-01T12:00:00Z".parse().unwrap()).unwrap()
    }

    fn server(names: &[&str]) -> ServingCertificate {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let identity = authority().server(&names, "2026-03-01T12:00:00Z".parse().unwrap()).unwrap();
        let chain = certificates_from_pem(identity.certificate_pem().as_bytes()).unwrap();
        let key = private_key_from_pem(identity.expose_key_pem().as_bytes()).unwrap();
        ServingCertificate::new(chain, key).unwrap()
    }

    #[test]
    fn texts_of_the_wrong_kind_are_named_and_not_quoted() {
        let identity = authority().admin("2026-03-01T12:00:00Z".parse().unwrap()).unwrap();
        let (certificate, key) = (identity.certificate_pem(), identity.expose_key_pem());
        let garbage = "-----BEGIN CERTIFICATE-----\nY2FuYXJ5\n-----END CERTIFICATE-----\n";
        for (text, expected) in [
            (key.as_str(), "wanted certificates in PEM, found a private key"),
            ("canary", "wanted certificates in PEM, found no PEM at all"),
            (garbage, "certificate 1 of the file cannot be read"),
            ("-----BEGIN CERTIFICATE-----\ncan!ary\n", "the file is not well-formed PEM"),
        ] {
            let error = certificates_from_pem(text.as_bytes()).unwrap_err();
            assert_eq!(error.to_string(), expected);
            assert!(!format!("{error:?}").contains("anary"));
        }
        let encrypted =
            "-----BEGIN ENCRYPTED PRIVATE KEY-----\nY2FuYXJ5\n-----END ENCRYPTED PRIVATE KEY-----\n";
        for (text, expected) in [
            (certificate.as_str(), "wanted a private key in PEM, found certificates"),
            (encrypted, "the private key is encrypted; wanted one that is not"),
            ("-----BEGIN PRIVATE KEY-----\ncan!ary\n", "the file is not well-formed PEM"),
        ] {
            let error = private_key_from_pem(text.as_bytes()).unwrap_err();
            assert_eq!(error.to_string(), expected);
        }
    }

    #[test]
    fn a_key_of_another_certificate_is_noticed() {
        let (a, b) = (server(&[]), server(&[]));
        let error = ServingCertificate::new(a.chain, b.key).unwrap_err();
        assert_eq!(error.to_string(), "the private key is not that of the certificate");
        let no_key = PrivateKeyDer::Pkcs8(vec![0x30, 0].into());
        let error = ServingCertificate::new(server(&[]).chain, no_key).unwrap_err();
        assert!(matches!(error, ServingCertificateError::Unusable(_)), "{error}");
    }

    #[test]
    fn clients_are_told_a_name_when_the_address_is_not_in_the_certificate() {
        let certificate = server(&["192.0.2.7"]);
        assert_eq!(certificate.name_for("192.0.2.7".parse().unwrap()), None);
        assert_eq!(certificate.name_for("127.0.0.1".parse().unwrap()), None);
        assert_eq!(certificate.name_for("192.0.2.8".parse().unwrap()).as_deref(), Some("localhost"));
    }

    #[test]
    fn all_that_was_given_is_believed() {
        let authority = authority();
        let identity = authority.server(&[], "2026-03-01T12:00:00Z".parse().unwrap()).unwrap();
        let text = identity.certificate_pem() + &authority.certificate_pem();
        let chain = certificates_from_pem(text.as_bytes()).unwrap();
        assert_eq!(chain.len(), 2);
        let certificate = ServingCertificate::new(chain, identity.expose_key_der()).unwrap();
        assert_eq!(certificate.authorities_pem(), text);
        assert_eq!(format!("{certificate:?}"), "ServingCertificate { certificates: 2, .. }");
    }
}
