//! Prints a pruned tree as Go would: fills in what has no `omitempty`, drops zero values that have.

use serde_json::{Map, Value, json};
use tokenward_kube_rules::Release;

use crate::table::{Field, FieldType, Message, Shape};

/// Brings every field of a message to the form in which Go prints it.
pub(super) fn print(message: &Message, release: Release, object: &mut Map<String, Value>) {
    for field in message.fields.iter().filter(|field| field.since <= release) {
        if field.inline {
            if let Some(inlined) = field.message() {
                print(inlined, release, object);
            }
            continue;
        }
        if let Some(value) = printed(message, field, release, object.remove(field.name)) {
            object.insert(field.name.to_owned(), value);
        }
    }
}

fn printed(message: &Message, field: &Field, release: Release, value: Option<Value>) -> Option<Value> {
    let value = match (field.shape, value) {
        (Shape::One, Some(value)) => Some(item(field, release, value)),
        (Shape::List, Some(Value::Array(items))) if !items.is_empty() => {
            Some(items.into_iter().map(|value| item(field, release, value)).collect())
        }
        (Shape::Map, Some(Value::Object(items))) if !items.is_empty() => {
            Some(items.into_iter().map(|(key, value)| (key, item(field, release, value))).collect())
        }
        // An empty list or map is not kept apart from an absent one, since protobuf, the form that upstream stores, is not
        // able to.
        (Shape::List | Shape::Map, _) | (Shape::One, None) => None,
    };
    let Some(value) = value else { return of_nothing(message, field, release) };
    let is_kept = field.shape != Shape::One || field.pointer || !is_omitted(message, field, &value);
    is_kept.then_some(value)
}

/// What Go prints of a field that has no value, if anything.
pub(super) fn of_nothing(message: &Message, field: &Field, release: Release) -> Option<Value> {
    if field.shape != Shape::One || field.pointer {
        return (!field.omit_empty).then_some(Value::Null);
    }
    let is_plain = matches!(
        field.field_type,
        FieldType::Bool | FieldType::Bytes | FieldType::Int32 | FieldType::Int64 | FieldType::String
    );
    if is_plain && field.omit_empty {
        return None;
    }
    let value = zero(field, release);
    (!is_omitted(message, field, &value)).then_some(value)
}

/// Whether Go leaves out this value of a field that is one value and no pointer.
pub(super) fn is_omitted(message: &Message, field: &Field, value: &Value) -> bool {
    match (field.field_type, value) {
        (FieldType::Bool, Value::Bool(value)) => field.omit_empty && !value,
        (FieldType::Int32 | FieldType::Int64, Value::Number(number)) => {
            field.omit_empty && number.as_i64() == Some(0)
        }
        (FieldType::Bytes | FieldType::String, Value::String(text)) => field.omit_empty && text.is_empty(),
        // Go's omitempty never leaves out a struct. The one field that upstream marks omitzero is this.
        (FieldType::Time, Value::Null) => {
            message.name == "meta/v1.ObjectMeta" && field.name == "creationTimestamp"
        }
        _ => false,
    }
}

fn item(field: &Field, release: Release, mut value: Value) -> Value {
    if let (Some(message), Value::Object(object)) = (field.message(), &mut value) {
        print(message, release, object);
    }
    value
}

/// What Go prints for the zero value.
pub(super) fn zero(field: &Field, release: Release) -> Value {
    match field.field_type {
        FieldType::Bool => json!(false),
        FieldType::Bytes | FieldType::String => json!(""),
        FieldType::Int32 | FieldType::Int64 | FieldType::IntOrString => json!(0),
        FieldType::Quantity => json!("0"),
        FieldType::FieldsV1
        | FieldType::MicroTime
        | FieldType::Raw
        | FieldType::StringList
        | FieldType::Time => Value::Null,
        FieldType::Message(_) => item(field, release, json!({})),
    }
}
