//! A watcher: a cursor in a collection's history.

use std::fmt;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::task::coop;

use crate::bell::Listener;
use crate::collection::Collection;
use crate::{Compacted, Event, Revision, Scope};

/// At most this many events are given at once, so that a watcher far behind does not hold the lock for long.
const BATCH_EVENTS: usize = 256;
/// And none after so many bytes, so that whoever writes a batch holds little.
const BATCH_BYTES: usize = 64 * 1024;

/// From where a watch starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// Only what is written from now on.
    Now,
    /// Everything written after this revision.
    After(Revision),
}

/// Events of a watch's scope, in the order of their revisions.
pub struct Batch<I> {
    /// One event or more.
    pub events: Vec<Arc<Event<I>>>,
    /// Everything in the scope up to this revision has now been given.
    pub upto: Revision,
}

impl<I> fmt::Debug for Batch<I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Batch").field("events", &self.events).field("upto", &self.upto.get()).finish()
    }
}

/// A reader of the writes in a scope, made by [`Store::watch`](crate::Store::watch).
///
/// It holds a cursor and no events: one that is never read costs nothing, and finds out with [`Compacted`] once history
/// has left it behind.
pub struct Watch<I> {
    collection: Arc<Collection<I>>,
    bell: Listener,
    scope: Scope,
    cursor: u64,
    /// Everything in the scope up to this revision has been given.
    seen: Revision,
    /// Whether there may be more to look at than the bell will tell of.
    is_behind: bool,
}

impl<I> Watch<I> {
    pub(crate) fn new(collection: Arc<Collection<I>>, scope: Scope, cursor: u64, seen: Revision) -> Self {
        let bell = collection.listen();
        Self { collection, bell, scope, cursor, seen, is_behind: true }
    }

    /// Waits for the next events of the scope. Can be cancelled: nothing is lost, the next call goes on from the same place.
    ///
    /// # Errors
    /// When history no longer reaches back to the watch's place: it has been read too slowly. Every later call fails too.
    pub async fn next(&mut self) -> Result<Batch<I>, Compacted> {
        poll_fn(|context| self.poll_next(context)).await
    }

    /// [`Watch::next`] for those who wait for other things too.
    ///
    /// # Errors
    /// As [`Watch::next`].
    pub fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Result<Batch<I>, Compacted>> {
        // A watcher of a busy collection may never have to wait: others on its thread have their turn too.
        let turn = ready!(coop::poll_proceed(context));
        loop {
            if !self.is_behind {
                ready!(self.bell.poll_rung(context));
                self.is_behind = true;
            }
            // Before the look, not after: a write that the look misses must ring again.
            self.bell.mark_heard();
            if let Some(batch) = self.ready().transpose() {
                turn.made_progress();
                return Poll::Ready(batch);
            }
        }
    }

    /// What [`Watch::next`] would give at once, if anything.
    ///
    /// # Errors
    /// As [`Watch::next`].
    pub fn ready(&mut self) -> Result<Option<Batch<I>>, Compacted> {
        let (state, current) = self.collection.read();
        let mut events = Vec::new();
        let mut bytes = 0;
        for event in state.history.from(self.cursor, self.seen)? {
            // Never between two events of one revision: `upto` promises all of it.
            let is_full = events.len() >= BATCH_EVENTS || bytes >= BATCH_BYTES;
            if is_full && event.revision != self.seen {
                self.is_behind = true;
                return Ok(Some(Batch { events, upto: self.seen }));
            }
            self.cursor += 1;
            self.seen = event.revision;
            if self.scope.contains_path(event.entry.key.path()) {
                bytes += event.entry.value.len();
                events.push(event.clone());
            }
        }
        self.seen = current;
        self.is_behind = false;
        Ok((!events.is_empty()).then_some(Batch { events, upto: current }))
    }

    /// The revision up to which everything in the scope has been given: what a bookmark may say now. As new as the store
    /// when the watcher has read everything, even if all recent writes were elsewhere.
    pub fn bookmark(&mut self) -> Revision {
        let (state, current) = self.collection.read();
        if let Ok(rest) = state.history.from(self.cursor, self.seen) {
            for event in rest {
                if self.scope.contains_path(event.entry.key.path()) {
                    // Another write of the same revision may have been passed: that one has not been given whole.
                    let before = Revision::new(event.revision.get().saturating_sub(1));
                    return self.seen.min(before);
                }
                self.cursor += 1;
                self.seen = event.revision;
            }
            self.seen = current;
        }
        self.seen
    }
}

impl<I> fmt::Debug for Watch<I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watch")
            .field("scope", &self.scope)
            .field("seen", &self.seen.get())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::change::Write;
    use crate::memory::Memory;
    use crate::{Entry, HistoryLimits, Key, Unstamped};

    #[test]
    fn a_bookmark_is_before_a_write_whose_other_half_has_been_passed() {
        let memory = Memory::new(Revision::new(1), Revision::default(), HistoryLimits::default(), |_, _| ());
        let put = |name: &str, revision: u64| {
            let key = Key::new("pods", None, name).expect("a key");
            let value = Unstamped::new(b"{}".to_vec(), 1);
            Write::Put(Arc::new(Entry::new(key, value, (), Revision::new(revision), None)))
        };
        let watched = Key::new("pods", None, "watched").expect("a key");
        let collection = memory.collection(watched.shared_collection());
        let mut watch = Watch::new(collection, Scope::Key(watched), 0, Revision::new(1));
        memory.apply(vec![put("other", 2), put("other", 5), put("watched", 5)]);
        for _ in 0..2 {
            assert_eq!(watch.bookmark(), Revision::new(4), "the half of revision 5 has not been told");
        }
        let batch = watch.ready().expect("all is there").expect("an event");
        assert_eq!((batch.events.len(), batch.upto), (1, Revision::new(5)));
        assert_eq!(watch.bookmark(), Revision::new(5));
    }
}
