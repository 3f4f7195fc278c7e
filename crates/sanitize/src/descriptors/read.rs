//! What a `FileDescriptorSet` declares, out of its bytes. Field numbers are those of `google/protobuf/descriptor.proto`.

use crate::wire::{Payload, Reader};

use super::DescriptorError;

/// Messages may nest this deep.
const MAX_DEPTH: usize = 100;

// Of `FieldDescriptorProto.Type`.
pub(super) const GROUP: u64 = 10;
pub(super) const MESSAGE: u64 = 11;

/// Everything that is declared in all files.
#[derive(Default)]
pub(super) struct Declarations<'s> {
    pub(super) messages: Vec<Message<'s>>,
    pub(super) enums: Vec<Enum<'s>>,
    pub(super) extensions: Vec<Extension<'s>>,
}

pub(super) struct Message<'s> {
    pub(super) full_name: String,
    pub(super) fields: Vec<Field<'s>>,
    /// It is the entry of a map, and no message of its own.
    pub(super) is_map_entry: bool,
}

#[derive(Default)]
pub(super) struct Field<'s> {
    pub(super) name: &'s str,
    pub(super) number: u64,
    pub(super) is_repeated: bool,
    /// `FieldDescriptorProto.Type`.
    pub(super) type_number: u64,
    /// With a dot in front.
    pub(super) type_name: &'s str,
    extendee: &'s str,
    oneof: Option<u64>,
    is_proto3_optional: bool,
    /// `FieldOptions`, in parts that merge.
    pub(super) options: Vec<&'s [u8]>,
    pub(super) presence: Presence,
    /// Its values are groups on the wire: by its type (proto2), or by a feature (editions).
    pub(super) is_group: bool,
}

pub(super) struct Enum<'s> {
    pub(super) full_name: String,
    pub(super) values: Vec<(i32, &'s str)>,
}

/// An extension of `FieldOptions`.
pub(super) struct Extension<'s> {
    pub(super) full_name: String,
    pub(super) field: Field<'s>,
}

/// Whether a singular scalar that is zero counts as present.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Presence {
    Implicit,
    #[default]
    Explicit,
}

impl Field<'_> {
    /// The oneof that it is a member of, in the source.
    pub(super) fn real_oneof(&self) -> Option<u64> {
        self.oneof.filter(|_| !self.is_proto3_optional)
    }
}

pub(super) fn declarations(set: &[u8]) -> Result<Declarations<'_>, DescriptorError> {
    let mut declarations = Declarations::default();
    read_set(set, &mut declarations)?;
    Ok(declarations)
}

fn read_set<'s>(set: &'s [u8], declarations: &mut Declarations<'s>) -> Result<(), DescriptorError> {
    let mut reader = Reader::new(set);
    while let Some((number, payload)) = reader.next_field()? {
        if let (1, Payload::Bytes(file)) = (number, payload) {
            read_file(file, declarations)?;
        }
    }
    Ok(())
}

/// What inner declarations take over from outer ones.
#[derive(Clone, Copy)]
struct Scope<'n> {
    /// With a dot at the end, unless it is empty.
    prefix: &'n str,
    presence: Presence,
    /// Whether messages are groups on the wire.
    has_groups: bool,
    /// Whether features say how fields are (editions), or the syntax alone.
    has_features: bool,
    depth: usize,
}

impl Scope<'_> {
    fn name(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    /// With the features in the options of what has this name, which are their field of this number.
    fn with_features(mut self, options: &[u8], number: u32, name: &str) -> Result<Self, DescriptorError> {
        if !self.has_features {
            return Ok(self);
        }
        let unknown = |rule, value: u64| not_understood(name, rule, value.to_string());
        let mut reader = Reader::new(options);
        while let Some((found, payload)) = reader.next_field()? {
            let Payload::Bytes(features) = payload else { continue };
            if found != number {
                continue;
            }
            let mut reader = Reader::new(features);
            while let Some(feature) = reader.next_field()? {
                match feature {
                    (1 | 5, Payload::Varint(0)) => {}
                    (1, Payload::Varint(1 | 3)) => self.presence = Presence::Explicit,
                    (1, Payload::Varint(2)) => self.presence = Presence::Implicit,
                    (1, Payload::Varint(value)) => return Err(unknown("features.field_presence", value)),
                    (5, Payload::Varint(1)) => self.has_groups = false,
                    (5, Payload::Varint(2)) => self.has_groups = true,
                    (5, Payload::Varint(value)) => return Err(unknown("features.message_encoding", value)),
                    // Lists are read packed or not, whatever is said of them; the others are not about the wire.
                    _ => {}
                }
            }
        }
        Ok(self)
    }
}

fn not_understood(name: &str, rule: &'static str, value: impl Into<String>) -> DescriptorError {
    DescriptorError::NotUnderstood { name: name.to_owned(), rule, value: value.into() }
}

fn read_file<'s>(file: &'s [u8], declarations: &mut Declarations<'s>) -> Result<(), DescriptorError> {
    let (mut name, mut package, mut syntax, mut options) = ("", "", "", Vec::new());
    let mut reader = Reader::new(file);
    while let Some((number, payload)) = reader.next_field()? {
        let Payload::Bytes(bytes) = payload else { continue };
        match number {
            1 => name = text(bytes)?,
            2 => package = text(bytes)?,
            8 => options.push(bytes),
            12 => syntax = text(bytes)?,
            _ => {}
        }
    }
    let prefix = if package.is_empty() { String::new() } else { format!("{package}.") };
    let (presence, has_features) = match syntax {
        "" | "proto2" => (Presence::Explicit, false),
        "proto3" => (Presence::Implicit, false),
        "editions" => (Presence::Explicit, true),
        _ => return Err(not_understood(name, "syntax", syntax)),
    };
    let mut scope = Scope { prefix: &prefix, presence, has_groups: false, has_features, depth: 0 };
    for options in options {
        scope = scope.with_features(options, 50, name)?;
    }
    let mut reader = Reader::new(file);
    while let Some((number, payload)) = reader.next_field()? {
        let Payload::Bytes(bytes) = payload else { continue };
        match number {
            4 => read_message(bytes, scope, declarations)?,
            5 => declarations.enums.push(read_enum(bytes, scope)?),
            7 => read_extension(bytes, scope, declarations)?,
            _ => {}
        }
    }
    Ok(())
}

fn read_message<'s>(
    message: &'s [u8],
    scope: Scope<'_>,
    declarations: &mut Declarations<'s>,
) -> Result<(), DescriptorError> {
    if scope.depth > MAX_DEPTH {
        return Err(DescriptorError::Malformed);
    }
    let (mut name, mut is_map_entry, mut all_options) = ("", false, Vec::new());
    let mut reader = Reader::new(message);
    while let Some((number, payload)) = reader.next_field()? {
        match (number, payload) {
            (1, Payload::Bytes(bytes)) => name = text(bytes)?,
            (7, Payload::Bytes(options)) => {
                all_options.push(options);
                let mut options = Reader::new(options);
                while let Some(option) = options.next_field()? {
                    if let (7, Payload::Varint(value)) = option {
                        is_map_entry = value != 0;
                    }
                }
            }
            _ => {}
        }
    }
    let full_name = scope.name(name);
    let mut inner = scope;
    for options in all_options {
        inner = inner.with_features(options, 12, &full_name)?;
    }
    let prefix = format!("{full_name}.");
    let inner = Scope { prefix: &prefix, depth: scope.depth + 1, ..inner };
    let mut fields = Vec::new();
    let mut reader = Reader::new(message);
    while let Some((number, payload)) = reader.next_field()? {
        let Payload::Bytes(bytes) = payload else { continue };
        match number {
            2 => fields.push(read_field(bytes, inner)?),
            3 => read_message(bytes, inner, declarations)?,
            4 => declarations.enums.push(read_enum(bytes, inner)?),
            6 => read_extension(bytes, inner, declarations)?,
            _ => {}
        }
    }
    declarations.messages.push(Message { full_name, fields, is_map_entry });
    Ok(())
}

fn read_field<'s>(bytes: &'s [u8], scope: Scope<'_>) -> Result<Field<'s>, DescriptorError> {
    let mut field = Field::default();
    let mut reader = Reader::new(bytes);
    while let Some((number, payload)) = reader.next_field()? {
        match (number, payload) {
            (1, Payload::Bytes(name)) => field.name = text(name)?,
            (2, Payload::Bytes(name)) => field.extendee = text(name)?,
            (3, Payload::Varint(value)) => field.number = value,
            (4, Payload::Varint(label)) => field.is_repeated = label == 3,
            (5, Payload::Varint(value)) => field.type_number = value,
            (6, Payload::Bytes(name)) => field.type_name = text(name)?,
            (8, Payload::Bytes(options)) => field.options.push(options),
            (9, Payload::Varint(index)) => field.oneof = Some(index),
            (17, Payload::Varint(value)) => field.is_proto3_optional = value != 0,
            _ => {}
        }
    }
    let mut scope = scope;
    for options in &field.options {
        scope = scope.with_features(options, 21, &scope.name(field.name))?;
    }
    field.is_group = field.type_number == GROUP || (field.type_number == MESSAGE && scope.has_groups);
    field.presence = if field.is_proto3_optional { Presence::Explicit } else { scope.presence };
    Ok(field)
}

fn read_extension<'s>(
    bytes: &'s [u8],
    scope: Scope<'_>,
    declarations: &mut Declarations<'s>,
) -> Result<(), DescriptorError> {
    let field = read_field(bytes, scope)?;
    if field.extendee == ".google.protobuf.FieldOptions" {
        declarations.extensions.push(Extension { full_name: scope.name(field.name), field });
    }
    Ok(())
}

#[expect(clippy::cast_possible_truncation, reason = "protobuf says that the high bits are dropped")]
fn read_enum<'s>(bytes: &'s [u8], scope: Scope<'_>) -> Result<Enum<'s>, DescriptorError> {
    let (mut name, mut values) = ("", Vec::new());
    let mut reader = Reader::new(bytes);
    while let Some((number, payload)) = reader.next_field()? {
        let Payload::Bytes(bytes) = payload else { continue };
        match number {
            1 => name = text(bytes)?,
            2 => {
                let (mut name, mut number) = ("", 0);
                let mut reader = Reader::new(bytes);
                while let Some(field) = reader.next_field()? {
                    match field {
                        (1, Payload::Bytes(bytes)) => name = text(bytes)?,
                        (2, Payload::Varint(value)) => number = value as i32,
                        _ => {}
                    }
                }
                values.push((number, name));
            }
            _ => {}
        }
    }
    Ok(Enum { full_name: scope.name(name), values })
}

fn text(bytes: &[u8]) -> Result<&str, DescriptorError> {
    str::from_utf8(bytes).map_err(|_| DescriptorError::Malformed)
}
