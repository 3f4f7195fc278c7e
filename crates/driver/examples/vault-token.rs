//! A CSI driver that gives a pod its service account token for the audience `vault`, as the file `token`.

use std::error::Error;

use tokenward_driver::csi::v1::node_server::Node;
use tokenward_driver::csi::v1::{
    NodeGetCapabilitiesRequest, NodeGetCapabilitiesResponse, NodeGetInfoRequest, NodeGetInfoResponse,
    NodePublishVolumeRequest, NodePublishVolumeResponse, NodeUnpublishVolumeRequest,
    NodeUnpublishVolumeResponse,
};
use tokenward_driver::tokens::Clock;
use tokenward_driver::{
    CallContext, Contents, DriverName, Endpoint, File, FileSet, FileVolumes, MountPolicy, Plugin,
    PublishTarget, TokenSet, VolumePath, log_panics, unpublish_target,
};
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status};

/// The driver: what it answers to a node.
pub struct VaultToken {
    node_id: String,
    volumes: std::sync::Arc<FileVolumes>,
}

#[tonic::async_trait]
impl Node for VaultToken {
    async fn node_publish_volume(
        &self,
        request: Request<NodePublishVolumeRequest>,
    ) -> Result<Response<NodePublishVolumeResponse>, Status> {
        let call = CallContext::of(&request);
        let mut request = request.into_inner();
        let tokens = TokenSet::from_request(&mut request);
        let target = PublishTarget::of(&request)?;
        let now = Clock::system().now();
        let mut files = FileSet::new();
        let contents = Contents::token(&tokens?.unexpired("vault", now)?.token);
        files
            .insert(VolumePath::parse("token").expect("a clean path"), File::private(contents))
            .expect("one");
        let volumes = self.volumes.clone();
        call.blocking(move || Ok(volumes.publish(&target, &files, now)?)).await?;
        Ok(Response::new(NodePublishVolumeResponse {}))
    }

    async fn node_unpublish_volume(
        &self,
        request: Request<NodeUnpublishVolumeRequest>,
    ) -> Result<Response<NodeUnpublishVolumeResponse>, Status> {
        let call = CallContext::of(&request);
        let target = unpublish_target(request.get_ref())?;
        let volumes = self.volumes.clone();
        call.blocking(move || Ok(volumes.unpublish(&target)?)).await?;
        Ok(Response::new(NodeUnpublishVolumeResponse {}))
    }

    async fn node_get_capabilities(
        &self,
        _: Request<NodeGetCapabilitiesRequest>,
    ) -> Result<Response<NodeGetCapabilitiesResponse>, Status> {
        Ok(Response::new(NodeGetCapabilitiesResponse::default()))
    }

    async fn node_get_info(
        &self,
        _: Request<NodeGetInfoRequest>,
    ) -> Result<Response<NodeGetInfoResponse>, Status> {
        let node_id = self.node_id.clone();
        Ok(Response::new(NodeGetInfoResponse { node_id, ..Default::default() }))
    }
}

/// The whole driver: served at an endpoint, for the node of this name.
pub fn plugin(endpoint: Endpoint, node_id: String) -> Result<Plugin<VaultToken>, Box<dyn Error>> {
    let volumes = FileVolumes::new(1 << 20, MountPolicy::WherePermitted).into();
    let name = DriverName::parse("vault-token.example")?;
    Ok(Plugin::new(name, env!("CARGO_PKG_VERSION"), endpoint, VaultToken { node_id, volumes }))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    tracing_subscriber::fmt().init();
    log_panics();
    let usage = "usage: vault-token ENDPOINT NODE [REGISTRATION-DIRECTORY]";
    let mut arguments = std::env::args().skip(1);
    let endpoint = arguments.next().ok_or(usage)?.parse()?;
    let mut plugin = plugin(endpoint, arguments.next().ok_or(usage)?)?.http(([127, 0, 0, 1], 9808));
    if let Some(directory) = arguments.next() {
        plugin = plugin.register_in(directory);
    }
    let stop = CancellationToken::new();
    let serving = tokio::spawn(plugin.serve(stop.clone()));
    tokio::signal::ctrl_c().await?;
    stop.cancel();
    Ok(serving.await??)
}
