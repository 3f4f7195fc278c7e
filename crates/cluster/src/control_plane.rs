//! The control plane of a run: certificates, API server behind HTTPS, controllers.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use serde_json::json;
use tokenward_apiserver::{
    ApiServer, Client, Config, Index, ServeError, StaticTokens, TlsConfig, User, new_store, serve,
};
use tokenward_controllers::Controllers;
use tokenward_issuer::{ConfigError, Issuer, IssuerConfig, KeyError, SigningKey, VerifyingKey};
use tokenward_jose::Algorithm;
use tokenward_kube_rules::FeatureGates;
use tokenward_store::Store;
use tokenward_tokens::Clock;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::controllers_api::InProcessApi;
use crate::pki::{Authority, Identity, PkiError};

/// The issuer of service account tokens when none is named: what clusters made by kubeadm say.
pub const DEFAULT_ISSUER: &str = "https://kubernetes.default.svc.cluster.local";

/// The namespaces that every cluster has.
const SYSTEM_NAMESPACES: [&str; 4] = ["default", "kube-node-lease", "kube-public", "kube-system"];

/// What a control plane is made of.
#[derive(Debug)]
pub struct ControlPlaneConfig {
    /// The release to behave as, and its gates.
    pub gates: FeatureGates,
    /// Where the API server listens; port 0 is a free one.
    pub listen: SocketAddr,
    /// The time.
    pub clock: Clock,
    /// Who issues service account tokens, and for whom.
    pub issuer: IssuerConfig,
    /// The key that signs; none makes an RSA key in the background.
    pub signing_key: Option<SigningKey>,
    /// Further keys whose tokens are good.
    pub verifying_keys: Vec<VerifyingKey>,
    /// Users with tokens out of a file.
    pub static_tokens: StaticTokens,
    /// The objects; a store that another control plane had is taken over as it is.
    pub store: Store<Index>,
}

impl ControlPlaneConfig {
    /// A control plane of a release on a free port of this machine, with an empty store.
    ///
    /// # Errors
    /// Never for the default issuer; the type is that of [`IssuerConfig::new`].
    pub fn new(gates: FeatureGates) -> Result<Self, ConfigError> {
        Ok(Self {
            gates,
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            clock: Clock::system(),
            issuer: IssuerConfig::new([DEFAULT_ISSUER])?,
            signing_key: None,
            verifying_keys: Vec::new(),
            static_tokens: StaticTokens::default(),
            store: new_store(),
        })
    }
}

/// A running control plane.
#[derive(Debug)]
pub struct ControlPlane {
    authority: Authority,
    server: ApiServer,
    address: SocketAddr,
    clock: Clock,
    stop: CancellationToken,
    controllers: JoinHandle<()>,
    serving: JoinHandle<Result<(), ServeError>>,
}

/// Why a control plane does not start.
#[derive(Debug, thiserror::Error)]
pub enum ControlPlaneError {
    /// Another program has the port, or the address is not of this machine.
    #[error("cannot listen on {address}")]
    Listen {
        /// What was asked for.
        address: SocketAddr,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A certificate could not be made.
    #[error("cannot make the certificates of the run")]
    Certificates(#[from] PkiError),
    /// The server failed while it was serving.
    #[error("the API server failed")]
    Serve(#[from] ServeError),
    /// The signing key could not be made.
    #[error("cannot make the key that signs service account tokens")]
    SigningKey(#[from] KeyError),
}

impl ControlPlane {
    /// Starts the API server and the controllers. When this returns, requests are answered.
    ///
    /// # Errors
    /// When the address cannot be listened on or a certificate cannot be made.
    pub async fn start(config: ControlPlaneConfig) -> Result<Self, ControlPlaneError> {
        let address = config.listen;
        let listener = TcpListener::bind(address)
            .await
            .map_err(|source| ControlPlaneError::Listen { address, source })?;
        let address =
            listener.local_addr().map_err(|source| ControlPlaneError::Listen { address, source })?;
        let now = config.clock.now();
        let authority = Authority::generate(now)?;
        let identity = authority.server(&[address.ip().to_string()], now)?;

        let issuer = Arc::new(Issuer::new(config.issuer));
        issuer.add_verifying_keys(config.verifying_keys);
        let mut server_config = Config::new(config.gates, config.store, issuer, config.clock.clone());
        server_config.static_tokens = config.static_tokens;
        server_config.external_address = address.to_string();
        let server = ApiServer::new(server_config);
        match config.signing_key {
            Some(key) => server.set_signing_key(key),
            None => make_signing_key(server.clone()),
        }

        let stop = CancellationToken::new();
        let tls = TlsConfig {
            certificates: vec![identity.certificate_der().clone()],
            key: identity.expose_key_der(),
            client_authorities: vec![authority.certificate_der().clone()],
        };
        let serving = tokio::spawn(serve(server.clone(), listener, tls, stop.clone()));
        let client = server.client(controller_user());
        make_system_namespaces(&client).await;
        let controllers = tokio::spawn({
            let (controllers, stop) = (Controllers::new(config.clock.clone()), stop.clone());
            async move { controllers.run(InProcessApi::new(client), stop).await }
        });
        Ok(Self { authority, server, address, clock: config.clock, stop, controllers, serving })
    }

    /// Where the API server listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The API server's URL.
    #[must_use]
    pub fn url(&self) -> String {
        format!("https://{}", self.address)
    }

    /// The authority behind the server's certificate and all client certificates.
    #[must_use]
    pub fn authority(&self) -> &Authority {
        &self.authority
    }

    /// A client certificate for the administrator.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn admin_identity(&self) -> Result<Identity, PkiError> {
        self.authority.admin(self.clock.now())
    }

    /// A client certificate for a node.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn node_identity(&self, name: &str) -> Result<Identity, PkiError> {
        self.authority.node(name, self.clock.now())
    }

    /// A client in this process with the administrator's rights.
    #[must_use]
    pub fn admin(&self) -> Client {
        self.server.client(User::authenticated("kubernetes-admin", ["system:masters".to_owned()]))
    }

    /// The server itself.
    #[must_use]
    pub fn server(&self) -> &ApiServer {
        &self.server
    }

    /// Stops serving and waits until everything has ended.
    ///
    /// # Errors
    /// When the server had failed.
    pub async fn stop(self) -> Result<(), ControlPlaneError> {
        self.stop.cancel();
        // A task that panicked has said so; there is nothing more to be had from it.
        let _ = self.controllers.await;
        match self.serving.await {
            Ok(served) => Ok(served?),
            Err(_) => Ok(()),
        }
    }
}

/// Making an RSA key takes a hundred milliseconds or more: the server answers meanwhile, and token requests wait.
fn make_signing_key(server: ApiServer) {
    tokio::task::spawn_blocking(move || match SigningKey::generate(Algorithm::Rs256) {
        Ok(key) => server.set_signing_key(key),
        Err(error) => tracing::error!(%error, "no key to sign service account tokens with"),
    });
}

fn controller_user() -> User {
    User::authenticated("system:kube-controller-manager", ["system:masters".to_owned()])
}

async fn make_system_namespaces(client: &Client) {
    for name in SYSTEM_NAMESPACES {
        let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
        match client.create("/api/v1/namespaces", &namespace).await {
            Ok(_) => {}
            // A store that was taken over has it.
            Err(error) if error.code() == Some(http::StatusCode::CONFLICT) => {}
            Err(error) => tracing::warn!(%error, name, "a namespace of the system could not be made"),
        }
    }
}
