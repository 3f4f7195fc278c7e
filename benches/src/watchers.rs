//! Watchers: many readers of one collection's changes, which check that each gets every change, once and in order.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::{Buf as _, Bytes, BytesMut};
use http::{Method, StatusCode};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use tokio::sync::Notify;
use tokio::task::JoinSet;

use crate::Failure;
use crate::client::Connection;

/// What stands before the number that tells events apart.
const REVISION: &[u8] = br#""resourceVersion":""#;

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

impl Watchers {
    /// Starts `count` watches of `path`, spread over the connections, and waits until the server has answered each.
    ///
    /// # Errors
    /// When one is refused.
    pub async fn start(connections: &[Connection], path: &str, count: usize) -> Result<Self, Failure> {
        let mut readers = JoinSet::new();
        let progress = Arc::new(Progress::default());
        for number in 0..count {
            let mut connection = connections[number % connections.len()].clone();
            let response = connection.send(Method::GET, path, Bytes::new()).await?;
            if response.status() != StatusCode::OK {
                return Err(format!("wanted a watch, found {}", response.status()).into());
            }
            readers.spawn(read(response.into_body(), Arc::clone(&progress)));
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

/// Reads until something is wrong, and gives that.
async fn read(mut body: Incoming, progress: Arc<Progress>) -> Failure {
    let mut lines = Lines::default();
    loop {
        let piece = match body.frame().await {
            Some(Ok(frame)) => frame.into_data(),
            Some(Err(error)) => return error.into(),
            None => return "a watch ended".into(),
        };
        let Ok(piece) = piece else { continue };
        match lines.take(piece) {
            Ok(events) => {
                let delivered = progress.delivered.fetch_add(events, Ordering::SeqCst) + events;
                if delivered >= progress.wanted.load(Ordering::SeqCst) {
                    progress.all.notify_one();
                }
            }
            Err(error) => return error,
        }
    }
}

/// The events of one watch, as they come in pieces of any size.
#[derive(Default)]
struct Lines {
    /// The start of a line whose end has not come.
    begun: BytesMut,
    newest: u64,
}

impl Lines {
    /// How many events have ended with this piece.
    fn take(&mut self, mut piece: Bytes) -> Result<u64, Failure> {
        let mut events = 0;
        while let Some(end) = piece.iter().position(|byte| *byte == b'\n') {
            if self.begun.is_empty() {
                self.event(&piece[..end])?;
            } else {
                self.begun.extend_from_slice(&piece[..end]);
                let line = self.begun.split();
                self.event(&line)?;
            }
            piece.advance(end + 1);
            events += 1;
        }
        self.begun.extend_from_slice(&piece);
        Ok(events)
    }

    fn event(&mut self, line: &[u8]) -> Result<(), Failure> {
        let start = line.windows(REVISION.len()).position(|bytes| bytes == REVISION);
        let digits = start.map(|start| &line[start + REVISION.len()..]).unwrap_or_default();
        let length = digits.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let revision: u64 = std::str::from_utf8(&digits[..length])?
            .parse()
            .map_err(|_| "wanted an event with a resource version, found another")?;
        if revision <= self.newest {
            return Err(format!("an event of revision {revision} came after that of {}", self.newest).into());
        }
        self.newest = revision;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(revision: u64) -> String {
        format!(
            "{{\"type\":\"MODIFIED\",\"object\":{{\"metadata\":{{\"resourceVersion\":\"{revision}\"}}}}}}\n"
        )
    }

    #[test]
    fn events_are_counted_whatever_the_pieces() {
        let text = [line(2), line(10), line(11)].concat();
        for size in [1, 7, 40, text.len()] {
            let mut lines = Lines::default();
            let pieces = text.as_bytes().chunks(size);
            let events: u64 = pieces.map(|piece| lines.take(Bytes::copy_from_slice(piece)).unwrap()).sum();
            assert_eq!((events, lines.newest), (3, 11), "pieces of {size}");
        }
    }

    #[test]
    fn repeats_and_steps_back_are_found() {
        for (first, second) in [(3, 3), (3, 2)] {
            let text = [line(first), line(second)].concat();
            assert!(Lines::default().take(text.into()).is_err());
        }
        assert!(Lines::default().take(Bytes::from_static(b"{}\n")).is_err());
    }
}
