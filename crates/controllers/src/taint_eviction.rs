//! Drives pods away from nodes with `NoExecute` taints that they do not tolerate, or no longer (upstream's
//! `pkg/controller/tainteviction`), and says of the pods of nodes that have gone quiet that they are not ready.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::api::{Document, Request, Resource, Target, WatchEvent};
use crate::conditions::{self, Condition};
use crate::mirror::Mirror;
use crate::objects::{Metadata, Node, Object, Taint, Toleration};
use crate::runner::{Controller, Plan};

const DRIVES_AWAY: &str = "NoExecute";

pub(crate) struct TaintEviction {
    nodes: Mirror<Node>,
    pods: Mirror<Evictable>,
    /// When each taint that drives away was seen first, by node: a person's taint does not say when it was added.
    noticed: BTreeMap<String, BTreeMap<Taint, Timestamp>>,
}

/// A pod: what it bears, and its conditions as text, which are looked into only when its node is in trouble.
#[derive(Clone, Debug, PartialEq, Deserialize)]
struct Evictable {
    metadata: Metadata,
    #[serde(default)]
    spec: Spec,
    #[serde(default)]
    status: Status,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Spec {
    node_name: String,
    tolerations: Vec<Toleration>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Status {
    conditions: Option<Box<RawValue>>,
}

impl PartialEq for Status {
    fn eq(&self, other: &Self) -> bool {
        self.conditions.as_ref().map(|text| text.get()) == other.conditions.as_ref().map(|text| text.get())
    }
}

impl Object for Evictable {
    fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    fn metadata_mut(&mut self) -> &mut Metadata {
        &mut self.metadata
    }
}

impl Evictable {
    fn conditions(&self) -> Vec<Value> {
        let text = self.status.conditions.as_ref().map(|text| text.get());
        text.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default()
    }
}

impl TaintEviction {
    pub(crate) fn new() -> Self {
        Self {
            nodes: Mirror::new(Resource::NODES),
            pods: Mirror::new(Resource::PODS),
            noticed: BTreeMap::new(),
        }
    }

    fn notice(&mut self, name: &str, now: Timestamp) {
        let taints = self.nodes.get("", name).into_iter().flat_map(|node| &node.spec.taints);
        let mut known = self.noticed.remove(name).unwrap_or_default();
        let since: BTreeMap<Taint, Timestamp> = taints
            .filter(|taint| taint.effect == DRIVES_AWAY)
            .map(|taint| (taint.clone(), known.remove(taint).unwrap_or(now)))
            .collect();
        if !since.is_empty() {
            self.noticed.insert(name.to_owned(), since);
        }
    }
}

impl Controller for TaintEviction {
    const NAME: &'static str = "taint-eviction";
    const WATCHES: &'static [Resource] = &[Resource::NODES, Resource::PODS];

    fn observe_at(&mut self, resource: Resource, event: WatchEvent, now: Timestamp) -> bool {
        if resource == Resource::PODS {
            return self.pods.observe(event);
        }
        let mut names = Vec::new();
        let any = self.nodes.observe_each(event, |old, new| {
            names.extend(new.or(old).map(|node| node.metadata.name.clone()));
        });
        for name in names {
            self.notice(&name, now);
        }
        any
    }

    fn is_ready(&self) -> bool {
        self.nodes.is_listed() && self.pods.is_listed()
    }

    fn plan(&self, now: Timestamp) -> Plan {
        let mut plan = Plan::default();
        let is_quiet = |node: &Node| node.readiness() == "Unknown";
        if self.noticed.is_empty() && !self.nodes.iter().any(is_quiet) {
            return plan;
        }
        for pod in self.pods.iter() {
            let Some(node) = self.nodes.get("", &pod.spec.node_name) else { continue };
            if pod.metadata.is_deleting() {
                continue;
            }
            let borne_until =
                self.noticed.get(&pod.spec.node_name).map_or(Bearing::ForEver, |t| bearing(pod, t));
            match borne_until {
                Bearing::Until(end) if end <= now => {
                    plan.requests.push(driven_away(pod, now));
                    continue;
                }
                Bearing::Until(end) => plan.again_at(end),
                Bearing::ForEver => {}
            }
            if is_quiet(node) && conditions::status(&pod.conditions(), "Ready") == "True" {
                plan.requests.push(condition(pod, &Condition::new("Ready", "False", "", ""), now));
            }
        }
        plan
    }

    fn accepted(&mut self, request: &Request, answer: &Document) {
        request.expect(&mut self.pods, answer);
    }
}

/// How long a pod bears the taints of its node.
enum Bearing {
    ForEver,
    Until(Timestamp),
}

fn bearing(pod: &Evictable, taints: &BTreeMap<Taint, Timestamp>) -> Bearing {
    let mut bearing = Bearing::ForEver;
    for (taint, noticed) in taints {
        let tolerating: Vec<_> =
            pod.spec.tolerations.iter().filter(|toleration| toleration.covers(taint)).collect();
        let added = taint.time_added.as_deref().and_then(|time| time.parse().ok()).unwrap_or(*noticed);
        let end = if tolerating.is_empty() {
            Timestamp::MIN
        } else {
            // Of several the shortest counts; a toleration without a time is for ever.
            match tolerating.iter().filter_map(|toleration| toleration.toleration_seconds).min() {
                Some(seconds) => {
                    let bound = SignedDuration::from_secs(seconds.max(0));
                    added.checked_add(bound).unwrap_or(Timestamp::MAX)
                }
                None => continue,
            }
        };
        bearing = match bearing {
            Bearing::Until(earlier) if earlier <= end => bearing,
            _ => Bearing::Until(end),
        };
    }
    bearing
}

/// First why, then the deletion.
fn driven_away(pod: &Evictable, now: Timestamp) -> Request {
    const TARGET: &str = "DisruptionTarget";
    if conditions::status(&pod.conditions(), TARGET) == "True" {
        return Request::delete(target(pod), &pod.metadata.uid);
    }
    let why = "Taint manager: deleting due to NoExecute taint";
    condition(pod, &Condition::new(TARGET, "True", "DeletionByTaintManager", why), now)
}

fn condition(pod: &Evictable, wanted: &Condition, now: Timestamp) -> Request {
    let known = pod.conditions();
    let conditions = conditions::set(&known, wanted, now);
    let body = json!({
        "metadata": {"resourceVersion": pod.metadata.resource_version},
        "status": {"conditions": conditions.unwrap_or(known)},
    });
    Request::merge_patch(target(pod).subresource("status"), body)
}

fn target(pod: &Evictable) -> Target {
    Target::namespaced(Resource::PODS, &pod.metadata.namespace, &pod.metadata.name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::Verb;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + seconds).unwrap()
    }

    fn node(ready: &str, taints: &Value) -> Value {
        json!({
            "metadata": {"name": "n"},
            "spec": {"taints": taints},
            "status": {"conditions": [{"type": "Ready", "status": ready}]},
        })
    }

    fn pod(tolerations: &Value) -> Value {
        json!({
            "metadata": {"name": "p", "namespace": "ns", "uid": "u", "resourceVersion": "3"},
            "spec": {"nodeName": "n", "tolerations": tolerations},
            "status": {"conditions": [{"type": "DisruptionTarget", "status": "True"}, {"type": "Ready", "status": "True"}]},
        })
    }

    fn eviction(node: Value, pod: Value) -> TaintEviction {
        let mut eviction = TaintEviction::new();
        eviction.observe_at(Resource::NODES, WatchEvent::listed(vec![node]), at(0));
        eviction.observe_at(Resource::PODS, WatchEvent::listed(vec![pod]), at(0));
        assert!(eviction.is_ready());
        eviction
    }

    #[test]
    fn a_pod_goes_when_its_patience_ends() {
        let drives = |key: &str| json!({"key": key, "effect": "NoExecute"});
        let dated = json!({"key": "k", "effect": "NoExecute", "timeAdded": at(-100).to_string()});
        let bears =
            |key: &str, seconds: i64| json!({"key": key, "operator": "Exists", "tolerationSeconds": seconds});
        let for_ever = json!({"operator": "Exists"});
        for (taints, tolerations, goes) in [
            (json!([]), json!([]), None),
            (json!([{"key": "k", "effect": "NoSchedule"}]), json!([]), None),
            (json!([drives("k")]), json!([]), Some(0)),
            (json!([drives("k")]), json!([for_ever]), None),
            (json!([drives("k")]), json!([bears("k", 300)]), Some(300)),
            (json!([drives("k")]), json!([bears("k", 300), bears("k", 7), for_ever]), Some(7)),
            (json!([drives("k")]), json!([bears("other", 300)]), Some(0)),
            (json!([drives("k"), drives("l")]), json!([bears("k", 300), bears("l", 9)]), Some(9)),
            (json!([drives("k"), drives("l")]), json!([bears("k", 300)]), Some(0)),
            (json!([drives("k")]), json!([bears("k", -1)]), Some(0)),
            (json!([dated]), json!([bears("k", 300)]), Some(200)),
            (json!([dated]), json!([bears("k", i64::MAX)]), Some(i64::MAX)),
        ] {
            let eviction = eviction(node("True", &taints), pod(&tolerations));
            let Some(goes) = goes.filter(|goes| *goes < i64::MAX) else {
                assert_eq!(eviction.plan(at(9999)).requests, [], "{taints} {tolerations}");
                continue;
            };
            if goes > 0 {
                let plan = eviction.plan(at(goes - 1));
                assert_eq!((plan.requests, plan.again), (vec![], Some(at(goes))), "{taints} {tolerations}");
            }
            let plan = eviction.plan(at(goes));
            let deletion = Request::delete(Target::namespaced(Resource::PODS, "ns", "p"), "u");
            assert_eq!(plan.requests, [deletion], "{taints} {tolerations}");
        }
    }

    #[test]
    fn the_reason_is_told_before_the_pod_is_deleted_and_only_once() {
        let mut value = pod(&json!([]));
        value["status"]["conditions"] = json!([]);
        let mut eviction =
            eviction(node("True", &json!([{"key": "k", "effect": "NoExecute"}])), value.clone());
        let plan = eviction.plan(at(0));
        assert_eq!(plan.requests[0].target.to_string(), "pods/ns/p/status");
        let conditions = &plan.requests[0].body["status"]["conditions"];
        assert_eq!(conditions[0]["reason"], "DeletionByTaintManager");
        value["status"]["conditions"] = conditions.clone();
        value["metadata"]["resourceVersion"] = json!("4");
        eviction.accepted(&plan.requests[0], &value.into());
        let plan = eviction.plan(at(0));
        assert_eq!(plan.requests[0].verb, Verb::Delete);
        eviction.accepted(&plan.requests[0], &json!({"kind": "Status", "status": "Success"}).into());
        assert_eq!(eviction.plan(at(0)), Plan::default());
    }

    #[test]
    fn pods_of_a_quiet_node_are_not_ready() {
        for (ready, told) in [("True", 0), ("False", 0), ("Unknown", 1)] {
            let eviction = eviction(node(ready, &json!([])), pod(&json!([])));
            let plan = eviction.plan(at(0));
            assert_eq!(plan.requests.len(), told, "{ready}");
            for request in plan.requests {
                let status = &request.body["status"]["conditions"][1];
                assert_eq!((&status["type"], &status["status"]), (&json!("Ready"), &json!("False")));
            }
        }
    }
}
