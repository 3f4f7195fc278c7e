//! A canary in every token: after good and bad calls of every kind it stands in the volume, and nowhere else.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

#[path = "../common/mod.rs"]
mod common;
mod outcomes;

use std::path::Path;

use common::{World, files, policies, volume, with_tokens};
use tokenward_driver::csi::v1::NodePublishVolumeRequest;
use tokenward_driver::testing::CapturedLog;
use tokenward_driver::tokens::Placement::{self, Secrets, VolumeContext};
use tokenward_driver::tokens::TOKENS_KEY;
use tokenward_driver_token_files::ReadFrom;
use tonic::Status;

/// A token that is known by its shape, and one that is not.
const SHAPED: &str =
    "eyJhbGciOiJSUzI1NiIsImtpZCI6IksifQ.eyJhdWQiOlsidmF1bHQiXSwic3ViIjoicyJ9.c4n4rySignature";
const OPAQUE: &str = "c4n4ry-opaque-token";
const CANARIES: [&str; 3] =
    ["c4n4ry", "eyJhbGciOiJSUzI1NiIsImtpZCI6IksifQ", "eyJhdWQiOlsidmF1bHQiXSwic3ViIjoicyJ9"];

/// That something was logged, and no token.
fn assert_log_is_clean(log: &CapturedLog, expected: &[&str]) {
    let log = log.text();
    for expected in expected {
        assert!(log.contains(expected), "nothing of `{expected}` was traced");
    }
    assert_clean("the log", &log);
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
    let log = CapturedLog::of_this_process();
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

    assert_log_is_clean(
        log,
        &["TRACE", "NodePublishVolume", "Unavailable", "***stripped***", "csi-volume", " h2::"],
    );
}
