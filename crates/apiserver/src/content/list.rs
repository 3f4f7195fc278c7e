//! A list as it goes out: a frame, and in it the items, copied out of what is encoded already.
//!
//! It is put together piece by piece while it is sent. So a list takes no more memory than one piece beside the objects,
//! which it shares with everybody who reads them: a client that reads slowly, or not at all, holds no copy of them. What
//! it shows is the state that was listed, whatever is written meanwhile, since an entry never changes.

use std::borrow::Cow;
use std::sync::Arc;
use std::vec;

use bytes::Bytes;
use tokenward_kube_schema::Kind;
use tokenward_kube_schema::protobuf::{self, Enveloped, ListFrame};
use tokenward_store::{Entry, Revision};

use super::{Shown, Source};
use crate::body::Body;
use crate::index::Index;
use crate::media::MetaVersion;
use crate::status::ApiError;

/// About how much is put together at once; only an item that is larger makes a larger piece. It stays in the processor's
/// cache until it is encrypted.
const PIECE: usize = 64 * 1024;

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

    /// The list in JSON.
    pub(super) fn into_json(self) -> ListPieces {
        let (kind, api_version) = (self.kind, self.kind.api_version());
        let before = format!(
            "{{\"kind\":\"{}\",\"apiVersion\":\"{api_version}\",\"metadata\":{{{}}},\"items\":[",
            kind.list_kind,
            self.metadata()
        );
        let named = format!("{{\"kind\":\"{}\",\"apiVersion\":\"{api_version}\",", kind.kind);
        debug_assert!(self.items.iter().all(|item| item.kind == kind), "a list is of one kind");
        let items: Vec<Item> = self.items.into_iter().map(|item| Item::of(item.source)).collect();
        let encoding = ListEncoding::Json { named };
        ListPieces::new(before.into(), items, b"]}".to_vec(), encoding)
    }

    /// The list in protobuf.
    pub(super) fn into_protobuf(self) -> Result<ListPieces, ApiError> {
        let (api_version, list_kind) = (self.kind.api_version(), self.kind.list_kind);
        self.into_enveloped(&api_version, list_kind, Enveloped::message)
    }

    /// The list in protobuf, with each item's metadata alone.
    pub(super) fn into_protobuf_metadata(self, version: MetaVersion) -> Result<ListPieces, ApiError> {
        let (api_version, list_kind) = (version.api_version(), "PartialObjectMetadataList");
        self.into_enveloped(api_version, list_kind, |item| protobuf::metadata_of(item.message()))
    }

    /// The list in protobuf, with what `part` takes of each item.
    fn into_enveloped(
        self,
        api_version: &str,
        list_kind: &str,
        part: fn(&Enveloped<Bytes>) -> &[u8],
    ) -> Result<ListPieces, ApiError> {
        let mut width = 0;
        // An item that cannot be encoded must be found before the answer begins.
        let encoded = self.items.into_iter().map(|item| {
            let message = item.protobuf()?;
            width += protobuf::list_item_width(part(&message));
            Ok(match message {
                Cow::Borrowed(_) => Item::of(item.source),
                Cow::Owned(message) => Item::Encoded(Bytes::copy_from_slice(part(&message))),
            })
        });
        let items = encoded.collect::<Result<Vec<Item>, ApiError>>()?;
        let metadata = protobuf::ListMeta {
            resource_version: &self.revision.to_string(),
            continue_token: self.continue_token.as_deref().unwrap_or(""),
            remaining_item_count: self.remaining.and_then(|remaining| i64::try_from(remaining).ok()),
        };
        let ListFrame { before, after } = protobuf::list_frame(api_version, list_kind, metadata, width);
        Ok(ListPieces::new(before, items, after, ListEncoding::Protobuf { part }))
    }
}

/// A list on its way out.
pub(crate) struct ListPieces {
    /// Begins with the frame's beginning.
    piece: Vec<u8>,
    items: vec::IntoIter<Item>,
    is_first: bool,
    after: Vec<u8>,
    encoding: ListEncoding,
    /// How many bytes have not been given yet.
    rest: usize,
}

/// What is copied for one item.
enum Item {
    /// What the entry holds in the list's encoding.
    Entry(Arc<Entry<Index>>),
    /// These bytes.
    Encoded(Bytes),
}

/// How items stand in the list.
enum ListEncoding {
    /// After commas, without kind and version, which they begin with elsewhere.
    Json { named: String },
    /// As fields, of which each is what `part` takes of an object.
    Protobuf { part: fn(&Enveloped<Bytes>) -> &[u8] },
}

impl Item {
    fn of(source: Source) -> Self {
        match source {
            Source::Entry(entry) => Self::Entry(entry),
            Source::Json(json) => Self::Encoded(json),
        }
    }
}

impl ListEncoding {
    /// The item's own bytes, and whether JSON's opening brace is to be put back in front of them.
    fn of<'i>(&self, item: &'i Item) -> (&'i [u8], bool) {
        match (self, item) {
            (Self::Json { named }, item) => {
                let json = match item {
                    Item::Entry(entry) => &entry.value,
                    Item::Encoded(json) => json,
                };
                json.strip_prefix(named.as_bytes()).map_or((json, false), |rest| (rest, true))
            }
            (Self::Protobuf { part }, Item::Entry(entry)) => {
                let encoded = entry.index.encodings.known_protobuf();
                (part(encoded.expect("encoded when the list was made")), false)
            }
            (Self::Protobuf { .. }, Item::Encoded(message)) => (message, false),
        }
    }

    /// How many bytes an item takes, the comma of JSON included.
    fn width(&self, item: &Item) -> usize {
        let (bytes, is_opened) = self.of(item);
        match self {
            Self::Json { .. } => 1 + usize::from(is_opened) + bytes.len(),
            Self::Protobuf { .. } => protobuf::list_item_width(bytes),
        }
    }

    fn write(&self, list: &mut Vec<u8>, item: &Item, is_first: bool) {
        let (bytes, is_opened) = self.of(item);
        match self {
            Self::Json { .. } => {
                let opening: &[u8] = match (is_first, is_opened) {
                    (true, true) => b"{",
                    (true, false) => b"",
                    (false, true) => b",{",
                    (false, false) => b",",
                };
                list.extend_from_slice(opening);
                list.extend_from_slice(bytes);
            }
            Self::Protobuf { .. } => protobuf::write_list_item(list, bytes),
        }
    }
}

impl ListPieces {
    fn new(before: Vec<u8>, items: Vec<Item>, after: Vec<u8>, encoding: ListEncoding) -> Self {
        let widths: usize = items.iter().map(|item| encoding.width(item)).sum();
        // The first item of JSON has no comma in front of it.
        let has_comma = matches!(encoding, ListEncoding::Json { .. }) && !items.is_empty();
        let rest = before.len() + widths - usize::from(has_comma) + after.len();
        Self { piece: before, items: items.into_iter(), is_first: true, after, encoding, rest }
    }

    /// All of it at once.
    pub(super) fn whole(mut self) -> Bytes {
        self.next_piece(usize::MAX).unwrap_or_default()
    }

    fn next_piece(&mut self, most: usize) -> Option<Bytes> {
        if self.rest == 0 {
            return None;
        }
        let mut piece = std::mem::take(&mut self.piece);
        let room = self.rest.min(most);
        piece.reserve_exact(room.saturating_sub(piece.len()));
        while let Some(item) = self.items.as_slice().first() {
            // A piece that an item would make too large waits for no other, unless it is empty.
            if piece.len() + self.encoding.width(item) > room && !piece.is_empty() {
                break;
            }
            self.encoding.write(&mut piece, item, self.is_first);
            self.is_first = false;
            self.items.next();
        }
        if self.items.as_slice().is_empty() && (piece.is_empty() || piece.len() + self.after.len() <= room) {
            piece.append(&mut self.after);
        }
        self.rest -= piece.len();
        Some(piece.into())
    }
}

impl Iterator for ListPieces {
    type Item = Bytes;

    fn next(&mut self) -> Option<Bytes> {
        self.next_piece(PIECE)
    }
}

impl From<ListPieces> for Body {
    fn from(list: ListPieces) -> Self {
        Self::pieces(list.rest, list)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use tokenward_kube_schema::find_resource;
    use tokenward_kube_schema::protobuf::Unknown;
    use tokenward_store::{Key, Store, Unstamped};

    use super::*;

    /// Pods of about `size` bytes each; every third is not an entry's.
    async fn pods(number: usize, size: usize) -> List {
        let kind = find_resource("", "v1", "pods").expect("served");
        let store = Store::memory(Index::of);
        let mut items = Vec::new();
        for position in 0..number {
            let name = format!("pod-{position}");
            let object = json!({"kind": "Pod", "apiVersion": "v1",
                "metadata": {"name": name, "namespace": "ns", "annotations": {"ballast": "x".repeat(size)}}});
            let object = object.as_object().expect("an object");
            if position % 3 == 2 {
                items.push(Shown::of_tree(kind, object));
                continue;
            }
            let encoded = tokenward_kube_schema::encode(object);
            let key = Key::new("pods", Some("ns"), &name).expect("a key");
            let value = Unstamped::new(encoded.bytes, encoded.stamp_at);
            items.push(Shown::of_entry(kind, store.create(key, value).await.expect("new")));
        }
        List { kind, items, revision: store.current_revision(), continue_token: None, remaining: Some(7) }
    }

    #[tokio::test]
    async fn pieces_are_bounded_and_make_the_whole_of_the_promised_length() {
        for (number, size) in [(0, 0), (1, 10), (3, 10), (100, 3_000), (3, 200_000), (400, 300)] {
            for encoding in ["JSON", "protobuf", "metadata"] {
                let list = || async {
                    let list = pods(number, size).await;
                    match encoding {
                        "JSON" => Ok(list.into_json()),
                        "protobuf" => list.into_protobuf(),
                        _ => list.into_protobuf_metadata(MetaVersion::V1),
                    }
                };
                let whole = list().await.expect("pods").whole();
                let pieces = list().await.expect("pods");
                let promised = pieces.rest;
                let pieces: Vec<Bytes> = pieces.collect();
                assert_eq!((promised, pieces.concat() == whole), (whole.len(), true), "{number} {encoding}");
                assert!(
                    pieces.iter().all(|piece| !piece.is_empty() && piece.len() <= PIECE.max(size + 1_000))
                );
                assert!(
                    size > 1_000 || pieces.len() <= 2 * whole.len() / PIECE + 1,
                    "{} pieces",
                    pieces.len()
                );
            }
        }
    }

    #[tokio::test]
    async fn both_encodings_hold_every_item() {
        let json: Value = serde_json::from_slice(&pods(5, 9).await.into_json().whole()).expect("JSON");
        assert_eq!((&json["kind"], &json["metadata"]["remainingItemCount"]), (&json!("PodList"), &json!(7)));
        let names = json["items"].as_array().expect("a list").iter().map(|item| &item["metadata"]["name"]);
        assert!(names.eq(["pod-0", "pod-1", "pod-2", "pod-3", "pod-4"]));
        assert!(json["items"].as_array().expect("a list").iter().all(|item| item.get("kind").is_none()));
        let list = pods(5, 9).await;
        let items = list.items.clone();
        let whole = list.into_protobuf().expect("pods").whole();
        let unknown = Unknown::of(&whole).expect("an envelope");
        assert_eq!(unknown.kind, "PodList");
        let mut reader = protobuf::Reader::new(unknown.message, "PodList");
        assert!(matches!(reader.field(), Ok(Some((1, _)))));
        for item in items {
            let message = item.protobuf().expect("a pod");
            assert!(reader.field() == Ok(Some((2, protobuf::Wire::Bytes(message.message())))));
        }
        assert!(reader.field() == Ok(None));
    }
}
