//! What is wrong with a container's environment, and with references to the pod's own fields and to a container's resources:
//! variables have such, and files of the downward API.

use tokenward_kube_rules::quantity::Quantity;
use tokenward_kube_rules::{FieldError, names};

use super::super::field::Field;

/// The fields that a variable may take its value from.
const FIELDS_OF_VARIABLES: [&str; 9] = [
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
    "spec.nodeName",
    "spec.serviceAccountName",
    "status.hostIP",
    "status.hostIPs",
    "status.podIP",
    "status.podIPs",
];

/// The fields that a file may show.
const FIELDS_OF_FILES: [&str; 5] =
    ["metadata.annotations", "metadata.labels", "metadata.name", "metadata.namespace", "metadata.uid"];

/// The fields that anything can refer to at all.
const FIELDS: [&str; 15] = [
    "metadata.annotations",
    "metadata.labels",
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
    "spec.host",
    "spec.nodeName",
    "spec.restartPolicy",
    "spec.schedulerName",
    "spec.serviceAccountName",
    "status.hostIP",
    "status.hostIPs",
    "status.phase",
    "status.podIP",
    "status.podIPs",
];

/// The resources of a container that can be referred to, beside huge pages.
const RESOURCES: [&str; 6] = [
    "limits.cpu",
    "limits.ephemeral-storage",
    "limits.memory",
    "requests.cpu",
    "requests.ephemeral-storage",
    "requests.memory",
];

/// The errors of `env`.
pub(super) fn variables(variables: &Field<'_>) -> Vec<FieldError> {
    let mut errors = Vec::new();
    for variable in variables.items() {
        let name = variable.child("name");
        match name.require_text() {
            Some(error) => errors.push(error),
            None => errors.extend(name.faults(names::environment_variable)),
        }
        let source = variable.child("valueFrom");
        if source.is_set() {
            let has_value = !variable.child("value").text().is_empty();
            errors.extend(value_source(&source, has_value));
        }
    }
    errors
}

fn value_source(source: &Field<'_>, has_value: bool) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let mut sources = 0;
    let mut of = |member: &'static str, rule: &dyn Fn(&Field<'_>) -> Vec<FieldError>| {
        let reference = source.child(member);
        if reference.is_set() {
            sources += 1;
            errors.extend(rule(&reference));
        }
    };
    of("fieldRef", &|reference| field_reference(reference, &FIELDS_OF_VARIABLES));
    of("resourceFieldRef", &|reference| resource_reference(reference, Of::Variable));
    of("configMapKeyRef", &key_reference);
    of("secretKeyRef", &key_reference);
    of("fileKeyRef", &file_reference);
    // The value may be a secret: it is not shown.
    let refuse = |why: &str| FieldError::invalid(source.path(), "", why);
    if sources == 0 {
        errors.push(refuse(
            "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef`, `secretKeyRef` or `fileKeyRef`",
        ));
    } else if has_value {
        errors.push(refuse("may not be specified when `value` is not empty"));
    } else if sources > 1 {
        errors.push(refuse("may not have more than one field specified at a time"));
    }
    errors
}

/// The errors of `envFrom`.
pub(super) fn sources(list: &Field<'_>) -> Vec<FieldError> {
    let mut errors = Vec::new();
    for entry in list.items() {
        let prefix = entry.child("prefix");
        if !prefix.text().is_empty() {
            errors.extend(prefix.faults(names::environment_variable));
        }
        let set: Vec<_> = ["configMapRef", "secretRef"]
            .map(|member| entry.child(member))
            .into_iter()
            .filter(Field::is_set)
            .collect();
        for reference in &set {
            let name = reference.child("name");
            match name.require_text() {
                Some(error) => errors.push(error),
                None => errors.extend(name.faults(names::dns_subdomain)),
            }
        }
        // Upstream names the list here, not the entry.
        let refuse = |why: &str| FieldError::invalid(list.path(), "", why);
        match set.len() {
            0 => errors.push(refuse("must specify one of: `configMapRef` or `secretRef`")),
            1 => {}
            _ => errors.push(refuse("may not have more than one field specified at a time")),
        }
    }
    errors
}

/// The errors of a file of the downward API; upstream names its list's owner, which `at` is.
pub(super) fn downward_file(file: &Field<'_>, at: &Field<'_>) -> Vec<FieldError> {
    let (field, resource) = (file.child("fieldRef"), file.child("resourceFieldRef"));
    if field.is_set() {
        let mut errors = field_reference_at(&field, &at.child("fieldRef").path(), &FIELDS_OF_FILES);
        if resource.is_set() {
            let why = "fieldRef and resourceFieldRef can not be specified simultaneously";
            errors.push(FieldError::invalid(at.path(), "resource", why));
        }
        errors
    } else if resource.is_set() {
        resource_reference_at(&resource, &at.child("resourceFieldRef").path(), Of::File)
    } else {
        vec![at.required("one of fieldRef and resourceFieldRef is required")]
    }
}

fn field_reference(reference: &Field<'_>, supported: &[&str]) -> Vec<FieldError> {
    field_reference_at(reference, &reference.path(), supported)
}

fn field_reference_at(reference: &Field<'_>, at: &str, supported: &[&str]) -> Vec<FieldError> {
    let (version, path) = (reference.child("apiVersion").text(), reference.child("fieldPath").text());
    if version.is_empty() {
        return vec![FieldError::required(format!("{at}.apiVersion"), "")];
    }
    let place = format!("{at}.fieldPath");
    if path.is_empty() {
        return vec![FieldError::required(place, "")];
    }
    let refuse =
        |why: &str| vec![FieldError::invalid(&*place, path, &format!("error converting fieldPath: {why}"))];
    if version != "v1" {
        return refuse(&format!("unsupported pod version: {version}"));
    }
    match split_subscript(path) {
        Some(("metadata.annotations", key)) => qualified(&key.to_lowercase(), at),
        Some(("metadata.labels", key)) => qualified(key, at),
        Some(_) => refuse(&format!("field label does not support subscript: {path}")),
        None if !FIELDS.contains(&path) => refuse(&format!("field label not supported: {path}")),
        None => {
            let path = if path == "spec.host" { "spec.nodeName" } else { path };
            let is_good = supported.contains(&path);
            if is_good { Vec::new() } else { vec![FieldError::not_supported(place, path, supported)] }
        }
    }
}

fn qualified(key: &str, at: &str) -> Vec<FieldError> {
    names::qualified_name(key).iter().map(|fault| FieldError::invalid(at, key, fault)).collect()
}

/// `labels['a']` as `labels` and `a`.
fn split_subscript(path: &str) -> Option<(&str, &str)> {
    let (before, key) = path.strip_suffix("']")?.split_once("['")?;
    (!before.is_empty()).then_some((before, key))
}

/// What refers to a container's resource.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Of {
    /// A variable, which means its own container if it names none.
    Variable,
    /// A file, which must name one.
    File,
}

fn resource_reference(reference: &Field<'_>, of: Of) -> Vec<FieldError> {
    resource_reference_at(reference, &reference.path(), of)
}

fn resource_reference_at(reference: &Field<'_>, at: &str, of: Of) -> Vec<FieldError> {
    let resource = reference.child("resource").text();
    let is_huge_page =
        ["requests.hugepages-", "limits.hugepages-"].iter().any(|prefix| resource.starts_with(prefix));
    let mut errors = Vec::new();
    if of == Of::File && reference.child("containerName").text().is_empty() {
        errors.push(FieldError::required(format!("{at}.containerName"), ""));
    } else if resource.is_empty() {
        errors.push(FieldError::required(format!("{at}.resource"), ""));
    } else if !RESOURCES.contains(&resource) && !is_huge_page {
        errors.push(FieldError::not_supported(format!("{at}.resource"), resource, &RESOURCES));
    }
    errors.extend(divisor_fault(reference, &format!("{at}.divisor"), resource, is_huge_page));
    errors
}

fn divisor_fault(reference: &Field<'_>, at: &str, resource: &str, is_huge_page: bool) -> Option<FieldError> {
    const BYTES: [&str; 13] =
        ["1", "1k", "1M", "1G", "1T", "1P", "1E", "1Ki", "1Mi", "1Gi", "1Ti", "1Pi", "1Ei"];
    let divisor = Quantity::parse(reference.child("divisor").text()).ok()?;
    if divisor == Quantity::ZERO {
        return None;
    }
    let (good, name): (&[&str], &str) = match resource.rsplit_once('.')?.1 {
        "cpu" => (&["1m", "1"], "cpu"),
        "memory" => (&BYTES, "memory"),
        "ephemeral-storage" => (&BYTES, "local ephemeral storage"),
        _ if is_huge_page => (&BYTES, "hugepages"),
        _ => return None,
    };
    let is_good = good.iter().any(|text| Quantity::parse(text).is_ok_and(|good| good == divisor));
    let list = if name == "cpu" { "1m and 1".to_owned() } else { good.join(", ") };
    let why = format!("only divisor's values {list} are supported with the {name} resource");
    (!is_good).then(|| FieldError::invalid(at, resource, &why))
}

fn key_reference(reference: &Field<'_>) -> Vec<FieldError> {
    let (name, key) = (reference.child("name"), reference.child("key"));
    let mut errors = name.faults(names::dns_subdomain);
    match key.require_text() {
        Some(error) => errors.push(error),
        None => errors.extend(key.faults(names::config_map_key)),
    }
    errors
}

fn file_reference(reference: &Field<'_>) -> Vec<FieldError> {
    let (key, volume, path) =
        (reference.child("key"), reference.child("volumeName"), reference.child("path"));
    let mut errors = Vec::new();
    match key.require_text() {
        Some(error) => errors.push(error),
        None => errors.extend(key.faults(names::environment_variable)),
    }
    match volume.require_text() {
        Some(error) => errors.push(error),
        None => errors.extend(volume.faults(names::dns_label)),
    }
    match path.require_text() {
        Some(error) => errors.push(error),
        None => errors.extend(super::mounts::backsteps(path.text(), &path.path())),
    }
    errors
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::strategy::tests::texts;

    fn faults(member: &'static str, value: &Value) -> Vec<String> {
        let object = json!({member: [value]});
        let list = Field::of(object.as_object().unwrap(), member);
        texts(&if member == "env" { variables(&list) } else { sources(&list) })
    }

    #[test]
    fn variables_one_by_one() {
        let field = |reference: Value| json!({"name": "A", "valueFrom": {"fieldRef": reference}});
        let path = |path: &str| field(json!({"apiVersion": "v1", "fieldPath": path}));
        let resource = |reference: Value| json!({"name": "A", "valueFrom": {"resourceFieldRef": reference}});
        for good in [
            path("metadata.name"),
            path("spec.host"),
            path("metadata.labels['a/b']"),
            path("metadata.annotations['A']"),
            resource(json!({"resource": "limits.cpu", "divisor": "1000m"})),
            resource(json!({"resource": "requests.hugepages-2Mi", "divisor": "1Mi"})),
            resource(json!({"resource": "limits.memory", "divisor": "0"})),
            json!({"name": "A", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}),
        ] {
            assert_eq!(faults("env", &good), [""; 0], "{good}");
        }
        let table = [
            (json!({}), "name: Required value"),
            (
                json!({"name": "A", "value": "canary", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}),
                "valueFrom: Invalid value: \"\": may not be specified when `value` is not empty",
            ),
            (
                json!({"name": "A", "valueFrom": {"configMapKeyRef": {"name": "s", "key": "k"}, "secretKeyRef": {"name": "s", "key": "k"}}}),
                "valueFrom: Invalid value: \"\": may not have more than one field specified at a time",
            ),
            (
                json!({"name": "A", "valueFrom": {}}),
                "valueFrom: Invalid value: \"\": must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef`, `secretKeyRef` or `fileKeyRef`",
            ),
            (field(json!({"fieldPath": "x"})), "valueFrom.fieldRef.apiVersion: Required value"),
            (path(""), "valueFrom.fieldRef.fieldPath: Required value"),
            (
                path("spec.foo"),
                "valueFrom.fieldRef.fieldPath: Invalid value: \"spec.foo\": error converting fieldPath: field label not supported: spec.foo",
            ),
            (
                path("spec.foo['a']"),
                "valueFrom.fieldRef.fieldPath: Invalid value: \"spec.foo['a']\": error converting fieldPath: field label does not support subscript: spec.foo['a']",
            ),
            (
                field(json!({"apiVersion": "v2", "fieldPath": "status.podIP"})),
                "valueFrom.fieldRef.fieldPath: Invalid value: \"status.podIP\": error converting fieldPath: unsupported pod version: v2",
            ),
            (
                path("metadata.labels"),
                "valueFrom.fieldRef.fieldPath: Unsupported value: \"metadata.labels\": supported values: \"metadata.name\", \"metadata.namespace\", \"metadata.uid\", \"spec.nodeName\", \"spec.serviceAccountName\", \"status.hostIP\", \"status.hostIPs\", \"status.podIP\", \"status.podIPs\"",
            ),
            (resource(json!({})), "valueFrom.resourceFieldRef.resource: Required value"),
            (
                resource(json!({"resource": "limits.foo"})),
                "valueFrom.resourceFieldRef.resource: Unsupported value: \"limits.foo\": supported values: \"limits.cpu\", \"limits.ephemeral-storage\", \"limits.memory\", \"requests.cpu\", \"requests.ephemeral-storage\", \"requests.memory\"",
            ),
            (
                resource(json!({"resource": "limits.cpu", "divisor": "3"})),
                "valueFrom.resourceFieldRef.divisor: Invalid value: \"limits.cpu\": only divisor's values 1m and 1 are supported with the cpu resource",
            ),
            (
                resource(json!({"resource": "requests.memory", "divisor": "1m"})),
                "valueFrom.resourceFieldRef.divisor: Invalid value: \"requests.memory\": only divisor's values 1, 1k, 1M, 1G, 1T, 1P, 1E, 1Ki, 1Mi, 1Gi, 1Ti, 1Pi, 1Ei are supported with the memory resource",
            ),
            (
                json!({"name": "A", "valueFrom": {"secretKeyRef": {"name": "s"}}}),
                "valueFrom.secretKeyRef.key: Required value",
            ),
            (
                json!({"name": "A", "valueFrom": {"fileKeyRef": {"key": "K", "volumeName": "v", "path": "../x"}}}),
                "valueFrom.fileKeyRef.path: Invalid value: \"../x\": must not contain '..'",
            ),
        ];
        for (variable, wanted) in table {
            assert_eq!(faults("env", &variable), [format!("env[0].{wanted}")], "{variable}");
        }
        let found = faults("env", &path("metadata.labels['a b']"));
        assert!(
            found[0].starts_with("env[0].valueFrom.fieldRef: Invalid value: \"a b\": name part must"),
            "{found:?}"
        );
        let found = faults("env", &json!({"name": "A", "valueFrom": {"configMapKeyRef": {"key": "a b"}}}));
        assert!(
            found[0].starts_with("env[0].valueFrom.configMapKeyRef.name: Invalid value: \"\": a lowercase"),
            "{found:?}"
        );
        assert!(
            found[1]
                .starts_with("env[0].valueFrom.configMapKeyRef.key: Invalid value: \"a b\": a valid config"),
            "{found:?}"
        );
    }

    #[test]
    fn sources_one_by_one() {
        assert_eq!(faults("envFrom", &json!({"prefix": "P_", "secretRef": {"name": "s"}})), [""; 0]);
        let table = [
            (json!({}), "envFrom: Invalid value: \"\": must specify one of: `configMapRef` or `secretRef`"),
            (json!({"configMapRef": {}}), "envFrom[0].configMapRef.name: Required value"),
            (
                json!({"configMapRef": {"name": "c"}, "secretRef": {"name": "s"}}),
                "envFrom: Invalid value: \"\": may not have more than one field specified at a time",
            ),
        ];
        for (entry, wanted) in table {
            assert_eq!(faults("envFrom", &entry), [wanted], "{entry}");
        }
        let found = faults("envFrom", &json!({"prefix": "=", "secretRef": {"name": "s"}}));
        assert!(
            found[0].starts_with("envFrom[0].prefix: Invalid value: \"=\": a valid environment"),
            "{found:?}"
        );
    }
}
