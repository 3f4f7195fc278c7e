//! Types of the package core. Made from kube-wire.tsv by tests/generated.rs: do not edit.

use crate::table::{Field, FieldType, ListType, MapType};

#[rustfmt::skip]
pub(super) const AWS_ELASTIC_BLOCK_STORE_VOLUME_SOURCE: &[Field] = &[
    Field::one("volumeID", 1, FieldType::String),
    Field::one("fsType", 2, FieldType::String).omit_empty(),
    Field::one("partition", 3, FieldType::Int32).omit_empty(),
    Field::one("readOnly", 4, FieldType::Bool).omit_empty(),
];

#[rustfmt::skip]
pub(super) const AFFINITY: &[Field] = &[
    Field::one("nodeAffinity", 1, FieldType::Message(126 /* core/v1.NodeAffinity */)).omit_empty().pointer(),
    Field::one("podAffinity", 2, FieldType::Message(155 /* core/v1.PodAffinity */)).omit_empty().pointer(),
    Field::one("podAntiAffinity", 3, FieldType::Message(157 /* core/v1.PodAntiAffinity */)).omit_empty().pointer(),
];

#[rustfmt::skip]
pub(super) const APP_ARMOR_PROFILE: &[Field] = &[
    Field::one("type", 1, FieldType::String),
    Field::one("localhostProfile", 2, FieldType::String).omit_empty().pointer(),
];

#[rustfmt::skip]
pub(super) const ATTACHED_VOLUME: &[Field] = &[
    Field::one("name", 1, FieldType::String),
    Field::one("devicePath", 2, FieldType::String),
];

#[rustfmt::skip]
pub(super) const AZURE_DISK_VOLUME_SOURCE: &[Field] = &[
    Field::one("diskName", 1, FieldType::String),
    Field::one("diskURI", 2, FieldType::String),
    Field::one("cachingMode", 3, FieldType::String).omit_empty().pointer().defaulted("ref(AzureDataDiskCachingReadWrite)"),
    Field::one("fsType", 4, FieldType::String).omit_empty().pointer().defaulted("\"ext4\""),
    Field::one("readOnly", 5, FieldType::Bool).omit_empty().pointer().defaulted("false"),
    Field::one("kind", 6, FieldType::String).omit_empty().pointer().defaulted("ref(AzureSharedBlobDisk)"),
];

#[rustfmt::skip]
pub(super) const AZURE_FILE_PERSISTENT_VOLUME_SOURCE: &[Field] = &[
    Field::one("secretName", 1, FieldType::String),
    Field::one("shareName", 2, FieldType::String),
    Field::one("readOnly", 3, FieldType::Bool).omit_empty(),
    Field::one("secretNamespace", 4, FieldType::String).pointer(),
];

#[rustfmt::skip]
pub(super) const AZURE_FILE_VOLUME_SOURCE: &[Field] = &[
    Field::one("secretName", 1, FieldType::String),
    Field::one("shareName", 2, FieldType::String),
    Field::one("readOnly", 3, FieldType::Bool).omit_empty(),
];

#[rustfmt::skip]
pub(super) const BINDING: &[Field] = &[
    Field::one("metadata", 1, FieldType::Message(239 /* meta/v1.ObjectMeta */)).omit_empty(),
    Field::one("target", 2, FieldType::Message(142 /* core/v1.ObjectReference */)),
];

#[rustfmt::skip]
pub(super) const CSI_PERSISTENT_VOLUME_SOURCE: &[Field] = &[
    Field::one("driver", 1, FieldType::String),
    Field::one("volumeHandle", 2, FieldType::String),
    Field::one("readOnly", 3, FieldType::Bool).omit_empty(),
    Field::one("fsType", 4, FieldType::String).omit_empty(),
    Field::map("volumeAttributes", 5, FieldType::String).omit_empty(),
    Field::one("controllerPublishSecretRef", 6, FieldType::Message(194 /* core/v1.SecretReference */)).omit_empty().pointer(),
    Field::one("nodeStageSecretRef", 7, FieldType::Message(194 /* core/v1.SecretReference */)).omit_empty().pointer(),
    Field::one("nodePublishSecretRef", 8, FieldType::Message(194 /* core/v1.SecretReference */)).omit_empty().pointer(),
    Field::one("controllerExpandSecretRef", 9, FieldType::Message(194 /* core/v1.SecretReference */)).omit_empty().pointer(),
    Field::one("nodeExpandSecretRef", 10, FieldType::Message(194 /* core/v1.SecretReference */)).omit_empty().pointer(),
];

#[rustfmt::skip]
pub(super) const CSI_VOLUME_SOURCE: &[Field] = &[
    Field::one("driver", 1, FieldType::String),
    Field::one("readOnly", 2, FieldType::Bool).omit_empty().pointer(),
    Field::one("fsType", 3, FieldType::String).omit_empty().pointer(),
    Field::map("volumeAttributes", 4, FieldType::String).omit_empty(),
    Field::one("nodePublishSecretRef", 5, FieldType::Message(116 /* core/v1.LocalObjectReference */)).omit_empty().pointer(),
];

#[rustfmt::skip]
pub(super) const CAPABILITIES: &[Field] = &[
    Field::list("add", 1, FieldType::String).omit_empty().merged(ListType::Atomic),
    Field::list("drop", 2, FieldType::String).omit_empty().merged(ListType::Atomic),
];

#[rustfmt::skip]
pub(super) const CEPH_FS_PERSISTENT_VOLUME_SOURCE: &[Field] = &[
    Field::list("monitors", 1, FieldType::String).merged(ListType::Atomic),
    Field::one("path", 2, FieldType::String).omit_empty(),
    Field::one("user", 3, FieldType::String).omit_empty(),
    Field::one("secretFile", 4, FieldType::String).omit_empty(),
    Field::one("secretRef", 5, FieldType::Message(194 /* core/v1.SecretReference */)).omit_empty().pointer(),
    Field::one("readOnly", 6, FieldType::Bool).omit_empty(),
];

#[rustfmt::skip]
pub(super) const CEPH_FS_VOLUME_SOURCE: &[Field] = &[
    Field::list("monitors", 1, FieldType::String).merged(ListType::Atomic),
    Field::one("path", 2, FieldType::String).omit_empty(),
    Field::one("user", 3, FieldType::String).omit_empty(),
    Field::one("secretFile", 4, FieldType::String).omit_empty(),
    Field::one("secretRef", 5, FieldType::Message(116 /* core/v1.LocalObjectReference */)).omit_empty().pointer(),
    Field::one("readOnly", 6, FieldType::Bool).omit_empty(),
];

#[rustfmt::skip]
pub(super) const CINDER_PERSISTENT_VOLUME_SOURCE: &[Field] = &[
    Field::one("volumeID", 1, FieldType::String),
    Field::one("fsType", 2, FieldType::String).omit_empty(),
    Field::one("readOnly", 3, FieldType::Bool).omit_empty(),
    Field::one("secretRef", 4, FieldType::Message(194 /* core/v1.SecretReference */)).omit_empty().pointer(),
];

#[rustfmt::skip]
pub(super) const CINDER_VOLUME_SOURCE: &[Field] = &[
    Field::one("volumeID", 1, FieldType::String),
    Field::one("fsType", 2, FieldType::String).omit_empty(),
    Field::one("readOnly", 3, FieldType::Bool).omit_empty(),
    Field::one("secretRef", 4, FieldType::Message(116 /* core/v1.LocalObjectReference */)).omit_empty().pointer(),
];

#[rustfmt::skip]
pub(super) const CLUSTER_TRUST_BUNDLE_PROJECTION: &[Field] = &[
    Field::one("name", 1, FieldType::String).omit_empty().pointer(),
    Field::one("signerName", 2, FieldType::String).omit_empty().pointer(),
    Field::one("labelSelector", 3, FieldType::Message(234 /* meta/v1.LabelSelector */)).omit_empty().pointer(),
    Field::one("optional", 5, FieldType::Bool).omit_empty().pointer(),
    Field::one("path", 4, FieldType::String),
];

#[rustfmt::skip]
pub(super) const CONFIG_MAP: &[Field] = &[
    Field::one("metadata", 1, FieldType::Message(239 /* meta/v1.ObjectMeta */)).omit_empty(),
    Field::one("immutable", 4, FieldType::Bool).omit_empty().pointer(),
    Field::map("data", 2, FieldType::String).omit_empty(),
    Field::map("binaryData", 3, FieldType::Bytes).omit_empty(),
];

#[rustfmt::skip]
pub(super) const CONFIG_MAP_ENV_SOURCE: &[Field] = &[
    Field::one("(inline)", 1, FieldType::Message(116 /* core/v1.LocalObjectReference */)).inlined(),
    Field::one("optional", 2, FieldType::Bool).omit_empty().pointer(),
];

#[rustfmt::skip]
pub(super) const CONFIG_MAP_KEY_SELECTOR: &[Field] = &[
    Field::one("(inline)", 1, FieldType::Message(116 /* core/v1.LocalObjectReference */)).inlined(),
    Field::one("key", 2, FieldType::String),
    Field::one("optional", 3, FieldType::Bool).omit_empty().pointer(),
];

#[rustfmt::skip]
pub(super) const CONFIG_MAP_NODE_CONFIG_SOURCE: &[Field] = &[
    Field::one("namespace", 1, FieldType::String),
    Field::one("name", 2, FieldType::String),
    Field::one("uid", 3, FieldType::String).omit_empty(),
    Field::one("resourceVersion", 4, FieldType::String).omit_empty(),
    Field::one("kubeletConfigKey", 5, FieldType::String),
];

#[rustfmt::skip]
pub(super) const CONFIG_MAP_PROJECTION: &[Field] = &[
    Field::one("(inline)", 1, FieldType::Message(116 /* core/v1.LocalObjectReference */)).inlined(),
    Field::list("items", 2, FieldType::Message(112 /* core/v1.KeyToPath */)).omit_empty().merged(ListType::Atomic),
    Field::one("optional", 4, FieldType::Bool).omit_empty().pointer(),
];

#[rustfmt::skip]
pub(super) const CONFIG_MAP_VOLUME_SOURCE: &[Field] = &[
    Field::one("(inline)", 1, FieldType::Message(116 /* core/v1.LocalObjectReference */)).inlined(),
    Field::list("items", 2, FieldType::Message(112 /* core/v1.KeyToPath */)).omit_empty().merged(ListType::Atomic),
    Field::one("defaultMode", 3, FieldType::Int32).omit_empty().pointer(),
    Field::one("optional", 4, FieldType::Bool).omit_empty().pointer(),
];

#[rustfmt::skip]
pub(super) const CONTAINER: &[Field] = &[
    Field::one("name", 1, FieldType::String),
    Field::one("image", 2, FieldType::String).omit_empty(),
    Field::list("command", 3, FieldType::String).omit_empty().merged(ListType::Atomic),
    Field::list("args", 4, FieldType::String).omit_empty().merged(ListType::Atomic),
    Field::one("workingDir", 5, FieldType::String).omit_empty(),
    Field::list("ports", 6, FieldType::Message(69 /* core/v1.ContainerPort */)).omit_empty().merged(ListType::Map(&["containerPort", "protocol"])).patched("containerPort", false),
    Field::list("envFrom", 19, FieldType::Message(84 /* core/v1.EnvFromSource */)).omit_empty().merged(ListType::Atomic),
    Field::list("env", 7, FieldType::Message(85 /* core/v1.EnvVar */)).omit_empty().merged(ListType::Map(&["name"])).patched("name", false),
    Field::one("resources", 8, FieldType::Message(184 /* core/v1.ResourceRequirements */)).omit_empty(),
    Field::list("resizePolicy", 23, FieldType::Message(70 /* core/v1.ContainerResizePolicy */)).omit_empty().merged(ListType::Atomic).gated("InPlacePodVerticalScaling"),
    Field::one("restartPolicy", 24, FieldType::String).omit_empty().pointer(),
    Field::list("restartPolicyRules", 25, FieldType::Message(71 /* core/v1.ContainerRestartRule */)).omit_empty().merged(ListType::Atomic).gated("ContainerRestartRules"),
    Field::list("volumeMounts", 9, FieldType::Message(213 /* core/v1.VolumeMount */)).omit_empty().merged(ListType::Map(&["mountPath"])).patched("mountPath", false),
    Field::list("volumeDevices", 21, FieldType::Message(212 /* core/v1.VolumeDevice */)).omit_empty().merged(ListType::Map(&["devicePath"])).patched("devicePath", false),
    Field::one("livenessProbe", 10, FieldType::Message(175 /* core/v1.Probe */)).omit_empty().pointer(),
    Field::one("readinessProbe", 11, FieldType::Message(175 /* core/v1.Probe */)).omit_empty().pointer(),
    Field::one("startupProbe", 22, FieldType::Message(175 /* core/v1.Probe */)).omit_empty().pointer(),
    Field::one("lifecycle", 12, FieldType::Message(113 /* core/v1.Lifecycle */)).omit_empty().pointer(),
    Field::one("terminationMessagePath", 13, FieldType::String).omit_empty(),
    Field::one("terminationMessagePolicy", 20, FieldType::String).omit_empty(),
    Field::one("imagePullPolicy", 14, FieldType::String).omit_empty(),
    Field::one("securityContext", 15, FieldType::Message(196 /* core/v1.SecurityContext */)).omit_empty().pointer(),
    Field::one("stdin", 16, FieldType::Bool).omit_empty(),
    Field::one("stdinOnce", 17, FieldType::Bool).omit_empty(),
    Field::one("tty", 18, FieldType::Bool).omit_empty(),
];

#[rustfmt::skip]
pub(super) const CONTAINER_EXTENDED_RESOURCE_REQUEST: &[Field] = &[
    Field::one("containerName", 1, FieldType::String),
    Field::one("resourceName", 2, FieldType::String),
    Field::one("requestName", 3, FieldType::String),
];

#[rustfmt::skip]
pub(super) const CONTAINER_IMAGE: &[Field] = &[
    Field::list("names", 1, FieldType::String).merged(ListType::Atomic),
    Field::one("sizeBytes", 2, FieldType::Int64).omit_empty(),
];

#[rustfmt::skip]
pub(super) const CONTAINER_PORT: &[Field] = &[
    Field::one("name", 1, FieldType::String).omit_empty(),
    Field::one("hostPort", 2, FieldType::Int32).omit_empty(),
    Field::one("containerPort", 3, FieldType::Int32),
    Field::one("protocol", 4, FieldType::String).omit_empty().defaulted("\"TCP\""),
    Field::one("hostIP", 5, FieldType::String).omit_empty(),
];

#[rustfmt::skip]
pub(super) const CONTAINER_RESIZE_POLICY: &[Field] = &[
    Field::one("resourceName", 1, FieldType::String),
    Field::one("restartPolicy", 2, FieldType::String),
];

#[rustfmt::skip]
pub(super) const CONTAINER_RESTART_RULE: &[Field] = &[
    Field::one("action", 1, FieldType::String).omit_empty(),
    Field::one("exitCodes", 2, FieldType::Message(72 /* core/v1.ContainerRestartRuleOnExitCodes */)).omit_empty().pointer(),
];

#[rustfmt::skip]
pub(super) const CONTAINER_RESTART_RULE_ON_EXIT_CODES: &[Field] = &[
    Field::one("operator", 1, FieldType::String).omit_empty(),
    Field::list("values", 2, FieldType::Int32).omit_empty().merged(ListType::Set),
];

#[rustfmt::skip]
pub(super) const CONTAINER_STATE: &[Field] = &[
    Field::one("waiting", 1, FieldType::Message(76 /* core/v1.ContainerStateWaiting */)).omit_empty().pointer(),
    Field::one("running", 2, FieldType::Message(74 /* core/v1.ContainerStateRunning */)).omit_empty().pointer(),
    Field::one("terminated", 3, FieldType::Message(75 /* core/v1.ContainerStateTerminated */)).omit_empty().pointer(),
];

#[rustfmt::skip]
pub(super) const CONTAINER_STATE_RUNNING: &[Field] = &[
    Field::one("startedAt", 1, FieldType::Time).omit_empty(),
];

#[rustfmt::skip]
pub(super) const CONTAINER_STATE_TERMINATED: &[Field] = &[
    Field::one("exitCode", 1, FieldType::Int32),
    Field::one("signal", 2, FieldType::Int32).omit_empty(),
    Field::one("reason", 3, FieldType::String).omit_empty(),
    Field::one("message", 4, FieldType::String).omit_empty(),
    Field::one("startedAt", 5, FieldType::Time).omit_empty(),
    Field::one("finishedAt", 6, FieldType::Time).omit_empty(),
    Field::one("containerID", 7, FieldType::String).omit_empty(),
];

#[rustfmt::skip]
pub(super) const CONTAINER_STATE_WAITING: &[Field] = &[
    Field::one("reason", 1, FieldType::String).omit_empty(),
    Field::one("message", 2, FieldType::String).omit_empty(),
];

#[rustfmt::skip]
pub(super) const CONTAINER_STATUS: &[Field] = &[
    Field::one("name", 1, FieldType::String),
    Field::one("state", 2, FieldType::Message(73 /* core/v1.ContainerState */)).omit_empty(),
    Field::one("lastState", 3, FieldType::Message(73 /* core/v1.ContainerState */)).omit_empty(),
    Field::one("ready", 4, FieldType::Bool),
    Field::one("restartCount", 5, FieldType::Int32),
    Field::one("image", 6, FieldType::String),
    Field::one("imageID", 7, FieldType::String),
    Field::one("containerID", 8, FieldType::String).omit_empty(),
    Field::one("started", 9, FieldType::Bool).omit_empty().pointer(),
    Field::map("allocatedResources", 10, FieldType::Quantity).omit_empty().gated("InPlacePodVerticalScalingAllocatedStatus"),
    Field::one("resources", 11, FieldType::Message(184 /* core/v1.ResourceRequirements */)).omit_empty().pointer().gated("InPlacePodVerticalScaling"),
    Field::list("volumeMounts", 12, FieldType::Message(214 /* core/v1.VolumeMountStatus */)).omit_empty().merged(ListType::Map(&["mountPath"])).patched("mountPath", false),
    Field::one("user", 13, FieldType::Message(78 /* core/v1.ContainerUser */)).omit_empty().pointer().gated("SupplementalGroupsPolicy"),
    Field::list("allocatedResourcesStatus", 14, FieldType::Message(185 /* core/v1.ResourceStatus */)).omit_empty().merged(ListType::Map(&["name"])).patched("name", false).gated("ResourceHealthStatus"),
    Field::one("stopSignal", 15, FieldType::String).omit_empty().pointer().gated("ContainerStopSignals"),
];

#[rustfmt::skip]
pub(super) const CONTAINER_USER: &[Field] = &[
    Field::one("linux", 1, FieldType::Message(115 /* core/v1.LinuxContainerUser */)).omit_empty().pointer(),
];

#[rustfmt::skip]
pub(super) const DAEMON_ENDPOINT: &[Field] = &[
    Field::one("Port", 1, FieldType::Int32),
];

#[rustfmt::skip]
pub(super) const DOWNWARD_API_PROJECTION: &[Field] = &[
    Field::list("items", 1, FieldType::Message(81 /* core/v1.DownwardAPIVolumeFile */)).omit_empty().merged(ListType::Atomic),
];

#[rustfmt::skip]
pub(super) const DOWNWARD_API_VOLUME_FILE: &[Field] = &[
    Field::one("path", 1, FieldType::String),
    Field::one("fieldRef", 2, FieldType::Message(141 /* core/v1.ObjectFieldSelector */)).omit_empty().pointer(),
    Field::one("resourceFieldRef", 3, FieldType::Message(182 /* core/v1.ResourceFieldSelector */)).omit_empty().pointer(),
    Field::one("mode", 4, FieldType::Int32).omit_empty().pointer(),
];

#[rustfmt::skip]
pub(super) const DOWNWARD_API_VOLUME_SOURCE: &[Field] = &[
    Field::list("items", 1, FieldType::Message(81 /* core/v1.DownwardAPIVolumeFile */)).omit_empty().merged(ListType::Atomic),
    Field::one("defaultMode", 2, FieldType::Int32).omit_empty().pointer(),
];

#[rustfmt::skip]
pub(super) const EMPTY_DIR_VOLUME_SOURCE: &[Field] = &[
    Field::one("medium", 1, FieldType::String).omit_empty(),
    Field::one("sizeLimit", 2, FieldType::Quantity).omit_empty().pointer(),
];

#[rustfmt::skip]
pub(super) const ENV_FROM_SOURCE: &[Field] = &[
    Field::one("prefix", 1, FieldType::String).omit_empty(),
    Field::one("configMapRef", 2, FieldType::Message(61 /* core/v1.ConfigMapEnvSource */)).omit_empty().pointer(),
    Field::one("secretRef", 3, FieldType::Message(191 /* core/v1.SecretEnvSource */)).omit_empty().pointer(),
];

#[rustfmt::skip]
pub(super) const ENV_VAR: &[Field] = &[
    Field::one("name", 1, FieldType::String),
    Field::one("value", 2, FieldType::String).omit_empty(),
    Field::one("valueFrom", 3, FieldType::Message(86 /* core/v1.EnvVarSource */)).omit_empty().pointer(),
];

#[rustfmt::skip]
pub(super) const ENV_VAR_SOURCE: &[Field] = &[
    Field::one("fieldRef", 1, FieldType::Message(141 /* core/v1.ObjectFieldSelector */)).omit_empty().pointer(),
    Field::one("resourceFieldRef", 2, FieldType::Message(182 /* core/v1.ResourceFieldSelector */)).omit_empty().pointer(),
    Field::one("configMapKeyRef", 3, FieldType::Message(62 /* core/v1.ConfigMapKeySelector */)).omit_empty().pointer(),
    Field::one("secretKeyRef", 4, FieldType::Message(192 /* core/v1.SecretKeySelector */)).omit_empty().pointer(),
    Field::one("fileKeyRef", 5, FieldType::Message(95 /* core/v1.FileKeySelector */)).omit_empty().pointer().gated("EnvFiles"),
];

#[rustfmt::skip]
pub(super) const EPHEMERAL_CONTAINER: &[Field] = &[
    Field::one("(inline)", 1, FieldType::Message(88 /* core/v1.EphemeralContainerCommon */)).inlined(),
    Field::one("targetContainerName", 2, FieldType::String).omit_empty(),
];

#[rustfmt::skip]
pub(super) const EPHEMERAL_CONTAINER_COMMON: &[Field] = &[
    Field::one("name", 1, FieldType::String),
    Field::one("image", 2, FieldType::String).omit_empty(),
    Field::list("command", 3, FieldType::String).omit_empty().merged(ListType::Atomic),
    Field::list("args", 4, FieldType::String).omit_empty().merged(ListType::Atomic),
    Field::one("workingDir", 5, FieldType::String).omit_empty(),
    Field::list("ports", 6, FieldType::Message(69 /* core/v1.ContainerPort */)).omit_empty().merged(ListType::Map(&["containerPort", "protocol"])).patched("containerPort", false),
    Field::list("envFrom", 19, FieldType::Message(84 /* core/v1.EnvFromSource */)).omit_empty().merged(ListType::Atomic),
    Field::list("env", 7, FieldType::Message(85 /* core/v1.EnvVar */)).omit_empty().merged(ListType::Map(&["name"])).patched("name", false),
    Field::one("resources", 8, FieldType::Message(184 /* core/v1.ResourceRequirements */)).omit_empty(),
    Field::list("resizePolicy", 23, FieldType::Message(70 /* core/v1.ContainerResizePolicy */)).omit_empty().merged(ListType::Atomic).gated("InPlacePodVerticalScaling"),
    Field::one("restartPolicy", 24, FieldType::String).omit_empty().pointer(),
    Field::list("restartPolicyRules", 25, FieldType::Message(71 /* core/v1.ContainerRestartRule */)).omit_empty().merged(ListType::Atomic).gated("ContainerRestartRules"),
    Field::list("volumeMounts", 9, FieldType::Message(213 /* core/v1.VolumeMount */)).omit_empty().merged(ListType::Map(&["mountPath"])).patched("mountPath", false),
    Field::list("volumeDevices", 21, FieldType::Message(212 /* core/v1.VolumeDevice */)).omit_empty().merged(ListType::Map(&["devicePath"])).patched("devicePath", false),
    Field::one("livenessProbe", 10, FieldType::Message(175 /* core/v1.Probe */)).omit_empty().pointer(),
    Field::one("readinessProbe", 11, FieldType::Message(175 /* core/v1.Probe */)).omit_empty().pointer(),
    Field::one("startupProbe", 22, FieldType::Message(175 /* core/v1.Probe */)).omit_empty().pointer(),
    Field::one("lifecycle", 12, FieldType::Message(113 /* core/v1.Lifecycle */)).omit_empty().pointer(),
    Field::one("terminationMessagePath", 13, FieldType::String).omit_empty(),
    Field::one("terminationMessagePolicy", 20, FieldType::String).omit_empty(),
    Field::one("imagePullPolicy", 14, FieldType::String).omit_empty(),
    Field::one("securityContext", 15, FieldType::Message(196 /* core/v1.SecurityContext */)).omit_empty().pointer(),
    Field::one("stdin", 16, FieldType::Bool).omit_empty(),
    Field::one("stdinOnce", 17, FieldType::Bool).omit_empty(),
    Field::one("tty", 18, FieldType::Bool).omit_empty(),
];

#[rustfmt::skip]
pub(super) const EPHEMERAL_VOLUME_SOURCE: &[Field] = &[
    Field::one("volumeClaimTemplate", 1, FieldType::Message(148 /* core/v1.PersistentVolumeClaimTemplate */)).omit_empty().pointer(),
];

#[rustfmt::skip]
pub(super) const EVENT: &[Field] = &[
    Field::one("metadata", 1, FieldType::Message(239 /* meta/v1.ObjectMeta */)),
    Field::one("involvedObject", 2, FieldType::Message(142 /* core/v1.ObjectReference */)),
    Field::one("reason", 3, FieldType::String).omit_empty(),
    Field::one("message", 4, FieldType::String).omit_empty(),
    Field::one("source", 5, FieldType::Message(92 /* core/v1.EventSource */)).omit_empty(),
    Field::one("firstTimestamp", 6, FieldType::Time).omit_empty(),
    Field::one("lastTimestamp", 7, FieldType::Time).omit_empty(),
    Field::one("count", 8, FieldType::Int32).omit_empty(),
    Field::one("type", 9, FieldType::String).omit_empty(),
    Field::one("eventTime", 10, FieldType::MicroTime).omit_empty(),
    Field::one("series", 11, FieldType::Message(91 /* core/v1.EventSeries */)).omit_empty().pointer(),
    Field::one("action", 12, FieldType::String).omit_empty(),
    Field::one("related", 13, FieldType::Message(142 /* core/v1.ObjectReference */)).omit_empty().pointer(),
    Field::one("reportingComponent", 14, FieldType::String),
    Field::one("reportingInstance", 15, FieldType::String),
];

#[rustfmt::skip]
pub(super) const EVENT_SERIES: &[Field] = &[
    Field::one("count", 1, FieldType::Int32).omit_empty(),
    Field::one("lastObservedTime", 2, FieldType::MicroTime).omit_empty(),
];

#[rustfmt::skip]
pub(super) const EVENT_SOURCE: &[Field] = &[
    Field::one("component", 1, FieldType::String).omit_empty(),
    Field::one("host", 2, FieldType::String).omit_empty(),
];

#[rustfmt::skip]
pub(super) const EXEC_ACTION: &[Field] = &[
    Field::list("command", 1, FieldType::String).omit_empty().merged(ListType::Atomic),
];

#[rustfmt::skip]
pub(super) const FC_VOLUME_SOURCE: &[Field] = &[
    Field::list("targetWWNs", 1, FieldType::String).omit_empty().merged(ListType::Atomic),
    Field::one("lun", 2, FieldType::Int32).omit_empty().pointer(),
    Field::one("fsType", 3, FieldType::String).omit_empty(),
    Field::one("readOnly", 4, FieldType::Bool).omit_empty(),
    Field::list("wwids", 5, FieldType::String).omit_empty().merged(ListType::Atomic),
];

#[rustfmt::skip]
pub(super) const FILE_KEY_SELECTOR: &[Field] = &[
    Field::one("volumeName", 1, FieldType::String),
    Field::one("path", 2, FieldType::String),
    Field::one("key", 3, FieldType::String),
    Field::one("optional", 4, FieldType::Bool).omit_empty().pointer().defaulted("false"),
];

#[rustfmt::skip]
pub(super) const FLEX_PERSISTENT_VOLUME_SOURCE: &[Field] = &[
    Field::one("driver", 1, FieldType::String),
    Field::one("fsType", 2, FieldType::String).omit_empty(),
    Field::one("secretRef", 3, FieldType::Message(194 /* core/v1.SecretReference */)).omit_empty().pointer(),
    Field::one("readOnly", 4, FieldType::Bool).omit_empty(),
    Field::map("options", 5, FieldType::String).omit_empty(),
];

#[rustfmt::skip]
pub(super) const FLEX_VOLUME_SOURCE: &[Field] = &[
    Field::one("driver", 1, FieldType::String),
    Field::one("fsType", 2, FieldType::String).omit_empty(),
    Field::one("secretRef", 3, FieldType::Message(116 /* core/v1.LocalObjectReference */)).omit_empty().pointer(),
    Field::one("readOnly", 4, FieldType::Bool).omit_empty(),
    Field::map("options", 5, FieldType::String).omit_empty(),
];

#[rustfmt::skip]
pub(super) const FLOCKER_VOLUME_SOURCE: &[Field] = &[
    Field::one("datasetName", 1, FieldType::String).omit_empty(),
    Field::one("datasetUUID", 2, FieldType::String).omit_empty(),
];

#[rustfmt::skip]
pub(super) const GCE_PERSISTENT_DISK_VOLUME_SOURCE: &[Field] = &[
    Field::one("pdName", 1, FieldType::String),
    Field::one("fsType", 2, FieldType::String).omit_empty(),
    Field::one("partition", 3, FieldType::Int32).omit_empty(),
    Field::one("readOnly", 4, FieldType::Bool).omit_empty(),
];

#[rustfmt::skip]
pub(super) const GRPC_ACTION: &[Field] = &[
    Field::one("port", 1, FieldType::Int32),
    Field::one("service", 2, FieldType::String).pointer().defaulted("\"\""),
];

#[rustfmt::skip]
pub(super) const GIT_REPO_VOLUME_SOURCE: &[Field] = &[
    Field::one("repository", 1, FieldType::String),
    Field::one("revision", 2, FieldType::String).omit_empty(),
    Field::one("directory", 3, FieldType::String).omit_empty(),
];

#[rustfmt::skip]
pub(super) const GLUSTERFS_PERSISTENT_VOLUME_SOURCE: &[Field] = &[
    Field::one("endpoints", 1, FieldType::String),
    Field::one("path", 2, FieldType::String),
    Field::one("readOnly", 3, FieldType::Bool).omit_empty(),
    Field::one("endpointsNamespace", 4, FieldType::String).omit_empty().pointer(),
];

#[rustfmt::skip]
pub(super) const GLUSTERFS_VOLUME_SOURCE: &[Field] = &[
    Field::one("endpoints", 1, FieldType::String),
    Field::one("path", 2, FieldType::String),
    Field::one("readOnly", 3, FieldType::Bool).omit_empty(),
];

#[rustfmt::skip]
pub(super) const HTTP_GET_ACTION: &[Field] = &[
    Field::one("path", 1, FieldType::String).omit_empty(),
    Field::one("port", 2, FieldType::IntOrString),
    Field::one("host", 3, FieldType::String).omit_empty(),
    Field::one("scheme", 4, FieldType::String).omit_empty(),
    Field::list("httpHeaders", 5, FieldType::Message(105 /* core/v1.HTTPHeader */)).omit_empty().merged(ListType::Atomic),
];

#[rustfmt::skip]
pub(super) const HTTP_HEADER: &[Field] = &[
    Field::one("name", 1, FieldType::String),
    Field::one("value", 2, FieldType::String),
];

#[rustfmt::skip]
pub(super) const HOST_ALIAS: &[Field] = &[
    Field::one("ip", 1, FieldType::String),
    Field::list("hostnames", 2, FieldType::String).omit_empty().merged(ListType::Atomic),
];

#[rustfmt::skip]
pub(super) const HOST_IP: &[Field] = &[
    Field::one("ip", 1, FieldType::String),
];

#[rustfmt::skip]
pub(super) const HOST_PATH_VOLUME_SOURCE: &[Field] = &[
    Field::one("path", 1, FieldType::String),
    Field::one("type", 2, FieldType::String).omit_empty().pointer(),
];

#[rustfmt::skip]
pub(super) const ISCSI_PERSISTENT_VOLUME_SOURCE: &[Field] = &[
    Field::one("targetPortal", 1, FieldType::String),
    Field::one("iqn", 2, FieldType::String),
    Field::one("lun", 3, FieldType::Int32),
    Field::one("iscsiInterface", 4, FieldType::String).omit_empty().defaulted("\"default\""),
    Field::one("fsType", 5, FieldType::String).omit_empty(),
    Field::one("readOnly", 6, FieldType::Bool).omit_empty(),
    Field::list("portals", 7, FieldType::String).omit_empty().merged(ListType::Atomic),
    Field::one("chapAuthDiscovery", 8, FieldType::Bool).omit_empty(),
    Field::one("chapAuthSession", 11, FieldType::Bool).omit_empty(),
    Field::one("secretRef", 10, FieldType::Message(194 /* core/v1.SecretReference */)).omit_empty().pointer(),
    Field::one("initiatorName", 12, FieldType::String).omit_empty().pointer(),
];

#[rustfmt::skip]
pub(super) const ISCSI_VOLUME_SOURCE: &[Field] = &[
    Field::one("targetPortal", 1, FieldType::String),
    Field::one("iqn", 2, FieldType::String),
    Field::one("lun", 3, FieldType::Int32),
    Field::one("iscsiInterface", 4, FieldType::String).omit_empty().defaulted("\"default\""),
    Field::one("fsType", 5, FieldType::String).omit_empty(),
    Field::one("readOnly", 6, FieldType::Bool).omit_empty(),
    Field::list("portals", 7, FieldType::String).omit_empty().merged(ListType::Atomic),
    Field::one("chapAuthDiscovery", 8, FieldType::Bool).omit_empty(),
    Field::one("chapAuthSession", 11, FieldType::Bool).omit_empty(),
    Field::one("secretRef", 10, FieldType::Message(116 /* core/v1.LocalObjectReference */)).omit_empty().pointer(),
    Field::one("initiatorName", 12, FieldType::String).omit_empty().pointer(),
];

#[rustfmt::skip]
pub(super) const IMAGE_VOLUME_SOURCE: &[Field] = &[
    Field::one("reference", 1, FieldType::String).omit_empty(),
    Field::one("pullPolicy", 2, FieldType::String).omit_empty(),
];

#[rustfmt::skip]
pub(super) const KEY_TO_PATH: &[Field] = &[
    Field::one("key", 1, FieldType::String),
    Field::one("path", 2, FieldType::String),
    Field::one("mode", 3, FieldType::Int32).omit_empty().pointer(),
];

#[rustfmt::skip]
pub(super) const LIFECYCLE: &[Field] = &[
    Field::one("postStart", 1, FieldType::Message(114 /* core/v1.LifecycleHandler */)).omit_empty().pointer(),
    Field::one("preStop", 2, FieldType::Message(114 /* core/v1.LifecycleHandler */)).omit_empty().pointer(),
    Field::one("stopSignal", 3, FieldType::String).omit_empty().pointer(),
];

#[rustfmt::skip]
pub(super) const LIFECYCLE_HANDLER: &[Field] = &[
    Field::one("exec", 1, FieldType::Message(93 /* core/v1.ExecAction */)).omit_empty().pointer(),
    Field::one("httpGet", 2, FieldType::Message(104 /* core/v1.HTTPGetAction */)).omit_empty().pointer(),
    Field::one("tcpSocket", 3, FieldType::Message(203 /* core/v1.TCPSocketAction */)).omit_empty().pointer(),
    Field::one("sleep", 4, FieldType::Message(199 /* core/v1.SleepAction */)).omit_empty().pointer(),
];

#[rustfmt::skip]
pub(super) const LINUX_CONTAINER_USER: &[Field] = &[
    Field::one("uid", 1, FieldType::Int64),
    Field::one("gid", 2, FieldType::Int64),
    Field::list("supplementalGroups", 3, FieldType::Int64).omit_empty().merged(ListType::Atomic),
];

#[rustfmt::skip]
pub(super) const LOCAL_OBJECT_REFERENCE: &[Field] = &[
    Field::one("name", 1, FieldType::String).omit_empty().defaulted("\"\""),
];

#[rustfmt::skip]
pub(super) const LOCAL_VOLUME_SOURCE: &[Field] = &[
    Field::one("path", 1, FieldType::String),
    Field::one("fsType", 2, FieldType::String).omit_empty().pointer(),
];

#[rustfmt::skip]
pub(super) const MODIFY_VOLUME_STATUS: &[Field] = &[
    Field::one("targetVolumeAttributesClassName", 1, FieldType::String).omit_empty(),
    Field::one("status", 2, FieldType::String),
];

#[rustfmt::skip]
pub(super) const NFS_VOLUME_SOURCE: &[Field] = &[
    Field::one("server", 1, FieldType::String),
    Field::one("path", 2, FieldType::String),
    Field::one("readOnly", 3, FieldType::Bool).omit_empty(),
];

#[rustfmt::skip]
pub(super) const NAMESPACE: &[Field] = &[
    Field::one("metadata", 1, FieldType::Message(239 /* meta/v1.ObjectMeta */)).omit_empty(),
    Field::one("spec", 2, FieldType::Message(122 /* core/v1.NamespaceSpec */)).omit_empty(),
    Field::one("status", 3, FieldType::Message(123 /* core/v1.NamespaceStatus */)).omit_empty(),
];

#[rustfmt::skip]
pub(super) const NAMESPACE_CONDITION: &[Field] = &[
    Field::one("type", 1, FieldType::String),
    Field::one("status", 2, FieldType::String),
    Field::one("lastTransitionTime", 4, FieldType::Time).omit_empty(),
    Field::one("reason", 5, FieldType::String).omit_empty(),
    Field::one("message", 6, FieldType::String).omit_empty(),
];

#[rustfmt::skip]
pub(super) const NAMESPACE_SPEC: &[Field] = &[
    Field::list("finalizers", 1, FieldType::String).omit_empty().merged(ListType::Atomic),
];

#[rustfmt::skip]
pub(super) const NAMESPACE_STATUS: &[Field] = &[
    Field::one("phase", 1, FieldType::String).omit_empty(),
    Field::list("conditions", 2, FieldType::Message(121 /* core/v1.NamespaceCondition */)).omit_empty().merged(ListType::Map(&["type"])).patched("type", false),
];

#[rustfmt::skip]
pub(super) const NODE: &[Field] = &[
    Field::one("metadata", 1, FieldType::Message(239 /* meta/v1.ObjectMeta */)).omit_empty(),
    Field::one("spec", 2, FieldType::Message(137 /* core/v1.NodeSpec */)).omit_empty(),
    Field::one("status", 3, FieldType::Message(138 /* core/v1.NodeStatus */)).omit_empty(),
];

#[rustfmt::skip]
pub(super) const NODE_ADDRESS: &[Field] = &[
    Field::one("type", 1, FieldType::String),
    Field::one("address", 2, FieldType::String),
];

#[rustfmt::skip]
pub(super) const NODE_AFFINITY: &[Field] = &[
    Field::one("requiredDuringSchedulingIgnoredDuringExecution", 1, FieldType::Message(134 /* core/v1.NodeSelector */)).omit_empty().pointer(),
    Field::list("preferredDuringSchedulingIgnoredDuringExecution", 2, FieldType::Message(174 /* core/v1.PreferredSchedulingTerm */)).omit_empty().merged(ListType::Atomic),
];

#[rustfmt::skip]
pub(super) const NODE_CONDITION: &[Field] = &[
    Field::one("type", 1, FieldType::String),
    Field::one("status", 2, FieldType::String),
    Field::one("lastHeartbeatTime", 3, FieldType::Time).omit_empty(),
    Field::one("lastTransitionTime", 4, FieldType::Time).omit_empty(),
    Field::one("reason", 5, FieldType::String).omit_empty(),
    Field::one("message", 6, FieldType::String).omit_empty(),
];

#[rustfmt::skip]
pub(super) const NODE_CONFIG_SOURCE: &[Field] = &[
    Field::one("configMap", 2, FieldType::Message(63 /* core/v1.ConfigMapNodeConfigSource */)).omit_empty().pointer(),
];

#[rustfmt::skip]
pub(super) const NODE_CONFIG_STATUS: &[Field] = &[
    Field::one("assigned", 1, FieldType::Message(128 /* core/v1.NodeConfigSource */)).omit_empty().pointer(),
    Field::one("active", 2, FieldType::Message(128 /* core/v1.NodeConfigSource */)).omit_empty().pointer(),
    Field::one("lastKnownGood", 3, FieldType::Message(128 /* core/v1.NodeConfigSource */)).omit_empty().pointer(),
    Field::one("error", 4, FieldType::String).omit_empty(),
];

#[rustfmt::skip]
pub(super) const NODE_DAEMON_ENDPOINTS: &[Field] = &[
    Field::one("kubeletEndpoint", 1, FieldType::Message(79 /* core/v1.DaemonEndpoint */)).omit_empty(),
];

#[rustfmt::skip]
pub(super) const NODE_FEATURES: &[Field] = &[
    Field::one("supplementalGroupsPolicy", 1, FieldType::Bool).omit_empty().pointer(),
];

#[rustfmt::skip]
pub(super) const NODE_RUNTIME_HANDLER: &[Field] = &[
    Field::one("name", 1, FieldType::String),
    Field::one("features", 2, FieldType::Message(133 /* core/v1.NodeRuntimeHandlerFeatures */)).omit_empty().pointer(),
];

#[rustfmt::skip]
pub(super) const NODE_RUNTIME_HANDLER_FEATURES: &[Field] = &[
    Field::one("recursiveReadOnlyMounts", 1, FieldType::Bool).omit_empty().pointer(),
    Field::one("userNamespaces", 2, FieldType::Bool).omit_empty().pointer().gated("UserNamespacesSupport"),
];

#[rustfmt::skip]
pub(super) const NODE_SELECTOR: &[Field] = &[
    Field::list("nodeSelectorTerms", 1, FieldType::Message(136 /* core/v1.NodeSelectorTerm */)).merged(ListType::Atomic),
];

#[rustfmt::skip]
pub(super) const NODE_SELECTOR_REQUIREMENT: &[Field] = &[
    Field::one("key", 1, FieldType::String),
    Field::one("operator", 2, FieldType::String),
    Field::list("values", 3, FieldType::String).omit_empty().merged(ListType::Atomic),
];

#[rustfmt::skip]
pub(super) const NODE_SELECTOR_TERM: &[Field] = &[
    Field::list("matchExpressions", 1, FieldType::Message(135 /* core/v1.NodeSelectorRequirement */)).omit_empty().merged(ListType::Atomic),
    Field::list("matchFields", 2, FieldType::Message(135 /* core/v1.NodeSelectorRequirement */)).omit_empty().merged(ListType::Atomic),
];

#[rustfmt::skip]
pub(super) const NODE_SPEC: &[Field] = &[
    Field::one("podCIDR", 1, FieldType::String).omit_empty(),
    Field::list("podCIDRs", 7, FieldType::String).omit_empty().merged(ListType::Set).patched("", false),
    Field::one("providerID", 3, FieldType::String).omit_empty(),
    Field::one("unschedulable", 4, FieldType::Bool).omit_empty(),
    Field::list("taints", 5, FieldType::Message(204 /* core/v1.Taint */)).omit_empty().merged(ListType::Atomic),
    Field::one("configSource", 6, FieldType::Message(128 /* core/v1.NodeConfigSource */)).omit_empty().pointer(),
    Field::one("externalID", 2, FieldType::String).omit_empty(),
];

#[rustfmt::skip]
pub(super) const NODE_STATUS: &[Field] = &[
    Field::map("capacity", 1, FieldType::Quantity).omit_empty(),
    Field::map("allocatable", 2, FieldType::Quantity).omit_empty(),
    Field::one("phase", 3, FieldType::String).omit_empty(),
    Field::list("conditions", 4, FieldType::Message(127 /* core/v1.NodeCondition */)).omit_empty().merged(ListType::Map(&["type"])).patched("type", false),
    Field::list("addresses", 5, FieldType::Message(125 /* core/v1.NodeAddress */)).omit_empty().merged(ListType::Map(&["type"])).patched("type", false),
    Field::one("daemonEndpoints", 6, FieldType::Message(130 /* core/v1.NodeDaemonEndpoints */)).omit_empty(),
    Field::one("nodeInfo", 7, FieldType::Message(140 /* core/v1.NodeSystemInfo */)).omit_empty(),
    Field::list("images", 8, FieldType::Message(68 /* core/v1.ContainerImage */)).omit_empty().merged(ListType::Atomic),
    Field::list("volumesInUse", 9, FieldType::String).omit_empty().merged(ListType::Atomic),
    Field::list("volumesAttached", 10, FieldType::Message(47 /* core/v1.AttachedVolume */)).omit_empty().merged(ListType::Atomic),
    Field::one("config", 11, FieldType::Message(129 /* core/v1.NodeConfigStatus */)).omit_empty().pointer(),
    Field::list("runtimeHandlers", 12, FieldType::Message(132 /* core/v1.NodeRuntimeHandler */)).omit_empty().merged(ListType::Atomic).gated("UserNamespacesSupport"),
    Field::one("features", 13, FieldType::Message(131 /* core/v1.NodeFeatures */)).omit_empty().pointer().gated("SupplementalGroupsPolicy"),
    Field::list("declaredFeatures", 14, FieldType::String).omit_empty().merged(ListType::Atomic).gated("NodeDeclaredFeatures"),
];

#[rustfmt::skip]
pub(super) const NODE_SWAP_STATUS: &[Field] = &[
    Field::one("capacity", 1, FieldType::Int64).omit_empty().pointer(),
];

#[rustfmt::skip]
pub(super) const NODE_SYSTEM_INFO: &[Field] = &[
    Field::one("machineID", 1, FieldType::String),
    Field::one("systemUUID", 2, FieldType::String),
    Field::one("bootID", 3, FieldType::String),
    Field::one("kernelVersion", 4, FieldType::String),
    Field::one("osImage", 5, FieldType::String),
    Field::one("containerRuntimeVersion", 6, FieldType::String),
    Field::one("kubeletVersion", 7, FieldType::String),
    Field::one("kubeProxyVersion", 8, FieldType::String),
    Field::one("operatingSystem", 9, FieldType::String),
    Field::one("architecture", 10, FieldType::String),
    Field::one("swap", 11, FieldType::Message(139 /* core/v1.NodeSwapStatus */)).omit_empty().pointer(),
];

#[rustfmt::skip]
pub(super) const OBJECT_FIELD_SELECTOR: &[Field] = &[
    Field::one("apiVersion", 1, FieldType::String).omit_empty(),
    Field::one("fieldPath", 2, FieldType::String),
];

#[rustfmt::skip]
pub(super) const OBJECT_REFERENCE: &[Field] = &[
    Field::one("kind", 1, FieldType::String).omit_empty(),
    Field::one("namespace", 2, FieldType::String).omit_empty(),
    Field::one("name", 3, FieldType::String).omit_empty(),
    Field::one("uid", 4, FieldType::String).omit_empty(),
    Field::one("apiVersion", 5, FieldType::String).omit_empty(),
    Field::one("resourceVersion", 6, FieldType::String).omit_empty(),
    Field::one("fieldPath", 7, FieldType::String).omit_empty(),
];

#[rustfmt::skip]
pub(super) const PERSISTENT_VOLUME: &[Field] = &[
    Field::one("metadata", 1, FieldType::Message(239 /* meta/v1.ObjectMeta */)).omit_empty(),
    Field::one("spec", 2, FieldType::Message(151 /* core/v1.PersistentVolumeSpec */)).omit_empty(),
    Field::one("status", 3, FieldType::Message(152 /* core/v1.PersistentVolumeStatus */)).omit_empty(),
];

#[rustfmt::skip]
pub(super) const PERSISTENT_VOLUME_CLAIM: &[Field] = &[
    Field::one("metadata", 1, FieldType::Message(239 /* meta/v1.ObjectMeta */)).omit_empty(),
    Field::one("spec", 2, FieldType::Message(146 /* core/v1.PersistentVolumeClaimSpec */)).omit_empty(),
    Field::one("status", 3, FieldType::Message(147 /* core/v1.PersistentVolumeClaimStatus */)).omit_empty(),
];

#[rustfmt::skip]
pub(super) const PERSISTENT_VOLUME_CLAIM_CONDITION: &[Field] = &[
    Field::one("type", 1, FieldType::String),
    Field::one("status", 2, FieldType::String),
    Field::one("lastProbeTime", 3, FieldType::Time).omit_empty(),
    Field::one("lastTransitionTime", 4, FieldType::Time).omit_empty(),
    Field::one("reason", 5, FieldType::String).omit_empty(),
    Field::one("message", 6, FieldType::String).omit_empty(),
];

#[rustfmt::skip]
pub(super) const PERSISTENT_VOLUME_CLAIM_SPEC: &[Field] = &[
    Field::list("accessModes", 1, FieldType::String).omit_empty().merged(ListType::Atomic),
    Field::one("selector", 4, FieldType::Message(234 /* meta/v1.LabelSelector */)).omit_empty().pointer(),
    Field::one("resources", 2, FieldType::Message(217 /* core/v1.VolumeResourceRequirements */)).omit_empty(),
    Field::one("volumeName", 3, FieldType::String).omit_empty(),
    Field::one("storageClassName", 5, FieldType::String).omit_empty().pointer(),
    Field::one("volumeMode", 6, FieldType::String).omit_empty().pointer(),
    Field::one("dataSource", 7, FieldType::Message(209 /* core/v1.TypedLocalObjectReference */)).omit_empty().pointer(),
    Field::one("dataSourceRef", 8, FieldType::Message(210 /* core/v1.TypedObjectReference */)).omit_empty().pointer(),
    Field::one("volumeAttributesClassName", 9, FieldType::String).omit_empty().pointer().gated("VolumeAttributesClass"),
];

#[rustfmt::skip]
pub(super) const PERSISTENT_VOLUME_CLAIM_STATUS: &[Field] = &[
    Field::one("phase", 1, FieldType::String).omit_empty(),
    Field::list("accessModes", 2, FieldType::String).omit_empty().merged(ListType::Atomic),
    Field::map("capacity", 3, FieldType::Quantity).omit_empty(),
    Field::list("conditions", 4, FieldType::Message(145 /* core/v1.PersistentVolumeClaimCondition */)).omit_empty().merged(ListType::Map(&["type"])).patched("type", false),
    Field::map("allocatedResources", 5, FieldType::Quantity).omit_empty(),
    Field::map("allocatedResourceStatuses", 7, FieldType::String).omit_empty().mapped(MapType::Granular),
    Field::one("currentVolumeAttributesClassName", 8, FieldType::String).omit_empty().pointer().gated("VolumeAttributesClass"),
    Field::one("modifyVolumeStatus", 9, FieldType::Message(118 /* core/v1.ModifyVolumeStatus */)).omit_empty().pointer().gated("VolumeAttributesClass"),
];

#[rustfmt::skip]
pub(super) const PERSISTENT_VOLUME_CLAIM_TEMPLATE: &[Field] = &[
    Field::one("metadata", 1, FieldType::Message(239 /* meta/v1.ObjectMeta */)).omit_empty(),
    Field::one("spec", 2, FieldType::Message(146 /* core/v1.PersistentVolumeClaimSpec */)),
];

#[rustfmt::skip]
pub(super) const PERSISTENT_VOLUME_CLAIM_VOLUME_SOURCE: &[Field] = &[
    Field::one("claimName", 1, FieldType::String),
    Field::one("readOnly", 2, FieldType::Bool).omit_empty(),
];

#[rustfmt::skip]
pub(super) const PERSISTENT_VOLUME_SOURCE: &[Field] = &[
    Field::one("gcePersistentDisk", 1, FieldType::Message(99 /* core/v1.GCEPersistentDiskVolumeSource */)).omit_empty().pointer(),
    Field::one("awsElasticBlockStore", 2, FieldType::Message(44 /* core/v1.AWSElasticBlockStoreVolumeSource */)).omit_empty().pointer(),
    Field::one("hostPath", 3, FieldType::Message(108 /* core/v1.HostPathVolumeSource */)).omit_empty().pointer(),
    Field::one("glusterfs", 4, FieldType::Message(102 /* core/v1.GlusterfsPersistentVolumeSource */)).omit_empty().pointer(),
    Field::one("nfs", 5, FieldType::Message(119 /* core/v1.NFSVolumeSource */)).omit_empty().pointer(),
    Field::one("rbd", 6, FieldType::Message(179 /* core/v1.RBDPersistentVolumeSource */)).omit_empty().pointer(),
    Field::one("iscsi", 7, FieldType::Message(109 /* core/v1.ISCSIPersistentVolumeSource */)).omit_empty().pointer(),
    Field::one("cinder", 8, FieldType::Message(57 /* core/v1.CinderPersistentVolumeSource */)).omit_empty().pointer(),
    Field::one("cephfs", 9, FieldType::Message(55 /* core/v1.CephFSPersistentVolumeSource */)).omit_empty().pointer(),
    Field::one("fc", 10, FieldType::Message(94 /* core/v1.FCVolumeSource */)).omit_empty().pointer(),
    Field::one("flocker", 11, FieldType::Message(98 /* core/v1.FlockerVolumeSource */)).omit_empty().pointer(),
    Field::one("flexVolume", 12, FieldType::Message(96 /* core/v1.FlexPersistentVolumeSource */)).omit_empty().pointer(),
    Field::one("azureFile", 13, FieldType::Message(49 /* core/v1.AzureFilePersistentVolumeSource */)).omit_empty().pointer(),
    Field::one("vsphereVolume", 14, FieldType::Message(219 /* core/v1.VsphereVirtualDiskVolumeSource */)).omit_empty().pointer(),
    Field::one("quobyte", 15, FieldType::Message(178 /* core/v1.QuobyteVolumeSource */)).omit_empty().pointer(),
    Field::one("azureDisk", 16, FieldType::Message(48 /* core/v1.AzureDiskVolumeSource */)).omit_empty().pointer(),
    Field::one("photonPersistentDisk", 17, FieldType::Message(153 /* core/v1.PhotonPersistentDiskVolumeSource */)).omit_empty().pointer(),
    Field::one("portworxVolume", 18, FieldType::Message(173 /* core/v1.PortworxVolumeSource */)).omit_empty().pointer(),
    Field::one("scaleIO", 19, FieldType::Message(187 /* core/v1.ScaleIOPersistentVolumeSource */)).omit_empty().pointer(),
    Field::one("local", 20, FieldType::Message(117 /* core/v1.LocalVolumeSource */)).omit_empty().pointer(),
    Field::one("storageos", 21, FieldType::Message(200 /* core/v1.StorageOSPersistentVolumeSource */)).omit_empty().pointer(),
    Field::one("csi", 22, FieldType::Message(52 /* core/v1.CSIPersistentVolumeSource */)).omit_empty().pointer(),
];

#[rustfmt::skip]
pub(super) const PERSISTENT_VOLUME_SPEC: &[Field] = &[
    Field::map("capacity", 1, FieldType::Quantity).omit_empty(),
    Field::one("(inline)", 2, FieldType::Message(150 /* core/v1.PersistentVolumeSource */)).inlined(),
    Field::list("accessModes", 3, FieldType::String).omit_empty().merged(ListType::Atomic),
    Field::one("claimRef", 4, FieldType::Message(142 /* core/v1.ObjectReference */)).omit_empty().pointer().mapped(MapType::Granular),
    Field::one("persistentVolumeReclaimPolicy", 5, FieldType::String).omit_empty(),
    Field::one("storageClassName", 6, FieldType::String).omit_empty(),
    Field::list("mountOptions", 7, FieldType::String).omit_empty().merged(ListType::Atomic),
    Field::one("volumeMode", 8, FieldType::String).omit_empty().pointer(),
    Field::one("nodeAffinity", 9, FieldType::Message(215 /* core/v1.VolumeNodeAffinity */)).omit_empty().pointer(),
    Field::one("volumeAttributesClassName", 10, FieldType::String).omit_empty().pointer().gated("VolumeAttributesClass"),
];

#[rustfmt::skip]
pub(super) const PERSISTENT_VOLUME_STATUS: &[Field] = &[
    Field::one("phase", 1, FieldType::String).omit_empty(),
    Field::one("message", 2, FieldType::String).omit_empty(),
    Field::one("reason", 3, FieldType::String).omit_empty(),
    Field::one("lastPhaseTransitionTime", 4, FieldType::Time).omit_empty().pointer(),
];

#[rustfmt::skip]
pub(super) const PHOTON_PERSISTENT_DISK_VOLUME_SOURCE: &[Field] = &[
    Field::one("pdID", 1, FieldType::String),
    Field::one("fsType", 2, FieldType::String).omit_empty(),
];

#[rustfmt::skip]
pub(super) const POD: &[Field] = &[
    Field::one("metadata", 1, FieldType::Message(239 /* meta/v1.ObjectMeta */)).omit_empty(),
    Field::one("spec", 2, FieldType::Message(170 /* core/v1.PodSpec */)).omit_empty(),
    Field::one("status", 3, FieldType::Message(171 /* core/v1.PodStatus */)).omit_empty(),
];

#[rustfmt::skip]
pub(super) const POD_AFFINITY: &[Field] = &[
    Field::list("requiredDuringSchedulingIgnoredDuringExecution", 1, FieldType::Message(156 /* core/v1.PodAffinityTerm */)).omit_empty().merged(ListType::Atomic),
    Field::list("preferredDuringSchedulingIgnoredDuringExecution", 2, FieldType::Message(220 /* core/v1.WeightedPodAffinityTerm */)).omit_empty().merged(ListType::Atomic),
];

#[rustfmt::skip]
pub(super) const POD_AFFINITY_TERM: &[Field] = &[
    Field::one("labelSelector", 1, FieldType::Message(234 /* meta/v1.LabelSelector */)).omit_empty().pointer(),
    Field::list("namespaces", 2, FieldType::String).omit_empty().merged(ListType::Atomic),
    Field::one("topologyKey", 3, FieldType::String),
    Field::one("namespaceSelector", 4, FieldType::Message(234 /* meta/v1.LabelSelector */)).omit_empty().pointer(),
    Field::list("matchLabelKeys", 5, FieldType::String).omit_empty().merged(ListType::Atomic),
    Field::list("mismatchLabelKeys", 6, FieldType::String).omit_empty().merged(ListType::Atomic),
];

#[rustfmt::skip]
pub(super) const POD_ANTI_AFFINITY: &[Field] = &[
    Field::list("requiredDuringSchedulingIgnoredDuringExecution", 1, FieldType::Message(156 /* core/v1.PodAffinityTerm */)).omit_empty().merged(ListType::Atomic),
    Field::list("preferredDuringSchedulingIgnoredDuringExecution", 2, FieldType::Message(220 /* core/v1.WeightedPodAffinityTerm */)).omit_empty().merged(ListType::Atomic),
];

#[rustfmt::skip]
pub(super) const POD_CERTIFICATE_PROJECTION: &[Field] = &[
    Field::one("signerName", 1, FieldType::String).omit_empty(),
    Field::one("keyType", 2, FieldType::String).omit_empty(),
    Field::one("maxExpirationSeconds", 3, FieldType::Int32).omit_empty().pointer(),
    Field::one("credentialBundlePath", 4, FieldType::String).omit_empty(),
    Field::one("keyPath", 5, FieldType::String).omit_empty(),
    Field::one("certificateChainPath", 6, FieldType::String).omit_empty(),
    Field::map("userAnnotations", 7, FieldType::String).omit_empty(),
];

#[rustfmt::skip]
pub(super) const POD_CONDITION: &[Field] = &[
    Field::one("type", 1, FieldType::String),
    Field::one("observedGeneration", 7, FieldType::Int64).omit_empty().gated("PodObservedGenerationTracking"),
    Field::one("status", 2, FieldType::String),
    Field::one("lastProbeTime", 3, FieldType::Time).omit_empty(),
    Field::one("lastTransitionTime", 4, FieldType::Time).omit_empty(),
    Field::one("reason", 5, FieldType::String).omit_empty(),
    Field::one("message", 6, FieldType::String).omit_empty(),
];

#[rustfmt::skip]
pub(super) const POD_DNS_CONFIG: &[Field] = &[
    Field::list("nameservers", 1, FieldType::String).omit_empty().merged(ListType::Atomic),
    Field::list("searches", 2, FieldType::String).omit_empty().merged(ListType::Atomic),
    Field::list("options", 3, FieldType::Message(161 /* core/v1.PodDNSConfigOption */)).omit_empty().merged(ListType::Atomic),
];

#[rustfmt::skip]
pub(super) const POD_DNS_CONFIG_OPTION: &[Field] = &[
    Field::one("name", 1, FieldType::String).omit_empty(),
    Field::one("value", 2, FieldType::String).omit_empty().pointer(),
];

#[rustfmt::skip]
pub(super) const POD_EXTENDED_RESOURCE_CLAIM_STATUS: &[Field] = &[
    Field::list("requestMappings", 1, FieldType::Message(67 /* core/v1.ContainerExtendedResourceRequest */)).merged(ListType::Atomic),
    Field::one("resourceClaimName", 2, FieldType::String),
];

#[rustfmt::skip]
pub(super) const POD_IP: &[Field] = &[
    Field::one("ip", 1, FieldType::String),
];

#[rustfmt::skip]
pub(super) const POD_OS: &[Field] = &[
    Field::one("name", 1, FieldType::String),
];

#[rustfmt::skip]
pub(super) const POD_READINESS_GATE: &[Field] = &[
    Field::one("conditionType", 1, FieldType::String),
];

#[rustfmt::skip]
pub(super) const POD_RESOURCE_CLAIM: &[Field] = &[
    Field::one("name", 1, FieldType::String),
    Field::one("resourceClaimName", 3, FieldType::String).omit_empty().pointer(),
    Field::one("resourceClaimTemplateName", 4, FieldType::String).omit_empty().pointer(),
];

#[rustfmt::skip]
pub(super) const POD_RESOURCE_CLAIM_STATUS: &[Field] = &[
    Field::one("name", 1, FieldType::String),
    Field::one("resourceClaimName", 2, FieldType::String).omit_empty().pointer(),
];

#[rustfmt::skip]
pub(super) const POD_SCHEDULING_GATE: &[Field] = &[
    Field::one("name", 1, FieldType::String),
];

#[rustfmt::skip]
pub(super) const POD_SECURITY_CONTEXT: &[Field] = &[
    Field::one("seLinuxOptions", 1, FieldType::Message(186 /* core/v1.SELinuxOptions */)).omit_empty().pointer(),
    Field::one("windowsOptions", 8, FieldType::Message(221 /* core/v1.WindowsSecurityContextOptions */)).omit_empty().pointer(),
    Field::one("runAsUser", 2, FieldType::Int64).omit_empty().pointer(),
    Field::one("runAsGroup", 6, FieldType::Int64).omit_empty().pointer(),
    Field::one("runAsNonRoot", 3, FieldType::Bool).omit_empty().pointer(),
    Field::list("supplementalGroups", 4, FieldType::Int64).omit_empty().merged(ListType::Atomic),
    Field::one("supplementalGroupsPolicy", 12, FieldType::String).omit_empty().pointer().gated("SupplementalGroupsPolicy"),
    Field::one("fsGroup", 5, FieldType::Int64).omit_empty().pointer(),
    Field::list("sysctls", 7, FieldType::Message(202 /* core/v1.Sysctl */)).omit_empty().merged(ListType::Atomic),
    Field::one("fsGroupChangePolicy", 9, FieldType::String).omit_empty().pointer(),
    Field::one("seccompProfile", 10, FieldType::Message(189 /* core/v1.SeccompProfile */)).omit_empty().pointer(),
    Field::one("appArmorProfile", 11, FieldType::Message(46 /* core/v1.AppArmorProfile */)).omit_empty().pointer(),
    Field::one("seLinuxChangePolicy", 13, FieldType::String).omit_empty().pointer().gated("SELinuxChangePolicy"),
];

#[rustfmt::skip]
pub(super) const POD_SPEC: &[Field] = &[
    Field::list("volumes", 1, FieldType::Message(211 /* core/v1.Volume */)).omit_empty().merged(ListType::Map(&["name"])).patched("name", true),
    Field::list("initContainers", 20, FieldType::Message(66 /* core/v1.Container */)).omit_empty().merged(ListType::Map(&["name"])).patched("name", false),
    Field::list("containers", 2, FieldType::Message(66 /* core/v1.Container */)).merged(ListType::Map(&["name"])).patched("name", false),
    Field::list("ephemeralContainers", 34, FieldType::Message(87 /* core/v1.EphemeralContainer */)).omit_empty().merged(ListType::Map(&["name"])).patched("name", false),
    Field::one("restartPolicy", 3, FieldType::String).omit_empty(),
    Field::one("terminationGracePeriodSeconds", 4, FieldType::Int64).omit_empty().pointer(),
    Field::one("activeDeadlineSeconds", 5, FieldType::Int64).omit_empty().pointer(),
    Field::one("dnsPolicy", 6, FieldType::String).omit_empty(),
    Field::map("nodeSelector", 7, FieldType::String).omit_empty().mapped(MapType::Atomic),
    Field::one("serviceAccountName", 8, FieldType::String).omit_empty(),
    Field::one("serviceAccount", 9, FieldType::String).omit_empty(),
    Field::one("automountServiceAccountToken", 21, FieldType::Bool).omit_empty().pointer(),
    Field::one("nodeName", 10, FieldType::String).omit_empty(),
    Field::one("hostNetwork", 11, FieldType::Bool).omit_empty(),
    Field::one("hostPID", 12, FieldType::Bool).omit_empty(),
    Field::one("hostIPC", 13, FieldType::Bool).omit_empty(),
    Field::one("shareProcessNamespace", 27, FieldType::Bool).omit_empty().pointer(),
    Field::one("securityContext", 14, FieldType::Message(169 /* core/v1.PodSecurityContext */)).omit_empty().pointer(),
    Field::list("imagePullSecrets", 15, FieldType::Message(116 /* core/v1.LocalObjectReference */)).omit_empty().merged(ListType::Map(&["name"])).patched("name", false),
    Field::one("hostname", 16, FieldType::String).omit_empty(),
    Field::one("subdomain", 17, FieldType::String).omit_empty(),
    Field::one("affinity", 18, FieldType::Message(45 /* core/v1.Affinity */)).omit_empty().pointer(),
    Field::one("schedulerName", 19, FieldType::String).omit_empty(),
    Field::list("tolerations", 22, FieldType::Message(205 /* core/v1.Toleration */)).omit_empty().merged(ListType::Atomic),
    Field::list("hostAliases", 23, FieldType::Message(106 /* core/v1.HostAlias */)).omit_empty().merged(ListType::Map(&["ip"])).patched("ip", false),
    Field::one("priorityClassName", 24, FieldType::String).omit_empty(),
    Field::one("priority", 25, FieldType::Int32).omit_empty().pointer(),
    Field::one("dnsConfig", 26, FieldType::Message(160 /* core/v1.PodDNSConfig */)).omit_empty().pointer(),
    Field::list("readinessGates", 28, FieldType::Message(165 /* core/v1.PodReadinessGate */)).omit_empty().merged(ListType::Atomic),
    Field::one("runtimeClassName", 29, FieldType::String).omit_empty().pointer(),
    Field::one("enableServiceLinks", 30, FieldType::Bool).omit_empty().pointer(),
    Field::one("preemptionPolicy", 31, FieldType::String).omit_empty().pointer(),
    Field::map("overhead", 32, FieldType::Quantity).omit_empty(),
    Field::list("topologySpreadConstraints", 33, FieldType::Message(208 /* core/v1.TopologySpreadConstraint */)).omit_empty().merged(ListType::Map(&["topologyKey", "whenUnsatisfiable"])).patched("topologyKey", false),
    Field::one("setHostnameAsFQDN", 35, FieldType::Bool).omit_empty().pointer(),
    Field::one("os", 36, FieldType::Message(164 /* core/v1.PodOS */)).omit_empty().pointer(),
    Field::one("hostUsers", 37, FieldType::Bool).omit_empty().pointer(),
    Field::list("schedulingGates", 38, FieldType::Message(168 /* core/v1.PodSchedulingGate */)).omit_empty().merged(ListType::Map(&["name"])).patched("name", false),
    Field::list("resourceClaims", 39, FieldType::Message(166 /* core/v1.PodResourceClaim */)).omit_empty().merged(ListType::Map(&["name"])).patched("name", true).gated("DynamicResourceAllocation"),
    Field::one("resources", 40, FieldType::Message(184 /* core/v1.ResourceRequirements */)).omit_empty().pointer().gated("PodLevelResources"),
    Field::one("hostnameOverride", 41, FieldType::String).omit_empty().pointer().gated("HostnameOverride"),
    Field::one("workloadRef", 42, FieldType::Message(222 /* core/v1.WorkloadReference */)).omit_empty().pointer().gated("GenericWorkload"),
];

#[rustfmt::skip]
pub(super) const POD_STATUS: &[Field] = &[
    Field::one("observedGeneration", 17, FieldType::Int64).omit_empty().gated("PodObservedGenerationTracking"),
    Field::one("phase", 1, FieldType::String).omit_empty(),
    Field::list("conditions", 2, FieldType::Message(159 /* core/v1.PodCondition */)).omit_empty().merged(ListType::Map(&["type"])).patched("type", false),
    Field::one("message", 3, FieldType::String).omit_empty(),
    Field::one("reason", 4, FieldType::String).omit_empty(),
    Field::one("nominatedNodeName", 11, FieldType::String).omit_empty(),
    Field::one("hostIP", 5, FieldType::String).omit_empty(),
    Field::list("hostIPs", 16, FieldType::Message(107 /* core/v1.HostIP */)).omit_empty().merged(ListType::Atomic).patched("ip", false),
    Field::one("podIP", 6, FieldType::String).omit_empty(),
    Field::list("podIPs", 12, FieldType::Message(163 /* core/v1.PodIP */)).omit_empty().merged(ListType::Map(&["ip"])).patched("ip", false),
    Field::one("startTime", 7, FieldType::Time).omit_empty().pointer(),
    Field::list("initContainerStatuses", 10, FieldType::Message(77 /* core/v1.ContainerStatus */)).omit_empty().merged(ListType::Atomic),
    Field::list("containerStatuses", 8, FieldType::Message(77 /* core/v1.ContainerStatus */)).omit_empty().merged(ListType::Atomic),
    Field::one("qosClass", 9, FieldType::String).omit_empty(),
    Field::list("ephemeralContainerStatuses", 13, FieldType::Message(77 /* core/v1.ContainerStatus */)).omit_empty().merged(ListType::Atomic),
    Field::one("resize", 14, FieldType::String).omit_empty().gated("InPlacePodVerticalScaling"),
    Field::list("resourceClaimStatuses", 15, FieldType::Message(167 /* core/v1.PodResourceClaimStatus */)).omit_empty().merged(ListType::Map(&["name"])).patched("name", true).gated("DynamicResourceAllocation"),
    Field::one("extendedResourceClaimStatus", 18, FieldType::Message(162 /* core/v1.PodExtendedResourceClaimStatus */)).omit_empty().pointer().gated("DRAExtendedResource"),
    Field::map("allocatedResources", 19, FieldType::Quantity).omit_empty().gated("InPlacePodLevelResourcesVerticalScaling"),
    Field::one("resources", 20, FieldType::Message(184 /* core/v1.ResourceRequirements */)).omit_empty().pointer().gated("InPlacePodLevelResourcesVerticalScaling"),
];

#[rustfmt::skip]
pub(super) const POD_TEMPLATE_SPEC: &[Field] = &[
    Field::one("metadata", 1, FieldType::Message(239 /* meta/v1.ObjectMeta */)).omit_empty(),
    Field::one("spec", 2, FieldType::Message(170 /* core/v1.PodSpec */)).omit_empty(),
];

#[rustfmt::skip]
pub(super) const PORTWORX_VOLUME_SOURCE: &[Field] = &[
    Field::one("volumeID", 1, FieldType::String),
    Field::one("fsType", 2, FieldType::String).omit_empty(),
    Field::one("readOnly", 3, FieldType::Bool).omit_empty(),
];

#[rustfmt::skip]
pub(super) const PREFERRED_SCHEDULING_TERM: &[Field] = &[
    Field::one("weight", 1, FieldType::Int32),
    Field::one("preference", 2, FieldType::Message(136 /* core/v1.NodeSelectorTerm */)),
];

#[rustfmt::skip]
pub(super) const PROBE: &[Field] = &[
    Field::one("(inline)", 1, FieldType::Message(176 /* core/v1.ProbeHandler */)).inlined(),
    Field::one("initialDelaySeconds", 2, FieldType::Int32).omit_empty(),
    Field::one("timeoutSeconds", 3, FieldType::Int32).omit_empty(),
    Field::one("periodSeconds", 4, FieldType::Int32).omit_empty(),
    Field::one("successThreshold", 5, FieldType::Int32).omit_empty(),
    Field::one("failureThreshold", 6, FieldType::Int32).omit_empty(),
    Field::one("terminationGracePeriodSeconds", 7, FieldType::Int64).omit_empty().pointer(),
];

#[rustfmt::skip]
pub(super) const PROBE_HANDLER: &[Field] = &[
    Field::one("exec", 1, FieldType::Message(93 /* core/v1.ExecAction */)).omit_empty().pointer(),
    Field::one("httpGet", 2, FieldType::Message(104 /* core/v1.HTTPGetAction */)).omit_empty().pointer(),
    Field::one("tcpSocket", 3, FieldType::Message(203 /* core/v1.TCPSocketAction */)).omit_empty().pointer(),
    Field::one("grpc", 4, FieldType::Message(100 /* core/v1.GRPCAction */)).omit_empty().pointer(),
];

#[rustfmt::skip]
pub(super) const PROJECTED_VOLUME_SOURCE: &[Field] = &[
    Field::list("sources", 1, FieldType::Message(216 /* core/v1.VolumeProjection */)).merged(ListType::Atomic),
    Field::one("defaultMode", 2, FieldType::Int32).omit_empty().pointer(),
];

#[rustfmt::skip]
pub(super) const QUOBYTE_VOLUME_SOURCE: &[Field] = &[
    Field::one("registry", 1, FieldType::String),
    Field::one("volume", 2, FieldType::String),
    Field::one("readOnly", 3, FieldType::Bool).omit_empty(),
    Field::one("user", 4, FieldType::String).omit_empty(),
    Field::one("group", 5, FieldType::String).omit_empty(),
    Field::one("tenant", 6, FieldType::String).omit_empty(),
];

#[rustfmt::skip]
pub(super) const RBD_PERSISTENT_VOLUME_SOURCE: &[Field] = &[
    Field::list("monitors", 1, FieldType::String).merged(ListType::Atomic),
    Field::one("image", 2, FieldType::String),
    Field::one("fsType", 3, FieldType::String).omit_empty(),
    Field::one("pool", 4, FieldType::String).omit_empty().defaulted("\"rbd\""),
    Field::one("user", 5, FieldType::String).omit_empty().defaulted("\"admin\""),
    Field::one("keyring", 6, FieldType::String).omit_empty().defaulted("\"/etc/ceph/keyring\""),
    Field::one("secretRef", 7, FieldType::Message(194 /* core/v1.SecretReference */)).omit_empty().pointer(),
    Field::one("readOnly", 8, FieldType::Bool).omit_empty(),
];

#[rustfmt::skip]
pub(super) const RBD_VOLUME_SOURCE: &[Field] = &[
    Field::list("monitors", 1, FieldType::String).merged(ListType::Atomic),
    Field::one("image", 2, FieldType::String),
    Field::one("fsType", 3, FieldType::String).omit_empty(),
    Field::one("pool", 4, FieldType::String).omit_empty().defaulted("\"rbd\""),
    Field::one("user", 5, FieldType::String).omit_empty().defaulted("\"admin\""),
    Field::one("keyring", 6, FieldType::String).omit_empty().defaulted("\"/etc/ceph/keyring\""),
    Field::one("secretRef", 7, FieldType::Message(116 /* core/v1.LocalObjectReference */)).omit_empty().pointer(),
    Field::one("readOnly", 8, FieldType::Bool).omit_empty(),
];

#[rustfmt::skip]
pub(super) const RESOURCE_CLAIM: &[Field] = &[
    Field::one("name", 1, FieldType::String),
    Field::one("request", 2, FieldType::String).omit_empty(),
];

#[rustfmt::skip]
pub(super) const RESOURCE_FIELD_SELECTOR: &[Field] = &[
    Field::one("containerName", 1, FieldType::String).omit_empty(),
    Field::one("resource", 2, FieldType::String),
    Field::one("divisor", 3, FieldType::Quantity).omit_empty(),
];

#[rustfmt::skip]
pub(super) const RESOURCE_HEALTH: &[Field] = &[
    Field::one("resourceID", 1, FieldType::String),
    Field::one("health", 2, FieldType::String).omit_empty(),
];

#[rustfmt::skip]
pub(super) const RESOURCE_REQUIREMENTS: &[Field] = &[
    Field::map("limits", 1, FieldType::Quantity).omit_empty(),
    Field::map("requests", 2, FieldType::Quantity).omit_empty(),
    Field::list("claims", 3, FieldType::Message(181 /* core/v1.ResourceClaim */)).omit_empty().merged(ListType::Map(&["name"])).gated("DynamicResourceAllocation"),
];

#[rustfmt::skip]
pub(super) const RESOURCE_STATUS: &[Field] = &[
    Field::one("name", 1, FieldType::String),
    Field::list("resources", 2, FieldType::Message(183 /* core/v1.ResourceHealth */)).omit_empty().merged(ListType::Map(&["resourceID"])),
];

#[rustfmt::skip]
pub(super) const SE_LINUX_OPTIONS: &[Field] = &[
    Field::one("user", 1, FieldType::String).omit_empty(),
    Field::one("role", 2, FieldType::String).omit_empty(),
    Field::one("type", 3, FieldType::String).omit_empty(),
    Field::one("level", 4, FieldType::String).omit_empty(),
];

#[rustfmt::skip]
pub(super) const SCALE_IO_PERSISTENT_VOLUME_SOURCE: &[Field] = &[
    Field::one("gateway", 1, FieldType::String),
    Field::one("system", 2, FieldType::String),
    Field::one("secretRef", 3, FieldType::Message(194 /* core/v1.SecretReference */)).pointer(),
    Field::one("sslEnabled", 4, FieldType::Bool).omit_empty(),
    Field::one("protectionDomain", 5, FieldType::String).omit_empty(),
    Field::one("storagePool", 6, FieldType::String).omit_empty(),
    Field::one("storageMode", 7, FieldType::String).omit_empty().defaulted("\"ThinProvisioned\""),
    Field::one("volumeName", 8, FieldType::String).omit_empty(),
    Field::one("fsType", 9, FieldType::String).omit_empty().defaulted("\"xfs\""),
    Field::one("readOnly", 10, FieldType::Bool).omit_empty(),
];

#[rustfmt::skip]
pub(super) const SCALE_IO_VOLUME_SOURCE: &[Field] = &[
    Field::one("gateway", 1, FieldType::String),
    Field::one("system", 2, FieldType::String),
    Field::one("secretRef", 3, FieldType::Message(116 /* core/v1.LocalObjectReference */)).pointer(),
    Field::one("sslEnabled", 4, FieldType::Bool).omit_empty(),
    Field::one("protectionDomain", 5, FieldType::String).omit_empty(),
    Field::one("storagePool", 6, FieldType::String).omit_empty(),
    Field::one("storageMode", 7, FieldType::String).omit_empty().defaulted("\"ThinProvisioned\""),
    Field::one("volumeName", 8, FieldType::String).omit_empty(),
    Field::one("fsType", 9, FieldType::String).omit_empty().defaulted("\"xfs\""),
    Field::one("readOnly", 10, FieldType::Bool).omit_empty(),
];

#[rustfmt::skip]
pub(super) const SECCOMP_PROFILE: &[Field] = &[
    Field::one("type", 1, FieldType::String),
    Field::one("localhostProfile", 2, FieldType::String).omit_empty().pointer(),
];

#[rustfmt::skip]
pub(super) const SECRET: &[Field] = &[
    Field::one("metadata", 1, FieldType::Message(239 /* meta/v1.ObjectMeta */)).omit_empty(),
    Field::one("immutable", 5, FieldType::Bool).omit_empty().pointer(),
    Field::map("data", 2, FieldType::Bytes).omit_empty(),
    Field::map("stringData", 4, FieldType::String).omit_empty(),
    Field::one("type", 3, FieldType::String).omit_empty(),
];

#[rustfmt::skip]
pub(super) const SECRET_ENV_SOURCE: &[Field] = &[
    Field::one("(inline)", 1, FieldType::Message(116 /* core/v1.LocalObjectReference */)).inlined(),
    Field::one("optional", 2, FieldType::Bool).omit_empty().pointer(),
];

#[rustfmt::skip]
pub(super) const SECRET_KEY_SELECTOR: &[Field] = &[
    Field::one("(inline)", 1, FieldType::Message(116 /* core/v1.LocalObjectReference */)).inlined(),
    Field::one("key", 2, FieldType::String),
    Field::one("optional", 3, FieldType::Bool).omit_empty().pointer(),
];

#[rustfmt::skip]
pub(super) const SECRET_PROJECTION: &[Field] = &[
    Field::one("(inline)", 1, FieldType::Message(116 /* core/v1.LocalObjectReference */)).inlined(),
    Field::list("items", 2, FieldType::Message(112 /* core/v1.KeyToPath */)).omit_empty().merged(ListType::Atomic),
    Field::one("optional", 4, FieldType::Bool).omit_empty().pointer(),
];

#[rustfmt::skip]
pub(super) const SECRET_REFERENCE: &[Field] = &[
    Field::one("name", 1, FieldType::String).omit_empty(),
    Field::one("namespace", 2, FieldType::String).omit_empty(),
];

#[rustfmt::skip]
pub(super) const SECRET_VOLUME_SOURCE: &[Field] = &[
    Field::one("secretName", 1, FieldType::String).omit_empty(),
    Field::list("items", 2, FieldType::Message(112 /* core/v1.KeyToPath */)).omit_empty().merged(ListType::Atomic),
    Field::one("defaultMode", 3, FieldType::Int32).omit_empty().pointer(),
    Field::one("optional", 4, FieldType::Bool).omit_empty().pointer(),
];

#[rustfmt::skip]
pub(super) const SECURITY_CONTEXT: &[Field] = &[
    Field::one("capabilities", 1, FieldType::Message(54 /* core/v1.Capabilities */)).omit_empty().pointer(),
    Field::one("privileged", 2, FieldType::Bool).omit_empty().pointer(),
    Field::one("seLinuxOptions", 3, FieldType::Message(186 /* core/v1.SELinuxOptions */)).omit_empty().pointer(),
    Field::one("windowsOptions", 10, FieldType::Message(221 /* core/v1.WindowsSecurityContextOptions */)).omit_empty().pointer(),
    Field::one("runAsUser", 4, FieldType::Int64).omit_empty().pointer(),
    Field::one("runAsGroup", 8, FieldType::Int64).omit_empty().pointer(),
    Field::one("runAsNonRoot", 5, FieldType::Bool).omit_empty().pointer(),
    Field::one("readOnlyRootFilesystem", 6, FieldType::Bool).omit_empty().pointer(),
    Field::one("allowPrivilegeEscalation", 7, FieldType::Bool).omit_empty().pointer(),
    Field::one("procMount", 9, FieldType::String).omit_empty().pointer(),
    Field::one("seccompProfile", 11, FieldType::Message(189 /* core/v1.SeccompProfile */)).omit_empty().pointer(),
    Field::one("appArmorProfile", 12, FieldType::Message(46 /* core/v1.AppArmorProfile */)).omit_empty().pointer(),
];

#[rustfmt::skip]
pub(super) const SERVICE_ACCOUNT: &[Field] = &[
    Field::one("metadata", 1, FieldType::Message(239 /* meta/v1.ObjectMeta */)).omit_empty(),
    Field::list("secrets", 2, FieldType::Message(142 /* core/v1.ObjectReference */)).omit_empty().merged(ListType::Map(&["name"])).patched("name", false),
    Field::list("imagePullSecrets", 3, FieldType::Message(116 /* core/v1.LocalObjectReference */)).omit_empty().merged(ListType::Atomic),
    Field::one("automountServiceAccountToken", 4, FieldType::Bool).omit_empty().pointer(),
];

#[rustfmt::skip]
pub(super) const SERVICE_ACCOUNT_TOKEN_PROJECTION: &[Field] = &[
    Field::one("audience", 1, FieldType::String).omit_empty(),
    Field::one("expirationSeconds", 2, FieldType::Int64).omit_empty().pointer(),
    Field::one("path", 3, FieldType::String),
];

#[rustfmt::skip]
pub(super) const SLEEP_ACTION: &[Field] = &[
    Field::one("seconds", 1, FieldType::Int64),
];

#[rustfmt::skip]
pub(super) const STORAGE_OS_PERSISTENT_VOLUME_SOURCE: &[Field] = &[
    Field::one("volumeName", 1, FieldType::String).omit_empty(),
    Field::one("volumeNamespace", 2, FieldType::String).omit_empty(),
    Field::one("fsType", 3, FieldType::String).omit_empty(),
    Field::one("readOnly", 4, FieldType::Bool).omit_empty(),
    Field::one("secretRef", 5, FieldType::Message(142 /* core/v1.ObjectReference */)).omit_empty().pointer(),
];

#[rustfmt::skip]
pub(super) const STORAGE_OS_VOLUME_SOURCE: &[Field] = &[
    Field::one("volumeName", 1, FieldType::String).omit_empty(),
    Field::one("volumeNamespace", 2, FieldType::String).omit_empty(),
    Field::one("fsType", 3, FieldType::String).omit_empty(),
    Field::one("readOnly", 4, FieldType::Bool).omit_empty(),
    Field::one("secretRef", 5, FieldType::Message(116 /* core/v1.LocalObjectReference */)).omit_empty().pointer(),
];

#[rustfmt::skip]
pub(super) const SYSCTL: &[Field] = &[
    Field::one("name", 1, FieldType::String),
    Field::one("value", 2, FieldType::String),
];

#[rustfmt::skip]
pub(super) const TCP_SOCKET_ACTION: &[Field] = &[
    Field::one("port", 1, FieldType::IntOrString),
    Field::one("host", 2, FieldType::String).omit_empty(),
];

#[rustfmt::skip]
pub(super) const TAINT: &[Field] = &[
    Field::one("key", 1, FieldType::String),
    Field::one("value", 2, FieldType::String).omit_empty(),
    Field::one("effect", 3, FieldType::String),
    Field::one("timeAdded", 4, FieldType::Time).omit_empty().pointer(),
];

#[rustfmt::skip]
pub(super) const TOLERATION: &[Field] = &[
    Field::one("key", 1, FieldType::String).omit_empty(),
    Field::one("operator", 2, FieldType::String).omit_empty(),
    Field::one("value", 3, FieldType::String).omit_empty(),
    Field::one("effect", 4, FieldType::String).omit_empty(),
    Field::one("tolerationSeconds", 5, FieldType::Int64).omit_empty().pointer(),
];

#[rustfmt::skip]
pub(super) const TOPOLOGY_SELECTOR_LABEL_REQUIREMENT: &[Field] = &[
    Field::one("key", 1, FieldType::String),
    Field::list("values", 2, FieldType::String).merged(ListType::Atomic),
];

#[rustfmt::skip]
pub(super) const TOPOLOGY_SELECTOR_TERM: &[Field] = &[
    Field::list("matchLabelExpressions", 1, FieldType::Message(206 /* core/v1.TopologySelectorLabelRequirement */)).omit_empty().merged(ListType::Atomic),
];

#[rustfmt::skip]
pub(super) const TOPOLOGY_SPREAD_CONSTRAINT: &[Field] = &[
    Field::one("maxSkew", 1, FieldType::Int32),
    Field::one("topologyKey", 2, FieldType::String),
    Field::one("whenUnsatisfiable", 3, FieldType::String),
    Field::one("labelSelector", 4, FieldType::Message(234 /* meta/v1.LabelSelector */)).omit_empty().pointer(),
    Field::one("minDomains", 5, FieldType::Int32).omit_empty().pointer(),
    Field::one("nodeAffinityPolicy", 6, FieldType::String).omit_empty().pointer(),
    Field::one("nodeTaintsPolicy", 7, FieldType::String).omit_empty().pointer(),
    Field::list("matchLabelKeys", 8, FieldType::String).omit_empty().merged(ListType::Atomic),
];

#[rustfmt::skip]
pub(super) const TYPED_LOCAL_OBJECT_REFERENCE: &[Field] = &[
    Field::one("apiGroup", 1, FieldType::String).pointer(),
    Field::one("kind", 2, FieldType::String),
    Field::one("name", 3, FieldType::String),
];

#[rustfmt::skip]
pub(super) const TYPED_OBJECT_REFERENCE: &[Field] = &[
    Field::one("apiGroup", 1, FieldType::String).pointer(),
    Field::one("kind", 2, FieldType::String),
    Field::one("name", 3, FieldType::String),
    Field::one("namespace", 4, FieldType::String).omit_empty().pointer().gated("CrossNamespaceVolumeDataSource"),
];

#[rustfmt::skip]
pub(super) const VOLUME: &[Field] = &[
    Field::one("name", 1, FieldType::String),
    Field::one("(inline)", 2, FieldType::Message(218 /* core/v1.VolumeSource */)).inlined(),
];

#[rustfmt::skip]
pub(super) const VOLUME_DEVICE: &[Field] = &[
    Field::one("name", 1, FieldType::String),
    Field::one("devicePath", 2, FieldType::String),
];

#[rustfmt::skip]
pub(super) const VOLUME_MOUNT: &[Field] = &[
    Field::one("name", 1, FieldType::String),
    Field::one("readOnly", 2, FieldType::Bool).omit_empty(),
    Field::one("recursiveReadOnly", 7, FieldType::String).omit_empty().pointer(),
    Field::one("mountPath", 3, FieldType::String),
    Field::one("subPath", 4, FieldType::String).omit_empty(),
    Field::one("mountPropagation", 5, FieldType::String).omit_empty().pointer(),
    Field::one("subPathExpr", 6, FieldType::String).omit_empty(),
];

#[rustfmt::skip]
pub(super) const VOLUME_MOUNT_STATUS: &[Field] = &[
    Field::one("name", 1, FieldType::String),
    Field::one("mountPath", 2, FieldType::String),
    Field::one("readOnly", 3, FieldType::Bool).omit_empty(),
    Field::one("recursiveReadOnly", 4, FieldType::String).omit_empty().pointer(),
];

#[rustfmt::skip]
pub(super) const VOLUME_NODE_AFFINITY: &[Field] = &[
    Field::one("required", 1, FieldType::Message(134 /* core/v1.NodeSelector */)).omit_empty().pointer(),
];

#[rustfmt::skip]
pub(super) const VOLUME_PROJECTION: &[Field] = &[
    Field::one("secret", 1, FieldType::Message(193 /* core/v1.SecretProjection */)).omit_empty().pointer(),
    Field::one("downwardAPI", 2, FieldType::Message(80 /* core/v1.DownwardAPIProjection */)).omit_empty().pointer(),
    Field::one("configMap", 3, FieldType::Message(64 /* core/v1.ConfigMapProjection */)).omit_empty().pointer(),
    Field::one("serviceAccountToken", 4, FieldType::Message(198 /* core/v1.ServiceAccountTokenProjection */)).omit_empty().pointer(),
    Field::one("clusterTrustBundle", 5, FieldType::Message(59 /* core/v1.ClusterTrustBundleProjection */)).omit_empty().pointer().gated("ClusterTrustBundleProjection"),
    Field::one("podCertificate", 6, FieldType::Message(158 /* core/v1.PodCertificateProjection */)).omit_empty().pointer().gated("PodCertificateProjection"),
];

#[rustfmt::skip]
pub(super) const VOLUME_RESOURCE_REQUIREMENTS: &[Field] = &[
    Field::map("limits", 1, FieldType::Quantity).omit_empty(),
    Field::map("requests", 2, FieldType::Quantity).omit_empty(),
];

#[rustfmt::skip]
pub(super) const VOLUME_SOURCE: &[Field] = &[
    Field::one("hostPath", 1, FieldType::Message(108 /* core/v1.HostPathVolumeSource */)).omit_empty().pointer(),
    Field::one("emptyDir", 2, FieldType::Message(83 /* core/v1.EmptyDirVolumeSource */)).omit_empty().pointer(),
    Field::one("gcePersistentDisk", 3, FieldType::Message(99 /* core/v1.GCEPersistentDiskVolumeSource */)).omit_empty().pointer(),
    Field::one("awsElasticBlockStore", 4, FieldType::Message(44 /* core/v1.AWSElasticBlockStoreVolumeSource */)).omit_empty().pointer(),
    Field::one("gitRepo", 5, FieldType::Message(101 /* core/v1.GitRepoVolumeSource */)).omit_empty().pointer(),
    Field::one("secret", 6, FieldType::Message(195 /* core/v1.SecretVolumeSource */)).omit_empty().pointer(),
    Field::one("nfs", 7, FieldType::Message(119 /* core/v1.NFSVolumeSource */)).omit_empty().pointer(),
    Field::one("iscsi", 8, FieldType::Message(110 /* core/v1.ISCSIVolumeSource */)).omit_empty().pointer(),
    Field::one("glusterfs", 9, FieldType::Message(103 /* core/v1.GlusterfsVolumeSource */)).omit_empty().pointer(),
    Field::one("persistentVolumeClaim", 10, FieldType::Message(149 /* core/v1.PersistentVolumeClaimVolumeSource */)).omit_empty().pointer(),
    Field::one("rbd", 11, FieldType::Message(180 /* core/v1.RBDVolumeSource */)).omit_empty().pointer(),
    Field::one("flexVolume", 12, FieldType::Message(97 /* core/v1.FlexVolumeSource */)).omit_empty().pointer(),
    Field::one("cinder", 13, FieldType::Message(58 /* core/v1.CinderVolumeSource */)).omit_empty().pointer(),
    Field::one("cephfs", 14, FieldType::Message(56 /* core/v1.CephFSVolumeSource */)).omit_empty().pointer(),
    Field::one("flocker", 15, FieldType::Message(98 /* core/v1.FlockerVolumeSource */)).omit_empty().pointer(),
    Field::one("downwardAPI", 16, FieldType::Message(82 /* core/v1.DownwardAPIVolumeSource */)).omit_empty().pointer(),
    Field::one("fc", 17, FieldType::Message(94 /* core/v1.FCVolumeSource */)).omit_empty().pointer(),
    Field::one("azureFile", 18, FieldType::Message(50 /* core/v1.AzureFileVolumeSource */)).omit_empty().pointer(),
    Field::one("configMap", 19, FieldType::Message(65 /* core/v1.ConfigMapVolumeSource */)).omit_empty().pointer(),
    Field::one("vsphereVolume", 20, FieldType::Message(219 /* core/v1.VsphereVirtualDiskVolumeSource */)).omit_empty().pointer(),
    Field::one("quobyte", 21, FieldType::Message(178 /* core/v1.QuobyteVolumeSource */)).omit_empty().pointer(),
    Field::one("azureDisk", 22, FieldType::Message(48 /* core/v1.AzureDiskVolumeSource */)).omit_empty().pointer(),
    Field::one("photonPersistentDisk", 23, FieldType::Message(153 /* core/v1.PhotonPersistentDiskVolumeSource */)).omit_empty().pointer(),
    Field::one("projected", 26, FieldType::Message(177 /* core/v1.ProjectedVolumeSource */)).omit_empty().pointer(),
    Field::one("portworxVolume", 24, FieldType::Message(173 /* core/v1.PortworxVolumeSource */)).omit_empty().pointer(),
    Field::one("scaleIO", 25, FieldType::Message(188 /* core/v1.ScaleIOVolumeSource */)).omit_empty().pointer(),
    Field::one("storageos", 27, FieldType::Message(201 /* core/v1.StorageOSVolumeSource */)).omit_empty().pointer(),
    Field::one("csi", 28, FieldType::Message(53 /* core/v1.CSIVolumeSource */)).omit_empty().pointer(),
    Field::one("ephemeral", 29, FieldType::Message(89 /* core/v1.EphemeralVolumeSource */)).omit_empty().pointer(),
    Field::one("image", 30, FieldType::Message(111 /* core/v1.ImageVolumeSource */)).omit_empty().pointer().gated("ImageVolume"),
];

#[rustfmt::skip]
pub(super) const VSPHERE_VIRTUAL_DISK_VOLUME_SOURCE: &[Field] = &[
    Field::one("volumePath", 1, FieldType::String),
    Field::one("fsType", 2, FieldType::String).omit_empty(),
    Field::one("storagePolicyName", 3, FieldType::String).omit_empty(),
    Field::one("storagePolicyID", 4, FieldType::String).omit_empty(),
];

#[rustfmt::skip]
pub(super) const WEIGHTED_POD_AFFINITY_TERM: &[Field] = &[
    Field::one("weight", 1, FieldType::Int32),
    Field::one("podAffinityTerm", 2, FieldType::Message(156 /* core/v1.PodAffinityTerm */)),
];

#[rustfmt::skip]
pub(super) const WINDOWS_SECURITY_CONTEXT_OPTIONS: &[Field] = &[
    Field::one("gmsaCredentialSpecName", 1, FieldType::String).omit_empty().pointer(),
    Field::one("gmsaCredentialSpec", 2, FieldType::String).omit_empty().pointer(),
    Field::one("runAsUserName", 3, FieldType::String).omit_empty().pointer(),
    Field::one("hostProcess", 4, FieldType::Bool).omit_empty().pointer(),
];

#[rustfmt::skip]
pub(super) const WORKLOAD_REFERENCE: &[Field] = &[
    Field::one("name", 1, FieldType::String),
    Field::one("podGroup", 2, FieldType::String),
    Field::one("podGroupReplicaKey", 3, FieldType::String).omit_empty(),
];
