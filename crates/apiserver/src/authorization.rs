//! Who may do what.
//!
//! `system:masters` may do everything; nodes may do what the node authorizer allows ([`node`]); everybody who is
//! authenticated may look at the server itself, service accounts may also read the OIDC documents, and nobody needs
//! credentials for health and version. Everything else is refused.

mod node;

use crate::authentication::User;
use crate::cluster_view::ClusterView;
use crate::status::{ApiError, Subject, go_quote};
use tokenward_kube_schema::Verb;

/// A request as authorization sees it.
#[derive(Clone, Debug)]
pub(crate) enum Attributes<'a> {
    /// A path that is no resource, with the method in lower case.
    Path { path: &'a str, verb: String },
    /// A resource.
    Resource(ResourceAttributes<'a>),
}

/// A resource request as authorization sees it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ResourceAttributes<'a> {
    pub(crate) verb: Verb,
    pub(crate) group: &'a str,
    pub(crate) resource: &'a str,
    pub(crate) subresource: &'a str,
    pub(crate) namespace: &'a str,
    pub(crate) name: &'a str,
    /// The node that a `spec.nodeName` field selector names.
    pub(crate) selected_node: Option<&'a str>,
}

/// What came of asking.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Decision {
    /// Go on.
    Allowed,
    /// No, and why if there is more to say than that.
    Denied(Option<String>),
}

/// Decides, and tells a refusal as the client reads it.
pub(crate) fn authorize(
    user: &User,
    attributes: &Attributes<'_>,
    cluster: &ClusterView,
) -> Result<(), ApiError> {
    match decide(user, attributes, cluster) {
        Decision::Allowed => Ok(()),
        Decision::Denied(reason) => Err(refusal(user, attributes, reason.as_deref())),
    }
}

fn decide(user: &User, attributes: &Attributes<'_>, cluster: &ClusterView) -> Decision {
    if user.is_in("system:masters") {
        return Decision::Allowed;
    }
    match attributes {
        Attributes::Path { path, verb } => {
            if verb == "get" && may_read_path(user, path) {
                Decision::Allowed
            } else {
                Decision::Denied(None)
            }
        }
        Attributes::Resource(resource) => match user.node() {
            Some(node) => node::decide(node, resource, cluster),
            None => Decision::Denied(None),
        },
    }
}

fn may_read_path(user: &User, path: &str) -> bool {
    let is_below =
        |root: &str| path.strip_prefix(root).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    let public = matches!(path, "/healthz" | "/livez" | "/readyz" | "/version" | "/version/");
    if public {
        return true;
    }
    if user.is_in("system:serviceaccounts")
        && matches!(path, "/.well-known/openid-configuration" | "/openid/v1/jwks")
    {
        return true;
    }
    let for_everybody = ["/api", "/apis", "/openapi", "/healthz", "/livez", "/readyz", "/version"];
    user.is_in("system:authenticated") && for_everybody.iter().any(|root| is_below(root))
}

fn refusal(user: &User, attributes: &Attributes<'_>, reason: Option<&str>) -> ApiError {
    let username = go_quote(&user.username);
    let because = reason.map(|reason| format!(": {reason}")).unwrap_or_default();
    match attributes {
        Attributes::Path { path, verb } => {
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
                resource.verb.as_str(),
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
    use super::*;
    use crate::index::Index;
    use tokenward_store::Store;

    fn cluster() -> ClusterView {
        ClusterView::new(Store::memory(Index::of))
    }

    fn path(path: &str) -> Attributes<'_> {
        Attributes::Path { path, verb: "get".to_owned() }
    }

    #[test]
    fn what_the_server_shows_of_itself() {
        let anonymous = User::anonymous();
        let alice = User::authenticated("alice", []);
        let account = User::authenticated("system:serviceaccount:a:b", ["system:serviceaccounts".to_owned()]);
        let admin = User::authenticated("admin", ["system:masters".to_owned()]);
        let table = [
            ("/version", [true, true, true, true]),
            ("/readyz", [true, true, true, true]),
            ("/readyz/ping", [false, true, true, true]),
            ("/apis/storage.k8s.io/v1", [false, true, true, true]),
            ("/apisx", [false, false, false, true]),
            ("/openid/v1/jwks", [false, false, true, true]),
            ("/metrics", [false, false, false, true]),
        ];
        for (text, expected) in table {
            for (user, expected) in [&anonymous, &alice, &account, &admin].into_iter().zip(expected) {
                let allowed = authorize(user, &path(text), &cluster()).is_ok();
                assert_eq!(allowed, expected, "{} {text}", user.username);
            }
        }
    }

    #[test]
    fn refusals_read_as_upstream_writes_them() {
        let resource = ResourceAttributes {
            verb: Verb::List,
            group: "storage.k8s.io",
            resource: "csidrivers",
            subresource: "",
            namespace: "",
            name: "",
            selected_node: None,
        };
        let alice = User::authenticated("alice", []);
        let text = |attributes| authorize(&alice, &attributes, &cluster()).unwrap_err().to_string();
        assert_eq!(
            text(Attributes::Resource(resource)),
            "csidrivers.storage.k8s.io is forbidden: User \"alice\" cannot list resource \"csidrivers\" in API group \"storage.k8s.io\" at the cluster scope"
        );
        let token = ResourceAttributes {
            verb: Verb::Create,
            group: "",
            resource: "serviceaccounts",
            subresource: "token",
            namespace: "ns",
            name: "web",
            selected_node: None,
        };
        assert_eq!(
            text(Attributes::Resource(token)),
            "serviceaccounts \"web\" is forbidden: User \"alice\" cannot create resource \"serviceaccounts/token\" in API group \"\" in the namespace \"ns\""
        );
        let text = authorize(&User::anonymous(), &path("/"), &cluster()).unwrap_err().to_string();
        assert_eq!(text, "forbidden: User \"system:anonymous\" cannot get path \"/\"");
    }
}
