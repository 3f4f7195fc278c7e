//! The Node service of drivers that deliver files: what is the same in all of them, around what is not.

use std::future::Future;
use std::sync::Arc;

use tokenward_csi::v1::node_server::Node;
use tokenward_csi::v1::node_service_capability::rpc::Type as RpcType;
use tokenward_csi::v1::node_service_capability::{Rpc, Type as CapabilityType};
use tokenward_csi::v1::{
    NodeGetCapabilitiesRequest, NodeGetCapabilitiesResponse, NodeGetInfoRequest, NodeGetInfoResponse,
    NodePublishVolumeRequest, NodePublishVolumeResponse, NodeServiceCapability, NodeUnpublishVolumeRequest,
    NodeUnpublishVolumeResponse,
};
use tonic::{Request, Response, Status};

use crate::call::CallContext;

/// A driver whose volumes are files: it publishes and unpublishes, and [`FileNode`] makes a Node service of it.
///
/// ```
/// use std::sync::Arc;
///
/// use tokenward_driver::csi::v1::{NodePublishVolumeRequest, NodeUnpublishVolumeRequest};
/// use tokenward_driver::tokens::Clock;
/// use tokenward_driver::{
///     CallContext, DriverConfig, DriverName, FileDriver, FileNode, FileSet, FileVolumes, PublishTarget, SocketPath,
///     unpublish_target,
/// };
/// use tonic::Status;
///
/// /// Gives each pod an empty directory.
/// struct Nothing(FileVolumes);
///
/// impl FileDriver for Nothing {
///     async fn publish(
///         self: &Arc<Self>,
///         call: &CallContext,
///         request: NodePublishVolumeRequest,
///     ) -> Result<(), Status> {
///         let (this, target) = (Arc::clone(self), PublishTarget::of(&request)?);
///         call.blocking(move || {
///             this.0.publish(&target, &FileSet::new(), Clock::system().now())?;
///             Ok(())
///         })
///         .await
///     }
///
///     async fn unpublish(
///         self: &Arc<Self>,
///         call: &CallContext,
///         request: NodeUnpublishVolumeRequest,
///     ) -> Result<(), Status> {
///         let (this, target) = (Arc::clone(self), unpublish_target(&request)?);
///         call.blocking(move || Ok(this.0.unpublish(&target)?)).await
///     }
/// }
///
/// let endpoint = SocketPath::parse("/run/nothing/csi.sock")?;
/// let config = DriverConfig::new(DriverName::parse("nothing.example")?, endpoint, "node-1");
/// let node = FileNode::new(&config.node_id, Nothing(config.volumes()));
/// let plugin = config.plugin("1", node);
/// # let _ = plugin;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait FileDriver: Send + Sync + 'static {
    /// Makes the volume, or brings the one that is there up to date. `readonly` need change nothing: the volume is the driver's to write and
    /// the pod's to read, and a read-only mount could not be republished; the container's own mount is read-only when the pod says so.
    ///
    /// Shown at [`FileDriver`].
    fn publish(
        self: &Arc<Self>,
        call: &CallContext,
        request: NodePublishVolumeRequest,
    ) -> impl Future<Output = Result<(), Status>> + Send;

    /// Takes the volume away; good when there is none.
    ///
    /// Shown at [`FileDriver`].
    fn unpublish(
        self: &Arc<Self>,
        call: &CallContext,
        request: NodeUnpublishVolumeRequest,
    ) -> impl Future<Output = Result<(), Status>> + Send;
}

/// The Node service of a [`FileDriver`]: publish, unpublish, the node's name, and the capability VOLUME_MOUNT_GROUP.
///
/// With that capability the pod's `fsGroup` comes with each publish ([`PublishTarget::group`](crate::PublishTarget)), instead of the
/// kubelet's own walk over the files, which volumes on a tmpfs never get.
///
/// ```
/// use tokenward_driver::{FileDriver, FileNode};
///
/// fn node<D: FileDriver>(driver: D) -> FileNode<D> {
///     FileNode::new("node-1", driver)
/// }
/// ```
#[derive(Debug)]
pub struct FileNode<D> {
    node_id: String,
    driver: Arc<D>,
}

impl<D> FileNode<D> {
    /// The service for the node of this name, which is the answer of NodeGetInfo.
    ///
    /// Shown at [`FileDriver`].
    pub fn new(node_id: impl Into<String>, driver: D) -> Self {
        Self { node_id: node_id.into(), driver: Arc::new(driver) }
    }
}

#[tonic::async_trait]
impl<D: FileDriver> Node for FileNode<D> {
    async fn node_publish_volume(
        &self,
        request: Request<NodePublishVolumeRequest>,
    ) -> Result<Response<NodePublishVolumeResponse>, Status> {
        let call = CallContext::of(&request);
        self.driver.publish(&call, request.into_inner()).await?;
        Ok(Response::new(NodePublishVolumeResponse::default()))
    }

    async fn node_unpublish_volume(
        &self,
        request: Request<NodeUnpublishVolumeRequest>,
    ) -> Result<Response<NodeUnpublishVolumeResponse>, Status> {
        let call = CallContext::of(&request);
        self.driver.unpublish(&call, request.into_inner()).await?;
        Ok(Response::new(NodeUnpublishVolumeResponse::default()))
    }

    async fn node_get_info(
        &self,
        _: Request<NodeGetInfoRequest>,
    ) -> Result<Response<NodeGetInfoResponse>, Status> {
        let node_id = self.node_id.clone();
        Ok(Response::new(NodeGetInfoResponse { node_id, ..Default::default() }))
    }

    async fn node_get_capabilities(
        &self,
        _: Request<NodeGetCapabilitiesRequest>,
    ) -> Result<Response<NodeGetCapabilitiesResponse>, Status> {
        let rpc = Rpc { r#type: RpcType::VolumeMountGroup as i32 };
        let capabilities = vec![NodeServiceCapability { r#type: Some(CapabilityType::Rpc(rpc)) }];
        Ok(Response::new(NodeGetCapabilitiesResponse { capabilities }))
    }
}
