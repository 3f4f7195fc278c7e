//! Who owns whom: the metadata of all objects by uid, and of each object what has to be looked at.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use super::{FOREGROUND, ORPHAN};
use crate::api::Resource;
use crate::objects::Metadata;

/// Of an object only the metadata.
#[derive(Deserialize)]
pub(super) struct Partial {
    pub(super) metadata: Metadata,
}

/// An object.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) resource: Resource,
    /// Without labels and annotations.
    pub(super) metadata: Metadata,
}

/// Invariant: `dependents`, `leaving` and `in_doubt` are functions of `objects`; each change keeps them so at the cost of
/// what it touches.
#[derive(Default)]
pub(super) struct Graph {
    objects: BTreeMap<String, Node>,
    /// By the uid of an owner, whether that is there or not.
    dependents: BTreeMap<String, BTreeSet<String>>,
    /// The objects that are being deleted and wait for something about their dependents.
    leaving: BTreeSet<String>,
    /// The objects with an owner that is not there, or that waits for them to go.
    in_doubt: BTreeSet<String>,
}

/// Whether the object is being deleted and goes after its dependents.
pub(super) fn waits_for_dependents(metadata: &Metadata) -> bool {
    metadata.is_deleting() && metadata.has_finalizer(FOREGROUND)
}

/// What an owner is to its dependents.
#[derive(PartialEq)]
enum Owner {
    Absent,
    /// Its namespace decides who may be its dependent.
    There(String),
    Waiting,
}

impl Graph {
    pub(super) fn get(&self, uid: &str) -> Option<&Node> {
        self.objects.get(uid)
    }

    pub(super) fn dependents(&self, uid: &str) -> impl Iterator<Item = &Node> {
        self.dependents.get(uid).into_iter().flatten().filter_map(|uid| self.objects.get(uid))
    }

    pub(super) fn leaving(&self) -> impl Iterator<Item = &Node> {
        self.leaving.iter().filter_map(|uid| self.objects.get(uid))
    }

    pub(super) fn in_doubt(&self) -> impl Iterator<Item = &Node> {
        self.in_doubt.iter().filter_map(|uid| self.objects.get(uid))
    }

    pub(super) fn has_work(&self) -> bool {
        !(self.leaving.is_empty() && self.in_doubt.is_empty())
    }

    /// The objects of a resource: those that are not among them are gone.
    pub(super) fn list(&mut self, resource: Resource, objects: impl Iterator<Item = Metadata>) {
        let mut gone: BTreeSet<String> = self
            .objects
            .iter()
            .filter(|(_, node)| node.resource == resource)
            .map(|(uid, _)| uid.clone())
            .collect();
        for metadata in objects {
            gone.remove(&metadata.uid);
            self.put(resource, metadata);
        }
        for uid in gone {
            self.remove(&uid);
        }
    }

    pub(super) fn put(&mut self, resource: Resource, mut metadata: Metadata) {
        metadata.labels.clear();
        metadata.annotations.clear();
        metadata.creation_timestamp = None;
        let uid = metadata.uid.clone();
        let before = self.owner(&uid);
        self.unlink(&uid);
        for reference in &metadata.owner_references {
            self.dependents.entry(reference.uid.clone()).or_default().insert(uid.clone());
        }
        self.objects.insert(uid.clone(), Node { resource, metadata });
        self.reconsider(&uid);
        if before != self.owner(&uid) {
            self.reconsider_dependents(&uid);
        }
    }

    pub(super) fn remove(&mut self, uid: &str) {
        self.unlink(uid);
        if self.objects.remove(uid).is_some() {
            self.leaving.remove(uid);
            self.in_doubt.remove(uid);
            self.reconsider_dependents(uid);
        }
    }

    /// Takes the object out of the lists of its owners.
    fn unlink(&mut self, uid: &str) {
        let Some(node) = self.objects.get(uid) else { return };
        for reference in &node.metadata.owner_references {
            if let Some(dependents) = self.dependents.get_mut(&reference.uid) {
                dependents.remove(uid);
                if dependents.is_empty() {
                    self.dependents.remove(&reference.uid);
                }
            }
        }
    }

    fn owner(&self, uid: &str) -> Owner {
        match self.objects.get(uid) {
            None => Owner::Absent,
            Some(node) if waits_for_dependents(&node.metadata) => Owner::Waiting,
            Some(node) => Owner::There(node.metadata.namespace.clone()),
        }
    }

    fn reconsider_dependents(&mut self, uid: &str) {
        let dependents: Vec<String> = self.dependents.get(uid).into_iter().flatten().cloned().collect();
        for dependent in dependents {
            self.reconsider(&dependent);
        }
    }

    fn reconsider(&mut self, uid: &str) {
        let Some(node) = self.objects.get(uid) else { return };
        let metadata = &node.metadata;
        let is_leaving =
            metadata.is_deleting() && [FOREGROUND, ORPHAN].iter().any(|name| metadata.has_finalizer(name));
        // One that is on its way out needs no judgement any more.
        let is_in_doubt = !metadata.is_deleting()
            && metadata.owner_references.iter().any(|reference| match self.owner(&reference.uid) {
                Owner::There(namespace) => !namespace.is_empty() && namespace != metadata.namespace,
                Owner::Absent | Owner::Waiting => true,
            });
        set(&mut self.leaving, uid, is_leaving);
        set(&mut self.in_doubt, uid, is_in_doubt);
    }
}

fn set(of: &mut BTreeSet<String>, uid: &str, member: bool) {
    if member {
        of.insert(uid.to_owned());
    } else {
        of.remove(uid);
    }
}
