//! A fleet in real time: one API server, thousands of nodes' planners and token managers, drivers on real sockets, each a
//! process; tokens and publishes counted where they arrive.
#![expect(clippy::print_stdout, reason = "the result goes to standard output")]

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use bytes::Bytes;
use clap::Parser;
use http::{Method, StatusCode};
use serde_json::{Value, json};
use tokenward_benches::aside::Aside;
use tokenward_benches::client::{self, Connection};
use tokenward_benches::driver_double::{self, DriverDouble};
use tokenward_benches::fleet_nodes::{self, ACCOUNT, DRIVER, NAMESPACE, Ready};
use tokenward_benches::up::Up;
use tokenward_benches::{Failure, kubeconfig, machine, process};

/// What makes this program the nodes.
const NODES: &str = "--be-nodes";
/// What makes this program a driver.
const DRIVERS: &str = "--be-driver";
/// How long the API server may take to start.
const LIMIT: Duration = Duration::from_secs(60);

/// A fleet in real time, counted at the API server and at the drivers.
#[derive(Debug, Parser)]
struct Arguments {
    /// The `tokenward` binary.
    binary: PathBuf,
    /// Nodes.
    #[arg(long, default_value_t = 5_000)]
    nodes: usize,
    /// Pods, on the nodes in equal parts, each with one volume.
    #[arg(long, default_value_t = 150_000)]
    pods: usize,
    /// Audiences of each pod's tokens.
    #[arg(long, default_value_t = 3)]
    audiences: usize,
    /// Life of a token, in seconds.
    #[arg(long, default_value_t = 600)]
    life: i64,
    /// Minutes that are measured.
    #[arg(long, default_value_t = 1.0)]
    minutes: f64,
    /// Seconds between two lines.
    #[arg(long, default_value_t = 10)]
    every: u64,
    /// Processes that hold the nodes.
    #[arg(long, default_value_t = 1)]
    processes: usize,
    /// Driver processes.
    #[arg(long, default_value_t = 2)]
    drivers: usize,
    /// The API server's processor.
    #[arg(long, default_value_t = 0)]
    server_cpu: usize,
    /// The drivers' processor.
    #[arg(long, default_value_t = 0)]
    driver_cpu: usize,
    /// The nodes' processor.
    #[arg(long, default_value_t = 1)]
    client_cpu: usize,
    /// Publish with each new token only, instead of each 60 to 90 s.
    #[arg(long)]
    on_change: bool,
    /// Begin without tokens, as after a restart of all nodes.
    #[arg(long)]
    cold: bool,
}

fn main() -> Result<(), Failure> {
    match std::env::args().nth(1).as_deref() {
        Some(NODES) => return fleet_nodes::run(),
        Some(DRIVERS) => return driver_double::run(),
        _ => {}
    }
    let arguments = Arguments::parse();
    let at_least_one = [arguments.nodes, arguments.processes, arguments.drivers, arguments.audiences];
    if at_least_one.contains(&0) || arguments.pods < arguments.nodes || arguments.every == 0 {
        return Err("wanted one node with a pod, one process, driver, audience and second at least".into());
    }
    println!("{}", machine::heading("fleet"));
    let directory = tempfile::tempdir()?;
    let users = directory.path().join("users.csv");
    std::fs::write(&users, users_file(arguments.nodes))?;
    let mut server = Up::apiserver(
        &arguments.binary,
        arguments.server_cpu,
        &["--token-auth-file".as_ref(), users.as_os_str()],
    )?;
    process::pin(arguments.client_cpu)?;
    server.wait_until_ready(&client::believing_anyone()?, LIMIT)?;
    server.wait_for_kubeconfig(LIMIT)?;
    let csi_driver = csi_driver(&arguments);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async { prepare(&mut administrator(&server).await?, &arguments, &csi_driver).await })?;
    let mut fleet = Fleet::start(&arguments, &server, directory.path(), &csi_driver)?;
    let measured = fleet.measure(&arguments, &server, &mut || runtime.block_on(granted(&server)))?;
    report(&arguments, &measured)?;
    server.stop()?;
    Ok(())
}

/// Who each node is: a bearer token, so that all of a process share connections.
fn users_file(nodes: usize) -> String {
    let mut text = String::new();
    for node in 0..nodes {
        let (bearer, name) = (fleet_nodes::bearer(node), fleet_nodes::node_name(node));
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{bearer},system:node:{name},{node},\"system:nodes\"");
    }
    text
}

fn csi_driver(arguments: &Arguments) -> Value {
    let audiences = (0..arguments.audiences).map(
        |audience| json!({"audience": format!("audience-{audience}"), "expirationSeconds": arguments.life}),
    );
    json!({
        "attachRequired": false,
        "podInfoOnMount": true,
        "fsGroupPolicy": "ReadWriteOnceWithFSType",
        "volumeLifecycleModes": ["Ephemeral"],
        "requiresRepublish": true,
        "serviceAccountTokenInSecrets": true,
        "tokenRequests": audiences.collect::<Vec<_>>(),
    })
}

async fn prepare(
    connection: &mut Connection,
    arguments: &Arguments,
    csi_driver: &Value,
) -> Result<(), Failure> {
    let account = format!("/api/v1/namespaces/{NAMESPACE}/serviceaccounts");
    let mut objects = vec![
        ("/api/v1/namespaces", json!({"metadata": {"name": NAMESPACE}})),
        (account.as_str(), json!({"metadata": {"name": ACCOUNT}})),
        ("/apis/storage.k8s.io/v1/csidrivers", json!({"metadata": {"name": DRIVER}, "spec": csi_driver})),
    ];
    objects.extend(
        (0..arguments.nodes)
            .map(|node| ("/api/v1/nodes", json!({"metadata": {"name": fleet_nodes::node_name(node)}}))),
    );
    for (path, object) in objects {
        let (status, answer) = connection.call(Method::POST, path, object.to_string().into()).await?;
        if status != StatusCode::CREATED {
            return Err(format!("{path}: {status}: {}", String::from_utf8_lossy(&answer)).into());
        }
    }
    Ok(())
}

/// A connection as the administrator. Between two looks this runtime stands still, and nobody would answer the server's
/// pings: each has a connection of its own.
async fn administrator(server: &Up) -> Result<Connection, Failure> {
    let (address, credentials) = kubeconfig::load(&server.kubeconfig())?;
    Connection::open(address, credentials.into_http2()?).await
}

/// How many tokens the API server says that it has granted.
async fn granted(server: &Up) -> Result<u64, Failure> {
    let mut connection = administrator(server).await?;
    let (status, metrics) = connection.call(Method::GET, "/metrics", Bytes::new()).await?;
    if status != StatusCode::OK {
        return Err(format!("wanted metrics, found {status}").into());
    }
    let mut sum = 0;
    for line in std::str::from_utf8(&metrics)?.lines() {
        let is_grant = line.starts_with("apiserver_request_total{")
            && [r#"resource="serviceaccounts""#, r#"subresource="token""#, r#"code="201""#]
                .iter()
                .all(|label| line.contains(label));
        if is_grant {
            let count = line.rsplit(' ').next().and_then(|count| count.parse::<f64>().ok());
            sum += count.ok_or("a metric without a number")? as u64;
        }
    }
    Ok(sum)
}

struct Fleet {
    nodes: Vec<Aside>,
    drivers: Vec<DriverDouble>,
}

/// One look at everything.
#[derive(Clone)]
struct Look {
    at: Instant,
    granted: u64,
    drivers: driver_double::Counts,
    nodes: Vec<fleet_nodes::Counts>,
    /// Of the API server, the nodes and the drivers: processor time and MiB.
    used: [(Duration, u64); 3],
}

impl Fleet {
    fn start(
        arguments: &Arguments,
        server: &Up,
        directory: &std::path::Path,
        csi_driver: &Value,
    ) -> Result<Self, Failure> {
        let mut drivers = Vec::new();
        let sockets: Vec<PathBuf> =
            (0..arguments.drivers).map(|number| directory.join(format!("driver-{number}.sock"))).collect();
        for socket in &sockets {
            let setup = driver_double::Setup {
                name: DRIVER.to_owned(),
                socket: socket.clone(),
                registration: None,
                cpu: Some(arguments.driver_cpu),
                // It must last until the next publish, which comes within 90 s.
                enough: 90,
            };
            drivers.push(DriverDouble::start(DRIVERS, &setup)?);
        }
        let (pods_per_node, mut nodes) = (arguments.pods / arguments.nodes, Vec::new());
        for number in 0..arguments.processes {
            let first = arguments.nodes * number / arguments.processes;
            let setup = fleet_nodes::Setup {
                kubeconfig: server.kubeconfig(),
                first,
                nodes: arguments.nodes * (number + 1) / arguments.processes - first,
                pods_per_node,
                life: arguments.life,
                csi_driver: csi_driver.clone(),
                sockets: sockets.clone(),
                cpu: Some(arguments.client_cpu),
                on_change: arguments.on_change,
                cold: arguments.cold,
            };
            let mut process = Aside::start(NODES, &setup)?;
            let ready: Ready = process.hear()?;
            println!(
                "{} nodes with {} pods, created over HTTPS in {:.0} s",
                setup.nodes,
                setup.nodes * pods_per_node,
                ready.created_in
            );
            nodes.push(process);
        }
        Ok(Self { nodes, drivers })
    }

    fn look(
        &mut self,
        server: &Up,
        granted: &mut impl FnMut() -> Result<u64, Failure>,
    ) -> Result<Look, Failure> {
        let mut drivers = driver_double::Counts::default();
        for driver in &mut self.drivers {
            drivers = drivers.and(driver.counts()?);
        }
        let nodes = self.nodes.iter_mut().map(Aside::ask).collect::<Result<Vec<_>, _>>()?;
        let used = |ids: Vec<u32>| -> Result<(Duration, u64), Failure> {
            let mut sum = (Duration::ZERO, 0);
            for id in ids {
                sum.0 += process::processor_time(id)?;
                sum.1 += process::anonymous_memory(id)? / 1024;
            }
            Ok(sum)
        };
        Ok(Look {
            granted: granted()?,
            at: Instant::now(),
            drivers,
            nodes,
            used: [
                used(vec![server.id()])?,
                used(self.nodes.iter().map(Aside::id).collect())?,
                used(self.drivers.iter().map(DriverDouble::id).collect())?,
            ],
        })
    }

    /// Looks again and again; gives the first and the last look, and prints what was between.
    fn measure(
        &mut self,
        arguments: &Arguments,
        server: &Up,
        granted: &mut impl FnMut() -> Result<u64, Failure>,
    ) -> Result<(Look, Look), Failure> {
        let first = self.look(server, granted)?;
        let mut last = first.clone();
        let mut rows = Vec::new();
        let minutes = Duration::from_secs_f64(arguments.minutes * 60.0);
        while last.at.duration_since(first.at) + Duration::from_millis(500) < minutes {
            process::pause(Duration::from_secs(arguments.every));
            let look = self.look(server, granted)?;
            rows.push(row(&first, &last, &look));
            last = look;
        }
        rows.push(row(&first, &first, &last));
        let header = [
            "until s",
            "TokenRequests/s",
            "publishes/s",
            "CPU %: server",
            "nodes",
            "drivers",
            "MiB: server",
            "nodes",
            "drivers",
            "least left s",
            "too little left",
        ];
        println!("{}", machine::table(header, rows));
        std::io::stdout().flush()?;
        Ok((first, last))
    }
}

fn row(start: &Look, from: &Look, to: &Look) -> [String; 11] {
    let seconds = to.at.duration_since(from.at).as_secs_f64();
    let rate = |from: u64, to: u64| format!("{:.0}", to.saturating_sub(from) as f64 / seconds);
    let busy = |of: usize| {
        format!("{:.0}", 100.0 * to.used[of].0.saturating_sub(from.used[of].0).as_secs_f64() / seconds)
    };
    let memory = |of: usize| to.used[of].1.to_string();
    let least = to.drivers.least_left.map_or("-".to_owned(), |left| format!("{:.0}", left as f64 / 1000.0));
    [
        format!("{:.0}", to.at.duration_since(start.at).as_secs_f64()),
        rate(from.granted, to.granted),
        rate(from.drivers.publishes, to.drivers.publishes),
        busy(0),
        busy(1),
        busy(2),
        memory(0),
        memory(1),
        memory(2),
        least,
        to.drivers.too_little.to_string(),
    ]
}

fn report(arguments: &Arguments, (first, last): &(Look, Look)) -> Result<(), Failure> {
    let tokens = (arguments.pods / arguments.nodes * arguments.nodes * arguments.audiences) as f64;
    // What the kubelet's rule comes to: a refresh at the first sync, each 75 s, after four fifths of the life.
    let wanted = tokens / (arguments.life as f64 * 0.8 + 33.0);
    println!(
        "the last line: all of it. A kubelet's rule comes to {wanted:.0} TokenRequests/s and {:.0} publishes/s.",
        tokens / arguments.audiences as f64 / 75.0
    );
    let memory: u64 = last.used.iter().map(|(_, mib)| mib).sum();
    println!(
        "{} tokens granted, {} publishes with {} tokens, {} of them the API server's; {memory} MiB altogether",
        last.granted - first.granted,
        last.drivers.publishes,
        last.drivers.tokens,
        last.drivers.signed
    );
    let failed: u64 = last.nodes.iter().map(|counts| counts.failed).sum();
    if failed > 0 {
        let problem = last.nodes.iter().find_map(|counts| counts.problem.clone()).unwrap_or_default();
        return Err(format!("{failed} requests or publishes have failed; the last: {problem}").into());
    }
    if last.drivers.too_little > 0 {
        return Err(format!("{} deliveries with too little life left", last.drivers.too_little).into());
    }
    Ok(())
}
