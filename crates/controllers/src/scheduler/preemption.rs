//! Which pods have to go so that a more important one gets a place (upstream's plugin DefaultPreemption). There are no
//! disruption budgets to be kept: the kind is not served.

use std::borrow::Cow;
use std::cmp::Reverse;

use super::pod::Newcomer;
use super::refusal::{Reason, Tally, none_available};
use super::round::{Round, Search};
use super::usage::{Resident, Taken};
use crate::objects::Node;

const OF_NO_USE: &str = "Preemption is not helpful for scheduling";
/// Of many nodes not all are tried: a tenth, but at least so many that help.
const ENOUGH: usize = 100;

/// A node, and the pods that have to leave it.
pub(super) struct Candidate<'a> {
    pub(super) node: &'a str,
    pub(super) victims: Vec<Resident<'a>>,
}

/// Why no pod is made to go.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Spared {
    /// The newcomer waits for something else than a node.
    NotTried { nodes: usize },
    /// It is not this pod's turn; what was decided for it stays.
    NotEligible(&'static str),
    /// It would not help.
    OfNoUse(String),
}

impl Spared {
    /// What is told of it, after the reasons of the nodes. Where upstream has looked at nodes, it has looked for resource
    /// claims that could be given back, too; where it has not, it stumbles over that and says "not found", which is left out
    /// here.
    pub(super) fn message(&self) -> String {
        const CLAIMS: &str = "no new claims to deallocate";
        match self {
            Self::NotTried { nodes } => {
                format!("preemption: {}", none_available(*nodes, &format!("{nodes} {OF_NO_USE}")))
            }
            Self::NotEligible(why) => format!("{CLAIMS}, preemption: not eligible due to {why}."),
            Self::OfNoUse(message) => format!("{CLAIMS}, preemption: {message}"),
        }
    }
}

/// The best node to make room on, of those whose refusal lies in other pods.
pub(super) fn find<'a>(
    round: &Round<'a>,
    search: &Search<'a>,
    passing: &[&'a Node],
    nodes: usize,
) -> Result<Candidate<'a>, Spared> {
    may_preempt(round, search.newcomer, passing)?;
    let enough = ENOUGH.max(passing.len() / 10);
    let mut candidates: Vec<Candidate<'a>> = Vec::new();
    let mut tally = Tally::default();
    let mut tried = 0;
    for node in passing {
        if candidates.len() == enough {
            break;
        }
        tried += 1;
        match victims(round, search, node) {
            Ok(victims) => candidates.push(Candidate { node: &node.metadata.name, victims }),
            Err(reasons) => tally.count(reasons),
        }
    }
    tally.count_unseen(nodes - tried, OF_NO_USE);
    let best =
        candidates.into_iter().enumerate().min_by_key(|(position, candidate)| (loss(candidate), *position));
    best.map(|(_, candidate)| candidate).ok_or_else(|| Spared::OfNoUse(tally.message(nodes)))
}

/// A pod that has had others ended waits until they are gone.
fn may_preempt(round: &Round<'_>, newcomer: Newcomer<'_>, passing: &[&Node]) -> Result<(), Spared> {
    if newcomer.waiting.spec.preemption_policy == "Never" {
        return Err(Spared::NotEligible("preemptionPolicy=Never"));
    }
    let nominated = &*newcomer.waiting.nominated;
    let is_going = |resident: &Resident<'_>| {
        resident.metadata.is_deleting() && resident.needs.priority < newcomer.needs.priority
    };
    let mut residents = round.usage.on(nominated).into_iter().flat_map(|taken| &taken.residents);
    if passing.iter().any(|node| node.metadata.name == nominated) && residents.any(is_going) {
        return Err(Spared::NotEligible("a terminating pod on the nominated node"));
    }
    Ok(())
}

/// The least important pods of the node without which the newcomer fits; or why that does not help.
fn victims<'a>(
    round: &Round<'a>,
    search: &Search<'a>,
    node: &'a Node,
) -> Result<Vec<Resident<'a>>, Vec<Reason>> {
    let nothing = Taken::default();
    let taken = round.usage.on(&node.metadata.name).unwrap_or(&nothing);
    let priority = search.newcomer.needs.priority;
    if !taken.has_lower_than(priority) {
        return Err(vec![Cow::Borrowed("No preemption victims found for incoming pod")]);
    }
    let is_lower = |resident: &Resident<'a>| !resident.is_nominated && resident.needs.priority < priority;
    let mut lower: Vec<Resident<'a>> = taken.residents.iter().copied().filter(is_lower).collect();
    let mut left = taken.without(is_lower);
    let mut surroundings = search.surroundings.clone();
    lower.iter().for_each(|resident| surroundings.change(*resident, node, -1));
    round.admit(search, node, &left, &surroundings).map_err(|refusal| refusal.reasons)?;
    lower.sort_by_key(|resident| {
        (Reverse(resident.needs.priority), started(resident), &resident.metadata.name)
    });
    let mut victims = Vec::new();
    for resident in lower {
        let mut with = left.clone();
        with.add(resident);
        surroundings.change(resident, node, 1);
        if round.admit(search, node, &with, &surroundings).is_ok() {
            left = with;
        } else {
            surroundings.change(resident, node, -1);
            victims.push(resident);
        }
    }
    Ok(victims)
}

/// One that has not started is the latest.
fn started<'a>(resident: &Resident<'a>) -> &'a str {
    resident.needs.started.as_deref().unwrap_or("~")
}

/// How much is lost with the victims: the less the better.
fn loss<'a>(candidate: &Candidate<'a>) -> (i32, i64, usize, Reverse<&'a str>) {
    let victims = &candidate.victims;
    let highest = victims.iter().map(|victim| victim.needs.priority).max().unwrap_or(i32::MIN);
    // Shifted, so that several of negative priority are more than one.
    let sum = victims.iter().map(|victim| i64::from(victim.needs.priority) - i64::from(i32::MIN)).sum();
    let highest_victims = victims.iter().filter(|victim| victim.needs.priority == highest);
    let earliest = highest_victims.map(started).min().unwrap_or("~");
    (highest, sum, victims.len(), Reverse(earliest))
}
