//! Applying manifests: create what is not there, change what is.

use http::StatusCode;
use serde_json::Value;
use tokenward_apiserver::{Client, ClientError, Reply};

use crate::manifest::Manifest;

/// What became of a manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Applied {
    /// What was done.
    pub outcome: Outcome,
    /// The server's warnings.
    pub warnings: Vec<String>,
}

/// What applying did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was made.
    Created,
    /// It was there and has been changed.
    Configured,
}

/// A manifest that the server refused.
#[derive(Debug, thiserror::Error)]
#[error("{origin}: {label} was refused")]
pub struct ApplyError {
    origin: String,
    label: String,
    #[source]
    source: ClientError,
}

/// Applies one manifest.
///
/// # Errors
/// The server's refusal, with the manifest's place.
pub async fn apply(client: &Client, manifest: &Manifest) -> Result<Applied, ApplyError> {
    let collection = collection_path(manifest);
    let object = Value::Object(manifest.object.clone());
    let done = |outcome| move |reply: Reply| Applied { outcome, warnings: reply.warnings };
    let result = match client.create(&collection, &object).await {
        Err(error) if error.code() == Some(StatusCode::CONFLICT) => {
            let path = format!("{collection}/{}", manifest.name);
            client.merge_patch(&path, &object).await.map(done(Outcome::Configured))
        }
        other => other.map(done(Outcome::Created)),
    };
    result.map_err(|source| ApplyError {
        origin: manifest.origin.to_string(),
        label: manifest.label(),
        source,
    })
}

fn collection_path(manifest: &Manifest) -> String {
    let kind = manifest.kind;
    let root = if kind.group.is_empty() { "api" } else { "apis" };
    let version = kind.api_version();
    match &manifest.namespace {
        Some(namespace) => format!("/{root}/{version}/namespaces/{namespace}/{}", kind.plural),
        None => format!("/{root}/{version}/{}", kind.plural),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::manifest::parse;

    #[test]
    fn collections_by_scope() {
        let text = "\
            {apiVersion: v1, kind: Pod, metadata: {name: a, namespace: b}}\n---\n\
            {apiVersion: storage.k8s.io/v1, kind: CSIDriver, metadata: {name: c}}\n";
        let manifests = parse(Path::new("x.yaml"), text).unwrap();
        let paths: Vec<String> = manifests.iter().map(collection_path).collect();
        assert_eq!(paths, ["/api/v1/namespaces/b/pods", "/apis/storage.k8s.io/v1/csidrivers"]);
    }
}
