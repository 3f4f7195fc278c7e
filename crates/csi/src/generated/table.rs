// Generated from proto/csi.proto; the test `generated` holds it and writes it anew. Do not edit.

static MESSAGES: &[Message] = &[
    // 0
    Message::new("csi.v1.BlockMetadata", &[
        Field::single("byte_offset", 1, Kind::Int64),
        Field::single("size_bytes", 2, Kind::Int64),
    ], &[0, 1]),
    // 1
    Message::new("csi.v1.CapacityRange", &[
        Field::single("limit_bytes", 2, Kind::Int64),
        Field::single("required_bytes", 1, Kind::Int64),
    ], &[1, 0]),
    // 2
    Message::new("csi.v1.ControllerExpandVolumeRequest", &[
        Field::single("capacity_range", 2, Kind::Message(MessageId(1))),
        Field::map("secrets", 3, Kind::String, Kind::String).secret(),
        Field::single("volume_capability", 4, Kind::Message(MessageId(84))),
        Field::single("volume_id", 1, Kind::String),
    ], &[3, 0, 1, 2]),
    // 3
    Message::new("csi.v1.ControllerExpandVolumeResponse", &[
        Field::single("capacity_bytes", 1, Kind::Int64),
        Field::single("node_expansion_required", 2, Kind::Bool),
    ], &[0, 1]),
    // 4
    Message::new("csi.v1.ControllerGetCapabilitiesRequest", &[
    ], &[]),
    // 5
    Message::new("csi.v1.ControllerGetCapabilitiesResponse", &[
        Field::repeated("capabilities", 1, Kind::Message(MessageId(13))),
    ], &[0]),
    // 6
    Message::new("csi.v1.ControllerGetVolumeRequest", &[
        Field::single("volume_id", 1, Kind::String),
    ], &[0]),
    // 7
    Message::new("csi.v1.ControllerGetVolumeResponse", &[
        Field::single("status", 2, Kind::Message(MessageId(8))),
        Field::single("volume", 1, Kind::Message(MessageId(83))),
    ], &[1, 0]),
    // 8
    Message::new("csi.v1.ControllerGetVolumeResponse.VolumeStatus", &[
        Field::repeated("published_node_ids", 1, Kind::String),
        Field::single("volume_condition", 2, Kind::Message(MessageId(88))),
    ], &[0, 1]),
    // 9
    Message::new("csi.v1.ControllerModifyVolumeRequest", &[
        Field::map("mutable_parameters", 3, Kind::String, Kind::String),
        Field::map("secrets", 2, Kind::String, Kind::String).secret(),
        Field::single("volume_id", 1, Kind::String),
    ], &[2, 1, 0]),
    // 10
    Message::new("csi.v1.ControllerModifyVolumeResponse", &[
    ], &[]),
    // 11
    Message::new("csi.v1.ControllerPublishVolumeRequest", &[
        Field::single("node_id", 2, Kind::String),
        Field::single("readonly", 4, Kind::Bool),
        Field::map("secrets", 5, Kind::String, Kind::String).secret(),
        Field::single("volume_capability", 3, Kind::Message(MessageId(84))),
        Field::map("volume_context", 6, Kind::String, Kind::String),
        Field::single("volume_id", 1, Kind::String),
    ], &[5, 0, 3, 1, 2, 4]),
    // 12
    Message::new("csi.v1.ControllerPublishVolumeResponse", &[
        Field::map("publish_context", 1, Kind::String, Kind::String),
    ], &[0]),
    // 13
    Message::new("csi.v1.ControllerServiceCapability", &[
        Field::member(0, "rpc", 1, Kind::Message(MessageId(14))),
    ], &[0]),
    // 14
    Message::new("csi.v1.ControllerServiceCapability.RPC", &[
        Field::single("type", 1, Kind::Enum(EnumId(1))),
    ], &[0]),
    // 15
    Message::new("csi.v1.ControllerUnpublishVolumeRequest", &[
        Field::single("node_id", 2, Kind::String),
        Field::map("secrets", 3, Kind::String, Kind::String).secret(),
        Field::single("volume_id", 1, Kind::String),
    ], &[2, 0, 1]),
    // 16
    Message::new("csi.v1.ControllerUnpublishVolumeResponse", &[
    ], &[]),
    // 17
    Message::new("csi.v1.CreateSnapshotRequest", &[
        Field::single("name", 2, Kind::String),
        Field::map("parameters", 4, Kind::String, Kind::String),
        Field::map("secrets", 3, Kind::String, Kind::String).secret(),
        Field::single("source_volume_id", 1, Kind::String),
    ], &[3, 0, 2, 1]),
    // 18
    Message::new("csi.v1.CreateSnapshotResponse", &[
        Field::single("snapshot", 1, Kind::Message(MessageId(77))),
    ], &[0]),
    // 19
    Message::new("csi.v1.CreateVolumeGroupSnapshotRequest", &[
        Field::single("name", 1, Kind::String),
        Field::map("parameters", 4, Kind::String, Kind::String),
        Field::map("secrets", 3, Kind::String, Kind::String).secret(),
        Field::repeated("source_volume_ids", 2, Kind::String),
    ], &[0, 3, 2, 1]),
    // 20
    Message::new("csi.v1.CreateVolumeGroupSnapshotResponse", &[
        Field::single("group_snapshot", 1, Kind::Message(MessageId(92))),
    ], &[0]),
    // 21
    Message::new("csi.v1.CreateVolumeRequest", &[
        Field::single("accessibility_requirements", 7, Kind::Message(MessageId(79))),
        Field::single("capacity_range", 2, Kind::Message(MessageId(1))),
        Field::map("mutable_parameters", 8, Kind::String, Kind::String),
        Field::single("name", 1, Kind::String),
        Field::map("parameters", 4, Kind::String, Kind::String),
        Field::map("secrets", 5, Kind::String, Kind::String).secret(),
        Field::repeated("volume_capabilities", 3, Kind::Message(MessageId(84))),
        Field::single("volume_content_source", 6, Kind::Message(MessageId(89))),
    ], &[3, 1, 6, 4, 5, 7, 0, 2]),
    // 22
    Message::new("csi.v1.CreateVolumeResponse", &[
        Field::single("volume", 1, Kind::Message(MessageId(83))),
    ], &[0]),
    // 23
    Message::new("csi.v1.DeleteSnapshotRequest", &[
        Field::map("secrets", 2, Kind::String, Kind::String).secret(),
        Field::single("snapshot_id", 1, Kind::String),
    ], &[1, 0]),
    // 24
    Message::new("csi.v1.DeleteSnapshotResponse", &[
    ], &[]),
    // 25
    Message::new("csi.v1.DeleteVolumeGroupSnapshotRequest", &[
        Field::single("group_snapshot_id", 1, Kind::String),
        Field::map("secrets", 3, Kind::String, Kind::String).secret(),
        Field::repeated("snapshot_ids", 2, Kind::String),
    ], &[0, 2, 1]),
    // 26
    Message::new("csi.v1.DeleteVolumeGroupSnapshotResponse", &[
    ], &[]),
    // 27
    Message::new("csi.v1.DeleteVolumeRequest", &[
        Field::map("secrets", 2, Kind::String, Kind::String).secret(),
        Field::single("volume_id", 1, Kind::String),
    ], &[1, 0]),
    // 28
    Message::new("csi.v1.DeleteVolumeResponse", &[
    ], &[]),
    // 29
    Message::new("csi.v1.GetCapacityRequest", &[
        Field::single("accessible_topology", 3, Kind::Message(MessageId(78))),
        Field::map("parameters", 2, Kind::String, Kind::String),
        Field::repeated("volume_capabilities", 1, Kind::Message(MessageId(84))),
    ], &[2, 1, 0]),
    // 30
    Message::new("csi.v1.GetCapacityResponse", &[
        Field::single("available_capacity", 1, Kind::Int64),
        Field::single("maximum_volume_size", 2, Kind::Message(MessageId(95))),
        Field::single("minimum_volume_size", 3, Kind::Message(MessageId(95))),
    ], &[0, 1, 2]),
    // 31
    Message::new("csi.v1.GetMetadataAllocatedRequest", &[
        Field::single("max_results", 3, Kind::Int32),
        Field::map("secrets", 4, Kind::String, Kind::String).secret(),
        Field::single("snapshot_id", 1, Kind::String),
        Field::single("starting_offset", 2, Kind::Int64),
    ], &[2, 3, 0, 1]),
    // 32
    Message::new("csi.v1.GetMetadataAllocatedResponse", &[
        Field::repeated("block_metadata", 3, Kind::Message(MessageId(0))),
        Field::single("block_metadata_type", 1, Kind::Enum(EnumId(0))),
        Field::single("volume_capacity_bytes", 2, Kind::Int64),
    ], &[1, 2, 0]),
    // 33
    Message::new("csi.v1.GetMetadataDeltaRequest", &[
        Field::single("base_snapshot_id", 1, Kind::String),
        Field::single("max_results", 4, Kind::Int32),
        Field::map("secrets", 5, Kind::String, Kind::String).secret(),
        Field::single("starting_offset", 3, Kind::Int64),
        Field::single("target_snapshot_id", 2, Kind::String),
    ], &[0, 4, 3, 1, 2]),
    // 34
    Message::new("csi.v1.GetMetadataDeltaResponse", &[
        Field::repeated("block_metadata", 3, Kind::Message(MessageId(0))),
        Field::single("block_metadata_type", 1, Kind::Enum(EnumId(0))),
        Field::single("volume_capacity_bytes", 2, Kind::Int64),
    ], &[1, 2, 0]),
    // 35
    Message::new("csi.v1.GetPluginCapabilitiesRequest", &[
    ], &[]),
    // 36
    Message::new("csi.v1.GetPluginCapabilitiesResponse", &[
        Field::repeated("capabilities", 1, Kind::Message(MessageId(72))),
    ], &[0]),
    // 37
    Message::new("csi.v1.GetPluginInfoRequest", &[
    ], &[]),
    // 38
    Message::new("csi.v1.GetPluginInfoResponse", &[
        Field::map("manifest", 3, Kind::String, Kind::String),
        Field::single("name", 1, Kind::String),
        Field::single("vendor_version", 2, Kind::String),
    ], &[1, 2, 0]),
    // 39
    Message::new("csi.v1.GetSnapshotRequest", &[
        Field::map("secrets", 2, Kind::String, Kind::String).secret(),
        Field::single("snapshot_id", 1, Kind::String),
    ], &[1, 0]),
    // 40
    Message::new("csi.v1.GetSnapshotResponse", &[
        Field::single("snapshot", 1, Kind::Message(MessageId(77))),
    ], &[0]),
    // 41
    Message::new("csi.v1.GetVolumeGroupSnapshotRequest", &[
        Field::single("group_snapshot_id", 1, Kind::String),
        Field::map("secrets", 3, Kind::String, Kind::String).secret(),
        Field::repeated("snapshot_ids", 2, Kind::String),
    ], &[0, 2, 1]),
    // 42
    Message::new("csi.v1.GetVolumeGroupSnapshotResponse", &[
        Field::single("group_snapshot", 1, Kind::Message(MessageId(92))),
    ], &[0]),
    // 43
    Message::new("csi.v1.GroupControllerGetCapabilitiesRequest", &[
    ], &[]),
    // 44
    Message::new("csi.v1.GroupControllerGetCapabilitiesResponse", &[
        Field::repeated("capabilities", 1, Kind::Message(MessageId(45))),
    ], &[0]),
    // 45
    Message::new("csi.v1.GroupControllerServiceCapability", &[
        Field::member(0, "rpc", 1, Kind::Message(MessageId(46))),
    ], &[0]),
    // 46
    Message::new("csi.v1.GroupControllerServiceCapability.RPC", &[
        Field::single("type", 1, Kind::Enum(EnumId(2))),
    ], &[0]),
    // 47
    Message::new("csi.v1.ListSnapshotsRequest", &[
        Field::single("max_entries", 1, Kind::Int32),
        Field::map("secrets", 5, Kind::String, Kind::String).secret(),
        Field::single("snapshot_id", 4, Kind::String),
        Field::single("source_volume_id", 3, Kind::String),
        Field::single("starting_token", 2, Kind::String),
    ], &[0, 4, 3, 2, 1]),
    // 48
    Message::new("csi.v1.ListSnapshotsResponse", &[
        Field::repeated("entries", 1, Kind::Message(MessageId(49))),
        Field::single("next_token", 2, Kind::String),
    ], &[0, 1]),
    // 49
    Message::new("csi.v1.ListSnapshotsResponse.Entry", &[
        Field::single("snapshot", 1, Kind::Message(MessageId(77))),
    ], &[0]),
    // 50
    Message::new("csi.v1.ListVolumesRequest", &[
        Field::single("max_entries", 1, Kind::Int32),
        Field::single("starting_token", 2, Kind::String),
    ], &[0, 1]),
    // 51
    Message::new("csi.v1.ListVolumesResponse", &[
        Field::repeated("entries", 1, Kind::Message(MessageId(52))),
        Field::single("next_token", 2, Kind::String),
    ], &[0, 1]),
    // 52
    Message::new("csi.v1.ListVolumesResponse.Entry", &[
        Field::single("status", 2, Kind::Message(MessageId(53))),
        Field::single("volume", 1, Kind::Message(MessageId(83))),
    ], &[1, 0]),
    // 53
    Message::new("csi.v1.ListVolumesResponse.VolumeStatus", &[
        Field::repeated("published_node_ids", 1, Kind::String),
        Field::single("volume_condition", 2, Kind::Message(MessageId(88))),
    ], &[0, 1]),
    // 54
    Message::new("csi.v1.NodeExpandVolumeRequest", &[
        Field::single("capacity_range", 3, Kind::Message(MessageId(1))),
        Field::map("secrets", 6, Kind::String, Kind::String).secret(),
        Field::single("staging_target_path", 4, Kind::String),
        Field::single("volume_capability", 5, Kind::Message(MessageId(84))),
        Field::single("volume_id", 1, Kind::String),
        Field::single("volume_path", 2, Kind::String),
    ], &[4, 5, 0, 2, 3, 1]),
    // 55
    Message::new("csi.v1.NodeExpandVolumeResponse", &[
        Field::single("capacity_bytes", 1, Kind::Int64),
    ], &[0]),
    // 56
    Message::new("csi.v1.NodeGetCapabilitiesRequest", &[
    ], &[]),
    // 57
    Message::new("csi.v1.NodeGetCapabilitiesResponse", &[
        Field::repeated("capabilities", 1, Kind::Message(MessageId(64))),
    ], &[0]),
    // 58
    Message::new("csi.v1.NodeGetInfoRequest", &[
    ], &[]),
    // 59
    Message::new("csi.v1.NodeGetInfoResponse", &[
        Field::single("accessible_topology", 3, Kind::Message(MessageId(78))),
        Field::single("max_volumes_per_node", 2, Kind::Int64),
        Field::single("node_id", 1, Kind::String),
    ], &[2, 1, 0]),
    // 60
    Message::new("csi.v1.NodeGetVolumeStatsRequest", &[
        Field::single("staging_target_path", 3, Kind::String),
        Field::single("volume_id", 1, Kind::String),
        Field::single("volume_path", 2, Kind::String),
    ], &[1, 2, 0]),
    // 61
    Message::new("csi.v1.NodeGetVolumeStatsResponse", &[
        Field::repeated("usage", 1, Kind::Message(MessageId(93))),
        Field::single("volume_condition", 2, Kind::Message(MessageId(88))),
    ], &[0, 1]),
    // 62
    Message::new("csi.v1.NodePublishVolumeRequest", &[
        Field::map("publish_context", 2, Kind::String, Kind::String),
        Field::single("readonly", 6, Kind::Bool),
        Field::map("secrets", 7, Kind::String, Kind::String).secret(),
        Field::single("staging_target_path", 3, Kind::String),
        Field::single("target_path", 4, Kind::String),
        Field::single("volume_capability", 5, Kind::Message(MessageId(84))),
        Field::map("volume_context", 8, Kind::String, Kind::String),
        Field::single("volume_id", 1, Kind::String),
    ], &[7, 0, 3, 4, 5, 1, 2, 6]),
    // 63
    Message::new("csi.v1.NodePublishVolumeResponse", &[
    ], &[]),
    // 64
    Message::new("csi.v1.NodeServiceCapability", &[
        Field::member(0, "rpc", 1, Kind::Message(MessageId(65))),
    ], &[0]),
    // 65
    Message::new("csi.v1.NodeServiceCapability.RPC", &[
        Field::single("type", 1, Kind::Enum(EnumId(3))),
    ], &[0]),
    // 66
    Message::new("csi.v1.NodeStageVolumeRequest", &[
        Field::map("publish_context", 2, Kind::String, Kind::String),
        Field::map("secrets", 5, Kind::String, Kind::String).secret(),
        Field::single("staging_target_path", 3, Kind::String),
        Field::single("volume_capability", 4, Kind::Message(MessageId(84))),
        Field::map("volume_context", 6, Kind::String, Kind::String),
        Field::single("volume_id", 1, Kind::String),
    ], &[5, 0, 2, 3, 1, 4]),
    // 67
    Message::new("csi.v1.NodeStageVolumeResponse", &[
    ], &[]),
    // 68
    Message::new("csi.v1.NodeUnpublishVolumeRequest", &[
        Field::single("target_path", 2, Kind::String),
        Field::single("volume_id", 1, Kind::String),
    ], &[1, 0]),
    // 69
    Message::new("csi.v1.NodeUnpublishVolumeResponse", &[
    ], &[]),
    // 70
    Message::new("csi.v1.NodeUnstageVolumeRequest", &[
        Field::single("staging_target_path", 2, Kind::String),
        Field::single("volume_id", 1, Kind::String),
    ], &[1, 0]),
    // 71
    Message::new("csi.v1.NodeUnstageVolumeResponse", &[
    ], &[]),
    // 72
    Message::new("csi.v1.PluginCapability", &[
        Field::member(0, "service", 1, Kind::Message(MessageId(73))),
        Field::member(0, "volume_expansion", 2, Kind::Message(MessageId(74))),
    ], &[0, 1]),
    // 73
    Message::new("csi.v1.PluginCapability.Service", &[
        Field::single("type", 1, Kind::Enum(EnumId(4))),
    ], &[0]),
    // 74
    Message::new("csi.v1.PluginCapability.VolumeExpansion", &[
        Field::single("type", 1, Kind::Enum(EnumId(5))),
    ], &[0]),
    // 75
    Message::new("csi.v1.ProbeRequest", &[
    ], &[]),
    // 76
    Message::new("csi.v1.ProbeResponse", &[
        Field::single("ready", 1, Kind::Message(MessageId(94))),
    ], &[0]),
    // 77
    Message::new("csi.v1.Snapshot", &[
        Field::single("creation_time", 4, Kind::Message(MessageId(96))),
        Field::single("group_snapshot_id", 6, Kind::String),
        Field::single("ready_to_use", 5, Kind::Bool),
        Field::single("size_bytes", 1, Kind::Int64),
        Field::single("snapshot_id", 2, Kind::String),
        Field::single("source_volume_id", 3, Kind::String),
    ], &[3, 4, 5, 0, 2, 1]),
    // 78
    Message::new("csi.v1.Topology", &[
        Field::map("segments", 1, Kind::String, Kind::String),
    ], &[0]),
    // 79
    Message::new("csi.v1.TopologyRequirement", &[
        Field::repeated("preferred", 2, Kind::Message(MessageId(78))),
        Field::repeated("requisite", 1, Kind::Message(MessageId(78))),
    ], &[1, 0]),
    // 80
    Message::new("csi.v1.ValidateVolumeCapabilitiesRequest", &[
        Field::map("mutable_parameters", 6, Kind::String, Kind::String),
        Field::map("parameters", 4, Kind::String, Kind::String),
        Field::map("secrets", 5, Kind::String, Kind::String).secret(),
        Field::repeated("volume_capabilities", 3, Kind::Message(MessageId(84))),
        Field::map("volume_context", 2, Kind::String, Kind::String),
        Field::single("volume_id", 1, Kind::String),
    ], &[5, 4, 3, 1, 2, 0]),
    // 81
    Message::new("csi.v1.ValidateVolumeCapabilitiesResponse", &[
        Field::single("confirmed", 1, Kind::Message(MessageId(82))),
        Field::single("message", 2, Kind::String),
    ], &[0, 1]),
    // 82
    Message::new("csi.v1.ValidateVolumeCapabilitiesResponse.Confirmed", &[
        Field::map("mutable_parameters", 4, Kind::String, Kind::String),
        Field::map("parameters", 3, Kind::String, Kind::String),
        Field::repeated("volume_capabilities", 2, Kind::Message(MessageId(84))),
        Field::map("volume_context", 1, Kind::String, Kind::String),
    ], &[3, 2, 1, 0]),
    // 83
    Message::new("csi.v1.Volume", &[
        Field::repeated("accessible_topology", 5, Kind::Message(MessageId(78))),
        Field::single("capacity_bytes", 1, Kind::Int64),
        Field::single("content_source", 4, Kind::Message(MessageId(89))),
        Field::map("volume_context", 3, Kind::String, Kind::String),
        Field::single("volume_id", 2, Kind::String),
    ], &[1, 4, 3, 2, 0]),
    // 84
    Message::new("csi.v1.VolumeCapability", &[
        Field::single("access_mode", 3, Kind::Message(MessageId(85))),
        Field::member(0, "block", 1, Kind::Message(MessageId(86))),
        Field::member(0, "mount", 2, Kind::Message(MessageId(87))),
    ], &[1, 2, 0]),
    // 85
    Message::new("csi.v1.VolumeCapability.AccessMode", &[
        Field::single("mode", 1, Kind::Enum(EnumId(6))),
    ], &[0]),
    // 86
    Message::new("csi.v1.VolumeCapability.BlockVolume", &[
    ], &[]),
    // 87
    Message::new("csi.v1.VolumeCapability.MountVolume", &[
        Field::single("fs_type", 1, Kind::String),
        Field::repeated("mount_flags", 2, Kind::String),
        Field::single("volume_mount_group", 3, Kind::String),
    ], &[0, 1, 2]),
    // 88
    Message::new("csi.v1.VolumeCondition", &[
        Field::single("abnormal", 1, Kind::Bool),
        Field::single("message", 2, Kind::String),
    ], &[0, 1]),
    // 89
    Message::new("csi.v1.VolumeContentSource", &[
        Field::member(0, "snapshot", 1, Kind::Message(MessageId(90))),
        Field::member(0, "volume", 2, Kind::Message(MessageId(91))),
    ], &[0, 1]),
    // 90
    Message::new("csi.v1.VolumeContentSource.SnapshotSource", &[
        Field::single("snapshot_id", 1, Kind::String),
    ], &[0]),
    // 91
    Message::new("csi.v1.VolumeContentSource.VolumeSource", &[
        Field::single("volume_id", 1, Kind::String),
    ], &[0]),
    // 92
    Message::new("csi.v1.VolumeGroupSnapshot", &[
        Field::single("creation_time", 3, Kind::Message(MessageId(96))),
        Field::single("group_snapshot_id", 1, Kind::String),
        Field::single("ready_to_use", 4, Kind::Bool),
        Field::repeated("snapshots", 2, Kind::Message(MessageId(77))),
    ], &[1, 3, 0, 2]),
    // 93
    Message::new("csi.v1.VolumeUsage", &[
        Field::single("available", 1, Kind::Int64),
        Field::single("total", 2, Kind::Int64),
        Field::single("unit", 4, Kind::Enum(EnumId(7))),
        Field::single("used", 3, Kind::Int64),
    ], &[0, 1, 3, 2]),
    // 94
    Message::new("google.protobuf.BoolValue", &[
        Field::single("value", 1, Kind::Bool),
    ], &[0]),
    // 95
    Message::new("google.protobuf.Int64Value", &[
        Field::single("value", 1, Kind::Int64),
    ], &[0]),
    // 96
    Message::new("google.protobuf.Timestamp", &[
        Field::single("nanos", 2, Kind::Int32),
        Field::single("seconds", 1, Kind::Int64),
    ], &[1, 0]),
];

static ENUMS: &[Enum] = &[
    Enum { name: "csi.v1.BlockMetadataType", values: &[
        (0, "UNKNOWN"),
        (1, "FIXED_LENGTH"),
        (2, "VARIABLE_LENGTH"),
    ] },
    Enum { name: "csi.v1.ControllerServiceCapability.RPC.Type", values: &[
        (0, "UNKNOWN"),
        (1, "CREATE_DELETE_VOLUME"),
        (2, "PUBLISH_UNPUBLISH_VOLUME"),
        (3, "LIST_VOLUMES"),
        (4, "GET_CAPACITY"),
        (5, "CREATE_DELETE_SNAPSHOT"),
        (6, "LIST_SNAPSHOTS"),
        (7, "CLONE_VOLUME"),
        (8, "PUBLISH_READONLY"),
        (9, "EXPAND_VOLUME"),
        (10, "LIST_VOLUMES_PUBLISHED_NODES"),
        (11, "VOLUME_CONDITION"),
        (12, "GET_VOLUME"),
        (13, "SINGLE_NODE_MULTI_WRITER"),
        (14, "MODIFY_VOLUME"),
        (15, "GET_SNAPSHOT"),
    ] },
    Enum { name: "csi.v1.GroupControllerServiceCapability.RPC.Type", values: &[
        (0, "UNKNOWN"),
        (1, "CREATE_DELETE_GET_VOLUME_GROUP_SNAPSHOT"),
    ] },
    Enum { name: "csi.v1.NodeServiceCapability.RPC.Type", values: &[
        (0, "UNKNOWN"),
        (1, "STAGE_UNSTAGE_VOLUME"),
        (2, "GET_VOLUME_STATS"),
        (3, "EXPAND_VOLUME"),
        (4, "VOLUME_CONDITION"),
        (5, "SINGLE_NODE_MULTI_WRITER"),
        (6, "VOLUME_MOUNT_GROUP"),
    ] },
    Enum { name: "csi.v1.PluginCapability.Service.Type", values: &[
        (0, "UNKNOWN"),
        (1, "CONTROLLER_SERVICE"),
        (2, "VOLUME_ACCESSIBILITY_CONSTRAINTS"),
        (3, "GROUP_CONTROLLER_SERVICE"),
        (4, "SNAPSHOT_METADATA_SERVICE"),
    ] },
    Enum { name: "csi.v1.PluginCapability.VolumeExpansion.Type", values: &[
        (0, "UNKNOWN"),
        (1, "ONLINE"),
        (2, "OFFLINE"),
    ] },
    Enum { name: "csi.v1.VolumeCapability.AccessMode.Mode", values: &[
        (0, "UNKNOWN"),
        (1, "SINGLE_NODE_WRITER"),
        (2, "SINGLE_NODE_READER_ONLY"),
        (3, "MULTI_NODE_READER_ONLY"),
        (4, "MULTI_NODE_SINGLE_WRITER"),
        (5, "MULTI_NODE_MULTI_WRITER"),
        (6, "SINGLE_NODE_SINGLE_WRITER"),
        (7, "SINGLE_NODE_MULTI_WRITER"),
    ] },
    Enum { name: "csi.v1.VolumeUsage.Unit", values: &[
        (0, "UNKNOWN"),
        (1, "BYTES"),
        (2, "INODES"),
    ] },
];
