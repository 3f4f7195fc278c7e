//! The certificates of the server: its own, made here as a kubelet makes one when it is given none, and whose client
//! certificates are believed.

use std::net::IpAddr;
use std::sync::Arc;

use rcgen::{CertificateParams, DnType, ExtendedKeyUsagePurpose, KeyPair, SanType};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::{RootCertStore, ServerConfig};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

/// Why there is no TLS.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The certificate could not be made.
    #[error("cannot make a serving certificate for node {node}")]
    Made {
        /// The node.
        node: String,
        /// Why.
        #[source]
        source: rcgen::Error,
    },
    /// What was given cannot be used.
    #[error("the serving certificate and its key cannot be used")]
    Unusable(#[source] rustls::Error),
    /// A client authority cannot be used.
    #[error("an authority of client certificates cannot be used")]
    Authority(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// A chain, the server's own certificate first, and its key.
pub struct Serving {
    /// The chain.
    pub chain: Vec<CertificateDer<'static>>,
    /// The key.
    pub key: PrivateKeyDer<'static>,
}

/// A self-signed certificate for the node's name and address.
///
/// # Errors
/// The name cannot be in a certificate, or the system gives no randomness.
pub fn self_signed(node: &str, address: IpAddr) -> Result<Serving, TlsError> {
    let failed = |source| TlsError::Made { node: node.to_owned(), source };
    let key = KeyPair::generate().map_err(failed)?;
    let mut params = CertificateParams::new(vec![node.to_owned()]).map_err(failed)?;
    params.subject_alt_names.push(SanType::IpAddress(address));
    params.distinguished_name.push(DnType::CommonName, node);
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let certificate = params.self_signed(&key).map_err(failed)?;
    Ok(Serving {
        chain: vec![certificate.der().clone()],
        key: PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der())),
    })
}

/// The configuration of the server. A client certificate is asked for when there are authorities, and need not be shown.
///
/// # Errors
/// What was given cannot be used.
pub fn server_config(
    serving: Serving,
    client_authorities: Vec<CertificateDer<'static>>,
) -> Result<ServerConfig, TlsError> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let verifier: Arc<dyn ClientCertVerifier> = if client_authorities.is_empty() {
        WebPkiClientVerifier::no_client_auth()
    } else {
        let mut roots = RootCertStore::empty();
        for authority in client_authorities {
            roots.add(authority).map_err(|error| TlsError::Authority(Box::new(error)))?;
        }
        WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
            .allow_unauthenticated()
            .build()
            .map_err(|error| TlsError::Authority(Box::new(error)))?
    };
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(TlsError::Unusable)?
        .with_client_cert_verifier(verifier)
        .with_single_cert(serving.chain, serving.key)
        .map_err(TlsError::Unusable)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}
