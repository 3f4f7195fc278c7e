//! A small day must go through, and leave a picture and a table of it.

use std::process::Command;

#[test]
fn a_small_day_is_drawn_and_written_down() {
    let directory = tempfile::tempdir().unwrap();
    let (svg, csv) = (directory.path().join("day.svg"), directory.path().join("day.csv"));
    let output = Command::new(env!("CARGO_BIN_EXE_token-day"))
        .args("--nodes 4 --pods 20 --hours 4 --capacity 1".split(' '))
        .arg("--svg")
        .arg(&svg)
        .arg("--csv")
        .arg(&csv)
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{text}\n{}", String::from_utf8_lossy(&output.stderr));
    assert!(text.contains("| ours ") && text.contains("| upstream's rule "), "{text}");
    let csv = std::fs::read_to_string(csv).unwrap();
    assert_eq!(csv.lines().count(), 1 + 4 * 60, "a line for each minute");
    let svg = std::fs::read_to_string(svg).unwrap();
    assert_eq!(svg.matches("<polyline").count(), 4, "two lines in each of two panels");
}
