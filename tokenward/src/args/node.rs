//! `tokenward node` as it is typed.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Subcommand};
use tokenward_cluster::client::ClusterChoice;
use tokenward_kube_rules::{FeatureGates, names};

use crate::args::delivery::{DeliveryArgs, DeliveryConfig};
use crate::args::kubernetes::KubernetesArgs;
use crate::args::release::ReleaseArgs;
use crate::args::server::ServingFiles;
use crate::failure::Failure;
use crate::records::OutputFormat;

const EXAMPLES: &str = "\
Examples:
  A node of any cluster, beside its real ones:
      tokenward node --kubeconfig ./kubeconfig --node-name mounts-1 --root-dir /var/lib/tokenward

  Its driver:
      tokenward driver token-files --endpoint /var/lib/tokenward/plugins/files/csi.sock \\
          --registration-dir /var/lib/tokenward/plugins_registry --node-id mounts-1";

/// Be a node that mounts CSI volumes and runs no containers.
///
/// The node registers itself with the taint tokenward.dev/mounts-only:NoSchedule, so that only pods that tolerate it, or name the node,
/// come here. Drivers register in plugins_registry below the root directory, as with a kubelet. When it ends it unpublishes its volumes.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES, after_help = "See --help for examples.")]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(crate) struct NodeArgs {
    #[command(subcommand)]
    command: Option<NodeCommand>,
    #[command(flatten)]
    cluster: KubernetesArgs,
    /// The name of the Node object.
    #[arg(long, value_name = "NAME", required = true)]
    node_name: Option<String>,
    /// Where sockets and volumes are, as a kubelet's --root-dir.
    #[arg(long, value_name = "DIR", default_value = "/var/lib/kubelet")]
    root_dir: PathBuf,
    /// Register without the taint: for pods that are content with mounts, or a node that somebody else runs containers on.
    #[arg(long)]
    no_taint: bool,
    #[command(flatten)]
    release: ReleaseArgs,
    #[command(flatten)]
    delivery: DeliveryArgs,
    /// Serve /healthz, /metrics and /configz over HTTPS here, as a kubelet does on port 10250 [default: not at all].
    #[arg(long, value_name = "ADDR:PORT", help_heading = SERVER)]
    listen: Option<SocketAddr>,
    /// Believe client certificates that these authorities have signed, beside tokens that the API server knows.
    #[arg(long, value_name = "FILE", requires = "listen", help_heading = SERVER)]
    client_ca_file: Option<PathBuf>,
    /// Serve behind this certificate, followed by those that lead to its authority [default: a self-signed one].
    #[arg(long, value_name = "FILE", requires = "listen", help_heading = SERVER)]
    tls_cert_file: Option<PathBuf>,
    /// The certificate's private key.
    #[arg(long, value_name = "FILE", requires = "listen", help_heading = SERVER)]
    tls_private_key_file: Option<PathBuf>,
}

const SERVER: &str = "Server";

#[derive(Debug, Subcommand)]
enum NodeCommand {
    Status(StatusArgs),
}

const STATUS_EXAMPLES: &str = "\
Examples:
  Of the node in /var/lib/tokenward:
      tokenward node status --root-dir /var/lib/tokenward

  Of each node of `tokenward up --root-dir /tmp/nodes`, then of its second alone:
      tokenward node status --root-dir /tmp/nodes
      tokenward node status --root-dir /tmp/nodes/2

  The volumes that wait, with the reason:
      tokenward node status -o json | jq '.volumes[] | select(.state == \"waiting\")'";

/// Show drivers, volumes, where their tokens are, and what comes next, of the nodes on this machine.
#[derive(Debug, Args)]
#[command(after_long_help = STATUS_EXAMPLES, after_help = "See --help for examples.")]
struct StatusArgs {
    /// The root directory of the node, or the directory that `tokenward up` has its nodes below.
    #[arg(long, value_name = "DIR", default_value = "/var/lib/kubelet")]
    root_dir: PathBuf,
    /// How to print it.
    #[arg(short, long, value_name = "FORMAT", default_value = "table")]
    output: OutputFormat,
}

/// What is to be done.
#[derive(Debug)]
pub(crate) enum NodeTask {
    /// Be a node.
    Run(NodeConfig),
    /// Show how one stands.
    Status {
        /// Its root directory.
        root_dir: PathBuf,
        /// How to print it.
        output: OutputFormat,
    },
}

/// What is meant.
#[derive(Debug)]
pub(crate) struct NodeConfig {
    pub(crate) cluster: ClusterChoice,
    pub(crate) node_name: String,
    pub(crate) root_dir: PathBuf,
    pub(crate) gates: FeatureGates,
    pub(crate) is_tainted: bool,
    pub(crate) delivery: DeliveryConfig,
    pub(crate) listen: Option<SocketAddr>,
    pub(crate) client_ca_file: Option<PathBuf>,
    pub(crate) serving: Option<ServingFiles>,
}

impl NodeArgs {
    pub(crate) fn resolve(self) -> Result<NodeTask, Failure> {
        if let Some(NodeCommand::Status(StatusArgs { root_dir, output })) = self.command {
            return Ok(NodeTask::Status { root_dir, output });
        }
        let node_name = self.node_name.unwrap_or_default();
        if let Some(problem) = names::dns_subdomain(&node_name).into_iter().next() {
            return Err(Failure::usage(format!(
                "--node-name: `{node_name}` cannot be the name of a Node: {problem}"
            )));
        }
        Ok(NodeTask::Run(NodeConfig {
            cluster: self.cluster.resolve(),
            node_name,
            root_dir: self.root_dir,
            gates: self.release.resolve()?,
            is_tainted: !self.no_taint,
            delivery: self.delivery.resolve(),
            listen: self.listen,
            client_ca_file: self.client_ca_file,
            serving: ServingFiles::of(self.tls_cert_file, self.tls_private_key_file)?,
        }))
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use clap::Parser as _;
    use tokenward_node::Republish;

    use super::*;
    use crate::args::{Cli, Command};
    use crate::terminal::Style;

    fn resolve(arguments: &[&str]) -> Result<NodeConfig, Failure> {
        let cli = Cli::try_parse_from(["tokenward", "node"].iter().chain(arguments)).unwrap();
        let Command::Node(args) = cli.command else { panic!("another command") };
        args.resolve().map(|task| match task {
            NodeTask::Run(config) => config,
            NodeTask::Status { .. } => panic!("another task"),
        })
    }

    #[test]
    fn a_node_is_where_a_kubelet_is_unless_told_otherwise() {
        let config = resolve(&["--node-name=a"]).unwrap();
        assert_eq!(config.root_dir, Path::new("/var/lib/kubelet"));
        assert_eq!(config.cluster, ClusterChoice::default());
        let config = resolve(&["--node-name=a.b", "--kubeconfig=k", "--context=c", "--root-dir=/r"]).unwrap();
        assert_eq!(config.cluster.kubeconfig.as_deref(), Some(Path::new("k")));
        assert_eq!(config.cluster.context.as_deref(), Some("c"));
        assert_eq!(config.root_dir, Path::new("/r"));
    }

    #[test]
    fn delivery_is_a_kubelets_unless_told_otherwise() {
        let config = resolve(&["--node-name=a"]).unwrap();
        assert_eq!(config.delivery.republish, Republish::PodSync);
        assert!(!config.delivery.drop_forged_keys);
        assert!(config.is_tainted && config.listen.is_none());
        let config = resolve(&["--node-name=a", "--republish=on-change", "--drop-forged-keys"]).unwrap();
        assert_eq!(config.delivery.republish, Republish::OnChange);
        assert!(config.delivery.drop_forged_keys);
        let config = resolve(&["--node-name=a", "--no-taint", "--listen=0.0.0.0:10250"]).unwrap();
        assert!(!config.is_tainted);
        assert_eq!(config.listen.unwrap().port(), 10_250);
    }

    #[test]
    fn a_certificate_comes_with_its_key_and_an_address() {
        let named = ["--node-name=a", "--listen=127.0.0.1:0"];
        assert_eq!(resolve(&named).unwrap().serving, None);
        let both = [named[0], named[1], "--tls-cert-file=c", "--tls-private-key-file=k"];
        let wanted = ServingFiles { certificates: "c".into(), key: "k".into() };
        assert_eq!(resolve(&both).unwrap().serving, Some(wanted));
        for one in [&both[2..3], &both[3..]] {
            let arguments = [&named, one].concat();
            let text = resolve(&arguments).unwrap_err().render(Style::plain());
            assert!(text.contains("is of no use without --tls-"), "{text}");
        }
        assert!(Cli::try_parse_from(["tokenward", "node", named[0], both[2], both[3]]).is_err());
    }

    #[test]
    fn a_name_that_no_node_can_have_is_refused() {
        let text = resolve(&["--node-name=Node_1"]).unwrap_err().render(Style::plain());
        assert!(text.starts_with("Error: --node-name: `Node_1` cannot be the name of a Node: "), "{text}");
    }

    #[test]
    fn a_status_needs_no_name() {
        let cli =
            Cli::try_parse_from(["tokenward", "node", "status", "--root-dir=/r", "-o", "json"]).unwrap();
        let Command::Node(args) = cli.command else { panic!("another command") };
        let Ok(NodeTask::Status { root_dir, output }) = args.resolve() else { panic!("a status is wanted") };
        assert_eq!((root_dir.as_path(), output), (Path::new("/r"), OutputFormat::Json));
        assert!(Cli::try_parse_from(["tokenward", "node", "--node-name=a", "status"]).is_err());
    }

    #[test]
    fn a_node_has_a_name() {
        assert!(Cli::try_parse_from(["tokenward", "node"]).is_err());
    }
}
