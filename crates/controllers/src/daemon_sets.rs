//! DaemonSets: one pod on each node that fits, replaced step by step when the template changes (upstream's
//! `pkg/controller/daemon`).
//!
//! The pods are not assigned here: each carries an affinity to its node, and the scheduler does the rest. Names are made of
//! set, node, revision and how many pods have left the node, so that a creation whose answer was lost is refused the second
//! time and not doubled, and yet no pod has the name of one before it.
//!
//! [`eligibility`] says where a set's pods belong, [`history`] which revision the template is, [`rollout`] which pods are made
//! and deleted, [`status`] what is reported, [`news`] what people are told.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::api::{ApiError, Document, Request, Resource, Target, WatchEvent};
use crate::mirror::Mirror;
use crate::news::News;
use crate::objects::Metadata;
use crate::runner::{Controller, Plan};

mod eligibility;
mod history;
mod kinds;
mod news;
mod pod;
mod rollout;
mod status;

use history::History;
use kinds::{DaemonNode, DaemonPod, DaemonSet, Revision};

/// The label of pods and revisions that says which template they are of.
const HASH: &str = "controller-revision-hash";
/// The shortest and the longest time between two deletions of failed pods of a set on a node.
const FIRST_BACKOFF: Duration = Duration::from_secs(1);
const LONGEST_BACKOFF: Duration = Duration::from_secs(15 * 60);

pub(crate) struct DaemonSets {
    sets: Mirror<DaemonSet>,
    revisions: Mirror<Revision>,
    pods: Mirror<DaemonPod>,
    nodes: Mirror<DaemonNode>,
    failures: BTreeMap<Place, Failures>,
    /// This run's own: what an earlier run has called pods nobody knows.
    salt: u128,
    /// How many pods have left each place.
    departures: BTreeMap<Place, u64>,
}

/// A set, by uid, on a node.
type Place = (String, String);

/// Failed pods of one template that were deleted, one soon after the other.
#[derive(Debug, PartialEq)]
struct Failures {
    /// The template's hash: another one may do better.
    hash: String,
    count: u32,
    last: Timestamp,
}

impl Failures {
    /// From when on the next failed pod may be deleted.
    fn over(&self) -> Timestamp {
        let delay = FIRST_BACKOFF.saturating_mul(1 << (self.count - 1).min(16)).min(LONGEST_BACKOFF);
        self.last.checked_add(delay).unwrap_or(Timestamp::MAX)
    }
}

impl DaemonSets {
    /// With a random number, out of which come the names of pods.
    pub(crate) fn new(salt: u128) -> Self {
        Self {
            sets: Mirror::new(Resource::DAEMON_SETS),
            revisions: Mirror::new(Resource::CONTROLLER_REVISIONS),
            pods: Mirror::new(Resource::PODS),
            nodes: Mirror::new(Resource::NODES),
            failures: BTreeMap::new(),
            salt,
            departures: BTreeMap::new(),
        }
    }

    fn note_failure(&mut self, place: Place, hash: String, now: Timestamp) {
        // A place where all has been well for long enough starts anew.
        let forgotten = |last: Timestamp| now.duration_since(last).unsigned_abs() > 2 * LONGEST_BACKOFF;
        self.failures.retain(|_, failures| !forgotten(failures.last));
        let before = self.failures.get(&place).filter(|failures| failures.hash == hash);
        let count = before.map_or(1, |failures| failures.count.saturating_add(1));
        self.failures.insert(place, Failures { hash, count, last: now });
    }
}

impl Controller for DaemonSets {
    const NAME: &'static str = "daemon-sets";
    const WATCHES: &'static [Resource] =
        &[Resource::DAEMON_SETS, Resource::CONTROLLER_REVISIONS, Resource::PODS, Resource::NODES];

    fn observe_at(&mut self, resource: Resource, event: WatchEvent, now: Timestamp) -> bool {
        if resource == Resource::DAEMON_SETS {
            let departures = &mut self.departures;
            return self.sets.observe_each(event, |old, new| {
                if let (Some(gone), None) = (old, new) {
                    departures.retain(|(set, _), _| *set != gone.metadata.uid);
                }
            });
        } else if resource == Resource::CONTROLLER_REVISIONS {
            return self.revisions.observe(event);
        } else if resource == Resource::NODES {
            return self.nodes.observe(event);
        }
        let was_listed = self.pods.is_listed();
        let (mut concerns_a_set, mut failed) = (false, Vec::new());
        let departures = &mut self.departures;
        self.pods.observe_each(event, |old, new| {
            concerns_a_set |= [old, new].into_iter().flatten().any(DaemonPod::may_be_of_a_set);
            if let (Some(gone), None) = (old, new)
                && let Some(owner) = gone.metadata.controller()
                && owner.kind == kinds::DAEMON_SET
            {
                let place = (owner.uid.clone(), gone.node.clone());
                *departures.entry(place.clone()).or_default() += 1;
                failed.extend(gone.is_failed().then(|| (place, gone.hash().to_owned())));
            }
        });
        for (place, hash) in failed {
            self.note_failure(place, hash, now);
        }
        concerns_a_set || !was_listed
    }

    fn is_ready(&self) -> bool {
        self.sets.is_listed() && self.revisions.is_listed() && self.pods.is_listed() && self.nodes.is_listed()
    }

    fn plan(&self, now: Timestamp) -> Plan {
        let mut plan = Plan::default();
        if self.sets.iter().next().is_none() {
            return plan;
        }
        let mut owned: BTreeMap<&str, Vec<&DaemonPod>> = BTreeMap::new();
        let mut orphans: BTreeMap<&str, Vec<&DaemonPod>> = BTreeMap::new();
        for pod in self.pods.iter() {
            match pod.metadata.controller() {
                Some(owner) if owner.kind == kinds::DAEMON_SET => {
                    owned.entry(&owner.uid).or_default().push(pod);
                }
                Some(_) => {}
                None => orphans.entry(&pod.metadata.namespace).or_default().push(pod),
            }
        }
        for set in self.sets.iter().filter(|set| !set.metadata.is_deleting()) {
            let pods = owned.remove(&*set.metadata.uid).unwrap_or_default();
            let orphans = orphans.get(&*set.metadata.namespace).map_or(&[][..], Vec::as_slice);
            self.plan_set(set, pods, orphans, now, &mut plan);
        }
        plan
    }

    fn told(&self, request: &Request, _answer: &Document) -> Vec<News> {
        self.news_of(request)
    }

    fn told_of_failure(&self, request: &Request, error: &ApiError, attempts: u32) -> Option<News> {
        self.news_of_failure(request, error, attempts)
    }

    fn accepted(&mut self, request: &Request, answer: &Document) {
        let resource = request.target.resource;
        if resource == Resource::DAEMON_SETS {
            request.expect(&mut self.sets, answer);
        } else if resource == Resource::CONTROLLER_REVISIONS {
            request.expect(&mut self.revisions, answer);
        } else {
            request.expect(&mut self.pods, answer);
        }
    }
}

impl DaemonSets {
    fn plan_set(
        &self,
        set: &DaemonSet,
        pods: Vec<&DaemonPod>,
        orphans: &[&DaemonPod],
        now: Timestamp,
        plan: &mut Plan,
    ) {
        // Validation refuses a set that selects everything; one that got through does nothing.
        if set.spec.selector.is_empty() {
            return;
        }
        let (pods, strays): (Vec<_>, Vec<_>) =
            pods.into_iter().partition(|pod| set.spec.selector.matches(&pod.metadata.labels));
        plan.requests.extend(strays.into_iter().map(|pod| released(set, Resource::PODS, &pod.metadata)));
        let wanted = orphans.iter().filter(|pod| {
            !pod.metadata.is_deleting()
                && !pod.is_finished()
                && set.spec.selector.matches(&pod.metadata.labels)
        });
        plan.requests.extend(wanted.map(|pod| adopted(set, Resource::PODS, &pod.metadata)));

        let history = History::of(set, self.revisions.in_namespace(&set.metadata.namespace));
        let live: BTreeSet<&str> =
            pods.iter().filter_map(|pod| pod.metadata.labels.get(HASH)).map(String::as_str).collect();
        plan.requests.extend(history.changes(set, &live));
        let Some(hash) = history.hash() else {
            plan.requests.extend(history.collision(set));
            return;
        };
        let relabelled: Vec<Request> = pods.iter().filter_map(|pod| history.relabelled(pod)).collect();
        if !relabelled.is_empty() {
            // As they are labelled they would count as old.
            plan.requests.extend(relabelled);
            return;
        }

        let nodes = eligibility::Nodes::of(set, self.nodes.iter(), &pods);
        let taken = |name: &str| self.pods.get(&set.metadata.namespace, name).is_some();
        let steps = rollout::steps(set, hash, &nodes, now, |pod| {
            let failures = self.failures.get(&(set.metadata.uid.clone(), pod.node.clone()))?;
            (failures.hash == pod.hash()).then(|| failures.over())
        });
        let departed = |node: &str| {
            let place = (set.metadata.uid.clone(), node.to_owned());
            self.departures.get(&place).copied().unwrap_or_default()
        };
        let seed = |node: &str| format!("{}/{hash}/{:x}/{}", set.metadata.uid, self.salt, departed(node));
        let names = pod::names(set, &steps.create, seed, taken);
        let creations =
            steps.create.iter().zip(names).map(|(node, name)| pod::creation(set, hash, node, &name));
        plan.requests.extend(creations);
        plan.requests.extend(steps.delete.iter().map(|pod| deletion(Resource::PODS, &pod.metadata)));
        for then in steps.again {
            plan.again_at(then);
        }
        plan.requests.extend(status::change(set, hash, &nodes, now));
    }
}

fn deletion(resource: Resource, metadata: &Metadata) -> Request {
    Request::delete(Target::of(resource, metadata), &metadata.uid)
}

/// The object becomes the set's.
fn adopted(set: &DaemonSet, resource: Resource, metadata: &Metadata) -> Request {
    let mut owners: Vec<Value> = metadata.owner_references.iter().map(|owner| json!(owner)).collect();
    owners.push(owner_reference(set));
    owned_by(resource, metadata, &owners)
}

/// The object is no longer the set's, since its labels have changed.
fn released(set: &DaemonSet, resource: Resource, metadata: &Metadata) -> Request {
    let others = metadata.owner_references.iter().filter(|owner| owner.uid != set.metadata.uid);
    owned_by(resource, metadata, &others.map(|owner| json!(owner)).collect::<Vec<Value>>())
}

fn owned_by(resource: Resource, metadata: &Metadata, owners: &[Value]) -> Request {
    let body = json!({"metadata": {
        "uid": metadata.uid, "resourceVersion": metadata.resource_version, "ownerReferences": owners,
    }});
    Request::merge_patch(Target::of(resource, metadata), body)
}

fn owner_reference(set: &DaemonSet) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": kinds::DAEMON_SET, "name": set.metadata.name, "uid": set.metadata.uid,
        "controller": true, "blockOwnerDeletion": true,
    })
}

#[cfg(test)]
mod tests;
