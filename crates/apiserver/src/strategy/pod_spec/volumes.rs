//! What is wrong with a pod's volumes.

use tokenward_kube_rules::{FieldError, names};

use super::super::claim;
use super::super::field::Field;

/// The errors, and the names of the volumes that have none.
pub(super) fn validate<'a>(volumes: &Field<'a>) -> (Vec<FieldError>, Vec<&'a str>) {
    let mut errors = Vec::new();
    let mut good: Vec<&str> = Vec::new();
    for volume in volumes.items() {
        let name = volume.child("name");
        let mut own = source_faults(&volume);
        own.extend(name.require_text());
        if !name.text().is_empty() {
            own.extend(name.faults(names::dns_label));
        }
        if good.contains(&name.text()) {
            own.push(name.duplicate());
        }
        if own.is_empty() {
            good.push(name.text());
        }
        errors.extend(own);
    }
    (errors, good)
}

fn source_faults(volume: &Field<'_>) -> Vec<FieldError> {
    let mut sources: Vec<&str> =
        volume.keys().filter(|key| *key != "name" && volume.child(key).is_set()).collect();
    sources.sort_unstable();
    let Some((first, others)) = sources.split_first() else {
        return vec![volume.required("must specify a volume type")];
    };
    let mut errors = one_source(first, &volume.child(first));
    let more =
        others.iter().map(|other| volume.child(other).forbidden("may not specify more than 1 volume type"));
    errors.extend(more);
    errors
}

fn one_source(kind: &str, source: &Field<'_>) -> Vec<FieldError> {
    match kind {
        "csi" => {
            let driver = source.child("driver");
            let mut errors = names::csi_driver_name(driver.text(), &driver.path());
            let secret = source.child("nodePublishSecretRef");
            if secret.is_set() {
                errors.extend(secret.child("name").require_text());
            }
            errors
        }
        "secret" => named_source(source, "secretName"),
        "configMap" => named_source(source, "name"),
        "downwardAPI" => mode_fault(&source.child("defaultMode")).into_iter().collect(),
        "persistentVolumeClaim" => source.child("claimName").require_text().into_iter().collect(),
        "hostPath" => host_path(source),
        "projected" => projected(source),
        "ephemeral" => {
            let template = source.child("volumeClaimTemplate");
            if !template.is_set() {
                return vec![template.required("")];
            }
            claim::validate_spec(&template.child("spec"))
        }
        _ => Vec::new(),
    }
}

fn named_source(source: &Field<'_>, name: &str) -> Vec<FieldError> {
    let mut errors: Vec<FieldError> = source.child(name).require_text().into_iter().collect();
    errors.extend(mode_fault(&source.child("defaultMode")));
    errors.extend(key_to_path(&source.child("items")));
    errors
}

fn key_to_path(items: &Field<'_>) -> Vec<FieldError> {
    let mut errors = Vec::new();
    for item in items.items() {
        errors.extend(item.child("key").require_text());
        errors.extend(local_path(&item.child("path")));
        errors.extend(mode_fault(&item.child("mode")));
    }
    errors
}

fn mode_fault(mode: &Field<'_>) -> Option<FieldError> {
    let is_good = mode.number().is_none_or(|mode| (0..=0o777).contains(&mode));
    (!is_good).then(|| mode.invalid("must be a number between 0 and 0777 (octal), both inclusive"))
}

/// A path within a volume, which the names that begin with two dots are kept out of.
fn local_path(path: &Field<'_>) -> Vec<FieldError> {
    if path.text().is_empty() {
        return vec![path.required("")];
    }
    let mut errors = descending(path);
    let first = path.text().split('/').next().unwrap_or_default();
    if first.starts_with("..") && first != ".." {
        errors.push(path.invalid("must not start with '..'"));
    }
    errors
}

/// A path that stays below where it begins.
pub(super) fn descending(path: &Field<'_>) -> Vec<FieldError> {
    let mut errors = Vec::new();
    if path.text().starts_with('/') {
        errors.push(path.invalid("must be a relative path"));
    }
    if path.text().split('/').any(|part| part == "..") {
        errors.push(path.invalid("must not contain '..'"));
    }
    errors
}

fn host_path(source: &Field<'_>) -> Vec<FieldError> {
    let path = source.child("path");
    if path.text().is_empty() {
        return vec![path.required("")];
    }
    let mut errors = Vec::new();
    if path.text().split('/').any(|part| part == "..") {
        errors.push(path.invalid("must not contain '..'"));
    }
    const TYPES: [&str; 8] =
        ["", "BlockDevice", "CharDevice", "Directory", "DirectoryOrCreate", "File", "FileOrCreate", "Socket"];
    errors.extend(source.child("type").one_of(&TYPES));
    errors
}

fn projected(source: &Field<'_>) -> Vec<FieldError> {
    let mut errors: Vec<FieldError> = mode_fault(&source.child("defaultMode")).into_iter().collect();
    let mut paths: Vec<String> = Vec::new();
    for entry in source.child("sources").items() {
        let mut kinds: Vec<&str> = entry.keys().filter(|key| entry.child(key).is_set()).collect();
        kinds.sort_unstable();
        if let [_, others @ ..] = kinds.as_slice() {
            let more = others.iter().map(|other| entry.child(other));
            errors.extend(more.map(|other| other.forbidden("may not specify more than 1 volume type")));
        }
        let Some(kind) = kinds.first() else { continue };
        let inner = entry.child(kind);
        match *kind {
            "secret" | "configMap" => {
                errors.extend(inner.child("name").require_text());
                errors.extend(key_to_path(&inner.child("items")));
            }
            "serviceAccountToken" => errors.extend(token_faults(&inner)),
            _ => {}
        }
        let items = inner.child("items");
        let own = items.items().map(|item| item.child("path")).chain([inner.child("path")]);
        for path in own.filter(|path| !path.text().is_empty()) {
            if paths.iter().any(|known| known == path.text()) {
                let why = format!("conflicting duplicate paths: {}", path.text());
                errors.push(FieldError::invalid(entry.path(), path.text(), &why));
            }
            paths.push(path.text().to_owned());
        }
    }
    errors
}

fn token_faults(token: &Field<'_>) -> Vec<FieldError> {
    const LONGEST: i64 = 1 << 32;
    let expiration = token.child("expirationSeconds");
    let mut errors = Vec::new();
    match expiration.number() {
        Some(..600) => errors.push(expiration.invalid("may not specify a duration less than 10 minutes")),
        Some(seconds) if seconds > LONGEST => {
            errors.push(expiration.invalid("may not specify a duration larger than 2^32 seconds"));
        }
        _ => {}
    }
    errors.extend(local_path(&token.child("path")));
    errors
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::strategy::tests::texts;

    fn faults(volume: &Value) -> Vec<String> {
        let object = json!({"volumes": [volume]});
        texts(&validate(&Field::of(object.as_object().unwrap(), "volumes")).0)
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
                "volumes[0].emptyDir: Forbidden: may not specify more than 1 volume type",
            ),
            (json!({"name": "v", "secret": {}}), "volumes[0].secret.secretName: Required value"),
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
            (token(600, ""), "volumes[0].projected.sources[0].serviceAccountToken.path: Required value"),
            (
                token(1 << 32, "..data"),
                "volumes[0].projected.sources[0].serviceAccountToken.path: Invalid value: \"..data\": must not start with '..'",
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
        let (errors, good) = validate(&Field::of(object.as_object().unwrap(), "volumes"));
        assert_eq!(
            (texts(&errors), good),
            (vec!["volumes[1].name: Duplicate value: \"a\"".to_owned()], vec!["a"])
        );
        let twice = json!({"name": "v", "projected": {"sources": [
            {"secret": {"name": "s", "items": [{"key": "k", "path": "p"}]}},
            {"configMap": {"name": "c", "items": [{"key": "k", "path": "p"}]}}]}});
        assert_eq!(
            faults(&twice),
            ["volumes[0].projected.sources[1]: Invalid value: \"p\": conflicting duplicate paths: p"]
        );
    }
}
