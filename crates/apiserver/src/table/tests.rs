use insta::assert_snapshot;
use serde_json::json;
use tokenward_kube_schema::{find_resource, kinds};

use super::*;

fn scene(gates: &FeatureGates) -> Scene<'_> {
    Scene { now: "2026-03-01T12:00:00Z".parse().expect("a time"), gates, include: Include::Nothing }
}

fn kind(group: &str, plural: &str) -> &'static Kind {
    find_resource(group, "v1", plural).unwrap_or_else(|| panic!("{plural} is served"))
}

/// Names, ages and whatever else the object says itself.
fn object(name: &str, rest: &Value) -> Value {
    let mut object = rest.clone();
    object["metadata"]["name"] = name.into();
    if object["metadata"].get("creationTimestamp").is_none() {
        object["metadata"]["creationTimestamp"] = "2026-03-01T11:55:00Z".into();
    }
    object
}

/// A table as text: a line of column names, those of wide output in brackets, and a line for each object.
fn print(group: &str, plural: &str, objects: &[Value]) -> String {
    print_with(&FeatureGates::default(), group, plural, objects)
}

fn print_with(gates: &FeatureGates, group: &str, plural: &str, objects: &[Value]) -> String {
    let kind = kind(group, plural);
    let columns = columns(kind, gates.release());
    let head = columns.as_array().expect("columns").iter().map(|column| {
        let name = column["name"].as_str().expect("a name");
        if column["priority"] == 1 { format!("[{name}]") } else { name.to_owned() }
    });
    let mut lines = vec![head.collect::<Vec<_>>().join(" | ")];
    for object in objects {
        let row = row(kind, object.clone(), &scene(gates), "meta.k8s.io/v1");
        let cells = row["cells"].as_array().expect("cells").iter();
        let cells = cells.map(|cell| cell.as_str().map_or_else(|| format!("{cell}!"), str::to_owned));
        lines.push(cells.collect::<Vec<_>>().join(" | "));
    }
    lines.join("\n")
}

#[test]
fn every_kind_has_a_table_that_fits_an_empty_object() {
    let gates = FeatureGates::default();
    for kind in kinds() {
        let row = row(kind, json!({}), &scene(&gates), "meta.k8s.io/v1");
        assert_eq!(
            row["cells"].as_array().map(Vec::len),
            columns(kind, gates.release()).as_array().map(Vec::len),
            "{}",
            kind.kind
        );
    }
}

#[test]
fn csi_drivers_show_where_their_tokens_go() {
    let driver = |name: &str, spec: Value| object(name, &json!({"spec": spec}));
    let requests = json!([{"audience": "vault"}, {"audience": ""}]);
    let objects = [
        driver("none", json!({"volumeLifecycleModes": ["Persistent"]})),
        driver("context", json!({"tokenRequests": requests, "attachRequired": true})),
        driver("refuses", json!({"tokenRequests": requests, "serviceAccountTokenInSecrets": false})),
        driver(
            "secrets",
            json!({
                "tokenRequests": requests, "serviceAccountTokenInSecrets": true, "requiresRepublish": true,
                "volumeLifecycleModes": ["Persistent", "Ephemeral"],
            }),
        ),
        driver("empty", json!({"tokenRequests": [], "serviceAccountTokenInSecrets": true})),
    ];
    let off =
        FeatureGates::parse(Release::V1_35, "CSIServiceAccountTokenSecrets=false").expect("a beta gate");
    let older = FeatureGates::for_release(Release::V1_34);
    let on = print("storage.k8s.io", "csidrivers", &objects);
    assert_snapshot!("csidrivers", on);
    // Whoever has opted in is not where the field says, but where the kubelet really puts the tokens.
    for gates in [off, older] {
        let found = print_with(&gates, "storage.k8s.io", "csidrivers", &objects);
        assert_eq!(found, on.replace("| secrets", "| volume context"));
    }
}

#[test]
fn volumes_and_what_belongs_to_them() {
    let going = json!({"deletionTimestamp": "2026-03-01T11:59:00Z"});
    let volumes = [
        object(
            "bound",
            &json!({
                "spec": {
                    "capacity": {"storage": "5Gi"}, "accessModes": ["ReadWriteMany", "ReadWriteOnce", "ReadWriteOnce"],
                    "persistentVolumeReclaimPolicy": "Delete", "storageClassName": "fast", "volumeMode": "Filesystem",
                    "claimRef": {"namespace": "apps", "name": "data"}, "volumeAttributesClassName": "gold",
                },
                "status": {"phase": "Bound", "reason": "Because"},
            }),
        ),
        object(
            "going",
            &json!({"metadata": going, "spec": {"accessModes": ["ReadWriteOncePod"]}, "status": {"phase": "Released"}}),
        ),
    ];
    assert_snapshot!("persistentvolumes", print("", "persistentvolumes", &volumes));
    let claims = [
        object(
            "pending",
            &json!({"spec": {"storageClassName": "fast", "resources": {"requests": {"storage": "1Gi"}}}, "status": {"phase": "Pending"}}),
        ),
        object(
            "bound",
            &json!({
                "metadata": {"annotations": {"volume.beta.kubernetes.io/storage-class": "old"}},
                "spec": {"volumeName": "v", "volumeMode": "Block"},
                "status": {"phase": "Bound", "capacity": {"storage": "5Gi"}, "accessModes": ["ReadOnlyMany"]},
            }),
        ),
    ];
    assert_snapshot!("persistentvolumeclaims", print("", "persistentvolumeclaims", &claims));
    let classes = [
        object("plain", &json!({"provisioner": "files.csi.example"})),
        object(
            "usual",
            &json!({
                "metadata": {"annotations": {"storageclass.kubernetes.io/is-default-class": "true"}},
                "provisioner": "files.csi.example", "reclaimPolicy": "Retain", "volumeBindingMode": "WaitForFirstConsumer",
                "allowVolumeExpansion": true,
            }),
        ),
    ];
    let budgets = [
        object("counted", &json!({"spec": {"minAvailable": 2}, "status": {"disruptionsAllowed": 1}})),
        object("shared", &json!({"spec": {"maxUnavailable": "10%"}})),
    ];
    assert_snapshot!("poddisruptionbudgets", print("policy", "poddisruptionbudgets", &budgets));
    let ranks = [
        object("low", &json!({"value": -5, "globalDefault": true, "preemptionPolicy": "Never"})),
        object("system-node-critical", &json!({"value": 2_000_001_000})),
    ];
    assert_snapshot!("priorityclasses", print("scheduling.k8s.io", "priorityclasses", &ranks));
    assert_snapshot!("storageclasses", print("storage.k8s.io", "storageclasses", &classes));
    let attachment = object(
        "a",
        &json!({
            "spec": {"attacher": "files.csi.example", "nodeName": "n1", "source": {"persistentVolumeName": "v"}},
            "status": {"attached": true},
        }),
    );
    assert_snapshot!("volumeattachments", print("storage.k8s.io", "volumeattachments", &[attachment]));
    let node = object("n1", &json!({"spec": {"drivers": [{"name": "a"}, {"name": "b"}]}}));
    assert_snapshot!("csinodes", print("storage.k8s.io", "csinodes", &[node]));
}

#[test]
fn nodes_namespaces_secrets_accounts_and_settings() {
    let nodes = [
        object(
            "n1",
            &json!({
                "metadata": {"labels": {
                    "node-role.kubernetes.io/worker": "", "node-role.kubernetes.io/": "", "kubernetes.io/role": "edge",
                }},
                "spec": {"unschedulable": true},
                "status": {
                    "conditions": [{"type": "MemoryPressure", "status": "False"}, {"type": "Ready", "status": "True"}],
                    "addresses": [{"type": "Hostname", "address": "n1"}, {"type": "InternalIP", "address": "10.0.0.1"}],
                    "nodeInfo": {"kubeletVersion": "v1.35.0", "osImage": "Linux", "kernelVersion": "6.1"},
                },
            }),
        ),
        object("n2", &json!({"status": {"conditions": [{"type": "Ready", "status": "Unknown"}]}})),
        object("n3", &json!({})),
    ];
    assert_snapshot!("nodes", print("", "nodes", &nodes));
    let namespace = object("apps", &json!({"status": {"phase": "Terminating"}}));
    assert_snapshot!("namespaces", print("", "namespaces", &[namespace]));
    let secret = object("s", &json!({"type": "Opaque", "data": {"a": "YQ==", "b": "Yg=="}}));
    assert_snapshot!("secrets", print("", "secrets", &[secret]));
    let map = object("m", &json!({"data": {"a": "1"}, "binaryData": {"b": "Yg=="}}));
    assert_snapshot!("configmaps", print("", "configmaps", &[map]));
    let account = object("web", &json!({"secrets": [{"name": "s"}]}));
    assert_snapshot!("serviceaccounts", print("", "serviceaccounts", std::slice::from_ref(&account)));
    let older = FeatureGates::for_release(Release::V1_34);
    let with_secrets = print_with(&older, "", "serviceaccounts", &[account]);
    assert_eq!(with_secrets, "Name | Secrets | Age\nweb | 1! | 5m");
}

#[test]
fn events() {
    let about = json!({"kind": "Pod", "name": "web-0", "fieldPath": "spec.containers{c}"});
    let objects = [
        object(
            "counted",
            &json!({
                "involvedObject": about, "type": "Warning", "reason": "FailedMount", "message": " it failed\n", "count": 4,
                "firstTimestamp": "2026-03-01T11:50:00Z", "lastTimestamp": "2026-03-01T11:59:30Z",
                "source": {"component": "kubelet", "host": "n1"},
            }),
        ),
        object(
            "single",
            &json!({
                "involvedObject": about, "type": "Normal", "reason": "Scheduled", "message": "placed",
                "eventTime": "2026-03-01T11:59:00.000000Z", "reportingComponent": "scheduler",
            }),
        ),
        object(
            "series",
            &json!({
                "involvedObject": {"kind": "Node"}, "reason": "Seen", "eventTime": "2026-03-01T11:00:00.000000Z",
                "series": {"count": 7, "lastObservedTime": "2026-03-01T11:59:58.000000Z"},
            }),
        ),
        object("timeless", &json!({"involvedObject": about})),
    ];
    assert_snapshot!("events", print("", "events", &objects));
}

#[test]
fn daemon_sets_revisions_leases_endpoints_bindings_and_webhooks() {
    let sets = [
        object(
            "d",
            &json!({
                "spec": {
                    "selector": {
                        "matchLabels": {"app": "d"},
                        "matchExpressions": [
                            {"key": "tier", "operator": "NotIn", "values": ["z", "a"]}, {"key": "a", "operator": "DoesNotExist"},
                            {"key": "zone", "operator": "Exists"},
                        ],
                    },
                    "template": {"spec": {
                        "nodeSelector": {"os": "linux", "disk": "ssd"},
                        "containers": [{"name": "driver", "image": "driver:1"}, {"name": "registrar", "image": "registrar:2"}],
                    }},
                },
                "status": {
                    "desiredNumberScheduled": 5, "currentNumberScheduled": 4, "numberReady": 3, "updatedNumberScheduled": 2,
                    "numberAvailable": 1,
                },
            }),
        ),
        object("empty", &json!({})),
    ];
    assert_snapshot!("daemonsets", print("apps", "daemonsets", &sets));
    let revisions = [
        object(
            "d-1",
            &json!({
                "metadata": {"ownerReferences": [
                    {"apiVersion": "v1", "kind": "Other", "name": "o"},
                    {"apiVersion": "apps/v1", "kind": "DaemonSet", "name": "d", "controller": true},
                ]},
                "revision": 3,
            }),
        ),
        object("alone", &json!({})),
    ];
    assert_snapshot!("controllerrevisions", print("apps", "controllerrevisions", &revisions));
    let lease = object("l", &json!({"spec": {"holderIdentity": "n1"}}));
    assert_snapshot!("leases", print("coordination.k8s.io", "leases", &[lease]));
    let slices = [
        object(
            "s",
            &json!({
                "addressType": "IPv4", "ports": [{"port": 443}, {"name": "http"}, {}, {"port": 1}],
                "endpoints": [{"addresses": ["10.0.0.1", "10.0.0.2"]}, {"addresses": ["10.0.0.3"]}],
            }),
        ),
        object("empty", &json!({"addressType": "IPv6"})),
    ];
    assert_snapshot!("endpointslices", print("discovery.k8s.io", "endpointslices", &slices));
    let binding = object(
        "b",
        &json!({
            "roleRef": {"kind": "ClusterRole", "name": "view"},
            "subjects": [
                {"kind": "User", "name": "alice"}, {"kind": "User", "name": "bob"}, {"kind": "Group", "name": "dev"},
                {"kind": "ServiceAccount", "name": "web", "namespace": "apps"},
            ],
        }),
    );
    assert_snapshot!(
        "clusterrolebindings",
        print("rbac.authorization.k8s.io", "clusterrolebindings", &[binding])
    );
    let role = object("r", &json!({}));
    assert_snapshot!("roles", print("rbac.authorization.k8s.io", "roles", &[role]));
    let webhooks = object("w", &json!({"webhooks": [{}, {}]}));
    assert_snapshot!(
        "validatingwebhookconfigurations",
        print("admissionregistration.k8s.io", "validatingwebhookconfigurations", &[webhooks])
    );
}

/// Ready and status of a pod with two containers.
fn pod_in_short(spec: &Value, status: &Value, is_going: bool) -> String {
    let mut metadata = json!({"creationTimestamp": "2026-03-01T11:00:00Z"});
    if is_going {
        metadata["deletionTimestamp"] = "2026-03-01T11:59:00Z".into();
    }
    let mut spec = spec.clone();
    spec["containers"] = json!([{"name": "a"}, {"name": "b"}]);
    let pod = json!({"metadata": metadata, "spec": spec, "status": status});
    let gates = FeatureGates::default();
    let row = row(kind("", "pods"), pod, &scene(&gates), "meta.k8s.io/v1");
    let text = |index: usize| row["cells"][index].as_str().expect("a text").to_owned();
    format!("{} {} {}", text(1), text(2), text(3))
}

#[test]
fn the_status_of_a_pod_in_one_word() {
    let running = json!({"ready": true, "state": {"running": {}}});
    let waiting = json!({"state": {"waiting": {"reason": "ContainerCreating"}}});
    let completed = json!({"state": {"terminated": {"exitCode": 0, "reason": "Completed"}}});
    let ready = json!([{"type": "Ready", "status": "True"}]);
    let crashed = json!({
        "restartCount": 3, "state": {"waiting": {"reason": "CrashLoopBackOff"}},
        "lastState": {"terminated": {"exitCode": 1, "finishedAt": "2026-03-01T11:58:00Z"}},
    });
    let ended = |end: Value| json!({"state": {"terminated": end}});
    let none = json!({});
    let init = json!({"initContainers": [{"name": "i"}, {"name": "s", "restartPolicy": "Always"}]});
    let sidecar_up =
        json!({"name": "s", "started": true, "ready": true, "restartCount": 2, "state": {"running": {}}});
    let rows: Vec<(&Value, Value, bool, &str)> = vec![
        (&none, json!({"phase": "Pending"}), false, "0/2 Pending 0"),
        (
            &none,
            json!({"phase": "Pending", "conditions": [{"type": "PodScheduled", "reason": "SchedulingGated"}]}),
            false,
            "0/2 SchedulingGated 0",
        ),
        (&none, json!({"phase": "Failed", "reason": "Evicted"}), false, "0/2 Evicted 0"),
        (
            &none,
            json!({"phase": "Pending", "containerStatuses": [waiting, waiting]}),
            false,
            "0/2 ContainerCreating 0",
        ),
        (&none, json!({"phase": "Running", "containerStatuses": [running, running]}), false, "2/2 Running 0"),
        (
            &none,
            json!({"phase": "Running", "containerStatuses": [crashed, running]}),
            false,
            "1/2 CrashLoopBackOff 3 (2m ago)",
        ),
        (
            &none,
            json!({"phase": "Running", "conditions": ready, "containerStatuses": [completed, running]}),
            false,
            "1/2 Running 0",
        ),
        (
            &none,
            json!({"phase": "Running", "containerStatuses": [completed, running]}),
            false,
            "1/2 NotReady 0",
        ),
        (
            &none,
            json!({"phase": "Succeeded", "containerStatuses": [completed, completed]}),
            false,
            "0/2 Completed 0",
        ),
        (
            &none,
            json!({"phase": "Failed", "containerStatuses": [ended(json!({"exitCode": 7}))]}),
            false,
            "0/2 ExitCode:7 0",
        ),
        (
            &none,
            json!({"phase": "Failed", "containerStatuses": [ended(json!({"exitCode": 137, "signal": 9}))]}),
            false,
            "0/2 Signal:9 0",
        ),
        (
            &none,
            json!({"phase": "Running", "containerStatuses": [running, running]}),
            true,
            "2/2 Terminating 0",
        ),
        (&none, json!({"phase": "Succeeded"}), true, "0/2 Succeeded 0"),
        (&none, json!({"phase": "Running", "reason": "NodeLost"}), true, "0/2 Unknown 0"),
        (
            &init,
            json!({"phase": "Pending", "initContainerStatuses": [{"name": "i", "state": {"running": {}}}]}),
            false,
            "0/3 Init:0/2 0",
        ),
        (
            &init,
            json!({"phase": "Pending", "initContainerStatuses": [{"name": "i", "state": {"waiting": {"reason": "PodInitializing"}}}]}),
            false,
            "0/3 Init:0/2 0",
        ),
        (
            &init,
            json!({"phase": "Pending", "initContainerStatuses": [{"name": "i", "state": {"waiting": {"reason": "ErrImagePull"}}}]}),
            false,
            "0/3 Init:ErrImagePull 0",
        ),
        (
            &init,
            json!({"phase": "Pending", "initContainerStatuses": [{"name": "i", "state": {"terminated": {"exitCode": 2}}}]}),
            false,
            "0/3 Init:ExitCode:2 0",
        ),
        (
            &init,
            json!({"phase": "Pending", "initContainerStatuses": [{"name": "i", "state": {"terminated": {"exitCode": 2, "reason": "Error"}}}]}),
            false,
            "0/3 Init:Error 0",
        ),
        (
            &init,
            json!({"phase": "Running", "initContainerStatuses": [
            {"name": "i", "restartCount": 5, "state": {"terminated": {"exitCode": 0}}}, sidecar_up], "containerStatuses": [running, running]}),
            false,
            "3/3 Running 2",
        ),
        // What runs beside the others is counted once it has started; until then it is what the pod waits for.
        (
            &init,
            json!({"phase": "Pending", "initContainerStatuses": [
                {"name": "i", "restartCount": 1, "state": {"terminated": {"exitCode": 0}}},
                {"name": "s", "started": false, "restartCount": 2, "state": {"running": {}}},
            ]}),
            false,
            "0/3 Init:1/2 3",
        ),
        // Init containers that run again do not take a pod back that has been initialized.
        (
            &init,
            json!({
                "phase": "Running", "conditions": [{"type": "Initialized", "status": "True"}],
                "initContainerStatuses": [{"name": "i", "restartCount": 4, "state": {"running": {}}}],
                "containerStatuses": [running, running],
            }),
            false,
            "2/3 Init:0/2 0",
        ),
        // Of all that were started anew the last counts, whichever container it was.
        (
            &none,
            json!({"phase": "Running", "containerStatuses": [
                {"ready": true, "restartCount": 2, "state": {"running": {}},
                 "lastState": {"terminated": {"finishedAt": "2026-03-01T11:50:00Z"}}},
                {"ready": true, "restartCount": 1, "state": {"running": {}},
                 "lastState": {"terminated": {"finishedAt": "2026-03-01T11:59:30Z"}}},
            ]}),
            false,
            "2/2 Running 3 (30s ago)",
        ),
        // One that goes while it is still beginning.
        (
            &init,
            json!({"phase": "Pending", "initContainerStatuses": [{"name": "i", "restartCount": 6, "state": {"running": {}}}]}),
            true,
            "0/3 Terminating 6",
        ),
        (
            &none,
            json!({"phase": "Failed", "containerStatuses": [ended(json!({"exitCode": 1, "reason": "Error"})), completed]}),
            true,
            "0/2 Error 0",
        ),
    ];
    for (spec, status, is_going, wanted) in rows {
        assert_eq!(pod_in_short(spec, &status, is_going), wanted, "{status}");
    }
}

#[test]
fn pods_and_what_is_over() {
    let objects = [
        object(
            "web-0",
            &json!({
                "spec": {
                    "nodeName": "n1", "containers": [{"name": "c"}],
                    "readinessGates": [{"conditionType": "x"}, {"conditionType": "y"}],
                },
                "status": {
                    "phase": "Running", "podIPs": [{"ip": "10.0.0.7"}], "nominatedNodeName": "n2",
                    "conditions": [{"type": "x", "status": "True"}, {"type": "y", "status": "False"}],
                },
            }),
        ),
        object(
            "new",
            &json!({"metadata": {"creationTimestamp": null}, "spec": {"containers": [{}]}, "status": {"phase": "Pending"}}),
        ),
    ];
    assert_snapshot!("pods", print("", "pods", &objects));
    let gates = FeatureGates::default();
    for (phase, wanted) in [("Running", None), ("Succeeded", Some("Succeeded")), ("Failed", Some("Failed"))] {
        let row =
            row(kind("", "pods"), json!({"status": {"phase": phase}}), &scene(&gates), "meta.k8s.io/v1");
        assert_eq!(row.pointer("/conditions/0/reason").and_then(Value::as_str), wanted);
    }
}

#[test]
fn a_row_carries_as_much_of_its_object_as_was_asked_for() {
    let gates = FeatureGates::default();
    let object =
        json!({"kind": "Namespace", "apiVersion": "v1", "metadata": {"name": "a", "uid": "u"}, "spec": {}});
    let carried = |include: Include| {
        let scene = Scene { include, ..scene(&gates) };
        row(kind("", "namespaces"), object.clone(), &scene, "meta.k8s.io/v1beta1")["object"].clone()
    };
    assert_eq!(carried(Include::Nothing), Value::Null);
    assert_eq!(carried(Include::Object), object);
    let metadata = carried(Include::Metadata);
    assert_eq!(
        metadata,
        json!({
            "kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1beta1", "metadata": {"name": "a", "uid": "u"},
        })
    );
    let table = [("", Some(Include::Metadata)), ("None", Some(Include::Nothing)), ("object", None)];
    for (text, wanted) in table {
        assert_eq!(Include::parse(text).ok(), wanted, "{text}");
    }
    assert_eq!(
        Include::parse("All").expect_err("not one of them").to_string(),
        "Unable to convert to Table as requested: includeObject: Invalid value: \"All\": must be 'Metadata', 'Object', 'None', or empty"
    );
}
