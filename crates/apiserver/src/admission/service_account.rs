//! ServiceAccount admission: every pod runs as an account that exists.

use crate::cluster_view::ClusterView;
use crate::object::{Metadata, Object, child_mut, text_at};
use crate::status::{ApiError, Subject};

const MIRROR: &str = "kubernetes.io/config.mirror";

/// Gives a new pod the account `default` when it names none, and refuses one whose account is not there.
pub(crate) fn admit_pod(pod: &mut Object, namespace: &str, cluster: &ClusterView) -> Result<(), ApiError> {
    let annotations = pod.get("metadata").and_then(|metadata| metadata.get("annotations"));
    if annotations.is_some_and(|annotations| annotations.get(MIRROR).is_some()) {
        return Ok(());
    }
    let named = match text_at(pod, &["spec", "serviceAccountName"]) {
        // The deprecated spelling still counts.
        "" => text_at(pod, &["spec", "serviceAccount"]),
        name => name,
    };
    let account = if named.is_empty() { "default".to_owned() } else { named.to_owned() };
    if cluster.entry("serviceaccounts", Some(namespace), &account).is_none() {
        let why = format!(
            "error looking up service account {namespace}/{account}: serviceaccount \"{account}\" not found"
        );
        let name = pod.name().to_owned();
        return Err(ApiError::forbidden(Subject { group: "", kind: "pods", name: &name }, &why));
    }
    let spec = child_mut(pod, "spec");
    spec.insert("serviceAccountName".to_owned(), account.as_str().into());
    spec.insert("serviceAccount".to_owned(), account.into());
    Ok(())
}
