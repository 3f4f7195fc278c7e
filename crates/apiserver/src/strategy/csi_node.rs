//! CSINode: the drivers of a node. An entry is fixed but for how many volumes it can take.

use std::collections::{BTreeSet, HashMap};

use serde_json::Value;
use tokenward_kube_rules::{FieldError, names};

use super::field::Field;
use super::{Check, Strategy};
use crate::object::Object;

pub(super) struct CsiNodeStrategy;

const LONGEST_NODE_ID: usize = 256;
/// How many bad topology keys of a driver are told of: each with all of its keys.
const MOST_BAD_KEYS: usize = 32;

impl Strategy for CsiNodeStrategy {
    fn checks_of_change(&self) -> &'static [Check] {
        &[Check::Metadata, Check::Content, Check::ContentChange]
    }

    fn is_shown_when_deleted(&self) -> bool {
        true
    }

    fn unconditional_update(&self) -> bool {
        false
    }

    fn validate(&self, object: &Object) -> Vec<FieldError> {
        let mut errors = Vec::new();
        let mut seen = BTreeSet::new();
        for driver in drivers(object) {
            let name = driver.child("name");
            errors.extend(names::csi_driver_name(name.text(), &name.path()));
            let node_id = driver.child("nodeID");
            errors.extend(node_id.require_text());
            if node_id.text().len() > LONGEST_NODE_ID {
                errors.push(node_id.invalid(&format!("must be {LONGEST_NODE_ID} characters or less")));
            }
            errors.extend(driver.child("allocatable").child("count").not_negative());
            if !seen.insert(name.text()) {
                errors.push(name.duplicate());
            }
            errors.extend(topology_faults(&driver));
        }
        errors
    }

    fn validate_update(&self, new: &Object, old: &Object) -> Vec<FieldError> {
        let mut errors = Vec::new();
        // Names are unique: so much has been validated.
        let by_name: HashMap<String, Field<'_>> =
            drivers(new).map(|driver| (driver.child("name").text().to_owned(), driver)).collect();
        for old in drivers(old) {
            let same = by_name.get(old.child("name").text());
            if let Some(new) = same.filter(|new| fixed_part(new) != fixed_part(&old)) {
                errors.push(FieldError::invalid("spec.drivers", new.value().clone(), "field is immutable"));
            }
        }
        errors
    }
}

fn drivers(object: &Object) -> impl Iterator<Item = Field<'_>> {
    Field::of(object, "spec").child("drivers").items()
}

fn fixed_part(driver: &Field<'_>) -> (Value, Vec<Value>) {
    let keys = driver.child("topologyKeys").items().map(|key| key.value().clone()).collect();
    (driver.child("nodeID").value().clone(), keys)
}

fn topology_faults(driver: &Field<'_>) -> Vec<FieldError> {
    let keys = driver.child("topologyKeys");
    let mut errors = Vec::new();
    let mut seen = BTreeSet::new();
    for key in keys.items().map(|key| key.text()) {
        if errors.len() >= MOST_BAD_KEYS {
            break;
        }
        if key.is_empty() {
            errors.push(driver.required(""));
        }
        if !seen.insert(key) {
            errors.push(FieldError::duplicate(driver.path(), key));
        }
        errors.extend(
            names::qualified_name(key).iter().map(|fault| FieldError::invalid(driver.path(), key, fault)),
        );
    }
    errors
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn node(drivers: &Value) -> Object {
        json!({"spec": {"drivers": drivers}}).as_object().unwrap().clone()
    }

    #[test]
    fn drivers_are_checked_one_by_one() {
        let good = json!([{"name": "a.example", "nodeID": "n", "topologyKeys": ["a/b"], "allocatable": {"count": 0}}]);
        assert_eq!(CsiNodeStrategy.validate(&node(&good)), []);
        let bad = json!([
            {"name": "", "nodeID": "x".repeat(257), "topologyKeys": null, "allocatable": {"count": -1}},
            {"name": "b", "nodeID": "", "topologyKeys": ["k", "k", "/"]},
            {"name": "b", "nodeID": "n", "topologyKeys": []},
        ]);
        let bad = node(&bad);
        let errors = CsiNodeStrategy.validate(&bad);
        let fields: Vec<&str> = errors.iter().map(FieldError::field).collect();
        let drivers = |rest: &str| format!("spec.drivers[{rest}");
        let wanted =
            ["0].name", "0].nodeID", "0].allocatable.count", "1].nodeID", "1]", "1]", "1]", "1]", "2].name"];
        assert_eq!(fields, wanted.map(drivers));
        assert_eq!(
            errors[6].to_string(),
            "spec.drivers[1]: Invalid value: \"/\": name part must be non-empty"
        );
    }

    #[test]
    fn of_a_hundred_thousand_bad_keys_some_are_told() {
        let bad = node(&json!([{"name": "a", "nodeID": "n", "topologyKeys": vec!["-"; 100_000]}]));
        let errors = CsiNodeStrategy.validate(&bad);
        assert!((MOST_BAD_KEYS..MOST_BAD_KEYS + 4).contains(&errors.len()), "{}", errors.len());
    }

    #[test]
    fn an_entry_is_fixed_but_for_its_count() {
        let old = node(&json!([{"name": "a", "nodeID": "n", "topologyKeys": null}]));
        let more = node(
            &json!([{"name": "a", "nodeID": "n", "topologyKeys": [], "allocatable": {"count": 3}}, {"name": "b", "nodeID": "n"}]),
        );
        assert_eq!(CsiNodeStrategy.validate_update(&more, &old), []);
        assert_eq!(CsiNodeStrategy.validate_update(&node(&json!([])), &old), []);
        let other = node(&json!([{"name": "a", "nodeID": "m", "topologyKeys": null}]));
        let error = &CsiNodeStrategy.validate_update(&other, &old)[0];
        assert!(error.to_string().starts_with("spec.drivers: Invalid value: {"), "{error}");
        assert!(error.to_string().ends_with("}: field is immutable"), "{error}");
    }

    #[test]
    fn what_a_node_may_change_of_its_entries() {
        let entry = |id: &str, keys: Value, count: Value| json!({"name": "a", "nodeID": id, "topologyKeys": keys, "allocatable": count});
        let old = node(&json!([entry("n", json!(["zone", "rack"]), json!({"count": 3}))]));
        for (why, drivers, is_refused) in [
            ("nothing", json!([entry("n", json!(["zone", "rack"]), json!({"count": 3}))]), false),
            ("more volumes", json!([entry("n", json!(["zone", "rack"]), json!({"count": 9}))]), false),
            ("any number of volumes", json!([entry("n", json!(["zone", "rack"]), json!(null))]), false),
            ("another id", json!([entry("m", json!(["zone", "rack"]), json!({"count": 3}))]), true),
            ("fewer keys", json!([entry("n", json!(["zone"]), json!({"count": 3}))]), true),
            ("no keys", json!([entry("n", json!(null), json!({"count": 3}))]), true),
            (
                "keys in another order",
                json!([entry("n", json!(["rack", "zone"]), json!({"count": 3}))]),
                true,
            ),
            ("a driver that is gone", json!([]), false),
            ("another driver", json!([{"name": "b", "nodeID": "m", "topologyKeys": null}]), false),
        ] {
            let errors = CsiNodeStrategy.validate_update(&node(&drivers), &old);
            assert_eq!(!errors.is_empty(), is_refused, "{why}: {errors:?}");
        }
    }
}
