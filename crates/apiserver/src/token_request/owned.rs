//! Who owns a token request that is answered: its entry of `managedFields`, written straight, since a request for a token
//! is the most frequent write there is. What it says is what [`tokenward_kube_schema::managed_fields`] would.

use serde::Serialize;
use tokenward_kube_schema::protobuf::Writer;

use super::asked::BoundObjectRef;

/// The entry of the one who asked.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Entry<'a> {
    manager: &'a str,
    operation: &'static str,
    api_version: &'static str,
    time: &'a str,
    fields_type: &'static str,
    fields_v1: Fields,
    subresource: &'static str,
}

#[derive(Serialize)]
struct Fields {
    #[serde(rename = "f:spec")]
    spec: SpecFields,
}

#[derive(Serialize)]
struct SpecFields {
    #[serde(rename = "f:audiences", skip_serializing_if = "Option::is_none")]
    audiences: Option<Leaf>,
    #[serde(rename = "f:boundObjectRef", skip_serializing_if = "Option::is_none")]
    bound_object_ref: Option<ReferenceFields>,
    #[serde(rename = "f:expirationSeconds")]
    expiration_seconds: Leaf,
}

#[derive(Serialize)]
struct ReferenceFields {
    #[serde(rename = "f:apiVersion", skip_serializing_if = "Option::is_none")]
    api_version: Option<Leaf>,
    #[serde(rename = "f:kind", skip_serializing_if = "Option::is_none")]
    kind: Option<Leaf>,
    #[serde(rename = "f:name", skip_serializing_if = "Option::is_none")]
    name: Option<Leaf>,
    #[serde(rename = "f:uid", skip_serializing_if = "Option::is_none")]
    uid: Option<Leaf>,
}

/// A field with nothing below it.
#[derive(Serialize)]
struct Leaf {}

impl<'a> Entry<'a> {
    /// `has_audiences` is whether the request named any; an expiry it always has, by default.
    pub(super) fn new(
        manager: &'a str,
        time: &'a str,
        has_audiences: bool,
        bound: Option<&BoundObjectRef>,
    ) -> Self {
        let set = |text: &String| (!text.is_empty()).then_some(Leaf {});
        let bound_object_ref = bound.map(|bound| ReferenceFields {
            api_version: set(&bound.api_version),
            kind: set(&bound.kind),
            name: set(&bound.name),
            uid: set(&bound.uid),
        });
        Self {
            manager: if manager.is_empty() { "unknown" } else { manager },
            operation: "Update",
            api_version: "authentication.k8s.io/v1",
            time,
            fields_type: "FieldsV1",
            fields_v1: Fields {
                spec: SpecFields {
                    audiences: has_audiences.then_some(Leaf {}),
                    bound_object_ref,
                    expiration_seconds: Leaf {},
                },
            },
            subresource: "token",
        }
    }

    /// The entry as protobuf; `time` writes its time.
    pub(super) fn write(&self, writer: &mut Writer, time: impl FnOnce(&mut Writer)) {
        writer.string(1, self.manager);
        writer.string(2, self.operation);
        writer.string(3, self.api_version);
        writer.message(4, time);
        writer.string(6, self.fields_type);
        let fields = serde_json::to_vec(&self.fields_v1).expect("texts into memory");
        writer.message(7, |writer| writer.bytes(1, &fields));
        writer.string(8, self.subresource);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use tokenward_kube_rules::Release;
    use tokenward_kube_schema::managed_fields::{Write, after_update};
    use tokenward_kube_schema::{find_kind, normalize};

    use super::*;

    #[test]
    fn the_entry_is_what_the_rules_say() {
        let now = "2026-03-01T12:00:00Z";
        let kind = find_kind("authentication.k8s.io/v1", "TokenRequest").expect("a known kind");
        let whole = json!({"apiVersion": "v1", "kind": "Pod", "name": "p", "uid": "u"});
        for audiences in [json!(null), json!(["a"])] {
            for bound in [json!(null), json!({}), json!({"kind": "Pod", "name": "p"}), whole.clone()] {
                let request = json!({"spec": {"audiences": audiences, "boundObjectRef": bound, "expirationSeconds": 600}});
                let request = request.as_object().expect("an object");
                let printed = normalize(kind, Release::V1_35, request).expect("a good request").object;
                let write = Write { kind, release: Release::V1_35, manager: "m", subresource: "token", now };
                let reference: Option<BoundObjectRef> =
                    serde_json::from_value(bound.clone()).expect("a reference");
                let entry = Entry::new("m", now, audiences.is_array(), reference.as_ref());
                let entry = serde_json::to_value(entry).expect("texts");
                assert_eq!(Value::from(after_update(&write, None, &printed)), json!([entry]), "{request:?}");
            }
        }
    }
}
