//! The walk. A message's fields stand on the wire in any order and may repeat, and are shown sorted by name: so one
//! pass notes where each value is, the notes are sorted, and the values are written from where they are. The notes of
//! all levels share one stack (`notes`); nothing is decoded into a tree.

use std::mem;
use std::ops::Range;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::notes::{Entry, Noted, Room, Settled, Span, index, sort, sort_by_key, span};
use crate::number::{Scalar, packed_element};
use crate::table::{Field, Kind, Layout, MessageId, Shape, Table};
use crate::text::{self, Tokens};
use crate::wire::{Malformed, Payload, Reader};
use crate::{MALFORMED, STRIPPED};

/// How deep messages may nest; prost refuses to decode deeper ones, too.
const MAX_DEPTH: usize = 100;
/// So that 32 bits are enough for every offset, those of digits included.
const LONGEST: usize = 512 << 20;

/// One walk through one message.
pub(crate) struct Walk<'w> {
    table: &'w Table,
    tokens: Tokens,
    /// All of the message; what spans are offsets into.
    bytes: &'w [u8],
    room: &'w mut Room,
    /// UTF-8: checked where it was not ASCII, and once at the end.
    out: &'w mut Vec<u8>,
}

impl<'w> Walk<'w> {
    /// Writes the message in `bytes` behind what `out` holds.
    pub(crate) fn write(
        table: &'w Table,
        message: MessageId,
        tokens: Tokens,
        bytes: &'w [u8],
        room: &'w mut Room,
        out: &'w mut Vec<u8>,
    ) {
        room.spans.clear();
        room.entries.clear();
        room.digits.clear();
        let mut walk = Self { table, tokens, bytes, room, out };
        if bytes.len() > LONGEST {
            return walk.quoted(MALFORMED);
        }
        walk.room.spans.push(Span { field: 0, wire_type: 2, start: 0, end: index(bytes.len()) });
        walk.message(message, 0..1, 0);
    }

    /// Writes the message whose bytes are the spans in `parts`, one after the other: that is how protobuf merges.
    fn message(&mut self, id: MessageId, parts: Range<usize>, depth: usize) {
        let Some(message) = self.table.message(id) else { return self.write_text("{}") };
        if depth > MAX_DEPTH {
            return self.quoted(MALFORMED);
        }
        let base = self.room.spans.len();
        let mut noted = Noted::default();
        for part in parts {
            if self.note(message, self.room.spans[part], &mut noted).is_err() {
                self.room.spans.truncate(base);
                return self.quoted(MALFORMED);
            }
        }
        if noted.members > 1 {
            self.settle_oneofs(message, base);
        }
        if !noted.is_sorted {
            sort(&mut self.room.spans[base..]);
        }
        let end = self.room.spans.len();
        let mut at = base;
        let mut separator = b'{';
        while at < end {
            let position = self.room.spans[at].field;
            let first = at;
            while at < end && self.room.spans[at].field == position {
                at += 1;
            }
            let (field, values) = (message.field(position), first..at);
            if self.is_populated(field, &values) {
                self.name(mem::replace(&mut separator, b','), field);
                self.field(field, values, depth);
            }
        }
        self.write_text(if separator == b'{' { "{}" } else { "}" });
        self.room.spans.truncate(base);
    }

    /// Pushes a span for every known field in `part`. A value of another wire type than the field's is an unknown field.
    fn note(&mut self, message: Layout<'_>, part: Span, noted: &mut Noted) -> Result<(), Malformed> {
        let end = part.end;
        let mut reader = Reader::new(self.slice(part.start, end));
        while let Some((number, payload)) = reader.next_field()? {
            let Some((position, field)) = message.find(number) else { continue };
            let wire_type = payload.wire_type();
            if !field.accepts(wire_type) {
                continue;
            }
            match field.shape() {
                Shape::Oneof(_) => noted.members += 1,
                Shape::Repeated if !is_delimited(field.kind()) => {
                    if let Payload::Bytes(packed) = payload
                        && !is_packed_list(field.kind(), packed)?
                    {
                        continue;
                    }
                }
                _ => {}
            }
            noted.is_sorted &= noted.last <= position;
            noted.last = position;
            self.room.spans.push(Span { field: position, ..span(wire_type, payload, end, &reader) });
        }
        Ok(())
    }

    /// Of each oneof, only the last member on the wire counts, from where it last took over from another.
    fn settle_oneofs(&mut self, message: Layout<'_>, base: usize) {
        let oneof_of = |span: &Span| match message.field(span.field).shape() {
            Shape::Oneof(oneof) => Some(oneof),
            _ => None,
        };
        let Room { spans, settled, .. } = &mut *self.room;
        settled.clear();
        for (at, span) in spans.iter().enumerate().skip(base).rev() {
            let Some(oneof) = oneof_of(span) else { continue };
            match settled.iter_mut().find(|settled| settled.oneof == oneof) {
                None => settled.push(Settled { oneof, member: span.field, since: base }),
                Some(last) if last.since == base && last.member != span.field => last.since = at + 1,
                Some(_) => {}
            }
        }
        let mut kept = base;
        for at in base..spans.len() {
            let oneof = oneof_of(&spans[at]);
            if settled.iter().all(|settled| Some(settled.oneof) != oneof || at >= settled.since) {
                spans[kept] = spans[at];
                kept += 1;
            }
        }
        spans.truncate(kept);
    }

    fn is_populated(&self, field: &Field, values: &Range<usize>) -> bool {
        if field.shape() != Shape::Implicit {
            return true;
        }
        let last = self.room.spans[values.end - 1];
        if last.wire_type == 2 {
            return last.start < last.end;
        }
        if last.end - last.start == 1 {
            return self.bytes[last.start as usize] != 0;
        }
        match self.payload(last) {
            Some(number) => Scalar::new(field.kind(), number).is_some_and(|scalar| !scalar.is_zero()),
            None => false,
        }
    }

    fn field(&mut self, field: &Field, values: Range<usize>, depth: usize) {
        if field.is_secret() {
            return self.quoted(STRIPPED);
        }
        match (field.shape(), field.kind()) {
            (Shape::Map(key), value) => self.map(key, value, values, depth),
            (Shape::Repeated, kind) => self.list(kind, values, depth),
            (_, Kind::Message(id)) => self.message(id, values, depth + 1),
            (_, kind) => self.value(kind, self.room.spans[values.end - 1]),
        }
    }

    fn list(&mut self, kind: Kind, values: Range<usize>, depth: usize) {
        let mut separator = b'[';
        for at in values {
            let span = self.room.spans[at];
            match kind {
                Kind::Message(id) => {
                    self.out.push(mem::replace(&mut separator, b','));
                    self.message(id, at..at + 1, depth + 1);
                }
                _ if is_delimited(kind) || span.wire_type != 2 => {
                    self.out.push(mem::replace(&mut separator, b','));
                    self.value(kind, span);
                }
                _ => {
                    let mut elements = Reader::new(self.slice(span.start, span.end));
                    while !elements.is_empty()
                        && let Ok(element) = packed_element(kind, &mut elements)
                    {
                        self.out.push(mem::replace(&mut separator, b','));
                        self.number(kind, element);
                    }
                }
            }
        }
        self.out.push(b']');
    }

    fn map(&mut self, key: Kind, value: Kind, occurrences: Range<usize>, depth: usize) {
        let (spans, base, digits) = (self.room.spans.len(), self.room.entries.len(), self.room.digits.len());
        let mut is_malformed = false;
        let is_plain = key == Kind::String && value == Kind::String;
        for at in occurrences {
            if is_plain && let Some(entry) = self.plain_entry(self.room.spans[at]) {
                self.room.entries.push(entry);
                continue;
            }
            match self.entry(key, value, self.room.spans[at]) {
                Ok(entry) => self.room.entries.push(entry),
                Err(Malformed) => is_malformed = true,
            }
        }
        if is_malformed {
            self.quoted(MALFORMED);
        } else {
            let bytes = self.bytes;
            let Room { entries, digits, .. } = &mut *self.room;
            let keys = if key == Kind::String { bytes } else { digits.as_slice() };
            let are_distinct = sort_by_key(&mut entries[base..], keys);
            self.map_entries(base, are_distinct, key, value, depth);
        }
        self.room.entries.truncate(base);
        self.room.spans.truncate(spans);
        self.room.digits.truncate(digits);
    }

    /// Writes the entries from `base` on, which are sorted; of several with one key, the last.
    fn map_entries(&mut self, base: usize, are_distinct: bool, key: Kind, value: Kind, depth: usize) {
        let mut separator = b'{';
        for at in base..self.room.entries.len() {
            let Entry { key: (start, end), values } = self.room.entries[at];
            let keys = if key == Kind::String { self.bytes } else { self.room.digits.as_slice() };
            let text = &keys[start as usize..end as usize];
            if !are_distinct
                && let Some(next) = self.room.entries.get(at + 1)
                && &keys[next.key.0 as usize..next.key.1 as usize] == text
            {
                continue;
            }
            self.out.push(mem::replace(&mut separator, b','));
            text::push_json(self.out, text, self.tokens);
            self.out.push(b':');
            let values = values.0 as usize..values.1 as usize;
            if self.tokens == Tokens::Stripped && key == Kind::String && self.table.is_token_key(text) {
                self.quoted(STRIPPED);
            } else if let Kind::Message(id) = value {
                self.message(id, values, depth + 1);
            } else if let Some(last) = values.last() {
                let span = self.room.spans[last];
                if value == Kind::String {
                    text::push_json(self.out, self.slice(span.start, span.end), self.tokens);
                } else {
                    self.value(value, span);
                }
            } else {
                match Scalar::default_of(value) {
                    Some(zero) => zero.write(self.table, self.out),
                    None => self.quoted(""),
                }
            }
        }
        self.out.push(b'}');
    }

    /// Reads a map entry as everybody writes one whose key and value are text: key, value, nothing else.
    #[inline]
    fn plain_entry(&mut self, entry: Span) -> Option<Entry> {
        let mut reader = Reader::new(self.slice(entry.start, entry.end));
        let key = reader.text_field(1)?;
        let key_end = entry.end - index(reader.remaining());
        let value = reader.text_field(2)?;
        if !reader.is_empty() {
            return None;
        }
        let first_value = index(self.room.spans.len());
        let start = entry.end - index(value.len());
        self.room.spans.push(Span { field: 0, wire_type: 2, start, end: entry.end });
        Some(Entry { key: (key_end - index(key.len()), key_end), values: (first_value, first_value + 1) })
    }

    /// Reads one map entry, a message with the key as field 1 and the value as field 2.
    fn entry(&mut self, key: Kind, value: Kind, entry: Span) -> Result<Entry, Malformed> {
        let first_value = index(self.room.spans.len());
        let value_field = Field::single("value", 2, value);
        let mut found_key = None;
        let mut reader = Reader::new(self.slice(entry.start, entry.end));
        while let Some((number, payload)) = reader.next_field()? {
            let span = span(payload.wire_type(), payload, entry.end, &reader);
            match number {
                1 if key == Kind::String && span.wire_type == 2 => found_key = Some((span.start, span.end)),
                1 => {
                    if let Some(number) = Scalar::new(key, payload) {
                        found_key = Some(self.key_digits(number));
                    }
                }
                2 if value_field.accepts(span.wire_type) => self.room.spans.push(span),
                _ => {}
            }
        }
        let key = found_key.unwrap_or_else(|| match Scalar::default_of(key) {
            Some(zero) => self.key_digits(zero),
            None => (entry.end, entry.end),
        });
        Ok(Entry { key, values: (first_value, index(self.room.spans.len())) })
    }

    fn key_digits(&mut self, key: Scalar) -> (u32, u32) {
        let start = index(self.room.digits.len());
        key.write(self.table, &mut self.room.digits);
        (start, index(self.room.digits.len()))
    }

    /// Writes one value that is no message.
    fn value(&mut self, kind: Kind, span: Span) {
        if kind == Kind::String {
            return text::push_json(self.out, self.slice(span.start, span.end), self.tokens);
        }
        match self.payload(span) {
            // In base64, a token would hide from whoever searches the log for it, but not from whoever wants it.
            Some(Payload::Bytes(bytes)) if self.tokens == Tokens::Stripped && text::has_token(bytes) => {
                self.quoted(STRIPPED);
            }
            Some(Payload::Bytes(bytes)) => self.base64(bytes),
            Some(number) => self.number(kind, number),
            None => {}
        }
    }

    fn number(&mut self, kind: Kind, payload: Payload<'_>) {
        if let Some(scalar) = Scalar::new(kind, payload) {
            scalar.write(self.table, self.out);
        }
    }

    fn base64(&mut self, bytes: &[u8]) {
        self.out.push(b'"');
        let start = self.out.len();
        self.out.resize(start + bytes.len().div_ceil(3) * 4, b'=');
        // There is room for all of it, so it does not fail.
        let written = STANDARD.encode_slice(bytes, &mut self.out[start..]).unwrap_or(0);
        self.out.truncate(start + written);
        self.out.push(b'"');
    }

    fn slice(&self, start: u32, end: u32) -> &'w [u8] {
        &self.bytes[start as usize..end as usize]
    }

    /// What a span is about, read again.
    #[inline]
    fn payload(&self, span: Span) -> Option<Payload<'w>> {
        let bytes = self.slice(span.start, span.end);
        if span.wire_type == 2 {
            return Some(Payload::Bytes(bytes));
        }
        Reader::new(bytes).payload(span.wire_type).ok()
    }

    /// Writes a field's name, between a separator and a colon.
    fn name(&mut self, separator: u8, field: &Field) {
        let name = self.table.text(field.name());
        self.out.reserve(name.len() + 4);
        self.out.extend_from_slice(&[separator, b'"']);
        self.out.extend_from_slice(name.as_bytes());
        self.out.extend_from_slice(b"\":");
    }

    /// Writes a text that needs no escapes, in quotes.
    fn quoted(&mut self, text: &str) {
        self.out.push(b'"');
        self.write_text(text);
        self.out.push(b'"');
    }

    fn write_text(&mut self, text: &str) {
        self.out.extend_from_slice(text.as_bytes());
    }
}

const fn is_delimited(kind: Kind) -> bool {
    matches!(kind, Kind::Bytes | Kind::Message(_) | Kind::String)
}

/// Whether a list has elements; one that cannot be read spoils its message.
fn is_packed_list(kind: Kind, packed: &[u8]) -> Result<bool, Malformed> {
    let mut elements = Reader::new(packed);
    while !elements.is_empty() {
        packed_element(kind, &mut elements)?;
    }
    Ok(!packed.is_empty())
}

#[cfg(test)]
mod tests;
