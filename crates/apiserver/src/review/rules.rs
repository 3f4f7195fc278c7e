//! What may I do in this namespace? The rules that hold for the one who asks, as `kubectl auth can-i --list` shows them.

use serde_json::{Value, json};
use tokenward_kube_rules::rbac::PolicyRule;

use super::Asking;
use crate::object::{Object, text_at};
use crate::status::ApiError;

impl Asking<'_> {
    /// The answer holds the rules of roles alone: what the node authorizer allows is no list of rules, and for a node
    /// it says so.
    pub(super) fn rules(&self, mut review: Object) -> Result<Object, ApiError> {
        let namespace = text_at(&review, &["spec", "namespace"]).to_owned();
        if namespace.is_empty() {
            return Err(ApiError::bad_request("no namespace on request"));
        }
        let (mut on_resources, mut on_paths, mut faults) = (Vec::new(), Vec::new(), Vec::new());
        let is_node = self.user.node().is_some();
        if is_node {
            faults.push("node authorizer does not support user rule resolution".to_owned());
        }
        self.cluster.with_policy(|policy| {
            let (rules, found) = policy.rules_for(self.user.who(), &namespace);
            if !found.is_empty() {
                faults.push(found.to_string());
            }
            for rule in rules {
                if !rule.resources.is_empty() {
                    on_resources.push(resource_rule(rule));
                }
                if !rule.non_resource_urls.is_empty() {
                    let (verbs, urls) = (&rule.verbs, &rule.non_resource_urls);
                    on_paths.push(json!({"verbs": verbs, "nonResourceURLs": urls}));
                }
            }
        });
        let mut status =
            json!({"resourceRules": on_resources, "nonResourceRules": on_paths, "incomplete": is_node});
        match faults.as_slice() {
            [] => {}
            [single] => status["evaluationError"] = single.as_str().into(),
            several => status["evaluationError"] = format!("[{}]", several.join(", ")).into(),
        }
        // The question is not repeated.
        review.insert("spec".to_owned(), json!({}));
        review.insert("metadata".to_owned(), json!({}));
        review.insert("status".to_owned(), status);
        Ok(review)
    }
}

fn resource_rule(rule: &PolicyRule) -> Value {
    let mut shown = json!({"verbs": rule.verbs});
    let lists = [
        ("apiGroups", &rule.api_groups),
        ("resources", &rule.resources),
        ("resourceNames", &rule.resource_names),
    ];
    for (member, list) in lists {
        if !list.is_empty() {
            shown[member] = list.clone().into();
        }
    }
    shown
}
