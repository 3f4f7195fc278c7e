//! What a request is answered with, and how it is written in the representation that the client asked for.
//!
//! The registry decides *what* is answered, negotiation ([`crate::media`]) *how*; only here both meet.

use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};
use serde_json::Value;
use tokenward_kube_schema::protobuf::{self, Enveloped};
use tokenward_kube_schema::{self as schema, Kind};
use tokenward_store::{Entry, Revision};

use crate::form;
use crate::index::Index;
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
    /// In Go's order, with kind and version at the beginning.
    pub(crate) json: Bytes,
    /// The entry whose value this is, if it is one's.
    entry: Option<Arc<Entry<Index>>>,
}

/// A list of objects.
pub(crate) struct List {
    /// The kind of the items.
    pub(crate) kind: &'static Kind,
    pub(crate) items: Vec<Shown>,
    pub(crate) revision: Revision,
    /// Where the next part of a limited list begins.
    pub(crate) continue_token: Option<String>,
    /// How many follow, where that is known.
    pub(crate) remaining: Option<usize>,
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
    /// The bytes of an answer.
    pub(crate) fn write(&self, representation: Representation) -> Result<Bytes, ApiError> {
        match representation.encoding {
            Encoding::Json => self.to_json(),
            Encoding::Yaml => yaml::of_json(&self.to_json()?),
            Encoding::Protobuf => self.to_protobuf(),
        }
    }

    fn to_json(&self) -> Result<Bytes, ApiError> {
        Ok(match self {
            Self::Object(shown) => shown.json.clone(),
            Self::List(list) => list.to_json(),
            Self::Token(issued) => issued.to_json(),
            Self::Table(json) => json.clone(),
            Self::Metadata(shown, version) => form::metadata_json(shown, *version)?,
            Self::MetadataList(list, version) => form::metadata_list_json(list, *version)?,
            Self::Status(document) | Self::Document(document) => document.to_string().into(),
        })
    }

    fn to_protobuf(&self) -> Result<Bytes, ApiError> {
        match self {
            Self::Object(shown) => Ok(shown.protobuf()?.bytes().clone()),
            Self::List(list) => list.to_protobuf(),
            Self::Token(issued) => Ok(issued.to_protobuf()),
            Self::Status(Value::Object(status)) => {
                let encoded = protobuf::encode_status(status).map_err(|error| not_encoded(&error))?;
                Ok(encoded.map(Bytes::from).bytes().clone())
            }
            Self::Metadata(shown, version) => {
                let shown = shown.protobuf()?;
                let metadata = protobuf::metadata_of(shown.message());
                let enveloped = protobuf::envelop(version.api_version(), "PartialObjectMetadata", metadata);
                Ok(enveloped.map(Bytes::from).bytes().clone())
            }
            Self::MetadataList(list, version) => {
                let (api_version, kind) = (version.api_version(), "PartialObjectMetadataList");
                list.enveloped(api_version, kind, |item| protobuf::metadata_of(item.message()))
            }
            // Negotiation lets nobody ask for it.
            Self::Table(_) | Self::Status(_) | Self::Document(_) => {
                Err(ApiError::internal("a document that has no protobuf"))
            }
        }
    }
}

fn not_encoded(error: &protobuf::EncodeError) -> ApiError {
    ApiError::internal(&error.to_string())
}

impl Shown {
    /// A stored object, all of which this release shows.
    pub(crate) fn of_entry(kind: &'static Kind, entry: &Arc<Entry<Index>>) -> Self {
        Self { kind, json: entry.value.clone(), entry: Some(entry.clone()) }
    }

    /// An object that is not stored, or not in this form.
    pub(crate) fn of_tree(kind: &'static Kind, tree: &Object) -> Self {
        Self::of_json(kind, schema::to_json(tree))
    }

    /// The same, written already.
    pub(crate) fn of_json(kind: &'static Kind, json: impl Into<Bytes>) -> Self {
        Self { kind, json: json.into(), entry: None }
    }

    fn protobuf(&self) -> Result<Enveloped<Bytes>, ApiError> {
        let encode = || {
            let tree = schema::parse(&self.json).map_err(|error| ApiError::internal(&error.to_string()))?;
            let encoded = protobuf::encode(self.kind, &tree).map_err(|error| not_encoded(&error))?;
            Ok(encoded.map(Bytes::from))
        };
        match &self.entry {
            Some(entry) => entry.index.encodings.protobuf(encode),
            None => encode(),
        }
    }
}

impl List {
    /// The members of the list's own metadata, as JSON.
    pub(crate) fn metadata(&self) -> String {
        let mut members = format!("\"resourceVersion\":\"{}\"", self.revision);
        if let Some(token) = &self.continue_token {
            members.push_str(&format!(",\"continue\":\"{token}\""));
        }
        if let Some(remaining) = self.remaining {
            members.push_str(&format!(",\"remainingItemCount\":{remaining}"));
        }
        members
    }

    fn to_json(&self) -> Bytes {
        let size: usize = self.items.iter().map(|item| item.json.len()).sum();
        let mut body = BytesMut::with_capacity(size + 256);
        let (kind, api_version) = (self.kind, self.kind.api_version());
        let head = format!(
            "{{\"kind\":\"{}\",\"apiVersion\":\"{api_version}\",\"metadata\":{{{}}},\"items\":[",
            kind.list_kind,
            self.metadata()
        );
        body.put_slice(head.as_bytes());
        let named = format!("{{\"kind\":\"{}\",\"apiVersion\":\"{api_version}\",", kind.kind);
        for (position, item) in self.items.iter().enumerate() {
            if position > 0 {
                body.put_u8(b',');
            }
            debug_assert_eq!(item.kind, kind, "a list is of one kind");
            // Its items do not repeat kind and version.
            match item.json.strip_prefix(named.as_bytes()) {
                Some(rest) => {
                    body.put_u8(b'{');
                    body.put_slice(rest);
                }
                None => body.put_slice(&item.json),
            }
        }
        body.put_slice(b"]}");
        body.freeze()
    }

    fn to_protobuf(&self) -> Result<Bytes, ApiError> {
        self.enveloped(&self.kind.api_version(), self.kind.list_kind, Enveloped::message)
    }

    /// The list in protobuf, with what `of` makes of each item.
    fn enveloped(
        &self,
        api_version: &str,
        list_kind: &str,
        of: impl Fn(&Enveloped<Bytes>) -> &[u8] + Clone,
    ) -> Result<Bytes, ApiError> {
        let items: Vec<Enveloped<Bytes>> =
            self.items.iter().map(Shown::protobuf).collect::<Result<_, _>>()?;
        let metadata = protobuf::ListMeta {
            resource_version: &self.revision.to_string(),
            continue_token: self.continue_token.as_deref().unwrap_or(""),
            remaining_item_count: self.remaining.and_then(|remaining| i64::try_from(remaining).ok()),
        };
        let list = protobuf::encode_list(api_version, list_kind, metadata, items.iter().map(of));
        Ok(list.map(Bytes::from).bytes().clone())
    }
}

/// Writes one event of a watch: a line of JSON, or a frame of protobuf.
pub(crate) fn write_event(
    into: &mut BytesMut,
    kind: &str,
    object: &Content,
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
