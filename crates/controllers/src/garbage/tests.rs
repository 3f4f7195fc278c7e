//! The garbage collector on a small world.

use proptest::prelude::*;

use super::*;
use crate::world::{World, mark_deleted};

const CONFIG: Resource = Resource { group: "", version: "v1", plural: "configmaps" };
const ACCOUNTS: Resource = Resource::SERVICE_ACCOUNTS;

fn at() -> Timestamp {
    Timestamp::UNIX_EPOCH
}

fn object(name: &str, owners: &[Value]) -> Value {
    json!({"metadata": {"name": name, "namespace": "ns", "uid": format!("uid-{name}"), "ownerReferences": owners}})
}

fn owner(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "name": name, "uid": format!("uid-{name}")})
}

fn blocking(name: &str) -> Value {
    let mut owner = owner(name);
    owner["blockOwnerDeletion"] = json!(true);
    owner
}

fn deleted(mut object: Value, finalizer: &str) -> Value {
    mark_deleted(&mut object, Some(finalizer));
    object
}

fn scene(objects: &[Value]) -> (World, GarbageCollector) {
    let mut world = World::default();
    for object in objects {
        world.put(CONFIG, object.clone());
    }
    let mut collector = GarbageCollector::new();
    world.tell_all(&mut collector, at());
    (world, collector)
}

fn left(world: &World) -> Vec<String> {
    let objects = world.all(CONFIG).into_iter().chain(world.all(ACCOUNTS));
    objects.map(|object| object["metadata"]["name"].as_str().unwrap().to_owned()).collect()
}

fn owners_of(world: &World, name: &str) -> Vec<String> {
    let object = world.get(CONFIG, "ns", name).unwrap();
    let owners = object["metadata"]["ownerReferences"].as_array().unwrap();
    owners.iter().map(|owner| owner["name"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn what_is_left_once_the_owners_are_as_they_are() {
    let recreated = {
        let mut recreated = owner("a");
        recreated["uid"] = json!("uid-of-one-before");
        recreated
    };
    let foreign = json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": "d", "uid": "uid-d"});
    let node = json!({"apiVersion": "v1", "kind": "Node", "name": "n", "uid": "uid-n"});
    for (why, objects, wanted) in [
        ("no owner", vec![object("x", &[])], vec!["x"]),
        ("an owner", vec![object("a", &[]), object("x", &[owner("a")])], vec!["a", "x"]),
        ("none left", vec![object("x", &[owner("a")])], vec![]),
        ("another by that name", vec![object("a", &[]), object("x", &[recreated])], vec!["a"]),
        ("one of two", vec![object("a", &[]), object("x", &[owner("a"), owner("b")])], vec!["a", "x"]),
        ("of a kind nobody knows", vec![object("x", &[foreign])], vec!["x"]),
        ("of a cluster's kind", vec![object("x", &[node])], vec![]),
        ("a chain", vec![object("x", &[owner("a")]), object("y", &[owner("x")])], vec![]),
        ("a circle", vec![object("x", &[owner("y")]), object("y", &[owner("x")])], vec!["x", "y"]),
        (
            "foreground",
            vec![
                deleted(object("a", &[]), FOREGROUND),
                object("x", &[blocking("a")]),
                object("y", &[blocking("x")]),
                object("z", &[owner("a")]),
            ],
            vec![],
        ),
        (
            "foreground, with another owner",
            vec![
                deleted(object("a", &[]), FOREGROUND),
                object("b", &[]),
                object("x", &[blocking("a"), owner("b")]),
            ],
            vec!["b", "x"],
        ),
        (
            "foreground in a circle",
            vec![deleted(object("a", &[blocking("x")]), FOREGROUND), object("x", &[blocking("a")])],
            vec![],
        ),
        (
            "orphan",
            vec![deleted(object("a", &[]), ORPHAN), object("x", &[owner("a")]), object("y", &[owner("x")])],
            vec!["x", "y"],
        ),
        ("orphan, of none", vec![deleted(object("a", &[]), ORPHAN)], vec![]),
    ] {
        let (mut world, mut collector) = scene(&objects);
        world.settle(&mut collector, at, |_| {});
        assert_eq!(left(&world), wanted, "{why}");
    }
}

#[test]
fn dangling_references_go_and_others_stay() {
    let (mut world, mut collector) =
        scene(&[object("a", &[]), object("x", &[owner("gone"), owner("a"), blocking("lost")])]);
    world.settle(&mut collector, at, |_| {});
    assert_eq!(owners_of(&world, "x"), ["a"]);
}

#[test]
fn an_owner_of_another_namespace_is_none() {
    let mut elsewhere = object("a", &[]);
    elsewhere["metadata"]["namespace"] = json!("other");
    let (mut world, mut collector) = scene(&[elsewhere, object("x", &[owner("a")])]);
    world.settle(&mut collector, at, |_| {});
    assert_eq!(left(&world), ["a"]);
}

#[test]
fn nothing_is_deleted_for_an_owner_that_has_only_not_been_heard_of() {
    let (mut world, mut collector) = scene(&[object("x", &[owner("a")])]);
    world.put(CONFIG, object("a", &[]));
    let plan = collector.plan(at()).requests;
    assert_eq!(
        (plan.len(), plan[0].verb, &*plan[0].path()),
        (1, Verb::Get, "/api/v1/namespaces/ns/configmaps/a")
    );
    assert!(world.carry_out(&mut collector, &plan[0]));
    assert_eq!(collector.plan(at()).requests[0].verb, Verb::Get);
    world.tell(&mut collector, at());
    assert_eq!(collector.plan(at()).requests, []);
}

#[test]
fn a_deletion_is_of_what_was_looked_at() {
    let (mut world, mut collector) = scene(&[object("x", &[owner("a")])]);
    let question = collector.plan(at()).requests.remove(0);
    world.carry_out(&mut collector, &question);
    let deletion = collector.plan(at()).requests.remove(0);
    assert_eq!(
        deletion.body,
        json!({
            "apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": "Background",
            "preconditions": {"uid": "uid-x", "resourceVersion": "1"},
        })
    );
    // Somebody gives it an owner meanwhile.
    world.put(CONFIG, object("b", &[]));
    world.put(CONFIG, object("x", &[owner("b")]));
    assert!(!world.carry_out(&mut collector, &deletion));
    world.settle(&mut collector, at, |_| {});
    assert_eq!(left(&world), ["b", "x"]);
}

#[test]
fn every_served_kind_is_watched_but_events() {
    let watched = GarbageCollector::new().watches();
    let plurals: Vec<&str> = watched.iter().map(|resource| resource.plural).collect();
    for plural in ["pods", "secrets", "namespaces", "daemonsets", "leases", "volumeattachments"] {
        assert!(plurals.contains(&plural), "{plural}");
    }
    for plural in ["events", "tokenreviews", "bindings", ""] {
        assert!(!plurals.contains(&plural), "{plural}");
    }
}

#[derive(Clone, Debug)]
enum Step {
    /// An object of that number with owners of these, which may be there or not.
    Put(u8, Vec<(u8, bool)>),
    Delete(u8, Option<&'static str>),
    Act(usize),
    /// What has happened is heard of only now.
    Hear,
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    let owners = prop::collection::vec((0_u8..8, any::<bool>()), 0..3);
    let policies = prop::sample::select(vec![None, Some(FOREGROUND), Some(ORPHAN)]);
    prop_oneof![
        4 => (0_u8..8, owners).prop_map(|(number, owners)| Step::Put(number, owners)),
        2 => (0_u8..8, policies).prop_map(|(number, policy)| Step::Delete(number, policy)),
        8 => any::<usize>().prop_map(Step::Act),
        4 => Just(Step::Hear),
        1 => Just(Step::Restart),
    ]
}

proptest! {
    /// Whatever is made and deleted in whatever order, and however late it is heard of: nothing goes that has an owner which
    /// is there, no owner goes before those that hold it up, and in the end nothing is left of which all owners are gone.
    #[test]
    fn nothing_that_is_owned_goes_and_nothing_that_is_not_stays(steps in prop::collection::vec(step(), 0..80)) {
        let (mut world, mut collector) = scene(&[]);
        let name = |number: u8| format!("o{number}");
        let has_living_owner = |world: &World, object: &Value| {
            let owners = object["metadata"]["ownerReferences"].as_array().unwrap();
            owners.is_empty() || owners.iter().any(|owner| {
                let found = world.get(CONFIG, "ns", owner["name"].as_str().unwrap());
                found.is_some_and(|found| {
                    found["metadata"]["uid"] == owner["uid"] && found["metadata"]["deletionTimestamp"].is_null()
                })
            })
        };
        let mut generation = 0;
        for step in steps {
            match step {
                Step::Put(number, owners) => {
                    let owners: Vec<Value> = owners.iter().map(|(owned_by, blocks)| {
                        let name = name(*owned_by);
                        let found = world.get(CONFIG, "ns", &name);
                        let uid = found.map_or(json!("gone"), |found| found["metadata"]["uid"].clone());
                        json!({"apiVersion": "v1", "kind": "ConfigMap", "name": name, "uid": uid, "blockOwnerDeletion": blocks})
                    }).collect();
                    let mut made = object(&name(number), &owners);
                    match world.get(CONFIG, "ns", &name(number)) {
                        Some(found) if found["metadata"]["deletionTimestamp"].is_null() => {
                            made["metadata"]["uid"] = found["metadata"]["uid"].clone();
                        }
                        Some(_) => continue,
                        None => {
                            generation += 1;
                            made["metadata"]["uid"] = json!(format!("uid-{number}-{generation}"));
                        }
                    }
                    world.put(CONFIG, made);
                }
                Step::Delete(number, policy) => {
                    let Some(found) = world.get(CONFIG, "ns", &name(number)).cloned() else { continue };
                    match policy {
                        Some(policy) if found["metadata"]["deletionTimestamp"].is_null() => {
                            world.put(CONFIG, deleted(found, policy));
                        }
                        Some(_) => {}
                        None => world.remove(CONFIG, &found),
                    }
                }
                Step::Hear => world.tell(&mut collector, at()),
                Step::Restart => {
                    collector = GarbageCollector::new();
                    world.tell_all(&mut collector, at());
                }
                Step::Act(index) => {
                    let requests = collector.plan(at()).requests;
                    if requests.is_empty() {
                        continue;
                    }
                    let request = &requests[index % requests.len()];
                    let before = world.get(CONFIG, "ns", &request.target.name).cloned();
                    let done = world.carry_out(&mut collector, request);
                    if done && request.verb == Verb::Delete {
                        prop_assert!(!has_living_owner(&world, &before.unwrap()), "{request:?}");
                    }
                }
            }
        }
        world.settle(&mut collector, at, |_| {});
        let all = world.all(CONFIG);
        for object in &all {
            prop_assert!(object["metadata"]["deletionTimestamp"].is_null(), "still going: {object}");
            let owners = object["metadata"]["ownerReferences"].as_array().unwrap();
            let uids: Vec<&Value> = all.iter().map(|object| &object["metadata"]["uid"]).collect();
            prop_assert!(owners.iter().all(|owner| uids.contains(&&owner["uid"])), "dangling: {object}");
        }
    }
}
