//! The running node: one task that owns the planner, feeds it what the watches, the registry and finished actions say,
//! and starts what it plans.

mod overview;
mod report;
mod upkeep;

use std::collections::{HashMap, HashSet};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use jiff::Timestamp;
use tokenward_kube_rules::Release;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use self::report::Reporter;
use self::upkeep::Upkeep;
use crate::checks::Checks;
use crate::cluster::{Cluster, ClusterError, Watch, WatchEvent};
use crate::config::{Config, Observation};
use crate::csi_drivers::CsiDrivers;
use crate::drivers::Drivers;
use crate::failure::Failure;
use crate::heartbeat::Heartbeat;
use crate::mount_dir::{make_directories, make_registry_directory};
use crate::mounter::{Mounter, Published};
use crate::objects::{CsiDriver, Pod};
use crate::paths::Layout;
use crate::planner::{Action, Done, Planner, Subject};
use crate::pods;
use crate::reconstruction::Inventory;
use crate::registry::{Registry, RegistryEvent};
use crate::selinux::FileLabel;
use crate::status::{NodeStatus, StatusRequests};
use crate::token_manager::TokenManager;
use crate::unmounted;
use crate::volume::{VolumeKey, VolumeSpec};

/// A node: the kubelet's CSI half.
pub struct Node;

/// Why a node cannot run.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// The root directory cannot be used.
    #[error("cannot make the node's directory `{}`: choose a root directory that this user may write to", path.display())]
    Directory {
        /// The directory.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// Paths below it are sent to drivers, for which a relative one means nothing.
    #[error("an absolute root directory is wanted, found `{}`", path.display())]
    RelativeRoot {
        /// The directory.
        path: PathBuf,
    },
    /// With [`Config::unpublish_on_shutdown`]: drivers did not let go of everything in time.
    #[error(
        "{volumes} volume(s) could not be unpublished and {devices} not be unstaged before the end: {problem}"
    )]
    LeftMounted {
        /// How many may be published.
        volumes: usize,
        /// How many may be staged.
        devices: usize,
        /// The last failure of one of them.
        problem: String,
    },
}

impl Node {
    /// Runs a node until `stop` is cancelled: then nothing new is started, what runs may finish (within
    /// [`crate::Intervals::shutdown`]), and with [`Config::unpublish_on_shutdown`] everything is unpublished and
    /// unstaged.
    ///
    /// Errors of the cluster and of drivers never end a node; it retries.
    ///
    /// # Errors
    /// The root directory is unusable; at the end, something is left mounted that should not be.
    pub async fn run<C: Cluster>(
        config: Config,
        cluster: Arc<C>,
        stop: CancellationToken,
    ) -> Result<(), NodeError> {
        if !config.root_dir.is_absolute() {
            return Err(NodeError::RelativeRoot { path: config.root_dir });
        }
        let layout = Layout::new(&config.root_dir);
        let registry_directory = layout.plugins_registry();
        make_registry_directory(&registry_directory)
            .map_err(|source| NodeError::Directory { path: registry_directory.clone(), source })?;
        make_directories(&layout.pods())
            .map_err(|source| NodeError::Directory { path: layout.pods(), source })?;
        let drivers = Arc::new(Drivers::counted_by(Arc::clone(&config.metrics)));
        let csi_drivers = Arc::new(CsiDrivers::default());
        // MutableCSINodeAllocatableCount is on from 1.35 on.
        let updates_allocatable = config.gates.release() >= Release::V1_35;
        let (registry_sender, registry_events) = mpsc::unbounded_channel();
        let (registered, node_registered) = oneshot::channel();
        let heartbeat = Heartbeat {
            cluster: Arc::clone(&cluster),
            node_name: config.node_name.clone(),
            release: config.gates.release(),
            taints: config.taints.clone(),
            endpoint: config.endpoint,
            clock: config.clock.clone(),
            intervals: config.intervals.clone(),
        };
        let registry = Registry {
            cluster: Arc::clone(&cluster),
            node_name: config.node_name.clone(),
            directory: registry_directory,
            drivers: Arc::clone(&drivers),
            csi_drivers: updates_allocatable.then(|| Arc::clone(&csi_drivers)),
            intervals: config.intervals.clone(),
            pace: config.pace.clone(),
            clock: config.clock.clone(),
            metrics: Arc::clone(&config.metrics),
            events: registry_sender,
        };
        let mounter = Arc::new(Mounter {
            cluster: Arc::clone(&cluster),
            layout,
            node_name: config.node_name.clone(),
            gates: config.gates.clone(),
            drop_forged_keys: config.drop_forged_keys,
            se_linux: config.se_linux.clone().or_else(FileLabel::of_system),
            operation_limit: config.intervals.operation,
            drivers,
            csi_drivers,
            tokens: TokenManager::new(Arc::clone(&cluster), config.clock.clone(), config.dice.clone())
                .counted_by(Arc::clone(&config.metrics)),
        });
        // Drivers stay callable until the last volume is unpublished: the registry outlives the stop.
        let end = CancellationToken::new();
        let _end_all = end.clone().drop_guard();
        let mut background = JoinSet::new();
        background.spawn(heartbeat.run(registered, end.clone()));
        background.spawn({
            let end = end.clone();
            async move {
                // A registration writes to the Node, so it waits for it; a drop without a word means shutdown.
                if node_registered.await.is_ok() {
                    registry.run(end).await;
                }
            }
        });
        let mut engine = Engine {
            planner: Planner::new(config.pace.clone(), config.dice.clone()),
            pods: HashMap::new(),
            dirty: HashSet::new(),
            pods_listed: false,
            operations: JoinSet::new(),
            published: HashMap::new(),
            upkeep: JoinSet::new(),
            refreshing: 0,
            checks: upkeep::checks(&config),
            reporter: Reporter::new(Arc::clone(&cluster), &config),
            mounter,
            config,
        };
        engine.take_stock().await?;
        let watch_pods = cluster.watch_pods(&engine.config.node_name);
        let watch_csi_drivers = cluster.watch_csi_drivers();
        engine.run(watch_pods, watch_csi_drivers, registry_events, &stop).await;
        let left = engine.shut_down().await;
        end.cancel();
        while background.join_next().await.is_some() {}
        left
    }
}

/// Between retries while everything is taken down.
const DRAIN_PAUSE: Duration = Duration::from_millis(100);

/// How an action ended.
struct Finished {
    action: Action,
    result: Result<Done, Failure>,
    published: Option<Published>,
    took: Duration,
}

struct Engine<C> {
    config: Config,
    planner: Planner,
    mounter: Arc<Mounter<C>>,
    reporter: Reporter<C>,
    /// The pods of this node as last seen, by uid.
    pods: HashMap<String, Arc<Pod>>,
    /// Pods whose status may have to be written.
    dirty: HashSet<String>,
    pods_listed: bool,
    operations: JoinSet<Finished>,
    /// What the volumes were given last.
    published: HashMap<VolumeKey, Published>,
    upkeep: JoinSet<Upkeep>,
    /// Of these, how many refresh a pod's tokens.
    refreshing: usize,
    checks: Checks,
}

impl<C: Cluster> Engine<C> {
    /// Finds what an earlier process of this node left mounted.
    async fn take_stock(&mut self) -> Result<(), NodeError> {
        let layout = self.mounter.layout.clone();
        let read = move || Inventory::read(&layout);
        let inventory =
            tokio::task::spawn_blocking(read).await.unwrap_or_else(|error| Err(io::Error::other(error)));
        let inventory = inventory
            .map_err(|source| NodeError::Directory { path: self.mounter.layout.root().to_owned(), source })?;
        inventory.tell(&mut self.planner, self.config.clock.now());
        Ok(())
    }

    async fn run(
        &mut self,
        mut watch_pods: Watch<Pod>,
        mut watch_csi_drivers: Watch<CsiDriver>,
        mut registry_events: mpsc::UnboundedReceiver<RegistryEvent>,
        stop: &CancellationToken,
    ) {
        while !stop.is_cancelled() {
            let wake = self.advance();
            tokio::select! {
                () = stop.cancelled() => break,
                Some(event) = watch_pods.next() => self.pod_event(event),
                Some(event) = watch_csi_drivers.next() => self.csi_driver_event(event),
                Some(event) = registry_events.recv() => self.registry_event(event),
                Some(finished) = self.operations.join_next() => self.finished(finished),
                asked = next_request(self.config.status.as_ref()) => {
                    // Whoever asked may have gone.
                    let _ = asked.send(self.status());
                }
                Some(ended) = self.upkeep.join_next() => self.kept_fresh(ended),
                Some(pod_uid) = self.reporter.next() => {
                    self.dirty.insert(pod_uid);
                }
                () = sleep_until(wake) => {}
            }
        }
    }

    /// Starts what is planned and reports what has changed; says when to look again.
    fn advance(&mut self) -> Instant {
        let now = self.config.clock.now();
        let mut wait = self.config.intervals.tick;
        // Before both lists have come, an absent object means nothing.
        if self.pods_listed && self.mounter.csi_drivers.is_synced() {
            let plan = self.planner.plan(now);
            for action in plan.actions {
                self.start(action);
            }
            let fresh = self.keep_fresh(now);
            if let Some(wake) = plan.wake.into_iter().chain(fresh).min() {
                let until = Duration::try_from(wake.duration_since(now)).unwrap_or_default();
                wait = wait.min(until);
            }
        }
        for uid in std::mem::take(&mut self.dirty) {
            if let Some(pod) = self.pods.get(&uid)
                && self.planner.is_settled(&uid)
            {
                self.reporter.report_pod(pod, &self.planner.volumes_of(&uid), now);
            }
        }
        Instant::now() + wait
    }

    fn start(&mut self, action: Action) {
        let mounter = Arc::clone(&self.mounter);
        debug!(subject = ?action.subject(), "operation started");
        self.operations.spawn(async move {
            let started = Instant::now();
            let (result, published) = perform(&mounter, &action).await;
            Finished { action, result, published, took: started.elapsed() }
        });
    }

    fn finished(&mut self, finished: Result<Finished, tokio::task::JoinError>) {
        let finished = match finished {
            Ok(finished) => finished,
            // A panic is a bug, and the planner would wait for the lost action for ever.
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        };
        let now = self.config.clock.now();
        let first_seen = match &finished.action {
            Action::Publish { spec, .. } => self.planner.first_seen(&spec.pod.uid),
            _ => None,
        };
        let since_seen = first_seen.and_then(|seen| Duration::try_from(now.duration_since(seen)).ok());
        self.follow_deliveries(&finished, now);
        self.count(&finished, since_seen, now);
        let Finished { action, result, published, took } = finished;
        self.reporter.report_action(&action, &result, published, took, since_seen, now);
        match (&action, &result) {
            (Action::Stage { spec, .. }, Err(failure)) => {
                let device = spec.device().expect("only devices are staged");
                for user in self.planner.users_of(&device) {
                    self.reporter.report_stage_failure(&user, failure, now);
                    if failure.is_attachment_limit {
                        self.reject_after_a_while(&user.pod.uid, now);
                    }
                }
            }
            (Action::Resolve(lookup), Err(failure)) => {
                let volumes = self.planner.volumes_of(&lookup.pod.uid);
                self.reporter.report_unresolved(lookup, &volumes, failure, now);
            }
            _ => {}
        }
        for uid in self.pods_concerned(&action) {
            self.dirty.insert(uid);
        }
        self.planner.finished(&action.subject(), result, now);
    }

    /// Gives a pod back whose volume will not be attached here, once a kubelet would have waited for it in vain.
    fn reject_after_a_while(&mut self, pod_uid: &str, now: Timestamp) {
        let (Some(pod), Some(first_seen)) = (self.pods.get(pod_uid), self.planner.first_seen(pod_uid)) else {
            return;
        };
        let waited = Duration::try_from(now.duration_since(first_seen)).unwrap_or_default();
        if waited >= unmounted::WAIT {
            let rejection = unmounted::attachment_limit_exceeded(&self.planner.volumes_of(pod_uid));
            self.reporter.reject_pod(pod, &rejection, now);
        }
    }

    fn pods_concerned(&self, action: &Action) -> Vec<String> {
        match action.subject() {
            Subject::Volume(key) => vec![key.pod_uid],
            Subject::Device(device) => {
                let users: Vec<Arc<VolumeSpec>> = self.planner.users_of(&device);
                users.iter().map(|spec| spec.pod.uid.clone()).collect()
            }
            Subject::Found(key) => vec![key.pod_uid],
            Subject::Pod(_) => Vec::new(),
        }
    }

    fn pod_event(&mut self, event: Result<WatchEvent<Pod>, ClusterError>) {
        match event {
            Ok(WatchEvent::Listed(listed)) => {
                let uids: HashSet<&str> = listed.iter().map(|pod| pod.metadata.uid.as_str()).collect();
                self.planner.pods_listed(&uids);
                self.pods.retain(|uid, _| uids.contains(uid.as_str()));
                for pod in listed {
                    self.pod_seen(pod);
                }
                self.pods_listed = true;
            }
            Ok(WatchEvent::Applied(pod)) => self.pod_seen(pod),
            Ok(WatchEvent::Deleted(pod)) => {
                self.pods.remove(&pod.metadata.uid);
                self.planner.pod_gone(&pod.metadata.uid);
            }
            Err(error) => warn!(%error, "watching pods failed"),
        }
    }

    fn pod_seen(&mut self, pod: Pod) {
        self.planner.pod_seen(pods::intent(&pod), self.config.clock.now());
        self.dirty.insert(pod.metadata.uid.clone());
        self.pods.insert(pod.metadata.uid.clone(), Arc::new(pod));
    }

    fn csi_driver_event(&mut self, event: Result<WatchEvent<CsiDriver>, ClusterError>) {
        match event {
            Ok(event) => {
                let now = self.config.clock.now();
                for change in self.mounter.csi_drivers.apply(event) {
                    self.planner.set_republish_interval(&change.driver, change.republish_interval);
                    self.planner.driver_changed(&change.driver, change.requires_republish, now);
                }
            }
            Err(error) => warn!(%error, "watching CSIDrivers failed"),
        }
    }

    fn registry_event(&mut self, event: RegistryEvent) {
        let observation = match event {
            RegistryEvent::Registered(driver) => {
                self.planner.driver_registered(&driver);
                self.planner.driver_returned(&driver, self.config.clock.now());
                Observation::DriverRegistered { driver }
            }
            RegistryEvent::Unregistered(driver) => Observation::DriverUnregistered { driver },
        };
        self.reporter.observe(observation);
    }

    /// Lets what runs finish; then, if wanted, takes everything down.
    async fn shut_down(mut self) -> Result<(), NodeError> {
        let limit = self.config.intervals.shutdown;
        let deadline = Instant::now() + limit;
        while !self.operations.is_empty() {
            match tokio::time::timeout_at(deadline, self.operations.join_next()).await {
                Ok(Some(finished)) => self.finished(finished),
                Ok(None) => break,
                Err(_) => {
                    warn!(left = self.operations.len(), "operations given up at shutdown");
                    break;
                }
            }
        }
        if !self.config.unpublish_on_shutdown {
            self.operations.shutdown().await;
            return Ok(());
        }
        self.planner.drain();
        let deadline = Instant::now() + limit;
        let mut problem = "a driver did not answer".to_owned();
        while !self.planner.is_empty() {
            let plan = self.planner.plan(self.config.clock.now());
            for action in plan.actions {
                self.start(action);
            }
            if Instant::now() >= deadline {
                break;
            }
            let pause = (Instant::now() + DRAIN_PAUSE).min(deadline);
            tokio::select! {
                Some(finished) = self.operations.join_next() => {
                    if let Ok(Finished { result: Err(failure), .. }) = &finished {
                        problem.clone_from(&failure.message);
                    }
                    self.finished(finished);
                }
                // Retries come sooner than the planner's pace would have them: there is not much time.
                () = sleep_until(pause) => self.planner.hurry(),
            }
        }
        self.operations.shutdown().await;
        match (self.planner.mounted(), self.planner.staged()) {
            (0, 0) => {
                info!(node = %self.config.node_name, "nothing is left mounted");
                Ok(())
            }
            (volumes, devices) => Err(NodeError::LeftMounted { volumes, devices, problem }),
        }
    }
}

async fn next_request(status: Option<&StatusRequests>) -> oneshot::Sender<NodeStatus> {
    match status {
        Some(requests) => requests.next().await,
        None => std::future::pending().await,
    }
}

async fn perform<C: Cluster>(
    mounter: &Mounter<C>,
    action: &Action,
) -> (Result<Done, Failure>, Option<Published>) {
    let done = |result: Result<(), Failure>| (result.map(|()| Done::Ok), None);
    match action {
        Action::Resolve(lookup) => (mounter.resolve(lookup).await, None),
        Action::Stage { spec, again } => done(mounter.stage(spec, *again).await),
        Action::Publish { spec, remount } => match mounter.publish(spec, *remount).await {
            Ok(published) => (Ok(Done::Ok), Some(published)),
            Err(failure) => (Err(failure), None),
        },
        Action::Unpublish { published, .. } => done(mounter.unpublish(published).await),
        Action::Reclaim(published) => done(mounter.unpublish(published).await),
        Action::Unstage(device) => done(mounter.unstage(device).await),
        Action::ClosePod { pod, finish_deletion } => done(mounter.close_pod(pod, *finish_deletion).await),
    }
}
