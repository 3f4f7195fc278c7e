//! A CSI driver that gives a pod its service account token for the audience `vault`, as the file `token`.

use std::error::Error;
use std::sync::Arc;

use tokenward_driver::csi::v1::{NodePublishVolumeRequest, NodeUnpublishVolumeRequest};
use tokenward_driver::tokens::Clock;
use tokenward_driver::{
    CallContext, Contents, DriverConfig, DriverName, Endpoint, File, FileDriver, FileNode, FileSet,
    FileVolumes, Plugin, PublishTarget, TokenSet, VolumePath, log_panics, unpublish_target,
};
use tokio_util::sync::CancellationToken;
use tonic::Status;

/// The driver: its volumes, and the time.
pub struct VaultToken {
    volumes: FileVolumes,
    clock: Clock,
}

impl FileDriver for VaultToken {
    async fn publish(
        self: &Arc<Self>,
        call: &CallContext,
        mut request: NodePublishVolumeRequest,
    ) -> Result<(), Status> {
        let tokens = TokenSet::from_request(&mut request);
        let target = PublishTarget::of(&request)?;
        let now = self.clock.now();
        let contents = Contents::token(&tokens?.unexpired("vault", now)?.token);
        let mut files = FileSet::new();
        files
            .insert(VolumePath::parse("token").expect("a clean path"), File::private(contents))
            .expect("one");
        let this = Arc::clone(self);
        call.blocking(move || Ok(this.volumes.publish(&target, &files, now)?)).await?;
        Ok(())
    }

    async fn unpublish(
        self: &Arc<Self>,
        call: &CallContext,
        request: NodeUnpublishVolumeRequest,
    ) -> Result<(), Status> {
        let target = unpublish_target(&request)?;
        let this = Arc::clone(self);
        call.blocking(move || Ok(this.volumes.unpublish(&target)?)).await
    }
}

/// The whole driver, served as configured.
pub fn plugin(config: &DriverConfig) -> Plugin<FileNode<VaultToken>> {
    let driver = VaultToken { volumes: config.volumes(), clock: config.clock.clone() };
    config.plugin(env!("CARGO_PKG_VERSION"), FileNode::new(&config.node_id, driver))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    tracing_subscriber::fmt().init();
    log_panics();
    let usage = "usage: vault-token ENDPOINT NODE [REGISTRATION-DIRECTORY]";
    let mut arguments = std::env::args().skip(1);
    let endpoint: Endpoint = arguments.next().ok_or(usage)?.parse()?;
    let node = arguments.next().ok_or(usage)?;
    let name = DriverName::parse("vault-token.example")?;
    let mut config = DriverConfig::new(name, endpoint, node).http(([127, 0, 0, 1], 9808));
    config.registration_directory = arguments.next().map(Into::into);
    let stop = CancellationToken::new();
    let serving = tokio::spawn(plugin(&config).serve(stop.clone()));
    tokio::signal::ctrl_c().await?;
    stop.cancel();
    Ok(serving.await??)
}
