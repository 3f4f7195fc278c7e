//! One plan being made: what it has given away already counts as taken.

use std::collections::BTreeSet;

use jiff::Timestamp;

use super::Scheduler;
use super::claims::{Claims, Wishes};
use super::fit;
use super::pod::Newcomer;
use super::preemption::{self, Candidate, Spared};
use super::refusal::{Refusal, Tally, none_available};
use super::score::{self, Feasible};
use super::surroundings::Surroundings;
use super::usage::{Resident, Taken, Usage};
use super::writes;
use crate::api::Request;
use crate::mirror::Mirror;
use crate::objects::{Affinity, Namespace, Node};

const FOR_ANOTHER_NODE: &str = "node(s) didn't satisfy plugin(s) [NodeAffinity]";

pub(super) struct Round<'a> {
    nodes: &'a Mirror<Node>,
    namespaces: &'a Mirror<Namespace>,
    pub(super) usage: Usage<'a>,
    /// The nodes in the order of how many pods they have.
    by_load: BTreeSet<(usize, &'a str)>,
    claims: Claims<'a>,
    /// Whether some node would rather not have some pods.
    any_is_reluctant: bool,
    /// Pods that this plan ends, by namespace and name.
    ending: BTreeSet<(&'a str, &'a str)>,
    now: Timestamp,
}

/// The search for one pod's place.
pub(super) struct Search<'a> {
    pub(super) newcomer: Newcomer<'a>,
    wishes: Wishes<'a>,
    pub(super) surroundings: Surroundings<'a>,
}

/// Where a search has led.
enum Found<'a> {
    Place(Feasible<'a>),
    /// Nowhere, but room can be made.
    Candidate(Candidate<'a>, Tally),
    Nothing(Spared, Tally),
}

impl<'a> Round<'a> {
    pub(super) fn new(of: &'a Scheduler, now: Timestamp) -> Self {
        let usage = Usage::of(of.pods.iter());
        let name = |node: &'a Node| &*node.metadata.name;
        Self {
            by_load: of.nodes.iter().map(|node| (usage.pods_on(name(node)), name(node))).collect(),
            usage,
            any_is_reluctant: of.nodes.iter().any(fit::is_reluctant),
            claims: Claims::of(of),
            nodes: &of.nodes,
            namespaces: &of.namespaces,
            ending: BTreeSet::new(),
            now,
        }
    }

    /// What has to be written so that the pod gets to the best node, or so that people see why there is none.
    pub(super) fn place(&mut self, newcomer: Newcomer<'a>) -> Vec<Request> {
        let count = self.by_load.len();
        let nominated = &*newcomer.waiting.nominated;
        if count == 0 {
            return self.report(newcomer, "no nodes available to schedule pods", nominated);
        }
        let wishes = match self.claims.wishes(newcomer.metadata, &newcomer.waiting.spec) {
            Ok(wishes) => wishes,
            Err(reason) => {
                let message = none_available(count, &reason);
                return self.refuse(newcomer, &message, &Spared::NotTried { nodes: count });
            }
        };
        let surroundings = Surroundings::of(newcomer, &wishes, &self.usage, self.nodes, self.namespaces);
        let search = Search { newcomer, wishes, surroundings };
        match self.find(&search) {
            Found::Place(place) => self.settle(&search, place),
            Found::Candidate(candidate, tally) => self.make_room(newcomer, candidate, &tally.message(count)),
            Found::Nothing(spared, tally) => self.refuse(newcomer, &tally.message(count), &spared),
        }
    }

    fn find(&self, search: &Search<'a>) -> Found<'a> {
        let (newcomer, wishes) = (search.newcomer, &search.wishes);
        let nothing = Taken::default();
        let check = |node: &'a Node| {
            let taken = self.usage.on(&node.metadata.name).unwrap_or(&nothing);
            self.admit(search, node, taken, &search.surroundings)
        };
        let feasible = |node: &'a Node| Feasible { node, load: self.usage.pods_on(&node.metadata.name) };
        // Where room has been made for it.
        let nominated = self.nodes.get("", &newcomer.waiting.nominated);
        if let Some(node) = nominated.filter(|node| check(node).is_ok()) {
            return Found::Place(feasible(node));
        }
        let mut tally = Tally::default();
        // The pod of a DaemonSet is for one node: the others need not be looked at.
        let target = newcomer.waiting.spec.affinity.as_ref().and_then(Affinity::target_node);
        let only = target.and_then(|name| self.nodes.get("", name));
        let all = self.by_load.iter().filter(|_| target.is_none());
        let all = all.filter_map(|(_, name)| self.nodes.get("", name));
        if target.is_some() {
            tally.count_unseen(self.by_load.len() - usize::from(only.is_some()), FOR_ANOTHER_NODE);
        }
        // If it is all the same the first that fits is the best: they are in the order of their load.
        let any_does = !(self.any_is_reluctant
            || wishes.selected.is_some()
            || score::makes_a_difference(newcomer, &self.usage));
        let (mut places, mut passing) = (Vec::new(), Vec::new());
        for node in only.into_iter().chain(all) {
            match check(node) {
                Ok(()) => places.push(feasible(node)),
                Err(refusal) => {
                    passing.extend(refusal.is_passing.then_some(node));
                    tally.count(refusal.reasons);
                }
            }
            if any_does && !places.is_empty() {
                break;
            }
        }
        let best = match &*places {
            [] => None,
            [place] => Some(*place),
            places => {
                score::best(newcomer, places, wishes.selected, &self.usage, self.nodes, self.namespaces)
            }
        };
        match best {
            Some(place) => Found::Place(place),
            None => match preemption::find(self, search, &passing, self.by_load.len()) {
                Ok(candidate) => Found::Candidate(candidate, tally),
                Err(spared) => Found::Nothing(spared, tally),
            },
        }
    }

    /// Whether a node takes the pod beside those that are there, and also beside those that are to come.
    pub(super) fn admit(
        &self,
        search: &Search<'a>,
        node: &'a Node,
        taken: &Taken<'a>,
        surroundings: &Surroundings<'a>,
    ) -> Result<(), Refusal> {
        if taken.has_nominated() {
            let mut expected = surroundings.clone();
            let to_come = taken.residents.iter().filter(|resident| resident.is_nominated);
            to_come.for_each(|resident| expected.change(*resident, node, 1));
            self.check(search, node, taken, &expected)?;
            return self.check(search, node, &taken.without(|resident| resident.is_nominated), surroundings);
        }
        self.check(search, node, taken, surroundings)
    }

    /// In upstream's order: the first filter that refuses is the one that is told of.
    fn check(
        &self,
        search: &Search<'a>,
        node: &'a Node,
        taken: &Taken<'a>,
        surroundings: &Surroundings<'a>,
    ) -> Result<(), Refusal> {
        fit::check(search.newcomer, node, taken)?;
        surroundings.check_claims()?;
        self.claims.check(&search.wishes, node, taken)?;
        surroundings.check(node)
    }

    /// The pod gets its place.
    fn settle(&mut self, search: &Search<'a>, place: Feasible<'a>) -> Vec<Request> {
        let newcomer = search.newcomer;
        let name = &*place.node.metadata.name;
        self.by_load.remove(&(place.load, name));
        self.by_load.insert((place.load + 1, name));
        self.expect(newcomer, name, false);
        // A claim that waits for its first consumer is bound first, and the pod when that is done.
        let granted = self.claims.grant(&search.wishes, place.node);
        granted.unwrap_or_else(|| vec![writes::bind(newcomer.metadata, name)])
    }

    /// Others have to go. First it is written for whom, so that a plan that is cut short is taken up by the next.
    fn make_room(&mut self, newcomer: Newcomer<'a>, candidate: Candidate<'a>, message: &str) -> Vec<Request> {
        let mut requests = self.report(newcomer, message, candidate.node);
        for victim in candidate.victims {
            let name = (&*victim.metadata.namespace, &*victim.metadata.name);
            if !victim.metadata.is_deleting() && self.ending.insert(name) {
                requests.extend(writes::preempt(victim, self.now));
            }
        }
        self.expect(newcomer, candidate.node, true);
        requests
    }

    fn refuse(&mut self, newcomer: Newcomer<'a>, message: &str, spared: &Spared) -> Vec<Request> {
        let nominated = match spared {
            Spared::NotEligible(_) => &*newcomer.waiting.nominated,
            Spared::NotTried { .. } | Spared::OfNoUse(_) => "",
        };
        if self.nodes.get("", nominated).is_some() {
            self.expect(newcomer, nominated, true);
        }
        self.report(newcomer, &format!("{message} {}", spared.message()), nominated)
    }

    fn report(&self, newcomer: Newcomer<'a>, message: &str, nominated: &str) -> Vec<Request> {
        writes::report(newcomer, message, nominated, self.now).into_iter().collect()
    }

    fn expect(&mut self, Newcomer { metadata, needs, .. }: Newcomer<'a>, node: &'a str, is_nominated: bool) {
        self.usage.add(node, Resident { metadata, needs, is_nominated });
    }
}
