//! Who owns which fields of an object: `metadata.managedFields`, and server-side apply, which goes by it.
//!
//! Every write leaves its manager as the owner of what it changed ([`after_update`]) or applied ([`apply`]). Which parts of
//! an object are owned by themselves, and which as a whole, is the table's to say. The rules are those of upstream's
//! structured merge.

use std::collections::HashSet;

use serde_json::{Map, Value};
use tokenward_kube_rules::Release;

use self::compare::Comparison;
use self::entry::{Entry, Fields, Operation};
use crate::{Kind, print};

mod apply;
mod compare;
mod config;
mod creation;
mod element;
mod entry;
mod last_applied;
mod merge;
mod reset;
mod rule;
mod set;

#[cfg(test)]
mod model;
#[cfg(test)]
mod tests;

pub use apply::{Applied, ApplyError, Conflict, apply};
pub use config::ConfigFaults;
pub use element::BadElement;
pub use set::FieldSet;

type Object = Map<String, Value>;

/// A write, as far as ownership goes.
#[derive(Clone, Copy, Debug)]
pub struct Write<'a> {
    /// What is written.
    pub kind: &'static Kind,
    /// The release that reads and prints it.
    pub release: Release,
    /// Who writes. Empty is `unknown`.
    pub manager: &'a str,
    /// What of the object is written: empty for the object itself, `status` for instance.
    pub subresource: &'a str,
    /// The time as `metav1.Time` prints it.
    pub now: &'a str,
}

/// Nobody said who writes.
const UNKNOWN: &str = "unknown";

impl Write<'_> {
    fn entry(&self, operation: Operation, manager: &str, fields: Fields) -> Entry {
        Entry {
            manager: if manager.is_empty() { UNKNOWN } else { manager }.to_owned(),
            operation,
            api_version: self.kind.api_version(),
            time: Some(self.now.to_owned()),
            subresource: self.subresource.to_owned(),
            fields,
        }
    }

    /// An object of which nothing was said yet, as it is printed.
    fn nothing(&self) -> Object {
        print(self.kind, self.release, Object::new()).unwrap_or_default()
    }
}

/// The `managedFields` of an object after a create, an update or a patch: the manager owns what it changed, and those who
/// owned that before do not any more. `live` is the stored object, none for a create; `submitted` is the object as the
/// client wants it, decoded, with defaults, and printed.
///
/// A client may send `managedFields` of its own with the object, which then count instead of the stored ones; an empty list,
/// or one empty entry, makes that nobody owns anything any more, and that this stays so until the next apply.
#[must_use]
pub fn after_update(write: &Write<'_>, live: Option<&Object>, submitted: &Object) -> Vec<Value> {
    let stored = live.map_or(&[][..], managed_fields);
    let sent = submitted_fields(write, live, submitted);
    let base = match &sent {
        Sent::Nothing => stored,
        Sent::Reset => &[],
        Sent::Entries(entries) => entries,
    };
    let message = write.kind.message();
    let ignored = reset::ignored(write.kind, write.subresource);
    let old = match live {
        // Who nobody follows is not followed up by an update.
        Some(_) if base.is_empty() => return Vec::new(),
        Some(live) => live,
        None if base.is_empty() => {
            let fields =
                creation::fields_of_new(message, write.release, &write.nothing(), submitted, &ignored);
            // Items that cannot be told apart: validation will have its say.
            let Ok(fields) = fields else { return Vec::new() };
            let fields = Fields::Written(Value::Object(fields));
            return entry::write(vec![write.entry(Operation::Update, write.manager, fields)]);
        }
        None => &write.nothing(),
    };
    let Ok(comparison) = Comparison::of(message, write.release, old, submitted, &ignored) else {
        // As above.
        return base.to_vec();
    };
    if comparison.is_empty() {
        return base.to_vec();
    }
    let mut entries = entry::read(base, true).unwrap_or_default();
    own(write, &mut entries, comparison);
    entry::cap(&mut entries);
    entry::write(entries)
}

/// Gives the manager what was changed, and takes it from all others.
fn own(write: &Write<'_>, entries: &mut Vec<Entry>, comparison: Comparison) {
    let api_version = write.kind.api_version();
    // Other versions of the served kinds there are not, and nobody could say what such an entry owns now.
    entries.retain(|entry| entry.api_version == api_version);
    let Comparison { added, modified, removed } = comparison;
    let mut changed = added;
    changed.add(modified);
    let mut gone = changed.clone();
    gone.add(removed.clone());
    let mine = write.entry(Operation::Update, write.manager, Fields::default());
    let mut found = false;
    for entry in entries.iter_mut() {
        if entry.is_of(&mine) {
            found = true;
            if entry.fields.touched_by(&removed) {
                entry.fields.set_mut().remove(&removed);
            }
            if !changed.is_empty() {
                entry.time.clone_from(&mine.time);
                if !entry.fields.has_all_of(&changed) {
                    entry.fields.set_mut().add(changed.clone());
                }
            }
        } else if entry.fields.touched_by(&gone) {
            entry.fields.set_mut().remove(&gone);
        }
    }
    if !found {
        entries.push(Entry { fields: Fields::Read(changed), ..mine });
    }
}

/// What a client sent of managed fields.
enum Sent {
    /// Nothing that counts.
    Nothing,
    /// That nobody owns anything.
    Reset,
    /// Entries, brought into our form.
    Entries(Vec<Value>),
}

fn submitted_fields(write: &Write<'_>, live: Option<&Object>, submitted: &Object) -> Sent {
    // Through a subresource, nobody changes them.
    if !write.subresource.is_empty() {
        return Sent::Nothing;
    }
    let sent = submitted.get("metadata").and_then(|metadata| metadata.get("managedFields"));
    match sent.and_then(Value::as_array).map(Vec::as_slice) {
        None => Sent::Nothing,
        Some([]) => Sent::Reset,
        Some([only]) if only.as_object().is_some_and(Map::is_empty) => Sent::Reset,
        Some(sent) if live.is_some_and(|live| managed_fields(live) == sent) => Sent::Nothing,
        Some(sent) => match entry::read(sent, false) {
            Some(entries) if !entries.is_empty() => Sent::Entries(entry::write(entries)),
            _ => Sent::Nothing,
        },
    }
}

/// The entries that an object carries.
fn managed_fields(object: &Object) -> &[Value] {
    compare::items_of(object.get("metadata").and_then(|metadata| metadata.get("managedFields")))
}

/// Whether two lists of entries differ in nothing but times, and the order that follows from them. A write that changes
/// only that changes nothing.
#[must_use]
pub fn same_but_for_times(one: &[Value], other: &[Value]) -> bool {
    let timeless = |entry: &Value| -> String {
        let members = entry.as_object().into_iter().flatten().filter(|(name, _)| *name != "time");
        members.map(|(name, value)| format!("{name}:{value},")).collect()
    };
    let others: HashSet<String> = other.iter().map(timeless).collect();
    one.len() == other.len() && one.iter().all(|entry| others.contains(&timeless(entry)))
}
