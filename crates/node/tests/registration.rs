//! How drivers come and go, several of them, and what the cluster is told of that: Node labels, annotation, CSINode.

mod support;

use std::time::Duration;

use serde_json::{Value, json};
use support::driver::FakeDriver;
use support::eventually;
use support::world::{NODE, World, numbered};
use tokenward_kube_rules::{FeatureGates, Release};

fn drivers(world: &World) -> Value {
    let csi_node = world.cluster.get("csinodes", "", NODE).unwrap_or_default();
    let mut drivers = csi_node["spec"]["drivers"].as_array().cloned().unwrap_or_default();
    drivers.sort_by_key(|driver| driver["name"].to_string());
    json!(drivers)
}

async fn drivers_are(world: &World, wanted: &Value) {
    eventually("the CSINode", || {
        let found = drivers(world);
        if found == *wanted { Ok(()) } else { Err(found.to_string()) }
    })
    .await;
}

/// Each driver has its own entry; when one goes, the others' stay as they are, and so do the labels.
#[tokio::test]
async fn several_drivers_come_and_go_by_themselves() {
    let mut world = World::new(numbered());
    world.start();
    let (a, b) = (FakeDriver::new(world.path(), "a", &[]), FakeDriver::new(world.path(), "b", &[]));
    a.set_topology(&[("topology.a/zone", "z1"), ("topology.a/rack", "r1")]);
    a.set_volume_limit(20);
    let served_a = a.serve(world.path(), true).await;
    let served_b = b.serve(world.path(), true).await;
    let entry_a = json!({
        "name": "a", "nodeID": "a-node", "topologyKeys": ["topology.a/rack", "topology.a/zone"],
        "allocatable": { "count": 20 },
    });
    let entry_b = json!({ "name": "b", "nodeID": "b-node" });
    drivers_are(&world, &json!([entry_a, entry_b])).await;
    let node = world.cluster.get("nodes", "", NODE).unwrap();
    assert_eq!(node["metadata"]["labels"]["topology.a/zone"], "z1");
    assert_eq!(
        node["metadata"]["annotations"]["csi.volume.kubernetes.io/nodeid"],
        r#"{"a":"a-node","b":"b-node"}"#
    );
    served_a.stop().await;
    drivers_are(&world, &json!([entry_b])).await;
    eventually("the annotation", || {
        let node = world.cluster.get("nodes", "", NODE).unwrap();
        let found = node["metadata"]["annotations"]["csi.volume.kubernetes.io/nodeid"].clone();
        assert_eq!(node["metadata"]["labels"]["topology.a/zone"], "z1");
        if found == r#"{"b":"b-node"}"# { Ok(()) } else { Err(found.to_string()) }
    })
    .await;

    // It comes back elsewhere, where it says so: refused, and its labels and its entry stay away.
    a.set_topology(&[("topology.a/zone", "z2")]);
    let served_a = a.serve(world.path(), true).await;
    eventually("the refusal", || {
        let statuses = a.statuses();
        let refused = statuses.iter().find(|status| !status.plugin_registered);
        refused.map(|status| status.error.clone()).ok_or(format!("{}", statuses.len()))
    })
    .await;
    drivers_are(&world, &json!([entry_b])).await;
    world.stop().await.unwrap();
    served_a.stop().await;
    served_b.stop().await;
}

/// Of two that claim one name the higher version wins; a driver that returns with another endpoint is called there.
#[tokio::test]
async fn a_successor_is_called_at_its_own_endpoint() {
    let mut world = World::new(numbered());
    world.csi_driver("d", &json!({}));
    world.start();
    let old = FakeDriver::new(world.path(), "d", &[]);
    old.set_versions(&["v1.2", "0.3.0", "2.0.0"]);
    let served_old = old.serve(world.path(), true).await;
    world.inline_pod("one", "d");
    world.delivered(1).await;

    let elsewhere = world.path().join("elsewhere");
    let same = FakeDriver::new(&elsewhere, "d", &[]);
    same.set_versions(&["1.2.0"]);
    let served_same = same.serve(&elsewhere, false).await;
    let refused = same.serve_registration(world.path(), "other-reg.sock").await;
    eventually("the refusal", || {
        let status = same.statuses().pop().ok_or(String::new())?;
        assert!(!status.plugin_registered);
        let text = "already registered with a higher supported version";
        if status.error.contains(text) { Ok(()) } else { Err(status.error) }
    })
    .await;
    refused.stop().await;

    same.set_versions(&["1.10.0"]);
    let accepted = same.serve_registration(world.path(), "third-reg.sock").await;
    eventually("the registration", || {
        if same.statuses().iter().any(|status| status.plugin_registered) {
            Ok(())
        } else {
            Err(String::new())
        }
    })
    .await;
    // The old one's end takes nothing from its successor.
    served_old.stop().await;
    world.inline_pod("two", "d");
    world.delivered(2).await;
    assert_eq!((old.publishes().len(), same.publishes().len()), (1, 1));
    drivers_are(&world, &json!([{ "name": "d", "nodeID": "d-node" }])).await;
    world.stop().await.unwrap();
    accepted.stop().await;
    served_same.stop().await;
}

/// With a period in its CSIDriver a driver is asked again and again how many volumes fit, from 1.35 on.
#[tokio::test]
async fn how_many_volumes_fit_follows_the_driver() {
    for (release, follows) in [(Release::V1_35, true), (Release::V1_34, false)] {
        let mut world = World::new(numbered());
        world.csi_driver("d", &json!({ "nodeAllocatableUpdatePeriodSeconds": 10 }));
        world.start_with(|config| config.gates = FeatureGates::for_release(release));
        let driver = FakeDriver::new(world.path(), "d", &[]);
        driver.set_volume_limit(7);
        let served = driver.serve(world.path(), true).await;
        let entry =
            |count: u32| json!([{ "name": "d", "nodeID": "d-node", "allocatable": { "count": count } }]);
        drivers_are(&world, &entry(7)).await;
        driver.set_volume_limit(5);
        if follows {
            world
                .pass_time_until("the smaller number", Duration::from_secs(2), || {
                    let found = drivers(&world);
                    if found == entry(5) { Ok(()) } else { Err(found.to_string()) }
                })
                .await;
        } else {
            world.clock.advance(Duration::from_secs(60));
            world.inline_pod("web", "d");
            world.delivered(1).await;
            assert_eq!(drivers(&world), entry(7));
        }
        world.stop().await.unwrap();
        served.stop().await;
    }
}

/// A Node was deleted and made anew: what its CSINode says is of the former one.
#[tokio::test]
async fn a_csi_node_of_a_former_node_is_started_afresh() {
    let mut world = World::new(numbered());
    world.cluster.put(
        "csinodes",
        json!({
            "metadata": { "name": NODE, "ownerReferences": [{ "kind": "Node", "name": NODE, "uid": "former" }] },
            "spec": { "drivers": [{ "name": "old", "nodeID": "x" }] },
        }),
    );
    world.start();
    drivers_are(&world, &json!([])).await;
    let node = world.cluster.get("nodes", "", NODE).unwrap();
    let csi_node = world.cluster.get("csinodes", "", NODE).unwrap();
    assert_eq!(csi_node["metadata"]["ownerReferences"][0]["uid"], node["metadata"]["uid"]);
    world.stop().await.unwrap();
}
