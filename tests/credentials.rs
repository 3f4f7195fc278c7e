//! The reference driver as a process, with the account and the rights that its manifests in `deploy` give it. Without these, the owner of a
//! pod hears nothing when its credentials are not renewed: the Events are made in the driver, but sent by the command, and by an account
//! that may do nothing else.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use kube::config::Kubeconfig;
use serde_json::{Value, json};
use tokenward_cluster::manifest;
use tokenward_csi::v1::node_client::NodeClient;
use tokenward_csi::v1::volume_capability::access_mode::Mode;
use tokenward_csi::v1::volume_capability::{AccessMode, AccessType, MountVolume};
use tokenward_csi::v1::{NodePublishVolumeRequest, NodeUnpublishVolumeRequest, VolumeCapability};
use tokenward_transport::SocketPath;
use tonic::Status;

use crate::support::admin::Admin;
use crate::support::place::Place;
use crate::support::repository;
use crate::support::run::{Run, Signal};

const NAME: &str = "workload-credentials.tokenward.dev";
const TOKEN: &str = "c4n4ry-token-c4n4ry-token-c4n4ry-token";
const ISSUED: &str = "c4n4ry-issued-c4n4ry-issued-c4n4ry-issued";

/// A vault that logs everybody in, or nobody.
struct Vault {
    address: SocketAddr,
    is_down: Arc<AtomicBool>,
    logins: Arc<AtomicUsize>,
}

impl Vault {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let vault =
            Self { address: listener.local_addr().unwrap(), is_down: Arc::default(), logins: Arc::default() };
        let (is_down, logins) = (Arc::clone(&vault.is_down), Arc::clone(&vault.logins));
        std::thread::spawn(move || {
            for connection in listener.incoming() {
                answer(connection.unwrap(), &is_down, &logins);
            }
        });
        vault
    }

    fn configuration(&self, exchange: &str) -> String {
        format!(
            "exchanges:\n  {exchange}: {{kind: jwtLogin, url: 'http://{}/login', audiences: [vault]}}\n\
             limits: {{attemptSeconds: 20, totalSeconds: 20}}\n",
            self.address
        )
    }
}

/// One request, one answer, and the connection is closed.
fn answer(mut connection: TcpStream, is_down: &AtomicBool, logins: &AtomicUsize) {
    let mut request = Vec::new();
    let mut chunk = [0; 1024];
    let length = |head: &str| {
        let line = head
            .lines()
            .find_map(|line| line.to_lowercase().strip_prefix("content-length:").map(str::to_owned));
        line.map_or(0, |value| value.trim().parse().unwrap())
    };
    loop {
        let count = connection.read(&mut chunk).unwrap();
        request.extend_from_slice(&chunk[..count]);
        let text = String::from_utf8_lossy(&request);
        let whole = text.split_once("\r\n\r\n").is_some_and(|(head, body)| body.len() >= length(head));
        if whole || count == 0 {
            break;
        }
    }
    let (status, body) = if is_down.load(Ordering::SeqCst) {
        // What servers do.
        ("503 Sealed", format!(r#"{{"errors":["sealed, and you sent {TOKEN}"]}}"#))
    } else {
        let number = logins.fetch_add(1, Ordering::SeqCst) + 1;
        ("200 OK", format!(r#"{{"auth":{{"client_token":"{ISSUED}-{number}","lease_duration":600}}}}"#))
    };
    let head = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
    // The driver may have given up.
    let _ = connection.write_all((head + &body).as_bytes());
}

/// A cluster, a vault, and the driver between them.
struct World {
    place: Place,
    cluster: Run,
    admin: Admin,
    vault: Vault,
    runtime: tokio::runtime::Runtime,
}

impl World {
    fn start() -> Self {
        let place = Place::new();
        let kubeconfig = place.file("kubeconfig");
        let cluster =
            place.tokenward(["up", "--wait", "--kubeconfig-out", kubeconfig.to_str().unwrap()]).start();
        cluster.ready();
        let admin = Admin::new(&kubeconfig);
        // With a thread of its own: connections hear of the driver's end on it.
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        Self { place, cluster, admin, vault: Vault::start(), runtime }
    }

    /// Applies those objects of phase 1 that are of these kinds.
    fn apply(&self, kinds: &[&str]) {
        let manifests = manifest::load(&[repository("deploy/workload-credentials/1-driver.yaml")]).unwrap();
        for manifest in manifest::in_apply_order(manifests).unwrap() {
            let kind = manifest.kind;
            if kinds.contains(&kind.kind) {
                let root = if kind.group.is_empty() { "api" } else { "apis" };
                let namespace =
                    manifest.namespace.iter().map(|name| format!("/namespaces/{name}")).collect::<String>();
                let path = format!("/{root}/{}{namespace}/{}", kind.api_version(), kind.plural);
                self.admin.create(&path, &Value::Object(manifest.object));
            }
        }
    }

    /// The credentials that a pod of the DaemonSet has: those of its service account, and no others.
    fn drivers_kubeconfig(&self) -> PathBuf {
        let path = "/api/v1/namespaces/workload-credentials/serviceaccounts/workload-credentials/token";
        let request = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"audiences": []}});
        let token = self.admin.create(path, &request)["status"]["token"].take();
        let of_admin = Kubeconfig::read_from(self.place.file("kubeconfig")).unwrap();
        let cluster = of_admin.clusters[0].cluster.as_ref().unwrap();
        let kubeconfig = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "here",
            "contexts": [{"name": "here", "context": {"cluster": "here", "user": "driver"}}],
            "clusters": [{"name": "here", "cluster": {
                "server": cluster.server, "certificate-authority-data": cluster.certificate_authority_data,
            }}],
            "users": [{"name": "driver", "user": {"token": token}}],
        });
        self.place.write("driver-kubeconfig", &kubeconfig.to_string())
    }

    fn start_driver(&self) -> Run {
        let config = self.place.write("config.yaml", &self.vault.configuration("vault"));
        let kubeconfig = self.drivers_kubeconfig();
        let flag = |name: &str, path: &Path| format!("--{name}={}", path.display());
        let driver = self
            .place
            .tokenward([
                "driver".to_owned(),
                "workload-credentials".to_owned(),
                "--node-id=node-1".to_owned(),
                flag("config", &config),
                flag("kubeconfig", &kubeconfig),
                flag("endpoint", &self.socket()),
            ])
            .start();
        driver.stderr_line(|line| line.contains("serving") && line.contains("csi.sock"));
        std::fs::create_dir_all(self.place.file("pods")).unwrap();
        driver
    }

    fn socket(&self) -> PathBuf {
        self.place.file("d/csi.sock")
    }

    fn target(&self, pod: &str) -> PathBuf {
        self.place.file("pods").join(pod)
    }

    /// What a kubelet calls for the only volume of a pod in the namespace `apps`.
    fn publish(&self, pod: &str, exchange: &str) -> Result<(), Status> {
        let context = [
            ("csi.storage.k8s.io/pod.namespace", "apps"),
            ("csi.storage.k8s.io/pod.name", pod),
            ("csi.storage.k8s.io/pod.uid", &format!("uid-of-{pod}")),
            ("csi.storage.k8s.io/serviceAccount.name", "default"),
            ("exchange", exchange),
            ("role", "shop"),
            ("credentialsFile", "vault-token"),
        ];
        let tokens = json!({"vault": {"token": TOKEN, "expirationTimestamp": "2099-01-01T00:00:00Z"}});
        let request = NodePublishVolumeRequest {
            volume_id: format!("volume-of-{pod}"),
            target_path: self.target(pod).to_str().unwrap().to_owned(),
            readonly: true,
            volume_capability: Some(VolumeCapability {
                access_mode: Some(AccessMode { mode: Mode::SingleNodeWriter as i32 }),
                access_type: Some(AccessType::Mount(MountVolume::default())),
            }),
            volume_context: context.map(|(key, value)| (key.to_owned(), value.to_owned())).into(),
            secrets: [("csi.storage.k8s.io/serviceAccount.tokens".to_owned(), tokens.to_string())].into(),
            ..Default::default()
        };
        self.runtime.block_on(async {
            let channel =
                tokenward_transport::connect(&SocketPath::new(self.socket()).unwrap()).await.unwrap();
            NodeClient::new(channel).node_publish_volume(request).await.map(|_| ())
        })
    }

    fn unpublish(&self, pod: &str) {
        let target_path = self.target(pod).to_str().unwrap().to_owned();
        let request = NodeUnpublishVolumeRequest { volume_id: format!("volume-of-{pod}"), target_path };
        self.runtime.block_on(async {
            let channel =
                tokenward_transport::connect(&SocketPath::new(self.socket()).unwrap()).await.unwrap();
            NodeClient::new(channel).node_unpublish_volume(request).await.unwrap();
        });
    }

    fn credentials(&self, pod: &str) -> String {
        std::fs::read_to_string(self.target(pod).join("vault-token")).unwrap()
    }

    /// Makes the credentials of all volumes an hour old, as the driver's records have it: it is time to renew them, and they are good still.
    fn let_an_hour_pass(&self) {
        for entry in std::fs::read_dir(self.place.file("d/volumes")).unwrap() {
            let path = entry.unwrap().path();
            let mut record: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
            let issued: jiff::Timestamp = serde_json::from_value(record["issued"].take()).unwrap();
            record["issued"] = json!(issued - jiff::SignedDuration::from_hours(1));
            std::fs::write(&path, record.to_string()).unwrap();
        }
    }
}

#[test]
fn the_owner_of_a_pod_hears_when_credentials_stay_old_and_when_they_are_new_again() {
    let world = World::start();
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "apps"}});
    world.admin.create("/api/v1/namespaces", &namespace);
    world.apply(&["Namespace", "ServiceAccount", "ClusterRole"]);
    let driver = world.start_driver();
    for (number, pod) in ["early", "shop"].into_iter().enumerate() {
        world.publish(pod, "vault").unwrap();
        assert_eq!(world.credentials(pod), format!("{ISSUED}-{}", number + 1));
    }

    // The account has no right yet: the pod keeps its credentials, and the log says what the Event would have said.
    world.vault.is_down.store(true, Ordering::SeqCst);
    world.let_an_hour_pass();
    world.publish("early", "vault").unwrap();
    assert_eq!(world.credentials("early"), format!("{ISSUED}-1"));
    let line = driver.stderr_line(|line| line.contains("an Event could not be sent"));
    assert!(line.contains("CredentialsKept") && line.contains("forbidden"), "{line}");

    // With the right that the manifests give it.
    world.apply(&["ClusterRoleBinding"]);
    world.publish("shop", "vault").unwrap();
    assert_eq!(world.credentials("shop"), format!("{ISSUED}-2"));
    let kept = world.admin.wait_for_event("shop", "CredentialsKept");
    assert_eq!(kept.type_.as_deref(), Some("Warning"));
    let message = kept.message.clone().unwrap();
    for expected in ["exchange `vault` failed", "the last good credentials stay until", "HTTP 503"] {
        assert!(message.contains(expected), "{message}");
    }
    let about = &kept.involved_object;
    assert_eq!((about.kind.as_deref(), about.uid.as_deref()), (Some("Pod"), Some("uid-of-shop")));
    assert_eq!(about.namespace.as_deref(), Some("apps"));
    let source = kept.source.clone().unwrap();
    assert_eq!((source.component.as_deref(), source.host.as_deref()), (Some(NAME), Some("node-1")));

    world.vault.is_down.store(false, Ordering::SeqCst);
    world.publish("shop", "vault").unwrap();
    assert_eq!(world.credentials("shop"), format!("{ISSUED}-3"));
    let renewed = world.admin.wait_for_event("shop", "CredentialsRenewed");
    assert_eq!(renewed.type_.as_deref(), Some("Normal"));

    let events = world.admin.text("/api/v1/events");
    for pod in ["early", "shop"] {
        world.unpublish(pod);
    }
    driver.signal(Signal::TERM);
    let ended = driver.wait();
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(0), ""), "{}", ended.stderr);
    for text in [&events, &ended.stderr] {
        assert!(!text.contains("c4n4ry"), "{text}");
    }
    world.cluster.signal(Signal::TERM);
    assert_eq!(world.cluster.wait().code, Some(0));
}

#[test]
fn a_configuration_that_has_changed_counts_without_a_restart() {
    let world = World::start();
    world.apply(&["Namespace", "ServiceAccount", "ClusterRole", "ClusterRoleBinding"]);
    let driver = world.start_driver();
    let refused = world.publish("shop", "second").unwrap_err();
    assert!(refused.message().contains("no exchange `second`; it has `vault`"), "{}", refused.message());

    world.place.write("config.yaml", "exchanges: nonsense");
    driver.signal(Signal::HUP);
    driver.stderr_line(|line| line.contains("cannot be used; the last good one stays"));
    world.publish("shop", "vault").unwrap();

    world.place.write("config.yaml", &world.vault.configuration("second"));
    driver.signal(Signal::HUP);
    driver.stderr_line(|line| line.contains("the configuration has changed") && line.contains("second"));
    world.publish("other", "second").unwrap();
    for pod in ["shop", "other"] {
        world.unpublish(pod);
    }
    driver.signal(Signal::TERM);
    assert_eq!(driver.wait().code, Some(0));
    world.cluster.signal(Signal::TERM);
    assert_eq!(world.cluster.wait().code, Some(0));
}
