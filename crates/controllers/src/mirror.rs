//! What a controller knows of a resource: a map fed by a watch and by the answers to the controller's own writes.

use std::collections::BTreeMap;
use std::collections::btree_map::Values;

use serde_json::Value;

use crate::api::{Resource, WatchEvent};
use crate::objects::Object;

/// The objects of one resource by namespace and name, as last seen.
pub(crate) struct Mirror<T> {
    resource: Resource,
    objects: BTreeMap<(String, String), T>,
    listed: bool,
}

impl<T: Object> Mirror<T> {
    pub(crate) fn new(resource: Resource) -> Self {
        Self { resource, objects: BTreeMap::new(), listed: false }
    }

    /// Whether the whole collection has been seen once.
    pub(crate) fn is_listed(&self) -> bool {
        self.listed
    }

    pub(crate) fn get(&self, namespace: &str, name: &str) -> Option<&T> {
        // One allocation a lookup: these are small clusters.
        self.objects.get(&(namespace.to_owned(), name.to_owned()))
    }

    pub(crate) fn get_mut(&mut self, namespace: &str, name: &str) -> Option<&mut T> {
        self.objects.get_mut(&(namespace.to_owned(), name.to_owned()))
    }

    pub(crate) fn iter(&self) -> Values<'_, (String, String), T> {
        self.objects.values()
    }

    pub(crate) fn observe(&mut self, event: WatchEvent) {
        match event {
            WatchEvent::Listed(objects) => {
                self.objects.clear();
                self.listed = true;
                for object in objects {
                    self.apply(object);
                }
            }
            WatchEvent::Applied(object) => self.apply(object),
            WatchEvent::Deleted(object) => {
                if let Some(object) = self.read(object) {
                    self.objects.remove(&key(&object));
                }
            }
        }
    }

    fn apply(&mut self, object: Value) {
        let Some(object) = self.read(object) else { return };
        let known = self.objects.get(&key(&object));
        // The answer to a write comes before the watch has told of the writes before it.
        if known.is_none_or(|known| revision(known) <= revision(&object)) {
            self.objects.insert(key(&object), object);
        }
    }

    fn read(&self, object: Value) -> Option<T> {
        match serde_json::from_value(object) {
            Ok(object) => Some(object),
            Err(_) => {
                // Without serde_json's text, which quotes the object.
                tracing::warn!(resource = self.resource.plural, "an object has fields that cannot be read");
                None
            }
        }
    }
}

fn key<T: Object>(object: &T) -> (String, String) {
    (object.metadata().namespace.clone(), object.metadata().name.clone())
}

/// Resource versions may be compared (KEP-5504); one that is no number is as old as can be.
fn revision<T: Object>(object: &T) -> u64 {
    object.metadata().resource_version.parse().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::objects::Namespace;

    fn namespace(name: &str, revision: &str, phase: &str) -> Value {
        json!({"metadata": {"name": name, "resourceVersion": revision}, "status": {"phase": phase}})
    }

    #[test]
    fn follows_a_watch_and_does_not_go_back() {
        let mut mirror: Mirror<Namespace> = Mirror::new(Resource::NAMESPACES);
        assert!(!mirror.is_listed());
        let seen = |mirror: &Mirror<Namespace>| -> Vec<(String, bool)> {
            mirror.iter().map(|ns| (ns.metadata.name.clone(), ns.is_terminating())).collect()
        };
        for (event, wanted) in [
            (
                WatchEvent::Listed(vec![namespace("a", "9", "Active"), namespace("b", "3", "Active")]),
                vec![("a", false), ("b", false)],
            ),
            (WatchEvent::Applied(namespace("a", "10", "Terminating")), vec![("a", true), ("b", false)]),
            (WatchEvent::Applied(namespace("a", "9", "Active")), vec![("a", true), ("b", false)]),
            (WatchEvent::Applied(json!({"metadata": {"name": 7}})), vec![("a", true), ("b", false)]),
            (WatchEvent::Deleted(namespace("b", "11", "Active")), vec![("a", true)]),
            (WatchEvent::Listed(vec![namespace("c", "12", "Active")]), vec![("c", false)]),
        ] {
            mirror.observe(event);
            assert!(mirror.is_listed());
            let wanted: Vec<(String, bool)> =
                wanted.into_iter().map(|(name, gone)| (name.to_owned(), gone)).collect();
            assert_eq!(seen(&mirror), wanted);
        }
    }
}
