//! The token manager: tokens in memory, keyed by everything that was asked for, refreshed by the kubelet's rule and, for
//! volumes that are republished, ahead of need. [`cache`] decides; here requests are made.
//!
//! One request is in flight per key, however many wait for it, and all of them share its outcome. Whoever stops waiting
//! leaves the request to the others; with the last of them it ends. There is no task, thread or timer in here: whoever
//! runs a node asks [`TokenManager::due`] when [`TokenManager::next_refresh`] says so.

pub mod cache;
mod error;

use std::collections::HashMap;
use std::sync::{Arc, Weak};

use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, Shared, WeakShared};
use jiff::Timestamp;
use parking_lot::Mutex;
use tokenward_tokens::Clock;

use self::cache::{Asked, DueTokens, Flight, Holder, TokenCache};
pub use self::error::TokenError;
use crate::cluster::{Cluster, GrantedToken, TokenRequest};
use crate::dice::Dice;
use crate::metrics::Metrics;

type Outcome = Result<GrantedToken, TokenError>;
type Request = BoxFuture<'static, Outcome>;

/// Where a token came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Origin {
    /// It was in memory and fresh.
    Cache,
    /// The API server was asked for it, by this caller or by another that waited too.
    Fetched,
    /// It was in memory and due, but refreshing it has just failed.
    Kept,
}

#[derive(Default)]
struct Flights(HashMap<Flight, WeakShared<Request>>);

struct State {
    cache: TokenCache,
    flights: Flights,
}

/// The tokens of this node's pods.
pub struct TokenManager<C> {
    cluster: Arc<C>,
    clock: Clock,
    state: Arc<Mutex<State>>,
    metrics: Option<Arc<Metrics>>,
}

impl<C: Cluster> TokenManager<C> {
    /// Without tokens.
    pub fn new(cluster: Arc<C>, clock: Clock, dice: Dice) -> Self {
        let state = State { cache: TokenCache::new(dice), flights: Flights::default() };
        Self { cluster, clock, state: Arc::new(Mutex::new(state)), metrics: None }
    }

    /// The same, with what is asked for and fetched counted.
    #[must_use]
    pub fn counted_by(self, metrics: Arc<Metrics>) -> Self {
        Self { metrics: Some(metrics), ..self }
    }

    /// The cached token, or a new one when there is none or it is due. A failed refresh is forgiven as long as the old
    /// token lives. The volume holds the token from now on, until it is told otherwise.
    ///
    /// # Errors
    /// The cluster refuses, or has done so just now, and there is no live token.
    pub async fn token(
        &self,
        holder: Holder<'_>,
        request: &TokenRequest,
    ) -> Result<(GrantedToken, Origin), TokenError> {
        let outcome = self.obtain(holder, request).await;
        if let Some(metrics) = &self.metrics {
            let origin = outcome.as_ref().ok().map(|(_, origin)| *origin);
            metrics.asked(holder.driver, request.audience.as_str(), origin);
        }
        outcome
    }

    async fn obtain(
        &self,
        holder: Holder<'_>,
        request: &TokenRequest,
    ) -> Result<(GrantedToken, Origin), TokenError> {
        let flying = {
            let mut state = self.state.lock();
            match state.cache.ask(holder, request, self.clock.now()) {
                Asked::Cached(token) => return Ok((token, Origin::Cache)),
                Asked::Kept(token) => return Ok((token, Origin::Kept)),
                Asked::Refused(error) => return Err(error),
                Asked::Fetch(flight) => self.take_off(&mut state, request, flight),
                Asked::Wait(flight) => {
                    let joined = state.flights.0.get(&flight).and_then(WeakShared::upgrade);
                    joined.unwrap_or_else(|| self.take_off(&mut state, request, flight))
                }
            }
        };
        flying.await.map(|token| (token, Origin::Fetched))
    }

    /// Makes the requests that a pod's tokens are due for, and gives those that brought a new token.
    pub async fn refresh(&self, due: DueTokens) -> Vec<TokenRequest> {
        let flying: Vec<(TokenRequest, Shared<Request>)> = {
            let mut state = self.state.lock();
            let take_off = |(request, flight)| {
                let flying = self.take_off(&mut state, &request, flight);
                (request, flying)
            };
            due.requests.into_iter().map(take_off).collect()
        };
        let mut brought = Vec::new();
        for (request, flying) in flying {
            // A failure is remembered where it belongs, and told by the publish that needs the token.
            if flying.await.is_ok() {
                brought.push(request);
            }
        }
        brought
    }

    /// What is to be refreshed now: see [`TokenCache::due`].
    pub fn due(&self, most_pods: usize, is_republished: impl Fn(&str, &str) -> bool) -> Vec<DueTokens> {
        self.state.lock().cache.due(self.clock.now(), most_pods, is_republished)
    }

    /// When to ask [`TokenManager::due`] again.
    pub fn next_refresh(&self) -> Option<Timestamp> {
        self.state.lock().cache.next_refresh()
    }

    /// When the next refresh of a volume's tokens is planned.
    pub fn next_refresh_of(&self, pod_uid: &str, volume: &str) -> Option<Timestamp> {
        self.state.lock().cache.next_refresh_of(pod_uid, volume)
    }

    /// The volume holds these tokens of its pod and no others; with none, those that nobody else holds are dropped.
    pub fn keep_only(&self, pod_uid: &str, volume: &str, kept: &[TokenRequest]) {
        self.state.lock().cache.keep_only(pod_uid, volume, kept);
    }

    /// Drops the tokens bound to a pod.
    pub fn forget_pod(&self, pod_uid: &str) {
        self.state.lock().cache.forget_pod(pod_uid);
    }

    /// See [`TokenCache::account_seen`].
    pub fn account_seen(
        &self,
        namespace: &str,
        name: &str,
        account_uid: Option<&str>,
    ) -> Vec<(String, String)> {
        self.state.lock().cache.account_seen(namespace, name, account_uid)
    }

    /// How many tokens are cached.
    pub fn len(&self) -> usize {
        self.state.lock().cache.len()
    }

    /// Whether no token is cached.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn take_off(&self, state: &mut State, request: &TokenRequest, flight: Flight) -> Shared<Request> {
        let ticket = Ticket {
            state: Arc::downgrade(&self.state),
            clock: self.clock.clone(),
            request: request.clone(),
            flight,
            is_open: true,
        };
        let counter = self.metrics.as_ref().map(|metrics| {
            (Arc::clone(metrics), state.cache.driver_of(request).unwrap_or_default().to_owned())
        });
        let cluster = Arc::clone(&self.cluster);
        let flying = async move {
            let answer = cluster.request_token(&ticket.request).await;
            if let Some((metrics, driver)) = counter {
                metrics.fetched(&driver, ticket.request.audience.as_str(), answer.is_ok());
            }
            ticket.landed(answer)
        }
        .boxed()
        .shared();
        if let Some(weak) = flying.downgrade() {
            state.flights.0.insert(flight, weak);
        }
        flying
    }
}

/// Says how a request ended, and if nothing else that it was given up.
struct Ticket {
    state: Weak<Mutex<State>>,
    clock: Clock,
    request: TokenRequest,
    flight: Flight,
    is_open: bool,
}

impl Ticket {
    fn landed(mut self, answer: Result<GrantedToken, crate::cluster::ClusterError>) -> Outcome {
        self.is_open = false;
        let Some(state) = self.state.upgrade() else {
            return answer.map_err(|error| TokenError::fetch(&self.request, error));
        };
        let mut state = state.lock();
        state.flights.0.remove(&self.flight);
        state.cache.landed(&self.request, self.flight, answer, self.clock.now())
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if let Some(state) = self.state.upgrade().filter(|_| self.is_open) {
            let mut state = state.lock();
            state.flights.0.remove(&self.flight);
            state.cache.abandoned(&self.request, self.flight, self.clock.now());
        }
    }
}
