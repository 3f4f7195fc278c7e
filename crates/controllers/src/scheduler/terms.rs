//! What a pod says of other pods: beside which it must be or would like to be, and beside which not.

use crate::mirror::Mirror;
use crate::objects::{Metadata, Namespace, PodAffinity, PodAffinityTerm, PodSpec};
use crate::selector::{LabelSelector, Labels, Requirement};

/// All that a pod says of others.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Terms {
    /// Beside these it must be.
    pub(super) affinity: Vec<Term>,
    /// Beside these it must not be.
    pub(super) anti_affinity: Vec<Term>,
    /// Beside these it would like to be, or rather not when the weight is negative.
    pub(super) preferred: Vec<(i64, Term)>,
}

/// Pods by labels and namespaces, in one place with a pod.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Term {
    selector: Option<LabelSelector>,
    namespaces: Vec<String>,
    namespace_selector: Option<LabelSelector>,
    /// Nodes with one value of this label are one place.
    pub(super) topology_key: String,
}

impl Terms {
    /// None if it says nothing.
    pub(super) fn of(metadata: &Metadata, spec: &PodSpec) -> Option<Box<Self>> {
        let affinity = spec.affinity.as_ref()?;
        let term = |of: &PodAffinityTerm| Term::of(metadata, of);
        let required = |of: &Option<PodAffinity>| -> Vec<Term> {
            let terms = of.iter().flat_map(|of| &of.required_during_scheduling_ignored_during_execution);
            terms.map(term).collect()
        };
        let preferred = |of: &Option<PodAffinity>, sign: i64| -> Vec<(i64, Term)> {
            let terms = of.iter().flat_map(|of| &of.preferred_during_scheduling_ignored_during_execution);
            terms.map(|of| (of.weight.saturating_mul(sign), term(&of.pod_affinity_term))).collect()
        };
        let mut terms = Self {
            affinity: required(&affinity.pod_affinity),
            anti_affinity: required(&affinity.pod_anti_affinity),
            preferred: preferred(&affinity.pod_affinity, 1),
        };
        terms.preferred.extend(preferred(&affinity.pod_anti_affinity, -1));
        (terms != Self::default()).then(|| Box::new(terms))
    }
}

impl Term {
    fn of(metadata: &Metadata, term: &PodAffinityTerm) -> Self {
        let mut selector = with_own_values(&term.label_selector, &term.match_label_keys, &metadata.labels);
        for key in &term.mismatch_label_keys {
            if let Some(value) = metadata.labels.get(key) {
                selector = selector.map(|selector| selector.and(Requirement::differs(key, value)));
            }
        }
        let mut namespaces = term.namespaces.clone();
        if namespaces.is_empty() && term.namespace_selector.is_none() {
            namespaces.push(metadata.namespace.clone());
        }
        Self {
            selector,
            namespaces,
            namespace_selector: term.namespace_selector.clone(),
            topology_key: term.topology_key.clone(),
        }
    }

    /// Whether it means this pod.
    pub(super) fn matches(&self, pod: &Metadata, namespaces: &Mirror<Namespace>) -> bool {
        let is_selected = |selector: &LabelSelector| {
            selector.is_empty()
                || namespaces.get("", &pod.namespace).is_some_and(|of| selector.matches(&of.metadata.labels))
        };
        (self.namespaces.contains(&pod.namespace)
            || self.namespace_selector.as_ref().is_some_and(is_selected))
            && self.selector.as_ref().is_some_and(|selector| selector.matches(&pod.labels))
    }
}

/// A selector that asks for a pod's own values of some labels, too.
pub(super) fn with_own_values(
    selector: &Option<LabelSelector>,
    keys: &[String],
    own: &Labels,
) -> Option<LabelSelector> {
    let values = keys.iter().filter_map(|key| Some((key, own.get(key)?)));
    let asked = values.map(|(key, value)| Requirement::equals(key, value));
    selector.clone().map(|selector| asked.fold(selector, LabelSelector::and))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::api::{Resource, WatchEvent};

    #[test]
    fn which_pods_a_term_means() {
        let mut namespaces: Mirror<Namespace> = Mirror::new(Resource::NAMESPACES);
        namespaces.observe(WatchEvent::listed(vec![
            json!({"metadata": {"name": "own", "labels": {"team": "a"}}}),
            json!({"metadata": {"name": "other", "labels": {"team": "b"}}}),
        ]));
        let metadata = |namespace: &str, labels: Value| -> Metadata {
            serde_json::from_value(json!({"name": "p", "namespace": namespace, "labels": labels})).unwrap()
        };
        let own = metadata("own", json!({"app": "web", "hash": "1"}));
        let web = json!({"matchLabels": {"app": "web"}});
        let of_team_b = json!({"matchLabels": {"team": "b"}});
        for (term, [same, other_hash, elsewhere]) in [
            (json!({}), [false, false, false]),
            (json!({"labelSelector": {}}), [true, true, false]),
            (json!({"labelSelector": web}), [true, true, false]),
            (json!({"labelSelector": web, "namespaces": ["other"]}), [false, false, true]),
            (json!({"labelSelector": web, "namespaceSelector": {}}), [true, true, true]),
            (json!({"labelSelector": web, "namespaceSelector": of_team_b}), [false, false, true]),
            (
                json!({"labelSelector": web, "namespaces": ["own"], "namespaceSelector": of_team_b}),
                [true, true, true],
            ),
            (json!({"labelSelector": web, "matchLabelKeys": ["hash", "absent"]}), [true, false, false]),
            (json!({"labelSelector": web, "mismatchLabelKeys": ["hash"]}), [false, true, false]),
        ] {
            let parsed = Term::of(&own, &serde_json::from_value(term.clone()).unwrap());
            let found = [
                parsed.matches(&metadata("own", json!({"app": "web", "hash": "1"})), &namespaces),
                parsed.matches(&metadata("own", json!({"app": "web", "hash": "2"})), &namespaces),
                parsed.matches(&metadata("other", json!({"app": "web", "hash": "1"})), &namespaces),
            ];
            assert_eq!(found, [same, other_hash, elsewhere], "{term}");
        }
    }
}
