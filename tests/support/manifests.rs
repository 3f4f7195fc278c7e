//! Manifests of a driver and of pods that mount its volumes.

use std::fmt::Write as _;

use serde_json::{Value, json};

/// A CSIDriver that asks for two tokens. `opted_in` is its `serviceAccountTokenInSecrets`, if it says anything.
pub(crate) fn csi_driver(name: &str, opted_in: Option<bool>) -> Value {
    let mut spec = json!({
        "attachRequired": false,
        "podInfoOnMount": true,
        "volumeLifecycleModes": ["Ephemeral"],
        "tokenRequests": [
            {"audience": "vault", "expirationSeconds": 3600},
            {"audience": "sts.example", "expirationSeconds": 600},
        ],
    });
    if let Some(opted_in) = opted_in {
        spec["serviceAccountTokenInSecrets"] = opted_in.into();
    }
    json!({"apiVersion": "storage.k8s.io/v1", "kind": "CSIDriver", "metadata": {"name": name}, "spec": spec})
}

/// A pod in `default` with one inline volume, called `tokens`.
pub(crate) fn pod(name: &str, driver: &str) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {
            "containers": [{"name": "main", "image": "registry.k8s.io/pause:3.10"}],
            "volumes": [{"name": "tokens", "csi": {"driver": driver}}],
        },
    })
}

/// One file of several objects. JSON is YAML.
pub(crate) fn file(objects: &[Value]) -> String {
    objects.iter().fold(String::new(), |mut text, object| {
        writeln!(text, "---\n{object:#}").unwrap();
        text
    })
}
