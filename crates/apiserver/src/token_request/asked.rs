//! What a TokenRequest's body asks for.
//!
//! Nearly every body is what the kubelet sends: known members, each once, each of its type. Such a body is read straight
//! into a type. Any other is left to the schema, which knows upstream's errors and warnings.

use std::fmt;
use std::marker::PhantomData;

use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use crate::object::{Metadata as _, Object};

/// What is asked for. Texts are empty where the body has none.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Asked {
    pub(crate) name: String,
    pub(crate) namespace: String,
    pub(crate) uid: String,
    pub(crate) audiences: Vec<String>,
    pub(crate) expiration_seconds: Option<i64>,
    pub(crate) bound: Option<BoundObjectRef>,
}

impl Asked {
    /// Reads a body that leaves no doubt. `None` is for every other, right or wrong.
    pub(crate) fn read_plain(json: &[u8]) -> Option<Self> {
        let Members(body) = serde_json::from_slice::<Members<Body<'_>>>(json).ok()?;
        let is_ours = body.kind.is_none_or(|kind| kind == "TokenRequest")
            && body.api_version.is_none_or(|version| version == "authentication.k8s.io/v1");
        let metadata = body.metadata.map(Members::into_inner).unwrap_or_default();
        let spec = body.spec.map(Members::into_inner).unwrap_or_default();
        is_ours.then(|| Self {
            name: metadata.name.unwrap_or_default(),
            namespace: metadata.namespace.unwrap_or_default(),
            uid: metadata.uid.unwrap_or_default(),
            ..Self::of_spec(spec)
        })
    }

    /// Takes it from what the schema has decoded.
    pub(crate) fn of_object(mut object: Object) -> Self {
        // The schema has checked the types; nothing of the body can fail here.
        let spec = object.remove("spec").and_then(|spec| serde_json::from_value(spec).ok());
        Self {
            name: object.name().to_owned(),
            namespace: object.namespace().to_owned(),
            uid: object.uid().to_owned(),
            ..Self::of_spec(spec.unwrap_or_default())
        }
    }

    fn of_spec(spec: Spec) -> Self {
        Self {
            audiences: spec.audiences.unwrap_or_default(),
            expiration_seconds: spec.expiration_seconds,
            bound: spec.bound_object_ref.map(Members::into_inner),
            ..Self::default()
        }
    }
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
struct Body<'a> {
    kind: Option<&'a str>,
    api_version: Option<&'a str>,
    metadata: Option<Members<PlainMetadata>>,
    spec: Option<Members<Spec>>,
    #[serde(rename = "status", borrow)]
    _status: Option<Members<EmptyStatus<'a>>>,
}

/// The members that mean something here, and one that Go clients write as null.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct PlainMetadata {
    name: Option<String>,
    namespace: Option<String>,
    uid: Option<String>,
    #[serde(rename = "creationTimestamp")]
    _creation_timestamp: Option<()>,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
struct Spec {
    audiences: Option<Vec<String>>,
    expiration_seconds: Option<i64>,
    bound_object_ref: Option<Members<BoundObjectRef>>,
}

/// `spec.boundObjectRef`, as it is asked for and as it is answered.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct BoundObjectRef {
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) kind: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) api_version: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) name: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) uid: String,
}

/// What Go clients write for a status that is not there yet.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct EmptyStatus<'a> {
    #[serde(rename = "token")]
    _token: Option<&'a str>,
    #[serde(rename = "expirationTimestamp")]
    _expiration_timestamp: Option<()>,
}

/// A struct out of an object: serde alone would also take a list of its fields in their order.
struct Members<T>(T);

impl<T> Members<T> {
    fn into_inner(self) -> T {
        self.0
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Members<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OfObject<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for OfObject<T> {
            type Value = T;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, members: A) -> Result<T, A::Error> {
                T::deserialize(MapAccessDeserializer::new(members))
            }
        }

        deserializer.deserialize_map(OfObject(PhantomData)).map(Self)
    }
}

#[cfg(test)]
mod tests;
