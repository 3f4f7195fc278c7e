//! One field: what the walk has to know of it, made ready so that the walk asks nothing twice. All of it is built by `const fn`s,
//! since most fields are part of a `static`.

use crate::table::{EnumId, MessageId};
use crate::wire::{GROUP, LENGTH_PREFIXED};

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

/// One field of a message.
///
/// ```
/// use tokenward_sanitize::{Enum, EnumId, Field, Kind, Message, MessageId, Table, to_json};
///
/// // enum Level { LOW = 0; HIGH = 1; }
/// // message Order {
/// //   string id = 1; optional int32 count = 2; repeated Order parts = 3; map<string, string> labels = 4;
/// //   oneof payment { string card = 5 [secret]; Level credit = 6; }
/// // }
/// static ENUMS: &[Enum] = &[Enum { name: "example.Level", values: &[(0, "LOW"), (1, "HIGH")] }];
/// static MESSAGES: &[Message] = &[Message::new(
///     "example.Order",
///     &[
///         Field::member(0, "card", 5, Kind::String).secret(),
///         Field::optional("count", 2, Kind::Int32),
///         Field::member(0, "credit", 6, Kind::Enum(EnumId(0))),
///         Field::single("id", 1, Kind::String),
///         Field::map("labels", 4, Kind::String, Kind::String),
///         Field::repeated("parts", 3, Kind::Message(MessageId(0))),
///     ],
///     &[3, 1, 5, 4, 0, 2],
/// )];
/// static TABLE: Table = Table::new(MESSAGES, ENUMS, &[]);
///
/// // count: 0  parts { card: "4000" }  labels { "k": "v" }  credit: HIGH
/// let wire = b"\x10\x00\x1a\x06\x2a\x044000\x22\x06\x0a\x01k\x12\x01v\x30\x01";
/// assert_eq!(
///     to_json(&TABLE, MessageId(0), wire),
///     r#"{"count":0,"credit":"HIGH","labels":{"k":"v"},"parts":[{"card":"***stripped***"}]}"#
/// );
/// ```
#[derive(Clone, Copy)]
pub struct Field {
    name: Name,
    number: u32,
    kind: Kind,
    shape: Shape,
    /// A bit for each wire type in which its values come; one in another is an unknown field.
    accepted: u8,
    care: Care,
    secret: bool,
    label: Label,
}

/// What has to be looked at before one of a field's values counts.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Care {
    None,
    /// Which member of this oneof was there before.
    Oneof(u8),
    /// If it has a length in front: whether there are elements in it.
    Packed,
}

/// A field's name as it stands in JSON, with a comma in front and a colon behind: in one block, since to copy a block of a
/// known size is far less work than to copy a text.
#[derive(Clone, Copy)]
struct Label {
    block: [u8; LABEL],
    /// 0 if the name is too long for the block.
    length: u8,
}

/// Of the fields of CSI, the longest name takes 31.
const LABEL: usize = 32;

impl Label {
    const fn of(name: &str) -> Self {
        let name = name.as_bytes();
        let length = name.len() + 4;
        let mut block = [0; LABEL];
        if length > LABEL {
            return Self { block, length: 0 };
        }
        (block[0], block[1]) = (b',', b'"');
        let mut at = 0;
        while at < name.len() {
            block[2 + at] = name[at];
            at += 1;
        }
        (block[length - 2], block[length - 1]) = (b'"', b':');
        Self { block, length: length as u8 }
    }
}

impl Kind {
    /// Whether values have their length in front.
    #[inline]
    pub(crate) const fn is_length_prefixed(self) -> bool {
        matches!(self, Self::Bytes | Self::Message(_) | Self::String)
    }
}

/// What the bytes of one value mean.
///
/// Shown at [`Field`].
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

impl Field {
    /// A singular field; a scalar that is zero or empty counts as absent, as proto3 has it.
    ///
    /// Shown at [`Field`].
    #[must_use]
    pub const fn single(name: &'static str, number: u32, kind: Kind) -> Self {
        let shape = if matches!(kind, Kind::Message(_)) { Shape::Explicit } else { Shape::Implicit };
        Self::fixed(name, number, kind, shape)
    }

    /// A singular field that is present whenever it was written (`optional`).
    ///
    /// Shown at [`Field`].
    #[must_use]
    pub const fn optional(name: &'static str, number: u32, kind: Kind) -> Self {
        Self::fixed(name, number, kind, Shape::Explicit)
    }

    /// A member of the message's `oneof`-th oneof.
    ///
    /// Shown at [`Field`].
    #[must_use]
    pub const fn member(oneof: u8, name: &'static str, number: u32, kind: Kind) -> Self {
        Self::fixed(name, number, kind, Shape::Oneof(oneof))
    }

    /// A list.
    ///
    /// Shown at [`Field`].
    #[must_use]
    pub const fn repeated(name: &'static str, number: u32, kind: Kind) -> Self {
        Self::fixed(name, number, kind, Shape::Repeated)
    }

    /// A map.
    ///
    /// Shown at [`Field`].
    #[must_use]
    pub const fn map(name: &'static str, number: u32, key: Kind, value: Kind) -> Self {
        Self::fixed(name, number, value, Shape::Map(key))
    }

    /// Marks the field: if populated, it is stripped as a whole.
    ///
    /// Shown at [`Field`].
    #[must_use]
    pub const fn secret(mut self) -> Self {
        self.secret = true;
        self
    }

    const fn fixed(name: &'static str, number: u32, kind: Kind, shape: Shape) -> Self {
        Self::of(Name::Static(name), name, number, kind, shape)
    }

    /// A field whose name has this text.
    pub(crate) const fn of(name: Name, text: &str, number: u32, kind: Kind, shape: Shape) -> Self {
        let value = match kind {
            Kind::Bytes | Kind::Message(_) | Kind::String => 1 << LENGTH_PREFIXED,
            Kind::Double | Kind::Fixed64 | Kind::Sfixed64 => 1 << 1,
            Kind::Fixed32 | Kind::Float | Kind::Sfixed32 => 1 << 5,
            _ => 1,
        };
        let accepted = match shape {
            Shape::Map(_) => 1 << LENGTH_PREFIXED,
            Shape::Repeated => value | 1 << LENGTH_PREFIXED,
            _ => value,
        };
        let care = match shape {
            Shape::Oneof(oneof) => Care::Oneof(oneof),
            Shape::Repeated if !kind.is_length_prefixed() => Care::Packed,
            _ => Care::None,
        };
        Self { name, number, kind, shape, accepted, care, secret: false, label: Label::of(text) }
    }

    /// The same, with its values, which are messages, as groups on the wire.
    pub(crate) const fn grouped(mut self) -> Self {
        self.accepted = 1 << GROUP;
        self
    }

    pub(crate) const fn name(&self) -> Name {
        self.name
    }

    /// The name between a comma and a colon, which takes so many bytes of the block. `None` if it is too long for that.
    #[inline]
    pub(crate) const fn label(&self) -> Option<(&[u8; LABEL], usize)> {
        match self.label.length {
            0 => None,
            length => Some((&self.label.block, length as usize)),
        }
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

    pub(crate) const fn care(&self) -> Care {
        self.care
    }

    pub(crate) const fn is_secret(&self) -> bool {
        self.secret
    }
}
