//! PersistentVolumeClaim: a pod's wish for storage. Once made it is fixed, but for its volume, its class where there was
//! none, and its size once it is bound.

use serde_json::Value;
use tokenward_kube_rules::quantity::Quantity;
use tokenward_kube_rules::{FeatureGates, FieldError, label_selector, names};

use super::field::Field;
use super::pod_spec::{BY_REQUEST, annotated, fractions};
use super::volume::{access_mode_faults, not_positive};
use super::{Strategy, start_phase};
use crate::object::{Object, child_mut, set_default, text_at};

pub(super) struct ClaimStrategy;

impl Strategy for ClaimStrategy {
    fn is_shown_when_deleted(&self) -> bool {
        true
    }

    fn set_defaults(&self, object: &mut Object) {
        set_default(child_mut(object, "spec"), "volumeMode", "Filesystem");
    }

    fn prepare_create(&self, object: &mut Object, _gates: &FeatureGates) {
        object.remove("status");
        start_phase(object, "Pending");
        drop_data_sources(child_mut(object, "spec"));
        unite_data_sources(child_mut(object, "spec"));
    }

    fn prepare_update(&self, new: &mut Object, _old: &Object, _gates: &FeatureGates) {
        unite_data_sources(child_mut(new, "spec"));
    }

    fn warnings_on_create(&self, object: &Object, _gates: &FeatureGates) -> Vec<String> {
        warnings(object)
    }

    fn warnings_on_update(&self, new: &Object, _old: &Object, _gates: &FeatureGates) -> Vec<String> {
        warnings(new)
    }

    fn validate(&self, object: &Object) -> Vec<FieldError> {
        validate_spec(&Field::of(object, "spec"))
    }

    fn validate_update(&self, new: &Object, old: &Object) -> Vec<FieldError> {
        let is_bound = text_at(new, &["status", "phase"]) == "Bound";
        let mut errors = Vec::new();
        if fixed_part(new, old, is_bound) != fixed_part(old, old, is_bound) {
            const WHY: &str = "spec is immutable after creation except resources.requests and \
                               volumeAttributesClassName for bound claims";
            errors.push(FieldError::forbidden("spec", WHY));
        }
        let size = |object, path: &[&str]| Quantity::parse(text_at(object, path)).unwrap_or_default();
        let requested = |object| size(object, &["spec", "resources", "requests", "storage"]);
        if requested(new) < requested(old) && requested(new) <= size(old, &["status", "capacity", "storage"])
        {
            let why = "field can not be less than status.capacity";
            errors.push(FieldError::forbidden("spec.resources.requests.storage", why));
        }
        errors
    }
}

/// The annotation that named a claim's class before there was a member for it.
const CLASS_ANNOTATION: &str = "volume.beta.kubernetes.io/storage-class";

fn warnings(claim: &Object) -> Vec<String> {
    let why = "deprecated since v1.8; use \"storageClassName\" attribute instead";
    let class = annotated(&Field::of(claim, "metadata").child("annotations"), CLASS_ANNOTATION, why);
    let resources = Field::of(claim, "spec").child("resources");
    class.into_iter().chain(fractions(&resources, &["storage"], BY_REQUEST)).collect()
}

/// Whether Kubernetes itself may fill a claim from there: from another claim, or a snapshot.
fn is_old_source(source: &Value) -> bool {
    let text = |member: &str| source.get(member).and_then(Value::as_str).unwrap_or_default();
    matches!(
        (text("apiGroup"), text("kind")),
        ("", "PersistentVolumeClaim") | ("snapshot.storage.k8s.io", "VolumeSnapshot")
    )
}

/// What the older spelling cannot mean goes without a word, as does another namespace, which the gate
/// `CrossNamespaceVolumeDataSource` allows.
fn drop_data_sources(spec: &mut Object) {
    let is_elsewhere = |reference: &Value| {
        reference.get("namespace").and_then(Value::as_str).is_some_and(|namespace| !namespace.is_empty())
    };
    if spec.get("dataSourceRef").is_some_and(is_elsewhere) {
        spec.remove("dataSourceRef");
    }
    let has_reference = spec.get("dataSourceRef").is_some_and(|reference| !reference.is_null());
    if !has_reference && spec.get("dataSource").is_some_and(|source| !is_old_source(source)) {
        spec.remove("dataSource");
    }
}

/// The older and the newer spelling of where the content comes from say the same.
fn unite_data_sources(spec: &mut Object) {
    let source = spec.get("dataSource").filter(|source| !source.is_null()).cloned();
    let reference = spec.get("dataSourceRef").filter(|source| !source.is_null()).cloned();
    match (source, reference) {
        (Some(source), None) => {
            spec.insert("dataSourceRef".to_owned(), source);
        }
        // Content of another namespace can only be said the newer way.
        (None, Some(reference)) if reference.get("namespace").is_none_or(Value::is_null) => {
            spec.insert("dataSource".to_owned(), reference);
        }
        _ => {}
    }
}

/// What is wrong with a claim's spec; ephemeral volumes have such specs too.
pub(super) fn validate_spec(spec: &Field<'_>) -> Vec<FieldError> {
    let selector = spec.child("selector");
    let mut errors = label_selector::validate(selector.value(), &selector.path());
    errors.extend(access_mode_faults(&spec.child("accessModes"), "at least 1 access mode is required"));
    let resources = spec.child("resources");
    let storage = resources.child("requests").child("storage");
    if storage.is_set() {
        let fault = not_positive(&storage);
        let path = resources.key("storage").path();
        let why = "must be greater than zero";
        errors.extend(fault.map(|_| FieldError::invalid(path, storage.value().clone(), why)));
    } else {
        errors.push(resources.key("storage").required(""));
    }
    for member in ["storageClassName", "volumeAttributesClassName"] {
        let class = spec.child(member);
        if !class.text().is_empty() {
            errors.extend(class.faults(names::dns_subdomain));
        }
    }
    let mode = spec.child("volumeMode");
    if mode.is_set() {
        errors.extend(mode.one_of(&["Block", "Filesystem"]));
    }
    let (source, reference) = (spec.child("dataSource"), spec.child("dataSourceRef"));
    let members = ["apiGroup", "kind", "name"];
    let is_other = |member: &&str| source.child(member).text() != reference.child(member).text();
    if source.is_set() && reference.is_set() && members.iter().any(is_other) {
        errors.push(FieldError::invalid(spec.path(), Object::new(), "must match dataSourceRef"));
    }
    errors
}

/// The spec without what may change.
fn fixed_part(claim: &Object, old: &Object, is_bound: bool) -> Object {
    let mut spec = claim.get("spec").and_then(Value::as_object).cloned().unwrap_or_default();
    let before = Field::of(old, "spec");
    if before.child("volumeName").text().is_empty() {
        spec.remove("volumeName");
    }
    // A class may be given afterwards, as soon as there is a default one.
    if !before.child("storageClassName").is_set() {
        spec.remove("storageClassName");
    }
    if is_bound {
        spec.remove("volumeAttributesClassName");
        if let Some(Value::Object(requests)) =
            spec.get_mut("resources").and_then(|all| all.get_mut("requests"))
        {
            requests.remove("storage");
        }
    }
    spec
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::tests::texts;
    use super::*;

    #[test]
    fn what_is_warned_of() {
        let table = [
            (json!({}), None),
            (
                json!({"spec": {"resources": {"requests": {"storage": "1500m"}}}}),
                Some(
                    "spec.resources.requests[storage]: fractional byte value \"1500m\" is invalid, must be an integer",
                ),
            ),
            (
                json!({"metadata": {"annotations": {CLASS_ANNOTATION: "fast"}}}),
                Some(
                    "metadata.annotations[volume.beta.kubernetes.io/storage-class]: deprecated since v1.8; use \
                     \"storageClassName\" attribute instead",
                ),
            ),
        ];
        for (changes, wanted) in table {
            assert_eq!(warnings(&claim(&changes)), Vec::from_iter(wanted), "{changes}");
        }
    }

    fn claim(changes: &Value) -> Object {
        let mut claim = json!({"spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "2Gi"}}}});
        json_patch::merge(&mut claim, changes);
        let mut object = claim.as_object().unwrap().clone();
        ClaimStrategy.set_defaults(&mut object);
        object
    }

    #[test]
    fn what_is_refused() {
        let table = [
            (json!({}), vec![]),
            (
                json!({"accessModes": null}),
                vec!["spec.accessModes: Required value: at least 1 access mode is required"],
            ),
            (json!({"resources": null}), vec!["spec.resources[storage]: Required value"]),
            (
                json!({"resources": {"requests": {"storage": "-1"}}}),
                vec!["spec.resources[storage]: Invalid value: \"-1\": must be greater than zero"],
            ),
            (
                json!({"dataSource": {"kind": "PersistentVolumeClaim", "name": "a"}, "dataSourceRef": {"kind": "PersistentVolumeClaim", "name": "b"}}),
                vec!["spec: Invalid value: {}: must match dataSourceRef"],
            ),
            (
                json!({"accessModes": ["X", "ReadWriteOncePod"]}),
                vec![
                    "spec.accessModes: Unsupported value: \"X\": supported values: \"ReadOnlyMany\", \"ReadWriteMany\", \"ReadWriteOnce\", \"ReadWriteOncePod\"",
                ],
            ),
            (
                json!({"volumeMode": "Tape"}),
                vec![
                    "spec.volumeMode: Unsupported value: \"Tape\": supported values: \"Block\", \"Filesystem\"",
                ],
            ),
        ];
        for (changes, wanted) in table {
            assert_eq!(
                texts(&ClaimStrategy.validate(&claim(&json!({"spec": changes})))),
                wanted,
                "{changes}"
            );
        }
        let error = &ClaimStrategy.validate(&claim(&json!({"spec": {"storageClassName": "A"}})))[0];
        assert!(
            error
                .to_string()
                .starts_with("spec.storageClassName: Invalid value: \"A\": a lowercase RFC 1123")
        );
    }

    #[test]
    fn what_may_change_and_what_not() {
        let fixed = "spec: Forbidden: spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims";
        let shrunk = "spec.resources.requests.storage: Forbidden: field can not be less than status.capacity";
        let size = |size: &str| json!({"spec": {"resources": {"requests": {"storage": size}}}});
        let bound = json!({"spec": {"volumeName": "v", "storageClassName": "c"}, "status": {"phase": "Bound", "capacity": {"storage": "2Gi"}}});
        let table = [
            (json!({}), json!({"spec": {"volumeName": "v"}}), vec![]),
            (json!({}), json!({"spec": {"storageClassName": "c"}}), vec![]),
            (json!({}), size("3Gi"), vec![fixed]),
            (bound.clone(), size("3Gi"), vec![]),
            (bound.clone(), size("1Gi"), vec![shrunk]),
            (bound.clone(), json!({"spec": {"volumeName": "w"}}), vec![fixed]),
            (bound.clone(), json!({"spec": {"storageClassName": "d"}}), vec![fixed]),
            (bound, json!({"spec": {"accessModes": ["ReadWriteMany"]}}), vec![fixed]),
        ];
        for (old, changes, wanted) in table {
            let mut new = old.clone();
            json_patch::merge(&mut new, &changes);
            let found = texts(&ClaimStrategy.validate_update(&claim(&new), &claim(&old)));
            assert_eq!(found, wanted, "{old} {changes}");
        }
    }

    #[test]
    fn where_content_comes_from_is_said_both_ways() {
        let source = json!({"kind": "PersistentVolumeClaim", "name": "a"});
        let other = json!({"apiGroup": "x.example", "kind": "Filler", "name": "a"});
        let elsewhere = json!({"kind": "PersistentVolumeClaim", "name": "a", "namespace": "b"});
        for (spec, wanted) in [
            (json!({"dataSource": source}), json!({"dataSource": source, "dataSourceRef": source})),
            (json!({"dataSourceRef": source}), json!({"dataSource": source, "dataSourceRef": source})),
            (json!({"dataSourceRef": elsewhere}), json!({})),
            (json!({"dataSource": other}), json!({})),
            (json!({"dataSourceRef": other}), json!({"dataSource": other, "dataSourceRef": other})),
            (
                json!({"dataSource": source, "dataSourceRef": other}),
                json!({"dataSource": source, "dataSourceRef": other}),
            ),
        ] {
            let mut spec = spec.as_object().unwrap().clone();
            drop_data_sources(&mut spec);
            unite_data_sources(&mut spec);
            assert_eq!(Value::Object(spec), wanted);
        }
    }
}
