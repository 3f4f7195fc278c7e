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
    let mut errors = Vec::new();
    for member in ["containers", "initContainers"] {
        let (new, old) = (new_spec.child(member), old_spec.child(member));
        if new.items().len() != old.items().len() {
            // Nothing else can be compared.
            errors.push(new.forbidden("pod updates may not add or remove containers"));
            return errors;
        }
        errors.extend(new.items().flat_map(|container| image_faults(&container)));
    }
    match deadline_fault(&new_spec, &old_spec) {
        Some(Deadline { fault, is_absent: false }) => {
            errors.push(fault);
            return errors;
        }
        absent => errors.extend(absent.map(|deadline| deadline.fault)),
    }
    errors.extend(tolerations_fault(&new_spec, &old_spec));
    errors.extend(gate_faults(&new_spec, &old_spec));
    if old_spec.child("schedulingGates").items().len() > 0 {
        errors.extend(selector_fault(&new_spec, &old_spec));
        errors.extend(affinity_faults(&new_spec, &old_spec));
    }
    if fixed_part(new, old) != fixed_part(old, old) {
        errors.push(FieldError::forbidden("spec", FIXED));
    }
    errors
}

/// What is wrong with the image of a pod's container, besides what a template's may be.
pub(super) fn image_faults(container: &Field<'_>) -> Vec<FieldError> {
    let image = container.child("image");
    let mut errors: Vec<FieldError> = image.require_text().into_iter().collect();
    errors.extend(blanks_around(&image));
    errors
}

/// A template may have them.
pub(super) fn blanks_around(image: &Field<'_>) -> Option<FieldError> {
    let has_blanks = image.text().trim() != image.text();
    has_blanks.then(|| image.invalid("must not have leading or trailing whitespace"))
}

/// What is wrong with a deadline.
struct Deadline {
    fault: FieldError,
    /// Whether there is none any more. Else nothing more is looked at.
    is_absent: bool,
}

/// A deadline may be set, and then only come closer.
fn deadline_fault(new: &Field<'_>, old: &Field<'_>) -> Option<Deadline> {
    let (new, old) = (new.child("activeDeadlineSeconds"), old.child("activeDeadlineSeconds"));
    let (why, is_absent) = match (new.number(), old.number()) {
        (None, Some(_)) => ("must not update from a positive integer to nil value", true),
        (Some(now), _) if !(0..=i64::from(i32::MAX)).contains(&now) => {
            ("must be between 0 and 2147483647, inclusive", false)
        }
        (Some(now), Some(before)) if now > before => ("must be less than or equal to previous value", false),
        _ => return None,
    };
    Some(Deadline { fault: new.invalid(why), is_absent })
}

/// A pod that waits behind a gate may say more narrowly where it runs.
fn selector_fault(new: &Field<'_>, old: &Field<'_>) -> Option<FieldError> {
    let (new, old) = (new.child("nodeSelector"), old.child("nodeSelector"));
    let is_kept = old.keys().all(|key| new.child(key).value() == old.child(key).value());
    let why = "only additions to spec.nodeSelector are allowed (no mutations or deletions)";
    (!is_kept).then(|| new.invalid(why))
}

/// The same of its affinity to nodes: terms stay as many as they are, and become narrower.
fn affinity_faults(new: &Field<'_>, old: &Field<'_>) -> Vec<FieldError> {
    let terms = |spec: &Field<'_>| {
        let affinity = spec.child("affinity").child("nodeAffinity");
        affinity
            .child("requiredDuringSchedulingIgnoredDuringExecution")
            .child("nodeSelectorTerms")
            .value()
            .clone()
    };
    let [new_terms, old_terms] = [new, old].map(terms);
    let list = |terms: &Value| terms.as_array().cloned().unwrap_or_default();
    let [now, before] = [&new_terms, &old_terms].map(list);
    const PATH: &str =
        "spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms";
    if before.is_empty() {
        return Vec::new();
    }
    if now.len() != before.len() {
        let why = "no additions/deletions to non-empty NodeSelectorTerms list are allowed";
        return vec![FieldError::invalid(PATH, new_terms, why)];
    }
    let pairs = now.iter().zip(&before).enumerate();
    pairs
        .filter(|(_, (now, before))| !only_adds(now, before))
        .map(|(at, (now, _))| {
            let why = "only additions are allowed (no mutations or deletions)";
            FieldError::invalid(format!("{PATH}[{at}]"), now.clone(), why)
        })
        .collect()
}

/// Whether a term begins with what it was. One that asked for nothing stays so: it selected no node.
fn only_adds(now: &Value, before: &Value) -> bool {
    let parts = ["matchExpressions", "matchFields"];
    let list =
        |term: &Value, part: &str| term.get(part).and_then(Value::as_array).cloned().unwrap_or_default();
    if parts.iter().all(|part| list(before, part).is_empty()) {
        return parts.iter().all(|part| list(now, part).is_empty());
    }
    parts.iter().all(|part| list(now, part).starts_with(&list(before, part)))
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
    let added = gates.items().filter(|gate| !known.contains(name(gate)));
    let why = |name: &str| format!("only deletion is allowed, but found new scheduling gate '{name}'");
    added.map(|gate| gate.child("name").forbidden(&why(name(&gate)))).collect()
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
    // What a pod behind a gate may say has been looked at.
    let is_gated = at(old, &["spec", "schedulingGates"])
        .and_then(Value::as_array)
        .is_some_and(|gates| !gates.is_empty());
    if is_gated {
        spec.remove("nodeSelector");
        if let Some(Value::Object(affinity)) = spec.get_mut("affinity") {
            affinity.remove("nodeAffinity");
            if affinity.is_empty() {
                spec.remove("affinity");
            }
        }
    }
    Some(spec)
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
        let wanted = "spec.schedulingGates[0].name: Forbidden: only deletion is allowed, but found new scheduling gate 'x0'";
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
                "spec.activeDeadlineSeconds: Invalid value: null: must not update from a positive integer to nil value",
            ),
            (
                json!({"activeDeadlineSeconds": -1, "nodeName": "m"}),
                "spec.activeDeadlineSeconds: Invalid value: -1: must be between 0 and 2147483647, inclusive",
            ),
            (
                json!({"containers": [{"name": "c", "image": " b"}]}),
                "spec.containers[0].image: Invalid value: \" b\": must not have leading or trailing whitespace",
            ),
            (
                json!({"tolerations": []}),
                "spec.tolerations: Forbidden: existing toleration can not be modified except its tolerationSeconds",
            ),
            (
                json!({"schedulingGates": [{"name": "a"}]}),
                "spec.schedulingGates[0].name: Forbidden: only deletion is allowed, but found new scheduling gate 'a'",
            ),
        ] {
            assert_eq!(texts(&validate(&pod(&changes), &old)), [wanted], "{changes}");
        }
    }

    #[test]
    fn behind_a_gate_places_only_become_narrower() {
        let expression = |key: &str| json!({"key": key, "operator": "In", "values": ["v"]});
        let affinity = |terms: Value| json!({"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}});
        let gated = |changes: Value| {
            let mut pod = pod(
                &json!({"nodeName": null, "schedulingGates": [{"name": "g"}], "nodeSelector": {"x": "y"}}),
            );
            let mut spec = pod["spec"].clone();
            json_patch::merge(&mut spec, &changes);
            pod.insert("spec".to_owned(), spec);
            pod
        };
        let plain = gated(json!({}));
        let placed = gated(json!({"affinity": affinity(json!([{"matchExpressions": [expression("a")]}]))}));
        let selector = |shown: &str| {
            format!(
                "spec.nodeSelector: Invalid value: {shown}: only additions to spec.nodeSelector are allowed (no mutations or deletions)"
            )
        };
        let terms =
            "spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms";
        for (old, changes, wanted) in [
            (&plain, json!({"nodeSelector": {"q": "r"}}), None),
            (&plain, json!({"nodeSelector": {"x": "z"}}), Some(selector("{\"x\":\"z\"}"))),
            (&plain, json!({"nodeSelector": null}), Some(selector("null"))),
            (&plain, json!({"affinity": affinity(json!([{"matchExpressions": [expression("a")]}]))}), None),
            (&plain, json!({"affinity": {"podAffinity": {}}}), Some(format!("spec: Forbidden: {FIXED}"))),
            (&plain, json!({"nodeName": "n"}), Some(format!("spec: Forbidden: {FIXED}"))),
            (
                &placed,
                json!({"affinity": affinity(json!([{"matchExpressions": [expression("a"), expression("b")]}]))}),
                None,
            ),
            (
                &placed,
                json!({"affinity": null}),
                Some(format!(
                    "{terms}: Invalid value: null: no additions/deletions to non-empty NodeSelectorTerms list are allowed"
                )),
            ),
            (
                &placed,
                json!({"affinity": affinity(json!([{"matchFields": [expression("b")]}]))}),
                Some(format!(
                    "{terms}[0]: Invalid value: {}: only additions are allowed (no mutations or deletions)",
                    json!({"matchFields": [expression("b")]})
                )),
            ),
        ] {
            let mut new = old.clone();
            let mut spec = new["spec"].clone();
            json_patch::merge(&mut spec, &changes);
            new.insert("spec".to_owned(), spec);
            assert_eq!(texts(&validate(&new, old)), Vec::from_iter(wanted), "{changes}");
        }
    }
}
