//! One rule, and what it matches.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize};

use crate::field_error::quote;

/// A request as authorization sees it.
#[derive(Clone, Copy, Debug)]
pub enum Attributes<'a> {
    /// A path that is no resource.
    NonResource {
        /// The path.
        path: &'a str,
        /// The HTTP method in lower case.
        verb: &'a str,
    },
    /// A resource.
    Resource(ResourceAttributes<'a>),
}

/// A resource request as authorization sees it. Reviews may ask for verbs and resources that nobody serves.
#[derive(Clone, Copy, Debug)]
pub struct ResourceAttributes<'a> {
    /// `get`, `create`, `impersonate` and so on.
    pub verb: &'a str,
    /// API group, empty for core.
    pub group: &'a str,
    /// The plural resource name.
    pub resource: &'a str,
    /// Empty for the resource itself.
    pub subresource: &'a str,
    /// Empty at the cluster scope.
    pub namespace: &'a str,
    /// Empty when the request names no object, as a create or a list.
    pub name: &'a str,
}

/// `PolicyRule`: some verbs on some resources, or on some paths.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Deserialize, Serialize)]
#[serde(default, rename_all = "camelCase")]
pub struct PolicyRule {
    /// What may be done; `*` is everything.
    #[serde(deserialize_with = "null_is_empty")]
    pub verbs: Vec<String>,
    /// In which API groups; `*` is every one.
    #[serde(deserialize_with = "null_is_empty", skip_serializing_if = "Vec::is_empty")]
    pub api_groups: Vec<String>,
    /// To which resources: `pods`, `pods/status`, `*/status`, or `*` for all.
    #[serde(deserialize_with = "null_is_empty", skip_serializing_if = "Vec::is_empty")]
    pub resources: Vec<String>,
    /// To which objects; empty is all of them.
    #[serde(deserialize_with = "null_is_empty", skip_serializing_if = "Vec::is_empty")]
    pub resource_names: Vec<String>,
    /// To which paths; one that ends in `*` stands for all that begin like it.
    #[serde(
        rename = "nonResourceURLs",
        deserialize_with = "null_is_empty",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub non_resource_urls: Vec<String>,
}

/// Go writes a list that was never made as `null`.
pub(super) fn null_is_empty<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Option::deserialize(deserializer).map(Option::unwrap_or_default)
}

impl PolicyRule {
    /// Whether the rule allows a request.
    ///
    /// A rule with resource names allows only requests that name one of them. A create and a deletecollection name no
    /// object, so such a rule never allows them; a list or watch does by a `metadata.name` field selector.
    #[must_use]
    pub fn allows(&self, attributes: &Attributes<'_>) -> bool {
        match attributes {
            Attributes::NonResource { path, verb } => {
                has(&self.verbs, verb) && self.non_resource_urls.iter().any(|own| covers_path(own, path))
            }
            Attributes::Resource(asked) => {
                has(&self.verbs, asked.verb)
                    && has(&self.api_groups, asked.group)
                    && self.resources.iter().any(|own| is_resource(own, asked.resource, asked.subresource))
                    && (self.resource_names.is_empty()
                        || self.resource_names.iter().any(|name| name == asked.name))
            }
        }
    }
}

/// Whether a list of a rule has a value, by itself or by `*`.
pub(super) fn has(list: &[String], value: &str) -> bool {
    list.iter().any(|own| own == "*" || own == value)
}

/// Whether a resource of a rule is the one asked for: `*` is all, `*/status` that of all resources. The resource itself
/// says nothing of what is below it.
fn is_resource(own: &str, resource: &str, subresource: &str) -> bool {
    if own == "*" {
        return true;
    }
    if subresource.is_empty() {
        return own == resource;
    }
    // From behind: a resource may itself have a slash, as an audience that is a URL has.
    let head = own.strip_suffix(subresource).and_then(|head| head.strip_suffix('/'));
    head.is_some_and(|head| head == "*" || head == resource)
}

/// Whether a path of a rule covers a path, or a path of another rule.
pub(super) fn covers_path(own: &str, path: &str) -> bool {
    own == path || own.ends_with('*') && path.starts_with(own.trim_end_matches('*'))
}

/// As refusals show it: `{APIGroups:[""], Resources:["pods"], Verbs:["get"]}`.
impl fmt::Display for PolicyRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lists = [
            ("APIGroups", &self.api_groups),
            ("Resources", &self.resources),
            ("NonResourceURLs", &self.non_resource_urls),
            ("ResourceNames", &self.resource_names),
            ("Verbs", &self.verbs),
        ];
        let parts = lists.iter().filter(|(_, list)| !list.is_empty());
        let parts: Vec<String> = parts.map(|(name, list)| format!("{name}:{}", quoted(list))).collect();
        write!(f, "{{{}}}", parts.join(", "))
    }
}

/// A list as Go's `%q` prints it: `["a" "b"]`.
pub(super) fn quoted(texts: &[String]) -> String {
    format!("[{}]", texts.iter().map(|text| quote(text)).collect::<Vec<_>>().join(" "))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn rule(json: serde_json::Value) -> PolicyRule {
        serde_json::from_value(json).expect("a rule")
    }

    fn asked<'a>(verb: &'a str, group: &'a str, resource: &'a str, name: &'a str) -> Attributes<'a> {
        let (resource, subresource) = resource.split_once('/').unwrap_or((resource, ""));
        let namespace = "ns";
        Attributes::Resource(ResourceAttributes { verb, group, resource, subresource, namespace, name })
    }

    #[test]
    fn resources_match_as_upstream_matches_them() {
        let table = [
            // verbs, groups, resources, names of the rule; verb, group, resource, name of the request; allowed
            (
                json!({"verbs": ["get"], "apiGroups": [""], "resources": ["pods"]}),
                "get",
                "",
                "pods",
                "p",
                true,
            ),
            (
                json!({"verbs": ["get"], "apiGroups": [""], "resources": ["pods"]}),
                "list",
                "",
                "pods",
                "",
                false,
            ),
            (
                json!({"verbs": ["get"], "apiGroups": [""], "resources": ["pods"]}),
                "get",
                "apps",
                "pods",
                "",
                false,
            ),
            (
                json!({"verbs": ["get"], "apiGroups": [""], "resources": ["pods"]}),
                "get",
                "",
                "pods/log",
                "p",
                false,
            ),
            (
                json!({"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}),
                "get",
                "x",
                "pods/log",
                "p",
                true,
            ),
            (
                json!({"verbs": ["*"], "apiGroups": ["*"], "resources": ["*/log"]}),
                "get",
                "",
                "pods/log",
                "p",
                true,
            ),
            (
                json!({"verbs": ["*"], "apiGroups": ["*"], "resources": ["*/log"]}),
                "get",
                "",
                "pods",
                "p",
                false,
            ),
            (
                json!({"verbs": ["*"], "apiGroups": ["*"], "resources": ["*/log"]}),
                "get",
                "",
                "pods/catalog",
                "p",
                false,
            ),
            // Not a pattern: only the star alone and the star before a slash are.
            (
                json!({"verbs": ["*"], "apiGroups": ["*"], "resources": ["pods/*"]}),
                "get",
                "",
                "pods/log",
                "p",
                false,
            ),
            (
                json!({"verbs": ["*"], "apiGroups": [""], "resources": ["pods/log"]}),
                "get",
                "",
                "pods/log",
                "p",
                true,
            ),
            (
                json!({"verbs": ["*"], "apiGroups": [""], "resources": ["pods/log"]}),
                "get",
                "",
                "pods",
                "p",
                false,
            ),
            (
                json!({"verbs": ["*"], "apiGroups": [""], "resources": ["pods"], "resourceNames": ["p"]}),
                "get",
                "",
                "pods",
                "p",
                true,
            ),
            (
                json!({"verbs": ["*"], "apiGroups": [""], "resources": ["pods"], "resourceNames": ["p"]}),
                "create",
                "",
                "pods",
                "",
                false,
            ),
            (
                json!({"verbs": ["*"], "apiGroups": [""], "resources": ["pods"], "resourceNames": ["p"]}),
                "deletecollection",
                "",
                "pods",
                "",
                false,
            ),
            // A watch of one object by its name, as a field selector gives it.
            (
                json!({"verbs": ["*"], "apiGroups": [""], "resources": ["pods"], "resourceNames": ["p"]}),
                "watch",
                "",
                "pods",
                "p",
                true,
            ),
            (json!({"verbs": [], "apiGroups": [""], "resources": ["pods"]}), "get", "", "pods", "", false),
            (json!({"verbs": null, "apiGroups": [""], "resources": ["pods"]}), "get", "", "pods", "", false),
            (json!({"verbs": ["*"], "nonResourceURLs": ["*"]}), "get", "", "pods", "", false),
        ];
        for (json, verb, group, resource, name, allowed) in table {
            let rule = rule(json);
            assert_eq!(
                rule.allows(&asked(verb, group, resource, name)),
                allowed,
                "{rule} {verb} {resource} {name}"
            );
        }
    }

    #[test]
    fn audiences_with_slashes_are_matched_as_they_are() {
        let verb = "request-serviceaccounts-token-audience";
        let ask = |resource| {
            Attributes::Resource(ResourceAttributes {
                verb,
                group: "",
                resource,
                subresource: "",
                namespace: "ns",
                name: "web",
            })
        };
        let only =
            |audience: &str| rule(json!({"verbs": [verb], "apiGroups": [""], "resources": [audience]}));
        assert!(only("https://vault.example").allows(&ask("https://vault.example")));
        assert!(!only("https://vault.example").allows(&ask("https://vault.example/other")));
        assert!(!only("https:").allows(&ask("https://vault.example")));
        assert!(only("").allows(&ask("")) && !only("").allows(&ask("vault")));
        assert!(only("*").allows(&ask("https://vault.example")));
    }

    #[test]
    fn paths_match_exactly_or_by_their_beginning() {
        let table = [
            ("/api", "/api", true),
            ("/api", "/api/", false),
            ("/api/*", "/api/v1", true),
            ("/api/*", "/api", false),
            ("/api*", "/apis", true),
            ("*", "/anything", true),
            ("/a**", "/ab", true),
            ("/*/metrics", "/x/metrics", false),
        ];
        for (own, path, allowed) in table {
            let rule = rule(json!({"verbs": ["get"], "nonResourceURLs": [own]}));
            assert_eq!(rule.allows(&Attributes::NonResource { path, verb: "get" }), allowed, "{own} {path}");
            assert!(!rule.allows(&Attributes::NonResource { path, verb: "post" }));
        }
    }

    #[test]
    fn rules_are_shown_without_what_is_empty() {
        let rule = rule(json!({"verbs": ["get", "list"], "apiGroups": [""], "resources": ["a\"b"]}));
        assert_eq!(rule.to_string(), r#"{APIGroups:[""], Resources:["a\"b"], Verbs:["get" "list"]}"#);
    }
}
