//! The shape of the generated table: messages and their fields.

use tokenward_kube_rules::Release;

use crate::generated::MESSAGES;

/// A type of the Kubernetes API.
#[derive(Debug, PartialEq, Eq)]
pub struct Message {
    /// Its name, `storage/v1.CSIDriverSpec` for instance.
    pub name: &'static str,
    /// Its fields, in the order of the Go struct.
    pub fields: &'static [Field],
}

/// A field of a message.
#[derive(Debug, PartialEq, Eq)]
pub struct Field {
    /// Its JSON name. Of an inlined field it is never seen in JSON.
    pub name: &'static str,
    /// Its protobuf number.
    pub number: u32,
    /// What it holds; of a list or a map, what each item holds.
    pub field_type: FieldType,
    /// One, a list or a map.
    pub shape: Shape,
    /// Left out of JSON when it is zero.
    pub omit_empty: bool,
    /// Knows absent from zero.
    pub pointer: bool,
    /// Its own fields stand in the parent's JSON.
    pub inline: bool,
    /// How server-side apply merges it.
    pub merge: Option<ListType>,
    /// How server-side apply merges it, for a map or a struct.
    pub map_type: Option<MapType>,
    /// How strategic merge patch merges it.
    pub patch: Option<PatchStrategy>,
    /// Strategic merge patch replaces it as a whole, though it is a struct.
    pub replaced: bool,
    /// The default that OpenAPI declares, as JSON or as `ref(Name)`.
    pub default: Option<&'static str>,
    /// The feature gate that upstream's comments name.
    pub gate: Option<&'static str>,
    /// The first release that knows it; [`Release::V1_34`] also stands for all before.
    pub since: Release,
}

/// What a field holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldType {
    /// `bool`.
    Bool,
    /// Bytes, base64 in JSON.
    Bytes,
    /// A set of fields for managed fields: raw JSON.
    FieldsV1,
    /// 32 bits, signed.
    Int32,
    /// 64 bits, signed.
    Int64,
    /// A number or a string.
    IntOrString,
    /// Another message, by its place in the table.
    Message(u16),
    /// A time with microseconds.
    MicroTime,
    /// An amount: a string, or a number on the way in.
    Quantity,
    /// Any JSON.
    Raw,
    /// A string, or one of Go's string types.
    String,
    /// A list of strings that has a type of its own, as in the extra fields of a user.
    StringList,
    /// A time in whole seconds.
    Time,
}

/// How often a field holds what it holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// A list.
    List,
    /// A map from strings.
    Map,
    /// Once.
    One,
}

/// How server-side apply merges a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListType {
    /// Owned as one whole.
    Atomic,
    /// Items are found by these keys.
    Map(&'static [&'static str]),
    /// Items are values, each owned by itself.
    Set,
}

/// How server-side apply merges a map or a struct.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MapType {
    /// Owned as one whole.
    Atomic,
    /// Each member is owned by itself.
    Granular,
}

/// How strategic merge patch merges a list or a struct.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PatchStrategy {
    /// The item's member that tells items apart; empty for a list of plain values.
    pub merge_key: &'static str,
    /// Whether members that the patch does not name are dropped.
    pub retain_keys: bool,
}

impl Message {
    /// The field of that JSON name, inlined ones followed.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&'static Field> {
        self.fields.iter().find_map(|field| {
            if field.inline { field.message()?.field(name) } else { (field.name == name).then_some(field) }
        })
    }

    /// Whether server-side apply owns and merges it as one whole.
    #[must_use]
    pub fn is_atomic(&self) -> bool {
        ATOMIC.binary_search(&self.name).is_ok()
    }

    /// Whether its JSON may say kind and version, though it stands inside of another object and protobuf has no such
    /// fields.
    pub(crate) fn has_type_meta(&self) -> bool {
        self.name == "meta/v1.DeleteOptions"
    }

    /// The Go type's name without its package, `CSIDriverSpec` for instance.
    #[must_use]
    pub fn go_name(&self) -> &'static str {
        self.name.rsplit('.').next().expect("splitting gives at least one part")
    }
}

impl Field {
    /// The message that the field, or each of its items, is.
    #[must_use]
    pub fn message(&self) -> Option<&'static Message> {
        self.field_type.message()
    }
}

impl FieldType {
    /// The message that it is, if it is one.
    #[must_use]
    pub fn message(self) -> Option<&'static Message> {
        match self {
            Self::Message(index) => MESSAGES.get(usize::from(index)),
            _ => None,
        }
    }
}

/// The messages that upstream marks as atomic, wherever they stand and nothing else is said; sorted.
const ATOMIC: &[&str] = &[
    "core/v1.ConfigMapKeySelector",
    "core/v1.FileKeySelector",
    "core/v1.LocalObjectReference",
    "core/v1.NodeSelector",
    "core/v1.NodeSelectorTerm",
    "core/v1.ObjectFieldSelector",
    "core/v1.ObjectReference",
    "core/v1.ResourceFieldSelector",
    "core/v1.SecretKeySelector",
    "core/v1.SecretReference",
    "core/v1.TopologySelectorTerm",
    "core/v1.TypedLocalObjectReference",
    "meta/v1.LabelSelector",
    "meta/v1.OwnerReference",
    "rbac/v1.RoleRef",
    "rbac/v1.Subject",
];

/// The message of that name, `core/v1.PodSpec` for instance.
#[must_use]
pub fn find_message(name: &str) -> Option<&'static Message> {
    MESSAGES.binary_search_by(|message| message.name.cmp(name)).ok().map(|index| &MESSAGES[index])
}

/// How the generated rows are written.
impl Field {
    pub(crate) const fn one(name: &'static str, number: u32, field_type: FieldType) -> Self {
        Self {
            name,
            number,
            field_type,
            shape: Shape::One,
            omit_empty: false,
            pointer: false,
            inline: false,
            merge: None,
            map_type: None,
            patch: None,
            replaced: false,
            default: None,
            gate: None,
            since: Release::V1_34,
        }
    }

    pub(crate) const fn list(name: &'static str, number: u32, field_type: FieldType) -> Self {
        Self { shape: Shape::List, ..Self::one(name, number, field_type) }
    }

    pub(crate) const fn map(name: &'static str, number: u32, field_type: FieldType) -> Self {
        Self { shape: Shape::Map, ..Self::one(name, number, field_type) }
    }

    pub(crate) const fn omit_empty(self) -> Self {
        Self { omit_empty: true, ..self }
    }

    pub(crate) const fn pointer(self) -> Self {
        Self { pointer: true, ..self }
    }

    pub(crate) const fn inlined(self) -> Self {
        Self { inline: true, ..self }
    }

    pub(crate) const fn merged(self, merge: ListType) -> Self {
        Self { merge: Some(merge), ..self }
    }

    pub(crate) const fn mapped(self, map_type: MapType) -> Self {
        Self { map_type: Some(map_type), ..self }
    }

    pub(crate) const fn patched(self, merge_key: &'static str, retain_keys: bool) -> Self {
        Self { patch: Some(PatchStrategy { merge_key, retain_keys }), ..self }
    }

    pub(crate) const fn replaced(self) -> Self {
        Self { replaced: true, ..self }
    }

    pub(crate) const fn defaulted(self, default: &'static str) -> Self {
        Self { default: Some(default), ..self }
    }

    pub(crate) const fn gated(self, gate: &'static str) -> Self {
        Self { gate: Some(gate), ..self }
    }

    pub(crate) const fn since(self, release: Release) -> Self {
        Self { since: release, ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn atomic_messages_are_in_the_table_and_sorted() {
        assert!(ATOMIC.is_sorted());
        for name in ATOMIC {
            assert!(find_message(name).is_some_and(Message::is_atomic), "{name}");
        }
        assert!(!find_message("core/v1.PodSpec").is_none_or(Message::is_atomic));
    }
}
