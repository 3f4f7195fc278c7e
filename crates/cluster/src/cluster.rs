//! A whole cluster in this process: control plane, nodes, drivers.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokenward_driver::{DriverName, DriverNameError, ServeError};
use tokenward_driver_token_files as token_files;
use tokenward_kube_rules::FeatureGates;
use tokenward_node::status::{socket, status_channel};
use tokenward_node::{Node, NodeError, Observation, PodReporting, Republish};
use tokenward_node_kube::KubeCluster;
use tokenward_tokens::Clock;
use tokenward_transport::{ConnectError, SocketPath, connect};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::client::{self, ClientError};
use crate::control_plane::{ControlPlane, ControlPlaneConfig, ControlPlaneError};
use crate::delivery::{Delivery, Objects};
use crate::drivers::{self, DriverServer, PlannedDriver};
use crate::kubeconfig::{Kubeconfig, Server};
use crate::node_server::{self, NodeListen, NodeServerError};
use crate::pki::PkiError;
use crate::root_directory::{RootDirectory, RootDirectoryError};

/// What a cluster is made of.
#[derive(Debug)]
pub struct ClusterConfig {
    /// The control plane.
    pub control_plane: ControlPlaneConfig,
    /// How many nodes: `node-1`, `node-2` and so on.
    pub nodes: usize,
    /// Where the nodes keep sockets and volumes; none is a private directory that goes with the run.
    pub root_dir: Option<PathBuf>,
    /// The CSIDrivers that shall be served on every node.
    pub csi_drivers: Vec<String>,
    /// The drivers that run elsewhere, by name.
    pub endpoints: BTreeMap<String, SocketPath>,
    /// When the nodes publish volumes again.
    pub republish: Republish,
    /// See [`tokenward_node::Config::drop_forged_keys`].
    pub drop_forged_keys: bool,
}

/// What all nodes have in common.
struct NodeTemplate {
    gates: FeatureGates,
    clock: Clock,
    republish: Republish,
    drop_forged_keys: bool,
}

/// A running cluster. [`Cluster::stop`] ends it and removes what it made; a cluster that is dropped leaves mounts to be
/// cleaned up by the next run on its directory.
#[derive(Debug)]
pub struct Cluster {
    control_plane: ControlPlane,
    seen_by_nodes: Server,
    root: RootDirectory,
    observations: mpsc::UnboundedReceiver<Observation>,
    stop_nodes: CancellationToken,
    nodes: JoinSet<Result<(), NodeError>>,
    stop_drivers: CancellationToken,
    drivers: JoinSet<Result<(), ServeError>>,
    expected_registrations: usize,
}

/// Why a cluster does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The control plane does not start.
    #[error(transparent)]
    ControlPlane(#[from] ControlPlaneError),
    /// The nodes' directory cannot be used.
    #[error(transparent)]
    RootDirectory(#[from] RootDirectoryError),
    /// A client certificate could not be made.
    #[error("cannot make a client certificate")]
    Certificate(#[from] PkiError),
    /// The node's client could not be made.
    #[error("cannot make the client of a node")]
    Client(#[from] ClientError),
    /// A node has no HTTPS server.
    #[error("cannot start the server of a node")]
    NodeServer(#[from] NodeServerError),
    /// A CSIDriver's name is no name of a driver.
    #[error("the CSIDriver {name:?} cannot be served")]
    DriverName {
        /// The CSIDriver.
        name: String,
        /// Why.
        #[source]
        source: DriverNameError,
    },
    /// A driver that runs elsewhere does not answer.
    #[error("the driver {name} does not answer")]
    Endpoint {
        /// The driver.
        name: String,
        /// Why.
        #[source]
        source: ConnectError,
    },
    /// The sockets of a node would have too long a path.
    #[error("the driver {name} cannot have a socket below {directory}")]
    SocketPath {
        /// The driver.
        name: String,
        /// The node's directory.
        directory: PathBuf,
        /// Why.
        #[source]
        source: tokenward_transport::SocketPathError,
    },
}

/// What happens in a running cluster.
#[derive(Debug)]
pub enum Happening {
    /// A node has something to tell.
    Observed(Observation),
    /// A node or driver ended by itself, which none should.
    Failed(StopError),
}

/// What could not be cleaned up.
#[derive(Debug, thiserror::Error)]
pub enum StopError {
    /// A node left something.
    #[error(transparent)]
    Node(#[from] NodeError),
    /// A driver failed.
    #[error(transparent)]
    Driver(#[from] ServeError),
    /// A directory or a mount is left.
    #[error(transparent)]
    RootDirectory(#[from] RootDirectoryError),
    /// The API server had failed.
    #[error(transparent)]
    ControlPlane(#[from] ControlPlaneError),
    /// A node or driver broke; this is a bug.
    #[error("a part of the cluster broke, which is a bug in tokenward")]
    Broken(#[source] tokio::task::JoinError),
}

impl Cluster {
    /// Starts everything. When this returns, the API server answers; nodes and drivers register by themselves.
    ///
    /// # Errors
    /// What could not be started; what had been started is stopped again.
    pub async fn start(config: ClusterConfig) -> Result<Self, StartError> {
        let plan = drivers::plan(config.csi_drivers.iter().map(String::as_str), &config.endpoints);
        for driver in &plan {
            check_driver(driver).await?;
        }
        let root = match &config.root_dir {
            Some(path) => RootDirectory::given(path)?,
            None => RootDirectory::temporary()?,
        };
        let template = NodeTemplate {
            gates: config.control_plane.gates.clone(),
            clock: config.control_plane.clock.clone(),
            republish: config.republish,
            drop_forged_keys: config.drop_forged_keys,
        };
        let mut control_plane = ControlPlane::start(config.control_plane).await?;
        let seen_by_nodes = match control_plane.for_own_nodes().await {
            Ok(server) => server,
            Err(error) => {
                let _ = control_plane.stop().await;
                return Err(error.into());
            }
        };
        node_server::let_server_read_nodes(&control_plane.admin()).await;
        let (sender, observations) = mpsc::unbounded_channel();
        let mut cluster = Self {
            control_plane,
            seen_by_nodes,
            root,
            observations,
            stop_nodes: CancellationToken::new(),
            nodes: JoinSet::new(),
            stop_drivers: CancellationToken::new(),
            drivers: JoinSet::new(),
            expected_registrations: plan.len() * config.nodes,
        };
        for number in 1..=config.nodes {
            let started = cluster.start_node(number, &plan, &template, sender.clone()).await;
            if let Err(error) = started {
                // The first failure is the one to tell; what cannot be cleaned up now, the next run cleans up.
                let _ = cluster.stop(&CancellationToken::new()).await;
                return Err(error);
            }
        }
        Ok(cluster)
    }

    async fn start_node(
        &mut self,
        number: usize,
        plan: &[PlannedDriver],
        template: &NodeTemplate,
        observer: mpsc::UnboundedSender<Observation>,
    ) -> Result<(), StartError> {
        let name = format!("node-{number}");
        let directory = self.root.node(number)?;
        let identity = self.control_plane.node_identity(&name)?;
        let user = format!("system:node:{name}");
        let kubeconfig = Kubeconfig::for_server(&self.seen_by_nodes, &user, &identity);
        let cluster = Arc::new(KubeCluster::new(client::of_kubeconfig(&kubeconfig).await?));
        for driver in plan {
            self.start_driver(driver, &name, &directory, &template.clock)?;
        }
        let listen = NodeListen::of_run(self.control_plane.authority(), &name, template.clock.now())?;
        let mut config = tokenward_node::Config::new(name, &directory);
        config.gates = template.gates.clone();
        config.clock = template.clock.clone();
        config.pace.republish = template.republish;
        config.drop_forged_keys = template.drop_forged_keys;
        config.pods = PodReporting::MountedIsRunning;
        config.unpublish_on_shutdown = true;
        config.observer = Some(observer);
        // Sockets appear while the node is already looking: a registration must not wait for the kubelet's second.
        config.intervals.registry = Duration::from_millis(20);
        let (status, requests) = status_channel();
        config.status = Some(requests);
        let stop = self.stop_nodes.clone();
        node_server::start(&mut config, Arc::clone(&cluster), status.clone(), listen, stop.clone()).await?;
        let node = Node::run(config, cluster, stop);
        self.nodes.spawn(async move { socket::serve_while(node, status, &directory).await });
        Ok(())
    }

    fn start_driver(
        &mut self,
        driver: &PlannedDriver,
        node: &str,
        directory: &Path,
        clock: &Clock,
    ) -> Result<(), StartError> {
        let name = driver_name(&driver.name)?;
        let registry = directory.join("plugins_registry");
        let stop = self.stop_drivers.clone();
        match &driver.server {
            DriverServer::TokenFiles => {
                let socket = directory.join("plugins").join(&driver.name).join("csi.sock");
                let endpoint = SocketPath::new(socket).map_err(|source| StartError::SocketPath {
                    name: driver.name.clone(),
                    directory: directory.to_owned(),
                    source,
                })?;
                let mut driver = token_files::DriverConfig::new(name, endpoint, node).register_in(registry);
                driver.clock = clock.clone();
                self.drivers.spawn(token_files::serve(token_files::Config::new(driver), stop));
            }
            DriverServer::Endpoint(endpoint) => {
                let endpoint = endpoint.clone();
                self.drivers.spawn(async move {
                    tokenward_driver::register(&name, &endpoint, &registry, &stop).await
                });
            }
        }
        Ok(())
    }

    /// The control plane.
    #[must_use]
    pub fn control_plane(&self) -> &ControlPlane {
        &self.control_plane
    }

    /// How many times a driver will register when all goes well: each on each node.
    #[must_use]
    pub fn expected_registrations(&self) -> usize {
        self.expected_registrations
    }

    /// The nodes' directory.
    #[must_use]
    pub fn root_dir(&self) -> &Path {
        self.root.path()
    }

    /// The administrator's kubeconfig.
    ///
    /// # Errors
    /// When its certificate cannot be made.
    pub fn kubeconfig(&self) -> Result<Kubeconfig, PkiError> {
        self.control_plane.admin_kubeconfig()
    }

    /// Waits for the next thing that happens.
    pub async fn next(&mut self) -> Happening {
        loop {
            let ended = tokio::select! {
                Some(observation) = self.observations.recv() => return Happening::Observed(observation),
                Some(ended) = self.nodes.join_next() => ended.map(|ended| ended.map_err(StopError::from)),
                Some(ended) = self.drivers.join_next() => ended.map(|ended| ended.map_err(StopError::from)),
                else => std::future::pending().await,
            };
            match ended {
                Ok(Err(error)) => return Happening::Failed(error),
                Ok(Ok(())) => {}
                Err(error) => return Happening::Failed(StopError::Broken(error)),
            }
        }
    }

    /// The objects that explain which volumes are missing.
    pub async fn objects(&self) -> Objects {
        let admin = self.control_plane.admin();
        let items = |path: &'static str| {
            let admin = admin.clone();
            async move {
                let list = admin.get(path).await.unwrap_or_default();
                list.get("items").and_then(|items| items.as_array()).cloned().unwrap_or_default()
            }
        };
        Objects {
            pods: items("/api/v1/pods").await,
            claims: items("/api/v1/persistentvolumeclaims").await,
            volumes: items("/api/v1/persistentvolumes").await,
            csi_nodes: items("/apis/storage.k8s.io/v1/csinodes").await,
            events: items("/api/v1/events").await,
        }
    }

    /// Unpublishes every volume, stops everything and removes what the run made. Once `immediate` is cancelled, nobody is
    /// waited for any more: mounts and directories are removed all the same.
    ///
    /// # Errors
    /// The first thing that could not be cleaned up; the rest is cleaned up all the same.
    pub async fn stop(mut self, immediate: &CancellationToken) -> Result<(), StopError> {
        let mut first = Ok(());
        let mut note = |result: Result<(), StopError>| {
            if let Err(error) = result {
                if first.is_ok() {
                    first = Err(error);
                } else {
                    tracing::warn!(%error, "not cleaned up");
                }
            }
        };
        // Nodes before drivers: unpublishing needs both. The API server last, since nodes report to it.
        self.stop_nodes.cancel();
        finish(&mut self.nodes, immediate, &mut note).await;
        self.stop_drivers.cancel();
        finish(&mut self.drivers, immediate, &mut note).await;
        note(self.control_plane.stop().await.map_err(StopError::from));
        note(self.root.close().map_err(StopError::from));
        first
    }
}

/// Waits for tasks, or drops them.
async fn finish<E: 'static>(
    tasks: &mut JoinSet<Result<(), E>>,
    immediate: &CancellationToken,
    note: &mut impl FnMut(Result<(), StopError>),
) where
    StopError: From<E>,
{
    loop {
        tokio::select! {
            ended = tasks.join_next() => match ended {
                // A panic has been told where it happened.
                Some(ended) => note(ended.unwrap_or(Ok(())).map_err(StopError::from)),
                None => return,
            },
            () = immediate.cancelled() => return tasks.shutdown().await,
        }
    }
}

fn driver_name(name: &str) -> Result<DriverName, StartError> {
    DriverName::parse(name).map_err(|source| StartError::DriverName { name: name.to_owned(), source })
}

/// A driver that cannot work is said at once, and not by a pod that waits.
async fn check_driver(driver: &PlannedDriver) -> Result<(), StartError> {
    driver_name(&driver.name)?;
    if let DriverServer::Endpoint(endpoint) = &driver.server {
        connect(endpoint)
            .await
            .map_err(|source| StartError::Endpoint { name: driver.name.clone(), source })?;
    }
    Ok(())
}

impl From<tokenward_node::Delivery> for Delivery {
    fn from(delivery: tokenward_node::Delivery) -> Self {
        Self {
            node: delivery.node,
            namespace: delivery.namespace,
            pod: delivery.pod,
            volume: delivery.volume,
            driver: delivery.driver,
            placement: delivery.placement,
            audiences: delivery.audiences,
            expires: delivery.expires,
            latency: delivery.latency,
        }
    }
}
