//! A server that the targets send requests to: made once, with an object of each kind that patches are tried on.

use std::sync::{Arc, OnceLock};

use serde_json::json;
use tokenward_apiserver::{ApiServer, Config, User, new_store};
use tokenward_issuer::{Algorithm, Issuer, IssuerConfig, SigningKey};
use tokenward_kube_rules::{FeatureGates, Release};
use tokenward_tokens::Clock;
use tokio::runtime::{Builder, Runtime};

/// A server and what drives it.
pub struct World {
    /// One thread, on which time passes at once when nobody works.
    pub runtime: Runtime,
    /// A server of release 1.35.
    pub server: ApiServer,
}

impl World {
    /// Objects that are there.
    pub const OBJECTS: [&str; 3] = [
        "/apis/storage.k8s.io/v1/csidrivers/d",
        "/api/v1/namespaces/apps/pods/web",
        "/apis/apps/v1/namespaces/apps/daemonsets/agent",
    ];

    /// Who may do everything.
    pub fn admin() -> User {
        User::authenticated("admin", ["system:masters".to_owned()])
    }

    /// The one of this process.
    pub fn get() -> &'static Self {
        static WORLD: OnceLock<World> = OnceLock::new();
        WORLD.get_or_init(Self::new)
    }

    fn new() -> Self {
        let runtime = Builder::new_current_thread().enable_time().start_paused(true).build();
        let runtime = runtime.expect("a runtime");
        let issuer = Issuer::new(IssuerConfig::new(["https://issuer.example"]).expect("an issuer"));
        issuer.set_signing_key(SigningKey::generate(Algorithm::Es256).expect("a key"));
        let gates = FeatureGates::for_release(Release::V1_35);
        let server = ApiServer::new(Config::new(gates, new_store(), Arc::new(issuer), Clock::system()));
        let container = json!({"name": "c", "image": "pause", "ports": [{"containerPort": 80}]});
        let pod = json!({"containers": [container], "serviceAccountName": "web"});
        let labels = json!({"app": "agent"});
        let template = json!({"metadata": {"labels": labels}, "spec": {"containers": [container]}});
        let agent = json!({"selector": {"matchLabels": labels}, "template": template});
        let objects = [
            ("/api/v1/namespaces", json!({"metadata": {"name": "apps"}})),
            ("/api/v1/namespaces/apps/serviceaccounts", json!({"metadata": {"name": "web"}})),
            ("/apis/storage.k8s.io/v1/csidrivers", json!({"metadata": {"name": "d"}, "spec": {}})),
            ("/api/v1/namespaces/apps/pods", json!({"metadata": {"name": "web"}, "spec": pod})),
            ("/apis/apps/v1/namespaces/apps/daemonsets", json!({"metadata": {"name": "agent"}, "spec": agent})),
        ];
        let admin = server.client(Self::admin());
        runtime.block_on(async {
            for (path, object) in objects {
                admin.create(path, &object).await.expect("an object that is good");
            }
        });
        Self { runtime, server }
    }
}
