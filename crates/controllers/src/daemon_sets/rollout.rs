//! Which pods of a set are made and deleted next.
//!
//! First what must be right on each node by itself, then how far an update may go. Where the first half has something to
//! clear up, the second waits.

use std::collections::BTreeSet;

use jiff::Timestamp;

use super::eligibility::{Fit, Nodes, Place};
use super::kinds::{DaemonPod, DaemonSet};

/// At most so many pods are made, and so many deleted, by one plan.
const BURST: usize = 250;

#[derive(Debug, Default)]
pub(super) struct Steps<'a> {
    /// The nodes that get a pod.
    pub(super) create: Vec<&'a str>,
    pub(super) delete: Vec<&'a DaemonPod>,
    /// When time alone will make a difference.
    pub(super) again: Vec<Timestamp>,
}

impl<'a> Steps<'a> {
    fn delete(&mut self, pods: impl IntoIterator<Item = &'a DaemonPod>) {
        self.delete.extend(pods);
    }
}

/// How far an update may go at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Limit {
    /// So many nodes may be without an available pod: the old pod goes before its successor comes.
    Unavailable(usize),
    /// So many nodes may have two pods: the successor is available before the old pod goes.
    Surge(usize),
    /// Only pods that somebody deletes are replaced.
    OnDelete,
}

/// The next steps. `backoff` says until when a failed pod has to wait, if it has to.
pub(super) fn steps<'a>(
    set: &DaemonSet,
    hash: &str,
    nodes: &Nodes<'a>,
    now: Timestamp,
    backoff: impl Fn(&DaemonPod) -> Option<Timestamp>,
) -> Steps<'a> {
    let limit = limit(set, nodes.desired());
    let surges = matches!(limit, Limit::Surge(_));
    let min_ready = set.spec.min_ready_seconds;
    let mut steps = Steps::default();
    steps.delete(nodes.stranded.iter().copied());
    for place in &nodes.places {
        let staying = place.pods.iter().copied().filter(|pod| !pod.metadata.is_deleting());
        match place.fit {
            Fit::Leaves => steps.delete(staying),
            Fit::Stays if place.pods.is_empty() => {}
            Fit::Runs if place.pods.is_empty() => steps.create.push(place.node),
            Fit::Runs | Fit::Stays => {
                let (finished, mut going): (Vec<_>, Vec<_>) = staying.partition(|pod| pod.is_finished());
                // Of several the one that serves stays, then the oldest.
                going.sort_by_key(|pod| (!pod.is_available(min_ready, now), !pod.is_ready()));
                for pod in finished {
                    match backoff(pod).filter(|over| pod.is_failed() && *over > now) {
                        Some(over) => steps.again.push(over),
                        None => steps.delete.push(pod),
                    }
                }
                if surges {
                    if going.is_empty() && place.fit == Fit::Runs {
                        // A pod that is on its way out does not hold its successor up.
                        steps.create.push(place.node);
                    }
                    steps.delete(superfluous_in_surge(hash, &going, min_ready, now));
                } else {
                    steps.delete(going.into_iter().skip(1));
                }
            }
        }
    }
    let ready = nodes.places.iter().flat_map(|place| &place.pods);
    steps.again.extend(ready.filter_map(|pod| pod.available_from(min_ready)).filter(|from| *from > now));
    match limit {
        Limit::Unavailable(most) => replace(hash, nodes, most, min_ready, now, &mut steps),
        Limit::Surge(most) => surge(hash, nodes, most, min_ready, now, &mut steps),
        Limit::OnDelete => {}
    }
    // Both halves may have come to the same end.
    let mut once = BTreeSet::new();
    steps.delete.retain(|pod| once.insert(&*pod.metadata.name));
    steps.create.truncate(BURST);
    steps.delete.truncate(BURST);
    steps
}

fn limit(set: &DaemonSet, desired: usize) -> Limit {
    let strategy = &set.spec.update_strategy;
    if strategy.kind == "OnDelete" {
        return Limit::OnDelete;
    }
    let rolling = &strategy.rolling_update;
    let surge = rolling.max_surge.as_ref().map_or(0, |share| share.of(desired));
    if surge > 0 {
        return Limit::Surge(surge);
    }
    // Neither would be an update that never gets anywhere.
    let unavailable = rolling.max_unavailable.as_ref().map_or(1, |share| share.of(desired));
    Limit::Unavailable(unavailable.max(1))
}

/// Of the pods of a node while a set surges: one of each template may be there as long as the old one is ready and the new
/// one is not available yet.
fn superfluous_in_surge<'a>(
    hash: &str,
    going: &[&'a DaemonPod],
    min_ready: i64,
    now: Timestamp,
) -> Vec<&'a DaemonPod> {
    let (new, old): (Vec<&DaemonPod>, Vec<&DaemonPod>) =
        going.iter().copied().partition(|pod| pod.is_of(hash));
    let old_is_done = match (new.first(), old.first()) {
        (Some(new), Some(old)) => !old.is_ready() || new.is_available(min_ready, now),
        _ => false,
    };
    let kept_old = usize::from(!old_is_done);
    new.into_iter().skip(1).chain(old.into_iter().skip(kept_old)).collect()
}

/// The new and the old pod of a node, if there is at most one of each.
struct Pair<'a> {
    new: Option<&'a DaemonPod>,
    old: Option<&'a DaemonPod>,
}

fn pair<'a>(hash: &str, place: &Place<'a>) -> Option<Pair<'a>> {
    let mut pair = Pair { new: None, old: None };
    let stays = |pod: &&DaemonPod| !pod.metadata.is_deleting();
    for pod in place.pods.iter().copied().filter(stays) {
        let side = if pod.is_of(hash) { &mut pair.new } else { &mut pair.old };
        if side.replace(pod).is_some() {
            return None;
        }
    }
    Some(pair)
}

/// The nodes that an update is about: those that want a pod, and those where one may stay.
fn updated<'n, 'a>(nodes: &'n Nodes<'a>) -> impl Iterator<Item = &'n Place<'a>> {
    nodes.places.iter().filter(|place| match place.fit {
        Fit::Runs => true,
        Fit::Stays => !place.pods.is_empty(),
        Fit::Leaves => false,
    })
}

/// Deletes old pods. Those that are of no use already go at once, which makes no node worse off.
fn replace<'a>(
    hash: &str,
    nodes: &Nodes<'a>,
    most: usize,
    min_ready: i64,
    now: Timestamp,
    steps: &mut Steps<'a>,
) {
    let (mut unavailable, mut useless, mut candidates) = (0, Vec::new(), Vec::new());
    for place in updated(nodes) {
        match pair(hash, place) {
            Some(Pair { new: Some(new), old: None }) => {
                unavailable += usize::from(!new.is_available(min_ready, now));
            }
            Some(Pair { new: None, old: Some(old) }) if old.is_available(min_ready, now) => {
                candidates.push(old);
            }
            Some(Pair { new: None, old: Some(old) }) => {
                unavailable += 1;
                // Even one that has failed and would have to wait: its successor need not fail.
                useless.push(old);
            }
            _ => unavailable += 1,
        }
    }
    steps.delete(useless);
    steps.delete(candidates.into_iter().take(most.saturating_sub(unavailable)));
}

/// Makes successors beside old pods, and deletes the old where the successor is available.
fn surge<'a>(
    hash: &str,
    nodes: &Nodes<'a>,
    most: usize,
    min_ready: i64,
    now: Timestamp,
    steps: &mut Steps<'a>,
) {
    let (mut surging, mut useless, mut candidates, mut done) = (0, Vec::new(), Vec::new(), Vec::new());
    for place in updated(nodes) {
        match pair(hash, place) {
            Some(Pair { old: None, .. }) => {}
            Some(Pair { new: None, old: Some(old) }) if place.fit == Fit::Runs => {
                if old.is_available(min_ready, now) {
                    candidates.push(place.node);
                } else if !old.is_finished() {
                    useless.push(place.node);
                }
            }
            Some(Pair { new: Some(new), old: Some(old) }) if new.is_available(min_ready, now) => {
                done.push(old);
            }
            Some(Pair { new: None, .. }) => {}
            _ => surging += 1,
        }
    }
    steps.delete(done);
    steps.create.extend(useless);
    steps.create.extend(candidates.into_iter().take(most.saturating_sub(surging)));
}
