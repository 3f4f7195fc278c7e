//! What is wrong with where a pod wants to run: node and pod affinity, and how pods are spread.

use tokenward_kube_rules::{FieldError, label_selector, names};

use super::super::field::Field;
use super::super::node_selector::{self, Values};

const REQUIRED: &str = "requiredDuringSchedulingIgnoredDuringExecution";
const PREFERRED: &str = "preferredDuringSchedulingIgnoredDuringExecution";

/// The errors of `affinity`.
pub(super) fn affinity(affinity: &Field<'_>) -> Vec<FieldError> {
    let nodes = affinity.child("nodeAffinity");
    let required = nodes.child(REQUIRED);
    let mut errors = if required.is_set() { node_selector::faults(&required) } else { Vec::new() };
    for term in nodes.child(PREFERRED).items() {
        errors.extend(weight_fault(&term.child("weight")));
        // What nobody can fulfil is no fault of a mere preference.
        errors.extend(node_selector::term_faults(&term.child("preference"), Values::Any));
    }
    for member in ["podAffinity", "podAntiAffinity"] {
        let pods = affinity.child(member);
        for term in pods.child(REQUIRED).items() {
            errors.extend(pod_term(&term));
        }
        for term in pods.child(PREFERRED).items() {
            errors.extend(weight_fault(&term.child("weight")));
            errors.extend(pod_term(&term.child("podAffinityTerm")));
        }
    }
    errors
}

fn weight_fault(weight: &Field<'_>) -> Option<FieldError> {
    let number = weight.number().unwrap_or_default();
    let is_good = (1..=100).contains(&number);
    (!is_good).then(|| FieldError::invalid(weight.path(), number, "must be in the range 1-100"))
}

fn label_name(name: &Field<'_>) -> Vec<FieldError> {
    name.faults(names::qualified_name)
}

/// Keys whose values on the pod itself a selector is narrowed by: there must be one.
fn label_keys<'a>(owner: &Field<'a>, member: &'a str) -> Vec<FieldError> {
    let keys = owner.child(member);
    if keys.items().len() > 0 && !owner.child("labelSelector").is_set() {
        return vec![keys.forbidden("must not be specified when labelSelector is not set")];
    }
    keys.items().flat_map(|key| label_name(&key)).collect()
}

fn pod_term(term: &Field<'_>) -> Vec<FieldError> {
    let mut errors = Vec::new();
    for member in ["labelSelector", "namespaceSelector"] {
        let selector = term.child(member);
        errors.extend(label_selector::validate(selector.value(), &selector.path()));
    }
    let at = term.child("namespace").path();
    for namespace in term.child("namespaces").items() {
        let faults = names::dns_label(namespace.text());
        errors.extend(faults.iter().map(|fault| FieldError::invalid(&*at, namespace.text(), fault)));
    }
    for member in ["matchLabelKeys", "mismatchLabelKeys"] {
        errors.extend(label_keys(term, member));
    }
    let topology = term.child("topologyKey");
    if topology.text().is_empty() {
        errors.push(topology.required("can not be empty"));
    }
    errors.extend(label_name(&topology));
    errors
}

/// The errors of `topologySpreadConstraints`.
pub(super) fn spread(constraints: &Field<'_>) -> Vec<FieldError> {
    const ACTIONS: [&str; 2] = ["DoNotSchedule", "ScheduleAnyway"];
    let mut errors = Vec::new();
    let all: Vec<_> = constraints.items().collect();
    let key = |constraint: &Field<'_>| {
        let text = |member| constraint.child(member).text().to_owned();
        (text("topologyKey"), text("whenUnsatisfiable"))
    };
    for (at, constraint) in all.iter().enumerate() {
        let (skew, topology) = (constraint.child("maxSkew"), constraint.child("topologyKey"));
        let action = constraint.child("whenUnsatisfiable");
        if skew.number().unwrap_or_default() <= 0 {
            let number = skew.number().unwrap_or_default();
            errors.push(FieldError::invalid(skew.path(), number, "must be greater than zero"));
        }
        if topology.text().is_empty() {
            errors.push(topology.required("can not be empty"));
        }
        errors.extend(action.one_of(&ACTIONS));
        let own = key(constraint);
        if all[at + 1..].iter().any(|other| key(other) == own) {
            let path = constraint.child("{topologyKey, whenUnsatisfiable}").path();
            errors.push(FieldError::duplicate(path, format!("{{{}, {}}}", own.0, own.1)));
        }
        let domains = constraint.child("minDomains");
        if let Some(number) = domains.number() {
            if number <= 0 {
                errors.push(domains.invalid("must be greater than zero"));
            }
            if action.text() != ACTIONS[0] {
                let why = format!(
                    "can only use minDomains if whenUnsatisfiable=DoNotSchedule, not {}",
                    action.text()
                );
                errors.push(domains.invalid(&why));
            }
        }
        for member in ["nodeAffinityPolicy", "nodeTaintsPolicy"] {
            let policy = constraint.child(member);
            if policy.is_set() {
                errors.extend(policy.one_of(&["Honor", "Ignore"]));
            }
        }
        errors.extend(label_keys(constraint, "matchLabelKeys"));
        let selector = constraint.child("labelSelector");
        errors.extend(label_selector::validate(selector.value(), &selector.path()));
    }
    errors
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::strategy::tests::texts;

    fn faults(rule: fn(&Field<'_>) -> Vec<FieldError>, value: &Value) -> Vec<String> {
        let object = json!({"a": value});
        texts(&rule(&Field::of(object.as_object().unwrap(), "a")))
    }

    #[test]
    fn nodes_one_by_one() {
        let expression = |expression: Value| json!({"nodeAffinity": {REQUIRED: {"nodeSelectorTerms": [{"matchExpressions": [expression]}]}}});
        let at = format!("a.nodeAffinity.{REQUIRED}.nodeSelectorTerms");
        assert_eq!(
            faults(affinity, &expression(json!({"key": "a", "operator": "In", "values": ["b"]}))),
            [""; 0]
        );
        let table = [
            (
                json!({"nodeAffinity": {REQUIRED: {}}}),
                ": Required value: must have at least one node selector term",
            ),
            (
                expression(json!({"key": "a", "operator": "Foo"})),
                "[0].matchExpressions[0].operator: Invalid value: \"Foo\": not a valid selector operator",
            ),
            (
                expression(json!({"key": "a", "operator": "In"})),
                "[0].matchExpressions[0].values: Required value: must be specified when `operator` is 'In' or 'NotIn'",
            ),
            (
                expression(json!({"key": "a", "operator": "Exists", "values": ["b"]})),
                "[0].matchExpressions[0].values: Forbidden: may not be specified when `operator` is 'Exists' or 'DoesNotExist'",
            ),
            (
                expression(json!({"key": "a", "operator": "Gt"})),
                "[0].matchExpressions[0].values: Required value: must be specified single value when `operator` is 'Lt' or 'Gt'",
            ),
            (
                json!({"nodeAffinity": {REQUIRED: {"nodeSelectorTerms": [{"matchFields": [{"key": "a", "operator": "In", "values": ["b"]}]}]}}}),
                "[0].matchFields[0].key: Invalid value: \"a\": not a valid field selector key",
            ),
        ];
        for (value, wanted) in table {
            assert_eq!(faults(affinity, &value), [format!("{at}{wanted}")], "{value}");
        }
        let preferred = json!({"nodeAffinity": {PREFERRED: [{"preference": {"matchExpressions": [{"key": "a", "operator": "In", "values": ["b c"]}]}}]}});
        assert_eq!(
            faults(affinity, &preferred),
            [format!("a.nodeAffinity.{PREFERRED}[0].weight: Invalid value: 0: must be in the range 1-100")]
        );
    }

    #[test]
    fn pods_one_by_one() {
        let good = json!({"podAffinity": {REQUIRED: [{"topologyKey": "kubernetes.io/hostname", "labelSelector": {"matchLabels": {"a": "b"}}}]}});
        assert_eq!(faults(affinity, &good), [""; 0]);
        let found = faults(affinity, &json!({"podAffinity": {REQUIRED: [{}]}}));
        assert_eq!(
            found[0],
            format!("a.podAffinity.{REQUIRED}[0].topologyKey: Required value: can not be empty")
        );
        assert!(
            found[1].ends_with("topologyKey: Invalid value: \"\": name part must be non-empty"),
            "{found:?}"
        );
        let found = faults(
            affinity,
            &json!({"podAntiAffinity": {PREFERRED: [{"weight": 101, "podAffinityTerm": {"topologyKey": "a", "namespaces": ["B"]}}]}}),
        );
        assert!(
            found[0].ends_with("[0].weight: Invalid value: 101: must be in the range 1-100"),
            "{found:?}"
        );
        assert!(
            found[1].contains("[0].podAffinityTerm.namespace: Invalid value: \"B\": a lowercase"),
            "{found:?}"
        );
    }

    #[test]
    fn spreading() {
        let good = json!({"maxSkew": 1, "topologyKey": "a", "whenUnsatisfiable": "DoNotSchedule"});
        assert_eq!(faults(spread, &json!([good])), [""; 0]);
        let with = |member: &str, value: Value| {
            let mut constraint = good.clone();
            constraint[member] = value;
            json!([constraint])
        };
        let table = [
            (with("maxSkew", json!(0)), "a[0].maxSkew: Invalid value: 0: must be greater than zero"),
            (with("topologyKey", json!("")), "a[0].topologyKey: Required value: can not be empty"),
            (
                with("whenUnsatisfiable", json!("X")),
                "a[0].whenUnsatisfiable: Unsupported value: \"X\": supported values: \"DoNotSchedule\", \"ScheduleAnyway\"",
            ),
            (
                with("nodeTaintsPolicy", json!("X")),
                "a[0].nodeTaintsPolicy: Unsupported value: \"X\": supported values: \"Honor\", \"Ignore\"",
            ),
            (with("minDomains", json!(0)), "a[0].minDomains: Invalid value: 0: must be greater than zero"),
            (
                json!([good, good]),
                "a[0].{topologyKey, whenUnsatisfiable}: Duplicate value: \"{a, DoNotSchedule}\"",
            ),
        ];
        for (value, wanted) in table {
            assert_eq!(faults(spread, &value), [wanted], "{value}");
        }
    }
}
