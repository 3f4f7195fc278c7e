//! Encoded bytes that share their memory with those of neighbours.

use std::sync::Arc;

use bytes::Bytes;

/// A part of a block of memory: one object, or several that follow each other. No `Debug`, since it may be a Secret.
#[derive(Clone)]
pub(crate) struct Stretch {
    block: Arc<Vec<u8>>,
    start: u32,
    end: u32,
}

impl Stretch {
    /// A block of its own, which takes no more memory than it has bytes.
    ///
    /// # Panics
    /// When there are 4 GiB of them: an object has 1.5 MiB at most, and a block little more.
    pub(crate) fn of(mut bytes: Vec<u8>) -> Self {
        bytes.shrink_to_fit();
        let end = u32::try_from(bytes.len()).expect("an object or a block of less than 4 GiB");
        Self { block: Arc::new(bytes), start: 0, end }
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.block[self.start as usize..self.end as usize]
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
        (self.block.as_ptr(), self.block.capacity())
    }

    /// Whether most of the block's memory is in it.
    pub(super) fn is_most_of_its_block(&self) -> bool {
        2 * self.len() >= self.block.len()
    }
}

impl AsRef<[u8]> for Stretch {
    fn as_ref(&self) -> &[u8] {
        self.bytes()
    }
}
