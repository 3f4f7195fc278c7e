//! The taints that follow from a node's conditions.

use crate::conditions;
use crate::objects::{Node, Taint};

pub(crate) const NOT_READY: &str = "node.kubernetes.io/not-ready";
pub(crate) const UNREACHABLE: &str = "node.kubernetes.io/unreachable";
pub(crate) const UNSCHEDULABLE: &str = "node.kubernetes.io/unschedulable";
const NO_SCHEDULE: &str = "NoSchedule";
const NO_EXECUTE: &str = "NoExecute";

/// Condition, its status, and the taint that it means.
const OF_CONDITIONS: [(&str, &str, &str); 6] = [
    ("Ready", "False", NOT_READY),
    ("Ready", "Unknown", UNREACHABLE),
    ("MemoryPressure", "True", "node.kubernetes.io/memory-pressure"),
    ("DiskPressure", "True", "node.kubernetes.io/disk-pressure"),
    ("NetworkUnavailable", "True", "node.kubernetes.io/network-unavailable"),
    ("PIDPressure", "True", "node.kubernetes.io/pid-pressure"),
];

/// The node's taints as they should be, if they are not: those of conditions that hold, none of those that do not, all
/// others as they are. Without a Ready condition a node keeps the not-ready taint that it was admitted with.
///
/// Pods are driven away (`NoExecute`) from a node that is not ready; from one that is unreachable only while
/// `any_is_heard`.
pub(super) fn wanted(node: &Node, any_is_heard: bool, now: &str) -> Option<Vec<Taint>> {
    let status = |kind: &str| conditions::status(&node.status.conditions, kind);
    let mut wanted: Vec<(&str, &str)> = Vec::new();
    for (kind, bad, taint) in OF_CONDITIONS {
        if status(kind) == bad {
            wanted.push((taint, NO_SCHEDULE));
            if taint == NOT_READY || (taint == UNREACHABLE && any_is_heard) {
                wanted.push((taint, NO_EXECUTE));
            }
        }
    }
    if node.spec.unschedulable {
        wanted.push((UNSCHEDULABLE, NO_SCHEDULE));
    }
    let has_told = !status("Ready").is_empty();
    let is_ours = |taint: &Taint| {
        let key = &*taint.key;
        let condition = OF_CONDITIONS.iter().find(|(_, _, ours)| *ours == key);
        match &*taint.effect {
            NO_SCHEDULE => condition.is_some_and(|_| key != NOT_READY || has_told) || key == UNSCHEDULABLE,
            NO_EXECUTE => matches!(key, NOT_READY | UNREACHABLE),
            _ => false,
        }
    };
    let is_wanted = |taint: &Taint| wanted.contains(&(&*taint.key, &*taint.effect));
    let kept = node.spec.taints.iter().filter(|taint| !is_ours(taint) || is_wanted(taint));
    let mut taints: Vec<Taint> = kept.cloned().collect();
    for (key, effect) in &wanted {
        if !taints.iter().any(|taint| (&*taint.key, &*taint.effect) == (*key, *effect)) {
            taints.push(Taint {
                key: (*key).to_owned(),
                effect: (*effect).to_owned(),
                time_added: Some(now.to_owned()),
                ..Taint::default()
            });
        }
    }
    (taints != node.spec.taints).then_some(taints)
}
