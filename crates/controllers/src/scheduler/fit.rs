//! Whether a pod fits a node, in upstream's order and words.

use crate::node_affinity;
use crate::node_lifecycle::{NOT_READY, UNSCHEDULABLE};
use crate::objects::{Node, Pod, Taint};

/// Whether `pod` may run on `node`, which has `pods` pods already; if not, what is wrong with nodes like this one.
pub(super) fn check(pod: &Pod, node: &Node, pods: usize) -> Result<(), String> {
    let tolerates = |taint: &Taint| pod.spec.tolerations.iter().any(|toleration| toleration.covers(taint));
    if node.spec.unschedulable && !tolerates(&no_schedule(UNSCHEDULABLE)) {
        return Err("node(s) were unschedulable".to_owned());
    }
    // Upstream's node lifecycle controller sets this taint; here the condition itself counts as it.
    let not_ready = (node.readiness() != "True").then(|| no_schedule(NOT_READY));
    let taints = node.spec.taints.iter().chain(&not_ready);
    let keeps_out = |taint: &&Taint| matches!(&*taint.effect, "NoSchedule" | "NoExecute");
    if let Some(taint) = taints.filter(keeps_out).find(|taint| !tolerates(taint)) {
        return Err(format!("node(s) had untolerated taint {{{}: {}}}", taint.key, taint.value));
    }
    if !node_affinity::selects(&pod.spec, &node.metadata) {
        return Err("node(s) didn't match Pod's node affinity/selector".to_owned());
    }
    let room = node.status.allocatable.get("pods");
    if room.is_some_and(|room| room.units() <= pods as i128) {
        return Err("Too many pods".to_owned());
    }
    Ok(())
}

fn no_schedule(key: &str) -> Taint {
    Taint { key: key.to_owned(), effect: "NoSchedule".to_owned(), ..Taint::default() }
}
