use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use proptest::prelude::*;

use super::*;
use crate::files::{File, VolumePath};
use crate::mount::mount_tmpfs;
use crate::mount::tests::UnmountOnDrop;

fn now() -> Timestamp {
    Timestamp::from_second(1_800_000_000).unwrap()
}

fn files(list: &[(&str, &str)]) -> FileSet {
    let mut files = FileSet::new();
    for (path, contents) in list {
        let contents = Contents::new(contents.as_bytes().to_vec());
        files.insert(VolumePath::parse(*path).unwrap(), File::private(contents)).unwrap();
    }
    files
}

/// What a reader sees: the files below the names that do not begin with `..`.
fn seen(directory: &Path) -> BTreeMap<String, String> {
    fn walk(directory: &Path, prefix: &str, found: &mut BTreeMap<String, String>) {
        for entry in fs::read_dir(directory).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            let path = directory.join(&name);
            if name.starts_with("..") {
                continue;
            }
            if path.is_dir() {
                walk(&path, &format!("{prefix}{name}/"), found);
            } else {
                found.insert(format!("{prefix}{name}"), fs::read_to_string(&path).unwrap());
            }
        }
    }
    let mut found = BTreeMap::new();
    walk(directory, "", &mut found);
    found
}

fn expected(list: &[(&str, &str)]) -> BTreeMap<String, String> {
    list.iter().map(|(path, contents)| ((*path).to_owned(), (*contents).to_owned())).collect()
}

fn names(directory: &Path) -> BTreeSet<String> {
    fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

/// Names, inodes and change times of everything: equal when nothing was written.
fn state(directory: &Path) -> BTreeMap<PathBuf, (u64, i64, i64)> {
    let mut found = BTreeMap::new();
    let mut open = vec![directory.to_owned()];
    while let Some(path) = open.pop() {
        let metadata = fs::symlink_metadata(&path).unwrap();
        if metadata.is_dir() {
            open.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        }
        found.insert(path, (metadata.ino(), metadata.ctime(), metadata.ctime_nsec()));
    }
    found
}

#[test]
fn the_directory_holds_what_was_written_last() {
    let directory = tempfile::tempdir().unwrap();
    let writer = AtomicWriter::new(directory.path());
    let first = [("a", "1"), ("nested/deep/b", "2"), ("nested/c", "")];
    let second = [("a", "1"), ("nested/c", "3"), ("new", "4")];
    for list in [&first[..], &second[..], &[][..], &first[..]] {
        assert_eq!(writer.write(&files(list), now()).unwrap(), Written::Replaced);
        assert_eq!(seen(directory.path()), expected(list));
    }
}

#[test]
fn modes_do_not_depend_on_the_umask_and_are_private_by_default() {
    let directory = tempfile::tempdir().unwrap();
    let mut set = files(&[("private", "1"), ("nested/private", "1")]);
    let open = File::private(Contents::new(b"2".to_vec())).with_mode(0o666);
    set.insert(VolumePath::parse("open").unwrap(), open).unwrap();
    AtomicWriter::new(directory.path()).write(&set, now()).unwrap();
    let mode = |path: &str| fs::metadata(directory.path().join(path)).unwrap().permissions().mode() & 0o7777;
    assert_eq!([mode("private"), mode("nested/private"), mode("open")], [0o600, 0o600, 0o666]);
    assert_eq!([mode("..data"), mode("nested")], [0o700, 0o700]);

    AtomicWriter::new(directory.path())
        .with_directory_mode(0o777)
        .write(&files(&[("a/b", "")]), now())
        .unwrap();
    assert_eq!([mode("..data"), mode("a")], [0o777, 0o777]);
}

#[test]
fn unchanged_files_are_not_written() {
    let directory = tempfile::tempdir().unwrap();
    let writer = AtomicWriter::new(directory.path());
    let list = [("a", "1"), ("nested/b", "2")];
    writer.write(&files(&list), now()).unwrap();
    let before = state(directory.path());
    assert_eq!(writer.write(&files(&list), now()).unwrap(), Written::Unchanged);
    assert_eq!(state(directory.path()), before);
}

#[test]
fn the_version_before_goes_with_the_next_call_even_an_unchanged_one() {
    let directory = tempfile::tempdir().unwrap();
    let writer = AtomicWriter::new(directory.path());
    writer.write(&files(&[("a", "old")]), now()).unwrap();
    let held = fs::canonicalize(directory.path().join(DATA)).unwrap();
    writer.write(&files(&[("a", "new")]), now()).unwrap();
    assert_eq!(fs::read_to_string(held.join("a")).unwrap(), "old", "a reader in the old version goes on");
    assert_eq!(writer.write(&files(&[("a", "new")]), now()).unwrap(), Written::Unchanged);
    assert!(!held.exists());
    assert_eq!(names(directory.path()).len(), 3, "a, ..data and its version");
}

#[test]
fn names_of_others_are_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    fs::create_dir(directory.path().join("..somebody")).unwrap();
    fs::create_dir(directory.path().join("..2026_01_01.backup")).unwrap();
    fs::write(directory.path().join("file"), "theirs").unwrap();
    AtomicWriter::new(directory.path()).write(&files(&[("a", "1")]), now()).unwrap();
    let names = names(directory.path());
    assert!(
        ["..somebody", "..2026_01_01.backup", "file"].iter().all(|name| names.contains(*name)),
        "{names:?}"
    );
}

/// A process that dies in the middle leaves the state after some step. At each, the old files are whole or, once the rename is done, the new
/// ones are; and the next call brings the directory to where it would be without the accident.
#[test]
fn a_torn_write_leaves_the_old_version_and_the_next_one_cleans_up() {
    let old = [("a", "old"), ("gone", "old")];
    let new = [("a", "new"), ("added", "new")];
    let next = [("a", "next"), ("added", "next")];
    for steps in 0..6 {
        let directory = tempfile::tempdir().unwrap();
        let writer = AtomicWriter::new(directory.path());
        writer.write(&files(&old), now()).unwrap();
        let version = writer.make_version(now()).unwrap();
        if steps >= 1 {
            fs::write(version.join("a"), "ne").unwrap();
        }
        if steps >= 2 {
            fs::remove_file(version.join("a")).unwrap();
            writer.fill(&version, &files(&new)).unwrap();
        }
        if steps >= 3 {
            writer.link(&files(&new)).unwrap();
        }
        if steps >= 4 {
            symlink(version.file_name().unwrap(), directory.path().join(DATA_NEXT)).unwrap();
        }
        let switched = steps >= 5;
        if switched {
            fs::rename(directory.path().join(DATA_NEXT), directory.path().join(DATA)).unwrap();
        }
        let data = directory.path().join(DATA);
        assert_eq!(seen(&data), expected(if switched { &new } else { &old }), "after step {steps}");

        for list in [&new, &next] {
            assert_eq!(writer.write(&files(list), now()).unwrap(), Written::Replaced, "after step {steps}");
            assert_eq!(seen(directory.path()), expected(list), "after step {steps}");
        }
        assert_eq!(writer.write(&files(&next), now()).unwrap(), Written::Unchanged);
        assert_eq!(names(directory.path()).len(), 4, "two links, ..data and its version");
    }
}

#[test]
fn a_full_volume_reports_and_keeps_the_old_files() {
    let directory = tempfile::tempdir().unwrap();
    if let Err(error) = mount_tmpfs(directory.path(), 64 << 10) {
        println!("left out: this process may not mount ({error})");
        return;
    }
    let _unmount = UnmountOnDrop(directory.path());
    let writer = AtomicWriter::new(directory.path());
    let old = [("a", "old"), ("b", "old")];
    writer.write(&files(&old), now()).unwrap();
    let large = "x".repeat(128 << 10);
    let too_much = files(&[("a", "new"), ("b", &large)]);
    for _ in 0..3 {
        let error = writer.write(&too_much, now()).unwrap_err();
        assert!(matches!(&error, WriteError::Full { path, .. } if path.ends_with("b")), "{error}");
        assert!(!error.to_string().contains("xxx"));
        assert_eq!(seen(directory.path()), expected(&old));
        assert_eq!(names(directory.path()).len(), 4, "nothing of the failed version is left");
    }
    let fits = [("a", "next")];
    writer.write(&files(&fits), now()).unwrap();
    assert_eq!(seen(directory.path()), expected(&fits));
}

/// Never a missing file, never a piece of one, never two versions in one `..data`.
#[test]
fn a_reader_sees_one_version_whole() {
    let directory = tempfile::tempdir().unwrap();
    let writer = AtomicWriter::new(directory.path());
    let value = |version: usize| format!("{version:06}").repeat(200 + version % 7 * 100);
    let write = |version: usize| {
        let value = value(version);
        writer.write(&files(&[("a", &value), ("b", &value)]), now()).unwrap();
    };
    write(0);
    let (passes, stop) = (AtomicUsize::new(0), AtomicBool::new(false));
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            while !stop.load(Ordering::Acquire) {
                let direct = fs::read_to_string(directory.path().join("a")).unwrap();
                assert_eq!(direct, value(direct[..6].parse().unwrap()));
                let held = fs::canonicalize(directory.path().join(DATA)).unwrap();
                let [a, b] = ["a", "b"].map(|name| fs::read_to_string(held.join(name)).unwrap());
                assert_eq!(a, b);
                passes.fetch_add(1, Ordering::AcqRel);
            }
        });
        for version in 1..500 {
            write(version);
            // A reader may hold a version while it is replaced once, not twice: let the pass that is under way end.
            let under_way = passes.load(Ordering::Acquire);
            while passes.load(Ordering::Acquire) == under_way && !reader.is_finished() {
                std::thread::yield_now();
            }
        }
        stop.store(true, Ordering::Release);
        reader.join().unwrap();
    });
    assert!(passes.load(Ordering::Acquire) >= 499);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    /// The model is a map: whatever was there before, the directory holds what the last call said.
    #[test]
    fn any_sequence_of_writes_ends_in_the_last(
        sequence in proptest::collection::vec(proptest::collection::btree_map("[ab]{1,2}(/[ab])?", "[xy]{0,2}", 0..4), 1..5)
    ) {
        let directory = tempfile::tempdir().unwrap();
        let writer = AtomicWriter::new(directory.path());
        for wanted in sequence {
            let mut set = FileSet::new();
            let mut model = BTreeMap::new();
            for (path, contents) in wanted {
                let file = File::private(Contents::new(contents.clone().into_bytes()));
                if set.insert(VolumePath::parse(path.clone()).unwrap(), file).is_ok() {
                    model.insert(path, contents);
                }
            }
            writer.write(&set, now()).unwrap();
            prop_assert_eq!(seen(directory.path()), model);
        }
    }
}
