//! Who may keep how many connections, with real ones.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http::{StatusCode, header};
use http_body_util::Empty;
use hyper::client::conn::{http1, http2};
use rcgen::{CertificateParams, KeyPair};
use rustls_pki_types::{PrivatePkcs8KeyDer, ServerName};
use tokenward_issuer::{Issuer, IssuerConfig};
use tokenward_kube_rules::{FeatureGates, Release};
use tokenward_tokens::ManualClock;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::*;
use crate::server::Config;
use crate::storage::new_store;

const LONG: Duration = Duration::from_secs(20);

struct Served {
    address: SocketAddr,
    connector: TlsConnector,
}

/// A server that takes so many connections and knows no roles; it ends with the test's runtime.
async fn served(limits: Limits, protocol: &str) -> Served {
    let key = KeyPair::generate().unwrap();
    let certificate =
        CertificateParams::new(vec!["localhost".to_owned()]).unwrap().self_signed(&key).unwrap();
    let tls = TlsConfig {
        certificates: vec![certificate.der().clone()],
        key: PrivatePkcs8KeyDer::from(key.serialize_der()).into(),
        client_authorities: Vec::new(),
    };
    let issuer = Issuer::new(IssuerConfig::new(["https://issuer.example"]).unwrap());
    let clock = ManualClock::new("2026-03-01T12:00:00Z".parse().unwrap()).clock();
    let gates = FeatureGates::for_release(Release::V1_35);
    let server = ApiServer::new(Config::new(gates, new_store(), Arc::new(issuer), clock));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(serve_within(limits, server, listener, tls, CancellationToken::new()));

    let mut roots = rustls::RootCertStore::empty();
    roots.add(certificate.der().clone()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![protocol.as_bytes().to_vec()];
    Served { address, connector: TlsConnector::from(Arc::new(config)) }
}

impl Served {
    async fn connect(&self) -> io::Result<TlsStream<TcpStream>> {
        let socket = TcpStream::connect(self.address).await?;
        let name = ServerName::try_from("localhost").unwrap();
        tokio::time::timeout(LONG, self.connector.connect(name, socket)).await.expect("an answer in time")
    }
}

fn request(token: Option<&str>) -> Request<Empty<Bytes>> {
    let mut request = Request::get("https://localhost/version");
    if let Some(token) = token {
        request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
    }
    request.body(Empty::new()).unwrap()
}

#[tokio::test]
async fn one_source_has_so_many_connections_and_no_more() {
    let served = served(Limits { all: 10, of_one_source: 2 }, "http/1.1").await;
    let mut kept = vec![served.connect().await.unwrap(), served.connect().await.unwrap()];
    served.connect().await.unwrap_err();
    kept.pop();
    // The server hears of it a moment later.
    let again = tokio::time::timeout(LONG, async {
        loop {
            match served.connect().await {
                Ok(stream) => break stream,
                Err(_) => tokio::task::yield_now().await,
            }
        }
    });
    let stream = again.await.expect("a place is free again");
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    assert_eq!(sender.send_request(request(None)).await.unwrap().status(), StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn a_connection_that_is_only_ever_refused_is_closed() {
    let served = served(LIMITS, "h2").await;
    for is_known in [false, true] {
        let stream = TokioIo::new(served.connect().await.unwrap());
        let (mut sender, connection) = http2::handshake(TokioExecutor::new(), stream).await.unwrap();
        let connection = tokio::spawn(connection);
        if is_known {
            assert_eq!(sender.send_request(request(None)).await.unwrap().status(), StatusCode::FORBIDDEN);
        }
        let mut refused = 0;
        while refused < 1_000
            && let Ok(answer) = sender.send_request(request(Some("nonsense"))).await
        {
            assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
            refused += 1;
        }
        if is_known {
            assert_eq!(refused, 1_000);
            connection.abort();
        } else {
            assert!((100..1_000).contains(&refused), "{refused}");
            let ended = tokio::time::timeout(LONG, connection).await;
            ended.expect("the connection is closed").unwrap().unwrap();
        }
    }
}
