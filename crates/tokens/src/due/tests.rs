use proptest::prelude::*;

use super::*;

const ISSUED: i64 = 1_800_000_000;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(ISSUED + seconds).unwrap()
}

fn lifetime(ttl: i64) -> TokenLifetime {
    TokenLifetime { expires: at(ttl), ttl_seconds: Some(ttl) }
}

#[test]
fn each_condition_holds_strictly_after_its_moment() {
    let day = 24 * 3600;
    // (ttl, jitter in milliseconds, seconds since issue, due)
    for (ttl, jitter, now, due) in [
        // The last fifth of the life.
        (600, 0, 480, false),
        (600, 0, 481, true),
        (3600, 0, 2880, false),
        (3600, 0, 2881, true),
        // A fifth in whole seconds: 604 * 20 / 100 is 120.
        (604, 0, 484, false),
        (604, 0, 485, true),
        // Older than a day.
        (10 * day, 0, day, false),
        (10 * day, 0, day + 1, true),
        // From the future.
        (3600, 0, 0, false),
        (3600, 0, -1, true),
        // Jitter comes earlier, in whole seconds.
        (3600, 9000, 2871, false),
        (3600, 9000, 2872, true),
        (3600, 9999, 2871, false),
        (3600, 9999, 2872, true),
        (3600, 999, 2880, false),
        (10 * day, 5000, day - 5, false),
        (10 * day, 5000, day - 4, true),
        // Over.
        (600, 0, 601, true),
    ] {
        let jitter = Duration::from_millis(jitter);
        assert_eq!(
            refresh_due(&lifetime(ttl), jitter, at(now)),
            due,
            "ttl {ttl} jitter {jitter:?} now {now}"
        );
    }
}

#[test]
fn fractions_of_a_second_count() {
    let now = at(480) + Duration::from_nanos(1);
    assert!(refresh_due(&lifetime(600), Duration::ZERO, now));
}

#[test]
fn a_token_has_an_age_and_a_rest() {
    let seconds = |(age, left): (Duration, Duration)| (age.as_secs(), left.as_secs());
    let of = |lifetime: TokenLifetime, now| seconds((lifetime.age(at(now)), lifetime.left(at(now))));
    assert_eq!(of(lifetime(600), 100), (100, 500));
    assert_eq!(of(lifetime(600), 700), (700, 0));
    assert_eq!(of(lifetime(600), -100), (0, 700));
    assert_eq!(of(TokenLifetime { expires: at(600), ttl_seconds: None }, 100), (0, 500));
}

#[test]
fn without_a_ttl_never() {
    let lifetime = TokenLifetime { expires: at(0), ttl_seconds: None };
    assert!(!refresh_due(&lifetime, MAX_JITTER, Timestamp::MAX));
    assert!(!refresh_due(&lifetime, MAX_JITTER, Timestamp::MIN));
    assert_eq!(earliest_refresh(&lifetime, MAX_JITTER), None);
}

#[test]
fn expiry_is_strict() {
    assert!(!expired(at(0), at(0)));
    assert!(expired(at(0), at(0) + Duration::from_nanos(1)));
}

#[test]
fn the_earliest_moment_is_what_comes_first() {
    let day = 24 * 3600;
    assert_eq!(earliest_refresh(&lifetime(3600), Duration::ZERO), Some(at(2880)));
    assert_eq!(earliest_refresh(&lifetime(3600), Duration::from_millis(9999)), Some(at(2871)));
    assert_eq!(earliest_refresh(&lifetime(10 * day), Duration::ZERO), Some(at(day)));
}

#[test]
fn a_planned_refresh_comes_ahead_of_need_and_is_spread() {
    for (ttl, spread, fraction, seconds) in [
        // Needed from 480 on, and with the most jitter from 470 on.
        (600, Spread::Narrow, 1.0, 470.0),
        (600, Spread::Narrow, 0.0, 446.5),
        (600, Spread::Wide, 1.0, 470.0),
        (600, Spread::Wide, 0.0, 47.0),
        (3600, Spread::Narrow, 0.5, 2798.25),
        (3600, Spread::Wide, 0.5, 1578.5),
        // Needed at once: a life shorter than the jitter.
        (10, Spread::Wide, 0.3, -2.0),
    ] {
        let planned = planned_refresh(&lifetime(ttl), spread, fraction).unwrap();
        let since = planned.duration_since(at(0)).as_secs_f64();
        assert!((since - seconds).abs() < 1e-6, "ttl {ttl} {spread:?} {fraction}: {since}, wanted {seconds}");
    }
    let endless = TokenLifetime { expires: at(0), ttl_seconds: None };
    assert_eq!(planned_refresh(&endless, Spread::Wide, 0.5), None);
}

proptest! {
    #[test]
    fn a_planned_refresh_is_never_late(ttl in -(1i64 << 37)..1 << 37, wide: bool, fraction in -1.0f64..2.0, jitter in 0u64..10_000) {
        let lifetime = lifetime(ttl);
        let spread = if wide { Spread::Wide } else { Spread::Narrow };
        let planned = planned_refresh(&lifetime, spread, fraction).unwrap();
        prop_assert!(planned <= earliest_refresh(&lifetime, Duration::from_millis(jitter)).unwrap());
    }

    #[test]
    fn the_earliest_moment_is_exact(ttl in 0i64..1 << 33, jitter in 0u64..10_000, past in 1i64..1 << 33) {
        let jitter = Duration::from_millis(jitter);
        let lifetime = lifetime(ttl);
        let earliest = earliest_refresh(&lifetime, jitter).unwrap();
        if earliest >= at(0) {
            prop_assert!(!refresh_due(&lifetime, jitter, earliest));
        }
        prop_assert!(refresh_due(&lifetime, jitter, earliest + Duration::from_nanos(1)));
        prop_assert!(refresh_due(&lifetime, jitter, earliest + jiff::SignedDuration::from_secs(past)));
    }

    #[test]
    fn nothing_overflows(ttl: i64, expires in -377_705_023_201i64..253_402_207_200, jitter: u64, now in -377_705_023_201i64..253_402_207_200) {
        let lifetime = TokenLifetime { expires: Timestamp::from_second(expires).unwrap(), ttl_seconds: Some(ttl) };
        let now = Timestamp::from_second(now).unwrap();
        let _ = refresh_due(&lifetime, Duration::from_secs(jitter), now);
        prop_assert!(earliest_refresh(&lifetime, Duration::from_secs(jitter)).is_some());
    }
}
