//! The pod of a set for a node.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::kinds::DaemonSet;
use super::{HASH, eligibility, owner_reference};
use crate::api::{Request, Resource, Target};
use crate::names;

/// The template's number, by which old controllers knew pods.
const GENERATION: &str = "pod-template-generation";
const GENERATION_OF_SET: &str = "deprecated.daemonset.template.generation";
/// Names of pods have at most 63 characters, with a dash and five letters at the end.
const LONGEST_PREFIX: usize = 57;

/// A name for the pod of each node: always the same for the same set, node and `seed` of the node, unless it is `taken`.
pub(super) fn names(
    set: &DaemonSet,
    nodes: &[&str],
    seed: impl Fn(&str) -> String,
    taken: impl Fn(&str) -> bool,
) -> Vec<String> {
    let prefix: String = set.metadata.name.chars().take(LONGEST_PREFIX).collect();
    let mut given = BTreeSet::new();
    let mut names = Vec::with_capacity(nodes.len());
    for node in nodes {
        let seed = seed(node);
        let candidates = (0_u32..).map(|attempt| {
            let seed = format!("{seed}/{attempt}/{node}");
            [&*prefix, "-", &names::safe(&Sha256::digest(seed.as_bytes()), 5)].concat()
        });
        let mut free = candidates.filter(|name| !taken(name) && !given.contains(name));
        let name = free.next().unwrap_or_default();
        given.insert(name.clone());
        names.push(name);
    }
    names
}

/// Makes the pod of a node.
pub(super) fn creation(set: &DaemonSet, hash: &str, node: &str, name: &str) -> Request {
    let template = &set.spec.template;
    let part = |pointer: &str| -> Map<String, Value> {
        template.tree.pointer(pointer).and_then(Value::as_object).cloned().unwrap_or_default()
    };
    let mut metadata = part("/metadata");
    let mut labels = part("/metadata/labels");
    labels.insert(HASH.to_owned(), hash.into());
    if let Some(generation) = set.metadata.annotations.get(GENERATION_OF_SET) {
        labels.insert(GENERATION.to_owned(), generation.as_str().into());
    }
    let prefix = [&*set.metadata.name, "-"].concat();
    metadata.retain(|member, _| matches!(&**member, "annotations" | "finalizers"));
    metadata.extend([
        ("name".to_owned(), name.into()),
        ("generateName".to_owned(), prefix.into()),
        ("namespace".to_owned(), set.metadata.namespace.as_str().into()),
        ("labels".to_owned(), labels.into()),
        ("ownerReferences".to_owned(), json!([owner_reference(set)])),
    ]);
    let mut spec = part("/spec");
    spec.insert("tolerations".to_owned(), tolerations(set, spec.get("tolerations")));
    let affinity = affinity(spec.remove("affinity"), node);
    spec.insert("affinity".to_owned(), affinity);
    let body = json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec});
    Request::create(Target::namespaced(Resource::PODS, &set.metadata.namespace, name), body)
}

fn tolerations(set: &DaemonSet, own: Option<&Value>) -> Value {
    let mut all = own.and_then(Value::as_array).cloned().unwrap_or_default();
    for toleration in eligibility::tolerations(&set.spec.template.spec) {
        if !set.spec.template.spec.tolerations.contains(&toleration) {
            all.push(json!({
                "key": toleration.key, "operator": toleration.operator, "effect": toleration.effect,
            }));
        }
    }
    all.into()
}

/// The template's affinity, with that to nodes narrowed to one: it has been looked at already.
fn affinity(own: Option<Value>, node: &str) -> Value {
    let mut affinity = own.filter(Value::is_object).unwrap_or_else(|| json!({}));
    if !affinity["nodeAffinity"].is_object() {
        affinity["nodeAffinity"] = json!({});
    }
    affinity["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"] = json!({
        "nodeSelectorTerms": [{"matchFields": [{"key": "metadata.name", "operator": "In", "values": [node]}]}],
    });
    affinity
}
