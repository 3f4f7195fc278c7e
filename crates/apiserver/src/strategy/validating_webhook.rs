//! ValidatingWebhookConfiguration: whom to ask before something is written.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use tokenward_cel::Program;
use tokenward_kube_rules::{FeatureGates, FieldError, label_selector, names};

use super::field::Field;
use super::{Check, Strategy};
use crate::object::{Metadata, Object, child_mut, set_default};
use crate::webhook::condition_variables;

/// So many conditions a webhook may have.
const MOST_CONDITIONS: usize = 64;

pub(super) struct ValidatingWebhookStrategy;

impl Strategy for ValidatingWebhookStrategy {
    fn checks_of_change(&self) -> &'static [Check] {
        &[Check::Metadata, Check::Content, Check::ContentChange]
    }

    fn knows_finalizers(&self) -> bool {
        false
    }

    fn unconditional_update(&self) -> bool {
        false
    }

    fn set_defaults(&self, object: &mut Object) {
        let webhooks = object.get_mut("webhooks").and_then(Value::as_array_mut).into_iter().flatten();
        for webhook in webhooks.filter_map(Value::as_object_mut) {
            set_default(webhook, "failurePolicy", "Fail");
            set_default(webhook, "matchPolicy", "Equivalent");
            set_default(webhook, "namespaceSelector", json!({}));
            set_default(webhook, "objectSelector", json!({}));
            set_default(webhook, "timeoutSeconds", 10);
            let rules = webhook.get_mut("rules").and_then(Value::as_array_mut).into_iter().flatten();
            for rule in rules.filter_map(Value::as_object_mut) {
                set_default(rule, "scope", "*");
            }
            if let Some(Value::Object(service)) = child_mut(webhook, "clientConfig").get_mut("service") {
                set_default(service, "port", 443);
            }
        }
    }

    fn prepare_create(&self, object: &mut Object, _gates: &FeatureGates) {
        object.metadata_mut().insert("generation".to_owned(), 1.into());
    }

    fn prepare_update(&self, new: &mut Object, old: &Object, _gates: &FeatureGates) {
        if new.get("webhooks") != old.get("webhooks") {
            let generation = old.metadata_number("generation").saturating_add(1);
            new.metadata_mut().insert("generation".to_owned(), generation.into());
        }
    }

    fn validate(&self, object: &Object) -> Vec<FieldError> {
        let mut errors = Vec::new();
        let mut seen = BTreeSet::new();
        for webhook in Field::of(object, "webhooks").items() {
            errors.extend(webhook_faults(&webhook));
            errors.extend(version_faults(&webhook.child("admissionReviewVersions")));
            let name = webhook.child("name");
            if !name.text().is_empty() && !seen.insert(name.text()) {
                errors.push(name.duplicate());
            }
        }
        errors
    }
}

fn webhook_faults(webhook: &Field<'_>) -> Vec<FieldError> {
    let name = webhook.child("name");
    let mut errors = names::fully_qualified(name.text(), &name.path());
    for rule in webhook.child("rules").items() {
        errors.extend(rule_faults(&rule));
    }
    errors.extend(webhook.child("failurePolicy").one_of(&["Fail", "Ignore"]));
    errors.extend(webhook.child("matchPolicy").one_of(&["Equivalent", "Exact"]));
    let effects = webhook.child("sideEffects");
    if effects.is_set() {
        errors.extend(effects.one_of(&["None", "NoneOnDryRun"]));
    } else {
        errors.push(effects.required("must specify one of None, NoneOnDryRun"));
    }
    let timeout = webhook.child("timeoutSeconds");
    if timeout.number().is_some_and(|seconds| !(1..=30).contains(&seconds)) {
        errors.push(timeout.invalid("the timeout value must be between 1 and 30 seconds"));
    }
    for member in ["namespaceSelector", "objectSelector"] {
        let selector = webhook.child(member);
        errors.extend(label_selector::validate(selector.value(), &selector.path()));
    }
    errors.extend(client_faults(&webhook.child("clientConfig")));
    errors.extend(condition_faults(&webhook.child("matchConditions")));
    errors
}

fn condition_faults(conditions: &Field<'_>) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let count = conditions.items().len();
    if count > MOST_CONDITIONS {
        errors.push(FieldError::too_many(conditions.path(), count, MOST_CONDITIONS));
    }
    let variables = condition_variables();
    let mut seen = BTreeSet::new();
    // Each is read from its beginning to its end: what is too many is not.
    for condition in conditions.items().take(MOST_CONDITIONS) {
        let (expression, name) = (condition.child("expression"), condition.child("name"));
        let text = expression.text().trim();
        if text.is_empty() {
            errors.push(expression.required(""));
        } else if let Err(why) = Program::compile(text, &variables) {
            errors.push(FieldError::invalid(expression.path(), text, &why.to_string()));
        }
        match name.require_text() {
            Some(error) => errors.push(error),
            None => errors.extend(name.faults(names::qualified_name)),
        }
        if !name.text().is_empty() && !seen.insert(name.text()) {
            errors.push(name.duplicate());
        }
    }
    errors
}

fn client_faults(client: &Field<'_>) -> Vec<FieldError> {
    let (url, service) = (client.child("url"), client.child("service"));
    match (url.is_set(), service.is_set()) {
        (true, false) => url_faults(&url),
        (false, true) => {
            let mut errors = Vec::new();
            for member in ["name", "namespace"] {
                let field = service.child(member);
                if field.text().is_empty() {
                    errors.push(field.required(&format!("service {member} is required")));
                }
            }
            let port = service.child("port");
            let faults = names::port_number(port.number().unwrap_or_default());
            if !faults.is_empty() {
                errors.push(port.invalid(&format!("port is not valid: {}", faults.join(","))));
            }
            let path = service.child("path");
            if !path.text().is_empty() && !path.text().starts_with('/') {
                errors.push(path.invalid("must start with a '/'"));
            }
            errors
        }
        _ => vec![client.required("exactly one of url or service is required")],
    }
}

fn url_faults(url: &Field<'_>) -> Vec<FieldError> {
    const FORM: &str = "; desired format: https://host[/path]";
    let Some((scheme, rest)) = url.text().split_once("://") else {
        let why = format!("'https' is the only allowed URL scheme{FORM}");
        return vec![FieldError::invalid(url.path(), "", &why)];
    };
    let mut errors = Vec::new();
    let refuse = |value: &str, why: &str| FieldError::invalid(url.path(), value, why);
    if scheme != "https" {
        errors.push(refuse(scheme, &format!("'https' is the only allowed URL scheme{FORM}")));
    }
    let (rest, fragment) = rest.split_once('#').unwrap_or((rest, ""));
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    let authority = rest.split('/').next().unwrap_or_default();
    let (user, host) = authority.rsplit_once('@').unwrap_or(("", authority));
    if host.is_empty() {
        errors.push(refuse("", &format!("host must be specified{FORM}")));
    }
    if !user.is_empty() {
        // A password may stand there.
        errors.push(refuse("", "user information is not permitted in the URL"));
    }
    if !fragment.is_empty() {
        errors.push(refuse(fragment, "fragments are not permitted in the URL"));
    }
    if !query.is_empty() {
        errors.push(refuse(query, "query parameters are not permitted in the URL"));
    }
    if errors.is_empty() && url.text().parse::<http::Uri>().is_err() {
        errors.push(url.required(&format!("url must be a valid URL{FORM}")));
    }
    errors
}

fn rule_faults(rule: &Field<'_>) -> Vec<FieldError> {
    const OPERATIONS: [&str; 5] = ["*", "CONNECT", "CREATE", "DELETE", "UPDATE"];
    let mut errors = list_faults(&rule.child("operations"), "operations", false);
    errors.extend(rule.child("operations").items().filter_map(|operation| operation.one_of(&OPERATIONS)));
    errors.extend(list_faults(&rule.child("apiGroups"), "API groups", false));
    errors.extend(list_faults(&rule.child("apiVersions"), "API versions", true));
    errors.extend(resource_faults(&rule.child("resources")));
    let scope = rule.child("scope");
    if scope.is_set() {
        errors.extend(scope.one_of(&["*", "Cluster", "Namespaced"]));
    }
    errors
}

fn list_faults(list: &Field<'_>, what: &str, texts_required: bool) -> Vec<FieldError> {
    let count = list.items().len();
    let mut errors = Vec::new();
    if count == 0 {
        errors.push(list.required(""));
    }
    if count > 1 && list.items().any(|item| item.text() == "*") {
        errors.push(list.invalid(&format!("if '*' is present, must not specify other {what}")));
    }
    if texts_required {
        errors.extend(list.items().filter_map(|item| item.require_text()));
    }
    errors
}

fn resource_faults(resources: &Field<'_>) -> Vec<FieldError> {
    let mut errors = Vec::new();
    if resources.items().len() == 0 {
        errors.push(resources.required(""));
    }
    let all: Vec<&str> = resources.items().map(|item| item.text()).collect();
    for resource in resources.items() {
        let text = resource.text();
        errors.extend(resource.require_text());
        match text.split_once('/') {
            Some((of, below)) => {
                let whole = format!("{of}/*");
                if below != "*" && all.contains(&whole.as_str()) {
                    errors
                        .push(resource.invalid(&format!("if '{whole}' is present, must not specify {text}")));
                }
                let everywhere = format!("*/{below}");
                if of != "*" && all.contains(&everywhere.as_str()) {
                    errors.push(
                        resource.invalid(&format!("if '{everywhere}' is present, must not specify {text}")),
                    );
                }
            }
            None if text != "*" && all.contains(&"*") => {
                let why = "if '*' is present, must not specify other resources without subresources";
                errors.push(resources.invalid(why));
            }
            None => {}
        }
    }
    if all.len() > 1 && all.contains(&"*/*") {
        errors.push(resources.invalid("if '*/*' is present, must not specify other resources"));
    }
    errors
}

fn version_faults(versions: &Field<'_>) -> Vec<FieldError> {
    const ACCEPTED: [&str; 2] = ["v1", "v1beta1"];
    if versions.items().len() == 0 {
        return vec![versions.required("must specify one of v1, v1beta1")];
    }
    let mut errors = Vec::new();
    let mut seen = BTreeSet::new();
    for version in versions.items() {
        if !seen.insert(version.text()) {
            errors.push(version.invalid("duplicate version"));
        }
        errors.extend(version.faults(names::dns_label));
    }
    if errors.is_empty() && !ACCEPTED.iter().any(|accepted| seen.contains(accepted)) {
        errors.push(versions.invalid("must include at least one of v1, v1beta1"));
    } else if errors.is_empty() && !seen.contains("v1") {
        // Upstream speaks the older version too.
        errors.push(versions.invalid("this server sends AdmissionReview v1: include it"));
    }
    errors
}

#[cfg(test)]
mod tests {
    use super::super::tests::texts;
    use super::*;

    fn configuration(changes: &Value) -> Object {
        let mut webhook = json!({
            "name": "a.b.example", "sideEffects": "None", "admissionReviewVersions": ["v1"],
            "clientConfig": {"url": "https://host.example/path"},
            "rules": [{"operations": ["CREATE"], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods"]}],
        });
        json_patch::merge(&mut webhook, changes);
        let mut object = json!({"webhooks": [webhook]}).as_object().unwrap().clone();
        ValidatingWebhookStrategy.set_defaults(&mut object);
        object
    }

    #[test]
    fn defaults() {
        let service = json!({"clientConfig": {"url": null, "service": {"name": "s", "namespace": "n"}}});
        let object = configuration(&service);
        assert_eq!(ValidatingWebhookStrategy.validate(&object), []);
        let webhook = &object["webhooks"][0];
        for (member, value) in [
            ("failurePolicy", json!("Fail")),
            ("matchPolicy", json!("Equivalent")),
            ("namespaceSelector", json!({})),
            ("objectSelector", json!({})),
            ("timeoutSeconds", json!(10)),
        ] {
            assert_eq!(webhook[member], value, "{member}");
        }
        assert_eq!(webhook["rules"][0]["scope"], "*");
        assert_eq!(webhook["clientConfig"]["service"]["port"], 443);
    }

    #[test]
    fn what_is_refused() {
        let rule = |member: &str, value: Value| {
            let mut rule = json!({"operations": ["CREATE"], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods"]});
            rule[member] = value;
            json!({"rules": [rule]})
        };
        let url = |url: &str| json!({"clientConfig": {"url": url}});
        let table = [
            (
                json!({"name": "short"}),
                "name: Invalid value: \"short\": should be a domain with at least three segments separated by dots",
            ),
            (
                json!({"sideEffects": null}),
                "sideEffects: Required value: must specify one of None, NoneOnDryRun",
            ),
            (
                json!({"sideEffects": "Some"}),
                "sideEffects: Unsupported value: \"Some\": supported values: \"None\", \"NoneOnDryRun\"",
            ),
            (
                json!({"timeoutSeconds": 31}),
                "timeoutSeconds: Invalid value: 31: the timeout value must be between 1 and 30 seconds",
            ),
            (
                json!({"failurePolicy": "Maybe"}),
                "failurePolicy: Unsupported value: \"Maybe\": supported values: \"Fail\", \"Ignore\"",
            ),
            (
                json!({"clientConfig": {"url": null}}),
                "clientConfig: Required value: exactly one of url or service is required",
            ),
            (
                url("http://host"),
                "clientConfig.url: Invalid value: \"http\": 'https' is the only allowed URL scheme; desired format: https://host[/path]",
            ),
            (
                url("https:///path"),
                "clientConfig.url: Invalid value: \"\": host must be specified; desired format: https://host[/path]",
            ),
            (
                url("https://me:canary@host"),
                "clientConfig.url: Invalid value: \"\": user information is not permitted in the URL",
            ),
            (
                url("https://host?a=b"),
                "clientConfig.url: Invalid value: \"a=b\": query parameters are not permitted in the URL",
            ),
            (
                url("https://host#a"),
                "clientConfig.url: Invalid value: \"a\": fragments are not permitted in the URL",
            ),
            (
                json!({"matchConditions": [{"name": "a", "expression": " "}]}),
                "matchConditions[0].expression: Required value",
            ),
            (
                json!({"matchConditions": [{"name": "", "expression": "true"}]}),
                "matchConditions[0].name: Required value",
            ),
            (
                json!({"matchConditions": [{"name": "a", "expression": "true"}, {"name": "a", "expression": "true"}]}),
                "matchConditions[1].name: Duplicate value: \"a\"",
            ),
            (
                json!({"matchConditions": [{"name": "a", "expression": " object.metadata.name "}]}),
                "matchConditions[0].expression: Invalid value: \"object.metadata.name\": must evaluate to bool but got dyn",
            ),
            (
                json!({"matchConditions": [{"name": "a", "expression": "nothing"}]}),
                "matchConditions[0].expression: Invalid value: \"nothing\": compilation failed: ERROR: <input>:1:1: \
                 undeclared reference to 'nothing' (in container '')\n | nothing\n | ^",
            ),
            (
                json!({"matchConditions": (0..65)
                    .map(|number| json!({"name": format!("a{number}"), "expression": "true"}))
                    .collect::<Vec<Value>>()}),
                "matchConditions: Too many: 65: must have at most 64 items",
            ),
            (
                json!({"admissionReviewVersions": []}),
                "admissionReviewVersions: Required value: must specify one of v1, v1beta1",
            ),
            (
                json!({"admissionReviewVersions": ["v2"]}),
                "admissionReviewVersions: Invalid value: [\"v2\"]: must include at least one of v1, v1beta1",
            ),
            (
                rule("operations", json!(["READ"])),
                "rules[0].operations[0]: Unsupported value: \"READ\": supported values: \"*\", \"CONNECT\", \"CREATE\", \"DELETE\", \"UPDATE\"",
            ),
            (
                rule("operations", json!(["*", "CREATE"])),
                "rules[0].operations: Invalid value: [\"*\",\"CREATE\"]: if '*' is present, must not specify other operations",
            ),
            (rule("apiGroups", json!([])), "rules[0].apiGroups: Required value"),
            (
                rule("resources", json!(["pods/*", "pods/status"])),
                "rules[0].resources[1]: Invalid value: \"pods/status\": if 'pods/*' is present, must not specify pods/status",
            ),
            (
                rule("scope", json!("World")),
                "rules[0].scope: Unsupported value: \"World\": supported values: \"*\", \"Cluster\", \"Namespaced\"",
            ),
        ];
        for (changes, wanted) in table {
            let found = texts(&ValidatingWebhookStrategy.validate(&configuration(&changes)));
            assert_eq!(found, [format!("webhooks[0].{wanted}")], "{changes}");
        }
    }
}
