//! Thousands of nodes in one process: the planner and the token manager of each as they are, in a task of its own. Tokens
//! come from a real API server, each asked for in the node's own name; volumes are published to real drivers. What a whole
//! node does beside that is left out: files, heartbeats, watches.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{Method, StatusCode};
use jiff::Timestamp;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokenward_kube_rules::csi_driver::CsiDriverSpec;
use tokenward_node::drivers::Driver;
use tokenward_node::failure::Failure as MountFailure;
use tokenward_node::mounter::fetch_tokens::token_requests;
use tokenward_node::objects::Pod;
use tokenward_node::paths::Layout;
use tokenward_node::planner::{Action, Done, Planner, PodIntent, Subject};
use tokenward_node::registry::rules::choose_version;
use tokenward_node::request::{Capabilities, PublishParts, publish_request};
use tokenward_node::token_manager::TokenManager;
use tokenward_node::token_manager::cache::{DueTokens, Holder};
use tokenward_node::volume::{VolumeKey, VolumeSpec};
use tokenward_node::{ClusterError, Dice, ErrorReason, GrantedToken, Pace, Republish, TokenRequest, pods};
use tokenward_tokens::{Clock, Placement, Token, TokenEntry, TokenMap};
use tokenward_transport::SocketPath;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::client::{self, Connection};
use crate::granting::{Grant, Granting};
use crate::{Failure, aside, kubeconfig, process};

/// The namespace of all pods.
pub const NAMESPACE: &str = "fleet";
/// Their service account.
pub const ACCOUNT: &str = "app";
/// The driver of their volumes.
pub const DRIVER: &str = "fleet.csi.example";
/// Connections to the API server.
const CONNECTIONS: usize = 4;
/// Pods that are being created at a time.
const CREATING: usize = 64;
/// Most pods of a node whose tokens are refreshed ahead of need at one time, as in a node.
const MOST_REFRESHES: usize = 8;
/// How long one publish may take.
const OPERATION: Duration = Duration::from_secs(120);
/// The length of a token that an API server makes, for those that are made here.
const TOKEN_LENGTH: usize = 1_150;

/// What a process of nodes is to be.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Setup {
    /// How to reach the API server as its administrator.
    pub kubeconfig: PathBuf,
    /// The number of its first node.
    pub first: usize,
    /// How many nodes it has.
    pub nodes: usize,
    /// How many pods each has.
    pub pods_per_node: usize,
    /// Life of a token, in seconds.
    pub life: i64,
    /// The CSIDriver's spec.
    pub csi_driver: Value,
    /// The drivers' sockets: each node has one of them.
    pub sockets: Vec<PathBuf>,
    /// The processor that it may use, if not any.
    pub cpu: Option<usize>,
    /// Publish with each new token only.
    pub on_change: bool,
    /// Begin without tokens, as after a restart.
    pub cold: bool,
}

/// All nodes are there.
#[derive(Debug, Deserialize, Serialize)]
pub struct Ready {
    /// Seconds that the API server took to create their pods.
    pub created_in: f64,
}

/// What the nodes of a process have done so far.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub struct Counts {
    /// Tokens that the API server has granted.
    pub granted: u64,
    /// Publishes that have succeeded.
    pub published: u64,
    /// Requests and publishes that have failed.
    pub failed: u64,
    /// The last failure.
    pub problem: Option<String>,
}

/// The bearer token by which the API server knows a node.
pub fn bearer(node: usize) -> String {
    format!("fleet-node-{node}")
}

/// The name of a node.
pub fn node_name(node: usize) -> String {
    format!("node-{node}")
}

#[derive(Default)]
struct Tally {
    granted: AtomicU64,
    published: AtomicU64,
    failed: AtomicU64,
    problem: Mutex<Option<String>>,
}

impl Tally {
    fn failed(&self, problem: &str) {
        self.failed.fetch_add(1, Ordering::Relaxed);
        *self.problem.lock() = Some(problem.to_owned());
    }

    fn counts(&self) -> Counts {
        Counts {
            granted: self.granted.load(Ordering::Relaxed),
            published: self.published.load(Ordering::Relaxed),
            failed: self.failed.load(Ordering::Relaxed),
            problem: self.problem.lock().clone(),
        }
    }
}

/// The child's side: lives until it is killed.
///
/// # Errors
/// When the API server refuses what is needed first.
pub fn run() -> Result<(), Failure> {
    let setup: Setup = aside::setup()?;
    if let Some(cpu) = setup.cpu {
        process::pin(cpu)?;
    }
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(live(&setup))
}

async fn live(setup: &Setup) -> Result<(), Failure> {
    let (address, administrator) = kubeconfig::load(&setup.kubeconfig)?;
    let trusting = client::trusting(administrator.authority.clone())?;
    let as_administrator = administrator.into_http2()?;
    let began = Instant::now();
    let mut connections = Vec::new();
    for _ in 0..CONNECTIONS {
        connections.push(Connection::open(address, Arc::clone(&as_administrator)).await?);
    }
    let intents = create_pods(&connections, setup).await?;
    let created_in = began.elapsed().as_secs_f64();
    connections.clear();
    for _ in 0..CONNECTIONS {
        connections.push(Connection::open(address, Arc::clone(&trusting)).await?);
    }
    let tally = Arc::new(Tally::default());
    let server =
        Arc::new(Server { connections, tally: Arc::clone(&tally), seeds: AtomicBool::new(!setup.cold) });
    let drivers = setup.sockets.iter().map(|socket| driver(socket)).collect::<Result<Vec<_>, _>>()?;
    let csi_driver: Arc<CsiDriverSpec> = Arc::new(serde_json::from_value(setup.csi_driver.clone())?);
    let mut dice = Dice::random();
    let mut nodes = Vec::new();
    let mut intents = intents.into_iter();
    for number in 0..setup.nodes {
        let source =
            AsNode { server: Arc::clone(&server), bearer: bearer(setup.first + number), life: setup.life };
        let delivery = Delivery {
            tokens: TokenManager::new(Arc::new(Granting(source)), Clock::system(), dice.split()),
            driver: Arc::clone(&drivers[number % drivers.len()]),
            csi_driver: Arc::clone(&csi_driver),
            tally: Arc::clone(&tally),
        };
        let mut node = FleetNode::new(delivery, setup.on_change, dice.split());
        for intent in intents.by_ref().take(setup.pods_per_node) {
            node.planner.pod_seen(intent, node.clock.now());
        }
        if !setup.cold {
            node.join_in(&mut dice).await?;
        }
        nodes.push(node);
    }
    server.seeds.store(false, Ordering::Relaxed);
    for node in nodes {
        tokio::spawn(node.run());
    }
    aside::say(&Ready { created_in })?;
    aside::answer(move || tally.counts());
    std::future::pending().await
}

fn driver(socket: &Path) -> Result<Arc<Driver>, Failure> {
    let version = choose_version(DRIVER, &socket.to_string_lossy(), &["1.0.0".to_owned()])?;
    Ok(Arc::new(Driver::new(DRIVER.to_owned(), SocketPath::new(socket)?, version)))
}

/// Creates the pods of all nodes, and gives what each wants of its node, in order.
async fn create_pods(connections: &[Connection], setup: &Setup) -> Result<Vec<PodIntent>, Failure> {
    let all = setup.nodes * setup.pods_per_node;
    let next = Arc::new(AtomicUsize::new(0));
    let mut lanes: JoinSet<Result<Vec<(usize, PodIntent)>, Failure>> = JoinSet::new();
    for lane in 0..CREATING {
        let mut connection = connections[lane % connections.len()].clone();
        let (next, setup) = (Arc::clone(&next), setup.clone());
        lanes.spawn(async move {
            let mut created = Vec::new();
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= all {
                    return Ok(created);
                }
                let node = setup.first + number / setup.pods_per_node;
                let pod = pod(&format!("{}-pod-{}", node_name(node), number % setup.pods_per_node), node);
                let path = format!("/api/v1/namespaces/{NAMESPACE}/pods");
                let (status, answer) = connection.call(Method::POST, &path, pod.to_string().into()).await?;
                if status != StatusCode::CREATED {
                    return Err(refused(status, &answer).into());
                }
                let pod: Pod = serde_json::from_slice(&answer)?;
                created.push((number, pods::intent(&pod)));
            }
        });
    }
    let mut created = Vec::with_capacity(all);
    while let Some(lane) = lanes.join_next().await {
        created.extend(lane??);
    }
    created.sort_by_key(|(number, _)| *number);
    Ok(created.into_iter().map(|(_, intent)| intent).collect())
}

/// A refusal is a Status: it names objects and never a token.
fn refused(status: StatusCode, answer: &[u8]) -> String {
    format!("the API server answered {status}: {}", String::from_utf8_lossy(answer))
}

fn pod(name: &str, node: usize) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name},
        "spec": {
            "serviceAccountName": ACCOUNT,
            "automountServiceAccountToken": false,
            "nodeName": node_name(node),
            "containers": [{
                "name": "app",
                "image": "registry.k8s.io/pause:3.10",
                "volumeMounts": [{"name": "tokens", "mountPath": "/var/run/tokens"}],
            }],
            "volumes": [{"name": "tokens", "csi": {"driver": DRIVER, "readOnly": true}}],
        },
    })
}

/// The API server, as all nodes of the process share the way to it.
struct Server {
    connections: Vec<Connection>,
    tally: Arc<Tally>,
    /// Tokens are made here, for a fleet that has been running for a while.
    seeds: AtomicBool,
}

/// The API server as one node sees it.
struct AsNode {
    server: Arc<Server>,
    bearer: String,
    life: i64,
}

#[derive(Deserialize)]
struct Answer {
    spec: AnswerSpec,
    status: AnswerStatus,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct AnswerSpec {
    expiration_seconds: Option<i64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct AnswerStatus {
    token: String,
    expiration_timestamp: Timestamp,
}

impl Grant for AsNode {
    async fn grant(&self, request: &TokenRequest) -> Result<GrantedToken, ClusterError> {
        if self.server.seeds.load(Ordering::Relaxed) {
            return Ok(self.seed());
        }
        let granted = self.ask(request).await;
        match &granted {
            Ok(_) => _ = self.server.tally.granted.fetch_add(1, Ordering::Relaxed),
            Err(error) => self.server.tally.failed(&error.to_string()),
        }
        granted
    }
}

impl AsNode {
    async fn ask(&self, request: &TokenRequest) -> Result<GrantedToken, ClusterError> {
        let failed = |text: &str| ClusterError::new(ErrorReason::Other, text);
        let turn = self.server.tally.granted.load(Ordering::Relaxed);
        let which = usize::try_from(turn).unwrap_or(0) % self.server.connections.len();
        let mut connection = self.server.connections[which].clone();
        let path = format!(
            "/api/v1/namespaces/{}/serviceaccounts/{}/token",
            request.pod.namespace, request.service_account
        );
        let body = Bytes::from(request.body().to_string());
        let answer = connection.call_as(&self.bearer, Method::POST, &path, body).await;
        let (status, answer) = answer.map_err(|error| failed(&error.to_string()))?;
        if status != StatusCode::CREATED {
            return Err(failed(&refused(status, &answer)));
        }
        // What serde would say quotes the answer, which holds the token.
        let answer: Answer =
            serde_json::from_slice(&answer).map_err(|_| failed("the answer is not a TokenRequest"))?;
        Ok(GrantedToken {
            token: Token::new(answer.status.token),
            expires: answer.status.expiration_timestamp,
            ttl_seconds: answer.spec.expiration_seconds,
        })
    }

    /// A token that was granted so long ago that its refresh may come at any moment from now on.
    fn seed(&self) -> GrantedToken {
        let ago = Duration::from_secs(self.life.unsigned_abs()) / 12;
        let life = Duration::from_secs(self.life.unsigned_abs());
        GrantedToken {
            token: Token::new("s".repeat(TOKEN_LENGTH)),
            expires: Clock::system().now() + life - ago,
            ttl_seconds: Some(self.life),
        }
    }
}

/// What a node needs to publish a volume.
struct Delivery {
    tokens: TokenManager<Granting<AsNode>>,
    driver: Arc<Driver>,
    csi_driver: Arc<CsiDriverSpec>,
    tally: Arc<Tally>,
}

impl Delivery {
    async fn tokens(&self, spec: &VolumeSpec) -> Result<TokenMap, String> {
        let holder = Holder { driver: DRIVER, volume: &spec.volume, is_republished: true };
        let mut tokens = TokenMap::new();
        for request in token_requests(spec, &self.csi_driver) {
            let (granted, _) =
                self.tokens.token(holder, &request).await.map_err(|error| error.to_string())?;
            let entry = TokenEntry { token: granted.token, expires: Some(granted.expires) };
            tokens.insert(request.audience, entry);
        }
        Ok(tokens)
    }

    async fn publish(&self, spec: &VolumeSpec) -> Result<(), String> {
        let value = self.tokens(spec).await?.to_value();
        let request = publish_request(&PublishParts {
            spec,
            csi_driver: Some(&self.csi_driver),
            capabilities: Capabilities::default(),
            target: &Layout::new("/var/lib/kubelet").target(&spec.pod.uid, &spec.spec_name),
            staging: None,
            publish_context: &std::collections::BTreeMap::new(),
            secret: None,
            tokens: Some((&value, Placement::Secrets)),
            drop_forged_keys: false,
            se_linux_label: None,
        });
        let request = request.map_err(|failure| failure.message)?;
        let connection = self.driver.connection().await.map_err(|status| status.message().to_owned())?;
        let published = self.driver.publish(&connection, request, Instant::now() + OPERATION).await;
        published.map_err(|status| status.message().to_owned())
    }
}

/// How a piece of work of a node ended.
enum Ended {
    Published(Subject, Result<(), String>),
    Refreshed(Vec<TokenRequest>),
}

struct FleetNode {
    planner: Planner,
    delivery: Arc<Delivery>,
    clock: Clock,
    running: JoinSet<Ended>,
    refreshing: usize,
}

impl FleetNode {
    fn new(delivery: Delivery, on_change: bool, dice: Dice) -> Self {
        let republish = if on_change { Republish::OnChange } else { Republish::PodSync };
        let clock = Clock::system();
        let mut planner = Planner::new(Pace { republish, ..Pace::default() }, dice);
        planner.driver_changed(DRIVER, true, clock.now());
        Self { planner, delivery: Arc::new(delivery), clock, running: JoinSet::new(), refreshing: 0 }
    }

    /// As if it had been running for long: its volumes are published, and their turn comes one after another.
    async fn join_in(&mut self, dice: &mut Dice) -> Result<(), Failure> {
        let Pace { republish_period, republish_jitter, .. } = Pace::default();
        let between = republish_period.mul_f64(1.0 + republish_jitter / 2.0);
        loop {
            let now = self.clock.now();
            let actions = self.planner.plan(now).actions;
            if actions.is_empty() {
                return Ok(());
            }
            for action in actions {
                if let Action::Publish { spec, .. } = &action {
                    self.delivery.tokens(spec).await?;
                }
                let ago = between.mul_f64(dice.fraction());
                self.planner.finished(&action.subject(), Ok(Done::Ok), now - ago);
            }
        }
    }

    async fn run(mut self) {
        loop {
            let wake = self.advance();
            tokio::select! {
                Some(ended) = self.running.join_next() => match ended {
                    Ok(ended) => self.ended(ended),
                    // A bug, and the counts would not show it.
                    Err(error) => std::panic::resume_unwind(error.into_panic()),
                },
                () = sleep(wake) => {}
            }
        }
    }

    /// Starts what is due, as a node does, and says how long there is nothing else to do.
    fn advance(&mut self) -> Option<Duration> {
        let now = self.clock.now();
        let plan = self.planner.plan(now);
        for action in plan.actions {
            let delivery = Arc::clone(&self.delivery);
            self.running.spawn(async move {
                let result = match &action {
                    Action::Publish { spec, .. } => delivery.publish(spec).await,
                    // Pods neither end nor have claims here.
                    other => Err(format!("{:?} was not expected", other.subject())),
                };
                Ended::Published(action.subject(), result)
            });
        }
        let planner = &self.planner;
        let is_republished = |pod_uid: &str, volume: &str| {
            planner.is_republished(&VolumeKey { pod_uid: pod_uid.to_owned(), volume: volume.to_owned() })
        };
        let room = MOST_REFRESHES.saturating_sub(self.refreshing);
        let due: Vec<DueTokens> =
            if room == 0 { Vec::new() } else { self.delivery.tokens.due(room, is_republished) };
        for due in due {
            self.refreshing += 1;
            let delivery = Arc::clone(&self.delivery);
            self.running.spawn(async move { Ended::Refreshed(delivery.tokens.refresh(due).await) });
        }
        let refresh = self.delivery.tokens.next_refresh().filter(|_| self.refreshing < MOST_REFRESHES);
        let wake = plan.wake.into_iter().chain(refresh).min()?;
        Some(Duration::try_from(wake.duration_since(now)).unwrap_or_default())
    }

    fn ended(&mut self, ended: Ended) {
        let now = self.clock.now();
        match ended {
            Ended::Published(subject, Ok(())) => {
                self.delivery.tally.published.fetch_add(1, Ordering::Relaxed);
                self.planner.finished(&subject, Ok(Done::Ok), now);
            }
            Ended::Published(subject, Err(problem)) => {
                self.delivery.tally.failed(&problem);
                self.planner.finished(&subject, Err(MountFailure::transient(problem)), now);
            }
            Ended::Refreshed(requests) => {
                self.refreshing -= 1;
                let Some(first) = requests.first() else { return };
                for key in self.planner.keys_of(&first.pod.uid) {
                    self.planner.content_changed(&key, now);
                }
            }
        }
    }
}

async fn sleep(wait: Option<Duration>) {
    match wait {
        Some(wait) => tokio::time::sleep(wait).await,
        None => std::future::pending().await,
    }
}
