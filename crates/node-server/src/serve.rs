//! The sockets: connections accepted, TLS, and requests answered until told to stop.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use rustls::ServerConfig;
use rustls_pki_types::CertificateDer;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use crate::access::Reviews;
use crate::answers::Face;

/// Most connections at one time; further ones wait.
const CONNECTIONS: usize = 64;
/// A peer that has not finished the handshake, or not sent a request's head, by then is dropped.
const HANDSHAKE_LIMIT: Duration = Duration::from_secs(10);
const HEAD_LIMIT: Duration = Duration::from_secs(30);
/// How long to leave the kernel alone after it could not give a connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Serves until `stop`.
pub async fn serve<R: Reviews>(
    listener: TcpListener,
    tls: ServerConfig,
    face: Face<R>,
    stop: CancellationToken,
) {
    let (acceptor, face) = (TlsAcceptor::from(Arc::new(tls)), Arc::new(face));
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    let mut connections = JoinSet::new();
    loop {
        let place = tokio::select! {
            () = stop.cancelled() => break,
            place = Arc::clone(&places).acquire_owned() => place.expect("the semaphore is never closed"),
        };
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        while connections.try_join_next().is_some() {}
        match accepted {
            Ok((stream, _)) => {
                let (acceptor, face) = (acceptor.clone(), Arc::clone(&face));
                connections.spawn(async move {
                    connection(stream, acceptor, face).await;
                    drop(place);
                });
            }
            Err(error) => {
                warn!(%error, "cannot accept a connection to the node's server");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    connections.shutdown().await;
}

async fn connection<R: Reviews>(stream: TcpStream, acceptor: TlsAcceptor, face: Arc<Face<R>>) {
    let stream = match tokio::time::timeout(HANDSHAKE_LIMIT, acceptor.accept(stream)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => return debug!(%error, "no TLS with a client"),
        Err(_) => return,
    };
    let certificates = stream.get_ref().1.peer_certificates();
    let certificate: Option<CertificateDer<'static>> =
        certificates.and_then(<[_]>::first).map(|certificate| certificate.clone().into_owned());
    let service = service_fn(move |request: http::Request<hyper::body::Incoming>| {
        let (face, certificate) = (Arc::clone(&face), certificate.clone());
        async move {
            let (parts, _) = request.into_parts();
            Ok::<_, Infallible>(face.answer(certificate.as_ref(), &parts).await)
        }
    });
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HEAD_LIMIT);
    builder.http2().timer(TokioTimer::new()).keep_alive_interval(HEAD_LIMIT);
    // A client that breaks off is nobody's loss.
    if let Err(error) = builder.serve_connection(TokioIo::new(stream), service).await {
        debug!(%error, "a connection ended early");
    }
}
