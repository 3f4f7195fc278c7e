//! Pod: defaults, a spec that is fixed once made, graceful deletion by the node that runs it.

use serde_json::{Value, json};
use tokenward_kube_rules::{FeatureGates, FieldError};

use super::{Strategy, start_phase};
use crate::object::{Metadata, Object, at, child_mut, set_default, text_at};

pub(super) struct PodStrategy;

impl Strategy for PodStrategy {
    fn set_defaults(&self, object: &mut Object) {
        let spec = child_mut(object, "spec");
        set_default(spec, "restartPolicy", "Always");
        set_default(spec, "terminationGracePeriodSeconds", 30);
        set_default(spec, "dnsPolicy", "ClusterFirst");
        set_default(spec, "schedulerName", "default-scheduler");
        set_default(spec, "securityContext", json!({}));
        set_default(spec, "enableServiceLinks", true);
        for list in ["containers", "initContainers"] {
            let containers = spec.get_mut(list).and_then(Value::as_array_mut).into_iter().flatten();
            for container in containers.filter_map(Value::as_object_mut) {
                default_container(container);
            }
        }
    }

    fn prepare_create(&self, object: &mut Object, _gates: &FeatureGates) {
        object.remove("status");
        start_phase(object, "Pending");
        let class = quality_of_service(object);
        child_mut(object, "status").insert("qosClass".to_owned(), class.into());
        object.metadata_mut().insert("generation".to_owned(), 1.into());
        let spec = child_mut(object, "spec");
        set_default(spec, "priority", 0);
        set_default(spec, "preemptionPolicy", "PreemptLowerPriority");
    }

    fn prepare_update(&self, new: &mut Object, old: &Object, _gates: &FeatureGates) {
        if new.get("spec") != old.get("spec") {
            let generation = old.metadata_number("generation") + 1;
            new.metadata_mut().insert("generation".to_owned(), generation.into());
        }
    }

    fn validate(&self, object: &Object) -> Vec<FieldError> {
        let mut errors = Vec::new();
        let containers = at(object, &["spec", "containers"]).and_then(Value::as_array);
        match containers {
            Some(containers) if !containers.is_empty() => {
                for (position, container) in containers.iter().enumerate() {
                    for member in ["name", "image"] {
                        if container.get(member).and_then(Value::as_str).is_none_or(str::is_empty) {
                            errors.push(FieldError::required(
                                format!("spec.containers[{position}].{member}"),
                                "",
                            ));
                        }
                    }
                }
            }
            _ => errors.push(FieldError::required("spec.containers", "")),
        }
        errors.extend(validate_volumes(object));
        errors
    }

    fn validate_update(&self, new: &Object, old: &Object) -> Vec<FieldError> {
        if fixed_part(new) == fixed_part(old) {
            return Vec::new();
        }
        const WHY: &str = "pod updates may not change fields other than `spec.containers[*].image`,\
            `spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),\
            `spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)";
        vec![FieldError::forbidden("spec", WHY)]
    }

    fn grace_seconds(&self, object: &Object, requested: Option<i64>) -> i64 {
        let phase = text_at(object, &["status", "phase"]);
        // Nobody runs it: nobody has to be waited for.
        if text_at(object, &["spec", "nodeName"]).is_empty() || matches!(phase, "Succeeded" | "Failed") {
            return 0;
        }
        let own = at(object, &["spec", "terminationGracePeriodSeconds"]).and_then(Value::as_i64);
        requested.or(own).unwrap_or(30).max(0)
    }
}

fn default_container(container: &mut Object) {
    set_default(container, "terminationMessagePath", "/dev/termination-log");
    set_default(container, "terminationMessagePolicy", "File");
    set_default(container, "resources", json!({}));
    let image = container.get("image").and_then(Value::as_str).unwrap_or("");
    let name = image.rsplit('/').next().unwrap_or("");
    let is_latest = !name.contains('@') && name.rsplit_once(':').is_none_or(|(_, tag)| tag == "latest");
    set_default(container, "imagePullPolicy", if is_latest { "Always" } else { "IfNotPresent" });
}

/// `BestEffort` without requests and limits, `Guaranteed` when every container has equal ones for both resources.
fn quality_of_service(pod: &Object) -> &'static str {
    let containers = ["containers", "initContainers"]
        .iter()
        .filter_map(|list| at(pod, &["spec", list]).and_then(Value::as_array))
        .flatten();
    let (mut any, mut all) = (false, true);
    for container in containers {
        let resources = |part: &str, name: &str| {
            container
                .get("resources")
                .and_then(|resources| resources.get(part))
                .and_then(|part| part.get(name))
        };
        for name in ["cpu", "memory"] {
            let (request, limit) = (resources("requests", name), resources("limits", name));
            any |= request.is_some() || limit.is_some();
            all &= limit.is_some() && (request.is_none() || request == limit);
        }
    }
    match (any, all) {
        (false, _) => "BestEffort",
        (true, true) => "Guaranteed",
        (true, false) => "Burstable",
    }
}

fn validate_volumes(pod: &Object) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let mut names: Vec<&str> = Vec::new();
    let volumes = at(pod, &["spec", "volumes"]).and_then(Value::as_array).into_iter().flatten();
    for (position, volume) in volumes.enumerate() {
        let name = volume.get("name").and_then(Value::as_str).unwrap_or("");
        let path = format!("spec.volumes[{position}]");
        if name.is_empty() {
            errors.push(FieldError::required(format!("{path}.name"), ""));
        } else if names.contains(&name) {
            errors.push(FieldError::duplicate(format!("{path}.name"), name));
        }
        names.push(name);
        if let Some(csi) = volume.get("csi")
            && csi.get("driver").and_then(Value::as_str).is_none_or(str::is_empty)
        {
            errors.push(FieldError::required(format!("{path}.csi.driver"), ""));
        }
    }
    errors
}

/// The spec without what may change in place.
fn fixed_part(pod: &Object) -> Option<Object> {
    let mut spec = pod.get("spec")?.as_object()?.clone();
    for member in ["activeDeadlineSeconds", "tolerations", "terminationGracePeriodSeconds", "schedulingGates"]
    {
        spec.remove(member);
    }
    for list in ["containers", "initContainers"] {
        let containers = spec.get_mut(list).and_then(Value::as_array_mut).into_iter().flatten();
        for container in containers.filter_map(Value::as_object_mut) {
            container.remove("image");
        }
    }
    Some(spec)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(spec: &Value) -> Object {
        json!({"metadata": {"name": "p"}, "spec": spec}).as_object().unwrap().clone()
    }

    #[test]
    fn pull_policy_follows_the_tag() {
        let table = [
            ("pause", "Always"),
            ("pause:latest", "Always"),
            ("registry:5000/pause", "Always"),
            ("pause:3.9", "IfNotPresent"),
            ("pause@sha256:00", "IfNotPresent"),
        ];
        for (image, policy) in table {
            let mut object = pod(&json!({"containers": [{"name": "c", "image": image}]}));
            PodStrategy.set_defaults(&mut object);
            assert_eq!(object["spec"]["containers"][0]["imagePullPolicy"], policy, "{image}");
        }
    }

    #[test]
    fn only_a_pod_that_a_node_may_run_gets_grace() {
        let spec = json!({"nodeName": "n", "terminationGracePeriodSeconds": 7});
        let mut running = pod(&spec);
        assert_eq!(PodStrategy.grace_seconds(&running, None), 7);
        assert_eq!(PodStrategy.grace_seconds(&running, Some(0)), 0);
        running.insert("status".to_owned(), json!({"phase": "Failed"}));
        assert_eq!(PodStrategy.grace_seconds(&running, None), 0);
        assert_eq!(PodStrategy.grace_seconds(&pod(&json!({})), Some(30)), 0);
    }

    #[test]
    fn a_spec_is_fixed_but_for_images_and_tolerations() {
        let old = pod(&json!({"containers": [{"name": "c", "image": "a"}], "nodeName": "n"}));
        let image =
            pod(&json!({"containers": [{"name": "c", "image": "b"}], "nodeName": "n", "tolerations": []}));
        assert!(PodStrategy.validate_update(&image, &old).is_empty());
        let moved = pod(&json!({"containers": [{"name": "c", "image": "a"}], "nodeName": "m"}));
        assert_eq!(PodStrategy.validate_update(&moved, &old).len(), 1);
    }

    #[test]
    fn quality_of_service_classes() {
        let with = |resources: Value| pod(&json!({"containers": [{"name": "c", "resources": resources}]}));
        assert_eq!(quality_of_service(&with(json!({}))), "BestEffort");
        assert_eq!(quality_of_service(&with(json!({"requests": {"cpu": "1"}}))), "Burstable");
        let both = json!({"cpu": "1", "memory": "1Gi"});
        assert_eq!(quality_of_service(&with(json!({"requests": both, "limits": both}))), "Guaranteed");
    }
}
