//! Objects as rows and columns (`as=Table`), the way kubectl prints them.
//!
//! Pure: a row follows from the object, the time and the gates. Columns, their formats and priorities and what stands in
//! the cells are upstream's, kind by kind; one column more says where a CSIDriver's tokens go.

mod apps;
mod column;
mod core;
mod duration;
mod others;
mod pod;
mod seen;
mod storage;

use jiff::Timestamp;
use serde_json::{Map, Value, json};
use tokenward_kube_rules::{FeatureGates, Release};
use tokenward_kube_schema::Kind;

use self::column::{Column, Layout};
use self::seen::Seen;
use crate::status::{ApiError, go_quote};

/// What rows show beside the object itself.
pub(crate) struct Scene<'a> {
    /// Ages count from here.
    pub(crate) now: Timestamp,
    /// They decide where tokens go.
    pub(crate) gates: &'a FeatureGates,
    /// What each row carries of its object.
    pub(crate) include: Include,
}

/// What a row carries of its object: the parameter `includeObject`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Include {
    /// Its metadata.
    #[default]
    Metadata,
    /// Nothing.
    Nothing,
    /// All of it.
    Object,
}

impl Include {
    /// Reads the parameter.
    pub(crate) fn parse(text: &str) -> Result<Self, ApiError> {
        match text {
            "" | "Metadata" => Ok(Self::Metadata),
            "None" => Ok(Self::Nothing),
            "Object" => Ok(Self::Object),
            other => Err(ApiError::bad_request(format!(
                "Unable to convert to Table as requested: includeObject: Invalid value: {}: must be 'Metadata', \
                 'Object', 'None', or empty",
                go_quote(other)
            ))),
        }
    }
}

/// The definitions of a kind's columns.
pub(crate) fn columns(kind: &Kind, release: Release) -> Value {
    layout(kind, release).columns.iter().map(Column::define).collect()
}

/// An object's row. `api_version` is that of the table.
pub(crate) fn row(kind: &'static Kind, object: Value, scene: &Scene<'_>, api_version: &str) -> Value {
    let seen = Seen { object: &object, now: scene.now, gates: scene.gates };
    let layout = layout(kind, scene.gates.release());
    let mut row = Map::new();
    row.insert("cells".to_owned(), (layout.cells)(&seen).into());
    debug_assert_eq!(row["cells"].as_array().map(Vec::len), Some(layout.columns.len()), "{}", kind.kind);
    if kind.kind == "Pod" {
        row.extend(pod::conditions(&seen).map(|conditions| ("conditions".to_owned(), conditions)));
    }
    let carried = match scene.include {
        Include::Nothing => Value::Null,
        Include::Metadata => json!({
            "kind": "PartialObjectMetadata",
            "apiVersion": api_version,
            "metadata": object["metadata"],
        }),
        Include::Object => object,
    };
    row.insert("object".to_owned(), carried);
    row.into()
}

fn layout(kind: &Kind, release: Release) -> &'static Layout {
    match (kind.group, kind.kind) {
        ("", "ConfigMap") => &core::CONFIG_MAP,
        ("", "Event") => &core::EVENT,
        ("", "Namespace") => &core::NAMESPACE,
        ("", "Node") => &core::NODE,
        ("", "PersistentVolume") => &storage::PERSISTENT_VOLUME,
        ("", "PersistentVolumeClaim") => &storage::PERSISTENT_VOLUME_CLAIM,
        ("", "Pod") => &pod::POD,
        ("", "Secret") => &core::SECRET,
        ("", "ServiceAccount") if release == Release::V1_34 => &core::SERVICE_ACCOUNT_WITH_SECRETS,
        ("", "ServiceAccount") => &core::SERVICE_ACCOUNT,
        ("admissionregistration.k8s.io", "ValidatingWebhookConfiguration") => &others::WEBHOOK_CONFIGURATION,
        ("apps", "ControllerRevision") => &apps::CONTROLLER_REVISION,
        ("apps", "DaemonSet") => &apps::DAEMON_SET,
        ("coordination.k8s.io", "Lease") => &others::LEASE,
        ("discovery.k8s.io", "EndpointSlice") => &others::ENDPOINT_SLICE,
        ("policy", "PodDisruptionBudget") => &others::DISRUPTION_BUDGET,
        ("rbac.authorization.k8s.io", "RoleBinding" | "ClusterRoleBinding") => &others::ROLE_BINDING,
        ("scheduling.k8s.io", "PriorityClass") => &others::PRIORITY_CLASS,
        ("storage.k8s.io", "CSIDriver") => &storage::CSI_DRIVER,
        ("storage.k8s.io", "CSINode") => &storage::CSI_NODE,
        ("storage.k8s.io", "StorageClass") => &storage::STORAGE_CLASS,
        ("storage.k8s.io", "VolumeAttachment") => &storage::VOLUME_ATTACHMENT,
        _ => &others::ANY,
    }
}

#[cfg(test)]
mod tests;
