//! Says of nodes that have gone quiet that nobody knows how they are, and taints nodes by their conditions.
//!
//! The first half is upstream's monitoring in `pkg/controller/nodelifecycle`: a node lives as long as its lease or the
//! heartbeat in its conditions moves, by the clock of whoever watches, so that a node's own clock does not matter. The
//! second half is what keeps pods off: taints are a function of conditions. Who runs there already is the
//! [eviction's](crate::taint_eviction) business.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::json;

use crate::api::{Document, Request, Resource, Target, WatchEvent};
use crate::conditions::{self, Condition, whole_seconds};
use crate::mirror::Mirror;
use crate::objects::{Lease, Node};
use crate::runner::{Controller, Plan};

mod taints;

pub(crate) use taints::UNSCHEDULABLE;

/// A node that has lived is given up after this time without a sign of life.
const GRACE: Duration = Duration::from_secs(50);
/// A node that has never told how it is gets a little longer.
const STARTUP_GRACE: Duration = Duration::from_secs(60);
/// What a node tells of itself, and nobody knows once it is quiet.
const OF_THE_NODE: [&str; 4] = ["Ready", "MemoryPressure", "DiskPressure", "PIDPressure"];
/// The namespace of the nodes' leases.
const LEASES: &str = "kube-node-lease";

pub(crate) struct NodeLifecycle {
    nodes: Mirror<Node>,
    leases: Mirror<Lease>,
    /// The last sign of life of each node.
    heard: BTreeMap<String, Heard>,
}

/// A sign of life, and when it was heard first.
#[derive(Debug, PartialEq)]
struct Heard {
    sign: Sign,
    at: Timestamp,
}

/// What changes when a node beats: the renewal of its lease, its Ready condition and the heartbeat in it.
#[derive(Debug, PartialEq)]
struct Sign {
    renewed: Option<String>,
    ready: Option<(String, Option<String>)>,
}

/// Status and heartbeat of the Ready condition.
fn ready(node: &Node) -> Option<(String, Option<String>)> {
    let ready = conditions::find(&node.status.conditions, "Ready")?;
    Some((ready.status, ready.last_heartbeat_time))
}

impl NodeLifecycle {
    pub(crate) fn new() -> Self {
        Self {
            nodes: Mirror::new(Resource::NODES),
            leases: Mirror::new(Resource::LEASES),
            heard: BTreeMap::new(),
        }
    }

    fn listen(&mut self, name: &str, now: Timestamp) {
        let Some(node) = self.nodes.get("", name) else {
            self.heard.remove(name);
            return;
        };
        let sign = Sign {
            renewed: self.leases.get(LEASES, name).and_then(|lease| lease.spec.renew_time.clone()),
            ready: ready(node),
        };
        if self.heard.get(name).is_none_or(|heard| heard.sign != sign) {
            self.heard.insert(name.to_owned(), Heard { sign, at: now });
        }
    }
}

impl Controller for NodeLifecycle {
    const NAME: &'static str = "node-lifecycle";
    const WATCHES: &'static [Resource] = &[Resource::NODES, Resource::LEASES];

    fn observe_at(&mut self, resource: Resource, event: WatchEvent, now: Timestamp) -> bool {
        let mut names = Vec::new();
        let any = if resource == Resource::NODES {
            self.nodes.observe_each(event, |old, new| {
                names.extend(new.or(old).map(|node| node.metadata.name.clone()));
            })
        } else {
            self.leases.observe_each(event, |old, new| {
                let lease = new.or(old).filter(|lease| lease.metadata.namespace == LEASES);
                names.extend(lease.map(|lease| lease.metadata.name.clone()));
            })
        };
        for name in names {
            self.listen(&name, now);
        }
        any
    }

    fn is_ready(&self) -> bool {
        self.nodes.is_listed() && self.leases.is_listed()
    }

    fn plan(&self, now: Timestamp) -> Plan {
        // When every node is quiet at once, the fault is more likely on this side: nobody is driven away for it.
        let any_is_heard = self.nodes.iter().any(|node| node.readiness() != "Unknown");
        let mut plan = Plan::default();
        for node in self.nodes.iter() {
            let silence = self.silence(node);
            if silence.ends <= now {
                if let Some(request) = given_up(node, &silence, now) {
                    plan.requests.push(request);
                    continue;
                }
            } else if node.readiness() != "Unknown" {
                plan.again_at(silence.ends);
            }
            plan.requests.extend(tainted(node, any_is_heard, now));
        }
        plan
    }

    fn accepted(&mut self, request: &Request, answer: &Document) {
        self.nodes.learn(answer);
        // What was said for the node is no sign of life, but the next that differs from it is.
        let ready = self.nodes.get("", &request.target.name).and_then(ready);
        if let Some(heard) = self.heard.get_mut(&request.target.name) {
            heard.sign.ready = ready;
        }
    }
}

/// For how long a node's silence is borne, and what is said of it then.
struct Silence {
    ends: Timestamp,
    reason: &'static str,
    message: &'static str,
}

impl NodeLifecycle {
    fn silence(&self, node: &Node) -> Silence {
        let heard = self.heard.get(&node.metadata.name).map_or(Timestamp::MAX, |heard| heard.at);
        let after = |from: Timestamp, grace: Duration| from.checked_add(grace).unwrap_or(Timestamp::MAX);
        if node.readiness().is_empty() {
            let ends = after(heard, STARTUP_GRACE);
            let (reason, message) = ("NodeStatusNeverUpdated", "Kubelet never posted node status.");
            return Silence { ends, reason, message };
        }
        let (reason, message) = ("NodeStatusUnknown", "Kubelet stopped posting node status.");
        Silence { ends: after(heard, GRACE), reason, message }
    }
}

/// The statement that nobody knows how the node is, unless that has been said.
fn given_up(node: &Node, silence: &Silence, now: Timestamp) -> Option<Request> {
    if node.readiness() == "Unknown" {
        return None;
    }
    let mut conditions = node.status.conditions.clone();
    for kind in OF_THE_NODE {
        if conditions::status(&conditions, kind) != "Unknown" {
            let unknown = Condition::new(kind, "Unknown", silence.reason, silence.message);
            conditions = conditions::set(&conditions, &unknown, now).unwrap_or(conditions);
        }
    }
    let body = json!({
        "metadata": {"resourceVersion": node.metadata.resource_version},
        "status": {"conditions": conditions},
    });
    Some(Request::merge_patch(target(node).subresource("status"), body))
}

/// The taints that follow from the node's conditions, unless it has them.
fn tainted(node: &Node, any_is_heard: bool, now: Timestamp) -> Option<Request> {
    let taints = taints::wanted(node, any_is_heard, &whole_seconds(now))?;
    let body = json!({
        "metadata": {"resourceVersion": node.metadata.resource_version},
        "spec": {"taints": taints},
    });
    Some(Request::merge_patch(target(node), body))
}

fn target(node: &Node) -> Target {
    Target::cluster(Resource::NODES, &node.metadata.name)
}

#[cfg(test)]
mod tests;
