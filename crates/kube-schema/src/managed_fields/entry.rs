//! Entries of `metadata.managedFields`: who owns which fields.

use std::cmp::Ordering;
use std::collections::{HashMap, HashSet};

use serde_json::{Map, Value};

use super::set::FieldSet;

/// How a manager came to own fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Operation {
    /// By server-side apply.
    Apply,
    /// By any other write.
    Update,
}

/// One manager's fields.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) manager: String,
    pub(super) operation: Operation,
    pub(super) api_version: String,
    pub(super) time: Option<String>,
    pub(super) subresource: String,
    pub(super) fields: Fields,
}

/// The fields of an entry, read only when they are needed.
#[derive(Clone, Debug)]
pub(super) enum Fields {
    /// As this module wrote them.
    Written(Value),
    Read(FieldSet),
}

impl Default for Fields {
    /// None.
    fn default() -> Self {
        Self::Read(FieldSet::default())
    }
}

impl Fields {
    /// Whether one of these is among the fields.
    pub(super) fn touched_by(&self, set: &FieldSet) -> bool {
        match self {
            Self::Written(fields) => set.touches(fields),
            Self::Read(fields) => !fields.intersection(set).is_empty(),
        }
    }

    /// Whether all of these are among the fields.
    pub(super) fn has_all_of(&self, set: &FieldSet) -> bool {
        match self {
            Self::Written(fields) => set.is_within(fields),
            Self::Read(fields) => fields.intersection(set) == *set,
        }
    }

    pub(super) fn set(&self) -> FieldSet {
        match self {
            Self::Written(fields) => FieldSet::from_json(fields).unwrap_or_default(),
            Self::Read(fields) => fields.clone(),
        }
    }

    pub(super) fn set_mut(&mut self) -> &mut FieldSet {
        if let Self::Written(_) = self {
            *self = Self::Read(self.set());
        }
        match self {
            Self::Read(fields) => fields,
            Self::Written(_) => unreachable!("just read"),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        match self {
            Self::Written(fields) => fields.as_object().is_none_or(Map::is_empty),
            Self::Read(fields) => fields.is_empty(),
        }
    }
}

impl Entry {
    /// Whether both are entries of one and the same manager.
    pub(super) fn is_of(&self, other: &Self) -> bool {
        self.identity() == other.identity()
    }

    /// Who the manager is. An applier stays the same in another version.
    fn identity(&self) -> (Operation, &str, &str, Option<&str>) {
        let version = (self.operation == Operation::Update).then_some(self.api_version.as_str());
        (self.operation, &self.manager, &self.subresource, version)
    }

    /// The order in which entries stand.
    fn order(&self, other: &Self) -> Ordering {
        let key = |entry: &Self| {
            // Times are in one form, so that their texts are in their order; none is before all.
            (
                entry.operation,
                entry.time.clone(),
                entry.manager.clone(),
                entry.api_version.clone(),
                entry.subresource.clone(),
            )
        };
        key(self).cmp(&key(other))
    }

    /// Reads one entry; `trusted` entries are those that this module wrote.
    fn read(value: &Value, trusted: bool) -> Option<Self> {
        let text = |name: &str| value.get(name).and_then(Value::as_str).unwrap_or("").to_owned();
        let operation = match value.get("operation").and_then(Value::as_str)? {
            "Apply" => Operation::Apply,
            "Update" => Operation::Update,
            _ => return None,
        };
        let api_version = text("apiVersion");
        if api_version.is_empty() || text("fieldsType") != "FieldsV1" {
            return None;
        }
        let fields = value.get("fieldsV1").filter(|fields| !fields.is_null());
        let fields = match (fields, trusted) {
            (None, _) => Fields::Read(FieldSet::default()),
            (Some(fields), true) => Fields::Written(fields.clone()),
            (Some(fields), false) => Fields::Read(FieldSet::from_json(fields).ok()?),
        };
        Some(Self {
            manager: text("manager"),
            operation,
            api_version,
            time: value.get("time").and_then(Value::as_str).map(str::to_owned),
            subresource: text("subresource"),
            fields,
        })
    }

    fn write(self) -> Value {
        let operation = match self.operation {
            Operation::Apply => "Apply",
            Operation::Update => "Update",
        };
        let fields = match self.fields {
            Fields::Written(fields) => fields,
            Fields::Read(fields) => fields.to_json(),
        };
        let texts = [
            ("manager", self.manager.as_str()),
            ("operation", operation),
            ("apiVersion", self.api_version.as_str()),
            ("time", self.time.as_deref().unwrap_or("")),
            ("fieldsType", "FieldsV1"),
            ("subresource", self.subresource.as_str()),
        ];
        let texts = texts.into_iter().filter(|(_, text)| !text.is_empty());
        let mut members: Map<String, Value> =
            texts.map(|(name, text)| (name.to_owned(), Value::from(text))).collect();
        members.insert("fieldsV1".to_owned(), fields);
        Value::Object(members)
    }
}

/// Reads a list of entries; none if one of them cannot be read. Of two of one manager, the last counts.
pub(super) fn read(list: &[Value], trusted: bool) -> Option<Vec<Entry>> {
    let mut entries = list.iter().map(|value| Entry::read(value, trusted)).collect::<Option<Vec<_>>>()?;
    if !trusted {
        // A client may send very many.
        let mut seen = HashSet::new();
        let is_last: Vec<bool> = entries.iter().rev().map(|entry| seen.insert(entry.identity())).collect();
        let mut is_last = is_last.into_iter().rev();
        entries.retain(|_| is_last.next().unwrap_or(true));
    }
    Some(entries)
}

/// Writes entries in their order; those without fields go.
pub(super) fn write(mut entries: Vec<Entry>) -> Vec<Value> {
    entries.retain(|entry| !entry.fields.is_empty());
    entries.sort_by(Entry::order);
    entries.into_iter().map(Entry::write).collect()
}

/// The most entries that updates may leave; older ones are put together.
const MOST_UPDATERS: usize = 10;
/// Who owns what is put together.
const OLD_UPDATES: &str = "ancient-changes";

/// Puts the oldest entries of updates together until there are few enough.
pub(super) fn cap(entries: &mut Vec<Entry>) {
    let updaters =
        entries.iter().filter(|entry| entry.operation == Operation::Update && !entry.fields.is_empty());
    let mut left = updaters.count();
    if left <= MOST_UPDATERS {
        return;
    }
    entries.sort_by(Entry::order);
    // Of each version, what was put together before, or else the oldest entry, waits for others.
    let is_bucket = |entry: &Entry| entry.operation == Operation::Update && entry.manager == OLD_UPDATES;
    let mut buckets: HashMap<String, Entry> = HashMap::new();
    let mut kept = Vec::with_capacity(entries.len());
    for entry in entries.extract_if(.., |entry| is_bucket(entry)) {
        buckets.insert(entry.api_version.clone(), entry);
    }
    for entry in entries.drain(..) {
        if entry.operation == Operation::Apply || left <= MOST_UPDATERS {
            kept.push(entry);
            continue;
        }
        match buckets.get_mut(&entry.api_version) {
            None => {
                buckets.insert(entry.api_version.clone(), entry);
            }
            Some(bucket) => {
                bucket.manager = OLD_UPDATES.to_owned();
                bucket.subresource.clear();
                bucket.time = entry.time;
                bucket.fields.set_mut().add(entry.fields.set());
                left -= 1;
            }
        }
    }
    kept.extend(buckets.into_values());
    *entries = kept;
}
