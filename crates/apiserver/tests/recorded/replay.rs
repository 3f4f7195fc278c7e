//! One recorded step: send the request, read the answer the way the recording was read.

use std::collections::BTreeMap;
use std::sync::Arc;

use http::{HeaderMap, Request, header};
use http_body_util::{BodyExt, Full};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tokenward_apiserver::{ApiServer, Config, Index, StaticTokens, User, new_store};
use tokenward_issuer::{Algorithm, Issuer, IssuerConfig, SigningKey};
use tokenward_kube_rules::{FeatureGates, Release};
use tokenward_store::Store;
use tokenward_tokens::ManualClock;

use crate::agree::{self, Captures, fill, fill_value};

/// A step of a recording; see the README beside the recordings.
#[derive(Deserialize)]
pub(crate) struct Step {
    #[serde(default)]
    pub(crate) name: String,
    #[serde(default = "admin", rename = "as")]
    user: String,
    bearer: Option<String>,
    #[serde(default)]
    method: String,
    #[serde(default)]
    path: String,
    accept: Option<String>,
    #[serde(rename = "type")]
    content_type: Option<String>,
    body: Option<Value>,
    raw: Option<String>,
    #[serde(default)]
    capture: BTreeMap<String, String>,
    #[serde(default)]
    events: bool,
    #[serde(default)]
    pick: Vec<String>,
    #[serde(default)]
    count: Vec<String>,
    compare: Option<String>,
    restart: Option<BTreeMap<String, String>>,
    #[serde(default)]
    response: Recorded,
}

#[derive(Default, Deserialize)]
struct Recorded {
    status: u16,
    headers: BTreeMap<String, Vec<String>>,
    body: Value,
}

fn admin() -> String {
    "admin".to_owned()
}

const STATIC_TOKENS: &str = "admin-token,admin,1,\"system:masters\"\n\
                             node-1-token,system:node:node-1,2,\"system:nodes\"\n\
                             node-2-token,system:node:node-2,3,\"system:nodes\"\n\
                             alice-token,alice,4,\"\"\n";
const ISSUER: &str = "https://kubernetes.default.svc.cluster.local";
/// The headers that a recording keeps.
const COMPARED_HEADERS: [header::HeaderName; 4] =
    [header::CACHE_CONTROL, header::CONTENT_TYPE, header::RETRY_AFTER, header::WARNING];

/// What the recorded server says of itself: it is one of 1.36 that emulates 1.35, and tells its own release here.
const OWN_RELEASE: &str = "/version";

/// A server set up as the recorded one was, and what was captured from its answers.
pub(crate) struct Replay {
    server: ApiServer,
    store: Store<Index>,
    issuer: Arc<Issuer>,
    clock: ManualClock,
    captures: Captures,
}

impl Replay {
    pub(crate) async fn new() -> Self {
        let config = IssuerConfig::new([ISSUER]).unwrap().with_api_audiences(["api", ISSUER]);
        let issuer = Arc::new(Issuer::new(config));
        issuer.set_signing_key(SigningKey::generate(Algorithm::Rs256).unwrap());
        let store = new_store();
        let clock = ManualClock::new("2026-03-01T12:00:00.25Z".parse::<Timestamp>().unwrap());
        let gates = FeatureGates::for_release(Release::V1_35);
        let server = server(gates, store.clone(), issuer.clone(), &clock);
        // The real one makes these for itself.
        server.establish_default_roles().await.unwrap();
        server.establish_system_priorities().await.unwrap();
        let admin = server.client(User::authenticated("admin", ["system:masters".to_owned()]));
        for name in ["default", "kube-node-lease", "kube-public", "kube-system"] {
            admin.create("/api/v1/namespaces", &json!({"metadata": {"name": name}})).await.unwrap();
        }
        Self { server, store, issuer, clock, captures: Captures::new() }
    }

    /// Takes one step. The error says what differs.
    pub(crate) async fn step(&mut self, step: &Step) -> Result<(), String> {
        if let Some(settings) = &step.restart {
            let gates = FeatureGates::parse(Release::V1_35, &settings["feature-gates"]).unwrap();
            self.server = server(gates, self.store.clone(), self.issuer.clone(), &self.clock);
            return Ok(());
        }
        // What is deleted in one step is gone before the next: the clock never stands still between them.
        self.clock.advance(std::time::Duration::from_secs(1));
        let response = if step.path == OWN_RELEASE {
            let gates = FeatureGates::for_release(Release::V1_36);
            server(gates, self.store.clone(), self.issuer.clone(), &self.clock)
                .handle(self.request(step)?)
                .await
        } else {
            self.server.handle(self.request(step)?).await
        };
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        let found = read(step, &bytes);
        for (name, pointer) in &step.capture {
            let value = found.pointer(pointer).ok_or_else(|| format!("nothing to capture at {pointer}"))?;
            self.captures.insert(name.clone(), value.clone());
        }
        let mut differences = Vec::new();
        if parts.status.as_u16() != step.response.status {
            differences.push(format!("status: wanted {}, found {}", step.response.status, parts.status));
        }
        differences.extend(compare_headers(&step.response.headers, &parts.headers));
        let expected = fill_value(&step.response.body, &self.captures)?;
        let contains = step.compare.as_deref() == Some("contains");
        differences.extend(agree::bodies(&expected, &picked(step, found), contains));
        if differences.is_empty() { Ok(()) } else { Err(differences.join("\n    ")) }
    }

    fn request(&self, step: &Step) -> Result<Request<Full<bytes::Bytes>>, String> {
        let path = fill(&step.path, &self.captures)?;
        let mut request = Request::builder().method(step.method.as_str()).uri(path);
        let bearer = match (&step.bearer, step.user.as_str()) {
            (Some(token), _) => Some(fill(token, &self.captures)?),
            (None, "anonymous") => None,
            (None, user) => Some(format!("{user}-token")),
        };
        if let Some(token) = bearer {
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        request = request.header(header::ACCEPT, step.accept.as_deref().unwrap_or("application/json"));
        let body = match (&step.raw, &step.body) {
            (Some(raw), _) => fill(raw, &self.captures)?,
            (None, Some(body)) => fill_value(body, &self.captures)?.to_string(),
            (None, None) => String::new(),
        };
        if !body.is_empty() {
            let content_type = step.content_type.as_deref().unwrap_or("application/json");
            request = request.header(header::CONTENT_TYPE, content_type);
        }
        Ok(request.body(Full::new(body.into())).unwrap())
    }
}

fn server(gates: FeatureGates, store: Store<Index>, issuer: Arc<Issuer>, clock: &ManualClock) -> ApiServer {
    let mut config = Config::new(gates, store, issuer, clock.clock());
    config.static_tokens = StaticTokens::parse(STATIC_TOKENS).unwrap();
    config.external_address = "server.example:6443".to_owned();
    ApiServer::new(config)
}

/// The body as the recording keeps it: JSON, reduced events, or text.
fn read(step: &Step, bytes: &[u8]) -> Value {
    if step.events {
        let lines = bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        return lines.map(|line| reduced(&serde_json::from_slice(line).unwrap())).collect();
    }
    serde_json::from_slice(bytes).unwrap_or_else(|_| String::from_utf8_lossy(bytes).into_owned().into())
}

/// An event reduced to what does not change from run to run.
fn reduced(event: &Value) -> Value {
    let object = &event["object"];
    let mut kept = Map::from_iter([("type".to_owned(), event["type"].clone())]);
    let members = [
        ("kind", "/kind"),
        ("name", "/metadata/name"),
        ("annotations", "/metadata/annotations"),
        ("status", "/status"),
        ("reason", "/reason"),
        ("code", "/code"),
        ("message", "/message"),
    ];
    for (name, pointer) in members {
        if matches!(name, "status" | "reason" | "code" | "message") && object["kind"] != "Status" {
            continue;
        }
        kept.extend(object.pointer(pointer).map(|value| (name.to_owned(), value.clone())));
    }
    Value::Object(kept)
}

fn picked(step: &Step, found: Value) -> Value {
    if step.pick.is_empty() && step.count.is_empty() {
        return found;
    }
    let picks =
        step.pick.iter().filter_map(|pointer| Some((pointer.clone(), found.pointer(pointer)?.clone())));
    let counts = step.count.iter().filter_map(|pointer| {
        let list = found.pointer(pointer)?.as_array()?;
        Some((format!("#{pointer}"), json!(list.len())))
    });
    Value::Object(picks.chain(counts).collect())
}

fn compare_headers(expected: &BTreeMap<String, Vec<String>>, found: &HeaderMap) -> Vec<String> {
    let mut differences = Vec::new();
    for name in COMPARED_HEADERS {
        let expected = expected.iter().find(|(own, _)| name.as_str().eq_ignore_ascii_case(own));
        let expected: Vec<&str> =
            expected.into_iter().flat_map(|(_, values)| values).map(String::as_str).collect();
        let found: Vec<&str> = found.get_all(&name).iter().filter_map(|value| value.to_str().ok()).collect();
        if expected != found {
            differences.push(format!("{name}: wanted {expected:?}, found {found:?}"));
        }
    }
    differences
}
