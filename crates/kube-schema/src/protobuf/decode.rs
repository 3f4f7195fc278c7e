//! Protobuf as a tree.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Map, Value, json};
use tokenward_kube_rules::{Release, quantity};

use super::WireError;
use super::envelope::{NoEnvelope, Unknown};
use super::order::Ordered;
use super::wire::{Reader, Wire};
use crate::decode::{check_kind, is_quantity, set_type_meta};
use crate::error::QUANTITY_WANTED;
use crate::table::{Field, FieldType, Shape};
use crate::{DecodeError, Kind, go_time};

type Object = Map<String, Value>;

/// How deep messages may be nested. No Kubernetes type comes near, and we recurse on the stack.
const MAX_DEPTH: usize = 100;

/// An enveloped body as the tree that [`crate::decode`] would make of the same in JSON: fields that the release does not
/// know are skipped, without a word, as upstream skips them; zero values that Go omits are left out.
///
/// # Errors
/// No envelope, another kind or version, or a message that is broken. No text quotes a value.
pub fn decode(kind: &Kind, release: Release, body: &[u8]) -> Result<Object, DecodeError> {
    let unknown = open(body)?;
    check_kind(kind, unknown.kind, unknown.api_version)?;
    let mut object = decode_message(Ordered::named(kind.message().name), release, unknown.message)?;
    set_type_meta(kind, &mut object);
    Ok(object)
}

/// `DeleteOptions`, which come in the version of any group. Kind and version are not in the tree.
///
/// # Errors
/// No envelope, another kind, or a message that is broken.
pub fn decode_delete_options(body: &[u8]) -> Result<Object, DecodeError> {
    let unknown = open(body)?;
    if !matches!(unknown.kind, "" | "DeleteOptions") {
        let (found, api_version) = (unknown.kind.to_owned(), unknown.api_version.to_owned());
        return Err(DecodeError::UnknownKind { found, api_version });
    }
    let message = Ordered::named("meta/v1.DeleteOptions");
    Ok(decode_message(message, Release::default(), unknown.message)?)
}

fn open(body: &[u8]) -> Result<Unknown<'_>, DecodeError> {
    Unknown::open(body).map_err(|fault| match fault {
        NoEnvelope::Words(words) => DecodeError::NoEnvelope { detail: words.to_owned() },
        NoEnvelope::Wire(error) => DecodeError::NoEnvelope { detail: error.to_string() },
    })
}

fn decode_message(message: Ordered, release: Release, bytes: &[u8]) -> Result<Object, WireError> {
    let mut object = Object::new();
    Decoder { release }.message(message, bytes, MAX_DEPTH, &mut object)?;
    Ok(object)
}

struct Decoder {
    release: Release,
}

/// Where a value stands, for errors.
#[derive(Clone, Copy)]
struct Place {
    message: Ordered,
    field: &'static Field,
}

impl Decoder {
    /// Reads the fields of a message into `object`, which has what an earlier part of the same message held.
    fn message(
        &self,
        message: Ordered,
        bytes: &[u8],
        depth_left: usize,
        object: &mut Object,
    ) -> Result<(), WireError> {
        let depth_left = depth_left.checked_sub(1).ok_or(WireError::TooDeep)?;
        let mut reader = Reader::new(bytes, message.message.go_name());
        while let Some((number, wire)) = reader.field()? {
            let Some(field) = message.field(number).filter(|field| field.since <= self.release) else {
                continue;
            };
            let place = Place { message, field };
            match (field.shape, field.field_type) {
                (Shape::One, FieldType::Message(index)) if field.inline => {
                    self.message(Ordered::at(index), place.bytes(wire)?, depth_left, object)?;
                }
                (Shape::One, FieldType::Message(index)) => {
                    let member = object.entry(field.name).or_insert_with(|| json!({}));
                    if let Value::Object(inner) = member {
                        self.message(Ordered::at(index), place.bytes(wire)?, depth_left, inner)?;
                    }
                }
                (Shape::One, _) => match place.value(wire)?.filter(|value| !is_omitted(field, value)) {
                    Some(value) => _ = object.insert(field.name.to_owned(), value),
                    None => _ = object.remove(field.name),
                },
                (Shape::List, _) => {
                    let member = object.entry(field.name).or_insert_with(|| json!([]));
                    if let Value::Array(items) = member {
                        self.items(place, wire, depth_left, items)?;
                    }
                }
                (Shape::Map, _) => {
                    let (key, value) = self.entry(place, wire, depth_left)?;
                    let member = object.entry(field.name).or_insert_with(|| json!({}));
                    if let Value::Object(members) = member {
                        members.insert(key, value);
                    }
                }
            }
        }
        Ok(())
    }

    fn items(
        &self,
        place: Place,
        wire: Wire<'_>,
        depth_left: usize,
        items: &mut Vec<Value>,
    ) -> Result<(), WireError> {
        match (place.field.field_type, wire) {
            // Numbers may come packed, though Kubernetes does not write them so.
            (FieldType::Bool | FieldType::Int32 | FieldType::Int64, Wire::Bytes(bytes)) => {
                let mut reader = Reader::new(bytes, place.message.message.go_name());
                while let Some(number) = reader.packed()? {
                    items.extend(place.value(Wire::Varint(number))?);
                }
            }
            (_, wire) => items.push(self.item(place, wire, depth_left)?),
        }
        Ok(())
    }

    fn entry(&self, place: Place, wire: Wire<'_>, depth_left: usize) -> Result<(String, Value), WireError> {
        let (mut key, mut value) = (String::new(), None);
        let mut reader = Reader::new(place.bytes(wire)?, place.message.message.go_name());
        while let Some((number, wire)) = reader.field()? {
            match number {
                1 => key = place.text(wire)?.to_owned(),
                2 => value = Some(self.item(place, wire, depth_left)?),
                _ => {}
            }
        }
        Ok((key, value.unwrap_or_else(|| place.zero())))
    }

    /// An item of a list or a map, which is never left out.
    fn item(&self, place: Place, wire: Wire<'_>, depth_left: usize) -> Result<Value, WireError> {
        match place.field.field_type {
            FieldType::Message(index) => {
                let mut inner = Object::new();
                self.message(Ordered::at(index), place.bytes(wire)?, depth_left, &mut inner)?;
                Ok(Value::Object(inner))
            }
            _ => Ok(place.value(wire)?.unwrap_or_else(|| place.zero())),
        }
    }
}

/// Go leaves it out of JSON.
fn is_omitted(field: &Field, value: &Value) -> bool {
    let is_zero = match value {
        Value::Bool(value) => !value,
        Value::Number(number) => number.as_i64() == Some(0),
        Value::String(text) => text.is_empty(),
        _ => false,
    };
    // Go's omitempty never leaves out a struct, which a number or a string is where it may be either.
    is_zero && field.omit_empty && !field.pointer && field.field_type != FieldType::IntOrString
}

impl Place {
    /// A value that is no message of the table; `None` is Go's null.
    fn value(self, wire: Wire<'_>) -> Result<Option<Value>, WireError> {
        let value = match (self.field.field_type, wire) {
            (FieldType::Bool, Wire::Varint(value)) => json!(value != 0),
            (FieldType::Int32, Wire::Varint(value)) => json!(value as i32),
            (FieldType::Int64, Wire::Varint(value)) => json!(value as i64),
            (FieldType::String, wire) => json!(self.text(wire)?),
            (FieldType::Bytes, Wire::Bytes(bytes)) => json!(STANDARD.encode(bytes)),
            (FieldType::Time | FieldType::MicroTime, Wire::Bytes(bytes)) => return self.time(bytes),
            (FieldType::Quantity, Wire::Bytes(bytes)) => self.quantity(bytes)?,
            (FieldType::IntOrString, Wire::Bytes(bytes)) => self.int_or_string(bytes)?,
            (FieldType::FieldsV1 | FieldType::Raw, Wire::Bytes(bytes)) => return self.raw(bytes),
            (FieldType::StringList, Wire::Bytes(bytes)) => self.strings(bytes)?,
            (_, wire) => return Err(self.wrong(wire)),
        };
        Ok(Some(value))
    }

    fn time(self, bytes: &[u8]) -> Result<Option<Value>, WireError> {
        // How Go writes the zero time, which prints as null.
        if bytes.is_empty() {
            return Ok(None);
        }
        let (mut seconds, mut nanoseconds) = (0, 0);
        let mut reader = Reader::new(bytes, "Timestamp");
        while let Some((number, wire)) = reader.field()? {
            match (number, wire) {
                (1, Wire::Varint(value)) => seconds = value as i64,
                (2, Wire::Varint(value)) => nanoseconds = value as i32,
                (1, wire) => return Err(wire.is_wrong_for("Seconds")),
                (2, wire) => return Err(wire.is_wrong_for("Nanos")),
                _ => {}
            }
        }
        let text = match self.field.field_type {
            FieldType::MicroTime => go_time::micros_of_unix(seconds, nanoseconds),
            _ => go_time::seconds_of_unix(seconds),
        };
        let text = text.ok_or_else(|| self.refuse("a time outside of the years 0 to 9999"))?;
        Ok(text.map(Value::from))
    }

    fn quantity(self, bytes: &[u8]) -> Result<Value, WireError> {
        let mut text = "0";
        let mut reader = Reader::new(bytes, "Quantity");
        while let Some((number, wire)) = reader.field()? {
            if number == 1 {
                text = self.text(wire)?;
                if !is_quantity(text) {
                    return Err(self.refuse(QUANTITY_WANTED));
                }
            }
        }
        Ok(json!(quantity::canonical(text.trim())))
    }

    fn int_or_string(self, bytes: &[u8]) -> Result<Value, WireError> {
        let (mut kind, mut int, mut text) = (0, 0, "");
        let mut reader = Reader::new(bytes, "IntOrString");
        while let Some((number, wire)) = reader.field()? {
            match (number, wire) {
                (1, Wire::Varint(value)) => kind = value as i64,
                (2, Wire::Varint(value)) => int = value as i32,
                (3, wire) => text = self.text(wire)?,
                (1, wire) => return Err(wire.is_wrong_for("Type")),
                (2, wire) => return Err(wire.is_wrong_for("IntVal")),
                _ => {}
            }
        }
        match kind {
            0 => Ok(json!(int)),
            1 => Ok(json!(text)),
            _ => Err(self.refuse("impossible IntOrString.Type")),
        }
    }

    fn raw(self, bytes: &[u8]) -> Result<Option<Value>, WireError> {
        let mut raw: &[u8] = &[];
        let mut reader = Reader::new(bytes, "RawExtension");
        while let Some((number, wire)) = reader.field()? {
            match (number, wire) {
                (1, Wire::Bytes(bytes)) => raw = bytes,
                (1, wire) => return Err(wire.is_wrong_for("Raw")),
                _ => {}
            }
        }
        if raw.is_empty() {
            return Ok(None);
        }
        serde_json::from_slice(raw).map(Some).map_err(|_| self.refuse("raw bytes that are not JSON"))
    }

    fn strings(self, bytes: &[u8]) -> Result<Value, WireError> {
        let mut items = Vec::new();
        let mut reader = Reader::new(bytes, "ExtraValue");
        while let Some((number, wire)) = reader.field()? {
            if number == 1 {
                items.push(json!(self.text(wire)?));
            }
        }
        Ok(Value::Array(items))
    }

    fn text(self, wire: Wire<'_>) -> Result<&str, WireError> {
        std::str::from_utf8(self.bytes(wire)?).map_err(|_| WireError::NotUtf8 {
            message: self.message.message.go_name(),
            field: self.field.name,
        })
    }

    fn bytes(self, wire: Wire<'_>) -> Result<&[u8], WireError> {
        match wire {
            Wire::Bytes(bytes) => Ok(bytes),
            other => Err(self.wrong(other)),
        }
    }

    /// What an item is that says nothing.
    fn zero(self) -> Value {
        match self.field.field_type {
            FieldType::Bool => json!(false),
            FieldType::Bytes | FieldType::String => json!(""),
            FieldType::Int32 | FieldType::Int64 | FieldType::IntOrString => json!(0),
            FieldType::Quantity => json!("0"),
            FieldType::Message(_) => json!({}),
            FieldType::StringList => json!([]),
            FieldType::FieldsV1 | FieldType::MicroTime | FieldType::Raw | FieldType::Time => Value::Null,
        }
    }

    fn wrong(self, wire: Wire<'_>) -> WireError {
        wire.is_wrong_for(&go_field(self.field))
    }

    fn refuse(self, wanted: &'static str) -> WireError {
        WireError::Value { message: self.message.message.go_name(), field: self.field.name, wanted }
    }
}

/// A field's name in Go, which the generated code quotes: `UID`, `APIVersion`, `NodeName`; an embedded one has that of its
/// type, as metadata has.
fn go_field(field: &Field) -> String {
    const INITIALS: [&str; 8] = ["api", "csi", "fs", "id", "ip", "tls", "uid", "url"];
    if let Some(message) = field.message().filter(|_| field.inline || field.name == "metadata") {
        return message.go_name().to_owned();
    }
    let name = field.name;
    let word = name.find(|character: char| character.is_ascii_uppercase()).unwrap_or(name.len());
    let (first, rest) = name.split_at(word);
    if INITIALS.contains(&first) {
        return format!("{}{rest}", first.to_ascii_uppercase());
    }
    let mut characters = first.chars();
    let capital: String = characters.next().map(|first| first.to_ascii_uppercase()).into_iter().collect();
    format!("{capital}{}{rest}", characters.as_str())
}
