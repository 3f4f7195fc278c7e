//! Kills a process that writes, again and again, and looks whether anything is lost that it was promised.
//!
//! `TOKENWARD_KILLS` says how often; 25 times unless it is set.
#![expect(clippy::unwrap_used, reason = "functions outside #[test] in a test file")]

use std::env;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};

use tokenward_store::{Key, LogOptions, Store, Unstamped};

const WRITERS: usize = 6;
const DIRECTORY: &str = "TOKENWARD_CRASH_DIRECTORY";
const BEGIN: &str = "TOKENWARD_CRASH_BEGIN";

fn open(directory: &Path) -> Store<()> {
    // Small, so that compactions are killed as well.
    let options = LogOptions { compact_after_bytes: 20_000, ..LogOptions::default() };
    Store::open(directory, options, |_, _| ()).unwrap().0
}

fn key(writer: usize) -> Key {
    Key::new("pods", Some("ns"), &format!("w{writer}")).unwrap()
}

/// What a writer's key holds after its operation with this number: every tenth is a deletion.
fn content(operation: usize) -> Option<String> {
    (!operation.is_multiple_of(10)).then(|| format!("@{operation} {}", "x".repeat(operation % 97 * 11)))
}

/// The process that is killed. Says each operation that has been acknowledged.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "started by the test below"]
async fn the_process_that_is_killed() {
    let directory = env::var_os(DIRECTORY).unwrap();
    let begin = env::var(BEGIN).unwrap();
    let store = open(Path::new(&directory));
    let mut writers = tokio::task::JoinSet::new();
    for (writer, begin) in begin.split(',').enumerate() {
        let (store, begin): (_, usize) = (store.clone(), begin.parse().unwrap());
        writers.spawn(async move {
            let key = key(writer);
            for operation in begin.. {
                let entry = match (content(operation), store.get(&key)) {
                    (None, _) => store.delete(&key, None).await.unwrap(),
                    (Some(content), None) => {
                        store.create(key.clone(), Unstamped::new(content.into_bytes(), 0)).await.unwrap()
                    }
                    (Some(content), Some(entry)) => {
                        let value = Unstamped::new(content.into_bytes(), 0);
                        store.update(&key, entry.revision, value).await.unwrap()
                    }
                };
                // One write: a line is whole or the last.
                let line = format!("done {writer} {operation} {}\n", entry.revision);
                std::io::stdout().lock().write_all(line.as_bytes()).unwrap();
            }
        });
    }
    writers.join_all().await;
}

#[tokio::test]
async fn no_acknowledged_write_is_lost_whenever_the_process_is_killed() {
    let kills: u64 = env::var("TOKENWARD_KILLS").map_or(25, |text| text.parse().unwrap());
    let directory = tempfile::tempdir().unwrap();
    // The last operation of each writer that is known to have happened.
    let mut done = [0; WRITERS];
    let mut newest = 1;
    for kill in 0..kills {
        let begin = done.map(|operation| (operation + 1).to_string()).join(",");
        let mut child = Command::new(env::current_exe().unwrap())
            .args(["--exact", "the_process_that_is_killed", "--ignored", "--nocapture"])
            .env(DIRECTORY, directory.path())
            .env(BEGIN, begin)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        // The moment differs by what the process is doing when the killer has read so many lines.
        let lines = kill * 37 % 211;
        let mut text = String::new();
        for _ in 0..lines {
            output.read_line(&mut text).unwrap();
        }
        child.kill().unwrap();
        child.wait().unwrap();
        output.read_to_string(&mut text).unwrap();
        for line in text.split_inclusive('\n').filter(|line| line.ends_with('\n')) {
            let Some(numbers) = line.trim_end().split_once("done ").map(|(_, numbers)| numbers) else {
                continue;
            };
            let numbers: Vec<usize> = numbers.split(' ').map(|number| number.parse().unwrap()).collect();
            let [writer, operation, revision] = numbers[..] else { panic!("{line}") };
            assert_eq!(operation, done[writer] + 1, "a writer acknowledges in order");
            done[writer] = operation;
            newest = newest.max(revision as u64);
        }

        let store = open(directory.path());
        assert!(store.current_revision().get() >= newest, "kill {kill}: revisions went back");
        newest = store.current_revision().get();
        for (writer, done) in done.iter_mut().enumerate() {
            let held = store.get(&key(writer));
            let found = held.map(|entry| String::from_utf8(entry.value.to_vec()).unwrap());
            let is_after = |operation: usize| {
                let expected = if operation == 0 { None } else { content(operation) };
                match (&found, expected) {
                    (Some(found), Some(expected)) => found.ends_with(&expected),
                    (None, None) => true,
                    _ => false,
                }
            };
            // The next one may have happened without anybody being told.
            if is_after(*done + 1) {
                *done += 1;
            } else {
                assert!(is_after(*done), "kill {kill}: writer {writer} was told of {done}, found {found:?}");
            }
        }
        store.close().await;
    }
    assert!(kills == 0 || done.iter().sum::<usize>() > 0, "nothing was written");
}
