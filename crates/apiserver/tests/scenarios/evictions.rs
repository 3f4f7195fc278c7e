//! `pods/eviction`, as `kubectl drain` uses it: without it nobody can empty a node, and with a budget that is not kept an
//! application loses all its pods at once.

use http::{HeaderMap, Method};
use serde_json::{Value, json};
use tokenward_apiserver::{ApiServer, Client, User};
use tokenward_kube_rules::Release;

use crate::testbed::{Answer, PODS, Testbed, pod, send};

const BUDGETS: &str = "/apis/policy/v1/namespaces/apps/poddisruptionbudgets";
const JSON: [(&str, &str); 1] = [("content-type", "application/json")];

fn eviction(name: &str) -> Value {
    json!({"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name, "namespace": "apps"}})
}

async fn evict(server: &ApiServer, name: &str, query: &str, body: &Value) -> Answer {
    let path = format!("{PODS}/{name}/eviction{query}");
    send(server, Method::POST, &path, &JSON, body.to_string()).await
}

/// A pod of the application that runs on the node `n1`.
async fn running(admin: &Client, name: &str, ready: &str) {
    let mut pod = pod(name);
    pod["metadata"]["labels"] = json!({"app": "web"});
    pod["spec"]["nodeName"] = "n1".into();
    admin.create(PODS, &pod).await.unwrap();
    let status = json!({"status": {"phase": "Running", "conditions": [{"type": "Ready", "status": ready}]}});
    admin.merge_patch(&format!("{PODS}/{name}/status"), &status).await.unwrap();
}

/// A budget as its controller leaves it.
async fn counted(admin: &Client, name: &str, allowed: u32) {
    let spec = json!({"minAvailable": 1, "selector": {"matchLabels": {"app": "web"}}});
    let made =
        admin.create(BUDGETS, &json!({"metadata": {"name": name}, "spec": spec})).await.unwrap().object;
    assert_eq!(made["metadata"]["generation"], 1);
    let status = json!({"observedGeneration": 1, "disruptionsAllowed": allowed, "currentHealthy": allowed + 1,
        "desiredHealthy": 1, "expectedPods": allowed + 1});
    admin.merge_patch(&format!("{BUDGETS}/{name}/status"), &json!({"status": status})).await.unwrap();
}

async fn read(admin: &Client, name: &str) -> Value {
    admin.get(&format!("{PODS}/{name}")).await.unwrap()
}

#[tokio::test]
async fn a_pod_without_a_budget_is_told_why_it_goes() {
    let (server, admin) = Testbed::new().furnished().await;
    running(&admin, "web-0", "True").await;
    let mut body = eviction("web-0");
    // Whoever writes options as a whole object is understood, too.
    body["deleteOptions"] = json!({"apiVersion": "v1", "kind": "DeleteOptions", "gracePeriodSeconds": 7});
    let answer = evict(&server, "web-0", "?fieldValidation=Strict", &body).await;
    assert_eq!(
        answer.json(),
        json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201})
    );
    assert_eq!(answer.code().as_u16(), 201);
    let going = read(&admin, "web-0").await;
    assert_eq!(going["metadata"]["deletionGracePeriodSeconds"], 7);
    let conditions = going["status"]["conditions"].as_array().unwrap();
    let target = conditions.iter().find(|condition| condition["type"] == "DisruptionTarget").unwrap();
    assert_eq!(
        (&target["status"], &target["reason"], &target["message"]),
        (&json!("True"), &json!("EvictionByEvictionAPI"), &json!("Eviction API: evicting"))
    );
    // Once more does no harm.
    assert_eq!(evict(&server, "web-0", "", &eviction("web-0")).await.code().as_u16(), 201);

    // Nobody runs it: it is gone at once.
    admin.create(PODS, &pod("waiting")).await.unwrap();
    assert_eq!(evict(&server, "waiting", "", &eviction("waiting")).await.code().as_u16(), 201);
    assert!(admin.get(&format!("{PODS}/waiting")).await.is_err());
}

#[tokio::test]
async fn a_budget_is_spent_and_then_refuses() {
    let (server, admin) = Testbed::new().furnished().await;
    for name in ["web-0", "web-1", "web-2"] {
        running(&admin, name, "True").await;
    }
    counted(&admin, "web", 1).await;
    assert_eq!(evict(&server, "web-0", "?dryRun=All", &eviction("web-0")).await.code().as_u16(), 201);
    assert!(read(&admin, "web-0").await["metadata"]["deletionTimestamp"].is_null());
    assert_eq!(evict(&server, "web-0", "", &eviction("web-0")).await.code().as_u16(), 201);
    let budget = admin.get(&format!("{BUDGETS}/web")).await.unwrap();
    assert_eq!(budget["metadata"]["generation"], 1);
    let status = &budget["status"];
    assert_eq!(status["disruptionsAllowed"], 0);
    assert_eq!(status["disruptedPods"].as_object().unwrap().keys().collect::<Vec<_>>(), ["web-0"]);
    assert_eq!(status["conditions"][0]["reason"], "InsufficientPods");

    let refused = evict(&server, "web-1", "", &eviction("web-1")).await;
    assert_eq!(
        refused.json(),
        json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "code": 429,
            "reason": "TooManyRequests",
            "message": "Cannot evict pod as it would violate the pod's disruption budget.",
            "details": {"causes": [{
                "reason": "DisruptionBudget",
                "message": "The disruption budget web needs 1 healthy pods and has 2 currently",
            }]},
        })
    );
    let waits =
        |headers: &HeaderMap| headers.get("retry-after").map(|value| value.to_str().unwrap().to_owned());
    assert_eq!(waits(refused.response.headers()), None);
    assert!(read(&admin, "web-1").await["metadata"]["deletionTimestamp"].is_null());

    // A budget that was changed has to be counted first.
    admin.merge_patch(&format!("{BUDGETS}/web"), &json!({"spec": {"minAvailable": 0}})).await.unwrap();
    let busy = evict(&server, "web-1", "", &eviction("web-1")).await;
    assert_eq!((busy.code().as_u16(), waits(busy.response.headers()).as_deref()), (429, Some("10")));
    let details = &busy.json()["details"];
    assert_eq!(details["retryAfterSeconds"], 10);
    assert_eq!(
        details["causes"][0]["message"],
        "The disruption budget web is still being processed by the server."
    );
}

#[tokio::test]
async fn of_many_who_ask_at_once_as_many_are_granted_as_the_budget_allows() {
    let (server, admin) = Testbed::new().furnished().await;
    let names: Vec<String> = (0..12).map(|number| format!("web-{number}")).collect();
    for name in &names {
        running(&admin, name, "True").await;
    }
    counted(&admin, "web", 5).await;
    let asked =
        names.iter().map(|name| async { evict(&server, name, "", &eviction(name)).await.code().as_u16() });
    let codes = futures_util::future::join_all(asked).await;
    assert_eq!(codes.iter().filter(|code| **code == 201).count(), 5, "{codes:?}");
    assert_eq!(codes.iter().filter(|code| **code == 429).count(), 7, "{codes:?}");
    let status = admin.get(&format!("{BUDGETS}/web")).await.unwrap()["status"].clone();
    assert_eq!(status["disruptionsAllowed"], 0);
    assert_eq!(status["disruptedPods"].as_object().unwrap().len(), 5);
}

#[tokio::test]
async fn a_pod_that_is_not_ready_costs_nothing_while_the_others_are() {
    let (server, admin) = Testbed::new().furnished().await;
    running(&admin, "ill", "False").await;
    counted(&admin, "web", 1).await;
    assert_eq!(evict(&server, "ill", "", &eviction("ill")).await.code().as_u16(), 201);
    let status = admin.get(&format!("{BUDGETS}/web")).await.unwrap()["status"].clone();
    assert_eq!((&status["disruptionsAllowed"], &status["disruptedPods"]), (&json!(1), &Value::Null));
    assert!(read(&admin, "ill").await["metadata"]["deletionTimestamp"].is_string());
}

#[tokio::test]
async fn what_cannot_be_evicted_says_why() {
    let (server, admin) = Testbed::new().furnished().await;
    running(&admin, "web-0", "True").await;
    let mut wrong = eviction("web-0");
    wrong["deleteOptions"] = json!({"preconditions": {"uid": "other"}});
    let table = [
        ("web-0", eviction("web-1"), 400, "name in URL does not match name in Eviction object"),
        ("web-0", json!({}), 400, "name in URL does not match name in Eviction object"),
        ("none", eviction("none"), 404, "pods \"none\" not found"),
    ];
    for (name, body, code, message) in table {
        let answer = evict(&server, name, "", &body).await;
        assert_eq!(answer.code().as_u16(), code, "{body}");
        assert_eq!(answer.json()["message"], message, "{body}");
    }
    let answer = evict(&server, "web-0", "", &wrong).await;
    assert_eq!(answer.code().as_u16(), 409);
    let message = answer.json()["message"].as_str().unwrap().to_owned();
    assert!(
        message.contains("the UID in the precondition (other) does not match the UID in record ("),
        "{message}"
    );

    counted(&admin, "one", 1).await;
    counted(&admin, "two", 1).await;
    let several = evict(&server, "web-0", "", &eviction("web-0")).await;
    assert_eq!(several.code().as_u16(), 500);
    assert_eq!(
        several.json()["message"],
        "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support."
    );
}

#[tokio::test]
async fn a_node_evicts_what_runs_on_it() {
    let testbed = Testbed::new();
    let (_, admin) = testbed.furnished().await;
    let server = testbed.server(Release::V1_35);
    running(&admin, "here", "True").await;
    admin.create(PODS, &pod("nowhere")).await.unwrap();
    let node = server.client(User::authenticated("system:node:n1", ["system:nodes".to_owned()]));
    let refused = node.create(&format!("{PODS}/nowhere/eviction"), &eviction("nowhere")).await.unwrap_err();
    assert_eq!(
        refused.to_string(),
        "pods \"nowhere\" is forbidden: node n1 can only evict pods with spec.nodeName set to itself"
    );
    node.create(&format!("{PODS}/here/eviction"), &eviction("here")).await.unwrap();
    assert!(read(&admin, "here").await["metadata"]["deletionTimestamp"].is_string());
    let alice = server.client(User::authenticated("alice", []));
    let refused = alice.create(&format!("{PODS}/here/eviction"), &eviction("here")).await.unwrap_err();
    assert!(refused.to_string().contains("cannot create resource \"pods/eviction\""), "{refused}");
}
