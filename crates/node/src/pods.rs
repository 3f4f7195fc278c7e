//! From a pod to what its volumes need, and from its volumes back to its status: pure.

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::cluster::{PodReference, whole_seconds};
use crate::config::PodReporting;
use crate::objects::{Container, Pod};
use crate::paths::inline_volume_handle;
use crate::planner::{ClaimLookup, PodIntent, VolumeIntent, VolumeView};
use crate::scrub::truncate;
use crate::unmounted::Rejection;
use crate::volume::{VolumeSecurity, VolumeSource, VolumeSpec};

/// Why containers wait, before and after the volumes are mounted.
const CREATING: &str = "ContainerCreating";
const NOT_RUN: &str = "VolumesMounted";

/// The pod by name and identity.
pub fn reference(pod: &Pod) -> PodReference {
    PodReference {
        namespace: pod.metadata.namespace.clone(),
        name: pod.metadata.name.clone(),
        uid: pod.metadata.uid.clone(),
    }
}

/// What the pod wants of this node. Volumes that cannot be CSI volumes are left out.
pub fn intent(pod: &Pod) -> PodIntent {
    let reference = reference(pod);
    let security = volume_security(pod);
    let service_account = &pod.spec.service_account_name;
    let claim = |volume: &str, claim_name: String, read_only: bool, owned_by_pod: bool| {
        VolumeIntent::Claim(Arc::new(ClaimLookup {
            pod: reference.clone(),
            service_account: service_account.clone(),
            security: security.clone(),
            volume: volume.to_owned(),
            claim_name,
            read_only,
            owned_by_pod,
        }))
    };
    let volumes = pod
        .spec
        .volumes
        .iter()
        .filter_map(|volume| {
            if let Some(source) = &volume.csi {
                return Some(VolumeIntent::Known(Arc::new(VolumeSpec {
                    pod: reference.clone(),
                    service_account: service_account.clone(),
                    security: security.clone(),
                    volume: volume.name.clone(),
                    spec_name: volume.name.clone(),
                    volume_handle: inline_volume_handle(&reference.uid, &volume.name),
                    read_only: source.read_only == Some(true),
                    source: VolumeSource::Inline(source.clone()),
                })));
            }
            if let Some(source) = &volume.persistent_volume_claim {
                return Some(claim(&volume.name, source.claim_name.clone(), source.read_only, false));
            }
            let _template = volume.ephemeral.as_ref()?;
            Some(claim(&volume.name, format!("{}-{}", reference.name, volume.name), false, true))
        })
        .collect();
    let ended = matches!(pod.status.phase.as_str(), "Succeeded" | "Failed");
    let terminating = pod.metadata.deletion_timestamp.is_some();
    PodIntent { pod: reference, volumes, wanted: !ended && !terminating, terminating }
}

/// What the pod's security context says about its volumes.
fn volume_security(pod: &Pod) -> VolumeSecurity {
    let Some(context) = &pod.spec.security_context else { return VolumeSecurity::default() };
    VolumeSecurity {
        fs_group: context.fs_group,
        on_root_mismatch: context.fs_group_change_policy.as_deref() == Some("OnRootMismatch"),
        se_linux: context.se_linux_options.clone(),
    }
}

/// The patch that brings the pod's status in line with its volumes, or `None` when it is already, or is none of our
/// business any more.
///
/// Honest about what is done: `PodReadyToStartContainers` says that the volumes are mounted; containers are never
/// reported as running. What the phase and `Ready` say then is [`PodReporting`].
pub fn status_patch(
    pod: &Pod,
    volumes: &[VolumeView],
    reporting: PodReporting,
    now: Timestamp,
) -> Option<Value> {
    if pod.metadata.deletion_timestamp.is_some()
        || matches!(pod.status.phase.as_str(), "Succeeded" | "Failed")
    {
        return None;
    }
    let waiting: Vec<&VolumeView> = volumes.iter().filter(|volume| !volume.is_mounted()).collect();
    let mounted = waiting.is_empty();
    let running = mounted && reporting == PodReporting::MountedIsRunning;
    let phase = if running { "Running" } else { "Pending" };
    let message = match waiting.as_slice() {
        [] => "the volumes are mounted; this node runs no containers".to_owned(),
        waiting => {
            let each = waiting.iter().map(|volume| {
                let problem = volume.problem.as_deref().unwrap_or("not mounted yet");
                format!("volume {:?}: {problem}", volume.volume)
            });
            truncate(each.collect::<Vec<_>>().join("; "), 1024)
        }
    };
    let text = |yes: bool| if yes { "True" } else { "False" };
    let unready = if mounted { NOT_RUN } else { "ContainersNotReady" };
    let has_init = !pod.spec.init_containers.is_empty();
    let wanted = [
        ("PodReadyToStartContainers", mounted, if mounted { "" } else { "VolumesNotMounted" }),
        (
            "Initialized",
            running || !has_init,
            if running || !has_init { "" } else { "ContainersNotInitialized" },
        ),
        ("ContainersReady", running, unready),
        ("Ready", running, unready),
    ];
    let mut conditions = pod.status.conditions.clone();
    let mut changed = pod.status.phase != phase || pod.status.start_time.is_none();
    for (kind, status, reason) in wanted {
        let message = if reason.is_empty() { "" } else { message.as_str() };
        changed |= set_condition(&mut conditions, (kind, text(status), reason, message), now);
    }
    let reason = if mounted { NOT_RUN } else { CREATING };
    changed |= !waits_for(&pod.status.container_statuses, &pod.spec.containers, reason);
    changed |= !waits_for(&pod.status.init_container_statuses, &pod.spec.init_containers, reason);
    if !changed {
        return None;
    }
    let mut status = json!({
        "phase": phase,
        "conditions": conditions,
        "startTime": pod.status.start_time.clone().unwrap_or_else(|| whole_seconds(now)),
        "containerStatuses": container_statuses(&pod.spec.containers, reason),
    });
    if has_init {
        status["initContainerStatuses"] = container_statuses(&pod.spec.init_containers, reason);
    }
    Some(json!({
        "metadata": { "uid": pod.metadata.uid, "resourceVersion": pod.metadata.resource_version },
        "status": status,
    }))
}

/// The patch that ends a pod which this node cannot take after all, as a kubelet rejects one.
pub fn rejection_patch(pod: &Pod, rejection: &Rejection) -> Value {
    json!({
        "metadata": { "uid": pod.metadata.uid, "resourceVersion": pod.metadata.resource_version },
        "status": {
            "phase": "Failed",
            "reason": rejection.reason,
            "message": format!("Pod was rejected: {}", rejection.message),
        },
    })
}

/// Sets one condition among others; true when that changes anything.
fn set_condition(
    conditions: &mut Vec<Value>,
    (kind, status, reason, message): (&str, &str, &str, &str),
    now: Timestamp,
) -> bool {
    let field =
        |found: &Value, name: &str| found.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let place = conditions.iter().position(|found| field(found, "type") == kind);
    let mut since = json!(whole_seconds(now));
    if let Some(found) = place.map(|place| &conditions[place])
        && field(found, "status") == status
    {
        if field(found, "reason") == reason && field(found, "message") == message {
            return false;
        }
        since = found.get("lastTransitionTime").cloned().unwrap_or(since);
    }
    let mut condition = json!({
        "type": kind, "status": status, "lastProbeTime": Value::Null, "lastTransitionTime": since,
    });
    if !reason.is_empty() {
        condition["reason"] = json!(reason);
        condition["message"] = json!(message);
    }
    match place {
        Some(place) => conditions[place] = condition,
        None => conditions.push(condition),
    }
    true
}

fn container_statuses(containers: &[Container], reason: &str) -> Value {
    let message = if reason == NOT_RUN { "this node mounts volumes and runs no containers" } else { "" };
    containers
        .iter()
        .map(|container| {
            let mut waiting = json!({ "reason": reason });
            if !message.is_empty() {
                waiting["message"] = json!(message);
            }
            json!({
                "name": container.name, "image": container.image, "imageID": "", "ready": false,
                "started": false, "restartCount": 0, "lastState": {}, "state": { "waiting": waiting },
            })
        })
        .collect()
}

/// Whether exactly these containers are reported as waiting for this reason.
fn waits_for(reported: &[Value], containers: &[Container], reason: &str) -> bool {
    reported.len() == containers.len()
        && containers.iter().all(|container| {
            reported.iter().any(|status| {
                status.get("name").and_then(Value::as_str) == Some(&container.name)
                    && status.pointer("/state/waiting/reason").and_then(Value::as_str) == Some(reason)
            })
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::planner::Pending;

    fn pod() -> Pod {
        serde_json::from_value(json!({
            "metadata": { "name": "web-0", "namespace": "a", "uid": "u", "resourceVersion": "5" },
            "spec": {
                "serviceAccountName": "web",
                "securityContext": { "fsGroup": 2000 },
                "containers": [{ "name": "c", "image": "i" }],
                "volumes": [
                    { "name": "in", "csi": { "driver": "d", "readOnly": true } },
                    { "name": "claim", "persistentVolumeClaim": { "claimName": "c", "readOnly": true } },
                    { "name": "scratch", "ephemeral": { "volumeClaimTemplate": {} } },
                    { "name": "tmp", "emptyDir": {} },
                ],
            },
            "status": { "phase": "Pending", "conditions": [{ "type": "PodScheduled", "status": "True", "x": 1 }] },
        }))
        .unwrap()
    }

    fn view(volume: &str, mounted: bool, problem: Option<&str>) -> VolumeView {
        let pending = (!mounted).then_some(Pending::Publish);
        VolumeView { volume: volume.to_owned(), pending, problem: problem.map(str::to_owned) }
    }

    #[test]
    fn volumes_are_inline_by_claim_or_ephemeral() {
        let intent = intent(&pod());
        assert!(intent.wanted && !intent.terminating);
        let [VolumeIntent::Known(inline), VolumeIntent::Claim(claim), VolumeIntent::Claim(scratch)] =
            intent.volumes.as_slice()
        else {
            panic!("{:?}", intent.volumes);
        };
        assert!(inline.read_only);
        assert_eq!((inline.driver(), inline.security.fs_group), ("d", Some(2000)));
        assert_eq!((claim.claim_name.as_str(), claim.read_only, claim.owned_by_pod), ("c", true, false));
        assert_eq!((scratch.claim_name.as_str(), scratch.owned_by_pod), ("web-0-scratch", true));
    }

    #[test]
    fn pods_that_end_or_have_ended_want_nothing() {
        let mut ended = pod();
        ended.status.phase = "Succeeded".to_owned();
        assert!(!intent(&ended).wanted && !intent(&ended).terminating);
        let mut terminating = pod();
        terminating.metadata.deletion_timestamp = Some("2027-01-15T08:00:00Z".to_owned());
        assert!(!intent(&terminating).wanted && intent(&terminating).terminating);
        for pod in [ended, terminating] {
            assert_eq!(status_patch(&pod, &[], PodReporting::MountedIsRunning, Timestamp::UNIX_EPOCH), None);
        }
    }

    /// Applies a patch as the API server would and shows the pod again.
    fn patched(pod: &Pod, patch: &Value) -> Pod {
        let mut pod = pod.clone();
        pod.status = serde_json::from_value(patch["status"].clone()).unwrap();
        pod
    }

    #[test]
    fn the_status_follows_the_volumes_and_then_rests() {
        let now = Timestamp::from_second(1_800_000_000).unwrap();
        for (reporting, phase, ready) in [
            (PodReporting::MountsOnly, "Pending", "False"),
            (PodReporting::MountedIsRunning, "Running", "True"),
        ] {
            let pod = pod();
            let waiting = [view("in", true, None), view("claim", false, Some("PVC is not bound"))];
            let patch = status_patch(&pod, &waiting, reporting, now).unwrap();
            assert_eq!(patch["metadata"], json!({ "uid": "u", "resourceVersion": "5" }));
            assert_eq!(patch["status"]["phase"], "Pending");
            let conditions = patch["status"]["conditions"].as_array().unwrap();
            assert_eq!(conditions[0], json!({ "type": "PodScheduled", "status": "True", "x": 1 }));
            let find = |conditions: &[Value], kind: &str| {
                conditions.iter().find(|condition| condition["type"] == kind).cloned().unwrap()
            };
            assert_eq!(find(conditions, "Ready")["message"], "volume \"claim\": PVC is not bound");
            let pod = patched(&pod, &patch);
            assert_eq!(status_patch(&pod, &waiting, reporting, now), None);

            let mounted = [view("in", true, None), view("claim", true, None)];
            let patch = status_patch(&pod, &mounted, reporting, now).unwrap();
            assert_eq!(patch["status"]["phase"], phase);
            let conditions = patch["status"]["conditions"].as_array().unwrap();
            assert_eq!(find(conditions, "Ready")["status"], ready);
            assert_eq!(find(conditions, "PodReadyToStartContainers")["status"], "True");
            let state = &patch["status"]["containerStatuses"][0]["state"];
            assert_eq!(state["waiting"]["reason"], NOT_RUN, "no container is said to run");
            let pod = patched(&pod, &patch);
            assert_eq!(status_patch(&pod, &mounted, reporting, now), None);
        }
    }
}
