//! The sets of labels. Upstream's have upstream's names.

use prometheus_client::encoding::EncodeLabelSet;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct CsiLabels {
    pub(super) driver_name: String,
    pub(super) method_name: &'static str,
    pub(super) grpc_status_code: &'static str,
    pub(super) migrated: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct OperationLabels {
    pub(super) volume_plugin: String,
    pub(super) operation_name: &'static str,
    pub(super) status: &'static str,
    pub(super) migrated: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct TotalLabels {
    pub(super) plugin_name: String,
    pub(super) operation_name: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct AskedLabels {
    pub(super) driver: String,
    pub(super) audience: String,
    pub(super) result: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct FetchLabels {
    pub(super) driver: String,
    pub(super) audience: String,
    pub(super) outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct DeliveryLabels {
    pub(super) driver: String,
    pub(super) placement: &'static str,
    pub(super) republish: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct DriverLabels {
    pub(super) driver: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct VolumeLabels {
    pub(super) driver: String,
    pub(super) state: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct PluginLabels {
    pub(super) socket_path: String,
    pub(super) state: &'static str,
}
