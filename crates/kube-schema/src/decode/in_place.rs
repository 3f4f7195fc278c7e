//! Checks, prunes and prints a tree where it is: the same outcome as [`super::walk`] and [`super::print`], for a tree that
//! nobody needs any more as it was. What is already as Go prints it is looked at and left alone.

use serde_json::{Map, Value};
use tokenward_kube_rules::{Release, quantity};

use super::print::{is_omitted, of_nothing};
use super::walk::{absent_item, canonical_base64, is_quantity};
use crate::go_time;
use crate::table::{Field, FieldType, Message, Shape};

/// A value that its type cannot hold. The walk tells which, in Go's words.
pub(super) struct Misfit;

/// Brings every field of a message to the form in which Go prints it, and removes what the release does not know.
/// `is_apart` holds for members that are no fields and stay.
pub(super) fn settle(
    message: &Message,
    release: Release,
    object: &mut Map<String, Value>,
    is_apart: fn(&str) -> bool,
) -> Result<(), Misfit> {
    let mut fits = true;
    object.retain(|name, value| {
        if !fits {
            return true;
        }
        match message.field(name).filter(|field| field.since <= release) {
            None => is_apart(name),
            Some(field) => settle_field(message, field, release, value).unwrap_or_else(|Misfit| {
                fits = false;
                true
            }),
        }
    });
    if !fits {
        return Err(Misfit);
    }
    add_missing(message, release, object);
    Ok(())
}

/// Puts in what Go prints of fields that have no value.
fn add_missing(message: &Message, release: Release, object: &mut Map<String, Value>) {
    for field in message.fields.iter().filter(|field| field.since <= release) {
        if field.inline {
            if let Some(inlined) = field.message() {
                add_missing(inlined, release, object);
            }
        } else if may_be_shown(field)
            && !object.contains_key(field.name)
            && let Some(value) = of_nothing(message, field, release)
        {
            object.insert(field.name.to_owned(), value);
        }
    }
}

/// Whether Go may print the field when it has no value: for most, a quick no.
fn may_be_shown(field: &Field) -> bool {
    !field.omit_empty || field.shape == Shape::One && !field.pointer
}

/// Settles a field's value; false when Go does not print it.
fn settle_field(
    message: &Message,
    field: &Field,
    release: Release,
    value: &mut Value,
) -> Result<bool, Misfit> {
    let is_there = match (field.shape, &mut *value) {
        (_, Value::Null) => false,
        (Shape::One, value) => settle_item(field, release, value)?,
        (Shape::List, Value::Array(items)) => {
            for item in &mut *items {
                settle_member(field, release, item)?;
            }
            !items.is_empty()
        }
        (Shape::Map, Value::Object(members)) => {
            for (_, member) in &mut *members {
                settle_member(field, release, member)?;
            }
            !members.is_empty()
        }
        (Shape::List | Shape::Map, _) => return Err(Misfit),
    };
    if !is_there {
        return Ok(of_nothing(message, field, release).map(|printed| *value = printed).is_some());
    }
    Ok(field.shape != Shape::One || field.pointer || !is_omitted(message, field, value))
}

/// Settles an item of a list or a map: null is the zero value.
fn settle_member(field: &Field, release: Release, value: &mut Value) -> Result<(), Misfit> {
    let is_raw = matches!(field.field_type, FieldType::FieldsV1 | FieldType::Raw);
    if !is_raw && (value.is_null() || !settle_item(field, release, value)?) {
        *value = absent_item(field);
        if let (Some(message), Value::Object(members)) = (field.message(), value) {
            settle(message, release, members, |_| false)?;
        }
    }
    Ok(())
}

/// Settles one value that is not null; false when it stands for nothing.
fn settle_item(field: &Field, release: Release, value: &mut Value) -> Result<bool, Misfit> {
    let fits = match (field.field_type, &mut *value) {
        (FieldType::FieldsV1 | FieldType::Raw, _)
        | (FieldType::Bool, Value::Bool(_))
        | (FieldType::String | FieldType::IntOrString, Value::String(_)) => true,
        (FieldType::Int64, Value::Number(number)) => number.is_i64(),
        (FieldType::Int32 | FieldType::IntOrString, Value::Number(number)) => {
            number.as_i64().is_some_and(|number| i32::try_from(number).is_ok())
        }
        (FieldType::Bytes, Value::String(text)) => {
            let canonical = canonical_base64(text).ok_or(Misfit)?;
            if canonical != *text {
                *text = canonical;
            }
            true
        }
        (FieldType::Quantity, Value::String(text)) if is_quantity(text) => {
            let printed = quantity::canonical(text.trim());
            if printed != *text {
                *text = printed.into_owned();
            }
            true
        }
        (FieldType::Quantity, Value::Number(number)) => {
            let text = number.to_string();
            let fits = is_quantity(&text);
            *value = quantity::canonical(&text).into();
            fits
        }
        (FieldType::Time | FieldType::MicroTime, Value::String(text)) => {
            let printed = match field.field_type {
                FieldType::MicroTime => go_time::micros(text),
                _ => go_time::seconds(text),
            };
            match printed.ok_or(Misfit)? {
                Some(printed) => *text = printed,
                None => return Ok(false),
            }
            true
        }
        (FieldType::StringList, Value::Array(items)) => {
            for item in items.iter_mut().filter(|item| item.is_null()) {
                *item = "".into();
            }
            items.iter().all(Value::is_string)
        }
        (FieldType::Message(_), Value::Object(members)) => {
            let message = field.message().ok_or(Misfit)?;
            settle(message, release, members, |_| false)?;
            true
        }
        _ => false,
    };
    if fits { Ok(true) } else { Err(Misfit) }
}
