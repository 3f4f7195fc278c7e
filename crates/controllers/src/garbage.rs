//! Deletes what has lost its owners (upstream's `pkg/controller/garbagecollector`).
//!
//! - background: an object all of whose owners are gone is deleted;
//! - foreground: an owner with the finalizer `foregroundDeletion` goes after those dependents that block it;
//! - orphan: an owner with the finalizer `orphan` goes after no dependent names it any more.
//!
//! The watches of the kinds do not move in step, so that an owner which has not been heard of need not be gone: before anything
//! is deleted for it, the server is asked.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde_json::{Value, json};
use tokenward_kube_schema::{Kind, Verb as Served, kinds};

use crate::api::{Document, Request, Resource, Target, Verb, WatchEvent};
use crate::objects::{Metadata, OwnerReference};
use crate::runner::{Controller, Plan, Refusal};

mod graph;

use graph::{Graph, Node, Partial};

pub(crate) const FOREGROUND: &str = "foregroundDeletion";
pub(crate) const ORPHAN: &str = "orphan";
/// So many requests make one plan: what is left over is planned again from a newer view.
const REQUESTS_A_PLAN: usize = 1000;

pub(crate) struct GarbageCollector {
    graph: Graph,
    watched: Vec<Resource>,
    listed: BTreeSet<Resource>,
    /// The uids of owners that the server says are gone. A uid never comes back.
    gone: BTreeSet<String>,
}

impl GarbageCollector {
    pub(crate) fn new() -> Self {
        Self {
            graph: Graph::default(),
            watched: collected().map(resource).collect(),
            listed: BTreeSet::new(),
            gone: BTreeSet::new(),
        }
    }
}

/// The kinds that are watched. Events have no owners and are many.
fn collected() -> impl Iterator<Item = &'static Kind> {
    kinds().iter().filter(|kind| {
        [Served::List, Served::Watch, Served::Delete].iter().all(|verb| kind.verbs.contains(verb))
            && kind.kind != "Event"
    })
}

fn resource(kind: &Kind) -> Resource {
    Resource { group: kind.group, version: kind.version, plural: kind.plural }
}

/// The collected kind that an owner is of, whatever the version.
fn kind_of(owner: &OwnerReference) -> Option<&'static Kind> {
    let group = owner.api_version.split_once('/').map_or("", |(group, _)| group);
    collected().find(|kind| (kind.group, kind.kind) == (group, &*owner.kind))
}

impl Controller for GarbageCollector {
    const NAME: &'static str = "garbage-collector";
    const WATCHES: &'static [Resource] = &[];

    fn watches(&self) -> Vec<Resource> {
        self.watched.clone()
    }

    fn observe(&mut self, resource: Resource, event: WatchEvent) -> bool {
        let read = |object: &Document| match object.read::<Partial>() {
            Ok(partial) => Some(partial.metadata),
            Err(_) => {
                // Without serde_json's text, which quotes the object.
                tracing::warn!(resource = resource.plural, "an object has metadata that cannot be read");
                None
            }
        };
        match event {
            WatchEvent::Listed { objects, .. } => {
                self.listed.insert(resource);
                self.graph.list(resource, objects.iter().filter_map(read));
            }
            WatchEvent::Applied(object) => {
                if let Some(metadata) = read(&object) {
                    self.graph.put(resource, metadata);
                }
            }
            WatchEvent::Deleted(object) => {
                if let Some(metadata) = read(&object) {
                    self.graph.remove(&metadata.uid);
                }
            }
        }
        let graph = &self.graph;
        self.gone.retain(|uid| graph.dependents(uid).next().is_some());
        graph.has_work()
    }

    fn is_ready(&self) -> bool {
        self.listed.len() == self.watched.len()
    }

    fn plan(&self, _now: Timestamp) -> Plan {
        let mut requests: BTreeMap<Target, Request> = BTreeMap::new();
        let leaving = self.graph.leaving().flat_map(|owner| self.finish(owner));
        let in_doubt = self.graph.in_doubt().flat_map(|object| self.judge(object));
        for request in leaving.chain(in_doubt) {
            if requests.len() == REQUESTS_A_PLAN {
                break;
            }
            requests.entry(request.target.clone()).or_insert(request);
        }
        requests.into_values().collect::<Vec<Request>>().into()
    }

    fn accepted(&mut self, request: &Request, answer: &Document) {
        if request.verb == Verb::Get {
            let wanted = request.body.as_str().unwrap_or_default();
            if answer.read::<Partial>().is_ok_and(|found| found.metadata.uid != wanted) {
                self.gone.insert(wanted.to_owned());
            }
        }
    }

    fn refused(&mut self, request: &Request, refusal: Refusal) {
        if let (Verb::Get, Refusal::NotFound, Some(uid)) = (request.verb, refusal, request.body.as_str()) {
            self.gone.insert(uid.to_owned());
        }
    }
}

/// What an owner reference is worth.
#[derive(Debug, PartialEq)]
enum Worth {
    /// The owner is there, or cannot be judged.
    Solid,
    /// The owner is there, and waits for its dependents to go.
    Waiting,
    /// The owner is gone.
    Dangling,
    /// The owner has not been heard of: this asks for it.
    Unknown(Box<Request>),
}

impl GarbageCollector {
    /// What the deletion of an owner still needs that concerns its dependents first.
    fn finish(&self, owner: &Node) -> Vec<Request> {
        let metadata = &owner.metadata;
        let dependents: Vec<&Node> = self.graph.dependents(&metadata.uid).collect();
        if metadata.has_finalizer(ORPHAN) {
            if dependents.is_empty() {
                return vec![without_finalizer(owner, ORPHAN)];
            }
            return dependents
                .into_iter()
                .map(|dependent| with_owners(dependent, |reference| reference.uid != metadata.uid))
                .collect();
        }
        let mut blocking = dependents.into_iter().filter(|dependent| blocks(dependent, metadata));
        if blocking.any(|dependent| !self.waits_for(dependent, &metadata.uid)) {
            // They are in doubt, as all whose owner waits for them.
            return vec![];
        }
        vec![without_finalizer(owner, FOREGROUND)]
    }

    /// Whether an object itself waits for the owner, through others or because it is the owner: somebody has to go first.
    fn waits_for(&self, object: &Node, owner: &str) -> bool {
        let (mut seen, mut next) = (BTreeSet::new(), vec![object]);
        while let Some(object) = next.pop() {
            if !graph::waits_for_dependents(&object.metadata) || !seen.insert(&*object.metadata.uid) {
                continue;
            }
            if object.metadata.uid == owner {
                return true;
            }
            let dependents = self.graph.dependents(&object.metadata.uid);
            next.extend(dependents.filter(|dependent| blocks(dependent, &object.metadata)));
        }
        false
    }

    /// What becomes of an object whose owners are not all as they should be.
    fn judge(&self, object: &Node) -> Vec<Request> {
        let metadata = &object.metadata;
        if metadata.is_deleting() {
            return vec![];
        }
        let (mut solid, mut waiting, mut lost, mut questions) = (false, false, BTreeSet::new(), Vec::new());
        for reference in &metadata.owner_references {
            match self.worth(object, reference) {
                Worth::Solid => solid = true,
                Worth::Waiting => {
                    waiting = true;
                    lost.insert(&*reference.uid);
                }
                Worth::Dangling => drop(lost.insert(&*reference.uid)),
                Worth::Unknown(question) => questions.push(*question),
            }
        }
        if !questions.is_empty() {
            return questions;
        }
        if lost.is_empty() {
            return vec![];
        }
        if solid {
            return vec![with_owners(object, |reference| !lost.contains(&*reference.uid))];
        }
        let mut dependents = self.graph.dependents(&metadata.uid).peekable();
        if waiting && dependents.peek().is_some() {
            if dependents.any(|dependent| graph::waits_for_dependents(&dependent.metadata)) {
                // A circle, each waiting for the next: this one no longer holds its owners up.
                let unblocked = unblocked(object);
                if unblocked.is_some() {
                    return unblocked.into_iter().collect();
                }
            }
            return vec![deletion(object, "Foreground")];
        }
        let policy = if metadata.has_finalizer(ORPHAN) {
            "Orphan"
        } else if metadata.has_finalizer(FOREGROUND) {
            "Foreground"
        } else {
            "Background"
        };
        vec![deletion(object, policy)]
    }

    fn worth(&self, object: &Node, reference: &OwnerReference) -> Worth {
        let namespace = &object.metadata.namespace;
        // Nobody knows of kinds that are not served here whether their objects are there.
        let Some(kind) = kind_of(reference) else { return Worth::Solid };
        if kind.namespaced && namespace.is_empty() {
            return Worth::Solid;
        }
        match self.graph.get(&reference.uid) {
            // An owner lives in the namespace of what it owns, or in none.
            Some(owner) if kind.namespaced && owner.metadata.namespace != *namespace => Worth::Dangling,
            Some(owner) if graph::waits_for_dependents(&owner.metadata) => Worth::Waiting,
            Some(_) => Worth::Solid,
            None if self.gone.contains(&reference.uid) => Worth::Dangling,
            None => {
                let namespace = kind.namespaced.then(|| namespace.clone());
                let name = reference.name.clone();
                let target = Target { resource: resource(kind), namespace, name, subresource: None };
                let body = Value::from(reference.uid.as_str());
                Worth::Unknown(Box::new(Request { verb: Verb::Get, target, body }))
            }
        }
    }
}

/// Whether an owner may only go after the dependent.
fn blocks(dependent: &Node, owner: &Metadata) -> bool {
    let mut references = dependent.metadata.owner_references.iter();
    references.any(|reference| reference.uid == owner.uid && reference.block_owner_deletion == Some(true))
}

fn target(object: &Node) -> Target {
    Target::of(object.resource, &object.metadata)
}

/// A change of the metadata of the very object that was looked at.
fn change(object: &Node, mut metadata: Value) -> Request {
    metadata["uid"] = object.metadata.uid.as_str().into();
    metadata["resourceVersion"] = object.metadata.resource_version.as_str().into();
    Request::merge_patch(target(object), json!({"metadata": metadata}))
}

fn without_finalizer(object: &Node, finalizer: &str) -> Request {
    let left: Vec<&String> = object.metadata.finalizers.iter().filter(|found| *found != finalizer).collect();
    change(object, json!({"finalizers": left}))
}

fn with_owners(object: &Node, keep: impl Fn(&OwnerReference) -> bool) -> Request {
    let kept: Vec<&OwnerReference> =
        object.metadata.owner_references.iter().filter(|reference| keep(reference)).collect();
    change(object, json!({"ownerReferences": kept}))
}

fn unblocked(object: &Node) -> Option<Request> {
    let references = &object.metadata.owner_references;
    if !references.iter().any(|reference| reference.block_owner_deletion == Some(true)) {
        return None;
    }
    let unblocked: Vec<OwnerReference> = references
        .iter()
        .map(|reference| OwnerReference { block_owner_deletion: Some(false), ..reference.clone() })
        .collect();
    Some(change(object, json!({"ownerReferences": unblocked})))
}

fn deletion(object: &Node, policy: &str) -> Request {
    let Metadata { uid, resource_version, .. } = &object.metadata;
    let mut request = Request::delete(target(object), uid);
    // An owner that came since then would keep it.
    request.body["preconditions"]["resourceVersion"] = resource_version.as_str().into();
    request.body["propagationPolicy"] = policy.into();
    request
}

#[cfg(test)]
mod tests;
