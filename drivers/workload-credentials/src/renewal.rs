//! When credentials are renewed, and what happens when that fails: functions of values, with the time handed in.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokenward_driver::tokens::due::{TokenLifetime, refresh_due};

/// Credentials whose issuer does not say when they end are renewed as if they lived for this long.
const ASSUMED_LIFE: SignedDuration = SignedDuration::from_mins(5);

/// From when to when credentials are good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Lifetime {
    /// When they were issued.
    pub(crate) issued: Timestamp,
    /// When they end; none when the issuer did not say, or said never.
    pub(crate) expires: Option<Timestamp>,
}

impl Lifetime {
    /// Whether to renew: in the last fifth of their life, after a day, or when they are from the future; earlier by the jitter. As the
    /// kubelet does it with tokens.
    pub(crate) fn is_due(&self, jitter: Duration, now: Timestamp) -> bool {
        let expires = self.expires.or_else(|| self.issued.checked_add(ASSUMED_LIFE).ok());
        let Some(expires) = expires else { return true };
        let life = expires.duration_since(self.issued).as_secs();
        refresh_due(&TokenLifetime { expires, ttl_seconds: Some(life) }, jitter.min(most_jitter(life)), now)
    }

    /// What these credentials are worth when there are no new ones.
    pub(crate) fn after_failure(&self, now: Timestamp) -> Fallback {
        match self.expires {
            Some(at) if at <= now => Fallback::Expired { at },
            until => Fallback::Kept { until },
        }
    }
}

/// A jitter is not to eat up a short life.
fn most_jitter(life_seconds: i64) -> Duration {
    Duration::from_secs(u64::try_from(life_seconds / 10).unwrap_or_default())
}

/// What is left when an exchange has failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fallback {
    /// The last good credentials.
    Kept {
        /// When they end.
        until: Option<Timestamp>,
    },
    /// Credentials that are over.
    Expired {
        /// Since when.
        at: Timestamp,
    },
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + seconds).unwrap()
    }

    fn lifetime(seconds: Option<i64>) -> Lifetime {
        Lifetime { issued: at(0), expires: seconds.map(at) }
    }

    #[test]
    fn renewal_is_due_in_the_last_fifth() {
        let table = [
            (Some(3600), 0, 0, false),
            (Some(3600), 0, 2880, false),
            (Some(3600), 0, 2881, true),
            (Some(3600), 9, 2871, false),
            (Some(3600), 9, 2872, true),
            (Some(3600), 0, 9999, true),
            (Some(3600), 0, -1, true),
            // A day is enough for any.
            (Some(7 * 86_400), 0, 86_400, false),
            (Some(7 * 86_400), 0, 86_401, true),
            // Five minutes are assumed.
            (None, 0, 240, false),
            (None, 0, 241, true),
            // Of a minute, six seconds of jitter at most.
            (Some(60), 9, 42, false),
            (Some(60), 9, 43, true),
        ];
        for (life, jitter, now, expected) in table {
            let found = lifetime(life).is_due(Duration::from_secs(jitter), at(now));
            assert_eq!(found, expected, "{life:?} {jitter} {now}");
        }
    }

    #[test]
    fn what_is_good_is_kept_and_what_is_over_is_said_to_be() {
        let table = [
            (Some(60), 0, Fallback::Kept { until: Some(at(60)) }),
            (Some(60), 59, Fallback::Kept { until: Some(at(60)) }),
            (Some(60), 60, Fallback::Expired { at: at(60) }),
            (None, 1_000_000, Fallback::Kept { until: None }),
        ];
        for (life, now, expected) in table {
            assert_eq!(lifetime(life).after_failure(at(now)), expected, "{life:?} {now}");
        }
    }

    proptest! {
        #[test]
        fn whatever_is_over_is_due_and_what_has_just_begun_is_not(life in 1_i64..200_000, jitter in 0_u64..10) {
            let lifetime = lifetime(Some(life));
            prop_assert!(lifetime.is_due(Duration::from_secs(jitter), at(life)));
            prop_assert!(!lifetime.is_due(Duration::from_secs(jitter), at(0)));
        }
    }
}
