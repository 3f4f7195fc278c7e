//! Whether a pod fits a node, in upstream's order and words, and how much either likes the other.

use super::pod::Waiting;
use super::usage::Taken;
use crate::node_affinity;
use crate::node_lifecycle::UNSCHEDULABLE;
use crate::objects::{Node, PodSpec, Taint};
use crate::quantity::Quantity;

pub(super) const NOT_SELECTED: &str = "node(s) didn't match Pod's node affinity/selector";

/// Whether the pod may run on the node beside what is there already; if not, what is wrong with nodes like this one.
pub(super) fn check(pod: &Waiting, node: &Node, taken: Option<&Taken<'_>>) -> Result<(), Vec<String>> {
    let refused = |reason: &str| Err(vec![reason.to_owned()]);
    let spec = &pod.spec;
    let cordon = Taint { key: UNSCHEDULABLE.to_owned(), effect: "NoSchedule".to_owned(), ..Taint::default() };
    if node.spec.unschedulable && !tolerates(spec, &cordon) {
        return refused("node(s) were unschedulable");
    }
    let keeps_out = |taint: &&Taint| matches!(&*taint.effect, "NoSchedule" | "NoExecute");
    if node.spec.taints.iter().filter(keeps_out).any(|taint| !tolerates(spec, taint)) {
        return refused("node(s) had untolerated taint(s)");
    }
    if !node_affinity::selects(spec, &node.metadata) {
        return refused(NOT_SELECTED);
    }
    let mut reasons = Vec::new();
    let allocatable = &node.status.allocatable;
    let pods = taken.map_or(0, |taken| taken.pods);
    if allocatable.get("pods").is_some_and(|room| room.units() <= pods as i128) {
        reasons.push("Too many pods".to_owned());
    }
    for (name, amount) in pod.requests.iter().filter(|(_, amount)| **amount > Quantity::default()) {
        let used = taken.and_then(|taken| taken.requests.get(name)).copied().unwrap_or_default();
        let there = allocatable.get(name).copied().unwrap_or_default();
        if used.saturating_add(*amount) > there {
            reasons.push(format!("Insufficient {name}"));
        }
    }
    if reasons.is_empty() { Ok(()) } else { Err(reasons) }
}

fn tolerates(spec: &PodSpec, taint: &Taint) -> bool {
    spec.tolerations.iter().any(|toleration| toleration.covers(taint))
}

fn would_rather_not(taint: &&Taint) -> bool {
    taint.effect == "PreferNoSchedule"
}

/// Whether the node would rather not have some pods.
pub(super) fn is_reluctant(node: &Node) -> bool {
    node.spec.taints.iter().any(|taint| would_rather_not(&taint))
}

/// How many of the node's taints say that the pod should rather not be there.
pub(super) fn reluctance(spec: &PodSpec, node: &Node) -> usize {
    node.spec.taints.iter().filter(would_rather_not).filter(|taint| !tolerates(spec, taint)).count()
}

/// Whether the pod likes some nodes more than others.
pub(super) fn has_preferences(spec: &PodSpec) -> bool {
    !preferred(spec).is_empty()
}

/// The weight of the preferences that the node meets.
pub(super) fn preference(spec: &PodSpec, node: &Node) -> i64 {
    let met = preferred(spec).iter().filter(|preferred| preferred.preference.matches(&node.metadata));
    met.map(|preferred| preferred.weight).sum()
}

fn preferred(spec: &PodSpec) -> &[crate::objects::PreferredTerm] {
    let affinity = spec.affinity.as_ref().and_then(|affinity| affinity.node_affinity.as_ref());
    affinity.map_or(&[], |affinity| &affinity.preferred_during_scheduling_ignored_during_execution)
}
