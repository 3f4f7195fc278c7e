//! Every namespace that is not terminating has the config map `kube-root-ca.crt`, with which pods verify the API server.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::api::{Document, Request, Resource, Target, WatchEvent};
use crate::mirror::Mirror;
use crate::objects::{Metadata, Namespace, Object};
use crate::runner::{Controller, Plan};

const NAME: &str = "kube-root-ca.crt";
const ENTRY: &str = "ca.crt";

pub(crate) struct RootCertificates {
    /// PEM.
    bundle: String,
    namespaces: Mirror<Namespace>,
    published: Mirror<Published>,
}

/// A config map, of which the data is known if it is one of those that are published here.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(from = "ConfigMap")]
struct Published {
    metadata: Metadata,
    data: BTreeMap<String, Value>,
}

#[derive(Deserialize)]
struct ConfigMap {
    metadata: Metadata,
    #[serde(default)]
    data: BTreeMap<String, Value>,
}

impl From<ConfigMap> for Published {
    fn from(ConfigMap { mut metadata, mut data }: ConfigMap) -> Self {
        metadata.labels.clear();
        metadata.annotations.clear();
        if metadata.name != NAME {
            data.clear();
        }
        Self { metadata, data }
    }
}

impl Object for Published {
    fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    fn metadata_mut(&mut self) -> &mut Metadata {
        &mut self.metadata
    }
}

impl RootCertificates {
    pub(crate) fn new(bundle: String) -> Self {
        Self {
            bundle,
            namespaces: Mirror::new(Resource::NAMESPACES),
            published: Mirror::new(Resource::CONFIG_MAPS),
        }
    }
}

impl Controller for RootCertificates {
    const NAME: &'static str = "root-certificates";
    const WATCHES: &'static [Resource] = &[Resource::NAMESPACES, Resource::CONFIG_MAPS];

    fn observe(&mut self, resource: Resource, event: WatchEvent) -> bool {
        if resource == Resource::NAMESPACES {
            return self.namespaces.observe(event);
        }
        let mut is_ours = !self.published.is_listed();
        self.published.observe_each(event, |old, new| {
            is_ours |= [old, new].into_iter().flatten().any(|map| map.metadata.name == NAME);
        });
        is_ours
    }

    fn is_ready(&self) -> bool {
        self.namespaces.is_listed() && self.published.is_listed()
    }

    fn plan(&self, _now: Timestamp) -> Plan {
        let namespaces = self.namespaces.iter().filter(|namespace| !namespace.is_terminating());
        let requests = namespaces.filter_map(|namespace| {
            let namespace = &*namespace.metadata.name;
            match self.published.get(namespace, NAME) {
                None => Some(self.creation(namespace)),
                Some(published) => self.repair(published),
            }
        });
        requests.collect::<Vec<Request>>().into()
    }

    fn accepted(&mut self, request: &Request, answer: &Document) {
        request.expect(&mut self.published, answer);
    }
}

impl RootCertificates {
    fn creation(&self, namespace: &str) -> Request {
        let body = json!({
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": NAME, "namespace": namespace},
            "data": {ENTRY: self.bundle},
        });
        Request::create(Target::namespaced(Resource::CONFIG_MAPS, namespace, NAME), body)
    }

    /// Puts back what somebody has changed.
    fn repair(&self, published: &Published) -> Option<Request> {
        let is_right = |(entry, value): (&String, &Value)| entry == ENTRY && *value == *self.bundle;
        if published.data.len() == 1 && published.data.iter().all(is_right) {
            return None;
        }
        let mut data: Map<String, Value> =
            published.data.keys().map(|entry| (entry.clone(), Value::Null)).collect();
        data.insert(ENTRY.to_owned(), self.bundle.as_str().into());
        let metadata = &published.metadata;
        let body = json!({
            "metadata": {"uid": metadata.uid, "resourceVersion": metadata.resource_version},
            "data": data,
        });
        Some(Request::merge_patch(Target::of(Resource::CONFIG_MAPS, metadata), body))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::world::World;

    #[test]
    fn the_bundle_is_published_everywhere_and_repaired() {
        let at = || Timestamp::UNIX_EPOCH;
        let mut world = World::default();
        for name in ["new", "broken"] {
            world.put(Resource::NAMESPACES, json!({"metadata": {"name": name}}));
        }
        world.put(
            Resource::NAMESPACES,
            json!({"metadata": {"name": "going"}, "status": {"phase": "Terminating"}}),
        );
        let broken =
            json!({"metadata": {"name": NAME, "namespace": "broken"}, "data": {ENTRY: "mine", "other": "x"}});
        world.put(Resource::CONFIG_MAPS, broken.clone());
        world.put(
            Resource::CONFIG_MAPS,
            json!({"metadata": {"name": "app", "namespace": "new"}, "data": {"a": "b"}}),
        );
        let mut controller = RootCertificates::new("PEM".to_owned());
        world.tell_all(&mut controller, at());
        assert!(
            controller.published.get("new", "app").unwrap().data.is_empty(),
            "what is not needed is not kept"
        );
        world.settle(&mut controller, at, |_| {});
        for namespace in ["new", "broken"] {
            let published = world.get(Resource::CONFIG_MAPS, namespace, NAME).unwrap();
            assert_eq!(published["data"], json!({"ca.crt": "PEM"}), "{namespace}");
        }
        assert_eq!(world.all(Resource::CONFIG_MAPS).len(), 3);
        world.put(Resource::CONFIG_MAPS, broken);
        world.settle(&mut controller, at, |_| {});
        assert_eq!(
            world.get(Resource::CONFIG_MAPS, "broken", NAME).unwrap()["data"],
            json!({"ca.crt": "PEM"})
        );
    }
}
