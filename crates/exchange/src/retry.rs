//! When to try again: a pure function of what happened, of the time that is left, and of chance.

use std::time::Duration;

/// How often an exchange is tried, and how patiently.
///
/// Shown at [`Exchanger`](crate::Exchanger).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retries {
    /// Attempts in all, the first among them; 3 by default.
    pub attempts: u32,
    /// The pause after the first attempt, doubled after each further one; 200 ms by default.
    pub first_pause: Duration,
    /// The longest pause that is ours to choose; 5 s by default.
    pub longest_pause: Duration,
}

impl Default for Retries {
    fn default() -> Self {
        Self { attempts: 3, first_pause: Duration::from_millis(200), longest_pause: Duration::from_secs(5) }
    }
}

impl Retries {
    /// The pause before the next attempt after `attempt` (counted from 1) has failed; none when that was the last, or when the pause would
    /// not end before the time is up.
    ///
    /// `wanted` is the server's own wish (Retry-After): never shorter than that. `chance`, of `0.0..1.0`, spreads those who failed at the
    /// same moment: half of a pause of ours is left to it, and as much comes on top of the server's.
    pub(crate) fn pause(
        &self,
        attempt: u32,
        wanted: Option<Duration>,
        left: Duration,
        chance: f64,
    ) -> Option<Duration> {
        if attempt >= self.attempts {
            return None;
        }
        let doubled = self.first_pause.saturating_mul(1 << attempt.saturating_sub(1).min(20));
        let own = doubled.min(self.longest_pause) / 2;
        let pause = wanted.unwrap_or(own).max(own).saturating_add(own.mul_f64(chance.clamp(0.0, 1.0)));
        (pause < left).then_some(pause)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LONG: Duration = Duration::from_secs(600);

    fn ms(milliseconds: u64) -> Duration {
        Duration::from_millis(milliseconds)
    }

    #[test]
    fn pauses_grow_are_bounded_and_end() {
        let retries = Retries { attempts: 9, first_pause: ms(200), longest_pause: ms(1000) };
        let table = [
            (1, None, 0.0, Some(100)),
            (1, None, 1.0, Some(200)),
            (2, None, 0.0, Some(200)),
            (3, None, 0.5, Some(600)),
            (4, None, 1.0, Some(1000)),
            (8, None, 1.0, Some(1000)),
            (9, None, 0.0, None),
            (1, Some(3000), 0.0, Some(3000)),
            (1, Some(3000), 1.0, Some(3100)),
            (1, Some(1), 0.0, Some(100)),
            (u32::MAX, None, 0.0, None),
        ];
        for (attempt, wanted, chance, expected) in table {
            let found = retries.pause(attempt, wanted.map(ms), LONG, chance);
            assert_eq!(found, expected.map(ms), "{attempt} {wanted:?} {chance}");
        }
        assert_eq!(retries.pause(1, Some(LONG), LONG, 0.0), None, "what does not end in time is not begun");
        assert_eq!(retries.pause(1, None, ms(50), 0.0), None);
    }

    proptest! {
        #[test]
        fn a_servers_wish_is_kept(attempt in 0_u32..70, wanted in 0_u64..700_000, left in 0_u64..700_000, chance in 0.0..1.0) {
            let retries = Retries { attempts: 64, ..Retries::default() };
            if let Some(pause) = retries.pause(attempt, Some(ms(wanted)), ms(left), chance) {
                prop_assert!(pause >= ms(wanted) && pause < ms(left) && attempt < 64);
            }
        }
    }
}
