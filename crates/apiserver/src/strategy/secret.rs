//! Secret: `stringData` is a client's convenience and never kept; keys follow a narrow alphabet, which is why a token
//! map can never come out of one under its own key.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use tokenward_kube_rules::{FeatureGates, FieldError, names};

use super::Strategy;
use crate::object::{Object, child_mut, set_default};

pub(super) struct SecretStrategy;

impl Strategy for SecretStrategy {
    fn set_defaults(&self, object: &mut Object) {
        set_default(object, "type", "Opaque");
        if let Some(Value::Object(plain)) = object.remove("stringData") {
            let data = child_mut(object, "data");
            for (key, value) in plain {
                let encoded = STANDARD.encode(value.as_str().unwrap_or(""));
                data.insert(key, encoded.into());
            }
        }
    }

    fn prepare_update(&self, new: &mut Object, old: &Object, _gates: &FeatureGates) {
        // A write that leaves the type out keeps it.
        if new.get("type").and_then(Value::as_str).is_none_or(str::is_empty)
            && let Some(kind) = old.get("type")
        {
            new.insert("type".to_owned(), kind.clone());
        }
    }

    fn validate(&self, object: &Object) -> Vec<FieldError> {
        let keys = object.get("data").and_then(Value::as_object).into_iter().flatten().map(|(key, _)| key);
        keys.flat_map(|key| {
            let faults = names::config_map_key(key).into_iter();
            faults.map(move |fault| FieldError::invalid(format!("data[{key}]"), key.as_str(), &fault))
        })
        .collect()
    }

    fn validate_update(&self, new: &Object, old: &Object) -> Vec<FieldError> {
        if new.get("type") == old.get("type") {
            return Vec::new();
        }
        let kind = new.get("type").cloned().unwrap_or(Value::Null);
        vec![FieldError::invalid("type", kind, "field is immutable")]
    }
}
