//! Applying manifests: create what is not there, change what is.

use std::time::Duration;

use http::StatusCode;
use serde_json::Value;
use tokenward_apiserver::{Client, ClientError, Reply};
use tokio::time::{Instant, sleep};

use crate::manifest::Manifest;

/// How long a pod waits for the account that the controllers make in each namespace. Then the server says that it lacks.
const ACCOUNT_LIMIT: Duration = Duration::from_secs(10);
/// How often it is looked for.
const ACCOUNT_PERIOD: Duration = Duration::from_millis(10);

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
    /// It was there and is what the manifest says.
    Unchanged,
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

/// Applies one manifest. A pod of its namespace's `default` account waits a moment for it, since a namespace that was applied
/// just before has none yet.
///
/// # Errors
/// The server's refusal, with the manifest's place.
pub async fn apply(client: &Client, manifest: &Manifest) -> Result<Applied, ApplyError> {
    let collection = collection_path(manifest);
    let object = Value::Object(manifest.object.clone());
    if let Some(account) = default_account(manifest) {
        wait_for(client, &account).await;
    }
    let done = |outcome| move |reply: Reply| Applied { outcome, warnings: reply.warnings };
    let result = match client.create(&collection, &object).await {
        Err(error) if error.code() == Some(StatusCode::CONFLICT) => {
            let path = format!("{collection}/{}", manifest.name);
            match client.get(&path).await {
                // A patch would take from its lists what defaults and admission have put there, as a pod's token volume.
                Ok(there) if holds(&there, &object) => {
                    Ok(Applied { outcome: Outcome::Unchanged, warnings: Vec::new() })
                }
                _ => client.merge_patch(&path, &object).await.map(done(Outcome::Configured)),
            }
        }
        other => other.map(done(Outcome::Created)),
    };
    result.map_err(|source| ApplyError {
        origin: manifest.origin.to_string(),
        label: manifest.label(),
        source,
    })
}

/// Where the account is that a pod gets which names none.
fn default_account(manifest: &Manifest) -> Option<String> {
    let namespace = manifest.namespace.as_ref().filter(|_| manifest.kind.kind == "Pod")?;
    let spec = manifest.object.get("spec");
    let named = ["serviceAccountName", "serviceAccount"]
        .into_iter()
        .filter_map(|field| spec?.get(field)?.as_str())
        .find(|name| !name.is_empty());
    let is_default = named.is_none_or(|name| name == "default");
    is_default.then(|| format!("/api/v1/namespaces/{namespace}/serviceaccounts/default"))
}

async fn wait_for(client: &Client, path: &str) {
    let limit = Instant::now() + ACCOUNT_LIMIT;
    let is_missing = async || {
        let found = client.get(path).await;
        found.is_err_and(|error| error.code() == Some(StatusCode::NOT_FOUND))
    };
    while is_missing().await && Instant::now() < limit {
        sleep(ACCOUNT_PERIOD).await;
    }
}

/// Whether everything that `wanted` says is so in `found`, which may say more.
fn holds(found: &Value, wanted: &Value) -> bool {
    match (found, wanted) {
        (Value::Object(found), Value::Object(wanted)) => wanted.iter().all(|(member, wanted)| {
            // What is not there is null, and an empty list or object.
            holds(found.get(member).unwrap_or(&Value::Null), wanted)
        }),
        (Value::Null, Value::Object(wanted)) => wanted.values().all(|wanted| holds(&Value::Null, wanted)),
        (Value::Array(found), Value::Array(wanted)) => {
            // In their order: an environment is read from top to bottom.
            let mut rest = found.iter();
            wanted.iter().all(|wanted| rest.any(|found| holds(found, wanted)))
        }
        (Value::Null, Value::Array(wanted)) => wanted.is_empty(),
        (found, wanted) => found == wanted,
    }
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

    use serde_json::json;

    use super::*;
    use crate::manifest::parse;

    #[test]
    fn an_object_may_say_more_than_its_manifest_and_not_less_or_other() {
        let found = json!({
            "metadata": {"name": "a", "uid": "u", "labels": {"x": "1"}},
            "spec": {"volumes": [{"name": "v", "csi": {"driver": "d"}}, {"name": "token"}], "nodeName": "n"},
        });
        for (wanted, is_held) in [
            (json!({"metadata": {"name": "a"}, "spec": {"volumes": [{"name": "v"}]}}), true),
            (json!({"spec": {"volumes": [{"name": "token"}], "hostAliases": [], "affinity": null}}), true),
            (json!({"metadata": {"annotations": {}}}), true),
            (json!({"metadata": {"labels": {"x": "2"}}}), false),
            (json!({"metadata": {"annotations": {"a": "b"}}}), false),
            (json!({"spec": {"volumes": [{"name": "v", "csi": {"driver": "other"}}]}}), false),
            (json!({"spec": {"volumes": [{"name": "token"}, {"name": "v"}]}}), false),
            (json!({"spec": {"volumes": [{"name": "v"}, {"name": "v"}]}}), false),
            (json!({"spec": {"hostAliases": [{"ip": "192.0.2.1"}]}}), false),
        ] {
            assert_eq!(holds(&found, &wanted), is_held, "{wanted}");
        }
    }

    #[test]
    fn only_a_pod_that_names_no_other_account_waits_for_the_default_one() {
        let account = Some("/api/v1/namespaces/b/serviceaccounts/default".to_owned());
        for (kind, spec, expected) in [
            ("Pod", "{}", &account),
            ("Pod", "{serviceAccountName: default}", &account),
            ("Pod", "{serviceAccountName: ''}", &account),
            ("Pod", "{serviceAccountName: shop}", &None),
            ("Pod", "{serviceAccount: shop}", &None),
            ("Secret", "{}", &None),
        ] {
            let text = format!(
                "{{apiVersion: v1, kind: {kind}, metadata: {{name: a, namespace: b}}, spec: {spec}}}"
            );
            let manifests = parse(Path::new("x.yaml"), &text).unwrap();
            assert_eq!(default_account(&manifests[0]), *expected, "{kind} {spec}");
        }
    }

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
