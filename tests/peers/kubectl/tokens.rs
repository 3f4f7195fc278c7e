//! `kubectl create token`. Without these, the one command that asks for a token by hand does not get a good one.

use serde_json::{Value, json};

use super::writing::POD;
use super::{Kubectl, each_with_server};

/// What the server says of a token, by a TokenReview that kubectl creates.
fn reviewed(kubectl: &Kubectl, token: &str, audience: &str) -> Value {
    let review = json!({
        "apiVersion": "authentication.k8s.io/v1",
        "kind": "TokenReview",
        "spec": {"token": token.trim(), "audiences": [audience]},
    });
    let file = kubectl.file("review.json", &review.to_string());
    kubectl.json(&format!("create -f {file} -o json"))["status"].take()
}

#[test]
fn a_token_is_made_for_an_audience_and_a_pod() {
    each_with_server(|kubectl| {
        kubectl.ok("create serviceaccount web");
        let pod = POD.replace("spec:\n", "spec:\n  serviceAccountName: web\n");
        kubectl.ok(&format!("create -f {}", kubectl.file("pod.yaml", &pod)));
        let token = kubectl.ok(
            "create token web --audience=vault --duration=10m --bound-object-kind=Pod --bound-object-name=web",
        );
        let status = reviewed(kubectl, &token, "vault");
        assert_eq!(status["authenticated"], json!(true), "{status}");
        assert_eq!(status["audiences"], json!(["vault"]));
        assert_eq!(status["user"]["username"], "system:serviceaccount:default:web");
        assert_eq!(status["user"]["extra"]["authentication.kubernetes.io/pod-name"], json!(["web"]));
        let status = reviewed(kubectl, &token, "other");
        assert_eq!(status["user"], json!({}), "{status}");

        kubectl.ok("delete pod web --grace-period=0 --force=false --wait=false --now=false");
        let status = reviewed(kubectl, &token, "vault");
        assert_eq!(status["authenticated"], Value::Null, "{status}");
    });
}

#[test]
fn what_is_asked_wrong_is_told() {
    each_with_server(|kubectl| {
        kubectl.ok("create serviceaccount web");
        kubectl.fails(
            "create token nobody",
            "error: failed to create token: serviceaccounts \"nobody\" not found",
        );
        kubectl.fails(
            "create token web --duration=1m",
            "error: failed to create token: TokenRequest.authentication.k8s.io \"\" is invalid: \
             spec.expirationSeconds: Invalid value: 60: may not specify a duration less than 10 minutes",
        );
        kubectl.fails(
            "create token web --bound-object-kind=Pod --bound-object-name=ghost",
            "error: failed to create token: pods \"ghost\" not found",
        );
        let granted = kubectl.json("create token web --audience=a --audience=b -o json");
        assert_eq!(granted["kind"], "TokenRequest");
        assert_eq!(granted["metadata"]["name"], "web");
        assert_eq!(granted["spec"]["audiences"], json!(["a", "b"]));
        assert_eq!(granted["spec"]["expirationSeconds"], 3600);
        assert!(granted["status"]["expirationTimestamp"].is_string());
    });
}
