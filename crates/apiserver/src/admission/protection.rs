//! StorageObjectInUseProtection: a volume or a claim stays while somebody uses it. The finalizer is set here, at its
//! beginning; a controller takes it off once nobody does.

use serde_json::{Value, json};

use crate::object::{Metadata, Object};

/// Held while a pod uses the claim.
pub(super) const CLAIM: &str = "kubernetes.io/pvc-protection";
/// Held while the volume is bound.
pub(super) const VOLUME: &str = "kubernetes.io/pv-protection";

/// Adds a finalizer that is not there yet.
pub(super) fn admit(object: &mut Object, finalizer: &str) {
    let finalizers = object.metadata_mut().entry("finalizers").or_insert_with(|| json!([]));
    if finalizers.is_null() {
        *finalizers = json!([]);
    }
    if let Some(finalizers) = finalizers.as_array_mut()
        && !finalizers.iter().any(|own| own == finalizer)
    {
        finalizers.push(Value::from(finalizer));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_finalizer_is_there_once() {
        for (own, wanted) in [
            (json!({}), json!([CLAIM])),
            (json!({"finalizers": null}), json!([CLAIM])),
            (json!({"finalizers": ["a/b"]}), json!(["a/b", CLAIM])),
            (json!({"finalizers": [CLAIM]}), json!([CLAIM])),
        ] {
            let mut object = json!({"metadata": own}).as_object().unwrap().clone();
            admit(&mut object, CLAIM);
            assert_eq!(object["metadata"]["finalizers"], wanted);
        }
    }
}
