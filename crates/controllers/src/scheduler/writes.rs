//! What the scheduler writes of its decisions, and what people are told of them.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::pod::{self, Newcomer};
use super::usage::Resident;
use crate::api::{Request, Resource, Target};
use crate::conditions::{self, Condition};
use crate::news::News;
use crate::objects::Metadata;

pub(super) const BINDING: &str = "binding";
const UNSCHEDULABLE: &str = "Unschedulable";

pub(super) fn bind(metadata: &Metadata, node: &str) -> Request {
    let body = json!({
        "apiVersion": "v1",
        "kind": "Binding",
        "metadata": {"namespace": metadata.namespace, "name": metadata.name, "uid": metadata.uid},
        "target": {"apiVersion": "v1", "kind": "Node", "name": node},
    });
    Request::create(Target::of(Resource::PODS, metadata).subresource(BINDING), body)
}

/// The condition that tells why a pod waits, and the node where room is made for it; nothing if it tells so already.
pub(super) fn report(pod: Newcomer<'_>, message: &str, nominated: &str, now: Timestamp) -> Option<Request> {
    let wanted = Condition::new("PodScheduled", "False", UNSCHEDULABLE, message);
    let conditions = conditions::set(&pod.waiting.conditions, &wanted, now);
    let is_nominated = pod.waiting.nominated == nominated;
    if conditions.is_none() && is_nominated {
        return None;
    }
    let metadata = pod.metadata;
    let mut status = json!({});
    if let Some(conditions) = conditions {
        status["conditions"] = conditions.into();
    }
    if !is_nominated {
        status["nominatedNodeName"] = if nominated.is_empty() { Value::Null } else { nominated.into() };
    }
    let body = json!({
        "metadata": {"uid": metadata.uid, "resourceVersion": metadata.resource_version}, "status": status,
    });
    Some(Request::merge_patch(Target::of(Resource::PODS, metadata).subresource("status"), body))
}

/// Ends a pod for the sake of a more important one: first why, then the deletion, which gives it the time that it has asked
/// for.
pub(super) fn preempt(victim: Resident<'_>, now: Timestamp) -> [Request; 2] {
    let target = Target::of(Resource::PODS, victim.metadata);
    let condition = json!({
        "type": "DisruptionTarget", "status": "True", "reason": "PreemptionByScheduler",
        "message": format!("{}: preempting to accommodate a higher priority pod", pod::NAME),
        "lastTransitionTime": conditions::whole_seconds(now),
    });
    let body = json!({"metadata": {"uid": victim.metadata.uid}, "status": {"conditions": [condition]}});
    [
        Request::strategic_merge_patch(target.clone().subresource("status"), body),
        Request::delete(target, &victim.metadata.uid),
    ]
}

/// What is told of a pod that has found its place, or none.
pub(super) fn news(request: &Request) -> Option<News> {
    let Target { namespace, name, subresource, .. } = &request.target;
    let namespace = namespace.as_deref().unwrap_or_default();
    let text = |pointer: &str| request.body.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let about = |action, is_warning, reason, message| {
        Some(news_of(namespace, name, text("/metadata/uid"), action, is_warning, reason, message))
    };
    if *subresource == Some(BINDING) {
        let message = format!("Successfully assigned {namespace}/{name} to {}", text("/target/name"));
        return about("Binding", false, "Scheduled", message);
    }
    let conditions = request.body.pointer("/status/conditions")?.as_array()?;
    let waits = conditions.iter().find(|condition| condition["reason"] == UNSCHEDULABLE)?;
    let message = waits["message"].as_str().unwrap_or_default().to_owned();
    about("Scheduling", true, "FailedScheduling", message)
}

/// What is told of a pod that has to go for the one with this uid.
pub(super) fn news_of_victim(victim: &Metadata, preemptor: &str, node: &str) -> News {
    let message = format!("Preempted by pod {preemptor} on node {node}");
    let Metadata { namespace, name, uid, .. } = victim;
    news_of(namespace, name, uid, "Preempting", false, "Preempted", message)
}

fn news_of(
    namespace: &str,
    name: &str,
    uid: &str,
    action: &'static str,
    is_warning: bool,
    reason: &'static str,
    message: String,
) -> News {
    News {
        component: pod::NAME,
        action: Some(action),
        about: json!({"apiVersion": "v1", "kind": "Pod", "namespace": namespace, "name": name, "uid": uid}),
        is_warning,
        reason,
        message,
    }
}
