//! What a controller knows of a resource: a map fed by a watch and by the answers to the controller's own writes.

use std::collections::BTreeMap;

use crate::api::{Document, Resource, WatchEvent};
use crate::objects::Object;

/// The objects of one resource by namespace and name, as last seen.
pub(crate) struct Mirror<T> {
    resource: Resource,
    /// By namespace, which is empty for objects of the cluster, and name.
    objects: BTreeMap<String, BTreeMap<String, T>>,
    listed: bool,
    /// The newest revision that the watch has told of.
    seen: u64,
}

impl<T: Object> Mirror<T> {
    pub(crate) fn new(resource: Resource) -> Self {
        Self { resource, objects: BTreeMap::new(), listed: false, seen: 0 }
    }

    /// Whether the whole collection has been seen once.
    pub(crate) fn is_listed(&self) -> bool {
        self.listed
    }

    pub(crate) fn get(&self, namespace: &str, name: &str) -> Option<&T> {
        self.objects.get(namespace)?.get(name)
    }

    pub(crate) fn get_mut(&mut self, namespace: &str, name: &str) -> Option<&mut T> {
        self.objects.get_mut(namespace)?.get_mut(name)
    }

    /// All of them, by namespace and name.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        self.objects.values().flat_map(BTreeMap::values)
    }

    /// Those of a namespace.
    pub(crate) fn in_namespace(&self, namespace: &str) -> impl Iterator<Item = &T> {
        self.objects.get(namespace).into_iter().flat_map(BTreeMap::values)
    }

    /// Takes in what the watch tells. Gives whether anything that is read of the objects has changed.
    pub(crate) fn observe(&mut self, event: WatchEvent) -> bool {
        self.observe_each(event, |_, _| {})
    }

    /// Takes in what the watch tells, and tells of each object that has changed what it was and what it is.
    pub(crate) fn observe_each(
        &mut self,
        event: WatchEvent,
        mut changed: impl FnMut(Option<&T>, Option<&T>),
    ) -> bool {
        match event {
            WatchEvent::Listed { objects, revision: listed_at } => {
                let mut any = !self.listed;
                self.listed = true;
                if listed_at < u64::MAX {
                    self.seen = self.seen.max(listed_at);
                }
                let mut old = std::mem::take(&mut self.objects);
                for object in objects {
                    let Some(object) = self.read(&object) else { continue };
                    self.seen = self.seen.max(revision(&object));
                    let (namespace, name) = key(&object);
                    let known = old.get_mut(namespace).and_then(|objects| objects.remove(name));
                    if let Some(known) = known {
                        self.insert(known);
                    }
                    any |= self.put(object, &mut changed);
                }
                for missing in old.into_values().flat_map(BTreeMap::into_values) {
                    if revision(&missing) > listed_at {
                        self.insert(missing);
                    } else {
                        any = true;
                        changed(Some(&missing), None);
                    }
                }
                any
            }
            WatchEvent::Applied(object) => {
                let Some(object) = self.read(&object) else { return false };
                self.seen = self.seen.max(revision(&object));
                self.put(object, &mut changed)
            }
            WatchEvent::Deleted(object) => {
                let Some(object) = self.read(&object) else { return false };
                self.seen = self.seen.max(revision(&object));
                let (namespace, name) = key(&object);
                // One made anew since, as the answer to a write has told already.
                let is_newer = |known: &T| revision(known) > revision(&object);
                if self.get(namespace, name).is_some_and(is_newer) {
                    return false;
                }
                let Some(known) = self.remove(namespace, name) else { return false };
                changed(Some(&known), None);
                true
            }
        }
    }

    /// Takes in the answer to a write, ahead of the watch.
    pub(crate) fn learn(&mut self, answer: &Document) {
        self.learn_each(answer, |_, _| {});
    }

    /// Takes in the answer to a write, and tells of the object what it was and what it is.
    pub(crate) fn learn_each(&mut self, answer: &Document, mut changed: impl FnMut(Option<&T>, Option<&T>)) {
        let Some(object) = self.read(answer) else { return };
        let (namespace, name) = key(&object);
        // The watch has told of everything up to there: what is not known by now has been deleted since.
        let is_gone = (1..=self.seen).contains(&revision(&object)) && self.get(namespace, name).is_none();
        if !is_gone {
            self.put(object, &mut changed);
        }
    }

    /// Takes an object for terminating, whose deletion was accepted, ahead of the watch.
    pub(crate) fn expect_deletion(&mut self, namespace: &str, name: &str, uid: &str) {
        if let Some(known) = self.get_mut(namespace, name)
            && known.metadata().uid == uid
        {
            known.metadata_mut().set_deleting();
        }
    }

    fn put(&mut self, mut object: T, changed: &mut impl FnMut(Option<&T>, Option<&T>)) -> bool {
        let (namespace, name) = key(&object);
        let known = self.get(namespace, name);
        // The answer to a write comes before the watch has told of the writes before it.
        if known.is_some_and(|known| revision(known) > revision(&object)) {
            return false;
        }
        if let Some(known) = known.filter(|known| known.metadata().uid == object.metadata().uid) {
            object.keep_final(known);
        }
        let any = known.is_none_or(|known| !is_same(known, &object));
        if any {
            changed(known, Some(&object));
        }
        self.insert(object);
        any
    }

    fn insert(&mut self, object: T) {
        let metadata = object.metadata();
        let (namespace, name) = (metadata.namespace.clone(), metadata.name.clone());
        self.objects.entry(namespace).or_default().insert(name, object);
    }

    fn remove(&mut self, namespace: &str, name: &str) -> Option<T> {
        let objects = self.objects.get_mut(namespace)?;
        let removed = objects.remove(name);
        if objects.is_empty() {
            self.objects.remove(namespace);
        }
        removed
    }

    fn read(&self, object: &Document) -> Option<T> {
        match object.read() {
            Ok(object) => Some(object),
            Err(_) => {
                // Without serde_json's text, which quotes the object.
                tracing::warn!(resource = self.resource.plural, "an object has fields that cannot be read");
                None
            }
        }
    }
}

fn key<T: Object>(object: &T) -> (&str, &str) {
    (&object.metadata().namespace, &object.metadata().name)
}

fn revision<T: Object>(object: &T) -> u64 {
    object.metadata().revision()
}

/// Whether two states of an object differ in nothing but the revision.
fn is_same<T: Object>(one: &T, other: &T) -> bool {
    let mut one = one.clone();
    one.metadata_mut().resource_version.clone_from(&other.metadata().resource_version);
    one == *other
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::objects::Namespace;

    fn namespace(name: &str, revision: &str, phase: &str) -> Value {
        json!({"metadata": {"name": name, "resourceVersion": revision}, "status": {"phase": phase}})
    }

    fn seen(mirror: &Mirror<Namespace>) -> Vec<(&str, bool)> {
        mirror.iter().map(|ns| (&*ns.metadata.name, ns.is_terminating())).collect()
    }

    #[test]
    fn follows_a_watch_and_does_not_go_back() {
        let mut mirror: Mirror<Namespace> = Mirror::new(Resource::NAMESPACES);
        assert!(!mirror.is_listed());
        for (event, wanted, news) in [
            (
                WatchEvent::listed(vec![namespace("a", "9", "Active"), namespace("b", "3", "Active")]),
                vec![("a", false), ("b", false)],
                vec!["+a", "+b"],
            ),
            (
                WatchEvent::applied(namespace("a", "10", "Terminating")),
                vec![("a", true), ("b", false)],
                vec!["a"],
            ),
            (WatchEvent::applied(namespace("a", "9", "Active")), vec![("a", true), ("b", false)], vec![]),
            (
                WatchEvent::applied(namespace("a", "11", "Terminating")),
                vec![("a", true), ("b", false)],
                vec![],
            ),
            (WatchEvent::applied(json!({"metadata": {"name": 7}})), vec![("a", true), ("b", false)], vec![]),
            (WatchEvent::deleted(namespace("b", "11", "Active")), vec![("a", true)], vec!["-b"]),
            (WatchEvent::deleted(namespace("b", "11", "Active")), vec![("a", true)], vec![]),
            (
                WatchEvent::listed(vec![namespace("a", "11", "Terminating"), namespace("c", "12", "Active")]),
                vec![("a", true), ("c", false)],
                vec!["+c"],
            ),
            (WatchEvent::listed(vec![namespace("c", "12", "Active")]), vec![("c", false)], vec!["-a"]),
        ] {
            let mut told = Vec::new();
            let any = mirror.observe_each(event, |old, new| {
                let sign = match (old, new) {
                    (None, _) => "+",
                    (_, None) => "-",
                    _ => "",
                };
                told.push([sign, &new.or(old).unwrap().metadata.name].concat());
            });
            assert!(mirror.is_listed());
            assert_eq!(seen(&mirror), wanted);
            assert_eq!((any, told), (!news.is_empty(), news.into_iter().map(str::to_owned).collect()));
        }
    }

    #[test]
    fn an_answer_does_not_bring_back_what_the_watch_has_told_to_be_gone() {
        let mut mirror: Mirror<Namespace> = Mirror::new(Resource::NAMESPACES);
        mirror.observe(WatchEvent::listed(vec![]));
        mirror.learn(&namespace("a", "3", "Active").into());
        assert_eq!(seen(&mirror), [("a", false)]);
        mirror.observe(WatchEvent::applied(namespace("a", "3", "Active")));
        mirror.observe(WatchEvent::deleted(namespace("a", "4", "Active")));
        mirror.learn(&namespace("a", "3", "Active").into());
        assert_eq!(seen(&mirror), []);
        mirror.learn(&namespace("a", "5", "Active").into());
        mirror.expect_deletion("", "a", "another");
        assert_eq!(seen(&mirror), [("a", false)]);
        mirror.expect_deletion("", "a", "");
        assert_eq!(seen(&mirror), [("a", true)]);
    }

    #[test]
    fn a_list_that_is_older_than_an_answer_does_not_miss_what_that_told_of() {
        let mut mirror: Mirror<Namespace> = Mirror::new(Resource::NAMESPACES);
        let old = || vec![namespace("a", "3", "Active")];
        mirror.observe(WatchEvent::listed_at(5, old()));
        mirror.learn(&namespace("b", "7", "Active").into());
        assert!(!mirror.observe(WatchEvent::listed_at(6, old())));
        assert_eq!(seen(&mirror), [("a", false), ("b", false)]);
        assert!(mirror.observe(WatchEvent::listed_at(8, old())));
        assert_eq!(seen(&mirror), [("a", false)]);
        mirror.learn(&namespace("b", "7", "Active").into());
        assert_eq!(seen(&mirror), [("a", false)], "it was gone by then");
    }

    #[test]
    fn a_watch_that_lags_behind_undoes_no_deletion_and_deletes_nothing_made_since() {
        let mut mirror: Mirror<Namespace> = Mirror::new(Resource::NAMESPACES);
        mirror.observe(WatchEvent::listed(vec![namespace("a", "3", "Active")]));
        mirror.expect_deletion("", "a", "");
        assert!(!mirror.observe(WatchEvent::applied(namespace("a", "4", "Active"))));
        assert!(!mirror.observe(WatchEvent::listed(vec![namespace("a", "5", "Active")])));
        assert_eq!(seen(&mirror), [("a", true)]);
        let mut another = namespace("a", "9", "Active");
        another["metadata"]["uid"] = json!("another");
        mirror.learn(&another.into());
        assert_eq!(seen(&mirror), [("a", false)]);
        assert!(!mirror.observe(WatchEvent::deleted(namespace("a", "8", "Active"))));
        assert_eq!(seen(&mirror), [("a", false)]);
        assert!(mirror.observe(WatchEvent::deleted(namespace("a", "10", "Active"))));
        assert_eq!(seen(&mirror), []);
    }
}
