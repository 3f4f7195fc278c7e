//! OpenAPI 3.0 documents, one for each served group and version, made from the table.
//!
//! Clients take from them what fields there are and what they mean (`kubectl explain`), how lists merge (`kubectl diff`,
//! client-side apply), and that the server itself looks for unknown fields (`kubectl create`, `apply`). The layout, the
//! names of schemas and the `x-kubernetes-` extensions are upstream's; the descriptions are our own words.

mod descriptions;
mod paths;
mod schemas;

use serde_json::{Value, json};
use tokenward_kube_rules::Release;

use self::schemas::Schemas;
use crate::kind::{Kind, kinds};

/// A group and version that has a document; the core group is empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GroupVersion {
    /// The API group.
    pub group: &'static str,
    /// The version within the group.
    pub version: &'static str,
}

impl GroupVersion {
    /// Every group and version that something is served of, sorted.
    #[must_use]
    pub fn all() -> Vec<Self> {
        let mut all: Vec<Self> = served().map(Self::of).collect();
        all.sort_unstable();
        all.dedup();
        all
    }

    /// `api/v1` or `apis/storage.k8s.io/v1`: the start of its paths, and its name in the list of documents.
    #[must_use]
    pub fn path(self) -> String {
        if self.group.is_empty() {
            format!("api/{}", self.version)
        } else {
            format!("apis/{}/{}", self.group, self.version)
        }
    }

    fn of(kind: &Kind) -> Self {
        Self { group: kind.group, version: kind.version }
    }
}

/// The document of one group and version, as a release has it: its paths with what can be done there, and every type
/// that they lead to.
#[must_use]
pub fn document(of: GroupVersion, release: Release) -> Value {
    let mut schemas = Schemas::new(release, of);
    let mut paths = serde_json::Map::new();
    for kind in served().filter(|kind| GroupVersion::of(kind) == of) {
        paths.extend(paths::of_kind(kind, &mut schemas));
    }
    json!({
        "openapi": "3.0.0",
        "info": {"title": "Kubernetes", "version": release.git_version()},
        "paths": paths,
        "components": {
            "schemas": schemas.finish(),
            "securitySchemes": {
                "BearerToken": {
                    "type": "apiKey", "in": "header", "name": "authorization",
                    "description": "A token after the word Bearer",
                },
            },
        },
    })
}

fn served() -> impl Iterator<Item = &'static Kind> {
    kinds().iter().filter(|kind| !kind.plural.is_empty())
}

#[cfg(test)]
mod tests;
