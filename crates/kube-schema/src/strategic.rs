//! Strategic merge patch: a merge patch that knows which lists have keys.
//!
//! Members merge, null deletes, lists that the table gives a merge key merge item by item, all other lists are replaced.
//! A patch may carry directives beside its data: `$patch` replaces or deletes what it stands in, `$retainKeys` names the
//! members that stay, `$deleteFromPrimitiveList/x` takes values out of `x`, `$setElementOrder/x` orders it. None of them
//! is ever left in the result.

use std::collections::HashSet;

use serde_json::{Map, Value};
use tokenward_kube_rules::Release;

use self::lists::{merge_keyed, merge_values, order_by};
use crate::Kind;
use crate::table::{Field, Message, Shape};

mod error;
mod lists;

#[cfg(test)]
mod tests;

pub use error::{StrategicError, StrategicFault};

type Object = Map<String, Value>;

const DIRECTIVE: &str = "$patch";
const RETAIN_KEYS: &str = "$retainKeys";
const DELETE_FROM: &str = "$deleteFromPrimitiveList";
const SET_ORDER: &str = "$setElementOrder";

/// Applies a strategic merge patch to an object of a kind. The result is a tree that still has to be checked and
/// pruned, by [`crate::normalize`].
///
/// # Errors
/// A patch that breaks the rules of its directives, or a list whose items cannot be told apart. No text quotes a value.
pub fn strategic_merge(
    kind: &Kind,
    release: Release,
    original: &Object,
    patch: &Object,
) -> Result<Object, StrategicError> {
    merge_object(original.clone(), patch.clone(), Place::Struct(kind.message(), release))
}

/// What the table says about an object in the tree.
#[derive(Clone, Copy)]
enum Place {
    /// It has these fields, as of this release.
    Struct(&'static Message, Release),
    /// Its members are all alike: items of this map.
    MapOf(&'static Field, Release),
    /// It is opaque.
    Opaque,
}

impl Place {
    /// The field that a member is; of a map, the map itself. None for a member that nobody knows.
    fn field(self, name: &str) -> Option<(&'static Field, Release)> {
        match self {
            Self::Struct(message, release) => {
                let field = message.field(name).filter(|field| field.since <= release)?;
                Some((field, release))
            }
            Self::MapOf(field, release) => Some((field, release)),
            Self::Opaque => None,
        }
    }

    /// What one item of a field is.
    fn item(field: &'static Field, release: Release) -> Self {
        field.message().map_or(Self::Opaque, |message| Self::Struct(message, release))
    }

    /// What an object in that member is.
    fn object(self, name: &str) -> Result<Self, StrategicError> {
        let (field, release) = self.field(name).ok_or_else(|| self.unknown(name))?;
        let is_map_itself = matches!(self, Self::Struct(..)) && field.shape == Shape::Map;
        Ok(if is_map_itself { Self::MapOf(field, release) } else { Self::item(field, release) })
    }

    /// The list that a member is.
    fn list(self, name: &str) -> Result<(&'static Field, Release), StrategicError> {
        self.field(name).ok_or_else(|| self.unknown(name))
    }

    fn unknown(self, name: &str) -> StrategicError {
        let go_struct = match self {
            Self::Struct(message, _) => message.go_name(),
            Self::MapOf(..) | Self::Opaque => "RawExtension",
        };
        StrategicError::UnknownField { go_struct, name: name.to_owned() }
    }
}

fn merge_object(mut original: Object, mut patch: Object, place: Place) -> Result<Object, StrategicError> {
    if let Some(directive) = patch.remove(DIRECTIVE) {
        return match directive.as_str() {
            Some("replace") => Ok(cleaned_object(patch)),
            Some("delete") => Ok(Object::new()),
            _ => Err(StrategicError::unknown_directive(&directive)),
        };
    }
    if let Some(retained) = patch.remove(RETAIN_KEYS) {
        retain_keys(&mut original, &patch, &retained)?;
    }
    apply_orders(&mut original, &mut patch, place)?;
    for (name, value) in patch {
        merge_member(&mut original, &name, value, place)?;
    }
    Ok(original)
}

fn merge_member(original: &mut Object, name: &str, value: Value, place: Place) -> Result<(), StrategicError> {
    let deleted_from = parallel(name, DELETE_FROM, &StrategicError::BadPrimitiveList)?;
    let name = deleted_from.unwrap_or(name);
    if value.is_null() {
        original.remove(name);
        return Ok(());
    }
    match (original.get_mut(name), value) {
        (Some(Value::Object(own)), Value::Object(patch))
            if place.field(name).is_some_and(|(field, _)| field.replaced) =>
        {
            *own = cleaned_object(patch);
        }
        (Some(Value::Object(own)), Value::Object(patch)) => {
            *own = merge_object(std::mem::take(own), patch, place.object(name)?)?;
        }
        (Some(Value::Array(own)), Value::Array(patch)) => {
            let (field, release) = place.list(name)?;
            let own_items = std::mem::take(own);
            *own = match (field.patch, deleted_from) {
                (None, _) => cleaned_list(patch),
                (Some(_), Some(_)) if !patch.iter().chain(&own_items).any(Value::is_object) => {
                    lists::delete_values(own_items, &patch)
                }
                (Some(strategy), _) => {
                    merge_list(own_items, patch, strategy.merge_key, Place::item(field, release))?
                }
            };
        }
        // There is nothing to take values out of.
        (None, _) if deleted_from.is_some() => {}
        (Some(own), _) if deleted_from.is_some() && !own.is_array() => {}
        (_, value) => match cleaned(value) {
            Some(value) => {
                original.insert(name.to_owned(), value);
            }
            None => {
                original.remove(name);
            }
        },
    }
    Ok(())
}

fn merge_list(
    original: Vec<Value>,
    patch: Vec<Value>,
    merge_key: &str,
    item: Place,
) -> Result<Vec<Value>, StrategicError> {
    if original.is_empty() && patch.is_empty() {
        return Ok(original);
    }
    if lists::holds_objects([&original, &patch])? {
        if merge_key.is_empty() {
            return Err(StrategicError::NoKeyDeclared);
        }
        merge_keyed(original, patch, merge_key, item)
    } else if merge_key.is_empty() {
        Ok(merge_values(&original, &patch))
    } else {
        let found = patch.first().or(original.first()).map_or("nil", go_type);
        Err(StrategicError::WrongType { wanted: OBJECT, found })
    }
}

/// Drops what `$retainKeys` does not name. The patch itself may only set what it retains.
fn retain_keys(original: &mut Object, patch: &Object, retained: &Value) -> Result<(), StrategicError> {
    let Value::Array(retained) = retained else { return Err(StrategicError::BadRetainKeys) };
    let retained: HashSet<&str> = retained.iter().filter_map(Value::as_str).collect();
    let is_retained = |name: &String| retained.contains(name.as_str());
    let sets_other = patch.iter().any(|(name, value)| {
        !value.is_null()
            && !name.starts_with(DELETE_FROM)
            && !name.starts_with(SET_ORDER)
            && !is_retained(name)
    });
    if sets_other {
        return Err(StrategicError::BadRetainKeys);
    }
    original.retain(|name, _| is_retained(name));
    Ok(())
}

/// Takes every `$setElementOrder/x` out of the patch together with the patch's own `x`, merges and orders it.
fn apply_orders(original: &mut Object, patch: &mut Object, place: Place) -> Result<(), StrategicError> {
    let directives: Vec<String> = patch.keys().filter(|name| name.starts_with(SET_ORDER)).cloned().collect();
    for directive in directives {
        let order = patch.remove(&directive).unwrap_or_default();
        let Value::Array(order) = order else {
            return Err(StrategicError::WrongType { wanted: ARRAY, found: go_type(&order) });
        };
        let name = parallel(&directive, SET_ORDER, &StrategicError::BadElementOrder)?
            .ok_or(StrategicError::BadElementOrder)?;
        let own = original.get(name).map(list_of).transpose()?;
        let patched = patch.get(name).map(list_of).transpose()?;
        let (field, release) = place.list(name)?;
        let merge_key = field.patch.map_or("", |strategy| strategy.merge_key);
        if let Some(patched) = patched {
            lists::check_order(patched, &order, merge_key)?;
        }
        let merged = match (own, patched) {
            (None, None) => continue,
            (Some(own), None) => own.clone(),
            (None, Some(patched)) => cleaned_list(patched.clone()),
            (Some(own), Some(patched)) if field.patch.is_some() => {
                merge_list(own.clone(), patched.clone(), merge_key, Place::item(field, release))?
            }
            (Some(_), Some(patched)) => cleaned_list(patched.clone()),
        };
        let live = own.map_or(&[][..], Vec::as_slice);
        let ordered = order_by(merged, &order, live, merge_key)?;
        patch.remove(name);
        original.insert(name.to_owned(), Value::Array(ordered));
    }
    Ok(())
}

/// The list that a directive like `$setElementOrder/x` is about; none if the name is no such directive.
fn parallel<'n>(
    name: &'n str,
    prefix: &str,
    fault: &StrategicError,
) -> Result<Option<&'n str>, StrategicError> {
    match name.strip_prefix(prefix) {
        None => Ok(None),
        Some(rest) => rest.strip_prefix('/').map(Some).ok_or_else(|| fault.clone()),
    }
}

fn list_of(value: &Value) -> Result<&Vec<Value>, StrategicError> {
    value.as_array().ok_or_else(|| StrategicError::WrongType { wanted: ARRAY, found: go_type(value) })
}

/// A value that nothing is there to merge with: nulls and directives are dropped. None for what a directive deletes.
fn cleaned(value: Value) -> Option<Value> {
    match value {
        Value::Object(object) if object.contains_key(DIRECTIVE) => None,
        Value::Object(object) => Some(Value::Object(cleaned_object(object))),
        Value::Array(items) => Some(Value::Array(cleaned_list(items))),
        Value::Null => None,
        other => Some(other),
    }
}

/// In a list, null is an item and stays.
fn cleaned_list(items: Vec<Value>) -> Vec<Value> {
    items.into_iter().filter_map(|item| if item.is_null() { Some(item) } else { cleaned(item) }).collect()
}

fn cleaned_object(object: Object) -> Object {
    let is_data = |name: &String| {
        name != DIRECTIVE
            && name != RETAIN_KEYS
            && !name.starts_with(DELETE_FROM)
            && !name.starts_with(SET_ORDER)
    };
    let members = object.into_iter().filter(|(name, _)| is_data(name));
    members.filter_map(|(name, value)| Some((name, cleaned(value)?))).collect()
}

const OBJECT: &str = "map[string]interface {}";
const ARRAY: &str = "[]interface {}";

/// Go's name for the type of a decoded JSON value.
fn go_type(value: &Value) -> &'static str {
    match value {
        Value::Null => "nil",
        Value::Bool(_) => "bool",
        Value::Number(number) if number.is_f64() => "float64",
        Value::Number(_) => "int64",
        Value::String(_) => "string",
        Value::Array(_) => ARRAY,
        Value::Object(_) => OBJECT,
    }
}
