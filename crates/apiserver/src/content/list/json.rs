//! A list in JSON: its items are what the entries hold, without the kind and version that they begin with elsewhere.

use super::pieces::{ListPieces, Part};
use super::{List, Source};

/// One item.
pub(in crate::content) struct JsonItem {
    source: Source,
    /// What stands in front of its bytes: the comma but for the first, and the brace that is not taken from them.
    opening: &'static [u8],
    /// How many of its bytes are left out at the beginning.
    skipped: usize,
    width: usize,
}

impl List {
    /// The list in JSON.
    pub(in crate::content) fn into_json(self) -> ListPieces<JsonItem> {
        let (kind, api_version) = (self.kind, self.kind.api_version());
        let before = format!(
            "{{\"kind\":\"{}\",\"apiVersion\":\"{api_version}\",\"metadata\":{{{}}},\"items\":[",
            kind.list_kind,
            self.metadata()
        );
        let named = format!("{{\"kind\":\"{}\",\"apiVersion\":\"{api_version}\",", kind.kind);
        debug_assert!(self.items.iter().all(|item| item.kind == kind), "a list is of one kind");
        let items = self.items.into_iter().enumerate();
        let items: Vec<_> =
            items.map(|(place, item)| JsonItem::new(item.source, named.as_bytes(), place == 0)).collect();
        let width = items.iter().map(|item| item.width).sum();
        ListPieces::new(before.into(), items, width, b"]}\n".to_vec())
    }
}

impl JsonItem {
    fn new(source: Source, named: &[u8], is_first: bool) -> Self {
        let json = source.json();
        let is_named = json.starts_with(named);
        let opening: &[u8] = match (is_first, is_named) {
            (true, true) => b"{",
            (true, false) => b"",
            (false, true) => b",{",
            (false, false) => b",",
        };
        let skipped = if is_named { named.len() } else { 0 };
        let width = opening.len() + json.len() - skipped;
        Self { source, opening, skipped, width }
    }
}

impl Part for JsonItem {
    fn width(&self) -> usize {
        self.width
    }

    fn write(&self, list: &mut Vec<u8>) {
        list.extend_from_slice(self.opening);
        list.extend_from_slice(&self.source.json()[self.skipped..]);
    }
}
