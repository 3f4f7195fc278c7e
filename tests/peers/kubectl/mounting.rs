//! A CSI driver of others under our nodes, and kubectl looking at it. Without these, a node that agrees with our own drivers and with
//! recordings meets the first driver that it was not written for, and what it tells of it is not what people look at.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::clusters::has_line;
use super::{Kubectl, each};
use crate::mock_driver::{MockDriver, NAME, id_of, inline_of, of_volume};
use crate::support::place::is_root;
use crate::support::run::{Run, Signal};
use crate::world::World;

/// The driver as it is installed: it attaches, and knows nothing of `serviceAccountTokenInSecrets` yet.
const INSTALLED: &str = "\
apiVersion: storage.k8s.io/v1
kind: CSIDriver
metadata: {name: mock.csi.k8s.io}
spec:
  attachRequired: true
  podInfoOnMount: true
  requiresRepublish: true
  serviceAccountTokenInSecrets: false
  tokenRequests: [{audience: vault, expirationSeconds: 600}]
  volumeLifecycleModes: [Persistent, Ephemeral]
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: web, namespace: default}
---
apiVersion: v1
kind: PersistentVolume
metadata: {name: first}
spec:
  accessModes: [ReadWriteOnce]
  capacity: {storage: 1Gi}
  persistentVolumeReclaimPolicy: Retain
  storageClassName: \"\"
  csi: {driver: mock.csi.k8s.io, volumeHandle: \"1\", fsType: tmpfs, volumeAttributes: {color: blue}}
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: data, namespace: default}
spec:
  accessModes: [ReadWriteOnce]
  storageClassName: \"\"
  volumeName: first
  resources: {requests: {storage: 1Gi}}
";

/// A pod with a staged volume and an inline one, which the scheduler puts on the node of the driver.
const WEB: &str = "\
apiVersion: v1
kind: Pod
metadata: {name: web, namespace: default, labels: {app: web}}
spec:
  serviceAccountName: web
  automountServiceAccountToken: false
  nodeSelector: {kubernetes.io/hostname: NODE}
  tolerations: [{key: tokenward.dev/mounts-only, operator: Exists}]
  containers:
  - name: main
    image: image.example/main:1
    volumeMounts: [{name: data, mountPath: /data}]
  volumes:
  - name: data
    persistentVolumeClaim: {claimName: data}
  - name: tokens
    csi: {driver: mock.csi.k8s.io, volumeAttributes: {size: small}}
";

/// A pod with an inline volume alone.
const LATE: &str = "\
apiVersion: v1
kind: Pod
metadata: {name: late, namespace: default}
spec:
  serviceAccountName: web
  automountServiceAccountToken: false
  nodeName: NODE
  containers: [{name: main, image: image.example/main:1}]
  volumes:
  - name: tokens
    csi: {driver: mock.csi.k8s.io}
";

/// The driver on a node that kubectl looks at.
struct Mounting<'a> {
    kubectl: &'a Kubectl,
    node: &'static str,
    root_dir: PathBuf,
    driver: MockDriver,
}

impl<'a> Mounting<'a> {
    /// Registers the driver and installs it.
    fn start(kubectl: &'a Kubectl, node: &'static str, root_dir: PathBuf, program: &Path) -> Self {
        let driver = MockDriver::start(program, &root_dir);
        let this = Self { kubectl, node, root_dir, driver };
        this.apply("installed", INSTALLED);
        this
    }

    fn apply(&self, name: &str, manifest: &str) {
        let manifest = manifest.replace("NODE", self.node);
        self.kubectl.ok(&format!("create -f {}", self.kubectl.file(&format!("{name}.yaml"), &manifest)));
    }

    /// What the driver's attacher would do, had it one: says that the volume is at the node, as which device.
    fn attach(&self) {
        let attachments = self.kubectl.start("get volumeattachments --watch -o name");
        let name = attachments.stdout_line(|line| line.starts_with("volumeattachment.storage.k8s.io/"));
        let status = r#"{"status":{"attached":true,"attachmentMetadata":{"device":"/dev/mock"}}}"#;
        self.kubectl.ok(&format!("patch {name} --subresource=status --type=merge -p {status}"));
    }

    fn mounts(&self) -> usize {
        let table = fs::read_to_string("/proc/self/mountinfo").unwrap();
        table.lines().filter(|line| line.contains(self.root_dir.to_str().unwrap())).count()
    }

    /// The pod's volumes come: staged, published, with tokens in the volume context.
    fn volumes_come(&self) {
        self.apply("web", WEB);
        self.attach();
        let staged = self.driver.called("NodeStageVolume", of_volume("1"));
        let request = &staged["request"];
        assert_eq!(request["publish_context"], json!({"device": "/dev/mock"}));
        assert_eq!(request["volume_capability"]["mount"], json!({"fs_type": "tmpfs"}));
        assert_eq!(request["volume_context"], json!({"color": "blue"}));
        assert_eq!(staged["tokens"], json!({}), "tokens are for publishing");

        let published = self.driver.called("NodePublishVolume", of_volume("1"));
        assert_eq!(published["request"]["staging_target_path"], request["staging_target_path"]);
        let claims = &published["tokens"]["volume_context"]["vault"]["claims"];
        assert_eq!(claims["sub"], "system:serviceaccount:default:web");
        assert_eq!(claims["kubernetes.io"]["pod"]["name"], "web");
        assert_eq!(claims["kubernetes.io"]["node"]["name"], self.node);
        assert_eq!(published["tokens"].get("secrets"), None);
        let inline = self.driver.called("NodePublishVolume", inline_of("web"));
        assert_eq!(inline["request"]["volume_context"]["size"], "small");
        // One token serves both volumes of the pod.
        assert_eq!(id_of(&inline, "volume_context", "vault"), id_of(&published, "volume_context", "vault"));
        self.kubectl.ok("wait --for=condition=PodReadyToStartContainers pod/web --timeout=30s");
        assert_eq!(self.mounts(), usize::from(is_root()));
    }

    /// What kubectl shows of driver, node, pod and volumes.
    fn is_seen(&self) {
        let (kubectl, node) = (self.kubectl, self.node);
        let csi_node = kubectl.ok(&format!("get csinodes {node} -o yaml"));
        for line in [&format!("name: {NAME}"), &format!("nodeID: {NAME}"), "count: 7", "topologyKeys: null"] {
            has_line(&csi_node, line);
        }
        kubectl.ok(&format!("wait --for=condition=Ready node/{node} --timeout=30s"));
        let pods = kubectl.ok("get pods -o wide --no-headers web");
        assert!(pods.split_whitespace().any(|word| word == node), "{pods}");
        let described = kubectl.ok("describe pod web");
        for line in [
            "Type: CSI (a Container Storage Interface (CSI) volume source)",
            &format!("Driver: {NAME}"),
            "VolumeAttributes: size=small",
            "ClaimName: data",
            &format!("Node-Selectors: kubernetes.io/hostname={node}"),
            "PodReadyToStartContainers True",
            "PodScheduled True",
        ] {
            has_line(&described, line);
        }
        let described = kubectl.ok(&format!("describe node {node}"));
        for line in ["Non-terminated Pods:          (1 in total)", "Ready True"] {
            assert!(described.lines().any(|found| begins(found, line)), "{line:?} in\n{described}");
        }
        kubectl.says("get pv first -o jsonpath={.status.phase}/{.spec.claimRef.name}", "Bound/data");
        kubectl.says(
            "get volumeattachments -o jsonpath={.items[*].spec.source.persistentVolumeName}/{.items[*].status.attached}",
            "first/true",
        );
    }

    /// What the node says beside it: through the API server, and on its own machine.
    fn is_told(&self) {
        let proxied = format!("get --raw /api/v1/nodes/{}/proxy", self.node);
        assert_eq!(self.kubectl.ok(&format!("{proxied}/healthz")), "ok");
        let metrics = self.kubectl.ok(&format!("{proxied}/metrics"));
        let staged =
            "method_name=\"/csi.v1.Node/NodeStageVolume\",grpc_status_code=\"OK\",migrated=\"false\"} 1";
        for series in [
            format!("csi_operations_seconds_count{{driver_name=\"{NAME}\",{staged}"),
            format!("tokenward_volumes{{driver=\"{NAME}\",state=\"mounted\"}} 2"),
        ] {
            assert!(metrics.contains(&series), "{series} in\n{metrics}");
        }
        let configuration = self.kubectl.json(&format!("{proxied}/configz"));
        assert_eq!(configuration["tokenward"]["republish"], "on-change");

        let below = format!("--root-dir={}", self.root_dir.display());
        let told = self.kubectl.world.place.tokenward(["node", "status", &below]).run();
        assert_eq!(told.code, Some(0), "{}", told.stderr);
        for line in
            ["default web data mock.csi.k8s.io mounted volume_context vault", "mock.csi.k8s.io 1.0.0 yes 2"]
        {
            assert!(told.stdout.lines().any(|found| begins(found, line)), "{line:?} in\n{}", told.stdout);
        }
    }

    /// The driver opts in: the same token, elsewhere. Then it asks for others.
    fn tokens_move(&self) {
        let patch = |spec: &str| {
            self.kubectl.ok(&format!("patch csidriver {NAME} --type=merge -p {{\"spec\":{spec}}}"));
        };
        let before = self.driver.called("NodePublishVolume", of_volume("1"));
        patch(r#"{"serviceAccountTokenInSecrets":true}"#);
        let in_secrets = |told: &Value| told["tokens"].get("secrets").is_some();
        let moved = self.driver.called("NodePublishVolume", |told| of_volume("1")(told) && in_secrets(told));
        assert_eq!(moved["tokens"].get("volume_context"), None, "in one place only");
        assert_eq!(id_of(&moved, "secrets", "vault"), id_of(&before, "volume_context", "vault"));
        assert_eq!(moved["request"]["target_path"], before["request"]["target_path"]);
        self.driver.called("NodePublishVolume", |told| inline_of("web")(told) && in_secrets(told));

        patch(r#"{"tokenRequests":[{"audience":"vault","expirationSeconds":1200},{"audience":"sts"}]}"#);
        let has_both = |told: &Value| told["tokens"]["secrets"].get("sts").is_some();
        let renewed = self.driver.called("NodePublishVolume", |told| of_volume("1")(told) && has_both(told));
        assert_ne!(id_of(&renewed, "secrets", "vault"), id_of(&moved, "secrets", "vault"));
        let claims = &renewed["tokens"]["secrets"]["vault"]["claims"];
        assert_eq!(claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(), 1200);
        self.driver.called("NodePublishVolume", |told| inline_of("web")(told) && has_both(told));
    }

    /// The driver dies. A pod that comes meanwhile waits, and people see why; all volumes are published to its next life.
    fn driver_dies(&mut self) {
        let (kubectl, node) = (self.kubectl, self.node);
        let late = kubectl.file("late.yaml", &LATE.replace("NODE", node));
        self.driver.die(|| {
            let events = kubectl.start("get events --watch");
            kubectl.ok(&format!("create -f {late}"));
            events.stdout_line(|line| line.contains("FailedMount") && line.contains("pod/late"));
            let described = kubectl.ok("describe pod late");
            assert!(described.contains("MountVolume.SetUp failed for volume \"tokens\""), "{described}");
        });
        self.driver.called("NodePublishVolume", inline_of("late"));
        kubectl.ok("wait --for=condition=PodReadyToStartContainers pod/late --timeout=30s");
        self.driver.called("NodePublishVolume", inline_of("web"));
        self.driver.called("NodePublishVolume", of_volume("1"));
        assert_eq!(self.mounts(), usize::from(is_root()), "the driver's mount outlived it");
    }

    /// The pod goes, and its volumes with it.
    fn pod_goes(&self) {
        self.kubectl.ok("delete pod web --wait=false");
        self.driver.called("NodeUnpublishVolume", of_volume("1"));
        self.driver.called("NodeUnstageVolume", of_volume("1"));
        self.kubectl.ok("wait --for=delete pod/web --timeout=30s");
        self.kubectl.ok("wait --for=delete volumeattachment --all --timeout=30s");
        assert_eq!(self.mounts(), 0);
    }

    /// The calls in the end: each volume was unpublished before it was unstaged, and no call failed that the driver was alive for.
    fn ends(self) {
        let told = self.driver.end();
        let at = |method: &str, handle: &str| {
            told.iter().rposition(|call| call["method"] == method && call["request"]["volume_id"] == handle)
        };
        assert!(at("NodePublishVolume", "1") < at("NodeUnpublishVolume", "1"));
        assert!(at("NodeUnpublishVolume", "1") < at("NodeUnstageVolume", "1"));
        let failed: Vec<&Value> = told.iter().filter(|call| call["code"] != "OK").collect();
        assert!(failed.is_empty(), "{failed:?}");
        let inline = |method: &str| {
            let of = told.iter().filter(|call| call["method"] == method);
            let mut handles: Vec<&str> = of
                .map(|call| call["request"]["volume_id"].as_str().unwrap())
                .filter(|id| *id != "1")
                .collect();
            handles.sort_unstable();
            handles.dedup();
            handles.len()
        };
        assert_eq!((inline("NodePublishVolume"), inline("NodeUnpublishVolume")), (2, 2));
    }
}

fn begins(line: &str, wanted: &str) -> bool {
    let mut words = line.split_whitespace();
    wanted.split_whitespace().all(|word| words.next() == Some(word))
}

/// `tokenward node` beside a cluster, with an identity that the administrator gave it.
fn start_node(kubectl: &Kubectl, name: &str, root_dir: &Path) -> Run {
    let cluster = kubectl.ok("config view -o jsonpath={.clusters[0].name}");
    kubectl.ok(&format!("config set-credentials {name} --token={}", World::NODE_TOKEN));
    kubectl.ok(&format!("config set-context {name} --cluster={cluster} --user={name}"));
    let authority =
        r#"{{range .clusters}}{{index .cluster "certificate-authority-data" | base64decode}}{{end}}"#;
    let authority =
        kubectl.world.client(["config", "view", "--raw", "-o", "go-template", "--template", authority]);
    let place = &kubectl.world.place;
    place.write("cluster-ca.crt", &authority.run().stdout);
    let file = |flag: &str, name: &str| format!("--{flag}={}", place.file(name).display());
    let node = place.tokenward([
        "node".to_owned(),
        format!("--node-name={name}"),
        file("kubeconfig", "kubeconfig"),
        format!("--context={name}"),
        format!("--root-dir={}", root_dir.display()),
        "--republish=on-change".to_owned(),
        "--listen=127.0.0.1:0".to_owned(),
        file("tls-cert-file", "node.crt"),
        file("tls-private-key-file", "node.key"),
        file("client-ca-file", "cluster-ca.crt"),
    ]);
    let node = node.start();
    node.stderr_line(|line| line.contains("node registered"));
    node
}

#[test]
fn a_driver_of_others_under_a_node_of_its_own() {
    let Some(program) = MockDriver::find() else { return };
    each(World::cluster_with_node_identity, |kubectl| {
        let root_dir = kubectl.world.place.file("n");
        let node = start_node(kubectl, World::NODE, &root_dir);
        let mut mounting = Mounting::start(kubectl, World::NODE, root_dir.clone(), &program);
        mounting.volumes_come();
        mounting.is_seen();
        mounting.is_told();
        has_line(&kubectl.ok("describe node mounts-1"), "Taints: tokenward.dev/mounts-only:NoSchedule");
        kubectl.says("get pod web -o jsonpath={.status.phase}", "Pending");
        mounting.tokens_move();
        mounting.driver_dies();
        mounting.pod_goes();
        node.signal(Signal::TERM);
        let ended = node.wait();
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
        assert!(!ended.stderr.contains("eyJ"), "a token in the log");
        mounting.ends();
        assert_eq!(kubectl.world.place.mounts(), 0);
    });
}

#[test]
fn a_driver_of_others_under_the_node_of_a_cluster() {
    let Some(program) = MockDriver::find() else { return };
    each(World::cluster_with_node_identity, |kubectl| {
        let root_dir = kubectl.world.nodes_below().join("1");
        let mut mounting = Mounting::start(kubectl, "node-1", root_dir, &program);
        mounting.volumes_come();
        mounting.is_seen();
        mounting.is_told();
        kubectl.says("wait --for=condition=Ready pod/web --timeout=30s", "pod/web condition met");
        kubectl.says("get pod web -o jsonpath={.status.phase}", "Running");
        mounting.tokens_move();
        mounting.driver_dies();
        mounting.pod_goes();
        kubectl.ok("delete pod late");
        mounting.ends();
    });
}
