//! Which cluster to talk to, as kubectl is told.

use std::path::PathBuf;

use clap::Args;
use tokenward_cluster::client::ClusterChoice;

const CLUSTER: &str = "Cluster";

/// The cluster.
#[derive(Debug, Args)]
pub(crate) struct KubernetesArgs {
    /// The kubeconfig [default: $KUBECONFIG, ~/.kube/config, or the pod that this runs in].
    #[arg(long, value_name = "FILE", help_heading = CLUSTER)]
    kubeconfig: Option<PathBuf>,
    /// The context in it [default: its current one].
    #[arg(long, value_name = "NAME", help_heading = CLUSTER)]
    context: Option<String>,
}

impl KubernetesArgs {
    pub(crate) fn resolve(self) -> ClusterChoice {
        ClusterChoice { kubeconfig: self.kubeconfig, context: self.context }
    }
}
