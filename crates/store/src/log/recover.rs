//! From the files of a directory to the objects in memory.

use std::fs::File;
use std::io::{BufReader, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::directory::Directory;
use super::disk::Disk;
use super::frame::{FILE_HEADER, FileHeader, FileKind, HeaderError};
use super::reader::FrameReader;
use super::record::{Content, Record, RecordError, Value};
use super::replay::{ReplayError, SegmentEnd, replay_segment};
use super::snapshot::read_snapshot;
use super::{Cut, OpenError};
use crate::change::Write;
use crate::memory::Memory;
use crate::{Entry, HistoryLimits, Key, Revision, Unstamped};

/// A store as its files have it.
pub(crate) struct Recovered<I> {
    pub(crate) memory: Memory<I>,
    pub(crate) snapshot: Option<Revision>,
    pub(crate) replayed: u64,
    pub(crate) cut: Option<Cut>,
    /// The number for the next part of the log.
    pub(crate) next_number: u64,
    /// How long the log is that is not in a snapshot.
    pub(crate) log_bytes: u64,
    pub(crate) log_files: usize,
    pub(crate) snapshot_bytes: u64,
}

/// Loads the newest snapshot and replays the log behind it. What crashes left over is removed.
pub(crate) fn recover<I: Clone>(
    directory: &Directory,
    disk: &dyn Disk,
    limits: HistoryLimits,
    indexer: impl Fn(&Key, &[u8]) -> I + Send + Sync + 'static,
) -> Result<Recovered<I>, OpenError> {
    let failed = |source| OpenError::Directory { path: directory.path().to_owned(), source };
    let files = directory.files().map_err(failed)?;
    let snapshot = files.snapshots.last().copied().map(Revision::new);
    // As etcd counts: an empty store is at 1. Clients take 0 for "any revision".
    let start = snapshot.unwrap_or(Revision::new(1));
    // What was before an empty store can be told.
    let floor = snapshot.unwrap_or_default();
    let mut loader = Loader { memory: Memory::new(start, floor, limits, indexer), collection: "".into() };
    let snapshot_bytes = match snapshot {
        Some(revision) => {
            read_snapshot(&directory.snapshot(revision.get()), revision, |record| loader.load(&record))?
        }
        None => 0,
    };

    let segments = files.logs.iter().map(|&number| Segment::open(directory.log(number)));
    let segments = segments.collect::<Result<Vec<_>, _>>()?;
    let mut revision = start;
    // Where the file before ended.
    let mut reached = None;
    let mut cut = None;
    let mut log_bytes = 0;
    let mut obsolete = Vec::new();
    for (at, segment) in segments.iter().enumerate() {
        let next = segments.get(at + 1);
        if next.is_some_and(|next| next.header.revision <= start) {
            // A crash came between the snapshot and the removal of what it stands for.
            obsolete.push(segment.path.clone());
            continue;
        }
        let base = segment.header.revision;
        if base > revision || reached.is_some_and(|reached| reached != base) {
            return Err(OpenError::Gap { file: segment.path.clone(), wanted: revision, found: base });
        }
        let end =
            segment.replay(
                next,
                |number, record| {
                    if number <= start { Ok(()) } else { loader.replay(number, &record) }
                },
            )?;
        reached = Some(end.revision);
        revision = revision.max(end.revision);
        log_bytes += segment.length;
        match (end.tail, next) {
            (Some(tail), None) => {
                segment.cut(tail.offset)?;
                cut = Some(Cut { file: segment.path.clone(), offset: tail.offset, bytes: tail.bytes });
            }
            // What is served from now on must not be lost by a later crash, whoever wrote it.
            (None, None) => segment.sync()?,
            _ => {}
        }
    }
    let older = files.snapshots.iter().rev().skip(1).map(|&revision| directory.snapshot(revision));
    let log_files = segments.len() - obsolete.len();
    for path in obsolete.into_iter().chain(older).chain(files.unfinished) {
        disk.remove(&path).map_err(|source| OpenError::Read { file: path.clone(), source })?;
    }
    Ok(Recovered {
        memory: loader.memory,
        snapshot,
        replayed: revision.get() - start.get(),
        cut,
        next_number: files.logs.last().map_or(1, |last| last + 1),
        log_bytes,
        log_files,
        snapshot_bytes,
    })
}

/// Puts records into memory.
struct Loader<I> {
    memory: Memory<I>,
    /// That of the last record: mostly that of the next too.
    collection: Arc<str>,
}

impl<I: Clone> Loader<I> {
    fn key(&mut self, record: &Record<'_>) -> Result<Key, RecordError> {
        if *self.collection != *record.collection {
            self.collection = record.collection.into();
        }
        Key::from_path(&self.collection, record.path).map_err(|_| RecordError::Text)
    }

    fn load(&mut self, record: &Record<'_>) -> Result<(), RecordError> {
        let Content::Object { revision, created, value } = record.content else {
            return Err(RecordError::Misplaced);
        };
        let key = self.key(record)?;
        let value = unstamped(value);
        let index = self.memory.index(&key, value.bytes());
        self.memory.load(Entry::new(key, value, index, revision, Some(created)));
        Ok(())
    }

    fn replay(&mut self, revision: Revision, record: &Record<'_>) -> Result<(), RecordError> {
        let key = self.key(record)?;
        let current = self.memory.get(&key);
        let write = match record.content {
            Content::Put(value) => {
                let value = unstamped(value);
                let index = self.memory.index(&key, value.bytes());
                let created = current.map(|current| current.created);
                Write::Put(Arc::new(Entry::new(key, value, index, revision, created)))
            }
            Content::Delete => {
                Write::Delete(Arc::new(current.ok_or(RecordError::Misplaced)?.deleted(revision)))
            }
            Content::Object { .. } => return Err(RecordError::Misplaced),
        };
        self.memory.apply(vec![write]);
        Ok(())
    }
}

fn unstamped(value: Value<'_>) -> Unstamped {
    Unstamped::new([value.before, value.after].concat(), value.before.len())
}

struct Segment {
    path: PathBuf,
    file: File,
    header: FileHeader,
    length: u64,
}

impl Segment {
    fn open(path: PathBuf) -> Result<Self, OpenError> {
        let read = |source| OpenError::Read { file: path.clone(), source };
        let mut file = File::options().read(true).write(true).open(&path).map_err(read)?;
        let length = file.metadata().map_err(read)?.len();
        let mut start = Vec::with_capacity(FILE_HEADER);
        file.by_ref().take(FILE_HEADER as u64).read_to_end(&mut start).map_err(read)?;
        let header = FileHeader::read(&start, FileKind::Log)
            .map_err(|source: HeaderError| OpenError::Header { file: path.clone(), source })?;
        Ok(Self { path, file, header, length })
    }

    fn replay(
        &self,
        next: Option<&Self>,
        take: impl FnMut(Revision, Record<'_>) -> Result<(), RecordError>,
    ) -> Result<SegmentEnd, OpenError> {
        let FileHeader { mark, revision: base, .. } = self.header;
        let limit = next.map(|next| next.header.revision);
        let input = BufReader::with_capacity(1 << 16, &self.file);
        let mut frames = FrameReader::new(input, mark, FILE_HEADER as u64, self.length);
        let replayed = replay_segment(&mut frames, mark, base, limit, take);
        replayed.map_err(|error| match (error, next) {
            (ReplayError::Short { revision }, Some(next)) => {
                let (file, found) = (next.path.clone(), next.header.revision);
                OpenError::Gap { file, wanted: revision, found }
            }
            (error, _) => self.error(error),
        })
    }

    fn error(&self, error: ReplayError) -> OpenError {
        let file = self.path.clone();
        match error {
            ReplayError::Short { revision } => OpenError::Damaged { file, offset: self.length, revision },
            ReplayError::Read(source) => OpenError::Read { file, source },
            ReplayError::Damaged { offset, revision } => OpenError::Damaged { file, offset, revision },
            ReplayError::Nonsense { offset, problem } => OpenError::nonsense(&file, offset, problem),
            ReplayError::Order { wanted, found, .. } => OpenError::Gap { file, wanted, found },
        }
    }

    fn cut(&self, offset: u64) -> Result<(), OpenError> {
        let failed = |source| OpenError::Read { file: self.path.clone(), source };
        self.file.set_len(offset).map_err(failed)?;
        self.file.sync_all().map_err(failed)
    }

    fn sync(&self) -> Result<(), OpenError> {
        self.file.sync_data().map_err(|source| OpenError::Read { file: self.path.clone(), source })
    }
}

impl OpenError {
    pub(crate) fn nonsense(file: &Path, offset: u64, problem: RecordError) -> Self {
        Self::Nonsense { file: file.to_owned(), offset, problem: problem.to_string() }
    }
}
