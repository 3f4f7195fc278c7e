//! The end of the log: frames go on it, and it survives what a disk can do.
//!
//! A write that fails leaves a partial frame, which is cut off: the file goes on. A sync that fails says that some of
//! what was written since the last good one may be lost, and the kernel will not try again nor say so again: nothing
//! may be written behind it. So the file is left as it is, and the log goes on in a new one, whose header tells where
//! the history of the old one ends. See `docs/decisions/a-failed-sync-ends-a-file.md`.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use super::directory::{Directory, UNFINISHED};
use super::disk::{Disk, DiskFile};
use super::frame::{FILE_HEADER, FRAME_HEADER, FileHeader, FileKind, FrameHeader};
use crate::Revision;

pub(crate) struct Appender {
    directory: Arc<Directory>,
    disk: Arc<dyn Disk>,
    /// None until something is written, and when the last file can no longer be trusted.
    segment: Option<Segment>,
    next_number: u64,
    /// The revision of the last durable record.
    revision: Revision,
}

struct Segment {
    file: Box<dyn DiskFile>,
    mark: u64,
    /// Everything before is durable.
    length: u64,
}

/// A frame that is being filled: records of one commit.
#[derive(Default)]
pub(crate) struct Frame {
    /// Room for the header, and the records.
    bytes: Vec<u8>,
    count: u32,
}

impl Frame {
    /// Where the next record goes; to be counted with [`Frame::count`].
    pub(crate) fn records(&mut self) -> &mut Vec<u8> {
        if self.bytes.is_empty() {
            self.bytes.resize(FRAME_HEADER, 0);
        }
        self.count += 1;
        &mut self.bytes
    }

    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }

    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        self.count = 0;
    }

    /// The bytes of the frame in a file.
    pub(crate) fn finish(&mut self, mark: u64, first: u64) -> &[u8] {
        self.bytes.resize(self.bytes.len().max(FRAME_HEADER), 0);
        let (header, records) = self.bytes.split_at_mut(FRAME_HEADER);
        header.copy_from_slice(&FrameHeader::new(first, self.count, records).to_bytes(mark));
        &self.bytes
    }
}

impl Appender {
    /// Goes on after `revision` in a new file, whose number is `next_number`; it is made when it is needed.
    pub(crate) fn new(
        directory: Arc<Directory>,
        disk: Arc<dyn Disk>,
        next_number: u64,
        revision: Revision,
    ) -> Self {
        Self { directory, disk, segment: None, next_number, revision }
    }

    pub(crate) fn revision(&self) -> Revision {
        self.revision
    }

    /// Writes a frame and makes it durable. Gives how much longer the log has become.
    ///
    /// # Errors
    /// None of the frame's records counts then, now or after a restart.
    pub(crate) fn append(&mut self, frame: &mut Frame) -> io::Result<u64> {
        let segment = match &mut self.segment {
            Some(segment) => segment,
            none => {
                let segment = create_segment(&self.directory, &*self.disk, self.next_number, self.revision)?;
                self.next_number += 1;
                none.insert(segment)
            }
        };
        let bytes = frame.finish(segment.mark, self.revision.get() + 1);
        let written = bytes.len() as u64;
        if let Err(error) = segment.file.write_at(bytes, segment.length) {
            if segment.file.truncate(segment.length).is_err() {
                self.segment = None;
            }
            return Err(error);
        }
        if let Err(error) = segment.file.sync() {
            // No more than tidiness: the next file's header says that the tail does not count.
            let _ = segment.file.truncate(segment.length);
            self.segment = None;
            return Err(error);
        }
        segment.length += written;
        self.revision = Revision::new(self.revision.get() + u64::from(frame.count));
        Ok(written)
    }

    /// The number that the next file gets.
    pub(crate) fn next_number(&self) -> u64 {
        self.next_number
    }

    /// Leaves the current file, so that a snapshot can stand for it and all before; a file in which nothing is yet goes
    /// on. Gives the number of the first file that the snapshot does not stand for.
    pub(crate) fn rotate(&mut self) -> u64 {
        if self.segment.as_ref().is_some_and(|segment| segment.length == FILE_HEADER as u64) {
            return self.next_number - 1;
        }
        self.segment = None;
        self.next_number
    }

    /// Marks the end, so that damage to the last records will be told from writes that were never finished.
    pub(crate) fn close(&mut self) -> io::Result<()> {
        if self.segment.is_some() {
            self.append(&mut Frame::default())?;
        }
        Ok(())
    }
}

fn create_segment(
    directory: &Directory,
    disk: &dyn Disk,
    number: u64,
    revision: Revision,
) -> io::Result<Segment> {
    let path = directory.log(number);
    let header = FileHeader { kind: FileKind::Log, revision, mark: random_mark() };
    let unfinished = unfinished(directory, &path);
    let file = disk.create(&unfinished)?;
    file.write_at(&header.to_bytes(), 0)?;
    file.sync()?;
    disk.rename(&unfinished, &path)?;
    disk.sync_directory(directory.path())?;
    Ok(Segment { file, mark: header.mark, length: FILE_HEADER as u64 })
}

/// The name of a file until it is complete.
pub(crate) fn unfinished(directory: &Directory, path: &std::path::Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    directory.path().join(format!("{UNFINISHED}{name}"))
}

pub(crate) fn random_mark() -> u64 {
    uuid::Uuid::new_v4().as_u64_pair().0
}
