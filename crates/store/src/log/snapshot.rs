//! All objects at one revision in one file, so that the log before it can go.

use std::fs::File;
use std::io::{self, BufReader, Read as _};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::OpenError;
use super::appender::{Frame, random_mark, unfinished};
use super::directory::Directory;
use super::disk::Disk;
use super::frame::{FILE_HEADER, FRAME_HEADER, FileHeader, FileKind, HeaderError};
use super::reader::{FrameReader, Next};
use super::record::{Content, Record, RecordError, Value};
use crate::{Entry, Revision};

/// A frame is written out when it is this long.
const FRAME_BYTES: usize = 256 << 10;

/// Writes a snapshot of `objects` at `revision`. Nothing of it is seen before all of it is durable. Gives its length.
///
/// # Errors
/// When the disk refuses, or [`io::ErrorKind::Interrupted`] when `stop` was set.
pub(crate) fn write_snapshot<I>(
    directory: &Directory,
    disk: &dyn Disk,
    revision: Revision,
    objects: &[Arc<Entry<I>>],
    stop: &AtomicBool,
) -> io::Result<u64> {
    let path = directory.snapshot(revision.get());
    let draft = unfinished(directory, &path);
    let written = write_draft(&draft, disk, revision, objects, stop).and_then(|length| {
        disk.rename(&draft, &path)?;
        disk.sync_directory(directory.path())?;
        Ok(length)
    });
    if written.is_err() {
        // Half a snapshot is of no use, and on a full disk its room is.
        let _ = disk.remove(&draft);
    }
    written
}

fn write_draft<I>(
    draft: &Path,
    disk: &dyn Disk,
    revision: Revision,
    objects: &[Arc<Entry<I>>],
    stop: &AtomicBool,
) -> io::Result<u64> {
    let header = FileHeader { kind: FileKind::Snapshot, revision, mark: random_mark() };
    let file = disk.create(draft)?;
    file.write_at(&header.to_bytes(), 0)?;
    let mut length = FILE_HEADER as u64;
    let mut frame = Frame::default();
    let (mut before, mut count) = (0, 0);
    for entry in objects {
        entry.as_object().write(frame.records());
        count += 1;
        if frame.len() >= FRAME_BYTES {
            if stop.load(Ordering::Relaxed) {
                return Err(io::ErrorKind::Interrupted.into());
            }
            let bytes = frame.finish(header.mark, before);
            file.write_at(bytes, length)?;
            length += bytes.len() as u64;
            before = count;
            frame.clear();
        }
    }
    if frame.len() > 0 {
        let bytes = frame.finish(header.mark, before);
        file.write_at(bytes, length)?;
        length += bytes.len() as u64;
        frame.clear();
    }
    // The empty frame that says that this is all.
    let bytes = frame.finish(header.mark, count);
    file.write_at(bytes, length)?;
    length += bytes.len() as u64;
    file.sync()?;
    Ok(length)
}

/// Reads a snapshot; each object goes to `take`. Gives its length in bytes.
pub(crate) fn read_snapshot(
    path: &Path,
    revision: Revision,
    mut take: impl FnMut(Record<'_>) -> Result<(), RecordError>,
) -> Result<u64, OpenError> {
    let read = |source| OpenError::Read { file: path.to_owned(), source };
    let damaged = |offset| OpenError::SnapshotDamaged { file: path.to_owned(), offset };
    let file = File::open(path).map_err(read)?;
    let length = file.metadata().map_err(read)?.len();
    let mut input = BufReader::with_capacity(1 << 16, file);
    let mut start = Vec::with_capacity(FILE_HEADER);
    input.by_ref().take(FILE_HEADER as u64).read_to_end(&mut start).map_err(read)?;
    let header = FileHeader::read(&start, FileKind::Snapshot)
        .and_then(|header| if header.revision == revision { Ok(header) } else { Err(HeaderError::Kind) })
        .map_err(|source| OpenError::Header { file: path.to_owned(), source })?;
    let mut frames = FrameReader::new(input, header.mark, FILE_HEADER as u64, length);
    let mut count = 0;
    loop {
        match frames.next().map_err(read)? {
            Next::Frame { offset, header, .. } if header.first != count => return Err(damaged(offset)),
            Next::Frame { header, .. } if header.count == 0 => break,
            Next::Frame { offset, header, records } => {
                let mut rest = records;
                for _ in 0..header.count {
                    let at = offset + FRAME_HEADER as u64 + (records.len() - rest.len()) as u64;
                    let record = Record::read(&mut rest)
                        .and_then(|record| belongs(record, revision))
                        .and_then(&mut take);
                    record.map_err(|problem| OpenError::nonsense(path, at, problem))?;
                    count += 1;
                }
            }
            Next::Damaged { offset, .. } => return Err(damaged(offset)),
            Next::End => return Err(damaged(length)),
        }
    }
    if frames.left() > 0 { Err(damaged(frames.offset())) } else { Ok(length) }
}

/// Whether a record is of an object as it was at that revision.
fn belongs(record: Record<'_>, at: Revision) -> Result<Record<'_>, RecordError> {
    match record.content {
        Content::Object { revision, created, .. } if created <= revision && revision <= at => Ok(record),
        _ => Err(RecordError::Misplaced),
    }
}

impl<I> Entry<I> {
    fn as_object(&self) -> Record<'_> {
        let (before, after) = self.around_stamp();
        let value = Value { before, after };
        let content = Content::Object { revision: self.revision, created: self.created, value };
        Record { collection: self.key.collection(), path: self.key.path(), content }
    }
}
