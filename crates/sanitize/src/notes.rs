//! The notes of a walk: where on the wire things are. Offsets, so that their room can be kept from one message to the next.

use crate::wire::{Payload, Reader};

/// One occurrence of a field on the wire.
#[derive(Clone, Copy)]
pub(crate) struct Span {
    /// Its position in the message, which is its rank by name.
    pub(crate) field: u16,
    pub(crate) wire_type: u8,
    /// Where in the walk's bytes its value is.
    pub(crate) start: u32,
    pub(crate) end: u32,
}

/// One entry of a map.
#[derive(Clone, Copy)]
pub(crate) struct Entry {
    /// Where its key is as text, since Go sorts numbers by their digits: in the walk's bytes if keys are strings, else
    /// among the digits.
    pub(crate) key: (u32, u32),
    /// Where in the stack the occurrences of its value are; none if it has none.
    pub(crate) values: (u32, u32),
}

/// The member that a oneof ends up with.
pub(crate) struct Settled {
    pub(crate) oneof: u8,
    pub(crate) member: u16,
    /// From which span on it has the oneof to itself.
    pub(crate) since: usize,
}

/// The room that walks need; what is in it between two walks means nothing, and nothing of it is a value.
#[derive(Default)]
pub(crate) struct Room {
    pub(crate) spans: Vec<Span>,
    pub(crate) entries: Vec<Entry>,
    pub(crate) settled: Vec<Settled>,
    /// Keys of maps that are numbers, as text.
    pub(crate) digits: Vec<u8>,
}

impl Room {
    pub(crate) fn shrink_to(&mut self, bytes: usize) {
        self.spans.shrink_to(bytes / size_of::<Span>());
        self.entries.shrink_to(bytes / size_of::<Entry>());
        self.settled.shrink_to(bytes / size_of::<Settled>());
        self.digits.shrink_to(bytes);
    }
}

/// What is known of a message's spans besides themselves.
pub(crate) struct Noted {
    /// How many are of members of oneofs.
    pub(crate) members: usize,
    pub(crate) is_sorted: bool,
    pub(crate) last: u16,
}

impl Default for Noted {
    fn default() -> Self {
        Self { members: 0, is_sorted: true, last: 0 }
    }
}

/// Where the value is that `reader`, which ends at `end`, has just read.
#[inline]
pub(crate) fn span(wire_type: u8, payload: Payload<'_>, end: u32, reader: &Reader<'_>) -> Span {
    let length = match payload {
        Payload::Bytes(bytes) => bytes.len(),
        _ => reader.remaining_before_value() - reader.remaining(),
    };
    let end = end - index(reader.remaining());
    Span { field: 0, wire_type, start: end - index(length), end }
}

/// Up to so many things are sorted by insertion: mostly they are nearly in order.
const FEW: usize = 24;

/// Sorts by field, and what is of one field as it stands on the wire.
pub(crate) fn sort(spans: &mut [Span]) {
    if spans.len() > FEW {
        // Later ones are further behind.
        return spans.sort_unstable_by_key(|span| (span.field, span.start));
    }
    for sorted in 1..spans.len() {
        let span = spans[sorted];
        let mut at = sorted;
        while at > 0 && spans[at - 1].field > span.field {
            spans[at] = spans[at - 1];
            at -= 1;
        }
        spans[at] = span;
    }
}

/// Sorts by the keys that stand in `keys`, and what is of one key as it stands on the wire. Gives whether each key is there
/// once.
pub(crate) fn sort_by_key(entries: &mut [Entry], keys: &[u8]) -> bool {
    let text = |entry: &Entry| &keys[entry.key.0 as usize..entry.key.1 as usize];
    if entries.is_sorted_by(|a, b| text(a) < text(b)) {
        return true;
    }
    // Later ones are further behind.
    entries.sort_unstable_by(|a, b| {
        text(a).cmp(text(b)).then_with(|| (a.values, a.key).cmp(&(b.values, b.key)))
    });
    entries.is_sorted_by(|a, b| text(a) < text(b))
}

/// An offset, which fits: a walk refuses bytes of more than 512 MiB.
#[inline]
pub(crate) fn index(offset: usize) -> u32 {
    offset as u32
}
