//! What the server does, told as stories over its in-process face: no port, no TLS, the same answers.
#![expect(clippy::unwrap_used, reason = "functions of a test outside #[test]")]

mod apply;
mod creations;
mod deletions;
mod evictions;
mod faces;
mod forms;
mod hostile;
mod identities;
mod identity;
mod kinds;
mod lifecycle;
mod limits;
mod lists;
mod metrics;
mod node_proxies;
mod odd_paths;
mod patches;
mod priorities;
mod protobuf;
mod releases;
mod roles;
mod silence;
mod testbed;
mod tls_server;
mod watches;
mod webhooks;
mod yaml;
