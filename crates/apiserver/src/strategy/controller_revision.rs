//! ControllerRevision: a snapshot that a controller keeps. Its data never changes.

use tokenward_kube_rules::FieldError;

use super::Strategy;
use super::field::Field;
use crate::object::Object;

pub(super) struct ControllerRevisionStrategy;

impl Strategy for ControllerRevisionStrategy {
    fn validate(&self, object: &Object) -> Vec<FieldError> {
        let data = Field::of(object, "data");
        let mut errors: Vec<FieldError> = Field::of(object, "revision").not_negative().into_iter().collect();
        errors.extend((!data.is_set()).then(|| data.required("data is mandatory")));
        errors
    }

    fn validate_creation(&self, object: &Object) -> Vec<FieldError> {
        let data = Field::of(object, "data");
        let is_other = data.is_set() && !data.value().is_object();
        is_other.then(|| data.required("data must be a valid JSON object")).into_iter().collect()
    }

    fn validate_update(&self, new: &Object, old: &Object) -> Vec<FieldError> {
        Field::of(new, "data").immutable(&Field::of(old, "data")).into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::tests::texts;
    use super::*;

    #[test]
    fn data_is_there_and_stays() {
        let revision = |value: Value| value.as_object().unwrap().clone();
        let old = revision(json!({"data": {"spec": 1}, "revision": 1}));
        assert_eq!(ControllerRevisionStrategy.validate(&old), []);
        assert_eq!(
            texts(&ControllerRevisionStrategy.validate(&revision(json!({"revision": -1})))),
            [
                "revision: Invalid value: -1: must be greater than or equal to 0",
                "data: Required value: data is mandatory"
            ]
        );
        let list = revision(json!({"data": [1], "revision": 1}));
        assert_eq!(
            texts(&ControllerRevisionStrategy.validate_creation(&list)),
            ["data: Required value: data must be a valid JSON object"]
        );
        let later = revision(json!({"data": {"spec": 1}, "revision": 2}));
        assert_eq!(ControllerRevisionStrategy.validate_update(&later, &old), []);
        let other = revision(json!({"data": {"spec": 2}, "revision": 1}));
        assert_eq!(
            texts(&ControllerRevisionStrategy.validate_update(&other, &old)),
            ["data: Invalid value: {\"spec\":2}: field is immutable"]
        );
    }
}
