//! The control plane of a run: certificates, API server behind HTTPS, controllers.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use rustls_pki_types::CertificateDer;
use serde_json::json;
use tokenward_apiserver::{
    ApiError, ApiServer, Client, Config, Index, RequestLimits, ServeError, ServerIdentity, StaticTokens,
    TlsConfig, User, forget_old_events, keep_identity, new_store, serve,
};
use tokenward_controllers::Controllers;
use tokenward_issuer::{ConfigError, Issuer, IssuerConfig, KeyError, SigningKey, VerifyingKey};
use tokenward_jose::Algorithm;
use tokenward_kube_rules::FeatureGates;
use tokenward_store::Store;
use tokenward_tokens::Clock;
use tokio::net::TcpListener;
use tokio::task::{JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;

use crate::controllers_api::InProcessApi;
use crate::kept_keys::{KeptKeys, KeptKeysError};
use crate::key_files::{self, KeyFiles};
use crate::kubeconfig::{Kubeconfig, Server};
use crate::node_access::{NodeAccessError, node_access};
use crate::pki::{Authority, Identity, PkiError};
use crate::serving::ServingCertificate;

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
    /// The host, with or without a port, by which clients elsewhere call the server: for discovery documents, and a name in the
    /// certificate that is made; none is the address.
    pub external_hostname: Option<String>,
    /// The serving certificate; none makes one.
    pub serving: Option<ServingCertificate>,
    /// Whose client certificates are believed, beside those of the run's own authority.
    pub client_authorities: Vec<CertificateDer<'static>>,
    /// Who vouches for nodes' serving certificates, beside the run's own authority.
    pub node_authorities: Vec<CertificateDer<'static>>,
    /// The client certificate that nodes are shown; none makes one.
    pub node_client: Option<ServingCertificate>,
    /// Whether controllers run: default service accounts, scheduler, binder. kube-apiserver alone has none.
    pub runs_controllers: bool,
    /// The time.
    pub clock: Clock,
    /// Who issues service account tokens, and for whom.
    pub issuer: IssuerConfig,
    /// The key that signs; none makes an RSA key in the background.
    pub signing_key: Option<SigningKey>,
    /// Further keys whose tokens are good.
    pub verifying_keys: Vec<VerifyingKey>,
    /// Files that keys were read from: they are followed, and what changes in them takes effect at once.
    pub key_files: KeyFiles,
    /// Whether requests without credentials are answered as those of `system:anonymous`.
    pub anonymous: bool,
    /// How many requests run at once.
    pub request_limits: RequestLimits,
    /// Users with tokens out of a file.
    pub static_tokens: StaticTokens,
    /// The objects; a store that another control plane had is taken over as it is.
    pub store: Store<Index>,
    /// Where the keys and certificates that are made here are kept for later runs; none makes them for this one.
    pub kept_keys: Option<KeptKeys>,
}

impl ControlPlaneConfig {
    /// A control plane of a release on a free port of this machine, with controllers and an empty store.
    ///
    /// # Errors
    /// Never for the default issuer; the type is that of [`IssuerConfig::new`].
    pub fn new(gates: FeatureGates) -> Result<Self, ConfigError> {
        Ok(Self {
            gates,
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            external_hostname: None,
            serving: None,
            client_authorities: Vec::new(),
            node_authorities: Vec::new(),
            node_client: None,
            runs_controllers: true,
            clock: Clock::system(),
            issuer: IssuerConfig::new([DEFAULT_ISSUER])?,
            signing_key: None,
            verifying_keys: Vec::new(),
            key_files: KeyFiles::default(),
            anonymous: true,
            request_limits: RequestLimits::default(),
            static_tokens: StaticTokens::default(),
            store: new_store(),
            kept_keys: None,
        })
    }
}

/// A running control plane.
#[derive(Debug)]
pub struct ControlPlane {
    authority: Authority,
    server: ApiServer,
    address: SocketAddr,
    face: Server,
    /// The certificate that is served was brought along.
    has_given_certificate: bool,
    clock: Clock,
    stop: CancellationToken,
    controllers: Option<JoinHandle<()>>,
    serving: JoinSet<Result<(), ServeError>>,
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
    /// The store did not take the roles that every cluster has.
    #[error("cannot make the default roles")]
    DefaultRoles(#[source] ApiError),
    /// The store did not take the priority classes that every cluster has.
    #[error("cannot make the system's priority classes")]
    SystemPriorities(#[source] ApiError),
    /// A certificate could not be made.
    #[error("cannot make the certificates of the run")]
    Certificates(#[from] PkiError),
    /// The keys of earlier runs cannot be used, or those of this one not be kept.
    #[error(transparent)]
    KeptKeys(#[from] KeptKeysError),
    /// The server failed while it was serving.
    #[error("the API server failed")]
    Serve(#[from] ServeError),
    /// There is no way to connect to nodes.
    #[error("cannot connect to nodes")]
    NodeAccess(#[from] NodeAccessError),
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
        let (listener, address) = listen(config.listen).await?;
        let now = config.clock.now();
        let kept = config.kept_keys;
        let authority = match &kept {
            Some(kept) => kept.authority(now)?,
            None => Authority::generate(now)?,
        };
        let reachable = reachable(address);
        let external_address = external_address(config.external_hostname.as_deref(), reachable);

        let issuer = Arc::new(Issuer::new(config.issuer));
        issuer.add_verifying_keys(config.verifying_keys);
        let mut server_config = Config::new(config.gates, config.store, issuer, config.clock.clone());
        server_config.static_tokens = config.static_tokens;
        server_config.external_address = external_address.clone();
        server_config.anonymous = config.anonymous;
        server_config.request_limits = config.request_limits;
        server_config.node_access =
            Some(node_access(&authority, config.node_authorities, config.node_client, now)?);
        let server = ApiServer::new(server_config);
        // Together: a store on disk makes them durable together.
        let (roles, priorities) =
            tokio::join!(server.establish_default_roles(), server.establish_system_priorities());
        roles.map_err(ControlPlaneError::DefaultRoles)?;
        priorities.map_err(ControlPlaneError::SystemPriorities)?;

        let url = format!("https://{reachable}");
        let mut client_authorities = vec![authority.certificate_der().clone()];
        client_authorities.extend(config.client_authorities);
        let has_given_certificate = config.serving.is_some();
        let (face, tls) = match config.serving {
            Some(given) => {
                let face = Server {
                    url,
                    authorities_pem: given.authorities_pem(),
                    tls_server_name: given.name_for(reachable.ip()),
                };
                let (certificates, key) = given.into_parts();
                (face, TlsConfig { certificates, key, client_authorities })
            }
            None => {
                let mut names = vec![address.ip().to_string(), reachable.ip().to_string()];
                if config.external_hostname.is_some() {
                    names.push(host(&external_address).to_owned());
                }
                let own = match &kept {
                    Some(kept) => kept.server(&authority, &names, now)?,
                    None => authority.server(&names, now)?,
                };
                let authorities_pem = authority.certificate_pem();
                (Server { url, authorities_pem, tls_server_name: None }, own_tls(&own, client_authorities))
            }
        };
        let signing_key = match (config.signing_key, &kept) {
            (None, Some(kept)) => kept.signing_key()?,
            (given, _) => given,
        };
        match signing_key {
            Some(key) => server.set_signing_key(key),
            None => make_signing_key(server.clone(), kept),
        }

        let stop = CancellationToken::new();
        let mut serving = JoinSet::new();
        if !config.key_files.is_empty() {
            let following = key_files::follow(config.key_files, server.clone(), stop.clone());
            serving.spawn(async move {
                following.await;
                Ok(())
            });
        }
        serving.spawn(serve(server.clone(), listener, tls, stop.clone()));
        let client = server.client(controller_user());
        make_system_namespaces(&client).await;
        let hostname = rustix::system::uname().nodename().to_string_lossy().into_owned();
        let identity = ServerIdentity { hostname, address: reachable };
        let keeping = keep_identity(client.clone(), identity, config.clock.clone(), stop.clone());
        serving.spawn(async move {
            keeping.await;
            Ok(())
        });
        let forgetting = forget_old_events(server.clone(), config.clock.clone(), stop.clone());
        serving.spawn(async move {
            forgetting.await;
            Ok(())
        });
        let controllers = config.runs_controllers.then(|| {
            let controllers = Controllers::new(config.clock.clone()).publishing(&*face.authorities_pem);
            let stop = stop.clone();
            tokio::spawn(async move { controllers.run(InProcessApi::new(client), stop).await })
        });
        let clock = config.clock;
        Ok(Self {
            authority,
            server,
            address,
            face,
            has_given_certificate,
            clock,
            stop,
            controllers,
            serving,
        })
    }

    /// Where the API server listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The API server's URL.
    #[must_use]
    pub fn url(&self) -> String {
        self.face.url.clone()
    }

    /// The API server as the run's own nodes see it. Behind a certificate that was brought along that is a second port on loopback with
    /// the run's own: whether that certificate can be verified here, or names this machine, is not theirs to depend on.
    ///
    /// # Errors
    /// When there is no free port, or a certificate cannot be made.
    pub async fn for_own_nodes(&mut self) -> Result<Server, ControlPlaneError> {
        if !self.has_given_certificate {
            return Ok(self.face.clone());
        }
        let (listener, address) = listen(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).await?;
        let identity = self.authority.server(&[], self.clock.now())?;
        let tls = own_tls(&identity, vec![self.authority.certificate_der().clone()]);
        self.serving.spawn(serve(self.server.clone(), listener, tls, self.stop.clone()));
        Ok(Server {
            url: format!("https://{address}"),
            authorities_pem: self.authority.certificate_pem(),
            tls_server_name: None,
        })
    }

    /// The administrator's kubeconfig.
    ///
    /// # Errors
    /// When its certificate cannot be made.
    pub fn admin_kubeconfig(&self) -> Result<Kubeconfig, PkiError> {
        Ok(Kubeconfig::for_server(&self.face, "kubernetes-admin", &self.admin_identity()?))
    }

    /// The run's own authority: behind the server's certificate unless one was given, and behind the client certificates made here.
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
    pub async fn stop(mut self) -> Result<(), ControlPlaneError> {
        self.stop.cancel();
        // A task that panicked has said so; there is nothing more to be had from it.
        if let Some(controllers) = self.controllers {
            let _ = controllers.await;
        }
        let mut first = Ok(());
        while let Some(ended) = self.serving.join_next().await {
            first = first.and(ended.unwrap_or(Ok(())));
        }
        Ok(first?)
    }
}

async fn listen(address: SocketAddr) -> Result<(TcpListener, SocketAddr), ControlPlaneError> {
    let failed = |source| ControlPlaneError::Listen { address, source };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let bound = listener.local_addr().map_err(failed)?;
    Ok((listener, bound))
}

/// Where a client on this machine reaches a listener: one on every address is reached on loopback.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        ip if !ip.is_unspecified() => ip,
        IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
    };
    SocketAddr::new(ip, address.port())
}

/// `host:port` for discovery documents; a host name without a port gets the listener's, as upstream has it.
fn external_address(hostname: Option<&str>, reachable: SocketAddr) -> String {
    match hostname {
        None => reachable.to_string(),
        Some(name) if host(name).len() < name.len() => name.to_owned(),
        Some(name) if name.contains(':') => format!("[{}]:{}", host(name), reachable.port()),
        Some(name) => format!("{name}:{}", reachable.port()),
    }
}

/// The host of `host`, `host:port`, `[address]:port` or a bare IPv6 address.
fn host(address: &str) -> &str {
    if let Some((inside, _)) = address.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        return inside;
    }
    match address.rsplit_once(':') {
        Some((host, _)) if !host.contains(':') => host,
        _ => address,
    }
}

fn own_tls(identity: &Identity, client_authorities: Vec<CertificateDer<'static>>) -> TlsConfig {
    TlsConfig {
        certificates: vec![identity.certificate_der().clone()],
        key: identity.expose_key_der(),
        client_authorities,
    }
}

/// Making an RSA key takes a hundred milliseconds or more: the server answers meanwhile, and token requests wait.
fn make_signing_key(server: ApiServer, kept: Option<KeptKeys>) {
    tokio::task::spawn_blocking(move || match SigningKey::generate(Algorithm::Rs256) {
        Ok(key) => {
            // Before it signs anything: a token must not be worth less after a restart than its issuer said.
            if let Some(Err(error)) = kept.map(|kept| kept.keep_signing_key(&key)) {
                let source = std::error::Error::source(&error).map(ToString::to_string);
                tracing::error!(%error, source, "the key that signs tokens is good for this run only");
            }
            server.set_signing_key(key);
        }
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

#[cfg(test)]
mod tests {
    use futures_util::StreamExt as _;
    use tokenward_kube_rules::Release;

    use super::*;
    use crate::apply::{Outcome, apply};

    #[test]
    fn a_server_on_every_address_is_called_on_loopback() {
        for (bound, expected) in
            [("0.0.0.0:6443", "127.0.0.1:6443"), ("[::]:6443", "[::1]:6443"), ("192.0.2.7:1", "192.0.2.7:1")]
        {
            assert_eq!(reachable(bound.parse().unwrap()).to_string(), expected);
        }
    }

    #[tokio::test]
    async fn a_server_says_that_it_is_there() {
        let mut config = ControlPlaneConfig::new(FeatureGates::for_release(Release::V1_35)).unwrap();
        config.runs_controllers = false;
        let control_plane = ControlPlane::start(config).await.unwrap();
        let admin = control_plane.admin();
        let path = "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices?watch=1&fieldSelector=metadata.name%3Dkubernetes";
        let mut events = Box::pin(admin.watch(path).await.unwrap());
        let first = tokio::time::timeout(std::time::Duration::from_secs(30), events.next()).await.unwrap();
        let slice = first.unwrap().unwrap().object;
        assert_eq!(slice["endpoints"][0]["addresses"][0], control_plane.address().ip().to_string());
        assert_eq!(slice["ports"][0]["port"], control_plane.address().port());
        drop(events);
        control_plane.stop().await.unwrap();
    }

    #[tokio::test]
    async fn a_pod_that_is_applied_before_its_account_is_there_waits_for_it() {
        let mut config = ControlPlaneConfig::new(FeatureGates::default()).unwrap();
        config.runs_controllers = false;
        let control_plane = ControlPlane::start(config).await.unwrap();
        let admin = control_plane.admin();
        let text = "\
            {apiVersion: v1, kind: Namespace, metadata: {name: shop}}\n---\n\
            {apiVersion: v1, kind: Pod, metadata: {name: till, namespace: shop}, spec: {containers: [{name: c, image: i}]}}\n";
        let manifests = crate::manifest::parse(std::path::Path::new("m.yaml"), text).unwrap();
        let [namespace, pod] = &manifests[..] else { panic!("two manifests") };
        apply(&admin, namespace).await.unwrap();
        let account = serde_json::json!({"metadata": {"name": "default"}});
        let make = admin.create("/api/v1/namespaces/shop/serviceaccounts", &account);
        let (applied, made) = tokio::join!(apply(&admin, pod), make);
        made.unwrap();
        assert_eq!(applied.unwrap().outcome, Outcome::Created);
        control_plane.stop().await.unwrap();
    }

    #[test]
    fn a_host_name_gets_the_port_that_it_lacks() {
        let reachable = "127.0.0.1:6443".parse().unwrap();
        for (hostname, address, host_alone) in [
            (None, "127.0.0.1:6443", "127.0.0.1"),
            (Some("api.example"), "api.example:6443", "api.example"),
            (Some("api.example:443"), "api.example:443", "api.example"),
            (Some("2001:db8::1"), "[2001:db8::1]:6443", "2001:db8::1"),
            (Some("[2001:db8::1]:443"), "[2001:db8::1]:443", "2001:db8::1"),
        ] {
            let found = external_address(hostname, reachable);
            assert_eq!(found, address);
            assert_eq!(host(&found), host_alone);
        }
    }
}
