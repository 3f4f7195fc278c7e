//! An object as the makers of rows look at it: members by path, absent ones as nothing.

use jiff::Timestamp;
use serde_json::Value;
use tokenward_kube_rules::FeatureGates;

use super::duration;

/// What stands where there is nothing to show.
pub(super) const NONE: &str = "<none>";
/// What stands where nothing was set.
pub(super) const UNSET: &str = "<unset>";
/// What stands where nothing is known.
const UNKNOWN: &str = "<unknown>";

/// An object, and from where it is seen.
pub(super) struct Seen<'a> {
    pub(super) object: &'a Value,
    pub(super) now: Timestamp,
    pub(super) gates: &'a FeatureGates,
}

impl<'a> Seen<'a> {
    /// The member at a path such as `/spec/nodeName`.
    pub(super) fn at(&self, path: &str) -> Option<&'a Value> {
        self.object.pointer(path).filter(|value| !value.is_null())
    }

    /// A text; empty when absent.
    pub(super) fn text(&self, path: &str) -> &'a str {
        text_in(self.object, path)
    }

    /// A text, or what stands for its absence.
    pub(super) fn text_or(&self, path: &str, absent: &'static str) -> &'a str {
        Some(self.text(path)).filter(|text| !text.is_empty()).unwrap_or(absent)
    }

    /// A whole number; 0 when absent.
    pub(super) fn number(&self, path: &str) -> i64 {
        number_in(self.object, path)
    }

    /// Whether a member is true.
    pub(super) fn is(&self, path: &str) -> bool {
        self.at(path).and_then(Value::as_bool).unwrap_or(false)
    }

    /// The items of a list.
    pub(super) fn items(&self, path: &str) -> &'a [Value] {
        items_in(self.object, path)
    }

    /// How many members a map has.
    pub(super) fn count(&self, path: &str) -> usize {
        self.at(path).and_then(Value::as_object).map_or(0, serde_json::Map::len)
    }

    pub(super) fn name(&self) -> &'a str {
        self.text("/metadata/name")
    }

    /// The value of an annotation.
    pub(super) fn annotation(&self, name: &str) -> Option<&'a str> {
        self.at("/metadata/annotations")?.get(name)?.as_str()
    }

    /// Whether the object was asked to go.
    pub(super) fn is_terminating(&self) -> bool {
        !self.text("/metadata/deletionTimestamp").is_empty()
    }

    pub(super) fn age(&self) -> Value {
        self.since(self.text("/metadata/creationTimestamp")).into()
    }

    /// The time since a moment as an object writes it.
    pub(super) fn since(&self, moment: &str) -> String {
        moment
            .parse()
            .map_or_else(|_| UNKNOWN.to_owned(), |moment: Timestamp| duration::since(moment, self.now))
    }
}

/// A text within a value; empty when absent.
pub(super) fn text_in<'a>(value: &'a Value, path: &str) -> &'a str {
    value.pointer(path).and_then(Value::as_str).unwrap_or("")
}

/// A whole number within a value; 0 when absent.
pub(super) fn number_in(value: &Value, path: &str) -> i64 {
    value.pointer(path).and_then(Value::as_i64).unwrap_or(0)
}

/// A list within a value; empty when absent.
pub(super) fn items_in<'a>(value: &'a Value, path: &str) -> &'a [Value] {
    value.pointer(path).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// Texts with commas between them.
pub(super) fn joined<'a>(texts: impl IntoIterator<Item = &'a str>) -> String {
    texts.into_iter().collect::<Vec<_>>().join(",")
}

/// A map of labels: `a=1,b=2`, sorted.
pub(super) fn labels(map: Option<&Value>) -> String {
    let mut labels: Vec<String> = pairs(map).map(|(name, value)| format!("{name}={value}")).collect();
    labels.sort_unstable();
    or_none(labels.join(","))
}

/// A label selector as it is typed on a command line, sorted by label.
pub(super) fn selector(selector: Option<&Value>) -> String {
    let labels = pairs(selector.and_then(|selector| selector.get("matchLabels")));
    let mut parts: Vec<(&str, String)> =
        labels.map(|(name, value)| (name, format!("{name}={value}"))).collect();
    for expression in selector.map_or(&[][..], |selector| items_in(selector, "/matchExpressions")) {
        let key = text_in(expression, "/key");
        let mut values: Vec<&str> =
            items_in(expression, "/values").iter().filter_map(Value::as_str).collect();
        values.sort_unstable();
        let values = values.join(",");
        let part = match text_in(expression, "/operator") {
            "In" => format!("{key} in ({values})"),
            "NotIn" => format!("{key} notin ({values})"),
            "Exists" => key.to_owned(),
            "DoesNotExist" => format!("!{key}"),
            _ => return "<error>".to_owned(),
        };
        parts.push((key, part));
    }
    parts.sort_by_key(|(key, _)| *key);
    or_none(joined(parts.iter().map(|(_, part)| part.as_str())))
}

fn pairs(map: Option<&Value>) -> impl Iterator<Item = (&str, &str)> {
    let members = map.and_then(Value::as_object).into_iter().flatten();
    members.map(|(name, value)| (name.as_str(), value.as_str().unwrap_or("")))
}

fn or_none(text: String) -> String {
    if text.is_empty() { NONE.to_owned() } else { text }
}
