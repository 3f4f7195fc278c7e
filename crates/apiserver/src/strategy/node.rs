//! Node: what can be allocated, taints, and identities that are set once.

use std::collections::BTreeSet;

use std::net::IpAddr;

use serde_json::{Value, json};
use tokenward_kube_rules::quantity::Quantity;
use tokenward_kube_rules::{FeatureGates, FieldError, names};

use super::field::Field;
use super::{Check, Strategy};
use crate::object::{Object, at, child_mut, set_default, text_at};

pub(super) struct NodeStrategy;

impl Strategy for NodeStrategy {
    fn checks_of_change(&self) -> &'static [Check] {
        &[Check::Metadata, Check::Content, Check::MetadataChange, Check::ContentChange]
    }

    fn set_defaults(&self, object: &mut Object) {
        if let Some(capacity) = at(object, &["status", "capacity"]).cloned() {
            set_default(child_mut(object, "status"), "allocatable", capacity);
        }
        // Of the two spellings of a node's range the older counts.
        let range = text_at(object, &["spec", "podCIDR"]).to_owned();
        let first =
            at(object, &["spec", "podCIDRs"]).and_then(|ranges| ranges.get(0)).and_then(Value::as_str);
        if !range.is_empty() && first != Some(&*range) {
            child_mut(object, "spec").insert("podCIDRs".to_owned(), json!([range]));
        }
    }

    fn prepare_create(&self, object: &mut Object, _gates: &FeatureGates) {
        drop_dynamic_configuration(object);
    }

    fn prepare_update(&self, new: &mut Object, _old: &Object, _gates: &FeatureGates) {
        drop_dynamic_configuration(new);
    }

    fn warnings_on_create(&self, object: &Object, _gates: &FeatureGates) -> Vec<String> {
        warnings(object)
    }

    fn warnings_on_update(&self, new: &Object, _old: &Object, _gates: &FeatureGates) -> Vec<String> {
        warnings(new)
    }

    fn validate(&self, object: &Object) -> Vec<FieldError> {
        let mut errors = taint_faults(object);
        errors.extend(resource_faults(object));
        errors.extend(range_faults(&Field::of(object, "spec").child("podCIDRs")));
        errors
    }

    fn validate_update(&self, new: &Object, old: &Object) -> Vec<FieldError> {
        change_faults(new, old)
    }

    fn validate_status(&self, new: &Object, old: &Object) -> Vec<FieldError> {
        change_faults(new, old)
    }
}

fn warnings(node: &Object) -> Vec<String> {
    let identity = Field::of(node, "spec").child("externalID");
    let why = "this field is deprecated, and is unused by Kubernetes";
    let is_said = !identity.text().is_empty();
    is_said.then(|| format!("{}: {why}", identity.path())).into_iter().collect()
}

/// The gate `DynamicKubeletConfig` is gone.
fn drop_dynamic_configuration(node: &mut Object) {
    if node.contains_key("spec") {
        child_mut(node, "spec").remove("configSource");
    }
}

/// What is wrong with a change, of the status too.
fn change_faults(new: &Object, old: &Object) -> Vec<FieldError> {
    let mut errors = resource_faults(new);
    let mut seen = BTreeSet::new();
    let addresses = Field::of(new, "status").child("addresses");
    let repeated = addresses.items().filter(|address| {
        let (kind, address) = (address.child("type"), address.child("address"));
        !seen.insert((kind.text(), address.text()))
    });
    errors.extend(repeated.map(|address| address.duplicate()));
    let once = [
        ("podCIDRs", "node updates may not change podCIDR except from \"\" to valid"),
        ("providerID", "node updates may not change providerID except from \"\" to valid"),
    ];
    let spec = |object| Field::of(object, "spec");
    for (member, why) in once {
        let (new, old) = (spec(new).child(member), spec(old).child(member));
        if old.is_set() && !is_empty(&old) && new.value() != old.value() {
            errors.push(new.forbidden(why));
        }
    }
    errors.extend(taint_faults(new));
    let id = |object| spec(object).child("externalID");
    if id(new).value() != id(old).value() {
        errors.push(id(new).forbidden("may not be updated"));
    }
    errors
}

/// Amounts are not less than nothing, and those of devices are whole.
fn resource_faults(node: &Object) -> Vec<FieldError> {
    let status = Field::of(node, "status");
    let mut errors = Vec::new();
    for list in ["capacity", "allocatable"].map(|member| status.child(member)) {
        for name in list.keys() {
            let amount = list.child(name);
            let Ok(quantity) = Quantity::parse(amount.text()) else { continue };
            if quantity < Quantity::ZERO {
                errors.push(amount.invalid("must be greater than or equal to 0"));
            }
            let is_device = name == "pods"
                || name.split_once('/').is_some_and(|(domain, _)| !domain.ends_with("kubernetes.io"));
            if is_device && !quantity.is_whole() {
                errors.push(amount.invalid("must be an integer"));
            }
        }
    }
    errors
}

/// Addresses of pods: one range of each family at most.
fn range_faults(ranges: &Field<'_>) -> Vec<FieldError> {
    let mut errors = Vec::new();
    for range in ranges.items().filter(|range| family(range.text()).is_none()) {
        let why = "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)";
        errors.push(range.invalid(why));
    }
    let mut families: Vec<bool> = ranges.items().filter_map(|range| family(range.text())).collect();
    families.sort_unstable();
    families.dedup();
    if ranges.items().len() > 1 && families.len() != ranges.items().len() && errors.is_empty() {
        errors.push(ranges.invalid("may specify no more than one CIDR for each IP family"));
    }
    errors
}

/// Whether a range is of the newer family; nothing of what is no range.
fn family(range: &str) -> Option<bool> {
    let (address, bits) = range.split_once('/')?;
    let address: IpAddr = address.parse().ok()?;
    let most = if address.is_ipv6() { 128 } else { 32 };
    bits.parse::<u8>().ok().filter(|bits| *bits <= most).map(|_| address.is_ipv6())
}

fn is_empty(field: &Field<'_>) -> bool {
    match field.value() {
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        _ => false,
    }
}

/// Upstream's path puts them into the metadata.
fn taint_faults(node: &Object) -> Vec<FieldError> {
    let taints = Field::of(node, "metadata").child_of(&Field::of(node, "spec"), "taints");
    let mut errors = Vec::new();
    let mut seen = BTreeSet::new();
    for taint in taints.items() {
        let (key, value, effect) = (taint.child("key"), taint.child("value"), taint.child("effect"));
        errors.extend(key.faults(names::qualified_name));
        let faults = names::label_value(value.text());
        if !faults.is_empty() {
            errors.push(value.invalid(&faults.join(";")));
        }
        let effects = ["NoSchedule", "PreferNoSchedule", "NoExecute"];
        errors.extend(effect.require_text().or_else(|| effect.one_of(&effects)));
        if !seen.insert((effect.text(), key.text())) {
            let why = "taints must be unique by key and effect pair";
            errors.push(FieldError::duplicate_because(taint.path(), taint.value().clone(), why));
        }
    }
    errors
}

#[cfg(test)]
mod tests {
    use super::super::tests::texts;
    use super::*;

    fn node(value: &Value) -> Object {
        value.as_object().unwrap().clone()
    }

    #[test]
    fn an_identity_that_nobody_reads_is_warned_of() {
        assert_eq!(warnings(&node(&json!({"spec": {"providerID": "a"}}))), [""; 0]);
        let found = warnings(&node(&json!({"spec": {"externalID": "b"}})));
        assert_eq!(found, ["spec.externalID: this field is deprecated, and is unused by Kubernetes"]);
    }

    #[test]
    fn taints_are_pairs_of_key_and_effect() {
        let good = json!([{"key": "a/b", "effect": "NoSchedule"}, {"key": "a/b", "effect": "NoExecute", "value": "v"}]);
        assert_eq!(NodeStrategy.validate(&node(&json!({"spec": {"taints": good}}))), []);
        let bad = json!([{"key": "a", "effect": "Never"}, {"key": "a"}, {"key": "b", "effect": "NoExecute"}, {"key": "b", "effect": "NoExecute"}]);
        assert_eq!(
            texts(&NodeStrategy.validate(&node(&json!({"spec": {"taints": bad}})))),
            [
                "metadata.taints[0].effect: Unsupported value: \"Never\": supported values: \"NoSchedule\", \"PreferNoSchedule\", \"NoExecute\"",
                "metadata.taints[1].effect: Required value",
                "metadata.taints[3]: Duplicate value: {\"effect\":\"NoExecute\",\"key\":\"b\"}: taints must be unique by key and effect pair",
            ]
        );
    }

    #[test]
    fn identities_are_set_once() {
        let old = node(&json!({"spec": {"providerID": "p"}}));
        let set =
            node(&json!({"spec": {"providerID": "p", "podCIDRs": ["192.0.2.0/24"], "unschedulable": true}}));
        assert_eq!(NodeStrategy.validate_update(&set, &old), []);
        let other = node(&json!({"spec": {"providerID": "q"}}));
        let errors = texts(&NodeStrategy.validate_update(&other, &set));
        assert_eq!(errors.len(), 2, "{errors:?}");
        assert!(errors[1].starts_with("spec.providerID: Forbidden: node updates may not change providerID"));
    }

    #[test]
    fn addresses_are_said_once_and_all_can_be_allocated() {
        let address = json!({"type": "InternalIP", "address": "192.0.2.1"});
        let twice = node(&json!({"status": {"addresses": [address, address]}}));
        assert_eq!(NodeStrategy.validate_status(&twice, &twice).len(), 1);
        let mut fresh = node(&json!({"status": {"capacity": {"pods": "10"}}}));
        NodeStrategy.set_defaults(&mut fresh);
        assert_eq!(fresh["status"]["allocatable"], json!({"pods": "10"}));
        let of = |status: Value| texts(&NodeStrategy.validate(&node(&json!({"status": status}))));
        assert_eq!(of(json!({"capacity": {"cpu": "500m", "example.com/gpu": "2"}})), [""; 0]);
        assert_eq!(
            of(json!({"capacity": {"cpu": "-1", "example.com/gpu": "1500m"}})),
            [
                "status.capacity.cpu: Invalid value: \"-1\": must be greater than or equal to 0",
                "status.capacity.example.com/gpu: Invalid value: \"1500m\": must be an integer",
            ]
        );
    }

    #[test]
    fn ranges_are_one_of_each_family() {
        let of = |spec: Value| {
            let mut node = node(&json!({"spec": spec}));
            NodeStrategy.set_defaults(&mut node);
            (node["spec"]["podCIDRs"].clone(), texts(&NodeStrategy.validate(&node)))
        };
        let both = json!(["192.0.2.0/24", "2001:db8::/64"]);
        assert_eq!(of(json!({"podCIDRs": both})), (both, vec![]));
        assert_eq!(of(json!({"podCIDR": "192.0.2.0/24"})), (json!(["192.0.2.0/24"]), vec![]));
        let older = json!({"podCIDR": "192.0.2.0/24", "podCIDRs": ["198.51.100.0/24"]});
        assert_eq!(of(older), (json!(["192.0.2.0/24"]), vec![]));
        let twice = "spec.podCIDRs: Invalid value: [\"192.0.2.0/24\",\"198.51.100.0/24\"]: may specify no more than one CIDR \
                     for each IP family";
        assert_eq!(of(json!({"podCIDRs": ["192.0.2.0/24", "198.51.100.0/24"]})).1, [twice]);
        let none = "spec.podCIDRs[0]: Invalid value: \"x\": must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)";
        assert_eq!(of(json!({"podCIDR": "x"})).1, [none]);
    }
}
