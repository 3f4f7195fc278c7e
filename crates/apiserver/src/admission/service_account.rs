//! ServiceAccount admission: every pod runs as an account that exists, and gets a token of it unless pod or account say
//! otherwise.

use serde::Deserialize;
use serde_json::{Value, json};

use crate::cluster_view::ClusterView;
use crate::object::{Metadata, Object, at, child_mut, text_at};
use crate::random::random_suffix;
use crate::status::{ApiError, Subject};

const MIRROR: &str = "kubernetes.io/config.mirror";
/// Where containers look for their token.
const MOUNT_PATH: &str = "/var/run/secrets/kubernetes.io/serviceaccount";
const VOLUME_PREFIX: &str = "kube-api-access-";
/// What tells the API server that a token was asked for by this plugin: such a one may live longer (the issuer's rule).
const EXPIRATION_SECONDS: i64 = 3607;

/// What an account says of the pods that run as it.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Account {
    image_pull_secrets: Option<Value>,
    automount_service_account_token: Option<bool>,
}

/// Gives a new pod the account `default` when it names none, and refuses one whose account is not there.
pub(crate) fn admit_pod(pod: &mut Object, namespace: &str, cluster: &ClusterView) -> Result<(), ApiError> {
    let annotations = pod.get("metadata").and_then(|metadata| metadata.get("annotations"));
    if annotations.is_some_and(|annotations| annotations.get(MIRROR).is_some()) {
        return match mirror_fault(pod) {
            None => Ok(()),
            Some(why) => {
                Err(ApiError::forbidden(Subject { group: "", kind: "pods", name: pod.name_or_prefix() }, why))
            }
        };
    }
    let named = match text_at(pod, &["spec", "serviceAccountName"]) {
        // The deprecated spelling still counts.
        "" => text_at(pod, &["spec", "serviceAccount"]),
        name => name,
    };
    let account = if named.is_empty() { "default".to_owned() } else { named.to_owned() };
    let Some(entry) = cluster.entry("serviceaccounts", Some(namespace), &account) else {
        let why = format!(
            "error looking up service account {namespace}/{account}: serviceaccount \"{account}\" not found"
        );
        let name = pod.name_or_prefix().to_owned();
        return Err(ApiError::forbidden(Subject { group: "", kind: "pods", name: &name }, &why));
    };
    let stored: Account = serde_json::from_slice(&entry.value).unwrap_or_default();
    let spec = child_mut(pod, "spec");
    spec.insert("serviceAccountName".to_owned(), account.as_str().into());
    spec.insert("serviceAccount".to_owned(), account.into());
    let is_empty = |list: Option<&Value>| list.and_then(Value::as_array).is_none_or(Vec::is_empty);
    if is_empty(spec.get("imagePullSecrets"))
        && let Some(secrets) = stored.image_pull_secrets
    {
        spec.insert("imagePullSecrets".to_owned(), secrets);
    }
    let wish = spec.get("automountServiceAccountToken").and_then(Value::as_bool);
    if wish.or(stored.automount_service_account_token).unwrap_or(true) {
        mount_token(pod);
    }
    Ok(())
}

/// A mirror stands for a pod that a node runs by itself: it gives its node nothing that belongs to an account.
fn mirror_fault(pod: &Object) -> Option<&'static str> {
    let named = ["serviceAccountName", "serviceAccount"].map(|member| text_at(pod, &["spec", member]));
    if named.iter().any(|name| !name.is_empty()) {
        return Some("a mirror pod may not reference service accounts");
    }
    let list = |list: Option<&Value>| list.and_then(Value::as_array).cloned().unwrap_or_default();
    let spec = |member: &str| list(at(pod, &["spec", member]));
    let sources = |volume: &Value| list(volume.pointer("/projected/sources"));
    let volumes = spec("volumes");
    if volumes
        .iter()
        .any(|volume| sources(volume).iter().any(|source| source.get("serviceAccountToken").is_some()))
    {
        return Some("a mirror pod may not use ServiceAccountToken volume projections");
    }
    let is_secret = |volume: &Value| {
        let in_csi = volume.pointer("/csi/nodePublishSecretRef").is_some();
        volume.get("secret").is_some()
            || in_csi
            || sources(volume).iter().any(|source| source.get("secret").is_some())
    };
    let uses_secret = |container: &Value| {
        let from = list(container.get("envFrom")).iter().any(|source| source.get("secretRef").is_some());
        from || list(container.get("env"))
            .iter()
            .any(|variable| variable.pointer("/valueFrom/secretKeyRef").is_some())
    };
    let containers = [spec("containers"), spec("initContainers")].concat();
    let has_secrets = !spec("imagePullSecrets").is_empty()
        || volumes.iter().any(is_secret)
        || containers.iter().any(uses_secret);
    has_secrets.then_some("a mirror pod may not reference secrets")
}

/// Mounts a projected token into every container that has nothing at the usual place.
fn mount_token(pod: &mut Object) {
    let volumes = at(pod, &["spec", "volumes"]).and_then(Value::as_array);
    let names = volumes.into_iter().flatten().filter_map(|volume| volume.get("name")?.as_str());
    let existing = names.into_iter().find(|name| name.starts_with(VOLUME_PREFIX)).map(str::to_owned);
    let name = existing.clone().unwrap_or_else(|| format!("{VOLUME_PREFIX}{}", random_suffix()));
    let spec = child_mut(pod, "spec");
    let mut is_needed = false;
    for list in ["initContainers", "containers"] {
        let containers = spec.get_mut(list).and_then(Value::as_array_mut).into_iter().flatten();
        for container in containers.filter_map(Value::as_object_mut) {
            let mounts = container.entry("volumeMounts").or_insert_with(|| json!([]));
            let Some(mounts) = mounts.as_array_mut() else { continue };
            if mounts.iter().any(|mount| mount.get("mountPath").and_then(Value::as_str) == Some(MOUNT_PATH)) {
                continue;
            }
            mounts.push(json!({"name": name, "readOnly": true, "mountPath": MOUNT_PATH}));
            is_needed = true;
        }
    }
    if !is_needed || existing.is_some() {
        return;
    }
    let volume = json!({"name": name, "projected": {"defaultMode": 0o644, "sources": [
        {"serviceAccountToken": {"expirationSeconds": EXPIRATION_SECONDS, "path": "token"}},
        {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
        {"downwardAPI": {"items": [
            {"path": "namespace", "fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.namespace"}},
        ]}},
    ]}});
    if let Some(volumes) = spec.entry("volumes").or_insert_with(|| json!([])).as_array_mut() {
        volumes.push(volume);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mounted(spec: &Value) -> Value {
        let mut pod =
            json!({"metadata": {"name": "p"}, "spec": spec}).as_object().cloned().unwrap_or_default();
        mount_token(&mut pod);
        Value::Object(pod)
    }

    #[test]
    fn a_token_is_mounted_where_nothing_is() {
        let pod = mounted(&json!({"containers": [
            {"name": "a"}, {"name": "b", "volumeMounts": [{"name": "own", "mountPath": MOUNT_PATH}]}]}));
        let name = pod["spec"]["volumes"][0]["name"].as_str().expect("a volume");
        assert!(name.starts_with(VOLUME_PREFIX), "{name}");
        assert_eq!(pod["spec"]["containers"][0]["volumeMounts"][0]["name"], name);
        assert_eq!(pod["spec"]["containers"][1]["volumeMounts"].as_array().map(Vec::len), Some(1));
    }

    #[test]
    fn a_mirror_has_nothing_of_an_account() {
        let fault = |spec: Value| {
            mirror_fault(
                json!({"metadata": {"annotations": {MIRROR: "x"}}, "spec": spec}).as_object().unwrap(),
            )
        };
        assert_eq!(fault(json!({"containers": [{"name": "c", "env": [{"name": "A", "value": "b"}]}]})), None);
        let account = Some("a mirror pod may not reference service accounts");
        assert_eq!(fault(json!({"serviceAccountName": "web"})), account);
        let token = json!({"volumes": [{"name": "t", "projected": {"sources": [{"serviceAccountToken": {"path": "t"}}]}}]});
        assert_eq!(fault(token), Some("a mirror pod may not use ServiceAccountToken volume projections"));
        for spec in [
            json!({"volumes": [{"name": "s", "secret": {"secretName": "s"}}]}),
            json!({"volumes": [{"name": "s", "projected": {"sources": [{"secret": {"name": "s"}}]}}]}),
            json!({"volumes": [{"name": "s", "csi": {"driver": "d", "nodePublishSecretRef": {"name": "s"}}}]}),
            json!({"imagePullSecrets": [{"name": "s"}]}),
            json!({"containers": [{"envFrom": [{"secretRef": {"name": "s"}}]}]}),
            json!({"initContainers": [{"env": [{"name": "A", "valueFrom": {"secretKeyRef": {"name": "s"}}}]}]}),
        ] {
            assert_eq!(fault(spec.clone()), Some("a mirror pod may not reference secrets"), "{spec}");
        }
    }

    #[test]
    fn no_volume_is_added_that_nobody_mounts_or_that_is_there() {
        let own = json!([{"name": "own", "mountPath": MOUNT_PATH}]);
        let pod = mounted(&json!({"containers": [{"name": "a", "volumeMounts": own}]}));
        assert!(pod["spec"].get("volumes").is_none());
        let pod =
            mounted(&json!({"containers": [{"name": "a"}], "volumes": [{"name": "kube-api-access-x"}]}));
        assert_eq!(pod["spec"]["volumes"].as_array().map(Vec::len), Some(1));
        assert_eq!(pod["spec"]["containers"][0]["volumeMounts"][0]["name"], "kube-api-access-x");
    }
}
