//! The table that drives the walk: messages, fields, kinds, and what is secret. Written by a generator as a `static`,
//! so everything here is built by `const fn`s.

use std::fmt;

/// Which messages exist, what their fields are called, and what must not be shown.
pub struct Table {
    messages: &'static [Message],
    enums: &'static [Enum],
    token_keys: &'static [&'static str],
}

/// A message's place in its [`Table`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct MessageId(pub u16);

/// An enum's place in its [`Table`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct EnumId(pub u16);

/// One message.
pub struct Message {
    name: &'static str,
    fields: &'static [Field],
    by_number: &'static [u16],
}

/// One field of a message.
pub struct Field {
    name: &'static str,
    number: u32,
    kind: Kind,
    shape: Shape,
    secret: bool,
}

/// One enum: its values by number, ascending.
pub struct Enum {
    /// Full protobuf name.
    pub name: &'static str,
    /// `(number, name)`, ascending by number; of several names of one number, the first declared.
    pub values: &'static [(i32, &'static str)],
}

/// What the bytes of one value mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "protobuf's own scalar types")]
pub enum Kind {
    Bool,
    Bytes,
    Double,
    Enum(EnumId),
    Fixed32,
    Fixed64,
    Float,
    Int32,
    Int64,
    Message(MessageId),
    Sfixed32,
    Sfixed64,
    Sint32,
    Sint64,
    String,
    Uint32,
    Uint64,
}

/// How often a field occurs, and when a zero counts as present.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// At most once; a zero scalar is absent.
    Implicit,
    /// At most once; present whenever it is on the wire.
    Explicit,
    /// At most one member of this oneof, the last on the wire.
    Oneof(u8),
    /// A list, packed or not.
    Repeated,
    /// A map with keys of this kind.
    Map(Kind),
}

/// A table that cannot be walked, found by [`Table::check`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableError {
    message: &'static str,
    problem: &'static str,
}

impl fmt::Display for TableError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "table of message `{}`: {}; generate it anew", self.message, self.problem)
    }
}

impl std::error::Error for TableError {}

impl Table {
    /// A table of `messages` and `enums`, which refer to each other by position. The value under one of `token_keys`
    /// (compared without regard to ASCII case, as some drivers look it up so) is stripped from every map.
    #[must_use]
    pub const fn new(
        messages: &'static [Message],
        enums: &'static [Enum],
        token_keys: &'static [&'static str],
    ) -> Self {
        Self { messages, enums, token_keys }
    }

    /// Finds a message by its full protobuf name, such as `csi.v1.NodePublishVolumeRequest`.
    #[must_use]
    pub fn find(&self, full_name: &str) -> Option<MessageId> {
        let position = self.messages.iter().position(|message| message.name == full_name)?;
        u16::try_from(position).ok().map(MessageId)
    }

    /// The full protobuf name of a message.
    #[must_use]
    pub fn name(&self, message: MessageId) -> Option<&'static str> {
        self.message(message).map(|message| message.name)
    }

    /// Checks what the walk relies on: names sorted, numbers sorted, references inside the table.
    ///
    /// # Errors
    /// The first broken message. A walk with such a table does not panic, but may leave fields out.
    pub fn check(&self) -> Result<(), TableError> {
        for message in self.messages {
            let broken = |problem| Err(TableError { message: message.name, problem });
            if !message.fields.is_sorted_by(|a, b| a.name < b.name) {
                return broken("field names are not strictly ascending");
            }
            let numbers: Option<Vec<u32>> =
                message.by_number.iter().map(|&i| Some(message.fields.get(usize::from(i))?.number)).collect();
            let Some(numbers) = numbers else {
                return broken("an entry of the number index is outside the fields");
            };
            if numbers.len() != message.fields.len() || !numbers.is_sorted_by(|a, b| a < b) {
                return broken("the number index does not list every field once, ascending");
            }
            for field in message.fields {
                match field.kind {
                    Kind::Message(id) if self.message(id).is_none() => {
                        return broken("a field names a message that is not in the table");
                    }
                    Kind::Enum(id) if self.enums.get(usize::from(id.0)).is_none() => {
                        return broken("a field names an enum that is not in the table");
                    }
                    _ => {}
                }
            }
        }
        Ok(())
    }

    pub(crate) fn message(&self, id: MessageId) -> Option<&'static Message> {
        self.messages.get(usize::from(id.0))
    }

    pub(crate) fn enum_name(&self, id: EnumId, number: i32) -> Option<&'static str> {
        let values = self.enums.get(usize::from(id.0))?.values;
        let at = values.binary_search_by_key(&number, |value| value.0).ok()?;
        Some(values[at].1)
    }

    pub(crate) fn is_token_key(&self, key: &[u8]) -> bool {
        self.token_keys.iter().any(|token_key| token_key.as_bytes().eq_ignore_ascii_case(key))
    }
}

impl Message {
    /// A message with its fields sorted by name; `by_number` lists their positions in ascending order of number.
    #[must_use]
    pub const fn new(name: &'static str, fields: &'static [Field], by_number: &'static [u16]) -> Self {
        Self { name, fields, by_number }
    }

    pub(crate) fn field(&self, position: u16) -> &'static Field {
        &self.fields[usize::from(position)]
    }

    /// The position of the field with this number.
    pub(crate) fn position(&self, number: u32) -> Option<u16> {
        let number_at = |index: usize| self.fields.get(usize::from(self.by_number[index])).map(|f| f.number);
        // Numbers mostly are 1, 2, 3, ...
        let guess = (number as usize).wrapping_sub(1);
        if guess < self.by_number.len() && number_at(guess) == Some(number) {
            return Some(self.by_number[guess]);
        }
        let at = self
            .by_number
            .binary_search_by_key(&Some(number), |&i| self.fields.get(usize::from(i)).map(|f| f.number))
            .ok()?;
        Some(self.by_number[at])
    }

    pub(crate) fn has_oneof(&self) -> bool {
        self.fields.iter().any(|field| matches!(field.shape, Shape::Oneof(_)))
    }
}

impl Field {
    /// A singular field; a scalar that is zero or empty counts as absent, as proto3 has it.
    #[must_use]
    pub const fn single(name: &'static str, number: u32, kind: Kind) -> Self {
        let shape = if matches!(kind, Kind::Message(_)) { Shape::Explicit } else { Shape::Implicit };
        Self { name, number, kind, shape, secret: false }
    }

    /// A singular field that is present whenever it was written (`optional`).
    #[must_use]
    pub const fn optional(name: &'static str, number: u32, kind: Kind) -> Self {
        Self { name, number, kind, shape: Shape::Explicit, secret: false }
    }

    /// A member of the message's `oneof`-th oneof.
    #[must_use]
    pub const fn member(oneof: u8, name: &'static str, number: u32, kind: Kind) -> Self {
        Self { name, number, kind, shape: Shape::Oneof(oneof), secret: false }
    }

    /// A list.
    #[must_use]
    pub const fn repeated(name: &'static str, number: u32, kind: Kind) -> Self {
        Self { name, number, kind, shape: Shape::Repeated, secret: false }
    }

    /// A map.
    #[must_use]
    pub const fn map(name: &'static str, number: u32, key: Kind, value: Kind) -> Self {
        Self { name, number, kind: value, shape: Shape::Map(key), secret: false }
    }

    /// Marks the field: if populated, it is stripped as a whole.
    #[must_use]
    pub const fn secret(self) -> Self {
        Self { name: self.name, number: self.number, kind: self.kind, shape: self.shape, secret: true }
    }

    pub(crate) const fn name(&self) -> &'static str {
        self.name
    }

    pub(crate) const fn kind(&self) -> Kind {
        self.kind
    }

    pub(crate) const fn shape(&self) -> Shape {
        self.shape
    }

    pub(crate) const fn is_secret(&self) -> bool {
        self.secret
    }
}
