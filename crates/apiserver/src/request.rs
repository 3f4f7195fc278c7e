//! What a request is about: a Kubernetes path is a grammar, read here once into a typed route.
//!
//! Nothing past this module looks at a path or a method again.

use http::Method;
use percent_encoding::percent_decode_str;
use tokenward_kube_schema::Verb;

/// The parts of the server that a path can lead to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Route {
    /// `/`: the paths that there are.
    Root,
    /// `/healthz`, `/livez`, `/readyz`, with a single check's name after it.
    Health(String, Option<String>),
    /// `/version`.
    Version,
    /// `/openapi/v2`: the older document.
    Swagger,
    /// `/metrics`.
    Metrics,
    /// `/openapi/v3`: the list of OpenAPI documents.
    OpenApiIndex,
    /// `/openapi/v3/api/v1` or `/openapi/v3/apis/GROUP/VERSION`: one of them, by the path after `/openapi/v3/`.
    OpenApiDocument(String),
    /// `/.well-known/openid-configuration`.
    OpenIdConfiguration,
    /// `/openid/v1/jwks`.
    JsonWebKeySet,
    /// `/api`: the versions of the core group.
    CoreVersions,
    /// `/apis`: all groups.
    Groups,
    /// `/apis/GROUP`.
    Group(String),
    /// `/api/v1` or `/apis/GROUP/VERSION`: the resources of one group and version.
    Resources(GroupVersion),
    /// A collection, an object or a subresource.
    Resource(ResourcePath),
    /// `/api/v1/nodes/NAME/proxy/...`: a request for a node.
    NodeProxy {
        /// The node's name, with a port behind it or without.
        node: String,
        /// What stands behind `proxy/`, as it was sent.
        path: String,
    },
    /// Anything else.
    Unknown,
}

/// An API group and version; the core group is empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupVersion {
    /// API group, empty for core.
    pub group: String,
    /// Version, such as `v1`.
    pub version: String,
}

/// Where a resource path points.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResourcePath {
    /// API group, empty for core.
    pub group: String,
    /// Version, such as `v1`.
    pub version: String,
    /// Namespace, if the path names one.
    pub namespace: Option<String>,
    /// The plural resource name.
    pub resource: String,
    /// The object's name; absent for a collection.
    pub name: Option<String>,
    /// The subresource, such as `status` or `token`.
    pub subresource: Option<String>,
    /// Whether the path itself asks for a watch: `/api/v1/watch/...`, which is deprecated.
    pub is_watch: bool,
}

/// The verb of a method on a resource path, or none where the method means nothing.
/// `watch` is whether the query asks for a watch.
pub fn verb_of(method: &Method, path: &ResourcePath, watch: bool) -> Option<Verb> {
    let named = path.name.is_some();
    // One object is watched by its name as a field, or by the older path.
    if path.is_watch {
        return (method == Method::GET).then_some(Verb::Watch);
    }
    Some(match (method.as_str(), named) {
        ("POST", _) => Verb::Create,
        ("GET" | "HEAD", false) if watch => Verb::Watch,
        ("GET" | "HEAD", true) => Verb::Get,
        ("GET" | "HEAD", false) => Verb::List,
        ("PUT", _) => Verb::Update,
        ("PATCH", _) => Verb::Patch,
        ("DELETE", true) => Verb::Delete,
        ("DELETE", false) => Verb::DeleteCollection,
        _ => return None,
    })
}

impl Route {
    /// Reads a request path.
    pub fn parse(path: &str) -> Self {
        if path == "/" {
            return Self::Root;
        }
        let trimmed = path.strip_prefix('/').unwrap_or(path);
        let trimmed = trimmed.strip_suffix('/').unwrap_or(trimmed);
        // As upstream: a slash that was sent encoded divides, too.
        let Ok(decoded) = percent_decode_str(trimmed).decode_utf8() else { return Self::Unknown };
        let segments: Vec<&str> = decoded.split('/').collect();
        match segments.as_slice() {
            [check @ ("healthz" | "livez" | "readyz")] => Self::Health((*check).to_owned(), None),
            [check @ ("healthz" | "livez" | "readyz"), name] => {
                Self::Health((*check).to_owned(), Some((*name).to_owned()))
            }
            ["version"] => Self::Version,
            [".well-known", "openid-configuration"] => Self::OpenIdConfiguration,
            ["openapi", "v2"] => Self::Swagger,
            ["metrics"] => Self::Metrics,
            ["openapi", "v3"] => Self::OpenApiIndex,
            ["openapi", "v3", document @ ..] => Self::OpenApiDocument(document.join("/")),
            ["openid", "v1", "jwks"] => Self::JsonWebKeySet,
            ["api"] => Self::CoreVersions,
            ["apis"] => Self::Groups,
            ["apis", group] => Self::Group((*group).to_owned()),
            ["api", version] => Self::Resources(GroupVersion::new("", version)),
            ["apis", group, version] => Self::Resources(GroupVersion::new(group, version)),
            ["api", "v1", "nodes", node, "proxy", ..] if !node.is_empty() => {
                let path = path.trim_start_matches('/').splitn(6, '/').nth(5).unwrap_or_default();
                Self::NodeProxy { node: (*node).to_owned(), path: path.to_owned() }
            }
            ["api", version, "watch", rest @ ..] => watched(resource("", version, rest)),
            ["apis", group, version, "watch", rest @ ..] => watched(resource(group, version, rest)),
            ["api", version, rest @ ..] => resource("", version, rest),
            ["apis", group, version, rest @ ..] => resource(group, version, rest),
            _ => Self::Unknown,
        }
    }
}

impl GroupVersion {
    fn new(group: &str, version: &str) -> Self {
        Self { group: group.to_owned(), version: version.to_owned() }
    }
}

/// What stands behind `watch/`: a collection or an object.
fn watched(route: Route) -> Route {
    match route {
        Route::Resource(path) if path.subresource.is_none() => {
            Route::Resource(ResourcePath { is_watch: true, ..path })
        }
        _ => Route::Unknown,
    }
}

fn resource(group: &str, version: &str, rest: &[&str]) -> Route {
    // `/namespaces/NAME` and its own subresources are the object; any other third segment is a collection in it.
    let (namespace, rest) = match rest {
        ["namespaces", _] | ["namespaces", _, "status" | "finalize"] => (None, rest),
        ["namespaces", namespace, rest @ ..] => (Some((*namespace).to_owned()), rest),
        rest => (None, rest),
    };
    let (resource, name, subresource) = match rest {
        [resource] => (*resource, None, None),
        [resource, name] => (*resource, Some(*name), None),
        [resource, name, subresource] => (*resource, Some(*name), Some(*subresource)),
        _ => return Route::Unknown,
    };
    if resource.is_empty() || name == Some("") {
        return Route::Unknown;
    }
    Route::Resource(ResourcePath {
        group: group.to_owned(),
        version: version.to_owned(),
        namespace,
        resource: resource.to_owned(),
        name: name.map(str::to_owned),
        subresource: subresource.map(str::to_owned),
        is_watch: false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn path(
        group: &str,
        namespace: Option<&str>,
        resource: &str,
        name: Option<&str>,
        subresource: Option<&str>,
    ) -> Route {
        Route::Resource(ResourcePath {
            group: group.to_owned(),
            version: "v1".to_owned(),
            namespace: namespace.map(str::to_owned),
            resource: resource.to_owned(),
            name: name.map(str::to_owned),
            subresource: subresource.map(str::to_owned),
            is_watch: false,
        })
    }

    #[test]
    fn every_shape_of_path() {
        let storage = "storage.k8s.io";
        let table = [
            ("/healthz", Route::Health("healthz".into(), None)),
            ("/readyz/ping", Route::Health("readyz".into(), Some("ping".into()))),
            ("/version", Route::Version),
            ("/.well-known/openid-configuration", Route::OpenIdConfiguration),
            ("/openid/v1/jwks", Route::JsonWebKeySet),
            ("/metrics", Route::Metrics),
            ("/openapi/v3", Route::OpenApiIndex),
            ("/openapi/v3/apis/apps/v1", Route::OpenApiDocument("apis/apps/v1".into())),
            ("/openapi/v2", Route::Swagger),
            ("/.well-known", Route::Unknown),
            ("/api", Route::CoreVersions),
            ("/api/", Route::CoreVersions),
            ("/apis", Route::Groups),
            ("/apis/storage.k8s.io", Route::Group(storage.into())),
            ("/api/v1", Route::Resources(GroupVersion::new("", "v1"))),
            ("/apis/storage.k8s.io/v1", Route::Resources(GroupVersion::new(storage, "v1"))),
            ("/api/v1/pods", path("", None, "pods", None, None)),
            ("/api/v1/namespaces", path("", None, "namespaces", None, None)),
            ("/api/v1/namespaces/a", path("", None, "namespaces", Some("a"), None)),
            ("/api/v1/namespaces/a/status", path("", None, "namespaces", Some("a"), Some("status"))),
            ("/api/v1/namespaces/a/pods", path("", Some("a"), "pods", None, None)),
            ("/api/v1/namespaces/a/pods/p", path("", Some("a"), "pods", Some("p"), None)),
            (
                "/api/v1/namespaces/a/serviceaccounts/w/token",
                path("", Some("a"), "serviceaccounts", Some("w"), Some("token")),
            ),
            ("/apis/storage.k8s.io/v1/csidrivers/x", path(storage, None, "csidrivers", Some("x"), None)),
            (
                "/apis/storage.k8s.io/v1/csidrivers/a%20b",
                path(storage, None, "csidrivers", Some("a b"), None),
            ),
            ("/api/v1/namespaces/a/pods/p%2Flog", path("", Some("a"), "pods", Some("p"), Some("log"))),
            ("/api/v1/namespaces/a/pods/a%25b", path("", Some("a"), "pods", Some("a%b"), None)),
            ("/api/v1/namespaces/a/pods/p/log/extra", Route::Unknown),
            ("/", Route::Root),
            ("//", Route::Unknown),
            ("/nothing/here", Route::Unknown),
            ("/api/v1/pods/%ff", Route::Unknown),
            ("/api/v1/nodes/n/proxy", Route::NodeProxy { node: "n".into(), path: String::new() }),
            (
                "/api/v1/nodes/n:10250/proxy/pods/a%2Fb/",
                Route::NodeProxy { node: "n:10250".into(), path: "pods/a%2Fb/".into() },
            ),
            ("/api/v1/nodes//proxy/x", Route::Unknown),
            ("/api/v1/watch/pods", watched(path("", None, "pods", None, None))),
            ("/api/v1/watch/namespaces/a/pods/p", watched(path("", Some("a"), "pods", Some("p"), None))),
            ("/api/v1/watch/namespaces/a", watched(path("", None, "namespaces", Some("a"), None))),
            (
                "/apis/storage.k8s.io/v1/watch/csidrivers",
                watched(path(storage, None, "csidrivers", None, None)),
            ),
            ("/api/v1/watch", Route::Unknown),
            ("/api/v1/watch/namespaces/a/pods/p/status", Route::Unknown),
            ("/api/v1/watch/nodes/n/proxy/x", Route::Unknown),
            ("/api/v1/namespaces/watch", path("", None, "namespaces", Some("watch"), None)),
        ];
        for (text, route) in table {
            assert_eq!(Route::parse(text), route, "{text}");
        }
    }

    #[test]
    fn verbs() {
        let Route::Resource(collection) = Route::parse("/api/v1/pods") else { panic!("a resource") };
        let Route::Resource(object) = Route::parse("/api/v1/nodes/n") else { panic!("a resource") };
        let Route::Resource(by_path) = Route::parse("/api/v1/watch/pods") else { panic!("a resource") };
        let table = [
            (Method::GET, &by_path, false, Some(Verb::Watch)),
            (Method::POST, &by_path, false, None),
            (Method::DELETE, &by_path, true, None),
            (Method::GET, &collection, false, Some(Verb::List)),
            (Method::GET, &collection, true, Some(Verb::Watch)),
            (Method::GET, &object, false, Some(Verb::Get)),
            (Method::GET, &object, true, Some(Verb::Get)),
            (Method::POST, &collection, false, Some(Verb::Create)),
            (Method::PUT, &object, false, Some(Verb::Update)),
            (Method::PATCH, &object, false, Some(Verb::Patch)),
            (Method::DELETE, &object, false, Some(Verb::Delete)),
            (Method::DELETE, &collection, false, Some(Verb::DeleteCollection)),
            (Method::TRACE, &collection, false, None),
        ];
        for (method, path, watch, verb) in table {
            assert_eq!(verb_of(&method, path, watch), verb, "{method}");
        }
    }

    proptest! {
        #[test]
        fn any_path_is_read_without_panic(path in "\\PC{0,60}") {
            let _ = Route::parse(&path);
        }

        #[test]
        fn a_name_comes_back_as_sent(name in "[^/]{1,20}") {
            let encoded: String =
                percent_encoding::utf8_percent_encode(&name, percent_encoding::NON_ALPHANUMERIC).to_string();
            let route = Route::parse(&format!("/api/v1/nodes/{encoded}"));
            prop_assert_eq!(route, path("", None, "nodes", Some(&name), None));
        }
    }
}
