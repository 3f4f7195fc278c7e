//! An applied configuration: whether it fits its kind, and which fields it has.

use std::collections::HashSet;
use std::fmt;

use serde_json::{Map, Value};
use tokenward_kube_rules::Release;

use super::element;
use super::rule::{Rule, known};
use super::set::FieldSet;
use crate::table::{Field, FieldType, Message, Shape};

type Object = Map<String, Value>;

/// What is wrong with a configuration, every fault with its path. Values are not shown.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct ConfigFaults(Vec<String>);

impl fmt::Display for ConfigFaults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.as_slice() {
            [fault] => f.write_str(fault),
            faults => {
                f.write_str("errors:")?;
                faults.iter().try_for_each(|fault| write!(f, "\n  {fault}"))
            }
        }
    }
}

/// Checks a configuration against the kind: every field is declared, every value has the type, every item its keys.
pub(super) fn check(
    message: &'static Message,
    release: Release,
    config: &Object,
) -> Result<(), ConfigFaults> {
    let mut check = Check { release, path: String::new(), faults: Vec::new() };
    check.members(message, config, true);
    if check.faults.is_empty() { Ok(()) } else { Err(ConfigFaults(check.faults)) }
}

/// The most faults that are told.
const MOST_FAULTS: usize = 100;

struct Check {
    release: Release,
    path: String,
    faults: Vec<String>,
}

impl Check {
    fn members(&mut self, message: &'static Message, members: &Object, root: bool) {
        for (name, value) in members {
            if root && matches!(name.as_str(), "apiVersion" | "kind") {
                continue;
            }
            let field = known(message, name, self.release);
            self.at(&element::field(name), |check| match field {
                Some(field) => check.field(field, value),
                None => check.fault("field not declared in schema"),
            });
            // As upstream, which looks no further into an object with such a field.
            if field.is_none() {
                break;
            }
        }
    }

    fn field(&mut self, field: &'static Field, value: &Value) {
        match (field.shape, value) {
            (_, Value::Null) => {}
            (Shape::One, value) => self.item(field, value),
            (Shape::Map, Value::Object(members)) => {
                for (name, value) in members {
                    self.at(&element::field(name), |check| check.item(field, value));
                }
            }
            (Shape::Map, other) => self.mismatch("map", other),
            (Shape::List, Value::Array(items)) => self.items(field, items),
            (Shape::List, other) => self.mismatch("list", other),
        }
    }

    fn items(&mut self, field: &'static Field, items: &[Value]) {
        let rule = Rule::of(field);
        let mut seen = HashSet::new();
        for (index, item) in items.iter().enumerate() {
            let element = match rule {
                Rule::Set | Rule::Keyed(..) => rule.element(item),
                _ => Ok(format!("i:{index}")),
            };
            match element {
                Err(fault) => self.fault(&format!("element {index}: {fault}")),
                Ok(element) if !seen.insert(element.clone()) => {
                    let mut shown = String::new();
                    element::show(&element, &mut shown);
                    self.fault(&format!("duplicate entries for key {shown}"));
                }
                Ok(element) => self.at(&element, |check| check.item(field, item)),
            }
        }
    }

    fn item(&mut self, field: &'static Field, value: &Value) {
        let fits = match (field.field_type, value) {
            (_, Value::Null) | (FieldType::Raw | FieldType::FieldsV1, _) => Ok(()),
            (FieldType::Message(_), Value::Object(members)) => {
                if let Some(message) = field.message() {
                    self.members(message, members, false);
                }
                Ok(())
            }
            (FieldType::Message(_), _) => Err("map"),
            (FieldType::StringList, value) => value.is_array().then_some(()).ok_or("list"),
            (FieldType::Bool, value) => value.is_boolean().then_some(()).ok_or("boolean"),
            (FieldType::Int32 | FieldType::Int64, value) => {
                value.is_number().then_some(()).ok_or("numeric (int or float)")
            }
            (FieldType::IntOrString | FieldType::Quantity, value) => {
                (!value.is_object() && !value.is_array()).then_some(()).ok_or("any scalar")
            }
            (FieldType::Bytes | FieldType::MicroTime | FieldType::String | FieldType::Time, value) => {
                value.is_string().then_some(()).ok_or("string")
            }
        };
        if let Err(wanted) = fits {
            self.mismatch(wanted, value);
        }
    }

    fn mismatch(&mut self, wanted: &str, value: &Value) {
        let found = match value {
            Value::Null => "null",
            Value::Bool(_) => "a boolean",
            Value::Number(_) => "a number",
            Value::String(_) => "a string",
            Value::Array(_) => "a list",
            Value::Object(_) => "a map",
        };
        self.fault(&format!("expected {wanted}, got {found}"));
    }

    fn fault(&mut self, text: &str) {
        if self.faults.len() < MOST_FAULTS {
            let path = &self.path;
            self.faults.push(if path.is_empty() { text.to_owned() } else { format!("{path}: {text}") });
        }
    }

    /// Looks at what a step leads to.
    fn at(&mut self, element: &str, look: impl FnOnce(&mut Self)) {
        let before = self.path.len();
        element::show(element, &mut self.path);
        look(self);
        self.path.truncate(before);
    }
}

/// The fields that a tree has. Items that cannot be told apart are one field, items without keys none.
pub(super) fn fields_of(message: &'static Message, release: Release, tree: &Object) -> FieldSet {
    members(Rule::Struct(message), release, tree)
}

fn members(rule: Rule, release: Release, tree: &Object) -> FieldSet {
    let mut set = FieldSet::default();
    for (name, value) in tree {
        let element = element::field(name);
        let is_declared = rule.declares(&element, release);
        if matches!(rule, Rule::Struct(_)) && !is_declared {
            continue;
        }
        let member = rule.member(name, release);
        let is_empty = value.is_null() || value.as_object().is_some_and(Map::is_empty);
        let is_member = is_empty || !is_declared || matches!(member, Rule::Leaf);
        set.attach(element, is_member, below(member, release, value));
    }
    set
}

fn below(rule: Rule, release: Release, value: &Value) -> FieldSet {
    match (rule, value) {
        (Rule::Struct(_) | Rule::Map(_), Value::Object(tree)) => members(rule, release, tree),
        (Rule::Set | Rule::Keyed(..), Value::Array(items)) => {
            let mut set = FieldSet::default();
            let mut seen = HashSet::new();
            let mut repeated = HashSet::new();
            for element in items.iter().filter_map(|item| rule.element(item).ok()) {
                if !seen.insert(element.clone()) {
                    repeated.insert(element);
                }
            }
            for item in items {
                let Ok(element) = rule.element(item) else { continue };
                let is_repeated = repeated.contains(&element);
                let own = if is_repeated {
                    FieldSet::default()
                } else {
                    below(rule.member("", release), release, item)
                };
                set.attach(element, true, own);
            }
            set
        }
        _ => FieldSet::default(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::find_resource;

    fn pod() -> &'static Message {
        find_resource("", "v1", "pods").expect("a served resource").message()
    }

    fn object(value: &Value) -> Object {
        value.as_object().cloned().expect("a test's own object")
    }

    #[test]
    fn a_configuration_has_the_fields_that_it_names() {
        let rows = [
            (json!({"spec": {}}), json!({"f:spec": {}})),
            (
                json!({"spec": {"nodeName": "n", "nodeSelector": {"a": "b"}}}),
                json!({"f:spec": {"f:nodeName": {}, "f:nodeSelector": {}}}),
            ),
            (
                json!({"metadata": {"labels": {"a": "b"}, "finalizers": ["x"], "annotations": {}}}),
                json!({"f:metadata": {"f:labels": {"f:a": {}}, "f:finalizers": {"v:\"x\"": {}}, "f:annotations": {}}}),
            ),
            (
                json!({"spec": {"containers": [{"name": "c", "ports": [{"containerPort": 1}], "env": []}], "volumes": []}}),
                json!({"f:spec": {"f:containers": {"k:{\"name\":\"c\"}": {".": {}, "f:name": {},
                    "f:ports": {"k:{\"containerPort\":1,\"protocol\":\"TCP\"}": {".": {}, "f:containerPort": {}}}}}}}),
            ),
            (json!({"spec": null}), json!({"f:spec": {}})),
        ];
        for (config, wanted) in rows {
            assert_eq!(check(pod(), Release::V1_35, &object(&config)), Ok(()), "{config}");
            assert_eq!(fields_of(pod(), Release::V1_35, &object(&config)).to_json(), wanted, "{config}");
        }
    }

    #[test]
    fn faults_are_told_with_their_paths_and_without_values() {
        let rows = [
            (json!({"spec": {"foo": 1}}), ".spec.foo: field not declared in schema"),
            (
                json!({"spec": {"containers": [{"name": "c", "foo": 1}]}}),
                ".spec.containers[name=\"c\"].foo: field not declared in schema",
            ),
            (
                json!({"spec": {"tolerations": [{"foo": 1}]}}),
                ".spec.tolerations[0].foo: field not declared in schema",
            ),
            (
                json!({"spec": {"containers": [{"image": "x", "foo": 1}]}}),
                ".spec.containers[name=\"\"].foo: field not declared in schema",
            ),
            (
                json!({"spec": {"containers": [{"image": "x"}, {"name": ""}]}}),
                ".spec.containers: duplicate entries for key [name=\"\"]",
            ),
            (
                json!({"spec": {"resourceClaims": [null]}}),
                ".spec.resourceClaims: element 0: associative list with keys may not have a null element",
            ),
            (
                json!({"spec": {"containers": [{"name": "c"}, {"name": "c"}]}}),
                ".spec.containers: duplicate entries for key [name=\"c\"]",
            ),
            (json!({"spec": {"hostIPC": "eyJ"}}), ".spec.hostIPC: expected boolean, got a string"),
            (
                json!({"spec": {"priority": "1"}}),
                ".spec.priority: expected numeric (int or float), got a string",
            ),
            (json!({"spec": {"nodeName": 1}}), ".spec.nodeName: expected string, got a number"),
            (json!({"spec": []}), ".spec: expected map, got a list"),
            (json!({"spec": {"containers": {}}}), ".spec.containers: expected list, got a map"),
            (json!({"metadata": {"labels": 1}}), ".metadata.labels: expected map, got a number"),
            (json!({"a": 1, "b": 2}), ".a: field not declared in schema"),
            (
                json!({"metadata": {"a": 1}, "spec": {"b": 2, "c": 3}}),
                "errors:\n  .metadata.a: field not declared in schema\n  .spec.b: field not declared in schema",
            ),
        ];
        for (config, wanted) in rows {
            let faults = check(pod(), Release::V1_35, &object(&config)).expect_err(wanted);
            assert_eq!(faults.to_string(), wanted, "{config}");
        }
    }
}
