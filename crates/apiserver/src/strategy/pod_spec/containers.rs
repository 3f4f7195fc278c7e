//! What is wrong with a pod's containers.

use tokenward_kube_rules::{FieldError, names};

use super::super::field::Field;
use super::mounts::{self, Volume};
use super::{Owner, environment, handlers, resources, security};

/// What the containers of a pod share.
pub(super) struct Pod<'a> {
    pub(super) spec: Field<'a>,
    pub(super) volumes: Vec<Volume<'a>>,
}

/// The errors of a pod's containers, in upstream's order.
pub(super) fn validate(pod: &Pod<'_>) -> Vec<FieldError> {
    let (regular, first) = (pod.spec.child("containers"), pod.spec.child("initContainers"));
    let grace = pod.spec.child("terminationGracePeriodSeconds").number();
    let mut errors = Vec::new();
    if regular.items().len() == 0 {
        errors.push(regular.required(""));
    }
    let mut taken = Vec::new();
    let mut ports = Vec::new();
    for container in regular.items() {
        errors.extend(common(&container, pod));
        errors.extend(taken_fault(&container, &mut taken));
        errors.extend(handlers::validate(&container, grace));
        errors.extend(restart_fault(&container));
    }
    errors.extend(regular.items().flat_map(|container| host_port_faults(&container, &mut ports)));
    for container in first.items() {
        errors.extend(common(&container, pod));
        errors.extend(restart_fault(&container));
        errors.extend(taken_fault(&container, &mut taken));
        errors.extend(host_port_faults(&container, &mut Vec::new()));
        // One that is restarted always runs beside the others, as they do.
        if container.child("restartPolicy").text() == "Always" {
            errors.extend(handlers::validate(&container, grace));
        } else {
            errors.extend(handlers::forbid(&container));
        }
    }
    errors
}

/// What only containers of pods must keep, not those of templates.
pub(super) fn of_pods_only(spec: &Field<'_>) -> Vec<FieldError> {
    let containers = ["containers", "initContainers"].map(|member| spec.child(member));
    let images = containers.iter().flat_map(Field::items).map(|container| container.child("image"));
    let padded = images.filter(|image| image.text().trim() != image.text());
    padded.map(|image| image.invalid("must not have leading or trailing whitespace")).collect()
}

/// On the host's network a container has the ports that it says.
pub(super) fn host_network_faults(spec: &Field<'_>, owner: Owner) -> Vec<FieldError> {
    if !spec.child("hostNetwork").flag() {
        return Vec::new();
    }
    let containers = spec.child("containers");
    let ports = containers.items().flat_map(|container| container.child("ports").items());
    let of = |port: &Field<'_>, member: &'static str| port.child(member).number().unwrap_or_default();
    // A template's may be missing: pods get them.
    let wrong = ports.filter(|port| {
        let host = of(port, "hostPort");
        host != of(port, "containerPort") && (owner == Owner::Pod || host != 0)
    });
    let why = "must match `containerPort` when `hostNetwork` is true";
    wrong.map(|port| FieldError::invalid(port.child("hostPort").path(), of(&port, "hostPort"), why)).collect()
}

fn taken_fault<'a>(container: &Field<'a>, taken: &mut Vec<&'a str>) -> Option<FieldError> {
    let name = container.child("name");
    let fault = taken.contains(&name.text()).then(|| name.duplicate());
    taken.push(name.text());
    fault
}

fn restart_fault(container: &Field<'_>) -> Option<FieldError> {
    let policy = container.child("restartPolicy");
    if policy.is_set() { policy.one_of(&["Always", "Never", "OnFailure"]) } else { None }
}

/// The errors of a port of the host that is asked for twice.
fn host_port_faults(container: &Field<'_>, taken: &mut Vec<String>) -> Vec<FieldError> {
    let mut errors = Vec::new();
    for port in container.child("ports").items() {
        let host = port.child("hostPort").number().unwrap_or_default();
        if host == 0 {
            continue;
        }
        let place = format!("{}/{}/{host}", port.child("protocol").text(), port.child("hostIP").text());
        if taken.contains(&place) {
            errors.push(FieldError::duplicate(port.child("hostPort").path(), place));
        } else {
            taken.push(place);
        }
    }
    errors
}

fn common(container: &Field<'_>, pod: &Pod<'_>) -> Vec<FieldError> {
    let (name, image) = (container.child("name"), container.child("image"));
    let mut errors = Vec::new();
    match name.require_text() {
        Some(error) => errors.push(error),
        None => errors.extend(name.faults(names::dns_label)),
    }
    errors.extend(image.require_text());
    let policy = container.child("terminationMessagePolicy");
    errors.extend(policy.require_text().or_else(|| policy.one_of(&["File", "FallbackToLogsOnError"])));
    errors.extend(port_faults(&container.child("ports")));
    errors.extend(environment::variables(&container.child("env")));
    errors.extend(environment::sources(&container.child("envFrom")));
    errors.extend(mounts::validate(container, &pod.volumes));
    let pull = container.child("imagePullPolicy");
    errors.extend(pull.require_text().or_else(|| pull.one_of(&["Always", "IfNotPresent", "Never"])));
    errors.extend(resources::validate(&container.child("resources")));
    errors.extend(resize_faults(&container.child("resizePolicy"), pod.spec.child("restartPolicy").text()));
    let host_users = pod.spec.child("hostUsers").value().as_bool() != Some(false);
    errors.extend(security::of_container(&container.child("securityContext"), host_users));
    errors
}

fn resize_faults(policies: &Field<'_>, restart: &str) -> Vec<FieldError> {
    let at = policies.path();
    let mut seen = Vec::new();
    let mut errors = Vec::new();
    for policy in policies.items() {
        let (resource, action) = (policy.child("resourceName").text(), policy.child("restartPolicy").text());
        if seen.contains(&resource) {
            errors.push(FieldError::duplicate(policy.path(), resource));
        }
        seen.push(resource);
        for (text, supported) in
            [(resource, ["cpu", "memory"]), (action, ["NotRequired", "RestartContainer"])]
        {
            if text.is_empty() {
                errors.push(FieldError::required(&*at, ""));
            } else if !supported.contains(&text) {
                errors.push(FieldError::not_supported(&*at, text, &supported));
            }
        }
        if restart == "Never" && action != "NotRequired" {
            let why = "must be 'NotRequired' when pod `restartPolicy` is 'Never'";
            errors.push(FieldError::invalid(&*at, action, why));
        }
    }
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

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::strategy::tests::texts;

    fn faults_of(spec: &Value, owner: Owner) -> Vec<String> {
        let object = json!({"spec": spec});
        let spec = Field::of(object.as_object().unwrap(), "spec");
        let pod = Pod { spec: spec.clone(), volumes: vec![Volume { name: "v", is_claim: false }] };
        let mut errors = validate(&pod);
        errors.extend(host_network_faults(&spec, owner));
        texts(&errors)
    }

    fn container(name: &str) -> Value {
        json!({"name": name, "image": "i", "terminationMessagePolicy": "File", "imagePullPolicy": "Always"})
    }

    fn with(member: &str, value: &Value) -> Value {
        let mut container = container("c");
        container[member] = value.clone();
        json!({"containers": [container]})
    }

    #[test]
    fn members_one_by_one() {
        let table = [
            ("name", json!(""), "name: Required value"),
            ("image", json!(""), "image: Required value"),
            (
                "terminationMessagePolicy",
                json!("X"),
                "terminationMessagePolicy: Unsupported value: \"X\": supported values: \"File\", \"FallbackToLogsOnError\"",
            ),
            (
                "imagePullPolicy",
                json!("X"),
                "imagePullPolicy: Unsupported value: \"X\": supported values: \"Always\", \"IfNotPresent\", \"Never\"",
            ),
            (
                "restartPolicy",
                json!("X"),
                "restartPolicy: Unsupported value: \"X\": supported values: \"Always\", \"Never\", \"OnFailure\"",
            ),
            (
                "resizePolicy",
                json!([{"resourceName": "cpu", "restartPolicy": "X"}]),
                "resizePolicy: Unsupported value: \"X\": supported values: \"NotRequired\", \"RestartContainer\"",
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
            (
                "ports",
                json!([{"containerPort": 1, "hostPort": 3, "protocol": "TCP"}, {"containerPort": 2, "hostPort": 3, "protocol": "TCP"}]),
                "ports[1].hostPort: Duplicate value: \"TCP//3\"",
            ),
            ("env", json!([{}]), "env[0].name: Required value"),
            (
                "envFrom",
                json!([{}]),
                "envFrom: Invalid value: \"\": must specify one of: `configMapRef` or `secretRef`",
            ),
            (
                "volumeMounts",
                json!([{"name": "w", "mountPath": "/a"}]),
                "volumeMounts[0].name: Not found: \"w\"",
            ),
            (
                "resources",
                json!({"limits": {"cpu": "-1"}}),
                "resources.limits[cpu]: Invalid value: \"-1\": must be greater than or equal to 0",
            ),
            (
                "lifecycle",
                json!({"preStop": {}}),
                "lifecycle.preStop: Required value: must specify a handler type",
            ),
            (
                "securityContext",
                json!({"runAsGroup": -1}),
                "securityContext.runAsGroup: Invalid value: -1: must be between 0 and 2147483647, inclusive",
            ),
        ];
        for (member, value, wanted) in table {
            let found = faults_of(&with(member, &value), Owner::Pod);
            assert_eq!(found, [format!("spec.containers[0].{wanted}")], "{value}");
        }
    }

    #[test]
    fn names_are_unique_across_lists() {
        let spec =
            json!({"containers": [container("a"), container("a")], "initContainers": [container("a")]});
        assert_eq!(
            faults_of(&spec, Owner::Pod),
            [
                "spec.containers[1].name: Duplicate value: \"a\"",
                "spec.initContainers[0].name: Duplicate value: \"a\""
            ]
        );
    }

    #[test]
    fn only_what_keeps_running_is_probed() {
        let mut first = container("first");
        first["livenessProbe"] = json!({"tcpSocket": {"port": 80}});
        let spec = |first: &Value| json!({"containers": [container("c")], "initContainers": [first]});
        assert_eq!(
            faults_of(&spec(&first), Owner::Pod),
            [
                "spec.initContainers[0].livenessProbe: Forbidden: may not be set for init containers without restartPolicy=Always"
            ]
        );
        first["restartPolicy"] = json!("Always");
        assert_eq!(faults_of(&spec(&first), Owner::Pod), [""; 0]);
    }

    #[test]
    fn on_the_hosts_network_ports_are_the_hosts() {
        let spec = |port: Value| {
            let mut spec = with("ports", &json!([port]));
            spec["hostNetwork"] = json!(true);
            spec
        };
        let differs = json!({"containerPort": 81, "hostPort": 82, "protocol": "TCP"});
        let wanted = |found: i64| {
            format!(
                "spec.containers[0].ports[0].hostPort: Invalid value: {found}: must match `containerPort` when `hostNetwork` is true"
            )
        };
        assert_eq!(faults_of(&spec(differs), Owner::Template), [wanted(82)]);
        let missing = json!({"containerPort": 81, "protocol": "TCP"});
        assert_eq!(faults_of(&spec(missing.clone()), Owner::Pod), [wanted(0)]);
        assert_eq!(faults_of(&spec(missing), Owner::Template), [""; 0]);
    }
}
