//! The registry of served kinds: what discovery lists and what a path can name.

mod served;

use Verb::{Create, Delete, DeleteCollection, Get, List, Patch, Update, Watch};

use self::served::KINDS;
use crate::table::{Message, find_message};

/// A served kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kind {
    /// The API group; empty for core.
    pub group: &'static str,
    /// The version within the group.
    pub version: &'static str,
    /// The kind, `CSIDriver` for instance.
    pub kind: &'static str,
    /// The kind of its lists.
    pub list_kind: &'static str,
    /// The resource, as it stands in a path: `csidrivers`. Empty if the kind is served only below another.
    pub plural: &'static str,
    /// The resource in the singular, which clients take in commands.
    pub singular: &'static str,
    /// Whether its objects live in a namespace.
    pub namespaced: bool,
    /// What clients may type instead, `sa` for instance.
    pub short_names: &'static [&'static str],
    /// The groups that clients may ask for, `all` for instance.
    pub categories: &'static [&'static str],
    /// What can be done, in discovery's order.
    pub verbs: &'static [Verb],
    /// What is served below one object.
    pub subresources: &'static [Subresource],
    /// Where requests below one object are passed on to.
    pub connections: &'static [Connection],
    /// The message in the table.
    message: &'static str,
}

/// What is served below an object, `status` for instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subresource {
    /// The last part of the path.
    pub name: &'static str,
    /// The group of the kind that it takes and gives.
    pub group: &'static str,
    /// The version of that kind.
    pub version: &'static str,
    /// That kind.
    pub kind: &'static str,
    /// What can be done, in discovery's order.
    pub verbs: &'static [Verb],
}

/// A place below an object that leads out of the API, `nodes/proxy` for instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Connection {
    /// The part of the path.
    pub name: &'static str,
    /// The kind of the options that discovery names, in the object's own group and version. They stand in the path and the query.
    pub kind: &'static str,
    /// What can be done, in discovery's order.
    pub verbs: &'static [Verb],
}

/// What can be done with a resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verb {
    /// POST.
    Create,
    /// DELETE of one.
    Delete,
    /// DELETE of many.
    DeleteCollection,
    /// GET of one.
    Get,
    /// GET of many.
    List,
    /// PATCH.
    Patch,
    /// PUT.
    Update,
    /// GET of many with `watch`.
    Watch,
}

impl Verb {
    /// The verb as discovery and RBAC write it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Create => "create",
            Delete => "delete",
            DeleteCollection => "deletecollection",
            Get => "get",
            List => "list",
            Patch => "patch",
            Update => "update",
            Watch => "watch",
        }
    }
}

impl Kind {
    /// `v1` or `storage.k8s.io/v1`.
    #[must_use]
    pub fn api_version(&self) -> String {
        group_version(self.group, self.version)
    }

    /// The kind's fields.
    #[must_use]
    pub fn message(&self) -> &'static Message {
        find_message(self.message).expect("a test finds the message of every kind")
    }

    /// Whether a verb is served.
    #[must_use]
    pub fn allows(&self, verb: Verb) -> bool {
        self.verbs.contains(&verb)
    }

    /// The subresource of that name.
    #[must_use]
    pub fn subresource(&self, name: &str) -> Option<&'static Subresource> {
        self.subresources.iter().find(|subresource| subresource.name == name)
    }

    /// `csidrivers.storage.k8s.io`, or `pods` in core: how messages name the resource.
    #[must_use]
    pub fn qualified_resource(&self) -> String {
        qualified(self.plural, self.group)
    }

    /// `CSIDriver.storage.k8s.io`, or `Pod` in core: how messages about validation name the kind.
    #[must_use]
    pub fn qualified_kind(&self) -> String {
        qualified(self.kind, self.group)
    }

    /// The group as upstream's Go packages call it: `storage`, `core`.
    pub(crate) fn package(&self) -> &'static str {
        self.message.split('/').next().expect("splitting gives at least one part")
    }
}

impl Subresource {
    /// `v1` or `authentication.k8s.io/v1`.
    #[must_use]
    pub fn api_version(&self) -> String {
        group_version(self.group, self.version)
    }

    /// The kind that the subresource takes and gives.
    #[must_use]
    pub fn body_kind(&self) -> &'static Kind {
        kinds()
            .iter()
            .find(|kind| (kind.group, kind.version, kind.kind) == (self.group, self.version, self.kind))
            .expect("a test finds the kind of every subresource")
    }
}

/// Every served kind, by group and name.
#[must_use]
pub fn kinds() -> &'static [Kind] {
    KINDS
}

/// The kind whose objects are served at `/apis/GROUP/VERSION/.../PLURAL`.
#[must_use]
pub fn find_resource(group: &str, version: &str, plural: &str) -> Option<&'static Kind> {
    KINDS.iter().find(|kind| {
        !kind.plural.is_empty() && kind.plural == plural && kind.group == group && kind.version == version
    })
}

/// The kind that a body with this `apiVersion` and `kind` is.
#[must_use]
pub fn find_kind(api_version: &str, kind: &str) -> Option<&'static Kind> {
    let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
    KINDS.iter().find(|known| (known.group, known.version, known.kind) == (group, version, kind))
}

fn group_version(group: &str, version: &str) -> String {
    if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") }
}

fn qualified(name: &str, group: &str) -> String {
    if group.is_empty() { name.to_owned() } else { format!("{name}.{group}") }
}

#[cfg(test)]
mod tests;
