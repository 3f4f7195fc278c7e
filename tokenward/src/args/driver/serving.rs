//! How any of the drivers is served.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser as _};
use tokenward_driver_token_files::{DriverName, ReadFrom, SocketPath};

use crate::failure::Failure;

/// Where a kubelet has its plugins.
const KUBELET: &str = "/var/lib/kubelet";

/// What every driver takes.
#[derive(Debug, Args)]
pub(crate) struct ServingArgs {
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
pub(crate) struct ServingConfig {
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

impl ServingArgs {
    pub(crate) fn resolve(self, name: &str) -> Result<ServingConfig, Failure> {
        let name =
            DriverName::parse(name).map_err(|error| Failure::usage(format!("--name: `{name}`: {error}")))?;
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
        Ok(ServingConfig { name, endpoint, registration, http, node_id, read: self.read })
    }
}
