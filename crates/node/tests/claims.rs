//! What the mounter does without a driver: following a claim to its volume, with all that can be wrong on the way, and
//! what it forgets with a pod.

#![expect(clippy::unwrap_used, reason = "a test that breaks is a failed test")]

mod support;

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use support::cluster::{FakeCluster, start};
use support::world::{NODE, numbered};
use tokenward_kube_rules::FeatureGates;
use tokenward_node::drivers::Drivers;
use tokenward_node::mounter::Mounter;
use tokenward_node::paths::Layout;
use tokenward_node::planner::{ClaimLookup, Done};
use tokenward_node::token_manager::TokenManager;
use tokenward_node::token_manager::cache::Holder;
use tokenward_node::volume::VolumeSecurity;
use tokenward_node::{Dice, PodReference, TokenRequest};
use tokenward_tokens::{Audience, ManualClock};

struct Setting {
    cluster: Arc<FakeCluster>,
    mounter: Mounter<FakeCluster>,
    _root: tempfile::TempDir,
}

fn setting() -> Setting {
    let root = tempfile::tempdir().unwrap();
    let clock = ManualClock::new(start()).clock();
    let cluster = FakeCluster::new(clock.clone(), numbered());
    let mounter = Mounter {
        cluster: Arc::clone(&cluster),
        layout: Layout::new(root.path()),
        node_name: NODE.to_owned(),
        gates: FeatureGates::default(),
        drop_forged_keys: false,
        se_linux: None,
        operation_limit: Duration::from_secs(10),
        drivers: Arc::new(Drivers::default()),
        csi_drivers: Arc::default(),
        tokens: TokenManager::new(Arc::clone(&cluster), clock, Dice::seeded(1)),
    };
    Setting { cluster, mounter, _root: root }
}

fn pod(name: &str) -> PodReference {
    PodReference { namespace: "ns".into(), name: name.into(), uid: format!("uid-{name}") }
}

fn lookup(owned_by_pod: bool) -> ClaimLookup {
    ClaimLookup {
        pod: pod("web"),
        service_account: "web".into(),
        security: VolumeSecurity::default(),
        volume: "data".into(),
        claim_name: "claim".into(),
        read_only: true,
        owned_by_pod,
    }
}

fn good() -> (Value, Value) {
    let claim = json!({
        "metadata": { "name": "claim", "namespace": "ns", "uid": "uid-claim",
            "ownerReferences": [{ "kind": "Pod", "name": "web", "uid": "uid-web" }] },
        "spec": { "volumeName": "pv" },
        "status": { "phase": "Bound" },
    });
    let volume = json!({
        "metadata": { "name": "pv" },
        "spec": {
            "csi": { "driver": "d", "volumeHandle": "handle" },
            "accessModes": ["ReadOnlyMany", "ReadWriteOnce"],
            "claimRef": { "namespace": "ns", "name": "claim", "uid": "uid-claim" },
        },
    });
    (claim, volume)
}

#[tokio::test]
async fn a_claim_leads_to_the_volume_that_is_bound_to_it() {
    let setting = setting();
    let (claim, volume) = good();
    setting.cluster.put("persistentvolumeclaims", claim);
    setting.cluster.put("persistentvolumes", volume);
    for owned_by_pod in [false, true] {
        let Done::Resolved(spec) = setting.mounter.resolve(&lookup(owned_by_pod)).await.unwrap() else {
            panic!("a CSI volume is wanted")
        };
        assert_eq!((spec.spec_name.as_str(), spec.volume_handle.as_str()), ("pv", "handle"));
        assert!(spec.read_only, "the claim reference decides");
    }
}

#[tokio::test]
async fn a_claim_that_leads_elsewhere_is_refused() {
    type Change = fn(&mut Value, &mut Value);
    let table: [(Change, &str); 5] = [
        (
            |claim, _| claim["metadata"]["deletionTimestamp"] = json!("2027-01-15T08:00:00Z"),
            "is being deleted",
        ),
        (|claim, _| claim["status"]["phase"] = json!("Pending"), "PVC is not bound"),
        (|claim, _| claim["metadata"]["ownerReferences"][0]["uid"] = json!("other"), "pod is not owner"),
        (|_, volume| volume["spec"]["claimRef"]["uid"] = json!("uid-of-an-earlier-claim"), "another claim"),
        (|_, volume| volume["spec"]["claimRef"] = Value::Null, "another claim"),
    ];
    for (change, expected) in table {
        let setting = setting();
        let (mut claim, mut volume) = good();
        change(&mut claim, &mut volume);
        setting.cluster.put("persistentvolumeclaims", claim);
        setting.cluster.put("persistentvolumes", volume);
        let failure = setting.mounter.resolve(&lookup(true)).await.unwrap_err();
        assert!(failure.message.contains(expected), "{expected}: {failure}");
    }
}

/// A claim that is in use waits to be deleted. Who has it mounted goes on using it, after a restart of the node too.
#[tokio::test]
async fn a_claim_that_is_being_deleted_still_serves_who_has_it_mounted() {
    let setting = setting();
    let (mut claim, volume) = good();
    claim["metadata"]["deletionTimestamp"] = json!("2027-01-15T08:00:00Z");
    setting.cluster.put("persistentvolumeclaims", claim);
    setting.cluster.put("persistentvolumes", volume);
    setting.mounter.resolve(&lookup(true)).await.unwrap_err();
    let directory = setting.mounter.layout.pod_volumes("uid-web").join("pv");
    std::fs::create_dir_all(&directory).unwrap();
    std::fs::write(directory.join("vol_data.json"), "{}").unwrap();
    assert!(matches!(setting.mounter.resolve(&lookup(true)).await, Ok(Done::Resolved(_))));
}

#[tokio::test]
async fn the_end_of_a_pod_is_the_end_of_its_tokens() {
    let Setting { mounter, _root, .. } = setting();
    for name in ["web", "other"] {
        let request = TokenRequest {
            pod: pod(name),
            service_account: "web".into(),
            audience: Audience::new("a"),
            expiration_seconds: None,
        };
        let holder = Holder { driver: "d", volume: "data", is_republished: false };
        mounter.tokens.token(holder, &request).await.unwrap();
    }
    mounter.close_pod(&pod("web"), false).await.unwrap();
    assert_eq!(mounter.tokens.len(), 1);
}
