//! The servers that are asked for tokens, each a process of its own: the parent starts this program again, hands it
//! [`Setup`] on standard input, and gets [`Ready`] back. Certificates and signing keys are the parent's, so that all
//! subjects do the same cryptography; they live as long as the run and are in no file.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::sync::Arc;

use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokenward_apiserver::{ApiServer, Config, TlsConfig, User, new_store, serve};
use tokenward_issuer::{Issuer, IssuerConfig, SigningKey};
use tokenward_kube_rules::{FeatureGates, Release};
use tokenward_tokens::Clock;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::process::{self, Running};
use crate::{Failure, peer};

/// The node that asks.
pub const NODE: &str = "node-1";
/// The audience that it asks for, and the CSI driver of its pod's volume asks tokens for.
pub const AUDIENCE: &str = "vault";
/// Where it asks.
pub const PATH: &str = "/api/v1/namespaces/bench/serviceaccounts/app/token";

/// What a server is to be.
#[derive(Deserialize, Serialize)]
pub struct Setup {
    /// Which server.
    pub subject: Subject,
    /// The processor that it may use.
    pub cpu: usize,
    /// Its certificate, PEM.
    pub certificate: String,
    /// Its key, PEM.
    pub key: String,
    /// The authority of client certificates, PEM.
    pub client_authority: String,
    /// The key that signs tokens, PEM.
    pub signing_key: String,
}

/// The servers that are compared.
#[derive(Deserialize, Serialize)]
pub enum Subject {
    /// Ours, over a store in memory.
    ApiServer {
        /// Pods of the same namespace on other nodes, beside the one that the token is for.
        other_pods: usize,
    },
    /// Only TLS, HTTP/2 and the signature.
    Bare {
        /// What it answers, but for the token's signature: an answer of ours.
        answer: String,
    },
}

/// Where a server listens, and what to ask it.
#[derive(Deserialize, Serialize)]
pub struct Ready {
    /// Where.
    pub address: SocketAddr,
    /// The request's body, of ours only.
    pub request: Option<Value>,
}

/// A server in a process of its own. It ends when this is dropped.
pub struct ServerProcess {
    process: Running,
    /// What it has said.
    pub ready: Ready,
}

impl ServerProcess {
    /// Starts this very program with `argument`, which must make it call [`run`].
    ///
    /// # Errors
    /// When it does not start, or does not say that it is ready.
    pub fn start(argument: &str, setup: &Setup) -> Result<Self, Failure> {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg(argument).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn()?;
        let (mut input, output) = (child.stdin.take(), child.stdout.take());
        let process = Running::new(child);
        if let Some(input) = &mut input {
            serde_json::to_writer(input, setup)?;
        }
        // Closed, so that the server knows that it has read all.
        drop(input);
        let mut line = String::new();
        BufReader::new(output.ok_or("a server without an output")?).read_line(&mut line)?;
        let ready = serde_json::from_str(&line).map_err(|_| "the server ended before it was ready")?;
        Ok(Self { process, ready })
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.process.id()
    }
}

/// The child's side of [`ServerProcess::start`]: serves until it is killed.
///
/// # Errors
/// When the setup cannot be read or served.
pub fn run() -> Result<(), Failure> {
    let setup: Setup = serde_json::from_reader(std::io::stdin().lock())?;
    process::pin(setup.cpu)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    runtime.block_on(serve_subject(setup))
}

async fn serve_subject(setup: Setup) -> Result<(), Failure> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let tls = TlsConfig {
        certificates: vec![CertificateDer::from_pem_slice(setup.certificate.as_bytes())?],
        key: PrivateKeyDer::from_pem_slice(setup.key.as_bytes())?,
        client_authorities: vec![CertificateDer::from_pem_slice(setup.client_authority.as_bytes())?],
    };
    let key = SigningKey::from_pem(setup.signing_key.as_bytes())?;
    match setup.subject {
        Subject::ApiServer { other_pods } => {
            let issuer = Arc::new(Issuer::new(IssuerConfig::new(["https://kubernetes.default.svc"])?));
            let gates = FeatureGates::for_release(Release::default());
            let server = ApiServer::new(Config::new(gates, new_store(), issuer, Clock::system()));
            server.set_signing_key(key);
            let request = populate(&server, other_pods).await?;
            say(&Ready { address, request: Some(request) })?;
            // Whoever cancels it kills the process.
            Ok(serve(server, listener, tls, CancellationToken::new()).await?)
        }
        Subject::Bare { answer } => {
            say(&Ready { address, request: None })?;
            peer::serve(listener, tls, key, &answer).await
        }
    }
}

fn say(ready: &Ready) -> Result<(), Failure> {
    let mut output = std::io::stdout().lock();
    serde_json::to_writer(&mut output, ready)?;
    output.write_all(b"\n")?;
    Ok(output.flush()?)
}

/// Makes what a node needs to be allowed to ask, and gives what it asks.
async fn populate(server: &ApiServer, other_pods: usize) -> Result<Value, Failure> {
    let admin = server.client(User::authenticated("admin", ["system:masters".to_owned()]));
    for (path, object) in [
        ("/api/v1/namespaces", json!({"metadata": {"name": "bench"}})),
        ("/api/v1/namespaces/bench/serviceaccounts", json!({"metadata": {"name": "app"}})),
        ("/api/v1/nodes", json!({"metadata": {"name": NODE}})),
        (
            "/apis/storage.k8s.io/v1/csidrivers",
            json!({
                "metadata": {"name": "files.csi.example"},
                "spec": {
                    "attachRequired": false,
                    "volumeLifecycleModes": ["Ephemeral"],
                    "serviceAccountTokenInSecrets": true,
                    "tokenRequests": [{"audience": AUDIENCE}],
                },
            }),
        ),
    ] {
        admin.create(path, &object).await?;
    }
    let pods = "/api/v1/namespaces/bench/pods";
    for number in 0..other_pods {
        admin.create(pods, &pod(&format!("agent-{number}"), &format!("other-{}", number / 30))).await?;
    }
    let pod = admin.create(pods, &pod("app", NODE)).await?.object;
    Ok(json!({
        "kind": "TokenRequest",
        "apiVersion": "authentication.k8s.io/v1",
        "metadata": {"creationTimestamp": null},
        "spec": {
            "audiences": [AUDIENCE],
            "expirationSeconds": 3600,
            "boundObjectRef": {
                "kind": "Pod", "apiVersion": "v1", "name": "app", "uid": pod["metadata"]["uid"],
            },
        },
        "status": {"token": "", "expirationTimestamp": null},
    }))
}

fn pod(name: &str, node: &str) -> Value {
    json!({
        "metadata": {"name": name},
        "spec": {
            "serviceAccountName": "app",
            "nodeName": node,
            "containers": [{
                "name": "app",
                "image": "registry.k8s.io/pause:3.10",
                "volumeMounts": [{"name": "tokens", "mountPath": "/var/run/tokens"}],
            }],
            "volumes": [{"name": "tokens", "csi": {"driver": "files.csi.example", "readOnly": true}}],
        },
    })
}
