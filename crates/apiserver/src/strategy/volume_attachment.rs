//! VolumeAttachment: a volume, a node, a driver that brings them together. Only the status changes.

use serde_json::json;
use tokenward_kube_rules::{FeatureGates, FieldError, names};

use super::field::Field;
use super::{Check, Strategy};
use crate::object::{Metadata as _, Object, at};

pub(super) struct VolumeAttachmentStrategy;

impl Strategy for VolumeAttachmentStrategy {
    fn checks_of_change(&self) -> &'static [Check] {
        &[Check::Metadata, Check::Content, Check::ContentChange]
    }

    fn is_shown_when_deleted(&self) -> bool {
        true
    }

    fn unconditional_update(&self) -> bool {
        false
    }

    fn prepare_create(&self, object: &mut Object, _gates: &FeatureGates) {
        object.insert("status".to_owned(), json!({}));
    }

    fn prepare_status(&self, new: &mut Object, old: &Object) {
        // Who reports on an attachment says nothing of its metadata.
        for member in ["annotations", "deletionTimestamp", "finalizers", "generation", "labels"] {
            new.take_metadata_from(old, member);
        }
    }

    fn validate(&self, object: &Object) -> Vec<FieldError> {
        const ONE: &str = "must specify exactly one of inlineVolumeSpec and persistentVolumeName";
        let spec = Field::of(object, "spec");
        let attacher = spec.child("attacher");
        let mut errors = names::csi_driver_name(attacher.text(), &attacher.path());
        let source = spec.child("source");
        let (name, inline) = (source.child("persistentVolumeName"), source.child("inlineVolumeSpec"));
        match (name.is_set(), inline.is_set()) {
            (false, false) => errors.push(source.required(ONE)),
            (true, true) => errors.push(source.forbidden(ONE)),
            (true, false) if name.text().is_empty() => {
                errors.push(name.required("must specify non empty persistentVolumeName"));
            }
            (true, false) => {}
            (false, true) => errors.extend(super::volume::validate_spec(&inline, true)),
        }
        errors.extend(spec.child("nodeName").faults(names::dns_subdomain));
        if name.is_set() {
            errors.extend(name.faults(names::dns_subdomain));
        }
        errors
    }

    fn validate_update(&self, new: &Object, old: &Object) -> Vec<FieldError> {
        let spec = |object| Field::of(object, "spec");
        spec(new).immutable(&spec(old)).into_iter().collect()
    }

    fn validate_status(&self, new: &Object, _old: &Object) -> Vec<FieldError> {
        let metadata = at(new, &["status", "attachmentMetadata"]).and_then(|metadata| metadata.as_object());
        let bytes: usize = metadata
            .into_iter()
            .flatten()
            .map(|(key, value)| key.len() + value.as_str().map_or(0, str::len))
            .sum();
        const MOST_BYTES: usize = 256 << 10;
        (bytes > MOST_BYTES)
            .then(|| FieldError::too_long("status.attachmentMetadata", MOST_BYTES))
            .into_iter()
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::super::tests::texts;
    use super::*;

    fn attachment(spec: &Value) -> Object {
        json!({"spec": spec}).as_object().unwrap().clone()
    }

    #[test]
    fn a_report_changes_no_metadata() {
        let object = |metadata: Value| json!({"metadata": metadata}).as_object().unwrap().clone();
        let old = object(json!({"name": "a", "labels": {"a": "b"}, "resourceVersion": "1"}));
        let mut new = object(
            json!({"name": "a", "annotations": {"/": ""}, "finalizers": ["bare"], "resourceVersion": "1"}),
        );
        VolumeAttachmentStrategy.prepare_status(&mut new, &old);
        assert_eq!(new, old);
    }

    #[test]
    fn one_source_a_node_and_an_attacher() {
        let good = json!({"attacher": "a.example", "nodeName": "n", "source": {"persistentVolumeName": "v"}});
        assert_eq!(VolumeAttachmentStrategy.validate(&attachment(&good)), []);
        let errors = VolumeAttachmentStrategy.validate(&attachment(&json!({"nodeName": "N"})));
        let fields: Vec<&str> = errors.iter().map(FieldError::field).collect();
        assert_eq!(fields, ["spec.attacher", "spec.source", "spec.nodeName"]);
        let empty = json!({"attacher": "a", "nodeName": "n", "source": {"persistentVolumeName": ""}});
        let errors = texts(&VolumeAttachmentStrategy.validate(&attachment(&empty)));
        assert_eq!(
            errors[0],
            "spec.source.persistentVolumeName: Required value: must specify non empty persistentVolumeName"
        );
        assert!(errors[1].starts_with("spec.source.persistentVolumeName: Invalid value: \"\": a lowercase"));
        let both = json!({"attacher": "a b", "nodeName": "N", "source": {"persistentVolumeName": "V", "inlineVolumeSpec": {}}});
        let errors = VolumeAttachmentStrategy.validate(&attachment(&both));
        let fields: Vec<&str> = errors.iter().map(FieldError::field).collect();
        assert_eq!(
            fields,
            ["spec.attacher", "spec.source", "spec.nodeName", "spec.source.persistentVolumeName"]
        );
        let inline = |volume: Value| {
            let spec = json!({"attacher": "a", "nodeName": "n", "source": {"inlineVolumeSpec": volume}});
            let errors = VolumeAttachmentStrategy.validate(&attachment(&spec));
            errors
                .iter()
                .map(|error| error.to_string().replace("spec.source.inlineVolumeSpec", "i"))
                .collect::<Vec<_>>()
        };
        let volume = json!({"accessModes": ["ReadWriteOnce"], "csi": {"driver": "d", "volumeHandle": "h"},
            "persistentVolumeReclaimPolicy": "Retain", "volumeMode": "Filesystem"});
        assert_eq!(inline(volume), [""; 0]);
        let why = "may not be specified in the context of inline volumes";
        assert_eq!(
            inline(json!({"claimRef": {"name": "c"}, "capacity": {"storage": "1"}, "accessModes": ["ReadWriteOnce"],
                "persistentVolumeReclaimPolicy": "Delete", "nodeAffinity": {}, "hostPath": {"path": "/"},
                "storageClassName": "s", "volumeMode": "Block"})),
            [
                format!("i.claimRef: Forbidden: {why}"),
                format!("i.capacity: Forbidden: {why}"),
                "i.csi: Required value: has to be specified in the context of inline volumes".to_owned(),
                "i.persistentVolumeReclaimPolicy: Forbidden: may only be Retain in the context of inline volumes".to_owned(),
                format!("i.nodeAffinity: Forbidden: {why}"),
                format!("i.storageClassName: Forbidden: {why}"),
                "i.volumeMode: Forbidden: may not specify volumeMode other than Filesystem in the context of inline volumes"
                    .to_owned(),
            ]
        );
        let old = attachment(&good);
        let error = &VolumeAttachmentStrategy.validate_update(&attachment(&empty), &old)[0];
        assert!(error.to_string().starts_with("spec: Invalid value: {"), "{error}");
    }
}
