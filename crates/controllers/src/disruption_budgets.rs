//! PodDisruptionBudgets: counts the pods of each, and says how many evictions the API server may grant (upstream's
//! `pkg/controller/disruption`).
//!
//! What the API server has granted stands in the status until the pod is seen going, or two minutes have passed; so the two
//! need no other word of each other. [`count`] has the arithmetic, [`kinds`] what is read.
//!
//! Pods that were told to be the target of a disruption and did not go are told otherwise after the same time.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use tokenward_kube_rules::disruption::{EVICTION_SECONDS, Reason, is_condition_current, set_condition};

use crate::api::{Document, Request, Resource, Target, WatchEvent};
use crate::conditions::whole_seconds;
use crate::mirror::Mirror;
use crate::news::News;
use crate::objects::Object as _;
use crate::runner::{Controller, Plan};

mod count;
mod kinds;

use count::{Count, Evicted};
use kinds::{Budget, GuardedPod};

/// So long is an eviction that was granted, or announced, waited for.
const PATIENCE: SignedDuration = SignedDuration::from_secs(EVICTION_SECONDS);

pub(crate) struct DisruptionBudgets {
    budgets: Mirror<Budget>,
    pods: Mirror<GuardedPod>,
    /// Namespace and name of the pods that are told to be a target.
    targets: BTreeSet<(String, String)>,
}

impl DisruptionBudgets {
    pub(crate) fn new() -> Self {
        Self {
            budgets: Mirror::new(Resource::POD_DISRUPTION_BUDGETS),
            pods: Mirror::new(Resource::PODS),
            targets: BTreeSet::new(),
        }
    }

    /// The pods that a budget is about.
    fn pods_of(&self, budget: &Budget) -> Vec<&GuardedPod> {
        let Some(selector) = &budget.spec.selector else { return Vec::new() };
        let pods = self.pods.in_namespace(&budget.metadata.namespace);
        pods.filter(|pod| selector.matches(&pod.metadata.labels)).collect()
    }
}

impl Controller for DisruptionBudgets {
    const NAME: &'static str = "disruption-budgets";
    const WATCHES: &'static [Resource] = &[Resource::POD_DISRUPTION_BUDGETS, Resource::PODS];

    fn observe(&mut self, resource: Resource, event: WatchEvent) -> bool {
        if resource == Resource::POD_DISRUPTION_BUDGETS {
            return self.budgets.observe(event);
        }
        let targets = &mut self.targets;
        let any = self.pods.observe_each(event, |old, new| {
            let key = |pod: &GuardedPod| (pod.metadata.namespace.clone(), pod.metadata.name.clone());
            if let Some(old) = old {
                targets.remove(&key(old));
            }
            targets.extend(new.filter(|pod| pod.target_since.is_some()).map(key));
        });
        any && (!self.targets.is_empty() || self.budgets.iter().next().is_some())
    }

    fn is_ready(&self) -> bool {
        self.budgets.is_listed() && self.pods.is_listed()
    }

    fn plan(&self, now: Timestamp) -> Plan {
        let mut plan = Plan::default();
        for budget in self.budgets.iter().filter(|budget| !budget.metadata().is_deleting()) {
            let pods = self.pods_of(budget);
            let evicted = Evicted::of(budget, &pods, now);
            if let Some(then) = evicted.again {
                plan.again_at(then);
            }
            plan.requests.extend(change(budget, &pods, &evicted, now));
        }
        for (namespace, name) in &self.targets {
            let Some(pod) = self.pods.get(namespace, name) else { continue };
            match pod.target_since {
                Some(since) if !pod.metadata.is_deleting() => {
                    let end = since.checked_add(PATIENCE).unwrap_or(Timestamp::MAX);
                    if end <= now {
                        plan.requests.push(spared(pod, now));
                    } else {
                        plan.again_at(end);
                    }
                }
                _ => {}
            }
        }
        plan
    }

    fn told(&self, request: &Request, _answer: &Document) -> Vec<News> {
        let Target { resource, namespace, name, .. } = &request.target;
        if *resource != Resource::POD_DISRUPTION_BUDGETS {
            return Vec::new();
        }
        let budget = namespace.as_deref().and_then(|namespace| self.budgets.get(namespace, name));
        budget.map_or_else(Vec::new, |budget| news_of(budget, &self.pods_of(budget)))
    }

    fn accepted(&mut self, request: &Request, answer: &Document) {
        if request.target.resource == Resource::POD_DISRUPTION_BUDGETS {
            request.expect(&mut self.budgets, answer);
        } else {
            request.expect(&mut self.pods, answer);
        }
    }
}

/// What a budget's status should say, unless it does.
fn change(budget: &Budget, pods: &[&GuardedPod], evicted: &Evicted, now: Timestamp) -> Option<Request> {
    let time = whole_seconds(now);
    let mut status = budget.status.clone();
    match Count::of(budget, pods, evicted) {
        Ok(count) => {
            status.insert("observedGeneration".to_owned(), budget.metadata.generation.into());
            status.insert("disruptionsAllowed".to_owned(), count.allowed().into());
            status.insert("currentHealthy".to_owned(), count.healthy.into());
            status.insert("desiredHealthy".to_owned(), count.desired.into());
            status.insert("expectedPods".to_owned(), count.expected.into());
            status.remove("disruptedPods");
            if !evicted.waited_for.is_empty() {
                status.insert("disruptedPods".to_owned(), Value::Object(evicted.waited_for.clone()));
            }
            if status == budget.status && is_condition_current(&status) {
                return None;
            }
            let allowed = i64::try_from(count.allowed()).unwrap_or(i64::MAX);
            set_condition(&mut status, Reason::of(allowed), &time);
        }
        Err(why) => {
            // The budget is kept rather than broken.
            status.insert("disruptionsAllowed".to_owned(), 0.into());
            set_condition(&mut status, Reason::SyncFailed(&why), &time);
            if status == budget.status {
                return None;
            }
        }
    }
    // What is not in a merge patch stays.
    match status.get_mut("disruptedPods").and_then(Value::as_object_mut) {
        Some(waited_for) => {
            let gone: Vec<String> = budget.evicted().map(|(name, _)| name.clone()).collect();
            for name in gone {
                waited_for.entry(name).or_insert(Value::Null);
            }
        }
        None => drop(status.insert("disruptedPods".to_owned(), Value::Null)),
    }
    let body = json!({"metadata": {"resourceVersion": budget.metadata.resource_version}, "status": status});
    let target = Target::of(Resource::POD_DISRUPTION_BUDGETS, &budget.metadata);
    Some(Request::merge_patch(target.subresource("status"), body))
}

/// Tells a pod that it is no target any more.
fn spared(pod: &GuardedPod, now: Timestamp) -> Request {
    let condition = json!({
        "type": kinds::TARGET, "status": "False", "reason": null, "message": null,
        "lastTransitionTime": whole_seconds(now),
    });
    let body = json!({
        "metadata": {"resourceVersion": pod.metadata.resource_version},
        "status": {"conditions": [condition]},
    });
    Request::strategic_merge_patch(Target::of(Resource::PODS, &pod.metadata).subresource("status"), body)
}

/// What people should hear of a budget whose status was written.
fn news_of(budget: &Budget, pods: &[&GuardedPod]) -> Vec<News> {
    let mut news = Vec::new();
    let mut tell = |is_warning, reason, message: String| {
        news.push(News {
            component: "controllermanager",
            action: None,
            about: json!({
                "apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "namespace": budget.metadata.namespace,
                "name": budget.metadata.name, "uid": budget.metadata.uid,
                "resourceVersion": budget.metadata.resource_version,
            }),
            is_warning,
            reason,
            message,
        });
    };
    if pods.is_empty() {
        tell(false, "NoPods", "No matching pods found".to_owned());
    }
    match count::expected(&budget.spec, pods) {
        Err(why) => tell(
            true,
            "CalculateExpectedPodCountFailed",
            format!("Failed to calculate the number of expected pods: {why}"),
        ),
        Ok(_)
            if budget.spec.asks_for_scale() && pods.iter().any(|pod| pod.metadata.controller().is_none()) =>
        {
            let message = "Pods selected by this PodDisruptionBudget were found to be unmanaged. As a result, the status of \
                           the PDB cannot be calculated correctly, which may result in undefined behavior. To account for \
                           these pods please set \".spec.minAvailable\" field of the PDB to an integer value.";
            tell(true, "UnmanagedPods", message.to_owned());
        }
        Ok(_) => {}
    }
    news
}

#[cfg(test)]
mod tests;
