//! What a watcher is told.

use std::fmt;
use std::sync::Arc;

use crate::{Entry, Revision};

/// Whether something is there after the event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventKind {
    /// Created, or changed: [`Event::previous`] tells which.
    Put,
    /// Deleted.
    Delete,
}

/// One write.
pub struct Event<I> {
    /// Put or delete.
    pub kind: EventKind,
    /// The object after a put; for a deletion its last state, with the deletion's revision in it.
    pub entry: Arc<Entry<I>>,
    /// The object before, if there was one. A watcher with a selector learns from it what has entered and what has left.
    pub previous: Option<Arc<Entry<I>>>,
    /// The revision of the write.
    pub revision: Revision,
}

impl<I> Event<I> {
    /// What the event takes in memory, roughly, in bytes, as if nothing else held its entries.
    pub(crate) fn cost(&self) -> usize {
        size_of::<Self>() + self.entry.cost() + self.previous.as_ref().map_or(0, |entry| entry.cost())
    }
}

impl<I> fmt::Debug for Event<I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Event").field("kind", &self.kind).field("entry", &self.entry).finish_non_exhaustive()
    }
}
