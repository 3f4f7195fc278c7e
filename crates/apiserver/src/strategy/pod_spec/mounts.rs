//! What is wrong with where a container has its volumes: as file systems, and as devices.

use tokenward_kube_rules::FieldError;

use super::super::field::Field;

/// A volume without errors of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Volume<'a> {
    pub(super) name: &'a str,
    /// Whether it is a claim's, which alone may be a device.
    pub(super) is_claim: bool,
}

/// The errors of `volumeMounts` and then of `volumeDevices`.
pub(super) fn validate(container: &Field<'_>, volumes: &[Volume<'_>]) -> Vec<FieldError> {
    let (mounts, devices) = (container.child("volumeMounts"), container.child("volumeDevices"));
    let privileged = container.child("securityContext").child("privileged").flag();
    let mut errors = mount_faults(&mounts, &devices, volumes, privileged);
    errors.extend(device_faults(&devices, &mounts, volumes));
    errors
}

fn mount_faults(
    mounts: &Field<'_>,
    devices: &Field<'_>,
    volumes: &[Volume<'_>],
    privileged: bool,
) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let mut paths = Vec::new();
    for mount in mounts.items() {
        let (name, path) = (mount.child("name"), mount.child("mountPath"));
        errors.extend(name.require_text());
        if !volumes.iter().any(|volume| volume.name == name.text()) {
            errors.push(FieldError::not_found(name.path(), name.text()));
        }
        errors.extend(path.require_text());
        if paths.contains(&path.text()) {
            errors.push(path.invalid("must be unique"));
        }
        paths.push(path.text());
        if has(devices, "name", name.text()) {
            errors.push(name.invalid("must not already exist in volumeDevices"));
        }
        if has(devices, "devicePath", path.text()) {
            errors.push(path.invalid("must not already exist as a path in volumeDevices"));
        }
        // From here on upstream names the list and not the mount, but for what excludes each other.
        let (below, expression) = (mount.child("subPath"), mount.child("subPathExpr"));
        errors.extend(descending(below.text(), &mounts.child("subPath").path()));
        if !expression.text().is_empty() {
            if !below.text().is_empty() {
                errors.push(expression.invalid("subPathExpr and subPath are mutually exclusive"));
            }
            errors.extend(descending(expression.text(), &mounts.child("subPathExpr").path()));
        }
        errors.extend(propagation_faults(&mount, &mounts.child("mountPropagation").path(), privileged));
        errors.extend(recursion_faults(&mount, &mounts.child("recursiveReadOnly").path()));
    }
    errors
}

fn has(list: &Field<'_>, member: &'static str, text: &str) -> bool {
    list.items().any(|item| item.child(member).text() == text)
}

fn propagation_faults(mount: &Field<'_>, at: &str, privileged: bool) -> Vec<FieldError> {
    const MODES: [&str; 3] = ["Bidirectional", "HostToContainer", "None"];
    let mode = mount.child("mountPropagation");
    let mut errors = Vec::new();
    if mode.is_set() && !MODES.contains(&mode.text()) {
        errors.push(FieldError::not_supported(at, mode.text(), &MODES));
    }
    if mode.text() == "Bidirectional" && !privileged {
        let why = "Bidirectional mount propagation is available only to privileged containers";
        errors.push(FieldError::forbidden(at, why));
    }
    errors
}

fn recursion_faults(mount: &Field<'_>, at: &str) -> Vec<FieldError> {
    const MODES: [&str; 3] = ["Disabled", "Enabled", "IfPossible"];
    let mode = mount.child("recursiveReadOnly");
    let mut errors = Vec::new();
    match mode.text() {
        "Disabled" => {}
        "Enabled" | "IfPossible" => {
            if !mount.child("readOnly").flag() {
                errors.push(FieldError::forbidden(at, "may only be specified when readOnly is true"));
            }
            if !matches!(mount.child("mountPropagation").text(), "" | "None") {
                let why = "may only be specified when mountPropagation is None or not specified";
                errors.push(FieldError::forbidden(at, why));
            }
        }
        other if mode.is_set() => errors.push(FieldError::not_supported(at, other, &MODES)),
        _ => {}
    }
    errors
}

fn device_faults(devices: &Field<'_>, mounts: &Field<'_>, volumes: &[Volume<'_>]) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let (mut names, mut paths) = (Vec::new(), Vec::new());
    for device in devices.items() {
        let (name, path) = (device.child("name"), device.child("devicePath"));
        errors.extend(name.require_text());
        if names.contains(&name.text()) {
            errors.push(name.invalid("must be unique"));
        }
        match volumes.iter().find(|volume| volume.name == name.text()) {
            Some(volume) if volume.is_claim => {}
            Some(_) => errors.push(name.invalid(
                "can only use volume source type of PersistentVolumeClaim or Ephemeral for block mode",
            )),
            None => errors.push(FieldError::not_found(name.path(), name.text())),
        }
        errors.extend(path.require_text());
        if paths.contains(&path.text()) {
            errors.push(path.invalid("must be unique"));
        }
        if backsteps(path.text(), "").is_some() {
            errors.push(path.invalid("can not contain backsteps ('..')"));
        } else {
            paths.push(path.text());
        }
        if has(mounts, "name", name.text()) {
            errors.push(name.invalid("must not already exist in volumeMounts"));
        }
        if has(mounts, "mountPath", path.text()) {
            errors.push(path.invalid("must not already exist as a path in volumeMounts"));
        }
        if !name.text().is_empty() {
            names.push(name.text());
        }
    }
    errors
}

/// The errors of a path that should stay below where it begins.
pub(super) fn descending(path: &str, at: &str) -> Vec<FieldError> {
    let absolute = path.starts_with('/').then(|| FieldError::invalid(at, path, "must be a relative path"));
    absolute.into_iter().chain(backsteps(path, at)).collect()
}

/// The errors of a path below where it begins, in a directory where names with two dots in front mean something.
pub(super) fn local(path: &str, at: &str) -> Vec<FieldError> {
    let mut errors = descending(path, at);
    if path.starts_with("..") && !path.starts_with("../") {
        errors.push(FieldError::invalid(at, path, "must not start with '..'"));
    }
    errors
}

/// The error of a path that leads up again.
pub(super) fn backsteps(path: &str, at: &str) -> Option<FieldError> {
    let leads_up = path.split('/').any(|part| part == "..");
    leads_up.then(|| FieldError::invalid(at, path, "must not contain '..'"))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::strategy::tests::texts;

    const VOLUMES: [Volume<'static>; 2] =
        [Volume { name: "v", is_claim: false }, Volume { name: "claim", is_claim: true }];

    fn faults(container: &Value) -> Vec<String> {
        let object = json!({"c": container});
        texts(&validate(&Field::of(object.as_object().unwrap(), "c"), &VOLUMES))
    }

    #[test]
    fn mounts_one_by_one() {
        let table = [
            (json!({"name": "w", "mountPath": "/a"}), "[0].name: Not found: \"w\""),
            (json!({"name": "v"}), "[0].mountPath: Required value"),
            (
                json!({"name": "v", "mountPath": "/a", "subPath": "../b"}),
                ".subPath: Invalid value: \"../b\": must not contain '..'",
            ),
            (
                json!({"name": "v", "mountPath": "/a", "subPathExpr": "/b"}),
                ".subPathExpr: Invalid value: \"/b\": must be a relative path",
            ),
            (
                json!({"name": "v", "mountPath": "/a", "subPath": "b", "subPathExpr": "c"}),
                "[0].subPathExpr: Invalid value: \"c\": subPathExpr and subPath are mutually exclusive",
            ),
            (
                json!({"name": "v", "mountPath": "/a", "mountPropagation": "Bidirectional"}),
                ".mountPropagation: Forbidden: Bidirectional mount propagation is available only to privileged containers",
            ),
            (
                json!({"name": "v", "mountPath": "/a", "mountPropagation": "X"}),
                ".mountPropagation: Unsupported value: \"X\": supported values: \"Bidirectional\", \"HostToContainer\", \"None\"",
            ),
            (
                json!({"name": "v", "mountPath": "/a", "recursiveReadOnly": "Enabled"}),
                ".recursiveReadOnly: Forbidden: may only be specified when readOnly is true",
            ),
            (
                json!({"name": "v", "mountPath": "/a", "recursiveReadOnly": "X"}),
                ".recursiveReadOnly: Unsupported value: \"X\": supported values: \"Disabled\", \"Enabled\", \"IfPossible\"",
            ),
        ];
        for (mount, wanted) in table {
            let found = faults(&json!({"volumeMounts": [mount]}));
            assert_eq!(found, [format!("c.volumeMounts{wanted}")], "{mount}");
        }
        let mount = json!({"name": "v", "mountPath": "/a"});
        assert_eq!(
            faults(&json!({"volumeMounts": [mount, mount]})),
            ["c.volumeMounts[1].mountPath: Invalid value: \"/a\": must be unique"]
        );
    }

    #[test]
    fn devices_one_by_one() {
        assert_eq!(faults(&json!({"volumeDevices": [{"name": "claim", "devicePath": "/dev/x"}]})), [""; 0]);
        let table = [
            (json!({"name": "w", "devicePath": "/a"}), "name: Not found: \"w\""),
            (
                json!({"name": "v", "devicePath": "/a"}),
                "name: Invalid value: \"v\": can only use volume source type of PersistentVolumeClaim or Ephemeral for block mode",
            ),
            (json!({"name": "claim"}), "devicePath: Required value"),
            (
                json!({"name": "claim", "devicePath": "/a/../b"}),
                "devicePath: Invalid value: \"/a/../b\": can not contain backsteps ('..')",
            ),
        ];
        for (device, wanted) in table {
            let found = faults(&json!({"volumeDevices": [device]}));
            assert_eq!(found, [format!("c.volumeDevices[0].{wanted}")], "{device}");
        }
        let both = json!({"volumeDevices": [{"name": "claim", "devicePath": "/d"}], "volumeMounts": [{"name": "claim", "mountPath": "/m"}]});
        assert_eq!(
            faults(&both),
            [
                "c.volumeMounts[0].name: Invalid value: \"claim\": must not already exist in volumeDevices",
                "c.volumeDevices[0].name: Invalid value: \"claim\": must not already exist in volumeMounts",
            ]
        );
    }

    #[test]
    fn local_paths() {
        let of = |path| texts(&local(path, "p"));
        assert_eq!(of("a/..b"), [""; 0]);
        assert_eq!(of("..data"), ["p: Invalid value: \"..data\": must not start with '..'"]);
        assert_eq!(of("../a"), ["p: Invalid value: \"../a\": must not contain '..'"]);
        assert_eq!(
            of(".."),
            [
                "p: Invalid value: \"..\": must not contain '..'",
                "p: Invalid value: \"..\": must not start with '..'"
            ]
        );
    }
}
