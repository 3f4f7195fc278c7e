//! Whether a pod fits a node, in upstream's order and words, and how much either likes the other.

use std::borrow::Cow;

use super::pod::Newcomer;
use super::refusal::{Reason, Refusal};
use super::usage::Taken;
use crate::node_affinity;
use crate::node_lifecycle::UNSCHEDULABLE;
use crate::objects::{Node, PodSpec, Taint};
use crate::quantity::Quantity;

/// Whether the pod may run on the node beside what is there already; if not, what is wrong with nodes like this one.
pub(super) fn check(newcomer: Newcomer<'_>, node: &Node, taken: &Taken<'_>) -> Result<(), Refusal> {
    let (spec, needs) = (&newcomer.waiting.spec, newcomer.needs);
    if node.spec.unschedulable && !tolerates(spec, &cordon()) {
        return Err(Refusal::lasting("node(s) were unschedulable"));
    }
    if !tolerates_all(spec, node) {
        return Err(Refusal::lasting("node(s) had untolerated taint(s)"));
    }
    if !node_affinity::selects(spec, &node.metadata) {
        return Err(Refusal::lasting("node(s) didn't match Pod's node affinity/selector"));
    }
    let mut ports = taken.residents.iter().flat_map(|resident| &resident.needs.ports);
    if !needs.ports.is_empty() && ports.any(|taken| needs.ports.iter().any(|port| port.conflicts_with(taken)))
    {
        return Err(Refusal::passing("node(s) didn't have free ports for the requested pod ports"));
    }
    has_room(newcomer, node, taken)
}

/// The taint that stands for `unschedulable`.
fn cordon() -> Taint {
    Taint { key: UNSCHEDULABLE.to_owned(), effect: "NoSchedule".to_owned(), ..Taint::default() }
}

fn has_room(newcomer: Newcomer<'_>, node: &Node, taken: &Taken<'_>) -> Result<(), Refusal> {
    let mut reasons: Vec<Reason> = Vec::new();
    let mut is_passing = true;
    let allocatable = &node.status.allocatable;
    if allocatable.get("pods").is_some_and(|room| room.units() <= taken.residents.len() as i128) {
        reasons.push(Cow::Borrowed("Too many pods"));
    }
    for (name, amount) in newcomer.needs.requests.iter().filter(|(_, amount)| **amount > Quantity::default())
    {
        let used = taken.requests.get(name).copied().unwrap_or_default();
        let there = allocatable.get(name).copied().unwrap_or_default();
        if used.saturating_add(*amount) > there {
            reasons.push(Cow::Owned(format!("Insufficient {name}")));
            // Even an empty node has not enough.
            is_passing &= *amount <= there;
        }
    }
    if reasons.is_empty() { Ok(()) } else { Err(Refusal { reasons, is_passing }) }
}

/// Whether the pod bears all taints that keep pods out.
pub(super) fn tolerates_all(spec: &PodSpec, node: &Node) -> bool {
    let keeps_out = |taint: &&Taint| matches!(&*taint.effect, "NoSchedule" | "NoExecute");
    node.spec.taints.iter().filter(keeps_out).all(|taint| tolerates(spec, taint))
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
pub(super) fn reluctance(spec: &PodSpec, node: &Node) -> i64 {
    let counted = node.spec.taints.iter().filter(would_rather_not).filter(|taint| !tolerates(spec, taint));
    i64::try_from(counted.count()).unwrap_or(i64::MAX)
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
