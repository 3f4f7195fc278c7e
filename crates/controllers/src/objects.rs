//! The fields of API objects that the controllers decide by. What is not here is never written back: all changes are
//! patches.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde_json::Value;

use crate::quantity::Quantity;
use crate::selector::{LabelSelector, Labels, Requirement};

/// A kind that the controllers read.
pub(crate) trait Object: DeserializeOwned {
    fn metadata(&self) -> &Metadata;
}

macro_rules! object {
    ($($kind:ident),+) => {
        $(impl Object for $kind {
            fn metadata(&self) -> &Metadata {
                &self.metadata
            }
        })+
    };
}

object!(Claim, Namespace, Node, Pod, ServiceAccount, Volume);

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Metadata {
    pub(crate) name: String,
    /// Empty for objects of the cluster.
    pub(crate) namespace: String,
    pub(crate) uid: String,
    pub(crate) resource_version: String,
    /// RFC 3339 in UTC and whole seconds: ordered as text.
    pub(crate) creation_timestamp: Option<String>,
    deletion_timestamp: Option<IgnoredAny>,
    pub(crate) labels: Labels,
    pub(crate) annotations: BTreeMap<String, String>,
}

impl Metadata {
    pub(crate) fn is_deleting(&self) -> bool {
        self.deletion_timestamp.is_some()
    }
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Namespace {
    pub(crate) metadata: Metadata,
    #[serde(default)]
    status: NamespaceStatus,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct NamespaceStatus {
    phase: String,
}

impl Namespace {
    pub(crate) fn is_terminating(&self) -> bool {
        self.metadata.is_deleting() || self.status.phase == "Terminating"
    }
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct ServiceAccount {
    metadata: Metadata,
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Node {
    pub(crate) metadata: Metadata,
    #[serde(default)]
    pub(crate) spec: NodeSpec,
    #[serde(default)]
    pub(crate) status: NodeStatus,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct NodeSpec {
    pub(crate) unschedulable: bool,
    pub(crate) taints: Vec<Taint>,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(crate) struct Taint {
    pub(crate) key: String,
    #[serde(default)]
    pub(crate) value: String,
    #[serde(default)]
    pub(crate) effect: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct NodeStatus {
    pub(crate) conditions: Vec<Condition>,
    pub(crate) allocatable: BTreeMap<String, Quantity>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Condition {
    #[serde(rename = "type")]
    pub(crate) kind: String,
    pub(crate) status: String,
    pub(crate) reason: Option<String>,
    pub(crate) message: Option<String>,
    pub(crate) last_transition_time: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Pod {
    pub(crate) metadata: Metadata,
    #[serde(default)]
    pub(crate) spec: PodSpec,
    #[serde(default)]
    pub(crate) status: PodStatus,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct PodSpec {
    pub(crate) node_name: String,
    pub(crate) scheduler_name: String,
    pub(crate) scheduling_gates: Vec<IgnoredAny>,
    pub(crate) priority: Option<i32>,
    pub(crate) node_selector: Labels,
    pub(crate) affinity: Option<Affinity>,
    pub(crate) tolerations: Vec<Toleration>,
    pub(crate) volumes: Vec<PodVolume>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Affinity {
    pub(crate) node_affinity: Option<NodeAffinity>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct NodeAffinity {
    pub(crate) required_during_scheduling_ignored_during_execution: Option<NodeSelector>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct NodeSelector {
    pub(crate) node_selector_terms: Vec<NodeSelectorTerm>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct NodeSelectorTerm {
    pub(crate) match_expressions: Vec<Requirement>,
    pub(crate) match_fields: Vec<Requirement>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Toleration {
    pub(crate) key: String,
    pub(crate) operator: String,
    pub(crate) value: String,
    pub(crate) effect: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct PodVolume {
    pub(crate) name: String,
    pub(crate) persistent_volume_claim: Option<PodClaim>,
    /// A claim made from a template in the pod, named after both.
    pub(crate) ephemeral: Option<IgnoredAny>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct PodClaim {
    pub(crate) claim_name: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct PodStatus {
    pub(crate) phase: String,
    /// Whole, since a merge patch can only replace the list.
    pub(crate) conditions: Vec<Value>,
}

impl Pod {
    /// Whether the pod has run its course and takes up no room any more.
    pub(crate) fn is_finished(&self) -> bool {
        matches!(&*self.status.phase, "Succeeded" | "Failed")
    }
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Volume {
    pub(crate) metadata: Metadata,
    #[serde(default)]
    pub(crate) spec: VolumeSpec,
    #[serde(default)]
    pub(crate) status: Phase,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct VolumeSpec {
    pub(crate) access_modes: Vec<String>,
    /// As written, since it is copied to the claim.
    pub(crate) capacity: BTreeMap<String, Value>,
    pub(crate) claim_ref: Option<ClaimReference>,
    pub(crate) storage_class_name: String,
    pub(crate) volume_mode: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(crate) struct ClaimReference {
    pub(crate) namespace: String,
    pub(crate) name: String,
    pub(crate) uid: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Phase {
    pub(crate) phase: String,
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Claim {
    pub(crate) metadata: Metadata,
    #[serde(default)]
    pub(crate) spec: ClaimSpec,
    #[serde(default)]
    pub(crate) status: ClaimStatus,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct ClaimSpec {
    pub(crate) access_modes: Vec<String>,
    pub(crate) resources: ClaimResources,
    pub(crate) selector: Option<LabelSelector>,
    pub(crate) storage_class_name: Option<String>,
    pub(crate) volume_mode: Option<String>,
    pub(crate) volume_name: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct ClaimResources {
    pub(crate) requests: BTreeMap<String, Quantity>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct ClaimStatus {
    pub(crate) phase: String,
    pub(crate) access_modes: Vec<String>,
    pub(crate) capacity: BTreeMap<String, Value>,
}

/// Says that the binding of a claim is complete.
pub(crate) const BIND_COMPLETED: &str = "pv.kubernetes.io/bind-completed";
/// Says that the binder, and not a person, chose the other side.
pub(crate) const BOUND_BY_CONTROLLER: &str = "pv.kubernetes.io/bound-by-controller";

impl Claim {
    pub(crate) fn is_bound(&self) -> bool {
        !self.spec.volume_name.is_empty() && self.metadata.annotations.contains_key(BIND_COMPLETED)
    }
}
