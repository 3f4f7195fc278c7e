//! All that a newcomer's place depends on beyond the node itself, as it is or as it would be with other pods.

use super::claims::Wishes;
use super::neighbours::Neighbours;
use super::pod::Newcomer;
use super::refusal::Refusal;
use super::spread::{Spread, Strictness};
use super::usage::{Resident, Usage};
use crate::mirror::Mirror;
use crate::objects::{Namespace, Node};

const CLAIM_IN_USE: &str = "node(s) unavailable due to PersistentVolumeClaim with ReadWriteOncePod access mode already \
                            in-use by another pod";

#[derive(Clone)]
pub(super) struct Surroundings<'a> {
    newcomer: Newcomer<'a>,
    /// The claims that only one pod may use.
    exclusive: Vec<&'a str>,
    /// How often other pods use them.
    rivals: i64,
    neighbours: Neighbours<'a>,
    spread: Spread<'a>,
}

impl<'a> Surroundings<'a> {
    pub(super) fn of(
        newcomer: Newcomer<'a>,
        wishes: &Wishes<'a>,
        usage: &Usage<'a>,
        nodes: &'a Mirror<Node>,
        namespaces: &'a Mirror<Namespace>,
    ) -> Self {
        let mut surroundings = Self {
            newcomer,
            exclusive: wishes.exclusive.clone(),
            rivals: 0,
            neighbours: Neighbours::of(newcomer, usage, nodes, namespaces),
            spread: Spread::of(newcomer, Strictness::Required, usage, nodes),
        };
        if !surroundings.exclusive.is_empty() {
            surroundings.rivals = usage.residents().map(|(_, resident)| surroundings.rivalry(resident)).sum();
        }
        surroundings
    }

    /// Counts a pod on a node once more, or once less.
    pub(super) fn change(&mut self, resident: Resident<'a>, node: &'a Node, by: i64) {
        self.rivals += by * self.rivalry(resident);
        self.neighbours.change(resident, node, by);
        self.spread.change(resident, node, by);
    }

    fn rivalry(&self, resident: Resident<'_>) -> i64 {
        if resident.metadata.namespace != self.newcomer.metadata.namespace {
            return 0;
        }
        let shared = resident.needs.claims.iter().filter(|claim| self.exclusive.contains(&&***claim));
        i64::try_from(shared.count()).unwrap_or(i64::MAX)
    }

    /// Whether nobody has a claim that is for one pod alone.
    pub(super) fn check_claims(&self) -> Result<(), Refusal> {
        if self.rivals > 0 { Err(Refusal::passing(CLAIM_IN_USE)) } else { Ok(()) }
    }

    /// Whether the other pods let the newcomer come to this node.
    pub(super) fn check(&self, node: &Node) -> Result<(), Refusal> {
        self.spread.check(node)?;
        self.neighbours.check(node)
    }
}
