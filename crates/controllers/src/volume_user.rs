//! A pod as the user of claims: where it is and which it uses, and nothing else that a pod tells.

use std::borrow::Cow;

use serde::Deserialize;

use crate::objects::{Metadata, Object, Pod};

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(from = "Pod")]
pub(crate) struct VolumeUser {
    pub(crate) metadata: Metadata,
    /// Empty until it is scheduled.
    pub(crate) node: String,
    pub(crate) claims: Vec<String>,
    /// Whether it has run its course.
    pub(crate) is_finished: bool,
}

impl From<Pod> for VolumeUser {
    fn from(mut pod: Pod) -> Self {
        let claims = pod.claims().map(Cow::into_owned).collect();
        pod.metadata.labels.clear();
        pod.metadata.annotations.clear();
        Self { claims, is_finished: pod.is_finished(), node: pod.spec.node_name, metadata: pod.metadata }
    }
}

impl Object for VolumeUser {
    fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    fn metadata_mut(&mut self) -> &mut Metadata {
        &mut self.metadata
    }
}
