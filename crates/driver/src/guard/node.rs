//! The Node service behind the guard.

use std::collections::BTreeMap;
use std::time::Instant;

use tokenward_csi::v1::node_server::Node;
use tokenward_csi::v1::*;
use tonic::{Request, Response, Status};

use super::{Call, Guarded};
use crate::locks::Subject;
use crate::scrub::Scrubber;
use crate::token_set::KeyPresence;

guarded! { Node "csi.v1.Node" {
    node_stage_volume = "NodeStageVolume", (NodeStageVolumeRequest) -> NodeStageVolumeResponse,
        |request| Some(Subject::Volume(request.volume_id.clone())),
        |request| Scrubber::of(&request.secrets, &request.volume_context);
    node_unstage_volume = "NodeUnstageVolume", (NodeUnstageVolumeRequest) -> NodeUnstageVolumeResponse,
        |request| Some(Subject::Volume(request.volume_id.clone())), |_| Scrubber::default();
    node_publish_volume = "NodePublishVolume", (NodePublishVolumeRequest) -> NodePublishVolumeResponse,
        |request| Some(Subject::Volume(request.volume_id.clone())),
        |request| Scrubber::of(&request.secrets, &request.volume_context), KeyPresence::of;
    node_unpublish_volume = "NodeUnpublishVolume", (NodeUnpublishVolumeRequest) -> NodeUnpublishVolumeResponse,
        |request| Some(Subject::Volume(request.volume_id.clone())), |_| Scrubber::default();
    node_get_volume_stats = "NodeGetVolumeStats", (NodeGetVolumeStatsRequest) -> NodeGetVolumeStatsResponse,
        |_| None, |_| Scrubber::default();
    node_expand_volume = "NodeExpandVolume", (NodeExpandVolumeRequest) -> NodeExpandVolumeResponse,
        |request| Some(Subject::Volume(request.volume_id.clone())),
        |request| Scrubber::of(&request.secrets, &BTreeMap::new());
    node_get_capabilities = "NodeGetCapabilities", (NodeGetCapabilitiesRequest) -> NodeGetCapabilitiesResponse,
        |_| None, |_| Scrubber::default();
    node_get_info = "NodeGetInfo", (NodeGetInfoRequest) -> NodeGetInfoResponse,
        |_| None, |_| Scrubber::default();
} }
