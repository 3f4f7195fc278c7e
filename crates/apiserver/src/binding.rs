//! `pods/binding`: the scheduler's decision.

use serde_json::{Value, json};
use tokenward_kube_rules::FieldError;

use crate::object::{Metadata, Object, at, child_mut, format_time, text_at};
use crate::registry::{Registry, Target, Written, uid_precondition};
use crate::status::{ApiError, Subject};

/// Binds a pod to the node that the body names. Answers with a Status.
pub(crate) async fn create(
    registry: &Registry,
    target: Target<'_>,
    binding: &Object,
    dry_run: bool,
) -> Result<Written, ApiError> {
    let node = text_at(binding, &["target", "name"]);
    let kind = text_at(binding, &["target", "kind"]);
    if binding.name() != target.name {
        return Err(ApiError::bad_request("name in URL does not match name in Binding object"));
    }
    let subject = Subject { group: "", kind: "Binding", name: target.name };
    if node.is_empty() {
        return Err(ApiError::invalid(subject, &[FieldError::required("target.name", "")]));
    }
    if !matches!(kind, "" | "Node") {
        let error = FieldError::not_supported("target.kind", kind, &["Node", "<empty>"]);
        return Err(ApiError::invalid(subject, &[error]));
    }
    let uid = binding.uid();
    registry
        .rewrite(target, dry_run, |pod, now| {
            if !uid.is_empty() && uid != pod.uid() {
                return Err(uid_precondition(target, uid, pod.uid()));
            }
            if pod.is_terminating() {
                let why = format!("pod {} is being deleted, cannot be assigned to a host", target.name);
                return Err(ApiError::conflict(target.subject(), &why));
            }
            let bound_to = text_at(pod, &["spec", "nodeName"]);
            if !bound_to.is_empty() {
                let why = format!("pod {} is already assigned to node \"{bound_to}\"", target.name);
                return Err(ApiError::conflict(
                    Subject { group: "", kind: "pods/binding", name: target.name },
                    &why,
                ));
            }
            let mut pod = pod.clone();
            child_mut(&mut pod, "spec").insert("nodeName".to_owned(), node.into());
            set_scheduled(&mut pod, &format_time(now));
            if registry.forgets_nominations() {
                child_mut(&mut pod, "status").remove("nominatedNodeName");
            }
            Ok(pod)
        })
        .await?;
    Ok(Written::carried_out())
}

fn set_scheduled(pod: &mut Object, now: &str) {
    let mut conditions =
        at(pod, &["status", "conditions"]).and_then(Value::as_array).cloned().unwrap_or_default();
    conditions.retain(|condition| condition.get("type").and_then(Value::as_str) != Some("PodScheduled"));
    conditions.push(
        json!({"type": "PodScheduled", "status": "True", "lastProbeTime": null, "lastTransitionTime": now}),
    );
    child_mut(pod, "status").insert("conditions".to_owned(), conditions.into());
}
