//! What is wrong with a pod's volumes.

use tokenward_kube_rules::quantity::Quantity;
use tokenward_kube_rules::{FieldError, metadata, names};

use super::super::claim;
use super::super::field::Field;
use super::super::volume_sources;
use super::mounts::{Volume, local};
use super::{Owner, environment};

/// The kinds of volumes, in upstream's order: of several it is the first that counts.
const SOURCES: [&str; 30] = [
    "emptyDir",
    "hostPath",
    "gitRepo",
    "gcePersistentDisk",
    "awsElasticBlockStore",
    "secret",
    "nfs",
    "iscsi",
    "glusterfs",
    "flocker",
    "persistentVolumeClaim",
    "rbd",
    "cinder",
    "cephfs",
    "quobyte",
    "downwardAPI",
    "fc",
    "flexVolume",
    "configMap",
    "azureFile",
    "vsphereVolume",
    "photonPersistentDisk",
    "portworxVolume",
    "azureDisk",
    "storageos",
    "projected",
    "scaleIO",
    "csi",
    "ephemeral",
    "image",
];

/// The errors, and the volumes that have none.
pub(super) fn validate<'a>(volumes: &Field<'a>, owner: Owner) -> (Vec<FieldError>, Vec<Volume<'a>>) {
    let mut errors = Vec::new();
    let mut good: Vec<Volume<'_>> = Vec::new();
    for volume in volumes.items() {
        let name = volume.child("name");
        let mut own = source_faults(&volume, owner);
        own.extend(name.require_text());
        if !name.text().is_empty() {
            own.extend(name.faults(names::dns_label));
        }
        if good.iter().any(|known| known.name == name.text()) {
            own.push(name.duplicate());
        }
        if own.is_empty() {
            let is_claim =
                ["persistentVolumeClaim", "ephemeral"].iter().any(|kind| volume.child(kind).is_set());
            good.push(Volume { name: name.text(), is_claim });
        }
        errors.extend(own);
    }
    (errors, good)
}

fn source_faults(volume: &Field<'_>, owner: Owner) -> Vec<FieldError> {
    let mut set =
        SOURCES.iter().map(|kind| (*kind, volume.child(kind))).filter(|(_, source)| source.is_set());
    let Some((kind, _)) = set.next() else {
        return vec![volume.required("must specify a volume type")];
    };
    let source = volume.child_shown_as(kind, volume_sources::shown_as(kind));
    let mut errors = one_source(kind, &source, owner);
    errors.extend(set.map(|(_, other)| other.forbidden("may not specify more than 1 volume type")));
    errors
}

fn one_source(kind: &str, source: &Field<'_>, owner: Owner) -> Vec<FieldError> {
    match kind {
        "emptyDir" => {
            let limit = source.child("sizeLimit");
            let is_negative = Quantity::parse(limit.text()).is_ok_and(|limit| limit < Quantity::ZERO);
            let why = "SizeLimit field must be a valid resource quantity";
            is_negative.then(|| limit.forbidden(why)).into_iter().collect()
        }
        "csi" => csi(source),
        "secret" => named_source(source, "secretName"),
        "configMap" => named_source(source, "name"),
        "downwardAPI" => {
            let mut errors: Vec<FieldError> = mode_fault(&source.child("defaultMode")).into_iter().collect();
            errors.extend(source.child("items").items().flat_map(|file| downward_file(&file, source)));
            errors
        }
        "persistentVolumeClaim" => source.child("claimName").require_text().into_iter().collect(),
        "projected" => projected(source),
        "ephemeral" => ephemeral(source),
        "image" => {
            let (reference, pull) = (source.child("reference"), source.child("pullPolicy"));
            let missing = if owner == Owner::Pod { reference.require_text() } else { None };
            let policy = pull.require_text().or_else(|| pull.one_of(&["Always", "IfNotPresent", "Never"]));
            missing.into_iter().chain(policy).collect()
        }
        other => volume_sources::faults(other, source),
    }
}

fn csi(source: &Field<'_>) -> Vec<FieldError> {
    let driver = source.child("driver");
    let mut errors = names::csi_driver_name(driver.text(), &driver.path());
    let secret = source.child("nodePublishSecretRef");
    if secret.is_set() {
        let name = secret.child("name");
        match name.require_text() {
            Some(error) => errors.push(error),
            None => {
                let at = source.child("name").path();
                let faults = names::dns_subdomain(name.text());
                errors.extend(faults.iter().map(|fault| FieldError::invalid(&*at, name.text(), fault)));
            }
        }
    }
    errors
}

fn ephemeral(source: &Field<'_>) -> Vec<FieldError> {
    let template = source.child("volumeClaimTemplate");
    if !template.is_set() {
        return vec![template.required("")];
    }
    let own = template.child("metadata");
    let (labels, annotations) = (own.child("labels"), own.child("annotations"));
    let mut errors = metadata::validate_annotations(Some(annotations.value()), &annotations.path());
    errors.extend(metadata::validate_labels(Some(labels.value()), &labels.path()));
    let others = own.keys().filter(|key| !matches!(*key, "labels" | "annotations"));
    errors.extend(
        others.map(|key| own.child(key)).filter(Field::is_set).map(|other| other.forbidden("cannot be set")),
    );
    errors.extend(claim::validate_spec(&template.child("spec")));
    errors
}

fn named_source(source: &Field<'_>, name: &'static str) -> Vec<FieldError> {
    let mut errors: Vec<FieldError> = source.child(name).require_text().into_iter().collect();
    errors.extend(mode_fault(&source.child("defaultMode")));
    errors.extend(key_to_path(&source.child("items")));
    errors
}

fn key_to_path(items: &Field<'_>) -> Vec<FieldError> {
    let mut errors = Vec::new();
    for item in items.items() {
        let path = item.child("path");
        errors.extend(item.child("key").require_text());
        errors.extend(path.require_text());
        errors.extend(local(path.text(), &path.path()));
        errors.extend(mode_fault(&item.child("mode")));
    }
    errors
}

/// The errors of a file of the downward API. Upstream names the volume, not the file.
fn downward_file(file: &Field<'_>, at: &Field<'_>) -> Vec<FieldError> {
    let (path, mode) = (file.child("path").text(), file.child("mode"));
    let place = at.child("path");
    let mut errors = Vec::new();
    if path.is_empty() {
        errors.push(place.required(""));
    }
    errors.extend(local(path, &place.path()));
    errors.extend(environment::downward_file(file, at));
    if mode_fault(&mode).is_some() {
        errors.push(FieldError::invalid(at.child("mode").path(), mode.value().clone(), MODE_FAULT));
    }
    errors
}

const MODE_FAULT: &str = "must be a number between 0 and 0777 (octal), both inclusive";

fn mode_fault(mode: &Field<'_>) -> Option<FieldError> {
    let is_good = mode.number().is_none_or(|mode| (0..=0o777).contains(&mode));
    (!is_good).then(|| mode.invalid(MODE_FAULT))
}

/// The kinds of sources of a projected volume that have rules here, in upstream's order.
fn projected(source: &Field<'_>) -> Vec<FieldError> {
    let mut errors: Vec<FieldError> = mode_fault(&source.child("defaultMode")).into_iter().collect();
    let mut paths: Vec<&str> = Vec::new();
    for entry in source.child("sources").items() {
        for kind in ["secret", "configMap"] {
            let inner = entry.child(kind);
            if !inner.is_set() {
                continue;
            }
            let name = inner.child("name");
            errors.extend(name.require_text());
            errors.extend(key_to_path(&inner.child("items")));
            let own = inner.child("items");
            let own = own.items().map(|item| item.child("path").text());
            errors.extend(taken_faults(own, &mut paths, source, Some(name.text())));
        }
        let downward = entry.child("downwardAPI");
        for file in downward.child("items").items() {
            errors.extend(downward_file(&file, &downward));
            errors.extend(taken_faults([file.child("path").text()], &mut paths, source, None));
        }
        let token = entry.child("serviceAccountToken");
        if token.is_set() {
            errors.extend(token_faults(&token, &source.child("path").path()));
        }
        if entry.keys().filter(|key| entry.child(key).is_set()).count() > 1 {
            errors.push(entry.forbidden("may not specify more than 1 volume type per source"));
        }
    }
    errors
}

/// The errors of paths that other sources have taken. What upstream shows of them is the source's name, if it has one.
fn taken_faults<'a>(
    own: impl IntoIterator<Item = &'a str>,
    taken: &mut Vec<&'a str>,
    volume: &Field<'_>,
    name: Option<&str>,
) -> Vec<FieldError> {
    let mut errors = Vec::new();
    for path in own.into_iter().filter(|path| !path.is_empty()) {
        if taken.contains(&path) {
            let why = "conflicting duplicate paths";
            errors.push(FieldError::invalid(volume.path(), name.unwrap_or(path), why));
        } else {
            taken.push(path);
        }
    }
    errors
}

/// Upstream names the volume where the path of a token is at fault.
fn token_faults(token: &Field<'_>, place: &str) -> Vec<FieldError> {
    const LONGEST: i64 = 1 << 32;
    let expiration = token.child("expirationSeconds");
    let path = token.child("path").text();
    let mut errors = Vec::new();
    match expiration.number() {
        Some(..600) => errors.push(expiration.invalid("may not specify a duration less than 10 minutes")),
        Some(seconds) if seconds > LONGEST => {
            errors.push(expiration.invalid("may not specify a duration larger than 2^32 seconds"));
        }
        _ => {}
    }
    if path.is_empty() {
        errors.push(FieldError::required(place, ""));
    }
    errors.extend(local(path, place));
    errors
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::strategy::tests::texts;

    fn faults(volume: &Value) -> Vec<String> {
        let object = json!({"volumes": [volume]});
        texts(&validate(&Field::of(object.as_object().unwrap(), "volumes"), Owner::Pod).0)
    }

    #[test]
    fn sources_one_by_one() {
        let token = |seconds: i64, path: &str| json!({"name": "v", "projected": {"sources": [{"serviceAccountToken": {"expirationSeconds": seconds, "path": path}}]}});
        let table = [
            (json!({"name": "v"}), "volumes[0]: Required value: must specify a volume type"),
            (
                json!({"name": "v", "csi": {"driver": "a", "nodePublishSecretRef": {}}}),
                "volumes[0].csi.nodePublishSecretRef.name: Required value",
            ),
            (
                json!({"name": "v", "emptyDir": {}, "csi": {"driver": "a"}}),
                "volumes[0].csi: Forbidden: may not specify more than 1 volume type",
            ),
            (json!({"name": "v", "secret": {}}), "volumes[0].secret.secretName: Required value"),
            (
                json!({"name": "v", "gcePersistentDisk": {}}),
                "volumes[0].persistentDisk.pdName: Required value",
            ),
            (
                json!({"name": "v", "cephfs": {}, "rbd": {"monitors": ["m"], "image": "i"}}),
                "volumes[0].cephfs: Forbidden: may not specify more than 1 volume type",
            ),
            (
                json!({"name": "v", "configMap": {"name": "c", "defaultMode": 512}}),
                "volumes[0].configMap.defaultMode: Invalid value: 512: must be a number between 0 and 0777 (octal), both inclusive",
            ),
            (
                json!({"name": "v", "configMap": {"name": "c", "items": [{"key": "k", "path": "/a"}]}}),
                "volumes[0].configMap.items[0].path: Invalid value: \"/a\": must be a relative path",
            ),
            (
                json!({"name": "v", "persistentVolumeClaim": {}}),
                "volumes[0].persistentVolumeClaim.claimName: Required value",
            ),
            (
                json!({"name": "v", "hostPath": {"path": "/a/../b"}}),
                "volumes[0].hostPath.path: Invalid value: \"/a/../b\": must not contain '..'",
            ),
            (
                token(599, "t"),
                "volumes[0].projected.sources[0].serviceAccountToken.expirationSeconds: Invalid value: 599: may not specify a duration less than 10 minutes",
            ),
            (
                token((1 << 32) + 1, "t"),
                "volumes[0].projected.sources[0].serviceAccountToken.expirationSeconds: Invalid value: 4294967297: may not specify a duration larger than 2^32 seconds",
            ),
            (token(600, ""), "volumes[0].projected.path: Required value"),
            (
                token(1 << 32, "..data"),
                "volumes[0].projected.path: Invalid value: \"..data\": must not start with '..'",
            ),
            (
                json!({"name": "v", "projected": {"sources": [{"serviceAccountToken": {"expirationSeconds": 600, "path": "t"}, "secret": {"name": "s"}}]}}),
                "volumes[0].projected.sources[0]: Forbidden: may not specify more than 1 volume type per source",
            ),
            (
                json!({"name": "v", "emptyDir": {"sizeLimit": "-1"}}),
                "volumes[0].emptyDir.sizeLimit: Forbidden: SizeLimit field must be a valid resource quantity",
            ),
            (json!({"name": "v", "csi": {"driver": ""}}), "volumes[0].csi.driver: Required value"),
            (
                json!({"name": "v", "downwardAPI": {"items": [{"path": "a"}]}}),
                "volumes[0].downwardAPI: Required value: one of fieldRef and resourceFieldRef is required",
            ),
            (
                json!({"name": "v", "downwardAPI": {"items": [{"path": "a", "fieldRef": {"apiVersion": "v1", "fieldPath": "spec.nodeName"}}]}}),
                "volumes[0].downwardAPI.fieldRef.fieldPath: Unsupported value: \"spec.nodeName\": supported values: \"metadata.annotations\", \"metadata.labels\", \"metadata.name\", \"metadata.namespace\", \"metadata.uid\"",
            ),
            (
                json!({"name": "v", "downwardAPI": {"items": [{"path": "../a", "resourceFieldRef": {"containerName": "c", "resource": "limits.cpu"}}]}}),
                "volumes[0].downwardAPI.path: Invalid value: \"../a\": must not contain '..'",
            ),
            (
                json!({"name": "v", "nfs": {"server": "s", "path": "p"}}),
                "volumes[0].nfs.path: Invalid value: \"p\": must be an absolute path",
            ),
            (
                json!({"name": "v", "azureFile": {"shareName": "s"}}),
                "volumes[0].azureFile.secretName: Required value",
            ),
            (
                json!({"name": "v", "ephemeral": {"volumeClaimTemplate": {"metadata": {"name": "x"}, "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}}}}),
                "volumes[0].ephemeral.volumeClaimTemplate.metadata.name: Forbidden: cannot be set",
            ),
            (
                json!({"name": "v", "image": {"pullPolicy": "Always"}}),
                "volumes[0].image.reference: Required value",
            ),
            (json!({"emptyDir": {}}), "volumes[0].name: Required value"),
        ];
        for (volume, wanted) in table {
            assert_eq!(faults(&volume), [wanted], "{volume}");
        }
        assert_eq!(faults(&token(600, "t")), [""; 0]);
        let error = &faults(&json!({"name": "V", "emptyDir": {}}))[0];
        assert!(
            error.starts_with("volumes[0].name: Invalid value: \"V\": a lowercase RFC 1123 label"),
            "{error}"
        );
    }

    #[test]
    fn names_and_projected_paths_are_unique() {
        let object = json!({"volumes": [{"name": "a", "emptyDir": {}}, {"name": "a", "emptyDir": {}}]});
        let (errors, good) = validate(&Field::of(object.as_object().unwrap(), "volumes"), Owner::Pod);
        assert_eq!(
            (texts(&errors), good),
            (
                vec!["volumes[1].name: Duplicate value: \"a\"".to_owned()],
                vec![Volume { name: "a", is_claim: false }]
            )
        );
        let twice = json!({"name": "v", "projected": {"sources": [
            {"secret": {"name": "s", "items": [{"key": "k", "path": "p"}]}},
            {"configMap": {"name": "c", "items": [{"key": "k", "path": "p"}]}}]}});
        assert_eq!(
            faults(&twice),
            ["volumes[0].projected: Invalid value: \"c\": conflicting duplicate paths"]
        );
    }
}
