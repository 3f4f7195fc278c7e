//! How many pods of a budget there are, how many there must be, and how many may go.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde_json::{Map, Value};
use tokenward_kube_schema::find_kind;

use super::PATIENCE;
use super::kinds::{Budget, GuardedPod, Spec};
use crate::share::Share;

/// Evictions that were granted and not seen yet.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Evicted {
    /// When each was granted, by the pod's name: those that are still waited for.
    pub(super) waited_for: Map<String, Value>,
    /// When the first of them is waited for no longer.
    pub(super) again: Option<Timestamp>,
}

impl Evicted {
    /// Those of a budget. A pod that is going, or gone, is seen.
    pub(super) fn of(budget: &Budget, pods: &[&GuardedPod], now: Timestamp) -> Self {
        let mut evicted = Self::default();
        let there: BTreeSet<&str> = pods
            .iter()
            .filter(|pod| !pod.metadata.is_deleting())
            .map(|pod| pod.metadata.name.as_str())
            .collect();
        for (name, time) in budget.evicted() {
            let granted = time.as_str().and_then(|time| time.parse::<Timestamp>().ok());
            let Some(granted) = granted.filter(|_| there.contains(name.as_str())) else { continue };
            let end = granted.checked_add(PATIENCE).unwrap_or(Timestamp::MAX);
            if end > now {
                evicted.waited_for.insert(name.clone(), time.clone());
                evicted.again = Some(evicted.again.map_or(end, |again| again.min(end)));
            }
        }
        evicted
    }
}

/// The numbers of a status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Count {
    pub(super) expected: usize,
    pub(super) desired: usize,
    pub(super) healthy: usize,
}

impl Count {
    /// Those of a budget, or why they are not known.
    pub(super) fn of(budget: &Budget, pods: &[&GuardedPod], evicted: &Evicted) -> Result<Self, String> {
        let (expected, desired) = expected(&budget.spec, pods)?;
        let stays = |pod: &&&GuardedPod| {
            !pod.metadata.is_deleting() && !evicted.waited_for.contains_key(&pod.metadata.name)
        };
        let healthy = pods.iter().filter(stays).filter(|pod| pod.is_ready).count();
        Ok(Self { expected, desired, healthy })
    }

    /// How many may be evicted. Of a budget that expects no pods none: the first of them may not have been counted yet.
    pub(super) fn allowed(self) -> usize {
        if self.expected == 0 { 0 } else { self.healthy.saturating_sub(self.desired) }
    }
}

/// How many pods there should be, and how many of them healthy.
pub(super) fn expected(spec: &Spec, pods: &[&GuardedPod]) -> Result<(usize, usize), String> {
    match (&spec.max_unavailable, &spec.min_available) {
        (Some(most), _) => {
            let expected = scale(pods)?;
            Ok((expected, expected.saturating_sub(most.of(expected))))
        }
        (None, Some(least @ Share::Number(_))) => Ok((pods.len(), least.of(pods.len()))),
        (None, Some(least)) => {
            let expected = scale(pods)?;
            Ok((expected, least.of(expected)))
        }
        (None, None) => Ok((0, 0)),
    }
}

/// How many pods their controllers are to keep. Bare pods have none, and of the served kinds none can be scaled: a
/// DaemonSet has as many pods as there are nodes for it. Upstream says so in the same words.
fn scale(pods: &[&GuardedPod]) -> Result<usize, String> {
    let Some(owner) = pods.iter().find_map(|pod| pod.metadata.controller()) else { return Ok(0) };
    Err(match find_kind(&owner.api_version, &owner.kind) {
        Some(kind) => format!("{} does not implement the scale subresource", kind.qualified_resource()),
        None => format!("no matches for kind \"{}\" in version \"{}\"", owner.kind, owner.api_version),
    })
}
