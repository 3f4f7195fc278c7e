//! `tokenward driver NAME` as it is typed.

use clap::{Args, Subcommand};

use crate::args::driver::serving::{ServingArgs, ServingConfig};
use crate::args::driver::workload_credentials::WorkloadCredentialsArgs;
use crate::failure::Failure;

pub(crate) mod serving;
pub(crate) mod workload_credentials;

/// Serve one of the drivers that come with tokenward.
#[derive(Debug, Args)]
pub(crate) struct DriverArgs {
    #[command(subcommand)]
    pub(crate) driver: Driver,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Driver {
    TokenFiles(TokenFilesArgs),
    WorkloadCredentials(WorkloadCredentialsArgs),
}

const EXAMPLES: &str = "\
Examples:
  The driver of the CSIDriver token-files.tokenward.dev, on a machine with a kubelet:
      tokenward driver token-files

  An old driver, which does not know serviceAccountTokenInSecrets:
      tokenward driver token-files --name vault.example --read volume-context

  For `tokenward up --driver-endpoint vault.example=/tmp/vault/csi.sock`, which registers it:
      tokenward driver token-files --name vault.example --endpoint /tmp/vault/csi.sock";

/// Serve the sample driver: each audience's token as a file in the pod's volume.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES, after_help = "See --help for examples.")]
pub(crate) struct TokenFilesArgs {
    /// The driver's name, as that of the CSIDriver.
    #[arg(long, value_name = "NAME", default_value = "token-files.tokenward.dev")]
    name: String,
    #[command(flatten)]
    serving: ServingArgs,
}

impl TokenFilesArgs {
    pub(crate) fn resolve(self) -> Result<ServingConfig, Failure> {
        self.serving.resolve(&self.name)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use clap::Parser as _;
    use tokenward_driver_token_files::ReadFrom;

    use super::*;
    use crate::args::driver::serving::Registration;
    use crate::args::{Cli, Command};
    use crate::terminal::Style;

    fn resolve(arguments: &[&str]) -> Result<ServingConfig, Failure> {
        let cli =
            Cli::try_parse_from(["tokenward", "driver", "token-files"].iter().chain(arguments)).unwrap();
        let Command::Driver(DriverArgs { driver: Driver::TokenFiles(args) }) = cli.command else {
            panic!("another command")
        };
        args.resolve()
    }

    #[test]
    fn nothing_typed_is_a_driver_beside_a_kubelet() {
        let config = resolve(&[]).unwrap();
        assert_eq!(config.name.as_str(), "token-files.tokenward.dev");
        assert_eq!(
            config.endpoint.as_path(),
            Path::new("/var/lib/kubelet/plugins/token-files.tokenward.dev/csi.sock")
        );
        assert_eq!(
            config.registration,
            Registration::InIfPresent("/var/lib/kubelet/plugins_registry".into())
        );
        assert_eq!((config.node_id, config.read), (None, ReadFrom::SecretsThenVolumeContext));
    }

    #[test]
    fn the_longest_name_still_has_a_default_socket() {
        let name = "a".repeat(63);
        assert!(resolve(&["--name", &name]).is_ok());
    }

    #[test]
    fn a_socket_elsewhere_registers_where_it_is_told() {
        let config = resolve(&["--endpoint=unix:///tmp/a.sock", "--read=volume-context"]).unwrap();
        assert_eq!(config.registration, Registration::None);
        assert_eq!(config.read, ReadFrom::VolumeContextOnly);
        let config = resolve(&[
            "--endpoint=/tmp/a.sock",
            "--registration-dir=/r",
            "--node-id=n",
            "--http-endpoint=[::]:9808",
        ])
        .unwrap();
        assert_eq!(config.registration, Registration::In("/r".into()));
        assert_eq!(config.node_id.as_deref(), Some("n"));
        assert_eq!(config.http.map(|address| address.port()), Some(9808));
    }

    #[test]
    fn what_cannot_be_meant_is_a_usage_error() {
        let long = format!("/{}", "a".repeat(107));
        for (arguments, expected) in [
            (vec!["--name=-a"], "--name: `-a`: wanted a driver name"),
            (vec!["--endpoint=csi.sock"], "--endpoint: an absolute socket path is wanted"),
            (vec!["--endpoint", &long], "has 108 bytes; the kernel allows 107"),
            (vec!["--node-id="], "--node-id is empty"),
        ] {
            let text = resolve(&arguments).unwrap_err().render(Style::plain());
            assert!(text.contains(expected), "{text}");
        }
        let unknown = ["tokenward", "driver", "token-files", "--read=both"];
        assert!(Cli::try_parse_from(unknown).is_err());
    }
}
