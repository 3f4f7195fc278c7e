//! A list in protobuf: stretches of items, which are encoded as the list has them.

use bytes::Bytes;
use tokenward_kube_schema::protobuf::{self, ListFrame, ListMeta};

use super::pieces::{ListPieces, Part};
use super::{List, Shown, Source};
use crate::encodings::{Extent, Packing, Stretch};
use crate::media::MetaVersion;
use crate::status::ApiError;

/// A stretch that is as long goes out as it is: to copy it would cost more than a piece does.
const LONG: usize = 16 * 1024;

/// The metadata of one item.
pub(in crate::content) struct MetadataItem(Stretch);

impl List {
    /// The list in protobuf.
    pub(in crate::content) fn into_protobuf(mut self) -> Result<ListPieces<Stretch>, ApiError> {
        let (api_version, list_kind) = (self.kind.api_version(), self.kind.list_kind);
        let items = std::mem::take(&mut self.items).into_iter();
        // An item that cannot be encoded must be found before the answer begins.
        let stretches = match self.extent {
            Extent::Whole | Extent::Page => packed(self.extent, items)?,
            Extent::Selection => joined(items)?,
        };
        let width = stretches.iter().map(Stretch::len).sum();
        Ok(self.framed(&api_version, list_kind, stretches, width))
    }

    /// The list in protobuf, with each item's metadata alone.
    pub(in crate::content) fn into_protobuf_metadata(
        mut self,
        version: MetaVersion,
    ) -> Result<ListPieces<MetadataItem>, ApiError> {
        let items = std::mem::take(&mut self.items).into_iter();
        let items = items.map(|item| item.protobuf().map(MetadataItem));
        let items = items.collect::<Result<Vec<_>, ApiError>>()?;
        let width = items.iter().map(Part::width).sum();
        Ok(self.framed(version.api_version(), "PartialObjectMetadataList", items, width))
    }

    fn framed<P: Part>(
        &self,
        api_version: &str,
        list_kind: &str,
        parts: Vec<P>,
        width: usize,
    ) -> ListPieces<P> {
        let metadata = ListMeta {
            resource_version: &self.revision.to_string(),
            continue_token: self.continue_token.as_deref().unwrap_or(""),
            remaining_item_count: self.remaining.and_then(|remaining| i64::try_from(remaining).ok()),
        };
        let ListFrame { before, after } = protobuf::list_frame(api_version, list_kind, metadata, width);
        ListPieces::new(before, parts, width, after)
    }
}

/// The items in stretches as long as may be, for the next list too.
fn packed(extent: Extent, items: impl Iterator<Item = Shown>) -> Result<Vec<Stretch>, ApiError> {
    let mut packing = Packing::of(extent);
    for item in items {
        let encoded = item.protobuf()?;
        match item.source {
            Source::Entry(entry) => packing.push(entry, encoded),
            Source::Json(_) => packing.push_foreign(encoded),
        }
    }
    Ok(packing.finish())
}

/// The items as they are: what a selector leaves between them follows each other in no other list.
fn joined(items: impl Iterator<Item = Shown>) -> Result<Vec<Stretch>, ApiError> {
    let mut stretches: Vec<Stretch> = Vec::new();
    for item in items {
        let encoded = item.protobuf()?;
        if !stretches.last_mut().is_some_and(|last| last.join(&encoded)) {
            stretches.push(encoded);
        }
    }
    Ok(stretches)
}

impl Part for Stretch {
    fn width(&self) -> usize {
        self.len()
    }

    fn write(&self, list: &mut Vec<u8>) {
        list.extend_from_slice(self.bytes());
    }

    fn as_piece(&self) -> Option<Bytes> {
        (self.len() >= LONG).then(|| self.clone().into_bytes())
    }
}

impl MetadataItem {
    fn metadata(&self) -> &[u8] {
        protobuf::metadata_of(protobuf::message_of_item(self.0.bytes()))
    }
}

impl Part for MetadataItem {
    fn width(&self) -> usize {
        protobuf::list_item_width(self.metadata())
    }

    fn write(&self, list: &mut Vec<u8>) {
        protobuf::write_list_item(list, self.metadata());
    }
}
