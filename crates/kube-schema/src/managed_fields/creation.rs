//! What the maker of an object owns: all that it has beyond an object of which nothing was said.
//!
//! The outcome is that of a [`super::compare::Comparison`] of the two, added and modified fields together, written as
//! `fieldsV1` on the way. Nothing is owned by others yet, so that no sets are needed; and an object of which nothing was
//! said is small, so that one walk over the new one is all.

use std::mem;

use serde_json::{Map, Value};
use tokenward_kube_rules::Release;

use super::compare::{Ignored, items_of, members_of};
use super::element;
use super::rule::{ItemFault, Rule, known};
use super::set::ITSELF;
use crate::table::Message;

type Object = Map<String, Value>;

/// The `fieldsV1` of a new object; `nothing` is an object of the kind of which nothing was said, `ignored` leads to what does
/// not count.
pub(super) fn fields_of_new(
    message: &'static Message,
    release: Release,
    nothing: &Object,
    new: &Object,
    ignored: Ignored<'_>,
) -> Result<Object, ItemFault> {
    Walk { release }.members(Rule::Struct(message), Some(nothing), new, ignored)
}

#[derive(Clone, Copy)]
struct Walk {
    release: Release,
}

impl Walk {
    /// What is owned below an object.
    fn members(
        self,
        rule: Rule,
        old: Option<&Object>,
        new: &Object,
        ignored: Ignored<'_>,
    ) -> Result<Object, ItemFault> {
        let mut owned = Object::new();
        for (name, value) in new {
            let rest = ignored.iter().filter(|path| path.first() == Some(&name.as_str()));
            let below: Vec<&[&str]> = rest.map(|path| &path[1..]).collect();
            if below.iter().any(|path| path.is_empty()) {
                continue;
            }
            let member = match rule {
                Rule::Struct(message) => match known(message, name, self.release) {
                    // `kind` and `apiVersion`, which are no fields.
                    None => continue,
                    Some(field) => Rule::of(field),
                },
                rule => rule.member(name, self.release),
            };
            let old = old.and_then(|old| old.get(name));
            if let Some(fields) = self.value(member, old, value, &below)? {
                owned.insert(element::field(name), Value::Object(fields));
            }
        }
        Ok(owned)
    }

    /// What is owned at and below a value; `None` when nothing is.
    fn value(
        self,
        rule: Rule,
        old: Option<&Value>,
        new: &Value,
        ignored: Ignored<'_>,
    ) -> Result<Option<Object>, ItemFault> {
        if old == Some(new) {
            return Ok(None);
        }
        let mut fields = match rule {
            Rule::Leaf => Object::new(),
            Rule::Struct(_) | Rule::Map(_) => {
                self.members(rule, old.and_then(Value::as_object), members_of(Some(new)), ignored)?
            }
            Rule::Set | Rule::Keyed(..) => self.items(rule, items_of(Some(new)))?,
        };
        // What was there stays nobody's, unless it is another value now.
        let is_owned = match (old, rule) {
            (None, _) | (_, Rule::Leaf) => true,
            (_, Rule::Struct(_) | Rule::Map(_)) => {
                members_of(old).is_empty() && members_of(Some(new)).is_empty()
            }
            (_, Rule::Set | Rule::Keyed(..)) => items_of(Some(new)).is_empty(),
        };
        if !is_owned {
            return Ok((!fields.is_empty()).then_some(fields));
        }
        if !fields.is_empty() {
            fields.insert(ITSELF.to_owned(), Value::Object(Object::new()));
        }
        Ok(Some(fields))
    }

    /// What is owned below a list. Nothing that was said has items.
    fn items(self, rule: Rule, new: &[Value]) -> Result<Object, ItemFault> {
        let mut items = Vec::with_capacity(new.len());
        for item in new {
            items.push((rule.element(item)?, item));
        }
        items.sort_by(|(one, _), (other, _)| one.cmp(other));
        let mut owned = Object::new();
        let member = rule.member("", self.release);
        for same in items.chunk_by_mut(|(one, _), (other, _)| one == other) {
            let fields = match same {
                [(_, item)] => self.value(member, None, item, &[])?.unwrap_or_default(),
                // Items that cannot be told apart are one whole.
                _ => Object::new(),
            };
            owned.extend(same.first_mut().map(|(element, _)| (mem::take(element), Value::Object(fields))));
        }
        Ok(owned)
    }
}
