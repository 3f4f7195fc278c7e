//! The notes of a walk: where on the wire things are. Offsets, so that their room can be kept from one message to the next.

use crate::output::Output;
use crate::wire::Extent;

/// One occurrence of a field on the wire.
#[derive(Clone, Copy)]
pub(crate) struct Span {
    /// Where in the walk's bytes its value is.
    pub(crate) start: u32,
    pub(crate) end: u32,
    /// Where among the spans the next occurrence of the same field is, if there is one.
    next: u32,
    pub(crate) wire_type: u8,
}

/// All occurrences of one field, or of one value of a map, in the order of the wire: a chain through the spans.
#[derive(Clone, Copy)]
pub(crate) struct Values {
    first: u32,
    last: u32,
}

/// One entry of a map.
#[derive(Clone, Copy)]
pub(crate) struct Entry {
    /// Where its key is as text, since Go sorts numbers by their digits: in the walk's bytes if keys are strings, else
    /// among the digits.
    pub(crate) key: (u32, u32),
    /// The occurrences of its value.
    pub(crate) values: Values,
}

/// One entry of a map of texts: where they are in the walk's bytes.
#[derive(Clone, Copy)]
pub(crate) struct TextEntry {
    pub(crate) key: (u32, u32),
    pub(crate) value: (u32, u32),
}

/// Which member a oneof holds.
pub(crate) struct Holding {
    pub(crate) oneof: u8,
    pub(crate) member: u16,
}

/// The room that walks need; what is in it between two walks means nothing, and nothing of it is a value.
#[derive(Default)]
pub(crate) struct Room {
    pub(crate) spans: Vec<Span>,
    /// For each message that is being shown, outermost first: the values of each of its fields, which are sorted by name.
    pub(crate) fields: Vec<Values>,
    pub(crate) entries: Vec<Entry>,
    /// The entries of the one map of texts that is being shown.
    pub(crate) texts: Vec<TextEntry>,
    /// The oneofs of the message whose fields are being noted.
    pub(crate) oneofs: Vec<Holding>,
    /// Keys of maps that are numbers, as text.
    pub(crate) digits: Output,
}

impl Span {
    #[inline]
    pub(crate) fn of(wire_type: u8, (start, end): Extent) -> Self {
        Self { start: index(start), end: index(end), next: NOWHERE, wire_type }
    }

    #[inline]
    pub(crate) fn extent(self) -> Extent {
        (self.start as usize, self.end as usize)
    }
}

/// Behind all spans: there are fewer of them than bytes.
const NOWHERE: u32 = u32::MAX;

impl Values {
    pub(crate) const NONE: Self = Self { first: NOWHERE, last: NOWHERE };

    #[inline]
    pub(crate) fn is_empty(self) -> bool {
        self.first == NOWHERE
    }

    /// The one at this place alone.
    pub(crate) fn one(at: usize) -> Self {
        Self { first: index(at), last: index(at) }
    }
}

impl Room {
    pub(crate) fn clear(&mut self) {
        self.spans.clear();
        self.fields.clear();
        self.entries.clear();
        self.digits.clear();
    }

    /// Makes room for the values of so many fields; gives where.
    #[inline]
    pub(crate) fn open(&mut self, count: usize) -> usize {
        let first = self.fields.len();
        // In blocks, of which most messages take one: less work than a call that fills as much memory as is needed.
        while self.fields.len() < first + count {
            self.fields.extend_from_slice(&[Values::NONE; 8]);
        }
        self.fields.truncate(first + count);
        first
    }

    /// Notes one more of these values.
    #[inline]
    pub(crate) fn add(&mut self, values: &mut Values, span: Span) {
        add(&mut self.spans, values, span);
    }

    /// Where the first of these values is, which are one fewer from then on.
    #[inline]
    pub(crate) fn next(&self, values: &mut Values) -> Option<usize> {
        let at = values.first as usize;
        let span = self.spans.get(at)?;
        values.first = if values.first == values.last { NOWHERE } else { span.next };
        Some(at)
    }

    #[inline]
    pub(crate) fn last(&self, values: Values) -> Option<Span> {
        self.spans.get(values.last as usize).copied()
    }

    /// Gives back what is beyond so many bytes, of each of its parts; what was in them is gone.
    pub(crate) fn shrink_to(&mut self, bytes: usize) {
        self.clear();
        self.texts.clear();
        self.oneofs.clear();
        self.spans.shrink_to(bytes / size_of::<Span>());
        self.fields.shrink_to(bytes / size_of::<Values>());
        self.entries.shrink_to(bytes / size_of::<Entry>());
        self.texts.shrink_to(bytes / size_of::<TextEntry>());
        self.oneofs.shrink_to(bytes / size_of::<Holding>());
        self.digits.shrink_to(bytes);
    }
}

/// Notes one more of these values, whose spans are among these.
#[inline]
pub(crate) fn add(spans: &mut Vec<Span>, values: &mut Values, span: Span) {
    let at = index(spans.len());
    match spans.get_mut(values.last as usize) {
        Some(last) => last.next = at,
        None => values.first = at,
    }
    values.last = at;
    spans.push(span);
}

/// Sorts by the keys that stand in `keys`, and what is of one key as it stands on the wire. Gives whether each key is there
/// once.
pub(crate) fn sort_by_key<E>(entries: &mut [E], key: impl Fn(&E) -> (u32, u32), keys: &[u8]) -> bool {
    let text = |entry: &E| part(keys, key(entry));
    if entries.is_sorted_by(|a, b| text(a) < text(b)) {
        return true;
    }
    // Later ones are further behind, also where a key was left out: it is at the end of its entry then.
    entries.sort_unstable_by(|a, b| text(a).cmp(text(b)).then_with(|| key(a).cmp(&key(b))));
    entries.is_sorted_by(|a, b| text(a) < text(b))
}

/// What is in between two offsets.
#[inline]
pub(crate) fn part(bytes: &[u8], (start, end): (u32, u32)) -> &[u8] {
    bytes.get(start as usize..end as usize).unwrap_or_default()
}

#[inline]
pub(crate) fn short((start, end): Extent) -> (u32, u32) {
    (index(start), index(end))
}

/// An offset, which fits: a walk refuses bytes of more than 512 MiB.
#[inline]
pub(crate) fn index(offset: usize) -> u32 {
    offset as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_that_was_full_is_given_back() {
        let mut room = Room::default();
        let mut values = Values::NONE;
        for at in 0..1000 {
            room.add(&mut values, Span::of(0, (at, at)));
            room.open(8);
            room.entries.push(Entry { key: (0, 0), values });
            room.texts.push(TextEntry { key: (0, 0), value: (0, 0) });
            room.oneofs.push(Holding { oneof: 0, member: 0 });
            room.digits.push_bytes(b"12345678");
        }
        room.shrink_to(800);
        let Room { spans, fields, entries, texts, oneofs, digits } = &room;
        let sizes = [
            spans.capacity() * size_of::<Span>(),
            fields.capacity() * size_of::<Values>(),
            entries.capacity() * size_of::<Entry>(),
            texts.capacity() * size_of::<TextEntry>(),
            oneofs.capacity() * size_of::<Holding>(),
            digits.len(),
        ];
        assert!(sizes.iter().all(|&size| size <= 800), "{sizes:?}");
    }
}
