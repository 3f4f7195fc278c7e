//! `tokenward node`: the kubelet's CSI half, for any API server.

use std::sync::Arc;

use tokenward_cluster::client::{self, ClientError};
use tokenward_node::status::{socket, status_channel};
use tokenward_node::{Config, Node, NodeError, PodReporting};
use tokenward_node_kube::KubeCluster;
use tokio_util::sync::CancellationToken;

use crate::args::node::NodeConfig;
use crate::failure::Failure;
use crate::node_root;
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
    node.taints = vec![TAINT.to_owned()];
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
    let socket = socket::path(root.path()).map_err(Failure::because)?;
    let end = CancellationToken::new();
    let _end = end.clone().drop_guard();
    let serve_status = socket::serve(status, socket, end);
    tokio::spawn(async move {
        if let Err(error) = serve_status.await {
            tracing::warn!(%error, "`tokenward node status` will find no node here");
        }
    });
    tokio::select! {
        ended = Node::run(node, cluster, stop.drain.clone()) => ended.map_err(ended_badly),
        () = stop.immediate.cancelled() => Err(Failure::no("stopped before every volume was unpublished")
            .hint("`findmnt` shows what is left mounted below the root directory.")),
    }
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
