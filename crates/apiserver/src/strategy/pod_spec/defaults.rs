//! What a client may leave out of a pod's spec.

use serde_json::{Value, json};

use super::super::volume_sources;
use crate::object::{Object, child_mut, set_default};

/// The bits of files in volumes of secrets, config maps and the like.
const FILE_MODE: u32 = 0o644;

/// Fills in a pod's spec.
pub(in crate::strategy) fn default_pod(pod: &mut Object) {
    let spec = child_mut(pod, "spec");
    if spec.get("terminationGracePeriodSeconds").and_then(Value::as_i64).is_some_and(|seconds| seconds < 0) {
        spec.insert("terminationGracePeriodSeconds".to_owned(), 1.into());
    }
    set_default(spec, "enableServiceLinks", true);
    let on_host_network = spec.get("hostNetwork").and_then(Value::as_bool).unwrap_or_default();
    for container in containers(spec) {
        request_what_is_limited(container);
        if on_host_network {
            for port in list(container, "ports") {
                if port.get("hostPort").and_then(Value::as_i64).unwrap_or_default() == 0
                    && let Some(own) = port.get("containerPort").cloned()
                {
                    port.insert("hostPort".to_owned(), own);
                }
            }
        }
    }
    default_spec(spec);
}

/// Fills in the spec of a template, which gets less than a pod: the rest comes when a pod is made from it.
pub(in crate::strategy) fn default_template(template: &mut Object) {
    default_spec(child_mut(template, "spec"));
}

fn default_spec(spec: &mut Object) {
    // Two names of one field: the older one counts only without the other.
    let account = ["serviceAccountName", "serviceAccount"].iter().find_map(|name| {
        spec.get(*name).filter(|account| account.as_str().is_some_and(|text| !text.is_empty()))
    });
    if let Some(account) = account.cloned() {
        spec.insert("serviceAccountName".to_owned(), account.clone());
        spec.insert("serviceAccount".to_owned(), account);
    }
    set_default(spec, "restartPolicy", "Always");
    set_default(spec, "terminationGracePeriodSeconds", 30);
    set_default(spec, "dnsPolicy", "ClusterFirst");
    set_default(spec, "schedulerName", "default-scheduler");
    set_default(spec, "securityContext", json!({}));
    for empty in ["restartPolicy", "dnsPolicy", "schedulerName"] {
        // To Go an empty text is none.
        if spec.get(empty).and_then(Value::as_str) == Some("") {
            let value = match empty {
                "restartPolicy" => "Always",
                "dnsPolicy" => "ClusterFirst",
                _ => "default-scheduler",
            };
            spec.insert(empty.to_owned(), value.into());
        }
    }
    for volume in list(spec, "volumes") {
        default_volume(volume);
    }
    for container in containers(spec) {
        default_container(container);
    }
}

/// The objects in a list.
pub(super) fn list<'a>(
    object: &'a mut Object,
    member: &str,
) -> impl Iterator<Item = &'a mut Object> + use<'a> {
    let items = object.get_mut(member).and_then(Value::as_array_mut).into_iter().flatten();
    items.filter_map(Value::as_object_mut)
}

pub(super) fn containers(spec: &mut Object) -> Vec<&mut Object> {
    let lists = spec
        .iter_mut()
        .filter(|(name, _)| matches!(name.as_str(), "containers" | "initContainers" | "ephemeralContainers"));
    lists.filter_map(|(_, list)| list.as_array_mut()).flatten().filter_map(Value::as_object_mut).collect()
}

/// A limit without a request asks for as much.
fn request_what_is_limited(container: &mut Object) {
    let Some(resources) = container.get_mut("resources").and_then(Value::as_object_mut) else { return };
    let Some(limits) = resources.get("limits").and_then(Value::as_object).cloned() else { return };
    if limits.is_empty() {
        return;
    }
    let requests = child_mut(resources, "requests");
    for (name, limit) in limits {
        requests.entry(name).or_insert(limit);
    }
}

fn default_container(container: &mut Object) {
    set_default(container, "terminationMessagePath", "/dev/termination-log");
    set_default(container, "terminationMessagePolicy", "File");
    set_default(container, "resources", json!({}));
    default_pull_policy(container, "image", "imagePullPolicy");
    for port in list(container, "ports") {
        set_default(port, "protocol", "TCP");
    }
    for variable in list(container, "env") {
        if let Some(Value::Object(source)) = variable.get_mut("valueFrom") {
            default_field_reference(source);
        }
    }
    for probe in ["livenessProbe", "readinessProbe", "startupProbe"] {
        if let Some(Value::Object(probe)) = container.get_mut(probe) {
            default_probe(probe);
        }
    }
    if let Some(Value::Object(lifecycle)) = container.get_mut("lifecycle") {
        for handler in lifecycle.values_mut().filter_map(Value::as_object_mut) {
            default_handler(handler);
        }
    }
}

/// Whoever wants the latest image wants it anew each time.
fn default_pull_policy(owner: &mut Object, image: &str, policy: &str) {
    let image = owner.get(image).and_then(Value::as_str).unwrap_or("");
    let name = image.rsplit('/').next().unwrap_or("");
    let is_latest = !name.contains('@') && name.rsplit_once(':').is_none_or(|(_, tag)| tag == "latest");
    set_default(owner, policy, if is_latest { "Always" } else { "IfNotPresent" });
}

fn default_field_reference(source: &mut Object) {
    if let Some(Value::Object(reference)) = source.get_mut("fieldRef") {
        set_default(reference, "apiVersion", "v1");
    }
}

fn default_probe(probe: &mut Object) {
    for (member, value) in
        [("timeoutSeconds", 1), ("periodSeconds", 10), ("successThreshold", 1), ("failureThreshold", 3)]
    {
        // Zero stands for nothing here.
        if probe.get(member).and_then(Value::as_i64).unwrap_or_default() == 0 {
            probe.insert(member.to_owned(), value.into());
        }
    }
    default_handler(probe);
}

fn default_handler(handler: &mut Object) {
    if let Some(Value::Object(request)) = handler.get_mut("httpGet") {
        for (member, value) in [("path", "/"), ("scheme", "HTTP")] {
            // To Go an empty text is none.
            if request.get(member).and_then(Value::as_str).is_none_or(str::is_empty) {
                request.insert(member.to_owned(), value.into());
            }
        }
    }
    if let Some(Value::Object(request)) = handler.get_mut("grpc") {
        set_default(request, "service", "");
    }
}

fn default_volume(volume: &mut Object) {
    let has_source = volume.iter().any(|(name, value)| name != "name" && !value.is_null());
    if !has_source {
        volume.insert("emptyDir".to_owned(), json!({}));
    }
    for source in ["secret", "configMap", "downwardAPI", "projected"] {
        if let Some(Value::Object(source)) = volume.get_mut(source) {
            set_default(source, "defaultMode", FILE_MODE);
            for item in list(source, "items") {
                default_field_reference(item);
            }
        }
    }
    if let Some(Value::Object(image)) = volume.get_mut("image") {
        default_pull_policy(image, "reference", "pullPolicy");
    }
    volume_sources::set_defaults(volume);
    if let Some(Value::Object(projected)) = volume.get_mut("projected") {
        for source in list(projected, "sources") {
            if let Some(Value::Object(token)) = source.get_mut("serviceAccountToken") {
                set_default(token, "expirationSeconds", 3600);
            }
            if let Some(Value::Object(downward)) = source.get_mut("downwardAPI") {
                for item in list(downward, "items") {
                    default_field_reference(item);
                }
            }
        }
    }
    if let Some(Value::Object(ephemeral)) = volume.get_mut("ephemeral")
        && let Some(Value::Object(template)) = ephemeral.get_mut("volumeClaimTemplate")
    {
        set_default(child_mut(template, "spec"), "volumeMode", "Filesystem");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn defaulted(spec: &Value) -> Value {
        let mut pod = json!({"spec": spec}).as_object().unwrap().clone();
        default_pod(&mut pod);
        let once = Value::Object(pod.clone());
        default_pod(&mut pod);
        assert_eq!(Value::Object(pod), once, "once is enough");
        once["spec"].clone()
    }

    #[test]
    fn pull_policy_follows_the_tag() {
        let table = [
            ("pause", "Always"),
            ("pause:latest", "Always"),
            ("registry:5000/pause", "Always"),
            ("pause:3.9", "IfNotPresent"),
            ("pause@sha256:00", "IfNotPresent"),
        ];
        for (image, policy) in table {
            let spec = defaulted(&json!({"containers": [{"name": "c", "image": image}]}));
            assert_eq!(spec["containers"][0]["imagePullPolicy"], policy, "{image}");
        }
    }

    #[test]
    fn volumes_get_modes_versions_and_a_source() {
        let field = json!({"path": "n", "fieldRef": {"fieldPath": "metadata.name"}});
        let spec = defaulted(&json!({"volumes": [
            {"name": "a"},
            {"name": "b", "secret": {"secretName": "s"}},
            {"name": "c", "configMap": {"name": "s", "defaultMode": 256}},
            {"name": "d", "downwardAPI": {"items": [field]}},
            {"name": "e", "projected": {"sources": [{"serviceAccountToken": {"path": "t"}}, {"downwardAPI": {"items": [field]}}]}},
            {"name": "f", "hostPath": {"path": "/"}},
            {"name": "g", "ephemeral": {"volumeClaimTemplate": {"spec": {}}}},
            {"name": "h", "csi": {"driver": "x.example"}},
            {"name": "i", "iscsi": {"lun": 0}},
            {"name": "j", "azureDisk": {"kind": "Managed", "readOnly": true}},
            {"name": "k", "rbd": {"pool": "p"}},
            {"name": "l", "scaleIO": {}},
        ]}));
        let whole = json!({"path": "n", "fieldRef": {"fieldPath": "metadata.name", "apiVersion": "v1"}});
        let wanted = json!([
            {"name": "a", "emptyDir": {}},
            {"name": "b", "secret": {"secretName": "s", "defaultMode": 420}},
            {"name": "c", "configMap": {"name": "s", "defaultMode": 256}},
            {"name": "d", "downwardAPI": {"items": [whole], "defaultMode": 420}},
            {"name": "e", "projected": {"sources": [{"serviceAccountToken": {"path": "t", "expirationSeconds": 3600}}, {"downwardAPI": {"items": [whole]}}], "defaultMode": 420}},
            {"name": "f", "hostPath": {"path": "/", "type": ""}},
            {"name": "g", "ephemeral": {"volumeClaimTemplate": {"spec": {"volumeMode": "Filesystem"}}}},
            {"name": "h", "csi": {"driver": "x.example"}},
            {"name": "i", "iscsi": {"lun": 0, "iscsiInterface": "default"}},
            {"name": "j", "azureDisk": {"kind": "Managed", "readOnly": true, "cachingMode": "ReadWrite", "fsType": "ext4"}},
            {"name": "k", "rbd": {"pool": "p", "keyring": "/etc/ceph/keyring", "user": "admin"}},
            {"name": "l", "scaleIO": {"fsType": "xfs", "storageMode": "ThinProvisioned"}},
        ]);
        assert_eq!(spec["volumes"], wanted);
    }

    #[test]
    fn containers_get_probes_ports_and_requests() {
        let spec = defaulted(&json!({"hostNetwork": true, "containers": [{
            "name": "c", "image": "i:1",
            "ports": [{"containerPort": 80}, {"containerPort": 81, "hostPort": 82, "protocol": "UDP"}],
            "env": [{"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "x"}}}],
            "livenessProbe": {"httpGet": {"port": 80}, "periodSeconds": 5},
            "readinessProbe": {"grpc": {"port": 80}},
            "lifecycle": {"preStop": {"httpGet": {"port": 1}}},
            "resources": {"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "500m"}},
        }]}));
        let container = &spec["containers"][0];
        assert_eq!(
            container["ports"],
            json!([{"containerPort": 80, "hostPort": 80, "protocol": "TCP"}, {"containerPort": 81, "hostPort": 82, "protocol": "UDP"}])
        );
        assert_eq!(container["env"][0]["valueFrom"]["fieldRef"]["apiVersion"], "v1");
        let probe = json!({"httpGet": {"port": 80, "path": "/", "scheme": "HTTP"}, "timeoutSeconds": 1,
            "periodSeconds": 5, "successThreshold": 1, "failureThreshold": 3});
        assert_eq!(container["livenessProbe"], probe);
        assert_eq!(container["readinessProbe"]["grpc"], json!({"port": 80, "service": ""}));
        assert_eq!(container["lifecycle"]["preStop"]["httpGet"]["scheme"], "HTTP");
        assert_eq!(container["resources"]["requests"], json!({"cpu": "500m", "memory": "1Gi"}));
    }

    #[test]
    fn a_template_gets_less_than_a_pod() {
        let mut template = json!({"spec": {"containers": [{"name": "c", "image": "i", "resources": {"limits": {"cpu": "1"}}}]}});
        default_template(template.as_object_mut().unwrap());
        assert!(template["spec"].get("enableServiceLinks").is_none());
        assert!(template["spec"]["containers"][0]["resources"].get("requests").is_none());
        assert_eq!(template["spec"]["restartPolicy"], "Always");
    }
}
