//! Assigns pods to nodes.
//!
//! Of upstream's scheduler (`pkg/scheduler`) this has the filters by `unschedulable`, taints, node selector and affinity, host
//! ports, resources, volumes (where they can be reached, how many a driver takes on a node, claims for one pod alone, and
//! claims that wait for their first consumer), spread over topologies, and affinity between pods; the scores of what is only
//! preferred; and preemption by priority. Between equal nodes it takes the one with the fewest pods. The one invariant: *a pod
//! is bound only to a node that no required rule forbids*, whatever else the same plan has given away.
//!
//! [`fit`] has the filters that need only pod and node, [`claims`] those that need the pod's claims, [`spread`] and
//! [`neighbours`] those that need the other pods; [`score`] picks the best, [`preemption`] makes room; [`round`] goes from pod to
//! pod, and [`writes`] has what comes of it.

use std::cmp::Reverse;

use jiff::Timestamp;
use serde_json::Value;

use crate::api::{Document, Request, Resource, Target, Verb, WatchEvent};
use crate::mirror::Mirror;
use crate::news::News;
use crate::objects::{Claim, CsiNode, Namespace, Node, StorageClass, Volume};
use crate::runner::{Controller, Plan};

mod claims;
mod fit;
mod neighbours;
mod pod;
mod ports;
mod preemption;
mod refusal;
mod round;
mod score;
mod spread;
mod surroundings;
mod terms;
mod usage;
mod writes;

use pod::{Newcomer, Place, SchedulerPod};
use round::Round;
use writes::BINDING;

pub(crate) struct Scheduler {
    pods: Mirror<SchedulerPod>,
    nodes: Mirror<Node>,
    namespaces: Mirror<Namespace>,
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
            namespaces: Mirror::new(Resource::NAMESPACES),
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
        Resource::NAMESPACES,
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
        } else if resource == Resource::NAMESPACES {
            self.namespaces.observe(event)
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
            && self.namespaces.is_listed()
            && self.claims.is_listed()
            && self.volumes.is_listed()
            && self.classes.is_listed()
            && self.csi_nodes.is_listed()
    }

    fn plan(&self, now: Timestamp) -> Plan {
        let mut waiting: Vec<Newcomer<'_>> = self
            .pods
            .iter()
            .filter_map(|SchedulerPod { metadata, needs, place }| match place {
                Place::Waiting(waiting) if !metadata.is_deleting() => {
                    Some(Newcomer { metadata, needs, waiting })
                }
                _ => None,
            })
            .collect();
        if waiting.is_empty() {
            return Plan::default();
        }
        // Stable: equals stay in the order of namespace and name. Those for whom room is made keep it before their equals.
        waiting.sort_by_cached_key(|pod| {
            let is_new = pod.waiting.nominated.is_empty();
            (Reverse(pod.needs.priority), is_new, pod.metadata.creation_timestamp.clone())
        });
        let mut round = Round::new(self, now);
        let requests: Vec<Request> = waiting.into_iter().flat_map(|pod| round.place(pod)).collect();
        requests.into()
    }

    fn told(&self, request: &Request, _answer: &Document) -> Vec<News> {
        let Target { resource, namespace, name, .. } = &request.target;
        let news = if request.verb == Verb::Delete && *resource == Resource::PODS {
            let victim = self.pods.get(namespace.as_deref().unwrap_or_default(), name);
            victim.and_then(|victim| self.news_of_victim(victim))
        } else {
            writes::news(request)
        };
        news.into_iter().collect()
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
            request.expect(&mut self.pods, answer);
        }
    }
}

impl Scheduler {
    /// For whom it has to go: the most important of those for whom room is made on its node.
    fn news_of_victim(&self, victim: &SchedulerPod) -> Option<News> {
        let Place::On(node) = &victim.place else { return None };
        let is_cause = |pod: &&SchedulerPod| match &pod.place {
            Place::Waiting(waiting) => {
                waiting.nominated == *node && pod.needs.priority > victim.needs.priority
            }
            _ => false,
        };
        let preemptor = self.pods.iter().filter(is_cause).max_by_key(|pod| pod.needs.priority)?;
        Some(writes::news_of_victim(&victim.metadata, &preemptor.metadata.uid, node))
    }
}

#[cfg(test)]
mod tests;
