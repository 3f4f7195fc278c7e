//! The recordings of the kubelet's own CSI volume plugin (`golden/node-publish.json`), replayed against the mounter:
//! TokenRequests, calls, files and errors must be the same. Repeated capability probes are upstream's habit and left out.

#![expect(clippy::unwrap_used, reason = "a recording that cannot be read is a failed test")]

mod support;

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};
use support::cluster::FakeCluster;
use support::driver::{Call, FakeDriver};
use tokenward_csi::v1::VolumeCapability;
use tokenward_csi::v1::node_service_capability::rpc::Type as RpcType;
use tokenward_csi::v1::volume_capability::AccessType;
use tokenward_csi::v1::volume_capability::access_mode::Mode;
use tokenward_kube_rules::FeatureGates;
use tokenward_node::csi_drivers::CsiDrivers;
use tokenward_node::drivers::{Driver, Drivers};
use tokenward_node::failure::{Class, Failure};
use tokenward_node::mounter::Mounter;
use tokenward_node::objects::{PersistentVolume, Pod};
use tokenward_node::paths::{Layout, inline_volume_handle};
use tokenward_node::planner::VolumeIntent;
use tokenward_node::registry::rules::choose_version;
use tokenward_node::request::KUBELET_KEYS;
use tokenward_node::token_manager::TokenManager;
use tokenward_node::volume::{PersistentParts, VolumeMode, VolumeSecurity, VolumeSource, VolumeSpec};
use tokenward_node::{Dice, TokenRequest, WatchEvent, pods};
use tokenward_tokens::{ManualClock, TOKENS_KEY};
use tokenward_transport::SocketPath;
use tonic::Code;

const UID: &str = "6a1f3f8e-8f5e-4c59-9c58-0d0f7a3c9b11";
const NODE: &str = "fakeNode";

/// Cases that are not built yet, by name, with the reason. None is left.
const NOT_BUILT: &[(&str, &str)] = &[];

/// Where we answer better on purpose: the text that the recording has, and ours.
const BETTER: &[(&str, &str)] = &[(
    // Names the audience that failed. The recording's token getter was a fake, hence no "failed to fetch token".
    "token attributes: refused",
    "token attributes: failed to fetch token: audience \"b\": refused",
)];

#[tokio::test]
async fn every_recorded_case_is_answered_as_the_kubelet_did() {
    let cases: Vec<Value> = serde_json::from_str(include_str!("golden/node-publish.json")).unwrap();
    assert_eq!(cases.len(), 29);
    let mut wrong = Vec::new();
    for case in &cases {
        let name = case["name"].as_str().unwrap();
        if NOT_BUILT.iter().any(|(not_built, _)| *not_built == name) {
            continue;
        }
        let found = replay(case).await;
        let wanted = wanted(case);
        if found != wanted {
            wrong.push(format!("{name}\n  wanted {wanted:#}\n  found {found:#}"));
        }
    }
    assert!(wrong.is_empty(), "{} cases differ:\n{}", wrong.len(), wrong.join("\n"));
}

fn wanted(case: &Value) -> Value {
    let mut outcome = case["outcome"].clone();
    let calls = outcome["calls"].as_array().cloned().unwrap_or_default();
    outcome["calls"] =
        calls.into_iter().filter(|call| call["method"] != "/csi.v1.Node/NodeGetCapabilities").collect();
    if outcome["files"].is_null() {
        outcome["files"] = json!([]);
    }
    if let Some(error) = outcome["error"].as_str() {
        let mut error = error.to_owned();
        for (theirs, ours) in BETTER {
            error = error.replace(theirs, ours);
        }
        let class = match outcome["errorType"].as_str().unwrap() {
            "types.TransientOperationFailure" => "transient",
            "types.UncertainProgressError" => "uncertain",
            _ => "final",
        };
        outcome["error"] = json!(error);
        outcome["errorType"] = json!(class);
    }
    outcome
}

async fn replay(case: &Value) -> Value {
    let root = tempfile::Builder::new().prefix("tw").tempdir().unwrap();
    let clock = ManualClock::new(support::cluster::start());
    let cluster = FakeCluster::with_expiry(
        clock.clock(),
        Box::new(recorded_token),
        Timestamp::from_second(1_800_000_000).unwrap(),
    );
    for secret in case["secrets"].as_array().into_iter().flatten() {
        cluster.put("secrets", secret.clone());
    }
    if let Some(audience) = case["tokenRequestFailsFor"].as_str() {
        cluster.refuse_audience(audience, true);
    }
    let capabilities: Vec<RpcType> = case["nodeCapabilities"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|name| RpcType::from_str_name(name.as_str().unwrap()).unwrap())
        .collect();
    let driver = FakeDriver::new(root.path(), "test-driver", &capabilities);
    for (method, code) in case["driverFails"].as_object().into_iter().flatten() {
        let method =
            ["NodePublishVolume", "NodeStageVolume"].into_iter().find(|name| method.ends_with(name)).unwrap();
        let code = match code.as_str().unwrap() {
            "InvalidArgument" => Code::InvalidArgument,
            "Unavailable" => Code::Unavailable,
            "Unauthenticated" => Code::Unauthenticated,
            other => panic!("a code that is not known here: {other}"),
        };
        driver.fail(method, code, "the driver says no");
    }
    let served = driver.serve(root.path(), false).await;
    // Directories of the sockets are no part of the recording.
    let kubelet = root.path().join("kubelet");
    let drivers = Arc::new(Drivers::default());
    let version = choose_version("test-driver", "", &["1.0.0".to_owned()]).unwrap();
    let endpoint = SocketPath::new(FakeDriver::socket(root.path(), "test-driver")).unwrap();
    drivers.insert(Arc::new(Driver::new("test-driver".to_owned(), endpoint, version)));
    let csi_drivers = CsiDrivers::default();
    let listed = case
        .get("csiDriver")
        .filter(|driver| !driver.is_null())
        .map(|driver| serde_json::from_value(driver.clone()).unwrap());
    csi_drivers.apply(WatchEvent::Listed(listed.into_iter().collect()));
    let mounter = Mounter {
        cluster: Arc::clone(&cluster),
        layout: Layout::new(&kubelet),
        node_name: NODE.to_owned(),
        gates: FeatureGates::default(),
        drop_forged_keys: false,
        se_linux: None,
        operation_limit: Duration::from_secs(10),
        drivers,
        csi_drivers: Arc::new(csi_drivers),
        tokens: TokenManager::new(Arc::clone(&cluster), clock.clock(), Dice::seeded(1)),
    };
    let spec = spec(case);
    if case["stageFirst"] == true {
        mounter.stage(&spec, false).await.unwrap();
    }
    let result = mounter.publish(&spec, false).await;
    served.stop().await;
    outcome(&kubelet, &cluster.token_requests(), &driver.calls(), result.err())
}

fn recorded_token(request: &TokenRequest, _count: usize) -> String {
    let audience = Some(request.audience.as_str()).filter(|audience| !audience.is_empty()).unwrap_or("api");
    format!("token-for-{audience}-{}", request.expiration_seconds.unwrap_or(3600))
}

/// The recording shows volumes as they were afterwards, with what upstream merged into them in place. Here they are as
/// they must have been before: without the keys that the kubelet set in that call. A key that it would overwrite is
/// given a value that must not survive.
fn spec(case: &Value) -> VolumeSpec {
    let csi_driver = &case["csiDriver"]["spec"];
    let mut set: Vec<&str> = Vec::new();
    if csi_driver["podInfoOnMount"] == true {
        set.extend(&KUBELET_KEYS[..5]);
    }
    let in_secrets = csi_driver["serviceAccountTokenInSecrets"] == true;
    if csi_driver["tokenRequests"].is_array() && !in_secrets {
        set.push(TOKENS_KEY);
    }
    let undo = |attributes: &mut BTreeMap<String, String>| {
        let forged = case["name"].as_str().unwrap().contains("forged");
        for key in &set {
            if attributes.remove(*key).is_some() && forged {
                attributes.insert((*key).to_owned(), "forged".to_owned());
            }
        }
    };
    let pod = json!({
        "metadata": { "name": "web-0", "namespace": "test-ns", "uid": UID },
        "spec": {
            "serviceAccountName": "web",
            "securityContext": { "fsGroup": case.get("fsGroup") },
            "volumes": case.get("podVolume").map(|volume| vec![volume]).unwrap_or_default(),
        },
    });
    let pod: Pod = serde_json::from_value(pod).unwrap();
    if case.get("podVolume").is_some() {
        let intent = pods::intent(&pod);
        let [VolumeIntent::Known(spec)] = intent.volumes.as_slice() else {
            panic!("an inline volume is wanted")
        };
        let mut spec = VolumeSpec::clone(spec);
        assert_eq!(spec.volume_handle, inline_volume_handle(UID, &spec.volume));
        if let VolumeSource::Inline(source) = &mut spec.source {
            undo(&mut source.volume_attributes);
        }
        return spec;
    }
    let volume: PersistentVolume = serde_json::from_value(case["persistentVolume"].clone()).unwrap();
    let mut source = volume.spec.csi.unwrap();
    undo(&mut source.volume_attributes);
    VolumeSpec {
        pod: pods::reference(&pod),
        service_account: "web".to_owned(),
        security: VolumeSecurity { fs_group: case["fsGroup"].as_i64(), ..VolumeSecurity::default() },
        volume: "claim".to_owned(),
        spec_name: volume.metadata.name,
        volume_handle: source.volume_handle.clone(),
        read_only: case["claimReadOnly"] == true,
        source: VolumeSource::Persistent(Box::new(PersistentParts {
            source,
            access_modes: volume.spec.access_modes,
            mount_options: volume.spec.mount_options,
            mode: VolumeMode::Filesystem,
        })),
    }
}

fn outcome(root: &Path, token_requests: &[TokenRequest], calls: &[Call], failure: Option<Failure>) -> Value {
    let requests: Vec<Value> = token_requests
        .iter()
        .map(|request| json!({ "namespace": request.pod.namespace, "spec": request.spec() }))
        .collect();
    let mut files = Vec::new();
    list(root, &mut files);
    files.sort();
    let mut outcome = json!({
        "calls": calls.iter().map(call).collect::<Vec<_>>(),
        "files": files,
        "tokenRequests": requests,
    });
    if let Some(failure) = failure {
        outcome["error"] = json!(failure.message);
        outcome["errorType"] = json!(match failure.class {
            Class::Final => "final",
            Class::Transient => "transient",
            Class::Uncertain => "uncertain",
        });
    }
    let text = outcome.to_string().replace(&root.display().to_string(), "<root>");
    serde_json::from_str(&text).unwrap()
}

/// Files with their content, and the directories of volumes with their mode, as the recording lists them.
fn list(directory: &Path, files: &mut Vec<String>) {
    for entry in std::fs::read_dir(directory).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            if path.parent().unwrap().ends_with("volumes/kubernetes.io~csi") {
                let mode = path.metadata().unwrap().permissions().mode() & 0o777;
                files.push(format!("{}/ {mode:o}", path.display()));
            }
            list(&path, files);
        } else {
            let content = std::fs::read_to_string(&path).unwrap();
            files.push(format!("{} {}", path.display(), content.trim_end()));
        }
    }
}

fn call(call: &Call) -> Value {
    let request = match call {
        Call::Publish(request) => json!({
            "volume_id": request.volume_id,
            "publish_context": request.publish_context,
            "staging_target_path": request.staging_target_path,
            "target_path": request.target_path,
            "volume_capability": capability(request.volume_capability.as_ref()),
            "readonly": request.readonly,
            "secrets": request.secrets,
            "volume_context": request.volume_context,
        }),
        Call::Stage(request) => json!({
            "volume_id": request.volume_id,
            "publish_context": request.publish_context,
            "staging_target_path": request.staging_target_path,
            "volume_capability": capability(request.volume_capability.as_ref()),
            "secrets": request.secrets,
            "volume_context": request.volume_context,
        }),
        Call::Unpublish(_) | Call::Unstage(_) => json!({}),
    };
    json!({ "method": format!("/csi.v1.Node/{}", call.name()), "request": present(request) })
}

fn capability(capability: Option<&VolumeCapability>) -> Value {
    let Some(capability) = capability else { return Value::Null };
    let mode = Mode::try_from(capability.access_mode.unwrap().mode).unwrap();
    let mut shown = json!({ "access_mode": { "mode": mode.as_str_name() } });
    match capability.access_type.as_ref().unwrap() {
        AccessType::Block(_) => shown["block"] = json!({}),
        AccessType::Mount(mount) => {
            shown["mount"] = present(json!({
                "fs_type": mount.fs_type,
                "mount_flags": mount.mount_flags,
                "volume_mount_group": mount.volume_mount_group,
            }));
        }
    }
    shown
}

/// Without the fields that proto3 leaves out.
fn present(value: Value) -> Value {
    let Value::Object(fields) = value else { return value };
    let absent = |value: &Value| match value {
        Value::Null | Value::Bool(false) => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        _ => false,
    };
    Value::Object(fields.into_iter().filter(|(_, value)| !absent(value)).collect())
}
