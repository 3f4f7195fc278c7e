//! A short run must go through, or the benchmark has fallen behind what it measures.

use std::process::Command;

#[test]
fn a_short_run_publishes_in_every_way() {
    // Processor 0 for all: there is one everywhere.
    let arguments = "--rounds 1 --publishes 5 --crowded 20 --in-flight 4 --driver-cpu 0 --node-cpu 0";
    let output =
        Command::new(env!("CARGO_BIN_EXE_node-republish")).args(arguments.split(' ')).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{text}\n{}", String::from_utf8_lossy(&output.stderr));
    for row in ["kept connection", "a fresh connection each", "floor: the call alone", "4 in flight"] {
        assert!(text.contains(row), "{row} is missing in\n{text}");
    }
}
