//! Role-based access control: what a rule matches, who is bound to which rules, what a grant may not exceed, and the
//! roles that every cluster has.
//!
//! The invariant: a [`Policy`] only ever adds rights up. Nothing denies, so the order of roles and bindings means
//! nothing, and a binding whose role is missing grants nothing and is told. Rules, texts and defaults follow upstream
//! (`rbac.authorization.k8s.io/v1`).
//!
//! ```
//! use tokenward_kube_rules::rbac::{Attributes, Binding, Policy, PolicyRule, ResourceAttributes, Who};
//! use serde_json::json;
//!
//! let mut policy = Policy::default();
//! let rule: PolicyRule =
//!     serde_json::from_value(json!({"verbs": ["get"], "apiGroups": [""], "resources": ["pods"]}))?;
//! policy.put_cluster_role("reader", [rule].into());
//! let binding: Binding = serde_json::from_value(json!({
//!     "subjects": [{"kind": "User", "name": "alice"}],
//!     "roleRef": {"kind": "ClusterRole", "name": "reader"},
//! }))?;
//! policy.put_role_binding("apps", "alice-reads", binding.into());
//!
//! let alice = Who { name: "alice", groups: &[] };
//! let pod = |namespace| Attributes::Resource(ResourceAttributes {
//!     verb: "get", group: "", resource: "pods", subresource: "", namespace, name: "web-0",
//! });
//! assert!(policy.decide(alice, &pod("apps")).is_ok());
//! assert!(policy.decide(alice, &pod("other")).is_err());
//! # Ok::<(), serde_json::Error>(())
//! ```

mod aggregation;
pub mod bootstrap;
mod escalation;
mod policy;
mod reconciliation;
mod rule;
pub mod validation;

pub use aggregation::aggregated_rules;
pub use escalation::{full_authority, missing_rights};
pub use policy::{Binding, Faults, Grant, Policy, RoleNotFound, RoleRef, Subject};
pub use reconciliation::{reconciled_binding, reconciled_role};
pub use rule::{Attributes, PolicyRule, ResourceAttributes};

/// The API group of roles and bindings, and of the users and groups that subjects name.
pub const GROUP: &str = "rbac.authorization.k8s.io";

/// The group that may do everything, whatever the roles say.
pub const MASTERS: &str = "system:masters";

/// Who asks: what of a user RBAC looks at.
#[derive(Clone, Copy, Debug)]
pub struct Who<'a> {
    /// The user's name.
    pub name: &'a str,
    /// The user's groups.
    pub groups: &'a [String],
}
