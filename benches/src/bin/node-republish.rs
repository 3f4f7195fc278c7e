//! Republishing on one node: one volume again and again through the node's own executor, to a driver in another process,
//! beside the bare call; then a whole `tokenward node` with 110 pods and 330 volumes: first mounts, memory, idle CPU.
#![expect(clippy::print_stdout, reason = "the result goes to standard output")]

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use clap::Parser;
use http::{Method, StatusCode};
use jiff::SignedDuration;
use serde_json::{Value, json};
use tokenward_benches::client::{self, Connection};
use tokenward_benches::driver_double::{self, DriverDouble};
use tokenward_benches::granting::{Grant, Granting};
use tokenward_benches::process::Running;
use tokenward_benches::statistics::{Spread, milliseconds, percentile};
use tokenward_benches::up::Up;
use tokenward_benches::{Failure, kubeconfig, machine, process, publish};
use tokenward_kube_rules::FeatureGates;
use tokenward_node::csi_drivers::CsiDrivers;
use tokenward_node::drivers::{Driver, Drivers};
use tokenward_node::mounter::Mounter;
use tokenward_node::objects::{CsiDriver, InlineSource};
use tokenward_node::paths::Layout;
use tokenward_node::registry::rules::choose_version;
use tokenward_node::token_manager::TokenManager;
use tokenward_node::volume::{VolumeSecurity, VolumeSource, VolumeSpec};
use tokenward_node::{ClusterError, Dice, GrantedToken, PodReference, TokenRequest, WatchEvent};
use tokenward_tokens::{Clock, Placement, Token, TokenEntry, TokenMap};
use tokenward_transport::SocketPath;
use tokio::task::JoinSet;

/// What makes this program a driver.
const DRIVER_PROCESS: &str = "--be-driver";
const DRIVER: &str = "bench.csi.example";
const NAMESPACE: &str = "bench";
const ACCOUNT: &str = "app";
const NODE: &str = "node-1";
const AUDIENCES: [&str; 3] = ["vault", "sts.example", "registry"];
/// How long anything may take that is waited for.
const LIMIT: Duration = Duration::from_secs(60);

/// Republishing on one node, beside the bare call.
#[derive(Debug, Parser)]
struct Arguments {
    /// The `tokenward` binary, for the part with a whole node; without it that part is left out.
    binary: Option<PathBuf>,
    /// Rounds that count, after one that does not.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Publishes of a round, one after another.
    #[arg(long, default_value_t = 2_000)]
    publishes: usize,
    /// Publishes of a round with some in flight.
    #[arg(long, default_value_t = 20_000)]
    crowded: usize,
    /// How many are in flight then.
    #[arg(long, default_value_t = 16)]
    in_flight: usize,
    /// Audiences of a volume's tokens, 3 at most.
    #[arg(long, default_value_t = 1)]
    audiences: usize,
    /// The driver's processor.
    #[arg(long, default_value_t = 0)]
    driver_cpu: usize,
    /// The node's processor.
    #[arg(long, default_value_t = 1)]
    node_cpu: usize,
    /// First mounts, one pod at a time.
    #[arg(long, default_value_t = 50)]
    mounts: usize,
    /// Pods of the whole node.
    #[arg(long, default_value_t = 110)]
    pods: usize,
    /// Volumes of each.
    #[arg(long, default_value_t = 3)]
    volumes: usize,
    /// Seconds after the last mount, until republishes have begun.
    #[arg(long, default_value_t = 60)]
    settle: u64,
    /// Seconds for which the whole node is watched when it has nothing to do but to republish.
    #[arg(long, default_value_t = 20)]
    idle: u64,
}

fn main() -> Result<(), Failure> {
    if std::env::args().nth(1).as_deref() == Some(DRIVER_PROCESS) {
        return driver_double::run();
    }
    let arguments = Arguments::parse();
    if arguments.rounds == 0 || arguments.publishes == 0 || arguments.crowded == 0 || arguments.in_flight == 0
    {
        return Err("wanted one round, one publish and one in flight at least".into());
    }
    println!("{}", machine::heading("node-republish"));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    if let Some(binary) = &arguments.binary {
        whole_node(&arguments, binary, &runtime)?;
    }
    process::pin(arguments.node_cpu)?;
    runtime.block_on(one_volume(&arguments))
}

fn csi_driver(audiences: usize) -> Value {
    let audiences = AUDIENCES.iter().take(audiences);
    json!({
        "metadata": {"name": DRIVER},
        "spec": {
            "attachRequired": false,
            "podInfoOnMount": true,
            "fsGroupPolicy": "ReadWriteOnceWithFSType",
            "volumeLifecycleModes": ["Ephemeral"],
            "requiresRepublish": true,
            "serviceAccountTokenInSecrets": true,
            "tokenRequests": audiences.map(|audience| json!({"audience": audience})).collect::<Vec<_>>(),
        },
    })
}

fn driver(
    directory: &Path,
    cpu: Option<usize>,
    registration: Option<PathBuf>,
) -> Result<DriverDouble, Failure> {
    let setup = driver_double::Setup {
        name: DRIVER.to_owned(),
        socket: directory.join("csi.sock"),
        registration,
        cpu,
        enough: 90,
    };
    DriverDouble::start(DRIVER_PROCESS, &setup)
}

// One volume, again and again.

/// Grants a token at once, as long as one of an API server.
struct AtOnce(Clock);

impl Grant for AtOnce {
    async fn grant(&self, request: &TokenRequest) -> Result<GrantedToken, ClusterError> {
        let made = publish::tokens(&[request.audience.as_str()]);
        let token =
            made.iter().next().map_or_else(|| Token::new(String::new()), |(_, entry)| entry.token.clone());
        Ok(GrantedToken {
            token,
            expires: self.0.now() + SignedDuration::from_hours(1),
            ttl_seconds: Some(3600),
        })
    }
}

struct Bench {
    mounter: Arc<Mounter<Granting<AtOnce>>>,
    specs: Vec<Arc<VolumeSpec>>,
    socket: SocketPath,
    audiences: usize,
    driver: DriverDouble,
    _directory: tempfile::TempDir,
}

impl Bench {
    async fn start(arguments: &Arguments) -> Result<Self, Failure> {
        let directory = tempfile::tempdir()?;
        let driver = driver(directory.path(), Some(arguments.driver_cpu), None)?;
        let clock = Clock::system();
        let cluster = Arc::new(Granting(AtOnce(clock.clone())));
        let csi_drivers = Arc::new(CsiDrivers::default());
        let object: CsiDriver = serde_json::from_value(csi_driver(arguments.audiences))?;
        csi_drivers.apply(WatchEvent::Listed(vec![object]));
        let mounter = Arc::new(Mounter {
            cluster: Arc::clone(&cluster),
            layout: Layout::new(directory.path().join("root")),
            node_name: NODE.to_owned(),
            gates: FeatureGates::default(),
            drop_forged_keys: false,
            se_linux: None,
            operation_limit: LIMIT,
            drivers: Arc::new(Drivers::default()),
            csi_drivers,
            tokens: TokenManager::new(cluster, clock, Dice::random()),
        });
        let bench = Self {
            mounter,
            specs: (0..arguments.in_flight).map(spec).collect(),
            socket: SocketPath::new(directory.path().join("csi.sock"))?,
            audiences: arguments.audiences,
            driver,
            _directory: directory,
        };
        bench.register()?;
        for spec in &bench.specs {
            bench.mounter.publish(spec, false).await?;
        }
        Ok(bench)
    }

    /// As if the driver had just registered: it has not been called yet.
    fn register(&self) -> Result<(), Failure> {
        let version = choose_version(DRIVER, &self.socket.to_string(), &["1.0.0".to_owned()])?;
        let driver = Driver::new(DRIVER.to_owned(), self.socket.clone(), version);
        self.mounter.drivers.insert(Arc::new(driver));
        Ok(())
    }

    async fn kept(&self, publishes: usize) -> Result<Vec<Duration>, Failure> {
        let mut latencies = Vec::with_capacity(publishes);
        for _ in 0..publishes {
            let began = Instant::now();
            self.mounter.publish(&self.specs[0], true).await?;
            latencies.push(began.elapsed());
        }
        Ok(latencies)
    }

    async fn fresh(&self, publishes: usize) -> Result<Vec<Duration>, Failure> {
        let mut latencies = Vec::with_capacity(publishes);
        for _ in 0..publishes {
            self.register()?;
            let began = Instant::now();
            self.mounter.publish(&self.specs[0], true).await?;
            latencies.push(began.elapsed());
        }
        Ok(latencies)
    }

    /// The same call without everything before it.
    async fn bare(&self, publishes: usize) -> Result<Vec<Duration>, Failure> {
        let driver = self.mounter.drivers.get(DRIVER).ok_or("no driver")?;
        let connection = driver.connection().await?;
        let tokens = publish::tokens(&AUDIENCES[..self.audiences]);
        // As many bytes, and alive.
        let expires = Some(Clock::system().now() + SignedDuration::from_hours(1));
        let tokens: TokenMap =
            tokens.into_iter().map(|(audience, entry)| (audience, TokenEntry { expires, ..entry })).collect();
        let request = publish::request(&tokens, Placement::Secrets);
        let mut latencies = Vec::with_capacity(publishes);
        for _ in 0..publishes {
            let request = request.clone();
            let began = Instant::now();
            driver.publish(&connection, request, tokio::time::Instant::now() + LIMIT).await?;
            latencies.push(began.elapsed());
        }
        Ok(latencies)
    }

    /// Publishes a second, with one of each volume in flight.
    async fn crowded(&self, publishes: usize) -> Result<f64, Failure> {
        let left = Arc::new(AtomicUsize::new(publishes));
        let mut lanes: JoinSet<Result<(), Failure>> = JoinSet::new();
        let began = Instant::now();
        for spec in &self.specs {
            let (mounter, spec, left) = (Arc::clone(&self.mounter), Arc::clone(spec), Arc::clone(&left));
            lanes.spawn(async move {
                while left
                    .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1))
                    .is_ok()
                {
                    mounter.publish(&spec, true).await?;
                }
                Ok(())
            });
        }
        while let Some(lane) = lanes.join_next().await {
            lane??;
        }
        Ok(publishes as f64 / began.elapsed().as_secs_f64())
    }
}

fn spec(number: usize) -> Arc<VolumeSpec> {
    let name = format!("shop-{number}");
    let source = InlineSource { driver: DRIVER.to_owned(), ..InlineSource::default() };
    Arc::new(VolumeSpec {
        pod: PodReference {
            namespace: NAMESPACE.to_owned(),
            uid: format!("0b1d0f5e-6f7a-4bb5-9f2e-{number:012}"),
            name,
        },
        service_account: ACCOUNT.to_owned(),
        security: VolumeSecurity::default(),
        volume: "tokens".to_owned(),
        spec_name: "tokens".to_owned(),
        volume_handle: format!("csi-{number:064}"),
        read_only: true,
        source: VolumeSource::Inline(source),
    })
}

/// p50 and p99 of one kind of publish in a round, ms.
type Percentiles = (f64, f64);

fn percentiles(mut latencies: Vec<Duration>) -> Result<Percentiles, Failure> {
    let p50 = percentile(&mut latencies, 50).ok_or("a round without publishes")?;
    let p99 = percentile(&mut latencies, 99).ok_or("a round without publishes")?;
    Ok((milliseconds(p50), milliseconds(p99)))
}

async fn one_volume(arguments: &Arguments) -> Result<(), Failure> {
    let mut bench = Bench::start(arguments).await?;
    let (mut latencies, mut rates) = (Vec::new(), Vec::new());
    for number in 0..=arguments.rounds {
        let round = [
            percentiles(bench.kept(arguments.publishes).await?)?,
            percentiles(bench.fresh(arguments.publishes).await?)?,
            percentiles(bench.bare(arguments.publishes).await?)?,
        ];
        let rate = bench.crowded(arguments.crowded).await?;
        if number > 0 {
            latencies.push(round);
            rates.push(rate);
        }
    }
    let counts = bench.driver.counts()?;
    if counts.too_little > 0 {
        return Err(format!("{} publishes without tokens or with dead ones", counts.too_little).into());
    }
    let row = |name: &str, which: usize| {
        let spread =
            |figure: fn(&Percentiles) -> f64| Spread::over(&latencies, |round| figure(&round[which]));
        [
            name.to_owned(),
            format!("{:.3}", spread(|round| round.0)),
            format!("{:.3}", spread(|round| round.1)),
        ]
    };
    println!(
        "one volume with {} token(s), {} publishes a round, {} rounds, median (least - most):",
        arguments.audiences, arguments.publishes, arguments.rounds
    );
    let rows = [
        row("republish, kept connection", 0),
        row("republish, a fresh connection each", 1),
        row("floor: the call alone", 2),
    ];
    println!("{}", machine::table(["ms", "p50", "p99"], rows));
    let rate = Spread::over(&rates, |rate| *rate);
    println!("{} in flight: {rate:.0} publishes/s\n", arguments.in_flight);
    Ok(std::io::stdout().flush()?)
}

// A whole node.

fn whole_node(
    arguments: &Arguments,
    binary: &Path,
    runtime: &tokio::runtime::Runtime,
) -> Result<(), Failure> {
    let mut server = Up::apiserver(binary, arguments.driver_cpu, &[""; 0])?;
    server.wait_until_ready(&client::believing_anyone()?, LIMIT)?;
    server.wait_for_kubeconfig(LIMIT)?;
    let directory = tempfile::tempdir()?;
    let root = directory.path().join("root");
    let mut command = Command::new(binary);
    command.args(["node", "--node-name", NODE, "--kubeconfig"]).arg(server.kubeconfig());
    command.arg("--root-dir").arg(&root);
    let log = File::create(directory.path().join("log"))?;
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
    let node = Running::new(command.spawn()?);
    let registry = root.join("plugins_registry").join("bench-reg.sock");
    let mut driver = driver(directory.path(), None, Some(registry))?;
    let (address, credentials) = kubeconfig::load(&server.kubeconfig())?;
    let tls = credentials.into_http2()?;
    let mut api = Api { connection: runtime.block_on(Connection::open(address, tls))?, runtime };
    let accounts = format!("/api/v1/namespaces/{NAMESPACE}/serviceaccounts");
    api.create("/apis/storage.k8s.io/v1/csidrivers", &csi_driver(arguments.audiences))?;
    api.create("/api/v1/namespaces", &json!({"metadata": {"name": NAMESPACE}}))?;
    api.create(&accounts, &json!({"metadata": {"name": ACCOUNT}}))?;
    wait_until("the driver to be registered", || {
        let csi_node = api.get(&format!("/apis/storage.k8s.io/v1/csinodes/{NODE}"))?;
        Ok(csi_node.is_some_and(|csi_node| csi_node.pointer("/spec/drivers/0").is_some()))
    })?;

    let pods = format!("/api/v1/namespaces/{NAMESPACE}/pods");
    let (mut mounts, warm_up) = (Vec::new(), 5);
    for number in 0..warm_up + arguments.mounts {
        let pod = pod(&format!("first-{number}"), 1);
        let before = driver.counts()?.publishes;
        let posted = Instant::now();
        api.create(&pods, &pod)?;
        wait_until("a first mount", || Ok(driver.counts()?.publishes > before))?;
        let took = posted.elapsed();
        if number >= warm_up {
            mounts.push(took);
        }
        api.delete(&format!("{pods}/first-{number}"))?;
        wait_until("an unmount", || Ok(driver.counts()?.unpublishes > number as u64))?;
    }

    let before = driver.counts()?.publishes;
    for number in 0..arguments.pods {
        api.create(&pods, &pod(&format!("app-{number}"), arguments.volumes))?;
    }
    let volumes = arguments.pods * arguments.volumes;
    wait_until("all volumes", || Ok(driver.counts()?.publishes >= before + volumes as u64))?;
    process::pause(Duration::from_secs(arguments.settle));
    let (used, published) = (process::processor_time(node.id())?, driver.counts()?.publishes);
    process::pause(Duration::from_secs(arguments.idle));
    let used = process::processor_time(node.id())?.saturating_sub(used);
    let counts = driver.counts()?;
    let memory = process::anonymous_memory(node.id())? as f64 / 1024.0;
    if counts.too_little > 0 {
        return Err(format!("{} publishes without tokens or with dead ones", counts.too_little).into());
    }

    println!("tokenward node, {} pods with {} volumes each:", arguments.pods, arguments.volumes);
    let mut rows = Vec::new();
    if let (Some(p50), Some(p99)) = (percentile(&mut mounts, 50), percentile(&mut mounts, 99)) {
        let figure = format!("p50 {:.2}, p99 {:.2}", milliseconds(p50), milliseconds(p99));
        rows.push(["first mount, from the POST of the pod to the driver, ms".to_owned(), figure]);
    }
    rows.push([format!("anonymous memory with {volumes} volumes, MiB"), format!("{memory:.1}")]);
    let idle = arguments.idle.max(1) as f64;
    rows.push([
        format!(
            "CPU in {idle} s, with {:.1} republishes a second, %",
            (counts.publishes - published) as f64 / idle
        ),
        format!("{:.2}", 100.0 * used.as_secs_f64() / idle),
    ]);
    println!("{}\n", machine::table(["whole node", "figure"], rows));
    node.terminate(LIMIT)?;
    server.stop()?;
    Ok(())
}

/// The API server, asked from a thread.
struct Api<'a> {
    connection: Connection,
    runtime: &'a tokio::runtime::Runtime,
}

impl Api<'_> {
    fn call(&mut self, method: Method, path: &str, body: Bytes) -> Result<(StatusCode, Bytes), Failure> {
        self.runtime.block_on(self.connection.call(method, path, body))
    }

    fn create(&mut self, path: &str, object: &Value) -> Result<(), Failure> {
        let (status, answer) = self.call(Method::POST, path, object.to_string().into())?;
        if status == StatusCode::CREATED {
            return Ok(());
        }
        Err(format!("POST {path}: {status}: {}", String::from_utf8_lossy(&answer)).into())
    }

    fn delete(&mut self, path: &str) -> Result<(), Failure> {
        let (status, answer) = self.call(Method::DELETE, path, Bytes::new())?;
        if status.is_success() {
            return Ok(());
        }
        Err(format!("DELETE {path}: {status}: {}", String::from_utf8_lossy(&answer)).into())
    }

    fn get(&mut self, path: &str) -> Result<Option<Value>, Failure> {
        let (status, answer) = self.call(Method::GET, path, Bytes::new())?;
        Ok(if status == StatusCode::OK { Some(serde_json::from_slice(&answer)?) } else { None })
    }
}

fn wait_until(what: &str, mut is_so: impl FnMut() -> Result<bool, Failure>) -> Result<(), Failure> {
    let began = Instant::now();
    while !is_so()? {
        if began.elapsed() > LIMIT {
            return Err(format!("waited {LIMIT:?} in vain for {what}").into());
        }
        process::pause(Duration::from_micros(100));
    }
    Ok(())
}

fn pod(name: &str, volumes: usize) -> Value {
    let names: Vec<String> = (0..volumes).map(|number| format!("tokens-{number}")).collect();
    let mounts = names.iter().map(|name| json!({"name": name, "mountPath": format!("/var/run/{name}")}));
    let sources = names.iter().map(|name| json!({"name": name, "csi": {"driver": DRIVER, "readOnly": true}}));
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name},
        "spec": {
            "serviceAccountName": ACCOUNT,
            "automountServiceAccountToken": false,
            "terminationGracePeriodSeconds": 0,
            "nodeName": NODE,
            "containers": [{
                "name": "app",
                "image": "registry.k8s.io/pause:3.10",
                "volumeMounts": mounts.collect::<Vec<_>>(),
            }],
            "volumes": sources.collect::<Vec<_>>(),
        },
    })
}
