//! Empties namespaces that are terminating, and lets them go (upstream's `pkg/controller/namespace`).
//!
//! Of each kind the whole collection is deleted, then it is listed until nothing is left: pods first, since they may need what
//! else there is until they have stopped. That the collection is listed, and not looked up in what watches have told, is
//! what makes "nothing is left" true; and no watch but that of the namespaces is needed.
//!
//! Nobody may put anything new in meanwhile. But a creation that was let in before may be stored late: so once nothing is
//! left all is listed once more, and what has come since goes the same way.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::json;
use tokenward_kube_schema::{Verb as Served, kinds};

use crate::api::{Document, Request, Resource, Target, Verb, WatchEvent};
use crate::mirror::Mirror;
use crate::objects::{Metadata, Namespace};
use crate::runner::{Controller, Plan};

/// The finalizer in a namespace's spec that is this controller's.
const OURS: &str = "kubernetes";

pub(crate) struct Namespaces {
    namespaces: Mirror<Namespace>,
    /// What has been found out of the namespaces that are terminating, by uid.
    found: BTreeMap<String, Found>,
}

#[derive(Debug, Default, PartialEq)]
struct Found {
    /// The kinds whose objects have been deleted. What of them is still there has been told to go: once is enough, and to
    /// count it again is a question that is asked less and less often.
    swept: BTreeSet<Resource>,
    /// The kinds of which nothing is left.
    empty: BTreeSet<Resource>,
    /// The kinds of which there was nothing still after all were empty.
    confirmed: BTreeSet<Resource>,
}

impl Found {
    /// Takes in what a list of a kind has shown.
    fn listed(&mut self, resource: Resource, items: &[Partial]) {
        let is_second = contents().all(|kind| self.empty.contains(&kind));
        match (is_second, items.is_empty()) {
            (false, true) => _ = self.empty.insert(resource),
            (false, false) => {
                // One that was stored after the others had been told to go.
                if items.iter().any(|item| !item.metadata.is_deleting()) {
                    self.swept.remove(&resource);
                }
            }
            (true, true) => _ = self.confirmed.insert(resource),
            (true, false) => {
                self.swept.remove(&resource);
                self.empty.remove(&resource);
                self.confirmed.clear();
            }
        }
    }
}

impl Namespaces {
    pub(crate) fn new() -> Self {
        Self { namespaces: Mirror::new(Resource::NAMESPACES), found: BTreeMap::new() }
    }
}

/// The kinds whose objects live in namespaces.
fn contents() -> impl Iterator<Item = Resource> {
    let kept = kinds().iter().filter(|kind| {
        kind.namespaced
            && [Served::List, Served::DeleteCollection].iter().all(|verb| kind.verbs.contains(verb))
    });
    kept.map(|kind| Resource { group: kind.group, version: kind.version, plural: kind.plural })
}

impl Controller for Namespaces {
    const NAME: &'static str = "namespaces";
    const WATCHES: &'static [Resource] = &[Resource::NAMESPACES];

    fn observe(&mut self, _resource: Resource, event: WatchEvent) -> bool {
        let found = &mut self.found;
        self.namespaces.observe_each(event, |old, new| {
            if let (Some(gone), None) = (old, new) {
                found.remove(&gone.metadata.uid);
            }
        })
    }

    fn is_ready(&self) -> bool {
        self.namespaces.is_listed()
    }

    fn plan(&self, _now: Timestamp) -> Plan {
        let terminating = self.namespaces.iter().filter(|namespace| namespace.metadata.is_deleting());
        let held = terminating.filter(|namespace| namespace.spec.finalizers.iter().any(|held| held == OURS));
        held.flat_map(|namespace| self.empty(namespace)).collect::<Vec<Request>>().into()
    }

    fn accepted(&mut self, request: &Request, answer: &Document) {
        let resource = request.target.resource;
        if request.verb == Verb::Update {
            self.namespaces.learn(answer);
            return;
        }
        let name = request.target.namespace.as_deref().unwrap_or_default();
        let Some(namespace) = self.namespaces.get("", name) else { return };
        let found = self.found.entry(namespace.metadata.uid.clone()).or_default();
        if request.verb == Verb::DeleteCollection {
            found.swept.insert(resource);
        } else if let Ok(list) = answer.read::<List>() {
            found.listed(resource, &list.items);
        }
    }
}

#[derive(Deserialize)]
struct List {
    #[serde(default)]
    items: Vec<Partial>,
}

/// Of an object only the metadata.
#[derive(Deserialize)]
struct Partial {
    metadata: Metadata,
}

impl Namespaces {
    fn empty(&self, namespace: &Namespace) -> Vec<Request> {
        let nothing = Found::default();
        let found = self.found.get(&namespace.metadata.uid).unwrap_or(&nothing);
        let name = &namespace.metadata.name;
        let step = |resource: Resource| {
            if found.swept.contains(&resource) {
                Request::list(resource, Some(name))
            } else {
                Request::delete_collection(resource, name)
            }
        };
        if !found.empty.contains(&Resource::PODS) {
            return vec![step(Resource::PODS)];
        }
        let left: Vec<Resource> = contents().filter(|resource| !found.empty.contains(resource)).collect();
        if !left.is_empty() {
            return left.into_iter().map(step).collect();
        }
        let unsure = contents().filter(|resource| !found.confirmed.contains(resource));
        let again: Vec<Request> = unsure.map(|resource| Request::list(resource, Some(name))).collect();
        if again.is_empty() { vec![let_go(namespace)] } else { again }
    }
}

fn let_go(namespace: &Namespace) -> Request {
    let metadata = &namespace.metadata;
    let left: Vec<&String> = namespace.spec.finalizers.iter().filter(|held| *held != OURS).collect();
    let body = json!({
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": metadata.name, "uid": metadata.uid, "resourceVersion": metadata.resource_version},
        "spec": {"finalizers": left},
    });
    let target = Target::cluster(Resource::NAMESPACES, &metadata.name).subresource("finalize");
    Request { verb: Verb::Update, target, body }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::world::{World, mark_deleted};

    const CONFIG: Resource = Resource { group: "", version: "v1", plural: "configmaps" };

    fn namespace(name: &str, finalizers: &[&str]) -> Value {
        json!({"metadata": {"name": name}, "spec": {"finalizers": finalizers}})
    }

    fn object(name: &str, namespace: &str) -> Value {
        json!({"metadata": {"name": name, "namespace": namespace}})
    }

    fn terminating(mut namespace: Value) -> Value {
        mark_deleted(&mut namespace, None);
        namespace
    }

    fn at() -> Timestamp {
        Timestamp::UNIX_EPOCH
    }

    fn scene(namespaces: Vec<Value>) -> (World, Namespaces) {
        let mut world = World::default();
        for namespace in namespaces {
            world.put(Resource::NAMESPACES, namespace);
        }
        let mut controller = Namespaces::new();
        world.tell_all(&mut controller, at());
        (world, controller)
    }

    #[test]
    fn a_namespace_goes_once_it_is_empty_and_others_stay() {
        let (mut world, mut controller) = scene(vec![
            terminating(namespace("going", &["kubernetes"])),
            namespace("staying", &["kubernetes"]),
        ]);
        for namespace in ["going", "staying"] {
            for resource in [CONFIG, Resource::SERVICE_ACCOUNTS, Resource::DAEMON_SETS] {
                world.put(resource, object("a", namespace));
            }
        }
        world.settle(&mut controller, at, |_| {});
        for resource in [CONFIG, Resource::SERVICE_ACCOUNTS, Resource::DAEMON_SETS] {
            let left = world.all(resource);
            assert_eq!((left.len(), &left[0]["metadata"]["namespace"]), (1, &json!("staying")));
        }
        assert_eq!(world.all(Resource::NAMESPACES).len(), 1);
        assert!(controller.found.is_empty());
    }

    #[test]
    fn pods_go_first_and_what_has_finalizers_is_waited_for() {
        let (mut world, mut controller) = scene(vec![terminating(namespace("ns", &["kubernetes"]))]);
        let mut pod = object("p", "ns");
        pod["spec"]["nodeName"] = json!("n");
        world.put(Resource::PODS, pod);
        let mut held = object("held", "ns");
        held["metadata"]["finalizers"] = json!(["mine"]);
        world.put(CONFIG, held);
        world.put(CONFIG, object("free", "ns"));
        let mut round = |world: &mut World| {
            for request in controller.plan(at()).requests {
                world.carry_out(&mut controller, &request);
            }
        };
        for _ in 0..4 {
            round(&mut world);
        }
        let pod = world.all(Resource::PODS).remove(0);
        assert!(!pod["metadata"]["deletionTimestamp"].is_null());
        assert_eq!(world.all(CONFIG).len(), 2, "untouched while a pod runs");
        world.remove(Resource::PODS, &pod);
        for _ in 0..6 {
            round(&mut world);
        }
        assert_eq!(world.all(CONFIG).len(), 1);
        assert_eq!(world.all(Resource::NAMESPACES).len(), 1);
        let held = world.all(CONFIG).remove(0);
        world.remove(CONFIG, &held);
        world.settle(&mut controller, at, |_| {});
        assert_eq!(world.all(Resource::NAMESPACES).len(), 0);
    }

    #[test]
    fn what_is_stored_behind_the_sweep_goes_too() {
        let (mut world, mut controller) = scene(vec![terminating(namespace("ns", &["kubernetes"]))]);
        let mut late = vec![Resource::PODS, CONFIG];
        for _ in 0..20 {
            for request in controller.plan(at()).requests {
                world.carry_out(&mut controller, &request);
                let resource = request.target.resource;
                if request.verb == Verb::DeleteCollection && late.contains(&resource) {
                    late.retain(|kind| *kind != resource);
                    world.put(resource, object("late", "ns"));
                }
            }
            world.tell(&mut controller, at());
        }
        assert_eq!(late, []);
        assert_eq!(world.all(Resource::NAMESPACES).len(), 0);
    }

    #[test]
    fn what_comes_late_goes_too() {
        let all_kinds: Vec<Resource> = contents().collect();
        for late in [CONFIG, Resource::PODS] {
            let (mut world, mut controller) = scene(vec![terminating(namespace("ns", &["kubernetes"]))]);
            let uid = world.all(Resource::NAMESPACES)[0]["metadata"]["uid"].as_str().unwrap().to_owned();
            let mut came = false;
            for _ in 0..20 {
                let is_empty =
                    controller.found.get(&uid).is_some_and(|found| found.empty.len() == all_kinds.len());
                if is_empty && !came {
                    came = true;
                    world.put(late, object("late", "ns"));
                }
                for request in controller.plan(at()).requests {
                    world.carry_out(&mut controller, &request);
                }
                world.tell(&mut controller, at());
            }
            assert!(came);
            assert_eq!(world.all(late), [] as [Value; 0], "an orphan");
            assert_eq!(world.all(Resource::NAMESPACES).len(), 0);
        }
    }

    #[test]
    fn what_takes_its_time_is_not_deleted_again_and_again() {
        let (mut world, mut controller) = scene(vec![terminating(namespace("ns", &["kubernetes"]))]);
        let mut pod = object("p", "ns");
        pod["spec"]["nodeName"] = json!("n");
        world.put(Resource::PODS, pod);
        let mut verbs = Vec::new();
        for _ in 0..4 {
            for request in controller.plan(at()).requests {
                verbs.push(request.verb);
                world.carry_out(&mut controller, &request);
            }
        }
        // The same request again is paced; one that changes every time is not.
        assert_eq!(verbs, [Verb::DeleteCollection, Verb::List, Verb::List, Verb::List]);
    }

    #[test]
    fn finalizers_of_others_are_theirs() {
        let (mut world, mut controller) = scene(vec![
            terminating(namespace("both", &["kubernetes", "mine"])),
            terminating(namespace("theirs", &["mine"])),
        ]);
        world.settle(&mut controller, at, |_| {});
        for name in ["both", "theirs"] {
            let namespace = world.get(Resource::NAMESPACES, "", name).unwrap();
            assert_eq!(namespace["spec"]["finalizers"], json!(["mine"]));
        }
    }
}
