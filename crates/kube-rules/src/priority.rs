//! Priorities of pods: the classes that every cluster has, and what users may not take for theirs.
//!
//! Names, values and texts follow upstream's `pkg/apis/scheduling`.

use serde_json::{Map, Value, json};

/// How names of the system's classes begin; no other class may be called so.
pub const SYSTEM_PREFIX: &str = "system-";
/// The highest value of a class that is not the system's.
pub const HIGHEST_OF_USERS: i64 = 1_000_000_000;
/// What a pod without a class has in a cluster without a default class.
pub const WITHOUT_CLASS: i64 = 0;
/// The policy of classes whose pods push out others: the default.
pub const PREEMPT: &str = "PreemptLowerPriority";
/// The policy of classes whose pods wait.
pub const NEVER: &str = "Never";

/// Name, value and what people are told of each of the system's classes.
const SYSTEM_CLASSES: [(&str, i64, &str); 2] = [
    (
        "system-node-critical",
        2_000_001_000,
        "Used for system critical pods that must not be moved from their current node.",
    ),
    (
        "system-cluster-critical",
        2_000_000_000,
        "Used for system critical pods that must run in the cluster, but can be moved to another node if necessary.",
    ),
];

/// The PriorityClasses that every cluster has, complete but for what a server adds to every object.
pub fn system_classes() -> impl Iterator<Item = Map<String, Value>> {
    SYSTEM_CLASSES.iter().map(|(name, value, description)| {
        Map::from_iter([
            ("apiVersion".to_owned(), "scheduling.k8s.io/v1".into()),
            ("kind".to_owned(), "PriorityClass".into()),
            ("metadata".to_owned(), json!({"name": name})),
            ("value".to_owned(), (*value).into()),
            ("description".to_owned(), (*description).into()),
            ("preemptionPolicy".to_owned(), PREEMPT.into()),
        ])
    })
}

/// Whether a class with a name of the system's is one of them.
///
/// # Errors
/// What it would have to be.
pub fn check_system_class(name: &str, value: i64, is_default: bool) -> Result<(), String> {
    let Some((_, wanted, _)) = SYSTEM_CLASSES.iter().find(|(known, _, _)| *known == name) else {
        return Err(format!("{name} is not a known system priority class"));
    };
    if value != *wanted {
        return Err(format!("value of {name} PriorityClass must be {wanted}"));
    }
    if is_default {
        return Err(format!("globalDefault of {name} PriorityClass must be false"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_system_s_classes_are_what_they_must_be() {
        let classes: Vec<_> = system_classes().collect();
        assert_eq!(classes.len(), 2);
        for class in classes {
            let (name, value) = (class["metadata"]["name"].as_str(), class["value"].as_i64());
            let (name, value) = (name.expect("named"), value.expect("a number"));
            assert!(name.starts_with(SYSTEM_PREFIX) && value > HIGHEST_OF_USERS);
            assert_eq!(check_system_class(name, value, false), Ok(()));
            assert!(check_system_class(name, value, true).is_err());
            assert!(check_system_class(name, value - 1, false).is_err());
        }
        assert!(check_system_class("system-other", 1, false).is_err());
    }
}
