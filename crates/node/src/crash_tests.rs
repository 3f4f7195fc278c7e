//! kill -9 at each step of mounting and unmounting, then a restart: nothing is ever mounted without a record, nothing that
//! was written into a volume is lost, and in the end the mount table and the directories are as before.
//!
//! The outer test starts itself anew in a mount namespace of its own, where the driver mounts and binds tmpfs for real, and
//! which takes every mount with it should the test fail. Where the system allows no namespace, the driver makes directories,
//! and what is compared are those. Nodes are processes of their own, and die by SIGKILL.

#[path = "../tests/support/mod.rs"]
mod support;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rustix::mount::{MountFlags, UnmountFlags};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;
use tokenward_csi::v1::node_service_capability::rpc::Type as RpcType;
use tokenward_csi::v1::volume_capability::AccessType;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tonic::Status;

use self::support::cluster::FakeCluster;
use self::support::driver::{Call, FakeDriver};
use self::support::world::{NODE, World, numbered};
use crate::fault::armed::DIE_AT;
use crate::mount_dir::is_mount_point;
use crate::vol_data::VolumeData;
use crate::{Config, Intervals, Node, Observation, Pace};

/// Tells the test process that it is the one inside: `mounts` or `directories`.
const INSIDE: &str = "TOKENWARD_TEST_INSIDE";

/// Tells the test process that it is a node: `ROOT PODS`, where pods are `wanted`, `terminating` or `gone`.
const NODE_PROCESS: &str = "TOKENWARD_TEST_NODE";

/// All the points at which a node can die.
const POINTS: [&str; 19] = [
    "directories are made",
    "the record is begun",
    "the record appears",
    "NodeStageVolume is called",
    "NodeStageVolume has answered",
    "NodePublishVolume is called",
    "NodePublishVolume has answered",
    "NodeUnpublishVolume is called",
    "NodeUnpublishVolume has answered",
    "NodeUnstageVolume is called",
    "NodeUnstageVolume has answered",
    "the mount directory is removed",
    "the record is removed",
    "the directory of the volume is removed",
    "the directories of the pod are removed",
    "the device is linked",
    "the device is removed",
    "the link of the device is removed",
    "the record of the device is removed",
];

/// What the record of the raw device is beside.
const RAW_RECORD: &str = "plugins/kubernetes.io/csi/volumeDevices/raw/data/device";

/// How long anything may take.
const LIMIT: Duration = Duration::from_secs(30);

#[test]
fn every_kill_is_survived() {
    if let Ok(how) = std::env::var(INSIDE) {
        return inside(how == "mounts");
    }
    let this = std::env::current_exe().unwrap();
    let namespaces = [vec!["--mount"], vec!["--user", "--map-root-user", "--mount"]];
    let namespace = namespaces.into_iter().find(|arguments| {
        let tried = Command::new("unshare").args(arguments).arg("true").stderr(Stdio::null()).status();
        tried.is_ok_and(|status| status.success())
    });
    let (mut command, how) = match namespace {
        Some(arguments) => {
            let mut command = Command::new("unshare");
            command.args(arguments).args(["--propagation", "private"]).arg(this);
            (command, "mounts")
        }
        None => (Command::new(this), "directories"),
    };
    let output = command
        .args(["--exact", "crash_tests::every_kill_is_survived", "--nocapture"])
        .env(INSIDE, how)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "with {how}:\n{text}");
}

/// Not a test: what a node's process runs until it is killed. Without the variable there is nothing to do.
#[test]
fn node_process() {
    let Ok(setting) = std::env::var(NODE_PROCESS) else { return };
    let (root, pods) = setting.split_once(' ').unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let mut config = Config::new(NODE, root);
    let pause = Duration::from_millis(20);
    config.pace = Pace { backoff_longest: pause, backoff_first: pause, ..Pace::default() };
    config.intervals = Intervals { registry: Duration::from_millis(10), ..Intervals::default() };
    let (sender, observations) = mpsc::unbounded_channel();
    config.observer = Some(sender);
    let cluster = cluster(pods);
    let wanted = pods == "wanted";
    let root = PathBuf::from(root);
    runtime.spawn({
        let cluster = Arc::clone(&cluster);
        async move { tell_when_done(&root, wanted, &cluster, observations).await }
    });
    let ended = runtime.block_on(Node::run(config, cluster, CancellationToken::new()));
    panic!("a node ended by itself: {ended:?}");
}

/// Writes a file once all volumes have been published by this process, or all is gone.
async fn tell_when_done(
    root: &Path,
    wanted: bool,
    cluster: &FakeCluster,
    mut observations: mpsc::UnboundedReceiver<Observation>,
) {
    let mut published = BTreeSet::new();
    let is_gone = || {
        cluster.get("pods", "ns", "web").is_none()
            && entries(&root.join("pods")).is_empty()
            && entries(&root.join("plugins/kubernetes.io/csi/d")).is_empty()
            && !root.join("plugins/kubernetes.io/csi/volumeDevices/raw").exists()
    };
    while if wanted { published.len() < 3 } else { !is_gone() } {
        match tokio::time::timeout(Duration::from_millis(2), observations.recv()).await {
            Ok(Some(Observation::Delivered(delivery))) => drop(published.insert(delivery.volume)),
            Ok(None) => return,
            _ => {}
        }
    }
    std::fs::write(done_file(root), "").unwrap();
}

fn done_file(root: &Path) -> PathBuf {
    root.with_file_name("done")
}

/// A pod with an inline volume, a persistent one and a raw device. A CSIDriver is there only for pods that are wanted: what must go, goes
/// without.
fn cluster(pods: &str) -> Arc<FakeCluster> {
    let world = World::new(numbered());
    if pods == "wanted" {
        world.csi_driver("d", &json!({ "podInfoOnMount": true, "tokenRequests": [{ "audience": "vault" }] }));
    }
    world.claim("pv", "d");
    world.claim("raw", "d");
    world.cluster.change("persistentvolumes", "", "raw", &json!({ "spec": { "volumeMode": "Block" } }));
    if pods != "gone" {
        let volumes = json!([
            { "name": "inline", "csi": { "driver": "d" } },
            { "name": "data", "persistentVolumeClaim": { "claimName": "pv" } },
            { "name": "raw", "persistentVolumeClaim": { "claimName": "raw" } },
        ]);
        world.pod("web", &volumes);
    }
    if pods == "terminating" {
        world.terminate("web");
    }
    Arc::clone(&world.cluster)
}

/// The machine: a root directory with a driver that outlives all nodes.
struct Machine {
    root: PathBuf,
    died_at: PathBuf,
    node: Arc<Mutex<Option<Child>>>,
    /// Kill the node while this call is answered, and go on with it.
    deadly_call: Arc<Mutex<Option<&'static str>>>,
    lost: Arc<Mutex<Vec<String>>>,
    mounts: bool,
}

fn inside(mounts: bool) {
    let directory = tempfile::Builder::new().prefix("tw").tempdir().unwrap();
    let root = directory.path().join("kubelet");
    std::fs::create_dir_all(root.join("plugins_registry")).unwrap();
    let machine = Machine {
        died_at: directory.path().join("died-at"),
        node: Arc::default(),
        deadly_call: Arc::default(),
        lost: Arc::default(),
        root,
        mounts,
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let driver = FakeDriver::new(&machine.root, "d", &[RpcType::StageUnstageVolume]);
    driver.act(machine.effect());
    let _served = runtime.block_on(driver.serve(&machine.root, true));

    // A whole life without a kill is the measure.
    machine.live("wanted", None);
    let (up, mounted) = (machine.tree(), machine.mounted());
    assert_eq!(mounted.len(), 5, "{mounted:?}");
    machine.live("terminating", None);
    let down = machine.tree();
    assert_eq!(machine.mounted(), BTreeSet::new());

    let is_up = |after: &str| {
        assert_eq!((machine.tree(), machine.mounted()), (up.clone(), mounted.clone()), "{after}");
    };
    let is_down = |after: &str| {
        assert_eq!((machine.tree(), machine.mounted()), (down.clone(), BTreeSet::new()), "{after}");
    };
    for point in POINTS {
        // While mounting; the pod then is still wanted, or gone for good.
        let mut kills = 0;
        while machine.live("wanted", Some((point, kills + 1))) {
            kills += 1;
            let after = format!("{point}, time {kills}, mounting");
            machine.check(&after);
            machine.live("wanted", None);
            is_up(&after);
            machine.live("terminating", None);
            is_down(&after);
            assert!(machine.live("wanted", Some((point, kills))), "{after}");
            machine.live("gone", None);
            is_down(&after);
        }
        // While unmounting.
        let mounting = kills;
        kills = 0;
        while machine.live("wanted", None) || machine.live("terminating", Some((point, kills + 1))) {
            kills += 1;
            let after = format!("{point}, time {kills}, unmounting");
            machine.check(&after);
            machine.live(if kills % 2 == 0 { "terminating" } else { "gone" }, None);
            is_down(&after);
        }
        assert!(mounting + kills > 0, "no node was ever killed where {point}");
    }
    // While the driver is at it, and goes on.
    for (call, pods) in [
        ("NodeStageVolume", "wanted"),
        ("NodePublishVolume", "wanted"),
        ("NodeUnpublishVolume", "terminating"),
        ("NodeUnstageVolume", "terminating"),
    ] {
        if pods == "terminating" {
            machine.live("wanted", None);
        }
        *machine.deadly_call.lock() = Some(call);
        machine.live_until(pods, || machine.deadly_call.lock().is_none());
        machine.check(call);
        machine.live("gone", None);
        is_down(call);
    }
    assert_eq!(*machine.lost.lock(), Vec::<String>::new());
}

impl Machine {
    /// Starts a node, and kills it once what the pods need is done. Whether it has died before, where it was told to.
    fn live(&self, pods: &'static str, die_at: Option<(&str, u32)>) -> bool {
        let _ = std::fs::remove_file(&self.died_at);
        let _ = std::fs::remove_file(done_file(&self.root));
        let mut environment = vec![(NODE_PROCESS, format!("{} {pods}", self.root.display()))];
        if let Some((point, number)) = die_at {
            environment.push((DIE_AT, format!("{number} {} {point}", self.died_at.display())));
        }
        self.start(environment);
        self.wait(pods, || self.has_died() || done_file(&self.root).exists());
        self.kill();
        self.died_at.exists()
    }

    fn live_until(&self, pods: &'static str, done: impl Fn() -> bool) {
        let _ = std::fs::remove_file(done_file(&self.root));
        self.start(vec![(NODE_PROCESS, format!("{} {pods}", self.root.display()))]);
        self.wait(pods, done);
        self.kill();
    }

    fn start(&self, environment: Vec<(&str, String)>) {
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "crash_tests::node_process"])
            .env_remove(INSIDE)
            .envs(environment)
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        *self.node.lock() = Some(child);
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "this is such a wait, and the process has nothing else to do"
    )]
    fn wait(&self, pods: &str, done: impl Fn() -> bool) {
        let end = Instant::now() + LIMIT;
        while !done() {
            assert!(Instant::now() < end, "pods {pods}: {:?}, mounted {:?}", self.tree(), self.mounted());
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    fn has_died(&self) -> bool {
        self.node.lock().as_mut().is_none_or(|child| child.try_wait().unwrap().is_some())
    }

    fn kill(&self) {
        if let Some(mut child) = self.node.lock().take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// After a kill: what is mounted has its record.
    fn check(&self, point: &str) {
        for place in self.mounted() {
            let raw = place.starts_with("plugins/kubernetes.io/csi/volumeDevices");
            let place = if raw { Path::new(RAW_RECORD).to_owned() } else { place };
            let record = VolumeData::read_beside(&self.root.join(&place));
            assert!(matches!(record, Ok(Some(_))), "{} has no record after {point:?}", place.display());
        }
    }

    /// Where something is mounted (or, without namespace, was made) below the root.
    fn mounted(&self) -> BTreeSet<PathBuf> {
        let mut found = BTreeSet::new();
        for place in all_below(&self.root) {
            let there = if self.mounts {
                is_mount_point(&place).unwrap_or(false)
            } else {
                place.join("content").is_file() || place.ends_with("publish/raw/uid-web")
            };
            if there {
                found.insert(place.strip_prefix(&self.root).unwrap().to_owned());
            }
        }
        found
    }

    /// Everything below the directories that the node makes.
    fn tree(&self) -> BTreeSet<PathBuf> {
        ["pods", "plugins/kubernetes.io"]
            .into_iter()
            .flat_map(|top| all_below(&self.root.join(top)))
            .map(|path| path.strip_prefix(&self.root).unwrap().to_owned())
            .collect()
    }

    /// What the driver does: mounts, and keeps what was written into a volume.
    fn effect(&self) -> support::driver::Effect {
        let (mounts, node) = (self.mounts, Arc::clone(&self.node));
        let (deadly_call, lost) = (Arc::clone(&self.deadly_call), Arc::clone(&self.lost));
        Arc::new(move |call| {
            let mut deadly = deadly_call.lock();
            let die = *deadly == Some(call.name());
            if die && let Some(child) = node.lock().as_ref() {
                kill_process(Pid::from_child(child), Signal::KILL).unwrap();
            }
            let done = act(call, mounts, &lost).map_err(|error| Status::internal(error.to_string()));
            if die {
                *deadly = None;
            }
            done
        })
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        self.kill();
    }
}

fn act(call: &Call, mounts: bool, lost: &Mutex<Vec<String>>) -> std::io::Result<()> {
    match call {
        Call::Stage(request) => mount(Path::new(&request.staging_target_path), None, mounts),
        Call::Publish(request) => {
            let staging = Some(&request.staging_target_path).filter(|path| !path.is_empty());
            let capability = request.volume_capability.as_ref();
            if let Some(AccessType::Block(_)) = capability.and_then(|of| of.access_type.as_ref()) {
                return map(Path::new(&request.target_path), mounts);
            }
            mount(Path::new(&request.target_path), staging.map(Path::new), mounts)
        }
        Call::Unpublish(request) if request.volume_id == "handle-raw" => {
            unmap(Path::new(&request.target_path), mounts)
        }
        Call::Unpublish(request) => unmount(Path::new(&request.target_path), mounts, lost),
        Call::Unstage(request) => unmount(Path::new(&request.staging_target_path), mounts, lost),
    }
}

/// Any device will do.
fn map(place: &Path, mounts: bool) -> std::io::Result<()> {
    if !place.exists() {
        std::fs::write(place, "")?;
    }
    if mounts && !is_mount_point(place)? {
        rustix::mount::mount_bind("/dev/null", place)?;
    }
    Ok(())
}

fn unmap(place: &Path, mounts: bool) -> std::io::Result<()> {
    if mounts && is_mount_point(place)? {
        rustix::mount::unmount(place, UnmountFlags::empty())?;
    }
    if place.exists() { std::fs::remove_file(place) } else { Ok(()) }
}

fn mount(place: &Path, source: Option<&Path>, mounts: bool) -> std::io::Result<()> {
    let content = place.join("content");
    if content.is_file() {
        return Ok(());
    }
    std::fs::create_dir_all(place)?;
    if mounts {
        match source {
            Some(source) => rustix::mount::mount_bind(source, place)?,
            None => rustix::mount::mount("tmpfs", place, "tmpfs", MountFlags::empty(), None)?,
        }
    }
    std::fs::write(content, "precious")
}

fn unmount(place: &Path, mounts: bool, lost: &Mutex<Vec<String>>) -> std::io::Result<()> {
    let content = place.join("content");
    // A directory that the node has made for a stage that never came is no mount.
    let there = if mounts { is_mount_point(place)? } else { content.is_file() };
    if !there {
        return Ok(());
    }
    if !content.is_file() {
        lost.lock().push(place.display().to_string());
    }
    if mounts {
        rustix::mount::unmount(place, UnmountFlags::empty())?;
    } else {
        std::fs::remove_file(content)?;
    }
    Ok(())
}

fn all_below(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for path in entries(directory) {
        if path.is_dir() && !path.is_symlink() {
            found.extend(all_below(&path));
        }
        found.push(path);
    }
    found
}

fn entries(directory: &Path) -> Vec<PathBuf> {
    std::fs::read_dir(directory).into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path())).collect()
}
