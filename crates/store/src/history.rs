//! The last events of one collection.

use std::collections::VecDeque;
use std::num::NonZeroUsize;
use std::sync::Arc;

use crate::{Compacted, Event, Revision};

/// How much history a collection keeps. Whichever limit is reached first counts; the newest event is always kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HistoryLimits {
    /// At most this many events.
    pub events: NonZeroUsize,
    /// At most about this many bytes of keys and values.
    pub bytes: usize,
}

impl Default for HistoryLimits {
    /// 10,000 events, 32 MiB.
    fn default() -> Self {
        Self { events: NonZeroUsize::new(10_000).expect("not zero"), bytes: 32 << 20 }
    }
}

/// A ring of events with a number for each place in it, so that a cursor is one integer.
pub(crate) struct History<I> {
    limits: HistoryLimits,
    events: VecDeque<Arc<Event<I>>>,
    bytes: usize,
    /// The cursor of the oldest event in the ring.
    first: u64,
    /// The revision of the newest event that has left the ring: states before it can no longer be told.
    floor: Revision,
}

impl<I> History<I> {
    /// An empty history; of what was before `floor` nothing can be told.
    pub(crate) fn new(limits: HistoryLimits, floor: Revision) -> Self {
        Self { limits, events: VecDeque::new(), bytes: 0, first: 0, floor }
    }

    pub(crate) fn push(&mut self, event: Arc<Event<I>>) {
        self.bytes += event.cost();
        self.events.push_back(event);
        while self.events.len() > self.limits.events.get()
            || (self.bytes > self.limits.bytes && self.events.len() > 1)
        {
            let oldest = self.events.pop_front().expect("the loop's condition needs an event");
            self.bytes -= oldest.cost();
            self.first += 1;
            self.floor = oldest.revision;
        }
    }

    /// Forgets everything: of what was before `floor` nothing can be told, and every cursor there is has been passed.
    pub(crate) fn reset(&mut self, floor: Revision) {
        self.first = self.end() + 1;
        self.events.clear();
        self.bytes = 0;
        self.floor = floor;
    }

    /// The events of one revision, if they are still there.
    pub(crate) fn at(&self, revision: Revision) -> impl Iterator<Item = &Arc<Event<I>>> {
        let start = self.events.partition_point(|event| event.revision < revision);
        self.events.range(start..).take_while(move |event| event.revision == revision)
    }

    /// The cursor behind the newest event.
    pub(crate) fn end(&self) -> u64 {
        self.first + self.events.len() as u64
    }

    /// The cursor of the first event after `revision`.
    pub(crate) fn after(&self, revision: Revision) -> Result<u64, Compacted> {
        if revision < self.floor {
            return Err(Compacted { wanted: revision, oldest: self.floor });
        }
        Ok(self.first + self.events.partition_point(|event| event.revision <= revision) as u64)
    }

    /// The events from `cursor` on, oldest first; `seen` is the revision that the cursor's owner has got to.
    pub(crate) fn from(
        &self,
        cursor: u64,
        seen: Revision,
    ) -> Result<impl DoubleEndedIterator<Item = &Arc<Event<I>>>, Compacted> {
        let skip = cursor.checked_sub(self.first).ok_or(Compacted { wanted: seen, oldest: self.floor })?;
        let skip = usize::try_from(skip).unwrap_or(usize::MAX).min(self.events.len());
        Ok(self.events.range(skip..))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Entry, EventKind, Key, Unstamped};

    fn event(revision: u64, bytes: usize) -> Arc<Event<()>> {
        let revision = Revision::new(revision);
        let key = Key::new("pods", None, "a").unwrap();
        let value = Unstamped::new(vec![b'x'; bytes], 0);
        let entry = Arc::new(Entry::new(key, value, (), revision, None));
        Arc::new(Event { kind: EventKind::Put, entry, previous: None, revision })
    }

    fn filled(events: usize, bytes: usize, each: usize) -> History<()> {
        let limits = HistoryLimits { events: NonZeroUsize::new(events).unwrap(), bytes };
        let mut history = History::new(limits, Revision::default());
        // The revisions between were in another collection.
        for revision in [2, 4, 6, 8, 9] {
            history.push(event(revision, each));
        }
        history
    }

    fn revisions(history: &History<()>, cursor: u64) -> Result<Vec<u64>, Compacted> {
        let events = history.from(cursor, Revision::new(1))?;
        Ok(events.map(|event| event.revision.get()).collect())
    }

    #[test]
    fn keeps_no_more_than_either_limit_but_always_the_newest() {
        let cost = event(2, 1000).cost();
        for (events, bytes, kept) in [
            (5, usize::MAX, vec![2, 4, 6, 8, 9]),
            (2, usize::MAX, vec![8, 9]),
            (1, usize::MAX, vec![9]),
            (5, 3 * cost, vec![6, 8, 9]),
            (5, 3 * cost - 1, vec![8, 9]),
            (5, 0, vec![9]),
        ] {
            let history = filled(events, bytes, 1000);
            let first = 5 - kept.len() as u64;
            let sizes: usize = history.events.iter().map(|event| event.cost()).sum();
            assert_eq!(history.bytes, sizes);
            assert_eq!(revisions(&history, first), Ok(kept), "{events} events, {bytes} bytes");
            assert_eq!(history.end(), 5);
            if first > 0 {
                let floor = Revision::new(first * 2);
                let wanted = Revision::new(1);
                assert_eq!(revisions(&history, first - 1), Err(Compacted { wanted, oldest: floor }));
            }
        }
    }

    #[test]
    fn a_reset_history_tells_every_cursor_that_it_has_been_passed() {
        let mut history = filled(5, usize::MAX, 1);
        let end = history.end();
        assert_eq!(history.at(Revision::new(6)).count(), 1);
        history.reset(Revision::new(20));
        assert_eq!(history.at(Revision::new(6)).count(), 0);
        for cursor in 0..=end {
            let wanted = Revision::new(1);
            assert_eq!(revisions(&history, cursor), Err(Compacted { wanted, oldest: Revision::new(20) }));
        }
        assert!(history.after(Revision::new(19)).is_err());
        assert_eq!(history.after(Revision::new(20)), Ok(history.end()));
        history.push(event(21, 1));
        assert_eq!(revisions(&history, end + 1), Ok(vec![21]));
    }

    #[test]
    fn finds_the_first_event_after_a_revision_of_any_collection() {
        let history = filled(3, usize::MAX, 1);
        for (revision, cursor) in
            [(4, Some(2)), (5, Some(2)), (6, Some(3)), (8, Some(4)), (9, Some(5)), (10, Some(5))]
        {
            assert_eq!(history.after(Revision::new(revision)).ok(), cursor, "after {revision}");
        }
        let wanted = Revision::new(3);
        assert_eq!(history.after(wanted), Err(Compacted { wanted, oldest: Revision::new(4) }));
    }
}
