//! Nobody hands out rights that they do not hold: looked at before a role or binding is written. Whoever has the verb
//! `escalate` on the role, or `bind` on the role that is bound, is trusted to.

use serde_json::Value;
use tokenward_kube_rules::rbac::{
    Attributes, Binding, GROUP, MASTERS, PolicyRule, ResourceAttributes, RoleNotFound, RoleRef,
    full_authority, missing_rights,
};
use tokenward_kube_schema::Kind;

use super::{Decision, decide};
use crate::authentication::User;
use crate::cluster_view::ClusterView;
use crate::object::{Metadata, Object};
use crate::status::{ApiError, Subject};

/// The write of a role or binding.
#[derive(Clone, Copy)]
pub(crate) struct Grant<'a> {
    pub(crate) kind: &'static Kind,
    /// The path's namespace; empty for cluster roles and their bindings.
    pub(crate) namespace: &'a str,
    /// The name in the path, which a create does not have.
    pub(crate) path_name: &'a str,
    pub(crate) new: &'a Object,
    pub(crate) old: Option<&'a Object>,
}

/// Whether a user may write this object; every object that is no role and no binding may be.
pub(crate) fn check(user: &User, grant: Grant<'_>, cluster: &ClusterView) -> Result<(), ApiError> {
    if grant.kind.group != GROUP || user.is_in(MASTERS) {
        return Ok(());
    }
    if grant.old.is_some_and(|old| differs_in_ownership_alone(grant.new, old)) {
        return Ok(());
    }
    match grant.kind.kind {
        "Role" | "ClusterRole" => check_role(user, grant, cluster),
        _ => check_binding(user, grant, cluster),
    }
}

fn check_role(user: &User, grant: Grant<'_>, cluster: &ClusterView) -> Result<(), ApiError> {
    if is_trusted(user, "escalate", grant.kind.plural, grant.namespace, grant.path_name, cluster) {
        return Ok(());
    }
    let rules = grant.new.get("rules").and_then(Value::as_array).into_iter().flatten();
    let rules: Vec<PolicyRule> =
        rules.map(|rule| serde_json::from_value(rule.clone()).unwrap_or_default()).collect();
    confirm(user, grant, &rules, cluster)?;
    let gathers = |role: &Object| {
        let selectors = role.get("aggregationRule").and_then(|rule| rule.get("clusterRoleSelectors"));
        selectors.and_then(Value::as_array).is_some_and(|selectors| !selectors.is_empty())
    };
    // It can gather anything; and taking it away may undo that somebody narrowed the role.
    if (gathers(grant.new) || grant.old.is_some_and(gathers))
        && confirm(user, grant, &full_authority(), cluster).is_err()
    {
        let why = "must have cluster-admin privileges to use the aggregationRule";
        return Err(ApiError::forbidden(grant.subject(), why));
    }
    Ok(())
}

fn check_binding(user: &User, grant: Grant<'_>, cluster: &ClusterView) -> Result<(), ApiError> {
    let binding: Binding = serde_json::from_value(Value::Object(grant.new.clone())).unwrap_or_default();
    let role = binding.role_ref;
    let resource = match role.kind.as_str() {
        "ClusterRole" => "clusterroles",
        "Role" => "roles",
        // Validation refuses it.
        _ => return Ok(()),
    };
    if is_trusted(user, "bind", resource, grant.namespace, &role.name, cluster) {
        return Ok(());
    }
    let rules = cluster.with_policy(|policy| policy.rules_of(&role, grant.namespace).map(<[_]>::to_vec));
    let rules = rules.map_err(|missing| role_not_found(&role, &missing))?;
    confirm(user, grant, &rules, cluster)
}

fn is_trusted(
    user: &User,
    verb: &str,
    resource: &str,
    namespace: &str,
    name: &str,
    cluster: &ClusterView,
) -> bool {
    let asked = ResourceAttributes { verb, group: GROUP, resource, subresource: "", namespace, name };
    matches!(decide(user, &Attributes::Resource(asked).into(), cluster), Decision::Allowed(_))
}

fn confirm(
    user: &User,
    grant: Grant<'_>,
    rules: &[PolicyRule],
    cluster: &ClusterView,
) -> Result<(), ApiError> {
    // Copied, since everybody waits while the policy is looked at.
    let (held, faults) = cluster.with_policy(|policy| {
        let (held, faults) = policy.rules_for(user.who(), grant.namespace);
        (held.into_iter().cloned().collect::<Vec<_>>(), faults)
    });
    let held: Vec<&PolicyRule> = held.iter().collect();
    let missing = missing_rights(user.who(), &held, rules, &faults);
    missing.map_or(Ok(()), |why| Err(ApiError::forbidden(grant.subject(), &why)))
}

/// From the registry, hence the plural.
fn role_not_found(role: &RoleRef, missing: &RoleNotFound) -> ApiError {
    let kind = match missing {
        RoleNotFound::Role(_) => "roles",
        _ => "clusterroles",
    };
    ApiError::not_found(Subject { group: GROUP, kind, name: &role.name })
}

impl Grant<'_> {
    fn subject(&self) -> Subject<'_> {
        Subject { group: GROUP, kind: self.kind.plural, name: self.new.name() }
    }
}

/// Whether only owners and finalizers change, as garbage collection does to an object on its way out.
fn differs_in_ownership_alone(new: &Object, old: &Object) -> bool {
    let stripped = |object: &Object| {
        let mut object = object.clone();
        for member in ["ownerReferences", "finalizers", "resourceVersion", "managedFields", "generation"] {
            object.metadata_mut().remove(member);
        }
        object
    };
    stripped(new) == stripped(old)
}
