//! Encoded bytes that share their memory with those of neighbours.

use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use bytes::Bytes;

/// A part of a block of memory: one object, or several that follow each other. No `Debug`, since it may be a Secret.
#[derive(Clone)]
pub(crate) struct Stretch {
    block: Arc<Block>,
    start: u32,
    end: u32,
}

struct Block {
    bytes: Vec<u8>,
    /// How many of them are what some object has now.
    held: AtomicU32,
}

/// A stretch that an object has: as long as it does, the block counts its bytes.
pub(super) struct Held(Stretch);

impl Held {
    pub(super) fn of(stretch: Stretch) -> Self {
        stretch.block.held.fetch_add(stretch.end - stretch.start, Ordering::Relaxed);
        Self(stretch)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.0.block.held.fetch_sub(self.0.end - self.0.start, Ordering::Relaxed);
    }
}

impl Deref for Held {
    type Target = Stretch;

    fn deref(&self) -> &Stretch {
        &self.0
    }
}

impl Stretch {
    /// A block of its own, which takes no more memory than it has bytes.
    ///
    /// # Panics
    /// When there are 4 GiB of them: an object has 1.5 MiB at most, and a block little more.
    pub(crate) fn of(mut bytes: Vec<u8>) -> Self {
        bytes.shrink_to_fit();
        let end = u32::try_from(bytes.len()).expect("an object or a block of less than 4 GiB");
        Self { block: Arc::new(Block { bytes, held: AtomicU32::new(0) }), start: 0, end }
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.block.bytes[self.start as usize..self.end as usize]
    }

    pub(crate) fn len(&self) -> usize {
        (self.end - self.start) as usize
    }

    /// The bytes, which keep their block and are not copied.
    pub(crate) fn into_bytes(self) -> Bytes {
        Bytes::from_owner(self)
    }

    /// The `length` bytes of it behind the first `before`.
    ///
    /// # Panics
    /// When there are fewer.
    pub(super) fn part(&self, before: usize, length: usize) -> Self {
        assert!(before + length <= self.len(), "{length} bytes behind {before} of {}", self.len());
        // Less than the end, which is of this size.
        let start = self.start + before as u32;
        Self { block: self.block.clone(), start, end: start + length as u32 }
    }

    /// Takes `next` in, if it follows in the same block.
    pub(crate) fn join(&mut self, next: &Self) -> bool {
        let follows = self.end == next.start && Arc::ptr_eq(&self.block, &next.block);
        if follows {
            self.end = next.end;
        }
        follows
    }

    /// Which block it is in, and how much memory that takes.
    #[cfg(test)]
    pub(crate) fn block_memory(&self) -> (*const u8, usize) {
        (self.block.bytes.as_ptr(), self.block.bytes.capacity())
    }

    /// Whether there is nothing else in its block.
    pub(super) fn is_alone(&self) -> bool {
        self.len() == self.block.bytes.len()
    }

    /// Whether most of the block's memory is in it.
    pub(super) fn is_most_of_its_block(&self) -> bool {
        2 * self.len() >= self.block.bytes.len()
    }

    /// Whether the greater part of its block is what no object has any more.
    pub(super) fn is_in_torn_block(&self) -> bool {
        2 * u64::from(self.block.held.load(Ordering::Relaxed)) < self.block.bytes.len() as u64
    }
}

impl AsRef<[u8]> for Stretch {
    fn as_ref(&self) -> &[u8] {
        self.bytes()
    }
}
