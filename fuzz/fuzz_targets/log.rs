//! The files of a data directory, as a disk may give them back. What is given is a script: each part has a byte that says
//! what it is, a byte for a number and one for its length. Marks and checksums are right where the script does not spoil
//! them, or nothing but the header would ever be looked at.
#![no_main]

use std::fs;
use std::path::Path;

use libfuzzer_sys::fuzz_target;
use tokenward_store::{Key, LogOptions, Page, Scope, Store, Unstamped};
use tokio::runtime::Builder;

const MARK: u64 = 0x0123_4567_89ab_cdef;

/// A part of a script: what it is, its number, its bytes.
type Part<'a> = (u8, u8, &'a [u8]);

fn parts(script: &[u8]) -> Vec<Part<'_>> {
    let mut parts = Vec::new();
    let mut rest = script;
    while let [what, number, length, more @ ..] = rest {
        let (bytes, after) = more.split_at(usize::from(*length).min(more.len()));
        parts.push((*what, *number, bytes));
        rest = after;
    }
    parts
}

/// Small numbers, and those near the end of all numbers.
fn revision(number: u8) -> u64 {
    if number < 0xf0 { u64::from(number) } else { u64::MAX - u64::from(0xff - number) }
}

fn header(kind: u32, revision: u64) -> Vec<u8> {
    let mut bytes = b"tokenwrd".to_vec();
    bytes.extend(1_u32.to_le_bytes());
    bytes.extend(kind.to_le_bytes());
    bytes.extend(revision.to_le_bytes());
    bytes.extend(MARK.to_le_bytes());
    bytes.extend(crc32fast::hash(&bytes).to_le_bytes());
    bytes
}

fn frame(first: u64, count: u8, records: &[u8]) -> Vec<u8> {
    let mut bytes = MARK.to_le_bytes().to_vec();
    bytes.extend((records.len() as u64).to_le_bytes());
    bytes.extend(first.to_le_bytes());
    bytes.extend(u32::from(count).to_le_bytes());
    bytes.extend(crc32fast::hash(records).to_le_bytes());
    bytes.extend(crc32fast::hash(&bytes).to_le_bytes());
    bytes.extend(records);
    bytes
}

/// Writes the files that a script describes.
fn carry_out(script: &[u8], directory: &Path) {
    fs::write(directory.join("lock"), "").expect("a directory of ours");
    let mut name = String::new();
    let mut file = Vec::new();
    let (mut next, mut logs) = (1, 0);
    let finish = |name: &str, file: &[u8]| {
        if !name.is_empty() {
            fs::write(directory.join(name), file).expect("a directory of ours");
        }
    };
    for (what, number, bytes) in parts(script) {
        match what % 6 {
            0 => {
                finish(&name, &file);
                logs += 1;
                let base = revision(number);
                (name, file) = (format!("log-{logs:010}"), header(1, base));
                next = base.wrapping_add(1);
            }
            1 => {
                finish(&name, &file);
                let at = revision(number);
                (name, file) = (format!("snapshot-{at:020}"), header(2, at));
                next = 0;
            }
            // Frames that follow each other, with as many records as they say or not.
            2 => {
                file.extend(frame(next, number, bytes));
                next = next.wrapping_add(u64::from(number));
            }
            3 => file.extend(frame(revision(number), 1, bytes)),
            4 => file.extend(bytes),
            _ => {
                let at = usize::from(number) % file.len().max(1);
                if let (Some(place), Some(byte)) = (file.get_mut(at), bytes.first()) {
                    *place ^= byte;
                }
            }
        }
    }
    finish(&name, &file);
}

/// The store's revision and how many objects it has; none when it refuses what is there.
fn opened(directory: &Path) -> Option<(Store<()>, u64, usize, bool)> {
    let (store, recovery) = Store::open(directory, LogOptions::default(), |_, _| ()).ok()?;
    let listing = store.list(&Scope::collection("pods"), &Page::default()).expect("the newest");
    let revision = store.current_revision().get();
    assert_eq!(revision, recovery.revision.get());
    Some((store, revision, listing.entries.len(), recovery.cut.is_some()))
}

fuzz_target!(|script: &[u8]| {
    // In memory where there is such a place: a disk would be asked to sync.
    let directory = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).expect("a directory");
    let directory = directory.path();
    carry_out(script, directory);
    let runtime = Builder::new_current_thread().build().expect("a runtime");
    let Some((store, revision, objects, _)) = opened(directory) else { return };
    runtime.block_on(store.close());
    drop(store);
    let (store, again, objects_again, cut) = opened(directory).expect("what was opened once opens again");
    assert_eq!((revision, objects), (again, objects_again));
    assert!(!cut, "what was cut off is gone");
    let written = runtime.block_on(async {
        let key = Key::new("pods", Some("fuzz"), "one-more").expect("a key");
        let written = store.create(key, Unstamped::new(b"{}".to_vec(), 1)).await;
        store.close().await;
        written.is_ok()
    });
    drop(store);
    let (_, last, objects_at_last, _) = opened(directory).expect("what was written can be read");
    assert_eq!(last, revision + u64::from(written));
    assert_eq!(objects_at_last, objects + usize::from(written));
});
