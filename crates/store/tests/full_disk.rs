//! A disk that is really full: a small file system in memory, where the tests may mount one. `log::faults` in the crate has
//! every other way in which a disk can fail, and needs no rights.
#![expect(clippy::unwrap_used, reason = "functions outside #[test] in a test file")]

use std::fs;
use std::path::Path;

use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
use tempfile::TempDir;
use tokenward_store::{Key, LogOptions, Page, Scope, Store, Unavailable, Unstamped, WriteError};

/// A mounted file system of 256 KiB; unmounted when this is dropped.
struct SmallDisk(TempDir);

impl SmallDisk {
    #[expect(clippy::print_stderr, reason = "whoever runs the tests has to know what was left out")]
    fn mount() -> Option<Self> {
        let directory = tempfile::tempdir().unwrap();
        let mounted =
            mount("tokenward-test", directory.path(), "tmpfs", MountFlags::empty(), c"size=256k,mode=700");
        if let Err(error) = mounted {
            eprintln!("left out: no file system may be mounted here ({error})");
            return None;
        }
        Some(Self(directory))
    }

    fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = unmount(self.path(), UnmountFlags::DETACH);
    }
}

fn key(number: usize) -> Key {
    Key::new("pods", Some("ns"), &format!("{number:04}")).unwrap()
}

fn value(number: usize) -> Unstamped {
    Unstamped::new(format!("@{number}{}", "x".repeat(3_000)).into_bytes(), 0)
}

fn open(disk: &SmallDisk) -> Store<()> {
    Store::open(&disk.path().join("data"), LogOptions::default(), |_, _| ()).unwrap().0
}

fn values(store: &Store<()>) -> Vec<bytes::Bytes> {
    let listing = store.list(&Scope::collection("pods"), &Page::default()).unwrap();
    listing.entries.iter().map(|entry| entry.value.clone()).collect()
}

#[tokio::test]
async fn a_full_disk_refuses_writes_keeps_all_before_and_takes_writes_again_when_there_is_room() {
    let Some(disk) = SmallDisk::mount() else { return };
    let filler = disk.path().join("filler");
    fs::write(&filler, vec![0; 100 << 10]).unwrap();
    let store = open(&disk);
    let mut written = 0;
    let error = loop {
        match store.create(key(written), value(written)).await {
            Ok(_) => written += 1,
            Err(error) => break error,
        }
    };
    assert!(written > 10, "{written}");
    assert!(matches!(error, WriteError::Unavailable(Unavailable::Disk(_))), "{error}");
    assert!(error.to_string().contains("No space left"), "{error}");
    assert_eq!(values(&store).len(), written, "reads go on");
    let error = store.create(key(written), value(written)).await.unwrap_err();
    assert!(matches!(error, WriteError::Unavailable(_)), "{error}");
    // A start on the full disk serves what is there.
    let before = values(&store);
    store.close().await;
    let store = open(&disk);
    assert_eq!(values(&store), before);
    assert!(store.create(key(written), value(written)).await.is_err());

    fs::remove_file(filler).unwrap();
    let entry = store.create(key(written), value(written)).await.unwrap();
    assert_eq!(entry.revision.get(), written as u64 + 2, "refused writes have taken no revision");
    let before = values(&store);
    store.close().await;
    let store = open(&disk);
    assert_eq!(values(&store), before);
    store.close().await;
}
