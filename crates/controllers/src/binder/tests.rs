//! The binder against values: one plan at a time, and whole bindings carried out on a small model of the API.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::*;

/// A JSON merge patch (RFC 7386).
fn merge(target: &mut Value, patch: Value) {
    let Value::Object(patch) = patch else {
        *target = patch;
        return;
    };
    if !target.is_object() {
        *target = json!({});
    }
    for (key, value) in patch {
        if value.is_null() {
            target.as_object_mut().unwrap().remove(&key);
        } else {
            merge(&mut target[key], value);
        }
    }
}

fn with(mut object: Value, patch: Value) -> Value {
    merge(&mut object, patch);
    object
}

fn volume(name: &str, size: &str) -> Value {
    json!({
        "metadata": {"name": name, "uid": format!("uid-{name}"), "resourceVersion": "5"},
        "spec": {"capacity": {"storage": size}, "accessModes": ["ReadWriteOnce"], "storageClassName": ""},
        "status": {"phase": "Available"},
    })
}

fn claim(name: &str, size: &str) -> Value {
    json!({
        "metadata": {"name": name, "namespace": "ns", "uid": format!("uid-{name}"), "resourceVersion": "6"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": size}}},
        "status": {"phase": "Pending"},
    })
}

/// `slow` waits for a first consumer, `made` is made at once, `none` by nobody.
fn classes() -> Vec<Value> {
    let class = |name: &str, provisioner: &str, mode: &str| json!({"metadata": {"name": name}, "provisioner": provisioner, "volumeBindingMode": mode});
    vec![
        class("slow", "p.example", "WaitForFirstConsumer"),
        class("made", "p.example", "Immediate"),
        class("none", "kubernetes.io/no-provisioner", "WaitForFirstConsumer"),
    ]
}

fn reference(claim: &str) -> Value {
    json!({"spec": {"claimRef": {"namespace": "ns", "name": claim, "uid": format!("uid-{claim}")}}})
}

fn binder(volumes: Vec<Value>, claims: Vec<Value>) -> Binder {
    let mut binder = Binder::new();
    binder.observe(Resource::PERSISTENT_VOLUMES, WatchEvent::listed(volumes));
    binder.observe(Resource::PERSISTENT_VOLUME_CLAIMS, WatchEvent::listed(claims));
    binder.observe(Resource::STORAGE_CLASSES, WatchEvent::listed(classes()));
    assert!(binder.is_ready());
    binder
}

fn plan(volumes: Vec<Value>, claims: Vec<Value>) -> Vec<(String, Value)> {
    let requests = binder(volumes, claims).plan(Timestamp::UNIX_EPOCH).requests;
    requests.into_iter().map(|request| (request.target.to_string(), request.body)).collect()
}

/// The volume that the plan's first write gives to the only claim.
fn chosen(volumes: Vec<Value>, claim: Value) -> Option<String> {
    let (target, body) = plan(volumes, vec![claim]).into_iter().next()?;
    body.pointer("/spec/claimRef/uid")?;
    target.strip_prefix("persistentvolumes/").map(str::to_owned)
}

/// The stored objects, and the binder's plans carried out on them.
struct World {
    objects: BTreeMap<String, Value>,
    revision: u64,
}

impl World {
    fn new(volumes: Vec<Value>, claims: Vec<Value>) -> Self {
        let volumes = volumes.into_iter().map(|object| ("persistentvolumes", object));
        let claims = claims.into_iter().map(|object| ("persistentvolumeclaims", object));
        let objects = volumes.chain(claims).map(|(resource, object)| {
            let name = object["metadata"]["name"].as_str().unwrap().to_owned();
            let namespace =
                object["metadata"]["namespace"].as_str().map(|ns| format!("{ns}/")).unwrap_or_default();
            (format!("{resource}/{namespace}{name}"), object)
        });
        Self { objects: objects.collect(), revision: 100 }
    }

    fn of(&self, resource: &str) -> Vec<Value> {
        let objects = self.objects.iter().filter(|(path, _)| path.starts_with(&format!("{resource}/")));
        objects.map(|(_, object)| object.clone()).collect()
    }

    /// What a binder that has just started would do first.
    fn next(&self) -> Option<Request> {
        let binder = binder(self.of("persistentvolumes"), self.of("persistentvolumeclaims"));
        binder.plan(Timestamp::UNIX_EPOCH).requests.into_iter().next()
    }

    fn carry_out(&mut self, request: &Request) {
        self.revision += 1;
        let path = request.target.to_string().trim_end_matches("/status").to_owned();
        let object = self.objects.get_mut(&path).unwrap();
        assert_eq!(
            request.body["metadata"]["resourceVersion"], object["metadata"]["resourceVersion"],
            "a blind write"
        );
        for part in request.body.as_object().unwrap().keys() {
            let allowed = if request.target.subresource.is_some() { "status" } else { "spec" };
            assert!(part == "metadata" || part == allowed, "{part} written to {}", request.target);
        }
        merge(object, request.body.clone());
        object["metadata"]["resourceVersion"] = json!(self.revision.to_string());
    }

    /// A fresh binder for every write: each of them may be the last before a crash.
    fn settle(&mut self) -> usize {
        for writes in 0..50 {
            let Some(request) = self.next() else { return writes };
            self.carry_out(&request);
        }
        panic!("no end of writes, the next is {:?}", self.next());
    }
}

#[test]
fn a_binding_is_four_writes_each_from_what_is_stored() {
    let mut world =
        World::new(vec![with(volume("pv", "1Gi"), json!({"status": null}))], vec![claim("data", "1Gi")]);
    let mut written = Vec::new();
    while let Some(request) = world.next() {
        written.push((request.target.to_string(), request.body.clone()));
        world.carry_out(&request);
    }
    let wanted = [
        (
            "persistentvolumes/pv/status",
            json!({"metadata": {"resourceVersion": "5"}, "status": {"phase": "Available"}}),
        ),
        (
            "persistentvolumes/pv",
            json!({
                "metadata": {"resourceVersion": "101", "annotations": {"pv.kubernetes.io/bound-by-controller": "yes"}},
                "spec": {"claimRef": {
                    "apiVersion": "v1", "kind": "PersistentVolumeClaim", "namespace": "ns", "name": "data",
                    "uid": "uid-data", "resourceVersion": "6",
                }},
            }),
        ),
        (
            "persistentvolumes/pv/status",
            json!({"metadata": {"resourceVersion": "102"}, "status": {"phase": "Bound"}}),
        ),
        (
            "persistentvolumeclaims/ns/data",
            json!({
                "metadata": {"resourceVersion": "6", "annotations": {
                    "pv.kubernetes.io/bind-completed": "yes", "pv.kubernetes.io/bound-by-controller": "yes",
                }},
                "spec": {"volumeName": "pv"},
            }),
        ),
        (
            "persistentvolumeclaims/ns/data/status",
            json!({"metadata": {"resourceVersion": "104"}, "status": {
                "phase": "Bound", "accessModes": ["ReadWriteOnce"], "capacity": {"storage": "1Gi"},
            }}),
        ),
    ];
    let wanted: Vec<(String, Value)> =
        wanted.into_iter().map(|(target, body)| (target.to_owned(), body)).collect();
    assert_eq!(written, wanted);
}

#[test]
fn the_smallest_that_fits_is_chosen() {
    let wide = json!({"spec": {"accessModes": ["ReadWriteOnce", "ReadOnlyMany"]}});
    let class = |name: &str| json!({"spec": {"storageClassName": name}});
    let block = json!({"spec": {"volumeMode": "Block"}});
    let ssd = json!({"metadata": {"labels": {"disk": "ssd"}}});
    let wants_ssd = json!({"spec": {"selector": {"matchLabels": {"disk": "ssd"}}}});
    for (why, volumes, claim, wanted) in [
        (
            "smallest",
            vec![volume("a", "3Gi"), volume("b", "2Gi"), volume("c", "1Gi")],
            claim("x", "1500Mi"),
            Some("b"),
        ),
        ("in other units", vec![volume("a", "1G")], claim("x", "1Gi"), None),
        ("exact", vec![volume("a", "1024Mi")], claim("x", "1Gi"), Some("a")),
        ("first by name", vec![volume("b", "1Gi"), volume("a", "1Gi")], claim("x", "1Gi"), Some("a")),
        (
            "fewest modes before size",
            vec![with(volume("a", "1Gi"), wide.clone()), volume("b", "9Gi")],
            claim("x", "1Gi"),
            Some("b"),
        ),
        (
            "all modes",
            vec![volume("a", "1Gi"), with(volume("b", "1Gi"), wide.clone())],
            with(claim("x", "1Gi"), wide.clone()),
            Some("b"),
        ),
        (
            "class",
            vec![volume("a", "1Gi"), with(volume("b", "1Gi"), class("fast"))],
            with(claim("x", "1Gi"), class("fast")),
            Some("b"),
        ),
        (
            "no class",
            vec![with(volume("a", "1Gi"), class("fast")), volume("b", "1Gi")],
            claim("x", "1Gi"),
            Some("b"),
        ),
        ("mode of the volume", vec![with(volume("a", "1Gi"), block.clone())], claim("x", "1Gi"), None),
        (
            "both block",
            vec![with(volume("a", "1Gi"), block.clone())],
            with(claim("x", "1Gi"), block),
            Some("a"),
        ),
        (
            "selector",
            vec![volume("a", "1Gi"), with(volume("b", "1Gi"), ssd)],
            with(claim("x", "1Gi"), wants_ssd),
            Some("b"),
        ),
        (
            "not available",
            vec![with(volume("a", "1Gi"), json!({"status": {"phase": "Released"}}))],
            claim("x", "1Gi"),
            None,
        ),
        (
            "deleting",
            vec![with(
                volume("a", "1Gi"),
                json!({"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}}),
            )],
            claim("x", "1Gi"),
            None,
        ),
        (
            "reserved for it",
            vec![
                volume("a", "1Gi"),
                with(volume("b", "9Gi"), json!({"spec": {"claimRef": {"namespace": "ns", "name": "x"}}})),
            ],
            claim("x", "1Gi"),
            Some("b"),
        ),
        (
            "reserved for it but too small",
            vec![with(volume("a", "1Mi"), json!({"spec": {"claimRef": {"namespace": "ns", "name": "x"}}}))],
            claim("x", "1Gi"),
            None,
        ),
        (
            "reserved for another",
            vec![with(volume("a", "1Gi"), json!({"spec": {"claimRef": {"namespace": "ns", "name": "y"}}}))],
            claim("x", "1Gi"),
            None,
        ),
        (
            "reserved for one in another namespace",
            vec![with(
                volume("a", "1Gi"),
                json!({"spec": {"claimRef": {"namespace": "other", "name": "x"}}}),
            )],
            claim("x", "1Gi"),
            None,
        ),
        (
            "named",
            vec![volume("a", "1Gi"), volume("b", "9Gi")],
            with(claim("x", "1Gi"), json!({"spec": {"volumeName": "b"}})),
            Some("b"),
        ),
        (
            "named but too small",
            vec![volume("a", "1Mi")],
            with(claim("x", "1Gi"), json!({"spec": {"volumeName": "a"}})),
            None,
        ),
        (
            "named but not there",
            vec![volume("a", "1Gi")],
            with(claim("x", "1Gi"), json!({"spec": {"volumeName": "b"}})),
            None,
        ),
        (
            "named but another's",
            vec![with(volume("a", "1Gi"), json!({"spec": {"claimRef": {"namespace": "ns", "name": "y"}}}))],
            with(claim("x", "1Gi"), json!({"spec": {"volumeName": "a"}})),
            None,
        ),
        (
            "deleting claim",
            vec![volume("a", "1Gi")],
            with(claim("x", "1Gi"), json!({"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}})),
            None,
        ),
    ] {
        assert_eq!(chosen(volumes, claim).as_deref(), wanted, "{why}");
    }
}

#[test]
fn a_reservation_by_a_person_is_kept_as_theirs() {
    let mine = json!({"spec": {"claimRef": {"namespace": "ns", "name": "x"}}});
    let requests = plan(vec![with(volume("a", "1Gi"), mine)], vec![claim("x", "1Gi")]);
    assert_eq!(requests[0].1["metadata"], json!({"resourceVersion": "5"}));
    assert_eq!(requests[0].1["spec"]["claimRef"]["uid"], "uid-x");

    let mut world = World::new(
        vec![volume("a", "1Gi")],
        vec![with(claim("x", "1Gi"), json!({"spec": {"volumeName": "a"}}))],
    );
    world.settle();
    assert_eq!(
        world.of("persistentvolumeclaims")[0]["metadata"]["annotations"],
        json!({BIND_COMPLETED: "yes"})
    );
}

#[test]
fn two_claims_never_get_one_volume_and_the_older_goes_first() {
    let old = with(claim("z", "1Gi"), json!({"metadata": {"creationTimestamp": "2026-01-01T00:00:00Z"}}));
    let young = with(claim("a", "1Gi"), json!({"metadata": {"creationTimestamp": "2026-01-02T00:00:00Z"}}));
    let both = plan(vec![volume("pv", "1Gi")], vec![young.clone(), old.clone()]);
    assert_eq!(both.len(), 1);
    assert_eq!(both[0].1["spec"]["claimRef"]["name"], "z");

    let two = plan(vec![volume("large", "2Gi"), volume("small", "1Gi")], vec![young, old]);
    let given: Vec<(&str, &Value)> =
        two.iter().map(|(target, body)| (&**target, &body["spec"]["claimRef"]["name"])).collect();
    assert_eq!(given, [("persistentvolumes/small", &json!("z")), ("persistentvolumes/large", &json!("a"))]);
}

#[test]
fn whatever_was_written_before_a_crash_the_rest_follows() {
    let fresh =
        || World::new(vec![volume("pv", "1Gi"), volume("pv-larger", "2Gi")], vec![claim("data", "1Gi")]);
    let mut whole = fresh();
    assert_eq!(whole.settle(), 4);
    for object in whole.objects.values_mut() {
        object["metadata"].as_object_mut().unwrap().remove("resourceVersion");
    }
    // A crash after each write, and a volume that would fit better since.
    for survived in 0..4 {
        let mut world = fresh();
        for _ in 0..survived {
            let request = world.next().unwrap();
            world.carry_out(&request);
        }
        if survived > 0 {
            world.objects.insert("persistentvolumes/aa".into(), volume("aa", "1Gi"));
        }
        world.settle();
        world.objects.remove("persistentvolumes/aa");
        for object in world.objects.values_mut() {
            object["metadata"].as_object_mut().unwrap().remove("resourceVersion");
        }
        assert_eq!(world.objects, whole.objects, "after {survived} writes");
        assert_eq!(world.next(), None);
    }
}

#[test]
fn volumes_are_released_taken_back_and_reported_lost() {
    let bound = || {
        let mut world = World::new(vec![volume("pv", "1Gi")], vec![claim("data", "1Gi")]);
        world.settle();
        world
    };
    let phase =
        |world: &World, path: &str| world.objects[path]["status"]["phase"].as_str().unwrap().to_owned();

    let mut world = bound();
    world.objects.remove("persistentvolumeclaims/ns/data");
    assert_eq!(world.settle(), 1);
    assert_eq!(phase(&world, "persistentvolumes/pv"), "Released");
    // A new claim of the same name does not inherit it.
    let namesake = with(claim("data", "1Gi"), json!({"metadata": {"uid": "uid-other"}}));
    world.objects.insert("persistentvolumeclaims/ns/data".into(), namesake);
    assert_eq!(world.settle(), 0);
    // Until somebody takes the old reference away.
    merge(world.objects.get_mut("persistentvolumes/pv").unwrap(), json!({"spec": {"claimRef": null}}));
    world.settle();
    assert_eq!(phase(&world, "persistentvolumes/pv"), "Bound");
    assert_eq!(phase(&world, "persistentvolumeclaims/ns/data"), "Bound");

    let mut world = bound();
    let volume_object = world.objects.remove("persistentvolumes/pv").unwrap();
    assert_eq!(world.settle(), 1);
    assert_eq!(phase(&world, "persistentvolumeclaims/ns/data"), "Lost");
    world.objects.insert("persistentvolumes/pv".into(), volume_object.clone());
    world.settle();
    assert_eq!(phase(&world, "persistentvolumeclaims/ns/data"), "Bound");
    // Taken by another since.
    world.objects.insert("persistentvolumes/pv".into(), with(volume_object, reference("other")));
    world.settle();
    assert_eq!(phase(&world, "persistentvolumeclaims/ns/data"), "Lost");
    assert_eq!(phase(&world, "persistentvolumes/pv"), "Released");
}

#[test]
fn a_volume_reserved_for_a_claim_that_took_another_is_free_again() {
    let elsewhere = with(
        claim("x", "1Gi"),
        json!({"spec": {"volumeName": "other"}, "metadata": {"annotations": {BIND_COMPLETED: "yes"}}}),
    );
    let by_binder = json!({"metadata": {"annotations": {BOUND_BY_CONTROLLER: "yes"}}});
    let by_provisioner = json!({"metadata": {"annotations": {PROVISIONED_BY: "x"}}});
    for (extra, wanted) in [
        (
            by_binder,
            Some(json!({
                "metadata": {"resourceVersion": "5", "annotations": {BOUND_BY_CONTROLLER: null}},
                "spec": {"claimRef": null},
            })),
        ),
        (
            json!({}),
            Some(
                json!({"metadata": {"resourceVersion": "5"}, "spec": {"claimRef": {"uid": null, "resourceVersion": null}}}),
            ),
        ),
        (by_provisioner, None),
    ] {
        let reserved = with(with(volume("pv", "1Gi"), reference("x")), extra);
        let other = with(with(volume("other", "1Gi"), reference("x")), json!({"status": {"phase": "Bound"}}));
        let requests = plan(vec![reserved, other], vec![elsewhere.clone()]);
        let of_volume = requests.iter().find(|(target, _)| target == "persistentvolumes/pv");
        assert_eq!(of_volume.map(|(_, body)| body.clone()), wanted);
    }
}

#[test]
fn a_bound_claim_shows_what_its_volume_has() {
    let mut world = World::new(vec![volume("pv", "1Gi")], vec![claim("data", "1Gi")]);
    world.settle();
    merge(
        world.objects.get_mut("persistentvolumes/pv").unwrap(),
        json!({"spec": {"capacity": {"storage": "2Gi"}}}),
    );
    merge(
        world.objects.get_mut("persistentvolumeclaims/ns/data").unwrap(),
        json!({"status": {"capacity": {"old": "1"}}}),
    );
    assert_eq!(world.settle(), 1);
    assert_eq!(
        world.objects["persistentvolumeclaims/ns/data"]["status"]["capacity"],
        json!({"storage": "2Gi"})
    );
}

#[test]
fn a_claim_that_waits_for_its_first_consumer_is_left_to_the_scheduler() {
    let of = |class: &str| json!({"spec": {"storageClassName": class}});
    let selected = json!({"metadata": {"annotations": {"volume.kubernetes.io/selected-node": "n"}}});
    for (class, more, wanted) in [
        ("slow", json!({}), None),
        ("none", json!({}), None),
        ("slow", selected.clone(), Some("pv")),
        ("made", json!({}), Some("pv")),
        ("unknown", json!({}), Some("pv")),
    ] {
        let claim = with(with(claim("c", "1Gi"), of(class)), more.clone());
        assert_eq!(
            chosen(vec![with(volume("pv", "1Gi"), of(class))], claim).as_deref(),
            wanted,
            "{class} {more}"
        );
    }
    // One that the scheduler has reserved is bound.
    let reserved = with(with(volume("pv", "1Gi"), of("slow")), reference("c"));
    let mut world = World::new(vec![reserved], vec![with(claim("c", "1Gi"), of("slow"))]);
    world.settle();
    assert_eq!(world.of("persistentvolumeclaims")[0]["spec"]["volumeName"], "pv");
}

#[test]
fn a_provisioner_is_told_of_the_claims_that_are_its() {
    let told = |class: &str, selected: Option<&str>| {
        let claim = with(
            claim("c", "1Gi"),
            json!({
                "metadata": {"annotations": {"volume.kubernetes.io/selected-node": selected}},
                "spec": {"storageClassName": class},
            }),
        );
        let mut world = World::new(vec![], vec![claim]);
        world.settle();
        let annotations = &world.of("persistentvolumeclaims")[0]["metadata"]["annotations"];
        annotations["volume.kubernetes.io/storage-provisioner"].as_str().map(str::to_owned)
    };
    assert_eq!(told("made", None).as_deref(), Some("p.example"));
    assert_eq!(told("slow", None), None);
    assert_eq!(told("slow", Some("n")).as_deref(), Some("p.example"));
    assert_eq!(told("none", Some("n")), None);
}

#[test]
fn a_volume_that_nobody_can_reclaim_says_so() {
    for (policy, provisioned, phase) in [
        ("Retain", false, "Released"),
        ("Delete", false, "Failed"),
        ("Delete", true, "Released"),
        ("Recycle", false, "Failed"),
    ] {
        let mut released =
            with(with(volume("pv", "1Gi"), reference("gone")), json!({"status": {"phase": "Bound"}}));
        released["spec"]["persistentVolumeReclaimPolicy"] = json!(policy);
        if provisioned {
            released["metadata"]["annotations"] = json!({"pv.kubernetes.io/provisioned-by": "p.example"});
        }
        let mut world = World::new(vec![released], vec![]);
        world.settle();
        let status = &world.of("persistentvolumes")[0]["status"];
        assert_eq!(status["phase"], phase, "{policy}");
        assert_eq!(status["message"].is_string(), phase == "Failed");
    }
}
