//! The walk. A message's fields stand on the wire in any order and may repeat, and are shown sorted by name: so one
//! pass notes for each field where its values are, and then the fields are written in order of name. The notes of
//! all levels share one stack (`notes`); nothing is decoded into a tree.

mod map;
mod note;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::MALFORMED;
use crate::field::{Field, Kind, Shape};
use crate::notes::{Room, Span, Values};
use crate::number::{Scalar, packed_element};
use crate::output::Output;
use crate::table::{MessageId, Table};
use crate::text::{self, QUOTED_STRIPPED, Tokens};
use crate::wire::{LENGTH_PREFIXED, Payload, Reader};
use note::note;

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
    out: &'w mut Output,
}

impl<'w> Walk<'w> {
    /// Writes the message in `bytes` behind what `out` holds.
    pub(crate) fn write(
        table: &'w Table,
        message: MessageId,
        tokens: Tokens,
        bytes: &'w [u8],
        room: &'w mut Room,
        out: &'w mut Output,
    ) {
        room.clear();
        let mut walk = Self { table, tokens, bytes, room, out };
        if bytes.len() > LONGEST {
            return walk.quoted(MALFORMED);
        }
        let mut whole = Values::NONE;
        walk.room.add(&mut whole, Span::of(LENGTH_PREFIXED, (0, bytes.len())));
        walk.message(message, whole, 0);
    }

    /// Writes the message whose bytes are `parts`, one after the other: that is how protobuf merges.
    fn message(&mut self, id: MessageId, parts: Values, depth: usize) {
        let Some(message) = self.table.message(id) else { return self.write_text("{}") };
        if depth > MAX_DEPTH {
            return self.quoted(MALFORMED);
        }
        let spans = self.room.spans.len();
        let first = self.room.open(message.fields.len());
        if note(self.bytes, message, parts, self.room, first).is_ok() {
            self.fields(message.fields, first, depth);
        } else {
            self.quoted(MALFORMED);
        }
        self.room.fields.truncate(first);
        self.room.spans.truncate(spans);
    }

    /// Writes the fields whose values are noted from `first` on.
    #[inline]
    fn fields(&mut self, fields: &[Field], first: usize, depth: usize) {
        let start = self.out.len();
        for (position, field) in fields.iter().enumerate() {
            let values = self.room.fields[first + position];
            if !values.is_empty() && self.is_populated(field, values) {
                self.name(field);
                self.field(field, values, depth);
            }
        }
        self.enclose(start, b"{}");
    }

    /// Closes an object or a list that begins at `start`: so far, there is a comma in front of each of its parts.
    #[inline]
    fn enclose(&mut self, start: usize, around: &[u8; 2]) {
        if self.out.len() == start {
            self.out.push_start(around, 2);
        } else {
            self.out.replace(start, around[0]);
            self.out.push(around[1]);
        }
    }

    fn is_populated(&self, field: &Field, values: Values) -> bool {
        if field.shape() != Shape::Implicit {
            return true;
        }
        let Some(last) = self.room.last(values) else { return false };
        if last.wire_type == LENGTH_PREFIXED {
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

    #[inline]
    fn field(&mut self, field: &Field, values: Values, depth: usize) {
        if field.is_secret() {
            return self.stripped();
        }
        match (field.shape(), field.kind()) {
            (Shape::Map(key), value) => self.map(key, value, values, depth),
            (Shape::Repeated, kind) => self.list(kind, values, depth),
            (_, Kind::Message(id)) => self.message(id, values, depth + 1),
            (_, kind) => self.value(kind, values),
        }
    }

    #[inline(never)]
    fn list(&mut self, kind: Kind, mut values: Values, depth: usize) {
        let start = self.out.len();
        while let Some(at) = self.room.next(&mut values) {
            let span = self.room.spans[at];
            if let Kind::Message(id) = kind {
                self.out.push(b',');
                self.message(id, Values::one(at), depth + 1);
            } else if kind.is_length_prefixed() || span.wire_type != LENGTH_PREFIXED {
                self.out.push(b',');
                self.value(kind, Values::one(at));
            } else {
                let mut elements = Reader::within(self.bytes, span.extent());
                while !elements.is_empty()
                    && let Ok(element) = packed_element(kind, &mut elements)
                {
                    self.out.push(b',');
                    self.number(kind, element);
                }
            }
        }
        self.enclose(start, b"[]");
    }

    /// Writes the last of these values, which are no messages.
    #[inline]
    fn value(&mut self, kind: Kind, values: Values) {
        let Some(span) = self.room.last(values) else { return };
        if kind == Kind::String {
            text::push_json(self.out, self.slice(span), self.tokens);
        } else {
            self.scalar(kind, span);
        }
    }

    #[inline(never)]
    fn scalar(&mut self, kind: Kind, span: Span) {
        match self.payload(span) {
            // In base64, a token would hide from whoever searches the log for it, but not from whoever wants it.
            Some(Payload::Bytes(bytes)) if self.tokens == Tokens::Stripped && text::has_token(bytes) => {
                self.stripped();
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
        // There is room for all of it, so it does not fail.
        let written = STANDARD.encode_slice(bytes, self.out.free(bytes.len().div_ceil(3) * 4)).unwrap_or(0);
        self.out.add(written);
        self.out.push(b'"');
    }

    #[inline]
    fn slice(&self, span: Span) -> &'w [u8] {
        &self.bytes[span.start as usize..span.end as usize]
    }

    /// What a span is about, read again.
    #[inline]
    fn payload(&self, span: Span) -> Option<Payload<'w>> {
        Reader::within(self.bytes, span.extent()).payload(span.wire_type).ok()
    }

    /// Writes a field's name, between a comma and a colon.
    #[inline]
    fn name(&mut self, field: &Field) {
        if let Some((label, length)) = field.label() {
            self.out.push_start(label, length);
        } else {
            self.write_text(",\"");
            self.write_text(self.table.text(field.name()));
            self.write_text("\":");
        }
    }

    #[inline]
    fn stripped(&mut self) {
        self.out.push_start(QUOTED_STRIPPED, QUOTED_STRIPPED.len());
    }

    /// Writes a text that needs no escapes, in quotes.
    fn quoted(&mut self, text: &str) {
        self.out.push(b'"');
        self.write_text(text);
        self.out.push(b'"');
    }

    fn write_text(&mut self, text: &str) {
        self.out.push_bytes(text.as_bytes());
    }
}

#[cfg(test)]
mod tests;
