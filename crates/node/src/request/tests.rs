//! What the recordings of the kubelet do not cover; the rest is held by `tests/golden_replay.rs`.

use super::*;
use crate::cluster::PodReference;
use crate::objects::{InlineSource, PersistentSource, SecretValue};
use crate::volume::{PersistentParts, VolumeSecurity};
use tokenward_tokens::find;

fn pod() -> PodReference {
    PodReference { namespace: "ns".into(), name: "web-0".into(), uid: "u".into() }
}

fn inline(attributes: &[(&str, &str)]) -> VolumeSpec {
    let volume_attributes =
        attributes.iter().map(|&(key, value)| (key.to_owned(), value.to_owned())).collect();
    VolumeSpec {
        pod: pod(),
        service_account: "web".into(),
        security: VolumeSecurity { fs_group: Some(2000), ..VolumeSecurity::default() },
        volume: "data".into(),
        spec_name: "data".into(),
        volume_handle: "csi-1".into(),
        read_only: false,
        source: VolumeSource::Inline(InlineSource {
            driver: "d".into(),
            volume_attributes,
            ..Default::default()
        }),
    }
}

fn persistent(access_mode: Option<&str>, fs_type: &str) -> VolumeSpec {
    VolumeSpec {
        source: VolumeSource::Persistent(Box::new(PersistentParts {
            source: PersistentSource {
                driver: "d".into(),
                volume_handle: "h".into(),
                fs_type: Some(fs_type.into()),
                ..Default::default()
            },
            access_modes: access_mode.map(str::to_owned).into_iter().collect(),
            mount_options: vec!["noatime".into()],
            ..PersistentParts::default()
        })),
        ..inline(&[])
    }
}

fn parts<'a>(spec: &'a VolumeSpec, empty: &'a StringMap) -> PublishParts<'a> {
    PublishParts {
        spec,
        csi_driver: None,
        capabilities: Capabilities::default(),
        target: Path::new("/t/mount"),
        staging: None,
        publish_context: empty,
        secret: None,
        tokens: None,
        drop_forged_keys: false,
        se_linux_label: None,
    }
}

fn mode_of(request: &NodePublishVolumeRequest) -> Mode {
    Mode::try_from(request.volume_capability.as_ref().unwrap().access_mode.unwrap().mode).unwrap()
}

#[test]
fn access_modes_follow_the_volume_and_the_driver() {
    for (mode, older, newer) in [
        (None, Mode::SingleNodeWriter, Mode::SingleNodeMultiWriter),
        (Some("ReadWriteOnce"), Mode::SingleNodeWriter, Mode::SingleNodeMultiWriter),
        (Some("ReadOnlyMany"), Mode::MultiNodeReaderOnly, Mode::MultiNodeReaderOnly),
        (Some("ReadWriteMany"), Mode::MultiNodeMultiWriter, Mode::MultiNodeMultiWriter),
        (Some("ReadWriteOncePod"), Mode::SingleNodeWriter, Mode::SingleNodeSingleWriter),
        (Some("Strange"), Mode::Unknown, Mode::Unknown),
    ] {
        let spec = persistent(mode, "ext4");
        let empty = StringMap::new();
        for (single_node_multi_writer, wanted) in [(false, older), (true, newer)] {
            let capabilities = Capabilities { single_node_multi_writer, ..Capabilities::default() };
            let request = publish_request(&PublishParts { capabilities, ..parts(&spec, &empty) }).unwrap();
            assert_eq!(mode_of(&request), wanted, "{mode:?} {single_node_multi_writer}");
        }
    }
}

#[test]
fn the_filesystem_type_block_asks_for_block_access() {
    let (spec, empty) = (persistent(None, "block"), StringMap::new());
    let request = publish_request(&parts(&spec, &empty)).unwrap();
    assert!(matches!(request.volume_capability.unwrap().access_type, Some(AccessType::Block(_))));
}

#[test]
fn the_group_is_sent_only_to_drivers_that_apply_it() {
    let (spec, empty) = (inline(&[]), StringMap::new());
    for (mount_group, wanted) in [(false, ""), (true, "2000")] {
        let capabilities = Capabilities { mount_group, ..Capabilities::default() };
        let request = publish_request(&PublishParts { capabilities, ..parts(&spec, &empty) }).unwrap();
        let Some(AccessType::Mount(mount)) = request.volume_capability.unwrap().access_type else {
            panic!("a mount is wanted");
        };
        assert_eq!(mount.volume_mount_group, wanted);
    }
}

#[test]
fn forged_keys_are_dropped_only_when_told_to_and_only_the_kubelets() {
    let forged =
        [(TOKENS_KEY, "forged"), (POD_NAME, "forged"), ("csi.storage.k8s.io/pvc/name", "c"), ("a", "b")];
    let (spec, empty) = (inline(&forged), StringMap::new());
    let value = TokensValue::new("{}".to_owned());
    for drop_forged_keys in [false, true] {
        let tokens = Some((&value, Placement::Secrets));
        let request =
            publish_request(&PublishParts { tokens, drop_forged_keys, ..parts(&spec, &empty) }).unwrap();
        assert_eq!(request.secrets[TOKENS_KEY], "{}");
        let found = find(&request.secrets, &request.volume_context).unwrap();
        assert_eq!(found.placement, Placement::Secrets, "a driver that looks in secrets first is not misled");
        let keys: Vec<&str> = request.volume_context.keys().map(String::as_str).collect();
        if drop_forged_keys {
            assert_eq!(keys, ["a", "csi.storage.k8s.io/pvc/name"]);
        } else {
            assert_eq!(keys.len(), forged.len());
        }
    }
}

#[test]
fn tokens_in_the_volume_context_replace_a_forged_entry_and_leave_the_spec_alone() {
    let (spec, empty) = (inline(&[(TOKENS_KEY, "forged")]), StringMap::new());
    let before = spec.clone();
    let value = TokensValue::new("{}".to_owned());
    let tokens = Some((&value, Placement::VolumeContext));
    let request = publish_request(&PublishParts { tokens, ..parts(&spec, &empty) }).unwrap();
    assert_eq!(request.volume_context[TOKENS_KEY], "{}");
    assert!(request.secrets.is_empty());
    assert_eq!(spec, before);
}

#[test]
fn a_secret_that_is_no_text_is_refused_without_showing_it() {
    let (spec, empty) = (inline(&[]), StringMap::new());
    let data = BTreeMap::from([("key".to_owned(), SecretValue::new(b"hidden\xff".to_vec()))]);
    let secret = Secret { data, ..Secret::default() };
    let failure =
        publish_request(&PublishParts { secret: Some(&secret), ..parts(&spec, &empty) }).unwrap_err();
    assert!(failure.message.contains("invalid UTF-8") && failure.message.contains("key"), "{failure}");
    assert!(!failure.message.contains("hidden"), "{failure}");
}

#[test]
fn lifecycle_modes_and_group_policies_are_checked_with_the_kubelets_words() {
    let driver = |modes: &[&str], policy: Option<&str>| CsiDriverSpec {
        volume_lifecycle_modes: modes.iter().map(|&mode| mode.to_owned()).collect(),
        fs_group_policy: policy.map(str::to_owned),
        ..CsiDriverSpec::default()
    };
    let (inline, persistent) = (inline(&[]), persistent(None, ""));
    let both = driver(&["Persistent", "Ephemeral"], Some("File"));
    for spec in [&inline, &persistent] {
        assert_eq!(check_lifecycle_mode(spec, Some(&both)), Ok(()));
    }
    assert_eq!(check_lifecycle_mode(&persistent, None), Ok(()));
    assert_eq!(
        check_lifecycle_mode(&inline, Some(&driver(&["Persistent", "Odd"], None))).unwrap_err(),
        r#"volume mode "Ephemeral" not supported by driver d (only supports ["Persistent" "Odd"])"#
    );
    assert_eq!(check_fs_group_policy(None), Ok(()));
    assert_eq!(check_fs_group_policy(Some(&both)), Ok(()));
    for policy in [None, Some("")] {
        assert!(check_fs_group_policy(Some(&driver(&[], policy))).is_err());
    }
    assert!(attach_required(None));
    assert!(attach_required(Some(&both)));
    let unattached = CsiDriverSpec { attach_required: Some(false), ..CsiDriverSpec::default() };
    assert!(!attach_required(Some(&unattached)));
}
