//! ServiceAccount: references to secrets are names, and an old annotation is warned of.

use serde_json::{Value, json};
use tokenward_kube_rules::FeatureGates;

use super::Strategy;
use super::field::Field;
use crate::object::Object;

pub(super) struct ServiceAccountStrategy;

const MOUNTABLE_SECRETS: &str = "kubernetes.io/enforce-mountable-secrets";

impl Strategy for ServiceAccountStrategy {
    fn is_shown_when_deleted(&self) -> bool {
        true
    }

    fn prepare_create(&self, object: &mut Object, _gates: &FeatureGates) {
        keep_names(object);
    }

    fn prepare_update(&self, new: &mut Object, _old: &Object, _gates: &FeatureGates) {
        keep_names(new);
    }

    fn warnings_on_create(&self, object: &Object, _gates: &FeatureGates) -> Vec<String> {
        if !Field::of(object, "metadata").child("annotations").key(MOUNTABLE_SECRETS).is_set() {
            return Vec::new();
        }
        vec![format!(
            "metadata.annotations[{MOUNTABLE_SECRETS}]: deprecated in v1.32+; prefer separate namespaces to isolate \
             access to mounted secrets"
        )]
    }

    fn warnings_on_update(&self, new: &Object, _old: &Object, gates: &FeatureGates) -> Vec<String> {
        self.warnings_on_create(new, gates)
    }
}

/// Of a reference to a secret only the name means something.
fn keep_names(object: &mut Object) {
    for secret in object.get_mut("secrets").and_then(Value::as_array_mut).into_iter().flatten() {
        let name = secret.get("name").cloned().unwrap_or_default();
        *secret = if name.is_null() { json!({}) } else { json!({"name": name}) };
    }
}

#[cfg(test)]
mod tests {
    use tokenward_kube_rules::Release;

    use super::*;

    #[test]
    fn secrets_are_names_and_the_old_annotation_is_warned_of() {
        let account = json!({
            "metadata": {"annotations": {MOUNTABLE_SECRETS: "true"}},
            "secrets": [{"name": "s", "namespace": "other", "kind": "Secret"}, {"uid": "u"}],
        });
        let mut account = account.as_object().unwrap().clone();
        let gates = FeatureGates::for_release(Release::V1_35);
        ServiceAccountStrategy.prepare_create(&mut account, &gates);
        assert_eq!(account["secrets"], json!([{"name": "s"}, {}]));
        assert_eq!(ServiceAccountStrategy.warnings_on_create(&account, &gates).len(), 1);
        assert!(ServiceAccountStrategy.warnings_on_create(&Object::new(), &gates).is_empty());
    }
}
