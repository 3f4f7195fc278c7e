//! What only features can use that are off by default in every served release: it is dropped without a word, but where a
//! pod has it already.

use serde_json::Value;

use super::defaults::{containers, list};
use crate::object::Object;

/// Sources of projected volumes behind the gates `ClusterTrustBundleProjection` and `PodCertificateRequest`.
const SOURCES: [&str; 2] = ["clusterTrustBundle", "podCertificate"];

/// Behind the gate `ContainerStopSignals`, a member of `lifecycle`.
const STOP_SIGNAL: &str = "stopSignal";

/// Drops it from a pod's or a template's spec; `old` is none at creation.
pub(in crate::strategy) fn drop_disabled(spec: &mut Object, old: Option<&Object>) {
    for kind in SOURCES {
        if !old.is_some_and(|old| has_source(old, kind)) {
            for volume in list(spec, "volumes") {
                let projected = volume.get_mut("projected").and_then(Value::as_object_mut);
                for source in projected.into_iter().flat_map(|projected| list(projected, "sources")) {
                    source.remove(kind);
                }
            }
        }
    }
    if old.is_some_and(has_stop_signal) {
        return;
    }
    for container in containers(spec) {
        let Some(Value::Object(hooks)) = container.get_mut("lifecycle") else { continue };
        if hooks.remove(STOP_SIGNAL).is_some() && hooks.values().all(Value::is_null) {
            container.remove("lifecycle");
        }
    }
}

fn has_source(spec: &Object, kind: &str) -> bool {
    let projected = items(spec, "volumes").filter_map(|volume| volume.get("projected")?.get("sources"));
    projected.filter_map(Value::as_array).flatten().any(|source| is_set(source, kind))
}

fn has_stop_signal(spec: &Object) -> bool {
    let lists = ["initContainers", "containers", "ephemeralContainers"];
    let containers = lists.into_iter().flat_map(|list| items(spec, list));
    containers.filter_map(|container| container.get("lifecycle")).any(|hooks| is_set(hooks, STOP_SIGNAL))
}

fn items<'a>(object: &'a Object, list: &str) -> impl Iterator<Item = &'a Value> + use<'a> {
    object.get(list).and_then(Value::as_array).into_iter().flatten()
}

fn is_set(object: &Value, member: &str) -> bool {
    object.get(member).is_some_and(|value| !value.is_null())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_off_goes_where_it_was_not() {
        let with = |source: Value, lifecycle: Value| {
            json!({"containers": [{"name": "c", "lifecycle": lifecycle}],
                "volumes": [{"name": "v", "projected": {"sources": [source]}}, {"name": "w", "emptyDir": {}}]})
        };
        let bundle = || json!({"clusterTrustBundle": {"name": "a", "path": "b"}});
        let certificate = || json!({"podCertificate": {"signerName": "a/b"}});
        let hook = || json!({"preStop": {"sleep": {"seconds": 1}}});
        let signal = || json!({"stopSignal": "SIGTERM"});
        let both = || json!({"stopSignal": "SIGTERM", "preStop": {"sleep": {"seconds": 1}}});
        let rows = [
            (with(bundle(), both()), None, with(json!({}), hook())),
            (with(certificate(), hook()), None, with(json!({}), hook())),
            (with(bundle(), both()), Some(with(bundle(), hook())), with(bundle(), hook())),
            (with(bundle(), both()), Some(with(certificate(), signal())), with(json!({}), both())),
        ];
        for (spec, old, wanted) in rows {
            let mut found = spec.as_object().unwrap().clone();
            drop_disabled(&mut found, old.as_ref().and_then(Value::as_object));
            assert_eq!(Value::Object(found), wanted, "{spec} after {old:?}");
        }
        let mut alone = with(json!({}), signal());
        drop_disabled(alone.as_object_mut().unwrap(), None);
        assert_eq!(alone["containers"][0], json!({"name": "c"}));
    }
}
