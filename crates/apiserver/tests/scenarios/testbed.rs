//! A server with a clock that a test moves, and requests of all shapes to it.

use std::sync::Arc;

use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use jiff::Timestamp;
use serde_json::{Value, json};
use tokenward_apiserver::{
    ApiServer, Client, Config, Index, NodeAccess, PeerIdentity, StaticTokens, User, new_store,
};
use tokenward_issuer::{Algorithm, Issuer, IssuerConfig, SigningKey};
use tokenward_kube_rules::{FeatureGates, Release};
use tokenward_store::Store;
use tokenward_tokens::ManualClock;

pub(crate) const DRIVERS: &str = "/apis/storage.k8s.io/v1/csidrivers";
pub(crate) const PODS: &str = "/api/v1/namespaces/apps/pods";
pub(crate) const REVIEWS: &str = "/apis/authentication.k8s.io/v1/tokenreviews";

/// One store, one clock, and servers of any release over them.
pub(crate) struct Testbed {
    pub(crate) store: Store<Index>,
    pub(crate) clock: ManualClock,
    issuer: Arc<Issuer>,
}

/// An answer as a client sees it.
pub(crate) struct Answer {
    pub(crate) response: Response<()>,
    pub(crate) body: bytes::Bytes,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(crate) fn code(&self) -> StatusCode {
        self.response.status()
    }
}

impl Testbed {
    pub(crate) fn new() -> Self {
        Self::over(new_store())
    }

    pub(crate) fn over(store: Store<Index>) -> Self {
        let issuer = Arc::new(Issuer::new(IssuerConfig::new(["https://issuer.example"]).unwrap()));
        issuer.set_signing_key(SigningKey::generate(Algorithm::Es256).unwrap());
        let clock = ManualClock::new("2026-03-01T12:00:00Z".parse::<Timestamp>().unwrap());
        Self { store, clock, issuer }
    }

    /// A server of a release over the store.
    pub(crate) fn server(&self, release: Release) -> ApiServer {
        self.server_with(FeatureGates::for_release(release), "")
    }

    /// What a server over the store is made of.
    pub(crate) fn config(&self, gates: FeatureGates) -> Config {
        Config::new(gates, self.store.clone(), self.issuer.clone(), self.clock.clock())
    }

    pub(crate) fn server_with(&self, gates: FeatureGates, static_tokens: &str) -> ApiServer {
        let mut config = self.config(gates);
        config.static_tokens = StaticTokens::parse(static_tokens).unwrap();
        ApiServer::new(config)
    }

    /// A 1.35 server that passes requests on to nodes.
    pub(crate) fn server_for_nodes(&self, access: NodeAccess) -> ApiServer {
        let gates = FeatureGates::for_release(Release::V1_35);
        let mut config = Config::new(gates, self.store.clone(), self.issuer.clone(), self.clock.clock());
        config.node_access = Some(access);
        ApiServer::new(config)
    }

    /// An administrator of a 1.35 server in which the namespace `apps`, its account `web` and the node `n1` exist.
    pub(crate) async fn furnished(&self) -> (ApiServer, Client) {
        let server = self.server(Release::V1_35);
        server.establish_default_roles().await.unwrap();
        server.establish_system_priorities().await.unwrap();
        let admin = server.client(admin());
        let objects = [
            ("/api/v1/namespaces", json!({"metadata": {"name": "apps"}})),
            ("/api/v1/namespaces/apps/serviceaccounts", json!({"metadata": {"name": "web"}})),
            ("/api/v1/nodes", json!({"metadata": {"name": "n1"}})),
        ];
        for (path, object) in objects {
            admin.create(path, &object).await.unwrap();
        }
        (server, admin)
    }
}

pub(crate) fn admin() -> User {
    User::authenticated("admin", ["system:masters".to_owned()])
}

/// A driver that asks for a token; the rest is the server's default.
pub(crate) fn driver(name: &str) -> Value {
    json!({"metadata": {"name": name}, "spec": {"tokenRequests": [{"audience": "vault"}]}})
}

/// A pod of the account `web`.
pub(crate) fn pod(name: &str) -> Value {
    json!({
        "metadata": {"name": name},
        "spec": {"serviceAccountName": "web", "containers": [{"name": "c", "image": "pause"}]},
    })
}

/// Any request as an administrator.
pub(crate) async fn send(
    server: &ApiServer,
    method: Method,
    path: &str,
    headers: &[(&str, &str)],
    body: impl Into<bytes::Bytes>,
) -> Answer {
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let mut request = request.body(Full::new(body.into())).unwrap();
    if !headers.iter().any(|(name, _)| *name == "authorization") {
        request.extensions_mut().insert(PeerIdentity(Arc::new(admin())));
    }
    let (parts, body) = server.handle(request).await.into_parts();
    Answer { response: Response::from_parts(parts, ()), body: body.collect().await.unwrap().to_bytes() }
}
