//! PersistentVolume: a cluster's piece of storage. Where it lies never changes.

mod warnings;

use jiff::Timestamp;
use serde_json::Value;
use tokenward_kube_rules::quantity::Quantity;
use tokenward_kube_rules::{FeatureGates, FieldError, names};

use super::field::Field;
use super::{Check, Strategy, node_selector, start_phase, volume_sources};
use crate::object::{Object, at, child_mut, format_time, set_default, set_default_text, text_at};

pub(super) struct VolumeStrategy;

/// The members of a volume's spec that are no source of storage.
const NO_SOURCE: [&str; 9] = [
    "accessModes",
    "capacity",
    "claimRef",
    "mountOptions",
    "nodeAffinity",
    "persistentVolumeReclaimPolicy",
    "storageClassName",
    "volumeAttributesClassName",
    "volumeMode",
];

impl Strategy for VolumeStrategy {
    fn checks_of_change(&self) -> &'static [Check] {
        &[Check::Metadata, Check::Content, Check::Metadata, Check::Content, Check::ContentChange]
    }

    fn is_shown_when_deleted(&self) -> bool {
        true
    }

    fn set_defaults(&self, object: &mut Object) {
        let spec = child_mut(object, "spec");
        set_default_text(spec, "persistentVolumeReclaimPolicy", "Retain");
        set_default(spec, "volumeMode", "Filesystem");
        volume_sources::set_defaults(spec);
    }

    fn prepare_create(&self, object: &mut Object, _gates: &FeatureGates) {
        object.remove("status");
        start_phase(object, "Pending");
    }

    fn record_times(&self, new: &mut Object, old: Option<&Object>, now: Timestamp) {
        const SINCE: &str = "lastPhaseTransitionTime";
        let phase = |object: &Object| text_at(object, &["status", "phase"]).to_owned();
        let since = |object: &Object| at(object, &["status", SINCE]).cloned();
        let is_moved = old.is_none_or(|old| phase(old) != phase(new));
        // Who moves the phase may say when.
        let is_said = since(new).is_some() && old.is_some_and(|old| since(old) != since(new));
        if is_moved && !is_said {
            child_mut(new, "status").insert(SINCE.to_owned(), format_time(now).into());
        }
    }

    fn validate(&self, object: &Object) -> Vec<FieldError> {
        validate_spec(&Field::of(object, "spec"), false)
    }

    fn warnings_on_create(&self, object: &Object, _gates: &FeatureGates) -> Vec<String> {
        warnings::of_volume(object)
    }

    fn warnings_on_update(&self, new: &Object, _old: &Object, _gates: &FeatureGates) -> Vec<String> {
        warnings::of_volume(new)
    }

    fn validate_update(&self, new: &Object, old: &Object) -> Vec<FieldError> {
        let (new, old) = (Field::of(new, "spec"), Field::of(old, "spec"));
        let mut errors = Vec::new();
        if sources(&new, &old) != sources(&old, &old) {
            let why = "spec.persistentvolumesource is immutable after creation";
            errors.push(FieldError::forbidden("spec.persistentvolumesource", why));
        }
        let mode = |spec: &Field<'_>| spec.child("volumeMode").value().clone();
        if mode(&new) != mode(&old) {
            errors.push(FieldError::invalid("volumeMode", mode(&new), "field is immutable"));
        }
        let affinity = |spec: &Field<'_>| spec.child("nodeAffinity").value().clone();
        if !affinity(&old).is_null() && affinity(&new) != affinity(&old) {
            errors.push(FieldError::invalid("nodeAffinity", affinity(&new), "field is immutable"));
        }
        errors
    }
}

/// Where the storage is, without a secret that may still be added.
fn sources(spec: &Field<'_>, old: &Field<'_>) -> Object {
    const ADDABLE: &str = "controllerExpandSecretRef";
    let all = spec.value().as_object().cloned().unwrap_or_default();
    let mut sources: Object =
        all.into_iter().filter(|(name, _)| !NO_SOURCE.contains(&name.as_str())).collect();
    if !old.child("csi").child(ADDABLE).is_set()
        && let Some(Value::Object(csi)) = sources.get_mut("csi")
    {
        csi.remove(ADDABLE);
    }
    sources
}

/// The sources, in the order in which upstream looks at them.
const SOURCES: [&str; 21] = [
    "hostPath",
    "gcePersistentDisk",
    "awsElasticBlockStore",
    "glusterfs",
    "flocker",
    "nfs",
    "rbd",
    "quobyte",
    "cephfs",
    "iscsi",
    "cinder",
    "fc",
    "flexVolume",
    "azureFile",
    "vsphereVolume",
    "photonPersistentDisk",
    "portworxVolume",
    "azureDisk",
    "scaleIO",
    "local",
    "storageos",
];

/// What is wrong with a volume's spec. `inline` is one within an attachment, which nobody claims.
pub(super) fn validate_spec(spec: &Field<'_>, inline: bool) -> Vec<FieldError> {
    const NOT_INLINE: &str = "may not be specified in the context of inline volumes";
    let mut errors = Vec::new();
    let (capacity, csi) = (spec.child("capacity"), spec.child("csi"));
    if inline {
        let claim = spec.child("claimRef");
        errors.extend(claim.is_set().then(|| claim.forbidden(NOT_INLINE)));
        errors.extend(capacity.keys().next().map(|_| capacity.forbidden(NOT_INLINE)));
        errors.extend(
            (!csi.is_set()).then(|| csi.required("has to be specified in the context of inline volumes")),
        );
    }
    errors.extend(access_mode_faults(&spec.child("accessModes"), ""));
    if !inline {
        errors.extend(capacity_faults(&capacity));
    }
    let policy = spec.child("persistentVolumeReclaimPolicy");
    match policy.text() {
        "" => {}
        "Retain" if inline => {}
        _ if inline => errors.push(policy.forbidden("may only be Retain in the context of inline volumes")),
        _ => errors.extend(policy.one_of(&["Delete", "Recycle", "Retain"])),
    }
    let affinity = spec.child("nodeAffinity");
    if affinity.is_set() && inline {
        errors.push(affinity.forbidden(NOT_INLINE));
    } else if affinity.is_set() {
        let required = affinity.child("required");
        if required.is_set() {
            errors.extend(node_selector::faults(&required));
        } else {
            errors.push(required.required("must specify required node constraints"));
        }
    }
    errors.extend(source_faults(spec, affinity.is_set() && !inline));
    let path = spec.child("hostPath");
    let is_root = path.is_set() && path.child("path").text().split('/').all(|step| matches!(step, "" | "."));
    if is_root && policy.text() == "Recycle" {
        errors.push(policy.forbidden("may not be 'recycle' for a hostPath mount of '/'"));
    }
    let class = spec.child("storageClassName");
    if !class.text().is_empty() {
        if inline {
            errors.push(class.forbidden(NOT_INLINE));
        } else {
            errors.extend(class.faults(names::dns_subdomain));
        }
    }
    let mode = spec.child("volumeMode");
    if mode.is_set() && inline && mode.text() != "Filesystem" {
        let why = "may not specify volumeMode other than Filesystem in the context of inline volumes";
        errors.push(mode.forbidden(why));
    } else if mode.is_set() {
        errors.extend(mode.one_of(&["Block", "Filesystem"]));
    }
    let attributes = spec.child("volumeAttributesClassName");
    if attributes.is_set() && !inline {
        if attributes.text().is_empty() {
            errors.push(attributes.required("an empty string is disallowed"));
        } else {
            errors.extend(attributes.faults(names::dns_subdomain));
        }
        if !csi.is_set() {
            errors.push(csi.required("has to be specified when using volumeAttributesClassName"));
        }
    }
    errors
}

/// The first source counts, and there is none besides it.
fn source_faults(spec: &Field<'_>, has_affinity: bool) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let mut found = SOURCES.iter().chain(["csi"].iter()).filter(|kind| spec.child(kind).is_set());
    let Some(first) = found.next() else {
        return vec![spec.required("must specify a volume type")];
    };
    let source = spec.child_shown_as(first, volume_sources::shown_as(first));
    if *first == "csi" {
        errors.extend(csi_faults(&source));
    } else {
        errors.extend(volume_sources::faults(first, &source));
    }
    if *first == "local" && !has_affinity {
        errors.push(spec.child("nodeAffinity").required("Local volume requires node affinity"));
    }
    let others = found.map(|other| spec.child(other).forbidden("may not specify more than 1 volume type"));
    errors.extend(others);
    errors
}

/// `detail` says what is wrong with none at all.
pub(super) fn access_mode_faults(modes: &Field<'_>, detail: &str) -> Vec<FieldError> {
    const MODES: [&str; 4] = ["ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod"];
    let mut errors = Vec::new();
    if modes.items().len() == 0 {
        errors.push(modes.required(detail));
    }
    for mode in modes.items().map(|mode| mode.text()).filter(|mode| !MODES.contains(mode)) {
        errors.push(FieldError::not_supported(modes.path(), mode, &MODES));
    }
    let has = |wanted: &[&str]| modes.items().any(|mode| wanted.contains(&mode.text()));
    if has(&["ReadWriteOncePod"]) && has(&MODES[..3]) {
        errors.push(modes.forbidden("may not use ReadWriteOncePod with other access modes"));
    }
    errors
}

fn capacity_faults(capacity: &Field<'_>) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let keys: Vec<&str> = capacity.keys().collect();
    if keys.is_empty() {
        errors.push(capacity.required(""));
    }
    if keys != ["storage"] {
        errors.push(FieldError::not_supported(capacity.path(), capacity.value().clone(), &["storage"]));
    }
    for amount in keys.into_iter().map(|key| capacity.key(key)) {
        errors.extend(negative_amount(&amount));
        errors.extend(not_positive(&amount));
    }
    errors
}

/// The whole units of an amount may not be less than nothing.
fn negative_amount(amount: &Field<'_>) -> Option<FieldError> {
    let units = Quantity::parse(amount.text()).ok()?.units();
    let units = i64::try_from(units).ok().filter(|units| *units < 0)?;
    Some(FieldError::invalid(amount.path(), units, "must be a valid resource quantity"))
}

/// An amount must be more than nothing.
pub(super) fn not_positive(amount: &Field<'_>) -> Option<FieldError> {
    let is_good = Quantity::parse(amount.text()).is_ok_and(|amount| amount > Quantity::ZERO);
    (!is_good).then(|| amount.invalid("must be greater than zero"))
}

fn csi_faults(csi: &Field<'_>) -> Vec<FieldError> {
    let driver = csi.child("driver");
    let mut errors = names::csi_driver_name(driver.text(), &driver.path());
    errors.extend(csi.child("volumeHandle").require_text());
    // Upstream does not look at `nodeStageSecretRef`.
    const SECRETS: [&str; 4] = [
        "controllerPublishSecretRef",
        "controllerExpandSecretRef",
        "nodePublishSecretRef",
        "nodeExpandSecretRef",
    ];
    for secret in SECRETS.map(|member| csi.child(member)).into_iter().filter(Field::is_set) {
        let rules =
            [("name", names::dns_subdomain as fn(&str) -> Vec<String>), ("namespace", names::dns_label)];
        for (member, rule) in rules {
            let field = secret.child(member);
            match field.require_text() {
                Some(error) => errors.push(error),
                None => errors.extend(field.faults(rule)),
            }
        }
    }
    errors
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::tests::texts;
    use super::*;

    fn volume(changes: &Value) -> Object {
        let mut spec = json!({"capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"],
            "csi": {"driver": "x.example", "volumeHandle": "h"}});
        json_patch::merge(&mut spec, changes);
        let mut object = json!({"spec": spec}).as_object().unwrap().clone();
        VolumeStrategy.set_defaults(&mut object);
        object
    }

    #[test]
    fn what_is_refused() {
        let table = [
            (json!({}), vec![]),
            (json!({"accessModes": []}), vec!["spec.accessModes: Required value"]),
            (
                json!({"accessModes": ["X"]}),
                vec![
                    "spec.accessModes: Unsupported value: \"X\": supported values: \"ReadOnlyMany\", \"ReadWriteMany\", \"ReadWriteOnce\", \"ReadWriteOncePod\"",
                ],
            ),
            (
                json!({"accessModes": ["ReadWriteOncePod", "ReadWriteOnce"]}),
                vec!["spec.accessModes: Forbidden: may not use ReadWriteOncePod with other access modes"],
            ),
            (
                json!({"capacity": null}),
                vec![
                    "spec.capacity: Required value",
                    "spec.capacity: Unsupported value: null: supported values: \"storage\"",
                ],
            ),
            (
                json!({"capacity": {"storage": "0"}}),
                vec!["spec.capacity[storage]: Invalid value: \"0\": must be greater than zero"],
            ),
            (
                json!({"capacity": {"storage": "-1"}}),
                vec![
                    "spec.capacity[storage]: Invalid value: -1: must be a valid resource quantity",
                    "spec.capacity[storage]: Invalid value: \"-1\": must be greater than zero",
                ],
            ),
            (json!({"persistentVolumeReclaimPolicy": ""}), vec![]),
            (
                json!({"volumeAttributesClassName": ""}),
                vec!["spec.volumeAttributesClassName: Required value: an empty string is disallowed"],
            ),
            (
                json!({"csi": null, "nfs": {"server": "s", "path": "/p"}, "volumeAttributesClassName": "gold"}),
                vec!["spec.csi: Required value: has to be specified when using volumeAttributesClassName"],
            ),
            (
                json!({"nodeAffinity": {}}),
                vec!["spec.nodeAffinity.required: Required value: must specify required node constraints"],
            ),
            (
                json!({"nodeAffinity": {"required": {"nodeSelectorTerms": []}}}),
                vec![
                    "spec.nodeAffinity.required.nodeSelectorTerms: Required value: must have at least one node selector term",
                ],
            ),
            (
                json!({"csi": null, "local": {"path": "/x"}}),
                vec!["spec.nodeAffinity: Required value: Local volume requires node affinity"],
            ),
            (
                json!({"csi": null, "gcePersistentDisk": {}}),
                vec!["spec.persistentDisk.pdName: Required value"],
            ),
            (
                json!({"csi": null, "hostPath": {"path": "//."}, "persistentVolumeReclaimPolicy": "Recycle"}),
                vec![
                    "spec.persistentVolumeReclaimPolicy: Forbidden: may not be 'recycle' for a hostPath mount of '/'",
                ],
            ),
            (
                json!({"hostPath": {"path": ""}, "nfs": {}}),
                vec![
                    "spec.hostPath.path: Required value",
                    "spec.nfs: Forbidden: may not specify more than 1 volume type",
                    "spec.csi: Forbidden: may not specify more than 1 volume type",
                ],
            ),
            (json!({"csi": null}), vec!["spec: Required value: must specify a volume type"]),
            (
                json!({"hostPath": {"path": "/a"}}),
                vec!["spec.csi: Forbidden: may not specify more than 1 volume type"],
            ),
            (
                json!({"csi": {"driver": "", "volumeHandle": ""}}),
                vec!["spec.csi.driver: Required value", "spec.csi.volumeHandle: Required value"],
            ),
            (
                json!({"csi": {"nodePublishSecretRef": {"name": "s"}}}),
                vec!["spec.csi.nodePublishSecretRef.namespace: Required value"],
            ),
            (
                json!({"persistentVolumeReclaimPolicy": "Keep"}),
                vec![
                    "spec.persistentVolumeReclaimPolicy: Unsupported value: \"Keep\": supported values: \"Delete\", \"Recycle\", \"Retain\"",
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
            let found = texts(&VolumeStrategy.validate(&volume(&changes)));
            let found: Vec<&str> =
                found.iter().map(String::as_str).filter(|text| !text.contains("lowercase RFC")).collect();
            assert_eq!(found, wanted, "{changes}");
        }
    }

    #[test]
    fn a_source_stays_but_for_one_secret() {
        let old = volume(&json!({}));
        let secret = json!({"csi": {"controllerExpandSecretRef": {"name": "s", "namespace": "n"}}});
        assert_eq!(VolumeStrategy.validate_update(&volume(&secret), &old), []);
        assert_eq!(VolumeStrategy.validate_update(&volume(&json!({"claimRef": {"name": "c"}})), &old), []);
        assert_eq!(VolumeStrategy.validate_update(&old, &volume(&secret)).len(), 1, "and then it stays too");
        let other = volume(&json!({"csi": {"volumeHandle": "i"}, "volumeMode": "Block"}));
        assert_eq!(
            texts(&VolumeStrategy.validate_update(&other, &old)),
            [
                "spec.persistentvolumesource: Forbidden: spec.persistentvolumesource is immutable after creation",
                "volumeMode: Invalid value: \"Block\": field is immutable"
            ]
        );
    }

    #[test]
    fn a_phase_is_dated() {
        let since = |object: &Object| text_at(object, &["status", "lastPhaseTransitionTime"]).to_owned();
        let with = |status: Value| json!({"status": status}).as_object().unwrap().clone();
        let later = Timestamp::from_second(60).unwrap();
        let old = with(json!({"phase": "Pending", "lastPhaseTransitionTime": "1970-01-01T00:00:00Z"}));
        for (new, wanted) in [
            (
                json!({"phase": "Pending", "lastPhaseTransitionTime": "1970-01-01T00:00:00Z"}),
                "1970-01-01T00:00:00Z",
            ),
            (
                json!({"phase": "Bound", "lastPhaseTransitionTime": "1970-01-01T00:00:00Z"}),
                "1970-01-01T00:01:00Z",
            ),
            (json!({"phase": "Bound"}), "1970-01-01T00:01:00Z"),
            (
                json!({"phase": "Bound", "lastPhaseTransitionTime": "1970-01-01T00:00:30Z"}),
                "1970-01-01T00:00:30Z",
            ),
        ] {
            let mut new = with(new);
            VolumeStrategy.record_times(&mut new, Some(&old), later);
            assert_eq!(since(&new), wanted);
        }
        let mut fresh = volume(&json!({}));
        VolumeStrategy.record_times(&mut fresh, None, later);
        assert_eq!(since(&fresh), "1970-01-01T00:01:00Z");
    }
}
