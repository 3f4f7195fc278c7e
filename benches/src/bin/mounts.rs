//! One mount end to end: from the POST of a pod with a CSI volume to its phase `Running`, one pod at a time; beside it
//! the same pod without a volume, which is what scheduling, watching and status cost.
#![expect(clippy::print_stdout, reason = "the result goes to standard output")]

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use bytes::{Buf as _, Bytes, BytesMut};
use clap::Parser;
use http::{Method, StatusCode};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use serde_json::{Value, json};
use tokenward_benches::client::{self, Connection};
use tokenward_benches::statistics::{milliseconds, percentile};
use tokenward_benches::up::Up;
use tokenward_benches::{Failure, kubeconfig, machine};

const PODS: &str = "/api/v1/namespaces/bench/pods";
const MANIFEST: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/manifests/mounts.yaml");
/// How long one pod may take.
const LIMIT: Duration = Duration::from_secs(60);

/// Pods with one CSI volume, one at a time: POST to `Running`.
#[derive(Debug, Parser)]
struct Arguments {
    /// The `tokenward` binary, which is started.
    #[arg(required_unless_present = "kubeconfig")]
    binary: Option<PathBuf>,
    /// Use the cluster of this kubeconfig instead; benches/manifests/mounts.yaml is applied there already.
    #[arg(long, conflicts_with = "binary")]
    kubeconfig: Option<PathBuf>,
    /// Pods of each kind that count.
    #[arg(long, default_value_t = 200)]
    pods: usize,
    /// Pods of each kind before them, which do not count.
    #[arg(long, default_value_t = 10)]
    warmup: usize,
}

fn main() -> Result<(), Failure> {
    let arguments = Arguments::parse();
    println!("{}", machine::heading("mounts"));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    match (&arguments.binary, &arguments.kubeconfig) {
        (_, Some(kubeconfig)) => runtime.block_on(measure(&arguments, kubeconfig)),
        (Some(binary), None) => {
            let mut up = Up::start(binary, ["--apply", MANIFEST])?;
            up.wait_until_ready(&client::believing_anyone()?, LIMIT)?;
            runtime.block_on(measure(&arguments, &up.kubeconfig()))?;
            up.stop()?;
            Ok(())
        }
        (None, None) => Err("wanted a binary or a kubeconfig".into()),
    }
}

async fn measure(arguments: &Arguments, kubeconfig: &Path) -> Result<(), Failure> {
    let (address, credentials) = kubeconfig::load(kubeconfig)?;
    let mut connection = Connection::open(address, credentials.into_http2()?).await?;
    wait_for_objects(&mut connection).await?;
    let mut watch = Watch::open(&mut connection).await?;
    let (mut with_volume, mut without) = (Vec::new(), Vec::new());
    for number in 0..arguments.warmup + arguments.pods {
        for (has_volume, latencies) in [(true, &mut with_volume), (false, &mut without)] {
            let name = format!("{}-{number}", if has_volume { "mount" } else { "plain" });
            let latency = tokio::time::timeout(LIMIT, one(&mut connection, &mut watch, &name, has_volume));
            let latency = latency.await.map_err(|_| format!("pod {name} took longer than {LIMIT:?}"))??;
            if number >= arguments.warmup {
                latencies.push(latency);
            }
        }
    }
    println!("{} pods of each kind, one at a time, in turn:", arguments.pods);
    let row = |name: &str, latencies: &mut [Duration]| -> Result<[String; 5], Failure> {
        let mut at = |percent| {
            let value = percentile(latencies, percent).ok_or("no pods, no figures")?;
            Ok::<_, Failure>(format!("{:.2}", milliseconds(value)))
        };
        Ok([name.to_owned(), at(0)?, at(50)?, at(99)?, at(100)?])
    };
    let header = ["POST of the pod to Running, ms", "least", "p50", "p99", "most"];
    let rows = [row("one CSI volume", &mut with_volume)?, row("floor: no volume", &mut without)?];
    println!("{}", machine::table(header, rows));
    Ok(())
}

/// A manifest is applied after the server is ready.
async fn wait_for_objects(connection: &mut Connection) -> Result<(), Failure> {
    let started = Instant::now();
    while started.elapsed() < LIMIT {
        let account = "/api/v1/namespaces/bench/serviceaccounts/app";
        let (account, _) = connection.call(Method::GET, account, Bytes::new()).await?;
        // The node has registered the driver: the list of its CSINode has it.
        let nodes = connection.call(Method::GET, "/apis/storage.k8s.io/v1/csinodes", Bytes::new()).await?.1;
        let nodes: Value = serde_json::from_slice(&nodes)?;
        let is_registered = nodes.pointer("/items/0/spec/drivers/0").is_some();
        if account == StatusCode::OK && is_registered {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    Err("wanted service account bench/app and a CSINode with a driver; apply benches/manifests/mounts.yaml"
        .into())
}

/// Creates a pod, waits until it runs, and deletes it. Gives the time from the one to the other.
async fn one(
    connection: &mut Connection,
    watch: &mut Watch,
    name: &str,
    has_volume: bool,
) -> Result<Duration, Failure> {
    let pod = Bytes::from(pod(name, has_volume).to_string());
    let posted = Instant::now();
    let (status, answer) = connection.call(Method::POST, PODS, pod).await?;
    if status != StatusCode::CREATED {
        return Err(refused(status, &answer));
    }
    watch.wait(name, |kind, pod| kind != "DELETED" && pod["status"]["phase"] == "Running").await?;
    let latency = posted.elapsed();
    let (status, answer) = connection.call(Method::DELETE, &format!("{PODS}/{name}"), Bytes::new()).await?;
    if !status.is_success() {
        return Err(refused(status, &answer));
    }
    watch.wait(name, |kind, _| kind == "DELETED").await?;
    Ok(latency)
}

fn refused(status: StatusCode, answer: &[u8]) -> Failure {
    format!("the server answered {status}: {}", String::from_utf8_lossy(answer)).into()
}

fn pod(name: &str, has_volume: bool) -> Value {
    let (mounts, volumes) = if has_volume {
        (
            json!([{"name": "tokens", "mountPath": "/var/run/tokens", "readOnly": true}]),
            json!([{"name": "tokens", "csi": {"driver": "bench.csi.example", "readOnly": true}}]),
        )
    } else {
        (json!([]), json!([]))
    };
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name},
        "spec": {
            "serviceAccountName": "app",
            "automountServiceAccountToken": false,
            "terminationGracePeriodSeconds": 0,
            "containers": [
                {"name": "app", "image": "registry.k8s.io/pause:3.10", "volumeMounts": mounts},
            ],
            "volumes": volumes,
        },
    })
}

/// A watch of the namespace's pods.
struct Watch {
    body: Incoming,
    buffer: BytesMut,
}

impl Watch {
    async fn open(connection: &mut Connection) -> Result<Self, Failure> {
        let response = connection.send(Method::GET, &format!("{PODS}?watch=true"), Bytes::new()).await?;
        if response.status() != StatusCode::OK {
            return Err(format!("the server refused the watch with {}", response.status()).into());
        }
        Ok(Self { body: response.into_body(), buffer: BytesMut::new() })
    }

    /// Reads events until one of this pod fits.
    async fn wait(&mut self, name: &str, fits: impl Fn(&str, &Value) -> bool) -> Result<(), Failure> {
        loop {
            let event: Value = serde_json::from_slice(&self.line().await?)?;
            let (kind, object) = (event["type"].as_str().unwrap_or_default(), &event["object"]);
            if kind == "ERROR" {
                return Err(format!("the watch failed: {}", object["message"]).into());
            }
            if object["metadata"]["name"] == name && fits(kind, object) {
                return Ok(());
            }
        }
    }

    async fn line(&mut self) -> Result<Bytes, Failure> {
        loop {
            if let Some(end) = self.buffer.iter().position(|byte| *byte == b'\n') {
                let line = self.buffer.split_to(end).freeze();
                self.buffer.advance(1);
                return Ok(line);
            }
            let frame = self.body.frame().await.ok_or("the server ended the watch")??;
            if let Ok(piece) = frame.into_data() {
                self.buffer.extend_from_slice(&piece);
            }
        }
    }
}
