//! The Node service: publish, republish, unpublish.

use std::sync::Arc;

use tokenward_driver::csi::v1::node_server::Node;
use tokenward_driver::csi::v1::volume_capability::AccessType;
use tokenward_driver::csi::v1::{
    NodeGetCapabilitiesRequest, NodeGetCapabilitiesResponse, NodeGetInfoRequest, NodeGetInfoResponse,
    NodePublishVolumeRequest, NodePublishVolumeResponse, NodeUnpublishVolumeRequest,
    NodeUnpublishVolumeResponse, VolumeCapability,
};
use tokenward_driver::{
    AtomicWriter, CallContext, Contents, File, FileSet, KeyPresence, MountError, Mounter, TargetPath,
    TokenSet, TokensError, VolumePath, WriteError, Written, required_tokens_from_publish, with_causes,
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
    mounter: Mounter,
}

impl TokenFiles {
    pub(crate) fn new(config: Config) -> Self {
        let mounter = Mounter::new(config.volume_size, config.mount);
        Self(Arc::new(Inner { config, mounter }))
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
        Ok(Response::new(NodeGetCapabilitiesResponse::default()))
    }
}

impl Inner {
    fn publish(&self, mut request: NodePublishVolumeRequest) -> Result<(), Status> {
        // Off the wire, and before the request is checked: from here on it has no token.
        let held_in = KeyPresence::of(&request);
        let tokens = required_tokens_from_publish(&mut request, self.config.read);
        self.observe(&request, held_in, tokens.as_ref().ok());

        let target = check_publish(&request)?;
        let files = files(&tokens?)?;
        let prepared = self.mounter.prepare(&target).map_err(|error| mount_status(&error))?;
        match AtomicWriter::new(target.as_path()).write(&files, self.config.clock.now()) {
            Ok(written) => {
                if written == Written::Replaced {
                    tracing::debug!(files = files.len(), backing = ?prepared.backing, "wrote the tokens");
                }
                Ok(())
            }
            Err(error) => {
                // Of a volume that was there containers hold the old tokens: it stays.
                if prepared.fresh
                    && let Err(error) = self.mounter.remove(&target)
                {
                    tracing::warn!(
                        error = with_causes(&error),
                        "a volume that could not be written stays behind"
                    );
                }
                Err(write_status(&error))
            }
        }
    }

    fn unpublish(&self, request: &NodeUnpublishVolumeRequest) -> Result<(), Status> {
        let target = check_ids(&request.volume_id, &request.target_path)?;
        self.mounter.remove(&target).map_err(|error| mount_status(&error))
    }

    fn observe(&self, request: &NodePublishVolumeRequest, held_in: KeyPresence, tokens: Option<&TokenSet>) {
        let Some(observer) = &self.config.observe else { return };
        observer.tell(&Observation {
            volume_id: request.volume_id.clone(),
            target_path: request.target_path.clone(),
            held_in,
            read: tokens.map(|found| found.placement),
            audiences: tokens.map(|found| found.tokens.audiences().cloned().collect()).unwrap_or_default(),
        });
    }
}

/// The checks of the CSI specification, NodePublishVolume.
fn check_publish(request: &NodePublishVolumeRequest) -> Result<TargetPath, Status> {
    let target = check_ids(&request.volume_id, &request.target_path)?;
    let Some(VolumeCapability { access_mode, access_type, .. }) = &request.volume_capability else {
        return Err(missing("volume_capability"));
    };
    match access_type {
        Some(AccessType::Mount(_)) => {}
        Some(AccessType::Block(_)) => {
            return Err(Status::invalid_argument(
                "volume_capability.block: this driver delivers files; ask for volume_capability.mount (volumeMode Filesystem)",
            ));
        }
        None => return Err(missing("volume_capability.access_type")),
    }
    if access_mode.is_none() {
        return Err(missing("volume_capability.access_mode"));
    }
    Ok(target)
}

fn check_ids(volume_id: &str, target_path: &str) -> Result<TargetPath, Status> {
    if volume_id.is_empty() {
        return Err(missing("volume_id"));
    }
    if target_path.is_empty() {
        return Err(missing("target_path"));
    }
    TargetPath::parse(target_path).map_err(|error| Status::invalid_argument(format!("target_path: {error}")))
}

fn missing(field: &str) -> Status {
    Status::invalid_argument(format!("{field} is missing in the request"))
}

fn files(found: &TokenSet) -> Result<FileSet, TokensError> {
    let mut files = FileSet::new();
    for audience in found.tokens.audiences() {
        let entry = found.for_audience(audience.as_str())?;
        let path = VolumePath::parse(file_name(audience.as_str()))
            .expect("a file name of an audience is a clean path");
        files
            .insert(path, File::private(Contents::token(&entry.token)))
            .expect("no two audiences have the same file name");
    }
    Ok(files)
}

/// Never a final code for what a later call may mend: on a republish it can cost the pod its mount (see [`TokensError`]).
fn mount_status(error: &MountError) -> Status {
    let text = with_causes(error);
    match error {
        MountError::ForeignFiles { .. }
        | MountError::ForeignMount { .. }
        | MountError::NotADirectory { .. } => Status::failed_precondition(text),
        MountError::NoParent { .. } => Status::internal(text),
        _ => Status::unavailable(text),
    }
}

fn write_status(error: &WriteError) -> Status {
    let text = with_causes(error);
    match error {
        WriteError::Full { .. } => Status::resource_exhausted(text),
        _ => Status::unavailable(text),
    }
}
