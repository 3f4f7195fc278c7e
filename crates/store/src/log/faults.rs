//! What becomes of writes when the disk fails: a layer between log and file system lets it.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use proptest::prelude::*;
use tokio::task::JoinSet;

use super::appender::{Appender, Frame};
use super::directory::Directory;
use super::disk::{Disk, DiskFile, LocalDisk};
use super::frame::FILE_HEADER;
use super::writer::LOG_FILES;
use super::{LogOptions, OpenError, Recovery};
use crate::{HistoryLimits, Key, Page, Revision, Scope, Start, Store, Unavailable, Unstamped, WriteError};

/// What fails now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Faults {
    /// Writes of more bytes fail when this many of them are on the disk.
    write_after: Option<usize>,
    sync: bool,
    truncate: bool,
    create: bool,
    rename: bool,
    /// There is no room for snapshots, but for the log.
    snapshot: bool,
}

#[derive(Clone, Default)]
struct FaultyDisk {
    faults: Arc<Mutex<Faults>>,
    /// How many snapshots have been begun.
    snapshots: Arc<AtomicUsize>,
    gate: Arc<Gate>,
}

/// Holds back syncs while it is shut, and counts them.
#[derive(Default)]
struct Gate {
    shut: Mutex<bool>,
    changed: Condvar,
    waiting: AtomicUsize,
    syncs: AtomicUsize,
}

struct FaultyFile {
    file: Box<dyn DiskFile>,
    disk: FaultyDisk,
}

fn full() -> io::Error {
    io::ErrorKind::StorageFull.into()
}

fn fail_if(fails: bool) -> io::Result<()> {
    if fails { Err(full()) } else { Ok(()) }
}

impl Disk for FaultyDisk {
    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let faults = *self.faults.lock();
        if path.to_string_lossy().contains("snapshot-") {
            self.snapshots.fetch_add(1, Ordering::SeqCst);
            fail_if(faults.snapshot)?;
        }
        fail_if(faults.create)?;
        Ok(Box::new(FaultyFile { file: LocalDisk.create(path)?, disk: self.clone() }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fail_if(self.faults.lock().rename)?;
        LocalDisk.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        LocalDisk.remove(path)
    }

    fn sync_directory(&self, path: &Path) -> io::Result<()> {
        LocalDisk.sync_directory(path)
    }
}

impl DiskFile for FaultyFile {
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let room = self.disk.faults.lock().write_after.unwrap_or(usize::MAX).min(bytes.len());
        self.file.write_at(&bytes[..room], offset)?;
        fail_if(room < bytes.len())
    }

    fn truncate(&self, length: u64) -> io::Result<()> {
        fail_if(self.disk.faults.lock().truncate)?;
        self.file.truncate(length)
    }

    fn sync(&self) -> io::Result<()> {
        let gate = &self.disk.gate;
        gate.waiting.fetch_add(1, Ordering::SeqCst);
        let mut shut = gate.shut.lock();
        while *shut {
            gate.changed.wait(&mut shut);
        }
        drop(shut);
        gate.waiting.fetch_sub(1, Ordering::SeqCst);
        gate.syncs.fetch_add(1, Ordering::SeqCst);
        fail_if(self.disk.faults.lock().sync)?;
        self.file.sync()
    }
}

impl FaultyDisk {
    fn fail(&self, faults: Faults) {
        *self.faults.lock() = faults;
    }

    fn shut(&self, shut: bool) {
        *self.gate.shut.lock() = shut;
        self.gate.changed.notify_all();
    }
}

fn open(disk: &FaultyDisk, path: &Path) -> Result<(Store<()>, Recovery), OpenError> {
    open_with(disk, path, LogOptions::default())
}

fn open_with(
    disk: &FaultyDisk,
    path: &Path,
    options: LogOptions,
) -> Result<(Store<()>, Recovery), OpenError> {
    Store::open_on(Arc::new(disk.clone()), path, options, |_, _| ())
}

fn key(name: &str) -> Key {
    Key::new("pods", Some("ns"), name).unwrap()
}

fn value(content: &str) -> Unstamped {
    Unstamped::new(format!("@{content}").into_bytes(), 0)
}

/// Everything in the store.
fn state(store: &Store<()>) -> BTreeMap<String, (u64, u64, Vec<u8>)> {
    let listing = store.list(&Scope::collection("pods"), &Page::default()).unwrap();
    let entries = listing.entries.iter();
    entries
        .map(|entry| {
            let value = (entry.revision.get(), entry.created.get(), entry.value.to_vec());
            (entry.key.to_string(), value)
        })
        .collect()
}

/// Waits until something that another thread does has happened.
async fn eventually(what: &str, condition: impl Fn() -> bool) {
    let waited = tokio::time::timeout(Duration::from_secs(30), async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    });
    assert!(waited.await.is_ok(), "{what} has not happened in 30 s");
}

#[tokio::test]
async fn a_write_is_seen_when_it_is_durable_and_not_before() {
    let (disk, directory) = (FaultyDisk::default(), tempfile::tempdir().unwrap());
    let (store, _) = open(&disk, directory.path()).unwrap();
    store.create(key("first"), value("")).await.unwrap();
    let mut watch = store.watch(&Scope::collection("pods"), Start::Now).unwrap();
    disk.shut(true);
    let writing = tokio::spawn({
        let store = store.clone();
        async move { store.create(key("a"), value("")).await }
    });
    eventually("the sync", || disk.gate.waiting.load(Ordering::SeqCst) == 1).await;
    assert!(store.get(&key("a")).is_none());
    assert!(watch.ready().unwrap().is_none());
    assert_eq!((store.current_revision().get(), watch.bookmark().get()), (2, 2));
    assert!(!writing.is_finished());
    disk.shut(false);
    writing.await.unwrap().unwrap();
    assert!(store.get(&key("a")).is_some());
    assert_eq!(watch.next().await.unwrap().events.len(), 1);
}

#[tokio::test]
async fn writers_that_come_together_share_a_sync_and_the_order_of_revisions() {
    let (disk, directory) = (FaultyDisk::default(), tempfile::tempdir().unwrap());
    let (store, _) = open(&disk, directory.path()).unwrap();
    store.create(key("first"), value("")).await.unwrap();
    disk.shut(true);
    let blocked = tokio::spawn({
        let store = store.clone();
        async move { store.create(key("blocked"), value("")).await }
    });
    eventually("the sync", || disk.gate.waiting.load(Ordering::SeqCst) == 1).await;
    let before = disk.gate.syncs.load(Ordering::SeqCst);
    // Each name comes twice: of two creates one is told of the other, though neither is durable yet.
    let mut writers = JoinSet::new();
    for number in 0..200 {
        let store = store.clone();
        writers.spawn(async move { store.create(key(&format!("n{}", number / 2)), value("")).await });
    }
    tokio::task::yield_now().await;
    disk.shut(false);
    blocked.await.unwrap().unwrap();
    let results = writers.join_all().await;
    let mut revisions: Vec<u64> = results.iter().flatten().map(|entry| entry.revision.get()).collect();
    revisions.sort_unstable();
    assert_eq!(revisions, (4..104).collect::<Vec<_>>());
    let taken = results.iter().filter(|result| matches!(result, Err(WriteError::Exists(_)))).count();
    assert_eq!(taken, 100);
    let syncs = disk.gate.syncs.load(Ordering::SeqCst) - before;
    assert!(syncs <= 6, "200 writers and one before them, in {syncs} syncs");
}

#[tokio::test]
async fn a_disk_that_fails_takes_nothing_back_and_goes_on_when_it_can() {
    let write = |bytes| Faults { write_after: Some(bytes), ..Faults::default() };
    let sync = Faults { sync: true, ..Faults::default() };
    for faults in [
        write(0),
        write(1),
        write(40),
        Faults { truncate: true, ..write(40) },
        sync,
        Faults { truncate: true, ..sync },
        Faults { create: true, ..sync },
        Faults { rename: true, truncate: true, ..sync },
    ] {
        let (disk, directory) = (FaultyDisk::default(), tempfile::tempdir().unwrap());
        let (store, _) = open(&disk, directory.path()).unwrap();
        let first = store.create(key("a"), value("1")).await.unwrap();
        let mut watch = store.watch(&Scope::collection("pods"), Start::Now).unwrap();
        disk.fail(faults);
        for _ in 0..3 {
            let error = store.create(key("b"), value("x")).await.unwrap_err();
            assert!(matches!(error, WriteError::Unavailable(Unavailable::Disk(_))), "{faults:?}: {error}");
            assert!(error.to_string().contains("try again"), "{error}");
            let error = store.delete(&first.key, None).await.unwrap_err();
            assert!(matches!(error, WriteError::Unavailable(_)), "{error}");
            // Refusals that need no disk are still given.
            let error = store.create(key("a"), value("x")).await.unwrap_err();
            assert!(matches!(error, WriteError::Exists(_)), "{error}");
        }
        assert!(store.get(&key("b")).is_none());
        assert!(watch.ready().unwrap().is_none(), "{faults:?}");
        disk.fail(Faults::default());
        let second = store.create(key("c"), value("2")).await.unwrap();
        assert_eq!(second.revision.get(), 3, "{faults:?}: refused writes take no revision");
        store.update(&first.key, first.revision, value("3")).await.unwrap();
        let before = state(&store);
        store.close().await;
        let (again, recovery) = open(&disk, directory.path()).unwrap();
        assert_eq!(state(&again), before, "{faults:?}");
        assert_eq!((recovery.revision.get(), recovery.cut), (4, None), "{faults:?}");
    }
}

/// A copy of the directory whose files of this name have another content.
fn copy_with(directory: &Path, name: &str, content: &[u8]) -> tempfile::TempDir {
    let copy = tempfile::tempdir().unwrap();
    for entry in fs::read_dir(directory).unwrap() {
        let entry = entry.unwrap();
        if entry.file_name() != name {
            fs::copy(entry.path(), copy.path().join(entry.file_name())).unwrap();
        }
    }
    fs::write(copy.path().join(name), content).unwrap();
    copy
}

#[tokio::test]
async fn a_power_loss_takes_the_unsynced_tail_and_nothing_else() {
    const LOG: &str = "log-0000000001";
    let (disk, directory) = (FaultyDisk::default(), tempfile::tempdir().unwrap());
    let (store, _) = open(&disk, directory.path()).unwrap();
    for name in ["a", "b"] {
        store.create(key(name), value(name)).await.unwrap();
    }
    let durable = fs::read(directory.path().join(LOG)).unwrap().len();
    let promised = state(&store);
    disk.shut(true);
    let writing = tokio::spawn({
        let store = store.clone();
        async move { store.create(key("c"), value("c")).await }
    });
    eventually("the sync", || disk.gate.waiting.load(Ordering::SeqCst) == 1).await;
    // Here the power goes: the frame is written, and not one byte of it has to be on the disk.
    let written = fs::read(directory.path().join(LOG)).unwrap();
    disk.shut(false);
    writing.await.unwrap().unwrap();
    let whole = state(&store);
    for cut in durable..=written.len() {
        let mut zeroed = written.clone();
        zeroed[cut..].fill(0);
        let mut holed = written.clone();
        holed[durable..cut].fill(0);
        for content in [&written[..cut], &zeroed, &holed] {
            let copy = copy_with(directory.path(), LOG, content);
            let (again, recovery) = open(&FaultyDisk::default(), copy.path()).unwrap();
            if content == written {
                assert_eq!(state(&again), whole);
            } else {
                assert_eq!(state(&again), promised, "cut at {cut}");
                assert_eq!(recovery.cut.map_or(durable, |cut| cut.offset as usize), durable);
            }
        }
    }
}

#[tokio::test]
async fn a_log_that_cannot_be_compacted_grows_until_it_can() {
    let (disk, directory) = (FaultyDisk::default(), tempfile::tempdir().unwrap());
    let options = LogOptions { compact_after_bytes: 2_000, ..LogOptions::default() };
    let (store, _) = open_with(&disk, directory.path(), options).unwrap();
    let files = || {
        let mut names: Vec<_> = fs::read_dir(directory.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| name != "lock")
            .collect();
        names.sort();
        names
    };
    let mut last = store.create(key("a"), value("0")).await.unwrap();
    // Logs go on being made: only the snapshot's name is refused.
    disk.fail(Faults { rename: true, ..Faults::default() });
    for number in 1..15 {
        last = store.update(&last.key, last.revision, value(&number.to_string())).await.unwrap();
    }
    assert_eq!(files(), ["log-0000000001"]);
    let filler = "x".repeat(2_000);
    last = store.update(&last.key, last.revision, value(&filler)).await.unwrap();
    // The compaction fails, and so does the next write: it needs another file.
    let error = store.update(&last.key, last.revision, value("refused")).await.unwrap_err();
    assert!(matches!(error, WriteError::Unavailable(_)), "{error}");
    disk.fail(Faults::default());
    for number in 0..100 {
        let text = format!("{number}{filler}");
        last = store.update(&last.key, last.revision, value(&text)).await.unwrap();
        if files().iter().any(|name| name.starts_with("snapshot-")) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let before = state(&store);
    store.close().await;
    assert!(files().iter().any(|name| name.starts_with("snapshot-")), "{:?}", files());
    assert!(!files().iter().any(|name| name.starts_with("unfinished-")), "{:?}", files());
    let (again, recovery) = open(&disk, directory.path()).unwrap();
    assert_eq!(state(&again), before);
    assert!(recovery.snapshot.is_some());
}

/// The names of the files in the directory that begin so.
fn names(directory: &Path, prefix: &str) -> Vec<String> {
    let names = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name());
    let mut names: Vec<String> =
        names.map(|name| name.into_string().unwrap()).filter(|name| name.starts_with(prefix)).collect();
    names.sort();
    names
}

#[tokio::test]
async fn many_files_are_not_compacted_again_at_each_write_when_there_is_no_room() {
    let (disk, directory) = (FaultyDisk::default(), tempfile::tempdir().unwrap());
    let (path, many) = (directory.path(), LOG_FILES as usize);
    let options = LogOptions { compact_after_bytes: 1 << 20, ..LogOptions::default() };
    // Each start makes a file. The last is left for later.
    for number in 1..many {
        let (store, _) = open_with(&disk, path, options).unwrap();
        store.create(key(&number.to_string()), value("")).await.unwrap();
        store.close().await;
    }
    let attempts = || disk.snapshots.load(Ordering::SeqCst);
    assert_eq!((attempts(), names(path, "log-").len()), (0, many - 1));
    disk.fail(Faults { snapshot: true, ..Faults::default() });
    let (store, _) = open_with(&disk, path, options).unwrap();
    let mut last = store.create(key("a"), value("")).await.unwrap();
    eventually("the first attempt", || attempts() == 1).await;
    for number in 0..100 {
        last = store.update(&last.key, last.revision, value(&number.to_string())).await.unwrap();
    }
    // The last before the attempt, and one after it.
    assert_eq!((attempts(), names(path, "log-").len()), (1, many + 1));
    // A quarter of what would be compacted without many files is worth another attempt.
    let filler = "x".repeat(300 << 10);
    last = store.update(&last.key, last.revision, value(&filler)).await.unwrap();
    eventually("the second attempt", || attempts() == 2).await;
    for number in 0..100 {
        last = store.update(&last.key, last.revision, value(&number.to_string())).await.unwrap();
    }
    assert_eq!((attempts(), names(path, "log-").len()), (2, many + 2));
    disk.fail(Faults::default());
    store.update(&last.key, last.revision, value(&filler)).await.unwrap();
    eventually("the third attempt", || !names(path, "snapshot-").is_empty()).await;
    eventually("the removal of the log", || names(path, "log-").is_empty()).await;
    let before = state(&store);
    store.close().await;
    assert_eq!(attempts(), 3);
    let (again, _) = open_with(&disk, path, options).unwrap();
    assert_eq!(state(&again), before);
}

#[tokio::test]
async fn files_that_are_made_while_the_store_is_open_are_compacted_when_they_are_many() {
    let (disk, directory) = (FaultyDisk::default(), tempfile::tempdir().unwrap());
    let path = directory.path();
    let (store, _) = open(&disk, path).unwrap();
    for number in 1..LOG_FILES {
        store.create(key(&number.to_string()), value("")).await.unwrap();
        // A failed sync ends a file.
        disk.fail(Faults { sync: true, ..Faults::default() });
        store.create(key("refused"), value("")).await.unwrap_err();
        disk.fail(Faults::default());
    }
    assert_eq!(names(path, "log-").len() as u64, LOG_FILES - 1);
    assert_eq!(disk.snapshots.load(Ordering::SeqCst), 0);
    store.create(key("last"), value("")).await.unwrap();
    eventually("the removal of the log", || names(path, "log-").is_empty()).await;
    assert_eq!(names(path, "snapshot-").len(), 1);
}

#[test]
fn a_file_in_which_nothing_is_yet_is_not_left_for_another() {
    let (disk, directory) = (FaultyDisk::default(), tempfile::tempdir().unwrap());
    let directory = Arc::new(Directory::open(directory.path()).unwrap());
    let mut appender = Appender::new(directory, Arc::new(disk.clone()), 1, Revision::new(1));
    assert_eq!(appender.rotate(), 1, "there is no file yet");
    let mut frame = Frame::default();
    frame.records().extend(b"a record");
    // Room for the header of the file, but not for the frame.
    disk.fail(Faults { write_after: Some(FILE_HEADER), ..Faults::default() });
    appender.append(&mut frame).unwrap_err();
    assert_eq!((appender.rotate(), appender.next_number()), (1, 2));
    disk.fail(Faults::default());
    appender.append(&mut frame).unwrap();
    assert_eq!((appender.next_number(), appender.rotate()), (2, 2));
}

#[tokio::test]
async fn a_snapshot_is_whole_wherever_its_last_frame_ends() {
    // The objects of the last snapshot: none, one that is a frame of its own, and one that another follows.
    for sizes in [&[][..], &[300 << 10], &[300 << 10, 1], &[1, 300 << 10], &[1]] {
        let (disk, directory) = (FaultyDisk::default(), tempfile::tempdir().unwrap());
        let options = LogOptions { compact_after_bytes: 1, ..LogOptions::default() };
        let quiet = LogOptions { compact_after_bytes: 1 << 30, ..LogOptions::default() };
        let (store, _) = open_with(&disk, directory.path(), quiet).unwrap();
        for (number, size) in sizes.iter().enumerate() {
            store.create(key(&number.to_string()), value(&"x".repeat(*size))).await.unwrap();
        }
        let over = store.create(key("over"), value("")).await.unwrap();
        store.close().await;
        let (store, _) = open_with(&disk, directory.path(), options).unwrap();
        store.delete(&over.key, None).await.unwrap();
        eventually("the snapshot", || !names(directory.path(), "snapshot-").is_empty()).await;
        let before = state(&store);
        store.close().await;
        let (again, recovery) = open_with(&disk, directory.path(), quiet).unwrap();
        assert_eq!((state(&again), before.len()), (before, sizes.len()));
        assert!(recovery.snapshot.is_some());
    }
}

#[derive(Clone, Debug)]
enum Step {
    Create(u8),
    Update(u8),
    Delete(u8),
    Fail(Faults),
    Heal,
    Reopen,
}

fn step() -> impl Strategy<Value = Step> {
    let faults = (proptest::option::of(0..60usize), any::<[bool; 4]>()).prop_map(
        |(write_after, [sync, truncate, create, rename])| Faults {
            write_after,
            sync,
            truncate,
            create,
            rename,
            snapshot: false,
        },
    );
    prop_oneof![
        4 => (0..4u8).prop_map(Step::Create),
        4 => (0..4u8).prop_map(Step::Update),
        2 => (0..4u8).prop_map(Step::Delete),
        2 => faults.prop_map(Step::Fail),
        2 => Just(Step::Heal),
        1 => Just(Step::Reopen),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn whatever_fails_in_between_a_restart_finds_what_was_acknowledged(steps in proptest::collection::vec(step(), 1..60)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let (disk, directory) = (FaultyDisk::default(), tempfile::tempdir().unwrap());
            let limits = HistoryLimits::default();
            let options = LogOptions { history: limits, compact_after_bytes: 600 };
            let (mut store, _) = open_with(&disk, directory.path(), options).unwrap();
            // A refused frame of which nobody can say whether it is there.
            let mut is_unsure = false;
            for (number, step) in steps.iter().chain([&Step::Heal, &Step::Reopen]).enumerate() {
                let text = number.to_string();
                let written = match step {
                    Step::Create(name) => store.create(key(&name.to_string()), value(&text)).await,
                    Step::Update(name) => {
                        let key = key(&name.to_string());
                        let at = store.get(&key).map_or(Revision::new(1), |entry| entry.revision);
                        store.update(&key, at, value(&text)).await
                    }
                    Step::Delete(name) => store.delete(&key(&name.to_string()), None).await,
                    Step::Fail(faults) => { disk.fail(*faults); continue }
                    Step::Heal => { disk.fail(Faults::default()); continue }
                    Step::Reopen => {
                        let (before, revision) = (state(&store), store.current_revision());
                        store.close().await;
                        drop(store);
                        disk.fail(Faults::default());
                        let (again, recovery) = open_with(&disk, directory.path(), options).unwrap();
                        if !is_unsure {
                            assert_eq!(state(&again), before);
                            assert_eq!(recovery.revision, revision);
                        }
                        is_unsure = false;
                        store = again;
                        continue;
                    }
                };
                match written {
                    Ok(_) => is_unsure = false,
                    Err(WriteError::Unavailable(_)) => is_unsure |= disk.faults.lock().truncate,
                    Err(_) => {}
                }
            }
        });
    }
}
