//! What is kept beside an object's encoded bytes: the few values that selectors, token checks and the node
//! authorizer ask for on hot paths, so that nobody parses an object to read one field of it.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};
use tokenward_kube_rules::rbac::{Binding, PolicyRule};
use tokenward_store::Key;

use crate::encodings::Encodings;
use crate::object::Object;

mod fields;

pub(crate) use self::fields::selectable_fields;

/// The index of one object.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Index {
    /// `metadata.uid`.
    pub uid: String,
    /// `metadata.labels`.
    pub labels: BTreeMap<String, String>,
    /// `metadata.deletionTimestamp`.
    pub deletion: Option<Timestamp>,
    /// What only objects of this kind have.
    pub facts: Facts,
    /// The object in other encodings, once somebody has asked for them.
    pub(crate) encodings: Encodings,
}

/// The indexed facts of a kind.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Facts {
    /// Nothing beyond the metadata.
    #[default]
    None,
    /// A core/v1 Event.
    Event {
        /// Field selectors by name, such as `involvedObject.name`.
        fields: Vec<(&'static str, String)>,
    },
    /// A namespace.
    Namespace {
        /// `status.phase`: `Active` or `Terminating`.
        phase: String,
    },
    /// A pod.
    Pod(Box<PodFacts>),
    /// A volume.
    PersistentVolume {
        /// `spec.csi.driver`; empty for volumes of other kinds.
        driver: String,
        /// The namespace and name of the claim that it is bound or reserved to.
        claim: Option<(String, String)>,
        /// `spec.csi.*SecretRef`, as namespace and name.
        secrets: Vec<(String, String)>,
    },
    /// A claim.
    PersistentVolumeClaim {
        /// `spec.volumeName`.
        volume: String,
    },
    /// A CSI driver.
    CsiDriver {
        /// `spec.tokenRequests[].audience`.
        audiences: Vec<String>,
    },
    /// A secret.
    Secret {
        /// `type`.
        kind: String,
    },
    /// A volume attachment.
    VolumeAttachment {
        /// `spec.nodeName`.
        node: String,
    },
    /// A node.
    Node {
        /// `spec.unschedulable`.
        unschedulable: bool,
    },
    /// A PriorityClass.
    PriorityClass {
        /// `value`.
        value: i64,
        /// `globalDefault`.
        is_default: bool,
        /// `preemptionPolicy`.
        preemption: Option<String>,
    },
    /// A Role or ClusterRole: its rules.
    Role(Arc<[PolicyRule]>),
    /// A RoleBinding or ClusterRoleBinding.
    RoleBinding(Arc<Binding>),
}

/// What is indexed of a pod.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PodFacts {
    /// `spec.nodeName`; empty until scheduled.
    pub node: String,
    /// `spec.serviceAccountName`.
    pub service_account: String,
    /// `spec.restartPolicy`, `spec.schedulerName`, `status.phase`, for selectors.
    pub restart_policy: String,
    /// `spec.schedulerName`.
    pub scheduler: String,
    /// `status.phase`.
    pub phase: String,
    /// `spec.hostNetwork`.
    pub host_network: bool,
    /// Whether a node made it, to show a pod that no API server told it of.
    pub is_mirror: bool,
    /// `status.podIP`.
    pub ip: String,
    /// `status.podIPs[].ip`, joined by commas as field selectors see them.
    pub ips: String,
    /// `status.nominatedNodeName`.
    pub nominated_node: String,
    /// What the volumes of the pod lead to, in order.
    pub volumes: Vec<VolumeUse>,
    /// The volume of each of these uses, by its name in the pod.
    pub volume_names: Vec<String>,
    /// Secrets named outside of volumes: pull secrets and the environment.
    pub other_secrets: Vec<String>,
    /// Config maps named outside of volumes.
    pub other_config_maps: Vec<String>,
}

/// What one volume of a pod leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum VolumeUse {
    /// An inline CSI volume, or one of an older kind that a CSI driver has taken over.
    Csi {
        /// The driver's name.
        driver: String,
        /// `nodePublishSecretRef.name`.
        secret: Option<String>,
    },
    /// A claim, by name (for an ephemeral volume the one that is made for the pod).
    Claim(String),
    /// A config map.
    ConfigMap(String),
    /// A projected service account token for this audience; empty is the API server's.
    Token(String),
    /// A secret.
    Secret(String),
}

/// An object to read an index from.
#[derive(Clone, Copy)]
enum Form<'o> {
    Bytes(&'o [u8]),
    Tree(&'o Object),
}

impl Form<'_> {
    fn read<T: DeserializeOwned>(self) -> Option<T> {
        match self {
            Self::Bytes(bytes) => serde_json::from_slice(bytes).ok(),
            Self::Tree(tree) => T::deserialize(tree).ok(),
        }
    }
}

impl Index {
    /// Reads the index of a stored object. Bytes that do not parse have an empty index: they were written by this
    /// server, so that cannot happen short of a damaged store, which must not take the server down.
    pub fn of(key: &Key, bytes: &[u8]) -> Self {
        Self::read(key, Form::Bytes(bytes)).unwrap_or_default()
    }

    /// The index of an object that is about to be stored: what [`Index::of`] reads from its bytes, with less work.
    pub(crate) fn of_tree(key: &Key, tree: &Object) -> Self {
        Self::read(key, Form::Tree(tree)).unwrap_or_default()
    }

    fn read(key: &Key, form: Form<'_>) -> Option<Self> {
        let source: Source = form.read()?;
        let facts = match key.collection() {
            "events" => event(&source),
            "namespaces" => Facts::Namespace { phase: source.status.phase },
            "pods" => {
                let is_mirror =
                    source.metadata.annotations.is_some_and(|annotations| annotations.mirror.is_some());
                Facts::Pod(Box::new(PodFacts { is_mirror, ..pod(key.name(), source.spec, source.status) }))
            }
            "persistentvolumes" => volume(source.spec),
            "persistentvolumeclaims" => Facts::PersistentVolumeClaim { volume: source.spec.volume_name },
            "storage.k8s.io/csidrivers" => {
                let requests = source.spec.token_requests.into_iter();
                Facts::CsiDriver { audiences: requests.map(|request| request.audience).collect() }
            }
            "storage.k8s.io/volumeattachments" => Facts::VolumeAttachment { node: source.spec.node_name },
            "secrets" => Facts::Secret { kind: source.kind_of_secret },
            "nodes" => Facts::Node { unschedulable: source.spec.unschedulable },
            "scheduling.k8s.io/priorityclasses" => form.read().map_or(
                Facts::None,
                |PriorityClass { value, global_default, preemption_policy }| Facts::PriorityClass {
                    value,
                    is_default: global_default,
                    preemption: preemption_policy,
                },
            ),
            "rbac.authorization.k8s.io/clusterroles" | "rbac.authorization.k8s.io/roles" => form
                .read::<Role>()
                .map_or(Facts::None, |role| Facts::Role(role.rules.unwrap_or_default().into())),
            "rbac.authorization.k8s.io/clusterrolebindings" | "rbac.authorization.k8s.io/rolebindings" => {
                form.read().map_or(Facts::None, |binding| Facts::RoleBinding(Arc::new(binding)))
            }
            _ => Facts::None,
        };
        Some(Self {
            uid: source.metadata.uid,
            labels: source.metadata.labels.unwrap_or_default(),
            deletion: source.metadata.deletion_timestamp,
            facts,
            encodings: Encodings::default(),
        })
    }

    /// The pod's facts, of a pod.
    pub fn pod(&self) -> Option<&PodFacts> {
        match &self.facts {
            Facts::Pod(pod) => Some(pod),
            _ => None,
        }
    }
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Source {
    metadata: MetadataSource,
    spec: Spec,
    status: Status,
    involved_object: InvolvedObject,
    reason: String,
    reporting_component: String,
    source: EventSource,
    #[serde(rename = "type")]
    kind_of_secret: String,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct MetadataSource {
    uid: String,
    labels: Option<BTreeMap<String, String>>,
    annotations: Option<Annotations>,
    deletion_timestamp: Option<Timestamp>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Annotations {
    #[serde(rename = "kubernetes.io/config.mirror")]
    mirror: Option<IgnoredAny>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Spec {
    node_name: String,
    service_account_name: String,
    restart_policy: String,
    scheduler_name: String,
    host_network: bool,
    unschedulable: bool,
    volume_name: String,
    volumes: Vec<Volume>,
    image_pull_secrets: Vec<Named>,
    containers: Option<Vec<Container>>,
    init_containers: Vec<Container>,
    token_requests: Vec<TokenRequest>,
    csi: Option<CsiVolume>,
    claim_ref: Option<ObjectRef>,
    aws_elastic_block_store: Option<IgnoredAny>,
    azure_disk: Option<IgnoredAny>,
    azure_file: Option<IgnoredAny>,
    cinder: Option<IgnoredAny>,
    gce_persistent_disk: Option<IgnoredAny>,
    portworx_volume: Option<IgnoredAny>,
    vsphere_volume: Option<IgnoredAny>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Status {
    phase: String,
    #[serde(rename = "podIP")]
    pod_ip: String,
    #[serde(rename = "podIPs")]
    pod_ips: Vec<PodAddress>,
    nominated_node_name: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct PodAddress {
    ip: String,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct InvolvedObject {
    kind: String,
    namespace: String,
    name: String,
    uid: String,
    api_version: String,
    resource_version: String,
    field_path: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct EventSource {
    component: String,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct PriorityClass {
    value: i64,
    global_default: bool,
    preemption_policy: Option<String>,
}

#[derive(Deserialize)]
struct Role {
    rules: Option<Vec<PolicyRule>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct TokenRequest {
    audience: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Named {
    name: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ObjectRef {
    namespace: String,
    name: String,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct CsiVolume {
    driver: String,
    node_publish_secret_ref: Option<ObjectRef>,
    node_stage_secret_ref: Option<ObjectRef>,
    node_expand_secret_ref: Option<ObjectRef>,
    controller_publish_secret_ref: Option<ObjectRef>,
    controller_expand_secret_ref: Option<ObjectRef>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Volume {
    name: String,
    csi: Option<CsiVolume>,
    persistent_volume_claim: Option<ClaimSource>,
    ephemeral: Option<Named>,
    config_map: Option<Named>,
    secret: Option<SecretSource>,
    projected: Option<Projected>,
    aws_elastic_block_store: Option<IgnoredAny>,
    azure_disk: Option<IgnoredAny>,
    azure_file: Option<IgnoredAny>,
    cinder: Option<IgnoredAny>,
    gce_persistent_disk: Option<IgnoredAny>,
    portworx_volume: Option<IgnoredAny>,
    vsphere_volume: Option<IgnoredAny>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct ClaimSource {
    claim_name: String,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct SecretSource {
    secret_name: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Projected {
    sources: Option<Vec<ProjectedSource>>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct ProjectedSource {
    service_account_token: Option<TokenRequest>,
    config_map: Option<Named>,
    secret: Option<Named>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Container {
    env: Vec<EnvironmentVariable>,
    env_from: Vec<EnvironmentSource>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct EnvironmentVariable {
    value_from: Option<ValueSource>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct ValueSource {
    secret_key_ref: Option<Named>,
    config_map_key_ref: Option<Named>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct EnvironmentSource {
    secret_ref: Option<Named>,
    config_map_ref: Option<Named>,
}

/// Volumes of kinds that were built in before CSI: the API still has them, and these CSI drivers serve them.
macro_rules! driver_of_old_kind {
    ($volume:expr) => {
        [
            (&$volume.aws_elastic_block_store, "ebs.csi.aws.com"),
            (&$volume.azure_disk, "disk.csi.azure.com"),
            (&$volume.azure_file, "file.csi.azure.com"),
            (&$volume.cinder, "cinder.csi.openstack.org"),
            (&$volume.gce_persistent_disk, "pd.csi.storage.gke.io"),
            (&$volume.portworx_volume, "pxd.portworx.com"),
            (&$volume.vsphere_volume, "csi.vsphere.vmware.com"),
        ]
        .into_iter()
        .find_map(|(source, driver)| source.is_some().then_some(driver))
    };
}

fn event(source: &Source) -> Facts {
    let object = &source.involved_object;
    let component = &source.source.component;
    let values = [
        ("involvedObject.kind", &object.kind),
        ("involvedObject.namespace", &object.namespace),
        ("involvedObject.name", &object.name),
        ("involvedObject.uid", &object.uid),
        ("involvedObject.apiVersion", &object.api_version),
        ("involvedObject.resourceVersion", &object.resource_version),
        ("involvedObject.fieldPath", &object.field_path),
        ("reason", &source.reason),
        ("reportingComponent", &source.reporting_component),
        // Whoever reports in the new way has no source.
        ("source", if component.is_empty() { &source.reporting_component } else { component }),
        ("type", &source.kind_of_secret),
    ];
    Facts::Event { fields: values.map(|(name, value)| (name, value.clone())).to_vec() }
}

fn volume(spec: Spec) -> Facts {
    let old_kind = driver_of_old_kind!(spec);
    let csi = spec.csi.unwrap_or_default();
    let references = [
        csi.node_publish_secret_ref,
        csi.node_stage_secret_ref,
        csi.node_expand_secret_ref,
        csi.controller_publish_secret_ref,
        csi.controller_expand_secret_ref,
    ];
    Facts::PersistentVolume {
        driver: old_kind.map_or(csi.driver, str::to_owned),
        claim: spec.claim_ref.map(|claim| (claim.namespace, claim.name)),
        secrets: references
            .into_iter()
            .flatten()
            .map(|reference| (reference.namespace, reference.name))
            .collect(),
    }
}

fn pod(name: &str, spec: Spec, status: Status) -> PodFacts {
    let mut other_secrets: Vec<String> =
        spec.image_pull_secrets.into_iter().map(|named| named.name).collect();
    let mut other_config_maps = Vec::new();
    for container in spec.containers.into_iter().flatten().chain(spec.init_containers) {
        for source in container.env.into_iter().filter_map(|variable| variable.value_from) {
            other_secrets.extend(source.secret_key_ref.map(|named| named.name));
            other_config_maps.extend(source.config_map_key_ref.map(|named| named.name));
        }
        for source in container.env_from {
            other_secrets.extend(source.secret_ref.map(|named| named.name));
            other_config_maps.extend(source.config_map_ref.map(|named| named.name));
        }
    }
    let (volume_names, volumes) = spec
        .volumes
        .into_iter()
        .flat_map(|volume| {
            let own_name = volume.name.clone();
            volume_uses(name, volume).into_iter().map(move |volume_use| (own_name.clone(), volume_use))
        })
        .unzip();
    PodFacts {
        node: spec.node_name,
        service_account: spec.service_account_name,
        restart_policy: spec.restart_policy,
        scheduler: spec.scheduler_name,
        phase: status.phase,
        host_network: spec.host_network,
        is_mirror: false,
        ip: status.pod_ip,
        ips: status.pod_ips.into_iter().map(|address| address.ip).collect::<Vec<_>>().join(","),
        nominated_node: status.nominated_node_name,
        volumes,
        volume_names,
        other_secrets,
        other_config_maps,
    }
}

fn volume_uses(pod: &str, volume: Volume) -> Vec<VolumeUse> {
    let old_kind = driver_of_old_kind!(volume);
    let mut uses = Vec::new();
    for source in volume.projected.and_then(|projected| projected.sources).unwrap_or_default() {
        uses.extend(source.service_account_token.map(|token| VolumeUse::Token(token.audience)));
        uses.extend(source.config_map.map(|named| VolumeUse::ConfigMap(named.name)));
        uses.extend(source.secret.map(|named| VolumeUse::Secret(named.name)));
    }
    uses.extend(volume.ephemeral.map(|_| VolumeUse::Claim(format!("{pod}-{}", volume.name))));
    uses.extend(volume.persistent_volume_claim.map(|claim| VolumeUse::Claim(claim.claim_name)));
    uses.extend(volume.config_map.map(|named| VolumeUse::ConfigMap(named.name)));
    uses.extend(volume.secret.map(|secret| VolumeUse::Secret(secret.secret_name)));
    uses.extend(volume.csi.map(|csi| VolumeUse::Csi {
        driver: csi.driver,
        secret: csi.node_publish_secret_ref.map(|reference| reference.name),
    }));
    uses.extend(old_kind.map(|driver| VolumeUse::Csi { driver: driver.to_owned(), secret: None }));
    uses
}

#[cfg(test)]
mod tests;
