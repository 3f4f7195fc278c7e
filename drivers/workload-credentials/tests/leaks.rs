//! A canary in every token and in all credentials: after good and bad calls of every kind they stand in the volume, and nowhere else: no
//! log at any level, no status, no event, no metric, no record.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

#[expect(dead_code, reason = "shared with the tests of the driver, which use all of it")]
mod common;

use std::collections::HashSet;
use std::path::Path;
use std::time::Duration;

use common::exchange_server::{AUDIENCE, ISSUED, Mood};
use common::world::{ROLE, World};
use tokenward_driver::csi::v1::NodePublishVolumeRequest;
use tokenward_driver::testing::{CapturedLog, visible_files as volume, with_tokens};
use tokenward_driver::tokens::Placement::{Secrets, VolumeContext};
use tokenward_driver::tokens::TOKENS_KEY;

/// A piece of so many bytes is looked for.
const PIECE: usize = 20;

/// The pieces of all that is secret.
struct Canaries(HashSet<[u8; PIECE]>);

impl Canaries {
    fn new() -> Self {
        let mut canaries = Self(HashSet::new());
        canaries.add(ISSUED);
        canaries
    }

    fn add(&mut self, secret: &str) {
        self.0.extend(secret.as_bytes().windows(PIECE).map(|piece| <[u8; PIECE]>::try_from(piece).unwrap()));
    }

    fn assert_none_in(&self, place: &str, text: &[u8]) {
        if let Some(at) = text.windows(PIECE).position(|window| self.0.contains(window)) {
            let before = String::from_utf8_lossy(&text[at.saturating_sub(300)..at]).into_owned();
            panic!("a secret in {place} at byte {at}, after: {before}");
        }
    }

    /// Searches all files below a directory, but not those in volumes.
    fn assert_none_below(&self, directory: &Path, volumes: &Path) {
        for entry in std::fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            let kind = path.symlink_metadata().unwrap().file_type();
            if kind.is_dir() && path != volumes {
                self.assert_none_below(&path, volumes);
            } else if kind.is_file() {
                self.assert_none_in(path.to_str().unwrap(), &std::fs::read(&path).unwrap());
            }
        }
    }
}

async fn good_and_bad_calls(world: &World, attributes: &[(&str, &str)], canaries: &mut Canaries) {
    for placement in [Secrets, VolumeContext] {
        for mood in [Mood::Echo, Mood::Down, Mood::Good, Mood::Down, Mood::Echo] {
            world.server.feel(mood);
            // Past the last fifth of the life, so that there is an exchange each time; later past its end.
            world.clock.advance(Duration::from_secs(900));
            let token = world.server.token(AUDIENCE, "shop");
            for part in token.split('.').skip(1) {
                canaries.add(part);
            }
            let good = with_tokens(world.request(attributes), placement, &[(AUDIENCE, &token)]);
            let unreadable = |value: String| {
                let mut request = good.clone();
                for map in [&mut request.secrets, &mut request.volume_context] {
                    if let Some(found) = map.get_mut(TOKENS_KEY) {
                        found.clone_from(&value);
                    }
                }
                request
            };
            let mut echo = good.clone();
            echo.volume_context.insert("exchange".to_owned(), token.clone());
            let mut nonsense = good.clone();
            nonsense.volume_context.insert(token.clone(), "x".to_owned());
            let mut path = good.clone();
            path.volume_context.insert(format!("tokenFile.../{token}"), AUDIENCE.to_owned());
            let requests = [
                unreadable(format!(r#"{{"{AUDIENCE}":"{token}"}}"#)),
                unreadable(token.clone()),
                unreadable(format!(
                    r#"{{"{AUDIENCE}":{{"token":"{token}","expirationTimestamp":"2000-01-01T00:00:00Z"}}}}"#
                )),
                NodePublishVolumeRequest { volume_capability: None, ..good.clone() },
                echo,
                nonsense,
                path,
                good,
            ];
            for request in requests {
                if let Err(status) = world.send(request).await {
                    let text = format!("{} {:?} {status:?}", status.message(), status.details());
                    canaries.assert_none_in("a status", text.as_bytes());
                }
            }
            canaries.assert_none_below(world.directory.path(), &world.directory.path().join("pod"));
        }
    }
}

#[tokio::test]
async fn no_token_and_no_credential_is_seen_outside_of_the_volume() {
    let log = CapturedLog::of_this_process();
    let mut canaries = Canaries::new();
    let aws = [("exchange", "aws"), ("role", ROLE), ("credentialsFile", "c")];
    let vault = [("exchange", "vault"), ("role", "shop"), ("credentialsFile", "c")];
    let sts = [("exchange", "sts"), ("exchangeAudience", AUDIENCE), ("credentialsFile", "c")];
    for attributes in [aws, vault, sts] {
        let mut world = World::start().await;
        good_and_bad_calls(&world, &attributes, &mut canaries).await;
        assert!(volume(&world.target())["c"].contains(ISSUED), "the search is for something");
        let (events, metrics) = (format!("{:?}", world.told.0.lock()), world.metrics.render());
        for reason in ["CredentialsKept", "CredentialsExpired"] {
            assert!(events.contains(reason), "{events}");
        }
        canaries.assert_none_in("an event", events.as_bytes());
        canaries.assert_none_in("the metrics", metrics.as_bytes());
        world.restart().await;
        world.unpublish().await.unwrap();
        world.assert_nothing_is_left();
        world.end().await;
    }
    let text = log.text();
    // That something was captured, requests and refusals among it.
    for expected in
        ["TRACE", "NodePublishVolume", "the last good credentials stay", "***stripped***", "HTTP 503"]
    {
        assert!(text.contains(expected), "nothing of `{expected}` was traced");
    }
    canaries.assert_none_in("the log", text.as_bytes());
}
