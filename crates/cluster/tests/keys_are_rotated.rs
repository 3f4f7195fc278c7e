//! The key that signs service account tokens is replaced while the server runs: new tokens are signed by the new key,
//! tokens of the old one stay good while it is among the key files, and the published keys follow.
//!
//! Without the follower the server would sign with the old key until it is restarted.
#![expect(clippy::unwrap_used, reason = "functions of a test outside #[test]")]

use std::fs;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};
use tokenward_apiserver::Client;
use tokenward_cluster::control_plane::{ControlPlane, ControlPlaneConfig};
use tokenward_cluster::key_files::KeyFiles;
use tokenward_issuer::SigningKey;
use tokenward_jose::{Algorithm, CompactJws};
use tokenward_kube_rules::{FeatureGates, Release};

const LIMIT: Duration = Duration::from_secs(60);

/// In another file first: whoever reads the old one never sees half of the new.
fn replace(path: &Path, text: &str) {
    let beside = path.with_extension("new");
    fs::write(&beside, text).unwrap();
    fs::rename(&beside, path).unwrap();
}

fn id(key: &SigningKey) -> String {
    key.verifying_key().public_key().id().as_str().to_owned()
}

/// A new token of the account, and the id of the key that has signed it.
async fn token(admin: &Client) -> (String, String) {
    let path = "/api/v1/namespaces/default/serviceaccounts/web/token";
    let granted = admin.create(path, &json!({})).await.unwrap().object;
    let token = granted["status"]["token"].as_str().unwrap().to_owned();
    let kid = CompactJws::parse(&token).unwrap().header().unwrap().kid.unwrap();
    (token, kid)
}

async fn is_good(admin: &Client, token: &str) -> bool {
    let review = json!({"spec": {"token": token}});
    let answer = admin.create("/apis/authentication.k8s.io/v1/tokenreviews", &review).await.unwrap().object;
    answer["status"]["authenticated"] == true
}

async fn published(admin: &Client) -> Vec<String> {
    let keys = admin.get("/openid/v1/jwks").await.unwrap();
    let ids = keys["keys"].as_array().unwrap().iter().map(|key| key["kid"].as_str().unwrap().to_owned());
    ids.collect()
}

/// Waits until new tokens are signed by this key.
async fn signs(admin: &Client, key: &SigningKey) -> String {
    let waiting = async {
        loop {
            let (token, kid) = token(admin).await;
            if kid == id(key) {
                return token;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::time::timeout(LIMIT, waiting).await.unwrap()
}

#[tokio::test]
async fn a_replaced_key_signs_and_the_old_one_stays_good_while_it_is_listed() {
    let directory = tempfile::tempdir().unwrap();
    let (signing, others) = (directory.path().join("sa.key"), directory.path().join("others.pem"));
    let key = || SigningKey::generate(Algorithm::Es256).unwrap();
    let (old, new) = (key(), key());
    let (old_pem, new_pem) = (old.to_pem().unwrap(), new.to_pem().unwrap());
    replace(&signing, &old_pem);
    replace(&others, &old_pem);
    let mut config = ControlPlaneConfig::new(FeatureGates::for_release(Release::V1_35)).unwrap();
    config.runs_controllers = false;
    config.signing_key = Some(SigningKey::from_pem(old_pem.as_bytes()).unwrap());
    config.key_files = KeyFiles { signing: Some(signing.clone()), verifying: vec![others.clone()] };
    let control_plane = ControlPlane::start(config).await.unwrap();
    let admin = control_plane.admin();
    let account: Value = json!({"metadata": {"name": "web"}});
    admin.create("/api/v1/namespaces/default/serviceaccounts", &account).await.unwrap();

    let of_old = signs(&admin, &old).await;
    replace(&signing, &new_pem);
    let of_new = signs(&admin, &new).await;
    assert_eq!(published(&admin).await, [id(&new), id(&old)]);
    assert!(is_good(&admin, &of_old).await && is_good(&admin, &of_new).await);

    replace(&others, &new_pem);
    let gone = async {
        while is_good(&admin, &of_old).await {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::time::timeout(LIMIT, gone).await.unwrap();
    assert_eq!(published(&admin).await, [id(&new)]);
    assert!(is_good(&admin, &of_new).await);
    control_plane.stop().await.unwrap();
}
