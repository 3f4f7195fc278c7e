//! Keys that were fetched, and when to fetch them again: functions of values, with the time handed in.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use tokenward_issuer::VerifyingKey;

/// How long keys are kept, and how often they may be asked for.
///
/// Shown at [`Issuer`](super::Issuer).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CachePolicy {
    /// After this they are fetched again at the next use; an hour by default.
    pub max_age: SignedDuration,
    /// They are used for this long in all when they cannot be fetched again; a day by default.
    pub max_stale: SignedDuration,
    /// Between two fetches there is at least this, whatever key ids tokens name; ten seconds by default.
    pub min_interval: SignedDuration,
}

impl Default for CachePolicy {
    fn default() -> Self {
        Self {
            max_age: SignedDuration::from_hours(1),
            max_stale: SignedDuration::from_hours(24),
            min_interval: SignedDuration::from_secs(10),
        }
    }
}

/// Keys that may have signed a token.
pub(super) type Keys = Vec<Arc<VerifyingKey>>;

/// The keys of an issuer by their ids.
pub(super) type KeysById = BTreeMap<String, Arc<VerifyingKey>>;

/// What was fetched last, and when somebody tried.
#[derive(Default)]
pub(super) struct Cache {
    keys: KeysById,
    fetched: Option<Timestamp>,
    tried: Option<Timestamp>,
}

/// What the cache has.
#[derive(Debug)]
pub(super) enum Found {
    /// These keys.
    Keys(Keys),
    /// Nothing that will do; it is time to fetch.
    Fetch,
    /// The issuer has no such key, and was asked a moment ago.
    Unknown,
    /// Nothing at all, and the issuer was asked a moment ago.
    None,
}

impl Cache {
    pub(super) fn replace(&mut self, keys: KeysById, now: Timestamp) {
        *self = Self { keys, fetched: Some(now), tried: Some(now) };
    }

    pub(super) fn failed(&mut self, now: Timestamp) {
        self.tried = Some(now);
    }

    /// The keys for a token that names `kid`, or the reason to fetch.
    pub(super) fn find(&self, kid: Option<&str>, policy: &CachePolicy, now: Timestamp) -> Found {
        let keys = self.of(kid);
        let is_fresh = self.is_within(policy.max_age, now);
        if is_fresh && !keys.is_empty() {
            return Found::Keys(keys);
        }
        // A clock that went back must not stop fetches until it is where it was.
        let may_fetch =
            self.tried.is_none_or(|tried| now < tried || now.duration_since(tried) >= policy.min_interval);
        if may_fetch { Found::Fetch } else { self.after_fetch(kid, policy, now) }
    }

    /// The same when a fetch has just been tried: old keys are better than none, for a while.
    pub(super) fn after_fetch(&self, kid: Option<&str>, policy: &CachePolicy, now: Timestamp) -> Found {
        if !self.is_within(policy.max_stale, now) {
            return Found::None;
        }
        match self.of(kid) {
            keys if keys.is_empty() => Found::Unknown,
            keys => Found::Keys(keys),
        }
    }

    fn is_within(&self, age: SignedDuration, now: Timestamp) -> bool {
        self.fetched.is_some_and(|fetched| fetched <= now && now.duration_since(fetched) < age)
    }

    fn of(&self, kid: Option<&str>) -> Keys {
        match kid {
            Some(kid) => self.keys.get(kid).into_iter().cloned().collect(),
            None => self.keys.values().cloned().collect(),
        }
    }
}

impl fmt::Debug for Cache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Cache({} keys, fetched {:?})", self.keys.len(), self.fetched)
    }
}

#[cfg(test)]
mod tests {
    use tokenward_issuer::{Algorithm, SigningKey};

    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + seconds).unwrap()
    }

    fn keys(ids: &[&str]) -> KeysById {
        let key = || Arc::clone(SigningKey::generate(Algorithm::Es256).unwrap().verifying_key());
        ids.iter().map(|id| ((*id).to_owned(), key())).collect()
    }

    fn find(cache: &Cache, kid: Option<&str>, seconds: i64) -> &'static str {
        word(&cache.find(kid, &CachePolicy::default(), at(seconds)))
    }

    fn word(found: &Found) -> &'static str {
        match found {
            Found::Keys(_) => "keys",
            Found::Fetch => "fetch",
            Found::Unknown => "unknown",
            Found::None => "none",
        }
    }

    #[test]
    fn an_empty_cache_is_filled_but_not_in_a_hurry() {
        let mut cache = Cache::default();
        assert_eq!(find(&cache, Some("a"), 0), "fetch");
        cache.failed(at(0));
        assert_eq!(find(&cache, Some("a"), 9), "none");
        assert_eq!(find(&cache, Some("a"), 10), "fetch");
        assert_eq!(find(&cache, Some("a"), -1), "fetch", "the clock went back");
    }

    #[test]
    fn unknown_keys_are_asked_for_at_a_limited_rate() {
        let mut cache = Cache::default();
        cache.replace(keys(&["a"]), at(0));
        assert_eq!(find(&cache, Some("a"), 1), "keys");
        assert_eq!(find(&cache, None, 1), "keys");
        assert_eq!(find(&cache, Some("b"), 1), "unknown");
        assert_eq!(find(&cache, Some("b"), 10), "fetch");
        cache.replace(keys(&["a", "b"]), at(10));
        assert_eq!(find(&cache, Some("b"), 10), "keys");
    }

    #[test]
    fn old_keys_are_fetched_anew_and_used_meanwhile_for_a_day() {
        let mut cache = Cache::default();
        cache.replace(keys(&["a"]), at(0));
        assert_eq!(find(&cache, Some("a"), 3599), "keys");
        assert_eq!(find(&cache, Some("a"), 3600), "fetch");
        cache.failed(at(3600));
        let after = |cache: &Cache, seconds| {
            word(&cache.after_fetch(Some("a"), &CachePolicy::default(), at(seconds)))
        };
        assert_eq!(after(&cache, 3600), "keys");
        assert_eq!(find(&cache, Some("a"), 3605), "keys", "nobody asks again at once");
        assert_eq!(find(&cache, Some("b"), 3605), "unknown");
        assert_eq!(find(&cache, Some("a"), 3610), "fetch");
        cache.failed(at(86_399));
        assert_eq!(after(&cache, 86_399), "keys");
        assert_eq!(after(&cache, 86_400), "none");
    }
}
