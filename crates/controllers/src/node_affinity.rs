//! Which nodes a pod's selector and affinity let it run on.

use crate::objects::{Affinity, Metadata, NodeSelector, NodeSelectorTerm, PodSpec};
use crate::selector::{self, Labels};

/// The one field that terms may select by.
const NAME: &str = "metadata.name";

/// Whether the node is one that the pod's node selector and required node affinity name.
pub(crate) fn selects(pod: &PodSpec, node: &Metadata) -> bool {
    if !selector::contains_all(&node.labels, &pod.node_selector) {
        return false;
    }
    let affinity = pod.affinity.as_ref().and_then(|affinity| affinity.node_affinity.as_ref());
    let required =
        affinity.and_then(|affinity| affinity.required_during_scheduling_ignored_during_execution.as_ref());
    required.is_none_or(|selector| selector.matches(node))
}

impl NodeSelector {
    /// One term is enough.
    pub(crate) fn matches(&self, node: &Metadata) -> bool {
        self.node_selector_terms.iter().any(|term| term.matches(node))
    }
}

impl NodeSelectorTerm {
    /// Everything in it must hold; an empty term selects nothing.
    pub(crate) fn matches(&self, node: &Metadata) -> bool {
        let Self { match_expressions, match_fields } = self;
        if match_expressions.is_empty() && match_fields.is_empty() {
            return false;
        }
        let by_fields = || {
            let fields = Labels::from([(NAME.to_owned(), node.name.clone())]);
            match_fields.iter().all(|requirement| requirement.matches(&fields))
        };
        match_expressions.iter().all(|requirement| requirement.matches(&node.labels))
            && (match_fields.is_empty() || by_fields())
    }
}

impl Affinity {
    /// The one node that it requires by name, as the pods of a DaemonSet do.
    pub(crate) fn target_node(&self) -> Option<&str> {
        let required = self.node_affinity.as_ref()?;
        let required = required.required_during_scheduling_ignored_during_execution.as_ref()?;
        let [term] = &*required.node_selector_terms else { return None };
        term.match_fields.iter().find_map(|requirement| requirement.only_value_of(NAME))
    }
}
