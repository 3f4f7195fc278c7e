//! Puts the encodings of neighbours together, in the order of a list.
//!
//! A list of a whole collection, or of a namespace, visits its objects in the order of their keys. Those that were encoded
//! one by one, as watchers need them, are copied into one block of memory then, once, and stay there: the next list finds
//! them in one piece. What has changed since tears holes into blocks. Where a block's objects no longer follow each other for
//! the greater part of it, the next list puts them into another. So objects that were listed keep no more than twice their
//! share of memory. What is past keeps none of a block: see [`Encodings::set_apart`](super::Encodings::set_apart).
//!
//! Lists of different extents agree on where things are, or each would move what the other has put: no block goes over the end of a
//! namespace, and a page of a list only takes in what has no place yet, or a bad one.

use std::mem;
use std::sync::Arc;

use tokenward_store::Entry;

use super::Stretch;
use crate::index::Index;

/// As many bytes are put together at most; only an object that is larger makes a larger block.
const BLOCK: usize = 64 * 1024;
/// A stretch that is as long stays as it is, since it is most of any block.
const LONG: usize = BLOCK / 2;

/// How much a list shows of what stands between its ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Extent {
    /// Every object of the collection or of the namespace, as they are now.
    Whole,
    /// Every object between two that depend on who asks, or of a time that is past.
    Page,
    /// What a selector has chosen.
    Selection,
}

/// The items of a list, as they are put together.
pub(crate) struct Packing {
    /// Whether objects that have a good place may get a better one.
    rearranges: bool,
    /// What has its place.
    settled: Vec<Stretch>,
    /// The items that follow it.
    waiting: Vec<(Arc<Entry<Index>>, Stretch)>,
    waiting_bytes: usize,
    /// The last of those, which follow each other in one block already.
    run: Option<Run>,
}

struct Run {
    stretch: Stretch,
    /// How many items wait before it.
    first: usize,
}

impl Packing {
    /// Of a list from which no selector has left anything out.
    pub(crate) fn of(extent: Extent) -> Self {
        Self {
            rearranges: extent == Extent::Whole,
            settled: Vec::new(),
            waiting: Vec::new(),
            waiting_bytes: 0,
            run: None,
        }
    }

    /// The next item, encoded as its entry has it.
    pub(crate) fn push(&mut self, entry: Arc<Entry<Index>>, item: Stretch) {
        if self.waiting.is_empty() && self.settled.last_mut().is_some_and(|last| last.join(&item)) {
            return;
        }
        let is_elsewhere =
            |(before, _): &(Arc<Entry<Index>>, Stretch)| before.key.namespace() != entry.key.namespace();
        if self.waiting_bytes + item.len() > BLOCK || self.waiting.last().is_some_and(is_elsewhere) {
            self.settle();
        }
        self.waiting_bytes += item.len();
        if !self.run.as_mut().is_some_and(|run| run.stretch.join(&item)) {
            self.run = Some(Run { stretch: item.clone(), first: self.waiting.len() });
        }
        self.waiting.push((entry, item));
        if let Some(run) = self.run.take_if(|run| run.stretch.len() >= LONG) {
            self.waiting.truncate(run.first);
            self.settle();
            self.settled.push(run.stretch);
        }
    }

    /// The next item, which is no entry's.
    pub(crate) fn push_foreign(&mut self, item: Stretch) {
        self.settle();
        self.settled.push(item);
    }

    /// All of them.
    pub(crate) fn finish(mut self) -> Vec<Stretch> {
        self.settle();
        self.settled
    }

    /// Gives what waits its place.
    fn settle(&mut self) {
        self.run = None;
        self.waiting_bytes = 0;
        let waiting = mem::take(&mut self.waiting);
        if self.rearranges {
            return self.put_together(waiting);
        }
        let mut group = Vec::new();
        for (entry, item) in waiting {
            if item.is_alone() || item.is_in_torn_block() {
                group.push((entry, item));
            } else {
                self.put_together(mem::take(&mut group));
                self.leave(item);
            }
        }
        self.put_together(group);
    }

    /// Where it is.
    fn leave(&mut self, item: Stretch) {
        if !self.settled.last_mut().is_some_and(|last| last.join(&item)) {
            self.settled.push(item);
        }
    }

    /// Where they are, if they are together there, and otherwise in a block of their own.
    fn put_together(&mut self, items: Vec<(Arc<Entry<Index>>, Stretch)>) {
        let Some(((_, first), others)) = items.split_first() else { return };
        let mut together = first.clone();
        let are_together = others.iter().all(|(_, item)| together.join(item));
        // The whole decides by what does not change while it is listed: a list after it must find nothing to do.
        let is_well_placed =
            together.is_most_of_its_block() || !(self.rearranges || together.is_in_torn_block());
        if are_together && is_well_placed {
            return self.leave(together);
        }
        let mut block = Vec::with_capacity(items.iter().map(|(_, item)| item.len()).sum());
        items.iter().for_each(|(_, item)| block.extend_from_slice(item.bytes()));
        let block = Stretch::of(block);
        let mut before = 0;
        for (entry, item) in items {
            entry.index.encodings.move_to(block.part(before, item.len()));
            before += item.len();
        }
        self.settled.push(block);
    }
}

#[cfg(test)]
mod tests;
