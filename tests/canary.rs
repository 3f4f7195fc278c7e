//! No byte of a token anywhere but in the volume. Without this, one careless line in any crate, in a new version of a
//! dependency, or in the message of somebody's driver brings back CVE-2023-2878.

use std::path::{Component, Path};

use crate::support::admin::Admin;
use crate::support::driver::{Manner, Publish, RecordingDriver};
use crate::support::manifests::{csi_driver, file, pod};
use crate::support::place::{Place, files_below};
use crate::support::repository;
use crate::support::run::Signal;
use crate::support::tokens::Canaries;

/// Everything at once: both placements, good and careless drivers, reviews, deletion; then all that was written is searched.
fn nothing_leaks(log_format: &str) {
    let place = Place::new();
    let secret = RecordingDriver::start(&place, "secret.example", Manner::Echo);
    let context = RecordingDriver::start(&place, "context.example", Manner::Echo);
    let quickstart = repository("examples/quickstart.yaml");
    let drivers = [csi_driver("secret.example", Some(true)), csi_driver("context.example", None)];
    let drivers = place.write("drivers.yaml", &file(&drivers));
    let (root, kubeconfig) = (place.file("root"), place.file("kubeconfig"));
    let (secret_endpoint, context_endpoint) = (secret.endpoint(), context.endpoint());
    let run = place
        .tokenward([
            "up",
            "--log-level",
            "trace",
            "--log-format",
            log_format,
            "--wait",
            "--apply",
            quickstart.to_str().unwrap(),
            "--apply",
            drivers.to_str().unwrap(),
            "--driver-endpoint",
            &secret_endpoint,
            "--driver-endpoint",
            &context_endpoint,
            "--root-dir",
            root.to_str().unwrap(),
            "--kubeconfig-out",
            kubeconfig.to_str().unwrap(),
        ])
        .start();
    run.ready();
    let admin = Admin::new(&kubeconfig);
    let mut canaries = Canaries::default();

    // The volumes of token-files: the only files that may hold a token.
    let volumes: Vec<_> = files_below(&root).into_iter().filter(|path| is_in_a_volume(path)).collect();
    assert_eq!(volumes.len(), 6, "two volumes with two tokens, two with one: {volumes:?}");
    let mut kept = Vec::new();
    for path in volumes {
        let token = std::fs::read_to_string(&path).unwrap();
        let audience = if path.ends_with("vault") { "vault" } else { "sts.example" };
        assert!(admin.is_authenticated(&token, audience), "{}", path.display());
        canaries.add(&token);
        assert_eq!(
            canaries.find(format!("token={token}").as_bytes()),
            Some("token=".len() + token.find('.').unwrap() + 1)
        );
        kept.push((token, audience));
    }

    // Drivers that put their whole request into the message of their refusal, which lands in logs and Events.
    admin.wait_for_registration("secret.example");
    admin.wait_for_registration("context.example");
    admin.create_pod(&pod("in-secrets", "secret.example"));
    admin.create_pod(&pod("in-context", "context.example"));
    for (driver, name) in [(&secret, "in-secrets"), (&context, "in-context")] {
        let refused = driver.publish_for(name);
        assert_eq!(refused.tokens().len(), 2);
        let message = admin.wait_for_mount_failure(name, "will not do that: ");
        // The rest of the message is there: the search below looks at something.
        assert!(message.contains(&refused.target_path), "{message}");
        driver.behave(Manner::Publish);
        admin.wait_until_running(name);
        for (audience, token) in driver.publishes().iter().flat_map(Publish::tokens) {
            assert!(admin.is_authenticated(&token, &audience));
            canaries.add(&token);
        }
    }
    assert!(!admin.is_authenticated(&tampered(&kept[0].0), kept[0].1));

    for (path, text) in admin.everything() {
        canaries.assert_none_in(&path, text.as_bytes());
    }
    for path in files_below(&root).into_iter().filter(|path| !is_in_a_volume(path)) {
        canaries.assert_none_in(&path.display().to_string(), &std::fs::read(&path).unwrap());
    }
    canaries.assert_none_in("the kubeconfig", &std::fs::read(&kubeconfig).unwrap());

    for name in ["in-secrets", "in-context"] {
        admin.delete_pod("default", name);
    }
    admin.delete_pod("quickstart", "shop");
    for (path, text) in admin.everything() {
        canaries.assert_none_in(&path, text.as_bytes());
    }
    run.signal(Signal::TERM);
    let ended = run.wait();
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert!(canaries.count() >= 10, "{}", canaries.count());
    canaries.assert_none_in("standard output", ended.stdout.as_bytes());
    canaries.assert_none_in("standard error", ended.stderr.as_bytes());
    assert!(ended.stderr.contains("TRACE"), "the log was not at its chattiest");
    place.assert_nothing_is_left();
}

#[test]
fn no_token_in_logs_as_text() {
    nothing_leaks("text");
}

#[test]
fn no_token_in_logs_as_json() {
    nothing_leaks("json");
}

/// What a script parses is the least guarded of all: nobody expects a secret in it.
#[test]
fn no_token_in_records() {
    let place = Place::new();
    let names = ["secret.example", "context.example"];
    let drivers = names.map(|name| RecordingDriver::start(&place, name, Manner::Publish));
    let endpoints = drivers.each_ref().map(RecordingDriver::endpoint);
    let manifest = [
        csi_driver(names[0], Some(true)),
        csi_driver(names[1], None),
        pod("in-secrets", names[0]),
        pod("in-context", names[1]),
    ];
    let manifest = place.write("manifest.yaml", &file(&manifest));
    for format in ["json", "table"] {
        let ended = place
            .tokenward([
                "up",
                "--once",
                "--log-level",
                "trace",
                "--output",
                format,
                "--apply",
                manifest.to_str().unwrap(),
                "--driver-endpoint",
                &endpoints[0],
                "--driver-endpoint",
                &endpoints[1],
            ])
            .run();
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
        assert!(ended.stdout.contains("volume_context"), "{}", ended.stdout);
        let mut canaries = Canaries::default();
        for publish in drivers.iter().flat_map(RecordingDriver::publishes) {
            publish.tokens().values().for_each(|token| canaries.add(token));
        }
        assert!(canaries.count() >= 4);
        canaries.assert_none_in("standard output", ended.stdout.as_bytes());
        canaries.assert_none_in("standard error", ended.stderr.as_bytes());
        place.assert_nothing_is_left();
    }
}

/// `<root>/1/pods/<uid>/volumes/kubernetes.io~csi/<volume>/mount/...`
fn is_in_a_volume(path: &Path) -> bool {
    let mut components = path.components().map(Component::as_os_str);
    components.any(|name| name == "kubernetes.io~csi")
        && components.nth(1).is_some_and(|name| name == "mount")
}

/// The same token with another letter in the middle of its signature.
fn tampered(token: &str) -> String {
    let middle = token.rfind('.').unwrap() + 100;
    let letter = if token.as_bytes()[middle] == b'A' { "B" } else { "A" };
    format!("{}{letter}{}", &token[..middle], &token[middle + 1..])
}
