//! Which verbs a resource has at which paths, and which part of an object a write is about.

use tokenward_kube_schema::{Kind, Verb};

use crate::registry::Part;
use crate::request::ResourcePath;
use crate::status::ApiError;

/// Whether a resource has the verb at such a path.
pub(super) fn check_verb(kind: &Kind, path: &ResourcePath, verb: Verb) -> Result<(), ApiError> {
    let verbs = match path.subresource.as_deref() {
        None => kind.verbs,
        Some(name) => kind.subresource(name).ok_or_else(ApiError::unknown_resource)?.verbs,
    };
    let fits = match verb {
        Verb::Create => path.name.is_some() == path.subresource.is_some(),
        Verb::Get | Verb::Update | Verb::Patch | Verb::Delete => path.name.is_some(),
        Verb::List | Verb::DeleteCollection => path.name.is_none(),
        Verb::Watch => true,
    };
    // Reading and deleting across namespaces is for collections; a single object has its namespace in the path.
    let is_placed = !kind.namespaced
        || path.namespace.is_some()
        || matches!(verb, Verb::List | Verb::Watch) && path.name.is_none();
    if !is_placed && path.name.is_some() {
        return Err(ApiError::unknown_resource());
    }
    // What is only ever created has no path of its own.
    let is_nowhere = path.subresource.is_none() && path.name.is_some() && *kind.verbs == [Verb::Create];
    if is_nowhere {
        return Err(ApiError::unknown_resource());
    }
    if verbs.contains(&verb) && fits && is_placed { Ok(()) } else { Err(ApiError::method_not_allowed()) }
}

/// What a write at this path is about.
pub(super) fn part(path: &ResourcePath) -> Part {
    match path.subresource.as_deref() {
        Some("status") => Part::Status,
        Some("finalize") => Part::Finalize,
        _ => Part::Object,
    }
}
