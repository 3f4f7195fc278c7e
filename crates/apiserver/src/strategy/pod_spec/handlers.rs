//! What is wrong with what a node does to containers: probes, and hooks of their lifecycle.

use tokenward_kube_rules::{FieldError, names};

use super::super::field::Field;

/// How a handler is named, in upstream's order; the last one hooks alone have.
const HANDLERS: [&str; 5] = ["exec", "httpGet", "tcpSocket", "grpc", "sleep"];

/// What a probe is for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Probe {
    Liveness,
    Readiness,
    Startup,
}

/// The errors of a container's hooks and probes, for a pod with this much grace.
pub(super) fn validate(container: &Field<'_>, grace: Option<i64>) -> Vec<FieldError> {
    let mut errors = hooks(&container.child("lifecycle"), grace);
    errors.extend(probe(&container.child("livenessProbe"), Probe::Liveness, grace));
    errors.extend(probe(&container.child("readinessProbe"), Probe::Readiness, grace));
    errors.extend(probe(&container.child("startupProbe"), Probe::Startup, grace));
    errors
}

/// The errors of a container that has no business with any.
pub(super) fn forbid(container: &Field<'_>) -> Vec<FieldError> {
    let set = ["lifecycle", "livenessProbe", "readinessProbe", "startupProbe"]
        .map(|member| container.child(member));
    let why = "may not be set for init containers without restartPolicy=Always";
    set.iter().filter(|field| field.is_set()).map(|field| field.forbidden(why)).collect()
}

fn hooks(lifecycle: &Field<'_>, grace: Option<i64>) -> Vec<FieldError> {
    let hooks = ["postStart", "preStop"].map(|member| lifecycle.child(member));
    hooks.iter().filter(|hook| hook.is_set()).flat_map(|hook| handler(hook, grace)).collect()
}

fn probe(probe: &Field<'_>, purpose: Probe, grace: Option<i64>) -> Vec<FieldError> {
    if !probe.is_set() {
        return Vec::new();
    }
    let mut errors = handler(probe, grace);
    for member in
        ["initialDelaySeconds", "timeoutSeconds", "periodSeconds", "successThreshold", "failureThreshold"]
    {
        errors.extend(probe.child(member).not_negative());
    }
    let own_grace = probe.child("terminationGracePeriodSeconds");
    if own_grace.number().is_some_and(|seconds| seconds <= 0) {
        errors.push(own_grace.invalid("must be greater than 0"));
    }
    let successes = probe.child("successThreshold");
    match purpose {
        Probe::Readiness if own_grace.is_set() => {
            errors.push(own_grace.invalid("must not be set for readinessProbes"));
        }
        Probe::Liveness | Probe::Startup if successes.number().is_some_and(|number| number != 1) => {
            errors.push(successes.invalid("must be 1"));
        }
        _ => {}
    }
    errors
}

fn handler(owner: &Field<'_>, grace: Option<i64>) -> Vec<FieldError> {
    let mut set =
        HANDLERS.iter().map(|kind| (*kind, owner.child(kind))).filter(|(_, action)| action.is_set());
    let Some((kind, action)) = set.next() else {
        return vec![owner.required("must specify a handler type")];
    };
    let mut errors = match kind {
        "exec" if action.child("command").items().len() == 0 => vec![action.child("command").required("")],
        "httpGet" => http_request(&action),
        "tcpSocket" => port(&action.child("port"), Named::Allowed),
        "grpc" => port(&action.child("port"), Named::Not),
        "sleep" => sleep(&action, grace),
        _ => Vec::new(),
    };
    errors.extend(set.map(|(_, other)| other.forbidden("may not specify more than 1 handler type")));
    errors
}

fn http_request(request: &Field<'_>) -> Vec<FieldError> {
    let mut errors: Vec<FieldError> = request.child("path").require_text().into_iter().collect();
    errors.extend(port(&request.child("port"), Named::Allowed));
    errors.extend(request.child("scheme").one_of(&["HTTP", "HTTPS"]));
    let headers = request.child("httpHeaders");
    for header in headers.items() {
        let name = header.child("name").text();
        if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') {
            let why = "a valid HTTP header must consist of alphanumeric characters or '-' (e.g. 'X-Header-Name', \
                       regex used for validation is '[-A-Za-z0-9]+')";
            errors.push(FieldError::invalid(headers.path(), name, why));
        }
    }
    errors
}

/// Whether a port may be a name.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Named {
    Allowed,
    Not,
}

fn port(port: &Field<'_>, named: Named) -> Vec<FieldError> {
    if named == Named::Allowed && port.value().is_string() {
        return port.faults(names::port_name);
    }
    let number = port.number().unwrap_or_default();
    let faults = names::port_number(number);
    faults.iter().map(|fault| FieldError::invalid(port.path(), number, fault)).collect()
}

fn sleep(sleep: &Field<'_>, grace: Option<i64>) -> Vec<FieldError> {
    let seconds = sleep.child("seconds").number().unwrap_or_default();
    match grace {
        Some(grace) if !(0..=grace).contains(&seconds) => {
            let why = format!("must be non-negative and less than terminationGracePeriodSeconds ({grace})");
            vec![FieldError::invalid(sleep.path(), seconds, &why)]
        }
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::strategy::tests::texts;

    fn faults(member: &str, value: &Value) -> Vec<String> {
        let object = json!({"c": {member: value}});
        texts(&validate(&Field::of(object.as_object().unwrap(), "c"), Some(30)))
    }

    #[test]
    fn handlers_one_by_one() {
        for good in [
            json!({"httpGet": {"path": "/", "port": 80, "scheme": "HTTPS", "httpHeaders": [{"name": "X-A"}]}}),
            json!({"tcpSocket": {"port": "http"}, "successThreshold": 1}),
            json!({"exec": {"command": ["true"]}, "terminationGracePeriodSeconds": 1}),
            json!({"grpc": {"port": 5000}}),
        ] {
            assert_eq!(faults("livenessProbe", &good), [""; 0], "{good}");
        }
        let table = [
            (json!({}), "livenessProbe: Required value: must specify a handler type"),
            (
                json!({"httpGet": {"path": "/", "scheme": "HTTP"}}),
                "livenessProbe.httpGet.port: Invalid value: 0: must be between 1 and 65535, inclusive",
            ),
            (
                json!({"httpGet": {"path": "/", "scheme": "HTTP", "port": "x y"}}),
                "livenessProbe.httpGet.port: Invalid value: \"x y\": must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)",
            ),
            (
                json!({"httpGet": {"path": "/", "scheme": "X", "port": 1}}),
                "livenessProbe.httpGet.scheme: Unsupported value: \"X\": supported values: \"HTTP\", \"HTTPS\"",
            ),
            (
                json!({"httpGet": {"path": "/", "scheme": "HTTP", "port": 1, "httpHeaders": [{"name": "a b"}]}}),
                "livenessProbe.httpGet.httpHeaders: Invalid value: \"a b\": a valid HTTP header must consist of alphanumeric characters or '-' (e.g. 'X-Header-Name', regex used for validation is '[-A-Za-z0-9]+')",
            ),
            (json!({"exec": {}}), "livenessProbe.exec.command: Required value"),
            (
                json!({"grpc": {"port": 0}}),
                "livenessProbe.grpc.port: Invalid value: 0: must be between 1 and 65535, inclusive",
            ),
            (
                json!({"exec": {"command": ["a"]}, "tcpSocket": {"port": 0}}),
                "livenessProbe.tcpSocket: Forbidden: may not specify more than 1 handler type",
            ),
            (
                json!({"tcpSocket": {"port": 1}, "periodSeconds": -1}),
                "livenessProbe.periodSeconds: Invalid value: -1: must be greater than or equal to 0",
            ),
            (
                json!({"tcpSocket": {"port": 1}, "terminationGracePeriodSeconds": 0}),
                "livenessProbe.terminationGracePeriodSeconds: Invalid value: 0: must be greater than 0",
            ),
            (
                json!({"tcpSocket": {"port": 1}, "successThreshold": 2}),
                "livenessProbe.successThreshold: Invalid value: 2: must be 1",
            ),
        ];
        for (probe, wanted) in table {
            assert_eq!(faults("livenessProbe", &probe), [format!("c.{wanted}")], "{probe}");
        }
    }

    #[test]
    fn what_probes_and_hooks_differ_in() {
        let slow =
            json!({"tcpSocket": {"port": 1}, "successThreshold": 2, "terminationGracePeriodSeconds": 3});
        assert_eq!(
            faults("readinessProbe", &slow),
            [
                "c.readinessProbe.terminationGracePeriodSeconds: Invalid value: 3: must not be set for readinessProbes"
            ]
        );
        assert_eq!(
            faults("startupProbe", &slow),
            ["c.startupProbe.successThreshold: Invalid value: 2: must be 1"]
        );
        for (hooks, wanted) in [
            (json!({"preStop": {}}), "preStop: Required value: must specify a handler type"),
            (
                json!({"postStart": {"sleep": {"seconds": 31}}}),
                "postStart.sleep: Invalid value: 31: must be non-negative and less than terminationGracePeriodSeconds (30)",
            ),
        ] {
            assert_eq!(faults("lifecycle", &hooks), [format!("c.lifecycle.{wanted}")], "{hooks}");
        }
        assert_eq!(faults("lifecycle", &json!({"preStop": {"sleep": {"seconds": 0}}})), [""; 0]);
        let object = json!({"c": {"lifecycle": {}, "startupProbe": {}}});
        let errors = texts(&forbid(&Field::of(object.as_object().unwrap(), "c")));
        assert_eq!(errors.len(), 2);
        assert_eq!(
            errors[0],
            "c.lifecycle: Forbidden: may not be set for init containers without restartPolicy=Always"
        );
    }
}
