//! What people are told of a set's pods, with upstream's reasons and sentences.
//!
//! Of upstream's `FailedPlacement` nothing is told there either any more: whether a pod fits its node is the scheduler's to say.

use serde_json::json;

use super::DaemonSets;
use super::eligibility::{self, Fit};
use super::kinds::{self, DaemonPod, DaemonSet};
use crate::api::{ApiError, Request, Resource, Target, Verb};
use crate::news::News;

/// Attempts at one request are told of less and less: the first, the second, the fourth and so on.
fn is_told(attempts: u32) -> bool {
    attempts.is_power_of_two()
}

impl DaemonSets {
    /// Of a request that was carried out.
    pub(super) fn news_of(&self, request: &Request) -> Vec<News> {
        let Some((set, pod)) = self.subject(request) else { return Vec::new() };
        let name = &request.target.name;
        match (request.verb, pod) {
            (Verb::Create, _) => vec![news(set, false, "SuccessfulCreate", format!("Created pod: {name}"))],
            (_, Some(pod)) => {
                let deleted = news(set, false, "SuccessfulDelete", format!("Deleted pod: {name}"));
                self.reason_to_delete(set, pod).into_iter().chain([deleted]).collect()
            }
            (_, None) => Vec::new(),
        }
    }

    /// Of a request that could not be carried out, for the so many-th time.
    pub(super) fn news_of_failure(&self, request: &Request, error: &ApiError, attempts: u32) -> Option<News> {
        let (set, _) = self.subject(request).filter(|_| is_told(attempts))?;
        let why = match error {
            // What is there, or is not, is looked at again.
            ApiError::AlreadyExists | ApiError::Conflict | ApiError::NotFound => return None,
            // The set itself is about to go.
            ApiError::Refused { message, .. } if message.ends_with("because it is being terminated") => {
                return None;
            }
            ApiError::Refused { message, .. } => message.clone(),
            other => other.to_string(),
        };
        let (reason, doing) = match request.verb {
            Verb::Create => ("FailedCreate", "creating"),
            _ => ("FailedDelete", "deleting"),
        };
        Some(news(set, true, reason, format!("Error {doing}: {why}")))
    }

    /// The set that makes or deletes a pod, and the pod if it is there.
    fn subject(&self, request: &Request) -> Option<(&DaemonSet, Option<&DaemonPod>)> {
        let Target { resource, namespace, name, .. } = &request.target;
        if *resource != Resource::PODS {
            return None;
        }
        let (owner, pod) = match request.verb {
            Verb::Create => (request.body.pointer("/metadata/ownerReferences/0/uid")?.as_str()?, None),
            Verb::Delete => {
                let pod = self.pods.get(namespace.as_deref()?, name)?;
                (&*pod.metadata.controller()?.uid, Some(pod))
            }
            _ => return None,
        };
        Some((self.sets.iter().find(|set| set.metadata.uid == owner)?, pod))
    }

    /// Why a pod is deleted although the set wants one on the node.
    fn reason_to_delete(&self, set: &DaemonSet, pod: &DaemonPod) -> Option<News> {
        let node = self.nodes.get("", &pod.node)?;
        if !pod.is_finished() || eligibility::fit_of(set, node) == Fit::Leaves {
            return None;
        }
        let place = format!("{}/{} on node {}", pod.metadata.namespace, pod.metadata.name, pod.node);
        Some(if pod.is_failed() {
            let message = format!("Found failed daemon pod {place}, will try to kill it");
            news(set, true, "FailedDaemonPod", message)
        } else {
            let message = format!("Found succeeded daemon pod {place}, will try to delete it");
            news(set, false, "SucceededDaemonPod", message)
        })
    }
}

fn news(set: &DaemonSet, is_warning: bool, reason: &'static str, message: String) -> News {
    let set = &set.metadata;
    News {
        component: "daemonset-controller",
        action: None,
        about: json!({
            "apiVersion": "apps/v1", "kind": kinds::DAEMON_SET, "namespace": set.namespace, "name": set.name,
            "uid": set.uid, "resourceVersion": set.resource_version,
        }),
        is_warning,
        reason,
        message,
    }
}
