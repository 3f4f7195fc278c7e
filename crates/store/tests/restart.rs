//! What a data directory gives back, and what it says of one that somebody or something has changed.
#![expect(clippy::unwrap_used, reason = "functions outside #[test] in a test file")]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tempfile::TempDir;
use tokenward_store::{
    EventKind, Key, LogOptions, OpenError, Page, ReadError, Recovery, Revision, Scope, Start, Store,
    Unavailable, Unstamped, WriteError,
};

fn key(name: &str) -> Key {
    Key::new("pods", Some("ns"), name).unwrap()
}

fn value(content: &str) -> Unstamped {
    Unstamped::new(format!("@{content}").into_bytes(), 0)
}

fn open(path: &Path) -> Result<(Store<usize>, Recovery), OpenError> {
    open_with(path, LogOptions::default().compact_after_bytes)
}

fn open_with(path: &Path, compact_after_bytes: u64) -> Result<(Store<usize>, Recovery), OpenError> {
    let options = LogOptions { compact_after_bytes, ..LogOptions::default() };
    Store::open(path, options, |_, bytes| bytes.len())
}

fn pods() -> Scope {
    Scope::collection("pods")
}

fn values(store: &Store<usize>) -> Vec<String> {
    let listing = store.list(&pods(), &Page::default()).unwrap();
    listing.entries.iter().map(|entry| String::from_utf8(entry.value.to_vec()).unwrap()).collect()
}

fn names(directory: &Path) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name != "lock")
        .collect();
    names.sort();
    names
}

/// A directory with three objects a, b, c at revisions 2, 3, 4, each written by itself.
async fn three() -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    let (store, recovery) = open(directory.path()).unwrap();
    assert_eq!((recovery.revision.get(), recovery.replayed), (1, 0));
    for name in ["a", "b", "c"] {
        store.create(key(name), value(name)).await.unwrap();
    }
    store.close().await;
    directory
}

fn log(directory: &TempDir, number: u64) -> PathBuf {
    directory.path().join(format!("log-{number:010}"))
}

/// Updates one object until a snapshot has been taken; gives its revision.
async fn compact(path: &Path) -> u64 {
    let (store, _) = open_with(path, 1).unwrap();
    let mut last = store.get(&key("a")).unwrap();
    for number in 0..1_000 {
        last = store.update(&last.key, last.revision, value(&number.to_string())).await.unwrap();
        if names(path).iter().any(|name| name.starts_with("snapshot-")) {
            store.close().await;
            let names = names(path);
            let snapshot = names.iter().find_map(|name| name.strip_prefix("snapshot-"));
            return snapshot.unwrap().parse().unwrap();
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    panic!("no snapshot");
}

#[tokio::test]
async fn objects_revisions_and_indexes_come_back() {
    let directory = tempfile::tempdir().unwrap();
    let (store, _) = open(directory.path()).unwrap();
    let a = store.create(key("a"), value("one")).await.unwrap();
    let b = store.create(key("b"), value("two")).await.unwrap();
    let a = store.update(&a.key, a.revision, value("three")).await.unwrap();
    store.delete(&b.key, None).await.unwrap();
    store.close().await;
    let (store, recovery) = open(directory.path()).unwrap();
    assert_eq!((recovery.revision.get(), recovery.replayed, &recovery.cut), (5, 4, &None));
    let again = store.get(&a.key).unwrap();
    assert_eq!((again.revision.get(), again.created.get(), again.index), (4, 2, 6));
    assert_eq!(again.value, "4@three");
    assert!(store.get(&b.key).is_none());
    // The last write was a delete: its revision is not given again.
    assert_eq!(store.current_revision().get(), 5);
    assert_eq!(store.create(key("b"), value("")).await.unwrap().revision.get(), 6);
    let update = store.update(&a.key, again.revision, value("three")).await.unwrap();
    assert_eq!(update.revision.get(), 4, "nothing has changed in it");
}

#[tokio::test]
async fn a_watch_goes_on_over_a_restart_as_far_as_the_log_reaches() {
    let directory = three().await;
    let (store, _) = open(directory.path()).unwrap();
    store.delete(&key("b"), None).await.unwrap();
    store.close().await;
    let (store, _) = open(directory.path()).unwrap();
    let mut watch = store.watch(&pods(), Start::After(Revision::new(3))).unwrap();
    let events = watch.next().await.unwrap().events;
    let seen: Vec<_> = events.iter().map(|event| (event.kind, event.revision.get())).collect();
    assert_eq!(seen, [(EventKind::Put, 4), (EventKind::Delete, 5)]);
    assert_eq!(events[1].previous.as_ref().unwrap().value, "3@b");
    store.close().await;

    let snapshot = compact(directory.path()).await;
    let (store, recovery) = open(directory.path()).unwrap();
    assert_eq!(recovery.snapshot, Some(Revision::new(snapshot)));
    let older = Revision::new(snapshot - 1);
    for scope in [pods(), Scope::collection("nodes")] {
        let error = store.watch(&scope, Start::After(older)).unwrap_err();
        assert!(matches!(error, ReadError::Compacted(_)), "{error}");
        let page = Page { at: Some(older), ..Page::default() };
        assert!(matches!(store.list(&scope, &page), Err(ReadError::Compacted(_))));
        store.watch(&scope, Start::After(Revision::new(snapshot))).unwrap();
    }
}

#[tokio::test]
async fn a_compacted_store_is_the_same_store() {
    let directory = three().await;
    let (store, _) = open(directory.path()).unwrap();
    store.create(Key::new("storage.k8s.io/csidrivers", None, "d").unwrap(), value("d")).await.unwrap();
    store.close().await;
    compact(directory.path()).await;
    let (store, _) = open(directory.path()).unwrap();
    let last = store.delete(&key("a"), None).await.unwrap().revision;
    store.close().await;
    // Compacted right after a delete, or not: the counter goes on.
    let (store, _) = open_with(directory.path(), 1).unwrap();
    assert_eq!(store.current_revision(), last);
    assert_eq!(values(&store), ["3@b", "4@c"]);
    let driver = store.get(&Key::new("storage.k8s.io/csidrivers", None, "d").unwrap()).unwrap();
    assert_eq!((driver.value.as_ref(), driver.created.get()), (&b"5@d"[..], 5));
    store.close().await;
    for name in names(directory.path()) {
        let mode = fs::metadata(directory.path().join(&name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
}

#[tokio::test]
async fn any_tail_that_is_lost_leaves_what_came_before() {
    let directory = three().await;
    let whole = fs::read(log(&directory, 1)).unwrap();
    let lock = fs::read(directory.path().join("lock")).unwrap();
    let mut last = 3;
    for length in (36..whole.len()).rev() {
        let copy = tempfile::tempdir().unwrap();
        fs::write(copy.path().join("lock"), &lock).unwrap();
        fs::write(log(&copy, 1), &whole[..length]).unwrap();
        let (store, recovery) = open(copy.path()).unwrap();
        let values = values(&store);
        assert!(values.len() <= last, "more objects after more was cut");
        assert_eq!(values, ["2@a", "3@b", "4@c"][..values.len()]);
        assert_eq!(recovery.revision.get(), 1 + values.len() as u64);
        if let Some(cut) = &recovery.cut {
            assert_eq!(cut.file, fs::canonicalize(log(&copy, 1)).unwrap());
            assert_eq!(cut.offset + cut.bytes, length as u64);
        }
        store.create(key("d"), value("new")).await.unwrap();
        store.close().await;
        let (store, recovery) = open(copy.path()).unwrap();
        assert_eq!(recovery.cut, None, "repaired for good");
        assert_eq!(store.list(&pods(), &Page::default()).unwrap().entries.len(), values.len() + 1);
        last = values.len();
    }
    assert_eq!(last, 0);
}

#[tokio::test]
async fn damage_in_the_middle_is_an_error_whose_advice_works() {
    let directory = three().await;
    let whole = fs::read(log(&directory, 1)).unwrap();
    let at = whole.windows(2).position(|window| window == b"@b").unwrap();
    let mut damaged = whole.clone();
    damaged[at] ^= 1;
    fs::write(log(&directory, 1), &damaged).unwrap();
    let error = open(directory.path()).unwrap_err();
    let OpenError::Damaged { file, offset, revision } = &error else { panic!("{error}") };
    assert!(error.to_string().contains(&format!("log-0000000001` is damaged at byte {offset}")), "{error}");
    assert!(error.to_string().contains("put the directory back from a copy"), "{error}");
    assert_eq!(revision.get(), 2);
    assert!(*offset < at as u64);
    assert_eq!(fs::read(file).unwrap(), damaged, "nothing is touched");
    fs::File::options().write(true).open(file).unwrap().set_len(*offset).unwrap();
    let (store, recovery) = open(directory.path()).unwrap();
    assert_eq!((values(&store), recovery.cut), (vec!["2@a".to_owned()], None));
}

#[tokio::test]
async fn files_that_are_missing_newer_or_others_are_named() {
    let directory = three().await;
    for _ in 0..2 {
        let (store, _) = open(directory.path()).unwrap();
        store.create(key(&store.current_revision().to_string()), value("")).await.unwrap();
        store.close().await;
    }
    assert_eq!(names(directory.path()), ["log-0000000001", "log-0000000002", "log-0000000003"]);
    let middle = fs::read(log(&directory, 2)).unwrap();
    let mut newer = middle.clone();
    newer[8] = 9;
    for (content, expected) in [
        (None, "log-0000000003` does not go on where the files before it end: wanted revision 4, found 5"),
        (Some(newer), "its format has version 9, and this release reads version 1"),
        (Some(b"#!/bin/sh".to_vec()), "log-0000000002` cannot be used: it is no file of this store"),
        (Some(middle[..40].to_vec()), "log-0000000002` is damaged at byte 36"),
    ] {
        match content {
            Some(content) => fs::write(log(&directory, 2), content).unwrap(),
            None => fs::remove_file(log(&directory, 2)).unwrap(),
        }
        let text = open(directory.path()).unwrap_err().to_string();
        assert!(text.contains(expected), "{text}");
    }
    fs::write(log(&directory, 2), middle).unwrap();
    let (store, _) = open(directory.path()).unwrap();
    assert_eq!(store.current_revision().get(), 6);
}

#[tokio::test]
async fn a_damaged_snapshot_is_an_error_wherever_it_is_hit() {
    let directory = three().await;
    let snapshot = compact(directory.path()).await;
    let path = directory.path().join(format!("snapshot-{snapshot:020}"));
    let whole = fs::read(&path).unwrap();
    for at in (0..whole.len()).step_by(3) {
        let mut damaged = whole.clone();
        damaged[at] ^= 4;
        fs::write(&path, damaged).unwrap();
        let error = open(directory.path()).unwrap_err();
        assert!(error.to_string().contains("snapshot-"), "{error}");
        fs::write(&path, &whole[..at]).unwrap();
        assert!(open(directory.path()).is_err(), "cut at {at}");
    }
    fs::write(&path, whole).unwrap();
    open(directory.path()).unwrap().0.close().await;
}

#[tokio::test]
async fn what_a_crash_left_of_a_compaction_is_cleared_away() {
    let directory = three().await;
    let before = fs::read(log(&directory, 1)).unwrap();
    let snapshot = compact(directory.path()).await;
    fs::write(directory.path().join("unfinished-snapshot-00000000000000000099"), "half").unwrap();
    // The snapshot is there, and the log that it stands for has not been removed yet.
    fs::write(log(&directory, 1), before).unwrap();
    let (store, recovery) = open(directory.path()).unwrap();
    assert_eq!(recovery.snapshot, Some(Revision::new(snapshot)));
    assert_eq!(values(&store)[1..], ["3@b", "4@c"]);
    let names = names(directory.path());
    assert!(
        !names.iter().any(|name| name == "log-0000000001" || name.starts_with("unfinished")),
        "{names:?}"
    );
}

#[tokio::test]
async fn a_closed_store_takes_no_writes_and_leaves_the_directory_to_the_next() {
    let directory = three().await;
    let (store, _) = open(directory.path()).unwrap();
    assert!(matches!(open(directory.path()).unwrap_err(), OpenError::InUse { .. }));
    store.close().await;
    let error = store.create(key("d"), value("")).await.unwrap_err();
    assert!(matches!(error, WriteError::Unavailable(Unavailable::Closed)), "{error}");
    assert_eq!(values(&store).len(), 3);
    let (next, _) = open(directory.path()).unwrap();
    drop(next);
}
