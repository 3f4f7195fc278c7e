//! End to end: API server, node and driver in one process, an exchange server that believes the API server's issuer and fetches its keys
//! through discovery, and a pod with an inline volume. Without this, driver, node and issuer could each be right and not fit.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

#[expect(dead_code, reason = "shared with the tests of the driver, which use all of it")]
mod common;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use common::exchange_server::{AUDIENCE, ExchangeServer, ISSUED, Mood, some_authority};
use common::world::Told;
use serde_json::{Value, json};
use tokenward_cluster::control_plane::{ControlPlaneConfig, DEFAULT_ISSUER};
use tokenward_cluster::{Cluster, ClusterConfig, Happening, Observation, apply, manifest};
use tokenward_driver::testing::Served;
use tokenward_driver::tokens::{Clock, ManualClock, Placement};
use tokenward_driver_workload_credentials::{
    Config, Configuration, DriverConfig, DriverName, SocketPath, serve,
};
use tokenward_issuer::{Algorithm, SigningKey};
use tokenward_kube_rules::{FeatureGates, Release};
use tokenward_node::Republish;
use tokio_util::sync::CancellationToken;

const NAME: &str = "workload-credentials.tokenward.dev";
const LIMIT: Duration = Duration::from_secs(60);

fn deploy(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/workload-credentials").join(file)
}

fn csi_driver(file: &str) -> Value {
    let manifests = manifest::load(&[deploy(file)]).unwrap();
    let found = manifests.into_iter().find(|manifest| manifest.kind.kind == "CSIDriver").unwrap();
    Value::Object(found.object)
}

struct World {
    cluster: Cluster,
    server: Arc<ExchangeServer>,
    clock: ManualClock,
    told: Arc<Told>,
    directory: tempfile::TempDir,
    driver: Served,
}

impl World {
    async fn start() -> Self {
        // Certificates are checked against the system's time.
        let clock = ManualClock::new(Clock::system().now());
        let server = ExchangeServer::unbelieving(clock.clock()).await;
        server.grant_for(100);
        let directory = tempfile::Builder::new().prefix("wc-").tempdir_in("/tmp").unwrap();
        std::fs::write(directory.path().join("ca.pem"), some_authority()).unwrap();
        let configuration = Configuration::parse(&server.configuration(), directory.path()).unwrap();
        let endpoint = SocketPath::new(directory.path().join("csi.sock")).unwrap();
        let told = Arc::new(Told::default());
        let mut driver = DriverConfig::new(DriverName::parse(NAME).unwrap(), endpoint.clone(), "node-1");
        driver.clock = clock.clock();
        let config = Config::new(driver, configuration).events(told.clone());
        let at = config.driver.endpoint.clone();
        let driver = Served::start(&at, |stop| serve(config, stop)).await;

        let mut control_plane = ControlPlaneConfig::new(FeatureGates::for_release(Release::V1_35)).unwrap();
        control_plane.clock = clock.clock();
        control_plane.signing_key = Some(SigningKey::generate(Algorithm::Es256).unwrap());
        let cluster = Cluster::start(ClusterConfig {
            control_plane,
            nodes: 1,
            root_dir: None,
            csi_drivers: vec![NAME.to_owned()],
            endpoints: BTreeMap::from([(NAME.to_owned(), endpoint)]),
            republish: Republish::PodSync,
            drop_forged_keys: false,
        })
        .await
        .unwrap();
        let plane = cluster.control_plane();
        server.believe(DEFAULT_ISSUER, &plane.url(), plane.authority().certificate_pem().into_bytes());
        Self { cluster, server, clock, told, directory, driver }
    }

    async fn create(&self, path: &str, object: &Value) {
        self.cluster.control_plane().admin().create(path, object).await.unwrap();
    }

    async fn set_up(&self) {
        // The issuer's documents are for those who may ask; the exchange server has no identity in the cluster.
        let discovery = json!({
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "ClusterRoleBinding",
            "metadata": {"name": "discovery-for-all"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "system:service-account-issuer-discovery"},
            "subjects": [{"kind": "Group", "apiGroup": "rbac.authorization.k8s.io", "name": "system:unauthenticated"}],
        });
        self.create("/apis/rbac.authorization.k8s.io/v1/clusterrolebindings", &discovery).await;
        let mut driver = csi_driver("1-driver.yaml");
        driver["spec"]["tokenRequests"] = json!([{"audience": AUDIENCE, "expirationSeconds": 3600}]);
        self.create("/apis/storage.k8s.io/v1/csidrivers", &driver).await;
        let named =
            |kind: &str, name: &str| json!({"apiVersion": "v1", "kind": kind, "metadata": {"name": name}});
        self.create("/api/v1/namespaces", &named("Namespace", "apps")).await;
        self.create("/api/v1/namespaces/apps/serviceaccounts", &named("ServiceAccount", "shop")).await;
        let pod = json!({
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "shop-0", "namespace": "apps"},
            "spec": {
                "serviceAccountName": "shop",
                "containers": [{"name": "main", "image": "registry.k8s.io/pause:3.10"}],
                "volumes": [{"name": "credentials", "csi": {
                    "driver": NAME,
                    "readOnly": true,
                    "volumeAttributes": {
                        "exchange": "aws",
                        "role": "arn:aws:iam::123456789012:role/shop",
                        "credentialsFile": "aws/credentials",
                        "credentialsFormat": "env",
                        "tokenFile.token": AUDIENCE,
                        // A pod's author may write what the kubelet writes: it must never count once the CSIDriver has opted in.
                        "csi.storage.k8s.io/serviceAccount.tokens": "{\"exchange.example\":{\"token\":\"forged\"}}",
                    },
                }}],
            },
        });
        self.create("/api/v1/namespaces/apps/pods", &pod).await;
    }

    /// Waits for something that the node observes.
    async fn observed<T>(&mut self, what: &str, wanted: impl Fn(&Observation) -> Option<T>) -> T {
        let mut seen = Vec::new();
        let found = tokio::time::timeout(LIMIT, async {
            loop {
                match self.cluster.next().await {
                    Happening::Observed(observation) => {
                        if let Some(found) = wanted(&observation) {
                            return found;
                        }
                        seen.push(format!("{observation:?}"));
                    }
                    Happening::Failed(error) => panic!("{error:?}"),
                }
            }
        });
        let found = found.await;
        found.unwrap_or_else(|_| panic!("waited in vain for {what}; seen: {seen:#?}"))
    }

    /// Waits for a publish; says where the tokens were.
    async fn delivered(&mut self, republish: bool) -> Option<Placement> {
        let what = if republish { "a republish" } else { "a publish" };
        self.observed(what, |observation| match observation {
            Observation::Delivered(delivery) if delivery.republish == republish => Some(delivery.placement),
            _ => None,
        })
        .await
    }

    /// Lets so much time pass that credentials are due and the node publishes again.
    fn wait_for_the_last_fifth(&self) {
        self.clock.advance(Duration::from_secs(95));
    }

    /// The files of the pod's volume.
    fn volume(&self) -> Option<PathBuf> {
        fn below(directory: &Path) -> Option<PathBuf> {
            let entries = std::fs::read_dir(directory).ok()?;
            for path in entries.flatten().map(|entry| entry.path()) {
                if path.is_dir() && path.join("..data").exists() {
                    return Some(path);
                }
                if path.is_dir()
                    && !path.is_symlink()
                    && let Some(found) = below(&path)
                {
                    return Some(found);
                }
            }
            None
        }
        below(self.cluster.root_dir())
    }

    fn read(&self, file: &str) -> String {
        std::fs::read_to_string(self.volume().unwrap().join(file)).unwrap()
    }

    fn secret_key(&self) -> String {
        let text = self.read("aws/credentials");
        let line = text.lines().find_map(|line| line.strip_prefix("AWS_SECRET_ACCESS_KEY="));
        line.unwrap().to_owned()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pod_gets_credentials_that_are_renewed_kept_and_taken_away() {
    let mut world = World::start().await;
    world.set_up().await;

    // Phase 1 of the rollout: the driver takes tokens from where they have always been.
    assert_eq!(world.delivered(false).await, Some(Placement::VolumeContext));
    assert_eq!(world.secret_key(), format!("{ISSUED}-1"));
    assert_eq!(world.server.granted(), ["system:serviceaccount:apps:shop"]);

    // Phase 2, while the pod runs: the opt-in. The forged entry of its attributes is what is left in volume_context.
    let opt_in = json!({"spec": {"serviceAccountTokenInSecrets": true}});
    let path = format!("/apis/storage.k8s.io/v1/csidrivers/{NAME}");
    world.cluster.control_plane().admin().merge_patch(&path, &opt_in).await.unwrap();
    world.wait_for_the_last_fifth();
    while world.delivered(true).await != Some(Placement::Secrets) {
        world.wait_for_the_last_fifth();
    }
    let renewed = world.server.granted().len();
    assert!(renewed >= 2);
    assert_eq!(world.secret_key(), format!("{ISSUED}-{renewed}"));
    assert_eq!(world.read("token").split('.').count(), 3);

    // The exchange is down: what is good stays.
    world.server.feel(Mood::Down);
    world.wait_for_the_last_fifth();
    world.delivered(true).await;
    assert_eq!(world.secret_key(), format!("{ISSUED}-{renewed}"));
    assert_eq!(world.told.0.lock().last().map(|event| event.kind.reason()), Some("CredentialsKept"));

    // It stays down until they are over: the node hears of both causes, and the pod keeps its mount.
    world.wait_for_the_last_fifth();
    let message = world
        .observed("a failure", |observation| match observation {
            Observation::Failed(failure) => Some(failure.message.clone()),
            _ => None,
        })
        .await;
    for cause in ["the credentials expired at", "exchange `aws` gives no new ones", "HTTP 503"] {
        assert!(message.contains(cause), "{message}");
    }
    assert_eq!(world.secret_key(), format!("{ISSUED}-{renewed}"));

    world.server.feel(Mood::Good);
    world.wait_for_the_last_fifth();
    world.delivered(true).await;
    assert_eq!(world.secret_key(), format!("{ISSUED}-{}", renewed + 1));
    assert_eq!(world.told.0.lock().last().map(|event| event.kind.reason()), Some("CredentialsRenewed"));

    // The pod goes, and all that was there for it.
    let pod = "/api/v1/namespaces/apps/pods/shop-0";
    world.cluster.control_plane().admin().delete(pod, Some(&json!({"gracePeriodSeconds": 0}))).await.unwrap();
    world
        .observed("an unpublish", |observation| {
            matches!(observation, Observation::Unpublished { .. }).then_some(())
        })
        .await;
    assert_eq!(world.volume(), None);
    assert_eq!(std::fs::read_dir(world.directory.path().join("volumes")).unwrap().count(), 0);

    world.cluster.stop(&CancellationToken::new()).await.unwrap();
    world.driver.end().await.unwrap();
}

/// The manifests in `deploy` as an operator applies them.
#[tokio::test]
async fn the_manifests_are_accepted_and_the_opt_in_is_one_field() {
    let mut first = csi_driver("1-driver.yaml");
    let second = csi_driver("2-opt-in.yaml");
    assert_eq!(first["spec"].get("serviceAccountTokenInSecrets"), None);
    first["spec"]["serviceAccountTokenInSecrets"] = json!(true);
    assert_eq!(first, second, "phase 2 differs by the opt-in alone");

    let mut config = ControlPlaneConfig::new(FeatureGates::for_release(Release::V1_35)).unwrap();
    config.runs_controllers = false;
    let control_plane = tokenward_cluster::control_plane::ControlPlane::start(config).await.unwrap();
    let admin = control_plane.admin();
    let warnings = |file: &'static str| {
        let admin = admin.clone();
        async move {
            let mut warnings = Vec::new();
            for manifest in manifest::in_apply_order(manifest::load(&[deploy(file)]).unwrap()).unwrap() {
                let applied = apply::apply(&admin, &manifest).await;
                warnings.extend(applied.unwrap_or_else(|error| panic!("{error:?}")).warnings);
            }
            warnings
        }
    };
    let first = warnings("1-driver.yaml").await;
    assert!(first.iter().all(|warning| warning.contains("serviceAccountTokenInSecrets")), "{first:?}");
    assert_eq!(warnings("2-opt-in.yaml").await, Vec::<String>::new());
    let path = format!("/apis/storage.k8s.io/v1/csidrivers/{NAME}");
    assert_eq!(admin.get(&path).await.unwrap()["spec"]["serviceAccountTokenInSecrets"], true);

    // The configuration in it is one that the driver takes; the example asks for what it offers.
    let map =
        admin.get("/api/v1/namespaces/workload-credentials/configmaps/workload-credentials").await.unwrap();
    let text = map["data"]["config.yaml"].as_str().unwrap();
    let configuration = Configuration::parse(text, Path::new("/")).unwrap();
    assert_eq!(configuration.names().collect::<Vec<_>>(), ["aws", "vault"]);
    assert_eq!(warnings("example-pod.yaml").await, Vec::<String>::new());

    // All that it may do.
    let role =
        admin.get("/apis/rbac.authorization.k8s.io/v1/clusterroles/workload-credentials").await.unwrap();
    assert_eq!(role["rules"], json!([{"apiGroups": [""], "resources": ["events"], "verbs": ["create"]}]));
    control_plane.stop().await.unwrap();
}
