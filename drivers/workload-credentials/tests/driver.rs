//! The driver over its socket, with an exchange server that verifies tokens: what a pod finds in its volume after each call of a node.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

mod common;

use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::sync::atomic::Ordering;
use std::time::Duration;

use common::exchange_server::{AUDIENCE, ISSUED, Mood};
use common::world::{ROLE, World};
use tokenward_driver::csi::v1::NodePublishVolumeRequest;
use tokenward_driver::csi::v1::volume_capability::{AccessType, MountVolume};
use tokenward_driver::testing::{visible_files as volume, with_tokens};
use tokenward_driver::tokens::Placement::{Secrets, VolumeContext};
use tokenward_driver::tokens::TOKENS_KEY;
use tonic::Code;

type Attributes<'a> = &'a [(&'a str, &'a str)];

const VAULT: [(&str, &str); 3] =
    [("exchange", "vault"), ("role", "shop"), ("credentialsFile", "vault-token")];

#[tokio::test]
async fn each_exchange_gives_the_pod_its_file() {
    let aws = [("exchange", "aws"), ("role", ROLE), ("credentialsFile", "credentials")];
    let sts = [
        ("exchange", "sts"),
        ("exchangeAudience", AUDIENCE),
        ("credentialsFile", "access"),
        ("credentialsFormat", "json"),
    ];
    let table: [(Attributes<'_>, &str, String); 3] = [
        (
            &aws,
            "credentials",
            format!(
                "[default]\naws_access_key_id = ASIA1\naws_secret_access_key = {ISSUED}-1\naws_session_token = session-{ISSUED}-1\n"
            ),
        ),
        (&VAULT, "vault-token", format!("{ISSUED}-1")),
        (&sts, "access", format!("{{\"token\":\"{ISSUED}-1\",\"expires\":\"2026-03-01T12:16:40Z\"}}\n")),
    ];
    for (attributes, file, expected) in table {
        for placement in [Secrets, VolumeContext] {
            let world = World::start().await;
            let token = world.server.token(AUDIENCE, "shop");
            let attributes = [attributes, &[("tokenFile.token", AUDIENCE)]].concat();
            let request =
                with_tokens(world.request(&attributes), placement, &[(AUDIENCE, &token), ("other", "x")]);
            world.send(request).await.unwrap();
            let found = volume(&world.target());
            let mut sorted = [file, "token"];
            sorted.sort_unstable();
            assert_eq!(found.keys().map(String::as_str).collect::<Vec<_>>(), sorted);
            assert_eq!((&found[file], &found["token"]), (&expected, &token));
            assert_eq!(world.server.granted(), ["system:serviceaccount:apps:shop"]);
            world.unpublish().await.unwrap();
            world.assert_nothing_is_left();
        }
    }
}

#[tokio::test]
async fn files_have_the_modes_that_were_asked_for_and_directories_let_readers_in() {
    let world = World::start().await;
    let mode = |name: &str| world.target().join(name).metadata().unwrap().permissions().mode() & 0o7777;
    let attributes = [
        &VAULT[..],
        &[("tokenFile.deep/token", AUDIENCE), ("fileMode", "0400"), ("fileMode.vault-token", "0444")],
    ]
    .concat();
    world.publish(&attributes).await.unwrap();
    assert_eq!(
        [mode("vault-token"), mode("deep/token"), mode("."), mode("..data"), mode("deep")],
        [0o444, 0o400, 0o755, 0o755, 0o755]
    );
    world.unpublish().await.unwrap();
    world.publish(&VAULT).await.unwrap();
    assert_eq!([mode("vault-token"), mode("."), mode("..data")], [0o600, 0o700, 0o700]);
    world.unpublish().await.unwrap();
}

/// A pod whose containers are not root's has an `fsGroup`, which the kubelet hands to drivers with VOLUME_MOUNT_GROUP.
#[tokio::test]
async fn the_pods_group_may_read_everything() {
    let own = rustix::process::getegid().as_raw();
    let group = if rustix::process::geteuid().is_root() { 4_000_000_000 } else { own };
    let world = World::start().await;
    let mut request = world.with_token(&VAULT);
    let mount = MountVolume { volume_mount_group: group.to_string(), ..Default::default() };
    let capability = request.volume_capability.as_mut().unwrap();
    capability.access_type = Some(AccessType::Mount(mount));
    world.send(request).await.unwrap();
    for (name, mode) in [(".", 0o750), ("..data", 0o750), ("vault-token", 0o640)] {
        let found = world.target().join(name).metadata().unwrap();
        assert_eq!((found.gid(), found.mode() & 0o7777), (group, mode), "{name}");
    }
    world.unpublish().await.unwrap();
}

#[tokio::test]
async fn a_republish_renews_in_the_last_fifth_and_not_before() {
    let world = World::start().await;
    world.server.grant_for(1000);
    world.publish(&VAULT).await.unwrap();
    for (seconds, number) in [(0, 1), (700, 1), (101, 2), (700, 2), (101, 3)] {
        world.clock.advance(Duration::from_secs(seconds));
        world.publish(&VAULT).await.unwrap();
        assert_eq!(volume(&world.target())["vault-token"], format!("{ISSUED}-{number}"), "{seconds}");
        assert_eq!(world.server.granted().len(), number);
    }
    assert_eq!(world.reasons(), Vec::<&str>::new());
    world.unpublish().await.unwrap();
    world.assert_nothing_is_left();
}

#[tokio::test]
async fn while_the_exchange_is_down_the_last_good_credentials_stay_and_the_tokens_are_fresh() {
    let world = World::start().await;
    let attributes = [&VAULT[..], &[("tokenFile.token", AUDIENCE)]].concat();
    world.publish(&attributes).await.unwrap();
    world.server.feel(Mood::Down);
    world.clock.advance(Duration::from_secs(900));
    for _ in 0..3 {
        world.publish(&attributes).await.unwrap();
    }
    let last = world.server.token(AUDIENCE, "shop");
    world.send(with_tokens(world.request(&attributes), Secrets, &[(AUDIENCE, &last)])).await.unwrap();
    let found = volume(&world.target());
    assert_eq!(
        (found["vault-token"].as_str(), found["token"].as_str()),
        (format!("{ISSUED}-1").as_str(), last.as_str())
    );
    assert_eq!(world.reasons(), ["CredentialsKept"], "said once, not at each republish");
    let event = world.told.0.lock()[0].clone();
    assert_eq!(
        (event.namespace.as_str(), event.pod.as_str(), event.uid.as_str()),
        ("apps", "shop-0", "6e8eb1a9")
    );
    assert_eq!(
        event.message,
        format!(
            "exchange `vault` failed, the last good credentials stay until 2026-03-01T12:16:40Z: the exchange with http://{} gave no \
             credentials: the server refused it: HTTP 503",
            world.server.address
        )
    );
    assert!(
        world.metric(r#"workload_credentials_kept_total{exchange="vault"} 4"#),
        "{}",
        world.metrics.render()
    );

    // Over: the files stay, and the call says both causes with a code that is not final.
    world.clock.advance(Duration::from_secs(100));
    let fresh = world.server.token(AUDIENCE, "shop");
    let request = with_tokens(world.request(&attributes), Secrets, &[(AUDIENCE, &fresh)]);
    let status = world.send(request).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    for cause in
        ["the credentials expired at 2026-03-01T12:16:40Z", "exchange `vault` gives no new ones", "HTTP 503"]
    {
        assert!(status.message().contains(cause), "{}", status.message());
    }
    let found = volume(&world.target());
    assert_eq!(
        (found["vault-token"].as_str(), found["token"].as_str()),
        (format!("{ISSUED}-1").as_str(), fresh.as_str())
    );
    assert_eq!(world.reasons(), ["CredentialsKept", "CredentialsExpired"]);

    world.server.feel(Mood::Good);
    world.publish(&attributes).await.unwrap();
    assert_eq!(volume(&world.target())["vault-token"], format!("{ISSUED}-2"));
    assert_eq!(world.reasons(), ["CredentialsKept", "CredentialsExpired", "CredentialsRenewed"]);
    world.unpublish().await.unwrap();
}

#[tokio::test]
async fn a_driver_that_was_restarted_goes_on_where_it_was() {
    let mut world = World::start().await;
    world.publish(&VAULT).await.unwrap();
    world.restart().await;
    world.publish(&VAULT).await.unwrap();
    assert_eq!(world.server.granted().len(), 1, "credentials that are good are not exchanged anew");

    // What is known of them is known after the restart too: that they are due, and that they are still good.
    world.server.feel(Mood::Down);
    world.clock.advance(Duration::from_secs(900));
    world.restart().await;
    world.publish(&VAULT).await.unwrap();
    assert_eq!(world.reasons(), ["CredentialsKept"]);
    assert_eq!(volume(&world.target())["vault-token"], format!("{ISSUED}-1"));

    // A volume that went while no driver was there.
    world.unpublish().await.unwrap();
    world.server.feel(Mood::Good);
    world.publish(&VAULT).await.unwrap();
    world.end().await;
    let _ = rustix::mount::unmount(world.target(), rustix::mount::UnmountFlags::DETACH);
    std::fs::remove_dir_all(world.target()).unwrap();
    world.restart().await;
    world.assert_nothing_is_left();
    world.unpublish().await.unwrap();
}

/// Another pod, or the same with another wish, at the same place: what is there was not issued for it.
#[tokio::test]
async fn credentials_are_never_handed_to_another_pod() {
    let world = World::start().await;
    world.publish(&VAULT).await.unwrap();
    let mut request = world.with_token(&VAULT);
    request.volume_context.insert("csi.storage.k8s.io/pod.uid".to_owned(), "another".to_owned());
    world.server.feel(Mood::Down);
    let status = world.send(request.clone()).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    world.server.feel(Mood::Good);
    world.send(request).await.unwrap();
    assert_eq!(world.server.granted().len(), 2);
    world.unpublish().await.unwrap();
}

#[tokio::test]
async fn what_is_refused_at_first_leaves_nothing_and_is_not_hidden_by_an_identity_of_the_node() {
    let world = World::start().await;
    for mood in [Mood::Down, Mood::Echo] {
        world.server.feel(mood);
        let status = world.publish(&VAULT).await.unwrap_err();
        assert_eq!(status.code(), Code::Unavailable);
        assert!(
            status.message().starts_with("exchange `vault`: the exchange with http://"),
            "{}",
            status.message()
        );
        world.assert_nothing_is_left();
    }
    world.server.feel(Mood::Good);
    // The server says no: the role is another's.
    let status = world
        .publish(&[("exchange", "vault"), ("role", "till"), ("credentialsFile", "c")])
        .await
        .unwrap_err();
    assert!(status.message().contains("shop may not have this role"), "{}", status.message());
    // The token is for somebody else, as the server finds out.
    let wrong = world.server.token("wrong.example", "shop");
    let attributes = [("exchange", "sts"), ("exchangeAudience", "wrong.example"), ("credentialsFile", "c")];
    let request = with_tokens(world.request(&attributes), Secrets, &[("wrong.example", &wrong)]);
    let status = world.send(request).await.unwrap_err();
    assert!(status.message().contains("none of the wanted audiences"), "{}", status.message());
    world.assert_nothing_is_left();
    assert_eq!(world.server.granted(), Vec::<String>::new());
}

#[tokio::test]
async fn a_forged_key_in_inline_attributes_is_never_used_once_secrets_are_present() {
    let world = World::start().await;
    let forged = with_tokens(world.request(&VAULT), VolumeContext, &[(AUDIENCE, "forged")]);
    let real = world.server.token(AUDIENCE, "shop");
    let mut request = with_tokens(world.request(&VAULT), Secrets, &[(AUDIENCE, &real)]);
    request.volume_context.extend(forged.volume_context.clone());
    world.send(request.clone()).await.unwrap();
    assert_eq!(world.server.granted().len(), 1);

    // The other way round: what stands in secrets is nothing, and a good token in the attributes does not mend it.
    world.clock.advance(Duration::from_secs(900));
    let good = world.server.token(AUDIENCE, "shop");
    let planted = with_tokens(world.request(&VAULT), VolumeContext, &[(AUDIENCE, &good)]);
    for unusable in
        ["", "{", "null", "{}", r#"{"exchange.example":{"token":""}}"#, r#"{"other":{"token":"x"}}"#]
    {
        let mut request = planted.clone();
        request.secrets.insert(TOKENS_KEY.to_owned(), unusable.to_owned());
        let asked = world.server.asked();
        let status = world.send(request).await.unwrap_err();
        assert_eq!(status.code(), Code::Unavailable, "{unusable}: {}", status.message());
        assert_eq!(world.server.asked(), asked, "{unusable}");
    }
    assert_eq!(volume(&world.target())["vault-token"], format!("{ISSUED}-1"));
    world.unpublish().await.unwrap();
}

#[tokio::test]
async fn requests_and_attributes_that_cannot_be_meant_have_their_codes() {
    let world = World::start().await;
    let good = || world.with_token(&VAULT);
    let with = |change: fn(&mut NodePublishVolumeRequest)| {
        let mut request = good();
        change(&mut request);
        request
    };
    let table: [(NodePublishVolumeRequest, Code, &str); 10] = [
        (with(|request| request.volume_id.clear()), Code::InvalidArgument, "volume_id is missing"),
        (with(|request| request.target_path.clear()), Code::InvalidArgument, "target_path is missing"),
        (
            with(|request| request.target_path.push_str("/../..")),
            Code::InvalidArgument,
            "target_path: wanted an absolute path",
        ),
        (
            with(|request| request.volume_capability = None),
            Code::InvalidArgument,
            "volume_capability is missing",
        ),
        (
            with(|request| request.readonly = false),
            Code::InvalidArgument,
            "set `readOnly: true` of the pod's csi volume",
        ),
        (
            with(|request| drop(request.volume_context.remove("csi.storage.k8s.io/pod.uid"))),
            Code::Unavailable,
            "spec.podInfoOnMount",
        ),
        (with(|request| request.secrets.clear()), Code::Unavailable, "spec.serviceAccountTokenInSecrets"),
        (
            world.with_token(&[("url", "http://127.0.0.1/")]),
            Code::InvalidArgument,
            "`url` is not an attribute of this driver",
        ),
        (
            world.with_token(&[("exchange", "nobody"), ("credentialsFile", "c")]),
            Code::InvalidArgument,
            "it has `aws`, `sts`, `vault`",
        ),
        (
            world.with_token(&[("tokenFile.t", "other")]),
            Code::Unavailable,
            "no service account token for the audience `other`",
        ),
    ];
    for (request, code, expected) in &table {
        let status = world.send(request.clone()).await.unwrap_err();
        assert_eq!(status.code(), *code, "{}", status.message());
        assert!(status.message().contains(expected), "{}", status.message());
        world.assert_nothing_is_left();
    }
    assert_eq!(world.server.asked(), 0);

    // Of a volume that is there no attribute may cost a running pod its mount.
    world.send(good()).await.unwrap();
    let status = world.send(table[8].0.clone()).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable, "{}", status.message());
    world.unpublish().await.unwrap();
}

#[tokio::test]
async fn a_token_that_is_over_is_not_sent() {
    let world = World::start().await;
    let mut request = world.request(&VAULT);
    let value = format!(
        r#"{{"{AUDIENCE}":{{"token":"{}","expirationTimestamp":"2026-03-01T11:59:59Z"}}}}"#,
        world.server.token(AUDIENCE, "shop")
    );
    request.secrets.insert(TOKENS_KEY.to_owned(), value);
    let status = world.send(request).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    assert!(
        status.message().contains("the service account token for the audience `exchange.example` expired"),
        "{}",
        status.message()
    );
    assert_eq!(world.server.asked(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_more_exchanges_are_under_way_than_the_configuration_allows() {
    let world = World::start().await;
    let gate = world.server.close();
    let mut arrived = world.server.arrived.subscribe();
    let publish = |number: usize| {
        let mut request = world.with_token(&VAULT);
        request.volume_id = format!("volume-{number}");
        request.target_path = world.target_of(&format!("mount-{number}")).to_str().unwrap().to_owned();
        world.send(request)
    };
    let all = async { tokio::join!(publish(0), publish(1), publish(2), publish(3), publish(4), publish(5)) };
    let opening = async {
        arrived.wait_for(|arrived| *arrived >= 2).await.unwrap();
        for number in 3..=6 {
            gate.add_permits(1);
            arrived.wait_for(|arrived| *arrived >= number).await.unwrap();
        }
        gate.add_permits(2);
    };
    let ((a, b, c, d, e, f), ()) = tokio::join!(all, opening);
    for result in [a, b, c, d, e, f] {
        result.unwrap();
    }
    assert_eq!(world.server.most_under_way.load(Ordering::SeqCst), 2);
}
