//! Drivers that are not there, refuse, or die. Without these, a person whose driver fails waits before a silent terminal,
//! and a driver that comes back finds that nobody calls it any more.

use crate::support::admin::Admin;
use crate::support::driver::{Manner, RecordingDriver};
use crate::support::manifests::{csi_driver, file, pod};
use crate::support::place::Place;
use crate::support::run::Signal;

const DRIVER: &str = "flaky.example";

#[test]
fn a_socket_that_is_not_there_is_said_before_anything_starts() {
    let place = Place::new();
    let endpoint = format!("{DRIVER}={}", place.file("no.sock").display());
    let ended = place.tokenward(["up", "--once", "--driver-endpoint", &endpoint]).run();
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(2), ""));
    let message = format!(
        "Error: the driver {DRIVER} does not answer: no socket at `{}`",
        place.file("no.sock").display()
    );
    assert!(ended.stderr.starts_with(&message), "{}", ended.stderr);
    assert!(ended.stderr.contains("\nHint: Start the driver first"), "{}", ended.stderr);
    place.assert_nothing_is_left();
}

#[test]
fn a_path_that_is_no_socket_is_told_from_a_driver_that_is_gone() {
    let place = Place::new();
    let path = place.write("plain", "");
    let ended =
        place.tokenward(["up", "--once", "--driver-endpoint", &format!("{DRIVER}={}", path.display())]).run();
    assert_eq!(ended.code, Some(2));
    assert!(ended.stderr.contains("found another kind of file"), "{}", ended.stderr);
    place.assert_nothing_is_left();
}

#[test]
fn a_driver_that_refuses_is_named_when_the_time_is_up() {
    let place = Place::new();
    let driver = RecordingDriver::start(&place, DRIVER, Manner::Echo);
    let unserved = "unserved.example";
    let manifest = [csi_driver(DRIVER, Some(true)), pod("refused", DRIVER), pod("lonely", unserved)];
    let manifest = place.write("manifest.yaml", &file(&manifest));
    let manifest = manifest.to_str().unwrap();
    let endpoint = driver.endpoint();
    let once = [
        "up",
        "--apply",
        manifest,
        "--driver-endpoint",
        &endpoint,
        "--timeout",
        "2s",
        "--once",
        "-o",
        "json",
    ];
    let ended = place.tokenward(once).run();
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(1), ""), "{}", ended.stderr);
    let (_, report) =
        ended.stderr.split_once("Error: 2 volumes were not mounted when the time was up:\n").unwrap();
    let reason = |volume: &str| {
        let line = report.lines().find(|line| line.starts_with(&format!("  {volume}: ")));
        line.unwrap_or_else(|| panic!("no reason for {volume} in\n{report}"))
    };
    assert!(reason("default/refused volume tokens").contains("will not do that"), "{report}");
    assert!(reason("default/lonely volume tokens").contains(unserved), "{report}");
    assert!(report.contains("Hint: Give it more time with --timeout"), "{report}");
    place.assert_nothing_is_left();
}

#[test]
fn a_driver_that_died_before_the_pod_came_is_waited_for() {
    let place = Place::new();
    let mut driver = RecordingDriver::start(&place, DRIVER, Manner::Publish);
    let manifest = place.write("driver.yaml", &file(&[csi_driver(DRIVER, Some(true))]));
    let (kubeconfig, endpoint) = (place.file("kubeconfig"), driver.endpoint());
    let run = place
        .tokenward([
            "up",
            "--apply",
            manifest.to_str().unwrap(),
            "--driver-endpoint",
            &endpoint,
            "--wait",
            "--kubeconfig-out",
            kubeconfig.to_str().unwrap(),
        ])
        .start();
    run.ready();
    let admin = Admin::new(&kubeconfig);
    admin.wait_for_registration(DRIVER);

    driver.die();
    admin.create_pod(&pod("patient", DRIVER));
    let reason = format!("no socket at `{}`: start the process that serves it", driver.socket().display());
    run.stderr_line(|line| {
        line.starts_with("default/patient volume tokens not mounted by flaky.example: ")
            && line.contains(&reason)
    });
    let message = admin.wait_for_mount_failure("patient", &reason);
    assert!(message.starts_with("MountVolume.SetUp failed for volume \"tokens\""), "{message}");

    driver.come_back();
    admin.wait_until_running("patient");
    assert_eq!(driver.publish_for("patient").tokens().len(), 2);
    run.signal(Signal::TERM);
    assert_eq!(run.wait().code, Some(0));
    assert_eq!(driver.unpublishes().len(), 1);
    place.assert_nothing_is_left();
}

#[test]
fn a_driver_that_dies_in_the_middle_of_a_publish_is_asked_again() {
    let place = Place::new();
    let mut driver = RecordingDriver::start(&place, DRIVER, Manner::hang());
    let manifest =
        place.write("manifest.yaml", &file(&[csi_driver(DRIVER, Some(true)), pod("patient", DRIVER)]));
    let endpoint = driver.endpoint();
    let once =
        ["up", "--apply", manifest.to_str().unwrap(), "--driver-endpoint", &endpoint, "--once", "-o", "json"];
    let run = place.tokenward(once).start();
    driver.publish_for("patient");
    driver.die();
    run.stderr_line(|line| line.starts_with("default/patient volume tokens not mounted by flaky.example: "));
    driver.behave(Manner::Publish);
    driver.come_back();
    let ended = run.wait();
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let records: serde_json::Value = serde_json::from_str(&ended.stdout).unwrap();
    assert_eq!(records.as_array().unwrap().len(), 1);
    let publishes = driver.publishes();
    assert!(publishes.len() >= 2);
    assert_eq!(publishes[0].target_path, publishes[1].target_path);
    assert_eq!(driver.unpublishes(), [publishes[0].target_path.clone()]);
    place.assert_nothing_is_left();
}

#[test]
fn a_driver_that_is_gone_at_the_end_leaves_nothing() {
    let place = Place::new();
    let mut driver = RecordingDriver::start(&place, DRIVER, Manner::Publish);
    let manifest = place.write("manifest.yaml", &file(&[csi_driver(DRIVER, None), pod("reader", DRIVER)]));
    let endpoint = driver.endpoint();
    let run = place
        .tokenward(["up", "--apply", manifest.to_str().unwrap(), "--driver-endpoint", &endpoint, "--wait"])
        .start();
    run.ready();
    driver.die();
    run.signal(Signal::TERM);
    // It goes on trying for a while: the volume is published as far as anybody knows.
    run.stderr_line(|line| line.starts_with("Stopping"));
    run.signal(Signal::TERM);
    let ended = run.wait();
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    place.assert_nothing_is_left();
}
