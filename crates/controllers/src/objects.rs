//! The fields of API objects that the controllers decide by. What is not here is never written back: all changes are
//! patches.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::de::{DeserializeOwned, IgnoredAny};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::conditions;
use crate::quantity::Quantity;
use crate::selector::{LabelSelector, Labels};

mod placement;

pub(crate) use placement::{
    Affinity, ContainerPort, NodeSelector, NodeSelectorTerm, PodAffinity, PodAffinityTerm, PreferredTerm,
    SpreadConstraint,
};

/// A kind that the controllers read.
pub(crate) trait Object: DeserializeOwned + Clone + PartialEq {
    fn metadata(&self) -> &Metadata;

    fn metadata_mut(&mut self) -> &mut Metadata;

    /// Keeps what is final of another state of the same object: what was learnt from the answer to a write is not undone by a
    /// watch that has yet to come to that write.
    fn keep_final(&mut self, known: &Self) {
        if known.metadata().is_deleting() {
            self.metadata_mut().set_deleting();
        }
    }
}

/// Makes kinds with a member `metadata` objects.
macro_rules! has_metadata {
    ($($kind:ident),+) => {
        $(impl $crate::objects::Object for $kind {
            fn metadata(&self) -> &$crate::objects::Metadata {
                &self.metadata
            }

            fn metadata_mut(&mut self) -> &mut $crate::objects::Metadata {
                &mut self.metadata
            }
        })+
    };
}

pub(crate) use has_metadata;

has_metadata!(Claim, CsiNode, Lease, Namespace, Node, Pod, ServiceAccount, StorageClass, Volume);

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
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
    pub(crate) finalizers: Vec<String>,
    pub(crate) owner_references: Vec<OwnerReference>,
    pub(crate) generation: i64,
}

/// On whom an object depends.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct OwnerReference {
    pub(crate) api_version: String,
    pub(crate) kind: String,
    pub(crate) name: String,
    pub(crate) uid: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) controller: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) block_owner_deletion: Option<bool>,
}

impl Metadata {
    pub(crate) fn is_deleting(&self) -> bool {
        self.deletion_timestamp.is_some()
    }

    pub(crate) fn set_deleting(&mut self) {
        self.deletion_timestamp = Some(IgnoredAny);
    }

    /// Resource versions may be compared (KEP-5504); one that is no number is as old as can be.
    pub(crate) fn revision(&self) -> u64 {
        self.resource_version.parse().unwrap_or(0)
    }

    /// The owner that manages it.
    pub(crate) fn controller(&self) -> Option<&OwnerReference> {
        self.owner_references.iter().find(|owner| owner.controller == Some(true))
    }

    pub(crate) fn has_finalizer(&self, finalizer: &str) -> bool {
        self.finalizers.iter().any(|found| found == finalizer)
    }
}

/// Where a node says that it lives, `kube-node-lease` of `coordination.k8s.io/v1`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub(crate) struct Lease {
    pub(crate) metadata: Metadata,
    #[serde(default)]
    pub(crate) spec: LeaseSpec,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct LeaseSpec {
    pub(crate) renew_time: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
pub(crate) struct Namespace {
    pub(crate) metadata: Metadata,
    #[serde(default)]
    pub(crate) spec: NamespaceSpec,
    #[serde(default)]
    status: NamespaceStatus,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(crate) struct NamespaceSpec {
    pub(crate) finalizers: Vec<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
struct NamespaceStatus {
    phase: String,
}

impl Namespace {
    pub(crate) fn is_terminating(&self) -> bool {
        self.metadata.is_deleting() || self.status.phase == "Terminating"
    }
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
pub(crate) struct ServiceAccount {
    metadata: Metadata,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
pub(crate) struct Node {
    pub(crate) metadata: Metadata,
    #[serde(default)]
    pub(crate) spec: NodeSpec,
    #[serde(default)]
    pub(crate) status: NodeStatus,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(crate) struct NodeSpec {
    pub(crate) unschedulable: bool,
    pub(crate) taints: Vec<Taint>,
}

/// A mark that keeps pods off a node, or drives them away, unless they tolerate it.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Taint {
    pub(crate) key: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) value: String,
    pub(crate) effect: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) time_added: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(crate) struct NodeStatus {
    /// Whole, since a merge patch can only replace the list.
    pub(crate) conditions: Vec<Value>,
    pub(crate) allocatable: BTreeMap<String, Quantity>,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
pub(crate) struct Pod {
    pub(crate) metadata: Metadata,
    #[serde(default)]
    pub(crate) spec: PodSpec,
    #[serde(default)]
    pub(crate) status: PodStatus,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct PodSpec {
    pub(crate) containers: Vec<Container>,
    pub(crate) init_containers: Vec<Container>,
    /// What running the pod takes besides its containers.
    pub(crate) overhead: BTreeMap<String, Quantity>,
    pub(crate) host_network: bool,
    pub(crate) node_name: String,
    pub(crate) scheduler_name: String,
    pub(crate) scheduling_gates: Vec<IgnoredAny>,
    pub(crate) priority: Option<i32>,
    pub(crate) preemption_policy: String,
    pub(crate) node_selector: Labels,
    pub(crate) affinity: Option<Affinity>,
    pub(crate) tolerations: Vec<Toleration>,
    pub(crate) topology_spread_constraints: Vec<SpreadConstraint>,
    pub(crate) volumes: Vec<PodVolume>,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Container {
    pub(crate) ports: Vec<ContainerPort>,
    pub(crate) resources: Resources,
    /// `Always` for an init container that stays beside the others.
    pub(crate) restart_policy: String,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(crate) struct Resources {
    pub(crate) requests: BTreeMap<String, Quantity>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Toleration {
    pub(crate) key: String,
    pub(crate) operator: String,
    pub(crate) value: String,
    pub(crate) effect: String,
    /// How long a taint that drives pods away is borne.
    pub(crate) toleration_seconds: Option<i64>,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct PodVolume {
    pub(crate) name: String,
    pub(crate) persistent_volume_claim: Option<PodClaim>,
    /// A claim made from a template in the pod, named after both.
    pub(crate) ephemeral: Option<IgnoredAny>,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct PodClaim {
    pub(crate) claim_name: String,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct PodStatus {
    pub(crate) phase: String,
    /// Where others are being ended to make room for it.
    pub(crate) nominated_node_name: String,
    pub(crate) start_time: Option<String>,
    /// Whole, since a merge patch can only replace the list.
    pub(crate) conditions: Vec<Value>,
}

impl Toleration {
    /// `Toleration.ToleratesTaint` of core/v1: an empty key with `Exists` means every taint, an empty effect every effect.
    pub(crate) fn covers(&self, taint: &Taint) -> bool {
        let same_value = match &*self.operator {
            "" | "Equal" => self.value == taint.value,
            "Exists" => true,
            _ => false,
        };
        same_value
            && (self.effect.is_empty() || self.effect == taint.effect)
            && (self.key == taint.key || (self.key.is_empty() && self.operator == "Exists"))
    }
}

/// A person's word that a node is down for good.
const OUT_OF_SERVICE: &str = "node.kubernetes.io/out-of-service";

impl NodeSpec {
    /// Whether somebody has said that the node is down and will not come back by itself, so that nothing runs there.
    pub(crate) fn is_out_of_service(&self) -> bool {
        self.taints.iter().any(|taint| taint.key == OUT_OF_SERVICE)
    }
}

impl Node {
    /// The status of its Ready condition, empty without one.
    pub(crate) fn readiness(&self) -> &str {
        conditions::status(&self.status.conditions, "Ready")
    }
}

impl PodSpec {
    /// The claims that a pod of this name uses, volume by volume.
    pub(crate) fn claims<'a>(&'a self, pod: &'a str) -> impl Iterator<Item = ClaimUse<'a>> {
        self.volumes.iter().filter_map(move |volume| {
            match (&volume.persistent_volume_claim, &volume.ephemeral) {
                (Some(claim), _) => {
                    Some(ClaimUse { name: Cow::Borrowed(&*claim.claim_name), is_ephemeral: false })
                }
                (None, Some(_)) => {
                    let name = Cow::Owned([pod, "-", &volume.name].concat());
                    Some(ClaimUse { name, is_ephemeral: true })
                }
                (None, None) => None,
            }
        })
    }
}

/// A claim of a pod.
pub(crate) struct ClaimUse<'a> {
    pub(crate) name: Cow<'a, str>,
    /// Whether it has to be made for the pod, which owns it.
    pub(crate) is_ephemeral: bool,
}

impl Pod {
    /// The claims that it uses, those of its ephemeral volumes too.
    pub(crate) fn claims(&self) -> impl Iterator<Item = Cow<'_, str>> {
        self.spec.claims(&self.metadata.name).map(|claim| claim.name)
    }

    /// Whether the pod has run its course and takes up no room any more.
    pub(crate) fn is_finished(&self) -> bool {
        matches!(&*self.status.phase, "Succeeded" | "Failed")
    }
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
pub(crate) struct Volume {
    pub(crate) metadata: Metadata,
    #[serde(default)]
    pub(crate) spec: VolumeSpec,
    #[serde(default)]
    pub(crate) status: Phase,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct VolumeSpec {
    pub(crate) access_modes: Vec<String>,
    /// As written, since it is copied to the claim.
    pub(crate) capacity: BTreeMap<String, Value>,
    pub(crate) claim_ref: Option<ClaimReference>,
    pub(crate) csi: Option<CsiSource>,
    pub(crate) node_affinity: Option<VolumeNodeAffinity>,
    pub(crate) persistent_volume_reclaim_policy: String,
    pub(crate) storage_class_name: String,
    pub(crate) volume_mode: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct CsiSource {
    pub(crate) driver: String,
    pub(crate) volume_handle: String,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(crate) struct VolumeNodeAffinity {
    required: Option<NodeSelector>,
}

impl Volume {
    /// Whether pods on the node can use it.
    pub(crate) fn is_reachable_from(&self, node: &Metadata) -> bool {
        let affinity = self.spec.node_affinity.as_ref();
        affinity.and_then(|affinity| affinity.required.as_ref()).is_none_or(|required| required.matches(node))
    }
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct StorageClass {
    pub(crate) metadata: Metadata,
    pub(crate) provisioner: String,
    volume_binding_mode: String,
    allowed_topologies: Vec<Topology>,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Topology {
    match_label_expressions: Vec<OneOf>,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
struct OneOf {
    key: String,
    values: Vec<String>,
}

impl StorageClass {
    /// Whether claims are bound only once a pod that uses them has been placed.
    pub(crate) fn waits_for_consumer(&self) -> bool {
        self.volume_binding_mode == "WaitForFirstConsumer"
    }

    /// Whether somebody makes volumes of this class.
    pub(crate) fn has_provisioner(&self) -> bool {
        !matches!(&*self.provisioner, "" | "kubernetes.io/no-provisioner")
    }

    /// Whether a volume can be made that pods on the node can use.
    pub(crate) fn can_provision_on(&self, node: &Metadata) -> bool {
        let is_met = |one: &OneOf| node.labels.get(&one.key).is_some_and(|value| one.values.contains(value));
        self.has_provisioner()
            && (self.allowed_topologies.is_empty()
                || self.allowed_topologies.iter().any(|term| term.match_label_expressions.iter().all(is_met)))
    }
}

/// Which drivers are on a node.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(crate) struct CsiNode {
    pub(crate) metadata: Metadata,
    spec: CsiNodeSpec,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
struct CsiNodeSpec {
    drivers: Vec<CsiNodeDriver>,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
struct CsiNodeDriver {
    name: String,
    allocatable: Option<CsiNodeLimit>,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
struct CsiNodeLimit {
    count: Option<usize>,
}

impl CsiNode {
    /// The drivers that take a limited number of volumes, and that number.
    pub(crate) fn limits(&self) -> impl Iterator<Item = (&str, usize)> {
        self.spec
            .drivers
            .iter()
            .filter_map(|driver| Some((&*driver.name, driver.allocatable.as_ref()?.count?)))
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(crate) struct ClaimReference {
    pub(crate) namespace: String,
    pub(crate) name: String,
    pub(crate) uid: String,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(crate) struct Phase {
    pub(crate) phase: String,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
pub(crate) struct Claim {
    pub(crate) metadata: Metadata,
    #[serde(default)]
    pub(crate) spec: ClaimSpec,
    #[serde(default)]
    pub(crate) status: ClaimStatus,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct ClaimSpec {
    pub(crate) access_modes: Vec<String>,
    pub(crate) resources: ClaimResources,
    pub(crate) selector: Option<LabelSelector>,
    pub(crate) storage_class_name: Option<String>,
    pub(crate) volume_mode: Option<String>,
    pub(crate) volume_name: String,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(crate) struct ClaimResources {
    pub(crate) requests: BTreeMap<String, Quantity>,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
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
