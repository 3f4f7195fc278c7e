//! The Node, CSINode and Lease that a node keeps, as JSON: bodies for creating them and patches that lose nothing.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use jiff::Timestamp;
use serde_json::{Value, json};
use tokenward_kube_rules::Release;

use crate::cluster::{microseconds, whole_seconds};
use crate::objects::{CsiNode, NodeObject};

/// How long a lease lasts when it is not renewed, in seconds.
const LEASE_SECONDS: u32 = 40;

/// The Node that this node registers as, when there is none yet. `taints` have the effect `NoSchedule`.
pub fn node_body(node_name: &str, taints: &[String]) -> Value {
    let taints: Vec<Value> = taints.iter().map(|key| json!({ "key": key, "effect": "NoSchedule" })).collect();
    json!({
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": node_name,
            "labels": {
                "kubernetes.io/arch": architecture(),
                "kubernetes.io/hostname": node_name,
                "kubernetes.io/os": "linux",
            },
        },
        "spec": { "taints": taints },
    })
}

/// The patch of the Node's status: conditions that this node owns, the others kept, and what it is.
pub fn node_status_patch(node: &NodeObject, release: Release, ready: bool, now: Timestamp) -> Value {
    let at = whole_seconds(now);
    let (status, reason, message) = if ready {
        ("True", "KubeletReady", "kubelet is posting ready status")
    } else {
        ("False", "KubeletNotReady", "node is shutting down")
    };
    let mut conditions = node.status.conditions.clone();
    let healthy = [
        ("MemoryPressure", "KubeletHasSufficientMemory", "kubelet has sufficient memory available"),
        ("DiskPressure", "KubeletHasNoDiskPressure", "kubelet has no disk pressure"),
        ("PIDPressure", "KubeletHasSufficientPID", "kubelet has sufficient PID available"),
    ];
    let wanted = healthy
        .into_iter()
        .map(|(kind, reason, message)| (kind, "False", reason, message))
        .chain([("Ready", status, reason, message)]);
    for (kind, status, reason, message) in wanted {
        let is_ours = |found: &&Value| found.get("type").and_then(Value::as_str) == Some(kind);
        let since = conditions
            .iter()
            .find(is_ours)
            .filter(|found| found.get("status").and_then(Value::as_str) == Some(status))
            .and_then(|found| found.get("lastTransitionTime").cloned());
        conditions.retain(|found| !is_ours(&found));
        conditions.push(json!({
            "type": kind, "status": status, "reason": reason, "message": message,
            "lastHeartbeatTime": at, "lastTransitionTime": since.unwrap_or_else(|| json!(at)),
        }));
    }
    let resources = BTreeMap::from([("cpu", "1"), ("memory", "1Gi"), ("pods", "110")]);
    json!({
        "metadata": { "resourceVersion": node.metadata.resource_version },
        "status": {
            "addresses": [{ "type": "Hostname", "address": node.metadata.name }],
            "allocatable": resources,
            "capacity": resources,
            "conditions": conditions,
            "nodeInfo": {
                "architecture": architecture(),
                "bootID": "",
                "containerRuntimeVersion": "none://",
                "kernelVersion": "",
                "kubeProxyVersion": "",
                "kubeletVersion": release.git_version(),
                "machineID": "",
                "operatingSystem": "linux",
                "osImage": "",
                "systemUUID": "",
            },
        },
    })
}

/// Puts into a patch of the Node's status where the node's own server is. The address stands alone then: whoever connects
/// tries a host name first, and the node's name need not be one.
pub fn say_endpoint(patch: &mut Value, endpoint: SocketAddr) {
    patch["status"]["addresses"] = json!([{ "type": "InternalIP", "address": endpoint.ip().to_string() }]);
    patch["status"]["daemonEndpoints"] = json!({ "kubeletEndpoint": { "Port": endpoint.port() } });
}

/// The CSINode without drivers, owned by the Node.
pub fn csi_node_body(node_name: &str, node_uid: &str) -> Value {
    json!({
        "apiVersion": "storage.k8s.io/v1",
        "kind": "CSINode",
        "metadata": { "name": node_name, "ownerReferences": [owner(node_name, node_uid)] },
        "spec": { "drivers": [] },
    })
}

/// The patch that starts a CSINode afresh, if it belongs to a former Node of this name: what drivers told of that one is not
/// true of this one.
pub fn csi_node_reset_patch(csi_node: &CsiNode, node_name: &str, node_uid: &str) -> Option<Value> {
    let owners = &csi_node.metadata.owner_references;
    let is_former = owners.iter().any(|owner| owner.kind == "Node" && owner.uid != node_uid);
    is_former.then(|| {
        json!({
            "metadata": {
                "resourceVersion": csi_node.metadata.resource_version,
                "ownerReferences": [owner(node_name, node_uid)],
            },
            "spec": { "drivers": [] },
        })
    })
}

/// The node's lease, to be created.
pub fn lease_body(node_name: &str, node_uid: &str, now: Timestamp) -> Value {
    json!({
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {
            "name": node_name, "namespace": "kube-node-lease", "ownerReferences": [owner(node_name, node_uid)],
        },
        "spec": {
            "holderIdentity": node_name, "leaseDurationSeconds": LEASE_SECONDS, "renewTime": microseconds(now),
        },
    })
}

/// The renewal of the lease.
pub fn lease_patch(node_name: &str, now: Timestamp) -> Value {
    json!({ "spec": {
        "holderIdentity": node_name, "leaseDurationSeconds": LEASE_SECONDS, "renewTime": microseconds(now),
    } })
}

fn owner(node_name: &str, node_uid: &str) -> Value {
    json!({ "apiVersion": "v1", "kind": "Node", "name": node_name, "uid": node_uid })
}

/// As Go names it.
fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_of_others_and_times_of_ours_are_kept() {
        let foreign = json!({ "type": "NetworkUnavailable", "status": "False", "x": 1 });
        let mut node = NodeObject::default();
        node.status.conditions = vec![
            foreign.clone(),
            json!({ "type": "Ready", "status": "True", "lastTransitionTime": "2020-01-01T00:00:00Z" }),
        ];
        let now = Timestamp::from_second(1_800_000_000).unwrap();
        let patch = node_status_patch(&node, Release::V1_35, true, now);
        let conditions = patch["status"]["conditions"].as_array().unwrap();
        assert_eq!(conditions[0], foreign);
        let ready = conditions.iter().find(|condition| condition["type"] == "Ready").unwrap();
        assert_eq!(ready["lastTransitionTime"], "2020-01-01T00:00:00Z");
        assert_eq!(ready["lastHeartbeatTime"], "2027-01-15T08:00:00Z");
        assert_eq!(conditions.len(), 5);
        let mut at = patch.clone();
        say_endpoint(&mut at, "192.0.2.1:10250".parse().unwrap());
        assert_eq!(at["status"]["addresses"], json!([{ "type": "InternalIP", "address": "192.0.2.1" }]));
        assert_eq!(at["status"]["daemonEndpoints"]["kubeletEndpoint"]["Port"], 10250);
        let patch = node_status_patch(&node, Release::V1_35, false, now);
        let conditions = patch["status"]["conditions"].as_array().unwrap();
        let ready = conditions.iter().find(|condition| condition["type"] == "Ready").unwrap();
        assert_eq!(
            (&ready["status"], &ready["lastTransitionTime"]),
            (&json!("False"), &json!("2027-01-15T08:00:00Z"))
        );
    }
}
