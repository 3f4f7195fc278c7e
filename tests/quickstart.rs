//! The first minute with the project. Without these, the first command of the README may print something else than the docs
//! say, deliver in the wrong place for a release, or leave mounts, sockets and directories on the machine of whoever tried it.

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt as _;

use jiff::Timestamp;
use serde_json::{Value, json};
use tokenward_tokens::Clock;

use crate::support::admin::Admin;
use crate::support::place::{Place, is_root, names};
use crate::support::repository;
use crate::support::run::{Ended, Signal};

const OPTED_IN: &str = "opted-in.csi.example";
const NOT_OPTED_IN: &str = "not-opted-in.csi.example";
const WARNING: &str = "Warning: spec.serviceAccountTokenInSecrets is unset; if supported by this CSI driver, set to \
                       true to prevent possible logging of tokens in volume attributes";

fn quickstart() -> String {
    std::fs::read_to_string(repository("examples/quickstart.yaml")).unwrap()
}

fn once(place: &Place, arguments: &[&str]) -> Ended {
    let manifest = place.write("quickstart.yaml", &quickstart());
    let manifest = manifest.to_str().unwrap();
    let ended = place.tokenward(["up", "--apply", manifest, "--once"].iter().chain(arguments)).run();
    place.assert_nothing_is_left();
    ended
}

/// (pod, volume, driver, placement) of each record.
fn placements(records: &Value) -> BTreeSet<[&str; 4]> {
    let fields = ["pod", "volume", "driver", "placement"];
    let records = records.as_array().unwrap();
    records.iter().map(|record| fields.map(|field| record[field].as_str().unwrap())).collect()
}

fn expected(opted_in: &'static str) -> BTreeSet<[&'static str; 4]> {
    ["backup", "shop"]
        .into_iter()
        .flat_map(|pod| {
            [[pod, "tokens", OPTED_IN, opted_in], [pod, "old-tokens", NOT_OPTED_IN, "volume_context"]]
        })
        .collect()
}

#[test]
fn each_delivery_is_one_record_with_the_fields_of_the_contract() {
    let place = Place::new();
    let before = Clock::system().now();
    let ended = once(&place, &["-o", "json"]);
    let after = Clock::system().now();
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    // All of standard output is one JSON value: nothing but records.
    let records: Value = serde_json::from_str(&ended.stdout).unwrap();
    assert_eq!(records.as_array().unwrap().len(), 4);
    assert_eq!(placements(&records), expected("secrets"));
    for record in records.as_array().unwrap() {
        let fields: BTreeSet<&str> = record.as_object().unwrap().keys().map(String::as_str).collect();
        let wanted = [
            "node",
            "namespace",
            "pod",
            "volume",
            "driver",
            "placement",
            "audiences",
            "expires",
            "latency_ms",
        ];
        assert_eq!(fields, BTreeSet::from(wanted));
        assert_eq!((&record["node"], &record["namespace"]), (&json!("node-1"), &json!("quickstart")));
        let (audiences, lifetime) = match record["driver"].as_str().unwrap() {
            OPTED_IN => (json!(["vault", "sts.example"]), 600),
            _ => (json!(["vault"]), 3600),
        };
        assert_eq!(record["audiences"], audiences);
        // The earliest of the tokens, in whole seconds, which count from when it was issued.
        let text = record["expires"].as_str().unwrap();
        assert!(text.ends_with('Z') && text.len() == "2026-01-01T00:00:00Z".len(), "{text}");
        let issued = text.parse::<Timestamp>().unwrap().as_second() - lifetime;
        assert!((before.as_second()..=after.as_second()).contains(&issued), "{before} {text} {after}");
        let latency = record["latency_ms"].as_f64().unwrap();
        assert!(latency > 0.0 && latency / 1000.0 <= after.duration_since(before).as_secs_f64(), "{latency}");
    }
}

#[test]
fn warnings_and_progress_are_for_people_on_standard_error() {
    let place = Place::new();
    let ended = once(&place, &[]);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let warnings: Vec<&str> = ended.stderr.lines().filter(|line| line.starts_with("Warning:")).collect();
    assert_eq!(warnings, [WARNING], "one driver has not opted in");
    for line in ["csidriver opted-in.csi.example created", "pod quickstart/shop created"] {
        assert!(ended.stderr.lines().any(|said| said == line), "no line {line:?} in\n{}", ended.stderr);
    }
    // Every attempt is the first one: drivers are registered before pods come.
    assert!(!ended.stderr.contains("MountVolume"), "{}", ended.stderr);

    let mut lines = ended.stdout.lines();
    let columns = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<String>>();
    assert_eq!(
        columns(lines.next().unwrap()),
        ["NODE", "NAMESPACE", "POD", "VOLUME", "DRIVER", "PLACEMENT", "AUDIENCES", "EXPIRES", "LATENCY"]
    );
    let mut seen = Vec::new();
    for line in lines {
        let mut columns = columns(line);
        // `12.3 ms` are two.
        let (unit, latency, expires) =
            (columns.pop().unwrap(), columns.pop().unwrap(), columns.pop().unwrap());
        assert!(unit == "ms" && latency.parse::<f64>().is_ok(), "{line}");
        assert!(expires.parse::<Timestamp>().is_ok(), "{line}");
        seen.push(columns.join(" "));
    }
    assert_eq!(
        seen,
        [
            "node-1 quickstart backup old-tokens not-opted-in.csi.example volume_context vault",
            "node-1 quickstart backup tokens opted-in.csi.example secrets vault,sts.example",
            "node-1 quickstart shop old-tokens not-opted-in.csi.example volume_context vault",
            "node-1 quickstart shop tokens opted-in.csi.example secrets vault,sts.example",
        ]
    );
}

#[test]
fn without_the_gate_every_token_travels_in_volume_context_and_the_field_is_not_stored() {
    for (arguments, placement, stored, warns) in [
        (vec!["--kubernetes-version", "1.34"], "volume_context", None, false),
        (vec!["--feature-gates", "CSIServiceAccountTokenSecrets=false"], "volume_context", None, false),
        (vec!["--kubernetes-version", "1.36"], "secrets", Some(true), true),
    ] {
        let place = Place::new();
        let ended = once(&place, &[&["-o", "json"], arguments.as_slice()].concat());
        assert_eq!(ended.code, Some(0), "{arguments:?}: {}", ended.stderr);
        let records: Value = serde_json::from_str(&ended.stdout).unwrap();
        assert_eq!(placements(&records), expected(placement), "{arguments:?}");
        assert_eq!(ended.stderr.contains(WARNING), warns, "{arguments:?}: {}", ended.stderr);

        let (manifest, kubeconfig) = (place.file("quickstart.yaml"), place.file("kubeconfig"));
        let (manifest, kubeconfig_out) = (manifest.to_str().unwrap(), kubeconfig.to_str().unwrap());
        let up = ["up", "--apply", manifest, "--wait", "--kubeconfig-out", kubeconfig_out];
        let run = place.tokenward(up.iter().chain(&arguments)).start();
        run.ready();
        assert_eq!(std::fs::metadata(&kubeconfig).unwrap().permissions().mode() & 0o777, 0o600);
        let admin = Admin::new(&kubeconfig);
        let driver = admin.get(&format!("/apis/storage.k8s.io/v1/csidrivers/{OPTED_IN}"));
        let spec = driver["spec"].as_object().unwrap();
        assert_eq!(spec["tokenRequests"].as_array().unwrap().len(), 2);
        let field = spec.get("serviceAccountTokenInSecrets").map(|field| field.as_bool().unwrap());
        assert_eq!(field, stored, "{arguments:?}");
        run.signal(Signal::TERM);
        let ended = run.wait();
        assert_eq!((ended.code, ended.stdout.as_str()), (Some(0), "ready\n"), "{}", ended.stderr);
        place.assert_nothing_is_left();
    }
}

#[test]
fn release_1_36_refuses_to_switch_the_gate_off() {
    let place = Place::new();
    let gate_off = ["--feature-gates", "CSIServiceAccountTokenSecrets=false"];
    let ended = once(&place, &[&["--kubernetes-version", "1.36"], gate_off.as_slice()].concat());
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(2), ""));
    assert_eq!(
        ended.stderr,
        "Error: --feature-gates: cannot set feature gate CSIServiceAccountTokenSecrets to false, \
         feature is locked to true\n"
    );
}

/// No root, no containers: the driver keeps files in private directories where it may not mount.
#[test]
fn whoever_has_no_privileges_gets_the_same() {
    let place = Place::unprivileged();
    let manifest = place.write("quickstart.yaml", &quickstart());
    let root = place.file("root");
    let arguments =
        ["up", "--apply", manifest.to_str().unwrap(), "--wait", "--root-dir", root.to_str().unwrap()];
    let run = place.tokenward(arguments).start();
    run.ready();
    assert_eq!(place.mounts(), 0);
    assert_eq!(names(&root), [".tokenward-lock", "1"]);
    assert_eq!(std::fs::metadata(root.join("1")).unwrap().permissions().mode() & 0o777, 0o700);
    run.signal(Signal::INT);
    let ended = run.wait();
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert_eq!(names(&root), Vec::<String>::new());
    place.assert_nothing_is_left();
    if is_root() {
        // With the right to mount, the same volumes are mounts.
        let place = Place::new();
        let manifest = place.write("quickstart.yaml", &quickstart());
        let run = place.tokenward(["up", "--apply", manifest.to_str().unwrap(), "--wait"]).start();
        run.ready();
        let mounts = place.mounts();
        run.signal(Signal::INT);
        assert_eq!(run.wait().code, Some(0));
        assert!(mounts == 4 || mounts == 0, "{mounts} mounts for four volumes");
        place.assert_nothing_is_left();
    }
}
