//! Which clients there are, and what happens to the tests of one that is not: they are left out and say so, or they fail if
//! `TOKENWARD_PEERS=required`.

use std::io::{self, Write as _};
use std::path::PathBuf;

/// A program of others that `tests/peers/setup` makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Peer {
    /// kubectl of a release that is a few years old.
    Kubectl131,
    /// The newest kubectl: it speaks protobuf where it can.
    KubectlLatest,
    /// Programs over client-go.
    ClientGo,
    /// The Python client.
    Python,
    /// The sanitizer of Go drivers' logs.
    Protosanitizer,
    /// The specs of the CSI specification, run against a driver.
    CsiSanity,
    /// The CSI driver of Kubernetes' own storage tests.
    MockDriver,
}

impl Peer {
    const ALL: [Self; 7] = [
        Self::Kubectl131,
        Self::KubectlLatest,
        Self::ClientGo,
        Self::Python,
        Self::Protosanitizer,
        Self::CsiSanity,
        Self::MockDriver,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Kubectl131 => "kubectl-1.31",
            Self::KubectlLatest => "kubectl-latest",
            Self::ClientGo => "client-go",
            Self::Python => "python",
            Self::Protosanitizer => "protosanitizer",
            Self::CsiSanity => "csi-sanity",
            Self::MockDriver => "mock-driver",
        }
    }

    /// Its program, if it is there.
    fn installed(self) -> Option<PathBuf> {
        let directory = PathBuf::from(std::env::var_os("TOKENWARD_PEERS_DIR")?);
        let program = match self {
            Self::Python => directory.join("python/bin/python3"),
            _ => directory.join("bin").join(self.name()),
        };
        program.exists().then_some(program)
    }

    /// Its program; a test that gets none is left out.
    #[expect(clippy::print_stdout, reason = "what a left-out test says is its output")]
    pub(crate) fn find(self) -> Option<PathBuf> {
        let found = self.installed();
        if found.is_none() {
            let missing = format!("no {} (tests/peers/setup makes it)", self.name());
            assert!(!are_required(), "{missing}");
            println!("left out: {missing}");
        }
        found
    }
}

fn are_required() -> bool {
    std::env::var_os("TOKENWARD_PEERS").is_some_and(|value| value == "required")
}

/// What this run leaves out, in one line that is seen although the tests pass.
#[test]
fn what_is_left_out_is_said() {
    let mut missing: Vec<&str> =
        Peer::ALL.into_iter().filter(|peer| peer.installed().is_none()).map(Peer::name).collect();
    if std::env::var_os("TOKENWARD_ETCD").is_none() {
        missing.push("etcd");
    }
    if missing.is_empty() {
        return;
    }
    let missing = missing.join(", ");
    assert!(
        !are_required(),
        "missing, though required: {missing}; run tests/peers/setup, then source what it names"
    );
    // Not by a macro of printing, whose text is kept from whoever runs tests that pass.
    writeln!(io::stderr(), "\nleft out: the tests that need {missing} (tests/peers/setup makes them)")
        .unwrap();
}
