//! What is special about a kind: defaults, what a client may not set, validation, warnings, graceful deletion.
//!
//! The verbs in [`crate::registry`] are the same for every kind; they ask a strategy at the points where upstream's do.

mod claim;
mod condition;
mod config_map;
mod controller_revision;
mod csi_driver;
mod csi_node;
mod daemon_set;
mod disruption_budget;
mod endpoint_slice;
mod event;
mod field;
mod lease;
mod namespace;
mod node;
mod pod;
mod pod_spec;
mod priority_class;
mod role;
mod secret;
mod service_account;
mod share;
mod storage_class;
mod validating_webhook;
mod volume;
mod volume_attachment;

use jiff::Timestamp;
use serde_json::Value;
use tokenward_kube_rules::metadata::{self, NameRule};
use tokenward_kube_rules::{FeatureGates, FieldError, rbac};
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

    /// Puts back what a client may not change of a status. Everything else is the stored object's already.
    fn prepare_status(&self, _new: &mut Object, _old: &Object) {}

    /// Writes down when something happened; `old` is none at creation.
    fn record_times(&self, _new: &mut Object, _old: Option<&Object>, _now: Timestamp) {}

    /// Rules beyond those of the metadata.
    fn validate(&self, _object: &Object) -> Vec<FieldError> {
        Vec::new()
    }

    /// Rules that only a new object has to keep, upstream's changes being held to less.
    fn validate_creation(&self, _object: &Object) -> Vec<FieldError> {
        Vec::new()
    }

    /// Rules of a change; the object itself is validated by [`Strategy::validate`] too.
    fn validate_update(&self, _new: &Object, _old: &Object) -> Vec<FieldError> {
        Vec::new()
    }

    /// Rules of a change of the status alone.
    fn validate_status(&self, _new: &Object, _old: &Object) -> Vec<FieldError> {
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

    /// Whether a deletion answers with the last state; else it says that it went well.
    fn is_shown_when_deleted(&self) -> bool {
        false
    }

    /// Whether other objects may belong to one of this kind, so that a deletion has to say what becomes of them.
    fn owns_others(&self) -> bool {
        true
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
        ("", "ConfigMap") => &config_map::ConfigMapStrategy,
        ("", "Event") => &event::EventStrategy,
        ("", "Namespace") => &namespace::NamespaceStrategy,
        ("", "Node") => &node::NodeStrategy,
        ("", "PersistentVolume") => &volume::VolumeStrategy,
        ("", "PersistentVolumeClaim") => &claim::ClaimStrategy,
        ("", "Pod") => &pod::PodStrategy,
        ("", "Secret") => &secret::SecretStrategy,
        ("", "ServiceAccount") => &service_account::ServiceAccountStrategy,
        ("admissionregistration.k8s.io", "ValidatingWebhookConfiguration") => {
            &validating_webhook::ValidatingWebhookStrategy
        }
        ("apps", "ControllerRevision") => &controller_revision::ControllerRevisionStrategy,
        ("apps", "DaemonSet") => &daemon_set::DaemonSetStrategy,
        ("coordination.k8s.io", "Lease") => &lease::LeaseStrategy,
        ("discovery.k8s.io", "EndpointSlice") => &endpoint_slice::EndpointSliceStrategy,
        ("policy", "PodDisruptionBudget") => &disruption_budget::DisruptionBudgetStrategy,
        (rbac::GROUP, "Role") => &role::RoleStrategy { namespaced: true },
        (rbac::GROUP, "ClusterRole") => &role::RoleStrategy { namespaced: false },
        (rbac::GROUP, "RoleBinding") => &role::BindingStrategy { namespaced: true },
        (rbac::GROUP, "ClusterRoleBinding") => &role::BindingStrategy { namespaced: false },
        ("scheduling.k8s.io", "PriorityClass") => &priority_class::PriorityClassStrategy,
        ("storage.k8s.io", "CSIDriver") => &csi_driver::CsiDriverStrategy,
        ("storage.k8s.io", "CSINode") => &csi_node::CsiNodeStrategy,
        ("storage.k8s.io", "StorageClass") => &storage_class::StorageClassStrategy,
        ("storage.k8s.io", "VolumeAttachment") => &volume_attachment::VolumeAttachmentStrategy,
        _ => &Plain,
    }
}

/// A kind without rules of its own.
struct Plain;

impl Strategy for Plain {}

/// What is wrong with a new object: metadata and the kind's own rules. As upstream, the first group that finds fault
/// is the one that is reported.
pub(crate) fn validate_new(kind: &Kind, object: &Object) -> Vec<FieldError> {
    let strategy = of(kind);
    let empty = Object::new();
    let metadata = object.get("metadata").and_then(Value::as_object).unwrap_or(&empty);
    let mut errors = metadata::validate(metadata, kind.namespaced, strategy.name_rule());
    errors.extend(strategy.validate(object));
    errors.extend(strategy.validate_creation(object));
    errors
}

/// Which rules a change has to keep besides those of the metadata.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rules {
    /// Those of the whole object.
    Object,
    /// Those of the status alone: what else is wrong with the object is not this change's fault.
    Status,
}

/// What is wrong with a change.
pub(crate) fn validate_change(kind: &Kind, rules: Rules, new: &Object, old: &Object) -> Vec<FieldError> {
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
    errors.extend(metadata::validate_owner_references(member("ownerReferences")));
    errors.extend(new_finalizers_while_terminating(new, old));
    match rules {
        Rules::Object => {
            errors.extend(strategy.validate(new));
            errors.extend(strategy.validate_update(new, old));
        }
        Rules::Status => errors.extend(strategy.validate_status(new, old)),
    }
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

#[cfg(test)]
pub(crate) mod tests {
    use serde_json::{Value, json};
    use tokenward_kube_rules::Release;

    use super::*;

    /// The errors as a client reads them.
    pub(crate) fn texts(errors: &[FieldError]) -> Vec<String> {
        errors.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn kinds_that_are_updated_blindly_and_kinds_that_are_not() {
        let conditional: Vec<&str> = tokenward_kube_schema::kinds()
            .iter()
            .filter(|kind| !of(kind).unconditional_update())
            .map(|kind| kind.kind)
            .collect();
        for kind in [
            "CSIDriver",
            "CSINode",
            "Lease",
            "PodDisruptionBudget",
            "ServiceAccount",
            "ValidatingWebhookConfiguration",
            "VolumeAttachment",
        ] {
            assert!(conditional.contains(&kind), "{kind}");
        }
        for kind in ["ConfigMap", "DaemonSet", "Node", "Pod", "PriorityClass", "Secret", "StorageClass"] {
            assert!(!conditional.contains(&kind), "{kind}");
        }
    }

    #[test]
    fn no_generation_that_a_client_has_chosen_overflows() {
        let gates = FeatureGates::for_release(Release::V1_35);
        let template = "deprecated.daemonset.template.generation";
        let old_and_new = [
            ("Pod", json!({"spec": {}}), json!({"spec": {"activeDeadlineSeconds": 1}})),
            ("DaemonSet", json!({"spec": {"template": {}}}), json!({"spec": {"template": {"spec": {}}}})),
            ("ValidatingWebhookConfiguration", json!({}), json!({"webhooks": [{"name": "a"}]})),
            ("EndpointSlice", json!({"endpoints": []}), json!({"endpoints": [{"addresses": ["192.0.2.1"]}]})),
            ("CSIDriver", json!({"spec": {}}), json!({"spec": {"requiresRepublish": true}})),
            ("PodDisruptionBudget", json!({"spec": {}}), json!({"spec": {"minAvailable": 1}})),
        ];
        for (name, old, new) in old_and_new {
            let kind = tokenward_kube_schema::kinds().iter().find(|kind| kind.kind == name).expect("served");
            for (before, after) in [(7, 8), (i64::MAX - 1, i64::MAX), (i64::MAX, i64::MAX)] {
                let numbered = |mut object: Value| {
                    let annotations = json!({template: before.to_string()});
                    object["metadata"] = json!({"generation": before, "annotations": annotations});
                    object.as_object().cloned().expect("an object")
                };
                let mut changed = numbered(new.clone());
                of(kind).prepare_update(&mut changed, &numbered(old.clone()), &gates);
                assert_eq!(changed.metadata_number("generation"), after, "{name}");
                if name == "DaemonSet" {
                    let annotations = &changed["metadata"]["annotations"];
                    assert_eq!(annotations[template], after.to_string());
                }
            }
        }
    }
}
