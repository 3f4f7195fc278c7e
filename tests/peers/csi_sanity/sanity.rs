//! csi-sanity as a program: where it is, what it is given, what it says.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::peer::Peer;

/// The specs that are run against a driver without a Controller: 3 of Identity, and of Node its capabilities, its information, and what
/// publish and unpublish refuse.
pub(crate) const WITHOUT_CONTROLLER: usize = 10;

/// Specs that call a Controller, whatever the driver's capabilities say.
const OF_CONTROLLERS: &str = r"\[Controller Server\]|NodeUnpublishVolume should remove target path";

/// What each publish carries: a token, as a kubelet sends it to a driver that has opted in.
const TOKENS: &str = r#"{"vault":{"token":"eyJhbGciOiJub25lIn0.eyJzdWIiOiJjYW5hcnkifQ.c2FuaXR5","expirationTimestamp":"2099-01-01T00:00:00Z"}}"#;

/// The program.
#[derive(Clone, Debug)]
pub(crate) struct Sanity(PathBuf);

impl Sanity {
    /// A test that gets none is left out.
    pub(crate) fn find() -> Option<Self> {
        Peer::CsiSanity.find().map(Self)
    }

    /// Runs the specs against the driver at `endpoint`, with targets below `place`; says how many passed. Those that the driver's
    /// capabilities rule out are skipped, and without a Controller all that call one.
    ///
    /// # Panics
    /// When a spec fails, with what the program says of it.
    pub(crate) fn passed(&self, endpoint: &str, place: &Path, has_controller: bool) -> usize {
        let secrets = place.join("secrets.yaml");
        let text =
            format!("NodePublishVolumeSecret:\n  csi.storage.k8s.io/serviceAccount.tokens: '{TOKENS}'\n");
        std::fs::write(&secrets, text).expect("a place to write to");
        let mut command = Command::new(&self.0);
        // TCP is a bare address to it.
        let endpoint = endpoint.strip_prefix("tcp://").unwrap_or(endpoint);
        command.arg("-endpoint").arg(endpoint).arg("-secrets").arg(secrets).arg("-ginkgo.no-color");
        command.arg("-target").arg(place.join("target")).arg("-staging").arg(place.join("staging"));
        if !has_controller {
            command.args(["-ginkgo.skip", OF_CONTROLLERS]);
        }
        let output = command.output().expect("csi-sanity runs");
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{endpoint}:\n{said}\n{}", String::from_utf8_lossy(&output.stderr));
        assert!(!said.contains("c2FuaXR5"), "a token was shown");
        passed_specs(&said).unwrap_or_else(|| panic!("no summary in:\n{said}"))
    }
}

/// `PASS` or `SUCCESS! -- 10 Passed | 0 Failed | ...`.
fn passed_specs(said: &str) -> Option<usize> {
    let summary = said.lines().rev().find(|line| line.contains(" Passed | 0 Failed"))?;
    summary.split(" Passed").next()?.split_whitespace().last()?.parse().ok()
}

#[test]
fn the_summary_is_read() {
    let said =
        "Ran 10 of 95 Specs in 0.1 seconds\nSUCCESS! -- 10 Passed | 0 Failed | 0 Pending | 85 Skipped\n";
    assert_eq!(passed_specs(said), Some(10));
    assert_eq!(passed_specs("FAIL! -- 9 Passed | 1 Failed | 0 Pending | 85 Skipped"), None);
}
