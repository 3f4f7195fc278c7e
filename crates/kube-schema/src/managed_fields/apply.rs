//! Server-side apply: a configuration becomes part of an object, and its manager the owner of what it names.

use serde_json::Value;

use super::compare::Comparison;
use super::config::{self, ConfigFaults, fields_of};
use super::entry::{self, Entry, Fields, Operation};
use super::merge::{merge, without};
use super::rule::Rule;
use super::set::FieldSet;
use super::{Object, Write, last_applied, managed_fields, own, reset};
use crate::{DecodeError, print};

/// What an apply makes of an object.
#[derive(Clone, Debug, PartialEq)]
pub struct Applied {
    /// The object: what the configuration names has its values, and what the manager applied before, does not name any more,
    /// and nobody else owns, is gone.
    pub object: Object,
    /// The object's `managedFields`. The manager's own time is that of its last apply that changed a value; none, if no
    /// apply of its has.
    pub managed_fields: Vec<Value>,
}

/// Why a configuration is not applied.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum ApplyError {
    /// It is of another kind or version.
    #[error("invalid object type: {0}")]
    WrongKind(String),
    /// It brings managed fields.
    #[error("metadata.managedFields must be nil")]
    ManagedFieldsGiven,
    /// It does not fit the kind.
    #[error("failed to create typed patch object ({object}): {faults}")]
    Config {
        /// Namespace, name and kind.
        object: String,
        /// What does not fit.
        faults: ConfigFaults,
    },
    /// The stored object does not say who owns what in a form that can be read.
    #[error("failed to decode managed fields: operation, apiVersion and fieldsV1 must be there")]
    StoredFields,
    /// The stored object has items that cannot be told apart.
    #[error("failed to merge config: {0}")]
    StoredItems(String),
    /// The result cannot be read.
    #[error(transparent)]
    Result(#[from] DecodeError),
    /// Others own what the configuration would change.
    #[error("{}", conflict_message(.0))]
    Conflicts(Vec<Conflict>),
}

/// A field that somebody else owns.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Conflict {
    /// The other manager, as messages name it: `"kubectl" using v1`.
    pub manager: String,
    /// The field, `.spec.podInfoOnMount` for instance.
    pub field: String,
}

/// Who owned what there was before anybody applied, when nobody had been followed.
const BEFORE_FIRST_APPLY: &str = "before-first-apply";

/// Applies a configuration to an object; `live` is none when there is no such object yet. With `force`, others lose what the
/// configuration changes.
///
/// # Errors
/// [`ApplyError`]; texts are upstream's, and show no values.
pub fn apply(
    write: &Write<'_>,
    live: Option<&Object>,
    configuration: &Object,
    force: bool,
) -> Result<Applied, ApplyError> {
    check(write, configuration)?;
    let (message, release) = (write.kind.message(), write.release);
    let nothing = write.nothing();
    let live = live.unwrap_or(&nothing);
    let mut entries = entry::read(managed_fields(live), true).ok_or(ApplyError::StoredFields)?;
    entries.retain(|entry| entry.api_version == write.kind.api_version());
    let ignored = reset::ignored(write.kind, write.subresource);
    let compare = |old: &Object, new: &Object| {
        Comparison::of(message, release, old, new, &ignored)
            .map_err(|fault| ApplyError::StoredItems(fault.to_string()))
    };
    if entries.is_empty() {
        let earlier = Write { manager: BEFORE_FIRST_APPLY, ..*write };
        own(&earlier, &mut entries, compare(&nothing, live)?);
    }

    let mine = write.entry(Operation::Apply, write.manager, Fields::default());
    let place = entries.iter().position(|entry| entry.is_of(&mine));
    let earlier = place.map(|place| entries.remove(place));
    let before = earlier.as_ref().map_or_else(FieldSet::default, |entry| entry.fields.set());
    let mut configured = fields_of(message, release, configuration);
    configured.remove_with_all_below(&paths(reset::put_back(write.kind, write.subresource)));

    let merged = merge(message, release, live, configuration)
        .map_err(|fault| ApplyError::StoredItems(fault.to_string()))?;
    let owned = entries.iter().fold(configured.clone(), |mut owned, entry| {
        owned.add(entry.fields.set());
        owned
    });
    let pruned = if before.is_empty() { merged } else { prune(write, &merged, &before, &owned) };
    let mut object = print(write.kind, release, pruned)?;

    let comparison = compare(live, &object)?;
    let changed = comparison.set();
    if !force {
        let mut not_own = changed.clone();
        not_own.remove(&last_applied::fields(write, live));
        let conflicts = conflicts(&entries, &not_own);
        if !conflicts.is_empty() {
            return Err(ApplyError::Conflicts(conflicts));
        }
    }
    let mut gone = changed;
    gone.add(comparison.removed);
    for entry in entries.iter_mut().filter(|entry| entry.fields.touched_by(&gone)) {
        entry.fields.set_mut().remove(&gone);
    }
    configured.remove(&paths(&ignored));
    configured.remove(&paths(&[&["metadata"]]));
    let time = if object == *live { earlier.and_then(|entry| entry.time) } else { mine.time.clone() };
    entries.push(Entry { fields: Fields::Read(configured), time, ..mine });
    last_applied::keep(write, configuration, &mut object);
    Ok(Applied { object, managed_fields: entry::write(entries) })
}

fn check(write: &Write<'_>, configuration: &Object) -> Result<(), ApplyError> {
    let text = |name: &str| configuration.get(name).and_then(Value::as_str).unwrap_or("");
    let (api_version, kind) = (text("apiVersion"), text("kind"));
    let group_version_kind = |api_version: &str, kind: &str| {
        let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
        format!("{group}/{version}, Kind={kind}")
    };
    if kind != write.kind.kind || api_version != write.kind.api_version() {
        return Err(ApplyError::WrongKind(group_version_kind(api_version, kind)));
    }
    let metadata = configuration.get("metadata");
    let member = |name: &str| metadata.and_then(|metadata| metadata.get(name));
    if member("managedFields").is_some_and(|fields| !fields.is_null()) {
        return Err(ApplyError::ManagedFieldsGiven);
    }
    config::check(write.kind.message(), write.release, configuration).map_err(|faults| {
        let text = |name: &str| member(name).and_then(Value::as_str).unwrap_or("");
        let (namespace, name) = (text("namespace"), text("name"));
        let kind = group_version_kind(api_version, kind);
        ApplyError::Config { object: format!("{namespace}/{name}; {kind}"), faults }
    })
}

/// Takes out of a merged tree what the manager owned before and nobody owns now.
fn prune(write: &Write<'_>, merged: &Object, before: &FieldSet, owned: &FieldSet) -> Object {
    let (message, release) = (write.kind.message(), write.release);
    // A struct stays as long as somebody owns something in it.
    let with_structs = |set: &FieldSet| {
        set.with_members(
            Rule::Struct(message),
            &|rule, element| rule.declares(element, release),
            &|rule, element| rule.step(element, release),
        )
    };
    let fields = |tree: &Object| with_structs(&fields_of(message, release, tree));
    let before = with_structs(before);
    let all = fields(merged);

    let mut kept = fields(&without(message, release, merged, &before));
    kept.add(with_structs(owned));
    let mut unowned = all.clone();
    unowned.remove(&kept);
    // What was nobody's before goes only together with what it is part of.
    let kept = fields(&without(message, release, merged, &unowned));
    let mut dropped = all;
    dropped.remove(&kept);
    without(message, release, merged, &dropped.intersection(&before))
}

fn paths(names: &[&[&str]]) -> FieldSet {
    let mut set = FieldSet::default();
    for path in names {
        set.insert(path);
    }
    set
}

fn conflicts(entries: &[Entry], changed: &FieldSet) -> Vec<Conflict> {
    let mut conflicts = Vec::new();
    for entry in entries.iter().filter(|entry| entry.fields.touched_by(changed)) {
        let manager = shown(entry);
        let fields = entry.fields.set().intersection(changed).paths();
        conflicts.extend(fields.into_iter().map(|field| Conflict { manager: manager.clone(), field }));
    }
    // Stable: the fields of one manager stay in their order.
    conflicts.sort_by(|one, other| one.manager.cmp(&other.manager));
    conflicts
}

/// A manager as messages name it. An updater is told apart by the version that it wrote; times are not part of who it is.
fn shown(entry: &Entry) -> String {
    let mut shown = format!("{:?}", entry.manager);
    if !entry.subresource.is_empty() {
        shown = format!("{shown} with subresource {:?}", entry.subresource);
    }
    if entry.operation == Operation::Update {
        shown = format!("{shown} using {}", entry.api_version);
    }
    shown
}

fn conflict_message(conflicts: &[Conflict]) -> String {
    if let [Conflict { manager, field }] = conflicts {
        return format!("Apply failed with 1 conflict: conflict with {manager}: {field}");
    }
    let mut lines = Vec::new();
    let mut manager = "";
    for conflict in conflicts {
        if conflict.manager != manager {
            manager = &conflict.manager;
            lines.push(format!("conflicts with {manager}:"));
        }
        lines.push(format!("- {}", conflict.field));
    }
    format!("Apply failed with {} conflicts: {}", conflicts.len(), lines.join("\n"))
}
