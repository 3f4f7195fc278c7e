//! Admission: what is filled in or refused after a request was authorized.
//!
//! What fills in goes before an object is validated, what only refuses goes after. The plugins that the recorded server
//! runs by default and that have something to do with the served kinds are here, each a file.

mod claim_resize;
mod default_storage_class;
pub(crate) mod namespace_lifecycle;
pub(crate) mod node_restriction;
mod priority;
mod protection;
pub(crate) mod service_account;
mod taints;
mod tolerations;

use tokenward_kube_schema::Kind;

use crate::cluster_view::ClusterView;
use crate::object::Object;
use crate::status::ApiError;

/// Fills in a new object, or refuses it, in upstream's order of plugins.
pub(crate) fn fill_in(
    kind: &Kind,
    namespace: Option<&str>,
    object: &mut Object,
    cluster: &ClusterView,
) -> Result<(), ApiError> {
    match (kind.group, kind.kind, namespace) {
        ("", "Pod", Some(namespace)) => {
            service_account::admit_pod(object, namespace, cluster)?;
            priority::admit_pod(object)?;
            tolerations::admit_pod(object);
        }
        ("", "Node", _) => taints::admit_node(object),
        ("", "PersistentVolumeClaim", _) => {
            default_storage_class::admit_claim(object, cluster);
            protection::admit(object, protection::CLAIM);
        }
        ("", "PersistentVolume", _) => protection::admit(object, protection::VOLUME),
        _ => {}
    }
    Ok(())
}

/// Fills in a change of an object.
pub(crate) fn fill_in_change(kind: &Kind, object: &mut Object) {
    if (kind.group, kind.kind) == ("", "Pod") {
        tolerations::admit_pod(object);
    }
}

/// Refuses a change that validation has nothing against.
pub(crate) fn check_change(
    kind: &Kind,
    new: &Object,
    old: &Object,
    cluster: &ClusterView,
) -> Result<(), ApiError> {
    match (kind.group, kind.kind) {
        ("", "PersistentVolumeClaim") => claim_resize::admit_change(new, old, cluster),
        _ => Ok(()),
    }
}
