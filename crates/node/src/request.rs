//! What a driver is sent: NodeStageVolume and NodePublishVolume requests as pure functions of the CSIDriver, the pod,
//! the volume and the tokens. Nothing that is handed in is changed: upstream merges into the cached volume in place, so
//! that an old token can outlive an opt-in there.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::Path;

use tokenward_csi::v1::node_service_capability::rpc::Type as RpcType;
use tokenward_csi::v1::node_service_capability::{Rpc, Type as CapabilityType};
use tokenward_csi::v1::volume_capability::access_mode::Mode;
use tokenward_csi::v1::volume_capability::{AccessMode, AccessType, BlockVolume, MountVolume};
use tokenward_csi::v1::{
    NodeGetCapabilitiesResponse, NodePublishVolumeRequest, NodeStageVolumeRequest, VolumeCapability,
};
use tokenward_kube_rules::csi_driver::CsiDriverSpec;
use tokenward_tokens::{Placement, TOKENS_KEY, TokensValue, place};

use crate::failure::Failure;
use crate::objects::Secret;
use crate::selinux::mount_option;
use crate::volume::{LifecycleMode, VolumeMode, VolumeSource, VolumeSpec};

type StringMap = BTreeMap<String, String>;

const POD_NAME: &str = "csi.storage.k8s.io/pod.name";
const POD_NAMESPACE: &str = "csi.storage.k8s.io/pod.namespace";
const POD_UID: &str = "csi.storage.k8s.io/pod.uid";
const SERVICE_ACCOUNT: &str = "csi.storage.k8s.io/serviceAccount.name";
const EPHEMERAL: &str = "csi.storage.k8s.io/ephemeral";

/// The keys that the kubelet owns in a volume context.
pub const KUBELET_KEYS: [&str; 6] =
    [POD_NAME, POD_NAMESPACE, POD_UID, SERVICE_ACCOUNT, EPHEMERAL, TOKENS_KEY];

/// Which of a driver's node capabilities change what it is sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Capabilities {
    /// STAGE_UNSTAGE_VOLUME.
    pub stage_unstage: bool,
    /// VOLUME_MOUNT_GROUP: the driver applies the pod's `fsGroup`.
    pub mount_group: bool,
    /// SINGLE_NODE_MULTI_WRITER: the newer access modes.
    pub single_node_multi_writer: bool,
}

impl From<&NodeGetCapabilitiesResponse> for Capabilities {
    fn from(response: &NodeGetCapabilitiesResponse) -> Self {
        let has = |wanted: RpcType| {
            response.capabilities.iter().any(|capability| {
                matches!(&capability.r#type, Some(CapabilityType::Rpc(Rpc { r#type })) if *r#type == wanted as i32)
            })
        };
        Self {
            stage_unstage: has(RpcType::StageUnstageVolume),
            mount_group: has(RpcType::VolumeMountGroup),
            single_node_multi_writer: has(RpcType::SingleNodeMultiWriter),
        }
    }
}

/// Checks the CSIDriver's `volumeLifecycleModes`; the text is what follows upstream's prefix.
///
/// # Errors
/// A driver without CSIDriver serves no inline volumes; one with it serves the modes that it lists.
pub fn check_lifecycle_mode(spec: &VolumeSpec, csi_driver: Option<&CsiDriverSpec>) -> Result<(), String> {
    let mode = spec.lifecycle_mode();
    let refused = format!(r#"volume mode "{}" not supported by driver {}"#, mode.as_str(), spec.driver());
    let Some(csi_driver) = csi_driver else {
        return match mode {
            LifecycleMode::Ephemeral => Err(format!("{refused} (no CSIDriver object)")),
            LifecycleMode::Persistent => Ok(()),
        };
    };
    let modes = &csi_driver.volume_lifecycle_modes;
    if modes.iter().any(|listed| *listed == mode.as_str()) {
        return Ok(());
    }
    let modes: Vec<String> = modes.iter().map(|mode| format!("{mode:?}")).collect();
    Err(format!("{refused} (only supports [{}])", modes.join(" ")))
}

/// Checks that a CSIDriver has an `fsGroupPolicy`, as the API server's defaults give it one.
///
/// # Errors
/// It is absent or empty.
pub fn check_fs_group_policy(csi_driver: Option<&CsiDriverSpec>) -> Result<(), &'static str> {
    match csi_driver {
        Some(spec) if spec.fs_group_policy.as_deref().unwrap_or_default().is_empty() => {
            Err("expected valid fsGroupPolicy, received nil value or empty string")
        }
        _ => Ok(()),
    }
}

/// Whether a VolumeAttachment is to be looked up: unless the CSIDriver says no. Without CSIDriver it is.
pub fn attach_required(csi_driver: Option<&CsiDriverSpec>) -> bool {
    csi_driver.and_then(|spec| spec.attach_required) != Some(false)
}

/// Everything that a publish request is made of.
#[derive(Clone, Copy)]
pub struct PublishParts<'a> {
    /// The volume.
    pub spec: &'a VolumeSpec,
    /// The driver's CSIDriver, if it has one.
    pub csi_driver: Option<&'a CsiDriverSpec>,
    /// What the driver can do.
    pub capabilities: Capabilities,
    /// Where to mount.
    pub target: &'a Path,
    /// Where it is staged, when it is.
    pub staging: Option<&'a Path>,
    /// From the VolumeAttachment.
    pub publish_context: &'a StringMap,
    /// The publish secret, if the volume refers to one.
    pub secret: Option<&'a Secret>,
    /// The tokens, if the driver asks for any.
    pub tokens: Option<(&'a TokensValue, Placement)>,
    /// Remove kubelet-owned keys that the kubelet does not set in this call from a pod author's inline attributes.
    /// Upstream passes them through; a forged token key reaches drivers that fall back to the volume context.
    pub drop_forged_keys: bool,
    /// The SELinux label to mount with.
    pub se_linux_label: Option<&'a str>,
}

/// Builds the NodePublishVolume request.
///
/// # Errors
/// A Secret entry that is not UTF-8 cannot be carried by the protocol.
pub fn publish_request(parts: &PublishParts<'_>) -> Result<NodePublishVolumeRequest, Failure> {
    let spec = parts.spec;
    let mut volume_context = attributes(spec).clone();
    if parts.drop_forged_keys && spec.lifecycle_mode() == LifecycleMode::Ephemeral {
        for key in KUBELET_KEYS {
            volume_context.remove(key);
        }
    }
    if parts.csi_driver.and_then(|driver| driver.pod_info_on_mount) == Some(true) {
        volume_context.extend(pod_info(spec));
    }
    let mut secrets = parts.secret.map_or_else(|| Ok(StringMap::new()), secret_strings)?;
    if let Some((tokens, placement)) = parts.tokens {
        let forged = volume_context.remove(TOKENS_KEY);
        place(tokens, placement, &mut secrets, &mut volume_context);
        if let (Placement::Secrets, Some(forged)) = (placement, forged) {
            // As upstream: what is in the other map is the volume author's and none of the kubelet's.
            volume_context.insert(TOKENS_KEY.to_owned(), forged);
        }
    }
    Ok(NodePublishVolumeRequest {
        volume_id: spec.volume_handle.clone(),
        publish_context: parts.publish_context.clone(),
        staging_target_path: parts.staging.map(path_text).unwrap_or_default(),
        target_path: path_text(parts.target),
        volume_capability: Some(volume_capability(spec, parts.capabilities, parts.se_linux_label)),
        readonly: spec.read_only,
        secrets,
        volume_context,
    })
}

/// Builds the NodeStageVolume request: no pod information and no tokens, only what the PersistentVolume says.
///
/// # Errors
/// As [`publish_request`].
pub fn stage_request(
    spec: &VolumeSpec,
    capabilities: Capabilities,
    staging: &Path,
    publish_context: &StringMap,
    secret: Option<&Secret>,
    se_linux_label: Option<&str>,
) -> Result<NodeStageVolumeRequest, Failure> {
    Ok(NodeStageVolumeRequest {
        volume_id: spec.volume_handle.clone(),
        publish_context: publish_context.clone(),
        staging_target_path: path_text(staging),
        volume_capability: Some(volume_capability(spec, capabilities, se_linux_label)),
        secrets: secret.map_or_else(|| Ok(StringMap::new()), secret_strings)?,
        volume_context: attributes(spec).clone(),
    })
}

fn attributes(spec: &VolumeSpec) -> &StringMap {
    match &spec.source {
        VolumeSource::Inline(source) => &source.volume_attributes,
        VolumeSource::Persistent(parts) => &parts.source.volume_attributes,
    }
}

fn pod_info(spec: &VolumeSpec) -> [(String, String); 5] {
    let ephemeral = spec.lifecycle_mode() == LifecycleMode::Ephemeral;
    [
        (POD_NAME, spec.pod.name.as_str()),
        (POD_NAMESPACE, &spec.pod.namespace),
        (POD_UID, &spec.pod.uid),
        (SERVICE_ACCOUNT, &spec.service_account),
        (EPHEMERAL, if ephemeral { "true" } else { "false" }),
    ]
    .map(|(key, value)| (key.to_owned(), value.to_owned()))
}

fn volume_capability(
    spec: &VolumeSpec,
    capabilities: Capabilities,
    se_linux_label: Option<&str>,
) -> VolumeCapability {
    let (fs_type, access_mode, mut mount_flags) = match &spec.source {
        VolumeSource::Inline(source) => (&source.fs_type, None, Vec::new()),
        VolumeSource::Persistent(parts) => {
            let access_mode = parts.access_modes.first().map(String::as_str);
            (&parts.source.fs_type, access_mode, parts.mount_options.clone())
        }
    };
    mount_flags.extend(se_linux_label.map(mount_option));
    let access_type = if spec.mode() == VolumeMode::Block || fs_type.as_deref() == Some("block") {
        AccessType::Block(BlockVolume {})
    } else {
        let group = spec.security.fs_group.filter(|_| capabilities.mount_group);
        AccessType::Mount(MountVolume {
            fs_type: fs_type.clone().unwrap_or_default(),
            mount_flags,
            volume_mount_group: group.map(|group| group.to_string()).unwrap_or_default(),
        })
    };
    let mode = csi_access_mode(access_mode.unwrap_or("ReadWriteOnce"), capabilities.single_node_multi_writer);
    VolumeCapability { access_mode: Some(AccessMode { mode: mode as i32 }), access_type: Some(access_type) }
}

/// The CSI access mode of a PersistentVolume's; the newer ones only for drivers that know them.
fn csi_access_mode(mode: &str, single_node_multi_writer: bool) -> Mode {
    match (mode, single_node_multi_writer) {
        ("ReadWriteOnce", true) => Mode::SingleNodeMultiWriter,
        ("ReadWriteOncePod", true) => Mode::SingleNodeSingleWriter,
        ("ReadWriteOnce" | "ReadWriteOncePod", false) => Mode::SingleNodeWriter,
        ("ReadOnlyMany", _) => Mode::MultiNodeReaderOnly,
        ("ReadWriteMany", _) => Mode::MultiNodeMultiWriter,
        _ => Mode::Unknown,
    }
}

fn secret_strings(secret: &Secret) -> Result<StringMap, Failure> {
    secret
        .data
        .iter()
        .map(|(key, value)| match std::str::from_utf8(value.expose_bytes()) {
            Ok(text) => Ok((key.clone(), text.to_owned())),
            Err(_) => Err(Failure::transient(format!(
                "rpc error: code = Internal desc = grpc: error while marshaling: string field contains invalid UTF-8 (Secret entry {key:?})"
            ))),
        })
        .collect()
}

fn path_text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}
