//! The walk. A message's fields stand on the wire in any order and may repeat, and are shown sorted by name: so one
//! pass notes where each value is, the notes are sorted, and the values are written from where they are. The notes of
//! all levels share one stack; nothing is decoded into a tree.

use std::borrow::Cow;
use std::mem;
use std::ops::Range;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::number::{Scalar, packed_element};
use crate::table::{Field, Kind, Message, MessageId, Shape, Table};
use crate::text;
use crate::wire::{Malformed, Payload, Reader};
use crate::{MALFORMED, STRIPPED};

/// How deep messages may nest; prost refuses to decode deeper ones, too.
const MAX_DEPTH: usize = 100;

/// Writes the message in `wire` as JSON, secrets stripped.
///
/// Bytes that are no protobuf message come out as `"***malformed***"`, in the place of the innermost message or map that
/// they spoil; a message nested deeper than 100 levels, likewise. An id that is not in the table shows as `{}`.
#[must_use]
pub fn to_json(table: &Table, message: MessageId, wire: &[u8]) -> String {
    let mut walk = Walk {
        table,
        spans: Vec::with_capacity(32),
        entries: Vec::with_capacity(16),
        // Names and punctuation take about as much as tags and lengths again; strings dominate.
        out: Vec::with_capacity(wire.len() + wire.len() / 4 + 64),
    };
    walk.spans.push(Span { field: 0, payload: Payload::Bytes(wire) });
    walk.message(message, 0..1, 0);
    String::from_utf8(walk.out).expect("names are text, and whatever else is copied was checked to be UTF-8")
}

/// One occurrence of a field on the wire.
#[derive(Clone, Copy)]
struct Span<'a> {
    /// Its position in the message, which is its rank by name.
    field: u16,
    payload: Payload<'a>,
}

/// One entry of a map.
struct Entry<'a> {
    /// As text: Go sorts numbers by their digits.
    key: Cow<'a, [u8]>,
    /// Where in the stack the occurrences of its value are; empty if it has none.
    value: Range<usize>,
}

/// The member that a oneof ends up with.
struct Settled {
    oneof: u8,
    member: u16,
    /// From which span on it has the oneof to itself.
    since: usize,
}

struct Walk<'a> {
    table: &'a Table,
    spans: Vec<Span<'a>>,
    entries: Vec<Entry<'a>>,
    /// UTF-8: checked where it was not ASCII, and once at the end.
    out: Vec<u8>,
}

impl<'a> Walk<'a> {
    /// Writes the message whose bytes are the spans in `parts`, one after the other: that is how protobuf merges.
    fn message(&mut self, id: MessageId, parts: Range<usize>, depth: usize) {
        let Some(message) = self.table.message(id) else { return self.write("{}") };
        if depth > MAX_DEPTH {
            return self.quoted(MALFORMED);
        }
        let base = self.spans.len();
        for part in parts {
            if self.note(message, self.spans[part].payload).is_err() {
                self.spans.truncate(base);
                return self.quoted(MALFORMED);
            }
        }
        if message.has_oneof() {
            self.settle_oneofs(message, base);
        }
        self.spans[base..].sort_by_key(|span| span.field);
        let end = self.spans.len();
        let mut at = base;
        let mut separator = b'{';
        while at < end {
            let position = self.spans[at].field;
            let same = self.spans[at..end].iter().take_while(|span| span.field == position).count();
            let field = message.field(position);
            let values = at..at + same;
            at += same;
            if self.is_populated(field, &values) {
                self.out.push(separator);
                separator = b',';
                self.quoted(field.name());
                self.out.push(b':');
                self.field(field, values, depth);
            }
        }
        self.write(if separator == b'{' { "{}" } else { "}" });
        self.spans.truncate(base);
    }

    /// Pushes a span for every known field in `part`. A value of another wire type than the field's is an unknown field.
    fn note(&mut self, message: &Message, part: Payload<'a>) -> Result<(), Malformed> {
        let Payload::Bytes(bytes) = part else { return Ok(()) };
        let mut reader = Reader::new(bytes);
        while let Some((number, payload)) = reader.next_field()? {
            let Some(position) = message.position(number) else { continue };
            let field = message.field(position);
            let is_known = match (field.kind(), field.shape(), payload) {
                (_, Shape::Map(_), _) | (Kind::Bytes | Kind::Message(_) | Kind::String, _, _) => {
                    matches!(payload, Payload::Bytes(_))
                }
                (kind, Shape::Repeated, Payload::Bytes(packed)) => {
                    let mut elements = Reader::new(packed);
                    while !elements.is_empty() {
                        packed_element(kind, &mut elements)?;
                    }
                    !packed.is_empty()
                }
                (kind, _, _) => Scalar::new(kind, payload).is_some(),
            };
            if is_known {
                self.spans.push(Span { field: position, payload });
            }
        }
        Ok(())
    }

    /// Of each oneof, only the last member on the wire counts, from where it last took over from another.
    fn settle_oneofs(&mut self, message: &Message, base: usize) {
        let oneof_of = |span: &Span<'_>| match message.field(span.field).shape() {
            Shape::Oneof(oneof) => Some(oneof),
            _ => None,
        };
        if self.spans[base..].iter().filter(|span| oneof_of(span).is_some()).count() < 2 {
            return;
        }
        let mut settled: Vec<Settled> = Vec::new();
        for (at, span) in self.spans.iter().enumerate().skip(base).rev() {
            let Some(oneof) = oneof_of(span) else { continue };
            match settled.iter_mut().find(|settled| settled.oneof == oneof) {
                None => settled.push(Settled { oneof, member: span.field, since: base }),
                Some(last) if last.since == base && last.member != span.field => last.since = at + 1,
                Some(_) => {}
            }
        }
        let mut kept = base;
        for at in base..self.spans.len() {
            let oneof = oneof_of(&self.spans[at]);
            if settled.iter().all(|settled| Some(settled.oneof) != oneof || at >= settled.since) {
                self.spans[kept] = self.spans[at];
                kept += 1;
            }
        }
        self.spans.truncate(kept);
    }

    fn is_populated(&self, field: &Field, values: &Range<usize>) -> bool {
        if field.shape() != Shape::Implicit {
            return true;
        }
        match self.spans[values.end - 1].payload {
            Payload::Bytes(bytes) => !bytes.is_empty(),
            number => Scalar::new(field.kind(), number).is_some_and(|scalar| !scalar.is_zero()),
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
            (_, kind) => self.value(kind, self.spans[values.end - 1].payload),
        }
    }

    fn list(&mut self, kind: Kind, values: Range<usize>, depth: usize) {
        let mut separator = b'[';
        for at in values {
            match (kind, self.spans[at].payload) {
                (Kind::Message(id), _) => {
                    self.out.push(mem::replace(&mut separator, b','));
                    self.message(id, at..at + 1, depth + 1);
                }
                (Kind::Bytes | Kind::String, text) => {
                    self.out.push(mem::replace(&mut separator, b','));
                    self.value(kind, text);
                }
                (_, Payload::Bytes(packed)) => {
                    let mut elements = Reader::new(packed);
                    while !elements.is_empty()
                        && let Ok(element) = packed_element(kind, &mut elements)
                    {
                        self.out.push(mem::replace(&mut separator, b','));
                        self.value(kind, element);
                    }
                }
                (_, number) => {
                    self.out.push(mem::replace(&mut separator, b','));
                    self.value(kind, number);
                }
            }
        }
        self.out.push(b']');
    }

    fn map(&mut self, key: Kind, value: Kind, occurrences: Range<usize>, depth: usize) {
        let (spans_base, base) = (self.spans.len(), self.entries.len());
        let mut is_malformed = false;
        for at in occurrences {
            match self.entry(key, value, self.spans[at].payload) {
                Ok(entry) => self.entries.push(entry),
                Err(Malformed) => is_malformed = true,
            }
        }
        if is_malformed {
            self.quoted(MALFORMED);
        } else {
            self.entries[base..].sort_by(|a, b| a.key.cmp(&b.key));
            self.map_entries(base, key, value, depth);
        }
        self.entries.truncate(base);
        self.spans.truncate(spans_base);
    }

    /// Writes the entries from `base` on, which are sorted; of several with one key, the last.
    fn map_entries(&mut self, base: usize, key: Kind, value: Kind, depth: usize) {
        let mut separator = b'{';
        for at in base..self.entries.len() {
            if self.entries.get(at + 1).is_some_and(|next| next.key == self.entries[at].key) {
                continue;
            }
            let entry = mem::replace(&mut self.entries[at], Entry { key: Cow::Borrowed(b""), value: 0..0 });
            self.out.push(mem::replace(&mut separator, b','));
            text::push_json(&mut self.out, &entry.key);
            self.out.push(b':');
            if key == Kind::String && self.table.is_token_key(&entry.key) {
                self.quoted(STRIPPED);
            } else if let Kind::Message(id) = value {
                self.message(id, entry.value, depth + 1);
            } else if entry.value.is_empty() {
                match Scalar::default_of(value) {
                    Some(zero) => zero.write(self.table, &mut self.out),
                    None => self.quoted(""),
                }
            } else {
                self.value(value, self.spans[entry.value.end - 1].payload);
            }
        }
        self.out.push(b'}');
    }

    /// Reads one map entry, a message with the key as field 1 and the value as field 2.
    fn entry(&mut self, key: Kind, value: Kind, payload: Payload<'a>) -> Result<Entry<'a>, Malformed> {
        let Payload::Bytes(bytes) = payload else { return Err(Malformed) };
        let start = self.spans.len();
        let mut found_key = None;
        let mut reader = Reader::new(bytes);
        while let Some((number, payload)) = reader.next_field()? {
            match (number, payload) {
                (1, Payload::Bytes(text)) if key == Kind::String => found_key = Some(Cow::Borrowed(text)),
                (1, number) => {
                    found_key = Scalar::new(key, number).map(|key| self.key_text(key)).or(found_key);
                }
                (2, Payload::Bytes(_)) if matches!(value, Kind::Bytes | Kind::Message(_) | Kind::String) => {
                    self.spans.push(Span { field: 0, payload });
                }
                (2, number) if Scalar::new(value, number).is_some() => {
                    self.spans.push(Span { field: 0, payload });
                }
                _ => {}
            }
        }
        let absent = || Scalar::default_of(key).map_or(Cow::Borrowed(&b""[..]), |zero| self.key_text(zero));
        let key = found_key.unwrap_or_else(absent);
        Ok(Entry { key, value: start..self.spans.len() })
    }

    fn key_text(&self, key: Scalar) -> Cow<'a, [u8]> {
        let mut text = Vec::new();
        key.write(self.table, &mut text);
        Cow::Owned(text)
    }

    /// Writes one value that is no message.
    fn value(&mut self, kind: Kind, payload: Payload<'_>) {
        match payload {
            Payload::Bytes(bytes) if kind == Kind::String => text::push_json(&mut self.out, bytes),
            // In base64, a token would hide from whoever searches the log for it, but not from whoever wants it.
            Payload::Bytes(bytes) if text::has_token(bytes) => self.quoted(STRIPPED),
            Payload::Bytes(bytes) => {
                let text = STANDARD.encode(bytes);
                self.quoted(&text);
            }
            number => {
                if let Some(scalar) = Scalar::new(kind, number) {
                    scalar.write(self.table, &mut self.out);
                }
            }
        }
    }

    /// Writes a text that needs no escapes, in quotes.
    fn quoted(&mut self, text: &str) {
        self.out.push(b'"');
        self.write(text);
        self.out.push(b'"');
    }

    fn write(&mut self, text: &str) {
        self.out.extend_from_slice(text.as_bytes());
    }
}

#[cfg(test)]
mod tests;
