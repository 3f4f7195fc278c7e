//! DefaultTolerationSeconds admission: a pod stays for a while on a node that has gone quiet.

use serde_json::{Value, json};

use crate::object::{Object, child_mut};

const SECONDS: i64 = 300;
const TAINTS: [&str; 2] = ["node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"];

/// Adds a toleration for each of the two taints that the pod does not tolerate by itself.
pub(crate) fn admit_pod(pod: &mut Object) {
    let spec = child_mut(pod, "spec");
    let Some(tolerations) = spec.entry("tolerations").or_insert_with(|| json!([])).as_array_mut() else {
        return;
    };
    for taint in TAINTS {
        if !tolerations.iter().any(|toleration| covers(toleration, taint)) {
            tolerations.push(json!({
                "key": taint, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": SECONDS,
            }));
        }
    }
}

/// An empty key is every key, an empty effect every effect.
fn covers(toleration: &Value, taint: &str) -> bool {
    let text = |member: &str| toleration.get(member).and_then(Value::as_str).unwrap_or("");
    matches!(text("key"), "") | (text("key") == taint) && matches!(text("effect"), "" | "NoExecute")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_not_tolerated_is_added() {
        let table = [
            (json!([]), 2),
            (json!([{"operator": "Exists"}]), 0),
            (json!([{"key": TAINTS[0], "operator": "Exists"}]), 1),
            (json!([{"key": TAINTS[0], "effect": "NoSchedule"}]), 2),
            (json!([{"key": "other", "effect": "NoExecute"}]), 2),
        ];
        for (tolerations, added) in table {
            let own = tolerations.as_array().map_or(0, Vec::len);
            let pod = json!({"spec": {"tolerations": tolerations}});
            let mut pod = pod.as_object().cloned().unwrap_or_default();
            admit_pod(&mut pod);
            let all = pod["spec"]["tolerations"].as_array().map_or(0, Vec::len);
            assert_eq!(all - own, added, "{tolerations}");
        }
    }
}
