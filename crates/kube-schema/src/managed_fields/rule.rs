//! How the table says that a value is owned and merged: as a whole, by members, or by items.

use serde_json::Value;
use tokenward_kube_rules::Release;

use super::element;
use crate::table::{Field, FieldType, ListType, MapType, Message, Shape};

/// How a value is owned and merged.
#[derive(Clone, Copy, Debug)]
pub(super) enum Rule {
    /// As a whole.
    Leaf,
    /// By its fields.
    Struct(&'static Message),
    /// By its members, which are all alike: items of this field.
    Map(&'static Field),
    /// By its items, each of which is its own key.
    Set,
    /// By its items, which are objects found by these keys.
    Keyed(&'static Message, &'static [&'static str]),
}

/// An item of a list that cannot be told from others.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum ItemFault {
    #[error("associative list with keys may not have a null element")]
    NullWithKeys,
    #[error("associative list with keys may not have non-map elements")]
    NoMap,
    #[error(
        "associative list with keys has an element that omits key field {0:?} (and doesn't have default value)"
    )]
    NoKey(&'static str),
    #[error("associative list without keys has an element that's a map type")]
    MapWithoutKeys,
    #[error("not supported: list of lists")]
    ListOfLists,
    #[error("associative list without keys has an element that's an explicit null")]
    NullWithoutKeys,
}

impl Rule {
    /// Of a field's whole value.
    pub(super) fn of(field: &'static Field) -> Self {
        match (field.shape, field.merge, field.map_type) {
            (Shape::List, Some(ListType::Set), _) => Self::Set,
            (Shape::List, Some(ListType::Map(keys)), _) => {
                field.message().map_or(Self::Leaf, |message| Self::Keyed(message, keys))
            }
            (Shape::List, ..) | (_, _, Some(MapType::Atomic)) => Self::Leaf,
            (Shape::Map, ..) => Self::Map(field),
            (Shape::One, _, Some(MapType::Granular)) => field.message().map_or(Self::Leaf, Self::Struct),
            (Shape::One, ..) => Self::item(field),
        }
    }

    /// Of one item of a map.
    pub(super) fn item(field: &'static Field) -> Self {
        field.message().map_or(Self::Leaf, Self::message)
    }

    fn message(message: &'static Message) -> Self {
        if message.is_atomic() { Self::Leaf } else { Self::Struct(message) }
    }

    /// Of a member of an object, or of an item of a list. A member that nobody knows is a leaf.
    pub(super) fn member(self, name: &str, release: Release) -> Self {
        match self {
            Self::Struct(message) => known(message, name, release).map_or(Self::Leaf, Self::of),
            Self::Map(field) => Self::item(field),
            Self::Keyed(message, _) => Self::message(message),
            Self::Leaf | Self::Set => Self::Leaf,
        }
    }

    /// Of what a step leads to.
    pub(super) fn step(self, element: &str, release: Release) -> Self {
        self.member(element.strip_prefix("f:").unwrap_or_default(), release)
    }

    /// Whether a step is a field that the type declares.
    pub(super) fn declares(self, element: &str, release: Release) -> bool {
        match (self, element.strip_prefix("f:")) {
            (Self::Struct(message), Some(name)) => known(message, name, release).is_some(),
            _ => false,
        }
    }

    /// The step that leads to an item of the list.
    pub(super) fn element(self, item: &Value) -> Result<String, ItemFault> {
        match (self, item) {
            (Self::Keyed(..), Value::Null) => Err(ItemFault::NullWithKeys),
            (Self::Keyed(message, keys), Value::Object(members)) => {
                let mut found = Vec::with_capacity(keys.len());
                for &key in keys {
                    let value = members.get(key).cloned().or_else(|| default_key(message, key));
                    found.push((key, value.ok_or(ItemFault::NoKey(key))?));
                }
                Ok(element::keys(found))
            }
            (Self::Keyed(..), _) => Err(ItemFault::NoMap),
            (_, Value::Object(_)) => Err(ItemFault::MapWithoutKeys),
            (_, Value::Array(_)) => Err(ItemFault::ListOfLists),
            (_, Value::Null) => Err(ItemFault::NullWithoutKeys),
            (_, value) => Ok(element::value(value)),
        }
    }
}

/// The field of that name, if the release knows it.
pub(super) fn known(message: &Message, name: &str, release: Release) -> Option<&'static Field> {
    message.field(name).filter(|field| field.since <= release)
}

/// What stands for a key that an item leaves out: its declared default, or Go's zero where the field is always there.
fn default_key(message: &Message, key: &str) -> Option<Value> {
    let field = message.field(key)?;
    debug_assert!(!matches!(field.field_type, FieldType::Message(_)), "keys are plain values");
    if let Some(default) = field.default {
        return serde_json::from_str(default).ok();
    }
    if field.omit_empty || field.pointer {
        return None;
    }
    match field.field_type {
        FieldType::Bool => Some(false.into()),
        FieldType::Int32 | FieldType::Int64 => Some(0.into()),
        FieldType::String => Some("".into()),
        _ => None,
    }
}
