//! The server of a node over TLS: who is let in, what they see, and what they do not. Without this, metrics are open to anybody who
//! finds the port, or closed to those who may read them.

#![expect(clippy::unwrap_used, reason = "a test world that breaks is a failed test")]

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::{BodyExt as _, Empty};
use hyper_util::rt::TokioIo;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokenward_node::metrics::Metrics;
use tokenward_node::status::{NodeStatus, StatusRequests, status_channel};
use tokenward_node::{ClusterError, Config};
use tokenward_node_server::{AccessReview, Configuration, Face, FaceConfig, Reviews, User, serve, tls};
use tokenward_tokens::{ManualClock, Token};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

/// Knows one token for each user, and who may do what.
#[derive(Default)]
struct FakeReviews {
    asked: AtomicUsize,
}

impl Reviews for FakeReviews {
    async fn token_review(&self, token: &Token) -> Result<Option<User>, ClusterError> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        let name = token.expose_token().strip_prefix("token-of-");
        Ok(name.map(|name| User { name: name.to_owned(), ..User::default() }))
    }

    async fn access_review(&self, review: &AccessReview) -> Result<bool, ClusterError> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        assert_eq!((review.node.as_str(), review.verb), ("node-1", "get"));
        Ok(match review.user.name.as_str() {
            "prometheus" => review.subresource == "metrics",
            "operator" | "api-server" => review.subresource == "proxy" || review.subresource == "metrics",
            _ => false,
        })
    }
}

struct Server {
    address: SocketAddr,
    certificate: CertificateDer<'static>,
    reviews: Arc<FakeReviews>,
    clock: ManualClock,
    authority: rcgen::CertifiedIssuer<'static, rcgen::KeyPair>,
    stop: CancellationToken,
    requests: StatusRequests,
}

async fn server() -> Server {
    let mut params = rcgen::CertificateParams::default();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let authority = rcgen::CertifiedIssuer::self_signed(params, rcgen::KeyPair::generate().unwrap()).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let serving = tls::self_signed("node-1", address.ip()).unwrap();
    let certificate = serving.chain[0].clone();
    let tls = tls::server_config(serving, vec![authority.der().clone()]).unwrap();
    let (status, requests) = status_channel();
    let (reviews, clock) =
        (Arc::new(FakeReviews::default()), ManualClock::new("2027-01-15T07:00:00Z".parse().unwrap()));
    let face = Face::new(FaceConfig {
        node: "node-1".to_owned(),
        reviews: Arc::clone(&reviews),
        status,
        metrics: Arc::new(Metrics::new()),
        configuration: Configuration::of(&Config::new("node-1", "/r"), address),
        clock: clock.clock(),
    });
    let stop = CancellationToken::new();
    tokio::spawn(serve(listener, tls, face, stop.clone()));
    Server { address, certificate, reviews, clock, authority, stop, requests }
}

impl Server {
    async fn get(&self, path: &str, token: Option<&str>, user: Option<&str>) -> (StatusCode, String) {
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate.clone()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder =
            ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let builder = builder.with_root_certificates(roots);
        let config = match user {
            None => builder.with_no_client_auth(),
            Some(user) => {
                let key = rcgen::KeyPair::generate().unwrap();
                let mut params = rcgen::CertificateParams::default();
                params.distinguished_name = rcgen::DistinguishedName::new();
                params.distinguished_name.push(rcgen::DnType::CommonName, user);
                params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ClientAuth];
                let certificate = params.signed_by(&key, &self.authority).unwrap();
                let key = rustls::pki_types::PrivatePkcs8KeyDer::from(key.serialize_der()).into();
                builder.with_client_auth_cert(vec![certificate.der().clone()], key).unwrap()
            }
        };
        let stream = TcpStream::connect(self.address).await.unwrap();
        let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
        let name = ServerName::try_from("node-1").unwrap();
        let stream = connector.connect(name, stream).await.unwrap();
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
        let connection = tokio::spawn(connection);
        let mut request = Request::get(path).header("host", "node-1");
        if let Some(token) = token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let response = sender.send_request(request.body(Empty::<Bytes>::new()).unwrap()).await.unwrap();
        let status = response.status();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        connection.abort();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }
}

/// A node that works.
fn answer(requests: StatusRequests) {
    tokio::spawn(async move {
        loop {
            let _ = requests.next().await.send(NodeStatus { tokens: 7, ..NodeStatus::default() });
        }
    });
}

#[tokio::test]
async fn only_who_may_read_is_answered() {
    let server = server().await;
    answer(server.requests.clone());
    for (path, token, user, wanted) in [
        ("/metrics", None, None, 401),
        ("/healthz", Some("nobody's"), None, 401),
        ("/metrics", Some("token-of-stranger"), None, 403),
        ("/metrics", Some("token-of-prometheus"), None, 200),
        ("/configz", Some("token-of-prometheus"), None, 403),
        ("/healthz", Some("token-of-operator"), None, 200),
        ("/configz", Some("token-of-operator"), None, 200),
        ("/pods", Some("token-of-operator"), None, 404),
        ("/metrics", None, Some("api-server"), 200),
        ("/metrics", None, Some("stranger"), 403),
    ] {
        let (status, body) = server.get(path, token, user).await;
        assert_eq!(status.as_u16(), wanted, "{path} {token:?} {user:?}: {body}");
        assert!(!body.contains("token-of-"), "{body}");
    }
    let (_, refused) = server.get("/configz", Some("token-of-prometheus"), None).await;
    let wanted = "Forbidden (user=prometheus, verb=get, resource=nodes, subresource(s)=[configz proxy])\n";
    assert_eq!(refused, wanted);
    let (_, metrics) = server.get("/metrics", Some("token-of-prometheus"), None).await;
    assert!(metrics.contains("tokenward_tokens 7"), "{metrics}");
    server.stop.cancel();
}

#[tokio::test]
async fn answers_of_the_api_server_hold_for_a_while() {
    let server = server().await;
    answer(server.requests.clone());
    let asked = || server.reviews.asked.load(Ordering::Relaxed);
    for _ in 0..5 {
        server.get("/metrics", Some("token-of-prometheus"), None).await;
    }
    assert_eq!(asked(), 2);
    // A token's review holds two minutes, a permission five.
    server.clock.advance(Duration::from_secs(121));
    server.get("/metrics", Some("token-of-prometheus"), None).await;
    assert_eq!(asked(), 3);
    server.clock.advance(Duration::from_secs(180));
    server.get("/metrics", Some("token-of-prometheus"), None).await;
    assert_eq!(asked(), 5);
}

#[tokio::test]
async fn a_node_that_does_not_run_is_not_healthy() {
    let server = server().await;
    drop(server.requests.clone());
    let Server { requests, .. } = &server;
    // Nobody answers: the one end is dropped without a word.
    let requests = requests.clone();
    tokio::spawn(async move {
        loop {
            drop(requests.next().await);
        }
    });
    let (status, _) = server.get("/healthz", Some("token-of-operator"), None).await;
    assert_eq!(status, StatusCode::INTERNAL_SERVER_ERROR);
}
