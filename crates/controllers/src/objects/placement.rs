//! The fields of pods that say where they may be, beside what and away from what.

use serde::Deserialize;

use crate::selector::{LabelSelector, Requirement};

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Affinity {
    pub(crate) node_affinity: Option<NodeAffinity>,
    pub(crate) pod_affinity: Option<PodAffinity>,
    pub(crate) pod_anti_affinity: Option<PodAffinity>,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct NodeAffinity {
    pub(crate) required_during_scheduling_ignored_during_execution: Option<NodeSelector>,
    pub(crate) preferred_during_scheduling_ignored_during_execution: Vec<PreferredTerm>,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(crate) struct PreferredTerm {
    pub(crate) weight: i64,
    pub(crate) preference: NodeSelectorTerm,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct NodeSelector {
    pub(crate) node_selector_terms: Vec<NodeSelectorTerm>,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct NodeSelectorTerm {
    pub(crate) match_expressions: Vec<Requirement>,
    pub(crate) match_fields: Vec<Requirement>,
}

/// What a pod wants to be beside of, or, in an anti-affinity, away from.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct PodAffinity {
    pub(crate) required_during_scheduling_ignored_during_execution: Vec<PodAffinityTerm>,
    pub(crate) preferred_during_scheduling_ignored_during_execution: Vec<WeightedPodAffinityTerm>,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct WeightedPodAffinityTerm {
    pub(crate) weight: i64,
    pub(crate) pod_affinity_term: PodAffinityTerm,
}

/// Pods, and how far "beside" goes.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct PodAffinityTerm {
    /// Absent, it selects nothing.
    pub(crate) label_selector: Option<LabelSelector>,
    pub(crate) namespaces: Vec<String>,
    /// Namespaces besides those that are named. Neither: the pod's own.
    pub(crate) namespace_selector: Option<LabelSelector>,
    /// Nodes with one value of this label are one place.
    pub(crate) topology_key: String,
    /// The labels that must have the pod's own values.
    pub(crate) match_label_keys: Vec<String>,
    /// The labels that must not.
    pub(crate) mismatch_label_keys: Vec<String>,
}

/// How evenly pods are to be spread over places.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct SpreadConstraint {
    pub(crate) max_skew: i64,
    pub(crate) topology_key: String,
    /// `DoNotSchedule` or `ScheduleAnyway`.
    pub(crate) when_unsatisfiable: String,
    pub(crate) label_selector: Option<LabelSelector>,
    pub(crate) min_domains: Option<usize>,
    /// `Honor`, which is the default, or `Ignore`.
    pub(crate) node_affinity_policy: Option<String>,
    /// `Ignore`, which is the default, or `Honor`.
    pub(crate) node_taints_policy: Option<String>,
    pub(crate) match_label_keys: Vec<String>,
}

/// A port of a container, and of its node if it says so.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct ContainerPort {
    pub(crate) host_port: u16,
    #[serde(rename = "hostIP")]
    pub(crate) host_ip: String,
    pub(crate) protocol: String,
}
