//! The fields of Kubernetes objects that the node reads, and nothing else. Whoever changes an object sends a patch, so
//! what is not listed here is never lost.

use std::collections::BTreeMap;
use std::fmt;

use base64::Engine as _;
use serde::{Deserialize, Deserializer};
use tokenward_kube_rules::csi_driver::CsiDriverSpec;
use zeroize::Zeroizing;

/// `metadata` of any object.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Metadata {
    /// Name, unique within the namespace.
    pub name: String,
    /// Namespace; empty for cluster-scoped kinds.
    pub namespace: String,
    /// Identity of this very object.
    pub uid: String,
    /// Opaque version, sent back as a precondition of patches.
    pub resource_version: String,
    /// Set once a deletion has begun (RFC 3339).
    pub deletion_timestamp: Option<String>,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Annotations.
    pub annotations: BTreeMap<String, String>,
    /// Owners.
    pub owner_references: Vec<OwnerReference>,
}

/// One entry of `metadata.ownerReferences`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct OwnerReference {
    /// Kind of the owner.
    pub kind: String,
    /// Name of the owner.
    pub name: String,
    /// Identity of the owner.
    pub uid: String,
}

/// A pod, as far as its volumes and its status go.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Pod {
    /// Metadata.
    pub metadata: Metadata,
    /// What is wanted.
    pub spec: PodSpec,
    /// What was last reported.
    pub status: PodStatus,
}

/// `pod.spec`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PodSpec {
    /// The node the pod is bound to.
    pub node_name: String,
    /// Whose tokens the drivers get.
    pub service_account_name: String,
    /// All volumes, of any kind.
    pub volumes: Vec<Volume>,
    /// Containers; the node runs none, but reports a state for each.
    pub containers: Vec<Container>,
    /// Init containers.
    pub init_containers: Vec<Container>,
    /// Pod-wide security settings.
    pub security_context: Option<PodSecurityContext>,
}

/// One container, by name and image.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Container {
    /// Name within the pod.
    pub name: String,
    /// Image reference, repeated in the container's status.
    pub image: String,
}

/// `pod.spec.securityContext`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PodSecurityContext {
    /// Group that volumes are to belong to.
    pub fs_group: Option<i64>,
    /// `Always` (default) or `OnRootMismatch`.
    pub fs_group_change_policy: Option<String>,
    /// Whom the pod's processes run as under SELinux.
    pub se_linux_options: Option<SeLinuxOptions>,
}

/// `seLinuxOptions` of a pod.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct SeLinuxOptions {
    /// User part of the label.
    pub user: String,
    /// Role part of the label.
    pub role: String,
    /// Type part of the label.
    pub r#type: String,
    /// Level part of the label.
    pub level: String,
}

/// One entry of `pod.spec.volumes`: at most one of the sources the node knows.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Volume {
    /// Name within the pod.
    pub name: String,
    /// Inline CSI volume.
    pub csi: Option<InlineSource>,
    /// Volume by claim.
    pub persistent_volume_claim: Option<ClaimSource>,
    /// Generic ephemeral volume: a claim named `<pod>-<volume>`, owned by the pod.
    pub ephemeral: Option<EphemeralSource>,
}

/// `volumes[].csi`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct InlineSource {
    /// Name of the CSI driver.
    pub driver: String,
    /// Mount read-only.
    pub read_only: Option<bool>,
    /// Filesystem type for the driver.
    pub fs_type: Option<String>,
    /// The pod author's attributes.
    pub volume_attributes: BTreeMap<String, String>,
    /// Secret in the pod's namespace, handed to NodePublishVolume.
    pub node_publish_secret_ref: Option<LocalReference>,
}

/// A reference by name only.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct LocalReference {
    /// Name of the object.
    pub name: String,
}

/// `volumes[].persistentVolumeClaim`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ClaimSource {
    /// Name of the claim in the pod's namespace.
    pub claim_name: String,
    /// Mount read-only; the claim reference decides, not the volume's own source.
    pub read_only: bool,
}

/// `volumes[].ephemeral`; its template is the control plane's business.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct EphemeralSource {}

/// `pod.status`, with foreign conditions kept as they are.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PodStatus {
    /// `Pending`, `Running`, `Succeeded`, `Failed`.
    pub phase: String,
    /// Reason of the phase, a CamelCase word.
    pub reason: String,
    /// Text beside the reason.
    pub message: String,
    /// Conditions, verbatim: those of others are sent back unchanged.
    pub conditions: Vec<serde_json::Value>,
    /// When the node first took the pod in (RFC 3339).
    pub start_time: Option<String>,
    /// Container states as last reported.
    pub container_statuses: Vec<serde_json::Value>,
    /// Init container states as last reported.
    pub init_container_statuses: Vec<serde_json::Value>,
}

/// A CSIDriver.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct CsiDriver {
    /// Metadata; the name is the driver's.
    pub metadata: Metadata,
    /// All of the spec.
    pub spec: CsiDriverSpec,
}

/// A PersistentVolumeClaim.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct PersistentVolumeClaim {
    /// Metadata.
    pub metadata: Metadata,
    /// What is wanted.
    pub spec: PersistentVolumeClaimSpec,
    /// Whether it is bound.
    pub status: PersistentVolumeClaimStatus,
}

/// `spec` of a claim.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PersistentVolumeClaimSpec {
    /// The volume that the claim is bound to.
    pub volume_name: String,
}

/// `status` of a claim.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct PersistentVolumeClaimStatus {
    /// `Pending`, `Bound`, `Lost`.
    pub phase: String,
}

/// A PersistentVolume.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct PersistentVolume {
    /// Metadata.
    pub metadata: Metadata,
    /// The volume.
    pub spec: PersistentVolumeSpec,
}

/// `spec` of a volume.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PersistentVolumeSpec {
    /// The CSI source, when it has one.
    pub csi: Option<PersistentSource>,
    /// Access modes; the first one counts.
    pub access_modes: Vec<String>,
    /// Mount options.
    pub mount_options: Vec<String>,
    /// `Filesystem` (default) or `Block`.
    pub volume_mode: Option<String>,
    /// The claim that holds the volume.
    pub claim_ref: Option<ClaimReference>,
}

/// `spec.claimRef` of a volume.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct ClaimReference {
    /// Namespace of the claim.
    pub namespace: String,
    /// Name of the claim.
    pub name: String,
    /// Identity of the claim.
    pub uid: String,
}

/// `spec.csi` of a volume.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PersistentSource {
    /// Name of the CSI driver.
    pub driver: String,
    /// The driver's name of the volume.
    pub volume_handle: String,
    /// Filesystem type for the driver.
    pub fs_type: Option<String>,
    /// Attributes, as the provisioner wrote them.
    pub volume_attributes: BTreeMap<String, String>,
    /// Secret handed to NodePublishVolume.
    pub node_publish_secret_ref: Option<SecretReference>,
    /// Secret handed to NodeStageVolume.
    pub node_stage_secret_ref: Option<SecretReference>,
}

/// A Secret by namespace and name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct SecretReference {
    /// Namespace of the Secret.
    pub namespace: String,
    /// Name of the Secret.
    pub name: String,
}

/// A VolumeAttachment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct VolumeAttachment {
    /// Metadata.
    pub metadata: Metadata,
    /// What the attacher reports.
    pub status: VolumeAttachmentStatus,
}

/// `status` of an attachment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct VolumeAttachmentStatus {
    /// Whether the volume is attached.
    pub attached: bool,
    /// The publish context.
    pub attachment_metadata: BTreeMap<String, String>,
    /// Why it is not attached, when the last attempt failed.
    pub attach_error: Option<VolumeError>,
}

/// `status.attachError` of an attachment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct VolumeError {
    /// What the driver's controller said.
    pub message: String,
    /// Its gRPC code, where the attacher tells it.
    pub error_code: Option<i32>,
}

/// A Node; its conditions are kept verbatim.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct NodeObject {
    /// Metadata.
    pub metadata: Metadata,
    /// Status.
    pub status: NodeObjectStatus,
}

/// `status` of a Node.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct NodeObjectStatus {
    /// Conditions, verbatim.
    pub conditions: Vec<serde_json::Value>,
}

/// A CSINode; the entries of other drivers are kept verbatim.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct CsiNode {
    /// Metadata.
    pub metadata: Metadata,
    /// Spec.
    pub spec: CsiNodeSpec,
}

/// `spec` of a CSINode.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct CsiNodeSpec {
    /// One entry per driver, verbatim. The API server prints none as null.
    #[serde(deserialize_with = "null_as_default")]
    pub drivers: Vec<serde_json::Value>,
}

fn null_as_default<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(
    deserializer: D,
) -> Result<T, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// A Lease, as far as its existence and owner go.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Lease {
    /// Metadata.
    pub metadata: Metadata,
}

/// A Secret's data, decoded. `Debug` names the keys only, the values are wiped on drop.
#[derive(Clone, Default, Deserialize)]
#[serde(default)]
pub struct Secret {
    /// Metadata.
    pub metadata: Metadata,
    /// Entries by key.
    pub data: BTreeMap<String, SecretValue>,
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Secret").field("keys", &self.data.keys().collect::<Vec<_>>()).finish()
    }
}

/// One decoded entry of a Secret. No `Debug`, no `Display`; wiped on drop.
#[derive(Clone)]
pub struct SecretValue(Zeroizing<Vec<u8>>);

impl SecretValue {
    /// A value from its bytes.
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// The bytes, for the request on the wire and nothing else.
    pub fn expose_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl<'de> Deserialize<'de> for SecretValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Zeroizing::new(String::deserialize(deserializer)?);
        base64::engine::general_purpose::STANDARD
            .decode(text.as_bytes())
            .map(Self::new)
            // The decoder's own text names the offending byte of the secret.
            .map_err(|_| serde::de::Error::custom("a Secret entry is not base64"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_it_needs_and_ignores_the_rest() {
        let pod: Pod = serde_json::from_str(
            r#"{"apiVersion":"v1","kind":"Pod","metadata":{"name":"web-0","namespace":"a","uid":"u","managedFields":[]},
                "spec":{"serviceAccountName":"web","volumes":[{"name":"data","csi":{"driver":"d","readOnly":true}},
                {"name":"claim","persistentVolumeClaim":{"claimName":"c"}},{"name":"tmp","emptyDir":{}}]}}"#,
        )
        .unwrap();
        assert_eq!(pod.spec.volumes.len(), 3);
        assert_eq!(pod.spec.volumes[0].csi.as_ref().unwrap().read_only, Some(true));
        assert_eq!(pod.spec.volumes[1].persistent_volume_claim.as_ref().unwrap().claim_name, "c");
    }

    #[test]
    fn a_secret_shows_its_keys_and_never_its_values() {
        let secret: Secret = serde_json::from_str(r#"{"data":{"user":"czNjcmV0"}}"#).unwrap();
        assert_eq!(secret.data["user"].expose_bytes(), b"s3cret");
        let shown = format!("{secret:?}");
        assert!(
            shown.contains("user") && !shown.contains("s3cret") && !shown.contains("czNjcmV0"),
            "{shown}"
        );

        let Err(error) = serde_json::from_str::<Secret>(r#"{"data":{"user":"not base64!"}}"#) else {
            panic!("accepted what is not base64");
        };
        assert!(!error.to_string().contains("not base64!"), "{error}");
    }
}
