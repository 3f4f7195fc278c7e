//! What pods and pod templates have in common: their spec's defaults and rules.

mod containers;
mod defaults;
mod volumes;

use tokenward_kube_rules::{FieldError, metadata, names};

pub(super) use self::defaults::{default_pod, default_template};
use super::field::Field;

/// What is wrong with a pod's spec, in upstream's order.
pub(super) fn validate(spec: &Field<'_>) -> Vec<FieldError> {
    let (mut errors, volume_names) = volumes::validate(&spec.child("volumes"));
    let in_order = [("containers", true), ("initContainers", false)];
    let mut container_names = Vec::new();
    for (member, required) in in_order {
        let list = spec.child(member);
        if required && list.items().len() == 0 {
            errors.push(list.required(""));
        }
        errors.extend(containers::validate(&list, &volume_names, &mut container_names));
    }
    errors.extend(spec.child("restartPolicy").one_of(&["Always", "Never", "OnFailure"]));
    errors.extend(spec.child("dnsPolicy").one_of(&[
        "ClusterFirst",
        "ClusterFirstWithHostNet",
        "Default",
        "None",
    ]));
    let selector = spec.child("nodeSelector");
    errors.extend(metadata::validate_labels(Some(selector.value()), &selector.path()));
    for secret in spec.child("imagePullSecrets").items() {
        errors.extend(secret.child("name").require_text());
    }
    errors.extend(gate_faults(&spec.child("schedulingGates")));
    for member in ["serviceAccountName", "nodeName"] {
        errors.extend(set_faults(&spec.child(member), names::dns_subdomain));
    }
    let deadline = spec.child("activeDeadlineSeconds");
    if deadline.number().is_some_and(|seconds| !(1..=i64::from(i32::MAX)).contains(&seconds)) {
        errors.push(deadline.invalid("must be between 1 and 2147483647, inclusive"));
    }
    for member in ["hostname", "subdomain"] {
        errors.extend(set_faults(&spec.child(member), names::dns_label));
    }
    for toleration in spec.child("tolerations").items() {
        errors.extend(toleration_faults(&toleration));
    }
    errors.extend(set_faults(&spec.child("priorityClassName"), names::dns_subdomain));
    let preemption = spec.child("preemptionPolicy");
    if preemption.is_set() {
        errors.extend(preemption.one_of(&["Never", "PreemptLowerPriority"]));
    }
    errors
}

fn set_faults(field: &Field<'_>, rule: impl Fn(&str) -> Vec<String>) -> Vec<FieldError> {
    if field.text().is_empty() { Vec::new() } else { field.faults(rule) }
}

fn gate_faults(gates: &Field<'_>) -> Vec<FieldError> {
    let mut seen = Vec::new();
    let mut errors = Vec::new();
    for gate in gates.items() {
        let name = gate.child("name");
        errors.extend(names::qualified_name(name.text()).iter().map(|fault| gate.invalid(fault)));
        if seen.contains(&name.text()) {
            errors.push(FieldError::duplicate(gate.path(), name.text()));
        }
        seen.push(name.text());
    }
    errors
}

fn toleration_faults(toleration: &Field<'_>) -> Vec<FieldError> {
    let (key, operator) = (toleration.child("key"), toleration.child("operator"));
    let (value, effect) = (toleration.child("value"), toleration.child("effect"));
    let mut errors = set_faults(&key, names::qualified_name);
    if key.text().is_empty() && operator.text() != "Exists" {
        let why =
            "operator must be Exists when `key` is empty, which means \"match all values and all keys\"";
        errors.push(FieldError::invalid(operator.path(), operator.text(), why));
    }
    if toleration.child("tolerationSeconds").is_set() && effect.text() != "NoExecute" {
        let why = "effect must be 'NoExecute' when `tolerationSeconds` is set";
        errors.push(FieldError::invalid(effect.path(), effect.text(), why));
    }
    match operator.text() {
        "Equal" | "" => errors.extend(set_faults(&value, names::label_value)),
        "Exists" if !value.text().is_empty() => {
            let why = "value must be empty when `operator` is 'Exists'";
            errors.push(FieldError::invalid(operator.path(), value.text(), why));
        }
        _ => errors.extend(operator.one_of(&["Equal", "Exists"])),
    }
    if !effect.text().is_empty() {
        errors.extend(effect.one_of(&["NoSchedule", "PreferNoSchedule", "NoExecute"]));
    }
    errors
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::object::Object;
    use crate::strategy::tests::texts;

    fn faults(spec: &Value) -> Vec<String> {
        let mut object: Object = json!({"spec": spec}).as_object().unwrap().clone();
        default_pod(&mut object);
        texts(&validate(&Field::of(&object, "spec")))
    }

    fn with(member: &str, value: Value) -> Value {
        let mut spec = json!({"containers": [{"name": "c", "image": "i"}]});
        spec[member] = value;
        spec
    }

    #[test]
    fn what_is_good() {
        let spec = json!({
            "containers": [
                {"name": "c", "image": "i", "ports": [{"containerPort": 80, "name": "http"}],
                    "env": [{"name": "A.b", "value": ""}, {"name": "N", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}],
                    "volumeMounts": [{"name": "v", "mountPath": "/v", "subPath": "a/b"}]},
                {"name": "d", "image": "i", "securityContext": {"privileged": true},
                    "volumeMounts": [{"name": "v", "mountPath": "/v", "mountPropagation": "Bidirectional"}]},
            ],
            "initContainers": [{"name": "e", "image": "i"}],
            "volumes": [{"name": "v", "csi": {"driver": "a.example"}}, {"name": "empty"}],
            "tolerations": [{"operator": "Exists"}, {"key": "a", "value": "b", "effect": "NoExecute", "tolerationSeconds": 3}],
            "nodeSelector": {"a": "b"}, "priorityClassName": "system-node-critical", "hostname": "h",
        });
        assert_eq!(faults(&spec), [""; 0]);
    }

    #[test]
    fn what_is_not() {
        let table = [
            (json!({}), "spec.containers: Required value"),
            (
                with("restartPolicy", json!("Sometimes")),
                "spec.restartPolicy: Unsupported value: \"Sometimes\": supported values: \"Always\", \"Never\", \"OnFailure\"",
            ),
            (
                with("dnsPolicy", json!("X")),
                "spec.dnsPolicy: Unsupported value: \"X\": supported values: \"ClusterFirst\", \"ClusterFirstWithHostNet\", \"Default\", \"None\"",
            ),
            (
                with("activeDeadlineSeconds", json!(0)),
                "spec.activeDeadlineSeconds: Invalid value: 0: must be between 1 and 2147483647, inclusive",
            ),
            (
                with("tolerations", json!([{"key": "a", "operator": "Is"}])),
                "spec.tolerations[0].operator: Unsupported value: \"Is\": supported values: \"Equal\", \"Exists\"",
            ),
            (
                with("tolerations", json!([{"effect": "NoExecute"}])),
                "spec.tolerations[0].operator: Invalid value: \"\": operator must be Exists when `key` is empty, which means \"match all values and all keys\"",
            ),
            (
                with("tolerations", json!([{"key": "a", "tolerationSeconds": 1}])),
                "spec.tolerations[0].effect: Invalid value: \"\": effect must be 'NoExecute' when `tolerationSeconds` is set",
            ),
            (
                with("tolerations", json!([{"key": "a", "operator": "Exists", "value": "b"}])),
                "spec.tolerations[0].operator: Invalid value: \"b\": value must be empty when `operator` is 'Exists'",
            ),
            (
                with("tolerations", json!([{"key": "a", "effect": "Never"}])),
                "spec.tolerations[0].effect: Unsupported value: \"Never\": supported values: \"NoSchedule\", \"PreferNoSchedule\", \"NoExecute\"",
            ),
            (
                with("preemptionPolicy", json!("X")),
                "spec.preemptionPolicy: Unsupported value: \"X\": supported values: \"Never\", \"PreemptLowerPriority\"",
            ),
            (with("imagePullSecrets", json!([{}])), "spec.imagePullSecrets[0].name: Required value"),
            (
                with("schedulingGates", json!([{"name": "a"}, {"name": "a"}])),
                "spec.schedulingGates[1]: Duplicate value: \"a\"",
            ),
        ];
        for (spec, wanted) in table {
            assert_eq!(faults(&spec), [wanted], "{spec}");
        }
        for (member, value) in [
            ("nodeName", "N"),
            ("serviceAccountName", "a_b"),
            ("hostname", "a.b"),
            ("priorityClassName", "-"),
        ] {
            let found = faults(&with(member, json!(value)));
            assert!(
                found.len() == 1
                    && found[0]
                        .starts_with(&format!("spec.{member}: Invalid value: \"{value}\": a lowercase")),
                "{found:?}"
            );
        }
    }
}
