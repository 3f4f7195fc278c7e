//! Pods: what all containers together make of a pod, in one word.

use std::collections::{HashMap, HashSet};

use serde_json::{Value, json};

use super::column::{AGE, Layout, NAME, text};
use super::seen::{NONE, Seen, items_in, number_in, text_in};

pub(super) static POD: Layout = Layout {
    columns: &[
        NAME,
        text("Ready", "How many of the containers can take requests."),
        text("Status", "How the pod is, containers and all, in one word."),
        text("Restarts", "How often containers were started anew, and how long ago the last time was."),
        AGE,
        text("IP", "The pod's address.").wide(),
        text("Node", "The node that the pod is on.").wide(),
        text("Nominated Node", "The node on which others are being ended to make room.").wide(),
        text("Readiness Gates", "How many of the pod's own conditions for being ready are true.").wide(),
    ],
    cells,
};

fn cells(pod: &Seen<'_>) -> Vec<Value> {
    let summary = Summary::of(pod);
    let restarts = match (summary.restarts, summary.last_restart) {
        (0, _) | (_, "") => summary.restarts.to_string(),
        (restarts, last) => format!("{restarts} ({} ago)", pod.since(last)),
    };
    vec![
        pod.name().into(),
        format!("{}/{}", summary.ready, summary.containers).into(),
        summary.status.into(),
        restarts.into(),
        pod.age(),
        pod.text_or("/status/podIPs/0/ip", NONE).into(),
        pod.text_or("/spec/nodeName", NONE).into(),
        pod.text_or("/status/nominatedNodeName", NONE).into(),
        readiness_gates(pod).into(),
    ]
}

/// A row's conditions: kubectl may leave rows out that are over.
pub(super) fn conditions(pod: &Seen<'_>) -> Option<Value> {
    let (reason, message) = match pod.text("/status/phase") {
        "Succeeded" => ("Succeeded", "The pod has completed successfully."),
        "Failed" => ("Failed", "The pod failed."),
        _ => return None,
    };
    Some(json!([{"type": "Completed", "status": "True", "reason": reason, "message": message}]))
}

/// All containers taken together.
struct Summary<'a> {
    ready: usize,
    containers: usize,
    status: String,
    restarts: i64,
    /// When a container that was started anew last had ended; empty when none was.
    last_restart: &'a str,
}

/// Restarts that are counted together.
#[derive(Clone, Copy, Default)]
struct Restarts<'a> {
    count: i64,
    /// RFC 3339 in UTC: the later is the greater text.
    last: &'a str,
}

impl<'a> Restarts<'a> {
    fn add(&mut self, container: &'a Value) {
        self.count += number_in(container, "/restartCount");
        self.last = self.last.max(text_in(container, "/lastState/terminated/finishedAt"));
    }
}

impl<'a> Summary<'a> {
    fn of(pod: &Seen<'a>) -> Self {
        let init_containers = pod.items("/spec/initContainers");
        // Names are unique among them.
        let sidecars: HashSet<&str> = init_containers
            .iter()
            .filter(|container| text_in(container, "/restartPolicy") == "Always")
            .map(|container| text_in(container, "/name"))
            .collect();
        let mut summary = Self {
            ready: 0,
            containers: pod.items("/spec/containers").len() + sidecars.len(),
            status: beginning(pod),
            restarts: 0,
            last_restart: "",
        };

        // Init containers run one after the other: the first that is not done says how far the pod has come.
        let (mut all, mut of_sidecars) = (Restarts::default(), Restarts::default());
        let mut is_initializing = false;
        for (position, container) in pod.items("/status/initContainerStatuses").iter().enumerate() {
            let is_sidecar = sidecars.contains(text_in(container, "/name"));
            all.add(container);
            if is_sidecar {
                of_sidecars.add(container);
            }
            let ended = container.pointer("/state/terminated");
            if ended.is_some_and(|ended| number_in(ended, "/exitCode") == 0) {
                continue;
            }
            if is_sidecar && container["started"] == true {
                summary.ready += usize::from(container["ready"] == true);
                continue;
            }
            is_initializing = true;
            summary.status = match (ended, text_in(container, "/state/waiting/reason")) {
                (Some(ended), _) => format!("Init:{}", end(ended)),
                (None, "" | "PodInitializing") => format!("Init:{position}/{}", init_containers.len()),
                (None, reason) => format!("Init:{reason}"),
            };
            break;
        }

        if !is_initializing || has_condition(pod, "Initialized") {
            all = of_sidecars;
            summary.take_containers(pod, &mut all);
        }
        (summary.restarts, summary.last_restart) = (all.count, all.last);

        if pod.is_terminating() {
            if pod.text("/status/reason") == "NodeLost" {
                summary.status = "Unknown".to_owned();
            } else if !matches!(pod.text("/status/phase"), "Succeeded" | "Failed") {
                summary.status = "Terminating".to_owned();
            }
        }
        summary
    }

    /// The containers proper, from the last to the first: the first that has something to say has the last word.
    fn take_containers(&mut self, pod: &Seen<'a>, restarts: &mut Restarts<'a>) {
        let mut is_running = false;
        for container in pod.items("/status/containerStatuses").iter().rev() {
            restarts.add(container);
            let waiting = text_in(container, "/state/waiting/reason");
            if !waiting.is_empty() {
                self.status = waiting.to_owned();
            } else if let Some(ended) = container.pointer("/state/terminated") {
                self.status = end(ended);
            } else if container["ready"] == true && container.pointer("/state/running").is_some() {
                is_running = true;
                self.ready += 1;
            }
        }
        // One has done its work, another has not.
        if self.status == "Completed" && is_running {
            self.status = if has_condition(pod, "Ready") { "Running" } else { "NotReady" }.to_owned();
        }
    }
}

/// The status before containers are looked at.
fn beginning(pod: &Seen<'_>) -> String {
    let is_gated = pod.items("/status/conditions").iter().any(|condition| {
        text_in(condition, "/type") == "PodScheduled" && text_in(condition, "/reason") == "SchedulingGated"
    });
    match (is_gated, pod.text("/status/reason")) {
        (true, _) => "SchedulingGated".to_owned(),
        (false, "") => pod.text("/status/phase").to_owned(),
        (false, reason) => reason.to_owned(),
    }
}

/// How a container ended.
fn end(ended: &Value) -> String {
    match (text_in(ended, "/reason"), number_in(ended, "/signal")) {
        ("", 0) => format!("ExitCode:{}", number_in(ended, "/exitCode")),
        ("", signal) => format!("Signal:{signal}"),
        (reason, _) => reason.to_owned(),
    }
}

fn has_condition(pod: &Seen<'_>, name: &str) -> bool {
    pod.items("/status/conditions")
        .iter()
        .any(|condition| text_in(condition, "/type") == name && text_in(condition, "/status") == "True")
}

fn readiness_gates(pod: &Seen<'_>) -> String {
    let gates = pod.items("/spec/readinessGates");
    if gates.is_empty() {
        return NONE.to_owned();
    }
    // Of several of a type the first counts.
    let mut conditions: HashMap<&str, &str> = HashMap::new();
    for condition in pod.items("/status/conditions") {
        conditions.entry(text_in(condition, "/type")).or_insert(text_in(condition, "/status"));
    }
    let is_true = |gate: &&Value| conditions.get(text_in(gate, "/conditionType")) == Some(&"True");
    format!("{}/{}", items_in(pod.object, "/spec/readinessGates").iter().filter(is_true).count(), gates.len())
}
