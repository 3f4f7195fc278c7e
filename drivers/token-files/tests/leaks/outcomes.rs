//! What the driver makes of each sort of request, as a first publish and as a republish: the code of its answer, words of it, and
//! what the pod finds afterwards. A refusal is never final, never has a token, and leaves the old files.

use std::collections::BTreeMap;

use tokenward_driver::csi::v1::{NodePublishVolumeRequest, NodePublishVolumeResponse};
use tokenward_driver::testing::CapturedLog;
use tokenward_driver::tokens::TOKENS_KEY;
use tonic::{Code, Request};

use super::common::{World, files, volume, with_tokens};
use super::{OPAQUE, SHAPED, assert_log_is_clean, assert_status_is_clean};
use tokenward_driver::tokens::Placement::{Secrets, VolumeContext};

const OLD: &[(&str, &str)] = &[("vault", "old")];

/// Audiences that are their files' names, with their tokens.
type Delivered = Vec<(&'static str, String)>;
/// A code, and words of the message.
type Refusal = (Code, &'static [&'static str]);

/// The two places, and the answer with what is in the volume then, or words of the refusal.
struct Row {
    what: &'static str,
    secrets: Option<String>,
    volume_context: Option<String>,
    outcome: Result<Delivered, Refusal>,
}

fn entry(audience: &str, token: &str) -> String {
    format!(r#""{audience}":{{"token":"{token}","expirationTimestamp":"2099-01-01T00:00:00Z"}}"#)
}

fn map(entries: &[String]) -> String {
    format!("{{{}}}", entries.join(","))
}

fn one(token: &str) -> String {
    map(&[entry("vault", token)])
}

fn table() -> Vec<Row> {
    const CAUSES: &[&str] = &["spec.tokenRequests", "spec.serviceAccountTokenInSecrets"];
    const IN_SECRETS: &[&str] = &["in secrets cannot be read"];
    const IN_CONTEXT: &[&str] = &["in volume_context cannot be read"];
    let row = |what, secrets: Option<&str>, volume_context: Option<&str>, outcome| Row {
        what,
        secrets: secrets.map(str::to_owned),
        volume_context: volume_context.map(str::to_owned),
        outcome,
    };
    let vault = |token: &str| Ok(vec![("vault", token.to_owned())]);
    let refused = |words| Err((Code::Unavailable, words));
    let good = one(SHAPED);
    let forged = one("forged-by-the-author-of-the-pod");
    let large = format!("{SHAPED}{}", "c4n4ry".repeat(500));
    let huge = format!("{SHAPED}{}", "c4n4ry".repeat(10_000));
    let three = map(&["a", "b", "c"].map(|audience| entry(audience, &large)));
    let over_the_limit = format!("{SHAPED}{}", "c4n4ry".repeat(800_000));
    vec![
        row("in secrets", Some(&good), None, vault(SHAPED)),
        row("in volume_context", None, Some(&good), vault(SHAPED)),
        row("in both: secrets win", Some(&good), Some(&one("other")), vault(SHAPED)),
        row(
            "a key forged in inline attributes, beside the real one",
            Some(&good),
            Some(&forged),
            vault(SHAPED),
        ),
        row("none", None, None, refused(CAUSES)),
        row("an empty map", Some("{}"), Some(&good), refused(CAUSES)),
        row("null", None, Some("null"), refused(CAUSES)),
        row("empty in secrets does not fall through", Some(""), Some(&good), refused(IN_SECRETS)),
        row(
            "malformed in secrets does not fall through",
            Some(&good[..40]),
            Some(&good),
            refused(IN_SECRETS),
        ),
        row("malformed in volume_context", None, Some(&good[..40]), refused(IN_CONTEXT)),
        row(
            "a token where the entry should be",
            Some(&format!(r#"{{"vault":"{SHAPED}"}}"#)),
            None,
            refused(IN_SECRETS),
        ),
        row("encoded twice", Some(&format!("{good:?}")), None, refused(IN_SECRETS)),
        row("a bare token", Some(SHAPED), None, refused(IN_SECRETS)),
        row("a byte order mark", Some(&format!("\u{feff}{good}")), None, refused(IN_SECRETS)),
        row("something behind the map", Some(&format!("{good}{SHAPED}")), None, refused(IN_SECRETS)),
        row("blanks around the map", Some(&format!(" \n{good}\t")), None, vault(SHAPED)),
        row(
            "an audience without its token",
            Some(&map(&[entry("vault", SHAPED), entry("sts", "")])),
            None,
            refused(&["`sts`", "spec.tokenRequests"]),
        ),
        row(
            "an expired token",
            Some(&good.replace("2099", "2019")),
            None,
            refused(&["`vault` expired at 2019-01-01T00:00:00Z", "clock"]),
        ),
        row(
            "one of two expired",
            None,
            Some(&map(&[entry("a", OPAQUE), entry("vault", SHAPED).replace("2099", "2019")])),
            refused(&["`vault` expired"]),
        ),
        row("an expiry that is no time", Some(&good.replace("2099", "bar")), None, vault(SHAPED)),
        row(
            "fields that nobody knows",
            Some(&good.replace(r#""token""#, r#""kind":"jwt","token""#)),
            None,
            vault(SHAPED),
        ),
        row(
            "an audience twice: the last wins",
            Some(&map(&[entry("vault", OPAQUE), entry("vault", SHAPED)])),
            None,
            vault(SHAPED),
        ),
        row(
            "4 KiB and more in all",
            Some(&three),
            None,
            Ok(["a", "b", "c"].map(|name| (name, large.clone())).to_vec()),
        ),
        row(
            "4 KiB and more in volume_context",
            None,
            Some(&three),
            Ok(["a", "b", "c"].map(|name| (name, large.clone())).to_vec()),
        ),
        row("60 KiB in one token", Some(&one(&huge)), None, vault(&huge)),
        // The limit of the server, as of Go's; it is the caller that hears of it.
        row(
            "more than a message may weigh",
            Some(&one(&over_the_limit)),
            None,
            Err((Code::OutOfRange, &["message length too large"])),
        ),
    ]
}

fn request(world: &World, row: &Row) -> NodePublishVolumeRequest {
    let mut request = world.request();
    let ephemeral = "csi.storage.k8s.io/ephemeral".to_owned();
    request.volume_context.insert(ephemeral, "true".to_owned());
    // Spelled otherwise it is no key of the kubelet's, and never looked at.
    let misspelled = TOKENS_KEY.to_lowercase();
    request.volume_context.insert(misspelled, one("forged-by-the-author-of-the-pod"));
    for (map, value) in
        [(&mut request.secrets, &row.secrets), (&mut request.volume_context, &row.volume_context)]
    {
        map.extend(value.iter().map(|value| (TOKENS_KEY.to_owned(), value.clone())));
    }
    request
}

#[tokio::test]
async fn each_sort_of_request_has_its_code_and_leaves_a_whole_volume() {
    let log = CapturedLog::of_this_process();
    for row in table() {
        let world = World::start(|config| config).await;
        for republished in [false, true] {
            if republished {
                world.send(with_tokens(world.request(), Secrets, OLD)).await.unwrap();
            }
            let answer = world.send(request(&world, &row)).await;
            match (&row.outcome, answer) {
                (Ok(delivered), Ok(())) => {
                    let delivered: Vec<_> =
                        delivered.iter().map(|(name, token)| (*name, token.as_str())).collect();
                    assert_eq!(volume(&world.target()), files(&delivered), "{}", row.what);
                }
                (Err((code, words)), Err(status)) => {
                    assert_eq!(status.code(), *code, "{}: {status:?}", row.what);
                    for word in *words {
                        assert!(status.message().contains(word), "{}: {}", row.what, status.message());
                    }
                    assert_status_is_clean(&status);
                    if republished {
                        assert_eq!(volume(&world.target()), files(OLD), "{}: the old files stay", row.what);
                    } else {
                        world.assert_nothing_is_left();
                    }
                }
                (_, answer) => panic!("{}: {answer:?}", row.what),
            }
            world.unpublish().await.unwrap();
        }
    }
    assert_log_is_clean(log, &["expired at", " h2::"]);
}

/// As [`NodePublishVolumeRequest`], with bytes where that has strings: a field that is no UTF-8 cannot be made with the other.
#[derive(Clone, PartialEq, prost::Message)]
struct Unchecked {
    #[prost(string, tag = "1")]
    volume_id: String,
    #[prost(string, tag = "4")]
    target_path: String,
    #[prost(btree_map = "string, bytes", tag = "7")]
    secrets: BTreeMap<String, Vec<u8>>,
    #[prost(btree_map = "string, bytes", tag = "8")]
    volume_context: BTreeMap<String, Vec<u8>>,
}

/// The driver never sees it: the server cannot decode it. What it says about that quotes nothing.
#[tokio::test]
async fn text_that_is_no_utf8_is_refused_before_the_driver() {
    let log = CapturedLog::of_this_process();
    let world = World::start(|config| config).await;
    for placement in [Secrets, VolumeContext] {
        let value = [one(SHAPED).as_bytes(), b"\xff\xfe"].concat();
        let mut unchecked = Unchecked {
            volume_id: "csi-volume".to_owned(),
            target_path: world.target().to_str().unwrap().to_owned(),
            ..Default::default()
        };
        let map = if placement == Secrets { &mut unchecked.secrets } else { &mut unchecked.volume_context };
        map.insert(TOKENS_KEY.to_owned(), value);
        let mut client = tonic::client::Grpc::new(world.served.channel());
        client.ready().await.unwrap();
        let path = tonic::codegen::http::uri::PathAndQuery::from_static("/csi.v1.Node/NodePublishVolume");
        let codec = tonic_prost::ProstCodec::<Unchecked, NodePublishVolumeResponse>::default();
        let status = client.unary(Request::new(unchecked), path, codec).await.unwrap_err();
        assert_eq!(status.code(), Code::Internal, "{status:?}");
        assert!(status.message().contains("UTF-8"), "{}", status.message());
        assert_status_is_clean(&status);
        world.assert_nothing_is_left();
    }
    assert_log_is_clean(log, &[" h2::"]);
}
