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
mod node_selector;
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
mod volume_sources;

use std::sync::LazyLock;

use jiff::Timestamp;
use serde_json::Value;
use tokenward_kube_rules::metadata::{self, NameRule};
use tokenward_kube_rules::{FeatureGates, FieldError, rbac};
use tokenward_kube_schema::Kind;

use crate::object::{Object, child_mut, set_default};

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

    /// Which groups of rules a change is held to, in upstream's order. Some stand there twice: causes keep repeats.
    fn checks_of_change(&self) -> &'static [Check] {
        &[Check::MetadataChange, Check::Metadata, Check::Content, Check::ContentChange]
    }

    /// Whether a finalizer without a domain must be one of Kubernetes' own.
    fn knows_finalizers(&self) -> bool {
        true
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

/// A group of rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Check {
    /// Those of the metadata of any object.
    Metadata,
    /// Those of a change of metadata.
    MetadataChange,
    /// [`Strategy::validate`].
    Content,
    /// [`Strategy::validate_update`].
    ContentChange,
}

/// What is wrong with a new object: metadata and the kind's own rules. As upstream, the first group that finds fault
/// is the one that is reported.
pub(crate) fn validate_new(kind: &Kind, object: &Object) -> Vec<FieldError> {
    let strategy = of(kind);
    let mut errors = metadata_faults(kind, object);
    errors.extend(strategy.validate(object));
    errors.extend(strategy.validate_creation(object));
    errors
}

fn metadata_faults(kind: &Kind, object: &Object) -> Vec<FieldError> {
    let strategy = of(kind);
    let metadata = metadata_of(object);
    let mut errors = metadata::validate(metadata, kind.namespaced, strategy.name_rule());
    if strategy.knows_finalizers() {
        errors.extend(metadata::validate_standard_finalizers(metadata));
    }
    errors
}

fn metadata_of(object: &Object) -> &Object {
    static NONE: LazyLock<Object> = LazyLock::new(Object::new);
    object.get("metadata").and_then(Value::as_object).unwrap_or(&NONE)
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
    let metadata = metadata_of(new);
    let change = || metadata::validate_update(metadata, metadata_of(old));
    // What holds for every kind comes first, and again with the kind's own rules.
    let mut errors = metadata::validate(metadata, kind.namespaced, NameRule::PathSegment);
    errors.extend(change());
    let checks = match rules {
        Rules::Object => strategy.checks_of_change(),
        Rules::Status => &[Check::MetadataChange],
    };
    for check in checks {
        match check {
            Check::Metadata => errors.extend(metadata_faults(kind, new)),
            Check::MetadataChange => {
                errors.extend(change());
                if strategy.knows_finalizers() {
                    errors.extend(metadata::validate_standard_finalizers(metadata));
                }
            }
            Check::Content => errors.extend(strategy.validate(new)),
            Check::ContentChange => errors.extend(strategy.validate_update(new, old)),
        }
    }
    if rules == Rules::Status {
        errors.extend(strategy.validate_status(new, old));
    }
    errors
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
    use crate::object::Metadata as _;
    use crate::strategy::Check::{Content, ContentChange, Metadata, MetadataChange};

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
            "ValidatingWebhookConfiguration",
            "VolumeAttachment",
        ] {
            assert!(conditional.contains(&kind), "{kind}");
        }
        for kind in [
            "ConfigMap",
            "DaemonSet",
            "Node",
            "Pod",
            "PriorityClass",
            "Secret",
            "ServiceAccount",
            "StorageClass",
        ] {
            assert!(!conditional.contains(&kind), "{kind}");
        }
    }

    fn served(name: &str) -> &'static Kind {
        tokenward_kube_schema::kinds().iter().find(|kind| kind.kind == name).expect("served")
    }

    #[test]
    fn each_kind_checks_a_change_in_its_own_order() {
        for (name, checks) in [
            ("CSIDriver", &[MetadataChange, Content, ContentChange][..]),
            ("Lease", &[MetadataChange, Content, ContentChange]),
            ("PodDisruptionBudget", &[Content, ContentChange]),
            ("PriorityClass", &[MetadataChange, ContentChange]),
            ("DaemonSet", &[MetadataChange, ContentChange, Content]),
            ("CSINode", &[Metadata, Content, ContentChange]),
            ("VolumeAttachment", &[Metadata, Content, ContentChange]),
            ("EndpointSlice", &[Metadata, Content, ContentChange]),
            ("ValidatingWebhookConfiguration", &[Metadata, Content, ContentChange]),
            ("Node", &[Metadata, Content, MetadataChange, ContentChange]),
            ("Namespace", &[Metadata, Content, MetadataChange, ContentChange]),
            ("StorageClass", &[Metadata, Content, MetadataChange, ContentChange]),
            ("Role", &[Metadata, Content, MetadataChange, ContentChange]),
            ("ClusterRoleBinding", &[Metadata, Content, MetadataChange, ContentChange]),
            ("ConfigMap", &[MetadataChange, ContentChange, Metadata, Content]),
            ("Secret", &[MetadataChange, ContentChange, Metadata, Content]),
            ("PersistentVolume", &[Metadata, Content, Metadata, Content, ContentChange]),
            ("Pod", &[MetadataChange, Metadata, Content, ContentChange]),
            ("PersistentVolumeClaim", &[MetadataChange, Metadata, Content, ContentChange]),
            ("ControllerRevision", &[MetadataChange, Metadata, Content, ContentChange]),
            ("ServiceAccount", &[MetadataChange, Metadata, Content, ContentChange]),
            ("Event", &[Content]),
        ] {
            assert_eq!(of(served(name)).checks_of_change(), checks, "{name}");
        }
    }

    #[test]
    fn causes_repeat_what_upstream_repeats() {
        let object = |value: Value| value.as_object().cloned().expect("an object");
        let old = object(json!({"metadata": {"name": "a", "uid": "u"}}));
        let table = [
            // Once as any object, once as any change, once or more as this kind.
            ("CSIDriver", Rules::Object, 3),
            ("Lease", Rules::Object, 3),
            ("CSINode", Rules::Object, 3),
            ("Node", Rules::Object, 4),
            ("Node", Rules::Status, 3),
            ("PersistentVolume", Rules::Object, 4),
            ("Event", Rules::Object, 2),
        ];
        for (name, rules, count) in table {
            let new = object(json!({"metadata": {"name": "a", "uid": "u", "labels": {"a b": "c"}}}));
            let errors = validate_change(served(name), rules, &new, &old);
            let labels = errors.iter().filter(|error| error.field() == "metadata.labels").count();
            assert_eq!(labels, count, "{name} {rules:?}");
        }
        let finalizers = |name: &str| {
            let new = object(json!({"metadata": {"name": "a", "uid": "u", "finalizers": ["bare"]}}));
            let errors = validate_change(served(name), Rules::Object, &new, &old);
            errors.iter().filter(|error| error.field() == "metadata.finalizers[0]").count()
        };
        assert_eq!(["CSIDriver", "CSINode", "Node", "Lease", "Event"].map(finalizers), [1, 1, 2, 0, 0]);
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
            let kind = served(name);
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
