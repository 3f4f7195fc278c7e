//! Why a node does not take a pod, and how that is told, in upstream's words (`FitError`).

use std::borrow::Cow;
use std::collections::BTreeMap;

pub(super) type Reason = Cow<'static, str>;

/// Why one node does not take a pod.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) reasons: Vec<Reason>,
    /// Whether the node may take the pod once other pods are gone.
    pub(super) is_passing: bool,
}

impl Refusal {
    /// A reason that stays whatever becomes of the pods on the node.
    pub(super) fn lasting(reason: &'static str) -> Self {
        Self { reasons: vec![Cow::Borrowed(reason)], is_passing: false }
    }

    /// A reason that lies in other pods.
    pub(super) fn passing(reason: &'static str) -> Self {
        Self { reasons: vec![Cow::Borrowed(reason)], is_passing: true }
    }
}

/// How many nodes have which reason.
#[derive(Debug, Default)]
pub(super) struct Tally(BTreeMap<Reason, usize>);

impl Tally {
    pub(super) fn count(&mut self, reasons: impl IntoIterator<Item = Reason>) {
        for reason in reasons {
            *self.0.entry(reason).or_default() += 1;
        }
    }

    /// So many nodes that were not looked at, all for the same reason.
    pub(super) fn count_unseen(&mut self, nodes: usize, reason: &'static str) {
        if nodes > 0 {
            *self.0.entry(Cow::Borrowed(reason)).or_default() += nodes;
        }
    }

    /// What is told of a pod that none of so many nodes takes.
    pub(super) fn message(self, nodes: usize) -> String {
        let mut reasons: Vec<String> =
            self.0.into_iter().map(|(reason, count)| format!("{count} {reason}")).collect();
        reasons.sort();
        none_available(nodes, &reasons.join(", "))
    }
}

/// What is told when none of so many nodes is available for this reason.
pub(super) fn none_available(nodes: usize, reason: &str) -> String {
    format!("0/{nodes} nodes are available: {reason}.")
}
