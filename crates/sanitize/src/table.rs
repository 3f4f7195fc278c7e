//! The table that drives the walk: messages, fields, kinds, and what is secret. Written by a generator as a `static`,
//! so everything a static table consists of is built by `const fn`s; or compiled from descriptors while a program runs
//! (see `descriptors`). The walk sees both alike, as [`Layout`]s.

use std::fmt;

use crate::compiled::Compiled;

/// Which messages exist, what their fields are called, and what must not be shown.
pub struct Table(Rows);

enum Rows {
    Static { messages: &'static [Message], enums: &'static [Enum], token_keys: &'static [&'static str] },
    Compiled(Box<Compiled>),
}

/// A message's place in its [`Table`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct MessageId(pub u16);

/// An enum's place in its [`Table`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct EnumId(pub u16);

/// One message of a static table.
pub struct Message {
    name: &'static str,
    fields: &'static [Field],
    by_number: &'static [u16],
}

/// One field of a message.
#[derive(Clone, Copy)]
pub struct Field {
    name: Name,
    number: u32,
    kind: Kind,
    shape: Shape,
    /// A bit for each wire type in which its values come; one in another is an unknown field.
    accepted: u8,
    secret: bool,
}

/// One enum of a static table: its values by number, ascending.
pub struct Enum {
    /// Full protobuf name.
    pub name: &'static str,
    /// `(number, name)`, ascending by number; of several names of one number, the first declared.
    pub values: &'static [(i32, &'static str)],
}

/// A name, of which the table knows the text.
#[derive(Clone, Copy)]
pub(crate) enum Name {
    Static(&'static str),
    /// A part of the text of all names of a compiled table.
    Compiled {
        start: u32,
        end: u32,
    },
}

/// A message as the walk sees it.
#[derive(Clone, Copy)]
pub(crate) struct Layout<'t> {
    pub(crate) name: Name,
    pub(crate) fields: &'t [Field],
    /// Positions of the fields, ascending by number.
    pub(crate) by_number: &'t [u16],
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
    message: String,
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
        Self(Rows::Static { messages, enums, token_keys })
    }

    pub(crate) fn compiled(compiled: Compiled) -> Self {
        Self(Rows::Compiled(Box::new(compiled)))
    }

    /// Finds a message by its full protobuf name, such as `csi.v1.NodePublishVolumeRequest`.
    #[must_use]
    pub fn find(&self, full_name: &str) -> Option<MessageId> {
        self.ids().find(|&id| self.name(id) == Some(full_name))
    }

    /// The full protobuf name of a message.
    #[must_use]
    pub fn name(&self, message: MessageId) -> Option<&str> {
        self.message(message).map(|message| self.text(message.name))
    }

    /// All messages, in order.
    pub fn ids(&self) -> impl Iterator<Item = MessageId> + use<> {
        let count = match &self.0 {
            Rows::Static { messages, .. } => messages.len(),
            Rows::Compiled(compiled) => compiled.messages.len(),
        };
        (0..u16::try_from(count).unwrap_or(u16::MAX)).map(MessageId)
    }

    /// Checks what the walk relies on: names sorted, numbers sorted, references inside the table.
    ///
    /// # Errors
    /// The first broken message. A walk with such a table does not panic, but may leave fields out.
    pub fn check(&self) -> Result<(), TableError> {
        for message in self.ids().filter_map(|id| self.message(id)) {
            let broken = |problem| Err(TableError { message: self.text(message.name).to_owned(), problem });
            if !message.fields.is_sorted_by(|a, b| self.text(a.name) < self.text(b.name)) {
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
                    Kind::Enum(id) if !self.has_enum(id) => {
                        return broken("a field names an enum that is not in the table");
                    }
                    _ => {}
                }
            }
        }
        Ok(())
    }

    #[inline]
    pub(crate) fn message(&self, id: MessageId) -> Option<Layout<'_>> {
        match &self.0 {
            Rows::Static { messages, .. } => {
                let Message { name, fields, by_number } = messages.get(usize::from(id.0))?;
                Some(Layout { name: Name::Static(name), fields, by_number })
            }
            Rows::Compiled(compiled) => compiled.message(id),
        }
    }

    /// The text of one of this table's names.
    #[inline]
    pub(crate) fn text(&self, name: Name) -> &str {
        match (name, &self.0) {
            (Name::Static(text), _) => text,
            (Name::Compiled { start, end }, Rows::Compiled(compiled)) => compiled.text(start, end),
            (Name::Compiled { .. }, Rows::Static { .. }) => "",
        }
    }

    fn has_enum(&self, id: EnumId) -> bool {
        match &self.0 {
            Rows::Static { enums, .. } => usize::from(id.0) < enums.len(),
            Rows::Compiled(compiled) => usize::from(id.0) < compiled.enums.len(),
        }
    }

    pub(crate) fn enum_name(&self, id: EnumId, number: i32) -> Option<&str> {
        match &self.0 {
            Rows::Static { enums, .. } => {
                let values = enums.get(usize::from(id.0))?.values;
                let at = values.binary_search_by_key(&number, |value| value.0).ok()?;
                Some(values[at].1)
            }
            Rows::Compiled(compiled) => {
                let values = compiled.enums.get(usize::from(id.0))?;
                let at = values.binary_search_by_key(&number, |value| value.0).ok()?;
                Some(self.text(values[at].1))
            }
        }
    }

    #[inline]
    pub(crate) fn is_token_key(&self, key: &[u8]) -> bool {
        let is =
            |token_key: &str| token_key.len() == key.len() && token_key.as_bytes().eq_ignore_ascii_case(key);
        match &self.0 {
            Rows::Static { token_keys, .. } => token_keys.iter().any(|token_key| is(token_key)),
            Rows::Compiled(compiled) => compiled.token_keys.iter().any(|token_key| is(token_key)),
        }
    }
}

impl Message {
    /// A message with its fields sorted by name; `by_number` lists their positions in ascending order of number.
    #[must_use]
    pub const fn new(name: &'static str, fields: &'static [Field], by_number: &'static [u16]) -> Self {
        Self { name, fields, by_number }
    }
}

impl<'t> Layout<'t> {
    #[inline]
    pub(crate) fn field(self, position: u16) -> &'t Field {
        &self.fields[usize::from(position)]
    }

    /// The position of the field with this number, and the field.
    #[inline]
    pub(crate) fn find(self, number: u32) -> Option<(u16, &'t Field)> {
        // Numbers mostly are 1, 2, 3, ...
        let guess = (number as usize).wrapping_sub(1);
        if let Some(&position) = self.by_number.get(guess)
            && let Some(field) = self.fields.get(usize::from(position))
            && field.number == number
        {
            return Some((position, field));
        }
        let number_at = |&position: &u16| self.fields.get(usize::from(position)).map(|field| field.number);
        let at = self.by_number.binary_search_by_key(&Some(number), number_at).ok()?;
        let position = self.by_number[at];
        Some((position, self.fields.get(usize::from(position))?))
    }
}

impl Field {
    /// A singular field; a scalar that is zero or empty counts as absent, as proto3 has it.
    #[must_use]
    pub const fn single(name: &'static str, number: u32, kind: Kind) -> Self {
        let shape = if matches!(kind, Kind::Message(_)) { Shape::Explicit } else { Shape::Implicit };
        Self::of(Name::Static(name), number, kind, shape)
    }

    /// A singular field that is present whenever it was written (`optional`).
    #[must_use]
    pub const fn optional(name: &'static str, number: u32, kind: Kind) -> Self {
        Self::of(Name::Static(name), number, kind, Shape::Explicit)
    }

    /// A member of the message's `oneof`-th oneof.
    #[must_use]
    pub const fn member(oneof: u8, name: &'static str, number: u32, kind: Kind) -> Self {
        Self::of(Name::Static(name), number, kind, Shape::Oneof(oneof))
    }

    /// A list.
    #[must_use]
    pub const fn repeated(name: &'static str, number: u32, kind: Kind) -> Self {
        Self::of(Name::Static(name), number, kind, Shape::Repeated)
    }

    /// A map.
    #[must_use]
    pub const fn map(name: &'static str, number: u32, key: Kind, value: Kind) -> Self {
        Self::of(Name::Static(name), number, value, Shape::Map(key))
    }

    /// Marks the field: if populated, it is stripped as a whole.
    #[must_use]
    pub const fn secret(mut self) -> Self {
        self.secret = true;
        self
    }

    pub(crate) const fn of(name: Name, number: u32, kind: Kind, shape: Shape) -> Self {
        const DELIMITED: u8 = 1 << 2;
        let value = match kind {
            Kind::Bytes | Kind::Message(_) | Kind::String => DELIMITED,
            Kind::Double | Kind::Fixed64 | Kind::Sfixed64 => 1 << 1,
            Kind::Fixed32 | Kind::Float | Kind::Sfixed32 => 1 << 5,
            _ => 1,
        };
        let accepted = match shape {
            Shape::Map(_) => DELIMITED,
            Shape::Repeated => value | DELIMITED,
            _ => value,
        };
        Self { name, number, kind, shape, accepted, secret: false }
    }

    pub(crate) const fn name(&self) -> Name {
        self.name
    }

    pub(crate) const fn number(&self) -> u32 {
        self.number
    }

    pub(crate) const fn kind(&self) -> Kind {
        self.kind
    }

    pub(crate) const fn shape(&self) -> Shape {
        self.shape
    }

    pub(crate) const fn accepts(&self, wire_type: u8) -> bool {
        self.accepted & (1 << wire_type) != 0
    }

    pub(crate) const fn is_secret(&self) -> bool {
        self.secret
    }
}
