//! That the cluster knows this node: the Node and CSINode objects at the start, then the Ready condition and the lease.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokenward_kube_rules::Release;
use tokenward_tokens::Clock;
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use crate::cluster::{Cluster, ClusterError, ErrorReason};
use crate::config::Intervals;
use crate::node_objects::{
    csi_node_body, csi_node_reset_patch, lease_body, lease_patch, node_body, node_status_patch, say_endpoint,
};
use crate::objects::NodeObject;

/// First and longest wait while the API server cannot be reached.
const FIRST_WAIT: Duration = Duration::from_millis(100);
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// Keeps the node's objects.
pub(crate) struct Heartbeat<C> {
    pub(crate) cluster: Arc<C>,
    pub(crate) node_name: String,
    pub(crate) release: Release,
    pub(crate) taints: Vec<String>,
    pub(crate) endpoint: Option<SocketAddr>,
    pub(crate) clock: Clock,
    pub(crate) intervals: Intervals,
}

impl<C: Cluster> Heartbeat<C> {
    /// Registers the node, says so, and beats until told to stop.
    pub(crate) async fn run(self, registered: oneshot::Sender<()>, stop: CancellationToken) {
        let Some(Some(node)) = stop.run_until_cancelled(self.register()).await else { return };
        info!(node = %self.node_name, "node registered");
        // The node that waits may have been stopped meanwhile.
        let _ = registered.send(());
        let mut next_status = Instant::now() + self.intervals.status;
        let mut leased = false;
        loop {
            let now = Instant::now();
            if now >= next_status {
                match self.beat().await {
                    Ok(_) => next_status = now + self.intervals.status,
                    Err(error) => {
                        warn!(%error, "the Node's status could not be updated");
                        next_status = now + self.intervals.lease;
                    }
                }
            }
            if let Err(error) = self.renew(&node.metadata.uid, &mut leased).await {
                debug!(%error, "the node's lease could not be renewed");
            }
            let next = (Instant::now() + self.intervals.lease).min(next_status);
            if stop.run_until_cancelled(sleep_until(next)).await.is_none() {
                return;
            }
        }
    }

    /// Tries until the API server has answered well.
    async fn register(&self) -> Option<NodeObject> {
        let mut wait = FIRST_WAIT;
        loop {
            match self.try_register().await {
                Ok(node) => return Some(node),
                Err(error) => warn!(%error, node = %self.node_name, "the node could not be registered yet"),
            }
            tokio::time::sleep(wait).await;
            wait = (wait * 2).min(LONGEST_WAIT);
        }
    }

    async fn try_register(&self) -> Result<NodeObject, ClusterError> {
        let found = self.cluster.node(&self.node_name).await;
        if let Err(error) = found {
            if !error.is_not_found() {
                return Err(error);
            }
            match self.cluster.create_node(&node_body(&self.node_name, &self.taints)).await {
                Err(error) if error.reason() != ErrorReason::AlreadyExists => return Err(error),
                _ => {}
            }
        }
        let node = self.cluster.node(&self.node_name).await?;
        // Ready only once the CSINode is there, as the kubelet does.
        match self.cluster.csi_node(&self.node_name).await {
            Err(error) if error.is_not_found() => {
                let body = csi_node_body(&self.node_name, &node.metadata.uid);
                match self.cluster.create_csi_node(&body).await {
                    Err(error) if error.reason() != ErrorReason::AlreadyExists => return Err(error),
                    _ => {}
                }
            }
            found => {
                if let Some(patch) = csi_node_reset_patch(&found?, &self.node_name, &node.metadata.uid) {
                    self.cluster.patch_csi_node(&self.node_name, &patch).await?;
                }
            }
        }
        self.beat().await
    }

    async fn beat(&self) -> Result<NodeObject, ClusterError> {
        let node = self.cluster.node(&self.node_name).await?;
        let mut patch = node_status_patch(&node, self.release, true, self.clock.now());
        if let Some(endpoint) = self.endpoint {
            say_endpoint(&mut patch, endpoint);
        }
        self.cluster.patch_node_status(&self.node_name, &patch).await
    }

    async fn renew(&self, node_uid: &str, leased: &mut bool) -> Result<(), ClusterError> {
        let now = self.clock.now();
        if !*leased {
            match self.cluster.create_lease(&lease_body(&self.node_name, node_uid, now)).await {
                Ok(_) => {
                    *leased = true;
                    return Ok(());
                }
                Err(error) if error.reason() == ErrorReason::AlreadyExists => *leased = true,
                Err(error) => return Err(error),
            }
        }
        let renewed = self.cluster.patch_lease(&self.node_name, &lease_patch(&self.node_name, now)).await;
        // A lease that somebody deleted is made again.
        *leased = !renewed.as_ref().is_err_and(ClusterError::is_not_found);
        renewed.map(drop)
    }
}
