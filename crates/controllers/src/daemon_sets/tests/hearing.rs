//! What people hear of a set.

use serde_json::{Value, json};

use super::super::*;
use super::{Scene, node, set, started, with};
use crate::api::{ApiError, Verb};

/// What is told of the plan's requests, all of which are carried out.
fn carry_out(scene: &mut Scene) -> Vec<(Value, &'static str, String)> {
    let mut told = Vec::new();
    for request in scene.plan().requests {
        let news = scene.controller.told(&request, &json!({}).into()).into_iter();
        told.extend(news.map(|news| (news.about["name"].clone(), news.reason, news.message)));
        scene.world.carry_out(&mut scene.controller, &request);
    }
    told
}

#[test]
fn people_hear_of_pods_that_are_made_and_deleted() {
    let mut scene = Scene::new(set("one"), &["n"]);
    let mut told = carry_out(&mut scene);
    told.extend(carry_out(&mut scene));
    let name = scene.pods()[0]["metadata"]["name"].as_str().unwrap().to_owned();
    let pod = started(scene.pods().remove(0), 1);
    scene.put_pod(pod);
    let taints = json!([{"key": "k", "effect": "NoExecute"}]);
    scene.world.put(Resource::NODES, with(node("n"), json!({"spec": {"taints": taints}})));
    told.extend(carry_out(&mut scene));
    let about = json!("agent");
    assert_eq!(
        told,
        [
            (about.clone(), "SuccessfulCreate", format!("Created pod: {name}")),
            (about, "SuccessfulDelete", format!("Deleted pod: {name}")),
        ]
    );
}

#[test]
fn people_hear_why_a_pod_is_replaced() {
    for (phase, reason, message) in [
        ("Failed", "FailedDaemonPod", "Found failed daemon pod ns/NAME on node n, will try to kill it"),
        (
            "Succeeded",
            "SucceededDaemonPod",
            "Found succeeded daemon pod ns/NAME on node n, will try to delete it",
        ),
    ] {
        let mut scene = Scene::new(set("one"), &["n"]);
        carry_out(&mut scene);
        carry_out(&mut scene);
        let pod = with(started(scene.pods().remove(0), 1), json!({"status": {"phase": phase}}));
        let name = pod["metadata"]["name"].as_str().unwrap().to_owned();
        scene.put_pod(pod);
        let told = carry_out(&mut scene);
        let reasons: Vec<&str> = told.iter().map(|(_, reason, _)| *reason).collect();
        assert_eq!(reasons, [reason, "SuccessfulDelete"]);
        assert_eq!(told[0].2, message.replace("NAME", &name));
    }
}

#[test]
fn people_hear_of_what_fails_and_less_and_less() {
    let mut scene = Scene::new(set("one"), &["n"]);
    scene.carry_out();
    let creation = scene.plan().requests.into_iter().find(|request| request.verb == Verb::Create).unwrap();
    let refused = |message: &str| ApiError::Refused { code: 403, message: message.to_owned() };
    let told = |scene: &Scene, request: &Request, error: &ApiError, attempts: u32| {
        let news = scene.controller.told_of_failure(request, error, attempts)?;
        assert!(news.is_warning);
        Some((news.reason, news.message))
    };
    let quota = refused("pods \"agent-x\" is forbidden: no");
    let wanted = Some(("FailedCreate", "Error creating: pods \"agent-x\" is forbidden: no".to_owned()));
    for (attempts, is_told) in [(1, true), (2, true), (3, false), (4, true), (7, false), (8, true)] {
        assert_eq!(
            told(&scene, &creation, &quota, attempts),
            wanted.clone().filter(|_| is_told),
            "{attempts}"
        );
    }
    let going = refused(
        "pods \"agent-x\" is forbidden: unable to create new content in namespace ns because it is being terminated",
    );
    for (why, error) in
        [("it goes", going), ("it is there", ApiError::AlreadyExists), ("changed", ApiError::Conflict)]
    {
        assert_eq!(told(&scene, &creation, &error, 1), None, "{why}");
    }
    assert!(told(&scene, &creation, &ApiError::TimedOut { seconds: 30 }, 1).is_some());
    scene.carry_out();
    let pod = scene.pods().remove(0);
    let metadata = serde_json::from_value(pod["metadata"].clone()).unwrap();
    let deletion = deletion(Resource::PODS, &metadata);
    assert_eq!(
        told(&scene, &deletion, &refused("no"), 1),
        Some(("FailedDelete", "Error deleting: no".to_owned()))
    );
    assert_eq!(told(&scene, &deletion, &ApiError::NotFound, 1), None);
}
