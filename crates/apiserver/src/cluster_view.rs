//! The cluster as authorization and token checks see it: facts out of the store's index, never whole objects.

use std::sync::Arc;

use tokenward_store::{Entry, Key, Page, Scope, Store};

use crate::index::{Facts, Index, PodFacts};

/// A store together with the questions that are asked of it on hot paths.
#[derive(Clone)]
pub(crate) struct ClusterView {
    store: Store<Index>,
}

impl ClusterView {
    pub(crate) fn new(store: Store<Index>) -> Self {
        Self { store }
    }

    /// One object's entry; none too when the name cannot be a key.
    pub(crate) fn entry(
        &self,
        collection: &'static str,
        namespace: Option<&str>,
        name: &str,
    ) -> Option<Arc<Entry<Index>>> {
        self.store.get(&Key::new(collection, namespace, name).ok()?)
    }

    /// Whether some pod on a node fits. Pods that are not scheduled, or scheduled elsewhere, do not count.
    pub(crate) fn any_pod_on(
        &self,
        node: &str,
        namespace: Option<&str>,
        fits: impl Fn(&Key, &PodFacts) -> bool,
    ) -> bool {
        let scope = match namespace {
            Some(namespace) => Scope::namespace("pods", namespace),
            None => Scope::collection("pods"),
        };
        // The newest state is always there to be read.
        let Ok(listing) = self.store.list(&scope, &Page::default()) else { return false };
        let on_node = |pod: &PodFacts| pod.node == node;
        listing
            .entries
            .iter()
            .any(|entry| entry.index.pod().is_some_and(|pod| on_node(pod) && fits(&entry.key, pod)))
    }

    /// The volume that a claim is bound to: none when there is no such claim, empty when it is not bound.
    pub(crate) fn claimed_volume(&self, namespace: &str, claim: &str) -> Option<String> {
        let entry = self.entry("persistentvolumeclaims", Some(namespace), claim)?;
        match &entry.index.facts {
            Facts::PersistentVolumeClaim { volume } => Some(volume.clone()),
            _ => None,
        }
    }

    /// The CSI driver of a volume: none when there is no such volume, empty when it is of another kind.
    pub(crate) fn volume_driver(&self, volume: &str) -> Option<String> {
        let entry = self.entry("persistentvolumes", None, volume)?;
        match &entry.index.facts {
            Facts::PersistentVolume { driver, .. } => Some(driver.clone()),
            _ => None,
        }
    }

    /// The audiences that a CSI driver asks tokens for.
    pub(crate) fn driver_audiences(&self, driver: &str) -> Option<Vec<String>> {
        let entry = self.entry("storage.k8s.io/csidrivers", None, driver)?;
        match &entry.index.facts {
            Facts::CsiDriver { audiences } => Some(audiences.clone()),
            _ => None,
        }
    }
}
