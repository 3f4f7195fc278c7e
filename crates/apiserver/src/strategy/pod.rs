//! Pod: defaults, a spec that is fixed once made, graceful deletion by the node that runs it.

mod update;

use jiff::Timestamp;
use serde_json::{Value, json};
use tokenward_kube_rules::{FeatureGates, FieldError};

use super::field::Field;
use super::{Strategy, pod_spec, start_phase};
use crate::object::{Metadata, Object, at, child_mut, format_time, set_default, text_at};

pub(super) struct PodStrategy;

impl Strategy for PodStrategy {
    fn is_shown_when_deleted(&self) -> bool {
        true
    }

    fn set_defaults(&self, object: &mut Object) {
        pod_spec::default_pod(object);
    }

    fn prepare_create(&self, object: &mut Object, _gates: &FeatureGates) {
        object.remove("status");
        start_phase(object, "Pending");
        let class = quality_of_service(object);
        child_mut(object, "status").insert("qosClass".to_owned(), class.into());
        if at(object, &["spec", "schedulingGates"])
            .and_then(Value::as_array)
            .is_some_and(|gates| !gates.is_empty())
        {
            child_mut(object, "status").insert("conditions".to_owned(), json!([gated()]));
        }
        object.metadata_mut().insert("generation".to_owned(), 1.into());
    }

    fn record_times(&self, new: &mut Object, old: Option<&Object>, now: Timestamp) {
        if old.is_some() {
            return;
        }
        let conditions = child_mut(new, "status").get_mut("conditions").and_then(Value::as_array_mut);
        for condition in conditions.into_iter().flatten().filter_map(Value::as_object_mut) {
            condition.insert("lastTransitionTime".to_owned(), format_time(now).into());
        }
    }

    fn prepare_update(&self, new: &mut Object, old: &Object, _gates: &FeatureGates) {
        // Admission set them; a client that leaves them out means no change.
        for member in ["priority", "preemptionPolicy"] {
            if let Some(value) = at(old, &["spec", member]) {
                set_default(child_mut(new, "spec"), member, value.clone());
            }
        }
        if new.get("spec") != old.get("spec") {
            let generation = old.metadata_number("generation").saturating_add(1);
            new.metadata_mut().insert("generation".to_owned(), generation.into());
        }
    }

    fn prepare_status(&self, new: &mut Object, old: &Object) {
        // It follows from the spec.
        if let Some(class) = at(old, &["status", "qosClass"]) {
            set_default(child_mut(new, "status"), "qosClass", class.clone());
        }
    }

    fn validate(&self, object: &Object) -> Vec<FieldError> {
        pod_spec::validate(&Field::of(object, "spec"), pod_spec::Owner::Pod)
    }

    fn validate_update(&self, new: &Object, old: &Object) -> Vec<FieldError> {
        mirror_fault(new, old).into_iter().chain(update::validate(new, old)).collect()
    }

    fn validate_status(&self, new: &Object, old: &Object) -> Vec<FieldError> {
        let class = |object| Field::of(object, "status").child("qosClass");
        let changed = class(old).is_set().then(|| class(new).immutable(&class(old))).flatten();
        mirror_fault(new, old).into_iter().chain(changed).collect()
    }

    fn validate_creation(&self, object: &Object) -> Vec<FieldError> {
        pod_spec::validate_creation(&Field::of(object, "spec"))
    }

    fn warnings_on_create(&self, object: &Object, _gates: &FeatureGates) -> Vec<String> {
        pod_spec::warnings(&Field::of(object, "spec"))
    }

    fn grace_seconds(&self, object: &Object, requested: Option<i64>) -> i64 {
        let phase = text_at(object, &["status", "phase"]);
        // Nobody runs it: nobody has to be waited for.
        if text_at(object, &["spec", "nodeName"]).is_empty() || matches!(phase, "Succeeded" | "Failed") {
            return 0;
        }
        let own = at(object, &["spec", "terminationGracePeriodSeconds"]).and_then(Value::as_i64);
        match requested.or(own).unwrap_or(0) {
            ..0 => 1,
            seconds => seconds,
        }
    }
}

/// The condition of a pod that is held back from being scheduled.
fn gated() -> Value {
    json!({
        "type": "PodScheduled",
        "status": "False",
        "lastProbeTime": null,
        "reason": "SchedulingGated",
        "message": "Scheduling is blocked due to non-empty scheduling gates",
    })
}

/// A pod is a mirror pod for life: as any other it would let its node read what its volumes name.
fn mirror_fault(new: &Object, old: &Object) -> Option<FieldError> {
    const MIRROR: &str = "kubernetes.io/config.mirror";
    let mark = |pod| text_of_annotation(pod, MIRROR);
    let why = match (mark(old), mark(new)) {
        (before, now) if before == now => return None,
        (None, _) => "may not add mirror pod annotation",
        (Some(_), _) => "may not remove or update mirror pod annotation",
    };
    Some(FieldError::forbidden(format!("metadata.annotations[{MIRROR}]"), why))
}

fn text_of_annotation<'a>(pod: &'a Object, name: &str) -> Option<&'a str> {
    at(pod, &["metadata", "annotations", name]).and_then(Value::as_str)
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

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(spec: &Value) -> Object {
        json!({"metadata": {"name": "p"}, "spec": spec}).as_object().unwrap().clone()
    }

    #[test]
    fn only_a_pod_that_a_node_may_run_gets_grace() {
        let spec = json!({"nodeName": "n", "terminationGracePeriodSeconds": 7});
        let mut running = pod(&spec);
        assert_eq!(PodStrategy.grace_seconds(&running, None), 7);
        assert_eq!(PodStrategy.grace_seconds(&running, Some(0)), 0);
        assert_eq!(PodStrategy.grace_seconds(&running, Some(-5)), 1);
        running.insert("status".to_owned(), json!({"phase": "Failed"}));
        assert_eq!(PodStrategy.grace_seconds(&running, None), 0);
        assert_eq!(PodStrategy.grace_seconds(&pod(&json!({})), Some(30)), 0);
    }

    #[test]
    fn a_pod_with_gates_says_so_from_the_start() {
        let mut gated = pod(&json!({"schedulingGates": [{"name": "a"}]}));
        let gates = FeatureGates::for_release(tokenward_kube_rules::Release::V1_35);
        PodStrategy.prepare_create(&mut gated, &gates);
        PodStrategy.record_times(&mut gated, None, Timestamp::UNIX_EPOCH);
        let condition = at(&gated, &["status", "conditions"]).unwrap()[0].clone();
        assert_eq!(
            (&condition["type"], &condition["reason"], &condition["lastTransitionTime"]),
            (&json!("PodScheduled"), &json!("SchedulingGated"), &json!("1970-01-01T00:00:00Z"))
        );
        let mut free = pod(&json!({}));
        PodStrategy.prepare_create(&mut free, &gates);
        assert_eq!(at(&free, &["status", "conditions"]), None);
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
