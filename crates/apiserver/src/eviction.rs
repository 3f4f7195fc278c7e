//! `pods/eviction`: a pod is deleted, unless that would break a PodDisruptionBudget. What `kubectl drain` does to pods.
//!
//! Decisions are functions of the pod and its budgets; order and texts follow upstream's eviction storage. What is granted
//! is written into the budget first, so that of two who ask at the same time only one can spend what is left.

mod budget;

use http::StatusCode;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};
use tokenward_kube_schema::find_resource;

use self::budget::{Budget, Claim};
use crate::authentication::User;
use crate::object::{Metadata, Object, at, child_mut, format_time, text_at};
use crate::query::WriteOptions;
use crate::registry::{DeleteOptions, Part, Preconditions, Registry, Target, Written};
use crate::status::{ApiError, Subject, go_quote};

/// So often a write that somebody else was faster with is tried again.
const ATTEMPTS: usize = 20;

/// Evicts the pod that `target` names, as the body wants it. Webhooks have been asked. Answers with a Status.
pub(crate) async fn create(
    registry: &Registry,
    target: Target<'_>,
    eviction: &Object,
    options: &WriteOptions,
) -> Result<Written, ApiError> {
    if eviction.name() != target.name {
        return Err(ApiError::bad_request("name in URL does not match name in Eviction object"));
    }
    let options = delete_options(eviction, options)?;
    let evicting = Evicting { registry, target, options: &options };
    evicting.evict().await?;
    Ok(Written::carried_out())
}

/// A node may evict what runs on it.
pub(crate) fn admit_node(node: &str, target: Target<'_>, registry: &Registry) -> Result<(), ApiError> {
    let entry = registry.view().entry("pods", target.namespace, target.name);
    // From the lister, hence the singular.
    let missing = Subject { group: "", kind: "pod", name: target.name };
    let entry = entry.ok_or_else(|| ApiError::not_found(missing))?;
    if entry.index.pod().is_some_and(|pod| pod.node == node) {
        return Ok(());
    }
    let why = format!("node {node} can only evict pods with spec.nodeName set to itself");
    Err(ApiError::forbidden(target.subject(), &why))
}

/// How the pod is to be deleted. A dry run may be asked for in the request and in the body.
fn delete_options(eviction: &Object, request: &WriteOptions) -> Result<DeleteOptions, ApiError> {
    let mut options = match eviction.get("deleteOptions") {
        None | Some(Value::Null) => DeleteOptions::default(),
        Some(options) => DeleteOptions::deserialize(options).map_err(|_| {
            ApiError::bad_request("deleteOptions must be DeleteOptions; found something else")
        })?,
    };
    let asked = if request.dry_run { vec!["All".to_owned()] } else { Vec::new() };
    if options.dry_run.is_empty() {
        options.dry_run = asked;
    } else if !asked.is_empty() && options.dry_run != asked {
        return Err(ApiError::unclassified(format!(
            "Non-matching dry-run options in request and content: [{}] and [{}]",
            asked.join(" "),
            options.dry_run.join(" ")
        )));
    }
    Ok(options)
}

/// A pod that is to go.
struct Evicting<'a> {
    registry: &'a Registry,
    target: Target<'a>,
    options: &'a DeleteOptions,
}

impl Evicting<'_> {
    async fn evict(&self) -> Result<(), ApiError> {
        let mut attempts_left = ATTEMPTS;
        loop {
            attempts_left -= 1;
            let pod = self.registry.tree_of(self.target)?;
            if !is_gone_anyway(&pod) {
                return self.evict_running(&pod).await;
            }
            // One that may start meanwhile must not be deleted without a look at its budget.
            let at_version = text_at(&pod, &["status", "phase"]) == "Pending" && !pod.is_terminating();
            match self.delete(at_version.then_some(&pod)).await {
                Err(error) if is_conflict(&error) && !self.names_version() && attempts_left > 0 => {}
                done => return done,
            }
        }
    }

    async fn evict_running(&self, pod: &Object) -> Result<(), ApiError> {
        let budgets = budget::of_pod(pod, self.registry.view());
        let budget = match &budgets[..] {
            [] => return self.delete(None).await,
            [budget] => budget,
            _ => {
                return Err(ApiError::unclassified(
                    "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.",
                ));
            }
        };
        match budget.claim(is_ready(pod)) {
            Claim::Free => self.delete(Some(pod)).await.map_err(|error| {
                // It may be ready by now; the client shall ask again.
                if is_conflict(&error) && !self.names_version() { budget.busy() } else { error }
            }),
            Claim::Counts => {
                self.spend(&budget.name).await?;
                self.delete(None).await
            }
        }
    }

    /// Takes one eviction from what the budget allows.
    async fn spend(&self, name: &str) -> Result<(), ApiError> {
        let kind =
            find_resource("policy", "v1", "poddisruptionbudgets").ok_or_else(ApiError::unknown_resource)?;
        let target = Target { kind, namespace: self.target.namespace, name };
        let user = User::authenticated("system:apiserver", ["system:masters".to_owned()]);
        for _ in 0..ATTEMPTS {
            let object = self.registry.tree_of(target)?;
            let now = self.registry.clock().now();
            let spent = Budget::of(&object).spend(&object, self.target.name, now)?;
            if self.is_dry_run() {
                return Ok(());
            }
            let options = WriteOptions::of_the_server();
            let mut unheard = Vec::new();
            let writing = self.registry.update(target, Part::Status, &user, spent, &options, &mut unheard);
            match Box::pin(writing).await {
                Err(error) if is_conflict(&error) => {}
                done => return done.map(drop),
            }
        }
        let why = format!("couldn't update PodDisruptionBudget {} due to conflicts", go_quote(name));
        Err(ApiError::timeout(&why).retry_after(10))
    }

    /// Says of the pod why it goes, and deletes it: only as it was seen, if it was looked at.
    async fn delete(&self, seen: Option<&Object>) -> Result<(), ApiError> {
        let mut options = self.options.clone();
        if let Some(pod) = seen.filter(|_| !self.names_version()) {
            let preconditions = options.preconditions.get_or_insert_with(Preconditions::default);
            preconditions.resource_version = Some(pod.metadata_text("resourceVersion").to_owned());
        }
        if !self.is_dry_run() {
            let marked = self.registry.rewrite(self.target, false, |pod, now| {
                let version = pod.metadata_text("resourceVersion");
                options.check(self.target, pod.uid(), version)?;
                Ok(with_condition(pod, now))
            });
            let version = Box::pin(marked).await?;
            if let Some(preconditions) =
                options.preconditions.as_mut().filter(|wanted| wanted.resource_version.is_some())
            {
                preconditions.resource_version = Some(version.to_string());
            }
        }
        Box::pin(self.registry.delete_unasked(self.target, &options)).await.map(drop)
    }

    fn is_dry_run(&self) -> bool {
        !self.options.dry_run.is_empty()
    }

    /// Whether the client has said which state of the pod it means.
    fn names_version(&self) -> bool {
        self.options.preconditions.as_ref().is_some_and(|wanted| wanted.resource_version.is_some())
    }
}

fn is_conflict(error: &ApiError) -> bool {
    error.code() == StatusCode::CONFLICT
}

/// Whether a pod may be deleted without a look at its budget: it does not run, or is going already.
fn is_gone_anyway(pod: &Object) -> bool {
    pod.is_terminating() || matches!(text_at(pod, &["status", "phase"]), "Succeeded" | "Failed" | "Pending")
}

fn conditions(pod: &Object) -> &[Value] {
    at(pod, &["status", "conditions"]).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn is_ready(pod: &Object) -> bool {
    conditions(pod).iter().any(|condition| condition["type"] == "Ready" && condition["status"] == "True")
}

/// The pod, told to be the target of an eviction.
fn with_condition(pod: &Object, now: Timestamp) -> Object {
    const TARGET: &str = "DisruptionTarget";
    let mut conditions = conditions(pod).to_vec();
    let known = conditions.iter().position(|condition| condition["type"] == TARGET);
    let since = known
        .map(|place| &conditions[place])
        .filter(|condition| condition["status"] == "True")
        .and_then(|condition| condition["lastTransitionTime"].as_str())
        .map_or_else(|| format_time(now), str::to_owned);
    let mut condition = json!({
        "type": TARGET, "status": "True", "reason": "EvictionByEvictionAPI", "message": "Eviction API: evicting",
        "lastProbeTime": null, "lastTransitionTime": since,
    });
    let generation = pod.metadata_number("generation");
    if generation > 0 {
        condition["observedGeneration"] = generation.into();
    }
    match known {
        Some(place) => conditions[place] = condition,
        None => conditions.push(condition),
    }
    let mut pod = pod.clone();
    child_mut(&mut pod, "status").insert("conditions".to_owned(), conditions.into());
    pod
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(value: &Value) -> Object {
        value.as_object().cloned().expect("an object")
    }

    #[test]
    fn a_dry_run_may_be_asked_for_in_both_places() {
        let table = [
            (json!({}), false, Ok(vec![])),
            (json!({}), true, Ok(vec!["All"])),
            (json!({"deleteOptions": {"dryRun": ["All"], "gracePeriodSeconds": 0}}), false, Ok(vec!["All"])),
            (json!({"deleteOptions": {"dryRun": ["All"]}}), true, Ok(vec!["All"])),
            (
                json!({"deleteOptions": {"dryRun": ["All", "All"]}}),
                true,
                Err("Non-matching dry-run options in request and content: [All] and [All All]"),
            ),
        ];
        for (eviction, dry_run, wanted) in table {
            let request = WriteOptions { dry_run, ..WriteOptions::of_the_server() };
            let found = delete_options(&object(&eviction), &request);
            let found = found.map(|options| options.dry_run).map_err(|error| error.to_string());
            let wanted = wanted
                .map(|asked| asked.into_iter().map(str::to_owned).collect::<Vec<_>>())
                .map_err(str::to_owned);
            assert_eq!(found, wanted, "{eviction}");
        }
    }

    #[test]
    fn pods_that_do_not_run_are_free_to_go() {
        let table = [
            (json!({"status": {"phase": "Running"}}), false),
            (json!({"status": {"phase": "Unknown"}}), false),
            (json!({"status": {"phase": "Pending"}}), true),
            (json!({"status": {"phase": "Succeeded"}}), true),
            (json!({"status": {"phase": "Failed"}}), true),
            (
                json!({"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}, "status": {"phase": "Running"}}),
                true,
            ),
        ];
        for (pod, wanted) in table {
            assert_eq!(is_gone_anyway(&object(&pod)), wanted, "{pod}");
        }
    }

    #[test]
    fn the_pod_is_told_why_and_since_when() {
        let now: Timestamp = "2026-01-01T12:00:00Z".parse().expect("a time");
        let ready = json!({"type": "Ready", "status": "True"});
        let old = json!({"type": "DisruptionTarget", "status": "False", "lastTransitionTime": "2026-01-01T00:00:00Z"});
        let pod = object(&json!({"metadata": {"generation": 3}, "status": {"conditions": [old, ready]}}));
        assert!(is_ready(&pod) && !is_ready(&Object::new()));
        let first = with_condition(&pod, now);
        let told = json!({
            "type": "DisruptionTarget", "status": "True", "reason": "EvictionByEvictionAPI",
            "message": "Eviction API: evicting", "lastProbeTime": null, "lastTransitionTime": "2026-01-01T12:00:00Z",
            "observedGeneration": 3,
        });
        assert_eq!(first["status"]["conditions"], json!([told, ready]));
        assert_eq!(with_condition(&first, Timestamp::MAX), first);
    }
}
