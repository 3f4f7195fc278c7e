//! The token manager: tokens in memory, keyed by everything that was asked for, refreshed by the kubelet's rule. One
//! request is in flight per key, however many wait for it, and all of them share its outcome.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use parking_lot::Mutex;
use tokenward_tokens::Clock;
use tokenward_tokens::due::{MAX_JITTER, TokenLifetime, expired, refresh_due};
use tracing::debug;

use crate::cluster::{Cluster, ClusterError, GrantedToken, TokenRequest};
use crate::dice::Dice;
use crate::planner::Due;

/// Expired entries are dropped this often (upstream: each minute).
const SWEEP_PERIOD: Duration = Duration::from_secs(60);

/// Most keys kept. A node has 110 pods and few audiences; past this the entry that expires first makes room.
const MOST_KEYS: usize = 16_384;

/// Why there is no token.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// None was ever had.
    #[error("failed to fetch token: audience {audience:?}: {source}")]
    Fetch {
        /// The audience asked for.
        audience: String,
        /// What the cluster said.
        source: ClusterError,
    },
    /// The one at hand is over.
    #[error("token {namespace}/{service_account} audience {audience:?} expired and refresh failed: {source}")]
    Expired {
        /// Namespace of the service account.
        namespace: String,
        /// The service account.
        service_account: String,
        /// The audience asked for.
        audience: String,
        /// What the cluster said.
        source: ClusterError,
    },
}

#[derive(Default)]
struct Slot {
    state: Mutex<SlotState>,
    /// Held by whoever asks the cluster.
    fetching: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct SlotState {
    current: Option<GrantedToken>,
    /// Counts answers of the cluster, so that who waited knows that one has come.
    answers: u64,
    failure: Option<ClusterError>,
}

struct Cache {
    slots: BTreeMap<TokenRequest, Arc<Slot>>,
    dice: Dice,
    sweep: Option<Due>,
}

/// The tokens of this node's pods.
pub struct TokenSource {
    clock: Clock,
    cache: Mutex<Cache>,
}

impl TokenSource {
    /// An empty cache.
    pub fn new(clock: Clock, dice: Dice) -> Self {
        Self { clock, cache: Mutex::new(Cache { slots: BTreeMap::new(), dice, sweep: None }) }
    }

    /// The cached token, or a new one when there is none or it is due. A failed refresh is forgiven as long as the old
    /// token lives.
    ///
    /// # Errors
    /// The cluster refuses, and there is no live token.
    pub async fn token(
        &self,
        cluster: &impl Cluster,
        request: &TokenRequest,
    ) -> Result<GrantedToken, TokenError> {
        let (slot, jitter) = self.slot(request);
        let answers = {
            let state = slot.state.lock();
            if let Some(token) = self.fresh(&state, jitter) {
                return Ok(token);
            }
            state.answers
        };
        let _fetching = slot.fetching.lock().await;
        {
            let state = slot.state.lock();
            if state.answers != answers {
                return self.conclude(request, &state);
            }
        }
        let answer = cluster.request_token(request).await;
        let mut state = slot.state.lock();
        state.answers += 1;
        match answer {
            Ok(granted) => {
                state.current = Some(granted);
                state.failure = None;
            }
            Err(error) => state.failure = Some(error),
        }
        self.conclude(request, &state)
    }

    /// Drops the tokens bound to a pod.
    pub fn forget_pod(&self, pod_uid: &str) {
        self.cache.lock().slots.retain(|request, _| request.pod.uid != pod_uid);
    }

    /// How many keys are cached.
    pub fn len(&self) -> usize {
        self.cache.lock().slots.len()
    }

    /// Whether nothing is cached.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn slot(&self, request: &TokenRequest) -> (Arc<Slot>, Duration) {
        let now = self.clock.now();
        let mut cache = self.cache.lock();
        if cache.sweep.is_none_or(|due| due.waits_until(now).is_none()) {
            cache.sweep = Some(Due::after(now, SWEEP_PERIOD));
            cache.slots.retain(|_, slot| is_live(slot, now));
        }
        if cache.slots.len() >= MOST_KEYS && !cache.slots.contains_key(request) {
            cache.make_room();
        }
        let jitter = MAX_JITTER.mul_f64(cache.dice.fraction());
        let slot = Arc::clone(cache.slots.entry(request.clone()).or_default());
        (slot, Duration::from_secs(jitter.as_secs()))
    }

    fn fresh(&self, state: &SlotState, jitter: Duration) -> Option<GrantedToken> {
        state.current.clone().filter(|granted| {
            let lifetime = TokenLifetime { expires: granted.expires, ttl_seconds: granted.ttl_seconds };
            !refresh_due(&lifetime, jitter, self.clock.now())
        })
    }

    /// What the cluster's last answer means.
    fn conclude(&self, request: &TokenRequest, state: &SlotState) -> Result<GrantedToken, TokenError> {
        let audience = request.audience.as_str().to_owned();
        match (&state.current, &state.failure) {
            (Some(granted), None) => Ok(granted.clone()),
            (Some(granted), Some(error)) if !expired(granted.expires, self.clock.now()) => {
                debug!(pod = %request.pod, service_account = %request.service_account, %audience, %error, "Couldn't update token");
                Ok(granted.clone())
            }
            (Some(_), Some(error)) => Err(TokenError::Expired {
                namespace: request.pod.namespace.clone(),
                service_account: request.service_account.clone(),
                audience,
                source: error.clone(),
            }),
            (None, Some(error)) => Err(TokenError::Fetch { audience, source: error.clone() }),
            (None, None) => unreachable!("an answer is a token or a failure"),
        }
    }
}

impl Cache {
    fn make_room(&mut self) {
        let first = self
            .slots
            .iter()
            .min_by_key(|(_, slot)| slot.state.lock().current.as_ref().map(|granted| granted.expires))
            .map(|(request, _)| request.clone());
        if let Some(request) = first {
            self.slots.remove(&request);
        }
    }
}

/// Worth keeping: a token that has not expired, or a request in flight.
fn is_live(slot: &Arc<Slot>, now: Timestamp) -> bool {
    Arc::strong_count(slot) > 1
        || slot.state.lock().current.as_ref().is_some_and(|granted| !expired(granted.expires, now))
}
