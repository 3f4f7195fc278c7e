//! What of budgets and pods this controller decides by.

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::conditions;
use crate::objects::{Metadata, PodStatus, has_metadata};
use crate::selector::LabelSelector;
use crate::share::Share;

/// The condition of a pod that is about to be evicted, pushed out or driven away.
pub(super) const TARGET: &str = "DisruptionTarget";
/// Its reason when the node itself ends the pod, which may take as long as it takes.
const BY_NODE: &str = "TerminationByKubelet";

#[derive(Clone, Debug, PartialEq, Deserialize)]
pub(super) struct Budget {
    pub(super) metadata: Metadata,
    #[serde(default)]
    pub(super) spec: Spec,
    /// Whole: it is what is written.
    #[serde(default)]
    pub(super) status: Map<String, Value>,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Spec {
    pub(super) min_available: Option<Share>,
    pub(super) max_unavailable: Option<Share>,
    /// None selects nothing, an empty one every pod.
    pub(super) selector: Option<LabelSelector>,
}

impl Spec {
    /// Whether it must be known how many pods there should be.
    pub(super) fn asks_for_scale(&self) -> bool {
        self.max_unavailable.is_some() || matches!(self.min_available, Some(Share::Percent(_)))
    }
}

impl Budget {
    /// When the evictions were granted that were not seen yet, by the pods' names.
    pub(super) fn evicted(&self) -> impl Iterator<Item = (&String, &Value)> {
        self.status.get("disruptedPods").and_then(Value::as_object).into_iter().flatten()
    }
}

/// A pod as it is read: its spec is skipped.
#[derive(Deserialize)]
struct Source {
    metadata: Metadata,
    #[serde(default)]
    status: PodStatus,
}

/// A pod, as far as budgets are about it.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(from = "Source")]
pub(super) struct GuardedPod {
    pub(super) metadata: Metadata,
    pub(super) is_ready: bool,
    /// Since when it is told to go.
    pub(super) target_since: Option<Timestamp>,
}

impl From<Source> for GuardedPod {
    fn from(mut pod: Source) -> Self {
        pod.metadata.annotations.clear();
        let is_finished = matches!(&*pod.status.phase, "Succeeded" | "Failed");
        let target = conditions::find(&pod.status.conditions, TARGET).filter(|target| {
            target.status == "True" && target.reason.as_deref() != Some(BY_NODE) && !is_finished
        });
        // Without a time it has been so for ever.
        let since = |time: Option<String>| time.and_then(|time| time.parse().ok()).unwrap_or(Timestamp::MIN);
        Self {
            is_ready: conditions::status(&pod.status.conditions, "Ready") == "True",
            target_since: target.map(|target| since(target.last_transition_time)),
            metadata: pod.metadata,
        }
    }
}

has_metadata!(Budget, GuardedPod);
