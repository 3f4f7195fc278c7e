//! What field selectors see of an object: the few fields that upstream indexes per kind.

use serde_json::{Map, Value};

use crate::Kind;

/// The values of an object's selectable fields, in the order of [`supported`]. An absent field is the empty text, as
/// upstream compares it.
#[must_use]
pub fn index(kind: &Kind, object: &Map<String, Value>) -> Vec<(&'static str, String)> {
    supported(kind).into_iter().map(|label| (label, value(kind, object, label))).collect()
}

/// The labels that field selectors may use for a kind.
#[must_use]
pub fn supported(kind: &Kind) -> Vec<&'static str> {
    let mut labels = vec!["metadata.name", "metadata.namespace"];
    labels.extend_from_slice(own_labels(kind));
    labels
}

/// Upstream's text for a label that a kind does not support.
#[must_use]
pub fn unsupported(kind: &Kind, label: &str) -> String {
    if own_labels(kind).is_empty() {
        format!("{label:?} is not a known field selector: only \"metadata.name\", \"metadata.namespace\"")
    } else {
        format!("field label not supported: {label}")
    }
}

fn own_labels(kind: &Kind) -> &'static [&'static str] {
    match (kind.group, kind.kind) {
        ("", "Pod") => &[
            "spec.nodeName",
            "spec.restartPolicy",
            "spec.schedulerName",
            "spec.serviceAccountName",
            "spec.hostNetwork",
            "status.phase",
            "status.podIP",
            "status.podIPs",
            "status.nominatedNodeName",
        ],
        ("", "Node") => &["spec.unschedulable"],
        ("", "Secret") => &["type"],
        ("", "Namespace") => &["status.phase"],
        ("", "Event") => &[
            "involvedObject.kind",
            "involvedObject.namespace",
            "involvedObject.name",
            "involvedObject.uid",
            "involvedObject.apiVersion",
            "involvedObject.resourceVersion",
            "involvedObject.fieldPath",
            "reason",
            "reportingComponent",
            "source",
            "type",
        ],
        _ => &[],
    }
}

fn value(kind: &Kind, object: &Map<String, Value>, label: &str) -> String {
    let at = |path: &str| {
        let mut parts = path.split('.');
        let first = parts.next().and_then(|name| object.get(name));
        parts.fold(first, |value, name| value?.get(name))
    };
    let text = |path: &str| at(path).and_then(Value::as_str).unwrap_or_default().to_owned();
    match (kind.kind, label) {
        ("Pod", "spec.hostNetwork") | ("Node", "spec.unschedulable") => {
            at(label).and_then(Value::as_bool).unwrap_or_default().to_string()
        }
        ("Pod", "status.podIPs") => {
            let addresses = at(label).and_then(Value::as_array).into_iter().flatten();
            addresses.filter_map(|address| address.get("ip")?.as_str()).collect::<Vec<_>>().join(",")
        }
        // As upstream: whoever reports in the new way has no source.
        ("Event", "source") => {
            let component = text("source.component");
            if component.is_empty() { text("reportingComponent") } else { component }
        }
        _ => text(label),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::find_resource;

    fn indexed(group: &str, plural: &str, object: &Value) -> Vec<String> {
        let kind = find_resource(group, "v1", plural).expect("served");
        let object = object.as_object().expect("a test's own object");
        index(kind, object).into_iter().map(|(label, value)| format!("{label}={value}")).collect()
    }

    #[test]
    fn each_kind_has_its_own_fields() {
        let pod = json!({"metadata": {"name": "p", "namespace": "n"}, "spec": {"nodeName": "node-1", "hostNetwork": true},
            "status": {"phase": "Running", "podIPs": [{"ip": "10.0.0.1"}, {"ip": "fd00::1"}]}});
        assert_eq!(
            indexed("", "pods", &pod),
            [
                "metadata.name=p",
                "metadata.namespace=n",
                "spec.nodeName=node-1",
                "spec.restartPolicy=",
                "spec.schedulerName=",
                "spec.serviceAccountName=",
                "spec.hostNetwork=true",
                "status.phase=Running",
                "status.podIP=",
                "status.podIPs=10.0.0.1,fd00::1",
                "status.nominatedNodeName="
            ]
        );
        let event = json!({"metadata": {"name": "e"}, "involvedObject": {"kind": "Pod", "uid": "u"}, "reason": "Failed",
            "reportingComponent": "kubelet"});
        let event = indexed("", "events", &event);
        for wanted in
            ["involvedObject.kind=Pod", "involvedObject.uid=u", "reason=Failed", "source=kubelet", "type="]
        {
            assert!(event.iter().any(|found| found == wanted), "{wanted} in {event:?}");
        }
        assert_eq!(
            indexed("storage.k8s.io", "csidrivers", &json!({"metadata": {"name": "d"}})),
            ["metadata.name=d", "metadata.namespace="]
        );
        assert_eq!(indexed("", "secrets", &json!({"type": "Opaque"}))[2], "type=Opaque");
        assert_eq!(indexed("", "nodes", &json!({}))[2], "spec.unschedulable=false");
    }

    #[test]
    fn unknown_labels_are_refused_in_upstreams_words() {
        let text = |group, plural| unsupported(find_resource(group, "v1", plural).expect("served"), "spec.x");
        assert_eq!(
            text("storage.k8s.io", "csidrivers"),
            "\"spec.x\" is not a known field selector: only \"metadata.name\", \"metadata.namespace\""
        );
        assert_eq!(text("", "pods"), "field label not supported: spec.x");
    }
}
