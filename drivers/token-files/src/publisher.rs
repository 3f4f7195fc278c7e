//! The Node service: publish, republish, unpublish.

use std::sync::Arc;

use jiff::Timestamp;
use tokenward_driver::csi::v1::node_server::Node;
use tokenward_driver::csi::v1::node_service_capability::rpc::Type as RpcType;
use tokenward_driver::csi::v1::node_service_capability::{Rpc, Type as CapabilityType};
use tokenward_driver::csi::v1::{
    NodeGetCapabilitiesRequest, NodeGetCapabilitiesResponse, NodeGetInfoRequest, NodeGetInfoResponse,
    NodePublishVolumeRequest, NodePublishVolumeResponse, NodeServiceCapability, NodeUnpublishVolumeRequest,
    NodeUnpublishVolumeResponse,
};
use tokenward_driver::{
    CallContext, Contents, File, FileSet, FileVolumes, KeyPresence, PublishTarget, TokenSet, TokensError,
    VolumePath, Written, required_tokens_from_publish, unpublish_target,
};
use tonic::{Request, Response, Status};

use crate::config::{Config, Observation};
use crate::name::file_name;

/// The driver's Node service.
#[derive(Clone, Debug)]
pub(crate) struct TokenFiles(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    config: Config,
    volumes: FileVolumes,
}

impl TokenFiles {
    pub(crate) fn new(config: Config) -> Self {
        let volumes = FileVolumes::new(config.volume_size, config.mount);
        Self(Arc::new(Inner { config, volumes }))
    }
}

#[tonic::async_trait]
impl Node for TokenFiles {
    /// Makes the volume, or brings the one that is there up to date. `readonly` changes nothing: the volume is the driver's to write and the
    /// pod's to read, and a read-only mount could not be republished; the container's own mount is read-only when the pod says so.
    async fn node_publish_volume(
        &self,
        request: Request<NodePublishVolumeRequest>,
    ) -> Result<Response<NodePublishVolumeResponse>, Status> {
        let call = CallContext::of(&request);
        let (inner, request) = (Arc::clone(&self.0), request.into_inner());
        call.blocking(move || inner.publish(request)).await?;
        Ok(Response::new(NodePublishVolumeResponse::default()))
    }

    async fn node_unpublish_volume(
        &self,
        request: Request<NodeUnpublishVolumeRequest>,
    ) -> Result<Response<NodeUnpublishVolumeResponse>, Status> {
        let call = CallContext::of(&request);
        let (inner, request) = (Arc::clone(&self.0), request.into_inner());
        call.blocking(move || inner.unpublish(&request)).await?;
        Ok(Response::new(NodeUnpublishVolumeResponse::default()))
    }

    async fn node_get_info(
        &self,
        _: Request<NodeGetInfoRequest>,
    ) -> Result<Response<NodeGetInfoResponse>, Status> {
        let node_id = self.0.config.node_id.clone();
        Ok(Response::new(NodeGetInfoResponse { node_id, ..Default::default() }))
    }

    async fn node_get_capabilities(
        &self,
        _: Request<NodeGetCapabilitiesRequest>,
    ) -> Result<Response<NodeGetCapabilitiesResponse>, Status> {
        // The pod's `fsGroup` comes with each publish, instead of the kubelet's own walk over the files, which tmpfs volumes never get.
        let rpc = Rpc { r#type: RpcType::VolumeMountGroup as i32 };
        let capabilities = vec![NodeServiceCapability { r#type: Some(CapabilityType::Rpc(rpc)) }];
        Ok(Response::new(NodeGetCapabilitiesResponse { capabilities }))
    }
}

impl Inner {
    fn publish(&self, mut request: NodePublishVolumeRequest) -> Result<(), Status> {
        // Off the wire, and before the request is checked: from here on it has no token.
        let held_in = KeyPresence::of(&request);
        let tokens = required_tokens_from_publish(&mut request, self.config.read);
        self.observe(&request, held_in, tokens.as_ref().ok());

        let target = PublishTarget::of(&request)?;
        let now = self.config.clock.now();
        let files = files(&tokens?, now)?;
        let published = self.volumes.publish(&target, &files, now)?;
        if published.written == Written::Replaced {
            tracing::debug!(files = files.len(), backing = ?published.backing, "wrote the tokens");
        }
        Ok(())
    }

    fn unpublish(&self, request: &NodeUnpublishVolumeRequest) -> Result<(), Status> {
        Ok(self.volumes.unpublish(&unpublish_target(request)?)?)
    }

    fn observe(&self, request: &NodePublishVolumeRequest, held_in: KeyPresence, tokens: Option<&TokenSet>) {
        let Some(observer) = &self.config.observe else { return };
        observer.tell(&Observation {
            volume_id: request.volume_id.clone(),
            target_path: request.target_path.clone(),
            held_in,
            read: tokens.map(|found| found.placement),
            audiences: tokens.map(|found| found.audiences().cloned().collect()).unwrap_or_default(),
        });
    }
}

/// A file for each audience. An expired token is refused: the pod that asks for it would only fail later, and less clearly.
fn files(found: &TokenSet, now: Timestamp) -> Result<FileSet, TokensError> {
    let mut files = FileSet::new();
    for audience in found.audiences() {
        let entry = found.unexpired(audience.as_str(), now)?;
        let path = VolumePath::parse(file_name(audience.as_str()))
            .expect("a file name of an audience is a clean path");
        files
            .insert(path, File::private(Contents::token(&entry.token)))
            .expect("no two audiences have the same file name");
    }
    Ok(files)
}
