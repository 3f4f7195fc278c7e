//! A canary in every token: after good and bad calls of every kind it stands in the volume, and nowhere else.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

#[path = "../common/mod.rs"]
mod common;
mod outcomes;

use std::io;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use common::{World, files, policies, volume, with_tokens};
use parking_lot::Mutex;
use tokenward_driver::csi::v1::NodePublishVolumeRequest;
use tokenward_driver::tokens::Placement::{self, Secrets, VolumeContext};
use tokenward_driver::tokens::TOKENS_KEY;
use tokenward_driver_token_files::ReadFrom;
use tonic::Status;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt::MakeWriter;

/// A token that is known by its shape, and one that is not.
const SHAPED: &str =
    "eyJhbGciOiJSUzI1NiIsImtpZCI6IksifQ.eyJhdWQiOlsidmF1bHQiXSwic3ViIjoicyJ9.c4n4rySignature";
const OPAQUE: &str = "c4n4ry-opaque-token";
const CANARIES: [&str; 3] =
    ["c4n4ry", "eyJhbGciOiJSUzI1NiIsImtpZCI6IksifQ", "eyJhdWQiOlsidmF1bHQiXSwic3ViIjoicyJ9"];

/// Everything that is traced, at every level, by every crate in the process.
#[derive(Clone, Default)]
struct Captured(Arc<Mutex<Vec<u8>>>);

impl io::Write for Captured {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Captured {
    type Writer = Self;

    fn make_writer(&'a self) -> Self::Writer {
        self.clone()
    }
}

/// What this process traces: one log for all tests, since some of it comes from threads that serve several.
fn captured() -> &'static Captured {
    static CAPTURED: OnceLock<Captured> = OnceLock::new();
    CAPTURED.get_or_init(|| {
        let captured = Captured::default();
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(LevelFilter::TRACE)
            .with_ansi(false)
            .with_writer(captured.clone())
            .finish();
        tracing::subscriber::set_global_default(subscriber).unwrap();
        captured
    })
}

impl Captured {
    /// That something was captured, and no token.
    fn assert_clean(&self, expected: &[&str]) {
        let log = String::from_utf8(self.0.lock().clone()).unwrap();
        for expected in expected {
            assert!(log.contains(expected), "nothing of `{expected}` was traced");
        }
        assert_clean("the log", &log);
    }
}

fn assert_clean(what: &str, text: &str) {
    for canary in CANARIES {
        if let Some(at) = text.find(canary) {
            let from = text[..at].rfind('\n').map_or(0, |end| end + 1);
            panic!("{what} has a token: {}", &text[from..at + canary.len()]);
        }
    }
}

fn assert_status_is_clean(status: &Status) {
    assert_clean("a status", &format!("{} {:?} {status:?}", status.message(), status.details()));
}

/// Searches all files below `directory`, but not in the volume.
fn assert_files_are_clean(directory: &Path, volume: &Path) {
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let kind = path.symlink_metadata().unwrap().file_type();
        assert_clean("a file name", path.to_str().unwrap());
        if kind.is_dir() && path != volume {
            assert_files_are_clean(&path, volume);
        } else if kind.is_file() {
            assert_clean(path.to_str().unwrap(), &String::from_utf8_lossy(&std::fs::read(&path).unwrap()));
        }
    }
}

async fn good_and_bad_calls(world: &World, placement: Placement) {
    let tokens = [("vault", SHAPED), ("sts", OPAQUE)];
    let good = with_tokens(world.request(), placement, &tokens);
    let elsewhere = world.directory.path().join("no/parent").to_str().unwrap().to_owned();
    let unreadable = |value: &str| {
        let mut request = good.clone();
        for map in [&mut request.secrets, &mut request.volume_context] {
            if map.contains_key(TOKENS_KEY) {
                map.insert(TOKENS_KEY.to_owned(), value.to_owned());
            }
        }
        request
    };
    let bad = [
        unreadable(&format!(r#"{{"vault":"{OPAQUE}"}}"#)),
        unreadable(&format!(r#"{{"vault":{{"token":"{SHAPED}"#)),
        unreadable(&format!(r#"{{"vault":{{"token":"{OPAQUE}","expirationTimestamp":"{SHAPED}"}}}}"#)),
        unreadable(SHAPED),
        unreadable(&format!(r#"{{"vault":{{"token":"{}"}}}}"#, OPAQUE.repeat(4 << 10))),
        with_tokens(world.request(), placement, &[("vault", SHAPED), ("sts", "")]),
        NodePublishVolumeRequest { target_path: elsewhere, ..good.clone() },
        NodePublishVolumeRequest { volume_capability: None, ..good.clone() },
        NodePublishVolumeRequest { volume_id: String::new(), ..good.clone() },
    ];
    for _ in 0..2 {
        let mut refused = 0;
        for request in &bad {
            if let Err(status) = world.send(request.clone()).await {
                assert_status_is_clean(&status);
                refused += 1;
            }
        }
        // A time that cannot be read is no reason to refuse, and where the volume is a directory on a disk, the large token finds room.
        assert!(refused >= bad.len() - 2, "{refused} calls were refused");
        world.send(good.clone()).await.unwrap();
        assert_eq!(volume(&world.target()), files(&tokens));
        assert_files_are_clean(world.directory.path(), &world.target());
    }
}

#[tokio::test]
async fn no_token_is_seen_outside_of_the_volume() {
    let captured = captured();
    for policy in policies() {
        for placement in [Secrets, VolumeContext] {
            let mut world = World::start(|mut config| {
                config.volume_size = 32 << 10;
                config.mount(policy)
            })
            .await;
            good_and_bad_calls(&world, placement).await;
            world.restart().await;
            world.unpublish().await.unwrap();
            world.assert_nothing_is_left();
            assert_clean("an observation", &format!("{:?}", world.seen.lock()));
            world.end().await;
        }
        let old = World::start(|config| config.mount(policy).read(ReadFrom::VolumeContextOnly)).await;
        let refused = old.publish(Secrets, &[("vault", SHAPED), ("sts", OPAQUE)]).await.unwrap_err();
        assert_status_is_clean(&refused);
    }

    captured.assert_clean(&[
        "TRACE",
        "NodePublishVolume",
        "Unavailable",
        "***stripped***",
        "csi-volume",
        " h2::",
    ]);
}
