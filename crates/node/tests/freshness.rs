//! What is in a volume stays good: tokens refreshed ahead of need, accounts made anew, Secrets rotated; and with
//! `Republish::OnChange` a driver is called for nothing else. Without this a republish hands over what nobody accepts any more, or
//! calls a driver a thousand times a day to tell it what it knows.

mod support;

use std::time::Duration;

use base64::Engine as _;
use serde_json::{Value, json};
use support::driver::FakeDriver;
use support::eventually;
use support::world::{NODE, World, numbered};
use tokenward_node::{Config, Observation, Republish};
use tokenward_tokens::find;

/// What the driver has been given, one line a publish.
fn given(driver: &FakeDriver) -> Vec<String> {
    let value = |request: tokenward_csi::v1::NodePublishVolumeRequest| {
        find(&request.secrets, &request.volume_context).map(|found| found.value.to_owned())
    };
    driver.publishes().into_iter().filter_map(value).collect()
}

fn on_change(config: &mut Config) {
    config.pace.republish = Republish::OnChange;
}

fn republished(ttl: i64) -> Value {
    json!({ "requiresRepublish": true, "tokenRequests": [{ "audience": "vault", "expirationSeconds": ttl }] })
}

#[tokio::test]
async fn on_change_each_new_token_is_delivered_once_and_nothing_else() {
    let mut world = World::new(numbered());
    world.csi_driver("d", &republished(600));
    world.inline_pod("web", "d");
    world.start_with(on_change);
    let driver = FakeDriver::new(world.path(), "d", &[]);
    let served = driver.serve(world.path(), true).await;
    world.delivered(1).await;
    world
        .pass_time_until("the fourth token", Duration::from_secs(5), || match given(&driver).len() {
            4.. => Ok(()),
            count => Err(format!("{count}")),
        })
        .await;
    let given = given(&driver);
    for (index, value) in given.iter().enumerate() {
        let token = format!("token-{}-for-vault-of-web", index + 1);
        assert!(value.contains(&token), "{token} in {value}");
    }
    world.stop().await.unwrap();
    served.stop().await;
}

#[tokio::test]
async fn on_change_a_driver_that_comes_back_and_one_that_sets_an_interval_are_called() {
    let mut world = World::new(numbered());
    world.csi_driver("d", &republished(360_000));
    world.inline_pod("web", "d");
    world.start_with(on_change);
    let driver = FakeDriver::new(world.path(), "d", &[]);
    let served = driver.serve(world.path(), true).await;
    world.delivered(1).await;
    served.stop().await;
    let registered =
        |world: &World| world.cluster.get("csinodes", "", NODE).unwrap()["spec"]["drivers"] != json!([]);
    eventually("the driver to go", || if registered(&world) { Err(String::new()) } else { Ok(()) }).await;
    let served = driver.serve(world.path(), true).await;
    world.delivered(2).await;

    let mut csi_driver = world.cluster.get("csidrivers", "", "d").unwrap();
    csi_driver["metadata"]["annotations"] = json!({ "tokenward.dev/republish-interval": "10m" });
    world.cluster.put("csidrivers", csi_driver);
    // The change itself, and then each ten minutes or somewhat less.
    world.delivered(3).await;
    let before = world.clock.now();
    world
        .pass_time_until("a fifth", Duration::from_secs(10), || match world.deliveries().len() {
            5.. => Ok(()),
            count => Err(format!("{count}")),
        })
        .await;
    let passed = world.clock.now().duration_since(before).as_secs();
    assert!((900..=1300).contains(&passed), "two intervals in {passed} s");
    world.stop().await.unwrap();
    served.stop().await;
}

#[tokio::test]
async fn on_change_a_rotated_secret_is_delivered() {
    let mut world = World::new(numbered());
    let secret = |value: &str| {
        let data = base64::engine::general_purpose::STANDARD.encode(value);
        json!({ "metadata": { "name": "creds", "namespace": "ns" }, "data": { "password": data } })
    };
    world.cluster.put("secrets", secret("first"));
    world.csi_driver("d", &json!({ "requiresRepublish": true }));
    let source = json!({ "driver": "d", "nodePublishSecretRef": { "name": "creds" } });
    world.start_with(on_change);
    let driver = FakeDriver::new(world.path(), "d", &[]);
    let served = driver.serve(world.path(), true).await;
    // A driver can be called a moment before its registration is told of, and is then published to once more.
    eventually("the registration", || {
        let told = |observation: &Observation| matches!(observation, Observation::DriverRegistered { .. });
        if world.observations.lock().iter().any(told) { Ok(()) } else { Err(String::new()) }
    })
    .await;
    world.pod("web", &json!([{ "name": "data", "csi": source }]));
    world.delivered(1).await;
    // Some periods without a change.
    let until = world.clock.now() + Duration::from_secs(300);
    world
        .pass_time_until("five minutes", Duration::from_secs(10), || {
            if world.clock.now() >= until { Ok(()) } else { Err(String::new()) }
        })
        .await;
    assert_eq!(driver.publishes().len(), 1);
    world.cluster.put("secrets", secret("second"));
    world
        .pass_time_until("the new Secret", Duration::from_secs(10), || {
            let last = driver.publishes().pop().unwrap();
            if last.secrets["password"] == "second" { Ok(()) } else { Err(String::new()) }
        })
        .await;
    assert_eq!(driver.publishes().len(), 2);
    world.stop().await.unwrap();
    served.stop().await;
}

/// A token whose claims say for which account it is: as many accounts as were made.
fn of_account(
    uid: &'static str,
    recreated: &'static std::sync::atomic::AtomicBool,
) -> support::cluster::TokenText {
    Box::new(move |_, count| {
        let uid = if recreated.load(std::sync::atomic::Ordering::Relaxed) { "recreated" } else { uid };
        let claims = json!({ "jti": count.to_string(), "kubernetes.io": { "serviceaccount": { "name": "web", "uid": uid } } });
        let segment = |text: &str| base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(text);
        format!("{}.{}.{}", segment(r#"{"alg":"none"}"#), segment(&claims.to_string()), segment("s"))
    })
}

#[tokio::test]
async fn a_recreated_account_gets_a_live_token_within_one_period() {
    static RECREATED: std::sync::atomic::AtomicBool = std::sync::atomic::AtomicBool::new(false);
    for mode in [Republish::PodSync, Republish::OnChange] {
        RECREATED.store(false, std::sync::atomic::Ordering::Relaxed);
        let mut world = World::new(of_account("first", &RECREATED));
        let account = |uid: &str| json!({ "metadata": { "name": "web", "namespace": "ns", "uid": uid } });
        world.cluster.put("serviceaccounts", account("first"));
        world.csi_driver("d", &republished(36_000));
        world.inline_pod("web", "d");
        world.start_with(|config| config.pace.republish = mode);
        let driver = FakeDriver::new(world.path(), "d", &[]);
        let served = driver.serve(world.path(), true).await;
        world.delivered(1).await;
        let first = given(&driver).remove(0);
        RECREATED.store(true, std::sync::atomic::Ordering::Relaxed);
        world.cluster.put("serviceaccounts", account("recreated"));
        let before = world.clock.now();
        world
            .pass_time_until("a live token", Duration::from_secs(1), || {
                if given(&driver).pop().unwrap() == first { Err(String::new()) } else { Ok(()) }
            })
            .await;
        // The period and its jitter, and some steps of the clock while the node works.
        let passed = world.clock.now().duration_since(before).as_secs();
        assert!(passed <= 120, "{passed} s");
        world.stop().await.unwrap();
        if mode == Republish::OnChange {
            assert_eq!(driver.publishes().len(), 2, "told once");
        }
        served.stop().await;
    }
}
