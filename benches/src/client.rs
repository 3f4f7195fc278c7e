//! HTTPS clients: one with HTTP/2 for load, one with HTTP/1.1 on a plain thread for watching a server start.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{self, HeaderValue};
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::client::conn::http2::{SendRequest, handshake};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, RootCertStore, SignatureScheme, StreamOwned,
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use tokio_rustls::TlsConnector;

use crate::Failure;

/// Whom a client believes, and who it is.
pub struct Credentials {
    /// The authority of the server's certificate.
    pub authority: CertificateDer<'static>,
    /// The client's certificate.
    pub certificate: CertificateDer<'static>,
    /// The client's key.
    pub key: PrivateKeyDer<'static>,
}

impl Credentials {
    /// TLS as these credentials have it, for HTTP/2.
    ///
    /// # Errors
    /// When certificate and key cannot be used.
    pub fn into_http2(self) -> Result<Arc<ClientConfig>, Failure> {
        let mut roots = RootCertStore::empty();
        roots.add(self.authority)?;
        let mut config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_client_auth_cert(vec![self.certificate], self.key)?;
        config.alpn_protocols = vec![b"h2".to_vec()];
        Ok(Arc::new(config))
    }
}

/// One HTTP/2 connection. Clones share it.
#[derive(Clone, Debug)]
pub struct Connection {
    sender: SendRequest<Full<Bytes>>,
    authority: String,
}

impl Connection {
    /// Connects and finishes both handshakes. Must be called on a runtime, which then drives the connection.
    ///
    /// # Errors
    /// When the server cannot be reached, or speaks no HTTP/2.
    pub async fn open(address: SocketAddr, tls: Arc<ClientConfig>) -> Result<Self, Failure> {
        let socket = tokio::net::TcpStream::connect(address).await?;
        socket.set_nodelay(true)?;
        let stream = TlsConnector::from(tls).connect(ServerName::from(address.ip()), socket).await?;
        let (sender, connection) = handshake(TokioExecutor::new(), TokioIo::new(stream)).await?;
        // A connection that breaks fails the requests on it, which say so.
        tokio::spawn(async move { drop(connection.await) });
        Ok(Self { sender, authority: address.to_string() })
    }

    /// Sends a request whose body, if any, is JSON, and gives the answer as soon as its head is there.
    ///
    /// # Errors
    /// When the connection fails.
    pub async fn send(
        &mut self,
        method: Method,
        path: &str,
        body: Bytes,
    ) -> Result<Response<Incoming>, Failure> {
        self.send_as("application/json", method, path, body).await
    }

    /// As [`Connection::call`], as whoever has this bearer token.
    ///
    /// # Errors
    /// When the connection fails.
    pub async fn call_as(
        &mut self,
        bearer: &str,
        method: Method,
        path: &str,
        body: Bytes,
    ) -> Result<(StatusCode, Bytes), Failure> {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(header::AUTHORIZATION, HeaderValue::try_from(format!("Bearer {bearer}"))?);
        let response = self.send_with(headers, method, path, body).await?;
        let status = response.status();
        Ok((status, response.into_body().collect().await?.to_bytes()))
    }

    /// Changes an object by a JSON merge patch.
    ///
    /// # Errors
    /// When the connection fails.
    pub async fn merge_patch(&mut self, path: &str, patch: Bytes) -> Result<StatusCode, Failure> {
        let response = self.send_as("application/merge-patch+json", Method::PATCH, path, patch).await?;
        let status = response.status();
        response.into_body().collect().await?;
        Ok(status)
    }

    async fn send_as(
        &mut self,
        content_type: &'static str,
        method: Method,
        path: &str,
        body: Bytes,
    ) -> Result<Response<Incoming>, Failure> {
        let mut headers = HeaderMap::new();
        if !body.is_empty() {
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
        }
        self.send_with(headers, method, path, body).await
    }

    async fn send_with(
        &mut self,
        headers: HeaderMap,
        method: Method,
        path: &str,
        body: Bytes,
    ) -> Result<Response<Incoming>, Failure> {
        let uri =
            http::Uri::builder().scheme("https").authority(self.authority.as_str()).path_and_query(path);
        let mut request = Request::builder().method(method).uri(uri.build()?).body(Full::new(body))?;
        *request.headers_mut() = headers;
        self.sender.ready().await?;
        Ok(self.sender.send_request(request).await?)
    }

    /// Sends a request and reads the whole answer.
    ///
    /// # Errors
    /// When the connection fails.
    pub async fn call(
        &mut self,
        method: Method,
        path: &str,
        body: Bytes,
    ) -> Result<(StatusCode, Bytes), Failure> {
        let response = self.send(method, path, body).await?;
        let status = response.status();
        Ok((status, response.into_body().collect().await?.to_bytes()))
    }
}

/// TLS without a certificate of the client's, for HTTP/2: who it is, its requests say.
///
/// # Errors
/// When the authority's certificate cannot be used.
pub fn trusting(authority: CertificateDer<'static>) -> Result<Arc<ClientConfig>, Failure> {
    let mut roots = RootCertStore::empty();
    roots.add(authority)?;
    let mut config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(Arc::new(config))
}

/// TLS that believes any certificate: who is measured starting has not said yet which authority is theirs, and nothing
/// secret is sent.
///
/// # Errors
/// When the provider has no protocol version in common with rustls, which does not happen.
pub fn believing_anyone() -> Result<Arc<ClientConfig>, Failure> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(AnyCertificate(provider)))
        .with_no_client_auth();
    Ok(Arc::new(config))
}

/// A blocking HTTP/1.1 connection.
pub struct Plain {
    stream: StreamOwned<ClientConnection, TcpStream>,
    host: SocketAddr,
}

impl Plain {
    /// Connects; the TLS handshake happens with the first request.
    ///
    /// # Errors
    /// When nobody listens.
    pub fn open(address: SocketAddr, tls: Arc<ClientConfig>, limit: Duration) -> Result<Self, Failure> {
        let socket = TcpStream::connect_timeout(&address, limit)?;
        socket.set_nodelay(true)?;
        socket.set_read_timeout(Some(limit))?;
        let connection = ClientConnection::new(tls, ServerName::from(address.ip()))?;
        Ok(Self { stream: StreamOwned::new(connection, socket), host: address })
    }

    /// Sends a GET and gives the status of the answer, which has been read to its end.
    ///
    /// # Errors
    /// When the connection fails, or the answer is not one with a length.
    pub fn get(&mut self, path: &str) -> Result<StatusCode, Failure> {
        write!(self.stream, "GET {path} HTTP/1.1\r\nhost: {}\r\n\r\n", self.host)?;
        self.stream.flush()?;
        let mut answer = Vec::new();
        let mut room = [0; 4096];
        loop {
            if let Some((status, length)) = head(&answer)?
                && answer.len() >= length
            {
                return Ok(status);
            }
            match self.stream.read(&mut room)? {
                0 => return Err("the server closed the connection".into()),
                read => answer.extend_from_slice(&room[..read]),
            }
        }
    }
}

/// Status and whole length of an answer whose head is complete.
fn head(answer: &[u8]) -> Result<Option<(StatusCode, usize)>, Failure> {
    let Some(end) = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n") else { return Ok(None) };
    let text = std::str::from_utf8(&answer[..end])?;
    let mut lines = text.split("\r\n");
    let status = lines.next().and_then(|line| line.split(' ').nth(1)).ok_or("an answer without a status")?;
    let length = lines.find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
    });
    let length = length.ok_or("an answer without a length")?;
    Ok(Some((status.parse()?, end + 4 + length)))
}

#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_whole_when_its_length_is_there() {
        let answer = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 2\r\n\r\nok";
        assert_eq!(head(answer).unwrap(), Some((StatusCode::SERVICE_UNAVAILABLE, answer.len())));
        assert_eq!(head(b"HTTP/1.1 200 OK\r\nContent-Le").unwrap(), None);
        assert!(head(b"HTTP/1.1 200 OK\r\n\r\n").is_err());
    }
}
