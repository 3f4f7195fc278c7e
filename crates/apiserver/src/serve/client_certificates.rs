//! The TLS side of client certificates: any certificate passes the handshake whose key the peer proves to hold, and is
//! judged once the connection stands. So a client with a bad one is answered, with a 401, as upstream does.

use std::sync::Arc;

use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::CryptoProvider;
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{DigitallySignedStruct, DistinguishedName, RootCertStore, SignatureScheme};
use rustls_pki_types::{CertificateDer, UnixTime};

use super::ServeError;
use crate::authentication::ClientCertificate;

/// Whose certificates are believed.
#[derive(Debug)]
pub(super) struct ClientCertificates {
    strict: Arc<dyn ClientCertVerifier>,
}

impl ClientCertificates {
    /// With these authorities.
    ///
    /// # Errors
    /// When one of them is no certificate, or there is none.
    pub(super) fn new(
        authorities: Vec<CertificateDer<'static>>,
        provider: Arc<CryptoProvider>,
    ) -> Result<Self, ServeError> {
        let mut roots = RootCertStore::empty();
        for authority in authorities {
            roots.add(authority).map_err(|error| ServeError::ClientAuthority(error.into()))?;
        }
        let strict = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
            .build()
            .map_err(|error| ServeError::ClientAuthority(error.into()))?;
        Ok(Self { strict })
    }

    /// Judges what a peer has shown, its own certificate first.
    pub(super) fn judge(&self, chain: &[CertificateDer<'_>]) -> Option<ClientCertificate> {
        let (leaf, intermediates) = chain.split_first()?;
        match self.strict.verify_client_cert(leaf, intermediates, UnixTime::now()) {
            Ok(_) => Some(ClientCertificate::verified(leaf)),
            Err(error) => {
                tracing::debug!(%error, "client certificate refused");
                Some(ClientCertificate::Refused)
            }
        }
    }
}

impl ClientCertVerifier for ClientCertificates {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.strict.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        _leaf: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.strict.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.strict.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.strict.supported_verify_schemes()
    }
}
