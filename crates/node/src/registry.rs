//! The plugin registry directory, as the kubelet serves it: a driver puts a registration socket there, the node dials it,
//! asks who it is, registers the driver and tells it so. When the socket goes, so does the driver.

mod allocatable;
mod handler;
pub mod node_info;
pub mod rules;
mod sockets;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;

use futures_util::StreamExt as _;
use inotify::{Inotify, WatchMask, Watches};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use self::allocatable::Updates;
use self::handler::{Handler, Registration};
use self::rules::{Generation, reconcile};
use self::sockets::Sockets;
use crate::cluster::Cluster;
use crate::config::Intervals;
use crate::csi_drivers::CsiDrivers;
use crate::drivers::{Driver, Drivers};
use crate::metrics::Metrics;
use crate::planner::{Backoff, Pace};
use tokenward_tokens::Clock;

/// What the registry tells the node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RegistryEvent {
    /// A driver can be called now.
    Registered(String),
    /// A driver can no longer be called.
    Unregistered(String),
}

/// What the registry needs.
pub struct Registry<C> {
    /// The cluster, for Node and CSINode.
    pub cluster: Arc<C>,
    /// Name of the Node object.
    pub node_name: String,
    /// The directory; it must exist.
    pub directory: PathBuf,
    /// Where registered drivers are put.
    pub drivers: Arc<Drivers>,
    /// The CSIDrivers: how often to ask a driver how many volumes fit. None: never.
    pub csi_drivers: Option<Arc<CsiDrivers>>,
    /// How often to look.
    pub intervals: Intervals,
    /// Waits after failures.
    pub pace: Pace,
    /// Where time comes from.
    pub clock: Clock,
    /// Where it is counted which sockets there are.
    pub metrics: Arc<Metrics>,
    /// Who hears of drivers.
    pub events: mpsc::UnboundedSender<RegistryEvent>,
}

/// A socket that was registered, or failed after being recorded: then it is not tried again until it is made anew.
struct Recorded {
    generation: Generation,
    driver: Option<Arc<Driver>>,
}

enum Finished {
    Register(PathBuf, Generation, Registration),
    Unregister(PathBuf, String),
    Updated(String),
}

impl<C: Cluster> Registry<C> {
    /// Serves the directory until told to stop. Registrations that run are given up then; drivers stay registered.
    pub async fn run(self, stop: CancellationToken) {
        let handler = Arc::new(Handler::new(
            Arc::clone(&self.cluster),
            self.node_name.clone(),
            Arc::clone(&self.drivers),
            self.intervals.operation,
        ));
        let mut state = State {
            handler,
            sockets: Sockets::default(),
            recorded: BTreeMap::new(),
            running: HashSet::new(),
            backoff: HashMap::new(),
            updates: Updates::default(),
            operations: JoinSet::new(),
        };
        let mut watch = match DirectoryWatch::new() {
            Ok(watch) => Some(watch),
            Err(error) => {
                warn!(%error, "no inotify: the plugin registry is read each {:?}", self.intervals.registry);
                None
            }
        };
        let mut tick = tokio::time::interval(self.intervals.registry);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut next_scan = Instant::now();
        loop {
            if watch.is_none() || Instant::now() >= next_scan {
                self.scan(&mut state.sockets, watch.as_mut());
                next_scan = Instant::now() + self.intervals.rescan;
            }
            self.reconcile(&mut state);
            self.metrics.plugins_are(state.sockets.paths(), state.recorded.keys());
            self.update_allocatable(&mut state);
            tokio::select! {
                () = stop.cancelled() => return,
                _ = tick.tick() => {}
                Some(finished) = state.operations.join_next() => match finished {
                    Ok(finished) => self.finished(&mut state, finished),
                    Err(error) => warn!(%error, "a plugin registration broke off"),
                },
                driver = self.drivers.next_exhausted() => state.updates.hurry(&driver, self.clock.now()),
                created = next_event(watch.as_mut()) => {
                    if let Some(path) = created {
                        state.sockets.recreated(path);
                    }
                    next_scan = Instant::now();
                }
            }
        }
    }

    fn scan(&self, sockets: &mut Sockets, watch: Option<&mut DirectoryWatch>) {
        let mut directories = sockets.scan(&self.directory);
        if let Some(watch) = watch {
            // What appeared in a new directory before it was watched is found by looking once more.
            while watch.add(&directories) {
                directories = sockets.scan(&self.directory);
            }
        }
    }

    fn reconcile(&self, state: &mut State<C>) {
        let actual = state.recorded.iter().map(|(path, entry)| (path.clone(), entry.generation)).collect();
        let todo = reconcile(&state.sockets.current(), &actual);
        for path in todo.unregister {
            if !state.running.insert(path.clone()) {
                continue;
            }
            let Some(driver) = state.recorded.remove(&path).and_then(|entry| entry.driver) else {
                state.running.remove(&path);
                continue;
            };
            if !self.drivers.remove(&driver) {
                // Another socket has registered the name meanwhile: Node and CSINode speak of that one.
                state.running.remove(&path);
                continue;
            }
            info!(driver = %driver.name, socket = %path.display(), "driver unregistered");
            self.tell(RegistryEvent::Unregistered(driver.name.clone()));
            let handler = Arc::clone(&state.handler);
            state.operations.spawn(async move {
                handler.deregister(&driver.name).await;
                Finished::Unregister(path, driver.name.clone())
            });
        }
        let now = self.clock.now();
        for (path, generation) in todo.register {
            let waits = state
                .backoff
                .get(&path)
                .is_some_and(|(failed, backoff)| *failed == generation && backoff.waits_until(now).is_some());
            if waits || state.recorded.contains_key(&path) || !state.running.insert(path.clone()) {
                continue;
            }
            let handler = Arc::clone(&state.handler);
            state.operations.spawn(async move {
                let outcome = handler.register(&path).await;
                Finished::Register(path, generation, outcome)
            });
        }
    }

    /// Asks drivers anew how many volumes fit, each as often as its CSIDriver says.
    fn update_allocatable(&self, state: &mut State<C>) {
        let Some(csi_drivers) = &self.csi_drivers else { return };
        let registered = state.recorded.values().filter_map(|entry| entry.driver.as_ref());
        let periods = registered.filter_map(|driver| {
            let spec = csi_drivers.get(&driver.name).ok()??;
            Some((driver, spec.node_allocatable_update_period_seconds?))
        });
        for driver in state.updates.due(periods, self.clock.now()) {
            let (handler, driver) = (Arc::clone(&state.handler), Arc::clone(driver));
            state.operations.spawn(async move {
                handler.update_allocatable(&driver).await;
                Finished::Updated(driver.name.clone())
            });
        }
    }

    fn finished(&self, state: &mut State<C>, finished: Finished) {
        match finished {
            Finished::Updated(driver) => state.updates.finished(&driver),
            Finished::Unregister(path, driver) => {
                state.running.remove(&path);
                debug!(%driver, "node objects no longer name the driver");
            }
            Finished::Register(path, generation, outcome) => {
                state.running.remove(&path);
                match outcome {
                    Registration::Done { driver, notified } => {
                        if let Err(message) = notified {
                            warn!(driver = %driver.name, %message, "registered, but the plugin could not be told");
                        }
                        info!(driver = %driver.name, version = %driver.version, endpoint = %driver.endpoint, "driver registered");
                        self.tell(RegistryEvent::Registered(driver.name.clone()));
                        state.backoff.remove(&path);
                        state.recorded.insert(path, Recorded { generation, driver: Some(driver) });
                    }
                    Registration::Refused { message } => {
                        warn!(socket = %path.display(), %message, "plugin not registered, until it makes its socket anew");
                        state.recorded.insert(path, Recorded { generation, driver: None });
                    }
                    Registration::Failed { message } => {
                        warn!(socket = %path.display(), %message, "plugin not registered, will be tried again");
                        let (failed, backoff) =
                            state.backoff.entry(path).or_insert((generation, Backoff::default()));
                        if *failed != generation {
                            (*failed, *backoff) = (generation, Backoff::default());
                        }
                        backoff.failed(self.clock.now(), &self.pace);
                        let there = state.sockets.current();
                        state.backoff.retain(|path, _| there.contains_key(path));
                    }
                }
            }
        }
    }

    fn tell(&self, event: RegistryEvent) {
        // The node that listens may be shutting down.
        let _ = self.events.send(event);
    }
}

struct State<C> {
    handler: Arc<Handler<C>>,
    sockets: Sockets,
    recorded: BTreeMap<PathBuf, Recorded>,
    running: HashSet<PathBuf>,
    backoff: HashMap<PathBuf, (Generation, Backoff)>,
    updates: Updates,
    operations: JoinSet<Finished>,
}

/// Tells when something in the registry changes; what it was is found by looking.
struct DirectoryWatch {
    stream: inotify::EventStream<Vec<u8>>,
    watches: Watches,
    directories: HashMap<inotify::WatchDescriptor, PathBuf>,
}

impl DirectoryWatch {
    fn new() -> std::io::Result<Self> {
        let inotify = Inotify::init()?;
        let watches = inotify.watches();
        let stream = inotify.into_event_stream(vec![0; 4096])?;
        Ok(Self { stream, watches, directories: HashMap::new() })
    }

    /// Watches these directories; true when one of them is new.
    fn add(&mut self, directories: &[PathBuf]) -> bool {
        let mask = WatchMask::CREATE
            | WatchMask::DELETE
            | WatchMask::MOVED_FROM
            | WatchMask::MOVED_TO
            | WatchMask::ONLYDIR;
        let mut new = false;
        for directory in directories {
            match self.watches.add(directory, mask) {
                Ok(descriptor) => {
                    new |= self.directories.insert(descriptor, directory.clone()).is_none();
                }
                Err(error) => warn!(path = %directory.display(), %error, "cannot watch the plugin registry"),
            }
        }
        self.directories.retain(|_, directory| directories.contains(directory));
        new
    }
}

/// Waits for a change; the path, if something was created. Without inotify it waits forever.
async fn next_event(watch: Option<&mut DirectoryWatch>) -> Option<PathBuf> {
    let Some(watch) = watch else { return std::future::pending().await };
    match watch.stream.next().await {
        Some(Ok(event)) => {
            let created = event.mask.intersects(inotify::EventMask::CREATE | inotify::EventMask::MOVED_TO);
            let directory = watch.directories.get(&event.wd)?;
            event.name.filter(|_| created).map(|name| directory.join(name))
        }
        Some(Err(error)) => {
            warn!(%error, "inotify failed");
            tokio::time::sleep(std::time::Duration::from_secs(1)).await;
            None
        }
        None => std::future::pending().await,
    }
}
