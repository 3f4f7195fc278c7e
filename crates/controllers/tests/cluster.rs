//! All controllers together over a small cluster in memory, in good times and bad. Time stands still except when
//! everybody waits, so backoff takes no time and nothing here depends on speed.
#![expect(clippy::unwrap_used, reason = "functions outside #[test] in a test file")]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{BoxStream, StreamExt};
use jiff::Timestamp;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokenward_controllers::{Api, ApiError, Controllers, Document, Request, Resource, Verb, WatchEvent};
use tokenward_tokens::{Clock, ManualClock};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_stream::wrappers::UnboundedReceiverStream;
use tokio_util::sync::CancellationToken;

/// Objects by path, and those who watch them.
#[derive(Clone)]
struct Cluster {
    state: Arc<Mutex<State>>,
    revision: watch::Sender<u64>,
}

#[derive(Default)]
struct State {
    objects: BTreeMap<String, Value>,
    watchers: Vec<Watcher>,
    /// Requests in the order of their arrival: target and whether it was carried out.
    sent: Vec<(String, bool)>,
    /// Refuses what it says true to.
    fault: Option<Fault>,
    /// How often each resource has been watched.
    watches: BTreeMap<&'static str, usize>,
}

type Watcher = (&'static str, tokio::sync::mpsc::UnboundedSender<Result<WatchEvent, ApiError>>);
type Fault = Box<dyn FnMut(&Request) -> Option<ApiError> + Send>;

impl Cluster {
    fn new() -> Self {
        Self { state: Arc::default(), revision: watch::Sender::new(0) }
    }

    fn put(&self, path: &str, mut object: Value) {
        let mut state = self.state.lock();
        self.revision.send_modify(|revision| *revision += 1);
        object["metadata"]["resourceVersion"] = json!(self.revision.borrow().to_string());
        let metadata = object["metadata"].as_object_mut().unwrap();
        let parts: Vec<&str> = path.split('/').collect();
        metadata.insert("name".into(), json!(parts[parts.len() - 1]));
        metadata.insert("uid".into(), json!(format!("uid-{path}")));
        if let [_, namespace, _] = parts[..] {
            metadata.insert("namespace".into(), json!(namespace));
        }
        state.objects.insert(path.to_owned(), object.clone());
        state.tell(path, &WatchEvent::applied(object));
    }

    fn remove(&self, path: &str) {
        let mut state = self.state.lock();
        self.revision.send_modify(|revision| *revision += 1);
        let object = state.objects.remove(path).unwrap();
        state.tell(path, &WatchEvent::deleted(object));
    }

    fn get(&self, path: &str) -> Option<Value> {
        self.state.lock().objects.get(path).cloned()
    }

    /// The objects whose path begins so.
    fn all(&self, prefix: &str) -> Vec<(String, Value)> {
        let state = self.state.lock();
        let from = state.objects.range(prefix.to_owned()..).take_while(|(path, _)| path.starts_with(prefix));
        from.map(|(path, object)| (path.clone(), object.clone())).collect()
    }

    fn sent(&self, target: &str) -> usize {
        self.state.lock().sent.iter().filter(|(sent, _)| sent == target).count()
    }

    fn fail(&self, fault: impl FnMut(&Request) -> Option<ApiError> + Send + 'static) {
        self.state.lock().fault = Some(Box::new(fault));
    }

    fn break_watches(&self, error: fn() -> Option<ApiError>) {
        for (_, watcher) in std::mem::take(&mut self.state.lock().watchers) {
            if let Some(error) = error() {
                watcher.send(Err(error)).unwrap();
            }
        }
    }

    /// Waits until `condition` holds.
    async fn until(&self, what: &str, condition: impl Fn(&Self) -> bool) {
        let mut revision = self.revision.subscribe();
        let limit = tokio::time::timeout(Duration::from_secs(3600), async {
            while !condition(self) {
                revision.changed().await.unwrap();
            }
        });
        assert!(limit.await.is_ok(), "{what}: {:?}", self.state.lock().objects);
    }

    /// Waits until nobody has anything to do. Time then moves on by `by`.
    async fn quiet(&self, by: Duration) {
        tokio::time::sleep(by).await;
    }

    fn phase(&self, path: &str) -> String {
        self.get(path)
            .and_then(|object| Some(object["status"]["phase"].as_str()?.to_owned()))
            .unwrap_or_default()
    }

    fn node_of(&self, pod: &str) -> Option<String> {
        Some(self.get(pod)?["spec"]["nodeName"].as_str()?.to_owned())
    }

    fn apply(&self, request: &Request) -> Result<Value, ApiError> {
        let target = request.target.to_string();
        let path = target.trim_end_matches("/status").trim_end_matches("/binding");
        match (request.verb, request.target.subresource) {
            (Verb::Create, None) => {
                if self.get(path).is_some() {
                    return Err(ApiError::AlreadyExists);
                }
                self.put(path, request.body.clone());
            }
            (Verb::Create, Some("binding")) => {
                let mut pod = self.get(path).ok_or(ApiError::NotFound)?;
                if !pod["spec"]["nodeName"].is_null()
                    || pod["metadata"]["uid"] != request.body["metadata"]["uid"]
                {
                    return Err(ApiError::Conflict);
                }
                pod["spec"]["nodeName"] = request.body["target"]["name"].clone();
                self.put(path, pod);
                return Ok(json!({"kind": "Status", "status": "Success"}));
            }
            (Verb::MergePatch, None | Some("status")) => {
                let mut object = self.get(path).ok_or(ApiError::NotFound)?;
                if request.body["metadata"]["resourceVersion"] != object["metadata"]["resourceVersion"] {
                    return Err(ApiError::Conflict);
                }
                merge(&mut object, request.body.clone());
                self.put(path, object);
            }
            (Verb::Delete, None) => return self.delete(path, &request.body),
            (Verb::Get, None) => {}
            (Verb::List, None) => {
                let items: Vec<Value> = self.all(path).into_iter().map(|(_, object)| object).collect();
                let revision = self.revision.borrow().to_string();
                return Ok(json!({"metadata": {"resourceVersion": revision}, "items": items}));
            }
            other => panic!("nobody serves {other:?}"),
        }
        self.drop_if_let_go(path);
        self.get(path).ok_or(ApiError::NotFound)
    }

    fn delete(&self, path: &str, options: &Value) -> Result<Value, ApiError> {
        let mut object = self.get(path).ok_or(ApiError::NotFound)?;
        let uid = &options["preconditions"]["uid"];
        if !uid.is_null() && *uid != object["metadata"]["uid"] {
            return Err(ApiError::Conflict);
        }
        object["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
        self.put(path, object.clone());
        self.drop_if_let_go(path);
        Ok(object)
    }

    /// A terminating object goes with its last finalizer.
    fn drop_if_let_go(&self, path: &str) {
        let is_over = self.get(path).is_some_and(|object| {
            let metadata = &object["metadata"];
            !metadata["deletionTimestamp"].is_null()
                && metadata["finalizers"].as_array().is_none_or(Vec::is_empty)
        });
        if is_over {
            self.remove(path);
        }
    }
}

impl State {
    fn tell(&mut self, path: &str, event: &WatchEvent) {
        let plural = path.split('/').next().unwrap();
        self.watchers.retain(|(of, watcher)| *of != plural || watcher.send(Ok(event.clone())).is_ok());
    }
}

fn merge(target: &mut Value, patch: Value) {
    let Value::Object(patch) = patch else {
        *target = patch;
        return;
    };
    if !target.is_object() {
        *target = json!({});
    }
    for (key, value) in patch {
        if value.is_null() {
            target.as_object_mut().unwrap().remove(&key);
        } else {
            merge(&mut target[key], value);
        }
    }
}

impl Api for Cluster {
    fn watch(&self, resource: Resource) -> BoxStream<'static, Result<WatchEvent, ApiError>> {
        let (sender, receiver) = tokio::sync::mpsc::unbounded_channel();
        let mut state = self.state.lock();
        let prefix = format!("{}/", resource.plural);
        let listed = state.objects.iter().filter(|(path, _)| path.starts_with(&prefix));
        let listed = listed.map(|(_, object)| object.clone()).collect();
        sender.send(Ok(WatchEvent::listed(listed))).unwrap();
        state.watchers.push((resource.plural, sender));
        *state.watches.entry(resource.plural).or_default() += 1;
        UnboundedReceiverStream::new(receiver).boxed()
    }

    async fn send(&self, request: &Request) -> Result<Document, ApiError> {
        let fault = {
            let mut state = self.state.lock();
            state.fault.as_mut().and_then(|fault| fault(request))
        };
        let result = match fault {
            Some(error) => Err(error),
            None => self.apply(request),
        };
        self.state.lock().sent.push((request.target.to_string(), result.is_ok()));
        // Wakes those who count requests.
        self.revision.send_modify(|_| {});
        result.map(Document::from)
    }
}

struct Running {
    cancelled: CancellationToken,
    task: JoinHandle<()>,
}

impl Running {
    fn start(cluster: &Cluster) -> Self {
        Self::with_clock(cluster, ManualClock::new("2026-01-01T00:00:00Z".parse().unwrap()).clock())
    }

    fn with_clock(cluster: &Cluster, clock: Clock) -> Self {
        let cancelled = CancellationToken::new();
        let (cluster, token) = (cluster.clone(), cancelled.clone());
        let task = tokio::spawn(async move { Controllers::new(clock).run(cluster, token).await });
        Self { cancelled, task }
    }

    /// With a clock that moves with the test's time.
    fn in_time(cluster: &Cluster) -> Self {
        let (start, from) = ("2026-01-01T00:00:00Z".parse::<Timestamp>().unwrap(), Instant::now());
        Self::with_clock(cluster, Clock::new(move || start + from.elapsed()))
    }

    async fn stop(self) {
        self.cancelled.cancel();
        tokio::time::timeout(Duration::from_secs(1), self.task).await.expect("a prompt end").unwrap();
    }
}

fn ready_node() -> Value {
    json!({"metadata": {}, "status": {"conditions": [{"type": "Ready", "status": "True"}]}})
}

fn pod_with_claim(claim: &str) -> Value {
    json!({"metadata": {}, "spec": {
        "schedulerName": "default-scheduler",
        "volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": claim}}],
    }})
}

fn volume(size: &str) -> Value {
    json!({"metadata": {}, "spec": {"capacity": {"storage": size}, "accessModes": ["ReadOnlyMany"]}})
}

fn claim(size: &str) -> Value {
    json!({"metadata": {}, "spec": {"accessModes": ["ReadOnlyMany"], "resources": {"requests": {"storage": size}}}})
}

fn quickstart(cluster: &Cluster) {
    cluster.put("namespaces/shop", json!({"metadata": {}}));
    cluster.put(
        "pods/shop/inline",
        json!({"metadata": {}, "spec": {"volumes": [{"name": "v", "csi": {"driver": "d"}}]}}),
    );
    cluster.put("pods/shop/claimed", pod_with_claim("data"));
    cluster.put("persistentvolumeclaims/shop/data", claim("1Gi"));
    cluster.put("persistentvolumes/pv", volume("1Gi"));
    cluster.put("nodes/node", ready_node());
}

fn is_settled(cluster: &Cluster) -> bool {
    cluster.get("serviceaccounts/shop/default").is_some()
        && cluster.node_of("pods/shop/inline").is_some()
        && cluster.node_of("pods/shop/claimed").is_some()
        && cluster.phase("persistentvolumes/pv") == "Bound"
        && cluster.phase("persistentvolumeclaims/shop/data") == "Bound"
}

#[tokio::test(start_paused = true)]
async fn what_was_there_before_and_what_comes_later_is_settled_with_no_write_too_many() {
    for before in [true, false] {
        let cluster = Cluster::new();
        if before {
            quickstart(&cluster);
        }
        let running = Running::start(&cluster);
        if !before {
            cluster.quiet(Duration::from_secs(1)).await;
            quickstart(&cluster);
        }
        cluster.until("settled", is_settled).await;
        cluster.quiet(Duration::from_secs(600)).await;
        let state = cluster.state.lock().sent.clone();
        assert_eq!(state.iter().filter(|(_, done)| !done).count(), 0, "{state:?}");
        for (target, times) in [
            ("serviceaccounts/shop/default", 1),
            ("pods/shop/inline/binding", 1),
            ("pods/shop/claimed/binding", 1),
            ("persistentvolumes/pv", 1),
            ("persistentvolumes/pv/status", 2),
            ("persistentvolumeclaims/shop/data", 1),
            ("persistentvolumeclaims/shop/data/status", 2),
        ] {
            assert_eq!(cluster.sent(target), times, "{target} of {state:?}");
        }
        running.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_pod_tells_why_it_waits_and_goes_when_it_can() {
    let cluster = Cluster::new();
    cluster.put("pods/shop/claimed", pod_with_claim("data"));
    let running = Running::start(&cluster);
    let told = |cluster: &Cluster, wanted: &str| {
        let pod = cluster.get("pods/shop/claimed").unwrap();
        pod["status"]["conditions"][0]["message"] == wanted
    };
    cluster.until("no node", |cluster| told(cluster, "no nodes available to schedule pods")).await;
    cluster.put("nodes/node", ready_node());
    let missing = "0/1 nodes are available: persistentvolumeclaim \"data\" not found.";
    cluster.until("no claim", |cluster| told(cluster, missing)).await;
    cluster.put("persistentvolumeclaims/shop/data", claim("1Gi"));
    let unbound = "0/1 nodes are available: pod has unbound immediate PersistentVolumeClaims.";
    cluster.until("no volume", |cluster| told(cluster, unbound)).await;
    assert_eq!(
        cluster.get("pods/shop/claimed").unwrap()["status"]["conditions"].as_array().unwrap().len(),
        1
    );
    cluster.put("persistentvolumes/pv", volume("1Gi"));
    cluster.until("bound", |cluster| cluster.node_of("pods/shop/claimed").as_deref() == Some("node")).await;
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn failures_conflicts_and_broken_watches_only_delay() {
    let cluster = Cluster::new();
    quickstart(&cluster);
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    cluster.fail(move |request| {
        let times = seen.entry(request.target.to_string()).or_default();
        *times += 1;
        match *times {
            1 => Some(ApiError::Unreachable("connection reset".into())),
            2 => Some(ApiError::of_status(500, "InternalError", "try again")),
            3 => Some(ApiError::Conflict),
            _ => None,
        }
    });
    let running = Running::start(&cluster);
    cluster.until("the first failures", |cluster| cluster.sent("serviceaccounts/shop/default") > 0).await;
    cluster.break_watches(|| Some(ApiError::of_status(410, "Expired", "too old")));
    cluster.until("more failures", |cluster| cluster.sent("persistentvolumes/pv") > 1).await;
    cluster.break_watches(|| None);
    cluster.until("settled", is_settled).await;
    cluster.quiet(Duration::from_secs(60)).await;
    let watches = cluster.state.lock().watches.clone();
    assert!(watches.values().all(|times| *times == 3), "each watch was made anew twice: {watches:?}");
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn one_object_that_always_fails_holds_up_no_other() {
    let cluster = Cluster::new();
    cluster.put("namespaces/broken", json!({"metadata": {}}));
    cluster.fail(|request| {
        (request.target.namespace.as_deref() == Some("broken"))
            .then(|| ApiError::of_status(403, "Forbidden", "not here"))
    });
    let running = Running::start(&cluster);
    for number in 0..20 {
        cluster.put(&format!("namespaces/n{number}"), json!({"metadata": {}}));
        let account = format!("serviceaccounts/n{number}/default");
        cluster.until(&account, |cluster| cluster.get(&account).is_some()).await;
    }
    cluster.quiet(Duration::from_secs(600)).await;
    let tries = cluster.sent("serviceaccounts/broken/default");
    // 50 ms doubling to 30 s: 10 tries in the first half minute, then two a minute.
    assert!((25..=35).contains(&tries), "{tries} tries in ten minutes");
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_controller_that_panics_leaves_the_others_running() {
    let cluster = Cluster::new();
    cluster.fail(|request| {
        assert!(request.target.resource.plural != "persistentvolumes", "as a test");
        None
    });
    let running = Running::start(&cluster);
    quickstart(&cluster);
    cluster
        .until("the others", |cluster| {
            cluster.get("serviceaccounts/shop/default").is_some()
                && cluster.node_of("pods/shop/inline").is_some()
        })
        .await;
    assert_eq!(cluster.phase("persistentvolumes/pv"), "");
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn interrupted_anywhere_the_next_run_goes_on() {
    for survived in 0..10 {
        let cluster = Cluster::new();
        quickstart(&cluster);
        let running = Running::start(&cluster);
        cluster.until("some writes", |cluster| cluster.state.lock().sent.len() >= survived).await;
        running.stop().await;
        let running = Running::start(&cluster);
        cluster.until("settled", is_settled).await;
        running.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_never_comes_is_given_up() {
    /// Never answers the first write.
    #[derive(Clone)]
    struct Silent(Cluster, Arc<Mutex<bool>>);
    impl Api for Silent {
        fn watch(&self, resource: Resource) -> BoxStream<'static, Result<WatchEvent, ApiError>> {
            self.0.watch(resource)
        }
        async fn send(&self, request: &Request) -> Result<Document, ApiError> {
            if !std::mem::replace(&mut *self.1.lock(), true) {
                std::future::pending::<()>().await;
            }
            self.0.send(request).await
        }
    }
    let cluster = Cluster::new();
    cluster.put("namespaces/shop", json!({"metadata": {}}));
    let cancelled = CancellationToken::new();
    let (api, token) = (Silent(cluster.clone(), Arc::default()), cancelled.clone());
    let controllers = Controllers::new(ManualClock::new("2026-01-01T00:00:00Z".parse().unwrap()).clock());
    let task = tokio::spawn(async move { controllers.run(api, token).await });
    cluster.until("the second try", |cluster| cluster.get("serviceaccounts/shop/default").is_some()).await;
    Running { cancelled, task }.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_deleted_claim_releases_its_volume() {
    let cluster = Cluster::new();
    quickstart(&cluster);
    let running = Running::start(&cluster);
    cluster.until("settled", is_settled).await;
    cluster.remove("persistentvolumeclaims/shop/data");
    cluster.until("released", |cluster| cluster.phase("persistentvolumes/pv") == "Released").await;
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_node_that_goes_quiet_loses_its_pods_when_their_patience_ends() {
    let cluster = Cluster::new();
    let tolerance =
        json!([{"key": "node.kubernetes.io/unreachable", "operator": "Exists", "tolerationSeconds": 300}]);
    let pod = |node: &str, tolerations: &Value| {
        json!({
            "metadata": {}, "spec": {"nodeName": node, "tolerations": tolerations},
            "status": {"conditions": [{"type": "Ready", "status": "True"}]},
        })
    };
    let ready =
        |pod: &Value| pod["status"]["conditions"].as_array().unwrap().iter().any(|c| c["status"] == "True");
    cluster.put("nodes/quiet", ready_node());
    cluster.put("nodes/lively", ready_node());
    cluster.put("pods/shop/patient", pod("quiet", &tolerance));
    cluster.put("pods/shop/hasty", pod("quiet", &json!([])));
    cluster.put("pods/shop/elsewhere", pod("lively", &json!([])));
    let running = Running::in_time(&cluster);
    let renewals = tokio::spawn({
        let cluster = cluster.clone();
        async move {
            for second in (0..).step_by(10) {
                cluster.put(
                    "leases/kube-node-lease/lively",
                    json!({"metadata": {}, "spec": {"renewTime": format!("{second}")}}),
                );
                tokio::time::sleep(Duration::from_secs(10)).await;
            }
        }
    });
    cluster.quiet(Duration::from_secs(49)).await;
    assert!(cluster.get("pods/shop/hasty").is_some());
    cluster.until("the hasty one gone", |cluster| cluster.get("pods/shop/hasty").is_none()).await;
    assert!(!ready(&cluster.get("pods/shop/patient").unwrap()));
    cluster.quiet(Duration::from_secs(290)).await;
    assert!(cluster.get("pods/shop/patient").is_some());
    cluster.quiet(Duration::from_secs(20)).await;
    assert!(cluster.get("pods/shop/patient").is_none());
    assert!(ready(&cluster.get("pods/shop/elsewhere").unwrap()));
    let mut back = cluster.get("nodes/quiet").unwrap();
    for condition in back["status"]["conditions"].as_array_mut().unwrap() {
        condition["status"] = json!(if condition["type"] == "Ready" { "True" } else { "False" });
    }
    cluster.put("nodes/quiet", back);
    let untainted = |cluster: &Cluster| cluster.get("nodes/quiet").unwrap()["spec"]["taints"] == json!([]);
    cluster.until("no taints", untainted).await;
    renewals.abort();
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_claim_in_use_outlives_its_deletion_until_the_pod_is_gone() {
    let cluster = Cluster::new();
    quickstart(&cluster);
    let running = Running::start(&cluster);
    cluster.until("settled", is_settled).await;
    for (path, finalizer) in [
        ("persistentvolumeclaims/shop/data", "kubernetes.io/pvc-protection"),
        ("persistentvolumes/pv", "kubernetes.io/pv-protection"),
    ] {
        let mut object = cluster.get(path).unwrap();
        object["metadata"]["finalizers"] = json!([finalizer]);
        cluster.put(path, object);
        cluster.delete(path, &json!({})).unwrap();
    }
    cluster.quiet(Duration::from_secs(600)).await;
    assert!(
        cluster.get("persistentvolumeclaims/shop/data").is_some()
            && cluster.get("persistentvolumes/pv").is_some()
    );
    cluster.remove("pods/shop/claimed");
    cluster
        .until("both gone", |cluster| {
            cluster.get("persistentvolumeclaims/shop/data").is_none()
                && cluster.get("persistentvolumes/pv").is_none()
        })
        .await;
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_daemon_set_has_a_pod_on_each_node_and_is_updated_step_by_step() {
    let cluster = Cluster::new();
    let set = |image: &str, generation: u32| {
        json!({
            "metadata": {"generation": generation},
            "spec": {
                "selector": {"matchLabels": {"app": "agent"}},
                "template": {
                    "metadata": {"labels": {"app": "agent"}},
                    "spec": {"containers": [{"name": "c", "image": image}]},
                },
            },
        })
    };
    // The nodes' part: what is assigned runs, what is deleted stops.
    let acting = tokio::spawn({
        let (cluster, mut revision) = (cluster.clone(), cluster.revision.subscribe());
        async move {
            loop {
                let pods = cluster.all("pods/ns/");
                for (path, mut pod) in pods {
                    if !pod["metadata"]["deletionTimestamp"].is_null() {
                        cluster.remove(&path);
                    } else if pod["spec"]["nodeName"].is_string() && pod["status"]["phase"] != "Running" {
                        pod["status"] =
                            json!({"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]});
                        cluster.put(&path, pod);
                    }
                }
                revision.changed().await.unwrap();
            }
        }
    });
    let on_nodes = |cluster: &Cluster, image: &str| -> Vec<String> {
        let pods = cluster.all("pods/ns/").into_iter();
        let mut nodes: Vec<String> = pods
            .filter(|(_, pod)| pod["spec"]["containers"][0]["image"] == image)
            .filter_map(|(path, _)| cluster.node_of(&path))
            .collect();
        nodes.sort();
        nodes
    };
    let running = Running::start(&cluster);
    cluster.put("nodes/a", ready_node());
    cluster.put("daemonsets/ns/agent", set("one", 1));
    cluster.until("one pod", |cluster| on_nodes(cluster, "one") == ["a"]).await;
    cluster.put("nodes/b", ready_node());
    cluster.until("two pods", |cluster| on_nodes(cluster, "one") == ["a", "b"]).await;
    cluster.put("daemonsets/ns/agent", set("two", 2));
    let is_reported = |cluster: &Cluster| {
        let status = &cluster.get("daemonsets/ns/agent").unwrap()["status"];
        (&status["observedGeneration"], &status["updatedNumberScheduled"], &status["numberAvailable"])
            == (&json!(2), &json!(2), &json!(2))
    };
    cluster.until("updated", is_reported).await;
    assert_eq!(on_nodes(&cluster, "two"), ["a", "b"]);
    assert_eq!(cluster.all("controllerrevisions/ns/").len(), 2);
    acting.abort();
    running.stop().await;
}
