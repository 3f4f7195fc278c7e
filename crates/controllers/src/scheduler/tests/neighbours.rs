//! Pods and other pods: ports, affinity, spread.

use serde_json::{Value, json};

use super::{node, outcome, pod, scheduler};

/// Three nodes in two zones.
fn zoned() -> Vec<Value> {
    let zoned = |name: &str, zone: &str| {
        let mut node = node(name, json!({}));
        node["metadata"]["labels"]["zone"] = json!(zone);
        node["status"]["allocatable"]["pods"] = json!("100");
        node
    };
    vec![zoned("a1", "a"), zoned("a2", "a"), zoned("b1", "b")]
}

fn labelled(name: &str, app: &str, spec: Value) -> Value {
    let mut pod = pod(name, spec);
    pod["metadata"]["labels"] = json!({"app": app});
    pod
}

fn on(name: &str, app: &str, node: &str) -> Value {
    labelled(name, app, json!({"nodeName": node}))
}

fn term(app: &str, key: &str) -> Value {
    json!({"labelSelector": {"matchLabels": {"app": app}}, "topologyKey": key})
}

fn beside(app: &str, key: &str) -> Value {
    json!({"affinity": {"podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term(app, key)]}}})
}

fn away_from(app: &str, key: &str) -> Value {
    json!({"affinity": {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term(app, key)]}}})
}

const HOST: &str = "kubernetes.io/hostname";

#[test]
fn a_port_of_a_node_is_for_one_pod() {
    let port = |spec: Value| json!({"containers": [{"name": "c", "ports": [spec]}]});
    let mut there = pod("there", port(json!({"hostPort": 80})));
    there["spec"]["nodeName"] = json!("n");
    let taken = "0/1 nodes are available: 1 node(s) didn't have free ports for the requested pod ports.";
    for (asked, wanted) in
        [(json!({"hostPort": 80}), taken), (json!({"hostPort": 81}), "n"), (json!({}), "n")]
    {
        let pods = vec![there.clone(), pod("p", port(asked.clone()))];
        assert_eq!(outcome(&scheduler(vec![node("n", json!({}))], pods, vec![]))[0].1, wanted, "{asked}");
    }
}

#[test]
fn required_affinity_and_its_opposite() {
    let lonely = "0/3 nodes are available: 3 node(s) didn't match pod affinity rules.";
    let crowded = "0/3 nodes are available: 3 node(s) didn't match pod anti-affinity rules.";
    let averse = |name: &str, node: &str| {
        let mut pod = labelled(name, "db", away_from("web", "zone"));
        pod["spec"]["nodeName"] = json!(node);
        pod
    };
    let mut both = beside("db", "zone");
    both["affinity"]["podAntiAffinity"] = away_from("db", HOST)["affinity"]["podAntiAffinity"].clone();
    for (why, there, spec, wanted) in [
        ("in its zone", vec![on("db", "db", "b1")], beside("db", "zone"), "b1"),
        ("nobody there", vec![], beside("db", "zone"), lonely),
        ("the first of its kind", vec![], beside("web", "zone"), "a1"),
        ("a place that no node has", vec![on("db", "db", "b1")], beside("db", "rack"), lonely),
        ("the first, but in no place", vec![], beside("web", "rack"), lonely),
        (
            "away from a host",
            vec![on("web", "web", "a1"), on("web2", "web", "a2")],
            away_from("web", HOST),
            "b1",
        ),
        ("away from a zone", vec![on("web", "web", "a1")], away_from("web", "zone"), "b1"),
        ("everywhere", vec![on("w1", "web", "a1"), on("w2", "web", "b1")], away_from("web", "zone"), crowded),
        ("in the zone, not on the host", vec![on("db", "db", "a1")], both, "a2"),
        ("those that are there do not want it", vec![averse("db", "a1")], json!({}), "b1"),
        (
            "nowhere",
            vec![averse("db", "a1"), averse("db2", "b1")],
            json!({}),
            "0/3 nodes are available: 3 node(s) didn't satisfy existing pods anti-affinity rules.",
        ),
    ] {
        let mut pods = there;
        pods.push(labelled("p", "web", spec));
        assert_eq!(outcome(&scheduler(zoned(), pods, vec![]))[0].1, wanted, "{why}");
    }
}

#[test]
fn what_a_plan_places_is_seen_by_the_next_pod_of_the_plan() {
    let pods =
        (0..3).map(|number| labelled(&format!("p{number}"), "web", away_from("web", "zone"))).collect();
    let told: Vec<String> =
        outcome(&scheduler(zoned(), pods, vec![])).into_iter().map(|(_, told)| told).collect();
    let crowded = "0/3 nodes are available: 3 node(s) didn't match pod anti-affinity rules.";
    assert_eq!(told, ["a1", "b1", crowded]);
}

#[test]
fn preferred_company() {
    let prefers = |kind: &str, app: &str| {
        let weighted = json!([{"weight": 10, "podAffinityTerm": term(app, "zone")}]);
        json!({"affinity": {kind: {"preferredDuringSchedulingIgnoredDuringExecution": weighted}}})
    };
    let mut fond = labelled("fond", "db", prefers("podAffinity", "web"));
    fond["spec"]["nodeName"] = json!("b1");
    let mut needy = labelled("needy", "db", beside("web", "zone"));
    needy["spec"]["nodeName"] = json!("b1");
    for (why, there, spec, wanted) in [
        ("near", on("db", "db", "b1"), prefers("podAffinity", "db"), "b1"),
        ("far", on("db", "db", "a1"), prefers("podAntiAffinity", "db"), "b1"),
        ("another likes it", fond, json!({}), "b1"),
        ("another needs it", needy, json!({}), "b1"),
        ("all the same", on("db", "db", "a1"), json!({}), "a2"),
    ] {
        let pods = vec![there, labelled("p", "web", spec)];
        assert_eq!(outcome(&scheduler(zoned(), pods, vec![]))[0].1, wanted, "{why}");
    }
}

fn spread(key: &str, max_skew: u32, more: &Value) -> Value {
    let mut constraint = json!({
        "topologyKey": key, "maxSkew": max_skew, "whenUnsatisfiable": "DoNotSchedule",
        "labelSelector": {"matchLabels": {"app": "web"}},
    });
    constraint.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    json!({"topologySpreadConstraints": [constraint]})
}

#[test]
fn required_spread() {
    let skewed = "0/3 nodes are available: 3 node(s) didn't match pod topology spread constraints.";
    let in_a = || vec![on("w1", "web", "a1"), on("w2", "web", "a2")];
    let mut ending = on("w2", "web", "a2");
    ending["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
    let mut elsewhere = on("w2", "web", "a2");
    elsewhere["metadata"]["namespace"] = json!("other");
    let mut only_a = spread("zone", 1, &json!({}));
    only_a["nodeSelector"] = json!({"zone": "a"});
    let mut ignoring = spread("zone", 1, &json!({"nodeAffinityPolicy": "Ignore"}));
    ignoring["nodeSelector"] = json!({"zone": "a"});
    for (why, there, spec, wanted) in [
        ("evens out", in_a(), spread("zone", 1, &json!({})), "b1"),
        (
            "ending pods do not count",
            vec![on("w1", "web", "b1"), ending],
            spread("zone", 1, &json!({})),
            "a1",
        ),
        (
            "nor do those elsewhere",
            vec![on("w1", "web", "b1"), elsewhere],
            spread("zone", 1, &json!({})),
            "a1",
        ),
        ("only where it can be", in_a(), only_a, "a1"),
        (
            "or everywhere",
            in_a(),
            ignoring,
            "0/3 nodes are available: 1 node(s) didn't match Pod's node affinity/selector, \
             2 node(s) didn't match pod topology spread constraints.",
        ),
        ("more domains are to come", in_a(), spread("zone", 1, &json!({"minDomains": 3})), "b1"),
        (
            "no place has one yet",
            [in_a(), vec![on("w3", "web", "b1")]].concat(),
            spread("zone", 1, &json!({"minDomains": 3})),
            skewed,
        ),
        (
            "no such place",
            vec![],
            spread("rack", 1, &json!({})),
            "0/3 nodes are available: 3 node(s) didn't match pod topology spread constraints (missing required label).",
        ),
        ("keys", in_a(), spread("zone", 1, &json!({"matchLabelKeys": ["hash"]})), "b1"),
    ] {
        let mut pods = there;
        pods.push(labelled("p", "web", spec));
        assert_eq!(outcome(&scheduler(zoned(), pods, vec![]))[0].1, wanted, "{why}");
    }
}

#[test]
fn preferred_spread_and_taints_that_count() {
    let anyway = spread("zone", 1, &json!({"whenUnsatisfiable": "ScheduleAnyway"}));
    let there = vec![on("w1", "web", "a1"), on("x1", "x", "b1"), on("x2", "x", "b1")];
    let placed = |spec: Value| {
        let pods = [there.clone(), vec![labelled("p", "web", spec)]].concat();
        outcome(&scheduler(zoned(), pods, vec![])).remove(0).1
    };
    assert_eq!(placed(json!({})), "a2");
    assert_eq!(placed(anyway), "b1");
    let mut nodes = zoned();
    nodes[2]["spec"] = json!({"taints": [{"key": "k", "effect": "NoSchedule"}]});
    let pods = |policy: &str| {
        let spec = spread("zone", 1, &json!({"nodeTaintsPolicy": policy}));
        vec![on("w1", "web", "a1"), labelled("p", "web", spec)]
    };
    assert_eq!(outcome(&scheduler(nodes.clone(), pods("Honor"), vec![]))[0].1, "a2");
    assert_eq!(
        outcome(&scheduler(nodes, pods("Ignore"), vec![]))[0].1,
        "0/3 nodes are available: 1 node(s) had untolerated taint(s), \
         2 node(s) didn't match pod topology spread constraints."
    );
}
