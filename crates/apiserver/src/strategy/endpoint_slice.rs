//! EndpointSlice: addresses of one family, and the ports that they all have.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, Ipv6Addr};

use serde_json::Value;
use tokenward_kube_rules::{FeatureGates, FieldError, names};

use super::field::Field;
use super::{Check, Strategy};
use crate::object::{Metadata, Object, at, set_default};

pub(super) struct EndpointSliceStrategy;

const MOST_ENDPOINTS: usize = 1_000;
const MOST_ADDRESSES: usize = 100;
const MOST_PORTS: usize = 20_000;

impl Strategy for EndpointSliceStrategy {
    fn checks_of_change(&self) -> &'static [Check] {
        &[Check::Metadata, Check::Content, Check::ContentChange]
    }

    fn set_defaults(&self, object: &mut Object) {
        let ports = object.get_mut("ports").and_then(Value::as_array_mut).into_iter().flatten();
        for port in ports.filter_map(Value::as_object_mut) {
            set_default(port, "name", "");
            set_default(port, "protocol", "TCP");
        }
    }

    fn prepare_create(&self, object: &mut Object, _gates: &FeatureGates) {
        object.metadata_mut().insert("generation".to_owned(), 1.into());
    }

    fn prepare_update(&self, new: &mut Object, old: &Object, _gates: &FeatureGates) {
        let content = |object: &Object| {
            let labels = at(object, &["metadata", "labels"]).cloned();
            (labels, ["addressType", "endpoints", "ports"].map(|member| object.get(member).cloned()))
        };
        if content(new) != content(old) {
            let generation = old.metadata_number("generation").saturating_add(1);
            new.metadata_mut().insert("generation".to_owned(), generation.into());
        }
    }

    fn validate(&self, object: &Object) -> Vec<FieldError> {
        let family = Field::of(object, "addressType");
        let mut errors = Vec::new();
        errors.extend(family.require_text().or_else(|| family.one_of(&["FQDN", "IPv4", "IPv6"])));
        let endpoints = Field::of(object, "endpoints");
        if endpoints.items().len() > MOST_ENDPOINTS {
            errors.push(FieldError::too_many(endpoints.path(), endpoints.items().len(), MOST_ENDPOINTS));
            return errors;
        }
        for endpoint in endpoints.items() {
            errors.extend(endpoint_faults(&endpoint, family.text()));
        }
        errors.extend(port_faults(&Field::of(object, "ports")));
        errors
    }

    fn validate_update(&self, new: &Object, old: &Object) -> Vec<FieldError> {
        Field::of(new, "addressType").immutable(&Field::of(old, "addressType")).into_iter().collect()
    }
}

fn endpoint_faults(endpoint: &Field<'_>, family: &str) -> Vec<FieldError> {
    let addresses = endpoint.child("addresses");
    let mut errors = Vec::new();
    match addresses.items().len() {
        0 => errors.push(addresses.required("must contain at least 1 address")),
        found if found > MOST_ADDRESSES => {
            errors.push(FieldError::too_many(addresses.path(), found, MOST_ADDRESSES));
        }
        _ => {}
    }
    for address in addresses.items() {
        match family {
            "IPv4" if address.text().parse::<Ipv4Addr>().is_err() => {
                errors.push(address.invalid("must be a valid IPv4 address"));
            }
            "IPv6" if address.text().parse::<Ipv6Addr>().is_err() => {
                errors.push(address.invalid("must be a valid IPv6 address"));
            }
            "FQDN" => errors.extend(address.faults(names::dns_subdomain)),
            _ => {}
        }
    }
    for (member, rule) in
        [("nodeName", names::dns_subdomain as fn(&str) -> Vec<String>), ("hostname", names::dns_label)]
    {
        let name = endpoint.child(member);
        if name.is_set() {
            errors.extend(name.faults(rule));
        }
    }
    errors
}

fn port_faults(ports: &Field<'_>) -> Vec<FieldError> {
    let mut errors = Vec::new();
    if ports.items().len() > MOST_PORTS {
        return vec![FieldError::too_many(ports.path(), ports.items().len(), MOST_PORTS)];
    }
    let mut seen = BTreeSet::new();
    for port in ports.items() {
        let name = port.child("name");
        if !name.text().is_empty() {
            errors.extend(name.faults(names::dns_label));
        }
        if !seen.insert(name.text()) {
            errors.push(name.duplicate());
        }
        errors.extend(port.child("protocol").one_of(&["SCTP", "TCP", "UDP"]));
        let application = port.child("appProtocol");
        if application.is_set() {
            errors.extend(application.faults(names::qualified_name));
        }
    }
    errors
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use tokenward_kube_rules::Release;

    use super::*;

    fn slice(value: &Value) -> Object {
        let mut object = value.as_object().unwrap().clone();
        EndpointSliceStrategy.set_defaults(&mut object);
        object
    }

    #[test]
    fn families_addresses_and_ports() {
        let good = slice(
            &json!({"addressType": "IPv4", "endpoints": [{"addresses": ["192.0.2.1"]}], "ports": [{"port": 443}]}),
        );
        assert_eq!(EndpointSliceStrategy.validate(&good), []);
        assert_eq!(good["ports"], json!([{"port": 443, "name": "", "protocol": "TCP"}]));
        let bad = slice(&json!({
            "addressType": "IPv6",
            "endpoints": [{"addresses": []}, {"addresses": ["192.0.2.1"], "hostname": "A", "nodeName": "-"}],
            "ports": [{"name": "a"}, {"name": "a", "protocol": "X"}],
        }));
        let errors = EndpointSliceStrategy.validate(&bad);
        let fields: Vec<&str> = errors.iter().map(FieldError::field).collect();
        let wanted = [
            "endpoints[0].addresses",
            "endpoints[1].addresses[0]",
            "endpoints[1].nodeName",
            "endpoints[1].hostname",
            "ports[1].name",
            "ports[1].protocol",
        ];
        assert_eq!(fields, wanted);
        let many = vec![json!({"addresses": ["::1"]}); MOST_ENDPOINTS + 1];
        let error =
            &EndpointSliceStrategy.validate(&slice(&json!({"addressType": "IPv6", "endpoints": many})))[0];
        assert_eq!(error.to_string(), "endpoints: Too many: 1001: must have at most 1000 items");
        assert_eq!(
            EndpointSliceStrategy.validate(&Object::new())[0].to_string(),
            "addressType: Required value"
        );
    }

    #[test]
    fn content_and_labels_make_a_generation() {
        let gates = FeatureGates::for_release(Release::V1_35);
        let old = slice(&json!({"metadata": {"generation": 4}, "addressType": "IPv4", "endpoints": []}));
        for (new, generation) in [
            (
                json!({"metadata": {"generation": 4, "annotations": {"a": "b"}}, "addressType": "IPv4", "endpoints": []}),
                4,
            ),
            (
                json!({"metadata": {"generation": 4, "labels": {"a": "b"}}, "addressType": "IPv4", "endpoints": []}),
                5,
            ),
            (
                json!({"metadata": {"generation": 4}, "addressType": "IPv4", "endpoints": [{"addresses": ["192.0.2.1"]}]}),
                5,
            ),
        ] {
            let mut new = slice(&new);
            EndpointSliceStrategy.prepare_update(&mut new, &old, &gates);
            assert_eq!(new.metadata_number("generation"), generation);
        }
    }
}
