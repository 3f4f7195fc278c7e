//! Whatever the files of a data directory hold: what is opened opens again as it was, and takes a write. Marks and checksums
//! are right where a script does not spoil them, or nothing but the header would ever be looked at. The fuzz target `log`
//! does the same with a wider world.

use std::fs;
use std::path::Path;

use proptest::prelude::*;
use proptest::sample::Index;

use super::frame::{FileHeader, FileKind, FrameHeader};
use super::record::{Content, Record, Value};
use crate::{Key, LogOptions, Page, Revision, Scope, Store, Unstamped};

const MARK: u64 = 0x0123_4567_89ab_cdef;

#[derive(Clone, Debug)]
enum Part {
    /// The next file of the log.
    Log {
        base: u64,
    },
    Snapshot {
        revision: u64,
    },
    /// A frame that goes on where the last ended.
    Frame(Vec<Entry>),
    /// A frame of any place, with any count.
    Stray {
        first: u64,
        count: u32,
        entries: Vec<Entry>,
    },
    Bytes(Vec<u8>),
    Flip(Index, u8),
}

#[derive(Clone, Debug)]
enum Entry {
    Put(&'static str),
    Delete(&'static str),
    Object { path: &'static str, revision: u64, created: u64 },
}

impl Entry {
    fn write(&self, bytes: &mut Vec<u8>) {
        let value = Value { before: b"{", after: b"}" };
        let (path, content) = match *self {
            Self::Put(path) => (path, Content::Put(value)),
            Self::Delete(path) => (path, Content::Delete),
            Self::Object { path, revision, created } => {
                let (revision, created) = (Revision::new(revision), Revision::new(created));
                (path, Content::Object { revision, created, value })
            }
        };
        Record { collection: "pods", path, content }.write(bytes);
    }
}

fn a_revision() -> impl Strategy<Value = u64> {
    prop_oneof![12 => 0_u64..8, 1 => (0_u64..3).prop_map(|less| u64::MAX - less)]
}

fn an_entry() -> impl Strategy<Value = Entry> {
    let path = || prop::sample::select(vec!["ns/a", "ns/b", "a", "", "ns/a/b"]);
    prop_oneof![
        4 => path().prop_map(Entry::Put),
        2 => path().prop_map(Entry::Delete),
        3 => (path(), a_revision(), a_revision())
            .prop_map(|(path, revision, created)| Entry::Object { path, revision, created }),
    ]
}

fn a_part() -> impl Strategy<Value = Part> {
    let entries = || prop::collection::vec(an_entry(), 0..3);
    prop_oneof![
        3 => a_revision().prop_map(|base| Part::Log { base }),
        2 => a_revision().prop_map(|revision| Part::Snapshot { revision }),
        8 => entries().prop_map(Part::Frame),
        2 => (a_revision(), 0_u32..4, entries())
            .prop_map(|(first, count, entries)| Part::Stray { first, count, entries }),
        1 => prop::collection::vec(any::<u8>(), 0..80).prop_map(Part::Bytes),
        1 => (any::<Index>(), any::<u8>()).prop_map(|(at, bits)| Part::Flip(at, bits)),
    ]
}

fn frame(first: u64, count: u32, entries: &[Entry]) -> Vec<u8> {
    let mut records = Vec::new();
    for entry in entries {
        entry.write(&mut records);
    }
    [&FrameHeader::new(first, count, &records).to_bytes(MARK)[..], &records].concat()
}

fn header(kind: FileKind, revision: u64) -> Vec<u8> {
    FileHeader { kind, revision: Revision::new(revision), mark: MARK }.to_bytes().to_vec()
}

fn carry_out(script: &[Part], directory: &Path) {
    fs::write(directory.join("lock"), "").unwrap();
    let mut files: Vec<(String, Vec<u8>)> = Vec::new();
    let (mut next, mut logs) = (0_u64, 0);
    for part in script {
        match part {
            Part::Log { base } => {
                logs += 1;
                files.push((format!("log-{logs:010}"), header(FileKind::Log, *base)));
                next = base.wrapping_add(1);
                continue;
            }
            Part::Snapshot { revision } => {
                files.push((format!("snapshot-{revision:020}"), header(FileKind::Snapshot, *revision)));
                next = 0;
                continue;
            }
            _ => {}
        }
        let Some((_, file)) = files.last_mut() else { continue };
        match part {
            Part::Frame(entries) => {
                let count = u32::try_from(entries.len()).unwrap();
                file.extend(frame(next, count, entries));
                next = next.wrapping_add(u64::from(count));
            }
            Part::Stray { first, count, entries } => file.extend(frame(*first, *count, entries)),
            Part::Bytes(bytes) => file.extend(bytes),
            Part::Flip(at, bits) => {
                let at = at.index(file.len());
                file[at] ^= bits;
            }
            Part::Log { .. } | Part::Snapshot { .. } => {}
        }
    }
    for (name, file) in files {
        fs::write(directory.join(name), file).unwrap();
    }
}

/// The store, its revision, how many objects it has, and whether something was cut off; none when it refuses what is there.
fn opened(directory: &Path) -> Option<(Store<()>, u64, usize, bool)> {
    let (store, recovery) = Store::open(directory, LogOptions::default(), |_, _| ()).ok()?;
    let listing = store.list(&Scope::collection("pods"), &Page::default()).unwrap();
    let revision = store.current_revision().get();
    assert_eq!(revision, recovery.revision.get());
    assert!(listing.entries.iter().all(|entry| entry.created <= entry.revision));
    assert!(listing.entries.iter().all(|entry| entry.revision.get() <= revision));
    Some((store, revision, listing.entries.len(), recovery.cut.is_some()))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    #[test]
    fn what_is_opened_opens_again_and_takes_a_write(script in prop::collection::vec(a_part(), 0..9)) {
        let directory = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
        let directory = directory.path();
        carry_out(&script, directory);
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let Some((store, revision, objects, _)) = opened(directory) else { return Ok(()) };
        runtime.block_on(store.close());
        drop(store);
        let again = opened(directory);
        prop_assert!(again.is_some(), "it was opened once");
        let Some((store, same, objects_again, cut)) = again else { return Ok(()) };
        prop_assert_eq!((revision, objects, false), (same, objects_again, cut));
        runtime.block_on(async {
            let key = Key::new("pods", Some("fuzz"), "one-more").unwrap();
            store.create(key, Unstamped::new(b"{}".to_vec(), 1)).await.unwrap();
            store.close().await;
        });
        drop(store);
        let last = opened(directory).map(|(_, revision, objects, _)| (revision, objects));
        prop_assert_eq!(last, Some((revision + 1, objects + 1)));
    }
}
