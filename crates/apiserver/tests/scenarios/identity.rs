//! Who a request is from: bearer tokens and what is none, nobody, and acting as somebody else.

use http::{Method, StatusCode};
use serde_json::{Value, json};
use tokenward_apiserver::{ApiServer, Config, StaticTokens};
use tokenward_kube_rules::{FeatureGates, Release};

use crate::testbed::{Testbed, send};

const WHO: &str = "/apis/authentication.k8s.io/v1/selfsubjectreviews";
const TOKENS: &str = "root-token,root,1,\"system:masters\"\nalice-token,alice,2,devs\n";

async fn server(anonymous: bool) -> (Testbed, ApiServer) {
    let testbed = Testbed::new();
    testbed.furnished().await;
    let mut config: Config = testbed.config(FeatureGates::for_release(Release::V1_35));
    config.static_tokens = StaticTokens::parse(TOKENS).unwrap();
    config.anonymous = anonymous;
    (testbed, ApiServer::new(config))
}

/// Who the server takes a request with these headers to be, or its refusal.
async fn who(server: &ApiServer, headers: &[(&str, &str)]) -> Value {
    let answer = send(server, Method::POST, WHO, headers, "{}").await;
    if answer.code() == StatusCode::CREATED {
        answer.json()["status"]["userInfo"].clone()
    } else {
        answer.text().into()
    }
}

#[tokio::test]
async fn bad_credentials_are_refused_and_none_are_nobody() {
    let (_, server) = server(true).await;
    let version = |value: &'static str| {
        let server = server.clone();
        async move { send(&server, Method::GET, "/version", &[("authorization", value)], "").await.code() }
    };
    assert_eq!(version("Bearer alice-token").await, StatusCode::OK);
    assert_eq!(version("Bearer nobody-s-token").await, StatusCode::UNAUTHORIZED);
    // No credential at all, as upstream sees it: the request is anonymous, which may read the version.
    for value in ["Basic YTpi", "alice-token", "Bearer", ""] {
        assert_eq!(version(value).await, StatusCode::OK, "{value}");
    }
    let refused = send(&server, Method::GET, "/api", &[("authorization", "")], "").await;
    assert_eq!(refused.code(), StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn without_anonymous_clients_everybody_has_to_say_who_they_are() {
    let (_, server) = server(false).await;
    for path in ["/version", "/healthz", "/api"] {
        let refused = send(&server, Method::GET, path, &[("authorization", "")], "").await;
        assert_eq!(refused.code(), StatusCode::UNAUTHORIZED, "{path}");
        assert_eq!(refused.json()["message"], "Unauthorized");
    }
    let good = send(&server, Method::GET, "/api", &[("authorization", "Bearer alice-token")], "").await;
    assert_eq!(good.code(), StatusCode::OK);
}

#[tokio::test]
async fn acting_as_somebody_else_takes_the_right_to_each_part() {
    let (testbed, server) = server(true).await;
    let root = ("authorization", "Bearer root-token");
    let alice = ("authorization", "Bearer alice-token");
    let bob = ("impersonate-user", "bob");
    assert_eq!(
        who(
            &server,
            &[
                root,
                bob,
                ("impersonate-group", "ops"),
                ("impersonate-uid", "7"),
                ("impersonate-extra-scope", "a")
            ]
        )
        .await,
        json!({"username": "bob", "uid": "7", "groups": ["ops", "system:authenticated"], "extra": {"scope": ["a"]}})
    );
    let account = ("impersonate-user", "system:serviceaccount:apps:web");
    assert_eq!(
        who(&server, &[root, account]).await["groups"],
        json!(["system:serviceaccounts", "system:serviceaccounts:apps", "system:authenticated"])
    );
    let message =
        |value: Value| serde_json::from_str::<Value>(value.as_str().unwrap()).unwrap()["message"].clone();
    assert_eq!(
        message(who(&server, &[alice, bob]).await),
        "users \"bob\" is forbidden: User \"alice\" cannot impersonate resource \"users\" in API group \"\" at the cluster scope"
    );
    let admin = testbed.server(Release::V1_35).client(crate::testbed::admin());
    let group = "/apis/rbac.authorization.k8s.io/v1";
    let rules = json!([{"verbs": ["impersonate"], "apiGroups": [""], "resources": ["users"], "resourceNames": ["bob"]}]);
    admin
        .create(&format!("{group}/clusterroles"), &json!({"metadata": {"name": "as-bob"}, "rules": rules}))
        .await
        .unwrap();
    let binding = json!({"metadata": {"name": "as-bob"}, "subjects": [{"kind": "Group", "name": "devs"}],
        "roleRef": {"kind": "ClusterRole", "name": "as-bob"}});
    admin.create(&format!("{group}/clusterrolebindings"), &binding).await.unwrap();
    assert_eq!(
        who(&server, &[alice, bob]).await,
        json!({"username": "bob", "groups": ["system:authenticated"]})
    );
    // Every part for itself: a group that would give everything is not to be had with the user.
    assert_eq!(
        message(who(&server, &[alice, bob, ("impersonate-group", "system:masters")]).await),
        "groups \"system:masters\" is forbidden: User \"alice\" cannot impersonate resource \"groups\" in API group \"\" at the cluster scope"
    );
    assert_eq!(
        message(who(&server, &[alice, bob, ("impersonate-extra-scope", "a")]).await),
        "userextras.authentication.k8s.io \"a\" is forbidden: User \"alice\" cannot impersonate resource \"userextras/scope\" in API group \"authentication.k8s.io\" at the cluster scope"
    );
    let refused = send(&server, Method::GET, "/api", &[root, ("impersonate-group", "devs")], "").await;
    assert_eq!(refused.code(), StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(
        refused.text(),
        "Internal Server Error: \"/api\": requested [{Group  devs    }] without impersonating a user name\n"
    );
}

#[tokio::test(start_paused = true)]
async fn floods_of_one_user_leave_the_others_alone() {
    let (_, server) = server(true).await;
    let stalled: Vec<_> = (0..400)
        .map(|_| {
            let server = server.clone();
            tokio::spawn(async move {
                let never =
                    futures_util::stream::pending::<Result<http_body::Frame<bytes::Bytes>, std::io::Error>>();
                let request = http::Request::post(WHO).header("authorization", "Bearer alice-token");
                server.handle(request.body(http_body_util::StreamBody::new(never)).unwrap()).await.status()
            })
        })
        .collect();
    // Until all of them have come.
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    let refused = send(&server, Method::POST, WHO, &[("authorization", "Bearer alice-token")], "{}").await;
    assert_eq!(refused.code(), StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(refused.response.headers()["retry-after"], "1");
    assert_eq!(refused.json()["message"], "Too many requests, please try again later.");
    // Nobody can make another user pay: whoever acts as alice is counted as alice.
    let root = ("authorization", "Bearer root-token");
    assert_eq!(who(&server, &[root]).await["username"], "root");
    let acting = send(&server, Method::POST, WHO, &[root, ("impersonate-user", "bob")], "{}").await;
    assert_eq!(acting.code(), StatusCode::CREATED);
    for task in stalled {
        task.abort();
    }
}
