//! Writes that survive: appends to the store's log beside a bare file, and pods created through the API beside a server that
//! keeps them in memory.
#![expect(clippy::print_stdout, reason = "the result goes to standard output")]

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use clap::Parser;
use http::{Method, StatusCode};
use serde_json::{Value, json};
use tokenward_benches::client::{self, Connection};
use tokenward_benches::statistics::{Spread, microseconds};
use tokenward_benches::up::Up;
use tokenward_benches::{Failure, kubeconfig, machine, process};
use tokenward_store::{Key, LogOptions, Store, Unstamped};
use tokio::task::JoinSet;

const PODS: &str = "/api/v1/namespaces/bench/pods";
/// How long a server may take to start.
const LIMIT: Duration = Duration::from_secs(60);

/// Durable writes: appends to the log, and pods created through the API.
#[derive(Clone, Debug, Parser)]
struct Arguments {
    /// The `tokenward` binary.
    binary: PathBuf,
    /// Where to write: a directory on the disk that is to be measured, not one in memory.
    #[arg(long, default_value = ".")]
    directory: PathBuf,
    /// Appends of a round.
    #[arg(long, default_value_t = 40_000)]
    appends: usize,
    /// Pods created in a round.
    #[arg(long, default_value_t = 4_000)]
    pods: usize,
    /// Writes in flight.
    #[arg(long, default_value_t = 64)]
    in_flight: usize,
    /// Connections that they share.
    #[arg(long, default_value_t = 4)]
    connections: usize,
    /// Bytes of each object that is appended; a pod has about as many.
    #[arg(long, default_value_t = 1_500)]
    size: usize,
    /// Rounds that count, after one that does not.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// The server's processor, and that of the appends.
    #[arg(long, default_value_t = 0)]
    server_cpu: usize,
    /// The client's processor.
    #[arg(long, default_value_t = 1)]
    client_cpu: usize,
}

/// Per second.
struct Round {
    file: f64,
    log: f64,
    memory: f64,
    durable_pods: Pods,
    pods: Pods,
}

struct Pods {
    rate: f64,
    server_time: Duration,
}

fn main() -> Result<(), Failure> {
    let arguments = Arguments::parse();
    let least =
        [arguments.appends, arguments.pods, arguments.in_flight, arguments.connections, arguments.rounds];
    if least.contains(&0) {
        return Err("wanted one append, pod, write in flight, connection and round at least".into());
    }
    println!("{}", machine::heading("durable-writes"));
    let mut rounds = Vec::new();
    for number in 0..=arguments.rounds {
        let round = round(&arguments)?;
        if number > 0 {
            rounds.push(round);
        }
    }
    report(&arguments, &rounds);
    Ok(())
}

fn report(arguments: &Arguments, rounds: &[Round]) {
    let Arguments { in_flight, size, .. } = arguments;
    let rows = [
        (
            format!("floor: {in_flight} x {size} bytes, fdatasync; appends/s"),
            Spread::over(rounds, |round| round.file),
        ),
        ("store on disk, appends/s".to_owned(), Spread::over(rounds, |round| round.log)),
        ("part of the floor".to_owned(), Spread::over(rounds, |round| round.log / round.file)),
        ("store in memory, writes/s".to_owned(), Spread::over(rounds, |round| round.memory)),
        (
            "pods created with --data-dir, /s".to_owned(),
            Spread::over(rounds, |round| round.durable_pods.rate),
        ),
        ("pods created in memory, /s".to_owned(), Spread::over(rounds, |round| round.pods.rate)),
        (
            "server CPU with --data-dir, us/pod".to_owned(),
            Spread::over(rounds, |round| microseconds(round.durable_pods.server_time)),
        ),
        (
            "server CPU in memory, us/pod".to_owned(),
            Spread::over(rounds, |round| microseconds(round.pods.server_time)),
        ),
    ];
    println!("{} rounds, median (least - most), {in_flight} in flight:", rounds.len());
    let rows = rows.map(|(name, spread)| [name, format!("{spread:.2}")]);
    println!("{}", machine::table(["durable writes", "figure"], rows));
}

fn round(arguments: &Arguments) -> Result<Round, Failure> {
    let directory = tempfile::tempdir_in(&arguments.directory)?;
    let file = in_a_thread(arguments.server_cpu, || bare_file(arguments, &directory.path().join("file")))?;
    let log = in_a_thread(arguments.server_cpu, || {
        // Opened here, so that its thread stays on this processor too.
        let (store, _) = Store::open(&directory.path().join("log"), LogOptions::default(), |_, _| ())?;
        writes(arguments, &store)
    })?;
    let memory = in_a_thread(arguments.server_cpu, || writes(arguments, &Store::memory(|_, _| ())))?;
    let data = format!("--data-dir={}", directory.path().join("data").display());
    let durable_pods = in_a_thread(arguments.client_cpu, || pods(arguments, &[data]))?;
    let pods = in_a_thread(arguments.client_cpu, || pods(arguments, &[]))?;
    Ok(Round { file, log, memory, durable_pods, pods })
}

/// Each subject on a thread of its own, so that being pinned is over with it.
fn in_a_thread<T: Send>(cpu: usize, work: impl FnOnce() -> Result<T, Failure> + Send) -> Result<T, Failure> {
    std::thread::scope(|scope| {
        let work = scope.spawn(move || {
            process::pin(cpu)?;
            work()
        });
        work.join().map_err(|_| "a subject has panicked")?
    })
}

fn per_second(count: usize, elapsed: Duration) -> Result<f64, Failure> {
    Ok(f64::from(u32::try_from(count)?) / elapsed.as_secs_f64())
}

/// What as many appends cost at least, when all that are in flight share each sync.
fn bare_file(arguments: &Arguments, path: &Path) -> Result<f64, Failure> {
    let file = File::create_new(path)?;
    let batch = vec![b'x'; arguments.in_flight * arguments.size];
    let batches = arguments.appends.div_ceil(arguments.in_flight);
    let started = Instant::now();
    let mut offset = 0;
    for _ in 0..batches {
        file.write_all_at(&batch, offset)?;
        file.sync_data()?;
        offset += batch.len() as u64;
    }
    per_second(batches * arguments.in_flight, started.elapsed())
}

fn writes(arguments: &Arguments, store: &Store<()>) -> Result<f64, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let left = Arc::new(AtomicUsize::new(arguments.appends));
        let content = vec![b'x'; arguments.size];
        let mut writers = JoinSet::new();
        let started = Instant::now();
        for _ in 0..arguments.in_flight {
            let (store, left, content) = (store.clone(), left.clone(), content.clone());
            writers.spawn(async move {
                while let Some(number) = take(&left) {
                    let key = Key::new("pods", Some("bench"), &number.to_string())?;
                    let written = store.create(key, Unstamped::new(content.clone(), 0)).await;
                    written.map_err(|error| error.to_string())?;
                }
                Ok::<(), Failure>(())
            });
        }
        while let Some(writer) = writers.join_next().await {
            writer??;
        }
        let rate = per_second(arguments.appends, started.elapsed())?;
        store.close().await;
        Ok(rate)
    })
}

fn take(left: &AtomicUsize) -> Option<usize> {
    left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).ok()
}

fn pods(arguments: &Arguments, more: &[String]) -> Result<Pods, Failure> {
    let mut server = Up::apiserver(&arguments.binary, arguments.server_cpu, more)?;
    server.wait_until_ready(&client::believing_anyone()?, LIMIT)?;
    server.wait_for_kubeconfig(LIMIT)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let made = runtime.block_on(create_pods(arguments, &server));
    server.stop()?;
    made
}

async fn create_pods(arguments: &Arguments, server: &Up) -> Result<Pods, Failure> {
    let (address, credentials) = kubeconfig::load(&server.kubeconfig())?;
    let tls = credentials.into_http2()?;
    let mut connections = Vec::new();
    for _ in 0..arguments.connections {
        connections.push(Connection::open(address, tls.clone()).await?);
    }
    for (path, object) in [
        ("/api/v1/namespaces", json!({"metadata": {"name": "bench"}})),
        ("/api/v1/namespaces/bench/serviceaccounts", json!({"metadata": {"name": "app"}})),
    ] {
        create(&mut connections[0], path, &object).await?;
    }
    let left = Arc::new(AtomicUsize::new(arguments.pods));
    let mut lanes = JoinSet::new();
    let used_before = process::processor_time(server.id())?;
    let started = Instant::now();
    for lane in 0..arguments.in_flight {
        let mut connection = connections[lane % connections.len()].clone();
        let left = left.clone();
        lanes.spawn(async move {
            while let Some(number) = take(&left) {
                create(&mut connection, PODS, &pod(number)).await?;
            }
            Ok::<(), Failure>(())
        });
    }
    while let Some(lane) = lanes.join_next().await {
        lane??;
    }
    let elapsed = started.elapsed();
    let used = process::processor_time(server.id())?.saturating_sub(used_before);
    Ok(Pods {
        rate: per_second(arguments.pods, elapsed)?,
        server_time: used / u32::try_from(arguments.pods)?,
    })
}

async fn create(connection: &mut Connection, path: &str, object: &Value) -> Result<(), Failure> {
    let (status, answer) = connection.call(Method::POST, path, Bytes::from(object.to_string())).await?;
    if status == StatusCode::CREATED {
        return Ok(());
    }
    Err(format!("wanted 201, found {status}: {}", String::from_utf8_lossy(&answer)).into())
}

fn pod(number: usize) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": format!("p{number}")},
        "spec": {
            "serviceAccountName": "app",
            "containers": [{"name": "app", "image": "registry.k8s.io/pause:3.10"}],
            "volumes": [{"name": "tokens", "csi": {"driver": "bench.csi.example", "readOnly": true}}],
        },
    })
}
