//! When something may be done again. Both kinds survive a clock that is set back: what would then lie too far ahead is
//! due at once.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::Pace;

/// A moment in the future, and when it was set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Due {
    set: Timestamp,
    at: Timestamp,
}

impl Due {
    /// `wait` from now.
    pub fn after(now: Timestamp, wait: Duration) -> Self {
        let wait = SignedDuration::try_from(wait).unwrap_or(SignedDuration::MAX);
        Self { set: now, at: now.checked_add(wait).unwrap_or(Timestamp::MAX) }
    }

    /// At a moment, as seen from now.
    pub fn at_moment(at: Timestamp, now: Timestamp) -> Self {
        Self { set: now, at }
    }

    /// The moment.
    pub fn at(&self) -> Timestamp {
        self.at
    }

    /// The moment, while it lies ahead.
    pub fn waits_until(&self, now: Timestamp) -> Option<Timestamp> {
        (self.set <= now && now < self.at).then_some(self.at)
    }

    /// Whether it comes before another.
    pub fn is_before(&self, other: &Self) -> bool {
        self.at < other.at
    }
}

/// The wait after failures: doubling from the first to the longest (upstream: 500 ms to 2 min 2 s).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Backoff {
    last: Duration,
    due: Option<Due>,
}

impl Backoff {
    /// One more failure.
    pub fn failed(&mut self, now: Timestamp, pace: &Pace) {
        self.last = (self.last * 2).clamp(pace.backoff_first, pace.backoff_longest);
        self.due = Some(Due::after(now, self.last));
    }

    /// The end of the wait, while it lies ahead.
    pub fn waits_until(&self, now: Timestamp) -> Option<Timestamp> {
        self.due.and_then(|due| due.waits_until(now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_longest() {
        let pace = Pace::default();
        let mut now = Timestamp::UNIX_EPOCH;
        let mut backoff = Backoff::default();
        let mut waits = Vec::new();
        for _ in 0..10 {
            backoff.failed(now, &pace);
            let until = backoff.waits_until(now).unwrap();
            waits.push(until.duration_since(now).as_millis());
            now = until;
            assert_eq!(backoff.waits_until(now), None);
        }
        assert_eq!(waits, [500, 1000, 2000, 4000, 8000, 16_000, 32_000, 64_000, 122_000, 122_000]);
    }

    #[test]
    fn a_clock_set_back_does_not_prolong_a_wait() {
        let now = Timestamp::from_second(1_000_000).unwrap();
        let due = Due::after(now, Duration::from_secs(60));
        assert!(due.waits_until(now).is_some());
        assert_eq!(due.waits_until(Timestamp::UNIX_EPOCH), None);
    }
}
