//! The tokens in memory as a pure state machine: who holds which, what is asked for now, what an answer means, and what is
//! to be refreshed in the background.
//!
//! What holds at any time: a key is everything that was asked for, the pod's uid among it, so that a recreated pod never
//! meets the old token; of a key at most one request is in flight; a token is kept no longer than a volume holds it.
//!
//! A node has some hundred keys, and a process may have thousands of nodes: what keys of a pod have in common is kept once,
//! what only trouble needs is allocated in trouble.

mod entry;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokenward_tokens::due::{MAX_JITTER, Spread};

use self::entry::Entry;
use super::TokenError;
use crate::cluster::{ClusterError, GrantedToken, TokenRequest};
use crate::dice::Dice;
use crate::planner::Due;

/// Expired tokens are dropped this often (upstream: each minute).
const SWEEP_PERIOD: Duration = Duration::from_secs(60);

/// Most keys kept. A node has 110 pods and few audiences; past this the key whose token expires first makes room.
const MOST_KEYS: usize = 16_384;

/// When one token of a pod is refreshed, so are those whose turn comes within this time: one republish brings them all.
const TOGETHER: Duration = Duration::from_secs(10);

/// Number of a request in flight.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Flight(u64);

/// The volume that a token is for.
#[derive(Clone, Copy, Debug)]
pub struct Holder<'a> {
    /// Its driver.
    pub driver: &'a str,
    /// Name of the volume in the pod.
    pub volume: &'a str,
    /// Whether it is republished: then its tokens are refreshed ahead of need.
    pub is_republished: bool,
}

/// What asking for a token comes to.
#[derive(Clone, Debug)]
pub enum Asked {
    /// It is there and fresh.
    Cached(GrantedToken),
    /// It is there and due for a refresh that has failed just now and is not tried again yet; it lives.
    Kept(GrantedToken),
    /// There is none, and fetching one has failed just now and is not tried again yet.
    Refused(TokenError),
    /// A request is in flight.
    Wait(Flight),
    /// A request is to be made, and its answer reported to [`TokenCache::landed`].
    Fetch(Flight),
}

/// Tokens of one pod that are to be refreshed now, each in a request of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DueTokens {
    /// What to ask for.
    pub requests: Vec<(TokenRequest, Flight)>,
}

/// The state.
#[derive(Debug)]
pub struct TokenCache {
    pods: HashMap<Box<str>, PodTokens>,
    keys: usize,
    dice: Dice,
    sweep: Option<Due>,
    /// No refresh is planned before this.
    wake: Option<Timestamp>,
    flights: u64,
}

#[derive(Debug)]
struct PodTokens {
    dice: Dice,
    /// Where in a spread the next refresh comes: the same for all tokens of the pod, so that they come together.
    turn: f64,
    entries: Vec<Entry>,
}

impl PodTokens {
    fn new(mut dice: Dice) -> Self {
        Self { turn: dice.fraction(), dice, entries: Vec::with_capacity(1) }
    }
}

impl TokenCache {
    /// An empty cache.
    pub fn new(dice: Dice) -> Self {
        Self { pods: HashMap::new(), keys: 0, dice, sweep: None, wake: None, flights: 0 }
    }

    /// A volume asks for a token, and holds it from now on.
    pub fn ask(&mut self, holder: Holder<'_>, request: &TokenRequest, now: Timestamp) -> Asked {
        self.sweep(now);
        let jitter = Duration::from_secs(MAX_JITTER.mul_f64(self.dice.fraction()).as_secs());
        let flight = Flight(self.flights + 1);
        let (turn, entry) = self.entry(request);
        entry.hold(holder);
        if let Some(token) = entry.fresh(jitter, now) {
            let token = token.clone();
            entry.plan(Spread::Wide, turn, now);
            let planned = entry.planned();
            self.wake_at(planned);
            return Asked::Cached(token);
        }
        if let Some(flight) = entry.flight() {
            return Asked::Wait(flight);
        }
        if let Some(failure) = entry.recent_failure(now) {
            return match entry.conclude(request, failure, now) {
                Ok(token) => Asked::Kept(token),
                Err(error) => Asked::Refused(error),
            };
        }
        entry.took_off(flight, false);
        self.flights += 1;
        Asked::Fetch(flight)
    }

    /// A request has been answered. A failed refresh is forgiven as long as the old token lives.
    ///
    /// # Errors
    /// The cluster refuses, and there is no live token.
    pub fn landed(
        &mut self,
        request: &TokenRequest,
        flight: Flight,
        answer: Result<GrantedToken, ClusterError>,
        now: Timestamp,
    ) -> Result<GrantedToken, TokenError> {
        let fraction = self.dice.fraction();
        let found = self.pods.get_mut(request.pod.uid.as_str()).and_then(|pod| {
            let entry =
                pod.entries.iter_mut().find(|entry| entry.is(request) && entry.flight() == Some(flight));
            entry.map(|entry| (pod.turn, entry))
        });
        // Nobody holds it any more: whoever waits may have it, and it is not kept.
        let Some((turn, entry)) = found else {
            return answer.map_err(|error| TokenError::fetch(request, error));
        };
        let outcome = entry.landed(request, answer, turn, fraction, now);
        let planned = entry.planned();
        self.wake_at(planned);
        outcome
    }

    /// A request has been given up before it was answered: whoever asks next makes another.
    pub fn abandoned(&mut self, request: &TokenRequest, flight: Flight, now: Timestamp) {
        let Some(entry) = self.find(request).filter(|entry| entry.flight() == Some(flight)) else { return };
        entry.abandoned(now);
        let planned = entry.planned();
        self.wake_at(planned);
    }

    /// The volume holds these tokens of its pod and no others.
    pub fn keep_only(&mut self, pod_uid: &str, volume: &str, kept: &[TokenRequest]) {
        self.retain(pod_uid, |entry| kept.iter().any(|request| entry.is(request)) || entry.let_go(volume));
    }

    /// A pod has ended.
    pub fn forget_pod(&mut self, pod_uid: &str) {
        if let Some(pod) = self.pods.remove(pod_uid) {
            self.keys -= pod.entries.len();
        }
    }

    /// What is to be refreshed now, for at most so many pods. `is_republished` says of a volume whether it still is:
    /// tokens of others are left to whoever asks for them.
    pub fn due(
        &mut self,
        now: Timestamp,
        most_pods: usize,
        is_republished: impl Fn(&str, &str) -> bool,
    ) -> Vec<DueTokens> {
        if self.wake.is_none_or(|wake| now < wake) {
            return Vec::new();
        }
        let mut due = Vec::new();
        let mut wake: Option<Timestamp> = None;
        for (uid, pod) in &mut self.pods {
            if due.len() < most_pods && pod.entries.iter().any(|entry| entry.is_due(now, Duration::ZERO)) {
                pod.turn = pod.dice.fraction();
                let mut requests = Vec::new();
                for entry in pod.entries.iter_mut().filter(|entry| entry.is_due(now, TOGETHER)) {
                    entry.refresh_only(|volume| is_republished(uid, volume));
                    if entry.planned().is_some() {
                        self.flights += 1;
                        let flight = Flight(self.flights);
                        entry.took_off(flight, true);
                        requests.push((entry.request(), flight));
                    }
                }
                if !requests.is_empty() {
                    due.push(DueTokens { requests });
                }
            }
            let next = pod.entries.iter().filter_map(Entry::planned).min();
            wake = wake.into_iter().chain(next).min();
        }
        self.wake = wake;
        due
    }

    /// When something may be due for a refresh, if nothing happens before.
    pub fn next_refresh(&self) -> Option<Timestamp> {
        self.wake
    }

    /// A service account has this uid now, or is gone: tokens of another of the same name are dead, and dropped. Gives the
    /// volumes that hold one, by the pod's uid and the volume's name.
    pub fn account_seen(
        &mut self,
        namespace: &str,
        name: &str,
        account_uid: Option<&str>,
    ) -> Vec<(String, String)> {
        let mut outdated = Vec::new();
        for (uid, pod) in &mut self.pods {
            for entry in &mut pod.entries {
                if entry.is_of_account(namespace, name) && entry.drop_unless_of(account_uid) {
                    outdated.extend(entry.holders().map(|volume| (uid.to_string(), volume.to_owned())));
                }
            }
        }
        outdated.sort();
        outdated.dedup();
        outdated
    }

    /// The driver that a token was last asked for.
    pub fn driver_of(&self, request: &TokenRequest) -> Option<&str> {
        let pod = self.pods.get(request.pod.uid.as_str())?;
        pod.entries.iter().find(|entry| entry.is(request)).map(Entry::driver)
    }

    /// How many tokens are cached.
    pub fn len(&self) -> usize {
        self.entries().filter(|entry| entry.has_token()).count()
    }

    /// Whether no token is cached.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// When the next refresh of a pod's token for a volume is planned.
    pub fn next_refresh_of(&self, pod_uid: &str, volume: &str) -> Option<Timestamp> {
        let entries = &self.pods.get(pod_uid)?.entries;
        entries.iter().filter(|entry| entry.is_held_by(volume)).filter_map(Entry::planned).min()
    }

    fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.pods.values().flat_map(|pod| &pod.entries)
    }

    fn find(&mut self, request: &TokenRequest) -> Option<&mut Entry> {
        let pod = self.pods.get_mut(request.pod.uid.as_str())?;
        pod.entries.iter_mut().find(|entry| entry.is(request))
    }

    /// The entry of a request, made if there is none.
    fn entry(&mut self, request: &TokenRequest) -> (f64, &mut Entry) {
        if self.find(request).is_none() {
            if self.keys >= MOST_KEYS {
                self.make_room();
            }
            let dice = &mut self.dice;
            let pod = self
                .pods
                .entry(request.pod.uid.as_str().into())
                .or_insert_with(|| PodTokens::new(dice.split()));
            let shared = |entry: &&Entry| entry.pod() == &request.pod;
            let reference = pod
                .entries
                .iter()
                .find(shared)
                .map_or_else(|| Arc::new(request.pod.clone()), Entry::shared_pod);
            pod.entries.push(Entry::new(reference, request));
            self.keys += 1;
        }
        let pod = self.pods.get_mut(request.pod.uid.as_str()).expect("it is there or has just been made");
        let turn = pod.turn;
        let entry = pod.entries.iter_mut().find(|entry| entry.is(request));
        (turn, entry.expect("it is there or has just been made"))
    }

    fn retain(&mut self, pod_uid: &str, mut keep: impl FnMut(&mut Entry) -> bool) {
        let Some(pod) = self.pods.get_mut(pod_uid) else { return };
        let before = pod.entries.len();
        pod.entries.retain_mut(&mut keep);
        self.keys -= before - pod.entries.len();
        if pod.entries.is_empty() {
            self.pods.remove(pod_uid);
        }
    }

    fn sweep(&mut self, now: Timestamp) {
        if self.sweep.is_some_and(|due| due.waits_until(now).is_some()) {
            return;
        }
        self.sweep = Some(Due::after(now, SWEEP_PERIOD));
        let keys = &mut self.keys;
        self.pods.retain(|_, pod| {
            let before = pod.entries.len();
            pod.entries.retain_mut(|entry| entry.survives_sweep(now));
            *keys -= before - pod.entries.len();
            !pod.entries.is_empty()
        });
    }

    fn make_room(&mut self) {
        let first = self.entries().min_by_key(|entry| entry.expires()).map(Entry::request);
        if let Some(request) = first {
            self.retain(&request.pod.uid, |entry| !entry.is(&request));
        }
    }

    fn wake_at(&mut self, planned: Option<Timestamp>) {
        self.wake = self.wake.into_iter().chain(planned).min();
    }
}
