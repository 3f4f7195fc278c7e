//! One operation at a time for a volume, or whatever else a call works on; volumes never wait for each other.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{Mutex as SubjectMutex, OwnedMutexGuard};

/// What a call works on, and no other call does at the same time.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Subject {
    /// A volume, by its id.
    Volume(String),
    /// A snapshot, by its id.
    Snapshot(String),
    /// Something that is to be made and has no id yet, by its kind and the name that its maker gave.
    Named(&'static str, String),
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Volume(id) => write!(f, "volume `{id}`"),
            Self::Snapshot(id) => write!(f, "snapshot `{id}`"),
            Self::Named(kind, name) => write!(f, "the {kind} named `{name}`"),
        }
    }
}

/// The locks of all subjects that have an operation now.
#[derive(Clone, Debug, Default)]
pub(crate) struct Locks(Arc<Mutex<HashMap<Subject, Arc<SubjectMutex<()>>>>>);

/// A subject that is locked, or waited for; let go of when dropped.
#[derive(Debug)]
pub(crate) struct Held {
    locks: Locks,
    subject: Subject,
    lock: Option<Arc<SubjectMutex<()>>>,
    guard: Option<OwnedMutexGuard<()>>,
}

impl Locks {
    /// Waits for the subject for at most `limit`; `None` when another operation holds it for longer.
    pub(crate) async fn hold(&self, subject: &Subject, limit: Duration) -> Option<Held> {
        let lock = Arc::clone(self.0.lock().entry(subject.clone()).or_default());
        let mut held = Held {
            locks: self.clone(),
            subject: subject.clone(),
            lock: Some(Arc::clone(&lock)),
            guard: None,
        };
        held.guard = Some(tokio::time::timeout(limit, lock.lock_owned()).await.ok()?);
        Some(held)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        drop(self.guard.take());
        drop(self.lock.take());
        let mut locks = self.locks.0.lock();
        if locks.get(&self.subject).is_some_and(|lock| Arc::strong_count(lock) == 1) {
            locks.remove(&self.subject);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_millis(10);

    #[tokio::test]
    async fn a_volume_is_held_once_and_forgotten_afterwards() {
        let locks = Locks::default();
        let [a, b] = ["a", "b"].map(|id| Subject::Volume(id.to_owned()));
        let first = locks.hold(&a, LIMIT).await.unwrap();
        let other = locks.hold(&b, LIMIT).await.unwrap();
        assert!(locks.hold(&a, LIMIT).await.is_none());
        assert!(locks.hold(&Subject::Snapshot("a".to_owned()), LIMIT).await.is_some());

        let waiting = tokio::spawn({
            let locks = locks.clone();
            async move { locks.hold(&a, Duration::from_secs(60)).await.is_some() }
        });
        tokio::task::yield_now().await;
        drop(first);
        assert!(waiting.await.unwrap());

        drop(other);
        assert!(locks.0.lock().is_empty());
    }
}
