//! The Node service: publish, republish, unpublish.

use std::sync::Arc;

use tokenward_driver::CallContext;
use tokenward_driver::csi::v1::node_server::Node;
use tokenward_driver::csi::v1::node_service_capability::rpc::Type as RpcType;
use tokenward_driver::csi::v1::node_service_capability::{Rpc, Type as CapabilityType};
use tokenward_driver::csi::v1::{
    NodeGetCapabilitiesRequest, NodeGetCapabilitiesResponse, NodeGetInfoRequest, NodeGetInfoResponse,
    NodePublishVolumeRequest, NodePublishVolumeResponse, NodeServiceCapability, NodeUnpublishVolumeRequest,
    NodeUnpublishVolumeResponse,
};
use tonic::{Request, Response, Status};

use crate::publish::Publisher;

/// The driver's Node service.
#[derive(Clone, Debug)]
pub(crate) struct WorkloadCredentials(Arc<Publisher>);

impl WorkloadCredentials {
    pub(crate) fn new(publisher: Publisher) -> Self {
        Self(Arc::new(publisher))
    }
}

#[tonic::async_trait]
impl Node for WorkloadCredentials {
    async fn node_publish_volume(
        &self,
        request: Request<NodePublishVolumeRequest>,
    ) -> Result<Response<NodePublishVolumeResponse>, Status> {
        let call = CallContext::of(&request);
        self.0.publish(&call, request.into_inner()).await?;
        Ok(Response::new(NodePublishVolumeResponse::default()))
    }

    async fn node_unpublish_volume(
        &self,
        request: Request<NodeUnpublishVolumeRequest>,
    ) -> Result<Response<NodeUnpublishVolumeResponse>, Status> {
        let call = CallContext::of(&request);
        self.0.unpublish(&call, request.get_ref()).await?;
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
