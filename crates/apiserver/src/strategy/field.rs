//! A value and the path that leads to it, as errors name it: what validation walks along.

use std::fmt;
use std::rc::Rc;

use serde_json::Value;
use tokenward_kube_rules::FieldError;

use crate::object::Object;

/// A place in an object, whether there is something or not. Its path is written only when an error names it.
#[derive(Clone)]
pub(super) struct Field<'a> {
    place: Rc<Place<'a>>,
    value: &'a Value,
}

/// The last step of a path, and the place from which it leads on.
struct Place<'a> {
    parent: Option<Rc<Place<'a>>>,
    step: Step<'a>,
}

enum Step<'a> {
    Member(&'a str),
    Key(&'a str),
    Item(usize),
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(parent) = &self.parent {
            parent.fmt(f)?;
        }
        match self.step {
            Step::Member(member) if self.parent.is_none() => f.write_str(member),
            Step::Member(member) => write!(f, ".{member}"),
            Step::Key(key) => write!(f, "[{key}]"),
            Step::Item(at) => write!(f, "[{at}]"),
        }
    }
}

const NOTHING: &Value = &Value::Null;

impl<'a> Field<'a> {
    /// A member of an object, such as `spec`.
    pub(super) fn of(object: &'a Object, member: &'a str) -> Self {
        let place = Place { parent: None, step: Step::Member(member) };
        Self { place: Rc::new(place), value: object.get(member).unwrap_or(NOTHING) }
    }

    pub(super) fn path(&self) -> String {
        self.place.to_string()
    }

    pub(super) fn value(&self) -> &'a Value {
        self.value
    }

    fn step(&self, step: Step<'a>, value: &'a Value) -> Self {
        Self { place: Rc::new(Place { parent: Some(self.place.clone()), step }), value }
    }

    /// A member of this object; nothing in anything else.
    pub(super) fn child(&self, member: &'a str) -> Self {
        self.step(Step::Member(member), self.value.get(member).unwrap_or(NOTHING))
    }

    /// The same member, which errors show under another name.
    pub(super) fn child_shown_as(&self, member: &str, shown: &'a str) -> Self {
        self.step(Step::Member(shown), self.value.get(member).unwrap_or(NOTHING))
    }

    /// A member of one of this list's items, which errors show without the item's number.
    pub(super) fn child_of(&self, item: &Self, member: &'a str) -> Self {
        self.step(Step::Member(member), item.value.get(member).unwrap_or(NOTHING))
    }

    /// The value of a key of this map, as errors write such places: `data[key]`.
    pub(super) fn key(&self, key: &'a str) -> Self {
        self.step(Step::Key(key), self.value.get(key).unwrap_or(NOTHING))
    }

    /// The items of this list.
    pub(super) fn items(&self) -> impl ExactSizeIterator<Item = Self> + use<'a> {
        let items = self.value.as_array().map_or(&[][..], Vec::as_slice);
        let list = self.clone();
        items.iter().enumerate().map(move |(at, value)| list.step(Step::Item(at), value))
    }

    /// The keys of this map.
    pub(super) fn keys(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        self.value.as_object().into_iter().flatten().map(|(key, _)| key.as_str())
    }

    pub(super) fn is_set(&self) -> bool {
        !self.value.is_null()
    }

    /// The text here; empty when there is none.
    pub(super) fn text(&self) -> &'a str {
        self.value.as_str().unwrap_or_default()
    }

    pub(super) fn number(&self) -> Option<i64> {
        self.value.as_i64()
    }

    pub(super) fn flag(&self) -> bool {
        self.value.as_bool().unwrap_or_default()
    }

    /// `Required value`.
    pub(super) fn required(&self, detail: &str) -> FieldError {
        FieldError::required(self.path(), detail)
    }

    /// `Invalid value`, which is shown.
    pub(super) fn invalid(&self, detail: &str) -> FieldError {
        FieldError::invalid(self.path(), self.value.clone(), detail)
    }

    /// `Forbidden`.
    pub(super) fn forbidden(&self, detail: &str) -> FieldError {
        FieldError::forbidden(self.path(), detail)
    }

    /// `Duplicate value`, which is shown.
    pub(super) fn duplicate(&self) -> FieldError {
        FieldError::duplicate(self.path(), self.value.clone())
    }

    /// `Required value` when the text is empty.
    pub(super) fn require_text(&self) -> Option<FieldError> {
        self.text().is_empty().then(|| self.required(""))
    }

    /// `Unsupported value` when the text is none of these, an empty one included.
    pub(super) fn one_of(&self, supported: &[&str]) -> Option<FieldError> {
        let found = self.text();
        (!supported.contains(&found)).then(|| FieldError::not_supported(self.path(), found, supported))
    }

    /// The faults that a rule of [`tokenward_kube_rules::names`] finds in the text; what is not there is empty, as to Go.
    pub(super) fn faults(&self, rule: impl Fn(&str) -> Vec<String>) -> Vec<FieldError> {
        let faults = rule(self.text()).into_iter();
        faults.map(|fault| FieldError::invalid(self.path(), self.text(), &fault)).collect()
    }

    /// `must be greater than or equal to 0`, of a number that is there.
    pub(super) fn not_negative(&self) -> Option<FieldError> {
        let number = self.number()?;
        (number < 0).then(|| self.invalid("must be greater than or equal to 0"))
    }

    /// `field is immutable` when the value is not the old one; what Go takes for equal is.
    pub(super) fn immutable(&self, old: &Self) -> Option<FieldError> {
        (self.value != old.value).then(|| self.invalid("field is immutable"))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn paths_are_written_as_upstream_writes_them() {
        let object = json!({"spec": {"list": [{"a": "x"}], "map": {"k/v": 1}}});
        let spec = Field::of(object.as_object().unwrap(), "spec");
        let item = spec.child("list").items().next().unwrap();
        assert_eq!((item.child("a").path().as_str(), item.child("a").text()), ("spec.list[0].a", "x"));
        assert_eq!(spec.child("map").key("k/v").path(), "spec.map[k/v]");
        assert_eq!(spec.child("map").keys().collect::<Vec<_>>(), ["k/v"]);
        let nothing = spec.child("list").child("none").child("at all");
        assert!(!nothing.is_set() && nothing.items().len() == 0 && nothing.text().is_empty());
    }

    #[test]
    fn errors_show_the_value() {
        let object = json!({"count": -1, "kind": "x"});
        let object = object.as_object().unwrap();
        let count = Field::of(object, "count").not_negative().unwrap();
        assert_eq!(count.to_string(), "count: Invalid value: -1: must be greater than or equal to 0");
        let kind = Field::of(object, "kind").one_of(&["a", "b"]).unwrap();
        assert_eq!(kind.to_string(), "kind: Unsupported value: \"x\": supported values: \"a\", \"b\"");
        assert!(Field::of(object, "none").immutable(&Field::of(object, "nothing")).is_none());
    }
}
