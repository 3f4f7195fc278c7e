//! One change, many watchers: how many deliveries a second, what each costs the server, and whether each watcher gets
//! each change, once and in order. The server on one processor, the client with all its watchers on another.
#![expect(clippy::print_stdout, reason = "the result goes to standard output")]

use std::time::{Duration, Instant};

use bytes::Bytes;
use clap::Parser;
use http::{Method, StatusCode};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::{Value, json};
use tokenward_benches::certificates::Authority;
use tokenward_benches::client::{Connection, Credentials};
use tokenward_benches::statistics::{Spread, microseconds};
use tokenward_benches::token_server::{self, ServerProcess, Setup, Subject};
use tokenward_benches::watchers::Watchers;
use tokenward_benches::{Failure, machine, process};
use tokenward_issuer::{Algorithm, SigningKey};
use tokio::task::JoinSet;

/// What makes this program the server.
const SERVE: &str = "--serve";
/// What is watched.
const PODS: &str = "/api/v1/namespaces/bench/pods";
/// How long a round may take.
const LIMIT: Duration = Duration::from_secs(300);

/// Watch fan-out: deliveries per second and their cost.
#[derive(Debug, Parser)]
struct Arguments {
    /// Watchers of one namespace's pods.
    #[arg(long, default_value_t = 1_000)]
    watchers: usize,
    /// Connections that they share; one each unless told otherwise, as kubelets have.
    #[arg(long)]
    connections: Option<usize>,
    /// Changes of a round.
    #[arg(long, default_value_t = 200)]
    changes: usize,
    /// Changes in flight, each to a pod of its own. With more than one, a watcher that is behind gets several at once.
    #[arg(long, default_value_t = 1)]
    in_flight: usize,
    /// Bytes that each pod carries beside what every pod has.
    #[arg(long, default_value_t = 1_024)]
    ballast: usize,
    /// Rounds that count, after one that does not.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// The server's processor.
    #[arg(long, default_value_t = 0)]
    server_cpu: usize,
    /// The client's processor.
    #[arg(long, default_value_t = 1)]
    client_cpu: usize,
}

fn main() -> Result<(), Failure> {
    if std::env::args().nth(1).as_deref() == Some(SERVE) {
        return token_server::run();
    }
    let arguments = Arguments::parse();
    let least =
        [arguments.watchers, arguments.connections.unwrap_or(1), arguments.changes, arguments.in_flight];
    if least.contains(&0) || arguments.rounds == 0 {
        return Err("wanted one watcher, connection, change, change in flight and round at least".into());
    }
    process::pin(arguments.client_cpu)?;
    println!("{}", machine::heading("watch-fanout"));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(measure(&arguments))
}

struct Round {
    elapsed: Duration,
    server_time: Duration,
    /// This thread's own, the requests that make the changes included.
    client_time: Duration,
}

async fn measure(arguments: &Arguments) -> Result<(), Failure> {
    let authority = Authority::generate()?;
    let (identity, administrator) = (authority.server()?, authority.administrator()?);
    let server = ServerProcess::start(
        SERVE,
        &Setup {
            subject: Subject::ApiServer { other_pods: 0 },
            cpu: arguments.server_cpu,
            certificate: identity.certificate,
            key: identity.key,
            client_authority: authority.certificate.clone(),
            signing_key: SigningKey::generate(Algorithm::Es256)?.to_pem()?.to_string(),
        },
    )?;
    let tls = Credentials {
        authority: CertificateDer::from_pem_slice(authority.certificate.as_bytes())?,
        certificate: CertificateDer::from_pem_slice(administrator.certificate.as_bytes())?,
        key: PrivateKeyDer::from_pem_slice(administrator.key.as_bytes())?,
    }
    .into_http2()?;
    let mut writer = Connection::open(server.ready.address, tls.clone()).await?;
    let mut size = 0;
    for number in 0..arguments.in_flight {
        size = create(&mut writer, number, arguments.ballast).await?;
    }
    let connections = arguments.connections.unwrap_or(arguments.watchers);
    let path = format!("{PODS}?watch=1&resourceVersion={}", revision(&mut writer).await?);
    let address = server.ready.address;
    let mut watchers = Watchers::start(address, &tls, connections, &path, arguments.watchers).await?;
    let mut rounds = Vec::new();
    for number in 0..=arguments.rounds {
        let round = round(arguments, &writer, &mut watchers, server.id(), number).await?;
        if number > 0 {
            rounds.push(round);
        }
    }
    report(arguments, connections, size, &rounds);
    Ok(())
}

async fn create(writer: &mut Connection, number: usize, ballast: usize) -> Result<usize, Failure> {
    let pod = json!({
        "metadata": {"name": name(number), "annotations": {"ballast": "x".repeat(ballast)}},
        "spec": {"serviceAccountName": "app", "containers": [{"name": "app", "image": "pause"}]},
    });
    let (status, answer) = writer.call(Method::POST, PODS, pod.to_string().into()).await?;
    if status != StatusCode::CREATED {
        return Err(format!("wanted 201, found {status}: {}", String::from_utf8_lossy(&answer)).into());
    }
    Ok(answer.len())
}

fn name(number: usize) -> String {
    format!("pod-{number}")
}

async fn revision(writer: &mut Connection) -> Result<String, Failure> {
    let (_, list) = writer.call(Method::GET, PODS, Bytes::new()).await?;
    let list: Value = serde_json::from_slice(&list)?;
    let revision = list.pointer("/metadata/resourceVersion").and_then(Value::as_str);
    Ok(revision.ok_or("a list without a resource version")?.to_owned())
}

async fn round(
    arguments: &Arguments,
    writer: &Connection,
    watchers: &mut Watchers,
    server: u32,
    number: usize,
) -> Result<Round, Failure> {
    watchers.expect((arguments.changes * arguments.in_flight) as u64);
    let used_before = process::processor_time(server)?;
    let own_before = process::own_time();
    let started = Instant::now();
    let mut lanes = JoinSet::new();
    for pod in 0..arguments.in_flight {
        let (mut writer, changes) = (writer.clone(), arguments.changes);
        lanes.spawn(async move {
            let path = format!("{PODS}/{}", name(pod));
            for change in 0..changes {
                let label = format!("{number}-{change}");
                let patch = json!({"metadata": {"labels": {"change": label}}}).to_string();
                let status = writer.merge_patch(&path, patch.into()).await?;
                if status != StatusCode::OK {
                    return Err::<(), Failure>(format!("wanted 200, found {status}").into());
                }
            }
            Ok(())
        });
    }
    watchers.all_delivered(LIMIT).await?;
    let elapsed = started.elapsed();
    let server_time = process::processor_time(server)?.saturating_sub(used_before);
    let client_time = process::own_time().saturating_sub(own_before);
    while let Some(lane) = lanes.join_next().await {
        lane??;
    }
    Ok(Round { elapsed, server_time, client_time })
}

fn report(arguments: &Arguments, connections: usize, size: usize, rounds: &[Round]) {
    let deliveries = arguments.changes * arguments.in_flight * arguments.watchers;
    let count = f64::from(u32::try_from(deliveries).unwrap_or(u32::MAX));
    let rows = [
        ("deliveries/s", Spread::over(rounds, |round| count / round.elapsed.as_secs_f64())),
        ("server CPU us/delivery", Spread::over(rounds, |round| microseconds(round.server_time) / count)),
        ("client CPU us/delivery", Spread::over(rounds, |round| microseconds(round.client_time) / count)),
        (
            "server busy, %",
            Spread::over(rounds, |round| {
                100.0 * round.server_time.as_secs_f64() / round.elapsed.as_secs_f64()
            }),
        ),
    ];
    println!(
        "{} watchers on {connections} connections, {deliveries} deliveries a round of about {size} bytes each, {} rounds; \
         none lost, none twice, all in order:",
        arguments.watchers,
        rounds.len()
    );
    println!(
        "{}",
        machine::table(
            ["watch fan-out", "figure"],
            rows.map(|(name, spread)| [name.to_owned(), format!("{spread:.2}")])
        )
    );
}
