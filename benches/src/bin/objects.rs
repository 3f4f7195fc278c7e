//! What objects cost on their way to a client: encoding one pod, and listing many from bytes that are encoded already.
#![expect(clippy::print_stdout, reason = "the result goes to standard output")]

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use clap::Parser;
use http::{Request, header};
use http_body_util::{BodyExt, Full};
use serde_json::{Value, json};
use tokenward_apiserver::{ApiServer, Body, Config, PeerIdentity, User, new_store};
use tokenward_benches::rows::{self, Row};
use tokenward_benches::{Failure, machine};
use tokenward_issuer::{Issuer, IssuerConfig};
use tokenward_kube_rules::{FeatureGates, Release};
use tokenward_kube_schema::{find_resource, normalize, parse, protobuf};
use tokenward_tokens::Clock;
use tokio::runtime::Runtime;

/// What objects cost on their way to a client.
#[derive(Debug, Parser)]
struct Arguments {
    /// Rounds that count, after one that does not.
    #[arg(long, default_value_t = 9)]
    rounds: usize,
    /// How long each round of each row takes, about, in milliseconds.
    #[arg(long, default_value_t = 50)]
    round: u64,
    /// Pods in a list.
    #[arg(long, default_value_t = 10_000)]
    pods: usize,
}

const PODS: &str = "/api/v1/namespaces/bench/pods";
const ENCODINGS: [(&str, &str); 2] =
    [("JSON", "application/json"), ("protobuf", "application/vnd.kubernetes.protobuf,application/json")];

fn main() -> Result<(), Failure> {
    let arguments = Arguments::parse();
    println!("{}", machine::heading("objects"));
    let runtime = Arc::new(tokio::runtime::Builder::new_current_thread().enable_time().build()?);
    let server = runtime.block_on(furnished(arguments.pods))?;
    let mut rows = encoding(&runtime.block_on(get(&server, &format!("{PODS}/pod-0"), ENCODINGS[0].1)))?;
    for (name, accept) in ENCODINGS {
        rows.extend(listing(&runtime, &server, arguments.pods, name, accept));
    }
    println!("{}", rows::measured(rows, arguments.rounds, Duration::from_millis(arguments.round)));
    Ok(())
}

async fn furnished(pods: usize) -> Result<ApiServer, Failure> {
    let issuer = Issuer::new(IssuerConfig::new(["https://kubernetes.default.svc"])?);
    let gates = FeatureGates::for_release(Release::V1_35);
    let server = ApiServer::new(Config::new(gates, new_store(), Arc::new(issuer), Clock::system()));
    let admin = server.client(admin());
    admin.create("/api/v1/namespaces", &json!({"metadata": {"name": "bench"}})).await?;
    let accounts = "/api/v1/namespaces/bench/serviceaccounts";
    admin.create(accounts, &json!({"metadata": {"name": "default"}})).await?;
    for number in 0..pods.max(1) {
        admin.create(PODS, &pod(&format!("pod-{number}"))).await?;
    }
    Ok(server)
}

fn admin() -> User {
    User::authenticated("admin", ["system:masters".to_owned()])
}

fn pod(name: &str) -> Value {
    json!({
        "metadata": {"name": name, "labels": {"app": "shop", "pod-template-hash": "6f7c9d5b8"}},
        "spec": {
            "containers": [{
                "name": "shop",
                "image": "registry.example/shop:1.4.2",
                "env": [{"name": "VAULT_ADDR", "value": "https://vault.example:8200"}],
                "resources": {"requests": {"cpu": "100m", "memory": "128Mi"}},
                "volumeMounts": [{"name": "tokens", "mountPath": "/var/run/tokens", "readOnly": true}],
            }],
            "volumes": [{"name": "tokens", "csi": {"driver": "token-files.example", "readOnly": true}}],
        },
    })
}

/// The whole answer, in one place.
async fn get(server: &ApiServer, path: &str, accept: &str) -> Bytes {
    match answer(server, path, accept).await.collect().await {
        Ok(collected) => collected.to_bytes(),
        Err(never) => match never {},
    }
}

/// Takes the answer as a connection does, which encrypts each piece and drops it. Gives its length.
async fn read(server: &ApiServer, path: &str, accept: &str) -> usize {
    let mut body = answer(server, path, accept).await;
    let mut length = 0;
    while let Some(frame) = body.frame().await {
        match frame {
            Ok(frame) => length += black_box(frame.into_data()).map_or(0, |piece| piece.len()),
            Err(never) => match never {},
        }
    }
    length
}

async fn answer(server: &ApiServer, path: &str, accept: &str) -> Body {
    let request = Request::get(path).header(header::ACCEPT, accept).body(Full::new(Bytes::new()));
    let mut request = request.expect("a constant path");
    request.extensions_mut().insert(PeerIdentity(Arc::new(admin())));
    server.handle(request).await.into_body()
}

fn encoding(json: &Bytes) -> Result<Vec<Row>, Failure> {
    let kind = find_resource("", "v1", "pods").ok_or("pods are served")?;
    let encoded = protobuf::encode(kind, &parse(json)?)?.bytes().clone();
    let (length, same, stored) = (encoded.len(), encoded.clone(), json.clone());
    Ok(vec![
        Row::new(format!("a pod from {} bytes of JSON to {length} of protobuf", json.len()), move || {
            parse(black_box(&stored)).map(|tree| protobuf::encode(kind, &tree))
        }),
        Row::new("the same pod from protobuf to a tree that is ready to be stored", move || {
            let tree = protobuf::decode(kind, Release::V1_35, black_box(&encoded));
            tree.map(|tree| normalize(kind, Release::V1_35, &tree))
        }),
        Row::new(format!("floor: copying those {length} bytes"), move || black_box(&same).to_vec()),
    ])
}

fn listing(
    runtime: &Arc<Runtime>,
    server: &ApiServer,
    pods: usize,
    name: &str,
    accept: &'static str,
) -> [Row; 2] {
    let list = runtime.block_on(get(server, PODS, accept));
    let length = list.len();
    let (runtime, server) = (runtime.clone(), server.clone());
    [
        Row::new(format!("a list of {pods} pods as {name}: {length} bytes"), move || {
            runtime.block_on(read(&server, PODS, accept))
        }),
        Row::new(format!("floor: copying those {length} bytes"), move || black_box(&list).to_vec()),
    ]
}
