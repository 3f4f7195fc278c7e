//! A cluster as the node's parts see it, of which nothing is ever asked but tokens.

use std::future::Future;

use futures_util::StreamExt as _;
use serde_json::Value;
use tokenward_node::objects::{
    CsiDriver, CsiNode, Lease, NodeObject, PersistentVolume, PersistentVolumeClaim, Pod, Secret,
    VolumeAttachment,
};
use tokenward_node::{
    Cluster, ClusterError, ErrorReason, GrantedToken, PodEvent, PodReference, TokenRequest, Watch,
};

/// Whoever grants tokens.
pub trait Grant: Send + Sync + 'static {
    /// Grants one, or says why not.
    fn grant(
        &self,
        request: &TokenRequest,
    ) -> impl Future<Output = Result<GrantedToken, ClusterError>> + Send;
}

/// A [`Cluster`] that grants tokens and has nothing else.
pub struct Granting<G>(pub G);

fn nothing<T>() -> Result<T, ClusterError> {
    Err(ClusterError::new(ErrorReason::NotFound, "this cluster grants tokens and has nothing else"))
}

/// The methods of which nothing is to be expected: each takes what it takes and answers that there is nothing.
macro_rules! nothing_else {
    ($($method:ident($($argument:ty),*) -> $found:ty;)*) => {
        $(async fn $method(&self, $(_: $argument),*) -> Result<$found, ClusterError> {
            nothing()
        })*
    };
}

impl<G: Grant> Cluster for Granting<G> {
    fn watch_pods(&self, _: &str) -> Watch<Pod> {
        futures_util::stream::pending().boxed()
    }

    fn watch_csi_drivers(&self) -> Watch<CsiDriver> {
        futures_util::stream::pending().boxed()
    }

    async fn request_token(&self, request: &TokenRequest) -> Result<GrantedToken, ClusterError> {
        self.0.grant(request).await
    }

    nothing_else! {
        persistent_volume_claim(&str, &str) -> PersistentVolumeClaim;
        persistent_volume(&str) -> PersistentVolume;
        volume_attachment(&str) -> VolumeAttachment;
        secret(&str, &str) -> Secret;
        service_account_uid(&str, &str) -> String;
        node(&str) -> NodeObject;
        create_node(&Value) -> NodeObject;
        patch_node(&str, &Value) -> NodeObject;
        patch_node_status(&str, &Value) -> NodeObject;
        csi_node(&str) -> CsiNode;
        create_csi_node(&Value) -> CsiNode;
        patch_csi_node(&str, &Value) -> CsiNode;
        create_lease(&Value) -> Lease;
        patch_lease(&str, &Value) -> Lease;
        patch_pod_status(&PodReference, &Value) -> ();
        finish_pod_deletion(&PodReference) -> ();
        create_event(&PodEvent) -> ();
    }
}
