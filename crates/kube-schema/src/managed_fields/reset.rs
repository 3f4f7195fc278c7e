//! Fields that ownership passes over: those that identify an object, and those that a write through this path cannot change.

use crate::Kind;

type Path = &'static [&'static str];

/// What belongs to the system, of every object.
const SYSTEM: &[Path] = &[
    &["apiVersion"],
    &["kind"],
    &["metadata", "name"],
    &["metadata", "namespace"],
    &["metadata", "creationTimestamp"],
    &["metadata", "selfLink"],
    &["metadata", "uid"],
    &["metadata", "generation"],
    &["metadata", "managedFields"],
    &["metadata", "resourceVersion"],
];

/// The paths that do not count in a write of a kind through a subresource, or through the object itself when that is empty.
pub(super) fn ignored(kind: &Kind, subresource: &str) -> Vec<Path> {
    let mut ignored = SYSTEM.to_vec();
    ignored.extend_from_slice(put_back(kind, subresource));
    ignored
}

/// What the path's own rules put back to what it was, whatever a client sends.
pub(super) fn put_back(kind: &Kind, subresource: &str) -> &'static [Path] {
    match (subresource, kind.kind) {
        ("" | "finalize", _) if kind.subresource("status").is_some() => &[&["status"]],
        ("status", "Pod") => {
            &[&["spec"], &["metadata", "deletionTimestamp"], &["metadata", "ownerReferences"]]
        }
        ("status", "VolumeAttachment") => &[&["spec"], &["metadata"]],
        ("status", _) => &[&["spec"]],
        _ => &[],
    }
}
