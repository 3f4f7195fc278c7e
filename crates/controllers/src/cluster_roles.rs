//! ClusterRoles with an aggregation rule hold the rules of the ClusterRoles that they select, which is how `view`,
//! `edit` and `admin` learn of what others add to them.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::json;
use tokenward_kube_rules::label_selector::{LabelSelector, Labels};
use tokenward_kube_rules::rbac::{PolicyRule, aggregated_rules};

use crate::api::{Document, Request, Resource, Target, WatchEvent};
use crate::mirror::Mirror;
use crate::objects::{Metadata, Object};
use crate::runner::{Controller, Plan};

/// A ClusterRole.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct ClusterRole {
    metadata: Metadata,
    rules: Option<Vec<PolicyRule>>,
    aggregation_rule: Option<AggregationRule>,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct AggregationRule {
    cluster_role_selectors: Vec<LabelSelector>,
}

impl Object for ClusterRole {
    fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    fn metadata_mut(&mut self) -> &mut Metadata {
        &mut self.metadata
    }
}

impl ClusterRole {
    fn rules(&self) -> &[PolicyRule] {
        self.rules.as_deref().unwrap_or_default()
    }
}

pub(crate) struct ClusterRoles {
    roles: Mirror<ClusterRole>,
}

impl ClusterRoles {
    pub(crate) fn new() -> Self {
        Self { roles: Mirror::new(Resource::CLUSTER_ROLES) }
    }
}

impl Controller for ClusterRoles {
    const NAME: &'static str = "cluster-role-aggregation";
    const WATCHES: &'static [Resource] = &[Resource::CLUSTER_ROLES];

    fn observe(&mut self, _resource: Resource, event: WatchEvent) -> bool {
        self.roles.observe(event)
    }

    fn is_ready(&self) -> bool {
        self.roles.is_listed()
    }

    /// A role that gathers others which gather themselves is put right in as many rounds as there are steps: each write
    /// is a change that asks for a plan again.
    fn plan(&self, _now: Timestamp) -> Plan {
        let all: BTreeMap<String, (Labels, Vec<PolicyRule>)> = self
            .roles
            .iter()
            .map(|role| (role.metadata.name.clone(), (role.metadata.labels.clone(), role.rules().to_vec())))
            .collect();
        let gathering = self.roles.iter().filter(|role| !role.metadata.is_deleting());
        gathering
            .filter_map(|role| {
                let selectors = &role.aggregation_rule.as_ref()?.cluster_role_selectors;
                let rules = aggregated_rules(&role.metadata.name, selectors, &all);
                (rules != role.rules()).then(|| {
                    let (uid, resource_version) = (&role.metadata.uid, &role.metadata.resource_version);
                    let metadata = json!({"uid": uid, "resourceVersion": resource_version});
                    let body = json!({"metadata": metadata, "rules": rules});
                    Request::merge_patch(Target::of(Resource::CLUSTER_ROLES, &role.metadata), body)
                })
            })
            .collect::<Vec<Request>>()
            .into()
    }

    fn accepted(&mut self, _request: &Request, answer: &Document) {
        self.roles.learn(answer);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn role(name: &str, labels: &Value, members: &Value) -> Value {
        let mut role =
            json!({"metadata": {"name": name, "uid": name, "resourceVersion": "1", "labels": labels}});
        role.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
        role
    }

    fn rules(resources: &[&str]) -> Value {
        let rules = resources
            .iter()
            .map(|resource| json!({"verbs": ["get"], "apiGroups": [""], "resources": [resource]}));
        rules.collect()
    }

    fn gathering(label: &str, rules: &Value) -> Value {
        json!({"rules": rules, "aggregationRule": {"clusterRoleSelectors": [{"matchLabels": {label: "true"}}]}})
    }

    #[test]
    fn rules_are_gathered_step_by_step_until_nothing_changes() {
        let mut controller = ClusterRoles::new();
        assert!(!controller.is_ready());
        controller.observe(
            Resource::CLUSTER_ROLES,
            WatchEvent::listed(vec![
                role("pods", &json!({"to-view": "true"}), &json!({"rules": rules(&["pods"])})),
                role("view", &json!({"to-edit": "true"}), &gathering("to-view", &Value::Null)),
                role("edit", &json!({}), &gathering("to-edit", &Value::Null)),
                role("plain", &json!({}), &json!({"rules": rules(&["nodes"])})),
            ]),
        );
        let mut written = Vec::new();
        loop {
            let plan = controller.plan(Timestamp::UNIX_EPOCH).requests;
            let Some(request) = plan.first() else { break };
            written.push(format!("{} {}", request.path(), request.body["rules"]));
            let name = request.path().rsplit('/').next().unwrap().to_owned();
            let label = if name == "view" { "to-view" } else { "to-edit" };
            let labels = if name == "view" { json!({"to-edit": "true"}) } else { json!({}) };
            let mut answer = role(&name, &labels, &gathering(label, &request.body["rules"]));
            answer["metadata"]["resourceVersion"] = (written.len() + 1).to_string().into();
            controller.accepted(request, &answer.into());
            assert!(written.len() < 5, "{written:?}");
        }
        let path = "/apis/rbac.authorization.k8s.io/v1/clusterroles";
        let gathered = rules(&["pods"]);
        assert_eq!(written, [format!("{path}/view {gathered}"), format!("{path}/edit {gathered}")]);
    }
}
