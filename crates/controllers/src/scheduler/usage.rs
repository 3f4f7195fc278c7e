//! What pods take of nodes.

use std::collections::BTreeMap;

use super::pod::{Place, Requests, SchedulerPod, add};

/// By node.
pub(super) struct Usage<'a>(BTreeMap<&'a str, Taken<'a>>);

#[derive(Default)]
pub(super) struct Taken<'a> {
    pub(super) pods: usize,
    pub(super) requests: Requests,
    /// Claims by namespace and name.
    pub(super) claims: Vec<(&'a str, &'a str)>,
}

impl<'a> Usage<'a> {
    pub(super) fn of(pods: impl Iterator<Item = &'a SchedulerPod>) -> Self {
        let mut usage = Self(BTreeMap::new());
        for pod in pods {
            if let Place::On { node, requests, claims } = &pod.place {
                usage.take(node, requests, &pod.metadata.namespace, claims);
            }
        }
        usage
    }

    pub(super) fn take(
        &mut self,
        node: &'a str,
        requests: &Requests,
        namespace: &'a str,
        claims: &'a [String],
    ) {
        let taken = self.0.entry(node).or_default();
        taken.pods += 1;
        add(&mut taken.requests, requests);
        taken.claims.extend(claims.iter().map(|claim| (namespace, &**claim)));
    }

    pub(super) fn on(&self, node: &str) -> Option<&Taken<'a>> {
        self.0.get(node)
    }

    pub(super) fn pods_on(&self, node: &str) -> usize {
        self.on(node).map_or(0, |taken| taken.pods)
    }
}
