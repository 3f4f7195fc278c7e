//! Priority: a pod's class becomes a number. PriorityClass objects are not served; the two that every cluster has are
//! known by name.

use serde_json::Value;

use crate::object::{Metadata, Object, at, child_mut, text_at};
use crate::status::{ApiError, Subject};

/// The classes that every cluster has.
const CLASSES: [(&str, i64); 2] =
    [("system-cluster-critical", 2_000_000_000), ("system-node-critical", 2_000_001_000)];
/// What a pod of no class has.
const DEFAULT: i64 = 0;
const PREEMPTION: &str = "PreemptLowerPriority";

/// Resolves the class. A pod may say the number itself only if it is the right one.
pub(super) fn admit_pod(pod: &mut Object) -> Result<(), ApiError> {
    let refuse = |pod: &Object, why: &str| {
        Err(ApiError::forbidden(Subject { group: "", kind: "pods", name: pod.name_or_prefix() }, why))
    };
    let class = text_at(pod, &["spec", "priorityClassName"]);
    let known = CLASSES.iter().find(|(name, _)| *name == class).map(|(_, value)| *value);
    let Some(priority) = known.or_else(|| class.is_empty().then_some(DEFAULT)) else {
        return refuse(pod, &format!("no PriorityClass with name {class} was found"));
    };
    if let Some(own) = at(pod, &["spec", "priority"]).and_then(Value::as_i64).filter(|own| *own != priority) {
        let why = format!(
            "the integer value of priority ({own}) must not be provided in pod spec; priority admission controller \
             computed {priority} from the given PriorityClass name"
        );
        return refuse(pod, &why);
    }
    let policy = text_at(pod, &["spec", "preemptionPolicy"]);
    if !policy.is_empty() && policy != PREEMPTION {
        let why = format!(
            "the string value of PreemptionPolicy ({policy}) must not be provided in pod spec; priority admission \
             controller computed {PREEMPTION} from the given PriorityClass name"
        );
        return refuse(pod, &why);
    }
    let spec = child_mut(pod, "spec");
    spec.insert("priority".to_owned(), priority.into());
    spec.insert("preemptionPolicy".to_owned(), PREEMPTION.into());
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn admitted(spec: &Value) -> Result<Value, String> {
        let mut pod = json!({"metadata": {"name": "p"}, "spec": spec}).as_object().unwrap().clone();
        admit_pod(&mut pod).map(|()| pod["spec"]["priority"].clone()).map_err(|error| error.to_string())
    }

    #[test]
    fn classes_and_numbers() {
        let refused = |why: &str| Err(format!("pods \"p\" is forbidden: {why}"));
        let table = [
            (json!({}), Ok(json!(0))),
            (json!({"priority": 0, "preemptionPolicy": "PreemptLowerPriority"}), Ok(json!(0))),
            (json!({"priorityClassName": "system-node-critical"}), Ok(json!(2_000_001_000))),
            (
                json!({"priorityClassName": "system-cluster-critical", "priority": 2_000_000_000}),
                Ok(json!(2_000_000_000)),
            ),
            (json!({"priorityClassName": "gold"}), refused("no PriorityClass with name gold was found")),
            (
                json!({"priority": 7}),
                refused(
                    "the integer value of priority (7) must not be provided in pod spec; priority admission controller computed 0 from the given PriorityClass name",
                ),
            ),
            (
                json!({"preemptionPolicy": "Never"}),
                refused(
                    "the string value of PreemptionPolicy (Never) must not be provided in pod spec; priority admission controller computed PreemptLowerPriority from the given PriorityClass name",
                ),
            ),
        ];
        for (spec, wanted) in table {
            assert_eq!(admitted(&spec), wanted, "{spec}");
        }
    }
}
