//! Ctrl-C, SIGTERM, a reader that goes away, `kill -9`. Without these, whoever loses patience is left with mounts that only
//! root can remove, or with a process that does not end.

use std::sync::Arc;

use tokio::sync::Semaphore;

use crate::support::driver::{Manner, RecordingDriver};
use crate::support::manifests::{csi_driver, file, pod};
use crate::support::place::{Place, names};
use crate::support::repository;
use crate::support::run::{Run, Signal};

const DRIVER: &str = "slow.example";

/// A run whose only volume is in the middle of being mounted.
fn start_mounting(place: &Place, permits: &Arc<Semaphore>) -> (Run, RecordingDriver) {
    let driver = RecordingDriver::start(place, DRIVER, Manner::Hang(Arc::clone(permits)));
    let manifest =
        place.write("manifest.yaml", &file(&[csi_driver(DRIVER, Some(true)), pod("slow", DRIVER)]));
    let endpoint = driver.endpoint();
    let once = ["up", "--apply", manifest.to_str().unwrap(), "--driver-endpoint", &endpoint, "--once"];
    let run = place.tokenward(once).start();
    driver.publish_for("slow");
    (run, driver)
}

#[test]
fn the_first_interrupt_finishes_what_has_begun_and_undoes_it() {
    for signal in [Signal::INT, Signal::TERM] {
        let place = Place::new();
        let permits = Arc::new(Semaphore::new(0));
        let (run, driver) = start_mounting(&place, &permits);
        run.signal(signal);
        run.stderr_line(|line| line.starts_with("Stopping"));
        assert!(run.is_running(), "it waits for the driver");
        permits.add_permits(1);
        let ended = run.wait();
        assert_eq!((ended.code, ended.stdout.as_str()), (Some(1), ""), "{}", ended.stderr);
        assert!(
            ended.stderr.ends_with("Error: interrupted before every volume was mounted\n"),
            "{}",
            ended.stderr
        );
        assert_eq!(driver.unpublishes(), [driver.publish_for("slow").target_path]);
        place.assert_nothing_is_left();
    }
}

#[test]
fn the_second_interrupt_waits_for_nobody() {
    let place = Place::new();
    let (run, driver) = start_mounting(&place, &Arc::new(Semaphore::new(0)));
    run.signal(Signal::INT);
    run.stderr_line(|line| line.starts_with("Stopping"));
    run.signal(Signal::INT);
    let ended = run.wait();
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(1), ""), "{}", ended.stderr);
    assert_eq!(driver.unpublishes(), Vec::<String>::new());
    place.assert_nothing_is_left();
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    for until in ["--once", "--wait"] {
        let place = Place::new();
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let quickstart = repository("examples/quickstart.yaml");
        let run =
            place.tokenward(["up", "--apply", quickstart.to_str().unwrap(), until]).stdout(writer).start();
        let ended = run.wait();
        assert_eq!(ended.code, Some(0), "{until}: {}", ended.stderr);
        assert!(!ended.stderr.contains("Error"), "{until}: {}", ended.stderr);
        place.assert_nothing_is_left();
    }
}

#[test]
fn the_next_run_cleans_up_after_one_that_was_killed() {
    let place = Place::new();
    let root = place.file("root");
    std::fs::create_dir(&root).unwrap();
    std::fs::write(root.join("theirs"), "stays").unwrap();
    let quickstart = repository("examples/quickstart.yaml");
    let up = ["up", "--apply", quickstart.to_str().unwrap(), "--root-dir", root.to_str().unwrap()];

    let run = place.tokenward(up.iter().chain(&["--wait"])).start();
    run.ready();
    // A second one is refused while the first lives.
    let second = place.tokenward(up.iter().chain(&["--once"])).run();
    assert_eq!(second.code, Some(2));
    assert!(second.stderr.contains("is used by another `tokenward up`"), "{}", second.stderr);
    assert!(names(&root).contains(&"1".to_owned()), "the refused run took away the other's volumes");
    run.signal(Signal::KILL);
    assert_eq!(run.wait().code, None);
    assert_eq!(names(&root), [".tokenward-lock", "1", "theirs"]);

    let ended = place.tokenward(up.iter().chain(&["--once", "-o", "json"])).run();
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let records: serde_json::Value = serde_json::from_str(&ended.stdout).unwrap();
    assert_eq!(records.as_array().unwrap().len(), 4);
    assert_eq!(names(&root), ["theirs"]);
    place.assert_nothing_is_left();
}
