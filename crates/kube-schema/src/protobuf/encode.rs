//! A tree as protobuf.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use jiff::Timestamp;
use serde_json::{Map, Value};
use tokenward_kube_rules::Release;

use super::envelope::{begin, end};
use super::order::Ordered;
use super::wire::{Reader, Wire, Writer, field_width};
use super::{EncodeError, Enveloped};
use crate::Kind;
use crate::table::{Field, FieldType, Shape};

type Object = Map<String, Value>;

/// The metadata of a list.
#[derive(Clone, Copy, Debug, Default)]
pub struct ListMeta<'a> {
    /// The version of the whole.
    pub resource_version: &'a str,
    /// Where the next part begins; empty at the end.
    pub continue_token: &'a str,
    /// How many follow, where that is known.
    pub remaining_item_count: Option<i64>,
}

/// An object, which [`crate::normalize`] has printed, in its envelope. A field that only some releases know is written if
/// the tree has it.
///
/// # Errors
/// The tree was not normalized.
pub fn encode(kind: &Kind, object: &Object) -> Result<Enveloped, EncodeError> {
    let message = Ordered::named(kind.message().name);
    Enveloped::try_write(&kind.api_version(), kind.kind, 1024, |writer| {
        write_message(writer, message, Some(object))
    })
}

/// A `Status`.
///
/// # Errors
/// The tree is none.
pub fn encode_status(object: &Object) -> Result<Enveloped, EncodeError> {
    let status = Ordered::named("meta/v1.Status");
    Enveloped::try_write("v1", "Status", 256, |writer| write_message(writer, status, Some(object)))
}

/// Only the metadata of an encoded object, which is the beginning of its [`Enveloped::message`], whatever the kind: the
/// message of a `PartialObjectMetadata`.
#[must_use]
pub fn metadata_of(message: &[u8]) -> &[u8] {
    match Reader::new(message, "PartialObjectMetadata").field() {
        Ok(Some((1, Wire::Bytes(metadata)))) => &message[..field_width(metadata.len())],
        _ => &[],
    }
}

/// A message that is encoded already in an envelope of its own: a `PartialObjectMetadata` for instance.
#[must_use]
pub fn envelop(api_version: &str, kind: &str, message: &[u8]) -> Enveloped {
    Enveloped::write(api_version, kind, message.len(), |writer| writer.raw(message))
}

/// What stands around the items of a list, which go between: a long list need never be in one place.
pub struct ListFrame {
    /// The envelope's beginning, and the list's metadata.
    pub before: Vec<u8>,
    /// The envelope's end.
    pub after: Vec<u8>,
}

/// The frame of a list whose items, each with its [`list_item_width`], have `items_width` bytes together.
#[must_use]
pub fn list_frame(
    api_version: &str,
    list_kind: &str,
    metadata: ListMeta<'_>,
    items_width: usize,
) -> ListFrame {
    let mut head = Writer::default();
    head.message(1, |writer| {
        writer.string(1, "");
        writer.string(2, metadata.resource_version);
        writer.string(3, metadata.continue_token);
        if let Some(remaining) = metadata.remaining_item_count {
            writer.int(4, remaining);
        }
    });
    let head = head.into_bytes();
    let mut before = begin(api_version, list_kind, head.len());
    before.head(2, head.len() + items_width);
    before.raw(&head);
    let mut after = Writer::default();
    end(&mut after);
    ListFrame { before: before.into_bytes(), after: after.into_bytes() }
}

/// How many bytes an item takes in a list: an [`Enveloped::message`], or the [`metadata_of`] one.
#[must_use]
pub fn list_item_width(message: &[u8]) -> usize {
    field_width(message.len())
}

/// The message of an [`Enveloped::list_item`]; empty if there is none.
#[must_use]
pub fn message_of_item(item: &[u8]) -> &[u8] {
    match Reader::new(item, "List").field() {
        Ok(Some((2, Wire::Bytes(message)))) => message,
        _ => &[],
    }
}

/// Puts an item into a list.
pub fn write_list_item(list: &mut Vec<u8>, message: &[u8]) {
    let mut writer = Writer::after(std::mem::take(list));
    writer.bytes(2, message);
    *list = writer.into_bytes();
}

/// What stands before an enveloped object in a frame of a watch: the frame's length in four bytes, and the beginning of
/// a `WatchEvent`.
#[must_use]
pub fn event_head(event_type: &str, object_length: usize) -> Vec<u8> {
    let length = field_width(event_type.len()) + field_width(field_width(object_length));
    let mut writer = Writer::with_capacity(length - object_length + 4);
    writer.raw(&u32::try_from(length).expect("an object of less than 4 GiB").to_be_bytes());
    writer.string(1, event_type);
    writer.head(2, field_width(object_length));
    writer.head(1, object_length);
    writer.into_bytes()
}

/// Where a value stands, for errors.
#[derive(Clone, Copy)]
struct Place {
    message: Ordered,
    field: &'static Field,
}

impl Place {
    fn refuse(self) -> EncodeError {
        EncodeError { message: self.message.message.go_name(), field: self.field.name }
    }
}

/// The fields of a message in the order of their numbers. Without a tree it is the zero value.
fn write_message(writer: &mut Writer, message: Ordered, tree: Option<&Object>) -> Result<(), EncodeError> {
    for field in message.fields.iter().copied() {
        let place = Place { message, field };
        let number = field.number;
        if let (true, FieldType::Message(index)) = (field.inline, field.field_type) {
            write_nested(writer, number, index, tree)?;
            continue;
        }
        let value = tree.and_then(|tree| tree.get(field.name)).filter(|value| !value.is_null());
        match (field.shape, value) {
            (Shape::One, None) if field.pointer || field.since != Release::ALL[0] => {}
            (Shape::One, value) => write_item(writer, place, number, value)?,
            (Shape::List | Shape::Map, None) => {}
            (Shape::List, Some(Value::Array(items))) => {
                items.iter().try_for_each(|item| write_item(writer, place, number, Some(item)))?;
            }
            (Shape::Map, Some(Value::Object(members))) => {
                let mut members: Vec<_> = members.iter().collect();
                members.sort_by_key(|(key, _)| *key);
                for (key, value) in members {
                    writer.message(number, |writer| {
                        writer.string(1, key);
                        write_item(writer, place, 2, Some(value))
                    })?;
                }
            }
            _ => return Err(place.refuse()),
        }
    }
    Ok(())
}

fn write_nested(
    writer: &mut Writer,
    number: u32,
    index: u16,
    tree: Option<&Object>,
) -> Result<(), EncodeError> {
    writer.message(number, |writer| write_message(writer, Ordered::at(index), tree))
}

/// One value, or one of a list or map; null, as absent, is the zero value.
fn write_item(
    writer: &mut Writer,
    place: Place,
    number: u32,
    value: Option<&Value>,
) -> Result<(), EncodeError> {
    let value = value.filter(|value| !value.is_null());
    match (place.field.field_type, value) {
        (FieldType::Message(index), None) => write_nested(writer, number, index, None),
        (FieldType::Message(index), Some(Value::Object(tree))) => {
            write_nested(writer, number, index, Some(tree))
        }
        (_, Some(value)) => write_value(writer, place.field, number, value).ok_or_else(|| place.refuse()),
        (_, None) => {
            write_zero(writer, place.field, number);
            Ok(())
        }
    }
}

/// A value that is no message of the table; `None` if it is of another type than the field.
fn write_value(writer: &mut Writer, field: &Field, number: u32, value: &Value) -> Option<()> {
    match (field.field_type, value) {
        (FieldType::Bool, Value::Bool(value)) => writer.bool(number, *value),
        (FieldType::Int32 | FieldType::Int64, Value::Number(value)) => writer.int(number, value.as_i64()?),
        (FieldType::String, Value::String(text)) => writer.string(number, text),
        (FieldType::Bytes, Value::String(text)) => writer.bytes(number, &STANDARD.decode(text).ok()?),
        (FieldType::Time, Value::String(text)) => {
            let time: Timestamp = text.parse().ok()?;
            // Go writes the nanoseconds of a Time, and they are always zero.
            write_time(writer, number, time.as_second(), 0);
        }
        (FieldType::MicroTime, Value::String(text)) => {
            let nanoseconds = text.parse::<Timestamp>().ok()?.as_nanosecond();
            let seconds = i64::try_from(nanoseconds.div_euclid(1_000_000_000)).ok()?;
            let rest = i64::try_from(nanoseconds.rem_euclid(1_000_000_000)).ok()?;
            write_time(writer, number, seconds, rest / 1000 * 1000);
        }
        (FieldType::Quantity, Value::String(text)) => writer.message(number, |writer| writer.string(1, text)),
        (FieldType::IntOrString, Value::Number(value)) => {
            write_int_or_string(writer, number, 0, value.as_i64()?, "");
        }
        (FieldType::IntOrString, Value::String(text)) => write_int_or_string(writer, number, 1, 0, text),
        (FieldType::FieldsV1 | FieldType::Raw, value) => {
            writer.message(number, |writer| writer.string(1, &value.to_string()));
        }
        (FieldType::StringList, Value::Array(items)) => {
            let texts: Option<Vec<&str>> = items.iter().map(Value::as_str).collect();
            let texts = texts?;
            writer.message(number, |writer| texts.iter().for_each(|text| writer.string(1, text)));
        }
        _ => return None,
    }
    Some(())
}

fn write_zero(writer: &mut Writer, field: &Field, number: u32) {
    match field.field_type {
        FieldType::Bool | FieldType::Int32 | FieldType::Int64 => writer.int(number, 0),
        FieldType::String => writer.string(number, ""),
        // Go's nil, which is not written where it is no item.
        FieldType::Bytes if field.shape == Shape::One => {}
        FieldType::Bytes => writer.bytes(number, &[]),
        FieldType::Quantity => writer.message(number, |writer| writer.string(1, "0")),
        FieldType::IntOrString => write_int_or_string(writer, number, 0, 0, ""),
        FieldType::FieldsV1
        | FieldType::Message(_)
        | FieldType::MicroTime
        | FieldType::Raw
        | FieldType::StringList
        | FieldType::Time => writer.message(number, |_| ()),
    }
}

fn write_time(writer: &mut Writer, number: u32, seconds: i64, nanoseconds: i64) {
    writer.message(number, |writer| {
        writer.int(1, seconds);
        writer.int(2, nanoseconds);
    });
}

fn write_int_or_string(writer: &mut Writer, number: u32, kind: i64, int: i64, text: &str) {
    writer.message(number, |writer| {
        writer.int(1, kind);
        writer.int(2, int);
        writer.string(3, text);
    });
}
