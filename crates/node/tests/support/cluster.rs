//! A cluster in memory: objects as JSON trees, with watches, resource versions and faults.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures_util::StreamExt as _;
use jiff::{SignedDuration, Timestamp};
use parking_lot::Mutex;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokenward_node::objects::{
    CsiDriver, CsiNode, Lease, NodeObject, PersistentVolume, PersistentVolumeClaim, Pod, Secret,
    VolumeAttachment,
};
use tokenward_node::{
    Cluster, ClusterError, ErrorReason, GrantedToken, PodEvent, PodReference, TokenRequest, Watch, WatchEvent,
};
use tokenward_tokens::{Clock, Token};
use tokio::sync::mpsc;
use tokio_stream::wrappers::UnboundedReceiverStream;

/// Makes the text of a token.
pub type TokenText = Box<dyn Fn(&TokenRequest, usize) -> String + Send + Sync>;

#[derive(Default)]
struct State {
    objects: BTreeMap<String, Value>,
    version: u64,
    pod_watches: Vec<mpsc::UnboundedSender<WatchEvent<Pod>>>,
    csi_driver_watches: Vec<mpsc::UnboundedSender<WatchEvent<CsiDriver>>>,
    token_requests: Vec<TokenRequest>,
    refused_audiences: BTreeSet<String>,
    events: Vec<PodEvent>,
    token_gate: Option<Arc<tokio::sync::Semaphore>>,
    event_gate: Option<Arc<tokio::sync::Semaphore>>,
}

/// The cluster.
pub struct FakeCluster {
    state: Mutex<State>,
    clock: Clock,
    token_text: TokenText,
    /// When all tokens expire, whatever their life.
    expires: Option<Timestamp>,
}

/// Life of tokens whose request names none, in seconds.
const DEFAULT_TTL: i64 = 3600;

impl FakeCluster {
    pub fn new(clock: Clock, token_text: TokenText) -> Arc<Self> {
        Arc::new(Self { state: Mutex::default(), clock, token_text, expires: None })
    }

    /// As the recordings' server: all tokens expire at one time.
    pub fn with_expiry(clock: Clock, token_text: TokenText, expires: Timestamp) -> Arc<Self> {
        Arc::new(Self { state: Mutex::default(), clock, token_text, expires: Some(expires) })
    }

    /// Creates or replaces an object; `kind` is the plural.
    pub fn put(&self, kind: &str, mut object: Value) {
        let mut state = self.state.lock();
        state.version += 1;
        object["metadata"]["resourceVersion"] = json!(state.version.to_string());
        if object["metadata"]["uid"].is_null() {
            object["metadata"]["uid"] = json!(format!("uid-{}", state.version));
        }
        let key = key(
            kind,
            object["metadata"]["namespace"].as_str().unwrap_or(""),
            object["metadata"]["name"].as_str().unwrap(),
        );
        state.objects.insert(key, object.clone());
        state.tell(kind, &object, false);
    }

    pub fn change(&self, kind: &str, namespace: &str, name: &str, patch: &Value) {
        self.patch(kind, namespace, name, patch).unwrap();
    }

    pub fn delete(&self, kind: &str, namespace: &str, name: &str) {
        let mut state = self.state.lock();
        if let Some(object) = state.objects.remove(&key(kind, namespace, name)) {
            state.tell(kind, &object, true);
        }
    }

    pub fn get(&self, kind: &str, namespace: &str, name: &str) -> Option<Value> {
        self.state.lock().objects.get(&key(kind, namespace, name)).cloned()
    }

    pub fn token_requests(&self) -> Vec<TokenRequest> {
        self.state.lock().token_requests.clone()
    }

    pub fn events(&self) -> Vec<PodEvent> {
        self.state.lock().events.clone()
    }

    pub fn refuse_audience(&self, audience: &str, refuse: bool) {
        let mut state = self.state.lock();
        if refuse {
            state.refused_audiences.insert(audience.to_owned());
        } else {
            state.refused_audiences.remove(audience);
        }
    }

    /// From now on each token request waits for a permit.
    pub fn hold_token_requests(&self) -> Arc<tokio::sync::Semaphore> {
        let gate = Arc::new(tokio::sync::Semaphore::new(0));
        self.state.lock().token_gate = Some(Arc::clone(&gate));
        gate
    }

    /// From now on each Event waits for a permit, after being recorded.
    pub fn hold_events(&self) -> Arc<tokio::sync::Semaphore> {
        let gate = Arc::new(tokio::sync::Semaphore::new(0));
        self.state.lock().event_gate = Some(Arc::clone(&gate));
        gate
    }

    fn read<T: DeserializeOwned>(
        &self,
        resource: &str,
        namespace: &str,
        name: &str,
    ) -> Result<T, ClusterError> {
        let (kind, _group) = resource.split_once('.').unwrap_or((resource, ""));
        match self.get(kind, namespace, name) {
            Some(object) => Ok(serde_json::from_value(object).unwrap()),
            None => Err(ClusterError::new(ErrorReason::NotFound, &format!("{resource} {name:?} not found"))),
        }
    }

    fn create<T: DeserializeOwned>(&self, kind: &str, object: &Value) -> Result<T, ClusterError> {
        let name = object["metadata"]["name"].as_str().unwrap();
        let namespace = object["metadata"]["namespace"].as_str().unwrap_or("");
        if self.get(kind, namespace, name).is_some() {
            return Err(ClusterError::new(ErrorReason::AlreadyExists, "already exists"));
        }
        self.put(kind, object.clone());
        self.read(kind, namespace, name)
    }

    fn patch(&self, kind: &str, namespace: &str, name: &str, patch: &Value) -> Result<(), ClusterError> {
        let mut object = self
            .get(kind, namespace, name)
            .ok_or_else(|| ClusterError::new(ErrorReason::NotFound, &format!("{kind} {name:?} not found")))?;
        for field in ["resourceVersion", "uid"] {
            let wanted = &patch["metadata"][field];
            if !wanted.is_null() && *wanted != object["metadata"][field] {
                return Err(ClusterError::new(ErrorReason::Conflict, "the object has been modified"));
            }
        }
        merge(&mut object, patch);
        self.put(kind, object);
        Ok(())
    }
}

impl State {
    fn tell(&mut self, kind: &str, object: &Value, deleted: bool) {
        match kind {
            "pods" => send(&mut self.pod_watches, object, deleted),
            "csidrivers" => send(&mut self.csi_driver_watches, object, deleted),
            _ => {}
        }
    }

    fn list<T: DeserializeOwned>(&self, kind: &str) -> Vec<T> {
        let prefix = format!("{kind}/");
        self.objects
            .iter()
            .filter(|(key, _)| key.starts_with(&prefix))
            .map(|(_, object)| serde_json::from_value(object.clone()).unwrap())
            .collect()
    }
}

fn send<T: DeserializeOwned>(
    watches: &mut Vec<mpsc::UnboundedSender<WatchEvent<T>>>,
    object: &Value,
    deleted: bool,
) {
    watches.retain(|watch| {
        let object = serde_json::from_value(object.clone()).unwrap();
        let event = if deleted { WatchEvent::Deleted(object) } else { WatchEvent::Applied(object) };
        watch.send(event).is_ok()
    });
}

fn key(kind: &str, namespace: &str, name: &str) -> String {
    format!("{kind}/{namespace}/{name}")
}

/// RFC 7386.
fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = json!({});
    }
    let target = target.as_object_mut().unwrap();
    for (key, value) in patch {
        if value.is_null() {
            target.remove(key);
        } else {
            merge(target.entry(key.clone()).or_insert(Value::Null), value);
        }
    }
}

impl Cluster for FakeCluster {
    fn watch_pods(&self, node_name: &str) -> Watch<Pod> {
        let (sender, receiver) = mpsc::unbounded_channel();
        let node_name = node_name.to_owned();
        let mut state = self.state.lock();
        sender.send(WatchEvent::Listed(state.list("pods"))).unwrap();
        state.pod_watches.push(sender);
        let mine = move |pod: &Pod| pod.spec.node_name == node_name;
        UnboundedReceiverStream::new(receiver)
            .filter_map(move |event| {
                let event = match event {
                    WatchEvent::Listed(pods) => {
                        Some(WatchEvent::Listed(pods.into_iter().filter(&mine).collect()))
                    }
                    WatchEvent::Applied(pod) => Some(WatchEvent::Applied(pod)).filter(|event| match event {
                        WatchEvent::Applied(pod) => mine(pod),
                        _ => false,
                    }),
                    WatchEvent::Deleted(pod) => mine(&pod).then_some(WatchEvent::Deleted(pod)),
                };
                std::future::ready(event.map(Ok))
            })
            .boxed()
    }

    fn watch_csi_drivers(&self) -> Watch<CsiDriver> {
        let (sender, receiver) = mpsc::unbounded_channel();
        let mut state = self.state.lock();
        sender.send(WatchEvent::Listed(state.list("csidrivers"))).unwrap();
        state.csi_driver_watches.push(sender);
        UnboundedReceiverStream::new(receiver).map(Ok).boxed()
    }

    async fn persistent_volume_claim(
        &self,
        namespace: &str,
        name: &str,
    ) -> Result<PersistentVolumeClaim, ClusterError> {
        self.read("persistentvolumeclaims", namespace, name)
    }

    async fn persistent_volume(&self, name: &str) -> Result<PersistentVolume, ClusterError> {
        self.read("persistentvolumes", "", name)
    }

    async fn volume_attachment(&self, name: &str) -> Result<VolumeAttachment, ClusterError> {
        self.read("volumeattachments.storage.k8s.io", "", name)
    }

    async fn secret(&self, namespace: &str, name: &str) -> Result<Secret, ClusterError> {
        self.read("secrets", namespace, name)
    }

    async fn service_account_uid(&self, namespace: &str, name: &str) -> Result<String, ClusterError> {
        let account: Lease = self.read("serviceaccounts", namespace, name)?;
        Ok(account.metadata.uid)
    }

    async fn request_token(&self, request: &TokenRequest) -> Result<GrantedToken, ClusterError> {
        let (count, refused, gate) = {
            let mut state = self.state.lock();
            state.token_requests.push(request.clone());
            let refused = state.refused_audiences.contains(request.audience.as_str());
            (state.token_requests.len(), refused, state.token_gate.clone())
        };
        if let Some(gate) = gate {
            gate.acquire().await.unwrap().forget();
        }
        if refused {
            return Err(ClusterError::new(ErrorReason::Forbidden, "refused"));
        }
        let ttl = request.expiration_seconds.unwrap_or(DEFAULT_TTL);
        Ok(GrantedToken {
            token: Token::new((self.token_text)(request, count)),
            expires: self.expires.unwrap_or_else(|| self.clock.now() + SignedDuration::from_secs(ttl)),
            ttl_seconds: Some(ttl),
        })
    }

    async fn node(&self, name: &str) -> Result<NodeObject, ClusterError> {
        self.read("nodes", "", name)
    }

    async fn create_node(&self, node: &Value) -> Result<NodeObject, ClusterError> {
        self.create("nodes", node)
    }

    async fn patch_node(&self, name: &str, patch: &Value) -> Result<NodeObject, ClusterError> {
        self.patch("nodes", "", name, patch)?;
        self.read("nodes", "", name)
    }

    async fn patch_node_status(&self, name: &str, patch: &Value) -> Result<NodeObject, ClusterError> {
        self.patch_node(name, patch).await
    }

    async fn csi_node(&self, name: &str) -> Result<CsiNode, ClusterError> {
        self.read("csinodes", "", name)
    }

    async fn create_csi_node(&self, csi_node: &Value) -> Result<CsiNode, ClusterError> {
        self.create("csinodes", csi_node)
    }

    async fn patch_csi_node(&self, name: &str, patch: &Value) -> Result<CsiNode, ClusterError> {
        self.patch("csinodes", "", name, patch)?;
        self.read("csinodes", "", name)
    }

    async fn create_lease(&self, lease: &Value) -> Result<Lease, ClusterError> {
        self.create("leases", lease)
    }

    async fn patch_lease(&self, name: &str, patch: &Value) -> Result<Lease, ClusterError> {
        self.patch("leases", "kube-node-lease", name, patch)?;
        self.read("leases", "kube-node-lease", name)
    }

    async fn patch_pod_status(&self, pod: &PodReference, patch: &Value) -> Result<(), ClusterError> {
        self.patch("pods", &pod.namespace, &pod.name, patch)
    }

    async fn finish_pod_deletion(&self, pod: &PodReference) -> Result<(), ClusterError> {
        self.delete("pods", &pod.namespace, &pod.name);
        Ok(())
    }

    async fn create_event(&self, event: &PodEvent) -> Result<(), ClusterError> {
        let gate = {
            let mut state = self.state.lock();
            state.events.push(event.clone());
            state.event_gate.clone()
        };
        if let Some(gate) = gate {
            gate.acquire().await.unwrap().forget();
        }
        Ok(())
    }
}

/// A fixed point in time: 2027-01-15T07:00:00Z, an hour before the recordings' tokens expire.
pub fn start() -> Timestamp {
    Timestamp::from_second(1_800_000_000 - 3600).unwrap()
}
