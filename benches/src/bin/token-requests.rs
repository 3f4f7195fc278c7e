//! TokenRequests over HTTPS from a node's identity, for a pod, one audience: our API server beside a bare server that
//! only does TLS, HTTP/2 and the signature. Both in turn, round by round, on one processor; the client on another.
#![expect(clippy::print_stdout, reason = "the result goes to standard output")]

use std::io::Write as _;

use bytes::Bytes;
use clap::Parser;
use http::{Method, StatusCode};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokenward_benches::certificates::{Authority, Identity};
use tokenward_benches::client::{Connection, Credentials};
use tokenward_benches::load::{Round, Work, round};
use tokenward_benches::peer::token_of;
use tokenward_benches::statistics::{Spread, microseconds, milliseconds};
use tokenward_benches::token_server::{self, AUDIENCE, NODE, PATH, ServerProcess, Setup, Subject};
use tokenward_benches::{Failure, machine, process};
use tokenward_issuer::{Algorithm, SigningKey};
use tokenward_jose::CompactJws;

/// What makes this program one of the servers.
const SERVE: &str = "--serve";

/// TokenRequests: our API server beside a bare one.
#[derive(Debug, Parser)]
struct Arguments {
    /// Rounds that count, after one that does not.
    #[arg(long, default_value_t = 7)]
    rounds: usize,
    /// Requests of a round with RS256.
    #[arg(long, default_value_t = 4_000)]
    requests: usize,
    /// Requests of a round with ES256.
    #[arg(long, default_value_t = 20_000)]
    requests_es256: usize,
    /// Requests in flight.
    #[arg(long, default_value_t = 64)]
    in_flight: usize,
    /// Connections that they share.
    #[arg(long, default_value_t = 4)]
    connections: usize,
    /// The servers' processor.
    #[arg(long, default_value_t = 0)]
    server_cpu: usize,
    /// The client's processor.
    #[arg(long, default_value_t = 1)]
    client_cpu: usize,
    /// Pods of the namespace on other nodes, 30 on each.
    #[arg(long, default_value_t = 0)]
    other_pods: usize,
    /// Let the client sleep while nothing has arrived. A server's time then includes waking it: the more, the slower
    /// that server is.
    #[arg(long)]
    sleeping_client: bool,
}

fn main() -> Result<(), Failure> {
    if std::env::args().nth(1).as_deref() == Some(SERVE) {
        return token_server::run();
    }
    let arguments = Arguments::parse();
    if arguments.connections == 0 || arguments.in_flight == 0 || arguments.rounds == 0 {
        return Err("wanted one round, one connection and one request in flight at least".into());
    }
    process::pin(arguments.client_cpu)?;
    println!("{}", machine::heading("token-requests"));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    if !arguments.sleeping_client {
        runtime.spawn(async {
            loop {
                tokio::task::yield_now().await;
            }
        });
    }
    runtime.block_on(measure(&arguments))
}

async fn measure(arguments: &Arguments) -> Result<(), Failure> {
    for (algorithm, requests) in
        [(Algorithm::Rs256, arguments.requests), (Algorithm::Es256, arguments.requests_es256)]
    {
        let pair = Pair::start(algorithm, arguments).await?;
        let mut rounds = Vec::new();
        for number in 0..=arguments.rounds {
            // Who goes first changes: what one leaves behind, heat or a cold cache, is shared out.
            let (ours, bare) = if number % 2 == 0 {
                let ours = pair.ours.round(arguments, requests).await?;
                (ours, pair.bare.round(arguments, requests).await?)
            } else {
                let bare = pair.bare.round(arguments, requests).await?;
                (pair.ours.round(arguments, requests).await?, bare)
            };
            if number > 0 {
                rounds.push((ours, bare));
            }
        }
        report(algorithm, requests, &rounds)?;
    }
    Ok(())
}

struct Pair {
    ours: Target,
    bare: Target,
}

/// A server, the connections to it, and what it is asked.
struct Target {
    process: ServerProcess,
    connections: Vec<Connection>,
    work: Work,
    signing_key: SigningKey,
}

impl Pair {
    async fn start(algorithm: Algorithm, arguments: &Arguments) -> Result<Self, Failure> {
        let authority = Authority::generate()?;
        let (server, node) = (authority.server()?, authority.node(NODE)?);
        let signing_key = SigningKey::generate(algorithm)?.to_pem()?;
        let setup = |subject| Setup {
            subject,
            cpu: arguments.server_cpu,
            certificate: server.certificate.clone(),
            key: server.key.clone(),
            client_authority: authority.certificate.clone(),
            signing_key: signing_key.to_string(),
        };
        let ours = setup(Subject::ApiServer { other_pods: arguments.other_pods });
        let ours = ServerProcess::start(SERVE, &ours)?;
        let request = ours.ready.request.as_ref().ok_or("a server without a request")?.to_string();
        let target = async |process, signing_key| {
            Target::connect(process, signing_key, &authority, &node, arguments, request.clone().into()).await
        };
        let ours = target(ours, SigningKey::from_pem(signing_key.as_bytes())?).await?;
        let bare = setup(Subject::Bare { answer: ours.ask().await? });
        let bare = ServerProcess::start(SERVE, &bare)?;
        let bare = target(bare, SigningKey::from_pem(signing_key.as_bytes())?).await?;
        if ours.work.answer_length != bare.work.answer_length {
            return Err("the servers' answers differ in length".into());
        }
        Ok(Self { ours, bare })
    }
}

impl Target {
    async fn connect(
        process: ServerProcess,
        signing_key: SigningKey,
        authority: &Authority,
        node: &Identity,
        arguments: &Arguments,
        body: Bytes,
    ) -> Result<Self, Failure> {
        let credentials = Credentials {
            authority: CertificateDer::from_pem_slice(authority.certificate.as_bytes())?,
            certificate: CertificateDer::from_pem_slice(node.certificate.as_bytes())?,
            key: PrivateKeyDer::from_pem_slice(node.key.as_bytes())?,
        };
        let tls = credentials.into_http2()?;
        let mut connections = Vec::new();
        for _ in 0..arguments.connections {
            connections.push(Connection::open(process.ready.address, tls.clone()).await?);
        }
        let work = Work { path: PATH.to_owned(), body, answer_length: 0 };
        let mut target = Self { process, connections, work, signing_key };
        target.work.answer_length = target.ask().await?.len();
        Ok(target)
    }

    /// Asks once and looks closely at the answer: the token is signed by the key, and for the audience and the pod.
    async fn ask(&self) -> Result<String, Failure> {
        let mut connection = self.connections[0].clone();
        let (status, answer) = connection.call(Method::POST, PATH, self.work.body.clone()).await?;
        if status != StatusCode::CREATED {
            // A refusal is a Status: it names objects and never a token.
            return Err(format!("wanted 201, found {status}: {}", String::from_utf8_lossy(&answer)).into());
        }
        let answer = String::from_utf8(answer.to_vec()).map_err(|_| "an answer that is not UTF-8")?;
        let token = CompactJws::parse(token_of(&answer)?)?;
        let (signature, claims) = (token.signature()?, token.unverified_claims()?);
        let is_signed =
            self.signing_key.verifying_key().verifies(token.signing_input().as_bytes(), &signature);
        let is_bound = claims.kubernetes.is_some_and(|claims| claims.pod.is_some() && claims.node.is_some());
        if !is_signed || !is_bound || !claims.aud.contains(AUDIENCE) {
            return Err("the token is not the one that was asked for".into());
        }
        Ok(answer)
    }

    async fn round(&self, arguments: &Arguments, requests: usize) -> Result<Round, Failure> {
        let round =
            round(&self.connections, &self.work, arguments.in_flight, requests, self.process.id()).await?;
        self.ask().await?;
        Ok(round)
    }
}

fn report(algorithm: Algorithm, requests: usize, rounds: &[(Round, Round)]) -> Result<(), Failure> {
    let row = |name: &str, of: fn(&(Round, Round)) -> &Round| {
        let spread = |figure: fn(&Round) -> f64| Spread::over(rounds, |pair| figure(of(pair)));
        [
            name.to_owned(),
            format!("{:.0}", spread(|round| round.rate)),
            format!("{:.1}", spread(|round| microseconds(round.server_time))),
            format!("{:.0} %", spread(|round| round.server_busy * 100.0).median),
            format!("{:.2}", spread(|round| milliseconds(round.p50))),
            format!("{:.2}", spread(|round| milliseconds(round.p99))),
        ]
    };
    let header = ["server", "requests/s", "server CPU us/request", "server busy", "p50 ms", "p99 ms"];
    let rows = [row("tokenward", |pair| &pair.0), row("bare", |pair| &pair.1)];
    println!("{}, {requests} requests a round, {} rounds:", algorithm.as_str(), rounds.len());
    println!("{}", machine::table(header, rows));
    let rate = Spread::over(rounds, |(ours, bare)| 100.0 * ours.rate / bare.rate);
    let time = Spread::over(rounds, |(ours, bare)| {
        100.0 * bare.server_time.as_secs_f64() / ours.server_time.as_secs_f64()
    });
    println!("tokenward / bare, by rounds: {rate:.1} % of its requests/s, {time:.1} % by server CPU\n");
    Ok(std::io::stdout().flush()?)
}
