//! The frames of a file: what was written, and made durable, at once. Pure: no files here.
//!
//! A file is a header and frames. A frame holds the records of all writers that shared one `fdatasync`, and the next
//! frame is begun only when this one is durable. So a damaged frame with a good one behind it was durable once: the
//! disk has lost something. A damaged frame with nothing behind it was never acknowledged: power or process were lost
//! in the middle of it, and it is cut off.
//!
//! All numbers are little-endian. Every file has a random mark, which each of its frames begins with: an object whose
//! content looks like a frame is not taken for one.

use crate::Revision;

/// The length of [`FileHeader`] in bytes.
pub(crate) const FILE_HEADER: usize = 36;
/// The length of [`FrameHeader`] in bytes.
pub(crate) const FRAME_HEADER: usize = 36;

const MAGIC: [u8; 8] = *b"tokenwrd";
/// The version of the format: of frames, records and file names.
const VERSION: u32 = 1;
/// No store gets to a revision that is higher: there are as many left behind it.
const HIGHEST: Revision = Revision::new(u64::MAX / 2);

/// What a file is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FileKind {
    /// A part of the log: the writes after [`FileHeader::revision`].
    Log,
    /// All objects as they were at [`FileHeader::revision`].
    Snapshot,
}

/// What a file begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FileHeader {
    pub(crate) kind: FileKind,
    pub(crate) revision: Revision,
    pub(crate) mark: u64,
}

/// Why a file's header cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    /// The file is shorter than a header, or holds something else.
    #[error("it is no file of this store")]
    NotOurs,
    /// The header's checksum is wrong.
    #[error("its header is damaged")]
    Damaged,
    /// A later release wrote the file.
    #[error("its format has version {found}, and this release reads version {VERSION}")]
    Version {
        /// The version of the file.
        found: u32,
    },
    /// A log under the name of a snapshot, or the reverse.
    #[error("its name and its header do not agree")]
    Kind,
}

impl FileHeader {
    pub(crate) fn to_bytes(self) -> [u8; FILE_HEADER] {
        let kind: u32 = match self.kind {
            FileKind::Log => 1,
            FileKind::Snapshot => 2,
        };
        let mut bytes = [0; FILE_HEADER];
        bytes[..8].copy_from_slice(&MAGIC);
        bytes[8..12].copy_from_slice(&VERSION.to_le_bytes());
        bytes[12..16].copy_from_slice(&kind.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.revision.get().to_le_bytes());
        bytes[24..32].copy_from_slice(&self.mark.to_le_bytes());
        let checksum = crc32fast::hash(&bytes[..32]);
        bytes[32..].copy_from_slice(&checksum.to_le_bytes());
        bytes
    }

    /// Reads the header off the front of a file that should be of `kind`.
    pub(crate) fn read(bytes: &[u8], kind: FileKind) -> Result<Self, HeaderError> {
        if bytes.len() < FILE_HEADER || bytes[..8] != MAGIC {
            return Err(HeaderError::NotOurs);
        }
        // Before the checksum, which another version may have elsewhere.
        let version = u32_at(bytes, 8);
        if version > VERSION {
            return Err(HeaderError::Version { found: version });
        }
        if crc32fast::hash(&bytes[..32]) != u32_at(bytes, 32) {
            return Err(HeaderError::Damaged);
        }
        let found = match u32_at(bytes, 12) {
            1 => FileKind::Log,
            2 => FileKind::Snapshot,
            _ => return Err(HeaderError::Kind),
        };
        if found != kind {
            return Err(HeaderError::Kind);
        }
        let revision = Revision::new(u64_at(bytes, 16));
        if revision > HIGHEST {
            return Err(HeaderError::Damaged);
        }
        Ok(Self { kind, revision, mark: u64_at(bytes, 24) })
    }
}

/// What a frame begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FrameHeader {
    /// The revision of the first record of a log's frame; the number of the records before in a snapshot.
    pub(crate) first: u64,
    /// How many records; none in the frame that closes a file.
    pub(crate) count: u32,
    /// The length of the records in bytes.
    pub(crate) length: u64,
    checksum: u32,
}

impl FrameHeader {
    pub(crate) fn new(first: u64, count: u32, records: &[u8]) -> Self {
        Self { first, count, length: records.len() as u64, checksum: crc32fast::hash(records) }
    }

    pub(crate) fn to_bytes(self, mark: u64) -> [u8; FRAME_HEADER] {
        let mut bytes = [0; FRAME_HEADER];
        bytes[..8].copy_from_slice(&mark.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.length.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.first.to_le_bytes());
        bytes[24..28].copy_from_slice(&self.count.to_le_bytes());
        bytes[28..32].copy_from_slice(&self.checksum.to_le_bytes());
        let checksum = crc32fast::hash(&bytes[..32]);
        bytes[32..].copy_from_slice(&checksum.to_le_bytes());
        bytes
    }

    /// Reads a header; `None` when these are not the first bytes of a frame of the file with this mark.
    pub(crate) fn read(bytes: &[u8], mark: u64) -> Option<Self> {
        if bytes.len() < FRAME_HEADER
            || u64_at(bytes, 0) != mark
            || crc32fast::hash(&bytes[..32]) != u32_at(bytes, 32)
        {
            return None;
        }
        Some(Self {
            length: u64_at(bytes, 8),
            first: u64_at(bytes, 16),
            count: u32_at(bytes, 24),
            checksum: u32_at(bytes, 28),
        })
    }

    /// Whether these are the records that the frame was written with.
    pub(crate) fn covers(&self, records: &[u8]) -> bool {
        records.len() as u64 == self.length && crc32fast::hash(records) == self.checksum
    }
}

/// Whether a whole frame of the file with this mark, whose first record is not before `first`, begins anywhere in `bytes`.
pub(crate) fn holds_a_frame(bytes: &[u8], mark: u64, first: u64) -> bool {
    let mark_bytes = mark.to_le_bytes();
    let starts = bytes.windows(8).enumerate().filter(|(_, window)| *window == mark_bytes);
    starts.map(|(at, _)| &bytes[at..]).any(|bytes| {
        FrameHeader::read(bytes, mark).is_some_and(|header| {
            let records = usize::try_from(header.length)
                .ok()
                .and_then(|length| bytes.get(FRAME_HEADER..FRAME_HEADER.checked_add(length)?));
            header.first >= first && records.is_some_and(|records| header.covers(records))
        })
    })
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MARK: u64 = 0x0123_4567_89ab_cdef;

    fn header() -> FileHeader {
        FileHeader { kind: FileKind::Log, revision: Revision::new(42), mark: MARK }
    }

    #[test]
    fn a_file_header_is_read_as_written_and_nothing_else_is_one() {
        let bytes = header().to_bytes();
        assert_eq!(FileHeader::read(&bytes, FileKind::Log), Ok(header()));
        assert_eq!(FileHeader::read(&bytes, FileKind::Snapshot), Err(HeaderError::Kind));
        assert_eq!(FileHeader::read(&bytes[..35], FileKind::Log), Err(HeaderError::NotOurs));
        assert_eq!(FileHeader::read(&[0; 64], FileKind::Log), Err(HeaderError::NotOurs));
        let mut later = bytes;
        later[8] = 2;
        assert_eq!(FileHeader::read(&later, FileKind::Log), Err(HeaderError::Version { found: 2 }));
        for at in 12..FILE_HEADER {
            let mut damaged = bytes;
            damaged[at] ^= 0x10;
            assert_eq!(FileHeader::read(&damaged, FileKind::Log), Err(HeaderError::Damaged), "byte {at}");
        }
    }

    fn frame(first: u64, records: &[u8]) -> Vec<u8> {
        [&FrameHeader::new(first, 1, records).to_bytes(MARK), records].concat()
    }

    proptest! {
        #[test]
        fn a_frame_is_known_by_every_bit(
            records in proptest::collection::vec(any::<u8>(), 0..64), first: u64, flipped: usize,
        ) {
            let mut bytes = frame(first, &records);
            let header = FrameHeader::read(&bytes, MARK).unwrap();
            prop_assert!(header.covers(&bytes[FRAME_HEADER..]));
            prop_assert_eq!(header.first, first);
            let bit = flipped % (bytes.len() * 8);
            bytes[bit / 8] ^= 1 << (bit % 8);
            let read = FrameHeader::read(&bytes, MARK);
            prop_assert!(!read.is_some_and(|header| header.covers(&bytes[FRAME_HEADER..])));
        }

        #[test]
        fn a_frame_is_found_behind_anything_unless_it_is_old_of_another_file_or_cut(
            before in proptest::collection::vec(any::<u8>(), 0..64),
            records in proptest::collection::vec(any::<u8>(), 0..64),
        ) {
            let bytes = [before, frame(7, &records)].concat();
            prop_assert!(holds_a_frame(&bytes, MARK, 7));
            prop_assert!(!holds_a_frame(&bytes, MARK, 8));
            prop_assert!(!holds_a_frame(&bytes, MARK + 1, 7));
            prop_assert!(!holds_a_frame(&bytes[..bytes.len() - 1], MARK, 7));
        }
    }
}
