//! A day of one node in virtual time, in both modes of republishing: the planner and the token cache as they are, drivers and
//! API server that answer at once. The drivers are given the same tokens; on change, in a small fraction of the calls.

#![expect(clippy::unwrap_used, reason = "a test world that breaks is a failed test")]

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use tokenward_node::objects::InlineSource;
use tokenward_node::planner::{Action, Done, Planner, PodIntent, VolumeIntent};
use tokenward_node::token_manager::cache::{Asked, Holder, TokenCache};
use tokenward_node::volume::{VolumeKey, VolumeSecurity, VolumeSource, VolumeSpec};
use tokenward_node::{Dice, GrantedToken, Pace, PodReference, Republish, TokenRequest};
use tokenward_tokens::{Audience, Token};

const PODS: usize = 20;
const DAY: SignedDuration = SignedDuration::from_hours(24);

/// The drivers, and the audiences and lives of the tokens that each wants.
const DRIVERS: [(&str, &[(&str, i64)]); 3] =
    [("short", &[("vault", 600)]), ("hour", &[("sts", 3600)]), ("both", &[("vault", 600), ("gcp", 3600)])];

fn start() -> Timestamp {
    Timestamp::from_second(1_800_000_000).unwrap()
}

fn spec(uid: &str, driver: &str) -> Arc<VolumeSpec> {
    let source = InlineSource { driver: driver.to_owned(), ..InlineSource::default() };
    Arc::new(VolumeSpec {
        pod: PodReference { namespace: "ns".into(), name: uid.into(), uid: uid.into() },
        service_account: "web".into(),
        security: VolumeSecurity::default(),
        volume: driver.into(),
        spec_name: driver.into(),
        volume_handle: format!("{uid}-{driver}"),
        read_only: false,
        source: VolumeSource::Inline(source),
    })
}

fn requests(spec: &VolumeSpec) -> Vec<TokenRequest> {
    let wanted = DRIVERS.iter().find(|(driver, _)| *driver == spec.driver()).unwrap().1;
    let request = |(audience, seconds): &(&str, i64)| TokenRequest {
        pod: spec.pod.clone(),
        service_account: spec.service_account.clone(),
        audience: Audience::new(*audience),
        expiration_seconds: Some(*seconds),
    };
    wanted.iter().map(request).collect()
}

/// What came of a day.
#[derive(Default)]
struct Day {
    publishes: BTreeMap<String, usize>,
    token_requests: usize,
    /// Of each volume and audience: when each token that the driver was given, and had not before, was issued.
    delivered: BTreeMap<(VolumeKey, String), Vec<Timestamp>>,
    /// The least time that a token had left when it was delivered.
    least_left: Option<SignedDuration>,
}

impl Day {
    fn grant(&mut self, request: &TokenRequest, now: Timestamp) -> GrantedToken {
        self.token_requests += 1;
        let seconds = request.expiration_seconds.unwrap();
        GrantedToken {
            token: Token::new(now.to_string()),
            expires: now + SignedDuration::from_secs(seconds),
            ttl_seconds: Some(seconds),
        }
    }

    fn publish(&mut self, spec: &VolumeSpec, cache: &mut TokenCache, now: Timestamp) {
        *self.publishes.entry(spec.driver().to_owned()).or_default() += 1;
        for request in requests(spec) {
            let holder = Holder { driver: spec.driver(), volume: &spec.volume, is_republished: true };
            let granted = match cache.ask(holder, &request, now) {
                Asked::Cached(granted) => granted,
                Asked::Fetch(flight) => {
                    let granted = self.grant(&request, now);
                    cache.landed(&request, flight, Ok(granted), now).unwrap()
                }
                other => panic!("{other:?}"),
            };
            let left = granted.expires.duration_since(now);
            self.least_left = Some(self.least_left.map_or(left, |least| least.min(left)));
            let issued: Timestamp = granted.token.expose_token().parse().unwrap();
            let key = (spec.key(), request.audience.as_str().to_owned());
            let tokens = self.delivered.entry(key).or_default();
            if tokens.last() != Some(&issued) {
                tokens.push(issued);
            }
        }
    }
}

fn day(mode: Republish) -> Day {
    let mut day = Day::default();
    let mut planner = Planner::new(Pace { republish: mode, ..Pace::default() }, Dice::seeded(1));
    let mut cache = TokenCache::new(Dice::seeded(2));
    let mut now = start();
    for (driver, _) in DRIVERS {
        planner.driver_changed(driver, true, now);
    }
    let mut specs = Vec::new();
    for pod in 0..PODS {
        let uid = format!("pod-{pod}");
        let volumes: Vec<_> = DRIVERS.iter().map(|(driver, _)| spec(&uid, driver)).collect();
        specs.extend(volumes.iter().cloned());
        planner.pod_seen(
            PodIntent {
                pod: volumes[0].pod.clone(),
                volumes: volumes.into_iter().map(VolumeIntent::Known).collect(),
                wanted: true,
                terminating: false,
            },
            now,
        );
    }
    while now < start() + DAY {
        for due in cache.due(now, usize::MAX, |_, _| true) {
            for (request, flight) in due.requests {
                let granted = day.grant(&request, now);
                cache.landed(&request, flight, Ok(granted), now).unwrap();
                for spec in specs.iter().filter(|spec| requests(spec).contains(&request)) {
                    planner.content_changed(&spec.key(), now);
                }
            }
        }
        let plan = planner.plan(now);
        for action in &plan.actions {
            let Action::Publish { spec, .. } = action else { panic!("{action:?}") };
            day.publish(spec, &mut cache, now);
            planner.finished(&action.subject(), Ok(Done::Ok), now);
        }
        // What has finished may have made room for more.
        if plan.actions.is_empty() {
            let next = plan.wake.into_iter().chain(cache.next_refresh()).min();
            now = next.unwrap().max(now);
        }
    }
    day
}

#[test]
fn the_same_tokens_in_a_fraction_of_the_calls() {
    let (sync, change) = (day(Republish::PodSync), day(Republish::OnChange));
    // With each sync a token comes up to 90 s after it was issued, so the day's last are left out.
    let until = start() + DAY - SignedDuration::from_secs(90);
    let before = |day: &Day| {
        let mut delivered = day.delivered.clone();
        delivered.values_mut().for_each(|tokens| tokens.retain(|issued| *issued < until));
        delivered
    };
    assert_eq!(before(&sync), before(&change));
    assert_eq!(sync.token_requests, change.token_requests);
    for (driver, floor) in [("short", 5), ("hour", 25), ("both", 4)] {
        let (often, seldom) = (sync.publishes[driver], change.publishes[driver]);
        println!(
            "{driver}: {often} calls with each pod sync, {seldom} on change: {:.1} to 1",
            often as f64 / seldom as f64
        );
        assert!(often >= seldom * floor, "{driver}: {often} and {seldom}");
        assert!((PODS * 960..=PODS * 1440).contains(&often), "each volume every 60 to 90 s: {often}");
        // A call brings a new token, or it was not needed.
        let new: usize = change
            .delivered
            .iter()
            .filter(|((key, _), _)| key.volume == driver)
            .map(|(_, tokens)| tokens.len())
            .sum();
        assert!(seldom <= new, "{driver}: {seldom} calls for {new} tokens");
    }
    println!("{} token requests in each mode", sync.token_requests);
    println!("least life left at delivery: {:#}, {:#}", sync.least_left.unwrap(), change.least_left.unwrap());
    // Refreshed ahead of need: a token of ten minutes is delivered with two minutes left, where upstream may leave 30 s.
    assert!(change.least_left.unwrap() >= SignedDuration::from_secs(130), "{:?}", change.least_left);
}
