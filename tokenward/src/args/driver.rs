//! `tokenward driver NAME` as it is typed.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use clap::builder::{PossibleValuesParser, TypedValueParser as _};
use clap::{Args, Subcommand};
use tokenward_driver_token_files::{DriverName, ReadFrom, SocketPath};

use crate::failure::Failure;

/// Where a kubelet has its plugins.
const KUBELET: &str = "/var/lib/kubelet";

/// Serve one of the drivers that come with tokenward.
#[derive(Debug, Args)]
pub(crate) struct DriverArgs {
    #[command(subcommand)]
    pub(crate) driver: Driver,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Driver {
    TokenFiles(TokenFilesArgs),
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
    /// The socket to serve [default: /var/lib/kubelet/plugins/NAME/csi.sock].
    #[arg(long, value_name = "SOCKET")]
    endpoint: Option<String>,
    /// The plugins_registry of the node to register with [default: the kubelet's, if there is one].
    #[arg(long, value_name = "DIR")]
    registration_dir: Option<PathBuf>,
    /// An address, such as 0.0.0.0:9808, for /healthz and /metrics [default: none].
    #[arg(long, value_name = "ADDR:PORT")]
    http_endpoint: Option<SocketAddr>,
    /// What the driver calls this node [default: the host's name].
    #[arg(long, value_name = "ID")]
    node_id: Option<String>,
    /// Where to look for tokens: in `secrets` and then in volume_context, or, as old drivers do, in volume_context alone.
    #[arg(
        long,
        value_name = "PLACE",
        default_value = "secrets",
        value_parser = PossibleValuesParser::new(["secrets", "volume-context"]).try_map(|text| text.parse::<ReadFrom>())
    )]
    read: ReadFrom,
}

/// What is meant.
#[derive(Debug)]
pub(crate) struct TokenFilesConfig {
    pub(crate) name: DriverName,
    pub(crate) endpoint: SocketPath,
    pub(crate) registration: Registration,
    /// Of /healthz and /metrics.
    pub(crate) http: Option<SocketAddr>,
    /// None is the host's name.
    pub(crate) node_id: Option<String>,
    pub(crate) read: ReadFrom,
}

/// With whom to register.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Registration {
    /// With the node that owns this directory, which must be there.
    In(PathBuf),
    /// With the node that owns this directory, if it is there.
    InIfPresent(PathBuf),
    /// With nobody: whoever uses the driver knows the endpoint.
    None,
}

impl TokenFilesArgs {
    pub(crate) fn resolve(self) -> Result<TokenFilesConfig, Failure> {
        let name = DriverName::parse(self.name.as_str())
            .map_err(|error| Failure::usage(format!("--name: `{}`: {error}", self.name)))?;
        let is_at_kubelet = self.endpoint.is_none();
        let endpoint = match &self.endpoint {
            Some(endpoint) => SocketPath::parse(endpoint),
            None => SocketPath::new(Path::new(KUBELET).join("plugins").join(name.as_str()).join("csi.sock")),
        };
        let endpoint = endpoint.map_err(|error| Failure::usage(format!("--endpoint: {error}")))?;
        let registration = match self.registration_dir {
            Some(directory) => Registration::In(directory),
            None if is_at_kubelet => Registration::InIfPresent(Path::new(KUBELET).join("plugins_registry")),
            // A socket elsewhere is for a node elsewhere: the kubelet of this machine would only be surprised.
            None => Registration::None,
        };
        if self.node_id.as_deref() == Some("") {
            return Err(Failure::usage("--node-id is empty; a node refuses such a driver")
                .hint("Name the node, or leave the flag out: then it is the host's name."));
        }
        let (http, node_id) = (self.http_endpoint, self.node_id);
        Ok(TokenFilesConfig { name, endpoint, registration, http, node_id, read: self.read })
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::args::{Cli, Command};
    use crate::terminal::Style;

    fn resolve(arguments: &[&str]) -> Result<TokenFilesConfig, Failure> {
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
