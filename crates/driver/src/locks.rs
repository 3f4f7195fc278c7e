//! One operation at a time for a volume; volumes never wait for each other.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{Mutex as VolumeMutex, OwnedMutexGuard};

/// The locks of all volumes that have an operation now.
#[derive(Clone, Debug, Default)]
pub(crate) struct VolumeLocks(Arc<Mutex<HashMap<String, Arc<VolumeMutex<()>>>>>);

/// A volume that is locked, or waited for; let go of when dropped.
#[derive(Debug)]
pub(crate) struct Held {
    locks: VolumeLocks,
    volume_id: String,
    lock: Option<Arc<VolumeMutex<()>>>,
    guard: Option<OwnedMutexGuard<()>>,
}

impl VolumeLocks {
    /// Waits for the volume for at most `limit`; `None` when another operation holds it for longer.
    pub(crate) async fn hold(&self, volume_id: &str, limit: Duration) -> Option<Held> {
        let lock = Arc::clone(self.0.lock().entry(volume_id.to_owned()).or_default());
        let mut held = Held {
            locks: self.clone(),
            volume_id: volume_id.to_owned(),
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
        if locks.get(&self.volume_id).is_some_and(|lock| Arc::strong_count(lock) == 1) {
            locks.remove(&self.volume_id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_millis(10);

    #[tokio::test]
    async fn a_volume_is_held_once_and_forgotten_afterwards() {
        let locks = VolumeLocks::default();
        let first = locks.hold("a", LIMIT).await.unwrap();
        let other = locks.hold("b", LIMIT).await.unwrap();
        assert!(locks.hold("a", LIMIT).await.is_none());

        let waiting = tokio::spawn({
            let locks = locks.clone();
            async move { locks.hold("a", Duration::from_secs(60)).await.is_some() }
        });
        tokio::task::yield_now().await;
        drop(first);
        assert!(waiting.await.unwrap());

        drop(other);
        assert!(locks.0.lock().is_empty());
    }
}
