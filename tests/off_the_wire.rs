//! What a driver receives, seen by the driver. Without these, both sides could agree on something else than the protocol:
//! tokens in both maps or in none, tokens that only our own verifier takes, tokens that outlive their pod.

use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
use serde_json::{Value, json};

use crate::support::admin::Admin;
use crate::support::driver::{Manner, Publish, RecordingDriver};
use crate::support::manifests::{csi_driver, file, pod};
use crate::support::place::Place;
use crate::support::run::{Run, Signal};
use crate::support::tokens::TOKENS_KEY;

const NAME: &str = "recorder.example";
const ISSUER: &str = "https://kubernetes.default.svc.cluster.local";

/// A cluster that stays, with one recording driver and its CSIDriver, and no pod yet.
fn start(place: &Place, driver: &RecordingDriver, csi_driver: Value) -> (Run, Admin) {
    let manifest = place.write("driver.yaml", &file(&[csi_driver]));
    let kubeconfig = place.file("kubeconfig");
    let endpoint = driver.endpoint();
    let arguments = [
        "up",
        "--apply",
        manifest.to_str().unwrap(),
        "--driver-endpoint",
        &endpoint,
        "--wait",
        "--kubeconfig-out",
        kubeconfig.to_str().unwrap(),
    ];
    let run = place.tokenward(arguments).start();
    run.ready();
    let admin = Admin::new(&kubeconfig);
    admin.wait_for_registration(NAME);
    (run, admin)
}

fn end(place: &Place, run: Run) {
    run.signal(Signal::TERM);
    let ended = run.wait();
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    place.assert_nothing_is_left();
}

/// Changes the live CSIDriver, and returns its generation.
fn flip(admin: &Admin, opted_in: bool) -> Option<i64> {
    let path = format!("/apis/storage.k8s.io/v1/csidrivers/{NAME}");
    let patched = admin.merge_patch(&path, &json!({"spec": {"serviceAccountTokenInSecrets": opted_in}}));
    assert_eq!(patched["spec"]["serviceAccountTokenInSecrets"], opted_in);
    patched["metadata"]["generation"].as_i64()
}

fn holds_tokens(publish: &Publish) -> (bool, bool) {
    (publish.secrets.contains_key(TOKENS_KEY), publish.volume_context.contains_key(TOKENS_KEY))
}

#[test]
fn the_key_is_in_exactly_one_of_the_two_maps() {
    for (opted_in, wanted) in
        [(Some(true), (true, false)), (Some(false), (false, true)), (None, (false, true))]
    {
        let place = Place::new();
        let driver = RecordingDriver::start(&place, NAME, Manner::Publish);
        let (run, admin) = start(&place, &driver, csi_driver(NAME, opted_in));
        admin.create_pod(&pod("reader", NAME));
        let publish = driver.publish_for("reader");
        assert_eq!(holds_tokens(&publish), wanted, "opted in: {opted_in:?}");
        assert_eq!(publish.tokens().keys().collect::<Vec<_>>(), ["sts.example", "vault"]);
        admin.wait_until_running("reader");
        end(&place, run);
        assert_eq!(driver.unpublishes(), [publish.target_path], "opted in: {opted_in:?}");
    }
}

#[test]
fn a_token_is_verified_by_others_and_dies_with_its_pod() {
    let place = Place::new();
    let driver = RecordingDriver::start(&place, NAME, Manner::Publish);
    let (run, admin) = start(&place, &driver, csi_driver(NAME, Some(true)));
    let created = admin.create_pod(&pod("reader", NAME));
    let publish = driver.publish_for("reader");
    admin.wait_until_running("reader");

    let keys: JwkSet = serde_json::from_str(&admin.text("/openid/v1/jwks")).unwrap();
    let node = admin.get("/api/v1/nodes/node-1");
    let account = admin.get("/api/v1/namespaces/default/serviceaccounts/default");
    let tokens = publish.tokens();
    for (audience, lifetime) in [("vault", 3600), ("sts.example", 600)] {
        let token = &tokens[audience];
        let kid = decode_header(token).unwrap().kid.unwrap();
        let key = DecodingKey::from_jwk(keys.find(&kid).unwrap()).unwrap();
        let mut validation = Validation::new(Algorithm::RS256);
        validation.set_audience(&[audience]);
        validation.set_issuer(&[ISSUER]);
        validation.validate_nbf = true;
        validation.set_required_spec_claims(&["exp", "nbf", "aud", "iss", "sub"]);
        let claims = decode::<Value>(token, &key, &validation).unwrap().claims;
        assert_eq!(claims["aud"], json!([audience]), "one token for one audience");
        assert_eq!(claims["sub"], "system:serviceaccount:default:default");
        assert_eq!(claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(), lifetime);
        let bound = &claims["kubernetes.io"];
        assert_eq!(bound["namespace"], "default");
        assert_eq!(bound["pod"], json!({"name": "reader", "uid": created["metadata"]["uid"]}));
        assert_eq!(bound["node"], json!({"name": "node-1", "uid": node["metadata"]["uid"]}));
        assert_eq!(bound["serviceaccount"], json!({"name": "default", "uid": account["metadata"]["uid"]}));
        // For another audience it is worth nothing.
        validation.set_audience(&["elsewhere"]);
        assert!(decode::<Value>(token, &key, &validation).is_err());
    }
    for (audience, token) in &tokens {
        assert!(admin.is_authenticated(token, audience));
        assert!(!admin.is_authenticated(token, "elsewhere"));
    }
    admin.delete_pod("default", "reader");
    driver.unpublished(&publish.target_path);
    for (audience, token) in &tokens {
        assert!(!admin.is_authenticated(token, audience), "its pod is gone");
    }
    end(&place, run);
}

/// Waits until the volume at `target_path` is published in the wanted place.
fn republished(driver: &RecordingDriver, target_path: &str, wanted: (bool, bool)) -> Publish {
    driver.wait_for("a republish", |record| {
        let last = record.publishes.iter().rfind(|publish| publish.target_path == target_path)?;
        (holds_tokens(last) == wanted).then(|| last.clone())
    })
}

#[test]
fn opting_in_and_back_reaches_pods_that_run_and_pods_that_come() {
    let place = Place::new();
    let driver = RecordingDriver::start(&place, NAME, Manner::Publish);
    let mut csi_driver = csi_driver(NAME, Some(false));
    csi_driver["spec"]["requiresRepublish"] = true.into();
    let (run, admin) = start(&place, &driver, csi_driver);
    admin.create_pod(&pod("before", NAME));
    let first = driver.publish_for("before");
    assert_eq!(holds_tokens(&first), (false, true));
    admin.wait_until_running("before");

    let mut generations = Vec::new();
    for (opted_in, pod_name, wanted) in [(true, "after", (true, false)), (false, "again", (false, true))] {
        generations.push(flip(&admin, opted_in));
        // A change of the CSIDriver is not left to the period of a minute. It also shows that the node knows.
        let again = republished(&driver, &first.target_path, wanted);
        assert!(again.tokens() == first.tokens(), "tokens that are not due are not asked for again");
        admin.create_pod(&pod(pod_name, NAME));
        assert_eq!(holds_tokens(&driver.publish_for(pod_name)), wanted, "{pod_name}");
    }
    assert!(generations[0] < generations[1], "{generations:?}");
    assert_eq!(driver.unpublishes(), Vec::<String>::new(), "no volume was ever away");
    end(&place, run);
}
