//! Watchers: many readers of one collection's changes, which check that each gets every change, once and in order.
//!
//! The client must not be what ends a round. So it speaks HTTP/2 itself, as far as watches need it: it reads much at a
//! time, and looks at each event where it lies. What the server has to do is the same for any client.

mod connection;
mod frames;
mod lines;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rustls::ClientConfig;
use tokio::sync::Notify;
use tokio::task::JoinSet;

use self::connection::WatchConnection;
use crate::Failure;

/// Readers of one path, each with a stream of its own.
pub struct Watchers {
    /// Ends only when one of them fails.
    readers: JoinSet<Failure>,
    progress: Arc<Progress>,
    watching: u64,
}

#[derive(Default)]
struct Progress {
    delivered: AtomicU64,
    wanted: AtomicU64,
    all: Notify,
}

impl Progress {
    /// So many events have come.
    fn add(&self, events: u64) {
        let delivered = self.delivered.fetch_add(events, Ordering::SeqCst) + events;
        if delivered >= self.wanted.load(Ordering::SeqCst) {
            self.all.notify_one();
        }
    }
}

impl Watchers {
    /// Starts `count` watches of `path`, spread over `connections`, and waits until the server has answered each.
    ///
    /// # Errors
    /// When the server cannot be reached, or one is refused.
    pub async fn start(
        address: SocketAddr,
        tls: &Arc<ClientConfig>,
        connections: usize,
        path: &str,
        count: usize,
    ) -> Result<Self, Failure> {
        let mut readers = JoinSet::new();
        let progress = Arc::new(Progress::default());
        for number in 0..connections {
            let streams = (count + connections - 1 - number) / connections;
            let mut connection = WatchConnection::open(address, Arc::clone(tls), path, streams).await?;
            connection.until_answered().await?;
            let progress = Arc::clone(&progress);
            readers.spawn(async move {
                loop {
                    match connection.read().await {
                        Ok(0) => {}
                        Ok(events) => progress.add(events),
                        Err(failure) => return failure,
                    }
                }
            });
        }
        Ok(Self { readers, progress, watching: count as u64 })
    }

    /// From now on, each watcher is to get `changes` more.
    pub fn expect(&self, changes: u64) {
        self.progress.wanted.fetch_add(changes * self.watching, Ordering::SeqCst);
    }

    /// Waits until every watcher has got all that it was to get.
    ///
    /// # Errors
    /// When one gets something else, or `limit` passes first.
    pub async fn all_delivered(&mut self, limit: Duration) -> Result<(), Failure> {
        let progress = Arc::clone(&self.progress);
        let all = async {
            while progress.delivered.load(Ordering::SeqCst) < progress.wanted.load(Ordering::SeqCst) {
                progress.all.notified().await;
            }
        };
        tokio::select! {
            () = all => {}
            Some(failed) = self.readers.join_next() => return Err(failed?),
            () = tokio::time::sleep(limit) => return Err("not everything was delivered in time".into()),
        }
        let (delivered, wanted) =
            (progress.delivered.load(Ordering::SeqCst), progress.wanted.load(Ordering::SeqCst));
        if delivered == wanted {
            Ok(())
        } else {
            Err(format!("wanted {wanted} deliveries, found {delivered}").into())
        }
    }
}
