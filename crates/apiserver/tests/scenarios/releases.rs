//! Servers of different releases over one store, as in a cluster that is being upgraded. Without these rules a rollback
//! of the control plane would break drivers: the field would come back as something that nobody knows.

use serde_json::json;
use tokenward_apiserver::{new_store, open_store};
use tokenward_kube_rules::{FeatureGates, Release};

use crate::testbed::{DRIVERS, Testbed, admin, driver};

const FIELD: &str = "serviceAccountTokenInSecrets";

fn path(name: &str) -> String {
    format!("{DRIVERS}/{name}")
}

#[tokio::test]
async fn an_older_server_never_shows_the_field_and_loses_it_at_its_next_write() {
    let directory = tempfile::tempdir().unwrap();
    let (on_disk, _) = open_store(directory.path()).unwrap();
    for store in [new_store(), on_disk.clone()] {
        never_shown_and_lost_at_the_next_write(&Testbed::over(store)).await;
    }
    on_disk.close().await;
    // Lost for good.
    let (again, _) = open_store(directory.path()).unwrap();
    let newer = Testbed::over(again).server(Release::V1_35).client(admin());
    assert!(newer.get(&path("d")).await.unwrap()["spec"].get(FIELD).is_none());
}

async fn never_shown_and_lost_at_the_next_write(testbed: &Testbed) {
    let (newer, older) = (testbed.server(Release::V1_35), testbed.server(Release::V1_34));
    let (newer, older) = (newer.client(admin()), older.client(admin()));
    let mut opted_in = driver("d");
    opted_in["spec"][FIELD] = true.into();
    let made = newer.create(DRIVERS, &opted_in).await.unwrap();
    assert_eq!(made.object["spec"][FIELD], true);

    assert!(older.get(&path("d")).await.unwrap()["spec"].get(FIELD).is_none());
    let list = older.get(DRIVERS).await.unwrap();
    // Who owned it is still told, as an opaque set of fields.
    let as_field = format!("\"{FIELD}\":");
    assert!(!list.to_string().contains(&as_field), "{list}");
    let watched = older.get(&format!("{DRIVERS}?watch=1&timeoutSeconds=1")).await.unwrap();
    assert!(!watched.to_string().contains(&as_field), "{watched}");
    assert_eq!(newer.get(&path("d")).await.unwrap()["spec"][FIELD], true, "reading loses nothing");

    older.merge_patch(&path("d"), &json!({"metadata": {"labels": {"a": "b"}}})).await.unwrap();
    assert!(newer.get(&path("d")).await.unwrap()["spec"].get(FIELD).is_none());
}

#[tokio::test]
async fn an_older_server_takes_the_field_for_a_mistake() {
    let testbed = Testbed::new();
    let older = testbed.server(Release::V1_34).client(admin());
    let mut opted_in = driver("d");
    opted_in["spec"][FIELD] = true.into();
    let made = older.create(DRIVERS, &opted_in).await.unwrap();
    assert_eq!(made.warnings, [format!("unknown field \"spec.{FIELD}\"")]);
    assert!(made.object["spec"].get(FIELD).is_none());
    let refused = older.create(&format!("{DRIVERS}?fieldValidation=Strict"), &opted_in).await.unwrap_err();
    assert!(refused.to_string().contains("strict decoding error: unknown field"), "{refused}");
}

#[tokio::test]
async fn a_stored_value_survives_the_gate_being_switched_off() {
    let testbed = Testbed::new();
    let on = testbed.server(Release::V1_35).client(admin());
    let mut opted_in = driver("d");
    opted_in["spec"][FIELD] = true.into();
    on.create(DRIVERS, &opted_in).await.unwrap();
    let gates = FeatureGates::parse(Release::V1_35, "CSIServiceAccountTokenSecrets=false").unwrap();
    let off = testbed.server_with(gates, "").client(admin());
    let labelled = off.merge_patch(&path("d"), &json!({"metadata": {"labels": {"a": "b"}}})).await.unwrap();
    assert_eq!(labelled.object["spec"][FIELD], true);
    opted_in["metadata"]["name"] = "new".into();
    let made = off.create(DRIVERS, &opted_in).await.unwrap();
    assert!(made.object["spec"].get(FIELD).is_none() && made.warnings.is_empty(), "{made:?}");
}

#[tokio::test]
async fn each_server_says_which_release_it_is() {
    let testbed = Testbed::new();
    for (release, minor) in [(Release::V1_34, "34"), (Release::V1_35, "35"), (Release::V1_36, "36")] {
        let version = testbed.server(release).client(admin()).get("/version").await.unwrap();
        assert_eq!(version["minor"], minor);
        assert_eq!(version["gitVersion"], release.git_version());
    }
    let refused = FeatureGates::parse(Release::V1_36, "CSIServiceAccountTokenSecrets=false").unwrap_err();
    assert!(refused.to_string().contains("CSIServiceAccountTokenSecrets"), "{refused}");
}

#[tokio::test]
async fn a_newer_server_forgets_where_room_was_made_once_the_pod_is_bound() {
    const PODS: &str = "/api/v1/namespaces/apps/pods";
    for (release, wanted) in [(Release::V1_34, json!("n")), (Release::V1_35, json!(null))] {
        let testbed = Testbed::new();
        let server = testbed.server(release).client(admin());
        let _ = server.create("/api/v1/namespaces", &json!({"metadata": {"name": "apps"}})).await;
        let _ = server
            .create("/api/v1/namespaces/apps/serviceaccounts", &json!({"metadata": {"name": "default"}}))
            .await;
        let pod = json!({"metadata": {"name": "p"}, "spec": {"containers": [{"name": "c", "image": "i"}]}});
        server.create(PODS, &pod).await.unwrap();
        let nominated = json!({"status": {"nominatedNodeName": "n"}});
        server.merge_patch(&format!("{PODS}/p/status"), &nominated).await.unwrap();
        let binding = json!({"metadata": {"name": "p"}, "target": {"kind": "Node", "name": "n"}});
        server.create(&format!("{PODS}/p/binding"), &binding).await.unwrap();
        let bound = server.get(&format!("{PODS}/p")).await.unwrap();
        assert_eq!(
            (&bound["spec"]["nodeName"], &bound["status"]["nominatedNodeName"]),
            (&json!("n"), &wanted)
        );
    }
}
