//! What a TokenRequest's body asks for.
//!
//! Nearly every body is what the kubelet sends: known members, each once, each of its type. Such a body is read straight
//! into a type. Any other is left to the schema, which knows upstream's errors and warnings.

use std::fmt;
use std::marker::PhantomData;

use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use tokenward_kube_schema::protobuf::{Reader, Unknown, Wire};

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
        // Once, and not for each text in it.
        let json = std::str::from_utf8(json).ok()?;
        let Members(body) = serde_json::from_str::<Members<Body<'_>>>(json).ok()?;
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

    /// The same in protobuf, with the fields that Go clients write although they are empty.
    pub(crate) fn read_protobuf(body: &[u8]) -> Option<Self> {
        let unknown = Unknown::of(body)?;
        let is_ours = matches!(unknown.kind, "" | "TokenRequest")
            && matches!(unknown.api_version, "" | "authentication.k8s.io/v1");
        let mut asked = Self::default();
        each_field(unknown.message, |number, value| match number {
            1 => asked.read_metadata(message(value)?),
            2 => asked.read_spec(message(value)?),
            3 => {
                each_field(message(value)?, |number, value| matches!(number, 1 | 2).then(|| empty(value))?)
            }
            _ => None,
        })?;
        is_ours.then_some(asked)
    }

    fn read_metadata(&mut self, bytes: &[u8]) -> Option<()> {
        each_field(bytes, |number, value| {
            match (number, value) {
                (1, value) => self.name = text(value)?,
                (3, value) => self.namespace = text(value)?,
                (5, value) => self.uid = text(value)?,
                (7, Wire::Varint(_)) => {}
                (2 | 4 | 6 | 8, value) => empty(value)?,
                _ => return None,
            }
            Some(())
        })
    }

    fn read_spec(&mut self, bytes: &[u8]) -> Option<()> {
        each_field(bytes, |number, value| {
            match (number, value) {
                (1, value) => self.audiences.push(text(value)?),
                (3, value) => self.bound.get_or_insert_default().read_protobuf(message(value)?)?,
                (4, Wire::Varint(seconds)) => self.expiration_seconds = Some(seconds as i64),
                _ => return None,
            }
            Some(())
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

impl BoundObjectRef {
    fn read_protobuf(&mut self, bytes: &[u8]) -> Option<()> {
        each_field(bytes, |number, value| {
            let member = match number {
                1 => &mut self.kind,
                2 => &mut self.api_version,
                3 => &mut self.name,
                4 => &mut self.uid,
                _ => return None,
            };
            *member = text(value)?;
            Some(())
        })
    }
}

fn each_field<'a>(bytes: &'a [u8], mut take: impl FnMut(u32, Wire<'a>) -> Option<()>) -> Option<()> {
    let mut reader = Reader::new(bytes, "TokenRequest");
    while let Some((number, value)) = reader.field().ok()? {
        take(number, value)?;
    }
    Some(())
}

fn message(value: Wire<'_>) -> Option<&[u8]> {
    match value {
        Wire::Bytes(bytes) => Some(bytes),
        _ => None,
    }
}

fn text(value: Wire<'_>) -> Option<String> {
    std::str::from_utf8(message(value)?).ok().map(str::to_owned)
}

fn empty(value: Wire<'_>) -> Option<()> {
    message(value)?.is_empty().then_some(())
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
