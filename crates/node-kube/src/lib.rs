//! A Kubernetes API server as the cluster of a Tokenward node: [`tokenward_node::Cluster`] over kube-rs.
//!
//! Nothing here is particular to one server; it needs what a kubelet may do (the identity `system:node:<name>` under Node
//! authorization and NodeRestriction is enough). The invariant: **a body that holds a secret is decoded here**, straight
//! into redacted types. kube's own decoding logs the whole text of what it cannot decode, and k8s-openapi's token type
//! prints its token.
//!
//! ```no_run
//! use std::sync::Arc;
//!
//! use tokenward_node::{Config, Node};
//! use tokenward_node_kube::KubeCluster;
//! use tokio_util::sync::CancellationToken;
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let client = kube::Client::try_default().await?;
//! let cluster = Arc::new(KubeCluster::new(client));
//! Node::run(Config::new("node-1", "/var/lib/kubelet"), cluster, CancellationToken::new()).await?;
//! # Ok(())
//! # }
//! ```
//!
//! The crate does not choose a version feature of k8s-openapi; the program that uses it does.

mod error;
mod paths;
mod reviews;
mod token;
mod watch;

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use http::{Method, Request};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokenward_node::objects::{
    CsiDriver, CsiNode, Lease, Metadata, NodeObject, PersistentVolume, PersistentVolumeClaim, Pod, Secret,
    VolumeAttachment,
};
use tokenward_node::{
    Cluster, ClusterError, ErrorReason, GrantedToken, PodEvent, PodReference, TokenRequest, Watch,
};
use zeroize::Zeroizing;

use crate::paths::Path;

const MERGE_PATCH: &str = "application/merge-patch+json";
const JSON: &str = "application/json";

/// The namespace of node leases.
const LEASES: &str = "kube-node-lease";

/// The longest that one request may take. Watches are not bound by it.
const REQUEST_LIMIT: Duration = Duration::from_secs(30);

/// A cluster behind a kube client.
pub struct KubeCluster {
    client: kube::Client,
    events: AtomicU64,
}

impl KubeCluster {
    /// A cluster behind this client, whose identity and server are the node's.
    #[must_use]
    pub fn new(client: kube::Client) -> Self {
        Self { client, events: AtomicU64::new(0) }
    }

    async fn send(
        &self,
        method: Method,
        path: Result<Path, ClusterError>,
        content: Option<(&str, &Value)>,
    ) -> Result<Zeroizing<Vec<u8>>, ClusterError> {
        let path = path?;
        let mut request = Request::builder().method(method).uri(path.as_str());
        let mut body = Vec::new();
        if let Some((content_type, value)) = content {
            request = request.header(http::header::CONTENT_TYPE, content_type);
            body = value.to_string().into_bytes();
        }
        let request = request.body(body).map_err(|error| {
            ClusterError::new(
                ErrorReason::Other,
                &format!("no request can be made for {}: {error}", path.as_str()),
            )
        })?;
        match tokio::time::timeout(REQUEST_LIMIT, self.client.request_text(request)).await {
            Ok(Ok(text)) => Ok(Zeroizing::new(text.into_bytes())),
            Ok(Err(error)) => Err(error::from_kube(&error)),
            Err(_) => Err(ClusterError::new(
                ErrorReason::Other,
                &format!("the API server did not answer within {} s", REQUEST_LIMIT.as_secs()),
            )),
        }
    }

    async fn call<T: DeserializeOwned>(
        &self,
        method: Method,
        path: Result<Path, ClusterError>,
        content: Option<(&str, &Value)>,
    ) -> Result<T, ClusterError> {
        let text = self.send(method, path, content).await?;
        serde_json::from_slice(&text).map_err(|error| error::from_json(&error))
    }

    async fn get<T: DeserializeOwned>(&self, path: Result<Path, ClusterError>) -> Result<T, ClusterError> {
        self.call(Method::GET, path, None).await
    }

    async fn create<T: DeserializeOwned>(
        &self,
        path: Result<Path, ClusterError>,
        object: &Value,
    ) -> Result<T, ClusterError> {
        self.call(Method::POST, path, Some((JSON, object))).await
    }

    async fn patch<T: DeserializeOwned>(
        &self,
        path: Result<Path, ClusterError>,
        patch: &Value,
    ) -> Result<T, ClusterError> {
        self.call(Method::PATCH, path, Some((MERGE_PATCH, patch))).await
    }
}

/// An object of which only the metadata matters.
#[derive(serde::Deserialize)]
struct WithMetadata {
    metadata: Metadata,
}

impl Cluster for KubeCluster {
    fn watch_pods(&self, node_name: &str) -> Watch<Pod> {
        watch::watch(self.client.clone(), "", "v1", "Pod", "pods", Some(format!("spec.nodeName={node_name}")))
    }

    fn watch_csi_drivers(&self) -> Watch<CsiDriver> {
        watch::watch(self.client.clone(), "storage.k8s.io", "v1", "CSIDriver", "csidrivers", None)
    }

    async fn persistent_volume_claim(
        &self,
        namespace: &str,
        name: &str,
    ) -> Result<PersistentVolumeClaim, ClusterError> {
        self.get(Path::core(namespace, "persistentvolumeclaims").name(name)).await
    }

    async fn persistent_volume(&self, name: &str) -> Result<PersistentVolume, ClusterError> {
        self.get(Path::core("", "persistentvolumes").name(name)).await
    }

    async fn volume_attachment(&self, name: &str) -> Result<VolumeAttachment, ClusterError> {
        self.get(Path::storage("volumeattachments").name(name)).await
    }

    async fn secret(&self, namespace: &str, name: &str) -> Result<Secret, ClusterError> {
        self.get(Path::core(namespace, "secrets").name(name)).await
    }

    async fn service_account_uid(&self, namespace: &str, name: &str) -> Result<String, ClusterError> {
        let account: WithMetadata = self.get(Path::core(namespace, "serviceaccounts").name(name)).await?;
        Ok(account.metadata.uid)
    }

    async fn request_token(&self, request: &TokenRequest) -> Result<GrantedToken, ClusterError> {
        let path = Path::core(&request.pod.namespace, "serviceaccounts")
            .name(&request.service_account)
            .map(|path| path.subresource("token"));
        let answer = self.send(Method::POST, path, Some((JSON, &request.body()))).await?;
        token::granted(&answer)
    }

    async fn node(&self, name: &str) -> Result<NodeObject, ClusterError> {
        self.get(Path::core("", "nodes").name(name)).await
    }

    async fn create_node(&self, node: &Value) -> Result<NodeObject, ClusterError> {
        self.create(Path::core("", "nodes").collection(), node).await
    }

    async fn patch_node(&self, name: &str, patch: &Value) -> Result<NodeObject, ClusterError> {
        self.patch(Path::core("", "nodes").name(name), patch).await
    }

    async fn patch_node_status(&self, name: &str, patch: &Value) -> Result<NodeObject, ClusterError> {
        let path = Path::core("", "nodes").name(name).map(|path| path.subresource("status"));
        self.patch(path, patch).await
    }

    async fn csi_node(&self, name: &str) -> Result<CsiNode, ClusterError> {
        self.get(Path::storage("csinodes").name(name)).await
    }

    async fn create_csi_node(&self, csi_node: &Value) -> Result<CsiNode, ClusterError> {
        self.create(Path::storage("csinodes").collection(), csi_node).await
    }

    async fn patch_csi_node(&self, name: &str, patch: &Value) -> Result<CsiNode, ClusterError> {
        self.patch(Path::storage("csinodes").name(name), patch).await
    }

    async fn create_lease(&self, lease: &Value) -> Result<Lease, ClusterError> {
        self.create(Path::leases(LEASES).collection(), lease).await
    }

    async fn patch_lease(&self, name: &str, patch: &Value) -> Result<Lease, ClusterError> {
        self.patch(Path::leases(LEASES).name(name), patch).await
    }

    async fn patch_pod_status(&self, pod: &PodReference, patch: &Value) -> Result<(), ClusterError> {
        let path = Path::core(&pod.namespace, "pods").name(&pod.name).map(|path| path.subresource("status"));
        self.send(Method::PATCH, path, Some((MERGE_PATCH, patch))).await.map(drop)
    }

    async fn finish_pod_deletion(&self, pod: &PodReference) -> Result<(), ClusterError> {
        let options = json!({
            "apiVersion": "v1", "kind": "DeleteOptions",
            "gracePeriodSeconds": 0, "preconditions": { "uid": pod.uid },
        });
        let path = Path::core(&pod.namespace, "pods").name(&pod.name);
        match self.send(Method::DELETE, path, Some((JSON, &options))).await {
            // Gone, or another pod has its name: either way this one is no more.
            Err(error) if matches!(error.reason(), ErrorReason::NotFound | ErrorReason::Conflict) => Ok(()),
            answer => answer.map(drop),
        }
    }

    async fn create_event(&self, event: &PodEvent) -> Result<(), ClusterError> {
        // Time and count, as client-go names Events: unique on this node, and nearly so among all.
        let count = self.events.fetch_add(1, Ordering::Relaxed);
        let suffix = format!("{:x}{:x}", event.at.as_nanosecond(), count);
        let path = Path::core(&event.pod.namespace, "events").collection();
        self.send(Method::POST, path, Some((JSON, &event.body(&suffix)))).await.map(drop)
    }
}
