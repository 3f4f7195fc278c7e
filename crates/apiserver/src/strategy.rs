//! What is special about a kind: defaults, what a client may not set, validation, warnings, graceful deletion.
//!
//! The verbs in [`crate::registry`] are the same for every kind; they ask a strategy at the points where upstream's do.

mod claim;
mod csi_driver;
mod namespace;
mod pod;
mod secret;
mod volume;

use serde_json::Value;
use tokenward_kube_rules::metadata::{self, NameRule};
use tokenward_kube_rules::{FeatureGates, FieldError};
use tokenward_kube_schema::Kind;

use crate::object::{Metadata, Object, child_mut, set_default};

/// The rules of one kind. The defaults fit kinds without any.
pub(crate) trait Strategy: Sync {
    /// Whether a PUT without a resource version overwrites whatever is there.
    fn unconditional_update(&self) -> bool {
        true
    }

    /// Which names are good.
    fn name_rule(&self) -> NameRule {
        NameRule::DnsSubdomain
    }

    /// Fills in what a client may leave out.
    fn set_defaults(&self, _object: &mut Object) {}

    /// Drops what a client may not set at creation, after defaulting.
    fn prepare_create(&self, _object: &mut Object, _gates: &FeatureGates) {}

    /// Drops what a client may not change, after defaulting. Status is already the stored one.
    fn prepare_update(&self, _new: &mut Object, _old: &Object, _gates: &FeatureGates) {}

    /// Rules beyond those of the metadata.
    fn validate(&self, _object: &Object) -> Vec<FieldError> {
        Vec::new()
    }

    /// Rules of a change; the object itself is validated by [`Strategy::validate`] too.
    fn validate_update(&self, _new: &Object, _old: &Object) -> Vec<FieldError> {
        Vec::new()
    }

    /// Warnings of a creation that is about to succeed.
    fn warnings_on_create(&self, _object: &Object, _gates: &FeatureGates) -> Vec<String> {
        Vec::new()
    }

    /// Warnings of a change that is about to succeed.
    fn warnings_on_update(&self, _new: &Object, _old: &Object, _gates: &FeatureGates) -> Vec<String> {
        Vec::new()
    }

    /// Seconds between the first DELETE and the end of the object; 0 ends it at once.
    fn grace_seconds(&self, _object: &Object, _requested: Option<i64>) -> i64 {
        0
    }

    /// What a DELETE that only marks the object changes besides its metadata.
    fn mark_deleted(&self, _object: &mut Object) {}

    /// Whether something besides `metadata.finalizers` holds the object back.
    fn held_back(&self, _object: &Object) -> bool {
        false
    }
}

/// The strategy of a kind.
pub(crate) fn of(kind: &Kind) -> &'static dyn Strategy {
    match (kind.group, kind.kind) {
        ("storage.k8s.io", "CSIDriver") => &csi_driver::CsiDriverStrategy,
        ("", "Namespace") => &namespace::NamespaceStrategy,
        ("", "PersistentVolume") => &volume::VolumeStrategy,
        ("", "PersistentVolumeClaim") => &claim::ClaimStrategy,
        ("", "Pod") => &pod::PodStrategy,
        ("", "Secret") => &secret::SecretStrategy,
        ("", "ServiceAccount")
        | ("storage.k8s.io", "CSINode" | "VolumeAttachment")
        | ("coordination.k8s.io", "Lease") => &Conditional,
        _ => &Plain,
    }
}

/// A kind without rules of its own.
struct Plain;

impl Strategy for Plain {}

/// A kind without rules of its own, whose updates must name the resource version that they are made from.
struct Conditional;

impl Strategy for Conditional {
    fn unconditional_update(&self) -> bool {
        false
    }
}

/// What is wrong with a new object: metadata and the kind's own rules. As upstream, the first group that finds fault
/// is the one that is reported.
pub(crate) fn validate_new(kind: &Kind, object: &Object) -> Vec<FieldError> {
    let strategy = of(kind);
    let empty = Object::new();
    let metadata = object.get("metadata").and_then(Value::as_object).unwrap_or(&empty);
    let mut errors = metadata::validate(metadata, kind.namespaced, strategy.name_rule());
    errors.extend(strategy.validate(object));
    errors
}

/// What is wrong with a change.
pub(crate) fn validate_change(kind: &Kind, new: &Object, old: &Object) -> Vec<FieldError> {
    let strategy = of(kind);
    let mut errors = Vec::new();
    if new.name() != old.name() {
        errors.push(FieldError::invalid("metadata.name", new.name(), "field is immutable"));
    }
    let uid = new.uid();
    if uid != old.uid() {
        // Upstream's strategy and its generic code both say so, and the causes keep repeats.
        for _ in 0..2 {
            errors.push(FieldError::invalid("metadata.uid", uid, "field is immutable"));
        }
    }
    let metadata = new.get("metadata");
    let member = |name: &str| metadata.and_then(|metadata| metadata.get(name));
    errors.extend(metadata::validate_labels(member("labels"), "metadata.labels"));
    errors.extend(metadata::validate_annotations(member("annotations"), "metadata.annotations"));
    errors.extend(new_finalizers_while_terminating(new, old));
    errors.extend(strategy.validate(new));
    errors.extend(strategy.validate_update(new, old));
    errors
}

fn new_finalizers_while_terminating(new: &Object, old: &Object) -> Option<FieldError> {
    if !old.is_terminating() {
        return None;
    }
    let finalizers = |object: &Object| -> Vec<String> {
        let list = object.get("metadata").and_then(|metadata| metadata.get("finalizers"));
        let texts = list.and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
        texts.map(str::to_owned).collect()
    };
    let known = finalizers(old);
    let added: Vec<String> = finalizers(new).into_iter().filter(|name| !known.contains(name)).collect();
    let detail = format!(
        "no new finalizers can be added if the object is being deleted, found new finalizers []string{{{}}}",
        added.iter().map(|name| crate::status::go_quote(name)).collect::<Vec<_>>().join(", ")
    );
    (!added.is_empty()).then(|| FieldError::forbidden("metadata.finalizers", &detail))
}

/// Sets `status.phase` where there is none yet.
fn start_phase(object: &mut Object, phase: &str) {
    set_default(child_mut(object, "status"), "phase", phase);
}
