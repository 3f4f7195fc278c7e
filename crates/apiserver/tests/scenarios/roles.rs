//! Who may do what by roles: granted, taken away, asked about, and not handed on beyond what one holds.

use http::StatusCode;
use serde_json::{Value, json};
use tokenward_apiserver::{ApiServer, Client, ClientError, User};
use tokenward_kube_rules::Release;

use crate::testbed::{DRIVERS, PODS, Testbed, pod};

const GROUP: &str = "/apis/rbac.authorization.k8s.io/v1";
const REVIEWS: &str = "/apis/authorization.k8s.io/v1";

fn alice(server: &ApiServer) -> Client {
    server.client(User::authenticated("alice", ["devs".to_owned()]))
}

fn role(name: &str, rules: &Value) -> Value {
    json!({"metadata": {"name": name}, "rules": rules})
}

fn binding(name: &str, kind: &str, role: &str, subject: &Value) -> Value {
    json!({"metadata": {"name": name}, "subjects": [subject], "roleRef": {"kind": kind, "name": role}})
}

fn user(name: &str) -> Value {
    json!({"kind": "User", "name": name})
}

fn message(outcome: Result<impl Sized, ClientError>) -> String {
    match outcome {
        Ok(_) => "allowed".to_owned(),
        Err(error) => error.to_string(),
    }
}

#[tokio::test]
async fn a_role_counts_from_the_write_that_makes_it_to_the_write_that_ends_it() {
    let (server, admin) = Testbed::new().furnished().await;
    let alice = alice(&server);
    admin.create(PODS, &pod("p")).await.unwrap();
    let refused = message(alice.get(PODS).await);
    assert_eq!(
        refused,
        "pods is forbidden: User \"alice\" cannot list resource \"pods\" in API group \"\" in the namespace \"apps\""
    );
    let rules = json!([{"verbs": ["get", "list"], "apiGroups": [""], "resources": ["pods"]}]);
    let roles = format!("{GROUP}/namespaces/apps/roles");
    let bindings = format!("{GROUP}/namespaces/apps/rolebindings");
    // The binding first: it names its role, which is not there yet.
    admin.create(&bindings, &binding("b", "Role", "reader", &user("alice"))).await.unwrap();
    let refused = message(alice.get(PODS).await);
    assert!(refused.ends_with(": RBAC: role.rbac.authorization.k8s.io \"reader\" not found"), "{refused}");
    admin.create(&roles, &role("reader", &rules)).await.unwrap();
    assert_eq!(alice.get(PODS).await.unwrap()["items"].as_array().unwrap().len(), 1);
    assert!(alice.get("/api/v1/pods").await.is_err(), "in its namespace only");
    assert!(alice.delete(&format!("{PODS}/p"), None).await.is_err());
    let narrowed =
        json!([{"verbs": ["get"], "apiGroups": [""], "resources": ["pods"], "resourceNames": ["p"]}]);
    admin.merge_patch(&format!("{roles}/reader"), &json!({"rules": narrowed})).await.unwrap();
    assert!(alice.get(PODS).await.is_err());
    assert!(alice.get(&format!("{PODS}/p")).await.is_ok());
    admin.delete(&format!("{bindings}/b"), None).await.unwrap();
    assert!(alice.get(&format!("{PODS}/p")).await.is_err());
}

#[tokio::test]
async fn nobody_grants_what_they_do_not_hold() {
    let (server, admin) = Testbed::new().furnished().await;
    let alice = alice(&server);
    let roles = format!("{GROUP}/clusterroles");
    let bindings = format!("{GROUP}/clusterrolebindings");
    let managers = json!([
        {"verbs": ["*"], "apiGroups": ["rbac.authorization.k8s.io"], "resources": ["clusterroles", "clusterrolebindings"],
            "resourceNames": []},
        {"verbs": ["get"], "apiGroups": [""], "resources": ["pods"]},
    ]);
    // Managing roles by verbs of one's own choice, and not `escalate` and `bind`, which the star holds too.
    let mut plain = managers.clone();
    plain[0]["verbs"] = json!(["create", "update", "patch", "get", "delete"]);
    admin.create(&roles, &role("manager", &plain)).await.unwrap();
    admin.create(&bindings, &binding("alice", "ClusterRole", "manager", &user("alice"))).await.unwrap();

    let pods = |verbs: &[&str]| json!([{"verbs": verbs, "apiGroups": [""], "resources": ["pods"]}]);
    assert_eq!(message(alice.create(&roles, &role("held", &pods(&["get"]))).await), "allowed");
    let many = |what: &str| (0..1_000).map(|number| format!("{what}{number}")).collect::<Vec<_>>();
    let product = json!([{"verbs": ["get"], "apiGroups": many("g"), "resources": many("r")}]);
    let refused = message(alice.create(&roles, &role("product", &product)).await);
    assert!(refused.contains(" is forbidden: ") && refused.contains("too many combinations"), "{refused}");
    let missing = "user \"alice\" (groups=[\"devs\" \"system:authenticated\"]) is attempting to grant RBAC permissions not currently held:\n\
                   {APIGroups:[\"\"], Resources:[\"pods\"], Verbs:[\"list\"]}";
    assert_eq!(
        message(alice.create(&roles, &role("more", &pods(&["get", "list"]))).await),
        format!("clusterroles.rbac.authorization.k8s.io \"more\" is forbidden: {missing}")
    );
    let patch = json!({"rules": pods(&["list"])});
    assert_eq!(
        message(alice.merge_patch(&format!("{roles}/held"), &patch).await),
        format!("clusterroles.rbac.authorization.k8s.io \"held\" is forbidden: {missing}")
    );
    let gathering = json!({"metadata": {"name": "all"}, "rules": null,
        "aggregationRule": {"clusterRoleSelectors": [{"matchLabels": {"a": "b"}}]}});
    assert_eq!(
        message(alice.create(&roles, &gathering).await),
        "clusterroles.rbac.authorization.k8s.io \"all\" is forbidden: must have cluster-admin privileges to use the aggregationRule"
    );

    assert_eq!(
        message(alice.create(&bindings, &binding("x", "ClusterRole", "held", &user("bob"))).await),
        "allowed"
    );
    let refused = message(alice.create(&bindings, &binding("y", "ClusterRole", "view", &user("bob"))).await);
    assert!(
        refused
            .starts_with("clusterrolebindings.rbac.authorization.k8s.io \"y\" is forbidden: user \"alice\""),
        "{refused}"
    );
    assert_eq!(
        message(alice.create(&bindings, &binding("z", "ClusterRole", "none", &user("bob"))).await),
        "clusterroles.rbac.authorization.k8s.io \"none\" not found"
    );

    // Trusted by verbs of their own: to bind this role, and to write that one.
    let trusted = json!([
        {"verbs": ["bind"], "apiGroups": ["rbac.authorization.k8s.io"], "resources": ["clusterroles"], "resourceNames": ["view"]},
        {"verbs": ["escalate"], "apiGroups": ["rbac.authorization.k8s.io"], "resources": ["clusterroles"], "resourceNames": ["held"]},
    ]);
    admin.create(&roles, &role("trusted", &trusted)).await.unwrap();
    admin.create(&bindings, &binding("trusted", "ClusterRole", "trusted", &user("alice"))).await.unwrap();
    assert_eq!(
        message(alice.create(&bindings, &binding("y", "ClusterRole", "view", &user("bob"))).await),
        "allowed"
    );
    assert!(alice.create(&bindings, &binding("w", "ClusterRole", "edit", &user("bob"))).await.is_err());
    assert_eq!(message(alice.merge_patch(&format!("{roles}/held"), &patch).await), "allowed");
    // Taking rights away needs none.
    let fewer = json!({"rules": pods(&["get"])});
    assert_eq!(message(alice.merge_patch(&format!("{roles}/held"), &fewer).await), "allowed");
}

#[tokio::test]
async fn bindings_are_completed_and_keep_their_role() {
    let (_, admin) = Testbed::new().furnished().await;
    let bindings = format!("{GROUP}/clusterrolebindings");
    let made =
        admin.create(&bindings, &binding("b", "ClusterRole", "view", &user("u"))).await.unwrap().object;
    assert_eq!(made["roleRef"]["apiGroup"], "rbac.authorization.k8s.io");
    assert_eq!(made["subjects"][0]["apiGroup"], "rbac.authorization.k8s.io");
    let patch = json!({"roleRef": {"name": "edit"}});
    let refused = message(admin.merge_patch(&format!("{bindings}/b"), &patch).await);
    assert_eq!(
        refused,
        "ClusterRoleBinding.rbac.authorization.k8s.io \"b\" is invalid: roleRef: Invalid value: {\"APIGroup\":\"rbac.authorization.k8s.io\",\"Kind\":\"ClusterRole\",\"Name\":\"edit\"}: cannot change roleRef"
    );
    let roles = format!("{GROUP}/namespaces/apps/roles");
    let refused = message(
        admin.create(&roles, &role("a:b", &json!([{"verbs": ["get"], "nonResourceURLs": ["/"]}]))).await,
    );
    assert_eq!(
        refused,
        "Role.rbac.authorization.k8s.io \"a:b\" is invalid: rules[0].nonResourceURLs: Invalid value: [\"/\"]: namespaced rules cannot apply to non-resource URLs"
    );
}

#[tokio::test]
async fn a_second_start_puts_back_what_is_missing_and_leaves_the_rest() {
    let testbed = Testbed::new();
    let (_, admin) = testbed.furnished().await;
    let view = format!("{GROUP}/clusterroles/view");
    assert!(!admin.get(&view).await.unwrap()["rules"].as_array().unwrap().is_empty());
    let discovery = format!("{GROUP}/clusterroles/system:discovery");
    let untouched = format!("{GROUP}/clusterroles/system:basic-user");
    let binding = format!("{GROUP}/clusterrolebindings/system:discovery");
    admin.merge_patch(&discovery, &json!({"rules": [], "metadata": {"labels": {"own": "1"}}})).await.unwrap();
    let kept = json!({"rules": [], "metadata": {"annotations": {"rbac.authorization.kubernetes.io/autoupdate": "false"}}});
    admin.merge_patch(&untouched, &kept).await.unwrap();
    admin.delete(&binding, None).await.unwrap();
    let before = admin.get(&view).await.unwrap();
    let server = testbed.server(Release::V1_35);
    server.establish_default_roles().await.unwrap();
    assert_eq!(admin.get(&view).await.unwrap(), before, "what is good is not written again");
    let put_back = admin.get(&discovery).await.unwrap();
    assert_eq!(put_back["metadata"]["labels"]["own"], "1");
    assert!(!put_back["rules"].as_array().unwrap().is_empty());
    assert_eq!(admin.get(&untouched).await.unwrap()["rules"], Value::Null);
    assert_eq!(admin.get(&binding).await.unwrap()["subjects"][0]["name"], "system:authenticated");
}

#[tokio::test]
async fn reviews_answer_for_oneself_and_for_others() {
    let (server, admin) = Testbed::new().furnished().await;
    let alice = alice(&server);
    let drivers = json!({"verb": "list", "group": "storage.k8s.io", "resource": "csidrivers"});
    let of_oneself = format!("{REVIEWS}/selfsubjectaccessreviews");
    let of_anybody = format!("{REVIEWS}/subjectaccessreviews");
    let review = json!({"spec": {"resourceAttributes": drivers}});
    let answer = alice.create(&of_oneself, &review).await.unwrap();
    assert_eq!(answer.code, StatusCode::CREATED);
    assert_eq!(answer.object["status"], json!({"allowed": false}));
    assert!(alice.get(DRIVERS).await.is_err());

    let rules = json!([{"verbs": ["list"], "apiGroups": ["storage.k8s.io"], "resources": ["csidrivers"]}]);
    admin.create(&format!("{GROUP}/clusterroles"), &role("drivers", &rules)).await.unwrap();
    let group = json!({"kind": "Group", "name": "devs"});
    let bindings = format!("{GROUP}/clusterrolebindings");
    admin.create(&bindings, &binding("devs", "ClusterRole", "drivers", &group)).await.unwrap();
    let reason = "RBAC: allowed by ClusterRoleBinding \"devs\" of ClusterRole \"drivers\" to Group \"devs\"";
    let granted = json!({"allowed": true, "reason": reason});
    assert_eq!(alice.create(&of_oneself, &review).await.unwrap().object["status"], granted);
    assert!(alice.get(DRIVERS).await.is_ok());

    let about = |user: &str, groups: &[&str], asked: Value| json!({"spec": {"user": user, "groups": groups, "resourceAttributes": asked}});
    let nodes = ["system:nodes"];
    let mut own_pods =
        json!({"verb": "list", "resource": "pods", "fieldSelector": {"rawSelector": "spec.nodeName=n1"}});
    let status = |review: Value| {
        let (admin, path) = (admin.clone(), of_anybody.clone());
        async move { admin.create(&path, &review).await.unwrap().object["status"].clone() }
    };
    assert_eq!(status(about("bob", &["devs"], drivers.clone())).await, granted);
    assert_eq!(status(about("bob", &[], drivers.clone())).await, json!({"allowed": false}));
    assert_eq!(status(about("system:node:n1", &nodes, own_pods.clone())).await, json!({"allowed": true}));
    own_pods["fieldSelector"] =
        json!({"requirements": [{"key": "spec.nodeName", "operator": "In", "values": ["n1"]}]});
    assert_eq!(status(about("system:node:n1", &nodes, own_pods.clone())).await, json!({"allowed": true}));
    own_pods["fieldSelector"] = json!({"requirements": [
        {"key": "spec.nodeName", "operator": "In", "values": ["n1"]}, {"key": "x", "operator": "Exists"}]});
    own_pods["labelSelector"] = json!({"rawSelector": "a in b"});
    let partly = "spec.resourceAttributes.fieldSelector partially ignored due to parse error; spec.resourceAttributes.labelSelector ignored due to parse error";
    assert_eq!(
        status(about("system:node:n1", &nodes, own_pods)).await,
        json!({"allowed": true, "evaluationError": partly})
    );
    let path = json!({"spec": {"user": "bob", "groups": ["system:authenticated"],
        "nonResourceAttributes": {"path": "/version", "verb": "get"}}});
    assert_eq!(status(path).await["allowed"], true);
    assert!(alice.create(&of_anybody, &review).await.is_err(), "not everybody may ask about others");
}

#[tokio::test]
async fn what_cannot_be_asked() {
    let (_, admin) = Testbed::new().furnished().await;
    let asked = json!({"verb": "get", "resource": "pods", "namespace": "apps"});
    let path = json!({"path": "/x", "verb": "get"});
    let table = [
        (
            "subjectaccessreviews",
            json!({"spec": {"user": "u"}}),
            "spec.resourceAttributes: Invalid value: null: exactly one of nonResourceAttributes or resourceAttributes must be specified",
        ),
        (
            "subjectaccessreviews",
            json!({"spec": {"resourceAttributes": asked}}),
            "spec.user: Invalid value: \"\": at least one of user or group must be specified",
        ),
        (
            "selfsubjectaccessreviews",
            json!({"spec": {"resourceAttributes": asked, "nonResourceAttributes": path}}),
            "spec.nonResourceAttributes: Invalid value: {\"Path\":\"/x\",\"Verb\":\"get\"}: cannot be specified in combination with resourceAttributes",
        ),
        (
            "selfsubjectaccessreviews",
            json!({"metadata": {"name": "n"}, "spec": {"resourceAttributes": asked}}),
            "metadata: Invalid value: {\"name\":\"n\"}: must be empty",
        ),
        (
            "selfsubjectaccessreviews",
            json!({"spec": {"resourceAttributes": {"fieldSelector": {}}}}),
            "spec.resourceAttributes.fieldSelector.requirements: Required value: when spec.resourceAttributes.fieldSelector is specified, requirements or rawSelector is required",
        ),
        (
            "namespaces/other/localsubjectaccessreviews",
            json!({"spec": {"user": "u", "resourceAttributes": asked}}),
            "spec.resourceAttributes.namespace: Invalid value: \"apps\": must match metadata.namespace",
        ),
    ];
    for (resource, review, expected) in table {
        let refused = message(admin.create(&format!("{REVIEWS}/{resource}"), &review).await);
        assert_eq!(refused, format!(".authorization.k8s.io \"\" is invalid: {expected}"));
    }
    let local = json!({"spec": {"user": "u", "resourceAttributes": asked}});
    let answer =
        admin.create(&format!("{REVIEWS}/namespaces/apps/localsubjectaccessreviews"), &local).await.unwrap();
    assert_eq!(answer.object["metadata"]["namespace"], "apps");
    assert_eq!(answer.object["status"], json!({"allowed": false}));
}

#[tokio::test]
async fn the_rules_that_hold_for_oneself_are_listed() {
    let (server, admin) = Testbed::new().furnished().await;
    let rules =
        json!([{"verbs": ["get"], "apiGroups": [""], "resources": ["secrets"], "resourceNames": ["s"]}]);
    let roles = format!("{GROUP}/namespaces/apps/roles");
    admin.create(&roles, &role("r", &rules)).await.unwrap();
    let bindings = format!("{GROUP}/namespaces/apps/rolebindings");
    admin.create(&bindings, &binding("r", "Role", "r", &user("alice"))).await.unwrap();
    let path = format!("{REVIEWS}/selfsubjectrulesreviews");
    let ask = |client: Client, namespace: &'static str| {
        let path = path.clone();
        async move { client.create(&path, &json!({"spec": {"namespace": namespace}})).await }
    };
    let answer = ask(alice(&server), "apps").await.unwrap().object;
    assert_eq!(answer["spec"], json!({}));
    let listed = answer["status"]["resourceRules"].as_array().unwrap();
    assert!(listed.contains(&rules[0]), "{answer}");
    assert!(listed.iter().any(|rule| rule["resources"] == json!(["selfsubjectreviews"])));
    assert!(answer["status"]["nonResourceRules"].to_string().contains("/openapi/*"));
    assert_eq!(answer["status"]["incomplete"], false);
    let elsewhere = ask(alice(&server), "default").await.unwrap().object;
    assert!(!elsewhere["status"]["resourceRules"].as_array().unwrap().contains(&rules[0]));
    assert_eq!(message(ask(alice(&server), "").await), "no namespace on request");
    let node = server.client(User::authenticated("system:node:n1", ["system:nodes".to_owned()]));
    let answer = ask(node, "apps").await.unwrap().object;
    assert_eq!(answer["status"]["incomplete"], true);
    assert_eq!(answer["status"]["evaluationError"], "node authorizer does not support user rule resolution");
}
