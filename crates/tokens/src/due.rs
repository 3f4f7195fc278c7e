//! When a token is due for a refresh: the kubelet's token manager, as pure functions of values.
//!
//! Upstream: `pkg/kubelet/token/token_manager.go`, `requiresRefresh`.

use std::time::Duration;

use jiff::Timestamp;

/// The jitter of each check is drawn anew from zero up to this (exclusive).
///
/// Shown at [`refresh_due`].
pub const MAX_JITTER: Duration = Duration::from_secs(10);

/// The age at which any token is refreshed, however long it lives.
///
/// ```
/// use std::time::Duration;
/// use tokenward_tokens::due::{MAX_AGE, TokenLifetime, refresh_due};
///
/// // A token of a month, of which a fifth is far away.
/// let lifetime = TokenLifetime { expires: "2026-07-01T00:00:00Z".parse()?, ttl_seconds: Some(30 * 86_400) };
/// let issued: jiff::Timestamp = "2026-06-01T00:00:00Z".parse()?;
/// assert!(!refresh_due(&lifetime, Duration::ZERO, issued + MAX_AGE));
/// assert!(refresh_due(&lifetime, Duration::ZERO, issued + MAX_AGE + Duration::from_secs(1)));
/// # Ok::<(), jiff::Error>(())
/// ```
pub const MAX_AGE: Duration = Duration::from_secs(24 * 60 * 60);

/// What the API server granted: the times of one token, as its response says them.
///
/// ```
/// use std::time::Duration;
/// use tokenward_tokens::due::TokenLifetime;
///
/// let lifetime = TokenLifetime { expires: "2026-06-01T12:10:00Z".parse()?, ttl_seconds: Some(600) };
/// let now = "2026-06-01T12:02:00Z".parse()?;
/// assert_eq!(lifetime.age(now), Duration::from_secs(120));
/// assert_eq!(lifetime.left(now), Duration::from_secs(480));
/// # Ok::<(), jiff::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TokenLifetime {
    /// `status.expirationTimestamp`.
    pub expires: Timestamp,
    /// `spec.expirationSeconds` of the **returned** object: the time between issue and expiry. Without it a token is
    /// never refreshed.
    pub ttl_seconds: Option<i64>,
}

impl TokenLifetime {
    /// How long ago the token was issued; zero when that is not known, or lies ahead.
    ///
    /// Shown at [`TokenLifetime`].
    pub fn age(&self, now: Timestamp) -> Duration {
        let age = self.ttl_seconds.map(|ttl| now.duration_since(self.expires).as_secs().saturating_add(ttl));
        Duration::from_secs(age.and_then(|age| u64::try_from(age).ok()).unwrap_or(0))
    }

    /// How long it has to live; zero once it is over.
    ///
    /// Shown at [`TokenLifetime`].
    pub fn left(&self, now: Timestamp) -> Duration {
        Duration::try_from(self.expires.duration_since(now)).unwrap_or(Duration::ZERO)
    }
}

const NANOSECONDS: i128 = 1_000_000_000;

/// The three moments that rule a refresh, in nanoseconds since the epoch. Wider than any timestamp: a hostile ttl
/// cannot overflow them.
struct Moments {
    issued: i128,
    too_old: i128,
    nearly_over: i128,
}

fn moments(lifetime: &TokenLifetime, jitter: Duration) -> Option<Moments> {
    let ttl = i128::from(lifetime.ttl_seconds?);
    let expires = lifetime.expires.as_nanosecond();
    let issued = expires - ttl * NANOSECONDS;
    let jitter = i128::from(jitter.as_secs()) * NANOSECONDS;
    Some(Moments {
        issued,
        too_old: issued + i128::from(MAX_AGE.as_secs()) * NANOSECONDS - jitter,
        nearly_over: expires - ttl * 20 / 100 * NANOSECONDS - jitter,
    })
}

/// Whether the token should be fetched again: older than a day, in the last fifth of its life, or from the future
/// (the clock went backwards). The first two come earlier by the jitter, of which only whole seconds count.
///
/// ```
/// use std::time::Duration;
/// use tokenward_tokens::due::{MAX_JITTER, TokenLifetime, refresh_due};
///
/// let lifetime = TokenLifetime { expires: "2026-06-01T12:10:00Z".parse()?, ttl_seconds: Some(600) };
/// // A fifth of ten minutes is left at 12:08; with all the jitter there is, ten seconds earlier.
/// let nearly = "2026-06-01T12:07:55Z".parse()?;
/// assert!(!refresh_due(&lifetime, Duration::ZERO, nearly));
/// assert!(refresh_due(&lifetime, MAX_JITTER, nearly));
/// # Ok::<(), jiff::Error>(())
/// ```
pub fn refresh_due(lifetime: &TokenLifetime, jitter: Duration, now: Timestamp) -> bool {
    let now = now.as_nanosecond();
    moments(lifetime, jitter)
        .is_some_and(|moments| now > moments.too_old || now > moments.nearly_over || now < moments.issued)
}

/// The last moment at which [`refresh_due`] is still surely false for this jitter, given that the token is not from
/// the future: a planner that wakes right after it misses nothing. `None` when it is never due.
///
/// ```
/// use std::time::Duration;
/// use tokenward_tokens::due::{TokenLifetime, earliest_refresh};
///
/// let lifetime = TokenLifetime { expires: "2026-06-01T12:10:00Z".parse()?, ttl_seconds: Some(600) };
/// assert_eq!(earliest_refresh(&lifetime, Duration::ZERO), Some("2026-06-01T12:08:00Z".parse()?));
/// assert_eq!(earliest_refresh(&TokenLifetime { ttl_seconds: None, ..lifetime }, Duration::ZERO), None);
/// # Ok::<(), jiff::Error>(())
/// ```
pub fn earliest_refresh(lifetime: &TokenLifetime, jitter: Duration) -> Option<Timestamp> {
    let moments = moments(lifetime, jitter)?;
    let earliest = moments.too_old.min(moments.nearly_over);
    let earliest = earliest.clamp(Timestamp::MIN.as_nanosecond(), Timestamp::MAX.as_nanosecond());
    Some(Timestamp::from_nanosecond(earliest).expect("clamped to what a timestamp can hold"))
}

/// Over how much of a token's life its planned refresh is spread.
///
/// Shown at [`planned_refresh`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Spread {
    /// From a tenth of the way to the need of it up to the need: for a token that was probably fetched together with
    /// many others, as the first of a pod, or after trouble. One such refresh, and they are evenly spread.
    Wide,
    /// The last twentieth of the way: for those that follow. What is evenly spread stays so.
    Narrow,
}

/// When to refresh a token ahead of need, in the background: before [`refresh_due`] is true for any jitter. `fraction`
/// (0 to 1) chooses the place within the spread. `None` when the token is never due.
///
/// Upstream has no such thing: it refreshes where a republish finds a token due. All nodes that started together then
/// ask together for as long as they live.
///
/// ```
/// use tokenward_tokens::due::{Spread, TokenLifetime, planned_refresh};
///
/// let lifetime = TokenLifetime { expires: "2026-06-01T12:10:00Z".parse()?, ttl_seconds: Some(600) };
/// // The need of it is at 12:07:50, after 470 s.
/// let first = planned_refresh(&lifetime, Spread::Wide, 0.5);
/// assert_eq!(first, Some("2026-06-01T12:04:18.5Z".parse()?));
/// let later = planned_refresh(&lifetime, Spread::Narrow, 0.5);
/// assert_eq!(later, Some("2026-06-01T12:07:38.25Z".parse()?));
/// # Ok::<(), jiff::Error>(())
/// ```
pub fn planned_refresh(lifetime: &TokenLifetime, spread: Spread, fraction: f64) -> Option<Timestamp> {
    let issued = moments(lifetime, Duration::ZERO)?.issued;
    let need = earliest_refresh(lifetime, MAX_JITTER)?;
    let way = (need.as_nanosecond() - issued).max(0);
    let window = match spread {
        Spread::Wide => way / 10 * 9,
        Spread::Narrow => way / 20,
    };
    let ahead = (window as f64 * (1.0 - fraction.clamp(0.0, 1.0))) as i128;
    let planned = (need.as_nanosecond() - ahead).max(Timestamp::MIN.as_nanosecond());
    Some(Timestamp::from_nanosecond(planned).expect("no later than a timestamp, and cut at the first"))
}

/// Whether a token that ends at `expires` is over: strictly after it.
///
/// ```
/// use tokenward_tokens::due::expired;
///
/// let expires = "2026-06-01T12:00:00Z".parse()?;
/// assert!(!expired(expires, expires));
/// assert!(expired(expires, "2026-06-01T12:00:01Z".parse()?));
/// # Ok::<(), jiff::Error>(())
/// ```
pub fn expired(expires: Timestamp, now: Timestamp) -> bool {
    now > expires
}

#[cfg(test)]
mod tests;
