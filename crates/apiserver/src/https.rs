//! Requests of the server's own to others over HTTPS: to webhooks and to nodes. One connection each, HTTP/1.1.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderValue, Request, Response, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::rt::TokioIo;
use rustls_pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// Where to connect to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Destination {
    /// A name or an address.
    pub(crate) host: String,
    pub(crate) port: u16,
    /// The name that the certificate has to have.
    pub(crate) server_name: String,
}

impl Destination {
    /// What the host is found to have.
    pub(crate) async fn addresses(&self) -> Result<Vec<SocketAddr>, CallError> {
        let found = tokio::net::lookup_host((self.host.as_str(), self.port)).await;
        Ok(found.map_err(|source| self.unreachable(source))?.collect())
    }

    fn unreachable(&self, source: io::Error) -> CallError {
        CallError::Connect { host: self.host.clone(), port: self.port, source }
    }
}

/// Why there is no answer. No text holds anything that was sent or received.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CallError {
    #[error("{name} is no name that a certificate can have")]
    Name { name: String },
    #[error("cannot connect to {host}:{port}: {source}")]
    Connect {
        host: String,
        port: u16,
        #[source]
        source: io::Error,
    },
    #[error("no TLS with {host}:{port}: {source}")]
    Tls {
        host: String,
        port: u16,
        #[source]
        source: io::Error,
    },
    #[error("the exchange with {host}:{port} broke off")]
    Exchange {
        host: String,
        port: u16,
        #[source]
        source: hyper::Error,
    },
    #[error("{host}:{port} answered with more than {most} bytes, or broke off")]
    Body { host: String, port: u16, most: usize },
}

/// Sends a request, whose URI is a path, and reads the answer up to `most` bytes. Without a limit of time: the caller has one.
pub(crate) async fn exchange(
    to: &Destination,
    tls: Arc<rustls::ClientConfig>,
    request: Request<Bytes>,
    most: usize,
) -> Result<Response<Bytes>, CallError> {
    let addresses = to.addresses().await?;
    exchange_at(&addresses, to, tls, request, most).await
}

/// As [`exchange`], with one of these addresses, whatever the destination's host is now said to have.
pub(crate) async fn exchange_at(
    addresses: &[SocketAddr],
    to: &Destination,
    tls: Arc<rustls::ClientConfig>,
    mut request: Request<Bytes>,
    most: usize,
) -> Result<Response<Bytes>, CallError> {
    let Destination { host, port, server_name } = to;
    let (host, port) = (host.clone(), *port);
    let name = ServerName::try_from(server_name.clone())
        .map_err(|_| CallError::Name { name: server_name.clone() })?;
    let socket = TcpStream::connect(addresses).await.map_err(|source| to.unreachable(source))?;
    let stream = TlsConnector::from(tls).connect(name, socket).await.map_err(|source| CallError::Tls {
        host: host.clone(),
        port,
        source,
    })?;
    let broken = |source| CallError::Exchange { host: host.clone(), port, source };
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(broken)?;
    let authority =
        if host.contains(':') { format!("[{host}]:{port}") } else { format!("{server_name}:{port}") };
    if let Ok(value) = HeaderValue::from_str(&authority) {
        request.headers_mut().insert(header::HOST, value);
    }
    let answer = async {
        let response = sender.send_request(request.map(Full::new)).await.map_err(broken)?;
        let (parts, body) = response.into_parts();
        let body = Limited::new(body, most).collect().await;
        let body = body.map_err(|_| CallError::Body { host: host.clone(), port, most })?;
        Ok(Response::from_parts(parts, body.to_bytes()))
    };
    // The connection lives as long as the answer is waited for, and no longer.
    tokio::select! {
        answer = answer => answer,
        Err(source) = connection => Err(broken(source)),
    }
}
