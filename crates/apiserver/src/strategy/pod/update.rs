//! What of a pod may change once it is made.

use std::collections::HashSet;

use serde_json::Value;
use tokenward_kube_rules::FieldError;

use crate::object::{Object, at};
use crate::strategy::field::Field;

/// The text that upstream follows with a difference of two Go structures.
const FIXED: &str = "pod updates may not change fields other than `spec.containers[*].image`,\
    `spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),\
    `spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)";

/// What is wrong with a change of a pod.
pub(super) fn validate(new: &Object, old: &Object) -> Vec<FieldError> {
    let (new_spec, old_spec) = (Field::of(new, "spec"), Field::of(old, "spec"));
    for member in ["containers", "initContainers"] {
        let (new, old) = (new_spec.child(member), old_spec.child(member));
        if new.items().len() != old.items().len() {
            // Nothing else can be compared.
            return vec![new.forbidden("pod updates may not add or remove containers")];
        }
    }
    let mut errors = Vec::new();
    errors.extend(deadline_fault(&new_spec, &old_spec));
    errors.extend(tolerations_fault(&new_spec, &old_spec));
    errors.extend(gate_faults(&new_spec, &old_spec));
    if fixed_part(new, old) != fixed_part(old, old) {
        errors.push(FieldError::forbidden("spec", FIXED));
    }
    errors
}

/// A deadline may be set, and then only come closer.
fn deadline_fault(new: &Field<'_>, old: &Field<'_>) -> Option<FieldError> {
    let (new, old) = (new.child("activeDeadlineSeconds"), old.child("activeDeadlineSeconds"));
    match (new.number(), old.number()) {
        (None, Some(_)) => Some(new.invalid("must be less than or equal to previous value")),
        (Some(now), Some(before)) if now > before => {
            Some(new.invalid("must be less than or equal to previous value"))
        }
        _ => None,
    }
}

fn tolerations_fault(new: &Field<'_>, old: &Field<'_>) -> Option<FieldError> {
    let tolerations = new.child("tolerations");
    let keys: HashSet<_> = tolerations.items().map(|new| key(&new)).collect();
    let is_kept = |old: Field<'_>| keys.contains(&key(&old));
    let why = "existing toleration can not be modified except its tolerationSeconds";
    (!old.child("tolerations").items().all(is_kept)).then(|| tolerations.forbidden(why))
}

/// All of a toleration but its seconds.
fn key<'a>(toleration: &Field<'a>) -> [&'a str; 4] {
    ["key", "operator", "value", "effect"].map(|member| toleration.child(member).text())
}

fn name<'a>(gate: &Field<'a>) -> &'a str {
    gate.child("name").text()
}

/// Gates may only fall.
fn gate_faults(new: &Field<'_>, old: &Field<'_>) -> Vec<FieldError> {
    let gates = new.child("schedulingGates");
    let known: HashSet<_> = old.child("schedulingGates").items().map(|gate| name(&gate)).collect();
    gates
        .items()
        .map(|gate| name(&gate))
        .filter(|name| !known.contains(name))
        .map(|name| {
            gates.forbidden(&format!("only deletion is allowed, but found new scheduling gate '{name}'"))
        })
        .collect()
}

/// The spec without what may change in place.
fn fixed_part(pod: &Object, old: &Object) -> Option<Object> {
    let mut spec = pod.get("spec")?.as_object()?.clone();
    for member in ["activeDeadlineSeconds", "tolerations", "schedulingGates"] {
        spec.remove(member);
    }
    let grace = |pod| at(pod, &["spec", "terminationGracePeriodSeconds"]).and_then(Value::as_i64);
    // What was negative means one second, and may say so.
    if grace(old).is_some_and(|seconds| seconds < 0) && (grace(pod) == Some(1) || grace(pod) == grace(old)) {
        spec.remove("terminationGracePeriodSeconds");
    }
    for list in ["containers", "initContainers"] {
        let containers = spec.get_mut(list).and_then(Value::as_array_mut).into_iter().flatten();
        for container in containers.filter_map(Value::as_object_mut) {
            container.remove("image");
        }
    }
    // A pod that waits behind a gate may still say more narrowly where it runs.
    let is_gated = at(old, &["spec", "schedulingGates"])
        .and_then(Value::as_array)
        .is_some_and(|gates| !gates.is_empty());
    if is_gated && narrows(pod, old) {
        spec.remove("nodeSelector");
    }
    Some(spec)
}

fn narrows(pod: &Object, old: &Object) -> bool {
    let selector = |pod| at(pod, &["spec", "nodeSelector"]).and_then(Value::as_object);
    let Some(known) = selector(old) else { return true };
    known.iter().all(|(key, value)| selector(pod).and_then(|selector| selector.get(key)) == Some(value))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::strategy::tests::texts;

    fn pod(changes: &Value) -> Object {
        let mut spec = json!({"containers": [{"name": "c", "image": "a"}], "nodeName": "n", "activeDeadlineSeconds": 50,
            "tolerations": [{"key": "a", "operator": "Exists"}], "terminationGracePeriodSeconds": 30});
        json_patch::merge(&mut spec, changes);
        json!({"metadata": {"name": "p"}, "spec": spec}).as_object().unwrap().clone()
    }

    #[test]
    fn what_may_change() {
        let old = pod(&json!({}));
        for changes in [
            json!({}),
            json!({"containers": [{"name": "c", "image": "b"}]}),
            json!({"activeDeadlineSeconds": 40}),
            json!({"tolerations": [{"key": "b"}, {"key": "a", "operator": "Exists", "tolerationSeconds": 4}]}),
        ] {
            assert_eq!(validate(&pod(&changes), &old), [], "{changes}");
        }
        let negative = pod(&json!({"terminationGracePeriodSeconds": -1}));
        assert_eq!(validate(&pod(&json!({"terminationGracePeriodSeconds": 1})), &negative), []);
        let gated =
            pod(&json!({"schedulingGates": [{"name": "a"}, {"name": "b"}], "nodeSelector": {"x": "y"}}));
        assert_eq!(
            validate(
                &pod(&json!({"schedulingGates": [{"name": "b"}], "nodeSelector": {"x": "y", "z": "1"}})),
                &gated
            ),
            []
        );
    }

    /// Compared one with each other, they would take minutes.
    #[test]
    fn many_gates_and_tolerations_may_change_too() {
        let many = |name: &str, from: usize| -> Vec<Value> {
            (from..30_000).map(|number| json!({name: format!("x{number}")})).collect()
        };
        let of = |from: usize| {
            pod(
                &json!({"nodeName": null, "tolerations": many("key", 0), "schedulingGates": many("name", from)}),
            )
        };
        assert_eq!(validate(&of(1), &of(0)), []);
        let wanted =
            "spec.schedulingGates: Forbidden: only deletion is allowed, but found new scheduling gate 'x0'";
        assert_eq!(texts(&validate(&of(0), &of(1))), [wanted]);
    }

    #[test]
    fn what_may_not() {
        let old = pod(&json!({}));
        let fixed = format!("spec: Forbidden: {FIXED}");
        for (changes, wanted) in [
            (json!({"nodeName": "m"}), fixed.as_str()),
            (json!({"terminationGracePeriodSeconds": 1}), fixed.as_str()),
            (json!({"containers": [{"name": "d", "image": "a"}]}), fixed.as_str()),
            (json!({"nodeSelector": {"a": "b"}}), fixed.as_str()),
            (
                json!({"containers": []}),
                "spec.containers: Forbidden: pod updates may not add or remove containers",
            ),
            (
                json!({"activeDeadlineSeconds": 60}),
                "spec.activeDeadlineSeconds: Invalid value: 60: must be less than or equal to previous value",
            ),
            (
                json!({"activeDeadlineSeconds": null}),
                "spec.activeDeadlineSeconds: Invalid value: null: must be less than or equal to previous value",
            ),
            (
                json!({"tolerations": []}),
                "spec.tolerations: Forbidden: existing toleration can not be modified except its tolerationSeconds",
            ),
            (
                json!({"schedulingGates": [{"name": "a"}]}),
                "spec.schedulingGates: Forbidden: only deletion is allowed, but found new scheduling gate 'a'",
            ),
        ] {
            assert_eq!(texts(&validate(&pod(&changes), &old)), [wanted], "{changes}");
        }
    }
}
