//! Where time comes from: the one place that may ask the system.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use jiff::Timestamp;

/// A source of the present moment, handed to whatever needs one.
///
/// ```
/// use tokenward_tokens::Clock;
///
/// /// Whoever needs the time is handed a clock, and does not ask the system.
/// fn is_over(expires: jiff::Timestamp, clock: &Clock) -> bool {
///     clock.now() > expires
/// }
///
/// let expires = "2026-06-01T12:00:00Z".parse()?;
/// let fixed = Clock::new(move || expires);
/// assert!(!is_over(expires, &fixed));
/// assert!(is_over(jiff::Timestamp::UNIX_EPOCH, &Clock::system()));
/// # Ok::<(), jiff::Error>(())
/// ```
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> Timestamp + Send + Sync>);

impl Clock {
    /// The system's clock.
    ///
    /// Shown at [`Clock`].
    pub fn system() -> Self {
        #[expect(clippy::disallowed_methods, reason = "the one home of the present")]
        Self::new(Timestamp::now)
    }

    /// A clock that asks `now`.
    ///
    /// Shown at [`Clock`].
    pub fn new(now: impl Fn() -> Timestamp + Send + Sync + 'static) -> Self {
        Self(Arc::new(now))
    }

    /// The present moment.
    ///
    /// Shown at [`Clock`].
    pub fn now(&self) -> Timestamp {
        (self.0)()
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Clock").field(&self.now()).finish()
    }
}

/// A clock that stands still until a test moves it. Clones, and clocks made from it, move together.
///
/// ```
/// use std::time::Duration;
/// use tokenward_tokens::ManualClock;
///
/// let manual = ManualClock::new("2026-06-01T12:00:00Z".parse()?);
/// let clock = manual.clock();
/// manual.advance(Duration::from_secs(90));
/// assert_eq!(clock.now().to_string(), "2026-06-01T12:01:30Z");
/// manual.set("2026-01-01T00:00:00Z".parse()?);
/// assert_eq!(clock.now(), manual.now());
/// # Ok::<(), jiff::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct ManualClock {
    /// Microseconds since the epoch: what fits an atomic integer for every timestamp there is.
    micros: Arc<AtomicI64>,
}

impl ManualClock {
    /// A clock that stands at `start` (cut to whole microseconds).
    ///
    /// Shown at [`ManualClock`].
    pub fn new(start: Timestamp) -> Self {
        Self { micros: Arc::new(AtomicI64::new(start.as_microsecond())) }
    }

    /// The present moment.
    ///
    /// Shown at [`ManualClock`].
    pub fn now(&self) -> Timestamp {
        // The last second of the year 9999 counts no microseconds.
        Timestamp::from_microsecond(self.micros.load(Ordering::Acquire)).unwrap_or(Timestamp::MAX)
    }

    /// Moves the clock forward.
    ///
    /// Shown at [`ManualClock`].
    ///
    /// # Panics
    /// Beyond the year 9999.
    pub fn advance(&self, by: Duration) {
        let later = self.now() + by;
        self.set(later);
    }

    /// Sets the clock, backwards too.
    ///
    /// Shown at [`ManualClock`].
    pub fn set(&self, now: Timestamp) {
        self.micros.store(now.as_microsecond(), Ordering::Release);
    }

    /// A [`Clock`] that shows what this one shows.
    ///
    /// Shown at [`ManualClock`].
    pub fn clock(&self) -> Clock {
        let clock = self.clone();
        Clock::new(move || clock.now())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manual_clock_moves_all_its_faces() {
        let manual = ManualClock::new(Timestamp::UNIX_EPOCH);
        let clock = manual.clock();
        manual.advance(Duration::from_millis(1500));
        assert_eq!(clock.now(), Timestamp::from_millisecond(1500).unwrap());
        manual.set(Timestamp::MIN);
        assert_eq!(clock.now(), Timestamp::MIN);
        manual.set(Timestamp::MAX);
        assert_eq!(clock.now().as_second(), Timestamp::MAX.as_second());
    }

    #[test]
    fn the_system_clock_moves_by_itself() {
        assert!(Clock::system().now() > Timestamp::from_second(1_700_000_000).unwrap());
    }
}
