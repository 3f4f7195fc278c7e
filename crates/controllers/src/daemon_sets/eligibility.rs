//! Where the pods of a set belong.

use std::collections::BTreeMap;

use super::kinds::{DaemonNode, DaemonPod, DaemonSet};
use crate::node_affinity;
use crate::objects::{PodSpec, Taint, Toleration};

/// What daemons bear by themselves: their node's bad days are not theirs to flee from.
const BORNE: [(&str, &str); 6] = [
    ("node.kubernetes.io/not-ready", "NoExecute"),
    ("node.kubernetes.io/unreachable", "NoExecute"),
    ("node.kubernetes.io/disk-pressure", "NoSchedule"),
    ("node.kubernetes.io/memory-pressure", "NoSchedule"),
    ("node.kubernetes.io/pid-pressure", "NoSchedule"),
    ("node.kubernetes.io/unschedulable", "NoSchedule"),
];
/// The same for daemons in the host's network, who may be those that bring the network up.
const BORNE_IN_HOST_NETWORK: (&str, &str) = ("node.kubernetes.io/network-unavailable", "NoSchedule");

/// The tolerations that a set's pods get in addition to their own.
pub(super) fn tolerations(spec: &PodSpec) -> impl Iterator<Item = Toleration> {
    let host = spec.host_network.then_some(BORNE_IN_HOST_NETWORK);
    BORNE.into_iter().chain(host).map(|(key, effect)| Toleration {
        key: key.to_owned(),
        operator: "Exists".to_owned(),
        effect: effect.to_owned(),
        ..Toleration::default()
    })
}

/// What a node is to a set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fit {
    /// A pod belongs there.
    Runs,
    /// A pod that is there may stay.
    Stays,
    /// No pod may be there.
    Leaves,
}

/// Each node with the set's pods on it, and the pods that wait for a node that is gone.
pub(super) struct Nodes<'a> {
    pub(super) places: Vec<Place<'a>>,
    pub(super) stranded: Vec<&'a DaemonPod>,
}

pub(super) struct Place<'a> {
    pub(super) node: &'a str,
    pub(super) fit: Fit,
    /// The oldest first.
    pub(super) pods: Vec<&'a DaemonPod>,
}

impl<'a> Nodes<'a> {
    /// Sorts pods to nodes. Finished pods that are terminating are as good as gone.
    pub(super) fn of(
        set: &DaemonSet,
        nodes: impl Iterator<Item = &'a DaemonNode>,
        pods: &[&'a DaemonPod],
    ) -> Self {
        let mut by_node: BTreeMap<&str, Vec<&DaemonPod>> = BTreeMap::new();
        for pod in pods.iter().filter(|pod| !(pod.metadata.is_deleting() && pod.is_finished())) {
            by_node.entry(&pod.node).or_default().push(pod);
        }
        let spec = &set.spec.template.spec;
        let tolerations = all_tolerations(spec);
        let places = nodes
            .map(|node| {
                let name = &*node.metadata.name;
                let mut pods = by_node.remove(name).unwrap_or_default();
                pods.sort_by_key(|pod| (&pod.metadata.creation_timestamp, &pod.metadata.name));
                Place { node: name, fit: fit(spec, &tolerations, node), pods }
            })
            .collect();
        // Pods that run on a node that is gone are not this controller's to judge.
        let left = by_node.into_values().flatten();
        let stranded = left.filter(|pod| !pod.assigned && !pod.metadata.is_deleting()).collect();
        Self { places, stranded }
    }

    /// How many nodes want a pod.
    pub(super) fn desired(&self) -> usize {
        self.places.iter().filter(|place| place.fit == Fit::Runs).count()
    }
}

/// What one node is to a set.
pub(super) fn fit_of(set: &DaemonSet, node: &DaemonNode) -> Fit {
    let spec = &set.spec.template.spec;
    fit(spec, &all_tolerations(spec), node)
}

fn all_tolerations(spec: &PodSpec) -> Vec<Toleration> {
    spec.tolerations.iter().cloned().chain(tolerations(spec)).collect()
}

fn fit(spec: &PodSpec, tolerations: &[Toleration], node: &DaemonNode) -> Fit {
    let is_named = spec.node_name.is_empty() || spec.node_name == node.metadata.name;
    if !is_named || !node_affinity::selects(spec, &node.metadata) {
        return Fit::Leaves;
    }
    let untolerated = |taint: &&Taint| !tolerations.iter().any(|toleration| toleration.covers(taint));
    let mut taints = node.spec.taints.iter().filter(untolerated).map(|taint| &*taint.effect);
    let mut fit = Fit::Runs;
    loop {
        match taints.next() {
            Some("NoExecute") => return Fit::Leaves,
            Some("NoSchedule") => fit = Fit::Stays,
            Some(_) => {}
            None => return fit,
        }
    }
}
