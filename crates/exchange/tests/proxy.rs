//! Exchanges through an HTTP proxy: it is told where to connect and by whom, and sees nothing of what goes through it.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

#[expect(dead_code, reason = "shared with the tests of the exchanger, which use all of it")]
mod common;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use common::{Reply, Server, everything};
use parking_lot::Mutex;
use rcgen::{CertificateParams, KeyPair};
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokenward_exchange::tokens::{ManualClock, Token};
use tokenward_exchange::{
    Authorities, Credentials, Endpoint, ExchangeError, Exchanger, HttpClient, JwtLogin, Limits, Proxies,
    Retries,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

const GOOD: &str = r#"{"auth":{"client_token":"hvs.good","lease_duration":60}}"#;
const TOKEN: &str = "c4n4ry-c4n4ry-c4n4ry-c4n4ry-c4n4ry";
const PASSWORD: &str = "p4ssw0rd-of-the-proxy";

/// What a proxy does when it is asked to connect.
#[derive(Clone, Copy)]
enum Manner {
    PassOn,
    /// This status, and no more.
    Refuse(&'static str),
}

/// A proxy that keeps all that it was sent.
struct Proxy {
    address: SocketAddr,
    seen: Arc<Mutex<Vec<u8>>>,
}

impl Proxy {
    async fn start(manner: Manner) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let proxy = Self { address: listener.local_addr().unwrap(), seen: Arc::default() };
        let seen = Arc::clone(&proxy.seen);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(serve(client, manner, Arc::clone(&seen)));
            }
        });
        proxy
    }

    fn proxies(&self, no_proxy: &str) -> Proxies {
        let url = format!("http://user:{PASSWORD}@{}", self.address);
        Proxies::from_environment(|name| match name {
            "HTTPS_PROXY" => Some(url.clone()),
            "NO_PROXY" => Some(no_proxy.to_owned()),
            _ => None,
        })
        .unwrap()
    }

    fn seen(&self) -> String {
        String::from_utf8_lossy(&self.seen.lock()).into_owned()
    }
}

async fn serve(mut client: TcpStream, manner: Manner, seen: Arc<Mutex<Vec<u8>>>) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(client.read_u8().await.unwrap());
    }
    seen.lock().extend_from_slice(&head);
    let text = String::from_utf8(head).unwrap();
    let server = text.split(' ').nth(1).unwrap().to_owned();
    match manner {
        Manner::Refuse(status) => {
            client.write_all(format!("HTTP/1.1 {status}\r\n\r\n").as_bytes()).await.unwrap();
        }
        Manner::PassOn => {
            let mut server = TcpStream::connect(server).await.unwrap();
            client.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").await.unwrap();
            let (mut from_client, mut to_client) = client.split();
            let (mut from_server, mut to_server) = server.split();
            let up = async {
                let mut buffer = [0; 4096];
                while let Ok(count @ 1..) = from_client.read(&mut buffer).await {
                    seen.lock().extend_from_slice(&buffer[..count]);
                    if to_server.write_all(&buffer[..count]).await.is_err() {
                        break;
                    }
                }
            };
            // Whoever ends first ends it.
            tokio::select! {
                () = up => {}
                _ = tokio::io::copy(&mut from_server, &mut to_client) => {}
            }
        }
    }
}

/// A server behind a certificate for 127.0.0.1, and the authority that vouches for it.
async fn server() -> (Server, Vec<u8>) {
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(["127.0.0.1".to_owned()]).unwrap().self_signed(&key).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let tls = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![certificate.der().clone()],
            PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der())),
        )
        .unwrap();
    (Server::start(Some(Arc::new(tls).into())).await, certificate.pem().into_bytes())
}

async fn exchange(
    server: &Server,
    authority: Vec<u8>,
    proxies: Proxies,
) -> Result<Credentials, ExchangeError> {
    let limits = Limits { attempt: Duration::from_secs(20), total: Duration::from_secs(60), body: 1000 };
    let client = HttpClient::through(&Authorities::Pem(authority), limits, proxies).unwrap();
    let clock = ManualClock::new("2026-03-01T12:00:00Z".parse().unwrap());
    let exchanger =
        Exchanger::new(client, clock.clock()).with_retries(Retries { attempts: 1, ..Retries::default() });
    let url = server.url("/login").replace("http:", "https:");
    let login = JwtLogin::new(Endpoint::parse(&url).unwrap(), "shop").unwrap();
    exchanger.exchange(&login, &Token::new(TOKEN.to_owned())).await
}

#[tokio::test]
async fn a_proxy_passes_on_what_it_cannot_read() {
    let (server, authority) = server().await;
    server.will([Reply::new(200, GOOD)]);
    let proxy = Proxy::start(Manner::PassOn).await;
    exchange(&server, authority, proxy.proxies("")).await.unwrap();
    assert!(server.seen()[0].body.contains(TOKEN));
    let seen = proxy.seen();
    assert!(seen.starts_with(&format!("CONNECT {} HTTP/1.1\r\n", server.address)), "{seen}");
    // Base64 of `user:p4ssw0rd-of-the-proxy`.
    let user = "dXNlcjpwNHNzdzByZC1vZi10aGUtcHJveHk=";
    assert!(
        seen.to_lowercase().contains(&format!("proxy-authorization: basic {}", user.to_lowercase())),
        "{seen}"
    );
    assert!(!seen.contains("c4n4ry") && !seen.contains("/login"), "TLS ends at the server");
}

#[tokio::test]
async fn what_no_proxy_lists_is_connected_to_directly() {
    let (server, authority) = server().await;
    server.will([Reply::new(200, GOOD)]);
    let proxy = Proxy::start(Manner::Refuse("403 Forbidden")).await;
    exchange(&server, authority, proxy.proxies("127.0.0.0/8")).await.unwrap();
    assert_eq!(proxy.seen(), "");
}

#[tokio::test]
async fn a_proxy_that_refuses_is_said_without_its_password() {
    for (status, expected) in
        [("407 Proxy Authentication Required", "authorization required"), ("403 No", "tunnel")]
    {
        let (server, authority) = server().await;
        let proxy = Proxy::start(Manner::Refuse(status)).await;
        let error = exchange(&server, authority, proxy.proxies("")).await.unwrap_err();
        assert!(matches!(error, ExchangeError::Broken { .. }), "{error}");
        let text = everything(&error);
        assert!(text.contains(expected), "{text}");
        for secret in [PASSWORD, "dXNlcjpw", "c4n4ry"] {
            assert!(!text.contains(secret), "{text}");
        }
        assert!(server.seen().is_empty());
    }
}
