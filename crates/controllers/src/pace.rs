//! When a request may be sent again: each target is paced by itself, so that one that fails holds up no other.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tokio::time::Instant;

use crate::api::{Request, Target};

const FIRST_DELAY: Duration = Duration::from_millis(50);
const LONGEST_DELAY: Duration = Duration::from_secs(30);

/// The delay after this many attempts in a row (1 or more).
pub(crate) fn delay(attempts: u32) -> Duration {
    FIRST_DELAY.saturating_mul(1 << attempts.saturating_sub(1).min(16)).min(LONGEST_DELAY)
}

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It was carried out.
    Done,
    /// It was made from a view that is out of date.
    Stale,
    /// It failed, and might fail again.
    Failed,
}

/// The last attempts, of those requests only that are still planned.
#[derive(Default)]
pub(crate) struct Pace {
    attempts: BTreeMap<Target, Attempt>,
}

struct Attempt {
    request: Request,
    outcome: Outcome,
    count: u32,
    not_before: Instant,
}

impl Attempt {
    /// Whether `request` says what has been said before, to the same effect.
    fn repeats(&self, request: &Request) -> bool {
        // A failure is not mended by a new revision of the object. Success and a stale view are the opposite: saying the
        // same again means that the view has not caught up, or that the write does not do what was wanted.
        self.outcome == Outcome::Failed || self.request == *request
    }
}

impl Pace {
    /// Those of the planned requests that may be sent at `now`.
    pub(crate) fn due(&mut self, plan: Vec<Request>, now: Instant) -> Vec<Request> {
        let planned: BTreeSet<&Target> = plan.iter().map(|request| &request.target).collect();
        self.attempts.retain(|target, _| planned.contains(target));
        let is_due = |request: &Request| {
            self.attempts
                .get(&request.target)
                .is_none_or(|attempt| !attempt.repeats(request) || attempt.not_before <= now)
        };
        plan.into_iter().filter(is_due).collect()
    }

    /// Notes how a request ended; gives the number of attempts in a row.
    pub(crate) fn record(&mut self, request: &Request, outcome: Outcome, now: Instant) -> u32 {
        let before = self.attempts.get(&request.target).filter(|attempt| attempt.repeats(request));
        let count = before.map_or(1, |attempt| attempt.count.saturating_add(1));
        let attempt = Attempt { request: request.clone(), outcome, count, not_before: now + delay(count) };
        self.attempts.insert(request.target.clone(), attempt);
        count
    }

    /// When the first of the requests that wait is due. Only of use right after [`Pace::due`].
    pub(crate) fn next(&self) -> Option<Instant> {
        self.attempts.values().map(|attempt| attempt.not_before).min()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::api::Resource;

    fn request(name: &str, revision: u32) -> Request {
        let body = json!({"metadata": {"resourceVersion": revision.to_string()}});
        Request::merge_patch(Target::cluster(Resource::PERSISTENT_VOLUMES, name), body)
    }

    #[test]
    fn delays_double_up_to_a_limit() {
        let delays: Vec<u128> =
            [1, 2, 3, 10, 11, 99, u32::MAX].map(|count| delay(count).as_millis()).to_vec();
        assert_eq!(delays, [50, 100, 200, 25_600, 30_000, 30_000, 30_000]);
    }

    #[test]
    fn repetitions_wait_news_does_not_and_failures_always_do() {
        let now = Instant::now();
        for (outcome, again, waits) in [
            (Outcome::Done, request("a", 1), true),
            (Outcome::Done, request("a", 2), false),
            (Outcome::Stale, request("a", 1), true),
            (Outcome::Stale, request("a", 2), false),
            (Outcome::Failed, request("a", 1), true),
            (Outcome::Failed, request("a", 2), true),
            (Outcome::Failed, request("b", 1), false),
        ] {
            let mut pace = Pace::default();
            assert_eq!(pace.due(vec![request("a", 1)], now).len(), 1);
            assert_eq!(pace.record(&request("a", 1), outcome, now), 1);
            let due = pace.due(vec![request("a", 1), again.clone()], now);
            assert_eq!(due, if waits { vec![] } else { vec![again.clone()] }, "{outcome:?} {again:?}");
            assert_eq!(pace.next(), Some(now + FIRST_DELAY));
            let later = now + FIRST_DELAY;
            assert_eq!(pace.due(vec![again.clone()], later), [again]);
        }
    }

    #[test]
    fn a_row_of_failures_is_counted_until_the_request_is_no_longer_wanted() {
        let now = Instant::now();
        let mut pace = Pace::default();
        for wanted in 1..=4 {
            assert_eq!(pace.record(&request("a", wanted), Outcome::Failed, now), wanted);
            assert_eq!(pace.next(), Some(now + delay(wanted)));
        }
        assert_eq!(pace.due(vec![request("b", 1)], now).len(), 1);
        assert_eq!(pace.next(), None);
        assert_eq!(pace.due(vec![request("a", 9)], now).len(), 1);
        assert_eq!(pace.record(&request("a", 9), Outcome::Failed, now), 1);
    }
}
