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
    if field.shape != Shape::One || field.pointer {
        return value.or_else(|| (!field.omit_empty).then_some(Value::Null));
    }
    let value = value.unwrap_or_else(|| zero(field, release));
    let omitted = match field.field_type {
        FieldType::Bool | FieldType::Bytes | FieldType::Int32 | FieldType::Int64 | FieldType::String => {
            field.omit_empty && value == zero(field, release)
        }
        // Go's omitempty never leaves out a struct. The one field that upstream marks omitzero is this.
        FieldType::Time => {
            message.name == "meta/v1.ObjectMeta" && field.name == "creationTimestamp" && value.is_null()
        }
        _ => false,
    };
    (!omitted).then_some(value)
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
