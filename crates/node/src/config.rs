//! What a node is told when it starts, and what it tells while it runs.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokenward_kube_rules::FeatureGates;
use tokenward_tokens::{Audience, Clock, Placement};
use tokio::sync::mpsc;

use crate::dice::Dice;
use crate::metrics::Metrics;
use crate::planner::Pace;
use crate::selinux::FileLabel;
use crate::status::StatusRequests;

/// Settings of a node.
#[derive(Clone, Debug)]
pub struct Config {
    /// Name of the Node object.
    pub node_name: String,
    /// The kubelet's root directory (`/var/lib/kubelet`), absolute. Paths below it go to drivers as they are.
    pub root_dir: PathBuf,
    /// The release that the node behaves as, with its gates.
    pub gates: FeatureGates,
    /// Where time comes from.
    pub clock: Clock,
    /// Jitter.
    pub dice: Dice,
    /// Pace of publishes and retries.
    pub pace: Pace,
    /// Pace of everything else.
    pub intervals: Intervals,
    /// What pods are told.
    pub pods: PodReporting,
    /// Taints of a Node that this process creates, each with the effect `NoSchedule`.
    pub taints: Vec<String>,
    /// Remove kubelet-owned keys that a pod author wrote into inline attributes. Off: as upstream.
    pub drop_forged_keys: bool,
    /// What volumes of pods with SELinux levels are labelled with, where the CSIDriver says `seLinuxMount`. Not set: what the
    /// system's policy says, if SELinux is on in this kernel.
    pub se_linux: Option<FileLabel>,
    /// On shutdown, unpublish and unstage everything. Off: leave mounts to the next start, as a kubelet does.
    pub unpublish_on_shutdown: bool,
    /// Where the node's own HTTPS server listens, if it has one: said in the Node's status.
    pub endpoint: Option<SocketAddr>,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// Who may ask how the node stands.
    pub status: Option<StatusRequests>,
    /// Who hears of deliveries and failures.
    pub observer: Option<mpsc::UnboundedSender<Observation>>,
}

impl Config {
    /// A node with the defaults of a kubelet.
    pub fn new(node_name: impl Into<String>, root_dir: impl Into<PathBuf>) -> Self {
        Self {
            node_name: node_name.into(),
            root_dir: root_dir.into(),
            gates: FeatureGates::default(),
            clock: Clock::system(),
            dice: Dice::random(),
            pace: Pace::default(),
            intervals: Intervals::default(),
            pods: PodReporting::MountsOnly,
            taints: Vec::new(),
            drop_forged_keys: false,
            se_linux: None,
            unpublish_on_shutdown: false,
            endpoint: None,
            metrics: Arc::new(Metrics::new()),
            status: None,
            observer: None,
        }
    }
}

/// How often, and how long at most.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Intervals {
    /// The plugin registry is reconciled this often (1 s).
    pub registry: Duration,
    /// The registry directory is read anew this often, in case a change went unnoticed.
    pub rescan: Duration,
    /// The longest sleep: a clock that is moved by hand is noticed within this time.
    pub tick: Duration,
    /// One operation on a volume, all its calls together (2 min).
    pub operation: Duration,
    /// The node's lease is renewed this often (10 s).
    pub lease: Duration,
    /// The node's Ready condition is refreshed this often (5 min).
    pub status: Duration,
    /// The same failure of a volume is said again in an Event after this time at the earliest.
    pub repeat_event: Duration,
    /// On shutdown, operations that run may take this long to finish, and unpublishing as long again.
    pub shutdown: Duration,
}

impl Default for Intervals {
    fn default() -> Self {
        Self {
            registry: Duration::from_secs(1),
            rescan: Duration::from_secs(30),
            tick: Duration::from_secs(1),
            operation: Duration::from_secs(120),
            lease: Duration::from_secs(10),
            status: Duration::from_secs(300),
            repeat_event: Duration::from_secs(300),
            shutdown: Duration::from_secs(10),
        }
    }
}

/// What a pod's status says once its volumes are mounted. No container is run in either case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PodReporting {
    /// The truth of a node that runs no containers: `PodReadyToStartContainers` is true, the phase stays Pending and
    /// containers wait.
    MountsOnly,
    /// For trying things out (`tokenward up`): the phase becomes Running and the pod Ready, so that whoever waits for a
    /// mounted pod can wait as usual. Container states still say that nothing runs.
    MountedIsRunning,
}

/// What happened to a volume.
#[derive(Clone, Debug, PartialEq)]
pub enum Observation {
    /// NodePublishVolume succeeded.
    Delivered(Delivery),
    /// Resolving, staging or publishing failed; it will be tried again.
    Failed(MountFailure),
    /// The volume is no longer published.
    Unpublished {
        /// Identity of the pod, which may be gone.
        pod_uid: String,
        /// Name of the volume in the pod.
        volume: String,
    },
    /// A driver was registered.
    DriverRegistered {
        /// Its name.
        driver: String,
    },
    /// A driver is no longer registered.
    DriverUnregistered {
        /// Its name.
        driver: String,
    },
}

/// A successful publish.
#[derive(Clone, Debug, PartialEq)]
pub struct Delivery {
    /// Name of the node.
    pub node: String,
    /// Namespace of the pod.
    pub namespace: String,
    /// Name of the pod.
    pub pod: String,
    /// Name of the volume in the pod.
    pub volume: String,
    /// Name of the CSI driver.
    pub driver: String,
    /// Where the tokens were; `None` when the driver asks for none.
    pub placement: Option<Placement>,
    /// For whom, in the order of the CSIDriver.
    pub audiences: Vec<Audience>,
    /// When the first of them expires.
    pub expires: Option<Timestamp>,
    /// First publish: from the moment this node first saw the pod to the driver's answer. Republish: of the operation
    /// alone.
    pub latency: Duration,
    /// Whether it was mounted already.
    pub republish: bool,
}

/// An operation on a volume that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MountFailure {
    /// Name of the node.
    pub node: String,
    /// Namespace of the pod.
    pub namespace: String,
    /// Name of the pod.
    pub pod: String,
    /// Name of the volume in the pod.
    pub volume: String,
    /// Name of the CSI driver; empty when the claim could not be followed to it.
    pub driver: String,
    /// What went wrong, free of tokens.
    pub message: String,
}
