//! A set of fields of an object.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::element::{self, BadElement};

/// A set of fields, as `fieldsV1` holds it. Every node is a member or has members below it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FieldSet {
    nodes: BTreeMap<String, Node>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Node {
    /// Whether the field itself is in the set.
    member: bool,
    below: FieldSet,
}

/// How `fieldsV1` says that a field is a member beside fields below it.
pub(super) const ITSELF: &str = ".";

impl FieldSet {
    /// Reads `fieldsV1`.
    ///
    /// # Errors
    /// It is no tree of objects, or one of its names is no step of a path.
    pub fn from_json(fields: &Value) -> Result<Self, BadElement> {
        let Value::Object(members) = fields else { return Err(BadElement) };
        let mut set = Self::default();
        for (name, below) in members.iter().filter(|(name, _)| *name != ITSELF) {
            set.attach(element::read(name)?, is_member(below), Self::from_json(below)?);
        }
        Ok(set)
    }

    /// The set as `fieldsV1`.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let nodes = self.nodes.iter().map(|(element, node)| {
            let mut below = node.below.to_json();
            if let Value::Object(members) = &mut below
                && node.member
                && !members.is_empty()
            {
                members.insert(ITSELF.to_owned(), Value::Object(Map::new()));
            }
            (element.clone(), below)
        });
        Value::Object(nodes.collect())
    }

    /// Whether it has no field.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// Every field, each with a path as errors write it. A field comes before those below it.
    #[must_use]
    pub fn paths(&self) -> Vec<String> {
        let mut paths = Vec::new();
        self.collect_paths(&mut String::new(), &mut paths);
        paths
    }

    fn collect_paths(&self, path: &mut String, paths: &mut Vec<String>) {
        let before = path.len();
        for (element, node) in &self.nodes {
            element::show(element, path);
            if node.member {
                paths.push(path.clone());
            }
            node.below.collect_paths(path, paths);
            path.truncate(before);
        }
    }

    /// Adds the field that a path of names leads to.
    pub(super) fn insert(&mut self, path: &[&str]) {
        if let [name, rest @ ..] = path {
            let node = self.nodes.entry(element::field(name)).or_default();
            node.member |= rest.is_empty();
            node.below.insert(rest);
        }
    }

    /// Adds a field and what is in the set below it. Neither may be there, and then nothing is added.
    pub(super) fn attach(&mut self, element: String, member: bool, below: Self) {
        if !member && below.is_empty() {
            return;
        }
        let node = self.nodes.entry(element).or_default();
        node.member |= member;
        node.below.add(below);
    }

    /// Adds all fields of another set.
    pub(super) fn add(&mut self, other: Self) {
        if self.is_empty() {
            *self = other;
            return;
        }
        for (element, node) in other.nodes {
            self.attach(element, node.member, node.below);
        }
    }

    /// Takes out the fields of another set; what is below them stays.
    pub(super) fn remove(&mut self, other: &Self) {
        self.take_out(other, false);
    }

    /// Takes out the fields of another set and all below them.
    pub(super) fn remove_with_all_below(&mut self, other: &Self) {
        self.take_out(other, true);
    }

    fn take_out(&mut self, other: &Self, with_all_below: bool) {
        for (element, taken) in &other.nodes {
            let Some(node) = self.nodes.get_mut(element) else { continue };
            node.member &= !taken.member;
            if taken.member && with_all_below {
                node.below = Self::default();
            }
            node.below.take_out(&taken.below, with_all_below);
            if !node.member && node.below.is_empty() {
                self.nodes.remove(element);
            }
        }
    }

    /// The fields that are in both.
    pub(super) fn intersection(&self, other: &Self) -> Self {
        let mut both = Self::default();
        for (element, node) in &self.nodes {
            if let Some(other) = other.nodes.get(element) {
                let below = node.below.intersection(&other.below);
                both.attach(element.clone(), node.member && other.member, below);
            }
        }
        both
    }

    /// Whether a step leads to a member.
    pub(super) fn has(&self, element: &str) -> bool {
        self.nodes.get(element).is_some_and(|node| node.member)
    }

    /// What is in the set below a step.
    pub(super) fn below(&self, element: &str) -> Option<&Self> {
        self.nodes.get(element).map(|node| &node.below).filter(|below| !below.is_empty())
    }

    /// The set with every step for which `is_named` holds made a member; `descend` says what a step's members are.
    pub(super) fn with_members<T: Copy>(
        &self,
        at: T,
        is_member: &impl Fn(T, &str) -> bool,
        descend: &impl Fn(T, &str) -> T,
    ) -> Self {
        let nodes = self.nodes.iter().map(|(element, node)| {
            let below = node.below.with_members(descend(at, element), is_member, descend);
            (element.clone(), Node { member: node.member || is_member(at, element), below })
        });
        Self { nodes: nodes.collect() }
    }

    /// Whether a `fieldsV1` that this module wrote has one of the fields.
    pub(super) fn touches(&self, fields: &Value) -> bool {
        self.nodes.iter().any(|(element, node)| {
            fields
                .get(element)
                .is_some_and(|below| node.member && is_member(below) || node.below.touches(below))
        })
    }

    /// Whether a `fieldsV1` that this module wrote has all of the fields.
    pub(super) fn is_within(&self, fields: &Value) -> bool {
        self.nodes.iter().all(|(element, node)| {
            fields
                .get(element)
                .is_some_and(|below| (!node.member || is_member(below)) && node.below.is_within(below))
        })
    }
}

/// A field in `fieldsV1` is a member when nothing is below it, or when it says so.
fn is_member(below: &Value) -> bool {
    below.as_object().is_some_and(|members| members.is_empty() || members.contains_key(ITSELF))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn set(fields: &Value) -> FieldSet {
        FieldSet::from_json(fields).expect("a test's own set")
    }

    #[test]
    fn fields_are_read_and_written() {
        let fields = json!({"f:spec": {".": {}, "f:a": {}, "k:{\"name\":\"c\"}": {".": {}, "f:image": {}}}, "f:x": {"f:y": {}}});
        assert_eq!(set(&fields).to_json(), fields);
        assert_eq!(
            set(&fields).paths(),
            [".spec", ".spec.a", r#".spec[name="c"]"#, r#".spec[name="c"].image"#, ".x.y"]
        );
        for bad in [json!([]), json!({"spec": {}}), json!({"f:a": null}), json!({"f:a": {"k:x": {}}})] {
            assert_eq!(FieldSet::from_json(&bad), Err(BadElement), "{bad}");
        }
    }

    #[test]
    fn what_is_taken_out_leaves_what_is_below() {
        let mut fields = set(&json!({"f:a": {".": {}, "f:b": {}}}));
        fields.remove(&set(&json!({"f:a": {}})));
        assert_eq!(fields.to_json(), json!({"f:a": {"f:b": {}}}));
        fields.remove_with_all_below(&set(&json!({"f:a": {}})));
        assert!(fields.is_empty());
    }

    fn sets() -> impl Strategy<Value = FieldSet> {
        let leaf = Just(json!({}));
        leaf.prop_recursive(3, 12, 3, |inner| {
            proptest::collection::btree_map("f:[a-c]|v:[0-2]|\\.", inner, 0..4).prop_map(|members| {
                let mut members: Map<String, Value> = members.into_iter().collect();
                if members.contains_key(ITSELF) {
                    members.insert(ITSELF.to_owned(), json!({}));
                }
                if members.len() == 1 {
                    members.remove(ITSELF);
                }
                Value::Object(members)
            })
        })
        .prop_map(|fields| set(&fields))
    }

    fn paths(set: &FieldSet) -> std::collections::BTreeSet<String> {
        set.paths().into_iter().collect()
    }

    proptest! {
        #[test]
        fn sets_behave_as_sets_of_paths(one in sets(), other in sets()) {
            prop_assert_eq!(&set(&one.to_json()), &one);
            let mut union = one.clone();
            union.add(other.clone());
            prop_assert_eq!(paths(&union), &paths(&one) | &paths(&other));
            let mut difference = one.clone();
            difference.remove(&other);
            prop_assert_eq!(paths(&difference), &paths(&one) - &paths(&other));
            let intersection = one.intersection(&other);
            prop_assert_eq!(paths(&intersection), &paths(&one) & &paths(&other));
            prop_assert_eq!(one.touches(&other.to_json()), !intersection.is_empty());
            prop_assert_eq!(one.is_within(&other.to_json()), paths(&one).is_subset(&paths(&other)));
        }
    }
}
