//! Discovery in one document (`apidiscovery.k8s.io/v2`): all groups, versions, resources and subresources at once.
//!
//! The same table as the older documents, told in another shape; a test holds the two against each other.

use std::sync::LazyLock;

use serde::Serialize;
use tokenward_kube_schema::{Kind, Verb};

use super::{group_names, served};
use crate::document::Document;

/// Clients decide by this very Content-Type whether they were understood.
pub(crate) const CONTENT_TYPE: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";

/// `/api`: the core group alone.
pub(crate) fn core() -> &'static Document {
    static CORE: LazyLock<Document> = LazyLock::new(|| write(vec![Group::of("")]));
    &CORE
}

/// `/apis`: every other group, the most wanted first.
pub(crate) fn groups() -> &'static Document {
    static GROUPS: LazyLock<Document> =
        LazyLock::new(|| write(group_names().into_iter().map(Group::of).collect()));
    &GROUPS
}

/// Whether one range of an Accept header asks for this form of discovery.
///
/// Parameters that are not known, such as `profile=nopeer` (leave out what other servers serve; there are none), do not
/// count. The beta version of the form has not been served since 1.33: such a range asks for nothing that there is.
pub(crate) fn is_asked_by(range: &str) -> bool {
    let mut parts = range.split(';').map(str::trim);
    let media = parts.next().unwrap_or("");
    let parameters: Vec<(&str, &str)> = parts.filter_map(|part| part.split_once('=')).collect();
    let has = |name: &str, value: &str| parameters.contains(&(name, value));
    matches!(media, "application/json" | "application/*" | "*/*")
        && has("g", "apidiscovery.k8s.io")
        && has("v", "v2")
        && has("as", "APIGroupDiscoveryList")
}

fn write(items: Vec<Group>) -> Document {
    let list = List {
        kind: "APIGroupDiscoveryList",
        api_version: "apidiscovery.k8s.io/v2",
        metadata: Metadata::default(),
        items,
    };
    Document::new(serde_json::to_vec(&list).expect("names only"))
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct List {
    kind: &'static str,
    api_version: &'static str,
    metadata: Metadata,
    items: Vec<Group>,
}

#[derive(Default, Serialize)]
struct Metadata {
    #[serde(skip_serializing_if = "str::is_empty")]
    name: &'static str,
}

#[derive(Serialize)]
struct Group {
    metadata: Metadata,
    versions: Vec<Version>,
}

#[derive(Serialize)]
struct Version {
    version: &'static str,
    resources: Vec<Resource>,
    freshness: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Resource {
    resource: &'static str,
    response_kind: ResponseKind,
    scope: &'static str,
    singular_resource: &'static str,
    verbs: Vec<&'static str>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    short_names: &'static [&'static str],
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    categories: &'static [&'static str],
    #[serde(skip_serializing_if = "Vec::is_empty")]
    subresources: Vec<Subresource>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Subresource {
    subresource: &'static str,
    response_kind: ResponseKind,
    verbs: Vec<&'static str>,
}

/// Group and version are empty where they are those that the resource stands under.
#[derive(Serialize)]
struct ResponseKind {
    group: &'static str,
    version: &'static str,
    kind: &'static str,
}

impl Group {
    fn of(name: &'static str) -> Self {
        let mut versions: Vec<Version> = Vec::new();
        for kind in served().filter(|kind| kind.group == name) {
            let resource = Resource::of(kind);
            match versions.iter_mut().find(|version| version.version == kind.version) {
                Some(version) => version.resources.push(resource),
                None => versions.push(Version {
                    version: kind.version,
                    resources: vec![resource],
                    freshness: "Current",
                }),
            }
        }
        for version in &mut versions {
            version.resources.sort_by_key(|resource| resource.resource);
        }
        Self { metadata: Metadata { name }, versions }
    }
}

impl Resource {
    fn of(kind: &'static Kind) -> Self {
        let mut subresources: Vec<Subresource> = kind
            .subresources
            .iter()
            .map(|below| Subresource {
                subresource: below.name,
                response_kind: ResponseKind::of(kind, (below.group, below.version), below.kind),
                verbs: names(below.verbs),
            })
            .chain(kind.connections.iter().map(|beyond| Subresource {
                subresource: beyond.name,
                response_kind: ResponseKind::of(kind, (kind.group, kind.version), beyond.kind),
                verbs: names(beyond.verbs),
            }))
            .collect();
        subresources.sort_by_key(|below| below.subresource);
        Self {
            resource: kind.plural,
            response_kind: ResponseKind::of(kind, (kind.group, kind.version), kind.kind),
            scope: if kind.namespaced { "Namespaced" } else { "Cluster" },
            singular_resource: kind.singular,
            verbs: names(kind.verbs),
            short_names: kind.short_names,
            categories: kind.categories,
            subresources,
        }
    }
}

impl ResponseKind {
    fn of(above: &Kind, (group, version): (&'static str, &'static str), kind: &'static str) -> Self {
        if (group, version) == (above.group, above.version) {
            Self { group: "", version: "", kind }
        } else {
            Self { group, version, kind }
        }
    }
}

fn names(verbs: &[Verb]) -> Vec<&'static str> {
    verbs.iter().map(|verb| verb.as_str()).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::discovery;
    use crate::request::GroupVersion;

    #[test]
    fn ranges() {
        let table = [
            ("application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList", true),
            ("application/json; as=APIGroupDiscoveryList; v=v2; g=apidiscovery.k8s.io", true),
            ("application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList;profile=nopeer", true),
            ("application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList", false),
            ("application/json;g=meta.k8s.io;v=v2;as=APIGroupDiscoveryList", false),
            ("application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscovery", false),
            ("application/yaml;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList", false),
            ("application/json", false),
            ("", false),
        ];
        for (range, expected) in table {
            assert_eq!(is_asked_by(range), expected, "{range}");
        }
    }

    /// What a client makes of the document: the rows of the older ones.
    fn flattened(document: &Document) -> Vec<(String, Value)> {
        let list: Value = serde_json::from_slice(document.json()).expect("JSON");
        let mut rows = Vec::new();
        for group in list["items"].as_array().expect("groups") {
            let name = group["metadata"]["name"].as_str().unwrap_or("");
            for version in group["versions"].as_array().expect("versions") {
                let place = format!("{name}/{}", version["version"].as_str().expect("a version"));
                for resource in version["resources"].as_array().expect("resources") {
                    let is_namespaced = resource["scope"] == "Namespaced";
                    let row = |name: String, singular: &Value, from: &Value| {
                        let mut row = serde_json::json!({
                            "name": name, "singularName": singular, "namespaced": is_namespaced,
                            "kind": from["responseKind"]["kind"], "verbs": from["verbs"],
                        });
                        for member in ["shortNames", "categories"] {
                            if let Some(value) = from.get(member) {
                                row[member] = value.clone();
                            }
                        }
                        if from["responseKind"]["version"] != "" {
                            row["group"] = from["responseKind"]["group"].clone();
                            row["version"] = from["responseKind"]["version"].clone();
                        }
                        (place.clone(), row)
                    };
                    let plural = resource["resource"].as_str().expect("a name");
                    rows.push(row(plural.to_owned(), &resource["singularResource"], resource));
                    for below in resource["subresources"].as_array().into_iter().flatten() {
                        let name = format!("{plural}/{}", below["subresource"].as_str().expect("a name"));
                        rows.push(row(name, &Value::from(""), below));
                    }
                }
            }
        }
        rows.sort_by_key(|(place, row)| (place.clone(), row["name"].as_str().map(str::to_owned)));
        rows
    }

    #[test]
    fn both_forms_of_discovery_say_the_same() {
        let mut older = Vec::new();
        for group in std::iter::once("").chain(group_names()) {
            let wanted = GroupVersion { group: group.to_owned(), version: "v1".to_owned() };
            let document = discovery::resources(&wanted).expect("a served group");
            for row in document["resources"].as_array().expect("resources") {
                let mut row = row.clone();
                // Only the older form has it.
                row.as_object_mut().expect("a row").remove("storageVersionHash");
                older.push((format!("{group}/v1"), row));
            }
        }
        older.sort_by_key(|(place, row)| (place.clone(), row["name"].as_str().map(str::to_owned)));
        let mut newer = flattened(core());
        newer.extend(flattened(groups()));
        newer.sort_by_key(|(place, row)| (place.clone(), row["name"].as_str().map(str::to_owned)));
        assert_eq!(newer, older);
    }
}
