//! The bare server: TLS and HTTP/2 as ours, one signature for each request, and nothing else. What ours costs more is
//! Kubernetes: who asks, whether they may, what they want, what they get.

use std::convert::Infallible;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use http::{HeaderValue, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::RootCertStore;
use rustls::crypto::aws_lc_rs;
use rustls::server::WebPkiClientVerifier;
use tokenward_apiserver::TlsConfig;
use tokenward_issuer::{Claims, SigningKey};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use crate::Failure;

/// An answer, taken apart at its token.
struct Template {
    before: String,
    claims: Claims,
    after: String,
    key: SigningKey,
}

/// The token in an answer to a TokenRequest.
///
/// # Errors
/// When there is none.
pub fn token_of(answer: &str) -> Result<&str, Failure> {
    let start = answer.find(r#""token":""#).ok_or("an answer without a token")? + r#""token":""#.len();
    let length = answer[start..].find('"').ok_or("an answer that ends in its token")?;
    Ok(&answer[start..start + length])
}

/// Serves until the process ends.
///
/// # Errors
/// When the certificates or the answer cannot be used, or the listener fails.
pub async fn serve(
    listener: TcpListener,
    tls: TlsConfig,
    key: SigningKey,
    answer: &str,
) -> Result<(), Failure> {
    let token = token_of(answer)?;
    let (before, after) = answer.split_once(token).ok_or("a token that is not in its answer")?;
    let claims = tokenward_jose::peek_claims(token)?;
    let template = Arc::new(Template { before: before.to_owned(), claims, after: after.to_owned(), key });
    let acceptor = acceptor(tls)?;
    loop {
        let (socket, _) = listener.accept().await?;
        socket.set_nodelay(true)?;
        let (template, acceptor) = (Arc::clone(&template), acceptor.clone());
        tokio::spawn(async move {
            let Ok(stream) = acceptor.accept(socket).await else { return };
            let service = service_fn(|request| respond(Arc::clone(&template), request));
            let connection =
                http2::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service);
            // A client that goes ends its connection; nobody is to be told.
            let _ = connection.await;
        });
    }
}

async fn respond(
    template: Arc<Template>,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    if request.into_body().collect().await.is_err() {
        return Ok(status(StatusCode::BAD_REQUEST));
    }
    let Ok(token) = template.key.sign(&template.claims) else {
        return Ok(status(StatusCode::INTERNAL_SERVER_ERROR));
    };
    let parts = [template.before.as_str(), token.expose_token(), template.after.as_str()];
    let mut body = BytesMut::with_capacity(parts.iter().map(|part| part.len()).sum());
    for part in parts {
        body.extend_from_slice(part.as_bytes());
    }
    let mut response = Response::new(Full::new(body.freeze()));
    *response.status_mut() = StatusCode::CREATED;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Ok(response)
}

fn status(code: StatusCode) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::default());
    *response.status_mut() = code;
    response
}

/// The same as the API server's: the same provider and versions, client certificates asked for.
fn acceptor(tls: TlsConfig) -> Result<TlsAcceptor, Failure> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let mut roots = RootCertStore::empty();
    for authority in tls.client_authorities {
        roots.add(authority)?;
    }
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
        .allow_unauthenticated()
        .build()?;
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_client_cert_verifier(verifier)
        .with_single_cert(tls.certificates, tls.key)?;
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_token_is_cut_out_of_an_answer() {
        assert_eq!(token_of(r#"{"status":{"token":"a.b.c","x":1}}"#).unwrap(), "a.b.c");
        assert!(token_of(r#"{"status":{}}"#).is_err());
    }
}
