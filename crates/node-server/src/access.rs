//! Who asks and for what: the API server's two reviews, and which subresources of the node a path is governed by.

use std::collections::BTreeMap;

use http::Method;
use tokenward_node::ClusterError;
use tokenward_tokens::Token;

/// Somebody whom the API server, or a certificate, vouches for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct User {
    /// Name.
    pub name: String,
    /// Uid, where there is one.
    pub uid: String,
    /// Groups.
    pub groups: Vec<String>,
    /// What else the authenticator said.
    pub extra: BTreeMap<String, Vec<String>>,
}

/// May this user do this to this node?
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct AccessReview {
    /// The user.
    pub user: User,
    /// Verb.
    pub verb: &'static str,
    /// Name of the node.
    pub node: String,
    /// Subresource of the node.
    pub subresource: &'static str,
}

/// How the API server is asked.
pub trait Reviews: Send + Sync + 'static {
    /// Whose token it is; `None` when it is nobody's.
    fn token_review(&self, token: &Token) -> impl Future<Output = Result<Option<User>, ClusterError>> + Send;

    /// Whether it is allowed.
    fn access_review(&self, review: &AccessReview)
    -> impl Future<Output = Result<bool, ClusterError>> + Send;
}

/// The subresources that a path is governed by; the right to one of them is enough.
#[must_use]
pub fn subresources(path: &str) -> &'static [&'static str] {
    let is_at =
        |root: &str| path == root || path.strip_prefix(root).is_some_and(|rest| rest.starts_with('/'));
    if is_at("/metrics") {
        &["metrics"]
    } else if is_at("/healthz") {
        &["healthz", "proxy"]
    } else if is_at("/configz") {
        &["configz", "proxy"]
    } else {
        &["proxy"]
    }
}

/// The verb of a method, as a kubelet has it.
#[must_use]
pub fn verb(method: &Method) -> &'static str {
    match *method {
        Method::POST => "create",
        Method::GET | Method::HEAD => "get",
        Method::PUT => "update",
        Method::PATCH => "patch",
        Method::DELETE => "delete",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_path_has_its_subresource() {
        for (path, wanted) in [
            ("/metrics", &["metrics"][..]),
            ("/metrics/cadvisor", &["metrics"]),
            ("/metricsx", &["proxy"]),
            ("/healthz", &["healthz", "proxy"]),
            ("/healthz/ping", &["healthz", "proxy"]),
            ("/configz", &["configz", "proxy"]),
            ("/pods", &["proxy"]),
            ("/", &["proxy"]),
        ] {
            assert_eq!(subresources(path), wanted, "{path}");
        }
        assert_eq!((verb(&Method::GET), verb(&Method::POST)), ("get", "create"));
    }
}
