//! CSIDriver: the rules stand in `tokenward_kube_rules::csi_driver`; here they meet the tree.

use serde_json::Value;
use tokenward_kube_rules::csi_driver::{self, CsiDriverSpec, SpecChange};
use tokenward_kube_rules::{FeatureGates, FieldError};

use super::{Check, Strategy};
use crate::object::{Metadata, Object};

pub(super) struct CsiDriverStrategy;

/// The spec; the tree has been decoded by the schema, so that its types are right.
fn spec(object: &Object) -> CsiDriverSpec {
    CsiDriverSpec::from_value(object.get("spec").unwrap_or(&Value::Null)).unwrap_or_default()
}

fn set_spec(object: &mut Object, spec: &CsiDriverSpec) {
    object.insert("spec".to_owned(), spec.to_value());
}

impl Strategy for CsiDriverStrategy {
    fn checks_of_change(&self) -> &'static [Check] {
        &[Check::MetadataChange, Check::Content, Check::ContentChange]
    }

    fn is_shown_when_deleted(&self) -> bool {
        true
    }

    fn unconditional_update(&self) -> bool {
        false
    }

    fn set_defaults(&self, object: &mut Object) {
        let mut spec = spec(object);
        csi_driver::set_defaults(&mut spec);
        set_spec(object, &spec);
    }

    fn prepare_create(&self, object: &mut Object, gates: &FeatureGates) {
        let mut spec = spec(object);
        csi_driver::prepare_create(&mut spec, gates);
        set_spec(object, &spec);
    }

    fn prepare_update(&self, new: &mut Object, old: &Object, gates: &FeatureGates) {
        let mut changed = spec(new);
        let change = csi_driver::prepare_update(&mut changed, &spec(old), gates);
        set_spec(new, &changed);
        if change == SpecChange::Changed {
            let generation = old.metadata_number("generation").saturating_add(1);
            new.metadata_mut().insert("generation".to_owned(), generation.into());
        }
    }

    fn validate(&self, object: &Object) -> Vec<FieldError> {
        csi_driver::validate_spec(&spec(object))
    }

    fn validate_update(&self, new: &Object, old: &Object) -> Vec<FieldError> {
        let (new, old) = (spec(new), spec(old));
        // The spec itself has been validated already: only what a change adds is wanted.
        csi_driver::validate_update(&new, &old).split_off(csi_driver::validate_spec(&new).len())
    }

    fn warnings_on_create(&self, object: &Object, gates: &FeatureGates) -> Vec<String> {
        csi_driver::warnings_create(&spec(object), gates)
    }

    fn warnings_on_update(&self, new: &Object, old: &Object, gates: &FeatureGates) -> Vec<String> {
        csi_driver::warnings_update(&spec(new), &spec(old), gates)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use tokenward_kube_rules::Release;

    use super::*;

    #[test]
    fn a_generation_that_a_client_has_chosen_does_not_overflow() {
        let gates = FeatureGates::for_release(Release::V1_35);
        for (before, after) in [(0, 1), (7, 8), (i64::MAX - 1, i64::MAX), (i64::MAX, i64::MAX)] {
            let driver = |republish: bool| {
                let driver =
                    json!({"metadata": {"generation": before}, "spec": {"requiresRepublish": republish}});
                driver.as_object().expect("an object").clone()
            };
            let mut changed = driver(true);
            CsiDriverStrategy.prepare_update(&mut changed, &driver(false), &gates);
            assert_eq!(changed.metadata_number("generation"), after);
        }
    }
}
