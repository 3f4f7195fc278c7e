//! Whatever the cluster: no placement breaks a required rule, and carried out to its end every plan comes to rest.
//!
//! The rules are written down here once more, plainly, over the objects as they are in the end.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::super::*;
use super::node;
use crate::world::World;

const HOST: &str = "kubernetes.io/hostname";

#[derive(Clone, Debug)]
struct Sample {
    app: u8,
    cpu: u8,
    priority: u8,
    port: Option<u16>,
    rule: Rule,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Rule {
    None,
    Beside(u8, &'static str),
    AwayFrom(u8, &'static str),
    Spread(&'static str),
}

fn key() -> impl Strategy<Value = &'static str> {
    prop_oneof![Just("zone"), Just(HOST)]
}

fn sample() -> impl Strategy<Value = Sample> {
    let rule = prop_oneof![
        Just(Rule::None),
        (0_u8..3, key()).prop_map(|(app, key)| Rule::Beside(app, key)),
        (0_u8..3, key()).prop_map(|(app, key)| Rule::AwayFrom(app, key)),
        key().prop_map(Rule::Spread),
    ];
    (0_u8..3, 1_u8..4, 0_u8..3, proptest::option::of(80_u16..82), rule)
        .prop_map(|(app, cpu, priority, port, rule)| Sample { app, cpu, priority, port, rule })
}

fn pod(number: usize, sample: &Sample) -> Value {
    let term = |app: u8, key: &str| {
        json!({"requiredDuringSchedulingIgnoredDuringExecution": [
            {"labelSelector": {"matchLabels": {"app": app.to_string()}}, "topologyKey": key},
        ]})
    };
    let ports: Vec<Value> = sample.port.iter().map(|port| json!({"hostPort": port})).collect();
    let mut spec = json!({
        "priority": sample.priority,
        "containers": [{"resources": {"requests": {"cpu": sample.cpu.to_string()}}, "ports": ports}],
    });
    match sample.rule {
        Rule::None => {}
        Rule::Beside(app, key) => spec["affinity"] = json!({"podAffinity": term(app, key)}),
        Rule::AwayFrom(app, key) => spec["affinity"] = json!({"podAntiAffinity": term(app, key)}),
        Rule::Spread(key) => {
            spec["topologySpreadConstraints"] = json!([{
                "maxSkew": 1, "topologyKey": key, "whenUnsatisfiable": "DoNotSchedule",
                "labelSelector": {"matchLabels": {"app": sample.app.to_string()}},
            }]);
        }
    }
    json!({
        "metadata": {"name": format!("p{number}"), "namespace": "ns", "labels": {"app": sample.app.to_string()}},
        "spec": spec,
    })
}

/// A pod that has been placed, and on which of the nodes.
#[derive(Clone)]
struct Placed {
    sample: Sample,
    node: usize,
}

fn place(node: usize, key: &str) -> usize {
    if key == HOST { node } else { node % 2 }
}

/// What is wrong with a placement at the time when it was made.
fn broken(next: &Placed, there: &[Placed], cpus: &[u8]) -> Option<String> {
    let here = || there.iter().filter(|other| other.node == next.node);
    let used: u32 = here().map(|other| u32::from(other.sample.cpu)).sum();
    if used + u32::from(next.sample.cpu) > u32::from(cpus[next.node]) {
        return Some("more than there is".to_owned());
    }
    if next.sample.port.is_some() && here().any(|other| other.sample.port == next.sample.port) {
        return Some("a port twice".to_owned());
    }
    let with = |other: &Placed, key: &str| place(other.node, key) == place(next.node, key);
    for other in there {
        if let Rule::AwayFrom(app, key) = other.sample.rule
            && app == next.sample.app
            && with(other, key)
        {
            return Some("beside one that does not want it".to_owned());
        }
    }
    match next.sample.rule {
        Rule::AwayFrom(app, key) => {
            let crowded = there.iter().any(|other| other.sample.app == app && with(other, key));
            crowded.then(|| "beside one that it does not want".to_owned())
        }
        Rule::Beside(app, key) => {
            let any = there.iter().any(|other| other.sample.app == app);
            let is_met = there.iter().any(|other| other.sample.app == app && with(other, key));
            let is_first = !any && app == next.sample.app;
            (!is_met && !is_first).then(|| "away from those that it needs".to_owned())
        }
        Rule::Spread(key) => {
            let count = |at: usize| {
                there
                    .iter()
                    .filter(|other| other.sample.app == next.sample.app && place(other.node, key) == at)
                    .count()
            };
            let places = (0..cpus.len()).map(|node| place(node, key));
            let least = places.map(count).min().unwrap_or(0);
            let skew = count(place(next.node, key)) + 1 - least;
            (skew > 1).then(|| format!("skewed by {skew}"))
        }
        Rule::None => None,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn no_placement_breaks_a_required_rule(
        samples in proptest::collection::vec(sample(), 1..12),
        cpus in proptest::collection::vec(1_u8..8, 1..5),
    ) {
        let now = Timestamp::UNIX_EPOCH;
        let mut world = World::default();
        for (number, cpu) in cpus.iter().enumerate() {
            let mut node = node(&format!("n{number}"), json!({}));
            node["metadata"]["labels"]["zone"] = json!((number % 2).to_string());
            node["status"]["allocatable"] = json!({"cpu": cpu.to_string(), "pods": "100"});
            world.put(Resource::NODES, node);
        }
        let mut scheduler = Scheduler::new();
        world.tell_all(&mut scheduler, now);
        let mut there: Vec<(String, Placed)> = Vec::new();
        // They come one after the other; room is made, and those that have to go do so in time.
        for (number, sample) in samples.iter().enumerate() {
            world.put(Resource::PODS, pod(number, sample));
            let mut is_quiet = false;
            for _ in 0..20 {
                world.tell(&mut scheduler, now);
                let requests = scheduler.plan(now).requests;
                if requests.is_empty() {
                    is_quiet = true;
                    break;
                }
                for request in requests {
                    let name = &request.target.name;
                    if request.target.subresource == Some("binding") {
                        let sample = samples[name[1..].parse::<usize>().unwrap()].clone();
                        let node = request.body["target"]["name"].as_str().unwrap()[1..].parse().unwrap();
                        let next = Placed { sample, node };
                        let others: Vec<Placed> = there.iter().map(|(_, placed)| placed.clone()).collect();
                        prop_assert_eq!(broken(&next, &others, &cpus), None, "{} on n{}", name, node);
                        there.push((name.clone(), next));
                    }
                    if request.verb == Verb::Delete {
                        let (_, victim) = there.iter().find(|(other, _)| other == name).unwrap();
                        let is_for_a_higher = samples[..=number].iter().any(|sample| sample.priority > victim.sample.priority);
                        prop_assert!(is_for_a_higher, "{} was ended for nobody", name);
                    }
                    prop_assert!(world.carry_out(&mut scheduler, &request));
                }
                // The node has stopped what was to end.
                for gone in world.all(Resource::PODS) {
                    if !gone["metadata"]["deletionTimestamp"].is_null() {
                        there.retain(|(name, _)| gone["metadata"]["name"] != **name);
                        world.remove(Resource::PODS, &gone);
                    }
                }
            }
            prop_assert!(is_quiet, "no rest after p{}", number);
        }
    }
}
