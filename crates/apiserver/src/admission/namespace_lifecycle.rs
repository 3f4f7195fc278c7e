//! NamespaceLifecycle: nothing is put into a namespace that is not there or on its way out, and some never go.

use tokenward_kube_schema::Kind;

use crate::cluster_view::ClusterView;
use crate::index::Facts;
use crate::object::{Metadata, Object};
use crate::status::{ApiError, Subject};

/// The namespaces that no cluster can do without.
const IMMORTAL: [&str; 3] = ["default", "kube-public", "kube-system"];

/// A namespace must be there, and stay there, before anything is put in it.
pub(crate) fn admit_create(
    kind: &Kind,
    namespace: Option<&str>,
    object: &Object,
    cluster: &ClusterView,
) -> Result<(), ApiError> {
    let Some(namespace) = namespace else { return Ok(()) };
    let missing = Subject { group: "", kind: "namespaces", name: namespace };
    let entry = cluster.entry("namespaces", None, namespace).ok_or_else(|| ApiError::not_found(missing))?;
    let is_terminating = entry.index.deletion.is_some()
        || entry.index.facts == Facts::Namespace { phase: "Terminating".to_owned() };
    if !is_terminating {
        return Ok(());
    }
    let why = format!("unable to create new content in namespace {namespace} because it is being terminated");
    let subject = Subject { group: kind.group, kind: kind.plural, name: object.name_or_prefix() };
    // Controllers tell by this cause that it is no use trying again.
    let cause = format!("namespace {namespace} is being terminated");
    Err(ApiError::forbidden(subject, &why).caused_by("NamespaceTerminating", &cause, "metadata.namespace"))
}

/// Refuses to delete a namespace that no cluster can do without.
pub(crate) fn admit_delete(kind: &Kind, name: &str) -> Result<(), ApiError> {
    if (kind.group, kind.kind) != ("", "Namespace") || !IMMORTAL.contains(&name) {
        return Ok(());
    }
    let subject = Subject { group: "", kind: kind.plural, name };
    Err(ApiError::forbidden(subject, "this namespace may not be deleted"))
}
