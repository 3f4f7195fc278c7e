//! How a node stands: drivers, volumes, where tokens are, what comes next. For people and for metrics; holds no token.

pub mod socket;

use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::sync::{Mutex, mpsc, oneshot};

/// How a node stands.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NodeStatus {
    /// Name of the Node object.
    pub node: String,
    /// The registered drivers.
    pub drivers: Vec<DriverStatus>,
    /// The CSI volumes of pods on this node.
    pub volumes: Vec<VolumeStatus>,
    /// How many tokens are in memory.
    pub tokens: usize,
}

/// A registered driver.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DriverStatus {
    /// Its name.
    pub name: String,
    /// Where it serves.
    pub endpoint: String,
    /// The version it registered with.
    pub version: String,
    /// Whether its CSIDriver wants volumes to be published again; none without a CSIDriver.
    pub requires_republish: Option<bool>,
    /// How many volumes it has on this node.
    pub volumes: usize,
}

/// A volume of a pod.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct VolumeStatus {
    /// Namespace of the pod.
    pub namespace: String,
    /// Name of the pod.
    pub pod: String,
    /// Name of the volume in the pod.
    pub volume: String,
    /// The driver; empty while it is not known.
    pub driver: String,
    /// How it stands.
    pub state: VolumeState,
    /// Where the tokens were at the last publish.
    pub placement: Option<String>,
    /// For whom they are.
    pub audiences: Vec<String>,
    /// When the first of them expires.
    pub expires: Option<Timestamp>,
    /// When tokens are refreshed next, ahead of need.
    pub next_refresh: Option<Timestamp>,
    /// When it is published next, if nothing happens before.
    pub next_publish: Option<Timestamp>,
    /// The last failure, until the next success.
    pub problem: Option<String>,
}

/// How a volume stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum VolumeState {
    /// It is published.
    Mounted,
    /// It is wanted and not published yet.
    Waiting,
}

impl VolumeState {
    /// Its name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Mounted => "mounted",
            Self::Waiting => "waiting",
        }
    }
}

/// Asks a running node how it stands.
#[derive(Clone, Debug)]
pub struct StatusClient(mpsc::Sender<oneshot::Sender<NodeStatus>>);

/// The node's end of a [`StatusClient`].
#[derive(Clone, Debug)]
pub struct StatusRequests(Arc<Mutex<mpsc::Receiver<oneshot::Sender<NodeStatus>>>>);

/// Both ends.
#[must_use]
pub fn status_channel() -> (StatusClient, StatusRequests) {
    let (sender, receiver) = mpsc::channel(16);
    (StatusClient(sender), StatusRequests(Arc::new(Mutex::new(receiver))))
}

impl StatusClient {
    /// How the node stands; `None` when it does not run.
    pub async fn status(&self) -> Option<NodeStatus> {
        let (sender, answer) = oneshot::channel();
        self.0.send(sender).await.ok()?;
        answer.await.ok()
    }
}

impl StatusRequests {
    /// The next who asks; waits for ever once nobody can.
    pub async fn next(&self) -> oneshot::Sender<NodeStatus> {
        match self.0.lock().await.recv().await {
            Some(sender) => sender,
            None => std::future::pending().await,
        }
    }
}
