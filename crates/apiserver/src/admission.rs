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
use crate::metrics::AdmissionMetrics;
use crate::object::Object;
use crate::status::ApiError;

/// Fills in a new object, or refuses it, in upstream's order of plugins.
pub(crate) fn fill_in(
    kind: &Kind,
    namespace: Option<&str>,
    object: &mut Object,
    cluster: &ClusterView,
    metrics: &AdmissionMetrics,
) -> Result<(), ApiError> {
    let fill_in = |name, work: &mut dyn FnMut()| metrics.filling_plugin(name, CREATE, work);
    match (kind.group, kind.kind, namespace) {
        ("", "Pod", Some(namespace)) => {
            metrics.plugin(SERVICE_ACCOUNT, ADMIT, CREATE, || {
                service_account::admit_pod(object, namespace, cluster)
            })?;
            metrics.plugin(PRIORITY, ADMIT, CREATE, || priority::admit_pod(object, cluster))?;
            fill_in(TOLERATIONS, &mut || tolerations::admit_pod(object));
        }
        ("", "Node", _) => fill_in(TAINTS, &mut || taints::admit_node(object)),
        ("", "PersistentVolumeClaim", _) => {
            fill_in(STORAGE_CLASS, &mut || default_storage_class::admit_claim(object, cluster));
            fill_in(PROTECTION, &mut || protection::admit(object, protection::CLAIM));
        }
        ("", "PersistentVolume", _) => {
            fill_in(PROTECTION, &mut || protection::admit(object, protection::VOLUME));
        }
        _ => {}
    }
    Ok(())
}

/// As upstream calls the plugins.
const SERVICE_ACCOUNT: &str = "ServiceAccount";
const PRIORITY: &str = "Priority";
const TOLERATIONS: &str = "DefaultTolerationSeconds";
const TAINTS: &str = "TaintNodesByCondition";
const STORAGE_CLASS: &str = "DefaultStorageClass";
const PROTECTION: &str = "StorageObjectInUseProtection";
const RESIZE: &str = "PersistentVolumeClaimResize";
/// What they do.
pub(crate) const ADMIT: &str = "admit";
const VALIDATE: &str = "validate";
const CREATE: &str = "CREATE";
const UPDATE: &str = "UPDATE";

/// Fills in a change of an object.
pub(crate) fn fill_in_change(kind: &Kind, object: &mut Object, metrics: &AdmissionMetrics) {
    if (kind.group, kind.kind) == ("", "Pod") {
        metrics.filling_plugin(TOLERATIONS, UPDATE, || tolerations::admit_pod(object));
    }
}

/// Refuses a new object that validation has nothing against.
pub(crate) fn check_new(
    kind: &Kind,
    object: &Object,
    cluster: &ClusterView,
    metrics: &AdmissionMetrics,
) -> Result<(), ApiError> {
    match (kind.group, kind.kind) {
        ("scheduling.k8s.io", "PriorityClass") => {
            metrics.plugin(PRIORITY, VALIDATE, CREATE, || priority::check_class(object, cluster, true))
        }
        _ => Ok(()),
    }
}

/// Refuses a change that validation has nothing against.
pub(crate) fn check_change(
    kind: &Kind,
    new: &Object,
    old: &Object,
    cluster: &ClusterView,
    metrics: &AdmissionMetrics,
) -> Result<(), ApiError> {
    match (kind.group, kind.kind) {
        ("", "PersistentVolumeClaim") => {
            metrics.plugin(RESIZE, VALIDATE, UPDATE, || claim_resize::admit_change(new, old, cluster))
        }
        ("scheduling.k8s.io", "PriorityClass") => {
            metrics.plugin(PRIORITY, VALIDATE, UPDATE, || priority::check_class(new, cluster, false))
        }
        _ => Ok(()),
    }
}
