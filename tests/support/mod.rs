//! The test world: places that must be clean afterwards, the command as a process, a client, a driver that records.

pub(crate) mod admin;
pub(crate) mod driver;
pub(crate) mod manifests;
pub(crate) mod place;
pub(crate) mod run;
pub(crate) mod tokens;

use std::time::Duration;

/// How long anything is waited for. Far more than it takes: it is here to end a test that would hang.
pub(crate) const LIMIT: Duration = Duration::from_secs(40);

/// A file of the repository.
pub(crate) fn repository(path: &str) -> std::path::PathBuf {
    std::path::Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join(path)
}
