//! The node's only view of the cluster: a small async trait. `tokenward-node-kube` implements it over a Kubernetes API
//! server; tests implement it in memory.

use std::fmt;

use futures_util::stream::BoxStream;
use jiff::Timestamp;
use serde_json::{Value, json};
use tokenward_tokens::{Audience, Token};

use crate::objects::{
    CsiDriver, CsiNode, Lease, NodeObject, PersistentVolume, PersistentVolumeClaim, Pod, Secret,
    VolumeAttachment,
};
use crate::scrub::blank_unknown;

/// A stream of changes that never ends: the implementation reconnects and lists again, with backoff, by itself. Errors
/// are reported for the log only.
pub type Watch<T> = BoxStream<'static, Result<WatchEvent<T>, ClusterError>>;

/// One change of a watched collection.
#[derive(Clone, Debug, PartialEq)]
pub enum WatchEvent<T> {
    /// The whole collection as of now: what is not in it is gone. The first event of a watch is always this one.
    Listed(Vec<T>),
    /// An object was created or changed.
    Applied(T),
    /// An object was deleted; its last state.
    Deleted(T),
}

/// What the node asks of a cluster. Each method is one request to the API server, and nothing in it is particular to
/// one server.
///
/// Patches are JSON merge patches (RFC 7386). Where they replace a list, they carry `metadata.resourceVersion`, so that
/// a concurrent change is answered with [`ErrorReason::Conflict`] and is not lost.
pub trait Cluster: Send + Sync + 'static {
    /// Watches the pods bound to a node (`spec.nodeName`).
    fn watch_pods(&self, node_name: &str) -> Watch<Pod>;

    /// Watches all CSIDrivers.
    fn watch_csi_drivers(&self) -> Watch<CsiDriver>;

    /// Reads a PersistentVolumeClaim.
    fn persistent_volume_claim(
        &self,
        namespace: &str,
        name: &str,
    ) -> impl Future<Output = Result<PersistentVolumeClaim, ClusterError>> + Send;

    /// Reads a PersistentVolume.
    fn persistent_volume(
        &self,
        name: &str,
    ) -> impl Future<Output = Result<PersistentVolume, ClusterError>> + Send;

    /// Reads a VolumeAttachment.
    fn volume_attachment(
        &self,
        name: &str,
    ) -> impl Future<Output = Result<VolumeAttachment, ClusterError>> + Send;

    /// Reads a Secret, live, never from a cache.
    fn secret(
        &self,
        namespace: &str,
        name: &str,
    ) -> impl Future<Output = Result<Secret, ClusterError>> + Send;

    /// Reads a ServiceAccount's uid. A node may since 1.34; before, it is refused.
    fn service_account_uid(
        &self,
        namespace: &str,
        name: &str,
    ) -> impl Future<Output = Result<String, ClusterError>> + Send;

    /// Creates a token for a service account (`serviceaccounts/token`). The answer's token goes into [`Token`] at once.
    fn request_token(
        &self,
        request: &TokenRequest,
    ) -> impl Future<Output = Result<GrantedToken, ClusterError>> + Send;

    /// Reads a Node.
    fn node(&self, name: &str) -> impl Future<Output = Result<NodeObject, ClusterError>> + Send;

    /// Creates a Node.
    fn create_node(&self, node: &Value) -> impl Future<Output = Result<NodeObject, ClusterError>> + Send;

    /// Patches a Node's metadata and spec.
    fn patch_node(
        &self,
        name: &str,
        patch: &Value,
    ) -> impl Future<Output = Result<NodeObject, ClusterError>> + Send;

    /// Patches a Node's status.
    fn patch_node_status(
        &self,
        name: &str,
        patch: &Value,
    ) -> impl Future<Output = Result<NodeObject, ClusterError>> + Send;

    /// Reads a CSINode.
    fn csi_node(&self, name: &str) -> impl Future<Output = Result<CsiNode, ClusterError>> + Send;

    /// Creates a CSINode.
    fn create_csi_node(&self, csi_node: &Value)
    -> impl Future<Output = Result<CsiNode, ClusterError>> + Send;

    /// Patches a CSINode.
    fn patch_csi_node(
        &self,
        name: &str,
        patch: &Value,
    ) -> impl Future<Output = Result<CsiNode, ClusterError>> + Send;

    /// Creates a Lease in the namespace `kube-node-lease`.
    fn create_lease(&self, lease: &Value) -> impl Future<Output = Result<Lease, ClusterError>> + Send;

    /// Patches a Lease in the namespace `kube-node-lease`.
    fn patch_lease(
        &self,
        name: &str,
        patch: &Value,
    ) -> impl Future<Output = Result<Lease, ClusterError>> + Send;

    /// Patches a pod's status.
    fn patch_pod_status(
        &self,
        pod: &PodReference,
        patch: &Value,
    ) -> impl Future<Output = Result<(), ClusterError>> + Send;

    /// Ends the deletion of a terminating pod: delete with grace period 0 and its uid as precondition. A pod that is
    /// gone already, or replaced by another of the same name, is a success.
    fn finish_pod_deletion(
        &self,
        pod: &PodReference,
    ) -> impl Future<Output = Result<(), ClusterError>> + Send;

    /// Creates an Event (core/v1) about a pod.
    fn create_event(&self, event: &PodEvent) -> impl Future<Output = Result<(), ClusterError>> + Send;
}

/// A pod by name and identity.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PodReference {
    /// Namespace of the pod.
    pub namespace: String,
    /// Name of the pod.
    pub name: String,
    /// Identity of the pod.
    pub uid: String,
}

impl fmt::Display for PodReference {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.namespace, self.name)
    }
}

/// One TokenRequest as the kubelet sends it for a CSI volume: bound to the pod, for one audience.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TokenRequest {
    /// The pod that the token is bound to; its namespace is the service account's.
    pub pod: PodReference,
    /// The pod's service account.
    pub service_account: String,
    /// The audience as written in the CSIDriver; the empty one means the API server's own.
    pub audience: Audience,
    /// Wanted life in seconds; the server's default (3600) when absent.
    pub expiration_seconds: Option<i64>,
}

impl TokenRequest {
    /// `spec` of the request: an empty audience becomes an empty list, an absent life becomes null.
    pub fn spec(&self) -> Value {
        let audiences: Vec<&str> =
            Some(self.audience.as_str()).filter(|audience| !audience.is_empty()).into_iter().collect();
        json!({
            "audiences": audiences,
            "boundObjectRef": {
                "apiVersion": "v1", "kind": "Pod", "name": self.pod.name, "uid": self.pod.uid,
            },
            "expirationSeconds": self.expiration_seconds,
        })
    }

    /// The whole body of the request.
    pub fn body(&self) -> Value {
        json!({ "apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": self.spec() })
    }
}

/// What the API server granted.
#[derive(Clone, Debug)]
pub struct GrantedToken {
    /// The token.
    pub token: Token,
    /// `status.expirationTimestamp`.
    pub expires: Timestamp,
    /// `spec.expirationSeconds` of the answer; without it the token is never refreshed.
    pub ttl_seconds: Option<i64>,
}

/// An Event about a pod; its message holds no token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodEvent {
    /// The pod it is about.
    pub pod: PodReference,
    /// Name of the reporting node.
    pub node_name: String,
    /// `Warning` or `Normal`.
    pub kind: &'static str,
    /// A CamelCase word such as `FailedMount`.
    pub reason: &'static str,
    /// What happened, at most 1024 bytes.
    pub message: String,
    /// When.
    pub at: Timestamp,
}

impl PodEvent {
    /// The Event as JSON; `suffix` must differ between Events of one pod.
    pub fn body(&self, suffix: &str) -> Value {
        // A name has at most 253 bytes, and a pod's may be as long as that.
        let name: String = self.pod.name.chars().take(200).collect();
        // Where it is cut, it must still end as a name does.
        let name = name.trim_end_matches(['-', '.']);
        json!({
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": { "name": format!("{name}.{suffix}"), "namespace": self.pod.namespace },
            "involvedObject": {
                "apiVersion": "v1", "kind": "Pod",
                "namespace": self.pod.namespace, "name": self.pod.name, "uid": self.pod.uid,
            },
            "type": self.kind,
            "reason": self.reason,
            "message": self.message,
            "source": { "component": "kubelet", "host": self.node_name },
            "reportingComponent": "kubelet",
            "reportingInstance": self.node_name,
            "firstTimestamp": whole_seconds(self.at),
            "lastTimestamp": whole_seconds(self.at),
            "count": 1,
        })
    }
}

/// RFC 3339 in UTC with whole seconds, as Kubernetes writes times.
pub fn whole_seconds(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// RFC 3339 in UTC with microseconds, as Kubernetes writes a lease's times.
pub fn microseconds(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%S%.6fZ").to_string()
}

/// Why a request to the cluster failed, as far as the node acts on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorReason {
    /// 409 AlreadyExists.
    AlreadyExists,
    /// 409 Conflict: the object changed meanwhile.
    Conflict,
    /// 403.
    Forbidden,
    /// 404 with a Status of reason NotFound.
    NotFound,
    /// Anything else: no connection, a timeout, another status.
    Other,
}

/// A request to the cluster that failed. The text is the server's own where there is one; anything shaped like a token
/// is blanked when the error is made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ClusterError {
    reason: ErrorReason,
    message: String,
}

impl ClusterError {
    /// An error with its reason and text.
    pub fn new(reason: ErrorReason, message: &str) -> Self {
        Self { reason, message: blank_unknown(message).into_owned() }
    }

    /// Why.
    pub fn reason(&self) -> ErrorReason {
        self.reason
    }

    /// Whether the object does not exist.
    pub fn is_not_found(&self) -> bool {
        self.reason == ErrorReason::NotFound
    }
}
