//! What is no error of a volume but will not do for long: told with the answer.

use crate::object::Object;
use crate::strategy::field::Field;
use crate::strategy::pod_spec::{annotated, deprecated_label};

/// The annotation that named the class before there was a field.
const CLASS: &str = "volume.beta.kubernetes.io/storage-class";

/// Sources that nothing mounts any more, and the names that warnings show.
const DEAD_SOURCES: [(&str, &str, &str); 6] = [
    ("cephfs", "cephfs", "deprecated in v1.28, non-functional in v1.31+"),
    ("photonPersistentDisk", "photonPersistentDisk", "deprecated in v1.11, non-functional in v1.16+"),
    ("scaleIO", "scaleIO", "deprecated in v1.16, non-functional in v1.22+"),
    ("storageos", "storageOS", "deprecated in v1.22, non-functional in v1.25+"),
    ("glusterfs", "glusterfs", "deprecated in v1.25, non-functional in v1.26+"),
    ("rbd", "rbd", "deprecated in v1.28, non-functional in v1.31+"),
];

/// The warnings of a volume, in upstream's order.
pub(super) fn of_volume(volume: &Object) -> Vec<String> {
    let spec = Field::of(volume, "spec");
    let annotations = Field::of(volume, "metadata").child("annotations");
    let by_field = "deprecated since v1.8; use \"storageClassName\" attribute instead";
    let mut warnings: Vec<String> = annotated(&annotations, CLASS, by_field).into_iter().collect();
    let policy = spec.child("persistentVolumeReclaimPolicy");
    if policy.text() == "Recycle" {
        let why = "The Recycle reclaim policy is deprecated. Instead, the recommended approach is to use \
                   dynamic provisioning.";
        warnings.push(format!("{}: {why}", policy.path()));
    }
    for term in spec.child("nodeAffinity").child("required").child("nodeSelectorTerms").items() {
        for key in term.child("matchExpressions").items().map(|expression| expression.child("key")) {
            let why = deprecated_label(key.text());
            warnings.extend(why.map(|why| format!("{}: {} is {why}", key.path(), key.text())));
        }
    }
    for (source, shown, why) in DEAD_SOURCES {
        let source = spec.child_shown_as(source, shown);
        if source.is_set() {
            warnings.push(format!("{}: {why}", source.path()));
        }
    }
    warnings
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn object(value: &Value) -> Object {
        value.as_object().unwrap().clone()
    }

    const CLASS_IS_OLD: &str = "metadata.annotations[volume.beta.kubernetes.io/storage-class]: deprecated since v1.8; \
                                use \"storageClassName\" attribute instead";

    #[test]
    fn volumes_are_warned_of() {
        let labels = json!([{"key": "beta.kubernetes.io/os", "operator": "Exists"}, {"key": "a", "operator": "Exists"}]);
        let all = json!({
            "metadata": {"annotations": {CLASS: "x"}},
            "spec": {
                "persistentVolumeReclaimPolicy": "Recycle",
                "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": labels}]}},
                "storageos": {},
            },
        });
        let wanted = [
            CLASS_IS_OLD,
            "spec.persistentVolumeReclaimPolicy: The Recycle reclaim policy is deprecated. Instead, the recommended \
             approach is to use dynamic provisioning.",
            "spec.nodeAffinity.required.nodeSelectorTerms[0].matchExpressions[0].key: beta.kubernetes.io/os is \
             deprecated since v1.14; use \"kubernetes.io/os\" instead",
            "spec.storageOS: deprecated in v1.22, non-functional in v1.25+",
        ];
        assert_eq!(of_volume(&object(&all)), wanted);
        let current = json!({"spec": {"persistentVolumeReclaimPolicy": "Retain", "csi": {"driver": "d"}}});
        assert_eq!(of_volume(&object(&current)), [""; 0]);
    }
}
