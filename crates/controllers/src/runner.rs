//! The shell around a controller: feeds it what the cluster tells, and sends what it plans.

use std::future;
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{self, BoxStream, SelectAll};
use futures_util::{FutureExt, Stream, StreamExt};
use jiff::Timestamp;
use serde_json::Value;
use tokenward_tokens::Clock;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use crate::api::{Api, ApiError, Request, Resource, WatchEvent};
use crate::pace::{self, Outcome, Pace};

/// A request without an answer after this time has failed.
const ANSWER_LIMIT: Duration = Duration::from_secs(30);
/// So many events are taken in before the next plan, if they are there.
const EVENTS_A_PLAN: usize = 1024;
/// Plans that only wait for time to pass are at least this far apart.
const SHORTEST_WAIT: Duration = Duration::from_millis(10);

/// The pure core of a controller: what it has observed, and what it wants done about it.
///
/// A plan is made from the whole of what is known, so it does not matter which events were missed or when the controller
/// was last interrupted. Once carried out and observed, a plan must come out empty.
pub(crate) trait Controller: Send + 'static {
    /// For the log.
    const NAME: &'static str;
    /// What it needs to see.
    const WATCHES: &'static [Resource];

    /// Takes in what a watch tells.
    fn observe(&mut self, _resource: Resource, _event: WatchEvent) {}

    /// Takes in what a watch tells `now`, for those to whom it matters when they heard of something; for all others it is
    /// [`Controller::observe`].
    fn observe_at(&mut self, resource: Resource, event: WatchEvent, _now: Timestamp) {
        self.observe(resource, event);
    }

    /// Whether each resource has been listed once. Before that, absence means nothing.
    fn is_ready(&self) -> bool;

    /// What would bring the cluster closer to what it should be.
    fn plan(&self, now: Timestamp) -> Plan;

    /// Takes in the answer to a request that was carried out, ahead of the watch.
    fn accepted(&mut self, request: &Request, answer: Value);
}

/// What a controller wants.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Plan {
    /// At most one for each target.
    pub(crate) requests: Vec<Request>,
    /// When the plan will be another although nothing has changed.
    pub(crate) again: Option<Timestamp>,
}

impl Plan {
    /// Asks for another plan at that time, if not before.
    pub(crate) fn again_at(&mut self, then: Timestamp) {
        self.again = Some(self.again.map_or(then, |again| again.min(then)));
    }
}

impl From<Vec<Request>> for Plan {
    fn from(requests: Vec<Request>) -> Self {
        Self { requests, again: None }
    }
}

/// Runs a controller until it is cancelled.
pub(crate) async fn drive<A: Api, C: Controller>(
    api: Arc<A>,
    mut controller: C,
    clock: Clock,
    cancelled: CancellationToken,
) {
    let watches = C::WATCHES.iter().map(|resource| changes(C::NAME, api.clone(), *resource).boxed());
    let mut changes: SelectAll<BoxStream<'static, (Resource, WatchEvent)>> = stream::select_all(watches);
    let mut pace = Pace::default();
    loop {
        let mut due = Vec::new();
        let mut next = None;
        if controller.is_ready() {
            let now = clock.now();
            let plan = controller.plan(now);
            due = pace.due(plan.requests, Instant::now());
            let again = plan.again.map(|again| Instant::now() + wait(now, again));
            next = [pace.next(), again].into_iter().flatten().min();
        }
        if due.is_empty() {
            tokio::select! {
                () = cancelled.cancelled() => return,
                Some((resource, event)) = changes.next() => controller.observe_at(resource, event, clock.now()),
                () = until(next) => {}
            }
        }
        for request in due {
            tokio::select! {
                biased;
                () = cancelled.cancelled() => return,
                result = send(&*api, &request) => settle(&mut controller, &mut pace, &request, result),
            }
        }
        // What is there already, so that a burst of events makes one plan.
        for _ in 0..EVENTS_A_PLAN {
            let Some(Some((resource, event))) = changes.next().now_or_never() else { break };
            controller.observe_at(resource, event, clock.now());
        }
    }
}

/// How long it is from now until then. Never nothing: the clock of the plans may stand still.
fn wait(now: Timestamp, then: Timestamp) -> Duration {
    Duration::try_from(then.duration_since(now)).unwrap_or_default().max(SHORTEST_WAIT)
}

/// Waits until then; without a then, for ever.
async fn until(then: Option<Instant>) {
    match then {
        Some(then) => sleep_until(then).await,
        None => future::pending().await,
    }
}

async fn send<A: Api>(api: &A, request: &Request) -> Result<Value, ApiError> {
    match timeout(ANSWER_LIMIT, api.send(request)).await {
        Ok(result) => result,
        Err(_) => Err(ApiError::TimedOut { seconds: ANSWER_LIMIT.as_secs() }),
    }
}

fn settle<C: Controller>(
    controller: &mut C,
    pace: &mut Pace,
    request: &Request,
    result: Result<Value, ApiError>,
) {
    let (name, target) = (C::NAME, request.target.to_string());
    let outcome = match &result {
        Ok(_) => Outcome::Done,
        Err(ApiError::AlreadyExists | ApiError::Conflict | ApiError::NotFound) => Outcome::Stale,
        Err(_) => Outcome::Failed,
    };
    let attempts = pace.record(request, outcome, Instant::now());
    match result {
        Ok(answer) => {
            tracing::debug!(controller = name, %target, attempts, "written");
            controller.accepted(request, answer);
        }
        Err(error) if outcome == Outcome::Stale => {
            tracing::debug!(controller = name, %target, attempts, %error, "out of date, looking again");
        }
        Err(error) => {
            let cause = std::error::Error::source(&error).map(ToString::to_string);
            tracing::warn!(controller = name, %target, attempts, %error, cause, "not written, trying again");
        }
    }
}

/// The changes of a resource, watched anew for as long as somebody listens.
fn changes<A: Api>(
    controller: &'static str,
    api: Arc<A>,
    resource: Resource,
) -> impl Stream<Item = (Resource, WatchEvent)> + Send {
    struct State<A> {
        api: Arc<A>,
        watch: Option<BoxStream<'static, Result<WatchEvent, ApiError>>>,
        /// Watches in a row that ended without telling anything.
        idle: u32,
    }
    let state = State { api, watch: None, idle: 0 };
    stream::unfold(state, move |mut state| async move {
        loop {
            let watch = match &mut state.watch {
                Some(watch) => watch,
                None => {
                    if state.idle > 0 {
                        sleep(pace::delay(state.idle)).await;
                    }
                    state.watch.insert(state.api.watch(resource))
                }
            };
            match watch.next().await {
                Some(Ok(event)) => {
                    state.idle = 0;
                    return Some(((resource, event), state));
                }
                Some(Err(error)) => {
                    let cause = std::error::Error::source(&error).map(ToString::to_string);
                    tracing::warn!(controller, resource = resource.plural, %error, cause, "watch broke, watching anew");
                }
                None => tracing::debug!(controller, resource = resource.plural, "watch ended, watching anew"),
            }
            state.watch = None;
            state.idle = state.idle.saturating_add(1);
        }
    })
}
