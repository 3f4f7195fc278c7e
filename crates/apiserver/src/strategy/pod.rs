//! Pod: defaults, a spec that is fixed once made, graceful deletion by the node that runs it.

mod selectors;
mod update;

use std::net::IpAddr;

use jiff::Timestamp;
use serde_json::{Value, json};
use tokenward_kube_rules::quantity::Quantity;
use tokenward_kube_rules::{FeatureGates, FieldError, names};

use super::field::Field;
use super::{Strategy, pod_spec, start_phase};
use crate::object::{Metadata, Object, at, child_mut, format_time, set_default, text_at};

pub(super) struct PodStrategy;

impl Strategy for PodStrategy {
    fn is_shown_when_deleted(&self) -> bool {
        true
    }

    fn set_defaults(&self, object: &mut Object) {
        pod_spec::default_pod(object);
    }

    fn prepare_create(&self, object: &mut Object, _gates: &FeatureGates) {
        pod_spec::drop_disabled(child_mut(object, "spec"), None);
        pod_spec::take_annotated_profiles(object);
        object.remove("status");
        start_phase(object, "Pending");
        selectors::narrow(object);
        let class = quality_of_service(object);
        child_mut(object, "status").insert("qosClass".to_owned(), class.into());
        if at(object, &["spec", "schedulingGates"])
            .and_then(Value::as_array)
            .is_some_and(|gates| !gates.is_empty())
        {
            child_mut(object, "status").insert("conditions".to_owned(), json!([gated()]));
        }
        object.metadata_mut().insert("generation".to_owned(), 1.into());
    }

    fn record_times(&self, new: &mut Object, old: Option<&Object>, now: Timestamp) {
        if old.is_some() {
            return;
        }
        let conditions = child_mut(new, "status").get_mut("conditions").and_then(Value::as_array_mut);
        for condition in conditions.into_iter().flatten().filter_map(Value::as_object_mut) {
            condition.insert("lastTransitionTime".to_owned(), format_time(now).into());
        }
    }

    fn prepare_update(&self, new: &mut Object, old: &Object, _gates: &FeatureGates) {
        pod_spec::drop_disabled(child_mut(new, "spec"), at(old, &["spec"]).and_then(Value::as_object));
        // Admission set them; a client that leaves them out means no change.
        for member in ["priority", "preemptionPolicy"] {
            if let Some(value) = at(old, &["spec", member]) {
                set_default(child_mut(new, "spec"), member, value.clone());
            }
        }
        if new.get("spec") != old.get("spec") {
            let generation = old.metadata_number("generation").saturating_add(1);
            new.metadata_mut().insert("generation".to_owned(), generation.into());
        }
    }

    fn prepare_status(&self, new: &mut Object, old: &Object) {
        // It follows from the spec.
        if let Some(class) = at(old, &["status", "qosClass"]) {
            set_default(child_mut(new, "status"), "qosClass", class.clone());
        }
        // Of the two spellings of a pod's address the older counts.
        let address = text_at(new, &["status", "podIP"]).to_owned();
        let first =
            at(new, &["status", "podIPs"]).and_then(|list| list.pointer("/0/ip")).and_then(Value::as_str);
        if !address.is_empty() && first != Some(&*address) {
            child_mut(new, "status").insert("podIPs".to_owned(), json!([{"ip": address}]));
        }
    }

    fn validate(&self, object: &Object) -> Vec<FieldError> {
        let mut errors = Vec::new();
        if let Some(mark) = text_of_annotation(object, MIRROR)
            && text_at(object, &["spec", "nodeName"]).is_empty()
        {
            let why = "must set spec.nodeName if mirror pod annotation is set";
            errors.push(FieldError::invalid(format!("metadata.annotations[{MIRROR}]"), mark, why));
        }
        errors.extend(pod_spec::validate(&Field::of(object, "spec"), pod_spec::Owner::Pod));
        errors
    }

    fn validate_update(&self, new: &Object, old: &Object) -> Vec<FieldError> {
        mirror_fault(new, old).into_iter().chain(update::validate(new, old)).collect()
    }

    fn validate_status(&self, new: &Object, old: &Object) -> Vec<FieldError> {
        let class = |object| Field::of(object, "status").child("qosClass");
        let changed = class(old).is_set().then(|| class(new).immutable(&class(old))).flatten();
        mirror_fault(new, old).into_iter().chain(status_faults(new, old)).chain(changed).collect()
    }

    fn validate_creation(&self, object: &Object) -> Vec<FieldError> {
        pod_spec::validate_creation(&Field::of(object, "spec"))
    }

    fn warnings_on_create(&self, object: &Object, _gates: &FeatureGates) -> Vec<String> {
        let faults = names::dns_label(object.name());
        let name = (!faults.is_empty()).then(|| {
            format!(
                "metadata.name: this is used in the Pod's hostname, which can result in surprising behavior; a DNS \
                 label is recommended: [{}]",
                faults.join(" ")
            )
        });
        let metadata = Field::of(object, "metadata");
        name.into_iter().chain(pod_spec::warnings(&metadata, &Field::of(object, "spec"))).collect()
    }

    fn grace_seconds(&self, object: &Object, requested: Option<i64>) -> i64 {
        let phase = text_at(object, &["status", "phase"]);
        // Nobody runs it: nobody has to be waited for.
        if text_at(object, &["spec", "nodeName"]).is_empty() || matches!(phase, "Succeeded" | "Failed") {
            return 0;
        }
        let own = at(object, &["spec", "terminationGracePeriodSeconds"]).and_then(Value::as_i64);
        match requested.or(own).unwrap_or(0) {
            ..0 => 1,
            seconds => seconds,
        }
    }
}

/// The condition of a pod that is held back from being scheduled.
fn gated() -> Value {
    json!({
        "type": "PodScheduled",
        "status": "False",
        "lastProbeTime": null,
        "reason": "SchedulingGated",
        "message": "Scheduling is blocked due to non-empty scheduling gates",
    })
}

/// What a node may say of a pod.
fn status_faults(new: &Object, old: &Object) -> Vec<FieldError> {
    let status = Field::of(new, "status");
    let mut errors = Vec::new();
    for condition in status.child("conditions").items() {
        let kind = condition.child_shown_as("type", "Type");
        if !matches!(kind.text(), "PodScheduled" | "Ready" | "Initialized") {
            let faults = names::qualified_name(kind.text());
            errors.extend(faults.iter().map(|fault| FieldError::invalid(kind.path(), kind.text(), fault)));
        }
    }
    let nominated = status.child("nominatedNodeName");
    let is_new =
        !nominated.text().is_empty() && nominated.text() != text_at(old, &["status", "nominatedNodeName"]);
    if is_new {
        errors.extend(nominated.faults(names::dns_subdomain));
    }
    if is_new && !text_at(old, &["spec", "nodeName"]).is_empty() {
        errors.push(nominated.forbidden("may not be set on pods that are already bound to a node"));
    }
    let observed = status.child("observedGeneration");
    if observed.number().is_some_and(|number| number < 0) {
        errors.push(observed.invalid("must be a non-negative integer"));
    }
    for address in status.child("podIPs").items().map(|address| (address.clone(), address.child("ip"))) {
        let (place, text) = (address.0.path(), address.1.text());
        if text.parse::<IpAddr>().is_err() {
            let why = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)";
            errors.push(FieldError::invalid(place, text, why));
        }
    }
    errors
}

const MIRROR: &str = "kubernetes.io/config.mirror";

/// A pod is a mirror pod for life: as any other it would let its node read what its volumes name.
fn mirror_fault(new: &Object, old: &Object) -> Option<FieldError> {
    let mark = |pod| text_of_annotation(pod, MIRROR);
    let why = match (mark(old), mark(new)) {
        (before, now) if before == now => return None,
        (None, _) => "may not add mirror pod annotation",
        (Some(_), _) => "may not remove or update mirror pod annotation",
    };
    Some(FieldError::forbidden(format!("metadata.annotations[{MIRROR}]"), why))
}

fn text_of_annotation<'a>(pod: &'a Object, name: &str) -> Option<&'a str> {
    at(pod, &["metadata", "annotations", name]).and_then(Value::as_str)
}

/// `BestEffort` without requests and limits, `Guaranteed` when every container limits both resources and asks for all of
/// it. Nothing counts as nothing said. What is said of the pod as a whole stands for its containers.
fn quality_of_service(pod: &Object) -> &'static str {
    const RESOURCES: [&str; 2] = ["cpu", "memory"];
    let spec = Field::of(pod, "spec");
    let own = spec.child("resources");
    let demands: Vec<Field<'_>> = if own.is_set() {
        vec![own]
    } else {
        let lists = ["containers", "initContainers"].map(|list| spec.child(list));
        lists.iter().flat_map(Field::items).map(|container| container.child("resources")).collect()
    };
    let amount = |demand: &Field<'_>, list, name| {
        let amount = Quantity::parse(demand.child(list).child(name).text()).unwrap_or_default();
        amount.max(Quantity::default())
    };
    let sums = |list| {
        let of = |name| demands.iter().map(move |demand| amount(demand, list, name));
        RESOURCES.map(|name| of(name).fold(Quantity::default(), Quantity::saturating_add))
    };
    let (requests, limits) = (sums("requests"), sums("limits"));
    let limits_both = |demand: &Field<'_>| {
        RESOURCES.iter().all(|name| amount(demand, "limits", name) > Quantity::default())
    };
    let none = [Quantity::default(); 2];
    if requests == none && limits == none {
        "BestEffort"
    } else if requests == limits && demands.iter().all(limits_both) {
        "Guaranteed"
    } else {
        "Burstable"
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::strategy::tests::texts;

    #[test]
    fn what_a_node_may_not_say() {
        let with =
            |status: Value| json!({"spec": {"nodeName": "n"}, "status": status}).as_object().unwrap().clone();
        let old = with(json!({"qosClass": "BestEffort"}));
        for (status, wanted) in [
            (json!({"qosClass": "BestEffort", "conditions": [{"type": "Ready"}, {"type": "a/b"}]}), vec![]),
            (
                json!({"qosClass": "Guaranteed"}),
                vec!["status.qosClass: Invalid value: \"Guaranteed\": field is immutable"],
            ),
            (
                json!({"observedGeneration": -1}),
                vec!["status.observedGeneration: Invalid value: -1: must be a non-negative integer"],
            ),
            (
                json!({"podIP": "x"}),
                vec![
                    "status.podIPs[0]: Invalid value: \"x\": must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)",
                ],
            ),
            (
                json!({"nominatedNodeName": "m"}),
                vec![
                    "status.nominatedNodeName: Forbidden: may not be set on pods that are already bound to a node",
                ],
            ),
            (
                json!({"conditions": [{"type": ""}]}),
                vec![
                    "status.conditions[0].Type: Invalid value: \"\": name part must be non-empty",
                    "status.conditions[0].Type: Invalid value: \"\": name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')",
                ],
            ),
        ] {
            let mut new = with(status.clone());
            PodStrategy.prepare_status(&mut new, &old);
            assert_eq!(texts(&PodStrategy.validate_status(&new, &old)), wanted, "{status}");
        }
        let mut new = with(json!({"podIP": "192.0.2.1", "podIPs": [{"ip": "192.0.2.2"}]}));
        PodStrategy.prepare_status(&mut new, &old);
        assert_eq!(new["status"]["podIPs"], json!([{"ip": "192.0.2.1"}]));
    }

    #[test]
    fn a_new_mirror_pod_has_its_node() {
        let mut mirror = pod(&json!({"containers": [{"name": "c", "image": " i"}]}));
        PodStrategy.set_defaults(&mut mirror);
        mirror["metadata"]["annotations"] = json!({MIRROR: "x"});
        assert_eq!(
            texts(&PodStrategy.validate(&mirror)),
            [
                "metadata.annotations[kubernetes.io/config.mirror]: Invalid value: \"x\": must set spec.nodeName if mirror pod annotation is set",
                "spec.containers[0].image: Invalid value: \" i\": must not have leading or trailing whitespace",
            ]
        );
    }

    fn pod(spec: &Value) -> Object {
        json!({"metadata": {"name": "p"}, "spec": spec}).as_object().unwrap().clone()
    }

    #[test]
    fn only_a_pod_that_a_node_may_run_gets_grace() {
        let spec = json!({"nodeName": "n", "terminationGracePeriodSeconds": 7});
        let mut running = pod(&spec);
        assert_eq!(PodStrategy.grace_seconds(&running, None), 7);
        assert_eq!(PodStrategy.grace_seconds(&running, Some(0)), 0);
        assert_eq!(PodStrategy.grace_seconds(&running, Some(-5)), 1);
        running.insert("status".to_owned(), json!({"phase": "Failed"}));
        assert_eq!(PodStrategy.grace_seconds(&running, None), 0);
        assert_eq!(PodStrategy.grace_seconds(&pod(&json!({})), Some(30)), 0);
    }

    #[test]
    fn a_pod_with_gates_says_so_from_the_start() {
        let mut gated = pod(&json!({"schedulingGates": [{"name": "a"}]}));
        let gates = FeatureGates::for_release(tokenward_kube_rules::Release::V1_35);
        PodStrategy.prepare_create(&mut gated, &gates);
        PodStrategy.record_times(&mut gated, None, Timestamp::UNIX_EPOCH);
        let condition = at(&gated, &["status", "conditions"]).unwrap()[0].clone();
        assert_eq!(
            (&condition["type"], &condition["reason"], &condition["lastTransitionTime"]),
            (&json!("PodScheduled"), &json!("SchedulingGated"), &json!("1970-01-01T00:00:00Z"))
        );
        let mut free = pod(&json!({}));
        PodStrategy.prepare_create(&mut free, &gates);
        assert_eq!(at(&free, &["status", "conditions"]), None);
    }

    #[test]
    fn a_name_that_makes_no_host_name_is_warned_of() {
        let gates = FeatureGates::for_release(tokenward_kube_rules::Release::V1_35);
        let warnings = |name: &str| {
            let pod = json!({"metadata": {"name": name}, "spec": {}}).as_object().unwrap().clone();
            PodStrategy.warnings_on_create(&pod, &gates)
        };
        assert_eq!(warnings("web-0"), [""; 0]);
        let text = warnings("a.b");
        assert!(text[0].ends_with("a DNS label is recommended: [must not contain dots]"), "{text:?}");
        let long = warnings(&format!("a.{}", "b".repeat(64)));
        assert!(long[0].ends_with("[must be no more than 63 characters must not contain dots]"), "{long:?}");
    }

    #[test]
    fn quality_of_service_classes() {
        let with = |resources: Value| pod(&json!({"containers": [{"name": "c", "resources": resources}]}));
        assert_eq!(quality_of_service(&with(json!({}))), "BestEffort");
        assert_eq!(quality_of_service(&with(json!({"requests": {"cpu": "1"}}))), "Burstable");
        let both = json!({"cpu": "1", "memory": "1Gi"});
        assert_eq!(quality_of_service(&with(json!({"requests": both, "limits": both}))), "Guaranteed");
        let equal = json!({"cpu": "1000m", "memory": "1024Mi"});
        assert_eq!(quality_of_service(&with(json!({"requests": equal, "limits": both}))), "Guaranteed");
        let nothing = json!({"cpu": "0"});
        assert_eq!(quality_of_service(&with(json!({"requests": nothing, "limits": nothing}))), "BestEffort");
        let whole = |resources: Value| pod(&json!({"containers": [{"name": "c"}], "resources": resources}));
        assert_eq!(quality_of_service(&whole(json!({"requests": {"cpu": "1"}}))), "Burstable");
        assert_eq!(quality_of_service(&whole(json!({"requests": both, "limits": both}))), "Guaranteed");
    }
}
