//! The templates that a set has had, each kept as a ControllerRevision, so that `kubectl rollout undo` finds them.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::kinds::{DaemonPod, DaemonSet, Revision};
use super::{HASH, adopted, deletion, owner_reference, released};
use crate::api::{Request, Resource, Target};
use crate::names;

/// How many old revisions a set keeps that does not say.
const DEFAULT_LIMIT: usize = 10;

/// The revisions of a set, sorted out.
pub(super) struct History<'a> {
    /// The set's revisions that hold its template, the newest first; the first is the one.
    current: Vec<&'a Revision>,
    /// The set's other revisions, the oldest first.
    old: Vec<&'a Revision>,
    /// What the set owns although it does not select it.
    strays: Vec<&'a Revision>,
    /// What nobody owns and the set selects.
    orphans: Vec<&'a Revision>,
    /// Whether the name that the next revision would get is taken.
    collides: bool,
}

impl<'a> History<'a> {
    /// Sorts the revisions of the set's namespace.
    pub(super) fn of(set: &DaemonSet, revisions: impl Iterator<Item = &'a Revision>) -> Self {
        let next_name = name(set);
        let mut history =
            Self { current: vec![], old: vec![], strays: vec![], orphans: vec![], collides: false };
        for revision in revisions {
            let metadata = &revision.metadata;
            history.collides |= metadata.name == next_name;
            let is_selected = set.spec.selector.matches(&metadata.labels);
            match metadata.controller() {
                Some(owner) if owner.uid != set.metadata.uid => {}
                Some(_) if !is_selected => history.strays.push(revision),
                Some(_) if holds(revision, &set.spec.template.tree) => history.current.push(revision),
                Some(_) => history.old.push(revision),
                None if is_selected && !metadata.is_deleting() => history.orphans.push(revision),
                None => {}
            }
        }
        let order = |revision: &&Revision| (revision.revision, revision.metadata.name.clone());
        history.current.sort_by_key(|revision| std::cmp::Reverse(order(revision)));
        history.old.sort_by_key(order);
        history
    }

    /// The hash of the set's template; none as long as there is no revision with it.
    pub(super) fn hash(&self) -> Option<&'a str> {
        self.current.first().map(|revision| hash_of(revision))
    }

    /// The number of the current revision as it should be.
    fn newest(&self) -> i64 {
        self.old.last().map_or(0, |revision| revision.revision) + 1
    }

    /// What has to be written so that the history is in order. `live` are the hashes of the set's pods.
    pub(super) fn changes(&self, set: &DaemonSet, live: &BTreeSet<&str>) -> Vec<Request> {
        const RESOURCE: Resource = Resource::CONTROLLER_REVISIONS;
        let mut requests: Vec<Request> =
            self.strays.iter().map(|stray| released(set, RESOURCE, &stray.metadata)).collect();
        requests.extend(self.orphans.iter().map(|orphan| adopted(set, RESOURCE, &orphan.metadata)));
        // One that is about to be adopted may hold the template.
        if self.current.is_empty() && self.orphans.is_empty() && !self.collides {
            requests.push(creation(set, self.newest()));
        }
        if let Some(current) = self.current.first() {
            requests.extend(self.brought_up_to_date(current));
        }
        // Once no pod bears the label of a double any more.
        let doubles = self.current.iter().skip(1).filter(|double| !live.contains(hash_of(double)));
        requests.extend(doubles.map(|double| deletion(RESOURCE, &double.metadata)));
        let limit = set.spec.revision_history_limit.unwrap_or(DEFAULT_LIMIT);
        let unused = self.old.iter().filter(|old| !live.contains(hash_of(old)));
        let surplus = self.old.len().saturating_sub(limit);
        requests.extend(unused.take(surplus).map(|old| deletion(RESOURCE, &old.metadata)));
        requests
    }

    /// A template that is taken up again gets the highest number; its label says its hash.
    fn brought_up_to_date(&self, current: &Revision) -> Option<Request> {
        let metadata = &current.metadata;
        let number = self.newest().max(current.revision);
        if current.revision == number && metadata.labels.contains_key(HASH) {
            return None;
        }
        let body = json!({
            "metadata": {
                "uid": metadata.uid, "resourceVersion": metadata.resource_version,
                "labels": {HASH: hash_of(current)},
            },
            "revision": number,
        });
        Some(Request::merge_patch(Target::of(Resource::CONTROLLER_REVISIONS, metadata), body))
    }

    /// The pod of a double of the current revision, labelled as one of the current.
    pub(super) fn relabelled(&self, pod: &DaemonPod) -> Option<Request> {
        let (current, doubles) = self.current.split_first()?;
        if !doubles.iter().any(|double| pod.is_of(hash_of(double))) || pod.is_of(hash_of(current)) {
            return None;
        }
        let metadata = &pod.metadata;
        let body = json!({"metadata": {
            "uid": metadata.uid, "resourceVersion": metadata.resource_version,
            "labels": {HASH: hash_of(current)},
        }});
        Some(Request::merge_patch(Target::of(Resource::PODS, metadata), body))
    }

    /// When the name for the next revision belongs to another: the next one is tried.
    pub(super) fn collision(&self, set: &DaemonSet) -> Option<Request> {
        if !self.collides || !self.orphans.is_empty() {
            return None;
        }
        let body = json!({
            "metadata": {"resourceVersion": set.metadata.resource_version},
            "status": {"collisionCount": set.status.collision_count.unwrap_or(0) + 1},
        });
        Some(Request::merge_patch(
            Target::of(Resource::DAEMON_SETS, &set.metadata).subresource("status"),
            body,
        ))
    }
}

fn hash_of(revision: &Revision) -> &str {
    revision.metadata.labels.get(HASH).unwrap_or(&revision.metadata.name)
}

fn creation(set: &DaemonSet, number: i64) -> Request {
    let template = &set.spec.template.tree;
    let mut labels: Map<String, Value> =
        template.pointer("/metadata/labels").and_then(Value::as_object).cloned().unwrap_or_default();
    labels.insert(HASH.to_owned(), hash(set).into());
    let metadata = &set.metadata;
    let body = json!({
        "apiVersion": "apps/v1",
        "kind": "ControllerRevision",
        "metadata": {
            "name": name(set),
            "namespace": metadata.namespace,
            "labels": labels,
            "annotations": metadata.annotations,
            "ownerReferences": [owner_reference(set)],
        },
        "data": data(template),
        "revision": number,
    });
    let target = Target::namespaced(Resource::CONTROLLER_REVISIONS, &metadata.namespace, &name(set));
    Request::create(target, body)
}

/// The template as the strategic merge patch that brings a set back to it.
fn data(template: &Value) -> Value {
    let mut template = template.clone();
    if let Some(template) = template.as_object_mut() {
        template.insert("$patch".to_owned(), "replace".into());
    }
    json!({"spec": {"template": template}})
}

/// Whether the revision holds the template. A null member is as good as none: releases differ in which they write.
fn holds(revision: &Revision, template: &Value) -> bool {
    revision.data.pointer("/spec/template").is_some_and(|held| same(held, template, true))
}

fn same(held: &Value, wanted: &Value, is_template: bool) -> bool {
    match (held, wanted) {
        (Value::Object(held), Value::Object(wanted)) => {
            let counts = |(member, value): &(&String, &Value)| {
                !(value.is_null() || is_template && *member == "$patch")
            };
            let count = |object: &Map<String, Value>| object.iter().filter(counts).count();
            count(held) == count(wanted)
                && wanted
                    .iter()
                    .filter(counts)
                    .all(|(member, value)| held.get(member).is_some_and(|held| same(held, value, false)))
        }
        (Value::Array(held), Value::Array(wanted)) => {
            held.len() == wanted.len()
                && held.iter().zip(wanted).all(|(held, wanted)| same(held, wanted, false))
        }
        _ => held == wanted,
    }
}

fn name(set: &DaemonSet) -> String {
    [&set.metadata.name, "-", &hash(set)].concat()
}

/// A hash of the template that is fit for names and labels.
fn hash(set: &DaemonSet) -> String {
    let mut hasher = Sha256::new();
    feed(&mut hasher, &set.spec.template.tree);
    if let Some(collisions) = set.status.collision_count {
        hasher.update(collisions.to_be_bytes());
    }
    names::safe(&hasher.finalize(), 10)
}

/// Independent of the members' order, and of members that are null.
fn feed(hasher: &mut Sha256, value: &Value) {
    match value {
        Value::Object(members) => {
            let mut members: Vec<_> = members.iter().filter(|(_, value)| !value.is_null()).collect();
            members.sort_by_key(|(name, _)| *name);
            hasher.update(b"{");
            for (name, value) in members {
                feed(hasher, &Value::String(name.clone()));
                feed(hasher, value);
            }
            hasher.update(b"}");
        }
        Value::Array(items) => {
            hasher.update(b"[");
            for item in items {
                feed(hasher, item);
            }
            hasher.update(b"]");
        }
        // Texts are quoted, so that two cannot be taken for one.
        leaf => hasher.update(leaf.to_string().as_bytes()),
    }
}
