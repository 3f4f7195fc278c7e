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

/// What is on one node.
#[derive(Clone, Default)]
pub(super) struct Taken<'a> {
    pub(super) residents: Vec<Resident<'a>>,
    pub(super) requests: Requests,
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
        self.on(node).map_or(0, |taken| taken.residents.iter().filter(|pod| !pod.is_nominated).count())
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
        self.residents.push(resident);
    }

    /// What is left without some of the pods.
    pub(super) fn without(&self, is_gone: impl Fn(&Resident<'a>) -> bool) -> Self {
        let mut left = Self::default();
        self.residents.iter().filter(|resident| !is_gone(resident)).for_each(|resident| left.add(*resident));
        left
    }

    pub(super) fn has_nominated(&self) -> bool {
        self.residents.iter().any(|resident| resident.is_nominated)
    }
}
