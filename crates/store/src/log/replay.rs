//! What the files of a log add up to: which records count, where a file ends, and what is damage.
//!
//! Works on anything that can be read, so that the tests need no disk.

use std::io::{self, Read};

use super::frame::{FRAME_HEADER, holds_a_frame};
use super::reader::{FrameReader, Next};
use super::record::{Record, RecordError};
use crate::Revision;

/// How one file of the log ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SegmentEnd {
    /// The revision of the last record that counts; that of the start when there is none.
    pub(crate) revision: Revision,
    /// What is not part of the history: it was never acknowledged.
    pub(crate) tail: Option<Tail>,
}

/// The end of a file that is not part of the history.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tail {
    /// Where it begins.
    pub(crate) offset: u64,
    /// Its length.
    pub(crate) bytes: u64,
}

/// Why a file cannot be replayed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReplayError {
    #[error(transparent)]
    Read(#[from] io::Error),
    /// Damage to something that had been durable. The history before it ends at `revision`.
    #[error("damaged at byte {offset}")]
    Damaged { offset: u64, revision: Revision },
    /// The file is whole but does not reach the next one.
    #[error("ends at revision {revision}")]
    Short { revision: Revision },
    /// Sound bytes that make no sense.
    #[error("at byte {offset}: {problem}")]
    Nonsense { offset: u64, problem: RecordError },
    /// Sound bytes whose revisions do not follow each other.
    #[error("at byte {offset}: wanted revision {wanted}, found {found}")]
    Order { offset: u64, wanted: Revision, found: Revision },
}

/// Replays one file, whose first record is that after `base`.
///
/// `limit` is where the next file begins: what this one has beyond it was given up when writing it failed. The last file
/// has none. Each record that counts goes to `take` with its revision.
pub(crate) fn replay_segment<R: Read>(
    frames: &mut FrameReader<R>,
    mark: u64,
    base: Revision,
    limit: Option<Revision>,
    mut take: impl FnMut(Revision, Record<'_>) -> Result<(), RecordError>,
) -> Result<SegmentEnd, ReplayError> {
    let mut revision = base;
    loop {
        let given_up = limit.is_some_and(|limit| limit <= revision);
        match frames.next()? {
            Next::End if limit.is_none_or(|limit| limit <= revision) => {
                return Ok(SegmentEnd { revision, tail: None });
            }
            Next::End => return Err(ReplayError::Short { revision }),
            Next::Damaged { offset, rest } => {
                let was_durable = match limit {
                    Some(_) => !given_up,
                    // Its own start is not a later frame.
                    None => holds_a_frame(&rest[1..], mark, revision.get()),
                };
                if was_durable {
                    return Err(ReplayError::Damaged { offset, revision });
                }
                let tail = Some(Tail { offset, bytes: rest.len() as u64 });
                return Ok(SegmentEnd { revision, tail });
            }
            Next::Frame { offset, .. } if given_up => {
                let tail = Some(Tail { offset, bytes: frames.left() + frames.offset() - offset });
                return Ok(SegmentEnd { revision, tail });
            }
            Next::Frame { offset, header, records } => {
                let wanted = Revision::new(revision.get() + 1);
                if header.first != wanted.get() {
                    return Err(ReplayError::Order { offset, wanted, found: Revision::new(header.first) });
                }
                let mut rest = records;
                for _ in 0..header.count {
                    let at = offset + FRAME_HEADER as u64 + (records.len() - rest.len()) as u64;
                    let nonsense = |problem| ReplayError::Nonsense { offset: at, problem };
                    let record = Record::read(&mut rest).map_err(nonsense)?;
                    revision = Revision::new(revision.get() + 1);
                    take(revision, record).map_err(nonsense)?;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::log::frame::FrameHeader;
    use crate::log::record::{Content, Value};

    const MARK: u64 = 0xfeed_0000_0000_beef;
    const BASE: u64 = 10;

    /// A log whose frames have these many records each; the content of each record is its revision.
    fn log(counts: &[u32]) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut next = BASE + 1;
        for &count in counts {
            let mut records = Vec::new();
            for revision in next..next + u64::from(count) {
                let text = revision.to_string();
                let value = Value { before: text.as_bytes(), after: b"" };
                Record { collection: "pods", path: "ns/a", content: Content::Put(value) }.write(&mut records);
            }
            bytes.extend_from_slice(&FrameHeader::new(next, count, &records).to_bytes(MARK));
            bytes.extend_from_slice(&records);
            next += u64::from(count);
        }
        bytes
    }

    /// Replays, checks that what comes out is a prefix of history, and gives the end.
    fn replay(bytes: &[u8], limit: Option<u64>) -> Result<SegmentEnd, ReplayError> {
        let mut frames = FrameReader::new(bytes, MARK, 0, bytes.len() as u64);
        let mut next = BASE + 1;
        replay_segment(
            &mut frames,
            MARK,
            Revision::new(BASE),
            limit.map(Revision::new),
            |revision, record| {
                assert_eq!(revision.get(), next);
                let Content::Put(value) = record.content else { panic!("another record") };
                assert_eq!(value.before, next.to_string().as_bytes());
                next += 1;
                Ok(())
            },
        )
    }

    /// Where each frame begins, and the revision before it.
    fn starts(counts: &[u32]) -> Vec<(u64, u64)> {
        (0..=counts.len())
            .map(|number| {
                let before = &counts[..number];
                (log(before).len() as u64, BASE + before.iter().map(|&count| u64::from(count)).sum::<u64>())
            })
            .collect()
    }

    #[test]
    fn what_was_given_up_when_a_file_was_left_does_not_count() {
        let counts = [2, 3];
        let bytes = log(&counts);
        let [_, (second, revision), (length, last)] = starts(&counts)[..] else { panic!("three") };
        let end = replay(&bytes, Some(revision)).unwrap();
        let tail = Some(Tail { offset: second, bytes: length - second });
        assert_eq!(end, SegmentEnd { revision: Revision::new(revision), tail });
        for cut in second + 1..length {
            let end = replay(&bytes[..usize::try_from(cut).unwrap()], Some(revision)).unwrap();
            let tail = Some(Tail { offset: second, bytes: cut - second });
            assert_eq!(end, SegmentEnd { revision: Revision::new(revision), tail });
        }
        let end = replay(&bytes, Some(last)).unwrap();
        assert_eq!(end, SegmentEnd { revision: Revision::new(last), tail: None });
    }

    #[test]
    fn a_file_with_a_successor_must_reach_it() {
        let counts = [2, 3];
        let bytes = log(&counts);
        let between: Vec<u64> = starts(&counts).into_iter().map(|(start, _)| start).collect();
        for cut in 0..bytes.len() {
            match replay(&bytes[..cut], Some(15)) {
                Err(ReplayError::Damaged { .. }) => assert!(!between.contains(&(cut as u64)), "cut at {cut}"),
                Err(ReplayError::Short { .. }) => assert!(between.contains(&(cut as u64)), "cut at {cut}"),
                other => panic!("{other:?}"),
            }
        }
        let error = replay(&bytes, Some(16)).unwrap_err();
        assert!(matches!(error, ReplayError::Short { revision } if revision.get() == 15), "{error}");
    }

    #[test]
    fn revisions_that_do_not_follow_each_other_are_refused() {
        let bytes = [log(&[2]), log(&[2])].concat();
        let error = replay(&bytes, None).unwrap_err();
        assert_eq!(error.to_string(), format!("at byte {}: wanted revision 13, found 11", bytes.len() / 2));
    }

    proptest! {
        #[test]
        fn every_prefix_of_a_log_is_a_prefix_of_history(counts in proptest::collection::vec(0..4u32, 0..5)) {
            let bytes = log(&counts);
            let starts = starts(&counts);
            for cut in 0..=bytes.len() as u64 {
                let end = replay(&bytes[..usize::try_from(cut).unwrap()], None).unwrap();
                let (offset, _) = *starts.iter().rfind(|(start, _)| *start <= cut).unwrap();
                let revision = starts.iter().rfind(|(start, _)| *start <= cut).unwrap().1;
                prop_assert_eq!(end.revision.get(), revision);
                let tail = (cut > offset).then_some(Tail { offset, bytes: cut - offset });
                prop_assert_eq!(end.tail, tail);
            }
        }

        #[test]
        fn a_flipped_bit_is_cut_off_at_the_end_and_an_error_before(
            counts in proptest::collection::vec(0..4u32, 1..5), flipped: usize,
        ) {
            let mut bytes = log(&counts);
            let bit = flipped % (bytes.len() * 8);
            bytes[bit / 8] ^= 1 << (bit % 8);
            let starts = starts(&counts);
            let hit = starts.iter().rposition(|(start, _)| *start <= (bit / 8) as u64).unwrap();
            let (start, before) = starts[hit];
            match replay(&bytes, None) {
                Ok(end) => {
                    prop_assert_eq!(hit, counts.len() - 1, "damage in the middle went unnoticed");
                    prop_assert_eq!(end.revision.get(), before);
                    prop_assert_eq!(end.tail, Some(Tail { offset: start, bytes: bytes.len() as u64 - start }));
                }
                Err(ReplayError::Damaged { offset, revision }) => {
                    prop_assert!(hit < counts.len() - 1);
                    prop_assert_eq!((offset, revision.get()), (start, before));
                }
                Err(other) => panic!("{other}"),
            }
        }

        #[test]
        fn no_bytes_make_the_replay_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let end = replay(&bytes, None).unwrap();
            prop_assert_eq!(end.revision.get(), BASE);
        }
    }
}
