//! What a `FileDescriptorSet` declares, out of its bytes. Field numbers are those of `google/protobuf/descriptor.proto`.

use crate::wire::{Malformed, Payload, Reader};

use super::DescriptorError;

/// Messages may nest this deep.
const MAX_DEPTH: usize = 100;

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
    read_set(set, &mut declarations).map_err(|Malformed| DescriptorError::Malformed)?;
    Ok(declarations)
}

fn read_set<'s>(set: &'s [u8], declarations: &mut Declarations<'s>) -> Result<(), Malformed> {
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
    /// Whether features say how fields are present (editions), or the syntax alone.
    has_features: bool,
    depth: usize,
}

impl Scope<'_> {
    fn name(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    /// With the features in `options`, which are its field of this number.
    fn with_features(mut self, options: &[u8], number: u32) -> Result<Self, Malformed> {
        if !self.has_features {
            return Ok(self);
        }
        let mut reader = Reader::new(options);
        while let Some((found, payload)) = reader.next_field()? {
            let Payload::Bytes(features) = payload else { continue };
            if found != number {
                continue;
            }
            let mut reader = Reader::new(features);
            while let Some(feature) = reader.next_field()? {
                match feature {
                    (1, Payload::Varint(2)) => self.presence = Presence::Implicit,
                    (1, Payload::Varint(1 | 3)) => self.presence = Presence::Explicit,
                    _ => {}
                }
            }
        }
        Ok(self)
    }
}

fn read_file<'s>(file: &'s [u8], declarations: &mut Declarations<'s>) -> Result<(), Malformed> {
    let (mut package, mut syntax, mut options) = ("", "", Vec::new());
    let mut reader = Reader::new(file);
    while let Some((number, payload)) = reader.next_field()? {
        let Payload::Bytes(bytes) = payload else { continue };
        match number {
            2 => package = text(bytes)?,
            8 => options.push(bytes),
            12 => syntax = text(bytes)?,
            _ => {}
        }
    }
    let prefix = if package.is_empty() { String::new() } else { format!("{package}.") };
    let presence = if syntax == "proto3" { Presence::Implicit } else { Presence::Explicit };
    let mut scope = Scope { prefix: &prefix, presence, has_features: syntax == "editions", depth: 0 };
    for options in options {
        scope = scope.with_features(options, 50)?;
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
) -> Result<(), Malformed> {
    if scope.depth > MAX_DEPTH {
        return Err(Malformed);
    }
    let (mut name, mut is_map_entry, mut inner) = ("", false, scope);
    let mut reader = Reader::new(message);
    while let Some((number, payload)) = reader.next_field()? {
        match (number, payload) {
            (1, Payload::Bytes(bytes)) => name = text(bytes)?,
            (7, Payload::Bytes(options)) => {
                inner = inner.with_features(options, 12)?;
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

fn read_field<'s>(bytes: &'s [u8], scope: Scope<'_>) -> Result<Field<'s>, Malformed> {
    let mut field = Field::default();
    let mut scope = scope;
    let mut reader = Reader::new(bytes);
    while let Some((number, payload)) = reader.next_field()? {
        match (number, payload) {
            (1, Payload::Bytes(name)) => field.name = text(name)?,
            (2, Payload::Bytes(name)) => field.extendee = text(name)?,
            (3, Payload::Varint(value)) => field.number = value,
            (4, Payload::Varint(label)) => field.is_repeated = label == 3,
            (5, Payload::Varint(value)) => field.type_number = value,
            (6, Payload::Bytes(name)) => field.type_name = text(name)?,
            (8, Payload::Bytes(options)) => {
                scope = scope.with_features(options, 21)?;
                field.options.push(options);
            }
            (9, Payload::Varint(index)) => field.oneof = Some(index),
            (17, Payload::Varint(value)) => field.is_proto3_optional = value != 0,
            _ => {}
        }
    }
    field.presence = if field.is_proto3_optional { Presence::Explicit } else { scope.presence };
    Ok(field)
}

fn read_extension<'s>(
    bytes: &'s [u8],
    scope: Scope<'_>,
    declarations: &mut Declarations<'s>,
) -> Result<(), Malformed> {
    let field = read_field(bytes, scope)?;
    if field.extendee == ".google.protobuf.FieldOptions" {
        declarations.extensions.push(Extension { full_name: scope.name(field.name), field });
    }
    Ok(())
}

#[expect(clippy::cast_possible_truncation, reason = "protobuf says that the high bits are dropped")]
fn read_enum<'s>(bytes: &'s [u8], scope: Scope<'_>) -> Result<Enum<'s>, Malformed> {
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

fn text(bytes: &[u8]) -> Result<&str, Malformed> {
    str::from_utf8(bytes).map_err(|_| Malformed)
}
