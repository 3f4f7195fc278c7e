//! What the server serves, told from the table of kinds.

pub(crate) mod aggregated;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tokenward_kube_schema::openapi::GroupVersion as Documented;
use tokenward_kube_schema::{Connection, Kind, Subresource, Verb, kinds};

use crate::request::GroupVersion;

/// `/api`.
pub(crate) fn core_versions(address: &str) -> Value {
    json!({
        "kind": "APIVersions",
        "versions": ["v1"],
        "serverAddressByClientCIDRs": [{"clientCIDR": "0.0.0.0/0", "serverAddress": address}],
    })
}

/// `/apis`.
pub(crate) fn groups() -> Value {
    let groups: Vec<Value> = group_names()
        .into_iter()
        .map(|name| {
            let mut group = describe(name);
            group.remove("kind");
            group.remove("apiVersion");
            Value::Object(group)
        })
        .collect();
    json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": groups})
}

/// Upstream's order of preference. Where two groups know the same name, clients take the first.
const PREFERENCE: [&str; 10] = [
    "apps",
    "authentication.k8s.io",
    "authorization.k8s.io",
    "policy",
    "rbac.authorization.k8s.io",
    "storage.k8s.io",
    "admissionregistration.k8s.io",
    "scheduling.k8s.io",
    "coordination.k8s.io",
    "discovery.k8s.io",
];

/// Every served group but the core one, the most wanted first.
fn group_names() -> Vec<&'static str> {
    let mut names: Vec<&str> = served().map(|kind| kind.group).filter(|group| !group.is_empty()).collect();
    let rank = |name: &str| PREFERENCE.iter().position(|known| *known == name).unwrap_or(PREFERENCE.len());
    names.sort_by_key(|name| (rank(name), *name));
    names.dedup();
    names
}

/// `/` lists where a client may look further.
pub(crate) fn paths() -> Value {
    let mut paths: Vec<String> = ["/api", "/api/v1", "/apis"].map(str::to_owned).to_vec();
    for group in group_names() {
        paths.push(format!("/apis/{group}"));
        paths.push(format!("/apis/{group}/v1"));
    }
    paths.extend(Documented::all().into_iter().map(|of| format!("/openapi/v3/{}", of.path())));
    paths.extend(OTHER_PATHS.iter().map(|path| (*path).to_owned()));
    paths.sort_unstable();
    json!({"paths": paths})
}

/// The paths that are no API.
const OTHER_PATHS: &[&str] = &[
    "/.well-known/openid-configuration",
    "/healthz",
    "/healthz/ping",
    "/livez",
    "/livez/ping",
    "/openapi/v2",
    "/metrics",
    "/openapi/v3",
    "/openid/v1/jwks",
    "/readyz",
    "/readyz/ping",
    "/version",
];

/// `/apis/GROUP`.
pub(crate) fn group(name: &str) -> Option<Value> {
    let is_served = !name.is_empty() && served().any(|kind| kind.group == name);
    is_served.then(|| Value::Object(describe(name)))
}

fn describe(group: &str) -> serde_json::Map<String, Value> {
    let version = json!({"groupVersion": format!("{group}/v1"), "version": "v1"});
    let description = json!({
        "kind": "APIGroup", "apiVersion": "v1", "name": group,
        "versions": [version.clone()], "preferredVersion": version,
    });
    description.as_object().cloned().unwrap_or_default()
}

/// `/api/v1` and `/apis/GROUP/VERSION`.
pub(crate) fn resources(wanted: &GroupVersion) -> Option<Value> {
    let mut list = Vec::new();
    let kinds = served().filter(|kind| kind.group == wanted.group && kind.version == wanted.version);
    for kind in kinds {
        list.push(resource(kind));
        list.extend(kind.subresources.iter().map(|subresource| below(kind, subresource)));
        list.extend(kind.connections.iter().map(|connection| beyond(kind, connection)));
    }
    if list.is_empty() {
        return None;
    }
    list.sort_by(|a, b| a["name"].as_str().cmp(&b["name"].as_str()));
    let group_version = if wanted.group.is_empty() {
        wanted.version.clone()
    } else {
        format!("{}/{}", wanted.group, wanted.version)
    };
    let mut document = json!({"kind": "APIResourceList", "groupVersion": group_version, "resources": list});
    if !wanted.group.is_empty() {
        // Upstream's oldest group leaves it out.
        document["apiVersion"] = "v1".into();
    }
    Some(document)
}

/// Whether anything of a group is served, in whatever version.
pub(crate) fn serves_group(group: &str) -> bool {
    served().any(|kind| kind.group == group)
}

/// Whether a path stands below one of a group that is served. What is not there is refused as a resource, and elsewhere
/// as a page.
pub(crate) fn is_within_group(path: &str) -> bool {
    match path.strip_prefix("/apis/").and_then(|rest| rest.split_once('/')) {
        Some((group, _)) => !group.is_empty() && serves_group(group),
        None => path.starts_with("/api/"),
    }
}

fn served() -> impl Iterator<Item = &'static Kind> {
    kinds().iter().filter(|kind| !kind.plural.is_empty())
}

fn verbs(verbs: &[Verb]) -> Vec<&'static str> {
    verbs.iter().map(|verb| verb.as_str()).collect()
}

fn resource(kind: &Kind) -> Value {
    let mut resource = json!({
        "name": kind.plural, "singularName": kind.singular, "namespaced": kind.namespaced,
        "kind": kind.kind, "verbs": verbs(kind.verbs),
    });
    if !kind.short_names.is_empty() {
        resource["shortNames"] = kind.short_names.into();
    }
    if !kind.categories.is_empty() {
        resource["categories"] = kind.categories.into();
    }
    if kind.allows(Verb::Get) {
        resource["storageVersionHash"] = storage_version_hash(kind).into();
    }
    resource
}

/// Clients compare it to learn that objects are stored in another version now; the making is upstream's.
fn storage_version_hash(kind: &Kind) -> String {
    let stored_as = [kind.group, kind.version, kind.kind].join("/");
    STANDARD.encode(&Sha256::digest(stored_as.as_bytes())[..8])
}

fn below(kind: &Kind, subresource: &Subresource) -> Value {
    let mut resource = json!({
        "name": format!("{}/{}", kind.plural, subresource.name), "singularName": "",
        "namespaced": kind.namespaced, "kind": subresource.kind, "verbs": verbs(subresource.verbs),
    });
    if subresource.group != kind.group {
        resource["group"] = subresource.group.into();
        resource["version"] = subresource.version.into();
    }
    resource
}

fn beyond(kind: &Kind, connection: &Connection) -> Value {
    json!({
        "name": format!("{}/{}", kind.plural, connection.name), "singularName": "",
        "namespaced": kind.namespaced, "kind": connection.kind, "verbs": verbs(connection.verbs),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_come_in_the_order_of_preference() {
        assert_eq!(group_names(), PREFERENCE, "a group that is served has a place in the order");
    }

    #[test]
    fn a_storage_version_hash_tells_group_version_and_kind() {
        let table = [
            ("", "pods", "xPOwRZ+Yhw8="),
            ("storage.k8s.io", "csidrivers", "hL6j/rwBV5w="),
            ("apps", "daemonsets", "dd7pWHUlMKQ="),
            ("scheduling.k8s.io", "priorityclasses", "1QwjyaZjj3Y="),
            ("policy", "poddisruptionbudgets", "EVWiDmWqyJw="),
        ];
        for (group, plural, hash) in table {
            let kind = tokenward_kube_schema::find_resource(group, "v1", plural).expect("served");
            assert_eq!(storage_version_hash(kind), hash, "{plural}");
        }
    }

    #[test]
    fn every_listed_path_is_read() {
        for path in paths()["paths"].as_array().expect("a list") {
            let path = path.as_str().expect("a text");
            assert_ne!(crate::request::Route::parse(path), crate::request::Route::Unknown, "{path}");
        }
    }
}
