//! Namespace: labelled with its name, held back by its own finalizer until it is empty.

use serde_json::{Value, json};
use tokenward_kube_rules::FeatureGates;
use tokenward_kube_rules::metadata::NameRule;

use super::{Strategy, start_phase};
use crate::object::{Metadata, Object, at, child_mut};

pub(super) struct NamespaceStrategy;

impl Strategy for NamespaceStrategy {
    fn name_rule(&self) -> NameRule {
        NameRule::DnsLabel
    }

    fn set_defaults(&self, object: &mut Object) {
        let name = object.name().to_owned();
        if !name.is_empty() {
            let labels = child_mut(object.metadata_mut(), "labels");
            labels.insert("kubernetes.io/metadata.name".to_owned(), name.into());
        }
    }

    fn prepare_create(&self, object: &mut Object, _gates: &FeatureGates) {
        object.remove("status");
        start_phase(object, "Active");
        let finalizers = child_mut(object, "spec").entry("finalizers").or_insert_with(|| json!([]));
        if let Some(finalizers) = finalizers.as_array_mut()
            && !finalizers.contains(&json!("kubernetes"))
        {
            finalizers.push(json!("kubernetes"));
        }
    }

    fn prepare_update(&self, new: &mut Object, old: &Object, _gates: &FeatureGates) {
        // `spec.finalizers` change only through the subresource `finalize`.
        match old.get("spec") {
            Some(spec) => new.insert("spec".to_owned(), spec.clone()),
            None => new.remove("spec"),
        };
    }

    fn mark_deleted(&self, object: &mut Object) {
        object.metadata_mut().remove("deletionGracePeriodSeconds");
        child_mut(object, "status").insert("phase".to_owned(), "Terminating".into());
    }

    fn held_back(&self, object: &Object) -> bool {
        let finalizers = at(object, &["spec", "finalizers"]).and_then(Value::as_array);
        finalizers.is_some_and(|finalizers| !finalizers.is_empty())
    }
}
