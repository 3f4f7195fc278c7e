//! The shell around a controller: lets it hear what the cluster tells, and sends what it plans.

use std::future;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokenward_tokens::Clock;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use crate::api::{Api, ApiError, Document, Request, Resource, WatchEvent};
use crate::feed::Events;
use crate::news::{self, MOST_WAITING, News, Recorder};
use crate::pace::{Outcome, Pace};

/// A request without an answer after this time has failed.
pub(crate) const ANSWER_LIMIT: Duration = Duration::from_secs(30);
/// So many events are taken in before the next plan, if they are there.
const EVENTS_A_PLAN: usize = 1024;
/// After a plan its maker rests so many times as long as it took, so that events that trickle in do not make it plan all the time.
const REST: u32 = 9;
/// But no longer than this.
const LONGEST_REST: Duration = Duration::from_secs(1);
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

    /// [`Controller::WATCHES`], or what is known only once it runs.
    fn watches(&self) -> Vec<Resource> {
        Self::WATCHES.to_vec()
    }

    /// Takes in what a watch tells. Gives whether the plan may be another for it.
    fn observe(&mut self, _resource: Resource, _event: WatchEvent) -> bool {
        true
    }

    /// Takes in what a watch tells `now`, for those to whom it matters when they heard of something; for all others it is
    /// [`Controller::observe`].
    fn observe_at(&mut self, resource: Resource, event: WatchEvent, _now: Timestamp) -> bool {
        self.observe(resource, event)
    }

    /// Whether each resource has been listed once. Before that, absence means nothing.
    fn is_ready(&self) -> bool;

    /// Takes note of what has come to be by `now`, for those to whom it matters since when something has been so. Comes before
    /// each plan.
    fn take_note(&mut self, _now: Timestamp) {}

    /// What would bring the cluster closer to what it should be.
    fn plan(&self, now: Timestamp) -> Plan;

    /// What people should hear of a request that was carried out; asked before [`Controller::accepted`].
    fn told(&self, _request: &Request, _answer: &Document) -> Vec<News> {
        Vec::new()
    }

    /// What people should hear of a request that could not be carried out, for the so many-th time in a row.
    fn told_of_failure(&self, _request: &Request, _error: &ApiError, _attempts: u32) -> Option<News> {
        None
    }

    /// Takes in the answer to a request that was carried out, ahead of the watch.
    fn accepted(&mut self, request: &Request, answer: &Document);

    /// Takes in that a request was refused for what is there, or is not.
    fn refused(&mut self, _request: &Request, _refusal: Refusal) {}
}

/// What a refusal says about the cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// There is an object of the name already.
    AlreadyExists,
    /// There is no object of the name.
    NotFound,
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
    mut events: Events,
    clock: Clock,
    cancelled: CancellationToken,
) {
    let mut pace = Pace::default();
    let (sender, waiting) = mpsc::channel(MOST_WAITING);
    let mut recorder = Recorder::new(sender);
    // Ends with this.
    let mut telling = JoinSet::new();
    telling.spawn(news::tell(api.clone(), waiting));
    // Whether something has happened since the last plan, and when the next is due if nothing does.
    let (mut stale, mut next) = (true, None);
    let mut rested = Instant::now();
    loop {
        // Requests inside a process are answered at once: whoever has much to ask must let others have their turn.
        tokio::task::consume_budget().await;
        let mut due = Vec::new();
        let began = Instant::now();
        if stale && controller.is_ready() && rested <= began {
            let now = clock.now();
            controller.take_note(now);
            let plan = controller.plan(now);
            rested = Instant::now() + (began.elapsed() * REST).min(LONGEST_REST);
            due = pace.due(plan.requests, Instant::now());
            let again = plan.again.map(|again| Instant::now() + wait(now, again));
            next = [pace.next(), again].into_iter().flatten().min();
            stale = false;
        }
        if due.is_empty() {
            let next = if !controller.is_ready() {
                None
            } else if stale {
                Some(rested)
            } else {
                next
            };
            tokio::select! {
                () = cancelled.cancelled() => return,
                Some((resource, event)) = events.recv() => {
                    stale |= controller.observe_at(resource, event, clock.now());
                }
                () = until(next) => stale = true,
            }
        }
        for request in due {
            stale = true;
            let answer = send(&*api, &request);
            tokio::pin!(answer);
            // A slow answer keeps no event from those who follow the same resources.
            let result = loop {
                tokio::select! {
                    biased;
                    () = cancelled.cancelled() => return,
                    result = &mut answer => break result,
                    Some((resource, event)) = events.recv() => {
                        controller.observe_at(resource, event, clock.now());
                    }
                }
            };
            let outcome = Outcome::of(&result);
            let attempts = pace.record(&request, outcome, Instant::now());
            let news = match &result {
                Ok(answer) => controller.told(&request, answer),
                Err(error) => controller.told_of_failure(&request, error, attempts).into_iter().collect(),
            };
            for news in news {
                recorder.record(&news, clock.now());
            }
            settle(&mut controller, &request, outcome, attempts, result);
        }
        // What is there already, so that a burst of events makes one plan.
        for _ in 0..EVENTS_A_PLAN {
            let Ok((resource, event)) = events.try_recv() else { break };
            stale |= controller.observe_at(resource, event, clock.now());
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

async fn send<A: Api>(api: &A, request: &Request) -> Result<Document, ApiError> {
    match timeout(ANSWER_LIMIT, api.send(request)).await {
        Ok(result) => result,
        Err(_) => Err(ApiError::TimedOut { seconds: ANSWER_LIMIT.as_secs() }),
    }
}

impl Outcome {
    fn of(result: &Result<Document, ApiError>) -> Self {
        match result {
            Ok(_) => Self::Done,
            Err(ApiError::AlreadyExists | ApiError::Conflict | ApiError::NotFound) => Self::Stale,
            Err(_) => Self::Failed,
        }
    }
}

fn settle<C: Controller>(
    controller: &mut C,
    request: &Request,
    outcome: Outcome,
    attempts: u32,
    result: Result<Document, ApiError>,
) {
    let (name, target) = (C::NAME, request.target.to_string());
    match result {
        Ok(answer) => {
            tracing::debug!(controller = name, %target, attempts, "written");
            controller.accepted(request, &answer);
        }
        Err(error) if outcome == Outcome::Stale => {
            match error {
                ApiError::AlreadyExists => controller.refused(request, Refusal::AlreadyExists),
                ApiError::NotFound => controller.refused(request, Refusal::NotFound),
                _ => {}
            }
            tracing::debug!(controller = name, %target, attempts, %error, "out of date, looking again");
        }
        Err(error) => {
            let cause = std::error::Error::source(&error).map(ToString::to_string);
            tracing::warn!(controller = name, %target, attempts, %error, cause, "not written, trying again");
        }
    }
}
