//! The benchmark whose servers are its own: a short run must go through, or it has fallen behind what it measures.

use std::process::Command;

#[test]
fn a_short_run_measures_both_servers() {
    // Processor 0 for all: there is one everywhere.
    let arguments = "--rounds 1 --requests 20 --requests-es256 20 --in-flight 4 --connections 2 --client-cpu 0 --sleeping-client";
    let output =
        Command::new(env!("CARGO_BIN_EXE_token-requests")).args(arguments.split(' ')).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{text}\n{}", String::from_utf8_lossy(&output.stderr));
    for row in ["RS256, 20 requests", "ES256, 20 requests", "| tokenward |", "| bare      |"] {
        assert!(text.contains(row), "{row} is missing in\n{text}");
    }
}
