//! A small test world: a cluster in memory and a CSI driver that records what it is sent.

#![allow(dead_code, reason = "each test file uses a part of it, one of them all")]
#![expect(unreachable_pub, reason = "shared between test binaries, part of none's interface")]
#![allow(clippy::unwrap_used, reason = "a test world that breaks is a failed test")]

pub mod cluster;
pub mod driver;
pub mod world;

use std::time::Duration;

/// Waits for a condition; shows what was found instead when it does not come.
pub async fn eventually<T: std::fmt::Debug>(what: &str, mut probe: impl FnMut() -> Result<T, String>) -> T {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
    loop {
        match probe() {
            Ok(found) => return found,
            Err(found) => {
                assert!(tokio::time::Instant::now() < deadline, "waited in vain for {what}: {found}");
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
    }
}
