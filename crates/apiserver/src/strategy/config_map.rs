//! ConfigMap: keys of a narrow alphabet, one megabyte at most, and `immutable`, which is for ever.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tokenward_kube_rules::{FieldError, names};

use super::field::Field;
use super::{Check, Strategy};
use crate::object::Object;

pub(super) struct ConfigMapStrategy;

/// The most bytes that the values of a config map or a secret have together.
pub(super) const MOST_BYTES: usize = 1 << 20;

impl Strategy for ConfigMapStrategy {
    fn checks_of_change(&self) -> &'static [Check] {
        &[Check::MetadataChange, Check::ContentChange, Check::Metadata, Check::Content]
    }

    fn validate(&self, object: &Object) -> Vec<FieldError> {
        let (data, binary) = (Field::of(object, "data"), Field::of(object, "binaryData"));
        let mut errors = Vec::new();
        let mut bytes = 0;
        for key in data.keys() {
            errors.extend(key_faults(&data, key));
            if binary.key(key).is_set() {
                let path = data.key(key).path();
                errors.push(FieldError::invalid(path, key, "duplicate of key present in binaryData"));
            }
            bytes += data.key(key).text().len();
        }
        for key in binary.keys() {
            errors.extend(key_faults(&binary, key));
            bytes += decoded_length(binary.key(key).text());
        }
        if bytes > MOST_BYTES {
            // Upstream names no field here, and this is how it shows that.
            errors.push(FieldError::too_long("[]", MOST_BYTES));
        }
        errors
    }

    fn validate_update(&self, new: &Object, old: &Object) -> Vec<FieldError> {
        frozen(new, old, &["data", "binaryData"])
    }
}

/// What is wrong with a key of a map of data.
pub(super) fn key_faults(data: &Field<'_>, key: &str) -> Vec<FieldError> {
    let path = data.key(key).path();
    names::config_map_key(key).iter().map(|fault| FieldError::invalid(&path, key, fault)).collect()
}

/// How long canonical base64 is once decoded.
pub(super) fn decoded_length(text: &str) -> usize {
    STANDARD.decode(text).map_or(text.len(), |bytes| bytes.len())
}

/// What a change does to an object that was made immutable.
pub(super) fn frozen(new: &Object, old: &Object, members: &[&str]) -> Vec<FieldError> {
    const WHY: &str = "field is immutable when `immutable` is set";
    if !Field::of(old, "immutable").flag() {
        return Vec::new();
    }
    let thawed = (!Field::of(new, "immutable").flag()).then(|| FieldError::forbidden("immutable", WHY));
    let changed = members.iter().filter(|member| new.get(**member) != old.get(**member));
    thawed.into_iter().chain(changed.map(|member| FieldError::forbidden(*member, WHY))).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::tests::texts;
    use super::*;

    fn object(value: &Value) -> Object {
        value.as_object().unwrap().clone()
    }

    #[test]
    fn keys_and_sizes() {
        let bad = object(&json!({"data": {"a/b": "", "c": ""}, "binaryData": {"c": "", "..": ""}}));
        let errors = ConfigMapStrategy.validate(&bad);
        let fields: Vec<&str> = errors.iter().map(FieldError::field).collect();
        assert_eq!(fields, ["data[a/b]", "data[c]", "binaryData[..]"]);
        for (length, good) in [(MOST_BYTES, true), (MOST_BYTES + 1, false)] {
            let map = object(&json!({"data": {"a": "x".repeat(length)}}));
            assert_eq!(ConfigMapStrategy.validate(&map).is_empty(), good);
        }
        let map = object(&json!({"binaryData": {"a": STANDARD.encode(vec![0; MOST_BYTES])}}));
        assert_eq!(ConfigMapStrategy.validate(&map), []);
    }

    #[test]
    fn what_is_immutable_stays_so() {
        let old = object(&json!({"immutable": true, "data": {"a": "b"}}));
        assert_eq!(ConfigMapStrategy.validate_update(&old, &old), []);
        let new = object(&json!({"data": {"a": "c"}}));
        assert_eq!(
            texts(&ConfigMapStrategy.validate_update(&new, &old)),
            [
                "immutable: Forbidden: field is immutable when `immutable` is set",
                "data: Forbidden: field is immutable when `immutable` is set"
            ]
        );
        assert_eq!(ConfigMapStrategy.validate_update(&old, &new), [], "it may be made immutable");
    }
}
