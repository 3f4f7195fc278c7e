//! `tokenward node`: the kubelet's CSI half, for any API server.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use tokenward_cluster::client::{self, ClientError};
use tokenward_cluster::node_server::{self, NodeListen};
use tokenward_node::status::{socket, status_channel};
use tokenward_node::{Config, Node, NodeError, PodReporting};
use tokenward_node_kube::KubeCluster;
use tokio_util::sync::CancellationToken;

use crate::args::node::NodeConfig;
use crate::failure::Failure;
use crate::node_root;
use crate::server;
use crate::signals::Stop;

/// Keeps pods away that need containers: they would wait here for ever.
const TAINT: &str = "tokenward.dev/mounts-only";

/// Is a node until it is told to stop.
pub(crate) async fn run(config: NodeConfig) -> Result<(), Failure> {
    let stop = Stop::on_signals().map_err(Failure::because)?;
    let connection = client::connect(&config.cluster).await.map_err(no_client)?;
    let root = node_root::claim(&config.root_dir)?;
    let mut node = Config::new(config.node_name, root.path());
    node.gates = config.gates;
    node.pace.republish = config.delivery.republish;
    node.drop_forged_keys = config.delivery.drop_forged_keys;
    node.pods = PodReporting::MountsOnly;
    if config.is_tainted {
        node.taints = vec![TAINT.to_owned()];
    }
    // Nobody else would: the next start takes up no mounts, and what stays would be tokens that no pod uses.
    node.unpublish_on_shutdown = true;
    tracing::info!(
        node = node.node_name,
        server = connection.server,
        root_dir = %root.path().display(),
        release = %node.gates.release(),
        "starting"
    );
    let cluster = Arc::new(KubeCluster::new(connection.client));
    let (status, requests) = status_channel();
    node.status = Some(requests);
    let end = CancellationToken::new();
    let _end = end.clone().drop_guard();
    if let Some(address) = config.listen {
        let flags = ["--tls-cert-file", "--tls-private-key-file"];
        let serving = config.serving.map(|files| server::identity(&files, flags)).transpose()?;
        let client_authorities = match &config.client_ca_file {
            Some(path) => server::authorities("--client-ca-file", path)?,
            None => Vec::new(),
        };
        let listen = NodeListen {
            address,
            advertised: advertised(address, &connection.server)?,
            serving: serving.map(Into::into),
            client_authorities,
        };
        node_server::start(&mut node, Arc::clone(&cluster), status.clone(), listen, end)
            .await
            .map_err(Failure::because)?;
    }
    let node = Node::run(node, cluster, stop.drain.clone());
    tokio::select! {
        ended = socket::serve_while(node, status, root.path()) => ended.map_err(ended_badly),
        () = stop.immediate.cancelled() => Err(Failure::no("stopped before every volume was unpublished")
            .hint("`findmnt` shows what is left mounted below the root directory.")),
    }
}

/// The address that the Node object gives.
fn advertised(listen: SocketAddr, server: &str) -> Result<IpAddr, Failure> {
    if !listen.ip().is_unspecified() {
        return Ok(listen.ip());
    }
    node_server::address_towards(server).ok_or_else(|| {
        Failure::could_not_run(
            "--listen: it cannot be found out at which address the API server finds this machine",
        )
        .hint("Name that address, such as --listen 192.0.2.10:10250.")
    })
}

fn no_client(error: ClientError) -> Failure {
    let hint = match &error {
        ClientError::Nowhere => Some("Name one with --kubeconfig, or with KUBECONFIG."),
        ClientError::NoCurrentContext => Some("Name a context with --context."),
        ClientError::Absent { .. } => Some("`kubectl config get-contexts` lists what is there."),
        _ => None,
    };
    let failure = Failure::because(error);
    match hint {
        Some(hint) => failure.hint(hint),
        None => failure,
    }
}

fn ended_badly(error: NodeError) -> Failure {
    let is_left = matches!(error, NodeError::LeftMounted { .. });
    let failure = Failure::because(error);
    if is_left {
        failure
            .hint("Its driver may be gone: start the driver again, then this node, and stop the node first.")
    } else {
        failure
    }
}
