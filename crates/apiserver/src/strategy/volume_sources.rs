//! Where a volume's content is: the rules of the sources that volumes of pods and of the cluster have in common, as far as
//! no driver of the CSI is involved.

use serde_json::Value;
use tokenward_kube_rules::FieldError;

use super::field::Field;
use crate::object::{Object, set_default, set_default_text};

/// What a client may leave out of a source.
const DEFAULTS: [(&str, &[(&str, &str)]); 5] = [
    ("azureDisk", &[("cachingMode", "ReadWrite"), ("fsType", "ext4"), ("kind", "Shared")]),
    ("hostPath", &[("type", "")]),
    ("iscsi", &[("iscsiInterface", "default")]),
    ("rbd", &[("keyring", "/etc/ceph/keyring"), ("pool", "rbd"), ("user", "admin")]),
    ("scaleIO", &[("fsType", "xfs"), ("storageMode", "ThinProvisioned")]),
];

/// Fills in the sources among the members of a pod's volume or of the spec of one of the cluster's.
pub(super) fn set_defaults(volume: &mut Object) {
    for (kind, defaults) in DEFAULTS {
        if let Some(Value::Object(source)) = volume.get_mut(kind) {
            for (member, value) in defaults {
                set_default_text(source, member, value);
            }
        }
    }
    if let Some(Value::Object(disk)) = volume.get_mut("azureDisk") {
        set_default(disk, "readOnly", false);
    }
}

/// What is wrong with a source; nothing with one that is not known here. `kind` is the member's name.
pub(super) fn faults(kind: &str, source: &Field<'_>) -> Vec<FieldError> {
    match kind {
        "hostPath" => host_path(source),
        "gcePersistentDisk" => disk(source, "pdName"),
        "awsElasticBlockStore" => disk(source, "volumeID"),
        "flocker" => flocker(source),
        "nfs" => nfs(source),
        "iscsi" => iscsi(source),
        "fc" => fibre_channel(source),
        "flexVolume" => flex_volume(source),
        "azureDisk" => azure_disk(source),
        "quobyte" => quobyte(source),
        "rbd" | "cephfs" => {
            let monitors = source.child("monitors");
            let missing = (monitors.items().len() == 0).then(|| monitors.required(""));
            let image = if kind == "rbd" { source.child("image").require_text() } else { None };
            missing.into_iter().chain(image).collect()
        }
        "glusterfs" => texts(source, &["endpoints", "path"]),
        "cinder" | "portworxVolume" => texts(source, &["volumeID"]),
        "azureFile" => texts(source, &["secretName", "shareName"]),
        "vsphereVolume" => texts(source, &["volumePath"]),
        "photonPersistentDisk" => texts(source, &["pdID"]),
        "scaleIO" => texts(source, &["gateway", "system", "volumeName"]),
        "storageos" => texts(source, &["volumeName"]),
        "gitRepo" => texts(source, &["repository"]),
        "local" => match source.child("path") {
            path if path.text().is_empty() => vec![path.required("")],
            path => backsteps(&path),
        },
        _ => Vec::new(),
    }
}

/// The name under which upstream's errors have a source.
pub(super) fn shown_as(kind: &str) -> &str {
    if kind == "gcePersistentDisk" { "persistentDisk" } else { kind }
}

/// A path that leads nowhere but down.
pub(super) fn backsteps(path: &Field<'_>) -> Vec<FieldError> {
    let steps_back = path.text().split('/').any(|part| part == "..");
    steps_back.then(|| path.invalid("must not contain '..'")).into_iter().collect()
}

fn texts(source: &Field<'_>, members: &[&'static str]) -> Vec<FieldError> {
    members.iter().filter_map(|member| source.child(member).require_text()).collect()
}

fn host_path(source: &Field<'_>) -> Vec<FieldError> {
    const TYPES: [&str; 8] =
        ["", "BlockDevice", "CharDevice", "Directory", "DirectoryOrCreate", "File", "FileOrCreate", "Socket"];
    let path = source.child("path");
    if path.text().is_empty() {
        return vec![path.required("")];
    }
    let mut errors = backsteps(&path);
    errors.extend(source.child("type").one_of(&TYPES));
    errors
}

fn disk(source: &Field<'_>, name: &'static str) -> Vec<FieldError> {
    let mut errors = texts(source, &[name]);
    let partition = source.child("partition");
    if partition.number().is_some_and(|number| !(0..=255).contains(&number)) {
        errors.push(partition.invalid("must be between 1 and 255, inclusive"));
    }
    errors
}

fn flocker(source: &Field<'_>) -> Vec<FieldError> {
    let (name, id) = (source.child("datasetName"), source.child("datasetUUID"));
    let mut errors = Vec::new();
    match (name.text().is_empty(), id.text().is_empty()) {
        (true, true) => errors.push(source.required("one of datasetName and datasetUUID is required")),
        (false, false) => {
            let why = "datasetName and datasetUUID can not be specified simultaneously";
            errors.push(FieldError::invalid(source.path(), "resource", why));
        }
        _ => {}
    }
    if name.text().contains('/') {
        errors.push(name.invalid("must not contain '/'"));
    }
    errors
}

fn nfs(source: &Field<'_>) -> Vec<FieldError> {
    let mut errors = texts(source, &["server", "path"]);
    let path = source.child("path");
    if !path.text().starts_with('/') {
        errors.push(FieldError::invalid(path.path(), path.text(), "must be an absolute path"));
    }
    errors
}

fn iscsi(source: &Field<'_>) -> Vec<FieldError> {
    let mut errors = texts(source, &["targetPortal", "iqn"]);
    let unit = source.child("lun");
    if unit.number().is_some_and(|number| !(0..=255).contains(&number)) {
        errors.push(unit.invalid("must be between 0 and 255, inclusive"));
    }
    let has_password =
        ["chapAuthDiscovery", "chapAuthSession"].iter().any(|member| source.child(member).flag());
    let secret = source.child("secretRef");
    if has_password && !secret.is_set() {
        errors.push(secret.required(""));
    }
    errors
}

fn fibre_channel(source: &Field<'_>) -> Vec<FieldError> {
    let (names, ids, unit) = (source.child("targetWWNs"), source.child("wwids"), source.child("lun"));
    let has = |list: &Field<'_>| list.items().len() > 0;
    let mut errors = Vec::new();
    match (has(&names), has(&ids)) {
        (false, false) => {
            errors.push(names.required("must specify either targetWWNs or wwids, but not both"));
        }
        (true, true) => {
            errors.push(names.invalid("targetWWNs and wwids can not be specified simultaneously"));
        }
        _ => {}
    }
    if has(&names) {
        match unit.number() {
            None => errors.push(unit.required("lun is required if targetWWNs is specified")),
            Some(0..=255) => {}
            Some(_) => errors.push(unit.invalid("must be between 0 and 255, inclusive")),
        }
    }
    errors
}

fn flex_volume(source: &Field<'_>) -> Vec<FieldError> {
    let mut errors = texts(source, &["driver"]);
    let options = source.child("options");
    for key in options.keys() {
        let namespace = key.split_once('/').map_or(key, |(namespace, _)| namespace).to_lowercase();
        let namespace = format!(".{namespace}");
        if namespace.ends_with(".kubernetes.io") || namespace.ends_with(".k8s.io") {
            let why = "kubernetes.io and k8s.io namespaces are reserved";
            errors.push(FieldError::invalid(options.key(key).path(), key, why));
        }
    }
    errors
}

fn azure_disk(source: &Field<'_>) -> Vec<FieldError> {
    const MANAGED: &str =
        "/subscriptions/{sub-id}/resourcegroups/{group-name}/providers/microsoft.compute/disks/{disk-id}";
    const BLOB: &str = "https://{account-name}.blob.core.windows.net/{container-name}/{disk-name}.vhd";
    let mut errors = texts(source, &["diskName", "diskURI"]);
    let (caching, kind, uri) = (source.child("cachingMode"), source.child("kind"), source.child("diskURI"));
    if caching.is_set() {
        errors.extend(caching.one_of(&["None", "ReadOnly", "ReadWrite"]));
    }
    if kind.is_set() {
        errors.extend(kind.one_of(&["Dedicated", "Managed", "Shared"]));
    }
    let (beginning, supported) =
        if kind.text() == "Managed" { ("/subscriptions/", MANAGED) } else { ("https://", BLOB) };
    if !uri.text().starts_with(beginning) {
        errors.push(FieldError::not_supported(uri.path(), Value::from(uri.text()), &[supported]));
    }
    errors
}

fn quobyte(source: &Field<'_>) -> Vec<FieldError> {
    const WHY: &str = "must be a host:port pair or multiple pairs separated by commas";
    let (registry, mut errors) = (source.child("registry"), Vec::new());
    if registry.text().is_empty() {
        errors.push(registry.required(WHY));
    } else if registry.text().split(',').any(|pair| !pair.contains(':')) {
        errors.push(registry.invalid(WHY));
    }
    errors.extend(source.child("volume").require_text());
    errors
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::strategy::tests::texts;

    #[test]
    fn every_source_says_what_it_lacks() {
        let uri = "Unsupported value: \"\": supported values: \
                   \"https://{account-name}.blob.core.windows.net/{container-name}/{disk-name}.vhd\"";
        let rows: [(&str, Value, Vec<String>); 27] = [
            ("hostPath", json!({}), vec!["s.path: Required value".into()]),
            (
                "hostPath",
                json!({"path": "/a/../b", "type": "X"}),
                vec![
                    "s.path: Invalid value: \"/a/../b\": must not contain '..'".into(),
                    "s.type: Unsupported value: \"X\": supported values: \"\", \"BlockDevice\", \"CharDevice\", \
                     \"Directory\", \"DirectoryOrCreate\", \"File\", \"FileOrCreate\", \"Socket\""
                        .into(),
                ],
            ),
            (
                "gcePersistentDisk",
                json!({"partition": 300}),
                vec![
                    "s.pdName: Required value".into(),
                    "s.partition: Invalid value: 300: must be between 1 and 255, inclusive".into(),
                ],
            ),
            ("awsElasticBlockStore", json!({}), vec!["s.volumeID: Required value".into()]),
            ("flocker", json!({}), vec!["s: Required value: one of datasetName and datasetUUID is required".into()]),
            ("flocker", json!({"datasetName": "a/b"}), vec![
                "s.datasetName: Invalid value: \"a/b\": must not contain '/'".into(),
            ]),
            (
                "nfs",
                json!({"path": "rel"}),
                vec![
                    "s.server: Required value".into(),
                    "s.path: Invalid value: \"rel\": must be an absolute path".into(),
                ],
            ),
            (
                "nfs",
                json!({"server": "s"}),
                vec![
                    "s.path: Required value".into(),
                    "s.path: Invalid value: \"\": must be an absolute path".into(),
                ],
            ),
            ("iscsi", json!({}), vec!["s.targetPortal: Required value".into(), "s.iqn: Required value".into()]),
            (
                "iscsi",
                json!({"targetPortal": "p", "iqn": "iqn.2015-02.example.com:a", "lun": 256, "chapAuthSession": true}),
                vec![
                    "s.lun: Invalid value: 256: must be between 0 and 255, inclusive".into(),
                    "s.secretRef: Required value".into(),
                ],
            ),
            ("fc", json!({}), vec![
                "s.targetWWNs: Required value: must specify either targetWWNs or wwids, but not both".into(),
            ]),
            ("fc", json!({"targetWWNs": ["a"]}), vec![
                "s.lun: Required value: lun is required if targetWWNs is specified".into(),
            ]),
            ("fc", json!({"wwids": ["a"]}), vec![]),
            ("flexVolume", json!({"options": {"x.K8s.io/a": "b"}}), vec![
                "s.driver: Required value".into(),
                "s.options[x.K8s.io/a]: Invalid value: \"x.K8s.io/a\": kubernetes.io and k8s.io namespaces are reserved"
                    .into(),
            ]),
            ("azureDisk", json!({}), vec![
                "s.diskName: Required value".into(),
                "s.diskURI: Required value".into(),
                format!("s.diskURI: {uri}"),
            ]),
            ("azureDisk", json!({"diskName": "a", "diskURI": "/subscriptions/x", "kind": "Managed"}), vec![]),
            ("azureDisk", json!({"diskName": "a", "diskURI": "https://x"}), vec![]),
            ("quobyte", json!({}), vec![
                "s.registry: Required value: must be a host:port pair or multiple pairs separated by commas".into(),
                "s.volume: Required value".into(),
            ]),
            ("rbd", json!({}), vec!["s.monitors: Required value".into(), "s.image: Required value".into()]),
            ("cephfs", json!({}), vec!["s.monitors: Required value".into()]),
            ("glusterfs", json!({}), vec!["s.endpoints: Required value".into(), "s.path: Required value".into()]),
            ("azureFile", json!({}), vec!["s.secretName: Required value".into(), "s.shareName: Required value".into()]),
            ("scaleIO", json!({}), vec![
                "s.gateway: Required value".into(),
                "s.system: Required value".into(),
                "s.volumeName: Required value".into(),
            ]),
            ("local", json!({"path": "../x"}), vec!["s.path: Invalid value: \"../x\": must not contain '..'".into()]),
            ("local", json!({"path": "/x"}), vec![]),
            ("gitRepo", json!({}), vec!["s.repository: Required value".into()]),
            ("emptyDir", json!({}), vec![]),
        ];
        for (kind, source, wanted) in rows {
            let object = json!({"s": source}).as_object().cloned().unwrap();
            assert_eq!(texts(&faults(kind, &Field::of(&object, "s"))), wanted, "{kind} {source}");
        }
    }
}
