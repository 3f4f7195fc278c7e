//! Kubernetes' own encodings of its objects, and every object that a real kube-apiserver answered with: decoding them
//! names nothing unknown, and printing them again changes nothing.
#![expect(clippy::unwrap_used, reason = "golden data that cannot be read must fail the test")]

use std::{
    env, fs,
    path::{Path, PathBuf},
};

use serde_json::{Value, json};
use tokenward_kube_rules::Release;
use tokenward_kube_schema::{
    DecodeError, Verb, decode, encode, find_kind, find_resource, kinds, normalize, parse, protobuf,
    summarize_body,
};

/// Decodes and prints, and holds the result against what was there.
fn assert_faithful(place: &str, object: &Value) {
    let kind = find_kind(object["apiVersion"].as_str().unwrap(), object["kind"].as_str().unwrap()).unwrap();
    let decoded = decode(kind, Release::V1_35, object.to_string().as_bytes())
        .unwrap_or_else(|error| panic!("{place}: {error}"));
    assert!(decoded.strict.is_empty(), "{place}: {:?}", decoded.strict);
    let printed = normalize(kind, Release::V1_35, &decoded.object).unwrap();
    assert!(printed.strict.is_empty(), "{place}: {:?}", printed.strict);
    assert_eq!(&Value::Object(printed.object.clone()), object, "{place}");
    let mut stored = Value::Object(parse(&encode(&printed.object).stamped(7)).unwrap());
    stored["metadata"]["resourceVersion"] = json!("7");
    let mut wanted = object.clone();
    wanted["metadata"]["resourceVersion"] = json!("7");
    assert_eq!(stored, wanted, "{place}");
}

fn read(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

/// Needs `TOKENWARD_KUBERNETES_GOLDEN`: testdata/v1.35.0 of the kubernetes/api repository, `GROUP.VERSION.KIND.json`.
#[test]
fn kubernetes_own_encodings_survive() {
    let Some(directory) = env::var_os("TOKENWARD_KUBERNETES_GOLDEN").map(PathBuf::from) else {
        println!("left out: TOKENWARD_KUBERNETES_GOLDEN names no directory");
        return;
    };
    let mut seen = 0;
    for kind in kinds() {
        let group = if kind.group.is_empty() { "core" } else { kind.group };
        let path = directory.join(format!("{group}.{}.{}.json", kind.version, kind.kind));
        if path.exists() {
            assert_faithful(kind.kind, &read(&path));
            seen += 1;
        }
    }
    assert!(seen > 10, "only {seen} kinds found in {}", directory.display());
}

/// Needs `TOKENWARD_KUBERNETES_GOLDEN` too, where `GROUP.VERSION.KIND.pb` is the same object in protobuf.
#[test]
fn kubernetes_own_protobuf_is_ours_byte_for_byte() {
    let Some(directory) = env::var_os("TOKENWARD_KUBERNETES_GOLDEN").map(PathBuf::from) else {
        println!("left out: TOKENWARD_KUBERNETES_GOLDEN names no directory");
        return;
    };
    let mut seen = 0;
    for kind in kinds() {
        let group = if kind.group.is_empty() { "core" } else { kind.group };
        let path = directory.join(format!("{group}.{}.{}.pb", kind.version, kind.kind));
        if !path.exists() {
            continue;
        }
        let (theirs, json) = (fs::read(&path).unwrap(), read(&path.with_extension("json")));
        let ours = protobuf::encode(kind, json.as_object().unwrap()).unwrap();
        assert!(ours.bytes() == &theirs, "{}: encoded otherwise", kind.kind);
        let decoded = protobuf::decode(kind, Release::V1_35, &theirs).unwrap();
        let printed = normalize(kind, Release::V1_35, &decoded).unwrap();
        assert_eq!(Value::Object(printed.object), json, "{}: decoded otherwise", kind.kind);
        seen += 1;
    }
    assert!(seen > 10, "only {seen} kinds found in {}", directory.display());
}

#[test]
fn recorded_objects_survive() {
    let mut seen = 0;
    for (place, step) in recorded_steps() {
        let mut body = step["response"]["body"].clone();
        let (api_version, kind) = (body["apiVersion"].as_str(), body["kind"].as_str());
        let served = find_kind(api_version.unwrap_or_default(), kind.unwrap_or_default()).is_some();
        if served && step["pick"].is_null() {
            fill_in(&mut body);
            assert_faithful(&place, &body);
            seen += 1;
        }
    }
    assert!(seen > 50, "only {seen} objects were recorded");
}

/// Every CSIDriver that was sent is decoded, or refused in the words that were recorded; unknown fields are named as the
/// recorded warnings and refusals name them.
#[test]
fn recorded_requests_are_taken_or_refused_alike() {
    let kind = find_resource("storage.k8s.io", "v1", "csidrivers").unwrap();
    let (mut taken, mut refused) = (0, 0);
    for (place, step) in recorded_steps() {
        let path = step["path"].as_str().unwrap_or_default();
        let writes = matches!(step["method"].as_str(), Some("POST" | "PUT"));
        if !writes || !path.starts_with("/apis/storage.k8s.io/v1/csidrivers") || !step["type"].is_null() {
            continue;
        }
        let body = step["raw"].as_str().map_or_else(|| step["body"].to_string(), str::to_owned);
        let response = step["response"].to_string();
        match decode(kind, Release::V1_35, body.as_bytes()) {
            Ok(decoded) => {
                for fault in &decoded.strict {
                    let escaped = json!(json!(fault).to_string().trim_matches('"')).to_string();
                    let told = [json!(fault).to_string(), escaped];
                    let told = told.iter().any(|text| response.contains(text.trim_matches('"')));
                    assert!(told || path.contains("fieldValidation=Ignore"), "{place}: {fault}");
                }
                taken += 1;
            }
            Err(error) => {
                let mut message = error.status_message(kind);
                if matches!(error, DecodeError::Unrecognized { .. }) {
                    message.push_str(&format!(" ({})", summarize_body(body.as_bytes())));
                }
                assert_eq!(step["response"]["body"]["message"], message, "{place}");
                assert_eq!(step["response"]["status"], 400, "{place}");
                refused += 1;
            }
        }
    }
    assert!(taken > 20 && refused > 3, "{taken} taken, {refused} refused");
}

/// What the recorded server says of a resource is what the registry says of it.
#[test]
fn recorded_discovery_lists_the_same() {
    let mut seen = 0;
    for (place, step) in recorded_steps() {
        let body = &step["response"]["body"];
        if body["kind"] != "APIResourceList" {
            continue;
        }
        let group_version = body["groupVersion"].as_str().unwrap();
        let (group, version) = group_version.split_once('/').unwrap_or(("", group_version));
        for resource in body["resources"].as_array().unwrap() {
            let name = resource["name"].as_str().unwrap();
            let (plural, below) = name.split_once('/').unwrap_or((name, ""));
            let Some(kind) = find_resource(group, version, plural) else { continue };
            let verbs = |verbs: &[Verb]| verbs.iter().map(|verb| verb.as_str()).collect::<Vec<_>>();
            let mut ours =
                json!({"name": name, "namespaced": kind.namespaced, "singularName": "", "kind": kind.kind});
            if below.is_empty() {
                ours["singularName"] = json!(kind.singular);
                ours["verbs"] = json!(verbs(kind.verbs));
                if !kind.short_names.is_empty() {
                    ours["shortNames"] = json!(kind.short_names);
                }
                if !kind.categories.is_empty() {
                    ours["categories"] = json!(kind.categories);
                }
            } else {
                let Some(subresource) = kind.subresource(below) else { continue };
                ours["kind"] = json!(subresource.kind);
                ours["verbs"] = json!(verbs(subresource.verbs));
                if (subresource.group, subresource.version) != (group, version) {
                    ours["group"] = json!(subresource.group);
                    ours["version"] = json!(subresource.version);
                }
            }
            let mut theirs = resource.clone();
            theirs.as_object_mut().unwrap().remove("storageVersionHash");
            assert_eq!(ours, theirs, "{place}: {name}");
            seen += 1;
        }
    }
    assert!(seen > 15, "only {seen} resources were recorded");
}

/// Every step that was recorded from a kube-apiserver.
fn recorded_steps() -> Vec<(String, Value)> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden/kube-apiserver");
    let paths = fs::read_dir(directory).unwrap().map(|file| file.unwrap().path());
    let mut steps = Vec::new();
    for path in paths.filter(|path| path.extension().is_some_and(|end| end == "json")) {
        for step in read(&path).as_array().unwrap() {
            steps.push((format!("{}: {}", path.display(), step["name"]), step.clone()));
        }
    }
    steps
}

/// Puts values where the recording has placeholders that no type takes.
fn fill_in(value: &mut Value) {
    match value {
        Value::String(text) if text == "<time>" => *text = "2026-01-02T03:04:05Z".to_owned(),
        Value::Array(items) => items.iter_mut().for_each(fill_in),
        Value::Object(members) if members.contains_key("<jwt>") => *value = json!("a token"),
        Value::Object(members) => members.values_mut().for_each(fill_in),
        _ => {}
    }
}
