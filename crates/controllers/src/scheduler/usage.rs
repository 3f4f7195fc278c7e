//! Which pods are on which node, and what they take there.

use std::collections::BTreeMap;

use super::pod::{Needs, Place, Requests, SchedulerPod, add};
use crate::objects::Metadata;

/// By node.
#[derive(Default)]
pub(super) struct Usage<'a> {
    nodes: BTreeMap<&'a str, Taken<'a>>,
    /// Those that say something of other pods: few, and looked at for every newcomer.
    particular: Vec<(&'a str, Resident<'a>)>,
}

/// A pod on a node, or one for which room is being made there.
#[derive(Clone, Copy)]
pub(super) struct Resident<'a> {
    pub(super) metadata: &'a Metadata,
    pub(super) needs: &'a Needs,
    pub(super) is_nominated: bool,
}

/// What is on one node, with what every newcomer asks of all residents together.
#[derive(Clone, Default)]
pub(super) struct Taken<'a> {
    pub(super) residents: Vec<Resident<'a>>,
    pub(super) requests: Requests,
    /// How many of the residents are still to come.
    nominated: usize,
    /// The least priority of the others.
    lowest: Option<i32>,
}

impl<'a> Usage<'a> {
    pub(super) fn of(pods: impl Iterator<Item = &'a SchedulerPod>) -> Self {
        let mut usage = Self::default();
        for pod in pods {
            if let Place::On(node) = &pod.place {
                usage.add(node, Resident { metadata: &pod.metadata, needs: &pod.needs, is_nominated: false });
            }
        }
        usage
    }

    pub(super) fn add(&mut self, node: &'a str, resident: Resident<'a>) {
        self.nodes.entry(node).or_default().add(resident);
        if resident.needs.terms.is_some() && !resident.is_nominated {
            self.particular.push((node, resident));
        }
    }

    pub(super) fn on(&self, node: &str) -> Option<&Taken<'a>> {
        self.nodes.get(node)
    }

    /// How many there are, without those that are to come.
    pub(super) fn pods_on(&self, node: &str) -> usize {
        self.on(node).map_or(0, |taken| taken.residents.len() - taken.nominated)
    }

    /// All pods that are on a node.
    pub(super) fn residents(&self) -> impl Iterator<Item = (&'a str, Resident<'a>)> {
        let all = self.nodes.iter();
        let all = all.flat_map(|(node, taken)| taken.residents.iter().map(|resident| (*node, *resident)));
        all.filter(|(_, resident)| !resident.is_nominated)
    }

    /// Those of them that say something of other pods.
    pub(super) fn particular(&self) -> impl Iterator<Item = (&'a str, Resident<'a>)> {
        self.particular.iter().copied()
    }
}

impl<'a> Taken<'a> {
    pub(super) fn add(&mut self, resident: Resident<'a>) {
        add(&mut self.requests, &resident.needs.requests);
        if resident.is_nominated {
            self.nominated += 1;
        } else {
            let priority = resident.needs.priority;
            self.lowest = Some(self.lowest.map_or(priority, |lowest| lowest.min(priority)));
        }
        self.residents.push(resident);
    }

    /// What is left without some of the pods.
    pub(super) fn without(&self, is_gone: impl Fn(&Resident<'a>) -> bool) -> Self {
        let mut left = Self::default();
        self.residents.iter().filter(|resident| !is_gone(resident)).for_each(|resident| left.add(*resident));
        left
    }

    pub(super) fn has_nominated(&self) -> bool {
        self.nominated > 0
    }

    /// Whether a pod is there, not only to come, that is less important than one of this priority.
    pub(super) fn has_lower_than(&self, priority: i32) -> bool {
        self.lowest.is_some_and(|lowest| lowest < priority)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// What is kept of the residents together is what a walk over them finds, also without some of them.
        #[test]
        fn sums_agree_with_the_residents(
            pods in proptest::collection::vec((-3_i32..4, any::<bool>(), any::<bool>()), 0..12),
            newcomer in -4_i32..5,
        ) {
            let metadata = Metadata::default();
            let needs: Vec<Needs> =
                pods.iter().map(|(priority, ..)| Needs { priority: *priority, ..Needs::default() }).collect();
            let mut usage = Usage::default();
            for (needs, (_, is_nominated, _)) in needs.iter().zip(&pods) {
                usage.add("n", Resident { metadata: &metadata, needs, is_nominated: *is_nominated });
            }
            prop_assert_eq!(usage.pods_on("n"), pods.iter().filter(|(_, is_nominated, _)| !is_nominated).count());
            let nothing = Taken::default();
            let all = usage.on("n").unwrap_or(&nothing);
            let goes = |resident: &Resident<'_>| {
                needs.iter().zip(&pods).any(|(of, (.., goes))| *goes && std::ptr::eq(of, resident.needs))
            };
            for taken in [all, &all.without(goes)] {
                let is_lower = |resident: &Resident<'_>| {
                    !resident.is_nominated && resident.needs.priority < newcomer
                };
                prop_assert_eq!(taken.has_lower_than(newcomer), taken.residents.iter().any(is_lower));
                let any_is_nominated = taken.residents.iter().any(|resident| resident.is_nominated);
                prop_assert_eq!(taken.has_nominated(), any_is_nominated);
            }
        }
    }
}
