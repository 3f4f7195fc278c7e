//! CSIDriver (`storage.k8s.io/v1`): its spec, defaults, what a gate drops, validation, generation and warnings.
//!
//! The order of a write, as upstream's: [`set_defaults`] (also on every read), [`prepare_create`] or
//! [`prepare_update`], [`validate_create`] or [`validate_update`], then the warnings.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{FeatureGate, FeatureGates, FieldError, Release, names};

#[cfg(test)]
mod tests;

/// `CSIDriver.spec`. Absent and zero are different everywhere, as on the wire.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct CsiDriverSpec {
    /// Whether volumes must be attached before they are mounted. Immutable. Default true.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attach_required: Option<bool>,
    /// Whether pod name, namespace, uid and account go into the volume context. Default false.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pod_info_on_mount: Option<bool>,
    /// `Persistent`, `Ephemeral` or both. Immutable, order included. Default `Persistent`.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "null_as_default")]
    pub volume_lifecycle_modes: Vec<String>,
    /// Whether the scheduler asks for capacity. Default false.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub storage_capacity: Option<bool>,
    /// `ReadWriteOnceWithFSType` (default), `File` or `None`.
    #[serde(rename = "fsGroupPolicy", skip_serializing_if = "Option::is_none")]
    pub fs_group_policy: Option<String>,
    /// The audiences that the driver wants tokens for.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "null_as_default")]
    pub token_requests: Vec<TokenRequest>,
    /// Whether NodePublishVolume is called again and again, so that tokens can be renewed. Default false.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requires_republish: Option<bool>,
    /// Whether volumes are mounted with the pod's SELinux context. Default false.
    #[serde(rename = "seLinuxMount", skip_serializing_if = "Option::is_none")]
    pub se_linux_mount: Option<bool>,
    /// How often the kubelet asks how many volumes fit, in seconds, at least 10. No default: never.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node_allocatable_update_period_seconds: Option<i64>,
    /// KEP-5538: the tokens go into the secrets field. No default: absent stays absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service_account_token_in_secrets: Option<bool>,
    /// 1.36, alpha: the scheduler waits for nodes that have the driver.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prevent_pod_scheduling_if_missing: Option<bool>,
}

/// One wanted token.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct TokenRequest {
    /// Whom the token is for; empty means the API server itself.
    #[serde(deserialize_with = "null_as_default")]
    pub audience: String,
    /// How long it is asked for, in seconds; absent means an hour.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expiration_seconds: Option<i64>,
}

/// Whether an update changed the spec, and so `metadata.generation` by one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum SpecChange {
    /// The generation rises by one: the first change of an object made without one gives 1.
    Changed,
    /// The generation stays.
    Unchanged,
}

impl SpecChange {
    /// The generation after the update, given the stored one (0 when there is none).
    #[must_use]
    pub const fn next_generation(self, stored: i64) -> i64 {
        match self {
            Self::Changed => stored.saturating_add(1),
            Self::Unchanged => stored,
        }
    }
}

/// A tree that is no CSIDriver spec. Says where, never what stood there.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the CSIDriver spec is not of its type: decode it against the schema first")]
pub struct NotASpec;

impl CsiDriverSpec {
    /// Reads `spec` out of a tree that the schema has already checked and pruned; fields that are not known are ignored,
    /// null is an empty spec.
    ///
    /// # Errors
    /// A field has the wrong type.
    pub fn from_value(spec: &Value) -> Result<Self, NotASpec> {
        match spec {
            Value::Null => Ok(Self::default()),
            spec => Self::deserialize(spec).map_err(|_| NotASpec),
        }
    }

    /// The spec as a tree, with absent fields left out.
    #[must_use]
    pub fn to_value(&self) -> Value {
        serde_json::to_value(self).expect("the spec has only string keys")
    }
}

/// Fills in what upstream fills in when it decodes any version, so on every read and write.
pub fn set_defaults(spec: &mut CsiDriverSpec) {
    spec.attach_required.get_or_insert(true);
    spec.pod_info_on_mount.get_or_insert(false);
    spec.storage_capacity.get_or_insert(false);
    spec.fs_group_policy.get_or_insert_with(|| "ReadWriteOnceWithFSType".to_owned());
    if spec.volume_lifecycle_modes.is_empty() {
        spec.volume_lifecycle_modes.push("Persistent".to_owned());
    }
    spec.requires_republish.get_or_insert(false);
    spec.se_linux_mount.get_or_insert(false);
}

/// Drops what the gates do not allow on a create, without a word.
///
/// KEP-5538 says that the server rejects the field while the gate is off. The code drops it, before validation, and so
/// does this.
pub fn prepare_create(spec: &mut CsiDriverSpec, gates: &FeatureGates) {
    if !gates.enabled(FeatureGate::CsiServiceAccountTokenSecrets) {
        spec.service_account_token_in_secrets = None;
    }
    // Alpha where it is known, and its gate cannot be switched on here.
    spec.prevent_pod_scheduling_if_missing = None;
}

/// Drops what the gates do not allow on an update, and says whether the spec is another than the stored one.
///
/// With the gate off a value that is already stored may be kept, flipped or removed; only a new one is dropped. A release
/// that does not know a field loses it even if it is stored.
pub fn prepare_update(new: &mut CsiDriverSpec, old: &CsiDriverSpec, gates: &FeatureGates) -> SpecChange {
    let mut old = old.clone();
    for spec in [&mut *new, &mut old] {
        forget_unknown(spec, gates.release());
    }
    if !gates.enabled(FeatureGate::CsiServiceAccountTokenSecrets)
        && old.service_account_token_in_secrets.is_none()
    {
        new.service_account_token_in_secrets = None;
    }
    if old.prevent_pod_scheduling_if_missing.is_none() {
        new.prevent_pod_scheduling_if_missing = None;
    }
    if *new == old { SpecChange::Unchanged } else { SpecChange::Changed }
}

/// What is wrong with a new CSIDriver, in upstream's order: the name, then the spec.
#[must_use]
pub fn validate_create(name: &str, spec: &CsiDriverSpec) -> Vec<FieldError> {
    let mut errors = names::required_name(name, names::dns_subdomain);
    errors.extend(validate_spec(spec));
    errors
}

/// What is wrong with a changed CSIDriver: the whole new spec again, then what must not change. There is no ratcheting:
/// an update that leaves an invalid value in place is refused too.
#[must_use]
pub fn validate_update(new: &CsiDriverSpec, old: &CsiDriverSpec) -> Vec<FieldError> {
    let mut errors = validate_spec(new);
    if new.attach_required != old.attach_required {
        errors.push(FieldError::invalid(ATTACH_REQUIRED, new.attach_required, "field is immutable"));
    }
    if new.volume_lifecycle_modes != old.volume_lifecycle_modes {
        let modes = json!(new.volume_lifecycle_modes);
        errors.push(FieldError::invalid("spec.volumeLifecycleModes", modes, "field is immutable"));
    }
    errors
}

/// What is wrong with a spec, without the name, in upstream's order.
#[must_use]
pub fn validate_spec(spec: &CsiDriverSpec) -> Vec<FieldError> {
    let mut errors = Vec::new();
    for (path, missing) in [
        (ATTACH_REQUIRED, spec.attach_required.is_none()),
        ("spec.podInfoOnMount", spec.pod_info_on_mount.is_none()),
        ("spec.storageCapacity", spec.storage_capacity.is_none()),
    ] {
        if missing {
            errors.push(FieldError::required(path, ""));
        }
    }
    validate_fs_group_policy(spec.fs_group_policy.as_deref(), &mut errors);
    validate_token_requests(&spec.token_requests, &mut errors);
    for mode in &spec.volume_lifecycle_modes {
        let supported = ["Persistent", "Ephemeral"];
        if !supported.contains(&mode.as_str()) {
            errors.push(FieldError::not_supported("spec.volumeLifecycleModes", mode.as_str(), &supported));
        }
    }
    if spec.se_linux_mount.is_none() {
        errors.push(FieldError::required("spec.seLinuxMount", ""));
    }
    if let Some(period) = spec.node_allocatable_update_period_seconds.filter(|period| *period < 10) {
        errors.push(FieldError::invalid(
            "spec.nodeAllocatableUpdatePeriodSeconds",
            period,
            "must be greater than or equal to 10 seconds",
        ));
    }
    // Looks at no gate: a kept value without tokenRequests is refused with the gate off as well.
    if let Some(opted_in) = spec.service_account_token_in_secrets
        && spec.token_requests.is_empty()
    {
        errors.push(FieldError::invalid(
            "spec.serviceAccountTokenInSecrets",
            opted_in,
            "serviceAccountTokenInSecrets is set but no tokenRequests are specified",
        ));
    }
    errors
}

/// Warnings on a create: a driver that asks for tokens and does not say where it wants them.
///
/// KEP-5538 says that an explicit false warns too. The code is silenced by it, and so is this.
#[must_use]
pub fn warnings_create(spec: &CsiDriverSpec, gates: &FeatureGates) -> Vec<String> {
    let unset = !spec.token_requests.is_empty() && spec.service_account_token_in_secrets.is_none();
    if unset && gates.enabled(FeatureGate::CsiServiceAccountTokenSecrets) {
        vec![UNSET_WARNING.to_owned()]
    } else {
        Vec::new()
    }
}

/// Warnings on an update: as on a create, but only if the update changed `tokenRequests`.
#[must_use]
pub fn warnings_update(new: &CsiDriverSpec, old: &CsiDriverSpec, gates: &FeatureGates) -> Vec<String> {
    if new.token_requests == old.token_requests { Vec::new() } else { warnings_create(new, gates) }
}

/// Upstream's path says attach**ed**Required, and has done so since the field was new.
const ATTACH_REQUIRED: &str = "spec.attachedRequired";

const UNSET_WARNING: &str = "spec.serviceAccountTokenInSecrets is unset; if supported by this CSI driver, \
     set to true to prevent possible logging of tokens in volume attributes";

fn validate_fs_group_policy(policy: Option<&str>, errors: &mut Vec<FieldError>) {
    const PATH: &str = "spec.fsGroupPolicy";
    let supported = ["File", "None", "ReadWriteOnceWithFSType"];
    match policy {
        None => errors.push(FieldError::required(PATH, "")),
        Some(policy) if !supported.contains(&policy) => {
            errors.push(FieldError::not_supported(PATH, policy, &supported));
        }
        Some(_) => {}
    }
}

fn validate_token_requests(requests: &[TokenRequest], errors: &mut Vec<FieldError>) {
    for (index, request) in requests.iter().enumerate() {
        let path = format!("spec.tokenRequests[{index}]");
        // The empty audience is a value like any other, so it may stand here once.
        if requests[..index].iter().any(|earlier| earlier.audience == request.audience) {
            errors.push(FieldError::duplicate(format!("{path}.audience"), request.audience.as_str()));
        } else if let Some(seconds) = request.expiration_seconds {
            errors.extend(validate_expiration(&format!("{path}.expirationSeconds"), seconds));
        }
    }
}

/// The rule for the lifetime of a service account token, here and in TokenRequest: 10 minutes to 2^32 seconds.
#[must_use]
pub fn validate_expiration(path: &str, seconds: i64) -> Option<FieldError> {
    let detail = if seconds < 600 {
        "may not specify a duration less than 10 minutes"
    } else if seconds > 1 << 32 {
        "may not specify a duration larger than 2^32 seconds"
    } else {
        return None;
    };
    Some(FieldError::invalid(path, seconds, detail))
}

/// What a release that does not know a field makes of a spec that has it.
fn forget_unknown(spec: &mut CsiDriverSpec, release: Release) {
    if release < Release::V1_35 {
        spec.service_account_token_in_secrets = None;
    }
    if release < Release::V1_36 {
        spec.prevent_pod_scheduling_if_missing = None;
    }
}

fn null_as_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: serde::Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Option::deserialize(deserializer).map(Option::unwrap_or_default)
}
