//! Replays what a real kube-apiserver answered (`tests/golden/kube-apiserver`) against this server, in process.
//!
//! Every step is compared: status, headers, and the whole body, but for what differs from run to run, and for the few
//! subresources that are not served ([`unserved`]). One of them that is served fails the test too, so that the list can only
//! shrink.
#![expect(clippy::unwrap_used, reason = "functions of a test outside #[test]")]

mod agree;
mod replay;
mod unserved;

use std::path::Path;

use crate::replay::{Replay, Step};

/// Runs one file's steps in order on a fresh server and holds every answer against the recorded one.
async fn replay(file: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden/kube-apiserver").join(file);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let steps: Vec<Step> = serde_json::from_str(&text).unwrap();
    let mut replay = Replay::new().await;
    let mut faults = Vec::new();
    for (number, step) in steps.iter().enumerate() {
        if let Err(difference) = replay.step(step).await {
            faults.push(format!("{number} {:?}: {difference}", step.name));
        }
    }
    assert!(faults.is_empty(), "{} of {} steps of {file}:\n{}", faults.len(), steps.len(), faults.join("\n"));
}

#[tokio::test(start_paused = true)]
async fn csi_drivers() {
    replay("csidriver.json").await;
}

#[tokio::test(start_paused = true)]
async fn the_gate_switched_off_over_the_same_data() {
    replay("gate-off.json").await;
}

#[tokio::test(start_paused = true)]
async fn tokens_and_their_reviews() {
    replay("tokens.json").await;
}

#[tokio::test(start_paused = true)]
async fn what_a_node_may() {
    replay("node.json").await;
}

#[tokio::test(start_paused = true)]
async fn lists_and_watches() {
    replay("lists.json").await;
}

#[tokio::test(start_paused = true)]
async fn the_other_kinds() {
    replay("kinds.json").await;
}

#[tokio::test(start_paused = true)]
async fn health_discovery_and_keys() {
    replay("faces.json").await;
}
