use serde_json::json;

use super::*;

fn delivery() -> Delivery {
    Delivery {
        node: "node-1".into(),
        namespace: "quickstart".into(),
        pod: "reader".into(),
        volume: "tokens".into(),
        driver: "secrets.example".into(),
        placement: Some(Placement::Secrets),
        audiences: vec![Audience::new("sts.example"), Audience::new("vault")],
        expires: Some("2026-03-01T12:10:00Z".parse().unwrap()),
        latency: Duration::from_micros(12_345),
    }
}

fn pod(volumes: &Value, node: &str) -> Value {
    json!({
        "metadata": {"name": "reader", "namespace": "quickstart", "uid": "u1"},
        "spec": {"nodeName": node, "volumes": volumes},
    })
}

fn reasons(objects: &Objects, delivered: &[Delivery]) -> Vec<String> {
    missing([("quickstart", "reader")], delivered, objects)
        .into_iter()
        .map(|missing| format!("{}: {}", missing.volume, missing.reason))
        .collect()
}

#[test]
fn a_record_is_written_as_the_command_line_promises() {
    assert_eq!(
        serde_json::to_string(&delivery()).unwrap(),
        r#"{"node":"node-1","namespace":"quickstart","pod":"reader","volume":"tokens","driver":"secrets.example","#
            .to_owned()
            + r#""placement":"secrets","audiences":["sts.example","vault"],"expires":"2026-03-01T12:10:00Z","#
            + r#""latency_ms":12.345}"#
    );
    let without = Delivery { placement: None, audiences: Vec::new(), expires: None, ..delivery() };
    let value = serde_json::to_value(&without).unwrap();
    assert_eq!((&value["placement"], &value["expires"]), (&Value::Null, &Value::Null));
}

#[test]
fn what_is_delivered_or_no_csi_volume_is_not_missing() {
    let volumes = json!([
        {"name": "tokens", "csi": {"driver": "secrets.example"}},
        {"name": "scratch", "emptyDir": {}},
        {"name": "disk", "persistentVolumeClaim": {"claimName": "disk"}},
    ]);
    let objects = Objects {
        pods: vec![pod(&volumes, "node-1")],
        claims: vec![json!({
            "metadata": {"name": "disk", "namespace": "quickstart"},
            "spec": {"volumeName": "pv"}, "status": {"phase": "Bound"},
        })],
        volumes: vec![json!({"metadata": {"name": "pv"}, "spec": {"hostPath": {"path": "/d"}}})],
        ..Objects::default()
    };
    assert_eq!(reasons(&objects, &[delivery()]), Vec::<String>::new());
    let other = Delivery { pod: "another".into(), ..delivery() };
    assert_eq!(
        reasons(&objects, &[other]),
        ["quickstart/reader volume tokens: the driver secrets.example is not registered on the node node-1"]
    );
}

#[test]
fn a_claim_is_followed_to_its_driver() {
    let volumes = json!([{"name": "data", "persistentVolumeClaim": {"claimName": "claim"}}]);
    let mut objects = Objects { pods: vec![pod(&volumes, "node-1")], ..Objects::default() };
    let expect = |objects: &Objects, reason: &str| {
        assert_eq!(reasons(objects, &[]), [format!("quickstart/reader volume data: {reason}")]);
    };
    expect(&objects, "the claim quickstart/claim does not exist");
    let metadata = json!({"name": "claim", "namespace": "quickstart"});
    objects.claims =
        vec![json!({"metadata": metadata, "spec": {"volumeName": "pv"}, "status": {"phase": "Pending"}})];
    expect(&objects, "the claim quickstart/claim is not bound to a volume yet");
    objects.claims =
        vec![json!({"metadata": metadata, "spec": {"volumeName": "pv"}, "status": {"phase": "Bound"}})];
    expect(&objects, "the claim quickstart/claim is bound to pv, which does not exist");
    objects.volumes = vec![json!({"metadata": {"name": "pv"}, "spec": {"csi": {"driver": "d.example"}}})];
    expect(&objects, "the driver d.example is not registered on the node node-1");
    objects.csi_nodes =
        vec![json!({"metadata": {"name": "node-1"}, "spec": {"drivers": [{"name": "d.example"}]}})];
    expect(&objects, "the driver d.example has not mounted it on the node node-1 yet");
}

#[test]
fn the_claim_of_a_generic_ephemeral_volume_bears_both_names() {
    let volumes = json!([{"name": "data", "ephemeral": {}}]);
    let objects = Objects { pods: vec![pod(&volumes, "node-1")], ..Objects::default() };
    assert_eq!(
        reasons(&objects, &[]),
        ["quickstart/reader volume data: the claim quickstart/reader-data does not exist"]
    );
}

#[test]
fn an_unscheduled_pod_says_why() {
    let volumes = json!([{"name": "tokens", "csi": {"driver": "d.example"}}]);
    let mut unscheduled = pod(&volumes, "");
    let mut objects = Objects { pods: vec![unscheduled.clone()], ..Objects::default() };
    assert_eq!(
        reasons(&objects, &[]),
        ["quickstart/reader volume tokens: the pod is not scheduled to a node yet"]
    );
    unscheduled["status"] =
        json!({"conditions": [{"type": "PodScheduled", "status": "False", "message": "no node is ready"}]});
    objects.pods = vec![unscheduled];
    assert_eq!(
        reasons(&objects, &[]),
        ["quickstart/reader volume tokens: the pod is not scheduled to a node yet: no node is ready"]
    );
}

#[test]
fn the_latest_failure_of_this_pod_and_volume_is_the_reason() {
    let volumes = json!([{"name": "tokens", "csi": {"driver": "d.example"}}]);
    let event = |uid: &str, time: &str, message: &str| {
        json!({
            "involvedObject": {"uid": uid}, "reason": "FailedMount", "lastTimestamp": time, "message": message,
        })
    };
    let objects = Objects {
        pods: vec![pod(&volumes, "node-1")],
        events: vec![
            event("u1", "2026-03-01T12:00:02Z", "MountVolume.SetUp failed for volume \"tokens\" : second"),
            event("u1", "2026-03-01T12:00:01Z", "MountVolume.SetUp failed for volume \"tokens\" : first"),
            event("u1", "2026-03-01T12:00:03Z", "MountVolume.SetUp failed for volume \"other\" : third"),
            event("u2", "2026-03-01T12:00:04Z", "MountVolume.SetUp failed for volume \"tokens\" : other pod"),
        ],
        ..Objects::default()
    };
    assert_eq!(
        reasons(&objects, &[]),
        ["quickstart/reader volume tokens: MountVolume.SetUp failed for volume \"tokens\" : second"]
    );
}
