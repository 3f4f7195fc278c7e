use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::{MetadataExt, PermissionsExt as _, symlink};
use std::sync::mpsc;

use proptest::prelude::*;

use super::*;
use crate::files::{Contents, File, VolumePath};
use crate::mount::mount_tmpfs;
use crate::mount::tests::UnmountOnDrop;

pub(super) fn now() -> Timestamp {
    Timestamp::from_second(1_800_000_000).unwrap()
}

pub(super) fn files(list: &[(&str, &str)]) -> FileSet {
    let mut files = FileSet::new();
    for (path, contents) in list {
        let contents = Contents::new(contents.as_bytes().to_vec());
        files.insert(VolumePath::parse(*path).unwrap(), File::private(contents)).unwrap();
    }
    files
}

/// What a reader sees: the files below the names that do not begin with `..`.
pub(super) fn seen(directory: &Path) -> BTreeMap<String, String> {
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

pub(super) fn expected(list: &[(&str, &str)]) -> BTreeMap<String, String> {
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
fn a_group_of_readers_gets_what_the_owner_may_read() {
    let directory = tempfile::tempdir().unwrap();
    let own = fs::metadata(directory.path()).unwrap().gid();
    // Root may give files to any group, others to their own.
    let group = if rustix::process::geteuid().is_root() { 4_000_000_000 } else { own };
    let mut set = files(&[("private", "1"), ("nested/private", "1")]);
    let secret = File::private(Contents::new(b"2".to_vec())).with_mode(0o200);
    set.insert(VolumePath::parse("written only").unwrap(), secret).unwrap();
    AtomicWriter::new(directory.path()).with_group(Some(group)).write(&set, now()).unwrap();
    for (path, mode) in [
        ("private", 0o640),
        ("nested/private", 0o640),
        ("written only", 0o200),
        ("nested", 0o750),
        ("..data", 0o750),
    ] {
        let found = fs::metadata(directory.path().join(path)).unwrap();
        assert_eq!((found.permissions().mode() & 0o7777, found.gid()), (mode, group), "{path}");
    }
}

/// What a container that may write to its volume can do to the driver: nothing outside of the volume.
#[test]
fn links_that_a_pod_plants_lead_nowhere() {
    let world = tempfile::tempdir().unwrap();
    let outside = world.path().join("outside");
    let volume = world.path().join("volume");
    for path in [&outside, &volume] {
        fs::create_dir(path).unwrap();
    }
    fs::write(outside.join("a"), "theirs").unwrap();
    let writer = AtomicWriter::new(&volume);
    writer.write(&files(&[("a", "1")]), now()).unwrap();

    // A version that looks like a leftover, and the version that counts, are links to a directory elsewhere.
    symlink(&outside, volume.join("..1.000000")).unwrap();
    let current = volume.join(fs::read_link(volume.join(DATA)).unwrap());
    fs::remove_dir_all(&current).unwrap();
    symlink(&outside, &current).unwrap();
    for version in ["2", "3", "4"] {
        writer.write(&files(&[("a", version)]), now()).unwrap();
        assert_eq!(seen(&volume), expected(&[("a", version)]));
        assert_eq!(seen(&outside), expected(&[("a", "theirs")]));
    }
    // A directory in a version that is a link, and a pipe that nobody writes to.
    writer.write(&files(&[("nested/a", "5")]), now()).unwrap();
    let nested = volume.join(DATA).join("nested");
    fs::remove_dir_all(&nested).unwrap();
    symlink(&outside, &nested).unwrap();
    for version in ["5", "6", "7"] {
        writer.write(&files(&[("nested/a", version)]), now()).unwrap();
        assert_eq!(fs::read_to_string(volume.join("nested/a")).unwrap(), version);
        assert_eq!(seen(&outside), expected(&[("a", "theirs")]));
    }
    let file = volume.join(DATA).join("nested/a");
    fs::remove_file(&file).unwrap();
    rustix::fs::mknodat(rustix::fs::CWD, &file, rustix::fs::FileType::Fifo, rustix::fs::Mode::RWXU, 0)
        .unwrap();
    writer.write(&files(&[("nested/a", "7")]), now()).unwrap();
    assert_eq!(fs::read_to_string(volume.join("nested/a")).unwrap(), "7");

    // The volume itself.
    fs::remove_dir_all(&volume).unwrap();
    symlink(&outside, &volume).unwrap();
    assert!(writer.write(&files(&[("a", "8")]), now()).is_err());
    assert_eq!(seen(&outside), expected(&[("a", "theirs")]));
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

/// Never a missing file, never a piece of one, never two versions in one `..data`, over 10,000 of them.
#[test]
fn a_reader_sees_one_version_whole() {
    const VERSIONS: usize = 10_000;
    // In memory, as volumes are.
    let directory = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
    let writer = AtomicWriter::new(directory.path());
    let value = |version: usize| format!("{version:06}").repeat(200 + version % 7 * 100);
    let write = |version: usize| {
        let value = value(version);
        writer.write(&files(&[("a", &value), ("b", &value)]), now()).unwrap();
    };
    write(0);
    // A version outlives one replacement and not two: so reader and writer begin each round together, the reader at ever other places.
    let (begin, begun) = mpsc::channel();
    let (end, ended) = mpsc::channel();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            while let Ok((version, directory)) = begun.recv() {
                let (version, directory): (usize, &Path) = (version, directory);
                for _ in 0..version % 64 * 64 {
                    std::hint::spin_loop();
                }
                let direct = fs::read_to_string(directory.join("a")).unwrap();
                let read: usize = direct[..6].parse().unwrap();
                assert!(direct == value(read) && (version - 1..=version).contains(&read));
                let held = fs::canonicalize(directory.join(DATA)).unwrap();
                let [a, b] = ["a", "b"].map(|name| fs::read_to_string(held.join(name)).unwrap());
                assert_eq!(a, b);
                end.send(()).unwrap();
            }
        });
        for version in 1..VERSIONS {
            begin.send((version, directory.path())).unwrap();
            write(version);
            ended.recv().expect("the reader saw what it must not see");
        }
        drop(begin);
    });
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
