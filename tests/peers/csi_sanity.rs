//! csi-sanity, the specs of the CSI specification, over the drivers that come with the command, as they are started by hand. Those of
//! drivers built with the kit are beside it: `crates/driver/tests/sanity`.

mod sanity;

use self::sanity::{Sanity, WITHOUT_CONTROLLER};
use crate::support::place::Place;
use crate::support::run::Signal;

/// A driver without a Controller, with the flags that it needs besides its socket.
fn passes(driver: &str, flags: &[&str]) {
    let Some(sanity) = Sanity::find() else { return };
    let place = Place::new();
    let endpoint = format!("unix://{}", place.file("csi.sock").display());
    let arguments = ["driver", driver, "--node-id", "node-1", "--endpoint", &endpoint];
    let run = place.tokenward(arguments.iter().chain(flags)).start();
    run.stderr_line(|line| line.contains("serving") && line.contains(&endpoint));
    let passed = sanity.passed(&endpoint, &place.file(""), false);
    assert!(passed >= WITHOUT_CONTROLLER, "{driver}: {passed} specs were run");
    run.signal(Signal::TERM);
    let ended = run.wait();
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert!(!ended.stderr.contains("c2FuaXR5"), "a token was logged");
}

#[test]
fn token_files_passes() {
    passes("token-files", &[]);
}

#[test]
fn workload_credentials_passes() {
    // An empty configuration: a driver of tokens alone.
    passes("workload-credentials", &["--config", "/dev/null"]);
}
