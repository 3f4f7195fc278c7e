//! PersistentVolume: a cluster's piece of storage.

use tokenward_kube_rules::{FeatureGates, FieldError};

use super::{Strategy, start_phase};
use crate::object::{Object, at, child_mut, set_default};

pub(super) struct VolumeStrategy;

impl Strategy for VolumeStrategy {
    fn set_defaults(&self, object: &mut Object) {
        let spec = child_mut(object, "spec");
        set_default(spec, "persistentVolumeReclaimPolicy", "Retain");
        set_default(spec, "volumeMode", "Filesystem");
    }

    fn prepare_create(&self, object: &mut Object, _gates: &FeatureGates) {
        object.remove("status");
        start_phase(object, "Pending");
    }

    fn validate(&self, object: &Object) -> Vec<FieldError> {
        let mut errors = Vec::new();
        if at(object, &["spec", "accessModes"]).and_then(|modes| modes.as_array()).is_none_or(Vec::is_empty) {
            errors.push(FieldError::required("spec.accessModes", ""));
        }
        if at(object, &["spec", "capacity"])
            .and_then(|capacity| capacity.as_object())
            .is_none_or(Object::is_empty)
        {
            errors.push(FieldError::required("spec.capacity", ""));
        }
        if let Some(csi) = at(object, &["spec", "csi"]) {
            for member in ["driver", "volumeHandle"] {
                if csi.get(member).and_then(|value| value.as_str()).is_none_or(str::is_empty) {
                    errors.push(FieldError::required(format!("spec.csi.{member}"), ""));
                }
            }
        }
        errors
    }

    fn validate_update(&self, new: &Object, old: &Object) -> Vec<FieldError> {
        let (new, old) = (at(new, &["spec", "csi"]), at(old, &["spec", "csi"]));
        if old.is_some() && new != old {
            let why = "spec.persistentvolumesource is immutable after creation";
            vec![FieldError::forbidden("spec.persistentvolumesource", why)]
        } else {
            Vec::new()
        }
    }
}
