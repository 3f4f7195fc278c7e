//! Whatever happens to a set, its nodes and pods in whatever order.

use proptest::prelude::*;

use super::*;

#[derive(Clone, Debug)]
enum Step {
    Template(u8),
    AddNode(u8),
    RemoveNode(u8),
    Taint(u8, &'static str),
    Start(usize),
    Break(usize),
    Fail(usize),
    Stop(usize),
    Label(usize),
    Wait(i64),
    /// Carries out one request of the plan.
    Act(usize),
    /// The controller starts anew.
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    let effects = prop::sample::select(vec!["", "NoSchedule", "NoExecute"]);
    prop_oneof![
        1 => (0_u8..3).prop_map(Step::Template),
        2 => (0_u8..6).prop_map(Step::AddNode),
        1 => (0_u8..6).prop_map(Step::RemoveNode),
        1 => ((0_u8..6), effects).prop_map(|(node, effect)| Step::Taint(node, effect)),
        6 => any::<usize>().prop_map(Step::Start),
        1 => any::<usize>().prop_map(Step::Break),
        1 => any::<usize>().prop_map(Step::Fail),
        4 => any::<usize>().prop_map(Step::Stop),
        1 => any::<usize>().prop_map(Step::Label),
        2 => (1_i64..100).prop_map(Step::Wait),
        16 => any::<usize>().prop_map(Step::Act),
        1 => Just(Step::Restart),
    ]
}

/// The nodes that have a pod of use: available and not on its way out.
fn served(scene: &Scene, min_ready: i64) -> BTreeSet<String> {
    let of_use = |pod: &&Value| {
        let ready = pod.pointer("/status/conditions/0/lastTransitionTime").and_then(Value::as_str);
        let since: Option<Timestamp> = ready.and_then(|time| time.parse().ok());
        pod["metadata"]["deletionTimestamp"].is_null()
            && pod["status"]["phase"] == "Running"
            && !pod["metadata"]["ownerReferences"].as_array().unwrap().is_empty()
            && since.is_some_and(|since| since + jiff::SignedDuration::from_secs(min_ready) <= at(scene.now))
    };
    scene.pods().iter().filter(of_use).map(affinity_of).collect()
}

fn tainted(scene: &Scene, node: &str) -> bool {
    scene
        .world
        .get(Resource::NODES, "", node)
        .is_none_or(|node| !node["spec"]["taints"][0]["effect"].is_null())
}

proptest! {
    #![proptest_config(ProptestConfig { max_shrink_iters: 500, ..ProptestConfig::with_cases(48) })]

    /// Whatever happens in whatever order, no node has more pods than it may, no update takes away more than it may, and when
    /// everything else has come to rest, each node has the pod that it should.
    #[test]
    fn every_order_of_events_leads_to_the_same(
        steps in prop::collection::vec(step(), 0..120),
        max_surge in 0_usize..3,
        max_unavailable in 1_usize..3,
        min_ready in prop::sample::select(vec![0_i64, 50]),
    ) {
        let rolling = json!({"maxSurge": max_surge, "maxUnavailable": if max_surge > 0 { 0 } else { max_unavailable }});
        let strategy = json!({"spec": {"minReadySeconds": min_ready, "updateStrategy": {"rollingUpdate": rolling}}});
        let mut scene = Scene::new(with(set("0"), strategy), &["n0", "n1"]);
        for step in steps {
            let pick = |pods: &[Value], index: usize| (!pods.is_empty()).then(|| pods[index % pods.len()].clone());
            let pods = scene.pods();
            match step {
                Step::Template(image) => scene.change_set(
                    json!({"spec": {"template": {"spec": {"containers": [{"name": "c", "image": image.to_string()}]}}}})
                ),
                Step::AddNode(number) => {
                    scene.world.put(Resource::NODES, node(&format!("n{number}")));
                }
                Step::RemoveNode(number) => {
                    let name = format!("n{number}");
                    for pod in pods.iter().filter(|pod| pod["spec"]["nodeName"] == name.as_str()) {
                        scene.world.remove(Resource::PODS, pod);
                    }
                    scene.world.remove(Resource::NODES, &node(&name));
                }
                Step::Taint(number, effect) => {
                    let taints = if effect.is_empty() { json!([]) } else { json!([{"key": "k", "effect": effect}]) };
                    let name = format!("n{number}");
                    if let Some(node) = scene.world.get(Resource::NODES, "", &name).cloned() {
                        scene.world.put(Resource::NODES, with(node, json!({"spec": {"taints": taints}})));
                    }
                }
                Step::Start(index) => if let Some(pod) = pick(&pods, index)
                    && scene.world.get(Resource::NODES, "", &affinity_of(&pod)).is_some()
                    && pod["status"]["phase"] != "Failed"
                {
                    let pod = started(pod, scene.now);
                    scene.put_pod(pod);
                },
                Step::Break(index) => if let Some(pod) = pick(&pods, index) {
                    scene.put_pod(with(pod, json!({"status": {"conditions": []}})));
                },
                Step::Fail(index) => if let Some(pod) = pick(&pods, index) {
                    scene.put_pod(with(pod, json!({"status": {"phase": "Failed", "conditions": []}})));
                },
                Step::Stop(index) => if let Some(pod) = pick(&pods, index)
                    && !pod["metadata"]["deletionTimestamp"].is_null()
                {
                    scene.world.remove(Resource::PODS, &pod);
                },
                Step::Label(index) => if let Some(pod) = pick(&pods, index) {
                    let app = if pod["metadata"]["labels"]["app"] == "agent" { "other" } else { "agent" };
                    scene.put_pod(with(pod, json!({"metadata": {"labels": {"app": app}}})));
                },
                Step::Wait(seconds) => scene.now += seconds,
                Step::Restart => {
                    scene.controller = DaemonSets::new(7);
                    let now = at(scene.now);
                    scene.world.tell_all(&mut scene.controller, now);
                }
                Step::Act(index) => {
                    let requests = scene.plan().requests;
                    if requests.is_empty() {
                        continue;
                    }
                    let request = &requests[index % requests.len()];
                    let before = served(&scene, min_ready);
                    scene.world.carry_out(&mut scene.controller, request);
                    let after = served(&scene, min_ready);
                    // A taint that drives away, or two pods for one place, are no update.
                    let lost: Vec<&String> = before.difference(&after).filter(|node| !tainted(&scene, node)).collect();
                    let wanted = scene.world.all(Resource::NODES).iter()
                        .filter(|node| !tainted(&scene, node["metadata"]["name"].as_str().unwrap())).count();
                    let served_wanted = after.iter().filter(|node| !tainted(&scene, node)).count();
                    if request.verb == Verb::Delete && !lost.is_empty() {
                        let allowed = if max_surge > 0 { 0 } else { max_unavailable };
                        prop_assert!(
                            wanted - served_wanted <= allowed,
                            "{wanted} wanted, {served_wanted} served after {request:?}"
                        );
                    }
                    if request.verb == Verb::Create && request.target.resource == Resource::PODS {
                        let place = affinity_of(&request.body);
                        let hash = |pod: &Value| pod["metadata"]["labels"]["controller-revision-hash"].clone();
                        let there: Vec<Value> = scene.pods().into_iter().filter(|pod| {
                            affinity_of(pod) == place
                                && pod["metadata"]["ownerReferences"] != json!([])
                                && pod["metadata"]["labels"]["app"] == "agent"
                                && (max_surge == 0 || pod["metadata"]["deletionTimestamp"].is_null())
                                && pod["status"]["phase"] != "Failed"
                        }).collect();
                        let same = there.iter().filter(|pod| hash(pod) == hash(&request.body)).count();
                        prop_assert_eq!(same, 1, "of one template on {}", place);
                        prop_assert!(there.len() <= if max_surge > 0 { 2 } else { 1 }, "{} on {place}", there.len());
                    }
                }
            }
        }
        scene.settle();
        let image = scene.world.get(Resource::DAEMON_SETS, "ns", "agent").unwrap()
            .pointer("/spec/template/spec/containers/0/image").unwrap().clone();
        let mine: Vec<Value> = scene.pods().into_iter().filter(|pod| pod["metadata"]["ownerReferences"] != json!([])).collect();
        let mut places: Vec<String> = mine.iter().map(affinity_of).collect();
        places.sort();
        let count = places.len();
        places.dedup();
        prop_assert_eq!(count, places.len(), "one pod a node");
        let effect = |node: &Value| node["spec"]["taints"][0]["effect"].as_str().unwrap_or_default().to_owned();
        for node in scene.world.all(Resource::NODES) {
            let name = node["metadata"]["name"].as_str().unwrap().to_owned();
            match &*effect(&node) {
                "" => prop_assert!(places.contains(&name), "{name} has none"),
                "NoExecute" => prop_assert!(!places.contains(&name), "{name} has one"),
                _ => {}
            }
        }
        // Where no successor could go, the old pod may stay.
        for pod in mine.iter().filter(|pod| !tainted(&scene, &affinity_of(pod))) {
            prop_assert_eq!(&pod["spec"]["containers"][0]["image"], &image);
        }
        prop_assert_eq!(scene.plan().requests, vec![]);
    }
}
