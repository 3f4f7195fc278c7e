//! A day of a fleet in virtual time: when its nodes ask for tokens, ours beside upstream's rule, and what happens after all
//! nodes restart at once.
//!
//! Nodes do not see each other, so each lives its day by itself and what it asks is added up by the second. Ours is the
//! node's own [`TokenCache`]; upstream's is the kubelet's rule ([`refresh_due`]), asked at each pod sync. An API server that
//! has all nodes at once before it answers so many a second and lets the others wait: that is the only thing they share.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokenward_node::token_manager::cache::{Asked, Holder, TokenCache};
use tokenward_node::{Dice, GrantedToken, Pace, PodReference, Republish, TokenRequest};
use tokenward_tokens::due::{MAX_JITTER, TokenLifetime, refresh_due};
use tokenward_tokens::{Audience, Token};

/// The volume of each pod that wants tokens.
const VOLUME: &str = "tokens";
/// Its driver.
const DRIVER: &str = "fleet.csi.example";

/// What is simulated.
#[derive(Clone, Debug)]
pub struct Fleet {
    /// Nodes.
    pub nodes: usize,
    /// Pods of a node, each with one republished volume.
    pub pods_per_node: usize,
    /// Audiences that the driver wants tokens for.
    pub audiences: usize,
    /// Life of a token, in seconds.
    pub life: i64,
    /// How long all of it lasts.
    pub length: Duration,
    /// Pods start at any moment of this first part.
    pub growth: Duration,
    /// When all nodes restart, with nothing in memory.
    pub restart: Duration,
    /// How many tokens a second the API server grants to nodes that all come at once.
    pub capacity: f64,
    /// What makes our nodes publish.
    pub republish: Republish,
    /// Which of all such days it is.
    pub seed: u64,
}

impl Fleet {
    /// All tokens that are alive at a time.
    pub fn tokens(&self) -> usize {
        self.nodes * self.pods_per_node * self.audiences
    }

    /// How long the API server has to do when all nodes come at once.
    pub fn crowd(&self) -> Duration {
        Duration::from_secs_f64(self.tokens() as f64 / self.capacity)
    }
}

/// Who decides when a token is fetched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// The node's token manager.
    Ours,
    /// The kubelet's.
    Upstream,
}

/// What came of a day.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Day {
    /// TokenRequests of each second.
    pub requests: Vec<u32>,
    /// How often a volume was given its tokens.
    pub deliveries: u64,
    /// Of these, with a token that was over or with one missing, or to a driver whose token had run out meanwhile.
    pub stale: u64,
    /// The least life that a driver's token had left when the next came.
    pub least_left: SignedDuration,
}

impl Day {
    fn new(length: Duration) -> Self {
        Self {
            requests: vec![0; usize::try_from(length.as_secs()).unwrap_or(0) + 1],
            deliveries: 0,
            stale: 0,
            least_left: SignedDuration::MAX,
        }
    }

    fn requested(&mut self, at: Timestamp) {
        let second = usize::try_from(at.duration_since(start()).as_secs()).unwrap_or(usize::MAX);
        if let Some(count) = self.requests.get_mut(second) {
            *count += 1;
        }
    }

    /// A volume is given its tokens. `held` and `brought`: what the first of those that the driver has, and of those that it
    /// is given, has left; none when there is none.
    fn delivered(&mut self, held: Option<SignedDuration>, brought: Option<SignedDuration>) {
        self.deliveries += 1;
        let is_fresh = brought.is_some_and(|brought| brought.is_positive());
        self.stale += u64::from(!is_fresh || held.is_some_and(|held| !held.is_positive()));
        self.least_left = self.least_left.min(held.unwrap_or(SignedDuration::MAX));
    }

    fn add(&mut self, other: &Self) {
        for (sum, count) in self.requests.iter_mut().zip(&other.requests) {
            *sum += count;
        }
        self.deliveries += other.deliveries;
        self.stale += other.stale;
        self.least_left = self.least_left.min(other.least_left);
    }

    /// The rate of each `width` seconds, from `from` to `until`, in requests a second.
    pub fn rates(&self, from: Duration, until: Duration, width: usize) -> Vec<f64> {
        let at = |moment: Duration| {
            usize::try_from(moment.as_secs()).unwrap_or(usize::MAX).min(self.requests.len() - 1)
        };
        let whole = self.requests[at(from)..at(until)].chunks_exact(width);
        whole.map(|counts| counts.iter().map(|count| f64::from(*count)).sum::<f64>() / width as f64).collect()
    }
}

/// Lives a day.
pub fn day(fleet: &Fleet, rule: Rule) -> Day {
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(fleet.nodes.max(1));
    let share = |first: usize| {
        let mut sum = Day::new(fleet.length);
        for node in (first..fleet.nodes).step_by(threads) {
            live(fleet, rule, node, &mut sum);
        }
        sum
    };
    let mut sum = Day::new(fleet.length);
    std::thread::scope(|scope| {
        let shares: Vec<_> = (0..threads).map(|first| scope.spawn(move || share(first))).collect();
        for share in shares {
            match share.join() {
                Ok(part) => sum.add(&part),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
    });
    sum
}

fn start() -> Timestamp {
    Timestamp::from_second(1_800_000_000).unwrap_or_default()
}

/// From one start of a node to the next.
struct Life {
    /// For each pod, when the first token of each audience is granted.
    first: Vec<Vec<Timestamp>>,
    end: Timestamp,
}

fn live(fleet: &Fleet, rule: Rule, node: usize, day: &mut Day) {
    let mut dice =
        Dice::seeded(fleet.seed.wrapping_mul(0x9e37_79b9).wrapping_add(node as u64).rotate_left(32));
    let restart = start() + fleet.restart;
    let grown = (0..fleet.pods_per_node).map(|_| {
        let at = start() + fleet.growth.mul_f64(dice.fraction());
        vec![at; fleet.audiences]
    });
    let before = Life { first: grown.collect(), end: restart };
    // All ask at once, and one after another for its audiences: each round waits for the others'.
    let round = fleet.crowd() / u32::try_from(fleet.audiences).unwrap_or(1).max(1);
    let crowded = (0..fleet.pods_per_node).map(|_| {
        let place = restart + round.mul_f64(dice.fraction());
        (0..fleet.audiences).map(|audience| place + round.mul_f64(audience as f64)).collect()
    });
    let after = Life { first: crowded.collect(), end: start() + fleet.length };
    for life in [before, after] {
        match rule {
            Rule::Ours => Ours::new(fleet, &mut dice).live(&life, day),
            Rule::Upstream => upstream(fleet, &life, &mut dice, day),
        }
    }
}

/// When a volume that was published at a moment is again: each 60 to 90 s.
fn next_sync(published: Timestamp, dice: &mut Dice) -> Timestamp {
    let Pace { republish_period, republish_jitter, .. } = Pace::default();
    published + republish_period.mul_f64(1.0 + republish_jitter * dice.fraction())
}

fn upstream(fleet: &Fleet, life: &Life, dice: &mut Dice, day: &mut Day) {
    let granted = |at: Timestamp| TokenLifetime {
        expires: at + SignedDuration::from_secs(fleet.life),
        ttl_seconds: Some(fleet.life),
    };
    for first in &life.first {
        let mut tokens: Vec<TokenLifetime> = first.iter().map(|at| granted(*at)).collect();
        first.iter().filter(|at| **at < life.end).for_each(|at| day.requested(*at));
        let mut now = first.last().copied().unwrap_or(life.end);
        let mut is_first = true;
        while now < life.end {
            let left =
                |tokens: &[TokenLifetime]| tokens.iter().map(|token| token.expires.duration_since(now)).min();
            let held = left(&tokens).filter(|_| !std::mem::take(&mut is_first));
            for token in &mut tokens {
                if refresh_due(token, MAX_JITTER.mul_f64(dice.fraction()), now) {
                    day.requested(now);
                    *token = granted(now);
                }
            }
            day.delivered(held, left(&tokens));
            now = next_sync(now, dice);
        }
    }
}

/// A node of ours: what its engine does with the token manager, without a clock.
struct Ours<'a> {
    fleet: &'a Fleet,
    cache: TokenCache,
    dice: Dice,
    token: Token,
    /// What each pod asks for.
    wanted: Vec<Vec<TokenRequest>>,
    /// When the first of the tokens ends that each pod's driver has.
    held: Vec<Option<Timestamp>>,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    /// The API server answers for the first time, for an audience.
    Granted { pod: usize, audience: usize },
    /// The volume is published.
    Publish { pod: usize },
}

impl<'a> Ours<'a> {
    fn new(fleet: &'a Fleet, dice: &mut Dice) -> Self {
        let wanted = |pod: usize| {
            let name = format!("pod-{pod}");
            let pod = PodReference { namespace: "fleet".to_owned(), uid: name.clone(), name };
            let request = |audience: usize| TokenRequest {
                pod: pod.clone(),
                service_account: "app".to_owned(),
                audience: Audience::new(format!("audience-{audience}")),
                expiration_seconds: Some(fleet.life),
            };
            (0..fleet.audiences).map(request).collect()
        };
        Self {
            fleet,
            cache: TokenCache::new(dice.split()),
            dice: dice.split(),
            token: Token::new("token".to_owned()),
            wanted: (0..fleet.pods_per_node).map(wanted).collect(),
            held: vec![None; fleet.pods_per_node],
        }
    }

    fn live(mut self, life: &Life, day: &mut Day) {
        let mut events = BinaryHeap::new();
        for (pod, first) in life.first.iter().enumerate() {
            for (audience, at) in first.iter().enumerate() {
                events.push(Reverse((*at, Event::Granted { pod, audience })));
            }
        }
        loop {
            let next = events.peek().map(|Reverse((at, _))| *at);
            let Some(now) = next.into_iter().chain(self.cache.next_refresh()).min() else { return };
            if now >= life.end {
                return;
            }
            for due in self.cache.due(now, usize::MAX, |_, _| true) {
                let pod = due.requests.first().and_then(|(request, _)| self.pod_of(request));
                for (request, flight) in due.requests {
                    day.requested(now);
                    let granted = self.grant(now);
                    // It is granted, and so is what comes back.
                    drop(self.cache.landed(&request, flight, Ok(granted), now));
                }
                if let Some(pod) = pod
                    && self.fleet.republish == Republish::OnChange
                {
                    events.push(Reverse((now, Event::Publish { pod })));
                }
            }
            while let Some(Reverse((at, event))) = events.peek().copied()
                && at <= now
            {
                events.pop();
                match event {
                    Event::Granted { pod, audience } => {
                        self.ask(pod, audience, now, day);
                        if audience + 1 == self.fleet.audiences {
                            events.push(Reverse((now, Event::Publish { pod })));
                        }
                    }
                    Event::Publish { pod } => {
                        let audiences = 0..self.fleet.audiences;
                        let ends = audiences.map(|audience| self.ask(pod, audience, now, day)).min();
                        // None, a missing one, is the least.
                        let ends = ends.flatten();
                        let left = |ends: Timestamp| ends.duration_since(now);
                        let held = std::mem::replace(&mut self.held[pod], ends);
                        day.delivered(held.map(left), ends.map(left));
                        if self.fleet.republish == Republish::PodSync {
                            let next = next_sync(now, &mut self.dice);
                            events.push(Reverse((next, Event::Publish { pod })));
                        }
                    }
                }
            }
        }
    }

    /// Asks for a token as a publish does, and says when it ends.
    fn ask(&mut self, pod: usize, audience: usize, now: Timestamp, day: &mut Day) -> Option<Timestamp> {
        let request = &self.wanted[pod][audience];
        let holder = Holder { driver: DRIVER, volume: VOLUME, is_republished: true };
        let granted = match self.cache.ask(holder, request, now) {
            Asked::Cached(granted) | Asked::Kept(granted) => granted,
            Asked::Fetch(flight) => {
                day.requested(now);
                let granted = self.grant(now);
                self.cache.landed(request, flight, Ok(granted), now).ok()?
            }
            Asked::Refused(_) | Asked::Wait(_) => return None,
        };
        Some(granted.expires)
    }

    fn grant(&self, now: Timestamp) -> GrantedToken {
        GrantedToken {
            token: self.token.clone(),
            expires: now + SignedDuration::from_secs(self.fleet.life),
            ttl_seconds: Some(self.fleet.life),
        }
    }

    fn pod_of(&self, request: &TokenRequest) -> Option<usize> {
        self.wanted
            .iter()
            .position(|wanted| wanted.first().is_some_and(|first| first.pod.uid == request.pod.uid))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn small(republish: Republish) -> Fleet {
        Fleet {
            nodes: 40,
            pods_per_node: 10,
            audiences: 3,
            life: 600,
            length: Duration::from_secs(4 * 3600),
            growth: Duration::from_secs(3600),
            restart: Duration::from_secs(2 * 3600),
            capacity: 15.0,
            republish,
            seed: 7,
        }
    }

    /// The mean before the restart, and the busiest half minute after the crowd has been served.
    fn mean_and_wave(fleet: &Fleet, day: &Day) -> (f64, f64) {
        let steady = day.rates(fleet.growth, fleet.restart, 30);
        let mean = steady.iter().sum::<f64>() / steady.len() as f64;
        let after = day.rates(fleet.restart + fleet.crowd() + Duration::from_secs(30), fleet.length, 30);
        (mean, after.iter().copied().fold(0.0, f64::max))
    }

    #[test]
    fn after_a_restart_of_all_nodes_upstream_comes_in_waves_and_ours_does_not() {
        let fleet = small(Republish::PodSync);
        let upstream = day(&fleet, Rule::Upstream);
        let (upstream_mean, upstream_wave) = mean_and_wave(&fleet, &upstream);
        assert!(upstream_wave > 2.5 * upstream_mean, "{upstream_wave} beside {upstream_mean}");
        for republish in [Republish::PodSync, Republish::OnChange] {
            let ours = day(&small(republish), Rule::Ours);
            let (mean, wave) = mean_and_wave(&fleet, &ours);
            assert!(wave < 0.7 * upstream_wave, "{republish:?}: {wave} beside {upstream_wave}");
            // Ahead of need costs some requests more.
            assert!(mean < 1.2 * upstream_mean, "{republish:?}: {mean} beside {upstream_mean}");
        }
    }

    #[test]
    fn whatever_is_delivered_is_fresh() {
        for (republish, rule) in [
            (Republish::PodSync, Rule::Ours),
            (Republish::OnChange, Rule::Ours),
            (Republish::PodSync, Rule::Upstream),
        ] {
            let day = day(&small(republish), rule);
            assert_eq!(day.stale, 0, "{rule:?} {republish:?}");
            // Ours is refreshed 470 s after its issue at the latest, upstream's by the first publish after 480.
            let least = match (rule, republish) {
                (Rule::Ours, Republish::OnChange) => 130,
                (Rule::Ours, Republish::PodSync) => 40,
                (Rule::Upstream, _) => 30,
            };
            assert!(day.least_left >= SignedDuration::from_secs(least), "{rule:?} {:#}", day.least_left);
            assert!(day.deliveries > 40 * 10 * 4, "{rule:?} {republish:?}: {}", day.deliveries);
        }
    }

    #[test]
    fn the_same_seed_is_the_same_day() {
        let fleet = Fleet { nodes: 5, ..small(Republish::OnChange) };
        for rule in [Rule::Ours, Rule::Upstream] {
            assert_eq!(day(&fleet, rule), day(&fleet, rule), "{rule:?}");
            assert_ne!(day(&fleet, rule), day(&Fleet { seed: 8, ..fleet.clone() }, rule), "{rule:?}");
        }
    }
}
