//! The token manager: what is cached, when it is refreshed, who shares a request, and what a failure means.

mod support;

use std::sync::Arc;
use std::time::Duration;

use support::cluster::{FakeCluster, start};
use support::eventually;
use support::world::numbered;
use tokenward_node::token_manager::cache::Holder;
use tokenward_node::token_manager::{TokenError, TokenManager};
use tokenward_node::{Dice, PodReference, TokenRequest};
use tokenward_tokens::{Audience, ManualClock};

/// A volume that is published once.
const HOLDER: Holder<'_> = Holder { driver: "d", volume: "data", is_republished: false };

struct Setting {
    clock: ManualClock,
    cluster: Arc<FakeCluster>,
    tokens: Arc<TokenManager<FakeCluster>>,
}

fn setting() -> Setting {
    let clock = ManualClock::new(start());
    let cluster = FakeCluster::new(clock.clock(), numbered());
    let tokens = Arc::new(TokenManager::new(Arc::clone(&cluster), clock.clock(), Dice::seeded(5)));
    Setting { clock, cluster, tokens }
}

fn request(pod: &str, audience: &str, expiration_seconds: Option<i64>) -> TokenRequest {
    TokenRequest {
        pod: PodReference { namespace: "ns".into(), name: pod.into(), uid: format!("uid-{pod}") },
        service_account: "web".into(),
        audience: Audience::new(audience),
        expiration_seconds,
    }
}

impl Setting {
    async fn get(&self, request: &TokenRequest) -> Result<String, TokenError> {
        let granted = self.tokens.token(HOLDER, request).await?.0;
        Ok(granted.token.expose_token().to_owned())
    }

    fn asked(&self) -> usize {
        self.cluster.token_requests().len()
    }
}

#[tokio::test]
async fn every_part_of_a_request_is_part_of_the_key() {
    let setting = setting();
    let first = request("p", "a", Some(600));
    let mut recreated = first.clone();
    recreated.pod.uid = "another".into();
    let others =
        [request("q", "a", Some(600)), request("p", "b", Some(600)), request("p", "a", None), recreated];
    let token = setting.get(&first).await.unwrap();
    assert_eq!(setting.get(&first).await.unwrap(), token);
    assert_eq!(setting.asked(), 1);
    for other in &others {
        assert_ne!(setting.get(other).await.unwrap(), token, "{other:?}");
    }
    assert_eq!((setting.asked(), setting.tokens.len()), (5, 5));
    setting.tokens.forget_pod("uid-p");
    assert_eq!(setting.tokens.len(), 2);
}

#[tokio::test]
async fn a_token_is_refreshed_in_the_last_fifth_of_its_life_and_not_before() {
    let setting = setting();
    let request = request("p", "a", Some(600));
    let token = setting.get(&request).await.unwrap();
    // The jitter is below ten seconds.
    setting.clock.advance(Duration::from_secs(470));
    assert_eq!(setting.get(&request).await.unwrap(), token);
    setting.clock.advance(Duration::from_secs(11));
    assert_ne!(setting.get(&request).await.unwrap(), token);
    assert_eq!(setting.asked(), 2);
}

#[tokio::test]
async fn a_failed_refresh_is_forgiven_while_the_old_token_lives() {
    let setting = setting();
    let request = request("p", "a", Some(600));
    setting.cluster.refuse_audience("a", true);
    let error = setting.get(&request).await.unwrap_err();
    assert_eq!(error.to_string(), "failed to fetch token: audience \"a\": refused");
    setting.cluster.refuse_audience("a", false);
    // Not at once.
    assert!(setting.get(&request).await.is_err());
    assert_eq!(setting.asked(), 1);
    setting.clock.advance(Duration::from_millis(500));
    let token = setting.get(&request).await.unwrap();
    setting.cluster.refuse_audience("a", true);
    setting.clock.advance(Duration::from_secs(590));
    assert_eq!(setting.get(&request).await.unwrap(), token);
    setting.clock.advance(Duration::from_secs(11));
    let error = setting.get(&request).await.unwrap_err();
    assert!(matches!(error, TokenError::Expired { .. }), "{error}");
}

#[tokio::test]
async fn an_expired_token_is_never_handed_out() {
    let setting = setting();
    let request = request("p", "a", Some(30));
    setting.get(&request).await.unwrap();
    setting.cluster.refuse_audience("a", true);
    setting.clock.advance(Duration::from_secs(31));
    let error = setting.get(&request).await.unwrap_err();
    assert_eq!(error.to_string(), "token ns/web audience \"a\" expired and refresh failed: refused");
}

#[tokio::test]
async fn one_request_serves_all_who_wait_for_it_failure_included() {
    for refused in [false, true] {
        let setting = setting();
        setting.cluster.refuse_audience("a", refused);
        let gate = setting.cluster.hold_token_requests();
        let waiting: Vec<_> = (0..20)
            .map(|_| {
                let tokens = Arc::clone(&setting.tokens);
                tokio::spawn(async move {
                    let granted = tokens.token(HOLDER, &request("p", "a", None)).await;
                    granted.map(|(granted, _)| granted.token.expose_token().to_owned())
                })
            })
            .collect();
        eventually("the request", || if setting.asked() == 1 { Ok(()) } else { Err(String::new()) }).await;
        // All others had their turn to run up to where they wait.
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        gate.add_permits(20);
        for one in waiting {
            assert_eq!(one.await.unwrap().is_err(), refused);
        }
        assert_eq!(setting.asked(), 1, "refused: {refused}");
    }
}

#[tokio::test]
async fn whoever_stops_waiting_leaves_the_request_to_the_others() {
    let setting = setting();
    let gate = setting.cluster.hold_token_requests();
    let request = request("p", "a", None);
    let mut first = Box::pin(setting.tokens.token(HOLDER, &request));
    let mut second = Box::pin(setting.tokens.token(HOLDER, &request));
    assert!(futures_util::poll!(&mut first).is_pending() && futures_util::poll!(&mut second).is_pending());
    drop(first);
    gate.add_permits(1);
    assert!(second.await.is_ok());
    assert_eq!(setting.asked(), 1);
    // With the last of them it ends, and the next makes another.
    let other = request_for_b();
    for asked in [2, 3] {
        let mut given_up = Box::pin(setting.tokens.token(HOLDER, &other));
        assert!(futures_util::poll!(&mut given_up).is_pending());
        assert_eq!(setting.asked(), asked);
    }
}

#[tokio::test]
async fn a_failure_names_its_audience_to_all_and_is_asked_for_once_in_a_while() {
    let setting = setting();
    setting.cluster.refuse_audience("b", true);
    for _ in 0..50 {
        let error = setting.get(&request_for_b()).await.unwrap_err();
        assert_eq!(error.to_string(), "failed to fetch token: audience \"b\": refused");
        setting.clock.advance(Duration::from_millis(100));
    }
    assert!((3..=6).contains(&setting.asked()), "{} in five seconds", setting.asked());
}

fn request_for_b() -> TokenRequest {
    request("p", "b", None)
}

#[tokio::test]
async fn expired_tokens_are_swept_out() {
    let setting = setting();
    setting.get(&request("p", "a", Some(600))).await.unwrap();
    setting.get(&request("q", "a", Some(6000))).await.unwrap();
    setting.clock.advance(Duration::from_secs(700));
    setting.get(&request("r", "a", None)).await.unwrap();
    assert_eq!(setting.tokens.len(), 2);
}
