//! Kubernetes releases and feature gates, CSIDriver defaults, validation and warnings, and where tokens are placed.
//!
//! The one invariant: every function here is a function of values. Nobody else decides what a release knows, what a
//! CSIDriver may hold, or into which map of `NodePublishVolume` the kubelet puts service account tokens. Where KEP-5538
//! and the upstream code differ, the code is followed; the differences are named where they are decided.
//!
//! ```
//! use tokenward_kube_rules::{FeatureGates, Release, csi_driver::{self, CsiDriverSpec}};
//!
//! let gates = FeatureGates::parse(Release::V1_35, "CSIServiceAccountTokenSecrets=false")?;
//! let mut spec = CsiDriverSpec { service_account_token_in_secrets: Some(true), ..CsiDriverSpec::default() };
//! csi_driver::set_defaults(&mut spec);
//! csi_driver::prepare_create(&mut spec, &gates);
//! // The gate is off: the field is dropped without a word, so nothing is left to complain about.
//! assert_eq!(spec.service_account_token_in_secrets, None);
//! assert!(csi_driver::validate_create("files.csi.example", &spec).is_empty());
//! # Ok::<(), tokenward_kube_rules::FeatureGateError>(())
//! ```
//!
//! Start at [`Release`] and [`FeatureGates`]; [`csi_driver`] has the rules of the one kind that this project is about,
//! [`metadata`] and [`names`] those of every kind, [`label_selector`] and [`quantity`] what many fields hold,
//! [`priority`] the ranks of pods, [`disruption`] the budgets of evictions, [`FieldError`] how all of them are reported.

pub mod csi_driver;
pub mod disruption;
mod field_error;
mod gates;
pub mod label_selector;
pub mod metadata;
pub mod names;
pub mod priority;
pub mod quantity;
pub mod rbac;
mod release;

pub use field_error::{FieldError, Reason, aggregate};
pub use gates::{FeatureGate, FeatureGateError, FeatureGateState, FeatureGates, Stage};
pub use release::{ParseReleaseError, Release};

use tokenward_tokens::Placement;

/// Where the kubelet puts a driver's tokens: `opted_in` is `CSIDriver.spec.serviceAccountTokenInSecrets`, the gates are
/// the node's own.
///
/// Secrets only if the gate is on and the field is true; the volume context in every other case, an absent CSIDriver
/// (`None`) included. Never both, never neither (KEP-5538).
#[must_use]
pub fn placement(opted_in: Option<bool>, gates: &FeatureGates) -> Placement {
    if gates.enabled(FeatureGate::CsiServiceAccountTokenSecrets) && opted_in == Some(true) {
        Placement::Secrets
    } else {
        Placement::VolumeContext
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_go_to_secrets_only_with_the_gate_on_and_the_field_true() {
        let off = FeatureGates::parse(Release::V1_35, "CSIServiceAccountTokenSecrets=false")
            .expect("the gate can be switched off in its beta");
        let rows = [
            (FeatureGates::for_release(Release::V1_34), [false, false, false]),
            (off, [false, false, false]),
            (FeatureGates::for_release(Release::V1_35), [false, false, true]),
            (FeatureGates::for_release(Release::V1_36), [false, false, true]),
        ];
        for (gates, wanted) in rows {
            for (opted_in, secrets) in [None, Some(false), Some(true)].into_iter().zip(wanted) {
                let wanted = if secrets { Placement::Secrets } else { Placement::VolumeContext };
                assert_eq!(placement(opted_in, &gates), wanted, "{:?} {opted_in:?}", gates.release());
            }
        }
    }
}
