//! `tokenward driver workload-credentials` as it is typed.

use std::path::PathBuf;

use clap::Args;

use crate::args::driver::serving::{ServingArgs, ServingConfig};
use crate::failure::Failure;

const EXAMPLES: &str = "\
Examples:
  The driver of the CSIDriver workload-credentials.tokenward.dev, on a machine with a kubelet:
      tokenward driver workload-credentials --config /etc/workload-credentials/config.yaml

  For `tokenward up --driver-endpoint credentials.example=/tmp/credentials/csi.sock`, which registers it:
      tokenward driver workload-credentials --config config.yaml --name credentials.example \\
          --endpoint /tmp/credentials/csi.sock";

/// Serve the reference driver: tokens, and credentials of clouds and vaults that they are exchanged for, as files in the pod's volume.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES, after_help = "See --help for examples.")]
pub(crate) struct WorkloadCredentialsArgs {
    /// The driver's name, as that of the CSIDriver.
    #[arg(long, value_name = "NAME", default_value = "workload-credentials.tokenward.dev")]
    name: String,
    /// The exchanges that volumes may name: the only places to which tokens are sent.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    #[command(flatten)]
    serving: ServingArgs,
    /// Tell pods' owners by Events, in the cluster of this kubeconfig [default: in a pod, its own cluster; elsewhere nobody].
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
}

/// What is meant.
#[derive(Debug)]
pub(crate) struct WorkloadCredentialsConfig {
    pub(crate) serving: ServingConfig,
    pub(crate) config: PathBuf,
    pub(crate) kubeconfig: Option<PathBuf>,
}

impl WorkloadCredentialsArgs {
    pub(crate) fn resolve(self) -> Result<WorkloadCredentialsConfig, Failure> {
        Ok(WorkloadCredentialsConfig {
            serving: self.serving.resolve(&self.name)?,
            config: self.config,
            kubeconfig: self.kubeconfig,
        })
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::args::driver::{Driver, DriverArgs};
    use crate::args::{Cli, Command};

    fn resolve(arguments: &[&str]) -> Option<WorkloadCredentialsConfig> {
        let typed = ["tokenward", "driver", "workload-credentials"].iter().chain(arguments);
        let Command::Driver(DriverArgs { driver: Driver::WorkloadCredentials(args) }) =
            Cli::try_parse_from(typed).ok()?.command
        else {
            panic!("another command")
        };
        args.resolve().ok()
    }

    #[test]
    fn the_configuration_must_be_named_and_the_rest_is_as_with_any_driver() {
        assert!(resolve(&[]).is_none());
        let config = resolve(&["--config=/c.yaml"]).unwrap();
        assert_eq!(config.serving.name.as_str(), "workload-credentials.tokenward.dev");
        assert!(config.serving.endpoint.as_path().ends_with("workload-credentials.tokenward.dev/csi.sock"));
        assert_eq!((config.config, config.kubeconfig), ("/c.yaml".into(), None));
        let config = resolve(&["--config=c", "--kubeconfig=k", "--endpoint=/tmp/a.sock"]).unwrap();
        assert_eq!(config.kubeconfig, Some("k".into()));
    }
}
