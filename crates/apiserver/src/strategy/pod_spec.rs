//! What pods and pod templates have in common: their spec's defaults and rules.

mod app_armor;
mod containers;
mod defaults;
mod disabled;
mod environment;
mod handlers;
mod mounts;
mod placement;
mod resources;
mod security;
mod volumes;
mod warnings;

use std::net::IpAddr;

use tokenward_kube_rules::{FieldError, metadata, names};

pub(super) use self::app_armor::take_annotated_profiles;
pub(super) use self::defaults::{default_pod, default_template};
pub(super) use self::disabled::drop_disabled;
pub(super) use self::warnings::{
    BY_REQUEST, annotated, deprecated_label, fractions, template_warnings, warnings,
};
use super::field::Field;

/// Whose spec it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Owner {
    Pod,
    /// Pods are made from it: they get what it leaves out.
    Template,
}

/// What is wrong with a pod's spec, in upstream's order.
pub(super) fn validate(spec: &Field<'_>, owner: Owner) -> Vec<FieldError> {
    let (mut errors, volumes) = volumes::validate(&spec.child("volumes"), owner);
    errors.extend(containers::validate(&containers::Pod { spec: spec.clone(), volumes }));
    errors.extend(containers::host_network_faults(spec, owner));
    errors.extend(spec.child("restartPolicy").one_of(&["Always", "OnFailure", "Never"]));
    errors.extend(spec.child("dnsPolicy").one_of(&[
        "ClusterFirstWithHostNet",
        "ClusterFirst",
        "Default",
        "None",
    ]));
    let selector = spec.child("nodeSelector");
    errors.extend(metadata::validate_labels(Some(selector.value()), &selector.path()));
    errors.extend(security::of_pod(spec));
    errors.extend(placement::affinity(&spec.child("affinity")));
    errors.extend(dns_faults(&spec.child("dnsConfig"), spec.child("dnsPolicy").text()));
    for gate in spec.child("readinessGates").items() {
        errors.extend(gate.child("conditionType").faults(names::qualified_name));
    }
    errors.extend(gate_faults(&spec.child("schedulingGates")));
    errors.extend(placement::spread(&spec.child("topologySpreadConstraints")));
    errors.extend(host_users_faults(spec));
    let hostname = spec.child("hostnameOverride");
    if hostname.is_set() {
        errors.extend(hostname.faults(names::dns_subdomain));
    }
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
    for alias in spec.child("hostAliases").items() {
        errors.extend(address_fault(&alias.child("ip")));
        errors.extend(alias.child("hostnames").items().flat_map(|name| name.faults(names::dns_subdomain)));
    }
    for member in ["priorityClassName", "runtimeClassName"] {
        errors.extend(set_faults(&spec.child(member), names::dns_subdomain));
    }
    let preemption = spec.child("preemptionPolicy");
    if preemption.is_set() {
        errors.extend(preemption.one_of(&["PreemptLowerPriority", "Never"]));
    }
    errors.extend(system_fault(&spec.child("os")));
    if owner == Owner::Pod {
        errors.extend(containers::of_pods_only(spec));
    }
    errors
}

/// What is wrong with the spec of a pod that is new.
pub(super) fn validate_creation(spec: &Field<'_>) -> Vec<FieldError> {
    let (added, node) = (spec.child("ephemeralContainers"), spec.child("nodeName"));
    let mut errors = Vec::new();
    if added.items().len() > 0 {
        errors.push(added.forbidden("cannot be set on create"));
    }
    if !node.text().is_empty() && spec.child("schedulingGates").items().len() > 0 {
        errors.push(node.forbidden("cannot be set until all schedulingGates have been cleared"));
    }
    errors
}

fn dns_faults(config: &Field<'_>, policy: &str) -> Vec<FieldError> {
    let nameservers = config.child("nameservers");
    if policy == "None" && !config.is_set() {
        return vec![config.required("must provide `dnsConfig` when `dnsPolicy` is None")];
    }
    if policy == "None" && nameservers.items().len() == 0 {
        let why = "must provide at least one DNS nameserver when `dnsPolicy` is None";
        return vec![nameservers.required(why)];
    }
    let mut errors = Vec::new();
    if nameservers.items().len() > 3 {
        errors.push(nameservers.invalid("must not have more than 3 nameservers"));
    }
    errors.extend(nameservers.items().filter_map(|address| address_fault(&address)));
    let searches = config.child("searches");
    if searches.items().len() > 32 {
        errors.push(searches.invalid("must not have more than 32 search paths"));
    }
    if searches.items().map(|path| path.text().len() + 1).sum::<usize>() > 2049 {
        errors.push(
            searches.invalid("must not have more than 2048 characters (including spaces) in the search list"),
        );
    }
    for path in searches.items().filter(|path| path.text() != ".") {
        let faults =
            names::dns_subdomain_with_underscores(path.text().strip_suffix('.').unwrap_or(path.text()));
        let faults = faults.iter().map(|fault| FieldError::invalid(path.path(), path.text(), fault));
        errors.extend(faults);
    }
    for option in config.child("options").items() {
        if option.child("name").text().is_empty() {
            errors.push(option.required("must not be empty"));
        }
    }
    errors
}

fn address_fault(address: &Field<'_>) -> Option<FieldError> {
    let is_good = address.text().parse::<IpAddr>().is_ok();
    let why = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)";
    (!is_good).then(|| FieldError::invalid(address.path(), address.text(), why))
}

/// Users of its own do not go with what a pod shares with the host.
fn host_users_faults(spec: &Field<'_>) -> Vec<FieldError> {
    if spec.child("hostUsers").value().as_bool() != Some(false) {
        return Vec::new();
    }
    // Spelled as upstream does.
    let shared = [("hostNetwork", "hostNetwork"), ("hostPID", "HostPID"), ("hostIPC", "HostIPC")];
    let why = "when `hostUsers` is false";
    shared
        .iter()
        .filter(|(member, _)| spec.child(member).flag())
        .map(|(_, shown)| spec.child(shown).forbidden(why))
        .collect()
}

fn system_fault(system: &Field<'_>) -> Option<FieldError> {
    if !system.is_set() {
        return None;
    }
    let name = system.child("name");
    let supported = ["linux", "windows"];
    name.require_text().or_else(|| {
        let is_good = supported.contains(&name.text());
        (!is_good).then(|| FieldError::not_supported(system.path(), name.text(), &supported))
    })
}

fn set_faults(field: &Field<'_>, rule: impl Fn(&str) -> Vec<String>) -> Vec<FieldError> {
    if field.text().is_empty() { Vec::new() } else { field.faults(rule) }
}

fn gate_faults(gates: &Field<'_>) -> Vec<FieldError> {
    let mut seen = Vec::new();
    let mut errors = Vec::new();
    for gate in gates.items() {
        let name = gate.child("name");
        let faults = names::qualified_name(name.text());
        errors.extend(faults.iter().map(|fault| FieldError::invalid(gate.path(), name.text(), fault)));
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
        "Equal" | "" => {
            let faults = names::label_value(value.text());
            if !faults.is_empty() {
                errors.push(FieldError::invalid(operator.path(), value.text(), &faults.join(";")));
            }
        }
        "Exists" if !value.text().is_empty() => {
            let why = "value must be empty when `operator` is 'Exists'";
            errors.push(FieldError::invalid(operator.path(), value.text(), why));
        }
        // Comparisons exist, behind a gate that is off.
        "Lt" | "Gt" => {
            let known = ["Equal", "Exists", "Lt", "Gt"];
            errors.push(FieldError::not_supported(operator.path(), operator.text(), &known));
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
        texts(&validate(&Field::of(&object, "spec"), Owner::Pod))
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
                "spec.restartPolicy: Unsupported value: \"Sometimes\": supported values: \"Always\", \"OnFailure\", \"Never\"",
            ),
            (
                with("dnsPolicy", json!("X")),
                "spec.dnsPolicy: Unsupported value: \"X\": supported values: \"ClusterFirstWithHostNet\", \"ClusterFirst\", \"Default\", \"None\"",
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
                "spec.preemptionPolicy: Unsupported value: \"X\": supported values: \"PreemptLowerPriority\", \"Never\"",
            ),
            (
                with("tolerations", json!([{"key": "a", "operator": "Gt", "value": "1"}])),
                "spec.tolerations[0].operator: Unsupported value: \"Gt\": supported values: \"Equal\", \"Exists\", \"Lt\", \"Gt\"",
            ),
            (
                with("dnsPolicy", json!("None")),
                "spec.dnsConfig: Required value: must provide `dnsConfig` when `dnsPolicy` is None",
            ),
            (
                with("dnsConfig", json!({"nameservers": ["x"]})),
                "spec.dnsConfig.nameservers[0]: Invalid value: \"x\": must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)",
            ),
            (
                with("dnsConfig", json!({"searches": [".", "a.b.", "_x.c", "A_"]})),
                "spec.dnsConfig.searches[3]: Invalid value: \"A_\": a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '_', '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '_?[a-z0-9]([-_a-z0-9]*[a-z0-9])?(\\._?[a-z0-9]([-_a-z0-9]*[a-z0-9])?)*')",
            ),
            (
                with("hostAliases", json!([{"ip": ""}])),
                "spec.hostAliases[0].ip: Invalid value: \"\": must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)",
            ),
            (
                with("os", json!({"name": "x"})),
                "spec.os: Unsupported value: \"x\": supported values: \"linux\", \"windows\"",
            ),
            (
                with(
                    "affinity",
                    json!({"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {}}}),
                ),
                "spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms: Required value: must have at least one node selector term",
            ),
            (
                with(
                    "topologySpreadConstraints",
                    json!([{"maxSkew": 1, "whenUnsatisfiable": "DoNotSchedule"}]),
                ),
                "spec.topologySpreadConstraints[0].topologyKey: Required value: can not be empty",
            ),
            (
                with("securityContext", json!({"runAsUser": -1})),
                "spec.securityContext.runAsUser: Invalid value: -1: must be between 0 and 2147483647, inclusive",
            ),
            (
                json!({"hostUsers": false, "hostPID": true, "containers": [{"name": "c", "image": "i"}]}),
                "spec.HostPID: Forbidden: when `hostUsers` is false",
            ),
            (
                json!({"containers": [{"name": "c", "image": " i"}]}),
                "spec.containers[0].image: Invalid value: \" i\": must not have leading or trailing whitespace",
            ),
            (
                with("schedulingGates", json!([{"name": "a"}, {"name": "a"}])),
                "spec.schedulingGates[1]: Duplicate value: \"a\"",
            ),
        ];
        for (spec, wanted) in table {
            assert_eq!(faults(&spec), [wanted], "{spec}");
        }
        let template = json!({"containers": [{"name": "c", "image": " i", "terminationMessagePolicy": "File", "imagePullPolicy": "Always"}], "restartPolicy": "Always", "dnsPolicy": "Default"});
        let object = json!({"spec": template});
        let spec = Field::of(object.as_object().unwrap(), "spec");
        assert_eq!(texts(&validate(&spec, Owner::Template)), [""; 0], "a template's image is held to less");
        for (member, value) in [
            ("runtimeClassName", "R"),
            ("hostnameOverride", "H_"),
            ("nodeName", "N"),
            ("serviceAccountName", "a_b"),
            ("hostname", "a_b"),
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

    #[test]
    fn what_a_new_pod_cannot_have() {
        let object = json!({"spec": {"nodeName": "n", "schedulingGates": [{"name": "a"}], "ephemeralContainers": [{"name": "e"}]}});
        assert_eq!(
            texts(&validate_creation(&Field::of(object.as_object().unwrap(), "spec"))),
            [
                "spec.ephemeralContainers: Forbidden: cannot be set on create",
                "spec.nodeName: Forbidden: cannot be set until all schedulingGates have been cleared",
            ]
        );
    }
}
