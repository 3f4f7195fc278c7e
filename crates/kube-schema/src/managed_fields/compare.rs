//! What differs between two trees of a kind, as sets of fields.

use std::collections::HashMap;
use std::sync::LazyLock;

use serde_json::{Map, Value};
use tokenward_kube_rules::Release;

use super::element;
use super::rule::{ItemFault, Rule, known};
use super::set::FieldSet;
use crate::table::Message;

type Object = Map<String, Value>;

/// The fields in which a newer tree differs from an older one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Comparison {
    /// Only the newer one has them.
    pub(super) added: FieldSet,
    /// Both have them, with different values.
    pub(super) modified: FieldSet,
    /// Only the older one has them.
    pub(super) removed: FieldSet,
}

/// Fields that do not count: each is a path of names.
pub(super) type Ignored<'a> = &'a [&'a [&'a str]];

impl Comparison {
    /// Compares two printed trees of a kind; what `ignored` leads to is passed over with all below it.
    pub(super) fn of(
        message: &'static Message,
        release: Release,
        old: &Object,
        new: &Object,
        ignored: Ignored<'_>,
    ) -> Result<Self, ItemFault> {
        let mut comparison = Self::default();
        Walk { release }.members(Rule::Struct(message), old, new, ignored, &mut comparison)?;
        Ok(comparison)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.added.is_empty() && self.modified.is_empty() && self.removed.is_empty()
    }

    /// What the newer tree has of its own: added and modified fields.
    pub(super) fn set(&self) -> FieldSet {
        let mut set = self.added.clone();
        set.add(self.modified.clone());
        set
    }

    /// Puts what was found below a step, and at it, into its place.
    fn attach(&mut self, element: &str, change: Option<Change>, below: Self) {
        let places = [
            (&mut self.added, Change::Added, below.added),
            (&mut self.modified, Change::Modified, below.modified),
            (&mut self.removed, Change::Removed, below.removed),
        ];
        for (set, own, below) in places {
            let is_member = change == Some(own);
            if is_member || !below.is_empty() {
                set.attach(element.to_owned(), is_member, below);
            }
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Change {
    Added,
    Modified,
    Removed,
}

/// The items of a list by the step that leads to them.
type Items<'v> = HashMap<String, Vec<&'v Value>>;

#[derive(Clone, Copy)]
struct Walk {
    release: Release,
}

impl Walk {
    fn members(
        self,
        rule: Rule,
        old: &Object,
        new: &Object,
        ignored: Ignored<'_>,
        found: &mut Comparison,
    ) -> Result<(), ItemFault> {
        let only_new = new.keys().filter(|name| !old.contains_key(*name));
        for name in old.keys().chain(only_new) {
            let mut below: Vec<&[&str]> = Vec::new();
            for path in ignored.iter().filter(|path| path.first() == Some(&name.as_str())) {
                below.push(&path[1..]);
            }
            if below.iter().any(|path| path.is_empty()) {
                continue;
            }
            let member = match rule {
                // `kind` and `apiVersion`, which are no fields.
                Rule::Struct(message) if known(message, name, self.release).is_none() => continue,
                rule => rule.member(name, self.release),
            };
            self.value(member, || element::field(name), old.get(name), new.get(name), &below, found)?;
        }
        Ok(())
    }

    fn value(
        self,
        rule: Rule,
        element: impl FnOnce() -> String,
        old: Option<&Value>,
        new: Option<&Value>,
        ignored: Ignored<'_>,
        found: &mut Comparison,
    ) -> Result<(), ItemFault> {
        if old == new {
            return Ok(());
        }
        let mut below = Comparison::default();
        let is_leaf = match rule {
            Rule::Leaf => true,
            // Nothing and null are still told apart from an empty object or list.
            Rule::Struct(_) | Rule::Map(_) => {
                let (old, new) = (members_of(old), members_of(new));
                self.members(rule, old, new, ignored, &mut below)?;
                old.is_empty() && new.is_empty()
            }
            Rule::Set | Rule::Keyed(..) => {
                let (old, new) = (items_of(old), items_of(new));
                self.items(rule, old, new, &mut below)?;
                old.is_empty() && new.is_empty()
            }
        };
        let change = match (old, new) {
            (None, _) => Some(Change::Added),
            (_, None) => Some(Change::Removed),
            (Some(_), Some(_)) => is_leaf.then_some(Change::Modified),
        };
        if change.is_some() || !below.is_empty() {
            found.attach(&element(), change, below);
        }
        Ok(())
    }

    fn items(
        self,
        rule: Rule,
        old: &[Value],
        new: &[Value],
        found: &mut Comparison,
    ) -> Result<(), ItemFault> {
        let (old, order) = self.indexed(rule, old)?;
        let (new, new_order) = self.indexed(rule, new)?;
        let only_new = new_order.into_iter().filter(|element| !old.contains_key(element));
        let item = rule.member("", self.release);
        for element in order.into_iter().chain(only_new) {
            let old = old.get(&element).cloned().unwrap_or_default();
            let new = new.get(&element).cloned().unwrap_or_default();
            match (old.len(), new.len()) {
                (0 | 1, 0 | 1) => {
                    let (old, new) = (old.first().copied(), new.first().copied());
                    self.value(item, || element.clone(), old, new, &[], found)?;
                }
                // Items that cannot be told apart are one whole.
                (2.., 2..) if old == new => {}
                (2.., 2..) => found.attach(&element, Some(Change::Modified), Comparison::default()),
                (2.., _) => {
                    let new = new.first().copied();
                    self.value(item, || element.clone(), None, new, &[], found)?;
                    found.attach(&element, Some(Change::Removed), Comparison::default());
                }
                (_, 2..) => {
                    let old = old.first().copied();
                    self.value(item, || element.clone(), old, None, &[], found)?;
                    found.attach(&element, Some(Change::Added), Comparison::default());
                }
            }
        }
        Ok(())
    }

    /// The items by the step that leads to them, and the steps in order.
    fn indexed(self, rule: Rule, items: &[Value]) -> Result<(Items<'_>, Vec<String>), ItemFault> {
        let mut places = Items::with_capacity(items.len());
        let mut order = Vec::with_capacity(items.len());
        for item in items {
            let element = rule.element(item)?;
            let same = places.entry(element.clone()).or_default();
            if same.is_empty() {
                order.push(element);
            }
            same.push(item);
        }
        Ok((places, order))
    }
}

/// An object's members; nothing and null have none.
pub(super) fn members_of(value: Option<&Value>) -> &Object {
    static NONE: LazyLock<Object> = LazyLock::new(Object::new);
    value.and_then(Value::as_object).unwrap_or_else(|| &*NONE)
}

/// A list's items; nothing and null have none.
pub(super) fn items_of(value: Option<&Value>) -> &[Value] {
    value.and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::find_resource;

    fn compare(old: &Value, new: &Value, ignored: Ignored<'_>) -> (Value, Value, Value) {
        let pods = find_resource("", "v1", "pods").expect("a served resource");
        let (old, new) = (members_of(Some(old)), members_of(Some(new)));
        let found = Comparison::of(pods.message(), Release::V1_35, old, new, ignored).expect("good items");
        (found.added.to_json(), found.modified.to_json(), found.removed.to_json())
    }

    #[test]
    fn trees_differ_by_the_tables_rules() {
        let none = || json!({});
        let rows = [
            (
                json!({"spec": {"nodeName": "a"}}),
                json!({"spec": {"nodeName": "a"}}),
                (none(), none(), none()),
            ),
            (
                json!({"spec": {"nodeName": "a"}}),
                json!({"spec": {"nodeName": "b"}}),
                (none(), json!({"f:spec": {"f:nodeName": {}}}), none()),
            ),
            // What was null already is not added, what is in it is.
            (
                json!({"spec": {"containers": null}}),
                json!({"spec": {"containers": [{"name": "c", "resources": {}}]}}),
                (
                    json!({"f:spec": {"f:containers": {"k:{\"name\":\"c\"}": {".": {}, "f:name": {}, "f:resources": {}}}}}),
                    none(),
                    none(),
                ),
            ),
            (
                json!({"spec": {}}),
                json!({"spec": {"volumes": [{"name": "v"}], "securityContext": {}}}),
                (
                    json!({"f:spec": {"f:volumes": {".": {}, "k:{\"name\":\"v\"}": {".": {}, "f:name": {}}}, "f:securityContext": {}}}),
                    none(),
                    none(),
                ),
            ),
            (
                json!({"metadata": {"labels": {"a": "1", "b": "1"}}}),
                json!({"metadata": {"labels": {"a": "2"}}}),
                (
                    none(),
                    json!({"f:metadata": {"f:labels": {"f:a": {}}}}),
                    json!({"f:metadata": {"f:labels": {"f:b": {}}}}),
                ),
            ),
            (
                json!({"metadata": {"labels": {"a": "1"}}}),
                json!({"metadata": {}}),
                (none(), none(), json!({"f:metadata": {"f:labels": {".": {}, "f:a": {}}}})),
            ),
            // Owned as a whole.
            (
                json!({"spec": {"nodeSelector": {"a": "1"}, "tolerations": [{"key": "a"}]}}),
                json!({"spec": {"nodeSelector": {"a": "2"}, "tolerations": []}}),
                (none(), json!({"f:spec": {"f:nodeSelector": {}, "f:tolerations": {}}}), none()),
            ),
            (
                json!({"metadata": {"ownerReferences": [{"uid": "u", "name": "a"}], "finalizers": ["x"]}}),
                json!({"metadata": {"ownerReferences": [{"uid": "u", "name": "b"}], "finalizers": ["y"]}}),
                (
                    json!({"f:metadata": {"f:finalizers": {"v:\"y\"": {}}}}),
                    json!({"f:metadata": {"f:ownerReferences": {"k:{\"uid\":\"u\"}": {}}}}),
                    json!({"f:metadata": {"f:finalizers": {"v:\"x\"": {}}}}),
                ),
            ),
            // A key that is left out has its default.
            (
                json!({"spec": {"containers": [{"name": "c", "ports": [{"containerPort": 1, "protocol": "TCP"}]}]}}),
                json!({"spec": {"containers": [{"name": "c", "ports": [{"containerPort": 1}]}]}}),
                (
                    none(),
                    none(),
                    json!({"f:spec": {"f:containers": {"k:{\"name\":\"c\"}": {"f:ports": {"k:{\"containerPort\":1,\"protocol\":\"TCP\"}": {"f:protocol": {}}}}}}}),
                ),
            ),
            // The same key twice: one whole.
            (
                json!({"spec": {"containers": [{"name": "c", "image": "a"}]}}),
                json!({"spec": {"containers": [{"name": "c", "image": "a"}, {"name": "c", "image": "b"}]}}),
                (
                    json!({"f:spec": {"f:containers": {"k:{\"name\":\"c\"}": {}}}}),
                    none(),
                    json!({"f:spec": {"f:containers": {"k:{\"name\":\"c\"}": {".": {}, "f:image": {}, "f:name": {}}}}}),
                ),
            ),
        ];
        for (old, new, wanted) in rows {
            assert_eq!(compare(&old, &new, &[]), wanted, "{old} {new}");
        }
    }

    #[test]
    fn what_is_ignored_does_not_count() {
        let old = json!({"metadata": {"uid": "a", "labels": {"a": "1"}}, "status": {"phase": "a"}});
        let new = json!({"metadata": {"uid": "b", "labels": {"a": "2"}}, "status": {"phase": "b"}});
        let found = compare(&old, &new, &[&["metadata", "uid"], &["status"]]);
        assert_eq!(found, (json!({}), json!({"f:metadata": {"f:labels": {"f:a": {}}}}), json!({})));
    }

    #[test]
    fn items_that_are_no_objects_are_a_fault() {
        let pods = find_resource("", "v1", "pods").expect("a served resource");
        let compared = |item: Value| {
            let new = json!({"spec": {"containers": [item]}});
            let new = members_of(Some(&new));
            Comparison::of(pods.message(), Release::V1_35, &Object::new(), new, &[])
                .map(drop)
                .map_err(|fault| fault.to_string())
        };
        let fault = "associative list with keys may not have non-map elements".to_owned();
        assert_eq!(compared(json!("a")), Err(fault));
        assert_eq!(compared(json!({"image": "a"})), Ok(()), "a name that is not said is empty");
    }
}
