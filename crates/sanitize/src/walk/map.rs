//! Maps: on the wire a list of entries in any order, some of them perhaps with one key; shown as an object, sorted by key.

use super::Walk;
use crate::MALFORMED;
use crate::field::{Field, Kind};
use crate::notes::{Entry, Room, Span, TextEntry, Values, index, part, short, sort_by_key};
use crate::number::Scalar;
use crate::text::{self, QUOTED_STRIPPED, Tokens};
use crate::wire::{LENGTH_PREFIXED, Malformed, Occurrence, Reader};

impl Walk<'_> {
    /// Writes a map whose entries are `occurrences`.
    #[inline(never)]
    pub(super) fn map(&mut self, key: Kind, value: Kind, mut occurrences: Values, depth: usize) {
        if key == Kind::String && value == Kind::String && self.text_map(occurrences) {
            return;
        }
        let (spans, base, digits) = (self.room.spans.len(), self.room.entries.len(), self.room.digits.len());
        let mut is_malformed = false;
        while let Some(at) = self.room.next(&mut occurrences) {
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
            let keys = if key == Kind::String { bytes } else { digits.as_bytes() };
            let are_distinct = sort_by_key(&mut entries[base..], |entry| entry.key, keys);
            self.entries(base, are_distinct, key, value, depth);
        }
        self.room.entries.truncate(base);
        self.room.spans.truncate(spans);
        self.room.digits.truncate(digits);
    }

    /// Writes a map of texts, as nearly all are, if each entry is as everybody writes it: key, value, nothing else. Gives
    /// whether it did.
    #[inline(never)]
    fn text_map(&mut self, mut occurrences: Values) -> bool {
        let Self { table, tokens, bytes, .. } = *self;
        self.room.texts.clear();
        while let Some(at) = self.room.next(&mut occurrences) {
            let mut reader = Reader::within(bytes, self.room.spans[at].extent());
            let (Some(key), Some(value), true) =
                (reader.text_field(1), reader.text_field(2), reader.is_empty())
            else {
                return false;
            };
            self.room.texts.push(TextEntry { key: short(key), value: short(value) });
        }
        let are_distinct = sort_by_key(&mut self.room.texts, |entry| entry.key, bytes);
        let start = self.out.len();
        let mut entries = self.room.texts.iter().peekable();
        while let Some(entry) = entries.next() {
            let key = part(bytes, entry.key);
            if !are_distinct && entries.peek().is_some_and(|next| part(bytes, next.key) == key) {
                continue;
            }
            text::push_json_key(self.out, key, tokens);
            if tokens == Tokens::Stripped && table.is_token_key(key) {
                self.out.push_start(QUOTED_STRIPPED, QUOTED_STRIPPED.len());
            } else {
                text::push_json(self.out, part(bytes, entry.value), tokens);
            }
        }
        self.enclose(start, b"{}");
        true
    }

    /// Writes the entries from `base` on, which are sorted; of several with one key, the last.
    fn entries(&mut self, base: usize, are_distinct: bool, key: Kind, value: Kind, depth: usize) {
        let start = self.out.len();
        for at in base..self.room.entries.len() {
            let Entry { key: extent, values } = self.room.entries[at];
            let keys = if key == Kind::String { self.bytes } else { self.room.digits.as_bytes() };
            let text = part(keys, extent);
            if !are_distinct
                && let Some(next) = self.room.entries.get(at + 1)
                && part(keys, next.key) == text
            {
                continue;
            }
            text::push_json_key(self.out, text, self.tokens);
            if self.tokens == Tokens::Stripped && key == Kind::String && self.table.is_token_key(text) {
                self.stripped();
            } else if let Kind::Message(id) = value {
                self.message(id, values, depth + 1);
            } else if !values.is_empty() {
                self.value(value, values);
            } else {
                match Scalar::default_of(value) {
                    Some(zero) => zero.write(self.table, self.out),
                    None => self.quoted(""),
                }
            }
        }
        self.enclose(start, b"{}");
    }

    /// Reads one map entry, a message with the key as field 1 and the value as field 2.
    fn entry(&mut self, key: Kind, value: Kind, entry: Span) -> Result<Entry, Malformed> {
        let value_field = Field::single("value", 2, value);
        let mut values = Values::NONE;
        let mut found_key = None;
        let mut reader = Reader::within(self.bytes, entry.extent());
        while let Some(Occurrence { number, wire_type, value }) = reader.next_occurrence()? {
            match number {
                1 if key == Kind::String && wire_type == LENGTH_PREFIXED => {
                    found_key = Some(short(value));
                }
                1 => {
                    if let Some(payload) = self.payload(Span::of(wire_type, value))
                        && let Some(number) = Scalar::new(key, payload)
                    {
                        found_key = Some(self.key_digits(number));
                    }
                }
                2 if value_field.accepts(wire_type) => {
                    self.room.add(&mut values, Span::of(wire_type, value));
                }
                _ => {}
            }
        }
        let key = found_key.unwrap_or_else(|| match Scalar::default_of(key) {
            Some(zero) => self.key_digits(zero),
            None => (entry.end, entry.end),
        });
        Ok(Entry { key, values })
    }

    fn key_digits(&mut self, key: Scalar) -> (u32, u32) {
        let start = index(self.room.digits.len());
        key.write(self.table, &mut self.room.digits);
        (start, index(self.room.digits.len()))
    }
}
