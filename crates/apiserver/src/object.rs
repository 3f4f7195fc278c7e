//! An object as a tree, alive only inside a request, and the few members of its metadata that every verb needs.

use jiff::Timestamp;
use jiff::fmt::temporal::DateTimePrinter;
use serde_json::{Map, Value};

/// A Kubernetes object as JSON.
pub type Object = Map<String, Value>;

/// Access to what all objects have in common.
pub(crate) trait Metadata {
    /// `metadata`, made when absent.
    fn metadata_mut(&mut self) -> &mut Object;
    /// A text member of `metadata`; empty when absent.
    fn metadata_text(&self, member: &str) -> &str;
    /// A whole-number member of `metadata`; 0 when absent.
    fn metadata_number(&self, member: &str) -> i64;
    /// Sets a text member of `metadata`; an empty text removes it.
    fn set_metadata_text(&mut self, member: &str, value: &str);
    /// Copies a member of `metadata` from another object, or removes it when that one has none.
    fn take_metadata_from(&mut self, other: &Object, member: &str);

    fn name(&self) -> &str {
        self.metadata_text("name")
    }
    fn namespace(&self) -> &str {
        self.metadata_text("namespace")
    }
    fn uid(&self) -> &str {
        self.metadata_text("uid")
    }
    /// The name, or what it will begin with when the server makes it up.
    fn name_or_prefix(&self) -> &str {
        match self.name() {
            "" => self.metadata_text("generateName"),
            name => name,
        }
    }
    /// Whether somebody still holds the object back from deletion.
    fn has_finalizers(&self) -> bool;
    fn is_terminating(&self) -> bool {
        !self.metadata_text("deletionTimestamp").is_empty()
    }
}

impl Metadata for Object {
    fn metadata_mut(&mut self) -> &mut Object {
        let metadata = self.entry("metadata").or_insert_with(|| Value::Object(Object::new()));
        if !metadata.is_object() {
            *metadata = Value::Object(Object::new());
        }
        metadata.as_object_mut().expect("just made an object")
    }

    fn metadata_text(&self, member: &str) -> &str {
        self.get("metadata").and_then(|metadata| metadata.get(member)).and_then(Value::as_str).unwrap_or("")
    }

    fn metadata_number(&self, member: &str) -> i64 {
        self.get("metadata").and_then(|metadata| metadata.get(member)).and_then(Value::as_i64).unwrap_or(0)
    }

    fn set_metadata_text(&mut self, member: &str, value: &str) {
        if value.is_empty() {
            self.metadata_mut().remove(member);
        } else {
            self.metadata_mut().insert(member.to_owned(), value.into());
        }
    }

    fn take_metadata_from(&mut self, other: &Object, member: &str) {
        match other.get("metadata").and_then(|metadata| metadata.get(member)) {
            Some(value) => self.metadata_mut().insert(member.to_owned(), value.clone()),
            None => self.metadata_mut().remove(member),
        };
    }

    fn has_finalizers(&self) -> bool {
        let finalizers = self.get("metadata").and_then(|metadata| metadata.get("finalizers"));
        finalizers.and_then(Value::as_array).is_some_and(|finalizers| !finalizers.is_empty())
    }
}

/// The member at a path of names, if every step is there.
pub(crate) fn at<'a>(object: &'a Object, path: &[&str]) -> Option<&'a Value> {
    let (first, rest) = path.split_first()?;
    rest.iter().try_fold(object.get(*first)?, |value, member| value.get(member))
}

/// The text at a path of names; empty when there is none.
pub(crate) fn text_at<'a>(object: &'a Object, path: &[&str]) -> &'a str {
    at(object, path).and_then(Value::as_str).unwrap_or("")
}

/// A child object, made when absent.
pub(crate) fn child_mut<'a>(object: &'a mut Object, member: &str) -> &'a mut Object {
    let child = object.entry(member).or_insert_with(|| Value::Object(Object::new()));
    if !child.is_object() {
        *child = Value::Object(Object::new());
    }
    child.as_object_mut().expect("just made an object")
}

/// Sets a member that is absent or null.
pub(crate) fn set_default(object: &mut Object, member: &str, value: impl Into<Value>) {
    if object.get(member).is_none_or(Value::is_null) {
        object.insert(member.to_owned(), value.into());
    }
}

/// Sets a text that is absent or empty: to Go, a text that is no pointer is empty when it is absent.
pub(crate) fn set_default_text(object: &mut Object, member: &str, value: &str) {
    if object.get(member).is_none_or(|found| found.is_null() || found.as_str() == Some("")) {
        object.insert(member.to_owned(), value.into());
    }
}

/// A time as `metav1.Time` prints it: RFC 3339, whole seconds, UTC.
pub(crate) fn format_time(time: Timestamp) -> String {
    const WHOLE_SECONDS: DateTimePrinter = DateTimePrinter::new().precision(Some(0));
    WHOLE_SECONDS.timestamp_to_string(&time)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn metadata_is_made_when_it_is_missing_or_of_another_type() {
        for start in [json!({}), json!({"metadata": null}), json!({"metadata": 3})] {
            let mut object = start.as_object().unwrap().clone();
            assert_eq!(object.name(), "");
            object.set_metadata_text("name", "x");
            assert_eq!(object.name(), "x");
            object.set_metadata_text("name", "");
            assert_eq!(object["metadata"], json!({}));
        }
    }

    #[test]
    fn paths_stop_where_a_step_is_missing() {
        let object = json!({"spec": {"nodeName": "n"}}).as_object().unwrap().clone();
        assert_eq!(text_at(&object, &["spec", "nodeName"]), "n");
        assert_eq!(text_at(&object, &["spec", "other"]), "");
        assert!(at(&object, &[]).is_none());
    }

    #[test]
    fn times_are_whole_seconds_in_utc() {
        assert_eq!(format_time(Timestamp::from_millisecond(1_500).unwrap()), "1970-01-01T00:00:01Z");
    }
}
