//! HTTPS: the server behind TLS, HTTP/1.1 and HTTP/2, with client certificates as one way to say who one is.

mod client_certificates;
mod gathering;
mod sources;
mod standing;

use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use http::Request;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use self::client_certificates::ClientCertificates;
use self::gathering::Gathering;
use self::sources::{Place, Sources};
use self::standing::Standing;
use crate::server::ApiServer;
use crate::signal::Signal;

/// How many connections there are at once.
#[derive(Clone, Copy)]
struct Limits {
    /// Further ones wait to be accepted.
    all: usize,
    /// Further ones from the same source are closed at once.
    of_one_source: usize,
}

/// A quarter of them is enough for all nodes of a large cluster behind one address, and leaves room for others whatever
/// one of them does. Loopback is a source as any other.
const LIMITS: Limits = Limits { all: 16_384, of_one_source: 4_096 };
/// A peer that has not finished the TLS handshake by then is dropped.
const HANDSHAKE_LIMIT: Duration = Duration::from_secs(10);
/// A peer that has not sent its request's headers by then is dropped.
const HEADER_LIMIT: Duration = Duration::from_secs(30);
/// How long an HTTP/2 connection may be silent before its peer is asked whether it is still there.
const PING_INTERVAL: Duration = Duration::from_secs(30);
/// A peer that has not answered by then is gone, and what it held is given back.
const PING_LIMIT: Duration = Duration::from_secs(20);
/// Requests at once on one HTTP/2 connection.
const MAX_STREAMS: u32 = 1_000;
/// How long running requests may take to finish once the server is told to stop.
const DRAIN_LIMIT: Duration = Duration::from_secs(2);

/// The server's certificate and key, and whose client certificates it believes.
pub struct TlsConfig {
    /// The chain, the server's own certificate first.
    pub certificates: Vec<CertificateDer<'static>>,
    /// The key of the first certificate.
    pub key: PrivateKeyDer<'static>,
    /// The authorities of client certificates; none means that no client certificate is asked for.
    pub client_authorities: Vec<CertificateDer<'static>>,
}

impl std::fmt::Debug for TlsConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TlsConfig")
            .field("certificates", &self.certificates.len())
            .field("client_authorities", &self.client_authorities.len())
            .finish_non_exhaustive()
    }
}

/// Why a server cannot serve.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The certificate and the key do not go together, or are not what they should be.
    #[error("the serving certificate and key cannot be used together")]
    Certificate(#[source] rustls::Error),
    /// A client authority is no certificate.
    #[error("an authority of client certificates cannot be used")]
    ClientAuthority(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The listening socket failed.
    #[error("the listening socket failed")]
    Listener(#[source] io::Error),
}

/// Makes TLS connections, and judges the certificates that clients show.
#[derive(Clone)]
struct Acceptor {
    tls: TlsAcceptor,
    clients: Option<Arc<ClientCertificates>>,
}

impl TlsConfig {
    fn acceptor(self) -> Result<Acceptor, ServeError> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = rustls::ServerConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .map_err(ServeError::Certificate)?;
        let clients = if self.client_authorities.is_empty() {
            None
        } else {
            Some(Arc::new(ClientCertificates::new(self.client_authorities, provider)?))
        };
        let builder = match clients.clone() {
            Some(clients) => builder.with_client_cert_verifier(clients),
            None => builder.with_no_client_auth(),
        };
        let mut config =
            builder.with_single_cert(self.certificates, self.key).map_err(ServeError::Certificate)?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Acceptor { tls: TlsAcceptor::from(Arc::new(config)), clients })
    }
}

/// Serves until `stop`, then lets running requests finish for a moment. Watches end at once; when this returns, no
/// connection is left.
pub async fn serve(
    server: ApiServer,
    listener: TcpListener,
    tls: TlsConfig,
    stop: CancellationToken,
) -> Result<(), ServeError> {
    serve_within(LIMITS, server, listener, tls, stop).await
}

async fn serve_within(
    limits: Limits,
    server: ApiServer,
    listener: TcpListener,
    tls: TlsConfig,
    stop: CancellationToken,
) -> Result<(), ServeError> {
    let acceptor = tls.acceptor()?;
    server.listens_on(listener.local_addr().map_err(ServeError::Listener)?);
    let places = Arc::new(Semaphore::new(limits.all));
    let sources = Sources::new(limits.of_one_source);
    let mut connections = JoinSet::new();
    let ending = Signal::default();
    loop {
        let next = async {
            let place = places.clone().acquire_owned().await.expect("nobody closes the semaphore");
            (place, listener.accept().await)
        };
        let (place, accepted) = tokio::select! {
            biased;
            () = stop.cancelled() => break,
            // One that has panicked has said so.
            Some(_) = connections.join_next() => continue,
            next = next => next,
        };
        match accepted {
            Ok((socket, peer)) => {
                let Some(of_source) = sources.place(peer.ip()) else {
                    tracing::debug!(%peer, "too many connections of one source");
                    continue;
                };
                let held = (place, of_source);
                connections.spawn(connection(server.clone(), acceptor.clone(), socket, ending.clone(), held));
            }
            Err(error) if is_of_one_connection(&error) => {
                tracing::debug!(%error, "a connection was lost before it was accepted");
            }
            // Out of descriptors, most likely: running connections will free some.
            Err(error) => {
                tracing::warn!(%error, "cannot accept connections");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
    drop(listener);
    ending.give();
    let drained = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(DRAIN_LIMIT, drained).await.is_err() {
        tracing::debug!("requests were still running when the server stopped");
    }
    connections.shutdown().await;
    Ok(())
}

fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionRefused | io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset
    )
}

async fn connection(
    server: ApiServer,
    acceptor: Acceptor,
    socket: TcpStream,
    ending: Signal,
    _held: (OwnedSemaphorePermit, Place),
) {
    let _ = socket.set_nodelay(true);
    let stream = match tokio::time::timeout(HANDSHAKE_LIMIT, acceptor.tls.accept(socket)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => {
            tracing::debug!(%error, "TLS handshake failed");
            return;
        }
        Err(_) => {
            tracing::debug!("TLS handshake took too long");
            return;
        }
    };
    let shown = stream.get_ref().1.peer_certificates();
    let certificate =
        acceptor.clients.and_then(|clients| shown.and_then(|certificates| clients.judge(certificates)));
    let ended = ending.given();
    let standing = Arc::new(Standing::new());
    let answered = standing.clone();
    let service = service_fn(move |mut request: Request<Incoming>| {
        let server = server.clone();
        if let Some(certificate) = &certificate {
            request.extensions_mut().insert(certificate.clone());
        }
        let (ending, standing) = (ending.clone(), answered.clone());
        async move {
            // In a box of its own: the task that hyper spawns for it is moved about several times.
            let response = Box::pin(server.handle(request)).await;
            standing.answered(response.status());
            Ok::<_, std::convert::Infallible>(response.map(|body| body.until(&ending)))
        }
    });
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HEADER_LIMIT);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(MAX_STREAMS)
        .keep_alive_interval(Some(PING_INTERVAL))
        .keep_alive_timeout(PING_LIMIT);
    let connection = Gathering::new(stream).drive(|stream| {
        Box::pin(async move {
            let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service));
            tokio::select! {
                biased;
                ended = connection.as_mut() => ended,
                () = ended => {
                    connection.as_mut().graceful_shutdown();
                    connection.await
                }
                () = standing.is_lost() => {
                    tracing::debug!("a connection that was only ever refused is closed");
                    connection.as_mut().graceful_shutdown();
                    // Its requests have been answered: there is nothing that it has to wait for long for.
                    tokio::time::timeout(DRAIN_LIMIT, connection).await.unwrap_or(Ok(()))
                }
            }
        })
    });
    if let Err(error) = connection.await {
        tracing::debug!(%error, "a connection ended badly");
    }
}

#[cfg(test)]
mod tests;
