//! A driver whose volumes are made by a Controller and staged before they are published: in memory, for the specs alone.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokenward_driver::csi::v1::controller_server::Controller;
use tokenward_driver::csi::v1::node_server::Node;
use tokenward_driver::csi::v1::validate_volume_capabilities_response::Confirmed;
use tokenward_driver::csi::v1::*;
use tokenward_driver::tokens::Clock;
use tokenward_driver::{
    CallContext, Contents, File, FileSet, FileVolumes, MountPolicy, PublishTarget, Repeats, TokenSet,
    VolumePath, unpublish_target,
};
use tonic::{Request, Response, Status};

#[derive(Clone, Debug)]
pub(crate) struct Volumes(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    made: Repeats<i64, Volume>,
    files: FileVolumes,
    published: AtomicUsize,
}

impl Default for Volumes {
    fn default() -> Self {
        Self(Arc::new(Inner {
            made: Repeats::default(),
            files: FileVolumes::new(1 << 20, MountPolicy::Never),
            published: AtomicUsize::new(0),
        }))
    }
}

impl Volumes {
    /// How many publishes went well.
    pub(crate) fn published(&self) -> usize {
        self.0.published.load(Ordering::Acquire)
    }

    pub(crate) fn any_is_left(&self) -> bool {
        self.0.made.any(|_| true)
    }

    fn check_there(&self, volume_id: &str) -> Result<(), Status> {
        if self.0.made.any(|volume| volume.volume_id == volume_id) {
            return Ok(());
        }
        Err(Status::not_found(format!("there is no volume `{volume_id}`; make it first")))
    }
}

fn wanted<'a>(field: &str, value: &'a str) -> Result<&'a str, Status> {
    if value.is_empty() {
        return Err(Status::invalid_argument(format!("{field} is missing in the request")));
    }
    Ok(value)
}

fn wanted_list(capabilities: &[VolumeCapability]) -> Result<(), Status> {
    wanted("volume_capabilities", if capabilities.is_empty() { "" } else { "there" }).map(|_| ())
}

#[tonic::async_trait]
impl Controller for Volumes {
    async fn create_volume(
        &self,
        request: Request<CreateVolumeRequest>,
    ) -> Result<Response<CreateVolumeResponse>, Status> {
        let request = request.into_inner();
        let name = wanted("name", &request.name)?;
        wanted_list(&request.volume_capabilities)?;
        let size = request.capacity_range.unwrap_or_default().required_bytes;
        let make = || {
            Ok(Volume {
                volume_id: format!("id-of-{name}"),
                capacity_bytes: size,
                volume_context: request.parameters.clone(),
                ..Default::default()
            })
        };
        let volume = self.0.made.once(name, size, make)?;
        Ok(Response::new(CreateVolumeResponse { volume: Some(volume) }))
    }

    async fn delete_volume(
        &self,
        request: Request<DeleteVolumeRequest>,
    ) -> Result<Response<DeleteVolumeResponse>, Status> {
        let volume_id = request.into_inner().volume_id;
        wanted("volume_id", &volume_id)?;
        self.0.made.forget_where(|volume| volume.volume_id == volume_id);
        Ok(Response::new(DeleteVolumeResponse {}))
    }

    async fn validate_volume_capabilities(
        &self,
        request: Request<ValidateVolumeCapabilitiesRequest>,
    ) -> Result<Response<ValidateVolumeCapabilitiesResponse>, Status> {
        let request = request.into_inner();
        wanted("volume_id", &request.volume_id)?;
        wanted_list(&request.volume_capabilities)?;
        self.check_there(&request.volume_id)?;
        let confirmed = Confirmed { volume_capabilities: request.volume_capabilities, ..Default::default() };
        Ok(Response::new(ValidateVolumeCapabilitiesResponse {
            confirmed: Some(confirmed),
            ..Default::default()
        }))
    }

    async fn controller_get_capabilities(
        &self,
        _: Request<ControllerGetCapabilitiesRequest>,
    ) -> Result<Response<ControllerGetCapabilitiesResponse>, Status> {
        use controller_service_capability::{Rpc, Type, rpc};
        let rpc = Rpc { r#type: rpc::Type::CreateDeleteVolume as i32 };
        let capabilities = vec![ControllerServiceCapability { r#type: Some(Type::Rpc(rpc)) }];
        Ok(Response::new(ControllerGetCapabilitiesResponse { capabilities }))
    }
}

#[tonic::async_trait]
impl Node for Volumes {
    async fn node_stage_volume(
        &self,
        request: Request<NodeStageVolumeRequest>,
    ) -> Result<Response<NodeStageVolumeResponse>, Status> {
        let request = request.into_inner();
        wanted("volume_id", &request.volume_id)?;
        wanted("staging_target_path", &request.staging_target_path)?;
        wanted_list(request.volume_capability.as_slice())?;
        Ok(Response::new(NodeStageVolumeResponse {}))
    }

    async fn node_unstage_volume(
        &self,
        request: Request<NodeUnstageVolumeRequest>,
    ) -> Result<Response<NodeUnstageVolumeResponse>, Status> {
        let request = request.into_inner();
        wanted("volume_id", &request.volume_id)?;
        wanted("staging_target_path", &request.staging_target_path)?;
        Ok(Response::new(NodeUnstageVolumeResponse {}))
    }

    async fn node_publish_volume(
        &self,
        request: Request<NodePublishVolumeRequest>,
    ) -> Result<Response<NodePublishVolumeResponse>, Status> {
        let call = CallContext::of(&request);
        let mut request = request.into_inner();
        let tokens = TokenSet::from_request(&mut request);
        let target = PublishTarget::of(&request)?;
        self.check_there(&request.volume_id)?;
        let now = Clock::system().now();
        let token = Contents::token(&tokens?.unexpired("vault", now)?.token);
        let inner = Arc::clone(&self.0);
        call.blocking(move || {
            let mut files = FileSet::new();
            let path = VolumePath::parse("token").map_err(|error| Status::internal(error.to_string()))?;
            files.insert(path, File::private(token)).map_err(|error| Status::internal(error.to_string()))?;
            inner.files.publish(&target, &files, now)?;
            inner.published.fetch_add(1, Ordering::AcqRel);
            Ok(())
        })
        .await?;
        Ok(Response::new(NodePublishVolumeResponse {}))
    }

    async fn node_unpublish_volume(
        &self,
        request: Request<NodeUnpublishVolumeRequest>,
    ) -> Result<Response<NodeUnpublishVolumeResponse>, Status> {
        let target = unpublish_target(request.get_ref())?;
        self.check_there(&request.get_ref().volume_id)?;
        self.0.files.unpublish(&target)?;
        Ok(Response::new(NodeUnpublishVolumeResponse {}))
    }

    async fn node_get_capabilities(
        &self,
        _: Request<NodeGetCapabilitiesRequest>,
    ) -> Result<Response<NodeGetCapabilitiesResponse>, Status> {
        use node_service_capability::{Rpc, Type, rpc};
        let rpc = Rpc { r#type: rpc::Type::StageUnstageVolume as i32 };
        let capabilities = vec![NodeServiceCapability { r#type: Some(Type::Rpc(rpc)) }];
        Ok(Response::new(NodeGetCapabilitiesResponse { capabilities }))
    }

    async fn node_get_info(
        &self,
        _: Request<NodeGetInfoRequest>,
    ) -> Result<Response<NodeGetInfoResponse>, Status> {
        Ok(Response::new(NodeGetInfoResponse { node_id: "node-1".to_owned(), ..Default::default() }))
    }
}
