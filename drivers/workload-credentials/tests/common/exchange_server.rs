//! A small exchange server on a real socket: it verifies each token through OIDC discovery, as a cloud or a vault does, and issues
//! credentials in three protocols. Beside that it can be an issuer itself, for tests without a cluster.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use http::{Method, Request, Response};
use http_body_util::{BodyExt as _, Collected, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use tokenward_driver::tokens::{Clock, Token};
use tokenward_driver::with_causes;
use tokenward_exchange::oidc::{Issuer, Verifier};
use tokenward_exchange::{Authorities, Endpoint, HttpClient, Limits};
use tokenward_issuer::{Algorithm, SigningKey};
use tokenward_jose::{Claims, JwkSet};
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};

/// The audience of the server.
pub(crate) const AUDIENCE: &str = "exchange.example";
/// The issuer that the server itself is.
pub(crate) const OWN_ISSUER: &str = "https://issuer.example";
/// Stands in all credentials, followed by a number.
pub(crate) const ISSUED: &str = "issued-c4n4ry-issued-c4n4ry-issued-c4n4ry";

/// How the server is today.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mood {
    Good,
    /// 503 to everything.
    Down,
    /// Refuses, and repeats the whole token in each of its messages.
    Echo,
}

/// The server; it ends with the test's runtime.
pub(crate) struct ExchangeServer {
    pub(crate) address: SocketAddr,
    /// Signs the tokens of [`OWN_ISSUER`].
    pub(crate) key: SigningKey,
    /// Set once it is known whom to believe.
    verifier: OnceLock<Verifier>,
    clock: Clock,
    state: Mutex<State>,
    /// Requests that are being served, and the most that there were.
    under_way: AtomicUsize,
    pub(crate) most_under_way: AtomicUsize,
    /// Each exchange takes a permit and gives none back, once there is a gate.
    gate: Mutex<Option<Arc<Semaphore>>>,
    pub(crate) arrived: watch::Sender<usize>,
}

struct State {
    mood: Mood,
    life_seconds: i64,
    /// The subjects of the tokens that were exchanged, in turn.
    granted: Vec<String>,
    asked: usize,
}

impl ExchangeServer {
    /// A server that believes tokens of its own issuer.
    pub(crate) async fn start(clock: Clock) -> Arc<Self> {
        let server = Self::unbelieving(clock).await;
        server.believe(OWN_ISSUER, &format!("http://{}/issuer", server.address), some_authority());
        server
    }

    /// A server that believes nobody yet.
    pub(crate) async fn unbelieving(clock: Clock) -> Arc<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = Arc::new(Self {
            address: listener.local_addr().unwrap(),
            key: SigningKey::generate(Algorithm::Es256).unwrap(),
            verifier: OnceLock::new(),
            clock,
            state: Mutex::new(State { mood: Mood::Good, life_seconds: 1000, granted: Vec::new(), asked: 0 }),
            under_way: AtomicUsize::new(0),
            most_under_way: AtomicUsize::new(0),
            gate: Mutex::new(None),
            arrived: watch::Sender::new(0),
        });
        tokio::spawn(Arc::clone(&server).listen(listener));
        server
    }

    /// Believes tokens of `issuer` from now on, whose documents are at this URL, behind a certificate of this authority.
    pub(crate) fn believe(&self, issuer: &str, documents: &str, authority: Vec<u8>) {
        let issuer =
            Issuer::new(issuer, [AUDIENCE]).unwrap().documents_at(Endpoint::parse(documents).unwrap());
        let client = HttpClient::new(&Authorities::Pem(authority), Limits::default()).unwrap();
        assert!(self.verifier.set(Verifier::new(issuer, client, self.clock.clone())).is_ok());
    }

    pub(crate) fn feel(&self, mood: Mood) {
        self.state.lock().mood = mood;
    }

    pub(crate) fn grant_for(&self, seconds: i64) {
        self.state.lock().life_seconds = seconds;
    }

    /// The subjects of all exchanges that went well.
    pub(crate) fn granted(&self) -> Vec<String> {
        self.state.lock().granted.clone()
    }

    /// How many requests for credentials came, whatever became of them.
    pub(crate) fn asked(&self) -> usize {
        self.state.lock().asked
    }

    /// Holds all exchanges back, until permits are added.
    pub(crate) fn close(&self) -> Arc<Semaphore> {
        let gate = Arc::new(Semaphore::new(0));
        *self.gate.lock() = Some(Arc::clone(&gate));
        gate
    }

    /// The configuration of a driver that uses this server, by any of its protocols.
    pub(crate) fn configuration(&self) -> String {
        let address = self.address;
        format!(
            "exchanges:\n\
             \x20 aws: {{kind: assumeRoleWithWebIdentity, url: 'http://{address}/aws', audiences: [{AUDIENCE}], certificateAuthority: ca.pem}}\n\
             \x20 vault: {{kind: jwtLogin, url: 'http://{address}/vault', audiences: [{AUDIENCE}], certificateAuthority: ca.pem}}\n\
             \x20 sts: {{kind: tokenExchange, url: 'http://{address}/sts', audiences: [{AUDIENCE}, wrong.example], certificateAuthority: ca.pem}}\n\
             limits: {{concurrentExchanges: 2}}\n"
        )
    }

    /// A token of the server's own issuer.
    pub(crate) fn token(&self, audience: &str, service_account: &str) -> String {
        let now = self.clock.now().as_second();
        let claims = Claims {
            iss: OWN_ISSUER.to_owned(),
            aud: [audience].into_iter().collect(),
            sub: format!("system:serviceaccount:apps:{service_account}"),
            jti: "c4n4ry-claim-c4n4ry-claim".to_owned(),
            iat: Some(now),
            exp: Some(now + 600),
            ..Claims::default()
        };
        self.key.sign(&claims).unwrap().expose_token().to_owned()
    }

    async fn listen(self: Arc<Self>, listener: TcpListener) {
        while let Ok((socket, _)) = listener.accept().await {
            let server = Arc::clone(&self);
            tokio::spawn(async move {
                let service = service_fn(move |request| Arc::clone(&server).answer(request));
                // A client that gives up breaks the connection.
                let _ = http1::Builder::new().serve_connection(TokioIo::new(socket), service).await;
            });
        }
    }

    async fn answer(
        self: Arc<Self>,
        request: Request<Incoming>,
    ) -> Result<Response<Full<Bytes>>, Infallible> {
        let (parts, body) = request.into_parts();
        let body = body.collect().await.map(Collected::to_bytes).unwrap_or_default();
        let (status, text) = match (&parts.method, parts.uri.path()) {
            (&Method::GET, "/issuer/.well-known/openid-configuration") => {
                let keys = format!("http://{}/issuer/keys", self.address);
                (200, format!(r#"{{"issuer":"{OWN_ISSUER}","jwks_uri":"{keys}"}}"#))
            }
            (&Method::GET, "/issuer/keys") => {
                let keys: JwkSet = [self.key.verifying_key().public_key()].into_iter().collect();
                (200, String::from_utf8(keys.to_json()).unwrap())
            }
            (&Method::POST, path) => self.exchange(path, &body).await,
            _ => (404, String::new()),
        };
        Ok(Response::builder().status(status).body(Full::new(text.into())).unwrap())
    }

    async fn exchange(&self, path: &str, body: &[u8]) -> (u16, String) {
        let under_way = self.under_way.fetch_add(1, Ordering::SeqCst) + 1;
        self.most_under_way.fetch_max(under_way, Ordering::SeqCst);
        self.arrived.send_modify(|arrived| *arrived += 1);
        let gate = self.gate.lock().clone();
        if let Some(gate) = gate {
            gate.acquire().await.unwrap().forget();
        }
        let answer = self.decide(path, body).await;
        self.under_way.fetch_sub(1, Ordering::SeqCst);
        answer
    }

    async fn decide(&self, path: &str, body: &[u8]) -> (u16, String) {
        let mood = {
            let mut state = self.state.lock();
            state.asked += 1;
            state.mood
        };
        let (token, role) = asked_for(path, body);
        if mood == Mood::Down {
            return (503, format!("down, and this is your token: {token}"));
        }
        if mood == Mood::Echo {
            return refusal(path, "denied", &format!("what is {token} to me"));
        }
        let claims = match self.verifier.get().unwrap().verify(&Token::new(token)).await {
            Ok(claims) => claims,
            Err(error) => return refusal(path, "invalid_token", &with_causes(&error)),
        };
        let service_account = claims.sub.rsplit(':').next().unwrap_or_default().to_owned();
        if role.as_ref().is_some_and(|role| *role != service_account) {
            return refusal(path, "not_yours", &format!("{service_account} may not have this role"));
        }
        let mut state = self.state.lock();
        state.granted.push(claims.sub);
        grant(path, state.granted.len(), state.life_seconds, &self.clock)
    }
}

/// The token of a request, and the last part of the role's name.
fn asked_for(path: &str, body: &[u8]) -> (String, Option<String>) {
    if path == "/vault" {
        let body: serde_json::Value = serde_json::from_slice(body).unwrap();
        let text = |member: &str| body[member].as_str().unwrap().to_owned();
        return (text("jwt"), Some(text("role")));
    }
    let field = |name: &str| {
        form_urlencoded::parse(body).find(|(found, _)| found == name).map(|(_, value)| value.into_owned())
    };
    match path {
        "/aws" => {
            assert_eq!(field("Action").as_deref(), Some("AssumeRoleWithWebIdentity"));
            assert_eq!(field("RoleSessionName").as_deref(), Some("apps.shop-0"));
            let role = field("RoleArn").unwrap().rsplit('/').next().unwrap().to_owned();
            (field("WebIdentityToken").unwrap(), Some(role))
        }
        _ => (field("subject_token").unwrap(), None),
    }
}

fn grant(path: &str, number: usize, life: i64, clock: &Clock) -> (u16, String) {
    let text = match path {
        "/aws" => {
            let expires = clock.now() + std::time::Duration::from_secs(life.unsigned_abs());
            format!(
                "<AssumeRoleWithWebIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">\
                 <AssumeRoleWithWebIdentityResult><Credentials><AccessKeyId>ASIA{number}</AccessKeyId>\
                 <SecretAccessKey>{ISSUED}-{number}</SecretAccessKey><SessionToken>session-{ISSUED}-{number}</SessionToken>\
                 <Expiration>{expires}</Expiration></Credentials></AssumeRoleWithWebIdentityResult>\
                 </AssumeRoleWithWebIdentityResponse>"
            )
        }
        "/vault" => {
            format!(
                r#"{{"auth":{{"client_token":"{ISSUED}-{number}","lease_duration":{life},"accessor":"a"}}}}"#
            )
        }
        _ => format!(
            r#"{{"access_token":"{ISSUED}-{number}","issued_token_type":"urn:ietf:params:oauth:token-type:access_token","token_type":"Bearer","expires_in":{life}}}"#
        ),
    };
    (200, text)
}

fn refusal(path: &str, code: &str, text: &str) -> (u16, String) {
    let body = match path {
        "/aws" => format!(
            "<ErrorResponse><Error><Code>{code}</Code><Message>{text}</Message></Error></ErrorResponse>"
        ),
        "/vault" => serde_json::json!({"errors": [code, text]}).to_string(),
        _ => serde_json::json!({"error": code, "error_description": text}).to_string(),
    };
    (400, body)
}

/// A certificate of nobody: a client wants one to believe, also where all is plain HTTP on this machine.
pub(crate) fn some_authority() -> Vec<u8> {
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate = rcgen::CertificateParams::new(Vec::new()).unwrap().self_signed(&key).unwrap();
    certificate.pem().into_bytes()
}
