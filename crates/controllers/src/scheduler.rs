//! Assigns pods to nodes: one that fits, and of these the one with the fewest pods.
//!
//! Of upstream's scheduler (`pkg/scheduler`) this has the filters that need only the pod, the node and the pod's claims:
//! readiness, `unschedulable`, taints, node selector and required node affinity, the number of pods, and that claims are
//! bound. It knows nothing of processor and memory, other pods' wishes, host ports, or where a volume can be reached.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::api::{Document, Request, Resource, Target, WatchEvent};
use crate::conditions::{self, Condition};
use crate::mirror::Mirror;
use crate::objects::{Claim, Node, Pod};
use crate::runner::{Controller, Plan};

mod fit;

/// The pods of other schedulers are left alone.
const NAME: &str = "default-scheduler";
const BINDING: &str = "binding";

pub(crate) struct Scheduler {
    pods: Mirror<Pod>,
    nodes: Mirror<Node>,
    claims: Mirror<Claim>,
}

impl Scheduler {
    pub(crate) fn new() -> Self {
        Self {
            pods: Mirror::new(Resource::PODS),
            nodes: Mirror::new(Resource::NODES),
            claims: Mirror::new(Resource::PERSISTENT_VOLUME_CLAIMS),
        }
    }
}

impl Controller for Scheduler {
    const NAME: &'static str = "scheduler";
    const WATCHES: &'static [Resource] =
        &[Resource::PODS, Resource::NODES, Resource::PERSISTENT_VOLUME_CLAIMS];

    fn observe(&mut self, resource: Resource, event: WatchEvent) -> bool {
        if resource == Resource::PODS {
            self.pods.observe(event)
        } else if resource == Resource::NODES {
            self.nodes.observe(event)
        } else {
            self.claims.observe(event)
        }
    }

    fn is_ready(&self) -> bool {
        self.pods.is_listed() && self.nodes.is_listed() && self.claims.is_listed()
    }

    fn plan(&self, now: Timestamp) -> Plan {
        let mut load: BTreeMap<&str, usize> = BTreeMap::new();
        for pod in self.pods.iter().filter(|pod| !pod.spec.node_name.is_empty() && !pod.is_finished()) {
            *load.entry(&pod.spec.node_name).or_default() += 1;
        }
        let mut waiting: Vec<&Pod> = self.pods.iter().filter(|pod| is_waiting(pod)).collect();
        // Stable: equals stay in the order of namespace and name.
        waiting.sort_by_cached_key(|pod| {
            (std::cmp::Reverse(pod.spec.priority.unwrap_or(0)), pod.metadata.creation_timestamp.clone())
        });
        let mut requests = Vec::new();
        for pod in waiting {
            match self.place(pod, &load) {
                Ok(node) => {
                    *load.entry(node).or_default() += 1;
                    requests.push(bind(pod, node));
                }
                Err(message) => requests.extend(report(pod, &message, now)),
            }
        }
        requests.into()
    }

    fn accepted(&mut self, request: &Request, answer: &Document) {
        if request.target.subresource != Some(BINDING) {
            self.pods.learn(answer);
            return;
        }
        // The answer does not hold the pod. Until the watch tells of it, it counts as assigned.
        let Some(namespace) = &request.target.namespace else { return };
        let node = request.body.pointer("/target/name").and_then(Value::as_str);
        if let (Some(pod), Some(node)) = (self.pods.get_mut(namespace, &request.target.name), node) {
            node.clone_into(&mut pod.spec.node_name);
        }
    }
}

fn is_waiting(pod: &Pod) -> bool {
    pod.spec.node_name.is_empty()
        && (pod.spec.scheduler_name == NAME || pod.spec.scheduler_name.is_empty())
        && pod.spec.scheduling_gates.is_empty()
        && !pod.metadata.is_deleting()
        && !pod.is_finished()
}

impl Scheduler {
    /// The best node for a pod, or why there is none, in upstream's words (`FitError`).
    fn place(&self, pod: &Pod, load: &BTreeMap<&str, usize>) -> Result<&str, String> {
        let count = self.nodes.iter().count();
        if count == 0 {
            return Err("no nodes available to schedule pods".to_owned());
        }
        if let Err(reason) = self.claims_are_bound(pod) {
            return Err(format!("0/{count} nodes are available: {reason}."));
        }
        let mut refusals: BTreeMap<String, usize> = BTreeMap::new();
        let mut best: Option<(usize, &str)> = None;
        for node in self.nodes.iter() {
            let name = &*node.metadata.name;
            let pods = load.get(name).copied().unwrap_or(0);
            match fit::check(pod, node, pods) {
                Ok(()) if best.is_none_or(|best| (pods, name) < best) => best = Some((pods, name)),
                Ok(()) => {}
                Err(reason) => *refusals.entry(reason).or_default() += 1,
            }
        }
        best.map(|(_, name)| name).ok_or_else(|| {
            let mut reasons: Vec<String> =
                refusals.into_iter().map(|(reason, count)| format!("{count} {reason}")).collect();
            reasons.sort();
            format!("0/{count} nodes are available: {}.", reasons.join(", "))
        })
    }

    fn claims_are_bound(&self, pod: &Pod) -> Result<(), String> {
        for name in pod.claims() {
            let Some(claim) = self.claims.get(&pod.metadata.namespace, &name) else {
                return Err(format!("persistentvolumeclaim \"{name}\" not found"));
            };
            if claim.status.phase == "Lost" {
                let volume = &claim.spec.volume_name;
                return Err(format!(
                    "persistentvolumeclaim \"{name}\" bound to non-existent persistentvolume \"{volume}\""
                ));
            }
            if claim.metadata.is_deleting() {
                return Err(format!("persistentvolumeclaim \"{name}\" is being deleted"));
            }
            if !claim.is_bound() {
                return Err("pod has unbound immediate PersistentVolumeClaims".to_owned());
            }
        }
        Ok(())
    }
}

fn bind(pod: &Pod, node: &str) -> Request {
    let metadata = &pod.metadata;
    let body = json!({
        "apiVersion": "v1",
        "kind": "Binding",
        "metadata": {"namespace": metadata.namespace, "name": metadata.name, "uid": metadata.uid},
        "target": {"apiVersion": "v1", "kind": "Node", "name": node},
    });
    Request::create(pod_target(pod).subresource(BINDING), body)
}

/// The condition that tells why a pod waits; nothing if it tells so already.
fn report(pod: &Pod, message: &str, now: Timestamp) -> Option<Request> {
    let wanted = Condition::new("PodScheduled", "False", "Unschedulable", message);
    let conditions = conditions::set(&pod.status.conditions, &wanted, now)?;
    let body = json!({
        "metadata": {"resourceVersion": pod.metadata.resource_version},
        "status": {"conditions": conditions},
    });
    Some(Request::merge_patch(pod_target(pod).subresource("status"), body))
}

fn pod_target(pod: &Pod) -> Target {
    Target::namespaced(Resource::PODS, &pod.metadata.namespace, &pod.metadata.name)
}

#[cfg(test)]
mod tests;
