//! All controllers together over a small cluster in memory, in good times and bad. Time stands still except when
//! everybody waits, so backoff takes no time and nothing here depends on speed.
#![expect(clippy::unwrap_used, reason = "functions outside #[test] in a test file")]

mod api;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::BoxStream;
use jiff::Timestamp;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokenward_controllers::{Api, ApiError, Controllers, Document, Request, Resource, WatchEvent};
use tokenward_tokens::{Clock, ManualClock};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use api::Cluster;

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
    let of_no_use = "preemption: 0/1 nodes are available: 1 Preemption is not helpful for scheduling.";
    let missing = format!("0/1 nodes are available: persistentvolumeclaim \"data\" not found. {of_no_use}");
    cluster.until("no claim", |cluster| told(cluster, &missing)).await;
    cluster.put("persistentvolumeclaims/shop/data", claim("1Gi"));
    let unbound =
        format!("0/1 nodes are available: pod has unbound immediate PersistentVolumeClaims. {of_no_use}");
    cluster.until("no volume", |cluster| told(cluster, &unbound)).await;
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
