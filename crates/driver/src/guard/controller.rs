//! The Controller service behind the guard.

use std::collections::BTreeMap;
use std::time::Instant;

use tokenward_csi::v1::controller_server::Controller;
use tokenward_csi::v1::*;
use tonic::{Request, Response, Status};

use super::{Call, Guarded};
use crate::locks::Subject;
use crate::scrub::Scrubber;

guarded! { Controller "csi.v1.Controller" {
    create_volume = "CreateVolume", (CreateVolumeRequest) -> CreateVolumeResponse,
        |request| Some(Subject::Named("volume", request.name.clone())),
        |request| Scrubber::of(&request.secrets, &request.parameters);
    delete_volume = "DeleteVolume", (DeleteVolumeRequest) -> DeleteVolumeResponse,
        |request| Some(Subject::Volume(request.volume_id.clone())),
        |request| Scrubber::of(&request.secrets, &BTreeMap::new());
    controller_publish_volume = "ControllerPublishVolume", (ControllerPublishVolumeRequest) -> ControllerPublishVolumeResponse,
        |request| Some(Subject::Volume(request.volume_id.clone())),
        |request| Scrubber::of(&request.secrets, &request.volume_context);
    controller_unpublish_volume = "ControllerUnpublishVolume", (ControllerUnpublishVolumeRequest) -> ControllerUnpublishVolumeResponse,
        |request| Some(Subject::Volume(request.volume_id.clone())),
        |request| Scrubber::of(&request.secrets, &BTreeMap::new());
    validate_volume_capabilities = "ValidateVolumeCapabilities", (ValidateVolumeCapabilitiesRequest) -> ValidateVolumeCapabilitiesResponse,
        |_| None, |request| Scrubber::of(&request.secrets, &request.volume_context);
    list_volumes = "ListVolumes", (ListVolumesRequest) -> ListVolumesResponse,
        |_| None, |_| Scrubber::default();
    get_capacity = "GetCapacity", (GetCapacityRequest) -> GetCapacityResponse,
        |_| None, |_| Scrubber::default();
    controller_get_capabilities = "ControllerGetCapabilities", (ControllerGetCapabilitiesRequest) -> ControllerGetCapabilitiesResponse,
        |_| None, |_| Scrubber::default();
    create_snapshot = "CreateSnapshot", (CreateSnapshotRequest) -> CreateSnapshotResponse,
        |request| Some(Subject::Named("snapshot", request.name.clone())),
        |request| Scrubber::of(&request.secrets, &BTreeMap::new());
    delete_snapshot = "DeleteSnapshot", (DeleteSnapshotRequest) -> DeleteSnapshotResponse,
        |request| Some(Subject::Snapshot(request.snapshot_id.clone())),
        |request| Scrubber::of(&request.secrets, &BTreeMap::new());
    list_snapshots = "ListSnapshots", (ListSnapshotsRequest) -> ListSnapshotsResponse,
        |_| None, |request| Scrubber::of(&request.secrets, &BTreeMap::new());
    get_snapshot = "GetSnapshot", (GetSnapshotRequest) -> GetSnapshotResponse,
        |_| None, |request| Scrubber::of(&request.secrets, &BTreeMap::new());
    controller_expand_volume = "ControllerExpandVolume", (ControllerExpandVolumeRequest) -> ControllerExpandVolumeResponse,
        |request| Some(Subject::Volume(request.volume_id.clone())),
        |request| Scrubber::of(&request.secrets, &BTreeMap::new());
    controller_get_volume = "ControllerGetVolume", (ControllerGetVolumeRequest) -> ControllerGetVolumeResponse,
        |_| None, |_| Scrubber::default();
    controller_modify_volume = "ControllerModifyVolume", (ControllerModifyVolumeRequest) -> ControllerModifyVolumeResponse,
        |request| Some(Subject::Volume(request.volume_id.clone())),
        |request| Scrubber::of(&request.secrets, &BTreeMap::new());
} }
