//! How evenly a pod and others like it are spread over places (upstream's plugin PodTopologySpread).

use std::collections::BTreeMap;

use super::fit;
use super::pod::Newcomer;
use super::refusal::Refusal;
use super::terms::with_own_values;
use super::usage::{Resident, Usage};
use crate::mirror::Mirror;
use crate::node_affinity;
use crate::objects::{Metadata, Node, SpreadConstraint};
use crate::selector::LabelSelector;

const SKEWED: &str = "node(s) didn't match pod topology spread constraints";
const NOWHERE: &str = "node(s) didn't match pod topology spread constraints (missing required label)";

/// What becomes of a node that a constraint does not want.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Strictness {
    /// It is refused.
    Required,
    /// Others are preferred.
    Preferred,
}

/// The constraints of a newcomer, and the pods that count for them.
#[derive(Clone)]
pub(super) struct Spread<'a> {
    newcomer: Newcomer<'a>,
    pub(super) constraints: Vec<Constraint<'a>>,
}

#[derive(Clone)]
pub(super) struct Constraint<'a> {
    pub(super) of: &'a SpreadConstraint,
    selector: Option<LabelSelector>,
    /// By the value of the topology key, in places where the newcomer could be.
    pub(super) counts: BTreeMap<&'a str, i64>,
}

impl<'a> Spread<'a> {
    pub(super) fn of(
        newcomer: Newcomer<'a>,
        strictness: Strictness,
        usage: &Usage<'a>,
        nodes: &'a Mirror<Node>,
    ) -> Self {
        let is_strict = |of: &&SpreadConstraint| {
            (of.when_unsatisfiable != "ScheduleAnyway") == (strictness == Strictness::Required)
        };
        let all = newcomer.waiting.spec.topology_spread_constraints.iter();
        let constraints = all.filter(is_strict).map(|of| Constraint {
            of,
            selector: with_own_values(&of.label_selector, &of.match_label_keys, &newcomer.metadata.labels),
            counts: BTreeMap::new(),
        });
        let mut spread = Self { newcomer, constraints: constraints.collect() };
        if !spread.constraints.is_empty() {
            for node in nodes.iter() {
                spread.count(node, usage);
            }
        }
        spread
    }

    fn count(&mut self, node: &'a Node, usage: &Usage<'a>) {
        if !self.has_all_keys(node) {
            return;
        }
        for constraint in &mut self.constraints {
            if let Some(value) = constraint.value(self.newcomer, node) {
                constraint.counts.entry(value).or_default();
            }
        }
        let residents = usage.on(&node.metadata.name).map_or(&[][..], |taken| &taken.residents);
        for resident in residents.iter().filter(|resident| !resident.is_nominated) {
            self.change(*resident, node, 1);
        }
    }

    /// Counts a pod on a node once more, or once less. Pods that are ending do not count.
    pub(super) fn change(&mut self, resident: Resident<'a>, node: &'a Node, by: i64) {
        let (newcomer, metadata) = (self.newcomer, resident.metadata);
        let is_like_it = metadata.namespace == newcomer.metadata.namespace && !metadata.is_deleting();
        if self.constraints.is_empty() || !is_like_it || !self.has_all_keys(node) {
            return;
        }
        for constraint in &mut self.constraints {
            if let Some(value) = constraint.value(newcomer, node)
                && constraint.selects(metadata)
            {
                *constraint.counts.entry(value).or_default() += by;
            }
        }
    }

    /// Whether the newcomer may come to this node.
    pub(super) fn check(&self, node: &Node) -> Result<(), Refusal> {
        for constraint in &self.constraints {
            let Some(value) = node.metadata.labels.get(&constraint.of.topology_key) else {
                return Err(Refusal::lasting(NOWHERE));
            };
            let own = i64::from(constraint.selects(self.newcomer.metadata));
            let there = constraint.counts.get(&**value).copied().unwrap_or_default();
            if there + own - constraint.least() > constraint.of.max_skew {
                return Err(Refusal::passing(SKEWED));
            }
        }
        Ok(())
    }

    /// Whether the node is in a place of each constraint.
    pub(super) fn has_all_keys(&self, node: &Node) -> bool {
        self.constraints
            .iter()
            .all(|constraint| node.metadata.labels.contains_key(&constraint.of.topology_key))
    }
}

impl<'a> Constraint<'a> {
    /// The place of a node that counts.
    fn value(&self, newcomer: Newcomer<'_>, node: &'a Node) -> Option<&'a str> {
        let (spec, of) = (&newcomer.waiting.spec, self.of);
        let honors_affinity = of.node_affinity_policy.as_deref() != Some("Ignore");
        let honors_taints = of.node_taints_policy.as_deref() == Some("Honor");
        let counts = (!honors_affinity || node_affinity::selects(spec, &node.metadata))
            && (!honors_taints || fit::tolerates_all(spec, node));
        let value = node.metadata.labels.get(&of.topology_key)?;
        counts.then_some(&**value)
    }

    fn selects(&self, pod: &Metadata) -> bool {
        self.selector.as_ref().is_some_and(|selector| selector.matches(&pod.labels))
    }

    /// How many are in the place with the fewest: nobody is in places that are still to come.
    fn least(&self) -> i64 {
        if self.counts.len() < self.of.min_domains.unwrap_or(1) {
            return 0;
        }
        self.counts.values().copied().min().unwrap_or_default()
    }
}
