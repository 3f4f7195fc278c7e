//! The table that drives the walk: messages, fields, kinds, and what is secret. Written by a generator as a `static`,
//! so everything a static table consists of is built by `const fn`s; or compiled from descriptors while a program runs
//! (see `descriptors`). The walk sees both alike, as [`Layout`]s.

use std::fmt;

use crate::compiled::Compiled;
use crate::field::{Field, Kind, Name};

/// Which messages exist, what their fields are called, and what must not be shown.
///
/// ```
/// use tokenward_sanitize::{Enum, Field, Kind, Message, MessageId, Table};
///
/// static MESSAGES: &[Message] = &[
///     Message::new("example.Login", &[Field::single("user", 1, Kind::String)], &[0]),
///     Message::new("example.Logout", &[], &[]),
/// ];
/// static ENUMS: &[Enum] = &[];
/// static TABLE: Table = Table::new(MESSAGES, ENUMS, &["example/token"]);
///
/// assert_eq!(TABLE.check(), Ok(()));
/// assert_eq!(TABLE.find("example.Logout"), Some(MessageId(1)));
/// let names: Vec<_> = TABLE.ids().filter_map(|id| TABLE.name(id)).collect();
/// assert_eq!(names, ["example.Login", "example.Logout"]);
/// ```
pub struct Table(Rows);

enum Rows {
    Static { messages: &'static [Message], enums: &'static [Enum], token_keys: &'static [&'static str] },
    Compiled(Box<Compiled>),
}

/// A message's place in its [`Table`].
///
/// Shown at [`Table`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct MessageId(pub u16);

/// An enum's place in its [`Table`].
///
/// Shown at [`Field`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct EnumId(pub u16);

/// One message of a static table.
///
/// Shown at [`Table`].
pub struct Message {
    name: &'static str,
    fields: &'static [Field],
    by_number: &'static [u16],
}

/// One enum of a static table: its values by number, ascending.
///
/// Shown at [`Field`].
pub struct Enum {
    /// Full protobuf name.
    pub name: &'static str,
    /// `(number, name)`, ascending by number; of several names of one number, the first declared.
    pub values: &'static [(i32, &'static str)],
}

/// A message as the walk sees it.
#[derive(Clone, Copy)]
pub(crate) struct Layout<'t> {
    pub(crate) fields: &'t [Field],
    /// Positions of the fields, ascending by number.
    pub(crate) by_number: &'t [u16],
}

/// A table that cannot be walked, found by [`Table::check`].
///
/// ```
/// use tokenward_sanitize::{Field, Kind, Message, Table};
///
/// // The index of numbers leaves the field out.
/// static MESSAGES: &[Message] =
///     &[Message::new("example.Login", &[Field::single("user", 1, Kind::String)], &[])];
/// let error = Table::new(MESSAGES, &[], &[]).check().unwrap_err();
/// assert!(error.to_string().starts_with("table of message `example.Login`: the number index"));
/// ```
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
    ///
    /// Shown at [`Table`].
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
    ///
    /// Shown at [`Table`].
    #[must_use]
    pub fn find(&self, full_name: &str) -> Option<MessageId> {
        self.ids().find(|&id| self.name(id) == Some(full_name))
    }

    /// The full protobuf name of a message.
    ///
    /// Shown at [`Table`].
    #[must_use]
    pub fn name(&self, message: MessageId) -> Option<&str> {
        match &self.0 {
            Rows::Static { messages, .. } => messages.get(usize::from(message.0)).map(|message| message.name),
            Rows::Compiled(compiled) => compiled.name(message),
        }
    }

    /// All messages, in order.
    ///
    /// Shown at [`Table`].
    pub fn ids(&self) -> impl Iterator<Item = MessageId> + use<> {
        let count = match &self.0 {
            Rows::Static { messages, .. } => messages.len(),
            Rows::Compiled(compiled) => compiled.messages.len(),
        };
        (0..u16::try_from(count).unwrap_or(u16::MAX)).map(MessageId)
    }

    /// Checks what the walk relies on: names sorted, numbers sorted, references inside the table.
    ///
    /// Shown at [`Table`].
    ///
    /// # Errors
    /// The first broken message. A walk with such a table does not panic, but may leave fields out.
    pub fn check(&self) -> Result<(), TableError> {
        for (id, message) in self.ids().filter_map(|id| Some((id, self.message(id)?))) {
            let broken =
                |problem| Err(TableError { message: self.name(id).unwrap_or_default().to_owned(), problem });
            if !message.fields.is_sorted_by(|a, b| self.text(a.name()) < self.text(b.name())) {
                return broken("field names are not strictly ascending");
            }
            let numbers: Option<Vec<u32>> = message
                .by_number
                .iter()
                .map(|&i| Some(message.fields.get(usize::from(i))?.number()))
                .collect();
            let Some(numbers) = numbers else {
                return broken("an entry of the number index is outside the fields");
            };
            if numbers.len() != message.fields.len() || !numbers.is_sorted_by(|a, b| a < b) {
                return broken("the number index does not list every field once, ascending");
            }
            for field in message.fields {
                match field.kind() {
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
                let Message { fields, by_number, .. } = messages.get(usize::from(id.0))?;
                Some(Layout { fields, by_number })
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
        match &self.0 {
            Rows::Static { token_keys, .. } => token_keys.iter().any(|known| is_same(known, key)),
            Rows::Compiled(compiled) => compiled.token_keys.iter().any(|known| is_same(known, key)),
        }
    }
}

#[inline]
fn is_same(known: &str, key: &[u8]) -> bool {
    known.len() == key.len() && known.as_bytes().eq_ignore_ascii_case(key)
}

impl Message {
    /// A message with its fields sorted by name; `by_number` lists their positions in ascending order of number.
    ///
    /// Shown at [`Table`].
    #[must_use]
    pub const fn new(name: &'static str, fields: &'static [Field], by_number: &'static [u16]) -> Self {
        Self { name, fields, by_number }
    }
}

impl<'t> Layout<'t> {
    /// The position of the field with this number, and the field.
    #[inline]
    pub(crate) fn find(self, number: u32) -> Option<(u16, &'t Field)> {
        // Numbers mostly are 1, 2, 3, ...
        let guess = (number as usize).wrapping_sub(1);
        if let Some(&position) = self.by_number.get(guess)
            && let Some(field) = self.fields.get(usize::from(position))
            && field.number() == number
        {
            return Some((position, field));
        }
        let number_at = |&position: &u16| self.fields.get(usize::from(position)).map(Field::number);
        let at = self.by_number.binary_search_by_key(&Some(number), number_at).ok()?;
        let position = self.by_number[at];
        Some((position, self.fields.get(usize::from(position))?))
    }
}
