//! `metadata.managedFields` of what is written.
//!
//! The rules are [`tokenward_kube_schema`]'s; here they are given what a request says, and what they say is put into the
//! object. Ownership is settled on the object as it was submitted, before admission and the kind's own rules change it, so
//! that nobody comes to own what the server filled in.

use serde_json::Value;
use tokenward_kube_schema::{Kind, managed_fields};

use super::{Part, Registry};
use crate::object::{Metadata, Object, format_time};
use crate::query::WriteOptions;
use crate::status::ApiError;

/// How the fields of a submitted object come to be owned.
pub(crate) enum Ownership {
    /// The writer owns what differs from the stored object.
    OfChanges,
    /// An apply has settled it.
    Settled(Vec<Value>),
}

/// An object as a request wants it.
pub(crate) struct Submitted {
    pub(super) object: Object,
    pub(super) ownership: Ownership,
}

impl From<Object> for Submitted {
    fn from(object: Object) -> Self {
        Self { object, ownership: Ownership::OfChanges }
    }
}

impl Registry {
    /// Lets `rule` look at a write of a kind.
    pub(super) fn with_write<T>(
        &self,
        kind: &'static Kind,
        part: Part,
        options: &WriteOptions,
        rule: impl FnOnce(&managed_fields::Write<'_>) -> T,
    ) -> T {
        let now = format_time(self.clock.now());
        rule(&managed_fields::Write {
            kind,
            release: self.gates.release(),
            manager: &options.manager,
            subresource: part.subresource(),
            now: &now,
        })
    }

    /// Who owns what of a submitted object.
    pub(super) fn settle(
        &self,
        kind: &'static Kind,
        part: Part,
        options: &WriteOptions,
        live: Option<&Object>,
        submitted: &Object,
        ownership: Ownership,
    ) -> Vec<Value> {
        match ownership {
            Ownership::Settled(entries) => entries,
            Ownership::OfChanges => self.with_write(kind, part, options, |write| {
                managed_fields::after_update(write, live, submitted)
            }),
        }
    }

    /// Makes the writer the owner of an object that is answered and not stored, a review for instance.
    pub(crate) fn own_answer(
        &self,
        kind: &'static Kind,
        options: &WriteOptions,
        object: &mut Object,
    ) -> Result<(), ApiError> {
        let submitted = super::print(kind, &self.gates, object.clone())?;
        let entries = self.settle(kind, Part::Object, options, None, &submitted, Ownership::OfChanges);
        set(object, entries);
        Ok(())
    }
}

/// Puts the entries into an object.
pub(super) fn set(object: &mut Object, entries: Vec<Value>) {
    if entries.is_empty() {
        object.metadata_mut().remove("managedFields");
    } else {
        object.metadata_mut().insert("managedFields".to_owned(), Value::Array(entries));
    }
}

/// A successor that differs from the stored object in nothing but the times of its managers is the stored object.
pub(super) fn keep_times(new: &mut Object, old: &Object) {
    let (own, stored) = (entries(new), entries(old));
    if own == stored || !is_same_but_for_entries(new, old) || !managed_fields::same_but_for_times(own, stored)
    {
        return;
    }
    set(new, stored.to_vec());
}

fn entries(object: &Object) -> &[Value] {
    let entries = object.get("metadata").and_then(|metadata| metadata.get("managedFields"));
    entries.and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn is_same_but_for_entries(one: &Object, other: &Object) -> bool {
    metadata_that_counts(one).eq(metadata_that_counts(other))
        && one.len() == other.len()
        && one.iter().all(|(name, value)| name == "metadata" || other.get(name) == Some(value))
}

fn metadata_that_counts(object: &Object) -> impl Iterator<Item = (&String, &Value)> {
    let metadata = object.get("metadata").and_then(Value::as_object).into_iter().flatten();
    metadata.filter(|(name, _)| !matches!(name.as_str(), "managedFields" | "resourceVersion"))
}
