//! A PodDisruptionBudget as an eviction looks at it.

use http::StatusCode;
use jiff::Timestamp;
use serde_json::{Map, Value, json};
use tokenward_kube_rules::disruption::{Reason, set_condition};
use tokenward_kube_rules::label_selector::{LabelSelector, Labels};

use crate::cluster_view::ClusterView;
use crate::object::{Metadata, Object, at, child_mut, format_time, text_at};
use crate::status::{ApiError, Subject};

/// So many evictions may be granted that the controller has not seen yet.
const MOST_UNSEEN: usize = 2000;

/// What of a budget decides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Budget {
    pub(super) name: String,
    generation: i64,
    observed_generation: i64,
    allowed: i64,
    healthy: i64,
    desired: i64,
    /// How many evictions were granted a short while ago.
    unseen: usize,
    /// Pods that are not ready may always go.
    lets_ill_go: bool,
}

/// What the eviction of a pod costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Claim {
    /// Nothing, as long as the pod stays what it is: it is not among the healthy ones.
    Free,
    /// One of those that the budget allows.
    Counts,
}

/// The budgets that have a pod.
pub(super) fn of_pod(pod: &Object, cluster: &ClusterView) -> Vec<Budget> {
    let labels: Labels = match at(pod, &["metadata", "labels"]).and_then(Value::as_object) {
        Some(labels) => {
            let texts = labels.iter().filter_map(|(key, value)| Some((key, value.as_str()?)));
            texts.map(|(key, value)| (key.clone(), value.to_owned())).collect()
        }
        None => Labels::new(),
    };
    let entries = cluster.entries_in("policy/poddisruptionbudgets", pod.namespace());
    let budgets = entries.iter().filter_map(|entry| tokenward_kube_schema::parse(&entry.value).ok());
    budgets.filter(|budget| selects(budget, &labels)).map(|budget| Budget::of(&budget)).collect()
}

/// A selector that is absent or empty has no pod here, though the controller counts all pods for an empty one: as upstream.
fn selects(budget: &Object, labels: &Labels) -> bool {
    let selector = at(budget, &["spec", "selector"]).cloned().unwrap_or_default();
    serde_json::from_value::<Option<LabelSelector>>(selector)
        .ok()
        .flatten()
        .is_some_and(|selector| !selector.is_empty() && selector.matches(labels))
}

impl Budget {
    pub(super) fn of(budget: &Object) -> Self {
        let number =
            |member: &str| at(budget, &["status", member]).and_then(Value::as_i64).unwrap_or_default();
        Self {
            name: budget.name().to_owned(),
            generation: budget.metadata_number("generation"),
            observed_generation: number("observedGeneration"),
            allowed: number("disruptionsAllowed"),
            healthy: number("currentHealthy"),
            desired: number("desiredHealthy"),
            unseen: at(budget, &["status", "disruptedPods"]).and_then(Value::as_object).map_or(0, Map::len),
            lets_ill_go: text_at(budget, &["spec", "unhealthyPodEvictionPolicy"]) == "AlwaysAllow",
        }
    }

    /// What the eviction of a running pod costs.
    pub(super) fn claim(&self, is_ready: bool) -> Claim {
        let has_enough = self.healthy >= self.desired && self.desired > 0;
        if !is_ready && (self.lets_ill_go || has_enough) { Claim::Free } else { Claim::Counts }
    }

    /// The budget after one eviction more. `budget` is what this was read from.
    pub(super) fn spend(&self, budget: &Object, pod: &str, now: Timestamp) -> Result<Object, ApiError> {
        let subject = Subject { group: "policy", kind: "poddisruptionbudget", name: &self.name };
        if self.observed_generation < self.generation {
            return Err(self.busy());
        }
        if self.allowed < 0 {
            return Err(ApiError::forbidden(subject, "pdb disruptions allowed is negative"));
        }
        if self.unseen > MOST_UNSEEN {
            let why = "DisruptedPods map too big - too many evictions not confirmed by PDB controller";
            return Err(ApiError::forbidden(subject, why));
        }
        if self.allowed == 0 {
            return Err(violated(&format!(
                "The disruption budget {} needs {} healthy pods and has {} currently",
                self.name, self.desired, self.healthy
            )));
        }
        let now = format_time(now);
        let mut spent = budget.clone();
        let status = child_mut(&mut spent, "status");
        status.insert("disruptionsAllowed".to_owned(), (self.allowed - 1).into());
        child_mut(status, "disruptedPods").insert(pod.to_owned(), now.as_str().into());
        if self.allowed == 1 {
            set_condition(status, Reason::InsufficientPods, &now);
        }
        Ok(spent)
    }

    /// What is answered while the controller has not seen the budget, or the pod has changed.
    pub(super) fn busy(&self) -> ApiError {
        let why = format!("The disruption budget {} is still being processed by the server.", self.name);
        violated(&why).retry_after(10)
    }
}

/// 429: the eviction would break the budget.
fn violated(why: &str) -> ApiError {
    let message = "Cannot evict pod as it would violate the pod's disruption budget.";
    ApiError::new(StatusCode::TOO_MANY_REQUESTS, "TooManyRequests", message)
        .because_of(vec![json!({"reason": "DisruptionBudget", "message": why})])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(value: &Value) -> Object {
        value.as_object().cloned().expect("an object")
    }

    fn budget(status: &Value) -> Object {
        object(&json!({"metadata": {"name": "b", "generation": 2}, "spec": {}, "status": status}))
    }

    #[test]
    fn budgets_have_pods_by_labels_and_never_all() {
        let labels = Labels::from([("app".to_owned(), "web".to_owned())]);
        let table = [
            (json!({"selector": {"matchLabels": {"app": "web"}}}), true),
            (json!({"selector": {"matchLabels": {"app": "other"}}}), false),
            (json!({"selector": {"matchExpressions": [{"key": "app", "operator": "Exists"}]}}), true),
            (json!({"selector": {"matchExpressions": [{"key": "app", "operator": "Like"}]}}), false),
            (json!({"selector": {}}), false),
            (json!({"selector": null}), false),
            (json!({}), false),
        ];
        for (spec, wanted) in table {
            assert_eq!(selects(&object(&json!({"spec": spec})), &labels), wanted, "{spec}");
        }
    }

    #[test]
    fn pods_that_are_not_ready_are_free_while_enough_others_are() {
        let claim = |healthy: i64, desired: i64, policy: &str, is_ready: bool| {
            let status = json!({"currentHealthy": healthy, "desiredHealthy": desired});
            let mut object = budget(&status);
            child_mut(&mut object, "spec").insert("unhealthyPodEvictionPolicy".to_owned(), policy.into());
            Budget::of(&object).claim(is_ready)
        };
        let table = [
            ((2, 2, "", false), Claim::Free),
            ((2, 2, "", true), Claim::Counts),
            ((1, 2, "", false), Claim::Counts),
            ((1, 2, "IfHealthyBudget", false), Claim::Counts),
            ((1, 2, "AlwaysAllow", false), Claim::Free),
            ((1, 2, "AlwaysAllow", true), Claim::Counts),
            ((0, 0, "", false), Claim::Counts),
        ];
        for ((healthy, desired, policy, is_ready), wanted) in table {
            assert_eq!(
                claim(healthy, desired, policy, is_ready),
                wanted,
                "{healthy} {desired} {policy} {is_ready}"
            );
        }
    }

    #[test]
    fn one_eviction_is_spent_or_it_is_said_why_not() {
        let now: Timestamp = "2026-01-01T12:00:00Z".parse().expect("a time");
        let spend = |status: &Value| {
            let object = budget(status);
            Budget::of(&object).spend(&object, "p", now).map(|spent| spent["status"].clone())
        };
        let spent =
            spend(&json!({"observedGeneration": 2, "disruptionsAllowed": 2, "disruptedPods": {"o": "x"}}));
        assert_eq!(
            spent,
            Ok(json!({"observedGeneration": 2, "disruptionsAllowed": 1,
                "disruptedPods": {"o": "x", "p": "2026-01-01T12:00:00Z"}}))
        );
        let last = spend(&json!({"observedGeneration": 2, "disruptionsAllowed": 1})).expect("there is one");
        assert_eq!(last["conditions"][0]["reason"], "InsufficientPods");

        let many: Map<String, Value> =
            (0..=MOST_UNSEEN).map(|number| (number.to_string(), "x".into())).collect();
        let violation = "Cannot evict pod as it would violate the pod's disruption budget.";
        let table = [
            (
                json!({"observedGeneration": 1, "disruptionsAllowed": 1}),
                (429, violation, "The disruption budget b is still being processed by the server."),
            ),
            (
                json!({"observedGeneration": 2, "desiredHealthy": 2, "currentHealthy": 1}),
                (429, violation, "The disruption budget b needs 2 healthy pods and has 1 currently"),
            ),
            (
                json!({"observedGeneration": 2, "disruptionsAllowed": -1}),
                (
                    403,
                    "poddisruptionbudget.policy \"b\" is forbidden: pdb disruptions allowed is negative",
                    "",
                ),
            ),
            (
                json!({"observedGeneration": 2, "disruptionsAllowed": 1, "disruptedPods": many}),
                (
                    403,
                    "poddisruptionbudget.policy \"b\" is forbidden: DisruptedPods map too big - too many evictions not confirmed by PDB controller",
                    "",
                ),
            ),
        ];
        for (status, (code, message, cause)) in table {
            let told = spend(&status).expect_err("refused").to_status();
            assert_eq!((&told["code"], &told["message"]), (&json!(code), &json!(message)));
            if !cause.is_empty() {
                assert_eq!(
                    told["details"]["causes"],
                    json!([{"reason": "DisruptionBudget", "message": cause}])
                );
            }
        }
        let busy = spend(&json!({"observedGeneration": 1})).expect_err("not seen yet");
        assert_eq!(busy.retry_after_seconds(), Some(10));
    }
}
