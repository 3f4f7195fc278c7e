//! Publish, republish, unpublish.

use std::sync::Arc;

use jiff::Timestamp;
use tokenward_driver::csi::v1::{NodePublishVolumeRequest, NodeUnpublishVolumeRequest};
use tokenward_driver::{
    CallContext, Contents, File, FileDriver, FileSet, FileVolumes, KeyPresence, PublishTarget, TokenSet,
    TokensError, VolumePath, Written, required_tokens_from_publish, unpublish_target,
};
use tonic::Status;

use crate::config::{Config, Observation};
use crate::name::file_name;

/// The driver.
#[derive(Debug)]
pub(crate) struct TokenFiles {
    config: Config,
    volumes: FileVolumes,
}

impl FileDriver for TokenFiles {
    async fn publish(
        self: &Arc<Self>,
        call: &CallContext,
        request: NodePublishVolumeRequest,
    ) -> Result<(), Status> {
        let this = Arc::clone(self);
        call.blocking(move || this.publish_now(request)).await
    }

    async fn unpublish(
        self: &Arc<Self>,
        call: &CallContext,
        request: NodeUnpublishVolumeRequest,
    ) -> Result<(), Status> {
        let this = Arc::clone(self);
        call.blocking(move || Ok(this.volumes.unpublish(&unpublish_target(&request)?)?)).await
    }
}

impl TokenFiles {
    pub(crate) fn new(config: Config) -> Self {
        Self { volumes: config.driver.volumes(), config }
    }

    fn publish_now(&self, mut request: NodePublishVolumeRequest) -> Result<(), Status> {
        // Off the wire, and before the request is checked: from here on it has no token.
        let held_in = KeyPresence::of(&request);
        let tokens = required_tokens_from_publish(&mut request, self.config.driver.read);
        self.observe(&request, held_in, tokens.as_ref().ok());

        let target = PublishTarget::of(&request)?;
        let now = self.config.driver.clock.now();
        let files = files(&tokens?, now)?;
        let published = self.volumes.publish(&target, &files, now)?;
        if published.written == Written::Replaced {
            tracing::debug!(files = files.len(), backing = ?published.backing, "wrote the tokens");
        }
        Ok(())
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
