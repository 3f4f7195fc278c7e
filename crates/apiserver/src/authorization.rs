//! Who may do what: `system:masters` everything, nodes what the node authorizer allows them ([`node`]), and whoever
//! roles and bindings allow ([`policy`]). The first that allows decides; nobody denies.

pub(crate) mod escalation;
pub(crate) mod node;
mod policy;

pub(crate) use policy::LivePolicy;
pub(crate) use tokenward_kube_rules::rbac::{Attributes, ResourceAttributes};
use tokenward_kube_rules::rbac::{MASTERS, Who};

use crate::authentication::User;
use crate::cluster_view::ClusterView;
use crate::status::{ApiError, Subject, go_quote};

/// What somebody wants to do, together with what only the node authorizer looks at.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Access<'a> {
    pub(crate) attributes: Attributes<'a>,
    /// The node that a `spec.nodeName` field selector names.
    pub(crate) selected_node: Option<&'a str>,
}

impl<'a> From<Attributes<'a>> for Access<'a> {
    fn from(attributes: Attributes<'a>) -> Self {
        Self { attributes, selected_node: None }
    }
}

/// What came of asking. The reasons are upstream's; empty when there is nothing to say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Decision {
    /// Go on, and by what.
    Allowed(String),
    /// Nobody allows it, and what kept them from it.
    Refused(String),
}

/// Asks every authorizer in turn.
pub(crate) fn decide(user: &User, access: &Access<'_>, cluster: &ClusterView) -> Decision {
    if user.is_in(MASTERS) {
        return Decision::Allowed(String::new());
    }
    let mut reasons = Vec::new();
    match user.node() {
        Some("") => reasons.push(format!("unknown node for user {}", go_quote(&user.username))),
        Some(node) => match node::decide(node, access, cluster) {
            Decision::Refused(reason) => reasons.push(reason),
            allowed @ Decision::Allowed(_) => return allowed,
        },
        None => {}
    }
    let by_roles = cluster.with_policy(|policy| {
        let decided = policy.decide(user.who(), &access.attributes);
        decided.map(|grant| format!("RBAC: allowed by {grant}"))
    });
    match by_roles {
        Ok(reason) => return Decision::Allowed(reason),
        Err(faults) if !faults.is_empty() => reasons.push(format!("RBAC: {faults}")),
        Err(_) => {}
    }
    reasons.retain(|reason| !reason.is_empty());
    Decision::Refused(reasons.join("\n"))
}

/// Lets a request pass, or tells the client why not.
pub(crate) fn authorize(user: &User, access: &Access<'_>, cluster: &ClusterView) -> Result<(), ApiError> {
    match decide(user, access, cluster) {
        Decision::Allowed(_) => Ok(()),
        Decision::Refused(reason) => Err(refusal(user, &access.attributes, &reason)),
    }
}

impl User {
    /// What roles and bindings see of the user.
    pub(crate) fn who(&self) -> Who<'_> {
        Who { name: &self.username, groups: &self.groups }
    }
}

fn refusal(user: &User, attributes: &Attributes<'_>, reason: &str) -> ApiError {
    let username = go_quote(&user.username);
    let because = if reason.is_empty() { String::new() } else { format!(": {reason}") };
    match attributes {
        Attributes::NonResource { path, verb } => {
            let message =
                format!("forbidden: User {username} cannot {verb} path {}{because}", go_quote(path));
            ApiError::new(http::StatusCode::FORBIDDEN, "Forbidden", message).about(serde_json::Map::new())
        }
        Attributes::Resource(resource) => {
            let place = if resource.namespace.is_empty() {
                "at the cluster scope".to_owned()
            } else {
                format!("in the namespace {}", go_quote(resource.namespace))
            };
            let what = if resource.subresource.is_empty() {
                resource.resource.to_owned()
            } else {
                format!("{}/{}", resource.resource, resource.subresource)
            };
            let why = format!(
                "User {username} cannot {} resource {} in API group {} {place}{because}",
                resource.verb,
                go_quote(&what),
                go_quote(resource.group),
            );
            let subject = Subject { group: resource.group, kind: resource.resource, name: resource.name };
            ApiError::forbidden(subject, &why)
        }
    }
}

#[cfg(test)]
mod tests {
    use tokenward_store::Store;

    use super::*;
    use crate::index::Index;

    fn cluster() -> ClusterView {
        ClusterView::new(Store::memory(Index::of))
    }

    #[test]
    fn refusals_read_as_upstream_writes_them() {
        let alice = User::authenticated("alice", []);
        let list = ResourceAttributes {
            verb: "list",
            group: "storage.k8s.io",
            resource: "csidrivers",
            subresource: "",
            namespace: "",
            name: "",
        };
        let token = ResourceAttributes {
            verb: "create",
            group: "",
            resource: "serviceaccounts",
            subresource: "token",
            namespace: "ns",
            name: "web",
        };
        let table = [
            (
                Attributes::Resource(list),
                "csidrivers.storage.k8s.io is forbidden: User \"alice\" cannot list resource \"csidrivers\" in API group \"storage.k8s.io\" at the cluster scope",
            ),
            (
                Attributes::Resource(token),
                "serviceaccounts \"web\" is forbidden: User \"alice\" cannot create resource \"serviceaccounts/token\" in API group \"\" in the namespace \"ns\"",
            ),
            (
                Attributes::NonResource { path: "/", verb: "get" },
                "forbidden: User \"alice\" cannot get path \"/\"",
            ),
        ];
        for (attributes, expected) in table {
            let error = authorize(&alice, &attributes.into(), &cluster()).unwrap_err();
            assert_eq!(error.to_string(), expected);
        }
    }

    #[test]
    fn masters_may_do_everything_without_any_role() {
        let admin = User::authenticated("admin", [MASTERS.to_owned()]);
        let path = Attributes::NonResource { path: "/metrics", verb: "delete" };
        assert_eq!(decide(&admin, &path.into(), &cluster()), Decision::Allowed(String::new()));
    }
}
