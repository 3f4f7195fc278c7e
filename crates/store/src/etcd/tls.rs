//! TLS with etcd: whose certificates are believed, and as whom this server comes.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use hyper_util::rt::TokioIo;
use rustls::RootCertStore;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tonic::transport::{Channel, Endpoint, Uri};

/// How `https://` endpoints of etcd are spoken to. Clones are one: what replaces it counts for all stores that were made with it.
#[derive(Clone)]
pub struct EtcdTls {
    current: Arc<watch::Sender<Arc<Credentials>>>,
}

/// A certificate with those that lead to its authority, and its key.
type Identity = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

/// Of one moment.
pub(super) struct Credentials {
    authorities: Vec<CertificateDer<'static>>,
    /// It tells keys apart too: one is of no use with another's certificate.
    chain: Vec<CertificateDer<'static>>,
    config: Arc<rustls::ClientConfig>,
}

/// Why there can be no TLS with etcd.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EtcdTlsError {
    /// What was given is no certificate of an authority.
    #[error("an authority of etcd's certificates cannot be used")]
    Authority(#[source] rustls::Error),
    /// None was given, and this machine has none.
    #[error("wanted authorities of etcd's certificates, found none given and none on this machine")]
    NoAuthority,
    /// The client certificate and its key do not go together, or are not what they should be.
    #[error("the client certificate for etcd and its key cannot be used together")]
    Identity(#[source] rustls::Error),
}

impl EtcdTls {
    /// Believes certificates that `authorities` have signed, those of this machine when there are none; shows `identity`,
    /// a client certificate with its chain and its key, where etcd asks for one.
    ///
    /// # Errors
    /// When something of it cannot be used.
    pub fn new(
        authorities: Vec<CertificateDer<'static>>,
        identity: Option<Identity>,
    ) -> Result<Self, EtcdTlsError> {
        let credentials = Credentials::new(authorities, identity)?;
        Ok(Self { current: Arc::new(watch::Sender::new(Arc::new(credentials))) })
    }

    /// The same from now on with these. Whatever is asked next goes over a connection of its own; what is under way, the
    /// watch above all, keeps the one that it has. Gives whether they are others than before.
    ///
    /// # Errors
    /// When something of it cannot be used: then all stays as it was.
    pub fn replace(
        &self,
        authorities: Vec<CertificateDer<'static>>,
        identity: Option<Identity>,
    ) -> Result<bool, EtcdTlsError> {
        let next = Credentials::new(authorities, identity)?;
        Ok(self.current.send_if_modified(|current| {
            let is_other = !current.is_same_as(&next);
            if is_other {
                *current = Arc::new(next);
            }
            is_other
        }))
    }

    /// What counts now, and what comes after it.
    pub(super) fn follow(&self) -> watch::Receiver<Arc<Credentials>> {
        self.current.subscribe()
    }
}

impl Credentials {
    fn new(
        authorities: Vec<CertificateDer<'static>>,
        identity: Option<Identity>,
    ) -> Result<Self, EtcdTlsError> {
        let mut roots = RootCertStore::empty();
        if authorities.is_empty() {
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
        for authority in &authorities {
            roots.add(authority.clone()).map_err(EtcdTlsError::Authority)?;
        }
        if roots.is_empty() {
            return Err(EtcdTlsError::NoAuthority);
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(EtcdTlsError::Identity)?
            .with_root_certificates(roots);
        let chain = identity.as_ref().map(|(chain, _)| chain.clone()).unwrap_or_default();
        let mut config = match identity {
            Some((chain, key)) => {
                builder.with_client_auth_cert(chain, key).map_err(EtcdTlsError::Identity)?
            }
            None => builder.with_no_client_auth(),
        };
        config.alpn_protocols = vec![b"h2".to_vec()];
        Ok(Self { authorities, chain, config: Arc::new(config) })
    }

    fn is_same_as(&self, other: &Self) -> bool {
        self.authorities == other.authorities && self.chain == other.chain
    }

    /// A channel to an `https://` endpoint, which connects when something is asked.
    pub(super) fn channel(&self, endpoint: &Endpoint) -> Channel {
        let connector = Arc::new(Connector {
            tls: TlsConnector::from(self.config.clone()),
            was_refused: AtomicBool::new(false),
        });
        endpoint.connect_with_connector_lazy(tower::service_fn(move |uri: Uri| {
            let connector = connector.clone();
            async move { connector.connect(&uri).await.map(TokioIo::new) }
        }))
    }
}

impl fmt::Debug for EtcdTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EtcdTls").finish_non_exhaustive()
    }
}

struct Connector {
    tls: TlsConnector,
    /// Whether the last handshake failed: that is said once, since it is tried again and again.
    was_refused: AtomicBool,
}

impl Connector {
    async fn connect(&self, uri: &Uri) -> io::Result<TlsStream<TcpStream>> {
        let host = uri.host().unwrap_or_default();
        let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        let port = uri.port_u16().unwrap_or(443);
        let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
        let socket = TcpStream::connect((host, port)).await?;
        socket.set_nodelay(true)?;
        let shaken = self.tls.connect(name, socket).await;
        let was_refused = self.was_refused.swap(shaken.is_err(), Ordering::Relaxed);
        if let Err(error) = &shaken
            && !was_refused
        {
            tracing::warn!(%error, host, port, "no TLS with etcd");
        }
        shaken
    }
}
