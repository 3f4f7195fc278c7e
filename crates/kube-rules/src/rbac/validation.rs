//! Defaults and rules of the four kinds, on objects as trees. Metadata is checked elsewhere, as of every kind.

use serde_json::{Map, Value, json};

use super::{GROUP, PolicyRule};
use crate::{FieldError, label_selector, metadata, names};

/// The names of roles and bindings may be whatever can stand in a path: `system:node` is one.
pub const NAME_RULE: metadata::NameRule = metadata::NameRule::PathSegment;

/// Fills in the API groups that a binding may leave out: of its role, and of users and groups.
pub fn set_binding_defaults(binding: &mut Map<String, Value>) {
    let is_empty = |object: &Map<String, Value>| {
        object.get("apiGroup").and_then(Value::as_str).unwrap_or_default().is_empty()
    };
    let role = binding.entry("roleRef").or_insert(Value::Null);
    if role.is_null() {
        *role = Value::Object(Map::new());
    }
    if let Some(role) = role.as_object_mut()
        && is_empty(role)
    {
        role.insert("apiGroup".to_owned(), GROUP.into());
    }
    let subjects = binding.get_mut("subjects").and_then(Value::as_array_mut);
    for subject in subjects.into_iter().flatten().filter_map(Value::as_object_mut) {
        let kind = subject.get("kind").and_then(Value::as_str).unwrap_or_default();
        if matches!(kind, "User" | "Group") && is_empty(subject) {
            subject.insert("apiGroup".to_owned(), GROUP.into());
        }
    }
}

/// What is wrong with the rules of a Role (`namespaced`) or a ClusterRole.
#[must_use]
pub fn validate_role(role: &Map<String, Value>, namespaced: bool) -> Vec<FieldError> {
    let rules = role.get("rules").and_then(Value::as_array);
    let rules = rules.into_iter().flatten().map(|rule| {
        // It was decoded by the kind's own types: nothing else can stand there.
        serde_json::from_value::<PolicyRule>(rule.clone()).unwrap_or_default()
    });
    let errors = rules.enumerate().flat_map(|(place, rule)| validate_rule(&rule, namespaced, place));
    errors.chain(validate_aggregation(role.get("aggregationRule"))).collect()
}

fn validate_aggregation(aggregation: Option<&Value>) -> Vec<FieldError> {
    let Some(aggregation) = aggregation.and_then(Value::as_object) else { return Vec::new() };
    let selectors = aggregation.get("clusterRoleSelectors").and_then(Value::as_array);
    let Some(selectors) = selectors.filter(|selectors| !selectors.is_empty()) else {
        let detail = "at least one clusterRoleSelector required if aggregationRule is non-nil";
        return vec![FieldError::required("aggregationRule.clusterRoleSelectors", detail)];
    };
    let path = |place| format!("aggregationRule.clusterRoleSelectors[{place}]");
    let faults = |(place, selector)| {
        let mut errors = label_selector::validate(selector, &path(place));
        if !errors.is_empty() {
            // Upstream shows what it made of the selector, which is nothing.
            errors.push(FieldError::invalid(path(place), Value::Null, "invalid label selector."));
        }
        errors
    };
    selectors.iter().enumerate().flat_map(faults).collect()
}

fn validate_rule(rule: &PolicyRule, namespaced: bool, place: usize) -> Vec<FieldError> {
    let path = |member: &str| format!("rules[{place}].{member}");
    let mut errors = Vec::new();
    if rule.verbs.is_empty() {
        errors.push(FieldError::required(path("verbs"), "verbs must contain at least one value"));
    }
    if !rule.non_resource_urls.is_empty() {
        let mut refuse = |why| {
            let urls = rule.non_resource_urls.clone();
            errors.push(FieldError::invalid(path("nonResourceURLs"), urls, why));
        };
        if namespaced {
            refuse("namespaced rules cannot apply to non-resource URLs");
        }
        let is_mixed = [&rule.api_groups, &rule.resources, &rule.resource_names];
        if is_mixed.iter().any(|list| !list.is_empty()) {
            refuse("rules cannot apply to both regular resources and non-resource URLs");
        }
        return errors;
    }
    if rule.api_groups.is_empty() {
        let detail = "resource rules must supply at least one api group";
        errors.push(FieldError::required(path("apiGroups"), detail));
    }
    if rule.resources.is_empty() {
        let detail = "resource rules must supply at least one resource";
        errors.push(FieldError::required(path("resources"), detail));
    }
    errors
}

/// What is wrong with a RoleBinding (`namespaced`) or a ClusterRoleBinding.
#[must_use]
pub fn validate_binding(binding: &Map<String, Value>, namespaced: bool) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let role = binding.get("roleRef");
    let group = text(role, "apiGroup");
    if group != GROUP {
        errors.push(FieldError::not_supported("roleRef.apiGroup", group, &[GROUP]));
    }
    let kinds: &[&str] = if namespaced { &["Role", "ClusterRole"] } else { &["ClusterRole"] };
    let kind = text(role, "kind");
    if !kinds.contains(&kind) {
        errors.push(FieldError::not_supported("roleRef.kind", kind, kinds));
    }
    let name = text(role, "name");
    if name.is_empty() {
        errors.push(FieldError::required("roleRef.name", ""));
    }
    let faults = names::path_segment(name).into_iter();
    errors.extend(faults.map(|fault| FieldError::invalid("roleRef.name", name, &fault)));
    let subjects = binding.get("subjects").and_then(Value::as_array);
    for (place, subject) in subjects.into_iter().flatten().enumerate() {
        errors.extend(validate_subject(subject, namespaced, place));
    }
    errors
}

fn validate_subject(subject: &Value, namespaced: bool, place: usize) -> Vec<FieldError> {
    let path = |member: &str| format!("subjects[{place}].{member}");
    let [kind, name, group] = ["kind", "name", "apiGroup"].map(|member| text(Some(subject), member));
    let mut errors = Vec::new();
    if name.is_empty() {
        errors.push(FieldError::required(path("name"), ""));
    }
    match kind {
        "ServiceAccount" => {
            if !name.is_empty() {
                let faults = names::dns_subdomain(name).into_iter();
                errors.extend(faults.map(|fault| FieldError::invalid(path("name"), name, &fault)));
            }
            if !group.is_empty() {
                errors.push(FieldError::not_supported(path("apiGroup"), group, &[""]));
            }
            if !namespaced && text(Some(subject), "namespace").is_empty() {
                errors.push(FieldError::required(path("namespace"), ""));
            }
        }
        "User" | "Group" => {
            if group != GROUP {
                errors.push(FieldError::not_supported(path("apiGroup"), group, &[GROUP]));
            }
        }
        other => {
            let supported = ["ServiceAccount", "User", "Group"];
            errors.push(FieldError::not_supported(path("kind"), other, &supported));
        }
    }
    errors
}

/// What is wrong with a changed binding beyond [`validate_binding`]: what it binds to stays. Whoever may change its
/// subjects has not thereby the right to hand out another role.
#[must_use]
pub fn validate_binding_update(new: &Map<String, Value>, old: &Map<String, Value>) -> Vec<FieldError> {
    // As upstream prints it: its internal type has no JSON names.
    let shown = |binding: &Map<String, Value>| {
        let role = binding.get("roleRef");
        json!({"APIGroup": text(role, "apiGroup"), "Kind": text(role, "kind"), "Name": text(role, "name")})
    };
    let (new, old) = (shown(new), shown(old));
    if new == old { Vec::new() } else { vec![FieldError::invalid("roleRef", new, "cannot change roleRef")] }
}

fn text<'a>(object: Option<&'a Value>, member: &str) -> &'a str {
    object.and_then(|object| object.get(member)).and_then(Value::as_str).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(json: Value) -> Map<String, Value> {
        match json {
            Value::Object(members) => members,
            other => panic!("wanted an object, found {other}"),
        }
    }

    fn texts(errors: &[FieldError]) -> Vec<String> {
        errors.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn rules_of_roles() {
        let table = [
            (json!({"rules": null}), true, vec![]),
            (json!({"rules": [{"verbs": ["get"], "apiGroups": [""], "resources": ["pods"]}]}), true, vec![]),
            (json!({"rules": [{"verbs": ["get"], "nonResourceURLs": ["/x"]}]}), false, vec![]),
            (
                json!({"rules": [{"verbs": ["get"], "nonResourceURLs": ["/x"], "resources": ["pods"]}]}),
                true,
                vec![
                    r#"rules[0].nonResourceURLs: Invalid value: ["/x"]: namespaced rules cannot apply to non-resource URLs"#,
                    r#"rules[0].nonResourceURLs: Invalid value: ["/x"]: rules cannot apply to both regular resources and non-resource URLs"#,
                ],
            ),
            (
                json!({"rules": [{}]}),
                false,
                vec![
                    "rules[0].verbs: Required value: verbs must contain at least one value",
                    "rules[0].apiGroups: Required value: resource rules must supply at least one api group",
                    "rules[0].resources: Required value: resource rules must supply at least one resource",
                ],
            ),
            (
                json!({"rules": null, "aggregationRule": {"clusterRoleSelectors": []}}),
                false,
                vec![
                    "aggregationRule.clusterRoleSelectors: Required value: at least one clusterRoleSelector required if aggregationRule is non-nil",
                ],
            ),
            (
                json!({"rules": null, "aggregationRule": {"clusterRoleSelectors": [{"matchLabels": {"a": "b"}}, {"matchExpressions": [
                    {"key": "k", "operator": "In"},
                    {"key": "k", "operator": "Exists", "values": ["v"]},
                    {"key": "k", "operator": "Is", "values": ["v"]},
                ]}]}}),
                false,
                vec![
                    "aggregationRule.clusterRoleSelectors[1].matchExpressions[0].values: Required value: must be specified when `operator` is 'In' or 'NotIn'",
                    "aggregationRule.clusterRoleSelectors[1].matchExpressions[1].values: Forbidden: may not be specified when `operator` is 'Exists' or 'DoesNotExist'",
                    "aggregationRule.clusterRoleSelectors[1].matchExpressions[2].operator: Invalid value: \"Is\": not a valid selector operator",
                    "aggregationRule.clusterRoleSelectors[1]: Invalid value: null: invalid label selector.",
                ],
            ),
        ];
        for (role, namespaced, expected) in table {
            assert_eq!(texts(&validate_role(&object(role), namespaced)), expected);
        }
    }

    #[test]
    fn bindings_are_defaulted_and_then_good() {
        let mut binding = object(json!({
            "roleRef": {"kind": "ClusterRole", "name": "system:node"},
            "subjects": [
                {"kind": "User", "name": "u"},
                {"kind": "Group", "name": "g", "apiGroup": ""},
                {"kind": "ServiceAccount", "name": "s", "namespace": "n"},
            ],
        }));
        set_binding_defaults(&mut binding);
        assert_eq!(binding["roleRef"]["apiGroup"], GROUP);
        assert_eq!(binding["subjects"][0]["apiGroup"], GROUP);
        assert_eq!(binding["subjects"][1]["apiGroup"], GROUP);
        assert!(binding["subjects"][2].get("apiGroup").is_none());
        assert!(validate_binding(&binding, false).is_empty());
    }

    #[test]
    fn faults_of_bindings() {
        let binding = object(json!({
            "roleRef": {"apiGroup": "other", "kind": "Role", "name": "a/b"},
            "subjects": [
                {"kind": "User", "apiGroup": GROUP, "name": ""},
                {"kind": "ServiceAccount", "apiGroup": GROUP, "name": "Not_Good"},
                {"kind": "Pod", "name": "p"},
            ],
        }));
        let errors = texts(&validate_binding(&binding, false));
        let expected = [
            r#"roleRef.apiGroup: Unsupported value: "other": supported values: "rbac.authorization.k8s.io""#,
            r#"roleRef.kind: Unsupported value: "Role": supported values: "ClusterRole""#,
            r#"roleRef.name: Invalid value: "a/b": may not contain '/'"#,
            "subjects[0].name: Required value",
            r#"subjects[1].name: Invalid value: "Not_Good": a lowercase RFC 1123 subdomain must consist of"#,
            r#"subjects[1].apiGroup: Unsupported value: "rbac.authorization.k8s.io": supported values: """#,
            "subjects[1].namespace: Required value",
            r#"subjects[2].kind: Unsupported value: "Pod": supported values: "ServiceAccount", "User", "Group""#,
        ];
        assert_eq!(errors.len(), expected.len(), "{errors:#?}");
        for (found, expected) in errors.iter().zip(expected) {
            assert!(found.starts_with(expected), "{found}");
        }
        let local = object(json!({"roleRef": {"apiGroup": GROUP, "kind": "Role", "name": "r"},
            "subjects": [{"kind": "ServiceAccount", "name": "s"}]}));
        assert!(validate_binding(&local, true).is_empty());
        assert_eq!(
            texts(&validate_binding(
                &object(json!({"roleRef": {"apiGroup": GROUP, "kind": "Role", "name": ""}})),
                true
            )),
            ["roleRef.name: Required value"]
        );
    }

    #[test]
    fn a_binding_to_nothing_lacks_no_group() {
        let mut binding = object(json!({"subjects": [{"kind": "Group", "name": ""}]}));
        set_binding_defaults(&mut binding);
        let wanted = [
            r#"roleRef.kind: Unsupported value: "": supported values: "Role", "ClusterRole""#,
            "roleRef.name: Required value",
            "subjects[0].name: Required value",
        ];
        assert_eq!(texts(&validate_binding(&binding, true)), wanted);
    }

    #[test]
    fn what_a_binding_binds_to_stays() {
        let binding =
            |name: &str| object(json!({"roleRef": {"apiGroup": GROUP, "kind": "ClusterRole", "name": name}}));
        assert!(validate_binding_update(&binding("a"), &binding("a")).is_empty());
        assert_eq!(
            texts(&validate_binding_update(&binding("b"), &binding("a"))),
            [
                r#"roleRef: Invalid value: {"APIGroup":"rbac.authorization.k8s.io","Kind":"ClusterRole","Name":"b"}: cannot change roleRef"#
            ]
        );
    }
}
