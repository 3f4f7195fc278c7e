//! Assigns pods to nodes.
//!
//! Of upstream's scheduler (`pkg/scheduler`) this has the filters by node name and `unschedulable`, taints, node selector and
//! affinity, resources, and volumes: where they can be reached, how many a driver takes on a node, and claims that wait for
//! their first consumer. Of the nodes that fit it takes those that the pod prefers, then the one with the fewest pods. It
//! knows nothing of other pods' wishes, host ports and preemption.
//!
//! [`fit`] has the filters that need only pod and node, [`claims`] those that need the pod's claims, [`usage`] what is taken.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::api::{Document, Request, Resource, Target, WatchEvent};
use crate::conditions::{self, Condition};
use crate::mirror::Mirror;
use crate::news::News;
use crate::objects::{Affinity, Claim, CsiNode, Metadata, Node, StorageClass, Volume};
use crate::runner::{Controller, Plan};

mod claims;
mod fit;
mod pod;
mod usage;

use claims::{Claims, Wishes};
use pod::{Place, SchedulerPod, Waiting};
use usage::Usage;

const BINDING: &str = "binding";
const UNSCHEDULABLE: &str = "Unschedulable";

pub(crate) struct Scheduler {
    pods: Mirror<SchedulerPod>,
    nodes: Mirror<Node>,
    claims: Mirror<Claim>,
    volumes: Mirror<Volume>,
    classes: Mirror<StorageClass>,
    csi_nodes: Mirror<CsiNode>,
}

impl Scheduler {
    pub(crate) fn new() -> Self {
        Self {
            pods: Mirror::new(Resource::PODS),
            nodes: Mirror::new(Resource::NODES),
            claims: Mirror::new(Resource::PERSISTENT_VOLUME_CLAIMS),
            volumes: Mirror::new(Resource::PERSISTENT_VOLUMES),
            classes: Mirror::new(Resource::STORAGE_CLASSES),
            csi_nodes: Mirror::new(Resource::CSI_NODES),
        }
    }
}

impl Controller for Scheduler {
    const NAME: &'static str = "scheduler";
    const WATCHES: &'static [Resource] = &[
        Resource::PODS,
        Resource::NODES,
        Resource::PERSISTENT_VOLUME_CLAIMS,
        Resource::PERSISTENT_VOLUMES,
        Resource::STORAGE_CLASSES,
        Resource::CSI_NODES,
    ];

    fn observe(&mut self, resource: Resource, event: WatchEvent) -> bool {
        if resource == Resource::PODS {
            self.pods.observe(event)
        } else if resource == Resource::NODES {
            self.nodes.observe(event)
        } else if resource == Resource::PERSISTENT_VOLUME_CLAIMS {
            self.claims.observe(event)
        } else if resource == Resource::PERSISTENT_VOLUMES {
            self.volumes.observe(event)
        } else if resource == Resource::STORAGE_CLASSES {
            self.classes.observe(event)
        } else {
            self.csi_nodes.observe(event)
        }
    }

    fn is_ready(&self) -> bool {
        self.pods.is_listed()
            && self.nodes.is_listed()
            && self.claims.is_listed()
            && self.volumes.is_listed()
            && self.classes.is_listed()
            && self.csi_nodes.is_listed()
    }

    fn plan(&self, now: Timestamp) -> Plan {
        let mut waiting: Vec<(&Metadata, &Waiting)> = self
            .pods
            .iter()
            .filter_map(|pod| match &pod.place {
                Place::Waiting(waiting) if !pod.metadata.is_deleting() => Some((&pod.metadata, &**waiting)),
                _ => None,
            })
            .collect();
        if waiting.is_empty() {
            return Plan::default();
        }
        // Stable: equals stay in the order of namespace and name.
        waiting.sort_by_cached_key(|(metadata, pod)| {
            (Reverse(pod.spec.priority.unwrap_or(0)), metadata.creation_timestamp.clone())
        });
        let mut round = Round::new(self);
        let mut requests = Vec::new();
        for (metadata, pod) in waiting {
            match round.place(metadata, pod) {
                Ok(placed) => requests.extend(placed),
                Err(message) => requests.extend(report(metadata, pod, &message, now)),
            }
        }
        requests.into()
    }

    fn told(&self, request: &Request, _answer: &Document) -> Option<News> {
        news(request)
    }

    fn accepted(&mut self, request: &Request, answer: &Document) {
        let Target { resource, namespace, name, subresource } = &request.target;
        if *resource == Resource::PERSISTENT_VOLUME_CLAIMS {
            self.claims.learn(answer);
        } else if *resource == Resource::PERSISTENT_VOLUMES {
            self.volumes.learn(answer);
        } else if *subresource == Some(BINDING) {
            // The answer does not hold the pod. Until the watch tells of it, it counts as assigned.
            let node = request.body.pointer("/target/name").and_then(Value::as_str);
            let pod = self.pods.get_mut(namespace.as_deref().unwrap_or_default(), name);
            if let (Some(pod), Some(node)) = (pod, node) {
                pod.assign(node);
            }
        } else {
            self.pods.learn(answer);
        }
    }
}

/// One plan being made: what it has given away already counts as taken.
struct Round<'a> {
    nodes: &'a Mirror<Node>,
    usage: Usage<'a>,
    /// The nodes in the order of how many pods they have.
    by_load: BTreeSet<(usize, &'a str)>,
    claims: Claims<'a>,
    /// Whether some node would rather not have some pods.
    any_is_reluctant: bool,
}

impl<'a> Round<'a> {
    fn new(of: &'a Scheduler) -> Self {
        let usage = Usage::of(of.pods.iter());
        let name = |node: &'a Node| &*node.metadata.name;
        Self {
            by_load: of.nodes.iter().map(|node| (usage.pods_on(name(node)), name(node))).collect(),
            usage,
            any_is_reluctant: of.nodes.iter().any(fit::is_reluctant),
            claims: Claims::of(of),
            nodes: &of.nodes,
        }
    }

    /// What has to be written so that the pod gets to the best node, or why there is none, in upstream's words (`FitError`).
    fn place(&mut self, metadata: &'a Metadata, pod: &'a Waiting) -> Result<Vec<Request>, String> {
        let count = self.by_load.len();
        if count == 0 {
            return Err("no nodes available to schedule pods".to_owned());
        }
        let wishes = self.claims.wishes(metadata, &pod.spec);
        let wishes = wishes.map_err(|reason| format!("0/{count} nodes are available: {reason}."))?;
        let mut refusals: BTreeMap<String, usize> = BTreeMap::new();
        let mut best: Option<(Rank, &'a str)> = None;
        // Without preferences the first that fits is the best: they are in the order of their load.
        let has_preferences =
            self.any_is_reluctant || fit::has_preferences(&pod.spec) || wishes.selected.is_some();
        // The pod of a DaemonSet is for one node: the others need not be looked at.
        let target = pod.spec.affinity.as_ref().and_then(Affinity::target_node);
        let target = target.and_then(|name| self.nodes.get("", name)).map(|node| &*node.metadata.name);
        let only = target.map(|name| (self.usage.pods_on(name), name));
        if only.is_some() && count > 1 {
            refusals.insert(fit::NOT_SELECTED.to_owned(), count - 1);
        }
        let all = only.is_none().then_some(&self.by_load).into_iter().flatten();
        for (load, name) in only.iter().chain(all) {
            let Some(node) = self.nodes.get("", name) else { continue };
            match self.check(pod, &wishes, node) {
                Ok(()) => {
                    let rank = Rank {
                        elsewhere: wishes.selected.is_some_and(|selected| selected != *name),
                        preference: Reverse(fit::preference(&pod.spec, node)),
                        reluctance: fit::reluctance(&pod.spec, node),
                        load: *load,
                    };
                    if best.as_ref().is_none_or(|(least, at)| (&rank, *name) < (least, *at)) {
                        best = Some((rank, *name));
                    }
                    if !has_preferences {
                        break;
                    }
                }
                Err(reasons) => {
                    for reason in reasons {
                        *refusals.entry(reason).or_default() += 1;
                    }
                }
            }
        }
        let Some((rank, name)) = best else {
            let mut reasons: Vec<String> =
                refusals.into_iter().map(|(reason, count)| format!("{count} {reason}")).collect();
            reasons.sort();
            return Err(format!("0/{count} nodes are available: {}.", reasons.join(", ")));
        };
        self.by_load.remove(&(rank.load, name));
        self.by_load.insert((rank.load + 1, name));
        self.usage.take(name, &pod.requests, &metadata.namespace, &pod.claims);
        let Some(node) = self.nodes.get("", name) else { return Ok(Vec::new()) };
        // A claim that waits for its first consumer is bound first, and the pod when that is done.
        Ok(self.claims.grant(&wishes, node).unwrap_or_else(|| vec![bind(metadata, name)]))
    }

    fn check(&self, pod: &Waiting, wishes: &Wishes<'_>, node: &Node) -> Result<(), Vec<String>> {
        fit::check(pod, node, self.usage.on(&node.metadata.name))?;
        self.claims.check(wishes, node, &self.usage).map_err(|reason| vec![reason.to_owned()])
    }
}

/// The smallest is the best.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Rank {
    /// Not the node that a claim of the pod is being made for.
    elsewhere: bool,
    /// The weight of the pod's preferences that the node meets.
    preference: Reverse<i64>,
    /// How many taints say that it should rather not be here.
    reluctance: usize,
    load: usize,
}

fn bind(metadata: &Metadata, node: &str) -> Request {
    let body = json!({
        "apiVersion": "v1",
        "kind": "Binding",
        "metadata": {"namespace": metadata.namespace, "name": metadata.name, "uid": metadata.uid},
        "target": {"apiVersion": "v1", "kind": "Node", "name": node},
    });
    Request::create(Target::of(Resource::PODS, metadata).subresource(BINDING), body)
}

/// What is told of a pod that has found its place, or none.
fn news(request: &Request) -> Option<News> {
    let Target { namespace, name, subresource, .. } = &request.target;
    let namespace = namespace.as_deref().unwrap_or_default();
    let text = |pointer: &str| request.body.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let mut news = News {
        component: pod::NAME,
        action: Some("Binding"),
        about: json!({
            "apiVersion": "v1", "kind": "Pod", "namespace": namespace, "name": name, "uid": text("/metadata/uid"),
        }),
        is_warning: false,
        reason: "Scheduled",
        message: format!("Successfully assigned {namespace}/{name} to {}", text("/target/name")),
    };
    if *subresource == Some(BINDING) {
        return Some(news);
    }
    let conditions = request.body.pointer("/status/conditions")?.as_array()?;
    let waits = conditions.iter().find(|condition| condition["reason"] == UNSCHEDULABLE)?;
    news.is_warning = true;
    (news.action, news.reason) = (Some("Scheduling"), "FailedScheduling");
    news.message = waits["message"].as_str().unwrap_or_default().to_owned();
    Some(news)
}

/// The condition that tells why a pod waits; nothing if it tells so already.
fn report(metadata: &Metadata, pod: &Waiting, message: &str, now: Timestamp) -> Option<Request> {
    let wanted = Condition::new("PodScheduled", "False", UNSCHEDULABLE, message);
    let conditions = conditions::set(&pod.conditions, &wanted, now)?;
    let body = json!({
        "metadata": {"uid": metadata.uid, "resourceVersion": metadata.resource_version},
        "status": {"conditions": conditions},
    });
    Some(Request::merge_patch(Target::of(Resource::PODS, metadata).subresource("status"), body))
}

#[cfg(test)]
mod tests;
