//! Lists that merge: by a key, by value, and the order that the result has.

use std::collections::{HashMap, HashSet};

use serde_json::Value;

use super::{DIRECTIVE, Place, StrategicError, cleaned, cleaned_list, go_type, merge_object};

/// Whether the lists hold objects; they must hold one type of values throughout, and no lists.
pub(super) fn holds_objects<'v>(
    lists: impl IntoIterator<Item = &'v Vec<Value>>,
) -> Result<bool, StrategicError> {
    let mut first = None;
    for item in lists.into_iter().flatten() {
        if item.is_array() {
            return Err(StrategicError::ListOfLists);
        }
        let found = go_type(item);
        if item.is_null() || *first.get_or_insert(found) != found {
            return Err(StrategicError::MixedItems);
        }
    }
    Ok(first == Some(super::OBJECT))
}

/// Merges objects by the member that tells them apart.
pub(super) fn merge_keyed(
    mut original: Vec<Value>,
    patch: Vec<Value>,
    merge_key: &str,
    item: Place,
) -> Result<Vec<Value>, StrategicError> {
    let mut plain = Vec::with_capacity(patch.len());
    let mut deleted = HashSet::new();
    let mut replaces = false;
    for value in patch {
        match value.get(DIRECTIVE) {
            None => plain.push(value),
            Some(directive) => match directive.as_str() {
                Some("delete") => {
                    deleted.insert(key_of(&value, merge_key)?);
                }
                Some("replace") => replaces = true,
                Some("merge") => return Err(StrategicError::MergeInList),
                _ => return Err(StrategicError::unknown_directive(directive)),
            },
        }
    }
    if replaces {
        return Ok(cleaned_list(plain));
    }
    original.retain(|item| key_of(item, merge_key).map_or(true, |key| !deleted.contains(&key)));
    let live: Vec<Value> =
        original.iter().map(|item| key_alone(item, merge_key)).collect::<Result<_, _>>()?;
    let order: Vec<Value> = plain.iter().map(|item| key_alone(item, merge_key)).collect::<Result<_, _>>()?;
    let mut places = positions(&original, merge_key)?;
    for value in plain {
        let key = key_of(&value, merge_key)?;
        let Value::Object(patch) = value else { continue };
        match places.get(&key).and_then(|place| original.get_mut(*place)) {
            Some(own) => {
                let Value::Object(own_members) = own.take() else { return Err(StrategicError::MixedItems) };
                *own = Value::Object(merge_object(own_members, patch, item)?);
            }
            None => {
                places.insert(key, original.len());
                original.extend(cleaned(Value::Object(patch)));
            }
        }
    }
    order_by(original, &order, &live, merge_key)
}

/// Merges plain values: each stands once.
pub(super) fn merge_values(original: &[Value], patch: &[Value]) -> Vec<Value> {
    let mut seen = HashSet::new();
    let all = original.iter().chain(patch).cloned();
    let merged = all.filter(|value| seen.insert(value.to_string())).collect();
    // Values are their own keys, which they cannot lack.
    order_by(merged, patch, original, "").unwrap_or_default()
}

/// Takes plain values out of a list.
pub(super) fn delete_values(original: Vec<Value>, deleted: &[Value]) -> Vec<Value> {
    let deleted: HashSet<String> = deleted.iter().map(Value::to_string).collect();
    original.into_iter().filter(|value| !deleted.contains(&value.to_string())).collect()
}

/// Orders a merged list: what `order` names stands in that order, all else as it stood in `live`, and the two are
/// interleaved as they stood in `live`.
pub(super) fn order_by(
    merged: Vec<Value>,
    order: &[Value],
    live: &[Value],
    merge_key: &str,
) -> Result<Vec<Value>, StrategicError> {
    let order = positions(order, merge_key)?;
    let live = positions(live, merge_key)?;
    let place = |item: &Value, places: &HashMap<String, usize>| -> Result<Option<usize>, StrategicError> {
        Ok(places.get(&key_of(item, merge_key)?).copied())
    };
    let mut ordered = Vec::new();
    let mut others = Vec::new();
    for item in merged {
        let in_live = place(&item, &live)?;
        match place(&item, &order)? {
            Some(position) => ordered.push((position, in_live, item)),
            None => others.push((in_live.unwrap_or(usize::MAX), in_live, item)),
        }
    }
    ordered.sort_by_key(|(position, ..)| *position);
    others.sort_by_key(|(position, ..)| *position);
    let mut result = Vec::with_capacity(ordered.len() + others.len());
    let mut others = others.into_iter().peekable();
    for (_, in_live, item) in ordered {
        let comes_first = |other: &(usize, Option<usize>, Value)| matches!((other.1, in_live), (Some(other), Some(own)) if other < own);
        while let Some((.., other)) = others.next_if(comes_first) {
            result.push(other);
        }
        result.push(item);
    }
    result.extend(others.map(|(.., item)| item));
    Ok(result)
}

/// The patch's items must stand in `$setElementOrder` in the same order; items that it deletes need not.
pub(super) fn check_order(patch: &[Value], order: &[Value], merge_key: &str) -> Result<(), StrategicError> {
    if patch.is_empty() || order.is_empty() {
        return Ok(());
    }
    let mut order = order.iter();
    for item in patch.iter().filter(|item| item.get(DIRECTIVE).is_none()) {
        let key = key_of(item, merge_key)?;
        loop {
            let next = order.next().ok_or(StrategicError::OrderMismatch)?;
            if key_of(next, merge_key)? == key {
                break;
            }
        }
    }
    Ok(())
}

/// The first place of every key.
fn positions(items: &[Value], merge_key: &str) -> Result<HashMap<String, usize>, StrategicError> {
    let mut places = HashMap::with_capacity(items.len());
    for (position, item) in items.iter().enumerate() {
        places.entry(key_of(item, merge_key)?).or_insert(position);
    }
    Ok(places)
}

/// What tells an item apart, as JSON; a plain value is its own key.
fn key_of(item: &Value, merge_key: &str) -> Result<String, StrategicError> {
    if merge_key.is_empty() {
        return Ok(item.to_string());
    }
    match item {
        Value::Object(members) => {
            members.get(merge_key).map(Value::to_string).ok_or_else(|| no_key(merge_key))
        }
        other => Err(StrategicError::WrongType { wanted: super::OBJECT, found: go_type(other) }),
    }
}

/// An item without all that does not tell it apart.
fn key_alone(item: &Value, merge_key: &str) -> Result<Value, StrategicError> {
    let key = item.get(merge_key).cloned().ok_or_else(|| no_key(merge_key))?;
    Ok(Value::Object([(merge_key.to_owned(), key)].into_iter().collect()))
}

fn no_key(merge_key: &str) -> StrategicError {
    StrategicError::NoMergeKey(merge_key.to_owned())
}
