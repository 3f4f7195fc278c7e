//! The compiled policy, kept beside the store: brought up to date whenever it is asked, so that a role that was just
//! written, or taken away, counts at once and no request parses one.

use std::sync::Arc;

use tokenward_kube_rules::rbac::Policy;
use tokenward_store::{Compacted, Entry, EventKind, Scope, Store, Watch};

use crate::index::{Facts, Index};

/// A policy, and where in the history of each of its collections it stands.
pub(crate) struct LivePolicy {
    policy: Policy,
    watches: [Watch<Index>; COLLECTIONS.len()],
}

const CLUSTER_ROLES: &str = "rbac.authorization.k8s.io/clusterroles";
const CLUSTER_ROLE_BINDINGS: &str = "rbac.authorization.k8s.io/clusterrolebindings";
const ROLES: &str = "rbac.authorization.k8s.io/roles";
const ROLE_BINDINGS: &str = "rbac.authorization.k8s.io/rolebindings";
const COLLECTIONS: [&str; 4] = [CLUSTER_ROLES, CLUSTER_ROLE_BINDINGS, ROLES, ROLE_BINDINGS];

impl LivePolicy {
    pub(crate) fn new(store: &Store<Index>) -> Self {
        let mut policy = Policy::default();
        let watches = COLLECTIONS.map(|collection| {
            let (listing, watch) = store.list_and_watch(&Scope::collection(collection));
            for entry in &listing.entries {
                put(&mut policy, entry);
            }
            watch
        });
        Self { policy, watches }
    }

    /// The policy as of now.
    pub(crate) fn current(&mut self, store: &Store<Index>) -> &Policy {
        if self.catch_up().is_err() {
            // More was written since the last question than history keeps.
            *self = Self::new(store);
        }
        &self.policy
    }

    fn catch_up(&mut self) -> Result<(), Compacted> {
        for watch in &mut self.watches {
            while let Some(batch) = watch.ready()? {
                for event in &batch.events {
                    match event.kind {
                        EventKind::Put => put(&mut self.policy, &event.entry),
                        EventKind::Delete => remove(&mut self.policy, &event.entry),
                    }
                }
            }
        }
        Ok(())
    }
}

fn put(policy: &mut Policy, entry: &Arc<Entry<Index>>) {
    let (namespace, name) = (entry.key.namespace().unwrap_or(""), entry.key.name());
    match (entry.key.collection(), &entry.index.facts) {
        (CLUSTER_ROLES, Facts::Role(rules)) => policy.put_cluster_role(name, rules.clone()),
        (ROLES, Facts::Role(rules)) => policy.put_role(namespace, name, rules.clone()),
        (CLUSTER_ROLE_BINDINGS, Facts::RoleBinding(binding)) => {
            policy.put_cluster_role_binding(name, binding.clone());
        }
        (ROLE_BINDINGS, Facts::RoleBinding(binding)) => {
            policy.put_role_binding(namespace, name, binding.clone());
        }
        // Bytes that did not parse: such a role grants nothing, whatever it granted before.
        _ => remove(policy, entry),
    }
}

fn remove(policy: &mut Policy, entry: &Entry<Index>) {
    let (namespace, name) = (entry.key.namespace().unwrap_or(""), entry.key.name());
    match entry.key.collection() {
        CLUSTER_ROLES => policy.remove_cluster_role(name),
        ROLES => policy.remove_role(namespace, name),
        CLUSTER_ROLE_BINDINGS => policy.remove_cluster_role_binding(name),
        _ => policy.remove_role_binding(namespace, name),
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroUsize;

    use serde_json::{Value, json};
    use tokenward_kube_rules::rbac::{Attributes, Who};
    use tokenward_store::{HistoryLimits, Key, Unstamped};

    use super::*;

    fn stored(collection: &str, name: &str, object: &Value) -> (Key, Unstamped) {
        let encoded = tokenward_kube_schema::encode(object.as_object().expect("an object"));
        let key = Key::new(collection, None, name).expect("a key");
        (key, Unstamped::new(encoded.bytes, encoded.stamp_at))
    }

    #[tokio::test]
    async fn a_change_counts_at_once_and_after_history_has_gone() {
        let limits = HistoryLimits { events: NonZeroUsize::new(2).expect("two"), bytes: 1 << 20 };
        let store = Store::memory_with_limits(limits, Index::of);
        let mut live = LivePolicy::new(&store);
        let mut may = |path: &str| {
            let who = Who { name: "alice", groups: &[] };
            live.current(&store).decide(who, &Attributes::NonResource { path, verb: "get" }).is_ok()
        };
        assert!(!may("/metrics"));
        let role = |paths: Value| json!({"metadata": {"name": "r"}, "rules": [{"verbs": ["get"], "nonResourceURLs": paths}]});
        let (role_key, value) = stored(CLUSTER_ROLES, "r", &role(json!(["/metrics"])));
        let entry = store.create(role_key.clone(), value).await.expect("new");
        let binding = json!({"metadata": {"name": "b"}, "subjects": [{"kind": "User", "name": "alice"}],
            "roleRef": {"kind": "ClusterRole", "name": "r"}});
        let (binding_key, value) = stored(CLUSTER_ROLE_BINDINGS, "b", &binding);
        store.create(binding_key.clone(), value).await.expect("new");
        assert!(may("/metrics") && !may("/logs"));
        let (_, value) = stored(CLUSTER_ROLES, "r", &role(json!(["/logs"])));
        store.update(&role_key, entry.revision, value).await.expect("at that revision");
        assert!(!may("/metrics") && may("/logs"));
        // More than history keeps, and the binding gone with it.
        store.delete(&binding_key, None).await.expect("there");
        for number in 0..5 {
            let (key, value) = stored(CLUSTER_ROLE_BINDINGS, &format!("other-{number}"), &binding);
            store.create(key.clone(), value).await.expect("new");
            store.delete(&key, None).await.expect("there");
        }
        assert!(!may("/logs"));
    }

    #[tokio::test]
    async fn what_does_not_parse_grants_nothing() {
        let store = Store::memory(Index::of);
        let key = Key::new(CLUSTER_ROLES, None, "r").expect("a key");
        store.create(key, Unstamped::new(b"{\"metadata\":".to_vec(), 0)).await.expect("new");
        let mut live = LivePolicy::new(&store);
        let who = Who { name: "alice", groups: &[] };
        assert!(live.current(&store).rules_for(who, "").0.is_empty());
    }
}
