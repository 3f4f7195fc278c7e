//! A node at work: its cluster, its root directory, its clock, and what it says.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokenward_node::{
    Config, Delivery, Dice, Intervals, MountFailure, Node, NodeError, Observation, PodReporting,
};
use tokenward_tokens::ManualClock;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::cluster::{FakeCluster, TokenText, start};
use super::eventually;

pub const NODE: &str = "node-1";

pub struct World {
    pub root: TempDir,
    pub clock: ManualClock,
    pub cluster: Arc<FakeCluster>,
    pub observations: Arc<Mutex<Vec<Observation>>>,
    stop: CancellationToken,
    node: Option<JoinHandle<Result<(), NodeError>>>,
}

impl World {
    /// A cluster and a directory; the node is started by [`World::start`].
    pub fn new(token_text: TokenText) -> Self {
        let root = tempfile::Builder::new().prefix("tw").tempdir().unwrap();
        let clock = ManualClock::new(start());
        let cluster = FakeCluster::new(clock.clock(), token_text);
        let account = json!({ "metadata": { "name": "web", "namespace": "ns", "uid": "uid-web-account" } });
        cluster.put("serviceaccounts", account);
        Self {
            root,
            clock,
            cluster,
            observations: Arc::default(),
            stop: CancellationToken::new(),
            node: None,
        }
    }

    pub fn start(&mut self) {
        self.start_with(|_| {});
    }

    pub fn start_with(&mut self, adjust: impl FnOnce(&mut Config)) {
        let (sender, mut receiver) = mpsc::unbounded_channel();
        let mut config = Config::new(NODE, self.root.path());
        config.clock = self.clock.clock();
        config.dice = Dice::seeded(3);
        config.pods = PodReporting::MountedIsRunning;
        config.pace.change_spread = Duration::ZERO;
        config.pace.backoff_longest = Duration::from_millis(500);
        config.intervals = Intervals {
            registry: Duration::from_millis(20),
            tick: Duration::from_millis(5),
            lease: Duration::from_millis(50),
            shutdown: Duration::from_secs(2),
            ..Intervals::default()
        };
        config.observer = Some(sender);
        adjust(&mut config);
        let observations = Arc::clone(&self.observations);
        tokio::spawn(async move {
            while let Some(observation) = receiver.recv().await {
                observations.lock().push(observation);
            }
        });
        self.node = Some(tokio::spawn(Node::run(config, Arc::clone(&self.cluster), self.stop.clone())));
    }

    /// Stops the node and gives what it ends with.
    pub async fn stop(&mut self) -> Result<(), NodeError> {
        self.stop.cancel();
        self.node.take().unwrap().await.unwrap()
    }

    pub fn path(&self) -> &Path {
        self.root.path()
    }

    pub fn deliveries(&self) -> Vec<Delivery> {
        let delivered = |observation: &Observation| match observation {
            Observation::Delivered(delivery) => Some(delivery.clone()),
            _ => None,
        };
        self.observations.lock().iter().filter_map(delivered).collect()
    }

    pub fn failures(&self) -> Vec<MountFailure> {
        let failed = |observation: &Observation| match observation {
            Observation::Failed(failure) => Some(failure.clone()),
            _ => None,
        };
        self.observations.lock().iter().filter_map(failed).collect()
    }

    /// Waits for so many deliveries.
    pub async fn delivered(&self, count: usize) -> Vec<Delivery> {
        eventually("deliveries", || {
            let found = self.deliveries();
            if found.len() >= count { Ok(found) } else { Err(format!("{found:?}, {:?}", self.failures())) }
        })
        .await
    }

    /// Waits until a failure says this.
    pub async fn failed(&self, text: &str) -> MountFailure {
        eventually(text, || {
            let failures = self.failures();
            failures
                .iter()
                .find(|failure| failure.message.contains(text))
                .cloned()
                .ok_or(format!("{failures:?}"))
        })
        .await
    }

    /// Moves the clock, again and again, until the condition holds: what waits for a time of its own gets there.
    pub async fn pass_time_until<T: std::fmt::Debug>(
        &self,
        what: &str,
        step: Duration,
        mut probe: impl FnMut() -> Result<T, String>,
    ) -> T {
        eventually(what, || {
            let found = probe();
            if found.is_err() {
                self.clock.advance(step);
            }
            found
        })
        .await
    }

    pub async fn phase(&self, pod: &str, phase: &str) -> Value {
        eventually(&format!("{pod} to be {phase}"), || match self.cluster.get("pods", "ns", pod) {
            Some(found) if found["status"]["phase"] == phase => Ok(found),
            found => Err(format!("{found:?}, {:?}", self.failures())),
        })
        .await
    }

    pub fn csi_driver(&self, name: &str, spec: &Value) {
        let mut whole = json!({
            "attachRequired": false, "fsGroupPolicy": "ReadWriteOnceWithFSType",
            "volumeLifecycleModes": ["Ephemeral", "Persistent"],
        });
        for (key, value) in spec.as_object().unwrap() {
            whole[key] = value.clone();
        }
        self.cluster.put("csidrivers", json!({ "metadata": { "name": name }, "spec": whole }));
    }

    pub fn pod(&self, name: &str, volumes: &Value) {
        self.cluster.put(
            "pods",
            json!({
                "metadata": { "name": name, "namespace": "ns", "uid": format!("uid-{name}") },
                "spec": {
                    "nodeName": NODE, "serviceAccountName": "web", "volumes": volumes,
                    "containers": [{ "name": "main", "image": "none" }],
                },
                "status": { "phase": "Pending" },
            }),
        );
    }

    pub fn inline_pod(&self, name: &str, driver: &str) {
        self.pod(name, &json!([{ "name": "data", "csi": { "driver": driver } }]));
    }

    /// A claim bound to a PersistentVolume of the same name.
    pub fn claim(&self, name: &str, driver: &str) {
        self.cluster.put(
            "persistentvolumeclaims",
            json!({ "metadata": { "name": name, "namespace": "ns", "uid": format!("uid-{name}") },
                "spec": { "volumeName": name }, "status": { "phase": "Bound" } }),
        );
        self.cluster.put(
            "persistentvolumes",
            json!({ "metadata": { "name": name }, "spec": {
                "csi": { "driver": driver, "volumeHandle": format!("handle-{name}") },
                "accessModes": ["ReadWriteMany"],
                "claimRef": { "namespace": "ns", "name": name, "uid": format!("uid-{name}") } } }),
        );
    }

    /// As kubectl delete: the pod is marked, and the node lets it go.
    pub fn terminate(&self, pod: &str) {
        self.cluster.change(
            "pods",
            "ns",
            pod,
            &json!({ "metadata": { "deletionTimestamp": "2027-01-15T08:00:00Z" } }),
        );
    }

    pub async fn gone(&self, pod: &str) {
        eventually(&format!("{pod} to be gone"), || match self.cluster.get("pods", "ns", pod) {
            None => Ok(()),
            found => Err(format!("{found:?}")),
        })
        .await;
    }
}

/// A token text that tells its request and its turn.
pub fn numbered() -> TokenText {
    Box::new(|request, count| format!("token-{count}-for-{}-of-{}", request.audience, request.pod.name))
}
