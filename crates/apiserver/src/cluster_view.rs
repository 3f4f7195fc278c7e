//! The cluster as authorization and token checks see it: facts out of the store's index, never whole objects.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use parking_lot::Mutex;
use tokenward_kube_rules::rbac::Policy;
use tokenward_store::{Entry, EventKind, Key, Page, Scope, Store, Watch};

use crate::authorization::LivePolicy;
use crate::index::{Facts, Index, PodFacts};

/// A store together with the questions that are asked of it on hot paths.
#[derive(Clone)]
pub(crate) struct ClusterView {
    store: Store<Index>,
    pods: Arc<Mutex<PodsByNode>>,
    policy: Arc<Mutex<LivePolicy>>,
}

/// The scheduled pods of each node. Brought up to date whenever it is asked, so that it never lags behind the store.
struct PodsByNode {
    watch: Watch<Index>,
    nodes: HashMap<String, BTreeMap<Key, Arc<Entry<Index>>>>,
}

impl ClusterView {
    pub(crate) fn new(store: Store<Index>) -> Self {
        let pods = Arc::new(Mutex::new(PodsByNode::new(&store)));
        let policy = Arc::new(Mutex::new(LivePolicy::new(&store)));
        Self { store, pods, policy }
    }

    /// Asks the roles and bindings of this moment.
    pub(crate) fn with_policy<R>(&self, ask: impl FnOnce(&Policy) -> R) -> R {
        ask(self.policy.lock().current(&self.store))
    }

    /// One object's entry; none too when the name cannot be a key.
    pub(crate) fn entry(
        &self,
        collection: &'static str,
        namespace: Option<&str>,
        name: &str,
    ) -> Option<Arc<Entry<Index>>> {
        self.store.find(collection, namespace, name)
    }

    /// All objects of a collection, as they are now. For collections that are small in any cluster.
    pub(crate) fn entries(&self, collection: &'static str) -> Vec<Arc<Entry<Index>>> {
        self.entries_of(&Scope::collection(collection))
    }

    /// The same of one namespace.
    pub(crate) fn entries_in(&self, collection: &'static str, namespace: &str) -> Vec<Arc<Entry<Index>>> {
        self.entries_of(&Scope::namespace(collection, namespace))
    }

    fn entries_of(&self, scope: &Scope) -> Vec<Arc<Entry<Index>>> {
        self.store.list(scope, &Page::default()).map(|listing| listing.entries).unwrap_or_default()
    }

    /// Whether some pod on a node fits. Pods that are not scheduled, or scheduled elsewhere, do not count.
    ///
    /// `fits` must not come back here.
    pub(crate) fn any_pod_on(
        &self,
        node: &str,
        namespace: Option<&str>,
        fits: impl Fn(&Key, &PodFacts) -> bool,
    ) -> bool {
        let mut pods = self.pods.lock();
        pods.catch_up(&self.store);
        let here = |key: &Key| namespace.is_none_or(|namespace| key.namespace() == Some(namespace));
        pods.nodes
            .get(node)
            .into_iter()
            .flatten()
            .filter(|(key, _)| here(key))
            .any(|(key, entry)| entry.index.pod().is_some_and(|pod| fits(key, pod)))
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

    /// Looks at the audiences that a CSI driver asks tokens for: none when there is no such driver.
    pub(crate) fn with_audiences_of<R>(&self, driver: &str, look: impl FnOnce(&[String]) -> R) -> Option<R> {
        let entry = self.entry("storage.k8s.io/csidrivers", None, driver)?;
        match &entry.index.facts {
            Facts::CsiDriver { audiences } => Some(look(audiences)),
            _ => None,
        }
    }
}

impl PodsByNode {
    fn new(store: &Store<Index>) -> Self {
        let (listing, watch) = store.list_and_watch(&Scope::collection("pods"));
        let mut pods = Self { watch, nodes: HashMap::new() };
        for entry in listing.entries {
            pods.put(entry);
        }
        pods
    }

    fn catch_up(&mut self, store: &Store<Index>) {
        loop {
            match self.watch.ready() {
                Ok(Some(batch)) => {
                    for event in &batch.events {
                        // A pod's node is set once, but a deleted pod's name may come back on another.
                        if let Some(previous) = &event.previous {
                            self.remove(previous);
                        }
                        match event.kind {
                            EventKind::Put => self.put(event.entry.clone()),
                            EventKind::Delete => self.remove(&event.entry),
                        }
                    }
                }
                Ok(None) => return,
                // More was written since the last question than history keeps.
                Err(_) => *self = Self::new(store),
            }
        }
    }

    fn put(&mut self, entry: Arc<Entry<Index>>) {
        let Some(pod) = entry.index.pod().filter(|pod| !pod.node.is_empty()) else { return };
        self.nodes.entry(pod.node.clone()).or_default().insert(entry.key.clone(), entry);
    }

    fn remove(&mut self, entry: &Entry<Index>) {
        let Some(pod) = entry.index.pod() else { return };
        if let Some(pods) = self.nodes.get_mut(&pod.node) {
            pods.remove(&entry.key);
            if pods.is_empty() {
                self.nodes.remove(&pod.node);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroUsize;

    use serde_json::json;
    use tokenward_store::{HistoryLimits, Unstamped};

    use super::*;

    fn pod(name: &str, node: &str) -> (Key, Unstamped) {
        let object = json!({"metadata": {"name": name}, "spec": {"nodeName": node}});
        let encoded = tokenward_kube_schema::encode(object.as_object().expect("an object"));
        (Key::new("pods", Some("ns"), name).expect("a key"), Unstamped::new(encoded.bytes, encoded.stamp_at))
    }

    #[tokio::test]
    async fn pods_are_found_by_their_node_at_once_and_after_history_has_gone() {
        let limits = HistoryLimits { events: NonZeroUsize::new(2).expect("two"), bytes: 1 << 20 };
        let store = Store::memory_with_limits(limits, Index::of);
        let view = ClusterView::new(store.clone());
        let found = |node: &str, namespace| view.any_pod_on(node, namespace, |_, _| true);
        assert!(!found("n1", None));
        let (key, value) = pod("a", "");
        let entry = store.create(key.clone(), value).await.expect("new");
        assert!(!found("", None), "a pod without a node is on none");
        let entry = store.update(&key, entry.revision, pod("a", "n1").1).await.expect("at that revision");
        assert!(found("n1", Some("ns")) && !found("n1", Some("other")) && !found("n2", None));
        store.delete(&key, Some(entry.revision)).await.expect("there");
        assert!(!found("n1", None));
        for number in 0..10 {
            let (key, value) = pod(&format!("p{number}"), "n2");
            store.create(key, value).await.expect("new");
        }
        let all = std::cell::Cell::new(0);
        assert!(!view.any_pod_on("n2", None, |_, _| {
            all.set(all.get() + 1);
            false
        }));
        assert_eq!(all.get(), 10);
    }
}
