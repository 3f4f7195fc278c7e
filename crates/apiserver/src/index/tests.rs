use super::*;
use serde_json::json;

fn index(collection: &str, object: &serde_json::Value) -> Index {
    let key = Key::new(collection, None, "p").unwrap();
    let index = Index::of(&key, object.to_string().as_bytes());
    assert_eq!(Index::of_tree(&key, object.as_object().unwrap()), index);
    index
}

#[test]
fn a_pod_s_volumes_are_followed() {
    let pod = json!({
        "metadata": {"uid": "u", "labels": {"a": "b"}, "deletionTimestamp": "2026-01-01T00:00:00Z"},
        "spec": {
            "nodeName": "n", "serviceAccountName": "web",
            "imagePullSecrets": [{"name": "pull"}],
            "containers": [{"name": "c", "env": [{"name": "X", "valueFrom": {"secretKeyRef": {"name": "env", "key": "k"}}}]}],
            "volumes": [
                {"name": "t", "projected": {"sources": [{"serviceAccountToken": {"path": "token"}}, {"configMap": {"name": "ca"}}]}},
                {"name": "e", "ephemeral": {"volumeClaimTemplate": {}}},
                {"name": "c", "persistentVolumeClaim": {"claimName": "data"}},
                {"name": "i", "csi": {"driver": "d", "nodePublishSecretRef": {"name": "s"}}},
                {"name": "x", "emptyDir": {}}
            ]
        },
        "status": {"phase": "Running"}
    });
    let index = index("pods", &pod);
    assert_eq!(index.uid, "u");
    assert_eq!(index.labels["a"], "b");
    assert!(index.deletion.is_some());
    let pod = index.pod().unwrap();
    assert_eq!(
        pod.volumes,
        [
            VolumeUse::Token(String::new()),
            VolumeUse::ConfigMap("ca".into()),
            VolumeUse::Claim("p-e".into()),
            VolumeUse::Claim("data".into()),
            VolumeUse::Csi { driver: "d".into(), secret: Some("s".into()) },
        ]
    );
    assert_eq!(pod.other_secrets, ["pull", "env"]);
    assert_eq!(index.field("spec.nodeName").as_deref(), Some("n"));
    assert_eq!(index.field("status.phase").as_deref(), Some("Running"));
    assert_eq!(index.field("metadata.name"), None, "names come from the key");
}

#[test]
fn events_and_addresses_are_selectable() {
    let event =
        json!({"involvedObject": {"kind": "Pod"}, "reason": "Failed", "reportingComponent": "kubelet"});
    let event = index("events", &event);
    for (field, value) in [("involvedObject.kind", "Pod"), ("reason", "Failed"), ("source", "kubelet")] {
        assert_eq!(event.field(field).as_deref(), Some(value), "{field}");
    }
    let pod = json!({"status": {"podIPs": [{"ip": "10.0.0.1"}, {"ip": "fd00::1"}]}});
    assert_eq!(index("pods", &pod).field("status.podIPs").as_deref(), Some("10.0.0.1,fd00::1"));
}

#[test]
fn drivers_volumes_and_claims() {
    let driver = json!({"spec": {"tokenRequests": [{"audience": "a"}, {"audience": ""}]}});
    assert_eq!(
        index("storage.k8s.io/csidrivers", &driver).facts,
        Facts::CsiDriver { audiences: vec!["a".into(), String::new()] }
    );
    let volume = json!({"spec": {"csi": {"driver": "d"}, "claimRef": {"namespace": "n", "name": "c"}}});
    let Facts::PersistentVolume { driver, claim, .. } = index("persistentvolumes", &volume).facts else {
        panic!("a volume's facts");
    };
    assert_eq!((driver.as_str(), claim), ("d", Some(("n".to_owned(), "c".to_owned()))));
}

#[test]
fn damaged_bytes_have_an_empty_index() {
    let key = Key::new("pods", None, "p").unwrap();
    assert_eq!(Index::of(&key, b"{\"metadata\":"), Index::default());
}
