//! Priority: a pod's class becomes a number, and no two classes are the default one.
//!
//! Order and texts follow upstream's plugin of that name.

use serde_json::Value;
use tokenward_kube_rules::priority::{PREEMPT, WITHOUT_CLASS};
use tokenward_store::Entry;

use crate::cluster_view::ClusterView;
use crate::index::{Facts, Index};
use crate::object::{Metadata, Object, at, child_mut, text_at};
use crate::status::{ApiError, Subject};

const CLASSES: &str = "scheduling.k8s.io/priorityclasses";

/// What a class gives its pods.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Rank {
    /// The class's name; empty when a pod has none and there is no default.
    class: String,
    priority: i64,
    /// None leaves the pod's own as it is.
    preemption: Option<String>,
}

impl Rank {
    /// What a pod has that names no class, in a cluster without a default one.
    fn without_class() -> Self {
        Self { class: String::new(), priority: WITHOUT_CLASS, preemption: Some(PREEMPT.to_owned()) }
    }

    fn of(class: &Entry<Index>) -> Option<Self> {
        let Facts::PriorityClass { value, preemption, .. } = &class.index.facts else { return None };
        Some(Self { class: class.key.name().to_owned(), priority: *value, preemption: preemption.clone() })
    }
}

/// Resolves the class. A pod may say the number itself only if it is the right one.
pub(super) fn admit_pod(pod: &mut Object, cluster: &ClusterView) -> Result<(), ApiError> {
    let class = text_at(pod, &["spec", "priorityClassName"]);
    let rank = if class.is_empty() {
        default_class(cluster).unwrap_or_else(Rank::without_class)
    } else {
        match cluster.entry(CLASSES, None, class).and_then(|entry| Rank::of(&entry)) {
            Some(rank) => rank,
            None => return Err(refused(pod, &format!("no PriorityClass with name {class} was found"))),
        }
    };
    give(pod, rank)
}

fn refused(pod: &Object, why: &str) -> ApiError {
    ApiError::forbidden(Subject { group: "", kind: "pods", name: pod.name_or_prefix() }, why)
}

fn give(pod: &mut Object, rank: Rank) -> Result<(), ApiError> {
    let Rank { class, priority, preemption } = rank;
    let own = at(pod, &["spec", "priority"]).and_then(Value::as_i64);
    if let Some(own) = own.filter(|own| *own != priority) {
        let why = format!(
            "the integer value of priority ({own}) must not be provided in pod spec; priority admission controller \
             computed {priority} from the given PriorityClass name"
        );
        return Err(refused(pod, &why));
    }
    let policy = at(pod, &["spec", "preemptionPolicy"]).and_then(Value::as_str);
    if let (Some(own), Some(given)) = (policy, &preemption)
        && own != given
    {
        let why = format!(
            "the string value of PreemptionPolicy ({own}) must not be provided in pod spec; priority admission \
             controller computed {given} from the given PriorityClass name"
        );
        return Err(refused(pod, &why));
    }
    let spec = child_mut(pod, "spec");
    if !class.is_empty() {
        spec.insert("priorityClassName".to_owned(), class.into());
    }
    spec.insert("priority".to_owned(), priority.into());
    spec.extend(preemption.map(|policy| ("preemptionPolicy".to_owned(), policy.into())));
    Ok(())
}

/// Refuses a second default class. One that is the default already may be changed.
pub(super) fn check_class(class: &Object, cluster: &ClusterView, is_created: bool) -> Result<(), ApiError> {
    if !class.get("globalDefault").and_then(Value::as_bool).unwrap_or_default() {
        return Ok(());
    }
    match default_class(cluster) {
        Some(known) if is_created || known.class != class.name() => {
            let subject = Subject { group: "scheduling.k8s.io", kind: "priorityclasses", name: class.name() };
            let known = known.class;
            let why =
                format!("PriorityClass {known} is already marked as default. Only one default can exist");
            Err(ApiError::forbidden(subject, &why))
        }
        _ => Ok(()),
    }
}

/// Of several defaults, which were made at the same moment, the lowest.
fn default_class(cluster: &ClusterView) -> Option<Rank> {
    let entries = cluster.entries(CLASSES).into_iter();
    let defaults = entries
        .filter(|entry| matches!(entry.index.facts, Facts::PriorityClass { is_default: true, .. }))
        .filter_map(|entry| Rank::of(&entry));
    defaults.min_by_key(|rank| rank.priority)
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use tokenward_store::{Key, Unstamped};

    use super::*;

    async fn cluster(classes: &[Value]) -> ClusterView {
        let store = crate::new_store();
        for class in classes {
            let name = class["metadata"]["name"].as_str().expect("named");
            let encoded = tokenward_kube_schema::encode(class.as_object().expect("an object"));
            let key = Key::new(CLASSES, None, name).expect("a key");
            let value = Unstamped::new(encoded.bytes, encoded.stamp_at);
            store.create(key, value).await.expect("there is none of that name");
        }
        ClusterView::new(store)
    }

    fn class(name: &str, value: i64, is_default: bool) -> Value {
        json!({
            "metadata": {"name": name}, "value": value, "globalDefault": is_default,
            "preemptionPolicy": if name == "patient" { "Never" } else { "PreemptLowerPriority" },
        })
    }

    fn admitted(spec: &Value, cluster: &ClusterView) -> Result<Value, String> {
        let mut pod = json!({"metadata": {"name": "p"}, "spec": spec}).as_object().unwrap().clone();
        admit_pod(&mut pod, cluster).map(|()| pod["spec"].clone()).map_err(|error| error.to_string())
    }

    #[tokio::test]
    async fn classes_and_numbers() {
        let cluster = cluster(&[class("gold", 900, false), class("patient", 5, false)]).await;
        let given = |class: &str, priority: i64, policy: &str| {
            let mut spec = json!({"priority": priority, "preemptionPolicy": policy});
            if !class.is_empty() {
                spec["priorityClassName"] = class.into();
            }
            Ok(spec)
        };
        let refused = |why: &str| Err(format!("pods \"p\" is forbidden: {why}"));
        let table = [
            (json!({}), given("", 0, "PreemptLowerPriority")),
            (
                json!({"priority": 0, "preemptionPolicy": "PreemptLowerPriority"}),
                given("", 0, "PreemptLowerPriority"),
            ),
            (json!({"priorityClassName": "gold"}), given("gold", 900, "PreemptLowerPriority")),
            (
                json!({"priorityClassName": "gold", "priority": 900}),
                given("gold", 900, "PreemptLowerPriority"),
            ),
            (json!({"priorityClassName": "patient"}), given("patient", 5, "Never")),
            (json!({"priorityClassName": "silver"}), refused("no PriorityClass with name silver was found")),
            // No class like any other before it is made.
            (
                json!({"priorityClassName": "system-node-critical"}),
                refused("no PriorityClass with name system-node-critical was found"),
            ),
            (
                json!({"priority": 7}),
                refused(
                    "the integer value of priority (7) must not be provided in pod spec; priority admission controller computed 0 from the given PriorityClass name",
                ),
            ),
            (
                json!({"priorityClassName": "patient", "preemptionPolicy": "PreemptLowerPriority"}),
                refused(
                    "the string value of PreemptionPolicy (PreemptLowerPriority) must not be provided in pod spec; priority admission controller computed Never from the given PriorityClass name",
                ),
            ),
        ];
        for (spec, wanted) in table {
            assert_eq!(admitted(&spec, &cluster), wanted, "{spec}");
        }
    }

    #[tokio::test]
    async fn the_lowest_default_is_given_to_pods_without_a_class() {
        let cluster =
            cluster(&[class("a", 300, true), class("patient", 20, true), class("c", 5, false)]).await;
        assert_eq!(
            admitted(&json!({}), &cluster),
            Ok(json!({"priorityClassName": "patient", "priority": 20, "preemptionPolicy": "Never"}))
        );
        let named = admitted(&json!({"priorityClassName": "c"}), &cluster).expect("there is one");
        assert_eq!(named["priority"], 5);
    }

    #[tokio::test]
    async fn there_is_one_default() {
        let cluster = cluster(&[class("usual", 10, true), class("other", 5, false)]).await;
        let check = |name: &str, is_default: bool, is_created: bool| {
            let class = class(name, 1, is_default).as_object().unwrap().clone();
            check_class(&class, &cluster, is_created).map_err(|error| error.to_string())
        };
        let second = |name: &str| {
            Err(format!(
                "priorityclasses.scheduling.k8s.io \"{name}\" is forbidden: PriorityClass usual is already marked as default. Only one default can exist"
            ))
        };
        let table = [
            ("young", false, true, Ok(())),
            ("young", true, true, second("young")),
            ("usual", true, true, second("usual")),
            ("usual", true, false, Ok(())),
            ("other", true, false, second("other")),
            ("other", false, false, Ok(())),
        ];
        for (name, is_default, is_created, wanted) in table {
            assert_eq!(check(name, is_default, is_created), wanted, "{name} {is_default} {is_created}");
        }
    }
}
