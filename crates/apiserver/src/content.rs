//! What a request is answered with, and how it is written in the representation that the client asked for.
//!
//! The registry decides *what* is answered, negotiation ([`crate::media`]) *how*; only here both meet.

mod list;

use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};
use serde_json::Value;
use tokenward_kube_schema::{self as schema, Kind, protobuf};
use tokenward_store::Entry;

pub(crate) use self::list::List;
use crate::body::Body;
use crate::encodings::Stretch;
use crate::form;
use crate::index::Index;
use crate::layout::Layout;
use crate::media::{Encoding, MetaVersion, Representation};
use crate::object::Object;
use crate::status::ApiError;
use crate::token_request::Issued;
use crate::yaml;

/// What is answered; no `Debug`, since it may be a token.
pub(crate) enum Content {
    /// One object.
    Object(Shown),
    /// The objects of a kind, or some of them.
    List(List),
    /// A token, with what was asked for.
    Token(Box<Issued>),
    /// A table, as JSON.
    Table(Bytes),
    /// The metadata of one object.
    Metadata(Shown, MetaVersion),
    /// The metadata of each object of a list.
    MetadataList(List, MetaVersion),
    /// A `Status`. It has no other form.
    Status(Value),
    /// What the server says of itself. It has no other form.
    Document(Value),
}

/// One object as it is shown to clients of this release.
#[derive(Clone)]
pub(crate) struct Shown {
    pub(crate) kind: &'static Kind,
    source: Source,
}

/// Where an object's JSON is: in Go's order, with kind and version at the beginning.
#[derive(Clone)]
enum Source {
    /// It is the entry's value.
    Entry(Arc<Entry<Index>>),
    /// It was written for this answer.
    Json(Bytes),
}

impl From<Shown> for Content {
    fn from(shown: Shown) -> Self {
        Self::Object(shown)
    }
}

impl From<List> for Content {
    fn from(list: List) -> Self {
        Self::List(list)
    }
}

impl Content {
    /// The body of an answer. A long list is put together only as it is sent, unless it is indented.
    pub(crate) fn into_body(self, representation: Representation, layout: Layout) -> Result<Body, ApiError> {
        Ok(match (self, representation.encoding) {
            (Self::List(list), Encoding::Json) if layout == Layout::Line => list.into_json().into(),
            (Self::List(list), Encoding::Protobuf) => list.into_protobuf()?.into(),
            (Self::MetadataList(list, version), Encoding::Protobuf) => {
                list.into_protobuf_metadata(version)?.into()
            }
            (content, Encoding::Json) => {
                let json = content.into_json()?;
                Body::whole(layout.lay_out(json.trim_ascii_end()))
            }
            (content, _) => Body::whole(content.write(representation)?),
        })
    }

    /// The bytes of an answer.
    pub(crate) fn write(self, representation: Representation) -> Result<Bytes, ApiError> {
        match representation.encoding {
            Encoding::Json => self.into_json(),
            Encoding::Yaml => yaml::of_json(&self.into_json()?),
            Encoding::Protobuf => self.into_protobuf(),
        }
    }

    fn into_json(self) -> Result<Bytes, ApiError> {
        Ok(match self {
            Self::Object(shown) => shown.json().clone(),
            Self::List(list) => list.into_json().whole(),
            Self::Token(issued) => issued.to_json(),
            Self::Table(json) => json,
            Self::Metadata(shown, version) => form::metadata_json(&shown, version)?,
            Self::MetadataList(list, version) => form::metadata_list_json(&list, version)?,
            Self::Status(document) | Self::Document(document) => document.to_string().into(),
        })
    }

    fn into_protobuf(self) -> Result<Bytes, ApiError> {
        match self {
            Self::Object(shown) => {
                let item = shown.protobuf()?;
                let message = protobuf::message_of_item(item.bytes());
                Ok(enveloped(&shown.kind.api_version(), shown.kind.kind, message))
            }
            Self::List(list) => Ok(list.into_protobuf()?.whole()),
            Self::Token(issued) => Ok(issued.to_protobuf()),
            Self::Status(Value::Object(status)) => {
                let encoded = protobuf::encode_status(&status).map_err(|error| not_encoded(&error))?;
                Ok(encoded.map(Bytes::from).bytes().clone())
            }
            Self::Metadata(shown, version) => {
                let item = shown.protobuf()?;
                let metadata = protobuf::metadata_of(protobuf::message_of_item(item.bytes()));
                Ok(enveloped(version.api_version(), "PartialObjectMetadata", metadata))
            }
            Self::MetadataList(list, version) => Ok(list.into_protobuf_metadata(version)?.whole()),
            // Negotiation lets nobody ask for it.
            Self::Table(_) | Self::Status(_) | Self::Document(_) => {
                Err(ApiError::internal("a document that has no protobuf"))
            }
        }
    }
}

fn enveloped(api_version: &str, kind: &str, message: &[u8]) -> Bytes {
    protobuf::envelop(api_version, kind, message).map(Bytes::from).bytes().clone()
}

fn not_encoded(error: &protobuf::EncodeError) -> ApiError {
    ApiError::internal(&error.to_string())
}

impl Source {
    fn json(&self) -> &Bytes {
        match self {
            Self::Entry(entry) => &entry.value,
            Self::Json(json) => json,
        }
    }
}

impl Shown {
    /// A stored object, all of which this release shows.
    pub(crate) fn of_entry(kind: &'static Kind, entry: Arc<Entry<Index>>) -> Self {
        Self { kind, source: Source::Entry(entry) }
    }

    /// An object that is not stored, or not in this form.
    pub(crate) fn of_tree(kind: &'static Kind, tree: &Object) -> Self {
        Self::of_json(kind, schema::to_json(tree))
    }

    /// The same, written already.
    pub(crate) fn of_json(kind: &'static Kind, json: impl Into<Bytes>) -> Self {
        Self { kind, source: Source::Json(json.into()) }
    }

    /// The entry that is shown, if all of it is.
    pub(crate) fn entry(&self) -> Option<&Arc<Entry<Index>>> {
        match &self.source {
            Source::Entry(entry) => Some(entry),
            Source::Json(_) => None,
        }
    }

    /// In Go's order, with kind and version at the beginning.
    pub(crate) fn json(&self) -> &Bytes {
        self.source.json()
    }

    /// As an item of a list in protobuf, which is kept with the entry if it is one's.
    fn protobuf(&self) -> Result<Stretch, ApiError> {
        let encode = || {
            let tree = schema::parse(self.json()).map_err(|error| ApiError::internal(&error.to_string()))?;
            let encoded = protobuf::encode(self.kind, &tree).map_err(|error| not_encoded(&error))?;
            Ok(Stretch::of(encoded.list_item().to_vec()))
        };
        match &self.source {
            Source::Entry(entry) => entry.index.encodings.protobuf(encode),
            Source::Json(_) => encode(),
        }
    }
}

/// Writes one event of a watch: a line of JSON, or a frame of protobuf.
pub(crate) fn write_event(
    into: &mut BytesMut,
    kind: &str,
    object: Content,
    representation: Representation,
) -> Result<(), ApiError> {
    const AROUND: usize = "{\"type\":\"\",\"object\":}\n".len() + "BOOKMARK".len();
    let object = object.write(representation)?;
    into.reserve(object.len() + AROUND);
    if representation.encoding == Encoding::Protobuf {
        into.put_slice(&protobuf::event_head(kind, object.len()));
        into.put_slice(&object);
        return Ok(());
    }
    into.put_slice(b"{\"type\":\"");
    into.put_slice(kind.as_bytes());
    into.put_slice(b"\",\"object\":");
    into.put_slice(&object);
    into.put_slice(b"}\n");
    Ok(())
}
