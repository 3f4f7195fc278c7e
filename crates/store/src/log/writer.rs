//! The one thread that decides about changes, makes them durable and shows them, in this order.
//!
//! It takes what has come up to now, decides about each against what will be true once all before it is durable, writes
//! all of it as one frame with one `fdatasync`, and only then lets readers and watchers see it and answers the writers.
//! What comes meanwhile waits for the next round. So no reader ever sees what a crash could lose, and a write that
//! fails never happened.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use tokio::sync::oneshot;

use super::LogOptions;
use super::appender::{Appender, Frame};
use super::directory::Directory;
use super::disk::Disk;
use super::queue::Receiver;
use super::record::{Content, Record, Value};
use super::recover::Recovered;
use super::snapshot::write_snapshot;
use crate::change::{Change, Decision, Write};
use crate::memory::Memory;
use crate::{Entry, Key, Revision, Unavailable, WriteError};

/// At most this many writes share a frame.
const FRAME_RECORDS: usize = 4096;
/// No more is added to a frame that is this long.
const FRAME_BYTES: usize = 4 << 20;
/// As many files of the log are compacted even if they are short.
pub(super) const LOG_FILES: u64 = 64;

pub(crate) type Answer<I> = Result<Arc<Entry<I>>, WriteError<I>>;

/// What the thread is told.
pub(crate) enum Message<I> {
    Write(Change<I>, oneshot::Sender<Answer<I>>),
    /// Finish, and say when the directory is free.
    Close(oneshot::Sender<()>),
}

pub(crate) struct Writer<I> {
    memory: Arc<Memory<I>>,
    appender: Appender,
    queue: Receiver<I>,
    directory: Arc<Directory>,
    disk: Arc<dyn Disk>,
    options: LogOptions,
    log_bytes: u64,
    /// The number of the oldest file of the log.
    first_file: u64,
    snapshot_bytes: u64,
    /// Where `log_bytes` must get before the next snapshot, unless there are many files.
    compact_at: u64,
    /// Where `log_bytes` must get before a snapshot is tried again that has failed, however many files there are.
    retry_at: u64,
    compaction: Option<Compaction>,
    was_refused: bool,
}

struct Compaction {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<std::io::Result<u64>>,
    /// How much of the log it stands for.
    log_bytes: u64,
    /// The first file that it does not stand for.
    first_kept: u64,
}

/// The writes that will be made durable together.
struct Batch<I> {
    frame: Frame,
    writes: Vec<Write<I>>,
    answers: Vec<(oneshot::Sender<Answer<I>>, Answer<I>)>,
    /// What the keys of the batch hold once it is durable.
    pending: HashMap<Key, Option<Arc<Entry<I>>>>,
    next: Revision,
}

impl<I: Clone + Send + Sync + 'static> Writer<I> {
    pub(crate) fn new(
        memory: Arc<Memory<I>>,
        recovered: &RecoveredFiles,
        queue: Receiver<I>,
        directory: Arc<Directory>,
        disk: Arc<dyn Disk>,
        options: LogOptions,
    ) -> Self {
        let revision = memory.current_revision();
        let appender = Appender::new(directory.clone(), disk.clone(), recovered.next_number, revision);
        let mut writer = Self {
            memory,
            appender,
            queue,
            directory,
            disk,
            options,
            log_bytes: recovered.log_bytes,
            first_file: recovered.next_number - recovered.log_files as u64,
            snapshot_bytes: recovered.snapshot_bytes,
            compact_at: 0,
            retry_at: 0,
            compaction: None,
            was_refused: false,
        };
        writer.compact_at = writer.threshold();
        writer
    }

    /// Works until every handle is gone or one has closed the store.
    pub(crate) fn run(mut self) {
        let mut batch = Batch::new(self.appender.revision());
        let mut closed = None;
        let mut waiting = VecDeque::new();
        while closed.is_none() {
            if waiting.is_empty() {
                let Some(messages) = self.queue.receive() else { break };
                waiting = messages;
            }
            while closed.is_none() && batch.has_room() {
                match waiting.pop_front() {
                    Some(Message::Write(change, answer)) => batch.add(&self.memory, change, answer),
                    Some(Message::Close(done)) => closed = Some(done),
                    None => break,
                }
            }
            self.commit(&mut batch);
            self.compact_when_due();
        }
        if let Some(compaction) = self.compaction.take() {
            compaction.stop.store(true, Ordering::Relaxed);
            // It has said what went wrong, or was told to stop.
            let _ = compaction.thread.join();
        }
        if let Err(error) = self.appender.close() {
            tracing::warn!(%error, "the log could not be closed; all that was acknowledged is in it");
        }
        drop(waiting);
        drop(self);
        if let Some(done) = closed {
            let _ = done.send(());
        }
    }

    fn commit(&mut self, batch: &mut Batch<I>) {
        if batch.writes.is_empty() {
            return;
        }
        let appended = self.appender.append(&mut batch.frame);
        match &appended {
            Ok(bytes) => {
                self.log_bytes += bytes;
                self.memory.apply(std::mem::take(&mut batch.writes));
                if std::mem::take(&mut self.was_refused) {
                    tracing::info!("the disk takes writes again");
                }
            }
            Err(error) if !self.was_refused => {
                let directory = self.directory.path().display();
                tracing::error!(%error, %directory, "the log cannot be written; writes are refused until it can");
                self.was_refused = true;
            }
            Err(_) => {}
        }
        let refused = appended.err().map(Arc::new);
        for (sender, answer) in batch.answers.drain(..) {
            let answer = match &refused {
                Some(error) => Err(Unavailable::Disk(error.clone()).into()),
                None => answer,
            };
            // Whoever does not wait any more does not need to know.
            let _ = sender.send(answer);
        }
        batch.reset(self.appender.revision());
    }

    /// As much log as there is snapshot: then all compactions together write no more than the log itself.
    fn threshold(&self) -> u64 {
        self.options.compact_after_bytes.max(self.snapshot_bytes)
    }

    fn compact_when_due(&mut self) {
        if let Some(compaction) = self.compaction.take_if(|compaction| compaction.thread.is_finished()) {
            match compaction.thread.join() {
                Ok(Ok(bytes)) => {
                    self.log_bytes -= compaction.log_bytes;
                    self.first_file = compaction.first_kept;
                    self.snapshot_bytes = bytes;
                    self.compact_at = self.threshold();
                    self.retry_at = 0;
                }
                Ok(Err(_)) | Err(_) => self.retry_later(),
            }
        }
        let log_files = self.appender.next_number() - self.first_file;
        let is_due = self.log_bytes >= self.compact_at || log_files >= LOG_FILES;
        if is_due && self.log_bytes >= self.retry_at && self.compaction.is_none() {
            self.compact();
        }
    }

    /// The log goes on growing until there is room for a snapshot.
    fn retry_later(&mut self) {
        self.retry_at = self.log_bytes + self.threshold() / 4;
    }

    /// Starts a snapshot of what is durable now. Writers go on in a new file.
    fn compact(&mut self) {
        let revision = self.appender.revision();
        let first_kept = self.appender.rotate();
        // Nobody writes while this thread does not: this is the state at `revision`.
        let objects = self.memory.objects();
        let stop = Arc::new(AtomicBool::new(false));
        let thread = {
            let (directory, disk, stop) = (self.directory.clone(), self.disk.clone(), stop.clone());
            move || {
                let result = write_snapshot(&directory, &*disk, revision, &objects, &stop);
                let result = result.and_then(|bytes| {
                    remove_older(&directory, &*disk, revision, first_kept)?;
                    Ok(bytes)
                });
                if let Err(error) = &result
                    && !stop.load(Ordering::Relaxed)
                {
                    let directory = directory.path().display();
                    tracing::warn!(%error, %directory, "the log could not be compacted; it keeps growing");
                }
                result
            }
        };
        match std::thread::Builder::new().name("store-compaction".to_owned()).spawn(thread) {
            Ok(thread) => {
                let log_bytes = self.log_bytes;
                self.compaction = Some(Compaction { stop, thread, log_bytes, first_kept });
            }
            Err(error) => {
                tracing::warn!(%error, "no thread to compact the log with");
                self.retry_later();
            }
        }
    }
}

/// Removes what a snapshot stands for.
fn remove_older(
    directory: &Directory,
    disk: &dyn Disk,
    snapshot: Revision,
    first_kept: u64,
) -> std::io::Result<()> {
    let files = directory.files()?;
    let snapshots = files.snapshots.into_iter().filter(|&revision| revision < snapshot.get());
    let logs = files.logs.into_iter().filter(|&number| number < first_kept);
    let paths = snapshots
        .map(|revision| directory.snapshot(revision))
        .chain(logs.map(|number| directory.log(number)));
    for path in paths {
        disk.remove(&path)?;
    }
    Ok(())
}

impl<I: Clone> Batch<I> {
    fn new(newest: Revision) -> Self {
        Self {
            frame: Frame::default(),
            writes: Vec::new(),
            answers: Vec::new(),
            pending: HashMap::new(),
            next: following(newest),
        }
    }

    fn reset(&mut self, newest: Revision) {
        self.frame.clear();
        self.writes.clear();
        self.pending.clear();
        self.next = following(newest);
    }

    fn has_room(&self) -> bool {
        self.writes.len() < FRAME_RECORDS && self.frame.len() < FRAME_BYTES
    }

    /// Decides about a change. Answers at once when that depends on nothing that is not durable.
    fn add(&mut self, memory: &Memory<I>, change: Change<I>, answer: oneshot::Sender<Answer<I>>) {
        if answer.is_closed() {
            // Nobody waits for it any more, and nothing has been promised.
            return;
        }
        let pending = self.pending.get(change.key());
        let is_certain = pending.is_none();
        let current = pending.cloned().unwrap_or_else(|| memory.get(change.key()));
        let decision = change.decide(current.as_ref(), || self.next);
        let outcome = match decision {
            Ok(Decision::Write(write)) => {
                write.as_record().write(self.frame.records());
                let entry = write.entry().clone();
                let after = matches!(write, Write::Put(_)).then(|| entry.clone());
                self.pending.insert(entry.key.clone(), after);
                self.writes.push(write);
                self.next = following(self.next);
                self.answers.push((answer, Ok(entry)));
                return;
            }
            Ok(Decision::Keep(entry)) => Ok(entry),
            Err(error) => Err(error),
        };
        if is_certain {
            let _ = answer.send(outcome);
        } else {
            self.answers.push((answer, outcome));
        }
    }
}

fn following(revision: Revision) -> Revision {
    Revision::new(revision.get() + 1)
}

impl<I> Write<I> {
    fn as_record(&self) -> Record<'_> {
        let entry = self.entry();
        let content = match self {
            Self::Put(entry) => {
                let (before, after) = entry.around_stamp();
                Content::Put(Value { before, after })
            }
            Self::Delete(_) => Content::Delete,
        };
        Record { collection: entry.key.collection(), path: entry.key.path(), content }
    }
}

/// What the writer needs to know of the files that were there.
pub(crate) struct RecoveredFiles {
    pub(crate) next_number: u64,
    pub(crate) log_bytes: u64,
    pub(crate) log_files: usize,
    pub(crate) snapshot_bytes: u64,
}

impl<I> Recovered<I> {
    pub(crate) fn files(&self) -> RecoveredFiles {
        RecoveredFiles {
            next_number: self.next_number,
            log_bytes: self.log_bytes,
            log_files: self.log_files,
            snapshot_bytes: self.snapshot_bytes,
        }
    }
}
