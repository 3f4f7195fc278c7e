//! HTTP as it is needed here: HTTPS with certificates that are checked, limits of time and size, no redirects.

use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request};
use http_body::Body as _;
use http_body_util::{BodyExt as _, Full};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::RootCertStore;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use zeroize::Zeroizing;

use crate::proxy::Connector;
use crate::{Endpoint, Proxies, Step};

/// Who vouches for servers.
///
/// Shown at [`HttpClient`].
#[derive(Clone, Default, PartialEq, Eq)]
pub enum Authorities {
    /// Those of the machine, as its distribution and `SSL_CERT_FILE` have them.
    #[default]
    System,
    /// These certificates (PEM) and no others.
    Pem(Vec<u8>),
}

impl fmt::Debug for Authorities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::System => f.write_str("System"),
            Self::Pem(pem) => write!(f, "Pem({} bytes)", pem.len()),
        }
    }
}

/// Limits of one request.
///
/// Shown at [`HttpClient`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// One attempt, from the look-up of the name to the last byte; 5 s by default.
    pub attempt: Duration,
    /// All attempts together, pauses among them; 15 s by default.
    pub total: Duration,
    /// The longest body that is taken, in bytes; 256 KiB by default.
    pub body: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { attempt: Duration::from_secs(5), total: Duration::from_secs(15), body: 256 << 10 }
    }
}

/// Why there is no client.
///
/// Shown at [`HttpClient`].
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// No certificate among the authorities can be used.
    #[error("no authority's certificate can be used; wanted at least one in PEM")]
    NoAuthority,
    /// TLS could not be set up.
    #[error("cannot set up TLS")]
    Tls(#[source] rustls::Error),
}

/// A client; clones share its connections.
///
/// ```
/// use std::time::Duration;
/// use tokenward_exchange::{Authorities, ClientError, HttpClient, Limits};
///
/// // For who has a private authority: `Authorities::Pem(std::fs::read("/etc/sts/ca.pem")?)`.
/// let none = Authorities::Pem(Vec::new());
/// let refused = HttpClient::new(&none, Limits::default());
/// assert!(matches!(refused, Err(ClientError::NoAuthority)));
///
/// let (attempt, total) = (Duration::from_secs(20), Duration::from_secs(60));
/// let patient = Limits { attempt, total, ..Limits::default() };
/// if let Ok(client) = HttpClient::new(&Authorities::System, patient) {
///     assert_eq!(client.limits(), &patient);
/// }
/// ```
#[derive(Clone)]
pub struct HttpClient {
    inner: Client<HttpsConnector<Connector>, Full<Bytes>>,
    limits: Limits,
}

/// What a server sent.
pub(crate) struct Received {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Zeroizing<Vec<u8>>,
}

/// Why it sent nothing that can be used.
#[derive(Debug)]
pub(crate) enum SendError {
    Broken { step: Step, source: Box<dyn Error + Send + Sync> },
    TooLong,
    TooSlow,
}

impl HttpClient {
    /// A client that believes these authorities, and connects to servers directly.
    ///
    /// Shown at [`HttpClient`].
    ///
    /// # Errors
    /// When none of their certificates can be used.
    pub fn new(authorities: &Authorities, limits: Limits) -> Result<Self, ClientError> {
        Self::through(authorities, limits, Proxies::none())
    }

    /// A client that connects through these proxies.
    ///
    /// ```
    /// use tokenward_exchange::{Authorities, HttpClient, Limits, Proxies};
    ///
    /// # fn client() -> Result<(), Box<dyn std::error::Error>> {
    /// let proxies = Proxies::from_environment(|name| std::env::var(name).ok())?;
    /// let client = HttpClient::through(&Authorities::System, Limits::default(), proxies)?;
    /// # let _ = client;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`HttpClient::new`].
    pub fn through(authorities: &Authorities, limits: Limits, proxies: Proxies) -> Result<Self, ClientError> {
        let mut roots = RootCertStore::empty();
        match authorities {
            Authorities::System => {
                roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            }
            Authorities::Pem(pem) => {
                for certificate in CertificateDer::pem_slice_iter(pem) {
                    let certificate = certificate.map_err(|_| ClientError::NoAuthority)?;
                    roots.add(certificate).map_err(|_| ClientError::NoAuthority)?;
                }
            }
        }
        if roots.is_empty() {
            return Err(ClientError::NoAuthority);
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let tls = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(ClientError::Tls)?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_connect_timeout(Some(limits.attempt));
        // Which URLs may be plain HTTP, an `Endpoint` has decided.
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(tls)
            .https_or_http()
            .enable_http1()
            .wrap_connector(Connector { tcp, proxies });
        let inner = Client::builder(TokioExecutor::new())
            .timer(TokioTimer::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(Duration::from_secs(30))
            .pool_max_idle_per_host(8)
            .build(connector);
        Ok(Self { inner, limits })
    }

    /// The limits.
    ///
    /// Shown at [`HttpClient`].
    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// One attempt.
    pub(crate) async fn send(&self, request: Request<Full<Bytes>>) -> Result<Received, SendError> {
        let sent = tokio::time::timeout(self.limits.attempt, self.send_without_end(request)).await;
        sent.unwrap_or(Err(SendError::TooSlow))
    }

    /// GET of a document.
    pub(crate) async fn get(&self, endpoint: &Endpoint, accept: &'static str) -> Result<Received, SendError> {
        let request = Request::get(endpoint.uri().clone())
            .header(http::header::ACCEPT, accept)
            .body(Full::default())
            .map_err(|error| SendError::Broken { step: Step::Send, source: error.into() })?;
        self.send(request).await
    }

    async fn send_without_end(&self, request: Request<Full<Bytes>>) -> Result<Received, SendError> {
        let broken =
            |step| move |error: Box<dyn Error + Send + Sync>| SendError::Broken { step, source: error };
        let response = self.inner.request(request).await.map_err(|error| broken(Step::Send)(error.into()))?;
        let (parts, mut body) = response.into_parts();
        if body.size_hint().lower() > self.limits.body as u64 {
            return Err(SendError::TooLong);
        }
        let mut frames = Vec::new();
        let mut length = 0_usize;
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|error| broken(Step::Receive)(error.into()))?;
            if let Ok(data) = frame.into_data() {
                length = length.saturating_add(data.len());
                if length > self.limits.body {
                    return Err(SendError::TooLong);
                }
                frames.push(data);
            }
        }
        // Put together once, at its full size: a buffer that grows leaves copies behind.
        let mut whole = Zeroizing::new(Vec::with_capacity(length));
        frames.iter().for_each(|frame| whole.extend_from_slice(frame));
        Ok(Received { status: parts.status.as_u16(), headers: parts.headers, body: whole })
    }
}

impl fmt::Debug for HttpClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpClient").field("limits", &self.limits).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn authorities_must_be_there() {
        for pem in [&b""[..], b"no pem", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] {
            let error = HttpClient::new(&Authorities::Pem(pem.to_vec()), Limits::default()).unwrap_err();
            assert!(matches!(error, ClientError::NoAuthority), "{error}");
        }
    }
}
