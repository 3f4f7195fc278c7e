//! Volumes republished all at once, as a node does it when their tokens are due: through token-files, and through the same driver as a Go
//! author writes it (benches/peers/go-driver), in turn, each in a process of its own. Every round has new tokens, so that each
//! publish writes.
#![expect(clippy::print_stdout, reason = "the result goes to standard output")]

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use clap::Parser;
use futures_util::future::try_join_all;
use tokenward_benches::process::{self, Running};
use tokenward_benches::statistics::{Spread, milliseconds, percentile};
use tokenward_benches::{Failure, machine};
use tokenward_csi::v1::node_client::NodeClient;
use tokenward_csi::v1::volume_capability::access_mode::Mode;
use tokenward_csi::v1::volume_capability::{AccessMode, AccessType, MountVolume};
use tokenward_csi::v1::{NodePublishVolumeRequest, NodeUnpublishVolumeRequest, VolumeCapability};
use tokenward_driver_token_files::{Config, DriverConfig, DriverName, SocketPath, serve};
use tokenward_tokens::{Audience, Clock, Placement, Token, TokenEntry, TokenMap, place};
use tokio_util::sync::CancellationToken;
use tonic::transport::Channel;

/// How long a driver may take to start, or to end.
const LIMIT: Duration = Duration::from_secs(20);
/// A token's bytes: as many as one of a real cluster has, more or less.
const TOKEN_BYTES: usize = 1000;

/// Republishes of many volumes at once.
#[derive(Debug, Parser)]
struct Arguments {
    /// The Go driver: `go build` in benches/peers/go-driver makes it.
    #[arg(long)]
    go: Option<PathBuf>,
    /// Volumes, all published at once.
    #[arg(long, default_value_t = 330)]
    volumes: usize,
    /// Audiences of each volume.
    #[arg(long, default_value_t = 3)]
    audiences: usize,
    /// Rounds that count; one before them does not.
    #[arg(long, default_value_t = 7)]
    rounds: usize,
    /// Republishes of all volumes in each round, each with other tokens.
    #[arg(long, default_value_t = 10)]
    rotations: usize,
    /// Processor of the drivers; the client has the one after it.
    #[arg(long, default_value_t = 0)]
    cpu: usize,
    /// How many volumes token-files writes at once, in place of the kit's default.
    #[arg(long)]
    blocking_limit: Option<usize>,
    /// Serves token-files at this socket instead, with two threads, until it is told to end.
    #[arg(long, hide = true)]
    serve: Option<PathBuf>,
}

/// One driver and its volumes.
struct Subject {
    name: &'static str,
    process: Running,
    node: NodeClient<Channel>,
    directory: tempfile::TempDir,
    rotation: usize,
    rounds: Vec<Round>,
}

/// What one round took.
struct Round {
    per_second: f64,
    p99: Duration,
    processor_us: f64,
    memory_kib: u64,
}

fn main() -> Result<(), Failure> {
    let arguments = Arguments::parse();
    if let Some(socket) = &arguments.serve {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        return runtime.block_on(serve_until_told(socket, arguments.blocking_limit));
    }
    println!("{}", machine::heading("republish"));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(measure(&arguments))
}

async fn serve_until_told(socket: &Path, blocking_limit: Option<usize>) -> Result<(), Failure> {
    let name = DriverName::parse("token-files.example")?;
    let mut driver = DriverConfig::new(name, SocketPath::new(socket)?, "node-1");
    if let Some(limit) = blocking_limit {
        driver.blocking_limit = limit;
    }
    let config = Config::new(driver);
    let stop = CancellationToken::new();
    let serving = tokio::spawn(serve(config, stop.clone()));
    tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?.recv().await;
    stop.cancel();
    Ok(serving.await??)
}

async fn measure(arguments: &Arguments) -> Result<(), Failure> {
    let mut subjects = vec![
        start("token-files", arguments, |socket| {
            let mut command = Command::new(std::env::current_exe()?);
            command.arg("--serve").arg(socket);
            if let Some(limit) = arguments.blocking_limit {
                command.arg("--blocking-limit").arg(limit.to_string());
            }
            Ok(command)
        })
        .await?,
    ];
    if let Some(program) = &arguments.go {
        let go = start("Go: grpc-go, kubelet's atomic writer", arguments, |socket| {
            let mut command = Command::new(program);
            command.arg("-endpoint").arg(socket).stderr(Stdio::null());
            Ok(command)
        });
        subjects.push(go.await?);
    }
    process::pin(arguments.cpu + 1)?;
    for round in 0..=arguments.rounds {
        for subject in &mut subjects {
            let measured = subject.round(arguments).await?;
            if round > 0 {
                subject.rounds.push(measured);
            }
        }
    }
    let rows = subjects.iter().map(|subject| {
        let over = |figure: fn(&Round) -> f64| Spread::over(&subject.rounds, figure);
        [
            subject.name.to_owned(),
            format!("{:.0}", over(|round| round.per_second)),
            format!("{:.1}", over(|round| milliseconds(round.p99))),
            format!("{:.0}", over(|round| round.processor_us)),
            format!("{:.1}", over(|round| round.memory_kib as f64 / 1024.0)),
        ]
    });
    let header = ["driver", "publishes/s", "p99, ms", "driver CPU us/publish", "anonymous memory, MiB"];
    println!(
        "{} volumes of {} audiences, all republished at once, each time with new tokens; median (least - most) of {} rounds:",
        arguments.volumes, arguments.audiences, arguments.rounds
    );
    println!("{}", machine::table(header, rows));
    for subject in subjects {
        subject.end(arguments).await?;
    }
    Ok(())
}

async fn start(
    name: &'static str,
    arguments: &Arguments,
    command: impl FnOnce(&Path) -> Result<Command, Failure>,
) -> Result<Subject, Failure> {
    // Its children are where it is.
    process::pin(arguments.cpu)?;
    let directory = tempfile::tempdir()?;
    let socket = directory.path().join("csi.sock");
    let process = Running::new(command(&socket)?.spawn()?);
    let path = SocketPath::new(&socket)?;
    let started = Instant::now();
    let channel = loop {
        match tokenward_transport::connect(&path).await {
            Ok(channel) => break channel,
            Err(error) if started.elapsed() > LIMIT => return Err(error.into()),
            Err(_) => tokio::time::sleep(Duration::from_millis(5)).await,
        }
    };
    let node = NodeClient::new(channel);
    Ok(Subject { name, process, node, directory, rotation: 0, rounds: Vec::new() })
}

impl Subject {
    async fn round(&mut self, arguments: &Arguments) -> Result<Round, Failure> {
        let mut latencies = Vec::new();
        let mut elapsed = Duration::ZERO;
        let before = process::processor_time_with_ended_threads(self.process.id())?;
        for _ in 0..arguments.rotations {
            self.rotation += 1;
            let requests: Vec<_> =
                (0..arguments.volumes).map(|volume| self.request(arguments, volume)).collect();
            let begun = Instant::now();
            let calls = requests.into_iter().map(|request| {
                let mut node = self.node.clone();
                async move {
                    let called = Instant::now();
                    node.node_publish_volume(request).await.map(|_| called.elapsed())
                }
            });
            latencies.extend(try_join_all(calls).await?);
            elapsed += begun.elapsed();
        }
        let spent = process::processor_time_with_ended_threads(self.process.id())?.saturating_sub(before);
        let count = latencies.len() as f64;
        Ok(Round {
            per_second: count / elapsed.as_secs_f64(),
            p99: percentile(&mut latencies, 99).ok_or("wanted a volume at least")?,
            processor_us: spent.as_secs_f64() * 1e6 / count,
            memory_kib: process::anonymous_memory(self.process.id())?,
        })
    }

    fn target(&self, volume: usize) -> Result<String, Failure> {
        let target = self.directory.path().join(volume.to_string());
        target.to_str().map(str::to_owned).ok_or_else(|| "a temporary directory that is no text".into())
    }

    fn request(&self, arguments: &Arguments, volume: usize) -> NodePublishVolumeRequest {
        let tokens: TokenMap = (0..arguments.audiences)
            .map(|audience| {
                let mut token = format!("{}.{volume}.{audience}.", self.rotation);
                token.extend(std::iter::repeat_n('t', TOKEN_BYTES.saturating_sub(token.len())));
                let expires = Some(Clock::system().now() + Duration::from_secs(600));
                (
                    Audience::new(format!("audience-{audience}")),
                    TokenEntry { token: Token::new(token), expires },
                )
            })
            .collect();
        let mut request = NodePublishVolumeRequest {
            volume_id: format!("csi-{volume}"),
            target_path: self.target(volume).unwrap_or_default(),
            volume_capability: Some(VolumeCapability {
                access_mode: Some(AccessMode { mode: Mode::SingleNodeWriter as i32 }),
                access_type: Some(AccessType::Mount(MountVolume::default())),
            }),
            ..Default::default()
        };
        place(&tokens.to_value(), Placement::Secrets, &mut request.secrets, &mut request.volume_context);
        request
    }

    /// Takes the volumes away, and ends the driver.
    async fn end(mut self, arguments: &Arguments) -> Result<(), Failure> {
        for volume in 0..arguments.volumes {
            let target_path = self.target(volume)?;
            let request = NodeUnpublishVolumeRequest { volume_id: format!("csi-{volume}"), target_path };
            self.node.node_unpublish_volume(request).await?;
        }
        // On another thread: here the connection has to be heard of its end.
        let process = self.process;
        tokio::task::spawn_blocking(move || process.terminate(LIMIT).map_err(|error| error.to_string()))
            .await??;
        Ok(())
    }
}
