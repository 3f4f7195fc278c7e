//! Floods: how many requests run at once, and whose.
//!
//! Requests share two sets of seats, one for reading and one for changing ([`RequestLimits`]), as kube-apiserver's
//! `--max-requests-inflight` and `--max-mutating-requests-inflight` have it. Within a set every user has a fair share
//! ([`seats`]): one that floods waits for its own requests, and is told to come back (429) when too many of them wait
//! or one has waited too long, while everybody else is served. Watches hold no seat; each user may have so many.
//! `system:masters` and what the server says of its health are never held up.

mod seats;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokenward_kube_rules::rbac::MASTERS;
use tokenward_kube_schema::Verb;
use tokio::sync::oneshot;

use self::seats::{Arrival, Limits, Seats, Ticket};
use crate::authentication::User;
use crate::status::ApiError;

/// How many requests run at once; 0 for any number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestLimits {
    /// Those that read (`--max-requests-inflight`).
    pub reading: usize,
    /// Those that change something (`--max-mutating-requests-inflight`).
    pub changing: usize,
}

impl Default for RequestLimits {
    fn default() -> Self {
        Self { reading: 400, changing: 200 }
    }
}

/// What follows from a number of seats: a flow may hold half of them, and a quarter as many of its requests may wait.
fn limits(seats: usize) -> Limits {
    if seats == 0 {
        let any = usize::MAX;
        return Limits { seats: any, seats_of_flow: any, waiting: any, waiting_of_flow: any };
    }
    Limits {
        seats,
        seats_of_flow: seats.div_ceil(2),
        waiting: seats.saturating_mul(5),
        waiting_of_flow: seats.div_ceil(4),
    }
}

/// A request that has no seat by then is told to come back; a quarter of the time that a request has, as upstream.
const LONGEST_WAIT: Duration = Duration::from_secs(15);
/// The most watches of one user.
const WATCHES_OF_USER: usize = 16_384;

/// The limits of a server.
#[derive(Debug)]
pub(crate) struct FlowControl {
    reading: Arc<Lane>,
    changing: Arc<Lane>,
    watches: Arc<Mutex<HashMap<Arc<str>, usize>>>,
}

/// A request's right to run; given back when dropped.
#[derive(Debug)]
pub(crate) enum Admitted {
    /// Nobody counts it.
    Exempt,
    /// It holds a seat.
    Seated { _seat: Seat },
    /// It is one of its user's watches, for as long as it lasts.
    Watching(WatchPlace),
}

impl FlowControl {
    pub(crate) fn new(of: RequestLimits) -> Self {
        let lane = |seats| {
            let seats = Seats::new(limits(seats));
            Arc::new(Lane { state: Mutex::new(State { seats, calls: HashMap::new() }) })
        };
        Self { reading: lane(of.reading), changing: lane(of.changing), watches: Arc::default() }
    }

    /// Lets a request in, now or when its turn comes.
    ///
    /// # Errors
    /// 429 when its user has too much under way.
    pub(crate) async fn admit(&self, user: &User, verb: Verb) -> Result<Admitted, ApiError> {
        if user.is_in(MASTERS) {
            return Ok(Admitted::Exempt);
        }
        let lane = match verb {
            Verb::Watch => return self.watch(&user.username).map(Admitted::Watching),
            Verb::Get | Verb::List => &self.reading,
            _ => &self.changing,
        };
        lane.clone().seat(&user.username).await.map(|seat| Admitted::Seated { _seat: seat })
    }

    fn watch(&self, user: &str) -> Result<WatchPlace, ApiError> {
        let mut watches = self.watches.lock();
        let user: Arc<str> = match watches.get_key_value(user) {
            Some((_, number)) if *number >= WATCHES_OF_USER => return Err(ApiError::too_many_requests(1)),
            Some((known, _)) => known.clone(),
            None => user.into(),
        };
        *watches.entry(user.clone()).or_default() += 1;
        Ok(WatchPlace { user, watches: self.watches.clone() })
    }
}

/// One of a user's watches.
#[derive(Debug)]
pub(crate) struct WatchPlace {
    user: Arc<str>,
    watches: Arc<Mutex<HashMap<Arc<str>, usize>>>,
}

impl Drop for WatchPlace {
    fn drop(&mut self) {
        let mut watches = self.watches.lock();
        if let Some(number) = watches.get_mut(&self.user) {
            *number -= 1;
            if *number == 0 {
                watches.remove(&self.user);
            }
        }
    }
}

/// One set of seats, and those who wait for them.
#[derive(Debug)]
struct Lane {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    seats: Seats,
    /// How those who wait are called.
    calls: HashMap<Ticket, oneshot::Sender<()>>,
}

impl Lane {
    async fn seat(self: Arc<Self>, user: &str) -> Result<Seat, ApiError> {
        let (ticket, called) = {
            let mut state = self.state.lock();
            match state.seats.arrive(user) {
                Arrival::Seated => {
                    drop(state);
                    return Ok(Seat { lane: self, user: user.into() });
                }
                Arrival::Full => return Err(ApiError::too_many_requests(1)),
                Arrival::Waiting(ticket) => {
                    let (call, called) = oneshot::channel();
                    state.calls.insert(ticket, call);
                    (ticket, called)
                }
            }
        };
        // Whoever stops waiting, by time or because the client has gone, leaves the queue.
        let mut waiting = Waiting { lane: self, user: user.into(), ticket: Some(ticket) };
        match tokio::time::timeout(LONGEST_WAIT, called).await {
            Ok(Ok(())) => Ok(waiting.seated()),
            _ => Err(ApiError::too_many_requests(1)),
        }
    }

    fn leave(&self, user: &str) {
        let mut state = self.state.lock();
        let next = state.seats.leave(user);
        state.call(next);
    }
}

impl State {
    fn call(&mut self, tickets: Vec<Ticket>) {
        for ticket in tickets {
            if let Some(call) = self.calls.remove(&ticket) {
                // One that has just stopped waiting gives the seat back when it leaves.
                let _ = call.send(());
            }
        }
    }
}

/// A place in the queue.
struct Waiting {
    lane: Arc<Lane>,
    user: Arc<str>,
    /// None once it has become a seat.
    ticket: Option<Ticket>,
}

impl Waiting {
    fn seated(&mut self) -> Seat {
        self.ticket = None;
        Seat { lane: self.lane.clone(), user: self.user.clone() }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let Some(ticket) = self.ticket else { return };
        let mut state = self.lane.state.lock();
        state.calls.remove(&ticket);
        let next = state.seats.abandon(&self.user, ticket);
        state.call(next);
    }
}

/// A seat.
pub(crate) struct Seat {
    lane: Arc<Lane>,
    user: Arc<str>,
}

impl std::fmt::Debug for Seat {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Seat").field(&self.user).finish()
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.lane.leave(&self.user);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(name: &str) -> User {
        User::authenticated(name, [])
    }

    /// Everybody's seats of one user, until it has no more.
    async fn fill(control: &FlowControl, name: &str) -> Vec<Admitted> {
        let mut held = Vec::new();
        for _ in 0..limits(RequestLimits::default().changing).seats_of_flow {
            held.push(control.admit(&user(name), Verb::Create).await.unwrap());
        }
        held
    }

    #[test]
    fn what_follows_from_a_number_of_seats() {
        for (seats, wanted) in
            [(400, (400, 200, 2_000, 100)), (200, (200, 100, 1_000, 50)), (1, (1, 1, 5, 1))]
        {
            let Limits { seats, seats_of_flow, waiting, waiting_of_flow } = limits(seats);
            assert_eq!((seats, seats_of_flow, waiting, waiting_of_flow), wanted);
        }
        assert_eq!(limits(0).seats_of_flow, usize::MAX, "any number");
    }

    #[tokio::test(start_paused = true)]
    async fn who_floods_waits_for_its_own_and_nobody_else_does() {
        let control = Arc::new(FlowControl::new(RequestLimits::default()));
        let mut held = fill(&control, "busy").await;
        let waiting: Vec<_> = (0..limits(RequestLimits::default().changing).waiting_of_flow)
            .map(|_| {
                let control = control.clone();
                tokio::spawn(async move { control.admit(&user("busy"), Verb::Update).await })
            })
            .collect();
        tokio::task::yield_now().await;
        let refused = control.admit(&user("busy"), Verb::Update).await.unwrap_err();
        assert_eq!((refused.code().as_u16(), refused.retry_after_seconds()), (429, Some(1)));
        for other in ["alice", "bob"] {
            control.admit(&user(other), Verb::Delete).await.unwrap();
        }
        control.admit(&user("busy"), Verb::List).await.expect("reading has seats of its own");
        let admin = User::authenticated("admin", [MASTERS.to_owned()]);
        assert!(matches!(control.admit(&admin, Verb::Create).await, Ok(Admitted::Exempt)));
        // A seat that is given back goes to the one that has waited longest.
        held.pop();
        let mut outcomes = Vec::new();
        for task in waiting {
            outcomes.push(task.await.unwrap().map(drop));
        }
        // The seat went from hand to hand: each of those who waited held it for a moment.
        assert!(outcomes.iter().all(Result::is_ok));
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_waits_for_ever() {
        let control = FlowControl::new(RequestLimits::default());
        let _held = fill(&control, "busy").await;
        let started = tokio::time::Instant::now();
        let refused = control.admit(&user("busy"), Verb::Create).await.unwrap_err();
        assert_eq!(refused.code().as_u16(), 429);
        assert_eq!(started.elapsed().as_secs(), LONGEST_WAIT.as_secs());
        let state = control.changing.state.lock();
        assert!(state.calls.is_empty() && state.seats.waiting() == 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_goes_away_while_it_waits_leaves_no_trace() {
        let control = Arc::new(FlowControl::new(RequestLimits::default()));
        let held = fill(&control, "busy").await;
        let task = tokio::spawn({
            let control = control.clone();
            async move { control.admit(&user("busy"), Verb::Create).await }
        });
        tokio::task::yield_now().await;
        assert_eq!(control.changing.state.lock().seats.waiting(), 1);
        task.abort();
        assert!(task.await.unwrap_err().is_cancelled());
        assert_eq!(control.changing.state.lock().seats.waiting(), 0);
        drop(held);
        assert_eq!(control.changing.state.lock().seats.taken(), 0);
    }

    #[tokio::test]
    async fn a_user_has_so_many_watches_and_no_more() {
        let control = FlowControl::new(RequestLimits::default());
        let mut watches = Vec::new();
        for _ in 0..WATCHES_OF_USER {
            watches.push(control.admit(&user("w"), Verb::Watch).await.unwrap());
        }
        assert_eq!(control.admit(&user("w"), Verb::Watch).await.unwrap_err().code().as_u16(), 429);
        control.admit(&user("other"), Verb::Watch).await.unwrap();
        watches.pop();
        control.admit(&user("w"), Verb::Watch).await.unwrap();
        drop(watches);
        assert!(control.watches.lock().is_empty());
    }
}
