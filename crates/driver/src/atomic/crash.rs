//! The writer killed before each of its system calls: by SIGKILL, in a process of its own. Whatever it leaves is the old state or the new
//! one, whole, and the next call of the writer brings the directory to where it would be without the accident.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::Command;

use rustix::io::Result;
use rustix::process::{Signal, getpid, kill_process};

use super::disk::{Disk, Kernel};
use super::tests::{expected, files, now, seen};
use super::writing::Writing;
use super::{AtomicWriter, DATA, Written};

const DIRECTORY: &str = "TOKENWARD_CRASH_DIRECTORY";
const STEPS: &str = "TOKENWARD_CRASH_STEPS";
const STORY: &str = "TOKENWARD_CRASH_STORY";
/// Files are written in pieces of this size, so that there are torn ones.
const PIECE: usize = 2;
const SIGKILL: i32 = 9;

type List = &'static [(&'static str, &'static str)];

/// What is there, and what is written over it.
const STORIES: [(List, List); 4] = [
    (&[], &[("a", "new"), ("nested/b", "new")]),
    (&[("a", "old"), ("gone", "old")], &[("a", "new"), ("added", "new")]),
    (&[("nested/deep/a", "old"), ("nested/b", "old")], &[("nested/deep/a", "new"), ("c", "new")]),
    (&[("a", "old")], &[]),
];

/// A disk whose user is killed before a step.
struct Deadly(Cell<usize>);

impl Deadly {
    fn step(&self) {
        match self.0.get() {
            0 => {
                kill_process(getpid(), Signal::KILL).unwrap();
                unreachable!("the process is dead");
            }
            left => self.0.set(left - 1),
        }
    }
}

macro_rules! deadly {
    ($($name:ident($($argument:ident: $type:ty),+) -> $result:ty;)+) => {
        impl Disk for Deadly {
            $(fn $name(&self, $($argument: $type),+) -> Result<$result> {
                self.step();
                Kernel.$name($($argument),+)
            })+

            fn write(&self, file: BorrowedFd<'_>, bytes: &[u8]) -> Result<usize> {
                self.step();
                Kernel.write(file, &bytes[..bytes.len().min(PIECE)])
            }
        }
    };
}

deadly! {
    make_directory(parent: BorrowedFd<'_>, name: &OsStr, mode: u32) -> ();
    create_file(parent: BorrowedFd<'_>, name: &OsStr, mode: u32) -> OwnedFd;
    set_group(file: BorrowedFd<'_>, group: u32) -> ();
    set_mode(file: BorrowedFd<'_>, mode: u32) -> ();
    make_link(to: &OsStr, parent: BorrowedFd<'_>, name: &OsStr) -> ();
    rename(parent: BorrowedFd<'_>, from: &OsStr, to: &OsStr) -> ();
    remove_file(parent: BorrowedFd<'_>, name: &OsStr) -> ();
    remove_directory(parent: BorrowedFd<'_>, name: &OsStr) -> ();
}

/// What the killed process does; nothing when it is run as a test.
#[test]
fn child() {
    let variable = |name: &str| std::env::var(name).ok();
    let Some(directory) = variable(DIRECTORY) else { return };
    let number = |name: &str| variable(name).unwrap().parse::<usize>().unwrap();
    let deadly = Deadly(Cell::new(number(STEPS)));
    let (_, new) = STORIES[number(STORY)];
    let writer = AtomicWriter::new(directory);
    Writing::begin(&deadly, &writer).unwrap().write(&files(new), now()).unwrap();
}

/// Whether the writer was killed before it had done.
fn killed_after(steps: usize, story: usize, directory: &Path) -> bool {
    let ended = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "atomic::crash::child", "--nocapture"])
        .env(DIRECTORY, directory)
        .env(STEPS, steps.to_string())
        .env(STORY, story.to_string())
        .output()
        .unwrap();
    assert!(
        ended.status.success() || ended.status.signal() == Some(SIGKILL),
        "{}",
        String::from_utf8_lossy(&ended.stderr)
    );
    !ended.status.success()
}

/// The version that counts, which is what a reader finds who follows any of the names.
fn state(directory: &Path) -> BTreeMap<String, String> {
    let data = directory.join(DATA);
    if data.exists() { seen(&data) } else { BTreeMap::new() }
}

#[test]
fn a_writer_that_is_killed_anywhere_leaves_the_old_state_or_the_new_one() {
    for (story, (old, new)) in STORIES.into_iter().enumerate() {
        let mut switched = false;
        let mut steps = 0;
        loop {
            let directory = tempfile::tempdir().unwrap();
            let path = directory.path();
            let writer = AtomicWriter::new(path);
            // Two versions, so that there is one to be removed.
            writer.write(&files(&[("before", "all")]), now()).unwrap();
            writer.write(&files(old), now()).unwrap();
            let killed = killed_after(steps, story, path);
            let found = state(path);
            let is_new = found == expected(new);
            assert!(is_new || found == expected(old), "story {story}, killed after {steps} steps: {found:?}");
            assert!(is_new || !switched, "story {story}: after {steps} steps it is the old state again");
            switched |= is_new;
            // Who follows a name that is there before and after reads the whole file of one of the states.
            for (name, contents) in &found {
                assert_eq!(&fs::read_to_string(path.join(name)).unwrap(), contents, "story {story}, {steps}");
            }

            for list in [new, &[("next", "1")][..]] {
                writer.write(&files(list), now()).unwrap();
                assert_eq!(seen(path), expected(list), "story {story}, {steps} steps, then another call");
            }
            writer.write(&files(&[("next", "1")]), now()).unwrap();
            assert_eq!(writer.write(&files(&[("next", "1")]), now()).unwrap(), Written::Unchanged);
            assert_eq!(fs::read_dir(path).unwrap().count(), 3, "a link, ..data and its version");
            if !killed {
                break;
            }
            steps += 1;
        }
        assert!(switched && steps > 5, "story {story} has {steps} steps");
    }
}
