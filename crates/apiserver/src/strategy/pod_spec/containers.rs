//! What is wrong with a pod's containers.

use tokenward_kube_rules::quantity::Quantity;
use tokenward_kube_rules::{FieldError, names};

use super::super::field::Field;
use super::volumes::descending;

/// The errors of a list of containers. `names` are those of the lists before it.
pub(super) fn validate<'a>(list: &Field<'a>, volumes: &[&str], taken: &mut Vec<&'a str>) -> Vec<FieldError> {
    let mut errors = Vec::new();
    for container in list.items() {
        errors.extend(common(&container, volumes));
        let name = container.child("name");
        if taken.contains(&name.text()) {
            errors.push(name.duplicate());
        }
        taken.push(name.text());
    }
    errors
}

fn common(container: &Field<'_>, volumes: &[&str]) -> Vec<FieldError> {
    let (name, image) = (container.child("name"), container.child("image"));
    let mut errors = Vec::new();
    match name.require_text() {
        Some(error) => errors.push(error),
        None => errors.extend(name.faults(names::dns_label)),
    }
    errors.extend(image.require_text());
    if image.text().trim() != image.text() {
        errors.push(image.invalid("must not have leading or trailing whitespace"));
    }
    let policy = container.child("terminationMessagePolicy");
    errors.extend(policy.require_text().or_else(|| policy.one_of(&["FallbackToLogsOnError", "File"])));
    errors.extend(port_faults(&container.child("ports")));
    errors.extend(environment_faults(&container.child("env")));
    errors.extend(mount_faults(container, volumes));
    let pull = container.child("imagePullPolicy");
    errors.extend(pull.require_text().or_else(|| pull.one_of(&["Always", "IfNotPresent", "Never"])));
    errors.extend(resource_faults(&container.child("resources")));
    errors
}

fn port_faults(ports: &Field<'_>) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let mut seen = Vec::new();
    for port in ports.items() {
        let name = port.child("name");
        if !name.text().is_empty() {
            let faults = name.faults(names::port_name);
            if faults.is_empty() && seen.contains(&name.text()) {
                errors.push(name.duplicate());
            }
            seen.push(name.text());
            errors.extend(faults);
        }
        let number = |member: &'static str| {
            let field = port.child(member);
            let number = field.number().unwrap_or_default();
            (number, field)
        };
        match number("containerPort") {
            (0, field) => errors.push(field.required("")),
            (number, field) => {
                errors.extend(names::port_number(number).iter().map(|fault| field.invalid(fault)));
            }
        }
        let (host, field) = number("hostPort");
        if host != 0 {
            errors.extend(names::port_number(host).iter().map(|fault| field.invalid(fault)));
        }
        errors.extend(port.child("protocol").one_of(&["SCTP", "TCP", "UDP"]));
    }
    errors
}

fn environment_faults(variables: &Field<'_>) -> Vec<FieldError> {
    let mut errors = Vec::new();
    for variable in variables.items() {
        let name = variable.child("name");
        match name.require_text() {
            Some(error) => errors.push(error),
            None => errors.extend(name.faults(names::environment_variable)),
        }
        let source = variable.child("valueFrom");
        if !source.is_set() {
            continue;
        }
        let sources = source.keys().filter(|key| source.child(key).is_set()).count();
        // The value may be a secret: it is not shown.
        let refuse = |why: &str| FieldError::invalid(source.path(), "", why);
        if !variable.child("value").text().is_empty() && sources > 0 {
            errors.push(refuse("may not be specified when `value` is not empty"));
        } else if sources > 1 {
            errors.push(refuse("may not have more than one field specified at a time"));
        } else if sources == 0 {
            errors.push(refuse(
                "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef`, `secretKeyRef` or `fileKeyRef`",
            ));
        }
    }
    errors
}

fn mount_faults(container: &Field<'_>, volumes: &[&str]) -> Vec<FieldError> {
    let privileged = container.child("securityContext").child("privileged").flag();
    let mut errors = Vec::new();
    let mut paths = Vec::new();
    for mount in container.child("volumeMounts").items() {
        let (name, path) = (mount.child("name"), mount.child("mountPath"));
        errors.extend(name.require_text());
        if !volumes.contains(&name.text()) {
            errors.push(FieldError::not_found(name.path(), name.text()));
        }
        errors.extend(path.require_text());
        if paths.contains(&path.text()) {
            errors.push(path.invalid("must be unique"));
        }
        paths.push(path.text());
        let (below, expression) = (mount.child("subPath"), mount.child("subPathExpr"));
        errors.extend(descending(&below));
        if !expression.text().is_empty() {
            if !below.text().is_empty() {
                errors.push(expression.invalid("subPathExpr and subPath are mutually exclusive"));
            }
            errors.extend(descending(&expression));
        }
        let propagation = mount.child("mountPropagation");
        if propagation.is_set() {
            errors.extend(propagation.one_of(&["Bidirectional", "HostToContainer", "None"]));
            if propagation.text() == "Bidirectional" && !privileged {
                let why = "Bidirectional mount propagation is available only to privileged containers";
                errors.push(propagation.forbidden(why));
            }
        }
    }
    errors
}

fn resource_faults(resources: &Field<'_>) -> Vec<FieldError> {
    let (limits, requests) = (resources.child("limits"), resources.child("requests"));
    let amount = |field: &Field<'_>| Quantity::parse(field.text()).ok();
    let mut errors = Vec::new();
    for list in [&limits, &requests] {
        for name in list.keys() {
            let own = list.child(name);
            let at = list.key(name);
            errors.extend(at.faults(|_| names::qualified_name(name)));
            if amount(&own).is_some_and(|amount| amount < Quantity::ZERO) {
                errors.push(at.invalid("must be greater than or equal to 0"));
            }
        }
    }
    for name in requests.keys() {
        let (request, limit) = (requests.child(name), limits.child(name));
        if let (Some(wanted), Some(most)) = (amount(&request), amount(&limit))
            && wanted > most
        {
            let why = format!("must be less than or equal to {name} limit of {}", limit.text());
            errors.push(FieldError::invalid(requests.path(), request.text(), &why));
        }
    }
    errors
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::strategy::tests::texts;

    fn faults(member: &str, value: Value) -> Vec<String> {
        let mut container = json!({"name": "c", "image": "i", "terminationMessagePolicy": "File", "imagePullPolicy": "Always"});
        container[member] = value;
        let object = json!({"containers": [container]});
        texts(&validate(&Field::of(object.as_object().unwrap(), "containers"), &["v"], &mut Vec::new()))
    }

    #[test]
    fn members_one_by_one() {
        let table = [
            ("name", json!(""), "name: Required value"),
            ("image", json!(""), "image: Required value"),
            (
                "image",
                json!(" i"),
                "image: Invalid value: \" i\": must not have leading or trailing whitespace",
            ),
            (
                "terminationMessagePolicy",
                json!("X"),
                "terminationMessagePolicy: Unsupported value: \"X\": supported values: \"FallbackToLogsOnError\", \"File\"",
            ),
            (
                "imagePullPolicy",
                json!("X"),
                "imagePullPolicy: Unsupported value: \"X\": supported values: \"Always\", \"IfNotPresent\", \"Never\"",
            ),
            ("ports", json!([{"protocol": "TCP"}]), "ports[0].containerPort: Required value"),
            (
                "ports",
                json!([{"containerPort": 70000, "protocol": "TCP"}]),
                "ports[0].containerPort: Invalid value: 70000: must be between 1 and 65535, inclusive",
            ),
            (
                "ports",
                json!([{"containerPort": 1, "protocol": "X"}]),
                "ports[0].protocol: Unsupported value: \"X\": supported values: \"SCTP\", \"TCP\", \"UDP\"",
            ),
            (
                "ports",
                json!([{"containerPort": 1, "name": "a", "protocol": "TCP"}, {"containerPort": 2, "name": "a", "protocol": "TCP"}]),
                "ports[1].name: Duplicate value: \"a\"",
            ),
            ("env", json!([{}]), "env[0].name: Required value"),
            (
                "env",
                json!([{"name": "A", "value": "canary", "valueFrom": {"fieldRef": {}}}]),
                "env[0].valueFrom: Invalid value: \"\": may not be specified when `value` is not empty",
            ),
            (
                "env",
                json!([{"name": "A", "valueFrom": {"fieldRef": {}, "secretKeyRef": {}}}]),
                "env[0].valueFrom: Invalid value: \"\": may not have more than one field specified at a time",
            ),
            (
                "volumeMounts",
                json!([{"name": "w", "mountPath": "/a"}]),
                "volumeMounts[0].name: Not found: \"w\"",
            ),
            (
                "volumeMounts",
                json!([{"name": "v", "mountPath": "/a"}, {"name": "v", "mountPath": "/a"}]),
                "volumeMounts[1].mountPath: Invalid value: \"/a\": must be unique",
            ),
            ("volumeMounts", json!([{"name": "v"}]), "volumeMounts[0].mountPath: Required value"),
            (
                "volumeMounts",
                json!([{"name": "v", "mountPath": "/a", "subPath": "../b"}]),
                "volumeMounts[0].subPath: Invalid value: \"../b\": must not contain '..'",
            ),
            (
                "volumeMounts",
                json!([{"name": "v", "mountPath": "/a", "mountPropagation": "Bidirectional"}]),
                "volumeMounts[0].mountPropagation: Forbidden: Bidirectional mount propagation is available only to privileged containers",
            ),
            (
                "resources",
                json!({"requests": {"cpu": "2"}, "limits": {"cpu": "1"}}),
                "resources.requests: Invalid value: \"2\": must be less than or equal to cpu limit of 1",
            ),
            (
                "resources",
                json!({"limits": {"cpu": "-1"}}),
                "resources.limits[cpu]: Invalid value: \"-1\": must be greater than or equal to 0",
            ),
        ];
        for (member, value, wanted) in table {
            assert_eq!(faults(member, value.clone()), [format!("containers[0].{wanted}")], "{value}");
        }
    }

    #[test]
    fn names_are_unique_across_lists() {
        let object = json!({"containers": [{"name": "a"}, {"name": "a"}]});
        let list = Field::of(object.as_object().unwrap(), "containers");
        let errors = texts(&validate(&list, &[], &mut Vec::new()));
        assert!(errors.contains(&"containers[1].name: Duplicate value: \"a\"".to_owned()), "{errors:?}");
    }
}
