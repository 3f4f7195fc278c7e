//! For which pod a volume is, as the kubelet says it (`podInfoOnMount`).

use std::collections::BTreeMap;

/// What all keys of the kubelet begin with.
pub(crate) const KUBELET_KEYS: &str = "csi.storage.k8s.io/";

/// The pod of a publish request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pod {
    pub(crate) namespace: String,
    pub(crate) name: String,
    pub(crate) uid: String,
    pub(crate) service_account: String,
}

/// The CSIDriver does not ask for the pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the request does not say for which pod it is: set spec.podInfoOnMount of the CSIDriver to true")]
pub(crate) struct NoPod;

impl Pod {
    pub(crate) fn of(volume_context: &BTreeMap<String, String>) -> Result<Self, NoPod> {
        let value = |key: &str| {
            let value = volume_context.get(&format!("{KUBELET_KEYS}{key}"));
            value.filter(|value| !value.is_empty()).cloned().ok_or(NoPod)
        };
        Ok(Self {
            namespace: value("pod.namespace")?,
            name: value("pod.name")?,
            uid: value("pod.uid")?,
            service_account: value("serviceAccount.name")?,
        })
    }
}
