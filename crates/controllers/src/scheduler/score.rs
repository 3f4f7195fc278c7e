//! Which of the nodes that take a pod is the best for it: upstream's scores and weights of TaintToleration, NodeAffinity,
//! PodTopologySpread and InterPodAffinity, and between equals the node with the fewest pods.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use super::fit;
use super::pod::Newcomer;
use super::spread::{Spread, Strictness};
use super::usage::{Resident, Usage};
use crate::mirror::Mirror;
use crate::objects::{Namespace, Node};

/// The best score of one kind.
const FULL: i64 = 100;
/// How much more a taint counts than a load would.
const TAINTS_WEIGHT: i64 = 3;
/// The same for what the pod prefers.
const PREFERENCES_WEIGHT: i64 = 2;
/// What a required affinity of a pod that is there counts for a newcomer that it means.
const HARD_AFFINITY: i64 = 1;

/// A node that takes the pod, and how many pods it has.
#[derive(Clone, Copy)]
pub(super) struct Feasible<'a> {
    pub(super) node: &'a Node,
    pub(super) load: usize,
}

/// Whether one node that takes the pod can be better for it than another, apart from how many pods they have.
pub(super) fn makes_a_difference(newcomer: Newcomer<'_>, usage: &Usage<'_>) -> bool {
    let spec = &newcomer.waiting.spec;
    let spreads =
        spec.topology_spread_constraints.iter().any(|spread| spread.when_unsatisfiable == "ScheduleAnyway");
    spreads
        || fit::has_preferences(spec)
        || newcomer.needs.terms.as_ref().is_some_and(|terms| !terms.preferred.is_empty())
        || usage.particular().any(|(_, resident)| draws(resident))
}

/// Whether a pod that is there would rather have some pods near than others.
fn draws(resident: Resident<'_>) -> bool {
    resident
        .needs
        .terms
        .as_ref()
        .is_some_and(|terms| !(terms.preferred.is_empty() && terms.affinity.is_empty()))
}

/// The best of the nodes.
pub(super) fn best<'a>(
    newcomer: Newcomer<'a>,
    feasible: &[Feasible<'a>],
    selected: Option<&str>,
    usage: &Usage<'a>,
    nodes: &'a Mirror<Node>,
    namespaces: &'a Mirror<Namespace>,
) -> Option<Feasible<'a>> {
    let mut totals = vec![0_i64; feasible.len()];
    let mut add = |weight: i64, scores: Vec<i64>| {
        totals.iter_mut().zip(scores).for_each(|(total, score)| *total += weight * score);
    };
    let of_each = |score: &dyn Fn(&Node) -> i64| -> Vec<i64> {
        feasible.iter().map(|feasible| score(feasible.node)).collect()
    };
    let spec = &newcomer.waiting.spec;
    add(TAINTS_WEIGHT, fewest(of_each(&|node| fit::reluctance(spec, node))));
    add(PREFERENCES_WEIGHT, most(of_each(&|node| fit::preference(spec, node))));
    add(PREFERENCES_WEIGHT, evenness(newcomer, feasible, usage, nodes));
    add(PREFERENCES_WEIGHT, company(newcomer, feasible, usage, nodes, namespaces));
    let rank = |(feasible, total): &(&Feasible<'a>, &i64)| {
        let name = &*feasible.node.metadata.name;
        let is_elsewhere = selected.is_some_and(|selected| selected != name);
        (is_elsewhere, Reverse(**total), feasible.load, name)
    };
    feasible.iter().zip(&totals).min_by_key(rank).map(|(feasible, _)| *feasible)
}

/// Scores in proportion to the greatest.
fn most(amounts: Vec<i64>) -> Vec<i64> {
    let greatest = amounts.iter().copied().max().unwrap_or_default();
    amounts.into_iter().map(|amount| if greatest > 0 { FULL * amount / greatest } else { 0 }).collect()
}

/// The fewer the better.
fn fewest(amounts: Vec<i64>) -> Vec<i64> {
    most(amounts).into_iter().map(|score| FULL - score).collect()
}

/// How evenly the pods would be spread.
fn evenness<'a>(
    newcomer: Newcomer<'a>,
    feasible: &[Feasible<'a>],
    usage: &Usage<'a>,
    nodes: &'a Mirror<Node>,
) -> Vec<i64> {
    let spread = Spread::of(newcomer, Strictness::Preferred, usage, nodes);
    if spread.constraints.is_empty() {
        return vec![0; feasible.len()];
    }
    let placed: Vec<bool> = feasible.iter().map(|feasible| spread.has_all_keys(feasible.node)).collect();
    let mut amounts = vec![0.0_f64; feasible.len()];
    for constraint in &spread.constraints {
        let value = |feasible: &Feasible<'a>| feasible.node.metadata.labels.get(&constraint.of.topology_key);
        let mut places: Vec<&String> = feasible
            .iter()
            .zip(&placed)
            .filter(|(_, placed)| **placed)
            .filter_map(|(of, _)| value(of))
            .collect();
        places.sort();
        places.dedup();
        // Many small places count more than a few big ones.
        let weight = (places.len() as f64 + 2.0).ln();
        for (amount, feasible) in amounts.iter_mut().zip(feasible) {
            let there = value(feasible).and_then(|value| constraint.counts.get(&**value));
            *amount +=
                there.copied().unwrap_or_default() as f64 * weight + (constraint.of.max_skew - 1) as f64;
        }
    }
    let amounts: Vec<i64> = amounts.into_iter().map(|amount| amount.round() as i64).collect();
    let seen = || amounts.iter().zip(&placed).filter(|(_, placed)| **placed).map(|(amount, _)| *amount);
    let (least, greatest) = (seen().min().unwrap_or_default(), seen().max().unwrap_or_default());
    let score = |(amount, placed): (&i64, &bool)| match (placed, greatest) {
        (false, _) => 0,
        (true, 0) => FULL,
        (true, _) => FULL * (greatest + least - amount) / greatest,
    };
    amounts.iter().zip(&placed).map(score).collect()
}

/// How much the pod and those that are there like to be in one place.
fn company<'a>(
    newcomer: Newcomer<'a>,
    feasible: &[Feasible<'a>],
    usage: &Usage<'a>,
    nodes: &'a Mirror<Node>,
    namespaces: &'a Mirror<Namespace>,
) -> Vec<i64> {
    let own = newcomer.needs.terms.as_ref().map_or(&[][..], |terms| &terms.preferred);
    let mut liked: BTreeMap<(&str, &str), i64> = BTreeMap::new();
    let mut count = |(node, resident): (&'a str, Resident<'a>)| {
        let Some(node) = nodes.get("", node) else { return };
        let its = own.iter().filter(|(_, term)| term.matches(resident.metadata, namespaces));
        let theirs = resident.needs.terms.iter().flat_map(|terms| {
            let required = terms.affinity.iter().map(|term| (HARD_AFFINITY, term));
            let preferred = terms.preferred.iter().map(|(weight, term)| (*weight, term));
            required.chain(preferred).filter(|(_, term)| term.matches(newcomer.metadata, namespaces))
        });
        for (weight, term) in its.map(|(weight, term)| (*weight, term)).chain(theirs) {
            if let Some((key, value)) = node.metadata.labels.get_key_value(&term.topology_key) {
                *liked.entry((key, value)).or_default() += weight;
            }
        }
    };
    if own.is_empty() {
        usage.particular().filter(|(_, resident)| draws(*resident)).for_each(&mut count);
    } else {
        usage.residents().for_each(&mut count);
    }
    let sum = |feasible: &Feasible<'a>| -> i64 {
        let labels = &feasible.node.metadata.labels;
        let here = liked.iter().filter(|((key, value), _)| labels.get(*key).is_some_and(|own| own == value));
        here.map(|(_, weight)| weight).sum()
    };
    let sums: Vec<i64> = feasible.iter().map(sum).collect();
    let (least, greatest) =
        (sums.iter().min().copied().unwrap_or_default(), sums.iter().max().copied().unwrap_or_default());
    let score = |sum: i64| if greatest > least { FULL * (sum - least) / (greatest - least) } else { 0 };
    sums.into_iter().map(score).collect()
}
