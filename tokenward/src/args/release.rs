//! Which Kubernetes release a server or node behaves as.

use clap::Args;
use tokenward_kube_rules::{FeatureGates, Release};

use crate::failure::Failure;

/// The release and its gates.
#[derive(Debug, Args)]
pub(crate) struct ReleaseArgs {
    /// The Kubernetes release to behave as: 1.34, 1.35 or 1.36.
    #[arg(long, value_name = "VERSION", default_value_t = Release::default())]
    kubernetes_version: Release,
    /// Feature gates of that release, as kube-apiserver and kubelet take them; may be repeated.
    #[arg(long, value_name = "NAME=BOOL,...")]
    feature_gates: Vec<String>,
}

impl ReleaseArgs {
    pub(crate) fn resolve(&self) -> Result<FeatureGates, Failure> {
        FeatureGates::parse(self.kubernetes_version, &self.feature_gates.join(","))
            .map_err(|error| Failure::usage(format!("--feature-gates: {error}")))
    }
}
