//! A small HTTPS server for what this server calls: it notes what it is sent, and answers as it is told.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_rustls::TlsAcceptor;

/// What the server was asked.
pub(crate) struct Asked {
    pub(crate) method: String,
    pub(crate) target: String,
    pub(crate) headers: http::HeaderMap,
    pub(crate) body: Bytes,
    /// The common name of the client's certificate.
    pub(crate) peer: Option<String>,
}

/// A running server. It ends with the test's runtime.
pub(crate) struct TlsServer {
    pub(crate) address: SocketAddr,
    pub(crate) authority_pem: String,
    pub(crate) authority: CertifiedIssuer<'static, KeyPair>,
    pub(crate) asked: mpsc::UnboundedReceiver<Asked>,
}

pub(crate) fn authority() -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// A certificate and its key for these names.
pub(crate) fn identity(
    authority: &CertifiedIssuer<'static, KeyPair>,
    names: &[&str],
) -> (rustls_pki_types::CertificateDer<'static>, PrivateKeyDer<'static>) {
    let key = KeyPair::generate().unwrap();
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut params = CertificateParams::new(names.clone()).unwrap();
    params.distinguished_name.push(rcgen::DnType::CommonName, names.first().cloned().unwrap_or_default());
    let certificate = params.signed_by(&key, authority).unwrap();
    (certificate.der().clone(), PrivatePkcs8KeyDer::from(key.serialize_der()).into())
}

impl TlsServer {
    /// Serves `answer` on loopback with a certificate for `names`.
    pub(crate) async fn start<A>(names: &[&str], answer: A) -> Self
    where
        A: Fn(&Asked) -> Response<Bytes> + Send + Sync + 'static,
    {
        let authority = authority();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut roots = rustls::RootCertStore::empty();
        roots.add(authority.der().clone()).unwrap();
        let verifier =
            rustls::server::WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone())
                .allow_unauthenticated()
                .build()
                .unwrap();
        let (certificate, key) = identity(&authority, names);
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_client_cert_verifier(verifier)
            .with_single_cert(vec![certificate], key)
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (note, asked) = mpsc::unbounded_channel();
        let answer = Arc::new(answer);
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let (acceptor, note, answer) = (acceptor.clone(), note.clone(), answer.clone());
                tokio::spawn(async move {
                    let Ok(stream) = acceptor.accept(socket).await else { return };
                    let peer = stream.get_ref().1.peer_certificates().and_then(|chain| {
                        let (_, leaf) = x509_parser::parse_x509_certificate(chain.first()?).ok()?;
                        leaf.subject().iter_common_name().next()?.as_str().ok().map(str::to_owned)
                    });
                    let service = service_fn(move |request: Request<Incoming>| {
                        let (note, answer, peer) = (note.clone(), answer.clone(), peer.clone());
                        async move {
                            let (parts, body) = request.into_parts();
                            let asked = Asked {
                                method: parts.method.to_string(),
                                target: parts.uri.to_string(),
                                headers: parts.headers,
                                body: body.collect().await?.to_bytes(),
                                peer,
                            };
                            let response = answer(&asked);
                            let _ = note.send(asked);
                            if response.status() == StatusCode::CONTINUE {
                                // Stands for one that never answers.
                                std::future::pending::<()>().await;
                            }
                            Ok::<_, hyper::Error>(response.map(Full::new))
                        }
                    });
                    let _ = hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), service)
                        .await;
                });
            }
        });
        Self { address, authority_pem: authority.pem(), authority, asked }
    }
}
