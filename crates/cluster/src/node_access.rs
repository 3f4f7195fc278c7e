//! How the API server connects to nodes: with a client certificate, and only to those that an authority vouches for.

use std::sync::Arc;

use jiff::Timestamp;
use rustls::RootCertStore;
use rustls_pki_types::CertificateDer;
use tokenward_apiserver::NodeAccess;

use crate::pki::{Authority, Identity, PkiError};
use crate::serving::ServingCertificate;

/// As whom the server comes to nodes unless it brings a certificate along. In no group: this server believes certificates of
/// the same authority, and a connection that is led back here must not come with rights.
pub(crate) const CLIENT: &str = "kube-apiserver-kubelet-client";

/// Why the server cannot connect to nodes.
#[derive(Debug, thiserror::Error)]
pub enum NodeAccessError {
    /// No certificate for it could be made.
    #[error("cannot make the client certificate for nodes")]
    Identity(#[from] PkiError),
    /// What was given cannot be used for TLS.
    #[error("the certificates for connections to nodes cannot be used")]
    Unusable(#[source] rustls::Error),
}

/// Nodes of the run's own authority and of the `given` ones are believed; `identity` is shown to them, or one of the run's.
pub(crate) fn node_access(
    authority: &Authority,
    given: Vec<CertificateDer<'static>>,
    identity: Option<ServingCertificate>,
    now: Timestamp,
) -> Result<NodeAccess, NodeAccessError> {
    let mut roots = RootCertStore::empty();
    for certificate in given.into_iter().chain([authority.certificate_der().clone()]) {
        roots.add(certificate).map_err(NodeAccessError::Unusable)?;
    }
    let (chain, key) = match identity {
        Some(identity) => identity.into_parts(),
        None => {
            let own = client(authority, now)?;
            (vec![own.certificate_der().clone()], own.expose_key_der())
        }
    };
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_root_certificates(roots).with_client_auth_cert(chain, key))
        .map_err(NodeAccessError::Unusable)?;
    Ok(NodeAccess::new(Arc::new(tls)))
}

fn client(authority: &Authority, now: Timestamp) -> Result<Identity, PkiError> {
    authority.client(CLIENT, None, now)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_see_a_user_in_no_group() {
        let now: Timestamp = "2026-03-01T12:00:00Z".parse().unwrap();
        let authority = Authority::generate(now).unwrap();
        let identity = client(&authority, now).unwrap();
        let (_, certificate) = x509_parser::parse_x509_certificate(identity.certificate_der()).unwrap();
        assert_eq!(certificate.subject().to_string(), "CN=kube-apiserver-kubelet-client");
        node_access(&authority, Vec::new(), None, now).unwrap();
    }
}
