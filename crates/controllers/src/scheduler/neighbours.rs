//! Whom a pod finds in the place that it would come to: those that it must be beside of, those that it must not, and those
//! that do not want it (upstream's plugin InterPodAffinity).

use std::collections::BTreeMap;

use super::pod::Newcomer;
use super::refusal::Refusal;
use super::terms::Term;
use super::usage::{Resident, Usage};
use crate::mirror::Mirror;
use crate::objects::{Namespace, Node};

/// How many pods count in a place, which is a label of nodes and its value.
type Counts<'a> = BTreeMap<(&'a str, &'a str), i64>;

/// The pods that matter to a newcomer, by place.
#[derive(Clone)]
pub(super) struct Neighbours<'a> {
    newcomer: Newcomer<'a>,
    namespaces: &'a Mirror<Namespace>,
    /// Those that all of its affinity terms mean.
    wanted: Counts<'a>,
    /// Those that one of its anti-affinity terms means.
    unwanted: Counts<'a>,
    /// Those with an anti-affinity term that means the newcomer.
    averse: Counts<'a>,
}

impl<'a> Neighbours<'a> {
    pub(super) fn of(
        newcomer: Newcomer<'a>,
        usage: &Usage<'a>,
        nodes: &'a Mirror<Node>,
        namespaces: &'a Mirror<Namespace>,
    ) -> Self {
        let mut neighbours = Self {
            newcomer,
            namespaces,
            wanted: Counts::new(),
            unwanted: Counts::new(),
            averse: Counts::new(),
        };
        let is_choosy = !neighbours.affinity().is_empty() || !neighbours.anti_affinity().is_empty();
        let mut count = |(node, resident): (&'a str, Resident<'a>)| {
            if let Some(node) = nodes.get("", node) {
                neighbours.change(resident, node, 1);
            }
        };
        if is_choosy {
            usage.residents().for_each(&mut count);
        } else {
            usage.particular().for_each(&mut count);
        }
        neighbours
    }

    fn affinity(&self) -> &'a [Term] {
        self.newcomer.needs.terms.as_ref().map_or(&[], |terms| &terms.affinity)
    }

    fn anti_affinity(&self) -> &'a [Term] {
        self.newcomer.needs.terms.as_ref().map_or(&[], |terms| &terms.anti_affinity)
    }

    /// Counts a pod on a node once more, or once less.
    pub(super) fn change(&mut self, resident: Resident<'a>, node: &'a Node, by: i64) {
        let (newcomer, namespaces) = (self.newcomer, self.namespaces);
        let means = |term: &&Term| term.matches(resident.metadata, namespaces);
        let affinity = self.affinity();
        if !affinity.is_empty() && affinity.iter().all(|term| means(&term)) {
            affinity.iter().for_each(|term| add(&mut self.wanted, term, node, by));
        }
        for term in self.anti_affinity().iter().filter(means) {
            add(&mut self.unwanted, term, node, by);
        }
        let theirs = resident.needs.terms.iter().flat_map(|terms| &terms.anti_affinity);
        for term in theirs.filter(|term| term.matches(newcomer.metadata, namespaces)) {
            add(&mut self.averse, term, node, by);
        }
    }

    /// Whether the newcomer may come to this node.
    pub(super) fn check(&self, node: &Node) -> Result<(), Refusal> {
        if !self.has_company(node) {
            return Err(Refusal::lasting("node(s) didn't match pod affinity rules"));
        }
        let is_there =
            |counts: &Counts<'_>, term: &Term| count(counts, term, node).is_some_and(|count| count > 0);
        if self.anti_affinity().iter().any(|term| is_there(&self.unwanted, term)) {
            return Err(Refusal::passing("node(s) didn't match pod anti-affinity rules"));
        }
        let is_here =
            |(key, value): &(&str, &str)| node.metadata.labels.get(*key).is_some_and(|own| own == value);
        if self.averse.iter().any(|(place, count)| *count > 0 && is_here(place)) {
            return Err(Refusal::passing("node(s) didn't satisfy existing pods anti-affinity rules"));
        }
        Ok(())
    }

    fn has_company(&self, node: &Node) -> bool {
        let counts: Option<Vec<i64>> =
            self.affinity().iter().map(|term| count(&self.wanted, term, node)).collect();
        let Some(counts) = counts else { return false };
        // The first of pods that want each other's company has to be somewhere.
        let is_first = || {
            let means_itself = |term: &Term| term.matches(self.newcomer.metadata, self.namespaces);
            self.wanted.values().all(|count| *count <= 0) && self.affinity().iter().all(means_itself)
        };
        counts.iter().all(|count| *count > 0) || is_first()
    }
}

fn add<'a>(counts: &mut Counts<'a>, term: &Term, node: &'a Node, by: i64) {
    if let Some((key, value)) = node.metadata.labels.get_key_value(&term.topology_key) {
        *counts.entry((key, value)).or_default() += by;
    }
}

/// How many there are in the node's place; none if it is in no such place.
fn count(counts: &Counts<'_>, term: &Term, node: &Node) -> Option<i64> {
    let value = node.metadata.labels.get(&term.topology_key)?;
    Some(counts.get(&(&*term.topology_key, &**value)).copied().unwrap_or_default())
}
