//! Answers of the API server, remembered for a while: a scrape each few seconds costs two reviews a few minutes apart.

use std::collections::HashMap;
use std::hash::Hash;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use parking_lot::Mutex;

/// Most answers kept; past this all are forgotten. A node is asked by a handful.
const MOST: usize = 1024;

/// What was answered, and until when it holds.
#[derive(Debug)]
pub(crate) struct Memory<K, V>(Mutex<HashMap<K, (V, Timestamp)>>);

impl<K, V> Default for Memory<K, V> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Eq + Hash, V: Clone> Memory<K, V> {
    /// What holds still.
    pub(crate) fn get(&self, key: &K, now: Timestamp) -> Option<V> {
        let known = self.0.lock();
        known.get(key).filter(|(_, until)| now < *until).map(|(value, _)| value.clone())
    }

    /// Remembers an answer for so long.
    pub(crate) fn put(&self, key: K, value: V, now: Timestamp, holds: Duration) {
        let holds = SignedDuration::try_from(holds).unwrap_or(SignedDuration::ZERO);
        let until = now.checked_add(holds).unwrap_or(now);
        let mut known = self.0.lock();
        if known.len() >= MOST {
            known.clear();
        }
        known.insert(key, (value, until));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_hold_for_their_time_and_are_bounded() {
        let at = |seconds: i64| Timestamp::from_second(1_800_000_000 + seconds).unwrap();
        let memory = Memory::default();
        memory.put(1, "yes", at(0), Duration::from_secs(30));
        assert_eq!(memory.get(&1, at(29)), Some("yes"));
        assert_eq!(memory.get(&1, at(30)), None);
        for key in 0..2 * MOST {
            memory.put(key, "no", at(0), Duration::from_secs(30));
        }
        assert!(memory.0.lock().len() <= MOST);
    }
}
