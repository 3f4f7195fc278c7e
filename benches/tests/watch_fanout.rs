//! A short run must go through, or the benchmark has fallen behind what it measures.

use std::process::Command;

#[test]
fn a_short_run_delivers_everything() {
    // Processor 0 for all: there is one everywhere.
    let arguments = "--watchers 20 --connections 4 --changes 5 --in-flight 2 --rounds 1 --client-cpu 0";
    let output =
        Command::new(env!("CARGO_BIN_EXE_watch-fanout")).args(arguments.split(' ')).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{text}\n{}", String::from_utf8_lossy(&output.stderr));
    assert!(text.contains("20 watchers on 4 connections, 200 deliveries a round"), "{text}");
}
