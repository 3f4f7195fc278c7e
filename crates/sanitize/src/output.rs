//! What has been written so far, with room behind it that is there already: a block of a known size is a single store then, and
//! may reach over what counts of it.

use std::io;

/// Text under way, as bytes.
#[derive(Default)]
pub(crate) struct Output {
    /// The text, and behind it bytes that mean nothing.
    room: Vec<u8>,
    length: usize,
}

impl Output {
    pub(crate) fn clear(&mut self) {
        self.length = 0;
    }

    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.length
    }

    #[inline]
    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.room.get(..self.length).unwrap_or_default()
    }

    pub(crate) fn truncate(&mut self, length: usize) {
        self.length = self.length.min(length);
    }

    /// Writes another byte where one was written before.
    #[inline]
    pub(crate) fn replace(&mut self, place: usize, byte: u8) {
        if let Some(written) = self.room.get_mut(place) {
            *written = byte;
        }
    }

    /// Room for so many bytes at least, behind all that was written. What is put there counts once it is [added](Self::add).
    #[inline]
    pub(crate) fn free(&mut self, least: usize) -> &mut [u8] {
        if self.room.len().saturating_sub(self.length) < least {
            self.grow(least);
        }
        self.room.get_mut(self.length..).unwrap_or_default()
    }

    /// So many bytes of the free room belong to the text from now on.
    #[inline]
    pub(crate) fn add(&mut self, count: usize) {
        self.length += count;
    }

    #[cold]
    fn grow(&mut self, least: usize) {
        let wanted = (self.length + least).max(self.room.len() * 2).max(256);
        self.room.resize(wanted, 0);
    }

    #[inline]
    pub(crate) fn push(&mut self, byte: u8) {
        self.push_start(&[byte], 1);
    }

    /// Writes the first bytes of a block, which is no more work than all of it.
    #[inline]
    pub(crate) fn push_start<const N: usize>(&mut self, block: &[u8; N], length: usize) {
        match self.room.get_mut(self.length..).and_then(<[u8]>::first_chunk_mut) {
            Some(free) => *free = *block,
            None => self.put(block),
        }
        self.length += length;
    }

    #[cold]
    fn put(&mut self, bytes: &[u8]) {
        self.free(bytes.len())[..bytes.len()].copy_from_slice(bytes);
    }

    #[inline]
    pub(crate) fn push_bytes(&mut self, bytes: &[u8]) {
        self.free(bytes.len())[..bytes.len()].copy_from_slice(bytes);
        self.length += bytes.len();
    }

    pub(crate) fn shrink_to(&mut self, bytes: usize) {
        self.truncate(bytes);
        self.room.truncate(bytes);
        self.room.shrink_to(bytes);
    }
}

impl io::Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.push_bytes(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn what_is_written_in_any_way_stands_behind_what_was_there() {
        let mut out = Output::default();
        let mut wanted = Vec::new();
        for round in 0..200 {
            out.push(b'a');
            out.push_start(b"bcdefgh", round % 8);
            out.push_bytes(b"ij");
            write!(out, "{round}").unwrap();
            out.free(3)[..2].copy_from_slice(b"kl");
            out.add(2);
            wanted.extend_from_slice(b"a");
            wanted.extend_from_slice(&b"bcdefgh"[..round % 8]);
            write!(wanted, "ij{round}kl").unwrap();
            assert_eq!(out.as_bytes(), wanted);
        }
        out.replace(0, b'z');
        wanted[0] = b'z';
        assert_eq!(out.as_bytes(), wanted);
        assert_eq!(out.len(), wanted.len());
    }

    #[test]
    fn its_room_is_kept_and_given_back() {
        let mut out = Output::default();
        out.push_bytes(&[b'a'; 1000]);
        let room = out.room.capacity();
        out.clear();
        out.push_bytes(&[b'b'; 1000]);
        assert_eq!(out.room.capacity(), room);
        out.shrink_to(10);
        assert!(out.room.capacity() < room);
        assert_eq!(out.as_bytes(), [b'b'; 10]);
        out.push(b'c');
        assert_eq!(out.as_bytes(), b"bbbbbbbbbbc");
    }
}
