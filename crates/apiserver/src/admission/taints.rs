//! TaintNodesByCondition: a new node takes no pods before it has said that it is ready. A controller takes the taint off.

use serde_json::json;

use crate::object::{Object, child_mut};

const NOT_READY: &str = "node.kubernetes.io/not-ready";
const NO_SCHEDULE: &str = "NoSchedule";

/// Adds the taint unless the node brings it along.
pub(super) fn admit_node(node: &mut Object) {
    let taints = child_mut(node, "spec").entry("taints").or_insert_with(|| json!([]));
    if taints.is_null() {
        *taints = json!([]);
    }
    if let Some(taints) = taints.as_array_mut()
        && !taints.iter().any(|taint| taint["key"] == NOT_READY && taint["effect"] == NO_SCHEDULE)
    {
        taints.push(json!({"key": NOT_READY, "effect": NO_SCHEDULE}));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_taint_is_there_once() {
        let own = json!({"key": NOT_READY, "effect": NO_SCHEDULE});
        let other = json!({"key": NOT_READY, "effect": "NoExecute"});
        for (taints, wanted) in
            [(json!(null), json!([own])), (json!([own]), json!([own])), (json!([other]), json!([other, own]))]
        {
            let mut node = json!({"spec": {"taints": taints}}).as_object().unwrap().clone();
            admit_node(&mut node);
            assert_eq!(node["spec"]["taints"], wanted);
        }
    }
}
