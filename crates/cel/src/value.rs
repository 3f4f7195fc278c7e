//! What expressions are about. Objects are not copied: they stay where they are until something of them is wanted.

use std::cmp::Ordering;
use std::net::IpAddr;
use std::ops::Deref;
use std::rc::Rc;

use serde_json::Value as Json;

use crate::authorizer::Authority;
use crate::error::EvaluationError;
use crate::formats::Format;
use crate::network::Network;
use crate::quantity::Quantity;
use crate::times::Moment;

/// How deep a value may be that is made on the way, the objects in it not counted.
const DEEPEST: usize = 100;

/// Any value. A copy takes no longer, and no more memory, for a large one than for a number.
#[derive(Clone, Debug)]
pub(crate) enum Value<'a> {
    Null,
    Bool(bool),
    Int(i64),
    Uint(u64),
    Double(f64),
    Text(Text<'a>),
    List(Rc<Nested<Vec<Value<'a>>>>),
    /// In the order in which they were written.
    Map(Rc<Nested<Vec<(Value<'a>, Value<'a>)>>>),
    /// A list of an object.
    Array(&'a [Json]),
    /// An object, or a part of one.
    Object(&'a serde_json::Map<String, Json>),
    Optional(Option<Rc<Nested<Value<'a>>>>),
    Authority(Rc<Authority<'a>>),
    /// A moment.
    Time(Moment),
    /// A span of time, in nanoseconds.
    Span(i64),
    Quantity(Rc<Quantity>),
    Ip(IpAddr),
    Cidr(Network),
    Format(&'static Format),
}

/// A text that stands in an object or the expression, or one that was made on the way.
#[derive(Clone, Debug)]
pub(crate) enum Text<'a> {
    Held(&'a str),
    Made(Rc<str>),
}

impl Deref for Text<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        match self {
            Self::Held(text) => text,
            Self::Made(text) => text,
        }
    }
}

impl<'a> From<&'a str> for Text<'a> {
    fn from(text: &'a str) -> Self {
        Self::Held(text)
    }
}

impl From<String> for Text<'_> {
    fn from(text: String) -> Self {
        Self::Made(text.into())
    }
}

/// Values in a value, and how deep that makes it. None is deeper than may safely be walked, or dropped.
#[derive(Debug)]
pub(crate) struct Nested<T> {
    depth: usize,
    held: T,
}

impl<T> Nested<T> {
    /// `deepest` says how deep the deepest part is, if there is any.
    fn new(held: T, deepest: impl FnOnce(&T) -> Option<usize>) -> Result<Rc<Self>, EvaluationError> {
        let depth = 1 + deepest(&held).unwrap_or_default();
        if depth > DEEPEST { Err(EvaluationError::TooCostly) } else { Ok(Rc::new(Self { depth, held })) }
    }
}

impl<T> Deref for Nested<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.held
    }
}

impl<'a> Value<'a> {
    /// What an object holds.
    pub(crate) fn of(json: &'a Json) -> Self {
        match json {
            Json::Null => Self::Null,
            Json::Bool(truth) => Self::Bool(*truth),
            Json::Number(number) => match number.as_i64() {
                Some(number) => Self::Int(number),
                None => Self::Double(number.as_f64().unwrap_or(f64::NAN)),
            },
            Json::String(text) => Self::text(text.as_str()),
            Json::Array(items) => Self::Array(items),
            Json::Object(members) => Self::Object(members),
        }
    }

    pub(crate) fn text(text: impl Into<Text<'a>>) -> Self {
        Self::Text(text.into())
    }

    pub(crate) fn list(items: Vec<Self>) -> Result<Self, EvaluationError> {
        Nested::new(items, |items| items.iter().map(Self::depth).max()).map(Self::List)
    }

    /// Of keys that are scalars.
    pub(crate) fn map(entries: Vec<(Self, Self)>) -> Result<Self, EvaluationError> {
        Nested::new(entries, |entries| entries.iter().map(|(_, value)| value.depth()).max()).map(Self::Map)
    }

    pub(crate) fn some(value: Self) -> Result<Self, EvaluationError> {
        Nested::new(value, |value| Some(value.depth())).map(|held| Self::Optional(Some(held)))
    }

    fn depth(&self) -> usize {
        match self {
            Self::List(items) => items.depth,
            Self::Map(entries) => entries.depth,
            Self::Optional(Some(held)) => held.depth,
            _ => 0,
        }
    }

    /// As messages call its type.
    pub(crate) const fn type_name(&self) -> &'static str {
        match self {
            Self::Null => "null_type",
            Self::Bool(_) => "bool",
            Self::Int(_) => "int",
            Self::Uint(_) => "uint",
            Self::Double(_) => "double",
            Self::Text(_) => "string",
            Self::List(_) | Self::Array(_) => "list",
            Self::Map(_) | Self::Object(_) => "map",
            Self::Optional(_) => "optional_type",
            Self::Authority(_) => "kubernetes.authorization.Authorizer",
            Self::Time(_) => "google.protobuf.Timestamp",
            Self::Span(_) => "google.protobuf.Duration",
            Self::Quantity(_) => "kubernetes.Quantity",
            Self::Ip(_) => "net.IP",
            Self::Cidr(_) => "net.CIDR",
            Self::Format(_) => "kubernetes.NamedFormat",
        }
    }

    /// The items of a list.
    pub(crate) fn items(&self) -> Option<Vec<Self>> {
        match self {
            Self::List(items) => Some(items.to_vec()),
            Self::Array(items) => Some(items.iter().map(Value::of).collect()),
            _ => None,
        }
    }

    /// One item of a list.
    pub(crate) fn item(&self, place: usize) -> Option<Self> {
        match self {
            Self::List(items) => items.get(place).cloned(),
            Self::Array(items) => items.get(place).map(Self::of),
            _ => None,
        }
    }

    /// How many items or entries there are, or characters.
    pub(crate) fn size(&self) -> Option<usize> {
        match self {
            Self::Text(text) => Some(text.chars().count()),
            Self::List(items) => Some(items.len()),
            Self::Array(items) => Some(items.len()),
            Self::Map(entries) => Some(entries.len()),
            Self::Object(members) => Some(members.len()),
            _ => None,
        }
    }

    /// The entry of a map.
    pub(crate) fn entry(&self, key: &Self) -> Option<Self> {
        match (self, key) {
            (Self::Object(members), Self::Text(name)) => members.get(&**name).map(Value::of),
            (Self::Map(entries), _) => {
                entries.iter().find(|(known, _)| known.is_same_key(key)).map(|(_, value)| value.clone())
            }
            _ => None,
        }
    }

    /// Whether two scalars are one key of a map.
    pub(crate) fn is_same_key(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Text(a), Self::Text(b)) => **a == **b,
            (Self::Bool(a), Self::Bool(b)) => a == b,
            _ => self.compare(other) == Some(Ordering::Equal),
        }
    }

    /// The order of numbers of any type, texts, truth values, moments and spans; none for what has no order.
    pub(crate) fn compare(&self, other: &Self) -> Option<Ordering> {
        match (self, other) {
            (Self::Int(a), Self::Int(b)) => Some(a.cmp(b)),
            (Self::Uint(a), Self::Uint(b)) => Some(a.cmp(b)),
            (Self::Text(a), Self::Text(b)) => Some((**a).cmp(&**b)),
            (Self::Bool(a), Self::Bool(b)) => Some(a.cmp(b)),
            (Self::Time(a), Self::Time(b)) => Some(a.cmp(b)),
            (Self::Span(a), Self::Span(b)) => Some(a.cmp(b)),
            (Self::Int(a), Self::Uint(b)) => Some(i128::from(*a).cmp(&i128::from(*b))),
            (Self::Uint(a), Self::Int(b)) => Some(i128::from(*a).cmp(&i128::from(*b))),
            _ => self.number()?.partial_cmp(&other.number()?),
        }
    }

    pub(crate) const fn is_number(&self) -> bool {
        matches!(self, Self::Int(_) | Self::Uint(_) | Self::Double(_))
    }

    fn number(&self) -> Option<f64> {
        match self {
            Self::Int(number) => Some(*number as f64),
            Self::Uint(number) => Some(*number as f64),
            Self::Double(number) => Some(*number),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_shares_what_it_is_a_copy_of() {
        let made = Text::from("made".to_owned());
        assert_eq!(made.as_ptr(), made.clone().as_ptr());
        let list = Value::list(vec![Value::Text(made)]).unwrap();
        let map = Value::map(vec![(Value::Int(1), list.clone())]).unwrap();
        let (Value::List(items), Value::List(copied)) = (&list, list.clone()) else { panic!() };
        assert!(Rc::ptr_eq(items, &copied));
        let (Value::Map(entries), Value::Map(copied)) = (&map, map.clone()) else { panic!() };
        assert!(Rc::ptr_eq(entries, &copied));
    }

    #[test]
    fn no_value_is_deeper_than_a_stack() {
        let deepen: [fn(Value<'static>) -> Result<Value<'static>, EvaluationError>; 3] = [
            |value| Value::list(vec![Value::Null, value]),
            |value| Value::map(vec![(Value::Int(1), value)]),
            Value::some,
        ];
        let mut value = Value::Null;
        for depth in 0..DEEPEST {
            value = deepen[depth % 3](value).unwrap();
        }
        for deepen in deepen {
            assert_eq!(deepen(value.clone()).unwrap_err(), EvaluationError::TooCostly);
        }
    }
}
