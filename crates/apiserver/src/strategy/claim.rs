//! PersistentVolumeClaim: a pod's wish for storage.

use tokenward_kube_rules::{FeatureGates, FieldError};

use super::{Strategy, start_phase};
use crate::object::{Object, at, child_mut, set_default};

pub(super) struct ClaimStrategy;

impl Strategy for ClaimStrategy {
    fn set_defaults(&self, object: &mut Object) {
        set_default(child_mut(object, "spec"), "volumeMode", "Filesystem");
    }

    fn prepare_create(&self, object: &mut Object, _gates: &FeatureGates) {
        object.remove("status");
        start_phase(object, "Pending");
    }

    fn validate(&self, object: &Object) -> Vec<FieldError> {
        let mut errors = Vec::new();
        if at(object, &["spec", "accessModes"]).and_then(|modes| modes.as_array()).is_none_or(Vec::is_empty) {
            errors.push(FieldError::required("spec.accessModes", "at least 1 access mode is required"));
        }
        if at(object, &["spec", "resources", "requests", "storage"]).is_none() {
            errors.push(FieldError::required("spec.resources[storage]", ""));
        }
        errors
    }
}
