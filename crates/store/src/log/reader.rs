//! The frames of a file, one after the other.

use std::io::{self, Read};

use super::frame::{FRAME_HEADER, FrameHeader};

/// Reads frames until the end of the file or the first damage.
pub(crate) struct FrameReader<R> {
    input: R,
    mark: u64,
    /// Where the next frame begins.
    offset: u64,
    /// The length of the file.
    length: u64,
    records: Vec<u8>,
}

/// What is next in a file.
pub(crate) enum Next<'a> {
    /// A whole frame, which begins at `offset`.
    Frame { offset: u64, header: FrameHeader, records: &'a [u8] },
    /// The file ends behind a whole frame.
    End,
    /// What begins at `offset`, and is `rest` together with all that follows, is no whole frame.
    Damaged { offset: u64, rest: Vec<u8> },
}

impl<R: Read> FrameReader<R> {
    /// Reads on from `offset`, where `input` stands, of a file of `length` bytes.
    pub(crate) fn new(input: R, mark: u64, offset: u64, length: u64) -> Self {
        Self { input, mark, offset, length, records: Vec::new() }
    }

    /// Behind the last frame that was read.
    pub(crate) fn offset(&self) -> u64 {
        self.offset
    }

    /// How many bytes follow the last frame that was read.
    pub(crate) fn left(&self) -> u64 {
        self.length.saturating_sub(self.offset)
    }

    pub(crate) fn next(&mut self) -> io::Result<Next<'_>> {
        let offset = self.offset;
        let left = self.length.saturating_sub(offset);
        if left == 0 {
            return Ok(Next::End);
        }
        let mut start = Vec::with_capacity(FRAME_HEADER);
        self.input.by_ref().take(FRAME_HEADER as u64).read_to_end(&mut start)?;
        let header = FrameHeader::read(&start, self.mark)
            .filter(|header| header.length <= left.saturating_sub(FRAME_HEADER as u64));
        let Some(header) = header else {
            self.input.read_to_end(&mut start)?;
            return Ok(Next::Damaged { offset, rest: start });
        };
        self.records.clear();
        self.input.by_ref().take(header.length).read_to_end(&mut self.records)?;
        if !header.covers(&self.records) {
            start.extend_from_slice(&self.records);
            self.input.read_to_end(&mut start)?;
            return Ok(Next::Damaged { offset, rest: start });
        }
        self.offset += FRAME_HEADER as u64 + header.length;
        Ok(Next::Frame { offset, header, records: &self.records })
    }
}
