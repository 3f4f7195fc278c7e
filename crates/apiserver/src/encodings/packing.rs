//! Puts the encodings of neighbours together, in the order of a list.
//!
//! A list of a whole collection, or of a namespace, visits its objects in the order of their keys. Those that were encoded
//! one by one, as watchers need them, are copied into one block of memory then, once, and stay there: the next list finds
//! them in one piece. What has changed since tears holes into blocks. Where a block's objects no longer follow each other for
//! the greater part of it, the next list puts them into another. So objects that were listed keep no more than twice their
//! share of memory. What is past keeps none of a block: see [`Encodings::set_apart`](super::Encodings::set_apart).

use std::mem;
use std::sync::Arc;

use tokenward_store::Entry;

use super::Stretch;
use crate::index::Index;

/// As many bytes are put together at most; only an object that is larger makes a larger block.
const BLOCK: usize = 64 * 1024;
/// A stretch that is as long stays as it is, since it is most of any block.
const LONG: usize = BLOCK / 2;

/// The items of a list, as they are put together.
#[derive(Default)]
pub(crate) struct Packing {
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
    /// The next item, encoded as its entry has it.
    pub(crate) fn push(&mut self, entry: Arc<Entry<Index>>, item: Stretch) {
        if self.waiting.is_empty() && self.settled.last_mut().is_some_and(|last| last.join(&item)) {
            return;
        }
        if self.waiting_bytes + item.len() > BLOCK {
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

    /// Gives what waits its place: where it is, if it is together there, and otherwise in a block of its own.
    fn settle(&mut self) {
        self.run = None;
        self.waiting_bytes = 0;
        let waiting = mem::take(&mut self.waiting);
        let Some(((_, first), others)) = waiting.split_first() else { return };
        let mut together = first.clone();
        let are_together = others.iter().all(|(_, item)| together.join(item));
        if are_together && together.is_most_of_its_block() {
            self.settled.push(together);
            return;
        }
        let mut block = Vec::with_capacity(waiting.iter().map(|(_, item)| item.len()).sum());
        waiting.iter().for_each(|(_, item)| block.extend_from_slice(item.bytes()));
        let block = Stretch::of(block);
        let mut before = 0;
        for (entry, item) in waiting {
            entry.index.encodings.move_to(block.part(before, item.len()));
            before += item.len();
        }
        self.settled.push(block);
    }
}

#[cfg(test)]
mod tests;
