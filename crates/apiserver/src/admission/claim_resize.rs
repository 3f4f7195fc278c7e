//! PersistentVolumeClaimResize: a claim grows only if it is bound and its class lets it.

use tokenward_kube_rules::quantity::Quantity;

use crate::cluster_view::ClusterView;
use crate::object::{Metadata, Object, at, text_at};
use crate::status::{ApiError, Subject};

/// Refuses to let a claim grow that cannot.
pub(super) fn admit_change(new: &Object, old: &Object, cluster: &ClusterView) -> Result<(), ApiError> {
    let size = |claim| {
        Quantity::parse(text_at(claim, &["spec", "resources", "requests", "storage"])).unwrap_or_default()
    };
    if size(new) <= size(old) {
        return Ok(());
    }
    let why = if text_at(old, &["status", "phase"]) != "Bound" {
        "Only bound persistent volume claims can be expanded"
    } else if !can_grow(new, old, cluster) {
        "only dynamically provisioned pvc can be resized and the storageclass that provisions the pvc must support \
         resize"
    } else {
        return Ok(());
    };
    Err(ApiError::forbidden(Subject { group: "", kind: "persistentvolumeclaims", name: new.name() }, why))
}

fn can_grow(new: &Object, old: &Object, cluster: &ClusterView) -> bool {
    let class = |claim| text_at(claim, &["spec", "storageClassName"]);
    if class(new).is_empty() || class(new) != class(old) {
        return false;
    }
    let entry = cluster.entry("storage.k8s.io/storageclasses", None, class(new));
    let class = entry.and_then(|entry| tokenward_kube_schema::parse(&entry.value).ok());
    class.is_some_and(|class| at(&class, &["allowVolumeExpansion"]).is_some_and(|allow| allow == true))
}
