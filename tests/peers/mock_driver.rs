//! The CSI driver of Kubernetes' own storage tests beside a node: as a process, which is killed and started again, and tells how it
//! was called.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::peer::Peer;
use crate::support::place::is_root;
use crate::support::run::{Command, Run, Signal};
use crate::world::lines;

pub(crate) const NAME: &str = "mock.csi.k8s.io";

/// The driver, below the root directory of a node.
pub(crate) struct MockDriver {
    program: PathBuf,
    root_dir: PathBuf,
    /// None between two lives.
    run: Option<Run>,
    /// What it told in its former lives.
    told: Vec<Value>,
}

impl MockDriver {
    /// Its program; None, if it is not there.
    pub(crate) fn find() -> Option<PathBuf> {
        Peer::MockDriver.find()
    }

    /// Starts it and waits until the node has registered it.
    pub(crate) fn start(program: &Path, root_dir: &Path) -> Self {
        // The node may be about to make them itself.
        for directory in [Path::new("plugins").join(NAME), "plugins_registry".into()] {
            fs::create_dir_all(root_dir.join(directory)).unwrap();
        }
        let run = Some(run(program, root_dir));
        Self { program: program.to_owned(), root_dir: root_dir.to_owned(), run, told: Vec::new() }
    }

    /// Kills it: what it knew of its volumes is gone, its sockets and mounts stay. Starts it again after `meanwhile`.
    pub(crate) fn die(&mut self, meanwhile: impl FnOnce()) {
        self.kill();
        meanwhile();
        self.run = Some(run(&self.program, &self.root_dir));
    }

    fn kill(&mut self) {
        let run = self.run.take().unwrap();
        run.signal(Signal::KILL);
        self.told.extend(lines(&run.wait()));
    }

    /// Waits until it has been called like this in its present life, and has agreed.
    pub(crate) fn called(&self, method: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let found = self.run.as_ref().unwrap().stdout_line(|line| {
            let told: Value = serde_json::from_str(line).unwrap();
            told["method"] == method && told["code"] == "OK" && wanted(&told)
        });
        serde_json::from_str(&found).unwrap()
    }

    /// Ends it; all calls of all its lives.
    pub(crate) fn end(mut self) -> Vec<Value> {
        self.kill();
        self.told.retain(|line| line["event"] == "called");
        self.told
    }
}

fn run(program: &Path, root_dir: &Path) -> Run {
    let flag = |name: &str, path: PathBuf| format!("--{name}={}", path.display());
    let arguments = [
        format!("--name={NAME}"),
        flag("endpoint", root_dir.join("plugins").join(NAME).join("csi.sock")),
        flag("registration-dir", root_dir.join("plugins_registry")),
        format!("--mounts={}", is_root()),
    ];
    let run = Command::of(program, &[], arguments).start();
    run.stdout_line(|line| {
        let told: Value = serde_json::from_str(line).unwrap();
        assert!(told["event"] != "registered" || told["registered"] == true, "{told}");
        told["event"] == "registered"
    });
    run
}

/// Whether a call is about the volume of a handle.
pub(crate) fn of_volume(handle: &str) -> impl Fn(&Value) -> bool {
    move |told| told["request"]["volume_id"] == handle
}

/// Whether a call is about an inline volume of a pod.
pub(crate) fn inline_of(pod: &str) -> impl Fn(&Value) -> bool {
    move |told| {
        let context = &told["request"]["volume_context"];
        context["csi.storage.k8s.io/ephemeral"] == "true" && context["csi.storage.k8s.io/pod.name"] == pod
    }
}

/// The claim that makes each token another.
pub(crate) fn id_of(told: &Value, place: &str, audience: &str) -> String {
    let claims = &told["tokens"][place][audience]["claims"];
    claims["jti"]
        .as_str()
        .unwrap_or_else(|| panic!("wanted a token for {audience} in {place}: {told}"))
        .to_owned()
}
