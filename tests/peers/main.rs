//! The clients of others against our API server, as their users run them: kubectl of two releases, programs over client-go,
//! the Python client; csi-sanity against our drivers; a driver of others under our nodes. Without these, a server agrees with its recordings and with our own reading of them, and the next
//! kubectl stumbles. `tests/peers/setup` makes the clients, README.md says how; a test whose client is missing is left out.

#![expect(clippy::unwrap_used, reason = "a test world that breaks is a failed test")]

mod client_go;
mod csi_sanity;
mod kubectl;
mod mock_driver;
mod peer;
mod python;
#[expect(dead_code, reason = "shared with the end-to-end tests, which use all of it")]
#[path = "../support/mod.rs"]
mod support;
mod world;
